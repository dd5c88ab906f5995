//! When the stream is read: at once where it matters, and many commits together where to wake up for each would cost more than to read it.

use std::time::{Duration, Instant};

use tokio::time::sleep;

/// So long is counted what is heard.
const WINDOW: Duration = Duration::from_millis(10);
/// More messages than these in that time, three for a small commit, are many: two thousand commits a second.
const MANY: u32 = 60;
/// Of many, so much is read together: less than two samples are apart.
const TOGETHER: Duration = Duration::from_millis(1);
/// And of all while nobody waits for what is told.
const AT_LEISURE: Duration = Duration::from_millis(10);
/// Who has read more at once than this, in bytes, is behind, and does not rest.
const BEHIND: usize = 4096;

/// How much has come lately.
#[derive(Debug)]
pub(super) struct Pace {
    since: Instant,
    heard: u32,
    many: bool,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace { since: Instant::now(), heard: 0, many: false }
    }
}

impl Pace {
    /// So many messages have come.
    pub(super) fn heard(&mut self, messages: u32) {
        self.heard = self.heard.saturating_add(messages);
    }

    /// So many bytes were read now; `used`: somebody waits for what is told. Returns when more is to be read.
    pub(super) async fn rest(&mut self, read: usize, used: bool) {
        if let Some(rest) = self.length(read, used, Instant::now()) {
            sleep(rest).await;
        }
    }

    fn length(&mut self, read: usize, used: bool, now: Instant) -> Option<Duration> {
        if now.duration_since(self.since) >= WINDOW {
            (self.many, self.heard, self.since) = (self.heard > MANY, 0, now);
        }
        match (read > BEHIND, used) {
            (true, _) => None,
            (false, false) => Some(AT_LEISURE),
            (false, true) => self.many.then_some(TOGETHER),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_waited_for_rests_only_when_much_has_come() {
        let mut pace = Pace::default();
        let start = pace.since;
        assert_eq!(pace.length(100, true, start), None);
        assert_eq!(pace.length(100, false, start), Some(AT_LEISURE));
        pace.heard(MANY + 1);
        assert_eq!(pace.length(100, true, start), None, "the time is not over");
        assert_eq!(pace.length(100, true, start + WINDOW), Some(TOGETHER));
        assert_eq!(pace.length(BEHIND + 1, true, start + WINDOW), None, "there is more");
        assert_eq!(pace.length(BEHIND + 1, false, start + WINDOW), None, "there is more");
        pace.heard(MANY);
        assert_eq!(pace.length(100, true, start + 2 * WINDOW), None, "these are not many");
    }
}
