//! Those who wait for a token, each key in a line of its own, first come first served.
//!
//! Pure: the time is given. The first of each line knows when its token will be there; who comes knows by that and by the length of the
//! line when its own will, and does not begin to wait when that is too late. Tokens are taken for the moment at which they were there, not
//! for that at which somebody looked: late clocks make nobody slower.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::throttle::Buckets;

/// What became of one who asked for a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Came {
    /// It has one.
    Goes,
    /// It stands in line, until it is served by [`Turns::advance`] or must [`Turns::give_up`].
    Waits,
    /// Its turn would come after so long, which is too late.
    TooLate(Duration),
}

/// The buckets of one rule, and the lines before them.
#[derive(Debug)]
pub struct Turns {
    buckets: Buckets,
    /// Keys with somebody in line; what clients choose is hashed safely.
    lines: HashMap<Box<[u8]>, Line>,
}

#[derive(Debug)]
struct Line {
    /// When there may be a token for the first.
    due: Duration,
    ids: VecDeque<u64>,
}

impl Turns {
    /// Nobody waits.
    pub fn new(buckets: Buckets) -> Turns {
        Turns { buckets, lines: HashMap::new() }
    }

    /// After how long there would be a token for who comes now; nothing is taken.
    pub fn after(&self, key: &[u8], now: Duration) -> Duration {
        let Some(line) = self.lines.get(key) else { return self.buckets.after(key, now) };
        let ahead = u32::try_from(line.ids.len()).unwrap_or(u32::MAX);
        line.due.saturating_add(self.buckets.interval().saturating_mul(ahead)).saturating_sub(now)
    }

    /// Asks for a token; `longest` is how long it may wait. Those whose turn has come are to be served first ([`Turns::advance`]).
    pub fn come(&mut self, key: &[u8], who: u64, now: Duration, longest: Duration) -> Came {
        if let Some(line) = self.lines.get_mut(key) {
            let ahead = u32::try_from(line.ids.len()).unwrap_or(u32::MAX);
            let due = line.due.saturating_add(self.buckets.interval().saturating_mul(ahead));
            let after = due.saturating_sub(now);
            if after > longest {
                return Came::TooLate(after);
            }
            line.ids.push_back(who);
            return Came::Waits;
        }
        match self.buckets.take(key, now) {
            Ok(()) => Came::Goes,
            Err(after) if after > longest => Came::TooLate(after),
            Err(after) => {
                self.lines.insert(key.into(), Line { due: now + after, ids: VecDeque::from([who]) });
                Came::Waits
            }
        }
    }

    /// Who has a token by now, in order.
    pub fn advance(&mut self, key: &[u8], now: Duration) -> Vec<u64> {
        let mut served = vec![];
        let Some(line) = self.lines.get_mut(key) else { return served };
        while line.due <= now && !line.ids.is_empty() {
            match self.buckets.take(key, line.due) {
                Ok(()) => served.extend(line.ids.pop_front()),
                Err(after) => line.due += after,
            }
        }
        if line.ids.is_empty() {
            self.lines.remove(key);
        }
        served
    }

    /// Who is the first in line, and when there may be a token for it.
    pub fn first(&self, key: &[u8]) -> Option<(u64, Duration)> {
        let line = self.lines.get(key)?;
        Some((*line.ids.front()?, line.due))
    }

    /// Leaves the line. False: it was not in it, so it may have a token already. Linear in the length of the line.
    pub fn give_up(&mut self, key: &[u8], who: u64) -> bool {
        let Some(line) = self.lines.get_mut(key) else { return false };
        let Some(at) = line.ids.iter().position(|one| *one == who) else { return false };
        line.ids.remove(at);
        if line.ids.is_empty() {
            self.lines.remove(key);
        }
        true
    }

    /// A token was not used after all: it is for the first in line.
    pub fn give_back(&mut self, key: &[u8]) {
        self.buckets.give_back(key);
        if let Some(line) = self.lines.get_mut(key) {
            line.due = line.due.saturating_sub(self.buckets.interval());
        }
    }

