//! Section B: the simple protocol.

use super::prelude::*;
use crate::harness::big;

#[test]
fn empty_queries() {
    case("17", "empty queries")
        .steps(
            ["", " ", ";", "-- c", "/* c */", ";;", ";;select 1;;", "select 1;-- c", ";-- c\n;"]
                .map(|q| A.sql(q)),
        )
        .expect(["EmptyQueryResponse", "EmptyQueryResponse", "DataRow (1)", "CommandComplete SELECT 1"])
        .run();
}

#[test]
fn empty_queries_in_the_extended_protocol() {
    case("17", "empty queries")
        .both_forms()
        .steps(["", " ", ";", "-- c", "/* c */ ;"].map(|q| A.sql(q)))
        .expect(["EmptyQueryResponse", "ReadyForQuery I", "EmptyQueryResponse", "ReadyForQuery I"])
        .run();
}

#[test]
fn empty_query_in_a_failed_transaction() {
    case("17", "an empty query in a failed transaction is no error")
        .steps(["begin", "select 1/0", "", ";", "select 1", "rollback"].map(|q| A.sql(q)))
        .expect([
            "22012",
            "EmptyQueryResponse",
            "ReadyForQuery E",
            "25P02",
            "CommandComplete ROLLBACK",
            "ReadyForQuery I",
        ])
        .run();
}

#[test]
fn empty_statement_in_a_failed_transaction() {
    case("17", "in the extended protocol it is one")
        .steps([
            A.sql("begin"),
            A.sql("select 1/0"),
            A.send([msg::unnamed("", &[]), msg::sync()]),
            A.ready(),
            A.send([msg::parse("", ";"), msg::sync()]),
            A.ready(),
            A.send([msg::unnamed("rollback", &[]), msg::sync()]),
            A.ready(),
        ])
        .expect(["22012", "25P02", "ReadyForQuery E", "CommandComplete ROLLBACK", "ReadyForQuery I"])
        .run();
}

#[test]
fn whole_transaction_in_one_string() {
    case("18", "BEGIN; INSERT; COMMIT")
        .setup("create table t (i int)")
        .steps(["begin; insert into t values (1); commit", "select i from t"].map(|q| A.sql(q)))
        .expect(["CommandComplete BEGIN", "INSERT 0 1", "COMMIT", "ReadyForQuery I", "DataRow (1)"])
        .run();
}

#[test]
fn string_that_leaves_a_transaction_open() {
    case("18", "SELECT 1; BEGIN")
        .setup("create table t (i int)")
        .steps([
            A.sql("select 1; begin"),
            A.sql("insert into t values (1)"),
            A.sql("commit; select count(*) from t"),
            B.sql("select count(*) from t"),
        ])
        .expect([
            "CommandComplete BEGIN",
            "ReadyForQuery T",
            "ReadyForQuery T",
            "COMMIT",
            "DataRow (1)",
            "B DataRow (1)",
        ])
        .run();
}

#[test]
fn error_in_the_middle_of_a_string() {
    case("18", "an error in the middle rolls the implicit transaction back")
        .setup("create table t (i int)")
        .steps([
            A.sql("insert into t values (1); select 1/0; insert into t values (2)"),
            A.sql("select count(*) from t"),
        ])
        .expect(["INSERT 0 1", "22012", "ReadyForQuery I", "DataRow (0)"])
        .run();
}

#[test]
fn insert_adopted_by_a_later_begin() {
    case("18", "INSERT; BEGIN; ROLLBACK takes the INSERT along")
        .setup("create table t (i int)")
        .steps([
            A.sql("insert into t values (1); begin; insert into t values (2); rollback"),
            A.sql("select count(*) from t"),
            A.sql("insert into t values (1); begin; select 1"),
            A.sql("select 1/0; commit"),
            A.sql("commit; insert into t values (3); rollback"),
            A.sql("select array_agg(i) from t"),
        ])
        .expect([
            "CommandComplete ROLLBACK",
            "DataRow (0)",
            "ReadyForQuery T",
            "ReadyForQuery E",
            "ReadyForQuery I",
            "DataRow (NULL)",
        ])
        .run();
}

