//! Section F: cancel, clients that go away, servers that die.

use std::time::{Duration, Instant};

use super::prelude::*;
use crate::harness::cluster::Database;
use crate::harness::message::{Message, cut_str};
use crate::harness::proxy::{Proxy, ProxyOptions};
use crate::harness::raw::{self, Client, Login};
use crate::harness::scripted::{Peer, ScriptedServer};
use crate::harness::{direct_only, eventually};

/// A database, and the proxy in front of it; `None` where the proxy is left out.
fn proxied(query: &str) -> Option<(Database<'static>, Proxy)> {
    if direct_only() {
        return None;
    }
    let database = Cluster::shared().database();
    let proxy = Proxy::start(&Cluster::shared().url(APP, &database.name, query));
    Some((database, proxy))
}

/// Ends every server session of a database; the number of them.
fn kill_servers(database: &Database<'_>) -> String {
    let mut superuser = Cluster::shared().superuser(&database.name);
    let killed = superuser.value(
        "select coalesce(string_agg(pid::text, ',') filter (where pg_terminate_backend(pid)), '') from pg_stat_activity \
         where datname = current_database() and pid <> pg_backend_pid()",
    );
    // The signal was sent: they are dead when they are gone. Until then a server may still read a statement.
    let left = format!("select count(*) from pg_stat_activity where pid = any('{{{killed}}}'::int[])");
    let deadline = Instant::now() + Duration::from_secs(10);
    while superuser.value(&left) != "0" {
        assert!(Instant::now() < deadline, "the servers {killed} did not die");
    }
    killed.split(',').filter(|pid| !pid.is_empty()).count().to_string()
}

fn idle_servers(database: &Database<'_>) -> String {
    let sql = "select count(*) from pg_stat_activity where datname = current_database() and usename = 'app'";
    Cluster::shared().superuser(&database.name).value(sql)
}

/// The pool's servers, once those that were closed are gone.
fn check_servers(database: &Database<'_>, limit: u32) {
    eventually("no more servers than the pool's size", || {
        idle_servers(database).parse::<u32>().expect("a number") <= limit
    });
}

/// The SQLSTATE of the error that ends a session, or that it got.
fn fate(client: &mut Client) -> String {
    let messages = client.until(b'Z').expect("an answer in time");
    messages.iter().find(|m| m.tag == b'E').map(Message::sqlstate).unwrap_or_default()
}

#[test]
fn cancel_while_running() {
    case("60", "cancel of a running statement")
        .both_forms()
        .steps([
            A.sql("select 1"),
            A.query("select pg_sleep(60)"),
            wait_until_running("pg_sleep(60)"),
            A.cancel(),
            A.ready(),
            A.sql("select 'alive'"),
            A.sql("begin"),
            A.query("select pg_sleep(60)"),
            wait_until_running("pg_sleep(60)"),
            A.cancel(),
            A.ready(),
            A.sql("rollback"),
        ])
        .expect([
            "57014 canceling statement due to user request",
            "ReadyForQuery I",
            "DataRow (alive)",
            "57014",
            "ReadyForQuery E",
            "ROLLBACK",
        ])
        .run();
}

#[test]
fn cancel_of_a_pipeline() {
    case("60", "cancel hits the statement that runs; the next batch runs")
        .steps([
            A.sql("select 1"),
            A.send([
                msg::unnamed("select pg_sleep(60)", &[]),
                msg::unnamed("select 'skipped'", &[]),
                msg::sync(),
                msg::unnamed("select 'next'", &[]),
                msg::sync(),
            ]),
            wait_until_running("pg_sleep(60)"),
            A.cancel(),
            A.ready_times(2),
        ])
        .expect(["57014", "ReadyForQuery I", "DataRow (next)"])
        .never("skipped")
        .run();
}

#[test]
fn cancel_after_the_end() {
    case("60", "a cancel that comes late hits nobody")
        .steps([
            A.sql("select 'a'"),
            B.sql("select 1"),
            B.query("select 'slow', pg_sleep(0.5)"),
            wait_until_running("pg_sleep(0.5)"),
            A.cancel(),
            B.ready(),
            A.sql("select 'alive'"),
        ])
        .expect(["A DataRow (a)", "B DataRow (slow, )", "A DataRow (alive)"])
        .never("57014")
        .run();
}

