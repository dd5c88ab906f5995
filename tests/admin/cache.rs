//! The result cache from outside: SHOW CACHE, its entries, FLUSH and BARRIER, and the metrics, with a stream, without one, and with a commit
//! that nobody sees.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::{Rows, columns, fault, get, row, show};
use crate::harness::cluster::{APP, APP2, Cluster, Database, free_port};
use crate::harness::command::Folder;
use crate::harness::proxy::{Proxy, ProxyOptions};
use crate::harness::raw::{Client, Login};
use crate::harness::{direct_only, eventually, frontend as msg};

/// A proxy whose rules keep answers, in front of a database with two tables.
struct Scene<'c> {
    proxy: Proxy,
    http: SocketAddr,
    database: Database<'c>,
    _rules: Folder,
}

impl<'c> Scene<'c> {
    fn new(cluster: &'c Cluster, level: &str) -> Scene<'c> {
        let database = cluster.database();
        database.setup(
            "create table t (i int primary key, n int); insert into t select i, 0 from generate_series(1, 9) i; \
             create schema other; create table other.u (i int primary key); create view v as select n from t where i = 2",
        );
        let rules = Folder::new();
        let rule = format!("[[rule]]\nname = \"kept\"\nwhen.class = \"read\"\nthen.cache = {{ {level} }}\n");
        std::fs::write(rules.0.join("a.toml"), rule).expect("a file can be written");
        let http = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let users = format!(
            "[admin]\nadmin_users = [\"{}\"]\nstats_users = [\"{}\"]\n[users.{}]\npassword = \"plain:{}\"\n",
            APP.0, APP2.0, APP2.0, APP2.1
        );
        let url = cluster.url(APP, &database.name, "pool_size=3");
        let mut options = ProxyOptions::url(&url).config(&users);
        let folder = rules.0.display().to_string();
        options.args.extend(["--http".to_owned(), http.to_string(), "--rules".to_owned(), folder]);
        let proxy = Proxy::start_with(&options);
        eventually("HTTP answers", || get(http, "/health").0 == 200);
        Scene { proxy, http, database, _rules: rules }
    }

    fn client(&self) -> Client {
        Client::connect(&self.proxy.endpoint(), &self.database.login())
    }

    fn console(&self, user: (&str, &str)) -> Client {
        Client::connect(&self.proxy.endpoint(), &Login::new(user.0, user.1, "pgweir"))
    }

    /// What is shown of the database, and of all together.
    fn shown(&self) -> [BTreeMap<String, String>; 2] {
        let rows = show(&mut self.console(APP2), "CACHE");
        assert_eq!(rows.len(), 2, "{rows:?}");
        [row(&rows, "database", &self.database.name).clone(), row(&rows, "database", "").clone()]
    }

    fn entries(&self, page: &str) -> Rows {
        show(&mut self.console(APP2), &format!("CACHE ENTRIES {page}"))
    }

    /// Without labels, with those that are given, or with the name of the database behind `NAME`.
    fn metric(&self, sample: &str) -> f64 {
        let sample = format!("pgweir_cache_{} ", sample.replace("NAME", &self.database.name));
        let (_, page) = get(self.http, "/metrics");
        let line = page.lines().find_map(|line| line.strip_prefix(&sample));
        line.unwrap_or_else(|| panic!("no {sample}in\n{page}")).parse().expect("a number")
    }

    /// Reads until it is answered from the cache; gives what that was.
    fn hit(&self, client: &mut Client, sql: &str) -> String {
        let before = self.metric("hits_total");
        let mut found = String::new();
        eventually(&format!("a hit: {sql}"), || {
            found = client.value(sql);
            self.metric("hits_total") > before
        });
        found
    }
}

fn number(row: &BTreeMap<String, String>, column: &str) -> u64 {
    row[column].parse().unwrap_or_else(|_| panic!("{column} is no number: {row:?}"))
}

#[test]
fn admin_cache_is_shown_and_counted() {
    if direct_only() {
        return;
    }
    let scene = Scene::new(Cluster::shared(), "level = \"session\"");
    let mut console = scene.console(APP2);
    let rows = show(&mut console, "CACHE");
    assert_eq!(
        (rows.len(), rows[0]["database"].as_str(), rows[0]["entries"].as_str()),
        (1, "", "0"),
        "nobody was there"
    );
    let mut client = scene.client();
    assert_eq!(scene.hit(&mut client, "select n from t where i = 1"), "0");
    let [mine, all] = scene.shown();
    assert_eq!((mine["state"].as_str(), mine["reason"].as_str()), ("streaming", ""));
    assert_eq!((number(&mine, "tables_followed"), number(&mine, "tables_wanted")), (1, 1));
    assert!(number(&mine, "fresh_us") < 5_000_000 && number(&mine, "lag_us") < 5_000_000, "{mine:?}");
    assert_eq!(number(&mine, "doubts"), 0);
    assert!(
        number(&all, "hits") >= 1 && number(&all, "misses") >= 2 && number(&all, "stored") >= 1,
        "{all:?}"
    );
    assert!(number(&all, "bytes") > 0 && number(&all, "bytes") < number(&all, "limit"), "{all:?}");
    assert_eq!(number(&all, "entries"), 1);
    for (sample, least, most) in [
        ("hits_total", 1.0, 1e9),
        ("misses_total{reason=\"first_use\"}", 0.0, 1e9),
        ("stored_total", 1.0, 1e9),
        ("entries", 1.0, 1.0),
        ("bytes", 100.0, 67_108_864.0),
        ("followers", 0.0, 0.0),
        ("stream_up{database=\"NAME\"}", 1.0, 1.0),
        ("stream_lag_seconds{database=\"NAME\"}", 0.0, 5.0),
        ("fresh_seconds{database=\"NAME\"}", 0.0, 5.0),
        ("limbo{database=\"NAME\"}", 0.0, 9.0),
        ("doubts{database=\"NAME\"}", 0.0, 0.0),
        ("bypass_seconds_total{database=\"NAME\"}", 0.0, 60.0),
    ] {
        let found = scene.metric(sample);
        assert!((least..=most).contains(&found), "{sample}: {found}");
    }
    // What may not be kept is counted under its name.
    let before = scene.metric("refusals_total{reason=\"system_column\"}");
    eventually("the refusal is counted", || {
        client.run("select xmin from t where i = 1");
        scene.metric("refusals_total{reason=\"system_column\"}") > before
    });
    assert!(number(&scene.shown()[1], "refused") >= 1);
    // The bypass is over.
    let bypassed = scene.metric("bypass_seconds_total{database=\"NAME\"}");
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(scene.metric("bypass_seconds_total{database=\"NAME\"}"), bypassed);
}

#[test]
fn admin_cache_entries_and_flush() {
    if direct_only() {
        return;
    }
    let scene = Scene::new(Cluster::shared(), "level = \"session\"");
    let mut client = scene.client();
    let reads = ["select n from t where i = 1", "select n from v", "select count(*) from other.u"];
    reads.iter().for_each(|sql| drop(scene.hit(&mut client, sql)));
    let texts = |rows: &Rows| {
        let mut texts: Vec<_> = rows.iter().map(|row| row["statement"].clone()).collect();
        texts.sort_unstable();
        texts
    };
    let mut sorted = reads.to_vec();
    sorted.sort_unstable();
    let rows = scene.entries("");
    assert_eq!(texts(&rows), sorted);
    let one = row(&rows, "statement", reads[0]);
    let said = ["database", "user", "tables", "holds"].map(|column| one[column].as_str());
    assert_eq!(said, [scene.database.name.as_str(), APP.0, "public.t", "1"]);
    assert!(number(one, "bytes") > 0 && number(one, "tags") >= 4 && number(one, "took_us") > 0, "{one:?}");
    assert_eq!((scene.entries("2").len(), scene.entries("2 2").len(), scene.entries("9 3").len()), (2, 1, 0));
    let mut console = scene.console(APP);
    let flush = |console: &mut Client, what: &str| {
        assert_eq!(console.simple(what)[0].command_tag(), "CACHE FLUSH", "{what}");
    };
    assert_eq!(console.error("CACHE FLUSH public.nothing"), "42P01");
    flush(&mut console, "CACHE FLUSH Other.U");
    assert_eq!(texts(&scene.entries("")), [reads[0], reads[1]]);
    drop(scene.hit(&mut client, reads[2]));
    flush(&mut console, "cache flush public.v");
    assert_eq!(texts(&scene.entries("")), [reads[2]], "what is read by the view, and all that reads that");
    assert_eq!(scene.metric("evictions_total{cause=\"flushed\"}"), 3.0);
    flush(&mut console, "CACHE FLUSH");
    assert_eq!(scene.entries("").len(), 0);
    assert_eq!(scene.metric("entries"), 0.0);
    assert_eq!(scene.hit(&mut client, reads[0]), "0", "it is kept anew");
    let mut reader = scene.console(APP2);
    for command in ["CACHE FLUSH", "CACHE FLUSH t", "CACHE BARRIER"] {
        assert_eq!(reader.error(command), "42501", "{command}");
    }
    assert_eq!(scene.entries("").len(), 1);
    let messages = reader.simple("show cache entries");
    assert_eq!(columns(&messages).len(), 10);
}

/// At this level a read may be as old as a minute; behind a barrier it is not.
#[test]
fn admin_barrier_has_reads_see_what_was_committed_elsewhere() {
    if direct_only() {
        return;
    }
    let cluster = Cluster::shared();
    let scene = Scene::new(cluster, "level = \"bounded\", bound = \"60s\"");
    let (mut client, mut console) = (scene.client(), scene.console(APP));
    let mut direct = Client::connect(&cluster.tcp(), &scene.database.login());
    let sql = "select n from t where i = 3";
    scene.hit(&mut client, sql);
    for round in 1..=20 {
        direct.run(&format!("update t set n = {round} where i = 3"));
        assert_eq!(console.simple("CACHE BARRIER")[0].command_tag(), "CACHE BARRIER");
        let hits = scene.metric("hits_total");
        assert_eq!(client.value(sql), round.to_string());
        assert_eq!(scene.metric("hits_total"), hits, "what was kept is not handed out again");
        assert_eq!(scene.hit(&mut client, sql), round.to_string());
    }
}

/// Where nothing can be streamed, it is said why, and a barrier has nothing to wait for.
#[test]
fn admin_cache_says_why_there_is_no_stream() {
    if direct_only() {
        return;
    }
    let cluster = Cluster::start("wal_level = replica\n", &[]);
    let scene = Scene::new(&cluster, "level = \"session\"");
    let mut client = scene.client();
    let read = |client: &mut Client| client.run("select n from t where i = 1");
    read(&mut client);
    eventually("the reason is known", || scene.shown()[0]["state"] == "wal_level");
    let [mine, all] = scene.shown();
    assert!(mine["reason"].contains("wal_level"), "{mine:?}");
    assert_eq!((mine["fresh_us"].as_str(), mine["lag_us"].as_str()), ("", ""));
    assert_eq!(number(&all, "entries"), 0);
    let begun = Instant::now();
    assert_eq!(scene.console(APP).simple("CACHE BARRIER")[0].command_tag(), "CACHE BARRIER");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    eventually("reads miss for that", || {
        read(&mut client);
        scene.metric("misses_total{reason=\"no_stream\"}") >= 3.0
    });
    assert_eq!((scene.metric("stream_up{database=\"NAME\"}"), scene.metric("hits_total")), (0.0, 0.0));
    let bypassed = scene.metric("bypass_seconds_total{database=\"NAME\"}");
    std::thread::sleep(Duration::from_millis(200));
    assert!(scene.metric("bypass_seconds_total{database=\"NAME\"}") >= bypassed + 0.2);
    let page = get(scene.http, "/metrics").1;
    assert!(!page.contains("\npgweir_cache_stream_lag_seconds{"), "there is none without a stream");
}

/// A commit that waits for a standby is streamed and not visible: a barrier waits for it, and says so.
#[test]
fn admin_barrier_waits_for_a_commit_that_nobody_sees() {
    if direct_only() {
        return;
    }
    let cluster = Cluster::start("", &[]);
    let scene = Scene::new(&cluster, "level = \"session\"");
    let mut client = scene.client();
    scene.hit(&mut client, "select n from t where i = 1");
    let mut superuser = cluster.superuser("postgres");
    superuser.run("alter system set synchronous_standby_names = 'nobody'");
    superuser.run("select pg_reload_conf()");
    let mut direct = Client::connect(&cluster.tcp(), &scene.database.login());
    eventually("it is in force", || direct.value("show synchronous_standby_names") == "nobody");
    direct.run("set synchronous_commit = on");
    // That commits wait now, the server's checkpointer hears by itself.
    eventually("it hangs", || {
        direct.send(&msg::query("update t set n = 7 where i = 1"));
        direct.within(Duration::from_millis(300)).expect("the server is there").is_empty()
    });
    eventually("it is in limbo", || scene.shown()[0]["limbo"] == "1");
    assert!(scene.metric("limbo{database=\"NAME\"}") >= 1.0);
    let mut console = scene.console(APP);
    let begun = Instant::now();
    let refused = fault(&console.simple("CACHE BARRIER"));
    assert!(begun.elapsed() >= Duration::from_secs(10), "{:?}", begun.elapsed());
    assert_eq!(refused.sqlstate(), "57014");
    let told = refused.field(b'M').unwrap_or_default();
    let begins = format!("database \"{}\" has commits that its stream has told", scene.database.name);
    assert!(told.starts_with(&begins) && told.ends_with(" after 10s"), "{told}");
    superuser.run("alter system reset synchronous_standby_names");
    superuser.run("select pg_reload_conf()");
    direct.until_ready();
    assert_eq!(console.simple("CACHE BARRIER")[0].command_tag(), "CACHE BARRIER");
    eventually("nothing is in limbo", || scene.shown()[0]["limbo"] == "0");
    assert_eq!(client.value("select n from t where i = 1"), "7");
}

#[test]
fn admin_cache_orders_without_a_cache() {
    let Some(scene) = super::Scene::new("pool_size=2") else { return };
    scene.client().run("select 1");
    let mut console = scene.console(APP);
    console.run("CACHE BARRIER");
    console.run("CACHE FLUSH");
    assert_eq!(console.error("CACHE FLUSH t"), "42P01");
    assert_eq!(show(&mut console, "CACHE").len(), 1);
    assert!(show(&mut console, "CACHE ENTRIES").is_empty());
    assert_eq!(console.error("SHOW CACHE EVERYTHING"), "42601");
    assert_eq!(console.error("SHOW CACHE ENTRIES 10001"), "22023");
}
