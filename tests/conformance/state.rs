//! Section E: what belongs to a session, when the server behind it is shared.

use super::prelude::*;
use crate::harness::direct_only;
use crate::harness::proxy::Proxy;
use crate::harness::raw::{Client, Endpoint};

#[test]
fn set_is_seen_by_its_session_only() {
    case("48", "SET is not seen by the next client of the server")
        .both_forms()
        .steps([
            A.sql("set work_mem = '77kB'"),
            B.sql("show work_mem"),
            B.sql("set work_mem to '88kB'"),
            A.sql("show work_mem"),
            B.sql("select current_setting('work_mem')"),
            A.sql("set session work_mem = default"),
            A.sql("show work_mem"),
            B.sql("reset work_mem"),
            B.sql("show work_mem"),
        ])
        .expect([
            "B DataRow (4MB)",
            "A DataRow (77kB)",
            "B DataRow (88kB)",
            "A DataRow (4MB)",
            "B DataRow (4MB)",
        ])
        .run();
}

#[test]
fn custom_setting_keeps_its_name() {
    case("48", "PostgreSQL itself keeps the name of a custom setting, with an empty value")
        .both_forms()
        .steps([
            A.sql("begin"),
            A.sql("set local my.own = 'a'"),
            A.sql("commit"),
            A.sql("show my.own"),
            A.sql("set my.other = 'a'"),
            A.sql("reset my.other"),
            A.sql("select current_setting('my.other', true)"),
        ])
        .expect(["DataRow ()", "DataRow ()"])
        .run();
}

/// A known difference, PgBouncer's too: see "Names of custom settings" in `docs/design/session-state.md`.
#[test]
fn custom_setting_of_another_session() {
    if direct_only() {
        return;
    }
    let cluster = Cluster::shared();
    let database = cluster.database();
    let proxy = Proxy::start(&cluster.url(APP, &database.name, "pool_size=1"));
    let client = || Client::connect(&proxy.endpoint(), &database.login());
    let (mut a, mut b) = (client(), client());
    assert_eq!(b.error("show my.own"), "42704", "on a server that never heard of it");
    a.run("set my.own = 'a'");
    assert_eq!(b.value("show my.own"), "", "the name is known there now; never the other's value");
    assert_eq!(b.value("select current_setting('my.own', true) is not distinct from ''"), "t");
    assert_eq!(a.value("show my.own"), "a");
    b.run("set my.own = 'b'");
    assert_eq!(a.value("show my.own"), "a");
}

#[test]
fn every_spelling_of_set() {
    case("48 50", "SET in all spellings")
        .both_forms()
        .steps(
            [
                "SET work_mem TO 128",
                "set work_mem=256",
                "set SESSION \"work_mem\" = '512'",
                "set work_mem = 1024 -- comment",
                "/* c */ set work_mem = 2048;",
                "set extra_float_digits = -1",
                "set time zone 'Europe/Berlin'",
                "set time zone local",
                "set time zone -5",
                "set time zone interval '+02:00' hour to minute",
                "set timezone to default",
                "set names 'UTF8'",
                "set names default",
                "set schema 'x'",
                "set seed 0.5",
                "set xml option content",
                "set enable_seqscan to off",
                "set statement_timeout = '10min'",
                "set \"MY\".\"Own\" = 'v'",
                "set datestyle = iso, dmy",
                "set role none",
                "set session authorization default",
                "set transaction read only",
                "set constraints all deferred",
                "set work_mem from current",
                "set local work_mem = 64",
            ]
            .into_iter()
            .flat_map(|set| {
                [
                    A.sql(set),
                    B.sql("select 'between'"),
                    A.sql("select current_setting('work_mem'), current_setting('timezone'), current_setting('search_path'), current_setting('datestyle')"),
                ]
            }),
        )
        .expect(["DataRow (128kB", "DataRow (256kB", "DataRow (512kB", "DataRow (1MB", "DataRow (2MB", "Europe/Berlin", "<-05>+05", "<+02>-02"])
        .run();
}

#[test]
fn set_in_a_rolled_back_transaction() {
    case("48", "ROLLBACK takes SET and RESET back")
        .both_forms()
        .steps([
            A.sql("set work_mem = '77kB'"),
            A.sql("begin"),
            A.sql("set work_mem = '88kB'"),
            A.sql("show work_mem"),
            A.sql("rollback"),
            B.sql("show work_mem"),
            A.sql("show work_mem"),
            A.sql("begin"),
            A.sql("reset work_mem"),
            A.sql("show work_mem"),
            A.sql("rollback"),
            B.sql("show work_mem"),
            A.sql("show work_mem"),
            A.sql("begin"),
            A.sql("set work_mem = '99kB'"),
            A.sql("select 1/0"),
            A.sql("commit"),
            A.sql("show work_mem"),
            A.sql("begin"),
            A.sql("reset all"),
            A.sql("rollback"),
            B.sql("show work_mem"),
            A.sql("show work_mem"),
            A.sql("begin"),
            A.sql("set work_mem = '66kB'"),
            A.sql("commit"),
            B.sql("show work_mem"),
            A.sql("show work_mem"),
            A.sql("reset all"),
            B.sql("show work_mem"),
            A.sql("show work_mem"),
        ])
        .expect([
            "DataRow (88kB)",
            "B DataRow (4MB)",
            "A DataRow (77kB)",
            "A DataRow (4MB)",
            "B DataRow (4MB)",
            "A DataRow (77kB)",
            "A DataRow (77kB)",
            "A DataRow (77kB)",
            "B DataRow (4MB)",
            "A DataRow (66kB)",
            "A DataRow (4MB)",
        ])
        .run();
}

