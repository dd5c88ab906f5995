//! From a set to a better one, step by step, with as few questions as that takes.
//!
//! A step's hope is what it is worth by what the book knows; one that has none is not asked about, and the asking about one ends as soon as its hope
//! is gone. Statements that could lose most are asked about first, so that one question is enough for most steps. To drop what is of no use takes
//! few questions; to improve on what is left takes many and brings a hundredth or two, so that these have a number.

use std::collections::HashMap;

use super::book::{Book, Taken};
use super::{WhatIf, better};

/// Rounds of dropping, adding and replacing.
const ROUNDS: usize = 8;
/// Gains for a byte are small numbers; they are compared as large ones.
const SCALE: f64 = 1e9;

/// A set, and what it is worth.
#[derive(Debug, Clone)]
struct State {
    set: Vec<usize>,
    worth: f64,
    /// By how much it is not allowed: samples that become too dear, indexes too many of a table, bytes too many (as one).
    broken: usize,
}

/// How good a step is: what is less broken is better, then what scores more.
#[derive(Debug, Clone, Copy)]
struct Rank {
    broken: usize,
    score: f64,
}

impl Rank {
    fn is_better(self, other: Rank) -> bool {
        self.broken < other.broken || self.broken == other.broken && better(self.score, other.score)
    }
}

/// How steps are compared.
#[derive(Debug, Clone, Copy, PartialEq)]
enum By {
    Worth,
    /// What is lost for each byte that goes.
    Byte,
}

pub(super) struct Search<'a, W> {
    pub book: Book<'a, W>,
    /// Candidates in the order in which they are tried.
    pub order: Vec<usize>,
    /// Plans that may still be asked for to improve a set.
    left: usize,
    /// When so many have been asked for, only what is known counts.
    until: usize,
    /// There are so few questions that beginning from nothing, too, can be afforded: it finds the last hundredth.
    few: bool,
}

