//! Facts, clauses and predicates of statements, as data.

use std::time::{Duration, Instant};

use super::*;
use crate::sql::{Fingerprint, shape};

fn found(sql: &str) -> Facts {
    facts(sql.as_bytes(), true, &shape(sql.as_bytes(), true))
}

/// The facts in one line: what is written is marked with `!`.
fn line(facts: &Facts) -> String {
    if !facts.understood {
        return "not understood".to_owned();
    }
    let tables = facts.tables.iter().map(|table| {
        let mark = if table.access == Access::Write { "!" } else { "" };
        table.name.to_string() + mark
    });
    let functions = facts.functions.iter().map(|function| format!("{function}()"));
    let flags = [
        (facts.filtered, "filtered"),
        (facts.limited, "limited"),
        (facts.ordered, "ordered"),
        (facts.cross_joined, "crossed"),
        (facts.locks, "locks"),
    ];
    let flags = flags.iter().filter(|flag| flag.0).map(|flag| format!("+{}", flag.1));
    tables.chain(functions).chain(flags).collect::<Vec<_>>().join(" ")
}

fn check(sql: &str, expected: &str) {
    assert_eq!(line(&found(sql)), expected, "{sql}");
}

/// Predicates, `;` between them; `*` behind what every row satisfies.
fn check_predicates(sql: &str, expected: &str) {
    let shape = shape(sql.as_bytes(), true);
    let facts = facts(sql.as_bytes(), true, &shape);
    assert!(facts.understood, "{sql}");
    let one = |one: &Predicate| {
        let owner = |table: &Option<Name>| table.as_ref().map_or("?".to_owned(), Name::to_string);
        let operand = match &one.operand.in_text(&shape) {
            Operand::Literal(place) => format!("#{place}"),
            Operand::Cast(place) => format!("#{place}::"),
            Operand::Parameter(number) => format!("${number}"),
            Operand::Column(table, column) => format!("{}.{column}", owner(table)),
            Operand::Other => "_".to_owned(),
        };
        let required = if one.required { "*" } else { "" };
        format!("{}.{} {:?} {operand}{required}", owner(&one.table), one.column, one.comparison)
    };
    assert_eq!(facts.predicates.iter().map(one).collect::<Vec<_>>().join("; "), expected, "{sql}");
}

#[test]
fn tables() {
    check("select 1", "");
    check("select * from t", "t");
    check("select * from T as a, \"T\" b, s.t c, \"S\".\"x\"\"y\" d", "T t S.x\"y s.t +crossed");
    check("select (select max(i) from u) from t where i in (select i from v)", "t u v max() +filtered");
    check("table t", "t");
    check("(table s.t)", "s.t");
    check("explain table t", "t");
    check("select * from only t, t a", "t +crossed");
    check("select * from db.s.t", "s.t");
    check("select * from lateral (select * from t) a", "t");
    check("insert into t (i) select i from u", "t! u");
    check("insert into t select * from t", "t!");
    check("update t set i = u.i from u where u.i = t.i", "t! u +filtered");
    check("delete from t a using u where a.i = u.i", "t! u +filtered");
    check("delete from only t", "t!");
    check("merge into t using u on t.i = u.i when matched then delete", "t! u");
    check("copy t (i) from stdin", "t!");
    check("copy t to stdout", "t");
    check("copy (select * from t where i = 1) to stdout", "t +filtered");
    check("truncate only t, s.u restart identity cascade", "t! s.u!");
    check("explain analyze delete from t where i = 1", "t! +filtered");
    check("create table n as select * from t", "n! t");
    check("select i into temp n from t", "n! t");
    check("create materialized view n as select * from t", "n! t");
    check("drop table if exists t, s.u cascade", "t! s.u!");
    check("call s.p(f(1))", "f() s.p()");
}

#[test]
fn names_are_cut() {
    let long = "x".repeat(70);
    check(&format!("select * from {long}"), &long[..63]);
    // 31 of 2 bytes each, and no half of another one.
    let wide = "ä".repeat(40);
    check(&format!("select * from \"a{wide}\""), &format!("a{}", &wide[..62]));
    check(&format!("select * from \"{wide}\""), &wide[..62]);
}