#[test]
fn set_and_savepoints() {
    case("48", "ROLLBACK TO reverts only later SETs")
        .both_forms()
        .steps([
            A.sql("begin"),
            A.sql("set work_mem = '70kB'"),
            A.sql("savepoint a"),
            A.sql("set work_mem = '71kB'"),
            A.sql("savepoint b"),
            A.sql("set work_mem = '72kB'"),
            A.sql("set local statement_timeout = '99s'"),
            A.sql("rollback to b"),
            A.sql("show work_mem"),
            A.sql("release b"),
            A.sql("savepoint c"),
            A.sql("set work_mem = '73kB'"),
            A.sql("release c"),
            A.sql("show work_mem"),
            A.sql("rollback to a"),
            A.sql("show work_mem"),
            A.sql("set work_mem = '74kB'"),
            A.sql("select 1/0"),
            A.sql("rollback to a"),
            A.sql("show work_mem"),
            A.sql("commit"),
            B.sql("show work_mem"),
            A.sql("show work_mem"),
            A.sql("show statement_timeout"),
        ])
        .expect([
            "DataRow (71kB)",
            "DataRow (73kB)",
            "DataRow (70kB)",
            "22012",
            "DataRow (70kB)",
            "COMMIT",
            "B DataRow (4MB)",
            "A DataRow (70kB)",
            "A DataRow (0)",
        ])
        .run();
}

#[test]
fn savepoints_of_the_same_name() {
    case("48", "savepoints of the same name nest")
        .steps(
            [
                "begin",
                "savepoint s",
                "set work_mem = '71kB'",
                "savepoint s",
                "set work_mem = '72kB'",
                "rollback to savepoint s",
                "show work_mem",
                "release savepoint s",
                "rollback work to savepoint S",
                "show work_mem",
                "set work_mem = '73kB'",
                "commit",
            ]
            .map(|q| A.sql(q)),
        )
        .steps([B.sql("show work_mem"), A.sql("show work_mem")])
        .expect(["DataRow (71kB)", "DataRow (4MB)", "B DataRow (4MB)", "A DataRow (73kB)"])
        .run();
}

#[test]
fn set_local() {
    case("49", "SET LOCAL ends with the transaction and is not replayed")
        .both_forms()
        .steps([
            A.sql("set work_mem = '70kB'"),
            A.sql("begin"),
            A.sql("set local work_mem = '71kB'"),
            A.sql("show work_mem"),
            A.sql("commit"),
            B.sql("show work_mem"),
            A.sql("show work_mem"),
            A.sql("begin"),
            A.sql("set work_mem = '72kB'"),
            A.sql("set local work_mem = '73kB'"),
            A.sql("show work_mem"),
            A.sql("commit"),
            B.sql("show work_mem"),
            A.sql("show work_mem"),
            A.sql("begin"),
            A.sql("set local work_mem = '74kB'"),
            A.sql("set work_mem = '75kB'"),
            A.sql("commit"),
            A.sql("show work_mem"),
            A.sql("set local work_mem = '76kB'"),
            A.sql("show work_mem"),
            A.sql("begin"),
            A.sql("set local my.local = 'l'"),
            A.sql("rollback"),
            A.sql("show my.local"),
        ])
        .expect([
            "DataRow (71kB)",
            "B DataRow (4MB)",
            "A DataRow (70kB)",
            "A DataRow (73kB)",
            "B DataRow (4MB)",
            "A DataRow (72kB)",
            "A DataRow (75kB)",
            "WARNING 25P01",
            "A DataRow (75kB)",
        ])
        .run();
}

#[test]
fn set_config() {
    case("50", "set_config as literal, as parameter, in a function, in a CTE")
        .setup(
            "create function f(v text) returns text language sql as $$ select set_config('work_mem', v, false) $$;
             create function g() returns text language plpgsql set work_mem = '80kB' as $$ begin return current_setting('work_mem'); end $$;
             create function h() returns void language plpgsql as $$ begin set work_mem = '81kB'; end $$",
        )
        .steps([
            A.sql("select set_config('work_mem', '70kB', false)"),
            B.sql("show work_mem"),
            A.sql("show work_mem"),
            A.send([msg::unnamed("select set_config($1, $2, $3)", &["work_mem", "71kB", "false"]), msg::sync()]),
            A.ready(),
            B.sql("show work_mem"),
            A.sql("show work_mem"),
            A.sql("select f('72kB')"),
            B.sql("show work_mem"),
            A.sql("show work_mem"),
            A.sql("with s as (select set_config('work_mem', '73kB', false) as x) select x from s"),
            B.sql("show work_mem"),
            A.sql("show work_mem"),
            A.sql("select set_config('work_mem', '74kB', true)"),
            A.sql("show work_mem"),
            A.sql("select g()"),
            A.sql("show work_mem"),
            A.sql("select h()"),
            B.sql("show work_mem"),
            A.sql("show work_mem"),
            A.sql("do $$ begin perform set_config('work_mem', '82kB', false); end $$"),
            B.sql("show work_mem"),
            A.sql("show work_mem"),
            A.sql("update pg_settings set setting = '83' where name = 'work_mem'"),
            B.sql("show work_mem"),
            A.sql("show work_mem"),
        ])
        .expect(["DataRow (70kB)", "B DataRow (4MB)", "A DataRow (70kB)", "B DataRow (4MB)", "A DataRow (71kB)", "B DataRow (4MB)", "A DataRow (72kB)"])
        .expect(["B DataRow (4MB)", "A DataRow (73kB)", "DataRow (74kB)", "DataRow (73kB)", "DataRow (80kB)", "DataRow (73kB)", "B DataRow (4MB)", "A DataRow (81kB)"])
        .expect(["B DataRow (4MB)", "A DataRow (82kB)", "B DataRow (4MB)", "A DataRow (83kB)"])
        .run();
}

