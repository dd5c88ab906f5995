//! Findings, and silence where there is none.

use std::collections::BTreeSet;

use super::*;
use crate::advice::form::Planned;
use crate::advice::scan::tests::{index, observed, sample, shop, table};
use crate::advice::schema::ForeignKey;
use crate::advice::turn::{Era, KnownPlan, Turn};
use crate::advice::{Habits, Sample};
use crate::stats::tally::{Begun, Rests, Sums, Who};

/// The codes of what is found of a statement with these values.
fn found(text: &str, values: &[&str], schema: &Schema) -> Vec<Fix> {
    findings(&observed(text, vec![sample(text, values)]), schema, &[])
}

fn rewritten(fix: &Fix) -> Option<&str> {
    match &fix.action {
        Action::Code { rewritten, .. } => rewritten.as_deref(),
        _ => None,
    }
}

fn with_index(columns: &[&str]) -> Schema {
    let mut schema = shop();
    schema.tables[0].indexes.push(index(90, 1, "there", columns, false));
    schema
}

#[test]
fn every_finding_has_its_statement() {
    let table: &[(&str, &[&str], &str, Option<&str>)] = &[
        (
            "select note from orders where created_at::date = '2024-05-05'",
            &["created_at"],
            "rewrite_sargable",
            Some("SELECT note FROM orders WHERE (created_at >= $1::DATE AND created_at < $1::DATE + 1)"),
        ),
        (
            "select note from orders where account_id + 1 = 7",
            &["account_id"],
            "rewrite_sargable",
            Some("SELECT note FROM orders WHERE account_id = $1 - 1"),
        ),
        (
            "select note from orders where 'x' = any(tags)",
            &["kind"],
            "rewrite_sargable",
            Some("SELECT note FROM orders WHERE tags @> ARRAY[$1]::TEXT[]"),
        ),
        (
            "select note from orders where account_id = 5.0",
            &["account_id"],
            "implicit_cast",
            Some("SELECT note FROM orders WHERE account_id = $1::BIGINT"),
        ),
        (
            "select o.id from orders o join accounts a on a.id = o.account_id where o.note = 'x' or a.name = 'y'",
            &["kind"],
            "rewrite_union",
            Some(
                "SELECT o.id FROM orders o JOIN accounts a ON a.id = o.account_id WHERE o.note = $1 UNION ALL SELECT o.id FROM orders o \
                 JOIN accounts a ON a.id = o.account_id WHERE a.name = $2 AND (o.note = $1) IS NOT TRUE",
            ),
        ),
        (
            "select id from accounts where id not in (select account_id from orders)",
            &["kind"],
            "rewrite_not_exists",
            Some(
                "SELECT id FROM accounts WHERE NOT EXISTS (SELECT 1 FROM orders WHERE orders.account_id = accounts.id)",
            ),
        ),
        (
            "select id from accounts order by id limit 20 offset 20000",
            &["kind"],
            "deep_offset",
            Some("SELECT id FROM accounts WHERE id > $1 ORDER BY id LIMIT 20"),
        ),
        ("select id from orders order by random() limit 1", &["kind"], "order_by_random", None),
        (
            "select id from orders where to_tsvector(note) @@ to_tsquery('x')",
            &["kind"],
            "rewrite_sargable",
            None,
        ),
        (
            "select count(*) from orders",
            &["kind"],
            "count_everything",
            Some("SELECT reltuples::bigint FROM pg_class WHERE oid = 'public.orders'::regclass"),
        ),
    ];
    for (text, columns, code, expected) in table {
        let fixes = found(text, &[], &with_index(columns));
        assert_eq!(fixes.iter().map(|fix| fix.code).collect::<Vec<_>>(), [*code], "{text}");
        assert_eq!(rewritten(&fixes[0]), *expected, "{text}");
        assert!(!fixes[0].evidence.is_empty() && fixes[0].helps == [7] && fixes[0].proof == Proof::Pattern);
        assert!(
            fixes[0].saves.is_none_or(|saves| (0.0..=50.0).contains(&saves)),
            "{text}: {:?}",
            fixes[0].saves
        );
    }
}

