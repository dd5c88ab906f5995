//! The walk's state: relations, what names mean, and what was found.

use std::collections::BTreeSet;

use sqlparser::ast::{Ident, Statement};

use super::read::{gathered, reserved};
use super::term::{Column, Term};
use super::{Found, SCANS, Sample, Scan, Schema};
use crate::advice::schema::Table;

/// An expression that a query gives to the one around it has so many parts; of a larger one only the columns are known.
const LARGEST: usize = 40;
/// Columns that a query gives: PostgreSQL's own limit.
pub(super) const WIDEST: usize = 1664;

/// What a query gives, by name.
pub(super) type Outputs = Vec<(String, Term)>;

/// What a relation is.
#[derive(Debug, Clone)]
pub(super) enum Source {
    /// A table.
    Table(u32),
    /// A query.
    Query(Outputs),
    /// A function, a view, or what is not known.
    Unknown,
}

/// A relation where it stands in FROM.
#[derive(Debug)]
pub(super) struct Relation {
    pub alias: String,
    pub source: Source,
    /// The columns that are needed, unless all are.
    pub columns: BTreeSet<String>,
    pub all: bool,
    pub level: usize,
}

/// The walk.
pub(super) struct Reader<'a> {
    pub schema: &'a Schema,
    pub sample: &'a Sample,
    pub relations: Vec<Relation>,
    /// Relations that can be seen, level by level, the innermost last.
    pub levels: Vec<Vec<usize>>,
    /// How many levels there were.
    pub numbered: usize,
    pub expressions: Vec<(String, Source)>,
    pub found: Found,
    /// An aggregate was called at this level.
    pub aggregated: bool,
}

