//! The store, one behaviour at a time.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use super::counts::{Eviction, Miss, Unstored};
use super::flight::{Alone, Filling, Following};
use super::gate::Gate;
use super::key::{Form, KeyBuffer, Parts};
use super::needs::Needs;
use super::store::{Limits, Lookup, Store};
use super::tag::{Relation, Tag};
use super::tags::Tags;
use crate::level::{Caching, OnStreamLoss};

pub(super) const MS: Duration = Duration::from_millis(1);

pub(super) const LIMITS: Limits = Limits {
    size: 1 << 20,
    entry: 10_000,
    filling: 1 << 20,
    followers: 2,
    wait: Duration::from_millis(50),
    second_use: false,
};

/// A store, and one database that it is asked for.
pub(super) struct Scene {
    pub store: Arc<Store>,
    pub gate: Gate,
    buffer: KeyBuffer,
}

pub(super) fn relation(oid: u32) -> Relation {
    Relation { database: 0, oid }
}

impl Scene {
    pub fn new(limits: Limits) -> Scene {
        let now = Instant::now();
        let gate = Gate {
            level: Caching::Session,
            now,
            fresh_as_of: Some(now),
            definitions_hold: true,
            floor: None,
            bound: Duration::from_secs(3600),
            ttl: Duration::from_secs(60),
            swr: Duration::ZERO,
            on_stream_loss: OnStreamLoss::Bypass,
        };
        let store = Store::new(Arc::new(Tags::new(1 << 16)), limits);
        Scene { store, gate, buffer: KeyBuffer::default() }
    }

    /// Looks up a text that reads any row of a table.
    pub fn lookup(&mut self, sql: &str, table: u32) -> Lookup {
        let mut needs = Needs::default();
        needs.begin(0);
        needs.any_row(relation(table));
        self.lookup_as(sql, || Some(&needs))
    }

    pub fn lookup_as<'n>(&mut self, sql: &str, needs: impl FnOnce() -> Option<&'n Needs>) -> Lookup {
        let parts = Parts {
            database: 0,
            form: Form::Simple,
            user: b"app",
            settings: b"",
            sql: sql.as_bytes(),
            types: b"",
            bind: b"",
        };
        let key = self.buffer.key(&parts).expect("a short key");
        self.store.lookup(&key, &self.gate, needs)
    }

    fn filling(&mut self, sql: &str) -> Filling {
        match self.lookup(sql, 1) {
            Lookup::Fill(filling) => filling,
            other => panic!("{sql} is not to be filled: {other:?}"),
        }
    }

    fn following(&mut self, sql: &str) -> Following {
        match self.lookup(sql, 1) {
            Lookup::Follow(following) => following,
            other => panic!("{sql} is not under way: {other:?}"),
        }
    }

    fn miss(&mut self, sql: &str) -> Miss {
        match self.lookup(sql, 1) {
            Lookup::Miss(why) | Lookup::Closed(why, _) => why,
            other => panic!("{sql} is no miss: {other:?}"),
        }
    }

    fn hit(&mut self, sql: &str) -> Vec<u8> {
        match self.lookup(sql, 1) {
            Lookup::Hit(entry) => entry.answer().to_vec(),
            other => panic!("{sql} is no hit: {other:?}"),
        }
    }

    fn fill(&mut self, sql: &str, answer: &[u8]) -> Result<(), Unstored> {
        let filling = self.filling(sql);
        self.finish(filling, answer)
    }

    fn finish(&self, mut filling: Filling, answer: &[u8]) -> Result<(), Unstored> {
        answer.chunks(7).for_each(|bytes| filling.push(bytes));
        filling.finish(MS, self.gate.now).map(|_| ())
    }

    fn bump(&self, table: u32) {
        self.store.tags().bump(&[Tag::any_row(relation(table))]);
    }
}

