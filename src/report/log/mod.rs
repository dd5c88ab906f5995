//! A log of PostgreSQL, read for people who do not run pgweir yet: the same workload, as far as a log has it.
//!
//! Read as it comes, a line at a time, in bounded memory: the server's own format, `csvlog` and `jsonlog`. What cannot be read
//! is counted and told, with the first line of it; nothing is guessed. No value of a statement goes into the report; samples for advice keep them in memory.

mod entry;
mod fields;
mod gathered;
mod message;
mod prefix;
mod sql;
mod stderr;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::io::{BufRead, Read as _};

use entry::Entry;
pub use entry::moment;
use gathered::Gathered;
pub use sql::{STATEMENTS_QUERY, statements};

use crate::advice::{Plan, Workload};
use crate::store::read::History;

/// The longest line that is read; of a longer one the rest is passed over.
const LINE: usize = 1 << 20;
/// The longest entry, of several lines, that is kept.
const ENTRY: usize = 4 << 20;
/// So many lines decide which format and which prefix it is.
const LOOKED_AT: usize = 2000;

/// What a log has.
#[derive(Debug, Default)]
pub struct Log {
    /// What was counted, as the report takes it.
    pub history: History,
    /// What advice takes: texts, times, values.
    pub workload: Workload,
    /// Plans that `auto_explain` logged in JSON, of the slowest of each shape.
    pub plans: HashMap<u128, Plan>,
    /// What could not be read, and what it is like that.
    pub notes: Vec<String>,
}

/// What reads one format.
trait Format {
    /// Takes a line, without its end; gives entries that are complete by it.
    fn line(&mut self, line: &str, out: &mut Vec<Entry>) -> Result<(), ()>;
    /// Nothing comes any more.
    fn end(&mut self, out: &mut Vec<Entry>);
}

/// Reads a log. `prefix` is the server's `log_line_prefix`, where it is known; what was logged outside of the window, in seconds since 1970, is passed over.
///
/// # Errors
/// When it cannot be read, or is no log that is known.
pub fn read(
    input: &mut impl BufRead,
    prefix: Option<&str>,
    (since, until): (i64, i64),
) -> Result<Log, String> {
    let mut lines = Lines { input, number: 0, cut: 0 };
    let mut first = vec![];
    while first.len() < LOOKED_AT
        && let Some(line) = lines.next()?
    {
        first.push(line);
    }
    let mut notes = vec![];
    let mut format = format(&first, prefix, &mut notes)?;
    let mut gathered = Gathered::default();
    let (mut entries, mut bad, mut number) = (vec![], (0_u64, 0_u64), 0_u64);
    let mut first = first.into_iter();
    let is_within = |entry: &Entry| entry.at.is_none_or(|at| since <= at && at <= until);
    loop {
        let line = match first.next() {
            Some(line) => Some(line),
            None => lines.next()?,
        };
        let Some(line) = line else { break };
        number += 1;
        if format.line(&line, &mut entries).is_err() {
            bad = (bad.0 + 1, if bad.1 == 0 { number } else { bad.1 });
        }
        entries.drain(..).filter(is_within).for_each(|entry| gathered.take(&entry));
    }
    format.end(&mut entries);
    entries.drain(..).filter(is_within).for_each(|entry| gathered.take(&entry));
    if bad.0 > 0 {
        notes
            .push(format!("{} of {number} lines could not be read, the first of them line {}", bad.0, bad.1));
    }
    if lines.cut > 0 {
        notes.push(format!("{} lines were longer than 1 MB, and were cut", lines.cut));
    }
    gathered.log(notes)
}

/// Which format it is, by its first lines.
fn format(
    first: &[String],
    prefix: Option<&str>,
    notes: &mut Vec<String>,
) -> Result<Box<dyn Format>, String> {
    let mut lines = first.iter().filter(|line| !line.trim().is_empty());
    let Some(line) = lines.next() else {
        return Err("there is nothing in it".into());
    };
    if prefix.is_none() && line.starts_with('{') {
        return Ok(Box::new(fields::Json));
    }
    if prefix.is_none() && fields::looks_like_csv(line) {
        return Ok(Box::<fields::Csv>::default());
    }
    let prefix = match prefix {
        Some(given) => prefix::compile(given)?,
        None => {
            let (found, named) = prefix::guess(first)?;
            notes.push(format!("log_line_prefix was taken to be '{named}'; --log-line-prefix says another"));
            found
        }
    };
    Ok(Box::new(stderr::Stderr::new(prefix)))
}

/// Lines of bounded length. What is no UTF-8 is replaced.
struct Lines<'a, R> {
    input: &'a mut R,
    number: u64,
    cut: u64,
}

impl<R: BufRead> Lines<'_, R> {
    fn next(&mut self) -> Result<Option<String>, String> {
        let mut bytes = vec![];
        let failed = |error: std::io::Error| error.to_string();
        let read = self.input.take(LINE as u64).read_until(b'\n', &mut bytes).map_err(failed)?;
        if read == 0 {
            return Ok(None);
        }
        self.number += 1;
        if bytes.last() == Some(&b'\n') {
            bytes.pop();
        } else if read == LINE {
            self.cut += 1;
            self.pass_over().map_err(failed)?;
        }
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// The rest of a line.
    fn pass_over(&mut self) -> std::io::Result<()> {
        loop {
            let some = self.input.fill_buf()?;
            let end = some.iter().position(|byte| *byte == b'\n');
            let used = end.map_or(some.len(), |at| at + 1);
            let is_over = end.is_some() || some.is_empty();
            self.input.consume(used);
            if is_over {
                return Ok(());
            }
        }
    }
}
