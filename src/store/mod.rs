//! History: what statements cost, by minutes, hours and days, kept in a file of pgweir's own (SQLite), or in a PostgreSQL that a fleet has in common.
//!
//! One thread writes ([`writer`]); who hands it something never waits, and what does not fit is dropped and counted. Nothing that is wrong
//! with the file or the server stops the proxy: it is told once, shown ([`Status`]), and tried again. Several pgweirs may write to one place: counts
//! say of which they are. See `docs/design/store.md`.

mod encode;
mod file;
mod file_keeper;
pub mod fleet;
mod fold;
mod keep;
pub mod marks;
mod migrate;
pub mod numbers;
mod place;
mod plans;
mod put;
pub mod read;
mod samples;
mod status;
mod turns;
pub mod workload;
pub mod writer;

#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::slow::{Merged, Shown};

pub use file::Trouble;
pub use fleet::Fleet;
pub use place::Place;
pub use samples::{Stored, StoredValue};
pub use status::{STATES, State, Status};
pub use writer::Writer;

/// Seconds of a minute, an hour and a day: how long what is in one row may be.
pub const SPANS: [i64; 3] = [60, 3600, 86400];

/// What the settings say of what is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// How long something is kept.
    pub keep: Duration,
    /// How large it may become, in bytes.
    pub max_size: u64,
    /// How many shapes have rows of their own in a minute, an hour or a day.
    pub statements: usize,
}

/// What was counted since the last one.
#[derive(Debug, Default)]
pub struct Batch {
    /// When it was counted, in seconds since 1970.
    pub at: i64,
    /// What.
    pub counted: Merged,
    /// So many statements were counted before and dropped.
    pub missing: u64,
    /// Statements with their values, in the place of those that are there of their shapes.
    pub samples: Vec<KeptSample>,
    /// How often callers have sent statements: database, fingerprint, caller, how often.
    pub callers: Vec<(String, u128, Box<str>, u64)>,
}

/// Statements of one shape with their values.
#[derive(Debug)]
pub struct KeptSample {
    /// The database, as clients name it.
    pub database: String,
    /// The shape.
    pub fingerprint: u128,
    /// The statements.
    pub shown: Vec<Shown>,
}
