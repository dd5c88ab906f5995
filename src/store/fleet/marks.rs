//! Marks of pictures, as in the file; each with the pgweir that was told, or has noticed.

use std::collections::{BTreeMap, HashMap};

use tokio_postgres::Transaction;
use tokio_postgres::types::Type;

use super::super::file::Trouble;
use super::super::marks::{self, Before, GIVEN, MOST, Mark, SeenTable};
use super::{Fleet, NAME, Value, bounds, put, short, work};

/// As [`super::super::Place::mark`].
pub(in super::super) fn put(fleet: &Fleet, mark: &Mark) -> Result<(), Trouble> {
    work(fleet, "writing a mark", async |client| {
        let part = client.transaction().await?;
        part.batch_execute(&bounds()).await?;
        let instance = short(&mark.instance, NAME);
        part.query_typed(put::LOCKS, &[(&instance, Type::TEXT)]).await?;
        insert(&part, std::slice::from_ref(mark)).await?;
        Ok(part.commit().await?)
    })
}

const INSERT: &str = "INSERT INTO pgweir_history.mark (at, since, kind, instance, database, text)
    SELECT * FROM unnest($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING";
/// The oldest go where there are too many.
const BOUND: &str = "DELETE FROM pgweir_history.mark WHERE at <= (SELECT at FROM pgweir_history.mark ORDER BY at DESC LIMIT 1 OFFSET $1)";

async fn insert(part: &Transaction<'_>, marks: &[Mark]) -> Result<(), Trouble> {
    let moments = |moment: fn(&Mark) -> i64| marks.iter().map(moment).collect::<Vec<i64>>();
    let texts = |text: fn(&Mark) -> String| marks.iter().map(text).collect::<Vec<String>>();
    let (at, since) = (moments(|mark| mark.at), moments(|mark| mark.since));
    let kinds = texts(|mark| mark.kind.code().to_owned());
    let instances = texts(|mark| short(&mark.instance, NAME));
    let databases = texts(|mark| short(&mark.database, NAME));
    let words = texts(|mark| short(&mark.text, NAME));
    let values: [Value<'_>; 6] = [
        (&at, Type::INT8_ARRAY),
        (&since, Type::INT8_ARRAY),
        (&kinds, Type::TEXT_ARRAY),
        (&instances, Type::TEXT_ARRAY),
        (&databases, Type::TEXT_ARRAY),
        (&words, Type::TEXT_ARRAY),
    ];
    part.execute_typed(INSERT, &values).await?;
    part.execute_typed(BOUND, &[(&MOST, Type::INT8)]).await?;
    Ok(())
}

/// As [`super::super::Place::note_indexes`].
pub(in super::super) fn note(
    fleet: &Fleet,
    (database, instance): (&str, &str),
    tables: &[SeenTable],
    now: i64,
) -> Result<(), Trouble> {
    work(fleet, "remembering indexes", async |client| {
        let (database, instance) = (short(database, NAME), short(instance, NAME));
        let part = client.transaction().await?;
        part.batch_execute(&bounds()).await?;
        part.query_typed(put::LOCKS, &[(&instance, Type::TEXT)]).await?;
        let before = seen(&part, (&database, &instance)).await?;
        let marks = marks::changes(&before, tables, (&database, &instance), now);
        if !marks.is_empty() {
            insert(&part, &marks).await?;
        }
        remember(&part, (&database, &instance), tables, now).await?;
        Ok(part.commit().await?)
    })
}

async fn seen(
    part: &Transaction<'_>,
    (database, instance): (&str, &str),
) -> Result<HashMap<String, Before>, Trouble> {
    let sql = "SELECT name, oid, indexes, seen FROM pgweir_history.seen_table WHERE instance = $1 AND database = $2";
    let rows = part.query_typed(sql, &[(&instance, Type::TEXT), (&database, Type::TEXT)]).await?;
    let before = |row: &tokio_postgres::Row| {
        let oid = u32::try_from(row.get::<_, i64>(1)).unwrap_or_default();
        let before = Before { oid, indexes: marks::indexes_of(row.get(2)), seen: row.get(3) };
        (row.get(0), before)
    };
    Ok(rows.iter().map(before).collect())
}

const REMEMBER: &str = "INSERT INTO pgweir_history.seen_table (instance, database, name, oid, indexes, seen)
    SELECT $1, $2, n.*, $6 FROM unnest($3, $4, $5) AS n (name, oid, indexes)
    ON CONFLICT (instance, database, name) DO UPDATE SET oid = excluded.oid, indexes = excluded.indexes, seen = excluded.seen";

async fn remember(
    part: &Transaction<'_>,
    (database, instance): (&str, &str),
    tables: &[SeenTable],
    now: i64,
) -> Result<(), Trouble> {
    // A row can be put in once by one statement.
    let once: BTreeMap<&str, &SeenTable> = tables.iter().map(|one| (one.name.as_str(), one)).collect();
    let names: Vec<&str> = once.keys().copied().collect();
    let oids: Vec<i64> = once.values().map(|one| i64::from(one.oid)).collect();
    let indexes: Vec<String> = once.values().map(|one| marks::text_of(&one.indexes)).collect();
    let values: [Value<'_>; 6] = [
        (&instance, Type::TEXT),
        (&database, Type::TEXT),
        (&names, Type::TEXT_ARRAY),
        (&oids, Type::INT8_ARRAY),
        (&indexes, Type::TEXT_ARRAY),
        (&now, Type::INT8),
    ];
    part.execute_typed(REMEMBER, &values).await?;
    Ok(())
}

/// Marks of a time, by all pgweirs or by one and those that are of all.
pub(super) async fn between(
    part: &Transaction<'_>,
    (since, until): (i64, i64),
    instance: Option<&str>,
) -> Result<Vec<Mark>, Trouble> {
    let sql = "SELECT at, since, kind, instance, database, text FROM pgweir_history.mark
        WHERE at >= $1 AND at <= $2 AND ($3 IS NULL OR instance IN ($3, '')) ORDER BY at DESC LIMIT $4";
    let values: [Value<'_>; 4] =
        [(&since, Type::INT8), (&until, Type::INT8), (&instance, Type::TEXT), (&GIVEN, Type::INT8)];
    let rows = part.query_typed(sql, &values).await?;
    let mark = |row: &tokio_postgres::Row| {
        Mark::kept((row.get(0), row.get(1)), row.get(2), [row.get(3), row.get(4), row.get(5)])
    };
    Ok(marks::in_order(rows.iter().filter_map(mark).collect()))
}
