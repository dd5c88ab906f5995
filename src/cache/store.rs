//! The store: entries of all workers in shards, their memory, and who fetches what is not there.

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::counts::{Counting, Counts, Eviction, Miss, Unstored};
use super::entry::Entry;
use super::flight::{Filling, Flight, Following};
use super::gate::{Gate, Judged};
use super::key::Key;
use super::listed::Listed;
use super::needs::Needs;
use super::shard::Shard;
use super::tag::Relation;
use super::tags::{Broken, Tags};
use crate::level::Caching;

/// At most so many shards, and as many bytes for each.
const SHARDS: (usize, usize) = (64, 1 << 20);

/// How much there may be of everything.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of all entries, with their keys and tags and the tables of the store.
    pub size: usize,
    /// Bytes of one entry.
    pub entry: usize,
    /// Bytes of answers that are coming in, of all sessions.
    pub filling: usize,
    /// Sessions that wait for one answer.
    pub followers: usize,
    /// How long a session waits for another's answer.
    pub wait: Duration,
    /// Whether an answer is kept only from the second time on that it is asked for.
    pub second_use: bool,
}

/// Results of all sessions of this process.
pub struct Store {
    tags: Arc<Tags>,
    cells: Box<[Cell]>,
    limits: Limits,
    /// What the shards have told that they take, and what is about to be put in.
    bytes: AtomicUsize,
    filling: AtomicUsize,
    /// Grows with each flush.
    flushes: AtomicU64,
    /// Where room is made next.
    hand: AtomicUsize,
    counting: Counting,
}

#[derive(Default)]
struct Cell {
    shard: Mutex<Shard>,
    /// By level.
    hits: [AtomicU64; Caching::WORDS.len()],
}

impl Cell {
    fn lock(&self) -> MutexGuard<'_, Shard> {
        // A shard is whole after each of its methods, and none of them can panic half way but for a bug.
        self.shard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[inline]
    fn hit(&self, gate: &Gate, entry: Arc<Entry>) -> Lookup {
        self.hits[gate.level as usize].fetch_add(1, Relaxed);
        Lookup::Hit(entry)
    }
}

/// What a read is told to do.
#[derive(Debug)]
pub enum Lookup {
    /// Send these bytes.
    Hit(Arc<Entry>),
    /// Send the query, and give its answer to this.
    Fill(Filling),
    /// Wait for the answer to another session's query.
    Follow(Following),
    /// Send the query. This is there for others, or will be: see [`Entry::seen`] for what its being the same answer says.
    Closed(Miss, Arc<Entry>),
    /// Send the query.
    Miss(Miss),
}

impl Store {
    /// An empty store over a table of tags.
    pub fn new(tags: Arc<Tags>, limits: Limits) -> Arc<Store> {
        let shards = (limits.size / SHARDS.1).clamp(1, SHARDS.0).next_power_of_two();
        Arc::new(Store {
            tags,
            cells: (0..shards).map(|_| Cell::default()).collect(),
            limits,
            bytes: AtomicUsize::new(0),
            filling: AtomicUsize::new(0),
            flushes: AtomicU64::new(0),
            hand: AtomicUsize::new(0),
            counting: Counting::default(),
        })
    }

    /// The tags of its entries.
    pub fn tags(&self) -> &Arc<Tags> {
        &self.tags
    }

