//! Times by how long they are: four steps to each doubling, from a microsecond to an hour.
//!
//! A step is at most a quarter as wide as where it begins, so a quantile read off here is wrong by an eighth at most. Times of zero are not
//! in it: who counts them knows how many there were, and most clocks of most statements stand at zero.

/// Steps. The last one takes all that is longer.
pub const STEPS: usize = 124;

/// How many times there were of each step. Takes no memory while there are none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Histogram {
    counts: Option<Box<[u32; STEPS]>>,
}

/// The step of a time in microseconds.
#[inline]
pub fn step(micros: u64) -> usize {
    if micros < 4 {
        return micros as usize;
    }
    let exponent = micros.ilog2() as usize;
    ((exponent - 1) * 4 + ((micros >> (exponent - 2)) & 3) as usize).min(STEPS - 1)
}

/// Where a step begins, in microseconds; the next one begins where it ends.
pub fn begins(step: usize) -> u64 {
    match step {
        0..4 => step as u64,
        _ => (4 + (step as u64 & 3)) << (step / 4 - 1),
    }
}

impl Histogram {
    /// Counts a time in microseconds. Zero is not counted.
    #[inline]
    pub fn add(&mut self, micros: u64) {
        if micros > 0 {
            let counts = self.counts.get_or_insert_with(|| Box::new([0; STEPS]));
            let count = &mut counts[step(micros)];
            *count = count.saturating_add(1);
        }
    }

    /// Counts what another has counted.
    pub fn merge(&mut self, other: &Histogram) {
        for (step, count) in other.counts() {
            self.put(step, count);
        }
    }

    /// Counts so many times of one step; a step that does not exist is the last.
    pub fn put(&mut self, step: usize, count: u32) {
        let counts = self.counts.get_or_insert_with(|| Box::new([0; STEPS]));
        let known = &mut counts[step.min(STEPS - 1)];
        *known = known.saturating_add(count);
    }

    /// Steps that were counted, shortest first, with their counts.
    pub fn counts(&self) -> impl Iterator<Item = (usize, u32)> + '_ {
        let counts = self.counts.iter().flat_map(|counts| counts.iter().enumerate());
        counts.filter(|(_, count)| **count > 0).map(|(step, count)| (step, *count))
    }

    /// How many times were counted.
    pub fn len(&self) -> u64 {
        self.counts().map(|(_, count)| u64::from(count)).sum()
    }

    /// Whether none was.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The time, in microseconds, that this share of `all` times does not exceed; those of `all` that are not counted here were zero.
    ///
    /// It is the middle of a step. `None`: there were no times.
    pub fn quantile(&self, share: f64, all: u64) -> Option<u64> {
        let counted = self.len();
        let all = all.max(counted);
        if all == 0 {
            return None;
        }
        let place = ((share * all as f64).ceil() as u64).clamp(1, all);
        let mut before = all - counted;
        if place <= before {
            return Some(0);
        }
        for (step, count) in self.counts() {
            before += u64::from(count);
            if place <= before {
                return Some((begins(step) + begins(step + 1) - 1).div_ceil(2));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_has_its_step_and_no_step_is_wider_than_a_quarter() {
        for micros in (0..5000).chain((12..31).flat_map(|bit| [(1 << bit) - 1, 1 << bit, (1 << bit) + 1])) {
            let step = step(micros);
            assert!(begins(step) <= micros && micros < begins(step + 1), "{micros} in {step}");
        }
        for step in 4..STEPS {
            assert!((begins(step + 1) - begins(step)) * 4 <= begins(step), "{step}");
        }
        assert_eq!(step(u64::MAX), STEPS - 1);
    }

    #[test]
    fn quantiles_are_of_all_times_those_of_zero_included() {
        let mut times = Histogram::default();
        assert_eq!((times.quantile(0.5, 0), times.quantile(0.5, 7)), (None, Some(0)));
        (1..=100).for_each(|n| times.add(n * 1000));
        let near = |share: f64, all: u64, expected: f64| {
            let found = times.quantile(share, all).expect("there are times") as f64;
            assert!((found / expected - 1.0).abs() < 0.13, "{share} of {all}: {found}, not {expected}");
        };
        near(0.5, 100, 50_000.0);
        near(0.95, 100, 95_000.0);
        near(1.0, 100, 100_000.0);
        near(0.95, 1000, 50_000.0);
        assert_eq!(times.quantile(0.5, 1000), Some(0));
        let mut twice = times.clone();
        twice.merge(&times);
        assert_eq!((twice.len(), twice.quantile(0.5, 200)), (200, times.quantile(0.5, 100)));
    }
}
