//! Statements of one shape with their values, so many that they say how values differ.
//!
//! Of the statements that are offered, those stay that took longest, that came last, that came most often, and some of those that came once. Two with
//! the same values are one. What is in here is in clear, and stays in memory.

use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

/// So many of each [`Origin`].
const EACH: usize = 3;
/// So many different values are counted at a time; of more, one makes room that came least often, the oldest of these.
const COUNTED: usize = 16;

/// One statement, as it was sent.
#[derive(Debug, PartialEq, Eq)]
pub struct Sample {
    /// Its text.
    pub text: Box<[u8]>,
    /// A Bind message from behind its two names, if it had one: formats, values, formats of columns.
    pub bind: Option<Box<[u8]>>,
    /// What the driver said the types of its parameters are, or else the server, as numbers; 0 where neither did.
    pub types: Box<[u32]>,
    /// How long it took in all, in microseconds.
    pub micros: u64,
    /// Two with the same one have the same values.
    pub name: u64,
}

impl Sample {
    /// A statement that took so long.
    pub fn new(text: &[u8], bind: Option<&[u8]>, types: Box<[u32]>, micros: u64) -> Sample {
        let name = xxh3_64(bind.unwrap_or(text));
        Sample { text: text.into(), bind: bind.map(Into::into), types, micros, name }
    }

    /// Bytes that it takes in memory, or a little less.
    pub fn size(&self) -> usize {
        size_of::<Sample>()
            + self.text.len()
            + self.bind.as_ref().map_or(0, |bind| bind.len())
            + 4 * self.types.len()
    }
}

/// Why a sample was kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Origin {
    /// Its values are among those seen most often.
    Frequent,
    /// It is among those that took longest.
    Slowest,
    /// Its values were seen once.
    Rare,
    /// It is among those seen last.
    Newest,
}

impl Origin {
    /// Its name, as it stands in the store.
    pub fn name(self) -> &'static str {
        match self {
            Origin::Frequent => "frequent",
            Origin::Slowest => "slowest",
            Origin::Rare => "rare",
            Origin::Newest => "newest",
        }
    }
}

/// Statements of one shape.
#[derive(Debug, Clone, Default)]
pub struct Reservoir {
    /// The slowest first.
    slowest: Vec<Arc<Sample>>,
    /// The newest last.
    newest: Vec<Arc<Sample>>,
    /// With how often they came; the newest last.
    counted: Vec<(u64, Arc<Sample>)>,
}

/// A sample that stands for some of its shape.
#[derive(Debug, Clone)]
pub struct Chosen {
    /// Why it was kept.
    pub origin: Origin,
    /// How often its values were seen, about; 0: that was not counted.
    pub calls: u64,
    /// The statement.
    pub sample: Arc<Sample>,
}

impl Reservoir {
    /// Puts one in that stands for so many statements; 0: it was not taken at random, but for its time.
    pub fn offer(&mut self, sample: Arc<Sample>, weight: u64) {
        self.slow(&sample);
        if weight > 0 {
            self.count(&sample, weight);
            self.new_one(sample);
        }
    }

    /// What one must have taken longer than to be offered for its time, in microseconds. Where there are too few values to have several of the slowest, that is
    /// the slowest of all.
    pub fn mark(&self) -> u64 {
        let least = self.slowest.get(EACH - 1).or(self.slowest.first());
        least.map_or(0, |sample| sample.micros)
    }

    /// Puts in what another one has, which is newer.
    pub fn merge(&mut self, newer: Reservoir) {
        newer.slowest.iter().for_each(|sample| self.slow(sample));
        newer.newest.into_iter().for_each(|sample| self.new_one(sample));
        newer.counted.iter().for_each(|(count, sample)| self.count(sample, *count));
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.slowest.is_empty() && self.counted.is_empty()
    }

    /// Bytes that it takes in memory, or a little more: samples may be in it twice.
    pub fn size(&self) -> usize {
        let all =
            self.slowest.iter().chain(&self.newest).chain(self.counted.iter().map(|(_, sample)| sample));
        size_of::<Reservoir>() + all.map(|sample| sample.size()).sum::<usize>()
    }

