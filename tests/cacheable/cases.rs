//! What may be kept, and on what it depends: line by line.

use pgweir::plan::cacheable::{Parameter, REFUSALS};

use super::{Known, shown};
use crate::harness::cluster::Cluster;

const OBJECTS: &str = "
    create collation loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
    create domain positive as int check (value > 0);
    create type mood as enum ('sad', 'ok');
    create table t (i int primary key, n text, b bigint, s smallint, o oid, f bool, u uuid, d date, y bytea,
        v varchar(9), c char(3), x numeric, m mood, p positive, l text collate loose, ts timestamp, tz timestamptz,
        j jsonb, g int generated always as (i + 1) stored, a int[]);
    create table r (id int primary key, t_i int references t, name text, n int);
    create table gone (z int, k int, drop_me int, last int);
    alter table gone drop column drop_me;
    create view v as select i, n from t where n is not null;
    create view vv as select v.i, r.name from v join r on r.t_i = v.i;
    create materialized view m as select * from r;
    create view over_m as select * from m;
    create unlogged table un (i int);
    create view over_u as select * from un;
    create sequence ids;
    create extension postgres_fdw;
    create server elsewhere foreign data wrapper postgres_fdw;
    create foreign table far (i int) server elsewhere;
    create view over_f as select * from far;
    create table secured (i int, who text);
    alter table secured enable row level security;
    create policy own on secured using (who = current_user);
    create view over_secured as select * from secured;
    create table parent (k int, i int);
    create table child (extra int) inherits (parent);
    create table other (z int, i int, k int);
    alter table other inherit parent;
    create table p (i int, k int) partition by range (i);
    create table p1 partition of p for values from (0) to (9);
    create table p2 (k int, gap int, i int);
    alter table p2 drop column gap;
    alter table p attach partition p2 for values from (9) to (99);
    create view clock as select now() as at;
    create view today as select current_date as at;
    create view catalog as select relname from pg_class;
    create view casts as select n::date as d from t;
    create view sample as select * from t tablesample bernoulli (50);
    create function fixed(int) returns int language sql immutable as 'select $1 + 1';
    create function stable_one(int) returns int language sql stable as 'select $1 + 1';
    create function volatile_one(int) returns int language sql as 'select $1 + 1';
    create function reads_clock(int) returns timestamptz language sql immutable as 'select now()';
    create function plus_stable(int, int) returns int language sql stable as 'select $1 + $2';
    create operator @+@ (leftarg = int, rightarg = int, function = plus_stable);
    create table named (i int, r regclass);
    create schema s;
    create table s.t (i int, n text);
    create table s.only_there (i int);";

