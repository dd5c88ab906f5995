//! The optional objects: installed and dropped by the program, and what the stream is told because of them.

use std::process::Command;
use std::time::{Duration, Instant};

use super::{Scene, Told};
use crate::harness::cluster::{APP, Cluster, SUPERUSER, since};
use crate::harness::command::{Output, run};
use crate::harness::proxy::program;

fn upstream(scene: &Scene<'_>, verb: &str) -> Output {
    let url = scene.cluster.url(SUPERUSER, &scene.name, "");
    run(Command::new(program()).args(["upstream", verb, &url]), Duration::from_secs(30))
}

#[test]
fn the_optional_objects_come_and_go() {
    let scene = Scene::new(Cluster::shared(), "");
    let missing = upstream(&scene, "status");
    assert!(!missing.ok && missing.stdout.contains("002_definitions: missing"), "{missing:?}");
    let installed = upstream(&scene, "install").success();
    assert!(installed.contains("001_schema: installed now"), "{installed}");
    let again = upstream(&scene, "install").success();
    assert!(again.contains("003_publication: installed\n") && !again.contains("now"), "{again}");
    assert!(upstream(&scene, "status").ok);
    scene.superuser().run("update pgweir.installed set digest = 'x' where name = '002_definitions'");
    let other = upstream(&scene, "status");
    assert!(!other.ok && other.stdout.contains("002_definitions: another version"), "{other:?}");
    let gone = upstream(&scene, "uninstall").success();
    assert!(gone.contains("001_schema: uninstalled"), "{gone}");
    let left = "select count(*) from pg_event_trigger where evtname ~ 'pgweir' union all \
        select count(*) from pg_namespace where nspname = 'pgweir'";
    assert_eq!(scene.superuser().value(&format!("select sum(count) from ({left}) as all_of_it")), "0");
    assert!(upstream(&scene, "uninstall").ok);
}

#[test]
fn who_may_not_install_them_is_told() {
    let scene = Scene::new(Cluster::shared(), "");
    let url = scene.cluster.url(crate::harness::cluster::APP2, &scene.name, "");
    let refused = run(Command::new(program()).args(["upstream", "install", &url]), Duration::from_secs(30));
    assert!(!refused.ok && refused.stdout.contains("(42501)"), "{refused:?}");
    let refused = run(
        Command::new(program()).args(["upstream", "status", "postgres://x@127.0.0.1:1/y"]),
        Duration::from_secs(30),
    );
    assert!(!refused.ok && refused.stdout.contains("(08001)"), "{refused:?}");
}

/// The owner of the database may make the schema, and no event trigger.
#[test]
fn what_cannot_be_installed_as_a_whole_leaves_nothing_behind() {
    let scene = Scene::new(Cluster::shared(), "");
    let owner = |verb: &str| {
        let url = scene.cluster.url(APP, &scene.name, "");
        run(Command::new(program()).args(["upstream", verb, &url]), Duration::from_secs(30))
    };
    let schemas = || scene.superuser().value("select count(*) from pg_namespace where nspname = 'pgweir'");
    let refused = owner("install");
    assert!(!refused.ok && refused.stdout.contains("(42501)"), "{refused:?}");
    assert!(!refused.stdout.contains("installed now"), "{refused:?}");
    assert!(refused.stdout.contains("nothing has changed"), "{refused:?}");
    assert!(refused.stdout.contains("superuser"), "{refused:?}");
    assert_eq!(schemas(), "0");
    upstream(&scene, "install").success();
    let refused = owner("uninstall");
    assert!(!refused.ok && !refused.stdout.contains("uninstalled"), "{refused:?}");
    assert!(upstream(&scene, "status").ok);
}

