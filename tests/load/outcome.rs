//! A server is lost: what was provably not sent goes to another one unseen; what may be committed is called unknown.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};

use super::prelude::*;
use crate::harness::message::cut_str;
use crate::harness::scripted::{Peer, ScriptedServer};

fn login() -> Login {
    Login::new(APP.0, APP.1, "app")
}

/// The text of a Query or Parse.
fn sql(message: &Message) -> Option<String> {
    let text = match message.tag {
        b'Q' => cut_str(&message.body),
        b'P' => cut_str(&message.body).and_then(|(_, rest)| cut_str(rest)),
        _ => None,
    };
    text.map(|(text, _)| text)
}

/// Answers everything like a server whose tables have no rows, until `fault` says that enough is enough.
fn serve(peer: &mut Peer, mut fault: impl FnMut(&mut Peer, &Message) -> bool) -> Result<(), String> {
    if peer.login().is_err() {
        return Ok(());
    }
    let mut status = b'I';
    while let Some(message) = peer.read()? {
        if fault(peer, &message) {
            return Ok(());
        }
        match message.tag {
            b'Q' => {
                let text = sql(&message).unwrap_or_default().to_ascii_lowercase();
                if text.contains("begin") {
                    status = b'T';
                } else if text.contains("commit") || text.contains("rollback") {
                    status = b'I';
                }
                peer.complete("SET", status);
            }
            b'P' => peer.send(&msg::frame(b'1', b"")),
            b'B' => peer.send(&msg::frame(b'2', b"")),
            b'D' => peer.send(&msg::frame(b'n', b"")),
            b'E' => peer.send(&msg::frame(b'C', b"SELECT 0\0")),
            b'C' => peer.send(&msg::frame(b'3', b"")),
            b'S' => peer.ready(status),
            b'X' => return Ok(()),
            _ => {}
        }
    }
    Ok(())
}

/// Runs `before`, then sends `bytes`, in which a text has LOST in it; the server reads them and dies. The client must be
/// told `expected`, and no server may see the text again.
#[track_caller]
fn check_lost(before: &[&str], bytes: &[u8], expected: &str) {
    if direct_only() {
        return;
    }
    let seen = Arc::new(AtomicU32::new(0));
    let server = ScriptedServer::start({
        let seen = seen.clone();
        move |_, peer| {
            let (mut lost, mut committing) = (false, false);
            serve(peer, |_, message| {
                if sql(message).is_some_and(|text| text.contains("LOST")) {
                    seen.fetch_add(1, Ordering::Relaxed);
                    lost = true;
                }
                committing |= sql(message).is_some_and(|text| text.contains("commit"));
                lost && (b"QSH".contains(&message.tag) || committing && message.tag == b'E')
            })
        }
    });
    let proxy = Proxy::start(&server.url("pool_size=1"));
    let mut client = Client::connect(&proxy.endpoint(), &login());
    before.iter().for_each(|sql| client.run(sql));
    client.send(bytes);
    let answer = client.until(b'Z').expect("an answer in time");
    let error = answer.last().expect("an error");
    assert_eq!((error.tag, error.sqlstate().as_str()), (b'E', expected), "{before:?}: {answer:?}");
    assert_eq!(error.field(b'S').as_deref(), Some("FATAL"));
    let mut next = Client::connect(&proxy.endpoint(), &login());
    next.run("select 1");
    assert_eq!(seen.load(Ordering::Relaxed), 1, "it reached a server once");
}

fn extended(sql: &str, end: Vec<u8>) -> Vec<u8> {
    [msg::unnamed(sql, &[]), end].concat()
}

#[test]
fn a_commit_whose_answer_is_lost_is_unknown() {
    let block = &["begin", "insert into t values (1)"];
    check_lost(block, &msg::query("commit /* LOST */"), "08007");
    check_lost(block, &msg::query("end /* LOST */; select 1"), "08007");
    check_lost(block, &msg::query("prepare transaction 'LOST'"), "08007");
    check_lost(block, &extended("commit /* LOST */", msg::sync()), "08007");
    check_lost(block, &extended("commit /* LOST */", msg::flush()), "08007");
    check_lost(&[], &msg::query("begin; insert into t values (1); commit /* LOST */"), "08007");
}

