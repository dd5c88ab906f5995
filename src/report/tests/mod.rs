//! One content in four forms: what they have, that they fit, and that nothing in them is more than words.

mod golden;
mod hostile;
mod schema;

use std::collections::HashMap;

use super::*;
use crate::advice::{Action, Fix, Plan, Price, Proof, Verdict};
use crate::slow::Series;
use crate::stats::tally::{Answer, Served};
use crate::store::StoredValue;
use crate::store::marks::{Kind, Mark};
use crate::store::read::History;

/// When the time of the samples begins.
pub(super) const START: i64 = 1_795_988_640;

pub(super) fn who(application: &str) -> Who {
    Who { database: "shop".into(), user: "app".into(), application: application.into() }
}

/// What happened in that hour: a deployment, right behind it another of one pgweir, and an index that came and another that went.
pub(super) fn marks(deployed: &str, index: &str) -> Vec<Mark> {
    let mark = |kind, (since, at): (i64, i64), instance: &str, text: &str| Mark {
        at: START + at,
        since: START + since,
        kind,
        instance: instance.into(),
        database: if kind == Kind::Deploy { String::new() } else { "shop".into() },
        text: text.into(),
    };
    vec![
        mark(Kind::Deploy, (0, 0), "", deployed),
        mark(Kind::Deploy, (900, 900), "", deployed),
        mark(Kind::Deploy, (960, 960), "proxy-1", "v1.2.4"),
        mark(Kind::IndexCame, (1800, 2400), "proxy-1", index),
        mark(Kind::IndexWent, (-600, 3000), "proxy-1", index),
    ]
}

/// Statements with their times, over an hour.
pub(super) fn history() -> History {
    let mut history = History { between: Some((START, START + 3600)), missing: 7, ..History::default() };
    history.begins = Some(START);
    history.instances.push("proxy-1".into());
    history.series = Series::new(START, START + 3600, PARTS);
    history.numbers = HashMap::from([(1, 4), (2, 7), (3, 12)]);
    history.marks = marks("v1.2.3", "orders_account_id_idx on orders(account_id)");
    let mut add = |application: &str, fingerprint: u128, text: &str, calls: u64, times: [u64; 5]| {
        let mut sums = Sums::default();
        let answer =
            Answer { served: Served::Primary, rows: 3, bytes: 1000, error: None, times: Some(times) };
        (0..calls).for_each(|_| sums.add(&answer));
        sums.add(&Answer { served: Served::Cache, times: None, error: Some(*b"40"), ..answer });
        for minute in 0..60 {
            let micros = sums.micros[TOTAL] / 1830 * (minute as u64 + 1);
            history.series.add(fingerprint, (START + minute * 60, 60), calls / 60, micros);
        }
        history.counted.add(who(application), fingerprint, text.into(), sums);
    };
    let long = format!(
        "select {} from orders where account_id = ? order by created_at desc limit ?",
        ["column_with_a_name"; 30].join(", ")
    );
    add("web", 1, &long, 100, [0, 150_000, 100, 0, 150_100]);
    add("jobs", 1, &long, 10, [0, 150_000, 100, 0, 150_100]);
    add("web", 2, "update accounts set n = n + ? where id = ?", 2000, [20_000, 30_000, 0, 90, 50_090]);
    add("web", 3, "select ?", 1, [0, 80, 0, 0, 80]);
    add("web", 0, "", 500, [0, 10, 0, 0, 10]);
    history
}

pub(super) fn scope(most: usize) -> Scope {
    Scope { origin: Origin::Store, name: "/var/lib/history.db".into(), window: (START, START + 3600), most }
}

pub(super) fn sample(most: usize) -> Report {
    Report::of(scope(most), &history(), None)
}

const PLAN: &str = r#"[{"Plan": {"Node Type": "Limit", "Total Cost": 9000.5, "Plan Rows": 10, "Plans": [
    {"Node Type": "Sort", "Sort Key": ["created_at DESC"], "Total Cost": 9000, "Plan Rows": 400, "Plans": [
    {"Node Type": "Seq Scan", "Relation Name": "orders", "Schema": "public", "Total Cost": 8800, "Plan Rows": 400,
     "Filter": "((account_id = 4711) AND (email = 'somebody@example.com'::text))"}]}]}}]"#;

