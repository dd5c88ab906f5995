//! Scans of statements over a schema made by hand.

use super::super::index::{Definition, Key};
use super::super::schema::{Column as SchemaColumn, Extension, Index, Statistics, Table};
use super::super::{Observed, Origin, Sample, Schema};
use super::*;

/// The schema of a shop; `orders` has two million rows.
pub fn shop() -> Schema {
    let bigs = [("id", "bigint", 2e6), ("account_id", "bigint", 1e5), ("kind", "integer", 40.0)];
    let mut orders = table(1, "orders", 2e6, 40_000);
    orders.columns.extend(bigs.map(|(name, type_name, distinct)| column(name, type_name, distinct)));
    orders.columns.extend([
        skewed("status", "text", &[("done", 0.9), ("failed", 0.09), ("pending", 0.01)]),
        skewed("code", "character varying(20)", &[("a", 0.6), ("b", 0.4)]),
        skewed("paid", "boolean", &[("t", 0.98), ("f", 0.02)]),
        times("created_at", "timestamp with time zone"),
        times("placed", "timestamp without time zone"),
        with_nulls("deleted_at", "timestamp with time zone", 0.97),
        with_nulls("processed_at", "timestamp with time zone", 0.01),
        column("total", "numeric(10,2)", 5e4),
        column("note", "text", 1.5e6),
        column("data", "jsonb", 1e6),
        column("tags", "text[]", 1e3),
        column("doc", "tsvector", 1e6),
        column("token", "uuid", 2e6),
    ]);
    orders.indexes.push(index(11, 1, "orders_pkey", &["id"], true));
    let mut accounts = table(2, "accounts", 2e5, 4_000);
    accounts.columns.extend([
        column("id", "bigint", 2e5),
        column("email", "character varying(120)", 2e5),
        column("name", "text", 1.5e5),
        column("plan_id", "integer", 3.0),
        times("created_at", "timestamp with time zone"),
    ]);
    accounts.columns[0].not_null = true;
    accounts.indexes.push(index(12, 2, "accounts_pkey", &["id"], true));
    let mut plans = table(3, "plans", 30.0, 1);
    plans.columns.extend([column("id", "integer", 30.0), column("title", "text", 30.0)]);
    let mut events = table(4, "events", 5e6, 100_000);
    events.kind = 'p';
    events.partition_key = vec!["at".to_owned()];
    events.columns.extend([
        column("id", "bigint", 5e6),
        column("account_id", "bigint", 1e5),
        times("at", "timestamp with time zone"),
    ]);
    let extension = |name: &str, schema: Option<&str>| Extension {
        name: name.to_owned(),
        schema: schema.map(str::to_owned),
    };
    Schema {
        version: 150_006,
        extensions: vec![extension("pg_trgm", None), extension("plpgsql", Some("pg_catalog"))],
        tables: vec![orders, accounts, plans, events],
        search_path: vec!["public".to_owned()],
        page: 8192,
        c_collation: false,
        counted_since: Some(1_700_000_000),
        ..Schema::default()
    }
}

pub fn table(oid: u32, name: &str, rows: f64, pages: u64) -> Table {
    let (schema, name) = ("public".to_owned(), name.to_owned());
    Table { oid, schema, name, kind: 'r', rows, pages, ..Table::default() }
}

/// A column with values that are evenly spread, numbers from 0 on.
pub fn column(name: &str, type_name: &str, distinct: f64) -> SchemaColumn {
    let bounds = (0..=100).map(|step| (f64::from(step) * distinct / 100.0).floor().to_string());
    let statistics = Statistics {
        width: 8,
        distinct,
        bounds: bounds.collect(),
        correlation: Some(0.1),
        ..Statistics::default()
    };
    SchemaColumn {
        name: name.to_owned(),
        type_name: type_name.to_owned(),
        statistics: Some(statistics),
        ..SchemaColumn::default()
    }
}

