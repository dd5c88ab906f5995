//! `--fail-on`: what a report must not have, for CI.

use super::Report;
use crate::spelling::did_you_mean;

/// What may be named, and what it means: first what is seen of statements, then what advice finds.
pub const CODES: &[(&str, &str)] = &[
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
    ("index", "An index would help."),
    ("drop_index", "An index can be dropped."),
    ("invalid_index", "An index is not valid."),
    ("foreign_key_index", "A foreign key has no index on its own side."),
    ("rewrite_sargable", "A condition puts a column into a function or a sum, so that no index serves."),
    ("implicit_cast", "A parameter is sent as another type than the column's."),
    ("rewrite_union", "An OR over several tables would be faster as a UNION."),
    ("rewrite_not_exists", "A NOT IN would be faster as a NOT EXISTS."),
    ("deep_offset", "Pages far behind are read from the beginning."),
    ("order_by_random", "All rows are sorted to take some at random."),
    ("over_fetch", "Far more is read than can be used."),
    ("count_everything", "All rows are counted again and again."),
    ("work_mem", "Sorts or hashes go to disk."),
    ("analyze", "Statistics are stale."),
    ("extended_statistics", "Columns depend on each other and the planner does not know."),
    ("vacuum", "Dead rows are in the way."),
    ("missing_partition_key", "All partitions are read."),
    ("n_plus_one", "One statement is sent for each row of another."),
    ("chatty_transaction", "A transaction sends many small statements."),
    ("idle_in_transaction", "Transactions wait for the application."),
    ("lock_wait", "Statements wait for locks."),
    ("pool_starved", "Sessions wait for a server of the pool."),
    ("slow_client", "Clients take their answers slowly."),
    ("generic_plan", "The generic plan is worse than those for the values."),
    ("plan_regression", "A statement became slow at some time."),
    ("cache_rule", "A read is worth keeping its result."),
    ("replica_rule", "Reads could go to a replica."),
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
    codes.map(|code| if is_known(code) { Ok(code.to_owned()) } else { Err(unknown(code)) }).collect()
}

fn is_known(code: &str) -> bool {
    CODES.iter().any(|(known, _)| *known == code)
}

fn unknown(code: &str) -> String {
    let all: Vec<_> = CODES.iter().map(|(known, _)| *known).collect();
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
        let missing: Vec<_> = CODES
            .iter()
            .filter(|(code, meaning)| !page.contains(&format!("| `{code}` | {meaning} |")))
            .map(|(code, meaning)| format!("| `{code}` | {meaning} |"))
            .collect();
        assert!(missing.is_empty(), "docs/guide/report.md has no line\n{}", missing.join("\n"));
    }
}
