//! Rules that say where reads go, in front of a primary and a streaming replica.

use std::net::SocketAddr;
use std::time::Duration;

use crate::admin::get;
use crate::cluster::Scene;
use crate::harness::cluster::{APP, free_port};
use crate::harness::command::Folder;
use crate::harness::proxy::{Proxy, ProxyOptions};
use crate::harness::raw::{Client, Login};
use crate::harness::{direct_only, eventually, frontend as msg};

const RULES: &str = r#"
[[rule]]
name = "primary"
when.tables = "ours"
then.route = "primary"

[[rule]]
name = "any"
when.tables = "reports"
then = { route = "replica", consistency = "any" }

[[rule]]
name = "wish"
when.tables = "wished"
then.route = "replica"

[[rule]]
name = "fresh"
when.tables = "fresh"
then.consistency = "primary"

[[rule]]
name = "young"
when.tables = "young"
then = { consistency = "any", concurrency = { limit = 1 }, timeout = "30s" }
"#;

fn counted(http: SocketAddr, metric: &str, label: &str) -> u64 {
    let (_, page) = get(http, "/metrics");
    let line = page.lines().find(|line| line.starts_with(metric) && line.contains(&format!("=\"{label}\"")));
    let line = line.unwrap_or_else(|| panic!("no {metric} of {label} in\n{page}"));
    line.rsplit(' ').next().and_then(|number| number.parse::<u64>().ok()).expect("a number")
}

/// Reads 15 times, and gives how many of them replicas have answered.
fn by_replicas(http: SocketAddr, client: &mut Client, table: &str) -> u64 {
    let answered = || counted(http, "pgweir_replica_reads_total", "answered");
    let before = answered();
    let sql = format!("select i from {table}");
    client.send(&[msg::parse("s", &sql), msg::sync()].concat());
    client.until_ready();
    let bound =
        [msg::bind("", "s", &[]), msg::describe_portal(""), msg::execute("", 0), msg::sync()].concat();
    for form in [msg::query(&sql), [msg::unnamed(&sql, &[]), msg::sync()].concat(), bound] {
        for _ in 0..5 {
            client.send(&form);
            let answer = client.until_ready();
            let rows = answer.iter().filter(|message| message.tag == b'D').count();
            assert_eq!(rows, 1, "{answer:?}");
        }
    }
    client.run("deallocate s");
    answered() - before
}

#[test]
fn reads_go_to_the_node_that_a_rule_names_and_any_ends_the_search() {
    if direct_only() {
        return;
    }
    let scene = Scene::new(2);
    let make = |name: &str| format!("create table {name} (i int); insert into {name} values (1);");
    let tables = ["second", "main", "free", "ours"].map(make).concat();
    scene.primary.superuser("postgres").run(&(tables + "grant all on all tables in schema public to public"));
    let (second, primary) = (scene.standbys[1].port, scene.primary.port);
    let rule = |name: &str, when: &str, route: &str| {
        format!("[[rule]]\nname = \"{name}\"\nwhen.tables = \"{when}\"\nthen.route = \"{route}\"\n")
    };
    let rules = [
        rule("second", "second", &format!("127.0.0.1:{second}")),
        rule("main", "main", &format!("127.0.0.1:{primary}")),
        rule("free", "free", "any"),
        rule("rest", "*", "primary"),
    ];
    let folder = Folder::new();
    std::fs::write(folder.0.join("a.toml"), rules.concat()).expect("a file can be written");
    let url = scene.url(APP, "check_interval=50ms&consistency=primary&balance=round-robin");
    // The user's level comes before that of the database.
    let user = format!("[users.{}]\nconsistency = \"any\"\n", APP.0);
    let mut options = ProxyOptions::url(&url).config(&user);
    options.args.extend(["--rules".to_owned(), folder.0.display().to_string()]);
    let proxy = Proxy::start_with(&options);
    let mut client = Client::connect(&proxy.endpoint(), &Login::new(APP.0, APP.1, "postgres"));
    let nodes = [&scene.primary, &scene.standbys[0], &scene.standbys[1]];
    let mut seen = |table: &str| {
        let sql = format!("select i from {table}");
        (0..12).for_each(|_| assert_eq!(client.value(&sql), "1"));
        let count = format!("select count(*) from pg_stat_activity where query = '{sql}'");
        nodes.map(|node| node.superuser("postgres").value(&count) != "0")
    };
    eventually("reads go to both replicas", || seen("free")[1..] == [true, true]);
    assert_eq!(seen("second"), [false, false, true]);
    assert_eq!(seen("main"), [true, false, false]);
    assert_eq!(seen("ours"), [true, false, false], "the last rule is for it");
    scene.standbys[1].stop("fast");
    let sql = "select i from second";
    (0..12).for_each(|_| assert_eq!(client.value(sql), "1", "another node answers"));
}