pub fn skewed(name: &str, type_name: &str, common: &[(&str, f64)]) -> SchemaColumn {
    let mut column = column(name, type_name, common.len() as f64);
    let known = column.statistics.as_mut().expect("there are some");
    known.common = common.iter().map(|(value, share)| ((*value).to_owned(), *share)).collect();
    known.bounds.clear();
    column
}

/// Times of the year 2024, in the order of rows.
pub fn times(name: &str, type_name: &str) -> SchemaColumn {
    let mut column = column(name, type_name, 1.9e6);
    let known = column.statistics.as_mut().expect("there are some");
    known.bounds = (1..=12).map(|month| format!("2024-{month:02}-01 00:00:00")).collect();
    known.correlation = Some(0.999);
    column
}

pub fn with_nulls(name: &str, type_name: &str, nulls: f64) -> SchemaColumn {
    let mut column = times(name, type_name);
    column.statistics.as_mut().expect("there are some").nulls = nulls;
    column
}

pub fn index(oid: u32, table: u32, name: &str, columns: &[&str], unique: bool) -> Index {
    let mut definition = Definition::btree(table, columns.iter().map(|name| Key::column(*name)).collect());
    definition.unique = unique;
    Index {
        oid,
        name: name.to_owned(),
        sql: format!("CREATE INDEX {name} {}", definition.body()),
        definition,
        primary: unique,
        needed: unique,
        valid: true,
        parent: None,
        bytes: 50_000_000,
        scans: 1000,
    }
}

pub fn sample(text: &str, values: &[&str]) -> Sample {
    Sample {
        origin: Origin::Frequent,
        text: text.to_owned(),
        values: values.iter().map(|value| Some((*value).to_owned())).collect(),
        types: vec![],
        micros: None,
    }
}

/// A shape with these samples, called a thousand times for 50 ms each.
pub fn observed(text: &str, samples: Vec<Sample>) -> Observed {
    let mut sums = crate::stats::tally::Sums {
        calls: 1000,
        timed: 1000,
        rows: 1000,
        bytes: 100_000,
        served: [1000, 0, 0, 0],
        micros: [0, 50_000_000, 0, 0, 50_000_000],
        longest: 100_000,
        ..Default::default()
    };
    (0..1000).for_each(|_| sums.times[4].add(50_000));
    Observed { fingerprint: 7, text: text.to_owned(), sums, samples, ..Observed::default() }
}

fn found(text: &str, values: &[&str]) -> Found {
    scan(&sample(text, values), &shop()).unwrap_or_else(|| panic!("not understood: {text}"))
}

/// A scan in one line.
fn told(scan: &Scan) -> String {
    let print = |term: &Term| term.print(150_000).unwrap_or_else(|| "?".to_owned());
    let condition = |one: &Condition| {
        let other = match &one.other {
            Other::None => String::new(),
            Other::Constants(all) => {
                all.iter().map(|one| one.as_text().unwrap_or("-")).collect::<Vec<_>>().join(",")
            }
            Other::Join(term) => format!("~{}", print(term)),
            Other::Clock(by) => format!("now{by:+}"),
            Other::Unknown => "-".to_owned(),
        };
        format!("{} {:?} {other}", print(&one.what), one.test).trim_end().to_owned()
    };
    let all = |conditions: &[Condition]| conditions.iter().map(condition).collect::<Vec<_>>().join("; ");
    let mut parts = vec![format!("{}: {}", scan.table, all(&scan.conditions))];
    for branches in &scan.branches {
        parts.push(format!("or {}", branches.iter().map(|one| all(one)).collect::<Vec<_>>().join(" / ")));
    }
    if !scan.order.is_empty() {
        let key = |one: &Sort| {
            let direction = if one.descending { " desc" } else { "" };
            let nulls = if one.nulls_first == one.descending { "" } else { " nulls!" };
            format!("{}{direction}{nulls}", print(&one.what))
        };
        parts.push(format!("by {}", scan.order.iter().map(key).collect::<Vec<_>>().join(", ")));
    }
    if let Some(limit) = scan.limit {
        parts.push(format!("limit {limit:?}"));
    }
    if !scan.group.is_empty() {
        parts.push(format!("group {}", scan.group.iter().map(print).collect::<Vec<_>>().join(", ")));
    }
    parts.join(" | ")
}

