//! From sqlparser's expressions to [`Term`]s.

use sqlparser::ast::{
    Array, BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Interval,
    TrimWhereField, UnaryOperator, Value as Parsed, WindowType,
};

use super::reader::Reader;
use super::term::{Column, Constant, Term, Value};
use super::types::{self, BIGINT, BOOLEAN, TEXT};

/// Columns that are kept of an expression of which no more is known.
const COLUMNS: usize = 64;

/// Reserved words that stand for values of the moment.
const CLOCKS: &[(&str, &str)] = &[
    ("current_date", "date"),
    ("current_timestamp", types::TIMESTAMPTZ),
    ("localtimestamp", types::TIMESTAMP),
];

impl Reader<'_> {
    /// An expression; queries in it are walked.
    pub fn read(&mut self, expression: &Expr) -> Term {
        match expression {
            Expr::Identifier(name) => self.bare_column(&name.value),
            Expr::CompoundIdentifier(parts) => self.qualified_column(parts),
            Expr::Value(value) => Term::Constant(self.constant(&value.value)),
            Expr::TypedString(typed) => {
                let value = self.constant(&typed.value.value);
                cast(Term::Constant(value), &typed.data_type.to_string())
            }
            Expr::Interval(interval) => self.interval(interval),
            Expr::Nested(inner) => self.read(inner),
            Expr::Cast { expr, data_type, .. } => {
                let of = self.read(expr);
                cast(of, &data_type.to_string())
            }
            Expr::Function(function) => self.function(function),
            Expr::BinaryOp { left, op, right } => self.binary(left, op, right),
            Expr::UnaryOp { op: UnaryOperator::Minus, expr } => negative(self.read(expr)),
            Expr::AtTimeZone { timestamp, time_zone } => {
                let arguments = vec![self.read(time_zone), self.read(timestamp)];
                call("timezone", arguments)
            }
            Expr::Extract { field, expr, .. } => {
                let field = Constant::text(&field.to_string().to_ascii_lowercase(), TEXT);
                let of = self.read(expr);
                call(self.extract(), vec![Term::Constant(field), of])
            }
            Expr::Ceil { expr, .. } => call("ceil", vec![self.read(expr)]),
            Expr::Floor { expr, .. } => call("floor", vec![self.read(expr)]),
            Expr::Substring { expr, substring_from, substring_for, shorthand, .. } => {
                let parts = substring_from.iter().chain(substring_for);
                let mut arguments = vec![self.read(expr)];
                arguments.extend(parts.map(|part| self.read(part)));
                call(if *shorthand { "substr" } else { "substring" }, arguments)
            }
            Expr::Trim { trim_where, trim_what, expr, trim_characters } => {
                let name = match trim_where {
                    None | Some(TrimWhereField::Both) => "btrim",
                    Some(TrimWhereField::Leading) => "ltrim",
                    Some(TrimWhereField::Trailing) => "rtrim",
                };
                let mut arguments = vec![self.read(expr)];
                arguments.extend(trim_what.iter().map(|what| self.read(what)));
                arguments.extend(trim_characters.iter().flatten().map(|what| self.read(what)));
                call(name, arguments)
            }
            _ => self.other(expression),
        }
    }

    /// What is no more than its columns.
    fn other(&mut self, expression: &Expr) -> Term {
        let mut parts: Vec<&Expr> = vec![];
        match expression {
            Expr::Case { operand, conditions, else_result, .. } => {
                parts.extend(operand.iter().chain(else_result).map(|part| &**part));
                parts.extend(conditions.iter().flat_map(|when| [&when.condition, &when.result]));
            }
            Expr::IsFalse(one) | Expr::IsNotFalse(one) | Expr::IsTrue(one) | Expr::IsNotTrue(one) => {
                parts.push(one);
            }
            Expr::IsNull(one) | Expr::IsNotNull(one) | Expr::IsUnknown(one) | Expr::IsNotUnknown(one) => {
                parts.push(one);
            }
            Expr::UnaryOp { expr, .. } | Expr::IsJson { expr, .. } | Expr::Collate { expr, .. } => {
                parts.push(expr);
            }
            Expr::IsNormalized { expr, .. } => parts.push(expr),
            Expr::CompoundFieldAccess { root, .. } => parts.push(root),
            Expr::IsDistinctFrom(one, other) | Expr::IsNotDistinctFrom(one, other) => {
                parts.extend([&**one, other]);
            }
            Expr::AnyOp { left, right, .. } | Expr::AllOp { left, right, .. } => {
                parts.extend([&**left, right])
            }
            Expr::Between { expr, low, high, .. } => parts.extend([&**expr, low, high]),
            Expr::InList { expr, list, .. } => {
                parts.push(expr);
                parts.extend(list);
            }
            Expr::Like { expr, pattern, .. }
            | Expr::ILike { expr, pattern, .. }
            | Expr::SimilarTo { expr, pattern, .. } => parts.extend([&**expr, pattern]),
            Expr::Position { expr, r#in } => parts.extend([&**expr, r#in]),
            Expr::Overlay { expr, overlay_what, overlay_from, .. } => {
                parts.extend([&**expr, overlay_what, overlay_from]);
            }
            Expr::Tuple(all) | Expr::Array(Array { elem: all, .. }) => parts.extend(all),
            Expr::Subquery(query) | Expr::Exists { subquery: query, .. } => self.inner(query),
            Expr::InSubquery { expr, subquery, .. } => {
                parts.push(expr);
                self.inner(subquery);
            }
            _ => {}
        }
        let all = parts.into_iter().map(|part| self.read(part)).collect();
        gathered(all)
    }

    /// A literal or parameter.
    pub fn constant(&self, parsed: &Parsed) -> Constant {
        let plain = |value| Constant { value, type_name: None, parameter: None };
        match parsed {
            Parsed::Number(text, _) => plain(Value::Number(text.clone())),
            Parsed::SingleQuotedString(text) => plain(Value::Text(text.clone())),
            Parsed::Boolean(value) => plain(Value::Bool(*value)),
            Parsed::Null => plain(Value::Null),
            Parsed::Placeholder(name) => self.parameter(name),
            _ => plain(Value::Unknown),
        }
    }

    fn parameter(&self, name: &str) -> Constant {
        let number = name.strip_prefix('$').and_then(|digits| digits.parse::<u16>().ok());
        let place = number.and_then(|number| usize::from(number).checked_sub(1));
        let value = match place.and_then(|place| self.sample.values.get(place)) {
            Some(Some(text)) => Value::Text(text.clone()),
            Some(None) => Value::Null,
            None => Value::Unknown,
        };
        let type_oid = place.and_then(|place| self.sample.types.get(place)).copied().unwrap_or_default();
        Constant { value, type_name: type_of(type_oid).map(str::to_owned), parameter: number }
    }

    fn interval(&mut self, interval: &Interval) -> Term {
        let unit = interval.leading_field.as_ref().map(|field| format!(" {field}"));
        let mut constant = match self.read(&interval.value) {
            Term::Constant(constant) => constant,
            other => return gathered(vec![other]),
        };
        if let (Value::Text(text), Some(unit)) = (&mut constant.value, unit) {
            text.push_str(&unit.to_ascii_lowercase());
        }
        constant.type_name = Some("interval".to_owned());
        Term::Constant(constant)
    }

    fn binary(&mut self, left: &Expr, op: &BinaryOperator, right: &Expr) -> Term {
        let (left, right) = (self.read(left), self.read(right));
        operation(&operator_name(op), left, right)
    }

    fn function(&mut self, function: &Function) -> Term {
        let name = function.name.0.last().and_then(|part| part.as_ident());
        let name = name.map(|name| name.value.clone()).unwrap_or_default();
        let mut arguments = vec![];
        match &function.args {
            FunctionArguments::List(list) => {
                arguments.extend(list.args.iter().filter_map(argument).map(|one| self.read(one)));
            }
            FunctionArguments::Subquery(query) => self.inner(query),
            FunctionArguments::None => {}
        }
        let mut besides: Vec<Term> = function.filter.iter().map(|filter| self.read(filter)).collect();
        besides.extend(function.within_group.iter().map(|key| self.read(&key.expr)));
        if let Some(WindowType::WindowSpec(window)) = &function.over {
            besides.extend(window.partition_by.iter().map(|key| self.read(key)));
            besides.extend(window.order_by.iter().map(|key| self.read(&key.expr)));
        }
        if function.over.is_none() {
            self.note_call(&name);
        }
        if function.over.is_some() || !besides.is_empty() {
            arguments.extend(besides);
            return gathered(arguments);
        }
        if let Some((_, type_name)) = CLOCKS.iter().find(|(clock, _)| *clock == name) {
            return clock(type_name);
        }
        match name.as_str() {
            "now" | "transaction_timestamp" | "statement_timestamp" | "clock_timestamp" => {
                clock(types::TIMESTAMPTZ)
            }
            _ => call(&name, arguments),
        }
    }

    /// Before 14, EXTRACT was `date_part`.
    fn extract(&self) -> &'static str {
        if self.schema.version < 140_000 { "date_part" } else { "extract" }
    }
}

