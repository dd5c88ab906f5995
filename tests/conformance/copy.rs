//! Section D: COPY.

use super::prelude::*;
use crate::harness::proxy::Proxy;
use crate::harness::raw::{Client, Login};
use crate::harness::{big, direct_only, eventually};

const TABLE: &str = "create table t (i int primary key, s text)";

/// The binary format's signature, flags and extension length.
const BINARY_HEAD: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

#[test]
fn copy_in() {
    case("44", "COPY FROM STDIN")
        .setup(TABLE)
        .steps([
            A.query("copy t from stdin"),
            A.until(b'G'),
            A.send([
                msg::copy_data(b"1\tone\n2\t"),
                msg::copy_data(b"two\n"),
                msg::copy_data(b"3\t\\N\n"),
                msg::copy_done(),
            ]),
            A.ready(),
            A.query("copy t (i) from stdin with (format csv)"),
            A.until(b'G'),
            A.send([msg::copy_data(b"4\n5\n"), msg::copy_done()]),
            A.ready(),
            A.query("copy t from stdin"),
            A.until(b'G'),
            A.send([msg::copy_done()]),
            A.ready(),
            A.query("copy t from stdin"),
            A.until(b'G'),
            A.send([msg::copy_data(b"6\tsix\n\\.\n"), msg::copy_done()]),
            A.ready(),
            B.sql("select i, s from t order by i"),
        ])
        .expect([
            "CopyInResponse",
            "COPY 3",
            "ReadyForQuery I",
            "COPY 2",
            "COPY 0",
            "COPY 1",
            "DataRow (1, one)",
            "DataRow (3, NULL)",
            "DataRow (6, six)",
        ])
        .run();
}

/// What a session may do in one turn ends amid an upload of that size: it is to go on with its client all the same.
#[test]
fn after_a_large_upload_and_a_pause_the_last_word_is_heard() {
    if direct_only() {
        return;
    }
    let database = Cluster::shared().database();
    database.setup("create unlogged table uploaded (s text)");
    let proxy = Proxy::start(&Cluster::shared().url(APP, &database.name, "pool_size=1"));
    let mut client = Client::connect(&proxy.endpoint(), &database.login());
    let line = [[b'x'; 1023].as_slice(), b"\n"].concat();
    let piece = msg::copy_data(&line.repeat(64));
    for pieces in 38..62 {
        client.send(&msg::query("copy uploaded from stdin"));
        client.until(b'G').expect("it may begin");
        client.send(&[piece.repeat(pieces), msg::copy_data(&line)].concat());
        std::thread::sleep(std::time::Duration::from_millis(100));
        client.send(&msg::copy_done());
        let told: Vec<String> = client.until_ready().iter().map(ToString::to_string).collect();
        assert_eq!(told[0], format!("CommandComplete COPY {}", pieces * 64 + 1), "{told:?}");
        client.run("truncate uploaded");
    }
}

#[test]
fn copy_in_without_waiting() {
    case("44", "Query, CopyData and CopyDone in one write, and a query behind it")
        .setup(TABLE)
        .steps([
            A.send([
                msg::query("copy t from stdin"),
                msg::copy_data(b"1\tone\n"),
                msg::copy_done(),
                msg::query("select count(*) from t"),
            ]),
            A.ready_times(2),
        ])
        .expect(["CopyInResponse", "COPY 1", "ReadyForQuery I", "DataRow (1)"])
        .run();
}

#[test]
fn copy_in_byte_by_byte() {
    case("44", "COPY data that arrives byte by byte")
        .setup(TABLE)
        .steps([
            A.query("copy t from stdin"),
            A.until(b'G'),
            A.drip([msg::copy_data(b"1\tone\n"), msg::copy_data(b"2\ttwo\n"), msg::copy_done()].concat()),
            A.ready(),
            A.sql("select count(*) from t"),
        ])
        .expect(["COPY 2", "DataRow (2)"])
        .run();
}

#[test]
fn copy_fail() {
    case("44", "CopyFail")
        .setup(TABLE)
        .steps([
            A.query("copy t from stdin"),
            A.until(b'G'),
            A.send([msg::copy_data(b"1\tone\n"), msg::copy_fail("changed my mind")]),
            A.ready(),
            B.sql("select count(*) from t"),
            A.sql("begin"),
            A.query("copy t from stdin"),
            A.until(b'G'),
            A.send([msg::copy_fail("")]),
            A.ready(),
            A.sql("rollback"),
        ])
        .expect([
            "57014 COPY from stdin failed: changed my mind",
            "ReadyForQuery I",
            "B DataRow (0)",
            "57014",
            "ReadyForQuery E",
            "ROLLBACK",
        ])
        .run();
}

