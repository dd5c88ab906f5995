//! Primaries that are killed or demoted while sessions work, and standbys promoted in their place: what is written where, and which
//! sessions notice.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use super::Scene;
use crate::harness::cluster::{APP, Cluster, KEEPS_WAL};
use crate::harness::proxy::{Proxy, ProxyOptions};
use crate::harness::raw::{Client, Endpoint, Login};
use crate::harness::{big, direct_only, eventually, frontend as msg};

/// Each row tells which node has written it, in which timeline, and when.
const TABLE: &str = "create table w (who int, n int, port int default inet_server_port(), \
    tli text default left(pg_walfile_name(pg_current_wal_insert_lsn()), 8), at timestamptz default clock_timestamp()); \
    create index on w (who, n); grant all on w to public; grant pg_monitor to app";
/// What a statement or transaction that was under way at a server which is lost may be told.
const LOST: [&str; 6] = ["08006", "08007", "57P01", "57P02", "25006", "closed"];

/// The first value of the answer; else its SQLSTATE, or `closed`, and whether the session goes on.
fn ask(client: &mut Client, bytes: &[u8]) -> Result<String, (String, bool)> {
    client.send(bytes);
    let messages = client.until(b'Z').map_err(|error| (error, false))?;
    let goes_on = messages.last().is_some_and(|message| message.tag == b'Z');
    match messages.iter().find(|message| message.tag == b'E') {
        Some(error) => Err((error.sqlstate(), goes_on)),
        None if goes_on => {
            Ok(messages.iter().find(|message| message.tag == b'D').map(|row| row.value()).unwrap_or_default())
        }
        None => Err(("closed".into(), false)),
    }
}

fn insert(who: usize, n: usize) -> Vec<u8> {
    msg::query(&format!("insert into w values ({who}, {n})"))
}

/// An error, and since when its statement or transaction was under way.
#[derive(Debug)]
struct Failure {
    since: Instant,
    at: Instant,
    sqlstate: String,
}

/// What the sessions of a scene have seen.
struct Seen {
    endpoint: Endpoint,
    over: AtomicBool,
    failures: Mutex<Vec<Failure>>,
    /// Who has written which number, and when that was acknowledged.
    written: Mutex<Vec<(usize, usize, Instant)>>,
    reads: Mutex<usize>,
}

impl Seen {
    fn connect(&self) -> Client {
        Client::connect(&self.endpoint, &Login::new(APP.0, APP.1, "postgres"))
    }

    /// The same; nothing of another session's is to be seen.
    fn connect_again(&self) -> Client {
        loop {
            let (mut client, since) = (self.connect(), Instant::now());
            match ask(&mut client, &msg::query("show statement_timeout")) {
                Ok(timeout) => {
                    assert_eq!(timeout, "0");
                    return client;
                }
                Err((sqlstate, _)) => self.fail(since, sqlstate),
            }
        }
    }

    fn acknowledge(&self, who: usize, numbers: &[usize]) {
        let now = Instant::now();
        let mut written = self.written.lock().expect("no session has panicked");
        written.extend(numbers.iter().map(|n| (who, *n, now)));
    }

    fn fail(&self, since: Instant, sqlstate: String) {
        let failure = Failure { since, at: Instant::now(), sqlstate };
        self.failures.lock().expect("no session has panicked").push(failure);
    }

    /// Runs `work` with rising numbers, and a new connection where the last one has ended; between them it pauses.
    fn again_and_again(
        &self,
        begin: impl Fn(&mut Client),
        mut work: impl FnMut(&mut Client, usize) -> Result<(), (String, bool)>,
    ) {
        let (mut client, mut n) = (None, 0);
        while !self.over.load(Ordering::Relaxed) {
            n += 2;
            let client_now = client.get_or_insert_with(|| {
                let mut client = self.connect_again();
                begin(&mut client);
                client
            });
            let since = Instant::now();
            if let Err((sqlstate, goes_on)) = work(client_now, n) {
                self.fail(since, sqlstate);
                if !goes_on {
                    client = None;
                } else {
                    client_now.simple("rollback");
                }
            }
            std::thread::sleep(Duration::from_millis(4));
        }
    }

