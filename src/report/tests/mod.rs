//! One content in four forms: what they have, that they fit, and that nothing in them is more than words.

mod golden;
mod hostile;
mod pictures;
mod schema;

use std::collections::HashMap;

use pictures::{fleet, marks, samples, several};

use super::*;
use crate::advice::{Action, Fix, Plan, Price, Proof, Verdict};
use crate::slow::Series;
use crate::stats::tally::{Answer, Served};
use crate::store::read::History;

/// When the time of the samples begins.
pub(super) const START: i64 = 1_795_988_640;

pub(super) fn who(application: &str) -> Who {
    Who { database: "shop".into(), user: "app".into(), application: application.into() }
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
