//! A cluster as the data plane sees it: a topology that others publish, and what workers tell them.
//!
//! `control` watches the nodes and publishes; workers copy a [`Topology`] when its version has changed, which is one load, and
//! never wait. What they tell (a position is wanted, a node failed) costs a system call at most once until it is heard.

use std::cell::{Ref, RefCell, RefMut};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};

use super::Worker;
use crate::config::settings::Host;
use crate::plan::balance::Balancer;
use crate::plan::choose::{self, Choice, Read};
use crate::plan::consistency::Floor;
use crate::plan::explain;
use crate::plan::loads::{Load, Loads};
use crate::plan::topology::{NodeId, Topology};
use crate::pool::lead::{Lead, Primary};
use crate::stats::ClusterStats;

/// A topology, and where its nodes are.
#[derive(Debug)]
pub struct Sighting {
    /// The nodes.
    pub topology: Topology,
    /// Their hosts, in the same order.
    pub hosts: Vec<Host>,
}

impl Sighting {
    /// Where a node is.
    pub fn host(&self, id: NodeId) -> Option<&Host> {
        self.topology.nodes.iter().position(|node| node.id == id).map(|at| &self.hosts[at])
    }

    /// Where the primary is, for those who connect there.
    pub fn primary(&self) -> Primary {
        match self.topology.primary.and_then(|id| self.host(id)) {
            Some(host) => Primary::At(host.clone()),
            None if self.topology.disputed => Primary::Disputed,
            None if self.topology.history.is_some() => Primary::Lost,
            None if self.topology.unheard => Primary::Unheard,
            None => Primary::Unknown,
        }
    }

    /// Which node a host is.
    pub fn id_of(&self, host: &Host) -> Option<NodeId> {
        self.hosts.iter().position(|known| known == host).map(|at| self.topology.nodes[at].id)
    }
}

/// A cluster that is watched.
#[derive(Debug)]
pub struct Cluster {
    published: watch::Sender<Arc<Sighting>>,
    wanted: AtomicBool,
    heard: Notify,
    failures: Mutex<HashMap<NodeId, u32>>,
    /// Who is told where the primary is.
    leads: Mutex<Vec<Lead>>,
    /// What happened; `control` writes it.
    pub stats: ClusterStats,
}

impl Cluster {
    /// With what is known at first.
    pub fn new(first: Sighting) -> Arc<Cluster> {
        Arc::new(Cluster {
            published: watch::Sender::new(Arc::new(first)),
            wanted: AtomicBool::new(false),
            heard: Notify::new(),
            failures: Mutex::default(),
            leads: Mutex::default(),
            stats: ClusterStats::default(),
        })
    }

    /// What is known now. Workers have [`Nodes`] for it.
    pub fn sighting(&self) -> Arc<Sighting> {
        self.published.borrow().clone()
    }

    /// Publishes what is known, and wakes those who wait for it.
    pub fn publish(&self, sighting: Sighting) {
        // Before anybody can read of it: from then on nothing is written elsewhere.
        let primary = sighting.primary();
        self.leads().iter().for_each(|lead| lead.tell(primary.clone()));
        self.published.send_replace(Arc::new(sighting));
    }

    /// Tells these, and no others, where the primary is.
    pub fn lead(&self, leads: Vec<Lead>) {
        let mut all = self.leads();
        let primary = self.sighting().primary();
        leads.iter().for_each(|lead| lead.tell(primary.clone()));
        *all = leads;
    }

    fn leads(&self) -> MutexGuard<'_, Vec<Lead>> {
        self.leads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for a probe of all nodes that begins after this call.
    #[inline]
    pub fn want(&self) {
        // One that is wanted already, and not yet heard of, begins later too; looking does not take the line from other workers.
        if !self.wanted.load(Ordering::Acquire) && !self.wanted.swap(true, Ordering::AcqRel) {
            self.heard.notify_one();
        }
    }

    /// Returns when somebody has called [`Cluster::want`]; probes must be started after that.
    pub async fn wanted(&self) {
        self.heard.notified().await;
        self.wanted.store(false, Ordering::Release);
    }

