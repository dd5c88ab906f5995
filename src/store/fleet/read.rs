//! What the history of a fleet tells, for reports: of all its pgweirs, or of one.

use std::collections::HashMap;
use std::sync::Arc;

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Transaction};

use super::super::file::Trouble;
use super::super::read::{Counted, History};
use super::super::samples::Stored;
use super::bulk::{self, SUMS};
use super::{Fleet, REPORT, Value, marks, number, numbers, runtime, trouble};
use crate::slow::{SAMPLES, Series};
use crate::stats::tally::Who;

/// So many rows are read at once.
pub(super) const ROWS: i32 = 5000;

/// Does what a report asks for.
pub(super) fn asked<T>(
    fleet: &Fleet,
    ask: impl AsyncFnOnce(&mut Client) -> Result<T, Trouble>,
) -> Result<T, Trouble> {
    let asking = async {
        let mut client = fleet.open_as_it_is(false).await?;
        ask(&mut client).await
    };
    let limited = async {
        let answer = tokio::time::timeout(REPORT, asking).await;
        answer.unwrap_or_else(|_| Err(trouble::late("reading it")))
    };
    runtime()?.block_on(limited)
}

/// As [`super::super::read::between`].
pub(in super::super) fn between(
    fleet: &Fleet,
    window: (i64, i64),
    parts: usize,
    instance: Option<&str>,
) -> Result<History, Trouble> {
    asked(fleet, async |client| {
        // At one point in time.
        let part = client
            .build_transaction()
            .isolation_level(tokio_postgres::IsolationLevel::RepeatableRead)
            .read_only(true)
            .start()
            .await?;
        let mut history = known(&part, window, instance).await?;
        if parts > 0 {
            history.series = Series::new(window.0, window.1, parts);
        }
        counted(&part, window, instance, &mut history).await?;
        history.instances.sort();
        Ok(history)
    })
}

/// What there is beside counts.
async fn known(
    part: &Transaction<'_>,
    (since, until): (i64, i64),
    instance: Option<&str>,
) -> Result<History, Trouble> {
    let begins = part.query_typed("SELECT min(start) FROM pgweir_history.bucket", &[]).await?;
    let missing = "SELECT coalesce(sum(statements), 0)::bigint FROM pgweir_history.missing
        WHERE start + 3600 > $1 AND start < $2 AND instance = coalesce($3, instance)";
    let values: [Value<'_>; 3] = [(&since, Type::INT8), (&until, Type::INT8), (&instance, Type::TEXT)];
    let missing = part.query_typed(missing, &values).await?;
    Ok(History {
        begins: begins.first().and_then(|row| row.get(0)),
        missing: missing.first().map_or(0, |row| row.get::<_, i64>(0).max(0) as u64),
        numbers: numbers::of_shapes(part).await?,
        marks: marks::between(part, (since, until), instance).await?,
        ..History::default()
    })
}

async fn counted(
    part: &Transaction<'_>,
    (since, until): (i64, i64),
    instance: Option<&str>,
    history: &mut History,
) -> Result<(), Trouble> {
    let mut texts: HashMap<u128, Arc<str>> = HashMap::new();
    let sql = format!(
        r#"SELECT b.start, b.span::bigint, o.instance, o.database, o."user", o.application, b.fingerprint, s.text, {SUMS}
           FROM pgweir_history.bucket b JOIN pgweir_history.origin o ON o.id = b.origin
           LEFT JOIN pgweir_history.shape s ON s.fingerprint = b.fingerprint
           WHERE b.start + b.span > $1 AND b.start < $2 AND o.instance = coalesce($3, o.instance)"#
    );
    let read = part.prepare_typed(&sql, &[Type::INT8, Type::INT8, Type::TEXT]).await?;
    let read = part.bind(&read, &[&since, &until, &instance]).await?;
    loop {
        let rows = part.query_portal(&read, ROWS).await?;
        for row in &rows {
            let fingerprint = number(row.get(6));
            let text = || row.get::<_, Option<&str>>(7).unwrap_or_default().into();
            let text = texts.entry(fingerprint).or_insert_with(text).clone();
            let who = Who { database: row.get(3), user: row.get(4), application: row.get(5) };
            let (start, span) = (row.get(0), row.get(1));
            history.take(Counted {
                start,
                span,
                instance: row.get(2),
                who,
                fingerprint,
                text,
                sums: bulk::sums(row, 8),
            });
        }
        if rows.len() < ROWS as usize {
            return Ok(());
        }
    }
}

/// As [`super::super::read::samples`]: of each shape those that were seen last, by whichever pgweir.
pub(in super::super) fn samples(
    fleet: &Fleet,
    database: Option<&str>,
    instance: Option<&str>,
) -> Result<Vec<Stored>, Trouble> {
    asked(fleet, async |client| {
        let sql = "SELECT database, fingerprint, origin, text, vals, micros, calls FROM (
                SELECT *, row_number() OVER (PARTITION BY database, fingerprint ORDER BY seen DESC, instance, number) AS place
                FROM pgweir_history.sample WHERE database = coalesce($1, database) AND instance = coalesce($2, instance)
            ) AS s WHERE place <= $3 ORDER BY database, fingerprint, place";
        let most = SAMPLES as i64;
        let values: [Value<'_>; 3] = [(&database, Type::TEXT), (&instance, Type::TEXT), (&most, Type::INT8)];
        let rows = client.query_typed(sql, &values).await?;
        let stored = |row: &tokio_postgres::Row| {
            let stored = Stored {
                database: row.get(0),
                fingerprint: number(row.get(1)),
                origin: row.get(2),
                text: row.get(3),
                micros: row.get::<_, i64>(5).max(0) as u64,
                calls: row.get::<_, i64>(6).max(0) as u64,
                values: vec![],
                types: vec![],
            };
            stored.with_values(row.get(4))
        };
        Ok(rows.iter().map(stored).collect())
    })
}

/// As [`super::super::read::callers`].
pub(in super::super) fn callers(
    fleet: &Fleet,
    since: i64,
    database: Option<&str>,
    instance: Option<&str>,
) -> Result<Vec<(u128, String, u64)>, Trouble> {
    asked(fleet, async |client| {
        let sql = "SELECT fingerprint, caller, sum(calls)::bigint FROM pgweir_history.caller
            WHERE start + 86400 > $1 AND database = coalesce($2, database) AND instance = coalesce($3, instance)
            GROUP BY 1, 2 ORDER BY 1, 3 DESC, 2";
        let values: [Value<'_>; 3] = [(&since, Type::INT8), (&database, Type::TEXT), (&instance, Type::TEXT)];
        let rows = client.query_typed(sql, &values).await?;
        Ok(rows
            .iter()
            .map(|row| (number(row.get(0)), row.get(1), row.get::<_, i64>(2).max(0) as u64))
            .collect())
    })
}
