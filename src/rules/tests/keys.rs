//! Each key does what it says: a test for each, and a test that there is one.

use super::*;
use crate::rules::check::check;
use crate::rules::keys;
use crate::rules::{Concern, Then};
use crate::sql::facts::{Comparison, Operand, Predicate};

/// A condition, a statement for which it holds, and one for which it does not.
type When = (&'static str, &'static str, Stated, Stated);

fn with_facts(facts: Facts) -> Stated {
    Stated { facts, ..Stated::default() }
}

fn of_class(class: Class, is_read: bool) -> Stated {
    Stated { is_read, ..with_facts(understood(class)) }
}

fn naming(text: &str, access: Access) -> Stated {
    with_facts(Facts { tables: vec![table(text, access)], ..understood(Class::Select) })
}

fn asking(column: &str, of: Option<&str>) -> Stated {
    let predicate = Predicate {
        table: of.map(name),
        column: column.into(),
        comparison: Comparison::Equal,
        operand: Operand::Other,
        required: true,
    };
    with_facts(Facts { predicates: vec![predicate], ..understood(Class::Select) })
}

fn calling(function: &str) -> Stated {
    with_facts(Facts { functions: vec![name(function)], ..understood(Class::Select) })
}

fn sql(text: &str) -> Stated {
    Stated { sql: text.into(), ..Stated::default() }
}

fn client(address: &str) -> Stated {
    Stated { client: Some(address.parse().expect("an address")), ..Stated::default() }
}

fn on_shape() -> Vec<When> {
    use Access::{Read, Write};
    let plain = Stated::default;
    let set = |set: fn(&mut Facts)| {
        let mut facts = understood(Class::Select);
        set(&mut facts);
        with_facts(facts)
    };
    let fingerprint = "\"a4df17e25e6a4635741458ad24b14b8a\"";
    vec![
        ("class", "\"update\"", of_class(Class::Update, false), of_class(Class::Delete, false)),
        ("class", "[\"insert\", \"delete\"]", of_class(Class::Delete, false), of_class(Class::Update, false)),
        ("class", "\"read\"", of_class(Class::Select, true), of_class(Class::Select, false)),
        ("class", "\"write\"", of_class(Class::Define, false), of_class(Class::Transaction, false)),
        ("class", "\"write\"", of_class(Class::Select, false), of_class(Class::Session, false)),
        ("tables", "\"orders\"", naming("orders", Read), naming("items", Read)),
        ("tables", "[\"items\", \"sales.ord*\"]", naming("sales.orders", Write), naming("orders", Write)),
        ("reads", "\"orders\"", naming("orders", Read), naming("orders", Write)),
        ("writes", "\"orders\"", naming("orders", Write), naming("orders", Read)),
        ("functions", "\"pg_sleep*\"", calling("pg_sleep_for"), calling("now")),
        ("columns", "\"tenant_id\"", asking("tenant_id", None), asking("id", None)),
        ("columns", "\"orders.tenant_id\"", asking("tenant_id", Some("orders")), asking("tenant_id", None)),
        ("where", "true", set(|facts| facts.filtered = true), plain()),
        ("where", "false", plain(), set(|facts| facts.filtered = true)),
        ("limit", "true", set(|facts| facts.limited = true), plain()),
        ("limit", "false", plain(), set(|facts| facts.limited = true)),
        ("cross_join", "true", set(|facts| facts.cross_joined = true), plain()),
        ("cross_join", "false", plain(), set(|facts| facts.cross_joined = true)),
        ("fingerprint", fingerprint, sql("select * from orders where id = 9"), plain()),
        ("shape_regex", "\"^select pg_sleep\"", sql("SELECT  pg_sleep(1)"), plain()),
        ("shape_regex", "'= \\?$'", sql("SELECT a FROM t WHERE b = 7"), plain()),
        (
            "shape_regex",
            "'b = \\$1 and c in \\(\\$2 '",
            sql("SELECT a FROM t WHERE b = 7 AND c IN (1, 2)"),
            plain(),
        ),
    ]
}

