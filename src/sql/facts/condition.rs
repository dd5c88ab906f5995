//! Conditions: which columns they compare, how, and with what.

use sqlparser::ast::{BinaryOperator, DataType, Expr, Ident, UnaryOperator, ValueWithSpan};

use super::scope::{Column, is_name};
use super::tokens::place_of;
use super::walk::{Walk, Walked};
use super::{Comparison, Operand, Predicate};

impl Walk<'_> {
    /// A condition of the innermost level; `required` if every row that the statement touches satisfies it.
    pub fn condition(&mut self, condition: &Expr, required: bool) -> Walked {
        let around = self.condition;
        match condition {
            Expr::Nested(inner) => return self.condition(inner, required),
            Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
                self.condition(left, required)?;
                return self.condition(right, required);
            }
            _ => {}
        }
        self.scopes.last().begin_condition();
        self.part(condition, required)?;
        self.scopes.last().end_condition();
        self.condition = around;
        Ok(())
    }

    /// A part of a condition.
    fn part(&mut self, part: &Expr, required: bool) -> Walked {
        self.condition = Some(required);
        match part {
            Expr::Nested(inner) => self.part(inner, required),
            Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
                self.part(left, required)?;
                self.part(right, required)
            }
            Expr::BinaryOp { left, op: BinaryOperator::Or, right } => {
                self.part(left, false)?;
                self.part(right, false)
            }
            Expr::UnaryOp { op: UnaryOperator::Not, expr } => self.part(expr, false),
            Expr::BinaryOp { left, op, right } => self.compare(left, compared(op), right),
            Expr::IsNotDistinctFrom(left, right) => self.compare(left, Comparison::Equal, right),
            Expr::IsDistinctFrom(left, right) => self.compare(left, Comparison::Other, right),
            Expr::Like { expr, pattern, negated, escape_char: None, any: false }
            | Expr::ILike { expr, pattern, negated, escape_char: None, any: false }
                if is_column(expr) =>
            {
                self.compare(expr, unless(*negated, Comparison::Pattern), pattern)
            }
            Expr::SimilarTo { expr, pattern, negated, escape_char: None } if is_column(expr) => {
                self.special("similar_to_escape");
                self.compare(expr, unless(*negated, Comparison::Pattern), pattern)
            }
            Expr::Between { expr, negated, low, high } if is_column(expr) => {
                self.compare(expr, unless(*negated, Comparison::Range), low)?;
                self.compare(expr, unless(*negated, Comparison::Range), high)
            }
            Expr::IsNull(inner) | Expr::IsNotNull(inner) if is_column(inner) => {
                self.note_column(inner, Comparison::Null, Operand::Other);
                Ok(())
            }
            Expr::InList { expr, list, negated } => self.list(expr, unless(*negated, Comparison::In), list),
            Expr::AnyOp { left, compare_op: BinaryOperator::Eq, right, .. } => self.any(left, right),
            Expr::InSubquery { expr, subquery, negated } if is_column(expr) => {
                self.note_column(expr, unless(*negated, Comparison::In), Operand::Other);
                self.query(subquery, false)
            }
            _ => self.expression(part),
        }
    }

    /// Both sides: a column on the left, one on the right, and all pairs of two rows.
    fn compare(&mut self, left: &Expr, comparison: Comparison, right: &Expr) -> Walked {
        if let (Expr::Tuple(lefts), Expr::Tuple(rights)) = (plain(left), plain(right))
            && lefts.len() == rights.len()
        {
            let by_part = if comparison == Comparison::Equal { comparison } else { Comparison::Other };
            return lefts.iter().zip(rights).try_for_each(|(left, right)| self.compare(left, by_part, right));
        }
        let (here, there) = (is_column(left), is_column(right));
        if here {
            let operand = self.operand(right);
            self.note_column(left, comparison, operand);
        }
        // Read from the right, a pattern is none.
        let mirrored = if comparison == Comparison::Pattern { Comparison::Other } else { comparison };
        if there {
            let operand = self.operand(left);
            self.note_column(right, mirrored, operand);
        }
        [(here, left), (there, right)].into_iter().try_for_each(|(noted, side)| match noted {
            true => Ok(()),
            false => self.expression(side),
        })
    }

    /// `IN (...)`: all that is in it has one place where the shape folds it to one.
    fn list(&mut self, expression: &Expr, comparison: Comparison, list: &[Expr]) -> Walked {
        let operands: Vec<Operand> = list.iter().map(|one| self.place(one)).collect();
        let operand = match operands.as_slice() {
            [_] => self.operand(&list[0]),
            [first, rest @ ..] if rest.iter().all(|one| one == first) => first.clone(),
            _ => Operand::Other,
        };
        match plain(expression) {
            Expr::Tuple(parts) => {
                for part in parts {
                    match is_column(part) {
                        true => self.note_column(part, comparison, Operand::Other),
                        false => self.expression(part)?,
                    }
                }
            }
            column if is_column(column) => self.note_column(column, comparison, operand),
            other => self.expression(other)?,
        }
        self.expressions(list)
    }

    /// `= ANY (...)`: an array that is a list, or a value that has one in it.
    fn any(&mut self, left: &Expr, right: &Expr) -> Walked {
        match plain(right) {
            Expr::Array(array) => self.list(left, Comparison::In, &array.elem),
            value if is_column(left) => {
                let operand = self.operand(value);
                self.note_column(left, Comparison::In, operand);
                self.expression(value)
            }
            _ => {
                self.expression(left)?;
                self.expression(right)
            }
        }
    }

    fn note_column(&mut self, expression: &Expr, comparison: Comparison, operand: Operand) {
        if let Some(Column { table, name: column }) = self.column_of(expression) {
            let required = self.condition.unwrap_or_default();
            self.note_predicate(Predicate { table, column, comparison, operand, required });
        }
    }

    fn column_of(&mut self, expression: &Expr) -> Option<Column> {
        match plain(expression) {
            Expr::Identifier(name) => self.scopes.column(&[name]),
            Expr::CompoundIdentifier(parts) => self.scopes.column(&parts.iter().collect::<Vec<_>>()),
            _ => None,
        }
    }

    fn operand(&mut self, expression: &Expr) -> Operand {
        if is_column(expression) {
            let column = self.column_of(expression);
            return column.map_or(Operand::Other, |column| Operand::Column(column.table, column.name));
        }
        self.place(expression)
    }

    /// A literal or parameter by its place.
    fn place(&self, expression: &Expr) -> Operand {
        let Some(constant) = constant(expression) else { return Operand::Other };
        let Some(place) = place_of(constant.value.span) else { return Operand::Other };
        match self.literal(place).map(|at| &self.literals[at]) {
            // A sign before it is a part of the literal, or the operand is more than the literal.
            Some(literal) if constant.signed && literal.range.start == place => Operand::Other,
            Some(literal) if constant.cast.is_some() => Operand::Cast(literal.place),
            Some(literal) => Operand::Literal(literal.place),
            None => Operand::Other,
        }
    }

    /// The literal of the shape that stands at an offset.
    pub fn literal(&self, offset: usize) -> Option<usize> {
        let at = self.literals.partition_point(|literal| literal.range.end <= offset);
        self.literals.get(at).is_some_and(|literal| literal.range.contains(&offset)).then_some(at)
    }
}

