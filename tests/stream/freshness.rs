//! When commits are visible, and which instants are fresh.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use pgweir::control::stream::limbo::Xid;

use super::{Scene, Told, percentiles};
use crate::harness::big;
use crate::harness::cluster::Cluster;

#[test]
fn a_commit_that_is_streamed_before_it_is_visible_is_in_limbo() {
    let cluster = Cluster::start("", &[]);
    let scene =
        Scene::new(&cluster, "create table t (id int primary key, v text); insert into t values (7, 'old')");
    scene.follow(&["t"]);
    cluster.superuser("postgres").run("alter system set synchronous_standby_names = 'nobody'");
    cluster.superuser("postgres").run("select pg_reload_conf()");
    crate::harness::eventually("the setting is in force", || {
        scene.client().value("show synchronous_standby_names") == "nobody"
    });
    let from = scene.recorder.count();
    let mut writer = scene.client();
    writer.run("set synchronous_commit = on");
    let begun = Instant::now();
    writer.send(&crate::harness::frontend::query("update t set v = 'new' where id = 7"));
    let xid = scene.recorder.wait("the update", |told| {
        told[from..].iter().find_map(|(_, told)| match told {
            Told::Change(xid, text) if text == "update t: same key now id=7 v=new" => Some(*xid),
            _ => None,
        })
    });
    scene.recorder.wait_for(from, &Told::Committed(xid));
    println!("streamed after {:?}", begun.elapsed());
    // Whoever reads now sees the old row, though the stream has told the new one; instants go on to be fresh.
    assert_eq!(scene.client().value("select v from t"), "old");
    scene.fresh_since(Instant::now());
    std::thread::sleep(Duration::from_millis(300));
    scene.fresh_since(Instant::now());
    assert_eq!(scene.client().value("select v from t"), "old");
    let is_visible =
        |told: &[(Instant, Told)]| told[from..].iter().any(|(_, told)| *told == Told::Visible(xid));
    assert!(!is_visible(&scene.recorder.all()), "no snapshot shows it");
    assert_eq!(scene.stream().status().in_limbo, 1);
    cluster.superuser("postgres").run("alter system reset synchronous_standby_names");
    cluster.superuser("postgres").run("select pg_reload_conf()");
    writer.until_ready();
    let acknowledged = Instant::now();
    assert_eq!(scene.client().value("select v from t"), "new");
    scene.fresh_since(acknowledged);
    assert!(is_visible(&scene.recorder.all()), "an instant behind its acknowledgement is fresh");
    assert_eq!(scene.stream().status().in_limbo, 0);
}

/// How long after its acknowledgement a commit is applied (visible), and behind it an instant fresh.
fn measure(scene: &Scene<'_>, what: &str, set: &str) -> (Duration, Duration) {
    let mut client = scene.client();
    client.run(set);
    let (mut applied, mut fresh) = (vec![], vec![]);
    for n in 0..if big() { 2000 } else { 200 } {
        scene.stream().used();
        let from = scene.recorder.count();
        client.run(&format!("insert into t values ({n})"));
        let acknowledged = Instant::now();
        let text = format!("insert t: now id={n}");
        let xid = scene.recorder.wait("the change", |told| {
            told[from..].iter().find_map(|(_, told)| match told {
                Told::Change(xid, change) if *change == text => Some(*xid),
                _ => None,
            })
        });
        let visible = scene.recorder.wait_for(from, &Told::Visible(xid));
        applied.push(visible.saturating_duration_since(acknowledged));
        fresh.push(scene.fresh_since(acknowledged).saturating_duration_since(acknowledged));
    }
    client.run("truncate t");
    applied.sort();
    fresh.sort();
    println!("{what}: acknowledged -> visible: {}", percentiles(applied.clone()));
    println!("{what}: acknowledged -> fresh:   {}", percentiles(fresh.clone()));
    (applied[applied.len() / 2], fresh[fresh.len() / 2])
}

#[test]
fn commits_are_fresh_soon_whether_they_are_flushed_or_not() {
    let cluster = Cluster::start("fsync = on\n", &[]);
    let scene = Scene::new(&cluster, "create table t (id int primary key)");
    scene.follow(&["t"]);
    let (_, flushed) = measure(&scene, "synchronous_commit = on", "set synchronous_commit = on");
    let (_, unflushed) = measure(&scene, "synchronous_commit = off", "set synchronous_commit = off");
    // The WAL writer alone takes up to 600 ms, and as a rule more than 200 ms.
    assert!(flushed < Duration::from_millis(100), "{flushed:?}");
    assert!(unflushed < Duration::from_millis(150), "{unflushed:?}");
}

/// A writer's acknowledged commits: number, and when.
type Acknowledged = Vec<(u64, Instant)>;

