//! Commits that were streamed and that a new snapshot may yet miss.
//!
//! A transaction is visible once it has left the list of those that run, which is after its commit record was written and flushed, and
//! with synchronous replication after the standbys have answered. The stream reads the record as soon as it is flushed. Seen on
//! PostgreSQL 15 with a standby that never answers: the change is streamed while new snapshots still show the old row, and all positions
//! in the WAL are the same before and after. Only a snapshot tells.
//!
//! Any snapshot does that shows the commit, even one that was taken before the commit was read from the stream: every later one shows it
//! too, and who begins to read once the commit has been told has a later one.

use std::str::FromStr;
use std::time::Instant;

/// More commits in limbo are not kept; see [`Full`].
pub const MOST: usize = 1 << 16;

/// The number of a transaction, as the stream has it: the lower half of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Xid(pub u32);

/// Too many commits wait to become visible: what the stream tells is of no use until they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// What `pg_current_snapshot()` tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// All before this have ended.
    pub xmin: u64,
    /// This one and all behind it have not begun.
    pub xmax: u64,
    /// Those between that run, in order.
    running: Vec<u64>,
}

/// A text that is no snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a snapshot is written as xmin:xmax:xip,xip")]
pub struct BadSnapshot;

impl FromStr for Snapshot {
    type Err = BadSnapshot;

    fn from_str(text: &str) -> Result<Snapshot, BadSnapshot> {
        let number = |text: &str| text.parse::<u64>().map_err(|_| BadSnapshot);
        let mut parts = text.splitn(3, ':');
        let mut part = || parts.next().ok_or(BadSnapshot);
        let (xmin, xmax, list) = (number(part()?)?, number(part()?)?, part()?);
        let list = list.split(',').filter(|_| !list.is_empty());
        let running = list.map(number).collect::<Result<Vec<_>, _>>()?;
        let in_order = running.is_sorted() && running.iter().all(|xid| (xmin..xmax).contains(xid));
        if xmin > xmax || !in_order {
            return Err(BadSnapshot);
        }
        Ok(Snapshot { xmin, xmax, running })
    }
}

impl Snapshot {
    /// Whether it shows what this transaction has done, which has committed. Of all numbers with that lower half, it is the one
    /// nearest to `xmax`: transactions that far apart do not exist at one time.
    pub fn shows(&self, xid: Xid) -> bool {
        let ahead = xid.0.wrapping_sub(self.xmax as u32).cast_signed();
        let Some(whole) = self.xmax.checked_add_signed(i64::from(ahead)) else { return false };
        whole < self.xmax && (whole < self.xmin || self.running.binary_search(&whole).is_err())
    }
}

/// The commits that no snapshot has shown so far, and the last snapshot.
#[derive(Debug, Default)]
pub struct Limbo {
    newest: Option<Snapshot>,
    /// And since when.
    waiting: Vec<(Xid, Instant)>,
}

impl Limbo {
    /// Whether a snapshot has shown this commit already.
    pub fn shows(&self, xid: Xid) -> bool {
        self.newest.as_ref().is_some_and(|newest| newest.shows(xid))
    }

    /// A commit has been read whole from the stream, now. True: it is visible, and is not kept.
    ///
    /// # Errors
    /// [`Full`] beyond [`MOST`].
    pub fn enter(&mut self, xid: Xid, now: Instant) -> Result<bool, Full> {
        if self.shows(xid) {
            return Ok(true);
        }
        if self.waiting.len() >= MOST {
            return Err(Full);
        }
        self.waiting.push((xid, now));
        Ok(false)
    }

    /// A snapshot has been taken, later than all before. Gives the commits that have become visible, in the order of the WAL.
    pub fn sampled(&mut self, snapshot: Snapshot) -> Vec<Xid> {
        let visible =
            self.waiting.extract_if(.., |(xid, _)| snapshot.shows(*xid)).map(|(xid, _)| xid).collect();
        self.newest = Some(snapshot);
        visible
    }

    /// How many commits wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Since when the oldest waits.
    pub fn oldest(&self) -> Option<Instant> {
        self.waiting.first().map(|(_, since)| *since)
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn snapshot(text: &str) -> Snapshot {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn snapshots_are_read_or_refused() {
        assert_eq!(snapshot("751:751:"), Snapshot { xmin: 751, xmax: 751, running: vec![] });
        assert_eq!(snapshot("7:12:7,9").running, [7, 9]);
        for text in
            ["", "7", "7:8", "8:7:", "7:9:9", "7:9:6", "7:12:9,7", "7:9:7,", "7:9:7:8", "-1:2:", "7:8:x"]
        {
            assert_eq!(text.parse::<Snapshot>(), Err(BadSnapshot), "{text}");
        }
    }

    #[test]
    fn a_snapshot_shows_what_ended_before_it() {
        let check = |text: &str, xid: u32, expected: bool| {
            assert_eq!(snapshot(text).shows(Xid(xid)), expected, "{xid} in {text}");
        };
        check("751:751:", 750, true);
        check("751:751:", 751, false);
        check("7:12:7,9", 6, true);
        check("7:12:7,9", 7, false);
        check("7:12:7,9", 8, true);
        check("7:12:7,9", 9, false);
        check("7:12:7,9", 11, true);
        check("7:12:7,9", 12, false);
        check("7:12:7,9", 1 << 31, false);
        // The numbers of the stream have begun again, those of snapshots go on.
        let epoch = 3_u64 << 32;
        let across = format!("{}:{}:{}", epoch - 10, epoch + 5, epoch - 3);
        check(&across, u32::MAX - 20, true);
        check(&across, u32::MAX - 2, false);
        check(&across, u32::MAX, true);
        check(&across, 4, true);
        check(&across, 5, false);
        let before = format!("{}:{}:", epoch - 1, epoch - 1);
        check(&before, 3, false);
    }

    #[test]
    fn commits_wait_for_a_snapshot_that_shows_them() {
        let (mut limbo, now) = (Limbo::default(), Instant::now());
        let later = now + Duration::from_secs(1);
        assert_eq!(limbo.enter(Xid(751), now), Ok(false), "nothing is known yet");
        assert_eq!(limbo.sampled(snapshot("751:751:")), []);
        assert_eq!(limbo.enter(Xid(752), later), Ok(false));
        assert_eq!(limbo.enter(Xid(753), later), Ok(false));
        assert_eq!(limbo.enter(Xid(740), later), Ok(true), "the snapshot has shown it");
        assert_eq!(limbo.oldest(), Some(now));
        assert_eq!(limbo.sampled(snapshot("751:753:751")), [Xid(752)]);
        assert_eq!((limbo.len(), limbo.oldest()), (2, Some(now)));
        assert_eq!(limbo.sampled(snapshot("753:753:")), [Xid(751)]);
        assert_eq!((limbo.len(), limbo.oldest()), (1, Some(later)));
        assert_eq!(limbo.sampled(snapshot("754:754:")), [Xid(753)]);
        assert!(limbo.is_empty());
        assert_eq!(limbo.oldest(), None);
    }

    #[test]
    fn limbo_has_a_limit() {
        let (mut limbo, now) = (Limbo::default(), Instant::now());
        limbo.sampled(snapshot("3:3:"));
        for xid in 0..MOST as u32 {
            assert_eq!(limbo.enter(Xid(xid + 3), now), Ok(false));
        }
        assert_eq!(limbo.enter(Xid(1 << 20), now), Err(Full));
        assert_eq!(limbo.enter(Xid(2), now), Ok(true), "what is visible takes no room");
    }
}