#[test]
fn server_error_in_the_middle() {
    let rows: Vec<u8> =
        (0..3000).flat_map(|_| msg::copy_data(&[b"1\t".as_slice(), &[b'x'; 1000], b"\n"].concat())).collect();
    case("44", "the server fails while the client is still sending")
        .setup(TABLE)
        .steps([
            A.query("copy t from stdin"),
            A.until(b'G'),
            A.send([rows.clone(), msg::copy_done()]),
            A.ready(),
            A.sql("select count(*) from t"),
            A.query("copy t from stdin"),
            A.until(b'G'),
            A.send([msg::copy_data(b"bad row\n")]),
            A.until(b'Z'),
            A.send([rows, msg::copy_data(b"more\n"), msg::copy_fail("late"), msg::query("select 'alive'")]),
            A.ready(),
        ])
        .expect([
            "ErrorResponse ERROR 23505",
            "ReadyForQuery I",
            "DataRow (0)",
            "ErrorResponse ERROR 22P02",
            "ReadyForQuery I",
            "DataRow (alive)",
        ])
        .run();
}

#[test]
fn query_within_copy_in() {
    // Older servers take it for an error of the COPY only, and go on.
    case("44", "a message that does not belong into COPY data")
        .since(14)
        .setup(TABLE)
        .steps([
            A.query("copy t from stdin"),
            A.until(b'G'),
            A.query("select 1"),
            A.closed(),
            B.sql("select count(*) from t"),
        ])
        .expect(["CopyInResponse", "08P01", "B DataRow (0)"])
        .run();
}

#[test]
fn flush_and_sync_within_copy_in() {
    case("44", "Flush and Sync are ignored within COPY data")
        .setup(TABLE)
        .steps([
            A.query("copy t from stdin"),
            A.until(b'G'),
            A.send([msg::flush(), msg::sync(), msg::copy_data(b"1\tone\n"), msg::sync(), msg::copy_done()]),
            A.ready(),
            A.quiet(),
            A.sql("select count(*) from t"),
        ])
        .expect(["COPY 1", "ReadyForQuery I", "DataRow (1)"])
        .run();
}

#[test]
fn sync_behind_refused_data() {
    let bad = || [msg::copy_data(b"bad\n"), msg::sync(), msg::sync()].concat();
    case("44", "Syncs behind data that the server refuses are answered, those before are not")
        .setup(TABLE)
        .steps([
            A.query("copy t from stdin"),
            A.until(b'G'),
            A.send([bad(), msg::copy_done(), msg::query("select 'first'")]),
            A.ready(),
            A.ready(),
            A.ready(),
            A.ready(),
            A.send([msg::unnamed("copy t from stdin", &[]), msg::flush()]),
            A.until(b'G'),
            A.send([msg::copy_data(b"bad\n"), msg::sync()]),
            A.ready(),
            A.quiet(),
            A.sql("select 'second'"),
            A.send([msg::unnamed("copy t from stdin", &[]), bad(), msg::query("select 'third'")]),
            A.ready(),
            A.ready(),
            A.ready(),
            A.send([msg::unnamed("copy t from stdin", &[]), msg::sync(), msg::copy_data(b"1\tone\n")]),
            A.send([msg::sync(), msg::copy_done(), msg::sync()]),
            A.ready(),
            A.sql("select count(*) from t"),
        ])
        .expect([
            "22P02",
            "DataRow (first)",
            "22P02",
            "DataRow (second)",
            "22P02",
            "DataRow (third)",
            "COPY 1",
            "DataRow (1)",
        ])
        .run();
}

/// What the server answers to them is not for the session that has it next.
#[test]
fn syncs_behind_refused_data_are_nobody_elses() {
    if direct_only() {
        return;
    }
    let database = Cluster::shared().database();
    database.setup(TABLE);
    let proxy = Proxy::start(&Cluster::shared().url(APP, &database.name, "pool_size=1"));
    let connect = || Client::connect(&proxy.endpoint(), &database.login());
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let victims: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = connect();
                    for i in 0.. {
                        assert_eq!(client.value(&format!("select {i}")), i.to_string());
                        if done.load(std::sync::atomic::Ordering::Relaxed) {
                            break;
                        }
                    }
                })
            })
            .collect();
        for ahead in [false, true].repeat(10) {
            let mut client = connect();
            let data = [msg::copy_data(b"bad\n"), msg::sync().repeat(400)].concat();
            client
                .send(&[msg::query("copy t from stdin"), if ahead { data.clone() } else { vec![] }].concat());
            client.until(b'G').expect("the copy begins");
            if !ahead {
                client.send(&data);
            }
            client.until_ready();
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(victims.into_iter().all(|victim| victim.join().is_ok()), "each has its own answers");
    });
}

