//! What several workers, or several times, have counted, put together; bounded.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::sync::Arc;

use crate::stats::tally::{Sums, TOTAL, Taken, Who};

/// Sums by who has sent statements (`W`) and by fingerprint; fingerprint 0 has all that have no sums of their own.
#[derive(Debug, Clone)]
pub struct Merged<W = Arc<Who>> {
    lines: HashMap<(W, u128), (Arc<str>, Sums)>,
}

impl<W> Default for Merged<W> {
    fn default() -> Merged<W> {
        Merged { lines: HashMap::new() }
    }
}

impl Merged {
    /// Puts in what was taken from a worker.
    pub fn take(&mut self, taken: Taken) {
        self.add(taken.who, taken.fingerprint, taken.text, taken.sums);
    }
}

impl<W: Clone + Eq + Hash> Merged<W> {
    /// Adds sums to those of a shape.
    pub fn add(&mut self, who: W, fingerprint: u128, text: Arc<str>, sums: Sums) {
        match self.lines.entry((who, fingerprint)) {
            Entry::Vacant(free) => drop(free.insert((text, sums))),
            Entry::Occupied(mut known) => known.get_mut().1.merge(&sums),
        }
    }

    /// Keeps so many shapes, those that took longest in all; the rest is added to the others of the same `W`.
    pub fn bound(&mut self, limit: usize) {
        if self.lines.len() <= limit {
            return;
        }
        let mut own: Vec<_> =
            self.lines.keys().filter(|(_, fingerprint)| *fingerprint != 0).cloned().collect();
        let cost = |place: &(W, u128)| self.lines.get(place).map_or(0, |(_, sums)| sums.micros[TOTAL]);
        // Of equals, always the same.
        own.sort_by_key(|place| (std::cmp::Reverse(cost(place)), place.1));
        for place in own.into_iter().skip(limit) {
            if let Some((_, sums)) = self.lines.remove(&place) {
                self.add(place.0, 0, "(other statements)".into(), sums);
            }
        }
    }

    /// All, in no order: who, the fingerprint, the shape, and the sums.
    pub fn lines(&self) -> impl Iterator<Item = (&W, u128, &Arc<str>, &Sums)> {
        self.lines.iter().map(|((who, fingerprint), (text, sums))| (who, *fingerprint, text, sums))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// How many statements there are.
    pub fn calls(&self) -> u64 {
        self.lines.values().map(|(_, sums)| sums.calls).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_stay_and_the_rest_is_added_up() {
        let mut merged: Merged<u8> = Merged::default();
        for n in 1..=10_u64 {
            let sums = Sums { calls: 1, micros: [0, 0, 0, 0, n * 10], ..Sums::default() };
            merged.add(1, n.into(), "x".into(), sums.clone());
            merged.add(1, n.into(), "x".into(), sums);
        }
        merged.bound(3);
        merged.bound(3);
        let mut found: Vec<_> =
            merged.lines().map(|(_, name, _, sums)| (name, sums.calls, sums.micros[4])).collect();
        found.sort_unstable();
        assert_eq!(found, [(0, 14, 560), (8, 2, 160), (9, 2, 180), (10, 2, 200)]);
        assert_eq!((merged.len(), merged.calls()), (4, 20));
    }
}
