//! BEGIN by the extended protocol, which is held back: what the client sees is what PostgreSQL says, and no server is taken.

use std::time::Duration;

use super::numbers::Numbers;
use super::prelude::*;
use crate::harness::cluster::since;
use crate::harness::direct_only;
use crate::harness::proxy::{Proxy, ProxyOptions};
use crate::harness::raw::{self, Client};

/// Bind and Execute of a statement in the unnamed portal.
fn run(statement: &str) -> Vec<u8> {
    [msg::bind("", statement, &[]), msg::execute("", 0)].concat()
}

/// Parse, Bind, Execute and Sync of a text.
fn alone(sql: &str) -> Vec<u8> {
    [msg::parse("", sql), run(""), msg::sync()].concat()
}

/// A pool of one server, which is nobody's while a transaction has only begun.
#[test]
fn it_takes_no_server() {
    let others = || [B.sql("select 'b'"), C.sql("select 'c'")];
    case("18 23", "others use the only server while transactions have only begun")
        .setup("create table t (i int)")
        .both_forms()
        .steps([A.send([alone("BEGIN")]), A.ready()])
        .steps(others())
        .steps([A.sql("insert into t values (1)"), A.sql("commit"), B.sql("select count(*) from t")])
        .steps([
            A.send([
                msg::parse("b", "start transaction read only"),
                msg::describe_statement("b"),
                msg::bind_formats("", "b", &[], &[], &[1]),
                msg::describe_portal(""),
                msg::describe_statement("b"),
                msg::execute("", 1),
                msg::describe_statement("b"),
                msg::close_portal(""),
                msg::sync(),
            ]),
            A.ready(),
        ])
        .steps(others())
        .steps([A.sql("insert into t values (1)"), A.sql("rollback")])
        .steps([A.send([run("b"), msg::sync()]), A.ready()])
        .steps(others())
        .steps([A.sql("show transaction_read_only"), A.sql("commit")])
        // Prepared by one batch and run by another, as many drivers do.
        .steps([
            A.send([msg::parse("c", "begin;"), msg::describe_statement("c"), msg::sync()]),
            A.ready(),
            A.send([msg::bind("", "c", &[]), msg::describe_portal(""), msg::execute("", 0), msg::sync()]),
            A.ready(),
        ])
        .steps(others())
        .steps([A.send([alone("COMMIT")]), A.ready()])
        .steps(others())
        .steps([A.send([alone("/* why */ begin isolation level repeatable read -- so")]), A.ready()])
        .steps(others())
        .steps([
            A.sql("show transaction_isolation"),
            A.send([alone("END")]),
            A.ready(),
            B.sql("select count(*) from t"),
        ])
        .expect([
            "ParseComplete",
            "BindComplete",
            "CommandComplete BEGIN",
            "ReadyForQuery T",
            "B DataRow (b)",
        ])
        .expect(["INSERT 0 1", "COMMIT", "ParameterDescription", "NoData", "BindComplete", "NoData"])
        .expect(["START TRANSACTION", "CloseComplete", "ReadyForQuery T", "25006", "ROLLBACK"])
        .expect(["START TRANSACTION", "ReadyForQuery T", "C DataRow (c)", "A DataRow (on)", "COMMIT"])
        .expect(["BEGIN", "B DataRow (b)", "COMMIT", "BEGIN", "repeatable read", "COMMIT", "B DataRow (1)"])
        .run();
}

