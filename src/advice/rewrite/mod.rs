//! Statements in other words: the same rows by a condition that an index can serve, or by a form that costs less.
//!
//! A statement is written again from its tree, so it looks as sqlparser prints it. Where the tree does not have all that the text has, or what is
//! printed is not understood again, there is no rewritten statement; the change is told in words then.

mod forms;
mod hide;
mod sargable;
mod visit;

use sqlparser::ast::Statement;

use super::Schema;
use super::scan::{Condition, Found, Other, Term, Test, base};
use super::schema::Table;
use crate::sql::{Kind, Lexer, Token, tree};

pub use forms::{all_at_once, casts_of_values, keyset, not_exists, union_all};
pub use hide::{hide_values, print_hidden, without_strings};
pub use sargable::{Change, sargable};

/// Words that the tree does not keep.
const LOST: &[&str] = &[" only ", " variadic ", " overriding ", " exclude ", " no key ", " key share"];

/// The tree of a statement that can be printed again.
pub fn printable(text: &str) -> Option<Statement> {
    let plain = text.to_ascii_lowercase().split_whitespace().collect::<Vec<_>>().join(" ");
    let lost = LOST.iter().any(|word| plain.contains(word));
    (!lost && Lexer::new(text.as_bytes(), true).all(|token| is_printed(token, text)))
        .then(|| tree(text.as_bytes(), true))?
}

/// How quotes and backslashes in strings are printed depends on what reads them; comments may be hints.
fn is_printed(token: Token, text: &str) -> bool {
    let own = token.text(text.as_bytes());
    match token.kind {
        Kind::String => {
            let inner = own.get(1..own.len().saturating_sub(1)).unwrap_or_default();
            !inner.contains(&b'\'') && !inner.contains(&b'\\')
        }
        Kind::EscapeString | Kind::NationalString | Kind::UnicodeString | Kind::DollarString => false,
        Kind::Comment => !own.starts_with(b"/*+"),
        _ => true,
    }
}

/// The same for a report: without values, and no INSERT, whose values are all that it has.
pub fn printable_hidden(text: &str) -> Option<Statement> {
    let mut statement = printable(text).filter(|one| !matches!(one, Statement::Insert(_)))?;
    hide_values(&mut statement);
    Some(statement)
}

/// As text; `None` unless it is understood.
pub fn print(statement: &Statement) -> Option<String> {
    let text = statement.to_string();
    tree(text.as_bytes(), true).map(|_| text)
}

/// Whether a condition is on an expression and can be written as one on the column in it, so that no index on the expression is wanted.
pub(super) fn is_rewritable(condition: &Condition, table: &Table) -> bool {
    let compares = matches!(condition.test, Test::Equal | Test::Less | Test::Greater);
    let constant = !matches!(condition.other, Other::Join(_) | Other::None);
    let [column] = condition.what.columns()[..] else { return false };
    let Some(type_name) = table.column(&column.name).map(|column| base(&column.type_name)) else {
        return false;
    };
    compares
        && constant
        && match &condition.what {
            Term::Binary { operator, left, right, .. } => {
                let sides = (&**left, &**right);
                let plain = matches!(sides, (Term::Column(_), Term::Constant(_)))
                    || (operator == "+" && matches!(sides, (Term::Constant(_), Term::Column(_))));
                matches!(operator.as_str(), "+" | "-") && plain
            }
            Term::Cast { of, to } => {
                matches!(**of, Term::Column(_))
                    && ((to == "date" && type_name.starts_with("timestamp"))
                        || (matches!(type_name.as_str(), "smallint" | "integer" | "bigint" | "uuid")
                            && condition.test == Test::Equal))
            }
            Term::Call { name, arguments, .. } => match (name.as_str(), arguments.as_slice()) {
                ("date", [Term::Column(_)]) => type_name.starts_with("timestamp"),
                ("date_trunc", [Term::Constant(unit), Term::Column(_)]) => {
                    condition.test == Test::Equal && unit.as_text().is_some_and(sargable::is_unit)
                }
                ("extract" | "date_part", [Term::Constant(field), Term::Column(_)]) => {
                    condition.test == Test::Equal && field.as_text() == Some("year")
                }
                _ => false,
            },
            _ => false,
        }
}

/// The type of a column by its name, where all tables of a statement that have one agree.
pub(super) fn type_in(found: &Found, schema: &Schema, name: &str) -> Option<String> {
    let tables = found.scans.iter().filter_map(|scan| schema.table(scan.table));
    let mut types = tables.filter_map(|table| table.column(name)).map(|column| base(&column.type_name));
    let first = types.next()?;
    types.all(|other| other == first).then_some(first)
}

#[cfg(test)]
mod tests;
