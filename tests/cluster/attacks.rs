//! What an attack on reads at replicas has found: each is here as the smallest case that once went wrong.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::routing::Routed;
use crate::harness::message::Message;
use crate::harness::raw::{self, Client};
use crate::harness::{direct_only, eventually, frontend as msg};

fn tags(answer: &[Message]) -> String {
    answer.iter().map(|message| message.tag as char).collect()
}

fn value(answer: &[Message]) -> Option<String> {
    answer.iter().find(|message| message.tag == b'D').map(Message::value)
}

/// Drivers prepare and describe, then bind: a replica that does not know of the table yet is asked what the statement is, before anything
/// is sent.
#[test]
fn what_was_described_is_bound_where_a_replica_does_not_know_it() {
    if direct_only() {
        return;
    }
    for consistency in ["any", "session"] {
        let routed = Routed::new(1, &format!("consistency={consistency}"));
        routed.pause(0, true);
        let mut superuser = routed.scene.primary.superuser("postgres");
        superuser.run("create table young as select 7 as seven; grant all on young to public");
        for (name, pieces) in [("s", false), ("", false), ("s", true)] {
            let mut client = routed.connect();
            let prepare =
                [msg::parse(name, "select seven from young"), msg::describe_statement(name)].concat();
            client.send(&[prepare, msg::sync()].concat());
            assert_eq!(tags(&client.until_ready()), "1tTZ");
            let bind = [msg::bind("", name, &[]), msg::execute("", 0), msg::sync()].concat();
            // What stands behind it is answered once, and in its place.
            let bytes = [&bind[..], &msg::query("select 8"), &bind].concat();
            match pieces {
                true => bytes.chunks(7).for_each(|piece| client.send(piece)),
                false => client.send(&bytes),
            }
            let answer = client.until_ready();
            assert_eq!((tags(&answer).as_str(), value(&answer).as_deref()), ("2DCZ", Some("7")), "{name:?}");
            assert_eq!(value(&client.until_ready()).as_deref(), Some("8"));
            let last = client.until_ready();
            match name {
                "" => assert_eq!(tags(&last), "EZ", "the Query has taken it away"),
                _ => assert_eq!(value(&last).as_deref(), Some("7")),
            }
        }
        assert!(routed.counted("pgweir_replica_reads_total", "asked_again") > 0, "{consistency}");
        routed.pause(0, false);
    }
}

/// What a replica has told of a statement before it failed was not given to the client, which is told another thing by the primary.
#[test]
fn what_a_replica_told_in_vain_is_not_held_against_the_client() {
    if direct_only() {
        return;
    }
    let routed = Routed::new(1, "consistency=any");
    let mut superuser = routed.scene.primary.superuser("postgres");
    superuser.run("create table v (i int, n int); insert into v values (1, 0); grant all on v to public");
    let caught_up = "select count(*) from v";
    eventually("the replica has it", || {
        routed.scene.standbys[0]
            .superuser("postgres")
            .simple(caught_up)
            .iter()
            .any(|message| message.tag == b'D')
    });
    routed.pause(0, true);
    superuser.run("alter table v add column j int; update v set n = 1");
    for name in ["s", ""] {
        let mut client = routed.connect();
        client.send(&[msg::parse(name, "select *, 1 / n from v"), msg::sync()].concat());
        client.until_ready();
        for _ in 0..3 {
            let run = [msg::bind("", name, &[]), msg::describe_portal(""), msg::execute("", 0), msg::sync()];
            client.send(&run.concat());
            assert_eq!(tags(&client.until_ready()), "2TDCZ");
        }
    }
    assert!(routed.counted("pgweir_replica_reads_total", "asked_again") > 0);
    routed.pause(0, false);
}

/// A read that waits for a replica to catch up can be cancelled as any other.
#[test]
fn who_waits_for_a_replica_can_be_cancelled() {
    if direct_only() {
        return;
    }
    let routed = Routed::new(1, "consistency=session&replica_wait=8s");
    let mut client = routed.connect();
    routed.pause(0, true);
    let unnamed = [msg::unnamed("select n from t where i = 5", &[]), msg::sync()].concat();
    for form in [msg::query("select n from t where i = 5"), unnamed] {
        client.run("update t set n = n + 1 where i = 5");
        let asked = Instant::now();
        client.send(&form);
        std::thread::sleep(Duration::from_millis(200));
        raw::cancel(&routed.endpoint(), client.pid, &client.key);
        let answer = client.until_ready();
        assert_eq!((tags(&answer).as_str(), answer[0].sqlstate().as_str()), ("EZ", "57014"), "{answer:?}");
        assert!(asked.elapsed() < Duration::from_secs(6), "{:?}", asked.elapsed());
    }
    routed.pause(0, false);
    assert_eq!(client.value("select n from t where i = 5"), "2");
}

/// Notices are kept until a row comes: not without bound, and not so that nothing is read any more.
#[test]
fn notices_ahead_of_a_row_do_not_stop_it() {
    if direct_only() {
        return;
    }
    let routed = Routed::new(1, "consistency=any");
    let mut superuser = routed.scene.primary.superuser("postgres");
    superuser.run(
        "create function loud(n int) returns int stable language plpgsql as $$ begin \
         for i in 1..n loop raise notice '%', repeat('x', 1000); end loop; return n; end $$",
    );
    let mut client = routed.connect();
    let mut heard = |n: usize| {
        let answer = client.simple(&format!("select loud({n})"));
        assert_eq!(value(&answer), Some(n.to_string()));
        assert_eq!(answer.iter().filter(|message| message.tag == b'N').count(), n);
    };
    eventually("it is known that it only reads", || {
        let before = routed.counted("pgweir_replica_reads_total", "answered");
        heard(1);
        std::thread::sleep(Duration::from_millis(20));
        routed.counted("pgweir_replica_reads_total", "answered") > before
    });
    let before = routed.counted("pgweir_replica_reads_total", "answered");
    for n in [100, 250, 300, 3000] {
        heard(n);
    }
    assert_eq!(routed.counted("pgweir_replica_reads_total", "answered"), before + 4);
}

