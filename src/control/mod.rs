//! The control plane: what watches PostgreSQL in the background, and never has a session wait.
//!
//! For each cluster whose reads go to replicas there is a [`monitor`]: a connection to each node, over which it asks where the
//! node is. What the answers mean together, [`sight`] knows, which is pure; what happened is told by [`events`]. The result is
//! published through [`crate::runtime::cluster`], which is all that the data plane sees.

pub mod events;
pub mod monitor;
pub mod probe;
pub mod samples;
pub mod sight;

#[cfg(test)]
mod sight_tests;
#[cfg(test)]
mod simulated_tests;

use std::collections::HashMap;
use std::sync::Arc;

use crate::config::settings::{Database, Host, Reads, Settings};
use crate::pool::Target;
use crate::runtime::cluster::{Cluster, Clusters};
use crate::session::directory::Directory;
use monitor::Monitor;

/// The monitors of all clusters.
#[derive(Debug, Default)]
pub struct Control {
    monitors: Vec<(Key, Monitor)>,
}

/// What makes the clusters of two databases the same.
#[derive(Debug, Clone, PartialEq)]
struct Key {
    hosts: Vec<Host>,
    reads: Reads,
    user: String,
}

impl Control {
    /// Watches the clusters of these settings, and those only. What is known of nodes that stay is kept. Needs a runtime.
    pub fn watch(&mut self, directory: &Directory, clusters: &Clusters) {
        let mut before = std::mem::take(&mut self.monitors);
        let mut by_database = HashMap::new();
        for (name, database, key) in watched(&directory.settings) {
            let Some(target) = directory.target(on_server(name), &key.user) else { continue };
            let known = self.monitors.iter().find(|(known, _)| *known == key);
            let cluster = match known {
                Some((_, monitor)) => monitor.cluster(),
                None => self.begin(name, key, database, &target, &mut before),
            };
            by_database.insert(name.to_owned(), cluster);
        }
        clusters.set(by_database);
    }

    /// Starts a monitor, or goes on with the one that watched the same database or the same hosts.
    fn begin(
        &mut self,
        name: &str,
        key: Key,
        database: &Database,
        target: &Arc<Target>,
        before: &mut Vec<(Key, Monitor)>,
    ) -> Arc<Cluster> {
        let same = |(known, _): &(Key, Monitor)| *known == key;
        let like = |(known, monitor): &(Key, Monitor)| monitor.database() == name || known.hosts == key.hosts;
        let at = before.iter().position(same).or_else(|| before.iter().position(like));
        let monitor = match at.map(|at| before.swap_remove(at).1) {
            Some(mut monitor) => {
                monitor.change(database, target);
                monitor
            }
            None => Monitor::start(name, database, target),
        };
        let cluster = monitor.cluster();
        self.monitors.push((key, monitor));
        cluster
    }
}

fn watched(settings: &Settings) -> impl Iterator<Item = (&str, &Database, Key)> {
    settings.databases.iter().filter(|(_, database)| database.reads.to_replicas).filter_map(
        |(name, database)| {
            let user = database.probe_users.first()?.clone();
            let key = Key { hosts: database.hosts.clone(), reads: database.reads.clone(), user };
            Some((name.as_str(), database, key))
        },
    )
}

/// A database to ask in for the fallback.
fn on_server(name: &str) -> &str {
    if name == "*" { "postgres" } else { name }
}
