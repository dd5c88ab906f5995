//! Section D, continued: what the server says of a statement names it as the client does.

use super::prelude::*;

fn run(name: &str) -> Vec<u8> {
    [msg::bind("", name, &[]), msg::execute("", 0), msg::sync()].concat()
}

/// A statement without parameters is given one.
fn bind_too_much(name: &str) -> [Step; 2] {
    [A.send([msg::bind("", name, &["1"]), msg::sync()]), A.ready()]
}

fn parse(name: &str, text: &str) -> [Step; 2] {
    [A.send([msg::parse(name, text), msg::sync()]), A.ready()]
}

/// What a SET in the same batch leaves open is how a text beyond ASCII is read.
#[test]
fn a_name_whose_parse_has_failed_is_free() {
    let bad = || {
        let sets = msg::unnamed("select set_config('application_name', 'x', false)", &[]);
        [sets, msg::parse("s", "select 'é' from nonexist")].concat()
    };
    let used = [
        vec![],
        msg::bind("", "s", &[]),
        [msg::bind("p", "s", &[]), msg::bind("q", "s", &[])].concat(),
        msg::describe_statement("s").repeat(3),
    ];
    for used in used {
        case("32 36", "a Parse beyond ASCII that fails, and is used in its batch")
            .steps([
                A.send([bad(), used.clone(), msg::sync()]),
                A.ready(),
                A.send([run("s")]),
                A.ready(),
                A.send([msg::parse("s", "select 'free'"), run("s"), msg::close_statement("s"), msg::sync()]),
                A.ready_times(2),
                A.send([bad(), used, msg::sync()]),
                A.ready(),
                A.sql("prepare s as select 'free again'"),
                A.sql("execute s"),
            ])
            .expect(["42P01", "26000", "DataRow (free)", "42P01", "DataRow (free again)"])
            .run();
    }
}

#[test]
fn names_of_one_text() {
    let long = "n".repeat(70);
    case("33", "a Bind that fails, of one of several names")
        .steps([
            A.send([
                msg::parse("one", "select 1"),
                msg::parse("two", "select 1"),
                msg::parse(&long, "select 1"),
                msg::sync(),
            ]),
            A.ready(),
        ])
        .steps(["one", "two", &long].map(bind_too_much).concat())
        .steps(parse(&long, "select 1"))
        .steps([
            A.send([msg::bind("", "two", &["1"]), msg::close_statement("two"), msg::sync()]),
            A.ready(),
            A.send([
                msg::bind("", "two", &["1"]),
                msg::sync(),
                msg::close_statement("two"),
                msg::sync(),
                msg::parse("two", "select 1"),
                msg::sync(),
            ]),
            A.ready_times(3),
        ])
        .expect([
            "statement \"one\" requires 0",
            "statement \"two\" requires 0",
            "nnn\" requires 0",
            "nnn\" already exists",
            "statement \"two\" requires 0",
            "statement \"two\" requires 0",
        ])
        .run();
}

#[test]
fn names_in_one_text() {
    case("34", "a text in which one of several statements fails")
        .steps([
            A.send([msg::parse("one", "select $1::int"), msg::parse("two", "select $1::int"), msg::sync()]),
            A.ready(),
            A.sql("execute one(1); execute two"),
            A.sql("select 5; execute two(1); execute one"),
            A.sql("select 5;; ; execute two(1); commit; execute one"),
            A.sql("explain execute two"),
            A.sql("create table t as execute one"),
            A.sql("select 1; execute one(1); prepare two as select 1"),
        ])
        .steps(parse("x", "execute two"))
        .steps([A.send([run("x")]), A.ready()])
        .steps(bind_too_much("x"))
        .expect([
            "statement \"two\"",
            "statement \"one\"",
            "statement \"one\"",
            "statement \"two\"",
            "statement \"one\"",
            "\"two\" already exists",
            "statement \"two\"",
            "statement \"x\" requires 0",
        ])
        .run();
}

