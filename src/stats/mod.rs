//! What is counted: numbers that only grow, and their text form for Prometheus.
//!
//! A [`Counter`] has one writer: the worker whose pool it belongs to, or that has the door. So adding
//! is a load and a store, never a locked instruction. Anyone may read; a reader adds up what the workers have.

pub mod calendar;
pub mod histogram;
pub mod prometheus;
pub mod samples;
pub mod tally;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Why a session keeps its server between transactions.
pub const PIN_REASONS: [&str; 10] = [
    "temporary object",
    "advisory lock",
    "cursor with hold",
    "listen",
    "sequence",
    "setting",
    "prepared statement",
    "load",
    "random seed",
    "server process",
];

/// Why a read that might have gone to a replica went to the primary; the last three: its shape was refused by a replica before; it is the first of a
/// transaction that only reads and that, by its isolation, is not for replicas; it is a read by its words, but the catalogs were not read
/// yet, or not since a change, so that nobody knows what its names stand for.
pub const PRIMARY_REASONS: [&str; 8] = [
    "level primary",
    "no replica",
    "replicas too old",
    "position unknown",
    "replicas behind",
    "refused before",
    "in a transaction",
    "definitions not read",
];

/// Why answers that a rule wants to keep may not be kept, by the names and in the order of the refusals of the analysis (`plan::cacheable`).
pub const REFUSALS: [&str; 21] = [
    "not_a_read",
    "for_update",
    "volatile_function",
    "stable_function",
    "session_value",
    "clock_text",
    "system_catalog",
    "system_column",
    "temp_shadow",
    "unlogged",
    "foreign_table",
    "rls",
    "materialized_view",
    "large_object",
    "tablesample",
    "sequence",
    "not_understood",
    "too_many_tables",
    "unknown_relation",
    "definitions_unknown",
    "search_path",
];

/// Classes of SQLSTATE in which pgweir itself makes errors; all others are counted as the last.
pub const ERROR_CLASSES: [&str; 12] =
    ["08", "0A", "22", "25", "26", "28", "3D", "53", "54", "57", "XX", "other"];