#[test]
fn common_table_expressions() {
    check("with a as (select * from t) select * from a", "t");
    check("with a as (select * from t) select * from s.a", "t s.a");
    // It does not see itself, nor those behind it.
    check("with a as (select * from a) select * from a", "a");
    check("with a as (select * from b), b as (select 1) select * from a", "b");
    check("with recursive a as (select * from b), b as (select * from a) select * from a", "");
    check("with recursive a(i) as (select 1 union all select i + 1 from a where i < 9) select * from a", "");
    // Inside, and no longer behind it.
    check("select * from (with a as (select 1) select * from a) x, a", "a +crossed");
    check(
        "with a as (with b as (select * from t) select * from b) select * from a, b where a.i = b.i",
        "b t +filtered",
    );
    check("with \"A\" as (select 1) select * from \"A\", a where a.i = 1", "a +filtered +crossed");
    check("with a as (select 1) select (select count(*) from a)", "count()");
    // What is written is never an expression.
    check("with t as (select 1) insert into t select * from t", "t!");
    check("with t as (select 1) update t set i = 1", "t!");
    check("with a as (delete from t where i = 1 returning *) insert into u select * from a", "t! u!");
    check("with a as (insert into t values (1) returning i) select * from a", "t!");
    check("with a as materialized (table t) table a", "t");
}

#[test]
fn functions() {
    check("select f(g(1)), s.h(a => 1), \"F\"()", "F() f() g() s.h()");
    check("select * from generate_series(1, 2) a, unnest(array[f()])", "f() generate_series() unnest()");
    check("select coalesce(a, 1), nullif(b, 2), current_date, greatest(1, 2) from t", "t");
    check(
        "select extract(year from a), a at time zone 'x', trim(a), substring(a from 1), substr(a, 1), substring(a, 1) from t",
        "t substr() substring() pg_catalog.btrim() pg_catalog.extract() pg_catalog.substring() pg_catalog.timezone()",
    );
    check(
        "select sum(i) filter (where f()) over (partition by g() order by h()) from t",
        "t f() g() h() sum()",
    );
    check(
        "select left(a, 1), ceil(1.5) from t order by lower(a) limit f()",
        "t ceil() f() left() lower() +limited +ordered",
    );
    check("select rollup(1), i from t group by rollup(i, f(i))", "t f() rollup()");
    check("select 1 where exists (select f())", "f() +filtered");
    check("select format('%s', variadic array[1])", "format()");
}

#[test]
fn clauses() {
    check("select * from t where i = 1 order by i limit 3", "t +filtered +limited +ordered");
    check("select * from t fetch first 3 rows only", "t +limited");
    check("select * from t limit all offset 3", "t");
    check("select * from t limit null", "t");
    // Not of the outermost level.
    check("select * from (select * from t where i = 1 order by i limit 3) a", "t");
    check("insert into t select * from u where i = 1 order by i limit 3", "t! u");
    check("select * from t where i = 1 union select * from t where i = 2", "t");
    check("select * from t union select * from t order by 1 limit 2", "t +limited +ordered");
    check("(select * from t where i = 1 limit 3)", "t +filtered +limited");
    check("with a as (select 1) update t set i = 2 where i = 1", "t! +filtered");
    check("select * from t having count(*) > 1", "t count()");
    for lock in ["for update", "for no key update of t nowait", "for share skip locked", "for key share"] {
        check(&format!("select * from t {lock}"), "t +locks");
        check(&format!("select * from u where i in (select i from t {lock})"), "t u +filtered +locks");
    }
}

