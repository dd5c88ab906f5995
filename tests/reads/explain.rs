//! `pgweir explain`, at a real database.

use std::process::Command;
use std::time::Duration;

use crate::harness::cluster::{APP, Cluster};
use crate::harness::command::{Output, run};
use crate::harness::proxy::program;

fn explain(arguments: &[&str]) -> Output {
    run(Command::new(program()).arg("explain").args(arguments), Duration::from_secs(30))
}

#[test]
fn what_a_statement_is() {
    let cluster = Cluster::shared();
    let database = cluster.database();
    database.setup(
        "create table t (i int); create view busy as select random() < 1 as sure, i from t;
         create function touch() returns int language sql as 'insert into t values (1) returning i';
         create view busier as select touch() from busy;
         create function tenant() returns text stable language sql as $$ select set_config('app.tenant', 'x', false) $$",
    );
    let url = cluster.url(APP, &database.name, "");
    let check = |text: &str, read: &str, session: &str| {
        let said = explain(&[text, &url]).success();
        let line = |name: &str| said.lines().find_map(|line| line.strip_prefix(name).map(str::trim_start));
        assert_eq!((line("read"), line("session")), (Some(read), Some(session)), "{text}\n{said}");
        assert!(!said.contains(APP.1), "a secret is shown\n{said}");
    };
    check("select * from busy", "yes", "unchanged");
    check("select i from t where i in (1, 2, 3)", "yes", "unchanged");
    check("select touch()", "no: calls touch(), which is volatile or leads to what is no read", "unchanged");
    let reaches = "no: reaches busier, which a replica lacks or which leads to what is no read";
    check("table busier", reaches, "unchanged");
    check(
        "select tenant()",
        "no: calls tenant(), which is volatile or leads to what is no read",
        "setting (by what it reaches)",
    );
    check("select * from t for share", "no: locks rows", "unchanged");
    check("create temp table x (i int)", "no: is no SELECT, VALUES, TABLE or WITH", "temp, ddl");
}

#[test]
fn what_it_cannot_ask() {
    let said = explain(&["select 7"]).success();
    assert!(said.starts_with("shape        select $1\n") && said.contains("without a database"), "{said}");
    let cluster = Cluster::shared();
    let url = cluster.url(("app", "wrong"), "postgres", "");
    let output = explain(&["select 7", &url]);
    assert!(!output.ok && output.stdout.is_empty(), "{}", output.stdout);
    assert!(
        output.stderr.contains("password authentication failed for user \"app\" (28P01)"),
        "{}",
        output.stderr
    );
    let output = explain(&["select 7", &cluster.url(APP, "postgres", ""), "--database", "other"]);
    assert!(!output.ok && output.stderr.contains("there is no database `other`"), "{}", output.stderr);
}
