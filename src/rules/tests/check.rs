//! What is wrong is told with its place, and what to do about it.

use super::*;
use crate::rules::check::{Checked, check};

/// A rule that is sound, with more lines; the fourth line is the first of these.
fn rule(lines: &str) -> String {
    format!(
        "[[rule]]\nname = \"r\"\n{}\n{lines}\n",
        if lines.contains("then") { "" } else { "then.tag = \"x\"" }
    )
}

fn refused(text: &str, expected: &[&str]) {
    assert_eq!(problems(text), expected, "{text}");
}

#[test]
fn keys_that_are_not_known() {
    refused(
        &rule("when.tabels = \"t\""),
        &["f.toml:4:6: unknown key `tabels` in `when`; did you mean `tables`?"],
    );
    refused(
        &rule("when.timeout = \"1s\""),
        &["f.toml:4:6: unknown key `timeout` in `when`; it belongs in `then`"],
    );
    refused(&rule("zebra = 1"), &["f.toml:4:1: unknown key `zebra` in `[[rule]]`; remove it"]);
    refused(
        &rule("then.block = { mesage = \"m\" }"),
        &[
            "f.toml:4:14: `block` has no `message`; add one, such as message = \"DELETE without WHERE is not allowed\"",
            "f.toml:4:16: unknown key `mesage` in `block`; did you mean `message`?",
        ],
    );
    refused("[[rules]]\nname = \"r\"\n", &["f.toml:1:3: unknown table `rules`; write [[rule]]"]);
    refused("x = 1\n", &["f.toml:1:1: unknown key `x`; a rule file has [[rule]] and [[test]] only"]);
    refused("[rule]\nname = \"r\"\n", &["f.toml:1:2: `rule` stands alone; write [[rule]]"]);
    refused(
        "[[rule]]\n",
        &[
            "f.toml:1:1: `[[rule]]` has no `name`; add one, such as name = \"deletes-without-where\"",
            "f.toml:1:1: `[[rule]]` has no `then`; add one, such as then = { log = \"warn\" }",
        ],
    );
    let not_toml = problems("[[rule]\n");
    assert!(not_toml.len() == 1 && not_toml[0].starts_with("f.toml:1:8: not TOML: "), "{not_toml:?}");
}

