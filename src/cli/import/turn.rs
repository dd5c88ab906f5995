//! How values are turned: from the units and words of other poolers to those of `pgweir.toml`.

use super::table::Turned;
use super::value::Value;

/// The longest time that settings take.
const LONGEST: u64 = 365 * 24 * 3600 * MICROS;
const MICROS: u64 = 1_000_000;
/// The largest number that settings take.
const MANY: i64 = 10_000_000;

/// A whole number as C reads it with base 0: decimal, `0x` hexadecimal, `0` octal.
pub fn integer(text: &str) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let number = if let Some(hex) = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        i64::from_str_radix(hex, 16)
    } else if digits.len() > 1 && digits.starts_with('0') {
        i64::from_str_radix(digits, 8)
    } else {
        digits.parse()
    };
    number.ok().filter(|number| *number >= 0).map(|number| sign * number)
}

/// A number of things, one at least.
pub fn positive(text: &str) -> Turned {
    match integer(text) {
        Some(number) if (1..=MANY).contains(&number) => Turned::Same(Value::Number(number)),
        _ => Turned::Cannot(format!("it must be a whole number from 1 to {MANY} here; write one")),
    }
}

/// A number of things that may be none.
pub fn count(text: &str) -> Turned {
    match integer(text) {
        Some(0) => Turned::Same(Value::Number(0)),
        _ => positive(text),
    }
}

/// A bound on a number of things; 0 is no bound there, and nothing has to be said here.
pub fn positive_or_none(text: &str) -> Turned {
    if integer(text) == Some(0) { Turned::Nothing } else { positive(text) }
}

/// Statements kept prepared; 0 turns them off there.
pub fn prepared(text: &str) -> Turned {
    match integer(text) {
        Some(0) => Turned::Cannot(
            "0 turns prepared statements off there, and they always work here; nothing has to be done"
                .to_owned(),
        ),
        _ => positive(text),
    }
}

fn micros(text: &str, unit: u64) -> Option<u64> {
    let number: f64 = text.parse().ok()?;
    // Beyond 2^63 it is longer than the longest anyway.
    (number.is_finite() && number >= 0.0).then(|| (number * unit as f64).min(9e18).round() as u64)
}

/// A time as settings write it.
fn written(micros: u64) -> String {
    const UNITS: [(u64, &str); 5] =
        [(86400 * MICROS, "d"), (3600 * MICROS, "h"), (60 * MICROS, "m"), (MICROS, "s"), (1000, "ms")];
    let unit = UNITS.iter().find(|(unit, _)| micros >= *unit && micros.is_multiple_of(*unit));
    unit.map_or_else(|| format!("{micros}us"), |(unit, name)| format!("{}{name}", micros / unit))
}

fn duration(text: &str, unit: u64, zero: Turned) -> Turned {
    match micros(text, unit) {
        None => Turned::Cannot("it must be a number; write a time with a unit".to_owned()),
        Some(0) => zero,
        Some(micros) if micros > LONGEST => {
            Turned::But(Value::text("365d"), "the longest time that can be written is 365d".to_owned())
        }
        Some(micros) => Turned::Same(Value::text(written(micros))),
    }
}

fn unbounded() -> Turned {
    Turned::But(
        Value::text("365d"),
        "0 is no bound there; the longest time that can be written is 365d".to_owned(),
    )
}

/// Seconds; 0 is no bound there.
pub fn seconds(text: &str) -> Turned {
    duration(text, MICROS, unbounded())
}

/// Seconds; 0 is never.
pub fn seconds_or_never(text: &str) -> Turned {
    duration(text, MICROS, Turned::Same(Value::text("never")))
}

/// Seconds; a server of age 0 is used once.
pub fn seconds_or_once(text: &str) -> Turned {
    let once = "0 is written as 1us: a server is closed each time it is given back";
    duration(text, MICROS, Turned::But(Value::text("1us"), once.to_owned()))
}

/// Milliseconds; 0 is no bound there.
pub fn millis(text: &str) -> Turned {
    duration(text, 1000, unbounded())
}

/// Milliseconds; 0 is never.
pub fn millis_or_never(text: &str) -> Turned {
    duration(text, 1000, Turned::Same(Value::text("never")))
}

/// Milliseconds that may be none.
pub fn millis_or_zero(text: &str) -> Turned {
    duration(text, 1000, Turned::Same(Value::text("0s")))
}

/// Text; nothing when it is empty.
pub fn text(text: &str) -> Turned {
    if text.is_empty() { Turned::Nothing } else { Turned::Same(Value::text(text)) }
}

/// Names with commas between them; nothing when there is none.
pub fn names(text: &str) -> Turned {
    let names: Vec<String> =
        text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
    if names.is_empty() { Turned::Nothing } else { Turned::Same(Value::List(names)) }
}

/// One of these words, whatever the case of its letters; else what to do.
fn word(text: &str, words: &[(&str, &str)]) -> Turned {
    match words.iter().find(|(theirs, _)| theirs.eq_ignore_ascii_case(text)) {
        Some((_, ours)) => Turned::Same(Value::text(*ours)),
        None => {
            let known: Vec<&str> = words.iter().map(|(theirs, _)| *theirs).collect();
            Turned::Cannot(format!("it is none of {}; correct it", known.join(", ")))
        }
    }
}

