//! What a worker tells of itself, for the console and the metrics.

use std::sync::Arc;
use std::time::Duration;

use super::cluster::NodesReport;
use crate::config::settings::Host;
use crate::pool::{PoolReport, Target};
use crate::session::replication::Replication;

/// What a worker has.
#[derive(Debug, Default)]
pub struct WorkerReport {
    /// Pools by (database, user).
    pub pools: Vec<(Arc<Target>, PoolReport)>,
    /// What it has with the nodes of clusters.
    pub nodes: Vec<NodesReport>,
    /// Sessions.
    pub clients: Vec<ClientReport>,
}

/// A session, for the console.
#[derive(Debug, Clone)]
pub struct ClientReport {
    /// Process id given to the client.
    pub pid: i32,
    /// Database and user, as the client named them.
    pub database: String,
    /// The user.
    pub user: String,
    /// `application_name` at login.
    pub application: String,
    /// The client's address.
    pub peer: String,
    /// Process id, host and age of the server in its hands.
    pub server: Option<(i32, Host, Duration)>,
    /// Stands in line.
    pub waiting: bool,
    /// Its connection is one of replication, and its server its own.
    pub replication: Option<Replication>,
    /// How long it is logged in.
    pub age: Duration,
}
