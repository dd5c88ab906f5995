//! What statements may write, line by line, and what they do write.

use std::collections::{BTreeMap, BTreeSet};

use pgweir::plan::writes::{Assigned, TriggerWrites, Writes};
use pgweir::sql::facts::Name;
use pgweir::sql::shape;

use super::{Known, ask};
use crate::harness::cluster::Cluster;
use crate::harness::raw::Client;

const OBJECTS: &str = "
    create table t (i int primary key, n text, g int generated always as (length(n)) stored, w int default 0);
    create table two (a int, b text, c int, primary key (b, a));
    create table nokey (i int);
    create table short (k varchar(3) primary key, n int);
    create table numbers (x numeric primary key, n int);
    create view v as select i, n from t;
    create view joined as select t.i, nokey.i as other from t, nokey;
    create view instead as select 1 as i;
    create table log (what text);
    create function note() returns trigger language plpgsql as 'begin insert into log values (tg_op); return new; end';
    create trigger notes instead of update on instead for each row execute function note();
    create table noted (i int primary key, n int);
    create trigger notes after insert or delete on noted for each row execute function note();
    create table ruled (i int primary key);
    create rule also as on delete to ruled do also delete from nokey;
    create table parent (i int primary key, k int unique, n int);
    create table cascades (id int primary key, p int references parent on delete cascade);
    create table nulls (id int primary key, p int references parent on delete set null);
    create table below (id int primary key, c int references cascades on delete cascade);
    create table keyed (id int primary key, k int references parent (k) on update cascade);
    create table refers (id int primary key, p int references parent);
    create table myself (i int primary key, up int references myself on delete cascade, n int);
    create table grand (i int, n int);
    create table kid (extra int) inherits (grand);
    create table p (i int, n int, primary key (i)) partition by range (i);
    create table p1 partition of p for values from (0) to (9);
    create table p2 partition of p for values from (9) to (99);
    create sequence ids;
    create table serials (i int primary key default nextval('ids'), n int);
    create function writes() returns int language sql as 'insert into log values (''f''); select 1';
    create function plain(int) returns int language sql immutable as 'select $1';
    create function reads() returns bigint language sql stable as 'select count(*) from log';
    create table defaults (i int primary key, n int default writes());
    create table checked (i int primary key, n int check (plain(n) > 0));
    create domain writing as int check (value > 0);
    create view calls as select writes() as w;
    create procedure proc() language sql as 'insert into log values (''p'')';
    create unlogged table u (i int primary key);
    create table secured (i int primary key, who text);
    alter table secured enable row level security;
    create policy own on secured using (who = current_user);
    insert into t (i, n) select i, i::text from generate_series(1, 9) i;
    insert into two values (1, 'x', 1), (2, 'x', 2);
    insert into nokey values (1), (2);
    insert into short values ('a', 1), ('b', 2);
    insert into numbers values (1, 1);
    insert into noted values (1, 1), (2, 2);
    insert into ruled values (1);
    insert into parent values (1, 1, 1), (2, 2, 2), (3, 3, 3);
    insert into cascades values (1, 1), (2, 2);
    insert into nulls values (1, 1), (2, 2);
    insert into below values (1, 1), (2, 2);
    insert into keyed values (1, 1), (2, 2);
    insert into refers values (1, 3);
    insert into myself values (1, null, 1), (2, 1, 2), (3, 2, 3);
    insert into grand values (1, 1);
    insert into kid values (2, 2, 2);
    insert into p values (1, 1), (10, 10);
    insert into u values (1);
    insert into secured values (1, 'postgres');
    prepare known as delete from nokey;";

