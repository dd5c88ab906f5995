//! Threads on the table of tags at once: no hit misses a write that was acknowledged before it began.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use super::cures::{Cure, without};
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

    fn run(cure: Option<Cure>) -> (u64, u64) {
        let scene = Scene::new(2);
        thread::scope(|threads| {
            threads.spawn(|| scene.write());
            let reader = threads.spawn(|| without(cure, || scene.read()));
            reader.join().expect("a reader does not panic")
        })
    }
}

#[test]
fn no_hit_misses_an_acknowledged_write() {
    let (hits, stale) = Scene::run(None);
    assert!(hits > 0, "no reader had a hit");
    assert_eq!(stale, 0, "of {hits}");
}

#[test]
fn in_one_pass_hits_would_miss_writes() {
    let found = (0..50).find(|_| Scene::run(Some(Cure::DoubtFirst)).1 > 0);
    assert!(found.is_some(), "a hit in one pass was never stale: this test shows nothing");
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
