//! What SHOW NODES, metrics and log tell of nodes that are written to, paused, stopped and promoted.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::Scene;
use crate::admin::{get, show};
use crate::conformance::tls::Secured;
use crate::harness::cluster::{APP, Cluster, KEEPS_WAL, SUPERUSER, free_port};
use crate::harness::proxy::{Proxy, ProxyOptions};
use crate::harness::raw::{Client, Login};
use crate::harness::{direct_only, eventually};

/// A proxy that watches these nodes, and its console.
struct Watched {
    proxy: Proxy,
    console: Client,
    http: SocketAddr,
}

impl Watched {
    fn start(url: &str, user: (&str, &str)) -> Watched {
        let http = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let mut options =
            ProxyOptions::url(url).config(&format!("[admin]\nadmin_users = [\"{}\"]\n", user.0));
        options.args.extend(["--http".to_owned(), http.to_string()]);
        let proxy = Proxy::start_with(&options);
        let console = Client::connect(&proxy.endpoint(), &Login::new(user.0, user.1, "pgweir"));
        Watched { proxy, console, http }
    }

    /// What is shown of a node.
    fn node(&mut self, cluster: &Cluster) -> BTreeMap<String, String> {
        let port = cluster.port.to_string();
        let rows = show(&mut self.console, "NODES");
        let found = rows.into_iter().find(|row| row["port"] == port && row["database"] == "postgres");
        found.expect("the node is shown")
    }

    fn value(&mut self, cluster: &Cluster, column: &str) -> String {
        self.node(cluster).remove(column).expect("there is such a column")
    }

    fn number(&mut self, cluster: &Cluster, column: &str) -> u64 {
        self.value(cluster, column).parse().unwrap_or(u64::MAX)
    }

    /// Waits until role and state of a node are these.
    fn becomes(&mut self, cluster: &Cluster, role: &str, state: &str) {
        eventually(&format!("port {} becomes {role}, {state}", cluster.port), || {
            let node = self.node(cluster);
            (node["role"].as_str(), node["state"].as_str()) == (role, state)
        });
    }

    fn metric(&self, sample: &str) -> Option<f64> {
        let page = get(self.http, "/metrics").1;
        page.lines().find_map(|line| line.strip_prefix(sample)?.trim().parse().ok())
    }
}

#[test]
fn roles_positions_and_lag_are_found_out() {
    if direct_only() {
        return;
    }
    let scene = Scene::new(1);
    let (primary, standby) = (&scene.primary, &scene.standbys[0]);
    let query = format!(
        "check_interval=50ms&weights=127.0.0.1:{}%3D3&zone=a&zones=127.0.0.1:{}%3Da",
        standby.port, standby.port
    );
    let mut watched = Watched::start(&scene.url(APP, &query), APP);
    watched.becomes(primary, "primary", "up");
    watched.becomes(standby, "replica", "up");
    let node = watched.node(standby);
    let of = |column: &str| node[column].as_str();
    assert_eq!((of("weight"), of("zone"), of("local"), of("timeline")), ("3", "a", "1", "1"));
    let before = watched.value(primary, "lsn");
    primary.superuser("postgres").run("create table t as select generate_series(1, 1000) as i");
    eventually("the position moves", || watched.value(primary, "lsn") != before);
    eventually("the replica has it", || watched.number(standby, "lag_bytes") == 0);
    standby.superuser("postgres").run("select pg_wal_replay_pause()");
    primary.superuser("postgres").run("insert into t select generate_series(1, 1000)");
    eventually("bytes are behind", || (1..u64::MAX).contains(&watched.number(standby, "lag_bytes")));
    let old = 500_000..u64::MAX;
    eventually("it is half a second old", || old.contains(&watched.number(standby, "lag_us")));
    let name = format!("{{database=\"postgres\",node=\"127.0.0.1:{}\"", standby.port);
    let lag = watched.metric(&format!("pgweir_node_lag_seconds{name}}}"));
    assert!(lag.is_some_and(|lag| lag >= 0.5), "{lag:?}");
    standby.superuser("postgres").run("select pg_wal_replay_resume()");
    eventually("it has caught up", || {
        watched.number(standby, "lag_bytes") == 0 && watched.number(standby, "lag_us") < 300_000
    });
    std::thread::sleep(std::time::Duration::from_millis(1500));
    let lag = watched.number(standby, "lag_us");
    assert!(lag < 300_000, "while nothing is written nobody grows old: {lag}");
    assert_eq!(watched.metric(&format!("pgweir_node_up{name},role=\"replica\"}}")), Some(1.0));
    assert!(watched.metric("pgweir_node_probes_total{database=\"postgres\",result=\"ok\"}") > Some(20.0));
}

