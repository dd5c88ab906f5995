//! Whole statements in another form.

use std::collections::BTreeSet;

use sqlparser::ast::{
    BinaryOperator, DataType, Expr, GroupByExpr, Ident, LimitClause, OrderByKind, OrderBySort, Query, Select,
    SelectItem, SetExpr, SetOperator, SetQuantifier, Statement, TableFactor, UnaryOperator, Value,
};

use super::sargable::{as_type, column_name, compare, unnested};
use super::visit;
use crate::advice::Schema;
use crate::advice::scan::Found;

/// The branches of an OR over several tables as queries of their own: a row is in the first whose branch holds, so that none comes twice.
pub fn union_all(statement: &Statement) -> Option<Statement> {
    let Statement::Query(query) = statement else { return None };
    let select = plain_select(query)?;
    let by_name = match query.order_by.as_ref().map(|order| &order.kind) {
        None => query.limit_clause.is_none(),
        Some(OrderByKind::Expressions(keys)) => {
            keys.iter().all(|key| matches!(key.expr, Expr::Identifier(_)))
        }
        Some(OrderByKind::All(_)) => false,
    };
    let calls = select.projection.iter().any(|item| match item {
        SelectItem::UnnamedExpr(one) | SelectItem::ExprWithAlias { expr: one, .. } => {
            one.to_string().contains('(')
        }
        _ => false,
    });
    if !by_name || calls || query.with.is_some() || !query.locks.is_empty() {
        return None;
    }
    let mut conjuncts = vec![];
    split(select.selection.as_ref()?, &BinaryOperator::And, &mut conjuncts);
    let at = conjuncts.iter().position(|one| crosses(one))?;
    let mut branches = vec![];
    split(conjuncts[at], &BinaryOperator::Or, &mut branches);
    let rest: Vec<Expr> = conjuncts
        .iter()
        .enumerate()
        .filter(|(other, _)| *other != at)
        .map(|(_, one)| (*one).clone())
        .collect();
    let mut whole: Option<SetExpr> = None;
    for (number, branch) in branches.iter().enumerate() {
        let mut all = rest.clone();
        all.push((*branch).clone());
        all.extend(
            branches[..number].iter().map(|before| Expr::IsNotTrue(Box::new(nested((*before).clone())))),
        );
        let mut one = select.clone();
        one.selection = all.into_iter().map(nested_or).reduce(and);
        let one = SetExpr::Select(Box::new(one));
        whole = Some(match whole {
            None => one,
            Some(left) => SetExpr::SetOperation {
                op: SetOperator::Union,
                set_quantifier: SetQuantifier::All,
                left: Box::new(left),
                right: Box::new(one),
            },
        });
    }
    let mut query = query.clone();
    *query.body = whole?;
    Some(Statement::Query(query))
}

/// An OR whose branches have different relations before their columns.
fn crosses(one: &Expr) -> bool {
    let mut branches = vec![];
    split(one, &BinaryOperator::Or, &mut branches);
    let relation = |branch: &&Expr| match unnested(branch) {
        Expr::BinaryOp { left, right, .. } => qualifier(left).or_else(|| qualifier(right)),
        Expr::Like { expr, .. } | Expr::ILike { expr, .. } | Expr::InList { expr, .. } => qualifier(expr),
        Expr::Between { expr, .. } | Expr::IsNull(expr) | Expr::IsNotNull(expr) => qualifier(expr),
        _ => None,
    };
    let relations: Option<BTreeSet<String>> = branches.iter().map(relation).collect();
    branches.len() > 1 && relations.is_some_and(|all| all.len() > 1)
}

fn qualifier(of: &Expr) -> Option<String> {
    match unnested(of) {
        Expr::CompoundIdentifier(parts) => parts.len().checked_sub(2).map(|at| parts[at].value.clone()),
        _ => None,
    }
}

fn split<'e>(one: &'e Expr, by: &BinaryOperator, all: &mut Vec<&'e Expr>) {
    match one {
        Expr::BinaryOp { left, op, right } if op == by => {
            split(left, by, all);
            split(right, by, all);
        }
        Expr::Nested(inner) if matches!(unnested(inner), Expr::BinaryOp { op, .. } if op == by) => {
            split(inner, by, all)
        }
        _ => all.push(one),
    }
}

fn and(left: Expr, right: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(left), op: BinaryOperator::And, right: Box::new(right) }
}

fn nested(one: Expr) -> Expr {
    match one {
        Expr::Nested(_) | Expr::Value(_) | Expr::Identifier(_) | Expr::CompoundIdentifier(_) => one,
        other => Expr::Nested(Box::new(other)),
    }
}

