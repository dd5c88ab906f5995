//! The gate: whether a level lets a result be served that is there and unchanged as far as is known.
//!
//! Closed means that the database answers; nobody ever waits at a gate.

use std::time::{Duration, Instant};

use super::counts::Miss;
use super::cures::{Cure, is_off};
use super::entry::Entry;
use super::tags::{Broken, Tags, Versions};
use crate::level::{Caching, OnStreamLoss};

/// The longest that a result is kept, whatever a rule says.
pub const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// What one lookup asks for. To be made for each, before the store is asked: `fresh_as_of` says what has been bumped, so it must be read before tags are.
#[derive(Debug, Clone)]
pub struct Gate {
    /// What the read promises.
    pub level: Caching,
    /// The time. A query that fills is sent later, so ages are counted from here.
    pub now: Instant,
    /// How far the stream has come ([`super::Fresh::as_of`]); `None`: there is none.
    pub fresh_as_of: Option<Instant>,
    /// It is known that definitions, rights and settings are those by which statements are judged, as to what others than pgweir change; not for level `ttl`.
    pub definitions_hold: bool,
    /// The latest of what the session must not miss: its last acknowledged write, the end of its last answer from the database, [`Entry::seen`] of its
    /// last hit, its last notification, a token. `None`: it has seen
    /// nothing. At level `strict_all`, when the read began. Other levels do not look at it.
    pub floor: Option<Instant>,
    /// How old `fresh_as_of` may be; not for level `ttl`.
    pub bound: Duration,
    /// How old a result may be, from when its query was sent; [`LONGEST`] at most.
    pub ttl: Duration,
    /// Level `ttl`: for so much longer a result is served while one reader fetches another.
    pub swr: Duration,
    /// What becomes of a level that needs the stream when it is lost or late.
    pub on_stream_loss: OnStreamLoss,
}

/// What a gate says of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judged {
    /// It is served.
    Serve,
    /// It is served, and somebody should fetch another before it is too old.
    ServeAndRefresh,
    /// It is not served to this reader.
    Closed(Miss),
    /// It is of no use to anybody any more.
    Useless(Miss),
}

impl Gate {
    /// Whether, as to the stream, a result may be served whose query was sent then. What shows all that the session has seen needs no stream to say so.
    pub(super) fn freshness(&self, sent: Instant) -> Result<(), Miss> {
        if !self.needs_stream() {
            return Ok(());
        }
        // Neither lost nor late: `needs_stream` has looked.
        let Some(as_of) = self.fresh_as_of else { return Err(Miss::NoStream) };
        if self.is_late(as_of) {
            return Err(Miss::Behind);
        }
        let shown = as_of.max(sent);
        let is_behind = self.floor.is_some_and(|floor| floor > shown) && !is_off(Cure::Floor);
        match matches!(self.level, Caching::Session | Caching::StrictAll) && is_behind {
            true => Err(Miss::Floor),
            false => Ok(()),
        }
    }

    /// Whether this read is one of level `ttl` now: by its rule, or because the stream is lost or late and its rule says so.
    pub(super) fn is_by_age(&self) -> bool {
        let lost = self.fresh_as_of.is_none_or(|as_of| self.is_late(as_of));
        self.level == Caching::Ttl || self.on_stream_loss == OnStreamLoss::Ttl && lost
    }

    fn is_late(&self, as_of: Instant) -> bool {
        let late = self.now.saturating_duration_since(as_of) > self.bound;
        (late || !self.definitions_hold) && !is_off(Cure::Bound)
    }

    fn needs_stream(&self) -> bool {
        !self.is_by_age()
    }

    /// What keeps a query's result from being kept before it is sent.
    pub(super) fn fill(&self) -> Result<(), Miss> {
        match self.needs_stream() && self.fresh_as_of.is_none() {
            true => Err(Miss::NoStream),
            false => Ok(()),
        }
    }

    /// Whether what it depends on lets a result be served. By age only the definitions do: the caller asked for old rows, not for other columns.
    pub(super) fn unchanged(&self, tags: &Tags, versions: &Versions) -> Result<(), Broken> {
        if self.level != Caching::Ttl {
            return tags.holds(versions);
        }
        match tags.is_unchanged(versions, super::needs::DEFINITIONS) {
            true => Ok(()),
            false => Err(Broken::Version),
        }
    }

    /// Whether an entry may be served.
    #[inline]
    pub(super) fn judge(&self, tags: &Tags, entry: &Entry) -> Judged {
        match self.unchanged(tags, entry.versions()) {
            Ok(()) => {}
            Err(Broken::Doubt) => return Judged::Closed(Miss::InDoubt),
            Err(Broken::Version) => return Judged::Useless(Miss::Invalidated),
        }
        let shown = if is_off(Cure::ShownWhenSent) { entry.seen() } else { entry.sent() };
        if let Err(why) = self.freshness(shown) {
            return Judged::Closed(why);
        }
        self.aged(entry.sent())
    }

    fn aged(&self, sent: Instant) -> Judged {
        let age = self.now.saturating_duration_since(sent);
        let ttl = self.ttl.min(LONGEST);
        let swr = if self.level == Caching::Ttl { self.swr } else { Duration::ZERO };
        if age >= ttl.saturating_add(swr).min(LONGEST) {
            return Judged::Closed(Miss::Expired);
        }
        let refreshed = matches!(self.level, Caching::Ttl | Caching::Bounded);
        match refreshed && age >= ttl - ttl / REFRESH {
            true => Judged::ServeAndRefresh,
            false => Judged::Serve,
        }
    }

