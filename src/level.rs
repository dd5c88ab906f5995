//! What a read from a replica or from the cache promises, and how that is written: in settings, in rule files and by sessions.

use std::fmt;
use std::time::Duration;

/// What a read from a replica promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Level {
    /// A session sees what it has written, and never less than it has seen.
    #[default]
    Session,
    /// Data are never older than this.
    Bounded(Duration),
    /// Nothing.
    Any,
    /// The primary answers.
    Primary,
}

impl Level {
    /// The levels that are a word, by it.
    pub const WORDS: [(&str, Level); 3] =
        [("session", Level::Session), ("any", Level::Any), ("primary", Level::Primary)];

    /// Reads one of the words, `bounded:` and a time, or `bounded('...')`; `None` if it is none of them. The time is read by `duration`, as
    /// times are where the level is written.
    pub fn read<E>(
        text: &str,
        duration: impl FnOnce(&str) -> Result<Duration, E>,
    ) -> Option<Result<Level, E>> {
        if let Some((_, level)) = Level::WORDS.iter().find(|(word, _)| *word == text) {
            return Some(Ok(*level));
        }
        let bound = text.strip_prefix("bounded")?;
        let bare = bound.strip_prefix(':').map(str::trim);
        let bound = bare.or_else(|| bound.trim().strip_prefix('(')?.strip_suffix(')').map(quoted))?;
        Some(duration(bound).map(Level::Bounded))
    }

    /// The same as a session writes it: in letters of any case, with time in `ms`, `s` or `min`.
    pub fn of_session(text: &str) -> Option<Level> {
        Level::read(&text.trim().to_ascii_lowercase(), |bound| in_millis(bound).ok_or(()))?.ok()
    }
}

/// What a read from the result cache promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Caching {
    /// An answer is not older than a time.
    Ttl,
    /// No change is missed that everybody could see longer ago than a time, whoever made it.
    Bounded,
    /// The same, and a session sees what it has written, and never less than it has seen.
    #[default]
    Session,
    /// No change is missed that was made through this proxy and acknowledged before; others as `Bounded`.
    Strict,
    /// No change is missed that anybody could see before, whoever made it: each read waits for the stream.
    StrictAll,
}

impl Caching {
    /// All of them, by the words for them.
    pub const WORDS: [(&str, Caching); 5] = [
        ("ttl", Caching::Ttl),
        ("bounded", Caching::Bounded),
        ("session", Caching::Session),
        ("strict", Caching::Strict),
        ("strict_all", Caching::StrictAll),
    ];

    /// The word for it.
    pub fn word(self) -> &'static str {
        Caching::WORDS.iter().find(|(_, level)| *level == self).map_or("", |(word, _)| word)
    }
}

/// What becomes of cached reads that need the replication stream when it is lost or late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnStreamLoss {
    /// The database answers.
    #[default]
    Bypass,
    /// They are answered by age, as by [`Caching::Ttl`].
    Ttl,
}

impl OnStreamLoss {
    /// All of them, by the words for them.
    pub const WORDS: [(&str, OnStreamLoss); 2] =
        [("bypass", OnStreamLoss::Bypass), ("ttl", OnStreamLoss::Ttl)];

    /// The word for it.
    pub fn word(self) -> &'static str {
        OnStreamLoss::WORDS.iter().find(|(_, what)| *what == self).map_or("", |(word, _)| word)
    }
}

/// In which transactions cached reads may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum InTransaction {
    /// In none that the client has begun.
    #[default]
    Never,
    /// In those that are begun READ ONLY, until the first statement that the database answers.
    ReadOnly,
}

impl InTransaction {
    /// All of them, by the words for them.
    pub const WORDS: [(&str, InTransaction); 2] =
        [("never", InTransaction::Never), ("read_only", InTransaction::ReadOnly)];

    /// The word for it.
    pub fn word(self) -> &'static str {
        InTransaction::WORDS.iter().find(|(_, what)| *what == self).map_or("", |(word, _)| word)
    }
}

fn quoted(text: &str) -> &str {
    let text = text.trim();
    text.strip_prefix('\'').and_then(|text| text.strip_suffix('\'')).unwrap_or(text)
}

fn in_millis(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let number: u64 = number.parse().ok()?;
    let millis = match unit.trim() {
        "ms" => 1,
        "s" => 1000,
        "min" => 60_000,
        _ => return None,
    };
    Some(Duration::from_millis(number.checked_mul(millis)?))
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Level::Bounded(by) => write!(f, "bounded:{by:?}"),
            Level::Session => f.write_str("session"),
            Level::Any => f.write_str("any"),
            Level::Primary => f.write_str("primary"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_read_as_sessions_write_them() {
        let check =
            |text: &str, expected: Option<Level>| assert_eq!(Level::of_session(text), expected, "{text}");
        let bounded = |millis| Some(Level::Bounded(Duration::from_millis(millis)));
        check("session", Some(Level::Session));
        check("ANY", Some(Level::Any));
        check(" primary ", Some(Level::Primary));
        check("bounded:500ms", bounded(500));
        check("bounded('2s')", bounded(2000));
        check("bounded(1min)", bounded(60_000));
        for text in [
            "",
            "bounded",
            "bounded:",
            "bounded:x",
            "bounded:5",
            "bounded 5ms",
            "bounded('5ms'",
            "bounded:5 days",
            "bounded:99999999999999999999ms",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn each_level_of_the_cache_has_a_word() {
        for (word, level) in Caching::WORDS {
            assert_eq!(level.word(), word);
        }
        for (word, what) in OnStreamLoss::WORDS {
            assert_eq!(what.word(), word);
        }
        for (word, what) in InTransaction::WORDS {
            assert_eq!(what.word(), word);
        }
    }

    #[test]
    fn levels_are_written_as_they_are_read() {
        for text in ["session", "any", "primary", "bounded:500ms"] {
            assert_eq!(Level::of_session(text).map(|level| level.to_string()).as_deref(), Some(text));
        }
    }
}