#[test]
fn an_answer_is_kept_until_what_it_depends_on_changes() {
    let mut scene = Scene::new(LIMITS);
    assert_eq!(scene.fill("a", b"answer"), Ok(()));
    assert_eq!(scene.hit("a"), b"answer");
    scene.bump(2);
    assert_eq!(scene.hit("a"), b"answer");
    scene.bump(1);
    assert_eq!(scene.fill("a", b"other"), Ok(()));
    assert_eq!(scene.hit("a"), b"other");
    let counts = scene.store.counts();
    assert_eq!((counts.all_hits(), counts.stored, counts.entries), (3, 2, 1));
    assert_eq!(counts.hits[Caching::Session as usize], 3, "all of them at this level");
    assert_eq!((counts.missed(Miss::Absent), counts.missed(Miss::Invalidated)), (1, 1));
    assert_eq!(counts.evicted(Eviction::Invalidated), 1);
}

#[test]
fn what_changed_meanwhile_is_not_kept() {
    let mut scene = Scene::new(LIMITS);
    let filling = scene.filling("a");
    scene.bump(1);
    assert_eq!(scene.finish(filling, b"old"), Err(Unstored::Invalidated));
    let filling = scene.filling("a");
    let doubt = scene.store.tags().doubt(&[Tag::table(relation(1))]);
    assert_eq!(scene.finish(filling, b"old"), Err(Unstored::Invalidated));
    assert_eq!(scene.miss("a"), Miss::InDoubt);
    doubt.release();
    assert_eq!(scene.fill("a", b"new"), Ok(()));
    let doubt = scene.store.tags().doubt(&[Tag::everything(0)]);
    assert_eq!(scene.miss("a"), Miss::InDoubt);
    doubt.release();
    assert_eq!(scene.hit("a"), b"new");
}

#[test]
fn an_answer_may_be_known_by_its_rows() {
    let mut scene = Scene::new(LIMITS);
    let (table, tags) = (relation(1), scene.store.tags().clone());
    let row = |column: i16, value: &'static [u8]| Tag::values(Tag::shape(table, &[column]), [value]);
    let mut needs = Needs::default();
    needs.begin(0);
    needs.rows(table, &[2], [&b"x"[..]]);
    assert!(!needs.by_rows(table, &[3], &[1]), "nothing was said of such rows");
    assert!(needs.by_rows(table, &[2], &[1]));
    let look = |scene: &mut Scene| scene.lookup_as("a", || Some(&needs));
    let fill = |scene: &mut Scene, between: &dyn Fn()| {
        let Lookup::Fill(mut filling) = look(scene) else { panic!("it is to be filled") };
        filling.push(b"answer");
        assert_eq!(filling.answer(), b"answer");
        between();
        filling.told_by_rows(0, vec![row(1, b"7"), row(1, b"8")]);
        filling.finish(MS, scene.gate.now).map(|entry| entry.versions().len())
    };
    let is_hit = |scene: &mut Scene| matches!(look(scene), Lookup::Hit(_));
    assert_eq!(fill(&mut scene, &|| ()), Ok(8), "G, C, T, N, the values, S of the key, two rows");
    let bump = |tag: Tag| tags.bump(&[tag]);
    // A row that had some other values before, and one that is in the answer.
    bump(Tag::shape(table, &[2]));
    bump(row(1, b"9"));
    bump(Tag::any_row(table));
    assert!(is_hit(&mut scene));
    for ends in [
        row(1, b"7"),
        row(1, b"8"),
        row(2, b"x"),
        Tag::shape(table, &[1]),
        Tag::shape_by_rows(table, &[2]),
        Tag::table(table),
        Tag::everything(0),
    ] {
        bump(ends);
        assert!(!is_hit(&mut scene), "{ends:?}");
        assert_eq!(fill(&mut scene, &|| ()), Ok(8));
        assert!(is_hit(&mut scene));
    }
    let in_doubt = tags.doubt(&[Tag::shape_by_rows(table, &[2])]);
    assert!(!is_hit(&mut scene), "a row that may come");
    in_doubt.release();
    // Some row of the table has changed meanwhile, or may be changing: then any that may have had the values counts.
    bump(Tag::everything(0));
    assert_eq!(fill(&mut scene, &|| bump(Tag::any_row(table))), Ok(5));
    bump(Tag::shape(table, &[2]));
    assert!(!is_hit(&mut scene));
    let doubt = tags.doubt(&[row(1, b"8")]);
    assert_eq!(fill(&mut scene, &|| ()), Ok(5));
    doubt.release();
    // It does not show its rows.
    bump(Tag::everything(0));
    let Lookup::Fill(filling) = look(&mut scene) else { panic!("it is to be filled") };
    assert_eq!(filling.finish(MS, scene.gate.now).map(|entry| entry.versions().len()), Ok(5));
}

