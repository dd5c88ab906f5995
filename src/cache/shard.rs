//! A part of the store, under one lock that is held for as long as a look-up takes.
//!
//! What is removed for room is what saves least: microseconds of the database for each byte, times how often it is used, and more for what was used
//! lately ("greedy dual size frequency", Cherkasova 1998). The least of a few taken at random goes, so that nothing has to be kept in order.

use std::collections::HashMap;
use std::collections::hash_map::Entry::{Occupied, Vacant};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::counts::Eviction;
use super::doorkeeper::Doorkeeper;
use super::entry::Entry;
use super::flight::Flight;
use super::gate::LONGEST;
use super::key::Key;
use super::tags::{Broken, Tags};

/// How many are looked at to find one to remove.
const SAMPLE: usize = 8;
/// Keys whose answers were too large, and for how long they are remembered.
const LARGE: (usize, Duration) = (16, Duration::from_secs(60));

/// A hash that is one already.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // Not used: keys are `u128`.
        self.0 = bytes.iter().fold(self.0, |hash, byte| hash.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u128(&mut self, hash: u128) {
        // The high half: the low one chose the shard.
        self.0 = (hash >> 64) as u64;
    }
}

type ByHash<V> = HashMap<u128, V, BuildHasherDefault<Hashed>>;

/// Entries and flights of some of the keys.
#[derive(Default)]
pub(super) struct Shard {
    places: ByHash<u32>,
    slots: Vec<Slot>,
    flights: ByHash<Arc<Flight>>,
    door: Doorkeeper,
    large: Vec<(u128, Instant)>,
    /// The score of what was removed last for room: what comes later begins there, so that what is no longer used falls behind.
    level: f64,
    random: u64,
    /// Bytes of the entries, of the flights, and of all when it was last told to the store.
    entries: usize,
    flying: usize,
    pub told: usize,
}

struct Slot {
    hash: u128,
    entry: Arc<Entry>,
    uses: u32,
    /// Microseconds saved for a byte.
    worth: f64,
    score: f64,
}

impl Shard {
    /// The entry of a key, which was used once more.
    #[inline]
    pub fn find(&mut self, key: &Key<'_>) -> Option<Arc<Entry>> {
        let place = *self.places.get(&key.hash)?;
        let slot = self.slots.get_mut(place as usize).filter(|slot| slot.entry.key() == key.bytes)?;
        slot.uses = slot.uses.saturating_add(1);
        slot.score = self.level + f64::from(slot.uses) * slot.worth;
        Some(slot.entry.clone())
    }

    /// Puts an entry in; the one that it replaces, if any. `Err`: there is a later one.
    pub fn put(&mut self, hash: u128, entry: Arc<Entry>) -> Result<Option<Arc<Entry>>, ()> {
        let worth = entry.took().as_micros().max(1) as f64 / entry.size() as f64;
        let size = entry.size();
        let replaced = match self.places.entry(hash) {
            Occupied(place) => {
                let slot = &mut self.slots[*place.get() as usize];
                if slot.entry.sent() > entry.sent() {
                    return Err(());
                }
                slot.worth = worth;
                Some(std::mem::replace(&mut slot.entry, entry))
            }
            Vacant(place) => {
                place.insert(self.slots.len() as u32);
                self.slots.push(Slot { hash, entry, uses: 1, worth, score: self.level + worth });
                None
            }
        };
        self.entries += size;
        self.entries -= replaced.as_ref().map_or(0, |entry| entry.size());
        Ok(replaced)
    }

    /// Takes an entry out, if it is still the one of its key.
    pub fn remove(&mut self, hash: u128, entry: &Arc<Entry>) -> Option<Arc<Entry>> {
        let place = *self.places.get(&hash)? as usize;
        self.slots.get(place).filter(|slot| Arc::ptr_eq(&slot.entry, entry))?;
        Some(self.take(place))
    }

    /// Takes those out that are meant.
    pub fn remove_all(&mut self, meant: impl Fn(&Entry) -> bool) -> Vec<Arc<Entry>> {
        let mut removed = vec![];
        for place in (0..self.slots.len()).rev() {
            if meant(&self.slots[place].entry) {
                removed.push(self.take(place));
            }
        }
        self.shrink();
        removed
    }