/// (statement, what is said: a refusal, or tables with the values on which it depends).
const CASES: &[(&str, &str)] = &[
    // Equalities that hold for every row that can matter.
    ("select 1", ""),
    ("select * from t", "t"),
    ("select * from t where i = 7", "t(1)=7"),
    ("select * from t where 7 = i", "t(1)=7"),
    ("select * from t where i = 007", "t(1)=7"),
    ("select * from t where i = '7'", "t(1)=7"),
    ("select * from t where i = -7", "t(1)=-7"),
    ("select * from t where i = ' 7'", "t"),
    ("select * from t where i = 7.0", "t"),
    ("select * from t where i = 7::bigint", "t(1)=7"),
    ("select * from t where i = '7'::int", "t(1)=7"),
    ("select * from t where i = 7::numeric", "t"),
    ("select * from t where i::text = '7'", "t"),
    ("select * from t where i + 0 = 7", "t"),
    ("select * from t where (i) = (7) and (n = 'x')", "t(1,2)=7,x"),
    ("select * from t where n = 'x' and i = 7 and b > 3", "t(1,2)=7,x"),
    ("select * from t where (i, n) = (7, 'x')", "t(1,2)=7,x"),
    ("select * from t where i = 7 and i = 8", "t(1)=7"),
    ("select * from t where i in (3, 1, 2, 1)", "t(1)=1|2|3"),
    ("select * from t where i = any (array[1, 2])", "t(1)=1|2"),
    ("select * from t where i = any ('{1,2}')", "t"),
    ("select * from t where i in (1, 2) and n in ('a', 'b')", "t(1,2)=1,a|1,b|2,a|2,b"),
    ("select * from t where i in (1, 2.5)", "t"),
    ("select * from t where i in (1, b)", "t"),
    ("select * from t where i not in (1, 2)", "t"),
    ("select * from t where not (i = 7)", "t"),
    ("select * from t where i = 7 or n = 'x'", "t"),
    ("select * from t where i <> 7", "t"),
    ("select * from t where i = 7 is true", "t"),
    ("select * from t where i = null", "t"),
    ("select * from t where i is null", "t"),
    ("select * from t having count(*) = 7", "t"),
    ("select count(*) from t where i = 7 having count(*) > 1", "t(1)=7"),
    ("select i, count(*) from t group by i having i = 7", "t"),
    ("select * from t where i = 7 order by n limit 3", "t(1)=7"),
    ("select distinct on (n) * from t where i = 7 order by n", "t(1)=7"),
    ("select rank() over (partition by n) from t where i = 7", "t(1)=7"),
    // Types.
    ("select * from t where n = 'x'", "t(2)=x"),
    ("select * from t where n = 'it''s'", "t(2)=it's"),
    ("select * from t where n = e'a\\tb'", "t(2)=a\tb"),
    ("select * from t where n = $$x$$", "t(2)=x"),
    ("select * from t where n = 7::text", "t"),
    ("select * from t where n = 'x'::text", "t(2)=x"),
    ("select * from t where n = 'x' collate \"C\"", "t"),
    ("select * from t where v = 'x'", "t(10)=x"),
    ("select * from t where v = 'x'::varchar", "t(10)=x"),
    ("select * from t where v = 'x'::varchar(3)", "t"),
    ("select * from t where b = 7 and s = 8", "t(3,4)=7,8"),
    ("select * from t where o = 7", "t(5)=7"),
    ("select * from t where o = -7", "t"),
    ("select * from t where f = 'true'", "t(6)=t"),
    ("select * from t where f = 'yes'", "t"),
    (
        "select * from t where u = 'A0EEBC99-9c0b-4ef8-bb6d-6bb9bd380a11'",
        "t(7)=a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
    ),
    ("select * from t where u = '{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}'", "t"),
    ("select * from t where d = '2024-02-29'", "t(8)=2024-02-29"),
    ("select * from t where d = date '2024-02-29'", "t(8)=2024-02-29"),
    ("select * from t where d = '29.2.2024'", "t"),
    ("select * from t where y = '\\x01'", "t"),
    ("select * from t where c = 'x'", "t"),
    ("select * from t where x = 7", "t"),
    ("select * from t where m = 'ok'", "t"),
    ("select * from t where p = 7", "t"),
    ("select * from t where l = 'x'", "t"),
    ("select * from t where ts = '2024-02-29'", "t"),
    ("select * from t where g = 7", "t"),
    // Several tables.
    ("select * from t, r where t.i = 7 and r.id = 8", "r(1)=8 t(1)=7"),
    ("select * from t join r on r.t_i = t.i where t.i = 7", "r(2)=7 t(1)=7"),
    ("select * from t left join r on t.i = r.t_i where t.i in (7, 8)", "r(2)=7|8 t(1)=7|8"),
    ("select * from t left join r on r.t_i = t.i and t.i = 7", "r(2)=7 t"),
    ("select * from t right join r on r.t_i = t.i and t.i = 7", "r t(1)=7"),
    ("select * from t right join r on r.t_i = t.i where r.t_i = 7", "r(2)=7 t(1)=7"),
    ("select * from t full join r on r.t_i = t.i where t.i = 7", "r t(1)=7"),
    ("select * from t full join r on r.id = t.b where r.t_i = t.i and t.i = 7", "r(2)=7 t(1)=7"),
    ("select * from t, r where (r.t_i, r.n) = (t.i, 3) and t.i = 7", "r(2,4)=7,3 t(1)=7"),
    ("select * from t, r where (r.t_i, r.n) = (t.i, 3) and t.i = $1", "r t"),
    ("select * from t, r, gone g where r.t_i = t.i and g.k = r.t_i and 7 = g.k", "gone(2)=7 r(2)=7 t(1)=7"),
    ("select * from t join r on r.t_i = t.b where t.b = 7", "r(2)=7 t(3)=7"),
    ("select * from t join r on r.t_i = t.o where t.o = 7", "r t(5)=7"),
    ("select * from t join r on r.t_i = t.x where t.x = 7", "r t"),
    ("select * from t join r on r.name = t.c where t.c = 'x'", "r t"),
    ("select * from t join r on r.name = t.v where t.v = 'x'", "r(3)=x t(10)=x"),
    ("select * from t join r on r.name = t.l where t.l = 'x'", "r t"),
    ("select * from t join r on r.t_i = t.i or t.b = 3 where t.i = 7", "r t(1)=7"),
    ("select * from t join r on r.t_i = t.i + 0 where t.i = 7", "r t(1)=7"),
    ("select * from t join r on r.t_i = t.i where t.i = 7 and r.id = 8", "r(1)=8 t(1)=7"),
    ("select * from t x join r using (n) where x.i = 7", "r t(1)=7"),
    ("select * from gone join p1 using (k) where gone.k = 7", "gone(2)=7 p1(2)=7"),
    ("select * from gone join p using (k) where gone.k = 7", "gone(2)=7 p(2)=7 p1(2)=7 p2(1)=7"),
    ("select * from gone x (k, i) join r on r.t_i = x.k where x.k = 7", "gone r"),
    ("select * from t join v on v.i = t.i where v.i = 7", "t"),
    ("select * from (select i from t) x join r on r.t_i = x.i where x.i = 7", "r t"),
    ("select * from t a join t b on b.b = a.i where a.i = 7", "t(1)=7 t(3)=7"),
    ("select * from t where i = b and b = 7", "t(1,3)=7,7"),
    ("select * from t join r on r.t_i = t.p where t.p = 7", "r t"),
    ("select * from t join r on r.name = t.n collate loose where t.n = 'x'", "r t(2)=x"),
    ("select * from t natural join r where t.i = 7", "r t(1)=7"),
    ("select * from t join secured s on s.i = t.i where t.i = 7", "rls"),
    (
        "select * from t left join (r join gone g on g.k = r.t_i) on r.t_i = t.i where t.i = 7",
        "gone(2)=7 r(2)=7 t(1)=7",
    ),
    (
        "select * from t left join r on r.t_i = t.i left join gone g on g.k = t.i where g.k = 7",
        "gone(2)=7 r t",
    ),
    // The condition of a join does not see what stands behind it: `l` is the one around.
    (
        "select * from t l where exists (select from r join gone g on g.k = l.i, p1 l where l.i = 7)",
        "gone p1(1)=7 r t",
    ),
    (
        "select * from t l where exists (select from r join gone g on g.k = r.id and l.i = 7, p1 l where g.k = l.i)",
        "gone p1 r t",
    ),
    ("select * from t join r on r.t_i = t.i and r.id = 8", "r(1)=8 t"),
    ("select * from t join r on r.t_i = 7 and t.i = 7", "r(2)=7 t(1)=7"),
    ("select * from t left join r on r.t_i = t.i and r.id = 8 and t.i = 7", "r(1)=8 t"),
    ("select * from t left join r on r.t_i = t.i where r.id = 8", "r(1)=8 t"),
    ("select * from t right join r on t.i = 7 and r.id = 8", "r t(1)=7"),
    ("select * from t full join r on t.i = 7 and r.id = 8", "r t"),
    ("select * from t full join r on t.i = r.id where t.i = 7", "r t(1)=7"),
    ("select * from t cross join r where id = 8", "r(1)=8 t"),
    ("select * from t cross join r where n = '8'", "r t"),
    ("select * from t join r using (n) where n = '8'", "r t"),
    ("select * from t a, t b where a.i = 1 and b.i = 2", "t(1)=1 t(1)=2"),
    ("select * from t a, t b where a.i = 1 and b.n = 'x'", "t(1)=1 t(2)=x"),
    ("select * from t a, t b where a.i = 1", "t"),
    ("select * from t as x (a, i) where x.i = 7", "t"),
    ("select * from t as x where x.i = 7", "t(1)=7"),
    ("select * from public.t where public.t.i = 7", "t(1)=7"),
    ("select * from public.t x, s.t where t.i = 7", "s.t(1)=7 t"),
    ("select * from s.t, t x where t.i = 7", "s.t(1)=7 t"),
    ("select * from only_there", "unknown_relation"),
    ("select * from s.only_there where i = 7", "s.only_there(1)=7"),
    ("select * from gone where last = 7", "gone(4)=7"),
    // Subqueries, unions, common table expressions.
    ("select * from t where i = (select max(id) from r where name = 'x')", "r(3)=x t"),
    ("select * from t where i = 7 and exists (select 1 from r where r.t_i = t.i)", "r t(1)=7"),
    ("select * from t where exists (select 1 from r where id = 8 and i = 7)", "r(1)=8 t"),
    ("select * from t where not exists (select 1 from r where r.id = 8)", "r(1)=8 t"),
    ("select (select n from r where id = 8) from t where t.i = 7", "r(1)=8 t(1)=7"),
    ("select * from (select * from t where i = 7) x where x.n = 'x'", "t(1)=7"),
    ("select * from (select * from t) x where x.i = 7", "t"),
    ("select * from t, lateral (select * from r where t_i = t.i and id = 8) x where i = 7", "r(1)=8 t"),
    ("select i from t where i = 7 union all select id from r where id = 8", "r(1)=8 t(1)=7"),
    ("select i from t where i = 7 except select i from t where i = 8", "t(1)=7 t(1)=8"),
    ("select * from t where i = 7 union all table t", "t"),
    ("table t", "t"),
    ("values (1), (2)", ""),
    ("with x as (select * from t where i = 7) select * from x where n = 'x'", "t(1)=7"),
    ("with t as (select * from r where id = 8) select * from t where i = 7", "r(1)=8"),
    (
        "with recursive x (i) as (select 1 union all select i + 1 from x, r where id = 8 and i < 9) select * from x",
        "r",
    ),
    ("select * from generate_series(1, 3) i where i = 2", ""),
    ("select * from t, generate_series(1, 3) where i = 7", "t"),
    // Views, inheritance, partitions.
    ("select * from v where i = 7", "t"),
    ("select * from vv where i = 7", "r t"),
    ("select * from parent where i = 7", "child(2)=7 other(2)=7 parent(2)=7"),
    ("select * from only parent where i = 7", "child(2)=7 other(2)=7 parent(2)=7"),
    ("select * from p where k = 7", "p(2)=7 p1(2)=7 p2(1)=7"),
    ("select * from p where k = 7 and i = 8", "p(1,2)=8,7 p1(1,2)=8,7 p2(1,3)=7,8"),
    ("select * from p2 where k = 7", "p2(1)=7"),
    // What is not kept.
    ("select random()", "volatile_function"),
    ("select clock_timestamp()", "volatile_function"),
    ("select gen_random_uuid()", "volatile_function"),
    ("select pg_sleep(0)", "volatile_function"),
    ("select nextval('ids')", "volatile_function"),
    ("select volatile_one(1)", "volatile_function"),
    ("select now()", "stable_function"),
    ("select statement_timestamp()", "stable_function"),
    ("select age(ts) from t", "stable_function"),
    ("select age(ts, ts) from t", "stable_function"),
    ("select stable_one(i) from t", "stable_function"),
    ("select reads_clock(i) from t", "stable_function"),
    ("select i @+@ 1 from t", "stable_function"),
    ("select fixed(i) from t where i = 7", "t(1)=7"),
    ("select to_char(tz, 'YYYY'), date_trunc('day', tz), extract(hour from tz) from t where i = 7", "t(1)=7"),
    (
        "select tz at time zone 'utc', to_tsvector(n), row_to_json(t), json_agg(j) over () from t where i = 7",
        "t(1)=7",
    ),
    ("select txid_current()", "volatile_function"),
    ("select pg_typeof(i) from t", "stable_function"),
    ("select has_table_privilege('t', 'select')", "stable_function"),
    ("select version()", "stable_function"),
    ("select current_date", "session_value"),
    ("select * from t where d = current_date", "session_value"),
    ("select current_user", "session_value"),
    ("select user from t", "session_value"),
    ("select localtimestamp", "session_value"),
    ("select t.n as user from t", "t"),
    ("select i as current_date from t", "t"),
    ("select * from t where d = 'today'", "clock_text"),
    ("select * from t where ts > 'NOW'", "clock_text"),
    ("select * from t where ts > timestamp 'yesterday 10:00'", "clock_text"),
    ("select * from t where ts > e'tomorr\\x6fw'", "clock_text"),
    ("select * from t where ts > 'to' \n 'day'", "clock_text"),
    ("select * from t where ts = any ('{now,epoch}')", "clock_text"),
    ("select * from t where n = 'nowhere'", "t(2)=nowhere"),
    ("select n::date from t", "clock_text"),
    ("select (n || '')::timestamptz from t", "clock_text"),
    ("select cast(n as timestamp) from t", "clock_text"),
    ("select date(n) from t", "clock_text"),
    ("select n::tstzrange from t", "clock_text"),
    ("select max(n)::date from t", "clock_text"),
    (
        "select ts::date, date(tz), max(ts)::date, date_trunc('day', ts)::date, '2024-01-01'::date from t where i = 7",
        "t(1)=7",
    ),
    ("select v.n::date from v", "clock_text"),
    ("select * from pg_class", "system_catalog"),
    ("select * from information_schema.tables", "system_catalog"),
    ("select * from pg_stat_activity", "system_catalog"),
    ("select 't'::regclass", "system_catalog"),
    ("select o::regrole from t", "system_catalog"),
    ("select * from named", "system_catalog"),
    ("select * from catalog", "stable_function"),
    ("select ctid from t", "system_column"),
    ("select xmin from t where i = 7", "system_column"),
    ("select t.tableoid from t", "system_column"),
    ("select * from un", "unlogged"),
    ("select * from over_u", "unlogged"),
    ("select * from far", "foreign_table"),
    ("select * from over_f", "foreign_table"),
    ("select * from secured", "rls"),
    ("select * from over_secured", "rls"),
    ("select * from m", "materialized_view"),
    ("select * from over_m", "materialized_view"),
    ("select * from clock", "stable_function"),
    ("select * from today", "stable_function"),
    ("select * from casts", "stable_function"),
    ("select * from sample", "stable_function"),
    ("select lo_get(1)", "large_object"),
    ("select loread(1, 2)", "large_object"),
    ("select * from t tablesample system (10)", "tablesample"),
    ("select * from t tablesample bernoulli (10) repeatable (1)", "tablesample"),
    ("select last_value from ids", "sequence"),
    ("select * from t where i = 7 for update", "for_update"),
    ("select * from t for key share", "for_update"),
    ("select * into made from t", "not_a_read"),
    ("with x as (delete from t returning *) select * from x", "not_a_read"),
    ("insert into t values (1)", "not_understood"),
    ("explain select 1", "not_understood"),
    ("explain analyze select 1", "not_understood"),
    ("declare c cursor for select 1", "not_understood"),
    ("fetch 1 from c", "not_understood"),
    ("copy (select 1) to stdout", "not_understood"),
    ("select 1; select 2", "not_understood"),
    ("select from where", "not_understood"),
    ("select (x).a from (select t as x from t) y", "not_understood"),
    ("select * from nowhere", "unknown_relation"),
    ("select current_setting('work_mem')", "stable_function"),
    ("select set_config('work_mem', '1MB', true)", "volatile_function"),
    ("select pg_advisory_lock(1)", "volatile_function"),
];

