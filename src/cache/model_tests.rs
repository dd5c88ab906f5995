//! The store and the table of tags against the simplest thing that does the same, over random calls.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::counts::Unstored;
use super::doubt::Doubt;
use super::flight::Filling;
use super::store::{Limits, Lookup};
use super::store_tests::{LIMITS, MS, Scene, relation};
use super::tag::Tag;
use super::tags::{Broken, Tags, Versions};

/// xorshift64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 20) as usize % bound
    }
}

fn random(seed: u64) -> Random {
    Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
}

/// Tags with a version and a count each.
#[derive(Default)]
struct Model {
    versions: HashMap<Tag, u64>,
    doubts: HashMap<Tag, u32>,
}

impl Model {
    fn version(&self, tag: Tag) -> u64 {
        self.versions.get(&tag).copied().unwrap_or(0)
    }

    fn in_doubt(&self, tags: &[Tag]) -> bool {
        tags.iter().any(|tag| self.doubts.get(tag).is_some_and(|doubts| *doubts > 0))
    }

    fn bump(&mut self, tags: &[Tag]) {
        tags.iter().for_each(|tag| *self.versions.entry(*tag).or_default() += 1);
    }

    fn doubt(&mut self, tags: &[Tag]) {
        tags.iter().for_each(|tag| *self.doubts.entry(*tag).or_default() += 1);
    }

    fn release(&mut self, tags: &[Tag]) {
        tags.iter().for_each(|tag| *self.doubts.entry(*tag).or_default() -= 1);
    }

    fn read(&self, tags: &[Tag]) -> Vec<(Tag, u64)> {
        tags.iter().map(|tag| (*tag, self.version(*tag))).collect()
    }

    fn holds(&self, read: &[(Tag, u64)]) -> Result<(), Broken> {
        let tags: Vec<Tag> = read.iter().map(|(tag, _)| *tag).collect();
        if self.in_doubt(&tags) {
            return Err(Broken::Doubt);
        }
        match read.iter().all(|(tag, version)| self.version(*tag) == *version) {
            true => Ok(()),
            false => Err(Broken::Version),
        }
    }
}

#[test]
fn tags_are_versions_and_counts() {
    for seed in 1..=20 {
        let mut random = random(seed);
        let (tags, mut model) = (Arc::new(Tags::new(1 << 20)), Model::default());
        let all: Vec<Tag> = (0..6).map(|oid| Tag::table(relation(oid))).collect();
        let mut doubts: Vec<(Doubt, Vec<Tag>)> = vec![];
        let mut read: Vec<(Versions, Vec<(Tag, u64)>)> = vec![];
        for step in 0..3000 {
            let some: Vec<Tag> = (0..1 + random.below(3)).map(|_| all[random.below(all.len())]).collect();
            match random.below(7) {
                0 => {
                    doubts.push((tags.doubt(&some), some.clone()));
                    model.doubt(&some);
                }
                1 | 2 if !doubts.is_empty() => {
                    let (doubt, of) = doubts.swap_remove(random.below(doubts.len()));
                    model.release(&of);
                    match random.below(3) {
                        0 => doubt.release(),
                        1 => (doubt.bump_and_release(), model.bump(&of)).0,
                        _ => (drop(doubt), model.bump(&of)).0,
                    }
                }
                3 => {
                    tags.bump(&some);
                    model.bump(&some);
                }
                4 | 5 => {
                    let versions = tags.read(&some);
                    assert_eq!(versions.is_none(), model.in_doubt(&some), "seed {seed}, step {step}");
                    let versions = versions.unwrap_or_else(|| tags.read_in_doubt(&some));
                    read.push((versions, model.read(&some)));
                }
                _ => {}
            }
            for (versions, expected) in &read {
                assert_eq!(tags.holds(versions), model.holds(expected), "seed {seed}, step {step}");
            }
            if read.len() > 8 {
                read.swap_remove(random.below(read.len()));
            }
        }
    }
}

/// What the model keeps for a text.
struct Kept {
    answer: Vec<u8>,
    read: Vec<(Tag, u64)>,
    sent: Instant,
}

/// A filling, and what the model knows of it.
struct Open {
    filling: Filling,
    text: usize,
    read: Vec<(Tag, u64)>,
    sent: Instant,
    flushes: usize,
}

fn needs_of(table: u32) -> Vec<Tag> {
    let relation = relation(table);
    vec![Tag::everything(0), Tag::definitions(0), Tag::table(relation), Tag::any_row(relation)]
}

