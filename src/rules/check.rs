//! What is wrong with rule files beyond what keeps them from being compiled: rules that are never reached, that are over, and
//! tests that fail.

use super::action::Concerns;
use super::calendar::Seconds;
use super::file::{Contents, Mode, WrittenTest};
use super::place::{Place, Problem, Severity, Source};
use super::ruleset::{Rule, Ruleset};
use super::trial;
use crate::sql::facts::Facts;

/// What became of a check.
#[derive(Debug)]
pub struct Checked {
    /// How many rules there are.
    pub rules: usize,
    /// How many of them are in shadow.
    pub shadow: usize,
    /// How many tests were run.
    pub tests: usize,
    /// What is wrong, in order of its place.
    pub problems: Vec<Problem>,
}

impl Checked {
    /// Whether nothing is wrong but for warnings.
    pub fn is_well(&self) -> bool {
        self.problems.iter().all(|problem| problem.severity == Severity::Warning)
    }
}

/// Checks all files together and runs their tests. `now` is the time; `facts` says what a statement is about.
pub fn check(files: &[Source], now: Seconds, facts: &mut dyn FnMut(&str) -> Facts) -> Checked {
    let contents = Contents::of(files);
    let (ruleset, mut problems) = Ruleset::of(contents.rules, contents.problems);
    problems.extend(unreachable(&ruleset));
    problems.extend(ruleset.rules().iter().filter(|rule| rule.is_over(now)).map(|rule| over(rule)));
    let mut tests = 0;
    // With a rule missing, tests would fail for it.
    if problems.iter().all(|problem| problem.severity == Severity::Warning) {
        tests = contents.tests.len();
        problems.extend(
            contents.tests.iter().flat_map(|(place, test)| failures(&ruleset, place, test, now, facts)),
        );
    }
    problems.sort();
    let shadow = ruleset.rules().iter().filter(|rule| rule.mode() == Mode::Shadow).count();
    Checked { rules: ruleset.rules().len(), shadow, tests, problems }
}

fn over(rule: &Rule) -> Problem {
    let until = rule.until().map(|day| day.to_string()).unwrap_or_default();
    let message =
        format!("`{}` held until {until} and is ignored now; remove it, or give it a later day", rule.name());
    Problem::warning(rule.place().clone(), message)
}

fn failures(
    ruleset: &Ruleset,
    place: &Place,
    test: &WrittenTest,
    now: Seconds,
    facts: &mut dyn FnMut(&str) -> Facts,
) -> Vec<Problem> {
    let failed = trial::run(ruleset, test, now, facts);
    let name = test.name.as_ref().map_or("test fails".to_owned(), |name| format!("test \"{name}\" fails"));
    failed.into_iter().map(|what| Problem::error(place.clone(), format!("{name}: {what}"))).collect()
}

/// Rules that earlier ones leave nothing to decide: quadratic in the number of rules, which is bounded.
fn unreachable(ruleset: &Ruleset) -> Vec<Problem> {
    let rules = ruleset.rules();
    let hidden = |(index, rule): (usize, &std::sync::Arc<Rule>)| {
        let mut left = rule.concerns();
        let mut by = vec![];
        for earlier in &rules[..index] {
            if hides(earlier, rule, left) {
                left = left.without(earlier.concerns());
                by.push(format!("`{}` ({})", earlier.name(), earlier.place()));
            }
        }
        let advice = "is never reached: whenever it holds, the rule before it decides all that it would";
        left.is_empty().then(|| {
            let message = format!(
                "`{}` {advice}: {}; move it up, narrow the other, or remove it",
                rule.name(),
                by.join(", ")
            );
            Problem::error(rule.place().clone(), message)
        })
    };
    rules.iter().enumerate().filter_map(hidden).collect()
}

/// Whether an earlier rule takes something of what a later one has left, whenever that holds.
fn hides(earlier: &Rule, later: &Rule, left: Concerns) -> bool {
    let takes = left.without(earlier.concerns()) != left;
    // One that ends leaves its place to the later one.
    let lasts = match (earlier.until(), later.until()) {
        (None, _) => true,
        (Some(earlier), Some(later)) => earlier >= later,
        (Some(_), None) => false,
    };
    takes && lasts && earlier.mode() == Mode::Enforce && earlier.when().covers(later.when())
}
