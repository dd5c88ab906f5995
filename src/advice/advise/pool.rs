//! Candidates of all statements together: what need not be tried is rejected, what the planner would use stays.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::look::{Looked, top};
use super::prove::Planner;
use super::tell::LEAST;
use crate::advice::ask::Server;
use crate::advice::bill::Bill;
use crate::advice::candidates::{Candidate, Shared, looked_at};
use crate::advice::choose::{Answer, Item, WhatIf};
use crate::advice::create::title;
use crate::advice::existing::serves;
use crate::advice::index::Definition;
use crate::advice::schema::{Schema, Table};
use crate::advice::{Plan, Rejected, Workload, size};

/// Smaller tables are read faster than any index.
const TINY_ROWS: f64 = 1000.0;
const TINY_PAGES: u64 = 16;
/// Candidates of one table that are tried.
const MOST_OF_TABLE: usize = 60;
/// Indexes that are made of two others of one table.
const MOST_MERGED: usize = 20;
/// A statement that gains less than this from all candidates at once is not helped by any.
const HELPED: f64 = 0.9;

/// A candidate, and whom it may help.
#[derive(Debug, Clone)]
pub struct Found {
    pub candidate: Candidate,
    /// Statements that it was made for, by place.
    pub of: Vec<usize>,
    /// Statements whose plans may change with it, by place.
    pub relevant: Vec<usize>,
}

/// All of them, in the order of their definitions.
#[derive(Debug, Default)]
pub struct Pool {
    pub candidates: Vec<Found>,
    /// Seconds that each statement takes at least, with all of its candidates.
    pub least: Vec<f64>,
    /// The candidates that each statement uses then.
    pub best: Vec<Vec<usize>>,
    /// Statements whose candidates could not be tried.
    pub untried: BTreeSet<usize>,
    /// Because the time was over.
    pub late: bool,
}

impl Found {
    /// What the choice needs to know.
    pub fn item(&self, schema: &Schema, bill: &Bill) -> Item {
        let definition = self.candidate.definition.clone();
        let (bytes, writes) = (size::bytes(&definition, schema), bill.seconds(&definition, schema));
        Item { definition, bytes, writes, relevant: self.relevant.clone() }
    }
}

