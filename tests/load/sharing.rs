//! Short reads of several sessions on one server, one behind the other: each gets its own answer, whatever happens ahead of it.

use std::net::SocketAddr;

use super::prelude::*;
use crate::admin::get;
use crate::harness::cluster::free_port;

/// pgweir with servers that are shared whenever there is one to go behind.
pub(super) struct Scene<'a> {
    pub(super) proxy: Proxy,
    pub(super) database: Database<'a>,
    http: SocketAddr,
}

impl Scene<'static> {
    pub(super) fn new(query: &str) -> Self {
        Scene::at(Cluster::shared(), query, "")
    }
}

impl<'a> Scene<'a> {
    /// The same before another cluster, with more lines in the settings.
    pub(super) fn at(cluster: &'a Cluster, query: &str, settings: &str) -> Self {
        let database = cluster.database();
        database.setup("create table t (i int, pad text)");
        database.setup("insert into t select i, repeat('x', i) from generate_series(1, 1000) i");
        let url = cluster.url(APP, &database.name, &format!("share_servers=always&{query}"));
        let http = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let mut options = ProxyOptions::url(&url).config(settings);
        options.args.extend(["--http".to_owned(), http.to_string()]);
        let proxy = Proxy::start_with(&options);
        let scene = Scene { proxy, database, http };
        scene.warm_up();
        scene
    }

    pub(super) fn connect(&self) -> Client {
        Client::connect(&self.proxy.endpoint(), &self.database.login())
    }

    /// Until the names that reads must not mention are known, sequences are not asked for, and the shapes are known to be short.
    fn warm_up(&self) {
        let (mut one, mut other) = (self.connect(), self.connect());
        for _ in 0..600 {
            for client in [&mut one, &mut other] {
                client.value("select 1");
                client.value(&pad(1));
            }
        }
        eventually("reads go behind others", || {
            for _ in 0..40 {
                one.value(&sleep(0.0));
                other.value(&pad(2));
                other.value(&divided(1));
            }
            one.send(&msg::query(&sleep(0.002)));
            other.value(&pad(3));
            one.until_ready();
            self.followed() > 0
        });
    }

    pub(super) fn followed(&self) -> u64 {
        self.counted("answered") + self.counted("sent_away")
    }

    pub(super) fn counted(&self, result: &str) -> u64 {
        let (_, page) = get(self.http, "/metrics");
        let line = page.lines().find(|line| {
            line.starts_with("pgweir_shared_reads_total") && line.contains(&format!("result=\"{result}\""))
        });
        line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).unwrap_or_default() as u64
    }
}

fn sleep(seconds: f64) -> String {
    format!("select pg_catalog.pg_sleep({seconds})")
}

pub(super) fn pad(i: u32) -> String {
    format!("select i || pad from t where i = {i}")
}

pub(super) fn padded(i: u32) -> String {
    format!("{i}{}", "x".repeat(i as usize))
}

fn divided(by: u32) -> String {
    format!("select 1000 / {by}")
}

/// A small generator with a seed: what failed can be run again.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

#[test]
fn every_session_reads_its_own_answer() {
    if direct_only() {
        return;
    }
    let scene = Scene::new("pool_size=1");
    let before = scene.followed();
    std::thread::scope(|scope| {
        for session in 0..12_u64 {
            let mut client = scene.connect();
            scope.spawn(move || {
                let mut random = Random(session + 1);
                for _ in 0..400 {
                    match random.below(20) {
                        0 => assert_eq!(client.error("select 1000 / 0"), "22012"),
                        1 => {
                            let rows = client.simple("select pad from t where i > 500");
                            assert_eq!(rows.iter().filter(|row| row.tag == b'D').count(), 500);
                        }
                        _ => {
                            let i = random.below(1000) as u32 + 1;
                            assert_eq!(client.value(&pad(i)), padded(i));
                        }
                    }
                }
            });
        }
    });
    assert!(scene.followed() > before + 500, "{} reads of 4,800 followed", scene.followed() - before);
}