#[test]
fn silence_where_nothing_is_gained() {
    let silent = [
        "select note from orders where account_id = 5",
        "select note from orders where lower(note) = 'x'",
        "select id from plans where id + 1 = 3",
        "select note from orders where created_at::date = '2024-05-05' and id = 3",
        "select note from orders where created_at::date > '2024-02-05'",
        "select id from orders order by created_at limit 20 offset 100",
        "select id from plans order by random() limit 1",
        "select id from orders where account_id = 5 order by random() limit 1",
        "select count(*) from plans",
        "select count(*) from orders where kind = 3",
        "select o.id from orders o where o.kind = 3 or o.note = 'x'",
        "select id from plans where id not in (select plan_id from plans)",
        "select p.id from plans p join accounts a on a.plan_id = p.id where p.title = 'x' or a.name = 'y'",
        "select note from orders where account_id = 5::numeric::bigint",
    ];
    for text in silent {
        let codes: Vec<&str> = found(text, &[], &shop()).iter().map(|fix| fix.code).collect();
        assert_eq!(codes, Vec::<&str>::new(), "{text}");
    }
    // Without an index there is nothing to reckon the gain by.
    let fixes = found("select note from orders where account_id = 5.0", &[], &shop());
    assert_eq!((fixes.len(), fixes[0].code, fixes[0].saves), (1, "implicit_cast", None));
}

#[test]
fn the_types_that_the_driver_names_are_seen() {
    let typed = |type_oid: u32| {
        let text = "select note from orders where account_id = $1";
        let typed = Sample { types: vec![type_oid], ..sample(text, &["5"]) };
        findings(&observed(text, vec![typed]), &with_index(&["account_id"]), &[])
    };
    let fixes = typed(1700);
    assert_eq!((fixes.len(), fixes[0].code), (1, "implicit_cast"));
    assert_eq!(rewritten(&fixes[0]), Some("SELECT note FROM orders WHERE account_id = $1::BIGINT"));
    assert!(typed(20).is_empty() && typed(23).is_empty() && typed(0).is_empty());
    let plan = Plan::parse(
        r#"[{"Plan": {"Node Type": "Seq Scan", "Relation Name": "orders", "Alias": "o",
        "Filter": "((o.account_id)::numeric = '5'::numeric)"}}]"#,
    );
    let text = "select note from orders o where account_id = $1";
    let fixes = findings(&observed(text, vec![]), &with_index(&["account_id"]), &[plan.expect("a plan")]);
    assert_eq!(fixes.iter().map(|fix| fix.code).collect::<Vec<_>>(), ["implicit_cast"]);
}

#[test]
fn plans_keep_findings_quiet() {
    let plan = |node: &str| {
        let text = format!(
            r#"[{{"Plan": {{"Node Type": "{node}", "Relation Name": "orders", "Filter": "(NOT (hashed SubPlan 1))"}}}}]"#
        );
        Plan::parse(&text).expect("a plan")
    };
    let codes = |text: &str, plan: Plan| {
        let one = observed(text, vec![sample(text, &[])]);
        findings(&one, &with_index(&["created_at"]), &[plan]).iter().map(|fix| fix.code).collect::<Vec<_>>()
    };
    let by_day = "select note from orders where created_at::date = '2024-05-05'";
    assert_eq!(codes(by_day, plan("Seq Scan")), ["rewrite_sargable"]);
    assert_eq!(codes(by_day, plan("Index Scan")), Vec::<&str>::new());
    let outside = "select id from accounts where id not in (select account_id from orders)";
    assert_eq!(codes(outside, plan("Seq Scan")), Vec::<&str>::new(), "hashed, it runs once");
}