#[test]
fn values_that_are_not_possible() {
    let is = |line: &str, expected: &str| {
        let found = problems(&rule(line));
        assert!(found.len() == 1 && found[0].contains(expected), "{line}: {found:?}");
    };
    is("when.class = \"selct\"", "f.toml:4:14: `class` has \"selct\"; did you mean `select`?");
    is(
        "when.class = [\"read\", \"zebra\"]",
        "f.toml:4:23: `class` has \"zebra\", which is no class; there are select,",
    );
    is("when.class = 1", "f.toml:4:14: `class` is 1, but takes a class or a list of them");
    is("when.tables = []", "`tables` is an empty list");
    is("when.tables = [1]", "f.toml:4:16: `tables` holds 1; put it in quotes");
    is("when.tables = \"a.b.c\"", "which is no name; write name or schema.name");
    is("when.where = \"yes\"", "`where` is \"yes\", but takes true or false");
    is("when.fingerprint = \"abc\"", "which is no fingerprint; `pgweir explain` shows");
    is("when.shape_regex = \"(\"", "`shape_regex` is no regular expression: unclosed group");
    is("when.client = \"10.1.1.1/8\"", "has bits behind its prefix; write 10.0.0.0/8");
    is("when.percent = 0", "takes a number from 0.01 to 100");
    is("when.percent = 0.123", "more than two digits");
    is("when.percent = nan", "takes a number from 0.01 to 100");
    is("when.time = { from = \"24:00\" }", "begins when it ends");
    is("when.time = { from = \"8:00\" }", "takes a time of day such as \"08:30\"");
    is("when.time = { days = \"monday\" }", "has \"monday\"");
    is("when.time = { zone = \"Europe/Berlin\" }", "takes an offset from UTC");
    is("when.user = \"\"", "holds an empty text");
    is("name2 = \"a b\"", "unknown key `name2`");
    is("mode = \"shadows\"", "did you mean `shadow`?");
    is("until = \"2026-11-30\"", "`until` is \"2026-11-30\", but takes a date such as 2027-03-31");
    is("then.timeout = \"5\"", "`timeout` is 5 without a unit; write for example \"5s\"");
    is("then.timeout = \"5 parsecs\"", "has the unit `parsecs`; the units are us, ms");
    is("then.timeout = \"0s\"", "is zero");
    is("then.timeout = \"99999999999999999d\"", "the longest possible");
    is("then.consistency = \"bounded:x\"", "`consistency` is \"bounded:x\", but takes");
    is("then.max_rows = 0", "takes a whole number from 1");
    is("then.block = { message = \"m\", sqlstate = \"00000\" }", "f.toml:4:42: `sqlstate` is \"00000\"");
    is("then.block = { message = \"a\\nb\" }", "holds a control character");
    is("then.throttle = { rate = \"many\" }", "takes a number in a time");
    is("then.cache = { level = \"bounde\" }", "f.toml:4:24: `level` is \"bounde\"; did you mean `bounded`?");
    is("then.cache = { levl = \"ttl\" }", "did you mean `level`?");
    is("then.cache = { ttl_cap = \"25h\" }", "f.toml:4:14: `cache` keeps answers for more than a day");
    is("then.cache = { level = \"ttl\" }", "`cache` has level \"ttl\" without `ttl_cap`");
    is("then.cache = { level = \"ttl\", ttl_cap = \"1s\", bound = \"1s\" }", "`cache` has `bound`");
    is(
        "then.cache = { level = \"ttl\", ttl_cap = \"1s\", on_stream_loss = \"ttl\" }",
        "`cache` has `on_stream_loss`",
    );
    is("then.cache = { level = \"strict_al\" }", "did you mean `strict_all`?");
    is(
        "then.cache = { level = \"ttl\", ttl_cap = \"5s\", verify = 1 }",
        "`cache` has `verify`, and level \"ttl\" may hand out old rows",
    );
    is("then.cache = { verify = 101 }", "`verify` is 101, but takes a number from 0.01 to 100, or 0");
    is("then.cache = { swr = \"1s\" }", "`cache` has `swr`, which is for level \"ttl\"");
    is("then.cache = { level = \"ttl\", ttl_cap = \"1d\", swr = \"1s\" }", "more than a day");
    is("then.cache = { on_stream_loss = \"wait\" }", "takes \"bypass\" or \"ttl\"");
    is("then.cache = { depends_on = \"s.*\" }", "names tables, not patterns");
    is("then.cache = { depends_on = [\"a\", \"a.b.c\"] }", "f.toml:4:35: `depends_on` has \"a.b.c\"");
    is("then.cache = { trigger_writes = {} }", "f.toml:4:33: `trigger_writes` is empty");
    is("then.cache = { trigger_writes = \"t\" }", "takes a table of tables");
    is("then.cache = { trigger_writes = { \"a.b.c\" = [] } }", "f.toml:4:35: `trigger_writes` has \"a.b.c\"");
    is("then.cache = { trigger_writes = { t = [\"a*\"] } }", "names tables, not patterns");
    is("then.cache = { trigger_writes = { t = 7 } }", "f.toml:4:39: `trigger_writes` holds something else");
    is(
        "then.cache = { immutable_columns = { t = [] } }",
        "f.toml:4:42: `immutable_columns` is an empty list",
    );
    is("then.cache = { immutable_columns = { t = \"t.c\" } }", "which is no column; write its name alone");
    is("then.cache = { max_rows = 0 }", "takes a whole number from 1");
    is("then.cache = \"session\"", "takes a table of the keys of `cache`");
    is("then.hint = \"x */ drop\"", "holds a comment sign");
    is("then.log = \"trace\"", "takes \"error\", \"warn\"");
    is("then.route = \"a b\"", "holds a blank");
    is("then.rewrite = { from = \"select 1\", to = \"select $3\" }", "f.toml:4:16: `rewrite` uses place 3");
    refused(
        "[[test]]\nstatement = \"select 1\"\n",
        &["f.toml:2:1: this test expects nothing; add `decided`, such as decided = { block = \"a-rule\" }"],
    );
    refused(
        "[[test]]\nstatement = \"select 1\"\ndecided = { rout = \"r\" }\n",
        &["f.toml:3:13: `decided` has \"rout\"; did you mean `route`?"],
    );
}

