//! Which of many indexes: those that save more seconds a day than they cost, within a budget.
//!
//! What is made as large as possible: over statements, their measured seconds a day times the part that the planner says will go, minus the
//! seconds by which writes become slower, minus a rent for bytes. No sample of any statement may become more than a tenth dearer. Planner
//! costs of different statements are never added: each is compared only with that of the same statement without the indexes.
//!
//! From above: all indexes that any statement's best plan uses are there at first, which needs no question, for each best plan is known. Then the
//! least useful one goes, again and again; then one comes, or one takes the place of another, of two or of all of its table (`search`). A
//! question is asked only where what is known of larger and of smaller sets leaves the answer open (`book`). Candidates stand in an order of their
//! own, so that the same comes out for any order of what went in. When the time is over, what is best so far is the answer.

mod book;
mod search;

use std::collections::{HashMap, HashSet};

use self::book::Book;
use self::search::Search;
use super::index::Definition;

/// What the planner says of a statement with indexes that are not there.
pub trait WhatIf {
    /// What it says of this set of candidates, by place, in order; `None`: it cannot be said any more.
    fn answer(&mut self, statement: usize, set: &[usize]) -> impl Future<Output = Option<Answer>>;

    /// Whether the time for questions is over.
    fn is_over(&self) -> bool {
        false
    }
}

/// What the planner says of a statement with a set of candidates.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The costs of its samples.
    pub costs: Vec<f64>,
    /// Those of the set that a plan of any sample uses, by place, in order.
    pub used: Vec<usize>,
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
    /// The candidates that its plans use when all are there.
    pub best: Vec<usize>,
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
    /// Plans that may be asked for to improve on what is left when nothing more can be dropped.
    pub questions: usize,
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
    let mut search = Search::new(Book::new(problem, what_if));
    let mut set = vec![];
    for group in groups(problem) {
        let used: HashSet<usize> = problem.statements.iter().flat_map(|one| &one.best).copied().collect();
        let begin = group.iter().copied().filter(|item| used.contains(item)).collect();
        search.order = group;
        set.extend(search.best(begin).await);
    }
    set.sort_unstable();
    let bytes: u64 = set.iter().map(|item| problem.items[*item].bytes).sum();
    if bytes > problem.budget.bytes {
        search.order = order(problem);
        set = search.best(set).await;
    }
    let worth = search.worth(&set);
    Choice { set, worth, complete: search.book.complete }
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
    let concerns = |item: &usize| problem.items[*item].relevant.contains(&statement);
    let set: Vec<usize> = set.iter().copied().filter(concerns).collect();
    let base = what_if.answer(statement, &[]).await?.costs;
    let costs = what_if.answer(statement, &set).await?.costs;
    Some(parts(&costs, &base))
}

/// Costs as parts of others.
fn parts(costs: &[f64], base: &[f64]) -> Vec<f64> {
    let ratio = |(cost, base): (&f64, &f64)| if *base > 0.0 { cost / base } else { 1.0 };
    costs.iter().zip(base).map(ratio).collect()
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

#[cfg(test)]
mod tests;