#[test]
fn loops_are_told_with_their_caller() {
    let text = "select name from accounts where id = $1";
    let mut one = observed(text, vec![sample(text, &["5"])]);
    one.habits = Habits {
        transactions: 10,
        most_in_one: 120,
        in_loops: 9,
        looped: 950,
        callers: vec![("route=checkout".to_owned(), 900)],
    };
    let fixes = findings(&one, &shop(), &[]);
    assert_eq!((fixes.len(), fixes[0].code), (1, "n_plus_one"));
    assert!(fixes[0].title.contains("route=checkout"));
    assert_eq!(rewritten(&fixes[0]), Some("SELECT name, id FROM accounts WHERE id = ANY($1)"));
    let saves = fixes[0].saves.expect("some");
    assert!((saves - (950.0 - 18.0) * 0.05).abs() < 1e-6, "{saves}");
    one.habits.looped = 300;
    assert!(findings(&one, &shop(), &[]).is_empty(), "most calls are in no loop");
}

#[test]
fn clocks_tell_of_waiting() {
    let text = "select name from accounts where id = $1";
    let with = |change: &dyn Fn(&mut Sums)| {
        let mut one = observed(text, vec![sample(text, &["5"])]);
        change(&mut one.sums);
        findings(&one, &shop(), &[]).iter().map(|fix| fix.code).collect::<Vec<_>>()
    };
    assert_eq!(with(&|_| {}), Vec::<&str>::new());
    let starved = |sums: &mut Sums| {
        sums.micros[0] = 30_000_000;
        (0..1000).for_each(|_| sums.times[0].add(30_000));
    };
    assert_eq!(with(&starved), ["pool_starved"]);
    let drained = |sums: &mut Sums| {
        sums.micros[3] = 200_000_000;
        sums.micros[TOTAL] = 250_000_000;
    };
    assert_eq!(with(&drained), ["slow_client"]);
    let fetched = |sums: &mut Sums| {
        (sums.bytes, sums.rows) = (2_000_000_000, 9_000_000);
        sums.micros[2] = 40_000_000;
    };
    let text = "select * from orders";
    let mut one = observed(text, vec![sample(text, &[])]);
    fetched(&mut one.sums);
    let fixes = findings(&one, &shop(), &[]);
    assert_eq!(fixes.iter().map(|fix| fix.code).collect::<Vec<_>>(), ["over_fetch"]);
    let text = "update orders set kind = 3 where id = $1";
    let mut one = observed(text, vec![sample(text, &["5"])]);
    (0..900).for_each(|_| one.sums.times[1].add(1_000));
    (0..100).for_each(|_| one.sums.times[1].add(800_000));
    one.sums.longest = 900_000;
    let codes = |one: &Observed| findings(one, &shop(), &[]).iter().map(|fix| fix.code).collect::<Vec<_>>();
    assert_eq!(codes(&one), ["lock_wait"]);
    one.text = "update orders set kind = 3 where kind = $1".to_owned();
    one.samples = vec![sample(&one.text, &["5"])];
    assert_eq!(codes(&one), Vec::<&str>::new());
}

#[test]
fn what_is_wrong_with_a_database() {
    let mut schema = shop();
    schema.tables[0].activity.stale = 500_000;
    schema.tables[0].activity.dead = 900_000;
    schema.tables[0].foreign_keys.push(ForeignKey {
        name: "orders_account_fk".to_owned(),
        columns: vec!["account_id".to_owned()],
        to: 2,
        action: 'c',
    });
    let codes = |schema: &Schema| of_schema(schema).iter().map(|fix| fix.code).collect::<Vec<_>>();
    assert_eq!(codes(&schema), ["analyze", "vacuum"], "no account was deleted");
    schema.tables[1].activity.deleted = 300;
    assert_eq!(codes(&schema), ["analyze", "vacuum", "foreign_key"]);
    let fixes = of_schema(&schema);
    let Action::Sql { run, undo, concurrently } = &fixes[2].action else { panic!("{:?}", fixes[2]) };
    assert_eq!(
        run,
        &["CREATE INDEX CONCURRENTLY orders_account_id_idx ON public.orders USING btree (account_id)"]
    );
    assert_eq!(undo, &["DROP INDEX CONCURRENTLY public.orders_account_id_idx"]);
    assert!(concurrently);
    schema.tables[0].indexes.push(index(90, 1, "there", &["account_id", "kind"], false));
    assert_eq!(codes(&schema), ["analyze", "vacuum"]);
    assert!(codes(&shop()).is_empty());
}

