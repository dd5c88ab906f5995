//! Advice: what would make slow statements fast, how sure that is, and where nothing would.
//!
//! A [`Workload`] is what was seen of statements; a [`Schema`] what the database is; an [`Advice`] what comes of them. Where a database can be
//! asked, what it says of a plan counts for more than what a pattern says: every claim names its [`Proof`], and a statement that cannot be
//! helped is told so, with the reason. Nothing is ever created.

pub mod advise;
pub mod ask;
mod bill;
pub mod candidates;
pub mod choose;
mod create;
mod existing;
pub mod findings;
pub mod form;
mod hypopg;
pub mod index;
pub mod plan;
pub mod read_schema;
pub mod rewrite;
pub mod samples;
pub mod scan;
pub mod schema;
pub mod size;
pub mod turn;

use std::time::Duration;

use crate::stats::tally::{Sums, Who};

pub use advise::{Advised, Limits, Nodes, advise};
pub use create::{index_of_title, title as index_title};
pub use index::Definition;
pub use plan::Plan;
pub use schema::Schema;

/// What was seen of one database's statements.
#[derive(Debug, Clone, Default)]
pub struct Workload {
    /// How long it was looked at: what makes seconds of seconds a day.
    pub window: Duration,
    /// By shape, in no order that matters: advice is the same for any.
    pub shapes: Vec<Observed>,
}

/// What was seen of the statements of one shape.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    /// The shape's fingerprint, as the store has it.
    pub fingerprint: u128,
    /// Its text, with `$1`, `$2`, ... in place of parameters and of literals that were folded.
    pub text: String,
    /// What was counted.
    pub sums: Sums,
    /// Who sent it, those first that had it longest, and how often.
    pub by: Vec<(Who, u64)>,
    /// Statements of this shape with their values; up to 12.
    pub samples: Vec<Sample>,
    /// What drivers said the types of `$1`, `$2`, ... of the text are, as OIDs, where the values themselves are not known; 0 where they did not.
    pub types: Vec<u32>,
    /// How they came: in which transactions, how often in a row.
    pub habits: Habits,
    /// The moment from which on they have been slower.
    pub turn: Option<turn::Turn>,
}

/// One statement of a shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Where its values are from.
    pub origin: Origin,
    /// The statement as it was sent, with `$n` where it had parameters.
    pub text: String,
    /// The values of `$1`, `$2`, ... in text form; `None` is NULL.
    pub values: Vec<Option<String>>,
    /// What the driver said their types are, as OIDs; 0 where it did not.
    pub types: Vec<u32>,
    /// How long it took in all, in microseconds, where that is known.
    pub micros: Option<u64>,
}

/// Where a sample's values are from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Origin {
    /// The values seen most often.
    Frequent,
    /// Those of the statement that took longest.
    Slowest,
    /// Values seen once.
    Rare,
    /// Those seen last.
    Newest,
    /// Made from the planner's statistics of the columns they stand beside: nobody sent them.
    Statistics,
}

/// How statements of a shape came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Habits {
    /// Transactions that had any.
    pub transactions: u64,
    /// The most that one transaction had.
    pub most_in_one: u64,
    /// Transactions that had ten or more of them.
    pub in_loops: u64,
    /// Statements that were in such transactions.
    pub looped: u64,
    /// The caller's own words on where it sent them from, as sqlcommenter tags have it (`route=...`), and how often.
    pub callers: Vec<(String, u64)>,
}

/// What comes of it.
#[derive(Debug, Clone, Default)]
pub struct Advice {
    /// What to do, the dearest first; ids follow from this order.
    pub fixes: Vec<Fix>,
    /// For each shape that was looked at, what was found of it; every slow one is here.
    pub verdicts: Vec<Verdict>,
    /// What was looked at and not proposed, with the reason.
    pub rejected: Vec<Rejected>,
    /// What could not be looked at, and why: no privilege, no HypoPG, a statement that cannot be typed.
    pub notes: Vec<String>,
}

/// One thing to do.
#[derive(Debug, Clone)]
pub struct Fix {
    /// What kind it is, by a name that stays: `index`, `drop_index`, `n_plus_one`, `implicit_cast`, ...
    pub code: &'static str,
    /// In one line, what to do.
    pub title: String,
    /// Why, in sentences, with what was measured.
    pub evidence: Vec<String>,
    /// What to run or to change.
    pub action: Action,
    /// The shapes that it helps, by fingerprint.
    pub helps: Vec<u128>,
    /// Seconds a day that it saves, of those that clients waited. Those of several fixes may be the same seconds.
    pub saves: Option<f64>,
    /// What it costs.
    pub price: Price,
    /// How it is known.
    pub proof: Proof,
}

/// What to run or to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// SQL, with what undoes it. `concurrently` where it must not run in a transaction.
    Sql {
        /// What to run, statement by statement.
        run: Vec<String>,
        /// What undoes it, statement by statement.
        undo: Vec<String>,
        /// It must not run in a transaction.
        concurrently: bool,
    },
    /// A rule of pgweir, as TOML.
    Rule(String),
    /// The application's code, with the statement as it would be where that can be written.
    Code {
        /// What to change.
        change: String,
        /// The statement as it would be.
        rewritten: Option<String>,
    },
    /// A setting of the database.
    Setting {
        /// What to run.
        run: String,
        /// What undoes it.
        undo: String,
    },
}

/// What a fix costs.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Price {
    /// Bytes on disk; fewer than none where something is freed.
    pub bytes: i64,
    /// Seconds a day that writes take longer.
    pub writes: f64,
}

/// How something is known. Grades are never mixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// Both ways were really run.
    Measured,
    /// The planner said so, with HypoPG, for `better` of `samples` statements.
    Planner {
        /// Samples that become at least a tenth better.
        better: usize,
        /// Samples asked for.
        samples: usize,
    },
    /// What was seen was run again in a simulation.
    Simulated,
    /// It is so by pattern, and cannot be proven here.
    Pattern,
}

/// What was found of one shape.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// Whose.
    pub fingerprint: u128,
    /// Places of its fixes in [`Advice::fixes`].
    pub fixes: Vec<usize>,
    /// In one line, what takes the time; where there are no fixes, why nothing helps.
    pub why: String,
    /// The plan that was looked at, for the report.
    pub plan: Option<Plan>,
}

/// What was not proposed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// What.
    pub what: String,
    /// For which shapes it was looked at.
    pub shapes: Vec<u128>,
    /// Why not.
    pub why: String,
}

#[cfg(test)]
mod tests;
