//! What all workers share.

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;

use super::caches::{Caches, Wanted};
use super::cluster::Clusters;
use super::definitions::Own;
use super::rules::InForce;
use crate::catalog::{Contents, Definitions};
use crate::config::settings::{Host, Limits};
use crate::pool::Target;
use crate::pool::budget::Budget;
use crate::rules::Ruleset;
use crate::stats::{Counter, PoolStats};

/// Limits that hold over all workers.
#[derive(Debug)]
pub struct Shared {
    /// Servers, those of pools and those of replication connections.
    pub servers: Arc<Budget>,
    /// Replication connections.
    pub replication: Arc<Budget>,
    /// Servers of each pool, by (database, user).
    pub pools: Mutex<HashMap<PoolKey, Arc<Budget>>>,
    /// Names that change sessions, by hosts and database.
    pub definitions: Mutex<HashMap<String, Arc<Definitions>>>,
    /// Names that reads must not mention, by hosts and database.
    pub contents: Mutex<HashMap<String, Arc<Definitions<Contents>>>>,
    /// PostgreSQL's own of these.
    pub(super) own: Mutex<HashMap<String, Own>>,
    /// Some rule caches, so that what only the cache asks is read with them.
    pub some_rule_caches: AtomicBool,
    /// Results of reads, kept.
    pub caches: Caches,
    /// Nodes of databases whose reads go to replicas.
    pub clusters: Clusters,
    /// Rules, if there is a folder with them.
    pub rules: Option<InForce>,
    /// Reloads that went well, and those that were refused. Written by the control thread.
    pub reloads: [Counter; 2],
    /// Counters of every pool of every worker.
    pub stats: Mutex<Vec<Arc<PoolStats>>>,
}

impl Shared {
    /// Limits, and nothing in use; and where databases are told whose changes the cache wants to know.
    pub fn new(limits: &Limits, rules: Option<InForce>) -> (Arc<Shared>, mpsc::UnboundedReceiver<Wanted>) {
        let (caches, wanted) = Caches::new(limits.cache_size);
        rules.iter().for_each(|rules| caches.take_rules(rules.get()));
        let some_rule_caches = rules.as_ref().is_some_and(|rules| super::rules::caches(&rules.get()));
        let shared = Arc::new(Shared {
            servers: Budget::new(limits.max_servers),
            replication: Budget::new(limits.max_replication),
            pools: Default::default(),
            definitions: Default::default(),
            contents: Default::default(),
            own: Default::default(),
            some_rule_caches: AtomicBool::new(some_rule_caches),
            caches,
            clusters: Default::default(),
            rules,
            reloads: Default::default(),
            stats: Default::default(),
        });
        (shared, wanted)
    }

    /// These rules are in force from now on, if there are rules at all.
    pub fn take_rules(&self, rules: Arc<Ruleset>) {
        if let Some(in_force) = &self.rules {
            in_force.replace(rules.clone());
            self.caches.take_rules(rules);
        }
    }

    /// The counters of all pools, one of each worker and pool.
    pub fn stats(&self) -> Vec<Arc<PoolStats>> {
        lock(&self.stats).clone()
    }

    /// Counters for a pool of the calling worker, which alone writes them.
    pub(super) fn new_stats(&self, target: &Target) -> Arc<PoolStats> {
        let stats = Arc::new(PoolStats::new(&target.database, &target.user));
        lock(&self.stats).push(stats.clone());
        stats
    }

    pub(super) fn budget(&self, target: &Target, node: Option<&Host>) -> Arc<Budget> {
        let mut pools = lock(&self.pools);
        pools.entry(key(target, node)).or_insert_with(|| Budget::new(target.pool.size)).clone()
    }
}

/// Which pool: database and user as clients name them, and the node, if it is one for reads at a single node.
pub(super) type PoolKey = (String, String, Option<Host>);

pub(super) fn key(target: &Target, node: Option<&Host>) -> PoolKey {
    (target.database.clone(), target.user.clone(), node.cloned())
}

/// What is behind a lock, also when a thread has panicked with it.
pub(super) fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What has the same contents, and the same catalogs.
pub(super) fn place(hosts: &[Host], server_database: &str) -> String {
    format!("{hosts:?} {server_database}")
}
