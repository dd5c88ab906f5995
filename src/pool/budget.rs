//! Limits that hold over all workers: counters that are taken from and given back to.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A number of things that may exist at once.
#[derive(Debug)]
pub struct Budget {
    used: AtomicUsize,
    limit: AtomicUsize,
}

/// One of a [`Budget`]; given back when dropped.
#[derive(Debug)]
pub struct Share(Arc<Budget>);

impl Budget {
    /// Allows `limit` at once.
    pub fn new(limit: usize) -> Arc<Budget> {
        Arc::new(Budget { used: AtomicUsize::new(0), limit: AtomicUsize::new(limit) })
    }

    /// Takes one, unless all are taken.
    pub fn take(self: &Arc<Budget>) -> Option<Share> {
        let limit = self.limit.load(Ordering::Relaxed);
        let below = |used| (used < limit).then_some(used + 1);
        self.used.fetch_update(Ordering::AcqRel, Ordering::Acquire, below).ok()?;
        Some(Share(self.clone()))
    }

    /// How many are taken.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// How many there are.
    pub fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    /// Changes the number. What is taken beyond it stays taken until it is given back.
    pub fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.0.used.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_the_limit() {
        let budget = Budget::new(2);
        let first = budget.take().unwrap();
        let _second = budget.take().unwrap();
        assert!(budget.take().is_none());
        drop(first);
        assert!(budget.take().is_some());
        budget.set_limit(0);
        assert!(budget.take().is_none());
    }
}
