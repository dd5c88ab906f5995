//! A worker's table of what it counts of statements.
//!
//! A statement finds its [`Tally`] by its text: as a whole, among those seen last; else by what is left of it without the literals that are
//! plain to see; else by its shape. The table is bounded: for a shape that is new while it is full, one makes room that has cost little since the table
//! was last collected, the least of some taken at random; what that had is added to all others of its user. So what costs much stays, and is counted exactly.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;

use foldhash::fast::RandomState;
use xxhash_rust::xxh3::xxh3_128;

use super::closer::{Closely, Wants};
use crate::sql::{Dialect, Lately, mask, shape};
use crate::stats::tally::{Answer, Habits, TOTAL, Taken, Tally, Who};

/// Texts whose tally is found at once.
const RECENT: usize = 1024;
/// So many keys are kept for each shape that may be counted.
const KEYS_PER_SHAPE: usize = 4;
/// Combinations of database, user and application; more are counted as one, without a name.
const IDENTITIES: usize = 1000;
/// So many are looked at for one that makes room.
const SAMPLES: usize = 8;
/// A tally that was not used while it was collected so often is dropped.
const QUIET: u8 = 6;
/// So much of a shape is kept, in bytes.
const LONGEST: usize = 4096;
/// Spreads the keys of identities.
const SPREAD: u128 = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835;

/// Stands for a text in which what is a literal cannot be told.
pub const UNREAD: &str = "(a text that was not read)";
/// Stands for all shapes without a tally of their own.
const OTHERS: &str = "(other statements)";

/// Who sends statements, as a worker knows it.
#[derive(Debug)]
pub struct Identity {
    who: Arc<Who>,
    number: u64,
    others: Rc<Tally>,
}

impl Identity {
    /// Whether a tally is one of its own, and still in the table.
    #[inline]
    pub fn has(&self, tally: &Tally) -> bool {
        tally.number == self.number && !tally.gone.get()
    }
}

/// The table.
#[derive(Debug, Default)]
pub struct Digests {
    /// How many shapes are counted by themselves; 0: nothing is counted.
    limit: Cell<usize>,
    inner: RefCell<Inner>,
    /// What is looked at more closely.
    pub closely: Closely,
}

#[derive(Debug, Default)]
struct Inner {
    named: u64,
    identities: HashMap<Who, Rc<Identity>>,
    tallies: HashMap<Place, Kept, RandomState>,
    /// Their places, in any order.
    places: Vec<Place>,
    /// Where those are counted that have no place, by identity.
    others: HashMap<u64, Rc<Tally>>,
    random: u64,
    lately: Lately<Rc<Tally>>,
    recent: Vec<Option<(u128, Rc<Tally>)>>,
    keys: HashMap<u128, Rc<Tally>, RandomState>,
    masked: Vec<u8>,
    /// Bytes for samples, which those of a shape that goes give back.
    room: Rc<Cell<usize>>,
}

/// The number of an identity, and a fingerprint.
type Place = (u64, u128);

#[derive(Debug)]
struct Kept {
    tally: Rc<Tally>,
    quiet: u8,
    /// Where its place stands among the places.
    at: usize,
}

impl Digests {
    /// Counts, and looks at, what is wanted from now on.
    pub fn set(&self, wants: &Wants) {
        self.set_limit(wants.statements);
        self.closely.set(wants);
        self.inner.borrow_mut().room = self.closely.room();
    }

    /// Counts so many shapes by themselves from now on; 0: nothing.
    pub fn set_limit(&self, limit: usize) {
        self.limit.set(limit);
        let inner = &mut *self.inner.borrow_mut();
        if limit == 0 {
            inner.tallies.values().for_each(|kept| kept.tally.gone.set(true));
            // Sessions may have theirs yet, whose numbers are nobody else's.
            *inner = Inner { named: inner.named, ..Inner::default() };
        }
        while inner.tallies.len() > limit
            && let Some((place, _)) = inner.cheapest()
        {
            inner.evict(place);
        }
    }

