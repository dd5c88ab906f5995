//! Whether all is as it was on which answers depend beside rows: definitions, rights, and settings that are not a session's own.
//!
//! Who looks at the catalogs all the time tells what they look like ([`super::Definitions::seen`]). What was read from catalogs that looked the same is vouched
//! for, for a while; what was read from others holds no more.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::read::Row;

/// One row of two columns; see the file. Under [`super::Reach::SETTINGS`].
pub const BESIDE: &str = include_str!("sql/beside.sql");

/// Stands between the two where they are one text; in neither of them.
const BETWEEN: char = '|';

/// What the answer to [`BESIDE`] says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beside {
    /// What the catalogs look like.
    catalogs: String,
    /// When the server has read its configuration, as far as the asking session has noticed: each has a time of its own.
    configured: String,
}

impl Beside {
    /// `None`: it is no such answer.
    pub fn read(row: &Row) -> Option<Beside> {
        let [Some(catalogs), Some(configured)] = row.as_slice() else { return None };
        Some(Beside { catalogs: catalogs.clone(), configured: configured.clone() })
    }

    /// As the mark of a reading.
    pub fn mark(&self) -> String {
        format!("{}{BETWEEN}{}", self.catalogs, self.configured)
    }
}

/// Whether a mark has in it all by which contents may be others, also what a change of ours does.
pub(super) fn is_whole(mark: &str) -> bool {
    mark.contains(BETWEEN)
}

/// What was seen last, and what follows from it.
#[derive(Debug, Default)]
pub(super) struct Seen {
    last: Option<(Beside, Instant)>,
    /// The configuration was found read again: other sessions of the server may have been later to do so.
    configured: bool,
}

impl Seen {
    /// This is seen, and holds until then. True: settings may be others than those of answers so far.
    pub(super) fn see(&mut self, beside: &Beside, until: Instant) -> bool {
        let before = self.last.replace((beside.clone(), until));
        let configured = before.is_some_and(|(before, _)| before.configured != beside.configured);
        std::mem::replace(&mut self.configured, configured) || configured
    }

    /// Until when what was read under this mark is known to hold; `None`: the catalogs look other than that. Of a mark of another kind, it is not known.
    pub(super) fn vouch(&self, mark: Option<&str>) -> Option<Until> {
        let (last, until) = self.last.as_ref()?;
        let (catalogs, _) = mark?.rsplit_once(BETWEEN)?;
        Some(if catalogs == last.catalogs { Until::Then(*until) } else { Until::Never })
    }
}

/// How long something is known to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    Then(Instant),
    Never,
}

/// An instant that anybody can read: until then, what is known holds.
#[derive(Debug, Default)]
pub(super) struct Vouched(AtomicU64);

/// What instants are counted from.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

impl Vouched {
    pub(super) fn set(&self, until: Option<Instant>) {
        let since = until.and_then(|until| until.checked_duration_since(*START));
        let nanos = since.and_then(|since| u64::try_from(since.as_nanos()).ok());
        self.0.store(nanos.unwrap_or(0), Ordering::Release);
    }

    /// Whether it holds at that time.
    #[inline]
    pub(super) fn holds(&self, now: Instant) -> bool {
        let until = self.0.load(Ordering::Acquire);
        until != 0 && now.saturating_duration_since(*START).as_nanos() <= u128::from(until)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn beside(catalogs: &str, configured: &str) -> Beside {
        Beside::read(&vec![Some(catalogs.to_owned()), Some(configured.to_owned())]).expect("two columns")
    }

    #[test]
    fn what_is_no_answer_is_not_read() {
        for row in [vec![], vec![Some("1".to_owned())], vec![Some("1".to_owned()), None]] {
            assert_eq!(Beside::read(&row), None);
        }
    }

    #[test]
    fn another_configuration_counts_twice() {
        let (mut seen, now) = (Seen::default(), Instant::now());
        let check = |seen: &mut Seen, configured: &str, expected: bool| {
            assert_eq!(seen.see(&beside("a", configured), now), expected, "{configured}");
        };
        check(&mut seen, "1", false);
        check(&mut seen, "1", false);
        check(&mut seen, "2", true);
        check(&mut seen, "2", true);
        check(&mut seen, "2", false);
    }

    #[test]
    fn only_what_looks_the_same_is_vouched_for() {
        let (mut seen, now) = (Seen::default(), Instant::now());
        assert_eq!(seen.vouch(Some("a|1")), None, "nobody has looked");
        seen.see(&beside("a", "1"), now);
        assert_eq!(seen.vouch(Some("a|1")), Some(Until::Then(now)));
        assert_eq!(seen.vouch(Some("a|7")), Some(Until::Then(now)), "each session has a time of its own");
        assert_eq!(seen.vouch(Some("b|1")), Some(Until::Never));
        assert_eq!(seen.vouch(Some("a")), None, "a mark of another kind");
        assert_eq!(seen.vouch(None), None);
    }

    #[test]
    fn it_holds_until_then() {
        let (vouched, now) = (Vouched::default(), Instant::now());
        assert!(!vouched.holds(now));
        // The first use says from when on instants are counted.
        LazyLock::force(&START);
        let until = Instant::now() + Duration::from_secs(1);
        vouched.set(Some(until));
        assert!(vouched.holds(now) && vouched.holds(until));
        assert!(!vouched.holds(until + Duration::from_nanos(1)));
        vouched.set(None);
        assert!(!vouched.holds(now));
    }
}