    /// Whether a reader that begins now may have the answer of a query that was sent earlier.
    pub(super) fn may_follow(&self, tags: &Tags, versions: &Versions, sent: Instant) -> bool {
        (self.unchanged(tags, versions).is_ok() || is_off(Cure::Detachment))
            && self.freshness(sent).is_ok()
            && self.now.saturating_duration_since(sent) < self.ttl.min(LONGEST)
    }
}

/// In the last such part of its time a result is fetched anew.
const REFRESH: u32 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn gate(level: Caching) -> Gate {
        let now = Instant::now() + 1000 * MS;
        Gate {
            level,
            now,
            fresh_as_of: Some(now),
            definitions_hold: true,
            floor: None,
            bound: 100 * MS,
            ttl: 800 * MS,
            swr: Duration::ZERO,
            on_stream_loss: OnStreamLoss::Bypass,
        }
    }

    /// Changes a gate at level `session` as told, and says what it lets through.
    fn check(level: Caching, change: impl Fn(&mut Gate), expected: Result<(), Miss>) {
        let mut gate = gate(level);
        change(&mut gate);
        assert_eq!(gate.freshness(gate.now - 500 * MS), expected, "{gate:?}");
    }

    #[test]
    fn levels_look_at_the_stream() {
        use Caching::{Bounded, Session, Strict, StrictAll, Ttl};
        for level in [Bounded, Session, Strict, StrictAll] {
            check(level, |_| {}, Ok(()));
            check(level, |gate| gate.fresh_as_of = None, Err(Miss::NoStream));
            check(level, |gate| gate.fresh_as_of = Some(gate.now - 100 * MS), Ok(()));
            check(level, |gate| gate.fresh_as_of = Some(gate.now - 101 * MS), Err(Miss::Behind));
            check(level, |gate| gate.definitions_hold = false, Err(Miss::Behind));
            // The stream may have come further since the time was taken.
            check(level, |gate| gate.fresh_as_of = Some(gate.now + MS), Ok(()));
        }
        check(Ttl, |gate| gate.fresh_as_of = None, Ok(()));
        check(Ttl, |gate| gate.floor = Some(gate.now + MS), Ok(()));
    }

    #[test]
    fn a_session_has_a_floor_and_so_has_a_read_that_misses_nothing() {
        let high = |gate: &mut Gate| gate.floor = Some(gate.now + MS);
        check(Caching::Session, high, Err(Miss::Floor));
        check(Caching::StrictAll, high, Err(Miss::Floor));
        check(Caching::Session, |gate| gate.floor = gate.fresh_as_of, Ok(()));
        check(Caching::Bounded, high, Ok(()));
        check(Caching::Strict, high, Ok(()));
        let mut gate = gate(Caching::Session);
        gate.floor = Some(gate.now - 10 * MS);
        gate.fresh_as_of = Some(gate.now - 20 * MS);
        assert_eq!(gate.freshness(gate.now - 11 * MS), Err(Miss::Floor));
        assert_eq!(gate.freshness(gate.now - 10 * MS), Ok(()), "it was asked for behind all that was seen");
    }

    #[test]
    fn a_rule_may_ask_for_age_when_the_stream_is_lost() {
        let by_age = |gate: &mut Gate| gate.on_stream_loss = OnStreamLoss::Ttl;
        let lost = |gate: &mut Gate| gate.fresh_as_of = None;
        for level in [Caching::Bounded, Caching::Session, Caching::Strict] {
            check(level, |gate| (by_age(gate), lost(gate)).1, Ok(()));
            check(level, |gate| (by_age(gate), gate.fresh_as_of = Some(gate.now - 200 * MS)).1, Ok(()));
        }
        check(Caching::Session, |gate| (by_age(gate), gate.floor = Some(gate.now + MS)).1, Err(Miss::Floor));
        let mut fills = gate(Caching::Session);
        lost(&mut fills);
        assert_eq!(fills.fill(), Err(Miss::NoStream));
        by_age(&mut fills);
        assert_eq!(fills.fill(), Ok(()));
    }

    #[test]
    fn age_counts_from_when_the_query_was_sent() {
        let check = |level: Caching, swr: u32, age: u32, expected: Judged| {
            let gate = Gate { swr: swr * MS, ..gate(level) };
            assert_eq!(gate.aged(gate.now - age * MS), expected, "{level:?} {swr} {age}");
        };
        let expired = Judged::Closed(Miss::Expired);
        check(Caching::Session, 100, 799, Judged::Serve);
        check(Caching::Session, 100, 800, expired);
        check(Caching::Strict, 0, 799, Judged::Serve);
        check(Caching::Bounded, 100, 699, Judged::Serve);
        check(Caching::Bounded, 100, 700, Judged::ServeAndRefresh);
        check(Caching::Bounded, 100, 800, expired);
        check(Caching::Ttl, 100, 699, Judged::Serve);
        check(Caching::Ttl, 100, 899, Judged::ServeAndRefresh);
        check(Caching::Ttl, 100, 900, expired);
        let mut long = gate(Caching::Session);
        long.ttl = Duration::MAX;
        long.now += LONGEST;
        assert_eq!(long.aged(long.now - LONGEST), expired);
        assert_eq!(long.aged(long.now - LONGEST + MS), Judged::Serve);
    }
}