    /// Whether anything is counted.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.limit.get() > 0
    }

    /// Somebody who sends statements.
    pub fn identity(&self, who: &Who) -> Rc<Identity> {
        let mut inner = self.inner.borrow_mut();
        if let Some(known) = inner.identities.get(who) {
            return known.clone();
        }
        let who = if inner.identities.len() < IDENTITIES { who.clone() } else { Who::default() };
        if let Some(known) = inner.identities.get(&who) {
            return known.clone();
        }
        inner.named += 1;
        let (number, shared) = (inner.named, Arc::new(who.clone()));
        let others = Tally::new(shared.clone(), number, 0, OTHERS.into());
        inner.others.insert(number, others.clone());
        let identity = Rc::new(Identity { who: shared, number, others });
        inner.identities.insert(who, identity.clone());
        identity
    }

    /// Where a statement with this text is counted. `None` in the place of the text: it is not known how it is read.
    #[inline]
    pub fn find(&self, identity: &Identity, text: Option<(&[u8], Dialect)>) -> Rc<Tally> {
        let mut inner = self.inner.borrow_mut();
        let Some((text, dialect)) = text else { return inner.tally(identity, None, self.limit.get()) };
        if !dialect.std_strings() || dialect.is_wide() {
            return inner.tally(identity, Some((text, dialect)), self.limit.get());
        }
        let is = |tally: &Rc<Tally>| identity.has(tally);
        if let Some(tally) = inner.lately.find((identity.number, text), is, |_, _| {}) {
            return tally.clone();
        }
        let key = xxh3_128(text) ^ u128::from(identity.number).wrapping_mul(SPREAD);
        let slot = key as usize % RECENT;
        if let Some(Some((known, tally))) = inner.recent.get(slot)
            && *known == key
            && !tally.gone.get()
        {
            return tally.clone();
        }
        let tally = inner.by_mask(identity, (text, dialect), self.limit.get());
        if inner.recent.is_empty() {
            inner.recent.resize(RECENT, None);
        }
        inner.recent[slot] = Some((key, tally.clone()));
        tally
    }

    /// Counts an answer.
    #[inline]
    pub fn count(&self, tally: &Rc<Tally>, answer: &Answer) {
        tally.sums.borrow_mut().add(answer);
        self.keep(tally);
    }

    /// Counts how they came in a transaction block.
    pub fn count_block(&self, tally: &Rc<Tally>, habits: &Habits) {
        tally.sums.borrow_mut().habits.merge(habits);
        self.keep(tally);
    }

    /// One that was let go, because nothing came for it for a while, is back when something does.
    #[inline]
    fn keep(&self, tally: &Rc<Tally>) {
        if tally.gone.get() && self.is_on() {
            self.inner.borrow_mut().put_back(tally, self.limit.get());
        }
    }

    /// Takes what was counted since the last time.
    pub fn collect(&self) -> Vec<Taken> {
        let inner = &mut *self.inner.borrow_mut();
        let mut taken = vec![];
        for kept in inner.tallies.values_mut() {
            let sums = kept.tally.sums.take();
            kept.quiet = if sums.is_nothing() { kept.quiet.saturating_add(1) } else { 0 };
            if !sums.is_nothing() {
                self.closely.learn(&kept.tally, &sums);
                taken.push(take(&kept.tally, sums));
            }
        }
        for tally in inner.others.values() {
            let sums = tally.sums.take();
            if !sums.is_nothing() {
                taken.push(take(tally, sums));
            }
        }
        inner.tidy();
        self.closely.begin();
        taken
    }

    /// What rules say of statements holds no more.
    pub fn forget_rules(&self) {
        self.inner.borrow().tallies.values().for_each(|kept| kept.tally.slow_from.set(0));
    }

    /// What was taken did not arrive: it is counted again.
    pub fn give_back(&self, taken: Vec<Taken>) {
        for one in taken {
            let identity = self.identity(&one.who);
            let inner = self.inner.borrow();
            let known = inner.tallies.get(&(one.number, one.fingerprint)).map(|kept| kept.tally.clone());
            let tally = known.unwrap_or_else(|| identity.others.clone());
            tally.sums.borrow_mut().merge(&one.sums);
        }
    }

    /// How many shapes have a tally of their own.
    pub fn len(&self) -> usize {
        self.inner.borrow().tallies.len()
    }

    /// Whether none has.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn take(tally: &Tally, sums: crate::stats::tally::Sums) -> Taken {
    let (who, text) = (tally.who.clone(), tally.text.clone());
    let closer = tally.closer.take();
    Taken { who, number: tally.number, fingerprint: tally.fingerprint, text, sums, closer }
}

