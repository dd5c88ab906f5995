//! What to do, as a report lists it: in groups, the dearest first, each as blocks that can be copied.

use super::ids;
use super::numbers::{bytes, seconds};
use crate::advice::{Action, Advice, Fix, Proof};

/// A fix in a report.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Its name in reports: `FIX-2`.
    pub id: String,
    /// What it is, whenever it is proposed.
    pub key: u128,
    /// Where it is listed.
    pub group: Group,
    /// What advice says.
    pub fix: Fix,
}

/// Where a fix is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Indexes to create.
    Index,
    /// What no index cures.
    NotAnIndex,
    /// Rules of pgweir: what it keeps, and where it sends reads.
    Pgweir,
    /// Indexes to drop or to repair.
    Repair,
}

impl Group {
    /// By a name that stays.
    pub fn code(self) -> &'static str {
        match self {
            Group::Index => "index",
            Group::NotAnIndex => "not_an_index",
            Group::Pgweir => "pgweir",
            Group::Repair => "repair",
        }
    }

    fn of(fix: &Fix) -> Group {
        let starts = |words: &[&str]| match &fix.action {
            Action::Sql { run, .. } => run.first().is_some_and(|first| {
                let first = first.trim_start().to_ascii_uppercase();
                words.iter().any(|word| first.starts_with(word))
            }),
            _ => false,
        };
        match &fix.action {
            Action::Rule(_) => Group::Pgweir,
            Action::Sql { .. } if starts(&["DROP INDEX", "REINDEX", "ALTER INDEX"]) => Group::Repair,
            Action::Sql { .. } if starts(&["CREATE INDEX", "CREATE UNIQUE INDEX", "CREATE EXTENSION"]) => {
                Group::Index
            }
            _ => Group::NotAnIndex,
        }
    }
}

/// The fixes of an advice, those that save most first; names come later.
pub(super) fn listed(advice: &Advice) -> Vec<Listed> {
    let mut all: Vec<_> = advice.fixes.iter().map(|fix| Listed::of(fix, String::new())).collect();
    // Those of which it is not known come behind, in the order that they have.
    all.sort_by(|one, other| other.fix.saves.unwrap_or(-1.0).total_cmp(&one.fix.saves.unwrap_or(-1.0)));
    all
}

impl Listed {
    /// A fix by its name.
    pub fn of(fix: &Fix, id: String) -> Listed {
        Listed { id, key: ids::key(fix), group: Group::of(fix), fix: fix.clone() }
    }

    /// What it saves a day.
    pub fn saves(&self) -> String {
        self.fix.saves.map_or("-".to_owned(), seconds)
    }

    /// What it costs.
    pub fn price(&self) -> String {
        let price = &self.fix.price;
        let size = match price.bytes {
            0 => None,
            more @ 1.. => Some(bytes(more as u64)),
            fewer => Some(format!("frees {}", bytes(fewer.unsigned_abs()))),
        };
        let writes = match price.writes {
            none if none.abs() < 0.0005 => None,
            more if more > 0.0 => Some(format!("+{} of writes a day", seconds(more))),
            fewer => Some(format!("-{} of writes a day", seconds(-fewer))),
        };
        let parts: Vec<_> = size.into_iter().chain(writes).collect();
        match (parts.is_empty(), &self.fix.action) {
            (false, _) => parts.join(", "),
            (true, Action::Code { .. }) => "a change of code".to_owned(),
            (true, Action::Rule(_)) => "one rule".to_owned(),
            (true, Action::Setting { .. }) => "a setting".to_owned(),
            (true, Action::Sql { .. }) => "-".to_owned(),
        }
    }

    /// How it is known.
    pub fn proof(&self) -> String {
        match self.fix.proof {
            Proof::Measured => "MEASURED".to_owned(),
            Proof::Planner { better, samples } => format!("PLANNER {better} of {samples} samples"),
            Proof::Simulated => "SIMULATED".to_owned(),
            Proof::Pattern => "PATTERN".to_owned(),
        }
    }

    /// What to copy, each under a few words.
    pub fn blocks(&self) -> Vec<(String, String)> {
        let lines = |statements: &[String]| {
            let ended = |one: &String| format!("{};", one.trim_end().trim_end_matches(';'));
            statements.iter().map(ended).collect::<Vec<_>>().join("\n")
        };
        let block = |label: &str, text: String| (!text.is_empty()).then(|| (label.to_owned(), text));
        let blocks = match &self.fix.action {
            Action::Sql { run, undo, concurrently } => {
                let label = if *concurrently { "run (not in a transaction)" } else { "run" };
                [block(label, lines(run)), block("undo", lines(undo))]
            }
            Action::Rule(text) => {
                [block("a rule file, in shadow mode until you have looked at its hits", text.clone()), None]
            }
            Action::Code { change, rewritten } => [
                block("change", change.clone()),
                rewritten.clone().and_then(|text| block("the statement as it would be", text)),
            ],
            Action::Setting { run, undo } => [
                block("run", lines(std::slice::from_ref(run))),
                block("undo", lines(std::slice::from_ref(undo))),
            ],
        };
        blocks.into_iter().flatten().collect()
    }
}

/// What the grades of proof mean.
pub const GRADES: &[(&str, &str)] = &[
    ("MEASURED", "both ways were really run"),
    ("PLANNER", "the planner said so, with the index that is not there (HypoPG), for so many of the samples"),
    ("SIMULATED", "what was seen was run again in a simulation"),
    ("PATTERN", "it is so by pattern, and could not be proven here"),
];