    /// There are other buckets from now on, all full; those who stand in line stay there.
    pub fn refill(&mut self, buckets: Buckets, now: Duration) {
        self.buckets = buckets;
        self.lines.values_mut().for_each(|line| line.due = now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::random::Random;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn turns(interval: u64, burst: u32) -> Turns {
        Turns::new(Buckets::new(ms(interval), burst, 10))
    }

    #[test]
    fn first_come_first_served() {
        let mut turns = turns(100, 2);
        let mut come = |who, now| turns.come(b"a", who, ms(now), ms(250));
        assert_eq!([come(1, 1000), come(2, 1000)], [Came::Goes; 2]);
        assert_eq!([come(3, 1000), come(4, 1000)], [Came::Waits; 2]);
        assert_eq!(come(5, 1000), Came::TooLate(ms(300)));
        assert_eq!(come(5, 1050), Came::Waits);
        assert_eq!(turns.come(b"b", 6, ms(1050), ms(0)), Came::Goes);
        assert_eq!(turns.first(b"a"), Some((3, ms(1100))));
        assert!(turns.advance(b"a", ms(1099)).is_empty());
        assert_eq!(turns.advance(b"a", ms(1100)), [3]);
        // Somebody looks late: what was due is served.
        assert_eq!(turns.advance(b"a", ms(1500)), [4, 5]);
        assert_eq!(turns.first(b"a"), None);
        // The line was empty from 1300 on, so that two tokens are there, not more.
        assert_eq!(turns.come(b"a", 7, ms(1500), ms(0)), Came::Goes);
        assert_eq!(turns.come(b"a", 8, ms(1500), ms(0)), Came::Goes);
        assert_eq!(turns.come(b"a", 9, ms(1500), ms(0)), Came::TooLate(ms(100)));
    }

    #[test]
    fn who_leaves_makes_room() {
        let mut turns = turns(100, 1);
        assert_eq!(turns.come(b"a", 1, ms(0), ms(200)), Came::Goes);
        assert_eq!([2, 3].map(|who| turns.come(b"a", who, ms(0), ms(200))), [Came::Waits; 2]);
        assert_eq!(turns.come(b"a", 4, ms(0), ms(200)), Came::TooLate(ms(300)));
        assert!(turns.give_up(b"a", 2) && !turns.give_up(b"a", 2) && !turns.give_up(b"b", 3));
        assert_eq!(turns.come(b"a", 4, ms(0), ms(200)), Came::Waits);
        assert_eq!(turns.advance(b"a", ms(100)), [3]);
        // Of one that left when it had been served, the token is the next one's.
        turns.give_back(b"a");
        assert_eq!(turns.advance(b"a", ms(200)), [4]);
        assert_eq!(turns.come(b"a", 5, ms(200), ms(0)), Came::Goes);
    }

    #[test]
    fn other_buckets_are_in_force_at_once() {
        let mut turns = turns(100_000, 1);
        assert_eq!(turns.come(b"a", 1, ms(0), ms(900_000)), Came::Goes);
        assert_eq!([2, 3].map(|who| turns.come(b"a", who, ms(0), ms(900_000))), [Came::Waits; 2]);
        turns.refill(Buckets::new(ms(10), 1, 10), ms(5000));
        assert_eq!(turns.advance(b"a", ms(5000)), [2]);
        assert_eq!(turns.first(b"a").map(|first| first.0), Some(3));
        assert_eq!(turns.advance(b"a", ms(5010)), [3]);
    }

    /// Whatever comes, leaves and looks when: in any stretch of time not more are let through than the burst and what drips in.
    #[test]
    fn never_more_than_the_rate_and_nobody_is_forgotten() {
        for seed in 1..20 {
            let mut random = Random::new(seed);
            let (interval, burst) = (1 + random.below(50) as u64, 1 + random.below(5));
            let mut turns = turns(interval, burst as u32);
            let longest = ms(interval * random.below(20) as u64);
            let (mut now, mut let_through, mut waiting) = (0, vec![], VecDeque::new());
            for who in 0..2000 {
                now += random.below(2 * interval as usize) as u64;
                for served in turns.advance(b"k", ms(now)) {
                    let (expected, since) = waiting.pop_front().expect("somebody waits");
                    assert_eq!(served, expected, "seed {seed}: in order");
                    // It was due in time, however late somebody looked.
                    assert!(now - since <= longest.as_millis() as u64 + 2 * interval, "seed {seed}");
                    let_through.push(now);
                }
                match turns.come(b"k", who, ms(now), longest) {
                    Came::Goes => let_through.push(now),
                    Came::Waits => waiting.push_back((who, now)),
                    Came::TooLate(after) => assert!(after > longest),
                }
                if random.below(8) == 0 && !waiting.is_empty() {
                    let at = random.below(waiting.len());
                    let (who, _) = waiting.remove(at).expect("it waits");
                    assert!(turns.give_up(b"k", who));
                }
            }
            let late = 2 * interval;
            for (at, from) in let_through.iter().enumerate() {
                for (more, to) in let_through[at..].iter().enumerate() {
                    let most = burst as u64 + (to - from + late) / interval;
                    assert!(more as u64 <= most, "seed {seed}: {more} in {} ms", to - from);
                }
            }
        }
    }
}
