//! The matcher in its steps agrees with one that asks every rule everything, over random rules and statements.

use std::collections::BTreeMap;

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::*;
use crate::rules::Concern;
use crate::rules::explain::{Outcome, explain};
use crate::rules::random::Random;
use crate::sql::facts::{Comparison, Operand, Predicate};
use crate::sql::shape;

const USERS: [&str; 4] = ["app", "report_1", "report_2", "bi"];
const APPLICATIONS: [&str; 3] = ["web", "worker-a", "worker-b"];
const GLOBS: [&str; 8] = ["app", "report_*", "*i", "*", "w*b", "worker-*", "r*t*1", "nobody"];
const TABLES: [&str; 4] = ["orders", "sales.orders", "items", "sales.items"];
const TABLE_PATTERNS: [&str; 6] = ["orders", "sales.*", "it*", "sales.orders", "hr.orders", "*"];
const COLUMNS: [(&str, Option<&str>); 4] =
    [("id", None), ("id", Some("orders")), ("name", Some("sales.items")), ("name", None)];
const COLUMN_PATTERNS: [&str; 4] = ["id", "orders.id", "sales.items.name", "items.*"];
const ADDRESSES: [&str; 4] = ["local", "10.1.2.3", "10.9.0.1", "192.168.0.1"];
const NETWORKS: [(&str, &str); 5] = [
    ("local", "local"),
    ("10.0.0.0/8", "10."),
    ("10.1.0.0/16", "10.1."),
    ("192.168.0.1", "192.168.0.1"),
    ("0.0.0.0/0", "1"),
];
const STATEMENTS: [&str; 4] =
    ["select 1", "select * from orders where id = 7", "select pg_sleep(1)", "select 'x', 2"];
const CLASSES: [(&str, Class, bool); 5] = [
    ("select", Class::Select, true),
    ("select", Class::Select, false),
    ("update", Class::Update, false),
    ("insert", Class::Insert, false),
    ("transaction", Class::Transaction, false),
];
const CLASS_WORDS: [&str; 6] = ["select", "update", "insert", "transaction", "read", "write"];
/// Actions that may stand together, two values each.
const ACTIONS: [(&str, &str, &str); 4] = [
    ("timeout", "\"1s\"", "\"2s\""),
    ("max_rows", "1", "2"),
    ("log", "\"info\"", "\"warn\""),
    ("tag", "\"x\"", "\"y\""),
];

/// A rule as it was made up: conditions by key, each as the values that a list has, or as one value.
struct MadeUp {
    name: String,
    conditions: BTreeMap<&'static str, Vec<String>>,
    actions: Vec<&'static str>,
    shadow: bool,
    text: String,
}

fn some(random: &mut Random, of: &[&str]) -> Vec<String> {
    (0..=random.below(2)).map(|_| (*random.pick(of)).to_owned()).collect()
}

fn conditions(random: &mut Random) -> BTreeMap<&'static str, Vec<String>> {
    let mut all = BTreeMap::new();
    let networks: Vec<&str> = NETWORKS.iter().map(|(network, _)| *network).collect();
    let shapes: Vec<String> =
        STATEMENTS.iter().map(|sql| shape(sql.as_bytes(), true).fingerprint.to_string()).collect();
    let shapes: Vec<&str> = shapes.iter().map(String::as_str).collect();
    for (key, of) in [
        ("class", &CLASS_WORDS as &[&str]),
        ("tables", &TABLE_PATTERNS),
        ("reads", &TABLE_PATTERNS),
        ("writes", &TABLE_PATTERNS),
        ("columns", &COLUMN_PATTERNS),
        ("user", &GLOBS),
        ("application", &GLOBS),
        ("client", &networks),
        ("fingerprint", &shapes),
    ] {
        if random.percent(15) {
            all.insert(key, some(random, of));
        }
    }
    for key in ["where", "limit", "cross_join", "in_transaction"] {
        if random.percent(8) {
            all.insert(key, vec![random.percent(50).to_string()]);
        }
    }
    if random.percent(10) {
        all.insert("percent", vec![(1 + random.below(100)).to_string()]);
    }
    if random.percent(10) {
        let from = random.below(23);
        all.insert("time", vec![from.to_string(), (from + 1 + random.below(23 - from)).to_string()]);
    }
    all
}

