//! Conjuncts: comparisons of columns with constants that a condition has behind nothing but AND, and what changes say of their rows.

use std::ops::Range;

use sqlparser::ast::{
    Assignment, AssignmentTarget, BinaryOperator, DataType, Expr, Insert, ObjectName, Query, SetExpr, Update,
};

use super::condition::{constant, is_column, plain};
use super::level::{ChangeKind, ColumnName, Conjunct, Constant, Equality, Form};
use super::tokens::place_of;
use super::walk::{Strange, Walk};

/// Of a condition: the relations for which it holds, as at [`Conjunct::of`], and those that it sees.
#[derive(Debug, Clone)]
pub(super) struct Reach {
    pub of: Range<usize>,
    pub sees: Range<usize>,
}

impl Walk<'_> {
    /// Notes the conjuncts of a condition of the innermost level.
    pub fn conjuncts(&mut self, condition: &Expr, of: Reach) {
        match condition {
            Expr::Nested(inner) => self.conjuncts(inner, of),
            Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
                self.conjuncts(left, of.clone());
                self.conjuncts(right, of);
            }
            Expr::BinaryOp { left, op: BinaryOperator::Eq, right } => self.equal(left, right, of),
            Expr::InList { expr, list, negated: false } => self.one_of(expr, list, of),
            Expr::AnyOp { left, compare_op: BinaryOperator::Eq, right, .. } => match plain(right) {
                Expr::Array(array) => self.one_of(left, &array.elem, of),
                value => self.conjunct(left, self.constant(value, Form::Array), of),
            },
            _ => {}
        }
    }

    fn equal(&mut self, left: &Expr, right: &Expr, of: Reach) {
        if let (Expr::Tuple(lefts), Expr::Tuple(rights)) = (plain(left), plain(right)) {
            if lefts.len() == rights.len() {
                lefts.iter().zip(rights).for_each(|(left, right)| self.equal(left, right, of.clone()));
            }
            return;
        }
        if let (Some(left), Some(right)) = (column_name(left), column_name(right)) {
            let Reach { of, sees } = of;
            self.scopes.last().equalities.push(Equality { of, sees, columns: [left, right] });
            return;
        }
        let (here, there) = (self.constant(right, Form::One), self.constant(left, Form::One));
        self.conjunct(left, here, of.clone());
        self.conjunct(right, there, of);
    }

    /// USING, where each side is one relation, of which the right one begins with this number.
    pub fn equal_by_using(&mut self, columns: &[ObjectName], second: usize, of: Reach) {
        let (scope, Reach { of, sees }) = (self.scopes.last(), of);
        if (sees.start + 1, second + 1) != (second, sees.end) {
            return;
        }
        for name in columns.iter().filter_map(first_of) {
            let column = |at: usize| {
                let relation = &scope.relations[at];
                ColumnName {
                    schema: relation.schema.clone(),
                    table: Some(relation.alias.clone()),
                    name: name.clone(),
                }
            };
            let columns = [column(sees.start), column(second)];
            scope.equalities.push(Equality { of: of.clone(), sees: sees.clone(), columns });
        }
    }

    /// All that is in the list has one place where the shape folds it to one.
    fn one_of(&mut self, expression: &Expr, list: &[Expr], of: Reach) {
        let mut constants = list.iter().map(|one| self.constant(one, Form::List));
        let Some(Some(first)) = constants.next() else { return };
        if constants.all(|one| one.as_ref() == Some(&first)) {
            self.conjunct(expression, Some(first), of);
        }
    }

    fn conjunct(&mut self, column: &Expr, constant: Option<Constant>, of: Reach) {
        if let (Some(constant), Some(column)) = (constant, column_name(column)) {
            let Reach { of, sees } = of;
            self.scopes.last().conjuncts.push(Conjunct { of, sees, column, constant });
        }
    }

    /// A literal or parameter by its place, with the type that it is cast to.
    fn constant(&self, expression: &Expr, form: Form) -> Option<Constant> {
        let found = constant(expression)?;
        let place = place_of(found.value.span)?;
        let literal = &self.literals[self.literal(place)?];
        // A sign before it is a part of the literal, or the operand is more than the literal.
        let signed = found.signed && literal.range.start == place;
        (!signed).then(|| Constant {
            place: literal.place,
            form,
            cast: found.cast.map(|to| to.to_string().to_ascii_lowercase().into()),
        })
    }

    /// What an INSERT puts into its rows: the constants, if all rows have the same places.
    pub fn inserted(&self, insert: &Insert) -> ChangeKind {
        if let Some(on) = &insert.on {
            return ChangeKind::InsertOther { updates: !is_do_nothing(on) };
        }
        let rows = insert.source.as_deref().and_then(rows_of).unwrap_or_default();
        let mut rows = rows.into_iter().map(|row| row.iter().map(|one| self.constant(one, Form::List)));
        let Some(first) = rows.next().map(Iterator::collect::<Vec<_>>) else {
            return ChangeKind::InsertOther { updates: false };
        };
        match rows.all(|row| row.eq(first.iter().cloned())) {
            true => ChangeKind::Insert(first),
            false => ChangeKind::InsertOther { updates: false },
        }
    }
}

