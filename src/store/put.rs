//! Rows: counts are added to what is in the file.

use rusqlite::{OptionalExtension as _, Row, Transaction, named_params};

use super::encode::{errors, habits, numbers, read_errors, read_habits, read_numbers, read_steps, steps};
use super::{Batch, SPANS, samples};
use crate::stats::tally::{Sums, Who};

/// The columns of [`sums`].
pub(super) const SUMS: &str =
    "calls, timed, row_count, bytes, served, micros, longest, errors, steps, habits";

/// Sums, from a row that begins with [`SUMS`] at a column.
pub(super) fn sums(row: &Row<'_>, at: usize) -> rusqlite::Result<Sums> {
    let number = |column: usize| row.get::<_, i64>(at + column).map(|number| number.max(0) as u64);
    let text = |column: usize| row.get::<_, String>(at + column);
    let mut sums = Sums {
        calls: number(0)?,
        timed: number(1)?,
        rows: number(2)?,
        bytes: number(3)?,
        served: read_numbers(&text(4)?),
        micros: read_numbers(&text(5)?),
        longest: number(6)?,
        errors: vec![],
        times: read_steps(&row.get::<_, Vec<u8>>(at + 8)?),
        habits: read_habits(&text(9)?),
    };
    read_errors(&text(7)?, &mut sums);
    Ok(sums)
}

/// Adds what was counted to its minute; `samples`: with statements and their values.
pub(super) fn batch(
    file: &Transaction<'_>,
    instance: &str,
    batch: &Batch,
    samples: bool,
) -> rusqlite::Result<()> {
    let minute = batch.at - batch.at.rem_euclid(SPANS[0]);
    for (who, fingerprint, text, counted) in batch.counted.lines() {
        let origin = origin(file, instance, who)?;
        let fingerprint = fingerprint.to_be_bytes();
        add(file, (SPANS[0], minute, origin, &fingerprint), counted)?;
        if fingerprint != [0; 16] {
            file.prepare_cached(
                "INSERT INTO shape VALUES (?1, ?2, ?3, ?3)
                 ON CONFLICT (fingerprint) DO UPDATE SET last_seen = max(last_seen, excluded.last_seen)",
            )?
            .execute((fingerprint, &**text, batch.at))?;
        }
    }
    if samples {
        samples::put(file, batch.at, &batch.samples)?;
    }
    samples::put_callers(file, batch.at, &batch.callers)?;
    if batch.missing > 0 {
        file.execute(
            "INSERT INTO missing VALUES (?1, ?2, ?3)
             ON CONFLICT (instance, start) DO UPDATE SET statements = statements + excluded.statements",
            (instance, batch.at - batch.at.rem_euclid(SPANS[1]), batch.missing as i64),
        )?;
    }
    Ok(())
}

fn origin(file: &Transaction<'_>, instance: &str, who: &Who) -> rusqlite::Result<i64> {
    let names = (instance, &who.database, &who.user, &who.application);
    let known = file
        .prepare_cached(
            "SELECT id FROM origin WHERE (instance, database, user, application) = (?1, ?2, ?3, ?4)",
        )?
        .query_row(names, |row| row.get(0))
        .optional()?;
    if let Some(id) = known {
        return Ok(id);
    }
    file.execute(
        "INSERT INTO origin (instance, database, user, application) VALUES (?1, ?2, ?3, ?4)",
        names,
    )?;
    Ok(file.last_insert_rowid())
}

/// Which row: span, start, origin, fingerprint.
pub(super) type Place<'a> = (i64, i64, i64, &'a [u8]);

/// Adds sums to a row.
pub(super) fn add(file: &Transaction<'_>, place: Place<'_>, more: &Sums) -> rusqlite::Result<()> {
    let read =
        format!("SELECT {SUMS} FROM bucket WHERE (span, start, origin, fingerprint) = (?1, ?2, ?3, ?4)");
    let known = file.prepare_cached(&read)?.query_row(place, |row| sums(row, 0)).optional()?;
    let mut all = known.unwrap_or_default();
    all.merge(more);
    let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let (span, start, origin, fingerprint) = place;
    file.prepare_cached(&format!(
        "INSERT OR REPLACE INTO bucket (span, start, origin, fingerprint, {SUMS}) VALUES (:span, :start, :origin,
         :fingerprint, :calls, :timed, :rows, :bytes, :served, :micros, :longest, :errors, :steps, :habits)"
    ))?
    .execute(named_params! {
        ":span": span, ":start": start, ":origin": origin, ":fingerprint": fingerprint,
        ":calls": number(all.calls), ":timed": number(all.timed), ":rows": number(all.rows), ":bytes": number(all.bytes),
        ":served": numbers(&all.served), ":micros": numbers(&all.micros), ":longest": number(all.longest),
        ":errors": errors(&all.errors), ":steps": steps(&all.times), ":habits": habits(&all.habits),
    })?;
    Ok(())
}
