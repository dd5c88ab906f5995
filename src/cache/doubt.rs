//! Doubts: guards of tags that may be changing, and those of acknowledged writes that wait for the stream.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use smallvec::SmallVec;

use super::registry::Shapes;
use super::tag::TagList;
use super::tags::Tags;

/// Who holds tags in doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Held {
    /// A write, from before it is sent.
    Write,
    /// A commit that the stream has told, until it is visible.
    Limbo,
}

/// Tags in doubt. Dropped without a word, it bumps them and lets them out.
///
/// That is right only for a write that was acknowledged, has failed, or was never sent. While it may still become visible, because its server was
/// lost on the way, its doubt must be kept until the server's process is known to be gone.
#[must_use]
pub struct Doubt {
    tags: Arc<Tags>,
    slots: Slots,
    held: Held,
    /// Lists of shapes by which the tags were found: see [`super::Registry::usable`].
    by: Lists,
}

/// The words of the tags of one doubt.
pub(super) type Slots = SmallVec<[u32; 8]>;

/// Lists of shapes by which tags were found: of one table, most often.
pub type Lists = SmallVec<[Shapes; 1]>;

impl Doubt {
    pub(super) fn new(tags: Arc<Tags>, slots: Slots, held: Held) -> Doubt {
        Doubt { tags, slots, held, by: Lists::new() }
    }

    /// Keeps the lists of shapes by which the tags were found. They must have been got before the tags were put in doubt, and for each
    /// table of which not all rows are in doubt there must be one.
    pub fn found_by(mut self, by: Lists) -> Doubt {
        self.by = by;
        self
    }

    /// What the tags stand for has changed, and everybody sees it: they get another version.
    pub fn bump_and_release(self) {}

    /// Nothing has changed, or what has was bumped by the stream.
    pub fn release(mut self) {
        self.end(false);
    }

    fn end(&mut self, bumped: bool) {
        let slots = std::mem::take(&mut self.slots);
        if !slots.is_empty() {
            self.tags.end(&slots, self.held, bumped);
        }
    }
}

impl Drop for Doubt {
    fn drop(&mut self) {
        self.end(true);
    }
}

impl fmt::Debug for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Doubt {{ {:?}, tags: {} }}", self.held, self.slots.len())
    }
}

/// What a write will have in doubt, from before its transaction is committed.
#[derive(Debug, Default)]
pub struct Later {
    tags: TagList,
    by: Lists,
}

impl Later {
    /// These tags, found by these lists of shapes: as at [`Doubt::found_by`]. The lists are kept from now on, so that no shape that they have not
    /// is used before this has been in doubt.
    pub fn new(tags: TagList, by: Lists) -> Later {
        Later { tags, by }
    }

    /// The tags are in doubt from now on.
    pub fn begin(self, tags: &Arc<Tags>) -> Doubt {
        tags.doubt(&self.tags).found_by(self.by)
    }
}

/// Doubts of acknowledged writes of one database, which wait until the stream has told what they changed.
#[derive(Debug)]
pub struct Doubts {
    waiting: Mutex<Vec<(Instant, Doubt)>>,
    most: usize,
}

impl Doubts {
    /// At most so many. Beyond that the older half is bumped and released: right in any case, and dearer for those who read.
    pub fn new(most: usize) -> Doubts {
        Doubts { waiting: Mutex::default(), most: most.max(1) }
    }

    /// A write whose acknowledgement has come at this instant; it must not have been passed on to the client before.
    pub fn add(&self, doubt: Doubt, acknowledged: Instant) {
        let mut waiting = self.lock();
        let older = if waiting.len() < self.most { 0 } else { waiting.len().div_ceil(2) };
        let ended: Vec<_> = waiting.drain(..older).collect();
        waiting.push((acknowledged, doubt));
        drop(waiting);
        drop(ended);
    }