#[test]
fn rules_that_contradict_themselves() {
    let is = |lines: &str, expected: &str| {
        let found = problems(&rule(lines));
        assert!(found.len() == 1 && found[0].contains(expected), "{lines}: {found:?}");
    };
    let block = "then.block = { message = \"m\" }";
    is(&format!("{block}\nthen.route = \"replica\""), "f.toml:5:6: `route` stands beside `block`");
    is(&format!("{block}\nthen.timeout = \"1s\""), "`timeout` stands beside `block`");
    is(
        "when = { class = \"insert\", where = false }",
        "f.toml:4:28: `where` never holds for the classes of `class`",
    );
    is("when = { class = \"update\", limit = true }", "`limit` never holds");
    is("when = { class = \"transaction\", tables = \"t\" }", "`tables` never holds");
    is("when = { class = \"read\", writes = \"t\" }", "`writes` never holds");
    is("then = { route = \"primary\", consistency = \"any\" }", "`consistency` is for replicas");
    is("then = { route = \"replica\", consistency = \"primary\" }", "lets no replica answer");
    is("then = { route = \"b\", mirror = { node = \"b\" } }", "names the node that `route` names");
    is(
        "when.class = [\"insert\", \"update\"]\nthen.route = \"replica\"",
        "f.toml:5:6: `route` asks for a replica",
    );
    is("when.class = \"define\"\nthen.max_rows = 5", "`max_rows` has no sense");
    is("when.class = \"update\"\nthen.cache = {}", "f.toml:5:6: `cache` is for reads");
    is("when.writes = \"t\"\nthen.cache = {}", "`cache` is for reads");
    is("when.in_transaction = true\nthen.cache = {}", "`cache` is for reads outside of transactions");
    is(&format!("{block}\nthen.cache = {{}}"), "`cache` stands beside `block`");
    is("then = {}", "f.toml:4:1: `then` is empty");
    is(
        "when.fingerprint = \"a4df17e25e6a4635741458ad24b14b8a\"\nthen.rewrite = { from = \"select 1\", to = \"select $1\" }",
        "f.toml:4:6: `fingerprint` is not that of `from`",
    );
    let sound = |lines: &str| assert_eq!(problems(&rule(lines)), [""; 0], "{lines}");
    sound("when = { class = [\"insert\", \"delete\"], where = false }");
    sound("when = { class = [\"select\", \"update\"], in_transaction = false }\nthen.cache = {}");
    sound(&format!("{block}\nthen.log = \"warn\"\nthen.tag = \"x\""));
    sound("then = { route = \"primary\", consistency = \"primary\" }");
    sound("when.class = [\"insert\", \"select\"]\nthen.route = \"replica\"");
}

/// Rules `a` and `b` in this order, of these lines.
fn two(a: &str, b: &str) -> Vec<String> {
    let text = format!("[[rule]]\nname = \"a\"\n{a}\n[[rule]]\nname = \"b\"\n{b}\n");
    let Checked { problems, .. } = check(&[source(&text)], NOON, &mut |_| Facts::of_class(Class::Select));
    problems.iter().map(ToString::to_string).collect()
}