/// When a server goes back.
pub fn pool_mode(text: &str) -> Turned {
    word(text, &[("session", "session"), ("transaction", "transaction"), ("statement", "statement")])
}

/// TLS towards servers, in the words of libpq.
pub fn sslmode(text: &str) -> Turned {
    const WORDS: [(&str, &str); 6] = [
        ("disable", "disable"),
        ("allow", "allow"),
        ("prefer", "prefer"),
        ("require", "require"),
        ("verify-ca", "verify-ca"),
        ("verify-full", "verify-full"),
    ];
    word(text, &WORDS)
}

/// TLS towards clients, in the words of libpq.
pub fn client_sslmode(text: &str) -> Turned {
    match text.to_ascii_lowercase().as_str() {
        "verify-ca" | "verify-full" => Turned::But(
            Value::text("require"),
            "no certificate is demanded of clients by this alone: set auth.method to cert, or clientcert=verify-ca in auth.hba_file"
                .to_owned(),
        ),
        _ => word(
            text,
            &[("disable", "disable"), ("allow", "prefer"), ("prefer", "prefer"), ("require", "require")],
        ),
    }
}

/// TLS towards servers, in the words of PgDog.
pub fn tls_verify(text: &str) -> Turned {
    word(
        text,
        &[
            ("disabled", "disable"),
            ("prefer", "prefer"),
            ("verify_ca", "verify-ca"),
            ("verify_full", "verify-full"),
        ],
    )
}

/// Which host, in the words of libpq; PgBouncer has all but one.
pub fn target_session_attrs(text: &str) -> Turned {
    const WORDS: [(&str, &str); 5] = [
        ("any", "any"),
        ("read-write", "read-write"),
        ("read-only", "read-only"),
        ("primary", "primary"),
        ("standby", "standby"),
    ];
    word(text, &WORDS)
}

/// How much is logged, by a number.
pub fn verbosity(text: &str) -> Turned {
    match integer(text) {
        Some(..=0) => Turned::Nothing,
        Some(1) => Turned::Same(Value::text("debug")),
        Some(_) => Turned::Same(Value::text("trace")),
        None => Turned::Cannot("it must be a number; write log.level".to_owned()),
    }
}

/// The form of the log.
pub fn log_format(text: &str) -> Turned {
    word(text, &[("text", "text"), ("json", "json")])
}

/// The least important event that is logged.
pub fn log_level(text: &str) -> Turned {
    const WORDS: [(&str, &str); 5] =
        [("error", "error"), ("warn", "warn"), ("info", "info"), ("debug", "debug"), ("trace", "trace")];
    match word(text, &WORDS) {
        Turned::Cannot(_) => Turned::Cannot(
            "only one level for the whole program is possible: error, warn, info, debug or trace in log.level"
                .to_owned(),
        ),
        turned => turned,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(turned: Turned) -> String {
        match turned {
            Turned::Same(value) => value.to_string(),
            Turned::But(value, _) => format!("but {value}"),
            Turned::Nothing => "nothing".to_owned(),
            Turned::Cannot(_) => "cannot".to_owned(),
        }
    }

    #[test]
    fn numbers_are_those_of_c() {
        let check = |text: &str, expected| assert_eq!(integer(text), expected, "{text}");
        check("10", Some(10));
        check("0x10", Some(16));
        check("010", Some(8));
        check("-1", Some(-1));
        check("--1", None);
        check("", None);
        check("1a", None);
        check("99999999999999999999", None);
    }

    #[test]
    fn times_get_a_unit() {
        let check = |turned, expected: &str| assert_eq!(same(turned), expected);
        check(seconds("60"), "\"1m\"");
        check(seconds("5.5"), "\"5500ms\"");
        check(seconds("0"), "but \"365d\"");
        check(seconds("1e300"), "but \"365d\"");
        check(seconds("-1"), "cannot");
        check(seconds("nan"), "cannot");
        check(seconds("0.0000001"), "but \"365d\"");
        check(seconds_or_never("0.0"), "\"never\"");
        check(seconds_or_once("0"), "but \"1us\"");
        check(millis("86400000"), "\"1d\"");
        check(millis("1"), "\"1ms\"");
        check(millis_or_zero("0"), "\"0s\"");
    }

    #[test]
    fn words_and_lists() {
        let check = |turned, expected: &str| assert_eq!(same(turned), expected);
        check(pool_mode("Transaction"), "\"transaction\"");
        check(pool_mode("tx"), "cannot");
        check(client_sslmode("verify-full"), "but \"require\"");
        check(names(" a, b ,,"), "[\"a\", \"b\"]");
        check(names(" "), "nothing");
        check(positive("0"), "cannot");
        check(positive_or_none("0"), "nothing");
        check(prepared("0"), "cannot");
        check(log_level("info,pgdog=debug"), "cannot");
    }
}