#[test]
fn set_config_undone() {
    case("48 50", "set_config in a transaction that is rolled back")
        .steps([
            A.sql("begin"),
            A.sql("select set_config('work_mem', '70kB', false)"),
            A.sql("rollback"),
            B.sql("show work_mem"),
            A.sql("show work_mem"),
            A.sql("select set_config('work_mem', '71kB', false), 1/0"),
            A.sql("show work_mem"),
            A.sql("select set_config('work_mem', '72kB', false) from generate_series(1, 0)"),
            A.sql("show work_mem"),
        ])
        .expect([
            "B DataRow (4MB)",
            "A DataRow (4MB)",
            "22012",
            "A DataRow (4MB)",
            "SELECT 0",
            "A DataRow (4MB)",
        ])
        .run();
}

#[test]
fn procedures_that_set_and_commit() {
    case("50", "a procedure that commits between SETs")
        .setup(
            "create table t (i int);
             create procedure p() language plpgsql as $$ begin
                 set work_mem = '70kB'; insert into t values (1); commit;
                 set work_mem = '71kB'; insert into t values (2); rollback; end $$",
        )
        .steps([
            A.sql("call p()"),
            B.sql("show work_mem"),
            A.sql("show work_mem"),
            A.sql("select array_agg(i) from t"),
            A.sql("begin"),
            A.sql("call p()"),
            A.sql("rollback"),
        ])
        .expect(["CALL", "B DataRow (4MB)", "A DataRow (70kB)", "DataRow ({1})", "2D000"])
        .run();
}

#[test]
fn set_that_fails() {
    case("51", "a bad SET fails at the SET")
        .both_forms()
        .steps([
            A.sql("set no_such_setting = 1"),
            A.sql("set work_mem = 'x'"),
            A.sql("set work_mem = -5"),
            A.sql("set client_encoding = 'flurb'"),
            A.sql("set datestyle = 'flurb'"),
            A.sql("set time zone 'Flurb/Gnat'"),
            A.sql("set search_path = x y"),
            A.sql("set server_version = '1'"),
            A.sql("set max_connections = 5"),
            A.sql("set log_statement = 'all'"),
            A.sql("set role no_such_role"),
            A.sql("set session authorization postgres"),
            A.sql("reset no_such_setting"),
            A.sql("set plpgsql.flurb = 1"),
            B.sql("show work_mem"),
            A.sql("show work_mem"),
            A.sql("begin"),
            A.sql("set no_such_setting = 1"),
            A.sql("set work_mem = '70kB'"),
            A.sql("rollback"),
            A.sql("show work_mem"),
        ])
        .expect([
            "42704",
            "22023",
            "22023",
            "22023",
            "22023",
            "42601",
            "55P02",
            "55P02",
            "42501",
            "22023",
            "B DataRow (4MB)",
            "A DataRow (4MB)",
            "42704",
            "25P02",
            "A DataRow (4MB)",
        ])
        .run();
}

#[test]
fn search_path() {
    case("52", "search_path: lists, quoting, $user, empty")
        .setup("create schema \"a,b\"; create schema \"x y\"; create schema app; create table \"a,b\".t as select 'ab' as v; create table app.u as select 'user' as v")
        .both_forms()
        .steps(
            [
                "set search_path = \"a,b\", 'x y', ''",
                "set search_path to \"$user\", public",
                "set search_path = ''",
                "select set_config('search_path', '', false)",
                "select pg_catalog.set_config('search_path', '\"a,b\", \"$user\"', false)",
                "set search_path = public, pg_catalog",
                "set search_path = 'a,b'",
                "set search_path = A, B, \"A\"",
                "set search_path = \"quote\"\"d\"",
                "set search_path = 'single''quote'",
                "set schema 'a,b'",
                "reset search_path",
            ]
            .into_iter()
            .flat_map(|set| [A.sql(set), B.sql("show search_path"), A.sql("show search_path"), A.sql("select v from t"), A.sql("select v from u")]),
        )
        .expect(["A DataRow (\"a,b\", \"x y\", \"\")", "DataRow (ab)", "42P01", "DataRow (\"$user\", public)", "42P01", "DataRow (user)", "DataRow (\"\")"])
        .run();
}

#[test]
fn reported_parameters() {
    case("53", "ParameterStatus when a reported setting changes, and after another client used the server")
        .both_forms()
        .steps([
            A.sql("set datestyle = 'SQL, DMY'"),
            A.sql("set timezone = 'Asia/Tokyo'"),
            A.sql("set intervalstyle = 'iso_8601'"),
            A.sql("set application_name = 'it''s'"),
            A.sql("set client_encoding = 'LATIN1'"),
            A.sql("set default_transaction_read_only = on"),
            A.sql("set standard_conforming_strings = on"),
            B.sql("select now()::text ~ '^20', current_setting('timezone')"),
            A.sql("select date '2020-02-01', '1 day'::interval, timestamptz '2020-01-01 00:00+00'"),
            A.sql("set datestyle = 'ISO'"),
            B.sql("select date '2020-02-01'"),
            A.sql("select date '2020-02-01'"),
            A.sql("set datestyle = 'ISO, DMY'"),
            A.sql("set datestyle = 'ISO, DMY'"),
            A.sql("reset all"),
            B.sql("select 1"),
            A.sql("select 1"),
        ])
        .expect([
            "ParameterStatus DateStyle=SQL, DMY",
            "TimeZone=Asia/Tokyo",
            "IntervalStyle=iso_8601",
            "application_name=it's",
            "client_encoding=LATIN1",
        ])
        .expect_since(14, ["default_transaction_read_only=on"])
        .expect([
            "DataRow (01/02/2020, P1D, 01/01/2020 09:00:00 JST)",
            "B DataRow (2020-02-01)",
            "A DataRow (2020-02-01)",
            "DateStyle=ISO, MDY",
        ])
        .run();
}

