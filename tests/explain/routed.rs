//! `EXPLAIN ROUTE` in front of a primary and streaming replicas: it says where reads go, and they go there.

use std::net::SocketAddr;
use std::time::Duration;

use super::{Lines, explain};
use crate::admin::get;
use crate::cluster::Scene;
use crate::harness::cluster::{APP, free_port};
use crate::harness::command::Folder;
use crate::harness::proxy::{Proxy, ProxyOptions};
use crate::harness::raw::{Client, Login};
use crate::harness::{direct_only, eventually, frontend as msg};

const RULES: &str = r#"
[[rule]]
name = "ours"
when.tables = "ours"
then.route = "primary"

[[rule]]
name = "loose"
when.tables = "loose"
then.consistency = "any"
"#;

struct Routed {
    scene: Scene,
    proxy: Proxy,
    http: SocketAddr,
    _folder: Folder,
}

impl Routed {
    fn new(standbys: usize, query: &str) -> Routed {
        let scene = Scene::new(standbys);
        scene.primary.superuser("postgres").run(
            "create table t (i int); insert into t values (1); create table ours (i int); create table loose (i int); \
             grant all on all tables in schema public to public",
        );
        let folder = Folder::new();
        std::fs::write(folder.0.join("a.toml"), RULES).expect("a file can be written");
        let http = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let config = format!("[admin]\nadmin_users = [\"{}\"]\n", APP.0);
        let mut options =
            ProxyOptions::url(&scene.url(APP, &format!("check_interval=50ms&{query}"))).config(&config);
        let rules = folder.0.display().to_string();
        options.args.extend(["--http".to_owned(), http.to_string(), "--rules".to_owned(), rules]);
        let proxy = Proxy::start_with(&options);
        let routed = Routed { scene, proxy, http, _folder: folder };
        let mut client = routed.connect("postgres");
        eventually("a replica would answer", || {
            explain(&mut client, "select i from loose").plan() == ("replica", "")
        });
        eventually("all replicas would", || {
            let lines = explain(&mut client, "select i from loose");
            lines.all("node").iter().filter(|node| node.ends_with("(replica): may answer it")).count()
                == standbys
        });
        routed
    }

    fn connect(&self, database: &str) -> Client {
        Client::connect(&self.proxy.endpoint(), &Login::new(APP.0, APP.1, database))
    }

    fn counted(&self, metric: &str, label: &str) -> u64 {
        let (_, page) = get(self.http, "/metrics");
        let line =
            page.lines().find(|line| line.starts_with(metric) && line.contains(&format!("=\"{label}\"")));
        line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).unwrap_or_default() as u64
    }

    /// What the session's reads have come to: those of replicas, and those that stayed.
    fn reads(&self) -> (u64, u64) {
        let reasons =
            ["level primary", "no replica", "replicas too old", "position unknown", "replicas behind"];
        let kept = reasons.iter().map(|reason| self.counted("pgweir_primary_reads_total", reason)).sum();
        (self.counted("pgweir_replica_reads_total", "answered"), kept)
    }
}

