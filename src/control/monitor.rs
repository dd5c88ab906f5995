//! Watches one cluster: a connection to each node, asked at a slow pace, and at a fast one while sessions wait.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::probe::{self, Known};
use super::sight::Sight;
use crate::config::settings::{Database, Host};
use crate::plan::topology::NodeId;
use crate::pool::connect::Connected;
use crate::pool::{Target, ask};
use crate::runtime::cluster::Cluster;
use crate::wire::Fault;

/// Rounds of probes are at least so far apart, however many sessions wait.
const FASTEST: Duration = Duration::from_millis(2);
/// A node that has not answered after this time is lost, unless `connect_timeout` is shorter.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long what changes seldom (timeline, which cluster) is not asked again.
const WHOLE_AGAIN: Duration = Duration::from_millis(900);

/// Watches until it is dropped.
#[derive(Debug)]
pub struct Monitor {
    watch: Arc<Watch>,
    pacer: AbortHandle,
    nodes: Vec<(NodeId, Host, AbortHandle)>,
}

#[derive(Debug)]
struct Watch {
    database: String,
    cluster: Arc<Cluster>,
    sight: Mutex<Sight>,
    target: Mutex<Arc<Target>>,
    rounds: watch::Sender<()>,
}

impl Monitor {
    /// Begins. `database` is a name of it, for the log; nodes are asked as `target` logs in. Needs a runtime.
    pub fn start(name: &str, database: &Database, target: &Arc<Target>) -> Monitor {
        use std::hash::BuildHasher as _;
        let sight = Sight::new(database, std::hash::RandomState::new().hash_one(0));
        let watch = Arc::new(Watch {
            database: name.to_owned(),
            cluster: Cluster::new(sight.sighting()),
            sight: Mutex::new(sight),
            target: Mutex::new(target.clone()),
            rounds: watch::Sender::new(()),
        });
        let pacer = tokio::spawn(watch.clone().pace()).abort_handle();
        let mut monitor = Monitor { watch, pacer, nodes: vec![] };
        monitor.follow_all();
        monitor
    }

    /// The database that it was started for.
    pub fn database(&self) -> &str {
        &self.watch.database
    }

    /// What it publishes to.
    pub fn cluster(&self) -> Arc<Cluster> {
        self.watch.cluster.clone()
    }

    /// Goes on with other settings. Connections stay, unless they would be made in another way now.
    pub fn change(&mut self, database: &Database, target: &Arc<Target>) {
        let before = std::mem::replace(&mut *self.watch.target(), target.clone());
        let any = database.hosts.first();
        if any.is_some_and(|host| !before.at(host).makes_the_same(&target.at(host))) {
            self.nodes.drain(..).for_each(|(.., task)| task.abort());
        }
        self.watch.change(|sight| sight.configure(database));
        self.follow_all();
        self.watch.cluster.want();
    }

    /// Follows each node, and no other.
    fn follow_all(&mut self) {
        let hosts = self.watch.sight().hosts();
        self.nodes.retain(|(id, _, task)| {
            let stays = hosts.iter().any(|(known, _)| known == id);
            if !stays {
                task.abort();
            }
            stays
        });
        for (id, host) in hosts {
            if !self.nodes.iter().any(|(known, ..)| *known == id) {
                let task = tokio::spawn(self.watch.clone().follow(id, host.clone())).abort_handle();
                self.nodes.push((id, host, task));
            }
        }
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.pacer.abort();
        self.nodes.iter().for_each(|(.., task)| task.abort());
        // Sessions may still hold on to it; what nobody watches is not read.
        let mut last = self.watch.sight().sighting();
        (last.topology.nodes, last.topology.primary, last.hosts) = (vec![], None, vec![]);
        (last.topology.history, last.topology.disputed, last.topology.unheard) = (None, false, false);
        self.watch.cluster.publish(last);
    }
}

impl Watch {
    fn sight(&self) -> MutexGuard<'_, Sight> {
        self.sight.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn target(&self) -> MutexGuard<'_, Arc<Target>> {
        self.target.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what is known, tells what has happened, and publishes.
    fn change<T>(&self, change: impl FnOnce(&mut Sight) -> T) -> T {
        let mut sight = self.sight();
        sight.pardon(Instant::now());
        let result = change(&mut sight);
        let events = sight.take_events();
        self.cluster.publish(sight.sighting());
        drop(sight);
        events.iter().for_each(|event| event.tell(&self.database, &self.cluster.stats));
        result
    }

    /// Starts rounds of probes: from time to time, and at once when somebody wants to know.
    async fn pace(self: Arc<Watch>) {
        loop {
            let interval = self.sight().interval();
            tokio::select! {
                () = tokio::time::sleep(interval) => {}
                () = self.cluster.wanted() => {}
            }
            self.hear();
            self.rounds.send_replace(());
            tokio::time::sleep(FASTEST).await;
        }
    }

    /// Takes in the failures that workers have reported.
    fn hear(&self) {
        let failures = self.cluster.take_failures();
        if !failures.is_empty() {
            let now = Instant::now();
            self.change(|sight| failures.into_iter().for_each(|(id, times)| sight.failed(id, times, now)));
        }
    }

    /// Connects to a node and asks it, again and again.
    async fn follow(self: Arc<Watch>, id: NodeId, host: Host) {
        loop {
            let fault = self.follow_once(id, &host).await;
            self.cluster.stats.probes_failed.add(1);
            let pause = self.change(|sight| sight.lost(id, &fault.to_string(), Instant::now()));
            tokio::time::sleep(pause).await;
        }
    }

    /// Returns why it could not go on.
    async fn follow_once(&self, id: NodeId, host: &Host) -> Fault {
        let target = Arc::new(self.target().at(host));
        let patience = PATIENCE.min(target.connect_timeout);
        let late = |_| Err(Fault::error("08001", "connecting timed out"));
        let opened = tokio::time::timeout(target.connect_timeout * 2, ask::open(&target)).await;
        let mut connected = match opened.unwrap_or_else(late) {
            Ok(connected) => connected,
            Err(fault) => return fault,
        };
        let mut rounds = self.rounds.subscribe();
        let clock = self.sight().clock();
        self.change(|sight| sight.connected(id));
        let mut whole: Option<Known> = None;
        loop {
            rounds.mark_unchanged();
            let known = whole.as_ref().filter(|whole| whole.answer.sent.elapsed() < WHOLE_AGAIN);
            let found = match probe::ask(&mut connected, clock.start(), patience, known).await {
                Ok(found) => found,
                Err(fault) => return fault,
            };
            let answer = found.answer;
            if known.is_none_or(|Known { answer: known, .. }| {
                known.history != answer.history || known.standby != answer.standby
            }) {
                whole = Some(found);
            }
            self.change(|sight| sight.answered(id, answer));
            self.cluster.stats.probes.add(1);
            tokio::select! {
                _ = rounds.changed() => {}
                () = news(&mut connected) => {}
            }
        }
    }
}

/// Returns when a server says something unasked: that it has been promoted, say, or that it ends.
async fn news(connected: &mut Connected) {
    let _ = std::future::poll_fn(|cx| connected.socket.poll_news(cx)).await;
}