fn made_up(random: &mut Random, number: usize) -> MadeUp {
    let conditions = conditions(random);
    let mut actions: Vec<&'static str> = vec![];
    let mut then = vec![];
    for (key, one, other) in ACTIONS {
        if random.percent(40) || actions.is_empty() && key == "tag" {
            actions.push(key);
            then.push(format!("{key} = {}", if random.percent(50) { one } else { other }));
        }
    }
    let shadow = random.percent(30);
    let name = format!("r{number}");
    let when: Vec<String> = conditions.iter().map(|(key, values)| written(key, values)).collect();
    let mode = if shadow { "mode = \"shadow\"\n" } else { "" };
    let text = format!(
        "[[rule]]\nname = \"{name}\"\n{mode}when = {{ {} }}\nthen = {{ {} }}\n",
        when.join(", "),
        then.join(", ")
    );
    MadeUp { name, conditions, actions, shadow, text }
}

fn written(key: &str, values: &[String]) -> String {
    match key {
        "time" => format!("time = {{ from = \"{:0>2}:00\", to = \"{:0>2}:00\" }}", values[0], values[1]),
        "where" | "limit" | "cross_join" | "in_transaction" | "percent" => format!("{key} = {}", values[0]),
        _ => format!("{key} = {values:?}"),
    }
}

fn stated(random: &mut Random) -> Stated {
    let (_, class, is_read) = *random.pick(&CLASSES);
    let mut facts = Facts { understood: random.percent(80), ..Facts::of_class(class) };
    if facts.understood {
        for text in TABLES {
            if random.percent(30) {
                facts.tables.push(table(text, if random.percent(50) { Access::Read } else { Access::Write }));
            }
        }
        for (column, of) in COLUMNS {
            if random.percent(30) {
                let (table, column) = (of.map(name), column.into());
                let (comparison, operand) = (Comparison::Equal, Operand::Other);
                facts.predicates.push(Predicate { table, column, comparison, operand, required: true });
            }
        }
        facts.filtered = random.percent(50);
        facts.limited = random.percent(50);
        facts.cross_joined = random.percent(50);
    }
    let client = *random.pick(&ADDRESSES);
    Stated {
        sql: (*random.pick(&STATEMENTS)).to_owned(),
        facts,
        is_read,
        user: random.pick::<&str>(&USERS),
        application: random.pick::<&str>(&APPLICATIONS),
        client: (client != "local").then(|| client.parse().expect("an address")),
        number: random.below(1000) as u64,
        in_transaction: random.percent(50),
        now: NOON + random.below(86_400) as i64,
        ..Stated::default()
    }
}

/// Letter by letter.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern, text) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => glob(rest, text) || !text.is_empty() && glob(pattern, &text[1..]),
        ([a, pattern @ ..], [b, text @ ..]) => a == b && glob(pattern, text),
        _ => false,
    }
}

/// A pattern with dots, and the parts that it is about from the last to the first.
fn dotted(pattern: &str, parts: &[Option<&str>]) -> bool {
    pattern.rsplit('.').enumerate().all(|(at, glob_text)| {
        parts.get(at).copied().flatten().is_some_and(|part| glob(glob_text.as_bytes(), part.as_bytes()))
    })
}