#[test]
fn what_may_be_kept_and_on_what_it_depends() {
    let cluster = Cluster::shared();
    let database = cluster.database();
    let mut server = cluster.superuser(&database.name);
    server.run(OBJECTS);
    let known = Known::read(&mut server);
    server.run("set search_path = public");
    let mut wrong = vec![];
    let mut seen = std::collections::BTreeSet::new();
    for (text, expected) in CASES {
        let said = match known.touched(text, &[], |_| {}) {
            Ok(touched) => shown(&known, &touched),
            Err(refusal) => {
                seen.insert(refusal);
                refusal.name().to_owned()
            }
        };
        if said != *expected {
            wrong.push(format!("{text}\n  expected {expected}\n  said     {said}"));
        }
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
    // These depend on the moment, not on the statement; `limits` has them.
    let others = ["temp_shadow", "too_many_tables", "definitions_unknown", "search_path"];
    let missing: Vec<_> =
        REFUSALS.iter().filter(|one| !seen.contains(one) && !others.contains(&one.name())).collect();
    assert!(missing.is_empty(), "no case has {missing:?}");
}

#[test]
fn every_refusal_is_in_the_guide() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/guide/cache-refusals.md"));
    let page = page.expect("there is a page");
    let told = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |")).map(|line| line.0);
    let names: Vec<&str> = REFUSALS.iter().map(|refusal| refusal.name()).collect();
    assert_eq!(told.collect::<Vec<_>>(), names);
}

