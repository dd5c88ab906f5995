//! A report for the terminal, in a hundred columns.

use std::fmt::Write as _;
use std::time::{Duration, UNIX_EPOCH};

use super::{Report, Statement};
use crate::stats::tally::{Sums, TOTAL};

/// Columns.
const WIDTH: usize = 100;
/// So many lines of a statement's text are shown.
const LINES: usize = 4;
/// So many of those who send a statement are named.
const SENDERS: usize = 3;

/// Classes of SQLSTATE in words (PostgreSQL's manual, appendix A).
const CLASSES: &[(&[u8; 2], &str)] = &[
    (b"08", "connection exception"),
    (b"0A", "feature not supported"),
    (b"21", "cardinality violation"),
    (b"22", "data exception"),
    (b"23", "integrity constraint violation"),
    (b"25", "invalid transaction state"),
    (b"26", "invalid statement name"),
    (b"28", "invalid authorization"),
    (b"34", "invalid cursor name"),
    (b"3D", "invalid catalog name"),
    (b"40", "transaction rollback: serialization failure or deadlock"),
    (b"42", "syntax error or access rule violation"),
    (b"53", "insufficient resources"),
    (b"54", "program limit exceeded"),
    (b"55", "object not in prerequisite state"),
    (b"57", "operator intervention: cancelled, timed out or shut down"),
    (b"58", "system error"),
    (b"P0", "raised by a function"),
    (b"XX", "internal error"),
];

impl Report {
    /// The report as text. No line is longer than a hundred characters.
    pub fn text(&self) -> String {
        let mut out = String::new();
        self.headline(&mut out);
        if self.all.calls > 0 {
            self.statements(&mut out);
            self.errors(&mut out);
        }
        self.coverage(&mut out);
        out.lines().map(|line| cut(line.trim_end(), WIDTH) + "\n").collect()
    }

    fn headline(&self, out: &mut String) {
        let Some((from, to)) = self.between.filter(|_| self.all.calls > 0) else {
            let _ = writeln!(out, "{}   no statements since {}", self.file, moment(self.since));
            return;
        };
        let _ = writeln!(out, "{}   {} -> {}", self.file, moment(from), moment(to));
        let _ = writeln!(out, "counted by {}", self.instances.join(", "));
        let all = &self.all;
        let _ = writeln!(
            out,
            "{} statements, {} shapes, {} of database time",
            count(all.calls),
            count(self.shapes as u64),
            time(self.database_time())
        );
        let hits = format!("{:.0} %", all.served[2] as f64 / all.calls as f64 * 100.0);
        let maybe = |micros: Option<u64>| micros.map_or("-".to_owned(), time);
        let _ = writeln!(
            out,
            "p95 {}   pool wait p95 {}   cache hits {hits}   errors {}",
            maybe(all.quantile(TOTAL, 0.95)),
            maybe(all.quantile(0, 0.95)),
            count(all.failures())
        );
    }

    fn statements(&self, out: &mut String) {
        let _ = writeln!(out, "\nSTATEMENTS BY TIME");
        let heads = ["total", "share", "calls", "errors", "p50", "p95", "p99", "max"];
        let _ = write!(out, "    ");
        heads.iter().for_each(|head| out.push_str(&format!("{head:>9}")));
        out.push('\n');
        for (at, statement) in self.top.iter().enumerate() {
            self.statement(out, at + 1, statement);
        }
        if self.shapes > self.top.len() {
            let _ = writeln!(out, "\n{} more shapes took less; see --limit", self.shapes - self.top.len());
        }
    }

