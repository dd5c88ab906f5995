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
const STUCK: u32 = 8;
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
        let Some(patience) = self.stuck.patience(took) else { return false };
        self.waits = Some(Waits::Moving(Moving::new(self.floor, now, patience)));
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

/// Reads of a session that went to the database because the stream was not known to have come to what it saw last.
#[derive(Debug)]
pub(super) struct Stuck {
    /// How many, since one did not.
    reads: u32,
    /// After so many one waits.
    most: u32,
}

impl Default for Stuck {
    fn default() -> Stuck {
        // So a session's first read waits, for a moment, for the stream to come to where it began.
        Stuck { reads: STUCK - 1, most: STUCK }
    }
}

impl Stuck {
    /// The stream has come.
    pub(super) fn is_over(&mut self) {
        self.reads = 0;
    }

    /// How long one more waits that took the database so long before; `None`: it does not.
    fn patience(&mut self, took: Duration) -> Option<Duration> {
        if took >= WORTH {
            return Some(took.min(MOVING));
        }
        self.reads = self.reads.saturating_add(1);
        if self.reads > self.most {
            // It has waited in vain.
            (self.reads, self.most) = (0, (self.most * 2).min(MOST_STUCK));
        }
        (self.reads == self.most).then_some(MOVING)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dear_read_waits_each_time_and_a_cheap_one_seldom() {
        let [cheap, dear, very_dear] = [1, 5, 500].map(Duration::from_millis);
        let mut stuck = Stuck::default();
        for _ in 0..100 {
            assert_eq!(stuck.patience(dear), Some(dear), "no longer than it would take");
            assert_eq!(stuck.patience(very_dear), Some(MOVING));
        }
        let mut waits = |times: u32| (0..times).filter(|_| stuck.patience(cheap).is_some()).count();
        assert_eq!(waits(1), 1, "the first of a session");
        // That was in vain: the next is the 16th behind the one that is told so, then the 32nd.
        assert_eq!([waits(1 + 15), waits(1), waits(1 + 31), waits(1)], [0, 1, 0, 1]);
        stuck.is_over();
        let mut waits = |times: u32| (0..times).filter(|_| stuck.patience(cheap).is_some()).count();
        assert_eq!([waits(31), waits(1)], [0, 1]);
    }
}
