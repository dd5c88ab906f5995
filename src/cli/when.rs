//! Moments on the command line: `90m` is so long ago, `2026-11-29 21:44` a time of day in UTC.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::kinds::{Context, DURATION, Given};

/// A moment as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// So long ago.
    Ago(Duration),
    /// In seconds since 1970.
    At(i64),
}

impl When {
    /// In seconds since 1970; `now` is too.
    pub fn at(self, now: i64) -> i64 {
        match self {
            When::Ago(time) => now.saturating_sub(i64::try_from(time.as_secs()).unwrap_or(i64::MAX)),
            When::At(at) => at,
        }
    }
}

/// Reads one.
///
/// # Errors
/// What it may be.
pub fn when(text: &str) -> Result<When, String> {
    if text == "now" {
        return Ok(When::Ago(Duration::ZERO));
    }
    if text.contains('-') {
        let whole = match text.trim_end_matches('Z').len() {
            10 => format!("{text} 00:00:00"),
            16 => format!("{}:00", text.trim_end_matches('Z')),
            _ => text.trim_end_matches('Z').to_owned(),
        };
        let at = crate::report::log::moment(&whole);
        return at.map(When::At).ok_or_else(|| "a moment is written 2026-11-29 21:44 (UTC)".to_owned());
    }
    duration(text).map(When::Ago)
}

/// Reads a length of time.
///
/// # Errors
/// What it may be.
pub fn duration(text: &str) -> Result<Duration, String> {
    let context = Context { folder: PathBuf::new(), env: &|_| None };
    DURATION.value(&Given::Word(text.to_owned()), &context)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_ago_or_of_the_calendar() {
        assert_eq!(when("90m").map(|when| when.at(10_000)), Ok(10_000 - 5400));
        assert_eq!(when("now").map(|when| when.at(7)), Ok(7));
        for text in ["2026-11-29 21:44", "2026-11-29T21:44:00Z", "2026-11-29 21:44:00"] {
            assert_eq!(when(text), Ok(When::At(1_795_988_640)), "{text}");
        }
        assert_eq!(when("2026-11-29"), Ok(When::At(1_795_910_400)));
        for text in ["2026-13-01", "soon", "-1h", ""] {
            assert!(when(text).is_err(), "{text}");
        }
    }
}
