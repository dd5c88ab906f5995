//! Relations by name, and which others a statement reads or changes with one that it names.
//!
//! A view stands for what it reads, a table for its partitions and for the tables that inherit from it. Who changes a table changes
//! those, what rewrite rules do in its place, and the rows that foreign keys with CASCADE or SET NULL let follow. A materialized view
//! is a table: what it was made of is not read.
//!
//! Absent on purpose: what functions and triggers do, which no catalog says, and what the views of PostgreSQL itself read. The
//! questions work from PostgreSQL 13 on, for any user, and whatever the search path is.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use xxhash_rust::xxh3::Xxh3;

use super::read::{MOST, Row};
use crate::sql::facts::{Access, Name, Table};

/// `(oid, schema, name, kind)`; see the file.
pub const RELATIONS: &str = include_str!("sql/relations.sql");
/// `(oid, oid, how)`; see the file.
pub const EDGES: &str = include_str!("sql/edges.sql");

/// What a relation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RelationKind {
    /// A table, which may be a partition.
    Table,
    /// A table whose rows are in its partitions.
    Partitioned,
    /// A view: it has no rows of its own.
    View,
    /// A materialized view.
    Materialized,
    /// A foreign table.
    Foreign,
    /// A sequence, which can be read like a table.
    Sequence,
}

/// A relation that a statement reads or changes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reached {
    /// With its schema.
    pub name: Name,
    /// What it is.
    pub kind: RelationKind,
    /// The strongest of what is done to it.
    pub access: Access,
}

/// A name that is not known: of what was made since the catalog was read, of a temporary table, or of nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no relation `{0}` is known")]
pub struct Unknown(pub Name);

/// So many relations are found behind those that a statement names; partitions are the first to be left out.
const MOST_BEHIND: usize = 1000;

/// All relations of a database.
#[derive(Debug, Default)]
pub struct Relations {
    pub(super) all: Vec<Relation>,
    pub(super) by_oid: HashMap<u32, usize>,
    /// Of the answers that it was made of.
    version: u64,
    /// By name: the schemas that have one of it.
    by_name: HashMap<Box<str>, Vec<usize>>,
}

#[derive(Debug)]
pub(super) struct Relation {
    pub(super) oid: u32,
    pub(super) schema: Box<str>,
    pub(super) name: Box<str>,
    pub(super) kind: RelationKind,
    pub(super) with_it: Vec<(How, usize)>,
}

/// Why one relation leads to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// A view reads it; who changes the view changes it.
    View,
    /// A rule for changes names it.
    Rule,
    /// Its rows are rows of the other too: a partition, or a table that inherits.
    Child,
    /// A foreign key lets its rows follow the end of rows of the other.
    Deleted,
    /// A foreign key lets its rows follow changes of keys of the other.
    Updated,
}

impl Relations {
    /// Out of the answers to [`RELATIONS`] and [`EDGES`]; `None` when there are too many to tell, or an answer has not the form that was
    /// asked for.
    pub fn new(relations: &[Row], edges: &[Row]) -> Option<Relations> {
        if relations.is_empty() || relations.len().max(edges.len()) >= MOST {
            return None;
        }
        let mut found = Relations { version: hash(relations.iter().chain(edges)), ..Relations::default() };
        for row in relations {
            let [Some(oid), Some(schema), Some(name), Some(kind)] = row.as_slice() else { return None };
            found.add(oid.parse().ok()?, schema, name, kind_of(kind)?);
        }
        for row in edges {
            let [Some(from), Some(to), Some(how)] = row.as_slice() else { return None };
            // What is left out of the one answer may be named in the other: sequences of columns, indexes, temporary tables.
            let (from, to) = (found.by_oid.get(&from.parse().ok()?), found.by_oid.get(&to.parse().ok()?));
            let (Some(&from), Some(&to)) = (from, to) else { continue };
            found.all[from].with_it.push((how_of(how)?, to));
        }
        Some(found)
    }

    fn add(&mut self, oid: u32, schema: &str, name: &str, kind: RelationKind) {
        let number = self.all.len();
        self.by_oid.insert(oid, number);
        self.all.push(Relation { oid, schema: schema.into(), name: name.into(), kind, with_it: vec![] });
        self.by_name.entry(name.into()).or_default().push(number);
    }

    /// Another number for other relations.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// What is read or changed with these tables beside themselves, each once, in the order of their names.
    ///
    /// Which path the session looks for names in is not asked: a name without a schema counts as one of any. What is not known leads nowhere.
    pub fn behind(&self, tables: &[Table]) -> Vec<Table> {
        let of = |table: &Table| {
            let schema = table.name.schema.clone();
            let within =
                move |at: &usize| schema.as_ref().is_none_or(|schema| self.all[*at].schema == *schema);
            let access = table.access;
            let named = self.by_name.get(&table.name.name).into_iter().flatten().copied();
            named.filter(within).map(move |at| (at, access)).collect::<Vec<_>>()
        };
        let named: Vec<(usize, Access)> = tables.iter().flat_map(of).collect();
        let own: BTreeSet<usize> = named.iter().map(|(number, _)| *number).collect();
        let mut reached = self.around(named);
        reached.retain(|number, _| !own.contains(number));
        let table = |(number, access)| {
            let Reached { name, access, .. } = self.reached(number, access);
            Table { name, access }
        };
        let mut behind: Vec<Table> = reached.into_iter().map(table).collect();
        behind.sort();
        behind
    }