    /// Takes one out for room: one that is of no use any more, or the one that saves least of some.
    pub fn evict(&mut self, tags: &Tags, now: Instant) -> Option<(Arc<Entry>, Eviction)> {
        let mut least: Option<usize> = None;
        for _ in 0..SAMPLE.min(self.slots.len()) {
            let place = self.below(self.slots.len());
            let slot = &self.slots[place];
            if now.saturating_duration_since(slot.entry.sent()) >= LONGEST {
                return Some((self.take(place), Eviction::Expired));
            }
            // By age it might still be served; but it is the next best to go.
            if tags.holds(slot.entry.versions()) == Err(Broken::Version) {
                return Some((self.take(place), Eviction::Invalidated));
            }
            if least.is_none_or(|least| slot.score < self.slots[least].score) {
                least = Some(place);
            }
        }
        let least = least?;
        self.level = self.level.max(self.slots[least].score);
        Some((self.take(least), Eviction::Room))
    }

    fn take(&mut self, place: usize) -> Arc<Entry> {
        let slot = self.slots.swap_remove(place);
        self.places.remove(&slot.hash);
        if let Some(moved) = self.slots.get(place) {
            self.places.insert(moved.hash, place as u32);
        }
        self.entries -= slot.entry.size();
        slot.entry
    }

    /// Gives back what the tables no longer need.
    pub fn shrink(&mut self) {
        if self.slots.len() < self.slots.capacity() / 4 {
            let room = self.slots.len() * 2;
            self.slots.shrink_to(room);
            self.places.shrink_to(room);
        }
    }

    /// Whether a key was asked for lately; from now on it was.
    pub fn knows(&mut self, hash: u128) -> bool {
        self.door.knows(hash)
    }

    /// Whether the answer of a key was too large a moment ago.
    pub fn was_large(&self, hash: u128, now: Instant) -> bool {
        let recent = |since: Instant| now.saturating_duration_since(since) < LARGE.1;
        self.large.iter().any(|(large, since)| *large == hash && recent(*since))
    }

    /// The answer of a key was too large.
    pub fn note_large(&mut self, hash: u128, now: Instant) {
        self.large.retain(|(large, _)| *large != hash);
        if self.large.len() >= LARGE.0 {
            self.large.remove(0);
        }
        self.large.push((hash, now));
    }

    /// The flight for a key.
    pub fn flight(&self, key: &Key<'_>) -> Option<&Arc<Flight>> {
        self.flights.get(&key.hash).filter(|flight| *flight.key == *key.bytes)
    }

    /// Later comers join this flight; those who are with another one stay there.
    pub fn begin(&mut self, flight: Arc<Flight>) {
        self.flying += flight.size();
        if let Some(before) = self.flights.insert(flight.hash, flight) {
            self.flying -= before.size();
        }
    }

    /// Nobody joins this flight any more.
    pub fn end(&mut self, flight: &Arc<Flight>) {
        if self.flights.get(&flight.hash).is_some_and(|other| Arc::ptr_eq(other, flight)) {
            self.flights.remove(&flight.hash);
            self.flying -= flight.size();
        }
        if self.flights.is_empty() && self.flights.capacity() > 64 {
            self.flights.shrink_to(0);
        }
    }

    /// Nobody joins any flight of now.
    pub fn detach_all(&mut self) {
        self.flights.clear();
        self.flying = 0;
    }

    /// How many wait for flights that can be joined.
    pub fn followers(&self) -> usize {
        self.flights.values().map(|flight| flight.waiting()).sum()
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Entries from a place on: how often each was used, and itself.
    pub fn list(&self, from: usize) -> impl Iterator<Item = (u32, &Arc<Entry>)> {
        self.slots.iter().skip(from).map(|slot| (slot.uses, &slot.entry))
    }

    /// All the memory of it.
    pub fn bytes(&self) -> usize {
        // A table of so many keys has a power of two of places, an eighth of which stay free, and a byte for each.
        let buckets = |capacity: usize| match capacity {
            0 => 0,
            capacity => (capacity * 8 / 7).next_power_of_two(),
        };
        let places = buckets(self.places.capacity()) * (size_of::<(u128, u32)>() + 1);
        let flights = buckets(self.flights.capacity()) * (size_of::<(u128, Arc<Flight>)>() + 1);
        let slots = self.slots.capacity() * size_of::<Slot>();
        let large = self.large.capacity() * size_of::<(u128, Instant)>();
        self.entries + self.flying + places + flights + slots + large + self.door.bytes()
    }

    /// xorshift64.
    fn below(&mut self, bound: usize) -> usize {
        if self.random == 0 {
            self.random = 0x9e37_79b9_7f4a_7c15;
        }
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) as usize % bound.max(1)
    }
}
