//! The server's own format: lines with a prefix, and lines that go on behind a tab.

use super::entry::Entry;
use super::prefix::{Begun, Prefix};
use super::{ENTRY, Format};

/// So many processes may have an entry that is not complete; beyond it, the oldest is complete.
const OPEN: usize = 1000;

/// Reads it.
pub(super) struct Stderr {
    prefix: Prefix,
    /// Entries that may go on, by process, the oldest first.
    open: Vec<(String, Entry)>,
    /// The part that the next line goes on with: of which process, and which.
    last: Option<(String, Part)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Message,
    Detail,
    Statement,
    Other,
}

impl Stderr {
    /// Nothing is read yet.
    pub(super) fn new(prefix: Prefix) -> Stderr {
        Stderr { prefix, open: vec![], last: None }
    }

    /// Adds to a part of an open entry.
    fn add(&mut self, process: &str, part: Part, text: &str, goes_on: bool) {
        let Some((_, entry)) = self.open.iter_mut().find(|(known, _)| known == process) else { return };
        let whole = match part {
            Part::Message => &mut entry.message,
            Part::Detail => entry.detail.get_or_insert_default(),
            Part::Statement => entry.statement.get_or_insert_default(),
            Part::Other => return,
        };
        if whole.len() + text.len() < ENTRY {
            if goes_on {
                whole.push('\n');
            }
            whole.push_str(text);
        }
    }

    fn begin(&mut self, begun: Begun, out: &mut Vec<Entry>) {
        let Begun { mut entry, process, rest } = begun;
        let part = match entry.severity.as_str() {
            "DETAIL" => Part::Detail,
            "STATEMENT" => Part::Statement,
            "HINT" | "QUERY" | "CONTEXT" | "LOCATION" | "BACKTRACE" => Part::Other,
            _ => Part::Message,
        };
        if part == Part::Message {
            if let Some(at) = self.open.iter().position(|(known, _)| *known == process) {
                out.push(self.open.remove(at).1);
            }
            if self.open.len() >= OPEN {
                out.push(self.open.remove(0).1);
            }
            entry.message = rest;
            self.open.push((process.clone(), entry));
        } else {
            self.add(&process, part, &rest, false);
        }
        self.last = Some((process, part));
    }
}

impl Format for Stderr {
    fn line(&mut self, line: &str, out: &mut Vec<Entry>) -> Result<(), ()> {
        if let Some(begun) = self.prefix.begun(line) {
            self.begin(begun, out);
            return Ok(());
        }
        match (line.strip_prefix('\t'), self.last.clone()) {
            (Some(rest), Some((process, part))) => {
                self.add(&process, part, rest, true);
                Ok(())
            }
            _ if line.trim().is_empty() => Ok(()),
            _ => Err(()),
        }
    }

    fn end(&mut self, out: &mut Vec<Entry>) {
        out.extend(self.open.drain(..).map(|(_, entry)| entry));
    }
}
