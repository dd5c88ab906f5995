//! The result caches of databases, which all workers share.
//!
//! There is one store of results for the process, and for each database what makes its results right: its number in tags and keys, how far
//! its replication stream has come, and the writes that wait for that. A database has one as soon as a rule keeps answers of its reads.
//! The stream is the control plane's; it is asked for tables here, and tells what it hears by the methods of [`DatabaseCache`].

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::cache::{Doubt, Feed, Limits, Relation, Shape, Store, Tag, Tags};
use crate::pool::Target;

/// Slots of the table of tags: 8 MiB once something is kept.
const SLOTS: usize = 1 << 20;
/// Doubts of acknowledged writes that wait for the stream of a database.
const WAITING: usize = 16_384;
/// How long tags stay in doubt whose write was lost on its way: it may be committed later.
const UNKNOWN: Duration = Duration::from_secs(10);

/// Where changes come from.
pub trait Source: Send + Sync + fmt::Debug {
    /// A table is to be followed.
    fn want(&self, relation: u32);
    /// Somebody would be glad of news soon. Costs a look at the clock.
    fn used(&self);
}

/// A database whose changes are to be told to its cache.
#[derive(Debug)]
pub struct Wanted {
    /// Whom they are to be told.
    pub cache: Arc<DatabaseCache>,
    /// Where they are to be heard.
    pub target: Arc<Target>,
}

/// The caches of all databases.
#[derive(Debug)]
pub struct Caches {
    store: Arc<Store>,
    all: Mutex<HashMap<String, Arc<DatabaseCache>>>,
    wanted: mpsc::UnboundedSender<Wanted>,
}

/// The cache of one database.
#[derive(Debug)]
pub struct DatabaseCache {
    /// Its name on its server.
    pub name: String,
    /// Its number in tags and keys.
    pub number: u32,
    /// The results, of all databases.
    pub store: Arc<Store>,
    /// What its stream tells: how far it has come, and of which tables.
    pub feed: Feed,
    source: RwLock<Option<Arc<dyn Source>>>,
    /// Those of writes that were lost, and since when.
    lost: Mutex<Vec<(Instant, Doubt)>>,
}

impl Caches {
    /// With room for so many bytes; and where it is told which databases have one.
    pub fn new(size: usize) -> (Caches, mpsc::UnboundedReceiver<Wanted>) {
        let limits = Limits {
            size,
            entry: (size / 8).clamp(4096, 1 << 20),
            filling: size / 4,
            followers: 1000,
            wait: Duration::from_millis(500),
            second_use: true,
        };
        let (wanted, all_wanted) = mpsc::unbounded_channel();
        let store = Store::new(Arc::new(Tags::new(SLOTS)), limits);
        (Caches { store, all: Mutex::default(), wanted }, all_wanted)
    }

    /// The results of all.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// That of a database, made when it is asked for first.
    pub fn of(&self, target: &Arc<Target>) -> Arc<DatabaseCache> {
        // What has the same contents.
        let key = format!("{:?} {}", target.hosts, target.server_database);
        let mut all = lock(&self.all);
        if let Some(known) = all.get(&key) {
            return known.clone();
        }
        let number = u32::try_from(all.len()).unwrap_or(u32::MAX);
        let made = Arc::new(DatabaseCache::new(&target.server_database, number, self.store.clone()));
        all.insert(key, made.clone());
        // Without the control plane nothing is told, and nothing is kept that needs it.
        let _ = self.wanted.send(Wanted { cache: made.clone(), target: target.clone() });
        made
    }

    /// All of them.
    pub fn all(&self) -> Vec<Arc<DatabaseCache>> {
        lock(&self.all).values().cloned().collect()
    }
}

impl DatabaseCache {
    fn new(name: &str, number: u32, store: Arc<Store>) -> DatabaseCache {
        DatabaseCache {
            name: name.to_owned(),
            number,
            feed: Feed::new(number, store.tags().clone(), WAITING),
            store,
            source: RwLock::default(),
            lost: Mutex::default(),
        }
    }