#[test]
fn what_depends_on_the_session() {
    let cluster = Cluster::shared();
    let database = cluster.database();
    let mut server = cluster.superuser(&database.name);
    server.run(
        "create schema s; create table t (i int); create table s.t (j int, i int);
        create table many (i int) partition by list (i);
        do $$ begin for n in 1..80 loop
            execute format('create table many_%s partition of many for values in (%s)', n, n); end loop; end $$",
    );
    let mut known = Known::read(&mut server);
    let said = |known: &Known, text: &str, path: Option<&[&str]>, temporary: bool| {
        let shape = pgweir::sql::shape(text.as_bytes(), true);
        let facts = pgweir::sql::facts(text.as_bytes(), true, &shape);
        let around = pgweir::plan::cacheable::Around { temporary, ..known.around(path) };
        let given = pgweir::plan::cacheable::Given {
            text: text.as_bytes(),
            dialect: true.into(),
            literals: &shape.literals,
            parameters: &[],
            same_encoding: true,
        };
        let judged = pgweir::plan::cacheable::judge(text.as_bytes(), true.into(), &facts, &around);
        match judged.and_then(|dependencies| dependencies.touched(&given)) {
            Ok(touched) => shown(known, &touched),
            Err(refusal) => refusal.name().to_owned(),
        }
    };
    let text = "select * from t where i = 7";
    assert_eq!(said(&known, text, Some(&["public"]), false), "t(1)=7");
    assert_eq!(said(&known, text, Some(&["s"]), false), "s.t(2)=7");
    // Privileges decide which one it is, and they are not known.
    assert_eq!(said(&known, text, Some(&["s", "public"]), false), "s.t(2)=7 t(1)=7");
    assert_eq!(said(&known, text, None, false), "s.t(2)=7 t(1)=7");
    assert_eq!(said(&known, text, Some(&["none"]), false), "unknown_relation");
    assert_eq!(said(&known, text, Some(&["public", "pg_catalog"]), false), "search_path");
    assert_eq!(said(&known, text, Some(&["pg_catalog", "public"]), false), "t(1)=7");
    assert_eq!(said(&known, text, Some(&["public"]), true), "temp_shadow");
    assert_eq!(said(&known, "select * from many where i = 7", None, false), "too_many_tables");
    assert_eq!(said(&known, "select * from many_7 where i = 7", None, false), "many_7(1)=7");
    known.contents.grounds = None;
    assert_eq!(said(&known, text, None, false), "definitions_unknown");
}