    fn statement(&self, out: &mut String, number: usize, statement: &Statement) {
        let sums = &statement.sums;
        let share = sums.micros[TOTAL] as f64 / self.all.micros[TOTAL].max(1) as f64 * 100.0;
        let at = |share: f64| sums.quantile(TOTAL, share).map_or("-".to_owned(), time);
        let longest = if sums.timed > 0 { time(sums.longest) } else { "-".to_owned() };
        let cells = [
            time(sums.micros[TOTAL]),
            format!("{share:.1} %"),
            count(sums.calls),
            count(sums.failures()),
            at(0.5),
            at(0.95),
            at(0.99),
            longest,
        ];
        let _ = write!(out, "\n{:<4}", format!("Q{number}"));
        cells.iter().for_each(|cell| out.push_str(&format!("{cell:>9}")));
        out.push('\n');
        wrapped(&statement.text).iter().for_each(|line| out.push_str(&format!("    {line}\n")));
        let _ = writeln!(out, "    {}", clocks(sums));
        let _ = writeln!(out, "    {}", served(sums));
        let _ = writeln!(out, "    {:032x}   {}", statement.fingerprint, by(statement));
    }

    fn errors(&self, out: &mut String) {
        let mut errors = self.all.errors.clone();
        if errors.is_empty() {
            return;
        }
        errors.sort_by_key(|(class, count)| (std::cmp::Reverse(*count), *class));
        let _ = writeln!(out, "\nERRORS BY CLASS OF SQLSTATE");
        for (class, number) in errors {
            let words = CLASSES.iter().find(|(known, _)| **known == class).map_or("", |(_, words)| words);
            let _ = writeln!(out, "{:>9}  {} {words}", count(number), String::from_utf8_lossy(&class));
        }
    }

    /// What is not in it.
    fn coverage(&self, out: &mut String) {
        let mut notes = vec![];
        if let Some(begins) = self.begins.filter(|begins| *begins > self.since) {
            notes.push(format!("the file begins at {}: nothing is known of the time before", moment(begins)));
        }
        if self.others.calls > 0 {
            notes.push(format!(
                "{} statements ({}) were of shapes beyond history.statements: they are in the sums, and not in the list",
                count(self.others.calls),
                time(self.others.micros[TOTAL])
            ));
        }
        if self.missing > 0 {
            notes.push(format!(
                "{} statements were counted and could not be written: they are in none of this",
                count(self.missing)
            ));
        }
        let untimed = self.all.calls - self.all.timed;
        if untimed > 0 {
            notes.push(format!("{} statements have no times: no server answered them", count(untimed)));
        }
        if !notes.is_empty() {
            let _ = writeln!(out, "\nNOTES");
        }
        for note in notes {
            let lines = words(&note, WIDTH - 2);
            lines.iter().enumerate().for_each(|(at, line)| {
                let _ = writeln!(out, "{} {line}", if at == 0 { "-" } else { " " });
            });
        }
    }
}

/// The clocks of a statement, at the 95th percentile.
fn clocks(sums: &Sums) -> String {
    let names = ["pool wait", "first row", "rows", "client"];
    let p95 = |(clock, name): (usize, &&str)| {
        format!("{name} {}", sums.quantile(clock, 0.95).map_or("-".to_owned(), time))
    };
    format!("p95 of: {}", names.iter().enumerate().map(p95).collect::<Vec<_>>().join("   "))
}

fn served(sums: &Sums) -> String {
    let names = ["primary", "replica", "cache", "pgweir"];
    let shares = names.iter().zip(sums.served).filter(|(_, n)| *n > 0);
    let shares: Vec<_> = shares.map(|(name, n)| format!("{name} {}", count(n))).collect();
    let each = |n: u64| n as f64 / sums.calls.max(1) as f64;
    let (rows, bytes) = (each(sums.rows), each(sums.bytes));
    format!("answered by {}   {rows:.1} rows, {bytes:.0} bytes a call", shares.join(", "))
}

