//! A cluster in which everything happens in any order, and a checker of what sessions see; and guards that are broken on
//! purpose, to show that the checker would notice.

use std::time::{Duration, Instant};

use super::probe::Answer;
use super::sight::Sight;
use crate::config::settings::{Database, Host, Reads};
use crate::plan::balance::{Balancer, Random, Strategy};
use crate::plan::choose::{Choice, Read, choose};
use crate::plan::consistency::tests::{TRUSTS, used_after};
use crate::plan::consistency::{Floor, Level, Lsn};
use crate::plan::loads::Loads;
use crate::plan::topology::{History, NodeId, Topology};

const NODES: usize = 4;
const SESSIONS: usize = 24;
const WORKERS: usize = 2;
const STEPS: usize = 5000;
const BOUND: Duration = Duration::from_millis(60);
/// Bytes of a record.
const RECORD: u64 = 8;

/// What is broken.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Guard {
    Sound,
    /// The probe under way when a use ended counts as one behind it.
    UnderWay,
    /// Reads are not noted.
    ReadsForgotten,
    /// A probe counts as the last that was started when its answer came.
    StartedCounts,
    /// What a replica shows is never beyond what it tells.
    Told,
    /// A node that was restarted counts as the one that it was.
    RestartsForgotten,
    /// Positions of all timelines are compared.
    TimelinesForgotten,
    /// The primary was where it told to be until its answer came.
    AnswerTime,
}

/// A node as it is, and not as anybody knows it.
#[derive(Debug, Clone)]
struct Server {
    /// What reads see.
    shown: u64,
    /// What it tells: a record less, for a moment.
    told: u64,
    timeline: u32,
    /// It has what the primary of its time had, and the one of now has not.
    diverged: bool,
    alive: bool,
    probe: Option<(u64, Instant, Option<Found>)>,
}

/// What a probe that is under way has found: position, timeline, whether it is the primary.
type Found = (u64, u32, bool);

#[derive(Debug, Clone, Default)]
struct Session {
    floor: Floor,
    /// What it must see.
    must: u64,
}

struct World {
    guard: Guard,
    random: Random,
    now: Instant,
    servers: Vec<Server>,
    primary: usize,
    timeline: u32,
    /// Commits: where they end, and when they were.
    log: Vec<(u64, Instant)>,
    sight: Sight,
    copies: Vec<Topology>,
    sessions: Vec<Session>,
    loads: Loads,
    balancer: Balancer,
    /// Reads from replicas, and from the primary.
    reads: [usize; 2],
    violations: usize,
    excesses: usize,
}

fn database() -> Database {
    let hosts = (0..NODES).map(|at| Host::Tcp(format!("node{at}"), 5432)).collect();
    let reads = Reads {
        to_replicas: true,
        balance: Strategy::RoundRobin,
        check_interval: Duration::from_millis(1),
        ..Reads::default()
    };
    Database {
        hosts,
        server_database: None,
        target: Default::default(),
        tls: Default::default(),
        server_user: None,
        stream_user: None,
        pool: Default::default(),
        server_options: Default::default(),
        probe_users: vec![],
        connect_timeout: None,
        queue_timeout: None,
        reads,
    }
}

impl World {
    fn new(seed: u64, guard: Guard) -> World {
        let sight = Sight::new(&database(), seed);
        let server = Server { shown: 0, told: 0, timeline: 1, diverged: false, alive: true, probe: None };
        let copies = vec![sight.sighting().topology; WORKERS];
        World {
            guard,
            random: Random::new(seed),
            now: Instant::now(),
            servers: vec![server; NODES],
            primary: 0,
            timeline: 1,
            log: vec![],
            sight,
            copies,
            sessions: vec![Session::default(); SESSIONS],
            loads: Loads::default(),
            balancer: Balancer::new(seed),
            reads: [0; 2],
            violations: 0,
            excesses: 0,
        }
    }

    fn run(seed: u64, guard: Guard) -> World {
        TRUSTS.set(guard == Guard::Told);
        let mut world = World::new(seed, guard);
        (0..STEPS).for_each(|_| world.step());
        TRUSTS.set(false);
        world
    }