#[test]
fn an_equality_of_somebodys_own_makes_no_keys() {
    let cluster = Cluster::shared();
    let database = cluster.database();
    let mut server = cluster.superuser(&database.name);
    server.run(
        "create table t (i int); create type pair as (a int, b int);
        create function same(text, int) returns bool language sql immutable as 'select true';
        create operator public.= (leftarg = text, rightarg = int, function = same)",
    );
    let known = Known::read(&mut server);
    let touched = known.touched("select * from t where i = 7", &[], |_| {}).expect("it may be kept");
    assert_eq!(shown(&known, &touched), "t");
}

#[test]
fn values_of_parameters() {
    let cluster = Cluster::shared();
    let database = cluster.database();
    let mut server = cluster.superuser(&database.name);
    server
        .run("create table t (i int, b bigint, s smallint, n text, f bool, u uuid, o oid, d date, y bytea)");
    let known = Known::read(&mut server);
    let given = |oid: u32, binary: bool, value: &'static [u8]| Parameter { oid, binary, value: Some(value) };
    let check = |text: &str, parameters: &[Parameter<'_>], expected: &str| {
        let said = match known.touched(text, parameters, |_| {}) {
            Ok(touched) => shown(&known, &touched),
            Err(refusal) => refusal.name().to_owned(),
        };
        assert_eq!(said, expected, "{text} {parameters:?}");
    };
    let i = "select * from t where i = $1";
    check(i, &[given(0, false, b"7")], "t(1)=7");
    check(i, &[given(23, false, b"007")], "t(1)=7");
    check(i, &[given(23, true, &[0, 0, 0, 7])], "t(1)=7");
    check(i, &[given(0, true, &[0xff, 0xff, 0xff, 0xff])], "t(1)=-1");
    check(i, &[given(20, true, &[0, 0, 0, 0, 0, 0, 0, 7])], "t(1)=7");
    check(i, &[given(21, true, &[0, 7])], "t(1)=7");
    check(i, &[given(23, true, &[0, 7])], "t");
    check(i, &[given(1700, false, b"7")], "t");
    check(i, &[given(701, true, &[0, 0, 0, 0, 0, 0, 0, 7])], "t");
    check(i, &[given(25, false, b"7")], "t");
    check(i, &[given(0, false, b"7.0")], "t");
    check(i, &[Parameter { oid: 23, binary: false, value: None }], "t");
    check(i, &[], "t");
    check("select * from t where i = $1 and b = $1", &[given(0, false, b"7")], "t");
    check("select * from t where i = $1 and b = $1", &[given(20, false, b"7")], "t(1,2)=7,7");
    check(
        "select * from t where i = $2 and s = $1",
        &[given(21, false, b"1"), given(0, false, b"2")],
        "t(1,3)=2,1",
    );
    check("select * from t where i in ($1, $2)", &[given(0, false, b"1"), given(0, false, b"2")], "t(1)=1|2");
    check("select * from t where i = any ($1)", &[given(1007, false, b"{1,2}")], "t");
    check("select * from t where i = $1::bigint", &[given(0, true, &[0, 0, 0, 0, 0, 0, 0, 7])], "t(1)=7");
    check("select * from t where i = $1::numeric", &[given(0, false, b"7")], "t");
    check("select * from t where n = $1", &[given(0, false, b"x")], "t(4)=x");
    check("select * from t where n = $1", &[given(25, true, b"x")], "t(4)=x");
    check("select * from t where n = $1", &[given(1042, false, b"x ")], "t");
    check("select * from t where f = $1", &[given(16, true, &[1])], "t(5)=t");
    check("select * from t where f = $1", &[given(16, true, &[7])], "t");
    check(
        "select * from t where u = $1",
        &[given(2950, true, &[0xab; 16])],
        "t(6)=abababab-abab-abab-abab-abababababab",
    );
    check("select * from t where o = $1", &[given(26, true, &[0xff, 0, 0, 0])], "t(7)=4278190080");
    check("select * from t where o = $1", &[given(23, true, &[0xff, 0, 0, 0])], "t");
    check("select * from t where d = $1", &[given(1082, true, &[0, 0, 0, 1])], "t");
    check("select * from t where d = $1", &[given(0, false, b"2024-01-31")], "t(8)=2024-01-31");
    check("select * from t where d > $1", &[given(0, false, b"today")], "clock_text");
    check("select * from t where y = $1", &[given(17, true, &[0xAB, 1])], "t(9)=\\xab01");
    check("select * from t where y = $1", &[given(17, false, b"\\xAB01")], "t(9)=\\xab01");
    check("select * from t where y = $1", &[given(17, false, b"ab")], "t");
    let many: Vec<String> = (1..=65).map(|n| n.to_string()).collect();
    check(
        &format!("select * from t where i in ({})", many[..64].join(", ")),
        &[],
        &format!("t(1)={}", {
            let mut sorted = many[..64].to_vec();
            sorted.sort();
            sorted.join("|")
        }),
    );
    check(&format!("select * from t where i in ({})", many.join(", ")), &[], "t");
}
