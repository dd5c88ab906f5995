//! Statements, queries and what stands in FROM.

use sqlparser::ast::{
    Assignment, Cte, CteAsMaterialized, Delete, FromTable, Insert, Join, JoinConstraint, JoinOperator, Merge,
    MergeAction, MergeUpdateKind, ObjectName, OnConflictAction, OnInsert, Query, SelectItem, SetExpr,
    Statement, TableAlias, TableFactor, TableObject, TableWithJoins, Update, UpdateTableFromKind,
};

use super::condition::Allowed;
use super::reader::{Outputs, Reader, Source};
use super::term::Term;

impl Reader<'_> {
    /// A statement; `own` is the outermost.
    pub fn statement(&mut self, statement: &Statement, own: bool) {
        match statement {
            Statement::Query(query) => {
                self.query(query, own);
            }
            Statement::Insert(insert) => self.insert(insert),
            Statement::Update(update) => self.update(update),
            Statement::Delete(delete) => self.delete(delete),
            Statement::Merge(merge) => self.merge(merge),
            _ => self.found.reads_only = false,
        }
    }

    /// A query, and what it gives.
    pub fn query(&mut self, query: &Query, own: bool) -> Outputs {
        let visible = self.expressions.len();
        if let Some(with) = &query.with {
            if with.recursive {
                let names = with.cte_tables.iter().map(|one| one.alias.name.value.clone());
                self.expressions.extend(names.map(|name| (name, Source::Unknown)));
            }
            with.cte_tables.iter().for_each(|one| self.common(one, with.recursive));
        }
        self.found.reads_only &= query.locks.is_empty();
        let outputs = self.body(&query.body, Some(query), own);
        self.expressions.truncate(visible);
        outputs
    }

    fn common(&mut self, one: &Cte, recursive: bool) {
        let outputs = self.query(&one.query, false);
        let outputs = renamed(outputs, &one.alias);
        // Conditions from around do not get into what is made once and kept.
        let fenced = recursive || one.materialized == Some(CteAsMaterialized::Materialized);
        let source = match fenced {
            true => Source::Query(opaque(outputs)),
            false => Source::Query(outputs),
        };
        self.expressions.push((one.alias.name.value.clone(), source));
    }

    fn body(&mut self, body: &SetExpr, tail: Option<&Query>, own: bool) -> Outputs {
        match body {
            SetExpr::Select(select) => self.select(select, tail, own),
            SetExpr::Query(query) => self.query(query, own),
            SetExpr::SetOperation { left, right, .. } => {
                let outputs = self.body(left, None, false);
                self.body(right, None, false);
                opaque(outputs)
            }
            SetExpr::Values(values) => {
                values.rows.iter().for_each(|row| {
                    self.read_for_columns(&row.content);
                });
                vec![]
            }
            SetExpr::Insert(statement)
            | SetExpr::Update(statement)
            | SetExpr::Delete(statement)
            | SetExpr::Merge(statement) => {
                self.statement(statement, false);
                vec![]
            }
            SetExpr::Table(_) => vec![],
        }
    }

    fn insert(&mut self, insert: &Insert) {
        self.found.reads_only = false;
        if let Some(source) = &insert.source {
            self.query(source, false);
        }
        if let TableObject::TableName(name) = &insert.table
            && let Some(table) = self.named(name)
        {
            let mut columns = vec![];
            if let Some(OnInsert::OnConflict(conflict)) = &insert.on
                && let OnConflictAction::DoUpdate(update) = &conflict.action
            {
                columns = assigned(&update.assignments);
            }
            self.found.writes.push((table, columns));
        }
    }

    fn update(&mut self, update: &Update) {
        self.found.reads_only = false;
        self.open();
        let target = self.factor(&update.table.relation);
        if let Some(UpdateTableFromKind::AfterSet(from)) = &update.from {
            from.iter().for_each(|one| self.joined(one));
        }
        self.changes(&target, assigned(&update.assignments));
        self.read_for_columns(update.assignments.iter().map(|one| &one.value));
        if let Some(condition) = &update.selection {
            self.conditions(condition, &Allowed::All);
        }
        self.returning(update.returning.as_deref());
        self.close();
    }

    fn delete(&mut self, delete: &Delete) {
        self.found.reads_only = false;
        self.open();
        let (FromTable::WithFromKeyword(from) | FromTable::WithoutKeyword(from)) = &delete.from;
        let targets: Vec<usize> = from.iter().flat_map(|one| self.factor(&one.relation)).collect();
        delete.using.iter().flatten().for_each(|one| self.joined(one));
        self.changes(&targets, vec![]);
        if let Some(condition) = &delete.selection {
            self.conditions(condition, &Allowed::All);
        }
        self.returning(delete.returning.as_deref());
        self.close();
    }

    fn merge(&mut self, merge: &Merge) {
        self.found.reads_only = false;
        self.open();
        let target = self.factor(&merge.table);
        self.factor(&merge.source);
        let updates = merge.clauses.iter().filter_map(|clause| match &clause.action {
            MergeAction::Update(update) => match &update.kind {
                MergeUpdateKind::Set(assignments) => Some(assigned(assignments)),
                MergeUpdateKind::Wildcard => None,
            },
            _ => None,
        });
        self.changes(&target, updates.flatten().collect());
        self.conditions(&merge.on, &Allowed::Only(target));
        self.close();
    }

    fn changes(&mut self, targets: &[usize], columns: Vec<String>) {
        for target in targets {
            if let Some(scan) = self.scan_mut(*target) {
                scan.changed = true;
                let table = scan.table;
                self.found.writes.push((table, columns.clone()));
            }
        }
    }

    fn returning(&mut self, items: Option<&[SelectItem]>) {
        for item in items.into_iter().flatten() {
            if let SelectItem::UnnamedExpr(one) | SelectItem::ExprWithAlias { expr: one, .. } = item {
                self.read(one);
            }
        }
    }

    /// A part of FROM with its joins.
    pub fn joined(&mut self, one: &TableWithJoins) {
        let mut left = self.factor(&one.relation);
        for join in &one.joins {
            let right = self.factor(&join.relation);
            self.join(join, &left, &right);
            left.extend(right);
        }
    }

    fn join(&mut self, join: &Join, left: &[usize], right: &[usize]) {
        let both = || left.iter().chain(right).copied().collect();
        let (constraint, allowed) = match &join.join_operator {
            JoinOperator::Join(constraint) | JoinOperator::Inner(constraint) => {
                (constraint, Allowed::Only(both()))
            }
            // A condition on the side that is kept whole does not keep its rows away.
            JoinOperator::Left(constraint) | JoinOperator::LeftOuter(constraint) => {
                (constraint, Allowed::Only(right.to_vec()))
            }
            JoinOperator::Right(constraint) | JoinOperator::RightOuter(constraint) => {
                (constraint, Allowed::Only(left.to_vec()))
            }
            JoinOperator::FullOuter(constraint) => (constraint, Allowed::Only(vec![])),
            _ => return,
        };
        match constraint {
            JoinConstraint::On(condition) => self.conditions(condition, &allowed),
            JoinConstraint::Using(names) => names.iter().for_each(|name| {
                let name = name.0.last().and_then(|part| part.as_ident()).map(|name| name.value.clone());
                if let Some(name) = name {
                    self.using(&name, left, right, &allowed);
                }
            }),
            JoinConstraint::Natural | JoinConstraint::None => {}
        }
    }

    fn using(&mut self, name: &str, left: &[usize], right: &[usize], allowed: &Allowed) {
        let mut side = |relations: &[usize]| {
            let terms = relations.iter().map(|relation| self.column_of(*relation, name));
            terms.collect::<Vec<_>>().into_iter().find(|term| !matches!(term, Term::Other(_)))
        };
        if let (Some(one), Some(other)) = (side(left), side(right)) {
            self.compared("=", one, other, allowed);
        }
    }

    /// What stands in FROM; the relations that it adds.
    fn factor(&mut self, factor: &TableFactor) -> Vec<usize> {
        let first = self.relations.len();
        match factor {
            TableFactor::Table { name, alias, args, .. } => {
                let own = name.0.last().and_then(|part| part.as_ident()).map(|one| one.value.clone());
                let own = own.unwrap_or_default();
                let source = if args.is_some() { Source::Unknown } else { self.source(name, alias.as_ref()) };
                let called = alias.as_ref().map_or(own, |alias| alias.name.value.clone());
                return vec![self.add(&called, source)];
            }
            TableFactor::Derived { subquery, alias, .. } => {
                let aggregated = self.aggregated;
                let outputs = self.query(subquery, false);
                self.aggregated = aggregated;
                let Some(alias) = alias else { return vec![] };
                return vec![self.add(&alias.name.value, Source::Query(renamed(outputs, alias)))];
            }
            TableFactor::NestedJoin { table_with_joins, .. } => self.joined(table_with_joins),
            TableFactor::Function { alias, .. } | TableFactor::UNNEST { alias, .. } => {
                let alias = alias.as_ref().map(|alias| alias.name.value.clone()).unwrap_or_default();
                self.add(&alias, Source::Unknown);
            }
            _ => {}
        }
        let last = self.levels.last().map(Vec::as_slice).unwrap_or_default();
        last.iter().copied().filter(|relation| *relation >= first).collect()
    }

    /// What the name of a relation means.
    fn source(&self, name: &ObjectName, alias: Option<&TableAlias>) -> Source {
        let own = name.0.last().and_then(|part| part.as_ident());
        if let ([_], Some(own)) = (name.0.as_slice(), own)
            && let Some((_, source)) = self.expressions.iter().rev().find(|(known, _)| *known == own.value)
        {
            return match (source, alias) {
                (Source::Query(outputs), Some(alias)) => Source::Query(renamed(outputs.clone(), alias)),
                _ => source.clone(),
            };
        }
        match alias {
            Some(alias) if !alias.columns.is_empty() => Source::Unknown,
            _ => self.named(name).map_or(Source::Unknown, Source::Table),
        }
    }

    fn named(&self, name: &ObjectName) -> Option<u32> {
        let parts: Vec<&str> =
            name.0.iter().filter_map(|part| part.as_ident()).map(|part| part.value.as_str()).collect();
        let found = match parts.as_slice() {
            [name] => self.schema.named(None, name),
            [.., schema, name] => self.schema.named(Some(schema), name),
            [] => None,
        };
        found.map(|table| table.oid)
    }
}

/// The columns that are set.
fn assigned(assignments: &[Assignment]) -> Vec<String> {
    use sqlparser::ast::AssignmentTarget::{ColumnName, Tuple};
    let names = assignments.iter().flat_map(|one| match &one.target {
        ColumnName(name) => vec![name],
        Tuple(names) => names.iter().collect(),
    });
    names.filter_map(|name| Some(name.0.last()?.as_ident()?.value.clone())).collect()
}

/// With the names that an alias gives.
fn renamed(mut outputs: Outputs, alias: &TableAlias) -> Outputs {
    for (output, column) in outputs.iter_mut().zip(&alias.columns) {
        output.0.clone_from(&column.name.value);
    }
    outputs
}

/// Of which nothing is known but their names.
pub(super) fn opaque(outputs: Outputs) -> Outputs {
    outputs.into_iter().map(|(name, _)| (name, Term::Other(vec![]))).collect()
}
