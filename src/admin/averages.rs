//! Averages over the last minute, as `SHOW STATS` gives them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{Admin, snapshot};
use crate::stats::Totals;

/// How long a period is.
const PERIOD: Duration = Duration::from_secs(60);

/// Totals by database.
pub type ByDatabase = BTreeMap<String, Totals>;

/// What happened in the last whole period.
pub struct Averages(Mutex<Periods>);

struct Periods {
    began: Instant,
    at_start: ByDatabase,
    last: Option<(Duration, ByDatabase)>,
}

impl Averages {
    /// A first period begins.
    pub fn new() -> Averages {
        Averages(Mutex::new(Periods { began: Instant::now(), at_start: BTreeMap::new(), last: None }))
    }

    /// What was added in the last whole period and how long it was; before there was one, in the time so far.
    pub fn last(&self, now: &ByDatabase) -> (Duration, ByDatabase) {
        let periods = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        periods.last.clone().unwrap_or_else(|| (periods.began.elapsed(), now.clone()))
    }

    fn turn(&self, now: ByDatabase) {
        let mut periods = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let since = |(name, totals): (&String, &Totals)| {
            let earlier = periods.at_start.get(name).copied().unwrap_or_default();
            (name.clone(), totals.since(&earlier))
        };
        let added = now.iter().map(since).collect();
        *periods =
            Periods { began: Instant::now(), last: Some((periods.began.elapsed(), added)), at_start: now };
    }
}

/// Begins a new period every minute, for as long as the process lives.
pub async fn keep(admin: Arc<Admin>) {
    loop {
        tokio::time::sleep(PERIOD).await;
        admin.averages.turn(snapshot::by_database(&admin.shared));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_has_what_was_added_in_it() {
        let averages = Averages::new();
        let at =
            |transactions| ByDatabase::from([("d".to_owned(), Totals { transactions, ..Totals::default() })]);
        assert_eq!(averages.last(&at(3)).1["d"].transactions, 3, "no period is over yet");
        averages.turn(at(5));
        averages.turn(at(12));
        assert_eq!(averages.last(&at(100)).1["d"].transactions, 7);
    }
}
