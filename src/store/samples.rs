//! Statements with their values: values that may not be in clear are there as hashes.

use aws_lc_rs::hmac;
use rusqlite::{Row, Transaction};
use serde_json::{Value, json};

use super::{KeptSample, SPANS};
use crate::slow::{SAMPLES, Shown, Shows};

/// Puts in samples in the place of those of their shapes that are there.
pub(super) fn put(file: &Transaction<'_>, at: i64, samples: &[KeptSample]) -> rusqlite::Result<()> {
    if samples.is_empty() {
        return Ok(());
    }
    let key: Vec<u8> = file.query_row("SELECT key FROM secret", [], |row| row.get(0))?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    for KeptSample { database, fingerprint, shown } in samples {
        let name = fingerprint.to_be_bytes();
        file.prepare_cached("DELETE FROM sample WHERE database = ?1 AND fingerprint = ?2")?
            .execute((database, name))?;
        for (number, one) in shown.iter().take(SAMPLES).enumerate() {
            file.prepare_cached("INSERT INTO sample VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")?.execute(
                (
                    database,
                    name,
                    number as i64,
                    one.origin.name(),
                    &one.text,
                    values_as_written(one, &key),
                    one.micros as i64,
                    one.calls as i64,
                    at,
                ),
            )?;
        }
    }
    Ok(())
}

/// The values of a statement, as they may be kept: those that may not be in clear as hashes.
pub(super) fn values_as_written(one: &Shown, key: &hmac::Key) -> String {
    let types = one.types.iter().copied().chain(std::iter::repeat(0));
    let values = one.values.iter().zip(types).map(|(value, oid)| written(value, oid, key));
    Value::Array(values.collect()).to_string()
}

fn written(value: &Shows, oid: u32, key: &hmac::Key) -> Value {
    let mut written = match value {
        Shows::Null => return Value::Null,
        Shows::Clear(text) => json!({ "clear": text }),
        Shows::Hidden(text) => json!({ "hash": hashed(text, key) }),
        Shows::LeftOut(reason) => json!({ "left_out": reason }),
    };
    if oid != 0 {
        written["type"] = oid.into();
    }
    written
}

/// Sixteen hexadecimal digits: equal values have equal ones.
fn hashed(text: &str, key: &hmac::Key) -> String {
    let tag = hmac::sign(key, text.as_bytes());
    tag.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Adds to how often callers have sent statements: database, fingerprint, caller, how often.
pub(super) fn put_callers(
    file: &Transaction<'_>,
    at: i64,
    callers: &[(String, u128, Box<str>, u64)],
) -> rusqlite::Result<()> {
    let day = at - at.rem_euclid(SPANS[2]);
    for (database, fingerprint, caller, calls) in callers {
        file.prepare_cached(
            "INSERT INTO caller VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (start, database, fingerprint, caller) DO UPDATE SET calls = calls + excluded.calls",
        )?
        .execute((day, database, fingerprint.to_be_bytes(), caller, *calls as i64))?;
    }
    Ok(())
}

/// A statement with its values, as it is in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Of which database, as clients name it.
    pub database: String,
    /// Of which shape.
    pub fingerprint: u128,
    /// Why it was kept: `frequent`, `slowest`, `rare`, `newest`.
    pub origin: String,
    /// Its text, with `$1`, `$2`, ... in the place of each value.
    pub text: String,
    /// The values.
    pub values: Vec<StoredValue>,
    /// What the driver said their types are, as OIDs; 0 where it did not, or that is not in the file.
    pub types: Vec<u32>,
    /// How long it took, in microseconds.
    pub micros: u64,
    /// How often its values were seen, about; 0: that was not counted.
    pub calls: u64,
}

/// A value, as it is in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoredValue {
    /// NULL.
    Null,
    /// As it was sent.
    Clear(String),
    /// Only its hash is known: equal values of one file have equal ones.
    Hash(String),
    /// It was not read, and why.
    LeftOut(String),
}

impl Stored {
    /// Its values, if all are in clear.
    pub fn in_clear(&self) -> Option<Vec<Option<String>>> {
        let clear = |value: &StoredValue| match value {
            StoredValue::Null => Some(None),
            StoredValue::Clear(text) => Some(Some(text.clone())),
            _ => None,
        };
        self.values.iter().map(clear).collect()
    }

    /// From `database, fingerprint, origin, text, vals, micros, calls`.
    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Stored> {
        let fingerprint: Vec<u8> = row.get(1)?;
        let stored = Stored {
            database: row.get(0)?,
            fingerprint: fingerprint.try_into().map_or(0, u128::from_be_bytes),
            origin: row.get(2)?,
            text: row.get(3)?,
            micros: row.get::<_, i64>(5)?.max(0) as u64,
            calls: row.get::<_, i64>(6)?.max(0) as u64,
            values: vec![],
            types: vec![],
        };
        Ok(stored.with_values(&row.get::<_, String>(4)?))
    }

    /// The same with values, from the JSON that they are kept as.
    pub(super) fn with_values(mut self, values: &str) -> Stored {
        let values = serde_json::from_str::<Vec<Value>>(values).unwrap_or_default();
        self.values = values.iter().map(read_value).collect();
        self.types = values.iter().map(read_type).collect();
        self
    }
}

fn read_type(value: &Value) -> u32 {
    value["type"].as_u64().and_then(|oid| u32::try_from(oid).ok()).unwrap_or_default()
}

fn read_value(value: &Value) -> StoredValue {
    let text = |name: &str| value[name].as_str().map(str::to_owned);
    match value {
        Value::Null => StoredValue::Null,
        _ => text("clear")
            .map(StoredValue::Clear)
            .or_else(|| text("hash").map(StoredValue::Hash))
            .unwrap_or_else(|| {
                StoredValue::LeftOut(text("left_out").unwrap_or_else(|| "not read".to_owned()))
            }),
    }
}
