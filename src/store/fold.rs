//! What is old takes less room: minutes become hours, hours days, and what is older than is to be kept goes.

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::put::{self, SUMS};
use super::{Policy, SPANS};
use crate::slow::Merged;

/// So long minutes are kept before they become hours, and hours before they become days, in seconds.
pub(super) const AGES: [i64; 2] = [6 * 3600, 7 * 86400];
/// So many rows go at once where the file is too large.
const CHUNK: usize = 2000;
/// So much of what the file may have is left when it was too large, in percent.
const LEFT: u64 = 90;

/// Brings a minute, of all instances, down to as many shapes as may have rows of their own.
pub(super) fn settle(file: &mut Connection, minute: i64, policy: &Policy) -> rusqlite::Result<()> {
    let rows: i64 = file.query_row(
        "SELECT count(*) FROM bucket WHERE span = ?1 AND start = ?2",
        (SPANS[0], minute),
        |row| row.get(0),
    )?;
    if rows as usize <= policy.statements {
        return Ok(());
    }
    let file = file.transaction_with_behavior(TransactionBehavior::Immediate)?;
    replace(&file, (SPANS[0], minute, minute + SPANS[0]), (SPANS[0], minute), policy)?;
    file.commit()
}

/// Makes hours of old minutes, and days of old hours; one of them a call. False: there is nothing left to do.
pub(super) fn fold(file: &mut Connection, now: i64, policy: &Policy) -> rusqlite::Result<bool> {
    for (at, age) in AGES.iter().enumerate() {
        let (small, large) = (SPANS[at], SPANS[at + 1]);
        let file = file.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let oldest: Option<i64> =
            file.query_row("SELECT min(start) FROM bucket WHERE span = ?1", [small], |row| row.get(0))?;
        let Some(start) = oldest.map(|oldest| oldest - oldest.rem_euclid(large)) else { continue };
        if start + large > now - age {
            continue;
        }
        replace(&file, (small, start, start + large), (large, start), policy)?;
        file.commit()?;
        return Ok(true);
    }
    Ok(false)
}

/// Puts the rows of a span that begin in a time together into others.
fn replace(
    file: &Transaction<'_>,
    (span, from, to): (i64, i64, i64),
    (into, start): (i64, i64),
    policy: &Policy,
) -> rusqlite::Result<()> {
    let mut merged: Merged<i64> = Merged::default();
    {
        let text = format!(
            "SELECT origin, fingerprint, {SUMS} FROM bucket WHERE span = ?1 AND start >= ?2 AND start < ?3"
        );
        let mut read = file.prepare(&text)?;
        let mut rows = read.query((span, from, to))?;
        while let Some(row) = rows.next()? {
            let fingerprint: Vec<u8> = row.get(1)?;
            let fingerprint = fingerprint.try_into().map_or(0, u128::from_be_bytes);
            merged.add(row.get(0)?, fingerprint, "".into(), put::sums(row, 2)?);
            if merged.len() > policy.statements.saturating_mul(4) {
                merged.bound(policy.statements.saturating_mul(2));
            }
        }
    }
    merged.bound(policy.statements);
    file.execute("DELETE FROM bucket WHERE span = ?1 AND start >= ?2 AND start < ?3", (span, from, to))?;
    for (origin, fingerprint, _, sums) in merged.lines() {
        put::add(file, (into, start, *origin, &fingerprint.to_be_bytes()), sums)?;
    }
    Ok(())
}

/// Removes what is older than is to be kept.
pub(super) fn expire(file: &mut Connection, now: i64, policy: &Policy) -> rusqlite::Result<()> {
    let before = now - i64::try_from(policy.keep.as_secs()).unwrap_or(i64::MAX);
    let file = file.transaction_with_behavior(TransactionBehavior::Immediate)?;
    file.execute("DELETE FROM bucket WHERE start + span <= ?1", [before])?;
    file.execute("DELETE FROM missing WHERE start <= ?1", [before])?;
    file.execute("DELETE FROM caller WHERE start + ?2 <= ?1", (before, SPANS[2]))?;
    file.execute("DELETE FROM plan WHERE last_seen < ?1", [before])?;
    file.execute("DELETE FROM mark WHERE at < ?1", [before])?;
    file.execute("DELETE FROM seen_table WHERE seen < ?1", [before])?;
    forget(&file)?;
    file.commit()
}

/// Removes shapes and origins of which there are no counts any more.
fn forget(file: &Transaction<'_>) -> rusqlite::Result<()> {
    file.execute("DELETE FROM shape WHERE fingerprint NOT IN (SELECT fingerprint FROM bucket)", [])?;
    file.execute("DELETE FROM sample WHERE fingerprint NOT IN (SELECT fingerprint FROM bucket)", [])?;
    file.execute("DELETE FROM caller WHERE fingerprint NOT IN (SELECT fingerprint FROM bucket)", [])?;
    file.execute("DELETE FROM plan WHERE fingerprint NOT IN (SELECT fingerprint FROM bucket)", [])?;
    file.execute("DELETE FROM origin WHERE id NOT IN (SELECT origin FROM bucket)", [])?;
    Ok(())
}

/// Bytes of the file that are in use.
pub(super) fn bytes(file: &Connection) -> rusqlite::Result<u64> {
    let number = |pragma: &str| file.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    Ok(((number("page_count")? - number("freelist_count")?) * number("page_size")?).max(0) as u64)
}

/// Whether there are counts from before that time.
pub(super) fn reaches_back(file: &Connection, before: i64) -> rusqlite::Result<bool> {
    file.query_row("SELECT EXISTS (SELECT 1 FROM bucket WHERE start < ?1)", [before], |row| row.get(0))
}

/// Removes the oldest counts where the file is larger than it may be; gives when the last of them began. `None`: it is not.
pub(super) fn shrink(file: &mut Connection, policy: &Policy) -> rusqlite::Result<Option<i64>> {
    let mut until = None;
    let mut aim = policy.max_size;
    if bytes(file)? > aim {
        // Samples come again with the next statements.
        file.execute("DELETE FROM sample", [])?;
    }
    while bytes(file)? > aim {
        aim = policy.max_size / 100 * LEFT;
        let part = file.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Days are older than hours, and these than minutes.
        let span: Option<i64> = part.query_row("SELECT max(span) FROM bucket", [], |row| row.get(0))?;
        let Some(span) = span else { break };
        let (first, last): (i64, i64) = part.query_row(
            "SELECT min(start), max(start) FROM (SELECT start FROM bucket WHERE span = ?1 ORDER BY start LIMIT ?2)",
            (span, CHUNK as i64),
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        let oldest = if first < last { last - 1 } else { first };
        if first < last {
            part.execute("DELETE FROM bucket WHERE span = ?1 AND start < ?2", (span, last))?;
        } else {
            // It may be all that there is: what took longest stays.
            part.execute(
                "DELETE FROM bucket WHERE span = ?1 AND start = ?2 AND (origin, fingerprint) IN ( \
                 SELECT origin, fingerprint FROM bucket WHERE span = ?1 AND start = ?2 ORDER BY longest \
                 LIMIT (SELECT (count(*) + 1) / 2 FROM bucket WHERE span = ?1 AND start = ?2))",
                (span, first),
            )?;
        }
        forget(&part)?;
        part.commit()?;
        until = Some(oldest);
    }
    file.execute_batch("PRAGMA incremental_vacuum")?;
    Ok(until)
}
