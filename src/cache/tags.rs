//! The table of tags: for each a version, and how many hold it in doubt, in one word of constant memory.
//!
//! # Why a hit that is found here misses nothing
//! Let `W` be a write, and `d` a tag that it holds in doubt from before it can become visible until after a tag `e` was bumped
//! (`e` may be `d`), where a result that `W` alters has both. [`Tags::holds`] first looks at the doubts of all tags, then at the versions of all.
//! Take the instant `x` at which it begins, and suppose that `W` was visible at `x` and is not in the result. Then `d` was in doubt
//! before `x`. If it still is when its word is loaded, this is no hit. If it no longer is, then `e` was bumped before that load, which sees
//! the release of `d` and so (acquire after release) all that came before; and the versions are looked at later: no hit.
//! So every hit is what the database would have answered at `x`.
//!
//! In one pass this would be wrong, in whatever order of tags: a reader could see the old version of `e`, then be
//! held up while `W` is acknowledged, `e` bumped and `d` released, and then see `d` without doubt.
//!
//! # Why a result that is stored misses nothing
//! The versions are read before the query is sent, and a result carries those. A write that the query's snapshot does not
//! show became visible after that, so its bump, which comes later still, makes the version another one.

use std::fmt;
use std::sync::atomic::Ordering::{Acquire, Relaxed, SeqCst};
use std::sync::atomic::{AtomicU64, AtomicUsize, fence};
use std::sync::{Arc, OnceLock};

use smallvec::SmallVec;

use super::cures::{Cure, before_load, is_off};
use super::doubt::{Doubt, Held};
use super::tag::{Tag, WIDE};

/// So many low bits of a word count doubts; the rest is the version. A version comes again after 2^44 bumps of one slot, and results
/// are kept for a day at most ([`super::gate::LONGEST`]): that would take two hundred million bumps a second.
const DOUBT_BITS: u32 = 20;
/// The doubts of a word. A word that has that many keeps them for ever: it is safe, and takes a million writes at once.
const DOUBTS: u64 = (1 << DOUBT_BITS) - 1;
/// One version.
const VERSION: u64 = 1 << DOUBT_BITS;

/// The versions of all tags. Tags share slots when there are more of them: then too much is invalidated.
pub struct Tags {
    slots: OnceLock<Box<[AtomicU64]>>,
    mask: u64,
    held: [AtomicUsize; 2],
}

/// Versions of some tags at some time, none of them in doubt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versions(SmallVec<[(u32, u64); 6]>);

impl Versions {
    /// Bytes that they take beside their own size.
    pub fn bytes(&self) -> usize {
        if self.0.spilled() { self.0.capacity() * size_of::<(u32, u64)>() } else { 0 }
    }

    /// How many tags they are of.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Versions of the tags of a result whose rows are known by keys: in this place the first of `others`, behind them its second, and those of its rows.
    pub(super) fn by_rows(&self, place: usize, others: &Versions, rows: &Versions) -> Versions {
        let mut all = SmallVec::with_capacity(self.0.len() + 1 + rows.0.len());
        all.extend_from_slice(&self.0);
        if let (Some(instead), Some(first)) = (all.get_mut(place), others.0.first()) {
            *instead = *first;
        }
        all.extend(others.0.get(1).into_iter().chain(&rows.0).copied());
        Versions(all)
    }

    /// Whether they are of none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Why [`Tags::holds`] does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// Somebody may be changing what the result depends on.
    Doubt,
    /// Something that it depends on has changed.
    Version,
}

impl Tags {
    /// So many slots (2^10 to 2^26, rounded up to a power of two) of eight bytes, which are taken from the system when the
    /// first tag is read.
    pub fn new(slots: usize) -> Tags {
        let slots = slots.clamp(1 << 10, 1 << 26).next_power_of_two();
        Tags { slots: OnceLock::new(), mask: slots as u64 - 1, held: Default::default() }
    }

    /// The bytes that the slots take now.
    pub fn bytes(&self) -> usize {
        self.slots.get().map_or(0, |slots| size_of_val(&**slots))
    }

    /// The versions of tags, to be read before a query is sent; `None`: one of them is in doubt.
    pub fn read(&self, tags: &[Tag]) -> Option<Versions> {
        let slots = self.slots();
        let mut versions = SmallVec::with_capacity(tags.len());
        versions.extend(tags.iter().map(|tag| {
            let slot = self.slot(*tag);
            (slot, slots[slot as usize].load(Acquire))
        }));
        let versions = versions.iter().all(|(_, word)| word & DOUBTS == 0).then_some(Versions(versions));
        // The query must not be sent, as others see it, before the versions were read. What sends it is a system call, which no
        // processor moves before a load; the fence says so to the compiler and to the reader.
        fence(SeqCst);
        versions
    }