/// What is said of a transaction behind its BEGIN is held back with that.
#[test]
fn it_is_told_what_it_is() {
    let others = || [B.sql("select 'b'"), C.sql("select 'c'")];
    case("18 23", "SET TRANSACTION as the first of a transaction")
        .setup("create table t (i int)")
        .both_forms()
        .steps([A.sql("begin"), A.sql("set transaction read only")])
        .steps(others())
        .steps([A.sql("insert into t values (1)"), A.sql("rollback"), A.sql("begin")])
        .steps([A.sql("set transaction read only"), A.sql("commit"), A.sql("insert into t values (1)")])
        .steps([
            A.sql("START TRANSACTION"),
            A.sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"),
        ])
        .steps(others())
        .steps([A.sql("show transaction_isolation"), A.sql("show transaction_read_only"), A.sql("commit")])
        .steps([A.sql("begin read only"), A.sql("set local transaction isolation level read uncommitted;")])
        .steps([A.sql("set session transaction not deferrable"), A.sql("set transaction deferrable")])
        .steps(others())
        .steps([A.sql("show transaction_isolation"), A.sql("show transaction_deferrable"), A.sql("commit")])
        .steps([A.sql("show transaction_deferrable")])
        // More of them than are held back.
        .steps([A.sql("begin")])
        .steps([(); 7].map(|()| A.sql("/* again */ set transaction read only")))
        .steps([A.sql("show transaction_read_only"), A.sql("commit")])
        // Those that are not, or are wrong.
        .steps([A.sql("begin"), A.sql("set transaction isolation level serializable, read only")])
        .steps([A.sql("show transaction_isolation"), A.sql("commit"), A.sql("begin read only")])
        .steps([A.sql("set transaction read write"), A.sql("insert into t values (2)"), A.sql("commit")])
        .steps([A.sql("begin"), A.sql("set transaction read"), A.sql("set transaction read only")])
        .steps([A.sql("rollback"), A.sql("begin"), A.sql("set transaction snapshot 'x'"), A.sql("rollback")])
        .steps([
            A.sql("begin"),
            A.sql("set transaction"),
            A.sql("rollback"),
            A.sql("set transaction read only"),
        ])
        .steps([A.sql("begin"), A.sql("select count(*) from t")])
        .steps([A.sql("set transaction isolation level repeatable read"), A.sql("rollback")])
        .steps([A.sql("begin"), A.sql("set transaction read only"), A.sql("savepoint s")])
        .steps([A.sql("set transaction read write"), A.sql("rollback to s"), A.sql("commit")])
        .expect(["BEGIN", "SET", "ReadyForQuery T", "B DataRow (b)", "25006", "ROLLBACK"])
        .expect(["COMMIT", "INSERT 0 1", "SET", "C DataRow (c)", "repeatable read", "(on)", "COMMIT"])
        .expect(["read uncommitted", "(on)", "(off)", "(on)", "serializable", "INSERT 0 1", "42601", "25P02"])
        .expect(["0A000", "42601", "25P01", "25001", "ROLLBACK", "SAVEPOINT", "25001", "ROLLBACK", "COMMIT"])
        .run();
}

/// The statements and the portal of a SET TRANSACTION that was held back.
#[test]
fn what_is_said_of_it_leaves_behind() {
    let set = || [msg::parse("", "set transaction read only"), run("")].concat();
    let begin = || [msg::parse("", "begin"), run("")].concat();
    case("18 23 25", "SET TRANSACTION by the extended protocol, and what is there after it")
        .steps([
            A.send([alone("begin")]),
            A.ready(),
            A.send([
                msg::parse("s", "set transaction isolation level repeatable read"),
                msg::describe_statement("s"),
                msg::bind("", "s", &[]),
                msg::describe_portal(""),
                msg::execute("", 0),
                msg::sync(),
            ]),
            A.ready(),
            // It has run; the unnamed statement is the BEGIN yet.
            A.send([msg::execute("", 0), msg::sync()]),
            A.ready(),
            A.send([alone("rollback"), alone("begin"), run("s"), msg::sync()]),
            A.ready_times(3),
            A.send([run(""), msg::sync()]),
            A.ready(),
            A.sql("show transaction_isolation"),
            A.send([alone("rollback")]),
            A.ready(),
            A.send([alone("begin"), set(), msg::sync()]),
            A.ready_times(2),
            A.send([run(""), msg::describe_statement(""), msg::close_portal(""), msg::sync()]),
            A.ready(),
            A.sql("show transaction_read_only"),
            A.send([alone("commit"), run("s"), msg::sync()]),
            A.ready_times(2),
            A.query("begin"),
            A.ready(),
            A.send([set(), msg::close_portal(""), msg::sync()]),
            A.ready(),
            A.send([msg::describe_portal(""), msg::sync()]),
            A.ready(),
            A.send([alone("begin"), alone("rollback"), alone("begin")]),
            A.ready_times(3),
            A.query("set transaction read only"),
            A.ready(),
            A.send([run(""), msg::sync()]),
            A.ready(),
            A.sql("rollback"),
            // Behind a BEGIN in one batch, and ahead of others; with something wrong in it or behind it.
            A.send([begin(), set(), msg::unnamed("show transaction_read_only", &[]), msg::sync()]),
            A.ready(),
            A.send([alone("commit"), begin(), set(), msg::sync(), alone("commit")]),
            A.ready_times(3),
            A.send([begin(), set(), msg::unnamed("select 1/0", &[]), set(), msg::sync()]),
            A.ready(),
            A.send([alone("commit"), begin(), msg::parse("s", "set transaction read only"), msg::sync()]),
            A.ready_times(2),
            A.sql("rollback"),
            A.send([msg::parse("", "set transaction read only"), msg::bind("", "", &["1"]), msg::sync()]),
            A.ready(),
            A.drip([alone("begin"), set(), msg::sync(), alone("commit")].concat()),
            A.ready_times(3),
        ])
        .expect([
            "BEGIN",
            "ParameterDescription",
            "NoData",
            "BindComplete",
            "NoData",
            "SET",
            "ReadyForQuery T",
        ])
        .expect(["55000", "ROLLBACK", "BEGIN", "SET", "25001", "repeatable read", "ROLLBACK"])
        .expect(["SET", "CloseComplete", "(on)", "COMMIT", "25P01", "34000", "ROLLBACK", "26000"])
        .expect(["BEGIN", "SET", "DataRow (on)", "COMMIT", "22012", "ReadyForQuery E", "42P05", "08P01"])
        .run();
}

