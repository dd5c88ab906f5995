//! Reads through pgweir in front of a primary and streaming replicas: where they go, and what sessions see.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::Scene;
use crate::admin::get;
use crate::harness::cluster::{APP, free_port};
use crate::harness::proxy::{Proxy, ProxyOptions};
use crate::harness::raw::{Client, Endpoint, Login};
use crate::harness::{direct_only, eventually, frontend as msg};

pub(super) struct Routed {
    pub(super) scene: Scene,
    pub(super) proxy: Proxy,
    http: SocketAddr,
}

impl Routed {
    pub(super) fn new(standbys: usize, query: &str) -> Routed {
        Routed::with(standbys, query, &[])
    }

    /// With these arguments besides.
    pub(super) fn with(standbys: usize, query: &str, args: &[String]) -> Routed {
        let scene = Scene::new(standbys);
        scene.primary.superuser("postgres").run(
            "create table t (i int primary key, n bigint not null default 0); insert into t select generate_series(1, 100); \
             grant all on t to public; grant create on schema public to public",
        );
        let http = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let url = scene.url(APP, &format!("check_interval=50ms&{query}"));
        let mut options =
            ProxyOptions::url(&url).config(&format!("[admin]\nadmin_users = [\"{}\"]\n", APP.0));
        options.args.extend(["--http".to_owned(), http.to_string()]);
        options.args.extend_from_slice(args);
        let proxy = Proxy::start_with(&options);
        let routed = Routed { scene, proxy, http };
        let mut client = routed.connect();
        client.run("set pgweir.consistency = 'any'");
        eventually("reads go to replicas", || {
            client.value("select count(*) from t");
            std::thread::sleep(Duration::from_millis(20));
            routed.counted("pgweir_replica_reads_total", "answered") > 0
        });
        routed
    }

    pub(super) fn connect(&self) -> Client {
        Client::connect(&self.proxy.endpoint(), &Login::new(APP.0, APP.1, "postgres"))
    }

    pub(super) fn console(&self) -> Client {
        Client::connect(&self.proxy.endpoint(), &Login::new(APP.0, APP.1, "pgweir"))
    }

    pub(super) fn endpoint(&self) -> Endpoint {
        self.proxy.endpoint()
    }

    pub(super) fn counted(&self, metric: &str, label: &str) -> u64 {
        let (_, page) = get(self.http, "/metrics");
        let line =
            page.lines().find(|line| line.starts_with(metric) && line.contains(&format!("=\"{label}\"")));
        line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).unwrap_or_default() as u64
    }

    /// For whoever looks at a test that failed.
    fn print(&self) {
        let (_, page) = get(self.http, "/metrics");
        let lines = page.lines().filter(|line| line.contains("_reads_total{") && !line.ends_with(" 0"));
        lines.for_each(|line| println!("{line}"));
    }

    pub(super) fn pause(&self, standby: usize, paused: bool) {
        let what = if paused { "pause" } else { "resume" };
        self.scene.standbys[standby].superuser("postgres").run(&format!("select pg_wal_replay_{what}()"));
    }

    /// Reads in each form; between them the session pauses, as applications do.
    fn read_in_every_form(&self, client: &mut Client, i: u32) {
        let sql = format!("select i from t where i = {i}");
        let named = msg::bind("", "s", &[]);
        client.send(&[msg::parse("s", &sql), msg::sync()].concat());
        assert!(client.until_ready().iter().all(|message| message.tag != b'E'));
        let forms = [
            msg::query(&sql),
            [
                msg::parse("", &sql),
                msg::bind("", "", &[]),
                msg::describe_portal(""),
                msg::execute("", 0),
                msg::sync(),
            ]
            .concat(),
            [named.clone(), msg::execute("", 0), msg::sync()].concat(),
            [named, msg::describe_portal(""), msg::execute("", 0), msg::sync()].concat(),
        ];
        for (n, form) in forms.iter().enumerate() {
            std::thread::sleep(Duration::from_millis(12));
            client.send(form);
            let answer = client.until_ready();
            let row = answer.iter().find(|message| message.tag == b'D');
            assert_eq!(row.map(|row| row.value()), Some(i.to_string()), "form {n}: {answer:?}");
        }
        client.run("deallocate s");
    }
}

