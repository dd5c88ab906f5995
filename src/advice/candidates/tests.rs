//! Statements and the indexes that are looked at for them.

use super::super::Workload;
use super::super::index::Key;
use super::super::scan::tests::{index, observed, sample, shop};
use super::*;

fn looked(text: &str, schema: &Schema) -> (Vec<Candidate>, Vec<Rejected>) {
    let samples = vec![sample(text, &[])];
    looked_at(&observed(text, samples), schema, &[], &Shared::default())
}

fn bodies(candidates: &[Candidate]) -> Vec<String> {
    candidates.iter().map(|one| format!("{} {}", one.pattern, one.definition.body())).collect()
}

/// All of `expected` are among what is looked at for the statement.
#[track_caller]
fn check(text: &str, expected: &[&str]) {
    let (candidates, rejected) = looked(text, &shop());
    let found = bodies(&candidates);
    for one in expected {
        assert!(
            found.iter().any(|body| body == one),
            "{text}\nwants {one}\nhas {found:#?}\nrejected {rejected:#?}"
        );
    }
}

/// Nothing is looked at, and the reason has this in it.
#[track_caller]
fn silent(text: &str, schema: &Schema, reason: &str) {
    let (candidates, rejected) = looked(text, schema);
    assert!(candidates.is_empty(), "{text}: {:#?}", bodies(&candidates));
    assert!(rejected.iter().any(|one| one.why.contains(reason)), "{text}: {rejected:#?}");
}

#[test]
fn b_trees_by_pattern() {
    let orders = "select note, data from orders where";
    check(&format!("{orders} account_id = 5"), &["equality USING btree (account_id)"]);
    check(&format!("{orders} account_id = 5 and kind = 3"), &["equality USING btree (account_id, kind)"]);
    check(
        &format!("{orders} account_id = 5 and created_at >= '2024-05-01'"),
        &["equality_range USING btree (account_id, created_at)"],
    );
    check(
        &format!("{orders} account_id = 5 order by created_at desc limit 10"),
        &["equality_order USING btree (account_id, created_at DESC)"],
    );
    check(
        &format!("{orders} account_id = 5 order by created_at desc nulls last, id limit 10"),
        &["equality_order USING btree (account_id, created_at DESC NULLS LAST, id)"],
    );
    check("select * from orders order by total desc limit 5", &["order_limit USING btree (total DESC)"]);
    check("select max(total) from orders", &["order_limit USING btree (total DESC)"]);
    check(
        &format!("{orders} status in ('pending', 'failed') and kind = 3 order by created_at limit 10"),
        &[
            "equality_order USING btree (kind, status, created_at)",
            "equality_order USING btree (kind, created_at)",
        ],
    );
    check(
        "select account_id, total from orders where account_id between 5 and 100",
        &["range USING btree (account_id)", "covering USING btree (account_id) INCLUDE (total)"],
    );
    check(&format!("{orders} lower(note) = 'x'"), &["expression USING btree ((lower(note)))"]);
    check(
        "select id from accounts where lower(email) = 'x'",
        &["expression USING btree ((lower((email)::text)))"],
    );
    check(&format!("{orders} data ->> 'ref' = 'x'"), &["expression USING btree ((data ->> 'ref'::text))"]);
    check(&format!("{orders} note like 'abc%'"), &["prefix USING btree (note text_pattern_ops)"]);
    check(
        "select id from accounts where email like 'abc%'",
        &["prefix USING btree (email varchar_pattern_ops)"],
    );
    check(
        &format!("{orders} kind = 3 and note like 'abc%'"),
        &["prefix USING btree (kind, note text_pattern_ops)"],
    );
    check("update orders set note = 'x' where token = 'abc'", &["equality USING btree (token)"]);
    check("delete from orders where account_id = 4", &["equality USING btree (account_id)"]);
    check(
        "select distinct on (account_id) id from orders order by account_id, created_at desc",
        &["group USING btree (account_id, created_at DESC)"],
    );
}