/// SET SESSION CHARACTERISTICS is the session's own, wherever it goes on.
#[test]
fn what_all_of_them_are() {
    // Before, DISCARD ALL is followed by reports of what has not changed: docs/design/versions.md.
    if !since(14) {
        return;
    }
    let others = || [B.sql("show default_transaction_read_only"), C.sql("show transaction_isolation")];
    let set = |modes: &str| format!("set session characteristics as transaction {modes}");
    case("18 23", "transactions that are what the session says")
        .setup("create table t (i int)")
        .both_forms()
        .steps([A.sql(set("read only"))])
        .steps(others())
        .steps([
            A.sql("begin"),
            A.sql("insert into t values (1)"),
            A.sql("rollback"),
            A.sql("insert into t values (1)"),
        ])
        .steps([A.sql(set("isolation level repeatable read, read write, deferrable")), A.sql("begin")])
        .steps([A.sql("show transaction_isolation"), A.sql("show transaction_deferrable")])
        .steps([A.sql(set("isolation level serializable")), A.sql("commit")])
        .steps(others())
        .steps([A.sql("show transaction_isolation"), A.sql("show transaction_deferrable"), A.sql("begin")])
        .steps([A.sql(set("read only")), A.sql("rollback"), A.sql("show default_transaction_read_only")])
        .steps([A.sql(set("read")), A.sql(set("read only, read write not deferrable"))])
        .steps([A.sql("reset default_transaction_isolation"), A.sql("show transaction_isolation")])
        .steps([A.sql(set("read only")), A.sql("discard all"), A.sql("show default_transaction_read_only")])
        .steps(others())
        .expect(["SET", "B DataRow (off)", "BEGIN", "25006", "ROLLBACK", "25006", "SET", "BEGIN"])
        .expect([
            "repeatable read",
            "(on)",
            "SET",
            "COMMIT",
            "C DataRow (read committed)",
            "serializable",
            "(on)",
        ])
        .expect(["ROLLBACK", "(off)", "42601", "SET", "RESET", "read committed", "DISCARD ALL", "(off)"])
        .run();
}

