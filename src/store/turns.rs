//! Shapes that have become slower, by what the file has of them by minutes, hours and days.

use std::collections::HashMap;
use std::path::Path;

use rusqlite::Connection;

use super::file::{self, Trouble};
use super::plans;
use super::put::{self, SUMS};
use crate::advice::turn::{Part, Turn, turn};

/// So far back what was before is looked for, in seconds: a week has every hour of the day, and Sunday.
const BACK: i64 = 7 * 86_400;
/// A shape none of whose calls took so long, in microseconds, has nothing to tell.
const NOTABLE: i64 = 10_000;

/// Those that have become slower and are slower still in a time, in seconds since 1970, beside the week before it, or as much time as that has.
///
/// # Errors
/// When the file cannot be read, or is not one of pgweir's.
pub fn turns(
    path: &Path,
    (since, until): (i64, i64),
    database: Option<&str>,
) -> Result<HashMap<u128, Turn>, Trouble> {
    let back = since.saturating_sub(BACK.max(until.saturating_sub(since)));
    let mut connection = file::open_to_read(path)?;
    let file = connection.transaction()?;
    let mut turns = HashMap::new();
    let mut found = |fingerprint: u128, parts: &[Part]| {
        let lasts = parts.last().is_some_and(|last| last.start >= since);
        if let Some(turn) = turn(parts).filter(|_| lasts && fingerprint != 0) {
            turns.insert(fingerprint, turn);
        }
    };
    each(&file, (back, until), database, &mut found)?;
    if !turns.is_empty() {
        let mut known = plans::known(&file, database)?;
        for (fingerprint, turn) in &mut turns {
            turn.plans = known.remove(fingerprint).unwrap_or_default();
        }
    }
    Ok(turns)
}

/// Gives what the file has of each shape that may tell something, in the order of time.
fn each(
    file: &Connection,
    (since, until): (i64, i64),
    database: Option<&str>,
    found: &mut dyn FnMut(u128, &[Part]),
) -> rusqlite::Result<()> {
    let mut read = file.prepare(&format!(
        "SELECT bucket.fingerprint, start, application, {SUMS} FROM bucket JOIN origin ON origin.id = origin
         WHERE start + span > ?1 AND start < ?2 AND database = coalesce(?3, database)
         AND bucket.fingerprint IN (SELECT fingerprint FROM bucket WHERE start + span > ?1 AND start < ?2 AND longest >= ?4)
         ORDER BY bucket.fingerprint, start"
    ))?;
    let mut rows = read.query((since, until, database, NOTABLE))?;
    let mut parts: Vec<Part> = vec![];
    let mut of: Option<u128> = None;
    while let Some(row) = rows.next()? {
        let name: Vec<u8> = row.get(0)?;
        let name = name.try_into().map_or(0, u128::from_be_bytes);
        if of != Some(name) {
            if let Some(before) = of {
                found(before, &parts);
            }
            (of, parts) = (Some(name), vec![]);
        }
        let (start, application): (i64, String) = (row.get(1)?, row.get(2)?);
        if parts.last().is_none_or(|last| last.start != start) {
            parts.push(Part { start, ..Part::default() });
        }
        if let Some(part) = parts.last_mut() {
            part.sums.merge(&put::sums(row, 3)?);
            part.applications.insert(application);
        }
    }
    if let Some(last) = of {
        found(last, &parts);
    }
    Ok(())
}