#[test]
fn partial_indexes_for_flags_nulls_and_rare_constants() {
    let orders = "select note, data from orders where";
    check(
        &format!("{orders} not paid and account_id = 3"),
        &["partial USING btree (account_id) WHERE (NOT paid)", "equality USING btree (account_id)"],
    );
    check(
        &format!("{orders} processed_at is null order by created_at limit 10"),
        &["partial USING btree (created_at) WHERE (processed_at IS NULL)"],
    );
    check(
        &format!("{orders} processed_at is null"),
        &["partial USING btree (id) WHERE (processed_at IS NULL)"],
    );
    check(
        &format!("{orders} status = 'pending' order by created_at limit 100"),
        &[
            "partial USING btree (created_at) WHERE (status = 'pending'::text)",
            "equality_order USING btree (status, created_at)",
        ],
    );
    check(
        &format!("{orders} deleted_at is null and account_id = 3 and status = 'pending'"),
        &["partial USING btree (account_id) WHERE ((deleted_at IS NULL) AND (status = 'pending'::text))"],
    );
    check(
        &format!("{orders} status <> 'done' order by created_at limit 100"),
        &["partial USING btree (created_at) WHERE (status <> 'done'::text)"],
    );
    check(
        &format!("{orders} status in ('failed', 'pending') order by created_at limit 100"),
        &["partial USING btree (created_at) WHERE (status = ANY (ARRAY['failed'::text, 'pending'::text]))"],
    );
    // Another plan for each value is not to be leaned on.
    let text = "select note from orders where status = $1 order by created_at limit 100";
    let (candidates, _) = looked_at(
        &observed(text, vec![sample(text, &["pending"]), sample(text, &["pending"])]),
        &shop(),
        &[],
        &Shared::default(),
    );
    assert!(candidates.iter().all(|one| one.definition.predicate.is_none()), "{:#?}", bodies(&candidates));
    // No flag leads.
    let (candidates, _) = looked("select note from orders where not paid and deleted_at is null", &shop());
    assert!(
        candidates.iter().all(|one| one.definition.keys[0] == Key::column("id")),
        "{:#?}",
        bodies(&candidates)
    );
}

#[test]
fn joins_and_branches() {
    check(
        "select o.note from accounts a join orders o on o.account_id = a.id where a.email = 'x'",
        &["join USING btree (account_id)", "equality USING btree (email)"],
    );
    check(
        "select 1 from accounts a where name = 'x' and exists (select 1 from orders o where o.account_id = a.id and kind = 3)",
        &["join USING btree (account_id, kind)", "equality USING btree (name)"],
    );
    check(
        "select id from orders where account_id = 4 or (note = 'x' and kind = 2)",
        &["or_branch USING btree (account_id)", "or_branch USING btree (note, kind)"],
    );
    silent(
        "select id from orders where account_id = 4 or status = 'done'",
        &shop(),
        "branches of an OR leave",
    );
    check("select id from events where account_id = 4", &["equality USING btree (account_id)"]);
}

#[test]
fn other_kinds_of_indexes() {
    let orders = "select note from orders where";
    check(&format!("{orders} data @> '{{\"a\": 1}}'"), &["jsonb_contains USING gin (data jsonb_path_ops)"]);
    check(&format!("{orders} data ? 'a'"), &["jsonb_key USING gin (data)"]);
    check(&format!("{orders} tags && '{{a}}'"), &["array USING gin (tags)"]);
    check(&format!("{orders} tags @> array['a']"), &["array USING gin (tags)"]);
    check(&format!("{orders} doc @@ to_tsquery('x')"), &["full_text USING gin (doc)"]);
    check(
        &format!("{orders} to_tsvector('english', note) @@ plainto_tsquery('english', 'x')"),
        &["full_text USING gin ((to_tsvector('english'::regconfig, note)))"],
    );
    check(&format!("{orders} note like '%needle%'"), &["trigram USING gin (note gin_trgm_ops)"]);
    check(&format!("{orders} note ilike 'needle%'"), &["trigram USING gin (note gin_trgm_ops)"]);
    silent(&format!("{orders} note like '%ab%'"), &shop(), "fewer than 3 letters");
    let mut without = shop();
    without.extensions.clear();
    silent(&format!("{orders} note like '%needle%'"), &without, "does not have");
    let (candidates, _) = looked(&format!("{orders} note like '%needle%'"), &shop());
    assert!(candidates[0].why.contains("CREATE EXTENSION") && !candidates[0].provable);
    check(
        "select count(*) from orders where created_at >= '2024-11-15'",
        &["brin USING brin (created_at)", "range USING btree (created_at)"],
    );
}

#[test]
fn silence_where_no_index_helps() {
    let shop = shop();
    silent("select id from plans where title = 'x'", &shop, "30 rows");
    silent("select note from orders where status = 'done'", &shop, "leave 90 %");
    silent("select note from orders where created_at > '2024-02-01'", &shop, "%");
    silent("select note from orders where id = 5 and kind = 3", &shop, "orders_pkey leaves one row");
    silent("select note from orders where paid", &shop, "98 %");
    let (candidates, _) = looked("select count(*) from orders", &shop);
    assert!(candidates.is_empty());
    for rewritten in
        ["created_at::date = '2024-05-05'", "kind + 1 = 4", "date_trunc('day', placed) = '2024-05-05'"]
    {
        let (candidates, _) = looked(&format!("select note from orders where {rewritten}"), &shop);
        assert!(candidates.is_empty(), "{rewritten}: {:#?}", bodies(&candidates));
    }
}

