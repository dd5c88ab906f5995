//! Which of many indexes: those that save more seconds a day than they cost, within a budget.
//!
//! What is made as large as possible: over statements, their measured seconds a day times the part that the planner says will go, minus the
//! seconds by which writes become slower, minus a rent for bytes. No sample of any statement may become more than a tenth dearer. Planner
//! costs of different statements are never added: each is compared only with that of the same statement without the indexes.
//!
//! Greedy, then pruned (what came first may be worth nothing beside what came later), swapped (also one for two of its table, and one for its
//! longer form), and begun once by gain and once by gain for a byte. Candidates stand in an order of their own, so that the same comes out
//! for any order of what went in. When the time is over, what is best so far is the answer.

use std::collections::{HashMap, HashSet};

use super::index::Definition;

/// A sample that becomes dearer by more than this forbids the set.
const REGRESSION: f64 = 1.1;
/// Gains for a byte are small numbers; they are compared as large ones.
const SCALE: f64 = 1e9;
/// Rounds of pruning, adding and swapping.
const ROUNDS: usize = 8;

/// What the planner says of a statement with indexes that are not there.
pub trait WhatIf {
    /// The costs of its samples with this set of candidates, by place, in order; `None`: it cannot be said any more.
    fn costs(&mut self, statement: usize, set: &[usize]) -> impl Future<Output = Option<Vec<f64>>>;
}

/// An index that could be.
#[derive(Debug, Clone)]
pub struct Item {
    /// What it is.
    pub definition: Definition,
    /// Its size.
    pub bytes: u64,
    /// Seconds a day by which writes become slower.
    pub writes: f64,
    /// The statements whose plans may change with it, by place.
    pub relevant: Vec<usize>,
}

/// What a statement weighs.
#[derive(Debug, Clone)]
pub struct Weight {
    /// Seconds a day that it takes.
    pub seconds: f64,
    /// The part of them that stays, whatever its plan is: a statement has to be sent and answered.
    pub floor: f64,
    /// What each sample stands for.
    pub samples: Vec<f64>,
    /// The seconds that it takes at least, with all candidates there are: what cannot be worth it needs no question.
    pub least: f64,
}

/// What may be spent.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// Bytes of all that is chosen.
    pub bytes: u64,
    /// Indexes that one table may get.
    pub per_table: usize,
    /// Seconds a day that a byte counts for.
    pub rent: f64,
    /// Seconds a day that an index counts for, however small: somebody has to create it, and look after it.
    pub each: f64,
}

/// What was chosen.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Choice {
    /// Candidates by place, in order.
    pub set: Vec<usize>,
    /// Seconds a day that all of it saves, costs taken off.
    pub worth: f64,
    /// Nothing was left out for lack of time.
    pub complete: bool,
}

/// Candidates, statements and a budget.
#[derive(Debug, Clone)]
pub struct Problem {
    /// Candidates.
    pub items: Vec<Item>,
    /// Statements.
    pub statements: Vec<Weight>,
    /// What may be spent.
    pub budget: Budget,
}

/// Chooses: for each group of tables that no statement joins with others by itself, the most promising first, so that what is best is there
/// when the time is over. Where all of it together is beyond the bytes, among all.
pub async fn choose(problem: &Problem, what_if: &mut impl WhatIf) -> Choice {
    let mut search = Search { problem, what_if, known: HashMap::new(), complete: true, order: vec![] };
    let mut set = vec![];
    for group in groups(problem) {
        search.order = group;
        set.extend(search.best().await);
    }
    set.sort_unstable();
    let bytes: u64 = set.iter().map(|item| problem.items[*item].bytes).sum();
    if bytes > problem.budget.bytes {
        search.order = order(problem);
        set = search.best().await;
    }
    let worth = search.worth(&set).await.unwrap_or_default();
    Choice { set, worth, complete: search.complete }
}

