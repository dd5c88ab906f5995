//! What else is known of shapes: statements with their values, how they come in transactions, and where callers send them from.

use std::path::Path;

use pgweir::advice::Workload;
use pgweir::store::workload::{Whose, of_history};
use pgweir::store::{Place, StoredValue, read};
use rusqlite::Connection;

use super::{Scene, line, lines};
use crate::cluster;
use crate::harness::cluster::APP;
use crate::harness::command::Folder;
use crate::harness::direct_only;
use crate::harness::eventually;
use crate::harness::frontend as msg;
use crate::harness::proxy::{Proxy, ProxyOptions};
use crate::harness::raw::Client;
use crate::harness::raw::Login;

/// Stands in every place where a value may.
const SECRET: &str = "xSECRETx";

/// Runs a loop of a driver that prepares its statement: one value each.
fn looped(client: &mut Client, values: std::ops::Range<i32>) {
    for n in values {
        let bind = msg::bind_formats("", "", &[1], &[Some(&n.to_be_bytes())], &[]);
        let parse = msg::parse_typed("", "select s from t where i = $1", &[23]);
        client.send(&[parse, bind, msg::execute("", 0), msg::sync()].concat());
        client.until_ready();
    }
}

/// What a file has of a database, as advice has it.
fn workload(file: &Path, database: Option<&str>) -> Workload {
    let (place, all) = (Place::File(file.to_owned()), (0, i64::MAX));
    let history = place.between(all, 0, None).expect("it can be read");
    of_history(&place, &history, all, Whose { database, instance: None }).expect("it can be read")
}

fn bytes(file: &Path) -> Vec<u8> {
    let parts =
        ["", "-wal"].map(|part| std::fs::read(format!("{}{part}", file.display())).unwrap_or_default());
    parts.concat()
}

#[test]
fn store_has_values_as_hashes_but_for_columns_that_are_named() {
    let Some(mut scene) = Scene::new("clear_values = [\"t.i\"]\n") else { return };
    let mut client = scene.client();
    for n in 0..40 {
        client.run(&format!("select i from t where i = {n} and s = '{SECRET}{}' /* {SECRET} */", n % 2));
    }
    looped(&mut client, 0..40);
    scene.written(80);
    drop(client);
    scene.proxy.stop();
    let found = read::samples(&scene.file(), Some(&scene.database.name)).expect("it can be read");
    let simple: Vec<_> = found.iter().filter(|one| one.text.contains("and s =")).collect();
    assert!((4..=12).contains(&simple.len()), "{found:?}");
    assert!(simple.iter().all(|one| one.text == "select i from t where i = $1 and s = $2 "), "{simple:?}");
    assert!(simple.iter().all(|one| matches!(&one.values[0], StoredValue::Clear(_))), "{simple:?}");
    let mut hashes: Vec<_> = simple.iter().map(|one| format!("{:?}", one.values[1])).collect();
    hashes.sort();
    hashes.dedup();
    assert!(
        hashes.len() <= 2 && hashes.iter().all(|one| one.starts_with("Hash")),
        "equal values have equal ones: {hashes:?}"
    );
    let bound: Vec<_> = found.iter().filter(|one| one.text == "select s from t where i = $1").collect();
    assert!(!bound.is_empty() && bound.iter().all(|one| one.in_clear().is_some()), "{found:?}");
    assert!(!bytes(&scene.file()).windows(SECRET.len()).any(|part| part == SECRET.as_bytes()));
    assert!(!scene.proxy.log().contains(SECRET));
    // And as advice has it.
    let workload = workload(&scene.file(), Some(&scene.database.name));
    let shape =
        workload.shapes.iter().find(|one| one.text == "select s from t where i = $1").expect("it was seen");
    assert!(!shape.samples.is_empty() && shape.samples.iter().all(|one| one.values.len() == 1));
    assert_eq!(shape.sums.calls, 40);
    assert!(workload.shapes.iter().any(|one| one.samples.is_empty()), "what is not clear is not there");
}

