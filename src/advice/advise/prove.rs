//! What the planner says of statements with indexes that are not there; where it cannot be asked, an estimate that claims less.

use std::collections::{HashMap, HashSet};

use tokio::time::Instant;

use super::look::Looked;
use super::pool::Found;
use crate::advice::ask::{Asked, Asker, NoPlan, Server};
use crate::advice::candidates::has_trigrams;
use crate::advice::choose::{Answer, WhatIf};
use crate::advice::hypopg::{Hypothetical, leaves};
use crate::advice::index::{Definition, Held, Key, quoted, unwrapped};
use crate::advice::plan::{Node, Plan};
use crate::advice::scan::{Condition, Found as Statement, Other, Scan, Test, scan};
use crate::advice::schema::{Schema, Table};
use crate::advice::{Sample, size};

/// Down to a leaf and back.
const DESCENT: f64 = 8.0;
/// Where only a pattern speaks for it, an index has to leave out this much: it is not proposed for more than a twentieth of the rows.
const LOW: f64 = 0.05;

/// A session with a planner.
pub struct Planner<'a, 'b, S> {
    asker: &'a mut Asker<S>,
    hypothetical: Option<Hypothetical>,
    pub schema: &'b Schema,
    pub looked: &'b [Looked<'b>],
    /// Candidates, by the places that sets have.
    pub candidates: Vec<Found>,
    /// By statement, what was answered.
    known: HashMap<usize, Vec<Known>>,
    /// What some plan used that HypoPG showed.
    seen: HashSet<Definition>,
}

