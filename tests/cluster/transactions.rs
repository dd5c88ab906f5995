//! Transactions that only read, through pgweir in front of a primary and streaming replicas: which go to a replica, and what sessions see
//! when they go on at the primary.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::routing::Routed;
use crate::harness::cluster::{APP, Cluster};
use crate::harness::message::Message;
use crate::harness::raw::{Client, Login, cancel};
use crate::harness::{direct_only, eventually, frontend as msg};

/// What tells where it is read: the replica still has 0.
pub(super) const WHERE: &str = "select n from t where i = 50";
pub(super) const THERE: &str = "0";
pub(super) const PRIMARY: &str = "77";

/// One replica whose replay is paused, and reads that do not mind. A row tells on which node it is read.
pub(super) fn paused(query: &str) -> Routed {
    let routed = Routed::new(1, &format!("consistency=any&{query}"));
    routed.pause(0, true);
    routed.connect().run("update t set n = 77 where i = 50");
    routed
}

/// A statement as a batch that is parsed anew, or as one whose statement is prepared.
pub(super) fn batch(sql: &str) -> Vec<u8> {
    [msg::parse("", sql), msg::bind("", "", &[]), msg::describe_portal(""), msg::execute("", 0), msg::sync()]
        .concat()
}

pub(super) fn prepared(name: &str) -> Vec<u8> {
    [msg::bind("", name, &[]), msg::execute("", 0), msg::sync()].concat()
}

/// The first value, the end of the last statement and the transaction status; an SQLSTATE in the place of the value.
pub(super) fn told(messages: &[Message]) -> (String, String, String) {
    let of = |tag: u8| messages.iter().rfind(|message| message.tag == tag);
    let value = of(b'E').map(|error| error.sqlstate()).or_else(|| of(b'D').map(|row| row.value()));
    let end = of(b'C').map(|end| end.command_tag()).unwrap_or_default();
    (value.unwrap_or_default(), end, of(b'Z').map(|ready| ready.to_string()).unwrap_or_default())
}

pub(super) fn ask(client: &mut Client, bytes: &[u8]) -> (String, String, String) {
    client.send(bytes);
    told(&client.until_ready())
}

pub(super) fn expect(value: &str, end: &str, status: char) -> (String, String, String) {
    (value.into(), end.into(), format!("ReadyForQuery {status}"))
}

/// Begins a transaction that a replica has. What was defined or set just before may keep one at the primary for a moment.
pub(super) fn begin_there(client: &mut Client) {
    eventually("a transaction goes to the replica", || {
        client.run("begin read only");
        let found = client.value(WHERE);
        if found != THERE {
            client.run("rollback");
            std::thread::sleep(Duration::from_millis(20));
        }
        found == THERE
    });
}

/// What became of transactions since: those that ended on a replica, and those that moved.
pub(super) fn counted(routed: &Routed) -> [u64; 2] {
    ["ended", "moved"].map(|result| routed.counted("pgweir_replica_transactions_total", result))
}

