//! What names mean: common table expressions, relations of the levels around, and their columns.

use sqlparser::ast::{Ident, ObjectName, ObjectNamePart};

use super::Name;
use super::level::{Conjunct, Equality, Level, Variable};
use crate::sql::keywords::{is_col_id, is_function_name};

/// A relation of one level of a statement.
#[derive(Debug)]
pub(super) struct Relation {
    /// What its columns are called by: its alias, or its own name.
    pub alias: Box<str>,
    /// Without an alias, its schema, which may stand before its name.
    pub schema: Option<Box<str>>,
    /// The table, unless it is a query or a function.
    pub table: Option<Name>,
    /// It has rows of its own: no function, and no query that looks at its neighbours.
    pub independent: bool,
    /// Its columns have other names.
    pub renamed: bool,
    /// The least number of a relation that it is joined with.
    group: usize,
}

/// One level: the FROM of a SELECT, or what an UPDATE, DELETE or MERGE is about.
#[derive(Debug, Default)]
pub(super) struct Scope {
    pub relations: Vec<Relation>,
    /// A query that is not LATERAL does not see its neighbours.
    pub hidden: bool,
    /// Comparisons that hold for some of the relations.
    pub conjuncts: Vec<Conjunct>,
    pub equalities: Vec<Equality>,
    /// Relations that the condition at hand mentions.
    mentioned: Vec<usize>,
    /// Columns in it that may be of any relation.
    unclear: usize,
}

impl Scope {
    pub fn add(
        &mut self,
        alias: &str,
        schema: Option<Box<str>>,
        table: Option<Name>,
        independent: bool,
    ) -> usize {
        let group = self.relations.len();
        self.relations.push(Relation {
            alias: alias.into(),
            schema,
            table,
            independent,
            renamed: false,
            group,
        });
        group
    }

    pub fn begin_condition(&mut self) {
        self.mentioned.clear();
        self.unclear = 0;
    }

    /// What a condition mentions, it joins. A column that may be of any relation, compared with another one, may join all.
    pub fn end_condition(&mut self) {
        let mentioned = std::mem::take(&mut self.mentioned);
        if self.unclear > 0 && mentioned.len() + self.unclear > 1 {
            return self.join_all();
        }
        mentioned.windows(2).for_each(|pair| self.join(pair[0], pair[1]));
    }

    pub fn join_all(&mut self) {
        self.relations.iter_mut().for_each(|one| one.group = 0);
    }

    pub fn join(&mut self, one: usize, other: usize) {
        let (one, other) = (self.relations[one].group, self.relations[other].group);
        let least = one.min(other);
        let joined = self.relations.iter_mut().filter(|each| each.group == one || each.group == other);
        joined.for_each(|each| each.group = least);
    }

    /// Whether some relation is joined with the others by no condition.
    pub fn is_crossed(&self) -> bool {
        let mut groups = self.relations.iter().filter(|one| one.independent).map(|one| one.group);
        let first = groups.next();
        groups.any(|group| Some(group) != first)
    }

    /// It as it is told of.
    pub fn into_level(self) -> Level {
        let variable = |one: Relation| Variable {
            alias: one.alias,
            schema: one.schema,
            table: one.table,
            renamed: one.renamed,
        };
        Level {
            variables: self.relations.into_iter().map(variable).collect(),
            conjuncts: self.conjuncts,
            equalities: self.equalities,
        }
    }

    fn mention(&mut self, relation: usize) {
        if !self.mentioned.contains(&relation) {
            self.mentioned.push(relation);
        }
    }

    fn find(&self, schema: Option<&str>, alias: &str) -> Option<usize> {
        let is_it =
            |one: &Relation| &*one.alias == alias && (schema.is_none() || schema == one.schema.as_deref());
        self.relations.iter().position(is_it)
    }
}

/// A column, as far as the statement says whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    pub table: Option<Name>,
    pub name: Box<str>,
}

/// The levels around a place, the innermost last.
#[derive(Debug, Default)]
pub(super) struct Scopes(Vec<Scope>);

impl Scopes {
    pub fn open(&mut self) {
        self.0.push(Scope::default());
    }

    pub fn close(&mut self) -> Scope {
        self.0.pop().unwrap_or_default()
    }