#[test]
fn the_second_use_is_kept() {
    let mut scene = Scene::new(Limits { second_use: true, ..LIMITS });
    assert_eq!(scene.miss("a"), Miss::FirstUse);
    assert_eq!(scene.fill("a", b"answer"), Ok(()));
    assert_eq!(scene.miss("b"), Miss::FirstUse);
    scene.bump(1);
    assert_eq!(scene.fill("a", b"answer"), Ok(()));
}

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

fn poll(following: &mut Following, woken: &Arc<Woken>, now: Instant) -> Poll<Result<Vec<u8>, Alone>> {
    let waker = Waker::from(woken.clone());
    let polled = following.poll(&mut Context::from_waker(&waker), now);
    polled.map_ok(|entry| entry.answer().to_vec())
}

#[test]
fn one_query_answers_all_who_wait() {
    let (mut scene, woken) = (Scene::new(LIMITS), Arc::new(Woken::default()));
    let now = scene.gate.now;
    let filling = scene.filling("a");
    let (mut one, mut two) = (scene.following("a"), scene.following("a"));
    assert_eq!(scene.miss("a"), Miss::Crowded);
    assert_eq!(scene.store.counts().followers, 2);
    assert_eq!(poll(&mut one, &woken, now), Poll::Pending);
    assert_eq!(poll(&mut two, &woken, now), Poll::Pending);
    assert_eq!(poll(&mut two, &woken, now + 50 * MS), Poll::Ready(Err(Alone::TimedOut)));
    drop(two);
    let mut three = scene.following("a");
    scene.bump(1);
    assert_eq!(scene.finish(filling, b"answer"), Err(Unstored::Invalidated));
    assert_eq!(woken.0.load(SeqCst), 1, "one was woken; the other was never polled");
    assert_eq!(poll(&mut one, &woken, now), Poll::Ready(Ok(b"answer".to_vec())));
    assert_eq!(poll(&mut three, &woken, now + 50 * MS), Poll::Ready(Ok(b"answer".to_vec())));
    assert_eq!(scene.store.counts().followed, 3);
}

#[test]
fn who_waits_for_nothing_is_told() {
    let (mut scene, woken) = (Scene::new(LIMITS), Arc::new(Woken::default()));
    let now = scene.gate.now;
    let filling = scene.filling("a");
    let mut one = scene.following("a");
    assert_eq!(poll(&mut one, &woken, now), Poll::Pending);
    drop(filling);
    assert_eq!(woken.0.load(SeqCst), 1);
    assert_eq!(poll(&mut one, &woken, now), Poll::Ready(Err(Alone::NoAnswer)));
    assert_eq!(scene.store.counts().unstored[Unstored::Abandoned as usize], 1);
    // The flight is over: the next one begins another.
    drop(scene.filling("a"));
}

#[test]
fn a_flight_from_before_a_change_is_left_alone() {
    let mut scene = Scene::new(LIMITS);
    let first = scene.filling("a");
    let mut early = scene.following("a");
    scene.bump(1);
    let second = scene.filling("a");
    let mut late = scene.following("a");
    assert_eq!(scene.finish(second, b"new"), Ok(()));
    assert_eq!(scene.finish(first, b"old"), Err(Unstored::Invalidated));
    let woken = Arc::new(Woken::default());
    let now = scene.gate.now;
    assert_eq!(poll(&mut early, &woken, now), Poll::Ready(Ok(b"old".to_vec())));
    assert_eq!(poll(&mut late, &woken, now), Poll::Ready(Ok(b"new".to_vec())));
    assert_eq!(scene.hit("a"), b"new");
}