    /// As [`Relations::reach`], from several, up to a number; partitions last.
    fn around(&self, named: Vec<(usize, Access)>) -> BTreeMap<usize, Access> {
        let most = named.len() + MOST_BEHIND;
        let (mut near, mut far) = (named, vec![]);
        let mut reached = BTreeMap::new();
        while let Some((number, access)) = near.pop().or_else(|| far.pop()) {
            if reached.get(&number).is_some_and(|known| *known >= access) {
                continue;
            }
            if reached.len() >= most {
                break;
            }
            reached.insert(number, access);
            let relation = &self.all[number];
            for (how, to) in relation.with_it.iter().filter(|(how, _)| how.applies(relation.kind, access)) {
                let open = if *how == How::Child { &mut far } else { &mut near };
                open.push((*to, access));
            }
        }
        reached
    }

    /// Everything that is read or changed with these tables, themselves too, each once, in the order of their names.
    ///
    /// `search_path` has the schemas in which the session looks for names, in order: those of its `search_path` that exist and that its role
    /// may use. As on the server, `pg_catalog` comes before all if it is not there. What is temporary is not known here: in a session that
    /// has temporary tables, a name without a schema may mean one of them.
    ///
    /// # Errors
    /// The first name that is not known.
    pub fn expand(&self, tables: &[Table], search_path: &[&str]) -> Result<Vec<Reached>, Unknown> {
        let mut reached = BTreeMap::new();
        for table in tables {
            let number = self.find(&table.name, search_path).ok_or_else(|| Unknown(table.name.clone()))?;
            self.reach(number, table.access, &mut reached);
        }
        let mut all: Vec<Reached> =
            reached.into_iter().map(|(number, access)| self.reached(number, access)).collect();
        all.sort();
        Ok(all)
    }

    /// All relations that a name may mean: of any of the schemas if it has none itself, or of any at all where these are not known.
    ///
    /// Which of several it is, privileges decide too, so that all are told. `pg_catalog` counts as one of the schemas.
    pub(super) fn meant(&self, name: &Name, search_path: Option<&[&str]>) -> Vec<usize> {
        let is_within = |at: &usize| {
            let of = &*self.all[*at].schema;
            match (&name.schema, search_path) {
                (Some(schema), _) => of == &**schema,
                (None, Some(path)) => of == "pg_catalog" || path.contains(&of),
                (None, None) => true,
            }
        };
        self.by_name.get(&name.name).into_iter().flatten().copied().filter(is_within).collect()
    }

    /// The relation that a name means.
    fn find(&self, name: &Name, search_path: &[&str]) -> Option<usize> {
        let candidates = self.by_name.get(&name.name)?;
        let within =
            |schema: &str| candidates.iter().copied().find(|&number| &*self.all[number].schema == schema);
        if let Some(schema) = &name.schema {
            return within(schema);
        }
        let hidden = !search_path.contains(&"pg_catalog");
        let first = hidden.then(|| within("pg_catalog")).flatten();
        first.or_else(|| search_path.iter().find_map(|schema| within(schema)))
    }

    fn reach(&self, first: usize, access: Access, reached: &mut BTreeMap<usize, Access>) {
        let mut open = vec![(first, access)];
        while let Some((number, access)) = open.pop() {
            if reached.get(&number).is_some_and(|known| *known >= access) {
                continue;
            }
            reached.insert(number, access);
            let relation = &self.all[number];
            let ways = relation.with_it.iter().filter(|(how, _)| how.applies(relation.kind, access));
            open.extend(ways.map(|(_, to)| (*to, access)));
        }
    }

    fn reached(&self, number: usize, access: Access) -> Reached {
        let Relation { schema, name, kind, .. } = &self.all[number];
        Reached { name: Name { schema: Some(schema.clone()), name: name.clone() }, kind: *kind, access }
    }
}

impl How {
    fn applies(self, of: RelationKind, access: Access) -> bool {
        match self {
            How::View => of == RelationKind::View,
            How::Child => true,
            How::Rule | How::Deleted | How::Updated => access == Access::Write,
        }
    }
}

fn hash<'a>(rows: impl Iterator<Item = &'a Row>) -> u64 {
    let mut hash = Xxh3::new();
    for column in rows.flatten() {
        hash.update(column.as_deref().unwrap_or_default().as_bytes());
        hash.update(b"\0");
    }
    hash.digest()
}

fn kind_of(relkind: &str) -> Option<RelationKind> {
    Some(match relkind {
        "r" => RelationKind::Table,
        "p" => RelationKind::Partitioned,
        "v" => RelationKind::View,
        "m" => RelationKind::Materialized,
        "f" => RelationKind::Foreign,
        "S" => RelationKind::Sequence,
        _ => return None,
    })
}

