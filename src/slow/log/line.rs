//! A line of the slow-query log.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use super::Advice;
use crate::slow::values::civil;
use crate::stats::tally::{Answer, CLOCKS, SERVED, TOTAL, Who};

/// A slow statement.
#[derive(Debug, Clone)]
pub struct Line {
    /// When it ended.
    pub at: SystemTime,
    /// Who sent it.
    pub who: Arc<Who>,
    /// Its text without values.
    pub text: Arc<str>,
    /// The name of its shape.
    pub fingerprint: u128,
    /// What it cost.
    pub answer: Answer,
    /// What 95 % of its shape did not exceed, in microseconds; 0: that is not known.
    pub usual: u64,
    /// The SQLSTATE with which it failed.
    pub sqlstate: Option<[u8; 5]>,
    /// The how many-th it was in its transaction block; 0: it was in none.
    pub place: u32,
    /// The trace that it is a part of.
    pub trace: Option<String>,
    /// Where its caller says that it sent it from.
    pub caller: Option<String>,
}

impl Line {
    /// Adds the line, with what is known of its shape.
    pub(super) fn write(&self, out: &mut String, as_json: bool, known: &Advice) {
        let fields = self.fields(known);
        match as_json {
            true => put_json(out, fields),
            false => put_text(out, &fields),
        }
    }

    /// Names and values, in order; what is not known is left out.
    fn fields(&self, known: &Advice) -> Vec<(&'static str, Value)> {
        let text = |text: &Option<String>| text.as_deref().map(Value::from);
        let mut fields = vec![
            ("time", Some(timestamp(self.at).into())),
            ("event", Some("slow".into())),
            ("total_ms", self.clock(TOTAL)),
            ("trace", text(&self.trace)),
            ("fingerprint", Some(format!("{:032x}", self.fingerprint).into())),
            ("database", Some(self.who.database.as_str().into())),
            ("user", Some(self.who.user.as_str().into())),
            ("application", Some(self.who.application.as_str().into())),
            ("caller", text(&self.caller)),
        ];
        let names = ["wait_ms", "first_ms", "stream_ms", "drain_ms"];
        fields.extend((0..CLOCKS.len() - 1).map(|clock| (names[clock], self.clock(clock))));
        let sqlstate = self.sqlstate.map(|code| String::from_utf8_lossy(&code).into_owned());
        fields.extend([
            ("usual_p95_ms", (self.usual > 0).then(|| milliseconds(self.usual))),
            ("rows", Some(self.answer.rows.into())),
            ("bytes", Some(self.answer.bytes.into())),
            ("served", Some(SERVED[self.answer.served as usize].into())),
            ("sqlstate", text(&sqlstate)),
            ("in_transaction", (self.place > 0).then(|| self.place.into())),
            ("plan", text(&known.plan)),
            ("advice", text(&known.advice)),
            ("statement", Some((*self.text).into())),
        ]);
        fields.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }

    fn clock(&self, clock: usize) -> Option<Value> {
        self.answer.times.as_ref().map(|times| milliseconds(times[clock]))
    }
}

/// So many lines were left out.
pub(super) fn dropped(lines: u64, as_json: bool) -> String {
    let fields = vec![
        ("time", timestamp(SystemTime::now()).into()),
        ("event", "dropped".into()),
        ("lines", json!(lines)),
    ];
    let mut out = String::new();
    match as_json {
        true => put_json(&mut out, fields),
        false => put_text(&mut out, &fields),
    }
    out
}

fn milliseconds(micros: u64) -> Value {
    json!(micros as f64 / 1000.0)
}

fn put_json(out: &mut String, fields: Vec<(&'static str, Value)>) {
    let fields: Map<String, Value> =
        fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let _ = writeln!(out, "{}", Value::Object(fields));
}

/// `name=value`, values in quotes where they are not plain.
fn put_text(out: &mut String, fields: &[(&'static str, Value)]) {
    for (at, (name, value)) in fields.iter().enumerate() {
        out.push_str(if at > 0 { " " } else { "" });
        let plain = |text: &&str| {
            !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"=\\".contains(&byte))
        };
        let _ = match value {
            Value::String(text) if plain(&text.as_str()) => write!(out, "{name}={text}"),
            value => write!(out, "{name}={value}"),
        };
    }
    out.push('\n');
}

/// A moment, in UTC: `2026-11-30T01:02:03.456Z`.
fn timestamp(at: SystemTime) -> String {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = since.as_secs();
    let (year, month, day) = civil((seconds / 86_400) as i64);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", since.subsec_millis())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::stats::tally::Served;

    fn line(text: &str) -> Line {
        let times = Some([1000, 2500, 0, 0, 3500]);
        Line {
            at: UNIX_EPOCH + Duration::from_millis(1_795_999_323_456),
            who: Arc::new(Who {
                database: "shop".into(),
                user: "app".into(),
                application: "a \"b\"\n".into(),
            }),
            text: text.into(),
            fingerprint: 7,
            answer: Answer { served: Served::Replica, rows: 3, bytes: 90, error: Some(*b"57"), times },
            usual: 0,
            sqlstate: Some(*b"57014"),
            place: 4,
            trace: Some("5bd66ef5095369c7b0d1f8f4bd33716a".into()),
            caller: Some("route=/x".into()),
        }
    }

    #[test]
    fn a_line_is_json_with_all_that_is_known() {
        let known = Advice { plan: None, advice: Some("index orders(a)".into()) };
        let mut out = String::new();
        line("select $1\nfrom t").write(&mut out, true, &known);
        assert_eq!(out.matches('\n').count(), 1, "{out}");
        let value: Value = serde_json::from_str(&out).expect("JSON");
        assert_eq!(
            value,
            json!({
                "time": "2026-11-30T00:42:03.456Z", "event": "slow", "total_ms": 3.5, "trace": "5bd66ef5095369c7b0d1f8f4bd33716a",
                "fingerprint": "00000000000000000000000000000007", "database": "shop", "user": "app", "application": "a \"b\"\n",
                "caller": "route=/x", "wait_ms": 1.0, "first_ms": 2.5, "stream_ms": 0.0, "drain_ms": 0.0, "rows": 3, "bytes": 90,
                "served": "replica", "sqlstate": "57014", "in_transaction": 4, "advice": "index orders(a)",
                "statement": "select $1\nfrom t",
            })
        );
        let value: Value = serde_json::from_str(&dropped(9, true)).expect("JSON");
        assert_eq!((&value["event"], &value["lines"]), (&json!("dropped"), &json!(9)));
    }

    #[test]
    fn a_line_of_text_is_one_line() {
        let mut out = String::new();
        line("select $1\nfrom t").write(&mut out, false, &Advice::default());
        assert!(out.starts_with("time=2026-11-30T00:42:03.456Z event=slow total_ms=3.5 trace=5bd6"), "{out}");
        assert!(out.contains(" application=\"a \\\"b\\\"\\n\" caller=\"route=/x\" "), "{out}");
        assert!(
            out.ends_with(" in_transaction=4 statement=\"select $1\\nfrom t\"\n") && out.lines().count() == 1,
            "{out}"
        );
    }
}
