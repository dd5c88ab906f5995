//! Section C, continued: several portals at once, of statements about statements, executed in another order than they were bound in.

use super::prelude::*;

/// Prepares and binds texts, each under a name of its own for statement and portal.
fn bind_all(texts: &[(&str, &str)]) -> Vec<u8> {
    let bind = |(name, text): &(&str, &str)| [msg::parse(name, text), msg::bind(name, name, &[])].concat();
    texts.iter().flat_map(bind).collect()
}

/// In a transaction, behind which it is looked at what the names a, b, c and d are.
fn in_transaction(steps: Vec<Step>) -> Vec<Step> {
    let before = vec![
        A.send([msg::parse("a", "select 'a'"), msg::parse("b", "select 'b'"), msg::sync()]),
        A.ready(),
        A.sql("prepare c as select 'c'"),
        A.sql("begin"),
        A.sql("select 0"),
    ];
    let look = |name: &str| {
        [
            msg::query(&format!("execute {name}")),
            [msg::bind("", name, &[]), msg::execute("", 0), msg::sync()].concat(),
            msg::query(&format!("prepare {name} as select 'new'")),
            msg::query(&format!("execute {name}")),
        ]
        .concat()
    };
    let after = ["a", "b", "c", "d"].into_iter().flat_map(|name| [A.send([look(name)]), A.ready_times(4)]);
    let end = [A.sql("commit"), A.sql("rollback")];
    before.into_iter().chain(steps).chain(end).chain(after).collect()
}

/// Binds two portals, p and q, and executes them in these orders: in the batch that has bound them, and in others.
fn check(name: &'static str, [p, q]: [&str; 2], orders: &[&[&str]]) {
    let bound = [("p", p), ("q", q)];
    for order in orders {
        let execute = |behind: &[u8]| -> Vec<u8> {
            order.iter().flat_map(|portal| [&msg::execute(portal, 0), behind].concat()).collect()
        };
        let batch = vec![A.send([bind_all(&bound), execute(b""), msg::sync()]), A.ready()];
        let apart = A.send([bind_all(&bound), msg::sync(), execute(&msg::sync())]);
        let apart = vec![apart, A.ready_times(order.len() + 1)];
        case("34", name).steps(in_transaction(batch)).run();
        case("34", name).steps(in_transaction(apart)).run();
    }
}

const BOTH: &[&[&str]] = &[&["p", "q"], &["q", "p"]];

#[test]
fn one_statement_is_dropped_twice() {
    check("DEALLOCATE of the same", ["deallocate a", "deallocate a"], BOTH);
    check("DEALLOCATE of one and of all", ["deallocate a", "deallocate all"], BOTH);
    check("DEALLOCATE of two", ["deallocate a", "deallocate b"], BOTH);
}

#[test]
fn what_is_executed_before_counts() {
    check("PREPARE and DEALLOCATE", ["prepare d as select 'd'", "deallocate d"], BOTH);
    check("DEALLOCATE and PREPARE", ["deallocate c", "prepare c as select 'c2'"], BOTH);
    check("EXECUTE and DEALLOCATE", ["execute a", "deallocate a"], BOTH);
    check("PREPARE twice", ["prepare d as select 'd'", "prepare d as select 'd2'"], BOTH);
    check("EXECUTE before PREPARE", ["execute d", "prepare d as select 'd'"], &[&["p"], &["q"]]);
}

#[test]
fn one_of_two_is_executed() {
    check("DEALLOCATE of one and of all", ["deallocate a", "deallocate all"], &[&["q"]]);
    check("DISCARD ALL, which fails in a transaction", ["discard all", "deallocate a"], BOTH);
}

