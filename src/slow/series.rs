//! What was counted, by when: a window in equal parts, for the report's pictures.

use std::collections::HashMap;

/// More shapes than this are not kept apart: those that took longest are.
const MOST: usize = 2000;

/// What was counted in one part of a window.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Slot {
    /// Statements.
    pub calls: f64,
    /// Microseconds that clients waited for them, all together.
    pub micros: f64,
}

/// A window in equal parts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Series {
    /// When it begins, in seconds since 1970.
    pub from: i64,
    /// Seconds of a part.
    pub width: i64,
    /// How many parts there are; 0: nothing is kept.
    pub parts: usize,
    /// The parts of each shape, by fingerprint; 0: shapes that are not kept apart.
    pub shapes: HashMap<u128, Vec<Slot>>,
}

impl Series {
    /// A window in so many parts, each of whole seconds.
    pub fn new(from: i64, until: i64, parts: usize) -> Series {
        let length = until.saturating_sub(from).max(1);
        let width = length.div_euclid(parts.max(1) as i64).max(1);
        let width = if width * (parts.max(1) as i64) < length { width + 1 } else { width };
        let parts = length.div_euclid(width) + i64::from(length.rem_euclid(width) > 0);
        Series { from, width, parts: parts as usize, shapes: HashMap::new() }
    }

    /// Adds what was counted from `start` on for `span` seconds, in equal shares to the parts that it reaches into. What is outside of the window goes to
    /// its nearest part.
    pub fn add(&mut self, fingerprint: u128, (start, span): (i64, i64), calls: u64, micros: u64) {
        let mut slots = self.shapes.remove(&fingerprint).unwrap_or_default();
        self.share(&mut slots, (start, span), calls, micros);
        if self.parts > 0 {
            self.shapes.insert(fingerprint, slots);
        }
        if self.shapes.len() > MOST * 2 {
            self.bound(MOST);
        }
    }

    /// The same, to parts that are kept elsewhere.
    pub fn share(&self, slots: &mut Vec<Slot>, (start, span): (i64, i64), calls: u64, micros: u64) {
        if self.parts == 0 {
            return;
        }
        let last = self.parts as i64 - 1;
        let part = |at: i64| at.saturating_sub(self.from).div_euclid(self.width).clamp(0, last) as usize;
        let (first, end) = (part(start), part(start.saturating_add(span.max(1) - 1)));
        let share = 1.0 / (end - first + 1) as f64;
        slots.resize(self.parts, Slot::default());
        for slot in &mut slots[first..=end] {
            slot.calls += calls as f64 * share;
            slot.micros += micros as f64 * share;
        }
    }

    /// Keeps so many shapes, those that took longest; the rest is added to that of fingerprint 0.
    pub fn bound(&mut self, most: usize) {
        let cost = |slots: &[Slot]| slots.iter().map(|slot| slot.micros).sum::<f64>();
        let mut order: Vec<_> = self
            .shapes
            .iter()
            .filter(|(name, _)| **name != 0)
            .map(|(name, slots)| (cost(slots), *name))
            .collect();
        order.sort_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(&other.1)));
        for (_, name) in order.into_iter().skip(most) {
            let Some(slots) = self.shapes.remove(&name) else { continue };
            let parts = self.parts;
            let others = self.shapes.entry(0).or_insert_with(|| vec![Slot::default(); parts]);
            others.iter_mut().zip(slots).for_each(|(sum, slot)| {
                sum.calls += slot.calls;
                sum.micros += slot.micros;
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reaches_over_several_parts_is_shared_and_nothing_is_lost() {
        let mut series = Series::new(1000, 1100, 10);
        assert_eq!((series.width, series.parts), (10, 10));
        series.add(1, (1000, 10), 4, 400);
        series.add(1, (1005, 20), 3, 300);
        series.add(1, (0, 60), 1, 7);
        series.add(1, (5000, 60), 1, 9);
        let slots = &series.shapes[&1];
        assert_eq!(
            (slots[0].micros, slots[1].micros, slots[2].calls, slots[9].micros),
            (507.0, 100.0, 1.0, 9.0)
        );
        assert_eq!(slots.iter().map(|slot| slot.calls).sum::<f64>(), 9.0);
    }

    #[test]
    fn windows_of_any_length_have_parts() {
        for (length, parts) in [(0, 1), (1, 1), (7, 7), (100, 34), (3600, 48)] {
            let series = Series::new(5, 5 + length, 48);
            assert!(series.parts <= 48 && series.parts as i64 * series.width >= length, "{series:?}");
            assert_eq!(series.parts, parts.min(series.parts), "{length}");
        }
        let mut none = Series::default();
        none.add(1, (0, 1), 1, 1);
        assert!(none.shapes.is_empty());
    }

    #[test]
    fn the_dearest_stay() {
        let mut series = Series::new(0, 10, 1);
        (1..=5_u64).for_each(|n| series.add(n.into(), (0, 1), 1, n * 10));
        series.bound(2);
        let mut found: Vec<_> = series.shapes.iter().map(|(name, slots)| (*name, slots[0].micros)).collect();
        found.sort_by_key(|one| one.0);
        assert_eq!(found, [(0, 60.0), (4, 40.0), (5, 50.0)]);
    }
}
