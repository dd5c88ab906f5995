//! Statements that are prepared under a name in the batch that runs them, as drivers send the first use of one: where they go, and what is
//! left of them there and elsewhere.

use super::routing::Routed;
use super::transactions::{
    PRIMARY, THERE, WHERE, ask, at_work, batch, counted, expect, paused, prepared, told,
};
use crate::harness::cluster::APP;
use crate::harness::message::Message;
use crate::harness::raw::{Client, Login};
use crate::harness::{direct_only, eventually, frontend as msg};

/// The first use of a statement, which is described as well.
fn first(name: &str, sql: &str) -> Vec<u8> {
    [
        msg::parse(name, sql),
        msg::describe_statement(name),
        msg::bind("", name, &[]),
        msg::execute("", 0),
        msg::sync(),
    ]
    .concat()
}

/// The same without a description.
fn undescribed(name: &str, sql: &str) -> Vec<u8> {
    [msg::parse(name, sql), msg::bind("", name, &[]), msg::execute("", 0), msg::sync()].concat()
}

fn asked_again(routed: &Routed) -> u64 {
    routed.counted("pgweir_replica_reads_total", "asked_again")
}

fn answered(routed: &Routed) -> u64 {
    routed.counted("pgweir_replica_reads_total", "answered")
}

#[test]
fn the_first_use_of_a_name_goes_where_the_next_go() {
    if direct_only() {
        return;
    }
    let routed = paused("");
    let mut client = routed.connect();
    eventually("reads go to the replica", || client.value(WHERE) == THERE);
    for (name, bytes) in [("a", first("a", WHERE)), ("b", undescribed("b", WHERE))] {
        assert_eq!(ask(&mut client, &bytes), expect(THERE, "SELECT 1", 'I'));
        assert_eq!(ask(&mut client, &prepared(name)), expect(THERE, "SELECT 1", 'I'));
        // It is prepared where it is needed.
        client.run("begin");
        assert_eq!(ask(&mut client, &prepared(name)), expect(PRIMARY, "SELECT 1", 'T'));
        client.run("commit");
        assert_eq!(ask(&mut client, &prepared(name)), expect(THERE, "SELECT 1", 'I'));
        // The name is taken, and is what it was.
        for taken in [first(name, "select 'another'"), undescribed(name, "select 'another'")] {
            assert_eq!(ask(&mut client, &taken), expect("42P05", "", 'I'));
            assert_eq!(ask(&mut client, &prepared(name)), expect(THERE, "SELECT 1", 'I'));
        }
    }
    client.run("deallocate a");
    assert_eq!(ask(&mut client, &prepared("a")), expect("26000", "", 'I'));
    assert_eq!(ask(&mut client, &first("a", WHERE)), expect(THERE, "SELECT 1", 'I'));
    client.run("discard all");
    assert_eq!(ask(&mut client, &undescribed("a", WHERE)), expect(THERE, "SELECT 1", 'I'));
    // Several in one write.
    let pipeline = [
        first("c", WHERE),
        undescribed("d", WHERE),
        first("c", "select 5"),
        prepared("c"),
        prepared("d"),
        msg::query("begin"),
        undescribed("e", WHERE),
        msg::query("commit"),
        prepared("e"),
    ];
    client.send(&pipeline.concat());
    let answers = pipeline.map(|_| told(&client.until_ready()).0);
    // Behind what the primary has to answer, it is asked as well.
    assert_eq!(answers, [THERE, THERE, "42P05", PRIMARY, PRIMARY, "", PRIMARY, "", THERE]);
    // In a transaction that the replica has, as its first statement and as another.
    let before = counted(&routed);
    for begin in [msg::query("begin read only"), batch("begin read only")] {
        ask(&mut client, &begin);
        assert_eq!(ask(&mut client, &first("f", WHERE)), expect(THERE, "SELECT 1", 'T'));
        assert_eq!(ask(&mut client, &undescribed("g", WHERE)), expect(THERE, "SELECT 1", 'T'));
        assert_eq!(ask(&mut client, &prepared("f")), expect(THERE, "SELECT 1", 'T'));
        ask(&mut client, &msg::query("commit"));
        client.run("deallocate f; deallocate g");
    }
    assert_eq!(counted(&routed), [before[0] + 2, before[1]]);
    // Two in one batch are the primary's.
    let parse = msg::parse("h", "select 1");
    assert_eq!(ask(&mut client, &[parse, first("i", WHERE)].concat()), expect(PRIMARY, "SELECT 1", 'I'));
    assert_eq!(ask(&mut client, &prepared("h")).0, "1");
}

