//! Section D, continued: names of prepared statements where something fails, and what is shared between sessions.

use super::prelude::*;
use crate::harness::cluster::pg_version;
use crate::harness::direct_only;
use crate::harness::proxy::{Proxy, ProxyOptions};
use crate::harness::raw::Client;

fn run(name: &str) -> Vec<u8> {
    [msg::bind("", name, &[]), msg::execute("", 0), msg::sync()].concat()
}

/// A statement that cannot be prepared anew is run by a text.
#[test]
fn a_text_runs_what_cannot_be_brought() {
    for (before, text, after) in [
        ("drop table dt", "execute s1", "select 1"),
        ("drop table dt", "deallocate s1", "select 1"),
        ("begin; drop table dt", "execute s1", "rollback"),
        ("begin; drop table dt", "deallocate s1", "commit"),
        ("begin; select 1/0", "execute s1", "rollback"),
        ("begin; select 1/0", "deallocate s1", "rollback"),
        ("drop table dt", "select 'first'; execute s1", "select 1"),
    ] {
        for parse in [true, false] {
            let prepare = match parse {
                true => A.send([msg::parse("s1", "select * from dt"), msg::sync()]),
                false => A.query("prepare s1 as select * from dt"),
            };
            case("34", text)
                .creates_objects()
                .setup("create table dt (i int)")
                .steps([prepare, A.ready()])
                .steps(if before.starts_with("begin") { vec![] } else { discards(B).into() })
                .steps([A.sql(before)])
                .steps(if before.starts_with("begin") { vec![] } else { discards(B).into() })
                .steps([
                    A.sql(text),
                    A.sql(after),
                    A.sql("prepare s1 as select 2"),
                    A.sql("select 3"),
                    B.sql("select 4"),
                ])
                .expect(["A DataRow (3)", "B DataRow (4)"])
                .run();
        }
    }
}

#[test]
fn nobody_runs_the_unnamed_statement_of_another() {
    case("31", "the unnamed statement of another session, behind errors")
        .steps([
            B.send([msg::unnamed("select 'secret'", &[]), msg::sync()]),
            B.ready(),
            A.send([msg::bind("", "nosuch", &[]), msg::parse("", "select 1"), msg::sync()]),
            A.ready(),
            A.send([run("")]),
            A.ready(),
            B.send([msg::unnamed("select 'secret'", &[]), msg::sync()]),
            B.ready(),
            A.send([
                msg::parse("x", "select 1/0"),
                msg::bind("", "x", &[]),
                msg::execute("", 0),
                msg::parse("", "select 2"),
                msg::sync(),
            ]),
            A.ready(),
            A.send([msg::describe_statement(""), msg::sync()]),
            A.ready(),
            A.send([run("")]),
            A.ready(),
        ])
        .expect(["26000", "22012", "26000", "26000"])
        .run();
    case("31", "an unnamed statement whose replacement is skipped is still there")
        .steps([
            A.send([msg::parse("", "select 'kept'"), msg::sync()]),
            A.ready(),
            A.send([msg::bind("", "nosuch", &[]), msg::parse("", "select 'other'"), msg::sync()]),
            A.ready(),
            A.send([run("")]),
            A.ready(),
        ])
        .expect(["26000", "DataRow (kept)"])
        .run();
}