fn nested_or(one: Expr) -> Expr {
    match one {
        Expr::BinaryOp { op: BinaryOperator::Or, .. } => nested(one),
        other => other,
    }
}

/// A SELECT whose rows are those of its FROM and WHERE.
fn plain_select(query: &Query) -> Option<&Select> {
    let SetExpr::Select(select) = &*query.body else { return None };
    let grouped = !matches!(&select.group_by, GroupByExpr::Expressions(keys, _) if keys.is_empty());
    let plain = !grouped && select.distinct.is_none() && select.having.is_none() && select.into.is_none();
    plain.then_some(select)
}

/// `x NOT IN (SELECT y ...)` as NOT EXISTS. The same rows where neither x nor y is NULL.
pub fn not_exists(statement: &mut Statement) -> Option<()> {
    let (outer, selection) = match statement {
        Statement::Query(query) => {
            let SetExpr::Select(select) = &mut *query.body else { return None };
            let [from] = select.from.as_slice() else { return None };
            let outer = from.joins.is_empty().then(|| alias(&from.relation)).flatten();
            (outer, select.selection.as_mut()?)
        }
        Statement::Delete(delete) => (None, delete.selection.as_mut()?),
        _ => return None,
    };
    let mut done = false;
    visit::parts(selection, &mut |part| {
        if let Some(after) = without_in(part, outer.as_deref()) {
            *part = after;
            done = true;
        }
    });
    done.then_some(())
}

fn without_in(part: &Expr, outer: Option<&str>) -> Option<Expr> {
    let (what, query) = match part {
        Expr::InSubquery { expr, subquery, negated: true } => (expr, subquery),
        Expr::UnaryOp { op: UnaryOperator::Not, expr } => match unnested(expr) {
            Expr::InSubquery { expr, subquery, negated: false } => (expr, subquery),
            _ => return None,
        },
        _ => return None,
    };
    let select = plain_select(query).filter(|_| query.limit_clause.is_none() && query.with.is_none())?;
    let [from] = select.from.as_slice() else { return None };
    let [SelectItem::UnnamedExpr(given)] = select.projection.as_slice() else { return None };
    let inner = alias(&from.relation)?;
    // A bare name would mean another column within.
    let what = qualified(what, outer)?;
    let given = qualified(given, from.joins.is_empty().then_some(inner.as_str()))?;
    if qualifier(&what)? == inner {
        return None;
    }
    let mut one = select.clone();
    one.projection = vec![SelectItem::UnnamedExpr(Expr::Value(Value::Number("1".to_owned(), false).into()))];
    let same = compare(&given, BinaryOperator::Eq, what);
    one.selection = Some(match one.selection.take() {
        Some(before) => and(nested_or(before), same),
        None => same,
    });
    let mut query = query.clone();
    *query.body = SetExpr::Select(Box::new(one));
    Some(Expr::Exists { subquery: query, negated: true })
}

fn qualified(of: &Expr, relation: Option<&str>) -> Option<Expr> {
    match unnested(of) {
        Expr::CompoundIdentifier(_) => Some(unnested(of).clone()),
        Expr::Identifier(name) => Some(Expr::CompoundIdentifier(vec![Ident::new(relation?), name.clone()])),
        _ => None,
    }
}

fn alias(factor: &TableFactor) -> Option<String> {
    let TableFactor::Table { name, alias, .. } = factor else { return None };
    match alias {
        Some(alias) => Some(alias.name.value.clone()),
        None => Some(name.0.last()?.as_ident()?.value.clone()),
    }
}