#[test]
fn reported_parameters_in_transactions() {
    case("53", "ParameterStatus goes back with a rollback, a savepoint, and the end of SET LOCAL")
        .both_forms()
        .steps(
            [
                "begin",
                "set timezone = 'Asia/Tokyo'",
                "savepoint s",
                "set timezone = 'Europe/Berlin'",
                "rollback to s",
                "show timezone",
                "rollback",
                "begin",
                "set local datestyle = 'SQL'",
                "commit",
                "begin",
                "set timezone = 'Asia/Tokyo'",
                "select 1/0",
                "rollback",
                "show timezone",
                "select set_config('timezone', 'Asia/Tokyo', false)",
            ]
            .map(|q| A.sql(q)),
        )
        .steps([B.sql("show timezone"), A.sql("show timezone")])
        .expect([
            "TimeZone=Asia/Tokyo",
            "TimeZone=Europe/Berlin",
            "TimeZone=Asia/Tokyo",
            "DataRow (Asia/Tokyo)",
            "TimeZone=UTC",
            "DateStyle=SQL, MDY",
            "DateStyle=ISO, MDY",
            "TimeZone=Asia/Tokyo",
            "TimeZone=UTC",
            "TimeZone=Asia/Tokyo",
            "B DataRow (UTC)",
            "A DataRow (Asia/Tokyo)",
        ])
        .run();
}

#[test]
fn empty_application_name() {
    case("53", "an empty application_name")
        .steps([
            A.login(&[("application_name", "first")]),
            B.login(&[("application_name", "")]),
            A.sql("show application_name"),
            B.sql("show application_name"),
            A.sql("set application_name = ''"),
            A.sql("show application_name"),
            B.sql("set application_name = 'b'"),
            A.sql("show application_name"),
            B.sql("show application_name"),
        ])
        .expect([
            "A ParameterStatus application_name=first",
            "A DataRow (first)",
            "B DataRow ()",
            "A DataRow ()",
            "A DataRow ()",
            "B DataRow (b)",
        ])
        .run();
}

#[test]
fn extra_float_digits_of_pgjdbc() {
    case("53", "extra_float_digits as pgjdbc and Npgsql send it")
        .steps([
            A.login(&[
                ("extra_float_digits", "2"),
                ("DateStyle", "ISO"),
                ("TimeZone", "Europe/Paris"),
                ("client_encoding", "UTF8"),
            ]),
            B.login(&[]),
            B.sql("show extra_float_digits"),
            A.sql("show extra_float_digits"),
            A.sql("set extra_float_digits = 0; select 0.1::float8 + 0.2::float8"),
            B.sql("select 0.1::float8 + 0.2::float8"),
            A.sql("reset all"),
            A.sql("select current_setting('extra_float_digits'), current_setting('timezone')"),
        ])
        .expect([
            "A ParameterStatus TimeZone=Europe/Paris",
            "B DataRow (1)",
            "A DataRow (2)",
            "A DataRow (0.3)",
            "B DataRow (0.30000000000000004)",
            "A DataRow (2, Europe/Paris)",
        ])
        .run();
}

#[test]
fn reset_in_a_prepared_statement_tells_the_login_value() {
    let (cluster, database) = (Cluster::shared(), Cluster::shared().database());
    let login = database.login().param("TimeZone", "Europe/Paris");
    let check = |endpoint: &Endpoint| {
        let mut client = Client::connect(endpoint, &login);
        for reset in ["reset all", "reset timezone"] {
            client.run("set timezone = 'Asia/Tokyo'");
            client.send(&[msg::unnamed(reset, &[]), msg::sync()].concat());
            client.until_ready();
            assert_eq!(client.value("show timezone"), "Europe/Paris", "{reset}");
            let told = client.parameters.get("TimeZone").map(String::as_str);
            assert_eq!(told, Some("Europe/Paris"), "{reset}");
        }
    };
    check(&cluster.tcp());
    if !direct_only() {
        check(&Proxy::start(&cluster.url(APP, &database.name, "pool_size=1")).endpoint());
    }
}

#[test]
fn roles() {
    let cluster = Cluster::start("", &[]);
    let mut superuser = cluster.superuser("postgres");
    superuser.run("create role staff; grant staff to app");
    case("54", "SET ROLE, RESET ROLE, session characteristics")
        .on(&cluster)
        .setup("create table t (i int); insert into t values (1); grant select on t to staff; alter table t enable row level security; create policy p on t to staff using (false)")
        .both_forms()
        .steps([
            A.sql("set role staff"),
            B.sql("select current_user, session_user"),
            A.sql("select current_user, session_user"),
            A.sql("select count(*) from t"),
            B.sql("select count(*) from t"),
            A.sql("reset role"),
            A.sql("select current_user"),
            A.sql("begin"),
            A.sql("set local role staff"),
            A.sql("select current_user"),
            A.sql("commit"),
            A.sql("select current_user"),
            A.sql("begin"),
            A.sql("set role staff"),
            A.sql("rollback"),
            B.sql("select 'between'"),
            A.sql("select current_user"),
            A.sql("set role 'staff'"),
            A.sql("set role none"),
            A.sql("select current_user"),
            A.sql("set session characteristics as transaction isolation level serializable read only"),
            B.sql("select current_setting('transaction_isolation'), current_setting('transaction_read_only')"),
            A.sql("select current_setting('transaction_isolation'), current_setting('transaction_read_only')"),
            A.sql("set session characteristics as transaction isolation level read committed read write"),
            A.sql("show transaction_isolation"),
        ])
        .expect(["B DataRow (app, app)", "A DataRow (staff, app)", "A DataRow (0)", "B DataRow (1)", "A DataRow (app)", "DataRow (staff)", "DataRow (app)", "A DataRow (app)", "A DataRow (app)", "B DataRow (read committed, off)", "A DataRow (serializable, on)"])
        .run();
}

