//! The same promises under other pool settings: session mode, tiny limits, two proxies in a row.

use std::time::{Duration, Instant};

use super::prelude::*;
use crate::harness::cluster::Database;
use crate::harness::direct_only;
use crate::harness::message::Message;
use crate::harness::proxy::{Proxy, ProxyOptions};
use crate::harness::raw::{self, Client, Login};

/// Bind and Execute of a named statement.
fn run(statement: &str) -> Vec<u8> {
    [msg::bind("", statement, &[]), msg::execute("", 0)].concat()
}

#[test]
fn three_statements_per_server() {
    let names = ["one", "two", "three", "four", "five", "six"];
    let parse = |tag: &str| {
        names.iter().flat_map(|n| msg::parse(n, &format!("select '{tag}.{n}'"))).collect::<Vec<u8>>()
    };
    let execute = || names.iter().flat_map(|n| run(n)).collect::<Vec<u8>>();
    case("35", "statements are evicted in the middle of the pipeline that uses them")
        .config("[limits]\nprepared_per_server = 3\n")
        .steps([
            A.send([parse("a"), execute(), msg::sync()]),
            A.ready(),
            B.send([parse("b"), msg::sync(), execute(), execute(), msg::sync()]),
            B.ready_times(2),
            A.send([
                execute(),
                msg::unnamed("select 1/0", &[]),
                execute(),
                msg::sync(),
                execute(),
                msg::sync(),
            ]),
            A.ready_times(2),
            A.sql("begin"),
            A.send([msg::bind("p", "one", &[]), msg::bind("q", "two", &[]), msg::flush()]),
            A.until(b'2'),
            A.until(b'2'),
            A.send([execute(), msg::execute("p", 0), msg::execute("q", 0), msg::sync()]),
            A.ready(),
            A.sql("commit"),
            A.send([msg::describe_statement("six"), msg::close_statement("one"), run("one"), msg::sync()]),
            A.ready(),
        ])
        .expect([
            "A DataRow (a.one)",
            "A DataRow (a.six)",
            "B DataRow (b.six)",
            "A DataRow (a.six)",
            "22012",
            "A DataRow (a.six)",
        ])
        .expect([
            "A DataRow (a.six)",
            "A DataRow (a.one)",
            "A DataRow (a.two)",
            "COMMIT",
            "CloseComplete",
            "26000",
        ])
        .run();
}

#[test]
fn begin_that_is_not_deferred() {
    for defer in [true, false] {
        case("18 23", "BEGIN sent at once, and held back")
            .config(&format!("[pool]\ndefer_begin = {defer}\n"))
            .setup("create table t (i int)")
            .both_forms()
            .steps([
                A.sql("begin"),
                B.sql("insert into t values (1)"),
                A.sql("select count(*) from t"),
                A.sql("commit"),
                A.sql("begin isolation level repeatable read"),
                A.sql("commit"),
                A.sql("begin flurb"),
                A.sql("begin"),
                A.sql("select now() = statement_timestamp()"),
                A.sql("rollback"),
                A.sql("begin"),
                A.sql("rollback"),
            ])
            .pool("pool_size=2")
            .types_only(|m| m.tag == b'D' && b"tf".contains(&m.body[m.body.len() - 1]))
            .expect([
                "BEGIN",
                "ReadyForQuery T",
                "INSERT 0 1",
                "A DataRow (1)",
                "COMMIT",
                "COMMIT",
                "42601",
                "ROLLBACK",
                "ROLLBACK",
            ])
            .run();
    }
}

#[test]
fn session_mode() {
    case("48 55 57", "session mode: everything stays where it is")
        .pool("pool_size=3&pool_mode=session")
        .both_forms()
        .steps([
            A.sql("set work_mem = '70kB'"),
            A.sql("create temp table t (i int)"),
            A.sql("select pg_advisory_lock(1)"),
            A.sql("prepare s as select 's'"),
            A.sql("listen ch"),
            A.sql("declare h cursor with hold for select 'held'"),
            B.sql("show work_mem"),
            B.sql("select * from t"),
            B.sql("select pg_try_advisory_lock(1)"),
            B.sql("notify ch, 'n'"),
            A.until(b'A'),
            A.sql("execute s"),
            A.sql("fetch h"),
            A.drop(),
            wait_until("select count(*) = 0 from pg_locks where locktype = 'advisory' and database = (select oid from pg_database where datname = '{db}')"),
            C.sql("show work_mem"),
            C.sql("select * from t"),
            C.sql("execute s"),
            C.sql("select pg_try_advisory_lock(1)"),
        ])
        .expect(["B DataRow (4MB)", "B ErrorResponse ERROR 42P01", "B DataRow (f)", "NotificationResponse ch \"n\"", "DataRow (s)", "DataRow (held)"])
        .expect(["C DataRow (4MB)", "C ErrorResponse ERROR 42P01", "C ErrorResponse ERROR 26000", "C DataRow (t)"])
        .run();
}