/// (statement, what is said that it may write).
const CASES: &[(&str, &str)] = &[
    // Nothing.
    ("select * from t", "nothing"),
    ("select * from t for update", "nothing"),
    ("select nextval('ids'), random(), now()", "nothing"),
    ("select pg_advisory_xact_lock(1)", "nothing"),
    ("select set_config('work_mem', '1MB', true)", "nothing"),
    ("select reads(), plain(1)", "nothing"),
    ("with x as (select 1) select * from x", "nothing"),
    ("values (1)", "nothing"),
    ("begin", "nothing"),
    ("savepoint a", "nothing"),
    ("commit", "nothing"),
    ("set work_mem = '1MB'", "nothing"),
    ("reset all", "nothing"),
    ("show work_mem", "nothing"),
    ("listen c", "nothing"),
    ("notify c", "nothing"),
    ("prepare q as delete from t", "nothing"),
    ("deallocate all", "nothing"),
    ("declare c cursor for select * from t", "nothing"),
    ("fetch 1 from c", "nothing"),
    ("lock table t", "nothing"),
    ("analyze t", "nothing"),
    ("vacuum t", "nothing"),
    ("checkpoint", "nothing"),
    ("copy t to stdout", "nothing"),
    ("copy (select * from t) to stdout", "nothing"),
    ("explain delete from t", "nothing"),
    ("explain (verbose) update t set n = 'x'", "nothing"),
    ("create temp table mine (i int)", "nothing"),
    ("create temp table mine as select * from t", "nothing"),
    // One key.
    ("update t set n = 'x' where i = 7", "rows t(1)=7 columns 2"),
    ("update t set n = 'x' where i = 7 and n > 'a'", "rows t(1)=7 columns 2"),
    ("update t set (w, n) = (1, 'x') where i in (7, 8)", "rows t(1)=7|8 columns 2,4"),
    ("update t as a set n = r.p::text from refers r where a.i = 7 and r.id = 1", "rows t(1)=7 columns 2"),
    ("update t set n = (select max(what) from log) where 7 = i returning *", "rows t(1)=7 columns 2"),
    ("update only t set n = 'x' where t.i = 7", "rows t(1)=7 columns 2"),
    ("delete from t where i = 7", "rows t(1)=7 all"),
    ("delete from t using nokey where t.i = 7 and nokey.i = 1", "rows t(1)=7 all"),
    ("insert into t (i, n) values (70, 'x')", "rows t(1)=70 all"),
    ("insert into t values (70, 'x'), (71, 'y')", "rows t(1)=70|71 all"),
    ("insert into t (n, i) values ('x', '70') on conflict do nothing", "tables t"),
    ("insert into t (i) values (1), (70) on conflict (i) do update set n = 'y'", "tables t"),
    ("insert into two (c, a, b) values (1, 5, 'y')", "rows two(1,2)=5,y all"),
    ("update two set c = 5 where a = 1 and b = 'x'", "rows two(1,2)=1,x columns 3"),
    ("delete from two where (a, b) = (1, 'x')", "rows two(1,2)=1,x all"),
    ("insert into short values ('c', 1)", "rows short(1)=c all"),
    ("with gone as (delete from t where i = 7 returning *) select * from gone", "rows t(1)=7 all"),
    ("explain analyze delete from t where i = 7", "rows t(1)=7 all"),
    ("explain (analyze, costs off) update t set w = 3 where i = 7", "rows t(1)=7 columns 4"),
    ("update parent set n = 5 where i = 1", "rows parent(1)=1 columns 3"),
    ("insert into parent values (9, 9, 9)", "rows parent(1)=9 all"),
    ("update noted set n = 5 where i = 1", "rows noted(1)=1 columns 2"),
    ("update myself set n = 5 where i = 1", "rows myself(1)=1 columns 3"),
    ("update u set i = i where i = 1", "tables u"),
    ("delete from u where i = 1", "rows u(1)=1 all"),
    ("delete from cascades where id = 9 and p = 1", "tables below cascades"),
    // Tables.
    ("update t set n = 'x'", "tables t"),
    ("update t set n = 'x' where i > 7", "tables t"),
    ("update t set n = 'x' where i = 7 or i = 8", "tables t"),
    ("update t set i = 70 where i = 7", "tables t"),
    ("update two set c = 5 where a = 1", "tables two"),
    ("update t set n = 'x' from nokey where t.i = nokey.i", "tables t"),
    ("update t a set n = 'x' from t b where b.i = 7", "tables t"),
    ("insert into t (i) select 70", "tables t"),
    ("insert into t (i) values (69 + 1)", "tables t"),
    ("insert into short values ('d  ', 1)", "tables short"),
    ("insert into short values ('c  ', 1)", "tables short"),
    ("insert into numbers values (7, 1)", "tables numbers"),
    ("insert into nokey values (1)", "tables nokey"),
    ("insert into serials (n) values (1)", "tables serials"),
    ("insert into serials default values", "tables serials"),
    ("insert into serials (i) overriding user value values (7)", "tables serials"),
    ("copy t (i) from stdin", "tables t"),
    ("truncate nokey", "tables nokey"),
    ("truncate parent cascade", "tables below cascades keyed nulls parent refers"),
    ("update v set n = 'x' where i = 7", "tables t"),
    ("delete from v", "tables t"),
    ("delete from parent where i = 1", "tables below cascades nulls parent"),
    ("update parent set k = 5 where i = 1", "tables keyed parent"),
    ("update parent set i = 5 where i = 3 and false", "tables parent"),
    ("delete from myself where i = 1", "tables myself"),
    ("update grand set n = 5 where i = 1", "tables grand kid"),
    ("delete from kid", "tables kid"),
    ("insert into p values (5, 5)", "tables p p1 p2"),
    ("update p set n = 5 where i = 1", "tables p p1 p2"),
    ("update p1 set n = 5 where i = 1", "rows p1(1)=1 columns 2"),
    ("merge into t using nokey on t.i = nokey.i when matched then delete", "tables t"),
    ("with x as (delete from nokey returning i) insert into t (i) select i + 100 from x", "tables nokey t"),
    ("with x as (update t set n = 'q' where i = 1 returning i) update t set n = 'x' where i = 7", "tables t"),
    ("update t set n = 'x' where i = 7; delete from nokey", "tables nokey t"),
    ("select 1; delete from nokey where i = 1", "tables nokey"),
    ("insert into checked values (1, 2)", "rows checked(1)=1 all"),
    // Everything.
    ("update instead set i = 2", "everything"),
    ("insert into noted values (3, 3)", "everything"),
    ("delete from noted where i = 1", "everything"),
    ("delete from ruled", "everything"),
    ("insert into defaults (i) values (1)", "everything"),
    ("insert into secured values (2, 'postgres')", "rows secured(1)=2 all"),
    ("select writes()", "everything"),
    ("select * from calls", "everything"),
    ("update t set w = writes() where i = 7", "everything"),
    ("explain analyze select writes()", "everything"),
    ("explain select writes()", "everything"),
    ("copy (select writes()) to stdout", "everything"),
    ("declare w cursor for select writes()", "everything"),
    ("select query_to_xml('delete from nokey', true, true, '')", "everything"),
    ("call proc()", "everything"),
    ("do $$ begin delete from nokey; end $$", "everything"),
    ("execute known", "everything"),
    ("explain analyze execute known", "everything"),
    ("commit prepared 'x'", "everything"),
    ("frobnicate", "everything"),
    ("delete from nowhere", "everything"),
    ("delete from pg_class where false", "everything"),
    ("update t set n = 'x' where i = 7; call proc()", "everything"),
    ("load 'plpgsql'", "everything"),
    // Definitions.
    ("create table new (i int)", "definitions"),
    ("create table new as select * from t", "definitions"),
    ("select * into new from t", "definitions"),
    ("alter table t add column z int", "definitions"),
    ("drop table nokey", "definitions"),
    ("grant select on t to public", "definitions"),
    ("alter role app set work_mem = '1MB'", "definitions"),
    ("alter database postgres set work_mem = '1MB'", "definitions"),
    ("alter system set work_mem = '1MB'", "definitions"),
    ("grant pg_monitor to app", "definitions"),
    ("revoke select on t from public", "definitions"),
    ("create policy more on secured using (true)", "definitions"),
    ("comment on table t is 'x'", "definitions"),
    ("refresh materialized view m", "definitions"),
    ("reindex table t", "definitions"),
    ("create temp table mine as select writes()", "definitions"),
    ("drop table nokey; call proc()", "definitions"),
];