#[test]
fn copy_in_extended() {
    case("44", "COPY FROM STDIN in the extended protocol")
        .setup(TABLE)
        .steps([
            A.send([msg::unnamed("copy t from stdin", &[]), msg::sync()]),
            A.until(b'G'),
            A.send([msg::copy_data(b"1\tone\n"), msg::copy_done(), msg::sync()]),
            A.ready(),
            A.quiet(),
            A.send([msg::unnamed("copy t from stdin", &[]), msg::flush()]),
            A.until(b'G'),
            A.send([msg::copy_data(b"2\ttwo\n"), msg::copy_done()]),
            A.send([msg::unnamed("select count(*) from t", &[]), msg::sync()]),
            A.ready(),
        ])
        .expect([
            "BindComplete",
            "NoData",
            "CopyInResponse",
            "COPY 1",
            "ReadyForQuery I",
            "CopyInResponse",
            "COPY 1",
            "DataRow (2)",
            "ReadyForQuery I",
        ])
        .run();
}

#[test]
fn copy_fail_in_extended() {
    case("44", "CopyFail and a bad row in the extended protocol: skipping until Sync")
        .setup(TABLE)
        .steps([
            A.send([msg::unnamed("copy t from stdin", &[]), msg::flush()]),
            A.until(b'G'),
            A.send([
                msg::copy_data(b"1\tone\n"),
                msg::copy_fail("no"),
                msg::unnamed("select 'skipped'", &[]),
                msg::sync(),
            ]),
            A.ready(),
            A.send([msg::unnamed("copy t from stdin", &[]), msg::flush()]),
            A.until(b'G'),
            A.send([
                msg::copy_data(b"bad\n"),
                msg::copy_data(b"2\ttwo\n"),
                msg::copy_done(),
                msg::unnamed("select 'skipped'", &[]),
                msg::sync(),
            ]),
            A.ready(),
            A.sql("select count(*) from t"),
        ])
        .expect(["57014", "ReadyForQuery I", "22P02", "ReadyForQuery I", "DataRow (0)"])
        .never("skipped")
        .run();
}

#[test]
fn prepared_copy() {
    case("44", "a named COPY statement run twice, another session in between")
        .setup(TABLE)
        .steps([
            A.send([msg::parse("c", "copy t from stdin"), msg::sync()]),
            A.ready(),
            B.sql("select 'between'"),
            A.send([msg::bind("", "c", &[]), msg::execute("", 0), msg::flush()]),
            A.until(b'G'),
            A.send([msg::copy_data(b"1\tone\n"), msg::copy_done(), msg::sync()]),
            A.ready(),
            B.sql("select count(*) from t"),
            A.send([
                msg::bind("", "c", &[]),
                msg::execute("", 0),
                msg::copy_data(b"2\ttwo\n"),
                msg::copy_done(),
                msg::sync(),
            ]),
            A.ready(),
        ])
        .expect(["COPY 1", "B DataRow (1)", "CopyInResponse", "COPY 1"])
        .run();
}

#[test]
fn copy_in_a_multi_statement_string() {
    case("22 44", "COPY in and out within a multi-statement string")
        .setup(TABLE)
        .steps([
            A.query("insert into t values (0); copy t from stdin; select count(*) from t; copy t to stdout; select 'end'"),
            A.until(b'G'),
            A.send([msg::copy_data(b"1\tone\n"), msg::copy_done()]),
            A.ready(),
            A.query("copy t from stdin; copy t from stdin; select count(*) from t"),
            A.until(b'G'),
            A.send([msg::copy_data(b"2\ttwo\n"), msg::copy_done()]),
            A.until(b'G'),
            A.send([msg::copy_data(b"3\tthree\n"), msg::copy_done()]),
            A.ready(),
            A.query("insert into t values (9); copy t from stdin; select 'never'"),
            A.until(b'G'),
            A.send([msg::copy_fail("no")]),
            A.ready(),
            B.sql("select count(*) from t"),
        ])
        .expect(["INSERT 0 1", "COPY 1", "DataRow (2)", "CopyOutResponse", "CopyData 0\\t\\N", "CopyDone", "COPY 2", "DataRow (end)", "CopyInResponse", "CopyInResponse", "DataRow (4)", "57014", "B DataRow (4)"])
        .never("DataRow (never)")
        .run();
}

