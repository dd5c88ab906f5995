//! Whether the result of a read may be kept, and on which rows of which tables it depends.
//!
//! [`judge`] goes by a shape: what its words and names are, what the catalog knows of them. It gives [`Dependencies`], each a table with
//! either any row of it or rows with certain values in some columns, of which only the place in the shape is known. What the values of
//! one text are, [`Dependencies::touched`] says; that is all that is to be done again for another text of the shape.
//!
//! By default nothing may be kept: whatever is not understood, not known or not certain has a [`Refusal`]. It is presupposed that the
//! statement was judged a read ([`super::Profile::is_read`]); whether the moment allows it (a transaction, a session's floor) is not asked here.
//!
//! Why the dependencies are enough: a change of a row can alter what a level of a statement gives only if the old or the new row satisfies
//! the conjuncts that are of its variable ([`crate::sql::facts::Conjunct`]), and what the statement gives is a function of what its levels give.

mod dependencies;
mod joined;
mod links;
mod refusal;
mod values;
mod words;

use crate::catalog::Contents;
use crate::sql::facts::Facts;
use crate::sql::{Dialect, NotRead, not_a_read};

pub(in crate::plan) use dependencies::Search;
pub use dependencies::{Dependencies, Dependency, KeyColumn, On, RowKey};
pub use links::Link;
pub use refusal::{REFUSALS, Refusal};
pub use values::{
    Columns, Given, KeyRow, KeyRows, KeyValue, MOST_VALUES, Parameter, Parameters, Touched, TouchedRows,
    shown_value,
};

/// What a text is judged by beside itself.
#[derive(Debug, Clone, Copy)]
pub struct Around<'a> {
    /// What is known of the database, and holds.
    pub contents: &'a Contents,
    /// The schemas in which the session looks for names: what `search_path` says, with `$user` replaced, in order; `None` where
    /// that is not known. Those that do not exist do no harm.
    pub search_path: Option<&'a [&'a str]>,
    /// The session may have temporary objects.
    pub temporary: bool,
}

/// On what the result of a statement of this shape depends, or why it must not be kept. `facts` are those of the text.
///
/// # Errors
/// The first reason found why not.
pub fn judge(
    text: &[u8],
    dialect: Dialect,
    facts: &Facts,
    around: &Around<'_>,
) -> Result<Dependencies, Refusal> {
    if around.temporary {
        return Err(Refusal::TempShadow);
    }
    let grounds = around.contents.grounds.as_ref().ok_or(Refusal::DefinitionsUnknown)?;
    if !precedes(around.search_path) {
        return Err(Refusal::SearchPath);
    }
    words::check(text, dialect, facts)?;
    let dependencies = dependencies::of(facts, around, grounds)?;
    words::check_names(text, dialect, around.contents, grounds)?;
    match not_a_read(text, dialect) {
        Some(NotRead::Locks) => Err(Refusal::ForUpdate),
        Some(_) => Err(Refusal::NotARead),
        None => Ok(dependencies),
    }
}

/// Whether names of PostgreSQL's own come before all others. If they do not, every function, operator and type may be another one.
fn precedes(search_path: Option<&[&str]>) -> bool {
    let at = search_path.and_then(|path| path.iter().position(|schema| *schema == "pg_catalog"));
    at.is_none_or(|at| at == 0)
}
