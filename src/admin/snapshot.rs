//! Everything there is to show, at one time: what workers report, and counters added up.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use super::Admin;
use super::averages::ByDatabase;
use super::cache::{self, CacheView};
use super::nodes::{self, ClusterView};
use crate::control::history::View;
use crate::pool::{PoolReport, Target};
use crate::rules::Ruleset;
use crate::runtime::Shared;
use crate::runtime::rules::InForce;
use crate::runtime::worker::{ClientReport, WorkerReport};
use crate::session::directory::Directory;
use crate::stats::{Counter, ERROR_CLASSES, Totals};

/// A worker that does not answer in this time is left out.
const PATIENCE: Duration = Duration::from_secs(1);

/// One (database, user), over all workers.
#[derive(Debug, Default)]
pub struct PoolView {
    /// Settings of the pool; `None` before a worker has reported it.
    pub target: Option<Arc<Target>>,
    /// Servers and sessions now.
    pub report: PoolReport,
    /// Sessions now.
    pub clients: usize,
    /// Sessions that replicate, each with a server of its own beside the pool's.
    pub replicating: usize,
    /// What happened so far.
    pub totals: Totals,
}

/// Numbers of the process as a whole.
#[derive(Debug)]
pub struct ProcessView {
    /// When it started.
    pub started: SystemTime,
    /// Clients logged in, and how many may be.
    pub clients: (usize, usize),
    /// Servers, and how many may be.
    pub servers: (usize, usize),
    /// Logins under way, and how many may be.
    pub logins: (usize, usize),
    /// Logins refused at the door, by class of SQLSTATE.
    pub refused: [u64; ERROR_CLASSES.len()],
    /// Connections that never logged in.
    pub unfinished: u64,
    /// Sessions of each worker.
    pub sessions: Vec<usize>,
    /// Reloads that went well, and those that were refused.
    pub reloads: [u64; 2],
    /// It is about to end.
    pub draining: bool,
    /// Bytes of memory in use; 0 where the system does not tell.
    pub memory: u64,
}

/// Everything, at one time.
pub struct Snapshot {
    /// By (database, user).
    pub pools: BTreeMap<(String, String), PoolView>,
    /// Sessions, by process id.
    pub clients: Vec<ClientReport>,
    /// Nodes of the databases whose reads go to replicas.
    pub clusters: Vec<ClusterView>,
    /// The result cache.
    pub cache: CacheView,
    /// The process.
    pub process: ProcessView,
    /// Settings in force.
    pub directory: Arc<Directory>,
    /// Rules in force.
    pub rules: Arc<Ruleset>,
    /// What statements cost.
    pub history: View,
}

impl Snapshot {
    /// Totals by database.
    pub fn by_database(&self) -> ByDatabase {
        let mut databases = ByDatabase::new();
        for ((database, _), pool) in &self.pools {
            databases.entry(database.clone()).or_default().add(&pool.totals);
        }
        databases
    }

    /// Servers of the pools that `which` chooses.
    pub fn servers(&self, which: impl Fn(&str, &str) -> bool) -> usize {
        let chosen = self.pools.iter().filter(|((database, user), _)| which(database, user));
        let servers = |pool: &PoolView| pool.report.idle + pool.report.leased + pool.report.cancelling;
        chosen.map(|(_, pool)| servers(pool) + pool.replicating).sum()
    }

    /// Sessions of the pools that `which` chooses.
    pub fn sessions(&self, which: impl Fn(&str, &str) -> bool) -> usize {
        self.clients.iter().filter(|client| which(&client.database, &client.user)).count()
    }
}

/// Totals by database, without asking anybody.
pub fn by_database(shared: &Shared) -> ByDatabase {
    let mut databases = ByDatabase::new();
    for stats in shared.stats() {
        databases.entry(stats.database.clone()).or_default().add(&stats.totals());
    }
    databases
}

/// Asks the workers and adds up.
pub async fn take(admin: &Admin) -> Snapshot {
    let mut snapshot = Snapshot {
        pools: BTreeMap::new(),
        clients: vec![],
        clusters: vec![],
        cache: cache::view(&admin.shared.caches),
        process: process(admin),
        directory: admin.entrance.directory(),
        rules: admin.shared.rules.as_ref().map(InForce::get).unwrap_or_default(),
        history: admin.history.view(),
    };
    let mut reports = vec![];
    for worker in &admin.entrance.workers {
        let mut report = tokio::time::timeout(PATIENCE, worker.report()).await.unwrap_or_default();
        reports.append(&mut report.nodes);
        merge(&mut snapshot, report);
    }
    snapshot.clusters = nodes::views(&admin.shared.clusters, &reports);
    for stats in admin.shared.stats() {
        let key = (stats.database.clone(), stats.user.clone());
        let totals = stats.totals();
        snapshot.cache.count_refused(&totals);
        snapshot.pools.entry(key).or_default().totals.add(&totals);
    }
    snapshot.clients.sort_by_key(|client| client.pid);
    for client in &snapshot.clients {
        let key = (client.database.clone(), client.user.clone());
        let pool = snapshot.pools.entry(key).or_default();
        pool.clients += 1;
        pool.replicating += usize::from(client.replication.is_some());
    }
    snapshot
}

fn merge(snapshot: &mut Snapshot, report: WorkerReport) {
    for (target, report) in report.pools {
        let view = snapshot.pools.entry((target.database.clone(), target.user.clone())).or_default();
        view.target = Some(target);
        let sum = &mut view.report;
        sum.idle += report.idle;
        sum.leased += report.leased;
        sum.connecting += report.connecting;
        sum.cancelling += report.cancelling;
        sum.waiting += report.waiting;
        sum.old += report.old;
        sum.max_wait = sum.max_wait.max(report.max_wait);
        sum.paused |= report.paused;
        sum.servers.extend(report.servers);
    }
    snapshot.clients.extend(report.clients);
}

fn process(admin: &Admin) -> ProcessView {
    let entrance = &admin.entrance;
    let both = |budget: &crate::pool::budget::Budget| (budget.used(), budget.limit());
    ProcessView {
        started: admin.started.0,
        clients: both(&entrance.clients),
        servers: both(&admin.shared.servers),
        logins: both(&entrance.unauthenticated),
        refused: std::array::from_fn(|at| Counter::get(&entrance.stats.refused[at])),
        unfinished: entrance.stats.unfinished.get(),
        reloads: std::array::from_fn(|at| admin.shared.reloads[at].get()),
        sessions: entrance.workers.iter().map(|worker| worker.sessions()).collect(),
        draining: entrance.draining.load(Ordering::Relaxed),
        memory: resident(),
    }
}

/// Bytes of memory in use, as the system counts them.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()).unwrap_or(0) * 1024
}
