//! Reads that wait for a replica, of sessions whose statements may only take so long: the wait is a part of that.

use std::time::{Duration, Instant};

use super::routing::Routed;
use super::transactions::{PRIMARY, WHERE, ask, batch, expect, told};
use crate::harness::command::Folder;
use crate::harness::raw::Client;
use crate::harness::{direct_only, frontend as msg};

/// Longer than any of these tests lets a read wait.
const WAIT: &str = "replica_wait=20s";
/// What a statement may take.
const ALLOWED: Duration = Duration::from_secs(3);
/// A read that is not done within that.
const ENDLESS: &str = "select count(*) from t a, t b, t c, t d, t e, t f";
/// The same, for which there is a rule.
const RULED: &str = "select count(*) from t a, t b, t c, t d, t ruled, t f";

/// A session that has written what the replica does not replay.
fn behind(routed: &Routed) -> Client {
    let mut client = routed.connect();
    client.run("update t set n = 77 where i = 50");
    client
}

/// Asks, and gives the answer and how long it took.
fn timed(client: &mut Client, bytes: &[u8]) -> ((String, String, String), Duration) {
    let since = Instant::now();
    let answer = ask(client, bytes);
    (answer, since.elapsed())
}

/// A read that is stopped when its time is over, however much of that it has waited.
#[track_caller]
fn is_stopped(client: &mut Client, bytes: &[u8], status: char) {
    let (answer, took) = timed(client, bytes);
    assert_eq!(answer, expect("57014", "", status));
    assert!(took > ALLOWED / 2 && took < ALLOWED * 4 / 3, "{took:?}");
}

#[test]
fn a_wait_for_a_replica_is_a_part_of_what_a_statement_may_take() {
    if direct_only() {
        return;
    }
    let routed = Routed::new(1, WAIT);
    routed.pause(0, true);
    let mut client = behind(&routed);
    client.run("set statement_timeout = '3s'");
    for form in [msg::query, batch] {
        // A quick one waits, and is answered by the primary.
        let (answer, took) = timed(&mut client, &form(WHERE));
        assert_eq!(answer, expect(PRIMARY, "SELECT 1", 'I'));
        assert!(took > ALLOWED / 4 && took < ALLOWED * 9 / 10, "{took:?}");
        is_stopped(&mut client, &form(ENDLESS), 'I');
        // Others have all of their time, also where they are sent ahead.
        assert_eq!(client.value("show statement_timeout"), "3s");
        client.send(&[form(WHERE), msg::query("show statement_timeout"), form(WHERE)].concat());
        let answers = [(); 3].map(|()| told(&client.until_ready()).0);
        assert_eq!(answers, [PRIMARY, "3s", PRIMARY]);
        // In a transaction that only reads.
        client.run("begin read only");
        is_stopped(&mut client, &form(ENDLESS), 'E');
        client.run("rollback");
        client.run("begin read only");
        assert_eq!(ask(&mut client, &form(WHERE)), expect(PRIMARY, "SELECT 1", 'T'));
        assert_eq!(client.value("show statement_timeout"), "3s");
        client.run("commit");
        assert_eq!(client.value("show statement_timeout"), "3s");
    }
    // The replica catches up while a read waits: it has what is left of the time, there.
    client.run("begin");
    let since = Instant::now();
    client.run("update t set n = 78 where i = 50");
    client.run("commit");
    client.send(&msg::query(ENDLESS));
    std::thread::sleep(ALLOWED / 3);
    routed.pause(0, false);
    assert_eq!(told(&client.until_ready()), expect("57014", "", 'I'));
    assert!(since.elapsed() < ALLOWED * 4 / 3, "{:?}", since.elapsed());
    assert_eq!(client.value("show statement_timeout"), "3s");
    // Who has no timeout waits for as long as the settings say.
    client.run("set statement_timeout = 0");
    routed.pause(0, true);
    client.run("update t set n = 79 where i = 50");
    client.send(&msg::query("select n from t where i = 50"));
    assert!(client.within(ALLOWED).expect("it is connected").is_empty());
    routed.pause(0, false);
    assert_eq!(told(&client.until_ready()).0, "79");
}

/// By a rule, where that is less than the session's own.
#[test]
fn a_wait_is_a_part_of_what_a_rule_allows() {
    if direct_only() {
        return;
    }
    let folder = Folder::new();
    let rules = "[[rule]]\nname = \"ruled\"\nwhen.text_regex = \"ruled\"\nthen.timeout = \"3s\"\n";
    std::fs::write(folder.0.join("a.toml"), rules).expect("a file can be written");
    let routed = Routed::with(1, WAIT, &["--rules".to_owned(), folder.0.display().to_string()]);
    routed.pause(0, true);
    let mut client = behind(&routed);
    client.run("set statement_timeout = '1min'");
    for form in [msg::query, batch] {
        is_stopped(&mut client, &form(RULED), 'I');
        assert_eq!(client.value("show statement_timeout"), "1min");
        client.run("begin read only");
        // The statement of a rule with a timeout begins its transaction at the primary, and waits for nothing.
        let (answer, took) = timed(&mut client, &form(RULED));
        assert_eq!(answer, expect("57014", "", 'E'));
        assert!(took < ALLOWED * 4 / 3, "{took:?}");
        client.run("rollback");
    }
}