/// Candidates that have a statement or a table in common, directly or by others; those groups first that may save most.
fn groups(problem: &Problem) -> Vec<Vec<usize>> {
    let mut groups: Vec<(Vec<usize>, HashSet<usize>, HashSet<u32>)> = vec![];
    for item in order(problem) {
        let given = &problem.items[item];
        let statements: HashSet<usize> = given.relevant.iter().copied().collect();
        let mut new = (vec![item], statements, HashSet::from([given.definition.table]));
        for old in std::mem::take(&mut groups) {
            if old.1.is_disjoint(&new.1) && old.2.is_disjoint(&new.2) {
                groups.push(old);
            } else {
                new.0.extend(old.0);
                new.1.extend(old.1);
                new.2.extend(old.2);
            }
        }
        groups.push(new);
    }
    let place: HashMap<usize, usize> =
        order(problem).into_iter().enumerate().map(|(at, item)| (item, at)).collect();
    let mut found: Vec<(f64, Vec<usize>)> = groups
        .into_iter()
        .map(|(mut items, statements, _)| {
            items.sort_by_key(|item| place[item]);
            let mut hopes: Vec<f64> = statements.iter().map(|one| problem.statements[*one].hope()).collect();
            // Sums of the same numbers are the same in one order only.
            hopes.sort_by(f64::total_cmp);
            (hopes.iter().sum(), items)
        })
        .collect();
    found.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| place[&a.1[0]].cmp(&place[&b.1[0]])));
    found.into_iter().map(|(_, items)| items).collect()
}

/// What the costs of a statement become with a set, as a part of what they were; `None`: it cannot be said.
pub async fn ratios(
    problem: &Problem,
    what_if: &mut impl WhatIf,
    statement: usize,
    set: &[usize],
) -> Option<Vec<f64>> {
    let mut search = Search { problem, what_if, known: HashMap::new(), complete: true, order: vec![] };
    search.ratios(statement, set).await
}

impl Weight {
    /// Seconds a day that can be saved at most.
    fn hope(&self) -> f64 {
        (self.seconds - self.least).max(0.0)
    }

    /// Seconds a day with costs that have become this part of what they were.
    pub fn seconds_with(&self, ratios: &[f64]) -> f64 {
        let whole: f64 = self.samples.iter().sum();
        let parts = self.samples.iter().zip(ratios).map(|(weight, ratio)| weight * ratio.max(self.floor));
        if whole > 0.0 { self.seconds * parts.sum::<f64>() / whole } else { self.seconds }
    }
}

fn order(problem: &Problem) -> Vec<usize> {
    let mut order: Vec<usize> = (0..problem.items.len()).collect();
    order.sort_by(|a, b| problem.items[*a].definition.cmp(&problem.items[*b].definition));
    order
}

/// By more than what numbers lose on the way.
fn better(new: f64, old: f64) -> bool {
    new > old + 1e-9 + old.abs() * 1e-9
}

struct Search<'a, W> {
    problem: &'a Problem,
    what_if: &'a mut W,
    /// Ratios by statement and the candidates that concern it.
    known: HashMap<(usize, Vec<usize>), Option<Vec<f64>>>,
    complete: bool,
    /// Candidates in the order in which they are tried.
    order: Vec<usize>,
}