/// An advice of all kinds.
pub(super) fn advice() -> Advice {
    let fix = |code: &'static str,
               title: &str,
               action: Action,
               helps: &[u128],
               saves: Option<f64>,
               proof: Proof| Fix {
        code,
        title: title.into(),
        evidence: vec!["every call reads 400 rows, and throws 390 away".into()],
        action,
        helps: helps.to_vec(),
        saves,
        price: Price::default(),
        proof,
    };
    let sql = |run: &str, undo: &str| Action::Sql {
        run: vec![run.into()],
        undo: vec![undo.into()],
        concurrently: true,
    };
    let mut index = fix(
        "index",
        "index orders(account_id, created_at)",
        sql(
            "CREATE INDEX CONCURRENTLY orders_account_id_created_at_idx ON public.orders USING btree (account_id, created_at DESC)",
            "DROP INDEX CONCURRENTLY public.orders_account_id_created_at_idx",
        ),
        &[1],
        Some(340.0),
        Proof::Planner { better: 12, samples: 12 },
    );
    index.price = Price { bytes: 13_000_000, writes: 0.9 };
    let mut unused = fix(
        "drop_index",
        "drop index orders_account_id_idx: the new one serves what it does",
        sql(
            "DROP INDEX CONCURRENTLY orders_account_id_idx",
            "CREATE INDEX CONCURRENTLY orders_account_id_idx ON orders (account_id)",
        ),
        &[],
        None,
        Proof::Pattern,
    );
    unused.price = Price { bytes: -3_000_000, writes: -0.2 };
    let code = Action::Code {
        change: "ask for all users at once".into(),
        rewritten: Some("select * from users where id = any($1)".into()),
    };
    let rule = Action::Rule("[[rule]]\nname = \"plans\"\nmode = \"shadow\"\n".into());
    Advice {
        fixes: vec![
            fix("cache_rule", "keep the list of plans, ttl 30 s", rule, &[3], Some(12.0), Proof::Simulated),
            index,
            fix(
                "n_plus_one",
                "N+1 in checkout: users by id, 214 in a transaction",
                code,
                &[2],
                Some(1140.0),
                Proof::Measured,
            ),
            unused,
        ],
        verdicts: vec![
            Verdict {
                fingerprint: 1,
                fixes: vec![1],
                why: "a sequential scan of orders throws 97 % of its rows away".into(),
                plan: Plan::parse(PLAN).ok(),
            },
            Verdict {
                fingerprint: 2,
                fixes: vec![2],
                why: "it is sent 214 times in a transaction".into(),
                plan: None,
            },
        ],
        rejected: vec![Rejected {
            what: "index orders(status)".into(),
            shapes: vec![1],
            why: "half of all rows have the value".into(),
        }],
        notes: vec!["pg_stats of audit may not be read: nothing is proposed for it".into()],
    }
}

/// Calls of the statement that is 1, as the store keeps them: of one value in clear, and of one by its hash.
pub(super) fn samples(clear: &str) -> Vec<Stored> {
    let sample = |account: &str, status: &str, micros, calls| Stored {
        database: "shop".into(),
        fingerprint: 1,
        origin: "slowest".into(),
        text: "select * from orders where account_id = $1 and status = $2".into(),
        values: vec![StoredValue::Hash(account.into()), StoredValue::Clear(status.into())],
        types: vec![0, 0],
        micros,
        calls,
    };
    vec![
        sample("3fa29c0011223344", "paid", 3_400, 1200),
        sample("77bb9c0011223344", "paid", 5_100, 4),
        sample("3fa29c0011223344", clear, 480_000, 3),
        sample("90aa9c0011223344", clear, 610_000, 0),
        sample("90aa9c0011223344", "open", 22_000, 70),
        sample("3fa29c0011223344", "open", 31_000, 9),
    ]
}

/// An advice with several indexes, the largest of which helps what another one helps.
pub(super) fn several() -> Advice {
    let mut advice = advice();
    let index = advice.fixes[1].clone();
    let more = [
        ("index accounts(region)", 90.0, 4_000_000, 2),
        ("index orders(status, created_at) WHERE (status = 'open'::text)", 280.0, 41_000_000, 1),
        (
            "index line_items(order_id) INCLUDE (sku, quantity, price_in_cents, currency, warehouse)",
            31.0,
            150_000_000,
            3,
        ),
    ];
    advice.fixes.extend(more.map(|(title, saves, bytes, helps)| Fix {
        title: title.to_owned(),
        saves: Some(saves),
        price: Price { bytes, writes: bytes as f64 / 2e7 },
        helps: vec![helps],
        action: Action::Sql {
            run: vec![format!("CREATE INDEX CONCURRENTLY ON {title}")],
            undo: vec![],
            concurrently: true,
        },
        ..index.clone()
    }));
    advice
}