    /// The innermost; there is one wherever relations are.
    pub fn last(&mut self) -> &mut Scope {
        if self.0.is_empty() {
            self.open();
        }
        let last = self.0.len() - 1;
        &mut self.0[last]
    }

    /// Finds the relation of a column and notes that it was mentioned.
    pub fn column(&mut self, parts: &[&Ident]) -> Option<Column> {
        match *parts {
            [name] => Some(self.bare(&name.value)),
            [table, name] => Some(self.qualified(None, &table.value, &name.value)),
            [.., schema, table, name] => Some(self.qualified(Some(&schema.value), &table.value, &name.value)),
            [] => None,
        }
    }

    /// The table of a column, where it is clear; nothing is noted.
    pub fn table_of(&self, parts: &[&Ident]) -> Option<Column> {
        let mut visible = self.0.iter().rev().filter(|scope| !scope.hidden);
        let relation = match *parts {
            [_] => match (visible.next(), visible.next()) {
                (Some(scope), None) if scope.relations.len() == 1 => scope.relations.first(),
                _ => None,
            },
            [.., table, _] => {
                let schema = parts.len().checked_sub(3).map(|at| parts[at].value.as_str());
                visible.find_map(|scope| scope.find(schema, &table.value).map(|at| &scope.relations[at]))
            }
            [] => None,
        };
        let relation = relation.filter(|one| !one.renamed)?;
        Some(Column { table: relation.table.clone(), name: parts.last()?.value.as_str().into() })
    }

    /// A column without a table is of the only relation there is. In an inner query it may be one of the outer's.
    fn bare(&mut self, name: &str) -> Column {
        let mut visible = self.0.iter_mut().filter(|scope| !scope.hidden);
        let only = match (visible.next(), visible.next()) {
            (Some(scope), None) if scope.relations.len() == 1 => Some(scope),
            _ => None,
        };
        if let Some(scope) = only {
            scope.mention(0);
            return Column { table: scope.relations[0].table.clone(), name: name.into() };
        }
        self.0.iter_mut().for_each(|scope| scope.unclear += 1);
        Column { table: None, name: name.into() }
    }

    fn qualified(&mut self, schema: Option<&str>, alias: &str, name: &str) -> Column {
        for scope in self.0.iter_mut().rev().filter(|scope| !scope.hidden) {
            if let Some(found) = scope.find(schema, alias) {
                scope.mention(found);
                return Column { table: scope.relations[found].table.clone(), name: name.into() };
            }
        }
        Column { table: None, name: name.into() }
    }
}

/// The name of a relation: its last two parts. `None` for what has more than a database, a schema and a name, or is no name.
pub(super) fn name_of(name: &ObjectName) -> Option<Name> {
    let name = parts_of(name)?;
    (name.1 || is_col_id(name.0.name.as_bytes())).then_some(name.0)
}

/// The name of a function; `None` also for what looks like a call and is another thing in PostgreSQL's grammar, as COALESCE is.
pub(super) fn function_of(name: &ObjectName) -> Option<Name> {
    let name = parts_of(name)?;
    // These two are calls of functions of `pg_catalog`, in their plainest form.
    let (name, any) = name;
    if !any && matches!(&*name.name, "json_object" | "normalize") {
        return Some(Name { schema: Some("pg_catalog".into()), ..name });
    }
    (any || is_function_name(name.name.as_bytes())).then_some(name)
}

/// The name, and whether it may be any: with quotes or behind a schema.
fn parts_of(name: &ObjectName) -> Option<(Name, bool)> {
    // sqlparser takes strings for names too.
    let part = |name: &ObjectNamePart| {
        name.as_ident().filter(|name| matches!(name.quote_style, None | Some('"'))).cloned()
    };
    let parts: Option<Vec<Ident>> = name.0.iter().map(part).collect();
    match parts?.as_slice() {
        [name] => Some((Name { schema: None, name: name.value.as_str().into() }, name.quote_style.is_some())),
        [schema, name] | [_, schema, name] => {
            let schema = Some(schema.value.as_str().into());
            Some((Name { schema, name: name.value.as_str().into() }, true))
        }
        _ => None,
    }
}

/// Whether PostgreSQL takes it for the name of a column or relation at all. Where it does not, sqlparser has not understood.
pub(super) fn is_name(name: &Ident) -> bool {
    match name.quote_style {
        None => is_col_id(name.value.as_bytes()),
        Some(quote) => quote == '"',
    }
}