/// The unnamed statement, named ones and the portal are there, as with PostgreSQL.
#[test]
fn what_it_leaves_behind() {
    // Before, DISCARD ALL is followed by reports of what has not changed: docs/design/versions.md.
    if !since(14) {
        return;
    }
    case("18 23 25 28", "the statements and the portal of a BEGIN, after it")
        .steps([
            A.send([alone("begin")]),
            A.ready(),
            // It has run.
            A.send([msg::execute("", 0), msg::sync()]),
            A.ready(),
            A.send([run(""), msg::sync()]),
            A.ready(),
            A.send([alone("rollback")]),
            A.ready(),
            A.send([run(""), msg::sync()]),
            A.ready(),
            A.send([alone("begin")]),
            A.ready(),
            A.send([msg::describe_portal(""), msg::describe_statement(""), msg::sync()]),
            A.ready(),
            A.send([run(""), msg::close_portal(""), msg::close_statement(""), run(""), msg::sync()]),
            A.ready(),
            A.send([alone("rollback")]),
            A.ready(),
            // The portal is closed in the batch; and ends with the transaction.
            A.send([msg::parse("n", "begin"), run("n"), msg::close_portal(""), msg::sync()]),
            A.ready(),
            A.send([msg::describe_portal(""), msg::sync()]),
            A.ready(),
            A.query("rollback"),
            A.ready(),
            A.send([run("n"), msg::sync()]),
            A.ready(),
            A.send([alone("commit")]),
            A.ready(),
            A.send([msg::execute("", 0), msg::sync()]),
            A.ready(),
            // Named: it is another's name, it runs twice, it is closed and deallocated.
            A.send([run("n"), msg::sync()]),
            A.ready(),
            A.send([run("n"), msg::sync()]),
            A.ready(),
            A.query("deallocate n"),
            A.ready(),
            A.send([run("n"), msg::sync()]),
            A.ready(),
            A.query("rollback"),
            A.ready(),
            A.send([msg::parse("n", "begin"), run("n"), msg::sync()]),
            A.ready(),
            A.send([msg::close_statement("n"), msg::sync()]),
            A.ready(),
            A.send([msg::parse("n", "begin"), run("n"), msg::sync()]),
            A.ready(),
            A.query("commit"),
            A.ready(),
            A.send([msg::parse("n", "begin"), run("n"), msg::sync()]),
            A.ready(),
            A.query("discard all"),
            A.ready(),
            A.send([run("n"), msg::sync()]),
            A.ready(),
            // A Query takes the unnamed statement away, and the unnamed portal.
            A.send([alone("begin")]),
            A.ready(),
            A.query("select 1"),
            A.ready(),
            A.send([msg::execute("", 0), msg::sync()]),
            A.ready(),
            A.query("rollback"),
            A.ready(),
            A.send([run(""), msg::sync()]),
            A.ready(),
            // One that was described before is not what the portal is.
            A.send([msg::parse("s", "select 7 as seven"), msg::bind("", "s", &[]), msg::sync()]),
            A.ready(),
            A.send([alone("begin")]),
            A.ready(),
            A.send([msg::describe_portal(""), run("s"), msg::describe_portal(""), msg::sync()]),
            A.ready(),
            A.query("rollback"),
            A.ready(),
        ])
        .expect(["BEGIN", "ReadyForQuery T", "55000", "ReadyForQuery E", "25P02", "ROLLBACK"])
        .expect(["BindComplete", "ReadyForQuery I"])
        .expect(["BEGIN", "NoData", "NoData", "25001", "BEGIN", "26000", "ROLLBACK"])
        .expect(["CloseComplete", "ReadyForQuery T", "34000", "ReadyForQuery E"])
        .expect(["34000", "BEGIN", "25001", "DEALLOCATE", "26000", "CloseComplete", "25001", "COMMIT"])
        .expect(["42P05", "26000", "34000", "26000", "NoData", "DataRow (7)", "RowDescription"])
        .run();
}

