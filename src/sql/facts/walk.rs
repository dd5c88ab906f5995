//! The walk over the tree of a statement: statements and what they do to their tables.
//!
//! Strict: whatever PostgreSQL does not have, sqlparser has misunderstood, and then nothing is known. So every kind of node that is
//! looked into is named, and all others end the walk.

use std::collections::{BTreeMap, BTreeSet};

use sqlparser::ast::{
    Assignment, AssignmentTarget, CopySource, CreateTable, CreateView, Delete, Expr, FromTable, Insert,
    Merge, MergeAction, MergeInsertKind, MergeUpdateKind, ObjectName, ObjectType, OnConflictAction, OnInsert,
    OutputClause, SelectItem, Statement, TableFactor, TableObject, TableWithJoins, Update,
    UpdateTableFromKind,
};

use super::conjunct::{Reach, assigned, listed};
use super::level::{Change, ChangeKind};
use super::query::{is_row_by_row, is_select};
use super::scope::{Scopes, name_of};
use super::{Access, Class, Facts, Name, Predicate, Table};
use crate::sql::shape::Literal;

/// What was found so far, and where the walk is.
pub(super) struct Walk<'a> {
    pub literals: &'a [Literal],
    pub facts: Facts,
    tables: BTreeMap<Name, Access>,
    functions: BTreeSet<Name>,
    pub scopes: Scopes,
    /// Names of the common table expressions that can be seen.
    pub expressions: Vec<Box<str>>,
    /// In a condition: whether all rows satisfy it.
    pub condition: Option<bool>,
    /// In GROUP BY.
    pub grouping: bool,
    /// A window function is called somewhere.
    pub windows: bool,
}

/// The tree was not understood.
pub(super) struct Strange;

/// What a part of the walk answers.
pub(super) type Walked = Result<(), Strange>;