/// Strings become constants when a text is parsed, under the settings of whoever parses it.
#[test]
fn constants_are_those_of_the_session() {
    for (setting, other, text) in [
        (
            "timezone = 'Asia/Tokyo'",
            "timezone = 'UTC'",
            "select extract(epoch from timestamptz '2024-06-01 00:00')",
        ),
        ("datestyle = 'ISO, DMY'", "datestyle = 'ISO, MDY'", "select '01/02/2003'::date"),
        (
            "intervalstyle = 'postgres'",
            "intervalstyle = 'sql_standard'",
            "select extract(hour from interval '-1 2:00')",
        ),
        ("array_nulls = on", "array_nulls = off", "select ('{null}'::text[])[1] is null"),
        (
            "transform_null_equals = on",
            "transform_null_equals = off",
            "select count(*) from (values (null::int)) t(i) where i = null",
        ),
    ] {
        for in_transaction in [false, true] {
            let both = |session: Session, set: &str| {
                let set = match in_transaction {
                    true => vec![session.sql("begin"), session.sql(format!("set local {set}"))],
                    false => vec![session.sql(format!("set {set}"))],
                };
                let parse = [session.send([msg::parse("s", text), msg::sync()]), session.ready()];
                let bind = [session.send([run("s")]), session.ready()];
                let end = if in_transaction { vec![session.sql("commit")] } else { vec![] };
                [set, parse.into(), bind.into(), end].concat()
            };
            case("33", text)
                .steps(both(A, setting))
                .steps(both(B, other))
                .steps([
                    C.send([msg::parse("s", text), msg::sync()]),
                    C.ready(),
                    C.send([run("s")]),
                    C.ready(),
                ])
                .steps(if in_transaction {
                    vec![]
                } else {
                    vec![A.send([run("s")]), A.ready(), B.send([run("s")]), B.ready()]
                })
                .expect(["A DataRow", "B DataRow", "C DataRow"])
                .run();
        }
    }
    case("33", "the same text in two roles with tables of their own")
        .setup("create table public.tt (i int)")
        .steps([
            A.sql("set search_path = '\"$user\", public'"),
            A.send([msg::parse("s", "select * from tt"), msg::sync()]),
            A.ready(),
            B.send([msg::parse("s", "select * from tt"), msg::sync()]),
            B.ready(),
            A.send([run("s")]),
            A.ready(),
            B.send([run("s")]),
            B.ready(),
        ])
        .run();
}

/// A pool of one server that keeps two statements.
fn crowded(case: impl Fn(&dyn Fn() -> Client)) {
    if direct_only() {
        return;
    }
    let cluster = Cluster::shared();
    let database = cluster.database();
    let options = ProxyOptions::url(&cluster.url(APP, &database.name, "pool_size=1"));
    let proxy = Proxy::start_with(&options.config("[limits]\nprepared_per_server = 2\n"));
    case(&|| Client::connect(&proxy.endpoint(), &database.login()));
}

fn rows(client: &mut Client, bytes: &[u8]) -> Vec<String> {
    client.send(bytes);
    let answers = client.until_ready();
    assert!(answers.iter().all(|message| message.tag != b'E'), "{answers:?}");
    answers.iter().filter(|message| message.tag == b'D').map(|row| row.value()).collect()
}

#[test]
fn a_failing_parse_on_a_full_server_harms_nobody() {
    crowded(|connect| {
        let (mut client, mut other) = (connect(), connect());
        for n in 0..4 {
            client.send(&[msg::parse(&format!("s{n}"), &format!("select {n}")), msg::sync()].concat());
            client.until_ready();
            client.send(&[msg::parse("bad", "select * from nonexist"), msg::sync()].concat());
            client.until_ready();
        }
        for n in 0..4 {
            let bytes =
                [msg::parse(&format!("o{n}"), &format!("select {n}")), run(&format!("o{n}"))].concat();
            assert_eq!(rows(&mut other, &bytes), [n.to_string()]);
            assert_eq!(rows(&mut client, &run(&format!("s{n}"))), [n.to_string()]);
        }
    });
}

/// The server lets go of what was not used for the longest time.
#[test]
fn a_statement_in_use_stays_on_the_server() {
    crowded(|connect| {
        let mut client = connect();
        let prepare = |name: &str, text: &str| [msg::parse(name, text), msg::sync()].concat();
        rows(&mut client, &prepare("hot", "select 'hot'"));
        for n in 0..5 {
            rows(&mut client, &prepare(&format!("s{n}"), &format!("select {n}")));
            assert_eq!(rows(&mut client, &run("hot")), ["hot"]);
            let oldest = "select statement from pg_prepared_statements order by prepare_time limit 1";
            assert_eq!(client.value(oldest), "select 'hot'", "{n}");
        }
    });
}

#[test]
fn a_text_that_runs_more_than_a_server_keeps() {
    crowded(|connect| {
        let mut client = connect();
        for n in 0..5 {
            client.run(&format!("prepare s{n} as select {n}"));
        }
        for _ in 0..3 {
            let text: String = (0..5).map(|n| format!("execute s{n};")).collect();
            assert_eq!(rows(&mut client, &msg::query(&text)), ["0", "1", "2", "3", "4"]);
            client.run("deallocate s0; deallocate s1; prepare s0 as select 0; prepare s1 as select 1");
        }
    });
}