fn holds(rule: &MadeUp, key: &str, values: &[String], on: &Stated) -> bool {
    let any = |holds: &dyn Fn(&str) -> bool| values.iter().any(|value| holds(value));
    let truth = |fact: bool| values[0] == fact.to_string();
    let facts = &on.facts;
    let tables = |access: Option<Access>| {
        facts.understood
            && facts.tables.iter().filter(|table| access.is_none_or(|access| access == table.access)).any(
                |table| {
                    any(&|pattern| dotted(pattern, &[Some(&table.name.name), table.name.schema.as_deref()]))
                },
            )
    };
    match key {
        "class" => any(&|word| match word {
            "read" => on.is_read,
            "write" => !on.is_read && facts.class != Class::Transaction,
            word => CLASSES.iter().any(|(name, class, _)| *name == word && *class == facts.class),
        }),
        "tables" => tables(None),
        "reads" => tables(Some(Access::Read)),
        "writes" => tables(Some(Access::Write)),
        "columns" => {
            facts.understood
                && facts.predicates.iter().any(|at| {
                    let table = at.table.as_ref();
                    let parts = [
                        Some(&*at.column),
                        table.map(|table| &*table.name),
                        table.and_then(|table| table.schema.as_deref()),
                    ];
                    any(&|pattern| dotted(pattern, &parts))
                })
        }
        "where" => facts.understood && truth(facts.filtered),
        "limit" => facts.understood && truth(facts.limited),
        "cross_join" => facts.understood && truth(facts.cross_joined),
        "fingerprint" => any(&|print| shape(on.sql.as_bytes(), true).fingerprint.to_string() == print),
        "user" => any(&|pattern| glob(pattern.as_bytes(), on.user.as_bytes())),
        "application" => any(&|pattern| glob(pattern.as_bytes(), on.application.as_bytes())),
        "client" => any(&|network| {
            let begins = NETWORKS.iter().find(|(one, _)| *one == network).expect("a network").1;
            on.client.map_or("local".to_owned(), |client| client.to_string()).starts_with(begins)
        }),
        "percent" => {
            let hash = xxh3_64_with_seed(&on.number.to_le_bytes(), xxh3_64(rule.name.as_bytes()));
            hash % 10_000 < values[0].parse::<u64>().expect("a number") * 100
        }
        "in_transaction" => truth(on.in_transaction),
        "time" => {
            let hour = on.now.rem_euclid(86_400) / 3600;
            let bound = |at: usize| values[at].parse::<i64>().expect("an hour");
            (bound(0)..bound(1)).contains(&hour)
        }
        other => panic!("{other} is not known here"),
    }
}