impl<'a, 'b, S: Server> Planner<'a, 'b, S> {
    pub fn new(
        asker: &'a mut Asker<S>,
        hypothetical: Option<Hypothetical>,
        schema: &'b Schema,
        looked: &'b [Looked<'b>],
    ) -> Planner<'a, 'b, S> {
        let (known, seen) = (HashMap::new(), HashSet::new());
        Planner { asker, hypothetical, schema, looked, candidates: vec![], known, seen }
    }

    /// From now on nothing is asked after `until`.
    pub fn set_end(&mut self, until: Instant) {
        self.asker.set_end(until);
    }

    pub fn is_late(&self) -> bool {
        self.asker.is_late()
    }

    /// Candidates that the plans of a statement used when it was asked last.
    pub fn used(&self, statement: usize) -> Vec<usize> {
        let last = self.known.get(&statement).and_then(|known| known.last());
        last.map(|known| known.used.clone()).unwrap_or_default()
    }

    /// Why HypoPG did not take a candidate.
    pub fn refused(&self, candidate: usize) -> Option<&str> {
        self.hypothetical.as_ref()?.refused(candidate)
    }

    /// Whether it is the planner who speaks for a candidate.
    pub fn shows(&self, candidate: usize) -> bool {
        self.hypothetical.is_some() && self.candidates[candidate].candidate.provable
    }

    /// Whether it is the planner who speaks for a candidate in the plans of a statement.
    pub fn proves(&self, statement: usize, candidate: usize) -> bool {
        let one = &self.candidates[candidate].candidate.definition;
        let sample = self.looked[statement].samples.first();
        self.shows(candidate)
            && (self.seen.contains(one) || !sample.is_some_and(|sample| hides(sample, one, self.schema)))
    }

    /// Why a candidate that was tried is of no use.
    pub fn not_used(&self, provable: bool) -> &'static str {
        match (self.hypothetical.is_some(), provable) {
            (true, true) => "shown to the planner, with all others: no sample of any statement uses it",
            (true, false) => "HypoPG cannot show it, and by its pattern it leaves too many rows",
            (false, _) => {
                "without HypoPG it cannot be shown to the planner, and its pattern alone does not speak for it"
            }
        }
    }

    /// Takes these candidates for those that were there. What was answered of those that stay still holds: none that goes was used.
    pub async fn replace_candidates(&mut self, candidates: Vec<Found>) {
        let place = |old: &usize| {
            let old = &self.candidates[*old].candidate.definition;
            candidates.iter().position(|new| new.candidate.definition == *old)
        };
        for known in self.known.values_mut().flatten() {
            for list in [&mut known.set, &mut known.used] {
                *list = list.iter().filter_map(place).collect();
                list.sort_unstable();
            }
        }
        self.candidates = candidates;
        if let Some(hypothetical) = &mut self.hypothetical {
            let forgotten = hypothetical.forget(self.asker).await;
            // A session that cannot forget them would show indexes that nobody asked about.
            if forgotten.is_err() {
                self.hypothetical = None;
            }
        }
    }

    /// Costs with what HypoPG can show.
    async fn shown(&mut self, statement: usize, set: &[usize]) -> Option<(Vec<f64>, Vec<usize>)> {
        let looked = &self.looked[statement];
        let base = || (looked.plans.iter().map(Plan::cost).collect(), vec![]);
        let Some(hypothetical) = &mut self.hypothetical else { return Some(base()) };
        let wanted: Vec<(usize, &Definition)> = set
            .iter()
            .map(|one| (*one, &self.candidates[*one].candidate))
            .filter(|(_, candidate)| candidate.provable)
            .map(|(one, candidate)| (one, &candidate.definition))
            .collect();
        if wanted.is_empty() {
            return Some(base());
        }
        // A server that is gone without a word takes its time to say so.
        if self.asker.is_late() {
            return None;
        }
        if let Err(no_plan) = hypothetical.set(self.asker, &wanted, self.schema).await {
            hypothetical.lose(&no_plan);
            return None;
        }
        let (mut costs, mut all_used) = (vec![], vec![]);
        for sample in &looked.samples {
            let asked = Asked { text: &sample.text, types: &sample.types, values: &sample.values };
            match self.asker.plan(asked).await {
                Ok(plan) => {
                    let used = hypothetical.used(&plan);
                    let corrected = used.iter().map(|one| {
                        too_dear(
                            &plan,
                            |name| hypothetical.is_of(*one, name),
                            &self.candidates[*one],
                            self.schema,
                        )
                    });
                    costs.push((plan.cost() - corrected.sum::<f64>()).max(0.01));
                    all_used.extend(used);
                }
                Err(no_plan) => {
                    hypothetical.lose(&no_plan);
                    return None;
                }
            }
        }
        let used = all_used.iter().map(|one| self.candidates[*one].candidate.definition.clone());
        self.seen.extend(used);
        Some((costs, all_used))
    }

    /// What it costs with an index that nobody can show, at least as its pattern has it.
    fn by_pattern(&self, statement: usize, candidate: usize, costs: &mut [f64]) -> bool {
        let looked = &self.looked[statement];
        let definition = &self.candidates[candidate].candidate.definition;
        let Some(table) = self.schema.table(definition.table) else { return false };
        let mut better = false;
        for ((plan, sample), cost) in looked.plans.iter().zip(&looked.samples).zip(costs) {
            let Some(mut found) = scan(sample, self.schema) else { continue };
            found.count(&looked.observed.sums);
            let found = with_index(plan, definition, table, &found, self.schema);
            if let Some(found) = found.filter(|found| *found < *cost) {
                (*cost, better) = (found, true);
            }
        }
        better
    }
}

impl<S: Server> WhatIf for Planner<'_, '_, S> {
    async fn answer(&mut self, statement: usize, set: &[usize]) -> Option<Answer> {
        if let Some(known) = self.known.get(&statement).and_then(|all| all.iter().find(|one| one.tells(set)))
        {
            return Some(Answer { costs: known.costs.clone(), used: known.used.clone() });
        }
        let (mut costs, mut used) = self.shown(statement, set).await?;
        for candidate in set {
            if !self.proves(statement, *candidate) && self.by_pattern(statement, *candidate, &mut costs) {
                used.push(*candidate);
            }
        }
        used.sort_unstable();
        used.dedup();
        let known = Known { set: set.to_vec(), used: used.clone(), costs: costs.clone() };
        self.known.entry(statement).or_default().push(known);
        Some(Answer { costs, used })
    }
}