#[test]
fn two_proxies_in_a_row() {
    let (cluster, database) = shared();
    let mut sql = vec![("select 1", "1"), ("select current_setting('work_mem')", "70kB")];
    let mut direct = Client::connect(&cluster.tcp(), &database.login());
    direct.run("set work_mem = '70kB'");
    sql.iter().for_each(|(sql, value)| assert_eq!(direct.value(sql), *value));
    if direct_only() {
        return;
    }
    let inner = Proxy::start(&cluster.url(APP, &database.name, "pool_size=1"));
    let outer = Proxy::start(&format!("{}?pool_size=1", inner.url(APP, &database.name)));
    let mut client = Client::connect(&outer.endpoint(), &database.login());
    let mut other = Client::connect(&outer.endpoint(), &database.login());
    client.run("set work_mem = '70kB'");
    assert_eq!(other.value("show work_mem"), "4MB");
    sql.drain(..).for_each(|(sql, value)| assert_eq!(client.value(sql), value));
    client.send(&msg::query("select pg_sleep(60)"));
    std::thread::sleep(Duration::from_millis(300));
    raw::cancel(&outer.endpoint(), client.pid, &client.key);
    let messages = client.until_ready();
    assert_eq!(messages.iter().find(|m| m.tag == b'E').map(Message::sqlstate).as_deref(), Some("57014"));
    assert_eq!(other.value("select 'alive'"), "alive");
}

#[test]
fn pins_refused() {
    if direct_only() {
        return;
    }
    let (cluster, database) = shared();
    let options = ProxyOptions::url(&cluster.url(APP, &database.name, "pool_size=1"))
        .config("[pool]\npins = \"refuse\"\n");
    let proxy = Proxy::start_with(&options);
    let mut client = Client::connect(&proxy.endpoint(), &database.login());
    for refused in [
        "create temp table t (i int)",
        "create temp table t (i int) on commit delete rows",
        "create temp table t (i int) on commit preserve rows",
        "create temp table t (i int) on commit drop; create temp table u (i int)",
        "select pg_advisory_lock(1)",
        "declare c cursor with hold for select 1",
        "create temp table t (i int); commit; listen ch",
        "commit; listen ch; create temp table t (i int)",
    ] {
        assert_eq!(client.error(refused), "0A000", "{refused}");
    }
    assert_eq!(client.value("select 1"), "1");
}

#[test]
fn temporary_tables_that_go_with_the_transaction_are_not_refused() {
    if direct_only() {
        return;
    }
    let (cluster, database) = shared();
    let proxy = Proxy::start(&cluster.url(APP, &database.name, "pool_size=1&pins=refuse"));
    let connect = || Client::connect(&proxy.endpoint(), &database.login());
    let (mut client, mut other) = (connect(), connect());
    let create = "create temp table z (x int) on commit drop";
    client.run("begin");
    client.run(create);
    client.run("insert into z values (7)");
    assert_eq!(client.value("select x from z"), "7");
    client.run("commit");
    assert_eq!(other.value("select to_regclass('z') is null"), "t", "the server is free, and the table gone");
    client.run(create);
    assert_eq!(other.error("select x from z"), "42P01");
    let as_query = "create temp table z on commit drop as select 8 as x";
    client.send(&[msg::unnamed("begin", &[]), msg::unnamed(as_query, &[]), msg::sync()].concat());
    assert!(client.until_ready().iter().all(|message| message.tag != b'E'));
    assert_eq!(client.value("select x from z"), "8");
    client.run("rollback");
    client.send(&[msg::unnamed("create temp table z (x int)", &[]), msg::sync()].concat());
    let refused = client.until_ready().into_iter().find(|message| message.tag == b'E').expect("an error");
    assert_eq!(refused.sqlstate(), "0A000");
    assert_eq!(other.value("select to_regclass('z') is null"), "t");
}

#[test]
fn mode_chosen_by_the_client() {
    if direct_only() {
        return;
    }
    let (cluster, database) = shared();
    let proxy = Proxy::start(&cluster.url(APP, &database.name, "pool_size=2"));
    let login = database.login().param("options", "-c pgweir.pool_mode=session");
    let mut sticky = Client::connect(&proxy.endpoint(), &login);
    let pid = sticky.value("select pg_backend_pid()");
    for _ in 0..5 {
        let mut other = Client::connect(&proxy.endpoint(), &database.login());
        assert_ne!(other.value("select pg_backend_pid()"), pid, "the server is taken until its session ends");
        assert_eq!(sticky.value("select pg_backend_pid()"), pid);
    }
}

