//! SHOW RULES, and their counters among the metrics.

use super::table::{Table, row};
use crate::rules::{Mode, Rule, Ruleset};
use crate::stats::prometheus::Samples;

/// SHOW RULES: in the order in which they are asked.
pub fn table(rules: &Ruleset) -> Table {
    let rows = rules.rules().iter().map(|rule| {
        let concerns: Vec<_> = rule.concerns().iter().map(|concern| concern.name()).collect();
        row![
            rule.name(),
            rule.place().path.display().to_string(),
            rule.place().line,
            mode(rule.mode()),
            concerns.join(", "),
            rule.hits(),
            rule.shadow_hits(),
            rule.until().map(|day| day.to_string()),
        ]
    });
    Table::new("name file line# mode concerns hits# shadow_hits# until").with(rows)
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