/// With advice, beside a time before.
pub(super) fn advised() -> Report {
    let mut report = Report::of(scope(10), &history(), Some(&advice()));
    let mut before = sample(10).as_before("the hour before".into());
    before.is_complete = true;
    before.statements.remove(&3);
    if let Some(one) = before.statements.get_mut(&1) {
        one.p95 = Some(21_000);
        one.scanned = Some(vec![]);
    }
    before.statements.insert(
        9,
        Figures { text: "select gone".into(), calls: 100, micros: 90_000_000, ..Figures::default() },
    );
    let mut statements = ids::Names::of_statements(&history().numbers);
    let keys: Vec<u128> = report.fixes.iter().map(|one| one.key).collect();
    let mut fixes = ids::Names::of_fixes(&keys.iter().zip(1..).map(|(key, n)| (*key, n)).collect());
    report.others = Sums::default();
    report.take_samples(&samples("refunded"));
    report.beside(before, &mut statements, &mut fixes);
    report
}

#[test]
fn statements_are_ordered_by_time_and_nothing_is_left_out_of_the_sums() {
    let report = sample(2);
    assert_eq!(
        (report.shapes, report.statements.len(), report.all.calls, report.others.calls),
        (3, 2, 2616, 501)
    );
    assert_eq!(
        report.statements.iter().map(|one| (one.fingerprint, &*one.id)).collect::<Vec<_>>(),
        [(2, "Q7"), (1, "Q4")]
    );
    assert_eq!(report.statements[1].by, [(who("web"), 101), (who("jobs"), 11)]);
    assert_eq!(report.database_time(), 110 * 150_100 + 2000 * 30_000 + 80 + 5000);
    assert_eq!(report.seconds(), 3600.0);
    let series: f64 = report.series.shapes.values().flatten().map(|slot| slot.micros).sum();
    assert!((series / report.all.micros[TOTAL] as f64 - 1.0).abs() < 0.01, "{series}");
}

#[test]
fn fixes_are_in_groups_and_the_dearest_comes_first() {
    let report = advised();
    let listed: Vec<_> = report.fixes.iter().map(|one| (&*one.id, one.fix.code, one.group.code())).collect();
    assert_eq!(
        listed,
        [
            ("FIX-1", "n_plus_one", "not_an_index"),
            ("FIX-2", "index", "index"),
            ("FIX-3", "cache_rule", "pgweir"),
            ("FIX-4", "drop_index", "repair"),
        ]
    );
    assert_eq!(report.statements[1].fixes, ["FIX-2"]);
    assert_eq!(report.fixes[1].price(), "13 MB, +900 ms of writes a day");
    assert_eq!(report.fixes[3].price(), "frees 3.0 MB, -200 ms of writes a day");
}

#[test]
fn what_changed_is_told_and_what_is_not_known_is_not() {
    let report = advised();
    let changes: Vec<_> = report.statements.iter().map(|one| report.change(one)).collect();
    // Of the first nothing changed; the last is new, and takes next to no time.
    assert_eq!(changes, [None, Some(Change::Slower(21_000)), None]);
    assert_eq!(report.new_scans(&report.statements[1]), Some(vec!["public.orders".to_owned()]));
    assert_eq!(report.new_scans(&report.statements[0]), None, "no plan is known");
    assert_eq!(report.gone().iter().map(|one| one.0).collect::<Vec<_>>(), [9]);
    let alone = sample(10);
    assert!(alone.statements.iter().all(|one| alone.change(one).is_none()) && alone.gone().is_empty());
}

