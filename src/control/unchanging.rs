//! Columns that never change, as rules say, by the numbers that they have in each table.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::stream::table::Table;
use crate::rules::TableFacts;

/// What was found so far, of one stream.
#[derive(Debug, Default)]
pub struct Unchanging {
    /// Schema and name of tables that are followed, by number: also of those that have no rows but partitions.
    names: HashMap<u32, (String, String)>,
    found: HashMap<u32, Found>,
    /// Tables of which it was said that such a column has changed.
    told: HashSet<u32>,
}

#[derive(Debug)]
struct Found {
    table: Arc<Table>,
    facts: Arc<TableFacts>,
    columns: Arc<[i16]>,
}

impl Unchanging {
    /// A table is followed from now on.
    pub fn know(&mut self, table: &Table) {
        let names = (table.schema.clone(), table.name.clone());
        // What was found of its partitions was found without it.
        if self.names.insert(table.oid, names.clone()).as_ref() != Some(&names) {
            self.found.clear();
        }
    }

    /// Whether it was said that such a column of this table has changed.
    pub fn is_told(&self, table: u32) -> bool {
        self.told.contains(&table)
    }

    /// It is said now.
    pub fn told(&mut self, table: u32) {
        self.told.insert(table);
    }

    /// The numbers of the columns of a table of which rules say that they never change, of the table itself or one of which it is a part.
    pub fn of(&mut self, table: &Arc<Table>, facts: &Arc<TableFacts>) -> Arc<[i16]> {
        if facts.immutable.is_empty() {
            return Arc::default();
        }
        let is_it = |found: &&Found| Arc::ptr_eq(&found.table, table) && Arc::ptr_eq(&found.facts, facts);
        if let Some(found) = self.found.get(&table.oid).filter(is_it) {
            return found.columns.clone();
        }
        let above = table.ancestors.iter().filter_map(|oid| self.names.get(oid));
        let mut names: Vec<(&str, &str)> =
            above.map(|(schema, name)| (schema.as_str(), name.as_str())).collect();
        names.push((&table.schema, &table.name));
        let number =
            |name: &str| table.columns.iter().find(|column| column.name == name).map(|column| column.number);
        let columns: Arc<[i16]> = facts.immutable_of(&names).filter_map(number).collect();
        let found = Found { table: table.clone(), facts: facts.clone(), columns: columns.clone() };
        self.found.insert(table.oid, found);
        columns
    }
}
