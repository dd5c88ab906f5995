//! The tables behind a statement, and the rows of them that matter.

use std::collections::{BTreeMap, BTreeSet};

use super::{Around, Link, Refusal};
use crate::catalog::{ColumnKind, Detail, Grounds, How, Id, KeyType, RelationKind, Relations};
use crate::sql::facts::{Access, Cast, ColumnName, Conjunct, Constant, Facts, Level, Name, Variable};

/// An entry has no more tables than this: each is looked at for every hit.
const MOST_TABLES: usize = 64;

/// On what the result of a statement depends.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Dependencies {
    /// Ordered by table. A table with [`On::Any`] is there once; one that is read several times by keys may be there with several, and each
    /// of them counts.
    pub tables: Vec<Dependency>,
    /// How the rows can be told that the result is made of, where that is of use.
    pub row_key: Option<RowKey>,
    /// Tables of which any row matters as far as the text says, and the result may say which.
    pub links: Vec<Link>,
}

/// The columns that the stream has of a row as it was, whatever is done with it: those of its replica identity. Where a result shows them of each of
/// its rows, a row that leaves it is known by them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowKey {
    /// `pg_class.oid`.
    pub table: u32,
    /// `pg_attribute.attnum` of each, in order, and its type.
    pub columns: Vec<(i16, KeyType)>,
}

/// Rows of one table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dependency {
    /// `pg_class.oid` of a table, a partition or a partitioned table; never of a view.
    pub table: u32,
    /// Which rows.
    pub on: On,
}

/// Which rows of a table a result depends on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum On {
    /// Any.
    Any,
    /// Those that have, in all of these columns, one of the values that the text gives. Ordered by number, never empty.
    Keys(Vec<KeyColumn>),
}

/// A column that is compared with constants.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyColumn {
    /// `pg_attribute.attnum`.
    pub number: i16,
    /// Its type.
    pub kind: KeyType,
    /// Where its values come from.
    pub constant: Constant,
}

/// The dependencies of a statement.
pub(super) fn of(facts: &Facts, around: &Around<'_>, grounds: &Grounds) -> Result<Dependencies, Refusal> {
    let relations = around.contents.relations.as_ref().ok_or(Refusal::DefinitionsUnknown)?;
    let search = Search { relations, grounds, path: around.search_path };
    let mut found = Found::default();
    let mut named = BTreeSet::new();
    for level in &facts.levels {
        for (at, variable) in level.variables.iter().enumerate() {
            let Some(table) = &variable.table else { continue };
            named.insert(table);
            search.variable(level, at, table, &mut found)?;
        }
    }
    for table in facts.tables.iter().filter(|table| !named.contains(&table.name)) {
        if table.access == Access::Write {
            return Err(Refusal::NotARead);
        }
        search.ids(&table.name)?.into_iter().try_for_each(|id| search.any(id, &mut found))?;
    }
    facts.casts.iter().try_for_each(|cast| search.cast(cast))?;
    let mut dependencies = found.dependencies()?;
    dependencies.row_key = search.row_key(&dependencies.tables).filter(|_| facts.row_by_row);
    dependencies.links = search.links(facts, &dependencies.tables);
    Ok(dependencies)
}

/// By table: nothing but keys, or any row.
#[derive(Default)]
struct Found(BTreeMap<u32, Option<BTreeSet<Vec<KeyColumn>>>>);

impl Found {
    fn add(&mut self, table: u32, keys: Vec<KeyColumn>) {
        let known = self.0.entry(table).or_insert_with(|| Some(BTreeSet::new()));
        match (keys.is_empty(), known) {
            (true, known) => *known = None,
            (false, Some(known)) => drop(known.insert(keys)),
            (false, None) => {}
        }
    }

    fn dependencies(self) -> Result<Dependencies, Refusal> {
        let of = |(table, keys): (u32, Option<BTreeSet<Vec<KeyColumn>>>)| match keys {
            None => vec![Dependency { table, on: On::Any }],
            Some(keys) => {
                keys.into_iter().map(|keys| Dependency { table, on: On::Keys(keys) }).collect::<Vec<_>>()
            }
        };
        let tables: Vec<Dependency> = self.0.into_iter().flat_map(of).collect();
        if tables.len() > MOST_TABLES {
            return Err(Refusal::TooManyTables);
        }
        Ok(Dependencies { tables, row_key: None, links: vec![] })
    }
}