#[test]
fn transactions_that_only_read_go_to_a_replica_as_a_whole() {
    if direct_only() {
        return;
    }
    let routed = paused("");
    let mut client = routed.connect();
    client.send(&[msg::parse("where", WHERE), msg::parse("end", "commit"), msg::sync()].concat());
    client.until_ready();
    let forms: [fn(&str) -> Vec<u8>; 2] = [msg::query, batch];
    let begins = [
        "begin read only",
        "START TRANSACTION READ ONLY",
        "begin isolation level read committed, read only",
        "start transaction read only isolation level read uncommitted",
    ];
    let before = counted(&routed);
    for begin in begins {
        for form in forms {
            for end in [form("commit"), form("rollback"), prepared("end")] {
                let word = if begin.starts_with('b') { "BEGIN" } else { "START TRANSACTION" };
                assert_eq!(ask(&mut client, &form(begin)), expect("", word, 'T'), "{begin}");
                for read in [msg::query(WHERE), batch(WHERE), prepared("where"), form(WHERE)] {
                    assert_eq!(ask(&mut client, &read), expect(THERE, "SELECT 1", 'T'), "{begin}");
                }
                let (value, end, status) = ask(&mut client, &end);
                assert!(value.is_empty() && status.ends_with('I'), "{value} {end} {status}");
                assert!(matches!(end.as_str(), "COMMIT" | "ROLLBACK"), "{end}");
            }
        }
    }
    client.run("set default_transaction_read_only = yes");
    client.run("begin");
    assert_eq!(client.value(WHERE), THERE, "by its default");
    client.run("commit");
    assert_eq!(counted(&routed), [before[0] + 25, before[1]]);
    client.run("reset default_transaction_read_only");
    // All others are the primary's.
    let kept = routed.counted("pgweir_primary_reads_total", "in a transaction");
    for begin in [
        "begin",
        "begin read write",
        "begin read only isolation level serializable",
        "begin read only isolation level repeatable read",
        "begin; set transaction read only",
    ] {
        client.run(begin);
        assert_eq!(client.value(WHERE), PRIMARY, "{begin}");
        client.run("commit");
    }
    client.run("set default_transaction_isolation = 'repeatable read'");
    client.run("begin read only");
    assert_eq!(client.value(WHERE), PRIMARY, "of one snapshot by default");
    client.run("commit");
    client.run("begin read only isolation level read committed");
    assert_eq!(client.value(WHERE), THERE, "that is said otherwise");
    client.run("commit");
    assert_eq!(routed.counted("pgweir_primary_reads_total", "in a transaction"), kept + 2);
    assert_eq!(counted(&routed), [before[0] + 26, before[1]]);
    let none = paused("read_only_transactions=primary");
    let mut client = none.connect();
    client.run("begin read only");
    assert_eq!(client.value(WHERE), PRIMARY, "the settings say so");
    assert_eq!(counted(&none), [0, 0]);
}

/// What many drivers send for a transaction that only reads, in the place of one BEGIN that says so.
#[test]
fn a_transaction_is_told_what_it_is_behind_its_begin() {
    if direct_only() {
        return;
    }
    let routed = paused("");
    let mut client = routed.connect();
    begin_there(&mut client);
    client.run("commit");
    let forms: [fn(&str) -> Vec<u8>; 2] = [msg::query, batch];
    let before = counted(&routed);
    for (begin, set) in forms.into_iter().flat_map(|begin| forms.map(|set| (begin, set))) {
        assert_eq!(ask(&mut client, &begin("begin")), expect("", "BEGIN", 'T'));
        assert_eq!(ask(&mut client, &set("set transaction read only")), expect("", "SET", 'T'));
        assert_eq!(ask(&mut client, &set(WHERE)), expect(THERE, "SELECT 1", 'T'));
        assert_eq!(ask(&mut client, &begin("commit")), expect("", "COMMIT", 'I'));
        let level = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ ONLY, NOT DEFERRABLE";
        for sql in ["start transaction", level, "set local transaction deferrable"] {
            client.send(&set(sql));
            assert_eq!(told(&client.until_ready()).2, "ReadyForQuery T");
        }
        assert_eq!(ask(&mut client, &set(WHERE)), expect(THERE, "SELECT 1", 'T'));
        // It goes on at the primary, where it is what it was told to be.
        assert_eq!(ask(&mut client, &set("show transaction_deferrable")), expect("on", "SHOW", 'T'));
        assert_eq!(ask(&mut client, &set("show transaction_isolation")).0, "read committed");
        assert_eq!(ask(&mut client, &set("update t set n = 0")).0, "25006");
        client.run("rollback");
    }
    assert_eq!(counted(&routed), [before[0] + 4, before[1] + 4]);
    // All in one write, as one batch, and as several cycles.
    let part = |sql: &str| [msg::parse("", sql), msg::bind("", "", &[]), msg::execute("", 0)].concat();
    let bytes = [part("BEGIN"), part("SET TRANSACTION READ ONLY"), batch(WHERE)].concat();
    assert_eq!(ask(&mut client, &bytes), expect(THERE, "SELECT 1", 'T'));
    client.run("commit");
    client.send(&["begin", "set transaction read only", WHERE, "commit"].map(msg::query).concat());
    let answers = [(); 4].map(|()| told(&client.until_ready()).0);
    assert_eq!(answers, ["", "", THERE, ""]);
    // All others are the primary's.
    for set in [
        "set transaction read write",
        "set transaction read only, read write",
        "set transaction isolation level serializable, read only",
        "set transaction isolation level repeatable read, read only",
        "set transaction isolation level read committed",
    ] {
        client.run("begin");
        client.run(set);
        assert_eq!(client.value(WHERE), PRIMARY, "{set}");
        client.run("commit");
    }
    let all = paused("read_only_transactions=all");
    let mut client = all.connect();
    for (begin, set) in [
        ("begin", "set transaction isolation level repeatable read, read only"),
        ("begin read only", "set transaction isolation level repeatable read"),
    ] {
        client.run(begin);
        client.run(set);
        assert_eq!(client.value(WHERE), THERE, "{begin}; {set}");
        assert_eq!(client.value("show transaction_isolation"), "repeatable read");
        client.run("commit");
    }
    client.run("begin read only");
    client.run("set transaction isolation level serializable");
    assert_eq!(client.value(WHERE), PRIMARY);
    client.run("commit");
}

