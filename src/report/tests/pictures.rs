//! What happened, times by values, what megabytes buy, and pgweirs beside each other: in every form.

use super::*;
use crate::store::StoredValue;
use crate::store::marks::{Kind, Mark};

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
