//! A line before a bounded number of permits that is fair among keys: users, databases, clients.
//!
//! Pure: it knows who runs and who waits, not how one waits or for how long. Each key has a line of its own, first come first
//! served, and a permit that is given back goes round among the keys. So one user with a thousand statements in line makes
//! another wait for one of them, not for all.

use std::collections::{HashMap, VecDeque};

/// What became of one who asked for a permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entered {
    /// It has a permit, and must [`Line::leave`].
    Runs,
    /// It stands in line, until a [`Line::leave`] names it or it must [`Line::give_up`].
    Waits,
    /// The line is full.
    Full,
}

/// The permits of one rule, and the line before them. `T` is what a waiting one is known by.
///
/// Whoever waits while a permit is free would be a mistake: there is none.
#[derive(Debug)]
pub struct Line<T> {
    limit: usize,
    longest: usize,
    running: usize,
    waiting: usize,
    /// Keys with somebody in line, the next one first; each is here once.
    turns: VecDeque<Box<[u8]>>,
    lines: HashMap<Box<[u8]>, VecDeque<T>>,
}

impl<T: Copy + Eq> Line<T> {
    /// With so many permits, one at least, and so many places in line over all keys.
    pub fn new(limit: usize, longest: usize) -> Line<T> {
        Line {
            limit: limit.max(1),
            longest,
            running: 0,
            waiting: 0,
            turns: VecDeque::new(),
            lines: HashMap::new(),
        }
    }

    /// Asks for a permit.
    pub fn enter(&mut self, key: &[u8], who: T) -> Entered {
        if self.running < self.limit {
            self.running += 1;
            return Entered::Runs;
        }
        if self.waiting >= self.longest {
            return Entered::Full;
        }
        self.waiting += 1;
        match self.lines.get_mut(key) {
            Some(line) => line.push_back(who),
            None => {
                self.lines.insert(key.into(), VecDeque::from([who]));
                self.turns.push_back(key.into());
            }
        }
        Entered::Waits
    }

    /// Whether there is no place in line.
    pub fn is_full(&self) -> bool {
        self.waiting >= self.longest
    }

    /// Whether there is a permit now.
    pub fn is_free(&self) -> bool {
        self.running < self.limit
    }

    /// Gives a permit back; who has it now, if somebody waited. Where there are fewer permits than there were, it is taken out of use.
    pub fn leave(&mut self) -> Option<T> {
        self.running = self.running.saturating_sub(1);
        let next = self.next();
        self.running += usize::from(next.is_some());
        next
    }

    /// There are so many permits from now on, and so many places; gives who has one by that. Those who stand in line stay there.
    pub fn resize(&mut self, limit: usize, longest: usize) -> Vec<T> {
        (self.limit, self.longest) = (limit.max(1), longest);
        std::iter::from_fn(|| {
            let next = self.next();
            self.running += usize::from(next.is_some());
            next
        })
        .collect()
    }

    /// Whose turn it is, if there is a permit.
    fn next(&mut self) -> Option<T> {
        if !self.is_free() {
            return None;
        }
        let key = self.turns.pop_front()?;
        self.waiting -= 1;
        let line = self.lines.get_mut(&key)?;
        let next = line.pop_front();
        if line.is_empty() {
            self.lines.remove(&key);
        } else {
            self.turns.push_back(key);
        }
        next
    }

    /// Leaves the line. False: it was not in it, so it may have a permit already. Linear in the length of the line.
    pub fn give_up(&mut self, key: &[u8], who: T) -> bool {
        let Some(line) = self.lines.get_mut(key) else { return false };
        let Some(at) = line.iter().position(|one| *one == who) else { return false };
        line.remove(at);
        self.waiting -= 1;
        if line.is_empty() {
            self.lines.remove(key);
            self.turns.retain(|turn| **turn != *key);
        }
        true
    }

    /// How many have a permit.
    pub fn running(&self) -> usize {
        self.running
    }