fn on_context() -> Vec<When> {
    let plain = Stated::default;
    let user = |user| Stated { user, ..plain() };
    vec![
        ("user", "[\"bi\", \"report_*\"]", user("report_7"), user("report")),
        ("database", "\"shop\"", plain(), Stated { database: "hr", ..plain() }),
        ("application", "\"we*\"", plain(), Stated { application: "psql", ..plain() }),
        ("client", "[\"10.0.0.0/8\", \"::1\"]", client("10.9.9.9"), client("11.0.0.1")),
        ("client", "\"local\"", plain(), client("127.0.0.1")),
        ("percent", "50", Stated { number: 4, ..plain() }, Stated { number: 1, ..plain() }),
        ("in_transaction", "true", Stated { in_transaction: true, ..plain() }, plain()),
        ("in_transaction", "false", plain(), Stated { in_transaction: true, ..plain() }),
        ("time", "{ from = \"12:00\", to = \"13:00\" }", plain(), Stated { now: NOON - 1, ..plain() }),
        ("text_regex", "\"job: 7\"", sql("/* job: 7 */ select 1"), sql("/* job: 8 */ select 1")),
    ]
}

fn when_cases() -> Vec<When> {
    on_shape().into_iter().chain(on_context()).collect()
}

#[test]
fn conditions_hold_when_they_should() {
    for (key, value, holds, fails) in when_cases() {
        let rules = ruleset(&format!("[[rule]]\nname = \"r\"\nwhen.{key} = {value}\nthen.tag = \"x\"\n"));
        for (stated, expected) in [(holds, true), (fails, false)] {
            let candidates = stated.candidates(&rules);
            let context = stated.context();
            assert_eq!(candidates.decide(&context).tag().is_some(), expected, "{key} = {value}: {stated:?}");
            let of_session = candidates.of_session(&context.session);
            assert_eq!(of_session.decide(&context).tag().is_some(), expected, "{key} = {value}: {stated:?}");
            let failing = stated.with_subject(|subject| rules.rules()[0].fails(subject, &context));
            assert_eq!(failing, (!expected).then_some(key), "{key} = {value}: {stated:?}");
        }
    }
}

#[test]
fn conditions_on_the_tree_do_not_hold_where_it_is_not_understood() {
    let tree = ["tables", "reads", "writes", "functions", "columns", "where", "limit", "cross_join"];
    for (key, value, mut stated, _) in when_cases() {
        stated.facts.understood = false;
        let rules = ruleset(&format!("[[rule]]\nname = \"r\"\nwhen.{key} = {value}\nthen.tag = \"x\"\n"));
        let holds = stated.candidates(&rules).decide(&stated.context()).tag().is_some();
        assert_eq!(holds, !tree.contains(&key), "{key} = {value}");
    }
}

#[test]
fn shares_are_of_sessions_and_differ_between_rules() {
    let text: String = ["a", "b"]
        .map(|n| {
            format!(
                "[[rule]]\nname = \"{n}\"\nwhen.percent = 12.5\nthen.{} = \"info\"\n",
                if n == "a" { "log" } else { "tag" }
            )
        })
        .concat();
    let rules = ruleset(&text);
    let mut counts = [0; 3];
    for number in 0..10_000 {
        let stated = Stated { number, ..Stated::default() };
        let candidates = stated.candidates(&rules);
        let decision = candidates.decide(&stated.context());
        let (a, b) = (decision.log().is_some(), decision.tag().is_some());
        assert_eq!(
            a,
            candidates.decide(&stated.context()).log().is_some(),
            "the same session, another answer"
        );
        counts[0] += usize::from(a);
        counts[1] += usize::from(b);
        counts[2] += usize::from(a && b);
    }
    assert!((1150..1350).contains(&counts[0]) && (1150..1350).contains(&counts[1]), "{counts:?}");
    assert!((100..220).contains(&counts[2]), "both take the same sessions: {counts:?}");
}