#[test]
fn cross_joins() {
    let check = |from: &str, crossed: bool| {
        let sql = format!("select * from {from}");
        let facts = found(&sql);
        assert_eq!((facts.understood, facts.cross_joined), (true, crossed), "{sql}");
    };
    check("t", false);
    check("t, u", true);
    check("t cross join u", true);
    check("t join u on true", true);
    check("t join u on 1 = 1", true);
    check("t, u where t.i = u.i", false);
    check("t, u where t.i = 1 and u.i = 1", true);
    check("t, u, v where t.i = u.i", true);
    check("t, u, v where t.i = u.i and v.i = u.i", false);
    check("t, u, v where t.i + u.i = v.i", false);
    check("t, u where t.i = u.i or t.j = u.j", false);
    check("t join u using (i)", false);
    check("t natural join u", false);
    check("t left join u on t.i = u.i, v", true);
    // Whose columns these are is not known.
    check("t, u where i = j", false);
    check("t, u where t.i = j", false);
    check("t, u where i = 1", true);
    check("t, u where exists (select 1 from v where v.a = t.i and v.b = u.i)", false);
    check("t, lateral (select * from u where u.i = t.i) x", false);
    check("t, (select * from u) x", true);
    check("t, generate_series(1, 3) x", false);
    check("v where i = (select count(*) from t, u)", true);
    assert!(found("update t set i = 1 from u").cross_joined);
    assert!(!found("update t set i = 1 from u where t.i = u.i").cross_joined);
    assert!(found("delete from t using u").cross_joined);
}

#[test]
fn predicates() {
    let check = check_predicates;
    check("select * from t where i = 1 and t.n = $2", "t.i Equal #0*; t.n Equal $2*");
    check("select 7 from t where -1 = i and 2 > j", "t.i Equal #1*; t.j Range #2*");
    check(
        "select * from t a where a.i = 1 or (a.j = 2 and not a.k = 3)",
        "t.i Equal #0; t.j Equal #1; t.k Equal #2",
    );
    check("select * from t where (i = 1 and (j = 2))", "t.i Equal #0*; t.j Equal #1*");
    check("select * from t where i in (1, 2, 3)", "t.i In #0*");
    check("select * from t where i in ($1, $2)", "t.i In #0*");
    check("select * from t where i in ($1)", "t.i In $1*");
    check("select * from t where i in (1, f(2))", "t.i In _*");
    check("select * from t where i = any ($1) and j = any (array[1, 2])", "t.i In $1*; t.j In #1*");
    check("select * from t where i not in (1) and n not like 'x'", "t.i Other #0*; t.n Other #1*");
    check("select * from t where i between 1 and $1", "t.i Range #0*; t.i Range $1*");
    check(
        "select * from t where n like 'x%' and n ~* 'y' and n similar to 'z'",
        "t.n Pattern #0*; t.n Pattern #1*; t.n Pattern #2*",
    );
    check(
        "select * from t where i is null and j is not null and k is not distinct from 1",
        "t.i Null _*; t.j Null _*; t.k Equal #0*",
    );
    check(
        "select * from t where active and not gone and i <> 1",
        "t.active Other _*; t.gone Other _; t.i Other #0*",
    );
    check("select * from t where lower(n) = 'x'", "t.n Other _*");
    check("select * from t where (i, j) = (1, $1)", "t.i Equal #0*; t.j Equal $1*");
    check(
        "select * from t where i = '5'::int and d > date '2020-01-01' and e < - $1",
        "t.i Equal #0::*; t.d Range #1::*; t.e Range _*",
    );
    check("select * from t where i = - 5 and j = -(5)", "t.i Equal #0*; t.j Equal _*");
}

#[test]
fn operands_that_are_cast() {
    let check = check_predicates;
    check("select * from t where i = $1::integer and n = 'x'::varchar(3)", "t.i Equal #0::*; t.n Equal _*");
    check("select * from t where n = 'x'::char and m = cast('x' as text)", "t.n Equal _*; t.m Equal #1::*");
    check("select * from t where i = '1.5'::numeric::int", "t.i Equal _*");
    check("select * from t where i = any ($1::int[])", "t.i In #0::*");
    check(
        "select * from t where d = timestamp(0) '2020-01-01' and e = interval '1' day",
        "t.d Equal _*; t.e Equal _*",
    );
}

