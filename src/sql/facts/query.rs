//! Queries: WITH, set operations, SELECT, and what stands in FROM.

use sqlparser::ast::{
    Distinct, Expr, FunctionArg, GroupByExpr, GroupByWithModifier, Join, JoinConstraint, JoinOperator,
    LimitClause, NamedWindowExpr, ObjectName, OrderByExpr, OrderByKind, Query, Select, SelectFlavor,
    SelectItem, SelectItemQualifiedWildcardKind, SetExpr, TableAlias, TableFactor, TableSample,
    TableSampleKind, TableWithJoins, Value, With,
};

use super::conjunct::Reach;
use super::scope::{is_name, name_of};
use super::walk::{Strange, Walk, Walked};
use super::{Access, Comparison, Name, Operand, Predicate};

impl Walk<'_> {
    /// A query; `own` is the statement itself, so that what it says of its rows is said of the statement.
    pub fn query(&mut self, query: &Query, own: bool) -> Walked {
        let foreign = query.for_clause.is_some() || query.settings.is_some() || query.format_clause.is_some();
        if foreign || !query.pipe_operators.is_empty() {
            return Err(Strange);
        }
        // A condition around the query is not one of its rows.
        let around = (self.condition.take(), std::mem::take(&mut self.grouping));
        let visible = self.expressions.len();
        query.with.iter().try_for_each(|with| self.with(with))?;
        self.body(&query.body, own)?;
        self.tail(query, own)?;
        self.expressions.truncate(visible);
        (self.condition, self.grouping) = around;
        Ok(())
    }

    /// An expression sees those before it, and with RECURSIVE all.
    fn with(&mut self, with: &With) -> Walked {
        let names = || with.cte_tables.iter().map(|one| one.alias.name.value.as_str().into());
        if with.recursive {
            self.expressions.extend(names());
        }
        for (one, name) in with.cte_tables.iter().zip(names()) {
            if one.from.is_some() || !is_name(&one.alias.name) {
                return Err(Strange);
            }
            self.alone(|walk| walk.query(&one.query, false))?;
            if !with.recursive {
                self.expressions.push(name);
            }
        }
        Ok(())
    }

    /// A part that does not see its neighbours in the level it stands in.
    fn alone(&mut self, walk: impl FnOnce(&mut Self) -> Walked) -> Walked {
        let hidden = std::mem::replace(&mut self.scopes.last().hidden, true);
        walk(self)?;
        self.scopes.last().hidden = hidden;
        Ok(())
    }

    fn body(&mut self, body: &SetExpr, own: bool) -> Walked {
        match body {
            SetExpr::Select(select) => self.select(select, own),
            SetExpr::Query(query) => self.query(query, own),
            SetExpr::SetOperation { left, right, .. } => {
                self.body(left, false)?;
                self.body(right, false)
            }
            SetExpr::Values(values) if !values.explicit_row => {
                values.rows.iter().try_for_each(|row| self.expressions(&row.content))
            }
            SetExpr::Insert(statement)
            | SetExpr::Update(statement)
            | SetExpr::Delete(statement)
            | SetExpr::Merge(statement) => self.statement(statement, own),
            SetExpr::Table(table) => {
                let name = table.table_name.as_deref().filter(|name| !name.is_empty()).ok_or(Strange)?;
                let schema = table.schema_name.as_deref().map(Into::into);
                let name = Name { schema, name: name.into() };
                let is_table = self.read(name.clone());
                self.scopes.open();
                self.scopes.last().add(&name.name.clone(), None, is_table.then_some(name), true);
                self.end_level();
                Ok(())
            }
            SetExpr::Values(_) => Err(Strange),
        }
    }

    /// What stands behind the body.
    fn tail(&mut self, query: &Query, own: bool) -> Walked {
        if let Some(order) = &query.order_by {
            let OrderByKind::Expressions(keys) = &order.kind else { return Err(Strange) };
            self.facts.ordered |= own;
            self.order_by(keys)?;
        }
        match &query.limit_clause {
            Some(LimitClause::LimitOffset { limit, offset, limit_by }) if limit_by.is_empty() => {
                self.facts.limited |= own && limit.as_ref().is_some_and(|limit| !is_null(limit));
                limit.iter().try_for_each(|limit| self.expression(limit))?;
                offset.iter().try_for_each(|offset| self.expression(&offset.value))?;
            }
            Some(_) => return Err(Strange),
            None => {}
        }
        if let Some(fetch) = &query.fetch {
            if fetch.percent {
                return Err(Strange);
            }
            self.facts.limited |= own && !fetch.quantity.as_ref().is_some_and(is_null);
            fetch.quantity.iter().try_for_each(|quantity| self.expression(quantity))?;
        }
        self.facts.locks |= !query.locks.is_empty();
        Ok(())
    }

    pub fn order_by(&mut self, keys: &[OrderByExpr]) -> Walked {
        keys.iter().try_for_each(|key| match key.with_fill {
            Some(_) => Err(Strange),
            None => self.expression(&key.expr),
        })
    }

    fn select(&mut self, select: &Select, own: bool) -> Walked {
        if is_foreign(select) {
            return Err(Strange);
        }
        self.scopes.open();
        self.from(&select.from, own)?;
        if let Some(into) = &select.into {
            let [target] = into.targets.as_slice() else { return Err(Strange) };
            self.note_table(named(target)?, Access::Write);
        }
        match &select.distinct {
            Some(Distinct::On(keys)) => self.expressions(keys)?,
            Some(Distinct::Distinct | Distinct::All) | None => {}
        }
        self.projection(&select.projection)?;
        self.filter(select.selection.as_ref(), own)?;
        self.group_by(&select.group_by)?;
        // Of groups, not of rows.
        select.having.iter().try_for_each(|condition| self.condition(condition, false))?;
        for window in &select.named_window {
            match &window.1 {
                NamedWindowExpr::WindowSpec(window) => self.window(window)?,
                NamedWindowExpr::NamedWindow(_) => return Err(Strange),
            }
        }
        self.close_scope();
        Ok(())
    }

    fn group_by(&mut self, group_by: &GroupByExpr) -> Walked {
        let GroupByExpr::Expressions(keys, modifiers) = group_by else { return Err(Strange) };
        let around = std::mem::replace(&mut self.grouping, true);
        self.expressions(keys)?;
        modifiers.iter().try_for_each(|modifier| match modifier {
            GroupByWithModifier::GroupingSets(sets) => self.expression(sets),
            _ => Err(Strange),
        })?;
        self.grouping = around;
        Ok(())
    }

    /// The results of a query or of RETURNING.
    pub fn projection(&mut self, items: &[SelectItem]) -> Walked {
        items.iter().try_for_each(|item| match item {
            SelectItem::UnnamedExpr(expression) | SelectItem::ExprWithAlias { expr: expression, .. } => {
                self.expression(expression)
            }
            SelectItem::Wildcard(options) if is_plain(options) => Ok(()),
            SelectItem::QualifiedWildcard(kind, options) if is_plain(options) => match kind {
                SelectItemQualifiedWildcardKind::ObjectName(_) => Ok(()),
                SelectItemQualifiedWildcardKind::Expr(expression) => self.expression(expression),
            },
            _ => Err(Strange),
        })
    }

    /// Relations of the innermost level. Conditions of inner joins hold for every row, if `own` says so of the level.
    pub fn from(&mut self, from: &[TableWithJoins], own: bool) -> Walked {
        from.iter().try_for_each(|item| self.joined(item, own))
    }

    fn joined(&mut self, item: &TableWithJoins, own: bool) -> Walked {
        use JoinOperator::{CrossJoin, FullOuter, Inner, Join as Plain, Left, LeftOuter, Right, RightOuter};
        let first = self.scopes.last().relations.len();
        // What is joined from the other side lets rows pass that no condition before it holds for.
        let later = |join: &Join| matches!(join.join_operator, Right(_) | RightOuter(_) | FullOuter(_));
        let holds = |from: usize| own && !item.joins[from..].iter().any(later);
        self.factor(&item.relation, holds(0))?;
        for (at, join) in item.joins.iter().enumerate() {
            if join.global {
                return Err(Strange);
            }
            let (constraint, inner) = match &join.join_operator {
                Plain(constraint) | Inner(constraint) | CrossJoin(constraint) => (constraint, true),
                Left(constraint) | LeftOuter(constraint) | Right(constraint) => (constraint, false),
                RightOuter(constraint) | FullOuter(constraint) => (constraint, false),
                _ => return Err(Strange),
            };
            let second = self.scopes.last().relations.len();
            self.factor(&join.relation, inner && holds(at))?;
            // Of which side a row that does not satisfy the condition is of no consequence.
            let end = self.scopes.last().relations.len();
            let of = match &join.join_operator {
                Left(_) | LeftOuter(_) => second..end,
                Right(_) | RightOuter(_) => first..second,
                FullOuter(_) => first..first,
                _ => first..end,
            };
            let of = Reach { of, sees: first..end };
            match constraint {
                JoinConstraint::On(condition) => self.conjuncts(condition, of),
                JoinConstraint::Using(columns) => self.equal_by_using(columns, second, of),
                JoinConstraint::Natural | JoinConstraint::None => {}
            }
            self.join(constraint, first, second, inner && holds(at))?;
        }
        Ok(())
    }

    fn join(&mut self, constraint: &JoinConstraint, first: usize, second: usize, holds: bool) -> Walked {
        match constraint {
            JoinConstraint::On(condition) => self.condition(condition, holds),
            JoinConstraint::Using(columns) => {
                self.join_sides(first, second);
                columns.iter().try_for_each(|column| self.using(column, first, second, holds))
            }
            JoinConstraint::Natural => {
                self.join_sides(first, second);
                Ok(())
            }
            JoinConstraint::None => Ok(()),
        }
    }

    /// Everything on the right with what is on the left: which of them have the columns, only a catalog knows.
    fn join_sides(&mut self, first: usize, second: usize) {
        let scope = self.scopes.last();
        (second..scope.relations.len()).for_each(|right| scope.join(first, right));
    }

    /// The same column on both sides; whose it is, is clear where a side has one relation.
    fn using(&mut self, column: &ObjectName, first: usize, second: usize, required: bool) -> Walked {
        let column = name_of(column).filter(|name| name.schema.is_none()).ok_or(Strange)?.name;
        let relations = &self.scopes.last().relations;
        let only = |from: usize, to: usize| (to - from == 1).then(|| relations[from].table.clone()).flatten();
        let (left, right) = (only(first, second), only(second, relations.len()));
        for (table, other) in [(left.clone(), right.clone()), (right, left)] {
            let operand = Operand::Column(other, column.clone());
            let column = column.clone();
            self.note_predicate(Predicate {
                table,
                column,
                comparison: Comparison::Equal,
                operand,
                required,
            });
        }
        Ok(())
    }

    /// One item of FROM.
    pub fn factor(&mut self, factor: &TableFactor, holds: bool) -> Walked {
        match factor {
            TableFactor::Table { name, args: Some(args), alias, sample: None, .. }
                if args.settings.is_none() =>
            {
                self.table_function(name, &args.args, alias.as_ref())
            }
            TableFactor::Function { name, args, alias, .. } => {
                self.table_function(name, args, alias.as_ref())
            }
            TableFactor::Table { name, alias, args: None, with_hints, version: None, .. }
                if with_hints.is_empty() && is_plain_table(factor) =>
            {
                self.named_relation(name, alias.as_ref())?;
                self.sample(factor)
            }
            TableFactor::Derived { lateral, subquery, alias, sample: None } => {
                match lateral {
                    true => self.query(subquery, false)?,
                    false => self.alone(|walk| walk.query(subquery, false))?,
                }
                self.relation(alias.as_ref(), "", None, !lateral)
            }
            TableFactor::UNNEST { alias, array_exprs, with_offset: false, .. } => {
                self.note_function(Name { schema: None, name: "unnest".into() });
                self.expressions(array_exprs)?;
                self.relation(alias.as_ref(), "unnest", None, false)
            }
            TableFactor::NestedJoin { table_with_joins, alias: None } => self.joined(table_with_joins, holds),
            _ => Err(Strange),
        }
    }

    fn table_function(
        &mut self,
        name: &ObjectName,
        args: &[FunctionArg],
        alias: Option<&TableAlias>,
    ) -> Walked {
        self.arguments(args)?;
        self.note_call(name);
        let last = name.0.last().and_then(|part| part.as_ident()).ok_or(Strange)?;
        self.relation(alias, &last.value, None, false)
    }

    fn named_relation(&mut self, name: &ObjectName, alias: Option<&TableAlias>) -> Walked {
        let name = name_of(name).ok_or(Strange)?;
        let is_table = self.read(name.clone());
        self.relation(alias, &name.name.clone(), is_table.then_some(name), true)
    }

    /// A name in FROM that is read; false if it is that of a common table expression.
    fn read(&mut self, name: Name) -> bool {
        let expression = name.schema.is_none() && self.expressions.contains(&name.name);
        if !expression {
            self.note_table(name, Access::Read);
        }
        !expression
    }

    fn relation(
        &mut self,
        alias: Option<&TableAlias>,
        name: &str,
        table: Option<Name>,
        independent: bool,
    ) -> Walked {
        if alias.is_some_and(|alias| alias.at.is_some() || !is_name(&alias.name)) {
            return Err(Strange);
        }
        let schema = table.as_ref().filter(|_| alias.is_none()).and_then(|table| table.schema.clone());
        let renamed = alias.is_some_and(|alias| !alias.columns.is_empty());
        let alias = alias.map_or(name, |alias| alias.name.value.as_str());
        let at = self.scopes.last().add(alias, schema, table, independent);
        self.scopes.last().relations[at].renamed = renamed;
        Ok(())
    }

    /// TABLESAMPLE.
    fn sample(&mut self, factor: &TableFactor) -> Walked {
        let TableFactor::Table { sample: Some(sample), .. } = factor else { return Ok(()) };
        self.facts.sampled = true;
        let (TableSampleKind::BeforeTableAlias(sample) | TableSampleKind::AfterTableAlias(sample)) = sample;
        let TableSample { name: Some(_), bucket: None, offset: None, quantity: Some(quantity), .. } =
            &**sample
        else {
            return Err(Strange);
        };
        self.expression(&quantity.value)
    }
}

