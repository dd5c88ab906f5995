//! What the answers of the nodes mean together: roles, the primary, bans, lag. No sockets, no clock of its own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::events::Event;
use super::probe::Answer;
use super::samples::Samples;
use crate::config::settings::{Database, Host};
use crate::plan::balance::Random;
use crate::plan::consistency::Level;
use crate::plan::topology::{Clock, Health, History, Node, NodeId, Policy, Position, Role, Topology};
use crate::runtime::cluster::Sighting;

/// The longest that a node gets no reads although it answers.
const LONGEST_BAN: Duration = Duration::from_secs(60);
/// The longest that a node is left alone which does not answer: it may be the primary, and one connection is no storm.
const LONGEST_ABSENCE: Duration = Duration::from_secs(5);
/// The same while there is no primary, and sessions wait for one.
const LONGEST_WITHOUT_PRIMARY: Duration = Duration::from_millis(500);
/// A node that was well for this long begins anew with the shortest ban.
const FORGIVEN: Duration = Duration::from_secs(60);
/// So many failures reported within [`WINDOW`] ban a node that answers probes.
const FAILURES: u32 = 3;
const WINDOW: Duration = Duration::from_secs(10);
/// So long after the first answer it is decided which cluster this is, though nodes have not been heard of: they may not answer for hours.
const PATIENCE: Duration = Duration::from_secs(1);
/// No probes follow each other more closely, however little lag is allowed.
const FASTEST: Duration = Duration::from_millis(2);

/// What is known of a cluster.
#[derive(Debug)]
pub struct Sight {
    clock: Clock,
    policy: Policy,
    check_interval: Duration,
    zone: Option<String>,
    nodes: Vec<Seen>,
    next: u32,
    samples: Samples,
    /// The cluster is the one with this `system_identifier`.
    system: Option<u64>,
    /// And that stays so, whoever else answers.
    settled: bool,
    first_answer: Option<Instant>,
    history: Option<History>,
    primary: Option<NodeId>,
    /// There is none although some say that they are.
    disputed: bool,
    /// The nodes that were told to be primaries at once; empty: no such.
    rivals: Vec<NodeId>,
    random: Random,
    events: Vec<Event>,
}

/// What is known of a node.
#[derive(Debug)]
struct Seen {
    id: NodeId,
    host: Host,
    name: Arc<str>,
    weight: u32,
    zone: Option<Arc<str>>,
    /// It is one of `replicas`, and never the primary.
    reads_only: bool,
    answer: Option<Answer>,
    since: u64,
    /// What it was when it answered last.
    role: Role,
    /// It has answered, or it is known that it does not.
    heard: bool,
    /// The `system_identifier` that it told last.
    system: Option<u64>,
    /// It was one of the cluster's nodes.
    member: bool,
    foreign: bool,
    ban: Option<Ban>,
    /// Bans so far, one after the other.
    bans: u32,
    well_since: Option<Instant>,
    returned_at: Option<Instant>,
    failures: u32,
    first_failure: Option<Instant>,
}

#[derive(Debug)]
struct Ban {
    until: Instant,
    reason: Arc<str>,
}

impl Sight {
    /// Nothing is known but the settings. `seed` is for the jitter of bans.
    pub fn new(database: &Database, seed: u64) -> Sight {
        let mut sight = Sight {
            clock: Clock::default(),
            policy: policy(database),
            check_interval: Duration::ZERO,
            zone: None,
            nodes: vec![],
            next: 0,
            samples: Samples::default(),
            system: None,
            settled: false,
            first_answer: None,
            history: None,
            primary: None,
            disputed: false,
            rivals: vec![],
            random: Random::new(seed),
            events: vec![],
        };
        sight.configure(database);
        sight
    }

    /// Takes these settings. Nodes that stay keep what is known of them.
    pub fn configure(&mut self, database: &Database) {
        let reads = &database.reads;
        self.policy = policy(database);
        self.check_interval = reads.check_interval;
        self.zone.clone_from(&reads.zone);
        let mut before = std::mem::take(&mut self.nodes);
        for host in database.nodes() {
            let known = before.iter().position(|seen| seen.host == *host);
            let mut seen = match known {
                Some(at) => before.swap_remove(at),
                None => self.unseen(host),
            };
            let of = |(known, _): &&(Host, u32)| known == host;
            seen.weight = reads.weights.iter().find(of).map_or(1, |(_, weight)| *weight);
            let zone = reads.zones.iter().find(|(known, _)| known == host);
            seen.zone = zone.map(|(_, zone)| zone.as_str().into());
            seen.reads_only = reads.replicas.contains(host);
            self.nodes.push(seen);
        }
        if !self.nodes.iter().any(|seen| seen.member) {
            // All others, which are whatever they are.
            (self.system, self.settled, self.first_answer) = (None, false, None);
        }
    }