#[test]
fn it_says_where_a_read_goes_and_there_it_goes() {
    if direct_only() {
        return;
    }
    let routed = Routed::new(2, "balance=round-robin");
    let mut client = routed.connect("postgres");
    let (primary, standbys) = (routed.scene.primary.port, &routed.scene.standbys);
    let lines = explain(&mut client, "select i from t");
    assert_eq!(lines.value("consistency"), "session (by the settings)");
    assert!(
        lines
            .all("node")
            .contains(&format!("127.0.0.1:{primary} (primary): takes what no replica does").as_str())
    );
    assert_eq!(explain(&mut client, "select i from ours").plan(), ("primary", "level primary"));
    assert_eq!(explain(&mut client, "select i from ours").value("consistency"), "primary (by rule ours)");
    assert_eq!(explain(&mut client, "select i from t -- why").plan(), ("primary", "not plain"));
    assert_eq!(explain(&mut client, "insert into t values (1)").plan(), ("primary", "not a read"));
    let target = explain(&mut client, "insert into t values (1)").value("target").to_owned();
    assert!(target.starts_with(&format!("127.0.0.1:{primary}, pool of app at postgres")), "{target}");
    // What is said is what happens next, each time, in either protocol.
    for round in 0..30 {
        let (forms, sql) =
            (round % 2 == 0, if round % 3 == 0 { "select i from loose" } else { "select i from t" });
        let question = format!("explain route {sql}");
        let (why, read) = match forms {
            true => (msg::query(&question), msg::query(sql)),
            false => {
                let batch = |sql: &str| [msg::unnamed(sql, &[]), msg::sync()].concat();
                (batch(&question), batch(sql))
            }
        };
        if round % 10 == 5 {
            client.run("insert into t values (2)");
        }
        let before = routed.reads();
        client.send(&why);
        let lines = Lines::of(&client.until_ready());
        assert_eq!(routed.reads(), before, "nothing is counted");
        client.send(&read);
        assert!(client.until_ready().iter().all(|message| message.tag != b'E'));
        let (answered, kept) = routed.reads();
        let went = (answered - before.0, kept - before.1);
        match lines.plan() {
            ("replica", "") => assert_eq!(went, (1, 0), "round {round}"),
            // A probe may have come between the two.
            (_, reason) => {
                assert!(reason.contains("position") || reason.contains("behind"), "round {round}: {reason}")
            }
        }
        std::thread::sleep(Duration::from_millis(12));
    }
    client.run("begin");
    assert_eq!(explain(&mut client, "select i from t").plan(), ("primary", "in a transaction"));
    client.run("select 1");
    let lines = explain(&mut client, "select i from t");
    let target = format!("127.0.0.1:{primary} (primary), pool of app at postgres");
    assert_eq!(
        (lines.value("target"), lines.plan()),
        (target.as_str(), ("the server in hand", "in a transaction"))
    );
    client.run("rollback");
    client.run("set default_transaction_isolation = serializable");
    assert_eq!(explain(&mut client, "select i from t").plan(), ("primary", "serializable"));
    client.run("reset default_transaction_isolation");
    client.run("set pgweir.consistency = 'primary'");
    let lines = explain(&mut client, "select i from t");
    assert_eq!(lines.value("consistency"), "primary (by the session: pgweir.consistency)");
    assert_eq!(lines.plan(), ("primary", "level primary"));
    // The rule comes before the session.
    assert_eq!(explain(&mut client, "select i from loose").value("consistency"), "any (by rule loose)");
    let mut console = routed.connect("pgweir");
    let lines = Lines::of(&console.simple("explain route 'select i from t' database postgres"));
    assert_eq!(lines.plan(), ("replica", ""));
    let ports =
        standbys.iter().filter(|node| lines.value("target").contains(&format!("127.0.0.1:{}", node.port)));
    assert_eq!((ports.count(), lines.value("target").starts_with("one of ")), (2, true));
}

#[test]
fn it_says_why_each_replica_may_not_answer() {
    if direct_only() {
        return;
    }
    let routed = Routed::new(2, "max_replica_lag=10m");
    let mut client = routed.connect("postgres");
    let [behind, down] = &routed.scene.standbys[..] else { panic!("two standbys") };
    behind.superuser("postgres").run("select pg_wal_replay_pause()");
    client.run("insert into t values (2)");
    let node = |lines: &Lines, port: u16| {
        let name = format!("127.0.0.1:{port} ");
        lines.all("node").into_iter().find(|node| node.starts_with(&name)).unwrap_or_default().to_owned()
    };
    down.stop("fast");
    eventually("one is behind, and one down", || {
        std::thread::sleep(Duration::from_millis(20));
        let lines = explain(&mut client, "select i from t");
        let told = node(&lines, behind.port);
        let why = told.contains("(replica): has replayed ") && told.contains(", and the session has seen ");
        why && node(&lines, down.port).contains(": down") && lines.plan().1 == "replicas behind"
    });
    let before = routed.counted("pgweir_primary_reads_total", "replicas behind");
    client.run("select i from t");
    assert_eq!(routed.counted("pgweir_primary_reads_total", "replicas behind"), before + 1, "the same name");
    // At another level it would do, and is where the read goes.
    let lines = explain(&mut client, "select i from loose");
    assert_eq!((lines.plan(), node(&lines, behind.port).contains("may answer it")), (("replica", ""), true));
    assert!(lines.value("target").starts_with(&format!("127.0.0.1:{} (replica)", behind.port)));
    client.run("set pgweir.consistency = 'bounded:1ms'");
    eventually("its data are too old", || {
        std::thread::sleep(Duration::from_millis(20));
        let lines = explain(&mut client, "select i from t");
        node(&lines, behind.port).ends_with("and 1ms is allowed") && lines.plan().1 == "replicas too old"
    });
    behind.superuser("postgres").run("select pg_wal_replay_resume()");
    behind.stop("fast");
    eventually("there is no replica", || {
        explain(&mut client, "select i from t").plan() == ("primary", "no replica")
    });
}
