//! From what statements ask for to indexes that would give it: every pattern has its form, and what is not worth one is told with the number
//! that says so.
//!
//! Pure: whether a candidate is any good, HypoPG and the choice among all of them decide. What is left out here is what no index helps (tiny tables,
//! conditions that leave much of a table, what a statement is better written without) and what is there already.

mod branches;
mod forms;
mod gin;
mod others;
mod predicate;
mod served;
mod shared;

use std::collections::BTreeSet;

use super::index::{Definition, Key};
use super::plan::is_read_whole;
use super::scan::{Condition, Found, Scan, of_condition_text, of_observed, selectivity};
use super::schema::Table;
use super::{Observed, Plan, Rejected, Schema};

pub use shared::Shared;

pub(super) use gin::has_trigrams;
pub(super) use served::served_enough;

/// A table of so few pages is read in no time: 128 kB.
const TINY: u64 = 16;
/// One of so few rows too, where pages are not counted (partitioned tables).
const FEW: f64 = 2_000.0;
/// Candidates for one scan; the first ones are the plainest.
const MOST: usize = 24;

/// An index that may help.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// The index.
    pub definition: Definition,
    /// In one line, what it is for.
    pub why: String,
    /// Its pattern, by a name that stays.
    pub pattern: &'static str,
    /// HypoPG can show what it does; else it is known by pattern only.
    pub provable: bool,
}

/// Indexes that may help the statements of a shape.
pub fn candidates(observed: &Observed, schema: &Schema, plans: &[Plan]) -> Vec<Candidate> {
    looked_at(observed, schema, plans, &Shared::default()).0
}

/// The same, with columns that are compared for equality in the order that a workload shares, and what was not proposed, with the reason.
pub fn looked_at(
    observed: &Observed,
    schema: &Schema,
    plans: &[Plan],
    shared: &Shared,
) -> (Vec<Candidate>, Vec<Rejected>) {
    let found = of_observed(observed, schema);
    let restricted = found.iter().any(|one| is_restricted(one, schema));
    let mut look = Look { observed, schema, plans, shared, restricted, candidates: vec![], rejected: vec![] };
    let count = found.first().map_or(0, |first| first.scans.len());
    for at in 0..count {
        look.scan(&found.iter().map(|one| &one.scans[at]).collect::<Vec<_>>());
    }
    let behind = of_plans(found.first(), schema, plans);
    behind.iter().for_each(|scan| look.scan(&[scan]));
    (look.candidates, look.rejected)
}

/// Whether an index can be of any use to statements of a shape: see [`Uses::has`], which is for many indexes.
pub fn relevant(observed: &Observed, definition: &Definition, schema: &Schema) -> bool {
    Uses::of(observed, schema).has(definition, schema)
}

/// What statements of a shape ask for, found once, to be held against many indexes.
#[derive(Debug, Clone, Default)]
pub struct Uses(Vec<Scan>);

impl Uses {
    /// Of a shape.
    pub fn of(observed: &Observed, schema: &Schema) -> Uses {
        let mut scans: Vec<Scan> =
            of_observed(observed, schema).into_iter().flat_map(|found| found.scans).collect();
        scans.retain(matters);
        Uses(scans)
    }

    /// Whether an index can be of any use: its first key, or for GIN any, is something that is compared or ordered by, or it is partial; and its
    /// predicate is one of the conditions.
    pub fn has(&self, definition: &Definition, schema: &Schema) -> bool {
        let Some(table) = schema.table(definition.table) else { return false };
        let keys = match definition.method.as_str() {
            "btree" | "hash" => &definition.keys[..definition.keys.len().min(1)],
            _ => &definition.keys[..],
        };
        let mut scans = self.0.iter().filter(|scan| is_of(scan.table, table, schema)).peekable();
        if scans.peek().is_none() {
            return false;
        }
        let keys: Vec<_> = keys.iter().filter_map(|key| served::term_of(key, table, schema)).collect();
        let mut uses = scans.map(|scan| {
            let by = scan.all_conditions().map(|one| &one.what);
            let by = by.chain(scan.order.iter().map(|one| &one.what)).chain(&scan.group);
            let compares =
                definition.predicate.is_some() || by.map(|what| what.of(0)).any(|what| keys.contains(&what));
            let conditions: Vec<Condition> = scan.all_conditions().cloned().collect();
            compares && served::has_rows(definition, &conditions, table, schema)
        });
        uses.any(|useful| useful)
    }
}

