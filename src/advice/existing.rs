//! Indexes that are there and should not be, or not like this: duplicates, those that another makes superfluous, unused ones, invalid ones.
//!
//! Never one that is needed: behind a constraint, for a foreign key, as replica identity, or as a part of a partitioned table's index.

use super::index::{Definition, Key, quoted};
use super::schema::{Index, Schema, Table};
use super::{Action, Fix, Price, Proof};

/// Counters must have run for so long before "never used" says something: a month has its last day.
const LONG_ENOUGH: i64 = 28 * 86_400;
/// Smaller ones cost less than the words about them.
const SMALL: u64 = 64 * 1024;
const DAY: i64 = 86_400;

/// What there is to say of the indexes that are there, when `proposed` come besides: those that these replace.
pub fn existing(schema: &Schema, proposed: &[&Definition]) -> Vec<Fix> {
    let mut fixes = vec![];
    for table in &schema.tables {
        let mut gone: Vec<u32> = vec![];
        for index in &table.indexes {
            let fix = invalid(table, index)
                .or_else(|| duplicate(table, index, &gone))
                .or_else(|| redundant(table, index, &gone))
                .or_else(|| replaced(table, index, proposed))
                .or_else(|| unused(schema, table, index));
            if let Some(fix) = fix {
                // Of two that are the same, only one goes.
                gone.push(index.oid);
                fixes.push(fix);
            }
        }
    }
    fixes
}

/// Whether `wide` answers what `narrow` answers: the same rows in the same order, and more columns behind.
pub fn serves(wide: &Definition, narrow: &Definition) -> bool {
    let same =
        wide.table == narrow.table && wide.method == narrow.method && wide.predicate == narrow.predicate;
    if !same || narrow.unique {
        return false;
    }
    if narrow.method != "btree" {
        return wide.keys == narrow.keys;
    }
    let prefix = wide.keys.len() >= narrow.keys.len() && (forwards(wide, narrow) || backwards(wide, narrow));
    let has =
        |name: &String| wide.include.contains(name) || wide.keys.iter().any(|key| key.name() == Some(name));
    prefix && narrow.include.iter().all(has)
}

fn forwards(wide: &Definition, narrow: &Definition) -> bool {
    wide.keys.iter().zip(&narrow.keys).all(|(a, b)| a == b)
}

/// A b-tree is read from either end.
fn backwards(wide: &Definition, narrow: &Definition) -> bool {
    let turned =
        |key: &Key| Key { descending: !key.descending, nulls_first: !key.nulls_first, ..key.clone() };
    wide.keys.iter().zip(&narrow.keys).all(|(a, b)| *a == turned(b))
}

fn may_go(index: &Index) -> bool {
    !index.needed && !index.primary && index.parent.is_none()
}

fn invalid(table: &Table, index: &Index) -> Option<Fix> {
    // A partitioned index is invalid until each partition has its own.
    if index.valid || table.kind == 'p' {
        return None;
    }
    let name = full(&table.schema, &index.name);
    let leftover = index.name.ends_with("_ccnew") || index.name.ends_with("_ccold");
    let (title, run, undo) = if leftover && may_go(index) {
        let run = format!("DROP INDEX CONCURRENTLY {name}");
        (format!("drop {}: what a REINDEX that failed has left", index.name), run, vec![])
    } else {
        let run = format!("REINDEX INDEX CONCURRENTLY {name}");
        (format!("build {} anew: it is invalid", index.name), run, vec![])
    };
    Some(Fix {
        code: "invalid_index",
        title,
        evidence: vec![format!(
            "{name} is written at every change of {} and answers nothing: a CREATE INDEX or REINDEX that ran CONCURRENTLY failed. It is {}.",
            table.name,
            bytes(index.bytes)
        )],
        action: Action::Sql { run: vec![run], undo, concurrently: true },
        helps: vec![],
        saves: None,
        price: Price { bytes: if leftover { -(index.bytes as i64) } else { 0 }, writes: 0.0 },
        proof: Proof::Pattern,
    })
}

