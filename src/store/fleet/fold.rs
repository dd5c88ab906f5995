//! What becomes of rows as time goes by, as in the file. One pgweir of the fleet tends the rows of all; who finds another at it leaves it to that one.

use std::time::Instant;

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Transaction};

use super::super::file::Trouble;
use super::super::fold::AGES;
use super::super::{Policy, SPANS};
use super::bulk::{self, Lines, SUMS};
use super::{Value, WORK, ask, bounds, first, number};
use crate::slow::Merged;

/// One pgweir tends; nobody writes meanwhile.
const TENDS: &str = "SELECT pg_catalog.pg_try_advisory_xact_lock(1885828965, 3)";
const NOBODY_WRITES: &str = "SELECT pg_catalog.pg_advisory_xact_lock(1885828965, 2)";
/// How far back minutes are looked at that may have too many shapes: what waited in a line comes late.
const LATE: i64 = 600;
/// So many minutes, hours and days are put together at once.
const FOLDS: usize = 50;
/// So many rows go at once where there is too much, and so often.
const CHUNK: i64 = 5000;
const CHUNKS: usize = 100;
/// So much of what there may be is left when there was too much, in percent.
const LEFT: u64 = 90;
/// So many numbers of shapes that are not there any more are kept.
const NUMBERS: i64 = 100_000;
/// So many rows are read at once.
const ROWS: i32 = 5000;

/// A transaction in which nobody else writes; `None`: another pgweir tends.
async fn begin(client: &mut Client) -> Result<Option<Transaction<'_>>, Trouble> {
    let part = client.transaction().await?;
    part.batch_execute(&bounds()).await?;
    let mine = first(&part, TENDS, &[]).await?;
    if !mine.is_some_and(|row| row.get(0)) {
        return Ok(None);
    }
    part.query_typed(NOBODY_WRITES, &[]).await?;
    Ok(Some(part))
}

/// Brings minutes down to their size, makes hours of minutes and days of hours; with `hourly`, removes what is too old.
pub(super) async fn tend(
    client: &mut Client,
    now: i64,
    policy: &Policy,
    hourly: bool,
) -> Result<(), Trouble> {
    let until = Instant::now() + WORK;
    if hourly && !expire(client, now, policy).await? {
        return Ok(());
    }
    let minute = now - now.rem_euclid(SPANS[0]);
    for (start, instance) in too_many(client, minute, policy).await? {
        let place = (SPANS[0], start, start + SPANS[0]);
        if Instant::now() > until || !replace(client, &instance, place, (SPANS[0], start), policy).await? {
            return Ok(());
        }
    }
    for _ in 0..FOLDS {
        if Instant::now() > until || !fold(client, now, policy).await? {
            break;
        }
    }
    Ok(())
}