/// By the session's defaults, however they are set: the first transaction as well.
#[test]
fn a_transaction_is_what_the_session_says_of_all() {
    if direct_only() {
        return;
    }
    let routed = paused("read_only_transactions=all");
    let mut client = routed.connect();
    begin_there(&mut client);
    client.run("commit");
    let forms: [fn(&str) -> Vec<u8>; 2] = [msg::query, batch];
    for (set, begin) in forms.into_iter().flat_map(|set| forms.map(|begin| (set, begin))) {
        for sql in [
            "set default_transaction_read_only = on",
            "set session characteristics as transaction read only",
            "set session characteristics as transaction isolation level repeatable read, read only",
        ] {
            assert_eq!(ask(&mut client, &set(sql)), expect("", "SET", 'I'));
            assert_eq!(ask(&mut client, &begin("begin")), expect("", "BEGIN", 'T'), "{sql}");
            assert_eq!(client.value(WHERE), THERE, "{sql}");
            client.run("commit");
            assert_eq!(ask(&mut client, &set("reset default_transaction_read_only")).1, "RESET");
            assert_eq!(ask(&mut client, &begin("begin")), expect("", "BEGIN", 'T'), "{sql}");
            assert_eq!(client.value(WHERE), PRIMARY, "{sql}");
            client.run("commit");
        }
        client.run("reset default_transaction_isolation");
        assert_eq!(
            ask(
                &mut client,
                &set("set session characteristics as transaction isolation level serializable, read only")
            )
            .1,
            "SET"
        );
        assert_eq!(ask(&mut client, &begin("begin")).1, "BEGIN");
        assert_eq!(client.value(WHERE), PRIMARY, "serializable");
        client.run("commit");
        client.run("reset default_transaction_isolation");
        client.run("reset default_transaction_read_only");
    }
}