#[test]
fn a_gate_finds_what_it_is_for_and_refuses_what_cannot_be_told() {
    let codes = gate::parse("new_seq_scan, n_plus_one,slower,lock_wait").expect("they are known");
    let found = advised().found(&codes).expect("all can be told");
    let names: Vec<_> = found.iter().map(|one| (&*one.code, one.what.len())).collect();
    assert_eq!(names, [("new_seq_scan", 1), ("n_plus_one", 1), ("slower", 1)]);
    assert!(
        found[0].what[0].starts_with("Q4 reads all of public.orders: select column_with_a_name"),
        "{found:?}"
    );
    let refused =
        |text: &str| gate::parse(text).and_then(|codes| sample(10).found(&codes)).expect_err("refused");
    assert!(refused("n_plus_on").starts_with("there is no `n_plus_on`; did you mean `n_plus_one`?"));
    gate::parse("unused_index, foreign_key, cache, replica").expect("what advice finds may be named");
    let mut of_log = advised();
    let codes = gate::parse("plan_regression").expect("it is known");
    assert_eq!(of_log.found(&codes), Ok(vec![]));
    of_log.scope.origin = Origin::Log;
    let untold = of_log.found(&codes).expect_err("refused");
    assert!(untold.contains("needs what pgweir itself counts"), "{untold}");
    assert!(refused("slower").contains("needs --diff"));
    assert!(refused("n_plus_one").contains("needs advice"));
    assert!(refused("new_seq_scan").contains("needs --diff"));
}

#[test]
fn what_happened_is_on_the_picture_and_told_in_every_form() {
    let report = advised();
    let picture = report.time_by_shape().expect("there are times");
    assert!(
        picture.alternative.contains("Marked: A at ") && picture.alternative.contains("deploy v1.2.3"),
        "{picture:?}"
    );
    let html = picture.html();
    assert_eq!(
        (html.matches("class=\"mark deploy\" x1").count(), html.matches("class=\"mark index\" x1").count()),
        (4, 3)
    );
    assert_eq!(html.matches("class=\"between\"").count(), 2, "only what was noticed has a time before it");
    // Two that are near each other have one letter; both are in the list.
    let letters: Vec<_> =
        html.split("text-anchor=").skip(1).filter_map(|one| one.split(['>', '<']).nth(1)).collect();
    assert_eq!(letters, ["A", "B", "C", "D"]);
    for form in [report.text(false), report.markdown(), report.html()] {
        let form = form.replace("\\", "");
        for part in [
            "v1.2.3",
            "v1.2.4",
            "orders_account_id_idx on orders(account_id)",
            "came, in shop",
            "went, in shop",
        ] {
            assert!(form.contains(part), "{part} is not in {form}");
        }
    }
    let value: serde_json::Value = serde_json::from_str(&report.json()).expect("it is JSON");
    assert_eq!(
        (&value["marks"][1]["kind"], &value["marks"][1]["text"]),
        (&"deploy".into(), &"v1.2.3".into())
    );
    assert_eq!(
        (&value["marks"][3]["since"], &value["marks"][3]["at"]),
        (&(START + 1800).into(), &(START + 2400).into())
    );
    let without = Report::of(scope(10), &History { marks: vec![], ..history() }, None);
    assert!(!without.html().contains("What happened") && !without.html().contains("class=\"letters\""));
}

#[test]
fn times_by_values_are_told_in_every_form_without_values_that_may_not_be_seen() {
    let report = advised();
    let words = "Times of 6 calls that were kept, by $2 (orders.status). 'refunded' 480 ms to 610 ms, 2 calls; seen about 3 times; \
        'open' 22 ms to 31 ms, 2 calls; seen about 79 times; 'paid' 3.4 ms to 5.1 ms, 2 calls; seen about 1204 times. \
        The slowest took 179 times as long as the fastest.";
    let text = report.text(false).split_ascii_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains(words) && text.contains("by $2 (orders.status): 'refunded' ··"), "{text}");
    assert!(report.markdown().contains("*How long it took, by $2 (orders.status).*"));
    let html = report.html();
    assert!(html.contains(&format!("aria-label=\"{}\"", picture::escaped(words))), "{html}");
    assert_eq!(html.matches("<circle").count(), 6);
    let value: serde_json::Value = serde_json::from_str(&report.json()).expect("it is JSON");
    let skew = &value["statements"][1]["skew"];
    assert_eq!((&skew["by"], &skew["column"]), (&2.into(), &"orders.status".into()));
    assert_eq!(skew["groups"][0]["times_us"], serde_json::json!([610_000, 480_000]));
    assert!(value["statements"][0]["skew"].is_null(), "nothing is known of the other");
    let mut hidden = sample(10);
    let alone: Vec<Stored> =
        samples("x").into_iter().map(|one| Stored { values: one.values[..1].to_vec(), ..one }).collect();
    hidden.take_samples(&alone);
    assert!(hidden.html().contains("#3fa29c") && !hidden.html().contains("3fa29c0"), "only a sign of it");
}

