//! Numbers as people read them: with a unit, and no more digits than are meant.

use std::time::{Duration, UNIX_EPOCH};

/// A time with two or three digits and its unit.
pub fn time(micros: u64) -> String {
    let decimals = |number: f64| if number < 9.95 { 1 } else { 0 };
    let in_unit = |per: f64, unit: &str| {
        let number = micros as f64 / per;
        format!("{number:.*} {unit}", decimals(number))
    };
    match micros {
        0..1000 => format!("{micros} us"),
        1000..999_500 => in_unit(1000.0, "ms"),
        999_500..120_000_000 => in_unit(1_000_000.0, "s"),
        120_000_000..7_200_000_000 => format!("{} m", micros / 60_000_000),
        _ => format!("{} h {} m", micros / 3_600_000_000, micros / 60_000_000 % 60),
    }
}

/// A time that may not be known.
pub fn maybe_time(micros: Option<u64>) -> String {
    micros.map_or("-".to_owned(), time)
}

/// The same of seconds; of none, or fewer, nothing.
pub fn seconds(seconds: f64) -> String {
    time((seconds.max(0.0) * 1e6) as u64)
}

/// A number with its thousands or millions.
pub fn count(number: u64) -> String {
    let short = |per: f64, unit: &str| format!("{:.1} {unit}", number as f64 / per);
    match number {
        0..100_000 => number.to_string(),
        100_000..1_000_000 => short(1e3, "k"),
        1_000_000..1_000_000_000 => short(1e6, "M"),
        _ => short(1e9, "G"),
    }
}

/// Bytes in thousands.
pub fn bytes(number: u64) -> String {
    let short = |per: f64, unit: &str| {
        let number = number as f64 / per;
        format!("{number:.*} {unit}", if number < 9.95 { 1 } else { 0 })
    };
    match number {
        0..1000 => format!("{number} B"),
        1000..999_500 => short(1e3, "kB"),
        999_500..999_500_000 => short(1e6, "MB"),
        _ => short(1e9, "GB"),
    }
}

/// Which share one is of all, in percent.
pub fn share(part: u64, all: u64) -> String {
    percent(part as f64 / all.max(1) as f64)
}

/// A share in percent, with a decimal where it is small.
pub fn percent(share: f64) -> String {
    let number = share * 100.0;
    match number {
        0.0 => "0 %".to_owned(),
        n if n < 0.1 => "< 0.1 %".to_owned(),
        n if n < 9.95 => format!("{n:.1} %"),
        n if n < 100.0 && n > 99.5 => "> 99 %".to_owned(),
        n => format!("{n:.0} %"),
    }
}

/// A number with one digit behind the point while it is small.
pub fn rough(number: f64) -> String {
    if number < 9.95 && number.fract() > 0.0 { format!("{number:.1}") } else { count(number.round() as u64) }
}

/// A moment, in UTC, to the minute.
pub fn moment(at: i64) -> String {
    let at = UNIX_EPOCH + Duration::from_secs(at.max(0) as u64);
    let text = crate::admin::timestamp(at);
    format!("{} UTC", text.get(..16).unwrap_or(&text))
}

/// Without control characters, and without those that turn the direction of what stands beside them or are not seen.
pub fn plain(text: &str) -> String {
    let odd = |c: char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e000}'..='\u{f8ff}');
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).filter(|c| !odd(*c)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        let shown =
            [0, 999, 1000, 38_400, 999_499, 999_500, 61_000_000, 7_199_000_000, 11_520_000_000].map(time);
        assert_eq!(
            shown,
            ["0 us", "999 us", "1.0 ms", "38 ms", "999 ms", "1.0 s", "61 s", "119 m", "3 h 12 m"]
        );
        assert_eq!([2460.0, 0.9, -1.0].map(seconds), ["41 m", "900 ms", "0 us"]);
        assert_eq!(maybe_time(None), "-");
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!([99_999, 412_345, 2_100_000].map(count), ["99999", "412.3 k", "2.1 M"]);
        assert_eq!(
            [0, 999, 1500, 13_000_000, 5_000_000_000].map(bytes),
            ["0 B", "999 B", "1.5 kB", "13 MB", "5.0 GB"]
        );
        assert_eq!(
            [0.0, 0.0001, 0.034, 0.18, 0.998, 1.0].map(percent),
            ["0 %", "< 0.1 %", "3.4 %", "18 %", "> 99 %", "100 %"]
        );
        assert_eq!([1.0, 1.26, 214.0].map(rough), ["1", "1.3", "214"]);
        assert_eq!(moment(1_795_988_640), "2026-11-29 21:44 UTC");
    }

    #[test]
    fn what_is_not_seen_is_not_there() {
        assert_eq!(plain("a\u{1b}[31m\nb\u{202e}c\u{200b}"), "a [31m bc");
    }
}