#[test]
fn error_inside_a_string_with_its_own_transactions() {
    case("18", "commits before the error stay")
        .setup("create table t (i int)")
        .steps([
            A.sql("begin; insert into t values (1); commit; insert into t values (2); selec 3"),
            A.sql("begin; insert into t values (3); commit; insert into t values (4); select 1/0"),
            A.sql("begin; insert into t values (5); select 1/0; commit"),
            A.sql("rollback; select array_agg(i) from t"),
        ])
        .expect(["42601", "22012", "ReadyForQuery I", "22012", "ReadyForQuery E", "DataRow ({3})"])
        .run();
}

#[test]
fn read_and_write_in_one_string() {
    case("19", "SELECT 1; INSERT goes to the primary as a whole")
        .setup("create table t (i int)")
        .steps([
            A.sql("select count(*) from t; insert into t values (1) returning i; select count(*) from t"),
            B.sql("/* read */ select 1; delete from t; select count(*) from t"),
        ])
        .expect([
            "DataRow (0)",
            "DataRow (1)",
            "INSERT 0 1",
            "DataRow (1)",
            "CommandComplete DELETE 1",
            "DataRow (0)",
        ])
        .run();
}

#[test]
fn set_and_select_in_one_string() {
    case("20", "SET and SELECT in one string; the next client sees the default")
        .steps([
            A.sql("set work_mem = '77kB'; show work_mem"),
            B.sql("show work_mem"),
            A.sql("show work_mem"),
            A.sql("/* c */ set /* d */ work_mem -- e\n to '88kB'; select current_setting('work_mem')"),
            B.sql("select current_setting('work_mem')"),
            A.sql("show work_mem"),
            A.sql("set local work_mem = '99kB'; show work_mem"),
            A.sql("show work_mem"),
            A.sql("begin; set local work_mem = '99kB'; show work_mem; commit; show work_mem"),
        ])
        .expect([
            "DataRow (77kB)",
            "B DataRow (4MB)",
            "DataRow (77kB)",
            "DataRow (88kB)",
            "B DataRow (4MB)",
            "DataRow (88kB)",
            "DataRow (99kB)",
            "DataRow (88kB)",
        ])
        .run();
}

#[test]
fn set_undone_by_an_error_in_the_same_string() {
    case("20 48", "SET before an error in one string is undone")
        .steps([
            A.sql("set work_mem = '77kB'; select 1/0"),
            A.sql("show work_mem"),
            A.sql("set work_mem = '77kB'; commit; select 1/0"),
            A.sql("show work_mem"),
        ])
        .expect(["22012", "DataRow (4MB)", "WARNING 25P01", "22012", "DataRow (77kB)"])
        .run();
}

#[test]
fn deferred_constraint_at_implicit_commit() {
    case("21", "an error instead of CommandComplete")
        .setup("create table p (i int primary key); create table c (i int references p deferrable initially deferred)")
        .both_forms()
        .steps(["insert into c values (1) returning i", "select count(*) from c"].map(|q| A.sql(q)))
        .expect(["RowDescription", "DataRow (1)", "ErrorResponse ERROR 23503", "ReadyForQuery I", "DataRow (0)"])
        .run();
}

#[test]
fn deferred_constraint_at_commit() {
    case("21", "COMMIT that fails")
        .setup("create table p (i int primary key); create table c (i int references p deferrable initially deferred)")
        .both_forms()
        .steps(["begin", "insert into c values (1)", "commit", "select count(*) from c"].map(|q| A.sql(q)))
        .expect(["ReadyForQuery T", "ErrorResponse ERROR 23503", "ReadyForQuery I", "DataRow (0)"])
        .run();
}

#[test]
fn statements_refused_inside_a_string() {
    case("22", "CREATE DATABASE and VACUUM in a multi-statement string")
        .setup("create table t (i int)")
        .steps(
            ["select 1; vacuum t", "vacuum t; select 1", "select 1; create database never", "vacuum t"]
                .map(|q| A.sql(q)),
        )
        .expect(["25001", "25001", "CommandComplete VACUUM", "ReadyForQuery I"])
        .run();
}