#[test]
fn a_flight_that_is_too_old_for_a_session_is_left_alone() {
    let mut scene = Scene::new(LIMITS);
    let first = scene.filling("a");
    scene.gate.floor = Some(scene.gate.now + MS);
    let second = scene.filling("a");
    scene.gate.floor = None;
    scene.gate.now += 2 * MS;
    let third = scene.following("a");
    assert_eq!(scene.finish(second, b"second"), Ok(()));
    assert_eq!(scene.finish(first, b"first"), Ok(()), "of the same instant");
    drop(third);
}

#[test]
fn a_later_answer_stays() {
    let mut scene = Scene::new(LIMITS);
    let first = scene.filling("a");
    scene.gate.floor = Some(scene.gate.now + MS);
    scene.gate.now += MS;
    let second = scene.filling("a");
    scene.gate.floor = None;
    assert_eq!(scene.finish(second, b"second"), Ok(()));
    assert_eq!(scene.finish(first, b"first"), Err(Unstored::Older));
    assert_eq!(scene.hit("a"), b"second");
}

#[test]
fn what_is_too_large_is_given_up_and_remembered() {
    let mut scene = Scene::new(LIMITS);
    let mut filling = scene.filling("a");
    let mut waits = scene.following("a");
    (0..5).for_each(|_| filling.push(&[b'x'; 1000]));
    assert!(filling.is_open());
    assert!(scene.store.counts().filling >= 5000);
    (0..6).for_each(|_| filling.push(&[b'x'; 1000]));
    assert!(!filling.is_open());
    assert_eq!(scene.store.counts().filling, 0);
    let woken = Arc::new(Woken::default());
    assert_eq!(poll(&mut waits, &woken, scene.gate.now), Poll::Ready(Err(Alone::NoAnswer)));
    assert_eq!(filling.finish(MS, scene.gate.now).err(), Some(Unstored::TooLarge));
    assert_eq!(scene.miss("a"), Miss::TooLarge);
    scene.gate.now += Duration::from_secs(61);
    assert_eq!(scene.fill("a", b"small"), Ok(()));
}

#[test]
fn answers_that_come_in_have_a_limit_together() {
    let mut scene = Scene::new(Limits { filling: 4000, ..LIMITS });
    let (mut one, mut two) = (scene.filling("a"), scene.filling("b"));
    one.push(&[b'x'; 2500]);
    two.push(&[b'x'; 2500]);
    assert!(one.is_open() && !two.is_open());
    assert_eq!(scene.finish(one, b""), Ok(()));
    assert_eq!(scene.store.counts().filling, 0);
    assert_eq!(scene.fill("b", b"answer"), Ok(()), "no room is not too large");
}

#[test]
fn by_age_rows_may_be_old_but_not_the_definitions() {
    let mut scene = Scene::new(LIMITS);
    scene.gate.level = Caching::Ttl;
    scene.gate.ttl = 80 * MS;
    scene.gate.fresh_as_of = None;
    let doubt = scene.store.tags().doubt(&[Tag::table(relation(1))]);
    assert_eq!(scene.fill("a", b"answer"), Ok(()));
    drop(doubt);
    assert_eq!(scene.hit("a"), b"answer");
    scene.gate.level = Caching::Session;
    scene.gate.fresh_as_of = Some(scene.gate.now);
    assert_eq!(scene.fill("a", b"new"), Ok(()), "another level does not take the old rows");
    scene.gate.level = Caching::Ttl;
    scene.bump(1);
    assert_eq!(scene.hit("a"), b"new");
    scene.store.tags().bump(&[Tag::definitions(0)]);
    assert_eq!(scene.fill("a", b"defined"), Ok(()));
    scene.gate.now += 80 * MS;
    assert_eq!(scene.fill("a", b"later"), Ok(()));
    assert_eq!(scene.store.counts().missed(Miss::Expired), 1);
}

