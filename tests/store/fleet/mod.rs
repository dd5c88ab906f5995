//! History in a PostgreSQL: what several pgweirs write to one, and what is read from it, on a real server.

mod faults;
mod plans;
mod relay;
mod secrets;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use pgweir::store::marks::{Mark, SeenTable};
use pgweir::store::{Batch, Place, Policy, Writer};

use crate::admin::show;
use crate::check::check;
use crate::conformance::tls::Secured;
use crate::harness::cluster::{APP, Cluster, Database};
use crate::harness::command::Folder;
use crate::harness::proxy::{Proxy, ProxyOptions};
use crate::harness::raw::{Client, Login};
use crate::harness::{direct_only, eventually};
use pgweir::slow::Merged;
use pgweir::stats::tally::{Answer, Served, Sums, Who};

/// Noon of a day.
const NOON: i64 = 1_795_953_600;

fn policy() -> Policy {
    Policy { keep: Duration::from_secs(30 * 86400), max_size: 256 << 20, statements: 1000 }
}

/// A history that is written by this process.
fn writer(url: &str, instance: &str) -> Writer {
    let place = Place::named(Path::new(url)).expect("a good URL");
    Writer::start(&place, instance.to_owned(), policy()).expect("a thread")
}

/// Calls of a shape, each of a millisecond.
fn calls(merged: &mut Merged, text: &str, calls: u64) {
    let who = Arc::new(Who { database: "shop".into(), user: "app".into(), application: "web".into() });
    let mut sums = Sums::default();
    for _ in 0..calls {
        let times = Some([0, 1000, 0, 0, 1000]);
        sums.add(&Answer { served: Served::Primary, rows: 2, bytes: 10, error: None, times });
    }
    let fingerprint = pgweir::sql::shape(text.as_bytes(), true).fingerprint.0;
    merged.add(who, fingerprint, text.into(), sums);
}

/// Ten calls.
fn ten(at: i64) -> Batch {
    let mut batch = Batch { at, ..Batch::default() };
    calls(&mut batch.counted, "select $1", 10);
    batch
}

/// What the database of a history says to its superuser.
fn ask(cluster: &Cluster, database: &str, sql: &str) -> String {
    cluster.superuser(database).value(sql)
}

const CALLS: &str = "select coalesce(sum(calls), 0) from pgweir_history.bucket";
const MIGRATIONS: &str =
    "select string_agg(number::text || name, ' ' order by number) from pgweir_history.migration";

/// Waits until so many statements were written.
fn written(writer: &Writer, statements: u64) {
    eventually("it is written", || writer.status().written.load(Ordering::Relaxed) >= statements);
}

/// A database with a table, whose statements pgweirs count, and another for their history.
struct Fleet {
    cluster: &'static Cluster,
    database: Database<'static>,
    history: Database<'static>,
}

impl Fleet {
    fn new() -> Option<Fleet> {
        if direct_only() {
            return None;
        }
        let cluster = Cluster::shared();
        let (database, history) = (cluster.database(), cluster.database());
        database.setup("create table t (i int primary key, s text); insert into t select i, 'x' from generate_series(1, 100) i");
        Some(Fleet { cluster, database, history })
    }

    fn url(&self) -> String {
        self.cluster.url(APP, &self.history.name, "")
    }

    fn options(&self, instance: &str) -> ProxyOptions {
        let config = format!(
            "[admin]\nadmin_users = [\"{}\"]\n[history]\ninterval = \"100ms\"\ninstance = \"{instance}\"\nurl = \"{}\"\n",
            APP.0,
            self.url()
        );
        ProxyOptions::url(&self.cluster.url(APP, &self.database.name, "pool_size=3")).config(&config)
    }

    fn client(&self, proxy: &Proxy) -> Client {
        Client::connect(&proxy.endpoint(), &self.database.login().param("application_name", "web"))
    }

    fn ask(&self, sql: &str) -> String {
        ask(self.cluster, &self.history.name, sql)
    }
}

/// What `pgweir report` says, with single blanks, and whether it ends well.
fn report(file: &Path, more: &[&str]) -> (bool, String) {
    let (well, text) = super::report(file, more);
    (well, text.split_ascii_whitespace().collect::<Vec<_>>().join(" "))
}

/// What SHOW STORE says, by column.
fn store(proxy: &Proxy) -> std::collections::BTreeMap<String, String> {
    let login = Login::new(APP.0, APP.1, "pgweir");
    show(&mut Client::connect(&proxy.endpoint(), &login), "STORE").remove(0)
}

fn state(proxy: &Proxy) -> String {
    store(proxy)["state"].clone()
}