impl<'a> Reader<'a> {
    pub fn new(schema: &'a Schema, sample: &'a Sample) -> Reader<'a> {
        Reader {
            schema,
            sample,
            relations: vec![],
            levels: vec![],
            numbered: 0,
            expressions: vec![],
            found: Found { reads_only: true, ..Found::default() },
            aggregated: false,
        }
    }

    /// Walks it all.
    pub fn finish(mut self, tree: &Statement) -> Found {
        self.statement(tree, true);
        for scan in &mut self.found.scans {
            let relation = &self.relations[scan.relation];
            scan.columns = (!relation.all && !scan.changed).then(|| relation.columns.clone());
            scan.alone = self.relations.iter().filter(|one| one.level == scan.level).count() == 1;
        }
        self.found
    }

    /// Begins a level.
    pub fn open(&mut self) -> usize {
        self.numbered += 1;
        self.levels.push(vec![]);
        self.numbered
    }

    pub fn close(&mut self) -> Vec<usize> {
        self.levels.pop().unwrap_or_default()
    }

    /// Adds a relation to the innermost level.
    pub fn add(&mut self, alias: &str, source: Source) -> usize {
        let relation = self.relations.len();
        let source = match source {
            // What stands behind so many tables is not looked at.
            Source::Table(_) if self.found.scans.len() >= SCANS => Source::Unknown,
            source => source,
        };
        if let Source::Table(table) = source {
            self.found.scans.push(Scan {
                table,
                relation,
                level: self.numbered,
                alone: false,
                conditions: vec![],
                branches: vec![],
                order: vec![],
                limit: None,
                group: vec![],
                columns: None,
                changed: false,
                gives: None,
            });
        }
        self.relations.push(Relation {
            alias: alias.to_owned(),
            source,
            columns: BTreeSet::new(),
            all: false,
            level: self.numbered,
        });
        if let Some(level) = self.levels.last_mut() {
            level.push(relation);
        }
        relation
    }

    pub fn scan_mut(&mut self, relation: usize) -> Option<&mut Scan> {
        self.found.scans.iter_mut().find(|scan| scan.relation == relation)
    }

    pub fn table(&self, relation: usize) -> Option<&'a Table> {
        match self.relations.get(relation)?.source {
            Source::Table(oid) => self.schema.table(oid),
            _ => None,
        }
    }

    /// A column without a relation before it: of the innermost level that has one of that name.
    pub fn bare_column(&mut self, name: &str) -> Term {
        let mut candidates = vec![];
        for level in self.levels.iter().rev() {
            candidates = level.iter().copied().filter(|one| self.has(*one, name)).collect();
            if !candidates.is_empty() {
                break;
            }
        }
        match candidates.first() {
            Some(relation) => self.column_of(*relation, name),
            None => reserved(name).unwrap_or(Term::Other(vec![])),
        }
    }

    /// A column behind the name of its relation.
    pub fn qualified_column(&mut self, parts: &[Ident]) -> Term {
        let [.., relation, name] = parts else { return Term::Other(vec![]) };
        match self.relation_named(&relation.value) {
            Some(relation) => self.column_of(relation, &name.value),
            None => Term::Other(vec![]),
        }
    }

    /// The relation that a name means here.
    pub fn relation_named(&self, name: &str) -> Option<usize> {
        let mut seen = self.levels.iter().rev().flatten().copied();
        seen.find(|relation| self.relations[*relation].alias == name)
    }

    fn has(&self, relation: usize, name: &str) -> bool {
        match &self.relations[relation].source {
            Source::Table(oid) => self.schema.table(*oid).is_some_and(|table| table.column(name).is_some()),
            Source::Query(outputs) => outputs.iter().any(|(known, _)| known == name),
            Source::Unknown => false,
        }
    }

    /// A column of a relation, noted as needed.
    pub fn column_of(&mut self, relation: usize, name: &str) -> Term {
        match &self.relations[relation].source {
            Source::Table(oid) => {
                let Some(column) = self.schema.table(*oid).and_then(|table| table.column(name)) else {
                    self.whole_row(relation, name);
                    return Term::Other(vec![]);
                };
                let type_name = column.type_name.clone();
                self.relations[relation].columns.insert(name.to_owned());
                Term::Column(Column { relation, name: name.to_owned(), type_name })
            }
            Source::Query(outputs) => {
                let found = outputs.iter().find(|(known, _)| known == name).map(|(_, term)| term);
                match found {
                    // Queries in queries could make it as large as they are many.
                    Some(term) if term.size() > LARGEST => gathered(vec![term.clone()]),
                    Some(term) => term.clone(),
                    None => Term::Other(vec![]),
                }
            }
            Source::Unknown => Term::Other(vec![]),
        }
    }

    /// `t.t`, or a column of the system's, is of the row as a whole.
    fn whole_row(&mut self, relation: usize, name: &str) {
        if !matches!(name, "tableoid" | "ctid" | "xmin") {
            self.relations[relation].all = true;
        }
    }

    /// All columns of a relation, as `*` gives them.
    pub fn star_of(&mut self, relation: usize) -> Outputs {
        self.relations[relation].all = true;
        match self.relations[relation].source.clone() {
            Source::Table(oid) => {
                let columns =
                    self.schema.table(oid).map(|table| table.columns.as_slice()).unwrap_or_default();
                let term = |name: &str, type_name: &str| {
                    Term::Column(Column { relation, name: name.to_owned(), type_name: type_name.to_owned() })
                };
                columns.iter().map(|one| (one.name.clone(), term(&one.name, &one.type_name))).collect()
            }
            Source::Query(outputs) => outputs,
            Source::Unknown => vec![],
        }
    }

    /// A query in an expression: what it gives is not a part of the expression's columns.
    pub fn inner(&mut self, query: &sqlparser::ast::Query) {
        let aggregated = self.aggregated;
        self.query(query, false);
        self.aggregated = aggregated;
    }

    /// Reads, for the columns in it.
    pub fn read_for_columns<'e>(&mut self, all: impl IntoIterator<Item = &'e sqlparser::ast::Expr>) -> Term {
        let all = all.into_iter().map(|one| self.read(one)).collect();
        gathered(all)
    }
}