#[test]
fn commit_of_a_failed_transaction() {
    case("23", "COMMIT of a failed transaction answers ROLLBACK")
        .setup("create table t (i int)")
        .both_forms()
        .steps(
            ["begin", "insert into t values (1)", "select 1/0", "commit", "select count(*) from t"]
                .map(|q| A.sql(q)),
        )
        .expect([
            "ReadyForQuery T",
            "22012",
            "ReadyForQuery E",
            "CommandComplete ROLLBACK",
            "ReadyForQuery I",
            "DataRow (0)",
        ])
        .run();
}

#[test]
fn transaction_chains() {
    case("23", "AND CHAIN keeps the transaction's properties")
        .both_forms()
        .steps(
            [
                "begin isolation level serializable read only",
                "show transaction_isolation",
                "commit and chain",
                "show transaction_isolation",
                "show transaction_read_only",
                "rollback and chain",
                "show transaction_isolation",
                "select 1/0",
                "commit and chain",
                "show transaction_isolation",
                "rollback",
                "show transaction_isolation",
                "commit and chain",
                "select 1",
            ]
            .map(|q| A.sql(q)),
        )
        .expect([
            "DataRow (serializable)",
            "COMMIT",
            "ReadyForQuery T",
            "DataRow (serializable)",
            "DataRow (on)",
            "ROLLBACK",
        ])
        .expect([
            "ReadyForQuery E",
            "CommandComplete ROLLBACK",
            "ReadyForQuery T",
            "DataRow (serializable)",
            "ReadyForQuery I",
        ])
        .expect(["DataRow (read committed)", "25P01", "DataRow (1)"])
        .run();
}

#[test]
fn nested_begin_and_stray_commit() {
    case("23", "BEGIN in a transaction and COMMIT outside warn")
        .both_forms()
        .steps(
            ["begin", "begin", "commit", "commit", "rollback", "abort", "end", "start transaction", "end"]
                .map(|q| A.sql(q)),
        )
        .expect([
            "WARNING 25001",
            "ReadyForQuery T",
            "COMMIT",
            "WARNING 25P01",
            "ReadyForQuery I",
            "WARNING 25P01",
            "START TRANSACTION",
            "ReadyForQuery T",
        ])
        .run();
}

#[test]
fn prepared_transactions() {
    case("23 58", "PREPARE TRANSACTION and its end in another session")
        .setup("create table t (i int)")
        .both_forms()
        .steps([
            A.sql("begin"),
            A.sql("insert into t values (1)"),
            A.sql("prepare transaction 'simple.prepared'"),
            B.sql("select count(*) from t"),
            B.sql("commit prepared 'simple.prepared'"),
            B.sql("select count(*) from t"),
            A.sql("begin"),
            A.sql("select 1/0"),
            A.sql("prepare transaction 'simple.failed'"),
            A.sql("select 1"),
        ])
        .expect([
            "PREPARE TRANSACTION",
            "ReadyForQuery I",
            "B DataRow (0)",
            "COMMIT PREPARED",
            "B DataRow (1)",
            "22012",
            "ROLLBACK",
            "ReadyForQuery I",
        ])
        .run();
}

#[test]
fn savepoints() {
    case("18 48", "savepoints")
        .setup("create table t (i int)")
        .both_forms()
        .steps(
            [
                "begin",
                "insert into t values (1)",
                "savepoint s",
                "insert into t values (2)",
                "select 1/0",
                "rollback to s",
                "insert into t values (3)",
                "release s",
                "release s",
                "rollback to s",
                "rollback",
                "savepoint s",
                "select count(*) from t",
            ]
            .map(|q| A.sql(q)),
        )
        .expect([
            "SAVEPOINT",
            "22012",
            "ReadyForQuery E",
            "CommandComplete ROLLBACK",
            "ReadyForQuery T",
            "RELEASE",
            "3B001",
            "ReadyForQuery E",
            "3B001",
            "ROLLBACK",
            "25P01",
            "DataRow (0)",
        ])
        .run();
}

#[test]
fn many_columns() {
    let columns: Vec<String> = (0..1600).map(|n| format!("{n} as c{n}")).collect();
    case("24", "1600 columns")
        .both_forms()
        .steps([A.sql(format!("select {}", columns.join(", "))), A.sql("select 1")])
        .expect(["RowDescription (c0 23, c1 23", "DataRow (0, 1, 2", "SELECT 1", "ReadyForQuery I"])
        .run();
}

