//! `max_rows`: rows up to the limit, then an error, a server that has stopped, and a session as good as before.

use std::time::{Duration, Instant};

use super::applied::{Ruled, error};
use crate::harness::cluster::Cluster;
use crate::harness::message::Message;
use crate::harness::raw::Client;
use crate::harness::{eventually, frontend as msg};

const RULES: &str = r#"
[[rule]]
name = "few"
when.text_regex = "/\\* few"
then.max_rows = 5
"#;

fn few(n: u32) -> String {
    format!("select generate_series(1, {n}) as g /* few */")
}

fn tags(messages: &[Message]) -> String {
    messages.iter().map(|message| message.tag as char).collect()
}

fn count(messages: &[Message], tag: u8) -> usize {
    messages.iter().filter(|message| message.tag == tag).count()
}

/// Five rows came, then the error of the rule; the transaction is in that status behind it.
#[track_caller]
fn assert_stopped(messages: &[Message], status: u8) {
    let told = error(messages);
    let field = |code| told.field(code).unwrap_or_default();
    let message = "more than 5 rows, which is what rule \"few\" allows";
    assert_eq!(
        (field(b'S').as_str(), field(b'C').as_str(), field(b'M').as_str()),
        ("ERROR", "54000", message)
    );
    assert!(field(b'H').contains("LIMIT"));
    assert_eq!(count(messages, b'E'), 1, "{messages:?}");
    let ready = messages.last().expect("an answer");
    assert_eq!((ready.tag, ready.body[0] as char), (b'Z', status as char));
}

/// Statements that run for the database of a test.
fn at_work(ruled: &Ruled) -> String {
    let mut superuser = Cluster::shared().superuser(&ruled.databases[0].name);
    superuser.value(
        "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() \
         and (state like 'idle in%' or state = 'active')",
    )
}

#[test]
fn a_query_ends_behind_its_rows() {
    let Some(ruled) = Ruled::new(RULES) else { return };
    let mut client = ruled.client();
    assert_eq!(tags(&client.simple(&few(5))), "TDDDDDCZ");
    let answer = client.simple(&few(6));
    assert_eq!(tags(&answer), "TDDDDDEZ");
    assert_stopped(&answer, b'I');
    assert_eq!(client.value("select 1"), "1");
    // So much that it could not be read in the time.
    let began = Instant::now();
    assert_stopped(&client.simple(&few(2_000_000_000)), b'I');
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    eventually("nothing is at work", || at_work(&ruled) == "0");
    // Rows of one megabyte each.
    assert_stopped(
        &client.simple("select repeat('x', 1000000 + generate_series(1, 100000)) /* few */"),
        b'I',
    );
    assert_eq!(client.value("select 1"), "1");
    assert_eq!(ruled.hits("few"), [4, 0]);
    let name = &ruled.databases[0].name;
    let told = ruled.metric(&format!("pgweir_errors_total{{database=\"{name}\",user=\"app\",class=\"54\"}}"));
    assert_eq!(told, "3");
}

#[test]
fn a_transaction_fails_with_it() {
    let Some(ruled) = Ruled::new(RULES) else { return };
    let mut client = ruled.client();
    for rows in [6, 100_000_000] {
        client.run("begin");
        client.run("insert into t values (6)");
        assert_stopped(&client.simple(&few(rows)), b'E');
        assert_eq!(client.error("select 1"), "25P02");
        assert_eq!(client.simple("commit")[0].command_tag(), "ROLLBACK");
        assert_eq!(client.value("select count(*) from t"), "5");
        // The first statement of one, and a savepoint.
        client.run("begin");
        client.run("savepoint a");
        assert_stopped(&client.simple(&few(rows)), b'E');
        client.run("rollback to a");
        assert_eq!(client.value("select 1"), "1");
        client.run("commit");
    }
    // Writes are limited where they can be undone.
    let write = "insert into t select generate_series(1, 10) returning i /* few */";
    client.run("begin");
    assert_stopped(&client.simple(write), b'E');
    client.run("rollback");
    assert_eq!(client.value("select count(*) from t"), "5");
    assert_eq!(count(&client.simple(write), b'D'), 10);
    assert_eq!(client.value("select count(*) from t"), "15");
    // What a cursor gives.
    client.run("begin; declare c cursor for select generate_series(1, 100)");
    assert_eq!(count(&client.simple("fetch 5 from c /* few */"), b'D'), 5);
    assert_stopped(&client.simple("fetch 6 from c /* few */"), b'E');
    client.run("rollback");
}