    /// A table of this database.
    pub fn relation(&self, oid: u32) -> Relation {
        Relation { database: self.number, oid }
    }

    /// Changes come from there; `None`: from nowhere any more.
    pub fn set_source(&self, source: Option<Arc<dyn Source>>) {
        let before =
            std::mem::replace(&mut *self.source.write().unwrap_or_else(PoisonError::into_inner), source);
        drop(before);
    }

    /// A table is to be followed by the stream.
    pub fn want(&self, relation: Relation) {
        self.with_source(|source| source.want(relation.oid));
    }

    /// Somebody reads by the cache, and would be glad of news.
    #[inline]
    pub fn used(&self) {
        self.with_source(|source| source.used());
    }

    fn with_source(&self, tell: impl FnOnce(&dyn Source)) {
        if let Some(source) = &*self.source.read().unwrap_or_else(PoisonError::into_inner) {
            tell(&**source);
        }
    }

    /// A shape by which results are to be told apart, and whether that is so already.
    pub fn usable(&self, relation: Relation, columns: &[i16], as_of: Option<Instant>, now: Instant) -> bool {
        if self.feed.registry().usable(relation, columns, as_of) {
            return true;
        }
        self.feed.registry().register(relation, &Shape::new(columns), now);
        false
    }

    /// What a write had in doubt was acknowledged at this instant, and its client was not told yet.
    pub fn acknowledged(&self, doubt: Doubt, at: Instant) {
        self.feed.acknowledged(doubt, at);
        self.used();
    }

    /// It is not known what became of a write, and it may be committed later.
    pub fn unknown(&self, doubt: Doubt, now: Instant) {
        lock(&self.lost).push((now, doubt));
    }

    /// Ends doubts of writes that were lost long ago. To be called from time to time.
    pub fn tick(&self, now: Instant) {
        let ended: Vec<_> = lock(&self.lost)
            .extract_if(.., |(since, _)| now.saturating_duration_since(*since) >= UNKNOWN)
            .collect();
        drop(ended);
    }

    /// Definitions have changed.
    pub fn redefined(&self) {
        self.store.tags().bump(&[Tag::definitions(self.number)]);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache() -> (Arc<DatabaseCache>, Tag) {
        let store = Caches::new(1 << 20).0.store().clone();
        let cache = Arc::new(DatabaseCache::new("shop", 0, store));
        let tag = Tag::table(cache.relation(7));
        (cache, tag)
    }

    #[test]
    fn a_write_waits_for_the_stream_if_there_is_one() {
        let (cache, tag) = cache();
        let tags = cache.store.tags().clone();
        let before = tags.read(&[tag]).expect("no doubt");
        cache.acknowledged(tags.doubt(&[tag]), Instant::now());
        assert!(tags.read(&[tag]).is_some() && tags.holds(&before).is_err(), "bumped, without a stream");
        cache.feed.reached(Instant::now());
        let (before, at) = (tags.read(&[tag]).expect("no doubt"), Instant::now());
        cache.acknowledged(tags.doubt(&[tag]), at);
        assert!(tags.read(&[tag]).is_none());
        cache.feed.reached(at);
        assert!(tags.holds(&before).is_ok(), "what it has changed, the stream has told");
        cache.acknowledged(tags.doubt(&[tag]), at + Duration::from_secs(1));
        cache.feed.lost();
        assert!(tags.read(&[tag]).is_some() && tags.holds(&before).is_err());
        assert!(cache.feed.as_of().is_none());
    }

    #[test]
    fn a_lost_write_stays_in_doubt_for_a_while() {
        let (cache, tag) = cache();
        let (tags, now) = (cache.store.tags().clone(), Instant::now());
        cache.unknown(tags.doubt(&[tag]), now);
        cache.tick(now + UNKNOWN / 2);
        assert!(tags.read(&[tag]).is_none());
        cache.tick(now + UNKNOWN);
        assert!(tags.read(&[tag]).is_some());
    }
}