/// What is not exactly such a batch.
#[test]
fn other_batches() {
    let begin = || [msg::parse("", "begin"), run("")].concat();
    case("18 20 23 25", "BEGIN with something around it, in pieces, and wrong")
        .steps([
            // With the first statement, as JDBC sends it.
            A.send([begin(), msg::unnamed("select 1", &[]), msg::sync()]),
            A.ready(),
            A.send([alone("commit"), begin(), msg::sync(), msg::unnamed("select 2", &[]), msg::sync()]),
            A.ready_times(3),
            A.send([alone("commit"), alone("begin"), alone("commit"), alone("begin"), alone("rollback")]),
            A.ready_times(5),
            A.query("commit"),
            A.ready(),
            // Flush in the place of Sync, and Sync later.
            A.send([begin(), msg::flush()]),
            A.until(b'C'),
            A.quiet(),
            A.send([msg::sync()]),
            A.ready(),
            A.send([alone("commit")]),
            A.ready(),
            A.drip(alone("begin")),
            A.ready(),
            A.drip(alone("select 3")),
            A.ready(),
            A.drip(alone("rollback")),
            A.ready(),
            A.send([begin()]),
            A.quiet(),
            A.send([msg::sync(), msg::sync()]),
            A.ready_times(2),
            A.sql("rollback"),
            // Errors in front of it, in it and behind it.
            A.send([msg::unnamed("select 1/0", &[]), begin(), msg::sync()]),
            A.ready(),
            A.send([begin(), msg::unnamed("select 1/0", &[]), begin(), msg::sync()]),
            A.ready(),
            A.send([alone("commit")]),
            A.ready(),
            A.send([begin(), msg::bind("", "nobody", &[]), msg::sync(), alone("begin"), alone("abort")]),
            A.ready_times(3),
            A.send([msg::parse("", "begin"), msg::bind("", "", &["1"]), msg::execute("", 0), msg::sync()]),
            A.ready(),
            A.send([msg::parse_typed("", "begin", &[23]), run(""), msg::sync()]),
            A.ready(),
            A.send([alone("begin flurb"), alone("begin; select 1"), alone("start"), alone("commit")]),
            A.ready_times(4),
            A.send([alone("begin isolation level serializable, read write, deferrable"), alone("commit")]),
            A.ready_times(2),
            A.send([alone("begin"), alone("commit and chain"), alone("rollback and no chain")]),
            A.ready_times(3),
            A.send([alone("begin"), alone("savepoint s"), alone("rollback to s"), alone("end work")]),
            A.ready_times(4),
            A.send([alone("begin"), alone("prepare transaction 'b'"), alone("rollback prepared 'b'")]),
            A.ready_times(3),
            A.send([alone("begin"), alone("discard all"), alone("commit"), alone("discard all")]),
            A.ready_times(4),
            // In a portal of another name.
            A.send([
                msg::parse("", "begin"),
                msg::bind("p", "", &[]),
                msg::execute("p", 0),
                msg::sync(),
                msg::describe_portal("p"),
                msg::execute("p", 0),
                msg::sync(),
                alone("rollback"),
            ]),
            A.ready_times(3),
            A.send([
                msg::close_statement("n"),
                msg::parse("n", "begin"),
                run("n"),
                msg::sync(),
                alone("end"),
            ]),
            A.ready_times(2),
            A.send([msg::parse("n", "begin"), run("n"), msg::sync(), msg::query("commit")]),
            A.ready_times(2),
            A.send([alone("begin")]),
            A.ready(),
            A.send([msg::query("begin"), alone("begin"), msg::query("select 4; commit")]),
            A.ready_times(3),
        ])
        .may_say("ParameterStatus")
        .expect(["BEGIN", "DataRow (1)", "ReadyForQuery T", "COMMIT", "BEGIN", "DataRow (2)", "COMMIT"])
        .expect(["BEGIN", "DataRow (3)", "ROLLBACK", "22012", "22012", "ReadyForQuery E", "ROLLBACK"])
        .expect(["26000", "25P02", "ROLLBACK", "08P01", "42601", "42601", "42601", "25P01"])
        .expect(["BEGIN", "COMMIT", "COMMIT", "ReadyForQuery T", "ROLLBACK"])
        .expect(["SAVEPOINT", "COMMIT", "25001", "DISCARD ALL", "55000", "42P05", "25001", "25001"])
        .run();
}

