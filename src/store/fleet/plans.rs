//! Plans that were seen when a database was asked for advice, as in the file; each by whom they were seen for.

use std::collections::{BTreeMap, HashMap};

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Transaction};

use super::super::file::Trouble;
use super::super::plans::MOST;
use super::{Fleet, NAME, Value, bounds, number, put, short, work};
use crate::advice::form::Planned;
use crate::advice::turn::KnownPlan;

/// As [`super::super::Place::note_plans`].
pub(in super::super) fn note(
    fleet: &Fleet,
    (database, instance): (&str, Option<&str>),
    seen: &[Planned],
    now: i64,
) -> Result<(), Trouble> {
    if seen.is_empty() {
        return Ok(());
    }
    // Who asks for all is none of them.
    let instance = short(instance.unwrap_or_default(), NAME);
    work(fleet, "remembering plans", async |client| {
        put(client, (&instance, &short(database, NAME)), seen, now).await
    })
}

const PUT: &str = "INSERT INTO pgweir_history.plan AS p (instance, database, fingerprint, hash, form, table_rows, first_seen, last_seen)
    SELECT $1, $2, n.*, $7, $7 FROM unnest($3, $4, $5, $6) AS n (fingerprint, hash, form, table_rows)
    ON CONFLICT (instance, database, fingerprint, hash) DO UPDATE
    SET last_seen = greatest(p.last_seen, excluded.last_seen), table_rows = excluded.table_rows";
/// Those that were seen longest ago go, where there are too many of a shape.
const BOUND: &str = "DELETE FROM pgweir_history.plan p USING (
        SELECT fingerprint, hash, row_number() OVER (PARTITION BY fingerprint ORDER BY last_seen DESC, hash) AS place
        FROM pgweir_history.plan WHERE instance = $1 AND database = $2 AND fingerprint = ANY ($3)
    ) AS o WHERE p.instance = $1 AND p.database = $2 AND p.fingerprint = o.fingerprint AND p.hash = o.hash AND o.place > $4";

async fn put(
    client: &mut Client,
    (instance, database): (&str, &str),
    seen: &[Planned],
    now: i64,
) -> Result<(), Trouble> {
    // A row can be put in once by one statement.
    let once: BTreeMap<([u8; 16], i64), &Planned> =
        seen.iter().map(|one| ((one.fingerprint.to_be_bytes(), one.hash as i64), one)).collect();
    let names: Vec<&[u8]> = once.keys().map(|(name, _)| name.as_slice()).collect();
    let hashes: Vec<i64> = once.keys().map(|(_, hash)| *hash).collect();
    let forms: Vec<String> = once.values().map(|one| one.form.replace('\0', "")).collect();
    let rows: Vec<i64> = once.values().map(|one| one.rows as i64).collect();
    let part = client.transaction().await?;
    part.batch_execute(&bounds()).await?;
    part.query_typed(put::LOCKS, &[(&instance, Type::TEXT)]).await?;
    let values: [Value<'_>; 7] = [
        (&instance, Type::TEXT),
        (&database, Type::TEXT),
        (&names, Type::BYTEA_ARRAY),
        (&hashes, Type::INT8_ARRAY),
        (&forms, Type::TEXT_ARRAY),
        (&rows, Type::INT8_ARRAY),
        (&now, Type::INT8),
    ];
    part.execute_typed(PUT, &values).await?;
    let values: [Value<'_>; 4] =
        [(&instance, Type::TEXT), (&database, Type::TEXT), (&names, Type::BYTEA_ARRAY), (&MOST, Type::INT8)];
    part.execute_typed(BOUND, &values).await?;
    Ok(part.commit().await?)
}

/// One plan that several have seen is one. What was seen for all is seen for each, too.
const KNOWN: &str = "SELECT fingerprint, hash, min(form), (array_agg(table_rows ORDER BY last_seen DESC))[1], min(first_seen), max(last_seen)
    FROM pgweir_history.plan WHERE database = coalesce($1, database) AND ($2 IS NULL OR instance IN ($2, ''))
    GROUP BY database, fingerprint, hash ORDER BY fingerprint, 5, hash";

/// Plans that were seen, by shape; of one database or of all, for one pgweir or for all.
pub(super) async fn known(
    part: &Transaction<'_>,
    database: Option<&str>,
    instance: Option<&str>,
) -> Result<HashMap<u128, Vec<KnownPlan>>, Trouble> {
    let values: [Value<'_>; 2] = [(&database, Type::TEXT), (&instance, Type::TEXT)];
    let mut plans: HashMap<u128, Vec<KnownPlan>> = HashMap::new();
    for row in part.query_typed(KNOWN, &values).await? {
        let planned = Planned {
            fingerprint: number(row.get(0)),
            hash: row.get::<_, i64>(1) as u64,
            form: row.get(2),
            rows: row.get::<_, i64>(3).max(0) as f64,
        };
        let seen = (row.get(4), row.get(5));
        plans.entry(planned.fingerprint).or_default().push(KnownPlan { planned, seen });
    }
    Ok(plans)
}