#[test]
fn portals_that_are_no_more() {
    let one = || bind_all(&[("p", "deallocate a")]);
    let other = || bind_all(&[("x", "deallocate a"), ("y", "deallocate b")]);
    for (name, steps) in [
        (
            "closed",
            vec![A.send([one(), msg::close_portal("p"), msg::execute("p", 0), msg::sync()]), A.ready()],
        ),
        (
            "executed twice",
            vec![A.send([one(), msg::execute("p", 0), msg::execute("p", 0), msg::sync()]), A.ready()],
        ),
        (
            "rolled back",
            vec![
                A.sql("savepoint s"),
                A.send([one(), msg::sync()]),
                A.ready(),
                A.sql("rollback to s"),
                A.send([msg::execute("p", 0), msg::sync()]),
                A.ready(),
            ],
        ),
        (
            "bound again",
            vec![
                A.send([
                    other(),
                    msg::bind("", "x", &[]),
                    msg::bind("", "y", &[]),
                    msg::execute("", 0),
                    msg::bind("x", "y", &[]),
                    msg::sync(),
                ]),
                A.ready(),
            ],
        ),
    ] {
        case("34", name).steps(in_transaction(steps)).run();
    }
}

/// A name that is dropped with all others, and prepared again, is there for a DEALLOCATE that was bound before.
#[test]
fn a_name_that_is_there_again() {
    let batch = [
        bind_all(&[("p", "deallocate a"), ("q", "deallocate all")]),
        msg::execute("q", 0),
        msg::parse("a", "select 'a'"),
        msg::execute("p", 0),
        msg::sync(),
    ];
    case("34", "DEALLOCATE ALL, Parse and DEALLOCATE")
        .steps(in_transaction(vec![A.send(batch), A.ready()]))
        .run();
}

#[test]
fn outside_of_transactions() {
    let run = |order: [&str; 2], text: &str| {
        let executes = order.map(|portal| msg::execute(portal, 0)).concat();
        [A.send([bind_all(&[("p", "discard all"), ("q", text)]), executes, msg::sync()]), A.ready()]
    };
    case("34", "DISCARD ALL bound before and behind others")
        .steps([A.send([msg::parse("a", "select 'a'"), msg::sync()]), A.ready()])
        .steps(run(["q", "p"], "set work_mem = '88kB'"))
        .steps([A.sql("show work_mem"), A.sql("execute a")])
        .steps(run(["p", "q"], "set work_mem = '99kB'"))
        .steps([A.sql("show work_mem")])
        .run();
}

/// Each of them says what its statement is; another server must know as much.
#[test]
fn several_are_described() {
    let describe = |order: [&str; 2]| {
        let all = bind_all(&[("s", "select * from dt"), ("t", "select * from du")]);
        [A.send([all, order.map(msg::describe_portal).concat(), msg::sync()]), A.ready()]
    };
    let run = |name: &str| [A.send([msg::bind("", name, &[]), msg::execute("", 0), msg::sync()]), A.ready()];
    for order in [["s", "t"], ["t", "s"]] {
        case("39", "portals described in the order in which they were bound, and in another")
            .setup("create table dt (i int); create table du (i int)")
            .steps(describe(order))
            .steps(discards(B))
            .steps([B.sql("alter table dt add column j int; alter table du add column j int")])
            .steps(["s", "t"].map(run).concat())
            .expect(["A ErrorResponse ERROR 0A000", "A ErrorResponse ERROR 0A000"])
            .run();
    }
}

/// What is remembered of portals has a bound.
#[test]
fn too_many_portals() {
    if crate::harness::direct_only() {
        return;
    }
    use crate::harness::proxy::{Proxy, ProxyOptions};
    let database = Cluster::shared().database();
    let options = ProxyOptions::url(&Cluster::shared().url(APP, &database.name, "pool_size=1"));
    let proxy = Proxy::start_with(&options.config("[limits]\nprepared_per_session = 10\n"));
    let mut client = crate::harness::raw::Client::connect(&proxy.endpoint(), &database.login());
    client.run("begin");
    client.send(&[msg::parse("all", "deallocate all"), msg::parse("one", "select 1"), msg::sync()].concat());
    client.until_ready();
    let bind =
        |statement: &str, n: usize| [msg::bind(&format!("{statement}{n}"), statement, &[]), msg::sync()];
    for n in 0..10 {
        client.send(&[bind("one", n), bind("all", n)].concat().concat());
        let answers = [client.until_ready(), client.until_ready()].concat();
        let error = answers.iter().find(|message| message.tag == b'E');
        assert_eq!(error.map(|error| error.sqlstate()), (n >= 5).then(|| "54000".into()), "{n}: {answers:?}");
        if n >= 5 {
            break;
        }
    }
    client.run("rollback");
    assert_eq!(client.value("select 'fine'"), "fine");
}