    fn step(&mut self) {
        self.now += Duration::from_millis(1);
        let node = self.random.below(NODES);
        match self.random.below(1000) {
            0..25 => self.write(),
            25..200 => self.read(Level::Session),
            200..240 => self.read(Level::Bounded(BOUND)),
            240..480 => self.replay(node),
            480..880 => self.probe(node),
            880..994 => self.refresh(),
            994..997 => self.restart(node),
            997..998 => self.fail_over(),
            _ => self.come_back(),
        }
    }

    fn end(&self) -> u64 {
        self.servers[self.primary].shown
    }

    fn write(&mut self) {
        let primary = self.primary;
        let end = self.end() + RECORD;
        (self.servers[primary].shown, self.servers[primary].told) = (end, end);
        self.log.push((end, self.now));
        let session = self.random.below(SESSIONS);
        self.sessions[session].must = end;
        let worker = self.random.below(WORKERS);
        self.used(session, worker, primary);
    }

    fn used(&mut self, session: usize, worker: usize, node: usize) {
        let topology = &self.copies[worker];
        let started = topology.clock.started();
        let after = if self.guard == Guard::UnderWay { started.saturating_sub(1) } else { started };
        used_after(&mut self.sessions[session].floor, NodeId(node as u32), after, topology);
    }

    fn read(&mut self, level: Level) {
        let (session, worker) = (self.random.below(SESSIONS), self.random.below(WORKERS));
        let read = Read { level, client: 0, node: None, now: Some(self.now) };
        let floor = &mut self.sessions[session].floor;
        let choice = choose(read, &self.copies[worker], floor, &self.loads, &mut self.balancer);
        let Choice::Replica(NodeId(node)) = choice else {
            self.reads[1] += 1;
            self.sessions[session].must = self.end();
            return self.used(session, worker, self.primary);
        };
        self.reads[0] += 1;
        let server = self.servers[node as usize].clone();
        // What is lost with the timeline nobody can know who has not heard of the next.
        let knows = self.copies[worker].primary == Some(NodeId(self.primary as u32));
        let lost = server.diverged && knows;
        if level == Level::Session {
            self.violations += usize::from(lost || server.shown < self.sessions[session].must);
        } else {
            let due =
                self.log.iter().rev().find(|(_, at)| *at + BOUND <= self.now).map_or(0, |(end, _)| *end);
            self.excesses += usize::from(lost || server.shown < due);
        }
        if !server.diverged {
            let must = &mut self.sessions[session].must;
            *must = (*must).max(server.shown);
        }
        if self.guard != Guard::ReadsForgotten {
            self.used(session, worker, node as usize);
        }
    }

    /// A record more, or all; what it tells comes a moment later.
    fn replay(&mut self, node: usize) {
        let (end, primary, timeline) = (self.end(), self.primary, self.timeline);
        let all = self.random.below(3) == 0;
        let server = &mut self.servers[node];
        if node == primary || server.diverged || !server.alive {
            return;
        }
        if server.told < server.shown {
            server.told = server.shown;
            return;
        }
        server.timeline = timeline;
        if server.shown < end {
            server.shown = if all { end } else { server.shown + RECORD };
            server.told = server.shown - RECORD;
        }
    }

    /// The next thing that happens to the probe of a node: it is sent, finds something, is answered.
    fn probe(&mut self, node: usize) {
        let (guard, is_primary) = (self.guard, node == self.primary);
        let id = NodeId(node as u32);
        let server = &mut self.servers[node];
        match server.probe {
            _ if !server.alive => {}
            None => server.probe = Some((self.sight.clock().start(), self.now, None)),
            Some((number, sent, None)) => {
                server.probe = Some((number, sent, Some((server.told, server.timeline, is_primary))));
            }
            Some((number, sent, Some((lsn, timeline, is_primary)))) => {
                server.probe = None;
                let started = guard == Guard::StartedCounts;
                let timeline = if guard == Guard::TimelinesForgotten { 1 } else { timeline };
                let late = guard == Guard::AnswerTime;
                let answer = Answer {
                    number: if started { self.sight.clock().started() } else { number },
                    sent: if late { self.now } else { sent },
                    took: if late { Duration::ZERO } else { self.now - sent },
                    standby: !is_primary,
                    lsn: Lsn(lsn),
                    history: History { system: 7, timeline },
                };
                self.sight.answered(id, answer);
            }
        }
    }