/// An action as written, how it is shown, and another of the same concern.
const THEN: [(&str, &str, &str, &str); 21] = [
    ("route", "\"replica\"", "replica", "\"primary\""),
    ("route", "\"replica-2\"", "replica-2", "\"any\""),
    ("consistency", "\"bounded:500ms\"", "bounded:500ms", "\"session\""),
    ("consistency", "\"any\"", "any", "\"primary\""),
    ("timeout", "\"2m\"", "120s", "\"1s\""),
    ("max_rows", "500", "500", "501"),
    (
        "cache",
        "{}",
        "session, for 600s at most; bypass when the stream is lost or 2s behind",
        "{ level = \"strict\" }",
    ),
    (
        "cache",
        "{ in_transaction = \"read_only\" }",
        "session, for 600s at most; bypass when the stream is lost or 2s behind; in read-only transactions too",
        "{ in_transaction = \"never\" }",
    ),
    (
        "cache",
        "{ level = \"ttl\", ttl_cap = \"5s\", swr = \"1s\", max_rows = 10 }",
        "ttl, for 5s at most and 1s while one fetches another, of 10 rows at most",
        "{ level = \"ttl\", ttl_cap = \"5s\" }",
    ),
    (
        "cache",
        "{ level = \"bounded\", bound = \"500ms\", on_stream_loss = \"ttl\", depends_on = [\"a\", \"s.b\"], verify = 0.1 }",
        "bounded, for 600s at most; ttl when the stream is lost or 500ms behind; depends on a, s.b; 0.10 % of the hits compared with the primary",
        "{ level = \"strict\", bound = \"500ms\", on_stream_loss = \"ttl\", depends_on = [\"a\", \"s.b\"] }",
    ),
    (
        "cache",
        "{ trigger_writes = { a = [], \"s.b\" = [\"c\", \"d\"] }, immutable_columns = { a = [\"x\", \"y\"] } }",
        "session, for 600s at most; bypass when the stream is lost or 2s behind; triggers of a write nothing; \
         triggers of s.b write c, d; x and y of a never changes",
        "{ trigger_writes = { a = [] } }",
    ),
    (
        "rewrite",
        "{ from = \"select 1\", to = \"select $1 + 0\" }",
        "select $1 + 0",
        "{ from = \"select 1\", to = \"select $1\" }",
    ),
    ("block", "{ message = \"no\" }", "42501: no", "{ message = \"yes\" }"),
    (
        "throttle",
        "{ rate = \"20/m\" }",
        "20 in 60s, 1 at once, by rule; others wait for 10s",
        "{ rate = \"21/m\" }",
    ),
    ("concurrency", "{ limit = 3 }", "3 at once, by rule; 100 may wait for 10s", "{ limit = 4 }"),
    ("mirror", "{ node = \"b\" }", "100 % to b", "{ node = \"c\" }"),
    ("hint", "\"SeqScan(t)\"", "/*+ SeqScan(t) */", "\"IndexScan(t)\""),
    ("log", "\"warn\"", "warn", "\"info\""),
    ("log", "\"error\"", "error", "\"debug\""),
    ("tag", "\"x\"", "x", "\"y\""),
    ("slow", "\"100ms\"", "100ms", "\"1s\""),
];

fn only(then: &str) -> Ruleset {
    ruleset(&format!("[[rule]]\nname = \"r\"\nthen = {{ {then} }}\n"))
}

fn then_of(rules: &Ruleset) -> &Then {
    rules.rules()[0].then()
}

#[test]
fn actions_are_what_is_decided() {
    for (key, value, shown, other) in THEN {
        let rules = only(&format!("{key} = {value}"));
        let concern = Concern::named(key).expect("a concern");
        let stated = Stated::default();
        let candidates = stated.candidates(&rules);
        let decision = candidates.settled(false).expect("nothing is to be asked");
        let decided: Vec<_> =
            decision.decided().map(|(concern, rule)| (concern, rule.then().shown(concern))).collect();
        assert_eq!(decided, [(concern, Some(shown.to_owned()))], "{key} = {value}");
        let others = only(&format!("{key} = {other}"));
        assert!(!then_of(&rules).agrees(then_of(&others), concern), "{key}: {value} is {other}");
    }
}