/// Whether a table is another one, or they are a partition and its parent.
fn is_of(scanned: u32, indexed: &Table, schema: &Schema) -> bool {
    let parents = |from: u32| {
        let mut chain = vec![from];
        while let Some(parent) = schema.table(chain[chain.len() - 1]).and_then(|table| table.parent) {
            if chain.contains(&parent) {
                break;
            }
            chain.push(parent);
        }
        chain
    };
    parents(scanned).contains(&indexed.oid) || parents(indexed.oid).contains(&scanned)
}

/// Scans that only plans show: behind views and functions.
fn of_plans(found: Option<&Found>, schema: &Schema, plans: &[Plan]) -> Vec<Scan> {
    let known: BTreeSet<u32> = found.iter().flat_map(|found| &found.scans).map(|scan| scan.table).collect();
    let mut scans: Vec<Scan> = vec![];
    for node in plans.iter().flat_map(Plan::nodes).filter(|node| node.kind == "Seq Scan") {
        let Some((of, name)) = &node.table else { continue };
        let Some(table) = schema.named(of.as_deref(), name) else { continue };
        let parent = table.parent.is_some_and(|parent| known.contains(&parent));
        let Some(filter) = node.condition("Filter").filter(|_| !parent && !known.contains(&table.oid)) else {
            continue;
        };
        let alias = node.alias.as_deref().unwrap_or(name);
        if let Some(scan) = of_condition_text(filter, alias, table, schema)
            && !scans.iter().any(|other| other.table == scan.table && other.conditions == scan.conditions)
        {
            // The text is of the condition alone: what columns are needed it does not tell.
            scans.push(Scan { columns: None, ..scan });
        }
    }
    scans
}

/// What is looked at, and what comes of it.
struct Look<'a> {
    observed: &'a Observed,
    schema: &'a Schema,
    plans: &'a [Plan],
    shared: &'a Shared,
    /// A part of the rows is wanted, of some table at least; else joins are of everything, which no index makes less.
    restricted: bool,
    candidates: Vec<Candidate>,
    rejected: Vec<Rejected>,
}

impl Look<'_> {
    /// One scan, sample by sample.
    fn scan(&mut self, each: &[&Scan]) {
        let Some((first, table)) = each.first().and_then(|one| Some((*one, self.schema.table(one.table)?)))
        else {
            return;
        };
        if !matters(first) || !matches!(table.kind, 'r' | 'p' | 'm') {
            return;
        }
        if let Some(why) = self.silent(first, table) {
            return self.reject(table, why);
        }
        let before = self.candidates.len();
        forms::btrees(self, each, table);
        others::others(self, each, table);
        branches::branches(self, each, table);
        let added = self.candidates.split_off(before);
        for candidate in added.into_iter().take(MOST) {
            if !self.candidates.iter().any(|known| known.definition == candidate.definition) {
                self.candidates.push(candidate);
            }
        }
    }

    /// Why nothing on the table can help, whatever it is.
    fn silent(&self, scan: &Scan, table: &Table) -> Option<String> {
        let small =
            if table.kind == 'p' || table.pages == 0 { table.rows < FEW } else { table.pages <= TINY };
        if small {
            return Some(format!(
                "the table has {} pages and {:.0} rows: reading all of it takes no longer than an index would",
                table.pages, table.rows
            ));
        }
        let single = served::single(scan, table, self.schema)?;
        Some(format!("{} leaves one row at most", single.name))
    }

    fn reject(&mut self, table: &Table, why: String) {
        let what = format!("an index on {}", table.name);
        let rejected = Rejected { what, shapes: vec![self.observed.fingerprint], why };
        if !self.rejected.contains(&rejected) {
            self.rejected.push(rejected);
        }
    }

    fn propose(&mut self, candidate: Candidate) {
        self.candidates.push(candidate);
    }

    /// Whether some plan reads all of the table; where there are no plans, it may.
    fn is_read_whole(&self, table: &Table) -> bool {
        is_read_whole(self.plans, table, self.schema)
    }
}

/// Whether some table is entered for a part of its rows, by its own conditions or by a limit.
fn is_restricted(found: &Found, schema: &Schema) -> bool {
    found.scans.iter().any(|scan| scan.limit.is_some() || selectivity(scan, schema) <= forms::MUCH)
}

/// Whether there is anything to look for.
fn matters(scan: &Scan) -> bool {
    !scan.conditions.is_empty()
        || !scan.branches.is_empty()
        || !scan.order.is_empty()
        || !scan.group.is_empty()
}

/// Whether a column leads an index.
pub(super) fn is_led_by(definition: &Definition, column: &str) -> bool {
    definition.method == "btree" && definition.keys.first().and_then(Key::name) == Some(column)
}

#[cfg(test)]
mod tests;
