//! Section D, continued: what a client was told of a statement holds, on whatever server that is run.

use super::prelude::*;
use crate::harness::script::{Case, Session, Step};

/// Has the servers of a pool lose their statements: another session, by the extended protocol.
fn discards(session: Session) -> [Step; 2] {
    [session.send([msg::unnamed("discard all", &[]), msg::sync()]), session.ready()]
}

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