impl Inner {
    /// By what is left of a text without the literals that are plain to see.
    fn by_mask(&mut self, identity: &Identity, (text, dialect): (&[u8], Dialect), limit: usize) -> Rc<Tally> {
        let mut masked = std::mem::take(&mut self.masked);
        let key = mask(text, &mut masked)
            .then(|| xxh3_128(&masked) ^ u128::from(identity.number).wrapping_mul(SPREAD));
        masked.shrink_to(64 * 1024);
        let known = key.and_then(|key| self.keys.get(&key)).filter(|tally| !tally.gone.get()).cloned();
        let tally = known.unwrap_or_else(|| {
            let tally = self.tally(identity, Some((text, dialect)), limit);
            if self.keys.len() >= limit.saturating_mul(KEYS_PER_SHAPE) {
                self.keys.clear();
            }
            key.into_iter().for_each(|key| drop(self.keys.insert(key, tally.clone())));
            tally
        });
        if key.is_some() && self.lately.takes(text) {
            self.lately.note((tally.number, text), &masked, tally.clone());
        }
        self.masked = masked;
        tally
    }

    /// By the shape of a text.
    fn tally(&mut self, identity: &Identity, text: Option<(&[u8], Dialect)>, limit: usize) -> Rc<Tally> {
        let (fingerprint, shape) = match text.map(|(text, dialect)| shape(text, dialect)) {
            // Where the reader has come upon what PostgreSQL does not take, anything may stand, also a literal.
            Some(shape) if !shape.text.contains(&0) => (shape.fingerprint.0, Some(shape)),
            _ => (xxh3_128(UNREAD.as_bytes()), None),
        };
        let place = (identity.number, fingerprint);
        if let Some(kept) = self.tallies.get(&place) {
            return kept.tally.clone();
        }
        let dialect = text.map_or(true.into(), |(_, dialect)| dialect);
        let kept = shape.map_or(UNREAD.to_owned(), |shape| readable(&shape.kept(dialect)));
        let tally = Tally::new(identity.who.clone(), identity.number, fingerprint, kept.into());
        while self.tallies.len() >= limit {
            match self.cheapest() {
                Some((place, _)) => self.evict(place),
                None => return identity.others.clone(),
            }
        }
        self.others.entry(identity.number).or_insert_with(|| identity.others.clone());
        self.put(&tally);
        tally
    }

    fn put(&mut self, tally: &Rc<Tally>) {
        let place = (tally.number, tally.fingerprint);
        tally.gone.set(false);
        self.tallies.insert(place, Kept { tally: tally.clone(), quiet: 0, at: self.places.len() });
        self.places.push(place);
    }

    /// A tally that has made room has counted something: it comes back if another one costs less.
    fn put_back(&mut self, tally: &Rc<Tally>, limit: usize) {
        if let Some(known) = self.tallies.get(&(tally.number, tally.fingerprint)) {
            return known.tally.sums.borrow_mut().merge(&tally.sums.take());
        }
        if self.tallies.len() >= limit {
            match self.cheapest().filter(|(_, cost)| *cost < tally.sums.borrow().micros[TOTAL]) {
                Some((place, _)) => self.evict(place),
                None => return self.add_to_others(tally),
            }
        }
        self.put(tally);
    }

    /// Of some that are taken at random, the one that has cost least, and what that is.
    fn cheapest(&mut self) -> Option<(Place, u64)> {
        let mut cheapest = None;
        for _ in 0..SAMPLES {
            // An xorshift will do.
            self.random = if self.random == 0 { 0x9e37_79b9_7f4a_7c15 } else { self.random };
            self.random ^= self.random << 13;
            self.random ^= self.random >> 7;
            self.random ^= self.random << 17;
            let place = *self.places.get((self.random % self.places.len().max(1) as u64) as usize)?;
            let cost = self.tallies.get(&place)?.tally.sums.borrow().micros[TOTAL];
            if cheapest.is_none_or(|(_, least)| cost < least) {
                cheapest = Some((place, cost));
            }
        }
        cheapest
    }