#[test]
fn a_statement_that_commits_itself_is_unknown() {
    check_lost(&[], &msg::query("insert into t values ('LOST')"), "08007");
    check_lost(&[], &msg::query("select 1; update t set i = 'LOST'"), "08007");
    check_lost(&[], &msg::query("select 'LOST' into t"), "08007");
    check_lost(&[], &extended("delete from t where i = 'LOST'", msg::sync()), "08007");
    let batch =
        [msg::unnamed("insert into t values ('LOST')", &[]), msg::unnamed("select 1", &[]), msg::sync()];
    check_lost(&["select 1"], &batch.concat(), "08007");
}

#[test]
fn a_transaction_that_is_surely_lost_is_not_called_unknown() {
    let block = &["begin", "insert into t values (1)"];
    check_lost(block, &msg::query("insert into t values ('LOST')"), "08006");
    check_lost(block, &msg::query("rollback /* LOST */"), "08006");
    check_lost(&["begin"], &msg::query("insert into t values ('LOST')"), "08006");
    check_lost(&[], &extended("insert into t values ('LOST')", msg::flush()), "08006");
    check_lost(&[], &msg::query("select 'LOST'"), "08006");
    check_lost(&[], &extended("select 'LOST'", msg::sync()), "08006");
}

/// What a client asks for, in every form; `SECOND` names it.
fn second_cycles() -> Vec<(&'static str, Vec<u8>)> {
    let named =
        [msg::parse("s", "select 'SECOND'"), msg::bind("", "s", &[]), msg::execute("", 0), msg::sync()];
    vec![
        ("simple", msg::query("insert into t values ('SECOND')")),
        ("extended", extended("insert into t values ('SECOND')", msg::sync())),
        ("named", named.concat()),
        ("pipelined", [msg::query("begin"), msg::query("update t set i = 'SECOND'")].concat()),
        (
            "batches",
            [extended("begin", msg::sync()), extended("update t set i = 'SECOND'", msg::sync())].concat(),
        ),
    ]
}

/// The answers to one of the cycles above.
fn check_answers(name: &str, client: &mut Client) {
    for _ in 0..1 + usize::from(matches!(name, "pipelined" | "batches")) {
        let messages = client.until(b'Z').expect("an answer in time");
        let good = messages.last().is_some_and(|m| m.tag == b'Z') && messages.iter().all(|m| m.tag != b'E');
        assert!(good, "{name}: {messages:?}");
    }
}

/// A BEGIN that was held back fails after all: the session ends, its statements are in no transaction.
#[test]
fn a_held_begin_that_fails() {
    if direct_only() {
        return;
    }
    for begin in [msg::query("begin"), extended("begin", msg::sync())] {
        let server = ScriptedServer::start(|_, peer| {
            serve(peer, |peer, message| {
                let begins = message.tag == b'E' || sql(message).is_some_and(|text| text == "begin");
                let fails = begins && message.tag != b'P';
                if fails {
                    peer.send(&msg::frame(b'E', b"SERROR\0VERROR\0C57014\0Mnot now\0\0"));
                    peer.stall(Duration::from_secs(5));
                }
                fails
            })
        });
        let proxy = Proxy::start(&server.url("pool_size=1"));
        let mut client = Client::connect(&proxy.endpoint(), &login());
        client.send(&begin);
        assert_eq!(client.until_ready().last().map(ToString::to_string).as_deref(), Some("ReadyForQuery T"));
        client.send(&msg::query("select 1"));
        let answer = client.until(b'Z').expect("an answer in time");
        let error = answer.last().expect("an error");
        assert_eq!((error.tag, error.sqlstate().as_str()), (b'E', "57014"), "{answer:?}");
        assert_eq!(error.field(b'S').as_deref(), Some("FATAL"));
    }
}

