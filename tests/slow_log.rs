//! The slow-query log: what gets a line, what is in it, and that nobody waits for it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::harness::cluster::{APP, Cluster, Database};
use crate::harness::command::Folder;
use crate::harness::frontend as msg;
use crate::harness::proxy::{Proxy, ProxyOptions};
use crate::harness::raw::Client;
use crate::harness::{direct_only, eventually};

/// Stands in every place where a value may.
const SECRET: &str = "xSECRETx";

struct Scene {
    proxy: Proxy,
    database: Database<'static>,
    folder: Folder,
}

impl Scene {
    /// `FILE` in the settings is the log's; rules are in force where there are any.
    fn new(slow: &str, rules: &str) -> Option<Scene> {
        if direct_only() {
            return None;
        }
        let database = Cluster::shared().database();
        database.setup("create table t (i int primary key, s text); insert into t select i, 'x' from generate_series(1, 100) i");
        let folder = Folder::new();
        let file = folder.0.join("slow.log").display().to_string();
        let config = format!(
            "[admin]\nadmin_users = [\"{}\"]\n[history]\ninterval = \"100ms\"\n[slow_log]\n{}",
            APP.0,
            slow.replace("FILE", &format!("{file:?}"))
        );
        let mut options =
            ProxyOptions::url(&Cluster::shared().url(APP, &database.name, "pool_size=3")).config(&config);
        if !rules.is_empty() {
            let place = folder.0.join("rules");
            std::fs::create_dir(&place).expect("a folder");
            std::fs::write(place.join("a.toml"), rules).expect("a file");
            options.args.extend(["--rules".to_owned(), place.display().to_string()]);
        }
        Some(Scene { proxy: Proxy::start_with(&options), database, folder })
    }

    fn client(&self) -> Client {
        Client::connect(&self.proxy.endpoint(), &self.database.login().param("application_name", "web"))
    }

    fn file(&self) -> PathBuf {
        self.folder.0.join("slow.log")
    }
}

/// The lines of a file; each must be JSON.
fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

#[test]
fn slow_statements_have_a_line_without_their_values() {
    let Some(mut scene) = Scene::new("file = FILE\nthreshold = \"80ms\"\n", "") else { return };
    let mut client = scene.client();
    client.run("select i from t where i = 1");
    let tags = "route='%2Forders',traceparent='00-5bd66ef5095369c7b0d1f8f4bd33716a-c532cb4098ac3dd2-01'";
    client.run(&format!("select pg_sleep(0.1), '{SECRET}' /*{tags}*/"));
    client.run("begin");
    client.run("select i from t where i = 1");
    client.send(
        &[msg::unnamed("select pg_sleep(0.1), s from t where s = $1 or i = 1", &[SECRET]), msg::sync()]
            .concat(),
    );
    client.until_ready();
    client.run("commit");
    assert_eq!(
        client.error(&format!("do $$ begin perform pg_sleep(0.1); raise '{SECRET}'; end $$")),
        "P0001"
    );
    eventually("they are written", || lines(&scene.file()).len() >= 3);
    drop(client);
    scene.proxy.stop();
    let text = std::fs::read_to_string(scene.file()).expect("a file");
    assert!(!text.contains(SECRET) && !scene.proxy.log().contains(SECRET), "{text}");
    let found = lines(&scene.file());
    assert_eq!(found.len(), 3, "{text}");
    let [one, two, three] = [&found[0], &found[1], &found[2]];
    assert_eq!(one["statement"], "select pg_sleep($1), $2");
    assert_eq!(
        (&one["trace"], &one["caller"]),
        (&"5bd66ef5095369c7b0d1f8f4bd33716a".into(), &"route=/orders".into())
    );
    assert_eq!(
        (&one["database"], &one["user"], &one["application"]),
        (&scene.database.name.as_str().into(), &APP.0.into(), &"web".into())
    );
    assert_eq!(
        (&one["served"], &one["rows"], &one["in_transaction"]),
        (&"primary".into(), &1.into(), &Value::Null)
    );
    assert!(one["total_ms"].as_f64().is_some_and(|ms| (80.0..5000.0).contains(&ms)), "{one}");
    assert!(
        one["first_ms"].as_f64() >= Some(80.0) && one["wait_ms"].is_number() && one["drain_ms"].is_number(),
        "{one}"
    );
    assert_eq!(two["in_transaction"], 2, "behind a SELECT: {two}");
    assert_eq!(three["sqlstate"], "P0001");
    assert_eq!(three["statement"], "do $1");
}