/// The expression that is an argument.
pub(in crate::advice) fn argument(argument: &FunctionArg) -> Option<&Expr> {
    let (FunctionArg::Named { arg, .. } | FunctionArg::ExprNamed { arg, .. } | FunctionArg::Unnamed(arg)) =
        argument;
    match arg {
        FunctionArgExpr::Expr(expression) => Some(expression),
        _ => None,
    }
}

/// The value of the moment.
pub(super) fn clock(type_name: &str) -> Term {
    Term::Call {
        name: "now".to_owned(),
        arguments: vec![],
        type_name: type_name.to_owned(),
        immutable: false,
    }
}

/// A reserved word that stands for a value.
pub(super) fn reserved(word: &str) -> Option<Term> {
    CLOCKS.iter().find(|(known, _)| *known == word).map(|(_, type_name)| clock(type_name))
}

/// A call of a function with the casts that it needs.
pub(super) fn call(name: &str, arguments: Vec<Term>) -> Term {
    let given: Vec<Option<&str>> = arguments.iter().map(Term::type_name).collect();
    if name == "coalesce" {
        return coalesce(arguments);
    }
    let Some((takes, gives, immutable)) = types::function(name, &given) else {
        return Term::Call { name: name.to_owned(), arguments, type_name: String::new(), immutable: false };
    };
    let arguments = arguments.into_iter().zip(takes).map(|(one, wanted)| wanted_as(one, wanted)).collect();
    Term::Call { name: name.to_owned(), arguments, type_name: gives.to_owned(), immutable }
}