/// What becomes of a batch at the primary: messages and names are PostgreSQL's.
#[test]
fn what_a_replica_does_not_prepare_or_run_the_primary_does() {
    if direct_only() {
        return;
    }
    let routed = paused("");
    let mut client = routed.connect();
    let mut direct = Client::connect(&routed.scene.primary.tcp(), &Login::new(APP.0, APP.1, "postgres"));
    routed.scene.primary.superuser("postgres").run(
        "create table young as select 7 as seven; create table other as select 8 as eight; \
         grant all on young, other to public",
    );
    eventually("what is new is known, and asked for at the replica first", || {
        let before = asked_again(&routed);
        client.run("select seven from young");
        asked_again(&routed) > before
    });
    let steps = [
        // It fails in Parse, at the replica only; and everywhere.
        first("y", "select seven from young"),
        prepared("y"),
        first("n", "select * from no_such_table"),
        prepared("n"),
        undescribed("n", "select seven from young"),
        prepared("n"),
        undescribed("s", "selec 1 from t"),
        first("s", "select 'free'"),
        // Behind Parse: the name is taken then.
        first("z", "select 1 / 0 from t"),
        prepared("z"),
        undescribed("z", "select 2"),
        [msg::parse("w", "select 3"), msg::bind("", "w", &["too many"]), msg::execute("", 0), msg::sync()]
            .concat(),
        prepared("w"),
        [msg::parse("x", "select 4"), msg::describe_statement("nobody"), msg::bind("", "x", &[])].concat(),
        [msg::execute("", 0), msg::sync()].concat(),
        // In transactions.
        msg::query("begin read only"),
        first("o", "select eight from other"),
        prepared("o"),
        msg::query("commit"),
        prepared("o"),
        msg::query("begin read only"),
        undescribed("p", "select * from no_such_table"),
        undescribed("p", "select 1"),
        msg::query("rollback"),
        first("p", "select 'free'"),
    ];
    let (mut before, mut again) = (asked_again(&routed), vec![]);
    for (at, step) in steps.iter().enumerate() {
        for client in [&mut client, &mut direct] {
            client.send(step);
        }
        if !step.ends_with(b"S\0\0\0\x04") && step[0] != b'Q' {
            continue;
        }
        let [seen, expected] = [&mut client, &mut direct].map(|client| comparable(&client.until_ready()));
        assert_eq!(seen, expected, "step {at}");
        let now = asked_again(&routed);
        if now > before {
            again.push(at);
        }
        before = now;
    }
    assert!(again.len() > 3, "those that were asked again: {again:?}");
}

/// All of them, but which tables columns are of, and where in its source the server has found an error.
fn comparable(messages: &[Message]) -> Vec<Vec<u8>> {
    messages.iter().map(|message| message.without_table_oids().comparable()).collect()
}

#[test]
fn a_replica_that_is_lost_behind_the_parse_costs_nothing() {
    if direct_only() {
        return;
    }
    let routed = Routed::new(1, "consistency=any");
    let mut client = routed.connect();
    let replica = &routed.scene.standbys[0];
    let sleep = "select i from t, pg_catalog.pg_sleep(0.8) where i = 5";
    for (round, in_transaction) in [false, true].into_iter().enumerate() {
        eventually("reads go to the replica", || {
            let before = answered(&routed);
            client.value("select i from t where i = 1");
            answered(&routed) > before
        });
        let name = format!("slow{round}");
        let status = if in_transaction { 'T' } else { 'I' };
        if in_transaction {
            client.run("begin read only");
        }
        let before = asked_again(&routed);
        client.send(&first(&name, sleep));
        at_work(replica, "pg_sleep(0.8)");
        replica.stop("immediate");
        assert_eq!(told(&client.until_ready()), expect("5", "SELECT 1", status));
        assert_eq!(asked_again(&routed), before + 1);
        assert_eq!(ask(&mut client, &prepared(&name)), expect("5", "SELECT 1", status));
        assert_eq!(told(&client.simple("select i from t where i = 2")).0, "2");
        if in_transaction {
            client.run("commit");
        }
        assert_eq!(ask(&mut client, &undescribed(&name, "select 1")), expect("42P05", "", 'I'));
        replica.start_again();
    }
}
