//! SHOW RULES, and their counters among the metrics.

use super::table::{Table, row};
use crate::rules::gate::Tally;
use crate::rules::{Mode, Rule, Ruleset};
use crate::stats::prometheus::Samples;

/// SHOW RULES: in the order in which they are asked.
pub fn table(rules: &Ruleset) -> Table {
    let rows = rules.rules().iter().map(|rule| {
        let concerns: Vec<_> = rule.concerns().iter().map(|concern| concern.name()).collect();
        let tally = tally(rule);
        row![
            rule.name(),
            rule.place().path.display().to_string(),
            rule.place().line,
            mode(rule.mode()),
            concerns.join(", "),
            rule.hits(),
            rule.shadow_hits(),
            rule.until().map(|day| day.to_string()),
            tally.waiting,
            tally.running,
            tally.waited,
            tally.wait_time.as_micros() as u64,
            tally.refused,
        ]
    });
    let counted = "waiting# running# waited# wait_time# refused#";
    Table::new(&format!("name file line# mode concerns hits# shadow_hits# until {counted}")).with(rows)
}

/// What the gates of a rule have seen; of one in shadow, nothing.
fn tally(rule: &Rule) -> Tally {
    let mut all = Tally::default();
    for one in rule.gates().map(|gate| gate.tally()) {
        all.waited += one.waited;
        all.wait_time += one.wait_time;
        all.refused += one.refused;
        all.waiting += one.waiting;
        all.running += one.running;
    }
    all
}

/// A number of each rule that throttles, or bounds how many run at once.
pub fn tallies(rules: &Ruleset, mut put: impl FnMut(&str, Tally)) {
    let paced = |rule: &&std::sync::Arc<Rule>| rule.gates().next().is_some();
    rules.rules().iter().filter(paced).for_each(|rule| put(rule.name(), tally(rule)));
}

/// The hits of each rule, under its mode; those from before its mode was changed under the other.
pub fn hits(rules: &Ruleset, out: &mut Samples<'_>) {
    let mut put = |rule: &Rule, of: Mode, hits: u64| {
        if hits > 0 || of == rule.mode() {
            out.count(&[rule.name(), mode(of)], hits);
        }
    };
    for rule in rules.rules() {
        put(rule, Mode::Enforce, rule.hits());
        put(rule, Mode::Shadow, rule.shadow_hits());
    }
}

fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Enforce => "enforce",
        Mode::Shadow => "shadow",
    }
}
