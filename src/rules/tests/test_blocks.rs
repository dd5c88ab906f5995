//! Tests that rule files carry: when they fail, and what they say then.

use super::*;
use crate::rules::check::check;

const RULES: &str = "[[rule]]\nname = \"no-where\"\nwhen = { class = \"delete\", where = false }\nthen.block = { message = \"m\" }\n\
     [[rule]]\nname = \"reports\"\nwhen.user = \"report_*\"\nthen.route = \"replica\"\n\
     [[rule]]\nname = \"seen\"\nmode = \"shadow\"\nwhen.user = \"report_*\"\nthen.log = \"info\"\n";

/// What is said of a test of these lines.
fn said(lines: &str) -> Vec<String> {
    let text = format!("{RULES}[[test]]\n{lines}\n");
    let mut facts = |text: &str| {
        if text.starts_with("delete") { understood(Class::Delete) } else { Facts::of_class(Class::Select) }
    };
    let checked = check(&[source(&text)], NOON, &mut facts);
    assert_eq!(checked.tests, 1);
    checked.problems.iter().map(|problem| problem.message.clone()).collect()
}

#[test]
fn what_was_expected_and_what_was_found() {
    let passes = |lines: &str| assert_eq!(said(lines), [""; 0], "{lines}");
    let fails = |lines: &str, expected: &str| assert_eq!(said(lines), [expected], "{lines}");
    passes("statement = \"delete from t\"\ndecided = { block = \"no-where\" }");
    passes(
        "statement = \"select 1\"\nuser = \"report_1\"\ndecided = { route = \"reports\" }\nshadow = [\"seen\"]",
    );
    fails(
        "statement = \"delete from t\"\ndecided = {}",
        "test fails: `block` should be decided by nobody, but is by `no-where`",
    );
    fails(
        "statement = \"select 1\"\ndecided = { route = \"reports\" }",
        "test fails: `route` should be decided by `reports`, but is by nobody (of `reports`, `user` does not hold)",
    );
    fails(
        "name = \"n\"\nstatement = \"select 1\"\nshadow = [\"seen\"]",
        "test \"n\" fails: `seen` in shadow should have decided something, but has not (of `seen`, `user` does not hold)",
    );
    fails(
        "statement = \"select 1\"\nuser = \"report_1\"\nshadow = []",
        "test fails: `seen` in shadow should not have decided anything, but has",
    );
    fails(
        "statement = \"select 1\"\nuser = \"report_1\"\nthen.route = \"primary\"",
        "test fails: `route` should be primary, but is replica",
    );
    fails(
        "statement = \"select 1\"\nthen.route = \"primary\"",
        "test fails: `route` should be primary, but is nothing",
    );
    fails(
        "statement = \"select 1\"\nclass = \"update\"",
        "test fails: the class should be `update`, but is `select`",
    );
    fails(
        "statement = \"select  1\"\nshape = \"select 1\"",
        "test fails: the shape should be `select 1`, but is `select $1`",
    );
    passes("statement = \"select  1 ; \"\nshape = \"select ?\"");
    passes("statement = \"select  1 ; \"\nshape = \"select $1\"");
    fails(
        "statement = \"select 1\"\ndecided = { route = \"report\" }",
        "test fails: there is no rule `report`; did you mean `reports`?",
    );
    fails(
        "statement = \"select 1\"\nuser = \"report_1\"\ndecided = { route = \"reports\", log = \"seen\" }",
        "test fails: `log` should be decided by `seen`, but is by nobody (`seen` holds, but another rule comes first, or it is in the other mode)",
    );
}

#[test]
fn a_statement_that_is_not_understood_is_told() {
    let text = "[[rule]]\nname = \"r\"\nwhen.tables = \"t\"\nthen.tag = \"x\"\n[[test]]\nstatement = \"select 1\"\ndecided = { tag = \"r\" }\n";
    let checked = check(&[source(text)], NOON, &mut |_| Facts::of_class(Class::Select));
    let expected = "f.toml:6:1: test fails: `tag` should be decided by `r`, but is by nobody (of `r`, `tables` does not hold: the statement is not understood)";
    assert_eq!(checked.problems[0].to_string(), expected);
}

#[test]
fn tests_are_not_run_where_rules_are_missing() {
    let text = "[[rule]]\nname = \"r\"\nthen.tag = 1\n[[test]]\nstatement = \"select 1\"\ndecided = { tag = \"r\" }\n";
    let checked = check(&[source(text)], NOON, &mut |_| Facts::of_class(Class::Select));
    assert_eq!((checked.tests, checked.problems.len()), (0, 1));
}