    /// The versions of tags, in doubt or not, for a result that is served by its age. It may be looked up by others too: a write that is in doubt and
    /// that its query does not see bumps later.
    pub fn read_in_doubt(&self, tags: &[Tag]) -> Versions {
        let slots = self.slots();
        let word = |slot: u32| slots[slot as usize].load(Acquire) & !DOUBTS;
        let versions = tags.iter().map(|tag| self.slot(*tag)).map(|slot| (slot, word(slot))).collect();
        fence(SeqCst);
        Versions(versions)
    }

    /// The same tags' versions of now: what a result must not carry.
    pub(super) fn read_again(&self, versions: &Versions) -> Versions {
        let word = |slot: u32| self.slots()[slot as usize].load(Acquire) & !DOUBTS;
        Versions(versions.0.iter().map(|(slot, _)| (*slot, word(*slot))).collect())
    }

    /// Whether no tag is in doubt and each is of its version: see the head of this file. No lock, no allocation.
    ///
    /// # Errors
    /// What is not so.
    #[inline]
    pub fn holds(&self, versions: &Versions) -> Result<(), Broken> {
        let Some(slots) = self.slots.get() else { return Err(Broken::Version) };
        // A slot is below the mask, and so within the table; that it is looked up again costs an instruction and no `unsafe`.
        let word = |slot: u32| {
            before_load();
            slots.get(slot as usize).map_or(DOUBTS, |word| word.load(Acquire))
        };
        if is_off(Cure::DoubtFirst) {
            let unchanged = versions.0.iter().all(|(slot, version)| word(*slot) == *version);
            return if unchanged { Ok(()) } else { Err(Broken::Version) };
        }
        if versions.0.iter().any(|(slot, _)| word(*slot) & DOUBTS != 0) && !is_off(Cure::Doubt) {
            return Err(Broken::Doubt);
        }
        if is_off(Cure::Versions) {
            return Ok(());
        }
        match versions.0.iter().all(|(slot, version)| (word(*slot) ^ version) & !DOUBTS == 0) {
            true => Ok(()),
            false => Err(Broken::Version),
        }
    }

    /// Whether the tag in this place of the list is of its version, in doubt or not.
    pub fn is_unchanged(&self, versions: &Versions, place: usize) -> bool {
        let (Some(slots), Some((slot, version))) = (self.slots.get(), versions.0.get(place)) else {
            return false;
        };
        (slots[*slot as usize].load(Acquire) ^ version) & !DOUBTS == 0
    }

    /// Holds tags in doubt for a write that is about to be sent: neither hits nor results to be kept until the guard says what became of it.
    pub fn doubt(self: &Arc<Self>, tags: &[Tag]) -> Doubt {
        self.hold(tags, Held::Write)
    }

    /// The same for a commit that the stream has told and that may not be visible yet.
    pub fn limbo(self: &Arc<Self>, tags: &[Tag]) -> Doubt {
        self.hold(tags, Held::Limbo)
    }

    fn hold(self: &Arc<Self>, tags: &[Tag], held: Held) -> Doubt {
        let slots = self.slots();
        let held_slots = tags.iter().map(|tag| {
            let slot = self.slot(*tag);
            change(&slots[slot as usize], |word| if word & DOUBTS == DOUBTS { word } else { word + 1 });
            slot
        });
        let held_slots = held_slots.collect();
        self.held[held as usize].fetch_add(1, Relaxed);
        // The write must not be sent, as others see it, before all of its tags are in doubt: as at `read`.
        fence(SeqCst);
        Doubt::new(self.clone(), held_slots, held)
    }

    /// Gives tags another version. What was read before it is of the old one.
    pub fn bump(&self, tags: &[Tag]) {
        // Where no version was ever read, there is nothing to change; who reads the first one from now on sends its query later.
        let Some(slots) = self.slots.get() else { return };
        for tag in tags {
            slots[self.slot(*tag) as usize].fetch_add(VERSION, SeqCst);
        }
    }

    /// How many writes hold tags in doubt, and how many commits that the stream has told.
    pub fn in_doubt(&self) -> (usize, usize) {
        (self.held[0].load(Relaxed), self.held[1].load(Relaxed))
    }

    /// Ends a doubt; `bumped`: and gives its tags another version, all of them before the first one is out of doubt.
    pub(super) fn end(&self, held_slots: &[u32], held: Held, bumped: bool) {
        let slots = self.slots();
        if bumped {
            held_slots.iter().for_each(|slot| {
                slots[*slot as usize].fetch_add(VERSION, SeqCst);
            });
        }
        for slot in held_slots {
            change(&slots[*slot as usize], |word| if word & DOUBTS == DOUBTS { word } else { word - 1 });
        }
        self.held[held as usize].fetch_sub(1, Relaxed);
    }

    /// The first sixteenth is for the tags of which there are few, and on each of which many results depend.
    fn slot(&self, tag: Tag) -> u32 {
        let (slot, wide) = (tag.0 & self.mask, self.mask >> 4);
        let slot = match (tag.0 & WIDE != 0, slot > wide) {
            (true, _) => slot & wide,
            (false, true) => slot,
            // Into one of the other fifteen.
            (false, false) => slot + (1 + (tag.0 >> 32) % 15) * (wide + 1),
        };
        slot as u32
    }