/// The next page by where the last one ended instead of by an OFFSET.
pub fn keyset(statement: &Statement, found: &Found, schema: &Schema) -> Option<Statement> {
    let Statement::Query(query) = statement else { return None };
    let [scan] = found.scans.as_slice() else { return None };
    let table = schema.table(scan.table)?;
    plain_select(query)?;
    let mut query = query.clone();
    let OrderByKind::Expressions(keys) = &mut query.order_by.as_mut()?.kind else { return None };
    let plain = |expr: &Expr| {
        column_name(expr).and_then(|name| table.column(&name).map(|column| (name, column.not_null)))
    };
    let mut columns = vec![];
    let descending = matches!(keys.first()?.options.sort, Some(OrderBySort::Desc));
    for key in keys.iter() {
        let (name, not_null) = plain(&key.expr)?;
        let same = matches!(key.options.sort, Some(OrderBySort::Desc)) == descending;
        if !same || key.options.nulls_first.is_some() || !(not_null || is_primary(table, &name)) {
            return None;
        }
        columns.push(key.expr.clone());
    }
    // Rows that are equal to the last one are told apart by the primary key.
    let primary = table.indexes.iter().find(|index| index.primary)?;
    for key in &primary.definition.keys {
        let name = key.name()?;
        if !columns.iter().any(|one| column_name(one).as_deref() == Some(name)) {
            let mut last = keys.last()?.clone();
            last.expr = Expr::Identifier(Ident::new(name));
            columns.push(last.expr.clone());
            keys.push(last);
        }
    }
    if let Some(LimitClause::LimitOffset { offset, .. }) = &mut query.limit_clause {
        *offset = None;
    }
    let text = statement.to_string();
    let free = (1..=100).find(|number| !(*number..=100).any(|other| text.contains(&format!("${other}"))))?;
    let places = (0..columns.len()).map(|at| Value::Placeholder(format!("${}", free + at)));
    let last = places.map(|place| Expr::Value(place.into())).collect::<Vec<_>>();
    let op = if descending { BinaryOperator::Lt } else { BinaryOperator::Gt };
    let beyond = match (columns.as_slice(), last.as_slice()) {
        ([column], [last]) => compare(column, op, last.clone()),
        _ => compare(&Expr::Tuple(columns), op, Expr::Tuple(last)),
    };
    let SetExpr::Select(select) = &mut *query.body else { return None };
    select.selection = Some(match select.selection.take() {
        Some(before) => and(nested_or(before), beyond),
        None => beyond,
    });
    Some(Statement::Query(query))
}

fn is_primary(table: &crate::advice::schema::Table, name: &str) -> bool {
    table
        .indexes
        .iter()
        .any(|index| index.primary && index.definition.keys.iter().any(|key| key.name() == Some(name)))
}

/// One statement for all values of the only parameter that a column is compared with: `= ANY ($1)`.
pub fn all_at_once(statement: &mut Statement) -> Option<()> {
    let Statement::Query(query) = &mut *statement else { return None };
    let bounded = query.limit_clause.is_some() || query.fetch.is_some() || !query.locks.is_empty();
    plain_select(query).filter(|_| !bounded)?;
    let SetExpr::Select(select) = &mut *query.body else { return None };
    let mut places = vec![];
    visit::parts(select.selection.as_mut()?, &mut |part| {
        if let Expr::BinaryOp { left, op: BinaryOperator::Eq, right } = part
            && column_name(left).is_some()
            && is_place(right)
        {
            places.push((**left).clone());
            let (left, right) = (left.clone(), right.clone());
            *part = Expr::AnyOp { left, compare_op: BinaryOperator::Eq, right, is_some: false };
        }
    });
    let [column] = places.as_slice() else { return None };
    let name = column_name(column);
    let given = select.projection.iter().any(|item| match item {
        SelectItem::UnnamedExpr(one) => column_name(one) == name,
        SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..) => true,
        _ => false,
    });
    if !given {
        select.projection.push(SelectItem::UnnamedExpr(column.clone()));
    }
    Some(())
}

fn is_place(of: &Expr) -> bool {
    matches!(unnested(of), Expr::Value(value) if matches!(value.value, Value::Placeholder(_)))
}

/// Values beside whole-number columns cast to the columns' types.
pub fn casts_of_values(statement: &mut Statement, columns: &[(String, String)]) -> Option<()> {
    let mut done = false;
    let to = |of: &Expr| {
        let name = column_name(of)?;
        let (_, type_name) = columns.iter().find(|(column, _)| *column == name)?;
        Some(match type_name.as_str() {
            "smallint" => DataType::SmallInt(None),
            "integer" => DataType::Int(None),
            "bigint" => DataType::BigInt(None),
            "character" => {
                DataType::Custom(sqlparser::ast::ObjectName::from(vec![Ident::new("bpchar")]), vec![])
            }
            _ => return None,
        })
    };
    visit::conditions(statement, &mut |condition| {
        visit::parts(condition, &mut |part| {
            let Expr::BinaryOp { left, right, .. } = part else { return };
            let (of_left, of_right) = (to(left), to(right));
            let (type_name, value) = match (of_left, of_right) {
                (Some(to), None) => (to, right),
                (None, Some(to)) => (to, left),
                _ => return,
            };
            if matches!(**value, Expr::Value(_)) {
                **value = as_type((**value).clone(), type_name);
                done = true;
            }
        });
    });
    done.then_some(())
}