#[test]
fn a_pipeline_goes_on_behind_it() {
    let Some(ruled) = Ruled::new(RULES) else { return };
    let mut client = ruled.client();
    let texts = [
        "select 1",
        &few(6),
        "select 2",
        "begin",
        "insert into t values (6)",
        &few(7),
        "insert into t values (7)",
        "commit",
        "select count(*) from t",
    ];
    client.send(&texts.map(msg::query).concat());
    let answers = texts.map(|_| client.until_ready());
    assert_stopped(&answers[1], b'I');
    assert_eq!(answers[2].iter().find(|m| m.tag == b'D').map(Message::value).as_deref(), Some("2"));
    assert_stopped(&answers[5], b'E');
    assert_eq!(error(&answers[6]).sqlstate(), "25P02");
    assert_eq!(answers[7][0].command_tag(), "ROLLBACK");
    assert_eq!(answers[8].iter().find(|m| m.tag == b'D').map(Message::value).as_deref(), Some("5"));
}

#[test]
fn the_extended_protocol_ends_behind_its_rows() {
    let Some(ruled) = Ruled::new(RULES) else { return };
    let mut client = ruled.client();
    client.send(&[msg::unnamed(&few(5), &[]), msg::sync()].concat());
    assert_eq!(tags(&client.until_ready()), "12TDDDDDCZ");
    for rows in [6, 100_000_000] {
        client.send(&[msg::unnamed(&few(rows), &[]), msg::sync()].concat());
        let answer = client.until_ready();
        assert_eq!(tags(&answer), "12TDDDDDEZ");
        assert_stopped(&answer, b'I');
        // In a transaction.
        client.run("begin");
        client.run("insert into t values (6)");
        client.send(&[msg::unnamed(&few(rows), &[]), msg::sync()].concat());
        assert_stopped(&client.until_ready(), b'E');
        assert_eq!(client.simple("commit")[0].command_tag(), "ROLLBACK");
        // What stands behind it in its batch is skipped, what stood before it is undone.
        let insert = msg::unnamed("insert into t values (6)", &[]);
        client.send(&[insert.clone(), msg::unnamed(&few(rows), &[]), insert.clone(), msg::sync()].concat());
        let answer = client.until_ready();
        assert_eq!(tags(&answer), "12nC12TDDDDDEZ");
        assert_stopped(&answer, b'I');
        // Its end comes later.
        client.send(&msg::unnamed(&few(rows), &[]));
        let answer = client.until(b'E').expect("an error without being asked for");
        assert_eq!(tags(&answer), "12TDDDDDE");
        client.send(&[insert, msg::sync()].concat());
        assert_eq!(tags(&client.until_ready()), "Z");
        assert_eq!(client.value("select count(*) from t"), "5");
    }
    client.send(&[msg::parse("s", &few(9)), msg::sync()].concat());
    client.until_ready();
    for _ in 0..3 {
        client.send(&[msg::bind("", "s", &[]), msg::execute("", 0), msg::sync()].concat());
        assert_stopped(&client.until_ready(), b'I');
    }
    assert_eq!(client.value("select count(*) from t"), "5");
    eventually("nothing is at work", || at_work(&ruled) == "0");
}

#[test]
fn a_portal_counts_all_its_pieces() {
    let Some(ruled) = Ruled::new(RULES) else { return };
    let mut client = ruled.client();
    client.run("begin");
    client.send(
        &[msg::parse("", &few(20)), msg::bind("p", "", &[]), msg::execute("p", 3), msg::sync()].concat(),
    );
    assert_eq!(tags(&client.until_ready()), "12DDDsZ");
    client.send(&[msg::execute("p", 3), msg::sync()].concat());
    let answer = client.until_ready();
    assert_eq!(tags(&answer), "DDEZ");
    assert_stopped(&answer, b'E');
    client.run("rollback");
    // In pieces within one batch; and exactly as many as are allowed.
    let pieces = |n: u32, size: u32| {
        let mut batch = [msg::parse("", &few(n)), msg::bind("", "", &[])].concat();
        (0..4).for_each(|_| batch.extend(msg::execute("", size)));
        [batch, msg::sync()].concat()
    };
    client.send(&pieces(20, 2));
    let answer = client.until_ready();
    assert_eq!(tags(&answer), "12DDsDDsDEZ");
    assert_stopped(&answer, b'I');
    client.send(&pieces(5, 5));
    assert_eq!(tags(&client.until_ready()), "12DDDDDsCCCZ");
    assert_eq!(client.value("select 1"), "1");
}

