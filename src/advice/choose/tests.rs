//! The choice on made-up problems, beside the best there is.

use super::book::REGRESSION;
use super::*;
use crate::advice::index::Key;

/// Costs of each statement's samples: the least that any index of the set gives, but for one that spoils it.
struct Table {
    costs: Vec<Vec<Vec<f64>>>,
    asked: usize,
}

impl WhatIf for Table {
    async fn answer(&mut self, statement: usize, set: &[usize]) -> Option<Answer> {
        self.asked += usize::from(!set.is_empty());
        let by_cost = |costs: &Vec<f64>| {
            let mut by_cost = set.to_vec();
            by_cost.sort_by(|a, b| costs[*a].total_cmp(&costs[*b]).then(a.cmp(b)));
            by_cost
        };
        let of = |costs: &Vec<f64>| {
            let by_cost = by_cost(costs);
            let spoils = by_cost.last().filter(|item| costs[**item] > 110.0);
            spoils.or(by_cost.first().filter(|item| costs[**item] < 100.0)).copied()
        };
        let samples = &self.costs[statement];
        let used: Vec<Option<usize>> = samples.iter().map(of).collect();
        let costs = samples.iter().zip(&used).map(|(costs, used)| used.map_or(100.0, |item| costs[item]));
        Some(Answer { costs: costs.collect(), used: in_order(used.iter().flatten().copied()) })
    }
}