#[test]
fn a_text_in_two_parts_says_what_it_did() {
    case("34", "PREPARE and DEALLOCATE in a text that ends a transaction and listens")
        .steps([
            A.sql("begin; prepare foo as select * from nonexist; commit; listen c1"),
            A.sql("rollback"),
            A.sql("prepare foo as select 1"),
            A.sql("execute foo"),
            A.sql("begin; select 1/0; deallocate foo; commit; listen c2"),
            A.sql("rollback"),
            A.sql("execute foo"),
            A.sql("begin; deallocate all; commit; listen c3"),
            A.sql("execute foo"),
        ])
        .expect(["42P01", "DataRow (1)", "22012", "DataRow (1)", "26000"])
        .run();
}

#[test]
fn a_name_that_exists_stays_what_it_is() {
    for (prepare, drop) in
        [("prepare c as select 3", "select 1"), ("prepare c as select * from dt", "drop table dt")]
    {
        case("34", "PREPARE of a name that exists, on a server that lacks it")
            .creates_objects()
            .setup("create table dt (i int)")
            .steps([A.sql(prepare), A.sql(drop)])
            .steps(discards(B))
            .steps([A.sql("select 1; prepare c as select 4; select 5"), A.sql("execute c")])
            .steps(discards(B))
            .steps([A.sql("prepare c as select 4"), A.sql("execute c")])
            .expect(["42P05", "42P05"])
            .run();
    }
}

/// What drops all statements stands in the text before what names some.
#[test]
fn names_behind_deallocate_all_in_one_text() {
    case("34", "DEALLOCATE ALL, and names behind it")
        .steps([
            // A statement of ours that stands for a name that is taken is on the server from here.
            A.sql("prepare e as select 1"),
            A.send([msg::unnamed("discard all", &[]), msg::sync()]),
            A.ready(),
            A.send([msg::parse("e", "select 1"), msg::sync()]),
            A.ready(),
        ])
        .steps(discards(B))
        .steps([
            A.sql("prepare e as select 2"),
            A.sql("deallocate all; prepare e as select 3; prepare e as select 4"),
            A.sql("execute e"),
            A.sql("deallocate all; prepare d as select 5; deallocate d; prepare d as select 6"),
            A.sql("execute d"),
            A.sql("begin; deallocate d; prepare d as select 7; select 1/0"),
            A.sql("rollback; execute d"),
            A.sql("deallocate d; deallocate d"),
        ])
        .steps(discards(B))
        .steps([A.sql("prepare f as select 8"), A.sql("deallocate f"), A.sql("execute f"), B.sql("select 9")])
        .expect([
            "42P05",
            "42P05",
            "DataRow (3)",
            "DataRow (6)",
            "22012",
            "DataRow (7)",
            "26000",
            "26000",
            "B DataRow (9)",
        ])
        .run();
}

/// A name that is taken is found out when all else is right.
#[test]
fn a_name_that_is_taken_and_a_text_that_is_wrong() {
    let again = |text: &str| [A.send([msg::parse("a", text), msg::sync()]), A.ready()];
    case("32", "Parse of a name that is taken")
        .steps(again("select 1"))
        .steps(again("select * from nonexist"))
        .steps(again("selekt"))
        .steps(again("select 2"))
        .steps(discards(B))
        .steps(again("select * from nonexist"))
        .steps(again("select 3"))
        .steps([A.send([run("a")]), A.ready()])
        .expect(["42P01", "42601", "42P05", "42P01", "42P05", "DataRow (1)"])
        .run();
}