#[test]
fn no_instant_is_fresh_before_a_commit_that_was_visible_before_it() {
    let seed = std::env::var("PGWEIR_STREAM_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| u64::from(std::process::id()) << 20 | 7);
    println!("PGWEIR_STREAM_SEED={seed}");
    let cluster = Cluster::shared();
    let scene = Scene::new(cluster, "create table t (id bigint primary key, v int)");
    scene.follow(&["t"]);
    let from = scene.recorder.count();
    let over = AtomicBool::new(false);
    let time = Duration::from_secs(if big() { 60 } else { 5 });
    let (acknowledged, seen) = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..4_u64)
            .map(|who| {
                scope.spawn({
                    let (scene, over) = (&scene, &over);
                    move || write(scene, who, seed, over)
                })
            })
            .collect();
        let readers: Vec<_> = (0..2).map(|_| scope.spawn(|| read(&scene, &over))).collect();
        let end = Instant::now() + time;
        while Instant::now() < end {
            scene.stream().used();
            std::thread::sleep(Duration::from_millis(20));
        }
        over.store(true, Ordering::Relaxed);
        let acknowledged: Acknowledged =
            writers.into_iter().flat_map(|one| one.join().expect("a writer")).collect();
        let seen: Acknowledged = readers.into_iter().flat_map(|one| one.join().expect("a reader")).collect();
        (acknowledged, seen)
    });
    scene.fresh_since(Instant::now());
    let told = scene.recorder.all();
    let told = &told[from..];
    // For each row, when its commit was told to be visible, by its place among all that was told.
    let mut of_xid: HashMap<Xid, Vec<u64>> = HashMap::new();
    let mut visible: HashMap<u64, usize> = HashMap::new();
    let mut points: Vec<(Instant, usize)> = vec![];
    for (place, (_, told)) in told.iter().enumerate() {
        match told {
            Told::Change(xid, text) => {
                if let Some(id) =
                    text.strip_prefix("insert t: now id=").and_then(|rest| rest.split(' ').next())
                {
                    of_xid.entry(*xid).or_default().push(id.parse().expect("a number"));
                }
            }
            Told::Visible(xid) => {
                for id in of_xid.get(xid).into_iter().flatten() {
                    visible.insert(*id, place);
                }
            }
            Told::Fresh(at) => points.push((*at, place)),
            Told::Lost(cause) => panic!("the stream was lost: {cause}"),
            _ => {}
        }
    }
    assert!(points.is_sorted_by_key(|(at, _)| *at), "instants only grow");
    let mut checked = 0;
    for (id, at) in acknowledged.iter().chain(&seen) {
        let place = visible.get(id).unwrap_or_else(|| panic!("row {id} was never told (seed {seed})"));
        // The first point at or behind the instant at which the row was known to be visible.
        let first = points.partition_point(|(point, _)| point < at);
        let (point, fresh) = points[first];
        assert!(
            place < &fresh,
            "row {id}, visible at {at:?}, was told behind the fresh point {point:?} (seed {seed})"
        );
        checked += 1;
    }
    println!("{} commits, {} sightings, {} fresh points", acknowledged.len(), seen.len(), points.len());
    assert!(checked > 500 && points.len() > 100, "{checked} rows, {} points: too few to tell", points.len());
}

/// Transactions of random shape; each row that was committed, and when that was acknowledged.
fn write(scene: &Scene<'_>, who: u64, seed: u64, over: &AtomicBool) -> Acknowledged {
    let mut random = pgweir::plan::balance::Random::new(seed ^ who << 40);
    let (mut client, mut done, mut n) = (scene.client(), vec![], 0);
    while !over.load(Ordering::Relaxed) {
        let choice = random.bits() % 8;
        client.run(if random.bits().is_multiple_of(2) {
            "set synchronous_commit = on"
        } else {
            "set synchronous_commit = off"
        });
        let mut id = || {
            n += 1;
            who << 32 | n
        };
        let rows: Vec<u64> = (0..=random.bits() % 4).map(|_| id()).collect();
        let insert = |id: &u64| format!("insert into t values ({id}, {who})");
        match choice {
            0 => {
                client.run("begin");
                rows.iter().for_each(|id| client.run(&insert(id)));
                client.run("rollback");
                continue;
            }
            1 => {
                client.run("begin");
                for id in &rows {
                    client.run("savepoint s");
                    client.run(&insert(id));
                    client.run("release s");
                }
                client.run("commit");
            }
            2 => {
                client.run("begin");
                rows.iter().for_each(|id| client.run(&insert(id)));
                client.run(&format!("prepare transaction 'fresh_{}_{who}_{n}'", scene.name));
                client.run(&format!("commit prepared 'fresh_{}_{who}_{n}'", scene.name));
            }
            _ => {
                client.run("begin");
                rows.iter().for_each(|id| client.run(&insert(id)));
                client.run("commit");
            }
        }
        let now = Instant::now();
        done.extend(rows.into_iter().map(|id| (id, now)));
        if choice == 7 {
            std::thread::sleep(Duration::from_micros(random.bits() % 5000));
        }
    }
    done
}

/// The newest rows of each writer, and when they were seen, which may be before they are acknowledged.
fn read(scene: &Scene<'_>, over: &AtomicBool) -> Acknowledged {
    let (mut client, mut seen) = (scene.client(), vec![]);
    while !over.load(Ordering::Relaxed) {
        for who in 0..4_u64 {
            let sql = format!("select max(id) from t where id between {} and {}", who << 32, (who + 1) << 32);
            if let Ok(id) = client.value(&sql).parse() {
                seen.push((id, Instant::now()));
            }
        }
    }
    seen
}
