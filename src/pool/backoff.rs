//! Logins that failed: when the next one is tried, and who is told of it meanwhile.

use std::rc::Rc;
use std::time::{Duration, Instant};

use super::queue::{Inner, Pool};
use super::target::Target;
use crate::wire::{Fault, Severity};

/// Delay before connecting again after a failure: doubled each time, up to [`MAX_BACKOFF`].
const MIN_BACKOFF: Duration = Duration::from_millis(200);
const MAX_BACKOFF: Duration = Duration::from_secs(2);
/// The same where nobody waits, and servers are only to be kept idle.
const IDLE_BACKOFF: Duration = Duration::from_secs(15);
/// The same where a primary may come up on another of several hosts, and sessions wait for it.
const MOVING_BACKOFF: Duration = Duration::from_secs(1);
/// Who comes shortly before the next login waits for it: a database or a right may have been made because of the failure.
const WORTH_WAITING: Duration = Duration::from_millis(250);
/// A pool that never had a server is kept for so long after its last failure.
const KEPT: Duration = Duration::from_secs(60);

impl Pool {
    /// What prevented the last login, for who would wait in vain: no server is there or on its way, and none will be tried soon.
    /// `None`: waiting makes sense.
    pub(super) fn refusal(&self) -> Option<Fault> {
        let (target, inner) = (self.target(), self.inner.borrow());
        if inner.connecting > 0 {
            return None;
        }
        let left = inner.back_off(&target, true).filter(|left| *left > WORTH_WAITING)?;
        let fault = self.is_hopeless(&inner, &target)?.clone();
        let when = format!("the next login to the server is tried in {:.1} s", left.as_secs_f64());
        let detail = fault.detail.as_ref().map_or(when.clone(), |detail| format!("{detail} ({when})"));
        Some(Fault { severity: Severity::Error, ..fault }.detail(detail))
    }

    /// The last failure, if there is no server and it is not one that passes while sessions wait.
    fn is_hopeless<'a>(&self, inner: &'a Inner, target: &Target) -> Option<&'a Fault> {
        let (_, fault) = inner.failure.as_ref()?;
        // With servers at work the line moves on, and one that is just starting will be there soon; so may a primary on another
        // of several hosts, if there ever was one. Else nobody in it can be served.
        let had_one = inner.welcome.is_some() || self.led.is_watched();
        let passes = fault.sqlstate == "57P03" || had_one && target.may_outlast(fault);
        (inner.live == 0 && !inner.paused && !passes).then_some(fault)
    }

    pub(super) fn login_failed(self: &Rc<Pool>, fault: Fault) {
        self.stats().server_logins_failed.add(1);
        let target = self.target();
        tracing::warn!(database = target.database, user = target.user, error = %fault, "server login failed");
        let mut inner = self.inner.borrow_mut();
        inner.failures += 1;
        inner.failure = Some((Instant::now(), fault));
        inner.failed_with = target.renewals();
        let why = self.is_hopeless(&inner, &target).cloned();
        drop(inner);
        why.into_iter().for_each(|why| self.refuse_all(&why));
    }

    /// Tells those in line why they wait in vain, if they do.
    pub(super) fn refuse_in_vain(&self) {
        let is_empty = self.inner.borrow().line.is_empty();
        let why = if is_empty { None } else { self.refusal() };
        why.into_iter().for_each(|why| self.refuse_all(&why));
    }

    /// As many as logins are under way may be served yet: those who came first.
    fn refuse_all(&self, why: &Fault) {
        let mut inner = self.inner.borrow_mut();
        let hopeful = inner.connecting.min(inner.line.len());
        let refused = inner.line.split_off(hopeful);
        drop(inner);
        refused.into_iter().for_each(|place| place.refuse(why.clone()));
    }

    /// What prevented logins does so no more: the next is tried without delay.
    pub(super) fn forget_failures(&self) {
        let mut inner = self.inner.borrow_mut();
        (inner.failures, inner.failure) = (0, None);
    }

    /// How likely it is that its user can log in: there is a server, there was one, or none was tried; `None`: the server has refused it.
    pub(crate) fn promise(&self) -> Option<u8> {
        let inner = self.inner.borrow();
        match (inner.live > 0, inner.failure.is_some(), inner.welcome.is_some()) {
            (true, _, _) => Some(3),
            (false, false, true) => Some(2),
            (false, false, false) => Some(1),
            // It may be the server that was away, and not this user.
            (false, true, true) => Some(0),
            (false, true, false) => None,
        }
    }

    /// Whether it is of no use: it never had a server, the last login that failed was long ago, and nobody waits.
    pub(crate) fn was_given_up(&self, now: Instant) -> bool {
        let inner = self.inner.borrow();
        let failed = inner.failure.as_ref().is_some_and(|(at, _)| now.saturating_duration_since(*at) >= KEPT);
        inner.welcome.is_none() && failed && inner.is_unused()
    }
}

impl Inner {
    /// How long it is until a login may be tried; `None`: it may be now.
    pub(super) fn back_off(&self, target: &Target, somebody_waits: bool) -> Option<Duration> {
        let (at, _) = self.failure.as_ref()?;
        if self.failed_with != target.renewals() {
            return None;
        }
        let most = match (target.may_move(), somebody_waits) {
            (true, _) => MOVING_BACKOFF,
            (false, true) => MAX_BACKOFF,
            (false, false) => IDLE_BACKOFF,
        };
        let doubled = MIN_BACKOFF * 2u32.saturating_pow(self.failures.saturating_sub(1).min(16));
        let left = doubled.min(most).saturating_sub(at.elapsed());
        (!left.is_zero()).then_some(left)
    }

    /// No server is there or on its way, and nobody waits for one.
    pub(super) fn is_unused(&self) -> bool {
        self.live == 0 && self.connecting == 0 && self.asked == 0 && self.line.is_empty()
    }
}