/// As pgjdbc begins: the BEGIN is the first statement of the batch in which the first of its transaction is run.
#[test]
fn a_transaction_that_begins_in_the_batch_of_its_first_statement() {
    if direct_only() {
        return;
    }
    let routed = paused("");
    let mut client = routed.connect();
    begin_there(&mut client);
    client.run("commit");
    client.send(&[msg::parse("begin", "begin read only"), msg::parse("where", WHERE), msg::sync()].concat());
    client.until_ready();
    let begun = |begin: &str| [msg::parse("", begin), msg::bind("", "", &[]), msg::execute("", 0)].concat();
    let before = counted(&routed);
    for begin in [begun("BEGIN READ ONLY"), [msg::bind("", "begin", &[]), msg::execute("", 0)].concat()] {
        for read in [batch(WHERE), prepared("where")] {
            let bytes = [begin.clone(), read].concat();
            assert_eq!(ask(&mut client, &bytes), expect(THERE, "SELECT 1", 'T'));
            assert_eq!(ask(&mut client, &batch(WHERE)), expect(THERE, "SELECT 1", 'T'));
            assert_eq!(ask(&mut client, &batch("COMMIT")), expect("", "COMMIT", 'I'));
        }
    }
    assert_eq!(counted(&routed), [before[0] + 4, before[1]]);
    for (begin, first) in
        [("BEGIN", WHERE), ("BEGIN READ ONLY", "select n from t where i = 50 for key share")]
    {
        let bytes = [begun(begin), batch(first)].concat();
        let (value, _, status) = ask(&mut client, &bytes);
        assert!([PRIMARY, "25006"].contains(&&*value), "{begin}; {first}: {value} {status}");
        client.run("rollback");
    }
    // It is the first statement that fails, as if a server had begun before.
    let bytes = [begun("BEGIN READ ONLY"), batch("select 1 / 0")].concat();
    assert_eq!(ask(&mut client, &bytes), expect("22012", "BEGIN", 'E'));
    client.run("rollback");
    let (begin, commit) = (begun("BEGIN READ ONLY"), batch("COMMIT"));
    assert_eq!(ask(&mut client, &[begin, commit].concat()), expect("", "COMMIT", 'I'));
}

#[test]
fn what_a_replica_cannot_do_is_done_at_the_primary_in_the_same_transaction() {
    if direct_only() {
        return;
    }
    let routed = paused("");
    let mut client = routed.connect();
    let mut direct = Client::connect(&routed.scene.primary.tcp(), &Login::new(APP.0, APP.1, "postgres"));
    routed.scene.primary.superuser("postgres").run(
        "create function writes() returns int volatile language plpgsql as 'begin perform 1; return 7; end'; \
         create sequence counter; grant all on sequence counter to public",
    );
    let forms: [fn(&str) -> Vec<u8>; 2] = [msg::query, batch];
    let others = [
        "savepoint a",
        "create temp table mine (i int) on commit drop",
        "select pg_advisory_xact_lock_shared(1)",
        "select pg_current_xact_id() > '0'",
        "set local work_mem = '1MB'",
        "lock table t in access share mode",
        "lock table t in row exclusive mode",
        "declare c cursor for select 1",
        "select writes()",
        "select nextval('counter')",
        "select n from t for update",
        "update t set n = 0",
        "select set_config('app.mine', 'x', true)",
        "select 1 / 0 from t",
        "nonsense",
        "explain analyze select 1 from t where false",
        "copy (select 1) to stdout",
        "commit and chain",
        "show transaction_read_only",
    ];
    for sql in others {
        for form in forms {
            begin_there(&mut client);
            direct.run("begin read only");
            let before = counted(&routed);
            let tags = |messages: Vec<Message>| -> Vec<String> {
                let other = |message: &Message| !matches!(message.tag, b'N' | b'D' | b'T');
                messages.iter().filter(|message| other(message)).map(|message| message.to_string()).collect()
            };
            client.send(&form(sql));
            direct.send(&form(sql));
            let (seen, expected) = (client.until_ready(), direct.until_ready());
            let open = told(&seen).2.ends_with('T');
            assert_eq!(tags(seen), tags(expected), "{sql}");
            if open {
                assert_eq!(client.value(WHERE), PRIMARY, "it goes on at the primary: {sql}");
            }
            let ends = [&mut client, &mut direct].map(|client| told(&client.simple("commit")));
            assert_eq!(ends[0], ends[1], "{sql}");
            assert_eq!(counted(&routed), [before[0], before[1] + 1], "{sql}");
        }
    }
    // What was prepared in it is there afterwards.
    begin_there(&mut client);
    client.send(&[msg::parse("late", WHERE), msg::describe_statement("late"), msg::sync()].concat());
    client.until_ready();
    assert_eq!(ask(&mut client, &prepared("late")), expect(PRIMARY, "SELECT 1", 'T'));
    client.run("commit");
    eventually("it reads at the replica", || ask(&mut client, &prepared("late")).0 == THERE);
    // A portal that stays open is tied to its server.
    client.run("begin read only");
    let some = [msg::parse("", "select i from t order by i"), msg::bind("", "", &[]), msg::execute("", 2)];
    let first = ask(&mut client, &[&some.concat()[..], &msg::sync()].concat());
    assert_eq!((first.0.as_str(), first.2.as_str()), ("2", "ReadyForQuery T"));
    assert_eq!(ask(&mut client, &[msg::execute("", 1), msg::sync()].concat()).0, "3");
    client.run("commit");
    // Nothing is left on the replica.
    let open = "select count(*) from pg_stat_activity where state like 'idle in%'";
    eventually("no transaction is open on the replica", || {
        routed.scene.standbys[0].superuser("postgres").value(open) == "0"
    });
}