#[test]
fn slow_is_what_a_rule_says_or_what_is_unusual() {
    let rule = "[[rule]]\nname = \"t\"\nwhen.functions = \"pg_sleep\"\nthen.slow = \"30ms\"\n";
    let Some(scene) =
        Scene::new("file = FILE\nthreshold = \"10s\"\nrelative = 10\nrelative_from = \"20ms\"\n", rule)
    else {
        return;
    };
    let mut client = scene.client();
    client.run("select pg_sleep(0.05)");
    for _ in 0..50 {
        client.run("select count(*) from generate_series(1, 10)");
    }
    std::thread::sleep(Duration::from_millis(400));
    client.run("select count(*) from generate_series(1, 3000000)");
    eventually("they are written", || lines(&scene.file()).len() >= 2);
    let found = lines(&scene.file());
    let statements: Vec<_> =
        found.iter().map(|line| line["statement"].as_str().unwrap_or_default()).collect();
    assert_eq!(statements, ["select pg_sleep($1)", "select count(*) from generate_series($1, $2)"]);
    assert!(found[1]["usual_p95_ms"].as_f64().is_some_and(|ms| ms < 100.0), "{}", found[1]);
}

#[test]
fn slow_log_is_opened_again_and_heeds_new_settings() {
    let Some(scene) = Scene::new("file = FILE\nthreshold = \"50ms\"\n", "") else { return };
    let mut client = scene.client();
    client.run("select pg_sleep(0.06)");
    eventually("it is written", || lines(&scene.file()).len() == 1);
    let moved = scene.folder.0.join("moved.log");
    std::fs::rename(scene.file(), &moved).expect("it can be moved");
    let settings =
        scene.proxy.config().replace("threshold = \"50ms\"", "threshold = \"200ms\"\nformat = \"text\"");
    scene.proxy.set_config(&settings);
    scene.proxy.signal("HUP");
    eventually("it is heard", || scene.proxy.log().contains("settings reloaded"));
    std::thread::sleep(Duration::from_millis(500));
    client.run("select pg_sleep(0.06)");
    client.run("select pg_sleep(0.25)");
    eventually("it is written", || scene.file().exists());
    std::thread::sleep(Duration::from_millis(300));
    let text = std::fs::read_to_string(scene.file()).expect("a file");
    assert_eq!((lines(&moved).len(), text.lines().count()), (1, 1), "{text}");
    assert!(text.starts_with("time=20") && text.contains(" event=slow total_ms=2"), "{text}");
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(scene.file()).expect("a file").permissions(),
    );
    assert_eq!(mode & 0o777, 0o600, "it is nobody else's to read");
}

#[test]
fn slow_log_on_a_full_disk_stops_nobody() {
    let Some(scene) = Scene::new("file = \"/dev/full\"\nthreshold = \"1us\"\nrate = 1000\n", "") else {
        return;
    };
    let mut client = scene.client();
    for n in 0..200 {
        assert_eq!(client.value(&format!("select {n}")), n.to_string());
    }
    let told = || scene.proxy.log().matches("the slow-query log cannot be written").count();
    eventually("it is told", || told() > 0);
    assert_eq!(told(), 1, "{}", scene.proxy.log());
}

#[test]
fn slow_log_takes_so_many_lines_a_second_and_says_what_it_left_out() {
    let Some(mut scene) =
        Scene::new("file = FILE\nthreshold = \"1us\"\nrate = 20\nmax_size = \"8kB\"\nkeep = 2\n", "")
    else {
        return;
    };
    let mut client = scene.client();
    (0..600).for_each(|n| client.run(&format!("select {n}")));
    std::thread::sleep(Duration::from_millis(1500));
    drop(client);
    scene.proxy.stop();
    let mut found = vec![];
    for name in ["slow.log.2", "slow.log.1", "slow.log"] {
        let path = scene.folder.0.join(name);
        assert!(std::fs::metadata(&path).map_or(0, |file| file.len()) <= 8 << 10);
        found.extend(lines(&path));
    }
    assert!(!scene.folder.0.join("slow.log.3").exists());
    let dropped: u64 = found
        .iter()
        .filter(|line| line["event"] == "dropped")
        .filter_map(|line| line["lines"].as_u64())
        .sum();
    assert!(dropped > 300, "{dropped}");
}
