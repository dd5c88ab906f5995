//! Whatever a statement is, and whatever the schema: nothing panics, and all is done in bounded time.

use std::path::Path;
use std::time::{Duration, Instant};

use super::candidates::{Uses, looked_at};
use super::findings::{findings, of_schema, of_workload};
use super::scan::tests::{observed, sample, shop};
use super::{Observed, Schema, Workload};

/// The longest that one statement may take, in a build for tests, on a machine that has other things to do.
const LONGEST: Duration = Duration::from_secs(20);

/// xorshift64*: enough to be arbitrary, and the same everywhere.
struct Noise(u64);

impl Noise {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

/// Asks everything of a statement.
fn ask(one: &Observed, schema: &Schema) -> usize {
    let begun = Instant::now();
    let (candidates, rejected) = looked_at(one, schema, &[], &Default::default());
    let uses = Uses::of(one, schema);
    for candidate in &candidates {
        let definition = &candidate.definition;
        assert!(!definition.keys.is_empty(), "{}", one.text);
        assert!(uses.has(definition, schema), "{}\n{}", one.text, definition.body());
        let table = schema.table(definition.table).expect("its table is there");
        let index = format!("CREATE INDEX ON {} {}", super::index::quoted(&table.name), definition.body());
        assert!(!index.contains("$1") && !candidate.why.is_empty(), "{index}");
    }
    let fixes = findings(one, schema, &[]);
    assert!(fixes.iter().all(|fix| fix.saves.is_none_or(|saves| saves.is_finite() && saves >= 0.0)));
    assert!(begun.elapsed() < LONGEST, "{:?}: {:.200}", begun.elapsed(), one.text);
    candidates.len() + rejected.len() + fixes.len()
}

fn plain(text: &str) -> Observed {
    observed(text, vec![sample(text, &["5", "abc%", "{1,2}", "2024-05-05", "x"])])
}

const COLUMNS: &[&str] = &[
    "id",
    "account_id",
    "o.kind",
    "status",
    "code",
    "paid",
    "created_at",
    "placed",
    "deleted_at",
    "total",
    "note",
    "data",
    "tags",
    "doc",
    "token",
    "a.email",
    "a.name",
    "a.plan_id",
    "nowhere",
];
const VALUES: &[&str] = &[
    "5",
    "'x'",
    "$1",
    "$2",
    "null",
    "5.0",
    "'2024-05-05'",
    "now() - interval '7 days'",
    "'{a,b}'",
    "array['a']",
    "true",
    "'%abc%'",
    "a.id",
    "(select max(id) from orders)",
    "-1",
    "current_date",
    "'{\"a\": 1}'",
];
const OPERATORS: &[&str] = &[
    "=",
    "<",
    ">=",
    "<>",
    "like",
    "ilike",
    "@>",
    "?",
    "&&",
    "@@",
    "~",
    "%",
    "is not distinct from",
    "->> 'k' =",
    "+ 1 =",
];
const CALLS: &[&str] = &[
    "lower(#)",
    "#::date",
    "#::text",
    "date_trunc('day', #)",
    "coalesce(#, 'x')",
    "(# ->> 'k')",
    "abs(#)",
    "#",
];
const TAILS: &[&str] = &[
    "",
    "order by 1",
    "order by created_at desc nulls last limit 10",
    "limit 5 offset 5000",
    "group by 1",
    "order by random() limit 1",
    "for update",
    "order by o.kind, a.name",
];
const HEADS: &[&str] = &[
    "select o.id from orders o join accounts a on a.id = o.account_id where #",
    "select * from orders o, accounts a where #",
    "select count(*) from orders o left join accounts a using (id) where #",
    "select distinct on (kind) kind from orders o where #",
    "update orders o set note = 'x' from accounts a where #",
    "delete from orders o using accounts a where #",
    "with x as (select * from orders o where #) select * from x where kind = 3",
    "select 1 from accounts a where a.id not in (select account_id from orders o where #)",
    "select 1 from accounts a where exists (select 1 from orders o where o.account_id = a.id and #)",
    "select x.kind from (select o.kind, o.note || o.code as t from orders o where #) x where x.t = 'x'",
    "select id from orders o where # union select id from events",
];

fn condition(noise: &mut Noise, depth: usize) -> String {
    match noise.below(if depth == 0 { 4 } else { 8 }) {
        0 => format!("{} is {}null", noise.one(COLUMNS), noise.one(&["", "not "])),
        1 => format!("{} in ({}, {})", noise.one(COLUMNS), noise.one(VALUES), noise.one(VALUES)),
        2 => format!("{} between {} and {}", noise.one(COLUMNS), noise.one(VALUES), noise.one(VALUES)),
        3 => format!("{} = any({})", noise.one(COLUMNS), noise.one(&["$3", "tags", "'{1,2}'", "array[1,2]"])),
        4 => {
            let what = noise.one(CALLS).replace('#', noise.one(COLUMNS));
            format!("{what} {} {}", noise.one(OPERATORS), noise.one(VALUES))
        }
        5 => format!("not ({})", condition(noise, depth - 1)),
        6 => format!("({} or {})", condition(noise, depth - 1), condition(noise, depth - 1)),
        _ => format!("{} and {}", condition(noise, depth - 1), condition(noise, depth - 1)),
    }
}

fn statement(noise: &mut Noise, condition: &str) -> String {
    format!("{} {}", noise.one(HEADS).replace('#', condition), noise.one(TAILS))
}

#[test]
fn arbitrary_statements_are_answered() {
    let schema = shop();
    let mut noise = Noise(0x5eed);
    let (mut understood, mut said) = (0, 0);
    let mut shapes = vec![];
    for _ in 0..1_500 {
        let condition = condition(&mut noise, 3);
        let text = statement(&mut noise, &condition);
        let one = plain(&text);
        understood += usize::from(crate::sql::tree(text.as_bytes(), true).is_some());
        said += ask(&one, &schema);
        shapes.push(one);
    }
    // Else the test is of nothing.
    assert!(understood > 750 && said > 750, "{understood} understood, {said} said");
    shapes.truncate(100);
    let workload = Workload { window: Duration::from_secs(60), shapes };
    of_workload(&workload, &schema, &|_| vec![]);
}

#[test]
fn no_value_of_a_statement_is_in_what_is_found() {
    let schema = shop();
    let texts = [
        "select note from orders where created_at::date = 'hush77' and note = 'hush77'",
        "select note from orders where account_id = 7777.5",
        "select note from orders where account_id::text = '7777'",
        "select o.id from orders o join accounts a on a.id = o.account_id where o.note = 'hush77' or a.name = 'hush77'",
        "select id from accounts where name = 'hush77' and id not in (select account_id from orders where note = 'hush77')",
        "select id from accounts where name = 'hush77' order by id limit 20 offset 20000",
        "select note, 'hush77' from orders where lower(note) = lower('hush77') order by random() limit 1",
        "select note from orders where note like '%hush77%' and 'hush77' = any(tags)",
        "select note from orders where to_tsvector(note) @@ to_tsquery('hush77')",
        "select note from orders where data @> '{\"a\": \"hush77\"}' and kind + 1 = 7777",
    ];
    let mut said = 0;
    for text in texts {
        let mut one = plain(text);
        (one.habits.in_loops, one.habits.looped) = (50, 1_000);
        let fixes = findings(&one, &schema, &[]);
        let (_, rejected) = looked_at(&one, &schema, &[], &Default::default());
        let all = format!("{fixes:?} {rejected:?}");
        assert!(!all.contains("hush77") && !all.contains("7777"), "{text}: {all}");
        said += fixes.len();
    }
    assert!(said >= 12, "{said}");
}

#[test]
fn the_corpus_is_answered_over_any_schema() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut broken = shop();
    for table in &mut broken.tables {
        (table.rows, table.pages, table.parent) = (f64::NAN, 0, Some(table.oid));
        for column in &mut table.columns {
            column.type_name = "((".to_owned();
            if let Some(known) = &mut column.statistics {
                (known.distinct, known.nulls) = (-1.0, 7.0);
                known.bounds = vec!["x".to_owned(), String::new()];
                known.common = vec![(String::new(), f64::NAN)];
            }
        }
        for index in &mut table.indexes {
            index.definition.keys.clear();
            index.definition.predicate = Some(") or (".to_owned());
        }
    }
    let schemas = [shop(), broken, Schema::default()];
    let mut count = 0;
    for folder in ["fuzz/corpus/facts", "fuzz/corpus/sql"] {
        let Ok(files) = std::fs::read_dir(root.join(folder)) else { continue };
        for file in files.flatten() {
            let bytes = std::fs::read(file.path()).unwrap_or_default();
            let text = String::from_utf8_lossy(&bytes).into_owned();
            count += 1;
            for schema in &schemas {
                let one = plain(&text);
                looked_at(&one, schema, &[], &Default::default());
                findings(&one, schema, &[]);
            }
        }
    }
    assert!(count > 100, "the corpus is not there: {count}");
    schemas.iter().for_each(|schema| drop(of_schema(schema)));
}