#[test]
fn reads_go_to_replicas_and_all_else_to_the_primary() {
    if direct_only() {
        return;
    }
    let routed = Routed::new(2, "balance=round-robin");
    let mut client = routed.connect();
    for i in 1..=40 {
        routed.read_in_every_form(&mut client, i);
    }
    let answered = routed.counted("pgweir_replica_reads_total", "answered");
    routed.print();
    assert!(answered > 100, "replicas have answered {answered} of 160 reads");
    let reads = |standby: usize| -> u64 {
        let sql = "select seq_scan + idx_scan from pg_stat_user_tables where relname = 't'";
        routed.scene.standbys[standby].superuser("postgres").value(sql).parse().unwrap_or_default()
    };
    eventually("both replicas have read", || reads(0) > 20 && reads(1) > 20);
    // All that follows a read in the same write is in its place.
    let pipeline = [
        msg::query("select n from t where i = 1"),
        msg::query("update t set n = n + 1 where i = 1"),
        msg::query("select n from t where i = 1"),
        msg::query("begin"),
        msg::query("select n from t where i = 1"),
        msg::query("update t set n = n + 1 where i = 1 returning n"),
        msg::query("commit"),
        msg::query("select n from t where i = 1"),
    ];
    for round in 0..20 {
        client.send(&pipeline.concat());
        let answers: Vec<_> = pipeline.iter().map(|_| client.until_ready()).collect();
        let value = |at: usize| answers[at].iter().find(|message| message.tag == b'D').map(|row| row.value());
        let n = 2 * round;
        let expected = [Some(n), None, Some(n + 1), None, Some(n + 1), Some(n + 2), None, Some(n + 2)];
        for (at, expected) in expected.into_iter().enumerate() {
            assert_eq!(
                value(at),
                expected.map(|n: i32| n.to_string()),
                "round {round}, {at}: {:?}",
                answers[at]
            );
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Every read of a database whose nodes are watched is counted, from the first on: at a replica, or at the primary with the reason.
#[test]
fn every_read_is_counted_from_the_start_on() {
    if direct_only() {
        return;
    }
    let scene = Scene::new(1);
    scene
        .primary
        .superuser("postgres")
        .run("create table t as select generate_series(1, 100) as i; grant all on t to public");
    let http = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let mut options = ProxyOptions::url(&scene.url(APP, "check_interval=50ms&consistency=any"));
    options.args.extend(["--http".to_owned(), http.to_string()]);
    let routed = Routed { scene, proxy: Proxy::start_with(&options), http };
    let mut client = routed.connect();
    for i in 1..=20 {
        assert_eq!(client.value(&format!("select i from t where i = {i}")), i.to_string());
        let sql = format!("select i from t where i = {i}");
        client.send(&[msg::unnamed(&sql, &[]), msg::sync()].concat());
        client.until_ready();
        // What is no read is counted nowhere.
        client.run("update t set i = i where i = 0");
    }
    drop(client);
    let counted = || {
        let (_, page) = get(routed.http, "/metrics");
        let of = |line: &&str| {
            line.starts_with("pgweir_primary_reads_total{")
                || line.starts_with("pgweir_replica_reads_total{") && line.contains("answered")
        };
        page.lines().filter(of).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>()
    };
    routed.print();
    assert_eq!(counted(), 40.0);
    assert!(routed.counted("pgweir_primary_reads_total", "definitions not read") > 0);
}

/// Writes and reads of several sessions while the replay of replicas is paused and resumed; gives how many reads missed what their
/// own session had seen.
fn undone(routed: &Routed, time: Duration) -> u64 {
    let undone = AtomicU64::new(0);
    let until = Instant::now() + time;
    std::thread::scope(|scope| {
        for session in 0..8_u64 {
            let (undone, routed) = (&undone, &*routed);
            scope.spawn(move || {
                let mut client = routed.connect();
                let (mut seen, mut step) = ([0_i64; 3], session);
                while Instant::now() < until {
                    step =
                        step.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    let row = (step >> 33) as usize % 3;
                    let i = row + 1;
                    if (step >> 40).is_multiple_of(6) {
                        let sql = format!("update t set n = n + 1 where i = {i} returning n");
                        seen[row] = client.value(&sql).parse().expect("a number");
                    } else {
                        let n: i64 = client
                            .value(&format!("select n from t where i = {i}"))
                            .parse()
                            .expect("a number");
                        undone.fetch_add(u64::from(n < seen[row]), Ordering::Relaxed);
                        seen[row] = seen[row].max(n);
                    }
                    if (step >> 45).is_multiple_of(2) {
                        std::thread::sleep(Duration::from_millis((step >> 50) % 12));
                    }
                }
            });
        }
        scope.spawn(|| {
            let mut n = 0;
            while Instant::now() < until {
                routed.pause(n % 2, true);
                std::thread::sleep(Duration::from_millis(60));
                routed.pause(n % 2, false);
                std::thread::sleep(Duration::from_millis(40));
                n += 1;
            }
        });
    });
    undone.into_inner()
}

#[test]
fn a_session_never_sees_less_than_it_has_seen() {
    if direct_only() {
        return;
    }
    for (consistency, wait) in [("session", "0s"), ("session", "10ms"), ("any", "0s")] {
        let routed = Routed::new(2, &format!("consistency={consistency}&replica_wait={wait}"));
        let before = routed.counted("pgweir_replica_reads_total", "answered");
        let undone = undone(&routed, Duration::from_secs(4));
        let answered = routed.counted("pgweir_replica_reads_total", "answered") - before;
        println!("{consistency}, wait {wait}: {answered} reads by replicas, {undone} undone");
        assert!(answered > 10, "{consistency}: {answered}");
        // With no promise there is something to see, so that its absence says something.
        assert_eq!(undone > 0, consistency == "any", "{consistency}: {undone} undone");
    }
}

#[test]
fn what_a_replica_does_not_answer_the_primary_does() {
    if direct_only() {
        return;
    }
    let routed = Routed::new(1, "consistency=any");
    let mut client = routed.connect();
    // It does not know of a table yet.
    routed.pause(0, true);
    routed
        .scene
        .primary
        .superuser("postgres")
        .run("create table young as select 7 as seven; grant all on young to public");
    let before = routed.counted("pgweir_replica_reads_total", "asked_again");
    let young = client.simple("select seven from young");
    routed.print();
    assert_eq!(young[1].value(), "7", "{young:?}");
    client.send(
        &[
            msg::parse("", "select seven from young"),
            msg::bind("", "", &[]),
            msg::describe_portal(""),
            msg::execute("", 0),
            msg::sync(),
        ]
        .concat(),
    );
    let answer = client.until_ready();
    let tags: Vec<u8> = answer.iter().map(|message| message.tag).collect();
    assert_eq!(tags, b"12TDCZ", "{answer:?}");
    assert_eq!(routed.counted("pgweir_replica_reads_total", "asked_again"), before + 2);
    assert_eq!(client.error("select * from no_such_table"), "42P01", "the primary's own error");
    assert_eq!(client.error("select 1 / 0 from t"), "22012");
    routed.pause(0, false);
    // A replica that ends in the middle, in every form.
    let sleep = "select i from t, pg_catalog.pg_sleep(0.4) where i = 5";
    for form in [
        msg::query(sleep),
        [msg::parse("", sleep), msg::bind("", "", &[]), msg::execute("", 0), msg::sync()].concat(),
    ] {
        let replica = &routed.scene.standbys[0];
        eventually("the replica is at work", || {
            client.send(&form);
            std::thread::sleep(Duration::from_millis(150));
            let at_work = replica.superuser("postgres").value(
                "select count(*) from pg_stat_activity where query like '%pg_sleep(0.4)%' and state = 'active' and pid <> pg_backend_pid()",
            );
            if at_work == "0" {
                client.until_ready();
            }
            at_work != "0"
        });
        replica.stop("immediate");
        let answer = client.until_ready();
        assert!(answer.iter().any(|message| message.tag == b'D' && message.value() == "5"), "{answer:?}");
        for i in 1..20 {
            assert_eq!(client.value(&format!("select i from t where i = {i}")), i.to_string());
        }
        replica.start_again();
    }
}

/// Its connections are open and say nothing: a network that is cut looks the same.
#[test]
fn a_read_at_a_replica_that_is_frozen_is_answered_by_the_primary() {
    if direct_only() {
        return;
    }
    let routed = Routed::new(1, "consistency=any");
    let (mut client, mut other) = (routed.connect(), routed.connect());
    client.value("select count(*) from t");
    let again = routed.counted("pgweir_replica_reads_total", "asked_again");
    let frozen = routed.scene.standbys[0].freeze();
    let since = Instant::now();
    client.send(&msg::query("select 'simple'"));
    let batch =
        [msg::parse("", "select 'extended'"), msg::bind("", "", &[]), msg::execute("", 0), msg::sync()];
    other.send(&batch.concat());
    assert_eq!(client.until_ready()[1].value(), "simple");
    let answer = other.until_ready();
    assert!(answer.iter().any(|message| message.tag == b'D' && message.value() == "extended"), "{answer:?}");
    assert!(since.elapsed() < Duration::from_secs(15), "{:?}", since.elapsed());
    // One of them may not have got as far as to a server there.
    let asked_again = routed.counted("pgweir_replica_reads_total", "asked_again") - again;
    assert!((1..=2).contains(&asked_again), "{asked_again}");
    drop(frozen);
}

#[test]
fn sessions_say_what_their_reads_promise() {
    if direct_only() {
        return;
    }
    let routed = Routed::new(1, "consistency=primary");
    let mut client = routed.connect();
    let (mut writer, before) = (routed.connect(), routed.counted("pgweir_replica_reads_total", "answered"));
    routed.pause(0, true);
    writer.run("update t set n = 77 where i = 50");
    let question = "select n from t where i = 50";
    assert_eq!(client.value(question), "77", "the primary answers");
    client.run("set pgweir.consistency = 'any'");
    assert_eq!(client.value(question), "0", "the replica does not know it yet");
    client.run("begin; set local pgweir.consistency = 'primary'; commit");
    assert_eq!(client.value(question), "0");
    assert_eq!(writer.value(question), "77", "another session's own");
    client.run("set default_transaction_isolation = serializable");
    assert_eq!(client.value(question), "77", "replicas cannot do that");
    client.run("reset default_transaction_isolation; reset pgweir.consistency");
    assert_eq!(client.value(question), "77");
    routed.pause(0, false);
    assert!(routed.counted("pgweir_replica_reads_total", "answered") > before);
}

#[test]
fn an_entry_that_only_reads_is_spread_over_replicas_and_refuses_writes() {
    if direct_only() {
        return;
    }
    let routed =
        Routed::new(2, "balance=round-robin&consistency=any&options=-c%20default_transaction_read_only%3Don");
    let mut client = routed.connect();
    assert_eq!(client.value("show transaction_read_only"), "on");
    let before = routed.counted("pgweir_replica_reads_total", "answered");
    for i in 1..=20 {
        assert_eq!(client.value(&format!("select i from t where i = {i}")), i.to_string());
    }
    let answered = routed.counted("pgweir_replica_reads_total", "answered") - before;
    routed.print();
    assert_eq!(answered, 20, "all reads are for replicas");
    for write in ["insert into t values (1000)", "update t set n = 1", "create table other (i int)"] {
        let answer = client.simple(write);
        let error = answer.iter().find(|message| message.tag == b'E').and_then(|error| error.field(b'C'));
        assert_eq!(error.as_deref(), Some("25006"), "{write}: {answer:?}");
    }
    // Each server that it may get says the same.
    client.run("begin");
    assert!(client.simple("delete from t").iter().any(|message| message.tag == b'E'));
    client.run("rollback");
    assert_eq!(routed.scene.primary.superuser("postgres").value("select count(*) from t"), "100");
}