#[test]
fn store_has_nothing_of_values_where_none_are_wanted() {
    let Some(mut scene) = Scene::new("samples = 0\n") else { return };
    looped(&mut scene.client(), 0..20);
    scene.written(20);
    scene.proxy.stop();
    assert!(read::samples(&scene.file(), None).expect("it can be read").is_empty());
}

#[test]
fn store_knows_loops_in_transactions() {
    let Some(mut scene) = Scene::new("") else { return };
    let mut client = scene.client();
    for _ in 0..3 {
        client.run("begin");
        client.run("select i from t where i < 3");
        looped(&mut client, 0..12);
        client.run("commit");
    }
    client.run("begin");
    looped(&mut client, 0..2);
    // Many in one batch take one round trip.
    let parse = msg::parse("b", "update t set s = 'x' where i = $1");
    let many: Vec<u8> =
        (0..50).flat_map(|n| [msg::bind("", "b", &[&n.to_string()]), msg::execute("", 0)].concat()).collect();
    client.send(&[parse, many, msg::sync()].concat());
    client.until_ready();
    client.run("rollback");
    looped(&mut client, 0..30);
    scene.written(3 * 15 + 54 + 30);
    drop(client);
    scene.proxy.stop();
    let workload = workload(&scene.file(), None);
    let habits = |text: &str| {
        let shape =
            workload.shapes.iter().find(|one| one.text == text).unwrap_or_else(|| panic!("no {text}"));
        let found = &shape.habits;
        (found.transactions, found.most_in_one, found.in_loops, found.looped)
    };
    // Of 68, 38 were in 4 blocks, and 30 by themselves.
    assert_eq!(habits("select s from t where i = $1"), (34, 12, 3, 36));
    assert_eq!(habits("select i from t where i < $1"), (3, 1, 0, 0));
    assert_eq!(habits("update t set s = $1 where i = $2").1, 1);
}

#[test]
fn store_knows_where_callers_send_statements_from() {
    let Some(mut scene) = Scene::new("tags = [\"route\", \"action\"]\n") else { return };
    let mut client = scene.client();
    for n in 0..30 {
        let tags = format!(
            "action='show',secret='{SECRET}',route='%2Forders%2F{}',traceparent='00-{n:032x}-{n:016x}-01'",
            n % 2
        );
        client.run(&format!("select i from t where i = {n} /*{tags}*/"));
    }
    scene.written(30);
    drop(client);
    scene.proxy.stop();
    let found = read::callers(&scene.file(), 0, Some(&scene.database.name)).expect("it can be read");
    let mut names: Vec<_> = found.iter().map(|(_, caller, _)| caller.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["route=/orders/0,action=show", "route=/orders/1,action=show"]);
    let calls: u64 = found.iter().map(|(_, _, calls)| calls).sum();
    assert!((20..=30).contains(&calls), "{found:?}");
    assert!(!bytes(&scene.file()).windows(SECRET.len()).any(|part| part == SECRET.as_bytes()));
}

#[test]
fn store_of_the_first_version_goes_on_with_other_texts() {
    let old = |file: &Path| {
        let file = Connection::open(file).expect("a file");
        file.execute_batch(include_str!("../../migrations/state/001_history.up.sql")).expect("tables");
        file.execute_batch(
            "INSERT INTO shape VALUES (x'0000000000000000000000000000000a', 'select ? from old', 1, 1790000000);
             INSERT INTO origin VALUES (1, 'one', 'd', 'u', 'a');
             INSERT INTO bucket VALUES (86400, unixepoch() / 86400 * 86400, 1, x'0000000000000000000000000000000a', 7, 7, 7, 7,
                 '7 0 0 0', '0 7 0 0 7', 1, '', x'0000000000');
             PRAGMA application_id = 1885828978; PRAGMA user_version = 1",
        )
        .expect("rows");
    };
    let Some(mut scene) = Scene::with_file("", old) else { return };
    looped(&mut scene.client(), 0..2);
    scene.written(2);
    scene.proxy.stop();
    let found = lines(&scene.file());
    assert_eq!(found[&("a".to_owned(), "select $1 from old".to_owned())], line(7, 7, 7, ""));
    assert_eq!(found[&("web".to_owned(), "select s from t where i = $1".to_owned())].0, 2);
    // A report brings one up to date that no pgweir has open.
    let other = scene.folder.0.join("other.db");
    old(&other);
    let (well, text) = super::report(&other, &["--since", "30d"]);
    assert!(well && text.contains("select $1 from old"), "{text}");
}

