//! psql and pg_dump: what they print must be the same directly and through pgweir.

use std::cell::RefCell;
use std::fs;
use std::time::Duration;

use super::{Target, directly_and_through_pgweir, run};
use crate::harness::cluster::newer_than_clients;
use crate::harness::command::{self, Folder};

const SCRIPT: &str = r#"
\set ON_ERROR_STOP off
create table t (i int primary key, s text not null default 'x', d date);
\d t
insert into t select i, repeat('s', i), date '2020-01-01' + i from generate_series(1, 20) i;
select * from t where i < 4 order by i \gdesc
select * from t where i < 4 order by i;
select 1/0;
select * from no_such_table;
insert into t values (1);
\set VERBOSITY verbose
select 'x'::int;
\set VERBOSITY default
begin;
update t set s = 'y' where i = 1;
savepoint a;
select 1/0;
rollback to a;
select s from t where i = 1;
rollback;
select s from t where i = 1;
\set FETCH_COUNT 7
select i from t order by i;
\unset FETCH_COUNT
\copy (select i, s from t where i < 3) to stdout
\copy t (i, s) from stdin
100	copied
101	too
\.
copy t (i) from stdin;
102
not a number
\.
select count(*), max(i) from t;
\copy t from 'no_such_file'
prepare p (int) as select $1 + 1;
execute p (41);
deallocate p;
\dt
\df
\dn
\encoding LATIN1
\encoding
\encoding UTF8
set timezone = 'Asia/Tokyo';
show timezone;
\x on
select 1 as a, 'b' as b;
\x off
select 1; select 2 \; select 3;
select 'select ' || i || ' as generated' from generate_series(1, 2) i \gexec
create function f(out a int, out b text) language sql as $$ select 1, 'x' $$;
select f(), (f()).* \gset
\echo :a :b
do $$ begin raise notice 'noted'; end $$;
listen ch;
notify ch, 'payload';
select 1;
begin; declare c cursor for select i from t order by i; fetch 2 c; commit;
begin;
create temp table tt (i int) on commit drop;
insert into tt values (1);
select * from tt;
commit;
\lo_import '/dev/null' 'comment'
select count(*) from pg_largeobject_metadata;
\errverbose
\l flurb
"#;

#[test]
fn psql_prints_the_same() {
    let first = RefCell::new(None::<String>);
    directly_and_through_pgweir(|target| {
        let folder = Folder::new();
        let script = folder.0.join("script.sql");
        fs::write(&script, SCRIPT).expect("a file can be written");
        let mut psql = target.program("psql");
        psql.args(["-X", "-a", "-f"]).arg(&script).current_dir(&folder.0);
        let output = command::run(&mut psql, Duration::from_secs(60));
        // The oid of the large object, and the process id of the notification, are not the same twice.
        let text =
            format!("{}\n{}", output.stdout, output.stderr).replace(&folder.0.display().to_string(), "");
        let text: Vec<&str> = text
            .lines()
            .filter(|l| !l.starts_with("lo_import ") && !l.contains("server process with PID"))
            .collect();
        let text = text.join("\n").replace(&target.database, "DATABASE");
        assert!(text.contains("division by zero") && text.contains("COPY 2"), "{text}");
        assert!(
            output.stdout.contains("Asynchronous notification \"ch\" with payload \"payload\""),
            "{text}"
        );
        match first.take() {
            None => *first.borrow_mut() = Some(text),
            Some(direct) => assert_eq!(direct, text, "directly | through pgweir"),
        }
    });
}

#[test]
fn psql_single_transaction_and_variables() {
    directly_and_through_pgweir(|target| {
        let psql = |sql: &str| {
            run(target.program("psql").args(["-X", "-A", "-t", "-1", "-v", "ON_ERROR_STOP=1", "-c", sql]))
        };
        psql("create table t (i int)");
        psql("insert into t values (1); insert into t values (2)");
        assert_eq!(psql("select sum(i) from t").trim(), "3");
        let failed = command::run(
            target.program("psql").args([
                "-X",
                "-v",
                "ON_ERROR_STOP=1",
                "-c",
                "insert into t values (3); select 1/0",
            ]),
            Duration::from_secs(30),
        );
        assert!(!failed.ok);
        assert_eq!(psql("select count(*) from t").trim(), "2");
    });
}

#[test]
fn dump_and_restore() {
    if newer_than_clients() {
        return;
    }
    let first = RefCell::new(None::<String>);
    directly_and_through_pgweir(|target| {
        let psql =
            |sql: &str| run(target.program("psql").args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", sql]));
        psql(
            "create schema s; create table s.t (i serial primary key, \"odd name\" text, a int[]); create view v as select 1 as x; create sequence q start 7",
        );
        psql(
            "insert into s.t (\"odd name\", a) select 'row ' || i, array[i, null] from generate_series(1, 1000) i",
        );
        let dump = run(target.program("pg_dump").args(["--no-owner"]));
        // Newer versions write a random key against injection.
        let lines: Vec<&str> =
            dump.lines().filter(|l| !l.starts_with("\\restrict") && !l.starts_with("\\unrestrict")).collect();
        let stable = lines.join("\n");
        assert!(stable.contains("row 1000\t{1000,NULL}"));
        psql("drop schema s cascade; drop view v; drop sequence q");
        let restored = command::run_with_input(
            target.program("psql").args(["-X", "-q", "-v", "ON_ERROR_STOP=1"]),
            &dump,
            Duration::from_secs(60),
        );
        restored.success();
        assert_eq!(run(target.program("psql").args(["-XAtc", "select count(*) from s.t"])).trim(), "1000");
        match first.take() {
            None => *first.borrow_mut() = Some(stable),
            Some(direct) => assert_eq!(direct, stable),
        }
    });
}

#[test]
fn psql_interrupted() {
    directly_and_through_pgweir(|target: &Target| {
        let mut psql = target.program("psql");
        psql.args(["-X", "-c", "select pg_sleep(60)"]);
        let mut child = psql
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .expect("psql starts");
        let running = "select count(*) from pg_stat_activity where datname = current_database() and query like '%pg_sleep(60)%' and pid <> pg_backend_pid()";
        let mut superuser = crate::harness::cluster::Cluster::shared().superuser(&target.database);
        crate::harness::eventually("the statement runs", || superuser.value(running) == "1");
        let kill = format!("kill -INT {}", child.id());
        assert!(std::process::Command::new("sh").args(["-c", &kill]).status().expect("sh runs").success());
        let status = command::wait(&mut child, Duration::from_secs(10));
        let _ = child.kill();
        let said = child.wait_with_output().expect("its output");
        assert!(status.is_some(), "psql ends when it is interrupted");
        assert!(
            String::from_utf8_lossy(&said.stderr).contains("canceling statement due to user request"),
            "{said:?}"
        );
    });
}