#[test]
fn reads_go_where_rules_say() {
    if direct_only() {
        return;
    }
    let scene = Scene::new(1);
    scene.primary.superuser("postgres").run(
        "create table ours (i int); create table reports (i int); create table wished (i int); create table fresh (i int); \
         create table free (i int); insert into ours values (1); insert into reports values (1); \
         insert into wished values (1); insert into fresh values (1); insert into free values (1); \
         grant all on all tables in schema public to public",
    );
    let folder = Folder::new();
    std::fs::write(folder.0.join("a.toml"), RULES).expect("a file can be written");
    let http = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let mut options = ProxyOptions::url(&scene.url(APP, "check_interval=50ms&consistency=primary"));
    let rules = folder.0.display().to_string();
    options.args.extend(["--http".to_owned(), http.to_string(), "--rules".to_owned(), rules]);
    let proxy = Proxy::start_with(&options);
    let connect = || Client::connect(&proxy.endpoint(), &Login::new(APP.0, APP.1, "postgres"));
    let mut client = connect();
    eventually("reads go to the replica", || {
        std::thread::sleep(Duration::from_millis(20));
        by_replicas(http, &mut client, "reports") > 0
    });
    for (table, expected) in [("reports", 15), ("wished", 0), ("fresh", 0), ("free", 0), ("ours", 0)] {
        assert_eq!(
            by_replicas(http, &mut client, table),
            expected,
            "{table}, where the settings say primary"
        );
    }
    client.run("set pgweir.consistency = 'any'");
    for (table, expected) in [("reports", 15), ("wished", 15), ("fresh", 0), ("free", 15), ("ours", 0)] {
        assert_eq!(by_replicas(http, &mut client, table), expected, "{table}, where the session says any");
    }
    for rule in ["primary", "wish", "fresh"] {
        assert_eq!(counted(http, "pgweir_rule_hits_total", rule), 30, "{rule}: each read once");
    }
    // The replica does not know of a table yet, so that the primary is asked after it.
    scene.standbys[0].superuser("postgres").run("select pg_wal_replay_pause()");
    scene
        .primary
        .superuser("postgres")
        .run("create table young as select 7 as i; grant all on young to public");
    std::thread::sleep(Duration::from_millis(20));
    let before = counted(http, "pgweir_replica_reads_total", "asked_again");
    assert_eq!(client.value("select i from young"), "7");
    client.send(&[msg::unnamed("select i from young", &[]), msg::sync()].concat());
    assert!(client.until_ready().iter().any(|message| message.tag == b'D' && message.value() == "7"));
    assert_eq!(counted(http, "pgweir_replica_reads_total", "asked_again"), before + 2);
    assert_eq!(counted(http, "pgweir_rule_hits_total", "young"), 2, "each was judged once");
    assert_eq!(counted(http, "pgweir_rule_waits_total", "young"), 0, "each had its permit until the end");
    eventually("permits are back", || counted(http, "pgweir_rule_running", "young") == 0);
    for _ in 0..3 {
        assert_eq!(client.value("select i from young"), "7");
        assert_eq!(client.value("show statement_timeout"), "0");
    }
    // What is not a read stays at the primary, whatever a rule says.
    client.run("insert into reports values (2)");
    client.run("begin");
    client.run("select i from reports");
    client.run("rollback");
}