    fn unseen(&mut self, host: &Host) -> Seen {
        let id = NodeId(self.next);
        self.next += 1;
        Seen {
            id,
            host: host.clone(),
            name: host.to_string().into(),
            weight: 1,
            zone: None,
            reads_only: false,
            answer: None,
            since: 0,
            role: Role::Unknown,
            heard: false,
            system: None,
            member: false,
            foreign: false,
            ban: None,
            bans: 0,
            well_since: None,
            returned_at: None,
            failures: 0,
            first_failure: None,
        }
    }

    /// The numbers of its probes.
    pub fn clock(&self) -> Clock {
        self.clock.clone()
    }

    /// The nodes and where they are.
    pub fn hosts(&self) -> Vec<(NodeId, Host)> {
        self.nodes.iter().map(|seen| (seen.id, seen.host.clone())).collect()
    }

    /// How often nodes are asked while nobody waits: often enough for the bounds on lag to be of use.
    pub fn interval(&self) -> Duration {
        let bound = match self.policy.level {
            Level::Bounded(bound) => Some(bound),
            _ => None,
        };
        let tightest = bound.into_iter().chain(self.policy.max_lag).min();
        tightest.map_or(self.check_interval, |tightest| self.check_interval.min(tightest / 4)).max(FASTEST)
    }

    /// A connection to a node was made. Nothing that it showed before is known to be there still.
    pub fn connected(&mut self, id: NodeId) {
        let since = self.clock.start();
        if let Some(seen) = self.seen(id) {
            seen.since = since;
        }
    }

    /// A node has answered.
    pub fn answered(&mut self, id: NodeId, answer: Answer) {
        let now = answer.sent + answer.took;
        let Some(seen) = self.seen(id) else { return };
        let role = if answer.standby { Role::Replica } else { Role::Primary };
        let before = std::mem::replace(&mut seen.role, role);
        let back = seen.answer.replace(answer).is_none();
        (seen.heard, seen.system) = (true, Some(answer.history.system));
        let mut events = vec![];
        if back {
            seen.well_since = Some(now);
            if seen.ban.take().is_some() {
                seen.returned_at = Some(now);
                events.push(Event::Returned { node: seen.name.to_string() });
            }
        }
        if before != role && before != Role::Unknown {
            events.push(Event::RoleChanged { node: seen.name.to_string(), role: role.word() });
        }
        self.events.extend(events);
        self.first_answer.get_or_insert(now);
        if !self.elect(now) && self.primary == Some(id) {
            self.samples.push(answer.sent, answer.lsn);
        }
    }

    /// The connection to a node is lost, or could not be made; gives how long to leave it alone.
    pub fn lost(&mut self, id: NodeId, reason: &str, now: Instant) -> Duration {
        let jitter = self.random.unit();
        let base = self.check_interval;
        let none = self.primary.is_none_or(|primary| primary == id);
        let longest = if none { LONGEST_WITHOUT_PRIMARY } else { LONGEST_ABSENCE };
        let Some(seen) = self.seen(id) else { return LONGEST_ABSENCE };
        let time = seen.next_ban(base, longest, jitter, now);
        let news = seen.ban.as_ref().is_none_or(|ban| *ban.reason != *reason);
        (seen.answer, seen.heard) = (None, true);
        seen.ban = Some(Ban { until: now + time, reason: reason.into() });
        let node = seen.name.to_string();
        if news {
            self.events.push(Event::Lost { node, reason: reason.to_owned(), again: time });
        }
        self.elect(now);
        time
    }

    /// Workers could not connect to a node, or were cut off, so many times. A replica that fails again and again gets no reads for a
    /// while although it answers probes; the last one that is up is never banned.
    pub fn failed(&mut self, id: NodeId, times: u32, now: Instant) {
        let up = self.nodes.iter().filter(|seen| seen.is_up() && seen.role == Role::Replica).count();
        let (jitter, base) = (self.random.unit(), self.check_interval);
        let Some(seen) = self.seen(id) else { return };
        if seen.first_failure.is_none_or(|first| now.saturating_duration_since(first) > WINDOW) {
            (seen.first_failure, seen.failures) = (Some(now), 0);
        }
        seen.failures = seen.failures.saturating_add(times);
        if seen.failures < FAILURES || !seen.is_up() || seen.role != Role::Replica || up < 2 {
            return;
        }
        let time = seen.next_ban(base, LONGEST_BAN, jitter, now);
        let reason = format!("{} failures reported", seen.failures);
        seen.failures = 0;
        seen.ban = Some(Ban { until: now + time, reason: reason.as_str().into() });
        let node = seen.name.to_string();
        self.events.push(Event::Banned { node, reason, time });
    }