impl Pool {
    /// What all statements ask for, without what need not be tried.
    pub fn of(
        looked: &[Looked<'_>],
        workload: &Workload,
        schema: &Schema,
        rejected: &mut Vec<Rejected>,
    ) -> Pool {
        let shared = Shared::of(workload, schema);
        let mut by_definition: BTreeMap<Definition, Found> = BTreeMap::new();
        for (place, one) in looked.iter().enumerate() {
            let (candidates, silent) = looked_at(&one.seen, schema, &one.plans, &shared);
            rejected.extend(silent);
            for candidate in candidates {
                let found = by_definition.entry(candidate.definition.clone());
                let found = found.or_insert_with(|| Found { candidate, of: vec![], relevant: vec![] });
                if !found.of.contains(&place) {
                    found.of.push(place);
                }
            }
        }
        let mut pool = Pool {
            candidates: vec![],
            least: looked.iter().map(|one| one.seconds).collect(),
            best: vec![vec![]; looked.len()],
            untried: BTreeSet::new(),
            late: false,
        };
        let mut of_table: BTreeMap<u32, usize> = BTreeMap::new();
        for mut found in by_definition.into_values() {
            if let Some(why) = needless(&found.candidate.definition, schema) {
                rejected.push(reject(&found, looked, schema, why));
                continue;
            }
            let count = of_table.entry(found.candidate.definition.table).or_default();
            *count += 1;
            if *count > MOST_OF_TABLE {
                rejected.push(reject(
                    &found,
                    looked,
                    schema,
                    format!("more than {MOST_OF_TABLE} of its table: not tried"),
                ));
                continue;
            }
            found.relevant = concerned(&found.candidate.definition, &found.of, looked, schema);
            pool.candidates.push(found);
        }
        pool
    }

    /// Shows the planner all candidates of each statement at once. What no statement uses goes, and statements that gain nothing go from
    /// what is left.
    pub async fn narrow<S: Server>(
        &mut self,
        planner: &mut Planner<'_, '_, S>,
        rejected: &mut Vec<Rejected>,
    ) {
        planner.candidates.clone_from(&self.candidates);
        let (mut used, mut helped) = (BTreeSet::new(), BTreeSet::new());
        let mut open: VecDeque<usize> = Looked::by_cost(planner.looked).into();
        let mut again = BTreeSet::new();
        while let Some(place) = open.pop_front() {
            let mine: Vec<usize> = (0..self.candidates.len())
                .filter(|one| self.candidates[*one].relevant.contains(&place))
                .collect();
            let is_cheap = |plan: &Plan| plan.cost() <= LEAST;
            if mine.is_empty() || planner.looked[place].plans.iter().all(is_cheap) {
                continue;
            }
            let Some(Answer { costs, .. }) = planner.answer(place, &mine).await else {
                self.late |= planner.is_late();
                // A connection that is lost takes the indexes with it; over the next one they are made again.
                if !planner.is_late() && again.insert(place) {
                    open.push_back(place);
                } else {
                    self.untried.insert(place);
                }
                continue;
            };
            let bases = planner.looked[place].plans.iter().map(|plan| plan.cost());
            let ratios: Vec<f64> =
                costs.iter().zip(bases).map(|(cost, base)| cost / base.max(1e-9)).collect();
            if ratios.iter().any(|ratio| *ratio < HELPED) {
                self.least[place] = planner.looked[place].weight().seconds_with(&ratios);
                helped.insert(place);
                used.extend(planner.used(place));
            }
        }
        let runners: BTreeSet<usize> = self.runners_up(&used, &helped);
        let (mut stay, schema) = (vec![], planner.schema);
        for (number, mut found) in std::mem::take(&mut self.candidates).into_iter().enumerate() {
            if used.contains(&number) || runners.contains(&number) {
                found.relevant.retain(|place| helped.contains(place));
                stay.push(found);
            } else {
                let why = match planner.refused(number) {
                    Some(refused) => format!("could not be tried: {refused}"),
                    None if planner.is_late() => "the time was over before it could be tried".to_owned(),
                    None => planner.not_used(found.candidate.provable).to_owned(),
                };
                rejected.push(reject(&found, planner.looked, schema, why));
            }
        }
        self.candidates = stay;
        self.merge(schema);
        planner.replace_candidates(self.candidates.clone()).await;
        helped.into_iter().for_each(|place| self.best[place] = planner.used(place));
    }

    /// Shorter and longer forms of what is used: one of them may serve more statements, or take less room.
    fn runners_up(&self, used: &BTreeSet<usize>, helped: &BTreeSet<usize>) -> BTreeSet<usize> {
        let begins =
            |a: &Definition, b: &Definition| b.keys.starts_with(&a.keys) || a.keys.starts_with(&b.keys);
        let like =
            |a: &Definition, b: &Definition| a.table == b.table && a.method == b.method && begins(a, b);
        let is_near = |one: &usize| {
            let found = &self.candidates[*one];
            found.relevant.iter().any(|place| helped.contains(place))
                && used.iter().any(|known| {
                    like(&self.candidates[*known].candidate.definition, &found.candidate.definition)
                })
        };
        (0..self.candidates.len()).filter(is_near).collect()
    }

    /// One index for two that begin alike: the columns of the first, then those that only the second has.
    fn merge(&mut self, schema: &Schema) {
        let mut known: BTreeSet<Definition> =
            self.candidates.iter().map(|found| found.candidate.definition.clone()).collect();
        let mut merged = vec![];
        for a in &self.candidates {
            for b in &self.candidates {
                let Some(definition) = both(&a.candidate.definition, &b.candidate.definition) else {
                    continue;
                };
                let full =
                    merged.iter().filter(|one: &&Found| one.candidate.definition.table == definition.table);
                if full.count() >= MOST_MERGED
                    || needless(&definition, schema).is_some()
                    || !known.insert(definition.clone())
                {
                    continue;
                }
                let mut found = a.clone();
                found.candidate.definition = definition;
                for (mine, other) in [(&mut found.of, &b.of), (&mut found.relevant, &b.relevant)] {
                    mine.extend(other);
                    mine.sort_unstable();
                    mine.dedup();
                }
                merged.push(found);
            }
        }
        self.candidates.extend(merged);
        self.candidates.sort_by(|a, b| a.candidate.definition.cmp(&b.candidate.definition));
    }
}

fn both(a: &Definition, b: &Definition) -> Option<Definition> {
    let alike =
        a.table == b.table && a.method == "btree" && b.method == "btree" && a.predicate == b.predicate;
    let begin = a.keys.first()? == b.keys.first()?;
    if !alike || !begin || a == b {
        return None;
    }
    let mut one = a.clone();
    let more = b.keys.iter().filter(|key| !a.keys.iter().any(|known| known.what == key.what));
    one.keys.extend(more.cloned());
    let has = |one: &Definition, name: &String| one.keys.iter().any(|key| key.name() == Some(name));
    one.include.retain(|name| !b.keys.iter().any(|key| key.name() == Some(name)));
    for name in &b.include {
        if !has(&one, name) && !one.include.contains(name) {
            one.include.push(name.clone());
        }
    }
    (one.keys.len() > a.keys.len() || one.include.len() > a.include.len()).then_some(one)
}

/// Statements whose plans may change: those it was made for, and others that say so.
fn concerned(definition: &Definition, of: &[usize], looked: &[Looked<'_>], schema: &Schema) -> Vec<usize> {
    let table = top(definition.table, schema);
    let concerns = |place: &usize| {
        let one = &looked[*place];
        !one.plans.is_empty()
            && (of.contains(place) || one.tables.contains(&table) && one.uses.has(definition, schema))
    };
    (0..looked.len()).filter(concerns).collect()
}

/// Why a candidate need not be tried.
fn needless(definition: &Definition, schema: &Schema) -> Option<String> {
    let table = schema.table(definition.table)?;
    if table.rows < TINY_ROWS && table.pages < TINY_PAGES {
        return Some(format!("the table has about {} rows: reading all of them is as fast", table.rows));
    }
    served(definition, table)
}

fn served(definition: &Definition, table: &Table) -> Option<String> {
    let index = table.indexes.iter().find(|index| serves(&index.definition, definition))?;
    if !index.valid && table.kind != 'p' {
        return Some(format!("{} is the same and invalid: it has to be built anew", index.name));
    }
    Some(format!("the index {} answers the same already", index.name))
}

/// A rejection.
pub fn reject(found: &Found, looked: &[Looked<'_>], schema: &Schema, why: String) -> Rejected {
    let shapes = found.of.iter().map(|place| looked[*place].observed.fingerprint).collect();
    Rejected { what: format!("index {}", title(&found.candidate.definition, schema)), shapes, why }
}