    fn writes_simply(&self, who: usize) {
        self.again_and_again(
            |_| {},
            |client, n| {
                ask(client, &insert(who, n))?;
                self.acknowledge(who, &[n]);
                Ok(())
            },
        );
    }

    /// By a prepared statement; then it reads what it has written.
    fn writes_prepared(&self, who: usize) {
        let prepare = |client: &mut Client| {
            let prepared =
                [msg::parse("put", "insert into w values ($1::int, $2::int)"), msg::sync()].concat();
            // While it is prepared the server may be lost too; then the next use says so.
            let _ = ask(client, &prepared);
        };
        self.again_and_again(prepare, |client, n| {
            let bind = msg::bind("", "put", &[&who.to_string(), &n.to_string()]);
            match ask(client, &[bind, msg::execute("", 0), msg::sync()].concat()) {
                Err((sqlstate, _)) if sqlstate == "26000" => return Err(("closed".into(), false)),
                other => other?,
            };
            self.acknowledge(who, &[n]);
            let last = ask(client, &msg::query(&format!("select max(n) from w where who = {who}")))?;
            assert_eq!(last, n.to_string(), "it reads its own write");
            Ok(())
        });
    }

    fn writes_in_transactions(&self, who: usize) {
        self.again_and_again(
            |_| {},
            |client, n| {
                ask(client, &msg::query("begin"))?;
                for n in [n, n + 1] {
                    ask(client, &insert(who, n))?;
                    std::thread::sleep(Duration::from_millis(2));
                }
                ask(client, &msg::query("commit"))?;
                self.acknowledge(who, &[n, n + 1]);
                Ok(())
            },
        );
    }

    /// What it has seen of a writer is not undone.
    fn reads(&self, of: usize, form: fn(&str) -> Vec<u8>) {
        let (pid, last) = (std::cell::Cell::new(0), std::cell::Cell::new(0_usize));
        self.again_and_again(
            |_| {},
            |client, _| {
                let sql = format!("select coalesce(max(n), 0) from w where who = {of}");
                let found = ask(client, &form(&sql))?.parse().expect("a number");
                if pid.replace(client.pid) == client.pid {
                    assert!(found >= last.get(), "{found} after {}", last.get());
                }
                last.set(found);
                *self.reads.lock().expect("no session has panicked") += 1;
                Ok(())
            },
        );
    }
}

/// A cluster with synchronous replication, pgweir in front of it, and what is known of its primaries.
struct Stage {
    nodes: Vec<Cluster>,
    _proxy: Proxy,
    seen: Seen,
    /// When each primary was killed: from, to, and when the next began to be promoted.
    kills: Vec<[Instant; 3]>,
    /// Ports of the primaries, timeline by timeline.
    primaries: Vec<u16>,
}

impl Stage {
    fn new(standbys: usize) -> Stage {
        let scene = Scene::new(standbys);
        scene.primary.superuser("postgres").run(TABLE);
        let url = scene.url(APP, "check_interval=100ms&pool_size=20");
        let mut nodes = vec![scene.primary];
        nodes.extend(scene.standbys);
        for node in &nodes {
            let mut superuser = node.superuser("postgres");
            eventually("it has the table", || superuser.value("select to_regclass('w')") == "w");
            for set in [
                "synchronous_standby_names = 'ANY 1 (*)'",
                "synchronous_commit = on",
                "wal_retrieve_retry_interval = '100ms'",
                KEEPS_WAL.trim(),
            ] {
                superuser.run(&format!("alter system set {set}"));
            }
            superuser.run("select pg_reload_conf()");
        }
        let proxy = Proxy::start_with(&ProxyOptions::url(&url));
        let seen = Seen {
            endpoint: proxy.endpoint(),
            over: AtomicBool::new(false),
            failures: Mutex::default(),
            written: Mutex::default(),
            reads: Mutex::default(),
        };
        let primaries = vec![nodes[0].port];
        Stage { nodes, _proxy: proxy, seen, kills: vec![], primaries }
    }
}

fn position(node: &Cluster) -> u64 {
    let sql = "select greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) - '0/0'";
    node.superuser("postgres").value(sql).parse().expect("a position")
}

