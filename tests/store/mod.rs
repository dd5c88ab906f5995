//! History: what a real pgweir counts of statements that run on a real PostgreSQL, and what of it is in the file afterwards.

mod faults;
mod fleet;
mod samples;
mod secrets;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use crate::admin::show;
use crate::harness::cluster::{APP, Cluster, Database};
use crate::harness::command::Folder;
use crate::harness::proxy::{Proxy, ProxyOptions, program};
use crate::harness::raw::{Client, Login};
use crate::harness::{direct_only, eventually, frontend as msg};

/// A proxy with a store, in front of a database with a table.
struct Scene {
    proxy: Proxy,
    database: Database<'static>,
    folder: Folder,
    options: ProxyOptions,
}

/// What the file has of a statement: calls, rows, timed, errors.
type Line = (i64, i64, i64, String);

impl Scene {
    fn new(history: &str) -> Option<Scene> {
        Scene::with_file(history, |_| {})
    }

    /// With what `prepare` makes of the file before it starts.
    fn with_file(history: &str, prepare: impl FnOnce(&Path)) -> Option<Scene> {
        if direct_only() {
            return None;
        }
        let database = Cluster::shared().database();
        database.setup("create table t (i int primary key, s text); insert into t select i, 'x' from generate_series(1, 100) i");
        let folder = Folder::new();
        let file = folder.0.join("history.db");
        prepare(&file);
        let interval = if history.contains("interval") { "" } else { "interval = \"100ms\"\n" };
        let config = format!("[admin]\nadmin_users = [\"{}\"]\n[history]\n{interval}{history}", APP.0);
        let mut options =
            ProxyOptions::url(&Cluster::shared().url(APP, &database.name, "pool_size=3")).config(&config);
        options.args.extend(["--store".to_owned(), file.display().to_string()]);
        let proxy = Proxy::start_with(&options);
        Some(Scene { proxy, database, folder, options })
    }

    fn file(&self) -> PathBuf {
        self.folder.0.join("history.db")
    }

    fn client(&self) -> Client {
        Client::connect(&self.proxy.endpoint(), &self.database.login().param("application_name", "web"))
    }

    /// What SHOW says, a row.
    fn show(&self, what: &str) -> Vec<BTreeMap<String, String>> {
        show(&mut Client::connect(&self.proxy.endpoint(), &Login::new(APP.0, APP.1, "pgweir")), what)
    }

    fn state(&self) -> String {
        self.show("STORE").first().map(|row| row["state"].clone()).unwrap_or_default()
    }

    /// Waits until what was counted is in the file.
    fn written(&self, calls: u64) {
        eventually("it is written", || {
            self.show("STORE")
                .first()
                .is_some_and(|row| row["written"].parse::<u64>().is_ok_and(|n| n >= calls))
        });
    }

    /// Another pgweir on the same file.
    fn restart(&mut self) {
        self.proxy = Proxy::start_with(&self.options);
    }
}

/// What is in a file, by application and statement; the times must add up.
fn lines(file: &Path) -> BTreeMap<(String, String), Line> {
    let file = Connection::open(file).expect("it is a database");
    let found: String = file.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("it is sound");
    assert_eq!(found, "ok");
    let mut read = file
        .prepare(
            "SELECT application, coalesce(text, '(others)'), sum(calls), sum(row_count), sum(timed), group_concat(errors, '')
             FROM bucket JOIN origin ON id = origin LEFT JOIN shape USING (fingerprint) GROUP BY 1, 2",
        )
        .expect("it has the tables");
    let rows = read.query_map([], |row| {
        Ok(((row.get(0)?, row.get(1)?), (row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?)))
    });
    rows.expect("rows").map(|row| row.expect("a row")).collect()
}

fn calls(file: &Path) -> i64 {
    lines(file).values().map(|line| line.0).sum()
}

fn line(calls: i64, rows: i64, timed: i64, errors: &str) -> Line {
    (calls, rows, timed, errors.to_owned())
}

