//! The result caches of databases, which all workers share.
//!
//! There is one store of results for the process, and for each database what makes its results right: its number in tags and keys, how far
//! its replication stream has come, and the writes that wait for that. A database has one as soon as a rule keeps answers of its reads.
//! The stream is the control plane's; it is asked for tables here, and tells what it hears by the methods of [`DatabaseCache`].

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::bypass::Bypass;
use super::shared::{lock, place};
use super::verified::Verifications;
use crate::cache::{Doubt, Feed, Limits, Relation, Shape, Store, Tag, Tags, Told};
use crate::catalog::{Beside, Contents, Definitions};
use crate::config::settings::Host;
use crate::pool::Target;
use crate::rules::{Ruleset, TableFacts};

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
    /// What it is doing.
    fn standing(&self) -> Standing;
}

/// What a source of changes is doing, at one time.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    /// By a name that does not change.
    pub state: &'static str,
    /// It hears what is changed.
    pub is_live: bool,
    /// Why it does not, in the server's words, where it said any; else a table that it does not tell of, and why.
    pub reason: Option<String>,
    /// Since when it has not come to where the database was then; `None`: it is not behind.
    pub behind_since: Option<Instant>,
    /// Commits that it has told and that are not visible yet.
    pub limbo: usize,
    /// Since when the oldest of them is among them.
    pub oldest_in_limbo: Option<Instant>,
    /// Tables whose changes it tells.
    pub followed: usize,
    /// Tables whose changes it was asked for.
    pub wanted: usize,
}

/// What of before some instant is not over for a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsettled {
    /// The stream has not come to that instant.
    Stream,
    /// So many commits that the stream has told are not visible, the oldest from before.
    Limbo(usize),
    /// So many writes are in doubt, the oldest from before.
    Doubts(usize),
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
    all: Mutex<All>,
    rules: Mutex<Arc<Ruleset>>,
    wanted: mpsc::UnboundedSender<Wanted>,
}

/// Those there are, by what has the same contents, and how many there were.
#[derive(Debug, Default)]
struct All {
    known: HashMap<String, Arc<DatabaseCache>>,
    made: u32,
}

/// The cache of one database.
#[derive(Debug)]
pub struct DatabaseCache {
    /// Its name on its server.
    pub name: String,
    /// Its name as the first client called it that read by the cache.
    pub database: String,
    /// Where it is.
    pub hosts: Vec<Host>,
    /// Its number in tags and keys.
    pub number: u32,
    /// The results, of all databases.
    pub store: Arc<Store>,
    /// What its stream tells: how far it has come, and of which tables.
    pub feed: Feed,
    /// Hits that were run again on the primary.
    pub verified: Verifications,
    bypass: Bypass,
    source: RwLock<Option<Arc<dyn Source>>>,
    /// Those of writes that were lost, and since when.
    lost: Mutex<Vec<(Instant, Doubt)>>,
    facts: RwLock<Arc<TableFacts>>,
    /// What its statements are judged by: one for all sessions, but where a database has moved with a reload.
    definitions: RwLock<Vec<Arc<Definitions<Contents>>>>,
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
        (Caches { store, all: Mutex::default(), rules: Mutex::default(), wanted }, all_wanted)
    }

    /// These rules are in force: what they say of tables counts for what is told from now on.
    pub fn take_rules(&self, rules: Arc<Ruleset>) {
        // Before the list of caches is looked at: one that is made meanwhile finds them.
        *lock(&self.rules) = rules.clone();
        self.all().iter().for_each(|cache| cache.take_facts(TableFacts::of(&rules, &cache.database)));
    }

    /// The results of all.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// That of a database, made when it is asked for first.
    pub fn of(&self, target: &Arc<Target>) -> Arc<DatabaseCache> {
        let key = place(&target.hosts, &target.server_database);
        let mut all = lock(&self.all);
        if let Some(known) = all.known.get(&key) {
            return known.clone();
        }
        let number = all.made;
        all.made = all.made.saturating_add(1);
        let names = (&*target.database, &*target.server_database);
        let made = Arc::new(DatabaseCache::new(names, &target.hosts, number, self.store.clone()));
        made.take_facts(TableFacts::of(&lock(&self.rules).clone(), &made.database));
        all.known.insert(key, made.clone());
        // Without the control plane nothing is told, and nothing is kept that needs it.
        let _ = self.wanted.send(Wanted { cache: made.clone(), target: target.clone() });
        made
    }

    /// The database of this one is there no more: what is kept of it goes, and who has it yet finds nothing in it. A database that comes to this place later has another.
    pub fn retire(&self, cache: &DatabaseCache) {
        lock(&self.all).known.remove(&place(&cache.hosts, &cache.name));
        cache.set_source(None);
        cache.stream_lost();
        cache.redefined();
        self.store.flush_database(cache.number);
    }

    /// All of them, in the order in which they were made.
    pub fn all(&self) -> Vec<Arc<DatabaseCache>> {
        let mut all: Vec<_> = lock(&self.all).known.values().cloned().collect();
        all.sort_by_key(|cache| cache.number);
        all
    }
}