/// A key of a table in an action or condition: where it stands, and the same without it.
const INNER: [(&str, &str, &str, &str); 31] = [
    (
        "rewrite",
        "from",
        "rewrite = { from = \"select 2, 3\", to = \"select 5\" }",
        "rewrite = { from = \"select 2\", to = \"select 5\" }",
    ),
    (
        "rewrite",
        "to",
        "rewrite = { from = \"select 2\", to = \"select 5\" }",
        "rewrite = { from = \"select 2\", to = \"select 6\" }",
    ),
    ("block", "sqlstate", "block = { message = \"m\", sqlstate = \"54000\" }", "block = { message = \"m\" }"),
    ("block", "message", "block = { message = \"m\" }", "block = { message = \"n\" }"),
    ("block", "hint", "block = { message = \"m\", hint = \"h\" }", "block = { message = \"m\" }"),
    ("throttle", "rate", "throttle = { rate = \"5/s\" }", "throttle = { rate = \"5/2s\" }"),
    ("throttle", "burst", "throttle = { rate = \"5/s\", burst = 2 }", "throttle = { rate = \"5/s\" }"),
    (
        "throttle",
        "per",
        "throttle = { rate = \"5/s\", per = \"user\" }",
        "throttle = { rate = \"5/s\", per = \"client\" }",
    ),
    ("throttle", "wait", "throttle = { rate = \"5/s\", wait = \"0s\" }", "throttle = { rate = \"5/s\" }"),
    (
        "throttle",
        "wait_in_transaction",
        "throttle = { rate = \"5/s\", wait_in_transaction = true }",
        "throttle = { rate = \"5/s\" }",
    ),
    ("concurrency", "limit", "concurrency = { limit = 2 }", "concurrency = { limit = 3 }"),
    (
        "concurrency",
        "wait_in_transaction",
        "concurrency = { limit = 2, wait_in_transaction = true }",
        "concurrency = { limit = 2 }",
    ),
    (
        "concurrency",
        "per",
        "concurrency = { limit = 2, per = \"database\" }",
        "concurrency = { limit = 2, per = \"application\" }",
    ),
    ("concurrency", "queue", "concurrency = { limit = 2, queue = 0 }", "concurrency = { limit = 2 }"),
    ("concurrency", "wait", "concurrency = { limit = 2, wait = \"1s\" }", "concurrency = { limit = 2 }"),
    ("mirror", "node", "mirror = { node = \"a\" }", "mirror = { node = \"b\" }"),
    ("mirror", "percent", "mirror = { node = \"a\", percent = 0.5 }", "mirror = { node = \"a\" }"),
    ("cache", "level", "cache = { level = \"strict\" }", "cache = {}"),
    ("cache", "ttl_cap", "cache = { ttl_cap = \"9m\" }", "cache = {}"),
    (
        "cache",
        "swr",
        "cache = { level = \"ttl\", ttl_cap = \"9m\", swr = \"1s\" }",
        "cache = { level = \"ttl\", ttl_cap = \"9m\" }",
    ),
    ("cache", "bound", "cache = { bound = \"1s\" }", "cache = {}"),
    ("cache", "max_rows", "cache = { max_rows = 1 }", "cache = {}"),
    ("cache", "on_stream_loss", "cache = { on_stream_loss = \"ttl\" }", "cache = {}"),
    ("cache", "depends_on", "cache = { depends_on = \"t\" }", "cache = { depends_on = \"s.t\" }"),
    ("cache", "verify", "cache = { verify = 0.5 }", "cache = { verify = 0 }"),
    ("cache", "in_transaction", "cache = { in_transaction = \"read_only\" }", "cache = {}"),
    (
        "cache",
        "trigger_writes",
        "cache = { trigger_writes = { t = \"u\" } }",
        "cache = { trigger_writes = { t = [] } }",
    ),
    (
        "cache",
        "immutable_columns",
        "cache = { immutable_columns = { t = \"a\" } }",
        "cache = { immutable_columns = { t = [\"a\", \"b\"] } }",
    ),
    ("time", "days", "{ days = \"sun\" }", "{ from = \"01:00\" }"),
    ("time", "from", "{ from = \"13:00\" }", "{ to = \"13:00\" }"),
    ("time", "to", "{ to = \"12:00\" }", "{ to = \"12:01\" }"),
];