#[test]
fn pipelines_are_answered_in_order_wherever_their_parts_run() {
    if direct_only() {
        return;
    }
    let routed = paused("");
    let mut client = routed.connect();
    let update = "update t set n = n + 1 where i = 1";
    let cycles = [
        "begin read only",
        WHERE,
        WHERE,
        "commit",
        "begin read only",
        WHERE,
        "savepoint a",
        WHERE,
        "commit",
        update,
    ];
    let values = ["", THERE, THERE, "", "", THERE, "", PRIMARY, "", ""];
    let ends = "BEGIN,SELECT 1,SELECT 1,COMMIT,BEGIN,SELECT 1,SAVEPOINT,SELECT 1,COMMIT,UPDATE 1";
    let statuses = "TTTITTTTII";
    let forms: [fn(&str) -> Vec<u8>; 2] = [msg::query, batch];
    let before = counted(&routed);
    for _ in 0..10 {
        for form in forms {
            client.send(&cycles.map(form).concat());
            for ((value, end), status) in values.iter().zip(ends.split(',')).zip(statuses.chars()) {
                assert_eq!(told(&client.until_ready()), expect(value, end, status));
            }
        }
    }
    assert_eq!(counted(&routed), [before[0] + 20, before[1] + 20]);
    // Texts of several statements are the primary's, and so is a batch that begins and reads.
    client.send(&msg::query(&format!("begin read only; {WHERE}; commit")));
    assert_eq!(told(&client.until_ready()), expect(PRIMARY, "COMMIT", 'I'));
    let part = |sql: &str| [msg::parse("", sql), msg::bind("", "", &[]), msg::execute("", 0)].concat();
    let all = ["begin read only", WHERE, "commit"].map(part).concat();
    assert_eq!(ask(&mut client, &[all, msg::sync()].concat()), expect(PRIMARY, "COMMIT", 'I'));
    assert_eq!(client.value("select n from t where i = 1"), "0", "on the replica");
}

#[test]
fn errors_are_those_of_the_primary() {
    if direct_only() {
        return;
    }
    let routed = paused("");
    let mut client = routed.connect();
    let young = "create table young as select 7 as seven; grant all on young to public";
    routed.scene.primary.superuser("postgres").run(young);
    let forms: [fn(&str) -> Vec<u8>; 2] = [msg::query, batch];
    for form in forms {
        for first in [true, false] {
            client.run("begin read only");
            if !first {
                assert_eq!(client.value(WHERE), THERE);
            }
            assert_eq!(ask(&mut client, &form("select seven from young")), expect("7", "SELECT 1", 'T'));
            assert_eq!(client.value(WHERE), PRIMARY);
            client.run("commit");
            client.run("begin read only");
            assert_eq!(ask(&mut client, &form("select * from no_such_table")), expect("42P01", "", 'E'));
            assert_eq!(ask(&mut client, &form(WHERE)), expect("25P02", "", 'E'));
            assert_eq!(ask(&mut client, &form("commit")), expect("", "ROLLBACK", 'I'));
        }
        // An error behind the first row is told, and the transaction has failed.
        client.run("begin read only");
        let late = "select 1 / (i - 100), repeat('x', 1000) from t order by i";
        let answer = ask(&mut client, &form(late));
        assert_eq!((answer.0.as_str(), answer.2.as_str()), ("22012", "ReadyForQuery E"));
        assert_eq!(ask(&mut client, &form("savepoint a")), expect("25P02", "", 'E'));
        assert_eq!(ask(&mut client, &form("rollback")), expect("", "ROLLBACK", 'I'));
        assert_eq!(client.value(WHERE), THERE);
    }
    // What the client itself has stopped is told too.
    client.run("begin read only");
    assert_eq!(client.value(WHERE), THERE);
    client.send(&msg::query("select i from t, pg_catalog.pg_sleep(20) where i = 5"));
    at_work(&routed.scene.standbys[0], "pg_sleep(20)");
    cancel(&routed.proxy.endpoint(), client.pid, &client.key);
    assert_eq!(told(&client.until_ready()), expect("57014", "", 'E'));
    assert_eq!(told(&client.simple("rollback")), expect("", "ROLLBACK", 'I'));
    client.run("set statement_timeout = '50ms'");
    client.run("begin read only");
    assert_eq!(client.error("select i from t, pg_catalog.pg_sleep(20) where i = 5"), "57014");
    assert_eq!(told(&client.simple("commit")), expect("", "ROLLBACK", 'I'));
    client.run("set statement_timeout = 0; set idle_in_transaction_session_timeout = '500ms'");
    begin_there(&mut client);
    let end = client.until(b'Z').expect("it is told");
    assert_eq!(end.iter().map(|message| message.sqlstate()).collect::<Vec<_>>(), ["25P03"]);
}

