//! Very large changes around pgweir: very many rows in one commit, and storms of TRUNCATE. What is kept of other tables stays, memory stays what it is, and the
//! stream is behind for no longer than the server takes to tell it.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::applied::Ruled;
use super::cached::{is_hit, until_hit};
use crate::admin::get;
use crate::harness::cluster::Cluster;
use crate::harness::raw::Client;
use crate::harness::{big, eventually, frontend as msg};

const RULES: &str = r#"
[[rule]]
name = "kept"
when = { class = "select", tables = ["many", "few", "t*"] }
then.cache = { level = "session", ttl_cap = "1h", bound = "10m" }
"#;

/// Rows that are changed in one commit: more than are told one by one, many times over. A million with `PGWEIR_TEST_BIG=1`.
fn rows() -> u32 {
    if big() { 1_000_000 } else { 250_000 }
}

/// By so much the memory of pgweir may grow meanwhile: what sessions and their answers take.
const GROWTH: u64 = 24 << 20;
/// The server decodes and sends them on a machine that does much else; it takes some seconds alone.
const PATIENCE: Duration = Duration::from_secs(240);

fn ruled(setup: &str) -> Option<(Ruled, Client)> {
    let ruled = Ruled::with(RULES, "pool_size=6")?;
    ruled.databases[0].setup("create table few (id int primary key, n int); insert into few select i, i from generate_series(1, 50) as i");
    ruled.databases[0].setup(setup);
    let beside = Cluster::shared().superuser(&ruled.databases[0].name);
    Some((ruled, beside))
}

/// Until the cache knows all that was committed.
fn barrier(ruled: &Ruled) -> Duration {
    let start = Instant::now();
    // It waits for so long, and then says for what.
    while ruled.console().simple("cache barrier").iter().any(|message| message.tag == b'E') {
        assert!(start.elapsed() < PATIENCE, "the stream has not come so far");
    }
    start.elapsed()
}

/// Reads the same again and again until told to stop; gives how many reads there were.
fn reads(ruled: &Ruled, stop: &AtomicBool) -> u64 {
    let (mut client, mut count) = (ruled.client(), 0);
    while !stop.load(Relaxed) {
        for id in 1..=20 {
            let n: u32 =
                client.value(&format!("select n from many where id = {id}")).parse().expect("a number");
            assert!(n == id || n == id + rows(), "{n} of {id}");
            assert_eq!(client.value(&format!("select n from few where id = {id}")), id.to_string());
        }
        count += 40;
        std::thread::sleep(Duration::from_millis(5));
    }
    count
}

#[test]
fn very_many_rows_in_one_commit() {
    let rows = rows();
    let setup = format!(
        "create table many (id int primary key, n int) with (autovacuum_enabled = off);
         insert into many select i, i from generate_series(1, {rows}) as i"
    );
    let Some((ruled, mut beside)) = ruled(&setup) else { return };
    let mut client = ruled.client();
    let (many, few) =
        (msg::query("select n from many where id = 7"), msg::query("select n from few where id = 7"));
    until_hit(&mut client, &mut beside, "many", &many);
    until_hit(&mut client, &mut beside, "few", &few);
    let stop = AtomicBool::new(false);
    let (before, counted, behind, most) = std::thread::scope(|scope| {
        let readers: Vec<_> = (0..2).map(|_| scope.spawn(|| reads(&ruled, &stop))).collect();
        std::thread::sleep(Duration::from_millis(500));
        let before = ruled.proxy.memory();
        beside.run(&format!("update many set n = n + {rows}"));
        // The stream comes to it now.
        let told = scope.spawn(|| barrier(&ruled));
        let mut most = before;
        while !told.is_finished() {
            most = most.max(ruled.proxy.memory());
            std::thread::sleep(Duration::from_millis(20));
        }
        let behind = told.join().expect("the barrier is passed");
        stop.store(true, Relaxed);
        let counted: Vec<u64> =
            readers.into_iter().map(|one| one.join().expect("nothing wrong is read")).collect();
        (before, counted, behind, most.max(ruled.proxy.memory()))
    });
    println!(
        "{rows} rows: told {behind:?} after the commit; memory {before} at first, {most} at most; {counted:?} reads"
    );
    assert!(behind < PATIENCE, "{behind:?}");
    assert!(most < before + GROWTH, "{before} to {most}");
    assert!(counted.iter().all(|count| *count > 100), "{counted:?}");
    assert_eq!(client.value("select n from many where id = 7"), (rows + 7).to_string());
    std::thread::sleep(Duration::from_millis(100));
    assert!(is_hit(&mut client, &mut beside, "few", &few), "a row of another table has not changed");
    until_hit(&mut client, &mut beside, "many", &many);
}

#[test]
fn a_storm_of_truncates() {
    let tables: String = (0..20).map(|n| format!("create table t{n} (id int primary key);")).collect();
    let Some((ruled, mut beside)) = ruled(&tables) else { return };
    let mut client = ruled.client();
    let few = msg::query("select n from few where id = 7");
    for n in 0..20 {
        until_hit(
            &mut client,
            &mut beside,
            &format!("t{n}"),
            &msg::query(&format!("select count(*) from t{n}")),
        );
    }
    until_hit(&mut client, &mut beside, "few", &few);
    let before = ruled.proxy.memory();
    let all = (0..20).map(|n| format!("t{n}")).collect::<Vec<_>>().join(", ");
    for round in 0..25 {
        for n in 0..20 {
            beside.run(&format!("insert into t{n} values ({round})"));
        }
        beside.run(&format!("truncate {all}"));
    }
    // Many in one transaction.
    beside.run("begin");
    for n in 0..100 {
        beside.run(&format!("insert into t{} values (1000); truncate {all}", n % 20));
    }
    beside.run("insert into t3 values (1), (2); commit");
    let behind = barrier(&ruled);
    let after = ruled.proxy.memory();
    println!("told {behind:?} after the last commit; memory {before} at first, {after} then");
    assert!(behind < PATIENCE / 4, "{behind:?}");
    assert!(after < before + GROWTH, "{before} to {after}");
    let hit = is_hit(&mut client, &mut beside, "few", &few);
    let (_, page) = get(ruled.http, "/metrics");
    let counted: Vec<&str> =
        page.lines().filter(|line| line.starts_with("pgweir_cache_") && !line.ends_with(" 0")).collect();
    assert!(hit, "a row of another table has not changed: {counted:#?}");
    for n in 0..20 {
        let expected = if n == 3 { "2" } else { "0" };
        let read = format!("select count(*) from t{n}");
        eventually(&read, || client.value(&read) == expected);
    }
}