#[test]
fn pipelines_past_an_error() {
    case("36", "names behind cycles that fail")
        .steps([
            A.send([
                msg::parse("r", "select * from nonexist"),
                msg::sync(),
                msg::parse("r", "select 1"),
                run("r"),
            ]),
            A.ready_times(2),
            A.sql("prepare kk as select 2"),
            A.send([msg::query("select 1/0; deallocate all"), msg::query("execute kk")]),
            A.ready_times(2),
            A.send([
                msg::bind("", "nosuch", &[]),
                msg::close_statement("r"),
                msg::sync(),
                run("r"),
                msg::close_statement("r"),
                msg::sync(),
                run("r"),
            ]),
            A.ready_times(4),
            A.send([
                msg::query("prepare kk as select 1"),
                msg::query("deallocate kk"),
                msg::query("execute kk"),
            ]),
            A.ready_times(3),
        ])
        .expect([
            "42P01",
            "DataRow (1)",
            "22012",
            "DataRow (2)",
            "26000",
            "DataRow (1)",
            "26000",
            "42P05",
            "26000",
        ])
        .run();
}

#[test]
fn statements_about_names_are_run_again() {
    let sync = msg::sync;
    let again = || [msg::bind("", "p", &[]), msg::execute("", 0), sync()].concat();
    let prepare = |text: &str| A.send([msg::parse("p", text), sync()]);
    case("34", "PREPARE, DEALLOCATE and EXECUTE as prepared statements, more than once")
        .steps([
            prepare("prepare a as select 42"),
            A.ready(),
            A.send([again()]),
            A.ready(),
            A.send([again()]),
            A.ready(),
        ])
        .steps([A.sql("execute a"), A.sql("deallocate a"), A.send([again()]), A.ready(), A.sql("execute a")])
        .steps([A.send([msg::close_statement("p"), sync()]), A.ready()])
        .steps([
            prepare("deallocate a"),
            A.ready(),
            A.send([again()]),
            A.ready(),
            A.send([again()]),
            A.ready(),
        ])
        .steps([A.send([msg::close_statement("p"), sync()]), A.ready(), A.sql("prepare a as select 42")])
        .steps([prepare("execute a"), A.ready(), A.send([again()]), A.ready()])
        .steps([A.sql("deallocate a"), A.send([again()]), A.ready(), A.sql("prepare a as select 43")])
        .steps([A.send([again()]), A.ready()])
        .expect(["42P05", "DataRow (42)", "DataRow (42)", "26000", "DataRow (42)", "26000", "DataRow (43)"])
        .run();
}

#[test]
fn discard_all_beside_others() {
    case("34", "DISCARD ALL in a text of several statements, and in a batch")
        .steps([
            A.sql("set work_mem = '77kB'"),
            A.sql("select 1; commit; discard all"),
            A.sql("show work_mem"),
            A.send([msg::parse("s", "select 1"), msg::sync()]),
            A.ready(),
            A.send([
                msg::parse("", "discard all"),
                msg::bind("", "", &[]),
                msg::execute("", 0),
                msg::parse("s", "select 2"),
                msg::sync(),
            ]),
            A.ready(),
            A.send([run("s")]),
            A.ready(),
            A.sql("show work_mem"),
        ])
        .expect(["25001", "DataRow (77kB)", "DataRow (2)", "DataRow (4MB)"])
        .run();
}

#[test]
fn what_a_do_has_prepared_is_deallocated() {
    case("34", "DEALLOCATE of a name that only the server knows, before a PREPARE that fails")
        .steps([
            A.sql("do $$ begin execute 'prepare foo as select 1'; end $$"),
            A.sql("deallocate foo; prepare bar as select * from nonexist"),
            A.sql("prepare bar as select 2"),
            A.sql("execute bar"),
        ])
        .expect(["42P01", "DataRow (2)"])
        .run();
}

/// A Query ends the batch before it, so the server is free. Not with 18, which says that there is a transaction then.
#[test]
fn a_query_behind_an_open_batch() {
    if pg_version() >= 18 {
        return;
    }
    case("36", "Parse, Bind, Execute without Sync, then a Query")
        .steps([
            A.send([
                msg::parse("", "select 1"),
                msg::bind("", "", &[]),
                msg::execute("", 0),
                msg::query("select 2"),
            ]),
            A.ready(),
            B.sql("select 'not waiting'"),
            A.send([msg::sync()]),
            A.ready(),
        ])
        .expect(["A DataRow (1)", "A DataRow (2)", "B DataRow (not waiting)"])
        .run();
}

