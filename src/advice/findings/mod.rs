//! What is no index: statements that are better written otherwise, and what is wrong around them.
//!
//! Pure. A finding has numbers that were seen, and a fix; where another remedy is right, it is not said. What it saves is a model, told in its
//! evidence, in seconds of the time that was looked at: [`of_workload`] makes seconds a day of them.

mod around;
mod clocks;
mod codes;
mod database;
mod estimates;
mod memory;
mod moments;
mod pgweir;
mod transactions;
mod written;

use std::time::Duration;

use super::plan::is_read_whole;
use super::scan::{Found, Scan, of_observed};
use super::schema::Table;
use super::{Action, Fix, Observed, Plan, Price, Proof, Schema, Workload};
use crate::stats::tally::TOTAL;

pub use codes::{CODES, Code, OF_INDEXES, all, named, page};
pub use database::of_schema;

/// A day, in seconds.
const DAY: f64 = 86_400.0;
/// So much of a statement names it in a title, in characters.
const WORDS: usize = 48;

/// What there is to find of the statements of one shape. What each saves is in seconds of the time that was looked at; see [`per_day`].
pub fn findings(observed: &Observed, schema: &Schema, plans: &[Plan]) -> Vec<Fix> {
    let found = of_observed(observed, schema);
    let seen = Seen { observed, found: &found, schema, plans };
    let mut fixes = vec![];
    written::written(&seen, &mut fixes);
    around::around(&seen, &mut fixes);
    estimates::estimates(&seen, &mut fixes);
    memory::memory(&seen, &mut fixes);
    clocks::clocks(&seen, &mut fixes);
    transactions::transactions(&seen, &mut fixes);
    moments::moments(&seen, &mut fixes);
    fixes
}

/// What there is to find of a whole workload, in seconds a day: of each shape, and what takes more than one to see. `plans` gives those of a
/// fingerprint. Equal fixes of several shapes are one. The same for any order of the shapes.
pub fn of_workload(workload: &Workload, schema: &Schema, plans: &dyn Fn(u128) -> Vec<Plan>) -> Vec<Fix> {
    let mut shapes: Vec<&Observed> = workload.shapes.iter().collect();
    shapes.sort_by_key(|observed| observed.fingerprint);
    let mut fixes = vec![];
    for observed in &shapes {
        fixes.extend(findings(observed, schema, &plans(observed.fingerprint)));
    }
    fixes.extend(pgweir::rules(workload, schema));
    let mut fixes = merged(fixes);
    per_day(&mut fixes, workload.window);
    fixes
}

/// Makes what fixes save, in seconds of a time that was looked at, seconds a day.
pub fn per_day(fixes: &mut [Fix], window: Duration) {
    let seconds = window.as_secs_f64();
    for fix in fixes {
        fix.saves = fix.saves.filter(|_| seconds > 0.0).map(|saves| saves * DAY / seconds);
    }
}

/// Equal fixes as one, which helps all that each does.
pub fn merged(fixes: Vec<Fix>) -> Vec<Fix> {
    let mut all: Vec<Fix> = vec![];
    for fix in fixes {
        match all
            .iter_mut()
            .find(|one| one.code == fix.code && one.title == fix.title && one.action == fix.action)
        {
            Some(one) => {
                one.helps.extend(fix.helps);
                one.helps.sort_unstable();
                one.helps.dedup();
                one.saves = match (one.saves, fix.saves) {
                    (Some(mine), Some(theirs)) => Some(mine + theirs),
                    (mine, theirs) => mine.or(theirs),
                };
                let new: Vec<String> =
                    fix.evidence.into_iter().filter(|line| !one.evidence.contains(line)).collect();
                one.evidence.extend(new);
            }
            None => all.push(fix),
        }
    }
    all
}

/// What is known of a shape.
pub(super) struct Seen<'a> {
    pub observed: &'a Observed,
    /// What it asks for, sample by sample.
    pub found: &'a [Found],
    pub schema: &'a Schema,
    pub plans: &'a [Plan],
}

impl<'a> Seen<'a> {
    pub fn first(&self) -> Option<&'a Found> {
        self.found.first()
    }

    /// Seconds of all its calls.
    pub fn seconds(&self) -> f64 {
        self.observed.sums.micros[TOTAL] as f64 / 1e6
    }

    /// Seconds that the server had them.
    pub fn server_seconds(&self) -> f64 {
        (self.observed.sums.micros[1] + self.observed.sums.micros[2]) as f64 / 1e6
    }

    /// Milliseconds of a call, on average.
    pub fn mean(&self) -> f64 {
        self.seconds() * 1000.0 / self.observed.sums.timed.max(1) as f64
    }

    pub fn per_call(&self, count: u64) -> f64 {
        count as f64 / self.observed.sums.calls.max(1) as f64
    }

    /// The text to write again: a statement as it was sent, for one that has literals; its shape where there is none.
    pub fn text(&self) -> &'a str {
        self.observed.samples.first().map_or(&self.observed.text, |sample| &sample.text)
    }

    /// The beginning of its shape, for a line.
    pub fn words(&self) -> String {
        let plain: Vec<&str> = self.observed.text.split_whitespace().collect();
        let plain = plain.join(" ");
        let short: String = plain.chars().take(WORDS).collect();
        if short.len() < plain.len() { short.trim_end().to_owned() + "..." } else { short }
    }

    pub fn table(&self, scan: &Scan) -> Option<&'a Table> {
        self.schema.table(scan.table)
    }

    /// Whether a plan reads all of a table; where there are no plans, it may.
    pub fn is_read_whole(&self, table: &Table) -> bool {
        is_read_whole(self.plans, table, self.schema)
    }

    pub fn fix(
        &self,
        code: &'static str,
        title: String,
        evidence: Vec<String>,
        action: Action,
        saves: Option<f64>,
    ) -> Fix {
        Fix {
            code,
            title,
            evidence,
            action,
            helps: vec![self.observed.fingerprint],
            saves,
            price: Price::default(),
            proof: Proof::Pattern,
        }
    }
}

/// A table that is read in no time.
pub(super) fn is_small(table: &Table) -> bool {
    if table.kind == 'p' || table.pages == 0 { table.rows < 2_000.0 } else { table.pages <= 16 }
}

/// A change of the application's code.
pub(super) fn code(change: impl Into<String>, rewritten: Option<String>) -> Action {
    Action::Code { change: change.into(), rewritten }
}

#[cfg(test)]
mod tests;