#[test]
fn session_authorization() {
    case("54", "SET SESSION AUTHORIZATION by a superuser")
        .proxy_as_superuser()
        .steps([
            A.login_as(SUPERUSER),
            B.login_as(SUPERUSER),
            A.sql("set session authorization app"),
            B.sql("select current_user, session_user"),
            A.sql("select current_user, session_user"),
            A.sql("reset session authorization"),
            A.sql("select current_user, session_user"),
            A.sql("begin"),
            A.sql("set local session authorization app2"),
            A.sql("select session_user"),
            A.sql("rollback"),
            B.sql("select 'between'"),
            A.sql("select session_user"),
        ])
        .expect([
            "ParameterStatus is_superuser=off",
            "B DataRow (postgres, postgres)",
            "A DataRow (app, app)",
            "A DataRow (postgres, postgres)",
            "A DataRow (app2)",
            "A DataRow (postgres)",
        ])
        .run();
}

#[test]
fn users_do_not_share_servers() {
    case("54", "sessions of two users")
        .proxy_as_superuser()
        .steps([
            A.login_as(APP),
            B.login_as(APP2),
            A.sql("select current_user, session_user"),
            B.sql("select current_user, session_user"),
            A.sql("create table mine (i int)"),
            B.sql("select * from mine"),
            B.sql("set work_mem = '70kB'"),
            A.sql("show work_mem"),
        ])
        .expect([
            "A DataRow (app, app)",
            "B DataRow (app2, app2)",
            "B ErrorResponse ERROR 42501",
            "A DataRow (4MB)",
        ])
        .run();
}

#[test]
fn temporary_tables() {
    case("55", "temporary tables of the same name by two clients")
        .creates_objects()
        .pool("pool_size=3")
        .both_forms()
        .steps([
            A.sql("create temp table t (i int)"),
            B.sql("create temporary table t (s text)"),
            A.sql("insert into t values (1)"),
            B.sql("insert into t values ('b')"),
            A.sql("select i from t"),
            B.sql("select s from t"),
            C.sql("select * from t"),
            A.sql("drop table t"),
            A.sql("select * from t"),
            C.sql("create temp view v as select 'view' as c"),
            C.sql("select c from v"),
            B.sql("select s from t"),
        ])
        .expect([
            "A DataRow (1)",
            "B DataRow (b)",
            "C ErrorResponse ERROR 42P01",
            "DROP TABLE",
            "42P01",
            "C DataRow (view)",
            "B DataRow (b)",
        ])
        .run();
}

#[test]
fn temporary_objects_of_every_kind() {
    let creations = [
        "select 1 as i into temp t",
        "select 1 as i into temporary table t",
        "create temp table t as select 1 as i",
        "create local temp table t (i int)",
        "create table pg_temp.t (i int)",
        "do $$ begin create temp table t (i int); end $$",
        "create temp sequence t",
        "begin; create temp table t (i int); commit",
        "create temp table if not exists t (i int)",
        "create temporary view t as select 1 as i",
        "set search_path = pg_temp; create table t (i int)",
    ];
    for creation in creations {
        case("55", creation)
            .pool("pool_size=2")
            .steps([
                A.sql(creation),
                B.sql("select count(*) from t"),
                A.sql("select count(*) from t"),
                A.drop(),
                wait_until("select count(*) = 0 from pg_class where relname = 't'"),
                C.sql("select count(*) from t"),
            ])
            .expect(["B ErrorResponse ERROR 42P01", "A DataRow", "C ErrorResponse ERROR 42P01"])
            .run();
    }
}

#[test]
fn temporary_until_commit() {
    case("55", "ON COMMIT DROP does not outlive the transaction")
        .steps([
            A.sql("begin"),
            A.sql("create temp table t (i int) on commit drop"),
            A.sql("select count(*) from t"),
            A.sql("commit"),
            B.sql("select * from t"),
            A.sql("select * from t"),
            A.sql("begin"),
            A.sql("create temp table t (i int)"),
            A.sql("rollback"),
            B.sql("select * from t"),
        ])
        .expect([
            "DataRow (0)",
            "COMMIT",
            "B ErrorResponse ERROR 42P01",
            "A ErrorResponse ERROR 42P01",
            "B ErrorResponse ERROR 42P01",
        ])
        .run();
}

#[test]
fn cursors() {
    case("56", "cursors in a transaction, and WITH HOLD behind it")
        .pool("pool_size=2")
        .both_forms()
        .steps([
            A.sql("begin"),
            A.sql("declare c cursor for select generate_series(1, 9)"),
            A.sql("declare h cursor with hold for select generate_series(1, 9)"),
            A.sql("fetch 2 from c"),
            A.sql("move 2 in c"),
            A.sql("fetch from c"),
            A.sql("fetch 2 h"),
            A.sql("commit"),
            B.sql("fetch 1 from h"),
            A.sql("fetch from c"),
            A.sql("fetch 2 from h"),
            B.sql("select 'between'"),
            A.sql("fetch backward 1 from h"),
            A.sql("close h"),
            A.sql("fetch h"),
            A.sql("declare k cursor with hold for select 'k'"),
            A.sql("fetch k"),
            A.sql("close all"),
            A.sql("fetch k"),
            A.sql("declare d cursor for select 1"),
        ])
        .expect([
            "DECLARE CURSOR",
            "DataRow (1)",
            "DataRow (2)",
            "FETCH 2",
            "MOVE 2",
            "DataRow (5)",
            "FETCH 2",
            "B ErrorResponse ERROR 34000",
            "A ErrorResponse ERROR 34000",
            "A DataRow (3)",
            "A DataRow (4)",
            "CLOSE CURSOR",
            "34000",
            "DataRow (k)",
            "CLOSE CURSOR ALL",
            "34000",
            "25P01",
        ])
        .run();
}

#[test]
fn cursor_fetched_by_the_protocol() {
    case("56", "a cursor is a portal: Execute of one that SQL declared")
        .steps([
            A.sql("begin"),
            A.sql("declare c cursor for select generate_series(1, 9)"),
            A.send([msg::describe_portal("c"), msg::execute("c", 2), msg::sync()]),
            A.ready(),
            A.sql("fetch c"),
            A.sql("rollback"),
        ])
        .expect(["RowDescription", "DataRow (1)", "DataRow (2)", "PortalSuspended", "DataRow (3)"])
        .run();
}

