//! Token buckets, one for each key: so many statements in a time, and so many at once.
//!
//! Pure: the time is given. A bucket is one number, the moment at which it will be full again (the "theoretical arrival
//! time" of the generic cell rate algorithm, ITU-T I.371), so that nothing has to be filled up by a clock, and a bucket
//! that is full is the same as none.

use std::collections::HashMap;
use std::time::Duration;

/// Full buckets are looked for not more often than this, when there is no room for another key.
const SWEEP: u64 = 100_000_000;

/// The buckets of one rule.
#[derive(Debug)]
pub struct Buckets {
    /// Nanoseconds in which one token drips in, and in which an empty bucket is full.
    interval: u64,
    full: u64,
    most: usize,
    /// For each key, when its bucket is full again. Clients choose keys, so they are hashed in the way that is safe from that.
    keys: HashMap<Box<[u8]>, u64>,
    /// The bucket of all keys for which there is no room.
    others: u64,
    next_sweep: u64,
}

impl Buckets {
    /// A token drips in each `interval`; a bucket holds `burst` of them, one at least, and is full at first. At most `most` keys
    /// have a bucket of their own; where there are more that are not full, the others share one, so that nobody
    /// gets a full bucket by pushing others out.
    pub fn new(interval: Duration, burst: u32, most: usize) -> Buckets {
        let interval = nanos(interval).max(1);
        let full = interval.saturating_mul(u64::from(burst.max(1)));
        Buckets { interval, full, most, keys: HashMap::new(), others: 0, next_sweep: 0 }
    }

    /// Takes a token out of the bucket of `key`. `now` is the time since any fixed moment, the same one each time.
    ///
    /// # Errors
    /// After how long there will be one.
    pub fn take(&mut self, key: &[u8], now: Duration) -> Result<(), Duration> {
        let now = nanos(now);
        let (interval, full) = (self.interval, self.full);
        if let Some(until) = self.keys.get_mut(key) {
            return take(until, now, interval, full);
        }
        if self.keys.len() >= self.most {
            self.sweep(now);
        }
        if self.keys.len() >= self.most {
            return take(&mut self.others, now, interval, full);
        }
        let mut until = now;
        let taken = take(&mut until, now, interval, full);
        self.keys.insert(key.into(), until);
        taken
    }

    /// After how long there will be a token for `key`; takes none.
    pub fn after(&self, key: &[u8], now: Duration) -> Duration {
        let now = nanos(now);
        let full = self.keys.len() >= self.most;
        let mut until = self.keys.get(key).copied().unwrap_or(if full { self.others } else { now });
        take(&mut until, now, self.interval, self.full).err().unwrap_or_default()
    }

    /// Puts a token back that was not used after all.
    pub fn give_back(&mut self, key: &[u8]) {
        let until = self.keys.get_mut(key).unwrap_or(&mut self.others);
        *until = until.saturating_sub(self.interval);
    }

    /// The time in which one token drips in.
    pub fn interval(&self) -> Duration {
        Duration::from_nanos(self.interval)
    }

    /// How many keys have a bucket.
    pub fn keys(&self) -> usize {
        self.keys.len()
    }

    /// Forgets the buckets that are full.
    fn sweep(&mut self, now: u64) {
        if now >= self.next_sweep {
            self.keys.retain(|_, until| *until > now);
            self.next_sweep = now.saturating_add(SWEEP);
        }
    }
}

fn take(until: &mut u64, now: u64, interval: u64, full: u64) -> Result<(), Duration> {
    let next = (*until).max(now).saturating_add(interval);
    match next.saturating_sub(now).checked_sub(full) {
        None | Some(0) => {
            *until = next;
            Ok(())
        }
        Some(early) => Err(Duration::from_nanos(early)),
    }
}

