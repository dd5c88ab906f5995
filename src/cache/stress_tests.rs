//! The table of tags with several at it at once, in threads and in every order of their steps: no hit misses a write that was acknowledged before
//! it began.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use super::cures::{Cure, between, without};
use super::tag::{Relation, Tag};
use super::tags::{Tags, Versions};

/// For how long one run lasts at most.
const LASTS: Duration = Duration::from_millis(400);

struct Scene {
    tags: Arc<Tags>,
    /// What the database has, and what was acknowledged of it.
    database: AtomicU64,
    acknowledged: AtomicU64,
    begun: Barrier,
    until: Instant,
    /// All tags of the one result; writes hold the last one in doubt and bump the first one, and the others make
    /// looking at them take as long as a write.
    all: Vec<Tag>,
}

impl Scene {
    fn new(threads: usize) -> Scene {
        let tag = |oid| Tag::table(Relation { database: 0, oid });
        Scene {
            tags: Arc::new(Tags::new(1 << 20)),
            database: AtomicU64::new(0),
            acknowledged: AtomicU64::new(0),
            begun: Barrier::new(threads),
            until: Instant::now() + LASTS,
            all: (0..200).map(tag).collect(),
        }
    }

    /// Writes, as the proxy does with a stream: doubt, write, acknowledgement, bump of what changed, release.
    /// It takes its time, so that results are kept and looked at meanwhile.
    fn write(&self) {
        let pause = |micros: u64| {
            let until = Instant::now() + Duration::from_micros(micros);
            while Instant::now() < until {
                std::hint::spin_loop();
            }
        };
        let (bumped, doubted) = (self.all[0], self.all[self.all.len() - 1]);
        self.begun.wait();
        while Instant::now() < self.until {
            pause(self.database.load(Acquire) * 7 % 40);
            let doubt = self.tags.doubt(&[doubted]);
            let written = self.database.fetch_add(1, Release) + 1;
            self.acknowledged.store(written, Release);
            pause(1);
            self.tags.bump(&[bumped]);
            doubt.release();
        }
    }

    /// Reads: how many hits, and how many of them missed a write.
    fn read(&self) -> (u64, u64) {
        let (mut hits, mut stale) = (0, 0);
        let mut kept: Option<(Versions, u64)> = None;
        self.begun.wait();
        while Instant::now() < self.until && stale == 0 {
            let acknowledged = self.acknowledged.load(Acquire);
            match &kept {
                Some((versions, value)) if self.tags.holds(versions).is_ok() => {
                    hits += 1;
                    stale += u64::from(*value < acknowledged);
                }
                _ => {
                    let versions = self.tags.read(&self.all);
                    kept = versions.map(|versions| (versions, self.database.load(Acquire)));
                }
            }
        }
        (hits, stale)
    }

    fn run() -> (u64, u64) {
        let scene = Scene::new(2);
        thread::scope(|threads| {
            threads.spawn(|| scene.write());
            let reader = threads.spawn(|| scene.read());
            reader.join().expect("a reader does not panic")
        })
    }
}

#[test]
fn no_hit_misses_an_acknowledged_write() {
    let (hits, stale) = Scene::run();
    assert!(hits > 0, "no reader had a hit");
    assert_eq!(stale, 0, "of {hits}");
}

/// A write in four steps, each at a load of the reader: doubt, acknowledgement, bump, release.
struct Turns {
    tags: Arc<Tags>,
    doubted: Vec<Tag>,
    bumped: Vec<Tag>,
    /// Before which load each step is taken.
    at: [usize; 4],
    loads: usize,
    taken: usize,
    doubt: Option<super::doubt::Doubt>,
    acknowledged: Rc<Cell<bool>>,
}

impl Turns {
    fn turn(&mut self) {
        while self.taken < 4 && self.at[self.taken] <= self.loads {
            match self.taken {
                0 => self.doubt = Some(self.tags.doubt(&self.doubted)),
                1 => self.acknowledged.set(true),
                2 => self.tags.bump(&self.bumped),
                _ => self.doubt.take().into_iter().for_each(super::doubt::Doubt::release),
            }
            self.taken += 1;
        }
        self.loads += 1;
    }
}

/// Looks at these tags, in this order, while a write that concerns them takes its steps in all possible places: in how many a hit
/// misses a write that was acknowledged before it began.
fn stale_hits(all: &[Tag], doubted: &[Tag], bumped: &[Tag]) -> (usize, usize) {
    let (mut stale, mut hits) = (0, 0);
    let last = 2 * all.len() + 1;
    for places in 0..(last + 1).pow(4) {
        let at = std::array::from_fn(|step| places / (last + 1).pow(step as u32) % (last + 1));
        if !at.is_sorted() {
            continue;
        }
        let tags = Arc::new(Tags::new(1024));
        let versions = tags.read(all).expect("no doubt");
        let acknowledged = Rc::new(Cell::new(false));
        let mut turns = Turns {
            tags: tags.clone(),
            doubted: doubted.to_vec(),
            bumped: bumped.to_vec(),
            at,
            loads: 0,
            taken: 0,
            doubt: None,
            acknowledged: acknowledged.clone(),
        };
        turns.turn();
        let before = acknowledged.get();
        between(Some(Box::new(move || turns.turn())));
        let hit = tags.holds(&versions).is_ok();
        between(None);
        hits += usize::from(hit);
        stale += usize::from(hit && before);
    }
    (stale, hits)
}

#[test]
fn in_every_order_of_steps_no_hit_is_stale() {
    let [one, two] = [1, 2].map(|oid| Tag::table(Relation { database: 0, oid }));
    let check = |cure: Option<Cure>| {
        let orders = [[one, two], [two, one]];
        let kinds = [[one, two], [one, one]];
        let all = orders.iter().flat_map(|order| kinds.map(|[doubted, bumped]| (order, doubted, bumped)));
        let found =
            all.map(|(order, doubted, bumped)| without(cure, || stale_hits(order, &[doubted], &[bumped])));
        found.fold((0, 0), |sum, found| (sum.0 + found.0, sum.1 + found.1))
    };
    let (stale, hits) = check(None);
    assert!(stale == 0 && hits > 20, "{stale} of {hits}");
    for cure in [Cure::DoubtFirst, Cure::Doubt, Cure::Versions] {
        assert!(check(Some(cure)).0 > 0, "nothing is stale without {cure:?}");
    }
}

#[test]
fn doubts_of_many_threads_leave_nothing_behind() {
    let tags = Arc::new(Tags::new(1024));
    let all: Vec<Tag> = (0..8).map(|oid| Tag::table(Relation { database: 0, oid })).collect();
    let before = tags.read(&all).expect("no doubt");
    thread::scope(|threads| {
        for thread in 0..4 {
            let (tags, all) = (&tags, &all);
            threads.spawn(move || {
                for n in 0..20_000 {
                    let doubt = tags.doubt(&all[thread..thread + 1 + n % 4]);
                    assert!(tags.holds(&tags.read_again(&tags.read_in_doubt(all))).is_err());
                    doubt.release();
                }
            });
        }
    });
    assert_eq!(tags.in_doubt(), (0, 0));
    assert_eq!(tags.holds(&before), Ok(()));
}
