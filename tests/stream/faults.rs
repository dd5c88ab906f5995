//! Streams that break, and servers that have none.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pgweir::control::stream::{Options, Stream};

use super::{Recorder, Runtime, Scene, Told, target};
use crate::harness::cluster::{APP, APP2, Cluster, KEEPS_WAL};
use crate::harness::eventually;

/// Has a stream of `t` break by `fault`: it is told at once, nothing else is between that and what comes anew.
#[track_caller]
fn check_loss(scene: &Scene<'_>, causes: &[&str], fault: impl FnOnce()) {
    scene.fresh_since(Instant::now());
    let from = scene.recorder.count();
    let begun = Instant::now();
    fault();
    let lost = scene.recorder.wait("a loss", |told| {
        told[from..].iter().find_map(|(at, told)| match told {
            Told::Lost(cause) => Some((*at, *cause)),
            _ => None,
        })
    });
    assert!(causes.contains(&lost.1), "{}", lost.1);
    println!("lost ({}) after {:?}", lost.1, lost.0 - begun);
    scene.recorder.wait_for(from, &Told::Usable("t".into()));
    let all = scene.recorder.all();
    let mut behind = all[from..].iter().skip_while(|(_, told)| !matches!(told, Told::Lost(_)));
    let (lost_at, _) = behind.next().expect("it was told");
    let fresh = behind.find(|(_, told)| matches!(told, Told::Fresh(_))).expect("a fresh point");
    assert!(matches!(fresh.1, Told::Fresh(at) if at > *lost_at), "an instant before the loss");
    let changes = scene.changes_of(|client| client.run("insert into t values (default)"));
    assert_eq!(changes.len(), 1, "{changes:?}");
    assert!(changes[0][0].starts_with("insert t: now id="), "{changes:?}");
}

const TABLE: &str = "create table t (id int generated always as identity primary key)";

#[test]
fn a_stream_that_breaks_is_lost_at_once_and_begins_anew() {
    let cluster = Cluster::start("", &[]);
    let scene = Scene::new(&cluster, TABLE);
    scene.follow(&["t"]);
    let publication = scene.options.publication.clone();
    let terminate = |what: &str| {
        let sql = format!(
            "select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = '{publication}' and {what}"
        );
        assert_ne!(scene.superuser().value(&sql), "0");
    };
    check_loss(&scene, &["unreachable"], || terminate("backend_type = 'walsender'"));
    check_loss(&scene, &["unreachable"], || {
        terminate("backend_type = 'client backend' and query like '%pgweir_sample%'")
    });
    check_loss(&scene, &["unreachable"], || terminate("backend_type = 'client backend'"));
    // Somebody drops the publication: the server says so with the next change.
    check_loss(&scene, &["gone"], || {
        scene.client().run(&format!("drop publication {publication}"));
        scene.client().run("insert into t values (default)");
    });
    check_loss(&scene, &["unreachable"], || cluster.restart("fast"));
    check_loss(&scene, &["unreachable"], || cluster.restart("immediate"));
    assert_eq!(scene.stream().status().state.name(), "streaming");
    assert_eq!(scene.stream().status().usable, (1, 1));
}

#[test]
fn a_stream_that_was_heard_comes_back_soon_however_often_it_breaks() {
    let cluster = Cluster::start("", &[]);
    let scene = Scene::new(&cluster, TABLE);
    scene.follow(&["t"]);
    let sender =
        "select count(pg_terminate_backend(pid)) from pg_stat_activity where backend_type = 'walsender'";
    for round in 0..6 {
        std::thread::sleep(Duration::from_millis(1200));
        let (from, killed) = (scene.recorder.count(), Instant::now());
        assert_eq!(scene.superuser().value(sender), "1");
        scene.recorder.wait_for(from, &Told::Usable("t".into()));
        let away = killed.elapsed();
        // What broke at once each time would be tried again after three seconds at least, the last time.
        assert!(away < Duration::from_secs(3), "{round}: {away:?}");
    }
}

