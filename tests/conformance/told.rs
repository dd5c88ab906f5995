//! Section D, continued: what a client was told of a statement holds, on whatever server that is run.

use super::prelude::*;
use crate::harness::script::Case;

fn told(session: Session, name: &str, text: &str) -> [Step; 2] {
    let parse = [msg::parse(name, text), msg::describe_statement(name), msg::sync()];
    [session.send(parse), session.ready()]
}

fn run(session: Session, name: &str, values: &[&str]) -> [Step; 2] {
    [session.send([msg::bind("", name, values), msg::execute("", 0), msg::sync()]), session.ready()]
}

/// A statement `s` of A, another definition by B, and a server that has lost it.
fn changed(text: &'static str, change: &str) -> Case<'static> {
    case("33", text)
        .creates_objects()
        .setup("create table st (i int, t text); insert into st values (1, 'one')")
        .steps(told(A, "s", text))
        .steps([B.sql(change)])
        .steps(discards(B))
}

#[test]
fn rows_that_have_changed() {
    for (text, change) in [
        ("select * from st", "alter table st add column j int default 2"),
        ("select * from st", "alter table st rename column t to u"),
        ("select i from st", "alter table st alter column i type bigint"),
        ("select t from st", "alter table st alter column t type varchar(7)"),
        ("select t from st", "alter table st alter column t type varchar(7)"),
        ("insert into st values (2, 'two') returning *", "alter table st add column j int default 2"),
        ("select * from st", "alter table st drop column i; alter table st drop column t"),
    ] {
        changed(text, change)
            .steps(run(A, "s", &[]))
            .steps([A.sql("select count(*) from st")])
            .steps([A.send([msg::describe_statement("s"), msg::sync()]), A.ready()])
            .steps(run(A, "s", &[]))
            // That it is prepared anew is up to the client.
            .steps([A.send([msg::close_statement("s"), msg::sync()]), A.ready()])
            .steps(told(A, "s", text))
            .steps(run(A, "s", &[]))
            .steps(discards(B))
            .steps(run(A, "s", &[]))
            .expect(["0A000", "DataRow (1)", "0A000", "0A000"])
            .run();
        changed(text, change)
            .steps([A.sql("begin"), A.sql("select 7")])
            .steps(run(A, "s", &[]))
            .steps([A.sql("select 8"), A.sql("rollback"), A.sql("select count(*) from st")])
            .expect(["DataRow (7)", "0A000", "25P02", "DataRow (1)"])
            .run();
    }
}

#[test]
fn rows_of_the_unnamed_statement_that_have_changed() {
    for change in ["alter table st add column j int default 2", "alter table st alter column i type bigint"] {
        case("31", change)
            .creates_objects()
            .setup("create table st (i int, t text); insert into st values (1, 'one')")
            .steps(told(A, "", "select * from st"))
            .steps([B.sql(change)])
            .steps(told(B, "", "select * from st"))
            .steps(run(A, "", &[]))
            .steps(run(B, "", &[]))
            .steps(run(A, "", &[]))
            .expect(["0A000", "DataRow (1, one", "0A000"])
            .run();
    }
}

/// JDBC's driver describes the first portal, and reads all later rows by that.
#[test]
fn rows_of_portals_that_have_changed() {
    for (text, change, fails) in [
        ("select * from st", "alter table st add column j int default 2", true),
        ("select i from st", "alter table st alter column i type bigint", true),
        ("insert into st values (2, 'two') returning *", "alter table st add column j int default 2", true),
        ("select t from st", "alter table st add column j int default 2", false),
        ("select 1", "alter table st add column j int default 2", false),
        ("update st set t = 'x'", "alter table st add column j int default 2", false),
    ] {
        for (portal, statement) in [("", "s"), ("p", "s"), ("", ""), ("p", "")] {
            let bind = || msg::bind(portal, statement, &[]);
            let describing = [
                A.send([bind(), msg::describe_portal(portal), msg::execute(portal, 0), msg::sync()]),
                A.ready(),
            ];
            case("33", text)
                .creates_objects()
                .setup("create table st (i int, t text); insert into st values (1, 'one')")
                .steps([A.send([msg::parse(statement, text), msg::sync()]), A.ready()])
                .steps(describing.clone())
                .steps([B.send([msg::unnamed(change, &[]), msg::sync()]), B.ready()])
                .steps(discards(B))
                .steps([A.send([bind(), msg::execute(portal, 0), msg::sync()]), A.ready()])
                .steps(describing)
                .steps([A.sql("select count(*) from st")])
                .expect(if fails { ["0A000", "0A000"] } else { ["BindComplete", "BindComplete"] })
                .run();
        }
    }
}

/// What PostgreSQL does not plan, it does not compare either.
#[test]
fn commands_that_are_not_planned() {
    for text in ["fetch all from cc", "show search_path", "explain (costs off) select 1"] {
        case("33", text)
            .steps([A.sql("begin; declare cc cursor for select 1")])
            .steps(told(A, "s", text))
            .steps(run(A, "s", &[]))
            .steps([A.sql("commit")])
            .steps(discards(B))
            .steps([A.sql("begin; declare cc cursor for select 1, 2")])
            .steps(run(A, "s", &[]))
            .steps([A.sql("rollback")])
            .never("0A000")
            .run();
    }
}

#[test]
fn what_has_not_changed_for_the_client() {
    for (text, change) in [
        ("select i from st", "alter table st add column j int default 2"),
        (
            "select i from st",
            "drop table st; create table st (t text, i int); insert into st values ('one', 1)",
        ),
        ("select t from st", "alter table st alter column i type bigint"),
        ("insert into st values (2, 'two') returning i", "alter table st add column j int default 2"),
        ("insert into st values (2, 'two')", "alter table st add column j int default 2"),
    ] {
        changed(text, change)
            .steps(run(A, "s", &[]))
            .steps(discards(B))
            .steps(run(A, "s", &[]))
            .steps([A.sql("select count(*) from st")])
            .never("0A000")
            .run();
    }
}

/// A client writes parameters as it was told, and PostgreSQL goes on reading them like that.
#[test]
fn parameters_keep_their_types() {
    for change in [
        "alter table st alter column i type bigint",
        "alter table st alter column i type double precision",
        "alter table st alter column i type numeric",
    ] {
        for text in [
            "update st set t = 'found' where i = $1",
            "select t from st where i = $1",
            "delete from st where i in ($1, 7) returning t",
        ] {
            let bind = msg::bind_formats("", "s", &[1], &[Some(&1_i32.to_be_bytes())], &[]);
            let run = [A.send([bind, msg::execute("", 0), msg::sync()]), A.ready()];
            changed(text, change)
                .steps(run.clone())
                // Another session has it with the new types meanwhile.
                .steps(told(B, "s", text))
                .steps(run)
                .steps([B.send([msg::describe_statement("s"), msg::sync()]), B.ready()])
                .steps([A.send([msg::describe_statement("s"), msg::sync()]), A.ready()])
                .steps([A.sql("select t from st")])
                .never("Error")
                .run();
        }
    }
}

#[test]
fn each_session_by_what_it_was_told() {
    changed("select * from st", "alter table st add column j int default 2")
        .steps(told(B, "s", "select * from st"))
        .steps(run(A, "s", &[]))
        .steps(run(B, "s", &[]))
        .steps(run(A, "s", &[]))
        .steps(told(C, "other", "select * from st"))
        .steps(run(B, "s", &[]))
        .steps(run(C, "other", &[]))
        .expect(["0A000", "DataRow (1, one, 2)", "0A000", "DataRow (1, one, 2)", "DataRow (1, one, 2)"])
        .run();
}

#[test]
fn a_changed_statement_among_others() {
    let long = "x".repeat(300_000);
    changed("insert into st values (2, $1) returning *", "alter table st add column j int default 2")
        .steps([
            A.send([
                msg::parse("x", "select 11"),
                msg::bind("p", "x", &[]),
                msg::execute("p", 0),
                msg::bind("", "s", &[&long]),
                msg::execute("", 0),
                msg::sync(),
                msg::bind("", "s", &[&long]),
                msg::describe_portal(""),
                msg::execute("", 0),
                msg::query("select 12"),
                msg::sync(),
                msg::query("select 13"),
            ]),
            A.ready_times(3),
            A.sql("select count(*) from st"),
        ])
        .expect(["DataRow (11)", "0A000", "0A000", "DataRow (13)", "DataRow (1)"])
        .run();
}

#[test]
fn a_statement_whose_table_is_gone() {
    for text in ["select * from st", "insert into st values (1)"] {
        changed(text, "drop table st")
            .steps(run(A, "s", &[]))
            .steps([B.sql("create table st (i int, t text)")])
            .steps(run(A, "s", &[]))
            .expect(["42P01"])
            .run();
    }
}

/// What pgweir asks a server in between takes the server's unnamed statement away, not the session's.
#[test]
fn the_unnamed_statement_outlives_questions_of_ours() {
    let run = || [A.send([msg::bind("", "", &[]), msg::execute("", 0), msg::sync()]), A.ready()];
    for text in ["select 1", "do $$begin perform 1; end$$", "select set_config('work_mem', '8MB', false)"] {
        case("31", text)
            .steps([
                B.send([msg::parse("n", "select 9"), msg::sync()]),
                B.ready(),
                B.sql("set work_mem = '7MB'"),
            ])
            .steps([A.send([msg::parse("", text), msg::sync()]), A.ready()])
            .steps([B.send([msg::bind("", "n", &[]), msg::execute("", 0), msg::sync()]), B.ready()])
            .steps(run())
            .steps(run())
            .never("26000")
            .run();
    }
}

/// Types that one client was told are not those of another that prepares the same text later.
#[test]
fn told_types_are_nobody_elses() {
    for (text, value) in [
        ("insert into st values ($1) returning *", "2020-03-03 12:34:56"),
        ("select * from st where d = $1", "2020-01-01 10:00"),
    ] {
        for (portal, describes) in [(false, false), (true, false), (false, true)] {
            let run = |session: Session, name, value| {
                let described = if portal { msg::describe_portal("") } else { vec![] };
                let run = [msg::bind("", name, &[value]), described, msg::execute("", 0), msg::sync()];
                [session.send(run), session.ready()]
            };
            case("33", text)
                .creates_objects()
                .setup("create table st (d date); insert into st values ('2020-01-01')")
                .steps(told(A, "s", text))
                .steps([C.sql("alter table st alter d type timestamp; update st set d = '2020-01-01 10:00'")])
                .steps([B.send([msg::parse("s", text), msg::sync()]), B.ready()])
                .steps(run(A, "s", "2020-01-01"))
                .steps(if describes {
                    vec![B.send([msg::describe_statement("s"), msg::sync()]), B.ready()]
                } else {
                    vec![]
                })
                .steps(run(B, "s", value))
                .steps([B.sql("select d from st order by d")])
                .run();
        }
    }
    case("33", "two names of one session")
        .creates_objects()
        .setup("create table st (d date)")
        .steps(told(A, "s", "insert into st values ($1)"))
        .steps([C.sql("alter table st alter d type timestamp")])
        .steps([A.send([msg::parse("z", "insert into st values ($1)"), msg::sync()]), A.ready()])
        .steps(run(A, "s", &["2020-01-01"]))
        .steps(run(A, "z", &["2020-03-03 12:34:56"]))
        .steps([A.sql("select d from st order by d")])
        .expect(["DataRow (2020-01-01 00:00:00)", "DataRow (2020-03-03 12:34:56)"])
        .run();
}

#[test]
fn a_question_behind_a_cycle_that_fails() {
    let x = || msg::parse("", "select * from st");
    for message in [
        vec![msg::describe_statement("")],
        vec![msg::bind("", "", &[]), msg::execute("", 0)],
        vec![x(), msg::bind("", "", &[]), msg::execute("", 0)],
    ] {
        case("36", "the unnamed statement of another session, behind a failing cycle")
            .creates_objects()
            .setup("create table st (i int); insert into st values (1)")
            .steps(told(A, "", "select * from st"))
            .steps([B.send([msg::parse("", "select 1"), msg::sync()]), B.ready()])
            .steps([A.send([msg::bind("", "nope", &[]), msg::sync(), message.concat(), msg::sync()])])
            .steps([A.ready_times(2)])
            .steps(run(A, "", &[]))
            .expect(["26000", "DataRow (1)"])
            .never("0A000")
            .run();
    }
}

/// A statement that was put aside by a message that failed or was skipped is what it was.
#[test]
fn what_was_told_is_not_forgotten() {
    let alter = || {
        let mut steps = vec![B.sql("alter table st add column j int default 2")];
        steps.extend(discards(B));
        steps
    };
    let scene = || {
        case("33", "what was told")
            .creates_objects()
            .setup("create table st (i int); insert into st values (1)")
            .expect(["0A000"])
    };
    let x = "select * from st";
    let closed = [
        A.send([
            msg::parse("s", x),
            msg::describe_statement("s"),
            msg::bind("", "s", &["1", "2"]),
            msg::close_statement("s"),
            msg::sync(),
        ]),
        A.ready(),
    ];
    scene().steps(closed).steps(alter()).steps(run(A, "s", &[])).run();
    let dropped = [
        A.send([msg::parse("s", x), msg::sync()]),
        A.ready(),
        A.send([msg::describe_statement("s"), msg::sync(), msg::query("select 1/0; deallocate s")]),
        A.ready_times(2),
    ];
    scene().steps(dropped).steps(alter()).steps(run(A, "s", &[])).run();
    let replaced = [
        A.send([
            msg::parse("", x),
            msg::describe_statement(""),
            msg::bind("", "nope", &[]),
            msg::parse("", "select 7"),
            msg::sync(),
        ]),
        A.ready(),
    ];
    scene().steps(replaced).steps(alter()).steps(run(A, "", &[])).run();
}

#[test]
fn statements_prepared_by_sql_are_described_too() {
    for describe in [
        vec![msg::describe_statement("s")],
        vec![msg::bind("", "s", &[]), msg::describe_portal(""), msg::execute("", 0)],
    ] {
        case("34", "PREPARE, then the extended protocol")
            .creates_objects()
            .setup("create table st (i int); insert into st values (1)")
            .steps([A.sql("prepare s as select * from st")])
            .steps([A.send([describe.concat(), msg::sync()]), A.ready()])
            .steps(discards(B))
            .steps(run(A, "s", &[]))
            .steps([B.sql("alter table st add column j int default 2")])
            .steps(discards(B))
            .steps(run(A, "s", &[]))
            .steps([A.send([msg::describe_statement("s"), msg::sync()]), A.ready()])
            .expect(["DataRow (1)", "0A000", "0A000"])
            .run();
    }
}

/// A statement described by its portal only has parameters all the same.
#[test]
fn an_error_behind_parameters() {
    let portal = [
        A.send([
            msg::parse("s", "select * from st where i = $1"),
            msg::bind("", "s", &["1"]),
            msg::describe_portal(""),
            msg::execute("", 0),
            msg::sync(),
        ]),
        A.ready(),
    ];
    case("33", "a description that ends in an error")
        .creates_objects()
        .setup("create table st (i int); insert into st values (1)")
        .steps(portal)
        .steps([B.sql("alter table st add column j int default 2")])
        .steps(discards(B))
        .steps([A.send([msg::describe_statement("s"), msg::sync()]), A.ready()])
        .expect(["ParameterDescription (23)", "0A000"])
        .run();
}

#[test]
fn a_search_path_is_nobody_elses() {
    let path = |session: Session, path: &str| session.sql(format!("set search_path = {path}"));
    let parse =
        |session: Session| [session.send([msg::parse("s", "select * from t"), msg::sync()]), session.ready()];
    case("33", "equal texts under other search paths")
        .creates_objects()
        .setup(
            "create schema s1; create table s1.t (i int); insert into s1.t values (1); \
             create schema s2; create table s2.t (i int); insert into s2.t values (2)",
        )
        .steps([path(A, "s1"), path(B, "s1")])
        .steps(parse(A))
        .steps(parse(B))
        .steps([path(A, "s2")])
        .steps(discards(C))
        .steps(run(A, "s", &[]))
        .steps(run(B, "s", &[]))
        .steps([path(A, "s1")])
        .steps(run(A, "s", &[]))
        .expect(["DataRow (2)", "DataRow (1)", "DataRow (1)"])
        .run();
}

/// What a skipped message would have made of the unnamed statement is not there, and nobody else's is taken for it.
#[test]
fn the_unnamed_statement_behind_a_cycle_that_is_not_answered() {
    let run = || [msg::bind("", "", &[]), msg::execute("", 0), msg::sync()].concat();
    let fails = || msg::bind("", "nosuch", &[]);
    for (first, second) in [
        (vec![fails(), msg::parse("", "select 1")], run()),
        (vec![fails(), msg::close_statement("")], run()),
        (vec![fails(), run()[..run().len() - 5].to_vec()], run()),
        (vec![msg::parse("", "select 1"), fails()], run()),
        (vec![fails(), msg::parse("", "select 1")], [msg::parse("", "select 2"), run()].concat()),
    ] {
        for mine in [true, false] {
            case("36", "the unnamed statement in a pipeline")
                .steps(if mine {
                    vec![A.send([msg::parse("", "select 'own'"), msg::sync()]), A.ready()]
                } else {
                    vec![]
                })
                .steps([B.send([msg::parse("", "select 'of another'"), msg::sync()]), B.ready()])
                .steps([A.send([first.concat(), msg::sync(), second.clone()]), A.ready_times(2)])
                .steps([A.send([run()]), A.ready(), B.send([run()]), B.ready()])
                .never("A DataRow (of another)")
                .run();
        }
    }
}

#[test]
fn discard_all_by_messages_leaves_the_unnamed_statement() {
    case("31", "DISCARD ALL as the unnamed statement, again and again")
        .steps([A.send([msg::parse("", "discard all"), msg::sync()]), A.ready()])
        .steps(run(A, "", &[]))
        .steps(run(A, "", &[]))
        .steps(run(A, "", &[]))
        .never("26000")
        .run();
}

/// Whoever asks for the description of each portal can be given other rows: what PostgreSQL refuses works.
#[test]
fn a_client_that_was_told_nothing() {
    if crate::harness::direct_only() {
        return;
    }
    use crate::harness::proxy::{Proxy, ProxyOptions};
    use crate::harness::raw::Client;
    let cluster = Cluster::shared();
    let database = cluster.database();
    database.setup("create table st (i int); insert into st values (1)");
    let proxy = Proxy::start_with(&ProxyOptions::url(&cluster.url(APP, &database.name, "pool_size=1")));
    let connect = || Client::connect(&proxy.endpoint(), &database.login());
    let (mut client, mut other) = (connect(), connect());
    client.send(&[msg::parse("s", "select * from st"), msg::sync()].concat());
    client.until_ready();
    other.run("alter table st add column j int default 2");
    other.send(&[msg::unnamed("discard all", &[]), msg::sync()].concat());
    other.until_ready();
    client.send(
        &[msg::bind("", "s", &[]), msg::describe_portal(""), msg::execute("", 0), msg::sync()].concat(),
    );
    let answers = client.until_ready();
    let row = answers.iter().find(|message| message.tag == b'D').expect("a row");
    assert_eq!(row.values(), [Some(b"1".to_vec()), Some(b"2".to_vec())]);
}
