//! What a statement asks of each table: conditions, joins, order, and the columns that it needs.
//!
//! Read off sqlparser's tree ([`crate::sql::tree`]) with the names and types of a [`Schema`], once for each sample, since what a pattern is,
//! and how many rows a value has, the values decide. A text that is not understood has no scans; nothing is guessed.

mod condition;
mod levels;
mod read;
mod reader;
mod selectivity;
mod term;
mod types;
mod values;
mod walk;

use std::collections::BTreeSet;

use super::index::quoted;
use super::schema::Table;
use super::{Observed, Origin, Sample, Schema};
use crate::stats::tally::Sums;

pub use selectivity::{is_guess, of_condition, rows_left, selectivity};
pub use term::{Column, Constant, Term, Value};
pub use values::{Pattern, pattern};

pub(super) use read::{argument, operation, wanted_as};
pub(super) use types::{base, is_text};
pub(super) use values::seconds;

use self::reader::Reader;

/// Samples that are looked at, of a shape.
const SAMPLES: usize = 12;
/// Calls that rows of a call are reckoned of.
const COUNTED: u64 = 20;
/// Tables of one statement that are looked at, where they stand; further ones are taken for what is not known.
const SCANS: usize = 64;

/// What one statement, with its values, asks for.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// Of each table where it stands.
    pub scans: Vec<Scan>,
    /// What else was noticed.
    pub notes: Vec<Note>,
    /// Tables that are changed, and the columns that an UPDATE sets.
    pub writes: Vec<(u32, Vec<String>)>,
    /// It only reads, and takes no locks.
    pub reads_only: bool,
    /// Functions that it calls, by name.
    pub calls: BTreeSet<String>,
}

/// What a statement asks of one table where it stands.
#[derive(Debug, Clone)]
pub struct Scan {
    /// The table's OID.
    pub table: u32,
    /// The number of the relation in the statement.
    pub relation: usize,
    /// The number of the SELECT (or UPDATE, DELETE) that it stands in.
    pub level: usize,
    /// It is the only relation there.
    pub alone: bool,
    /// Each row that matters satisfies all of them.
    pub conditions: Vec<Condition>,
    /// Of each OR over this table alone, its branches.
    pub branches: Vec<Vec<Vec<Condition>>>,
    /// The order that is wanted, where this table can give it.
    pub order: Vec<Sort>,
    /// So many rows are wanted and no more; `Some(None)`: their number is not known.
    pub limit: Option<Option<f64>>,
    /// By what rows are put together, by GROUP BY or DISTINCT.
    pub group: Vec<Term>,
    /// Columns that are needed of it; `None` for all.
    pub columns: Option<BTreeSet<String>>,
    /// It is changed.
    pub changed: bool,
    /// Rows that calls gave on average, where those are all rows that satisfy its conditions; `None` where that was not counted.
    pub gives: Option<f64>,
}

/// A condition on one table.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// What is compared: a column or an expression on columns of this table.
    pub what: Term,
    /// How.
    pub test: Test,
    /// With what.
    pub other: Other,
}

/// How something is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Test {
    /// `=`.
    Equal,
    /// `IN`, `= ANY`.
    In,
    /// `<`, `<=`.
    Less,
    /// `>`, `>=`.
    Greater,
    /// LIKE; what kind the values decide.
    Like,
    /// ILIKE.
    LikeAnyCase,
    /// `~`, `~*`.
    Regex,
    /// `%` and `<%` of `pg_trgm`.
    Similar,
    /// `IS NULL`.
    Null,
    /// `IS NOT NULL`.
    NotNull,
    /// It is true: a boolean column.
    True,
    /// It is false.
    False,
    /// `@>`.
    Contains,
    /// `?`, `?|`, `?&`.
    HasKey,
    /// `@?`, `@@` of jsonb.
    Path,
    /// `&&`.
    Overlaps,
    /// `@@` of tsvector.
    Search,
    /// A value `= ANY` of the column, which is an array.
    Member,
    /// `<>`, NOT IN, NOT LIKE.
    Different,
}

/// With what something is compared.
#[derive(Debug, Clone, PartialEq)]
pub enum Other {
    /// Nothing, as of `IS NULL`.
    None,
    /// Constants; one but for [`Test::In`].
    Constants(Vec<Constant>),
    /// What another relation has.
    Join(Term),
    /// The time of the statement, and so many seconds.
    Clock(f64),
    /// What only running it tells.
    Unknown,
}

/// One key of an order.
#[derive(Debug, Clone, PartialEq)]
pub struct Sort {
    /// By what.
    pub what: Term,
    /// The largest first.
    pub descending: bool,
    /// NULLs first.
    pub nulls_first: bool,
}