#[test]
fn too_many_columns() {
    let columns: Vec<String> = (0..1665).map(|n| format!("{n} as c{n}")).collect();
    case("24", "1665 columns are refused")
        .both_forms()
        .steps([A.sql(format!("select {}", columns.join(", ")))])
        .expect(["ErrorResponse ERROR 54011", "ReadyForQuery I"])
        .run();
}

#[test]
fn no_columns_no_rows_same_names() {
    case("24", "zero columns, zero rows, duplicate names, NULLs and empty texts")
        .setup("create table none (); insert into none default values")
        .both_forms()
        .steps(
            [
                "select",
                "select from none",
                "select from generate_series(1, 3)",
                "select 1 where false",
                "select 1 as a, 2 as a, null as a, '' as a",
                "table none",
                "values (1), (2)",
                "select 1 as \"?column?\", 2 as \"A b\"",
            ]
            .map(|q| A.sql(q)),
        )
        .expect([
            "RowDescription ()",
            "DataRow ()",
            "SELECT 1",
            "SELECT 3",
            "SELECT 0",
            "DataRow (1, 2, NULL, )",
            "DataRow (1)",
            "DataRow (2)",
        ])
        .run();
}

#[test]
fn large_rows() {
    let bytes = if big() { 1_000_000_000 } else { 100_000_000 };
    case("24", "a row that does not fit into any buffer")
        .steps([A.sql(format!("select repeat('x', {bytes}) as x, 1 as y")), A.sql("select 2")])
        .expect(["RowDescription (x 25, y 23)", "DataRow (xxxxxxxx", "SELECT 1", "DataRow (2)"])
        .run();
}

#[test]
fn rows_of_every_size_around_the_buffers() {
    case("24", "rows whose sizes cross 4, 8, 16 and 64 kB")
        .both_forms()
        .steps([A.sql(
            "select repeat('x', b + d) from unnest(array[4096, 8192, 16384, 65536]) b, generate_series(-40, 4) d",
        )])
        .expect(["DataRow (xxxx", "SELECT 180"])
        .run();
}

#[test]
fn many_small_rows() {
    case("24", "a hundred thousand rows")
        .steps([A.sql("select i, i * 2 from generate_series(1, 100000) i")])
        .expect(["DataRow (100000, 200000)", "SELECT 100000"])
        .run();
}

#[test]
fn large_query_text() {
    let megabytes = if big() { 64 } else { 8 };
    let text = "y".repeat(megabytes << 20);
    case("24", "query text of many megabytes")
        .both_forms()
        .steps([
            A.sql(format!("select length('{text}')")),
            A.sql(format!("select 1 -- {text}")),
            A.sql("select 2"),
        ])
        .expect([&format!("DataRow ({})", megabytes << 20), "DataRow (1)", "DataRow (2)"])
        .run();
}

#[test]
fn nul_byte_in_the_query_text() {
    case("25", "a NUL byte inside query text")
        .steps([A.send([msg::query_bytes(b"select 1\0select 2")]), A.ready(), A.sql("select 3")])
        .expect(["ErrorResponse ERROR 08P01", "ReadyForQuery I", "DataRow (3)"])
        .run();
}

#[test]
fn query_without_the_final_nul() {
    case("25 43", "query text without the final NUL")
        .steps([A.send([msg::frame(b'Q', b"select 1")]), A.ready(), A.sql("select 3")])
        .expect(["ErrorResponse ERROR 08P01", "ReadyForQuery I", "DataRow (3)"])
        .run();
}

#[test]
fn invalid_utf8_text() {
    case("25", "text that is no UTF-8")
        .steps([A.send([msg::query_bytes(b"select '\xff\xfe' as x")]), A.ready(), A.sql("select 3")])
        .expect(["ErrorResponse ERROR 22021", "ReadyForQuery I", "DataRow (3)"])
        .run();
}

