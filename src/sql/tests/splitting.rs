//! Statements: their texts and verbs.

use crate::sql::{Effects, Verb, summarize};

fn split(sql: &[u8], std_strings: bool) -> Vec<String> {
    let statements = summarize(sql, std_strings).statements;
    statements
        .into_iter()
        .map(|statement| format!("{:?}: {}", statement.verb, sql[statement.range].escape_ascii()))
        .collect()
}

fn check(sql: &str, expected: &[&str]) {
    assert_eq!(split(sql.as_bytes(), true), expected, "{sql}");
}

fn check_opaque(sql: &str, opaque: bool) {
    let effects = summarize(sql.as_bytes(), true).effects;
    assert_eq!(effects.contains(Effects::OPAQUE), opaque, "{sql}");
}

#[test]
fn empty_statements_are_left_out() {
    for sql in ["", ";", " ;; ", "-- c", "/* ; */;-- x"] {
        check(sql, &[]);
    }
    check(";;select 1;;", &["Select: select 1"]);
}

#[test]
fn semicolons_in_tokens_do_not_split() {
    check("SELECT 'a;b'; SET x=1", &[r"Select: SELECT \'a;b\'", "Set: SET x=1"]);
    check("select $tag$;$tag$;select 2", &["Select: select $tag$;$tag$", "Select: select 2"]);
    check("select '$$'; select '$$'", &[r"Select: select \'$$\'", r"Select: select \'$$\'"]);
    check("select \";\" /* ; */ -- ;\n; values (1)", &["Select: select \\\";\\\"", "Values: values (1)"]);
    check(r"select E'\';'; table t", &[r"Select: select E\'\\\';\'", "Table: table t"]);
    check(r"select '\'; commit", &[r"Select: select \'\\\'", "Commit: commit"]);
    let old = split(br"select '\'; commit'", false);
    assert_eq!(old, [r"Select: select \'\\\'; commit\'"]);
    check("/* c */ SET x = 1 /* d */ ;", &["Set: SET x = 1"]);
}

#[test]
fn bodies_of_functions_stay_whole() {
    let body = "create function f() returns int begin atomic select 1; select case when true then 1 end; end";
    check(&format!("{body}; select 2"), &[&format!("Create: {body}"), "Select: select 2"]);
    check_opaque(body, false);
    let replaced = "CREATE OR REPLACE PROCEDURE p() BEGIN ATOMIC INSERT INTO t VALUES (1); END";
    check(&format!("{replaced};COMMIT"), &[&format!("Create: {replaced}"), "Commit: COMMIT"]);
    let quoted = r#"create procedure "p"() begin atomic select 1; end"#;
    assert_eq!(split(format!("{quoted}; select 2").as_bytes(), true).len(), 2);
    let labels = "create function f() returns int begin atomic select 1 as end, t.case from t; select 2; end";
    check(&format!("{labels}; begin"), &[&format!("Create: {labels}"), "Begin: begin"]);
    check_opaque("create function f() returns int begin atomic select 1; ", true);
    check_opaque(
        "create function f() begin atomic create function g() begin atomic select 1; end; end",
        true,
    );
}

#[test]
fn begin_atomic_elsewhere_is_nothing_special() {
    check(
        "create view function as select 1 from begin atomic; set x = 1; end",
        &["Create: create view function as select 1 from begin atomic", "Set: set x = 1", "Commit: end"],
    );
    check(
        "begin; create function f(begin atomic) returns int as 'x'; end",
        &["Begin: begin", r"Create: create function f(begin atomic) returns int as \'x\'", "Commit: end"],
    );
}

#[test]
fn rules_keep_their_commands() {
    let rule = "create or replace rule r as on insert to t do also (insert into a values (1); delete from b)";
    check(&format!("{rule}; select 1"), &[&format!("Create: {rule}"), "Select: select 1"]);
    check_opaque(rule, false);
    check_opaque("select (1; set x = 1); select 2", true);
    check_opaque("select 1); set x = 1", true);
    check_opaque("select (1", true);
}

#[test]
fn verbs() {
    let verb = |sql: &str| summarize(sql.as_bytes(), true).statements[0].verb;
    for (sql, expected) in VERBS {
        assert_eq!(verb(sql), *expected, "{sql}");
        assert_eq!(verb(&sql.to_uppercase()), *expected, "{sql}");
    }
}

const VERBS: &[(&str, Verb)] = &[
    ("select 1", Verb::Select),
    ("((select 1) union select 2)", Verb::Select),
    ("values (1)", Verb::Values),
    ("table t", Verb::Table),
    ("with x as (select 1) select 1", Verb::With),
    ("insert into t values (1)", Verb::Insert),
    ("update t set a = 1", Verb::Update),
    ("delete from t", Verb::Delete),
    ("merge into t using s on true", Verb::Merge),
    ("copy t to stdout", Verb::Copy),
    ("begin", Verb::Begin),
    ("start transaction", Verb::Begin),
    ("commit", Verb::Commit),
    ("end", Verb::Commit),
    ("rollback", Verb::Rollback),
    ("abort work", Verb::Rollback),
    ("savepoint a", Verb::Savepoint),
    ("rollback to a", Verb::RollbackTo),
    ("rollback work to savepoint a", Verb::RollbackTo),
    ("rollback transaction to a", Verb::RollbackTo),
    ("release a", Verb::Release),
    ("prepare transaction 'x'", Verb::PrepareTransaction),
    ("prepare transaction as select 1", Verb::Prepare),
    ("commit prepared 'x'", Verb::CommitPrepared),
    ("rollback prepared 'x'", Verb::RollbackPrepared),
    ("set x = 1", Verb::Set),
    ("reset x", Verb::Reset),
    ("show x", Verb::Show),
    ("prepare p as select 1", Verb::Prepare),
    ("execute p", Verb::Execute),
    ("deallocate p", Verb::Deallocate),
    ("discard all", Verb::Discard),
    ("declare c cursor for select 1", Verb::Declare),
    ("fetch c", Verb::Fetch),
    ("move c", Verb::Move),
    ("close c", Verb::Close),
    ("listen a", Verb::Listen),
    ("unlisten a", Verb::Unlisten),
    ("notify a", Verb::Notify),
    ("load 'x'", Verb::Load),
    ("lock t", Verb::Lock),
    ("explain execute p", Verb::Explain),
    ("call p()", Verb::Call),
    ("do 'x'", Verb::Do),
    ("create table t ()", Verb::Create),
    ("alter table t add a int", Verb::Alter),
    ("drop table t", Verb::Drop),
    ("truncate t", Verb::Truncate),
    ("vacuum", Verb::Vacuum),
    ("analyze", Verb::Other),
    ("frobnicate", Verb::Other),
    ("\"select\" 1", Verb::Other),
];
