//! One SELECT: its conditions, and what stands behind them.

use sqlparser::ast::{
    Distinct, Expr, GroupByExpr, LimitClause, OrderByExpr, OrderByKind, OrderBySort, Query, Select,
    SelectItem, SelectItemQualifiedWildcardKind, Value as Parsed,
};

use super::condition::Allowed;
use super::reader::{Outputs, Reader, WIDEST};
use super::term::Term;
use super::walk::opaque;
use super::{Note, Sort};

/// Aggregates of PostgreSQL's own that are met most.
const AGGREGATES: &[&str] = &[
    "count",
    "sum",
    "avg",
    "min",
    "max",
    "array_agg",
    "string_agg",
    "json_agg",
    "jsonb_agg",
    "json_object_agg",
    "jsonb_object_agg",
    "bool_and",
    "bool_or",
    "every",
    "stddev",
    "variance",
    "percentile_cont",
    "percentile_disc",
    "mode",
];

/// What a SELECT does with the rows that it finds.
struct Tail {
    order: Vec<Sort>,
    limit: Option<Option<f64>>,
    group: Vec<Term>,
    /// Rows are put together, or come from elsewhere than the order says.
    gathers: bool,
}

impl Reader<'_> {
    /// A SELECT, and what it gives; `tail` is the query that it is all of.
    pub fn select(&mut self, select: &Select, tail: Option<&Query>, own: bool) -> Outputs {
        let around = std::mem::take(&mut self.aggregated);
        self.open();
        select.from.iter().for_each(|one| self.joined(one));
        if let Some(condition) = &select.selection {
            self.conditions(condition, &Allowed::All);
        }
        let outputs = self.projection(&select.projection);
        let mut group = self.grouped(select, &outputs);
        if let Some(having) = &select.having {
            self.read(having);
        }
        let distinct = self.distinct(select, &outputs, &mut group);
        let order = tail.map(|query| self.ordered(query, &outputs)).unwrap_or_default();
        let limit = tail.and_then(|query| self.limited(query));
        let gathers = self.aggregated || !group.is_empty() || distinct;
        let locked = tail.is_some_and(|query| !query.locks.is_empty());
        self.notes(select, tail, own, gathers || limit.is_some());
        self.attach(select, Tail { order, limit, group, gathers }, &outputs);
        let level = self.close();
        if locked {
            level.iter().for_each(|relation| self.relations[*relation].all = true);
        }
        self.aggregated = around;
        let simple = !gathers && limit.is_none();
        if simple { outputs } else { opaque(outputs) }
    }

    fn projection(&mut self, items: &[SelectItem]) -> Outputs {
        let mut outputs = vec![];
        for item in items {
            outputs.truncate(WIDEST);
            match item {
                SelectItem::UnnamedExpr(one) => {
                    let term = self.read(one);
                    outputs.push((named(one).unwrap_or_default(), term));
                }
                SelectItem::ExprWithAlias { expr, alias } => {
                    let term = self.read(expr);
                    outputs.push((alias.value.clone(), term));
                }
                SelectItem::Wildcard(_) => {
                    for relation in self.levels.last().cloned().unwrap_or_default() {
                        outputs.extend(self.star_of(relation));
                        outputs.truncate(WIDEST);
                    }
                }
                SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
                    let name = name.0.last().and_then(|part| part.as_ident());
                    if let Some(relation) = name.and_then(|name| self.relation_named(&name.value)) {
                        outputs.extend(self.star_of(relation));
                    }
                }
                _ => {}
            }
        }
        outputs.truncate(WIDEST);
        outputs
    }

    fn grouped(&mut self, select: &Select, outputs: &Outputs) -> Vec<Term> {
        match &select.group_by {
            GroupByExpr::Expressions(keys, _) => {
                keys.iter().map(|key| self.key(key, outputs, false)).collect()
            }
            GroupByExpr::All(_) => vec![],
        }
    }

    /// Whether rows are put together by DISTINCT; by what goes to `group`.
    fn distinct(&mut self, select: &Select, outputs: &Outputs, group: &mut Vec<Term>) -> bool {
        match &select.distinct {
            Some(Distinct::On(keys)) => {
                let keys = keys.iter().map(|key| self.key(key, outputs, true));
                *group = keys.collect();
                true
            }
            Some(Distinct::Distinct) => {
                if group.is_empty() {
                    *group = outputs.iter().map(|(_, term)| term.clone()).collect();
                }
                true
            }
            _ => false,
        }
    }

    fn ordered(&mut self, query: &Query, outputs: &Outputs) -> Vec<Sort> {
        let Some(OrderByKind::Expressions(keys)) = query.order_by.as_ref().map(|order| &order.kind) else {
            return vec![];
        };
        keys.iter().map(|key| self.sort(key, outputs)).collect()
    }

    fn sort(&mut self, key: &OrderByExpr, outputs: &Outputs) -> Sort {
        let what = self.key(&key.expr, outputs, true).bare();
        let descending = matches!(key.options.sort, Some(OrderBySort::Desc));
        // By default NULLs are larger than anything.
        Sort { what, descending, nulls_first: key.options.nulls_first.unwrap_or(descending) }
    }

    /// What a key of ORDER BY or GROUP BY means: a number is a place in the list; a name is first one that the list gives, in ORDER BY.
    fn key(&mut self, key: &Expr, outputs: &Outputs, output_first: bool) -> Term {
        if let Expr::Value(value) = key
            && let Parsed::Number(text, _) = &value.value
        {
            let place = text.parse::<usize>().ok().and_then(|place| place.checked_sub(1));
            return place
                .and_then(|place| outputs.get(place))
                .map_or(Term::Other(vec![]), |one| one.1.clone());
        }
        if let (true, Expr::Identifier(name)) = (output_first, key)
            && let Some((_, term)) = outputs.iter().find(|(known, _)| *known == name.value)
        {
            return term.clone();
        }
        match self.read(key) {
            Term::Other(columns) if columns.is_empty() => {
                let found = named(key).and_then(|name| outputs.iter().find(|(known, _)| *known == name));
                found.map_or(Term::Other(columns), |(_, term)| term.clone())
            }
            term => term,
        }
    }

    fn limited(&mut self, query: &Query) -> Option<Option<f64>> {
        let limit = match (&query.limit_clause, &query.fetch) {
            (Some(LimitClause::LimitOffset { limit, .. }), _) if limit.is_some() => limit.as_ref()?,
            (_, Some(fetch)) => match &fetch.quantity {
                Some(quantity) => quantity,
                None => return Some(Some(1.0)),
            },
            _ => return None,
        };
        match self.read(limit) {
            Term::Constant(constant) if constant.value == super::Value::Null => None,
            Term::Constant(constant) => Some(constant.as_text().and_then(|text| text.parse().ok())),
            _ => Some(None),
        }
    }

    fn notes(&mut self, select: &Select, tail: Option<&Query>, own: bool, bounded: bool) {
        let level = self.levels.last().cloned().unwrap_or_default();
        let order = tail.and_then(|query| query.order_by.as_ref()).map(|order| &order.kind);
        if let Some(OrderByKind::Expressions(keys)) = order
            && keys.iter().any(|key| is_call(&key.expr, "random"))
        {
            self.found.notes.push(Note::RandomOrder(level.clone()));
        }
        let offset = tail.and_then(|query| query.limit_clause.as_ref());
        if let Some(LimitClause::LimitOffset { offset: Some(offset), .. }) = offset {
            let value = match self.read(&offset.value) {
                Term::Constant(constant) => constant.as_text().and_then(|text| text.parse().ok()),
                _ => None,
            };
            self.found.notes.push(Note::Offset(value));
        }
        let only = match level.as_slice() {
            [only] if self.table(*only).is_some() => Some(*only),
            _ => None,
        };
        let bare = select.selection.is_none() && select.having.is_none();
        let counts = matches!(select.projection.as_slice(),
            [SelectItem::UnnamedExpr(one) | SelectItem::ExprWithAlias { expr: one, .. }] if is_call(one, "count"));
        let ungrouped = matches!(&select.group_by, GroupByExpr::Expressions(keys, _) if keys.is_empty());
        if let (Some(only), true) = (only, bare && counts && ungrouped) {
            self.found.notes.push(Note::CountAll(only));
        }
        if own && select.projection.iter().any(|item| matches!(item, SelectItem::Wildcard(_))) {
            self.found.notes.push(Note::Star);
        }
        if own && !bounded {
            self.found.notes.push(Note::Unlimited);
        }
    }

    /// What stands behind the conditions goes to the relation that can give it.
    fn attach(&mut self, select: &Select, tail: Tail, outputs: &Outputs) {
        let level = self.levels.last().cloned().unwrap_or_default();
        let only = |term: &Term, relation: usize| term.relations().into_iter().eq([relation]);
        let extreme = self.extreme(select, outputs, &tail);
        for relation in level {
            let Some(scan) = self.scan_mut(relation) else { continue };
            if !tail.group.is_empty() && tail.group.iter().all(|one| only(one, relation)) {
                scan.group = tail.group.iter().map(Term::bare).collect();
            }
            let sorts = !tail.order.is_empty() && tail.order.iter().all(|one| only(&one.what, relation));
            if sorts && (!tail.gathers || matches!(select.distinct, Some(Distinct::On(_)))) {
                scan.order.clone_from(&tail.order);
            }
            if !tail.gathers {
                scan.limit = tail.limit;
            }
            if let Some(sort) = extreme.as_ref().filter(|one| only(&one.what, relation)) {
                scan.order = vec![sort.clone()];
                scan.limit = Some(Some(1.0));
            }
        }
    }

    /// `SELECT max(column)` alone is the first row by it.
    fn extreme(&self, select: &Select, outputs: &Outputs, tail: &Tail) -> Option<Sort> {
        let [(_, Term::Call { name, arguments, .. })] = outputs.as_slice() else { return None };
        let descending = match name.as_str() {
            "max" => true,
            "min" => false,
            _ => return None,
        };
        let [what] = arguments.as_slice() else { return None };
        let alone = tail.group.is_empty() && select.having.is_none() && what.as_column().is_some();
        // The planner asks for the first that is not NULL, from either end.
        alone.then(|| Sort { what: what.bare(), descending, nulls_first: descending })
    }

    /// Notes the name of what is called.
    pub fn note_call(&mut self, name: &str) {
        self.aggregated |= AGGREGATES.contains(&name);
        self.found.calls.insert(name.to_owned());
    }
}

/// The name that an expression gives to what it is.
fn named(expression: &Expr) -> Option<String> {
    match expression {
        Expr::Identifier(name) => Some(name.value.clone()),
        Expr::CompoundIdentifier(parts) => parts.last().map(|name| name.value.clone()),
        Expr::Nested(inner) => named(inner),
        Expr::Cast { expr, .. } => named(expr),
        Expr::Function(function) => Some(function.name.0.last()?.as_ident()?.value.clone()),
        _ => None,
    }
}

fn is_call(expression: &Expr, name: &str) -> bool {
    matches!(expression, Expr::Function(function)
        if function.over.is_none() && function.filter.is_none() && named(expression).as_deref() == Some(name))
}