#[test]
fn copy_out() {
    case("46", "COPY TO STDOUT: text, csv, binary, none, an error in the middle")
        .setup("create table t (i int, s text); insert into t select i, repeat('x', i) from generate_series(1, 20) i")
        .both_forms()
        .steps([
            A.sql("copy t to stdout"),
            A.sql("copy (select i, s from t where i < 3) to stdout with (format csv, header)"),
            A.sql("copy t to stdout (format binary)"),
            A.sql("copy (select 1 where false) to stdout"),
            A.sql("copy (select 10 / (11 - i) from t) to stdout"),
            A.sql("copy no_such_table to stdout"),
            A.sql("copy t to '/root/never'"),
            A.sql("select 'alive'"),
        ])
        .expect(["CopyOutResponse", "CopyData 1\\tx", "CopyDone", "COPY 20", "CopyData i,s", "COPY 2", "COPY 20", "COPY 0", "CopyOutResponse", "ErrorResponse ERROR 22012", "42P01", "42501", "DataRow (alive)"])
        .run();
}

#[test]
fn copy_binary_in() {
    let row = |n: u8| [&[0, 1, 0, 0, 0, 4, 0, 0, 0, n][..]].concat();
    case("44", "binary COPY cut anywhere")
        .setup("create table t (i int)")
        .steps([
            A.query("copy t from stdin (format binary)"),
            A.until(b'G'),
            A.send([
                msg::copy_data(BINARY_HEAD),
                msg::copy_data(&[row(1), row(2)].concat()[..13]),
                msg::copy_data(&[row(1), row(2)].concat()[13..]),
                msg::copy_data(&[0xff, 0xff]),
                msg::copy_done(),
            ]),
            A.ready(),
            A.sql("select array_agg(i) from t"),
            A.query("copy t from stdin (format binary)"),
            A.until(b'G'),
            A.send([msg::copy_data(b"not binary at all....."), msg::copy_done()]),
            A.ready(),
        ])
        .expect(["CopyInResponse", "COPY 2", "DataRow ({1,2})", "22P04"])
        .run();
}

#[test]
fn large_copy_in() {
    let line = [&[b'x'; 200][..], b"\n"].concat();
    let chunk = msg::copy_data(&line.repeat(5000));
    let chunks = if big() { 1000 } else { 50 };
    case("44", "many megabytes in")
        .setup("create table t (s text)")
        .steps([
            A.query("copy t from stdin"),
            A.until(b'G'),
            A.send([chunk.repeat(chunks), msg::copy_data(&line.repeat(50_000)), msg::copy_done()]),
            A.ready(),
            A.sql("select count(*), sum(length(s)) from t"),
        ])
        .expect([&format!("COPY {}", chunks * 5000 + 50_000), "DataRow ("])
        .run();
}

#[test]
fn large_copy_out() {
    let rows = if big() { 10_000_000 } else { 200_000 };
    case("46", "many rows out")
        .steps([A.sql(format!("copy (select i, 'some text that is the same in every row' from generate_series(1, {rows}) i) to stdout")), A.sql("select 'alive'")])
        .expect(["CopyOutResponse", &format!("COPY {rows}"), "DataRow (alive)"])
        .run();
}

#[test]
fn copy_within_a_transaction() {
    case("44", "COPY within a transaction, and one that fails")
        .setup(TABLE)
        .steps([
            A.sql("begin"),
            A.query("copy t from stdin"),
            A.until(b'G'),
            A.send([msg::copy_data(b"1\tone\n"), msg::copy_done()]),
            A.ready(),
            A.sql("savepoint s"),
            A.query("copy t from stdin"),
            A.until(b'G'),
            A.send([msg::copy_data(b"1\tone again\n"), msg::copy_done()]),
            A.ready(),
            A.sql("rollback to s"),
            A.sql("commit"),
            B.sql("select i, s from t"),
        ])
        .expect([
            "ReadyForQuery T",
            "COPY 1",
            "ReadyForQuery T",
            "23505",
            "ReadyForQuery E",
            "ROLLBACK",
            "ReadyForQuery T",
            "COMMIT",
            "B DataRow (1, one)",
        ])
        .run();
}