/// Those who stand in line when no server is free go behind the first of them who gets one.
#[test]
fn reads_in_line_are_sent_together() {
    if direct_only() {
        return;
    }
    let scene = Scene::new("pool_size=1");
    let mut holder = scene.connect();
    let mut readers: Vec<Client> = (0..12).map(|_| scene.connect()).collect();
    for round in 0..5 {
        holder.run("begin");
        holder.value("select 1");
        let before = scene.counted("answered");
        for (reader, i) in readers.iter_mut().zip(1..) {
            reader.send(&msg::query(&pad(i)));
        }
        // Their answers wait for longer than anybody stands behind others.
        std::thread::sleep(Duration::from_millis(40));
        holder.run("commit");
        for (reader, i) in readers.iter_mut().zip(1..) {
            let answer = reader.until_ready();
            assert_eq!(answer[1].value(), padded(i), "{round}: {answer:?}");
        }
        let followed = scene.counted("answered") - before;
        assert!((7..12).contains(&followed), "{round}: {followed} of 12 went behind others");
    }
}

#[test]
fn writes_in_line_are_not_passed_for_long() {
    if direct_only() {
        return;
    }
    let scene = Scene::new("pool_size=1");
    let over = std::sync::atomic::AtomicBool::new(false);
    let before = scene.counted("answered");
    std::thread::scope(|scope| {
        for session in 1..12 {
            let (mut client, over) = (scene.connect(), &over);
            scope.spawn(move || {
                while !over.load(std::sync::atomic::Ordering::Relaxed) {
                    assert_eq!(client.value(&pad(session)), padded(session));
                }
            });
        }
        let mut writer = scene.connect();
        let slowest = (0..40).map(|n| {
            let start = Instant::now();
            writer.run(&format!("update t set pad = pad where i = {}", n + 900));
            start.elapsed()
        });
        let slowest = slowest.max().unwrap_or_default();
        over.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(slowest < Duration::from_millis(500), "a write has waited for {slowest:?}");
    });
    assert!(scene.counted("answered") > before + 100, "reads went behind others meanwhile");
}

#[test]
fn who_is_behind_a_slow_statement_is_sent_elsewhere() {
    if direct_only() {
        return;
    }
    let scene = Scene::new("pool_size=2");
    let (mut slow, mut quick) = (scene.connect(), scene.connect());
    for _ in 0..10 {
        let away = scene.counted("sent_away");
        slow.send(&msg::query(&sleep(0.6)));
        std::thread::sleep(Duration::from_millis(3));
        let start = Instant::now();
        assert_eq!(quick.value(&pad(7)), padded(7));
        assert!(start.elapsed() < Duration::from_millis(450), "{:?}", start.elapsed());
        slow.until_ready();
        // One that takes its time now and then is still short by most accounts.
        for _ in 0..300 {
            slow.value(&sleep(0.0));
        }
        if scene.counted("sent_away") > away {
            return;
        }
    }
    panic!("nobody was behind the slow statement");
}

/// The server of those who were sent away is there again as soon as it has answered them, wherever their answers are cut.
#[test]
fn what_nobody_waits_for_is_dropped_at_once() {
    if direct_only() {
        return;
    }
    let scene = Scene::new("pool_size=1");
    let (mut slow, mut quick) = (scene.connect(), scene.connect());
    let long = |n: usize| format!("select pg_catalog.repeat('x', {n})");
    let messages = quick.simple(&long(100));
    let around: usize = messages.iter().map(|message| 5 + message.body.len()).sum::<usize>() - 100;
    (0..40).for_each(|_| drop(quick.value(&long(100))));
    let (mut away, mut tries) = (0, 0);
    while away < 12 && tries < 60 {
        // The last bytes of the answer do not fit into what is read at once.
        let n = 16 * 1024 - around + tries % 8;
        tries += 1;
        let before = scene.counted("sent_away");
        slow.send(&msg::query(&sleep(0.045)));
        std::thread::sleep(Duration::from_millis(3));
        let start = Instant::now();
        assert_eq!(quick.value(&long(n)).len(), n);
        assert!(start.elapsed() < Duration::from_secs(2), "{:?} behind 45 ms", start.elapsed());
        slow.until_ready();
        away += u32::from(scene.counted("sent_away") > before);
        (0..100).for_each(|_| drop(slow.value(&sleep(0.0))));
    }
    assert!(away >= 4, "{away} of {tries} were sent away");
}