#[test]
fn nobody_grows_old_while_the_primary_stands_behind_the_head_of_a_page() {
    if direct_only() {
        return;
    }
    let scene = Scene::new(1);
    let (primary, standby) = (&scene.primary, &scene.standbys[0]);
    let mut watched = Watched::start(&scene.url(APP, "check_interval=50ms"), APP);
    watched.becomes(primary, "primary", "up");
    watched.becomes(standby, "replica", "up");
    let mut writer = primary.superuser("postgres");
    let mut place = || writer.value("select pg_current_wal_insert_lsn()");
    // PostgreSQL itself may write something; then it begins anew.
    let idle = (0..30).any(|_| {
        primary.superuser("postgres").run("create table if not exists t (i int)");
        primary.superuser("postgres").run("select pg_switch_wal()");
        let before = place();
        std::thread::sleep(std::time::Duration::from_millis(1500));
        let (lag, bytes) = (watched.number(standby, "lag_us"), watched.number(standby, "lag_bytes"));
        let stayed = before.ends_with("00028") && before == place();
        if stayed {
            assert!((lag, bytes) < (300_000, 1), "{lag} us, {bytes} bytes behind {before}");
        }
        stayed
    });
    assert!(idle, "the primary was never idle behind the head of a page");
}

#[test]
fn a_stranger_among_the_hosts_gets_no_statement_even_while_it_is_alone() {
    if direct_only() {
        return;
    }
    let scene = Scene::new(1);
    let stranger = Cluster::stranger("log_statement = 'all'\n");
    let url = scene.url(APP, "check_interval=50ms&queue_timeout=1s");
    let url = url.replacen('@', &format!("@127.0.0.1:{},", stranger.port), 1);
    let mut watched = Watched::start(&url, APP);
    let login = Login::new(APP.0, APP.1, "postgres");
    let mut client = Client::connect(&watched.proxy.endpoint(), &login);
    let port = "select current_setting('port') from (select pg_advisory_xact_lock(17)) as marked_one";
    assert_eq!(client.value(port), scene.primary.port.to_string(), "the first statement goes to the cluster");
    watched.becomes(&stranger, "primary", "foreign");
    watched.becomes(&scene.primary, "primary", "up");
    scene.standbys[0].stop("fast");
    scene.primary.stop("fast");
    watched.becomes(&scene.primary, "unknown", "down");
    let refused = client.simple("select 1 as marked_two");
    assert!(refused.iter().any(|message| message.tag == b'E'), "{refused:?}");
    scene.primary.start_again();
    let mut again = Client::connect(&watched.proxy.endpoint(), &login);
    assert_eq!(again.value(port), scene.primary.port.to_string());
    watched.becomes(&stranger, "primary", "foreign");
    assert!(stranger.log().contains("pg_is_in_recovery"), "it logs what it is asked");
    assert!(!stranger.log().contains("marked_"), "{}", stranger.log());
    let log = watched.proxy.log();
    let told = log.lines().find(|line| line.contains("node of another cluster")).unwrap_or_default();
    assert!(told.contains("ERROR") && told.contains(&stranger.port.to_string()), "{log}");
}

#[test]
fn a_node_that_ends_is_left_alone_and_comes_back() {
    if direct_only() {
        return;
    }
    let scene = Scene::new(1);
    let (primary, standby) = (&scene.primary, &scene.standbys[0]);
    let mut watched = Watched::start(&scene.url(APP, "check_interval=100ms"), APP);
    watched.becomes(standby, "replica", "up");
    standby.stop("immediate");
    watched.becomes(standby, "unknown", "down");
    let reason = watched.value(standby, "reason");
    assert!(reason.contains("; tried again in "), "{reason}");
    assert_eq!(watched.value(standby, "lsn"), "");
    watched.becomes(primary, "primary", "up");
    standby.start_again();
    watched.becomes(standby, "replica", "up");
    let log = watched.proxy.log();
    assert!(log.contains("node lost") && log.contains("node returned"), "{log}");
    let events = |event: &str| format!("pgweir_node_events_total{{database=\"postgres\",event=\"{event}\"}}");
    assert!(watched.metric(&events("node lost")) >= Some(1.0));
    assert_eq!(watched.metric(&events("node returned")), Some(1.0));
    assert_eq!(watched.metric(&events("primary found")), Some(1.0));
}