/// Starts a stream that comes to nothing, and waits until its state is this one; gives what the server said.
fn state(runtime: &Runtime, url: &str, user: &str, expected: &str) -> (Stream, Arc<Recorder>) {
    let (target, recorder) = (target(url, "postgres", user), Arc::<Recorder>::default());
    let entered = runtime.handle.enter();
    let stream = Stream::start(Options::default(), &target, recorder.clone());
    drop(entered);
    let mut seen = vec![];
    let end = Instant::now() + Duration::from_secs(10);
    while Instant::now() < end {
        let status = stream.status();
        if status.state.name() == expected {
            println!("{expected}: {:?}", status.last);
            return (stream, recorder);
        }
        seen.push(format!("{}: {:?}", status.state.name(), status.last));
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("it was never {expected}: {:?}", seen.last());
}

#[test]
fn a_server_that_cannot_stream_is_told_by_name() {
    let runtime = Runtime::start();
    let replica = Cluster::start("wal_level = replica\n", &[]);
    replica.superuser("postgres").run("grant create on database postgres to app");
    let (stream, recorder) = state(&runtime, &replica.url(APP, "postgres", ""), APP.0, "wal_level");
    assert!(stream.status().last.expect("a loss").fault.message.contains("wal_level"));
    recorder.wait_for(0, &Told::Lost("wal_level"));
    let few = Cluster::start("max_replication_slots = 1\nmax_wal_senders = 2\n", &[]);
    few.superuser("postgres").run("grant create on database postgres to app, app2");
    let url = few.url(APP, "postgres", "");
    let taken = few.superuser("postgres").value("select pg_create_physical_replication_slot('taken')");
    assert!(taken.contains("taken"));
    let (stream, _) = state(&runtime, &url, APP.0, "no_slot");
    few.superuser("postgres").run("select pg_drop_replication_slot('taken')");
    eventually("it streams when there is a slot", || stream.status().state.name() == "streaming");
    runtime.handle.block_on(stream.stop());
    state(&runtime, &few.url(APP2, "postgres", ""), APP2.0, "no_privilege");
    state(&runtime, &few.url((APP.0, "wrong"), "postgres", ""), APP.0, "login_refused");
    few.superuser("postgres").run("revoke create on database postgres from app");
    state(&runtime, &url, APP.0, "no_privilege");
    few.superuser("postgres").run("grant create on database postgres to app");
    few.superuser("postgres").run("alter system set max_wal_senders = 0");
    few.superuser("postgres").run("alter system set wal_level = logical");
    few.restart("fast");
    state(&runtime, &url, APP.0, "no_sender");
    few.stop("fast");
    state(&runtime, &url, APP.0, "unreachable");
}

#[test]
fn the_primary_is_found_and_followed() {
    let primary = Cluster::start(KEEPS_WAL, &[]);
    primary.superuser("postgres").run("grant create on database postgres to app");
    primary.superuser("postgres").run("create table t (id int primary key); alter table t owner to app");
    let standby = primary.standby();
    let runtime = Runtime::start();
    state(&runtime, &standby.url(APP, "postgres", ""), APP.0, "not_primary");
    let url = format!(
        "postgres://{}:{}@127.0.0.1:{},127.0.0.1:{}/postgres?target_session_attrs=any",
        APP.0, APP.1, standby.port, primary.port
    );
    let (stream, recorder) = state(&runtime, &url, APP.0, "streaming");
    let oid = primary.superuser("postgres").value("select 't'::regclass::oid").parse().expect("a number");
    stream.want(oid).expect("there is room");
    recorder.wait_for(0, &Told::Usable("t".into()));
    let from = recorder.count();
    eventually("the standby has it all", || {
        standby.superuser("postgres").value("select count(*) from pg_publication_rel") == "1"
    });
    primary.stop("immediate");
    recorder.wait_for(from, &Told::Lost("unreachable"));
    standby.promote();
    recorder.wait_for(from, &Told::Usable("t".into()));
    let from = recorder.count();
    standby.superuser("postgres").run("insert into t values (1)");
    stream.used();
    recorder.wait("the change at the new primary", |told| {
        told[from..]
            .iter()
            .any(|(_, told)| matches!(told, Told::Change(_, text) if text == "insert t: now id=1"))
            .then_some(())
    });
    runtime.handle.block_on(stream.stop());
}