fn compared(operator: &BinaryOperator) -> Comparison {
    use BinaryOperator as Op;
    match operator {
        Op::Eq => Comparison::Equal,
        Op::Lt | Op::LtEq | Op::Gt | Op::GtEq => Comparison::Range,
        Op::PGRegexMatch | Op::PGRegexIMatch | Op::PGLikeMatch | Op::PGILikeMatch => Comparison::Pattern,
        _ => Comparison::Other,
    }
}

fn unless(negated: bool, comparison: Comparison) -> Comparison {
    if negated { Comparison::Other } else { comparison }
}

/// Without parentheses.
pub(super) fn plain(expression: &Expr) -> &Expr {
    match expression {
        Expr::Nested(inner) => plain(inner),
        _ => expression,
    }
}

/// Whether it is a column and nothing else.
pub(super) fn is_column(expression: &Expr) -> bool {
    let is_first = |parts: &[Ident]| parts.first().is_some_and(is_name);
    match plain(expression) {
        Expr::Identifier(name) => is_name(name),
        Expr::CompoundIdentifier(parts) => is_first(parts),
        _ => false,
    }
}

/// A literal or parameter.
pub(super) struct Constant<'a> {
    pub value: &'a ValueWithSpan,
    /// A sign stands before it.
    pub signed: bool,
    /// What it is cast to.
    pub cast: Option<&'a DataType>,
}

pub(super) fn constant(expression: &Expr) -> Option<Constant<'_>> {
    match expression {
        Expr::Value(value) => Some(Constant { value, signed: false, cast: None }),
        Expr::TypedString(string) if keeps_values(&string.data_type) => {
            Some(Constant { value: &string.value, signed: false, cast: Some(&string.data_type) })
        }
        Expr::Nested(inner) => constant(inner),
        Expr::Cast { expr, data_type, .. } if keeps_values(data_type) => {
            let inner = constant(expr).filter(|inner| inner.cast.is_none());
            inner.map(|inner| Constant { cast: Some(data_type), ..inner })
        }
        Expr::UnaryOp { op: UnaryOperator::Minus | UnaryOperator::Plus, expr } => {
            let inner = constant(expr).filter(|inner| !inner.signed && inner.cast.is_none());
            inner.map(|inner| Constant { signed: true, ..inner })
        }
        _ => None,
    }
}

/// Whether strings that become values of this type are not cut or rounded. `varchar(3)` cuts, and so does `char`.
fn keeps_values(data_type: &DataType) -> bool {
    let name = data_type.to_string().to_ascii_lowercase();
    KEEPING.contains(&name.trim_end_matches("[]"))
}

static KEEPING: &[&str] = &[
    "int",
    "integer",
    "bigint",
    "smallint",
    "int2",
    "int4",
    "int8",
    "text",
    "varchar",
    "character varying",
    "uuid",
    "bool",
    "boolean",
    "date",
    "numeric",
    "decimal",
    "timestamp",
    "timestamp without time zone",
    "timestamp with time zone",
    "timestamptz",
];