impl<W: WhatIf> Search<'_, W> {
    /// The best that is found of the candidates in `order`.
    async fn best(&mut self) -> Vec<usize> {
        let mut best = (0.0, vec![]);
        for by_byte in [false, true] {
            let mut set = self.greedy(by_byte).await;
            self.refine(&mut set).await;
            let worth = self.worth(&set).await.unwrap_or_default();
            if better(worth, best.0) {
                best = (worth, set);
            }
        }
        best.1
    }

    /// One after the other, the best each time; those that can be worth most are asked about first, and what cannot be worth more than the
    /// best so far is not asked about.
    async fn greedy(&mut self, by_byte: bool) -> Vec<usize> {
        let (mut set, mut worth) = (vec![], 0.0);
        loop {
            let mut best: Option<(f64, f64, Vec<usize>)> = None;
            for (hope, item, with) in self.hopes(&set, worth, by_byte).await {
                if best.as_ref().is_some_and(|best| !better(hope * SCALE, best.0 * SCALE)) {
                    break;
                }
                let Some(found) = self.worth(&with).await.filter(|found| better(*found, worth)) else {
                    continue;
                };
                let score = self.score(found - worth, item, by_byte);
                if best.as_ref().is_none_or(|best| better(score * SCALE, best.0 * SCALE)) {
                    best = Some((score, found, with));
                }
            }
            let Some((_, found, with)) = best else { return set };
            (set, worth) = (with, found);
        }
    }

    /// What each candidate may be worth at most beside a set, and the set with it; the most first.
    async fn hopes(&mut self, set: &[usize], worth: f64, by_byte: bool) -> Vec<(f64, usize, Vec<usize>)> {
        let mut hopes = vec![];
        for item in self.order.clone() {
            let Some(with) = self.with(set, item) else { continue };
            let hope = self.hope_beside(&with, set, worth).await;
            if better(hope, worth) {
                hopes.push((self.score(hope - worth, item, by_byte), item, with));
            }
        }
        hopes.sort_by(|a, b| b.0.total_cmp(&a.0));
        hopes
    }

    fn score(&self, gain: f64, item: usize, by_byte: bool) -> f64 {
        if by_byte { gain / self.problem.items[item].bytes.max(1) as f64 } else { gain }
    }

    /// Until nothing gets better: drops, adds and replaces.
    async fn refine(&mut self, set: &mut Vec<usize>) {
        for _ in 0..ROUNDS {
            let Some(mut worth) = self.worth(set).await else { return };
            let before = worth;
            self.take_best(set, &mut worth, Search::without_each).await;
            self.take_best(set, &mut worth, Search::with_each).await;
            self.take_best(set, &mut worth, Search::with_others).await;
            if !better(worth, before) {
                return;
            }
        }
    }

    /// Moves to the best of the neighbours, as long as one is better.
    async fn take_best(
        &mut self,
        set: &mut Vec<usize>,
        worth: &mut f64,
        neighbours: impl Fn(&Self, &[usize]) -> Vec<Vec<usize>>,
    ) {
        loop {
            let mut best: Option<(f64, Vec<usize>)> = None;
            for one in neighbours(self, set) {
                let least = best.as_ref().map_or(*worth + self.problem.budget.each / 2.0, |known| known.0);
                if !better(self.hope_beside(&one, set, *worth).await, least) {
                    continue;
                }
                let Some(found) = self.worth(&one).await else { continue };
                if better(found, best.as_ref().map_or(*worth, |known| known.0)) {
                    best = Some((found, one));
                }
            }
            let Some((found, one)) = best else { return };
            (*worth, *set) = (found, one);
        }
    }

    fn without_each(&self, set: &[usize]) -> Vec<Vec<usize>> {
        set.iter().map(|gone| set.iter().copied().filter(|item| item != gone).collect()).collect()
    }

    fn with_each(&self, set: &[usize]) -> Vec<Vec<usize>> {
        self.order.iter().filter_map(|item| self.with(set, *item)).collect()
    }

    /// One for another one, or for all others of its table. Where the bytes are short, also for one of another table.
    fn with_others(&self, set: &[usize]) -> Vec<Vec<usize>> {
        let table = |item: usize| self.problem.items[item].definition.table;
        let mut all = vec![];
        for new in self.order.iter().copied().filter(|item| !set.contains(item)) {
            let same: Vec<usize> = set.iter().copied().filter(|old| table(*old) == table(new)).collect();
            let short = self.with(set, new).is_none();
            for old in set.iter().filter(|old| short || same.contains(old)) {
                let rest: Vec<usize> = set.iter().copied().filter(|item| item != old).collect();
                all.extend(self.with(&rest, new));
            }
            if same.len() > 1 {
                let rest: Vec<usize> = set.iter().copied().filter(|item| !same.contains(item)).collect();
                all.extend(self.with(&rest, new));
            }
        }
        all
    }

    /// With one more, in order, if the budget has room for it.
    fn with(&self, set: &[usize], item: usize) -> Option<Vec<usize>> {
        let (items, budget) = (&self.problem.items, self.problem.budget);
        if set.contains(&item) {
            return None;
        }
        let bytes: u64 = set.iter().map(|one| items[*one].bytes).sum();
        let table = items[item].definition.table;
        let of_table = set.iter().filter(|one| items[**one].definition.table == table).count();
        if bytes.saturating_add(items[item].bytes) > budget.bytes || of_table >= budget.per_table {
            return None;
        }
        let mut with = set.to_vec();
        with.push(item);
        with.sort_unstable();
        Some(with)
    }

    /// Seconds a day that a set saves at most, beside another that is worth so much: statements that no changed index concerns stay as they are.
    async fn hope_beside(&mut self, set: &[usize], other: &[usize], worth: f64) -> f64 {
        let changed: Vec<usize> = set.iter().filter(|item| !other.contains(item)).copied().collect();
        let mut hope = worth + self.cost(other) - self.cost(set);
        for statement in self.touched(&changed) {
            let Some(ratios) = self.ratios(statement, other).await else { continue };
            let weight = &self.problem.statements[statement];
            hope += (weight.seconds_with(&ratios) - weight.least).max(0.0);
        }
        hope
    }

    fn cost(&self, set: &[usize]) -> f64 {
        let cost = |item: &usize| {
            let item = &self.problem.items[*item];
            item.writes + item.bytes as f64 * self.problem.budget.rent + self.problem.budget.each
        };
        set.iter().map(cost).sum()
    }

    /// Statements whose plans may change.
    fn touched(&self, set: &[usize]) -> Vec<usize> {
        let mut touched: Vec<usize> =
            set.iter().flat_map(|item| self.problem.items[*item].relevant.iter().copied()).collect();
        touched.sort_unstable();
        touched.dedup();
        touched
    }

    /// Seconds a day that a set saves; `None` where it must not be, or nobody knows.
    async fn worth(&mut self, set: &[usize]) -> Option<f64> {
        let mut worth = -self.cost(set);
        for statement in self.touched(set) {
            let ratios = self.ratios(statement, set).await?;
            if ratios.iter().any(|ratio| *ratio > REGRESSION) {
                return None;
            }
            let weight = &self.problem.statements[statement];
            worth += weight.seconds - weight.seconds_with(&ratios);
        }
        Some(worth)
    }

    async fn ratios(&mut self, statement: usize, set: &[usize]) -> Option<Vec<f64>> {
        let concerns = |item: &usize| self.problem.items[*item].relevant.contains(&statement);
        let set: Vec<usize> = set.iter().copied().filter(concerns).collect();
        let base = self.costs(statement, vec![]).await?;
        let costs = self.costs(statement, set).await?;
        let ratio = |(cost, base): (&f64, &f64)| if *base > 0.0 { cost / base } else { 1.0 };
        Some(costs.iter().zip(&base).map(ratio).collect())
    }

    async fn costs(&mut self, statement: usize, set: Vec<usize>) -> Option<Vec<f64>> {
        if let Some(known) = self.known.get(&(statement, set.clone())) {
            return known.clone();
        }
        let found = self.what_if.costs(statement, &set).await;
        self.complete &= found.is_some();
        self.known.insert((statement, set), found.clone());
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advice::index::Key;

    /// Costs of each statement's samples: the least that any index of the set gives, but for one that spoils it.
    struct Table(Vec<Vec<Vec<f64>>>);

    impl WhatIf for Table {
        async fn costs(&mut self, statement: usize, set: &[usize]) -> Option<Vec<f64>> {
            let samples = &self.0[statement];
            let of = |costs: &Vec<f64>| {
                let least = set.iter().map(|item| costs[*item]).fold(100.0, f64::min);
                let most = set.iter().map(|item| costs[*item]).fold(100.0, f64::max);
                if most > 110.0 { most } else { least }
            };
            Some(samples.iter().map(of).collect())
        }
    }

    struct Random(u64);

    impl Random {
        fn below(&mut self, limit: u64) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0 % limit
        }
    }

    fn problem(random: &mut Random, items: usize, statements: usize) -> (Problem, Table) {
        let costs: Vec<Vec<Vec<f64>>> = (0..statements)
            .map(|_| {
                let cost = |random: &mut Random| match random.below(12) {
                    0 => 150.0,
                    1..4 => random.below(100) as f64,
                    _ => 100.0,
                };
                (0..2).map(|_| (0..items).map(|_| cost(random)).collect()).collect()
            })
            .collect();
        let concerns = |item: usize, statement: &usize| {
            costs[*statement].iter().any(|sample: &Vec<f64>| sample[item] != 100.0)
        };
        let items: Vec<Item> = (0..items)
            .map(|item| Item {
                definition: Definition::btree(item as u32 % 3, vec![Key::column(format!("c{item}"))]),
                bytes: 1 + random.below(50),
                writes: random.below(20) as f64 / 10.0,
                relevant: (0..statements).filter(|statement| concerns(item, statement)).collect(),
            })
            .collect();
        let weight = |random: &mut Random| Weight {
            seconds: random.below(100) as f64,
            floor: 0.02,
            samples: vec![1.0, 1.0],
            least: 0.0,
        };
        let statements = (0..statements).map(|_| weight(random)).collect();
        let budget = Budget { bytes: 20 + random.below(80), per_table: 3, rent: 0.001, each: 0.01 };
        (Problem { items, statements, budget }, Table(costs))
    }

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
    }

    /// The best of all sets.
    async fn by_force(problem: &Problem, table: &mut Table) -> f64 {
        let mut search =
            Search { problem, what_if: table, known: HashMap::new(), complete: true, order: vec![] };
        let mut best = 0.0_f64;
        'sets: for bits in 0..1_usize << problem.items.len() {
            let mut set = vec![];
            for item in (0..problem.items.len()).filter(|item| bits >> item & 1 == 1) {
                let Some(with) = search.with(&set, item) else { continue 'sets };
                set = with;
            }
            best = best.max(search.worth(&set).await.unwrap_or_default());
        }
        best
    }

    #[test]
    fn what_is_chosen_is_near_the_best_and_within_all_bounds() {
        let (mut whole, mut best) = (0.0, 0.0);
        for seed in 1..300 {
            let (problem, mut table) = problem(&mut Random(seed * 7919), 8, 6);
            let choice = run(choose(&problem, &mut table));
            let optimum = run(by_force(&problem, &mut table));
            assert!(choice.worth <= optimum + 1e-6, "{seed}: {} of {optimum}", choice.worth);
            assert!(choice.worth >= optimum * 0.6, "{seed}: {} of {optimum}", choice.worth);
            let bytes: u64 = choice.set.iter().map(|item| problem.items[*item].bytes).sum();
            assert!(bytes <= problem.budget.bytes);
            for table_oid in 0..3 {
                let of = |item: &&usize| problem.items[**item].definition.table == table_oid;
                assert!(choice.set.iter().filter(of).count() <= 3);
            }
            for statement in 0..problem.statements.len() {
                let ratios = run(ratios(&problem, &mut table, statement, &choice.set)).expect("costs");
                assert!(ratios.iter().all(|ratio| *ratio <= REGRESSION), "{seed}: {ratios:?}");
            }
            (whole, best) = (whole + choice.worth, best + optimum);
        }
        assert!(whole >= best * 0.99, "{whole} of {best}");
    }

    #[test]
    fn the_order_of_candidates_and_statements_does_not_matter() {
        for seed in 1..60 {
            let mut random = Random(seed * 104_729);
            let (problem, mut table) = problem(&mut random, 10, 8);
            let chosen = |problem: &Problem, choice: &Choice| {
                let mut all: Vec<_> =
                    choice.set.iter().map(|item| problem.items[*item].definition.clone()).collect();
                all.sort();
                all
            };
            let first = run(choose(&problem, &mut table));
            // Both turned round.
            let (items, statements) = (problem.items.len(), problem.statements.len());
            let mut turned = problem.clone();
            turned.items.reverse();
            turned.statements.reverse();
            for item in &mut turned.items {
                item.relevant =
                    item.relevant.iter().rev().map(|statement| statements - 1 - statement).collect();
            }
            let costs = |sample: &Vec<f64>| sample.iter().rev().copied().collect();
            let costs = |samples: &Vec<Vec<f64>>| samples.iter().map(costs).collect();
            let mut other = Table(table.0.iter().rev().map(costs).collect());
            let second = run(choose(&turned, &mut other));
            assert_eq!(chosen(&problem, &first), chosen(&turned, &second), "{seed}");
            assert_eq!(items, turned.items.len());
        }
    }

    #[test]
    fn when_time_is_over_nothing_is_claimed() {
        struct Late;
        impl WhatIf for Late {
            async fn costs(&mut self, _: usize, _: &[usize]) -> Option<Vec<f64>> {
                None
            }
        }
        let (problem, _) = problem(&mut Random(5), 4, 4);
        let choice = run(choose(&problem, &mut Late));
        assert_eq!(choice, Choice { set: vec![], worth: 0.0, complete: false });
    }
}
