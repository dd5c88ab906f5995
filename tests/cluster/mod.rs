//! The nodes of a cluster, with real streaming replicas: what is found out about them, and what sessions then see.

mod attacks;
mod batches;
mod checker;
mod failover;
mod nodes;
mod roles;
mod routing;
mod timeouts;
mod tokens;
mod transactions;

use crate::harness::cluster::{Cluster, KEEPS_WAL};

/// A primary and its standbys.
pub(crate) struct Scene {
    pub(crate) primary: Cluster,
    pub(crate) standbys: Vec<Cluster>,
}

impl Scene {
    pub(crate) fn new(standbys: usize) -> Scene {
        let primary = Cluster::start(KEEPS_WAL, &[]);
        let standbys = (0..standbys).map(|_| primary.standby()).collect();
        Scene { primary, standbys }
    }

    /// A connection string to all of them, the standbys first.
    pub(crate) fn url(&self, user: (&str, &str), query: &str) -> String {
        let all = self.standbys.iter().chain([&self.primary]);
        let hosts: Vec<_> = all.map(|node| format!("127.0.0.1:{}", node.port)).collect();
        format!("postgres://{}:{}@{}/postgres?reads=replicas&{query}", user.0, user.1, hosts.join(","))
    }
}