#[test]
fn partitions_without_their_key() {
    let mut schema = shop();
    for number in 0..4 {
        let mut part = table(40 + number, &format!("events_{number}"), 1e6, 20_000);
        part.parent = Some(4);
        schema.tables.push(part);
    }
    let codes = |text: &str| found(text, &[], &schema).iter().map(|fix| fix.code).collect::<Vec<_>>();
    assert_eq!(codes("select id from events where account_id = 5"), ["missing_partition_key"]);
    assert!(codes("select id from events where account_id = 5 and at > '2024-10-01'").is_empty());
    assert!(codes("select id from orders where account_id = 5").is_empty());
}

#[test]
fn estimates_that_are_off() {
    let text = "select note from orders where kind = $1 and code = $2";
    let mut one = observed(text, vec![sample(text, &["5", "a"])]);
    one.sums.rows = 5_000_000;
    one.by = vec![(Who { user: "app".to_owned(), ..Who::default() }, 1000)];
    let plan = |rows: f64, cost: f64, settings: &str| {
        let text = format!(
            r#"[{{"Plan": {{"Node Type": "Index Scan", "Plan Rows": {rows}, "Total Cost": {cost}}}, "Settings": {{{settings}}}}}]"#
        );
        Plan::parse(&text).expect("a plan")
    };
    let codes = |one: &Observed, schema: &Schema, plans: &[Plan]| {
        findings(one, schema, plans).iter().map(|fix| fix.code).collect::<Vec<_>>()
    };
    assert_eq!(codes(&one, &shop(), &[plan(40.0, 10.0, "")]), ["extended_statistics"]);
    assert!(codes(&one, &shop(), &[plan(4_000.0, 10.0, "")]).is_empty());
    let mut stale = shop();
    stale.tables[0].activity.stale = 1_000_000;
    assert!(codes(&one, &stale, &[plan(40.0, 10.0, "")]).is_empty(), "ANALYZE comes first");
    let generic = plan(5_000.0, 90_000.0, r#""plan_cache_mode": "force_generic_plan""#);
    assert_eq!(codes(&one, &shop(), &[plan(5_000.0, 50.0, ""), generic.clone()]), ["generic_plan"]);
    assert!(codes(&one, &shop(), &[plan(5_000.0, 50_000.0, ""), generic]).is_empty());
}

#[test]
fn what_has_become_slower() {
    let era = |millis: u64, rows: u64, application: &str| {
        let mut sums = Sums { calls: 100, timed: 100, rows, longest: millis * 1_000, ..Sums::default() };
        (0..100).for_each(|_| sums.times[TOTAL].add(millis * 1_000));
        sums.micros[TOTAL] = millis * 100_000;
        Era { sums, applications: [application.to_owned()].into() }
    };
    let plan = |kind: &str| {
        let text =
            format!(r#"[{{"Plan": {{"Node Type": "{kind}", "Relation Name": "orders", "Plan Rows": 1}}}}]"#);
        Plan::parse(&text).expect("a plan")
    };
    let known = |kind: &str, rows: f64, seen| {
        let planned = Planned { rows, ..Planned::of(1, &plan(kind), &shop()) };
        KnownPlan { planned, seen }
    };
    let of = |turn: Turn, plans: &[Plan]| {
        let text = "select note from orders where id = $1";
        let one = Observed { turn: Some(turn), ..observed(text, vec![]) };
        let mut fixes = findings(&one, &shop(), plans);
        fixes.retain(|fix| fix.code == "plan_regression");
        assert_eq!(fixes.len(), 1);
        fixes.remove(0)
    };
    let turn = |plans: Vec<KnownPlan>| Turn {
        at: 86_400,
        before: era(20, 100, "shop-1"),
        after: era(90, 100, "shop-1"),
        plans,
    };
    let causes = |fix: &Fix| fix.evidence.iter().filter(|line| line.contains("at the same time")).count();
    let rows = shop().tables.iter().find(|table| table.name == "orders").expect("it is there").rows;
    let fix = of(turn(vec![known("Index Scan", rows, (10, 86_000))]), &[plan("Seq Scan")]);
    assert!(
        fix.evidence[0].starts_with("since 1970-01-02 00:00 UTC one call in twenty takes 90.0 ms"),
        "{fix:?}"
    );
    assert!(
        fix.evidence[1].ends_with("its plan is Seq Scan on orders, and was Index Scan on orders"),
        "{fix:?}"
    );
    assert_eq!((causes(&fix), fix.proof, fix.saves), (1, Proof::Measured, Some(7.0)));
    // A plan that was there before is no other one, whatever else was.
    let both = vec![known("Index Scan", rows, (10, 86_000)), known("Seq Scan", rows, (10, 50_000))];
    let fix = of(turn(both), &[plan("Seq Scan")]);
    assert_eq!(causes(&fix), 0);
    let Action::Code { change, .. } = &fix.action else { panic!("{fix:?}") };
    assert!(change.starts_with("nothing else is seen to have changed"), "{change}");
    assert_eq!(causes(&of(turn(vec![known("Index Scan", rows, (90_000, 90_000))]), &[plan("Seq Scan")])), 0);
    let fix = of(turn(vec![known("Seq Scan", rows / 3.0, (10, 50_000))]), &[plan("Seq Scan")]);
    assert!(causes(&fix) == 1 && fix.evidence[1].contains("the table has"), "{fix:?}");
    let deployed = Turn { after: era(90, 9_000, "shop-2"), ..turn(vec![]) };
    let fix = of(deployed, &[]);
    assert!(fix.evidence[1].ends_with("it gives 90 rows a call, and gave 1"), "{fix:?}");
    assert!(fix.evidence[2].ends_with("shop-2 sends it, and shop-1 did"), "{fix:?}");
    let mut waits = turn(vec![]);
    (waits.after.sums.micros[0], waits.before.sums.micros[0]) = (6_900_000, 0);
    assert!(of(waits, &[]).evidence[1].ends_with("waiting for a server of the pool"));
}

/// Codes of what is found of a shape with these habits.
fn of_habits(rests: Rests, begun: Begun) -> Vec<Fix> {
    let mut one = observed("select title from plans where id = $1", vec![]);
    one.sums.habits = crate::stats::tally::Habits { blocks: 100, rests, begun, ..Default::default() };
    one.by = vec![(Who { application: "shop".to_owned(), ..Who::default() }, 100)];
    findings(&one, &shop(), &[])
}

#[test]
fn transactions_that_talk_much_and_those_that_wait() {
    let codes = |fixes: &[Fix]| fixes.iter().map(|fix| fix.code).collect::<Vec<_>>();
    let begun = |trips: u64, looped: u64, idle_millis: u64| Begun {
        count: 100,
        statements: trips * 100,
        trips: trips * 100,
        looped: looped * 100,
        micros: 20_000_000,
        idle: idle_millis * 100_000,
    };
    let chatty = of_habits(Rests::default(), begun(50, 0, 150));
    assert_eq!(codes(&chatty), ["chatty_transaction"]);
    assert!(chatty[0].saves.is_some_and(|saves| (saves - 7.5).abs() < 1e-9), "{chatty:?}");
    assert!(chatty[0].title.contains("of shop that begin with select title"), "{}", chatty[0].title);
    assert!(
        chatty[0].evidence[0].contains("100 transactions")
            && chatty[0].evidence[0].contains("50 round trips")
    );
    for (begun, why) in [
        (begun(19, 0, 150), "few round trips"),
        (begun(50, 0, 90), "most of the time is the server's"),
        (begun(50, 45, 150), "it is a loop, which has a finding of its own"),
        (begun(50, 0, 3_000), "pauses are no conversation"),
        (Begun { count: 9, ..begun(50, 0, 150) }, "seldom"),
    ] {
        let found = of_habits(Rests::default(), begun);
        assert!(found.is_empty(), "{why}: {found:?}");
    }
    let short = Begun { micros: 500_000, idle: 400_000, ..begun(50, 0, 0) };
    assert!(of_habits(Rests::default(), short).is_empty(), "4 ms are no matter");
    let rests = |count, seconds: f64, longest: f64| Rests {
        count,
        micros: (seconds * 1e6) as u64,
        longest: (longest * 1e6) as u64,
    };
    let idle = of_habits(rests(4, 6.0, 3.0), Begun::default());
    assert_eq!(codes(&idle), ["idle_in_transaction"]);
    assert!(idle[0].evidence[0].contains("1.5 s on average, 3.0 s at the longest, 4 times"), "{idle:?}");
    assert_eq!(codes(&of_habits(rests(1000, 61.0, 61.0), Begun::default())), ["idle_in_transaction"]);
    for rests in [rests(2, 6.0, 3.0), rests(1000, 100.0, 59.0), Rests::default()] {
        assert!(of_habits(rests, Begun::default()).is_empty(), "{rests:?}");
    }
}

#[test]
fn rules_of_pgweir_are_for_hot_reads_of_what_is_seldom_written() {
    let shape = |fingerprint: u128, text: &str, calls: u64| {
        let mut one = observed(text, vec![sample(text, &["3"])]);
        one.fingerprint = fingerprint;
        one.by = vec![(Who { database: "a \"shop\"".to_owned(), ..Who::default() }, calls)];
        one.sums.calls = calls;
        one.sums.served[0] = calls;
        one
    };
    let workload = |reads: u64, writes: u64, text: &str| Workload {
        window: Duration::from_secs(600),
        shapes: vec![shape(1, text, reads), shape(2, "update plans set title = 'x' where id = $1", writes)],
    };
    let schema = shop();
    let codes = |workload: &Workload| {
        of_workload(workload, &schema, &|_| vec![]).iter().map(|fix| fix.code).collect::<Vec<_>>()
    };
    let text = "select title from plans where id = $1";
    let fixes = of_workload(&workload(100_000, 3, text), &schema, &|_| vec![]);
    assert_eq!(fixes.iter().map(|fix| fix.code).collect::<Vec<_>>(), ["cache"]);
    let Action::Rule(rule) = &fixes[0].action else { panic!("{:?}", fixes[0]) };
    assert!(
        rule.contains("mode = \"shadow\"")
            && rule.contains("fingerprint = \"00000000000000000000000000000001\"")
    );
    let parsed: toml::Value = toml::from_str(rule).unwrap_or_else(|error| panic!("{error}: {rule}"));
    assert_eq!(parsed["rule"][0]["when"]["database"].as_str(), Some("a \"shop\""));
    assert!(codes(&workload(100_000, 50_000, text)).is_empty(), "written too often");
    let saves = |text: &str| {
        let fixes = of_workload(&workload(100_000, 1_900, text), &schema, &|_| vec![]);
        fixes.iter().find(|fix| fix.code == "cache").expect("it is hot").saves
    };
    let one = saves("select title from plans").expect("there is one answer");
    let seconds = observed("select 1", vec![]).sums.micros[TOTAL] as f64 / 1e6;
    let (hits, day) = (1.0 - 1_902.0 / 100_000.0, 86_400.0 / 600.0);
    assert!((one - seconds * hits * day).abs() < 1e-6, "{one}");
    assert_eq!(saves("select title from plans where title > $1"), None, "nobody knows how many there are");
    assert!(codes(&workload(100, 0, text)).is_empty(), "not hot");
    assert!(
        codes(&workload(100_000, 0, "select title from plans where id = $1 and random() < 0.5")).is_empty()
    );
    assert!(codes(&workload(100_000, 0, "select title from plans where id = $1 for update")).is_empty());
}

#[test]
fn seconds_a_day_and_equal_fixes_are_one() {
    let text = "select count(*) from orders";
    let mut shapes: Vec<Observed> = (1..=2)
        .map(|fingerprint| Observed { fingerprint, ..observed(text, vec![sample(text, &[])]) })
        .collect();
    let schema = shop();
    let of = |shapes: &[Observed]| {
        let workload = Workload { window: Duration::from_secs(3600), shapes: shapes.to_vec() };
        of_workload(&workload, &schema, &|_| vec![])
    };
    let fixes = of(&shapes);
    assert_eq!((fixes.len(), fixes[0].helps.clone()), (1, vec![1, 2]));
    let saves = fixes[0].saves.expect("some");
    assert!((saves - 2.0 * 24.0 * 50.0 * 0.99).abs() < 1e-6, "{saves}");
    shapes.reverse();
    assert_eq!(format!("{:?}", of(&shapes)), format!("{fixes:?}"));
}

#[test]
fn codes_are_names_of_their_own_and_every_finding_has_one() {
    let names: BTreeSet<&str> = CODES.iter().map(|code| code.name).collect();
    assert_eq!(names.len(), CODES.len());
    let sources = [
        "written.rs",
        "around.rs",
        "estimates.rs",
        "clocks.rs",
        "database.rs",
        "moments.rs",
        "memory.rs",
        "transactions.rs",
        "pgweir.rs",
    ];
    let folder = std::path::Path::new(file!()).with_file_name("");
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut said = BTreeSet::new();
    for source in sources {
        let text = std::fs::read_to_string(root.join(&folder).join(source)).expect("the source is there");
        let text: String = text.split_whitespace().collect();
        said.extend(
            text.split("fix(\"").skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned),
        );
    }
    assert_eq!(said.iter().map(String::as_str).collect::<BTreeSet<_>>(), names);
}

#[test]
fn the_page_is_committed_as_generated() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guide/findings.md");
    let found = std::fs::read_to_string(path).unwrap_or_default();
    let command = "cargo run -- generate findings-page > docs/guide/findings.md";
    assert!(found == page(), "docs/guide/findings.md is not as generated; run: {command}");
}

