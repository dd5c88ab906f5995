//! A walk over all conditions of a statement, and over its SELECTs.

use sqlparser::ast::{
    Expr, JoinConstraint, JoinOperator, Query, Select, SelectItem, SetExpr, Statement, TableFactor,
    TableWithJoins,
};

/// Calls `of` for each condition that rows have to satisfy: WHERE and ON, those of inner queries too.
pub(super) fn conditions(statement: &mut Statement, of: &mut dyn FnMut(&mut Expr)) {
    match statement {
        Statement::Query(one) => query(one, of),
        Statement::Insert(insert) => insert.source.iter_mut().for_each(|one| query(one, of)),
        Statement::Update(update) => {
            update.selection.iter_mut().for_each(|one| condition(one, of));
        }
        Statement::Delete(delete) => delete.selection.iter_mut().for_each(|one| condition(one, of)),
        _ => {}
    }
}

fn query(one: &mut Query, of: &mut dyn FnMut(&mut Expr)) {
    if let Some(with) = &mut one.with {
        with.cte_tables.iter_mut().for_each(|common| query(&mut common.query, of));
    }
    body(&mut one.body, of);
}

fn body(one: &mut SetExpr, of: &mut dyn FnMut(&mut Expr)) {
    match one {
        SetExpr::Select(one) => select(one, of),
        SetExpr::Query(inner) => query(inner, of),
        SetExpr::SetOperation { left, right, .. } => {
            body(left, of);
            body(right, of);
        }
        SetExpr::Insert(statement) | SetExpr::Update(statement) | SetExpr::Delete(statement) => {
            conditions(statement, of);
        }
        _ => {}
    }
}

fn select(one: &mut Select, of: &mut dyn FnMut(&mut Expr)) {
    one.from.iter_mut().for_each(|from| joined(from, of));
    one.selection.iter_mut().for_each(|selection| condition(selection, of));
    for item in &mut one.projection {
        if let SelectItem::UnnamedExpr(Expr::Subquery(inner))
        | SelectItem::ExprWithAlias { expr: Expr::Subquery(inner), .. } = item
        {
            query(inner, of);
        }
    }
}

fn joined(one: &mut TableWithJoins, of: &mut dyn FnMut(&mut Expr)) {
    factor(&mut one.relation, of);
    for join in &mut one.joins {
        factor(&mut join.relation, of);
        if let JoinOperator::Join(JoinConstraint::On(on))
        | JoinOperator::Inner(JoinConstraint::On(on))
        | JoinOperator::Left(JoinConstraint::On(on))
        | JoinOperator::LeftOuter(JoinConstraint::On(on)) = &mut join.join_operator
        {
            condition(on, of);
        }
    }
}

fn factor(one: &mut TableFactor, of: &mut dyn FnMut(&mut Expr)) {
    match one {
        TableFactor::Derived { subquery, .. } => query(subquery, of),
        TableFactor::NestedJoin { table_with_joins, .. } => joined(table_with_joins, of),
        _ => {}
    }
}

/// A condition, its inner queries first.
fn condition(one: &mut Expr, of: &mut dyn FnMut(&mut Expr)) {
    inner(one, of);
    of(one);
}

fn inner(one: &mut Expr, of: &mut dyn FnMut(&mut Expr)) {
    match one {
        Expr::BinaryOp { left, right, .. } => {
            inner(left, of);
            inner(right, of);
        }
        Expr::Nested(inside) | Expr::UnaryOp { expr: inside, .. } => inner(inside, of),
        Expr::Exists { subquery, .. } | Expr::InSubquery { subquery, .. } | Expr::Subquery(subquery) => {
            query(subquery, of);
        }
        _ => {}
    }
}

/// Calls `of` for each part of a condition between which and the whole nothing but AND and OR stands.
pub(super) fn parts(one: &mut Expr, of: &mut dyn FnMut(&mut Expr)) {
    use sqlparser::ast::BinaryOperator::{And, Or};
    match one {
        Expr::BinaryOp { left, op: And | Or, right } => {
            parts(left, of);
            parts(right, of);
        }
        Expr::Nested(inside) if matches!(**inside, Expr::BinaryOp { op: And | Or, .. }) => parts(inside, of),
        _ => of(one),
    }
}
