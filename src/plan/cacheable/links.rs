//! Rows that a join finds by a value which stands in a row known by its primary key, and which the result shows:
//! `SELECT o.*, c.name FROM orders o JOIN customers c ON c.id = o.customer_id WHERE o.id = 7` depends on one customer, and shows whom.
//!
//! Let `w` (the customers) be a variable of the level, and let `w.k = a.f` and, for all columns of the primary key of `a`, `a.p = constant` be *of* `w` ([`crate::sql::facts::Conjunct::of`]), the latter
//! of `a` too. There is one row of `a` at most that satisfies the latter; let it have `f0` in `f`. As long as that row is not changed, `a.p = constant` says `a.f = f0`, so that `w.k = f0` holds for `w` as
//! [`super::joined`] shows: a row of `w` with another value in `k` changes nothing. What the row of `a` is, the result depends on anyway, by tags of `a`. So `f0` is all that is to be known,
//! and of that the result need show no more than one row: where it shows `a.f` and that is not null, the row of `a` is the one, since `a.p = constant` is of `a`; where it shows `w.k`, that is equal to
//! `a.f`. It may be limited, grouped, or have other conditions. If it has no row, or shows neither, any row of `w` matters, which may be the one that is missing.
//!
//! The columns are of the variables only if no other variable is of the same table, which the server's description of the result names.

use super::dependencies::{Dependency, KeyColumn, On, Search};
use super::joined::are_alike;
use super::{Dependencies, Given};
use crate::catalog::{ColumnKind, Detail, How, KeyType, RelationKind};
use crate::sql::facts::{Equality, Facts, Form, Level, Variable};

/// A table of which those rows matter that have, in one column, a value that the result shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// `pg_class.oid`. Of its rows any matters, if the value is not to be found.
    pub table: u32,
    /// `pg_attribute.attnum`.
    pub column: i16,
    /// The columns (`pg_class.oid`, `pg_attribute.attnum`) with that value: each, where the result has it and it is not null.
    pub sources: [(u32, i16, KeyType); 2],
    /// The primary key of the row in which the value stands.
    of: Vec<KeyColumn>,
}

impl Link {
    /// Rows of the first table that have in their column what the second has in its.
    #[cfg(test)]
    pub(crate) fn between(own: (u32, i16, KeyType), other: (u32, i16, KeyType)) -> Link {
        Link { table: own.0, column: own.1, sources: [other, own], of: vec![] }
    }
}

/// A variable that is a table, and nothing else is.
struct Base<'a> {
    table: u32,
    detail: &'a Detail,
}

impl Dependencies {
    /// The links of one text of the shape.
    pub fn linked<'a>(&'a self, given: &'a Given<'_>) -> impl Iterator<Item = &'a Link> {
        self.links.iter().filter(|link| given.values_of(&link.of).is_some_and(|rows| rows.len() == 1))
    }
}

impl<'a> Search<'a> {
    /// One for each table at most of which any row matters.
    pub(super) fn links(&self, facts: &Facts, tables: &[Dependency]) -> Vec<Link> {
        let [level] = facts.levels.as_slice() else { return vec![] };
        let others = facts.tables.len() != level.variables.len();
        if !facts.one_select || others || self.grounds.odd_equality || level.equalities.is_empty() {
            return vec![];
        }
        let Some(bases) = level.variables.iter().map(|one| self.base(one)).collect::<Option<Vec<_>>>() else {
            return vec![];
        };
        let is_twice = |at: usize| bases[..at].iter().any(|base| base.table == bases[at].table);
        if (0..bases.len()).any(is_twice) {
            return vec![];
        }
        let is_any = |at: &usize| {
            let any = Dependency { table: bases[*at].table, on: On::Any };
            tables.contains(&any)
        };
        let of = |at: usize| {
            let equalities = level.equalities.iter().filter(|one| one.of.contains(&at));
            equalities.filter_map(|one| self.link(level, &bases, at, one)).next()
        };
        (0..bases.len()).filter(is_any).filter_map(of).collect()
    }

    fn base(&self, variable: &Variable) -> Option<Base<'a>> {
        let table = variable.table.as_ref().filter(|_| !variable.renamed)?;
        let ids = self.relations.named(table, self.path);
        let [id] = *ids.as_slice() else { return None };
        let has_children = self.relations.ways(id).any(|(how, _)| how == How::Child);
        if has_children || self.relations.kind(id) != RelationKind::Table {
            return None;
        }
        Some(Base { table: self.relations.oid(id), detail: self.detail(id).ok()? })
    }

    fn link(&self, level: &Level, bases: &[Base<'_>], at: usize, equality: &Equality) -> Option<Link> {
        let [left, right] = &equality.columns;
        [(left, right), (right, left)].into_iter().find_map(|(own, other)| {
            if !self.is_of(level, at, own) {
                return None;
            }
            let (column, kind) = key_of(bases[at].detail, &own.name)?;
            let from = equality.sees.clone().find(|from| *from != at && self.is_of(level, *from, other))?;
            let base = bases.get(from)?;
            let (number, of_kind) = key_of(base.detail, &other.name)?;
            let of =
                are_alike(kind, of_kind).then(|| self.one_row(level, from, at, base.detail)).flatten()?;
            let table = bases[at].table;
            Some(Link { table, column, sources: [(base.table, number, of_kind), (table, column, kind)], of })
        })
    }

    /// The constants for the primary key of a variable, each of one value, in comparisons that are of it and of another one.
    fn one_row(&self, level: &Level, at: usize, other: usize, detail: &Detail) -> Option<Vec<KeyColumn>> {
        let of_both = level
            .conjuncts
            .iter()
            .filter(|one| one.of.contains(&at) && one.of.contains(&other) && one.constant.form == Form::One);
        let keys: Vec<KeyColumn> = of_both.filter_map(|one| self.key(level, at, detail, one)).collect();
        let key = |number: &i16| keys.iter().find(|key| key.number == *number).cloned();
        let all = detail.key.iter().map(key).collect::<Option<Vec<_>>>()?;
        (!all.is_empty()).then_some(all)
    }
}

/// The number and type of a column whose values can be told.
fn key_of(detail: &Detail, name: &str) -> Option<(i16, KeyType)> {
    let column = detail.column(name)?;
    match column.kind {
        ColumnKind::Key(kind) => Some((column.number, kind)),
        _ => None,
    }
}