#[test]
fn cancel_of_an_idle_transaction() {
    case("60", "a cancel of a session that is idle in a transaction changes nothing")
        .steps([A.sql("begin"), A.cancel(), A.sql("select 1"), A.sql("commit")])
        .expect(["BEGIN", "DataRow (1)", "COMMIT"])
        .never("57014")
        .run();
}

#[test]
fn cancel_with_a_wrong_secret() {
    case("60", "a wrong secret cancels nothing")
        .steps([
            A.sql("select 1"),
            A.query("select 'slow', pg_sleep(0.5)"),
            wait_until_running("pg_sleep(0.5)"),
            A.cancel_with_key(&[1, 2, 3, 4]),
            A.cancel_with_key(&[0, 0, 0, 0]),
            A.ready(),
        ])
        .expect(["DataRow (slow, )"])
        .never("57014")
        .run();
}

#[test]
fn malformed_cancel_requests() {
    let cancel = msg::cancel_request(1, &[1, 2, 3, 4]);
    case("60 43", "cancel requests of wrong length, and bytes behind one")
        .steps([
            A.dial(),
            A.send([msg::cancel_request(1, &[])]),
            A.closed(),
            A.dial(),
            A.send([msg::cancel_request(1, &[1])]),
            A.closed(),
            A.dial(),
            A.send([cancel, msg::query("select 1")]),
            A.closed(),
            B.sql("select 'alive'"),
        ])
        .expect(["closed", "closed", "closed", "DataRow (alive)"])
        .run();
}

#[test]
fn cancel_in_copy() {
    case("60", "cancel of COPY in both directions")
        .setup("create table t (i int)")
        .steps([
            A.sql("select 1"),
            A.query("copy (select pg_sleep(60)) to stdout"),
            wait_until_running("pg_sleep(60)"),
            A.cancel(),
            A.ready(),
            A.query("copy t from stdin"),
            A.until(b'G'),
            A.cancel(),
            A.send([msg::copy_data(b"1\n"), msg::copy_data(b"2\n"), msg::copy_done()]),
            A.ready(),
            A.sql("select 'alive'"),
        ])
        // Where in the data the cancel arrived is not the same twice.
        .types_only(|m| m.tag == b'E')
        .expect(["57014", "ReadyForQuery I", "CopyInResponse", "57014", "ReadyForQuery I", "DataRow (alive)"])
        .run();
}

#[test]
fn cancel_while_queued() {
    let Some((database, proxy)) = proxied("pool_size=1") else {
        return;
    };
    let mut holder = Client::connect(&proxy.endpoint(), &database.login());
    holder.run("begin");
    holder.run("select 1");
    let mut waiting = Client::connect(&proxy.endpoint(), &database.login());
    let mut third = Client::connect(&proxy.endpoint(), &database.login());
    waiting.send(&msg::query("create table never ()"));
    third.send(&msg::query("select 'third'"));
    assert!(waiting.within(Duration::from_millis(200)).expect("it waits").is_empty());
    raw::cancel(&proxy.endpoint(), waiting.pid, &waiting.key);
    assert_eq!(fate(&mut waiting), "57014", "the cancel reaches a client that waits for a server");
    assert_eq!(holder.value("select 'holder'"), "holder", "and not the one that has it");
    holder.run("commit");
    assert_eq!(
        third.until_ready().iter().find(|m| m.tag == b'D').map(Message::value).as_deref(),
        Some("third")
    );
    assert_eq!(waiting.value("select count(*) from pg_class where relname = 'never'"), "0");
}

#[test]
fn cancel_under_a_full_pool() {
    let Some((database, proxy)) = proxied("pool_size=2") else {
        return;
    };
    let mut clients: Vec<Client> =
        (0..6).map(|_| Client::connect(&proxy.endpoint(), &database.login())).collect();
    clients.iter_mut().for_each(|client| client.send(&msg::query("select pg_sleep(30)")));
    let mut server = Cluster::shared().superuser(&database.name);
    let mut sleepers = |expected: usize| {
        let sql = "select count(*) from pg_stat_activity where wait_event = 'PgSleep'";
        eventually("servers sleep", || server.value(sql) == expected.to_string());
    };
    sleepers(2);
    for (at, client) in clients.iter().enumerate() {
        raw::cancel(&proxy.endpoint(), client.pid, &client.key);
        // The cancel of one starts another.
        sleepers((5 - at).min(2));
    }
    for client in &mut clients {
        assert_eq!(fate(client), "57014");
        assert_eq!(client.value("select 1"), "1");
    }
}