    /// So many that stand for the shape, each once, taking turns between why they were kept.
    pub fn chosen(&self, most: usize) -> Vec<Chosen> {
        let calls = |sample: &Arc<Sample>| {
            self.counted.iter().find(|(_, known)| known.name == sample.name).map_or(0, |(count, _)| *count)
        };
        let mut counted: Vec<_> = self.counted.iter().filter(|(count, _)| *count > 1).collect();
        counted.sort_by_key(|(count, sample)| (std::cmp::Reverse(*count), sample.name));
        let frequent = counted.iter().take(EACH).map(|(_, sample)| (Origin::Frequent, sample));
        let slowest = self.slowest.iter().map(|sample| (Origin::Slowest, sample));
        let once = self.counted.iter().rev().filter(|(count, _)| *count == 1);
        let rare = once.take(EACH).map(|(_, sample)| (Origin::Rare, sample));
        let newest = self.newest.iter().rev().map(|sample| (Origin::Newest, sample));
        let lists: [Vec<(Origin, &Arc<Sample>)>; 4] =
            [frequent.collect(), slowest.collect(), rare.collect(), newest.collect()];
        let turns = (0..EACH).flat_map(|turn| lists.iter().filter_map(move |list| list.get(turn)));
        let mut chosen: Vec<Chosen> = vec![];
        for (origin, sample) in turns {
            if chosen.len() < most && !chosen.iter().any(|one| one.sample.name == sample.name) {
                chosen.push(Chosen { origin: *origin, calls: calls(sample), sample: (*sample).clone() });
            }
        }
        chosen
    }

    fn slow(&mut self, sample: &Arc<Sample>) {
        if let Some(same) = self.slowest.iter().position(|known| known.name == sample.name) {
            if self.slowest[same].micros >= sample.micros {
                return;
            }
            self.slowest.remove(same);
        }
        let at = self.slowest.partition_point(|known| known.micros >= sample.micros);
        if at < EACH {
            self.slowest.insert(at, sample.clone());
            self.slowest.truncate(EACH);
        }
    }

    fn new_one(&mut self, sample: Arc<Sample>) {
        self.newest.retain(|known| known.name != sample.name);
        self.newest.push(sample);
        if self.newest.len() > EACH {
            self.newest.remove(0);
        }
    }

    fn count(&mut self, sample: &Arc<Sample>, weight: u64) {
        if let Some((count, _)) = self.counted.iter_mut().find(|(_, known)| known.name == sample.name) {
            *count += weight;
            return;
        }
        if self.counted.len() >= COUNTED {
            let least = self.counted.iter().enumerate().min_by_key(|(at, (count, _))| (*count, *at));
            let at = least.map_or(0, |(at, _)| at);
            self.counted.remove(at);
        }
        self.counted.push((weight, sample.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(value: &str, micros: u64) -> Arc<Sample> {
        Arc::new(Sample::new(b"select $1", Some(value.as_bytes()), Box::default(), micros))
    }

    fn chosen(reservoir: &Reservoir) -> Vec<(Origin, String, u64)> {
        let value =
            |one: &Chosen| String::from_utf8_lossy(one.sample.bind.as_ref().expect("values")).into_owned();
        reservoir.chosen(12).iter().map(|one| (one.origin, value(one), one.calls)).collect()
    }

    #[test]
    fn each_kind_has_its_samples_and_none_is_there_twice() {
        let mut reservoir = Reservoir::default();
        for n in 0..1000_u64 {
            let value = if n % 3 == 0 { "often".to_owned() } else { format!("v{n}") };
            reservoir.offer(sample(&value, if n == 500 { 9000 } else { n % 50 }), 1);
        }
        reservoir.offer(sample("slow", 5000), 0);
        let found = chosen(&reservoir);
        assert_eq!(found[0], (Origin::Frequent, "often".into(), 334));
        assert_eq!(found[1], (Origin::Slowest, "v500".into(), 0));
        assert!(found.iter().any(|one| one.0 == Origin::Slowest && one.1 == "slow"), "{found:?}");
        assert_eq!(found.iter().filter(|one| one.0 == Origin::Rare && one.2 == 1).count(), 3, "{found:?}");
        assert!(
            found.len() <= 12
                && found.iter().all(|one| found.iter().filter(|other| other.1 == one.1).count() == 1)
        );
        assert_eq!(reservoir.mark(), 49);
    }

    #[test]
    fn what_is_put_together_counts_together_and_stays_small() {
        let mut all = Reservoir::default();
        for worker in 0..50 {
            let mut one = Reservoir::default();
            for n in 0..100 {
                one.offer(sample(&format!("{worker}-{n}"), 10), 1);
                one.offer(sample("often", 20), 1);
            }
            all.merge(one);
        }
        let found = chosen(&all);
        assert_eq!(found[0], (Origin::Frequent, "often".into(), 5000));
        assert!(all.size() < 8000, "{}", all.size());
        assert!(!all.is_empty() && Reservoir::default().is_empty());
    }
}