/// Waits until a statement with this text runs there.
pub(super) fn at_work(node: &Cluster, text: &str) {
    let sql = format!(
        "select count(*) from pg_stat_activity where query like '%{text}%' and state = 'active' and usename = '{}'",
        APP.0
    );
    eventually("it is at work", || node.superuser("postgres").value(&sql) == "1");
}

#[test]
fn a_replica_that_is_lost_or_in_conflict_costs_the_transaction_nothing() {
    if direct_only() {
        return;
    }
    let routed = paused("");
    let mut client = routed.connect();
    let replica = &routed.scene.standbys[0];
    let forms: [fn(&str) -> Vec<u8>; 2] = [msg::query, batch];
    let sleep = "select n from t, pg_catalog.pg_sleep(0.8) where i = 50";
    for form in forms {
        // Between two statements, within one, and at the end.
        for case in 0..3 {
            eventually("reads go there", || client.value(WHERE) == THERE);
            client.run("begin read only");
            assert_eq!(client.value(WHERE), THERE);
            if case == 1 {
                client.send(&form(sleep));
                at_work(replica, "pg_sleep(0.8)");
            }
            replica.stop("immediate");
            if case < 2 {
                let answer =
                    if case == 1 { told(&client.until_ready()) } else { ask(&mut client, &form(WHERE)) };
                assert_eq!(answer, expect(PRIMARY, "SELECT 1", 'T'));
                assert_eq!(client.error("update t set n = 0"), "25006");
                assert_eq!(ask(&mut client, &form("commit")), expect("", "ROLLBACK", 'I'));
            } else {
                assert_eq!(ask(&mut client, &form("commit")), expect("", "COMMIT", 'I'));
            }
            replica.start_again();
            let mut there = replica.superuser("postgres");
            there.run("select pg_wal_replay_pause()");
            // It may have replayed more while it started.
            if there.value(WHERE) != THERE {
                let mut primary = routed.scene.primary.superuser("postgres");
                there.run("select pg_wal_replay_resume()");
                primary.run("update t set n = 0 where i = 50");
                eventually("it follows", || there.value(WHERE) == THERE);
                there.run("select pg_wal_replay_pause()");
                primary.run("update t set n = 77 where i = 50");
            }
        }
    }
    // What the replica has to replay is in the way of who reads there: it ends them.
    let mut there = replica.superuser("postgres");
    there.run("alter system set max_standby_streaming_delay = 0");
    there.run("select pg_reload_conf()");
    let mut primary = routed.scene.primary.superuser("postgres");
    primary.run("create table u as select 1 as one; grant all on u to public");
    there.run("select pg_wal_replay_resume()");
    eventually("it follows", || {
        there.value("select to_regclass('u')") == "u" && there.value(WHERE) == PRIMARY
    });
    for case in 0..2 {
        let before = counted(&routed);
        eventually("reads go there", || {
            client.run("begin read only");
            client.value("select one from u");
            client.run("commit");
            counted(&routed)[0] > before[0]
        });
        client.run("begin read only");
        assert_eq!(client.value("select one from u"), "1");
        let before = counted(&routed);
        let asked = routed.counted("pgweir_replica_reads_total", "asked_again");
        if case == 1 {
            client.send(&batch("select one from u, pg_catalog.pg_sleep(1.5)"));
            at_work(replica, "pg_sleep(1.5)");
        }
        primary.run("alter table u add column more int");
        primary.run(&format!("alter table u rename column more to m{case}"));
        eventually("it was ended", || match case {
            0 => routed.proxy.log().contains("due to conflict with recovery"),
            _ => routed.counted("pgweir_replica_reads_total", "asked_again") > asked,
        });
        let answer =
            if case == 1 { told(&client.until_ready()) } else { told(&client.simple("select one from u")) };
        assert_eq!(answer, expect("1", "SELECT 1", 'T'));
        client.run("commit");
        assert_eq!(counted(&routed), [before[0], before[1] + 1]);
    }
}