#[test]
fn client_gone_in_copy_in() {
    case("45 61", "the client drops in the middle of COPY IN: nothing is committed, the server is clean")
        .setup(TABLE)
        .steps([
            A.query("copy t from stdin"),
            A.until(b'G'),
            A.send([msg::copy_data(b"1\tone\n"), msg::copy_data(b"2\ttw")]),
            A.drop(),
            wait_until("select count(*) = 0 from pg_stat_activity where datname = '{db}' and state = 'active' and pid <> pg_backend_pid()"),
            B.sql("select count(*) from t"),
            B.query("copy t from stdin"),
            B.until(b'G'),
            B.send([msg::copy_data(b"3\tthree\n"), msg::copy_done()]),
            B.ready(),
            C.sql("select i from t"),
        ])
        .expect(["B DataRow (0)", "COPY 1", "C DataRow (3)"])
        .run();
}

#[test]
fn client_gone_in_copy_in_within_a_frame() {
    let half = &msg::copy_data(b"1\tone\n")[..8];
    case("45", "the client drops within a CopyData frame")
        .setup(TABLE)
        .steps([
            A.sql("begin"),
            A.query("copy t from stdin"),
            A.until(b'G'),
            A.send([msg::copy_data(b"0\tzero\n"), half.to_vec()]),
            A.drop(),
            B.sql("select count(*) from t"),
        ])
        .expect(["B DataRow (0)"])
        .run();
}

#[test]
fn client_gone_in_copy_out() {
    case("46 61", "the client drops half way through COPY OUT")
        .steps([
            A.query("copy (select repeat('x', 1000) from generate_series(1, 2000000)) to stdout"),
            A.until(b'd'),
            A.drop(),
            B.sql("select 'b'"),
            wait_until("select count(*) = 0 from pg_stat_activity where datname = '{db}' and query like 'copy%' and state = 'active' and pid <> pg_backend_pid()"),
            B.sql("select 'b again'"),
        ])
        .expect(["B DataRow (b)", "B DataRow (b again)"])
        .run();
}

#[test]
fn slow_reader_of_copy_out() {
    let cluster = Cluster::shared();
    let database = cluster.database();
    if direct_only() {
        return;
    }
    let proxy = Proxy::start(&cluster.url(APP, &database.name, "pool_size=2"));
    let login = Login::new(APP.0, APP.1, &database.name);
    let mut other = Client::connect(&proxy.endpoint(), &login);
    other.run("select 1");
    let before = proxy.memory();
    let mut slow = Client::connect(&proxy.endpoint(), &login);
    slow.send(&msg::query("copy (select repeat('x', 10000) from generate_series(1, 100000)) to stdout"));
    for n in 0..50 {
        assert_eq!(other.value(&format!("select {n}")), n.to_string());
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let grown = proxy.memory().saturating_sub(before);
    assert!(grown < 16 << 20, "a gigabyte that nobody reads has made pgweir grow by {grown} bytes");
    drop(slow);
    eventually("the COPY has ended", || {
        cluster
            .superuser(&database.name)
            .value("select count(*) from pg_stat_activity where state = 'active' and query like 'copy (%'")
            == "0"
    });
    drop(other);
}

#[test]
fn all_of_a_copy_at_once() {
    case("44", "the end of the data and what follows it are sent before the server has begun to copy")
        .setup("create table t (i int)")
        .steps([
            A.send([
                msg::unnamed("copy t from stdin", &[]),
                msg::copy_data(b"1\n"),
                msg::copy_done(),
                msg::sync(),
                msg::unnamed("select 1", &[]),
                msg::sync(),
            ]),
            A.ready_times(2),
            A.send([
                msg::unnamed("copy t from stdin", &[]),
                msg::sync(),
                msg::sync(),
                msg::copy_data(b"2\n"),
                msg::copy_done(),
                msg::sync(),
                msg::query("select 2"),
            ]),
            A.ready_times(2),
            A.send([
                msg::query("copy t from stdin; copy t from stdin; select 3"),
                msg::copy_data(b"3\n"),
                msg::copy_done(),
                msg::copy_data(b"4\n"),
                msg::copy_done(),
                msg::sync(),
                msg::query("copy t from stdin"),
                msg::copy_fail("no"),
                msg::query("select 4"),
            ]),
            A.ready_times(4),
            A.send([
                msg::unnamed("copy t from stdin", &[]),
                msg::copy_data(b"x\n"),
                msg::copy_done(),
                msg::sync(),
                msg::unnamed("copy t from stdin", &[]),
                msg::copy_data(b"5\n"),
                msg::copy_done(),
                msg::sync(),
            ]),
            A.ready_times(2),
            A.sql("select count(*) from t"),
            B.sql("select 5"),
        ])
        .expect(["CommandComplete COPY 1", "CommandComplete COPY 1", "22P02", "DataRow (5)"])
        .run();
}