#[test]
fn a_statement_is_split_into_what_it_asks_of_each_table() {
    let table: &[(&str, &[&str])] = &[
        (
            "select id from orders where account_id = 5 and status in ('a', 'b') and created_at >= '2024-05-01'",
            &["1: account_id Equal 5; status In a,b; created_at Greater 2024-05-01"],
        ),
        (
            "select * from orders o where 5 = o.account_id and o.deleted_at is null and not paid order by created_at desc limit 10",
            &["1: account_id Equal 5; deleted_at Null; paid False | by created_at desc | limit Some(10.0)"],
        ),
        (
            "select o.id from orders o join accounts a on a.id = o.account_id where a.email = 'x' order by o.created_at desc nulls last",
            &[
                "1: account_id Equal ~id | by created_at desc nulls!",
                "2: id Equal ~account_id; email Equal x",
            ],
        ),
        (
            "select 1 from accounts a left join orders o on o.account_id = a.id and a.name = 'x' and o.status = 'y'",
            &["2:", "1: account_id Equal ~id; status Equal y"],
        ),
        (
            "select 1 from accounts a where exists (select 1 from orders where account_id = a.id and kind = 3)",
            &["2: id Equal ~account_id", "1: account_id Equal ~id; kind Equal 3"],
        ),
        (
            "select 1 from accounts where id in (select account_id from orders where kind = 3)",
            &["2: id Equal ~account_id", "1: kind Equal 3; account_id Equal ~id"],
        ),
        (
            "with recent as (select * from orders where created_at > now() - interval '7 days') \
             select * from recent where account_id = 3 order by created_at limit 5",
            &["1: created_at Greater now-604800; account_id Equal 3"],
        ),
        (
            "update orders set status = 'x' where token = 'u' and kind = any('{1,2}')",
            &["1: token Equal u; kind In 1,2"],
        ),
        ("select 1 from orders where kind is not distinct from 3", &["1:"]),
        (
            "select 1 from orders where (code)::text = any((array['a'::character varying, 'b'::character varying])::text[])",
            &["1: code In a,b"],
        ),
        (
            "select a.id from accounts a, lateral (select id from orders o where o.account_id = a.id order by created_at desc limit 3) x",
            &["2: id Equal ~account_id", "1: account_id Equal ~id | by created_at desc | limit Some(3.0)"],
        ),
        (
            "delete from orders using accounts a where a.id = orders.account_id and a.plan_id = 4",
            &["1: account_id Equal ~id", "2: id Equal ~account_id; plan_id Equal 4"],
        ),
        (
            "select 1 from orders where (kind = 1 or kind = 2) and (account_id = 4 or note = 'x')",
            &["1: kind In 1,2 | or account_id Equal 4 / note Equal x"],
        ),
        ("select kind, count(*) from orders group by 1 order by 1", &["1:  | group kind"]),
        (
            "select max(created_at) from orders where account_id = 4",
            &["1: account_id Equal 4 | by created_at desc | limit Some(1.0)"],
        ),
        (
            "select distinct on (account_id) id from orders order by account_id, created_at desc",
            &["1:  | by account_id, created_at desc | group account_id"],
        ),
        (
            "select 1 from orders where created_at between '2024-01-01' and '2024-02-01'",
            &["1: created_at Greater 2024-01-01; created_at Less 2024-02-01"],
        ),
        (
            "select 1 from orders where (created_at, id) < ('2024-01-01', 5) order by created_at desc, id desc limit 3",
            &["1: created_at Less 2024-01-01 | by created_at desc, id desc | limit Some(3.0)"],
        ),
        (
            "select 1 from orders where kind = 1 union all select 1 from accounts where name = 'x'",
            &["1: kind Equal 1", "2: name Equal x"],
        ),
        ("select 1 from orders o join accounts a using (id)", &["1: id Equal ~id", "2: id Equal ~id"]),
        (
            "select 1 from orders where 'x' = any(tags) and tags && '{a}' and data @> '{}' and data ? 'k' and doc @@ to_tsquery('x')",
            &["1: tags Member x; tags Overlaps {a}; data Contains {}; data HasKey k; doc Search -"],
        ),
    ];
    for (text, expected) in table {
        let scans: Vec<String> =
            found(text, &[]).scans.iter().map(|one| told(one).trim().to_owned()).collect();
        assert_eq!(&scans, expected, "{text}");
    }
}

