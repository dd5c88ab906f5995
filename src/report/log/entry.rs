//! One entry of a log, in whatever format it was.

/// One entry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Entry {
    /// When, in seconds since 1970.
    pub at: Option<i64>,
    /// The user.
    pub user: String,
    /// The database.
    pub database: String,
    /// `application_name`.
    pub application: String,
    /// `LOG`, `ERROR`, ...
    pub severity: String,
    /// SQLSTATE, where the log has it.
    pub sqlstate: Option<String>,
    /// What is said.
    pub message: String,
    /// Behind `DETAIL:`.
    pub detail: Option<String>,
    /// Behind `STATEMENT:`.
    pub statement: Option<String>,
}

/// A moment as PostgreSQL writes it: `2026-11-29 21:44:00.123 UTC`. Zones by name are taken for UTC, those in numbers for what they say.
pub fn moment(text: &str) -> Option<i64> {
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<i64>().ok();
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    if text.get(4..5)? != "-"
        || text.get(13..14)? != ":"
        || !(1..=12).contains(&month)
        || !(1..=31).contains(&day)
    {
        return None;
    }
    let zone = text.get(19..)?.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit()).trim();
    // Days since 1970, with years that begin in March (the reverse of what the console's timestamp does).
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let days =
        era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + (153 * month + 2) / 5 + day - 1 - 719_468;
    Some(days * 86_400 + hour * 3600 + minute * 60 + second - offset(zone))
}

/// Seconds that a zone in numbers is ahead of UTC: `+02`, `-0330`, `+05:30`.
fn offset(zone: &str) -> i64 {
    let (sign, digits) = match zone.split_at_checked(1) {
        Some(("+", rest)) => (1, rest),
        Some(("-", rest)) => (-1, rest),
        _ => return 0,
    };
    let digits: String = digits.chars().filter(char::is_ascii_digit).collect();
    let part = |range: std::ops::Range<usize>| {
        digits.get(range).and_then(|part| part.parse::<i64>().ok()).unwrap_or(0)
    };
    sign * (part(0..2) * 3600 + part(2..4) * 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_of_the_calendar() {
        let check = |text: &str, expected: Option<i64>| assert_eq!(moment(text), expected, "{text}");
        check("1970-01-01 00:00:00 UTC", Some(0));
        check("2000-02-29 00:00:00.500 GMT", Some(951_782_400));
        check("2026-11-29 21:44:00.123 UTC", Some(1_795_988_640));
        check("2026-11-29 23:44:00 +02", Some(1_795_988_640));
        check("2026-11-29 18:14:00.1 -0330", Some(1_795_988_640));
        check("2026-11-29T21:44:00", Some(1_795_988_640));
        check("2026-13-29 21:44:00 UTC", None);
        check("yesterday at noon, in the sun", None);
        check("", None);
    }
}
