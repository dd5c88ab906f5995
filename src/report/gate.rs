//! `--fail-on`: what a report must not have, for CI.

use super::Report;
use crate::advice::findings;
use crate::spelling::did_you_mean;

/// What is seen of statements and may be named, and what it means; besides, what advice finds may be ([`findings::all`]).
pub const OF_STATEMENTS: &[(&str, &str)] = &[
    (
        "new_seq_scan",
        "A statement reads a table as a whole by its plan, and did not before; needs `--diff` and plans.",
    ),
    (
        "new_statement",
        "A statement that takes at least 1 % of all time was not there before; needs `--diff`.",
    ),
    ("slower", "The 95th percentile of a statement is longer by a quarter, and by 1 ms; needs `--diff`."),
    ("dearer", "A statement takes half as much time again a day, and at least a minute; needs `--diff`."),
    (
        "failing",
        "A larger share of a statement's calls fail: twice what it was, and by at least 1 % of all; needs `--diff`.",
    ),
];

/// What was found of one code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The code.
    pub code: String,
    /// Which statements or fixes, in a line each.
    pub what: Vec<String>,
}

/// Reads a list of codes.
///
/// # Errors
/// A code that is none, with the nearest one.
pub fn parse(text: &str) -> Result<Vec<String>, String> {
    let codes = text.split(',').map(str::trim).filter(|code| !code.is_empty());
    codes
        .map(|code| if known().any(|known| known == code) { Ok(code.to_owned()) } else { Err(unknown(code)) })
        .collect()
}

fn known() -> impl Iterator<Item = &'static str> {
    OF_STATEMENTS.iter().map(|(name, _)| *name).chain(findings::all().map(|code| code.name))
}

fn unknown(code: &str) -> String {
    let all: Vec<_> = known().collect();
    format!("there is no `{code}`{}\nknown: {}", did_you_mean(code, all.iter().copied()), all.join(", "))
}

impl Report {
    /// What the report has of these codes.
    ///
    /// # Errors
    /// A code that nothing can be said of, with what is missing: to say nothing would be to say that all is well.
    pub fn found(&self, codes: &[String]) -> Result<Vec<Found>, String> {
        let mut all = vec![];
        for code in codes {
            let what = match code.as_str() {
                "new_seq_scan" => self.found_scans()?,
                "new_statement" | "slower" | "dearer" | "failing" => self.found_changes(code)?,
                code => self.found_fixes(code)?,
            };
            if !what.is_empty() {
                all.push(Found { code: code.clone(), what });
            }
        }
        Ok(all)
    }

    fn found_scans(&self) -> Result<Vec<String>, String> {
        if self.before.is_none() {
            return Err("new_seq_scan needs --diff: without it nothing is known of before".into());
        }
        if self.statements.iter().all(|one| one.plan.is_none()) {
            return Err("new_seq_scan needs plans, and none is known: name the database".into());
        }
        let mut found = vec![];
        for one in &self.statements {
            for table in self.new_scans(one).unwrap_or_default() {
                found.push(format!("{} reads all of {table}: {}", one.id, start(&one.text)));
            }
        }
        Ok(found)
    }

    fn found_changes(&self, code: &str) -> Result<Vec<String>, String> {
        if self.before.is_none() {
            return Err(format!("{code} needs --diff: without it nothing is known of before"));
        }
        let with_change = |one| self.change(one).filter(|change| change.code() == code);
        let changed = self.statements.iter().filter(|one| with_change(one).is_some());
        Ok(changed.map(|one| format!("{}: {}", one.id, start(&one.text))).collect())
    }

    fn found_fixes(&self, code: &str) -> Result<Vec<String>, String> {
        if findings::named(code).is_some_and(|code| code.is_of_pgweir) && !self.is_of_pgweir() {
            return Err(format!("{code} needs what pgweir itself counts: a --store, not a log"));
        }
        if !self.is_advised {
            return Err(format!("{code} needs advice, and there is none: name the database"));
        }
        let fixes = self.fixes.iter().filter(|one| one.fix.code == code);
        Ok(fixes.map(|one| format!("{}: {}", one.id, one.fix.title)).collect())
    }
}

/// The start of a statement.
fn start(text: &str) -> String {
    let plain = super::numbers::plain(text);
    let short: String = plain.chars().take(80).collect();
    if short.len() < plain.len() { short + " ..." } else { short }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_in_the_guide() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guide/report.md");
        let page = std::fs::read_to_string(path).expect("the guide is there");
        let missing: Vec<_> = OF_STATEMENTS
            .iter()
            .filter(|(code, meaning)| !page.contains(&format!("| `{code}` | {meaning} |")))
            .map(|(code, meaning)| format!("| `{code}` | {meaning} |"))
            .collect();
        assert!(missing.is_empty(), "docs/guide/report.md has no line\n{}", missing.join("\n"));
    }
}
