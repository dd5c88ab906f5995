//! How the store is, for those who show it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// What may be the matter with the file or the server, as it is named in the console, the metrics and the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum State {
    /// There is no place for it: nothing is kept.
    #[default]
    Off,
    /// It is written.
    Ok,
    /// Another process keeps it locked.
    Locked,
    /// It, or the disk it is on, is full.
    Full,
    /// It may not be written.
    ReadOnly,
    /// It cannot be opened, or the system fails to read or write it.
    Unusable,
    /// A newer pgweir has made it.
    Newer,
    /// It is a database of somebody else's.
    Foreign,
    /// The server cannot be reached, or takes no connections now.
    Away,
    /// The server does not let pgweir in: the password, the user or the database is wrong.
    Refused,
    /// The user may not make tables there, or not write to them.
    Denied,
    /// The server did not answer in time.
    Slow,
}

/// Names of [`State`], in its order.
pub const STATES: [&str; 12] = [
    "off",
    "ok",
    "locked",
    "full",
    "read-only",
    "unusable",
    "newer",
    "foreign",
    "away",
    "refused",
    "denied",
    "slow",
];

/// Numbers of the store and its state.
#[derive(Debug, Default)]
pub struct Status {
    standing: Mutex<(State, String)>,
    /// Statements whose counts were written.
    pub written: AtomicU64,
    /// Statements whose counts were dropped.
    pub dropped: AtomicU64,
    /// Bytes of it that are in use.
    pub bytes: AtomicU64,
    /// When something was last written, in seconds since 1970; 0: never.
    pub last: AtomicU64,
    /// Files that were found corrupt and moved aside.
    pub moved: AtomicU64,
}

impl Status {
    /// What is the matter, and the reason in words.
    pub fn standing(&self) -> (State, String) {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Something else is the matter, or nothing is any more. False: it was so before.
    pub(super) fn set(&self, state: State, reason: &str) -> bool {
        let mut standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        let other = standing.0 != state;
        *standing = (state, reason.to_owned());
        other
    }

    pub(super) fn add(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Ordering::Relaxed);
    }
}

impl State {
    /// Its name.
    pub fn name(self) -> &'static str {
        STATES[self as usize]
    }
}