    /// Tells that a node could not be connected to, or broke off.
    pub fn report_failure(&self, node: NodeId) {
        *self.failures().entry(node).or_default() += 1;
        self.want();
    }

    /// Failures reported since the last time.
    pub fn take_failures(&self) -> HashMap<NodeId, u32> {
        std::mem::take(&mut *self.failures())
    }

    fn failures(&self) -> MutexGuard<'_, HashMap<NodeId, u32>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Watched clusters, by the database of the settings; several databases may have the same.
#[derive(Debug, Default)]
pub struct Clusters(Mutex<HashMap<String, Arc<Cluster>>>);

impl Clusters {
    /// The cluster of a database as clients name it; `None` if it is not watched. `is_named`: the settings have that database
    /// itself, so that the fallback is not meant.
    pub fn of(&self, database: &str, is_named: bool) -> Option<Arc<Cluster>> {
        let clusters = self.lock();
        let fallback = || clusters.get("*").filter(|_| !is_named);
        clusters.get(database).or_else(fallback).cloned()
    }

    /// All, by database.
    pub fn all(&self) -> Vec<(String, Arc<Cluster>)> {
        let mut all: Vec<_> =
            self.lock().iter().map(|(name, cluster)| (name.clone(), cluster.clone())).collect();
        all.sort_by(|one, other| one.0.cmp(&other.0));
        all
    }

    fn has(&self, cluster: &Arc<Cluster>) -> bool {
        self.lock().values().any(|known| Arc::ptr_eq(known, cluster))
    }