#[test]
fn deep_and_wide_statements_are_bounded() {
    let schema = shop();
    let many = |count: usize, one: &dyn Fn(usize) -> String, by: &str| {
        (0..count).map(one).collect::<Vec<_>>().join(by)
    };
    let doubling = many(
        30,
        &|at| match at {
            0 => "c0 as (select * from orders)".to_owned(),
            _ => format!("c{at} as (select x.note || y.note as note, x.* from c{0} x, c{0} y)", at - 1),
        },
        ", ",
    );
    let texts = [
        format!("select 1 from orders where {}", many(190, &|at| format!("kind = {at}"), " or ")),
        format!("select 1 from orders where {}", many(190, &|at| format!("note like '%abc{at}%'"), " or ")),
        format!(
            "select 1 from orders where {}",
            many(90, &|at| format!("lower(note || '{at}') = 'x'"), " and ")
        ),
        format!("select 1 from orders where kind = {}", many(390, &|at| at.to_string(), " + ")),
        format!("select 1 from orders where kind in ({})", many(9_000, &|at| at.to_string(), ", ")),
        format!("select * from {}", many(3_000, &|at| format!("orders o{at}"), ", ")),
        format!(
            "select 1 from orders {}",
            many(150, &|at| format!("join orders o{at} on o{at}.id = orders.id"), " ")
        ),
        format!("with {doubling} select note from c29 where note = 'x'"),
        format!("select {}1{}", "(select ".repeat(12), ")".repeat(12)),
        format!(
            "select 1 from orders where {}kind = 1{}",
            "id in (select account_id from orders where ".repeat(6),
            ")".repeat(6)
        ),
    ];
    for text in &texts {
        assert!(crate::sql::tree(text.as_bytes(), true).is_some(), "not understood: {}", &text[..80]);
        ask(&plain(text), &schema);
    }
}