fn is_do_nothing(on: &sqlparser::ast::OnInsert) -> bool {
    use sqlparser::ast::{OnConflictAction, OnInsert};
    matches!(on, OnInsert::OnConflict(conflict) if matches!(conflict.action, OnConflictAction::DoNothing))
}

/// The rows of `VALUES (...), (...)` and nothing else.
fn rows_of(query: &Query) -> Option<Vec<&Vec<Expr>>> {
    let bare = query.with.is_none()
        && query.order_by.is_none()
        && query.limit_clause.is_none()
        && query.fetch.is_none();
    match &*query.body {
        SetExpr::Values(values) if bare => Some(values.rows.iter().map(|row| &row.content).collect()),
        _ => None,
    }
}

/// The columns that an INSERT lists.
pub(super) fn listed(insert: &Insert) -> Result<Vec<Box<str>>, Strange> {
    insert.columns.iter().map(|column| first_of(column).ok_or(Strange)).collect()
}

/// The columns that an UPDATE assigns.
pub(super) fn assigned(update: &Update) -> Result<Vec<Box<str>>, Strange> {
    let of = |assignment: &Assignment| -> Vec<Option<Box<str>>> {
        match &assignment.target {
            AssignmentTarget::ColumnName(name) => vec![first_of(name)],
            AssignmentTarget::Tuple(names) => names.iter().map(first_of).collect(),
        }
    };
    update.assignments.iter().flat_map(of).map(|name| name.ok_or(Strange)).collect()
}

/// The column in `column`, `column.field`.
fn first_of(name: &ObjectName) -> Option<Box<str>> {
    let first = name.0.first()?.as_ident()?;
    matches!(first.quote_style, None | Some('"')).then(|| first.value.as_str().into())
}

/// A column and nothing else.
fn column_name(expression: &Expr) -> Option<ColumnName> {
    if !is_column(expression) {
        return None;
    }
    let parts: Vec<Box<str>> = match plain(expression) {
        Expr::Identifier(name) => vec![name.value.as_str().into()],
        Expr::CompoundIdentifier(parts) => parts.iter().map(|part| part.value.as_str().into()).collect(),
        _ => return None,
    };
    let mut parts = parts.into_iter().rev();
    let (name, table, schema) = (parts.next()?, parts.next(), parts.next());
    Some(ColumnName { schema, table, name })
}

/// Whether a cast to this type is the same value at any time, whatever text it is made of. Of dates and times it is not: `now`,
/// `today`; nor may it be of what is not known here.
pub(super) fn is_timeless(data_type: &DataType) -> bool {
    let name = data_type.to_string().to_ascii_lowercase();
    let name = name.split('(').next().unwrap_or_default().trim().trim_end_matches("[]");
    TIMELESS.contains(&name)
}

static TIMELESS: &[&str] = &[
    "bigint",
    "bit",
    "bit varying",
    "bool",
    "boolean",
    "bytea",
    "char",
    "character",
    "character varying",
    "cidr",
    "decimal",
    "double precision",
    "float",
    "float4",
    "float8",
    "inet",
    "int",
    "int2",
    "int4",
    "int8",
    "integer",
    "interval",
    "json",
    "jsonb",
    "numeric",
    "real",
    "smallint",
    "text",
    "tsquery",
    "tsvector",
    "uuid",
    "varchar",
];