#[test]
fn predicates_of_several_tables() {
    let check = check_predicates;
    check(
        "select * from t a join s.u on a.i = u.i and s.u.j = 1",
        "t.i Equal s.u.i*; s.u.i Equal t.i*; s.u.j Equal #0*",
    );
    check(
        "select * from t left join u on t.i = u.i where t.j = 1 and k = 2",
        "t.i Equal u.i; u.i Equal t.i; t.j Equal #0*; ?.k Equal #1*",
    );
    // Rows of the last one come without a match too.
    check("select * from t join u on t.i = 1 right join v on true", "t.i Equal #0");
    check("select * from t join u using (i)", "t.i Equal u.i*; u.i Equal t.i*");
    check(
        "select * from t where exists (select 1 from u where u.i = t.i and j = 1)",
        "u.i Equal t.i; t.i Equal u.i; ?.j Equal #1",
    );
    check("select * from (select * from t where i = 1) a where a.j = 2", "t.i Equal #0; ?.j Equal #1*");
    check(
        "with a as (select * from t where i = 1) select * from a where j = 2",
        "t.i Equal #0; ?.j Equal #1*",
    );
    check("select * from t group by i having i = 1", "t.i Equal #0");
    check("update t set i = 2 where i = 1", "t.i Equal #1*");
    check("update t a set i = 2 from u where a.i = u.i", "t.i Equal u.i*; u.i Equal t.i*");
    check(
        "delete from t using u where t.i = u.i and t.j = $1",
        "t.i Equal u.i*; u.i Equal t.i*; t.j Equal $1*",
    );
    check("insert into t select * from u where i = 1", "u.i Equal #0");
    check("select * from t where i = 1 union select * from t where i = 2", "t.i Equal #0; t.i Equal #1");
    check(
        "merge into t using u on t.i = u.i when matched and u.j = 1 then delete",
        "t.i Equal u.i; u.i Equal t.i; u.j Equal #0",
    );
    check(
        "insert into t values (1) on conflict (i) do update set j = 2 where t.i = excluded.i",
        "t.i Equal ?.i; ?.i Equal t.i",
    );
    check("select * from t where i in (select i from u where j = 1)", "t.i In _*; ?.j Equal #0");
    // A neighbour is not seen, but by LATERAL.
    check("select * from t a, (select * from u where u.i = a.i) b", "u.i Equal ?.i; ?.i Equal u.i");
    check("select * from t a, lateral (select * from u where u.i = a.i) b", "u.i Equal t.i; t.i Equal u.i");
}

#[test]
fn classes() {
    let check = |sql: &str, class: Class| assert_eq!(found(sql).class, class, "{sql}");
    check("select 1", Class::Select);
    check("((values (1)))", Class::Select);
    check("with a as (select 1) (select 2)", Class::Select);
    check("with a as (delete from t) ((select 2) union select 3)", Class::Select);
    check("with delete as (select 1) insert into t select 1", Class::Insert);
    check(
        "with values (i) as not materialized (select 1), b as (select 1) update t set i = 1",
        Class::Update,
    );
    check("with recursive a as (select 1) search depth first by i set delete delete from t", Class::Delete);
    check("with a as (select 1) merge into t using a on true when matched then delete", Class::Merge);
    check("with a as (select 1", Class::Unknown);
    check("truncate t", Class::Truncate);
    check("copy t from stdin", Class::Copy);
    check("comment on table t is 'x'", Class::Define);
    check("alter table t add i int", Class::Define);
    check("call f()", Class::Call);
    check("do 'begin end'", Class::Call);
    check("end", Class::Transaction);
    check("rollback prepared 'x'", Class::Transaction);
    check("discard all", Class::Session);
    check("declare c cursor for select 1", Class::Session);
    check("explain select 1", Class::Explain);
    check("vacuum t", Class::Utility);
    check("", Class::Several);
    check("select 1; select 2", Class::Several);
    check("selec 1", Class::Unknown);
}

