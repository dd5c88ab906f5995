//! What a worker is asked to do from other threads.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::acceptor::{Door, Entrance};
use super::report::WorkerReport;
use crate::config::settings::Limits;
use crate::pool::Target;
use crate::session::admit::Admission;
use crate::slow::Wants;
use crate::stats::tally::Taken;

/// What a worker is asked to do.
pub enum Order {
    /// Accept here, and have those who come log in.
    Open(Door, Arc<Entrance>),
    /// Accept no more; answered when that is so.
    Close(oneshot::Sender<()>),
    /// Serve a client that has proven who it is.
    Admit(Box<Admission>),
    /// Cancel what a session runs.
    Cancel {
        /// As given to the client.
        pid: i32,
        /// As given to the client.
        secret: Vec<u8>,
        /// Used when there is no such session; else dropped when the cancel has been passed on.
        unknown: oneshot::Sender<()>,
    },
    /// Tell what there is.
    Report(oneshot::Sender<WorkerReport>),
    /// PAUSE, RESUME, RECONNECT; of one database, or of all.
    Pools(PoolOrder, Option<String>),
    /// End sessions as they come to rest.
    Drain,
    /// End sessions that have been at rest for a while: others take the new clients, nobody needs to be disturbed.
    Retire,
    /// End sessions now: one by process id, or all of a database.
    Kill(KillOrder),
    /// Use these targets for pools that exist, these limits, and the rules that are in force now.
    Reload(Arc<Limits>, Vec<Arc<Target>>),
    /// Count statements, and look at some more closely.
    Capture(Wants),
    /// Give what was counted of them.
    Collect(oneshot::Sender<Vec<Taken>>),
}

/// Orders to pools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolOrder {
    /// Lend nothing.
    Pause,
    /// Lend again.
    Resume,
    /// Replace servers as they become idle.
    Reconnect,
}

/// Which sessions to end.
#[derive(Debug, Clone)]
pub enum KillOrder {
    /// By the process id given to the client.
    Session(i32),
    /// Those of a database.
    Database(String),
    /// All.
    All,
}