fn duplicate(table: &Table, index: &Index, gone: &[u32]) -> Option<Fix> {
    let same = |other: &&Index| {
        let plain = |one: &Definition| Definition { unique: false, options: vec![], ..one.clone() };
        let (a, b) = (&index.definition, &other.definition);
        other.oid != index.oid && plain(a) == plain(b) && (b.unique || !a.unique)
    };
    let twin = table.indexes.iter().filter(stays(gone)).find(same)?;
    // Of two that both may go, the one that was made later goes.
    let later = index.oid > twin.oid || !may_go(twin) || (twin.definition.unique && !index.definition.unique);
    let why = format!("{} has the same keys", full(&table.schema, &twin.name));
    (may_go(index) && index.valid && later)
        .then(|| drop_it(table, index, "duplicate_index", "a duplicate", why))
}

fn redundant(table: &Table, index: &Index, gone: &[u32]) -> Option<Fix> {
    let wider = |other: &&Index| {
        let longer = other.definition.keys.len() > index.definition.keys.len();
        other.oid != index.oid && longer && serves(&other.definition, &index.definition)
    };
    let other = table.indexes.iter().filter(stays(gone)).find(wider)?;
    let why = format!(
        "{} begins with the same keys, and answers what it answers ({})",
        full(&table.schema, &other.name),
        other.definition.body()
    );
    let much_wider = other.bytes > index.bytes.saturating_mul(4);
    (may_go(index) && index.valid && !much_wider)
        .then(|| drop_it(table, index, "redundant_index", "a prefix of another", why))
}

fn replaced(table: &Table, index: &Index, proposed: &[&Definition]) -> Option<Fix> {
    let new = proposed.iter().find(|new| serves(new, &index.definition))?;
    let why =
        format!("the proposed index {} answers what it answers: drop it when that is there", new.body());
    (may_go(index) && index.valid)
        .then(|| drop_it(table, index, "replaced_index", "replaced by a proposed one", why))
}

fn unused(schema: &Schema, table: &Table, index: &Index) -> Option<Fix> {
    let ran = schema.read_at? - schema.counted_since?;
    // A unique index has work that is not counted: it refuses.
    let idle = schema.scans_known && ran >= LONG_ENOUGH && index.scans == 0 && !index.definition.unique;
    if !idle || !may_go(index) || !index.valid || index.bytes < SMALL || table.kind == 'p' {
        return None;
    }
    let why = format!("no statement has used it in {} days, on any node that was asked", ran / DAY);
    Some(drop_it(table, index, "unused_index", "unused", why))
}

/// Those that stay, of several that could answer for another.
fn stays(gone: &[u32]) -> impl Fn(&&Index) -> bool {
    move |index| index.valid && !gone.contains(&index.oid)
}

fn drop_it(table: &Table, index: &Index, code: &'static str, what: &str, why: String) -> Fix {
    let name = full(&table.schema, &index.name);
    // A partitioned index cannot be dropped CONCURRENTLY.
    let concurrently = table.kind != 'p';
    let word = if concurrently { "DROP INDEX CONCURRENTLY" } else { "DROP INDEX" };
    let undo = if concurrently { create_again(&index.sql) } else { index.sql.clone() };
    Fix {
        code,
        title: format!("drop index {}: {what}", index.name),
        evidence: vec![
            format!("{why}."),
            format!("It takes {} and an entry for each row that is written.", bytes(index.bytes)),
        ],
        action: Action::Sql { run: vec![format!("{word} {name}")], undo: vec![undo], concurrently },
        helps: vec![],
        saves: None,
        price: Price { bytes: -(index.bytes as i64), writes: 0.0 },
        proof: Proof::Pattern,
    }
}

/// `CREATE INDEX` as it was, without a lock on those that write.
fn create_again(sql: &str) -> String {
    sql.replacen("INDEX ", "INDEX CONCURRENTLY ", 1)
}

/// A name with its schema.
pub fn full(schema: &str, name: &str) -> String {
    format!("{}.{}", quoted(schema), quoted(name))
}