#[test]
fn what_megabytes_buy_is_in_the_order_of_use_for_size() {
    let mut report = Report::of(scope(10), &history(), Some(&several()));
    let keys: Vec<u128> = report.fixes.iter().map(|one| one.key).collect();
    let numbers = keys.iter().zip(1..).map(|(key, n)| (*key, n)).collect();
    report.named(&mut ids::Names::of_statements(&history().numbers), &mut ids::Names::of_fixes(&numbers));
    let steps: Vec<_> =
        report.budget().into_iter().map(|step| (step.title, step.adds, step.bytes, step.saves)).collect();
    let day = a_day(report.statements[1].sums.micros[TOTAL], 3600.0);
    // The first two of one statement do not save more than it takes; the last may save no more than its statement takes, which is next to nothing.
    let expected = [
        ("index orders(account_id, created_at)", 13_000_000, 13_000_000, 340.0),
        ("index accounts(region)", 4_000_000, 17_000_000, 430.0),
    ];
    for (found, expected) in steps.iter().zip(expected) {
        assert_eq!((found.0.as_str(), found.1, found.2, found.3), expected);
    }
    assert!((day - 396.3).abs() < 0.1, "{day}");
    assert!(steps[2].0.starts_with("index orders(status") && steps[2].2 == 58_000_000, "{steps:?}");
    assert_eq!((steps.len(), steps[3].2), (4, 208_000_000));
    let html = report.html();
    assert_eq!(html.matches("<input type=\"radio\" name=\"budget\"").count(), 4);
    assert_eq!(html.matches(" checked>").count(), 1);
    let stops = html
        .split("<div class=\"said\"")
        .nth(1)
        .and_then(|rest| rest.split("</fieldset>").next())
        .expect("it says");
    assert!(
        stops.contains("<p>17 MB: 2 indexes save 7 m a day, ") && stops.contains("FIX-2, FIX-4."),
        "{stops}"
    );
    for form in [report.text(false), report.markdown().replace("\\", ""), html] {
        let form = form.to_lowercase();
        for part in ["megabytes for indexes, minutes saved", "58 mb", "208 mb", "indexes to drop free 3.0 mb"]
        {
            assert!(form.contains(part), "{part} is not in {form}");
        }
    }
    // One alone is nothing to choose from.
    assert!(!advised().html().contains("fieldset"));
    assert!(html::body(&report.fixes_page()).contains("<fieldset"));
}

/// A history that several pgweirs have counted; one of them has been silent for a while.
pub(super) fn fleet() -> History {
    let mut history = history();
    history.instances = (1..=9).map(|n| format!("eu-{n}")).collect();
    for (n, name) in history.instances.clone().into_iter().enumerate() {
        let mut sums = Sums::default();
        let times = Some([100 * n as u64, 20_000 + 5000 * n as u64, 0, 0, 20_000 + 5100 * n as u64]);
        let answer = Answer { served: Served::Primary, rows: 1, bytes: 100, error: None, times };
        (0..100 * (n + 1)).for_each(|_| sums.add(&answer));
        let last = START + if n == 3 { 1800 } else { 3600 };
        let mut one = ByInstance { sums, last, series: vec![] };
        for minute in 0..if n == 3 { 30 } else { 60 } {
            history.series.share(&mut one.series, (START + minute * 60, 60), 9, 40_000 * (n as u64 + 1));
        }
        history.by_instance.insert(name, one);
    }
    history
}

