//! What is known of statements with sets of candidates, and what follows from it without a question.
//!
//! A plan that used U of the set S is also the plan of any set between U and S. And since a planner takes the cheapest of what it finds, a
//! larger set is not dearer: what is known of larger sets bounds a statement's seconds from below, of smaller ones from above.

use std::collections::HashSet;

use super::{Problem, WhatIf, parts};

/// A sample that becomes dearer by more than this forbids the set.
pub(super) const REGRESSION: f64 = 1.1;
/// A planner's costs of what is the same differ by no more than this.
const SAME: f64 = 1.001;

/// What a statement takes with a set.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taken {
    /// Seconds a day.
    pub seconds: f64,
    /// Samples that became too dear.
    pub dearer: usize,
}

/// All that is known.
pub(super) struct Book<'a, W> {
    pub problem: &'a Problem,
    what_if: &'a mut W,
    /// By statement, the candidates that concern it, in order.
    relevant: Vec<Vec<usize>>,
    /// By statement.
    known: Vec<Vec<Known>>,
    /// What could not be said.
    unknown: HashSet<(usize, Vec<usize>)>,
    /// Every question had an answer.
    pub complete: bool,
    /// Plans that were asked for: each sample is one.
    pub asked: usize,
}

struct Known {
    set: Vec<usize>,
    used: Vec<usize>,
    taken: Taken,
    /// No sample became dearer, so that it bounds what smaller sets take.
    falls: bool,
}

impl<'a, W: WhatIf> Book<'a, W> {
    pub fn new(problem: &'a Problem, what_if: &'a mut W) -> Self {
        let mut relevant = vec![vec![]; problem.statements.len()];
        for (place, item) in problem.items.iter().enumerate() {
            item.relevant.iter().for_each(|statement| relevant[*statement].push(place));
        }
        let known = problem.statements.iter().map(|_| vec![]).collect();
        Book { problem, what_if, relevant, known, unknown: HashSet::new(), complete: true, asked: 0 }
    }

    /// Those of a set that concern a statement, in order.
    pub fn own(&self, statement: usize, set: &[usize]) -> Vec<usize> {
        set.iter().copied().filter(|item| self.relevant[statement].binary_search(item).is_ok()).collect()
    }

    /// What a statement takes with a set of its own, asked for where it is not known; where it cannot be said, what it takes at most.
    pub async fn taken(&mut self, statement: usize, own: &[usize]) -> Taken {
        if let Some(taken) = self.told(statement, own) {
            return taken;
        }
        if !self.unknown.contains(&(statement, own.to_vec())) {
            if let Some(taken) = self.ask(statement, own).await {
                return taken;
            }
            self.complete = false;
            self.unknown.insert((statement, own.to_vec()));
        }
        self.at_most(statement, own)
    }

    async fn ask(&mut self, statement: usize, own: &[usize]) -> Option<Taken> {
        let base = self.what_if.answer(statement, &[]).await?.costs;
        self.asked += base.len();
        let answer = self.what_if.answer(statement, own).await?;
        let ratios = parts(&answer.costs, &base);
        let dearer = ratios.iter().filter(|ratio| **ratio > REGRESSION).count();
        let taken = Taken { seconds: self.problem.statements[statement].seconds_with(&ratios), dearer };
        let falls = ratios.iter().all(|ratio| *ratio <= SAME);
        self.known[statement].push(Known { set: own.to_vec(), used: answer.used, taken, falls });
        Some(taken)
    }

    /// What is known without a question.
    pub fn told(&self, statement: usize, own: &[usize]) -> Option<Taken> {
        if own.is_empty() {
            return Some(Taken { seconds: self.problem.statements[statement].seconds, dearer: 0 });
        }
        self.known_of(statement, own).map(|known| known.taken)
    }

    /// Whether the plans with a set use a candidate of it, or may.
    pub fn uses(&self, statement: usize, own: &[usize], item: usize) -> bool {
        own.contains(&item) && self.known_of(statement, own).is_none_or(|known| known.used.contains(&item))
    }

    /// The seconds that it takes at least.
    pub fn at_least(&self, statement: usize, own: &[usize]) -> f64 {
        let least = self.problem.statements[statement].least;
        let larger = self.known[statement].iter().filter(|known| known.falls && has_all(&known.set, own));
        larger.map(|known| known.taken.seconds).fold(least, f64::max)
    }

    /// What it takes at most.
    fn at_most(&self, statement: usize, own: &[usize]) -> Taken {
        let whole = self.problem.statements[statement].seconds;
        let smaller = self.known[statement].iter().filter(|known| known.falls && has_all(own, &known.set));
        Taken { seconds: smaller.map(|known| known.taken.seconds).fold(whole, f64::min), dearer: 0 }
    }

    /// What is taken to be so: what is known, else what it takes at most.
    pub fn settled(&self, statement: usize, own: &[usize]) -> Taken {
        self.told(statement, own).unwrap_or_else(|| self.at_most(statement, own))
    }

    fn known_of(&self, statement: usize, own: &[usize]) -> Option<&Known> {
        self.known[statement].iter().find(|known| has_all(&known.set, own) && has_all(own, &known.used))
    }
}

/// Whether one set, in order, has all of another one.
fn has_all(set: &[usize], of: &[usize]) -> bool {
    of.len() <= set.len() && of.iter().all(|one| set.binary_search(one).is_ok())
}
