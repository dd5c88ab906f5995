//! What statements may do to the session.

use crate::sql::{Effects, execute_argument, mentions_session_effects, setting_names, summarize};

/// The names of the effects, as `Debug` writes them.
pub(super) fn names(effects: Effects) -> String {
    let text = format!("{effects:?}");
    text.trim_start_matches("Effects(").trim_end_matches(')').to_string()
}

fn check(sql: &str, expected: &str) {
    assert_eq!(names(summarize(sql.as_bytes(), true).effects), expected, "{sql}");
}

#[test]
fn plain_statements_have_none() {
    check("", "");
    check("select a, b from t where c = $1 and d = 'set_config(' order by temp limit 10", "");
    check("insert into temp (a) values (1) returning a", "");
    check("with x as (insert into temp select 1 returning *) select * from x", "");
    check("update t set local = 1, temp = 2 where into_x = 3", "");
    check("delete from t using u where t.a = u.a", "");
    check("merge into temp using s on true when matched then delete", "");
    check("fetch 10 from c; move c; lock t; notify a, 'b'; show all", "");
    check("analyze t; checkpoint", "");
}

#[test]
fn settings() {
    check("set x = 1", "SETTING");
    check("SET SESSION x TO 1", "SETTING");
    check("/* c */ -- d\n set x = 1", "SETTING");
    check("select 1; set x = 1; select 2", "SETTING");
    check("set local x = 1", "SET_LOCAL");
    check("set local role bob", "ROLE SET_LOCAL");
    check("set transaction isolation level serializable", "SET_LOCAL");
    check("set constraints all deferred", "SET_LOCAL");
    check("set session characteristics as transaction read only", "SETTING");
    check("set role bob; reset role", "SETTING ROLE");
    check("set \"ROLE\" = bob", "SETTING ROLE");
    check("set session authorization bob", "SETTING ROLE");
    check("set local session authorization bob", "ROLE SET_LOCAL");
    check("reset session authorization", "SETTING ROLE");
    check("reset all", "SETTING");
    check("reset x", "SETTING");
    check("set U&\"x\" = 1", "SETTING ROLE OPAQUE UNNAMED");
    check("set search_path = pg_temp, public", "SETTING TEMP");
    check("set search_path = 'PG_TEMP'", "SETTING TEMP");
    check("alter system set x = 1", "NO_TX DDL");
    check("alter role bob set x = 1", "DDL");
}

#[test]
fn set_config() {
    check("select set_config('a.b', $1, false)", "SETTING");
    check("select pg_catalog . SET_CONFIG ( 'a', f(1, 2), true )", "SET_LOCAL");
    check("select \"set_config\"('a', 'b', TRUE)", "SET_LOCAL");
    check("select \"SET_CONFIG\"('a', 'b', true)", "");
    check("select set_config('a', 'b', $1)", "SETTING");
    check("select set_config('a', 'b', true and false)", "SETTING");
    check("select set_config('a', 'b', not true)", "SETTING");
    check("select set_config('a', 'b', is_local => true)", "SETTING");
    check("select set_config($1, 'b', true)", "ROLE SET_LOCAL");
    check("select set_config('role', 'b', true)", "ROLE SET_LOCAL");
    check("select set_config('ro' || 'le', 'b', false)", "SETTING ROLE UNNAMED");
    check("select set_config(E'role', 'b', false)", "SETTING ROLE");
    check("select set_config(E'r\\x6fle', 'b', false)", "SETTING ROLE");
    check("select set_config($$a.b$$, 'b', false)", "SETTING");
    check("select set_config(U&'a.b', 'b', false)", "SETTING ROLE UNNAMED");
    check("select set_config(name, setting, false) from pg_settings", "SETTING ROLE UNNAMED");
    check("select f(set_config('a', 'b'), 1, true)", "SETTING");
    check("select set_config('a', 'b', array[1,2], true)", "SETTING");
    check("select set_config('search_path', 'pg_temp', false)", "SETTING TEMP");
    check("with x as (select set_config('a', 'b', false)) select 1", "SETTING");
    check("select set_config from t", "");
    check("insert into t select set_config('Session_Authorization', 'b', false)", "SETTING ROLE");
}