#[test]
fn expressions_are_printed_as_postgresql_prints_them() {
    let table = [
        ("lower(email) = 'x'", "lower((email)::text)"),
        ("lower(name) = 'x'", "lower(name)"),
        ("data ->> 'k' = 'v'", "(data ->> 'k'::text)"),
        ("(data ->> 'n')::int = 4", "((data ->> 'n'::text))::integer"),
        ("data -> 'a' ->> 'b' = 'v'", "((data -> 'a'::text) ->> 'b'::text)"),
        ("data #>> '{a,b}' = 'v'", "(data #>> '{a,b}'::text[])"),
        ("date_trunc('day', placed) = '2024-01-01'", "date_trunc('day'::text, placed)"),
        ("placed::date = '2024-01-01'", "(placed)::date"),
        ("extract(year from placed) = 2024", "EXTRACT(year FROM placed)"),
        (
            "(created_at at time zone 'UTC')::date = '2024-01-01'",
            "((created_at AT TIME ZONE 'UTC'::text))::date",
        ),
        ("coalesce(note, '') = 'x'", "COALESCE(note, ''::text)"),
        ("coalesce(code, '') = 'x'", "COALESCE(code, ''::character varying)"),
        ("name || ' ' || email = 'x'", "((name || ' '::text) || (email)::text)"),
        ("left(note, 3) = 'x'", "\"left\"(note, 3)"),
        ("kind % 10 = 3", "(kind % 10)"),
        ("trim(note) = 'x'", "btrim(note)"),
        ("email::text = 'x'", "email"),
        ("token::text = 'x'", "(token)::text"),
        (
            "to_tsvector('english', note) @@ to_tsquery('english', 'x')",
            "to_tsvector('english'::regconfig, note)",
        ),
        ("md5(code) = 'x'", "md5((code)::text)"),
    ];
    for (condition, expected) in table {
        let from =
            if condition.contains("email") || condition.contains("name") { "accounts" } else { "orders" };
        let found = found(&format!("select 1 from {from} where {condition}"), &[]);
        let what = &found.scans[0].conditions[0].what;
        assert_eq!(what.print(150_006).as_deref(), Some(expected), "{condition}");
        assert!(what.is_indexable(), "{condition}");
    }
    for moving in [
        "created_at::date = '2024-01-01'",
        "date_trunc('day', created_at) = '2024-01-01'",
        "my_own(note) = 'x'",
    ] {
        let found = found(&format!("select 1 from orders where {moving}"), &[]);
        assert!(!found.scans[0].conditions[0].what.is_indexable(), "{moving}");
    }
}

#[test]
fn what_postgresql_prints_is_read_and_printed_the_same() {
    // As `pg_get_expr` of PostgreSQL 15 prints expressions of indexes.
    let table = [
        "lower(note)",
        "(data ->> 'k'::text)",
        "((data ->> 'n'::text))::integer",
        "((data -> 'a'::text) ->> 'b'::text)",
        "(data #>> '{a,b}'::text[])",
        "date_trunc('day'::text, placed)",
        "(placed)::date",
        "EXTRACT(year FROM placed)",
        "((created_at AT TIME ZONE 'UTC'::text))::date",
        "COALESCE(note, ''::text)",
        "COALESCE(code, ''::character varying)",
        "((note || ' '::text) || (code)::text)",
        "\"left\"(note, 3)",
        "(kind % 10)",
        "(token)::text",
        "to_tsvector('english'::regconfig, note)",
        "md5((code)::text)",
        "round(total)",
        "abs(kind)",
        "(total * (2)::numeric)",
        "(id + kind)",
        "substr((code)::text, 1, 2)",
        "((code)::text || 'x'::text)",
    ];
    let schema = shop();
    for printed in table {
        let term = of_expression_text(printed, &schema.tables[0], &schema);
        let term = term.unwrap_or_else(|| panic!("not understood: {printed}"));
        assert_eq!(term.print(150_006).as_deref(), Some(printed));
        assert!(term.is_indexable(), "{printed}");
    }
}