    /// Every commit that was visible before `as_of` has been told by the stream, was visible to a later snapshot, and its tags have been
    /// bumped: so doubts of writes acknowledged until then end.
    pub fn fresh(&self, as_of: Instant) {
        let ended: Vec<_> = self.lock().extract_if(.., |waiting| waiting.0 <= as_of).collect();
        ended.into_iter().for_each(|(_, doubt)| doubt.release());
    }

    /// The stream is lost: what waits for it is bumped and released, as without a stream. To be called after [`super::Fresh::lost`]: a doubt that is
    /// added later must see that.
    pub fn lost(&self) {
        let ended = std::mem::take(&mut *self.lock());
        drop(ended);
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Since when the oldest waits: what `CACHE BARRIER` looks at.
    pub fn oldest(&self) -> Option<Instant> {
        self.lock().iter().map(|(acknowledged, _)| *acknowledged).min()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Instant, Doubt)>> {
        // What a thread that panicked has left is a list of doubts as before.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::cache::registry::Registry;
    use crate::cache::tag::{Relation, Shape, Tag};
    use crate::cache::tags::Broken;

    fn scene(most: usize) -> (Arc<Tags>, Tag, Doubts, Instant) {
        let tag = Tag::table(Relation { database: 0, oid: 1 });
        (Arc::new(Tags::new(1024)), tag, Doubts::new(most), Instant::now())
    }

    #[test]
    fn doubts_end_with_the_fresh_point_that_has_them() {
        let (tags, tag, doubts, start) = scene(10);
        let at = |ms| start + Duration::from_millis(ms);
        let versions = tags.read(&[tag]).expect("no doubt");
        doubts.add(tags.doubt(&[tag]), at(5));
        doubts.add(tags.doubt(&[tag]), at(3));
        assert_eq!(doubts.oldest(), Some(at(3)));
        doubts.fresh(at(4));
        assert_eq!(doubts.len(), 1);
        assert_eq!(tags.holds(&versions), Err(Broken::Doubt));
        doubts.fresh(at(5));
        assert_eq!(tags.holds(&versions), Ok(()));
        assert!(doubts.is_empty());
    }

    #[test]
    fn a_later_doubt_keeps_its_lists_from_the_beginning() {
        let (tags, tag, _, now) = scene(4);
        let (registry, relation) = (Registry::default(), Relation { database: 0, oid: 1 });
        registry.watch(relation, now);
        let shapes = registry.shapes(relation).expect("it is watched");
        let later = Later::new([tag].into_iter().collect(), [shapes].into_iter().collect());
        assert!(registry.register(relation, &Shape::new(&[1]), now));
        assert!(tags.read(&[tag]).is_some(), "nothing is in doubt yet");
        assert!(!registry.usable(relation, &[1], Some(now)), "its tags were made without it");
        let doubt = later.begin(&tags);
        assert!(tags.read(&[tag]).is_none() && !registry.usable(relation, &[1], Some(now)));
        doubt.release();
        assert!(registry.usable(relation, &[1], Some(now)));
    }

    #[test]
    fn beyond_the_limit_the_older_half_is_bumped() {
        let (tags, tag, doubts, start) = scene(4);
        let versions = tags.read(&[tag]).expect("no doubt");
        for _ in 0..5 {
            doubts.add(tags.doubt(&[tag]), start);
        }
        assert_eq!((doubts.len(), tags.in_doubt().0), (3, 3));
        doubts.fresh(start);
        assert_eq!(tags.holds(&versions), Err(Broken::Version));
    }

    #[test]
    fn a_lost_stream_bumps_what_waits() {
        let (tags, tag, doubts, start) = scene(4);
        let versions = tags.read(&[tag]).expect("no doubt");
        doubts.add(tags.doubt(&[tag]), start);
        doubts.lost();
        assert_eq!(tags.holds(&versions), Err(Broken::Version));
        assert!(tags.read(&[tag]).is_some());
    }
}
