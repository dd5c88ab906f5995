//! What is known of a cluster's nodes at one moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::balance::Strategy;
use super::consistency::{Level, Lsn};

/// How long a node that has come back gets less than its share of reads: its caches are cold.
pub const SLOW_START: Duration = Duration::from_secs(10);
/// The share of its share that it begins with.
const COLD: f64 = 0.1;

/// A node, for as long as the process runs: a host that leaves the settings and comes back is another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub u32);

/// Numbers of probes, in the order in which they were started, over all nodes of a cluster.
///
/// A use of a node is noted with [`Clock::started`], read after its answer has come. A probe with a greater number was sent
/// after that, so what it finds covers the use. Both are sequentially consistent: a number that was not yet given out when it
/// was read is given out, and its probe sent, later.
#[derive(Debug, Clone, Default)]
pub struct Clock(Arc<AtomicU64>);

impl Clock {
    /// The number of a probe that is about to be sent.
    pub fn start(&self) -> u64 {
        self.0.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// The last number that was given out.
    #[inline]
    pub fn started(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It says that it takes writes. Whether it is *the* primary, [`Topology::primary`] knows.
    Primary,
    /// It is in recovery.
    Replica,
    /// It has not answered since it was last connected to.
    Unknown,
}

impl Role {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Role::Primary => "primary",
            Role::Replica => "replica",
            Role::Unknown => "unknown",
        }
    }
}

/// Whether reads may go to a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// They may.
    Up,
    /// They may not.
    Banned {
        /// When it will be tried again.
        until: Instant,
        /// Why.
        reason: Arc<str>,
    },
}

/// Which history of a cluster a WAL position is one of. Positions of different histories cannot be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct History {
    /// `system_identifier`: given by initdb, the same on all nodes.
    pub system: u64,
    /// Grows by promotion.
    pub timeline: u32,
}

/// Where a node was, by its last finished probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The number of that probe.
    pub probe: u64,
    /// Where WAL is inserted on a primary; the end of what has been replayed on a replica.
    pub lsn: Lsn,
    /// Of this history.
    pub history: History,
}

/// A node.
#[derive(Debug, Clone)]
pub struct Node {
    /// Its name in notes and loads.
    pub id: NodeId,
    /// Its address, for people; also what client addresses are hashed against.
    pub name: Arc<str>,
    /// What it is.
    pub role: Role,
    /// Whether reads may go to it.
    pub health: Health,
    /// Where it was; `None` while there is no connection to it.
    pub position: Option<Position>,
    /// Probes with this number and greater ones came over the connection that is open now, so that the node has not restarted
    /// since: what it showed then, it still has.
    pub since: u64,
    /// All that was committed before this instant, a replica has; `None`: unknown.
    pub fresh_at: Option<Instant>,
    /// How old its data were when it was probed.
    pub lag: Option<Duration>,
    /// When it came back, if it was banned before.
    pub returned_at: Option<Instant>,
    /// How long the last probe took.
    pub round_trip: Option<Duration>,
    /// Its share where shares are by weight.
    pub weight: u32,
    /// Where it is.
    pub zone: Option<Arc<str>>,
    /// It is where pgweir is.
    pub local: bool,
}

impl Node {
    /// The part of its usual share of reads that it can take: less than 1 while it is cold.
    pub fn warmth(&self, now: Instant) -> f64 {
        let Some(returned) = self.returned_at else { return 1.0 };
        let age = now.saturating_duration_since(returned).as_secs_f64() / SLOW_START.as_secs_f64();
        age.clamp(COLD, 1.0)
    }

    /// How old its data may be now; `None`: unknown.
    pub fn age(&self, now: Instant) -> Option<Duration> {
        self.fresh_at.map(|fresh| now.saturating_duration_since(fresh))
    }
}

/// Which transactions that only read may be on replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Transactions {
    /// None.
    Primary,
    /// Those in which each statement sees what was committed before it: they can go on at the primary at any time.
    #[default]
    ReadCommitted,
    /// Those with one snapshot too.
    All,
}

/// How reads are spread, as the settings of the database have it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Policy {
    /// How a replica is chosen among those that will do.
    pub strategy: Strategy,
    /// The level of those who ask for none.
    pub level: Level,
    /// How old the data of a replica may be at any level.
    pub max_lag: Option<Duration>,
    /// How long a read may wait for a replica.
    pub wait: Duration,
    /// Which transactions may go to replicas.
    pub transactions: Transactions,
}

/// Words for what a node is good for, as `SHOW NODES` and `EXPLAIN ROUTE` have them.
pub const STATES: [&str; 7] = ["up", "connecting", "down", "banned", "rival", "other timeline", "foreign"];
/// That it can be used as what it is.
pub const UP: &str = STATES[0];

/// The nodes of a cluster.
#[derive(Debug, Clone)]
pub struct Topology {
    /// In the order of the settings.
    pub nodes: Vec<Node>,
    /// The one that takes writes; `None` when none does, or two say that they do.
    pub primary: Option<NodeId>,
    /// There is none although some say that they are.
    pub disputed: bool,
    /// Which cluster this is, and so which nodes may be used, is not known yet, and may be in a moment.
    pub unheard: bool,
    /// The history of the primary, or of the last one.
    pub history: Option<History>,
    /// How reads are spread.
    pub policy: Policy,
    /// Numbers of probes; the original, not a copy.
    pub clock: Clock,
}