fn in_order(items: impl Iterator<Item = usize>) -> Vec<usize> {
    let mut items: Vec<usize> = items.collect();
    items.sort_unstable();
    items.dedup();
    items
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

/// With indexes that spoil a sample, as no planner has them, if so wanted.
fn problem(random: &mut Random, items: usize, statements: usize, spoils: bool) -> (Problem, Table) {
    let costs: Vec<Vec<Vec<f64>>> = (0..statements)
        .map(|_| {
            let cost = |random: &mut Random| match random.below(12) {
                0 if spoils => 150.0,
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
        best: vec![],
    };
    let statements = (0..statements).map(|_| weight(random)).collect();
    let budget =
        Budget { bytes: 20 + random.below(80), per_table: 3, rent: 0.001, each: 0.01, questions: usize::MAX };
    let mut problem = Problem { items, statements, budget };
    let mut table = Table { costs, asked: 0 };
    for statement in 0..problem.statements.len() {
        let all = own(&problem, statement, &(0..problem.items.len()).collect::<Vec<_>>());
        let answer = run(table.answer(statement, &all)).expect("an answer");
        problem.statements[statement].best = answer.used;
    }
    table.asked = 0;
    (problem, table)
}

fn own(problem: &Problem, statement: usize, set: &[usize]) -> Vec<usize> {
    set.iter().copied().filter(|item| problem.items[*item].relevant.contains(&statement)).collect()
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
}

/// What a set is worth, reckoned plainly; `None` where it is not allowed.
fn worth(problem: &Problem, what_if: &mut impl WhatIf, set: &[usize]) -> Option<f64> {
    let (items, budget) = (&problem.items, problem.budget);
    let of_table = |item: &usize| {
        let table = items[*item].definition.table;
        set.iter().filter(|other| items[**other].definition.table == table).count()
    };
    let bytes: u64 = set.iter().map(|item| items[*item].bytes).sum();
    if bytes > budget.bytes || set.iter().any(|item| of_table(item) > budget.per_table) {
        return None;
    }
    let cost = |item: &usize| items[*item].writes + items[*item].bytes as f64 * budget.rent + budget.each;
    let mut worth = -set.iter().map(cost).sum::<f64>();
    for (statement, weight) in problem.statements.iter().enumerate() {
        let ratios = run(ratios(problem, what_if, statement, set)).expect("costs");
        if ratios.iter().any(|ratio| *ratio > REGRESSION) {
            return None;
        }
        worth += weight.seconds - weight.seconds_with(&ratios);
    }
    Some(worth)
}

/// The best of all sets.
fn by_force(problem: &Problem, table: &mut Table) -> f64 {
    let sets = (0..1_usize << problem.items.len())
        .map(|bits| (0..problem.items.len()).filter(|item| bits >> item & 1 == 1).collect::<Vec<usize>>());
    sets.filter_map(|set| worth(problem, table, &set)).fold(0.0, f64::max)
}

#[test]
fn what_is_chosen_is_near_the_best_and_within_all_bounds() {
    // With all questions that it wants, and with next to none to improve on what is left; in both with samples that become dearer, and without.
    let mut sums = [[0.0; 3]; 2];
    for seed in 1..300 {
        let spoils = seed % 2 == 0;
        let (mut problem, mut table) = problem(&mut Random(seed * 7919), 8, 6, spoils);
        let optimum = by_force(&problem, &mut table);
        let [whole, hasty, best] = &mut sums[usize::from(spoils)];
        for (questions, sum) in [(usize::MAX, whole), (4, hasty)] {
            problem.budget.questions = questions;
            let choice = run(choose(&problem, &mut table));
            let found = worth(&problem, &mut table, &choice.set).expect("it is allowed");
            assert!((found - choice.worth).abs() < 1e-6, "{seed}: {found} is told as {}", choice.worth);
            assert!(choice.complete && found <= optimum + 1e-6, "{seed}: {found} of {optimum}");
            assert!(questions == 4 || found >= optimum * 0.6, "{seed}: {found} of {optimum}");
            *sum += found;
        }
        *best += optimum;
    }
    let [parts, spoilt] = sums.map(|[whole, hasty, best]| (whole / best, hasty / best));
    assert!(parts.0 >= 0.995 && parts.1 >= 0.95, "{parts:?}");
    assert!(spoilt.0 >= 0.995, "{spoilt:?}");
}

#[test]
fn the_order_of_candidates_and_statements_does_not_matter() {
    for seed in 1..60 {
        let mut random = Random(seed * 104_729);
        let (problem, mut table) = problem(&mut random, 10, 8, true);
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
            item.relevant = item.relevant.iter().rev().map(|statement| statements - 1 - statement).collect();
        }
        for statement in &mut turned.statements {
            statement.best = statement.best.iter().rev().map(|item| items - 1 - item).collect();
        }
        let costs = |sample: &Vec<f64>| sample.iter().rev().copied().collect();
        let costs = |samples: &Vec<Vec<f64>>| samples.iter().map(costs).collect();
        let mut other = Table { costs: table.costs.iter().rev().map(costs).collect(), asked: 0 };
        let second = run(choose(&turned, &mut other));
        assert_eq!(chosen(&problem, &first), chosen(&turned, &second), "{seed}");
    }
}

#[test]
fn when_time_is_over_nothing_is_claimed() {
    struct Late;
    impl WhatIf for Late {
        async fn answer(&mut self, _: usize, _: &[usize]) -> Option<Answer> {
            None
        }
    }
    let (problem, _) = problem(&mut Random(5), 4, 4, true);
    let choice = run(choose(&problem, &mut Late));
    assert_eq!((choice.set, choice.complete), (vec![], false));
}

/// A database of tables with eight columns each: statements compare some of them, and an index leaves the rows that its first keys leave.
struct Shelves {
    rows: Vec<f64>,
    /// By table and column, the part of the rows that a value leaves.
    parts: Vec<Vec<f64>>,
    /// The table and the columns that each statement compares.
    statements: Vec<(usize, Vec<usize>)>,
    /// The table and the keys of each candidate.
    indexes: Vec<(usize, Vec<usize>)>,
    asked: usize,
}

impl WhatIf for Shelves {
    async fn answer(&mut self, statement: usize, set: &[usize]) -> Option<Answer> {
        let (table, columns) = &self.statements[statement];
        let whole = self.rows[*table] * 0.02;
        let cost = |item: &usize| {
            let keys = &self.indexes[*item].1;
            let part = |key: &usize| self.parts[*table][*key];
            let part: f64 = keys.iter().take_while(|key| columns.contains(key)).map(part).product();
            4.0 + self.rows[*table] * part * 0.5 + keys.len() as f64 * 0.02
        };
        self.asked += usize::from(!set.is_empty());
        let best = set.iter().copied().min_by(|a, b| cost(a).total_cmp(&cost(b)));
        let best = best.filter(|item| cost(item) < whole);
        let costs = vec![best.map_or(whole, |item| cost(&item))];
        Some(Answer { costs, used: best.into_iter().collect() })
    }
}

/// So many statements over so many tables, with all indexes that begin any of them.
fn shelves(random: &mut Random, tables: usize, statements: usize) -> (Problem, Shelves) {
    let mut columns =
        |_: usize| (0..8).map(|_| [0.5, 0.2, 0.05, 0.01, 0.001][random.below(5) as usize]).collect();
    let parts: Vec<Vec<f64>> = (0..tables).map(&mut columns).collect();
    let rows: Vec<f64> = (0..tables).map(|_| 1000.0 * (1 + random.below(300)) as f64).collect();
    let compares = |statement: usize| {
        let columns = 1 + random.below(3);
        (statement % tables, in_order((0..columns).map(|_| random.below(8) as usize)))
    };
    let compares: Vec<(usize, Vec<usize>)> = (0..statements).map(compares).collect();
    let mut indexes = vec![];
    for (table, columns) in &compares {
        for first in 0..columns.len() {
            let mut keys = columns.clone();
            keys.rotate_left(first);
            indexes.extend((1..=keys.len()).map(|count| (*table, keys[..count].to_vec())));
        }
    }
    indexes.sort();
    indexes.dedup();
    let item = |(table, keys): &(usize, Vec<usize>)| {
        let definition = keys.iter().map(|key| Key::column(format!("c{key}"))).collect();
        let concerns =
            |statement: &usize| compares[*statement].0 == *table && compares[*statement].1.contains(&keys[0]);
        Item {
            definition: Definition::btree(*table as u32, definition),
            bytes: (rows[*table] * 8.0) as u64,
            writes: 0.2 * keys.len() as f64,
            relevant: (0..statements).filter(concerns).collect(),
        }
    };
    let items: Vec<Item> = indexes.iter().map(item).collect();
    let mut what_if = Shelves { rows, parts, statements: compares, indexes, asked: 0 };
    let mut weights = vec![];
    for statement in 0..statements {
        let all: Vec<usize> =
            (0..items.len()).filter(|item| items[*item].relevant.contains(&statement)).collect();
        let base = run(what_if.answer(statement, &[])).expect("an answer").costs;
        let answer = run(what_if.answer(statement, &all)).expect("an answer");
        let mut weight = Weight {
            seconds: 100.0 * (1 + random.below(50)) as f64,
            floor: 0.01,
            samples: vec![1.0],
            least: 0.0,
            best: answer.used,
        };
        weight.least = weight.seconds_with(&super::parts(&answer.costs, &base));
        weights.push(weight);
    }
    what_if.asked = 0;
    let whole: f64 = weights.iter().map(|one| one.seconds).sum();
    let each = 0.01 + whole * 0.0005;
    let budget = Budget { bytes: u64::MAX, per_table: 5, rent: 1e-8, each, questions: usize::MAX };
    (Problem { items, statements: weights, budget }, what_if)
}

#[test]
fn of_five_hundred_statements_little_is_asked_and_little_is_missed() {
    let (mut problem, mut what_if) = shelves(&mut Random(7919), 50, 500);
    let best = run(choose(&problem, &mut what_if));
    let all = std::mem::take(&mut what_if.asked);
    problem.budget.questions = 200;
    let choice = run(choose(&problem, &mut what_if));
    let asked = what_if.asked;
    let found = worth(&problem, &mut what_if, &choice.set).expect("it is allowed");
    assert!(found >= best.worth * 0.97, "{found} of {}", best.worth);
    assert!(asked <= 1000 && asked * 2 < all, "{asked} questions, {all} without a limit");
    assert!((choice.set.len() as f64) < 500.0 * 0.5, "{} indexes", choice.set.len());
}