#[test]
fn what_is_there_is_seen_exactly() {
    let with = |columns: &[&str], change: &dyn Fn(&mut crate::advice::schema::Index)| {
        let mut schema = shop();
        let mut there = index(90, 1, "there", columns, false);
        change(&mut there);
        schema.tables[0].indexes.push(there);
        schema
    };
    let plain = |_: &mut crate::advice::schema::Index| {};
    let text =
        "select note, data from orders where kind = 3 and status = 'failed' order by created_at desc limit 5";
    let wanted = "equality_order USING btree (kind, status, created_at DESC)";
    let has = |schema: &Schema| bodies(&looked(text, schema).0).iter().any(|one| one == wanted);
    assert!(has(&shop()));
    assert!(!has(&with(&["kind", "status", "created_at"], &plain)), "read backwards it serves");
    assert!(!has(&with(&["status", "kind", "created_at", "id"], &plain)), "equalities come in any order");
    assert!(has(&with(&["kind", "created_at", "status"], &plain)));
    assert!(has(&with(&["kind", "status", "created_at"], &|one| one.valid = false)));
    assert!(has(&with(&["kind", "status", "created_at"], &|one| one.definition.keys[2].nulls_first = true)));
    let other = |one: &mut crate::advice::schema::Index| {
        one.definition.predicate = Some("(status = 'done'::text)".to_owned())
    };
    assert!(has(&with(&["kind", "status", "created_at"], &other)));
    let same = |one: &mut crate::advice::schema::Index| {
        one.definition.predicate = Some("(status = 'failed'::text)".to_owned())
    };
    assert!(!has(&with(&["kind", "status", "created_at"], &same)));
    silent(
        "select note from orders where account_id = 3 and kind = 4",
        &with(&["account_id"], &plain),
        "there leaves 20 rows",
    );
    let expression =
        |one: &mut crate::advice::schema::Index| one.definition.keys = vec![Key::expression("(lower(note))")];
    silent("select data from orders where lower(note) = 'x'", &with(&[], &expression), "there leaves 1 rows");
    let patterns = |one: &mut crate::advice::schema::Index| {
        one.definition.keys[0].class = Some("text_pattern_ops".to_owned())
    };
    silent("select * from orders where note like 'ab%'", &with(&["note"], &patterns), "there serves");
    check("select data from orders where note like 'ab%'", &["prefix USING btree (note text_pattern_ops)"]);
    let (candidates, _) = looked("select data from orders where note like 'ab%'", &with(&["note"], &plain));
    assert!(!candidates.is_empty(), "an index of the column's collation does not know patterns");
    let mut skipping = with(&["kind", "token"], &plain);
    let by_token = |schema: &Schema| looked("select note from orders where token = 'x'", schema).0.len();
    assert_eq!(by_token(&skipping), 1);
    skipping.version = 180_001;
    assert_eq!(by_token(&skipping), 0, "from 18 on, an index is skipped through");
}

#[test]
fn the_workload_decides_on_the_order_of_equalities() {
    let shape = |number: u128, text: &str| {
        let mut one = observed(text, vec![sample(text, &[])]);
        one.fingerprint = number;
        one
    };
    let texts = [
        "select note from orders where kind = 3 and total = 4",
        "select note from orders where kind = 3 and code = 'b'",
    ];
    let mut shapes: Vec<_> = texts.iter().zip(1..).map(|(text, number)| shape(number, text)).collect();
    let first = |shapes: &[Observed], schema: &Schema| {
        let workload = Workload { shapes: shapes.to_vec(), ..Workload::default() };
        let shared = Shared::of(&workload, schema);
        let of = |one: &Observed| bodies(&looked_at(one, schema, &[], &shared).0);
        workload.shapes.iter().find(|one| one.fingerprint == 1).map(of)
    };
    let schema = shop();
    let there = first(&shapes, &schema).expect("it is there");
    assert_eq!(there[0], "equality USING btree (kind, total)");
    shapes.reverse();
    assert_eq!(first(&shapes, &schema), Some(there));
}