#[test]
fn the_values_of_samples_stand_for_parameters() {
    let found =
        found("select 1 from orders where account_id = $1 and status = $2 limit $3", &["5", "done", "20"]);
    assert_eq!(told(&found.scans[0]), "1: account_id Equal 5; status Equal done | limit Some(20.0)");
    let columns = found.scans[0].columns.clone().expect("not all are needed");
    assert_eq!(columns.into_iter().collect::<Vec<_>>(), ["account_id", "status"]);
}

#[test]
fn what_else_is_noticed() {
    let table: &[(&str, Note)] = &[
        (
            "select id from orders where account_id not in (select id from accounts)",
            Note::NotIn { nullable: true },
        ),
        ("select 1 from accounts where id not in (select id from accounts)", Note::NotIn { nullable: false }),
        ("select id from orders order by random() limit 1", Note::RandomOrder(vec![0])),
        ("select id from orders order by id limit 10 offset 50000", Note::Offset(Some(50_000.0))),
        ("select count(*) from orders", Note::CountAll(0)),
        ("select * from orders where id = 1", Note::Star),
        (
            "select 1 from orders o join accounts a on a.id = o.account_id where o.note = 'x' or a.name = 'x'",
            Note::OrAcross(vec![0, 1]),
        ),
    ];
    for (text, note) in table {
        assert!(found(text, &[]).notes.contains(note), "{text}: {:?}", found(text, &[]).notes);
    }
}

#[test]
fn selectivity_follows_the_planner() {
    let table: &[(&str, f64)] = &[
        ("status = 'pending'", 0.01),
        ("status = 'done'", 0.9),
        ("status <> 'done'", 0.1),
        ("account_id = 77", 1e-5),
        ("account_id in (1, 2, 3)", 3e-5),
        ("deleted_at is null", 0.97),
        ("deleted_at is not null", 0.03),
        ("not paid", 0.02),
        ("paid", 0.98),
        ("status = 'pending' and account_id = 7", 1e-7),
        ("account_id < 25000", 0.25),
        ("account_id > 25000 and account_id <= 50000", 0.25),
        ("created_at >= '2024-06-01'", 6.0 / 11.0),
        ("created_at > now() - interval '15 days'", 15.0 / 30.0 / 11.0),
        ("status = 'pending' or status = 'failed'", 0.1),
        ("lower(note) = 'x'", 1.0 / 1.5e6),
        ("data ->> 'k' = 'x'", 0.005),
        ("data @> '{\"a\": 1}'", 0.001),
        ("placed::date = '2024-05-05'", 1.0 / 335.0),
        ("placed::date >= '2024-06-01'", 6.0 / 11.0),
        ("account_id + 1000 < 26000", 0.25),
        ("created_at + interval '31 days' > '2024-07-02'", 6.0 / 11.0),
        ("date(created_at) >= '2024-05-01' and date(created_at) < '2024-06-01'", 1.0 / 11.0),
        ("id = null", 1e-9),
    ];
    let schema = shop();
    for (condition, expected) in table {
        let found = found(&format!("select 1 from orders where {condition}"), &[]);
        let is = selectivity(&found.scans[0], &schema);
        assert!((is / expected - 1.0).abs() < 0.05, "{condition}: {is}, not {expected}");
    }
}