impl<'a> Walk<'a> {
    pub fn new(class: Class, literals: &'a [Literal]) -> Walk<'a> {
        Walk {
            literals,
            facts: Facts { understood: true, ..Facts::of_class(class) },
            tables: BTreeMap::new(),
            functions: BTreeSet::new(),
            scopes: Scopes::default(),
            expressions: vec![],
            condition: None,
            grouping: false,
            windows: false,
        }
    }

    /// What was found.
    pub fn finish(self) -> Facts {
        let tables = self.tables.into_iter().map(|(name, access)| Table { name, access });
        let one_select = self.facts.one_select && self.facts.levels.len() == 1;
        let row_by_row = self.facts.row_by_row && !self.windows && one_select;
        let (tables, functions) = (tables.collect(), self.functions.into_iter().collect());
        Facts { tables, functions, row_by_row, one_select, ..self.facts }
    }

    /// The statement itself, or one in a common table expression, of which `own` is false.
    pub fn statement(&mut self, statement: &Statement, own: bool) -> Walked {
        match statement {
            Statement::Query(query) => {
                self.facts.one_select = own && is_select(query);
                self.facts.row_by_row = self.facts.one_select && is_row_by_row(query);
                self.query(query, own)
            }
            Statement::Insert(insert) => self.insert(insert),
            Statement::Update(update) => self.update(update, own),
            Statement::Delete(delete) => self.delete(delete, own),
            Statement::Merge(merge) => self.merge(merge),
            _ if own => self.outermost(statement),
            _ => Err(Strange),
        }
    }

    /// Statements that are no part of others, but of EXPLAIN.
    fn outermost(&mut self, statement: &Statement) -> Walked {
        match statement {
            Statement::Explain { statement, query_plan: false, estimate: false, .. } => {
                self.statement(statement, true)
            }
            Statement::Copy { source: CopySource::Query(query), to: true, .. } => self.query(query, true),
            Statement::Copy { source: CopySource::Table { table_name, .. }, to, .. } => {
                self.table(table_name, if *to { Access::Read } else { Access::Write })
            }
            Statement::Truncate(truncate) if truncate.partitions.is_none() => {
                truncate.table_names.iter().try_for_each(|table| self.table(&table.name, Access::Write))
            }
            Statement::CreateTable(create) => self.create_table(create),
            Statement::CreateView(create) => self.create_view(create),
            Statement::Drop {
                object_type: ObjectType::Table | ObjectType::View | ObjectType::MaterializedView,
                names,
                table: None,
                ..
            } => names.iter().try_for_each(|name| self.table(name, Access::Write)),
            Statement::Call(function) => self.call(function),
            // These name nothing.
            Statement::StartTransaction { statements, exception: None, .. } if statements.is_empty() => {
                Ok(())
            }
            Statement::Commit { .. } | Statement::Rollback { .. } => Ok(()),
            Statement::Savepoint { .. } | Statement::ReleaseSavepoint { .. } => Ok(()),
            _ => Err(Strange),
        }
    }

    /// A table by its name; the strongest access remains.
    pub fn table(&mut self, name: &ObjectName, access: Access) -> Walked {
        let name = name_of(name).ok_or(Strange)?;
        self.note_table(name, access);
        Ok(())
    }

    pub fn note_table(&mut self, name: Name, access: Access) {
        let strongest = self.tables.entry(name).or_insert(access);
        *strongest = access.max(*strongest);
    }

    pub fn note_function(&mut self, name: Name) {
        self.functions.insert(name);
    }

    pub fn note_predicate(&mut self, predicate: Predicate) {
        self.facts.predicates.push(predicate);
    }

    fn insert(&mut self, insert: &Insert) -> Walked {
        let TableObject::TableName(name) = &insert.table else { return Err(Strange) };
        let foreign = insert.or.is_some() || insert.ignore || insert.overwrite || insert.replace_into;
        let foreign = foreign || insert.partitioned.is_some() || insert.has_table_keyword;
        let foreign = foreign || !insert.assignments.is_empty() || insert.insert_alias.is_some();
        if foreign || !insert.into || insert.multi_table_insert_type.is_some() {
            return Err(Strange);
        }
        // Before its target can be seen.
        if let Some(source) = &insert.source {
            self.query(source, false)?;
        }
        let alias = insert.table_alias.as_ref().map(|alias| &alias.alias);
        self.scopes.open();
        let table = self.target(name, alias.map(|alias| alias.value.as_str()))?;
        let kind = self.inserted(insert);
        self.note_change(Change { table, kind, columns: listed(insert)? });
        match &insert.on {
            Some(OnInsert::OnConflict(conflict)) => {
                if let OnConflictAction::DoUpdate(update) = &conflict.action {
                    self.assignments(&update.assignments)?;
                    update.selection.iter().try_for_each(|condition| self.condition(condition, false))?;
                }
            }
            Some(_) => return Err(Strange),
            None => {}
        }
        self.returning(insert.returning.as_deref(), insert.output.as_ref())?;
        self.end_level();
        Ok(())
    }

    fn update(&mut self, update: &Update, own: bool) -> Walked {
        if update.or.is_some() || update.limit.is_some() || !update.order_by.is_empty() {
            return Err(Strange);
        }
        self.scopes.open();
        let table = self.changed(&update.table)?;
        match &update.from {
            Some(UpdateTableFromKind::AfterSet(from)) => self.from(from, own)?,
            Some(UpdateTableFromKind::BeforeSet(_)) => return Err(Strange),
            None => {}
        }
        self.assignments(&update.assignments)?;
        self.filter(update.selection.as_ref(), own)?;
        self.returning(update.returning.as_deref(), update.output.as_ref())?;
        let kind = ChangeKind::Update(self.facts.levels.len());
        self.note_change(Change { table, kind, columns: assigned(update)? });
        self.close_scope();
        Ok(())
    }

    fn delete(&mut self, delete: &Delete, own: bool) -> Walked {
        let FromTable::WithFromKeyword(from) = &delete.from else { return Err(Strange) };
        let [target] = from.as_slice() else { return Err(Strange) };
        if !delete.tables.is_empty() || delete.limit.is_some() || !delete.order_by.is_empty() {
            return Err(Strange);
        }
        self.scopes.open();
        let table = self.changed(target)?;
        delete.using.iter().try_for_each(|from| self.from(from, own))?;
        self.filter(delete.selection.as_ref(), own)?;
        self.returning(delete.returning.as_deref(), delete.output.as_ref())?;
        let kind = ChangeKind::Delete(self.facts.levels.len());
        self.note_change(Change { table, kind, columns: vec![] });
        self.close_scope();
        Ok(())
    }

    fn merge(&mut self, merge: &Merge) -> Walked {
        self.scopes.open();
        self.facts.changes += 1;
        self.changed_factor(&merge.table)?;
        self.factor(&merge.source, false)?;
        self.condition(&merge.on, false)?;
        for clause in &merge.clauses {
            clause.predicate.iter().try_for_each(|condition| self.condition(condition, false))?;
            self.merge_action(&clause.action)?;
        }
        self.returning(None, merge.output.as_ref())?;
        self.close_scope();
        Ok(())
    }

    fn merge_action(&mut self, action: &MergeAction) -> Walked {
        match action {
            MergeAction::Insert(insert) if insert.insert_predicate.is_none() => match &insert.kind {
                MergeInsertKind::Values(values) => {
                    values.rows.iter().try_for_each(|row| self.expressions(&row.content))
                }
                _ => Err(Strange),
            },
            MergeAction::Update(update)
                if update.update_predicate.is_none() && update.delete_predicate.is_none() =>
            {
                match &update.kind {
                    MergeUpdateKind::Set(assignments) => self.assignments(assignments),
                    MergeUpdateKind::Wildcard => Err(Strange),
                }
            }
            MergeAction::Delete { .. } | MergeAction::DoNothing { .. } => Ok(()),
            _ => Err(Strange),
        }
    }

    fn create_table(&mut self, create: &CreateTable) -> Walked {
        // What other tables a definition of columns names is not looked for.
        let Some(query) = create.query.as_ref().filter(|_| create.columns.is_empty()) else {
            return Err(Strange);
        };
        self.table(&create.name, Access::Write)?;
        self.query(query, true)
    }

    fn create_view(&mut self, create: &CreateView) -> Walked {
        if create.to.is_some() || create.or_alter || create.secure {
            return Err(Strange);
        }
        self.table(&create.name, Access::Write)?;
        self.query(&create.query, true)
    }

    /// The table that an UPDATE or DELETE changes; there is one, and nothing is joined to it.
    fn changed(&mut self, table: &TableWithJoins) -> Result<Name, Strange> {
        if !table.joins.is_empty() {
            return Err(Strange);
        }
        self.changed_factor(&table.relation)
    }

    fn changed_factor(&mut self, factor: &TableFactor) -> Result<Name, Strange> {
        let TableFactor::Table { name, alias, args: None, sample: None, .. } = factor else {
            return Err(Strange);
        };
        self.target(name, alias.as_ref().map(|alias| alias.name.value.as_str()))
    }

    /// What is changed is never a common table expression.
    fn target(&mut self, name: &ObjectName, alias: Option<&str>) -> Result<Name, Strange> {
        let name = name_of(name).ok_or(Strange)?;
        let schema = name.schema.clone().filter(|_| alias.is_none());
        self.scopes.last().add(alias.unwrap_or(&name.name), schema, Some(name.clone()), true);
        self.note_table(name.clone(), Access::Write);
        Ok(name)
    }

    /// The only change of the statement is told of.
    fn note_change(&mut self, change: Change) {
        self.facts.changes += 1;
        self.facts.change = (self.facts.changes == 1).then_some(change);
    }

    /// The WHERE of a statement or query.
    pub fn filter(&mut self, condition: Option<&Expr>, own: bool) -> Walked {
        let Some(condition) = condition else { return Ok(()) };
        self.facts.filtered |= own;
        let all = 0..self.scopes.last().relations.len();
        self.conjuncts(condition, Reach { of: all.clone(), sees: all });
        self.condition(condition, own)
    }

    /// Ends a level and notes whether its relations were joined.
    pub fn close_scope(&mut self) {
        self.facts.cross_joined |= self.scopes.last().is_crossed();
        self.end_level();
    }

    pub fn end_level(&mut self) {
        let level = self.scopes.close().into_level();
        self.facts.levels.push(level);
    }

    fn assignments(&mut self, assignments: &[Assignment]) -> Walked {
        assignments.iter().try_for_each(|assignment| match &assignment.target {
            AssignmentTarget::ColumnName(_) | AssignmentTarget::Tuple(_) => {
                self.expression(&assignment.value)
            }
        })
    }

    fn returning(&mut self, items: Option<&[SelectItem]>, output: Option<&OutputClause>) -> Walked {
        items.iter().try_for_each(|items| self.projection(items))?;
        match output {
            Some(OutputClause::Returning { select_items, .. }) => self.projection(select_items),
            Some(OutputClause::Output { .. }) => Err(Strange),
            None => Ok(()),
        }
    }
}
