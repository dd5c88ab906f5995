//! The instant up to which nothing is missing.
//!
//! A sample asks, from an instant on, where the WAL is being written. Every commit that any snapshot showed before that instant has its
//! record before that place, since it is written first. Once the stream has passed the place, all of these commits have been told; and
//! since the snapshot of the sample shows them, they are in limbo no more. So that instant is *fresh*. Commits in limbo which no snapshot
//! showed at that time do not hold it up: nobody can have seen them.

use std::collections::VecDeque;
use std::time::Instant;

use crate::plan::consistency::Lsn;

/// More samples are not kept while the stream does not move: the last of them is given up for a new one, so that the oldest waits no longer
/// and the newest is among them.
const MOST: usize = 64;

/// An answered question of where the WAL is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// The instant before it was asked.
    pub at: Instant,
    /// Where.
    pub lsn: Lsn,
}

/// Samples that the stream has not passed, and the last fresh point.
#[derive(Debug, Default)]
pub struct Fresh {
    passed: Lsn,
    pending: VecDeque<Sample>,
    fresh: Option<Instant>,
}

impl Fresh {
    /// A sample has been answered, and its snapshot has been taken into account ([`super::limbo::Limbo::sampled`]). Gives the fresh
    /// point, if there is a new one.
    pub fn sampled(&mut self, sample: Sample) -> Option<Instant> {
        if sample.lsn <= self.passed {
            // All that wait are older, and no further on in the WAL.
            self.pending.clear();
            return self.reach(sample.at);
        }
        if self.pending.len() >= MOST {
            self.pending.pop_back();
        }
        self.pending.push_back(sample);
        None
    }

    /// The stream has told all commits whose records end at this place or before. Gives the fresh point, if there is a new one.
    pub fn passed(&mut self, lsn: Lsn) -> Option<Instant> {
        self.passed = self.passed.max(lsn);
        let mut last = None;
        while let Some(sample) = self.pending.front()
            && sample.lsn <= self.passed
        {
            last = Some(sample.at);
            self.pending.pop_front();
        }
        self.reach(last?)
    }

    fn reach(&mut self, at: Instant) -> Option<Instant> {
        if self.fresh.is_some_and(|fresh| fresh >= at) {
            return None;
        }
        self.fresh = Some(at);
        self.fresh
    }

    /// The oldest sample that waits for the stream.
    pub fn waits(&self) -> Option<Sample> {
        self.pending.front().copied()
    }

    /// How far the stream has come.
    pub fn through(&self) -> Lsn {
        self.passed
    }

    /// The last fresh point.
    pub fn point(&self) -> Option<Instant> {
        self.fresh
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_instant_is_fresh_when_the_stream_has_passed_its_place() {
        let start = Instant::now();
        let at = |millis: u64| start + Duration::from_millis(millis);
        let mut fresh = Fresh::default();
        let sample = |fresh: &mut Fresh, millis, lsn| fresh.sampled(Sample { at: at(millis), lsn: Lsn(lsn) });
        assert_eq!(sample(&mut fresh, 1, 100), None);
        assert_eq!(sample(&mut fresh, 2, 100), None);
        assert_eq!(sample(&mut fresh, 3, 150), None);
        assert_eq!(fresh.passed(Lsn(99)), None);
        assert_eq!(fresh.waits().map(|sample| sample.at), Some(at(1)));
        assert_eq!(fresh.passed(Lsn(100)), Some(at(2)), "the later of two at one place");
        assert_eq!(fresh.passed(Lsn(40)), None, "it never goes back");
        assert_eq!(fresh.through(), Lsn(100));
        assert_eq!(sample(&mut fresh, 4, 100), Some(at(4)), "nothing was written since");
        assert_eq!(fresh.waits(), None);
        assert_eq!(fresh.passed(Lsn(150)), None, "a later instant is fresh already");
        assert_eq!(sample(&mut fresh, 3, 150), None);
        assert_eq!(fresh.point(), Some(at(4)));
    }

    #[test]
    fn the_oldest_and_the_newest_are_kept_while_nothing_moves() {
        let start = Instant::now();
        let at = |n: usize| start + Duration::from_millis(n as u64);
        let mut fresh = Fresh::default();
        for n in 0..1000 {
            assert_eq!(fresh.sampled(Sample { at: at(n), lsn: Lsn(n as u64 + 1) }), None);
        }
        assert_eq!(fresh.pending.len(), MOST);
        assert_eq!(fresh.passed(Lsn(1)), Some(at(0)));
        assert_eq!(fresh.passed(Lsn(1000)), Some(at(999)));
    }
}