    /// Bans that are over end.
    pub fn pardon(&mut self, now: Instant) {
        for seen in &mut self.nodes {
            let over = seen.ban.as_ref().is_some_and(|ban| ban.until <= now);
            if over && seen.answer.is_some() {
                seen.ban = None;
                (seen.returned_at, seen.well_since) = (Some(now), Some(now));
                self.events.push(Event::Returned { node: seen.name.to_string() });
            }
        }
    }

    /// What has happened since the last time.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// What there is to publish.
    pub fn sighting(&self) -> Sighting {
        let topology = Topology {
            nodes: self.nodes.iter().map(|seen| self.node(seen)).collect(),
            primary: self.primary,
            disputed: self.disputed,
            unheard: self.system.is_none() && self.nodes.iter().any(|seen| !seen.heard),
            history: self.history,
            policy: self.policy,
            clock: self.clock.clone(),
        };
        Sighting { topology, hosts: self.nodes.iter().map(|seen| seen.host.clone()).collect() }
    }

    fn node(&self, seen: &Seen) -> Node {
        let answer = seen.answer;
        let of = |answer: Answer| Position { probe: answer.number, lsn: answer.lsn, history: answer.history };
        let follows = answer.filter(|answer| answer.standby && Some(answer.history) == self.history);
        let fresh_at = follows.and_then(|answer| self.samples.fresh_at(answer.lsn));
        let probed = answer.map(|answer| answer.sent + answer.took);
        Node {
            id: seen.id,
            name: seen.name.clone(),
            role: answer.map_or(Role::Unknown, |_| seen.role),
            health: seen
                .ban
                .as_ref()
                .map_or(Health::Up, |ban| Health::Banned { until: ban.until, reason: ban.reason.clone() }),
            position: answer.map(of),
            since: seen.since,
            fresh_at,
            lag: fresh_at.zip(probed).map(|(fresh, probed)| probed.saturating_duration_since(fresh)),
            returned_at: seen.returned_at,
            round_trip: answer.map(|answer| answer.took),
            weight: seen.weight,
            zone: seen.zone.clone(),
            local: self.zone.is_some() && self.zone.as_deref() == seen.zone.as_deref(),
        }
    }

    fn seen(&mut self, id: NodeId) -> Option<&mut Seen> {
        self.nodes.iter_mut().find(|seen| seen.id == id)
    }

    /// Finds out which cluster this is, and which node its primary. Whether that is another one than before: then what is known of where the
    /// primary was begins with its last answer.
    fn elect(&mut self, now: Instant) -> bool {
        let before = self.primary;
        self.recognise(now);
        self.find_primary();
        let Some(primary) = self.primary.filter(|_| self.primary != before) else { return false };
        self.samples.clear();
        if let Some(answer) = self.seen(primary).and_then(|seen| seen.answer) {
            self.samples.push(answer.sent, answer.lsn);
        }
        true
    }

    fn find_primary(&mut self) {
        let Some(system) = self.system else { return };
        let passed =
            self.history.filter(|history| history.system == system).map_or(0, |history| history.timeline);
        let of =
            |seen: &Seen| seen.answer.filter(|answer| !answer.standby && answer.history.system == system);
        let claims = self.nodes.iter().filter(|seen| !seen.reads_only);
        let claims: Vec<_> = claims.filter_map(|seen| Some((seen.id, of(seen)?.history))).collect();
        let is_empty = claims.is_empty();
        let latest = claims.iter().map(|(_, history)| history.timeline).max();
        // One that is behind what is known was a primary once.
        let latest = latest.filter(|latest| *latest >= passed);
        let first: Vec<_> = claims.iter().filter(|(_, history)| Some(history.timeline) == latest).collect();
        let primary = match first[..] {
            [(id, history)] => Some((*id, *history)),
            _ => None,
        };
        self.tell_rivals(&claims, primary.map(|(id, _)| id));
        if let Some((id, history)) = primary
            && (self.primary != Some(id) || self.history != Some(history))
        {
            self.history = Some(history);
            let node = self.seen(id).map_or(String::new(), |seen| seen.name.to_string());
            self.events.push(Event::PrimaryFound { node, timeline: history.timeline });
        }
        self.primary = primary.map(|(id, _)| id);
        // Before there was one, nodes are asked one by one, and one of another cluster must not be among them.
        let stranger = |seen: &Seen| seen.foreign && seen.role == Role::Primary && !seen.reads_only;
        let strangers = self.history.is_none() && self.nodes.iter().any(stranger);
        self.disputed = self.primary.is_none() && (!is_empty || strangers);
    }

