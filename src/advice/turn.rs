//! From when on statements of a shape have been slower: looked for in what was counted of them, part of time by part.
//!
//! A moment is said only where one call in twenty takes twice as long behind it as before it, and 10 ms more; where that is so still in what came
//! last; and where nothing before it was nearly as slow: what is slow every night has not become so.

use std::collections::BTreeSet;

use super::form::Planned;
use crate::stats::histogram::{Histogram, STEPS};
use crate::stats::tally::{Sums, TOTAL};

/// Calls on each side of a moment, and in what came last.
const CALLS: u64 = 30;
/// So many times as slow, and so many microseconds more.
const SLOWER: u64 = 2;
const MORE: u64 = 10_000;
/// What before the moment reaches this share of the time behind it was as slow already, in percent.
const AS_SLOW: u64 = 60;
/// The share of calls whose longest time is compared.
const SHARE: f64 = 0.95;

/// What was counted of a shape in one part of time.
#[derive(Debug, Clone, Default)]
pub struct Part {
    /// When it began, in seconds since 1970.
    pub start: i64,
    /// What was counted.
    pub sums: Sums,
    /// Applications that sent it.
    pub applications: BTreeSet<String>,
}

/// One side of a moment.
#[derive(Debug, Clone, Default)]
pub struct Era {
    /// What was counted of the shape.
    pub sums: Sums,
    /// Applications that sent it.
    pub applications: BTreeSet<String>,
}

/// The moment from which on a shape has been slower.
#[derive(Debug, Clone, Default)]
pub struct Turn {
    /// When, in seconds since 1970, as exactly as parts of time tell.
    pub at: i64,
    /// What was counted before.
    pub before: Era,
    /// What was counted since.
    pub after: Era,
    /// Plans that were seen, each with when it was seen first and last.
    pub plans: Vec<KnownPlan>,
}

/// A plan that was seen when somebody looked.
#[derive(Debug, Clone, PartialEq)]
pub struct KnownPlan {
    /// Which.
    pub planned: Planned,
    /// When it was seen first and last, in seconds since 1970.
    pub seen: (i64, i64),
}

/// The moment from which on a shape has been slower, of parts in the order of time; `None`: it has not.
pub fn turn(parts: &[Part]) -> Option<Turn> {
    let longest = parts.iter().map(|part| part.sums.longest).max()?;
    if longest < MORE || parts.len() < 2 {
        return None;
    }
    let at = moment(parts)?;
    let (before, after) = parts.split_at(at);
    let (was, is) = (late(before)?, late(after)?);
    if !is_slower(was, is) || !is_slower(was, late(last(after))?) || was_as_slow(before, is) {
        return None;
    }
    Some(Turn { at: after.first()?.start, before: era(before), after: era(after), plans: vec![] })
}

fn is_slower(was: u64, is: u64) -> bool {
    is >= was.saturating_mul(SLOWER) && is >= was.saturating_add(MORE)
}

/// Where the times on both sides differ most (by the distance of Kolmogorov and Smirnov) of all places at which they become longer by enough.
fn moment(parts: &[Part]) -> Option<usize> {
    let mut behind = Times::default();
    parts.iter().for_each(|part| behind.put(&part.sums));
    let mut ahead = Times::default();
    let mut best: Option<(f64, usize)> = None;
    for (place, part) in parts.iter().enumerate() {
        ahead.put(&part.sums);
        behind.take(&part.sums);
        if ahead.all < CALLS || behind.all < CALLS || !is_slower(ahead.late(), behind.late()) {
            continue;
        }
        let distance = ahead.distance(&behind);
        if best.is_none_or(|(most, _)| distance > most) {
            best = Some((distance, place + 1));
        }
    }
    best.map(|(_, at)| at)
}

/// What came last, of calls enough to be looked at.
fn last(parts: &[Part]) -> &[Part] {
    let mut calls = 0;
    let from = parts.iter().rposition(|part| {
        calls += part.sums.timed;
        calls >= CALLS
    });
    parts.get(from.unwrap_or(0)..).unwrap_or_default()
}

/// Whether some of it, of calls enough, was nearly as slow.
fn was_as_slow(parts: &[Part], is: u64) -> bool {
    let mut some = Times::default();
    parts.iter().any(|part| {
        some.put(&part.sums);
        let enough = some.all >= CALLS;
        let slow = enough && some.late() >= is / 100 * AS_SLOW;
        if enough {
            some = Times::default();
        }
        slow
    })
}

fn late(parts: &[Part]) -> Option<u64> {
    let mut times = Times::default();
    parts.iter().for_each(|part| times.put(&part.sums));
    (times.all > 0).then(|| times.late())
}