#[test]
fn not_understood() {
    let latin = b"select * from t\xe4";
    assert!(!facts(latin, true, &shape(latin, true)).understood);
    let wide = Dialect::new(true, b"sjis");
    assert!(!facts(b"select 1", wide, &shape(b"select 1", wide)).understood);
    for sql in [
        "select",
        "select * from u&\"t\"",
        "select 'x",
        "select * from xmltable('x' passing y columns z int)",
        "select top 3 * from t",
        "update t join u on true set i = 1",
        "delete t from t",
        "select * from t qualify 1",
        "insert overwrite t values (1)",
        "alter table t add i int",
        "select * from t left tablesample",
        "select 1 {",
        "select * from only (t)",
    ] {
        check(sql, "not understood");
    }
    let most = (LONGEST - "select 1".len()) / ", 1".len();
    let of = |more: usize| found(&format!("select 1{}", ", 1".repeat(more))).understood;
    assert!(of(most) && !of(most + 1));
}

#[test]
fn literals_are_found_in_any_text() {
    check_predicates(
        "/* 'ä' */ select 'ö', $$x$$ from t -- 1\nwhere n = 'ü' and e = e'\\'' ; ",
        "t.n Equal #2*; t.e Equal #3*",
    );
    let loose = b"select * from t where n = '\\'' and i = 1";
    let facts = facts(loose, false, &shape(loose, false));
    assert_eq!(facts.predicates[1].operand, Operand::Literal(1));
}

/// What might take long, or much of the stack. In a build without optimization a level takes some ten times of what it does in one with it.
#[test]
fn nothing_takes_long() {
    let nested = |open: &str, close: &str| format!("select {}1{}", open.repeat(40), close.repeat(40));
    let from = |open: &str, close: &str| format!("select * from {}t{}", open.repeat(40), close.repeat(40));
    let chain = |first: &str, more: &str| {
        let most = LONGEST / more.len() - 20;
        [35, 90, 390, 2000, most].map(|count| format!("select 1 {first}{}", more.repeat(count.min(most))))
    };
    let mut texts = vec![];
    for (open, close) in [
        ("(", ")"),
        ("(", ").a"),
        ("f(", ")"),
        ("f(a => ", ")"),
        ("(select ", ")"),
        ("1 in (", ")"),
        ("array[", "]"),
        ("[", "]"),
        ("a[", "]"),
        ("cast(", " as int)"),
        ("case when ", " then 1 end"),
        ("exists (select ", ")"),
        ("position(", " in 1)"),
        ("trim(", ")"),
        ("overlay(", " placing 1 from 1)"),
        ("(1, ", ")"),
        ("1 = any (", ")"),
        ("f() filter (where ", ")"),
        ("f() over (order by ", ")"),
        ("(a, b) -> (", ")"),
        ("array<", ">"),
        ("- (", ")"),
        ("not ", ""),
    ] {
        texts.push(nested(open, close));
    }
    for (open, close) in [
        ("(", ")"),
        ("(", ") x"),
        ("(select * from ", ")"),
        ("(select * from ", ") x"),
        ("lateral (", ")"),
        ("(a join ", " on true)"),
        ("(t, ", ")"),
        ("((select 1) union ", ")"),
        ("a join ", " on true"),
    ] {
        texts.push(from(open, close));
    }
    for (first, more) in [
        ("", "+1"),
        ("", "::int"),
        ("", " is null"),
        ("", " collate a"),
        ("", " at time zone 'a'"),
        ("", " operator(a.+) 1"),
        ("", " like 1"),
        ("", " similar to 1 escape 1"),
        ("", " between 1 and 1"),
        ("where a = 1", " or a = 1"),
        ("where a = 1", " and a = 1"),
        ("", " union select 1"),
        ("", " union (select 1, 2)"),
        ("", "[1]"),
        ("", ".a"),
        ("", ",1"),
        ("from t", ",t"),
        ("from t", " join t on true"),
        ("from t", " join t"),
        ("from t", " natural join t"),
        ("from t", " cross join t"),
        ("where ", "not "),
        ("+ ", "- "),
        (", ", "interval "),
        (", ", "date "),
        (", ", "prior "),
        ("::", "setof "),
        ("::int", " array"),
        ("::int", "[]"),
        ("from t", " tablesample f(1)"),
        ("from t", " as t"),
        ("", " -> 1"),
        ("where 1 in (select 1)", " or 1 in (select 1)"),
    ] {
        texts.extend(chain(first, more));
    }
    for more in [
        "explain ",
        "prepare a as ",
        "begin ",
        "with a as (",
        "create table a as ",
        "declare a cursor for ",
        "grant select on ",
        "(",
    ] {
        texts.extend([20, 39, 1000].map(|count| more.repeat(count)));
        texts.extend([20, 39, 1000].map(|count| more.repeat(count) + "select 1"));
    }
    let walk = move || {
        for text in texts {
            let started = Instant::now();
            found(&text);
            let took = started.elapsed();
            assert!(
                took < Duration::from_millis(1_500),
                "{took:?} for {} bytes of {}",
                text.len(),
                &text[..60]
            );
        }
    };
    // As much as a thread has by default.
    std::thread::Builder::new().stack_size(2 << 20).spawn(walk).expect("a thread").join().expect("no panic");
}