    /// Takes a tally out of the table; what it has goes to the others.
    fn evict(&mut self, place: Place) {
        let Some(Kept { tally, at, .. }) = self.tallies.remove(&place) else { return };
        self.places.swap_remove(at);
        if let Some(kept) = self.places.get(at).and_then(|moved| self.tallies.get_mut(moved)) {
            kept.at = at;
        }
        tally.gone.set(true);
        if let Some(closer) = tally.closer.take() {
            self.room.set(self.room.get() + closer.samples.size());
        }
        self.add_to_others(&tally);
    }

    fn add_to_others(&mut self, tally: &Tally) {
        let sums = tally.sums.take();
        if !sums.is_nothing()
            && let Some(others) = self.others.get(&tally.number)
        {
            others.sums.borrow_mut().merge(&sums);
        }
    }

    /// Drops what was not used for a while.
    fn tidy(&mut self) {
        let quiet: Vec<Place> =
            self.tallies.iter().filter(|(_, kept)| kept.quiet >= QUIET).map(|(place, _)| *place).collect();
        quiet.into_iter().for_each(|place| self.evict(place));
        self.keys.retain(|_, tally| !tally.gone.get());
        self.lately.retain(|tally| !tally.gone.get());
        for slot in &mut self.recent {
            slot.take_if(|(_, tally)| tally.gone.get());
        }
        let used: HashSet<u64> = self.places.iter().map(|(number, _)| *number).collect();
        let stays = |identity: &Rc<Identity>| {
            Rc::strong_count(identity) > 1
                || used.contains(&identity.number)
                // A statement under way holds it.
                || Rc::strong_count(&identity.others) > 2
        };
        self.identities.retain(|_, identity| stays(identity));
        let known: HashSet<u64> = self.identities.values().map(|identity| identity.number).collect();
        self.others.retain(|number, _| known.contains(number));
    }
}

