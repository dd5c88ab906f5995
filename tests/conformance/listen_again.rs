//! LISTEN by a session that listens already: what came since its transaction or its cycle began is for it, on the new channel too.
//!
//! PostgreSQL looks at what was notified when a cycle ends outside of a transaction, with the channels of then. A session that has not
//! listened before begins with what is committed behind its LISTEN.

use super::prelude::*;

const SHOW: &str = "select pg_listening_channels()";

fn batch(texts: &[&str]) -> Vec<u8> {
    texts.iter().flat_map(|sql| msg::unnamed(sql, &[])).chain(msg::sync()).collect()
}

/// Statements as one text and as one batch, of a session that listens to `before`: which payloads it hears, and the channel on which it hears
/// another one later.
#[track_caller]
fn check(before: Option<&str>, texts: &[&str], heard: &[&str], later: &str) {
    for cycle in [msg::query(&texts.join("; ")), batch(texts)] {
        let mut case = case("59", "NOTIFY, COMMIT and LISTEN in one cycle")
            .pool("pool_size=2")
            .steps(before.map(|channel| A.sql(format!("listen {channel}"))))
            .steps([A.send([cycle]), A.ready(), A.sql("rollback"), A.sql(SHOW)])
            .steps([B.sql(format!("notify {later}, 'later'")), A.until(b'A'), A.sql("select 1"), A.quiet()])
            .steps([B.sql(SHOW), C.sql(SHOW)]);
        for payload in heard {
            case = case.expect([&format!("\"{payload}\"")]);
        }
        case.expect(["\"later\"", "B CommandComplete SELECT 0", "C CommandComplete SELECT 0"])
            .never("Response b \"no\"")
            .never("Response a \"no\"")
            .run();
    }
}

#[test]
fn notified_before_the_listen_of_the_same_cycle() {
    check(Some("a"), &["begin", "notify b, '1'", "commit", "listen b"], &["1"], "b");
    check(Some("a"), &["begin", "notify b, '1'", "commit", "begin", "listen b", "commit"], &["1"], "a");
    let twice =
        ["begin", "notify b, '1'", "commit", "select 5", "listen b", "notify b, '2'", "commit", "listen c"];
    check(Some("a"), &twice, &["1", "2"], "c");
}

#[test]
fn listening_is_over_by_the_end_of_the_cycle() {
    check(Some("a"), &["begin", "notify a, 'no'", "commit", "unlisten a", "listen b"], &[], "b");
    let both =
        ["begin", "notify b, 'no'", "commit", "listen b", "begin", "notify b, 'no'", "commit", "unlisten b"];
    check(Some("a"), &both, &[], "a");
}

#[test]
fn a_listen_that_does_not_come_to_pass() {
    check(Some("a"), &["begin", "notify b, 'no'", "commit", "select 1/0", "listen b"], &[], "a");
    check(Some("a"), &["begin", "notify b, 'no'", "commit", "begin", "listen b", "rollback"], &[], "a");
}

#[test]
fn who_listens_for_the_first_time_begins_behind_it() {
    check(None, &["begin", "notify b, 'no'", "commit", "listen b"], &[], "b");
    check(None, &["begin", "notify b, 'no'", "commit", "listen b", "notify b, '1'"], &["1"], "b");
}

#[test]
fn what_others_notify_meanwhile() {
    for listened in [true, false] {
        case("59", "others notify behind a LISTEN, and before its COMMIT")
            .pool("pool_size=2")
            .steps(listened.then(|| A.sql("listen a")))
            .steps([A.sql("begin"), A.sql("listen b")])
            .steps([
                B.sql("notify b, '1'"),
                A.sql("listen c"),
                B.sql("notify c, '2'"),
                B.sql("notify b, '3'"),
            ])
            .steps([A.sql("commit"), B.sql("notify b, '4'"), A.until(b'A'), A.quiet()])
            .expect(if listened { ["\"1\"", "\"2\"", "\"3\""] } else { ["LISTEN", "LISTEN", "COMMIT"] })
            .expect(["\"4\""])
            .run();
    }
}

/// Once somebody has asked inside a transaction, every session of the pool is answered there.
#[test]
fn channels_are_shown_in_transactions() {
    case("59", "pg_listening_channels() in a transaction that did not begin with it")
        .pool("pool_size=2")
        .both_forms()
        .steps([B.sql("begin"), B.sql("select 1"), B.sql(SHOW), B.sql("commit")])
        .steps([A.sql("listen a"), A.sql("listen b")])
        .steps([
            A.sql("begin"),
            A.sql("select 1"),
            A.sql(SHOW),
            A.sql("listen c"),
            A.sql(SHOW),
            A.sql("commit"),
        ])
        .steps([A.sql("begin"), A.sql("select 1"), A.sql("unlisten a"), A.sql(SHOW), A.sql("rollback")])
        .steps([
            A.sql(SHOW),
            B.sql("notify c"),
            A.until(b'A'),
            B.sql("begin"),
            B.sql("select 1"),
            B.sql(SHOW),
        ])
        .expect(["A DataRow (a)", "A DataRow (b)", "A DataRow (a)", "A DataRow (b)", "A DataRow (a)"])
        .expect(["A CommandComplete SELECT 3", "B CommandComplete SELECT 0"])
        .run();
}

#[test]
fn channels_are_shown_in_batches() {
    case("59", "pg_listening_channels() in a batch that does not begin with it")
        .pool("pool_size=2")
        .steps([A.sql("listen a"), A.sql("listen b")])
        .steps([A.send([batch(&["select 1", SHOW, "listen c", SHOW, "unlisten a", SHOW])]), A.ready()])
        .steps([A.send([batch(&["select 1", SHOW])]), A.ready()])
        .steps([A.send([msg::parse("s", SHOW), msg::sync()]), A.ready()])
        .steps([
            A.send([
                msg::unnamed("select 1", &[]),
                msg::bind("", "s", &[]),
                msg::execute("", 0),
                msg::sync(),
            ]),
            A.ready(),
            B.sql(SHOW),
        ])
        .expect([
            "A DataRow (a)",
            "A DataRow (b)",
            "A DataRow (b)",
            "A DataRow (c)",
            "B CommandComplete SELECT 0",
        ])
        .run();
}
