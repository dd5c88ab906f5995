//! Formats with fields: `csvlog` and `jsonlog` (PostgreSQL manual, 20.8.4 and 20.8.5).

use serde_json::Value;

use super::entry::{Entry, moment};
use super::{ENTRY, Format};

/// Where fields stand in a line of `csvlog`.
mod place {
    pub(super) const TIME: usize = 0;
    pub(super) const USER: usize = 1;
    pub(super) const DATABASE: usize = 2;
    pub(super) const SEVERITY: usize = 11;
    pub(super) const SQLSTATE: usize = 12;
    pub(super) const MESSAGE: usize = 13;
    pub(super) const DETAIL: usize = 14;
    pub(super) const QUERY: usize = 19;
    pub(super) const APPLICATION: usize = 22;
}

/// The fewest fields of a line (PostgreSQL 9.0 has 23, 18 has 26).
const FIELDS: usize = 23;

/// Reads `jsonlog`: an object a line.
pub(super) struct Json;

impl Format for Json {
    fn line(&mut self, line: &str, out: &mut Vec<Entry>) -> Result<(), ()> {
        if line.trim().is_empty() {
            return Ok(());
        }
        let value: Value = serde_json::from_str(line).map_err(|_| ())?;
        let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        let (Some(severity), Some(message)) = (text("error_severity"), text("message")) else {
            return Err(());
        };
        out.push(Entry {
            at: text("timestamp").and_then(|text| moment(&text)),
            user: text("user").unwrap_or_default(),
            database: text("dbname").unwrap_or_default(),
            application: text("application_name").unwrap_or_default(),
            severity,
            sqlstate: text("state_code"),
            message,
            detail: text("detail"),
            statement: text("statement"),
        });
        Ok(())
    }

    fn end(&mut self, _: &mut Vec<Entry>) {}
}

/// Reads `csvlog`: a record may go over several lines.
#[derive(Default)]
pub(super) struct Csv {
    record: String,
    /// What is read of the record ends between quotes.
    quoted: bool,
}

/// Whether a line begins a record.
pub(super) fn looks_like_csv(line: &str) -> bool {
    line.split_once(',').is_some_and(|(time, rest)| moment(time).is_some() && rest.matches(',').count() >= 10)
}

impl Format for Csv {
    fn line(&mut self, line: &str, out: &mut Vec<Entry>) -> Result<(), ()> {
        if self.quoted && looks_like_csv(line) && self.record.len() > ENTRY / 4 {
            // The one before was broken off.
            *self = Csv::default();
        }
        if !self.record.is_empty() {
            self.record.push('\n');
        }
        self.record.push_str(line);
        self.quoted ^= line.bytes().filter(|byte| *byte == b'"').count() % 2 == 1;
        if self.quoted && self.record.len() < ENTRY {
            return Ok(());
        }
        let record = std::mem::take(self).record;
        if record.trim().is_empty() {
            return Ok(());
        }
        let fields = fields(&record);
        if fields.len() < FIELDS {
            return Err(());
        }
        let text = |at: usize| Some(fields[at].clone()).filter(|text| !text.is_empty());
        let known = |at: usize| text(at).unwrap_or_default();
        out.push(Entry {
            at: moment(&fields[place::TIME]),
            user: known(place::USER),
            database: known(place::DATABASE),
            application: known(place::APPLICATION),
            severity: known(place::SEVERITY),
            sqlstate: text(place::SQLSTATE),
            message: known(place::MESSAGE),
            detail: text(place::DETAIL),
            statement: text(place::QUERY),
        });
        Ok(())
    }

    fn end(&mut self, _: &mut Vec<Entry>) {}
}

/// The fields of a record; a quote within quotes is doubled.
fn fields(record: &str) -> Vec<String> {
    let mut all = vec![String::new()];
    let mut quoted = false;
    let mut chars = record.chars().peekable();
    while let Some(c) = chars.next() {
        let Some(field) = all.last_mut() else { break };
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                field.push('"');
                chars.next();
            }
            '"' => quoted = !quoted,
            ',' if !quoted => all.push(String::new()),
            c => field.push(c),
        }
    }
    all
}