#[test]
fn keys_of_inner_tables_matter() {
    for (table, key, one, other) in INNER {
        if table == "time" {
            let holds = |window: &str| {
                let rules =
                    ruleset(&format!("[[rule]]\nname = \"r\"\nwhen.time = {window}\nthen.tag = \"x\"\n"));
                let stated = Stated::default();
                stated.candidates(&rules).decide(&stated.context()).tag().is_some()
            };
            assert!(!holds(one) && holds(other), "{table}.{key}");
        } else {
            let concern = Concern::named(table).expect("a concern");
            assert!(!then_of(&only(one)).agrees(then_of(&only(other)), concern), "{table}.{key}");
        }
    }
}

#[test]
fn the_zone_moves_the_clock() {
    let holds = |zone: &str| {
        let rule = format!(
            "[[rule]]\nname = \"r\"\nwhen.time = {{ from = \"13:00\", to = \"13:01\", zone = \"{zone}\" }}\nthen.tag = \"x\"\n"
        );
        let stated = Stated::default();
        stated.candidates(&ruleset(&rule)).decide(&stated.context()).tag().is_some()
    };
    assert!(holds("+01:00") && !holds("UTC") && !holds("-01:00") && !holds("+02:00"));
}

#[test]
fn the_last_day_of_a_rule_is_its_last() {
    let rules = ruleset("[[rule]]\nname = \"r\"\nuntil = 2026-11-30\nthen.tag = \"x\"\n");
    let holds = |now| {
        let stated = Stated { now, ..Stated::default() };
        stated.candidates(&rules).decide(&stated.context()).tag().is_some()
    };
    assert!(holds(NOON) && holds(NOON + 12 * 3600 - 1) && !holds(NOON + 12 * 3600));
}

/// A key of a test: with the value the test passes, with the other it fails.
const TESTS: [(&str, &str, &str); 14] = [
    ("statement", "\"select 7\"", "\"select 7 + 1\""),
    ("user", "\"u\"", "\"v\""),
    ("database", "\"d\"", "\"e\""),
    ("application", "\"a\"", "\"b\""),
    ("client", "\"10.0.0.1\"", "\"local\""),
    ("session", "4", "2"),
    ("in_transaction", "true", "false"),
    ("at", "2026-11-30T23:59:59Z", "2026-12-01T00:00:00Z"),
    ("decided", "{ tag = \"r\" }", "{}"),
    ("shadow", "[\"s\"]", "[]"),
    ("then", "{ tag = \"x\" }", "{ tag = \"y\" }"),
    ("class", "\"select\"", "\"insert\""),
    ("shape", "\"select ?\"", "\"select\""),
    ("name", "\"n\"", ""),
];

const TESTED: &str = "[[rule]]\nname = \"r\"\nuntil = 2026-11-30\nwhen = { shape_regex = \"^select [?]$\", user = \"u\", database = \"d\", \
     application = \"a\", client = \"10.0.0.0/8\", in_transaction = true }\nthen.tag = \"x\"\n\
     [[rule]]\nname = \"s\"\nmode = \"shadow\"\nwhen.percent = 50\nthen.log = \"info\"\n[[test]]\n";