/// What looks like a name of ours and is none.
#[test]
fn names_like_ours() {
    let relations = |n: usize| {
        let text = format!("select * from \"_pgweir_{n}\"");
        let parse = [parse("z", &text), parse("", &text)].concat();
        [parse, vec![A.sql(format!("{text}; execute one"))]].concat()
    };
    case("32 34", "statements and tables of names like pgweir's")
        .steps(parse("one", "select 1"))
        .steps([A.sql("prepare _pgweir_1 as select 7"), A.sql("execute _pgweir_1")])
        .steps([
            A.sql("execute _pgweir_7000"),
            A.sql("select 1; deallocate _pgweir_7000; execute _pgweir_8000"),
            A.send([msg::bind("", "_pgweir_9000", &[]), msg::sync()]),
            A.ready(),
            A.send([msg::describe_statement("_pgweir_9000"), msg::sync()]),
            A.ready(),
            A.send([msg::close_statement("_pgweir_9000"), msg::sync()]),
            A.ready(),
        ])
        .steps((0..12).flat_map(relations))
        .expect([
            "DataRow (7)",
            "\"_pgweir_7000\"",
            "\"_pgweir_7000\"",
            "\"_pgweir_9000\"",
            "\"_pgweir_9000\"",
            "42P01 relation \"_pgweir_3\"",
        ])
        .run();
}

#[test]
fn positions_in_statements_about_statements() {
    case("34", "positions of errors in PREPARE that is parsed, and in what it has prepared")
        .creates_objects()
        .setup("create table dt (i int)")
        .steps(parse("u", "prepare x as select from from"))
        .steps(parse("", "prepare x as select from from"))
        .steps([
            A.sql("prepare a_name_of_some_length as select * from dt"),
            A.sql("drop table dt"),
            A.send([run("a_name_of_some_length")]),
            A.ready(),
            A.sql("execute a_name_of_some_length"),
        ])
        .steps(discards(B))
        .steps([A.send([run("a_name_of_some_length")]), A.ready(), A.sql("execute a_name_of_some_length")])
        .expect(["42601", "42601", "42P01", "42P01", "42P01", "42P01"])
        .run();
}

#[test]
fn a_name_that_is_taken_and_a_prepare_that_is_wrong() {
    let again = |text: &str| [A.sql(text), A.send([msg::unnamed(text, &[]), msg::sync()]), A.ready()];
    case("34", "PREPARE of a name that is taken: found out when all else is right")
        .steps([A.sql("prepare a as select 1")])
        .steps(again("prepare a as select * from nonexist"))
        .steps(again("prepare a as selekt"))
        .steps(again("prepare a as select 2"))
        .steps(parse("p", "prepare a as select 3"))
        .steps(discards(B))
        .steps([A.send([run("p")]), A.ready(), A.sql("deallocate a"), A.send([run("p")]), A.ready()])
        .steps([A.sql("execute a")])
        .expect(["42P01", "42P01", "42601", "42601", "42P05", "42P05", "42P05", "PREPARE", "DataRow (3)"])
        .run();
}

#[test]
fn names_that_are_no_names() {
    let long = "n".repeat(70);
    case("34", "a name that cannot be read, one that is too long, and one that is a keyword")
        // A text is sent with a name that is not too long.
        .may_say("will be truncated")
        .steps([
            A.send([msg::frame(b'P', b"x\xff\0select 1\0\0\0"), msg::sync()]),
            A.ready(),
            A.sql(format!("prepare {long}(int) as select $1")),
            A.sql(format!("execute {long}")),
            A.sql(format!("select 1; prepare {long} as select 1")),
            A.sql("prepare select as select 1"),
            A.sql("prepare \"select\" as select 1"),
            A.sql("execute select"),
        ])
        .expect(["22021", "42601", "42P05", "42601", "PREPARE", "42601"])
        .run();
}

#[test]
fn what_the_server_tells_of_its_work() {
    case("33", "notices with names in them")
        .steps([A.sql("set client_min_messages = debug2")])
        .steps(parse("s", "select 1"))
        .steps([A.send([run("s")]), A.ready(), A.sql("execute s")])
        .expect(["DEBUG 00000 parse s: select 1", "DEBUG 00000 bind <unnamed> to s"])
        .never("_pgweir")
        .run();
}
