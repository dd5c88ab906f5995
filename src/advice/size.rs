//! How large an index would be: HypoPG's own figure is 1.1 to 4.6 times too large, because it knows nothing of deduplication.
//!
//! For a b-tree over N rows with D different keys of K bytes: `(D × (K + 12) + (N > D ? 6 × N : 0)) / 0.9`, an item of 8 bytes and its
//! pointer of 4 for each key, 6 bytes for each row of a posting list, pages filled to nine tenths
//! (PostgreSQL sources, `src/backend/access/nbtree/README`, "Notes about deduplication"). Others are rougher, and say so.

use super::index::{Definition, Held, Key};
use super::schema::{Schema, Statistics, Table};

/// Bytes of an index entry besides its keys.
const ITEM: f64 = 12.0;
/// Bytes of a row in a posting list.
const POSTING: f64 = 6.0;
/// How full pages are that CREATE INDEX fills.
const FULL: f64 = 0.9;
/// What an expression or a column without statistics is taken to be wide.
const UNKNOWN_WIDTH: f64 = 16.0;
/// The part of rows that an unknown predicate is taken to have.
const UNKNOWN_PART: f64 = 0.3;

/// Bytes that it would take on disk, of all partitions where the table has some.
pub fn bytes(definition: &Definition, schema: &Schema) -> u64 {
    let Some(table) = schema.table(definition.table) else { return 0 };
    let rows = table.rows * part(definition, table);
    let bytes = match definition.method.as_str() {
        "btree" => btree(definition, table, rows),
        // One range of 128 pages has one entry, of the least and the largest value.
        "brin" => {
            table.pages as f64 / 128.0 * (2.0 * width(definition, table) + 16.0) + 2.0 * schema.page as f64
        }
        // Buckets are three quarters full, of 4 bytes of hash in each item.
        "hash" => rows * (ITEM + 8.0) / 0.75,
        "gin" => inverted(definition, table, rows),
        _ => rows * (width(definition, table) + ITEM) / 0.7,
    };
    let page = schema.page.max(1) as f64;
    // The first page is about the index itself.
    (((bytes / page).ceil() + 1.0) * page).max(2.0 * page) as u64
}

fn btree(definition: &Definition, table: &Table, rows: f64) -> f64 {
    let width = width(definition, table);
    let distinct = distinct(definition, table, rows);
    let shared = !definition.unique
        && definition.include.is_empty()
        && definition.keys.iter().all(|key| deduplicates(key, table));
    if shared && distinct < rows {
        return (distinct * (width + ITEM) + POSTING * rows) / FULL;
    }
    rows * (width + ITEM) / FULL
}

/// Of each value its parts, each with a list of rows. How many parts there are depends on what it is: trigrams and lexemes of a text
/// by its length, elements of an array, paths of a document. By half or double.
fn inverted(definition: &Definition, table: &Table, rows: f64) -> f64 {
    let value: f64 = definition.keys.iter().map(|key| key_width(key, table)).sum();
    let trigrams =
        definition.keys.iter().any(|key| key.class.as_deref().is_some_and(|class| class.contains("trgm")));
    // A part for every letter, or one for every eight bytes; a row in a long list costs about two bytes, packed.
    let parts = if trigrams { value } else { (value / 8.0).max(1.0) };
    rows * parts * 2.0 / FULL
}

/// Bytes of all that an entry has, each key and the whole on a boundary of eight as on most machines.
fn width(definition: &Definition, table: &Table) -> f64 {
    let keys: f64 = definition.keys.iter().map(|key| key_width(key, table)).sum();
    let more: f64 = definition.include.iter().map(|name| column_width(name, table)).sum();
    ((keys + more) / 8.0).ceil() * 8.0
}

fn key_width(key: &Key, table: &Table) -> f64 {
    match &key.what {
        Held::Column(name) => column_width(name, table),
        Held::Expression(text) => {
            column_in(text, table).map_or(UNKNOWN_WIDTH, |name| column_width(name, table))
        }
    }
}

fn column_width(name: &str, table: &Table) -> f64 {
    statistics(name, table).map_or(UNKNOWN_WIDTH, |known| f64::from(known.width.max(1)))
}

fn statistics<'a>(name: &str, table: &'a Table) -> Option<&'a Statistics> {
    table.column(name)?.statistics.as_ref()
}

/// Different keys among so many rows.
pub fn distinct(definition: &Definition, table: &Table, rows: f64) -> f64 {
    let rows = rows.max(1.0);
    let keys = definition.keys.iter().map(|key| key_distinct(key, table).unwrap_or(rows / 10.0).max(1.0));
    // A column of a primary key or of a unique index, and all that is with it, is distinct as the rows are.
    if definition.unique || is_unique_with(definition, table) {
        return rows;
    }
    keys.product::<f64>().clamp(1.0, rows)
}

/// Different values of a key, where that is known.
pub fn key_distinct(key: &Key, table: &Table) -> Option<f64> {
    let name = match &key.what {
        Held::Column(name) => name,
        // A function of one column has as many values, or fewer.
        Held::Expression(text) => column_in(text, table)?,
    };
    statistics(name, table).map(|known| known.distinct.max(1.0) + if known.nulls > 0.0 { 1.0 } else { 0.0 })
}

fn is_unique_with(definition: &Definition, table: &Table) -> bool {
    let has = |name: &str| definition.keys.iter().any(|key| key.name() == Some(name));
    table.indexes.iter().any(|index| {
        let wanted = &index.definition;
        wanted.unique
            && wanted.predicate.is_none()
            && wanted.keys.iter().all(|key| key.name().is_some_and(has))
    })
}