#[test]
fn advisory_locks() {
    case("57", "session advisory locks: two locks need two unlocks; gone with the client")
        .pool("pool_size=3")
        .both_forms()
        .steps([
            A.sql("select pg_advisory_lock(1)"),
            B.sql("select pg_try_advisory_lock(1)"),
            A.sql("select pg_advisory_lock(1)"),
            A.sql("select pg_advisory_unlock(1)"),
            B.sql("select pg_try_advisory_lock(1)"),
            A.sql("select pg_advisory_unlock(1)"),
            B.sql("select pg_try_advisory_lock(1)"),
            A.sql("select pg_try_advisory_lock(1)"),
            A.sql("select pg_advisory_unlock(1)"),
            B.drop(),
            wait_until("select count(*) = 0 from pg_locks where locktype = 'advisory' and database = (select oid from pg_database where datname = '{db}')"),
            A.sql("with l as (select pg_try_advisory_lock(2) as x) select x from l"),
            C.sql("select pg_try_advisory_lock(2)"),
            A.sql("select pg_advisory_unlock_all()"),
            C.sql("select pg_try_advisory_lock(2)"),
        ])
        .expect(["A CommandComplete", "B DataRow (f)", "A DataRow (t)", "B DataRow (f)", "A DataRow (t)", "B DataRow (t)", "A DataRow (f)", "WARNING", "A DataRow (f)", "A DataRow (t)", "C DataRow (f)", "C DataRow (t)"])
        .run();
}

#[test]
fn advisory_lock_that_was_not_got() {
    case("57", "pg_try_advisory_lock that is false pins nobody")
        .pool("pool_size=2")
        .steps([
            A.sql("select pg_advisory_lock(1)"),
            B.sql("select pg_try_advisory_lock(1)"),
            C.sql("select pg_try_advisory_lock(1)"),
            B.sql("select 'b'"),
            C.sql("select 'c'"),
        ])
        .expect(["B DataRow (f)", "C DataRow (f)", "B DataRow (b)", "C DataRow (c)"])
        .run();
}

#[test]
fn transaction_advisory_locks() {
    case("57", "transaction advisory locks end with the transaction")
        .pool("pool_size=2")
        .steps([
            A.sql("begin"),
            A.sql("select pg_advisory_xact_lock(1)"),
            B.sql("select pg_try_advisory_xact_lock(1)"),
            A.sql("commit"),
            B.sql("select pg_try_advisory_xact_lock(1)"),
            A.sql("select pg_try_advisory_xact_lock(1)"),
        ])
        .expect(["B DataRow (f)", "B DataRow (t)", "A DataRow (t)"])
        .run();
}

#[test]
fn advisory_lock_hidden_in_a_function() {
    case("57", "a lock taken by a function")
        .setup("create function lock_it() returns void language plpgsql as $$ begin perform pg_advisory_lock(7); end $$")
        .pool("pool_size=2")
        .steps([
            A.sql("select lock_it()"),
            B.sql("select pg_try_advisory_lock(7)"),
            A.sql("select pg_advisory_unlock(7)"),
            B.sql("select pg_try_advisory_lock(7)"),
        ])
        .expect(["B DataRow (f)", "A DataRow (t)", "B DataRow (t)"])
        .run();
}

#[test]
fn sequences() {
    case("58", "currval and lastval are of the session")
        .setup("create sequence s; create table t (i serial, j int)")
        .pool("pool_size=2")
        .steps([
            A.sql("select currval('s')"),
            A.sql("select nextval('s')"),
            B.sql("select currval('s')"),
            A.sql("select currval('s'), lastval()"),
            B.sql("insert into t (j) values (5) returning i"),
            B.sql("select lastval()"),
            A.sql("select lastval()"),
            A.sql("discard sequences"),
            A.sql("select lastval()"),
        ])
        .expect([
            "A ErrorResponse ERROR 55000",
            "A DataRow (1)",
            "B ErrorResponse ERROR 55000",
            "A DataRow (1, 1)",
            "B DataRow (1)",
            "B DataRow (1)",
            "A DataRow (1)",
            "A ErrorResponse ERROR 55000",
        ])
        .run();
}

#[test]
fn sequences_within_a_transaction() {
    case("58", "values of this transaction, on a server that others use too")
        .setup("create sequence s; create table t (i serial, j int)")
        .pool("pool_size=1")
        .both_forms()
        .steps([
            A.sql("select nextval('s')"),
            B.sql("begin"),
            B.sql("select nextval('s')"),
            B.sql("select currval('s'), lastval()"),
            B.sql("insert into t (j) values (5)"),
            B.sql("select lastval()"),
            B.sql("commit"),
            A.sql("begin"),
            A.sql("insert into t (j) values (6)"),
            A.sql("select lastval(), currval('t_i_seq')"),
            A.sql("rollback"),
            B.query("insert into t (j) values (7); select lastval()"),
            B.ready(),
            A.send([
                msg::unnamed("insert into t (j) values (8)", &[]),
                msg::unnamed("select lastval()", &[]),
                msg::sync(),
            ]),
            A.ready(),
            A.sql("select nextval('s'), currval('s')"),
        ])
        .expect([
            "A DataRow (1)",
            "B DataRow (2)",
            "B DataRow (2, 2)",
            "B DataRow (1)",
            "A DataRow (2, 2)",
            "B DataRow (3)",
            "A DataRow (4)",
            "A DataRow (3, 3)",
        ])
        .run();
}

