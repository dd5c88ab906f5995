//! What no statement shows by itself: transactions that talk too much or wait, what has become slower, and sorts that go to disk.

use std::process::Command;

use pgweir::cli::advise::asking;
use rusqlite::Connection as File;
use serde_json::Value;

use super::*;
use crate::admin::show;
use crate::harness::cluster::SUPERUSER;
use crate::harness::command::{Folder, Output, run};
use crate::harness::proxy::{Proxy, ProxyOptions, program};
use crate::harness::raw::{Client, Login};
use crate::harness::{direct_only, eventually};

/// A pgweir with a store in front of a database.
struct Seen {
    proxy: Proxy,
    folder: Folder,
    scene: Scene,
}

impl Seen {
    fn start(setup: &str, advise: &str) -> Option<Seen> {
        if direct_only() {
            return None;
        }
        let (scene, folder) = (Scene::bare(setup), Folder::new());
        Some(Seen { proxy: proxy(&scene, &folder, advise), folder, scene })
    }

    fn client(&self) -> Client {
        let login = self.scene.database.login().param("application_name", "shop");
        Client::connect(&self.proxy.endpoint(), &login)
    }

    fn file(&self) -> String {
        self.folder.0.join("history.db").display().to_string()
    }

    /// What `report` says with advice of the database.
    fn report(&self, more: &[&str]) -> Output {
        let (file, url) = (self.file(), self.scene.url(APP));
        let arguments = [&["--store", &file, "--explains-per-second", "500"], more, &[&url]].concat();
        run(Command::new(program()).arg("report").args(arguments), Duration::from_secs(60))
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.report(&["--format", "json", "--limit", "200"]).success()).expect("JSON")
    }

    /// The fixes of a code, each with the texts of what it helps.
    fn fixes(&self, code: &str) -> Vec<(Value, Vec<String>)> {
        let report = self.json();
        let statements = report["statements"].as_array().expect("statements");
        let text = |name: &Value| {
            let one = statements.iter().find(|one| one["fingerprint"] == *name);
            one.map(|one| one["text"].as_str().expect("a text").to_owned())
        };
        let all = report["fixes"].as_array().expect("fixes").iter().filter(|fix| fix["code"] == code);
        let helps = |fix: &Value| fix["helps"].as_array().into_iter().flatten().filter_map(text).collect();
        all.map(|fix| (fix.clone(), helps(fix))).collect()
    }

    /// Waits until the store has so many calls of a statement.
    fn written(&self, text: &str, calls: u64) {
        eventually("it is written", || {
            let file = self.file();
            let arguments = ["report", "--store", &file, "--format", "json", "--limit", "200"];
            let said = run(Command::new(program()).args(arguments), Duration::from_secs(60));
            let Ok(value) = serde_json::from_str::<Value>(&said.stdout) else { return false };
            value["statements"].as_array().is_some_and(|all| {
                all.iter().any(|one| one["text"] == text && one["calls"].as_u64() >= Some(calls))
            })
        });
    }

    /// Codes of what the running process advises.
    fn codes(&self) -> Vec<String> {
        let login = Login::new(APP.0, APP.1, "pgweir");
        let rows = show(&mut Client::connect(&self.proxy.endpoint(), &login), "ADVICE");
        rows.iter().map(|row| row["code"].clone()).collect()
    }
}

fn proxy(scene: &Scene, folder: &Folder, advise: &str) -> Proxy {
    let config = format!(
        "[admin]\nadmin_users = [\"{}\"]\n[history]\ninterval = \"100ms\"\nadvise = \"{advise}\"\n",
        APP.0
    );
    let mut options = ProxyOptions::url(&scene.url(APP)).config(&config);
    let file = folder.0.join("history.db").display().to_string();
    options.args.extend(["--store".to_owned(), file]);
    Proxy::start_with(&options)
}

fn evidence(fix: &Value) -> String {
    fix["evidence"]
        .as_array()
        .expect("evidence")
        .iter()
        .filter_map(Value::as_str)
        .collect::<Vec<_>>()
        .join("\n")
}

fn pause(millis: u64) {
    std::thread::sleep(Duration::from_millis(millis));
}

