//! `timeout` in rules: the server is told, for the statement and for nothing else.

use std::time::{Duration, Instant};

use super::applied::{Ruled, error};
use crate::harness::cluster::Cluster;
use crate::harness::frontend as msg;
use crate::harness::message::Message;
use crate::harness::raw::Client;

/// What mentions `slow` may run for three seconds, and what mentions `brief` for a quarter of one.
const RULES: &str = r#"
[[rule]]
name = "slow"
when.text_regex = "slow"
then.timeout = "3s"

[[rule]]
name = "brief"
when.text_regex = "brief"
then.timeout = "250ms"
"#;

/// A statement that says what is in force while it runs.
const SLOW: &str = "select current_setting('statement_timeout') /* slow */";
const BRIEF: &str = "select current_setting('statement_timeout') /* brief */";
const FREE: &str = "select current_setting('statement_timeout')";

fn batch(text: &str) -> Vec<u8> {
    [msg::unnamed(text, &[]), msg::sync()].concat()
}

fn named(name: &str) -> Vec<u8> {
    [msg::bind("", name, &[]), msg::execute("", 0)].concat()
}

fn values(messages: &[Message]) -> Vec<String> {
    messages.iter().filter(|message| message.tag == b'D').map(Message::value).collect()
}

fn extended(client: &mut Client, text: &str) -> String {
    client.send(&batch(text));
    let answer = client.until_ready();
    values(&answer).pop().unwrap_or_else(|| panic!("no row: {answer:?}"))
}

/// What each of these says that is in force, in both protocols.
#[track_caller]
fn check(client: &mut Client, expected: &[(&str, &str)]) {
    for (text, value) in expected {
        assert_eq!(client.value(text), *value, "{text}");
        assert_eq!(extended(client, text), *value, "{text}, extended");
    }
    for (text, value) in expected.iter().rev() {
        assert_eq!(extended(client, text), *value, "{text}, extended");
        assert_eq!(client.value(text), *value, "{text}");
    }
}

#[test]
fn what_takes_too_long_is_cancelled_by_the_server() {
    let Some(ruled) = Ruled::with(RULES, "pool_size=1") else { return };
    let mut client = ruled.client();
    let sleep = "select pg_sleep(20) /* brief */";
    for in_transaction in [false, true] {
        for form in [msg::query(sleep), batch(sleep)] {
            if in_transaction {
                client.run("begin");
                client.run("select 1");
            }
            let began = Instant::now();
            client.send(&form);
            let answer = client.until_ready();
            let told = (error(&answer).sqlstate(), error(&answer).field(b'M').unwrap_or_default());
            assert_eq!(told, ("57014".into(), "canceling statement due to statement timeout".into()));
            let took = began.elapsed();
            assert!(took >= Duration::from_millis(240) && took < Duration::from_secs(5), "{took:?}");
            if in_transaction {
                assert_eq!(client.error("select 1"), "25P02");
                client.run("rollback");
            }
            check(&mut client, &[(FREE, "0")]);
        }
    }
    assert_eq!(ruled.hits("brief"), [4, 0]);
}

#[test]
fn it_is_for_the_statement_only() {
    let Some(ruled) = Ruled::with(RULES, "pool_size=1") else { return };
    let (mut client, mut other) = (ruled.client(), ruled.client());
    for _ in 0..2 {
        check(&mut client, &[(SLOW, "3s"), (FREE, "0"), (BRIEF, "250ms"), (SLOW, "3s"), (SLOW, "3s")]);
        check(&mut other, &[(FREE, "0"), (SLOW, "3s")]);
        assert_eq!(client.value("show statement_timeout"), "0");
        assert_eq!(other.value(FREE), "0");
    }
    // In one write, outside of transactions and in one.
    let texts = [SLOW, FREE, BRIEF, "begin", SLOW, SLOW, FREE, BRIEF, "commit", SLOW, FREE];
    client.send(&texts.map(msg::query).concat());
    let answers: Vec<_> = texts.iter().flat_map(|_| values(&client.until_ready())).collect();
    assert_eq!(answers, ["3s", "0", "250ms", "3s", "3s", "0", "250ms", "3s", "0"]);
    client.send(&texts.map(batch).concat());
    let answers: Vec<_> = texts.iter().flat_map(|_| values(&client.until_ready())).collect();
    assert_eq!(answers, ["3s", "0", "250ms", "3s", "3s", "0", "250ms", "3s", "0"]);
    // A transaction of its own, in all ways.
    for end in ["commit", "rollback"] {
        client.run("begin");
        check(&mut client, &[(SLOW, "3s"), (FREE, "0"), (BRIEF, "250ms")]);
        client.run("savepoint a");
        check(&mut client, &[(SLOW, "3s"), (FREE, "0")]);
        client.simple("select 1/0 /* slow */");
        client.run("rollback to a");
        check(&mut client, &[(FREE, "0"), (SLOW, "3s")]);
        client.run("rollback to a");
        check(&mut client, &[(FREE, "0")]);
        assert_eq!(client.value(SLOW), "3s");
        client.run(end);
        assert_eq!(client.value(FREE), "0");
        check(&mut other, &[(FREE, "0")]);
    }
}