/// What a client gives up is given up by the server too: there are never more of its processes than servers.
#[test]
fn what_is_given_up_is_cancelled() {
    if direct_only() {
        return;
    }
    let scene = Scene::new("pool_size=2");
    let mut superuser = Cluster::shared().superuser(&scene.database.name);
    superuser.run("begin; lock table t");
    let question = "select count(*) from pg_stat_activity where datname = current_database() and query like 'select i ||%' and state = 'active'";
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = scene.connect();
                for _ in 0..8 {
                    client.send(&msg::query(&pad(1)));
                    // One that comes before the statement does is for nothing, as with PostgreSQL.
                    let ended = (0..50).any(|_| {
                        let messages =
                            client.within(Duration::from_millis(60)).expect("the connection lives");
                        raw::cancel(&scene.proxy.endpoint(), client.pid, &client.key);
                        messages.iter().any(|message| message.tag == b'Z')
                    });
                    assert!(ended, "no cancel hits");
                }
            });
        }
    });
    let mut watcher = Cluster::shared().superuser(&scene.database.name);
    eventually("they have ended", || watcher.value(question) == "0");
    superuser.run("commit");
    assert_eq!(scene.connect().value(&pad(3)), padded(3));
}

/// Behind what is more than one read nobody follows.
#[test]
fn a_pipeline_is_followed_by_nobody() {
    if direct_only() {
        return;
    }
    let scene = Scene::new("pool_size=2");
    let (mut pipelines, mut other) = (scene.connect(), scene.connect());
    let before = scene.followed();
    for n in 0..20 {
        let batch = [msg::unnamed("select pg_catalog.pg_sleep(0.004)", &[]), msg::sync()].concat();
        pipelines.send(&[msg::query(&pad(1)), batch].concat());
        std::thread::sleep(Duration::from_millis(1));
        assert_eq!(other.value(&pad(n + 1)), padded(n + 1));
        pipelines.until_ready();
        pipelines.until_ready();
    }
    assert!(scene.followed() <= before + 2, "{} went behind a batch", scene.followed() - before);
}

#[test]
fn a_cancel_hits_nobody_behind_or_ahead() {
    if direct_only() {
        return;
    }
    let scene = Scene::new("pool_size=2");
    let (mut first, mut second, mut third) = (scene.connect(), scene.connect(), scene.connect());
    let mut hits = [0; 2];
    for n in 0..30 {
        first.send(&msg::query(&sleep(if n % 3 == 0 { 0.3 } else { 0.004 })));
        second.send(&msg::query(&sleep(0.001)));
        third.send(&msg::query(&pad(9)));
        let hit = n % 2;
        let (pid, key) = if hit == 0 { (first.pid, &first.key) } else { (second.pid, &second.key) };
        std::thread::sleep(Duration::from_millis(1));
        raw::cancel(&scene.proxy.endpoint(), pid, key);
        let [first, second] = [first.until_ready(), second.until_ready()];
        let third = third.until_ready();
        assert_eq!(third[1].value(), padded(9), "{n}: {third:?}");
        let other = if hit == 0 { &second } else { &first };
        assert!(other.iter().all(|message| message.tag != b'E'), "{n}: {other:?}");
        let own = if hit == 0 { &first } else { &second };
        let error = own.iter().find(|message| message.tag == b'E');
        assert!(error.is_none_or(|error| error.sqlstate() == "57014"), "{n}: {own:?}");
        hits[hit] += u32::from(error.is_some());
    }
    assert!(hits[0] > 2, "the cancels of the one ahead hit {} times", hits[0]);
}

#[test]
fn a_server_that_ends_takes_nobody_along_who_is_behind() {
    if direct_only() {
        return;
    }
    let scene = Scene::new("pool_size=2");
    let mut superuser = Cluster::shared().superuser(&scene.database.name);
    let mut behind = scene.connect();
    for n in 0..20 {
        let mut ahead = scene.connect();
        ahead.send(&msg::query(&sleep(0.4)));
        std::thread::sleep(Duration::from_millis(2));
        behind.send(&msg::query(&pad(n + 1)));
        std::thread::sleep(Duration::from_millis(u64::from(n % 5)));
        let ended = superuser.simple(
            "select pg_terminate_backend(pid) from pg_stat_activity \
             where datname = current_database() and query like '%pg_sleep(0.4)%' and pid <> pg_backend_pid()",
        );
        let answer = behind.until_ready();
        assert_eq!(answer[1].value(), padded(n + 1), "{n}: {answer:?}");
        // It is told why, and the connection ends.
        let told = ahead.until(b'Z');
        let found = ended.iter().any(|message| message.tag == b'D');
        let error = told.is_err() || told.is_ok_and(|messages| messages.iter().any(|m| m.tag == b'E'));
        assert!(error || !found, "{n}");
        for _ in 0..100 {
            behind.value(&sleep(0.0));
        }
    }
}