#[test]
fn pgweirs_of_a_fleet_stand_beside_each_other() {
    let report = Report::of(scope(10), &fleet(), None);
    let text = report.text(false);
    let table = text.split("BY PGWEIR").nth(1).expect("a section");
    let lines: Vec<_> = table.lines().filter(|line| line.starts_with("eu-")).collect();
    assert_eq!(lines.len(), 9, "{table}");
    assert!(
        lines[0].starts_with("eu-9 ") && lines[0].contains(" 900 "),
        "the one with most time is first: {table}"
    );
    assert_eq!(table.matches("silent since").count(), 1, "{table}");
    assert!(text.contains("counted by 9 pgweirs"), "{text}");
    let page = html::body(&report.fleet_page());
    assert!(
        page.contains("Time by pgweir")
            && page.contains("<strong>eu-4</strong>")
            && page.contains("over all, most is that of eu-9."),
        "{page}"
    );
    let value: serde_json::Value = serde_json::from_str(&report.json()).expect("it is JSON");
    assert_eq!(
        (&value["by_instance"][3]["instance"], &value["by_instance"][3]["calls"]),
        (&"eu-4".into(), &400.into())
    );
    // One alone has nothing to stand beside; and where nothing was counted, that is said.
    assert!(!sample(10).text(false).contains("BY PGWEIR"));
    assert!(html::body(&Report::default().fleet_page()).contains("Nothing was counted"));
}

#[test]
fn a_slider_has_few_stops_whatever_there_is() {
    let mut advice = several();
    let index = advice.fixes[1].clone();
    advice.fixes.extend((1..40).map(|n| {
        let price = Price { bytes: n * 1_000_000, writes: 0.0 };
        Fix { title: format!("index t(c{n})"), price, saves: Some(1.0), helps: vec![1], ..index.clone() }
    }));
    let report = Report::of(scope(10), &history(), Some(&advice));
    let html = report.html();
    assert_eq!(html.matches("<input ").count(), 7);
    assert!(html.contains("class=\"slider stops-7\"") && html.contains(": 43 indexes save "), "{html}");
    assert!(report.budget().is_sorted_by(|one, other| one.saves <= other.saves && one.bytes < other.bytes));
}

#[test]
fn a_mark_says_what_a_call_took_before_and_since() {
    let mut history = History { between: Some((START, START + 3600)), ..History::default() };
    history.series = Series::new(START, START + 3600, PARTS);
    for minute in 0..60 {
        history.series.add(1, (START + minute * 60, 60), 30, if minute < 20 { 30 * 9000 } else { 30 * 2000 });
    }
    let sums = Sums { calls: 1800, timed: 1800, micros: [0, 0, 0, 0, 900_000_000], ..Sums::default() };
    history.counted.add(who("web"), 1, "select 1".into(), sums);
    history.marks = vec![Mark::deploy("v2", START + 1200, "").expect("a text")];
    let text = Report::of(scope(10), &history, None).text(false);
    let line = text.lines().find(|line| line.starts_with("A ")).expect("a line");
    let cells: Vec<_> = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
    assert_eq!(cells, ["A", &numbers::moment(START + 1200), "deploy v2", "9.0 ms", "2.0 ms"]);
}

#[test]
fn a_report_without_statements_says_so() {
    let history = History::default();
    let report = Report::of(Scope { window: (0, 10), name: "h.db".into(), ..scope(5) }, &history, None);
    assert!(report.text(false).contains("h.db: no statements since 1970-01-01 00:00 UTC."));
    for form in [report.markdown(), report.html()] {
        assert!(form.contains("no statements since"), "{form}");
    }
}

#[test]
fn pages_of_a_running_pgweir_lead_to_each_other() {
    let scope = Scope { origin: Origin::Live, ..scope(10) };
    let report = Report::of(scope, &history(), Some(&advice()));
    let overview = html::body(&report.overview());
    let statement = format!("href=\"/statement/{:032x}\"", 1);
    let fix = format!("/fixes#{}", parts::anchor(&report.fixes[0].id));
    assert!(overview.contains(&statement) && overview.contains(&fix), "{overview}");
    let fixes = html::body(&report.fixes_page());
    for one in &report.fixes {
        assert!(fixes.contains(&format!("id=\"{}\"", parts::anchor(&one.id))), "{}", one.id);
    }
    assert!(fixes.contains("CREATE INDEX CONCURRENTLY") && fixes.contains("Looked at and rejected"));
    let page = html::body(&report.statement_page(&report.statements[0]));
    assert!(page.starts_with("<h1 id=\"q7\">") && page.contains("/fixes#fix-"), "{page}");
    let unasked = Report::of(Scope { origin: Origin::Live, ..Scope::default() }, &history(), None);
    assert!(html::body(&unasked.fixes_page()).contains("no database was asked"));
}
