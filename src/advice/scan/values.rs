//! What values say: patterns, elements of arrays, intervals, and places on a line.

use super::term::{Constant, Value};
use super::types;

/// What a pattern of LIKE looks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pattern {
    /// One value.
    Exact(String),
    /// What begins so.
    Prefix(String),
    /// What has this in it; the longest of several parts, without wildcards.
    Infix(String),
    /// It is not known.
    Unknown,
}

/// What a constant is as a pattern of LIKE, with a backslash as its escape.
pub fn pattern(constant: &Constant) -> Pattern {
    let Value::Text(text) = &constant.value else { return Pattern::Unknown };
    let mut parts = vec![String::new()];
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '%' | '_' => parts.push(String::new()),
            _ => {
                let letter = if letter == '\\' { letters.next().unwrap_or('\\') } else { letter };
                parts.last_mut().expect("there is one").push(letter);
            }
        }
    }
    match parts.as_slice() {
        [only] => Pattern::Exact(only.clone()),
        [first, ..] if !first.is_empty() => Pattern::Prefix(first.clone()),
        _ => {
            let longest = parts.iter().max_by_key(|part| part.chars().count());
            Pattern::Infix(longest.cloned().unwrap_or_default())
        }
    }
}

/// The elements of an array in text form, such as `{1,2}`; `None` where they are not known or there are arrays in it.
pub(super) fn elements(constant: &Constant) -> Option<Vec<Constant>> {
    let Value::Text(text) = &constant.value else { return None };
    let inner = text.trim().strip_prefix('{')?.strip_suffix('}')?;
    let type_name = constant.type_name.as_deref().and_then(|name| name.strip_suffix("[]")).map(str::to_owned);
    let mut all = vec![];
    let mut letters = inner.chars().peekable();
    while letters.peek().is_some() {
        let mut element = String::new();
        let mut quoted = false;
        let mut inside = false;
        loop {
            match letters.next() {
                Some('"') => {
                    inside = !inside;
                    quoted = true;
                }
                Some('\\') => element.extend(letters.next()),
                Some('{') if !inside => return None,
                Some(',') if !inside => break,
                Some(letter) => element.push(letter),
                None => break,
            }
        }
        let value = match !quoted && element.eq_ignore_ascii_case("null") {
            true => Value::Null,
            false => Value::Text(element),
        };
        all.push(Constant { value, type_name: type_name.clone(), parameter: constant.parameter });
    }
    Some(all)
}

/// An interval in seconds, for the forms that are met most: `7 days`, `1 hour 30 minutes`, `01:30:00`.
pub(in crate::advice) fn seconds(text: &str) -> Option<f64> {
    let mut total = 0.0;
    let mut words = text.split_whitespace();
    while let Some(word) = words.next() {
        if word.contains(':') {
            let mut unit = 3600.0;
            for part in word.split(':') {
                total += part.parse::<f64>().ok()? * unit;
                unit /= 60.0;
            }
            continue;
        }
        let (number, unit) = match word.find(|letter: char| letter.is_ascii_alphabetic()) {
            Some(at) => word.split_at(at),
            None => (word, words.next()?),
        };
        let length = match unit.to_ascii_lowercase().trim_end_matches('s') {
            "second" | "sec" => 1.0,
            "minute" | "min" => 60.0,
            "hour" | "h" => 3600.0,
            "day" | "d" => 86_400.0,
            "week" => 604_800.0,
            "month" | "mon" => 2_629_800.0,
            "year" => 31_557_600.0,
            _ => return None,
        };
        total += number.parse::<f64>().ok()? * length;
    }
    Some(total)
}

/// Where a value stands on a line, for what can be put on one: numbers, dates, and times, in seconds.
pub(super) fn place(text: &str, type_name: &str) -> Option<f64> {
    match &*types::base(type_name) {
        name if types::number_rank(name).is_some() => text.trim().parse().ok(),
        "date" | types::TIMESTAMP | types::TIMESTAMPTZ => moment(text),
        _ => None,
    }
}

/// Seconds since 1970 of `2024-05-06[ T]07:08:09.5[+02]`.
fn moment(text: &str) -> Option<f64> {
    let text = text.trim();
    let (date, time) = match text.find([' ', 'T']) {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, ""),
    };
    let mut parts = date.split('-').map(str::parse::<i64>);
    let (year, month, day) = (parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || !(0..=294_276).contains(&year) {
        return None;
    }
    let (clock, zone) = match time.find(['+', '-', 'Z']) {
        Some(at) => time.split_at(at),
        None => (time, ""),
    };
    let mut seconds = days(year, month, day) as f64 * 86_400.0;
    let mut unit = 3600.0;
    for part in clock.split(':').filter(|part| !part.is_empty()) {
        seconds += part.trim().parse::<f64>().ok()? * unit;
        unit /= 60.0;
    }
    let hours = zone.get(..3).and_then(|hours| hours.parse::<f64>().ok()).unwrap_or_default();
    Some(seconds - hours * 3600.0)
}

/// Days since 1970 (H. Hinnant, "chrono-compatible low-level date algorithms").
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_what_its_wildcards_make_of_it() {
        let of = |text: &str| pattern(&Constant::text(text, "text"));
        assert_eq!(of("abc%"), Pattern::Prefix("abc".to_owned()));
        assert_eq!(of("%ab_cde%"), Pattern::Infix("cde".to_owned()));
        assert_eq!(of("a\\%b"), Pattern::Exact("a%b".to_owned()));
        assert_eq!(of("a\\"), Pattern::Exact("a\\".to_owned()));
        let unknown = Constant { value: Value::Unknown, type_name: None, parameter: Some(1) };
        assert_eq!(pattern(&unknown), Pattern::Unknown);
    }

    #[test]
    fn arrays_have_elements() {
        let of = |text: &str| elements(&Constant::text(text, "text[]"));
        let texts = |text: &str| -> Option<Vec<Option<String>>> {
            Some(of(text)?.iter().map(|one| one.as_text().map(str::to_owned)).collect())
        };
        let some = |all: &[&str]| Some(all.iter().map(|one| Some((*one).to_owned())).collect::<Vec<_>>());
        assert_eq!(texts("{1,2}"), some(&["1", "2"]));
        assert_eq!(texts("{\"a,b\",c\\\"d}"), some(&["a,b", "c\"d"]));
        assert_eq!(texts("{}"), some(&[]));
        assert_eq!(texts("{NULL}"), Some(vec![None]));
        assert_eq!((texts("{{1}}"), texts("x")), (None, None));
    }

    #[test]
    fn times_stand_on_a_line() {
        let at = |text: &str| place(text, types::TIMESTAMPTZ);
        assert_eq!(at("1970-01-02"), Some(86_400.0));
        assert_eq!(at("2000-03-01 00:00:00+00"), Some(951_868_800.0));
        assert_eq!(at("2000-03-01T02:30:00+02"), Some(951_870_600.0));
        assert_eq!((at("infinity"), at("2000-13-01"), at("")), (None, None, None));
        assert_eq!((seconds("7 days"), seconds("1 hour 30 minutes")), (Some(604_800.0), Some(5400.0)));
        assert_eq!((seconds("01:30:00"), seconds("nonsense")), (Some(5400.0), None));
    }
}
