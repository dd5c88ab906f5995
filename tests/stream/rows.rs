//! What is told of rows: every construct that changes them.

use super::Scene;
use crate::harness::cluster::Cluster;

/// Checks what one statement (or several, each a transaction) makes.
#[track_caller]
fn check(scene: &Scene<'_>, sql: &[&str], expected: &[&[&str]]) {
    let changes = scene.changes_of(|client| sql.iter().for_each(|sql| client.run(sql)));
    assert_eq!(changes, expected, "{sql:?}");
}

#[test]
fn rows_by_each_replica_identity() {
    let scene = Scene::new(
        Cluster::shared(),
        "create table d (id int primary key, v text, g int generated always as (id * 2) stored);
         create table f (a int, v text); alter table f replica identity full;
         create table i (a int not null, b text not null, c text); create unique index ib on i (b);
         alter table i replica identity using index ib",
    );
    scene.follow(&["d", "f", "i"]);
    check(
        &scene,
        &["insert into d values (1, 'a'), (2, null)"],
        &[&["insert d: now id=1 v=a", "insert d: now id=2 v=null"]],
    );
    check(&scene, &["update d set v = 'b' where id = 1"], &[&["update d: same key now id=1 v=b"]]);
    check(&scene, &["update d set id = 3 where id = 1"], &[&["update d: key id=1 now id=3 v=b"]]);
    check(&scene, &["delete from d where id = 3"], &[&["delete d: key id=3"]]);
    check(
        &scene,
        &["insert into f values (1, 'a')", "update f set v = null", "delete from f"],
        &[
            &["insert f: now a=1 v=a"],
            &["update f: was a=1 v=a now a=1 v=null"],
            &["delete f: was a=1 v=null"],
        ],
    );
    check(
        &scene,
        &["insert into i values (1, 'k', 'x')", "update i set a = 2", "update i set b = 'l'"],
        &[
            &["insert i: now a=1 b=k c=x"],
            &["update i: same key now a=2 b=k c=x"],
            &["update i: key b=k now a=2 b=l c=x"],
        ],
    );
    check(&scene, &["delete from i"], &[&["delete i: key b=l"]]);
    check(&scene, &["begin", "insert into d values (9)", "rollback"], &[]);
}

#[test]
fn what_a_statement_does_elsewhere() {
    let scene = Scene::new(
        Cluster::shared(),
        "create table p (id int primary key); \
         create table c (id int primary key, p int references p on delete cascade on update set null); \
         create table log (n int generated always as identity primary key, what text);
         create function noted() returns trigger language plpgsql as \
            $$begin insert into log (what) values (tg_op); return null; end$$;
         create trigger noted after update on p for each row execute function noted();
         create rule also as on insert to c do also insert into log (what) values ('rule')",
    );
    scene.follow(&["p", "c", "log"]);
    check(
        &scene,
        &["insert into p values (1), (2)", "insert into c values (10, 1), (11, 2)"],
        &[
            &["insert p: now id=1", "insert p: now id=2"],
            &[
                "insert c: now id=10 p=1",
                "insert c: now id=11 p=2",
                "insert log: now n=1 what=rule",
                "insert log: now n=2 what=rule",
            ],
        ],
    );
    check(&scene, &["delete from p where id = 1"], &[&["delete p: key id=1", "delete c: key id=10"]]);
    check(
        &scene,
        &["update p set id = 3 where id = 2"],
        &[&[
            "update p: key id=2 now id=3",
            "update c: same key now id=11 p=null",
            "insert log: now n=3 what=UPDATE",
        ]],
    );
    check(&scene, &["truncate p cascade"], &[&["truncate p", "truncate c"]]);
}

