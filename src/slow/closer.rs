//! Which statements are looked at more closely, and what is found out of them: values, callers, whether they are slow.
//!
//! Of each shape those are looked at that took longer than any before, and some at random: the first of each time between two collections, then one of
//! many. So what most statements cost is a comparison or two.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

use super::log::{Line, Slow};
use super::tags::Tags;
use crate::stats::samples::Sample;
use crate::stats::tally::{Answer, Sums, TOTAL, Tally};

/// So many of a shape are looked at in a row, then one of so many.
const FIRST: u64 = 32;
const ONE_OF: u64 = 64;
/// A shape of which there was only one is looked at from so many microseconds on.
const LONE: u64 = 10_000;
/// Of so many statements with times it is known what is usual.
const ENOUGH: u64 = 20;
/// A text or a Bind message that is longer, in bytes, is not kept.
pub const LONGEST: usize = 8192;
/// So many buffers are kept for the next statements.
const SPARE: usize = 64;

/// What a worker is to count and to look at.
#[derive(Debug, Clone, Default)]
pub struct Wants {
    /// Shapes counted by themselves; 0: nothing is counted.
    pub statements: usize,
    /// Bytes for statements with their values; 0: none are kept.
    pub sample_memory: usize,
    /// Names of the tags that tell where a statement is sent from.
    pub tags: Arc<[String]>,
    /// What becomes of slow statements.
    pub slow: Option<Slow>,
}

/// What is to be done with a statement that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// It was taken at random, and stands for so many; 0: it was not.
    pub weight: u64,
    /// Its values are worth keeping.
    pub keep: bool,
    /// It is slow.
    pub slow: bool,
}

/// A statement as the session knows it.
#[derive(Debug, Default)]
pub struct Seen<'a> {
    /// Its text, as it was sent; `None`: that is not known any more.
    pub text: Option<&'a [u8]>,
    /// Its Bind message from behind the two names, if it has one.
    pub bind: Option<&'a [u8]>,
    /// Types of its parameters.
    pub types: Box<[u32]>,
    /// The SQLSTATE with which it failed.
    pub sqlstate: Option<[u8; 5]>,
    /// The how many-th it is in its transaction block; 0: it is in none.
    pub place: u32,
}

/// What a worker looks at.
#[derive(Debug, Default)]
pub struct Closely {
    wants: RefCell<Wants>,
    /// Bytes left for samples until the next collection.
    room: Rc<Cell<usize>>,
    /// From so many microseconds on any statement is slow, or may be by what is usual for its shape; `u64::MAX`: none is.
    slow_from: Cell<u64>,
    relative_from: Cell<u64>,
    on: Cell<bool>,
    spare: RefCell<Vec<Vec<u8>>>,
}

impl Closely {
    /// This is wanted from now on.
    pub fn set(&self, wants: &Wants) {
        let slow = wants.slow.as_ref();
        self.slow_from.set(slow.map_or(u64::MAX, |slow| slow.threshold));
        self.relative_from.set(slow.map_or(u64::MAX, |slow| slow.relative_from));
        self.on.set(wants.statements > 0 && (wants.sample_memory > 0 || slow.is_some()));
        self.wants.replace(wants.clone());
        self.begin();
    }

