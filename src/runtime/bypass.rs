//! For how long there was no stream though reads needed one.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The time from the first read on that needed the stream in which there was none, all together.
#[derive(Debug, Default)]
pub(super) struct Bypass {
    needed: AtomicBool,
    time: Mutex<Time>,
}

#[derive(Debug, Default)]
struct Time {
    /// Since when there has been none.
    since: Option<Instant>,
    /// Before that.
    past: Duration,
}

impl Bypass {
    /// Whether any read has needed the stream.
    #[inline]
    pub fn is_needed(&self) -> bool {
        self.needed.load(Ordering::Relaxed)
    }

    /// A read needs it; `is_lost` says whether there is none.
    pub fn need(&self, now: Instant, is_lost: impl FnOnce() -> bool) {
        let mut time = self.time();
        if !self.needed.swap(true, Ordering::Relaxed) && is_lost() {
            time.since = Some(now);
        }
    }

    /// There is none any more.
    pub fn begins(&self, now: Instant) {
        let mut time = self.time();
        if self.is_needed() {
            time.since.get_or_insert(now);
        }
    }

    /// There is one.
    pub fn ends(&self, now: Instant) {
        let mut time = self.time();
        if let Some(since) = time.since.take() {
            time.past += now.saturating_duration_since(since);
        }
    }

    /// How long that was so far.
    pub fn total(&self, now: Instant) -> Duration {
        let time = self.time();
        time.past + time.since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }

    fn time(&self) -> MutexGuard<'_, Time> {
        self.time.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_counts_from_the_first_read_and_without_the_stream() {
        let (bypass, start) = (Bypass::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let total = |seconds| bypass.total(at(seconds)).as_secs();
        bypass.begins(at(0));
        assert_eq!(total(5), 0, "nobody needs it");
        bypass.need(at(5), || true);
        bypass.need(at(6), || true);
        assert_eq!(total(7), 2);
        bypass.begins(at(8));
        assert_eq!(total(8), 3, "it goes on");
        bypass.ends(at(9));
        bypass.ends(at(10));
        assert_eq!(total(20), 4);
        bypass.begins(at(20));
        assert_eq!(total(21), 5);
    }

    #[test]
    fn a_stream_that_is_there_is_no_bypass() {
        let (bypass, start) = (Bypass::default(), Instant::now());
        bypass.need(start, || false);
        assert_eq!(bypass.total(start + Duration::from_secs(9)), Duration::ZERO);
    }
}
