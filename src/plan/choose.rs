//! The choice: a replica, or the primary and why.

use std::time::{Duration, Instant};

use smallvec::SmallVec;

use super::balance::{Balancer, Candidate};
use super::consistency::{Floor, Level, Shows};
use super::loads::Loads;
use super::topology::{Node, NodeId, Topology};

/// Where a read goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// To this replica.
    Replica(NodeId),
    /// To the primary.
    Primary(Reason),
}

/// Why a read that might have gone to a replica goes to the primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The level asks for it.
    Level,
    /// No replica that follows the primary is up.
    NoReplica,
    /// Replicas are too old, or it is not known how old they are.
    TooOld,
    /// No probe has told yet where what the session has seen is in the WAL.
    Unknown,
    /// No replica has replayed what the session has seen.
    Behind,
}

/// The names of all reasons, in the order of [`Reason`].
pub const REASONS: [&str; 5] =
    ["level primary", "no replica", "replicas too old", "position unknown", "replicas behind"];

impl Reason {
    /// Its stable name, one of [`REASONS`].
    pub fn name(self) -> &'static str {
        REASONS[self as usize]
    }

    /// Whether the next probe may make it untrue, so that it is worth asking for and perhaps waiting for.
    pub fn may_change(self) -> bool {
        matches!(self, Reason::TooOld | Reason::Unknown | Reason::Behind)
    }
}

/// For more replicas than this, room is made at each choice.
const FEW: usize = 4;

/// Those that will do.
type Fit<'a> = SmallVec<[&'a Node; FEW]>;

/// A read that may go to a replica.
#[derive(Debug, Clone, Copy)]
pub struct Read {
    /// What it promises; where nobody has said, the [`super::topology::Policy`]'s.
    pub level: Level,
    /// A hash of the client's address ([`super::balance::hash`]).
    pub client: u64,
    /// The replica that answers it where that may, before all others.
    pub node: Option<NodeId>,
    /// When it is asked for; `None`: at the moment at which the clock is read, which it is only where a node's age or latency matters.
    pub now: Option<Instant>,
}

impl Read {
    /// When it is asked for.
    pub fn now(&self) -> Instant {
        self.now.unwrap_or_else(Instant::now)
    }
}

/// Chooses. `floor` is what the session must not see undone; it takes in what probes have told.
pub fn choose(
    read: Read,
    topology: &Topology,
    floor: &mut Floor,
    loads: &Loads,
    balancer: &mut Balancer,
) -> Choice {
    if read.level == Level::Primary {
        return Choice::Primary(Reason::Level);
    }
    if read.level == Level::Session
        && let Some(node) = at_hand(&read, topology, floor)
    {
        if read.node != Some(node) {
            balancer.takes(node);
        }
        return Choice::Replica(node);
    }
    floor.look(topology);
    let (mut fit, mut why) = (Fit::new(), Reason::NoReplica);
    for node in topology.replicas() {
        match will_do(&read, node, topology.policy.max_lag, floor) {
            Ok(()) if read.node == Some(node.id) => return Choice::Replica(node.id),
            Ok(()) => fit.push(node),
            // The reason of the one that came closest.
            Err(reason) => why = if reason as usize > why as usize { reason } else { why },
        }
    }
    match fit[..] {
        [] => Choice::Primary(why),
        // As for most reads of a session that reads without a pause.
        [only] => {
            balancer.takes(only.id);
            Choice::Replica(only.id)
        }
        _ => {
            let now = read.now();
            let candidates: SmallVec<[_; FEW]> = fit.iter().map(|node| candidate(node, loads, now)).collect();
            let at = balancer.pick(topology.policy.strategy, &candidates, read.client);
            at.map_or(Choice::Primary(why), |at| Choice::Replica(candidates[at].node))
        }
    }
}

/// The replica at which the session was last, if it will do and no other can: what is found below as well, with more ado.
fn at_hand(read: &Read, topology: &Topology, floor: &mut Floor) -> Option<NodeId> {
    let only = floor.only(topology)?;
    let node = topology.replica(only)?;
    will_do(read, node, topology.policy.max_lag, floor).ok()?;
    floor.looks();
    Some(only)
}

/// Whether `node`, at which the session has a transaction, will do for one more read in it.
pub fn serves(read: Read, topology: &Topology, floor: &mut Floor, node: NodeId) -> bool {
    floor.look(topology);
    let node = topology.node(node).filter(|_| read.level != Level::Primary);
    node.is_some_and(|node| will_do(&read, node, topology.policy.max_lag, floor).is_ok())
}

/// Why a replica may not answer a read; `floor` has looked at the topology.
pub(super) fn will_do(
    read: &Read,
    node: &Node,
    max_lag: Option<Duration>,
    floor: &Floor,
) -> Result<(), Reason> {
    let bound = match read.level {
        Level::Bounded(bound) => Some(bound),
        _ => None,
    };
    let oldest = bound.into_iter().chain(max_lag).min();
    if oldest.is_some_and(|oldest| node.age(read.now()).is_none_or(|age| age > oldest)) {
        return Err(Reason::TooOld);
    }
    match floor.shown_by(node) {
        _ if read.level != Level::Session => Ok(()),
        Shows::All => Ok(()),
        Shows::Unknown => Err(Reason::Unknown),
        Shows::Less => Err(Reason::Behind),
    }
}

