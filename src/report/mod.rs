//! The report on statements: what to do first, what took the time, and where. Made from what was counted and what advice came of it; nothing is in it that
//! is not known, and every number says how it is known.
//!
//! One content ([`document`]) has four forms: for the terminal, Markdown, HTML, and the pages of a running pgweir; programs get the
//! numbers themselves ([`json`]). What it is made from is the store, a running process, or a server's own log ([`log`]).

mod before;
pub mod budget;
mod content;
pub mod document;
pub mod fixes;
pub mod gate;
pub mod html;
pub mod ids;
pub mod json;
pub mod log;
mod markdown;
pub mod numbers;
pub mod picture;
pub mod skew;
mod text;

#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};

use crate::advice::{Advice, Plan, Rejected};
use crate::slow::{Merged, Series, Slot};
use crate::stats::tally::{Sums, TOTAL, Who};
use crate::store::Stored;
use crate::store::marks::Mark;
use crate::store::read::History;

pub use crate::store::read::ByInstance;
pub use before::{Before, Change, Figures};
pub use content::parts;
pub use fixes::Listed;
use ids::Names;
use skew::Skew;

/// Parts of the window that pictures show.
pub const PARTS: usize = 60;
/// Seconds of a day.
const DAY: f64 = 86_400.0;

/// Where counts are from: it decides what can be known of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Origin {
    /// A store, written by pgweir: everything was counted at the wire.
    #[default]
    Store,
    /// A running pgweir, since it started.
    Live,
    /// A log of PostgreSQL: only what it was told to log, and the server's own time.
    Log,
    /// `pg_stat_statements`: sums only.
    PgStatStatements,
}

/// What a report is to be of.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// Where the counts are from.
    pub origin: Origin,
    /// The file, or what it is called.
    pub name: String,
    /// From and to when, in seconds since 1970.
    pub window: (i64, i64),
    /// So many statements are listed.
    pub most: usize,
}

/// A report.
#[derive(Debug, Default)]
pub struct Report {
    /// What it was to be of.
    pub scope: Scope,
    /// When the first and the last of it were counted.
    pub between: Option<(i64, i64)>,
    /// When what is in the file begins.
    pub begins: Option<i64>,
    /// The pgweirs that counted.
    pub instances: Vec<String>,
    /// What each of them counted.
    pub by_instance: BTreeMap<String, ByInstance>,
    /// Everything together.
    pub all: Sums,
    /// How many shapes were counted by themselves.
    pub shapes: usize,
    /// Their fingerprints.
    pub fingerprints: HashSet<u128>,
    /// Those that took longest in all, first; no more than was asked for.
    pub statements: Vec<Statement>,
    /// What shapes have that were not counted by themselves.
    pub others: Sums,
    /// Statements that were counted and could not be written.
    pub missing: u64,
    /// What was counted when, by shape.
    pub series: Series,
    /// A database was asked for advice.
    pub is_advised: bool,
    /// What happened meanwhile, in the order of time.
    pub marks: Vec<Mark>,
    /// What to do, the dearest first.
    pub fixes: Vec<Listed>,
    /// What was looked at and not proposed.
    pub rejected: Vec<Rejected>,
    /// What could not be looked at, and what else whoever reads it must know.
    pub notes: Vec<String>,
    /// What is known of an earlier time.
    pub before: Option<Before>,
}

/// A shape.
#[derive(Debug)]
pub struct Statement {
    /// Its name in reports: `Q7`.
    pub id: String,
    /// Its fingerprint.
    pub fingerprint: u128,
    /// Its text.
    pub text: String,
    /// What was counted of it, whoever sent it.
    pub sums: Sums,
    /// Who sent it, those first that had it longest, and how often.
    pub by: Vec<(Who, u64)>,
    /// What was counted when.
    pub series: Vec<Slot>,
    /// In one line, what takes the time, or why nothing helps; `None`: it was not looked at.
    pub verdict: Option<String>,
    /// Its plan, where one is known.
    pub plan: Option<Plan>,
    /// Names of fixes that help it.
    pub fixes: Vec<String>,
    /// How its times differ by its values, where they do and that is known.
    pub skew: Option<Skew>,
}

impl Report {
    /// A report of what was counted, with what advice came of it. Names are those of the history's numbers, until [`Report::named`] says others.
    pub fn of(scope: Scope, history: &History, advice: Option<&Advice>) -> Report {
        let mut report = Report {
            between: history.between,
            begins: history.begins,
            instances: history.instances.clone(),
            by_instance: history.by_instance.clone(),
            missing: history.missing,
            series: history.series.clone(),
            marks: history.marks.clone(),
            is_advised: advice.is_some(),
            ..Report::default()
        };
        let mut by_shape: Merged<()> = Merged::default();
        for (_, fingerprint, text, sums) in history.counted.lines() {
            report.all.merge(sums);
            by_shape.add((), fingerprint, text.clone(), sums.clone());
        }
        for ((), fingerprint, text, sums) in by_shape.lines() {
            if fingerprint == 0 {
                report.others.merge(sums);
                continue;
            }
            report.fingerprints.insert(fingerprint);
            report.statements.push(Statement::of(fingerprint, text, sums));
        }
        report.shapes = report.statements.len();
        report
            .statements
            .sort_by_key(|one| (Reverse((one.sums.micros[TOTAL], one.sums.calls)), one.fingerprint));
        report.statements.truncate(scope.most);
        report.scope = scope;
        for one in &mut report.statements {
            one.by = senders(&history.counted, one.fingerprint);
            one.series = history.series.shapes.get(&one.fingerprint).cloned().unwrap_or_default();
        }
        advice.into_iter().for_each(|advice| report.take(advice));
        report.named(&mut Names::of_statements(&history.numbers), &mut Names::of_fixes(&HashMap::new()));
        report
    }

