//! Numbers that stay, of shapes and of fixes, for the whole fleet.

use std::collections::HashMap;

use tokio_postgres::Transaction;
use tokio_postgres::types::Type;

use super::super::file::Trouble;
use super::super::numbers::FIXES;
use super::{Fleet, Value, bounds, first, number, work};

/// The numbers of all shapes, by fingerprint.
pub(super) async fn of_shapes(part: &Transaction<'_>) -> Result<HashMap<u128, u64>, Trouble> {
    let sql = "SELECT fingerprint, number FROM pgweir_history.shape_number JOIN pgweir_history.shape USING (fingerprint)";
    let rows = part.query_typed(sql, &[]).await?;
    Ok(rows.iter().map(|row| (number(row.get(0)), row.get::<_, i64>(1).max(0) as u64)).collect())
}

/// As [`super::super::numbers::of_fixes`].
pub(in super::super) fn of_fixes(fleet: &Fleet, keys: &[u128], now: i64) -> Result<Vec<u64>, Trouble> {
    work(fleet, "numbering fixes", async |client| {
        let part = client.transaction().await?;
        part.batch_execute(&bounds()).await?;
        // One report after the other: a number is given once.
        part.query_typed("SELECT pg_catalog.pg_advisory_xact_lock(1885828965, 4)", &[]).await?;
        let mut numbers = vec![];
        for key in keys {
            numbers.push(of_fix(&part, key.to_be_bytes().to_vec(), now).await?);
        }
        let old = "DELETE FROM pgweir_history.fix_number WHERE last_proposed < $2 AND last_proposed <=
            (SELECT last_proposed FROM pgweir_history.fix_number ORDER BY last_proposed DESC LIMIT 1 OFFSET $1)";
        part.execute_typed(old, &[(&FIXES, Type::INT8), (&now, Type::INT8)]).await?;
        part.commit().await?;
        Ok(numbers)
    })
}

async fn of_fix(part: &Transaction<'_>, key: Vec<u8>, now: i64) -> Result<u64, Trouble> {
    let values: [Value<'_>; 2] = [(&key, Type::BYTEA), (&now, Type::INT8)];
    let known = "UPDATE pgweir_history.fix_number SET last_proposed = greatest(last_proposed, $2) WHERE key = $1 RETURNING number";
    let new = "INSERT INTO pgweir_history.fix_number (key, first_proposed, last_proposed) VALUES ($1, $2, $2) RETURNING number";
    let row = match first(part, known, &values).await? {
        Some(row) => Some(row),
        None => first(part, new, &values).await?,
    };
    Ok(row.map_or(0, |row| row.get::<_, i64>(0).max(0) as u64))
}
