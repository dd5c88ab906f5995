//! Section E, continued: what one session makes, the next one on its server does not find, and the session itself keeps.

use std::time::Duration;

use super::prelude::*;
use crate::harness::cluster::Database;
use crate::harness::direct_only;
use crate::harness::proxy::Proxy;
use crate::harness::raw::{Client, Endpoint, Login, cancel};

struct Pool<'a> {
    database: &'a Database<'a>,
    endpoint: Endpoint,
    _proxy: Proxy,
}

impl Pool<'_> {
    fn client(&self) -> Client {
        Client::connect(&self.endpoint, &self.database.login())
    }
}

fn with_pool(query: &str, case: impl Fn(&Pool<'_>)) {
    if direct_only() {
        return;
    }
    let cluster = Cluster::shared();
    let database = cluster.database();
    let proxy = Proxy::start(&cluster.url(APP, &database.name, query));
    case(&Pool { database: &database, endpoint: proxy.endpoint(), _proxy: proxy });
}

/// Parse, Bind, Execute, Sync.
fn extended(client: &mut Client, text: &str, values: &[&str]) {
    client
        .send(&[msg::parse("", text), msg::bind("", "", values), msg::execute("", 0), msg::sync()].concat());
    let answers = client.until_ready();
    assert!(answers.iter().all(|message| message.tag != b'E'), "{text}: {answers:?}");
}

/// A custom setting is its session's only, on a pool that has a server for another session too only if `keeps_server`.
#[track_caller]
fn check_setting(what: &str, name: &str, keeps_server: bool, set: impl Fn(&mut Client)) {
    let size = if keeps_server { "pool_size=2" } else { "pool_size=1" };
    with_pool(size, |pool| {
        let show = format!("select coalesce(current_setting('{name}', true), '')");
        let (mut client, mut other) = (pool.client(), pool.client());
        set(&mut client);
        for _ in 0..2 {
            assert_eq!(other.value(&show), "", "{what}: another session's");
            assert_eq!(client.value(&show), "secret", "{what}: the session's own");
        }
        drop(client);
        let mut next = pool.client();
        other.run("begin");
        assert_eq!(other.value(&show), "", "{what}: of one that left");
        if keeps_server {
            assert_eq!(next.value(&show), "", "{what}: of one that left, on its server");
        }
    });
}

#[test]
fn custom_settings_whose_names_are_in_the_text() {
    let many: String = (0..150).map(|n| format!("t.c{n}, ")).collect();
    let columns: Vec<String> = (0..150).map(|n| format!("1 as c{n}")).collect();
    let crowd = format!(
        "select {many}set_config('app.late', 'secret', false) from (select {}) t",
        columns.join(", ")
    );
    for (text, name) in [
        ("begin; set app.x.y = 'secret'; commit", "app.x.y"),
        ("set app.x.z = 'secret'", "app.x.z"),
        ("select set_config('pg_app.tenant', 'secret', false)", "pg_app.tenant"),
        ("begin; set pg_catalog.mine = 'secret'; commit", "pg_catalog.mine"),
        ("select set_config($$app.dollar$$, 'secret', false)", "app.dollar"),
        ("select set_config(E'app.\\x61b', 'secret', false)", "app.ab"),
        ("do $$ begin perform set_config('app.done', 'secret', false); end $$", "app.done"),
        ("do $$ begin execute 'set app.run = ''secret'''; end $$", "app.run"),
        (
            "prepare p as select set_config($1, $2, false); execute p('app.by_execute', 'secret')",
            "app.by_execute",
        ),
        (
            "prepare q as select set_config($1, 'secret', false); execute q($$app.in_dollars$$)",
            "app.in_dollars",
        ),
        (
            "prepare r as select set_config($1, 'secret', false); explain analyze execute r(E'app\\x2eescaped')",
            "app.escaped",
        ),
        (crowd.as_str(), "app.late"),
    ] {
        check_setting(text, name, false, |client| client.run(text));
    }
}

#[test]
fn custom_settings_whose_names_are_bound() {
    for text in [
        "select set_config($1, $2, false)",
        "select 'x', pg_catalog.set_config($1::text, $2::text, $3::bool)",
    ] {
        check_setting(text, "app.bound", false, |client| {
            let values = ["app.bound", "secret", "f"];
            extended(client, text, &values[..if text.contains("$3") { 3 } else { 2 }]);
        });
    }
}

#[test]
fn custom_settings_whose_names_are_put_together() {
    for (text, name) in [
        ("select set_config('app.' || 'built', 'secret', false)", "app.built"),
        ("select set_config(n, 'secret', false) from (values ('app.' || 'column')) v(n)", "app.column"),
        (
            "do $$ begin execute format('set %I.%I = %L', 'app', 'formatted', 'secret'); end $$",
            "app.formatted",
        ),
        ("do $$ begin execute 'set app.' || 'joined = ''secret'''; end $$", "app.joined"),
        ("set U&\"app\".odd = 'secret'", "app.odd"),
    ] {
        check_setting(text, name, true, |client| client.run(text));
    }
    for argument in [
        "concat('app.', 'by_argument')",
        "format('app.%s', 'by_argument')",
        "replace('app-by_argument', '-', '.')",
        "reverse('tnemugra_yb.ppa')",
        "'app.by'\n'_argument' || ''",
        "U&'app\\002eby_argument'",
        "('app.by_argument')",
    ] {
        for text in ["execute s(?)", "explain analyze execute s(?)", "select 1; execute s(?); select 2"] {
            let text = text.replace('?', argument);
            check_setting(&text, "app.by_argument", true, |client| {
                client.run("prepare s(text) as select set_config($1, 'secret', false)");
                client.run(&text);
            });
        }
    }
    check_setting("in a function", "app.in_a_function", true, |client| {
        client.run("create function tenant(k text) returns text language sql as $$ select set_config('app.' || k, 'secret', false) $$");
        // Until the catalogs are read again, nobody knows what it does.
        std::thread::sleep(Duration::from_millis(500));
        client.run("select tenant('in_a_' || 'function')");
    });
    check_setting("more than anybody follows", "app.n1999", true, |client| {
        let sets: String = (0..2000).map(|n| format!("set app.n{n} = 'secret';")).collect();
        client.run(&format!("begin; {sets} commit"));
    });
}

/// What code sets under a name that nobody has seen does not get to others. The session itself loses it too: a known gap.
#[test]
fn custom_settings_whose_names_nobody_sees() {
    with_pool("pool_size=1", |pool| {
        let (mut client, mut other) = (pool.client(), pool.client());
        client.run("create function hide() returns void language plpgsql as $$ declare k text := chr(97) || '.b'; begin perform set_config(k, 'secret', false); end $$");
        std::thread::sleep(Duration::from_millis(500));
        for _ in 0..2 {
            client.run("select hide()");
            assert_eq!(other.value("select coalesce(current_setting('a.b', true), '')"), "");
            client.run("set work_mem = '77kB'");
            client.run("select hide()");
            assert_eq!(
                other.value(
                    "select coalesce(current_setting('a.b', true), '') || current_setting('work_mem')"
                ),
                "4MB"
            );
            assert_eq!(client.value("show work_mem"), "77kB");
        }
    });
}

/// What stands behind a DISCARD ALL that is not answered yet is not taken away by it.
#[test]
fn settings_behind_a_discard_all_in_a_pipeline() {
    for set in ["set app.x = 'secret'", "do $$begin execute 'set app.' || 'x = 1'; end$$"] {
        with_pool("pool_size=1", |pool| {
            let (mut client, mut other) = (pool.client(), pool.client());
            let discard = [msg::parse("d", "discard all"), msg::bind("", "d", &[]), msg::execute("", 0)];
            // Behind a cycle that is not answered yet.
            client.send(&[msg::query("select 1"), discard.concat(), msg::sync(), msg::query(set)].concat());
            (0..3).for_each(|_| drop(client.until_ready()));
            let seen = "select coalesce(current_setting('app.x', true), '')";
            if set.starts_with("set") {
                assert_eq!(other.value(seen), "", "{set}");
            }
            assert!(["secret", "1"].contains(&client.value(seen).as_str()), "{set}");
            drop(client);
            assert_eq!(other.value(seen), "", "{set}");
        });
    }
}

#[test]
fn thousands_of_custom_settings() {
    with_pool("pool_size=2", |pool| {
        let (mut client, mut other) = (pool.client(), pool.client());
        for part in 0..36 {
            let sets: Vec<String> = (0..300).map(|n| format!("set app.n{part}_{n} = 'x';")).collect();
            client.run(&format!("begin; {} commit", sets.concat()));
        }
        assert_eq!(client.value("show app.n0_0") + &client.value("show app.n35_299"), "xx");
        assert_eq!(other.value("select coalesce(current_setting('app.n35_299', true), '')"), "");
        assert_eq!(client.value("show app.n0_0"), "x");
    });
}

#[test]
fn a_text_too_long_to_be_read() {
    if direct_only() {
        return;
    }
    let cluster = Cluster::shared();
    let database = cluster.database();
    let options = crate::harness::proxy::ProxyOptions::url(&cluster.url(APP, &database.name, "pool_size=2"))
        .config("[limits]\nmax_held_message = \"64kB\"\n");
    let proxy = Proxy::start_with(&options);
    let client = || Client::connect(&proxy.endpoint(), &database.login());
    let (mut one, mut other) = (client(), client());
    let comment = "x".repeat(100_000);
    one.run(&format!("/* {comment} */ set app.long = 'secret'"));
    one.run(&format!("/* {comment} */ prepare long as select 'secret'"));
    assert_eq!(other.value("select coalesce(current_setting('app.long', true), '')"), "");
    assert_eq!(other.error("execute long"), "26000");
    assert_eq!(one.value("execute long"), "secret", "the session keeps the server that has it");
}

#[test]
fn a_text_too_long_to_be_prepared_is_an_error_like_others() {
    if direct_only() {
        return;
    }
    let cluster = Cluster::shared();
    let database = cluster.database();
    let options = crate::harness::proxy::ProxyOptions::url(&cluster.url(APP, &database.name, "pool_size=2"))
        .config("[limits]\nmax_held_message = \"64kB\"\n");
    let proxy = Proxy::start_with(&options);
    let mut client = Client::connect(&proxy.endpoint(), &database.login());
    let long = format!("select '{}', $1", "x".repeat(3_000_000));
    let told = |client: &mut Client, name: &str| {
        let run = [msg::parse(name, &long), msg::bind("", name, &["1"]), msg::execute("", 0), msg::sync()];
        client.send(&run.concat());
        let told: Vec<String> = client.until_ready().iter().map(|m| m.sqlstate() + &m.to_string()).collect();
        told.join(" ")
    };
    for name in ["", "named"] {
        let error = told(&mut client, name);
        assert!(error.starts_with("54000") && error.ends_with("ReadyForQuery I"), "{error}");
        assert_eq!(client.value("select 'goes on'"), "goes on");
        client.run("begin");
        client.run("select 1");
        let error = told(&mut client, name);
        assert!(error.starts_with("54000") && error.ends_with("ReadyForQuery E"), "{error}");
        assert_eq!(client.error("select 1"), "25P02");
        client.run("rollback");
        client.send(&[msg::bind("", name, &["1"]), msg::sync()].concat());
        assert!(client.until_ready().iter().any(|message| message.sqlstate() == "26000"), "it is not there");
    }
}

#[test]
fn objects_under_a_temporary_search_path() {
    for (search_path, creation) in [
        ("pg_temp", "create table zz (i int)"),
        ("pg_temp, public", "select 1 as i into zz"),
        ("nowhere, pg_temp", "create table zz as select 1 as i"),
        ("pg_temp", "create view zz as select 1 as i"),
        ("pg_temp", "select public.make('create table zz (i int)')"),
    ] {
        case("55", "tables under search_path = pg_temp")
            .pool("pool_size=2")
            .creates_objects()
            .setup("create function make(t text) returns void language plpgsql as 'begin execute t; end'")
            .steps([
                A.sql(format!("set search_path = {search_path}")),
                A.sql("select 1"),
                B.sql("select 'between'"),
                A.sql(creation),
                B.sql("select count(*) from pg_temp.zz"),
                A.sql("select count(*) from zz"),
                A.drop(),
                wait_until("select count(*) = 0 from pg_class where relname = 'zz'"),
                C.sql("select count(*) from pg_temp.zz"),
            ])
            .expect(["B ErrorResponse ERROR 42P01", "A DataRow", "C ErrorResponse ERROR 42P01"])
            .run();
    }
}

#[test]
fn objects_of_functions_with_a_temporary_search_path() {
    case("55", "a function with SET search_path = pg_temp makes a table")
        .pool("pool_size=2")
        .creates_objects()
        .setup("create function make() returns void language sql set search_path = pg_temp as 'create table zz (i int)'")
        .steps([
            admin("select pg_sleep(0.5)"),
            A.sql("select 'the catalogs are read'"),
            admin("select pg_sleep(0.5)"),
            A.sql("select make()"),
            B.sql("select count(*) from pg_temp.zz"),
            A.sql("select count(*) from zz"),
        ])
        .expect(["B ErrorResponse ERROR 42P01", "A DataRow (0)"])
        .run();
}

#[test]
fn temporary_objects_of_other_kinds() {
    for (creation, question) in [
        (
            "create text search configuration pg_temp.c (copy = pg_catalog.english)",
            "select count(*) from pg_ts_config where cfgname = 'c' and cfgnamespace = pg_my_temp_schema()",
        ),
        (
            "create collation pg_temp.c (locale = 'C')",
            "select count(*) from pg_collation where collname = 'c' and collnamespace = pg_my_temp_schema()",
        ),
        (
            "create domain pg_temp.c as int",
            "select count(*) from pg_type where typname = 'c' and typnamespace = pg_my_temp_schema()",
        ),
    ] {
        case("55", "an object in pg_temp that is no relation")
            .pool("pool_size=2")
            .steps([A.sql(creation), B.sql(question), A.sql(question)])
            .expect(["B DataRow (0)", "A DataRow (1)"])
            .run();
    }
}

#[test]
fn deallocate_beside_other_statements() {
    for text in [
        "deallocate all; select 1",
        "select 1; deallocate all",
        "deallocate s1; select 1",
        "do $$ begin execute 'deallocate all'; end $$",
        "begin; deallocate all; rollback",
        "deallocate all; select 1/0",
        "select 1/0; deallocate all",
    ] {
        let bind = |session: crate::harness::script::Session, name: &str| {
            session.send([msg::bind("", name, &[]), msg::execute("", 0), msg::sync()])
        };
        let prepare = |session: crate::harness::script::Session, name: &str, text: &str| {
            session.send([msg::parse(name, text), msg::sync()])
        };
        let mut steps = vec![];
        for session in [A, B] {
            steps.extend([prepare(session, "s1", "select 'same'"), session.ready()]);
            steps.extend([prepare(session, "s2", "select 'other'"), session.ready()]);
        }
        steps.push(A.sql(text));
        steps.extend([bind(B, "s1"), B.ready(), bind(B, "s2"), B.ready()]);
        // What a DO has dropped of its own session's names, pgweir may still have.
        if !text.starts_with("do") {
            steps.extend([bind(A, "s1"), A.ready(), bind(A, "s2"), A.ready()]);
        }
        steps.extend([prepare(A, "s3", "select 'same'"), A.ready(), bind(A, "s3"), A.ready()]);
        steps.extend([bind(B, "s1"), B.ready()]);
        case("34", text)
            .steps(steps)
            .expect(["B DataRow (same)", "B DataRow (other)", "A DataRow (same)", "B DataRow (same)"])
            .run();
    }
}

#[test]
fn names_in_one_text() {
    case("34", "PREPARE, EXECUTE and DEALLOCATE in one text")
        .steps([
            A.sql("prepare a as select 1; execute a; deallocate a; prepare a as select 2; execute a"),
            A.sql("execute a"),
            B.sql("execute a"),
            A.sql("prepare b as select 3; select 1/0; prepare c as select 4"),
            A.sql("execute b"),
            A.sql("execute c"),
            A.sql("prepare c as select 5; execute c"),
            A.sql("deallocate a; select 1/0; deallocate b"),
            A.sql("execute a"),
            A.sql("execute b"),
            A.sql("deallocate all; execute c"),
            A.sql("execute b"),
        ])
        .expect([
            "A DataRow (2)",
            "B ErrorResponse ERROR 26000",
            "22012",
            "A DataRow (3)",
            "26000",
            "DataRow (5)",
        ])
        .run();
}

#[test]
fn names_in_a_pipeline() {
    let queries = |texts: &[&str]| -> Vec<u8> { texts.iter().flat_map(|text| msg::query(text)).collect() };
    case("34", "PREPARE, EXECUTE and DEALLOCATE without waiting")
        // Of 13, behind DISCARD ALL; pgweir may answer that itself.
        .may_say("ParameterStatus")
        .steps([
            A.send([queries(&[
                "prepare a as select 1",
                "deallocate a",
                "prepare a as select 2",
                "execute a",
            ])]),
            A.ready_times(4),
            A.send([queries(&[
                "deallocate all",
                "prepare a as select 3",
                "execute a",
                "discard all",
                "execute a",
            ])]),
            A.ready_times(5),
            A.send([
                queries(&["discard all"]),
                msg::parse("s", "select 4"),
                msg::bind("", "s", &[]),
                msg::execute("", 0),
                msg::sync(),
            ]),
            A.ready_times(2),
            A.send([msg::bind("", "s", &[]), msg::execute("", 0), msg::sync()]),
            A.ready(),
        ])
        .expect(["DataRow (2)", "DataRow (3)", "26000", "DataRow (4)", "DataRow (4)"])
        .run();
}

#[test]
fn a_prepare_that_failed() {
    for form in [
        ["prepare f as select * from nowhere", "select 1"],
        ["begin; prepare f as select 1/0", "rollback"],
        ["begin", "prepare f as select * from nowhere; commit"],
    ] {
        case("34", "a name whose PREPARE failed is free")
            .both_forms()
            .steps([
                A.sql(form[0]),
                A.sql(form[1]),
                A.sql("rollback"),
                A.sql("prepare f as select 1"),
                A.sql("execute f"),
                A.sql("deallocate f"),
                A.sql("execute f"),
            ])
            .run();
    }
}

/// An Execute does what its own portal was bound to, in whatever order they come.
#[test]
fn portals_of_deallocate() {
    case("34", "portals of DEALLOCATE and of others")
        .steps([
            A.send([msg::parse("s1", "select 's1'"), msg::parse("s2", "select 's2'"), msg::sync()]),
            A.ready(),
            A.send([
                msg::parse("", "deallocate s1"),
                msg::bind("one", "", &[]),
                msg::parse("", "select 'two'"),
                msg::bind("two", "", &[]),
                msg::execute("two", 0),
                msg::execute("one", 0),
                msg::sync(),
            ]),
            A.ready(),
            A.send([msg::parse("", "deallocate all"), msg::bind("", "", &[]), msg::sync()]),
            A.ready(),
            A.send([msg::parse("", "select 3"), msg::bind("", "", &[]), msg::execute("", 0), msg::sync()]),
            A.ready(),
            A.send([msg::bind("", "s2", &[]), msg::execute("", 0), msg::sync()]),
            A.ready(),
            A.send([msg::bind("", "s1", &[]), msg::execute("", 0), msg::sync()]),
            A.ready(),
        ])
        .expect(["DataRow (two)", "DEALLOCATE", "DataRow (3)", "DataRow (s2)", "26000"])
        .run();
}

/// Names of pgweir's own are nobody's.
#[test]
fn names_of_the_proxy() {
    with_pool("pool_size=1", |pool| {
        let (mut client, mut other) = (pool.client(), pool.client());
        other.send(
            &[msg::parse("s", "select 'secret'"), msg::bind("", "s", &[]), msg::execute("", 0), msg::sync()]
                .concat(),
        );
        other.until_ready();
        let name = client.value("select name from pg_prepared_statements where statement like '%secret%'");
        let fails = |client: &mut Client, bytes: &[u8]| {
            client.send(bytes);
            let answers = client.until_ready();
            let error = answers.iter().find(|message| message.tag == b'E');
            assert_eq!(error.expect("an error").sqlstate(), "26000");
        };
        assert_eq!(client.error(&format!("execute \"{name}\"")), "26000");
        assert_eq!(client.error(&format!("deallocate \"{name}\"")), "26000");
        fails(&mut client, &[msg::bind("", &name, &[]), msg::execute("", 0), msg::sync()].concat());
        fails(&mut client, &[msg::describe_statement(&name), msg::sync()].concat());
        client.send(&[msg::close_statement(&name), msg::sync()].concat());
        client.until_ready();
        // A session may use such a name for a statement of its own.
        client.run(&format!("prepare \"{name}\" as select 'mine'"));
        assert_eq!(client.value(&format!("execute \"{name}\"")), "mine");
        other.send(&[msg::bind("", "s", &[]), msg::execute("", 0), msg::sync()].concat());
        assert!(other.until_ready().iter().any(|message| message.tag == b'D' && message.value() == "secret"));
    });
}

#[test]
fn a_statement_prepared_unseen() {
    case("34", "PREPARE inside a DO")
        .pool("pool_size=2")
        .steps([
            A.sql("do $$ begin execute 'prepare hidden as select ''secret'''; end $$"),
            B.sql("execute hidden"),
            A.sql("execute hidden"),
            A.sql("deallocate hidden"),
            A.sql("execute hidden"),
        ])
        .expect(["B ErrorResponse ERROR 26000", "A DataRow (secret)", "26000"])
        .run();
}

/// What a session has set is not lost when the question for it fails.
#[test]
fn state_survives_a_short_timeout() {
    with_pool("pool_size=1", |pool| {
        let (mut client, mut other) = (pool.client(), pool.client());
        for _ in 0..10 {
            client.run(
                "begin; set work_mem = '77kB'; set app.x = 'kept'; set statement_timeout = '1ms'; commit",
            );
            other.run("select 1");
            let asked = "select current_setting('work_mem') || current_setting('app.x') || current_setting('statement_timeout')";
            // A timeout of a millisecond may strike the client's own statement as well.
            let value = (0..100).find_map(|_| {
                let answers = client.simple(asked);
                answers.iter().find(|message| message.tag == b'D').map(|row| row.value().to_owned())
            });
            assert_eq!(value.as_deref(), Some("77kBkept1ms"));
            assert_eq!(
                other.value("select current_setting('work_mem') || current_setting('statement_timeout')"),
                "4MB0"
            );
            client.run("discard all");
        }
    });
}

#[test]
fn state_survives_an_encoding_that_lacks_it() {
    with_pool("pool_size=2", |pool| {
        let (mut client, mut other) = (pool.client(), pool.client());
        client.run("set app.x = '\u{20ac}'");
        client.run("set work_mem = '77kB'");
        client.run("begin; set client_encoding = 'LATIN1'; commit");
        other.run("select 1");
        let show = "select current_setting('work_mem') || length(current_setting('app.x'))";
        assert_eq!(client.value(show), "77kB1");
        assert_eq!(client.value("show client_encoding"), "LATIN1");
        assert_eq!(
            other.value("select current_setting('work_mem') || coalesce(current_setting('app.x', true), '')"),
            "4MB"
        );
        client.run("set client_encoding = 'UTF8'");
        assert_eq!(client.value(show), "77kB1");
        drop(client);
        other.run("begin");
        let mut next = pool.client();
        assert_eq!(next.value("select coalesce(current_setting('app.x', true), '')"), "");
    });
}

/// A cancel that comes when its statement is over hits nothing, not the question behind it either.
#[test]
fn state_survives_late_cancels() {
    with_pool("pool_size=1", |pool| {
        let login = pool.database.login();
        let mut other = pool.client();
        for round in 0..60 {
            let (mut client, key) = with_key(&pool.endpoint, &login);
            let (endpoint, (pid, key)) = (pool.endpoint.clone(), key);
            let late = std::thread::spawn(move || {
                std::thread::sleep(Duration::from_micros(300 + 50 * (round % 30)));
                cancel(&endpoint, pid, &key);
            });
            let done = client.simple(
                "begin; set work_mem = '77kB'; set role pg_monitor; reset role; set jit = off; commit",
            );
            late.join().expect("the cancel was sent");
            let cancelled = done.iter().any(|message| message.tag == b'E');
            let expected = if cancelled { "4MBon" } else { "77kBoff" };
            if cancelled {
                client.run("rollback");
            }
            other.run("select 1");
            assert_eq!(
                client.value("select current_setting('work_mem') || current_setting('jit')"),
                expected,
                "round {round}"
            );
            assert_eq!(other.value("select current_setting('work_mem')"), "4MB");
        }
    });
}

/// Logs in, and gives the key for cancels.
fn with_key(endpoint: &Endpoint, login: &Login) -> (Client, (i32, Vec<u8>)) {
    let mut client = Client::dial(endpoint).expect("a connection");
    let greeting = client.login(login).expect("a login");
    let key = greeting.iter().find(|message| message.tag == b'K').expect("a key");
    let pid = i32::from_be_bytes([key.body[0], key.body[1], key.body[2], key.body[3]]);
    let secret = key.body[4..].to_vec();
    (client, (pid, secret))
}

#[test]
fn settings_of_the_transaction() {
    case("48", "SET of what belongs to a transaction, outside of one")
        .both_forms()
        .steps([
            A.sql("set transaction_isolation = 'serializable'"),
            B.sql("select 1"),
            A.sql("show transaction_isolation"),
            A.sql("set transaction_deferrable to on"),
            B.sql("show transaction_deferrable"),
            A.sql("set Transaction_Read_Only = on"),
            B.sql("show transaction_read_only"),
            A.sql("show transaction_read_only"),
        ])
        .run();
}

#[test]
fn timeouts_of_transactions() {
    case("48", "transaction_timeout follows its session")
        .since(17)
        .both_forms()
        .steps([
            A.sql("begin"),
            A.sql("set transaction_timeout = '77s'"),
            A.sql("commit"),
            B.sql("show transaction_timeout"),
            A.sql("show transaction_timeout"),
        ])
        .expect(["B DataRow (0)", "A DataRow (77s)"])
        .run();
}

/// The server forgets sequences under nobody's defaults: those of the session before could make it wait.
#[test]
fn defaults_that_wait() {
    with_pool("pool_size=3", |pool| {
        let [mut blocker, mut waiting, mut other] = [pool.client(), pool.client(), pool.client()];
        other.run("create table t (i int)");
        other.run("select 1");
        blocker.run("begin isolation level serializable; insert into t values (1)");
        waiting.run("set default_transaction_isolation = serializable; set default_transaction_read_only = on; set default_transaction_deferrable = on");
        assert_eq!(waiting.value("show work_mem"), "4MB");
        for _ in 0..3 {
            assert_eq!(other.value("select 'not waiting'"), "not waiting");
        }
        blocker.run("commit");
    });
}

#[test]
fn operators_of_the_session() {
    case("48", "a search path with operators of one's own")
        .setup("create schema evil; create function evil.no(text, text) returns bool language sql immutable as 'select false'; create operator evil.!~~ (leftarg = text, rightarg = text, function = evil.no); create operator evil.<> (leftarg = text, rightarg = text, function = evil.no); create operator evil.= (leftarg = text, rightarg = text, function = evil.no)")
        .steps([
            A.sql("begin"),
            A.sql("set search_path = evil, pg_catalog"),
            A.sql("set work_mem = '99kB'"),
            A.sql("commit"),
            B.sql("show work_mem"),
            B.sql("show search_path"),
            A.sql("show work_mem"),
            A.sql("show search_path"),
        ])
        .expect(["B DataRow (4MB)", "A DataRow (99kB)", "A DataRow (evil, pg_catalog)"])
        .run();
}

/// The random numbers of a process are not another session's to foresee.
#[test]
fn seeds() {
    with_pool("pool_size=2", |pool| {
        let (mut client, mut other) = (pool.client(), pool.client());
        let random = "select random()";
        for seed in ["select setseed(0.5)", "set seed = 0.5", "select set_config('seed', '0.5', false)"] {
            client.run(seed);
            let numbers = [client.value(random), client.value(random)];
            client.run(seed);
            assert_ne!(other.value(random), numbers[0], "{seed}: on another session's server");
            assert_eq!(client.value(random), numbers[0], "{seed}: the session's own");
            drop(client);
            // Both servers of the pool are asked.
            other.run("begin");
            client = pool.client();
            assert_ne!(other.value(random), numbers[1], "{seed}: of one that left");
            assert_ne!(client.value(random), numbers[1], "{seed}: of one that left");
            other.run("commit");
        }
    });
}

/// A slot of the session is dropped with it: its server goes when it leaves.
#[test]
fn temporary_slots() {
    if direct_only() {
        return;
    }
    let cluster = Cluster::shared();
    let database = cluster.database();
    let proxy = Proxy::start(&cluster.url(SUPERUSER, &database.name, "pool_size=2"));
    let login = Login::new(SUPERUSER.0, SUPERUSER.1, &database.name);
    let name = format!("temporary_{}", database.name).to_lowercase();
    let mut client = Client::connect(&proxy.endpoint(), &login);
    client.run(&format!("select pg_create_physical_replication_slot('{name}', false, true)"));
    let count = format!("select count(*) from pg_replication_slots where slot_name = '{name}'");
    assert_eq!(client.value(&count), "1");
    drop(client);
    let mut other = Client::connect(&proxy.endpoint(), &login);
    crate::harness::eventually("the slot is gone", || other.value(&count) == "0");
}
