//! Section C, continued: what takes the unnamed statement away, and what does not.
//!
//! PostgreSQL drops it when it begins to read a Query's text, or that of a Parse without a name. What it refuses before, for the bytes
//! cannot be read, and what it skips behind an error leave it as it is.

use super::prelude::*;

const UNREADABLE: &[u8] = b"select '\xff'";

fn run(name: &str) -> Vec<u8> {
    [msg::bind("", name, &[]), msg::execute("", 0), msg::sync()].concat()
}

fn parse(text: &[u8]) -> Vec<u8> {
    [msg::frame(b'P', &[b"\0", text, b"\0\0\0"].concat()), msg::sync()].concat()
}

/// Sends something while there is an unnamed statement, and runs that: on the same server, and on one that lacks it.
#[track_caller]
fn check(name: &'static str, messages: &[Vec<u8>], answers: usize, expected: &str) {
    for discarded in [vec![], discards(B).to_vec()] {
        case("31", name)
            .steps([A.send([msg::parse("", "select 'kept'"), msg::sync()]), A.ready()])
            .steps([A.send([messages.concat()]), A.ready_times(answers)])
            .steps(discarded)
            .steps([A.send([run("")]), A.ready()])
            .expect([expected])
            .run();
    }
}

#[test]
fn a_query_that_cannot_be_read() {
    let query = msg::query_bytes;
    check("bytes that are not UTF-8", &[query(UNREADABLE)], 1, "DataRow (kept)");
    check("the same in a SET", &[query(b"set application_name = '\xff'")], 1, "DataRow (kept)");
    check("the same in a PREPARE", &[query(b"prepare x as select '\xff'")], 1, "DataRow (kept)");
    check("the same behind DISCARD ALL", &[query(b"discard all -- \xff")], 1, "DataRow (kept)");
    check("bytes behind the text", &[msg::frame(b'Q', b"select 1\0x")], 1, "DataRow (kept)");
    check("a text without an end", &[msg::frame(b'Q', b"select 1")], 1, "DataRow (kept)");
    check("a text in the text", &[msg::frame(b'Q', b"select 1\0x\0")], 1, "DataRow (kept)");
}

#[test]
fn a_query_that_is_read_and_fails() {
    check("a syntax error", &[msg::query("selekt")], 1, "26000");
    check("no text", &[msg::query("")], 1, "26000");
    check("a string that is not UTF-8", &[msg::query("select E'\\xff'")], 1, "26000");
    let converts = "select 'é', convert_from('\\xff', 'utf8')";
    check("a value that is not UTF-8", &[msg::query(converts)], 1, "26000");
}

#[test]
fn a_parse_that_cannot_be_read() {
    check("Parse of bytes that are not UTF-8", &[parse(UNREADABLE)], 1, "DataRow (kept)");
    check("Parse of a string that is not UTF-8", &[parse(b"select E'\\xff'")], 1, "26000");
    let malformed = msg::frame(b'P', b"\0select 1\0\0\x01");
    check("a malformed Parse", &[malformed, msg::sync()], 1, "DataRow (kept)");
    let behind = [msg::frame(b'P', b"\0select '\xff'\0\0\0"), msg::parse("", "select 1"), msg::sync()];
    check("one that is skipped behind it", &behind, 1, "DataRow (kept)");
}

#[test]
fn what_is_skipped() {
    let nosuch = || msg::bind("", "nosuch", &[]);
    check("a Query", &[nosuch(), msg::query("select 1"), msg::sync()], 1, "DataRow (kept)");
    let parse_and_query = [nosuch(), msg::parse("", "select 2"), msg::query("select 1"), msg::sync()];
    check("a Parse and a Query", &parse_and_query, 1, "DataRow (kept)");
    let sync_before = [msg::query("select 1"), nosuch(), msg::query("select 1"), msg::sync()];
    check("a Query behind one that is not skipped", &sync_before, 2, "26000");
}

#[test]
fn in_pipelines() {
    let query = || msg::query_bytes(UNREADABLE);
    check("run behind it", &[query(), run("")], 2, "DataRow (kept)");
    check("two of them", &[query(), query(), run("")], 3, "DataRow (kept)");
    check("behind one that is read", &[msg::query("select 1"), query(), run("")], 3, "26000");
    check("before one that is read", &[query(), msg::query("select 1"), run("")], 3, "26000");
    let new = [msg::parse("", "select 'new'"), msg::sync(), query(), run("")];
    check("behind a Parse", &new, 3, "DataRow (new)");
    let failed = [msg::parse("", "selekt"), msg::sync(), query(), run("")];
    check("behind a Parse that fails", &failed, 3, "26000");
    check(
        "before a Parse",
        &[query(), msg::parse("", "select 'new'"), msg::sync(), run("")],
        3,
        "DataRow (new)",
    );
    let open = [msg::parse("", "select 'new'"), query(), msg::sync()];
    check("inside a batch", &open, 2, "DataRow (new)");
}

/// In a transaction that has failed everything is read before it is refused.
#[test]
fn in_transactions() {
    case("31", "in a transaction, and in one that has failed")
        .steps([
            A.send([msg::query("begin"), msg::parse("", "select 'kept'"), msg::sync()]),
            A.ready_times(2),
            A.send([msg::query_bytes(UNREADABLE), msg::parse("", "rollback"), msg::sync()]),
            A.ready_times(2),
            A.send([msg::query_bytes(UNREADABLE), run("")]),
            A.ready_times(2),
            A.send([msg::query("begin"), msg::query("select 1/0"), msg::parse("", "rollback"), msg::sync()]),
            A.ready_times(3),
            A.send([msg::query("select 1"), run(""), msg::query("rollback")]),
            A.ready_times(3),
        ])
        .expect(["22021", "22021", "CommandComplete ROLLBACK", "22012", "25P02", "26000", "ROLLBACK"])
        .run();
}

#[test]
fn in_another_encoding() {
    for text in [&b"select '\x81'"[..], b"set application_name = '\x81'", b"select '\xe9'"] {
        case("31", "bytes that the client's encoding does not have")
            .steps([
                A.login(&[("client_encoding", "WIN1252")]),
                A.send([msg::parse("", "select 'kept'"), msg::sync()]),
                A.ready(),
                A.send([msg::query_bytes(text)]),
                A.ready(),
                A.send([run("")]),
                A.ready(),
            ])
            .expect([if text.contains(&0x81) { "DataRow (kept)" } else { "26000" }])
            .run();
    }
}