    fn tell_rivals(&mut self, claims: &[(NodeId, History)], taken: Option<NodeId>) {
        let ids: Vec<_> = claims.iter().map(|(id, _)| *id).filter(|_| claims.len() > 1).collect();
        if ids != self.rivals && !ids.is_empty() {
            let name =
                |id: &NodeId| self.nodes.iter().find(|seen| seen.id == *id).map(|seen| seen.name.to_string());
            let nodes = ids.iter().filter_map(name).collect::<Vec<_>>().join(", ");
            let event = Event::TwoPrimaries { nodes, taken: taken.as_ref().and_then(name) };
            self.events.push(event);
        }
        self.rivals = ids;
    }

    /// The cluster is the one to which most of the nodes belong, of several the one that comes first in the settings; what is of another is not
    /// used. Once that is certain it stays so: while its nodes restart, one of another cluster must not get what is theirs.
    fn recognise(&mut self, now: Instant) {
        if !self.settled {
            self.count_systems(now);
        } else if !self.nodes.iter().any(|seen| seen.answer.is_some() && seen.system == self.system) {
            self.find_reborn();
        }
        let Some(system) = self.system else { return };
        for seen in &mut self.nodes {
            let Some(answer) = seen.answer else { continue };
            let foreign = system != answer.history.system;
            seen.member |= !foreign;
            if foreign && !seen.foreign {
                self.events.push(Event::Foreign {
                    node: seen.name.to_string(),
                    of: answer.history.system,
                    not_of: system,
                });
            }
            seen.foreign = foreign;
        }
    }

    /// It is certain when more than half of all nodes have told that they are of one, or all have told something.
    fn count_systems(&mut self, now: Instant) {
        let told: Vec<u64> = self.nodes.iter().filter_map(|seen| seen.system).collect();
        let count = |system: u64| told.iter().filter(|told| **told == system).count();
        // The first of those with the most.
        let Some(most) = told.iter().copied().rev().max_by_key(|system| count(*system)) else { return };
        let heard = self.nodes.iter().all(|seen| seen.heard);
        let late = self.first_answer.is_some_and(|first| now.saturating_duration_since(first) >= PATIENCE);
        let all = self.nodes.len();
        self.settled = count(most) * 2 > all || told.len() == all;
        if self.settled || heard || late || self.system.is_some() {
            self.adopt(most);
        }
    }

    /// No node of the cluster answers: it goes on as another one if one of its nodes was made anew, as by pg_upgrade, and takes writes.
    fn find_reborn(&mut self) {
        let reborn = |seen: &&Seen| seen.member && !seen.reads_only && seen.role == Role::Primary;
        let of = |seen: &Seen| seen.answer.and(seen.system);
        if let Some(system) = self.nodes.iter().filter(reborn).find_map(of) {
            self.adopt(system);
        }
    }

    fn adopt(&mut self, system: u64) {
        if self.system.replace(system) != Some(system) {
            self.nodes.iter_mut().for_each(|seen| seen.member = seen.system == Some(system));
        }
    }
}

impl Seen {
    fn is_up(&self) -> bool {
        self.answer.is_some() && self.ban.is_none()
    }

    /// Twice as long as the last, give or take a fifth, so that not all come back at once.
    fn next_ban(&mut self, base: Duration, longest: Duration, jitter: f64, now: Instant) -> Duration {
        if self.well_since.take().is_some_and(|well| now.saturating_duration_since(well) >= FORGIVEN) {
            self.bans = 0;
        }
        let time = base.saturating_mul(1 << self.bans.min(16)).min(longest);
        self.bans = self.bans.saturating_add(1);
        time.mul_f64(0.8 + 0.4 * jitter)
    }
}

fn policy(database: &Database) -> Policy {
    let reads = &database.reads;
    Policy {
        strategy: reads.balance,
        level: reads.consistency,
        max_lag: reads.max_replica_lag,
        wait: reads.replica_wait,
        transactions: reads.transactions,
    }
}
