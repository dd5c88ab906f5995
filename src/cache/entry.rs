//! An entry: the bytes of an answer, and what they depend on. Never changed once it is made.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use super::tag::Relation;
use super::tags::Versions;

/// So many bytes are copied rather than cut off.
const COPIED: usize = 4096;
/// What the allocator adds to a piece of memory.
const ALLOCATION: usize = 16;
/// The counts of an `Arc`.
const COUNTS: usize = 2 * size_of::<usize>();

/// The tables that an answer was read from.
pub(super) type Relations = SmallVec<[Relation; 2]>;

/// One cycle's answer.
#[derive(Debug)]
pub struct Entry {
    /// The key and the answer, one behind the other: one piece of memory.
    bytes: Box<[u8]>,
    key: usize,
    versions: Versions,
    relations: Relations,
    sent: Instant,
    seen: Instant,
    took: Duration,
    refreshing: AtomicBool,
}

impl Entry {
    /// `bytes` begin with the key, which is so long. See the getters for the others.
    pub(super) fn new(
        bytes: Vec<u8>,
        key: usize,
        versions: Versions,
        relations: Relations,
        [sent, seen]: [Instant; 2],
        took: Duration,
    ) -> Entry {
        let refreshing = AtomicBool::new(false);
        // The room that is left is given to the next answer at once where it is small; to cut it off would split a piece of memory for good.
        let bytes: Box<[u8]> = if bytes.len() <= COPIED { (&*bytes).into() } else { bytes.into() };
        Entry { key: key.min(bytes.len()), bytes, versions, relations, sent, seen, took, refreshing }
    }

    /// The messages of the answer, without ReadyForQuery, as the cycle's [`super::Form`] has them.
    #[inline]
    pub fn answer(&self) -> &[u8] {
        &self.bytes[self.key..]
    }

    #[inline]
    pub(super) fn key(&self) -> &[u8] {
        &self.bytes[..self.key]
    }

    #[inline]
    pub(super) fn versions(&self) -> &Versions {
        &self.versions
    }

    /// The tables that were read.
    pub fn relations(&self) -> &[Relation] {
        &self.relations
    }

    /// Not later than when the query was sent: ages count from here.
    #[inline]
    pub fn sent(&self) -> Instant {
        self.sent
    }

    /// When the answer was complete: it shows nothing that became visible later, and may show anything that did before. So a session that was given it
    /// has seen that, also of other tables than these, and its floor must rise to this instant: else its next hit could be older, and its reads
    /// would go back.
    ///
    /// Who is given the same bytes by the database has been shown nothing that this entry does not show, whatever else was written since: the writes
    /// that matter to that answer are those that matter to this one ("relevant writes", Terry et al. 1994, of monotonic reads). So its floor
    /// need not rise beyond this instant either.
    #[inline]
    pub fn seen(&self) -> Instant {
        self.seen
    }

    /// How long the database took: what a hit saves.
    pub fn took(&self) -> Duration {
        self.took
    }

    /// All the memory that it takes, to the byte, with what the allocator adds.
    pub fn size(&self) -> usize {
        let pieces = [
            COUNTS + size_of::<Entry>(),
            self.bytes.len(),
            self.versions.bytes(),
            if self.relations.spilled() { self.relations.capacity() * size_of::<Relation>() } else { 0 },
        ];
        pieces.into_iter().filter(|piece| *piece > 0).map(|piece| piece + ALLOCATION).sum()
    }

    /// True for one reader: it is to fetch another.
    pub(super) fn begin_refresh(&self) -> bool {
        !self.refreshing.load(Relaxed) && !self.refreshing.swap(true, Relaxed)
    }

    /// That reader has not brought another; the next one may.
    pub(super) fn end_refresh(&self) {
        self.refreshing.store(false, Relaxed);
    }
}