#[test]
fn the_end_of_a_node_is_noticed_at_once_over_tls_too() {
    if direct_only() {
        return;
    }
    let secured = Secured::start("");
    for (mode, tls) in [("disable", "f"), ("require", "t")] {
        let query = format!("reads=replicas&check_interval=1h&sslmode={mode}");
        let mut watched = Watched::start(&secured.cluster.url(APP, "postgres", &query), APP);
        watched.becomes(&secured.cluster, "primary", "up");
        let mut superuser = secured.cluster.superuser("postgres");
        let probes = "from pg_stat_activity join pg_stat_ssl using (pid) where usename = 'app'";
        assert_eq!(superuser.value(&format!("select bool_and(ssl) {probes}")), tls);
        std::thread::sleep(std::time::Duration::from_millis(300));
        let asked = watched.metric("pgweir_node_probes_total{database=\"postgres\",result=\"ok\"}");
        assert!(asked < Some(10.0), "nobody asks for more: {asked:?}");
        superuser.run(&format!("select pg_terminate_backend(pid) {probes}"));
        eventually("the end is noticed", || watched.proxy.log().contains("node lost"));
    }
}

#[test]
fn a_promotion_is_noticed_and_the_old_primary_is_none_any_more() {
    if direct_only() {
        return;
    }
    let scene = Scene::new(2);
    let (old, new, other) = (&scene.primary, &scene.standbys[0], &scene.standbys[1]);
    let mut watched = Watched::start(&scene.url(SUPERUSER, "check_interval=100ms"), SUPERUSER);
    watched.becomes(old, "primary", "up");
    watched.becomes(new, "replica", "up");
    watched.becomes(other, "replica", "up");
    old.stop("immediate");
    watched.becomes(old, "unknown", "down");
    new.promote();
    watched.becomes(new, "primary", "up");
    assert_eq!(watched.value(new, "timeline"), "2");
    assert_eq!(watched.value(other, "state"), "other timeline");
    other.follow(new);
    watched.becomes(other, "replica", "up");
    assert_eq!(watched.value(other, "timeline"), "2");
    old.start_again();
    watched.becomes(old, "primary", "rival");
    watched.becomes(new, "primary", "up");
    let log = watched.proxy.log();
    let told = log.lines().find(|line| line.contains("two primaries")).unwrap_or_default();
    assert!(told.contains("ERROR") && told.contains("the later timeline is taken"), "{log}");
}

#[test]
fn two_primaries_are_noticed() {
    if direct_only() {
        return;
    }
    // Copies of one template: the same system identifier and timeline.
    let scene =
        Scene { primary: Cluster::start(KEEPS_WAL, &[]), standbys: vec![Cluster::start(KEEPS_WAL, &[])] };
    let mut watched = Watched::start(&scene.url(APP, "check_interval=100ms"), APP);
    watched.becomes(&scene.primary, "primary", "rival");
    watched.becomes(&scene.standbys[0], "primary", "rival");
    let log = watched.proxy.log();
    assert!(log.contains("two primaries: none is taken; stop all but one of them"), "{log}");
    scene.standbys[0].stop("fast");
    watched.becomes(&scene.primary, "primary", "up");
}

#[test]
fn a_reload_takes_nodes_in_and_out() {
    if direct_only() {
        return;
    }
    let scene = Scene::new(1);
    let (primary, standby) = (&scene.primary, &scene.standbys[0]);
    let settings = |more: &str| {
        format!(
            "http = \"off\"\n[admin]\nadmin_users = [\"app\"]\n[databases.postgres]\nhosts = [\"127.0.0.1:{}\"]\n\
             user = \"{}\"\npassword = \"plain:{}\"\ncheck_interval = \"50ms\"\n{more}",
            primary.port, APP.0, APP.1
        )
    };
    let lines = settings("").replacen("http = \"off\"\n", "", 1);
    let proxy = Proxy::start_with(&ProxyOptions::default().config(&lines));
    let console = Client::connect(&proxy.endpoint(), &Login::new(APP.0, APP.1, "pgweir"));
    let mut watched = Watched { proxy, console, http: SocketAddr::from(([127, 0, 0, 1], 1)) };
    assert_eq!(show(&mut watched.console, "NODES").len(), 0, "nobody has asked for it");
    let mut reload = |more: &str| {
        watched.proxy.set_config(&settings(more));
        watched.console.run("RELOAD");
        show(&mut watched.console, "NODES").len()
    };
    assert_eq!(reload("reads = \"replicas\"\n"), 1);
    let replicas = format!("reads = \"replicas\"\nreplicas = [\"127.0.0.1:{}\"]\n", standby.port);
    assert_eq!(reload(&replicas), 2);
    watched.becomes(primary, "primary", "up");
    watched.becomes(standby, "replica", "up");
    let mut reload = |more: &str| {
        watched.proxy.set_config(&settings(more));
        watched.console.run("RELOAD");
        show(&mut watched.console, "NODES")
    };
    let again = reload(&format!("{replicas}balance = \"weighted\"\n"));
    assert!(again.iter().all(|row| row["state"] == "up"), "nodes stay as they were known: {again:?}");
    assert_eq!(reload("").len(), 0);
}
