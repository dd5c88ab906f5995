//! Sessions that write and read by the rules of `plan`, on real servers whose replay is paused and resumed: what they must see, they
//! see; and they would not without the rules.

use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pgweir::auth::scram::MockSecret;
use pgweir::config::{self, Sources};
use pgweir::control::monitor::Monitor;
use pgweir::plan::balance::Random;
use pgweir::plan::choose::{Choice, Read};
use pgweir::plan::consistency::{Floor, Level};
use pgweir::plan::topology::NodeId;
use pgweir::runtime::cluster::Nodes;
use pgweir::session::directory::Directory;
use tokio::task::LocalSet;
use tokio_postgres::{Client, NoTls};

use super::Scene;
use crate::harness::big;
use crate::harness::cluster::{Cluster, SUPERUSER};

const SESSIONS: usize = 12;

/// What is left out.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Rules {
    Kept,
    /// Uses are not noted.
    NothingNoted,
}

/// What was seen.
#[derive(Debug, Default, Clone, Copy)]
struct Seen {
    from_replicas: usize,
    from_primary: usize,
    undone: usize,
    writes: usize,
}

struct Stage {
    nodes: Rc<Nodes>,
    rules: Rules,
    wait: Duration,
    until: Instant,
    primary: NodeId,
    ports: HashMap<NodeId, u16>,
    seen: Cell<Seen>,
}

impl Stage {
    fn count(&self, change: impl FnOnce(&mut Seen)) {
        let mut seen = self.seen.get();
        change(&mut seen);
        self.seen.set(seen);
    }

    fn used(&self, node: NodeId, floor: &mut Floor) {
        if self.rules == Rules::Kept {
            self.nodes.used(node, floor);
        }
    }
}

async fn connect(port: u16) -> Client {
    let text =
        format!("host=127.0.0.1 port={port} user={} password={} dbname=postgres", SUPERUSER.0, SUPERUSER.1);
    let (client, connection) =
        tokio_postgres::connect(&text, NoTls).await.expect("the node can be connected to");
    tokio::task::spawn_local(connection);
    client
}

/// Writes and reads two rows that all sessions share: what it has seen of one it must see again. Now and then it pauses.
async fn session(stage: Rc<Stage>, seed: u64) {
    let mut clients = HashMap::new();
    for (id, port) in &stage.ports {
        clients.insert(*id, connect(*port).await);
    }
    let mut random = Random::new(seed);
    let (mut floor, mut must) = (Floor::default(), [0i64; 2]);
    while Instant::now() < stage.until {
        let row = random.below(2);
        if random.below(8) == 0 {
            let sql = format!("update counted set n = n + 1 where row = {row} returning n");
            must[row] = number(&clients[&stage.primary], &sql).await;
            stage.used(stage.primary, &mut floor);
            stage.count(|seen| seen.writes += 1);
        } else {
            let read = Read { level: Level::Session, client: seed, node: None, now: Some(Instant::now()) };
            let node = match stage.nodes.choose_within(read, &mut floor, stage.wait).await {
                Choice::Replica(node) => node,
                Choice::Primary(_) => stage.primary,
            };
            let found = number(&clients[&node], &format!("select n from counted where row = {row}")).await;
            stage.used(node, &mut floor);
            stage.count(|seen| {
                *if node == stage.primary { &mut seen.from_primary } else { &mut seen.from_replicas } += 1;
                seen.undone += usize::from(found < must[row]);
            });
            must[row] = must[row].max(found);
        }
        if random.below(3) == 0 {
            tokio::time::sleep(Duration::from_millis(random.below(8) as u64)).await;
        }
    }
}

async fn number(client: &Client, sql: &str) -> i64 {
    client.query_one(sql, &[]).await.expect("it is answered").get(0)
}

/// Pauses and resumes the replay of one standby or another.
async fn disturb(stage: Rc<Stage>) {
    let mut random = Random::new(99);
    let standbys: Vec<_> =
        stage.ports.iter().filter(|(id, _)| **id != stage.primary).map(|(_, port)| *port).collect();
    while Instant::now() < stage.until {
        let client = connect(standbys[random.below(standbys.len())]).await;
        client.batch_execute("select pg_wal_replay_pause()").await.expect("a standby");
        tokio::time::sleep(Duration::from_millis(random.below(60) as u64)).await;
        client.batch_execute("select pg_wal_replay_resume()").await.expect("a standby");
        tokio::time::sleep(Duration::from_millis(random.below(40) as u64)).await;
    }
}