/// Saturates after 584 years.
fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::random::Random;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_burst_and_then_the_rate() {
        let mut buckets = Buckets::new(ms(100), 3, 10);
        for _ in 0..3 {
            assert_eq!(buckets.take(b"a", ms(1000)), Ok(()));
        }
        assert_eq!(buckets.after(b"a", ms(1000)), ms(100));
        assert_eq!((buckets.after(b"a", ms(1100)), buckets.after(b"b", ms(1000))), (ms(0), ms(0)));
        assert_eq!(buckets.take(b"a", ms(1000)), Err(ms(100)));
        assert_eq!(buckets.take(b"a", ms(1040)), Err(ms(60)));
        assert_eq!(buckets.take(b"b", ms(1040)), Ok(()));
        assert_eq!(buckets.take(b"a", ms(1100)), Ok(()));
        assert_eq!(buckets.take(b"a", ms(1100)), Err(ms(100)));
        // Not more than the burst gathers.
        for _ in 0..3 {
            assert_eq!(buckets.take(b"a", ms(9000)), Ok(()));
        }
        assert_eq!(buckets.take(b"a", ms(9000)), Err(ms(100)));
    }

    #[test]
    fn a_refusal_costs_nothing() {
        let mut buckets = Buckets::new(ms(100), 1, 10);
        assert_eq!(buckets.take(b"a", ms(0)), Ok(()));
        for now in 0..100 {
            assert!(buckets.take(b"a", ms(now)).is_err());
        }
        assert_eq!(buckets.take(b"a", ms(100)), Ok(()));
    }

    #[test]
    fn keys_beyond_the_bound_share_a_bucket_and_full_ones_are_forgotten() {
        let mut buckets = Buckets::new(ms(1000), 1, 2);
        assert_eq!(buckets.take(b"a", ms(0)), Ok(()));
        assert_eq!(buckets.take(b"b", ms(0)), Ok(()));
        assert_eq!(buckets.take(b"c", ms(0)), Ok(()));
        assert!(buckets.take(b"d", ms(0)).is_err(), "d has the bucket of c");
        assert!(buckets.take(b"a", ms(10)).is_err(), "a was not forgotten");
        assert_eq!(buckets.keys(), 2);
        assert_eq!(buckets.take(b"d", ms(1500)), Ok(()));
        assert_eq!(buckets.take(b"e", ms(1500)), Ok(()));
        assert_eq!(buckets.keys(), 2);
    }

    #[test]
    fn extremes_do_not_overflow() {
        let mut buckets = Buckets::new(Duration::MAX, u32::MAX, 1);
        assert_eq!(buckets.take(b"", Duration::MAX), Ok(()));
        let mut buckets = Buckets::new(Duration::ZERO, 0, 0);
        assert_eq!(buckets.take(b"", Duration::ZERO), Ok(()));
    }

    /// A bucket that is filled by a clock, in whole nanoseconds times the interval.
    struct Model {
        level: u128,
        at: u64,
    }

    #[test]
    fn agrees_with_buckets_that_are_filled_by_a_clock() {
        for seed in 1..40 {
            let mut random = Random::new(seed);
            let (interval, burst) = (1 + random.below(50) as u64, 1 + random.below(8) as u32);
            let most = 1 + random.below(4);
            let mut buckets = Buckets::new(Duration::from_nanos(interval), burst, most);
            let full = u128::from(interval) * u128::from(burst);
            let mut models: Vec<Model> = (0..most).map(|_| Model { level: full, at: 0 }).collect();
            let mut now = 0;
            for _ in 0..2000 {
                now += random.below(2 * interval as usize) as u64;
                let key = random.below(most);
                let model = &mut models[key];
                model.level = full.min(model.level + u128::from(now - model.at));
                model.at = now;
                let expected = model.level >= u128::from(interval);
                if expected {
                    model.level -= u128::from(interval);
                }
                let taken = buckets.take(&[key as u8], Duration::from_nanos(now));
                assert_eq!(taken.is_ok(), expected, "seed {seed}, {now} ns");
                if let Err(wait) = taken {
                    let missing = u128::from(interval) - model.level;
                    assert_eq!(wait.as_nanos(), missing, "seed {seed}, {now} ns");
                }
                assert!(buckets.keys() <= most);
            }
        }
    }
}