#[test]
fn relevant_is_what_a_statement_can_use() {
    let text = "select note from orders where account_id = 3 and deleted_at is null order by created_at";
    let shape = observed(text, vec![sample(text, &[])]);
    let schema = shop();
    let with = |columns: &[&str], predicate: Option<&str>| {
        let mut definition = index(90, 1, "x", columns, false).definition;
        definition.predicate = predicate.map(str::to_owned);
        relevant(&shape, &definition, &schema)
    };
    assert!(with(&["account_id", "kind"], None));
    assert!(with(&["created_at"], None));
    assert!(with(&["account_id"], Some("(deleted_at IS NULL)")));
    assert!(!with(&["account_id"], Some("(NOT paid)")));
    assert!(!with(&["kind", "account_id"], None));
    let other = index(90, 2, "x", &["id"], false).definition;
    assert!(!relevant(&shape, &other, &schema));
}

#[test]
fn what_only_a_plan_shows_is_looked_at_too() {
    let plan = Plan::parse(
        r#"[{"Plan": {"Node Type": "Seq Scan", "Relation Name": "orders", "Schema": "public", "Alias": "o",
        "Filter": "((o.account_id = 5) AND ((o.code)::text = 'b'::text))", "Total Cost": 9000}}]"#,
    )
    .expect("a plan");
    let text = "select * from some_view where x = 5";
    let found = candidates(&observed(text, vec![]), &shop(), &[plan]);
    assert_eq!(bodies(&found)[0], "equality USING btree (account_id, code)");
}

#[test]
fn what_calls_gave_says_how_rare_something_is_that_nobody_has_counted() {
    let text = "select note from orders where (data ->> 'size')::integer > 900";
    let with = |rows: u64| {
        let mut observed = observed(text, vec![sample(text, &[])]);
        observed.sums.rows = rows;
        looked_at(&observed, &shop(), &[], &Shared::default())
    };
    // A thousand calls.
    let (few, _) = with(5_000);
    assert_eq!(bodies(&few), ["expression USING btree ((((data ->> 'size'::text))::integer))"]);
    assert!(!few[0].provable, "to the planner it is a third of the table, whatever is shown to it");
    for rows in [0, 900_000_000] {
        let (many, rejected) = with(rows);
        assert!(
            many.is_empty() && rejected[0].why.contains("33 %"),
            "{rows}: {:?} {rejected:?}",
            bodies(&many)
        );
    }
    // Where only some of the rows are given, their number says nothing.
    check("select note from orders where lower(note) > 'x' and kind = 3", &["equality USING btree (kind)"]);
    silent(&format!("{text} limit 5"), &shop(), "33 %");
}

#[test]
fn a_text_without_a_trigram_now_and_then_is_no_reason_against_an_index() {
    let text = "select note from orders where note like $1";
    let with = |values: &[&str]| {
        let samples = values.iter().map(|one| sample(text, &[one])).collect();
        looked_at(&observed(text, samples), &shop(), &[], &Shared::default())
    };
    let (found, _) = with(&["%needle%", "%hay stack%", "%#%#%"]);
    assert_eq!(bodies(&found), ["trigram USING gin (note gin_trgm_ops)"]);
    let (found, rejected) = with(&["%needle%", "%#%", "%a-b%"]);
    assert!(found.is_empty() && rejected[0].why.contains("fewer than 3 letters"), "{rejected:?}");
}

#[test]
fn everything_is_read_as_fast_without_an_index() {
    let none = |text: &str| {
        let (candidates, _) = looked(text, &shop());
        assert!(candidates.is_empty(), "{text}: {:#?}", bodies(&candidates));
    };
    none("select kind, sum(total) from orders group by kind");
    none("select kind, sum(total) from orders where created_at > '2024-02-01' group by kind");
    none("select a.name, sum(o.total) from accounts a join orders o on o.account_id = a.id group by a.name");
    check(
        "select a.name, o.total from accounts a join orders o on o.account_id = a.id limit 10",
        &["join USING btree (account_id)"],
    );
    check(
        "select kind, sum(total) from orders where account_id = 5 group by kind",
        &["group USING btree (account_id, kind)"],
    );
}

#[test]
fn a_copy_of_columns_is_for_many_rows_where_an_index_finds_them_already() {
    let mut schema = shop();
    schema.tables[0].indexes.push(index(90, 1, "there", &["account_id", "kind"], false));
    let some = "select total from orders where account_id in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10)";
    silent(some, &schema, "there serves account_id already");
    check(some, &["covering USING btree (account_id) INCLUDE (total)"]);
    schema.tables[0].indexes.push(index(91, 1, "kinds", &["kind"], false));
    let (found, _) = looked("select total from orders where kind = 3", &schema);
    assert_eq!(bodies(&found), ["covering USING btree (kind) INCLUDE (total)"]);
}