/// What comes of a statement: which rule decides on each concern, and what those in shadow would have.
#[derive(Debug, Default, PartialEq)]
struct Outcomes {
    decided: BTreeMap<&'static str, String>,
    shadow: Vec<(String, &'static str)>,
}

fn naive(rules: &[MadeUp], on: &Stated) -> Outcomes {
    let mut all = Outcomes::default();
    for rule in rules {
        if !rule.conditions.iter().all(|(key, values)| holds(rule, key, values, on)) {
            continue;
        }
        let left: Vec<_> = rule.actions.iter().filter(|action| !all.decided.contains_key(*action)).collect();
        for action in left {
            match rule.shadow {
                true => all.shadow.push((rule.name.clone(), action)),
                false => drop(all.decided.insert(action, rule.name.clone())),
            }
        }
    }
    all
}

fn outcomes(decision: &crate::rules::Decision<'_>) -> Outcomes {
    let named = |(concern, rule): (Concern, &crate::rules::Rule)| (rule.name().to_owned(), concern.name());
    Outcomes {
        decided: decision.decided().map(named).map(|(rule, concern)| (concern, rule)).collect(),
        shadow: decision.shadow().map(named).collect(),
    }
}

fn explained(rules: &Ruleset, on: &Stated) -> Outcomes {
    let told = on.with_subject(|subject| {
        let told = explain(rules, subject, &on.context());
        let decides = |outcome| match outcome {
            Outcome::Holds { decides, .. } => decides,
            Outcome::Fails(..) => vec![],
        };
        told.into_iter().map(|told| (told.rule, decides(told.outcome))).collect::<Vec<_>>()
    });
    let mut all = Outcomes::default();
    for (rule, concerns) in told {
        for concern in concerns {
            match rule.mode() {
                crate::rules::Mode::Shadow => all.shadow.push((rule.name().to_owned(), concern.name())),
                crate::rules::Mode::Enforce => {
                    drop(all.decided.insert(concern.name(), rule.name().to_owned()))
                }
            }
        }
    }
    all
}

#[test]
fn agrees_with_asking_every_rule_everything() {
    let (mut decided, mut settled, mut shadow) = (0, 0, 0);
    for seed in 1..400 {
        let mut random = Random::new(seed);
        let count = random.below(30);
        // Some are refused, since they contradict themselves.
        let rules: Vec<MadeUp> = (0..count)
            .map(|number| made_up(&mut random, number))
            .filter(|rule| problems(&rule.text).is_empty())
            .collect();
        let text: String = rules.iter().map(|rule| rule.text.as_str()).collect();
        let compiled = ruleset(&text);
        let mut hits: BTreeMap<String, u64> = BTreeMap::new();
        for _ in 0..40 {
            let on = stated(&mut random);
            let expected = naive(&rules, &on);
            let context = on.context();
            let candidates = on.candidates(&compiled);
            let found = outcomes(&candidates.decide(&context));
            assert_eq!(found, expected, "seed {seed}: {on:?}\n{text}");
            let of_session = candidates.of_session(&context.session);
            assert_eq!(outcomes(&of_session.would_decide(&context)), expected, "seed {seed}: {on:?}\n{text}");
            assert_eq!(explained(&compiled, &on), expected, "seed {seed}: {on:?}\n{text}");
            let winners: std::collections::BTreeSet<_> =
                expected.decided.values().chain(expected.shadow.iter().map(|(rule, _)| rule)).collect();
            winners.into_iter().for_each(|rule| *hits.entry(rule.clone()).or_default() += 1);
            decided += usize::from(!expected.decided.is_empty());
            shadow += usize::from(!expected.shadow.is_empty());
            settled += usize::from(!candidates.is_empty() && of_session.is_settled());
        }
        for rule in compiled.rules() {
            let counted = rule.hits() + rule.shadow_hits();
            assert_eq!(counted, hits.get(rule.name()).copied().unwrap_or(0), "seed {seed}: {}", rule.name());
        }
    }
    // So that the test says something.
    assert!(decided > 5000 && shadow > 3000 && settled > 500, "{decided} {shadow} {settled}");
}

/// What `check` says is never reached never decides anything.
#[test]
fn what_is_never_reached_never_decides() {
    let mut found = 0;
    for seed in 1000..1300 {
        let mut random = Random::new(seed);
        let rules: Vec<MadeUp> = (0..25)
            .map(|number| made_up(&mut random, number))
            .filter(|rule| problems(&rule.text).is_empty())
            .collect();
        let text: String = rules.iter().map(|rule| rule.text.as_str()).collect();
        let checked =
            crate::rules::check::check(&[source(&text)], NOON, &mut |_| Facts::of_class(Class::Select));
        let hidden: Vec<&MadeUp> = rules
            .iter()
            .filter(|rule| {
                checked.problems.iter().any(|at| at.message.starts_with(&format!("`{}` is never", rule.name)))
            })
            .collect();
        found += hidden.len();
        for _ in 0..100 {
            let outcome = naive(&rules, &stated(&mut random));
            for rule in &hidden {
                let decides = outcome.decided.values().chain(outcome.shadow.iter().map(|(rule, _)| rule));
                assert!(
                    decides.into_iter().all(|name| *name != rule.name),
                    "seed {seed}: {}\n{text}",
                    rule.name
                );
            }
        }
    }
    assert!(found > 100, "{found}");
}
