//! What a read waits for before it takes a server: another session's answer to the same, or the stream.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::time::Sleep;

use super::cached::Cached;
use super::ruled::Stage;
use super::serve::Session;
use crate::cache::Following;
use crate::timer::sleep_until;

/// A session whose every read goes to the database moves its floor with each, and the stream never comes to it. So after so many it waits once, for
/// as long as [`MOVING`]; twice as many each time that is in vain.
pub(super) const STUCK: u32 = 8;
/// More than the stream takes in good health.
const MOVING: Duration = Duration::from_millis(10);
/// How often it is looked for: as often as a timer can run.
const LOOK: Duration = Duration::from_millis(1);
/// What has taken the database longer than the stream takes in good health is waited for rather than asked for again.
const WORTH: Duration = Duration::from_millis(3);
/// From that many on it is not more.
const MOST_STUCK: u32 = 4096;
/// Level `strict_all`: after waits in vain, so many reads do not wait at most.
const MOST_IN_VAIN: u32 = 64;

/// What a read waits for before it takes a server.
pub(super) enum Waits {
    /// Another session's answer to the same.
    For(Following, Pin<Box<Sleep>>),
    /// The stream.
    Moving(Moving),
}

/// A read that waits for the stream to come to an instant.
pub(super) struct Moving {
    to: Option<Instant>,
    /// It is looked for each time that this has run.
    timer: Pin<Box<Sleep>>,
    /// For so long.
    until: Instant,
}

impl Session {
    /// Looks whether what a read waits for has come; it is looked up again then, and has its turn in line no more.
    pub(super) fn poll_cache(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(cached) = &mut self.cached else { return false };
        let come = match &mut cached.waits {
            None => return false,
            Some(Waits::Moving(moving)) => {
                let come = moving.poll(cx, cached.cache.feed.as_of());
                if let Some(verdict) = self.verdict.as_mut().filter(|_| come) {
                    verdict.stage = Stage::StreamCame;
                }
                come
            }
            Some(Waits::For(following, until)) => {
                let late = until.as_mut().poll(cx).is_ready();
                let now = if late { following.until() } else { Instant::now() };
                match following.poll(cx, now) {
                    Poll::Pending => false,
                    Poll::Ready(answer) => {
                        if let Some(verdict) = &mut self.verdict {
                            // Where there is no answer, it asks the database itself.
                            verdict.stage = if answer.is_ok() { Stage::AnswerCame } else { Stage::Looked };
                        }
                        true
                    }
                }
            }
        };
        if come {
            cached.waits = None;
            self.handle.waiting.set(false);
        }
        come
    }

    /// A read waits before it takes a server.
    #[inline]
    pub(super) fn waits_for_cache(&self) -> bool {
        self.cached.as_ref().is_some_and(|cached| cached.waits.is_some())
    }

    /// It waits no more, because its client has cancelled it. False: it did not.
    pub(super) fn waits_for_cache_no_more(&mut self) -> bool {
        self.cached.as_mut().is_some_and(|cached| cached.waits.take().is_some())
    }
}

impl Moving {
    /// Waits until the stream has come to `to`, so long at most.
    fn new(to: Option<Instant>, now: Instant, patience: Duration) -> Moving {
        Moving { to, timer: Box::pin(sleep_until(now + LOOK)), until: now + patience }
    }

    /// Whether the stream, which is there now, has come, or has been waited for long enough.
    fn poll(&mut self, cx: &mut Context<'_>, as_of: Option<Instant>) -> bool {
        let come = as_of >= self.to;
        while !come && self.timer.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            if now >= self.until {
                return true;
            }
            self.timer.as_mut().reset((now + LOOK).into());
        }
        come
    }
}

impl Cached {
    /// The stream is not known to have come to what the session saw last: is it to wait for that? What the entry has saved says what it is worth.
    pub(super) fn waits_for_stream(&mut self, now: Instant, took: Duration) -> bool {
        let floor = self.floor;
        if took >= WORTH {
            self.waits = Some(Waits::Moving(Moving::new(floor, now, took.min(MOVING))));
            return true;
        }
        self.stuck = self.stuck.saturating_add(1);
        if self.stuck < self.patient {
            return false;
        }
        if self.stuck > self.patient {
            // It has waited in vain.
            (self.stuck, self.patient) = (0, (self.patient * 2).min(MOST_STUCK));
            return false;
        }
        self.waits = Some(Waits::Moving(Moving::new(floor, now, MOVING)));
        true
    }

    /// A read that must miss nothing of what was there when it began waits for the stream to come to that: not where that was in vain of late.
    pub(super) fn waits_for_all(&mut self, now: Instant, begun: Option<Instant>) -> bool {
        let InVain { left, .. } = &mut self.in_vain;
        if *left > 0 {
            *left -= 1;
            return false;
        }
        self.waits = Some(Waits::Moving(Moving::new(begun, now, MOVING)));
        true
    }
}

/// How often such a read has waited in vain, one after the other.
#[derive(Debug, Default)]
pub(super) struct InVain {
    /// So many reads do not wait then.
    skips: u32,
    /// So many of them are left.
    left: u32,
}

impl InVain {
    pub(super) fn once_more(&mut self) {
        self.skips = (self.skips * 2 + 1).min(MOST_IN_VAIN);
        self.left = self.skips;
    }
}