fn coalesce(arguments: Vec<Term>) -> Term {
    let common = arguments.iter().find_map(|one| one.type_name().map(types::base)).unwrap_or_default();
    let same = |one: &Term| one.type_name().is_none_or(|name| types::base(name) == common);
    let immutable = arguments.iter().all(same) && !common.is_empty();
    let arguments = arguments.into_iter().map(|one| wanted_as(one, &common)).collect();
    Term::Call { name: "coalesce".to_owned(), arguments, type_name: common, immutable }
}

/// An operator with the casts that it needs.
pub(in crate::advice) fn operation(operator: &str, left: Term, right: Term) -> Term {
    // What has no type takes that of the other side; behind an arrow it is a key.
    let arrow = matches!(operator, "->" | "->>");
    let right = if arrow && right.type_name().is_none() { wanted_as(right, TEXT) } else { right };
    let wanted = (left.type_name().map(types::base), right.type_name().map(types::base));
    let (left, right) = match (operator, wanted) {
        ("#>" | "#>>", (Some(_), None)) => (left, wanted_as(right, "text[]")),
        ("+" | "-", (Some(one), None)) if one.starts_with("timestamp") || one == "date" => {
            (left, wanted_as(right, "interval"))
        }
        ("||", (Some(one), other)) if types::is_text(&one) && other.as_deref().is_none_or(types::is_text) => {
            (wanted_as(left, TEXT), wanted_as(right, TEXT))
        }
        ("||", (None, Some(other))) if types::is_text(&other) => {
            (wanted_as(left, TEXT), wanted_as(right, TEXT))
        }
        (_, (Some(one), None)) if !arrow => (left, wanted_as(right, &one)),
        (_, (None, Some(other))) => (wanted_as(left, &other), right),
        (_, (Some(one), Some(other))) => numbers(left, &one, right, &other),
        _ => (left, right),
    };
    let found = match (left.type_name(), right.type_name()) {
        (Some(one), Some(other)) => types::operator(operator, one, other),
        _ => None,
    };
    let (type_name, immutable) = found.unwrap_or_default();
    let (left, right) = (Box::new(left), Box::new(right));
    Term::Binary { operator: operator.to_owned(), left, right, type_name, immutable }
}

