//! Limits that hold over all workers: counters that are taken from and given back to.
//!
//! What one worker has, another may need more. Who waits for one in vain says so ([`Budget::want`]), and who can do without gives one up
//! ([`Budget::yields`]), which is kept for who has asked.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// So long a wish is good, and what was given up for it kept.
const GOOD: Duration = Duration::from_secs(1);

/// A number of things that may exist at once.
#[derive(Debug)]
pub struct Budget {
    used: AtomicUsize,
    limit: AtomicUsize,
    /// There is a wish.
    wanted: AtomicBool,
    wish: Mutex<Option<Wish>>,
}

/// Somebody waits for one that others have. Good for a moment; who waits on says so again.
#[derive(Debug, Clone, Copy)]
pub struct Wish {
    by: usize,
    since: Instant,
    has_none: bool,
    said: Instant,
    /// One was given up for it.
    granted: bool,
}

impl Wish {
    /// Of `by`, at whom somebody waits since then. If it `has_none` at all, others give up one even if they are waited for
    /// themselves, but not for as long.
    pub fn new(by: usize, since: Instant, has_none: bool, now: Instant) -> Wish {
        Wish { by, since, has_none, said: now, granted: false }
    }

    fn is_good(&self) -> bool {
        self.said.elapsed() < GOOD
    }
}

/// One of a [`Budget`]; given back when dropped.
#[derive(Debug)]
pub struct Share(Arc<Budget>);

impl Budget {
    /// Allows `limit` at once.
    pub fn new(limit: usize) -> Arc<Budget> {
        Arc::new(Budget {
            used: AtomicUsize::new(0),
            limit: AtomicUsize::new(limit),
            wanted: AtomicBool::new(false),
            wish: Mutex::default(),
        })
    }

    /// Takes one, unless all are taken.
    pub fn take(self: &Arc<Budget>) -> Option<Share> {
        let limit = self.limit.load(Ordering::Relaxed);
        let below = |used| (used < limit).then_some(used + 1);
        self.used.fetch_update(Ordering::AcqRel, Ordering::Acquire, below).ok()?;
        Some(Share(self.clone()))
    }

    /// The same for who may have a wish: none that was given up for another's.
    pub fn take_for(self: &Arc<Budget>, by: usize) -> Option<Share> {
        if !self.is_wanted() {
            return self.take();
        }
        let mut wish = self.wish();
        if wish.is_some_and(|wish| wish.by != by && wish.granted && wish.is_good()) {
            return None;
        }
        let share = self.take()?;
        if wish.is_some_and(|known| known.by == by) {
            self.forget(&mut wish);
        }
        Some(share)
    }

    /// Wishes for one, where all are taken. The oldest wish counts.
    pub fn want(&self, new: Wish) {
        if self.used() < self.limit() {
            return;
        }
        let mut wish = self.wish();
        if wish.is_none_or(|known| known.by == new.by || new.since < known.since || !known.is_good()) {
            *wish = Some(new);
            self.wanted.store(true, Ordering::Relaxed);
        }
    }

    /// Wishes for none any more: what was given up is for anybody.
    pub fn want_no_more(&self, by: usize) {
        let mut wish = self.wish();
        if wish.is_some_and(|known| known.by == by) {
            self.forget(&mut wish);
        }
    }

    /// Whether there may be a wish: one load.
    #[inline]
    pub fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed)
    }

    /// Whether `by`, at whom somebody waits since `line` if at all, is to give up one for another's wish.
    pub fn owes(&self, by: usize, line: Option<Instant>) -> bool {
        let mut wish = self.wish();
        let Some(known) = wish.filter(Wish::is_good) else {
            self.forget(&mut wish);
            return false;
        };
        let older = || line.is_none_or(|line| known.has_none && known.since < line);
        known.by != by && !known.granted && older()
    }

    /// The same, and it is given up.
    pub fn yields(&self, by: usize, line: Option<Instant>) -> bool {
        let owes = self.owes(by, line);
        if owes {
            self.wish().iter_mut().for_each(|known| known.granted = true);
        }
        owes
    }

    fn forget(&self, wish: &mut Option<Wish>) {
        *wish = None;
        self.wanted.store(false, Ordering::Relaxed);
    }

    fn wish(&self) -> MutexGuard<'_, Option<Wish>> {
        self.wish.lock().unwrap_or_else(PoisonError::into_inner)
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

    #[test]
    fn what_is_given_up_is_for_who_wished_for_it() {
        let budget = Budget::new(1);
        let now = Instant::now();
        let wish = |by, has_none| Wish::new(by, now, has_none, now);
        let share = budget.take_for(1).unwrap();
        assert!(!budget.is_wanted() && !budget.yields(1, None));
        budget.want(wish(2, false));
        assert!(budget.is_wanted() && !budget.yields(2, None), "not to itself");
        assert!(!budget.yields(1, Some(now + GOOD)), "it is waited for itself");
        budget.want(wish(2, true));
        assert!(!budget.yields(1, Some(now)) && budget.yields(1, Some(now + GOOD)));
        assert!(!budget.yields(1, None), "one is enough");
        drop(share);
        assert!(budget.take_for(1).is_none(), "it is kept");
        let share = budget.take_for(2).unwrap();
        assert!(!budget.is_wanted());
        budget.want(Wish::new(3, now, true, now - GOOD));
        assert!(budget.is_wanted() && !budget.yields(1, None) && !budget.is_wanted(), "it is too old");
        budget.want(wish(2, true));
        budget.want_no_more(3);
        assert!(budget.is_wanted());
        budget.want_no_more(2);
        assert!(!budget.is_wanted());
        drop(share);
        budget.want(wish(1, true));
        assert!(!budget.is_wanted(), "there is one");
    }
}
