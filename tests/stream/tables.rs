//! Which tables are followed, from when on, and what that does to those who write to them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pgweir::control::stream::{Options, Stream, publication};

use super::{Recorder, Runtime, Scene, Told, target};
use crate::harness::cluster::{APP, Cluster};
use crate::harness::eventually;

/// The tables of a publication.
fn published(scene: &Scene<'_>) -> Vec<String> {
    let sql = format!(
        "select string_agg(tablename, ' ' order by tablename) from pg_publication_tables where pubname = '{}'",
        scene.options.publication
    );
    scene.superuser().value(&sql).split_whitespace().map(str::to_owned).collect()
}

/// Waits until an update succeeds: the table leaves the publication right behind what is told.
fn can_update(scene: &Scene<'_>, sql: &str) {
    let mut client = scene.client();
    eventually("updates succeed", || client.simple(sql).iter().all(|message| message.tag != b'E'));
}

#[test]
fn what_cannot_be_followed_is_refused_and_never_published() {
    let scene = Scene::new(
        Cluster::shared(),
        "create table nokey (id int); insert into nokey values (1);
         create table nothing (id int primary key); alter table nothing replica identity nothing;
         create table late (id int primary key deferrable initially deferred);
         create unlogged table unlogged (id int primary key);
         create view v as select 1; create materialized view m as select 1 as one;
         create sequence s; create table good (id int primary key);
         create table gen (a int, b int generated always as (a) stored); alter table gen replica identity full",
    );
    scene.follow(&["good"]);
    for (table, why) in [
        ("nokey", "no_replica_identity"),
        ("nothing", "no_replica_identity"),
        ("late", "no_replica_identity"),
        ("unlogged", "unlogged"),
        ("v", "not_a_table"),
        ("m", "not_a_table"),
        ("s", "not_a_table"),
        ("gen", "generated_replica_identity"),
        ("pg_catalog.pg_class", "system_table"),
    ] {
        assert_eq!(scene.refusal(table), why, "{table}");
    }
    scene.stream().want(4_000_000_000).expect("there is room");
    scene.recorder.wait_for(0, &Told::Unusable(4_000_000_000, "relation_gone"));
    assert_eq!(published(&scene), ["good"]);
    scene.client().run("update nokey set id = 2");
    scene.client().run("delete from nokey");
    scene.client().run("insert into gen values (1)");
    scene.client().run("update gen set a = 2");
    // With a key it can be followed.
    let from = scene.recorder.count();
    scene.client().run("alter table nokey add primary key (id)");
    scene.recorder.wait_for(from, &Told::Usable("nokey".into()));
}

#[test]
fn a_table_that_loses_its_key_is_not_published_for_long() {
    let scene = Scene::new(
        Cluster::shared(),
        "create table t (id int primary key, v int); insert into t values (1, 1)",
    );
    scene.follow(&["t"]);
    let (from, oid) = (scene.recorder.count(), scene.oid("t"));
    scene.client().run("alter table t drop constraint t_pkey");
    scene.recorder.wait_for(from, &Told::Unusable(oid, "no_replica_identity"));
    can_update(&scene, "update t set v = 2");
    assert_eq!(published(&scene), [""; 0]);
}

#[test]
fn a_table_of_somebody_else_is_refused_in_the_servers_words() {
    let scene = Scene::new(Cluster::shared(), "create table mine (id int primary key)");
    scene.superuser().run("create table theirs (id int primary key); grant all on theirs to app");
    assert_eq!(scene.refusal("theirs"), "not_owner");
    scene.follow(&["mine"]);
}

#[test]
fn partitions_and_children_are_followed_for_their_parent() {
    let scene = Scene::new(
        Cluster::shared(),
        "create table r (id int, v text, primary key (id)) partition by range (id);
         create table a partition of r for values from (0) to (10);
         create table b (v text, id int primary key); alter table r attach partition b for values from (10) to (20);
         create table plain (id int primary key); create table kid (primary key (id)) inherits (plain)",
    );
    scene.follow(&["r", "plain"]);
    let changes = scene.changes_of(|client| {
        client.run("insert into r values (1, 'x'), (11, 'y')");
        client.run("update r set id = 12 where id = 1");
        client.run("insert into kid values (5)");
        client.run("truncate r");
    });
    assert_eq!(changes[0], ["insert a: now id=1 v=x", "insert b: now v=y id=11"]);
    assert_eq!(changes[1], ["delete a: key id=1", "insert b: now v=x id=12"]);
    assert_eq!(changes[2], ["insert kid: now id=5"]);
    assert_eq!(changes[3], [format!("truncate {}", scene.oid("a")), format!("truncate {}", scene.oid("b"))]);
    // One more partition: what the parent is has changed, and it is usable again with it.
    let from = scene.recorder.count();
    scene.client().run("create table c partition of r for values from (20) to (30)");
    scene.recorder.wait_for(from, &Told::Usable("r".into()));
    let changes = scene.changes_of(|client| client.run("insert into r values (25, 'z')"));
    assert_eq!(changes, [["insert c: now id=25 v=z"]]);
    // One without a key keeps the whole from being followed, and is not published.
    let (from, oid) = (scene.recorder.count(), scene.oid("r"));
    scene.client().run("alter table c replica identity nothing");
    scene.recorder.wait_for(from, &Told::Unusable(oid, "partition_not_followed"));
    can_update(&scene, "update c set v = 'w'");
}

