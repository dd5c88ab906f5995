//! What happens to the nodes of a cluster: each event with its name, how it is logged, and where it is counted.

use std::time::Duration;

use crate::stats::{CLUSTER_EVENTS, ClusterStats};

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Another node than before takes writes.
    PrimaryFound {
        /// Which.
        node: String,
        /// Its timeline.
        timeline: u32,
    },
    /// A node became another thing than it was.
    RoleChanged {
        /// Which.
        node: String,
        /// What it is now.
        role: &'static str,
    },
    /// The connection to a node is lost, or cannot be made.
    Lost {
        /// Which.
        node: String,
        /// Why.
        reason: String,
        /// When it is tried again.
        again: Duration,
    },
    /// A node answers that did not.
    Returned {
        /// Which.
        node: String,
    },
    /// A node gets no reads for a while, though it answers the monitor.
    Banned {
        /// Which.
        node: String,
        /// Why.
        reason: String,
        /// For how long.
        time: Duration,
    },
    /// Several nodes say that they take writes.
    TwoPrimaries {
        /// Which they are.
        nodes: String,
        /// The one that is taken for the primary; `None`: their timelines do not tell.
        taken: Option<String>,
    },
    /// A node belongs to another cluster.
    Foreign {
        /// Which.
        node: String,
        /// The `system_identifier` of that.
        of: u64,
        /// The one of the cluster that is watched.
        not_of: u64,
    },
}

impl Event {
    /// Its stable name.
    pub fn name(&self) -> &'static str {
        CLUSTER_EVENTS[self.number()]
    }

    fn number(&self) -> usize {
        match self {
            Event::PrimaryFound { .. } => 0,
            Event::RoleChanged { .. } => 1,
            Event::Lost { .. } => 2,
            Event::Returned { .. } => 3,
            Event::Banned { .. } => 4,
            Event::TwoPrimaries { .. } => 5,
            Event::Foreign { .. } => 6,
        }
    }

    /// Logs and counts it.
    pub fn tell(&self, database: &str, stats: &ClusterStats) {
        stats.events[self.number()].add(1);
        let event = self.name();
        match self {
            Event::PrimaryFound { node, timeline } => {
                tracing::info!(database, node, timeline, "{event}");
            }
            Event::RoleChanged { node, role } => tracing::info!(database, node, role, "{event}"),
            Event::Lost { node, reason, again } => {
                tracing::warn!(database, node, reason, ?again, "{event}");
            }
            Event::Returned { node } => tracing::info!(database, node, "{event}"),
            Event::Banned { node, reason, time } => {
                tracing::warn!(database, node, reason, ?time, "{event}");
            }
            Event::TwoPrimaries { nodes, taken: Some(taken) } => {
                tracing::error!(database, nodes, taken, "{event}: the later timeline is taken");
            }
            Event::TwoPrimaries { nodes, taken: None } => {
                tracing::error!(database, nodes, "{event}: none is taken; stop all but one of them");
            }
            Event::Foreign { node, of, not_of } => {
                tracing::error!(
                    database,
                    node,
                    system_identifier = of,
                    cluster = not_of,
                    "{event}: it is not used; correct the settings"
                );
            }
        }
    }
}
