//! Conditions on expressions, as conditions on the column in them.

use sqlparser::ast::{
    BinaryOperator, CastKind, DataType, DateTimeField, Expr, Function, FunctionArguments, Ident, Statement,
    TimezoneInfo, Value,
};

use super::visit;
use crate::advice::Schema;
use crate::advice::scan::Found;

/// What was written otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The column, as it is written.
    pub column: String,
    /// The condition as it was.
    pub before: String,
    /// And as it is.
    pub after: String,
    /// What has to be so for both to be the same, where that is not always so.
    pub provided: Option<&'static str>,
}

/// Rewrites all conditions of a statement that can be.
pub fn sargable(statement: &mut Statement, found: &Found, schema: &Schema) -> Vec<Change> {
    let mut changes = vec![];
    visit::conditions(statement, &mut |condition| {
        visit::parts(condition, &mut |part| {
            let Some((column, after, provided)) = rewritten(part, found, schema) else { return };
            let before = part.to_string();
            changes.push(Change { column: column.to_string(), before, after: after.to_string(), provided });
            *part = after;
        });
    });
    changes
}

type Rewritten = Option<(Expr, Expr, Option<&'static str>)>;

fn rewritten(part: &Expr, found: &Found, schema: &Schema) -> Rewritten {
    if let Expr::AnyOp { left, compare_op: BinaryOperator::Eq, right, .. } = part {
        return member(left, right, found, schema);
    }
    let Expr::BinaryOp { left, op, right } = part else { return None };
    let comparison = matches!(
        op,
        BinaryOperator::Eq
            | BinaryOperator::Lt
            | BinaryOperator::LtEq
            | BinaryOperator::Gt
            | BinaryOperator::GtEq
    );
    if !comparison {
        return None;
    }
    let side = |what: &Expr, op: &BinaryOperator, value: &Expr| {
        is_value(value).then(|| one_side(unnested(what), op, value, found, schema))?
    };
    side(left, op, right).or_else(|| side(right, &turned(op), left))
}

fn one_side(what: &Expr, op: &BinaryOperator, value: &Expr, found: &Found, schema: &Schema) -> Rewritten {
    let type_name = |of: &Expr| super::type_in(found, schema, &column_name(of)?);
    match what {
        Expr::BinaryOp { left, op: by, right } => arithmetic(left, by, right, op, value, &type_name),
        Expr::Cast { expr, data_type, .. } => {
            let of = type_name(unnested(expr))?;
            match data_type {
                DataType::Date if of.starts_with("timestamp") => {
                    Some((unnested(expr).clone(), of_day(unnested(expr), op, value)?, None))
                }
                _ if *op == BinaryOperator::Eq => Some((
                    unnested(expr).clone(),
                    of_number(unnested(expr), &of, value)?,
                    Some("every value can be read as one of the column's type"),
                )),
                _ => None,
            }
        }
        Expr::Extract { field: DateTimeField::Year, expr, .. } if *op == BinaryOperator::Eq => {
            let of = unnested(expr);
            type_name(of).filter(|name| name.starts_with("timestamp") || name == "date")?;
            Some((of.clone(), of_year(of, value), None))
        }
        Expr::Function(function) => call(function, op, value, &type_name),
        _ => None,
    }
}

fn call(
    function: &Function,
    op: &BinaryOperator,
    value: &Expr,
    type_name: &dyn Fn(&Expr) -> Option<String>,
) -> Rewritten {
    let name = function.name.0.last()?.as_ident()?.value.clone();
    let FunctionArguments::List(list) = &function.args else { return None };
    let arguments: Vec<&Expr> =
        list.args.iter().filter_map(crate::advice::scan::argument).map(unnested).collect();
    match (name.as_str(), arguments.as_slice()) {
        ("date", [of]) if type_name(of)?.starts_with("timestamp") => {
            Some(((*of).clone(), of_day(of, op, value)?, None))
        }
        ("date_trunc", [unit, of])
            if *op == BinaryOperator::Eq && type_name(of)?.starts_with("timestamp") =>
        {
            let unit = text_of(unit).filter(|unit| is_unit(unit))?;
            let next = plus(value.clone(), interval(&format!("1 {unit}")));
            let range = range(of, value.clone(), next);
            Some(((*of).clone(), range, Some("the value is itself the beginning of such a time")))
        }
        _ => None,
    }
}

/// `column + 1 = x` is `column = x - 1`.
fn arithmetic(
    left: &Expr,
    by: &BinaryOperator,
    right: &Expr,
    op: &BinaryOperator,
    value: &Expr,
    type_name: &dyn Fn(&Expr) -> Option<String>,
) -> Rewritten {
    let (left, right) = (unnested(left), unnested(right));
    let (column, constant, back) = match by {
        BinaryOperator::Plus if column_name(left).is_some() => (left, right, BinaryOperator::Minus),
        BinaryOperator::Plus => (right, left, BinaryOperator::Minus),
        BinaryOperator::Minus => (left, right, BinaryOperator::Plus),
        _ => return None,
    };
    let name = type_name(column)?;
    let number = matches!(name.as_str(), "smallint" | "integer" | "bigint" | "numeric");
    let time = name.starts_with("timestamp") && matches!(constant, Expr::Interval(_) | Expr::Cast { .. });
    if !is_value(constant) || !(number || time) {
        return None;
    }
    // Months are of different length, so that to add one and to take it away again is not the same.
    let months =
        time && ["mon", "year"].iter().any(|unit| constant.to_string().to_lowercase().contains(unit));
    let value = match unnested(value) {
        Expr::Value(_) | Expr::Function(_) | Expr::Identifier(_) => unnested(value).clone(),
        other => Expr::Nested(Box::new(other.clone())),
    };
    let moved = Expr::BinaryOp { left: Box::new(value), op: back, right: Box::new(constant.clone()) };
    let provided = months.then_some("months are taken to be of one length");
    Some((column.clone(), compare(column, op.clone(), moved), provided))
}

/// `column::date = day` is the day's times.
fn of_day(of: &Expr, op: &BinaryOperator, value: &Expr) -> Option<Expr> {
    column_name(of)?;
    let day = as_type(value.clone(), DataType::Date);
    let next = || Expr::BinaryOp {
        left: Box::new(day.clone()),
        op: BinaryOperator::Plus,
        right: Box::new(number(1)),
    };
    Some(match op {
        BinaryOperator::Eq => range(of, day.clone(), next()),
        BinaryOperator::GtEq => compare(of, BinaryOperator::GtEq, day.clone()),
        BinaryOperator::Lt => compare(of, BinaryOperator::Lt, day.clone()),
        BinaryOperator::Gt => compare(of, BinaryOperator::GtEq, next()),
        BinaryOperator::LtEq => compare(of, BinaryOperator::Lt, next()),
        _ => return None,
    })
}

fn of_year(of: &Expr, value: &Expr) -> Expr {
    let (year, next) = match unnested(value) {
        Expr::Value(one) => match &one.value {
            Value::Number(text, _) if text.parse::<i64>().is_ok() => {
                let year = text.parse::<i64>().unwrap_or_default();
                (text.clone(), (year.saturating_add(1)).to_string())
            }
            other => (format!("{other}::int"), format!("{other}::int + 1")),
        },
        other => (format!("({other})::int"), format!("({other})::int + 1")),
    };
    let first = |year: String| Expr::Identifier(Ident::new(format!("make_date({year}, 1, 1)")));
    range(of, first(year), first(next))
}

/// `id::text = $1` is `id = $1::bigint`.
fn of_number(of: &Expr, type_name: &str, value: &Expr) -> Option<Expr> {
    column_name(of)?;
    let to = match type_name {
        "smallint" => DataType::SmallInt(None),
        "integer" => DataType::Int(None),
        "bigint" => DataType::BigInt(None),
        "uuid" => DataType::Uuid,
        _ => return None,
    };
    // A text that is no number, or has zeros before it, is none of the column's.
    if let (Some(text), false) = (text_of(unnested(value)), to == DataType::Uuid)
        && text.parse::<i64>().map(|number| number.to_string()).ok().as_deref() != Some(&text)
    {
        return None;
    }
    Some(compare(of, BinaryOperator::Eq, as_type(value.clone(), to)))
}

/// `x = ANY (tags)` is `tags @> ARRAY[x]`.
fn member(left: &Expr, right: &Expr, found: &Found, schema: &Schema) -> Rewritten {
    let array = unnested(right);
    let type_name = super::type_in(found, schema, &column_name(array)?)?;
    let element = type_name.strip_suffix("[]")?;
    if !is_value(left) {
        return None;
    }
    let list = Expr::Array(sqlparser::ast::Array { elem: vec![left.clone()], named: true });
    let to = match element {
        "text" => DataType::Text,
        "integer" => DataType::Int(None),
        "bigint" => DataType::BigInt(None),
        "uuid" => DataType::Uuid,
        "character varying" => DataType::Varchar(None),
        _ => return None,
    };
    let to = DataType::Array(sqlparser::ast::ArrayElemTypeDef::SquareBracket(Box::new(to), None));
    let after = Expr::BinaryOp {
        left: Box::new(array.clone()),
        op: BinaryOperator::AtArrow,
        right: Box::new(as_type(list, to)),
    };
    Some((array.clone(), after, None))
}

/// The units of `date_trunc` that are intervals.
pub(super) fn is_unit(unit: &str) -> bool {
    matches!(unit, "minute" | "hour" | "day" | "week" | "month" | "year")
}

/// The name of a column, where it is one.
pub(super) fn column_name(of: &Expr) -> Option<String> {
    match of {
        Expr::Identifier(name) => Some(name.value.clone()),
        Expr::CompoundIdentifier(parts) => parts.last().map(|name| name.value.clone()),
        _ => None,
    }
}

/// It has no column in it.
fn is_value(of: &Expr) -> bool {
    match of {
        Expr::Value(_) | Expr::TypedString(_) | Expr::Interval(_) => true,
        Expr::Nested(inner) | Expr::Cast { expr: inner, .. } => is_value(inner),
        Expr::BinaryOp { left, op: BinaryOperator::Plus | BinaryOperator::Minus, right } => {
            is_value(left) && is_value(right)
        }
        Expr::Identifier(name) => matches!(name.value.as_str(), "current_date" | "current_timestamp"),
        Expr::Function(function) => {
            let name = function.name.0.last().and_then(|part| part.as_ident());
            let none = match &function.args {
                FunctionArguments::None => true,
                FunctionArguments::List(list) => list.args.is_empty(),
                FunctionArguments::Subquery(_) => false,
            };
            none && name.is_some_and(|name| {
                matches!(name.value.as_str(), "now" | "current_date" | "current_timestamp")
            })
        }
        _ => false,
    }
}

pub(super) fn unnested(of: &Expr) -> &Expr {
    match of {
        Expr::Nested(inner) => unnested(inner),
        _ => of,
    }
}

fn turned(op: &BinaryOperator) -> BinaryOperator {
    match op {
        BinaryOperator::Lt => BinaryOperator::Gt,
        BinaryOperator::LtEq => BinaryOperator::GtEq,
        BinaryOperator::Gt => BinaryOperator::Lt,
        BinaryOperator::GtEq => BinaryOperator::LtEq,
        other => other.clone(),
    }
}

fn range(of: &Expr, from: Expr, to: Expr) -> Expr {
    Expr::Nested(Box::new(Expr::BinaryOp {
        left: Box::new(compare(of, BinaryOperator::GtEq, from)),
        op: BinaryOperator::And,
        right: Box::new(compare(of, BinaryOperator::Lt, to)),
    }))
}

pub(super) fn compare(of: &Expr, op: BinaryOperator, with: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(of.clone()), op, right: Box::new(with) }
}

