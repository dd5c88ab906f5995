//! What the rows of answers mean.

use std::str::FromStr;

use serde_json::Value;

use crate::advice::ask::Row;
use crate::advice::index::{Definition, Held, Key, unwrapped};
use crate::advice::schema::{
    Activity, Column, Extension, ForeignKey, Index, Schema, Spill, Statistics, Table,
};

/// Rows of a page of a table of which nothing is known: PostgreSQL reckons by the widths of types.
const ROWS_A_PAGE: f64 = 80.0;

/// Columns of a row by number.
pub(super) trait Cells {
    /// A text; `None` where it is null.
    fn text(&self, at: usize) -> Option<&str>;

    /// A number.
    fn number<T: FromStr>(&self, at: usize) -> Option<T> {
        self.text(at)?.parse().ok()
    }

    /// `t`.
    fn is_true(&self, at: usize) -> bool {
        self.text(at) == Some("t")
    }

    /// A list of names.
    fn names(&self, at: usize) -> Vec<String> {
        names_of(self.text(at).unwrap_or_default())
    }
}

impl Cells for [Option<String>] {
    fn text(&self, at: usize) -> Option<&str> {
        self.get(at)?.as_deref()
    }
}

impl Cells for Row {
    fn text(&self, at: usize) -> Option<&str> {
        self.get(at)?.as_deref()
    }
}

/// Names in a list of JSON.
pub(super) fn names_of(json: &str) -> Vec<String> {
    let value: Value = serde_json::from_str(json).unwrap_or_default();
    value.as_array().into_iter().flatten().filter_map(|name| Some(name.as_str()?.to_owned())).collect()
}

/// What shapes wrote to temporary files; texts of one shape are one.
pub(super) fn spills(rows: &[Row], page: u64) -> Vec<Spill> {
    let mut all: Vec<Spill> = vec![];
    for row in rows {
        let (Some(text), Some(calls), Some(blocks)) = (row.text(0), row.number(1), row.number::<u64>(2))
        else {
            continue;
        };
        let shape = crate::sql::shape(text.as_bytes(), true);
        if shape.text.contains(&0) {
            continue;
        }
        let bytes = blocks.saturating_mul(page);
        let one = Spill {
            fingerprint: shape.fingerprint.0,
            calls,
            bytes,
            work_mem: row.number(3).unwrap_or_default(),
        };
        match all.iter_mut().find(|known| known.fingerprint == one.fingerprint) {
            Some(known) => (known.calls, known.bytes) = (known.calls + one.calls, known.bytes + one.bytes),
            None => all.push(one),
        }
    }
    all
}

pub(super) fn extension(row: &Row) -> Option<Extension> {
    Some(Extension { name: row.text(0)?.to_owned(), schema: row.text(1).map(str::to_owned) })
}

pub(super) fn table(row: &Row) -> Option<Table> {
    let pages: u64 = row.number(6)?;
    let mut table = Table {
        oid: row.number(0)?,
        schema: row.text(1)?.to_owned(),
        name: row.text(2)?.to_owned(),
        kind: row.text(3)?.chars().next()?,
        parent: row.number(4),
        rows: row.number(5)?,
        pages,
        ..Table::default()
    };
    if table.rows < 0.0 || pages == 0 {
        table.rows = pages as f64 * ROWS_A_PAGE;
    }
    Some(table)
}

/// As many pages as there are now, filled as they were when last looked at.
pub(super) fn resize(table: &mut Table, pages: u64) {
    let a_page = if table.pages > 0 { table.rows / table.pages as f64 } else { ROWS_A_PAGE };
    table.grown = if table.pages > 0 { pages as f64 / table.pages as f64 } else { 0.0 };
    (table.rows, table.pages) = ((pages as f64 * a_page).round(), pages);
}

/// A partitioned table has what its partitions have.
pub(super) fn reckon(schema: &mut Schema) {
    let places: std::collections::HashMap<u32, usize> =
        schema.tables.iter().enumerate().map(|(at, table)| (table.oid, at)).collect();
    for table in schema.tables.iter_mut().filter(|table| table.kind == 'p') {
        (table.rows, table.pages) = (0.0, 0);
    }
    for at in 0..schema.tables.len() {
        let leaf = &schema.tables[at];
        if leaf.kind == 'p' {
            continue;
        }
        let (rows, pages, activity, mut up) = (leaf.rows, leaf.pages, leaf.activity.clone(), leaf.parent);
        // Parents are no deeper than this: a circle is not possible, but nobody promises that these rows are of one moment.
        for _ in 0..32 {
            let Some(parent) = up.and_then(|oid| places.get(&oid)) else { break };
            let parent = &mut schema.tables[*parent];
            parent.rows += rows;
            parent.pages += pages;
            add(&mut parent.activity, &activity);
            up = parent.parent;
        }
    }
    fix_distinct(schema);
}

