//! Which of several nodes that will do: strategies, as pure functions of numbers.
//!
//! Nodes in pgweir's own zone are preferred by all of them: others are taken only where there is none. A node that has just come back
//! gets a growing part of its share ([`Candidate::warmth`]).
//!
//! **Two choices or all?** What a worker has in flight it knows exactly, so `least-in-flight` looks at all candidates. Latencies
//! of several workers, and of several pgweirs, are old to each other: the node that was fastest a moment ago would get the reads
//! of all of them at once. So `latency` compares two that were drawn at random, which is enough to avoid the slow one and never
//! lets all run to the same (Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", 2001).

use super::topology::NodeId;

/// How a node is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Strategy {
    /// Of two drawn at random, the one that is expected to answer first: latency, as [`super::loads`] remembers it, times what is
    /// in flight. After Finagle's `PeakEwma`.
    #[default]
    Latency,
    /// One after the other.
    RoundRobin,
    /// In proportion to the weights, evenly mixed, as nginx does it.
    Weighted,
    /// The one with the fewest statements in flight for its weight.
    LeastInFlight,
    /// The same for the same client address, by the highest of a hash of client and node (Thaler and Ravishankar, 1998; with
    /// weights, Schindelhauer and Schomaker, 2005): when a node goes, only its clients move.
    ClientHash,
}

/// A node that will do.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// Which.
    pub node: NodeId,
    /// Its address: what clients are hashed against, the same in every pgweir.
    pub name: &'a str,
    /// Statements of this worker that it has not answered.
    pub in_flight: u32,
    /// What one more statement is expected to take, in microseconds; 0: unknown, and nothing in flight.
    pub cost: f64,
    /// Its share, from 1.
    pub weight: u32,
    /// It is in pgweir's own zone.
    pub local: bool,
    /// The part of its share that it can take, above 0 and up to 1.
    pub warmth: f64,
}

impl Candidate<'_> {
    fn share(&self) -> f64 {
        f64::from(self.weight.max(1)) * self.warmth
    }
}

/// What a worker remembers of its choices. Bounded by the number of nodes.
#[derive(Debug, Clone)]
pub struct Balancer {
    random: Random,
    turn: u64,
    nodes: Vec<Past>,
    /// Room for the candidates that are near.
    near: Vec<usize>,
}

#[derive(Debug, Clone)]
struct Past {
    node: NodeId,
    /// When it was chosen last, in turns.
    turn: u64,
    /// What it is owed by its weight.
    owed: f64,
}

impl Balancer {
    /// Nothing was chosen yet; draws begin at `seed`.
    pub fn new(seed: u64) -> Balancer {
        Balancer { random: Random::new(seed), turn: 0, nodes: vec![], near: vec![] }
    }

