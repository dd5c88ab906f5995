//! What becomes of rows as time goes by.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;

use super::*;
use crate::slow::Shows;
use crate::stats::samples::Origin;
use crate::stats::tally::{Answer, Served, Sums, Who};

/// Noon of a day.
const NOON: i64 = 1_795_953_600;

fn memory() -> Connection {
    let mut file = Connection::open_in_memory().expect("memory");
    migrate::migrate(&mut file).expect("tables");
    file
}

fn policy(statements: usize) -> Policy {
    Policy { keep: Duration::from_secs(30 * 86400), max_size: 256 << 20, statements }
}

/// Statements of so many shapes, the first of which is the dearest.
fn batch(at: i64, shapes: u64) -> Batch {
    let who = Arc::new(Who { database: "shop".into(), user: "app".into(), application: "web".into() });
    let mut batch = Batch { at, ..Batch::default() };
    for shape in 1..=shapes {
        let mut sums = Sums::default();
        let micros = 1000 / shape;
        let times = Some([0, micros, 0, 0, micros]);
        let error = (shape == 1).then_some(*b"40");
        sums.add(&Answer { served: Served::Primary, rows: 2, bytes: 10, error, times });
        batch.counted.add(who.clone(), shape.into(), format!("select c{shape}").into(), sums);
    }
    batch
}

fn put_in(file: &mut Connection, batch: &Batch) {
    let part = file.transaction().expect("a transaction");
    put::batch(&part, "one", batch, true).expect("it is written");
    part.commit().expect("it is there");
}

/// Rows by span and start: how many, and how many calls.
fn rows(file: &Connection) -> Vec<(i64, i64, i64, i64)> {
    let text =
        "SELECT span, start, count(*), sum(calls) FROM bucket GROUP BY span, start ORDER BY span, start";
    let mut read = file.prepare(text).expect("a query");
    let rows = read.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)));
    rows.expect("rows").map(|row| row.expect("a row")).collect()
}

fn fold_all(file: &mut Connection, now: i64, policy: &Policy) {
    while fold::fold(file, now, policy).expect("it folds") {}
}

#[test]
fn what_is_counted_twice_in_a_minute_is_added() {
    let mut file = memory();
    put_in(&mut file, &batch(NOON, 3));
    put_in(&mut file, &batch(NOON + 59, 2));
    put_in(&mut file, &Batch { missing: 7, ..batch(NOON + 60, 1) });
    assert_eq!(rows(&file), [(60, NOON, 3, 5), (60, NOON + 60, 1, 1)]);
    let text = format!("SELECT {} FROM bucket WHERE start = ?1 ORDER BY fingerprint", put::SUMS);
    let sums = file.query_row(&text, [NOON], |row| put::sums(row, 0)).expect("a row");
    assert_eq!((sums.calls, sums.rows, sums.failures(), sums.micros[4]), (2, 4, 2, 2000));
    assert_eq!((sums.longest, sums.times[4].len()), (1000, 2));
    let missing: i64 =
        file.query_row("SELECT sum(statements) FROM missing", [], |row| row.get(0)).expect("a sum");
    assert_eq!(missing, 7);
}

#[test]
fn minutes_become_hours_and_hours_days_and_nothing_is_lost() {
    let (mut file, policy) = (memory(), policy(2));
    for minute in 0..180 {
        put_in(&mut file, &batch(NOON + minute * 60, 3));
    }
    fold::settle(&mut file, NOON, &policy).expect("it settles");
    // The two dearest, and the others.
    assert_eq!(rows(&file)[0], (60, NOON, 3, 3));
    fold_all(&mut file, NOON + 2 * 3600 + 6 * 3600, &policy);
    let found = rows(&file);
    assert_eq!((found.len(), found[60], found[61]), (62, (3600, NOON, 3, 180), (3600, NOON + 3600, 3, 180)));
    fold_all(&mut file, NOON + 9 * 86400, &policy);
    assert_eq!(rows(&file), [(86400, NOON - 43200, 3, 540)]);
    file.execute_batch(&format!(
        "INSERT INTO mark VALUES ({NOON}, 'deploy', '', '', 'v1', {NOON});
         INSERT INTO seen_table VALUES ('one', 'shop', 'public.t', 1, '[]', {NOON})"
    ))
    .expect("a mark");
    let left = |file: &Connection, table: &str| -> i64 {
        file.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).expect("a count")
    };
    fold::expire(&mut file, NOON + 29 * 86400, &policy).expect("it expires");
    assert_eq!((rows(&file).len(), left(&file, "mark"), left(&file, "seen_table")), (1, 1, 1));
    fold::expire(&mut file, NOON + 31 * 86400, &policy).expect("it expires");
    for table in ["bucket", "shape", "origin", "mark", "seen_table"] {
        assert_eq!(left(&file, table), 0, "{table}");
    }
}