/// Whether HypoPG (1.3.1) keeps an index from the planner: expressions in it, and its predicate, are those of the first relation of a query,
/// so that of a partition, and of a table that is joined to another one, the planner takes them for something else.
fn hides(sample: &Sample, definition: &Definition, schema: &Schema) -> bool {
    let expression = definition.keys.iter().any(|key| matches!(key.what, Held::Expression(_)));
    let Some(table) = schema.table(definition.table).filter(|_| expression) else { return false };
    let Some(found) = scan(sample, schema) else { return false };
    let later = |scan: &Scan| {
        found.scans.iter().any(|other| other.level == scan.level && other.relation < scan.relation)
    };
    table.kind == 'p' || found.scans.iter().filter(|scan| scan.table == table.oid).all(later)
}

/// What was answered of a statement with a set.
struct Known {
    set: Vec<usize>,
    /// Those of the set that a plan of any sample used.
    used: Vec<usize>,
    costs: Vec<f64>,
}

impl Known {
    /// Whether the answer is that of another set too: one that has no index that was not there, and all that were used.
    fn tells(&self, set: &[usize]) -> bool {
        set.iter().all(|one| self.set.contains(one)) && self.used.iter().all(|one| set.contains(one))
    }
}

impl Hypothetical {
    /// After a lost connection nothing is there any more.
    fn lose(&mut self, no_plan: &NoPlan) {
        if matches!(no_plan, NoPlan::Refused(refused) if refused.lost) {
            self.lost();
        }
    }
}

/// By how much a plan is too dear because HypoPG has no statistics of an expression: the planner takes 200 different values for granted.
fn too_dear(plan: &Plan, is_it: impl Fn(&str) -> bool, found: &Found, schema: &Schema) -> f64 {
    let definition = &found.candidate.definition;
    let expression = definition.keys.first().filter(|key| matches!(key.what, Held::Expression(_)));
    let known = expression.zip(schema.table(definition.table));
    let Some((table, distinct)) =
        known.and_then(|(key, table)| Some((table, size::key_distinct(key, table)?)))
    else {
        return 0.0;
    };
    let rows = (table.rows / distinct).max(1.0);
    let uses = |node: &Node| node.index.as_deref().is_some_and(&is_it);
    let nodes = plan.nodes();
    // Of a bitmap, the heap is read by the node above.
    let reading = nodes.iter().filter(|node| match node.kind.as_str() {
        "Bitmap Heap Scan" => node.below.iter().any(uses),
        "Bitmap Index Scan" => false,
        _ => uses(node),
    });
    let equality = |node: &&&Node| {
        !node.condition("Index Cond").is_some_and(|text| text.contains(" < ") || text.contains(" > "))
    };
    let over = reading.filter(equality).map(|node| {
        let part = (rows / node.rows.max(1.0)).min(1.0);
        (node.cost.1 - DESCENT).max(0.0) * (1.0 - part)
    });
    over.sum()
}

/// What a plan would cost if its sequential scans of a table went through an index; `None` where nothing speaks for it.
fn with_index(
    plan: &Plan,
    definition: &Definition,
    table: &Table,
    found: &Statement,
    schema: &Schema,
) -> Option<f64> {
    let leaves = leaves(schema, table);
    let is_it = |node: &&&Node| {
        let name = node.table.as_ref().map(|(_, name)| name);
        node.kind.ends_with("Seq Scan")
            && (name == Some(&table.name) || leaves.iter().any(|leaf| name == Some(&leaf.name)))
    };
    let nodes = plan.nodes();
    let part = part(definition, table, found, schema)?;
    let mut saved = 0.0;
    for node in nodes.iter().filter(is_it) {
        let all = leaves.iter().find(|leaf| node.table.as_ref().is_some_and(|(_, name)| *name == leaf.name));
        let (rows, pages) = all.map_or((table.rows, table.pages), |leaf| (leaf.rows, leaf.pages));
        if part > LOW {
            continue;
        }
        let fetched = (rows * part).max(1.0);
        let cost = DESCENT + fetched.min(pages as f64) * plan.random_page_cost() + fetched * 0.02;
        saved += (node.cost.1 - cost).max(0.0);
    }
    (saved > 0.0).then(|| (plan.cost() - saved).max(DESCENT))
}

