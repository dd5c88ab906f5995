//! What a run has found, for people and for programs.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::model::{Count, Level, Model};
use super::nemeses::Nemesis;
use super::workload::Tally;
use super::{Run, levels, no_cache};

/// What a run has found.
pub struct Report {
    /// What was run.
    pub run: Run,
    /// What draws the same again.
    pub seed: u64,
    /// For how long sessions read and wrote.
    pub seconds: Duration,
    /// How often each nemesis had something to strike.
    pub strikes: BTreeMap<Nemesis, u64>,
    /// Answers that were compared with the server's when nobody wrote any more.
    pub compared: u64,
    /// What was different.
    pub different: Vec<String>,
    /// Hits, of all pgweirs that were started one after the other.
    pub hits: u64,
    /// Hits of another one that ran beside them.
    pub hits_of_second: u64,
    /// Misses of the last pgweir, by name.
    pub misses: Vec<(String, u64)>,
    /// What nobody expected.
    pub surprises: Vec<String>,
    /// What was checked, and what was wrong.
    pub model: Model,
    /// What happened.
    pub tally: Tally,
}

impl Report {
    /// Wrong answers, of all levels.
    pub fn wrong(&self) -> u64 {
        self.model.wrong + self.different.len() as u64
    }

    /// Nothing was wrong, and there were hits if there is a cache.
    pub fn assert_right(&self) {
        println!("{self}\n{}", self.json());
        let different = &self.different[..self.different.len().min(5)];
        assert!(self.wrong() == 0, "{self}\n{:#?}\n{different:#?}", self.model.violations);
        assert!(self.surprises.is_empty(), "{self}\n{:#?}", self.surprises);
        if no_cache() {
            assert_eq!(self.hits, 0, "there is no cache: {self}");
        } else {
            assert!(self.hits > 50, "a hit really was a hit: {self}");
            assert!(!self.strikes.is_empty() || self.run.nemeses.is_empty(), "nothing to strike: {self}");
        }
    }

    /// The same, and everything was done.
    pub fn assert_sound(&self) {
        self.assert_right();
        let (model, tally) = (&self.model, &self.tally);
        let least = model.counts.values().map(|count| count.reads).min().unwrap_or_default();
        assert!(model.counts.len() > levels().len() && least > 20, "every level was read: {self}");
        for (what, count) in [("written", &tally.written), ("undone", &tally.undone)] {
            assert!(count.load(Ordering::Relaxed) > 10, "too little is {what}: {self}");
        }
        assert!(self.compared > 100, "{self}");
    }

    /// The levels with what was checked at each.
    fn counts(&self) -> Vec<(Level, Count)> {
        let mut counts: Vec<_> = self.model.counts.iter().map(|(level, count)| (*level, *count)).collect();
        counts.sort_by_key(|(level, _)| *level);
        counts
    }

    /// What happened, by name.
    fn happened(&self) -> [(&'static str, u64); 10] {
        let tally = &self.tally;
        let count = |what: &AtomicU64| what.load(Ordering::Relaxed);
        [
            ("hits", self.hits),
            ("hits_of_second", self.hits_of_second),
            ("written", count(&tally.written)),
            ("undone", count(&tally.undone)),
            ("failed", count(&tally.failed)),
            ("in_doubt", count(&tally.doubtful)),
            ("defined", count(&tally.defined)),
            ("forbidden", count(&tally.forbidden)),
            ("connections_lost", count(&tally.lost)),
            ("compared", self.compared),
        ]
    }

    /// All of it in one line.
    pub fn json(&self) -> String {
        let pairs = |all: Vec<String>| all.join(",");
        let levels = self.counts().into_iter().map(|(level, count)| {
            let Count { reads, wrong } = count;
            format!(
                "\"{}\":{{\"reads\":{reads},\"wrong\":{wrong},\"below\":{:e}}}",
                level.name(),
                bound(count)
            )
        });
        let happened = self.happened().into_iter().map(|(name, count)| format!("\"{name}\":{count}"));
        let strikes = self.strikes.iter().map(|(nemesis, count)| format!("\"{}\":{count}", nemesis.name()));
        format!(
            "{{\"run\":\"{}\",\"seed\":{},\"seconds\":{:.1},\"wrong\":{},\"levels\":{{{}}},{},\"strikes\":{{{}}}}}",
            self.run.name,
            self.seed,
            self.seconds.as_secs_f64(),
            self.wrong(),
            pairs(levels.collect()),
            pairs(happened.collect()),
            pairs(strikes.collect()),
        )
    }
}

/// With 95 % certainty, the share of wrong answers is below this (the rule of three); as far as one was seen, it is that share.
fn bound(count: Count) -> f64 {
    count.wrong.max(3) as f64 / count.reads.max(1) as f64
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, seconds, seed) = (self.run.name, self.seconds.as_secs_f64(), self.seed);
        writeln!(f, "{name} for {seconds:.1} s (PGWEIR_TEST_SEED={seed})")?;
        for (name, count) in self.happened().into_iter().filter(|(_, count)| *count > 0) {
            write!(f, "  {name} {count}")?;
        }
        writeln!(f, "  different {}", self.different.len())?;
        let misses = self.misses.iter().filter(|(_, count)| *count > 0);
        let misses: Vec<String> = misses.map(|(name, count)| format!("{name} {count}")).collect();
        writeln!(f, "  misses of the last pgweir: {}", misses.join(", "))?;
        for (nemesis, count) in &self.strikes {
            write!(f, "  {} {count} x", nemesis.name())?;
        }
        writeln!(f, "\n  {:8} {:>10} {:>6} {:>14}", "level", "reads", "wrong", "below (95 %)")?;
        for (level, count) in self.counts() {
            let Count { reads, wrong } = count;
            writeln!(f, "  {:8} {reads:>10} {wrong:>6} {:>14.1e}", level.name(), bound(count))?;
        }
        Ok(())
    }
}