fn how_of(how: &str) -> Option<How> {
    Some(match how {
        "view" => How::View,
        "rule" => How::Rule,
        "child" => How::Child,
        "deleted" => How::Deleted,
        "updated" => How::Updated,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(columns: &str) -> Row {
        columns.split(' ').map(|column| Some(column.to_owned())).collect()
    }

    fn relations() -> Relations {
        let all = [
            "1 public t r",
            "2 public v v",
            "3 other t r",
            "4 public p p",
            "5 public p1 r",
            "6 public m m",
            "7 pg_catalog pg_class r",
            "8 public log r",
        ];
        let edges = ["2 1 view", "4 5 child", "6 1 view", "1 8 rule", "1 5 deleted", "99 1 view"];
        Relations::new(&all.map(row), &edges.map(row)).expect("there are few")
    }

    fn check(name: &str, access: Access, path: &[&str], expected: &str) {
        let (schema, name) = match name.split_once('.') {
            Some((schema, name)) => (Some(schema.into()), name),
            None => (None, name),
        };
        let table = Table { name: Name { schema, name: name.into() }, access };
        let said = match relations().expand(&[table], path) {
            Ok(reached) => reached.iter().map(|one| one.name.to_string()).collect::<Vec<_>>().join(" "),
            Err(unknown) => unknown.to_string(),
        };
        assert_eq!(said, expected, "{name}");
    }

    #[test]
    fn what_is_read_with_it() {
        let read = |name: &str, expected: &str| check(name, Access::Read, &["public"], expected);
        read("t", "public.t");
        read("v", "public.t public.v");
        read("p", "public.p public.p1");
        read("p1", "public.p1");
        read("m", "public.m");
        read("nothing", "no relation `nothing` is known");
    }

    #[test]
    fn what_is_written_with_it() {
        let write = |name: &str, expected: &str| check(name, Access::Write, &["public"], expected);
        write("t", "public.log public.p1 public.t");
        write("v", "public.log public.p1 public.t public.v");
        write("p", "public.p public.p1");
    }

    #[test]
    fn the_path_decides() {
        check("t", Access::Read, &["other", "public"], "other.t");
        check("public.t", Access::Read, &["other"], "public.t");
        check("v", Access::Read, &["other"], "no relation `v` is known");
        check("pg_class", Access::Read, &[], "pg_catalog.pg_class");
        check("none.t", Access::Read, &["public"], "no relation `none.t` is known");
    }

    #[test]
    fn what_is_behind_names_of_any_schema() {
        let behind = |name: &str, access: Access| {
            let (schema, name) =
                name.split_once('.').map_or((None, name), |(schema, name)| (Some(schema), name));
            let name = Name { schema: schema.map(Into::into), name: name.into() };
            let found = relations().behind(&[Table { name, access }]);
            let mark = |table: &Table| if table.access == Access::Write { "!" } else { "" };
            found.iter().map(|table| format!("{}{}", table.name, mark(table))).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(behind("t", Access::Read), "");
        assert_eq!(behind("v", Access::Read), "public.t");
        assert_eq!(behind("other.v", Access::Read), "");
        assert_eq!(behind("p", Access::Read), "public.p1");
        assert_eq!(behind("t", Access::Write), "public.log! public.p1!");
        assert_eq!(behind("other.t", Access::Write), "");
        assert_eq!(behind("nothing", Access::Write), "");
        assert_eq!(behind("public.v", Access::Write), "public.log! public.p1! public.t!");
    }

    #[test]
    fn partitions_are_left_out_first() {
        let mut all = vec![row("1 public p p"), row("2 public v v"), row("3 public t r")];
        let mut edges = vec![row("2 1 view"), row("2 3 view")];
        for n in 10..5000 {
            all.push(row(&format!("{n} public p{n} r")));
            edges.push(row(&format!("1 {n} child")));
        }
        let relations = Relations::new(&all, &edges).expect("there are few");
        let name = Name { schema: None, name: "v".into() };
        let behind = relations.behind(&[Table { name, access: Access::Read }]);
        assert_eq!(behind.len(), MOST_BEHIND);
        for name in ["p", "t"] {
            assert!(behind.iter().any(|table| &*table.name.name == name), "{name}");
        }
    }

    #[test]
    fn other_relations_have_another_version() {
        let relations = |text: &str| Relations::new(&[row(text)], &[]).expect("there are few").version();
        assert_eq!(relations("1 public t r"), relations("1 public t r"));
        assert_ne!(relations("1 public t r"), relations("1 public u r"));
    }

    #[test]
    fn too_many_are_told() {
        let many = vec![row("1 public t r"); MOST];
        assert!(Relations::new(&many, &[]).is_none());
        assert!(Relations::new(&[row("1 public t r")], &vec![row("1 1 view"); MOST]).is_none());
        assert!(Relations::new(&[row("1 public t x")], &[]).is_none());
        assert!(Relations::new(&[], &[]).is_none());
    }
}
