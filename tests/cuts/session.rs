//! One session with every kind of message that a client sends.

use crate::harness::frontend as msg;

/// What the session needs in its database.
pub const SETUP: &str = "create table cuts (a int, b text)";

/// The session behind its login, as its messages; it ends as it began, so it can be repeated.
pub fn messages() -> Vec<Vec<u8>> {
    vec![
        msg::query("select 1 as a; select 'two' where false"),
        msg::query(""),
        msg::parse_typed("s", "select $1 + 1", &[23]),
        msg::describe_statement("s"),
        msg::flush(),
        msg::bind("p", "s", &["41"]),
        msg::describe_portal("p"),
        msg::execute("p", 1),
        msg::close_portal("p"),
        msg::sync(),
        msg::bind("", "s", &["1"]),
        msg::execute("", 0),
        msg::close_statement("s"),
        msg::sync(),
        msg::unnamed("select 1 / $1::int", &["0"]),
        msg::unnamed("select 'skipped'", &[]),
        msg::sync(),
        msg::query("begin"),
        msg::query("set local work_mem = '70kB'; show work_mem"),
        msg::query("copy cuts from stdin"),
        msg::copy_data(b"1\tone\n2\tt"),
        msg::copy_data(b"wo\n"),
        msg::copy_done(),
        msg::query("copy cuts to stdout"),
        msg::query("rollback"),
        msg::query("copy cuts from stdin"),
        msg::copy_fail("no more"),
        msg::function_call(177, 0, &[Some(b"2"), Some(b"3")], 0),
        msg::query("set application_name = 'cuts'"),
        msg::query("select count(*), current_setting('application_name') from cuts"),
        msg::query("reset application_name"),
    ]
}

/// How many ReadyForQuery answer the messages.
pub fn cycles(messages: &[Vec<u8>]) -> usize {
    messages.iter().filter(|message| matches!(message[0], b'Q' | b'S' | b'F')).count()
}
