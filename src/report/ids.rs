//! Names that stay: `Q7` for a statement, `FIX-2` for something to do.
//!
//! With a store they are its numbers, given once and kept with it: short enough to be said aloud. Without one (a server's log, the counts of a
//! process) there is nobody to remember a number, so the name is made of the fingerprint, with a dash: `Q-6f3a21`. A report to compare with
//! hands its names on.

use std::collections::HashMap;

use xxhash_rust::xxh3::xxh3_128;

use crate::advice::{Action, Fix};

/// Digits of a name that is made of a fingerprint.
const DIGITS: usize = 6;

/// Names by fingerprint, or by what a fix is.
#[derive(Debug, Clone, Default)]
pub struct Names {
    prefix: &'static str,
    known: HashMap<u128, String>,
}

impl Names {
    /// Of statements, by the numbers that a store gave.
    pub fn of_statements(numbers: &HashMap<u128, u64>) -> Names {
        let known = numbers.iter().map(|(name, number)| (*name, format!("Q{number}"))).collect();
        Names { prefix: "Q-", known }
    }

    /// Of fixes, by the numbers that a store gave.
    pub fn of_fixes(numbers: &HashMap<u128, u64>) -> Names {
        let known = numbers.iter().map(|(name, number)| (*name, format!("FIX-{number}"))).collect();
        Names { prefix: "FIX-", known }
    }

    /// Takes over a name, where there is none yet.
    pub fn inherit(&mut self, key: u128, name: &str) {
        self.known.entry(key).or_insert_with(|| name.to_owned());
    }

    /// The name of this one. Two never have the same one.
    pub fn name(&mut self, key: u128) -> String {
        if let Some(known) = self.known.get(&key) {
            return known.clone();
        }
        let digits = format!("{key:032x}");
        let taken = |name: &String| self.known.values().any(|known| known == name);
        let candidates = (DIGITS..=32).map(|length| format!("{}{}", self.prefix, &digits[..length]));
        let name = candidates.into_iter().find(|name| !taken(name)).unwrap_or(digits);
        self.known.insert(key, name.clone());
        name
    }
}

/// What a fix is, whenever it is proposed: SQL and settings are what they run; a change of code, or a rule, is its kind and what it helps, for its words have numbers
/// that change.
pub fn key(fix: &Fix) -> u128 {
    let mut what = vec![fix.code.to_owned()];
    match &fix.action {
        Action::Sql { run, .. } => what.extend(run.iter().cloned()),
        Action::Setting { run, .. } => what.push(run.clone()),
        Action::Rule(_) | Action::Code { .. } => {
            let mut helps = fix.helps.clone();
            helps.sort_unstable();
            what.extend(helps.iter().map(|name| format!("{name:032x}")));
            if helps.is_empty() {
                what.push(fix.title.clone());
            }
        }
    }
    xxh3_128(what.join("\0").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advice::{Price, Proof};

    #[test]
    fn names_are_the_stores_or_made_of_fingerprints() {
        let mut names = Names::of_statements(&HashMap::from([(7, 3)]));
        let (one, other) = (0x1234_5678 << 96, 0x1234_5679 << 96);
        assert_eq!(
            [7, one, other, one].map(|key| names.name(key)),
            ["Q3", "Q-123456", "Q-1234567", "Q-123456"]
        );
        let mut names = Names::of_fixes(&HashMap::new());
        names.inherit(5, "FIX-2");
        names.inherit(5, "FIX-9");
        assert_eq!(names.name(5), "FIX-2");
    }

    #[test]
    fn a_fix_is_what_it_does() {
        let fix = |action, helps: &[u128]| Fix {
            code: "x",
            title: format!("helps {}", helps.len()),
            evidence: vec![],
            action,
            helps: helps.to_vec(),
            saves: None,
            price: Price::default(),
            proof: Proof::Pattern,
        };
        let code = |change: &str| Action::Code { change: change.into(), rewritten: None };
        assert_eq!(
            key(&fix(code("214 a transaction"), &[1, 2])),
            key(&fix(code("215 a transaction"), &[2, 1]))
        );
        assert_ne!(key(&fix(code("a"), &[1])), key(&fix(code("a"), &[2])));
        let sql = |run: &str| Action::Sql { run: vec![run.into()], undo: vec![], concurrently: true };
        assert_eq!(key(&fix(sql("create index"), &[1])), key(&fix(sql("create index"), &[2])));
        assert_ne!(key(&fix(sql("create index"), &[1])), key(&fix(sql("drop index"), &[1])));
    }
}