/// Minutes that have more shapes of one pgweir than may have rows of their own; those without are not counted.
async fn too_many(client: &mut Client, minute: i64, policy: &Policy) -> Result<Vec<(i64, String)>, Trouble> {
    let (span, from, most) = (SPANS[0] as i32, minute - LATE, policy.statements as i64);
    let sql = "SELECT b.start, o.instance FROM pgweir_history.bucket b JOIN pgweir_history.origin o ON o.id = b.origin
        WHERE b.span = $1 AND b.start >= $2 AND b.start < $3 AND b.fingerprint <> pg_catalog.decode(repeat('00', 16), 'hex')
        GROUP BY 1, 2 HAVING count(*) > $4 ORDER BY 1 LIMIT 50";
    let values: [Value<'_>; 4] =
        [(&span, Type::INT4), (&from, Type::INT8), (&minute, Type::INT8), (&most, Type::INT8)];
    let rows = ask(client, sql, &values).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// Makes an hour of old minutes, or a day of old hours, of one pgweir. False: there is nothing left to do, or another does it.
async fn fold(client: &mut Client, now: i64, policy: &Policy) -> Result<bool, Trouble> {
    for (at, age) in AGES.iter().enumerate() {
        let (small, large) = (SPANS[at], SPANS[at + 1]);
        let sql = "SELECT b.start, o.instance FROM pgweir_history.bucket b JOIN pgweir_history.origin o ON o.id = b.origin
            WHERE b.span = $1 ORDER BY b.start LIMIT 1";
        let rows = ask(client, sql, &[(&(small as i32), Type::INT4)]).await?;
        let Some((oldest, instance)) =
            rows.first().map(|row| (row.get::<_, i64>(0), row.get::<_, String>(1)))
        else {
            continue;
        };
        let start = oldest - oldest.rem_euclid(large);
        if start + large <= now - age {
            return replace(client, &instance, (small, start, start + large), (large, start), policy).await;
        }
    }
    Ok(false)
}

/// Puts the rows of one pgweir, of a span, that begin in a time together into others. False: another pgweir tends.
async fn replace(
    client: &mut Client,
    instance: &str,
    (span, from, to): (i64, i64, i64),
    (into, start): (i64, i64),
    policy: &Policy,
) -> Result<bool, Trouble> {
    let Some(part) = begin(client).await? else { return Ok(false) };
    const OWN: &str = "span = $1 AND start >= $2 AND start < $3 AND origin IN (SELECT id FROM pgweir_history.origin WHERE instance = $4)";
    let span = span as i32;
    let sql = format!("SELECT origin, fingerprint, {SUMS} FROM pgweir_history.bucket WHERE {OWN}");
    let read = part.prepare(&sql).await?;
    let read = part.bind(&read, &[&span, &from, &to, &instance]).await?;
    let mut merged: Merged<i64> = Merged::default();
    loop {
        let rows = part.query_portal(&read, ROWS).await?;
        for row in &rows {
            merged.add(row.get(0), number(row.get(1)), "".into(), bulk::sums(row, 2));
        }
        if merged.len() > policy.statements.saturating_mul(4) {
            merged.bound(policy.statements.saturating_mul(2));
        }
        if rows.len() < ROWS as usize {
            break;
        }
    }
    merged.bound(policy.statements);
    let values: [Value<'_>; 4] =
        [(&span, Type::INT4), (&from, Type::INT8), (&to, Type::INT8), (&instance, Type::TEXT)];
    part.execute_typed(&format!("DELETE FROM pgweir_history.bucket WHERE {OWN}"), &values).await?;
    let lines: Lines =
        merged.lines().map(|(origin, fingerprint, _, sums)| ((*origin, fingerprint), sums.clone())).collect();
    bulk::add(&part, (into, start), lines).await?;
    part.commit().await?;
    Ok(true)
}

/// Removes what is older than is to be kept. False: another pgweir tends.
async fn expire(client: &mut Client, now: i64, policy: &Policy) -> Result<bool, Trouble> {
    let before = now - i64::try_from(policy.keep.as_secs()).unwrap_or(i64::MAX);
    let Some(part) = begin(client).await? else { return Ok(false) };
    for span in SPANS {
        let (own, until) = (span as i32, before - span);
        let sql = "DELETE FROM pgweir_history.bucket WHERE span = $1 AND start <= $2";
        part.execute_typed(sql, &[(&own, Type::INT4), (&until, Type::INT8)]).await?;
    }
    let day = before - SPANS[2];
    for (sql, value) in [
        ("DELETE FROM pgweir_history.missing WHERE start <= $1", &before),
        ("DELETE FROM pgweir_history.writer WHERE at <= $1", &before),
        ("DELETE FROM pgweir_history.plan WHERE last_seen < $1", &before),
        ("DELETE FROM pgweir_history.mark WHERE at < $1", &before),
        ("DELETE FROM pgweir_history.seen_table WHERE seen < $1", &before),
        ("DELETE FROM pgweir_history.caller WHERE start <= $1", &day),
        (
            "DELETE FROM pgweir_history.shape_number n
             WHERE n.number <= (SELECT max(number) FROM pgweir_history.shape_number) - $1
                AND NOT EXISTS (SELECT FROM pgweir_history.shape s WHERE s.fingerprint = n.fingerprint)",
            &NUMBERS,
        ),
    ] {
        part.execute_typed(sql, &[(value, Type::INT8)]).await?;
    }
    forget(&part).await?;
    part.commit().await?;
    Ok(true)
}

/// Removes shapes and origins of which there are no counts any more.
async fn forget(part: &Transaction<'_>) -> Result<(), Trouble> {
    for table in ["shape", "sample", "caller", "plan"] {
        let sql = format!(
            "DELETE FROM pgweir_history.{table} t WHERE NOT EXISTS (SELECT FROM pgweir_history.bucket b WHERE b.fingerprint = t.fingerprint)"
        );
        part.execute_typed(&sql, &[]).await?;
    }
    let sql = "DELETE FROM pgweir_history.origin o WHERE NOT EXISTS (SELECT FROM pgweir_history.bucket b WHERE b.origin = o.id)";
    part.execute_typed(sql, &[]).await?;
    Ok(())
}

/// Bytes that the server has for the tables, with indexes and what was deleted.
const TAKEN: &str = "SELECT coalesce(sum(pg_catalog.pg_total_relation_size(c.oid)), 0)::bigint
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'pgweir_history' AND c.relkind = 'r'";
/// Bytes of the rows, and some for their places in indexes.
const USED: &str =
    "SELECT (coalesce((SELECT sum(pg_catalog.pg_column_size(t) + 100) FROM pgweir_history.bucket t), 0)
    + coalesce((SELECT sum(pg_catalog.pg_column_size(t) + 100) FROM pgweir_history.shape t), 0)
    + coalesce((SELECT sum(pg_catalog.pg_column_size(t) + 100) FROM pgweir_history.sample t), 0)
    + coalesce((SELECT sum(pg_catalog.pg_column_size(t) + 100) FROM pgweir_history.plan t), 0)
    + coalesce((SELECT sum(pg_catalog.pg_column_size(t) + 100) FROM pgweir_history.mark t), 0)
    + coalesce((SELECT sum(pg_catalog.pg_column_size(t) + 100) FROM pgweir_history.seen_table t), 0)
    + coalesce((SELECT sum(pg_catalog.pg_column_size(t) + 100) FROM pgweir_history.caller t), 0))::bigint";

/// Bytes that are in use: those that the server has for the tables while they are few enough; else those of the rows, for the server
/// gives back little of what was deleted.
pub(super) async fn bytes(client: &mut Client, policy: &Policy) -> Result<u64, Trouble> {
    let number =
        |rows: Vec<tokio_postgres::Row>| rows.first().map_or(0, |row| row.get::<_, i64>(0).max(0) as u64);
    let taken = number(ask(client, TAKEN, &[]).await?);
    if taken <= policy.max_size {
        return Ok(taken);
    }
    Ok(number(ask(client, USED, &[]).await?))
}

/// Removes the oldest counts where there is more than there may be; gives what is in use then, and when the last of them began.
pub(super) async fn shrink(client: &mut Client, policy: &Policy) -> Result<(u64, Option<i64>), Trouble> {
    let mut used = bytes(client, policy).await?;
    let mut gone = None;
    if used <= policy.max_size {
        return Ok((used, gone));
    }
    let stop = Instant::now() + WORK;
    {
        let Some(part) = begin(client).await? else { return Ok((used, gone)) };
        // Samples come again with the next statements.
        part.execute_typed("DELETE FROM pgweir_history.sample", &[]).await?;
        part.commit().await?;
    }
    used = bytes(client, policy).await?;
    for _ in 0..CHUNKS {
        if used <= policy.max_size / 100 * LEFT || Instant::now() > stop {
            break;
        }
        let Some(part) = begin(client).await? else { break };
        let Some((bytes, oldest)) = remove_oldest(&part).await? else { break };
        forget(&part).await?;
        part.commit().await?;
        used = used.saturating_sub(bytes);
        gone = Some(oldest);
    }
    Ok((bytes(client, policy).await?, gone))
}

/// Removes some of the oldest counts: days are older than hours, and these than minutes. Gives their bytes, and when the last of them began.
async fn remove_oldest(part: &Transaction<'_>) -> Result<Option<(u64, i64)>, Trouble> {
    let span = first(part, "SELECT max(span) FROM pgweir_history.bucket", &[]).await?;
    let Some(span) = span.and_then(|row| row.get::<_, Option<i32>>(0)) else { return Ok(None) };
    let ends = "SELECT min(start), max(start) FROM (SELECT start FROM pgweir_history.bucket WHERE span = $1 ORDER BY start LIMIT $2) AS b";
    let ends = first(part, ends, &[(&span, Type::INT4), (&CHUNK, Type::INT8)]).await?;
    let Some((oldest, last)) = ends.map(|row| (row.get::<_, i64>(0), row.get::<_, i64>(1))) else {
        return Ok(None);
    };
    // One minute may be all that there is: then what took longest stays.
    let (which, until) = match oldest < last {
        true => ("start < $2", last),
        false => (
            "start = $2 AND (origin, fingerprint) IN (SELECT origin, fingerprint FROM pgweir_history.bucket
                WHERE span = $1 AND start = $2 ORDER BY longest
                LIMIT (SELECT (count(*) + 1) / 2 FROM pgweir_history.bucket WHERE span = $1 AND start = $2))",
            last,
        ),
    };
    let sql = format!(
        "WITH gone AS (DELETE FROM pgweir_history.bucket b WHERE span = $1 AND {which} RETURNING pg_catalog.pg_column_size(b) + 100 AS bytes)
         SELECT coalesce(sum(bytes), 0)::bigint FROM gone"
    );
    let gone = first(part, &sql, &[(&span, Type::INT4), (&until, Type::INT8)]).await?;
    let bytes = gone.map_or(0, |row| row.get::<_, i64>(0).max(0) as u64);
    Ok(Some((bytes, if oldest < last { last - 1 } else { last })))
}