#[test]
fn a_message_behind_it_that_is_malformed() {
    case("23 26", "the end of a message is missing, or there is too much of it")
        .steps([
            A.send([msg::parse("", "begin"), run(""), msg::frame(b'S', b"x"), alone("rollback")]),
            A.ready_times(2),
            A.send([msg::parse("", "begin"), msg::bind("", "", &[]), msg::frame(b'E', b"\0\0\0\0\0\0")]),
            A.send([msg::sync(), msg::frame(b'P', b"\0begin\0\0\0\0"), run(""), msg::sync()]),
            A.ready_times(2),
            A.send([msg::parse("", "begin"), msg::frame(b'B', b"\0\0\0\0\0\0\0\x02\0\x01"), msg::sync()]),
            A.ready(),
            A.send([alone("select 'alive'")]),
            A.ready(),
        ])
        .expect(["08P01", "ROLLBACK", "08P01", "08P01", "08P01", "DataRow (alive)"])
        .run();
}

#[test]
fn it_fails_like_any_other() {
    if direct_only() {
        return;
    }
    let (cluster, database) = (Cluster::shared(), Cluster::shared().database());
    let options = ProxyOptions::url(&cluster.url(APP, &database.name, "pool_size=1"))
        .config("[limits]\nqueue_timeout = \"300ms\"\n");
    let proxy = Proxy::start_with(&options);
    let connect = || Client::connect(&proxy.endpoint(), &database.login());
    let said = |client: &mut Client, bytes: Vec<u8>| {
        client.send(&bytes);
        let messages = client.until_ready();
        messages.iter().map(|message| message.to_string()).collect::<Vec<_>>().join(" | ")
    };
    let mut holder = connect();
    holder.run("begin");
    holder.run("select 1");
    let mut waiting = [connect(), connect()];
    for client in &mut waiting {
        assert!(said(client, alone("begin")).ends_with("CommandComplete BEGIN | ReadyForQuery T"));
        let refused = said(client, alone("select 'never'"));
        assert!(refused.contains("ERROR 53300") && refused.ends_with("ReadyForQuery E"), "{refused}");
    }
    let [first, second] = &mut waiting;
    let ended = said(first, alone("commit"));
    assert!(ended.ends_with("CommandComplete ROLLBACK | ReadyForQuery I"), "{ended}");
    holder.run("commit");
    let failed = said(second, alone("select 1"));
    assert!(failed.contains("ERROR 25P02") && failed.ends_with("ReadyForQuery E"), "{failed}");
    let ended = said(second, alone("rollback"));
    assert!(ended.ends_with("CommandComplete ROLLBACK | ReadyForQuery I"), "{ended}");
    for client in [first, second, &mut holder] {
        assert_eq!(client.value("select 'alive'"), "alive");
    }
}

/// A cancel finds nothing to cancel, a client that leaves leaves nothing behind, and who is idle in it for too long is ended.
#[test]
fn nothing_but_the_beginning() {
    if direct_only() {
        return;
    }
    let (cluster, database) = (Cluster::shared(), Cluster::shared().database());
    let options = ProxyOptions::url(&cluster.url(APP, &database.name, "pool_size=1"))
        .config("[limits]\nidle_in_transaction_timeout = \"700ms\"\n");
    let proxy = Proxy::start_with(&options);
    let connect = || Client::connect(&proxy.endpoint(), &database.login());
    let mut other = connect();
    let begun = || {
        let mut client = connect();
        client.send(&alone("begin"));
        assert_eq!(client.until_ready().len(), 4);
        client
    };
    let mut client = begun();
    raw::cancel(&proxy.endpoint(), client.pid, &client.key);
    assert!(client.within(Duration::from_millis(200)).expect("it is connected").is_empty());
    assert_eq!(client.value("select 1"), "1");
    client.send(&alone("commit"));
    client.until_ready();
    drop(begun());
    assert_eq!(other.value("select pg_current_xact_id_if_assigned() is null"), "t");
    let mut client = begun();
    let messages = client.until(b'E').expect("it is told");
    assert_eq!(messages.last().map(|message| message.sqlstate()).as_deref(), Some("25P03"));
    let mut client = begun();
    proxy.signal("TERM");
    assert!(client.within(Duration::from_millis(200)).expect("it may end its transaction").is_empty());
    client.send(&alone("commit"));
    client.until_ready();
    let messages = client.until(b'E').expect("it is told");
    assert_eq!(messages.last().map(|message| message.sqlstate()).as_deref(), Some("57P01"));
}