fn by(statement: &Statement) -> String {
    let one = |(who, _): &(crate::stats::tally::Who, u64)| {
        let application = if who.application.is_empty() { "-" } else { &who.application };
        format!("{}/{}/{application}", who.database, who.user)
    };
    let mut named: Vec<_> = statement.by.iter().take(SENDERS).map(one).collect();
    let more = statement.by.len().saturating_sub(SENDERS);
    named.extend((more > 0).then(|| format!("and {more} more")));
    named.join(", ").chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A statement in lines, without control characters.
fn wrapped(text: &str) -> Vec<String> {
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mut lines = words(&plain, WIDTH - 8);
    if lines.len() > LINES {
        lines.truncate(LINES);
        lines.iter_mut().skip(LINES - 1).for_each(|line| line.push_str(" ..."));
    }
    lines
}

/// Words in lines of so many characters.
fn words(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut length = 0;
    for word in text.split(' ') {
        let mut word: Vec<char> = word.chars().collect();
        if length > 0 && length + 1 + word.len() > width {
            lines.push(String::new());
            length = 0;
        }
        while word.len() > width {
            let rest = word.split_off(width);
            lines.push(std::mem::replace(&mut word, rest).into_iter().collect());
            length = 0;
            lines.push(String::new());
        }
        let Some(line) = lines.last_mut() else { continue };
        if length > 0 {
            line.push(' ');
            length += 1;
        }
        length += word.len();
        line.extend(word);
    }
    lines.retain(|line| !line.is_empty());
    lines
}

fn cut(line: &str, width: usize) -> String {
    match line.chars().nth(width) {
        None => line.to_owned(),
        Some(_) => line.chars().take(width - 3).chain("...".chars()).collect(),
    }
}

/// A time with two or three digits and its unit.
fn time(micros: u64) -> String {
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

/// A number with its thousands or millions.
fn count(number: u64) -> String {
    let short = |per: f64, unit: &str| format!("{:.1} {unit}", number as f64 / per);
    match number {
        0..100_000 => number.to_string(),
        100_000..1_000_000 => short(1e3, "k"),
        1_000_000..1_000_000_000 => short(1e6, "M"),
        _ => short(1e9, "G"),
    }
}

/// A moment, in UTC, to the minute.
fn moment(at: i64) -> String {
    let at = UNIX_EPOCH + Duration::from_secs(at.max(0) as u64);
    let text = crate::admin::timestamp(at);
    format!("{} UTC", text.get(..16).unwrap_or(&text))
}

#[cfg(test)]
mod tests {
    use super::super::tests::sample;
    use super::*;

    #[test]
    fn it_fits_a_hundred_columns_and_says_what_is_not_in_it() {
        let text = sample(2).text();
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        for part in [
            "2616 statements, 3 shapes, 60 s of database time",
            "Q1      100 s   99.8 %     2001        1    50 ms",
            "update accounts set n = n + ? where id = ?",
            "1 more shapes took less",
            "shop/app/web, shop/app/jobs",
            "40 transaction rollback",
            "501 statements (5.0 ms) were of shapes beyond history.statements",
            "7 statements were counted and could not be written",
        ] {
            assert!(text.contains(part), "{part}\nis not in\n{text}");
        }
        let nothing = Report { file: "h.db".into(), ..Report::default() }.text();
        assert_eq!(nothing, "h.db   no statements since 1970-01-01 00:00 UTC\n");
    }

    #[test]
    fn times_have_units() {
        let shown =
            [0, 999, 1000, 38_400, 999_499, 999_500, 61_000_000, 7_199_000_000, 11_520_000_000].map(time);
        assert_eq!(
            shown,
            ["0 us", "999 us", "1.0 ms", "38 ms", "999 ms", "1.0 s", "61 s", "119 m", "3 h 12 m"]
        );
        assert_eq!([99_999, 412_345, 2_100_000].map(count), ["99999", "412.3 k", "2.1 M"]);
    }

    #[test]
    fn long_words_and_control_characters_do_no_harm() {
        let lines = wrapped(&format!("select \u{1b}[31m {} from t", "x".repeat(500)));
        assert!(lines.len() <= LINES && lines.iter().all(|line| line.chars().count() <= WIDTH - 4));
        assert!(!lines.concat().contains('\u{1b}'));
    }
}
