//! Where the primary was, and when: so that a replica's position tells how old its data are.

use std::collections::VecDeque;
use std::time::Instant;

use crate::plan::consistency::Lsn;

/// Samples kept. When there are more, the older half is thinned: what is long ago need not be known to the millisecond.
const MOST: usize = 512;

/// Positions of the primary, by when it was asked.
#[derive(Debug, Default)]
pub struct Samples(VecDeque<(Instant, Lsn)>);

impl Samples {
    /// The primary was asked at `sent`, and is at `lsn`: all that was committed before `sent` is before `lsn`.
    pub fn push(&mut self, sent: Instant, lsn: Lsn) {
        match self.0.back_mut() {
            // Nothing was written meanwhile: what has replayed so far is fresh up to now.
            Some((at, known)) if *known == lsn => *at = sent,
            _ => {
                // After a crash it may begin before what it had not yet flushed.
                while self.0.back().is_some_and(|(_, known)| *known > lsn) {
                    self.0.pop_back();
                }
                self.0.push_back((sent, lsn));
            }
        }
        if self.0.len() > MOST {
            self.thin();
        }
    }

    /// A replica at `lsn` has all that was committed before this; `None`: it is older than all samples.
    pub fn fresh_at(&self, lsn: Lsn) -> Option<Instant> {
        let covered = self.0.partition_point(|(_, known)| *known <= lsn);
        covered.checked_sub(1).map(|last| self.0[last].0)
    }

    /// Forgets all: the primary is another.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    fn thin(&mut self) {
        let mut at = 0;
        self.0.retain(|_| {
            at += 1;
            at > MOST / 2 || at % 2 == 1
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_position_tells_how_old_it_is() {
        let start = Instant::now();
        let after = |millis| start + Duration::from_millis(millis);
        let mut samples = Samples::default();
        assert_eq!(samples.fresh_at(Lsn(9)), None);
        samples.push(after(0), Lsn(100));
        samples.push(after(10), Lsn(200));
        samples.push(after(20), Lsn(300));
        let check =
            |lsn, expected: Option<u64>| assert_eq!(samples.fresh_at(Lsn(lsn)), expected.map(after), "{lsn}");
        check(99, None);
        check(100, Some(0));
        check(299, Some(10));
        check(400, Some(20));
        samples.push(after(900), Lsn(300));
        assert_eq!(samples.fresh_at(Lsn(300)), Some(after(900)), "an idle primary makes nobody old");
        assert_eq!(samples.fresh_at(Lsn(299)), Some(after(10)));
    }

    #[test]
    fn there_are_never_many_and_thinning_errs_on_the_old_side() {
        let start = Instant::now();
        let mut samples = Samples::default();
        for at in 0..100_000 {
            samples.push(start + Duration::from_millis(at), Lsn(at * 10));
        }
        assert!(samples.0.len() <= MOST, "{}", samples.0.len());
        for at in [99_999, 99_900, 50_000, 10] {
            let fresh = samples.fresh_at(Lsn(at * 10)).expect("the first is kept");
            assert!(fresh <= start + Duration::from_millis(at));
        }
        let recent = samples.fresh_at(Lsn(99_900 * 10)).map(|fresh| fresh.duration_since(start).as_millis());
        assert_eq!(recent, Some(99_900));
    }
}