    /// Gives statements and fixes their names.
    pub fn named(&mut self, statements: &mut Names, fixes: &mut Names) {
        self.statements.iter_mut().for_each(|one| one.id = statements.name(one.fingerprint));
        self.fixes.iter_mut().for_each(|one| one.id = fixes.name(one.key));
        for statement in &mut self.statements {
            let helps = self.fixes.iter().filter(|one| one.fix.helps.contains(&statement.fingerprint));
            statement.fixes = helps.map(|one| one.id.clone()).collect();
        }
    }

    /// Sets it beside an earlier time; names that were given then are kept.
    pub fn beside(&mut self, before: Before, statements: &mut Names, fixes: &mut Names) {
        before.names.iter().for_each(|(key, name)| statements.inherit(*key, name));
        before.fixes.iter().for_each(|(key, name)| fixes.inherit(*key, name));
        self.before = Some(before);
        self.named(statements, fixes);
    }

    fn take(&mut self, advice: &Advice) {
        self.fixes = fixes::listed(advice);
        self.rejected.clone_from(&advice.rejected);
        self.notes.clone_from(&advice.notes);
        for verdict in &advice.verdicts {
            let found = self.statements.iter_mut().find(|one| one.fingerprint == verdict.fingerprint);
            if let Some(statement) = found {
                statement.verdict = Some(verdict.why.clone());
                statement.plan.clone_from(&verdict.plan);
            }
        }
    }

    /// Takes plans that are known from elsewhere, for statements that have none.
    pub fn take_plans(&mut self, plans: &HashMap<u128, Plan>) {
        for one in self.statements.iter_mut().filter(|one| one.plan.is_none()) {
            one.plan = plans.get(&one.fingerprint).cloned();
        }
    }

    /// Takes statements with their values: they say how times differ by them.
    pub fn take_samples(&mut self, samples: &[Stored]) {
        let mut by_shape: HashMap<u128, Vec<&Stored>> = HashMap::new();
        samples.iter().for_each(|sample| by_shape.entry(sample.fingerprint).or_default().push(sample));
        for one in &mut self.statements {
            one.skew = by_shape.get(&one.fingerprint).and_then(|samples| Skew::of(samples));
        }
    }

    /// Whether a clock is known: others than pgweir have only one, that of all.
    pub fn knows(&self, clock: usize) -> bool {
        clock == TOTAL || self.is_of_pgweir()
    }

    /// Whether pgweir counted, and not the server.
    pub fn is_of_pgweir(&self) -> bool {
        matches!(self.scope.origin, Origin::Store | Origin::Live)
    }

    /// Microseconds in which servers worked, by what clients saw of it.
    pub fn database_time(&self) -> u64 {
        self.all.micros[1] + self.all.micros[2]
    }

    /// Seconds that it has: what makes sums to sums a day.
    pub fn seconds(&self) -> f64 {
        let (from, to) = self.scope.window;
        let (first, last) = self.between.unwrap_or((from, to));
        (last.min(to.max(first + 1)) - first.max(from)).max(1) as f64
    }

    /// Whether all shapes that there were are known by themselves.
    pub fn is_complete(&self) -> bool {
        self.others.calls == 0
    }

    /// What this report is to a later one.
    pub fn as_before(&self, what: String) -> Before {
        let statements = self.statements.iter().map(|one| {
            let figures = Figures { scanned: one.scanned(), ..Figures::of(&one.text, &one.sums) };
            (one.fingerprint, figures)
        });
        Before {
            what,
            seconds: self.seconds(),
            all: Figures::of("", &self.all),
            statements: statements.collect(),
            names: self.statements.iter().map(|one| (one.fingerprint, one.id.clone())).collect(),
            fixes: self.fixes.iter().map(|one| (one.key, one.id.clone())).collect(),
            is_complete: self.is_complete() && self.shapes == self.statements.len(),
        }
    }
}

impl Statement {
    fn of(fingerprint: u128, text: &str, sums: &Sums) -> Statement {
        Statement {
            id: String::new(),
            fingerprint,
            text: text.to_owned(),
            sums: sums.clone(),
            by: vec![],
            series: vec![],
            verdict: None,
            plan: None,
            fixes: vec![],
            skew: None,
        }
    }

    /// Tables that its plan reads as a whole. `None`: no plan is known.
    pub fn scanned(&self) -> Option<Vec<String>> {
        let plan = self.plan.as_ref()?;
        let scans = plan.nodes().into_iter().filter(|node| node.kind.ends_with("Seq Scan"));
        let mut tables: Vec<_> = scans
            .filter_map(|node| {
                let (schema, name) = node.table.as_ref()?;
                Some(schema.as_ref().map_or_else(|| name.clone(), |schema| format!("{schema}.{name}")))
            })
            .collect();
        tables.sort();
        tables.dedup();
        Some(tables)
    }
}

/// Seconds a day, of microseconds that were counted in so many seconds.
pub fn a_day(micros: u64, seconds: f64) -> f64 {
    micros as f64 / 1e6 * DAY / seconds.max(1.0)
}

fn senders(counted: &Merged<Who>, fingerprint: u128) -> Vec<(Who, u64)> {
    let mut by: Vec<_> = counted.lines().filter(|(_, name, ..)| *name == fingerprint).collect();
    by.sort_by_key(|(who, _, _, sums)| (Reverse((sums.micros[TOTAL], sums.calls)), (*who).clone()));
    by.into_iter().map(|(who, _, _, sums)| (who.clone(), sums.calls)).collect()
}
