//! Expressions with their types, in which the casts that PostgreSQL adds by itself are written out, and which it prints as its deparser does.
//!
//! So two expressions are the same to an index when they are equal here, whoever wrote them: a statement or `pg_get_indexdef`.

use std::collections::BTreeSet;

use super::types::{self, BOOLEAN, INTEGER, NUMERIC, TEXT};
use crate::advice::index::quoted;

/// An expression.
#[derive(Debug, Clone, PartialEq)]
pub enum Term {
    /// A column of a relation of the statement.
    Column(Column),
    /// A literal, or a parameter.
    Constant(Constant),
    /// A call.
    Call {
        /// The function.
        name: String,
        /// What it is given.
        arguments: Vec<Term>,
        /// The type of what it gives; empty where that is not known.
        type_name: String,
        /// It gives the same for the same at any time.
        immutable: bool,
    },
    /// An operator between two.
    Binary {
        /// The operator.
        operator: String,
        /// On its left.
        left: Box<Term>,
        /// On its right.
        right: Box<Term>,
        /// The type of what it gives; empty where that is not known.
        type_name: String,
        /// It gives the same for the same at any time.
        immutable: bool,
    },
    /// A cast.
    Cast {
        /// Of what.
        of: Box<Term>,
        /// The type.
        to: String,
    },
    /// Anything else, with the columns in it.
    Other(Vec<Column>),
}

/// A column of a relation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Column {
    /// The number of the relation in the statement.
    pub relation: usize,
    /// Its name.
    pub name: String,
    /// Its type, as `format_type` prints it.
    pub type_name: String,
}

/// A literal, or a parameter with the value that a sample has for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Constant {
    /// What it is.
    pub value: Value,
    /// Its type, where it is told.
    pub type_name: Option<String>,
    /// The number of the parameter, where it is one.
    pub parameter: Option<u16>,
}

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// NULL.
    Null,
    /// A number, as written.
    Number(String),
    /// A text.
    Text(String),
    /// A boolean.
    Bool(bool),
    /// Not known: a parameter of which no sample tells.
    Unknown,
}

impl Constant {
    /// A text with a type.
    pub fn text(value: &str, type_name: &str) -> Constant {
        Constant {
            value: Value::Text(value.to_owned()),
            type_name: Some(type_name.to_owned()),
            parameter: None,
        }
    }

    /// It in text form; `None` for NULL and for what is not known.
    pub fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Number(text) | Value::Text(text) => Some(text),
            Value::Bool(true) => Some("t"),
            Value::Bool(false) => Some("f"),
            Value::Null | Value::Unknown => None,
        }
    }

    /// As the deparser prints it; `None` where its value is not known.
    fn print(&self) -> Option<String> {
        Some(match (&self.value, &self.type_name) {
            (Value::Unknown, _) => return None,
            (Value::Null, Some(name)) => format!("NULL::{name}"),
            (Value::Null, None) => "NULL".to_owned(),
            (Value::Number(text), _) if text.starts_with('-') || number_type(text) == types::BIGINT => {
                format!("'{text}'::{}", number_type(text))
            }
            (Value::Number(text), _) => text.clone(),
            (Value::Bool(value), _) => value.to_string(),
            (Value::Text(text), name) => {
                format!("'{}'::{}", text.replace('\'', "''"), name.as_deref().unwrap_or(TEXT))
            }
        })
    }
}

impl Term {
    /// Its type, where it is known.
    pub fn type_name(&self) -> Option<&str> {
        let name = match self {
            Term::Column(column) => &column.type_name,
            Term::Constant(constant) => match (&constant.type_name, &constant.value) {
                (Some(name), _) => name,
                (None, Value::Number(text)) => number_type(text),
                (None, Value::Bool(_)) => BOOLEAN,
                (None, _) => return None,
            },
            Term::Call { type_name, .. } | Term::Binary { type_name, .. } => type_name,
            Term::Cast { to, .. } => to,
            Term::Other(_) => return None,
        };
        (!name.is_empty()).then_some(name)
    }

    /// Whether an index may be on it: one column or more, constants that are known, and nothing that changes with time or settings.
    pub fn is_indexable(&self) -> bool {
        self.is_steady() && !self.columns().is_empty()
    }

    fn is_steady(&self) -> bool {
        match self {
            Term::Column(_) => true,
            Term::Constant(constant) => constant.value != Value::Unknown,
            Term::Call { arguments, immutable, .. } => *immutable && arguments.iter().all(Term::is_steady),
            Term::Binary { left, right, immutable, .. } => {
                *immutable && left.is_steady() && right.is_steady()
            }
            Term::Cast { of, to } => {
                of.is_steady() && of.type_name().is_some_and(|from| types::is_immutable_cast(from, to))
            }
            Term::Other(_) => false,
        }
    }

    /// The column that it is, without a cast that changes nothing but the name of a type of texts.
    pub fn as_column(&self) -> Option<&Column> {
        match self {
            Term::Column(column) => Some(column),
            Term::Cast { of, to } if types::is_text(to) => {
                of.as_column().filter(|column| types::is_text(&column.type_name))
            }
            _ => None,
        }
    }