#[test]
fn batches_of_several_statements() {
    let Some(ruled) = Ruled::with(RULES, "pool_size=1") else { return };
    let mut client = ruled.client();
    let prepare =
        [msg::parse("f", FREE), msg::parse("s", SLOW), msg::parse("b", BRIEF), msg::sync()].concat();
    client.send(&prepare);
    client.until_ready();
    for begin in [false, true] {
        if begin {
            client.run("begin");
        }
        let all = ["f", "s", "f", "b", "s", "s", "f"].map(named).concat();
        client.send(&[all, msg::sync()].concat());
        assert_eq!(values(&client.until_ready()), ["0", "3s", "0", "250ms", "3s", "3s", "0"]);
        // Prepared in the batch where it is run.
        let prepared =
            [msg::parse("", SLOW), msg::parse("x", FREE), named(""), named("x"), msg::sync()].concat();
        client.send(&prepared);
        assert_eq!(values(&client.until_ready()), ["3s", "0"]);
        client.send(&[msg::close_statement("x"), named("f"), msg::sync()].concat());
        assert_eq!(values(&client.until_ready()), ["0"]);
        // One batch behind the other.
        client.send(&["s", "f", "b"].map(|name| [named(name), msg::sync()].concat()).concat());
        let answers: Vec<_> = (0..3).flat_map(|_| values(&client.until_ready())).collect();
        assert_eq!(answers, ["3s", "0", "250ms"]);
        // Flush, and a pause, between the messages of a batch.
        client.send(&[msg::parse("", SLOW), msg::describe_statement(""), msg::flush()].concat());
        client.until(b'T').expect("it is described");
        client.send(&[named(""), msg::sync()].concat());
        assert_eq!(values(&client.until_ready()), ["3s"]);
        client.send(&[msg::describe_statement("f"), named("f"), msg::sync()].concat());
        assert_eq!(values(&client.until_ready()), ["0"]);
    }
    client.run("commit");
    check(&mut client, &[(FREE, "0"), (SLOW, "3s")]);
}

#[test]
fn the_least_is_in_force_and_what_the_session_sets_is_its_own() {
    let Some(ruled) = Ruled::with(RULES, "pool_size=1") else { return };
    let (mut client, mut other) = (ruled.client(), ruled.client());
    client.run("set statement_timeout = '1s'");
    check(&mut client, &[(SLOW, "1s"), (FREE, "1s"), (BRIEF, "250ms"), (FREE, "1s")]);
    check(&mut other, &[(SLOW, "3s"), (FREE, "0")]);
    client.send(&batch("set statement_timeout = '3s'"));
    client.until_ready();
    check(&mut client, &[(SLOW, "3s"), (FREE, "3s"), (BRIEF, "250ms"), (FREE, "3s")]);
    check(&mut other, &[(BRIEF, "250ms"), (FREE, "0")]);
    client.run("set statement_timeout = '1min'");
    check(&mut client, &[(SLOW, "3s"), (FREE, "1min")]);
    client.run("begin");
    client.run("set local statement_timeout = '2s'");
    check(&mut client, &[(SLOW, "2s"), (FREE, "2s"), (BRIEF, "250ms"), (FREE, "2s")]);
    client.run("set statement_timeout = '4s'");
    check(&mut client, &[(SLOW, "3s"), (FREE, "4s")]);
    assert_eq!(client.value(SLOW), "3s");
    client.run("commit");
    check(&mut client, &[(FREE, "4s"), (SLOW, "3s")]);
    // The pipeline knows of it as well.
    let texts = ["set statement_timeout = '2s'", SLOW, FREE, "reset statement_timeout", SLOW, FREE];
    client.send(&texts.map(msg::query).concat());
    let answers: Vec<_> = texts.iter().flat_map(|_| values(&client.until_ready())).collect();
    assert_eq!(answers, ["2s", "2s", "3s", "0"]);
    // What code sets while a limit is in force.
    client.run("do $$ begin perform set_config('statement_timeout', '7s', false); /* slow */ end $$");
    check(&mut client, &[(FREE, "7s"), (SLOW, "3s"), (FREE, "7s")]);
    client.run("do $$ begin perform set_config('work_mem', '7MB', false); /* slow */ end $$");
    check(&mut client, &[(FREE, "7s"), (SLOW, "3s"), (FREE, "7s")]);
    assert_eq!(client.value("show work_mem"), "7MB");
    check(&mut other, &[(FREE, "0"), (SLOW, "3s"), (FREE, "0")]);
    client.run("discard all");
    check(&mut client, &[(FREE, "0"), (SLOW, "3s"), (FREE, "0")]);
}