#[test]
fn latin1_text() {
    case("25", "text in LATIN1")
        .steps([
            A.login(&[("client_encoding", "LATIN1")]),
            A.send([msg::query_bytes(b"select '\xe9\xff' as \"\xe4\", length('\xe9\xff')")]),
            A.ready(),
            A.send([
                msg::parse("", "select $1::text"),
                msg::bind("", "", &["x"]),
                msg::execute("", 0),
                msg::sync(),
            ]),
            A.ready(),
            B.sql("select 'é'"),
        ])
        .expect(["ParameterStatus client_encoding=LATIN1", "DataRow (0xe9ff, 2)", "B DataRow (é)"])
        .run();
}

#[test]
fn sql_ascii_text() {
    case("25", "text under client_encoding SQL_ASCII")
        .steps([
            A.sql("set client_encoding = 'SQL_ASCII'"),
            A.send([msg::query_bytes(b"select 'caf\xc3\xa9' as x")]),
            A.ready(),
            A.send([msg::query_bytes(b"select '\xff' as x")]),
            A.ready(),
        ])
        .expect(["client_encoding=SQL_ASCII", "DataRow (café)", "ErrorResponse ERROR 22021"])
        .run();
}

#[test]
fn syntax_that_nobody_knows() {
    case("25", "syntax errors and unknown commands are PostgreSQL's to refuse")
        .both_forms()
        .steps(
            [
                "selec 1",
                "flurb the gnat",
                "select * from",
                "select ' unterminated",
                "select /* unterminated",
                "select $$ unterminated",
                "select \"unterminated",
                "select 1 1",
                ")",
                "\\d",
                "match (a)-[b]->(c) return a",
                "begin; commit;;)",
                "set",
                "set work_mem",
                "begin flurb",
                "commit flurb",
                "savepoint",
                "prepare",
                "execute",
                "deallocate",
                "discard",
                "listen",
                "select 1",
            ]
            .map(|q| A.sql(q)),
        )
        .expect(["42601", "42601", "DataRow (1)"])
        .run();
}

#[test]
fn quoting_of_every_kind() {
    case("26", "dollar quotes, nested comments, escapes")
        .both_forms()
        .steps(
            [
                "select $$a; begin; $$ as x",
                "select $a$ $b$ ; $$ set work_mem = 1; $b$ $a$ as x",
                "select /* a /* ; nested */ begin; */ 1",
                "select 'it''s; begin' as \"a\"\"; commit\"",
                "select E'a\\'; begin; --' as x",
                "select U&'\\0041;' as U&\"\\0062;\"",
                "select U&'!0041' uescape '!' as x",
                "select B'101'::text, X'1F'::text, N'n;'",
                "select 'a'\n'b;' as x",
                "select 1 -- ; begin",
                "select $1$, 2",
                "select 1$a$ from (values (1)) v",
                "select 'a\\'",
                "select a$b$c from (values (1)) v(a$b$c)",
                "select '--' || '/*' as x /* ' */",
            ]
            .map(|q| A.sql(q)),
        )
        .expect([
            "DataRow (a; begin; )",
            "DataRow (1)",
            "DataRow (it's; begin)",
            "DataRow (a'; begin; --)",
            "DataRow (A;)",
            "DataRow (A)",
        ])
        .run();
}

#[test]
fn strings_that_are_not_standard() {
    case("26", "standard_conforming_strings off: a backslash escapes the quote")
        .steps([
            A.sql("set standard_conforming_strings = off"),
            A.sql("select 'a\\'; set work_mem = 64; --' as x"),
            A.sql("show work_mem"),
            B.sql("select 'a\\' as x"),
            A.sql("select 'a\\'; begin; --' as x"),
            A.sql("set standard_conforming_strings = on; select 'a\\'"),
        ])
        .expect([
            "standard_conforming_strings=off",
            "DataRow (a'; set work_mem = 64; --)",
            "DataRow (4MB)",
            "B DataRow (a\\)",
            "DataRow (a'; begin; --)",
            "42601",
        ])
        .run();
}

