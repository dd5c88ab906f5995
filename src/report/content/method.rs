//! Errors, what is not in the report, and how its numbers are known.

use super::super::document::{Block, Document, Table, Text, texts};
use super::super::fixes::GRADES;
use super::super::numbers::{count, moment, time};
use super::super::{Origin, Report};
use crate::stats::tally::TOTAL;

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
    /// Errors by class.
    pub(super) fn errors(&self, document: &mut Document) {
        let mut errors = self.all.errors.clone();
        if errors.is_empty() {
            return;
        }
        errors.sort_by_key(|(class, count)| (std::cmp::Reverse(*count), *class));
        document.put(Block::heading(2, "Errors"));
        let row = |(class, number): &([u8; 2], u64)| {
            let words = CLASSES.iter().find(|(known, _)| *known == class).map_or("", |(_, words)| words);
            texts![count(*number), String::from_utf8_lossy(class).into_owned(), words]
        };
        document
            .put(Block::Table(Table::new("# statements|SQLSTATE|+ meaning").with(errors.iter().map(row))));
    }

    /// What is not in it, and how it is known.
    pub(super) fn method(&self, document: &mut Document) {
        document.put(Block::heading(2, "Coverage and method"));
        let notes = self.coverage().into_iter().chain(self.notes.iter().cloned()).chain(self.known());
        document.put(Block::Notes(notes.map(Text::from).collect()));
    }

    fn coverage(&self) -> Vec<String> {
        let mut notes = vec![];
        if let Some(begins) = self.begins.filter(|begins| *begins > self.scope.window.0) {
            notes.push(format!(
                "what is counted begins at {}: nothing is known of the time before",
                moment(begins)
            ));
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
        let untimed = self.all.calls - self.all.timed.min(self.all.calls);
        match self.scope.origin {
            Origin::PgStatStatements => {}
            Origin::Log if untimed > 0 => {
                notes.push(format!(
                    "{} statements failed: how long they took is not in the log",
                    count(untimed)
                ));
            }
            _ if untimed > 0 => {
                notes.push(format!("{} statements have no times: no server answered them", count(untimed)));
            }
            _ => {}
        }
        notes
    }

    /// How its numbers are known.
    fn known(&self) -> Vec<String> {
        let counts = match self.scope.origin {
            Origin::Store | Origin::Live => {
                "counted at the wire by pgweir, every statement; sums and the longest are exact, p50, p95 and p99 to an eighth; traffic around pgweir is not in it"
            }
            Origin::Log => {
                "read from PostgreSQL's log: only statements that it was told to log (log_min_duration_statement, sampling), and the server's own time; calls are those that were logged"
            }
            Origin::PgStatStatements => {
                "read from pg_stat_statements: calls, sums and the longest are exact since its reset, execution time only; p50, p95 and p99 are not known"
            }
        };
        let mut notes = vec![counts.to_owned()];
        if self.all.calls > 0 {
            let of = time((self.seconds() * 1e6) as u64);
            notes.push(format!("a day: what was seen in {of}, as if a day went on like that"));
        }
        if self.is_advised {
            notes.push("saves a day: of the seconds that clients waited; those of several fixes may be the same seconds".to_owned());
            notes.extend(GRADES.iter().map(|(grade, meaning)| format!("{grade}: {meaning}")));
        }
        notes
    }
}