#[test]
fn facts_are_of_the_shape() {
    let one = "select * from t where i in (1, 2) and n = 'x'";
    let other = "SELECT *  FROM t WHERE i IN (5, 6, 7)\n AND n = $$y$$";
    let names = |sql: &str| -> Fingerprint { shape(sql.as_bytes(), true).fingerprint };
    assert_eq!(names(one), names(other));
    assert_eq!(found(one), found(other));
    let bound = "select * from t where i in ($2, $1) and n = $3";
    assert_eq!(names(one), names(bound));
    assert_eq!(found(one), found(bound));
}

/// Conjuncts of each level, `;` between levels: for which variables, the column, the place.
fn check_conjuncts(sql: &str, expected: &str) {
    let facts = found(sql);
    assert!(facts.understood, "{sql}");
    let one = |one: &Conjunct| {
        let table = one.column.table.as_deref().map(|table| format!("{table}.")).unwrap_or_default();
        let cast = one.constant.cast.as_deref().map(|cast| format!("::{cast}")).unwrap_or_default();
        let form = match one.constant.form {
            Form::One => "",
            Form::List => "*",
            Form::Array => "[]",
        };
        let (from, to) = (one.of.start, one.of.end);
        format!("{from}..{to} {table}{}=#{}{form}{cast}", one.column.name, one.constant.place)
    };
    let level = |level: &Level| level.conjuncts.iter().map(one).collect::<Vec<_>>().join(", ");
    assert_eq!(facts.levels.iter().map(level).collect::<Vec<_>>().join("; "), expected, "{sql}");
}

#[test]
fn conjuncts() {
    check_conjuncts("select * from t where i = 1", "0..1 i=#0");
    check_conjuncts(
        "select * from t where 1 = t.i and (n = 'x' and (j) = $1)",
        "0..1 t.i=#0, 0..1 n=#1, 0..1 j=#2",
    );
    check_conjuncts("select * from t where i = 1 or n = 2", "");
    check_conjuncts("select * from t where not i = 1", "");
    check_conjuncts("select * from t where i = 1 is true", "");
    check_conjuncts("select * from t where i in (1, 2) and j = any ($1)", "0..1 i=#0*, 0..1 j=#1[]");
    check_conjuncts("select * from t where i in (1) and j = any (array[1, 2])", "0..1 i=#0*, 0..1 j=#1*");
    check_conjuncts("select * from t where (i, j) = (1, 2)", "0..1 i=#0, 0..1 j=#1");
    check_conjuncts("select * from t where i = $1::int and j = - '7'", "0..1 i=#0::int");
    check_conjuncts("select * from t where f(i) = 1 and i + 1 = 2 and i::text = 'x' and i = null", "");
    check_conjuncts("select * from t group by i having i = 1", "");
    check_conjuncts("select * from a, b where a.i = 1", "0..2 a.i=#0");
    check_conjuncts("select * from a join b on a.i = 1 left join c on c.i = 2", "0..2 a.i=#0, 2..3 c.i=#1");
    check_conjuncts(
        "select * from a right join b on a.i = 1 full join c on a.i = 2",
        "0..1 a.i=#0, 0..0 a.i=#1",
    );
    check_conjuncts("select * from a left join (b join c on b.i = 1) on c.i = 2", "1..3 b.i=#0, 1..3 c.i=#1");
    check_conjuncts("select * from z, a join b on a.i = 1", "1..3 a.i=#0");
    check_conjuncts("select * from t where i = (select j from u where k = 1)", "0..1 k=#0; ");
    check_conjuncts("update t set i = 2 where i = 1", "0..1 i=#1");
}