#[test]
fn what_is_said_of_indexes_has_a_code() {
    let source = include_str!("../existing.rs");
    let said = source.split('"').filter(|word| word.ends_with("_index") && !word.contains(' '));
    let said: BTreeSet<&str> = said.chain(["index"]).collect();
    assert_eq!(said, OF_INDEXES.iter().map(|code| code.name).collect());
    assert_eq!(all().map(|code| code.name).collect::<BTreeSet<_>>().len(), all().count());
}

#[test]
fn all_of_an_index_is_the_whole_table_where_no_limit_stops_it() {
    let text = "select note from orders where created_at::date = '2024-05-05'";
    let one = observed(text, vec![sample(text, &[])]);
    let codes = |plan: &str| {
        let plan = Plan::parse(plan).expect("a plan");
        findings(&one, &with_index(&["created_at"]), &[plan]).iter().map(|fix| fix.code).collect::<Vec<_>>()
    };
    let scan = r#"{"Node Type": "Index Only Scan", "Relation Name": "orders", "Schema": "public", "Total Cost": 9000"#;
    assert_eq!(codes(&format!(r#"[{{"Plan": {scan}, "Filter": "x"}}}}]"#)), ["rewrite_sargable"]);
    assert_eq!(codes(&format!(r#"[{{"Plan": {scan}, "Index Cond": "x"}}}}]"#)), [""; 0]);
    let limited = format!(r#"[{{"Plan": {{"Node Type": "Limit", "Total Cost": 9, "Plans": [{scan}}}]}}}}]"#);
    assert_eq!(codes(&limited), [""; 0]);
}

#[test]
fn rows_that_are_all_read_to_look_for_a_few_are_looked_up_instead() {
    let plan = r#"[{"Plan": {"Node Type": "Index Scan", "Relation Name": "accounts", "Schema": "public", "Total Cost": 9000,
        "Index Cond": "(name = 'x'::text)", "Filter": "(NOT (hashed SubPlan 1))"}}]"#;
    let plan = Plan::parse(plan).expect("a plan");
    let fixes = |condition: &str| {
        let text = format!(
            "select id from accounts where {condition} and id not in (select account_id from orders)"
        );
        findings(&observed(&text, vec![sample(&text, &[])]), &shop(), std::slice::from_ref(&plan))
    };
    let found = fixes("name = 'x'");
    assert_eq!(found.iter().map(|fix| fix.code).collect::<Vec<_>>(), ["rewrite_not_exists"]);
    assert!(
        found[0].evidence[0].starts_with("each call reads all of the inner query, as many as 2000000 rows")
    );
    // Nearly as many are looked for as there are: a hash of them is what is fastest.
    assert_eq!(fixes("id > 0").len(), 0);
}