fn plus(left: Expr, right: Expr) -> Expr {
    let left = match left {
        Expr::Value(_) => as_type(left, DataType::Timestamp(None, TimezoneInfo::None)),
        other => other,
    };
    Expr::BinaryOp { left: Box::new(left), op: BinaryOperator::Plus, right: Box::new(right) }
}

pub(super) fn as_type(of: Expr, to: DataType) -> Expr {
    let of = match of {
        Expr::BinaryOp { .. } => Expr::Nested(Box::new(of)),
        Expr::Cast { ref data_type, .. } if *data_type == to => return of,
        other => other,
    };
    Expr::Cast { kind: CastKind::DoubleColon, expr: Box::new(of), data_type: to, format: None }
}

fn interval(text: &str) -> Expr {
    let text = Expr::Value(Value::SingleQuotedString(text.to_owned()).into());
    as_type(text, DataType::Interval { fields: None, precision: None })
}

fn number(value: i64) -> Expr {
    Expr::Value(Value::Number(value.to_string(), false).into())
}

fn text_of(of: &Expr) -> Option<String> {
    match of {
        Expr::Value(one) => match &one.value {
            Value::SingleQuotedString(text) => Some(text.to_ascii_lowercase()),
            _ => None,
        },
        _ => None,
    }
}