/// What a session has set may be unknown to a replica that is behind.
#[test]
fn settings_that_a_replica_does_not_take_are_the_primarys() {
    if direct_only() {
        return;
    }
    let routed = Routed::new(1, "consistency=any");
    routed.pause(0, true);
    let mut superuser = routed.scene.primary.superuser("postgres");
    superuser.run("create role fresh; grant fresh to app; create text search configuration public.fresh (copy = english)");
    for set in ["set role fresh", "set default_text_search_config = 'public.fresh'"] {
        let mut client = routed.connect();
        client.run(set);
        let read = "select i from t where i = 5";
        let unnamed = [msg::unnamed(read, &[]), msg::sync()].concat();
        for form in [msg::query(read), unnamed] {
            std::thread::sleep(Duration::from_millis(20));
            let before = routed.counted("pgweir_replica_reads_total", "asked_again");
            client.send(&[form, msg::query("select 8")].concat());
            assert_eq!(value(&client.until_ready()).as_deref(), Some("5"), "{set}");
            assert_eq!(value(&client.until_ready()).as_deref(), Some("8"), "{set}");
            assert!(routed.counted("pgweir_replica_reads_total", "asked_again") > before, "{set}");
        }
    }
    routed.pause(0, false);
}

/// A read that has come to a replica behind another session's: what its client has sent behind it is not for that replica.
#[test]
fn what_is_sent_behind_a_read_that_follows_goes_to_the_primary() {
    send_behind_reads_that_follow(|name, text| match name {
        "" => vec![],
        _ => msg::query(text),
    });
}

/// The same of prepared reads, and what the replica answers with an error is asked of the primary.
#[test]
fn what_is_sent_behind_a_prepared_read_that_follows_goes_to_the_primary() {
    send_behind_reads_that_follow(|name, text| match name {
        "" => {
            let fails = msg::parse("fails", "select 1 / (i - i) from t where i = 1");
            [fails, msg::parse("big", BIG), msg::parse("one", "select 1"), msg::sync()].concat()
        }
        "fails" | "big" | "one" => {
            let run = [msg::bind("", name, &[]), msg::describe_portal(""), msg::execute("", 0)];
            [run.concat(), msg::sync()].concat()
        }
        _ => msg::query(text),
    });
}

const BIG: &str = "select pad from big where i <= 400";

/// `say` gives what is sent to prepare statements (under no name), and to run them.
fn send_behind_reads_that_follow(say: impl Fn(&str, &str) -> Vec<u8> + Sync) {
    if direct_only() {
        return;
    }
    let routed = Routed::new(1, "consistency=any&share_servers=always&pool_size=1");
    routed.scene.primary.superuser("postgres").run(
        "create table big as select i, repeat('y', 200) as pad from generate_series(1, 1000) i; grant all on big to public",
    );
    let followed = || routed.counted("pgweir_shared_reads_total", "answered");
    let ask = |client: &mut Client, name: &str, text: &str| {
        client.send(&say(name, text));
        client.until_ready()
    };
    let connect = || {
        let mut client = routed.connect();
        client.send(&say("", ""));
        let prepares = !say("", "").is_empty();
        prepares.then(|| client.until_ready());
        client
    };
    let mut client = connect();
    for _ in 0..600 {
        for (name, text) in [("one", "select 1"), ("sleep", "select pg_catalog.pg_sleep(0.0)"), ("big", BIG)]
        {
            ask(&mut client, name, text);
        }
    }
    let done = AtomicBool::new(false);
    let hold = |mut client: Client| {
        while !done.load(Ordering::Relaxed) {
            (0..5)
                .for_each(|_| assert_eq!(value(&ask(&mut client, "one", "select 1")).as_deref(), Some("1")));
            ask(&mut client, "sleep", "select pg_catalog.pg_sleep(0.001)");
            let failed = ask(&mut client, "fails", "select 1 / (i - i) from t where i = 1");
            let error = failed.iter().find(|message| message.tag == b'E').map(Message::sqlstate);
            assert_eq!(error.as_deref(), Some("22012"), "{failed:?}");
        }
    };
    let write = &|mut client: Client, i: usize| {
        let update = format!("update t set n = n + 1 where i = {i}");
        let pipeline = [say("big", BIG), msg::query(&update), say("one", "select 1")].concat();
        while !done.load(Ordering::Relaxed) {
            client.send(&pipeline);
            let read = client.until_ready();
            assert_eq!(read.iter().filter(|message| message.tag == b'D').count(), 400);
            assert_eq!(tags(&client.until_ready()), "CZ");
            assert_eq!(value(&client.until_ready()).as_deref(), Some("1"));
        }
    };
    std::thread::scope(|scope| {
        for holder in [0; 4].map(|_| connect()) {
            scope.spawn(|| hold(holder));
        }
        let writers = [1, 2, 3, 4].map(|i| (i, connect()));
        let writers = writers.map(|(i, client)| scope.spawn(move || write(client, i)));
        let until = Instant::now() + Duration::from_secs(20);
        while followed() < 400 && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(50));
        }
        done.store(true, Ordering::Relaxed);
        assert!(writers.map(|writer| writer.join()).iter().all(|end| end.is_ok()), "each says what it saw");
    });
    assert!(followed() > 100, "{} reads have followed", followed());
}