/// Kills the primary, promotes the standby that is furthest, and has the others follow. `meanwhile` is called while there is no
/// primary.
fn fail_over(nodes: &mut Vec<Cluster>, meanwhile: impl FnOnce()) -> [Instant; 3] {
    let from = Instant::now();
    nodes.remove(0).stop("immediate");
    let to = Instant::now();
    meanwhile();
    let best = (0..nodes.len()).max_by_key(|at| position(&nodes[*at])).expect("there is a standby");
    nodes.swap(0, best);
    let promoted = Instant::now();
    nodes[0].promote();
    nodes[1..].iter().for_each(|node| node.follow(&nodes[0]));
    [from, to, promoted]
}

/// Sessions that are idle while a primary is lost, with something of their own.
struct Idle(Vec<Client>);

impl Idle {
    fn new(seen: &Seen) -> Idle {
        let client = |_| {
            let mut client = seen.connect();
            client.run("set statement_timeout = '47s'; set app.mine = 'x'");
            client.send(&[msg::parse("p", "select $1::int + 41"), msg::sync()].concat());
            client.until_ready();
            client.run("insert into w values (0, 0)");
            client
        };
        Idle((0..3).map(client).collect())
    }

    /// Each of them goes on with something else first.
    fn go_on(&mut self) {
        let answer = [msg::bind("", "p", &["1"]), msg::execute("", 0), msg::sync()].concat();
        for (n, client) in self.0.iter_mut().enumerate() {
            match n {
                0 => {}
                1 => drop(ask(client, &insert(0, 1)).expect("it was idle")),
                _ => drop(
                    ask(client, &msg::query("begin; insert into w values (0, 2); commit"))
                        .expect("it was idle"),
                ),
            }
            assert_eq!(ask(client, &answer).as_deref(), Ok("42"), "its statement is still prepared");
            assert_eq!(client.value("show statement_timeout"), "47s");
            assert_eq!(client.value("select current_setting('app.mine')"), "x");
        }
    }
}

fn play(standbys: usize) {
    let mut stage = Stage::new(standbys);
    let Stage { nodes, seen, kills, primaries, .. } = &mut stage;
    let seen = &*seen;
    std::thread::scope(|scope| {
        for who in 1..=2 {
            scope.spawn(move || seen.writes_simply(who));
            scope.spawn(move || seen.writes_prepared(who + 2));
            scope.spawn(move || seen.writes_in_transactions(who + 4));
            scope.spawn(move || seen.reads(who, msg::query));
            scope.spawn(move || seen.reads(who + 4, |sql| [msg::unnamed(sql, &[]), msg::sync()].concat()));
        }
        // So that a test that fails does not wait for them.
        let over = Over(&seen.over);
        for _ in 1..standbys {
            let (mut idle, mut early) = (Idle::new(seen), seen.connect());
            std::thread::sleep(Duration::from_millis(700));
            let waiting = std::thread::scope(|scope| {
                let mut waiting = None;
                let times = fail_over(nodes, || {
                    // What is sent now waits, also by a session that begins now.
                    waiting = Some(scope.spawn(move || {
                        ask(&mut early, &insert(0, 3)).expect("it was idle");
                        let mut late = seen.connect();
                        ask(&mut late, &insert(0, 4)).expect("it has just begun");
                    }));
                    std::thread::sleep(Duration::from_millis(300));
                });
                kills.push(times);
                primaries.push(nodes[0].port);
                waiting.expect("it was begun").join()
            });
            waiting.expect("nobody who waits is refused");
            idle.go_on();
        }
        std::thread::sleep(Duration::from_millis(500));
        drop(over);
    });
    stage.judge();
}

struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Stage {
    fn judge(self) {
        let written = self.seen.written.into_inner().expect("no session has panicked");
        let failures = self.seen.failures.into_inner().expect("no session has panicked");
        let mut superuser = self.nodes[0].superuser("postgres");
        let list = superuser.value("select string_agg(who || ' ' || n, ',') from w");
        let kept: HashSet<&str> = list.split(',').collect();
        let lost = written.iter().filter(|(who, n, _)| !kept.contains(format!("{who} {n}").as_str())).count();
        let right: Vec<_> =
            self.primaries.iter().enumerate().map(|(n, port)| format!("({port},'{:08X}')", n + 1)).collect();
        let wrong = superuser
            .value(&format!("select count(*) from w where (port, tli) not in ({})", right.join(",")));
        let under_way = |failure: &&Failure| {
            let here = |[from, to, _]: &[Instant; 3]| failure.since <= *to && failure.at >= *from;
            self.kills.iter().any(here) && LOST.contains(&failure.sqlstate.as_str())
        };
        let (told, at_rest): (Vec<_>, Vec<_>) = failures.iter().partition(under_way);
        for [_, _, promoted] in &self.kills {
            let first = written.iter().map(|(.., at)| *at).filter(|at| at > promoted).min();
            println!("first write {:?} after the promotion began", first.map(|at| at - *promoted));
        }
        let reads = self.seen.reads.into_inner().expect("no session has panicked");
        println!(
            "{} failovers: {} writes acknowledged, {lost} lost, {wrong} elsewhere; {reads} reads; {} told of a loss, {} at rest",
            self.kills.len(),
            written.len(),
            told.len(),
            at_rest.len()
        );
        assert!(written.len() > 100 && reads > 100);
        assert_eq!((lost, wrong.as_str()), (0, "0"));
        assert!(at_rest.is_empty(), "{at_rest:#?}");
    }
}

/// With `PGWEIR_TEST_BIG=1`, twenty failovers; else three.
#[test]
fn a_primary_that_dies_costs_sessions_at_rest_nothing() {
    if direct_only() {
        return;
    }
    let scenes = if big() { &[5, 5, 5, 5, 5][..] } else { &[4] };
    scenes.iter().for_each(|standbys| play(*standbys));
}

/// Two nodes, the one that is the primary first, and pgweir in front of them.
fn two(primary: &Cluster, other: &Cluster, query: &str) -> Proxy {
    let url = format!(
        "postgres://{}:{}@127.0.0.1:{},127.0.0.1:{}/postgres?reads=replicas&check_interval=100ms&{query}",
        APP.0, APP.1, primary.port, other.port
    );
    Proxy::start(&url)
}

fn connect(proxy: &Proxy) -> Client {
    Client::connect(&proxy.endpoint(), &Login::new(APP.0, APP.1, "postgres"))
}

#[test]
fn a_primary_that_lives_on_after_another_was_promoted_gets_no_write() {
    if direct_only() {
        return;
    }
    let scene = Scene::new(1);
    let (old, new) = (&scene.primary, &scene.standbys[0]);
    old.superuser("postgres").run(TABLE);
    let proxy = two(old, new, "pool_size=20");
    eventually("its primary is known", || proxy.log().contains("primary found"));
    let [mut idle, mut open, mut works, mut pinned, mut hears] = std::array::from_fn(|_| connect(&proxy));
    idle.run("insert into w values (1, 1)");
    open.run("begin");
    open.run("insert into w values (2, 1)");
    pinned.run("create temp table mine (i int)");
    hears.run("listen news");
    works.send(&msg::query("insert into w select 3, 1 from pg_sleep(1.5)"));
    eventually("the standby has the table", || {
        new.superuser("postgres").value("select to_regclass('w')") == "w"
    });
    eventually("the standby has it", || new.superuser("postgres").value("select count(*) from w") == "1");
    new.promote();
    eventually("the new one is known", || proxy.log().matches("primary found").count() == 2);
    let known = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs_f64();
    idle.run("insert into w values (1, 2)");
    // More than there were servers for.
    let mut more: Vec<_> = (0..6).map(|_| connect(&proxy)).collect();
    more.iter_mut()
        .for_each(|client| client.send(&msg::query("insert into w select 4, 1 from pg_sleep(0.1)")));
    more.iter_mut().for_each(|client| drop(client.until_ready()));
    for (client, told) in [(&mut open, &["57P01"][..]), (&mut pinned, &["57P01"]), (&mut works, &["08007"])] {
        // What was under way at the old one is over, and no COMMIT reaches it.
        let answer = match told {
            ["08007"] => ask(client, b""),
            _ => ask(client, &msg::query("insert into w values (5, 1); commit")),
        };
        assert!(matches!(&answer, Err((sqlstate, false)) if told.contains(&sqlstate.as_str())), "{answer:?}");
    }
    let mut heard = vec![];
    eventually("what is told at the new one is heard", || {
        idle.run("notify news");
        heard.extend(hears.simple("select 1"));
        heard.iter().any(|message| message.tag == b'A')
    });
    let warned = heard.iter().position(|message| message.tag == b'N' && message.sqlstate() == "01000");
    let first = heard.iter().position(|message| message.tag == b'A');
    assert!(warned.is_some() && warned < first, "a loss is told before what comes behind it: {heard:?}");
    let late = format!("select count(*) from w where at > to_timestamp({known})");
    assert_eq!(old.superuser("postgres").value(&late), "0", "writes at the old one");
    assert_eq!(old.superuser("postgres").value("select count(*) from w where who in (2, 5)"), "0");
    assert_eq!(new.superuser("postgres").value(&late), "7");
}