#[test]
fn transactions_with_one_snapshot_stay_where_they_have_read() {
    if direct_only() {
        return;
    }
    let routed = paused("read_only_transactions=all");
    let mut client = routed.connect();
    client.run("begin read only isolation level repeatable read");
    assert_eq!(client.value(WHERE), THERE);
    routed.pause(0, false);
    let mut there = routed.scene.standbys[0].superuser("postgres");
    eventually("it follows", || there.value(WHERE) == PRIMARY);
    assert_eq!(client.value(WHERE), THERE, "its snapshot");
    client.run("savepoint a; set local work_mem = '1MB'; declare c cursor for select 5");
    assert_eq!(client.value("fetch c"), "5");
    assert_eq!(client.error("select pg_current_wal_lsn()"), "55000", "what a standby cannot do");
    client.run("rollback to a");
    assert_eq!(client.value(WHERE), THERE);
    client.send(
        &[msg::query("commit"), msg::query("update t set n = 78 where i = 50"), msg::query(WHERE)].concat(),
    );
    assert_eq!(told(&client.until_ready()), expect("", "COMMIT", 'I'));
    assert_eq!(told(&client.until_ready()), expect("", "UPDATE 1", 'I'));
    client.until_ready();
    // Until it has read, it may be begun anew.
    client.run("begin read only isolation level repeatable read");
    client.run("savepoint a");
    client.run("commit");
    assert_eq!(counted(&routed), [1, 0]);
    // By the server's own default, too, which nobody has told.
    let other = paused("");
    other
        .scene
        .primary
        .superuser("postgres")
        .run("alter role app set default_transaction_isolation = 'repeatable read'");
    other.pause(0, false);
    let mut there = other.scene.standbys[0].superuser("postgres");
    eventually("it follows", || there.value(WHERE) == PRIMARY);
    let sql = "select count(*) from pg_db_role_setting";
    eventually("it has that", || there.value(sql) == "1");
    other.pause(0, true);
    other.connect().run("update t set n = 78 where i = 50");
    other.console().run("RECONNECT");
    let mut client = other.connect();
    for _ in 0..2 {
        client.run("begin read only");
        assert_eq!(client.value(WHERE), "78", "it would be tied to the replica");
        client.run("commit");
    }
    assert_eq!(counted(&other), [0, 1], "it is asked once");
}

#[test]
fn a_session_that_is_ended_while_its_answer_is_held_back_is_told() {
    if direct_only() {
        return;
    }
    let routed = paused("");
    let mut client = routed.connect();
    client.send(&msg::query("select i from t, pg_catalog.pg_sleep(20) where i = 5"));
    at_work(&routed.scene.standbys[0], "pg_sleep(20)");
    let since = Instant::now();
    routed.console().run(&format!("KILL_CLIENT {}", client.pid));
    let told = client.until(b'Z').expect("it is told");
    assert!(
        since.elapsed() < Duration::from_secs(10) && told.last().is_some_and(|last| last.tag == b'E'),
        "{told:?}"
    );
    assert_eq!(told.last().map(|last| last.sqlstate()).as_deref(), Some("57P01"));
}