#[test]
fn fleet_history_has_what_each_pgweir_counted() {
    let Some(fleet) = Fleet::new() else { return };
    let mut proxies = ["one", "two"].map(|name| Proxy::start_with(&fleet.options(name)));
    for (proxy, times) in proxies.iter().zip([3, 5]) {
        let mut client = fleet.client(proxy);
        (0..times).for_each(|n| client.run(&format!("select i from t where i = {n}")));
        client.error("select 1 / 0");
    }
    for (proxy, times) in proxies.iter().zip([4, 6]) {
        eventually("it is written", || store(proxy)["written"].parse::<u64>().is_ok_and(|n| n >= times));
        assert_eq!(state(proxy), "ok", "{}", proxy.log());
    }
    // While they write.
    let file = fleet.url();
    let (well, all) = report(Path::new(&file), &[]);
    assert!(well && all.contains("counted by one, two") && all.contains("10 statements, 2 shapes"), "{all}");
    assert!(all.contains("BY PGWEIR") && all.contains(" two 6 ") && all.contains(" one 4 "), "{all}");
    let (well, one) = report(Path::new(&file), &["--instance", "one"]);
    assert!(
        well && !one.contains("BY PGWEIR")
            && one.contains("counted by one")
            && one.contains("4 statements, 2 shapes"),
        "{one}"
    );
    let (well, none) = report(Path::new(&file), &["--instance", "three"]);
    assert!(well && !none.contains("counted by"), "{none}");
    proxies.iter_mut().for_each(|proxy| {
        proxy.stop();
    });
    assert_eq!(fleet.ask(MIGRATIONS), "1001_history 4004_plans 5005_marks");
    let by = "select string_agg(instance || '=' || n, ' ' order by instance) from (select instance, sum(calls) as n
        from pgweir_history.bucket b join pgweir_history.origin o on o.id = b.origin group by instance) as s";
    assert_eq!(fleet.ask(by), "one=4 two=6");
    // Of shapes there is one row for both, with one number.
    let shapes = "select string_agg(text, '; ' order by text) from pgweir_history.shape join pgweir_history.shape_number using (fingerprint)";
    assert_eq!(fleet.ask(shapes), "select $1 / $2; select i from t where i = $1");
    for proxy in &proxies {
        assert!(!proxy.log().contains("cannot be written"), "{}", proxy.log());
    }
}

#[test]
fn fleet_of_many_makes_its_tables_once() {
    let Some(fleet) = Fleet::new() else { return };
    let mut writers: Vec<_> = (0..12).map(|n| writer(&fleet.url(), &format!("w{n}"))).collect();
    writers.iter().for_each(|writer| assert!(writer.send(ten(NOON))));
    for writer in &mut writers {
        written(writer, 10);
        assert_eq!(writer.status().standing().0.name(), "ok");
        assert!(writer.close(Duration::from_secs(10)));
    }
    assert_eq!(fleet.ask("select count(*) from pgweir_history.migration"), "3");
    assert_eq!(fleet.ask(CALLS), "120");
    assert_eq!(fleet.ask("select count(*) || ' ' || max(number) from pgweir_history.shape_number"), "1 1");
    assert_eq!(fleet.ask("select count(distinct instance) from pgweir_history.origin"), "12");
}

#[test]
fn fleet_marks_are_of_one_pgweir_or_of_all_and_go_with_the_rest() {
    let Some(fleet) = Fleet::new() else { return };
    let own = writer(&fleet.url(), "one");
    assert!(own.send(ten(NOON)));
    written(&own, 10);
    let place = Place::named(Path::new(&fleet.url())).expect("a good URL");
    for (text, instance) in [("v1", ""), ("v2 it's <b>", "one"), ("v3", "two")] {
        let mark = Mark::deploy(text, NOON + 10, instance).expect("a text");
        // The same twice is one.
        (0..2).for_each(|_| place.mark(&mark).expect("it is written"));
    }
    let table = |indexes: &[&str]| SeenTable {
        oid: 4_000_000_000,
        name: "public.t".to_owned(),
        indexes: indexes.iter().map(|name| ((*name).to_owned(), format!("t({name})"))).collect(),
    };
    let look = |instance: &str, indexes: &[&str], at| {
        place.note_indexes(("shop", instance), &[table(indexes)], at).expect("it is noted");
    };
    look("one", &["i"], NOON);
    look("two", &["i"], NOON + 5);
    look("one", &["i", "j"], NOON + 20);
    look("two", &["i", "j"], NOON + 25);
    look("one", &["j"], NOON + 30);
    let marks = |instance| {
        let marks = place.between((NOON, NOON + 60), 0, instance).expect("it is read").marks;
        marks.into_iter().map(|mark| (mark.text, mark.since - NOON, mark.at - NOON)).collect::<Vec<_>>()
    };
    let of = |text: &str, since, at| (text.to_owned(), since, at);
    let (said, came) = (of("v1", 10, 10), of("j on t(j)", 5, 20));
    assert_eq!(
        marks(None),
        [said.clone(), of("v2 it's <b>", 10, 10), of("v3", 10, 10), came, of("i on t(i)", 20, 30)]
    );
    assert_eq!(marks(Some("two")), [said, of("v3", 10, 10), of("j on t(j)", 5, 25)]);
    assert!(own.send(ten(NOON + 45 * 86400)));
    eventually("they go", || {
        fleet.ask("select (select count(*) from pgweir_history.mark) + (select count(*) from pgweir_history.seen_table)") == "0"
    });
}