/// The only column that an expression names.
pub fn column_in<'a>(expression: &str, table: &'a Table) -> Option<&'a str> {
    let words = expression.split(|c: char| !(c.is_alphanumeric() || c == '_'));
    let words: Vec<&str> = words.collect();
    let mut found = table.columns.iter().filter(|column| words.contains(&column.name.as_str()));
    match (found.next(), found.next()) {
        (Some(column), None) => Some(&column.name),
        _ => None,
    }
}

/// Whether equal keys share an entry (PostgreSQL manual, 67.4.3: not of types whose equal values may look different, nor of containers).
fn deduplicates(key: &Key, table: &Table) -> bool {
    let Some(column) = key.name().and_then(|name| table.column(name)) else { return true };
    let plain = !["numeric", "real", "double precision", "jsonb"]
        .iter()
        .any(|name| column.type_name.starts_with(name));
    plain && !column.type_name.ends_with("[]") && !column.type_name.ends_with("range")
}

/// The part of rows that has a value that is not among the common ones.
fn rare(known: &Statistics) -> f64 {
    let common: f64 = known.common.iter().map(|(_, part)| part).sum();
    let others = (known.distinct - known.common.len() as f64).max(1.0);
    ((1.0 - known.nulls - common).max(0.0) / others).min(1.0)
}

/// The part of the rows that a partial index has.
pub fn part(definition: &Definition, table: &Table) -> f64 {
    definition.predicate.as_deref().map_or(1.0, |text| part_of(text, table))
}

fn part_of(predicate: &str, table: &Table) -> f64 {
    let text = super::index::unwrapped(predicate);
    let conjuncts: Vec<&str> = text.split(" AND ").collect();
    conjuncts.into_iter().map(|one| one_part(super::index::unwrapped(one.trim()), table)).product()
}

/// Of one comparison, as the deparser prints it.
fn one_part(text: &str, table: &Table) -> f64 {
    let nulls = |name: &str| statistics(name.trim_matches('"'), table).map(|known| known.nulls);
    if let Some(name) = text.strip_suffix(" IS NULL") {
        return nulls(name).unwrap_or(UNKNOWN_PART);
    }
    if let Some(name) = text.strip_suffix(" IS NOT NULL") {
        return nulls(name).map_or(1.0 - UNKNOWN_PART, |part| 1.0 - part);
    }
    let common = |name: &str, value: &str| {
        let known = statistics(name.trim_matches(['"', '(', ')']), table)?;
        let found = known.common.iter().find(|(one, _)| one == value).map(|(_, part)| *part);
        Some(found.unwrap_or_else(|| rare(known)))
    };
    let (name, value) = match text.split_once(" = ") {
        Some((name, value)) => {
            let name = name.split("::").next().unwrap_or(name);
            let value = value.split("::").next().unwrap_or(value).trim_matches('\'');
            let value = match value {
                "true" => "t",
                "false" => "f",
                value => value,
            };
            (name, value.to_owned())
        }
        None => match text.strip_prefix("NOT ") {
            Some(name) => (name, "f".to_owned()),
            None => (text, "t".to_owned()),
        },
    };
    common(name, &value).unwrap_or(UNKNOWN_PART)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advice::schema::Column;

    pub(crate) fn table() -> Table {
        let column = |name: &str, type_name: &str, width, distinct| Column {
            name: name.into(),
            type_name: type_name.into(),
            statistics: Some(Statistics { width, distinct, ..Statistics::default() }),
            ..Column::default()
        };
        let mut deleted = column("deleted_at", "timestamp with time zone", 8, 5000.0);
        deleted.statistics.as_mut().expect("it has").nulls = 0.95;
        let mut state = column("state", "text", 5, 3.0);
        state.statistics.as_mut().expect("it has").common =
            vec![("open".into(), 0.02), ("done".into(), 0.9), ("new".into(), 0.08)];
        Table {
            oid: 1,
            rows: 1_000_000.0,
            pages: 20_000,
            columns: vec![
                column("id", "bigint", 8, 1_000_000.0),
                column("account", "bigint", 8, 1000.0),
                column("amount", "numeric(10,2)", 6, 1000.0),
                deleted,
                state,
            ],
            ..Table::default()
        }
    }

    fn size(definition: &Definition) -> f64 {
        let schema = Schema { page: 8192, tables: vec![table()], ..Schema::default() };
        bytes(definition, &schema) as f64 / 1e6
    }

    #[test]
    fn equal_keys_share_an_entry_and_others_do_not() {
        let check = |definition: &Definition, expected: f64| {
            let found = size(definition);
            assert!((found / expected - 1.0).abs() < 0.02, "{definition:?}: {found}, not {expected}");
        };
        let account = Definition::btree(1, vec![Key::column("account")]);
        check(&Definition::btree(1, vec![Key::column("id")]), 22.2);
        check(&account, 6.7);
        // Numbers that are equal may be written differently.
        check(&Definition::btree(1, vec![Key::column("amount")]), 22.2);
        check(&Definition { unique: true, ..account.clone() }, 22.2);
        check(&Definition { include: vec!["id".into()], ..account.clone() }, 31.1);
        check(&Definition { predicate: Some("(deleted_at IS NOT NULL)".into()), ..account.clone() }, 0.369);
        check(
            &Definition {
                predicate: Some("deleted_at IS NULL AND (state = 'open'::text)".into()),
                ..account.clone()
            },
            0.164,
        );
        check(&Definition { method: "brin".into(), ..account }, 0.033);
    }

    #[test]
    fn an_expression_is_as_its_only_column() {
        let table = table();
        assert_eq!(column_in("lower((state)::text)", &table), Some("state"));
        assert_eq!(column_in("(id + account)", &table), None);
        assert_eq!(key_distinct(&Key::expression("lower((state)::text)"), &table), Some(3.0));
    }
}