/// A server that dies with the answer to one session's statement is not given to the next one in line.
#[test]
fn a_server_that_dies_with_its_answer_is_not_passed_on() {
    if direct_only() {
        return;
    }
    for (name, cycle) in second_cycles() {
        for reset in [true, false] {
            let (seen, meet) = (Arc::new(AtomicU32::new(0)), Arc::new(Barrier::new(2)));
            let dying = Arc::new(AtomicUsize::new(usize::MAX));
            let server = ScriptedServer::start({
                let (seen, meet, dying) = (seen.clone(), meet.clone(), dying.clone());
                move |n, peer| {
                    serve(peer, |peer, message| {
                        let text = sql(message).unwrap_or_default();
                        seen.fetch_add(u32::from(text.contains("SECOND")), Ordering::Relaxed);
                        if text.contains("FIRST") {
                            dying.store(n, Ordering::SeqCst);
                            meet.wait();
                            meet.wait();
                            peer.complete("SELECT 0", b'I');
                            if reset {
                                peer.reset();
                            }
                        }
                        text.contains("FIRST")
                    })
                }
            });
            let proxy = Proxy::start(&server.url("pool_size=1"));
            let mut first = Client::connect(&proxy.endpoint(), &login());
            let mut second = Client::connect(&proxy.endpoint(), &login());
            first.send(&msg::query("select 'FIRST'"));
            meet.wait();
            second.send(&cycle);
            // It stands in line now, or will find no server: both are fine.
            std::thread::sleep(Duration::from_millis(20));
            proxy.freeze();
            meet.wait();
            eventually("the server is gone", || server.has_closed(dying.load(Ordering::SeqCst)));
            proxy.signal("CONT");
            assert!(first.until_ready().iter().all(|m| m.tag != b'E'));
            check_answers(name, &mut second);
            assert_eq!(seen.load(Ordering::Relaxed), 1, "{name} reached a server once");
        }
    }
}

/// The session's settings are brought to a server first, and it dies of that, or right after it.
#[test]
fn a_cycle_that_was_not_sent_goes_to_another_server() {
    if direct_only() {
        return;
    }
    for (name, cycle) in second_cycles() {
        for answered in [true, false] {
            let (seen, dead) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
            let (meet, dying) = (Arc::new(Barrier::new(2)), Arc::new(AtomicUsize::new(usize::MAX)));
            let server = ScriptedServer::start({
                let (seen, dead, meet, dying) = (seen.clone(), dead.clone(), meet.clone(), dying.clone());
                move |n, peer| {
                    serve(peer, |peer, message| {
                        let text = sql(message).unwrap_or_default();
                        seen.fetch_add(u32::from(text.contains("SECOND")), Ordering::Relaxed);
                        let dies =
                            text.contains("E'own.setting'") && dead.fetch_add(1, Ordering::Relaxed) == 0;
                        if dies {
                            dying.store(n, Ordering::SeqCst);
                            meet.wait();
                            meet.wait();
                            if answered {
                                peer.complete("SELECT 1", b'I');
                            } else {
                                peer.send(&msg::frame(b'E', b"SFATAL\0VFATAL\0C57P01\0Mgoodbye\0\0"));
                            }
                            peer.reset();
                        }
                        dies
                    })
                }
            });
            let proxy = Proxy::start(&server.url("pool_size=1"));
            let mut client = Client::connect(&proxy.endpoint(), &login());
            let mut other = Client::connect(&proxy.endpoint(), &login());
            client.run("set own.setting = 'mine'");
            other.run("select 'other'");
            client.send(&cycle);
            meet.wait();
            proxy.freeze();
            meet.wait();
            eventually("the server is gone", || server.has_closed(dying.load(Ordering::SeqCst)));
            proxy.signal("CONT");
            check_answers(name, &mut client);
            assert_eq!(seen.load(Ordering::Relaxed), 1, "{name} reached a server once");
            assert!(dead.load(Ordering::Relaxed) >= 2, "{name}: the settings came to the second server too");
        }
    }
}

#[test]
fn a_server_that_always_dies_is_not_tried_for_ever() {
    if direct_only() {
        return;
    }
    let server = ScriptedServer::start(|_, peer| {
        serve(peer, |_, message| sql(message).is_some_and(|text| text.contains("E'own.setting'")))
    });
    let proxy = Proxy::start(&server.url("pool_size=1"));
    let mut client = Client::connect(&proxy.endpoint(), &login());
    let mut other = Client::connect(&proxy.endpoint(), &login());
    client.run("set own.setting = 'mine'");
    other.run("select 'other'");
    client.send(&msg::query("select 1"));
    let answer = client.until(b'Z').expect("an answer in time");
    assert_eq!(answer.last().map(Message::sqlstate).as_deref(), Some("08006"), "{answer:?}");
}