/// A limit in force is nobody's own, when it is asked for the second time either.
#[test]
fn a_statement_that_comes_while_it_is_asked_what_the_one_before_has_set() {
    let Some(ruled) = Ruled::with(RULES, "pool_size=1") else { return };
    let mut client = ruled.client();
    // While the names in it are read anew, it is asked behind every statement what it has set.
    let defines = "do $$ begin perform set_config('work_mem', '8MB', false); end $$";
    for (own, limit) in [("7s", "3s"), ("2s", "2s"), ("0", "3s")] {
        client.run(&format!("set statement_timeout = '{own}'"));
        for _ in 0..50 {
            client.run(defines);
            assert_eq!(extended(&mut client, SLOW), limit);
            assert_eq!(client.value(SLOW), limit);
            assert_eq!(client.value(FREE), own);
            assert_eq!(extended(&mut client, FREE), own);
        }
    }
}

#[test]
fn the_default_of_the_database_counts_and_kept_servers_too() {
    let Some(ruled) = Ruled::with(RULES, "pool_size=2") else { return };
    let name = &ruled.databases[0].name;
    let mut superuser = Cluster::shared().superuser("postgres");
    superuser.run(&format!("alter database \"{name}\" set statement_timeout = '2s'"));
    let mut client = ruled.client();
    check(&mut client, &[(FREE, "2s"), (SLOW, "2s"), (BRIEF, "250ms"), (FREE, "2s")]);
    client.run("begin");
    check(&mut client, &[(FREE, "2s"), (SLOW, "2s"), (BRIEF, "250ms"), (FREE, "2s")]);
    client.run("commit");
    // A session that keeps its server.
    client.run("create temp table own (i int)");
    client.run("set statement_timeout = 0");
    check(&mut client, &[(FREE, "0"), (SLOW, "3s"), (BRIEF, "250ms"), (FREE, "0")]);
    client.run("begin");
    check(&mut client, &[(SLOW, "3s"), (FREE, "0")]);
    client.run("commit");
    check(&mut client, &[(SLOW, "3s"), (FREE, "0")]);
    let mut other = ruled.client();
    check(&mut other, &[(FREE, "2s")]);
}

#[test]
fn texts_that_begin_and_end_transactions_are_not_limited() {
    let rules = "[[rule]]\nname = \"all\"\nthen.timeout = \"2s\"\n";
    let Some(ruled) = Ruled::with(rules, "pool_size=1") else { return };
    let mut client = ruled.client();
    for _ in 0..2 {
        assert_eq!(client.value("show statement_timeout"), "0");
        assert_eq!(client.value(FREE), "2s");
        assert_eq!(values(&client.simple(&format!("{FREE}; {FREE}"))), ["2s", "2s"]);
        client.run("begin");
        assert_eq!(client.value(FREE), "2s");
        assert_eq!(client.value("show statement_timeout"), "0");
        client.run("savepoint a");
        client.run("rollback to a");
        client.run("commit");
        assert_eq!(values(&client.simple(&format!("begin; {FREE}; commit"))), ["0"]);
        client.run("set statement_timeout = '9s'");
        assert_eq!(client.value(FREE), "2s");
        assert_eq!(client.value("show statement_timeout"), "9s");
        client.run("reset statement_timeout");
    }
}

/// Sessions that go wrong in every way, beside one that looks for what they leave behind.
#[test]
fn nothing_is_left_behind_by_chaos() {
    let Some(ruled) = Ruled::with(RULES, "pool_size=2") else { return };
    let ways: [&dyn Fn(&mut Client); 7] = [
        &|client| drop(client.simple("select 1/0 /* brief */")),
        &|client| drop(client.simple("select pg_sleep(3) /* brief */")),
        &|client| client.send(&msg::query("select pg_sleep(3) /* slow */")),
        &|client| {
            client.run("begin");
            client.run(SLOW);
        },
        &|client| client.send(&[msg::parse("", SLOW), named("")].concat()),
        &|client| {
            client.send(&msg::query("select pg_terminate_backend(pg_backend_pid()) /* slow */"));
            while client.read().is_ok_and(|message| message.is_some()) {}
        },
        &|client| {
            client.run("create temp table x (i int)");
            client.run(BRIEF);
        },
    ];
    for way in ways {
        for _ in 0..3 {
            let mut client = ruled.client();
            way(&mut client);
            drop(client);
            let mut other = ruled.client();
            for _ in 0..4 {
                assert_eq!(other.value(FREE), "0");
                assert_eq!(extended(&mut other, FREE), "0");
            }
        }
    }
}