/// Equalities of each level, `;` between levels: for which variables, of which it sees, the columns.
fn check_equalities(sql: &str, expected: &str) {
    let facts = found(sql);
    assert!(facts.understood, "{sql}");
    let column = |one: &ColumnName| match one.table.as_deref() {
        Some(table) => format!("{table}.{}", one.name),
        None => one.name.to_string(),
    };
    let one = |one: &Equality| {
        let (of, sees) = (&one.of, &one.sees);
        let [left, right] = &one.columns;
        format!("{}..{} of {}..{} {}={}", of.start, of.end, sees.start, sees.end, column(left), column(right))
    };
    let level = |level: &Level| level.equalities.iter().map(one).collect::<Vec<_>>().join(", ");
    assert_eq!(facts.levels.iter().map(level).collect::<Vec<_>>().join("; "), expected, "{sql}");
}

#[test]
fn columns_that_are_equal() {
    check_equalities(
        "select * from a, b where a.i = b.i and (j, a.k) = (k, 1)",
        "0..2 of 0..2 a.i=b.i, 0..2 of 0..2 j=k",
    );
    check_equalities("select * from a, b where a.i = b.i or a.j = b.j", "");
    check_equalities("select * from a, b where not (a.i = b.i) and a.i = b.i + 1 and a.i::text = b.j", "");
    check_equalities("select * from z, a left join b on a.i = b.i", "2..3 of 1..3 a.i=b.i");
    check_equalities("select * from a right join b on a.i = b.i", "0..1 of 0..2 a.i=b.i");
    check_equalities("select * from a full join b on a.i = b.i", "0..0 of 0..2 a.i=b.i");
    check_equalities(
        "select * from a left join (b join c on b.i = c.i) on a.i = b.i",
        "1..3 of 1..3 b.i=c.i, 1..3 of 0..3 a.i=b.i",
    );
    check_equalities(
        "select * from a as x join s.b using (i, j)",
        "0..2 of 0..2 x.i=b.i, 0..2 of 0..2 x.j=b.j",
    );
    check_equalities("select * from a left join b using (i) join c using (i)", "1..2 of 0..2 a.i=b.i");
    check_equalities("select * from a natural join b", "");
}

#[test]
fn changes_are_told_if_there_is_one() {
    let check = |sql: &str, expected: Option<(&str, &[&str])>| {
        let facts = found(sql);
        assert!(facts.understood, "{sql}");
        let told = facts.change.as_ref().map(|change| {
            let kind = match &change.kind {
                ChangeKind::Insert(values) => {
                    let place = |one: &Option<Constant>| {
                        one.as_ref().map_or("_".to_owned(), |one| one.place.to_string())
                    };
                    format!("insert {}", values.iter().map(place).collect::<Vec<_>>().join(","))
                }
                ChangeKind::InsertOther { updates } => format!("insert, updates: {updates}"),
                ChangeKind::Update(level) => format!("update {level}"),
                ChangeKind::Delete(level) => format!("delete {level}"),
            };
            (kind, change.columns.iter().map(|name| &**name).collect::<Vec<_>>())
        });
        assert_eq!(
            told.as_ref().map(|(kind, columns)| (kind.as_str(), columns.as_slice())),
            expected,
            "{sql}"
        );
    };
    check("select 1", None);
    check("insert into t (a, b) values (1, f(2))", Some(("insert 0,_", &["a", "b"])));
    check("insert into t values (1, 2), (3, 4)", Some(("insert 0,1", &[])));
    check("insert into t values (1, 2), (3, default)", Some(("insert, updates: false", &[])));
    check("insert into t select 1", Some(("insert, updates: false", &[])));
    check("insert into t values (1) on conflict do nothing", Some(("insert, updates: false", &[])));
    check(
        "insert into t values (1) on conflict (a) do update set b = 1",
        Some(("insert, updates: true", &[])),
    );
    check("update t set a = 1, (b, c) = (2, 3) where i = (select 1)", Some(("update 1", &["a", "b", "c"])));
    check("delete from t where i = 1", Some(("delete 0", &[])));
    check("with x as (delete from t returning 1) select * from x", Some(("delete 0", &[])));
    check("with x as (delete from t returning 1) delete from u", None);
    check("merge into t using u on t.i = u.i when matched then delete", None);
    assert_eq!(found("merge into t using u on t.i = u.i when matched then delete").changes, 1);
}