#[test]
fn what_statements_may_write_and_what_they_do() {
    let cluster = Cluster::shared();
    let database = cluster.database();
    let mut server = cluster.superuser(&database.name);
    server.run(OBJECTS);
    let known = Known::read(&mut server);
    server.run("set search_path = public");
    let tables = tables(&mut server);
    let mut wrong = vec![];
    let mut ran = 0;
    for (text, expected) in CASES {
        let writes = known.writes(text, &[]);
        let said = shown(&known, &writes, text);
        if said != *expected {
            wrong.push(format!("{text}\n  expected {expected}\n  said     {said}"));
        }
        let Some(changed) = changed(&mut server, text, &tables) else { continue };
        ran += 1;
        let missed: Vec<_> = changed.iter().filter(|table| !names(&known, &writes, table)).collect();
        if !missed.is_empty() {
            wrong.push(format!("{text}\n  said {said}\n  it changed {missed:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(ran > 80, "only {ran} statements ran");
}

#[test]
fn what_a_rule_says_of_triggers() {
    let cluster = Cluster::shared();
    let database = cluster.database();
    let mut server = cluster.superuser(&database.name);
    server.run(
        "create table log (what text); create table t (i int primary key, n int);
        create function note() returns trigger language plpgsql as 'begin insert into log values (tg_op); return new; end';
        create trigger notes after update on t for each row execute function note();
        create table p (i int primary key) partition by range (i); create table p1 partition of p default;
        create trigger notes after insert on p for each row execute function note();
        create table gated (i int primary key); create trigger off before insert on gated for each row execute function note();
        alter table gated disable trigger off;
        create function counted() returns int language plpgsql as 'begin insert into log values (1); return 1; end';
        create table filled (i int primary key, n int default counted());
        create table ruled (i int primary key, n int);
        create rule noted as on update to ruled do also insert into log values (new.i)",
    );
    let known = Known::read(&mut server);
    let rule = |table: &str, writes: &[&str]| {
        let name = |name: &&str| Name { schema: None, name: (*name).into() };
        TriggerWrites { table: name(&table), writes: writes.iter().map(name).collect() }
    };
    let said = |text: &str, rules: &[TriggerWrites]| shown(&known, &known.writes(text, rules), text);
    let log = [rule("t", &["log"]), rule("p", &["log"])];
    assert_eq!(said("update t set n = 1 where i = 7", &[]), "everything");
    assert_eq!(said("update t set n = 1 where i = 7", &log), "tables log t");
    assert_eq!(said("update t set n = 1 where i = 7", &[rule("t", &[])]), "tables t");
    assert_eq!(said("delete from t where i = 7", &[]), "rows t(1)=7 all");
    assert_eq!(said("insert into p values (1)", &log), "tables log p p1");
    assert_eq!(said("insert into p1 values (1)", &log), "everything");
    assert_eq!(said("update t set n = 1", &[rule("t", &["nowhere"])]), "everything");
    assert_eq!(said("update t set n = 1", &[rule("t", &["t", "p"])]), "everything");
    assert_eq!(said("insert into gated values (1)", &[]), "rows gated(1)=1 all");
    // Two rules that say something of a table add to each other.
    assert_eq!(said("update t set n = 1", &[rule("t", &[]), rule("t", &["log"])]), "tables log t");
    assert_eq!(said("insert into filled values (1)", &[]), "everything");
    assert_eq!(said("insert into filled values (1)", &[rule("filled", &["log"])]), "tables filled log");
    assert_eq!(said("update ruled set n = 1 where i = 7", &[]), "everything");
    assert_eq!(said("update ruled set n = 1 where i = 7", &[rule("ruled", &["log"])]), "tables log ruled");
    assert_eq!(said("select counted()", &[rule("filled", &["log"])]), "everything");
}

#[test]
fn what_depends_on_the_session() {
    let cluster = Cluster::shared();
    let database = cluster.database();
    let mut server = cluster.superuser(&database.name);
    server.run("create schema s; create table t (i int primary key); create table s.t (i int primary key)");
    let mut known = Known::read(&mut server);
    let text = "delete from t where i = 7";
    let of = |known: &Known, text: &str, path: Option<&[&str]>, temporary: bool| {
        let around = pgweir::plan::cacheable::Around { temporary, ..known.around(path) };
        shown(known, &pgweir::plan::writes::of(text.as_bytes(), true.into(), &around, &[]), text)
    };
    assert_eq!(of(&known, text, Some(&["public"]), false), "rows t(1)=7 all");
    assert_eq!(of(&known, text, Some(&["s", "public"]), false), "tables s.t t");
    assert_eq!(of(&known, text, None, false), "tables s.t t");
    assert_eq!(of(&known, text, Some(&["none"]), false), "everything");
    assert_eq!(of(&known, text, Some(&["public"]), true), "everything");
    assert_eq!(of(&known, "delete from s.t where i = 7", Some(&["public"]), true), "rows s.t(1)=7 all");
    known.contents.grounds = None;
    assert_eq!(of(&known, text, Some(&["public"]), false), "everything");
    assert_eq!(of(&known, "select 1", Some(&["public"]), false), "everything");
    assert_eq!(of(&known, "begin", Some(&["public"]), false), "nothing");
}

/// All tables that have rows.
fn tables(server: &mut Client) -> Vec<String> {
    let question =
        "select oid::regclass from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace";
    ask(server, question).into_iter().filter_map(|row| row.into_iter().next().flatten()).collect()
}

/// What a statement changes, if it runs; it is undone.
fn changed(server: &mut Client, text: &str, tables: &[String]) -> Option<BTreeSet<String>> {
    let is_alone =
        ["begin", "commit", "vacuum", "copy", "checkpoint", "reset", "deallocate", "load", "frobnicate"];
    if is_alone.iter().any(|word| text.starts_with(word)) && !text.starts_with("copy (") {
        return None;
    }
    let before = contents(server, tables);
    server.run("begin");
    let answer = server.simple(text);
    let failed = answer.iter().any(|message| message.tag == b'E');
    let after = if failed { None } else { Some(contents_if_there(server, tables)) };
    server.run("rollback");
    let after = after?;
    Some(before.into_iter().filter(|(table, text)| after.get(table) != Some(text)).map(|one| one.0).collect())
}

fn contents(server: &mut Client, tables: &[String]) -> BTreeMap<String, String> {
    let of = |table: &String| {
        let text = format!("select string_agg(x::text, ' ' order by x::text) from only {table} x");
        (table.clone(), server.value(&text))
    };
    tables.iter().map(of).collect()
}

/// The same; a table may have been dropped.
fn contents_if_there(server: &mut Client, tables: &[String]) -> BTreeMap<String, String> {
    let there: Vec<String> = tables
        .iter()
        .filter(|table| server.value(&format!("select to_regclass('{table}') is not null")) == "t")
        .cloned()
        .collect();
    contents(server, &there)
}

fn names(known: &Known, writes: &Writes, table: &str) -> bool {
    match writes {
        Writes::Nothing => false,
        Writes::Rows(narrow) => known.name(narrow.table) == table,
        Writes::Tables(tables) => tables.iter().any(|one| known.name(*one) == table),
        Writes::Everything | Writes::Definitions => true,
    }
}

/// In a line.
pub(super) fn shown(known: &Known, writes: &Writes, text: &str) -> String {
    let listed = |tables: &[u32]| {
        let mut names: Vec<&str> = tables.iter().map(|table| known.name(*table)).collect();
        names.sort_unstable();
        format!("tables {}", names.join(" "))
    };
    match writes {
        Writes::Nothing => "nothing".to_owned(),
        Writes::Everything => "everything".to_owned(),
        Writes::Definitions => "definitions".to_owned(),
        Writes::Tables(tables) => listed(tables),
        Writes::Rows(narrow) => {
            let shape = shape(text.as_bytes(), true);
            let given = pgweir::plan::cacheable::Given {
                text: text.as_bytes(),
                dialect: true.into(),
                literals: &shape.literals,
                parameters: &[],
                same_encoding: true,
            };
            let Some(values) = narrow.touched(&given) else { return listed(&[narrow.table]) };
            let columns = narrow.key.iter().map(|key| key.number).collect();
            let touched = pgweir::plan::cacheable::Touched { table: narrow.table, columns, values };
            let assigned = match &narrow.assigned {
                Assigned::All => "all".to_owned(),
                Assigned::Columns(columns) => {
                    let columns: Vec<String> = columns.iter().map(ToString::to_string).collect();
                    format!("columns {}", columns.join(","))
                }
            };
            format!("rows {} {assigned}", super::shown(known, &[touched]))
        }
    }
}