#[test]
fn transactions_that_talk_much_or_wait_are_found() {
    let Some(seen) = Seen::start(SHOP, "1s") else { return };
    let mut client = seen.client();
    for _ in 0..12 {
        client.run("begin");
        for column in 0..24 {
            client.run(&format!("select plan as c{column} from accounts where id = 5"));
            pause(4);
        }
        client.run("commit");
        // Those in a pipeline are one round trip, those in blocks of their own none at all.
        client.run("begin; select 1 as piped; select 2; commit");
        client.run("select email from accounts where id = 7");
    }
    let waits: Vec<_> = (0..3)
        .map(|id| {
            let mut client = seen.client();
            std::thread::spawn(move || {
                // Nobody is held up by one that has not begun on a server.
                client.run("begin");
                pause(1300);
                client.run(&format!("update accounts set plan = 'pro' where id = {id}"));
                pause(1300);
                client.run("select 1 as behind");
                client.run("commit");
            })
        })
        .collect();
    waits.into_iter().for_each(|thread| thread.join().expect("it runs"));
    seen.written("update accounts set plan = $1 where id = $2", 3);
    let chatty = seen.fixes("chatty_transaction");
    assert_eq!(chatty.len(), 1, "{chatty:?}");
    assert_eq!(chatty[0].1, ["select plan as c0 from accounts where id = $1"]);
    let told = evidence(&chatty[0].0);
    assert!(told.contains("12 transactions that begin with it: 24 statements in 25 round trips"), "{told}");
    assert!(chatty[0].0["saves_s_per_day"].as_f64().is_some_and(|saves| saves > 0.0));
    let idle = seen.fixes("idle_in_transaction");
    assert_eq!(idle.len(), 1, "{idle:?}");
    assert_eq!(idle[0].1, ["update accounts set plan = $1 where id = $2"]);
    let told = evidence(&idle[0].0);
    assert!(told.contains("open without a statement for 1.") && told.contains("3 times"), "{told}");
    for format in ["text", "md", "html"] {
        let said = seen.report(&["--format", format]).success();
        assert!(said.contains("round trips in the transactions of shop that begin with"), "{said}");
        assert!(said.contains("no waiting in the transactions of shop behind"), "{said}");
    }
    let gate = seen.report(&["--fail-on", "chatty_transaction,idle_in_transaction,plan_regression"]);
    assert!(!gate.ok && gate.stderr.contains("--fail-on chatty_transaction: FIX-"), "{gate:?}");
    assert!(gate.stderr.contains("--fail-on idle_in_transaction: FIX-"), "{gate:?}");
    assert!(!gate.stderr.contains("plan_regression"), "{gate:?}");
    eventually("the running process says so too", || {
        let codes = seen.codes();
        ["chatty_transaction", "idle_in_transaction"].iter().all(|code| codes.iter().any(|one| one == code))
    });
}

#[test]
fn what_has_become_slower_is_told_with_its_plans() {
    const BIG: &str = "create table big (id int primary key, k int, pad text);
        insert into big select i, i % 4000, repeat('x', 40) from generate_series(1, 400000) i;
        create index big_k on big (k); analyze big";
    const TEXT: &str = "select count(*), min(md5(pad || id)) from big where k = $1 or k = $2";
    let Some(mut seen) = Seen::start(BIG, "never") else { return };
    let load = |seen: &Seen, times: i32| {
        let mut client = seen.client();
        (0..times).for_each(|n| {
            client.run(&format!("select count(*), min(md5(pad || id)) from big where k = {n} or k = 7"));
        });
    };
    load(&seen, 40);
    seen.written(TEXT, 40);
    let before = seen.report(&["--fail-on", "plan_regression"]);
    assert!(before.ok, "{before:?}");
    // Two hours pass.
    let file = File::open(seen.file()).expect("a file");
    file.busy_timeout(Duration::from_secs(10)).expect("a time");
    file.execute_batch(
        "update bucket set start = start - 7200; update plan set first_seen = first_seen - 7200, last_seen = last_seen - 7200",
    )
    .expect("it is written");
    seen.scene.database.setup("drop index big_k");
    load(&seen, 40);
    seen.written(TEXT, 40);
    let found = seen.fixes("plan_regression");
    assert_eq!(found.len(), 1, "{:#}", seen.json()["fixes"]);
    assert_eq!(found[0].1, [TEXT]);
    let told = evidence(&found[0].0);
    assert!(told.contains("(40 calls before, 40 since)"), "{told}");
    assert!(told.contains("at the same time: its plan is") && told.contains("Seq Scan on big"), "{told}");
    assert!(told.contains("big_k"), "{told}");
    assert_eq!(found[0].0["proof"]["grade"], "measured");
    let gate = seen.report(&["--fail-on", "plan_regression"]);
    assert!(!gate.ok && gate.stderr.contains("--fail-on plan_regression: FIX-"), "{gate:?}");
    for format in ["text", "md", "html"] {
        let said = seen.report(&["--format", format]).success();
        assert!(said.contains("it has become slower") && said.contains("big_k"), "{said}");
    }
    // One that runs knows it from the store.
    seen.proxy.stop();
    seen.proxy = proxy(&seen.scene, &seen.folder, "1s");
    eventually("it is advised", || {
        load(&seen, 1);
        seen.codes().iter().any(|code| code == "plan_regression")
    });
}