/// A text takes time by its length, however often it runs a statement.
#[test]
fn a_text_that_runs_a_statement_often() {
    crowded(|connect| {
        let mut client = connect();
        client.run("prepare w as select 1");
        let text = "execute w;".repeat(20_000);
        let began = std::time::Instant::now();
        assert_eq!(rows(&mut client, &msg::query(&text)).len(), 20_000);
        assert!(began.elapsed().as_secs() < 10, "{:?}", began.elapsed());
    });
}

/// What an error means for names is found out when later batches have been sent.
#[test]
fn batches_behind_one_that_fails() {
    let batch = |bad: &str| {
        [msg::bind("", bad, &[]), msg::parse("", "select 'skipped'"), msg::close_statement("a"), msg::sync()]
            .concat()
    };
    let good = [msg::parse("", "select 'good'"), msg::bind("", "", &[]), msg::execute("", 0)].concat();
    case("36", "batches at once, of which the first fails")
        .steps([
            A.send([msg::parse("a", "select 'a'"), msg::parse("b", "select 'b'"), msg::sync()]),
            A.ready(),
            A.send([
                batch("nosuch"),
                good.clone(),
                msg::close_statement("b"),
                msg::sync(),
                run(""),
                run("a"),
                run("b"),
            ]),
            A.ready_times(5),
            A.send([
                msg::parse("", "select * from nonexist"),
                msg::sync(),
                msg::parse("", "select 'better'"),
                msg::sync(),
                run(""),
            ]),
            A.ready_times(3),
            A.send([run("")]),
            A.ready(),
        ])
        .expect([
            "26000",
            "DataRow (good)",
            "DataRow (good)",
            "DataRow (a)",
            "26000",
            "42P01",
            "DataRow (better)",
            "DataRow (better)",
        ])
        .run();
}

/// A Query that is skipped with the rest of its batch ends nothing: what follows is Sync.
#[test]
fn a_query_skipped_behind_an_error() {
    for bad in [
        msg::bind("", "nosuch", &[]),
        msg::parse("", "selekt"),
        [msg::parse("", "select 1/0"), msg::bind("", "", &[]), msg::execute("", 0)].concat(),
        [msg::unnamed("set work_mem = '77kB'", &[]), msg::describe_statement("nosuch")].concat(),
    ] {
        case("36", "an error, a Query, and Sync later")
            .steps([
                A.send([bad, msg::query("select 4")]),
                A.until(b'E'),
                A.quiet(),
                A.send([msg::sync()]),
                A.ready(),
                A.sql("show work_mem"),
                B.sql("select 'not waiting'"),
                A.sql("select 5"),
            ])
            .expect(["ErrorResponse", "A DataRow (4MB)", "B DataRow (not waiting)", "A DataRow (5)"])
            .run();
    }
}

/// A statement whose Parse was skipped is not there, though others have the same text.
#[test]
fn what_was_skipped_is_not_run() {
    case("36", "a batch that runs what a failing batch before it has parsed")
        .setup("create table ii (i int)")
        .steps([
            A.send([msg::parse("n0", "insert into ii values (1)"), msg::sync()]),
            A.ready(),
            A.send([
                msg::parse("", "selekt"),
                msg::parse("n1", "insert into ii values (1)"),
                msg::sync(),
                run("n1"),
                run("n0"),
            ]),
            A.ready_times(3),
            A.sql("select count(*) from ii"),
            A.sql("prepare b as select 4"),
            A.send([
                msg::parse("", "selekt"),
                msg::close_statement("b"),
                msg::parse("b", "select 9"),
                msg::sync(),
                msg::close_statement("b"),
                msg::sync(),
            ]),
            A.ready_times(2),
            A.sql("execute b"),
            A.send([
                msg::bind("", "nosuch", &[]),
                msg::parse("a", "select 'phantom'"),
                msg::sync(),
                msg::close_statement("a"),
                msg::parse("a", "select 'a'"),
                msg::sync(),
            ]),
            A.ready_times(2),
            A.send([run("a")]),
            A.ready(),
            A.send([
                msg::bind("", "nosuch", &[]),
                msg::parse("f", "select 'phantom'"),
                msg::parse("", "deallocate f"),
                msg::sync(),
                run(""),
            ]),
            A.ready_times(2),
            A.sql("prepare f as select 'f'"),
            A.send([
                msg::query("execute nosuch; prepare g as select 7"),
                msg::unnamed("prepare g as select 8", &[]),
                msg::sync(),
            ]),
            A.ready_times(2),
            A.sql("execute g"),
        ])
        .expect(["42601", "26000", "INSERT 0 1", "DataRow (1)", "42601", "26000", "DataRow (a)"])
        .run();
}