impl<W: WhatIf> Search<'_, W> {
    /// With a budget for questions.
    pub fn new(book: Book<'_, W>) -> Search<'_, W> {
        let problem = book.problem;
        let samples = |statement: &usize| problem.statements[*statement].samples.len();
        let questions: usize =
            problem.items.iter().map(|item| item.relevant.iter().map(samples).sum::<usize>()).sum();
        let left = problem.budget.questions;
        Search { book, order: vec![], left, until: usize::MAX, few: questions <= left }
    }

    /// The best set of candidates in `order` that is found from this one.
    pub async fn best(&mut self, begin: Vec<usize>) -> Vec<usize> {
        let by_byte = self.bytes(&begin) > self.book.problem.budget.bytes;
        let mut found = vec![];
        for by in if by_byte { &[By::Worth, By::Byte][..] } else { &[By::Worth] } {
            let mut state = self.state(begin.clone()).await;
            self.shrink(&mut state, *by).await;
            found.push(state);
        }
        if self.few {
            let mut state = self.state(vec![]).await;
            self.grow(&mut state).await;
            found.push(state);
        }
        let mut best: Option<State> = None;
        for mut state in found {
            self.refine(&mut state).await;
            if best.as_ref().is_none_or(|best| better(state.worth, best.worth)) {
                best = Some(state);
            }
        }
        // Two that are worth nothing but together, and not enough then, are not dropped one by one.
        best.filter(|best| better(best.worth, 0.0)).map(|best| best.set).unwrap_or_default()
    }

    /// Seconds a day that a set saves, by what is known.
    pub fn worth(&self, set: &[usize]) -> f64 {
        let saved = self.touched(set).into_iter().map(|statement| {
            let own = self.book.own(statement, set);
            self.book.problem.statements[statement].seconds - self.book.settled(statement, &own).seconds
        });
        saved.sum::<f64>() - self.cost(set)
    }

    async fn state(&mut self, mut set: Vec<usize>) -> State {
        set.sort_unstable();
        let mut broken = self.excess(&set);
        for statement in self.touched(&set) {
            let own = self.book.own(statement, &set);
            broken += self.book.taken(statement, &own).await.dearer;
        }
        State { worth: self.worth(&set), set, broken }
    }

    /// Drops what is least useful: until the set is allowed, then as long as it gets better.
    async fn shrink(&mut self, state: &mut State, by: By) {
        loop {
            let floor = match state.broken {
                0 => Some(Rank { broken: 0, score: state.worth }),
                _ => None,
            };
            let by = if state.broken == 0 { By::Worth } else { by };
            let steps = without_each(&state.set);
            let Some(next) = self.best_of(state, steps, floor, by).await else { return };
            *state = next;
        }
    }

    /// Adds what brings most, as long as something does.
    async fn grow(&mut self, state: &mut State) {
        loop {
            let floor = Rank { broken: 0, score: state.worth };
            let steps = self.with_each(&state.set);
            let Some(next) = self.best_of(state, steps, Some(floor), By::Worth).await else { return };
            *state = next;
        }
    }

    /// Until nothing gets better: drops, adds and replaces.
    async fn refine(&mut self, state: &mut State) {
        for _ in 0..ROUNDS {
            let before = state.worth;
            self.shrink(state, By::Worth).await;
            self.improve(state, Search::with_each).await;
            self.improve(state, Search::with_others).await;
            if !better(state.worth, before) {
                return;
            }
        }
    }

    /// Steps of one kind, as long as one is better and there are questions left.
    async fn improve(&mut self, state: &mut State, steps: impl Fn(&Self, &[usize]) -> Vec<Vec<usize>>) {
        // An index has to bring a little more than nothing before it is asked about.
        let enough = self.book.problem.budget.each / 2.0;
        loop {
            let floor = Rank { broken: 0, score: state.worth + enough };
            let asked = self.book.asked;
            self.until = if self.few { usize::MAX } else { asked + self.left };
            let next = self.best_of(state, steps(self, &state.set), Some(floor), By::Worth).await;
            self.until = usize::MAX;
            self.left = self.left.saturating_sub(self.book.asked - asked);
            let Some(next) = next else { return };
            *state = next;
        }
    }

    /// The best of the steps, if it is better than `floor`; those with most hope are asked about first.
    async fn best_of(
        &mut self,
        from: &State,
        steps: Vec<Vec<usize>>,
        floor: Option<Rank>,
        by: By,
    ) -> Option<State> {
        let is_above = |rank: Rank, floor: &Option<Rank>| floor.is_none_or(|floor| rank.is_better(floor));
        let (mut best, mut floor) = (None, floor);
        for (hope, set) in self.hopes(from, steps, floor, by) {
            if !is_above(hope, &floor) {
                break;
            }
            let mut step = self.step(from, &set);
            while is_above(step.rank(self, by), &floor)
                && !step.open.is_empty()
                && self.book.asked < self.until
            {
                step.ask(&mut self.book).await;
            }
            let rank = step.rank(self, by);
            if step.open.is_empty() && is_above(rank, &floor) {
                floor = Some(rank);
                best = Some(State { worth: step.worth, broken: step.broken, set });
            }
        }
        best
    }

    /// Steps that may be better than `floor` by what is known, those with most hope first.
    fn hopes(
        &self,
        from: &State,
        steps: Vec<Vec<usize>>,
        floor: Option<Rank>,
        by: By,
    ) -> Vec<(Rank, Vec<usize>)> {
        let mut slack = HashMap::new();
        let mut hopes: Vec<(Rank, Vec<usize>)> = vec![];
        for set in steps {
            let most = from.worth + self.gain_at_most(from, &set, &mut slack);
            if from.broken == 0 && floor.is_some_and(|floor| !better(most, floor.score)) {
                continue;
            }
            let rank = self.step(from, &set).rank(self, by);
            if floor.is_none_or(|floor| rank.is_better(floor)) {
                hopes.push((rank, set));
            }
        }
        hopes.sort_by(|(a, _), (b, _)| a.broken.cmp(&b.broken).then(b.score.total_cmp(&a.score)));
        hopes
    }

    /// What a step is worth by what is known.
    fn step<'b>(&self, from: &'b State, set: &'b [usize]) -> Step<'b> {
        let mut step = Step {
            from,
            set,
            worth: from.worth + self.cost(&from.set) - self.cost(set),
            broken: from.broken + self.excess(set) - self.excess(&from.set),
            open: vec![],
        };
        for statement in self.changed(&from.set, set) {
            let now = self.book.settled(statement, &self.book.own(statement, &from.set));
            let own = self.book.own(statement, set);
            match self.book.told(statement, &own) {
                Some(then) => step.replace(now, then),
                None => {
                    let seconds = self.book.at_least(statement, &own);
                    step.replace(now, Taken { seconds, dearer: 0 });
                    let may_lose = self.book.problem.statements[statement].seconds - seconds;
                    step.open.push(Open { statement, own, hoped: seconds, may_lose });
                }
            }
        }
        // The last is asked about first.
        step.open.sort_by(|a, b| a.may_lose.total_cmp(&b.may_lose));
        step
    }

    /// Statements whose plans may be others: those that a new index concerns, and those that use one that goes.
    fn changed(&self, from: &[usize], to: &[usize]) -> Vec<usize> {
        let items = &self.book.problem.items;
        let mut changed: Vec<usize> = vec![];
        for new in to.iter().filter(|item| from.binary_search(item).is_err()) {
            changed.extend(&items[*new].relevant);
        }
        for gone in from.iter().filter(|item| to.binary_search(item).is_err()) {
            let uses =
                |statement: &&usize| self.book.uses(**statement, &self.book.own(**statement, from), *gone);
            changed.extend(items[*gone].relevant.iter().filter(uses));
        }
        changed.sort_unstable();
        changed.dedup();
        changed
    }

    /// The most that a step can gain: what is no longer paid, and all that statements of what is new may still lose.
    fn gain_at_most(&self, from: &State, to: &[usize], slack: &mut HashMap<usize, f64>) -> f64 {
        let mut gain = self.cost(&from.set) - self.cost(to);
        for new in to.iter().filter(|item| from.set.binary_search(item).is_err()) {
            gain += *slack.entry(*new).or_insert_with(|| self.slack(from, *new));
        }
        gain
    }

    /// Seconds that the statements of a candidate may still lose at most.
    fn slack(&self, from: &State, item: usize) -> f64 {
        let of = |statement: &usize| {
            let now = self.book.settled(*statement, &self.book.own(*statement, &from.set)).seconds;
            (now - self.book.problem.statements[*statement].least).max(0.0)
        };
        self.book.problem.items[item].relevant.iter().map(of).sum()
    }

    fn with_each(&self, set: &[usize]) -> Vec<Vec<usize>> {
        let new = self.order.iter().copied().filter(|item| !set.contains(item));
        new.map(|item| with(set, item)).filter(|set| self.excess(set) == 0).collect()
    }

    /// One for another one of its table, for two or all that begin as it does, or for all. Where the bytes are short, also for one of another table.
    fn with_others(&self, set: &[usize]) -> Vec<Vec<usize>> {
        let definition = |item: usize| &self.book.problem.items[item].definition;
        let mut all = vec![];
        for new in self.order.iter().copied().filter(|item| !set.contains(item)) {
            let is_same = |old: &usize| definition(*old).table == definition(new).table;
            let same: Vec<usize> = set.iter().copied().filter(is_same).collect();
            let begins = |old: &usize| definition(*old).keys.first() == definition(new).keys.first();
            let alike: Vec<usize> = same.iter().copied().filter(begins).collect();
            let short = self.bytes(set).saturating_add(self.book.problem.items[new].bytes)
                > self.book.problem.budget.bytes;
            let ones = if short { set } else { &same };
            let mut gone: Vec<Vec<usize>> = ones.iter().map(|old| vec![*old]).collect();
            for (at, first) in alike.iter().enumerate() {
                gone.extend(alike[at + 1..].iter().map(|second| vec![*first, *second]));
            }
            gone.extend([alike, same].into_iter().filter(|many| many.len() > 1));
            gone.sort_unstable();
            gone.dedup();
            let without = |gone: &Vec<usize>| {
                let rest: Vec<usize> = set.iter().copied().filter(|item| !gone.contains(item)).collect();
                with(&rest, new)
            };
            all.extend(gone.iter().map(without).filter(|set| self.excess(set) == 0));
        }
        all
    }

    /// By how much a set is beyond the budget.
    fn excess(&self, set: &[usize]) -> usize {
        let (items, budget) = (&self.book.problem.items, self.book.problem.budget);
        let mut tables: Vec<u32> = set.iter().map(|item| items[*item].definition.table).collect();
        tables.sort_unstable();
        let too_many: usize =
            tables.chunk_by(|a, b| a == b).map(|of| of.len().saturating_sub(budget.per_table)).sum();
        too_many + usize::from(self.bytes(set) > budget.bytes)
    }

    fn bytes(&self, set: &[usize]) -> u64 {
        set.iter().fold(0, |sum: u64, item| sum.saturating_add(self.book.problem.items[*item].bytes))
    }

    fn cost(&self, set: &[usize]) -> f64 {
        let cost = |item: &usize| {
            let (item, budget) = (&self.book.problem.items[*item], self.book.problem.budget);
            item.writes + item.bytes as f64 * budget.rent + budget.each
        };
        set.iter().map(cost).sum()
    }

    /// Statements whose plans may change.
    fn touched(&self, set: &[usize]) -> Vec<usize> {
        let relevant = set.iter().flat_map(|item| self.book.problem.items[*item].relevant.iter().copied());
        let mut touched: Vec<usize> = relevant.collect();
        touched.sort_unstable();
        touched.dedup();
        touched
    }
}