    /// Replaces them.
    pub fn set(&self, clusters: HashMap<String, Arc<Cluster>>) {
        *self.lock() = clusters;
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Cluster>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A worker's own view of a cluster: a copy of the topology, its loads and the state of the strategy.
#[derive(Debug)]
pub struct Nodes {
    cluster: Arc<Cluster>,
    news: RefCell<watch::Receiver<Arc<Sighting>>>,
    known: RefCell<Arc<Sighting>>,
    loads: RefCell<Loads>,
    balancer: RefCell<Balancer>,
    /// Those that were down when it was last looked.
    down: RefCell<Vec<NodeId>>,
}

impl Nodes {
    /// For a worker; `seed` makes its draws others than those of the other workers.
    pub fn new(cluster: Arc<Cluster>, seed: u64) -> Rc<Nodes> {
        let news = cluster.published.subscribe();
        let known = RefCell::new(news.borrow().clone());
        let balancer = RefCell::new(Balancer::new(seed));
        let (news, loads, down) = (RefCell::new(news), RefCell::default(), RefCell::default());
        Rc::new(Nodes { cluster, news, known, loads, balancer, down })
    }

    /// The cluster, to tell it something.
    pub fn cluster(&self) -> &Arc<Cluster> {
        &self.cluster
    }

    /// What is known: one load when nothing has changed.
    #[inline]
    pub fn sighting(&self) -> Ref<'_, Arc<Sighting>> {
        if self.news.borrow().has_changed().unwrap_or(false) {
            self.refresh();
        }
        self.known.borrow()
    }

    /// Whether a node is down that was not when this was asked before.
    fn one_more_is_down(&self) -> bool {
        let sighting = self.sighting().clone();
        let ids = sighting.topology.nodes.iter().map(|node| node.id);
        let now: Vec<NodeId> = ids.filter(|id| sighting.topology.is_down(*id)).collect();
        let before = self.down.replace(now);
        self.down.borrow().iter().any(|id| !before.contains(id))
    }

    #[cold]
    fn refresh(&self) {
        let news = self.news.borrow_mut().borrow_and_update().clone();
        let is_there = |id: NodeId| news.topology.node(id).is_some();
        self.loads.borrow_mut().keep(is_there);
        self.balancer.borrow_mut().keep(is_there);
        *self.known.borrow_mut() = news;
    }

    /// Chooses where a read goes. Asks for a probe where that may help the next time.
    pub fn choose(&self, read: Read, floor: &mut Floor) -> Choice {
        let sighting = self.sighting();
        let (loads, mut balancer) = (self.loads.borrow(), self.balancer.borrow_mut());
        let choice = choose::choose(read, &sighting.topology, floor, &loads, &mut balancer);
        if matches!(choice, Choice::Primary(reason) if reason.may_change()) {
            self.cluster.want();
        }
        choice
    }

    /// What [`Nodes::choose`] would choose; asks for nothing and changes nothing.
    pub fn would_choose(&self, read: Read, floor: &Floor) -> Choice {
        let sighting = self.sighting();
        let (loads, balancer) = (self.loads.borrow(), self.balancer.borrow());
        explain::would_choose(read, &sighting.topology, floor, &loads, &balancer)
    }

    /// Chooses, and waits up to `wait` for a replica that will do where one may soon: right behind a write, the first read waits for
    /// a few milliseconds, and those that follow go on at the replica that it found. `now` of the read is when it was asked for.
    /// Dropped at its await, it has changed nothing.
    pub async fn choose_within(&self, read: Read, floor: &mut Floor, wait: Duration) -> Choice {
        let mut now = read.now();
        let until = now + wait;
        loop {
            let choice = self.choose(Read { now: Some(now), ..read }, floor);
            match choice {
                Choice::Primary(reason) if reason.may_change() && now < until => {}
                choice => return choice,
            }
            if crate::timer::timeout_at(until, self.changed()).await.is_err() {
                return choice;
            }
            now = Instant::now();
        }
    }

    /// Returns when something else is published than what this worker has seen.
    pub async fn changed(&self) {
        let mut news = self.news.borrow().clone();
        // Others of this worker may take the news meanwhile; the copy has its own mark.
        if news.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Notes in `floor` that `node` was used, after its answer has come; asks for a probe that covers it where the session will need one.
    #[inline]
    pub fn used(&self, node: NodeId, floor: &mut Floor) {
        if floor.used(node, &self.sighting().topology) {
            self.cluster.want();
        }
    }

    /// What this worker has with the nodes; to be given back before the next await.
    pub fn loads(&self) -> RefMut<'_, Loads> {
        self.loads.borrow_mut()
    }
}

/// What a worker has with the nodes of a database.
#[derive(Debug, Clone)]
pub struct NodesReport {
    /// The cluster.
    pub cluster: Arc<Cluster>,
    /// What there is with each node, and its latency in microseconds.
    pub loads: Vec<(Load, f64)>,
}

impl Worker {
    /// The nodes of `database`, if the settings have it watched. `is_named`: as in [`Clusters::of`].
    pub fn nodes(&self, database: &str, is_named: bool) -> Option<Rc<Nodes>> {
        let cluster = self.shared.clusters.of(database, is_named)?;
        let mut all = self.nodes.borrow_mut();
        if let Some(nodes) = all.iter().find(|nodes| Arc::ptr_eq(&nodes.cluster, &cluster)) {
            return Some(nodes.clone());
        }
        // Of clusters that are watched no more, only sessions know.
        all.retain(|nodes| Rc::strong_count(nodes) > 1 || self.shared.clusters.has(&nodes.cluster));
        let nodes = Nodes::new(cluster, seed());
        all.push(nodes.clone());
        Some(nodes)
    }

    /// Where another node has become the primary, sessions learn it that are at work at the one before; and those whose replica is down.
    pub(super) fn follow_nodes(&self) {
        let moved = self.pools.borrow().values().filter(|pool| pool.has_moved()).count();
        let lost = self.nodes.borrow().iter().filter(|nodes| nodes.one_more_is_down()).count();
        if moved + lost > 0 {
            self.wake_those_with_servers();
        }
    }

