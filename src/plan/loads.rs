//! What one worker has with each node: statements in flight, and a latency that rises at once and falls slowly.
//!
//! The latency is the peak-sensitive moving average of Finagle's `PeakEwma` and linkerd's balancer: a sample above the average
//! replaces it, one below moves it by how long ago the last was. So one slow answer is felt at once and forgotten within
//! [`DECAY`]; a node that nobody uses is forgotten too, and tried again.

use std::time::{Duration, Instant};

use super::topology::NodeId;

/// After this time without a sample, a third of the latency is left.
pub const DECAY: Duration = Duration::from_secs(10);
/// What a node of unknown latency costs while it has something in flight, in microseconds: more than any known one.
const UNKNOWN: f64 = 1e9;

/// What a worker has with one node.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Which.
    pub node: NodeId,
    /// Statements that were sent and not yet answered.
    pub in_flight: u32,
    latency: f64,
    sampled: Instant,
}

impl Load {
    /// Microseconds, as they would be remembered at this time; 0: unknown.
    pub fn latency(&self, now: Instant) -> f64 {
        self.latency * weight_left(now.saturating_duration_since(self.sampled))
    }

    fn sample(&mut self, micros: f64, now: Instant) {
        let left = weight_left(now.saturating_duration_since(self.sampled));
        let smooth = self.latency * left + micros * (1.0 - left);
        self.latency = if micros > self.latency * left { micros } else { smooth };
        self.sampled = now;
    }

    /// What one more statement is expected to cost, in microseconds.
    pub fn cost(&self, now: Instant) -> f64 {
        let (latency, in_flight) = (self.latency(now), f64::from(self.in_flight));
        if latency == 0.0 && self.in_flight > 0 { UNKNOWN * in_flight } else { latency * (in_flight + 1.0) }
    }
}

fn weight_left(elapsed: Duration) -> f64 {
    let part = elapsed.as_secs_f64() / DECAY.as_secs_f64();
    // Of so little it is the same to the ninth digit, and costs a tenth.
    if part < 1e-4 { 1.0 - part } else { (-part).exp() }
}

/// What a worker has with the nodes of a cluster.
#[derive(Debug, Default)]
pub struct Loads(Vec<Load>);

impl Loads {
    /// A statement is sent to `node`.
    pub fn begin(&mut self, node: NodeId, now: Instant) {
        match self.0.iter_mut().find(|load| load.node == node) {
            Some(load) => load.in_flight += 1,
            None => self.0.push(Load { node, in_flight: 1, latency: 0.0, sampled: now }),
        }
    }

    /// It was answered, `elapsed` after it was sent.
    pub fn end(&mut self, node: NodeId, elapsed: Duration, now: Instant) {
        if let Some(load) = self.0.iter_mut().find(|load| load.node == node) {
            load.in_flight = load.in_flight.saturating_sub(1);
            load.sample(elapsed.as_secs_f64() * 1e6, now);
        }
    }

    /// It will not be answered: the server was lost, or its client left.
    pub fn give_up(&mut self, node: NodeId) {
        if let Some(load) = self.0.iter_mut().find(|load| load.node == node) {
            load.in_flight = load.in_flight.saturating_sub(1);
        }
    }

    /// Forgets nodes that are no more and have nothing in flight.
    pub fn keep(&mut self, is_there: impl Fn(NodeId) -> bool) {
        self.0.retain(|load| load.in_flight > 0 || is_there(load.node));
    }

    /// What there is with `node`.
    pub fn of(&self, node: NodeId) -> Option<&Load> {
        self.0.iter().find(|load| load.node == node)
    }

    /// All of it.
    pub fn all(&self) -> &[Load] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: NodeId = NodeId(3);

    #[test]
    fn latency_rises_at_once_and_falls_slowly() {
        let mut loads = Loads::default();
        let start = Instant::now();
        let mut answer = |after: u64, millis: u64| {
            let now = start + Duration::from_millis(after);
            loads.begin(NODE, now);
            loads.end(NODE, Duration::from_millis(millis), now);
            loads.of(NODE).expect("it is known").latency(now).round() as u64
        };
        assert_eq!(answer(0, 1), 1_000);
        assert_eq!(answer(100, 50), 50_000, "a peak is felt at once");
        let soon = answer(200, 1);
        assert!((49_000..50_000).contains(&soon), "{soon}");
        let later = answer(10_200, 1);
        assert!((18_000..20_000).contains(&later), "a third is left: {later}");
    }

    #[test]
    fn a_moment_takes_what_it_takes_by_the_long_way() {
        for micros in [0, 1, 50, 999, 1_000, 1_001, 100_000] {
            let exact = (-(micros as f64) / 1e6 / DECAY.as_secs_f64()).exp();
            let found = weight_left(Duration::from_micros(micros));
            assert!((found - exact).abs() < 1e-8, "{micros}: {found} {exact}");
        }
    }

    #[test]
    fn cost_grows_with_what_is_in_flight() {
        let mut loads = Loads::default();
        let now = Instant::now();
        loads.begin(NODE, now);
        assert_eq!(loads.of(NODE).expect("it is known").cost(now), UNKNOWN, "nothing has come back");
        loads.end(NODE, Duration::from_millis(2), now);
        let cost = |loads: &Loads| loads.of(NODE).expect("it is known").cost(now);
        assert_eq!(cost(&loads), 2_000.0);
        (0..3).for_each(|_| loads.begin(NODE, now));
        assert_eq!(cost(&loads), 8_000.0);
        loads.give_up(NODE);
        assert_eq!(cost(&loads), 6_000.0);
        loads.keep(|_| false);
        assert_eq!(loads.all().len(), 1, "something is in flight");
        (0..2).for_each(|_| loads.give_up(NODE));
        loads.keep(|_| false);
        assert!(loads.all().is_empty());
    }
}
