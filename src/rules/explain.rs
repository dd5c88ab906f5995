//! What every rule makes of one statement, rule by rule.

use super::action::Concern;
use super::condition::Key;
use super::context::{Context, Subject};
use super::file::Mode;
use super::ruleset::{Rule, Ruleset};

/// What a rule makes of a statement.
#[derive(Debug)]
pub struct Told<'a> {
    /// The rule.
    pub rule: &'a Rule,
    /// What it makes of it.
    pub outcome: Outcome<'a>,
}

/// Whether a rule holds, and what comes of it.
#[derive(Debug, PartialEq)]
pub enum Outcome<'a> {
    /// It does not: the first condition that fails, and whether that is because the statement's tree is not understood.
    Fails(Key, bool),
    /// It holds: what it decides, or would decide in shadow, and what other rules have decided before it.
    Holds {
        /// Its own.
        decides: Vec<Concern>,
        /// Those that came too late, and the rule that was first.
        behind: Vec<(Concern, &'a str)>,
    },
}

/// Says it of all rules, in order. Counts nothing.
pub fn explain<'a>(ruleset: &'a Ruleset, subject: &Subject<'_>, context: &Context<'_>) -> Vec<Told<'a>> {
    let mut decided: Vec<(Concern, &'a str)> = vec![];
    let tell = |rule: &'a std::sync::Arc<Rule>| {
        if let Some(key) = rule.fails(subject, context) {
            let blind = !subject.facts.understood && key == rule.when().first_of_the_tree();
            return Told { rule, outcome: Outcome::Fails(key, blind) };
        }
        let first = |concern: Concern| decided.iter().find(|(other, _)| *other == concern).copied();
        let (behind, decides): (Vec<_>, Vec<_>) =
            rule.concerns().iter().partition(|one| first(*one).is_some());
        let behind = behind.into_iter().filter_map(first).collect();
        if rule.mode() == Mode::Enforce {
            decided.extend(decides.iter().map(|concern| (*concern, rule.name())));
        }
        Told { rule, outcome: Outcome::Holds { decides, behind } }
    };
    ruleset.rules().iter().map(tell).collect()
}