#[test]
fn copies_out_end_behind_their_rows() {
    let Some(ruled) = Ruled::new(RULES) else { return };
    let mut client = ruled.client();
    let copy = |n: u32| format!("copy (select generate_series(1, {n})) to stdout /* few */");
    assert_eq!(tags(&client.simple(&copy(5))), "HdddddcCZ");
    let answer = client.simple(&copy(100_000_000));
    assert_eq!(tags(&answer), "HddddddEZ", "a header or a trailer would be one more");
    assert_stopped(&answer, b'I');
    let answer = client.simple(&copy(8));
    assert_eq!(tags(&answer), "HddddddEZ");
    client.send(&[msg::unnamed(&copy(8), &[]), msg::sync()].concat());
    assert_stopped(&client.until_ready(), b'I');
    // COPY FROM is none of its business.
    client.send(&msg::query("copy t from stdin /* few */"));
    client.until(b'G').expect("it begins");
    client.send(
        &[(0..9).flat_map(|n| msg::copy_data(format!("{n}\n").as_bytes())).collect(), msg::copy_done()]
            .concat(),
    );
    assert_eq!(client.until_ready()[0].command_tag(), "COPY 9");
    assert_stopped(&client.simple("copy t to stdout /* few */"), b'I');
}

#[test]
fn the_cancel_hits_nothing_else() {
    let Some(ruled) = Ruled::new(RULES) else { return };
    let run = |client: &mut Client, n: u32| {
        for round in 0..60 {
            let rows = [6, 50, 3000, 200_000][(round as usize + n as usize) % 4];
            if round % 2 == 0 {
                assert_stopped(&client.simple(&few(rows)), b'I');
            } else {
                client.send(
                    &[msg::unnamed(&few(rows), &[]), msg::sync(), msg::query("select pg_sleep(0.002)")]
                        .concat(),
                );
                assert_stopped(&client.until_ready(), b'I');
                assert_eq!(count(&client.until_ready(), b'E'), 0, "a cancel came late");
            }
            assert_eq!(count(&client.simple("select pg_sleep(0.002)"), b'E'), 0, "a cancel came late");
        }
    };
    let mut clients: Vec<_> = (0..6).map(|_| ruled.client()).collect();
    std::thread::scope(|scope| {
        for (n, client) in clients.iter_mut().enumerate() {
            scope.spawn(move || run(client, n as u32));
        }
    });
    // Those who leave in the middle of it.
    for _ in 0..20 {
        let mut client = ruled.client();
        client.send(&msg::query(&few(200_000)));
        client.until(b'E').expect("it is told");
    }
    drop(clients);
    eventually("nothing is at work", || at_work(&ruled) == "0");
    let mut client = ruled.client();
    for _ in 0..20 {
        assert_eq!(count(&client.simple("select pg_sleep(0.002)"), b'E'), 0, "a cancel came late");
    }
}

#[test]
fn a_server_that_does_not_stop_is_closed() {
    let Some(ruled) = Ruled::new(RULES) else { return };
    ruled.databases[0].setup(
        "create function stubborn(i int) returns text language plpgsql as $$ begin if i > 6 then \
         begin perform pg_sleep(60); exception when query_canceled then perform pg_sleep(60); end; \
         end if; return i::text; end $$",
    );
    // The cancel may come before the server has got as far as to what does not stop.
    let mut tries = 0;
    let mut client = loop {
        let mut client = ruled.client();
        client.run("begin");
        // Long rows, so that they are sent one by one.
        client.send(&msg::query(
            "select repeat('x', 20000) || stubborn(g) from generate_series(1, 10) as g /* few */",
        ));
        let began = Instant::now();
        let answer = client.until(b'E').expect("an error");
        let told = error(&answer);
        assert_eq!((told.sqlstate().as_str(), count(&answer, b'D')), ("54000", 5));
        let (severity, took) = (told.field(b'S'), began.elapsed());
        if severity.as_deref() == Some("FATAL") {
            assert!(took > Duration::from_secs(9) && took < Duration::from_secs(15), "{took:?}");
            break client;
        }
        tries += 1;
        assert!(tries < 10, "it has stopped each time");
    };
    assert_eq!(client.read().expect("no garbage").map(|message| message.tag), None, "the session has ended");
    eventually("nothing is at work", || at_work(&ruled) == "0");
    assert_eq!(ruled.client().value("select 1"), "1");
}