#[test]
fn a_table_is_usable_only_when_older_transactions_have_ended() {
    let scene = Scene::new(
        Cluster::shared(),
        "create table t (id int primary key); create table u (id int primary key)",
    );
    scene.follow(&["u"]);
    let mut writer = scene.client();
    writer.run("begin");
    writer.run("insert into t values (1)");
    let (from, oid) = (scene.recorder.count(), scene.oid("t"));
    scene.stream().want(oid).expect("there is room");
    eventually("it is published", || published(&scene).contains(&"t".to_owned()));
    std::thread::sleep(Duration::from_millis(1500));
    let told = scene.recorder.all()[from..].iter().any(|(_, told)| *told == Told::Usable("t".into()));
    assert!(!told, "a transaction that wrote to it before it was published still runs");
    writer.run("insert into t values (2)");
    writer.run("commit");
    scene.recorder.wait_for(from, &Told::Usable("t".into()));
    // The server must not believe that the table is not published, which that transaction taught it in older releases.
    let changes = scene.changes_of(|client| client.run("insert into t values (3)"));
    assert_eq!(changes, [["insert t: now id=3"]]);
}

#[test]
fn a_definition_that_changes_is_told() {
    let scene = Scene::new(Cluster::shared(), "create table t (id int primary key, v text)");
    scene.follow(&["t"]);
    let (from, oid) = (scene.recorder.count(), scene.oid("t"));
    // The row comes before the catalog is read again: it is not taken for what it is not.
    scene.client().run("alter table t drop column v, add column n int, add column w text");
    scene.client().run("insert into t values (1, 2, 'x')");
    scene.recorder.wait_for(from, &Told::Unusable(oid, "definition_changed"));
    scene.recorder.wait_for(from, &Told::Usable("t".into()));
    let all = scene.recorder.all();
    let told: Vec<_> = all[from..].iter().map(|(_, told)| told).collect();
    assert!(
        told.iter().any(|told| matches!(told, Told::Change(_, text) if text == "relation t")),
        "{told:?}"
    );
    let changes = scene.changes_of(|client| client.run("update t set n = 3"));
    assert_eq!(changes, [["update t: same key now id=1 n=3 w=x"]]);
}

#[test]
fn the_publication_goes_with_its_process_or_with_the_next_one() {
    let cluster = Cluster::shared();
    let mut scene = Scene::new(cluster, "create table t (id int primary key)");
    scene.follow(&["t"]);
    let publications = |scene: &Scene<'_>| -> Vec<String> {
        let sql = "select string_agg(pubname, ' ' order by pubname) from pg_publication";
        scene.superuser().value(sql).split_whitespace().map(str::to_owned).collect()
    };
    assert_eq!(publications(&scene), [scene.options.publication.clone()]);
    scene.stop();
    assert_eq!(publications(&scene), [""; 0]);
    // One that a process left behind, one that only looks like it, and one of a process that lives.
    let leave = |name: &str| {
        let runtime = Runtime::start();
        let target = target(&cluster.url(APP, &scene.name, ""), &scene.name, APP.0);
        let entered = runtime.handle.enter();
        let options = Options { publication: name.to_owned(), ..Options::default() };
        let recorder = Arc::<Recorder>::default();
        let stream = Stream::start(options, &target, recorder.clone());
        drop(entered);
        stream.used();
        recorder.wait("a fresh point", |told| {
            told.iter().any(|(_, told)| matches!(told, Told::Fresh(_))).then_some(())
        });
        (runtime, stream)
    };
    let (dead, alive) = (publication::random_name(), publication::random_name());
    let (runtime, stream) = leave(&dead);
    // The process is gone without a word.
    drop(runtime);
    drop(stream);
    eventually("the server has noticed", || {
        let sql = "select (select count(*) from pg_locks where locktype = 'advisory') + (select count(*) from pg_replication_slots)";
        scene.superuser().value(sql) == "0"
    });
    let (_runtime, _stream) = leave(&alive);
    scene.client().run("create publication pgweir_00000000deadbeef");
    assert!(!publications(&scene).contains(&dead), "the one that lives has dropped it");
    let again = Scene::of(cluster, &scene.name, Options::default());
    again.fresh_since(Instant::now());
    let mut expected = vec![alive, again.options.publication.clone(), "pgweir_00000000deadbeef".to_owned()];
    expected.sort();
    assert_eq!(publications(&again), expected);
}