    /// What to do with a read. `needs` is asked only where there is no hit: what the answer will depend on, or `None` if that cannot be told yet.
    #[inline]
    pub fn lookup<'n>(
        self: &Arc<Self>,
        key: &Key<'_>,
        gate: &Gate,
        needs: impl FnOnce() -> Option<&'n Needs>,
    ) -> Lookup {
        let cell = self.cell(key.hash);
        let mut shard = cell.lock();
        let Some(entry) = shard.find(key) else {
            return self.missed(cell, shard, (key, gate), Miss::Absent, needs);
        };
        drop(shard);
        let why = match gate.judge(&self.tags, &entry) {
            Judged::Serve => return cell.hit(gate, entry),
            Judged::ServeAndRefresh => return self.hit_or_refresh(cell, key, gate, entry, needs),
            // An entry is there that is good for others, or will be: fetching another is not worth its while.
            Judged::Closed(why) if why != Miss::Expired => return self.closed(why, entry),
            Judged::Closed(why) => why,
            Judged::Useless(why) => {
                self.discard(cell, key.hash, &entry);
                why
            }
        };
        self.missed(cell, cell.lock(), (key, gate), why, needs)
    }

    /// Whether nothing that an answer depends on has changed, and nobody may be changing it.
    ///
    /// # Errors
    /// What is not so.
    pub fn stands(&self, entry: &Entry) -> Result<(), Broken> {
        self.tags.holds(entry.versions())
    }

    /// Removes everything; what is being fetched now will not be kept.
    pub fn flush(&self) {
        self.remove_all(|_| true);
    }

    /// Removes all that reads a table; nothing that is being fetched now will be kept.
    pub fn flush_table(&self, relation: Relation) {
        self.remove_all(|entry| entry.relations().contains(&relation));
    }

    /// Removes all that reads any table of a database; nothing that is being fetched now will be kept.
    pub fn flush_database(&self, database: u32) {
        self.remove_all(|entry| entry.relations().iter().any(|relation| relation.database == database));
    }

    /// How many bytes there may be of all entries.
    pub fn limit(&self) -> usize {
        self.limits.size
    }

    /// A page of the entries, in no order that lasts: `most` of them from the place `from` on.
    pub fn entries(&self, from: usize, most: usize, now: Instant) -> Vec<Listed> {
        let (mut skip, mut page) = (from, vec![]);
        for cell in &self.cells {
            let shard = cell.lock();
            let found = shard.list(skip).take(most - page.len());
            page.extend(found.map(|(uses, entry)| (uses, entry.clone())));
            skip = skip.saturating_sub(shard.len());
            if page.len() == most {
                break;
            }
        }
        page.iter().map(|(uses, entry)| Listed::of(&self.tags, *uses, entry, now)).collect()
    }

    /// What was counted, and what there is now.
    pub fn counts(&self) -> Counts {
        let (writes_in_doubt, limbo) = self.tags.in_doubt();
        let mut counts = Counts {
            bytes: self.bytes.load(Relaxed),
            filling: self.filling.load(Relaxed),
            tags: self.tags.bytes(),
            writes_in_doubt,
            limbo,
            ..Counts::default()
        };
        counts.take(&self.counting);
        for cell in &self.cells {
            for (all, of_cell) in counts.hits.iter_mut().zip(&cell.hits) {
                *all += of_cell.load(Relaxed);
            }
            let shard = cell.lock();
            counts.entries += shard.len();
            counts.followers += shard.followers();
        }
        counts
    }

    fn cell(&self, hash: u128) -> &Cell {
        &self.cells[hash as usize & (self.cells.len() - 1)]
    }

    fn miss(&self, why: Miss) -> Lookup {
        self.counting.miss(why);
        Lookup::Miss(why)
    }

    fn closed(&self, why: Miss, entry: Arc<Entry>) -> Lookup {
        self.counting.miss(why);
        Lookup::Closed(why, entry)
    }

    /// An entry is served and getting old: one reader fetches another.
    fn hit_or_refresh<'n>(
        self: &Arc<Self>,
        cell: &Cell,
        key: &Key<'_>,
        gate: &Gate,
        entry: Arc<Entry>,
        needs: impl FnOnce() -> Option<&'n Needs>,
    ) -> Lookup {
        if !entry.begin_refresh() {
            return cell.hit(gate, entry);
        }
        let begun = needs().ok_or(Miss::NotReady).and_then(|needs| {
            let flight = self.flight(key, gate, needs)?;
            let mut shard = cell.lock();
            if shard.flight(key).is_some() {
                return Err(Miss::Crowded);
            }
            shard.begin(flight.clone());
            self.settle(&mut shard);
            Ok((flight, needs))
        });
        let Ok((flight, needs)) = begun else {
            entry.end_refresh();
            return cell.hit(gate, entry);
        };
        self.trim(gate.now);
        Counting::one(&self.counting.refreshes);
        self.fill(flight, needs, Some(entry))
    }

    fn missed<'n>(
        self: &Arc<Self>,
        cell: &Cell,
        mut shard: MutexGuard<'_, Shard>,
        (key, gate): (&Key<'_>, &Gate),
        why: Miss,
        needs: impl FnOnce() -> Option<&'n Needs>,
    ) -> Lookup {
        if let Err(why) = gate.fill() {
            return self.miss(why);
        }
        if shard.was_large(key.hash, gate.now) {
            return self.miss(Miss::TooLarge);
        }
        if let Some(joined) = self.join(&shard, key, gate) {
            return joined;
        }
        if self.limits.second_use && !shard.knows(key.hash) && why == Miss::Absent {
            self.settle(&mut shard);
            drop(shard);
            self.trim(gate.now);
            return self.miss(Miss::FirstUse);
        }
        // What it depends on is found out without the lock.
        drop(shard);
        let Some(needs) = needs() else { return self.miss(Miss::NotReady) };
        let flight = match self.flight(key, gate, needs) {
            Ok(flight) => flight,
            Err(why) => return self.miss(why),
        };
        {
            let mut shard = cell.lock();
            // Somebody may have begun meanwhile.
            if let Some(joined) = self.join(&shard, key, gate) {
                return joined;
            }
            shard.begin(flight.clone());
            self.settle(&mut shard);
        }
        self.trim(gate.now);
        self.counting.miss(why);
        self.fill(flight, needs, None)
    }

    /// Joins the flight of a key, if there is one that began after all that the reader must see: what it depends on is as it was before its query was
    /// sent, and nobody may be changing it. Else the reader begins another, which later comers join, and those on the first stay there.
    fn join(&self, shard: &Shard, key: &Key<'_>, gate: &Gate) -> Option<Lookup> {
        let flight = shard.flight(key)?;
        if !gate.may_follow(&self.tags, &flight.versions, flight.sent) {
            return None;
        }
        let joined = flight.follow(self.limits.followers, gate.now + self.limits.wait);
        Some(match joined {
            Some(following) => {
                Counting::one(&self.counting.followed);
                Lookup::Follow(following)
            }
            None => self.miss(Miss::Crowded),
        })
    }

    /// A flight whose query is sent from now on.
    fn flight(&self, key: &Key<'_>, gate: &Gate, needs: &Needs) -> Result<Arc<Flight>, Miss> {
        if !needs.is_fit() {
            return Err(Miss::TooManyTags);
        }
        let by_age = gate.is_by_age();
        let versions = match by_age {
            true => self.tags.read_in_doubt(needs.tags()),
            false => self.tags.read(needs.tags()).ok_or(Miss::InDoubt)?,
        };
        Ok(Arc::new(Flight::new(key, versions, gate.now, by_age)))
    }

    fn fill(self: &Arc<Self>, flight: Arc<Flight>, needs: &Needs, instead_of: Option<Arc<Entry>>) -> Lookup {
        let flushes = self.flushes.load(SeqCst);
        Lookup::Fill(Filling::new(self.clone(), flight, needs, flushes, instead_of))
    }

    /// How many bytes key and answer may have together.
    pub(super) fn largest(&self) -> usize {
        self.limits.entry
    }

    /// Whether a filling may take so many more bytes from the system.
    pub(super) fn may_fill(&self, more: usize) -> Result<(), Unstored> {
        if self.filling.fetch_add(more, Relaxed) + more > self.limits.filling {
            self.unfill(more);
            return Err(Unstored::NoRoom);
        }
        Ok(())
    }

    /// What was taken is another amount than was asked for.
    pub(super) fn filled_otherwise(&self, asked: usize, taken: usize) {
        self.filling.fetch_add(taken, Relaxed);
        self.unfill(asked);
    }

    /// So much less is being filled.
    pub(super) fn unfill(&self, bytes: usize) {
        self.filling.fetch_sub(bytes, Relaxed);
    }

    /// A flight is over; `why` nothing of it was kept.
    pub(super) fn landed(&self, flight: &Arc<Flight>, why: Unstored) {
        let mut shard = self.cell(flight.hash).lock();
        shard.end(flight);
        if why == Unstored::TooLarge {
            shard.note_large(flight.hash, flight.sent);
        }
        self.settle(&mut shard);
        drop(shard);
        self.counting.unstored(why);
    }

    /// Keeps an answer, if what it depends on is as it was before its query was sent; its flight is over then.
    pub(super) fn keep(
        &self,
        flight: &Arc<Flight>,
        entry: &Arc<Entry>,
        flushes: u64,
    ) -> Result<(), Unstored> {
        // Were it kept all the same, no hit would find it unchanged; but it would take room.
        if !flight.by_age && self.tags.holds(entry.versions()).is_err() {
            return Err(Unstored::Invalidated);
        }
        let size = entry.size();
        if size > self.limits.entry {
            return Err(Unstored::TooLarge);
        }
        self.bytes.fetch_add(size, Relaxed);
        let kept = self.make_room(entry.seen()).and_then(|()| self.put(flight, entry, flushes));
        self.bytes.fetch_sub(size, Relaxed);
        // Its tables may have grown.
        let replaced = kept?;
        Counting::one(&self.counting.stored);
        self.counting.evicted(Eviction::Replaced, u64::from(replaced.is_some()));
        drop(replaced);
        self.trim(entry.seen());
        Ok(())
    }

    /// Makes room for what tables of the shards and keys of flights have grown by. Where there is nothing left to remove, they are all that there is: as
    /// much as the sessions' queries under way need.
    fn trim(&self, now: Instant) {
        let _ = self.make_room(now);
    }

    fn put(
        &self,
        flight: &Arc<Flight>,
        entry: &Arc<Entry>,
        flushes: u64,
    ) -> Result<Option<Arc<Entry>>, Unstored> {
        let mut shard = self.cell(flight.hash).lock();
        // A flush counts first and removes then: what is put in here before it removes is removed.
        if self.flushes.load(SeqCst) != flushes {
            return Err(Unstored::Flushed);
        }
        let replaced = shard.put(flight.hash, entry.clone()).map_err(|()| Unstored::Older)?;
        shard.end(flight);
        self.settle(&mut shard);
        Ok(replaced)
    }

    /// Removes entries, shard by shard, until no more is taken than may be.
    fn make_room(&self, now: Instant) -> Result<(), Unstored> {
        let mut empty = 0;
        while self.bytes.load(Relaxed) > self.limits.size {
            let hand = self.hand.fetch_add(1, Relaxed) % self.cells.len();
            let mut shard = self.cells[hand].lock();
            let evicted = shard.evict(&self.tags, now);
            if evicted.is_none() {
                shard.shrink();
            }
            self.settle(&mut shard);
            drop(shard);
            let Some((_, cause)) = evicted else {
                empty += 1;
                if empty > self.cells.len() {
                    return Err(Unstored::NoRoom);
                }
                continue;
            };
            empty = 0;
            self.counting.evicted(cause, 1);
        }
        Ok(())
    }

    fn discard(&self, cell: &Cell, hash: u128, entry: &Arc<Entry>) {
        let mut shard = cell.lock();
        let removed = shard.remove(hash, entry);
        self.settle(&mut shard);
        drop(shard);
        self.counting.evicted(Eviction::Invalidated, u64::from(removed.is_some()));
    }

    fn remove_all(&self, meant: impl Fn(&Entry) -> bool) {
        self.flushes.fetch_add(1, SeqCst);
        for cell in &self.cells {
            let mut shard = cell.lock();
            let removed = shard.remove_all(&meant);
            shard.detach_all();
            self.settle(&mut shard);
            drop(shard);
            self.counting.evicted(Eviction::Flushed, removed.len() as u64);
        }
    }

    /// Counts what a shard takes now instead of what it took.
    fn settle(&self, shard: &mut Shard) {
        let bytes = shard.bytes();
        let before = std::mem::replace(&mut shard.told, bytes);
        match bytes.checked_sub(before) {
            Some(0) => 0,
            Some(more) => self.bytes.fetch_add(more, Relaxed),
            None => self.bytes.fetch_sub(before - bytes, Relaxed),
        };
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store {{ shards: {}, bytes: {} }}", self.cells.len(), self.bytes.load(Relaxed))
    }
}