#[test]
fn temporary_objects() {
    check("create temp table t (a int)", "TEMP DDL");
    check("CREATE GLOBAL TEMPORARY TABLE t (a int)", "TEMP DDL");
    check("create local temp sequence s", "TEMP DDL");
    check("create temp table t (a int) on commit drop", "DDL TEMP_OF_TX");
    check(
        "Create Local Temporary Table if not exists t () with (a=1) On Commit Drop as select 1",
        "DDL TEMP_OF_TX",
    );
    check("create temp table t (a int) /* on commit drop */", "TEMP DDL");
    check("create temp table \"on\" (a text default 'on commit drop')", "TEMP DDL");
    check("create temp table t (a int) on commit delete rows", "TEMP DDL");
    check("create temp table t (a int) on commit preserve rows", "TEMP DDL");
    check("create temp table t on commit preserve rows as select 1 on commit drop", "TEMP DDL");
    check("create temp table t on commit drop as select pg_temp.f()", "TEMP DDL");
    check("create temp table pg_temp.t (a int) on commit drop", "TEMP DDL");
    check("create temp table t () on commit drop; create temp table u ()", "TEMP DDL TEMP_OF_TX");
    check("create temp table t (a int on commit drop", "TEMP OPAQUE DDL");
    check("create or replace temp view v as select 1", "TEMP DDL");
    check("create /* c */ temp recursive view v (a) as select 1", "TEMP DDL");
    check("create table temp (a int)", "DDL");
    check("create table pg_temp.t (a int)", "TEMP DDL");
    check("create table \"pg_temp_3\".t (a int)", "TEMP DDL");
    check("select * from PG_Temp.t", "TEMP");
    check("select * from \"PG_TEMP\".t", "");
    check("select 1 into temp t", "TEMP DDL");
    check("select 1 into local temporary table t", "TEMP DDL");
    check("select 1 into t", "DDL");
    check("explain analyze create temp table t as select 1", "TEMP DDL");
    check("select pg_create_logical_replication_slot('a', 'b', true)", "PROCESS");
    check("select dblink_connect('c', '')", "OPAQUE PROCESS");
    check("select pg_backup_start('x'), pg_start_backup('x')", "PROCESS");
}

#[test]
fn locks_cursors_and_the_rest() {
    check("select pg_advisory_lock(1)", "ADVISORY");
    check("select pg_catalog.\"pg_try_advisory_lock_shared\"(1)", "ADVISORY");
    check("select PG_ADVISORY_LOCK_SHARED(1), pg_try_advisory_lock(2)", "ADVISORY");
    check("select pg_advisory_xact_lock(1), pg_try_advisory_xact_lock_shared(1)", "");
    check("select pg_advisory_unlock_all(), pg_advisory_unlock_shared(1)", "ADVISORY_UNLOCK");
    check("declare c cursor with hold for select 1", "HOLD");
    check("declare c cursor without hold for select 1", "");
    check("close c", "CLOSE");
    check("listen a; unlisten *", "LISTEN UNLISTEN");
    check("load 'x'", "LOAD");
    check("select currval('s'), lastval()", "SEQUENCE");
    check("select nextval('s')", "");
    check("select setseed(0.5)", "RANDOM_SEED");
    check("select query_to_xml('select 1', true, true, '')", "OPAQUE");
    check("select U&\"set_c\\006fnfig\"('a', 'b', false)", "OPAQUE");
}

#[test]
fn prepared_statements() {
    check("prepare p as select 1", "PREPARE");
    check("prepare p as select pg_advisory_lock(1)", "ADVISORY PREPARE");
    check("execute p", "EXECUTE");
    check("explain (analyze, verbose) execute p", "EXECUTE");
    check("create table t as execute p", "EXECUTE DDL");
    check("create trigger g after insert on t execute function f()", "DDL");
    check("deallocate all", "DEALLOCATE");
    check("discard plans", "DISCARD");
    check("discard all", "SETTING ROLE ADVISORY_UNLOCK CLOSE UNLISTEN DEALLOCATE DISCARD NO_TX");
}

#[test]
fn transactions() {
    check("begin", "BEGIN");
    check("start transaction", "BEGIN");
    check("commit and chain", "COMMIT");
    check("end", "COMMIT");
    check("abort", "ROLLBACK");
    check("rollback to a; savepoint b; release c", "SAVEPOINT");
    check("prepare transaction 'x'", "COMMIT");
    check("commit prepared 'x'", "NO_TX");
    check("begin; insert into t values (1); commit", "BEGIN COMMIT");
}

#[test]
fn copy() {
    check("copy t from stdin", "COPY");
    check("COPY t (a) FROM /* c */ STDIN WITH (format csv)", "COPY");
    check("copy (select set_config('a', 'b', false)) to stdout", "SETTING COPY");
    check("copy t from '/x'", "");
    check("copy t to program 'stdout'", "");
}

#[test]
fn definitions() {
    check("create index i on t (a)", "DDL");
    check("create index concurrently i on t (a)", "NO_TX DDL");
    check("drop index concurrently i", "NO_TX DDL");
    check("alter table t detach partition u concurrently", "NO_TX DDL");
    check("create database d; drop database d", "NO_TX DDL");
    check("alter database d set x = 1", "DDL");
    check("alter database d set tablespace s", "NO_TX DDL");
    check("drop tablespace s", "NO_TX DDL");
    check("create subscription s", "NO_TX DDL");
    check("reindex table t; cluster", "NO_TX DDL");
    check("vacuum full t", "NO_TX");
    check("truncate t", "");
    check("comment on table t is 'x'; grant select on t to bob", "DDL");
    check("create function f() returns int language sql set x = 1 as 'select pg_advisory_lock(1)'", "DDL");
}