impl Topology {
    /// A node by its name.
    pub fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.iter().find(|node| node.id == id)
    }

    /// Whether a node is gone, or cannot be reached.
    pub fn is_down(&self, id: NodeId) -> bool {
        self.node(id).is_none_or(|node| node.position.is_none() && node.health != Health::Up)
    }

    /// What a node is good for: one of [`STATES`].
    pub fn state(&self, node: &Node) -> &'static str {
        let [up, connecting, down, banned, rival, timeline, foreign] = STATES;
        let Some(position) = node.position else {
            return if node.health == Health::Up { connecting } else { down };
        };
        let known = self.history.is_some_and(|history| history.system == position.history.system);
        match (node.role, &node.health) {
            _ if self.history.is_some() && !known => foreign,
            (_, Health::Banned { .. }) => banned,
            (Role::Primary, _) if self.primary != Some(node.id) => rival,
            (Role::Replica, _) if self.history != Some(position.history) => timeline,
            _ => up,
        }
    }

    /// Where the primary was.
    pub fn primary_position(&self) -> Option<Position> {
        let position = self.node(self.primary?)?.position?;
        (Some(position.history) == self.history).then_some(position)
    }

    /// Replicas that follow the history of the primary, and to which reads may go.
    pub fn replicas(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| self.serves(node))
    }

    /// The replica of that name, if it is one of these.
    #[inline]
    pub fn replica(&self, id: NodeId) -> Option<&Node> {
        self.node(id).filter(|node| self.serves(node))
    }

    #[inline]
    fn serves(&self, node: &Node) -> bool {
        let follows = |at: Position| Some(at.history) == self.history;
        node.role == Role::Replica && node.health == Health::Up && node.position.is_some_and(follows)
    }

    /// Bytes of WAL between the primary and a node, as they were probed.
    pub fn bytes_behind(&self, node: &Node) -> Option<u64> {
        let (primary, position) = (self.primary_position()?, node.position?);
        (primary.history == position.history).then(|| primary.lsn.0.saturating_sub(position.lsn.0))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A primary and replicas at these positions, all probed once.
    pub fn topology(positions: &[u64]) -> Topology {
        let clock = Clock::default();
        let history = History { system: 7, timeline: 1 };
        let node = |(at, lsn): (usize, &u64)| Node {
            id: NodeId(at as u32),
            name: format!("node{at}:5432").into(),
            role: if at == 0 { Role::Primary } else { Role::Replica },
            health: Health::Up,
            position: Some(Position { probe: clock.start(), lsn: Lsn(*lsn), history }),
            since: 0,
            fresh_at: None,
            lag: None,
            returned_at: None,
            round_trip: None,
            weight: 1,
            zone: None,
            local: false,
        };
        let nodes = positions.iter().enumerate().map(node).collect();
        let policy = Policy {
            strategy: Strategy::RoundRobin,
            level: Level::Session,
            max_lag: None,
            wait: Duration::ZERO,
            transactions: Transactions::default(),
        };
        Topology {
            nodes,
            primary: Some(NodeId(0)),
            disputed: false,
            unheard: false,
            history: Some(history),
            policy,
            clock: clock.clone(),
        }
    }

    /// A probe was started and finds the node there.
    pub fn position(topology: &mut Topology, id: NodeId, lsn: u64) {
        let probe = topology.clock.start();
        let node = topology.nodes.iter_mut().find(|node| node.id == id).expect("there is such a node");
        let history = node.position.map_or(History { system: 7, timeline: 1 }, |at| at.history);
        node.position = Some(Position { probe, lsn: Lsn(lsn), history });
    }

    #[test]
    fn a_node_that_comes_back_warms_up() {
        let mut node = topology(&[1, 1]).nodes.remove(1);
        let now = Instant::now();
        assert_eq!(node.warmth(now), 1.0);
        node.returned_at = Some(now);
        assert_eq!(node.warmth(now), COLD);
        assert_eq!(node.warmth(now + SLOW_START / 2), 0.5);
        assert_eq!(node.warmth(now + SLOW_START * 2), 1.0);
    }

    #[test]
    fn replicas_are_those_that_follow_the_primary_and_are_not_banned() {
        let mut topology = topology(&[9, 8, 7, 6]);
        let ids = |topology: &Topology| topology.replicas().map(|node| node.id.0).collect::<Vec<_>>();
        assert_eq!(ids(&topology), [1, 2, 3]);
        topology.nodes[1].health = Health::Banned { until: Instant::now(), reason: "".into() };
        topology.nodes[2].position.as_mut().expect("it is known").history.timeline = 2;
        assert_eq!(ids(&topology), [3]);
        assert_eq!(topology.bytes_behind(&topology.nodes[3]), Some(3));
        assert_eq!(topology.bytes_behind(&topology.nodes[2]), None);
        topology.nodes[3].position = None;
        assert_eq!(ids(&topology), [0; 0]);
    }
}
