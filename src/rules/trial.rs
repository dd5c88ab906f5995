//! The tests that rule files carry: a statement of a session, and what must come of it.

use super::action::Concern;
use super::calendar::Seconds;
use super::condition::class_name;
use super::context::{Context, Moment, Session, Subject};
use super::file::{Decided, WrittenTest};
use super::ruleset::Ruleset;
use crate::spelling;
use crate::sql::facts::Facts;
use crate::sql::{not_a_read, shape, summarize};

/// Runs a test; what is not as it should be, as sentences that say what was expected and what was found.
pub(super) fn run(
    ruleset: &Ruleset,
    test: &WrittenTest,
    now: Seconds,
    facts: &mut dyn FnMut(&str) -> Facts,
) -> Vec<String> {
    let text = test.statement.as_bytes();
    let shape = shape(alone(text), true);
    let facts = facts(&test.statement);
    let is_read = not_a_read(text, true).is_none();
    let subject = Subject { facts: &facts, fingerprint: shape.fingerprint, shape: &shape.text, is_read };
    let session = Session {
        user: test.user.as_bytes(),
        database: test.database.as_bytes(),
        application: test.application.as_bytes(),
        client: test.client,
        number: test.session,
    };
    let moment = Moment { in_transaction: test.in_transaction, now: test.at.unwrap_or(now), text };
    let context = Context { session, moment };
    let mut failed = vec![];
    let mut add = |problem: Option<String>| failed.extend(problem);
    add(test.class.as_ref().and_then(|class| differs("class", class, class_name(facts.class))));
    let (marked, found) = (String::from_utf8_lossy(&shape.text), shape.kept(true));
    let expected = test.shape.as_ref().filter(|expected| ***expected != *marked);
    add(expected.and_then(|expected| differs("shape", expected, &String::from_utf8_lossy(&found))));
    let unknown = unknown_rules(ruleset, test);
    if unknown.is_empty() {
        let candidates = ruleset.candidates(&subject);
        let decision = candidates.would_decide(&context);
        let failing = |rule: &str| why_not(ruleset, rule, &subject, &context);
        add(test.decided.as_ref().and_then(|expected| {
            let found: Decided =
                decision.decided().map(|(concern, rule)| (concern, rule.name().into())).collect();
            decided(expected, &found, failing)
        }));
        add(test.shadow.as_ref().and_then(|expected| {
            let mut found: Vec<&str> = decision.shadow().map(|(_, rule)| rule.name()).collect();
            found.dedup();
            shadow(expected, found, failing)
        }));
        for concern in test.then.iter().flat_map(|then| then.concerns().iter()) {
            let rule = decision.rule(concern);
            let expected = test.then.as_ref().and_then(|then| then.shown(concern)).unwrap_or_default();
            let agrees = rule
                .is_some_and(|rule| test.then.as_ref().is_some_and(|then| then.agrees(rule.then(), concern)));
            let found = rule.and_then(|rule| rule.then().shown(concern)).unwrap_or("nothing".to_owned());
            add((!agrees).then(|| format!("`{}` should be {expected}, but is {found}", concern.name())));
        }
    }
    failed.extend(unknown);
    failed
}

/// The statement without a semicolon behind it; several stay together.
fn alone(text: &[u8]) -> &[u8] {
    match summarize(text, true).statements.as_slice() {
        [statement] => text.get(statement.range.clone()).unwrap_or(text),
        _ => text,
    }
}

fn differs(what: &str, expected: &str, found: &str) -> Option<String> {
    (expected != found).then(|| format!("the {what} should be `{expected}`, but is `{found}`"))
}

/// Names in the test that no rule has.
fn unknown_rules(ruleset: &Ruleset, test: &WrittenTest) -> Vec<String> {
    let known = || ruleset.rules().iter().map(|rule| rule.name());
    let decided = test.decided.iter().flat_map(|decided| decided.values());
    let named = decided.chain(test.shadow.iter().flatten());
    let unknown = named.filter(|name| !known().any(|known| known == &***name));
    unknown
        .map(|name| format!("there is no rule `{name}`{}", spelling::did_you_mean(name, known())))
        .collect()
}

/// Why a rule does not hold, in words.
fn why_not(ruleset: &Ruleset, name: &str, subject: &Subject<'_>, context: &Context<'_>) -> String {
    let Some(rule) = ruleset.rules().iter().find(|rule| rule.name() == name) else { return String::new() };
    match rule.fails(subject, context) {
        Some(key) if rule.when().asks_the_tree() && !subject.facts.understood && key != "class" => {
            format!(" (of `{name}`, `{key}` does not hold: the statement is not understood)")
        }
        Some(key) => format!(" (of `{name}`, `{key}` does not hold)"),
        None => format!(" (`{name}` holds, but another rule comes first, or it is in the other mode)"),
    }
}

fn decided(expected: &Decided, found: &Decided, why: impl Fn(&str) -> String) -> Option<String> {
    let shown = |rule: Option<&Box<str>>| rule.map_or("by nobody".to_owned(), |rule| format!("by `{rule}`"));
    let differs = |concern: &&Concern| expected.get(concern) != found.get(concern);
    let problems: Vec<_> = Concern::ALL
        .iter()
        .filter(differs)
        .map(|concern| {
            let (wanted, had) = (expected.get(concern), found.get(concern));
            let reason = wanted.map_or(String::new(), |rule| why(rule));
            let name = concern.name();
            format!("`{name}` should be decided {}, but is {}{reason}", shown(wanted), shown(had))
        })
        .collect();
    (!problems.is_empty()).then(|| problems.join("; "))
}

fn shadow(expected: &[Box<str>], found: Vec<&str>, why: impl Fn(&str) -> String) -> Option<String> {
    let missing = expected.iter().filter(|name| !found.contains(&&***name));
    let missing = missing
        .map(|name| format!("`{name}` in shadow should have decided something, but has not{}", why(name)));
    let more = found.iter().filter(|name| !expected.iter().any(|one| **one == ***name));
    let more = more.map(|name| format!("`{name}` in shadow should not have decided anything, but has"));
    let problems: Vec<_> = missing.chain(more).collect();
    (!problems.is_empty()).then(|| problems.join("; "))
}