#[test]
fn changes_of_definitions_are_told_with_their_commit() {
    if !since(14) {
        return;
    }
    let scene = Scene::new(
        Cluster::shared(),
        "create table t (id int primary key, v text); create materialized view m as select 1 as one;
         create table p (id int primary key) partition by range (id)",
    );
    upstream(&scene, "install").success();
    scene.follow(&["t"]);
    let oid = |name: &str| scene.oid(name);
    let check = |sql: &[&str], expected: &[&str]| {
        let told = scene.changes_of(|client| sql.iter().for_each(|sql| client.run(sql)));
        let told: Vec<String> = told.into_iter().flatten().collect();
        assert_eq!(told, expected, "{sql:?}");
    };
    let (t, m, p) = (oid("t"), format!("relation {}", oid("m")), oid("p"));
    assert_ne!(t, p);
    check(&["create view v as select 1"], &["definitions"]);
    check(&["create or replace function f() returns int language sql as 'select 1'"], &["definitions"]);
    check(&["grant select on p to app2"], &["definitions"]);
    check(&["drop view v"], &["definitions"]);
    check(&["refresh materialized view m"], &[&m]);
    check(&["begin", "refresh materialized view m", "rollback"], &[]);
    check(&["create table p1 partition of p for values from (0) to (10)"], &["definitions"]);
    check(&["alter table p detach partition p1"], &["definitions", &format!("relation {p}")]);
    check(
        &["alter table p attach partition p1 for values from (0) to (10)"],
        &["definitions", &format!("relation {p}")],
    );
    check(&["create temp table x (id int)"], &[]);
    check(&["comment on table p is 'x'"], &[]);
    check(&["create policy one on p using (id > 0)"], &["definitions"]);
    // A rewrite, of which there are no rows.
    check(&["alter table t alter v type int using 1"], &["relation t", "definitions", "relation t"]);
}

#[test]
fn a_table_that_loses_its_key_leaves_the_publication_in_the_same_transaction() {
    let scene = Scene::new(
        Cluster::shared(),
        "create table t (id int primary key, v int); insert into t values (1, 1)",
    );
    upstream(&scene, "install").success();
    scene.follow(&["t"]);
    let (from, oid) = (scene.recorder.count(), scene.oid("t"));
    let mut client = scene.client();
    client.run("begin");
    client.run("alter table t drop constraint t_pkey");
    client.run("update t set v = 2");
    client.run("commit");
    scene.recorder.wait_for(from, &Told::Unusable(oid, "no_replica_identity"));
    let from = scene.recorder.count();
    client.run("alter table t add primary key (id)");
    scene.recorder.wait_for(from, &Told::Usable("t".into()));
    client.run("alter table t replica identity nothing");
    client.run("update t set v = 3");
    scene.recorder.wait_for(from, &Told::Unusable(oid, "no_replica_identity"));
}

#[test]
fn a_login_that_owns_nothing_publishes_with_the_optional_objects() {
    let scene = Scene::new(Cluster::shared(), "create table mine (id int primary key)");
    upstream(&scene, "install").success();
    scene.superuser().run("create table theirs (id int primary key); grant all on theirs to app");
    scene.superuser().run("create table nokey (id int)");
    scene.superuser().run(
        "grant usage on schema pgweir to app; \
         grant execute on function pgweir.publish(name, oid), pgweir.unpublish(name, oid) to app",
    );
    scene.follow(&["mine", "theirs"]);
    let changes = scene.changes_of(|client| client.run("insert into theirs values (1)"));
    assert_eq!(changes, [["insert theirs: now id=1"]]);
    // Only those with a replica identity, and only into a publication of pgweir's.
    let publish = |publication: &str, table: &str| {
        scene.client().error(&format!("select pgweir.publish('{publication}', '{table}'::regclass)"))
    };
    assert_eq!(publish(&scene.options.publication, "nokey"), "55000");
    scene.client().run("create publication other");
    assert_eq!(publish("other", "mine"), "42501");
    let begun = Instant::now();
    scene.stream().unwant(scene.oid("theirs"));
    crate::harness::eventually("it is taken out", || {
        scene.superuser().value("select count(*) from pg_publication_rel") == "1"
    });
    println!("taken out after {:?}", begun.elapsed());
}
