//! How often samples are worth their cost.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// While somebody uses what is told, a sample follows the last one, but at most once in this time.
pub const FAST: Duration = Duration::from_millis(1);
/// Else once in this time: who writes asks for none, and who reads behind a write is not to find the stream far behind.
pub const SLOW: Duration = Duration::from_millis(20);
/// After ten seconds without use, once in this time.
pub const IDLE: Duration = Duration::from_secs(1);
/// How long one use counts as going on.
const USING: Duration = Duration::from_millis(100);
/// How long after a use the next one is expected.
const RECENT: Duration = Duration::from_secs(10);

/// When somebody last wanted a fresh point. To tell costs a load, and a store once in some milliseconds.
#[derive(Debug)]
pub struct Demand {
    start: Instant,
    /// Milliseconds from the start, and one.
    last: AtomicU64,
    wake: Notify,
}

impl Default for Demand {
    fn default() -> Demand {
        Demand { start: Instant::now(), last: AtomicU64::new(0), wake: Notify::new() }
    }
}

impl Demand {
    /// Somebody uses what is told, and would be glad of a fresh point.
    pub fn used(&self) {
        let now = self.start.elapsed().as_millis() as u64 + 1;
        let last = self.last.load(Ordering::Relaxed);
        if now <= last + 5 && last != 0 {
            return;
        }
        self.last.store(now, Ordering::Relaxed);
        if last == 0 || now - last.min(now) > USING.as_millis() as u64 {
            self.wake.notify_one();
        }
    }

    /// How long after one sample the next is due.
    pub fn interval(&self) -> Duration {
        match self.since_use() {
            Some(since) if since <= USING => FAST,
            Some(since) if since <= RECENT => SLOW,
            _ => IDLE,
        }
    }

    /// Whether somebody uses it now.
    pub fn is_used(&self) -> bool {
        self.interval() == FAST
    }

    /// Returns when a use begins.
    pub async fn begins(&self) {
        self.wake.notified().await;
    }

    fn since_use(&self) -> Option<Duration> {
        let last = Duration::from_millis(self.last.load(Ordering::Relaxed).checked_sub(1)?);
        Some(self.start.elapsed().saturating_sub(last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn samples_are_as_frequent_as_they_are_used() {
        let demand = Demand::default();
        assert_eq!(demand.interval(), IDLE);
        demand.used();
        assert_eq!(demand.interval(), FAST);
        tokio::time::timeout(Duration::from_secs(5), demand.begins()).await.expect("the sampler is woken");
        demand.used();
        let again = tokio::time::timeout(Duration::from_millis(20), demand.begins()).await;
        assert!(again.is_err(), "a use that goes on wakes nobody");
        tokio::time::sleep(USING + Duration::from_millis(20)).await;
        assert_eq!(demand.interval(), SLOW);
        demand.used();
        tokio::time::timeout(Duration::from_secs(5), demand.begins()).await.expect("it is woken again");
    }
}
