//! Servers between pools: those of one worker, or of one user, are closed for the sake of another that waits.
//!
//! A pool has a part on each worker, and all parts together may have so many servers. One that gets none, or too few, says so when
//! somebody has waited there for a while; others give up what they do not need, one at a time.

use std::rc::Rc;
use std::time::{Duration, Instant};

use super::budget::{Budget, Wish};
use super::queue::Pool;
use super::server::Server;

/// Who has waited for so long gets servers of others.
const WHILE: Duration = Duration::from_millis(50);

impl Pool {
    /// Names it among those that share its budgets.
    pub(super) fn id(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Whether one of its servers is to be closed for the sake of another pool, as soon as it is free.
    #[inline]
    pub(super) fn owes_one(&self) -> bool {
        self.others_want() && self.any_budget(Budget::owes)
    }

    /// The same of a server that is free now, which is closed.
    #[inline]
    pub(super) fn is_to_yield(&self) -> bool {
        self.others_want() && self.any_budget(Budget::yields)
    }

    fn others_want(&self) -> bool {
        self.budgets.iter().any(|budget| budget.is_wanted())
    }

    #[cold]
    fn any_budget(&self, says: impl Fn(&Budget, usize, Option<Instant>) -> bool) -> bool {
        let line = self.inner.borrow().line.front().map(|place| place.since.get());
        self.budgets.iter().any(|budget| budget.is_wanted() && says(budget, self.id(), line))
    }

    /// An idle server that another pool needs.
    pub(super) fn take_what_others_want(&self) -> Option<Box<Server>> {
        let has_idle = !self.inner.borrow().idle.is_empty();
        if has_idle && self.is_to_yield() { self.inner.borrow_mut().idle.pop() } else { None }
    }

    /// Says that it needs one of the servers of others, if somebody has waited here for a while.
    pub(super) fn wish(self: &Rc<Pool>, now: Instant) {
        let inner = self.inner.borrow();
        let Some(since) = inner.line.front().map(|place| place.since.get()) else {
            let wanted = self.budgets.iter().filter(|budget| budget.is_wanted());
            return wanted.for_each(|budget| budget.want_no_more(self.id()));
        };
        if inner.paused || now.saturating_duration_since(since) < WHILE {
            return;
        }
        let wish = Wish::new(self.id(), since, inner.live == 0, now);
        let own = inner.live + inner.connecting;
        self.budgets.iter().filter(|budget| budget.used() > own).for_each(|budget| budget.want(wish));
    }
}