fn candidate<'a>(node: &'a Node, loads: &Loads, now: Instant) -> Candidate<'a> {
    let load = loads.of(node.id);
    Candidate {
        node: node.id,
        name: &node.name,
        in_flight: load.map_or(0, |load| load.in_flight),
        cost: load.map_or(0.0, |load| load.cost(now)),
        weight: node.weight,
        local: node.local,
        warmth: node.warmth(now),
    }
}

#[cfg(test)]
mod tests {
    use super::super::balance::Random;
    use super::super::topology::tests::{position, topology};
    use super::super::topology::{Health, Role};
    use super::*;

    fn chosen(level: Level, topology: &Topology, floor: &mut Floor, now: Instant) -> Choice {
        let read = Read { level, client: 1, node: None, now: Some(now) };
        choose(read, topology, floor, &Loads::default(), &mut Balancer::new(1))
    }

    #[test]
    fn every_reason_has_its_name() {
        use Reason::{Behind, Level, NoReplica, TooOld, Unknown};
        let names = [Level, NoReplica, TooOld, Unknown, Behind].map(Reason::name);
        assert_eq!(names, REASONS);
    }

    #[test]
    fn a_node_that_is_wanted_answers_where_it_may() {
        let now = Instant::now();
        let mut topology = topology(&[500, 500, 500, 500]);
        let read = Read { level: Level::Session, client: 1, node: Some(NodeId(2)), now: Some(now) };
        let chosen = |topology: &Topology, seed| {
            choose(read, topology, &mut Floor::default(), &Loads::default(), &mut Balancer::new(seed))
        };
        assert!((0..50).all(|seed| chosen(&topology, seed) == Choice::Replica(NodeId(2))));
        topology.nodes[2].health = Health::Banned { until: now, reason: "".into() };
        let others = [NodeId(1), NodeId(3)].map(Choice::Replica);
        assert!((0..50).all(|seed| others.contains(&chosen(&topology, seed))));
    }

    #[test]
    fn what_is_at_hand_is_what_the_long_way_finds() {
        let (mut random, now, mut found) = (Random::new(7), Instant::now(), 0);
        for _ in 0..500 {
            let (mut topology, mut floor) = (topology(&[500, 400, 300]), Floor::default());
            for _ in 0..30 {
                let at = random.below(3);
                let id = NodeId(at as u32);
                match random.below(8) {
                    0 => position(&mut topology, id, 300 + random.below(400) as u64),
                    1 => topology.nodes[at].since = topology.clock.start(),
                    2 => {
                        let banned = Health::Banned { until: now, reason: "".into() };
                        topology.nodes[at].health = if random.below(3) == 0 { banned } else { Health::Up };
                    }
                    _ => {
                        floor.used(id, &topology);
                    }
                }
                let read = Read { level: Level::Session, client: 1, node: None, now: Some(now) };
                let mut looked = floor.clone();
                let Some(node) = at_hand(&read, &topology, &mut floor) else { continue };
                found += 1;
                looked.look(&topology);
                let will_do = |node: &&Node| will_do(&read, node, None, &looked).is_ok();
                let fit: Vec<_> = topology.replicas().filter(will_do).map(|node| node.id).collect();
                assert_eq!((fit, &floor), (vec![node], &looked), "{topology:?}");
            }
        }
        assert!(found > 500, "{found}: too few for the test to say something");
    }

    #[test]
    fn the_primary_answers_when_no_replica_will_do() {
        let now = Instant::now();
        let mut topology = topology(&[500, 300]);
        let mut floor = Floor::default();
        let replica = Choice::Replica(NodeId(1));
        let primary = Choice::Primary;
        assert_eq!(chosen(Level::Session, &topology, &mut floor, now), replica);
        assert_eq!(chosen(Level::Primary, &topology, &mut floor, now), primary(Reason::Level));
        floor.used(NodeId(0), &topology);
        assert_eq!(chosen(Level::Session, &topology, &mut floor, now), primary(Reason::Unknown));
        position(&mut topology, NodeId(0), 600);
        assert_eq!(chosen(Level::Session, &topology, &mut floor, now), primary(Reason::Behind));
        assert_eq!(chosen(Level::Any, &topology, &mut floor, now), replica);
        let bounded = Level::Bounded(Duration::from_millis(500));
        assert_eq!(chosen(bounded, &topology, &mut floor, now), primary(Reason::TooOld));
        topology.nodes[1].fresh_at = Some(now);
        assert_eq!(chosen(bounded, &topology, &mut floor, now + Duration::from_millis(500)), replica);
        let later = now + Duration::from_millis(501);
        assert_eq!(chosen(bounded, &topology, &mut floor, later), primary(Reason::TooOld));
        topology.policy.max_lag = Some(Duration::from_millis(500));
        assert_eq!(chosen(Level::Any, &topology, &mut floor, later), primary(Reason::TooOld));
        topology.nodes[1].health = Health::Banned { until: now, reason: "".into() };
        assert_eq!(chosen(Level::Any, &topology, &mut floor, now), primary(Reason::NoReplica));
        topology.nodes[1].health = Health::Up;
        topology.nodes[1].role = Role::Primary;
        assert_eq!(chosen(Level::Any, &topology, &mut floor, now), primary(Reason::NoReplica));
    }
}