/// Bytes for people.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [(&str, f64); 3] = [("GB", 1e9), ("MB", 1e6), ("kB", 1e3)];
    let found = UNITS.iter().find(|(_, size)| bytes as f64 >= *size);
    found.map_or_else(
        || format!("{bytes} B"),
        |(unit, size)| {
            let value = bytes as f64 / size;
            if value < 10.0 { format!("{value:.1} {unit}") } else { format!("{value:.0} {unit}") }
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(oid: u32, columns: &[&str]) -> Index {
        let keys = columns.iter().map(|name| Key::column(*name)).collect();
        Index {
            oid,
            name: format!("i{oid}"),
            definition: Definition::btree(1, keys),
            sql: format!("CREATE INDEX i{oid} ON public.t USING btree ({})", columns.join(", ")),
            primary: false,
            needed: false,
            valid: true,
            parent: None,
            bytes: 1_000_000,
            scans: 5,
        }
    }

    fn codes(indexes: Vec<Index>, proposed: &[&Definition]) -> Vec<(&'static str, String)> {
        let table = Table {
            oid: 1,
            schema: "public".into(),
            name: "t".into(),
            kind: 'r',
            indexes,
            ..Table::default()
        };
        let schema = Schema {
            tables: vec![table],
            read_at: Some(LONG_ENOUGH * 2),
            counted_since: Some(0),
            scans_known: true,
            ..Schema::default()
        };
        let run = |fix: Fix| match fix.action {
            Action::Sql { run, .. } => (fix.code, run.join("; ")),
            _ => (fix.code, String::new()),
        };
        existing(&schema, proposed).into_iter().map(run).collect()
    }

    #[test]
    fn of_two_that_are_the_same_one_goes_and_never_a_needed_one() {
        let found = codes(vec![index(1, &["a"]), index(2, &["a"]), index(3, &["a"])], &[]);
        assert_eq!(found.iter().map(|fix| fix.0).collect::<Vec<_>>(), ["duplicate_index"; 2]);
        assert_eq!(found[0].1, "DROP INDEX CONCURRENTLY public.i2");
        let needed = |oid| Index { needed: true, ..index(oid, &["a"]) };
        assert_eq!(codes(vec![index(1, &["a"]), needed(2)], &[])[0].1, "DROP INDEX CONCURRENTLY public.i1");
        assert_eq!(codes(vec![needed(1), needed(2)], &[]), []);
    }

    #[test]
    fn a_prefix_goes_for_one_that_answers_the_same() {
        let found = codes(vec![index(1, &["a"]), index(2, &["a", "b"])], &[]);
        assert_eq!(found, [("redundant_index", "DROP INDEX CONCURRENTLY public.i1".to_owned())]);
        let mut part = index(2, &["a", "b"]);
        part.definition.predicate = Some("b > 1".into());
        assert_eq!(codes(vec![index(1, &["a"]), part], &[]), []);
        let mut unique = index(1, &["a"]);
        unique.definition.unique = true;
        assert_eq!(codes(vec![unique, index(2, &["a", "b"])], &[]), []);
        let mut down = index(2, &["a", "b"]);
        (down.definition.keys[0].descending, down.definition.keys[0].nulls_first) = (true, true);
        assert_eq!(codes(vec![index(1, &["a"]), down.clone()], &[]).len(), 1);
        down.definition.keys[0].nulls_first = false;
        assert_eq!(codes(vec![index(1, &["a"]), down], &[]), []);
        let wide = Index { bytes: 100_000_000, ..index(2, &["a", "b"]) };
        assert_eq!(codes(vec![index(1, &["a"]), wide], &[]), []);
    }

    #[test]
    fn proposed_unused_and_invalid_ones() {
        let proposed = Definition::btree(1, vec![Key::column("a"), Key::column("c")]);
        assert_eq!(codes(vec![index(1, &["a"])], &[&proposed])[0].0, "replaced_index");
        assert_eq!(codes(vec![Index { scans: 0, ..index(1, &["a"]) }], &[])[0].0, "unused_index");
        let broken = Index { valid: false, ..index(1, &["a"]) };
        assert_eq!(codes(vec![broken.clone()], &[])[0].1, "REINDEX INDEX CONCURRENTLY public.i1");
        let left = Index { name: "Odd_ccnew".into(), ..broken };
        assert_eq!(codes(vec![left], &[])[0].1, "DROP INDEX CONCURRENTLY public.\"Odd_ccnew\"");
    }

    #[test]
    fn bytes_are_told_in_units() {
        assert_eq!([999, 1500, 13_000_000].map(bytes), ["999 B", "1.5 kB", "13 MB"]);
    }
}
