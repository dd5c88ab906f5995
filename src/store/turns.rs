//! Shapes that have become slower, by what the history has of them by minutes, hours and days.

use std::collections::HashMap;
use std::path::Path;

use rusqlite::Connection;

use super::file::{self, Trouble};
use super::plans;
use super::put::{self, SUMS};
use crate::advice::turn::{KnownPlan, Part, Turn, turn};
use crate::stats::tally::Sums;

/// So far back what was before is looked for, in seconds: a week has every hour of the day, and Sunday.
const BACK: i64 = 7 * 86_400;
/// A shape none of whose calls took so long, in microseconds, has nothing to tell.
pub(super) const NOTABLE: i64 = 10_000;

/// What is looked at, to find what has become slower and is slower still in a time.
pub(super) fn looked_at((since, until): (i64, i64)) -> (i64, i64) {
    (since.saturating_sub(BACK.max(until.saturating_sub(since))), until)
}

/// Finds those that have become slower, of rows that come shape by shape and in the order of time.
pub(super) struct Turning {
    /// What is slower no more since then is left out.
    since: i64,
    of: u128,
    parts: Vec<Part>,
    turns: HashMap<u128, Turn>,
}

impl Turning {
    pub(super) fn new(since: i64) -> Turning {
        Turning { since, of: 0, parts: vec![], turns: HashMap::new() }
    }

    /// Takes a row: what was counted of a shape and an application from a time on.
    pub(super) fn take(&mut self, fingerprint: u128, start: i64, application: String, sums: &Sums) {
        if self.of != fingerprint {
            self.end();
            self.of = fingerprint;
        }
        if self.parts.last().is_none_or(|last| last.start != start) {
            self.parts.push(Part { start, ..Part::default() });
        }
        if let Some(part) = self.parts.last_mut() {
            part.sums.merge(sums);
            part.applications.insert(application);
        }
    }

    /// All rows of a shape were there.
    fn end(&mut self) {
        let parts = std::mem::take(&mut self.parts);
        let lasts = parts.last().is_some_and(|last| last.start >= self.since);
        // What has no row of its own is no shape.
        if let Some(turn) = turn(&parts).filter(|_| lasts && self.of != 0) {
            self.turns.insert(self.of, turn);
        }
    }

    /// What was found, when there are no more rows.
    pub(super) fn found(mut self) -> HashMap<u128, Turn> {
        self.end();
        self.turns
    }
}

/// Sets the plans that were seen beside what has become slower.
pub(super) fn with_plans(turns: &mut HashMap<u128, Turn>, mut known: HashMap<u128, Vec<KnownPlan>>) {
    for (fingerprint, turn) in turns {
        turn.plans = known.remove(fingerprint).unwrap_or_default();
    }
}

/// As [`super::Place::turns`], of a file.
pub(super) fn turns(
    path: &Path,
    window: (i64, i64),
    database: Option<&str>,
    instance: Option<&str>,
) -> Result<HashMap<u128, Turn>, Trouble> {
    let mut connection = file::open_to_read(path)?;
    let file = connection.transaction()?;
    let mut turning = Turning::new(window.0);
    each(&file, looked_at(window), (database, instance), &mut turning)?;
    let mut turns = turning.found();
    if !turns.is_empty() {
        with_plans(&mut turns, plans::known(&file, database)?);
    }
    Ok(turns)
}

/// Gives what the file has of each shape that may tell something, in the order of time.
fn each(
    file: &Connection,
    (since, until): (i64, i64),
    (database, instance): (Option<&str>, Option<&str>),
    turning: &mut Turning,
) -> rusqlite::Result<()> {
    let mut read = file.prepare(&format!(
        "SELECT bucket.fingerprint, start, application, {SUMS} FROM bucket JOIN origin ON origin.id = origin
         WHERE start + span > ?1 AND start < ?2 AND database = coalesce(?3, database) AND instance = coalesce(?5, instance)
         AND bucket.fingerprint IN (SELECT fingerprint FROM bucket WHERE start + span > ?1 AND start < ?2 AND longest >= ?4)
         ORDER BY bucket.fingerprint, start"
    ))?;
    let mut rows = read.query((since, until, database, NOTABLE, instance))?;
    while let Some(row) = rows.next()? {
        let name: Vec<u8> = row.get(0)?;
        let name = name.try_into().map_or(0, u128::from_be_bytes);
        turning.take(name, row.get(1)?, row.get(2)?, &put::sums(row, 3)?);
    }
    Ok(())
}