fn era(parts: &[Part]) -> Era {
    let mut era = Era::default();
    for part in parts {
        era.sums.merge(&part.sums);
        era.applications.extend(part.applications.iter().cloned());
    }
    era
}

/// Times of calls by step, and how many calls; those without a time took none.
struct Times {
    steps: [u64; STEPS],
    all: u64,
}

impl Default for Times {
    fn default() -> Times {
        Times { steps: [0; STEPS], all: 0 }
    }
}

impl Times {
    fn put(&mut self, sums: &Sums) {
        self.all += sums.timed;
        sums.times[TOTAL].counts().for_each(|(step, count)| self.steps[step] += u64::from(count));
    }

    fn take(&mut self, sums: &Sums) {
        self.all -= sums.timed;
        sums.times[TOTAL].counts().for_each(|(step, count)| self.steps[step] -= u64::from(count));
    }

    /// What one call in twenty took, or longer, in microseconds.
    fn late(&self) -> u64 {
        let mut times = Histogram::default();
        for (step, count) in self.steps.iter().enumerate().filter(|(_, count)| **count > 0) {
            times.put(step, u32::try_from(*count).unwrap_or(u32::MAX));
        }
        times.quantile(SHARE, self.all).unwrap_or(0)
    }

    /// How far both are from being of one kind.
    fn distance(&self, other: &Times) -> f64 {
        let (mine, theirs) = (self.all.max(1) as f64, other.all.max(1) as f64);
        let (mut sums, mut most) = ((0, 0), 0.0_f64);
        for (one, two) in self.steps.iter().zip(&other.steps).rev() {
            sums = (sums.0 + one, sums.1 + two);
            most = most.max((sums.0 as f64 / mine - sums.1 as f64 / theirs).abs());
        }
        most * (mine * theirs / (mine + theirs)).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::tally::{Answer, Served};

    /// Parts of a minute each: so many calls of so many milliseconds, one in forty twenty times as long.
    fn parts(of: &[(u64, u64)]) -> Vec<Part> {
        let part = |(at, (calls, millis)): (usize, &(u64, u64))| {
            let mut part = Part { start: at as i64 * 60, ..Part::default() };
            for n in 0..*calls {
                let micros = millis * 1000 * if n % 40 == 39 { 20 } else { 1 };
                let times = Some([0, micros, 0, 0, micros]);
                part.sums.add(&Answer { served: Served::Primary, rows: 1, bytes: 1, error: None, times });
            }
            part.applications.insert(format!("shop-{}", at / 5));
            part
        };
        of.iter().enumerate().map(part).collect()
    }

    fn at(of: &[(u64, u64)]) -> Option<i64> {
        turn(&parts(of)).map(|turn| turn.at / 60)
    }

    #[test]
    fn the_moment_is_found_and_both_sides_are_told() {
        let (fast, slow) = ((100, 5), (100, 40));
        assert_eq!(at(&[fast, fast, fast, fast, fast, slow, slow]), Some(5));
        assert_eq!(at(&[fast, slow]), Some(1));
        assert_eq!(at(&[fast, fast, slow, slow, slow, slow, slow, slow]), Some(2));
        // Minutes with few calls.
        assert_eq!(at(&[(7, 5); 10].into_iter().chain([(7, 60); 10]).collect::<Vec<_>>()), Some(10));
        let found = turn(&parts(&[fast, fast, fast, fast, fast, slow, slow])).expect("it is there");
        assert_eq!((found.before.sums.calls, found.after.sums.calls), (500, 200));
        assert_eq!(found.before.applications.into_iter().collect::<Vec<_>>(), ["shop-0"]);
        assert_eq!(found.after.applications.into_iter().collect::<Vec<_>>(), ["shop-1"]);
    }

    #[test]
    fn what_has_not_become_slower_is_not_told() {
        let (fast, slow) = ((100, 5), (100, 40));
        for (of, why) in [
            (vec![fast; 9], "it is the same"),
            (vec![slow, slow, fast], "it is faster"),
            (vec![fast, fast, slow, fast], "it is over"),
            (vec![slow, fast, fast, slow], "it was so before"),
            (vec![(100, 20), (100, 20), (100, 30)], "it is less than twice"),
            (vec![(100, 1), (100, 1), (100, 5)], "milliseconds are no matter"),
            (vec![fast, (29, 40)], "it was seen too seldom since"),
            (vec![(29, 5), slow], "it was seen too seldom before"),
            (vec![fast], "there is no time before"),
            (vec![], "there is nothing"),
        ] {
            assert!(at(&of).is_none(), "{why}");
        }
    }
}