#[test]
fn casts_that_may_read_a_clock() {
    let check = |sql: &str, expected: &str| {
        let facts = found(sql);
        assert!(facts.understood, "{sql}");
        let one = |cast: &Cast| {
            cast.column.as_ref().map_or("?".to_owned(), |(table, column)| format!("{table}.{column}"))
        };
        assert_eq!(facts.casts.iter().map(one).collect::<Vec<_>>().join(" "), expected, "{sql}");
    };
    check("select i::int, n::text, 'x'::date, $1::timestamp, date 'x', null::date from t", "");
    check("select n::date, t.n::timestamptz, cast(n as time) from t", "t.n t.n t.n");
    check("select (n || 'x')::date, f(n)::date, date(n) from t", "? ? t.n");
    check("select n::date from t, u", "?");
    check("select max(n)::date, coalesce(n, m)::date, date_trunc('day', n)::date from t", "t.n t.n t.m");
    check("select n::mood, n::int[], n::date[] from t", "t.n t.n");
    check("select ('a' || 'b')::text::date from t", "?");
    check("select x.n::date from t as x (n)", "?");
}

#[test]
fn results_made_row_by_row() {
    let check = |sql: &str, expected: bool| {
        let facts = found(sql);
        assert!(facts.understood, "{sql}");
        assert_eq!(facts.row_by_row, expected, "{sql}");
    };
    for sql in [
        "select * from t where a = 1",
        "table t",
        "select id, lower(b) from s.t as x where a = 1 and (b = 2 or c) order by b, id limit 10",
        "select distinct id from t where a = 1 order by id fetch first 5 rows with ties",
        "select id, unnest(tags) from t where a = 1",
        "select id, case when b then 1 else (c + 1) end from only t where a in (1, 2) limit $1",
    ] {
        check(sql, true);
    }
    for sql in [
        "select id from t, u where a = 1",
        "select id from t join u using (id) where a = 1",
        "select id from (select id from t where a = 1) as x",
        "select id, (select max(x) from u) from t where a = 1",
        "select id from t where a = 1 and exists (select from u)",
        "select id from t where a = 1 offset 1",
        "(select id from t where a = 1) offset 1",
        "(select id from t where a = 1)",
        "select id from t where a = 1 union all select id from t where a = 2",
        "select id from t where a = 1 group by id",
        "select id from t where a = 1 group by grouping sets ((id), ())",
        "select max(id) from t where a = 1 having count(*) > 1",
        "select distinct on (b) id from t where a = 1",
        "select id, row_number() over () from t where a = 1",
        "select id, sum(b) over w from t where a = 1 window w as (order by b)",
        "select id from t where a = 1 order by count(*) over (partition by b)",
        "with t as (select 1 as id) select id from t where id = 1",
        "select id from generate_series(1, 3) as id where id = 1",
        "values (1)",
        "select 1",
    ] {
        check(sql, false);
    }
}

#[test]
fn the_tree_has_what_strings_say_and_is_of_what_is_understood() {
    let printed = |text: &str| crate::sql::tree(text.as_bytes(), true).map(|tree| tree.to_string());
    let text = "select A from \"T\" where b = 'x' and c = e'\\x41' and d = $$y$$ and e = $1;";
    let expected = "SELECT a FROM \"T\" WHERE b = 'x' AND c = 'A' AND d = 'y' AND e = $1";
    assert_eq!(printed(text).as_deref(), Some(expected));
    for none in ["", "select 1; select 2", "select from where", "select top 3 * from t", "select x'1f'"] {
        assert_eq!(printed(none), None, "{none}");
    }
}