#[test]
fn fleet_history_folds_and_forgets() {
    let Some(fleet) = Fleet::new() else { return };
    let (url, mut other) = (fleet.url(), writer(&fleet.url(), "other"));
    let own = writer(&url, "own");
    let (mut all, mut calls_of_other) = (0, 0);
    for minute in 0..120 {
        let at = NOON + minute * 60;
        assert!(own.send(ten(at)));
        all += 10;
        written(&own, all);
        if minute % 10 == 0 {
            assert!(other.send(Batch { missing: 3, ..ten(at) }));
            calls_of_other += 10;
            written(&other, calls_of_other);
        }
    }
    // One that counts no more is tended by another.
    assert!(other.close(Duration::from_secs(10)));
    let rows = "select string_agg(span || ':' || instance || ':' || n, ' ' order by span, instance) from (select span, instance, sum(calls) as n
        from pgweir_history.bucket b join pgweir_history.origin o on o.id = b.origin group by 1, 2) as s";
    assert_eq!(fleet.ask(rows), format!("60:other:{calls_of_other} 60:own:{all}"));
    assert!(own.send(ten(NOON + 9 * 3600)));
    eventually("minutes become hours", || {
        fleet.ask(rows) == format!("60:own:10 3600:other:{calls_of_other} 3600:own:{all}")
    });
    assert!(own.send(ten(NOON + 9 * 86400)));
    let days = format!("60:own:10 86400:other:{calls_of_other} 86400:own:{}", all + 10);
    eventually("hours become days", || fleet.ask(rows) == days);
    assert_eq!(fleet.ask("select sum(statements) from pgweir_history.missing"), "36");
    assert!(own.send(ten(NOON + 45 * 86400)));
    eventually("they go", || fleet.ask(rows) == "60:own:10");
    assert_eq!(fleet.ask("select count(*) from pgweir_history.origin"), "1");
    assert_eq!(fleet.ask("select count(*) from pgweir_history.missing"), "0");
    assert_eq!(own.status().standing().0.name(), "ok");
}

#[test]
fn fleet_history_that_is_too_large_loses_what_is_oldest() {
    let Some(fleet) = Fleet::new() else { return };
    let place = Place::named(Path::new(&fleet.url())).expect("a good URL");
    let small = Policy { max_size: 2 << 20, statements: 100_000, ..policy() };
    let writer = Writer::start(&place, "own".to_owned(), small).expect("a thread");
    let mut sent = 0;
    for minute in 0..30 {
        let mut batch = Batch { at: NOON + minute * 60, ..Batch::default() };
        for n in 0..300 {
            calls(&mut batch.counted, &format!("select c{minute}_{n} from {}", "x".repeat(200)), 1);
        }
        sent += batch.counted.calls();
        assert!(writer.send(batch));
        written(&writer, sent);
    }
    assert!(writer.send(ten(NOON + 31 * 60)));
    written(&writer, sent + 10);
    eventually("it is tended", || {
        let first = fleet.ask("select coalesce(min(start), 0) from pgweir_history.bucket");
        first.parse::<i64>().is_ok_and(|first| first > NOON)
            && writer.status().bytes.load(Ordering::Relaxed) <= 2 << 20
    });
    assert_eq!(
        fleet.ask(&format!("select count(*) from pgweir_history.bucket where start = {}", NOON + 31 * 60)),
        "1"
    );
    let texts = "select (select count(*) from pgweir_history.shape) = (select count(distinct fingerprint) from pgweir_history.bucket)";
    assert_eq!(fleet.ask(texts), "t", "texts go with their counts");
}