#[test]
fn client_leaves_in_a_transaction() {
    case("61", "a client that leaves in a transaction: rolled back before the next one")
        .setup("create table t (i int)")
        .steps([
            A.sql("begin"),
            A.sql("insert into t values (1)"),
            A.sql("set local work_mem = '70kB'"),
            A.drop(),
            B.sql("select count(*), current_setting('work_mem') from t"),
            B.sql("begin"),
            B.sql("insert into t values (1)"),
            B.send([msg::terminate()]),
            B.closed(),
            C.sql("select count(*) from t"),
            C.sql("insert into t values (2)"),
        ])
        .expect(["B DataRow (0, 4MB)", "C DataRow (0)", "INSERT 0 1"])
        .run();
}

#[test]
fn client_leaves_in_a_failed_transaction() {
    case("61", "a client that leaves in a failed transaction")
        .steps([A.sql("begin"), A.sql("select 1/0"), A.drop(), B.sql("select 'b'"), C.sql("select 'c'")])
        .expect(["22012", "B DataRow (b)", "C DataRow (c)"])
        .run();
}

#[test]
fn client_leaves_while_its_statement_runs() {
    let Some((database, proxy)) = proxied("pool_size=1") else {
        return;
    };
    let mut leaving = Client::connect(&proxy.endpoint(), &database.login());
    leaving.send(&msg::query("select pg_sleep(60)"));
    let running = "select count(*) from pg_stat_activity where datname = current_database() and query like '%pg_sleep(60)%' and state = 'active' and pid <> pg_backend_pid()";
    let mut superuser = Cluster::shared().superuser(&database.name);
    eventually("the statement runs", || superuser.value(running) == "1");
    drop(leaving);
    eventually("the statement was cancelled", || superuser.value(running) == "0");
    let start = Instant::now();
    assert_eq!(Client::connect(&proxy.endpoint(), &database.login()).value("select 'next'"), "next");
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn client_leaves_with_unread_rows() {
    case("61", "a client that leaves in the middle of its rows")
        .steps([
            A.query("select repeat('x', 1000) from generate_series(1, 1000000)"),
            A.until(b'D'),
            A.drop(),
            B.sql("select 'b'"),
        ])
        .expect(["B DataRow (b)"])
        .run();
}

#[test]
fn client_leaves_within_a_message() {
    let half = &msg::query("insert into t values (1)")[..20];
    let unfinished = msg::unnamed("insert into t values (2)", &[]);
    case("61", "a client that leaves within a message, and before Sync")
        .setup("create table t (i int)")
        .steps([
            A.send([half.to_vec()]),
            A.drop(),
            B.send([unfinished]),
            B.drop(),
            C.sql("select count(*) from t"),
        ])
        .expect(["C DataRow (0)"])
        .run();
}

#[test]
fn half_close() {
    case("61", "FIN behind Query and Terminate: it is still executed")
        .setup("create table t (i int)")
        .steps([
            A.send([msg::query("insert into t values (1)"), msg::terminate()]),
            A.half_close(),
            A.until(b'Z'),
            A.closed(),
            B.sql("select count(*) from t"),
        ])
        .expect(["INSERT 0 1", "B DataRow (1)"])
        .run();
}

#[test]
fn farewell_behind_what_has_no_end() {
    let insert = |i: u32| msg::unnamed(&format!("insert into t values ({i})"), &[]);
    case("41 61", "Terminate in the middle of a batch: it is undone, and what is before it is not")
        .setup("create table t (i int)")
        .steps([
            A.send([insert(1), msg::sync(), insert(2), msg::terminate()]),
            A.until(b'Z'),
            A.closed(),
            B.sql("select array_agg(i) from t"),
        ])
        .expect(["INSERT 0 1", "B DataRow ({1})"])
        .run();
}

/// PostgreSQL says of a Terminate among the data of a COPY that it is none of them, to a client that does not listen any more; pgweir says nothing.
#[test]
fn farewells_leave_their_servers() {
    let Some((database, proxy)) = proxied("pool_size=1") else {
        return;
    };
    let copy = [msg::unnamed("copy t from stdin", &[]), msg::flush()].concat();
    let ends = [
        msg::parse("", "select 1"),
        [msg::unnamed("select 1", &[]), msg::flush()].concat(),
        [msg::sync(), msg::unnamed("select 1", &[])].concat(),
        msg::query("copy t from stdin"),
        copy.clone(),
        [copy, msg::copy_data(b"1\n"), msg::sync()].concat(),
    ];
    Client::connect(&proxy.endpoint(), &database.login()).run("create table t (i int)");
    for unfinished in ends {
        for pause in [0, 50] {
            let mut leaves = Client::connect(&proxy.endpoint(), &database.login());
            leaves.send(&unfinished);
            std::thread::sleep(Duration::from_millis(pause));
            leaves.send(&msg::terminate());
            leaves.until(b'?').expect("it is closed");
            let mut next = Client::connect(&proxy.endpoint(), &database.login());
            assert_eq!(next.value("select count(*) from t"), "0", "the server is free, and nothing is left");
        }
    }
}

#[test]
fn client_gone_within_a_message() {
    let Some((database, proxy)) = proxied("pool_size=1") else {
        return;
    };
    let halves =
        [msg::frame(b'H', &[b' '; 200]), msg::frame(b'B', &[0; 200]), msg::query(&"x".repeat(3 << 20))];
    for whole in halves {
        let mut gone = Client::connect(&proxy.endpoint(), &database.login());
        gone.send(&whole[..whole.len() - 100]);
        gone.within(Duration::from_millis(20)).expect("silence, or an error");
        drop(gone);
        // Its server must not take these bytes for the rest of that message.
        let mut next = Client::connect(&proxy.endpoint(), &database.login());
        assert_eq!(next.value("select 'mine'"), "mine", "after {:?}", whole[0] as char);
    }
}

#[test]
fn server_killed_in_a_transaction() {
    case("62", "the server dies in a transaction")
        .setup("create table t (i int)")
        .steps([
            A.sql("begin"),
            A.sql("insert into t values (1)"),
            admin("select pg_terminate_backend(pid) from pg_stat_activity where datname = '{db}' and pid <> pg_backend_pid()"),
            A.closed(),
            B.sql("select count(*) from t"),
        ])
        .expect(["INSERT 0 1", "FATAL 57P01", "connection closed", "B DataRow (0)"])
        .run();
}

#[test]
fn server_killed_while_a_statement_runs() {
    case("62", "the server dies while a statement runs: told, never tried again")
        .setup("create sequence s")
        .steps([
            A.sql("select 1"),
            A.query("select nextval('s'), pg_sleep(60)"),
            wait_until_running("pg_sleep(60)"),
            admin("select pg_terminate_backend(pid) from pg_stat_activity where datname = '{db}' and pid <> pg_backend_pid()"),
            A.closed(),
            B.sql("select nextval('s')"),
        ])
        .expect(["FATAL 57P01", "connection closed", "B DataRow (2)"])
        .run();
}

#[test]
fn server_killed_while_idle_in_the_pool() {
    let Some((database, proxy)) = proxied("pool_size=2") else {
        return;
    };
    let mut a = Client::connect(&proxy.endpoint(), &database.login());
    let mut b = Client::connect(&proxy.endpoint(), &database.login());
    a.run("set work_mem = '70kB'");
    a.send(&[msg::parse("s", "select 'prepared'"), msg::sync()].concat());
    a.until_ready();
    for _ in 0..5 {
        assert_ne!(kill_servers(&database), "0");
        assert_eq!(a.value("select 'a'"), "a", "a session whose server died idle must not notice");
        assert_eq!(b.value("select 'b'"), "b");
        assert_eq!(a.value("show work_mem"), "70kB");
        a.send(&[msg::bind("", "s", &[]), msg::execute("", 0), msg::sync()].concat());
        assert_eq!(
            a.until_ready().iter().find(|m| m.tag == b'D').map(Message::value).as_deref(),
            Some("prepared")
        );
    }
}

#[test]
fn server_killed_while_pinned() {
    let Some((database, proxy)) = proxied("pool_size=2") else {
        return;
    };
    let mut pinned = Client::connect(&proxy.endpoint(), &database.login());
    pinned.run("create temp table t (i int)");
    kill_servers(&database);
    pinned.send(&msg::query("select * from t"));
    let state = fate(&mut pinned);
    assert!(
        state.starts_with("57P") || state.starts_with("08"),
        "the temporary table is lost and the client is told: {state}"
    );
    assert_eq!(Client::connect(&proxy.endpoint(), &database.login()).value("select 1"), "1");
}

#[test]
fn server_restarted() {
    if direct_only() {
        return;
    }
    let login = |cluster: &Cluster| cluster.url(APP, "postgres", "pool_size=2");
    let cluster = Cluster::start("", &[]);
    let proxy = Proxy::start(&login(&cluster));
    let credentials = Login::new(APP.0, APP.1, "postgres");
    let mut client = Client::connect(&proxy.endpoint(), &credentials);
    client.run("select 1");
    drop(cluster);
    client.send(&msg::query("select 2"));
    let state = fate(&mut client);
    assert!(
        state.starts_with("08") || state.starts_with("57P"),
        "the server is gone and the client is told: {state}"
    );
}

#[test]
fn servers_come_back_after_disconnects() {
    let Some((database, proxy)) = proxied("pool_size=3") else {
        return;
    };
    for round in 0..30 {
        let mut client = Client::connect(&proxy.endpoint(), &database.login());
        client.run("begin");
        client.run("select 1");
        if round % 3 == 0 {
            client.send(&msg::terminate());
        }
    }
    eventually("no server is in a transaction", || {
        let sql = "select count(*) from pg_stat_activity where datname = current_database() and state like 'idle in%'";
        Cluster::shared().superuser(&database.name).value(sql) == "0"
    });
    check_servers(&database, 3);
}

#[test]
fn more_clients_than_servers() {
    let Some((database, proxy)) = proxied("pool_size=2") else {
        return;
    };
    let endpoint = proxy.endpoint();
    std::thread::scope(|scope| {
        for n in 0..50 {
            let (endpoint, login) = (&endpoint, database.login());
            scope.spawn(move || {
                let mut client = Client::connect(endpoint, &login);
                for i in 0..20 {
                    let sql = format!("select {n} * 1000 + {i}");
                    assert_eq!(client.value(&sql), (n * 1000 + i).to_string());
                    client.send(&[msg::unnamed("select $1::text", &[&i.to_string()]), msg::sync()].concat());
                    let messages = client.until_ready();
                    assert_eq!(
                        messages.iter().find(|m| m.tag == b'D').map(Message::value),
                        Some(i.to_string())
                    );
                }
            });
        }
    });
    check_servers(&database, 2);
}

#[test]
fn hundred_thousand_notices() {
    case("64", "a flood of notices")
        .steps([
            A.sql("do $$ begin for i in 1..100000 loop raise notice 'notice %', i; end loop; end $$"),
            A.sql("select 'alive'"),
        ])
        .expect([
            "NOTICE 00000 notice 1",
            "NOTICE 00000 notice 100000",
            "CommandComplete DO",
            "DataRow (alive)",
        ])
        .run();
}

#[test]
fn settings_reloaded_under_idle_sessions() {
    let cluster = Cluster::start("", &[]);
    case("64 53", "ParameterStatus that the server sends by itself")
        .on(&cluster)
        .steps([
            A.sql("show timezone"),
            admin("alter system set timezone = 'Asia/Tokyo'"),
            admin("select pg_reload_conf()"),
            wait_until("select current_setting('timezone') = 'Asia/Tokyo'"),
            A.sql("select 1"),
            A.sql("show timezone"),
            admin("alter system reset timezone"),
            admin("select pg_reload_conf()"),
            wait_until("select current_setting('timezone') <> 'Asia/Tokyo'"),
        ])
        .may_say("ParameterStatus TimeZone")
        .types_only(|m| m.tag == b'D')
        .expect(["DataRow", "DataRow (1)", "DataRow (Asia/Tokyo)"])
        .run();
}

/// Plays a login, answers everything until a statement with `part` comes, then does `fault`.
fn faulty(part: &'static str, fault: fn(&mut Peer)) -> ScriptedServer {
    ScriptedServer::start(move |_, peer| {
        if peer.login().is_err() {
            return Ok(());
        }
        while let Some(message) = peer.read()? {
            match message.tag {
                b'Q' if cut_str(&message.body).is_some_and(|(sql, _)| sql.contains(part)) => {
                    fault(peer);
                    return Ok(());
                }
                b'Q' => answer(peer, &cut_str(&message.body).unwrap_or_default().0),
                b'X' => return Ok(()),
                b'S' => peer.ready(b'I'),
                _ => {}
            }
        }
        Ok(())
    })
}

/// A believable answer to any statement.
fn answer(peer: &mut Peer, sql: &str) {
    let sql = sql.to_ascii_lowercase();
    if sql.contains("begin") {
        peer.complete("BEGIN", b'T');
    } else if sql.contains("commit") {
        peer.complete("COMMIT", b'I');
    } else if sql.contains("insert") {
        peer.complete("INSERT 0 1", b'T');
    } else {
        peer.complete("SET", b'I');
    }
}

fn app_login() -> Login {
    Login::new(APP.0, APP.1, "app")
}

#[test]
fn scripted_server_works() {
    let server = faulty("fault", |peer| peer.send(&msg::frame(b'E', b"SFATAL\0C57P01\0Mgone\0\0")));
    let mut client = Client::connect(&server.endpoint(), &app_login());
    assert_eq!(client.simple("set x = 1").len(), 2);
    client.send(&msg::query("fault"));
    assert_eq!(fate(&mut client), "57P01");
    drop(client);
    assert_eq!(server.finish(), Vec::<String>::new());
}

#[test]
fn expected_bytes_are_checked() {
    let server = ScriptedServer::start(|_, peer| {
        peer.login()?;
        peer.until_query("hello")?;
        peer.complete("SELECT 0", b'I');
        peer.expect(&msg::terminate())
    });
    let mut client = Client::connect(&server.endpoint(), &app_login());
    client.simple("set x = 1");
    client.simple("select 'hello'");
    client.send(&msg::sync());
    client.within(Duration::from_millis(50)).expect("silence, or an end");
    drop(client);
    let complaints = server.finish();
    assert!(complaints.len() == 1 && complaints[0].contains("expected"), "{complaints:?}");
}

#[test]
fn commit_without_an_answer() {
    if direct_only() {
        return;
    }
    let server = faulty("commit", |_| {});
    let proxy = Proxy::start(&server.url("pool_size=1"));
    let mut client = Client::connect(&proxy.endpoint(), &app_login());
    client.run("begin");
    client.run("insert into t values (1)");
    client.send(&msg::query("commit"));
    let state = fate(&mut client);
    assert!(
        ["08007", "08006"].contains(&state.as_str()),
        "the outcome of the COMMIT is unknown, and must be called so: {state}"
    );
}

/// A moment later it would have been idle, and nobody's.
#[test]
fn a_server_that_ends_behind_its_answer_ends_no_session() {
    if direct_only() {
        return;
    }
    let server = faulty("fault", |peer| {
        let fatal = msg::frame(b'E', b"SFATAL\0VFATAL\0C57P01\0Mgone\0\0");
        peer.send(&[msg::frame(b'C', b"SET\0"), msg::frame(b'Z', b"I"), fatal].concat());
    });
    let proxy = Proxy::start(&server.url("pool_size=1"));
    let mut client = Client::connect(&proxy.endpoint(), &app_login());
    for _ in 0..3 {
        for text in ["select 'fault'", "select 2"] {
            let tags: String = client.simple(text).iter().map(|message| message.tag as char).collect();
            assert_eq!(tags, "CZ", "{text}");
        }
    }
}

#[test]
fn error_without_sqlstate() {
    if direct_only() {
        return;
    }
    let server = faulty("fault", |peer| {
        peer.send(&msg::frame(b'E', b"SERROR\0Mno code\0\0"));
        peer.ready(b'I');
        peer.stall(Duration::from_secs(5));
    });
    let proxy = Proxy::start(&server.url("pool_size=1"));
    let mut client = Client::connect(&proxy.endpoint(), &app_login());
    client.send(&msg::query("fault"));
    let messages = client.until_ready();
    assert_eq!(messages[0].field(b'M').as_deref(), Some("no code"), "an error without SQLSTATE is passed on");
}

#[test]
fn malformed_answers_of_a_server() {
    if direct_only() {
        return;
    }
    let faults: [fn(&mut Peer); 7] = [
        |peer| peer.send(b"Z\0\0\0\x04"),
        |peer| peer.send(b"D\0\0\0\x01"),
        |peer| peer.send(b"D\xff\xff\xff\xff"),
        |peer| peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        |peer| peer.send(&msg::frame(b'Z', b"")),
        |peer| peer.send(&msg::frame(b'E', b"")),
        |peer| peer.send(&msg::frame(b'D', b"\0\x01\0\0\0\x05ab")[..10]),
    ];
    for fault in faults {
        let server = faulty("fault", fault);
        let proxy = Proxy::start(&server.url("pool_size=1"));
        let mut victim = Client::connect(&proxy.endpoint(), &app_login());
        victim.send(&msg::query("fault"));
        let _ = victim.until(b'Z');
        assert!(!proxy.log().contains("panicked"), "{}", proxy.log());
        let mut other = Client::connect(&proxy.endpoint(), &app_login());
        assert_eq!(
            other.simple("set x = 1").last().map(|m| m.tag),
            Some(b'Z'),
            "the next client gets a new server"
        );
    }
}

#[test]
fn server_gone_within_a_row() {
    if direct_only() {
        return;
    }
    // Half a row, and room in its other half for an error to hide in.
    let row = msg::frame(b'D', &[&b"\0\x01\0\0\x01\0"[..], &[b'x'; 256]].concat());
    let server = faulty("fault", |peer| {
        let row = msg::frame(b'D', &[&b"\0\x01\0\0\x01\0"[..], &[b'x'; 256]].concat());
        peer.send(&row[..200]);
    });
    let proxy = Proxy::start(&server.url("pool_size=1"));
    let mut client = Client::connect(&proxy.endpoint(), &app_login());
    client.send(&msg::query("fault"));
    let heard = client.read().expect_err("nothing is told inside a row");
    assert_eq!(heard, format!("closed within a message: {:?}", String::from_utf8_lossy(&row[..200])));
}

#[test]
fn server_that_stalls_in_the_login() {
    if direct_only() {
        return;
    }
    let server = ScriptedServer::start(|_, peer| {
        peer.stall(Duration::from_secs(15));
        Ok(())
    });
    let options = ProxyOptions::url(&server.url("pool_size=1"))
        .config("[limits]\nconnect_timeout = \"1s\"\nqueue_timeout = \"2s\"\n");
    let proxy = Proxy::start_with(&options);
    let start = Instant::now();
    let mut client = Client::dial(&proxy.endpoint()).expect("it connects");
    let messages = client.login(&app_login()).expect("an answer in time");
    assert!(messages.iter().any(|m| m.tag == b'E'), "the client is told: {messages:?}");
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[test]
fn notification_on_an_idle_server() {
    if direct_only() {
        return;
    }
    let server = ScriptedServer::start(|_, peer| {
        if peer.login().is_err() {
            return Ok(());
        }
        while let Some(message) = peer.read()? {
            match message.tag {
                b'Q' => {
                    peer.complete("SET", b'I');
                    for n in 0..1000 {
                        peer.send(&msg::frame(b'N', format!("SNOTICE\0C00000\0Mnotice {n}\0\0").as_bytes()));
                        peer.send(&msg::frame(b'A', b"\0\0\0\x01ch\0payload\0"));
                    }
                }
                b'S' => peer.ready(b'I'),
                b'X' => break,
                _ => {}
            }
        }
        Ok(())
    });
    let proxy = Proxy::start(&server.url("pool_size=1"));
    let mut client = Client::connect(&proxy.endpoint(), &app_login());
    for _ in 0..20 {
        let messages = client.simple("set x = 1");
        assert!(
            !messages.iter().any(|m| m.tag == b'A'),
            "a session that does not listen hears no notification"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn stop_on_sigterm() {
    let Some((database, mut proxy)) = proxied("pool_size=2") else {
        return;
    };
    let mut client = Client::connect(&proxy.endpoint(), &database.login());
    client.run("select 1");
    let status = proxy.stop();
    assert!(status.success(), "{status}");
    eventually("no server session is left", || idle_servers(&database) == "0");
}

#[test]
fn reload_on_sighup() {
    let Some((database, proxy)) = proxied("pool_size=2") else {
        return;
    };
    let mut client = Client::connect(&proxy.endpoint(), &database.login());
    client.run("begin");
    client.run("select 1");
    proxy.signal("HUP");
    std::thread::sleep(Duration::from_millis(200));
    client.run("commit");
    assert_eq!(client.value("select 'still here'"), "still here");
    assert_eq!(Client::connect(&proxy.endpoint(), &database.login()).value("select 1"), "1");
}