#[test]
fn keys_of_tests_matter() {
    let run = |changed: Option<(&str, &str)>| {
        let line = |(key, right, _): &(&str, &str, &str)| match changed {
            Some((name, _)) if name == *key && *key == "name" => String::new(),
            Some((name, value)) if name == *key => format!("{key} = {value}\n"),
            _ => format!("{key} = {right}\n"),
        };
        let text = format!("{TESTED}{}", TESTS.iter().map(line).collect::<String>());
        let mut facts = |text: &str| {
            Facts::of_class(if text.starts_with("select") { Class::Select } else { Class::Insert })
        };
        let checked = check(&[source(&text)], NOON, &mut facts);
        assert_eq!(checked.tests, 1, "{:?}", checked.problems);
        checked.problems.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(run(None), [""; 0]);
    for (key, _, wrong) in TESTS.iter().filter(|(key, ..)| *key != "name") {
        assert!(!run(Some((key, wrong))).is_empty(), "{key} = {wrong}: nothing fails");
    }
    let named = run(Some(("class", "\"insert\"")));
    assert!(named[0].contains("test \"n\" fails: the class should be `insert`"), "{named:?}");
}

#[test]
fn every_key_has_a_test() {
    let mut tested: Vec<(&str, &str)> = vec![];
    // By tests of their own.
    tested.extend(["name", "when", "then", "mode", "until"].map(|key| ("[[rule]]", key)));
    tested.extend([("time", "zone"), ("[[test]]", "name")]);
    tested.extend(when_cases().iter().map(|(key, ..)| ("when", *key)));
    tested.extend(THEN.map(|(key, ..)| ("then", key)));
    tested.extend(INNER.map(|(table, key, ..)| (table, key)));
    tested.extend(TESTS.map(|(key, ..)| ("[[test]]", key)));
    for section in keys::sections() {
        for key in &section.keys {
            assert!(tested.contains(&(section.name, key.name)), "{}.{} has no test", section.name, key.name);
        }
    }
}

#[test]
fn concerns_are_the_keys_of_then() {
    let keys = keys::sections().into_iter().find(|section| section.name == "then").expect("a table");
    let keys: Vec<_> = keys.keys.iter().map(|key| key.name).collect();
    let concerns: Vec<_> = Concern::ALL.iter().map(|concern| concern.name()).collect();
    assert_eq!(keys, concerns);
}

#[test]
fn every_example_is_read() {
    let mut wrong = vec![];
    for section in keys::sections() {
        for key in &section.keys {
            let line = format!("{} = {}", key.name, key.example);
            let needed = |line: String, others: &str| {
                if line.starts_with(others) { line } else { format!("{others}{line}") }
            };
            let rule = |text: String| format!("[[rule]]\nname = \"r\"\n{text}\n");
            let tag = "\nthen.tag = \"x\"";
            let text = match (section.name, key.name) {
                ("[[rule]]", "name") => format!("[[rule]]\n{line}{tag}\n"),
                ("[[rule]]", "then") => rule(line),
                ("[[rule]]", _) => rule(format!("{line}{tag}")),
                ("when", _) => rule(format!("when.{line}{tag}")),
                ("time", _) => rule(format!("when.time.{line}{tag}")),
                ("then", _) => rule(format!("then.{line}")),
                ("rewrite", "from") => rule(format!("then.rewrite = {{ {line}, to = \"select 1\" }}")),
                ("rewrite", _) => rule(format!("then.rewrite = {{ from = \"select 1\", {line} }}")),
                ("block", "message")
                | ("throttle", "rate")
                | ("concurrency", "limit")
                | ("mirror", "node") => rule(format!("then.{} = {{ {line} }}", section.name)),
                ("cache", "swr") => {
                    rule(format!("then.cache = {{ level = \"ttl\", ttl_cap = \"1m\", {line} }}"))
                }
                ("cache", _) => rule(format!("then.cache = {{ {line} }}")),
                ("block", _) => rule(format!("then.block = {{ message = \"m\", {line} }}")),
                ("throttle", _) => rule(format!("then.throttle = {{ rate = \"1/s\", {line} }}")),
                ("concurrency", _) => rule(format!("then.concurrency = {{ limit = 1, {line} }}")),
                ("mirror", _) => rule(format!("then.mirror = {{ node = \"n\", {line} }}")),
                ("[[test]]", "statement" | "class") => {
                    format!("[[test]]\nshape = \"s\"\n{}", needed(line, "statement = \"select 1\"\n"))
                }
                _ => format!("[[test]]\nstatement = \"select 1\"\nclass = \"select\"\n{line}\n"),
            };
            let text = match key.name {
                "statement" => format!("[[test]]\nshape = \"s\"\nstatement = {}\n", key.example),
                _ => text,
            };
            wrong.extend(problems(&text).into_iter().map(|problem| format!("{text}{problem}")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