#[test]
fn fleet_history_bounds_the_shapes_of_a_minute() {
    let Some(fleet) = Fleet::new() else { return };
    let place = Place::named(Path::new(&fleet.url())).expect("a good URL");
    let few = Policy { statements: 5, ..policy() };
    let writer = Writer::start(&place, "own".to_owned(), few).expect("a thread");
    let mut batch = Batch { at: NOON, ..Batch::default() };
    (0..20).for_each(|n| calls(&mut batch.counted, &format!("select c{n}"), n + 1));
    let sent = batch.counted.calls();
    assert!(writer.send(batch) && writer.send(ten(NOON + 60)));
    written(&writer, sent + 10);
    let minute =
        format!("select count(*) || ' ' || sum(calls) from pgweir_history.bucket where start = {NOON}");
    eventually("the others are together", || fleet.ask(&minute) == format!("6 {sent}"));
}

#[test]
fn fleet_history_goes_over_tls() {
    if direct_only() {
        return;
    }
    let secured =
        Secured::start("hostssl all all 127.0.0.1/32 scram-sha-256\nhostnossl all all 127.0.0.1/32 reject\n");
    let folder = Folder::new();
    let root = folder.0.join("ca.crt");
    std::fs::write(&root, secured.authority.pem()).expect("a file can be written");
    let history = secured.cluster.database();
    let query = format!("sslmode=verify-full&channel_binding=require&sslrootcert={}", root.display());
    let url = secured.cluster.url(APP, &history.name, &query).replace("127.0.0.1", "localhost");
    let mut encrypted = writer(&url, "own");
    assert!(encrypted.send(ten(NOON)));
    written(&encrypted, 10);
    assert!(encrypted.close(Duration::from_secs(10)));
    assert_eq!(ask(&secured.cluster, &history.name, CALLS), "10");
    let plain = writer(&secured.cluster.url(APP, &history.name, "sslmode=disable"), "own");
    eventually("it is not let in", || plain.status().standing().0.name() == "refused");
}

#[test]
fn fleet_history_is_checked() {
    let Some(fleet) = Fleet::new() else { return };
    let file = |history: &str| {
        let url = fleet.cluster.url(APP, &fleet.database.name, "");
        format!("http = \"off\"\n[databases.shop]\nurl = \"{url}\"\n[history]\n{history}\n")
    };
    let shown = format!("postgres://app@127.0.0.1:{}/{}", fleet.cluster.port, fleet.history.name);
    let text = check(&file(&format!("url = \"{}\"", fleet.url()))).success();
    assert!(text.contains(&format!("history\n  {shown}: ok: its tables will be made\n")), "{text}");
    assert_eq!(fleet.ask("select count(*) from pg_namespace where nspname = 'pgweir_history'"), "0");
    let mut own = writer(&fleet.url(), "own");
    assert!(own.send(ten(NOON)) && own.close(Duration::from_secs(10)));
    let text = check(&file(&format!("url = \"{}\"", fleet.url()))).success();
    assert!(text.contains(&format!("  {shown}: ok: its tables are there\n")), "{text}");
    let output = check(&file(&format!("url = \"{}\"", fleet.url().replace(APP.1, "xSECRETx"))));
    assert!(!output.ok && output.stdout.contains("error: password authentication failed"), "{output:?}");
    assert!(output.stdout.contains("FILE:5:1: see its user, password and database"), "{output:?}");
    let output = check(&file(&format!("url = \"{}\"\nstore = \"h.db\"", fleet.url())));
    assert!(!output.ok && output.stderr.contains("`store` and `url` are both set; remove one"), "{output:?}");
    let output = check(&file("url = \"postgres://app:xSECRETx@127.0.0.1\""));
    assert!(
        !output.ok && output.stderr.contains("FILE:5:1: `url` cannot be used: it names no database"),
        "{output:?}"
    );
    let output = check(&file(&format!("url = \"{}\"", fleet.url().replace(&fleet.history.name, "nowhere"))));
    assert!(!output.ok && output.stdout.contains("\"nowhere\" does not exist"), "{output:?}");
}

#[test]
fn fleet_history_of_the_command_line_wins() {
    let Some(fleet) = Fleet::new() else { return };
    let folder = Folder::new();
    let secret = folder.0.join("url");
    std::fs::write(&secret, format!("{}\n", fleet.url())).expect("a file can be written");
    let mut options = fleet.options("one");
    options.config = options.config.replace(&fleet.url(), "postgres://nobody:xSECRETx@127.0.0.1:1/nowhere");
    options.args.extend(["--store".to_owned(), format!("file:{}", secret.display())]);
    let mut proxy = Proxy::start_with(&options);
    fleet.client(&proxy).run("select 1");
    eventually("it is written", || store(&proxy)["written"] != "0");
    proxy.stop();
    let (well, text) = report(Path::new(&format!("file:{}", secret.display())), &[]);
    assert!(well && text.contains("counted by one"), "{text}");
}
