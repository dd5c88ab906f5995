//! The text format of Prometheus, version 0.0.4: HELP, TYPE, samples.

use std::fmt::Write as _;

/// What is sent as the type of a page of metrics.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
}

impl Kind {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        }
    }
}

/// A metric: what is said of it, without its samples.
#[derive(Debug, Clone, Copy)]
pub struct Head {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it means: one sentence.
    pub help: &'static str,
}

/// The samples of one metric being written.
#[derive(Debug)]
pub struct Samples<'a> {
    out: &'a mut String,
    head: &'a Head,
}

impl Samples<'_> {
    /// Writes a sample; `values` are those of the labels, in their order.
    pub fn put(&mut self, values: &[&str], number: f64) {
        debug_assert_eq!(values.len(), self.head.labels.len(), "{}", self.head.name);
        self.out.push_str(self.head.name);
        for (at, (label, value)) in self.head.labels.iter().zip(values).enumerate() {
            self.out.push(if at == 0 { '{' } else { ',' });
            self.out.push_str(label);
            self.out.push_str("=\"");
            escape(self.out, value, true);
            self.out.push('"');
        }
        if !values.is_empty() {
            self.out.push('}');
        }
        let _ = writeln!(self.out, " {number}");
    }

    /// Writes a sample that is a whole number.
    pub fn count(&mut self, values: &[&str], number: u64) {
        self.put(values, number as f64);
    }

    /// Writes microseconds as seconds.
    pub fn seconds(&mut self, values: &[&str], micros: u64) {
        self.put(values, micros as f64 / 1e6);
    }
}

/// Writes a metric: its head, then what `samples` puts.
pub fn metric(out: &mut String, head: &Head, samples: impl FnOnce(&mut Samples<'_>)) {
    let _ = write!(out, "# HELP {} ", head.name);
    escape(out, head.help, false);
    let _ = writeln!(out, "\n# TYPE {} {}", head.name, head.kind.word());
    samples(&mut Samples { out, head });
}

fn escape(out: &mut String, text: &str, quotes: bool) {
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if quotes => out.push_str("\\\""),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_samples_and_escapes() {
        let head = Head { name: "a_total", kind: Kind::Counter, labels: &["x", "y"], help: "A \"b\" \\ c." };
        let mut out = String::new();
        metric(&mut out, &head, |samples| {
            samples.count(&["q\"\\\n", "é"], 3);
            samples.seconds(&["", ""], 1_500_000);
        });
        let lines: Vec<_> = out.lines().collect();
        assert_eq!(lines[0], "# HELP a_total A \"b\" \\\\ c.");
        assert_eq!(lines[1], "# TYPE a_total counter");
        assert_eq!(lines[2], "a_total{x=\"q\\\"\\\\\\n\",y=\"é\"} 3");
        assert_eq!(lines[3], "a_total{x=\"\",y=\"\"} 1.5");
    }
}