#[test]
fn store_has_what_is_refused_before_a_server_is_asked() {
    let Some(mut scene) = Scene::new("") else { return };
    scene.proxy.stop();
    let rules = scene.folder.0.join("rules");
    std::fs::create_dir(&rules).expect("a folder");
    let rule = "[[rule]]\nname = \"no\"\nwhen = { class = \"delete\", where = false }\nthen.block.message = \"no\"\n";
    std::fs::write(rules.join("a.toml"), rule).expect("a file");
    scene.options.args.extend(["--rules".to_owned(), rules.display().to_string()]);
    let options = ProxyOptions {
        config: format!("{}\n[limits]\nqueue_timeout = \"2s\"\n", scene.options.config),
        ..scene.options.clone()
    };
    scene.proxy = Proxy::start_with(&options);
    let mut client = scene.client();
    assert_eq!(client.error("delete from t"), "42501");
    client.send(&[msg::unnamed("delete from t", &[]), msg::sync()].concat());
    client.until_ready();
    client.run("begin");
    client.run("select i from t where i = 1");
    assert_eq!(client.error("delete from t"), "42501");
    client.run("rollback");
    let mut holders: Vec<_> = (0..3).map(|_| scene.client()).collect();
    for holder in &mut holders {
        holder.run("begin");
        holder.run("select 3");
    }
    let code = client.error("select 'waits'");
    holders.iter_mut().for_each(|holder| holder.run("commit"));
    drop((client, holders));
    eventually("it is there", || {
        scene.show("STATEMENTS").iter().any(|row| row["statement"] == "delete from t")
    });
    scene.proxy.stop();
    let found = lines(&scene.file());
    let refused = &found[&("web".to_owned(), "delete from t".to_owned())];
    assert_eq!((refused.0, refused.2), (3, 0), "{refused:?}");
    assert!(refused.3.contains("42="), "{refused:?}");
    let class = &code[..2];
    let waited = &found[&("web".to_owned(), "select $1".to_owned())];
    assert!(waited.3.contains(&format!("{class}=1")), "{code}: {waited:?}");
}

#[test]
fn store_tells_which_statements_a_replica_has_answered() {
    if direct_only() {
        return;
    }
    let scene = cluster::Scene::new(1);
    let make = "create table read_there (i int); insert into read_there values (1); grant all on read_there to public";
    scene.primary.superuser("postgres").run(make);
    eventually("the replica has it", || {
        scene.standbys[0].superuser("postgres").value("select to_regclass('read_there') is not null") == "t"
    });
    let folder = Folder::new();
    let file = folder.0.join("history.db");
    let mut options = ProxyOptions::url(&scene.url(APP, "check_interval=50ms&consistency=any"));
    options.args.extend(["--store".to_owned(), file.display().to_string()]);
    let mut proxy = Proxy::start_with(&options);
    let mut client = Client::connect(&proxy.endpoint(), &Login::new(APP.0, APP.1, "postgres"));
    let there = || {
        scene.standbys[0]
            .superuser("postgres")
            .value("select count(*) from pg_stat_activity where query = 'select i from read_there'")
    };
    let mut calls = 0;
    eventually("a replica answers", || {
        calls += 1;
        client.run("select i from read_there");
        there() != "0"
    });
    client.run("update read_there set i = 2");
    drop(client);
    proxy.stop();
    let history = read::since(&file, 0).expect("it can be read");
    let of = |text: &str| {
        let found = history.counted.lines().find(|(_, _, known, _)| &***known == text);
        found.map(|(_, _, _, sums)| sums.clone()).unwrap_or_else(|| panic!("no {text}"))
    };
    let read = of("select i from read_there");
    assert_eq!((read.calls, read.served[0] + read.served[1]), (calls, calls));
    assert!(read.served[1] > 0 && read.timed == calls, "{read:?}");
    assert_eq!(of("update read_there set i = $1").served, [1, 0, 0, 0]);
}
