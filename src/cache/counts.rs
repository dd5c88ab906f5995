//! What the store counts, under names that stay.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use crate::level::Caching;

/// An enum of reasons with stable names.
macro_rules! reasons {
    ($(#[$about:meta])* $Name:ident { $($(#[doc = $doc:literal])+ $Reason:ident = $name:literal,)+ }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $Name { $($(#[doc = $doc])+ $Reason,)+ }

        impl $Name {
            /// All of them, in order.
            pub const ALL: &'static [$Name] = &[$($Name::$Reason),+];

            /// Its name in metrics, `SHOW CACHE` and `EXPLAIN ROUTE`; it does not change.
            pub fn name(self) -> &'static str {
                match self { $($Name::$Reason => $name),+ }
            }

            /// What it means, for the guide.
            pub fn about(self) -> &'static str {
                match self { $($Name::$Reason => concat!($($doc),+).trim_ascii(),)+ }
            }
        }
    };
}

reasons! {
    /// Why a read was not answered from the cache.
    Miss {
        /// Nothing is kept for it.
        Absent = "absent",
        /// Nothing is kept for it, and it was not asked for lately: the answer is kept from the second time on.
        FirstUse = "first_use",
        /// What was kept depended on something that has changed since.
        Invalidated = "invalidated",
        /// Somebody may be changing something that it depends on.
        InDoubt = "in_doubt",
        /// There is no replication stream that would tell of changes, or none yet.
        NoStream = "no_stream",
        /// The replication stream is further behind than the rule's bound, or nobody has looked lately whether definitions are as they were.
        Behind = "behind",
        /// The replication stream has not come to what this session has written or seen; at level `strict_all`, to when the read began.
        Floor = "floor",
        /// What was kept is as old as the rule allows.
        Expired = "expired",
        /// What it depends on cannot be told yet.
        NotReady = "not_ready",
        /// It depends on more than is looked at for a hit.
        TooManyTags = "too_many_tags",
        /// Its answer was too large a moment ago.
        TooLarge = "too_large",
        /// As many sessions wait for the same answer as may.
        Crowded = "crowded",
    }
}

reasons! {
    /// Why an answer that was to be kept was not.
    Unstored {
        /// Something that it depends on has changed, or may be changing, since its query was sent.
        Invalidated = "invalidated",
        /// It is larger than an entry may be.
        TooLarge = "too_large",
        /// There was no room, nor anything that could be removed.
        NoRoom = "no_room",
        /// The cache was flushed meanwhile.
        Flushed = "flushed",
        /// A later answer is there.
        Older = "older",
        /// The query failed, or its session has ended.
        Abandoned = "abandoned",
    }
}

reasons! {
    /// Why an entry was removed.
    Eviction {
        /// There was need for room.
        Room = "room",
        /// A later answer took its place.
        Replaced = "replaced",
        /// Something that it depends on has changed.
        Invalidated = "invalidated",
        /// It was too old for any level.
        Expired = "expired",
        /// The cache was flushed.
        Flushed = "flushed",
    }
}

/// One count for each reason of an enum.
#[derive(Debug)]
pub(super) struct By<const N: usize>([AtomicU64; N]);

impl<const N: usize> Default for By<N> {
    fn default() -> Self {
        By([const { AtomicU64::new(0) }; N])
    }
}

impl<const N: usize> By<N> {
    pub fn add(&self, at: usize, n: u64) {
        if n > 0 {
            self.0[at].fetch_add(n, Relaxed);
        }
    }

    fn all(&self) -> [u64; N] {
        std::array::from_fn(|at| self.0[at].load(Relaxed))
    }
}

/// The counts, by those who count.
#[derive(Debug, Default)]
pub(super) struct Counting {
    pub misses: By<{ Miss::ALL.len() }>,
    pub unstored: By<{ Unstored::ALL.len() }>,
    pub evictions: By<{ Eviction::ALL.len() }>,
    pub stored: AtomicU64,
    pub followed: AtomicU64,
    pub refreshes: AtomicU64,
}

impl Counting {
    pub fn miss(&self, why: Miss) {
        self.misses.add(why as usize, 1);
    }

    pub fn unstored(&self, why: Unstored) {
        self.unstored.add(why as usize, 1);
    }

    pub fn evicted(&self, cause: Eviction, n: u64) {
        self.evictions.add(cause as usize, n);
    }

    pub fn one(count: &AtomicU64) {
        count.fetch_add(1, Relaxed);
    }
}

/// What was counted since the start, and what there is now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counts {
    /// Reads answered from what was kept, by level ([`Caching::WORDS`]).
    pub hits: [u64; Caching::WORDS.len()],
    /// Reads that were given the answer of another session's query.
    pub followed: u64,
    /// Reads that went to the database, by [`Miss::ALL`]. Those that were to keep their answer are among them, under what their lookup found.
    pub misses: [u64; Miss::ALL.len()],
    /// Answers kept.
    pub stored: u64,
    /// Answers not kept, by [`Unstored::ALL`].
    pub unstored: [u64; Unstored::ALL.len()],
    /// Entries removed, by [`Eviction::ALL`].
    pub evictions: [u64; Eviction::ALL.len()],
    /// Reads that were sent to the database so that an entry does not get too old.
    pub refreshes: u64,
    /// Entries there are.
    pub entries: usize,
    /// Their memory, keys, tags and tables of the store included.
    pub bytes: usize,
    /// Memory of answers that are coming in.
    pub filling: usize,
    /// Memory of the table of tags.
    pub tags: usize,
    /// Sessions that wait for another's answer.
    pub followers: usize,
    /// Writes that hold tags in doubt.
    pub writes_in_doubt: usize,
    /// Commits that the stream has told and that no snapshot has shown.
    pub limbo: usize,
}

impl Counts {
    /// Hits of all levels.
    pub fn all_hits(&self) -> u64 {
        self.hits.iter().sum()
    }

    /// Misses for a reason.
    pub fn missed(&self, why: Miss) -> u64 {
        self.misses[why as usize]
    }

    /// Evictions for a cause.
    pub fn evicted(&self, cause: Eviction) -> u64 {
        self.evictions[cause as usize]
    }

    pub(super) fn take(&mut self, counting: &Counting) {
        self.misses = counting.misses.all();
        self.unstored = counting.unstored.all();
        self.evictions = counting.evictions.all();
        self.stored = counting.stored.load(Relaxed);
        self.followed = counting.followed.load(Relaxed);
        self.refreshes = counting.refreshes.load(Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_stable() {
        let names = |all: &[&'static str]| all.join(" ");
        let misses: Vec<_> = Miss::ALL.iter().map(|why| why.name()).collect();
        assert_eq!(
            names(&misses),
            "absent first_use invalidated in_doubt no_stream behind floor expired not_ready too_many_tags too_large crowded"
        );
        let unstored: Vec<_> = Unstored::ALL.iter().map(|why| why.name()).collect();
        assert_eq!(names(&unstored), "invalidated too_large no_room flushed older abandoned");
        let evictions: Vec<_> = Eviction::ALL.iter().map(|why| why.name()).collect();
        assert_eq!(names(&evictions), "room replaced invalidated expired flushed");
        assert_eq!(Miss::Absent.about(), "Nothing is kept for it.");
    }
}