#[test]
fn a_primary_that_is_frozen_holds_nobody_up_after_a_promotion() {
    if direct_only() {
        return;
    }
    let scene = Scene::new(1);
    let (old, new) = (&scene.primary, &scene.standbys[0]);
    old.superuser("postgres").run(TABLE);
    eventually("the standby has the table", || {
        new.superuser("postgres").value("select to_regclass('w')") == "w"
    });
    let proxy = two(old, new, "pool_size=20&connect_timeout=60s");
    eventually("its primary is known", || proxy.log().contains("primary found"));
    let [mut idle, mut works] = std::array::from_fn(|_| connect(&proxy));
    let mut waiting: Vec<_> = (0..3).map(|_| connect(&proxy)).collect();
    idle.run("insert into w values (1, 1)");
    let frozen = old.freeze();
    works.send(&insert(2, 1));
    // There is no other server: these wait for logins that are not answered.
    waiting.iter_mut().for_each(|client| client.send(&insert(3, 1)));
    std::thread::sleep(Duration::from_millis(300));
    new.promote();
    let since = Instant::now();
    for client in &mut waiting {
        assert!(client.until_ready().iter().all(|message| message.tag != b'E'));
    }
    idle.run("insert into w values (1, 2)");
    let told = ask(&mut works, b"");
    assert!(matches!(&told, Err((sqlstate, false)) if sqlstate == "08007"), "{told:?}");
    println!("all have gone on after {:?}", since.elapsed());
    assert!(since.elapsed() < Duration::from_secs(5));
    assert_eq!(
        new.superuser("postgres").value("select count(*) from w where (who, n) in ((3, 1), (1, 2))"),
        "4"
    );
    drop(frozen);
}

#[test]
fn of_two_primaries_with_the_same_timeline_none_is_written_to() {
    if direct_only() {
        return;
    }
    // Copies of one template: the same system identifier and timeline.
    let (one, other) = (Cluster::start(KEEPS_WAL, &[]), Cluster::start(KEEPS_WAL, &[]));
    [&one, &other].iter().for_each(|node| node.superuser("postgres").run(TABLE));
    other.stop("fast");
    let proxy = two(&one, &other, "queue_timeout=1s");
    eventually("its primary is known", || proxy.log().contains("primary found"));
    let [mut idle, mut open] = std::array::from_fn(|_| connect(&proxy));
    idle.run("insert into w values (1, 1)");
    open.run("begin");
    open.run("insert into w values (2, 1)");
    other.start_again();
    eventually("both are known", || proxy.log().contains("two primaries: none is taken"));
    assert_eq!(idle.error("insert into w values (1, 2)"), "53300");
    let answer = ask(&mut open, &msg::query("commit"));
    assert!(matches!(&answer, Err((sqlstate, false)) if sqlstate == "57P01"), "{answer:?}");
    let rows = |node: &Cluster| node.superuser("postgres").value("select count(*) from w");
    assert_eq!((rows(&one), rows(&other)), ("1".into(), "0".into()));
    other.stop("fast");
    eventually("it goes on", || {
        idle.simple("insert into w values (1, 3)").iter().all(|message| message.tag != b'E')
    });
    assert_eq!(rows(&one), "2");
}