#[test]
fn several_queries_in_one_write() {
    case("18 28", "pipelined simple queries: each has its own ReadyForQuery")
        .setup("create table t (i int)")
        .steps([
            A.send([
                msg::query("insert into t values (1)"),
                msg::query("select 1/0"),
                msg::query("begin"),
                msg::query("insert into t values (2)"),
                msg::query("selec"),
                msg::query("select 1"),
                msg::query("rollback"),
                msg::query("select count(*) from t"),
            ]),
            A.ready_times(8),
            B.sql("select count(*) from t"),
        ])
        .expect([
            "INSERT 0 1",
            "22012",
            "ReadyForQuery I",
            "BEGIN",
            "ReadyForQuery T",
            "42601",
            "ReadyForQuery E",
            "25P02",
            "ROLLBACK",
            "DataRow (1)",
            "B DataRow (1)",
        ])
        .run();
}

#[test]
fn query_byte_by_byte() {
    case("18", "a query that arrives byte by byte")
        .steps([A.drip([msg::query("select 1"), msg::query("select 'two'")].concat()), A.ready_times(2)])
        .expect(["DataRow (1)", "DataRow (two)"])
        .run();
}

#[test]
fn notices() {
    case("64", "notices come where PostgreSQL sends them")
        .both_forms()
        .steps(
            [
                "drop table if exists no_such_table",
                "do $$ begin raise notice 'n'; raise warning 'w' using hint = 'h', errcode = '01234'; end $$",
                "do $$ begin raise exception 'e' using detail = 'd', hint = 'h', table = 't', column = 'c', schema = 's'; end $$",
                "set client_min_messages = debug1",
                "drop table if exists no_such_table",
            ]
            .map(|q| A.sql(q)),
        )
        .expect(["NOTICE 00000 table \"no_such_table\"", "NOTICE 00000 n", "WARNING 01234 w", "P0001 e [D: d] [H: h]"])
        .run();
}

#[test]
fn command_tags() {
    case("23", "command tags of all kinds")
        .creates_objects()
.both_forms()
        .steps(
            [
                "create table t (i int primary key, s text)",
                "insert into t select i, 's' from generate_series(1, 5) i",
                "update t set s = 'u' where i < 4",
                "delete from t where i = 1",
                "with d as (delete from t where i = 2 returning i) select i from d",
                "with s as (select 1) update t set s = 'w'",
                "create index on t (s)",
                "analyze t",
                "truncate t",
                "create view v as select 1 as a",
                "create function f() returns int language sql as 'select 1'",
                "create procedure p() language sql as 'select 1'",
                "call p()",
                "comment on table t is 'x'",
                "grant select on t to public",
                "lock table t",
                "explain (costs off) select 1",
                "create table u as select 1 as a",
                "select 1 as a into w",
                "refresh materialized view v",
                "create schema s",
                "drop schema s",
                "checkpoint",
                "show server_encoding",
                "merge into t using (values (1)) v(i) on t.i = v.i when not matched then insert values (v.i, 'm')",
                "drop table t, u, w",
                "set constraints all immediate",
                "cluster",
                "reindex table pg_catalog.pg_class",
            ]
            .map(|q| A.sql(q)),
        )
        .expect(["CREATE TABLE", "INSERT 0 5", "UPDATE 3", "DELETE 1", "SELECT 1", "UPDATE 3", "CREATE INDEX", "ANALYZE", "TRUNCATE TABLE", "CREATE VIEW"])
        .expect(["CALL", "COMMENT", "GRANT", "25P01", "EXPLAIN", "SELECT 1"])
        .expect_since(15, ["MERGE 1"])
        .expect(["DROP TABLE"])
        .run();
}

#[test]
fn errors_of_many_kinds() {
    case("23", "errors arrive with all their fields")
        .setup("create table t (i int primary key check (i > 0), d date not null); insert into t values (1, '2020-01-01')")
        .both_forms()
        .steps(
            [
                "insert into t values (1, '2020-01-01')",
                "insert into t values (-1, '2020-01-01')",
                "insert into t values (2, null)",
                "insert into t values (2, 'yesterdayish')",
                "select * from no_such_table",
                "select no_such_column from t",
                "select no_such_function(1)",
                "select '1'::int + 'x'::int",
                "create table t (i int)",
                "select pg_read_file('/etc/passwd')",
                "drop role app2",
                "select 1 from t t1, t t2 where i = 1",
                "select row(1, 2)::t",
            ]
            .map(|q| A.sql(q)),
        )
        .expect(["23505", "23514", "23502", "22007", "42P01", "42703", "42883", "22P02", "42P07", "42501"])
        .run();
}
