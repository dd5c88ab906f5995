//! How far the stream of a database has come, as an instant that anybody can read.

use std::sync::LazyLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::time::{Duration, Instant};

/// The instant `t` such that every commit that was visible before `t` has been told by the stream, and all of its tags have been bumped.
/// Written by the one task of the stream.
#[derive(Debug, Default)]
pub struct Fresh(AtomicU64);

/// What instants are counted from.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

impl Fresh {
    /// No instant is known yet.
    pub fn new() -> Fresh {
        // An instant that is sampled later is not before it.
        LazyLock::force(&START);
        Fresh::default()
    }

    /// The stream has come to `as_of`. To be told after the tags were bumped: who reads this instant sees their versions.
    pub fn reach(&self, as_of: Instant) {
        // One from before this was made says nothing, rather than more than is true.
        let Some(since) = as_of.checked_duration_since(*START) else { return };
        self.0.store(u64::try_from(since.as_nanos()).map_or(0, |nanos| nanos.saturating_add(1)), Release);
    }

    /// The stream is lost: nothing is known until it has come to another instant.
    pub fn lost(&self) {
        self.0.store(0, Release);
    }

    /// The instant, to be read before tags are looked at.
    pub fn as_of(&self) -> Option<Instant> {
        match self.0.load(Acquire) {
            0 => None,
            nanos => START.checked_add(Duration::from_nanos(nanos - 1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_before_all_is_not_taken_for_a_later_one() {
        let fresh = Fresh::new();
        let past = START.checked_sub(Duration::from_nanos(1)).expect("the machine is up for longer");
        fresh.reach(past);
        assert_eq!(fresh.as_of(), None);
        fresh.reach(*START);
        assert_eq!(fresh.as_of(), Some(*START));
    }

    #[test]
    fn an_instant_is_given_back() {
        let fresh = Fresh::new();
        assert_eq!(fresh.as_of(), None);
        let now = Instant::now();
        fresh.reach(now);
        assert_eq!(fresh.as_of(), Some(now));
        fresh.lost();
        assert_eq!(fresh.as_of(), None);
    }
}
