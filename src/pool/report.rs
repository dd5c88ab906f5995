//! What a pool tells of itself, for the console and the metrics.

use std::time::Duration;

use super::queue::Pool;
use super::server::Server;
use crate::config::settings::Host;

/// Numbers of a pool, for the console.
#[derive(Debug, Clone, Default)]
pub struct PoolReport {
    /// Servers idle in the pool.
    pub idle: usize,
    /// Servers in sessions' hands.
    pub leased: usize,
    /// Servers that are logging in.
    pub connecting: usize,
    /// Servers that wait for a cancel to arrive.
    pub cancelling: usize,
    /// Sessions in line.
    pub waiting: usize,
    /// How long the first of them has waited.
    pub max_wait: Duration,
    /// PAUSE.
    pub paused: bool,
    /// Servers in sessions' hands that are closed when they are given back.
    pub old: usize,
    /// Those that no session holds.
    pub servers: Vec<ServerReport>,
}

/// A server that no session holds, for the console.
#[derive(Debug, Clone)]
pub struct ServerReport {
    /// Where it is.
    pub host: Host,
    /// Process id there.
    pub pid: i32,
    /// How long it is connected.
    pub age: Duration,
    /// Statements prepared on it.
    pub prepared: usize,
    /// It waits for a cancel to arrive.
    pub cancelling: bool,
}

impl Pool {
    /// Whether the server has said that there is no such database, and the settings do not name it either. Nothing is lost with such a pool.
    pub(crate) fn leads_nowhere(&self) -> bool {
        let inner = self.inner.borrow();
        let is_absent = inner.failure.as_ref().is_some_and(|(_, fault)| fault.sqlstate == "3D000");
        is_absent && inner.is_unused() && !self.target.borrow().is_named
    }
}

impl ServerReport {
    pub(super) fn of(server: &Server, cancelling: bool) -> ServerReport {
        let shared = &server.shared;
        let prepared = server.prepared.len();
        ServerReport {
            host: shared.host.clone(),
            pid: shared.pid,
            age: shared.born.elapsed(),
            prepared,
            cancelling,
        }
    }
}