#[test]
fn clients_that_leave_take_nothing_along() {
    if direct_only() {
        return;
    }
    let scene = Scene::new("pool_size=2");
    let mut stays = scene.connect();
    for n in 0..30 {
        let (mut one, mut two) = (scene.connect(), scene.connect());
        one.send(&msg::query(&sleep(0.003)));
        two.send(&msg::query(&pad(5)));
        stays.send(&msg::query(&pad(n + 1)));
        match n % 3 {
            0 => drop(one),
            1 => drop(two),
            _ => {
                one.half_close();
                two.half_close();
            }
        }
        let answer = stays.until_ready();
        assert_eq!(answer[1].value(), padded(n + 1), "{n}: {answer:?}");
        for _ in 0..50 {
            stays.value(&sleep(0.0));
        }
    }
}

#[test]
fn sessions_of_other_settings_keep_to_themselves() {
    if direct_only() {
        return;
    }
    let scene = Scene::new("pool_size=2");
    let zones = [("UTC", "12:00:00+00"), ("Asia/Tokyo", "21:00:00+09"), ("America/Lima", "07:00:00-05")];
    std::thread::scope(|scope| {
        for session in 0..9 {
            let mut client = scene.connect();
            scope.spawn(move || {
                for n in 0..150 {
                    let (zone, time) = zones[(session + n / 50) % 3];
                    if n % 50 == 0 {
                        client.run(&format!("set timezone = '{zone}'"));
                    }
                    let found = client.value("select '2026-01-01 12:00:00+00'::pg_catalog.timestamptz");
                    assert_eq!(found, format!("2026-01-01 {time}"));
                }
            });
        }
    });
}

/// Everything at once: reads, failures, transactions, cancels, sessions that come and go, sleepers, and definitions.
#[test]
fn whatever_others_do_a_session_reads_what_it_asked_for() {
    if direct_only() {
        return;
    }
    let scene = Scene::new("pool_size=3");
    scene.database.setup("create table written (session int, n int)");
    let before = scene.followed();
    std::thread::scope(|scope| {
        for session in 0..10_u64 {
            let scene = &scene;
            scope.spawn(move || {
                let mut random = Random(session * 7919 + 17);
                let (mut client, mut written) = (scene.connect(), 0);
                for n in 0..250 {
                    let i = random.below(1000) as u32 + 1;
                    match random.below(40) {
                        0 => client = scene.connect(),
                        1 => {
                            client.send(&msg::query(&sleep(0.03)));
                            std::thread::sleep(Duration::from_millis(random.below(8)));
                            raw::cancel(&scene.proxy.endpoint(), client.pid, &client.key);
                            let messages = client.until_ready();
                            let error = messages.iter().find(|message| message.tag == b'E');
                            assert!(error.is_none_or(|error| error.sqlstate() == "57014"), "{messages:?}");
                        }
                        2 | 3 => {
                            client.run("begin");
                            client.run(&format!("insert into written values ({session}, {n})"));
                            assert_eq!(client.value(&pad(i)), padded(i));
                            client.run("commit");
                            written += 1;
                        }
                        4 => assert_eq!(client.error("select 1000 / 0"), "22012"),
                        5 => {
                            client.run(&sleep(0.002));
                        }
                        6 => {
                            // Several in one write.
                            client.send(&[msg::query(&pad(i)), msg::query(&divided(10))].concat());
                            assert_eq!(client.until_ready()[1].value(), padded(i));
                            assert_eq!(client.until_ready()[1].value(), "100");
                        }
                        7 if session == 0 => client.run(&format!("create table made_{n} (i int)")),
                        8 => {
                            client.send(&msg::query(&pad(i)));
                            client = scene.connect();
                        }
                        9 => {
                            let question = format!("select count(*) from written where session = {session}");
                            assert_eq!(client.value(&question), written.to_string(), "its own writes");
                        }
                        _ => assert_eq!(client.value(&pad(i)), padded(i)),
                    }
                }
            });
        }
    });
    let followed = scene.followed() - before;
    println!("{followed} of 2,500 followed, {} of them sent away", scene.counted("sent_away"));
    assert!(followed > 100, "only {followed} reads followed");
}