/// A shape as text, cut off where it is too long.
fn readable(shape: &[u8]) -> String {
    let cut = &shape[..shape.len().min(LONGEST)];
    let mut text = String::from_utf8_lossy(cut).into_owned();
    if cut.len() < shape.len() {
        text.push_str(" ...");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::tally::Served;

    fn who(application: &str) -> Who {
        Who { database: "shop".into(), user: "app".into(), application: application.into() }
    }

    fn digests(limit: usize) -> (Digests, Rc<Identity>) {
        let digests = Digests::default();
        digests.set_limit(limit);
        let identity = digests.identity(&who("web"));
        (digests, identity)
    }

    fn answer(micros: u64) -> Answer {
        let times = Some([0, micros, 0, 0, micros]);
        Answer { served: Served::Primary, rows: 1, bytes: 10, error: None, times }
    }

    fn run(digests: &Digests, identity: &Identity, text: &str, micros: u64) {
        let tally = digests.find(identity, Some((text.as_bytes(), true.into())));
        digests.count(&tally, &answer(micros));
    }

    fn collected(digests: &Digests) -> Vec<(String, u64)> {
        let taken = digests.collect();
        let mut all: Vec<_> = taken.iter().map(|one| (one.text.to_string(), one.sums.calls)).collect();
        all.sort();
        all
    }

    #[test]
    fn statements_are_counted_by_shape_and_by_who_sends_them() {
        let (digests, web) = digests(10);
        let jobs = digests.identity(&who("jobs"));
        for n in 0..5 {
            run(&digests, &web, &format!("select * from t where i = {n}"), 10);
            run(&digests, &web, &format!("SELECT *  from t where i = {n} -- {n}"), 10);
        }
        run(&digests, &jobs, "select * from t where i = 7", 10);
        run(&digests, &web, "select E'\\' 1' , $$2$$", 10);
        let taken = digests.collect();
        let mut found: Vec<_> =
            taken.iter().map(|one| (&*one.who.application, &*one.text, one.sums.calls)).collect();
        found.sort_unstable();
        let expected = [
            ("jobs", "select * from t where i = $1", 1),
            ("web", "select $1, $2", 1),
            ("web", "select * from t where i = $1", 10),
        ];
        assert_eq!(found, expected);
        assert!(digests.collect().is_empty(), "it was taken");
        run(&digests, &web, "select * from t where i = 1", 10);
        assert_eq!(collected(&digests), [("select * from t where i = $1".to_owned(), 1)]);
    }

    #[test]
    fn what_cannot_be_read_is_counted_without_its_words() {
        let (digests, web) = digests(10);
        for text in
            ["select 'secret", "select $a$secret", "select \"secret", "/* secret", "select '' \u{1} secret"]
        {
            run(&digests, &web, text, 1);
        }
        digests.count(&digests.find(&web, None), &answer(1));
        let found = collected(&digests);
        assert_eq!(found, [(UNREAD.to_owned(), 6)]);
    }

    #[test]
    fn a_full_table_makes_room_for_what_costs_most() {
        let (digests, web) = digests(100);
        for round in 0..3 {
            for n in 0..1000 {
                run(&digests, &web, &format!("select c{n} from t{round}"), 1);
                run(&digests, &web, "select heavy", 1000);
            }
            assert!(digests.len() <= 100);
            let found = collected(&digests);
            assert_eq!(found.iter().map(|(_, calls)| calls).sum::<u64>(), 2000, "nothing is lost");
            let heavy = found.iter().find(|(text, _)| text == "select heavy");
            assert!(heavy.is_some_and(|(_, calls)| *calls >= 990), "{round}: {heavy:?}");
            assert!(found.iter().any(|(text, _)| text == OTHERS));
        }
    }

    #[test]
    fn what_is_rare_and_dear_finds_a_place_among_what_is_common_and_cheap() {
        let (digests, web) = digests(100);
        for n in 0..100 {
            // In a pipeline: all are sent before one is answered.
            let find = |text: &str| digests.find(&web, Some((text.as_bytes(), true.into())));
            let mut sent: Vec<_> = (0..500).map(|m| find(&format!("select c{n}_{m}"))).collect();
            sent.insert(0, find("select dear"));
            sent.iter().for_each(|tally| digests.count(tally, &answer(1)));
            digests.count(&sent[0], &answer(5000));
        }
        let found = collected(&digests);
        let dear = found.iter().find(|(text, _)| text == "select dear").map(|(_, calls)| *calls);
        assert!(dear.is_some_and(|calls| calls >= 195), "{dear:?}");
        assert_eq!(found.iter().map(|(_, calls)| calls).sum::<u64>(), 100 * 502);
    }

    #[test]
    fn a_tally_that_has_gone_comes_back_with_what_it_counts() {
        let (digests, web) = digests(10);
        let tally = digests.find(&web, Some((b"select 1", true.into())));
        digests.count(&tally, &answer(1));
        for _ in 0..10 {
            digests.collect();
        }
        assert!(tally.gone.get() && digests.is_empty());
        digests.count(&tally, &answer(1));
        run(&digests, &web, "select 2", 1);
        assert_eq!(collected(&digests), [("select $1".to_owned(), 2)]);
    }

    #[test]
    fn what_did_not_arrive_is_taken_again() {
        let (digests, web) = digests(10);
        run(&digests, &web, "select 1", 1);
        digests.give_back(digests.collect());
        assert_eq!(collected(&digests), [("select $1".to_owned(), 1)]);
        digests.set_limit(0);
        assert!(!digests.is_on() && digests.is_empty());
    }

    #[test]
    fn too_many_applications_are_counted_as_one() {
        let (digests, _) = digests(100);
        let kept: Vec<_> = (0..IDENTITIES * 2).map(|n| digests.identity(&who(&format!("a{n}")))).collect();
        let nameless = kept.iter().filter(|identity| identity.who.application.is_empty()).count();
        assert!(nameless >= IDENTITIES && digests.inner.borrow().identities.len() <= IDENTITIES + 1);
        drop(kept);
        digests.collect();
        assert!(digests.inner.borrow().identities.is_empty());
    }
}
