//! Statements with their values, and callers, of one pgweir.

use aws_lc_rs::hmac;
use tokio_postgres::Transaction;
use tokio_postgres::types::Type;

use super::super::file::Trouble;
use super::super::samples::values_as_written;
use super::super::{Batch, SPANS};
use super::{NAME, Value, first, long, short};
use crate::slow::{SAMPLES, Shown};

/// The longest caller.
const CALLER: usize = 1000;

/// Puts in samples in the place of those of their shapes that this pgweir had there.
pub(super) async fn put(part: &Transaction<'_>, instance: &str, batch: &Batch) -> Result<(), Trouble> {
    if batch.samples.is_empty() {
        return Ok(());
    }
    let key = first(part, "SELECT key FROM pgweir_history.secret", &[]).await?;
    let key: Vec<u8> = key.map_or_else(Vec::new, |row| row.get(0));
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    let (mut rows, mut databases, mut names) = (Rows::default(), vec![], vec![]);
    for one in &batch.samples {
        let (database, name) = (short(&one.database, NAME), one.fingerprint.to_be_bytes().to_vec());
        for (number, shown) in one.shown.iter().take(SAMPLES).enumerate() {
            rows.push((&database, &name, number), shown, &key);
        }
        databases.push(database);
        names.push(name);
    }
    let (text, blob) = (Type::TEXT_ARRAY, Type::BYTEA_ARRAY);
    let gone = "DELETE FROM pgweir_history.sample WHERE instance = $1 AND (database, fingerprint) IN (SELECT * FROM unnest($2, $3))";
    let values: [Value<'_>; 3] = [(&instance, Type::TEXT), (&databases, text), (&names, blob)];
    part.execute_typed(gone, &values).await?;
    rows.put(part, instance, batch.at).await
}

/// Columns of samples.
#[derive(Default)]
struct Rows {
    databases: Vec<String>,
    names: Vec<Vec<u8>>,
    numbers: Vec<i32>,
    origins: Vec<String>,
    texts: Vec<String>,
    values: Vec<String>,
    micros: Vec<i64>,
    calls: Vec<i64>,
}

impl Rows {
    fn push(&mut self, (database, name, number): (&str, &[u8], usize), shown: &Shown, key: &hmac::Key) {
        self.databases.push(database.to_owned());
        self.names.push(name.to_vec());
        self.numbers.push(number as i32);
        self.origins.push(shown.origin.name().to_owned());
        self.texts.push(shown.text.replace('\0', ""));
        self.values.push(values_as_written(shown, key));
        self.micros.push(long(shown.micros));
        self.calls.push(long(shown.calls));
    }

    async fn put(&self, part: &Transaction<'_>, instance: &str, at: i64) -> Result<(), Trouble> {
        // One database may be there twice, once its long name is cut.
        let put = "INSERT INTO pgweir_history.sample
            SELECT $1, n.*, $2 FROM unnest($3, $4, $5, $6, $7, $8, $9, $10) AS n ON CONFLICT DO NOTHING";
        let text = Type::TEXT_ARRAY;
        let values: [Value<'_>; 10] = [
            (&instance, Type::TEXT),
            (&at, Type::INT8),
            (&self.databases, text.clone()),
            (&self.names, Type::BYTEA_ARRAY),
            (&self.numbers, Type::INT4_ARRAY),
            (&self.origins, text.clone()),
            (&self.texts, text.clone()),
            (&self.values, text),
            (&self.micros, Type::INT8_ARRAY),
            (&self.calls, Type::INT8_ARRAY),
        ];
        part.execute_typed(put, &values).await?;
        Ok(())
    }
}

/// Adds to how often callers have sent statements.
pub(super) async fn put_callers(
    part: &Transaction<'_>,
    instance: &str,
    batch: &Batch,
) -> Result<(), Trouble> {
    if batch.callers.is_empty() {
        return Ok(());
    }
    let day = batch.at - batch.at.rem_euclid(SPANS[2]);
    let (mut databases, mut names, mut callers, mut counts) = (vec![], vec![], vec![], vec![]);
    for (database, fingerprint, caller, calls) in &batch.callers {
        databases.push(short(database, NAME));
        names.push(fingerprint.to_be_bytes().to_vec());
        callers.push(short(caller, CALLER));
        counts.push(long(*calls));
    }
    let put = "INSERT INTO pgweir_history.caller AS c
        SELECT $2, $1, n.database, n.name, n.caller, sum(n.calls)::bigint
        FROM unnest($3, $4, $5, $6) AS n (database, name, caller, calls) GROUP BY 3, 4, 5
        ON CONFLICT (start, instance, database, fingerprint, caller) DO UPDATE SET calls = c.calls + excluded.calls";
    let text = Type::TEXT_ARRAY;
    let values: [Value<'_>; 6] = [
        (&instance, Type::TEXT),
        (&day, Type::INT8),
        (&databases, text.clone()),
        (&names, Type::BYTEA_ARRAY),
        (&callers, text),
        (&counts, Type::INT8_ARRAY),
    ];
    part.execute_typed(put, &values).await?;
    Ok(())
}
