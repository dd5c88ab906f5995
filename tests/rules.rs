//! `pgweir check --rules` and `pgweir explain --rules`: what is wrong with rule files, and what they decide, rule by rule.

mod applied;
mod paced;
mod routed;
mod timed;

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
    let expected = [
        "RULES/a.toml:7:1: warning: `seen` has actions that `pgweir run` does not carry out yet: `route = \"any\"`",
    ];
    assert_eq!(output.stderr.lines().collect::<Vec<_>>(), expected);
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
fn a_statement_is_explained_rule_by_rule() {
    let arguments = ["--user", "report_7", "--client", "10.1.1.1", "select 1"];
    let output = with_rules("explain", &arguments, &[("a.toml", REPORTS)]);
    let text = output.success();
    let rules = text.rsplit_once("class        select\n").expect("the class is told").1;
    let expected = "rules\n  \
        reports (RULES/a.toml:2:1): holds: decides route, timeout\n  \
        seen (RULES/a.toml:7:1): holds: in shadow, would decide log; route is decided by reports\n\
        decision\n  \
        route        replica (by reports)\n  \
        timeout      30s (by reports)\n  \
        log          info (in shadow, by seen)\n";
    assert_eq!(rules, expected);
    let output = with_rules("explain", &["--user", "app", "update t set a = 1"], &[("a.toml", REPORTS)]);
    let text = output.success();
    assert!(text.contains("reports (RULES/a.toml:2:1): does not hold: `class`\n"), "{text}");
    assert!(text.contains("seen (RULES/a.toml:7:1): does not hold: `client`\n"), "{text}");
    assert!(text.ends_with("decision\n  none\n"), "{text}");
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