#[test]
fn the_oldest_goes_where_there_is_too_much() {
    let (mut file, mut policy) = (memory(), policy(10_000));
    for minute in 0..60 {
        put_in(&mut file, &batch(NOON + minute * 60, 300));
    }
    policy.max_size = fold::bytes(&file).expect("a size") / 2;
    assert!(fold::shrink(&mut file, &policy).expect("it shrinks").is_some());
    assert!(fold::bytes(&file).expect("a size") <= policy.max_size);
    let found = rows(&file);
    assert!(found[0].1 > NOON && found.last().is_some_and(|last| last.1 == NOON + 59 * 60), "{found:?}");
    assert_eq!(fold::shrink(&mut file, &policy).expect("it shrinks"), None);
    policy.max_size = 1;
    fold::shrink(&mut file, &policy).expect("it ends where nothing is left");
    assert!(rows(&file).is_empty());
}

#[test]
fn a_writer_that_is_never_given_anything_ends() {
    let folder = std::env::temp_dir().join(format!("pgweir-store-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let mut writer =
        Writer::start(&Place::File(folder.join("h.db")), "one".into(), policy(10)).expect("a thread");
    assert!(writer.send(batch(NOON, 2)));
    assert!(writer.close(Duration::from_secs(20)));
    let history = read::since(&folder.join("h.db"), NOON - 60).expect("it can be read");
    assert_eq!((history.counted.calls(), history.instances), (2, vec!["one".to_owned()]));
    assert_eq!(history.between, Some((NOON, NOON + 60)));
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(folder.join("h.db")).expect("a file").permissions(),
    );
    assert_eq!(mode & 0o777, 0o600, "it is nobody else's to read");
    std::fs::remove_dir_all(folder).expect("it can be removed");
}

#[test]
fn samples_stand_in_the_place_of_those_before_and_go_with_their_shape() {
    let mut file = memory();
    let shown = |values: Vec<Shows>| Shown {
        origin: Origin::Slowest,
        calls: 3,
        micros: 70,
        text: "select $1".to_owned(),
        values,
        types: vec![1700],
    };
    let with = |values: Vec<Shows>| {
        let one =
            KeptSample { database: "shop".into(), fingerprint: 1, shown: vec![shown(values.clone()); 20] };
        let callers = vec![("shop".to_owned(), 1, "route=/x".into(), 5)];
        Batch { samples: vec![one], callers, ..batch(NOON, 1) }
    };
    let hidden = || Shows::Hidden("xSECRETx".to_owned());
    put_in(&mut file, &with(vec![hidden(); 3]));
    put_in(
        &mut file,
        &with(vec![hidden(), Shows::Clear("a".into()), Shows::Null, Shows::LeftOut("too long")]),
    );
    let read = |file: &Connection| -> Vec<Stored> {
        let text =
            "SELECT database, fingerprint, origin, text, vals, micros, calls FROM sample ORDER BY number";
        let mut read = file.prepare(text).expect("a query");
        let rows = read.query_map([], Stored::read).expect("rows");
        rows.map(|row| row.expect("a row")).collect()
    };
    let found = read(&file);
    assert_eq!((found.len(), found[0].fingerprint, found[0].micros, found[0].calls), (12, 1, 70, 3));
    let [StoredValue::Hash(hash), rest @ ..] = found[0].values.as_slice() else { panic!("{found:?}") };
    assert!(hash.len() == 16 && !hash.contains("SECRET"), "{hash}");
    assert_eq!(found[0].types, [1700, 0, 0, 0]);
    assert_eq!(
        rest,
        [StoredValue::Clear("a".into()), StoredValue::Null, StoredValue::LeftOut("too long".into())]
    );
    let calls: i64 = file.query_row("SELECT sum(calls) FROM caller", [], |row| row.get(0)).expect("a sum");
    assert_eq!(calls, 10);
    fold::expire(&mut file, NOON + 31 * 86400, &policy(10)).expect("it expires");
    assert!(read(&file).is_empty());
}
