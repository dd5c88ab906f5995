//! What is wrong with a database, whatever is asked of it.

use std::collections::BTreeSet;

use super::estimates::is_stale;
use super::is_small;
use crate::advice::index::{Definition, Key, quoted};
use crate::advice::schema::{ForeignKey, Table};
use crate::advice::{Action, Fix, Price, Proof, Schema};

/// Dead rows: so many, and such a part.
const DEAD: f64 = 10_000.0;
const DEAD_PART: f64 = 0.2;

/// What there is to find of a database: old statistics, dead rows, foreign keys without an index. In the order of tables' names.
pub fn of_schema(schema: &Schema) -> Vec<Fix> {
    let mut tables: Vec<&Table> = schema.tables.iter().collect();
    tables.sort_by_key(|table| (&table.schema, &table.name, table.oid));
    let mut fixes = vec![];
    for table in tables {
        fixes.extend(analyze(table));
        fixes.extend(vacuum(table));
        // A partition's foreign keys are its parent's.
        let keys = table.foreign_keys.iter().filter(|_| table.parent.is_none());
        fixes.extend(keys.filter_map(|key| unindexed(key, table, schema)));
    }
    fixes
}

fn named(table: &Table) -> String {
    format!("{}.{}", quoted(&table.schema), quoted(&table.name))
}

fn fix(code: &'static str, title: String, evidence: Vec<String>, action: Action) -> Fix {
    Fix {
        code,
        title,
        evidence,
        action,
        helps: vec![],
        saves: None,
        price: Price::default(),
        proof: Proof::Pattern,
    }
}

fn run(statement: String, undo: Vec<String>, concurrently: bool) -> Action {
    Action::Sql { run: vec![statement], undo, concurrently }
}

fn analyze(table: &Table) -> Option<Fix> {
    // A column that nobody may see has no statistics either, so that only what was counted tells.
    if !is_stale(table) || is_small(table) {
        return None;
    }
    let changed = table.activity.stale;
    let evidence = vec![format!(
        "{changed} rows were changed since its statistics were made, of {:.0}{}",
        table.rows,
        if table.activity.analyzed.is_none() { "; it was never analyzed" } else { "" }
    )];
    Some(fix(
        "analyze",
        format!("ANALYZE {}", table.name),
        evidence,
        run(format!("ANALYZE {}", named(table)), vec![], false),
    ))
}

fn vacuum(table: &Table) -> Option<Fix> {
    let dead = table.activity.dead as f64;
    let all = table.rows.max(0.0) + dead;
    if dead < DEAD || dead < DEAD_PART * all {
        return None;
    }
    let when = if table.activity.vacuumed.is_none() { "; it was never vacuumed" } else { "" };
    let evidence = vec![
        format!("{dead:.0} of {all:.0} rows are dead ({:.0} %), and every scan reads them too{when}", dead / all * 100.0),
        "where autovacuum does not keep up, lower autovacuum_vacuum_scale_factor for this table, and look for transactions that stay open".to_owned(),
    ];
    let statement = format!("VACUUM (ANALYZE) {}", named(table));
    Some(fix("vacuum", format!("vacuum {}", table.name), evidence, run(statement, vec![], true)))
}

/// A foreign key whose other end is deleted from, and that nothing finds rows by.
fn unindexed(key: &ForeignKey, table: &Table, schema: &Schema) -> Option<Fix> {
    let to = schema.table(key.to)?;
    let wanted: BTreeSet<&str> = key.columns.iter().map(String::as_str).collect();
    let served =
        table.indexes.iter().filter(|index| index.valid && index.definition.predicate.is_none()).any(
            |index| {
                let plain = index.definition.method == "btree"
                    || index.definition.method == "hash" && wanted.len() == 1;
                let first = index.definition.keys.iter().take(wanted.len());
                let names: BTreeSet<&str> = first.filter_map(Key::name).collect();
                plain && names == wanted
            },
        );
    // Nearly as good: the first columns of an index that leave few rows.
    let near = table.indexes.iter().filter(|index| index.valid && index.definition.predicate.is_none()).any(
        |index| {
            let first = index.definition.keys.first().and_then(Key::name);
            let column = first.filter(|name| wanted.contains(name)).and_then(|name| table.column(name));
            let distinct = column.and_then(|column| column.statistics.as_ref()).map(|known| known.distinct);
            distinct.is_some_and(|distinct| table.rows / distinct.max(1.0) <= 100.0)
        },
    );
    let deleted = to.activity.deleted;
    if served || near || deleted == 0 || is_small(table) {
        return None;
    }
    let keys: Vec<Key> = key.columns.iter().map(|name| Key::column(name.clone())).collect();
    let body = Definition::btree(table.oid, keys).body();
    let index = index_name(table, &key.columns);
    let partitioned = table.kind == 'p';
    let concurrently = if partitioned { "" } else { "CONCURRENTLY " };
    let action = run(
        format!("CREATE INDEX {concurrently}{} ON {} {body}", quoted(&index), named(table)),
        vec![format!("DROP INDEX {concurrently}{}.{}", quoted(&table.schema), quoted(&index))],
        !partitioned,
    );
    let what = match key.action {
        'c' => "deletes the rows that point to it",
        'n' | 'd' => "changes the rows that point to it",
        _ => "looks for rows that point to it",
    };
    let evidence = vec![
        format!(
            "{deleted} rows of {} were deleted since counters run; each DELETE {what}, by {} of {}, and reads all {:.0} rows of it ({} pages)",
            to.name,
            key.columns.join(", "),
            table.name,
            table.rows,
            table.pages
        ),
        "that time is the trigger's: no plan shows it but EXPLAIN ANALYZE".to_owned(),
    ];
    let title = format!("index {}({}) for the foreign key {}", table.name, key.columns.join(", "), key.name);
    Some(fix("foreign_key", title, evidence, action))
}

/// As PostgreSQL would name it, cut where a character ends.
fn index_name(table: &Table, columns: &[String]) -> String {
    let mut name = format!("{}_{}_idx", table.name, columns.join("_"));
    while name.len() > 63 {
        name.pop();
    }
    name
}