impl DatabaseCache {
    fn new((database, name): (&str, &str), hosts: &[Host], number: u32, store: Arc<Store>) -> DatabaseCache {
        DatabaseCache {
            name: name.to_owned(),
            database: database.to_owned(),
            hosts: hosts.to_vec(),
            number,
            feed: Feed::new(number, store.tags().clone(), WAITING),
            store,
            verified: Verifications::default(),
            bypass: Bypass::default(),
            source: RwLock::default(),
            lost: Mutex::default(),
            facts: RwLock::default(),
            definitions: RwLock::default(),
        }
    }

    /// What rules say of its tables.
    pub fn facts(&self) -> Arc<TableFacts> {
        self.facts.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Rules say this of its tables from now on. What is kept was kept by what they said before, and goes.
    fn take_facts(&self, facts: TableFacts) {
        let mut current = self.facts.write().unwrap_or_else(PoisonError::into_inner);
        if **current != facts {
            *current = Arc::new(facts);
            self.store.tags().bump(&[Tag::everything(self.number)]);
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

    /// Somebody reads by a level that needs the stream.
    #[inline]
    pub fn needed(&self, now: Instant) {
        if !self.bypass.is_needed() {
            self.bypass.need(now, || self.feed.as_of().is_none());
        }
    }

    /// For how long, all together, there was no stream though reads needed it.
    pub fn bypassed(&self, now: Instant) -> Duration {
        self.bypass.total(now)
    }

    /// What its stream is doing; `None`: it has none yet, or none any more.
    pub fn standing(&self) -> Option<Standing> {
        self.with_source(|source| source.standing())
    }

    fn with_source<T>(&self, tell: impl FnOnce(&dyn Source) -> T) -> Option<T> {
        let source = self.source.read().unwrap_or_else(PoisonError::into_inner);
        source.as_deref().map(tell)
    }

    /// A shape by which results are to be told apart, and whether that is so already.
    pub fn usable(&self, relation: Relation, columns: &[i16], as_of: Option<Instant>, now: Instant) -> bool {
        let usable = self.feed.registry().usable(relation, columns, as_of);
        if !usable {
            self.want_shape(relation, columns, now);
        }
        usable
    }

    fn want_shape(&self, relation: Relation, columns: &[i16], now: Instant) {
        self.feed.registry().register(relation, &Shape::new(columns), now);
        self.used();
    }

    /// On what a result may depend that reads rows with certain values of these columns; of none, any row. It is asked for the shape that would tell them apart, if that is not so already. `None`:
    /// the stream does not tell of the table yet.
    pub fn told(
        &self,
        relation: Relation,
        columns: &[i16],
        as_of: Option<Instant>,
        now: Instant,
    ) -> Option<Told> {
        let told = self.feed.registry().told(relation, columns, as_of)?;
        if told.shape.is_none() && !columns.is_empty() {
            self.want_shape(relation, columns, now);
        }
        Some(told)
    }

    /// What a write had in doubt was acknowledged at this instant, and its client was not told yet. Nobody is in a hurry for the end of the doubt but
    /// who reads.
    pub fn acknowledged(&self, doubt: Doubt, at: Instant) {
        self.feed.acknowledged(doubt, at);
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

    /// All commits that were visible before `at` have been told.
    pub fn reached(&self, at: Instant) {
        self.feed.reached(at);
        self.bypass.ends(Instant::now());
    }

    /// The stream is lost: anything may have happened.
    pub fn stream_lost(&self) {
        self.feed.lost();
        self.bypass.begins(Instant::now());
    }

    /// Definitions have changed.
    pub fn redefined(&self) {
        self.store.tags().bump(&[Tag::definitions(self.number)]);
    }

    /// Statements of a session that has this cache are judged by these.
    pub fn judged_by(&self, definitions: &Arc<Definitions<Contents>>) {
        let mut all = self.definitions.write().unwrap_or_else(PoisonError::into_inner);
        if !all.iter().any(|known| Arc::ptr_eq(known, definitions)) {
            all.push(definitions.clone());
        }
    }

    fn any_definitions(&self, is: impl Fn(&Definitions<Contents>) -> bool) -> bool {
        let all = self.definitions.read().unwrap_or_else(PoisonError::into_inner);
        // Each is asked: it may be told something by that.
        all.iter().filter(|one| is(one)).count() > 0
    }

    /// Others than pgweir have changed definitions, and every new snapshot shows it. What is kept of before goes when tags are bumped next; nothing new is
    /// kept, nor counts as a read, until the catalog was read again.
    pub fn redefined_by_others(&self) {
        self.any_definitions(|definitions| {
            definitions.outdated();
            true
        });
    }

    /// This is what answers depend on beside rows, and it is told again before `until`.
    pub fn beside(&self, beside: &Beside, until: Instant) {
        // In this order: who finds the new versions of tags does not judge by the old definitions.
        if self.any_definitions(|definitions| definitions.seen(beside, until)) {
            self.redefined();
        }
    }

    /// Why no read is answered out of it though it has a stream; `None`: they are.
    pub fn pause(&self) -> Option<&'static str> {
        let uncertain = "definitions may have changed: they are read again before anything is looked up";
        (!self.any_definitions(Definitions::is_certain)).then_some(uncertain)
    }

    /// Writes in doubt whose sessions have done with them: acknowledged ones that wait for the stream, and those that were lost on their way.
    pub fn doubts(&self) -> usize {
        self.feed.waiting().0 + lock(&self.lost).len()
    }

    /// Since when the oldest of these is in doubt.
    pub fn oldest_doubt(&self) -> Option<Instant> {
        let lost = lock(&self.lost).iter().map(|(since, _)| *since).min();
        self.feed.waiting().1.into_iter().chain(lost).min()
    }

    /// What of before `at` is not over; `None`: the stream has told all that was visible then, and what it and sessions had in doubt then is so no
    /// more. Where no stream is live, nothing is served that would have to wait for one.
    pub fn unsettled(&self, at: Instant) -> Option<Unsettled> {
        let standing = self.standing().unwrap_or_default();
        match self.feed.as_of() {
            None if !standing.is_live => return None,
            Some(as_of) if as_of >= at => {}
            _ => return Some(Unsettled::Stream),
        }
        let is_before = |since: Option<Instant>| since.is_some_and(|since| since <= at);
        if is_before(standing.oldest_in_limbo) {
            return Some(Unsettled::Limbo(standing.limbo));
        }
        is_before(self.oldest_doubt()).then(|| Unsettled::Doubts(self.doubts()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache() -> (Arc<DatabaseCache>, Tag) {
        let store = Caches::new(1 << 20).0.store().clone();
        let cache = Arc::new(DatabaseCache::new(("shop", "shop"), &[], 0, store));
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

    #[derive(Debug)]
    struct Scripted(Mutex<Standing>);

    impl Source for Scripted {
        fn want(&self, _: u32) {}

        fn used(&self) {}

        fn standing(&self) -> Standing {
            lock(&self.0).clone()
        }
    }

    #[test]
    fn a_barrier_waits_for_stream_limbo_and_doubts() {
        let (cache, tag) = cache();
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(cache.unsettled(at(0)), None, "there is no stream");
        let live = Standing { state: "streaming", is_live: true, ..Standing::default() };
        let source = Arc::new(Scripted(Mutex::new(Standing { is_live: false, ..live.clone() })));
        cache.set_source(Some(source.clone()));
        assert_eq!(cache.unsettled(at(0)), None, "it is not live");
        *lock(&source.0) = live.clone();
        assert_eq!(cache.unsettled(at(0)), Some(Unsettled::Stream));
        cache.reached(at(5));
        assert_eq!(cache.unsettled(at(6)), Some(Unsettled::Stream));
        assert_eq!(cache.unsettled(at(5)), None);
        *lock(&source.0) = Standing { limbo: 2, oldest_in_limbo: Some(at(4)), ..live.clone() };
        assert_eq!(cache.unsettled(at(3)), None);
        assert_eq!(cache.unsettled(at(5)), Some(Unsettled::Limbo(2)));
        *lock(&source.0) = live;
        cache.unknown(cache.store.tags().doubt(&[tag]), at(4));
        cache.acknowledged(cache.store.tags().doubt(&[tag]), at(9));
        assert_eq!((cache.doubts(), cache.oldest_doubt()), (2, Some(at(4))));
        assert_eq!(cache.unsettled(at(5)), Some(Unsettled::Doubts(2)));
        cache.tick(at(4) + UNKNOWN);
        assert_eq!(cache.unsettled(at(5)), None, "the other one is from later");
        cache.stream_lost();
        assert_eq!(
            cache.unsettled(at(5)),
            Some(Unsettled::Stream),
            "it lives, and has not come so far again"
        );
    }
}