#[test]
fn store_has_every_statement_with_its_counts() {
    let Some(mut scene) = Scene::new("") else { return };
    let mut client = scene.client();
    for n in 1..=7 {
        client.value(&format!("select i from t where i = {n}"));
    }
    for n in 1..=5 {
        client.send(&[msg::unnamed("select i from t where i < $1", &[&n.to_string()]), msg::sync()].concat());
        client.until_ready();
    }
    client.send(&[msg::parse("p", "select s from t where i <= $1"), msg::sync()].concat());
    client.until_ready();
    for _ in 0..4 {
        client.send(&[msg::bind("", "p", &["10"]), msg::execute("", 0), msg::sync()].concat());
        client.until_ready();
    }
    // Three in one batch, the last of which is taken in two parts.
    client.send(
        &[
            msg::bind("", "p", &["1"]),
            msg::execute("", 0),
            msg::bind("x", "p", &["2"]),
            msg::execute("x", 0),
            msg::bind("y", "p", &["5"]),
            msg::execute("y", 3),
            msg::execute("y", 0),
            msg::sync(),
        ]
        .concat(),
    );
    client.until_ready();
    client.run("begin");
    client.run("update t set s = 'y' where i <= 3");
    client.run("commit");
    client.run("select 1; select 2");
    client.error("insert into t values (1, 'z')");
    client.error("select 1 / 0");
    client.error("selec nothing");
    client.send(
        &[
            msg::parse("", "select * from missing where i = 1"),
            msg::bind("", "", &[]),
            msg::execute("", 0),
            msg::sync(),
        ]
        .concat(),
    );
    client.until_ready();
    client.run("set application_name = 'jobs'");
    client.run("select i from t where i = 8");
    // All in one write.
    client.send(
        &(1..=20).flat_map(|n| msg::query(&format!("select i from t where i = {n}"))).collect::<Vec<_>>(),
    );
    (0..20).for_each(|_| drop(client.until_ready()));
    drop(client);
    scene.proxy.stop();
    let found = lines(&scene.file());
    let expected = [
        (("web", "select i from t where i = $1"), line(7, 7, 7, "")),
        (("web", "select i from t where i < $1"), line(5, 10, 5, "")),
        (("web", "select s from t where i <= $1"), line(8, 48, 8, "")),
        (("web", "begin"), line(1, 0, 0, "")),
        (("web", "update t set s = $1 where i <= $2"), line(1, 3, 1, "")),
        (("web", "commit"), line(1, 0, 1, "")),
        (("web", "select $1; select $2"), line(1, 2, 1, "")),
        (("web", "insert into t values ($1, $2)"), line(1, 0, 1, "23=1")),
        (("web", "select $1 / $2"), line(1, 0, 1, "22=1")),
        (("web", "selec nothing"), line(1, 0, 1, "42=1")),
        (("web", "select * from missing where i = $1"), line(1, 0, 1, "42=1")),
        (("web", "set application_name = $1"), line(1, 0, 1, "")),
        (("jobs", "select i from t where i = $1"), line(21, 21, 21, "")),
    ];
    let expected = expected.map(|((who, text), line)| ((who.to_owned(), text.to_owned()), line));
    assert_eq!(found, BTreeMap::from(expected));
}

#[test]
fn store_tells_the_clocks_apart() {
    let Some(mut scene) = Scene::new("") else { return };
    let mut client = scene.client();
    client.run("select pg_sleep(0.3)");
    client.run("select case when i = 100 then pg_sleep(0.3)::text else repeat('x', 1000) end from t");
    let mut holders: Vec<_> = (0..3).map(|_| scene.client()).collect();
    for holder in &mut holders {
        holder.run("begin");
        holder.run("select 3");
    }
    client.send(&msg::query("select 7, 7"));
    std::thread::sleep(std::time::Duration::from_millis(300));
    holders.iter_mut().for_each(|holder| holder.run("commit"));
    client.until_ready();
    drop((client, holders));
    let shown = scene.show("STATEMENTS");
    scene.proxy.stop();
    let micros = |statement: &str, column: &str| {
        let row = shown.iter().find(|row| row["statement"].starts_with(statement));
        row.unwrap_or_else(|| panic!("no {statement} in {shown:?}"))[&format!("{column}_us")]
            .parse::<u64>()
            .expect("a number")
    };
    let is_long = |n: u64| (250_000..2_000_000).contains(&n);
    assert!(is_long(micros("select pg_sleep($1)", "first_p95")), "{shown:?}");
    assert!(micros("select pg_sleep($1)", "stream_p95") < 100_000, "{shown:?}");
    assert!(is_long(micros("select case", "stream_p95")), "{shown:?}");
    assert!(is_long(micros("select $1, $2", "wait_p95")), "{shown:?}");
    assert!(micros("select $1, $2", "first_p95") < 100_000, "{shown:?}");
    assert!(is_long(micros("select $1, $2", "total")), "{shown:?}");
}

#[test]
fn store_keeps_history_over_a_restart_and_for_several_at_once() {
    let Some(mut scene) = Scene::new("instance = \"one\"\n") else { return };
    scene.client().run("select 1");
    scene.proxy.stop();
    scene.restart();
    let mut options = scene.options.clone();
    options.config = options.config.replace("\"one\"", "\"two\"");
    let mut other = Proxy::start_with(&options);
    for proxy in [&scene.proxy, &other] {
        let login = scene.database.login().param("application_name", "web");
        Client::connect(&proxy.endpoint(), &login).run("select 2");
    }
    other.stop();
    scene.proxy.stop();
    assert_eq!(lines(&scene.file())[&("web".to_owned(), "select $1".to_owned())].0, 3);
    let file = Connection::open(scene.file()).expect("it is a database");
    let names: String = file
        .query_row(
            "SELECT group_concat(instance, ' ') FROM (SELECT DISTINCT instance FROM origin ORDER BY 1)",
            [],
            |row| row.get(0),
        )
        .expect("instances");
    assert_eq!(names, "one two");
}