/// What was noticed besides scans.
#[derive(Debug, Clone, PartialEq)]
pub enum Note {
    /// `NOT IN (SELECT ...)`; whether either side may be NULL.
    NotIn {
        /// Where that is known.
        nullable: bool,
    },
    /// An OR whose branches are about these relations, each about one.
    OrAcross(Vec<usize>),
    /// `ORDER BY random()`, and the relations there.
    RandomOrder(Vec<usize>),
    /// OFFSET, where its number is known.
    Offset(Option<f64>),
    /// `count(*)` of a table without a condition.
    CountAll(usize),
    /// The outermost SELECT takes all columns.
    Star,
    /// The outermost SELECT has no LIMIT, and gives a row for each that it finds.
    Unlimited,
}

impl Scan {
    /// All its conditions, those in branches too.
    pub fn all_conditions(&self) -> impl Iterator<Item = &Condition> {
        self.conditions.iter().chain(self.branches.iter().flatten().flatten())
    }

    /// Rows that some of its conditions leave. Where one of them can only be guessed at and they are all there are, no more than calls gave.
    pub fn rows_left(&self, some: &[&Condition], table: &Table) -> f64 {
        let left = rows_left(some.iter().copied(), table);
        let all = self.branches.is_empty() && self.conditions.iter().all(|one| some.contains(&one));
        match self.gives {
            Some(gives) if all && some.iter().any(|one| is_guess(one, table)) => left.min(gives.max(1.0)),
            _ => left,
        }
    }
}

impl Found {
    /// Takes what was counted of all calls: rows that came of a statement that gives all rows of one table that satisfy its conditions.
    pub fn count(&mut self, sums: &Sums) {
        let all = self.notes.contains(&Note::Unlimited);
        let [scan] = self.scans.as_mut_slice() else { return };
        let is_known = sums.calls >= COUNTED && sums.rows > 0 && sums.failures() == 0;
        if is_known && (all || scan.changed) && scan.limit.is_none() && scan.group.is_empty() {
            scan.gives = Some(sums.rows as f64 / sums.calls as f64);
        }
    }

    /// The scan of a relation.
    pub fn scan(&self, relation: usize) -> Option<&Scan> {
        self.scans.iter().find(|scan| scan.relation == relation)
    }
}

/// What a text with these values asks for; `None` where it is not understood.
pub fn scan(sample: &Sample, schema: &Schema) -> Option<Found> {
    let tree = crate::sql::tree(sample.text.as_bytes(), true)?;
    Some(Reader::new(schema, sample).finish(&tree))
}

/// The same of each sample of a shape, of its text where there are none; those with another structure than the first are left out.
pub fn of_observed(observed: &Observed, schema: &Schema) -> Vec<Found> {
    let mut all: Vec<Found> =
        observed.samples.iter().take(SAMPLES).filter_map(|sample| scan(sample, schema)).collect();
    if all.is_empty() {
        all.extend(scan(&Sample { types: observed.types.clone(), ..bare(&observed.text) }, schema));
    }
    all.iter_mut().for_each(|found| found.count(&observed.sums));
    let Some(first) = all.first().map(structure) else { return all };
    all.retain(|one| structure(one) == first);
    all
}

/// The conditions of an index's predicate or of a plan's filter, of a table that is called `alias`; `None` where they are not understood.
pub(super) fn of_condition_text(
    condition: &str,
    alias: &str,
    table: &Table,
    schema: &Schema,
) -> Option<Scan> {
    let from = format!("{}.{} as {}", quoted(&table.schema), quoted(&table.name), quoted(alias));
    let text = format!("select 1 from {from} where {condition}");
    let mut found = scan(&bare(&text), schema)?;
    (found.scans.len() == 1).then(|| found.scans.remove(0))
}

/// An expression of an index; `None` where it is not understood.
pub(super) fn of_expression_text(expression: &str, table: &Table, schema: &Schema) -> Option<Term> {
    let scan = of_condition_text(&format!("({expression}) is not null"), &table.name, table, schema)?;
    scan.conditions.into_iter().next().map(|condition| condition.what)
}

/// A statement without values.
fn bare(text: &str) -> Sample {
    let text = text.to_owned();
    Sample { origin: Origin::Statistics, text, values: vec![], types: vec![], micros: None }
}

/// What has to be the same for samples to be of one structure; a list of one value is a list.
fn structure(found: &Found) -> Vec<(u32, Vec<(Test, Term)>)> {
    let test = |one: &Condition| if one.test == Test::In { Test::Equal } else { one.test };
    let conditions = |scan: &Scan| scan.conditions.iter().map(|one| (test(one), one.what.clone())).collect();
    found.scans.iter().map(|scan| (scan.table, conditions(scan))).collect()
}

#[cfg(test)]
pub(super) mod tests;