#[test]
fn a_client_that_leaves_leaves_nothing_open() {
    if direct_only() {
        return;
    }
    let routed = paused("");
    for at_work in [false, true] {
        let mut client = routed.connect();
        client.run("begin read only");
        assert_eq!(client.value(WHERE), THERE);
        if at_work {
            client.send(&msg::query("select i from t, pg_catalog.pg_sleep(20) where i = 5"));
            self::at_work(&routed.scene.standbys[0], "pg_sleep(20)");
        }
        drop(client);
        let busy = "select count(*) from pg_stat_activity where usename = 'app' and (state like 'idle in%' or query like '%pg_sleep(20)%' and state = 'active')";
        eventually("nothing is left there", || {
            routed.scene.standbys[0].superuser("postgres").value(busy) == "0"
        });
    }
    let mut client = routed.connect();
    client.run("begin read only");
    assert_eq!(client.value(WHERE), THERE);
    client.run("commit");
}

/// Writes, and transactions that read twice, while the replay of replicas is paused and resumed; gives how many reads missed what their
/// own session had seen.
fn undone(routed: &Routed, time: Duration) -> u64 {
    let (undone, until) = (AtomicU64::new(0), Instant::now() + time);
    std::thread::scope(|scope| {
        for session in 0..8_u64 {
            let (undone, routed) = (&undone, &*routed);
            scope.spawn(move || {
                let mut client = routed.connect();
                let (mut seen, mut step) = ([0_i64; 3], session);
                while Instant::now() < until {
                    step =
                        step.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    let row = (step >> 33) as usize % 3;
                    if (step >> 40).is_multiple_of(6) {
                        let sql = format!("update t set n = n + 1 where i = {} returning n", row + 1);
                        seen[row] = client.value(&sql).parse().expect("a number");
                    } else {
                        read_twice(&mut client, step, &mut seen, undone);
                    }
                    std::thread::sleep(Duration::from_millis((step >> 50) % 12));
                }
            });
        }
        scope.spawn(|| {
            for n in (0..2).cycle().take_while(|_| Instant::now() < until) {
                routed.pause(n, true);
                std::thread::sleep(Duration::from_millis(60));
                routed.pause(n, false);
                std::thread::sleep(Duration::from_millis(40));
            }
        });
    });
    undone.into_inner()
}

fn read_twice(client: &mut Client, step: u64, seen: &mut [i64; 3], undone: &AtomicU64) {
    client.run("begin read only");
    for n in 0..2 {
        let row = (step >> (20 + n)) as usize % 3;
        let sql = format!("select n from t where i = {}", row + 1);
        let read = if step.is_multiple_of(2) { msg::query(&sql) } else { batch(&sql) };
        let found: i64 = ask(client, &read).0.parse().expect("a number");
        undone.fetch_add(u64::from(found < seen[row]), Ordering::Relaxed);
        seen[row] = seen[row].max(found);
        if n == 0 && (step >> 45).is_multiple_of(4) {
            // It goes on at the primary.
            client.run("savepoint a");
        }
    }
    client.run("commit");
}

#[test]
fn a_session_never_sees_less_in_a_transaction_than_it_has_seen() {
    if direct_only() {
        return;
    }
    for consistency in ["session", "any"] {
        let routed = Routed::new(2, &format!("consistency={consistency}&replica_wait=10ms"));
        let undone = undone(&routed, Duration::from_secs(4));
        let [ended, moved] = counted(&routed);
        println!("{consistency}: {ended} transactions on replicas, {moved} moved, {undone} reads undone");
        assert!(ended > 10 && moved > 5, "{ended} {moved}");
        // With no promise there is something to see, so that its absence says something.
        assert_eq!(undone > 0, consistency == "any", "{consistency}: {undone} undone");
    }
}