#[test]
fn store_settings_are_reloaded() {
    let Some(scene) = Scene::new("capture = \"off\"\n") else { return };
    scene.client().run("select 1");
    assert!(scene.show("STATEMENTS").is_empty() && scene.show("STORE").is_empty());
    assert!(!scene.file().exists(), "off is off");
    scene.proxy.set_config(&scene.proxy.config().replace("capture = \"off\"", "capture = \"on\""));
    scene.proxy.signal("HUP");
    eventually("it counts", || {
        scene.client().run("select 1");
        !scene.show("STATEMENTS").is_empty()
    });
    scene.written(1);
    scene.proxy.set_config(&scene.proxy.config().replace("capture = \"on\"", "capture = \"off\""));
    scene.proxy.signal("HUP");
    eventually("it does not", || scene.show("STORE").is_empty());
}

#[test]
fn store_stays_small_with_a_hundred_thousand_shapes() {
    // Each time that they are written there are 200 at most: how often that is must not hang on how fast the machine is.
    let Some(mut scene) = Scene::new("interval = \"5s\"\nstatements = 200\n") else { return };
    let mut client = scene.client();
    client.run("select 1");
    let before = scene.proxy.memory();
    const ROUNDS: usize = 100;
    const EACH: usize = 1000;
    for round in 0..ROUNDS {
        let cheap = (0..EACH).flat_map(|n| msg::query(&format!("select 1 as c{}", round * EACH + n)));
        client.send(&cheap.collect::<Vec<_>>());
        (0..EACH).for_each(|_| drop(client.until_ready()));
        // By itself: what is answered in one read has equal parts of the time.
        client.run("select count(*) from t, t as u");
    }
    let grown = scene.proxy.memory().saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes more");
    drop(client);
    scene.proxy.stop();
    let found = lines(&scene.file());
    let all: i64 = found.values().map(|line| line.0).sum();
    assert_eq!(all, (ROUNDS * (EACH + 1) + 1) as i64, "nothing is lost");
    let heavy = &found[&("web".to_owned(), "select count(*) from t, t as u".to_owned())];
    assert!(heavy.0 >= ROUNDS as i64 * 8 / 10, "what costs most is counted by itself: {heavy:?}");
    assert!(found[&("web".to_owned(), "(others)".to_owned())].0 > (ROUNDS * EACH / 2) as i64);
    let size = std::fs::metadata(scene.file()).expect("a file").len();
    assert!(size < 2 << 20, "{size} bytes");
}

#[test]
fn store_loses_no_more_than_the_last_moments_when_it_is_killed() {
    let Some(mut scene) = Scene::new("") else { return };
    let mut least = 0;
    for round in 0..8 {
        let mut client = scene.client();
        for _ in 0..20 {
            client.run("select 1");
        }
        scene.written(20);
        least += 20;
        // Some of these are under way to the file.
        for _ in 0..round * 13 {
            client.run("select 2");
        }
        scene.proxy.signal("KILL");
        scene.proxy.ended(std::time::Duration::from_secs(5));
        assert!(calls(&scene.file()) >= least, "{round}");
        least = calls(&scene.file());
        scene.restart();
    }
    eventually("it is well", || scene.state() == "ok");
}

/// What `pgweir report` says, and whether it ends well.
fn report(file: &Path, more: &[&str]) -> (bool, String) {
    let mut command = std::process::Command::new(program());
    command.args(["report", "--store"]).arg(file).args(more);
    let output = command.output().expect("pgweir runs");
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).expect("text"))
}

#[test]
fn store_is_what_the_report_is_made_from() {
    let Some(scene) = Scene::new("instance = \"one\"\n") else { return };
    let mut client = scene.client();
    (0..9).for_each(|n| client.run(&format!("select i from t where i < {n}")));
    client.error("select 1 / 0");
    client.run("select pg_sleep(0.1)");
    scene.written(11);
    // While it is written.
    let (well, text) = report(&scene.file(), &[]);
    assert!(well, "{text}");
    for part in [
        "counted by one",
        "11 statements, 3 shapes, ",
        "errors 1",
        "select pg_sleep($1)",
        "select i from t where i < $1",
        "/app/web",
        "1  22        data exception",
    ] {
        assert!(text.contains(part), "{part}\nis not in\n{text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    let (well, text) = report(&scene.file(), &["--format", "json", "--limit", "1", "--since", "1d"]);
    assert!(well, "{text}");
    let value: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
    assert_eq!((&value["all"]["calls"], &value["shapes"]), (&11.into(), &3.into()));
    assert_eq!(value["statements"].as_array().map(Vec::len), Some(1));
    assert_eq!(value["statements"][0]["text"], "select pg_sleep($1)");
    assert!(value["statements"][0]["clocks"]["first"]["p95_us"].as_u64().is_some_and(|us| us > 80_000));
    for (file, reason) in [("missing.db", "there is no such file"), ("", "")] {
        let (well, text) = report(&scene.folder.0.join(file), &[]);
        assert!(!well && text.contains(reason), "{text}");
    }
}
