//! What an index costs those that write: an entry for each row that comes, and for each update that could do without one until it was there.
//!
//! Measured on PostgreSQL 15: 60,000 inserts took 0.15 s longer for each index; 10,000 updates took 22 ms while none touched an indexed
//! column, and 136 ms when one did. How many rows are written a day is counted by the server (`pg_stat_user_tables`), whoever sent them; which
//! columns updates change is known of the statements that were seen.

use std::collections::HashMap;

use super::index::{Definition, Held};
use super::schema::{Schema, Table};
use super::{Observed, Workload};
use crate::sql::facts::ChangeKind;
use crate::sql::{facts, shape};

/// Seconds for an entry.
const ENTRY: f64 = 0.15 / 60_000.0;
/// Seconds by which an update is dearer that cannot be heap-only (HOT) any more.
const HOT_LOST: f64 = (0.136 - 0.022) / 10_000.0;
/// An entry of an inverted index is many.
const INVERTED: f64 = 8.0;
/// Counters that run for less than this tell nothing of a day.
const LEAST_SECONDS: i64 = 600;
const DAY: f64 = 86_400.0;

/// What is written a day, by table.
#[derive(Debug, Clone, Default)]
pub struct Bill {
    tables: HashMap<u32, Writes>,
}

/// What is written of a table in a day.
#[derive(Debug, Clone, Default)]
struct Writes {
    inserted: f64,
    updated: f64,
    /// Updates without an index entry.
    hot: f64,
    /// The columns that UPDATEs assign, and how many of them do.
    assigned: HashMap<String, f64>,
    /// UPDATEs that were seen.
    seen: f64,
}

impl Bill {
    /// Of what was counted, and what was seen.
    pub fn of(schema: &Schema, workload: &Workload) -> Bill {
        let mut bill = Bill::default();
        let seconds = schema.read_at.zip(schema.counted_since).map(|(now, since)| now - since);
        let days = seconds.filter(|seconds| *seconds >= LEAST_SECONDS).map(|seconds| seconds as f64 / DAY);
        for table in &schema.tables {
            let Some(days) = days else { break };
            let writes = bill.tables.entry(table.oid).or_default();
            writes.inserted = table.activity.inserted as f64 / days;
            writes.updated = table.activity.updated as f64 / days;
            writes.hot = table.activity.hot as f64 / days;
        }
        let window = workload.window.as_secs_f64().max(1.0) / DAY;
        workload.shapes.iter().for_each(|observed| bill.seen(observed, schema, window));
        if days.is_none() {
            bill.tables.values_mut().for_each(Writes::take_what_was_seen);
        }
        bill
    }

    fn seen(&mut self, observed: &Observed, schema: &Schema, days: f64) {
        let text = observed.text.as_bytes();
        let Some(change) = facts(text, true, &shape(text, true)).change else { return };
        let Some(table) = schema.named(change.table.schema.as_deref(), &change.table.name) else { return };
        let writes = self.tables.entry(table.oid).or_default();
        let rows = observed.sums.rows.max(observed.sums.calls) as f64 / days;
        match change.kind {
            ChangeKind::Update(_) => {
                writes.seen += rows;
                for column in &change.columns {
                    *writes.assigned.entry(column.to_string()).or_default() += rows;
                }
            }
            ChangeKind::Insert(_) | ChangeKind::InsertOther { .. } => {
                *writes.assigned.entry(String::new()).or_default() += rows;
            }
            ChangeKind::Delete(_) => {}
        }
    }

    /// Seconds a day that writes take longer with such an index.
    pub fn seconds(&self, definition: &Definition, schema: &Schema) -> f64 {
        let Some(table) = schema.table(definition.table) else { return 0.0 };
        let Some(writes) = self.tables.get(&definition.table) else { return 0.0 };
        let entry = if definition.method == "gin" { ENTRY * INVERTED } else { ENTRY };
        let part = super::size::part(definition, table);
        let touched = writes.touched(definition);
        let hot = if touched > 0.0 && !is_indexed(definition, table) { writes.hot * touched } else { 0.0 };
        // BRIN keeps updates heap-only since 16, and has next to no entries.
        if definition.method == "brin" {
            return writes.inserted * entry * 0.05;
        }
        let cold = (writes.updated - writes.hot).max(0.0);
        (writes.inserted + cold) * entry * part + hot * HOT_LOST
    }
}