    pub(super) fn report_nodes(&self) -> Vec<NodesReport> {
        let now = Instant::now();
        let loads = |nodes: &Rc<Nodes>| {
            nodes.loads.borrow().all().iter().map(|load| (*load, load.latency(now))).collect()
        };
        let report = |nodes: &Rc<Nodes>| NodesReport { cluster: nodes.cluster.clone(), loads: loads(nodes) };
        self.nodes.borrow().iter().map(report).collect()
    }
}

/// Another number each time: what differs between workers and processes.
fn seed() -> u64 {
    use std::hash::BuildHasher as _;
    std::hash::RandomState::new().hash_one(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::choose::Reason;
    use crate::plan::consistency::Level;
    use crate::plan::topology::tests::{position, topology};

    fn sighting(topology: &Topology) -> Sighting {
        let host = |at| Host::Tcp(format!("node{at}"), 5432);
        Sighting { topology: topology.clone(), hosts: (0..topology.nodes.len()).map(host).collect() }
    }

    fn read() -> Read {
        Read { level: Level::Session, client: 1, node: None, now: None }
    }

    #[tokio::test]
    async fn a_read_waits_for_what_is_published_and_asks_for_it_once() {
        let mut topology = topology(&[500, 300]);
        let cluster = Cluster::new(sighting(&topology));
        let nodes = Nodes::new(cluster.clone(), 1);
        let mut floor = Floor::default();
        nodes.used(NodeId(0), &mut floor);
        let primary = Choice::Primary(Reason::Unknown);
        assert_eq!(nodes.choose_within(read(), &mut floor, Duration::ZERO).await, primary);
        assert_eq!(nodes.choose_within(read(), &mut floor, Duration::from_millis(20)).await, primary);
        cluster.wanted().await;
        let again = tokio::time::timeout(Duration::from_millis(20), cluster.wanted()).await;
        assert!(again.is_err(), "two wishes before one was heard are one");
        let publish = async {
            for (node, lsn) in [(0, 600), (1, 600)] {
                tokio::time::sleep(Duration::from_millis(5)).await;
                position(&mut topology, NodeId(node), lsn);
                cluster.publish(sighting(&topology));
            }
        };
        let reading = nodes.choose_within(read(), &mut floor, Duration::from_secs(10));
        let (choice, ()) = tokio::join!(reading, publish);
        assert_eq!(choice, Choice::Replica(NodeId(1)));
    }

    #[test]
    fn what_is_not_there_any_more_is_forgotten() {
        let mut topology = topology(&[500, 300, 300]);
        let cluster = Cluster::new(sighting(&topology));
        let nodes = Nodes::new(cluster.clone(), 1);
        let now = Instant::now();
        for node in [1, 2] {
            nodes.loads().begin(NodeId(node), now);
        }
        nodes.loads().end(NodeId(2), Duration::from_millis(1), now);
        topology.nodes.truncate(1);
        cluster.publish(sighting(&topology));
        assert_eq!(nodes.choose(read(), &mut Floor::default()), Choice::Primary(Reason::NoReplica));
        assert_eq!(nodes.loads().all().len(), 1, "what is in flight is kept");
        let sighting = nodes.sighting();
        let host = Host::Tcp("node0".into(), 5432);
        assert_eq!((sighting.host(NodeId(0)), sighting.id_of(&host)), (Some(&host), Some(NodeId(0))));
        assert_eq!(sighting.host(NodeId(2)), None);
    }

    #[test]
    fn failures_are_counted_until_they_are_taken() {
        let cluster = Cluster::new(sighting(&topology(&[500, 300])));
        for node in [1, 1, 0] {
            cluster.report_failure(NodeId(node));
        }
        assert_eq!(cluster.take_failures(), HashMap::from([(NodeId(1), 2), (NodeId(0), 1)]));
        assert!(cluster.take_failures().is_empty());
    }

    #[test]
    fn the_fallback_is_for_names_that_the_settings_do_not_have() {
        let cluster = || Cluster::new(sighting(&topology(&[500])));
        let (shop, other) = (cluster(), cluster());
        let clusters = Clusters::default();
        clusters.set(HashMap::from([("shop".to_owned(), shop.clone()), ("*".to_owned(), other.clone())]));
        let check = |name: &str, named: bool, expected: Option<&Arc<Cluster>>| {
            let found = clusters.of(name, named);
            assert_eq!(found.as_ref().map(Arc::as_ptr), expected.map(Arc::as_ptr), "{name}");
        };
        check("shop", true, Some(&shop));
        check("any", false, Some(&other));
        check("plain", true, None);
    }
}
