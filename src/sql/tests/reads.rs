//! What is a read by its own words.

use crate::sql::{NotRead, not_a_read};

#[track_caller]
fn check(text: &str, expected: impl Into<Option<NotRead>>) {
    assert_eq!(not_a_read(text.as_bytes(), true), expected.into(), "{text}");
}

#[test]
fn what_reads() {
    for text in [
        "select 1",
        "SELECT * FROM t WHERE a = $1 ORDER BY b LIMIT 10;",
        "((select 1 union all select 2))",
        "values (1), (2)",
        "table t",
        "with recursive a as (select 1 union select n from a) select * from a",
        "with a as materialized (select 1), b as not materialized (table a) values (1)",
        "/* insert into */ select 'delete from t', $$update$$ -- merge",
        "select substring(a from 1 for 3) from t for read only",
        "select t.update, x as delete from t",
        "select current_setting('app.tenant', true)",
    ] {
        check(text, None);
    }
}

#[test]
fn what_does_not() {
    for command in
        ["insert into t values (1)", "update t set a = 1", "truncate t", "call p()", "lock t", "show a"]
    {
        check(command, NotRead::Command);
    }
    for command in ["explain analyze select 1", "copy t to stdout", "declare c cursor for select 1", "vacuum"]
    {
        check(command, NotRead::Command);
    }
    check("", NotRead::Number);
    check("select 1; select 2", NotRead::Number);
    for strength in ["update", "no key update", "share", "key share", "UPDATE nowait", "/* x */ share of t"] {
        check(&format!("select * from t for {strength}"), NotRead::Locks);
        check(&format!("select * from (select * from t for {strength}) x"), NotRead::Locks);
    }
    check("select 1 into t", NotRead::Into);
    check("select * into unlogged t from u", NotRead::Into);
    check("with a as (select 1) insert into t select * from a", NotRead::Modifies);
    check("with a as (insert into t values (1) returning *) table a", NotRead::Modifies);
    check("with a as (delete from t returning *) select * from a", NotRead::Modifies);
    check("with a as (select 1) update t set a = 1", NotRead::Modifies);
    check("with a as (select 1) search depth first by x set y delete from t", NotRead::Modifies);
    check("with a as materialized(Update t set a = 1 returning 1) table a", NotRead::Modifies);
    check("select set_config('a.b', 'c', false)", NotRead::Session);
    check("select current_setting('in_hot_standby')", NotRead::Session);
    check("select current_setting(name) from t", NotRead::Session);
    check("select current_setting($1)", NotRead::Session);
    check("select \"current_setting\"('in_hot_standby')", NotRead::Session);
    check("select current_setting(E'a.b')", NotRead::Session);
    check("select ('transaction_read_only'::text).current_setting", NotRead::Session);
    check("select x.current_setting from f() x", NotRead::Session);
    check("select cmin from t", NotRead::Session);
    check("select age(datfrozenxid) from pg_database", NotRead::Session);
    check("select pg_advisory_lock(1)", NotRead::Session);
    check("select U&\"\\0061\" from t", NotRead::Unclear);
    check("select 'unterminated", NotRead::Unclear);
    check("select query_to_xml('select 1', true, true, '')", NotRead::Unclear);
}
