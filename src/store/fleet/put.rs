//! A batch becomes rows: all of it, once.

use std::collections::{BTreeMap, HashMap};

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Transaction};

use super::super::file::Trouble;
use super::super::{Batch, SPANS};
use super::bulk::{self, Lines};
use super::{NAME, Value, bounds, first, long, samples, short};
use crate::stats::tally::Who;

/// Whose rows they are, and how they are told from those that were written before.
#[derive(Debug, Clone)]
pub(super) struct Me {
    /// The name of this pgweir.
    pub(super) instance: String,
    /// Of this process, at random.
    pub(super) process: i64,
}

/// Others may write too, but nobody folds or removes; and of one name, one after the other writes.
pub(super) const LOCKS: &str = "SELECT pg_catalog.pg_advisory_xact_lock_shared(1885828965, 2),
    pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended($1, 1885828965))";
/// No row: this batch, or a later one, is there already.
const ONCE: &str = "INSERT INTO pgweir_history.writer AS w VALUES ($1, $2, $3, $4)
    ON CONFLICT (instance, process) DO UPDATE SET batch = excluded.batch, at = excluded.at WHERE w.batch < excluded.batch";

/// Writes a batch; its number is greater than that of the one before, and the same when it is tried again.
pub(super) async fn batch(client: &mut Client, me: &Me, batch: &Batch, number: i64) -> Result<(), Trouble> {
    let part = client.transaction().await?;
    part.batch_execute(&bounds()).await?;
    part.query_typed(LOCKS, &[(&me.instance, Type::TEXT)]).await?;
    let own: [Value<'_>; 4] = [
        (&me.instance, Type::TEXT),
        (&me.process, Type::INT8),
        (&number, Type::INT8),
        (&batch.at, Type::INT8),
    ];
    if part.execute_typed(ONCE, &own).await? == 0 {
        return Ok(());
    }
    let origins = origins(&part, &me.instance, batch).await?;
    shapes(&part, batch).await?;
    let mut lines = Lines::new();
    for (who, fingerprint, _, counted) in batch.counted.lines() {
        if let Some(origin) = origins.get(&names(who)) {
            lines.entry((*origin, fingerprint)).or_default().merge(counted);
        }
    }
    if !lines.is_empty() {
        let minute = batch.at - batch.at.rem_euclid(SPANS[0]);
        bulk::add(&part, (SPANS[0], minute), lines).await?;
    }
    samples::put(&part, &me.instance, batch).await?;
    samples::put_callers(&part, &me.instance, batch).await?;
    missing(&part, &me.instance, batch).await?;
    Ok(part.commit().await?)
}

type Names = (String, String, String);

fn names(who: &Who) -> Names {
    (short(&who.database, NAME), short(&who.user, NAME), short(&who.application, NAME))
}

/// The numbers of those who have sent statements.
async fn origins(
    part: &Transaction<'_>,
    instance: &str,
    batch: &Batch,
) -> Result<HashMap<Names, i64>, Trouble> {
    let mut all: Vec<Names> = batch.counted.lines().map(|(who, ..)| names(who)).collect();
    all.sort_unstable();
    all.dedup();
    let column = |pick: fn(&Names) -> &String| all.iter().map(|one| pick(one).clone()).collect::<Vec<_>>();
    let columns = [column(|one| &one.0), column(|one| &one.1), column(|one| &one.2)];
    let [databases, users, applications] = &columns;
    let text = Type::TEXT_ARRAY;
    let values: [Value<'_>; 4] =
        [(&instance, Type::TEXT), (databases, text.clone()), (users, text.clone()), (applications, text)];
    // Only who is new is put in: each try would take a number.
    let new = r#"INSERT INTO pgweir_history.origin (instance, database, "user", application)
        SELECT $1, n.* FROM unnest($2, $3, $4) AS n (database, "user", application)
        WHERE NOT EXISTS (SELECT FROM pgweir_history.origin o WHERE (o.instance, o.database, o."user", o.application) = ($1, n.database, n."user",
            n.application))
        ON CONFLICT DO NOTHING"#;
    part.execute_typed(new, &values).await?;
    let known = r#"SELECT id, database, "user", application FROM pgweir_history.origin
        WHERE instance = $1 AND (database, "user", application) IN (SELECT * FROM unnest($2, $3, $4))"#;
    let rows = part.query_typed(known, &values).await?;
    Ok(rows.iter().map(|row| ((row.get(1), row.get(2), row.get(3)), row.get(0))).collect())
}

/// The texts of shapes that are not there, and their numbers. In the order of their names, for other pgweirs do the same at the same time.
async fn shapes(part: &Transaction<'_>, batch: &Batch) -> Result<(), Trouble> {
    let lines = batch.counted.lines().filter(|(_, fingerprint, ..)| *fingerprint != 0);
    let texts: BTreeMap<[u8; 16], &str> =
        lines.map(|(_, fingerprint, text, _)| (fingerprint.to_be_bytes(), &**text)).collect();
    let names: Vec<&[u8]> = texts.keys().map(|name| name.as_slice()).collect();
    let unknown = "SELECT u.name FROM unnest($1) AS u (name)
        WHERE NOT EXISTS (SELECT FROM pgweir_history.shape s WHERE s.fingerprint = u.name)";
    let mut new: Vec<Vec<u8>> = vec![];
    for row in part.query_typed(unknown, &[(&names, Type::BYTEA_ARRAY)]).await? {
        new.push(row.get(0));
    }
    if new.is_empty() {
        return Ok(());
    }
    new.sort_unstable();
    let text = |name: &Vec<u8>| {
        let name: Option<[u8; 16]> = name.as_slice().try_into().ok();
        let text = name.and_then(|name| texts.get(&name));
        text.map_or_else(String::new, |text| text.replace('\0', ""))
    };
    let texts: Vec<String> = new.iter().map(text).collect();
    let put = "INSERT INTO pgweir_history.shape SELECT u.name, u.text, $3 FROM unnest($1, $2) AS u (name, text) ON CONFLICT DO NOTHING";
    let values: [Value<'_>; 3] =
        [(&new, Type::BYTEA_ARRAY), (&texts, Type::TEXT_ARRAY), (&batch.at, Type::INT8)];
    part.execute_typed(put, &values).await?;
    // One that was there before has its number still.
    let number = "INSERT INTO pgweir_history.shape_number (fingerprint)
        SELECT u.name FROM unnest($1) WITH ORDINALITY AS u (name, place)
        WHERE NOT EXISTS (SELECT FROM pgweir_history.shape_number n WHERE n.fingerprint = u.name)
        ORDER BY u.place ON CONFLICT DO NOTHING";
    part.execute_typed(number, &[(&new, Type::BYTEA_ARRAY)]).await?;
    Ok(())
}

async fn missing(part: &Transaction<'_>, instance: &str, batch: &Batch) -> Result<(), Trouble> {
    if batch.missing == 0 {
        return Ok(());
    }
    let (hour, statements) = (batch.at - batch.at.rem_euclid(SPANS[1]), long(batch.missing));
    let put = "INSERT INTO pgweir_history.missing AS m VALUES ($1, $2, $3)
        ON CONFLICT (instance, start) DO UPDATE SET statements = m.statements + excluded.statements RETURNING 1";
    first(part, put, &[(&instance, Type::TEXT), (&hour, Type::INT8), (&statements, Type::INT8)]).await?;
    Ok(())
}