fn add(sum: &mut Activity, one: &Activity) {
    sum.inserted += one.inserted;
    sum.updated += one.updated;
    sum.hot += one.hot;
    sum.deleted += one.deleted;
    sum.dead += one.dead;
    sum.stale += one.stale;
    sum.scans += one.scans;
}

/// Distinct values that are told as a part of the rows are made a number of the rows that there are now.
fn fix_distinct(schema: &mut Schema) {
    for table in &mut schema.tables {
        let rows = table.rows.max(1.0);
        for statistics in table.columns.iter_mut().filter_map(|column| column.statistics.as_mut()) {
            if statistics.distinct < 0.0 {
                statistics.distinct = (-statistics.distinct * rows).max(1.0);
            }
        }
    }
}

pub(super) fn column(row: &Row, database: bool) -> Option<Column> {
    Some(Column {
        name: row.text(1)?.to_owned(),
        type_name: row.text(2)?.to_owned(),
        type_oid: row.number(3)?,
        not_null: row.is_true(4),
        c_collation: row.text(5).map_or(database, |told| told == "t"),
        statistics: None,
    })
}

pub(super) fn statistics(row: &Row) -> Statistics {
    let common: Value = serde_json::from_str(row.text(6).unwrap_or_default()).unwrap_or_default();
    let pair = |pair: &Value| Some((pair.get(0)?.as_str()?.to_owned(), pair.get(1)?.as_f64()?));
    Statistics {
        nulls: row.number(2).unwrap_or_default(),
        width: row.number(3).unwrap_or_default(),
        distinct: row.number(4).unwrap_or_default(),
        correlation: row.number(5),
        common: common.as_array().into_iter().flatten().filter_map(pair).collect(),
        bounds: row.names(7),
    }
}

pub(super) fn index(row: &Row) -> Option<(u32, Index)> {
    let oid = row.number(0)?;
    let keys: Value = serde_json::from_str(row.text(13)?).ok()?;
    let (mut own, mut include) = (vec![], vec![]);
    for given in keys.as_array()? {
        if given.get(2)?.as_bool()? {
            own.push(key(given)?);
        } else {
            include.push(given.get(0)?.as_str()?.to_owned());
        }
    }
    let definition = Definition {
        table: row.number(1)?,
        method: row.text(3)?.to_owned(),
        keys: own,
        include,
        predicate: row.text(11).map(|text| unwrapped(text).to_owned()),
        unique: row.is_true(4),
        options: row.names(10),
    };
    let index = Index {
        oid,
        name: row.text(2)?.to_owned(),
        definition,
        sql: row.text(12)?.to_owned(),
        primary: row.is_true(5),
        needed: row.is_true(7),
        valid: row.is_true(6),
        parent: row.number(8),
        bytes: row.number(9).unwrap_or_default(),
        scans: 0,
    };
    Some((oid, index))
}

fn key(given: &Value) -> Option<Key> {
    let text = |at: usize| given.get(at).and_then(Value::as_str).map(str::to_owned);
    let expression = || text(1).map(|text| Held::Expression(unwrapped(&text).to_owned()));
    let what = text(0).map(Held::Column).or_else(expression)?;
    let options = given.get(5)?.as_i64()?;
    let (descending, nulls_first) = (options & 1 != 0, options & 2 != 0);
    Some(Key { what, class: text(3), collation: text(4), descending, nulls_first })
}

pub(super) fn foreign_key(row: &Row) -> Option<ForeignKey> {
    Some(ForeignKey {
        name: row.text(1)?.to_owned(),
        columns: row.names(2),
        to: row.number(3)?,
        action: row.text(4)?.chars().next()?,
    })
}

pub(super) fn activity(row: &Row) -> Activity {
    let count = |at| row.number(at).unwrap_or_default();
    Activity {
        inserted: count(1),
        updated: count(2),
        hot: count(3),
        deleted: count(4),
        dead: count(5),
        stale: count(6),
        scans: count(7),
        analyzed: row.number(8),
        vacuumed: row.number(9),
    }
}