/// What names are looked up in.
pub(in crate::plan) struct Search<'a> {
    pub relations: &'a Relations,
    pub grounds: &'a Grounds,
    pub path: Option<&'a [&'a str]>,
}

impl<'a> Search<'a> {
    /// A table where it stands in FROM, with the conjuncts of its level.
    fn variable(&self, level: &Level, at: usize, table: &Name, found: &mut Found) -> Result<(), Refusal> {
        let ids = self.ids(table)?;
        for id in ids {
            match self.relations.kind(id) {
                RelationKind::Table | RelationKind::Partitioned => {
                    let keys = self.keys_by_joins(level, at, self.detail(id)?);
                    self.with_children(id, &keys, found)?;
                }
                _ => self.any(id, found)?,
            }
        }
        Ok(())
    }

    fn ids(&self, table: &Name) -> Result<Vec<Id>, Refusal> {
        let ids = self.relations.named(table, self.path);
        if ids.is_empty() { Err(Refusal::UnknownRelation) } else { Ok(ids) }
    }

    pub(super) fn detail(&self, id: Id) -> Result<&'a Detail, Refusal> {
        let (schema, _) = self.relations.names(id);
        if matches!(schema, "pg_catalog" | "information_schema" | "pg_toast") {
            return Err(Refusal::SystemCatalog);
        }
        match self.relations.kind(id) {
            RelationKind::Materialized => return Err(Refusal::MaterializedView),
            RelationKind::Foreign => return Err(Refusal::ForeignTable),
            RelationKind::Sequence => return Err(Refusal::Sequence),
            RelationKind::Table | RelationKind::Partitioned | RelationKind::View => {}
        }
        let detail = self.grounds.detail(self.relations.oid(id)).ok_or(Refusal::UnknownRelation)?;
        if detail.unlogged {
            return Err(Refusal::Unlogged);
        }
        if detail.row_security {
            return Err(Refusal::Rls);
        }
        if detail.names_objects {
            return Err(Refusal::SystemCatalog);
        }
        Ok(detail)
    }

    /// A table and its partitions, or those that inherit from it. The same column may have another number there.
    fn with_children(&self, id: Id, keys: &[(KeyColumn, &str)], found: &mut Found) -> Result<(), Refusal> {
        let mut open = vec![id];
        let mut seen = BTreeSet::new();
        while let Some(id) = open.pop() {
            if !seen.insert(id) {
                continue;
            }
            if seen.len() > MOST_TABLES {
                return Err(Refusal::TooManyTables);
            }
            let detail = self.detail(id)?;
            let same = |(key, name): &(KeyColumn, &str)| {
                let column = detail.column(name)?;
                (column.kind == ColumnKind::Key(key.kind))
                    .then(|| KeyColumn { number: column.number, ..key.clone() })
            };
            let mut keys: Vec<KeyColumn> = keys.iter().filter_map(same).collect();
            keys.sort();
            found.add(self.relations.oid(id), keys);
            open.extend(self.relations.ways(id).filter(|(how, _)| *how == How::Child).map(|(_, to)| to));
        }
        Ok(())
    }

    /// A relation of which nothing more is known, and all that is behind it.
    fn any(&self, id: Id, found: &mut Found) -> Result<(), Refusal> {
        let mut open = vec![id];
        let mut seen = BTreeSet::new();
        while let Some(id) = open.pop() {
            if !seen.insert(id) {
                continue;
            }
            if seen.len() > MOST_TABLES * 4 {
                return Err(Refusal::TooManyTables);
            }
            self.detail(id)?;
            let is_view = self.relations.kind(id) == RelationKind::View;
            if !is_view {
                found.add(self.relations.oid(id), vec![]);
            }
            let leads = |how: How| how == How::Child || how == How::View && is_view;
            open.extend(self.relations.ways(id).filter(|(how, _)| leads(*how)).map(|(_, to)| to));
        }
        Ok(())
    }

    /// How rows of the only table can be told: by what the stream has of old rows, if that is not all that is asked of it anyway.
    fn row_key(&self, tables: &[Dependency]) -> Option<RowKey> {
        let [Dependency { table, on: On::Keys(keys) }] = tables else { return None };
        let detail = self.grounds.detail(*table)?;
        let identity = match detail.replica_identity {
            b'd' => &detail.key,
            b'i' => &detail.identity_index,
            _ => return None,
        };
        if identity.is_empty() || keys.iter().all(|key| identity.contains(&key.number)) {
            return None;
        }
        let column = |number: &i16| match detail.numbered(*number)?.kind {
            ColumnKind::Key(kind) => Some((*number, kind)),
            _ => None,
        };
        Some(RowKey { table: *table, columns: identity.iter().map(column).collect::<Option<_>>()? })
    }

    /// The columns of a variable that are compared with constants, with their names; one constant for each.
    pub fn keys<'l>(&self, level: &'l Level, at: usize, detail: &Detail) -> Vec<(KeyColumn, &'l str)> {
        let mut keys: Vec<(KeyColumn, &str)> = vec![];
        if self.grounds.odd_equality || level.variables[at].renamed {
            return keys;
        }
        for conjunct in level.conjuncts.iter().filter(|one| one.of.contains(&at)) {
            if let Some(key) = self.key(level, at, detail, conjunct)
                && keys.iter().all(|(known, _)| known.number != key.number)
            {
                keys.push((key, &conjunct.column.name));
            }
        }
        keys
    }

    pub(super) fn key(
        &self,
        level: &Level,
        at: usize,
        detail: &Detail,
        conjunct: &Conjunct,
    ) -> Option<KeyColumn> {
        if !self.is_of(level, at, &conjunct.column) {
            return None;
        }
        let column = detail.column(&conjunct.column.name)?;
        let ColumnKind::Key(kind) = column.kind else { return None };
        let cast = conjunct.constant.cast.as_deref();
        let fits = cast.is_none_or(|cast| super::values::is_cast_within(cast, kind));
        fits.then(|| KeyColumn { number: column.number, kind, constant: conjunct.constant.clone() })
    }

    /// Whether a column, if the variable has it, is the variable's. Without a table before it, it is that only if no other variable of the
    /// level may have one of the name.
    pub(super) fn is_of(&self, level: &Level, at: usize, column: &ColumnName) -> bool {
        let this = &level.variables[at];
        match &column.table {
            Some(alias) => {
                let is = |one: &Variable| {
                    one.alias == *alias && (column.schema.is_none() || column.schema == one.schema)
                };
                level.variables.iter().position(is) == Some(at)
                    && level.variables.iter().filter(|one| one.alias == *alias).count() == 1
            }
            None => level
                .variables
                .iter()
                .all(|other| std::ptr::eq(this, other) || self.lacks(other, &column.name)),
        }
    }

    /// Whether it is certain that a variable has no column of this name.
    fn lacks(&self, variable: &Variable, column: &str) -> bool {
        let Some(table) = variable.table.as_ref().filter(|_| !variable.renamed) else { return false };
        let lacks = |id: &Id| {
            let is_table =
                matches!(self.relations.kind(*id), RelationKind::Table | RelationKind::Partitioned);
            let detail = self.grounds.detail(self.relations.oid(*id));
            is_table && detail.is_some_and(|detail| detail.column(column).is_none())
        };
        self.relations.named(table, self.path).iter().all(lacks)
    }

    /// A cast to what may be a date is one at any time if it is of a column that is no text.
    fn cast(&self, cast: &Cast) -> Result<(), Refusal> {
        let (table, column) = cast.column.as_ref().ok_or(Refusal::ClockText)?;
        let is_no_text = |id: &Id| {
            let column =
                self.grounds.detail(self.relations.oid(*id)).and_then(|detail| detail.column(column));
            column.is_some_and(|column| match column.kind {
                ColumnKind::Key(kind) => kind != KeyType::Text,
                ColumnKind::NoText => true,
                ColumnKind::Other => false,
            })
        };
        let ids = self.relations.named(table, self.path);
        match !ids.is_empty() && ids.iter().all(is_no_text) {
            true => Ok(()),
            false => Err(Refusal::ClockText),
        }
    }
}
