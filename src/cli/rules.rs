//! Rule files on the command line: `pgweir check --rules` and `pgweir explain --rules`.

use std::io::{self, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use super::{ExplainArgs, facts};
use crate::rules::calendar::Seconds;
use crate::rules::explain::{Outcome, Told, explain as explain_rules};
use crate::rules::{Concern, Context, Decision, Mode, Moment, Problem, Rule, Ruleset, Session, Subject};
use crate::rules::{check as checks, class_name, folder};
use crate::runtime::rules as in_force;
use crate::sql::{not_a_read, shape, summarize};

/// Checks the rule files of a folder and runs their tests; what is wrong goes to standard error. False: something is.
///
/// # Errors
/// Those of `out`.
pub fn check(rules: &Path, out: &mut impl Write) -> io::Result<bool> {
    let files = match folder::read(rules) {
        Ok(files) => files,
        Err(problems) => return Ok(tell(&problems)),
    };
    let checked = checks::check(&files, now(), &mut facts::of);
    tell(&checked.problems);
    let mut nowhere = vec![];
    if let Ok(ruleset) = Ruleset::compile(&files) {
        tell(&checks::not_applied(&ruleset));
        nowhere = in_force::nowhere(&ruleset);
        tell(&nowhere);
    }
    let well = checked.is_well() && nowhere.is_empty();
    let checks::Checked { rules: count, shadow, tests, .. } = checked;
    writeln!(
        out,
        "rules of {}: {} files, {count} rules ({shadow} in shadow), {tests} tests run: {}",
        rules.display(),
        files.len(),
        if well { "ok" } else { "not ok" }
    )?;
    Ok(well)
}

/// Says of each statement, rule by rule, what becomes of it. False: the rule files are wrong.
///
/// # Errors
/// Those of `out`.
pub fn explain(rules: &Path, arguments: &ExplainArgs, out: &mut impl Write) -> io::Result<bool> {
    let compiled = folder::read(rules).and_then(|files| Ruleset::compile(&files));
    let ruleset = match compiled {
        Ok(ruleset) => ruleset,
        Err(problems) => return Ok(tell(&problems)),
    };
    let session = Session {
        user: arguments.user.as_deref().unwrap_or_default().as_bytes(),
        database: arguments.database.as_deref().unwrap_or_default().as_bytes(),
        application: arguments.application.as_bytes(),
        client: arguments.client,
        number: 0,
    };
    for statement in &summarize(arguments.sql.as_bytes(), true).statements {
        let text = &arguments.sql[statement.range.clone()];
        let moment = Moment { in_transaction: false, now: now(), text: text.as_bytes() };
        print(&ruleset, text, &Context { session, moment }, out)?;
    }
    Ok(true)
}

fn print(ruleset: &Ruleset, text: &str, context: &Context<'_>, out: &mut impl Write) -> io::Result<()> {
    let shape = shape(text.as_bytes(), true);
    let facts = facts::of(text);
    let is_read = not_a_read(text.as_bytes(), true).is_none();
    let subject = Subject { facts: &facts, fingerprint: shape.fingerprint, shape: &shape.text, is_read };
    writeln!(out, "class        {}", class_name(facts.class))?;
    writeln!(out, "rules")?;
    for told in explain_rules(ruleset, &subject, context) {
        writeln!(out, "  {} ({}): {}", told.rule.name(), told.rule.place(), outcome(&told))?;
    }
    writeln!(out, "decision")?;
    decision(&ruleset.candidates(&subject).would_decide(context), out)
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

fn decision(decision: &Decision<'_>, out: &mut impl Write) -> io::Result<()> {
    if decision.is_empty() {
        writeln!(out, "  none")?;
    }
    let says = |concern: Concern, rule: &Rule| rule.then().shown(concern).unwrap_or_default();
    for (concern, rule) in decision.decided() {
        writeln!(out, "  {:<12} {} (by {})", concern.name(), says(concern, rule), rule.name())?;
    }
    for (concern, rule) in decision.shadow() {
        let name = concern.name();
        writeln!(out, "  {name:<12} {} (in shadow, by {})", says(concern, rule), rule.name())?;
    }
    Ok(())
}

/// Says what is wrong; false, for the caller's answer.
fn tell(problems: &[Problem]) -> bool {
    problems.iter().for_each(|problem| eprintln!("{problem}"));
    false
}

fn now() -> Seconds {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Seconds::try_from(since.as_secs()).unwrap_or(Seconds::MAX)
}