/// Servers of one worker are closed for the sake of clients of another that has none, or one user's for another user's.
#[test]
fn servers_go_to_where_they_are_waited_for() {
    if direct_only() {
        return;
    }
    let (cluster, database) = shared();
    for (workers, query) in [(2, "pool_size=1"), (3, "pool_size=2&share_servers=always")] {
        let url = cluster.url(APP, &database.name, query);
        let options = ProxyOptions::url(&url).config(&format!("workers = {workers}\n"));
        let proxy = Proxy::start_with(&options);
        let until = Instant::now() + Duration::from_secs(4);
        let serve = &|busy: bool| {
            let mut client = Client::connect(&proxy.endpoint(), &database.login());
            let mut longest = Duration::ZERO;
            while Instant::now() < until {
                let asked = Instant::now();
                assert_eq!(client.value("select 5"), "5");
                longest = longest.max(asked.elapsed());
                if !busy {
                    std::thread::sleep(Duration::from_millis(30));
                }
            }
            longest
        };
        std::thread::scope(|scope| {
            let clients: Vec<_> = (0..9).map(|n| scope.spawn(move || serve(n % 3 > 0))).collect();
            for client in clients {
                let longest = client.join().expect("each is served");
                assert!(longest < Duration::from_secs(3), "{workers} workers: {longest:?}");
            }
        });
    }
    let [one, other] = [APP, APP2].map(|user| {
        let url = cluster.url(user, &database.name, "pool_size=1");
        format!("[databases.{}]\nurl = \"{url}\"\n", user.0)
    });
    let config = format!("{one}{other}[limits]\nmax_servers = 1\n");
    let proxy = Proxy::start_with(&ProxyOptions::default().config(&config));
    for _ in 0..3 {
        for user in [APP, APP2] {
            let mut client = Client::connect(&proxy.endpoint(), &Login::new(user.0, user.1, user.0));
            let asked = Instant::now();
            assert_eq!(client.value("select 5"), "5");
            assert!(asked.elapsed() < Duration::from_secs(3));
        }
    }
}

#[test]
fn queue_with_a_deadline() {
    if direct_only() {
        return;
    }
    let (cluster, database) = shared();
    let options = ProxyOptions::url(&cluster.url(APP, &database.name, "pool_size=1"))
        .config("[limits]\nqueue_timeout = \"1s\"\n");
    let proxy = Proxy::start_with(&options);
    let mut holder = Client::connect(&proxy.endpoint(), &database.login());
    holder.run("begin");
    holder.run("select 1");
    let mut waiting = Client::connect(&proxy.endpoint(), &database.login());
    waiting.send(&msg::query("select 'never'"));
    let messages = waiting.until(b'Z').expect("an answer in time");
    let error = messages.iter().find(|m| m.tag == b'E').expect("an error that names the limit");
    assert!(error.to_string().contains("queue_timeout"), "{error}");
    holder.run("commit");
    assert_eq!(holder.value("select 'alive'"), "alive");
}

/// A transaction of which no server knows yet fails like any other.
#[test]
fn a_held_begin_that_gets_no_server() {
    if direct_only() {
        return;
    }
    let (cluster, database) = shared();
    let options = ProxyOptions::url(&cluster.url(APP, &database.name, "pool_size=1"))
        .config("[limits]\nqueue_timeout = \"300ms\"\n");
    let proxy = Proxy::start_with(&options);
    let connect = || Client::connect(&proxy.endpoint(), &database.login());
    let mut holder = connect();
    holder.run("begin");
    holder.run("select 1");
    let status = |client: &mut Client, bytes: Vec<u8>| {
        client.send(&bytes);
        let messages = client.until_ready();
        messages.iter().map(|message| message.to_string()).collect::<Vec<_>>().join(" | ")
    };
    let mut waiting = [connect(), connect(), connect()];
    for client in &mut waiting {
        client.run("begin");
        let refused = status(client, msg::query("select 'never'"));
        assert!(refused.contains("ERROR 53300") && refused.ends_with("ReadyForQuery E"), "{refused}");
    }
    let [first, second, third] = &mut waiting;
    assert_eq!(status(first, msg::query("commit")), "CommandComplete ROLLBACK | ReadyForQuery I");
    holder.run("commit");
    let parse = [msg::parse("", "select 1"), msg::sync()].concat();
    for bytes in [msg::query("select 1"), parse] {
        let failed = status(second, bytes);
        assert!(failed.contains("ERROR 25P02") && failed.ends_with("ReadyForQuery E"), "{failed}");
    }
    assert_eq!(status(second, msg::query("rollback")), "CommandComplete ROLLBACK | ReadyForQuery I");
    assert_eq!(
        status(third, msg::query("rollback; begin")),
        "CommandComplete ROLLBACK | CommandComplete BEGIN | ReadyForQuery T"
    );
    third.run("commit");
    for client in [first, second, third] {
        assert_eq!(client.value("select 'alive'"), "alive");
    }
}

#[test]
fn clients_beyond_the_limit() {
    if direct_only() {
        return;
    }
    let (cluster, database) = shared();
    let options = ProxyOptions::url(&cluster.url(APP, &database.name, "pool_size=1"))
        .config("[limits]\nmax_clients = 2\n");
    let proxy = Proxy::start_with(&options);
    let mut first = Client::connect(&proxy.endpoint(), &database.login());
    let _second = Client::connect(&proxy.endpoint(), &database.login());
    let messages =
        Client::dial(&proxy.endpoint()).expect("it connects").login(&database.login()).expect("an answer");
    let error = messages.last().expect("an error");
    assert_eq!((error.field(b'S').as_deref(), error.sqlstate().as_str()), (Some("FATAL"), "53300"));
    assert_eq!(first.value("select 1"), "1");
}

fn shared() -> (&'static Cluster, Database<'static>) {
    (Cluster::shared(), Cluster::shared().database())
}
