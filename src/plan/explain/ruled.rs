//! What rules make of a statement, rule by rule, and what is decided.

use super::Line;
use crate::plan::consistency::Level;
use crate::rules::explain::{Outcome, Told, explain};
use crate::rules::{Concern, Context, Decision, Mode, Route, Rule, Ruleset, Subject};

/// What a decision asks of reads at replicas, and the rule that does.
pub fn asked_level<'a>(decision: &Decision<'a>) -> Option<(Level, &'a str)> {
    if let Some(route) = decision.route().filter(|route| *route.action == Route::Primary) {
        return Some((Level::Primary, route.rule.name()));
    }
    decision.consistency().map(|asked| (*asked.action, asked.rule.name()))
}

/// One line for each rule, in order: whether it holds, and if not, the first of its conditions that does not. Counts nothing.
pub fn rules(ruleset: &Ruleset, subject: &Subject<'_>, context: &Context<'_>) -> Vec<Line> {
    let line = |told: Told<'_>| {
        Line::new("rule", format!("{} ({}): {}", told.rule.name(), told.rule.place(), outcome(&told)))
    };
    explain(ruleset, subject, context).into_iter().map(line).collect()
}

fn outcome(told: &Told<'_>) -> String {
    let shadow = told.rule.mode() == Mode::Shadow;
    let (decides, behind) = match &told.outcome {
        Outcome::Fails(key, true) => {
            return format!("does not hold: `{key}`, since the statement is not understood");
        }
        Outcome::Fails(key, false) => return format!("does not hold: `{key}`"),
        Outcome::Holds { decides, behind } => (decides, behind),
    };
    let mut parts = vec![];
    if !decides.is_empty() {
        let names: Vec<_> = decides.iter().map(|concern| concern.name()).collect();
        let verb = if shadow { "in shadow, would decide" } else { "decides" };
        parts.push(format!("{verb} {}", names.join(", ")));
    }
    parts.extend(behind.iter().map(|(concern, first)| format!("{} is decided by {first}", concern.name())));
    format!("holds: {}", parts.join("; "))
}

/// One line for each concern that was decided, or would have been by a rule in shadow.
pub fn decision(decision: &Decision<'_>) -> Vec<Line> {
    let says = |concern: Concern, rule: &Rule| rule.then().shown(concern).unwrap_or_default();
    let decided = decision
        .decided()
        .map(|(concern, rule)| format!("{} {} (by {})", concern.name(), says(concern, rule), rule.name()));
    let shadow = decision.shadow().map(|(concern, rule)| {
        format!("{} {} (in shadow, by {})", concern.name(), says(concern, rule), rule.name())
    });
    let mut lines: Vec<_> = decided.chain(shadow).map(|told| Line::new("decision", told)).collect();
    if lines.is_empty() {
        lines.push(Line::new("decision", "none"));
    }
    lines
}