    /// How many stand in line.
    pub fn waiting(&self) -> usize {
        self.waiting
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::random::Random;

    #[test]
    fn permits_go_round_among_keys() {
        let mut line = Line::new(1, 10);
        assert_eq!(line.enter(b"a", 1), Entered::Runs);
        for who in 2..5 {
            assert_eq!(line.enter(b"a", who), Entered::Waits);
        }
        assert_eq!(line.enter(b"b", 10), Entered::Waits);
        assert_eq!(line.enter(b"c", 20), Entered::Waits);
        let order: Vec<_> = std::iter::from_fn(|| line.leave()).collect();
        assert_eq!(order, [2, 10, 20, 3, 4]);
        assert_eq!((line.running(), line.waiting()), (0, 0));
    }

    #[test]
    fn the_line_is_bounded_and_can_be_left() {
        let mut line = Line::new(1, 2);
        assert_eq!(line.enter(b"a", 1), Entered::Runs);
        assert_eq!(line.enter(b"a", 2), Entered::Waits);
        assert_eq!(line.enter(b"b", 3), Entered::Waits);
        assert_eq!(line.enter(b"c", 4), Entered::Full);
        assert!(line.give_up(b"a", 2));
        assert!(!line.give_up(b"a", 2) && !line.give_up(b"b", 2));
        assert_eq!(line.leave(), Some(3));
        assert_eq!(line.leave(), None);
        assert_eq!(line.leave(), None, "more than were given");
        assert_eq!(line.running(), 0);
    }

    #[test]
    fn permits_become_more_or_fewer() {
        let mut line = Line::new(2, 10);
        for who in 0..6 {
            line.enter(&[who], who);
        }
        assert_eq!(line.resize(3, 10), [2]);
        assert!(line.resize(1, 1).is_empty());
        assert_eq!(line.enter(b"x", 9), Entered::Full);
        assert_eq!((line.leave(), line.leave()), (None, None), "two permits are taken out of use");
        assert_eq!((line.running(), line.leave()), (1, Some(3)));
        assert_eq!(line.resize(usize::MAX, 10), [4, 5]);
        assert_eq!((line.running(), line.waiting()), (3, 0));
        assert_eq!(line.enter(b"x", 9), Entered::Runs);
    }

    /// What must hold of any order of events.
    struct Watched {
        line: Line<usize>,
        limit: usize,
        /// Waiting ones by key, in order.
        waiting: Vec<Vec<usize>>,
        /// For each key, how often each other one was served since it began to wait or was served itself.
        passed: Vec<Vec<usize>>,
        running: usize,
    }

    impl Watched {
        fn begins_to_wait(&mut self, key: usize) {
            self.passed[key].iter_mut().for_each(|count| *count = 0);
        }

        fn leave(&mut self) {
            let next = self.line.leave();
            let Some(who) = next else {
                assert!(self.waiting.iter().all(Vec::is_empty), "somebody waits before a free permit");
                self.running -= 1;
                return;
            };
            let key = self.waiting.iter().position(|line| line.first() == Some(&who));
            let key = key.expect("the first of some line is served");
            self.waiting[key].remove(0);
            self.begins_to_wait(key);
            for other in 0..self.waiting.len() {
                if other != key && !self.waiting[other].is_empty() {
                    self.passed[other][key] += 1;
                    assert!(self.passed[other][key] <= 1, "{key} was served twice while {other} waited");
                }
            }
        }

        fn check(&self) {
            assert_eq!(self.line.running(), self.running);
            assert!(self.running <= self.limit);
            let waiting: usize = self.waiting.iter().map(Vec::len).sum();
            assert_eq!(self.line.waiting(), waiting);
            assert!(waiting == 0 || self.running == self.limit);
        }
    }

    #[test]
    fn nobody_is_passed_twice_and_nothing_is_lost() {
        for seed in 1..60 {
            let mut random = Random::new(seed);
            let (limit, longest, keys) = (1 + random.below(4), random.below(12), 1 + random.below(5));
            let mut all = Watched {
                line: Line::new(limit, longest),
                limit,
                waiting: vec![vec![]; keys],
                passed: vec![vec![0; keys]; keys],
                running: 0,
            };
            for who in 0..3000 {
                let key = random.below(keys);
                match random.below(10) {
                    0..=4 => match all.line.enter(&[key as u8], who) {
                        Entered::Runs => all.running += 1,
                        Entered::Waits => {
                            if all.waiting[key].is_empty() {
                                all.begins_to_wait(key);
                            }
                            all.waiting[key].push(who);
                        }
                        Entered::Full => {
                            assert_eq!(all.waiting.iter().map(Vec::len).sum::<usize>(), longest);
                        }
                    },
                    5 if !all.waiting[key].is_empty() => {
                        let at = random.below(all.waiting[key].len());
                        let who = all.waiting[key].remove(at);
                        assert!(all.line.give_up(&[key as u8], who));
                    }
                    _ if all.running > 0 => all.leave(),
                    _ => {}
                }
                all.check();
            }
        }
    }
}