#[test]
fn what_hides() {
    check("call p()", "OPAQUE");
    check("do $$ begin perform pg_advisory_lock(1); end $$", "ADVISORY OPAQUE");
    check("do language plpgsql 'begin perform set_config(''a'', ''b'', false); end'", "SETTING OPAQUE");
    check("do $$ begin set role bob; create temp table t(); end $$", "SETTING ROLE TEMP OPAQUE DDL");
    check("select 'x", "OPAQUE");
    check("select /* x", "OPAQUE");
    check("select $a$ x", "OPAQUE");
    check("select 1\0", "OPAQUE");
    check("/* x", "OPAQUE");
    check("frobnicate", "OPAQUE");
    check("1", "OPAQUE");
    check("explain explain select 1", "OPAQUE");
}

#[test]
fn explain() {
    check("explain select 1", "");
    check("explain (select 1)", "");
    check("explain (analyze) (select 1)", "");
    check("explain analyze verbose select set_config('a', 'b', false)", "SETTING");
    check("explain analyze declare c cursor with hold for select 1", "HOLD");
}

#[test]
fn sets() {
    let both = Effects::SETTING | Effects::ROLE;
    assert!(both.contains(Effects::ROLE) && both.intersects(Effects::ROLE) && !both.is_empty());
    assert!(!Effects::ROLE.contains(both) && Effects::ROLE.intersects(both));
    assert_eq!(both.without(Effects::ROLE), Effects::SETTING);
    assert_eq!(format!("{both:?}"), "Effects(SETTING ROLE)");
    assert_eq!(Effects::default(), Effects::EMPTY);
}

#[test]
fn names_of_settings() {
    let check = |sql: &str, known: &[&str], bound: &[u16]| {
        let names = setting_names(sql.as_bytes(), true);
        let as_text: Vec<_> = names.known.iter().map(|name| String::from_utf8_lossy(name)).collect();
        assert_eq!(
            (as_text, names.bound),
            (known.iter().map(|name| (*name).into()).collect(), bound.to_vec()),
            "{sql}"
        );
    };
    check("set App.X.y = 1; set local \"a b\".c to 'v'; set role x", &["app.x.y", "a b.c", "role"], &[]);
    check("select set_config('a.b', $1, false), pg_catalog.\"set_config\"($12, 'x', false)", &["a.b"], &[12]);
    check(
        "select set_config('a.' || x, 'v', false), 'set_config(''a'', ''b'', false)', t.set_config",
        &[],
        &[],
    );
    check("prepare p as select set_config($1, $2, false)", &[], &[1]);
}

#[test]
fn settings_without_a_name() {
    check("select set_config($1, 'b', false)", "SETTING ROLE BOUND_NAME");
    check("select set_config($1::text, 'b', false)", "SETTING ROLE BOUND_NAME");
    check("select set_config('a.b'::text, 'b', false)", "SETTING");
    check("select set_config($1::text || 'x', 'b', false)", "SETTING ROLE UNNAMED");
    check("select set_config($1::varchar(3), 'b', false)", "SETTING ROLE UNNAMED");
    check("set seed = 0.5", "SETTING RANDOM_SEED");
    check("select set_config('seed', '0.5', true)", "SET_LOCAL RANDOM_SEED");
    let code = |code: &str| names(mentions_session_effects(code.as_bytes()));
    assert_eq!(code("select set_config($1, $2, false)"), "SETTING ROLE BOUND_NAME");
    assert_eq!(code("select set_config(name, 'b', false)"), "SETTING ROLE BOUND_NAME");
    assert_eq!(code("select set_config('a.' || name, 'b', false)"), "SETTING ROLE UNNAMED");
    assert_eq!(code("select set_config('a.b', $2, false)"), "SETTING");
    let executes = |text: &str| code(&format!("begin execute {text}; end")).contains("UNNAMED");
    for text in [
        "format('set %I = %L', a, b)",
        "'SET app.' || a || ' = 1'",
        "'set '|| a || '= 1'",
        "'select set_config(' || quote_literal(a) || ', 1, false)'",
        "$x$select set_config($1, '', false)$x$ using a",
    ] {
        assert!(executes(text), "{text}");
    }
    for text in [
        "format('update %I set a = 1', t)",
        "format('set app.tenant = %L', a)",
        "'set local ' || a || ' = 1'",
        "'select 1'",
    ] {
        assert!(!executes(text), "{text}");
    }
    assert_eq!(code("begin raise notice 'set of what'; end"), "");
}

#[test]
fn arguments_of_execute() {
    let check = |sql: &str, number: u16, expected: Option<&str>| {
        let got = execute_argument(sql.as_bytes(), number, true);
        assert_eq!(got.as_deref(), expected.map(str::as_bytes), "{sql}");
    };
    check("execute p('a.b', 'x')", 1, Some("a.b"));
    check("EXPLAIN (analyze) execute \"P\" (f(1, 2), $$a.b$$::text , 3)", 2, Some("a.b"));
    check("create table t as execute p(E'a\\x2eb')", 1, Some("a.b"));
    check("execute p('a.' || 'b')", 1, None);
    check("execute p(concat('a.', 'b'))", 1, None);
    check("execute p(('a.b'))", 1, None);
    check("execute p('a.b'::varchar(2))", 1, None);
    check("execute p(U&'a.b')", 1, None);
    check("execute p('a.b')", 2, None);
    check("execute p", 1, None);
    check("execute p('a.b'", 1, None);
    check("select 1", 1, None);
}