/// Whole numbers have operators among them; beside a larger type they become one of it.
fn numbers(left: Term, one: &str, right: Term, other: &str) -> (Term, Term) {
    match (types::number_rank(one), types::number_rank(other)) {
        (Some(mine), Some(theirs)) if mine > theirs && mine > 3 => {
            let right = Term::Cast { of: Box::new(right), to: one.to_owned() };
            (left, right)
        }
        (Some(mine), Some(theirs)) if theirs > mine && theirs > 3 => {
            let left = Term::Cast { of: Box::new(left), to: other.to_owned() };
            (left, right)
        }
        _ => (left, right),
    }
}

/// A term as one of a type that PostgreSQL takes it for.
pub(in crate::advice) fn wanted_as(term: Term, wanted: &str) -> Term {
    let same = term.type_name().is_some_and(|name| types::base(name) == wanted);
    match term {
        _ if same || wanted.is_empty() => term,
        Term::Constant(Constant { value, type_name: None, parameter })
            if !matches!(value, Value::Number(_)) =>
        {
            Term::Constant(Constant { value, type_name: Some(wanted.to_owned()), parameter })
        }
        Term::Constant(Constant { value: Value::Number(_), .. })
            if matches!(wanted, types::INTEGER | BIGINT) =>
        {
            term
        }
        _ => Term::Cast { of: Box::new(term), to: wanted.to_owned() },
    }
}

/// A cast as it is written.
pub(super) fn cast(of: Term, to: &str) -> Term {
    let to = types::canonical(to);
    match of {
        Term::Constant(mut constant) if !matches!(constant.value, Value::Number(_)) => {
            constant.type_name = Some(to);
            Term::Constant(constant)
        }
        _ if of.type_name() == Some(&to) => of,
        _ => Term::Cast { of: Box::new(of), to },
    }
}

fn negative(of: Term) -> Term {
    match of {
        Term::Constant(mut constant) => {
            if let Value::Number(text) = &mut constant.value {
                *text = text.strip_prefix('-').map_or_else(|| format!("-{text}"), str::to_owned);
            }
            Term::Constant(constant)
        }
        other => gathered(vec![other]),
    }
}

/// No more than the columns of these, each once; of very many, one of each relation.
pub(super) fn gathered(all: Vec<Term>) -> Term {
    let columns = all.iter().flat_map(|one| one.columns().into_iter().cloned());
    let mut columns: Vec<Column> = columns.collect();
    columns.sort_unstable();
    columns.dedup();
    if columns.len() > COLUMNS {
        columns.dedup_by_key(|column| column.relation);
    }
    Term::Other(columns)
}

/// An operator as it is written.
pub(super) fn operator_name(op: &BinaryOperator) -> String {
    match op {
        BinaryOperator::Custom(name) => name.clone(),
        BinaryOperator::PGCustomBinaryOperator(parts) => parts.last().cloned().unwrap_or_default(),
        _ => op.to_string(),
    }
}

/// The types that drivers name most (`pg_type`).
pub(super) fn type_of(oid: u32) -> Option<&'static str> {
    Some(match oid {
        16 => BOOLEAN,
        20 => BIGINT,
        21 => "smallint",
        23 => types::INTEGER,
        25 => TEXT,
        114 => "json",
        700 => "real",
        701 => types::DOUBLE,
        1043 => "character varying",
        1082 => "date",
        1114 => types::TIMESTAMP,
        1184 => types::TIMESTAMPTZ,
        1700 => types::NUMERIC,
        2950 => "uuid",
        3802 => "jsonb",
        1005 => "smallint[]",
        1007 => "integer[]",
        1009 => "text[]",
        1015 => "character varying[]",
        1016 => "bigint[]",
        1231 => "numeric[]",
        2951 => "uuid[]",
        _ => return None,
    })
}