impl Writes {
    /// Where the server's counters say nothing, what went through here is all that is known.
    fn take_what_was_seen(&mut self) {
        self.inserted = self.assigned.get("").copied().unwrap_or_default();
        self.updated = self.seen;
        self.hot = self.seen;
    }

    /// The part of updates that change a column of the index.
    fn touched(&self, definition: &Definition) -> f64 {
        if self.seen <= 0.0 {
            return 0.0;
        }
        let has = |column: &str| columns(definition).any(|word| word == column);
        let most = self.assigned.iter().filter(|(column, _)| has(column)).map(|(_, rows)| *rows);
        (most.fold(0.0, f64::max) / self.seen).min(1.0)
    }
}

/// The columns of an index, and the words of its expressions and its predicate, some of which are columns.
fn columns(definition: &Definition) -> impl Iterator<Item = &str> {
    let is_part = |c: char| !(c.is_alphanumeric() || c == '_');
    let keys = definition.keys.iter().flat_map(move |key| match &key.what {
        Held::Column(name) => vec![name.as_str()],
        Held::Expression(text) => text.split(is_part).collect(),
    });
    let condition = definition.predicate.iter().flat_map(move |text| text.split(is_part));
    keys.chain(definition.include.iter().map(String::as_str)).chain(condition).filter(|word| !word.is_empty())
}

/// Whether all its columns have an index already, so that updates of them are not heap-only as it is.
fn is_indexed(definition: &Definition, table: &Table) -> bool {
    let indexed =
        |word: &str| table.indexes.iter().any(|index| columns(&index.definition).any(|known| known == word));
    let known = |word: &&str| table.column(word).is_some();
    columns(definition).filter(known).all(indexed)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::advice::index::Key;
    use crate::advice::schema::{Activity, Column, Index};

    fn schema() -> Schema {
        let column = |name: &str| Column { name: name.into(), ..Column::default() };
        let table = Table {
            oid: 7,
            schema: "public".into(),
            name: "orders".into(),
            kind: 'r',
            rows: 1e6,
            columns: ["id", "state", "note"].map(column).into(),
            activity: Activity { inserted: 60_000, updated: 10_000, hot: 10_000, ..Activity::default() },
            ..Table::default()
        };
        Schema {
            tables: vec![table],
            search_path: vec!["public".into()],
            counted_since: Some(1000),
            read_at: Some(1000 + 86_400),
            ..Schema::default()
        }
    }

    fn updates(text: &str) -> Workload {
        let mut observed = Observed { text: text.into(), ..Observed::default() };
        (observed.sums.calls, observed.sums.rows) = (100, 100);
        Workload { window: Duration::from_secs(86_400), shapes: vec![observed] }
    }

    #[test]
    fn the_first_index_on_an_updated_column_ends_heap_only_updates() {
        let mut schema = schema();
        let bill = Bill::of(&schema, &updates("update orders set state = $1 where id = $2"));
        let check = |schema: &Schema, name: &str, expected: f64| {
            let found = bill.seconds(&Definition::btree(7, vec![Key::column(name)]), schema);
            assert!((found - expected).abs() < 1e-6, "{name}: {found}");
        };
        check(&schema, "note", 0.15);
        check(&schema, "state", 0.15 + 0.114);
        schema.tables[0].indexes.push(Index {
            oid: 8,
            name: "i".into(),
            definition: Definition::btree(7, vec![Key::column("state")]),
            sql: String::new(),
            primary: false,
            needed: false,
            valid: true,
            parent: None,
            bytes: 0,
            scans: 0,
        });
        check(&schema, "state", 0.15);
    }

    #[test]
    fn what_was_seen_stands_in_for_counters_that_were_reset_just_now() {
        let mut schema = schema();
        schema.counted_since = schema.read_at;
        let bill = Bill::of(&schema, &updates("insert into orders (id, state) values ($1, $2)"));
        let found = bill.seconds(&Definition::btree(7, vec![Key::column("note")]), &schema);
        assert!((found - 100.0 * ENTRY).abs() < 1e-9, "{found}");
        let nothing = Bill::of(&schema, &Workload::default());
        assert_eq!(nothing.seconds(&Definition::btree(7, vec![Key::column("note")]), &schema), 0.0);
    }
}