/// Messages of a batch, or a Query, that have to do with transactions; `sql` is what it does.
fn some_cycle(numbers: &mut Numbers) -> Vec<u8> {
    let sql = numbers.of(&[
        "begin",
        "begin",
        "BEGIN ISOLATION LEVEL REPEATABLE READ",
        " start transaction read only;",
        "begin read write",
        "set transaction read only",
        "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY;",
        "set session characteristics as transaction read only",
        "reset default_transaction_read_only",
        "commit",
        "commit",
        "rollback",
        "end",
        "/* c */ abort",
        "commit and chain",
        "select 1",
        "select 1/0",
        "savepoint s",
        "rollback to s",
        "show transaction_read_only",
        "insert into t values (1)",
        "discard all",
    ]);
    let name = numbers.of(&["", "", "n", "m"]);
    let portal = numbers.of(&["", "", "", "", "", "p"]);
    let bind = || msg::bind(portal, name, &[]);
    match numbers.below(16) {
        0..=2 => msg::query(sql),
        3 => [bind(), msg::execute(portal, 0), msg::sync()].concat(),
        4 => [msg::close_statement(name), msg::sync()].concat(),
        5 => [msg::describe_portal(portal), msg::execute(portal, 0), msg::sync()].concat(),
        6 => [msg::parse(name, sql), msg::describe_statement(name), msg::sync()].concat(),
        7 => [msg::close_portal(portal), bind(), msg::describe_portal(portal), msg::sync()].concat(),
        8 => [msg::unnamed(sql, &[]), msg::unnamed("select 2", &[]), msg::sync()].concat(),
        shape => {
            let mut out = vec![];
            let mut sometimes = |numbers: &mut Numbers, often: usize, messages: Vec<u8>| {
                if numbers.below(8) < often {
                    out.extend(messages);
                }
            };
            sometimes(numbers, 1, msg::close_statement(name));
            sometimes(numbers, 4, msg::parse(name, sql));
            sometimes(numbers, 3, [msg::parse(name, sql), msg::describe_statement(name)].concat());
            sometimes(numbers, 8, bind());
            sometimes(numbers, 3, msg::describe_portal(portal));
            sometimes(numbers, 8, msg::execute(portal, 0));
            sometimes(numbers, 1, msg::describe_portal(portal));
            sometimes(numbers, 1, msg::close_portal(portal));
            sometimes(numbers, usize::from(shape == 9), msg::flush());
            out.extend(msg::sync());
            out
        }
    }
}

/// The same bytes, at once, in pieces and one by one, in a pool that other sessions use meanwhile.
#[test]
fn random_pipelines() {
    let mut numbers = Numbers::seeded();
    let mut steps = vec![];
    for _ in 0..300 {
        let cycles: Vec<_> = (0..=numbers.below(4)).map(|_| some_cycle(&mut numbers)).collect();
        let (count, bytes) = (cycles.len(), cycles.concat());
        match numbers.below(4) {
            0 => {
                let (front, back) = bytes.split_at(numbers.below(bytes.len()));
                steps.extend([A.send([front.to_vec()]), A.send([back.to_vec()])]);
            }
            _ => steps.push(A.send([bytes])),
        }
        steps.push(A.ready_times(count));
        if numbers.below(3) == 0 {
            steps.push(A.sql("rollback"));
            steps.push(B.sql("select 'b'"));
            // In a failed transaction a server cannot be brought what it has lost.
            steps.extend([A.send([msg::parse("", "select 0"), msg::sync()]), A.ready()]);
        }
    }
    steps.push(A.sql("rollback"));
    steps.push(A.sql("select count(*) from t"));
    case("18 23", "BEGIN and what stands around it in cycles sent at once")
        .setup("create table t (i int)")
        .may_say("ParameterStatus")
        // Which of its messages found that the transaction has failed: what is brought to the server ahead of it, or itself.
        .types_only(|message| message.tag == b'E' && message.sqlstate() == "25P02")
        .steps(steps)
        .expect(["B DataRow (b)"])
        .run();
}