#[test]
fn sequences_in_functions_and_after_errors() {
    case("58", "functions that ask, and a transaction that failed")
        .setup(
            "create table t (i serial, j int);
             create function add(n int) returns bigint language plpgsql as
             $$ begin insert into t (j) values (n); return lastval(); end $$",
        )
        .pool("pool_size=1")
        .steps([
            A.sql("select add(1)"),
            B.sql("select add(2)"),
            A.sql("begin"),
            A.sql("select 1/0"),
            A.sql("select lastval()"),
            A.sql("rollback"),
            B.sql("begin"),
            B.sql("select 1/0"),
            B.sql("rollback"),
            A.sql("select add(3)"),
        ])
        .expect(["A DataRow (1)", "B DataRow (2)", "22012", "25P02", "22012", "A DataRow (3)"])
        .run();
}

/// Whatever was before: an own value or PostgreSQL's error, never what another session got.
#[test]
fn sequences_of_others_are_never_shown() {
    if direct_only() {
        return;
    }
    let cluster = Cluster::shared();
    let database = cluster.database();
    database.setup("create sequence s");
    let proxy = Proxy::start(&cluster.url(APP, &database.name, "pool_size=1&pins=refuse"));
    let client = || Client::connect(&proxy.endpoint(), &database.login());
    let (mut a, mut b) = (client(), client());
    assert_eq!(a.value("select nextval('s')"), "1");
    assert_eq!(b.error("select currval('s')"), "55000");
    assert_eq!(b.value("select nextval('s')"), "2");
    assert_eq!(b.value("select lastval()"), "2", "nobody was there in between");
    a.run("begin");
    assert_eq!(a.error("select lastval()"), "55000");
    a.run("rollback");
    assert_eq!(b.error("select lastval()"), "55000", "its value is lost, and it is told so");
    b.run("select nextval('s')");
    b.run("discard all");
    assert_eq!(b.error("select lastval()"), "55000");
}

/// A pool where nobody asked for long is not watched any more: the first who asks is told an error, the next is right.
#[test]
fn sequences_asked_for_late() {
    if direct_only() {
        return;
    }
    let cluster = Cluster::shared();
    let database = cluster.database();
    database.setup("create sequence s");
    let proxy = Proxy::start(&cluster.url(APP, &database.name, "pool_size=1"));
    let client = || Client::connect(&proxy.endpoint(), &database.login());
    let (mut a, mut b) = (client(), client());
    for _ in 0..600 {
        a.run("select nextval('s')");
        b.run("select 1");
    }
    b.run("begin");
    b.run("select nextval('s')");
    assert_eq!(b.error("select lastval()"), "55000", "a's value was there too");
    b.run("rollback");
    for client in [&mut a, &mut b] {
        client.run("begin");
        let own = client.value("select nextval('s')");
        assert_eq!(client.value("select lastval()"), own);
        client.run("commit");
    }
}

#[test]
fn seeded_random_numbers() {
    case("58", "setseed and then random, in one session")
        .pool("pool_size=2")
        .steps([
            A.sql("select setseed(0.5)"),
            B.sql("select 'between'"),
            A.sql("select random()"),
            A.sql("begin"),
            A.sql("select setseed(0.25)"),
            A.sql("select random(), random()"),
            A.sql("commit"),
        ])
        .expect(["A DataRow ()"])
        // The generator is another one since.
        .expect_since(15, ["A DataRow (0.98"])
        .run();
}

#[test]
fn exported_snapshot() {
    case("58", "pg_export_snapshot is imported by another session")
        .setup("create table t (i int)")
        .pool("pool_size=2")
        .steps([
            A.sql("begin isolation level repeatable read"),
            A.sql("select pg_export_snapshot() is not null"),
            B.sql("insert into t values (1)"),
            A.sql("select count(*) from t"),
            A.sql("commit"),
            A.sql("select count(*) from t"),
        ])
        .expect(["A DataRow (t)", "INSERT 0 1", "A DataRow (0)", "A DataRow (1)"])
        .run();
}

#[test]
fn loaded_libraries() {
    case("58", "LOAD")
        .pool("pool_size=2")
        .steps([A.sql("load 'auto_explain'"), A.sql("load 'plpgsql'"), B.sql("select 1")])
        .expect(["42501", "B DataRow (1)"])
        .run();
}

#[test]
fn backend_pid() {
    case("58", "pg_backend_pid is the same throughout a transaction")
        .pool("pool_size=2")
        .steps([
            A.sql("begin"),
            A.sql("create table pid as select pg_backend_pid() as p"),
            A.sql("select p = pg_backend_pid() from pid"),
            B.sql("select pg_backend_pid() > 0"),
            A.sql("select p = pg_backend_pid() from pid"),
            A.sql("commit"),
        ])
        .expect(["DataRow (t)", "B DataRow (t)", "A DataRow (t)"])
        .run();
}

#[test]
fn listen_and_notify() {
    case("59", "NOTIFY reaches idle listeners, once, after commit")
        .pool("pool_size=2")
        .steps([
            A.sql("listen ch"),
            B.sql("notify ch, 'one'"),
            A.until(b'A'),
            B.sql("begin"),
            B.sql("notify ch, 'two'"),
            B.sql("notify ch, 'two'"),
            B.sql("select pg_notify('ch', 'three')"),
            A.quiet(),
            B.sql("commit"),
            A.until(b'A'),
            A.until(b'A'),
            A.quiet(),
            B.sql("begin"),
            B.sql("notify ch, 'never'"),
            B.sql("rollback"),
            B.sql("notify other, 'never'"),
            A.quiet(),
            B.sql("notify ch"),
            A.until(b'A'),
            A.sql("unlisten ch"),
            B.sql("notify ch, 'never'"),
            A.quiet(),
        ])
        .expect([
            "A CommandComplete LISTEN",
            "A NotificationResponse ch \"one\"",
            "A NotificationResponse ch \"two\"",
            "A NotificationResponse ch \"three\"",
            "A NotificationResponse ch \"\"",
            "UNLISTEN",
        ])
        .never("never\"")
        .run();
}

#[test]
fn listening_to_oneself() {
    case("59", "a session hears its own notifications")
        .steps([A.sql("listen ch"), A.query("notify ch, 'mine'"), A.until(b'A'), A.until(b'Z')])
        .expect(["LISTEN", "NOTIFY", "NotificationResponse ch \"mine\""])
        .run();
}