/// A SELECT without WITH or set operations.
pub(super) fn is_select(query: &Query) -> bool {
    query.with.is_none() && matches!(*query.body, SetExpr::Select(_))
}

/// A SELECT of one table in which no row depends on another, as far as this can be seen without its inner levels and calls.
pub(super) fn is_row_by_row(query: &Query) -> bool {
    let SetExpr::Select(select) = &*query.body else { return false };
    let [TableWithJoins { relation: TableFactor::Table { args: None, .. }, joins }] = select.from.as_slice()
    else {
        return false;
    };
    let GroupByExpr::Expressions(keys, modifiers) = &select.group_by else { return false };
    let grouped = !keys.is_empty() || !modifiers.is_empty() || select.having.is_some();
    let skips = match &query.limit_clause {
        Some(LimitClause::LimitOffset { offset, .. }) => offset.is_some(),
        Some(_) => true,
        None => false,
    };
    let distinct_on = matches!(select.distinct, Some(Distinct::On(_)));
    joins.is_empty() && !grouped && !skips && !distinct_on && select.named_window.is_empty()
}

/// No limit at all.
fn is_null(limit: &Expr) -> bool {
    matches!(limit, Expr::Value(value) if value.value == Value::Null)
}

/// What other databases have in a SELECT.
fn is_foreign(select: &Select) -> bool {
    select.top.is_some()
        || select.exclude.is_some()
        || !select.lateral_views.is_empty()
        || select.prewhere.is_some()
        || !select.connect_by.is_empty()
        || !select.cluster_by.is_empty()
        || !select.distribute_by.is_empty()
        || !select.sort_by.is_empty()
        || select.qualify.is_some()
        || select.value_table_mode.is_some()
        || select.select_modifiers.is_some()
        || select.flavor != SelectFlavor::Standard
}

fn is_plain(options: &sqlparser::ast::WildcardAdditionalOptions) -> bool {
    options.opt_ilike.is_none()
        && options.opt_exclude.is_none()
        && options.opt_except.is_none()
        && options.opt_replace.is_none()
        && options.opt_rename.is_none()
        && options.opt_alias.is_none()
}

fn is_plain_table(factor: &TableFactor) -> bool {
    let TableFactor::Table { with_ordinality, partitions, json_path, index_hints, .. } = factor else {
        return false;
    };
    !with_ordinality && partitions.is_empty() && json_path.is_none() && index_hints.is_empty()
}

/// The name in SELECT INTO, which sqlparser takes for an expression.
fn named(target: &Expr) -> Result<Name, Strange> {
    match target {
        Expr::Identifier(name) => name_of(&ObjectName::from(vec![name.clone()])),
        Expr::CompoundIdentifier(parts) => name_of(&ObjectName::from(parts.clone())),
        _ => None,
    }
    .ok_or(Strange)
}