    /// One of the candidates, as a position in the slice; `None` if there is none. `client` is a hash of the client's address.
    pub fn pick(&mut self, strategy: Strategy, candidates: &[Candidate<'_>], client: u64) -> Option<usize> {
        let local = candidates.iter().any(|candidate| candidate.local);
        let mut near = std::mem::take(&mut self.near);
        near.clear();
        near.extend((0..candidates.len()).filter(|at| candidates[*at].local || !local));
        let chosen = self.pick_near(strategy, candidates, &near, client);
        self.near = near;
        let chosen = chosen?;
        self.takes(candidates[chosen].node);
        Some(chosen)
    }

    /// It is the turn of a node: it was chosen here, or is the only one that will do.
    pub fn takes(&mut self, node: NodeId) {
        self.turn += 1;
        let turn = self.turn;
        self.past(node).turn = turn;
    }

    fn pick_near(
        &mut self,
        strategy: Strategy,
        candidates: &[Candidate<'_>],
        near: &[usize],
        client: u64,
    ) -> Option<usize> {
        Some(match (strategy, near) {
            (_, []) => return None,
            (_, [only]) => *only,
            (Strategy::Latency, near) => self.faster_of_two(candidates, near),
            (Strategy::RoundRobin, near) => self.next_in_turn(candidates, near),
            (Strategy::Weighted, near) => self.most_owed(candidates, near),
            (Strategy::LeastInFlight, near) => self.least_in_flight(candidates, near),
            (Strategy::ClientHash, near) => highest_hash(candidates, near, client),
        })
    }

    /// Forgets nodes that are no more.
    pub fn keep(&mut self, is_there: impl Fn(NodeId) -> bool) {
        self.nodes.retain(|past| is_there(past.node));
    }

    fn past(&mut self, node: NodeId) -> &mut Past {
        let at = self.nodes.iter().position(|past| past.node == node).unwrap_or_else(|| {
            self.nodes.push(Past { node, turn: 0, owed: 0.0 });
            self.nodes.len() - 1
        });
        &mut self.nodes[at]
    }

    fn faster_of_two(&mut self, candidates: &[Candidate<'_>], near: &[usize]) -> usize {
        let first = self.random.below(near.len());
        let other = (first + 1 + self.random.below(near.len() - 1)) % near.len();
        let (first, other) = (near[first], near[other]);
        let cost = |at: usize| candidates[at].cost / candidates[at].share();
        if cost(other) < cost(first) { other } else { first }
    }

    /// The one whose last turn is longest ago. A cold one gives its turn away, more often than not at first.
    fn next_in_turn(&mut self, candidates: &[Candidate<'_>], near: &[usize]) -> usize {
        let mut in_turn: Vec<_> = near.iter().map(|at| (self.past(candidates[*at].node).turn, *at)).collect();
        in_turn.sort_unstable();
        for (_, at) in &in_turn {
            if self.random.unit() < candidates[*at].warmth {
                return *at;
            }
            self.turn += 1;
            let turn = self.turn;
            self.past(candidates[*at].node).turn = turn;
        }
        in_turn[0].1
    }

    fn most_owed(&mut self, candidates: &[Candidate<'_>], near: &[usize]) -> usize {
        let total: f64 = near.iter().map(|at| candidates[*at].share()).sum();
        let mut most = (f64::NEG_INFINITY, near[0]);
        for at in near {
            let share = candidates[*at].share();
            let past = self.past(candidates[*at].node);
            // What was owed to it before it was away is not made up for.
            past.owed = (past.owed + share).clamp(-total, total);
            if past.owed > most.0 {
                most = (past.owed, *at);
            }
        }
        self.past(candidates[most.1].node).owed -= total;
        most.1
    }

    /// Of equals the one whose last turn is longest ago.
    fn least_in_flight(&mut self, candidates: &[Candidate<'_>], near: &[usize]) -> usize {
        let mut least = (f64::INFINITY, u64::MAX, near[0]);
        for at in near {
            let candidate = &candidates[*at];
            let load = f64::from(candidate.in_flight + 1) / candidate.share();
            let turn = self.past(candidate.node).turn;
            if (load, turn) < (least.0, least.1) {
                least = (load, turn, *at);
            }
        }
        least.2
    }
}

fn highest_hash(candidates: &[Candidate<'_>], near: &[usize], client: u64) -> usize {
    let score = |at: usize| {
        let candidate = &candidates[at];
        let unit = unit(mix(client ^ hash(candidate.name.as_bytes())));
        // The greatest of these is that of each candidate in proportion to its share.
        candidate.share() / -unit.ln()
    };
    let higher = |one: &&usize, other: &&usize| score(**one).total_cmp(&score(**other));
    near.iter().max_by(higher).copied().unwrap_or(near[0])
}

/// FNV-1a over bytes, mixed: spreads addresses and names, the same in every process.
pub fn hash(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    mix(bytes.iter().fold(0xcbf2_9ce4_8422_2325, step))
}

/// The end of SplitMix64.
fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// Between 0 and 1, and neither of them.
fn unit(bits: u64) -> f64 {
    ((bits >> 12) as f64 + 0.5) / (1u64 << 52) as f64
}

/// A small generator (SplitMix64): for spreading, not for secrets.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Begins at `seed`.
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number below `limit`, which is not 0.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.bits() % limit.max(1) as u64) as usize
    }

    /// A number between 0 and 1.
    pub fn unit(&mut self) -> f64 {
        unit(self.bits())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 4] = ["a:5432", "b:5432", "c:5432", "d:5432"];
    const DRAWS: usize = 12_000;

    fn candidate(at: usize) -> Candidate<'static> {
        Candidate {
            node: NodeId(at as u32),
            name: NAMES[at],
            in_flight: 0,
            cost: 1000.0,
            weight: 1,
            local: false,
            warmth: 1.0,
        }
    }

    fn all() -> Vec<Candidate<'static>> {
        (0..4).map(candidate).collect()
    }

    /// How often each node was chosen; clients differ.
    fn count(strategy: Strategy, candidates: &[Candidate<'_>]) -> [usize; 4] {
        let mut balancer = Balancer::new(1);
        let mut counts = [0; 4];
        for client in 0..DRAWS {
            let client = hash(&client.to_be_bytes());
            let at = balancer.pick(strategy, candidates, client).expect("there are candidates");
            counts[candidates[at].node.0 as usize] += 1;
        }
        counts
    }

    /// Counts are these shares of all draws, within this many percent of all.
    fn near(counts: [usize; 4], shares: [f64; 4], percent: f64) {
        for (count, share) in counts.iter().zip(shares) {
            let found = *count as f64 / DRAWS as f64;
            assert!((found - share).abs() * 100.0 <= percent, "{counts:?} are not {shares:?}");
        }
    }

    const STRATEGIES: [Strategy; 5] = [
        Strategy::Latency,
        Strategy::RoundRobin,
        Strategy::Weighted,
        Strategy::LeastInFlight,
        Strategy::ClientHash,
    ];

    #[test]
    fn every_strategy_spreads_over_equals() {
        for strategy in STRATEGIES {
            near(count(strategy, &all()), [0.25; 4], 1.5);
            assert_eq!(Balancer::new(1).pick(strategy, &[], 0), None);
            assert_eq!(Balancer::new(1).pick(strategy, &all()[2..3], 0), Some(0));
        }
    }

    #[test]
    fn every_strategy_stays_in_the_zone_while_there_is_a_node_in_it() {
        let mut candidates = all();
        (candidates[1].local, candidates[3].local) = (true, true);
        for strategy in STRATEGIES {
            near(count(strategy, &candidates), [0.0, 0.5, 0.0, 0.5], 1.5);
        }
        let far = [candidates[0], candidates[2]];
        for strategy in STRATEGIES {
            near(count(strategy, &far), [0.5, 0.0, 0.5, 0.0], 1.5);
        }
    }

    #[test]
    fn every_strategy_spares_a_cold_node() {
        let mut candidates = all();
        candidates[0].warmth = 0.1;
        for strategy in STRATEGIES {
            // With fewer in flight than a tenth of the others' it would have its share; nothing is in flight here.
            let cold = count(strategy, &candidates)[0] as f64 / DRAWS as f64;
            assert!(cold < 0.06, "{strategy:?}: {cold}");
        }
        near(count(Strategy::Weighted, &candidates), [0.1 / 3.1, 1.0 / 3.1, 1.0 / 3.1, 1.0 / 3.1], 0.2);
        near(count(Strategy::RoundRobin, &candidates), [0.1 / 3.1, 1.0 / 3.1, 1.0 / 3.1, 1.0 / 3.1], 1.0);
    }

    #[test]
    fn round_robin_takes_each_in_turn_and_goes_on_when_one_leaves() {
        let mut balancer = Balancer::new(1);
        let mut pick = |candidates: &[Candidate<'_>]| {
            let at = balancer.pick(Strategy::RoundRobin, candidates, 0).expect("there are candidates");
            candidates[at].node.0
        };
        let all = all();
        let first: Vec<_> = (0..8).map(|_| pick(&all)).collect();
        assert_eq!(first, [0, 1, 2, 3, 0, 1, 2, 3]);
        let fewer = [all[0], all[1], all[3]];
        let then: Vec<_> = (0..6).map(|_| pick(&fewer)).collect();
        assert_eq!(then, [0, 1, 3, 0, 1, 3]);
    }

    #[test]
    fn weighted_is_exact_and_evenly_mixed() {
        let mut candidates = all();
        for (candidate, weight) in candidates.iter_mut().zip([5, 1, 1, 3]) {
            candidate.weight = weight;
        }
        near(count(Strategy::Weighted, &candidates), [0.5, 0.1, 0.1, 0.3], 0.02);
        let mut balancer = Balancer::new(1);
        let mut pick = || balancer.pick(Strategy::Weighted, &candidates, 0).expect("there are candidates");
        let ten: Vec<_> = (0..10).map(|_| pick()).collect();
        let longest = ten.chunk_by(|one, other| one == other).map(<[usize]>::len).max();
        assert!(longest <= Some(2), "{ten:?}");
    }

    #[test]
    fn a_node_that_was_away_is_not_flooded() {
        let all = all();
        let mut balancer = Balancer::new(1);
        for _ in 0..1000 {
            balancer.pick(Strategy::Weighted, &all[1..], 0);
        }
        let back = (0..40).filter(|_| balancer.pick(Strategy::Weighted, &all, 0) == Some(0)).count();
        assert!((9..=11).contains(&back), "{back}");
    }

    #[test]
    fn least_in_flight_evens_out_what_is_in_flight_by_weight() {
        let mut candidates = all();
        (candidates[0].weight, candidates[2].in_flight) = (2, 3);
        let mut balancer = Balancer::new(1);
        for _ in 0..97 {
            let at = balancer.pick(Strategy::LeastInFlight, &candidates, 0).expect("there are candidates");
            candidates[at].in_flight += 1;
        }
        let found: Vec<_> = candidates.iter().map(|candidate| candidate.in_flight).collect();
        assert_eq!(found, [40, 20, 20, 20]);
    }

    #[test]
    fn latency_avoids_the_slow_one_and_runs_not_all_to_the_fastest() {
        let mut candidates = all();
        for (candidate, cost) in candidates.iter_mut().zip([500.0, 1000.0, 1000.0, 20_000.0]) {
            candidate.cost = cost;
        }
        // Two of four: six pairs. The slow one loses each of its pairs, the fast one wins each.
        near(count(Strategy::Latency, &candidates), [0.5, 0.25, 0.25, 0.0], 1.5);
        candidates[0].cost = 0.0;
        near(count(Strategy::Latency, &candidates), [0.5, 0.25, 0.25, 0.0], 1.5);
        (candidates[0].cost, candidates[0].weight) = (1000.0, 4);
        near(count(Strategy::Latency, &candidates), [0.5, 0.25, 0.25, 0.0], 1.5);
    }

    #[test]
    fn client_hash_is_stable_and_moves_only_the_clients_of_a_node_that_goes() {
        let candidates = all();
        let of = |candidates: &[Candidate<'_>], client: u64| {
            let at = Balancer::new(client).pick(Strategy::ClientHash, candidates, client);
            candidates[at.expect("there are candidates")].node.0
        };
        let clients: Vec<u64> = (0..4000u64).map(|client| hash(&client.to_le_bytes())).collect();
        let fewer = [candidates[0], candidates[1], candidates[3]];
        let mut moved_to = [0; 4];
        for client in &clients {
            let (before, after) = (of(&candidates, *client), of(&fewer, *client));
            assert_eq!(before, of(&candidates, *client));
            assert!(before == after || before == 2, "a client of another node has moved");
            moved_to[after as usize] += usize::from(before != after);
        }
        assert_eq!(moved_to[2], 0);
        assert!(moved_to.iter().filter(|count| **count > 250).count() == 3, "evenly: {moved_to:?}");
        let mut heavy = candidates.clone();
        heavy[1].weight = 3;
        near(count(Strategy::ClientHash, &heavy), [1.0 / 6.0, 0.5, 1.0 / 6.0, 1.0 / 6.0], 1.5);
        for client in &clients {
            let (before, after) = (of(&candidates, *client), of(&heavy, *client));
            assert!(before == after || after == 1, "more weight takes, and moves nobody else");
        }
    }
}
