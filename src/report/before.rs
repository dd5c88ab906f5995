//! What changed: this report beside an earlier one, or beside the time before.

use std::collections::HashMap;

use super::{Report, Statement};
use crate::stats::tally::{Sums, TOTAL};

/// A 95th percentile that is so many times as long has changed, if it is by so many microseconds.
const SLOWER: (f64, u64) = (1.25, 1000);
/// Time a day that is so many times as long has changed, if it is by so many seconds.
const DEARER: (f64, f64) = (1.5, 60.0);
/// Calls below which nothing is said of times.
const FEW: u64 = 20;
/// A new statement is told from this share of all time on.
const NOTABLE: f64 = 0.01;
/// The share of calls that fail has changed when it is so much larger, and twice what it was.
const FAILING: f64 = 0.01;

/// What is known of an earlier time.
#[derive(Debug, Clone, Default)]
pub struct Before {
    /// Which, in words.
    pub what: String,
    /// Seconds that it has.
    pub seconds: f64,
    /// All together.
    pub all: Figures,
    /// By fingerprint.
    pub statements: HashMap<u128, Figures>,
    /// Names of statements, by fingerprint.
    pub names: HashMap<u128, String>,
    /// Names of fixes, by what they are.
    pub fixes: HashMap<u128, String>,
    /// It has every shape that was counted by itself, not only those that took longest.
    pub is_complete: bool,
}

/// What is known of statements at some time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Figures {
    /// Their text, where it is known.
    pub text: String,
    /// Calls.
    pub calls: u64,
    /// Those that failed.
    pub errors: u64,
    /// All their time, in microseconds.
    pub micros: u64,
    /// Their 95th percentile, in microseconds.
    pub p95: Option<u64>,
    /// Tables that their plan reads as a whole; `None`: no plan is known.
    pub scanned: Option<Vec<String>>,
}

/// What became of a statement.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Change {
    /// It was not there before.
    New,
    /// Its 95th percentile was this, in microseconds.
    Slower(u64),
    /// It took so many seconds a day.
    Dearer(f64),
    /// This share of its calls failed.
    Failing(f64),
    /// Its 95th percentile was this, in microseconds, and is shorter now.
    Faster(u64),
    /// It took so many seconds a day, and takes fewer now.
    Cheaper(f64),
}

impl Change {
    /// Whether that is bad.
    pub fn is_worse(self) -> bool {
        !matches!(self, Change::Faster(_) | Change::Cheaper(_))
    }

    /// By a name that stays.
    pub fn code(self) -> &'static str {
        match self {
            Change::New => "new_statement",
            Change::Slower(_) => "slower",
            Change::Dearer(_) => "dearer",
            Change::Failing(_) => "failing",
            Change::Faster(_) => "faster",
            Change::Cheaper(_) => "cheaper",
        }
    }
}

impl Figures {
    /// What sums come to.
    pub fn of(text: &str, sums: &Sums) -> Figures {
        Figures {
            text: text.to_owned(),
            calls: sums.calls,
            errors: sums.failures(),
            micros: sums.micros[TOTAL],
            p95: sums.quantile(TOTAL, 0.95),
            scanned: None,
        }
    }

    /// Seconds a day, of what took so many seconds.
    pub fn a_day(&self, seconds: f64) -> f64 {
        super::a_day(self.micros, seconds)
    }

    fn failing(&self) -> f64 {
        self.errors as f64 / self.calls.max(1) as f64
    }
}

impl Report {
    /// What became of a statement since the time before; nothing, where nothing is known of that, or nothing to speak of has changed.
    pub fn change(&self, statement: &Statement) -> Option<Change> {
        let before = self.before.as_ref()?;
        let now = Figures::of("", &statement.sums);
        let Some(was) = before.statements.get(&statement.fingerprint) else {
            let notable = now.micros as f64 >= self.all.micros[TOTAL] as f64 * NOTABLE;
            return (before.is_complete && notable).then_some(Change::New);
        };
        let (failed, fails) = (was.failing(), now.failing());
        if fails > failed + FAILING && fails > failed * 2.0 {
            return Some(Change::Failing(failed));
        }
        if was.calls.min(now.calls) >= FEW
            && let (Some(p95), Some(earlier)) = (now.p95, was.p95)
        {
            let differs =
                |less: u64, more: u64| more as f64 >= less as f64 * SLOWER.0 && more - less >= SLOWER.1;
            if p95 > earlier && differs(earlier, p95) {
                return Some(Change::Slower(earlier));
            }
            if earlier > p95 && differs(p95, earlier) {
                return Some(Change::Faster(earlier));
            }
        }
        let (day, earlier) = (now.a_day(self.seconds()), was.a_day(before.seconds));
        let differs = |less: f64, more: f64| more >= less * DEARER.0 && more - less >= DEARER.1;
        match () {
            () if differs(earlier, day) => Some(Change::Dearer(earlier)),
            () if differs(day, earlier) => Some(Change::Cheaper(earlier)),
            () => None,
        }
    }

    /// Statements that took notable time before and are not here any more.
    pub fn gone(&self) -> Vec<(u128, &Figures)> {
        let Some(before) = &self.before else { return vec![] };
        let notable = |one: &Figures| one.micros as f64 >= before.all.micros as f64 * NOTABLE;
        let is_gone = |name: &u128| self.is_complete() && !self.fingerprints.contains(name);
        let gone = before.statements.iter().filter(|(name, one)| notable(one) && is_gone(name));
        let mut gone: Vec<_> = gone.map(|(name, one)| (*name, one)).collect();
        gone.sort_by_key(|(name, one)| (std::cmp::Reverse(one.micros), *name));
        gone
    }

    /// Tables that a statement reads as a whole and did not before. `None`: that is not known.
    pub fn new_scans(&self, statement: &Statement) -> Option<Vec<String>> {
        let before = self.before.as_ref()?;
        let now = statement.scanned()?;
        match before.statements.get(&statement.fingerprint) {
            Some(was) => {
                let was = was.scanned.as_ref()?;
                Some(now.into_iter().filter(|table| !was.contains(table)).collect())
            }
            None => before.is_complete.then_some(now),
        }
    }
}