#[test]
fn listen_in_transactions() {
    case("59", "LISTEN in a transaction that is rolled back, and in one that commits")
        .pool("pool_size=2")
        .both_forms()
        .steps([
            A.sql("begin"),
            A.sql("listen ch"),
            A.sql("rollback"),
            B.sql("notify ch, 'never'"),
            A.quiet(),
            A.sql("begin"),
            A.sql("listen ch"),
            B.sql("notify ch, 'too early'"),
            A.sql("commit"),
            B.sql("notify ch, 'now'"),
            A.until(b'A'),
            A.sql("begin"),
            A.sql("unlisten *"),
            A.sql("rollback"),
            B.sql("notify ch, 'still'"),
            A.until(b'A'),
            A.sql("unlisten *"),
            B.sql("notify ch, 'never'"),
            A.quiet(),
        ])
        .expect([
            "ROLLBACK",
            "A NotificationResponse ch \"now\"",
            "A NotificationResponse ch \"still\"",
            "UNLISTEN",
        ])
        .never("NotificationResponse ch \"never")
        .never("NotificationResponse ch \"too early")
        .run();
}

#[test]
fn notifications_wait_for_the_transaction() {
    case("59", "a listener in a transaction hears after it")
        .pool("pool_size=2")
        .steps([
            A.sql("listen ch"),
            A.sql("begin"),
            B.sql("notify ch, 'wait'"),
            A.quiet(),
            A.sql("select 1"),
            A.query("commit"),
            A.until(b'A'),
        ])
        .types_only(|m| m.tag == b'Z')
        .expect(["DataRow (1)", "COMMIT", "NotificationResponse ch \"wait\""])
        .run();
}

#[test]
fn channels_and_payloads() {
    let long = "p".repeat(7999);
    let too_long = "p".repeat(8000);
    case("59", "channel names and payloads of every kind")
        .pool("pool_size=2")
        .steps([
            A.sql("listen \"Mixed Case\""),
            A.sql("listen UPPER"),
            A.sql("listen \"q\"\"uote\""),
            B.sql("notify \"Mixed Case\", 'it''s'"),
            A.until(b'A'),
            B.sql("notify upper, E'back\\\\slash'"),
            A.until(b'A'),
            B.sql("notify mixed, 'never'"),
            B.sql("notify \"q\"\"uote\", 'ä€'"),
            A.until(b'A'),
            B.sql(format!("notify upper, '{long}'")),
            A.until(b'A'),
            B.sql(format!("notify upper, '{too_long}'")),
            B.sql("select pg_notify('', 'x')"),
            A.quiet(),
            A.sql("select pg_listening_channels()"),
            B.sql("select pg_listening_channels()"),
        ])
        .expect([
            "NotificationResponse Mixed Case \"it's\"",
            "NotificationResponse upper \"back\\\\slash\"",
            "NotificationResponse q\"uote \"ä€\"",
            "NotificationResponse upper \"pppp",
            "B ErrorResponse ERROR 22023",
            "B ErrorResponse ERROR 22023",
            "A DataRow (Mixed Case)",
            "B CommandComplete SELECT 0",
        ])
        .run();
}

#[test]
fn two_listeners() {
    case("59", "every listener hears, in order; a listener works meanwhile")
        .pool("pool_size=2")
        .steps([
            A.sql("listen ch"),
            B.sql("listen ch"),
            A.sql("listen ch"),
            C.sql("select pg_notify('ch', i::text) from generate_series(1, 3) i"),
            A.until(b'A'),
            A.until(b'A'),
            A.until(b'A'),
            B.until(b'A'),
            B.until(b'A'),
            B.until(b'A'),
            A.sql("select 'works'"),
            A.drop(),
            C.sql("notify ch, 'four'"),
            B.until(b'A'),
            B.quiet(),
        ])
        .expect([
            "A NotificationResponse ch \"1\"",
            "\"2\"",
            "\"3\"",
            "B NotificationResponse ch \"1\"",
            "\"2\"",
            "\"3\"",
            "DataRow (works)",
            "B NotificationResponse ch \"four\"",
        ])
        .run();
}

#[test]
fn isolation_levels() {
    case("49", "transaction modes by BEGIN and SET TRANSACTION")
        .setup("create table t (i int)")
        .both_forms()
        .steps(
            [
                "begin transaction isolation level repeatable read, read only, deferrable",
                "select current_setting('transaction_isolation'), current_setting('transaction_read_only'), current_setting('transaction_deferrable')",
                "insert into t values (1)",
                "rollback",
                "begin",
                "set transaction isolation level serializable",
                "show transaction_isolation",
                "set transaction isolation level read committed",
                "select 1",
                "rollback",
                "start transaction read write",
                "set transaction_read_only = on",
                "insert into t values (1)",
                "rollback",
                "begin",
                "select 1",
                "set transaction isolation level serializable",
                "rollback",
                "show transaction_isolation",
            ]
            .map(|q| A.sql(q)),
        )
        .expect(["DataRow (repeatable read, on, on)", "25006", "DataRow (serializable)", "25006", "25001", "DataRow (read committed)"])
        .run();
}

#[test]
fn timeouts_set_by_the_session() {
    case("48", "statement_timeout of one session does not hit another")
        .steps([
            A.sql("set statement_timeout = 50"),
            B.sql("select pg_sleep(0.1)"),
            A.sql("select pg_sleep(5)"),
            B.sql("select pg_sleep(0.1)"),
            A.sql("set lock_timeout = 10; set idle_in_transaction_session_timeout = 0; show lock_timeout"),
            B.sql("show lock_timeout"),
        ])
        .expect([
            "B DataRow ()",
            "A ErrorResponse ERROR 57014",
            "B DataRow ()",
            "A DataRow (10ms)",
            "B DataRow (0)",
        ])
        .run();
}