    /// Whether anything is looked at.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.on.get()
    }

    /// A statement ends: what is to be done with it, if anything. It is not counted yet.
    #[inline]
    pub fn at(&self, tally: &Tally, answer: &Answer) -> Option<Look> {
        if !self.is_on() {
            return None;
        }
        let micros = answer.times.as_ref().map_or(0, |times| times[TOTAL]);
        let calls = tally.sums.borrow().calls;
        let weight = if calls < FIRST { 1 } else { u64::from(calls.is_multiple_of(ONE_OF)) * ONE_OF };
        let keep = self.room.get() > 0
            && tally.fingerprint != 0
            && (weight > 0 && (calls > 0 || micros >= LONE) || self.is_among_the_slowest(tally, micros));
        let slow = self.is_slow(tally, micros);
        (keep || slow).then_some(Look { weight, keep, slow })
    }

    fn is_among_the_slowest(&self, tally: &Tally, micros: u64) -> bool {
        micros > 0 && tally.closer.borrow().as_ref().is_some_and(|closer| micros > closer.samples.mark())
    }

    #[inline]
    fn is_slow(&self, tally: &Tally, micros: u64) -> bool {
        let from = match tally.slow_from.get() {
            0 => self.slow_from.get(),
            own => own,
        };
        micros >= from || micros >= self.relative_from.get() && self.is_unusual(tally, micros)
    }

    /// Whether it took many times as long as is usual for its shape.
    fn is_unusual(&self, tally: &Tally, micros: u64) -> bool {
        let wants = self.wants.borrow();
        let times = wants.slow.as_ref().map_or(0, |slow| slow.relative);
        tally.usual.get() > 0 && times > 0 && micros >= tally.usual.get().saturating_mul(times)
    }

    /// Looks at a statement that deserves it. Its answer is not counted yet.
    pub fn look(&self, tally: &Tally, answer: &Answer, look: Look, seen: Seen<'_>) {
        let wants = self.wants.borrow();
        let micros = answer.times.as_ref().map_or(0, |times| times[TOTAL]);
        let tags = seen.text.map(Tags::of).unwrap_or_default();
        let caller = tags.caller(&wants.tags);
        if look.keep {
            let mut closer = tally.closer.borrow_mut();
            let before = closer.as_ref().map_or(0, |closer| closer.samples.size());
            let closer = closer.get_or_insert_default();
            if let Some(caller) = caller.as_ref().filter(|_| look.weight > 0) {
                closer.callers.add(caller, look.weight);
            }
            if let Some(text) = seen.text.filter(|_| answer.error.is_none()) {
                let sample = Arc::new(Sample::new(text, seen.bind, seen.types, micros));
                closer.samples.offer(sample, look.weight);
                self.room.set((self.room.get() + before).saturating_sub(closer.samples.size()));
            }
        }
        if let Some(slow) = wants.slow.as_ref().filter(|_| look.slow) {
            slow.sink.send(|| {
                let trace = tags.trace().map(str::to_owned);
                let (who, text) = (tally.who.clone(), tally.text.clone());
                let (fingerprint, usual) = (tally.fingerprint, tally.usual.get());
                let (sqlstate, place) = (seen.sqlstate, seen.place);
                let (at, answer) = (SystemTime::now(), *answer);
                Line { at, who, text, fingerprint, answer, usual, sqlstate, place, trace, caller }
            });
        }
    }

    /// What was counted of a shape since the last time says what is usual.
    pub(super) fn learn(&self, tally: &Tally, sums: &Sums) {
        if self.relative_from.get() < u64::MAX
            && sums.timed >= ENOUGH
            && let Some(now) = sums.quantile(TOTAL, 0.95)
        {
            let before = tally.usual.get();
            // Some times a row of slow ones is not usual yet.
            tally.usual.set(if before == 0 { now } else { before / 4 * 3 + now / 4 });
        }
    }

    /// Bytes left for samples.
    pub(super) fn room(&self) -> Rc<Cell<usize>> {
        self.room.clone()
    }

    /// A new time between two collections begins.
    pub(super) fn begin(&self) {
        self.room.set(self.wants.borrow().sample_memory);
    }

    /// An empty buffer for what a session holds of a statement.
    #[inline]
    pub fn buffer(&self) -> Vec<u8> {
        self.spare.borrow_mut().pop().unwrap_or_default()
    }

    /// The buffer is not needed any more.
    #[inline]
    pub fn put_buffer(&self, mut buffer: Vec<u8>) {
        let mut spare = self.spare.borrow_mut();
        if spare.len() < SPARE {
            buffer.clear();
            spare.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slow::Digests;
    use crate::stats::tally::{Served, Taken, Who};

    fn wants(sample_memory: usize) -> Wants {
        Wants { statements: 1000, sample_memory, tags: ["route".to_owned()].into(), slow: None }
    }

    fn answer(micros: u64) -> Answer {
        let times = Some([0, micros, 0, 0, micros]);
        Answer { served: Served::Primary, rows: 1, bytes: 10, error: None, times }
    }

    fn run(digests: &Digests, text: &str, micros: u64) {
        let who = Who { database: "shop".into(), ..Who::default() };
        let tally = digests.find(&digests.identity(&who), Some((text.as_bytes(), true.into())));
        if let Some(look) = digests.closely.at(&tally, &answer(micros)) {
            let seen = Seen { text: Some(text.as_bytes()), ..Seen::default() };
            digests.closely.look(&tally, &answer(micros), look, seen);
        }
        digests.count(&tally, &answer(micros));
    }

    fn texts(taken: &Taken) -> Vec<String> {
        let chosen = taken.closer.as_ref().map(|closer| closer.samples.chosen(12)).unwrap_or_default();
        chosen.iter().map(|one| String::from_utf8_lossy(&one.sample.text).into_owned()).collect()
    }

    #[test]
    fn the_slowest_are_kept_whenever_they_come() {
        let digests = Digests::default();
        digests.set(&wants(1 << 20));
        for n in 0..5000_u64 {
            run(
                &digests,
                &format!("select {n} /*route='r{}'*/", n % 2),
                if n == 4321 { 90_000 } else { 100 + n % 7 },
            );
        }
        let taken = digests.collect();
        let found = texts(&taken[0]);
        assert!(found.len() <= 12 && found.iter().any(|text| text.contains("4321")), "{found:?}");
        let callers = &taken[0].closer.as_ref().expect("a closer look").callers.0;
        let all: u64 = callers.iter().map(|(_, calls)| calls).sum();
        assert!(callers[0].0.starts_with("route=r") && (4500..=5500).contains(&all), "{callers:?}");
    }

    #[test]
    fn a_hundred_thousand_shapes_take_no_more_than_there_is_room() {
        let digests = Digests::default();
        digests.set(&wants(64 << 10));
        let mut most = 0;
        for n in 0..100_000 {
            for _ in 0..2 {
                run(&digests, &format!("select c{n} from t where i = {n}"), 20_000);
            }
            if n % 10_000 == 9999 {
                let taken = digests.collect();
                let size: usize =
                    taken.iter().filter_map(|one| Some(one.closer.as_ref()?.samples.size())).sum();
                most = most.max(size);
            }
        }
        assert!(most > 10_000 && most <= (64 << 10) + 2000, "{most}");
    }

    #[test]
    fn what_failed_or_came_once_and_fast_is_not_kept() {
        let digests = Digests::default();
        digests.set(&wants(1 << 20));
        run(&digests, "select once", 10);
        run(&digests, "select dear", LONE);
        let found: Vec<_> = digests.collect().iter().flat_map(texts).collect();
        assert_eq!(found, ["select dear"]);
        digests.set(&wants(0));
        run(&digests, "select dear", LONE);
        assert!(digests.collect().iter().all(|one| one.closer.is_none()));
    }
}