#[test]
fn long_values_that_do_not_change_are_told_so() {
    let scene = Scene::new(
        Cluster::shared(),
        "create table t (id int primary key, n int, v text); alter table t alter v set storage external;
         create table f (id int primary key, n int, v text); alter table f alter v set storage external;
         alter table f replica identity full",
    );
    scene.follow(&["t", "f"]);
    let insert = |table: &str| format!("insert into {table} values (1, 1, repeat('x', 10000))");
    check(
        &scene,
        &[&insert("t"), &insert("f")],
        &[&["insert t: now id=1 n=1 v=10000 bytes"], &["insert f: now id=1 n=1 v=10000 bytes"]],
    );
    check(&scene, &["update t set n = 2"], &[&["update t: same key now id=1 n=2 v=<unchanged>"]]);
    check(
        &scene,
        &["update f set n = 2"],
        &[&["update f: was id=1 n=1 v=10000 bytes now id=1 n=2 v=<unchanged>"]],
    );
}

#[test]
fn subtransactions_and_prepared_transactions_are_told_whole() {
    let scene = Scene::new(Cluster::shared(), "create table t (id int primary key)");
    scene.follow(&["t"]);
    let block = [
        "begin",
        "insert into t values (1)",
        "savepoint a",
        "insert into t values (2)",
        "rollback to a",
        "savepoint b",
        "insert into t values (3)",
        "commit",
    ];
    check(&scene, &block, &[&["insert t: now id=1", "insert t: now id=3"]]);
    check(&scene, &["begin", "insert into t values (4)", "prepare transaction 'stream_rows'"], &[]);
    check(&scene, &["commit prepared 'stream_rows'"], &[&["insert t: now id=4"]]);
}

#[test]
fn much_of_one_table_is_told_as_one() {
    let options = pgweir::control::stream::Options { rows: 10, ..Default::default() };
    let setup = "create table t (id int primary key, v text); create table u (id int primary key)";
    let scene = Scene::with(Cluster::shared(), setup, options);
    scene.follow(&["t", "u"]);
    let changes = scene.changes_of(|client| {
        client.run("begin");
        client.run("insert into t select generate_series(1, 50000)");
        client.run("insert into u values (1)");
        client.run("truncate t");
        client.run("commit");
    });
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].len(), 12, "{:?}", changes[0]);
    assert_eq!(changes[0][9..], ["insert t: now id=10 v=null", "bulk t", "insert u: now id=1"]);
    // A storm of them: each table is told once for each commit.
    let storm = "do $$begin for i in 1..500 loop truncate t, u; insert into t values (1); end loop; end$$";
    check(&scene, &[storm, "truncate t, t"], &[&["truncate t", "truncate u"], &["truncate t"]]);
}

#[test]
fn a_row_that_is_too_long_is_told_as_a_change_of_its_table() {
    let scene = Scene::new(Cluster::shared(), "create table t (id int primary key, v text)");
    scene.follow(&["t"]);
    let sql = [
        "insert into t values (1, repeat('x', 20000000)), (2, 'short')",
        "insert into t values (3, repeat('y', 3000000))",
    ];
    check(&scene, &sql, &[&["bulk t"], &["insert t: now id=3 v=3000000 bytes"]]);
}

#[test]
fn values_are_written_in_one_way_whatever_the_settings_are() {
    let scene = Scene::new(
        Cluster::shared(),
        "create table t (id int primary key, d date, b bytea, f float8, w timestamptz, i interval, k bool, u uuid);
         do $$begin execute format('alter database %I set datestyle = german', current_database());
         execute format('alter database %I set bytea_output = escape', current_database());
         execute format('alter database %I set timezone = ''Asia/Tokyo''', current_database()); end$$",
    );
    scene.follow(&["t"]);
    let sql = "insert into t values (1, '2024-02-29', '\\x00ff', 0.1, '2024-02-29 12:00+00', '1 day 2 hours', true, \
        'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11')";
    check(
        &scene,
        &[sql],
        &[&["insert t: now id=1 d=2024-02-29 b=\\x00ff f=0.1 w=2024-02-29 12:00:00+00 \
        i=1 day 02:00:00 k=t u=a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"]],
    );
}