/// The part of the rows that conditions on the keys leave: of a b-tree equalities in order, then one range; of others any.
fn part(definition: &Definition, table: &Table, found: &Statement, schema: &Schema) -> Option<f64> {
    let scans = found.scans.iter().filter(|scan| scan.table == table.oid);
    scans.filter_map(|scan| part_of(definition, table, scan, schema)).min_by(f64::total_cmp)
}

fn part_of(definition: &Definition, table: &Table, scan: &Scan, schema: &Schema) -> Option<f64> {
    let is_of = |key: &Key, one: &&Condition| {
        let text = match &key.what {
            Held::Column(name) => quoted(name),
            Held::Expression(text) => unwrapped(text).to_owned(),
        };
        one.what.print(schema.version).is_some_and(|printed| unwrapped(&printed) == text)
    };
    let ordered = definition.method == "btree";
    let mut found: Vec<&Condition> = vec![];
    for key in &definition.keys {
        // Both bounds of a range, where it has two.
        // A pattern without a trigram makes an index of trigrams read as a whole.
        let trigrams = key.class.as_ref().is_some_and(|class| class.ends_with("gin_trgm_ops"));
        let mine = scan.conditions.iter().filter(|one| is_of(key, one));
        let mine: Vec<&Condition> =
            mine.filter(|one| !trigrams || has_trigrams(one) != Some(false)).collect();
        if mine.is_empty() {
            if ordered { break } else { continue }
        }
        if mine.iter().any(|one| matches!(one.other, Other::Join(_))) {
            break;
        }
        let exact = mine.iter().any(|one| matches!(one.test, Test::Equal | Test::In | Test::Null));
        found.extend(mine);
        if ordered && !exact {
            break;
        }
    }
    (!found.is_empty()).then(|| scan.rows_left(&found, table) / table.rows.max(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advice::scan::tests::{sample, shop};

    /// The part of the rows that an index on these keys of `orders` leaves for a text.
    fn left(definition: &Definition, text: &str, value: &str, gave: Option<f64>) -> Option<f64> {
        let schema = shop();
        let mut found = scan(&sample(text, &[value]), &schema).expect("it is understood");
        found.scans[0].gives = gave;
        part(definition, &schema.tables[0], &found, &schema)
    }

    #[test]
    fn an_expression_of_a_later_relation_is_hidden_from_the_planner() {
        let hidden = |text: &str, table: u32, key: Key| {
            hides(&sample(text, &[]), &Definition::btree(table, vec![key]), &shop())
        };
        let note = || Key::expression("lower(note)");
        assert!(!hidden("select 1 from orders where lower(note) = 'x'", 1, note()));
        assert!(!hidden("select 1 from orders o, accounts a where lower(o.note) = 'x'", 1, note()));
        assert!(hidden("select 1 from accounts a, orders o where lower(o.note) = 'x'", 1, note()));
        assert!(!hidden("select 1 from accounts a, orders o where o.note = 'x'", 1, Key::column("note")));
        assert!(hidden("select 1 from events where abs(id) = 5", 4, Key::expression("abs(id)")));
    }

    #[test]
    fn a_pattern_claims_what_its_values_and_the_calls_say() {
        let class = Some("gin_trgm_ops".to_owned());
        let key = Key { class, ..Key::column("note") };
        let gin = Definition { method: "gin".to_owned(), ..Definition::btree(1, vec![key]) };
        let text = "select id from orders where note like $1";
        assert!(left(&gin, text, "%needle%", None).is_some());
        assert_eq!(left(&gin, text, "%#%#%", None), None);
        let size = Definition::btree(1, vec![Key::expression("((data ->> 'size'::text))::integer")]);
        let text = "select id from orders where (data ->> 'size')::integer > $1";
        assert_eq!(left(&size, text, "9", None), Some(1.0 / 3.0));
        assert_eq!(left(&size, text, "9", Some(20.0)), Some(20.0 / 2e6));
    }
}
