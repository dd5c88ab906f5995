//! Casts that may read a text as a date or time: `now` and `today` are such texts, and what they mean changes without any row.

use sqlparser::ast::{
    BinaryOperator, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident,
    ObjectName, Value,
};

use super::condition::plain;
use super::conjunct::is_timeless;
use super::level::Cast;
use super::walk::Walk;

/// Types that are called as functions to cast.
const CALLED: &[&str] = &["date", "time", "timetz", "timestamp", "timestamptz"];
/// Functions of PostgreSQL's own that never give a text, whatever they are given.
const NO_TEXT: &[&str] = &[
    "date_trunc",
    "date_bin",
    "to_timestamp",
    "to_date",
    "make_date",
    "make_time",
    "make_timestamp",
    "make_timestamptz",
    "timezone",
    "count",
    "extract",
    "date_part",
    "length",
    "floor",
    "ceil",
];
/// Functions that give one of their arguments.
const PASSING: &[&str] = &["min", "max", "coalesce", "greatest", "least", "nullif"];

impl Walk<'_> {
    /// Notes a cast, unless it is of a literal, which has its text for all to see, or of what is no text.
    pub fn note_cast(&mut self, of: &Expr, to: &DataType) {
        if !is_timeless(to) {
            self.note_reading(of);
        }
    }

    /// `date(x)` is `x::date`.
    pub fn note_call_as_cast(&mut self, name: &ObjectName, arguments: &[FunctionArg]) {
        let called = name.0.last().and_then(|part| part.as_ident());
        if called.is_some_and(|name| CALLED.contains(&name.value.as_str()))
            && let [argument] = arguments
        {
            match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(of)) => self.note_reading(of),
                _ => self.facts.casts.push(Cast { column: None }),
            }
        }
    }

    fn note_reading(&mut self, of: &Expr) {
        if self.is_no_text(of) {
            return;
        }
        let column = match plain(of) {
            Expr::Identifier(name) => self.column_with_table(&[name]),
            Expr::CompoundIdentifier(parts) => self.column_with_table(&parts.iter().collect::<Vec<_>>()),
            Expr::Function(function) => return self.note_passing(function),
            _ => None,
        };
        self.facts.casts.push(Cast { column });
    }

    /// `max(column)` is as much a text as the column.
    fn note_passing(&mut self, function: &Function) {
        let passes = function_name(function).is_some_and(|name| PASSING.contains(&name));
        match &function.args {
            FunctionArguments::List(list) if passes => {
                for argument in &list.args {
                    match argument {
                        FunctionArg::Unnamed(FunctionArgExpr::Expr(of)) => self.note_reading(of),
                        _ => self.facts.casts.push(Cast { column: None }),
                    }
                }
            }
            _ => self.facts.casts.push(Cast { column: None }),
        }
    }

    fn column_with_table(&self, parts: &[&Ident]) -> Option<(super::Name, Box<str>)> {
        let column = self.scopes.table_of(parts)?;
        Some((column.table?, column.name))
    }

    /// Literals and parameters count as none: their texts are looked at when there are some.
    fn is_no_text(&self, expression: &Expr) -> bool {
        match plain(expression) {
            Expr::Value(value) => !matches!(value.value, Value::HexStringLiteral(_)),
            Expr::TypedString(_) | Expr::Interval(_) | Expr::AtTimeZone { .. } | Expr::Extract { .. } => true,
            Expr::Cast { data_type, expr, .. } => match is_text(data_type) {
                true => self.is_no_text(expr) && matches!(plain(expr), Expr::Value(_)),
                false => is_timeless(data_type) || self.is_no_text(expr),
            },
            Expr::BinaryOp { left, op: BinaryOperator::Plus | BinaryOperator::Minus, right } => {
                self.is_no_text(left) && self.is_no_text(right)
            }
            Expr::UnaryOp { expr, .. } => self.is_no_text(expr),
            Expr::Function(function) => function_name(function).is_some_and(|name| NO_TEXT.contains(&name)),
            _ => false,
        }
    }
}

fn is_text(data_type: &DataType) -> bool {
    let name = data_type.to_string().to_ascii_lowercase();
    ["text", "char", "varchar", "character", "json"].iter().any(|text| name.starts_with(text))
}

/// The name of a function, without a schema or in PostgreSQL's own.
fn function_name(function: &Function) -> Option<&str> {
    let parts: Option<Vec<&Ident>> = function.name.0.iter().map(|part| part.as_ident()).collect();
    match parts?.as_slice() {
        [name] => Some(&name.value),
        [schema, name] if schema.value == "pg_catalog" => Some(&name.value),
        _ => None,
    }
}