    /// The same without such a cast around it, as an index has it.
    pub fn bare(&self) -> Term {
        self.as_column().map_or_else(|| self.clone(), |column| Term::Column(column.clone()))
    }

    /// The same of another relation: that it is of the same table, the caller knows.
    pub fn of(&self, relation: usize) -> Term {
        let column = |column: &Column| Column { relation, ..column.clone() };
        match self {
            Term::Column(one) => Term::Column(column(one)),
            Term::Constant(constant) => Term::Constant(constant.clone()),
            Term::Call { name, arguments, type_name, immutable } => Term::Call {
                name: name.clone(),
                arguments: arguments.iter().map(|one| one.of(relation)).collect(),
                type_name: type_name.clone(),
                immutable: *immutable,
            },
            Term::Binary { operator, left, right, type_name, immutable } => Term::Binary {
                operator: operator.clone(),
                left: Box::new(left.of(relation)),
                right: Box::new(right.of(relation)),
                type_name: type_name.clone(),
                immutable: *immutable,
            },
            Term::Cast { of, to } => Term::Cast { of: Box::new(of.of(relation)), to: to.clone() },
            Term::Other(columns) => Term::Other(columns.iter().map(column).collect()),
        }
    }

    /// How many parts it has.
    pub(super) fn size(&self) -> usize {
        1 + match self {
            Term::Column(_) | Term::Constant(_) | Term::Other(_) => 0,
            Term::Call { arguments, .. } => arguments.iter().map(Term::size).sum(),
            Term::Binary { left, right, .. } => left.size() + right.size(),
            Term::Cast { of, .. } => of.size(),
        }
    }

    /// The columns in it.
    pub fn columns(&self) -> Vec<&Column> {
        let mut all = vec![];
        self.gather(&mut all);
        all
    }

    fn gather<'a>(&'a self, all: &mut Vec<&'a Column>) {
        match self {
            Term::Column(column) => all.push(column),
            Term::Constant(_) => {}
            Term::Call { arguments, .. } => arguments.iter().for_each(|one| one.gather(all)),
            Term::Binary { left, right, .. } => {
                left.gather(all);
                right.gather(all);
            }
            Term::Cast { of, .. } => of.gather(all),
            Term::Other(columns) => all.extend(columns),
        }
    }

    /// The relations whose columns are in it.
    pub fn relations(&self) -> BTreeSet<usize> {
        self.columns().iter().map(|column| column.relation).collect()
    }

    /// As the deparser prints it in an index of a server of this version; `None` for what is not known in full.
    pub fn print(&self, version: u32) -> Option<String> {
        Some(match self {
            Term::Column(column) => quoted(&column.name),
            Term::Constant(constant) => constant.print()?,
            Term::Call { name, arguments, .. } => {
                let all: Option<Vec<String>> = arguments.iter().map(|one| one.print(version)).collect();
                call(name, &all?, arguments, version)
            }
            Term::Binary { operator, left, right, .. } => {
                format!("({} {operator} {})", left.print(version)?, right.print(version)?)
            }
            Term::Cast { of, to } => format!("({})::{to}", of.print(version)?),
            Term::Other(_) => return None,
        })
    }
}

fn call(name: &str, printed: &[String], arguments: &[Term], version: u32) -> String {
    match (name, printed, arguments) {
        ("coalesce", ..) => format!("COALESCE({})", printed.join(", ")),
        ("extract", [_, of], [Term::Constant(field), _]) => {
            format!("EXTRACT({} FROM {of})", field.as_text().unwrap_or_default())
        }
        ("timezone", [zone, of], _) if version >= 140_000 => format!("({of} AT TIME ZONE {zone})"),
        ("left" | "right", ..) => format!("\"{name}\"({})", printed.join(", ")),
        _ => format!("{name}({})", printed.join(", ")),
    }
}

/// The type of a number as it is written.
pub(super) fn number_type(text: &str) -> &'static str {
    match text.parse::<i64>() {
        Ok(number) if i32::try_from(number).is_ok() => INTEGER,
        Ok(_) => types::BIGINT,
        Err(_) => NUMERIC,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, type_name: &str) -> Term {
        Term::Column(Column { relation: 0, name: name.to_owned(), type_name: type_name.to_owned() })
    }

    #[test]
    fn what_may_be_indexed_has_a_column_and_nothing_that_moves() {
        let day = |type_name: &str| Term::Cast {
            of: Box::new(column("created_at", type_name)),
            to: "date".to_owned(),
        };
        assert!(day(types::TIMESTAMP).is_indexable());
        assert!(!day(types::TIMESTAMPTZ).is_indexable());
        assert!(!Term::Constant(Constant::text("x", TEXT)).is_indexable());
        assert!(!Term::Other(vec![]).is_indexable());
    }

    #[test]
    fn a_cast_among_texts_is_the_column_itself() {
        let cast = Term::Cast { of: Box::new(column("email", "character varying(80)")), to: TEXT.to_owned() };
        assert_eq!(cast.bare(), column("email", "character varying(80)"));
        let other = Term::Cast { of: Box::new(column("id", "bigint")), to: TEXT.to_owned() };
        assert_eq!(other.bare(), other);
        assert_eq!(other.print(150_000).as_deref(), Some("(id)::text"));
    }
}