    fn slots(&self) -> &[AtomicU64] {
        self.slots.get_or_init(|| (0..=self.mask).map(|_| AtomicU64::new(0)).collect())
    }
}

/// Changes the count of a word. All changes are made by read-modify-write, so that who sees any later one sees what came before
/// each earlier one (a release sequence).
fn change(word: &AtomicU64, to: impl Fn(u64) -> u64) {
    let mut now = word.load(Relaxed);
    while let Err(other) = word.compare_exchange_weak(now, to(now), SeqCst, Relaxed) {
        now = other;
    }
}

impl fmt::Debug for Tags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (writes, limbo) = self.in_doubt();
        write!(f, "Tags {{ slots: {}, writes: {writes}, limbo: {limbo} }}", self.mask + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::tag::Relation;

    fn tags() -> (Arc<Tags>, [Tag; 2]) {
        let table = |oid| Tag::table(Relation { database: 0, oid });
        (Arc::new(Tags::new(1 << 20)), [table(1), table(2)])
    }

    #[test]
    fn no_row_shares_its_word_with_a_table() {
        let tags = Tags::new(1024);
        let relation = |oid| Relation { database: 0, oid };
        for oid in 0..2000 {
            let shape = Tag::shape(relation(oid), &[1]);
            for wide in [Tag::everything(oid), Tag::definitions(oid), Tag::table(relation(oid)), shape] {
                assert!(tags.slot(wide) < 64, "{wide:?}");
            }
            for narrow in [Tag::any_row(relation(oid)), Tag::values(shape, [&b"7"[..]])] {
                assert!((64..1024).contains(&tags.slot(narrow)), "{narrow:?}");
            }
        }
    }

    #[test]
    fn nothing_is_taken_before_the_first_use() {
        let (tags, [one, _]) = tags();
        tags.bump(&[one]);
        assert_eq!(tags.bytes(), 0);
        drop(tags.read(&[one]));
        assert_eq!(tags.bytes(), 8 << 20);
        assert_eq!(Tags::new(0).mask, 1023);
        assert_eq!(Tags::new(usize::MAX >> 1).mask, (1 << 26) - 1);
        assert_eq!(Tags::new(1500).mask, 2047);
    }

    #[test]
    fn what_was_bumped_holds_no_more() {
        let (tags, [one, two]) = tags();
        let versions = tags.read(&[one]).expect("no doubt");
        let others = tags.read(&[two]).expect("no doubt");
        tags.bump(&[one]);
        assert_eq!(tags.holds(&versions), Err(Broken::Version));
        assert_eq!(tags.holds(&others), Ok(()));
        assert!(!tags.is_unchanged(&versions, 0));
        assert!(tags.is_unchanged(&others, 0));
        assert!(!tags.is_unchanged(&others, 1));
    }

    #[test]
    fn doubts_overlap() {
        let (tags, [one, two]) = tags();
        let versions = tags.read(&[one, two]).expect("no doubt");
        let (first, second) = (tags.doubt(&[one]), tags.limbo(&[two, one]));
        assert_eq!(tags.in_doubt(), (1, 1));
        assert_eq!(tags.read(&[one]), None);
        first.release();
        assert_eq!(tags.holds(&versions), Err(Broken::Doubt));
        assert!(tags.is_unchanged(&versions, 0));
        second.release();
        assert_eq!(tags.holds(&versions), Ok(()));
        assert_eq!(tags.in_doubt(), (0, 0));
    }

    #[test]
    fn one_tag_twice_is_in_doubt_twice() {
        let (tags, [one, _]) = tags();
        let versions = tags.read(&[one]).expect("no doubt");
        tags.doubt(&[one, one]).release();
        assert_eq!(tags.holds(&versions), Ok(()));
        tags.doubt(&[one, one]).bump_and_release();
        assert_eq!(tags.holds(&versions), Err(Broken::Version));
        assert!(tags.read(&[one]).is_some());
    }

    #[test]
    fn a_doubt_that_is_forgotten_bumps() {
        let (tags, [one, _]) = tags();
        let versions = tags.read(&[one]).expect("no doubt");
        drop(tags.doubt(&[one]));
        assert_eq!(tags.holds(&versions), Err(Broken::Version));
        assert!(tags.read(&[one]).is_some());
    }

    #[test]
    fn a_slot_that_is_full_of_doubts_stays_in_doubt() {
        let (tags, [one, _]) = tags();
        let before = tags.read(&[one]).expect("no doubt");
        let slot = &tags.slots()[tags.slot(one) as usize];
        slot.fetch_add(DOUBTS - 1, SeqCst);
        let (last, beyond) = (tags.doubt(&[one]), tags.doubt(&[one]));
        beyond.release();
        last.bump_and_release();
        assert_eq!(slot.load(SeqCst) & DOUBTS, DOUBTS);
        assert_eq!(tags.holds(&before), Err(Broken::Doubt));
        assert!(!tags.is_unchanged(&before, 0), "a bump does not touch the count");
    }
}
