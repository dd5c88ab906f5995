//! Rule files on the command line: `pgweir check --rules` and `pgweir explain --rules`.

use std::io::{self, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use super::check::Trial;
use super::printed::complain;
use super::{ExplainArgs, facts};
use crate::config::Settings;
use crate::rules::calendar::Seconds;
use crate::rules::{Context, Moment, Problem, Ruleset, Session, check as checks, folder};
use crate::runtime::rules as in_force;

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
        nowhere = in_force::nowhere(&ruleset);
        tell(&nowhere);
    }
    let well = checked.is_well() && nowhere.is_empty();
    let checks::Checked { rules: count, shadow, tests, .. } = checked;
    writeln!(
        out,
        "rules of {}: {} {}, {count} rules ({shadow} in shadow), {tests} tests run: {}",
        rules.display(),
        files.len(),
        if files.len() == 1 { "file" } else { "files" },
        if well { "ok" } else { "not ok" }
    )?;
    Ok(well)
}

/// Looks whether the tables and columns that rules of a folder name are there, in each database that answers; those that are not go to standard error. False:
/// one is not.
pub async fn check_names(rules: &Path, settings: &Settings, trial: &impl Trial) -> bool {
    let Some(ruleset) = compile(rules) else { return true };
    let mut well = true;
    for name in settings.databases.keys() {
        let Some(contents) = trial.contents(name).await else { continue };
        let missing = in_force::not_there(&ruleset, name, &contents);
        well &= missing.is_empty();
        tell(&missing);
    }
    well
}

/// The rules of a folder; what is wrong with them goes to standard error.
pub fn compile(rules: &Path) -> Option<Ruleset> {
    let compiled = folder::read(rules).and_then(|files| Ruleset::compile(&files));
    compiled.map_err(|problems| tell(&problems)).ok()
}

/// The session, and the moment without its text, that arguments describe.
pub fn context(arguments: &ExplainArgs) -> Context<'_> {
    let session = Session {
        user: arguments.user.as_deref().unwrap_or_default().as_bytes(),
        database: arguments.database.as_deref().unwrap_or_default().as_bytes(),
        application: arguments.application.as_bytes(),
        client: arguments.client,
        number: 0,
    };
    let moment = Moment { in_transaction: arguments.in_transaction, now: now(), text: b"" };
    Context { session, moment }
}

/// Says what is wrong; false, for the caller's answer.
fn tell(problems: &[Problem]) -> bool {
    problems.iter().for_each(|problem| complain!("{problem}"));
    false
}

fn now() -> Seconds {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Seconds::try_from(since.as_secs()).unwrap_or(Seconds::MAX)
}