#[test]
fn one_reader_fetches_what_gets_old() {
    let mut scene = Scene::new(LIMITS);
    scene.gate.level = Caching::Bounded;
    scene.gate.ttl = 80 * MS;
    assert_eq!(scene.fill("a", b"answer"), Ok(()));
    scene.gate.now += 69 * MS;
    assert_eq!(scene.hit("a"), b"answer");
    scene.gate.now += MS;
    let filling = scene.filling("a");
    assert_eq!(scene.hit("a"), b"answer");
    drop(filling);
    let filling = scene.filling("a");
    assert_eq!(scene.hit("a"), b"answer");
    assert_eq!(scene.finish(filling, b"new"), Ok(()));
    assert_eq!(scene.hit("a"), b"new");
    scene.gate.now += 70 * MS;
    let doubt = scene.store.tags().doubt(&[Tag::table(relation(1))]);
    assert_eq!(scene.miss("a"), Miss::InDoubt);
    doubt.release();
    assert_eq!(scene.store.counts().refreshes, 2);
    scene.gate.level = Caching::Session;
    assert_eq!(scene.hit("a"), b"new", "only where an answer may be old anyway");
}

#[test]
fn levels_that_need_the_stream_keep_nothing_without_it() {
    let mut scene = Scene::new(LIMITS);
    scene.gate.fresh_as_of = None;
    assert_eq!(scene.miss("a"), Miss::NoStream);
    scene.gate.on_stream_loss = OnStreamLoss::Ttl;
    assert_eq!(scene.fill("a", b"answer"), Ok(()));
    assert_eq!(scene.hit("a"), b"answer");
    scene.gate.on_stream_loss = OnStreamLoss::Bypass;
    assert_eq!(scene.miss("a"), Miss::NoStream);
    scene.gate.fresh_as_of = Some(scene.gate.now);
    scene.gate.now += Duration::from_secs(3601);
    assert_eq!(scene.miss("a"), Miss::Behind);
}

#[test]
fn what_is_not_known_is_not_kept() {
    let mut scene = Scene::new(LIMITS);
    let why = |lookup| match lookup {
        Lookup::Miss(why) | Lookup::Closed(why, _) => why,
        other => panic!("{other:?}"),
    };
    assert_eq!(why(scene.lookup_as("a", || None)), Miss::NotReady);
    let mut needs = Needs::default();
    assert_eq!(why(scene.lookup_as("a", || Some(&needs))), Miss::TooManyTags);
    needs.begin(0);
    (0..200).for_each(|oid| needs.any_row(relation(oid)));
    assert_eq!(why(scene.lookup_as("a", || Some(&needs))), Miss::TooManyTags);
}

#[test]
fn a_flush_takes_what_is_there_and_what_is_coming() {
    let mut scene = Scene::new(LIMITS);
    assert_eq!(scene.fill("a", b"answer"), Ok(()));
    let Lookup::Fill(other) = scene.lookup("b", 2) else { panic!("b is not to be filled") };
    assert_eq!(scene.finish(other, b"other"), Ok(()));
    scene.store.flush_table(relation(2));
    assert_eq!(scene.hit("a"), b"answer");
    assert!(matches!(scene.lookup("b", 2), Lookup::Fill(_)));
    scene.store.flush_database(relation(1).database + 1);
    assert_eq!(scene.hit("a"), b"answer");
    scene.store.flush_database(relation(1).database);
    assert_eq!(scene.store.counts().entries, 0);
    assert_eq!(scene.fill("a", b"answer"), Ok(()));
    let filling = scene.filling("c");
    scene.store.flush();
    assert_eq!(scene.finish(filling, b"late"), Err(Unstored::Flushed));
    let counts = scene.store.counts();
    assert_eq!((counts.entries, counts.evicted(Eviction::Flushed)), (0, 3));
    assert_eq!(scene.fill("a", b"new"), Ok(()));
}

#[test]
fn entries_are_listed_by_pages() {
    let mut scene = Scene::new(Limits { size: 8 << 20, ..LIMITS });
    for n in 0..25 {
        assert_eq!(scene.fill(&format!("select {n}"), b"answer"), Ok(()));
    }
    let all: Vec<_> = (0..3).flat_map(|page| scene.store.entries(page * 10, 10, scene.gate.now)).collect();
    let mut texts: Vec<&str> = all.iter().map(|entry| &*entry.text).collect();
    texts.sort_unstable();
    texts.dedup();
    assert_eq!((all.len(), texts.len()), (25, 25));
    assert!(scene.store.entries(25, 10, scene.gate.now).is_empty());
    let one = &all[0];
    assert_eq!((&*one.user, one.uses, one.tags, one.holds), ("app", 1, 4, true));
    assert_eq!((&*one.relations, one.took), (&[relation(1)][..], MS));
    scene.bump(1);
    assert!(scene.store.entries(0, 1, scene.gate.now).iter().all(|entry| !entry.holds));
}