/// A step that is being asked about: what it is worth by what is known so far.
struct Step<'a> {
    from: &'a State,
    set: &'a [usize],
    worth: f64,
    broken: usize,
    open: Vec<Open>,
}

/// A statement of which only a bound is known.
struct Open {
    statement: usize,
    own: Vec<usize>,
    hoped: f64,
    may_lose: f64,
}

impl Step<'_> {
    fn replace(&mut self, now: Taken, then: Taken) {
        self.worth += now.seconds - then.seconds;
        self.broken = (self.broken + then.dearer).saturating_sub(now.dearer);
    }

    /// Asks about the statement that may lose most.
    async fn ask<W: WhatIf>(&mut self, book: &mut Book<'_, W>) {
        let Some(open) = self.open.pop() else { return };
        let then = book.taken(open.statement, &open.own).await;
        self.replace(Taken { seconds: open.hoped, dearer: 0 }, then);
    }

    fn rank<W: WhatIf>(&self, search: &Search<'_, W>, by: By) -> Rank {
        let bytes = search.bytes(&self.from.set).saturating_sub(search.bytes(self.set)).max(1);
        let score = match by {
            By::Worth => self.worth,
            By::Byte => (self.worth - self.from.worth) / bytes as f64 * SCALE,
        };
        Rank { broken: self.broken, score }
    }
}

fn without_each(set: &[usize]) -> Vec<Vec<usize>> {
    set.iter().map(|gone| set.iter().copied().filter(|item| item != gone).collect()).collect()
}

/// With one more, in order.
fn with(set: &[usize], item: usize) -> Vec<usize> {
    let mut with = set.to_vec();
    let at = with.partition_point(|one| *one < item);
    with.insert(at, item);
    with
}