#[test]
fn sorts_that_go_to_disk_are_told_where_the_server_counts_them() {
    if direct_only() {
        return;
    }
    let cluster = Cluster::start("shared_preload_libraries = 'pg_stat_statements'\nwork_mem = '1MB'\n", &[]);
    let mut client = cluster.superuser("postgres");
    client.run("create schema tools; create extension pg_stat_statements schema tools");
    client.run("create table t (i int, s text); insert into t select i, md5(i::text) from generate_series(1, 60000) i");
    client.run("analyze t");
    let text = "select s, i from t order by md5(s || $1) limit 50000";
    for n in 0..3 {
        client.run(&format!("select s, i from t order by md5(s || '{n}') limit 50000"));
    }
    let mut one = statement(text, 60, &[&["1"]]);
    one.sums.calls = 600;
    one.sums.timed = 600;
    one.by = vec![(pgweir::stats::tally::Who { user: "shop".to_owned(), ..Default::default() }, 600)];
    let other = Observed { by: one.by.clone(), ..statement("select s from t where i = $1", 60, &[&["1"]]) };
    let advised = advised_on(&cluster, &workload(vec![one.clone(), other]));
    let found: Vec<&Fix> = advised.advice.fixes.iter().filter(|fix| fix.code == "work_mem").collect();
    assert_eq!(found.len(), 1, "{:#?}", advised.advice);
    assert_eq!(found[0].helps, [one.fingerprint]);
    let Action::Setting { run, undo } = &found[0].action else { panic!("{found:?}") };
    assert!(run.starts_with("ALTER ROLE shop SET work_mem = '") && undo.ends_with("RESET work_mem"), "{run}");
    assert!(found[0].evidence[0].contains("have 1.0 MB of memory each"), "{found:?}");
    // With what is proposed there are no files any more.
    let size = run.split('\'').nth(1).expect("a size");
    let mut again = cluster.superuser("postgres");
    again.run(&format!("set work_mem = '{size}'; select tools.pg_stat_statements_reset()"));
    again.run("select s, i from t order by md5(s || '9') limit 50000");
    let written =
        "select sum(temp_blks_written) from tools.pg_stat_statements where query like '%order by md5%'";
    assert_eq!(again.value(written), "0", "{size}");
    assert!(advised_on(&cluster, &workload(vec![one])).advice.fixes.iter().all(|fix| fix.code != "work_mem"));
}

/// What is advised on a cluster of its own.
fn advised_on(cluster: &Cluster, work: &Workload) -> Advised {
    let sources = Sources { url: Some(cluster.url(SUPERUSER, "postgres", "")), ..Sources::default() };
    let settings = config::load(&sources).expect("good settings");
    let servers = pgweir::app::Servers::of(settings.clone());
    let database = &settings.databases["postgres"];
    let limits = limits();
    let asking = async {
        let login = asking::Login {
            servers: &servers,
            database: "postgres",
            host: &database.hosts[0],
            user: SUPERUSER.0,
        };
        let (primary, _) = Connection::open(login, limits.statement_timeout).await.expect("a login");
        advise(work, Nodes { primary, standbys: vec![] }, &limits).await.expect("advice")
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(asking)
}