#[test]
fn a_full_server_and_a_pipeline_that_fails() {
    crowded(|connect| {
        let (mut client, mut other) = (connect(), connect());
        for (name, text) in [("t", "select 'T'"), ("u", "select 'U'")] {
            client.send(&[msg::parse(name, text), msg::sync()].concat());
            client.until_ready();
        }
        for round in 0..3 {
            let names = [0, 1, 2].map(|n| format!("x{round}{n}"));
            let parses: Vec<u8> = names.iter().flat_map(|name| msg::parse(name, "select 'X'")).collect();
            client.send(&[msg::execute("", 0), parses, msg::sync(), run("t")].concat());
            client.until_ready();
            let answers = client.until_ready();
            assert!(
                answers.iter().any(|message| message.tag == b'D' && message.value() == "T"),
                "{answers:?}"
            );
            assert_eq!(rows(&mut client, &run("u")), ["U"]);
            let name = format!("o{round}");
            for text in ["select 'T'", "select 'U'", "select 'X'"] {
                let bytes =
                    [msg::parse(&name, text), run(&name), msg::close_statement(&name), msg::sync()].concat();
                other.send(&bytes);
                let answers = [other.until_ready(), other.until_ready()].concat();
                assert!(answers.iter().all(|message| message.tag != b'E'), "{text}: {answers:?}");
            }
        }
    });
}

#[test]
fn run_behind_the_end_of_a_failed_transaction() {
    for (prepare, text) in [
        (true, "rollback; execute z"),
        (false, "rollback; execute z"),
        (true, "commit; begin; execute z; commit"),
    ] {
        let made = match prepare {
            true => A.query("prepare z as select 2"),
            false => A.send([msg::parse("z", "select 2"), msg::sync()]),
        };
        case("34", text)
            .steps([made, A.ready()])
            .steps(discards(B))
            .steps([A.sql("begin"), A.sql("select 1/0"), A.sql(text), A.sql("select 3")])
            .expect(["22012", "A DataRow (2)", "A DataRow (3)"])
            .run();
    }
}

#[test]
fn what_an_execute_describes() {
    case("34", "Describe of a statement that is an EXECUTE")
        .steps([
            A.sql("prepare b as select 5 as x"),
            A.send([msg::parse("u", "execute b"), msg::sync()]),
            A.ready(),
        ])
        .steps(discards(B))
        .steps([
            A.send([msg::describe_statement("u"), msg::sync()]),
            A.ready(),
            A.send([msg::parse("v", "select $1::int"), msg::bind("", "v", &[]), msg::sync()]),
            A.ready(),
        ])
        .expect(["A RowDescription (x", "08P01"])
        .run();
}

/// Its own name in its text meant nothing when it was parsed.
#[test]
fn a_statement_that_names_itself() {
    case("32 33", "DEALLOCATE and EXECUTE of itself, prepared under that name")
        .steps([
            A.send([msg::parse("n", "deallocate n"), msg::sync()]),
            A.ready(),
            A.send([msg::describe_statement("n"), msg::bind("", "n", &[]), msg::execute("", 0), msg::sync()]),
            A.ready(),
            A.send([msg::bind("", "n", &[]), msg::execute("", 0), msg::sync()]),
            A.ready(),
            A.send([msg::parse("n", "execute n"), msg::sync()]),
            A.ready(),
            A.send([msg::bind("", "n", &[]), msg::sync()]),
            A.ready(),
            A.query("deallocate n"),
            A.ready(),
            A.send([msg::parse("a", "deallocate b"), msg::parse("b", "deallocate a"), msg::sync()]),
            A.ready(),
            A.send([msg::bind("", "a", &[]), msg::execute("", 0), msg::sync()]),
            A.ready(),
        ])
        .expect(["DEALLOCATE", "26000"])
        .run();
}
