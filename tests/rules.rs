//! `pgweir check --rules` and `pgweir explain --rules`: what is wrong with rule files, and what they decide, rule by rule.

mod applied;
mod cached;
mod cached_all;
mod cached_around;
mod cached_bulk;
mod cached_dear;
mod cached_facts;
mod cached_joins;
mod cached_late;
mod cached_rows;
mod chaos;
mod mirrored;
mod moved;
mod paced;
mod reworded;
mod routed;
mod rows;
mod timed;
mod tokened;
mod verified;

use std::process::Command;
use std::time::Duration;

use crate::harness::command::{Folder, Output, run};
use crate::harness::proxy::program;

/// Rules that need no more of a statement than its class.
const REPORTS: &str = r#"[[rule]]
name = "reports"
when = { user = "report_*", class = "select" }
then = { route = "replica", timeout = "30s" }

[[rule]]
name = "seen"
when.client = "10.0.0.0/8"
then = { route = "any", log = "info" }
mode = "shadow"

[[test]]
statement = "select 1"
user = "report_7"
decided = { route = "reports", timeout = "reports" }
shadow = []
"#;

/// Runs a command with `--rules` for a folder with these files; what it says names the folder as `RULES`.
fn with_rules(command: &str, arguments: &[&str], files: &[(&str, &str)]) -> Output {
    let folder = Folder::new();
    for (name, text) in files {
        std::fs::write(folder.0.join(name), text).expect("a file can be written");
    }
    let mut program = Command::new(program());
    program.arg(command).arg("--rules").arg(&folder.0).args(arguments);
    let output = run(&mut program, Duration::from_secs(30));
    let short = |text: String| text.replace(&folder.0.display().to_string(), "RULES");
    Output { ok: output.ok, stdout: short(output.stdout), stderr: short(output.stderr) }
}

#[test]
fn sound_files_are_checked_and_tested() {
    let output = with_rules("check", &[], &[("a.toml", REPORTS), ("b.toml", ""), ("notes.txt", "no rules")]);
    assert_eq!(
        output.stdout, "rules of RULES: 2 files, 2 rules (1 in shadow), 1 tests run: ok\n",
        "{}",
        output.stderr
    );
    assert!(output.ok, "{}", output.stderr);
    assert_eq!(output.stderr, "");
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let wrong = REPORTS.replace("client =", "cleint =");
    let output = with_rules("check", &[], &[("a.toml", REPORTS), ("b.toml", &wrong)]);
    assert!(!output.ok);
    let expected = [
        "RULES/b.toml:2:1: a rule `reports` is at RULES/a.toml:2:1 already; give it another name",
        "RULES/b.toml:8:6: unknown key `cleint` in `when`; did you mean `client`?",
    ];
    assert_eq!(output.stderr.lines().collect::<Vec<_>>(), expected);
    assert!(output.stdout.ends_with("0 tests run: not ok\n"), "{}", output.stdout);
}

#[test]
fn a_test_that_fails_is_told() {
    let wrong = REPORTS.replace("user = \"report_7\"", "user = \"app\"");
    let output = with_rules("check", &[], &[("a.toml", &wrong)]);
    assert!(!output.ok);
    let begins = "RULES/a.toml:13:1: test fails: `route` should be decided by `reports`, but is by nobody (of `reports`, `user` does not hold);";
    assert!(output.stderr.starts_with(begins), "{}", output.stderr);
}

#[test]
fn a_folder_that_is_not_there() {
    let mut command = Command::new(program());
    let output = run(command.args(["check", "--rules", "/no/such/folder"]), Duration::from_secs(30));
    assert!(!output.ok);
    let begins = "/no/such/folder: cannot be read: No such file or directory";
    assert!(output.stderr.starts_with(begins), "{}", output.stderr);
}

#[test]
fn settings_are_checked_besides_rules() {
    let output = with_rules("check", &["postgres://nowhere.invalid:1/shop?zebra=1"], &[("a.toml", REPORTS)]);
    assert!(!output.ok && output.stderr.contains("unknown parameter `zebra`"), "{}", output.stderr);
    assert!(output.stdout.contains("1 tests run: ok"), "{}", output.stdout);
}

#[test]
fn rules_that_send_reads_to_replicas_where_there_are_none_are_told() {
    let told = |reads: &str| {
        let url = format!("postgres://a:b@nowhere.invalid:1/shop?{reads}");
        let output = with_rules("check", &[&url], &[("a.toml", REPORTS)]);
        let told = "RULES/a.toml:2:1: warning: `reports` sends reads to replicas, but no database has any";
        output.stdout.contains(told)
    };
    assert!(told("") && !told("reads=replicas"));
}

#[test]
fn a_statement_is_explained_rule_by_rule() {
    let arguments = ["--user", "report_7", "--client", "10.1.1.1", "select 1"];
    let output = with_rules("explain", &arguments, &[("a.toml", REPORTS)]);
    let text = output.success();
    let rules = text.split_once("rule         ").expect("rules are told").1;
    let expected = "reports (RULES/a.toml:2:1): holds: decides route, timeout\n\
        rule         seen (RULES/a.toml:7:1): holds: in shadow, would decide log; route is decided by reports\n\
        decision     route replica (by reports)\n\
        decision     timeout 30s (by reports)\n\
        decision     log info (in shadow, by seen)\n";
    assert_eq!(rules, expected);
    let output = with_rules("explain", &["--user", "app", "update t set a = 1"], &[("a.toml", REPORTS)]);
    let text = output.success();
    assert!(text.contains("rule         reports (RULES/a.toml:2:1): does not hold: `class`\n"), "{text}");
    assert!(text.contains("rule         seen (RULES/a.toml:7:1): does not hold: `client`\n"), "{text}");
    assert!(text.ends_with("decision     none\n"), "{text}");
}

#[test]
fn parameters_and_a_transaction_are_circumstances() {
    let rules = "[[rule]]\nname = \"inside\"\nwhen.in_transaction = true\nthen.log = \"info\"\n";
    let statement = "select * from t where i = $1 and s = $2";
    let output =
        with_rules("explain", &["--in-transaction", "--params", "7,x", statement], &[("a.toml", rules)]);
    let text = output.success();
    assert!(text.contains("predicate    t.i equal $1 (7), for every row\n"), "{text}");
    assert!(text.contains("predicate    t.s equal $2 (x), for every row\n"), "{text}");
    assert!(text.ends_with("decision     log info (by inside)\n"), "{text}");
    let text = with_rules("explain", &[statement], &[("a.toml", rules)]).success();
    assert!(text.contains("predicate    t.i equal $1, for every row\n"), "{text}");
    assert!(text.ends_with("does not hold: `in_transaction`\ndecision     none\n"), "{text}");
}

#[test]
fn rules_that_are_wrong_explain_nothing() {
    let output =
        with_rules("explain", &["select 1"], &[("a.toml", "[[rule]]\nname = \"a\"\nthen.tag = 1\n")]);
    assert!(
        !output.ok && output.stderr.starts_with("RULES/a.toml:3:12: `tag` is 1, but takes text in quotes"),
        "{}",
        output.stderr
    );
}
