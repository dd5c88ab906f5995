//! What is sent on the strength of something that then fails, and what is asked of one statement while another is meant.

use super::prelude::*;

fn run(name: &str) -> Vec<u8> {
    [msg::bind("", name, &[]), msg::execute("", 0), msg::sync()].concat()
}

fn prepared(name: &str, sql: &str) -> Vec<u8> {
    [msg::parse(name, sql), msg::describe_statement(name), msg::sync()].concat()
}

/// A copy that a skipped Parse was to make must not come back with what would have closed it: the text of a Parse whose name is taken would
/// be prepared in its place, and be run by others.
#[test]
fn a_statement_that_was_never_prepared_does_not_come_back() {
    for (last, whose) in [("select 5", A), ("select 5", B), ("create table nobodys (i int)", B)] {
        case("30 34", "names of one text in cycles that fail, one behind the other")
            .creates_objects()
            .steps([
                A.send([prepared("d", "select 'a'"), msg::parse("c", "select 'a'"), msg::sync()]),
                A.ready_times(2),
                B.send([msg::parse("q", "select 'a'"), msg::sync()]),
                B.ready(),
                A.sql("set timezone = 'Asia/Tokyo'"),
                B.sql("set timezone = 'Asia/Tokyo'"),
                A.send([msg::parse("c", "select nosuch"), run("c"), msg::parse("d", "select 1"), run("d")]),
                A.ready_times(2),
                A.send([msg::parse("d", last), msg::sync()]),
                A.ready(),
                whose.send([run(if whose == A { "c" } else { "q" })]),
                whose.ready(),
                A.send([run("d")]),
                A.ready(),
            ])
            .expect(["42703", "42P05", "42P05", "DataRow (a)", "A DataRow (a)"])
            .run();
    }
}

/// What is taken for gone may be there, and the other way round.
#[test]
fn a_free_name_is_free_where_a_server_has_too_many_statements() {
    case("35 30", "a text that has just been closed is prepared again, behind a name that is taken")
        .config("[limits]\nprepared_per_server = 3\n")
        .steps([
            A.send([msg::parse("d", "select 3"), run("d"), prepared("a", "select 5")]),
            A.ready_times(2),
            A.send([msg::close_statement("a"), msg::sync(), prepared("a", "select 7")]),
            A.ready_times(2),
            A.send([msg::close_statement("a"), msg::sync(), prepared("a", "select 6")]),
            A.ready_times(2),
            A.send([prepared("d", "select 1"), prepared("b", "select 3")]),
            A.ready_times(2),
            A.send([run("a"), run("b"), run("d")]),
            A.ready_times(3),
        ])
        .expect(["42P05", "DataRow (6)", "DataRow (3)", "DataRow (3)"])
        .run();
}

/// The server is asked what a statement is; while it answers, settings become known under which it is another one.
#[test]
fn what_was_asked_of_one_statement_is_no_answer_for_another() {
    let described = || [msg::bind("", "d", &[]), msg::describe_portal(""), msg::execute("", 0), msg::sync()];
    for (before, first) in [
        ("select 1", "set search_path = pg_catalog, public"),
        ("select 1", "select set_config('search_path', 'pg_catalog', false)"),
        ("set search_path = pg_catalog", "reset all"),
        ("select 1", "set timezone = 'Asia/Tokyo'"),
    ] {
        for pipelined in [true, false] {
            let cycles = [msg::query(first), described().concat()];
            let steps = match pipelined {
                true => vec![A.send(cycles), A.ready_times(2)],
                false => vec![A.sql(first), A.send(described()), A.ready()],
            };
            case("36", "a statement whose rows are known, under another search path")
                .steps([A.sql(before), A.send([msg::parse("d", "select 'a'"), msg::sync()]), A.ready()])
                .steps([A.send(described()), A.ready()])
                .config("[limits]\nprepared_per_server = 1\n")
                .steps([B.send([prepared("x", "select 2"), prepared("y", "select 3")]), B.ready_times(2)])
                .steps(steps)
                .may_say("ParameterStatus")
                .expect(["A DataRow (a)", "B RowDescription", "A DataRow (a)"])
                .run();
        }
    }
}

/// Bytes of a value may look like the name of a setting, and be none in any encoding.
#[test]
fn bytes_of_a_value_that_are_no_name() {
    let bind = msg::bind_formats("", "", &[1], &[Some(b"\xb2\xc3.\xd7")], &[0]);
    case("55", "a value in binary, of a statement that may set anything")
        .pool("pool_size=2")
        .creates_objects()
        .setup(
            "create function hides(b bytea) returns int language plpgsql as \
             'begin execute ''select 1''; perform set_config(''app.x'', ''set'', false); return length(b); end'",
        )
        .steps([
            A.send([msg::parse("", "select hides($1)"), bind, msg::execute("", 0), msg::sync()]),
            A.ready(),
            B.sql("select 'between'"),
            A.sql("show app.x"),
        ])
        .expect(["A DataRow (4)", "B DataRow (between)", "A DataRow (set)"])
        .run();
}

/// A server that reports what changes reports what goes back to its default.
#[test]
fn discard_all_tells_what_it_resets() {
    case("50", "DISCARD ALL of a session that has set what is reported")
        .since(14)
        .steps([
            A.sql("set client_encoding = 'latin1'"),
            A.sql("set datestyle = 'German'"),
            A.sql("discard all"),
            B.sql("select 'between'"),
            A.sql("select current_setting('client_encoding')"),
        ])
        .expect(["A ParameterStatus", "A DataRow (UTF8)"])
        .run();
}