/// A number that grows, written by one thread and read by any.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`. Only for the one writer: of two at once, one may be lost.
    #[inline]
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }

    /// Adds a time in microseconds.
    #[inline]
    pub fn add_time(&self, time: Duration) {
        self.add(time.as_micros() as u64);
    }

    /// The number.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What happened in one pool of one worker.
        #[derive(Debug, Default)]
        pub struct PoolStats {
            /// The database, as clients name it.
            pub database: String,
            /// The user, as clients name it.
            pub user: String,
            $($(#[$doc])* pub $name: Counter,)*
            /// Pins, by the reasons of [`PIN_REASONS`].
            pub pins: [Counter; PIN_REASONS.len()],
            /// Errors of pgweir's own, by the classes of [`ERROR_CLASSES`].
            pub errors: [Counter; ERROR_CLASSES.len()],
            /// Reads that stayed on the primary, by [`PRIMARY_REASONS`].
            pub kept: [Counter; PRIMARY_REASONS.len()],
            /// Answers that a rule wants to keep and that may not be kept, by [`REFUSALS`].
            pub refused: [Counter; REFUSALS.len()],
        }

        /// Numbers read from counters at one time, of one pool or of several added up.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub struct Totals {
            $($(#[$doc])* pub $name: u64,)*
            /// Pins, by the reasons of [`PIN_REASONS`].
            pub pins: [u64; PIN_REASONS.len()],
            /// Errors of pgweir's own, by the classes of [`ERROR_CLASSES`].
            pub errors: [u64; ERROR_CLASSES.len()],
            /// Reads that stayed on the primary, by [`PRIMARY_REASONS`].
            pub kept: [u64; PRIMARY_REASONS.len()],
            /// Answers that a rule wants to keep and that may not be kept, by [`REFUSALS`].
            pub refused: [u64; REFUSALS.len()],
        }

        impl PoolStats {
            /// The numbers now.
            pub fn totals(&self) -> Totals {
                Totals {
                    $($name: self.$name.get(),)*
                    pins: std::array::from_fn(|at| self.pins[at].get()),
                    errors: std::array::from_fn(|at| self.errors[at].get()),
                    kept: std::array::from_fn(|at| self.kept[at].get()),
                    refused: std::array::from_fn(|at| self.refused[at].get()),
                }
            }
        }

        impl Totals {
            fn combine(&mut self, other: &Totals, with: fn(u64, u64) -> u64) {
                $(self.$name = with(self.$name, other.$name);)*
                self.pins.iter_mut().zip(other.pins).for_each(|(mine, other)| *mine = with(*mine, other));
                self.errors.iter_mut().zip(other.errors).for_each(|(mine, other)| *mine = with(*mine, other));
                self.kept.iter_mut().zip(other.kept).for_each(|(mine, other)| *mine = with(*mine, other));
                self.refused.iter_mut().zip(other.refused).for_each(|(mine, other)| *mine = with(*mine, other));
            }
        }
    };
}

counters! {
    /// Transactions that ended, committed or not.
    transactions,
    /// Statements: simple queries, executions, function calls.
    queries,
    /// Statements that clients had prepared, named or not.
    client_parses,
    /// Statements that servers prepared for it.
    server_parses,
    /// Statements bound to parameters.
    binds,
    /// Reads answered by the result cache.
    cached,
    /// Times that a session was given a server.
    assignments,
    /// Reads sent behind another session's on a server at work.
    followed,
    /// Those of them that were sent to another server instead, since those ahead took too long or went wrong.
    sent_away,
    /// Reads sent to replicas.
    replica_reads,
    /// Those of them that the primary answered, because the replica failed or refused.
    asked_again,
    /// Transactions that ended on a replica.
    replica_transactions,
    /// Transactions that began on a replica and went to the primary.
    moved_transactions,
    /// Bytes received from clients.
    received,
    /// Bytes sent to clients.
    sent,
    /// Microseconds in which servers worked for clients.
    query_time,
    /// Microseconds from the first statement of a transaction to its end.
    transaction_time,
    /// Microseconds that sessions waited for a server.
    wait_time,
    /// Logins to the server that succeeded.
    server_logins,
    /// Logins to the server that failed.
    server_logins_failed,
    /// Clients that were let in.
    client_logins,
    /// Clients that proved who they are and were refused all the same.
    client_logins_refused,
    /// Notifications passed on to sessions that share a listening server.
    notifications,
    /// Cancels passed on to servers or carried out in the line.
    cancels,
    /// Statements that were answered and of which rules had a copy sent to another node.
    mirrored,
    /// Microseconds that these took.
    mirrored_time,
    /// Copies that were answered.
    mirror_answered,
    /// Microseconds that these took.
    mirror_time,
    /// Copies that ended in an error, or whose node could not be reached.
    mirror_failed,
    /// Copies that were not sent: too many waited, or it was too long.
    mirror_dropped,
}

impl PoolStats {
    /// Counters at zero.
    pub fn new(database: &str, user: &str) -> PoolStats {
        PoolStats { database: database.to_owned(), user: user.to_owned(), ..PoolStats::default() }
    }

    /// Counts a session that began to keep its server.
    pub fn pinned(&self, reason: &str) {
        if let Some(at) = PIN_REASONS.iter().position(|known| *known == reason) {
            self.pins[at].add(1);
        }
    }

    /// Counts an answer that may not be kept, for the reason at this place of [`REFUSALS`].
    pub fn refused(&self, reason: usize) {
        if let Some(count) = self.refused.get(reason) {
            count.add(1);
        }
    }

    /// Counts an error that pgweir made.
    pub fn error(&self, sqlstate: &str) {
        self.errors[error_class(sqlstate)].add(1);
    }
}

impl Totals {
    /// Adds another's numbers to these.
    pub fn add(&mut self, other: &Totals) {
        self.combine(other, u64::wrapping_add);
    }

    /// What was added since `earlier`.
    pub fn since(mut self, earlier: &Totals) -> Totals {
        self.combine(earlier, u64::saturating_sub);
        self
    }
}

/// Where a SQLSTATE is counted in [`ERROR_CLASSES`].
pub fn error_class(sqlstate: &str) -> usize {
    let class = sqlstate.get(..2).unwrap_or_default();
    ERROR_CLASSES.iter().position(|known| *known == class).unwrap_or(ERROR_CLASSES.len() - 1)
}

/// What happened at the door, before a client had a pool. Written by the worker that accepts.
#[derive(Debug, Default)]
pub struct DoorStats {
    /// Logins refused, by the classes of [`ERROR_CLASSES`].
    pub refused: [Counter; ERROR_CLASSES.len()],
    /// Connections that ended or ran out of time before they had logged in.
    pub unfinished: Counter,
}

/// What happened to the nodes of a cluster. Written by the control thread.
#[derive(Debug, Default)]
pub struct ClusterStats {
    /// Probes that were answered.
    pub probes: Counter,
    /// Probes that were not, and connections for probes that failed.
    pub probes_failed: Counter,
    /// Events, by the names of [`CLUSTER_EVENTS`].
    pub events: [Counter; CLUSTER_EVENTS.len()],
}

/// What may happen to the nodes of a cluster.
pub const CLUSTER_EVENTS: [&str; 7] = [
    "primary found",
    "role changed",
    "node lost",
    "node returned",
    "node banned",
    "two primaries",
    "node of another cluster",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_add_up_and_subtract() {
        let stats = PoolStats::new("d", "u");
        stats.transactions.add(2);
        stats.pinned("load");
        stats.pinned("no such reason");
        stats.refused(1);
        stats.refused(usize::MAX);
        stats.error("53300");
        stats.error("99999");
        stats.query_time.add_time(Duration::from_millis(3));
        let once = stats.totals();
        let mut twice = once;
        twice.add(&once);
        assert_eq!((twice.transactions, twice.query_time), (4, 6000));
        assert_eq!((twice.pins[7], twice.errors[7], twice.errors[11]), (2, 2, 2));
        assert_eq!((twice.refused[1], twice.refused.iter().sum::<u64>()), (2, 2));
        assert_eq!(twice.since(&once), once);
    }
}
