//! What megabytes buy: new indexes in the order of what each saves for its size, and what those up to each save together.

use std::collections::HashSet;

use super::fixes::{Group, Listed};
use super::{Report, a_day};
use crate::stats::tally::TOTAL;

/// Indexes up to one of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The fix that it adds.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Bytes that it takes.
    pub adds: u64,
    /// Bytes that it takes with those before it.
    pub bytes: u64,
    /// Seconds a day that they save together.
    pub saves: f64,
    /// Seconds a day that writes take longer for them.
    pub writes: f64,
}

impl Report {
    /// New indexes whose size and use are known, those first that save most for their size. Two that help one statement do not save more of it than it takes.
    pub fn budget(&self) -> Vec<Step> {
        let mut known: Vec<(&Listed, f64, u64)> = self
            .fixes
            .iter()
            .filter(|one| one.group == Group::Index && one.fix.price.bytes > 0)
            .filter_map(|one| {
                Some((one, one.fix.saves.filter(|saves| *saves > 0.0)?, one.fix.price.bytes.unsigned_abs()))
            })
            .collect();
        let density = |one: &(&Listed, f64, u64)| one.1 / one.2 as f64;
        known.sort_by(|one, other| density(other).total_cmp(&density(one)).then(one.0.id.cmp(&other.0.id)));
        let (mut bytes, mut saves, mut writes) = (0, 0.0, 0.0);
        let mut helped = HashSet::new();
        let step = |(one, own, adds): (&Listed, f64, u64)| {
            helped.extend(one.fix.helps.iter().copied());
            bytes += adds;
            saves = self.at_most(saves + own, &helped).max(saves);
            writes += one.fix.price.writes;
            Step { id: one.id.clone(), title: one.fix.title.clone(), adds, bytes, saves, writes }
        };
        known.into_iter().map(step).collect()
    }

    /// No more seconds a day than these statements take, where it is known of all of them.
    fn at_most(&self, saves: f64, statements: &HashSet<u128>) -> f64 {
        let listed = self.statements.iter().filter(|one| statements.contains(&one.fingerprint));
        let (count, micros) = listed.fold((0, 0), |(n, sum), one| (n + 1, sum + one.sums.micros[TOTAL]));
        if count < statements.len() { saves } else { saves.min(a_day(micros, self.seconds())) }
    }
}