/// Random calls; with room for all, the store has exactly what the model has.
#[test]
fn the_store_is_a_map() {
    for seed in 1..=20 {
        let limits = Limits { size: 4 << 20, followers: 0, ..LIMITS };
        let (mut scene, mut random, mut model) = (Scene::new(limits), random(seed), Model::default());
        scene.gate.ttl = 400 * MS;
        let mut kept: HashMap<usize, Kept> = HashMap::new();
        let mut open: Vec<Open> = vec![];
        let mut doubts: Vec<(Doubt, Vec<Tag>)> = vec![];
        let mut flushes = 0;
        for step in 0..4000 {
            let told = format!("seed {seed}, step {step}");
            scene.gate.now += MS;
            scene.gate.fresh_as_of = Some(scene.gate.now);
            match random.below(10) {
                0..5 => {
                    let text = random.below(30);
                    let tags = needs_of(text as u32 % 5);
                    let now = scene.gate.now;
                    let good = kept
                        .get(&text)
                        .filter(|kept| model.holds(&kept.read).is_ok() && now - kept.sent < 400 * MS);
                    match scene.lookup(&text.to_string(), text as u32 % 5) {
                        Lookup::Hit(entry) => {
                            let answer = good.map(|kept| kept.answer.as_slice());
                            assert_eq!(Some(entry.answer()), answer, "{told}");
                        }
                        Lookup::Fill(filling) => {
                            assert!(good.is_none(), "{told}: {text} is there");
                            let read = model.read(&tags);
                            open.push(Open { filling, text, read, sent: now, flushes });
                        }
                        Lookup::Miss(_) | Lookup::Closed(..) => {
                            assert!(good.is_none(), "{told}: {text} is there")
                        }
                        Lookup::Follow(_) => panic!("{told}: nobody may follow"),
                    }
                }
                5 | 6 if !open.is_empty() => {
                    let Open { mut filling, text, read, sent, flushes: before } =
                        open.swap_remove(random.below(open.len()));
                    let answer = format!("{text} at {step}").into_bytes();
                    filling.push(&answer);
                    let done = filling.finish(MS, scene.gate.now).map(|_| ());
                    let expected = match () {
                        _ if model.holds(&read).is_err() => Err(Unstored::Invalidated),
                        _ if before != flushes => Err(Unstored::Flushed),
                        _ if kept.get(&text).is_some_and(|kept| kept.sent > sent) => Err(Unstored::Older),
                        _ => Ok(()),
                    };
                    // A later one that was removed since, because it no longer held, is only in the model.
                    assert!(done == expected || done.is_ok() && expected == Err(Unstored::Older), "{told}");
                    if done.is_ok() {
                        kept.insert(text, Kept { answer, read, sent });
                    }
                }
                7 => {
                    let tags = needs_of(random.below(5) as u32);
                    let tags = &tags[random.below(40).min(3)..][..1];
                    if random.below(2) == 0 {
                        scene.store.tags().bump(tags);
                        model.bump(tags);
                    } else {
                        doubts.push((scene.store.tags().doubt(tags), tags.to_vec()));
                        model.doubt(tags);
                    }
                }
                8 if !doubts.is_empty() => {
                    let (doubt, tags) = doubts.swap_remove(random.below(doubts.len()));
                    model.release(&tags);
                    doubt.release();
                }
                9 if random.below(20) == 0 => {
                    scene.store.flush();
                    kept.clear();
                    flushes += 1;
                }
                _ => drop(open.pop()),
            }
        }
        assert!(scene.store.counts().all_hits() > 100, "{:?}", scene.store.counts());
    }
}

/// With little room, what is counted is what there is, and never more than may be.
#[test]
fn the_store_keeps_to_its_room() {
    for (seed, size) in [(1, 100_000), (2, 1 << 20), (3, 3 << 20)] {
        let mut scene = Scene::new(Limits { size, entry: 20_000, second_use: true, ..LIMITS });
        let mut random = random(seed);
        for _ in 0..8000 {
            scene.gate.now += MS;
            let number = random.below(3000);
            let text = format!("{:<1$}", number, number % 300);
            if let Lookup::Fill(mut filling) = scene.lookup(&text, random.below(5) as u32) {
                filling.push(&vec![b'x'; random.below(9000) * random.below(3)]);
                let _ = filling.finish(Duration::from_micros(random.below(5000) as u64), scene.gate.now);
            }
            if random.below(100) == 0 {
                scene.store.tags().bump(&[Tag::any_row(relation(random.below(5) as u32))]);
            }
            let counts = scene.store.counts();
            assert!(counts.bytes <= size, "{counts:?}");
            assert_eq!(counts.filling, 0);
        }
        let (counts, all) = (scene.store.counts(), scene.store.entries(0, usize::MAX, scene.gate.now));
        let entries: usize = all.iter().map(|entry| entry.bytes).sum();
        assert_eq!(all.len(), counts.entries);
        let tables = counts.bytes - entries;
        assert!(counts.entries > 10 && tables < 64 * (1 << 14) && entries > size / 3, "{counts:?} {tables}");
        scene.store.flush();
        let counts = scene.store.counts();
        assert_eq!(counts.entries, 0);
        assert!(counts.bytes < 64 * (1 << 14), "{counts:?}");
    }
}