#[test]
fn what_saves_least_makes_room() {
    let mut scene = Scene::new(LIMITS);
    let keep = |scene: &mut Scene, sql: &str, took: Duration, size: usize| {
        let mut filling = scene.filling(sql);
        filling.push(&vec![b'x'; size]);
        filling.finish(took, scene.gate.now).map(|_| ())
    };
    for n in 0..20 {
        assert_eq!(keep(&mut scene, &format!("dear {n}"), 1000 * MS, 1000), Ok(()));
    }
    for n in 0..3000 {
        assert_eq!(keep(&mut scene, &format!("cheap {n}"), Duration::from_micros(50), 1000), Ok(()));
        assert!(scene.store.counts().bytes <= LIMITS.size);
    }
    let dear = (0..20).filter(|n| matches!(scene.lookup(&format!("dear {n}"), 1), Lookup::Hit(_))).count();
    assert_eq!(dear, 20, "dear ones stay while cheap ones come and go");
    let counts = scene.store.counts();
    assert!(counts.evicted(Eviction::Room) > 1500, "{counts:?}");
    // What is used no more gives way in the end, be it as dear as it may: the others rise with each one that goes.
    for n in 0..400_000 {
        let _ = keep(&mut scene, &format!("later {n}"), 20 * MS, 1000);
        if n % 1000 == 0
            && !scene.store.entries(0, 2000, scene.gate.now).iter().any(|e| e.text.starts_with("dear"))
        {
            return;
        }
    }
    panic!("what was dear once stays for ever");
}

#[test]
fn an_answer_may_show_which_values_matter() {
    let mut scene = Scene::new(LIMITS);
    let (orders, customers, tags) = (relation(1), relation(2), scene.store.tags().clone());
    let customer = |value: &'static [u8]| Tag::values(Tag::shape(customers, &[1]), [value]);
    let mut needs = Needs::default();
    needs.begin(0);
    needs.rows(orders, &[1], [&b"7"[..]]);
    assert!(!needs.by_value(customers, 1), "nothing was said of the table");
    needs.any_row(customers);
    assert!(needs.by_value(customers, 1));
    let look = |scene: &mut Scene| scene.lookup_as("a", || Some(&needs));
    let fill = |scene: &mut Scene, shown: bool, between: &dyn Fn()| {
        let Lookup::Fill(mut filling) = look(scene) else { panic!("it is to be filled") };
        filling.push(b"answer");
        between();
        if shown {
            filling.told_by_rows(0, vec![customer(b"3")]);
        }
        filling.finish(MS, scene.gate.now).map(|entry| entry.versions().len())
    };
    let is_hit = |scene: &mut Scene| matches!(look(scene), Lookup::Hit(_));
    let bump = |tag: Tag| tags.bump(&[tag]);
    assert_eq!(fill(&mut scene, true, &|| ()), Ok(9), "G, C, T, S, E of the order, T, S twice, the customer");
    bump(Tag::any_row(customers));
    bump(customer(b"4"));
    assert!(is_hit(&mut scene), "another customer");
    for ends in [customer(b"3"), Tag::shape(customers, &[1]), Tag::table(customers), Tag::shape(orders, &[1])]
    {
        bump(ends);
        assert!(!is_hit(&mut scene), "{ends:?}");
        assert_eq!(fill(&mut scene, true, &|| ()), Ok(9));
        assert!(is_hit(&mut scene));
    }
    // It does not show the value: any customer counts.
    bump(Tag::everything(0));
    assert_eq!(fill(&mut scene, false, &|| ()), Ok(7));
    bump(Tag::any_row(customers));
    assert!(!is_hit(&mut scene));
    // Some customer was changed meanwhile: the versions may be later than the query.
    let changed = fill(&mut scene, true, &|| bump(Tag::any_row(customers)));
    assert_eq!(changed, Err(Unstored::Invalidated));
}