    fn refresh(&mut self) {
        let worker = self.random.below(WORKERS);
        self.copies[worker] = self.sight.sighting().topology;
    }

    /// A server that ends is known to have ended before it can be connected to again.
    fn lose(&mut self, node: usize) {
        self.servers[node].probe = None;
        self.sight.lost(NodeId(node as u32), "it ended", self.now);
        self.copies.fill(self.sight.sighting().topology);
    }

    /// A replica begins again from where it had flushed to.
    fn restart(&mut self, node: usize) {
        if node == self.primary || !self.servers[node].alive {
            return;
        }
        self.lose(node);
        let back = RECORD * self.random.below(4) as u64;
        let server = &mut self.servers[node];
        server.shown = server.shown.saturating_sub(back);
        server.told = server.shown;
        self.connect(node);
    }

    fn connect(&mut self, node: usize) {
        if self.guard != Guard::RestartsForgotten {
            self.sight.connected(NodeId(node as u32));
        }
        self.sight.pardon(self.now + Duration::from_secs(3600));
    }

    /// The primary dies; any replica is promoted. Those that have more than it cannot follow it.
    fn fail_over(&mut self) {
        let next = self.random.below(NODES);
        let server = &self.servers[next];
        if next == self.primary || server.diverged || !server.alive {
            return;
        }
        let dead = std::mem::replace(&mut self.primary, next);
        self.servers[dead].alive = false;
        self.lose(dead);
        self.timeline += 1;
        let end = self.servers[next].shown;
        for (at, server) in self.servers.iter_mut().enumerate() {
            server.diverged |= at != next && server.shown > end;
        }
        (self.servers[next].told, self.servers[next].timeline) = (end, self.timeline);
        self.log.retain(|(at, _)| *at <= end);
        self.sessions.iter_mut().for_each(|session| session.must = session.must.min(end));
    }

    /// What is dead or has diverged is made anew from the primary.
    fn come_back(&mut self) {
        let wanted = |server: &Server| !server.alive || server.diverged;
        let Some(node) = self.servers.iter().position(wanted) else { return };
        self.lose(node);
        let shown = self.end() / 2 / RECORD * RECORD;
        self.servers[node] =
            Server { shown, told: shown, timeline: self.timeline, diverged: false, alive: true, probe: None };
        self.connect(node);
    }
}

const SEEDS: u64 = 60;

#[test]
fn no_session_sees_less_than_it_has_seen_and_nothing_is_older_than_its_bound() {
    let (mut reads, mut from_replicas) = (0, 0);
    for seed in 0..SEEDS {
        let world = World::run(seed, Guard::Sound);
        assert_eq!((world.violations, world.excesses), (0, 0), "seed {seed}");
        reads += world.reads[0] + world.reads[1];
        from_replicas += world.reads[0];
    }
    assert!(from_replicas * 5 > reads, "replicas answer some: {from_replicas} of {reads}");
}

/// Violations of a session's view, and of a bound, with this guard.
fn found(guard: Guard) -> (usize, usize) {
    let worlds = (0..SEEDS).map(|seed| World::run(seed, guard));
    worlds.fold((0, 0), |sum, world| (sum.0 + world.violations, sum.1 + world.excesses))
}

#[test]
fn a_guard_that_is_broken_is_found_out() {
    let broken = [
        Guard::UnderWay,
        Guard::ReadsForgotten,
        Guard::StartedCounts,
        Guard::Told,
        Guard::RestartsForgotten,
        Guard::TimelinesForgotten,
    ];
    for guard in broken {
        assert!(found(guard).0 > 0, "{guard:?} is not found out");
    }
    assert!(found(Guard::AnswerTime).1 > 0, "a bound that is measured from the answer is not found out");
}
