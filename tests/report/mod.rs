//! `pgweir report` as people run it: on a real store, on logs and sums of a real PostgreSQL, and as a gate.

mod pages;

use std::process::{Command, Output};

use serde_json::Value;

use crate::harness::cluster::{APP, Cluster, Database, SUPERUSER};
use crate::harness::command::Folder;
use crate::harness::proxy::{Proxy, ProxyOptions, program};
use crate::harness::raw::{Client, Login};
use crate::harness::{direct_only, eventually};

fn report(arguments: &[&str]) -> Output {
    let mut command = Command::new(program());
    command.arg("report").args(arguments);
    command.output().expect("it runs")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn json(arguments: &[&str]) -> Value {
    let output = report(&[arguments, &["--format", "json"]].concat());
    assert!(output.status.success(), "{}", said(&output));
    serde_json::from_slice(&output.stdout).expect("it is JSON")
}

/// Ids by statement.
fn ids(report: &Value) -> Vec<(String, String)> {
    let statements = report["statements"].as_array().expect("statements").iter();
    let word = |value: &Value| value.as_str().expect("a text").to_owned();
    statements.map(|one| (word(&one["text"]), word(&one["id"]))).collect()
}

fn id(report: &Value, text: &str) -> String {
    ids(report)
        .into_iter()
        .find(|(known, _)| known == text)
        .unwrap_or_else(|| panic!("{text} is not in {report}"))
        .1
}

/// A file of statements that a real pgweir has counted.
struct Counted {
    folder: Folder,
    proxy: Proxy,
    database: Database<'static>,
}

impl Counted {
    fn start() -> Option<Counted> {
        if direct_only() {
            return None;
        }
        let database = Cluster::shared().database();
        let folder = Folder::new();
        let mut options = ProxyOptions::url(&Cluster::shared().url(APP, &database.name, "pool_size=2"))
            .config(&format!("[admin]\nadmin_users = [\"{}\"]\n[history]\ninterval = \"100ms\"\n", APP.0));
        let file = folder.0.join("history.db").display().to_string();
        options.args.extend(["--store".to_owned(), file]);
        let proxy = Proxy::start_with(&options);
        Some(Counted { folder, proxy, database })
    }

    fn run(&self, sql: &str, times: usize) {
        let mut client = Client::connect(&self.proxy.endpoint(), &self.database.login());
        (0..times).for_each(|_| client.run(sql));
    }

    fn console(&self) -> Client {
        Client::connect(&self.proxy.endpoint(), &Login::new(APP.0, APP.1, "pgweir"))
    }

    fn file(&self) -> String {
        self.folder.0.join("history.db").display().to_string()
    }

    /// Waits until a statement has been written so often.
    fn written(&self, text: &str, calls: u64) {
        eventually("it is written", || {
            let output = report(&["--store", &self.file(), "--format", "json"]);
            let Ok(value) = serde_json::from_slice::<Value>(&output.stdout) else { return false };
            value["statements"].as_array().is_some_and(|all| {
                all.iter().any(|one| one["text"] == text && one["calls"].as_u64() >= Some(calls))
            })
        });
    }
}

#[test]
fn names_of_statements_stay_and_changes_are_gated() {
    let Some(counted) = Counted::start() else { return };
    counted.run("select pg_sleep(0.001)", 30);
    counted.run("select 'secret-value', 2", 5);
    counted.written("select pg_sleep($1)", 30);
    counted.written("select $1, $2", 5);
    let file = counted.file();
    let first = json(&["--store", &file]);
    let kept = counted.folder.0.join("first.json");
    std::fs::write(&kept, first.to_string()).expect("it can be written");
    // What is dearest now was not there before.
    counted.run("select pg_sleep(0.2), 1", 3);
    counted.written("select pg_sleep($1), $2", 3);
    let second = json(&["--store", &file]);
    assert_ne!(ids(&first)[0], ids(&second)[0]);
    for text in ["select pg_sleep($1)", "select $1, $2"] {
        assert_eq!(id(&first, text), id(&second, text));
        assert!(id(&first, text)[1..].parse::<u32>().is_ok(), "it is the store's number");
    }
    let kept = kept.display().to_string();
    let gate = |codes: &str| report(&["--store", &file, "--diff", &kept, "--fail-on", codes]);
    let new = gate("new_statement,slower");
    assert_eq!(new.status.code(), Some(3), "{}", said(&new));
    let error = String::from_utf8_lossy(&new.stderr).into_owned();
    let name = id(&second, "select pg_sleep($1), $2");
    assert!(error.contains(&format!("--fail-on new_statement: {name}: select pg_sleep($1), $2")), "{error}");
    assert_eq!(gate("failing").status.code(), Some(0));
    assert_eq!(gate("n_plus_on").status.code(), Some(2));
    assert_eq!(gate("n_plus_one").status.code(), Some(1), "nobody was asked for advice");
    for format in ["text", "md", "html", "json"] {
        let output = report(&["--store", &file, "--diff", &kept, "--format", format]);
        let text = said(&output);
        assert!(output.status.success() && text.contains(&name) && !text.contains("secret-value"), "{text}");
        assert!(!text.contains('\u{1b}'), "there is no terminal");
    }
    let old = report(&["--store", &file, "--since", "2020-01-01", "--until", "2020-01-02"]);
    assert!(said(&old).contains("no statements since 2020-01-01"), "{}", said(&old));
}

fn mark(arguments: &[&str]) -> Output {
    Command::new(program()).arg("mark").args(arguments).output().expect("it runs")
}

#[test]
fn what_was_deployed_is_marked_and_shown_in_every_form() {
    let Some(counted) = Counted::start() else { return };
    counted.run("select pg_sleep(0.01)", 30);
    counted.written("select pg_sleep($1)", 30);
    let file = counted.file();
    let output = mark(&["v1.2.3 <b>\n", "--store", &file, "--at", "1m"]);
    assert!(output.status.success(), "{}", said(&output));
    let mut console = counted.console();
    console.run("MARK 'v1.2.4 it''s out'");
    assert_eq!(console.error("mark ' '"), "22023");
    assert_eq!(console.error(&format!("mark '{}'", "x".repeat(201))), "22023");
    let value = json(&["--store", &file]);
    let marks = value["marks"].as_array().expect("marks");
    let texts: Vec<_> = marks.iter().map(|mark| mark["text"].as_str().expect("a text")).collect();
    assert_eq!(texts, ["v1.2.3 <b>", "v1.2.4 it's out"]);
    assert!(marks.iter().all(|mark| mark["kind"] == "deploy" && mark["at"] == mark["since"]));
    assert_eq!(marks[0]["instance"], "");
    assert_ne!(marks[1]["instance"], "");
    for (format, first) in [
        ("text", "deploy v1.2.3 <b>"),
        ("md", "deploy **v1.2.3 &lt;b&gt;**"),
        ("html", "deploy <strong>v1.2.3 &lt;b&gt;</strong>"),
    ] {
        let text = said(&report(&["--store", &file, "--format", format]));
        assert!(text.contains(first) && text.contains("Marked: A at "), "{text}");
    }
    // Before what was asked for.
    let later = json(&["--store", &file, "--since", "20s"]);
    assert_eq!(later["marks"].as_array().map(Vec::len), Some(1));
    for (arguments, reason) in [
        (["v1", "--store", "/nowhere/history.db"], "there is no such file"),
        (["", "--store", file.as_str()], "a mark needs a text"),
    ] {
        let output = mark(&arguments);
        assert!(output.status.code() == Some(1) && said(&output).contains(reason), "{}", said(&output));
    }
    let future = mark(&["v1", "--store", &file, "--at", "2999-01-01"]);
    assert!(future.status.code() == Some(1) && said(&future).contains("in the future"), "{}", said(&future));
}

#[test]
fn times_by_values_are_shown_and_the_values_are_not() {
    let Some(counted) = Counted::start() else { return };
    for (n, seconds) in ["0.001", "0.002", "0.003", "0.3"].iter().enumerate() {
        counted.run(&format!("select pg_sleep({seconds}), 'secret-value-{n}'"), 2);
    }
    counted.written("select pg_sleep($1), $2", 8);
    let file = counted.file();
    let mut skew = Value::Null;
    eventually("samples are written", || {
        let report = json(&["--store", &file]);
        let statements = report["statements"].as_array().cloned().unwrap_or_default();
        let found = statements.into_iter().find(|one| one["text"] == "select pg_sleep($1), $2");
        skew = found.map_or(Value::Null, |one| one["skew"].clone());
        skew["groups"].as_array().is_some_and(|groups| groups.len() >= 4)
    });
    // Each call has another value in both places: neither alone tells more than the other.
    let slowest = &skew["groups"][0];
    assert!(skew["by"].is_null() && slowest["times_us"][0].as_u64() > Some(250_000), "{skew}");
    assert!(
        slowest["value"]
            .as_str()
            .is_some_and(|value| value.starts_with("$1 = #") && value.contains(", $2 = #")),
        "{skew}"
    );
    for format in ["text", "md", "html", "json"] {
        let text = said(&report(&["--store", &file, "--format", format]));
        assert!(text.contains("$1 = ") || text.contains("$1 \\= "), "{text}");
        assert!(!text.contains("secret-value"), "{text}");
    }
}

#[test]
fn what_is_asked_for_wrongly_is_told() {
    let folder = Folder::new();
    let other = folder.0.join("other.json");
    std::fs::write(&other, "{}").expect("it can be written");
    let other = other.display().to_string();
    for (arguments, status, expected) in [
        (vec![], 2, "required"),
        (vec!["--store", "a", "--log", "b"], 2, "cannot be used with"),
        (vec!["--store", "no.db"], 1, "no.db: there is no such file"),
        (vec!["--log", "no.log"], 1, "no.log: No such file"),
        (vec!["--log", &other], 1, "no statement is in it"),
        (vec!["--store", "a", "--log-line-prefix", "%m"], 2, "cannot be used with"),
        (vec!["--store", "a", "--since", "soon"], 2, "--since"),
        (vec!["--store", "a", "--since", "1h", "--until", "2h"], 1, "--since is not before --until"),
        (vec!["--pg-stat-statements", "postgres://x", "--since", "1h"], 1, "leave out --since"),
        (vec!["--pg-stat-statements", "postgres://a:b@127.0.0.1:1/x"], 1, "pg_stat_statements: "),
    ] {
        let output = report(&arguments);
        let text = said(&output);
        assert!(output.status.code() == Some(status) && text.contains(expected), "{arguments:?}: {text}");
    }
}

/// A server that logs all, in all of its formats.
fn logging() -> Cluster {
    Cluster::start(
        "shared_preload_libraries = 'pg_stat_statements,auto_explain'\nlog_min_duration_statement = 0\nlogging_collector = on\n\
         log_directory = 'log'\nlog_filename = 'server.log'\nlog_destination = 'stderr,csvlog,jsonlog'\nlog_line_prefix = '%m [%p] %q%u@%d '\n\
         auto_explain.log_min_duration = 0\nauto_explain.log_format = json\n",
        &[],
    )
}

#[test]
fn logs_of_a_real_server_come_to_the_same_in_all_formats() {
    if direct_only() || !crate::harness::cluster::since(15) {
        return;
    }
    let cluster = logging();
    cluster.superuser("postgres").run("create extension pg_stat_statements");
    let mut client = cluster.superuser("postgres");
    client.run("create table t (i int, s text)");
    for n in 0..5 {
        client.run(&format!("select *\nfrom t\nwhere i = {n} and s = 'planted-secret'"));
    }
    let unnamed = crate::harness::frontend::unnamed("select s from t where i = $1", &["4711"]);
    for _ in 0..3 {
        client.send(&[unnamed.clone(), crate::harness::frontend::sync()].concat());
        client.until_ready();
    }
    client.error("select 1 / (i - i) from t, generate_series(1, 2) where missing = 5");
    let folder = cluster.socket_dir().join("data/log");
    for (file, codes) in [("server.log", "??"), ("server.csv", "42"), ("server.json", "42")] {
        let path = folder.join(file).display().to_string();
        eventually("it is logged", || said(&report(&["--log", &path])).contains("where missing"));
        let value = json(&["--log", &path]);
        let statements = value["statements"].as_array().expect("statements");
        let of = |text: &str| {
            statements
                .iter()
                .find(|one| one["text"] == text)
                .unwrap_or_else(|| panic!("{file}: {text} is not in {value:#}"))
        };
        let simple = of("select * from t where i = $1 and s = $2");
        assert_eq!((&simple["calls"], &simple["seq_scans"][0]), (&5.into(), &"t".into()), "{file}");
        assert!(simple["clocks"]["total"]["sum_us"].as_u64() > Some(0), "{file}");
        assert_eq!(of("select s from t where i = $1")["calls"], 3, "{file}");
        assert_eq!(value["all"]["errors"][codes], 1, "{file}: {value:#}");
        for format in ["text", "md", "html", "json"] {
            let text = said(&report(&["--log", &path, "--format", format]));
            assert!(!text.contains("planted-secret") && !text.contains("4711"), "{file}: {text}");
        }
    }
    let url = cluster.url(SUPERUSER, "postgres", "");
    let value = json(&["--pg-stat-statements", &url, "--limit", "200"]);
    let found = ids(&value).into_iter().map(|one| one.0).collect::<Vec<_>>();
    assert!(found.contains(&"select * from t where i = $1 and s = $2".to_owned()), "{found:?}");
    assert_eq!(value["all"]["clocks"]["total"]["p95_us"], Value::Null);
}
