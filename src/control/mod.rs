//! The control plane: what watches PostgreSQL in the background, and never has a session wait.
//!
//! For each cluster whose reads go to replicas there is a [`monitor`]: a connection to each node, over which it asks where the
//! node is. What the answers mean together, [`sight`] knows, which is pure; what happened is told by [`events`]. The result is
//! published through [`crate::runtime::cluster`], which is all that the data plane sees.

pub mod advising;
pub mod caching;
pub mod events;
pub mod history;
pub mod monitor;
pub mod pages;
pub mod probe;
pub mod samples;
pub mod sight;
pub mod stream;
pub mod unchanging;
pub mod workload;

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
        // Those that watch no more have their last word first.
        drop(before);
        for (_, monitor) in &self.monitors {
            let cluster = monitor.cluster();
            let of = by_database.iter().filter(|(_, known)| Arc::ptr_eq(known, &cluster));
            cluster.lead(of.map(|(name, _)| directory.lead(name)).collect());
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

/// Databases with a name of their own before the fallback, which is asked in another than the clients' where it is alone.
fn watched(settings: &Settings) -> impl Iterator<Item = (&str, &Database, Key)> {
    let named = settings.databases.iter().filter(|(name, _)| *name != "*");
    let all = named.chain(settings.databases.get_key_value("*"));
    all.filter(|(_, database)| database.reads.to_replicas).filter_map(|(name, database)| {
        let user = database.probe_users.first()?.clone();
        let key = Key { hosts: database.hosts.clone(), reads: database.reads.clone(), user };
        Some((name.as_str(), database, key))
    })
}

/// A database to ask in for the fallback.
fn on_server(name: &str) -> &str {
    if name == "*" { "postgres" } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::scram::MockSecret;
    use crate::config::{Sources, load};

    fn directory(url: &str) -> Directory {
        let settings = load(&Sources { url: Some(url.to_owned()), ..Sources::default() });
        let mock = MockSecret::random().expect("randomness");
        Directory::new(settings.expect("the URL is right"), mock).expect("it is ready")
    }

    #[tokio::test]
    async fn databases_with_the_same_nodes_have_one_monitor_and_its_name_is_not_the_fallbacks() {
        let clusters = Clusters::default();
        let mut control = Control::default();
        control.watch(&directory("postgres://app:pw@127.0.0.1:1/shop?reads=replicas"), &clusters);
        let names: Vec<_> = control.monitors.iter().map(|(_, monitor)| monitor.database()).collect();
        assert_eq!(names, ["shop"]);
        let cluster = clusters.of("shop", true).expect("it is watched");
        let fallback = clusters.of("any", false).expect("it is watched");
        assert!(Arc::ptr_eq(&cluster, &fallback));
        let id = cluster.sighting().topology.nodes[0].id;
        control.watch(
            &directory("postgres://app:pw@127.0.0.1:1/shop?reads=replicas&balance=weighted"),
            &clusters,
        );
        assert!(Arc::ptr_eq(&cluster, &clusters.of("shop", true).expect("it is watched")));
        assert_eq!(cluster.sighting().topology.nodes[0].id, id);
        control.watch(&directory("postgres://app:pw@127.0.0.1:1/shop"), &clusters);
        assert!(control.monitors.is_empty() && clusters.of("shop", true).is_none());
        assert!(cluster.sighting().topology.nodes.is_empty(), "what nobody watches is not read");
    }
}