#[test]
fn rules_that_are_never_reached() {
    let route = "then.route = \"replica\"";
    let hidden = |a: &str, b: &str| {
        let found = two(&format!("{a}\n{route}"), &format!("{b}\n{route}"));
        let expected = "`b` is never reached: whenever it holds, the rule before it decides all that it would: `a` (f.toml:2:1)";
        assert!(found.len() == 1 && found[0].contains(expected), "{a} before {b}: {found:?}");
    };
    let reached = |a: &str, b: &str| {
        assert_eq!(two(&format!("{a}\n{route}"), &format!("{b}\n{route}")), [""; 0], "{a} before {b}");
    };
    hidden("", "when.user = \"u\"");
    reached("when.user = \"u\"", "");
    hidden("when.user = [\"report_*\", \"bi\"]", "when.user = [\"report_7\", \"bi\"]");
    reached("when.user = \"report_*\"", "when.user = [\"report_7\", \"bi\"]");
    hidden("when.class = [\"select\", \"read\"]", "when = { class = \"read\", tables = \"t\" }");
    reached("when.class = \"select\"", "when.class = \"read\"");
    hidden("when.tables = \"orders\"", "when.reads = \"sales.orders\"");
    reached("when.reads = \"orders\"", "when.tables = \"orders\"");
    hidden("when.client = \"10.0.0.0/8\"", "when.client = [\"10.1.0.0/16\", \"10.2.0.0/16\"]");
    reached("when.client = \"10.1.0.0/16\"", "when.client = \"10.0.0.0/8\"");
    hidden("when.percent = 100", "when.user = \"u\"");
    reached("when.percent = 50", "when.percent = 50");
    reached("when.where = true", "when.where = false");
    reached("when.in_transaction = true", "");
    reached("mode = \"shadow\"", "");
    hidden("", "mode = \"shadow\"");
    reached("until = 2026-12-01", "");
    reached("until = 2026-12-01", "until = 2026-12-02");
    hidden("until = 2026-12-02", "until = 2026-12-01");
    assert_eq!(two(route, "then = { route = \"primary\", timeout = \"1s\" }"), [""; 0]);
}

#[test]
fn several_earlier_rules_hide_one_together() {
    let text = "[[rule]]\nname = \"a\"\nthen.route = \"any\"\n[[rule]]\nname = \"b\"\nthen.log = \"info\"\n\
                [[rule]]\nname = \"c\"\nthen = { route = \"any\", log = \"info\" }\n";
    let checked = check(&[source(text)], NOON, &mut |_| Facts::of_class(Class::Select));
    let found: Vec<_> = checked.problems.iter().map(ToString::to_string).collect();
    assert!(found.len() == 1 && found[0].starts_with("f.toml:8:1: `c` is never reached"), "{found:?}");
    assert!(found[0].contains("`a` (f.toml:2:1), `b` (f.toml:5:1)"), "{found:?}");
}

#[test]
fn rules_that_are_over_are_warned_of() {
    let text = "[[rule]]\nname = \"a\"\nuntil = 2026-11-29\nthen.tag = \"x\"\n[[rule]]\nname = \"b\"\nuntil = 2026-11-30\nthen.tag = \"x\"\n";
    let checked = check(&[source(text)], NOON, &mut |_| Facts::of_class(Class::Select));
    let found: Vec<_> = checked.problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        [
            "f.toml:2:1: warning: `a` held until 2026-11-29 and is ignored now; remove it, or give it a later day"
        ]
    );
    assert!(checked.is_well());
}

#[test]
fn all_or_nothing_and_all_problems_at_once() {
    let text = "[[rule]]\nname = \"a\"\nthen.tag = \"x\"\n[[rule]]\nname = \"a\"\nthen.tag = 1\n[[rule]]\nname = \"b\"\nzebra = 1\nthen.tag = \"x\"\n[[rule]]\nname = \"a\"\nthen.tag = \"y\"\n";
    let found = problems(text);
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(
        found[0].starts_with("f.toml:6:12: `tag` is 1") && found[1].starts_with("f.toml:9:1: unknown key"),
        "{found:?}"
    );
    assert!(found[2].starts_with("f.toml:12:1: a rule `a` is at f.toml:2:1 already"), "{found:?}");
}

#[test]
fn the_numbers_of_rules_and_expressions_are_bounded() {
    let many = |count: usize, when: &str| {
        let text: String =
            (0..count).map(|n| format!("[[rule]]\nname = \"r{n}\"\n{when}then.tag = \"x\"\n")).collect();
        problems(&text)
    };
    assert_eq!(many(10_001, ""), ["f.toml:30002:1: there are more than 10000 rules; join some by lists"]);
    let found = many(1001, "when.text_regex = \"a\"\n");
    assert_eq!(found, ["f.toml:4002:1: more than 1000 rules have regular expressions"]);
    let large = Source { path: "f.toml".into(), text: " ".repeat(5 << 20) };
    let found = Ruleset::compile(&[large]).expect_err("too large");
    assert_eq!(found[0].to_string(), "f.toml: has more than 4194304 bytes; make several files of it");
}