/// A monitor of these nodes, and a worker's view of them, once all are known.
async fn watch(scene: &Scene, interval: &str) -> (Monitor, Rc<Nodes>) {
    let url = scene.url(SUPERUSER, &format!("check_interval={interval}"));
    let settings = config::load(&Sources { url: Some(url), ..Sources::default() }).expect("the URL is right");
    let database = settings.databases["postgres"].clone();
    let directory = Directory::new(settings, MockSecret::random().expect("randomness")).expect("it is ready");
    let target = directory.target("postgres", SUPERUSER.0).expect("there is this database");
    let monitor = Monitor::start("postgres", &database, &target);
    let nodes = Nodes::new(monitor.cluster(), 1);
    while nodes.sighting().topology.replicas().count() < scene.standbys.len() {
        nodes.cluster().want();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    (monitor, nodes)
}

fn run(scene: &Scene, rules: Rules, wait: u64) -> Seen {
    let time = Duration::from_secs(if big() { 60 } else { 4 });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    LocalSet::new().block_on(&runtime, async {
        let (_monitor, nodes) = watch(scene, "100ms").await;
        let sighting = Arc::clone(&nodes.sighting());
        let all = scene.standbys.iter().chain([&scene.primary]);
        let id = |(cluster, node): (&Cluster, &pgweir::plan::topology::Node)| (node.id, cluster.port);
        let stage = Rc::new(Stage {
            nodes,
            rules,
            wait: Duration::from_millis(wait),
            until: Instant::now() + time,
            primary: sighting.topology.primary.expect("there is a primary"),
            ports: all.zip(&sighting.topology.nodes).map(id).collect(),
            seen: Cell::default(),
        });
        let sessions =
            (0..SESSIONS as u64).map(|seed| tokio::task::spawn_local(session(stage.clone(), seed)));
        let mut tasks: Vec<_> = sessions.collect();
        tasks.push(tokio::task::spawn_local(disturb(stage.clone())));
        for task in tasks {
            task.await.expect("no session fails");
        }
        stage.seen.get()
    })
}

#[test]
fn sessions_see_what_they_must_and_replicas_answer() {
    let scene = Scene::new(2);
    let mut superuser = scene.primary.superuser("postgres");
    superuser.run("create table counted (row int primary key, n bigint)");
    superuser.run("insert into counted values (0, 0), (1, 0)");
    let end = superuser.value("select pg_current_wal_insert_lsn()");
    for standby in &scene.standbys {
        let mut there = standby.superuser("postgres");
        let sql = format!("select pg_last_wal_replay_lsn() >= '{end}'");
        crate::harness::eventually("the standby follows", || there.value(&sql) == "t");
    }
    for wait in [0, 5, 20] {
        let kept = run(&scene, Rules::Kept, wait);
        println!("waiting up to {wait} ms: {kept:?}");
        assert_eq!(kept.undone, 0, "{kept:?}");
        assert!(kept.writes > 100 && kept.from_replicas > 0, "{kept:?}");
        assert!(wait < 20 || kept.from_replicas * 5 > kept.from_primary, "replicas answer many: {kept:?}");
    }
    let broken = run(&scene, Rules::NothingNoted, 0);
    println!("nothing noted: {broken:?}");
    assert!(broken.undone > 0, "without the rules nobody would notice: {broken:?}");
}

#[test]
fn a_session_that_pauses_comes_back_to_a_replica_by_itself() {
    let scene = Scene::new(1);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    LocalSet::new().block_on(&runtime, async {
        // Nobody asks but those who want to know.
        let (_monitor, nodes) = watch(&scene, "1h").await;
        let primary = nodes.sighting().topology.primary.expect("there is a primary");
        let client = connect(scene.primary.port).await;
        client.batch_execute("create table t (i int)").await.expect("it is made");
        let mut floor = Floor::default();
        let read = || Read { level: Level::Session, client: 0, node: None, now: Some(Instant::now()) };
        assert!(matches!(nodes.choose(read(), &mut floor), Choice::Replica(_)), "it has seen nothing");
        client.batch_execute("insert into t values (1)").await.expect("it is written");
        nodes.used(primary, &mut floor);
        let until = Instant::now() + Duration::from_secs(10);
        while matches!(nodes.choose(read(), &mut floor), Choice::Primary(_)) {
            assert!(Instant::now() < until, "it never comes back");
            client.batch_execute("select i from t").await.expect("it is read");
            nodes.used(primary, &mut floor);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
}
