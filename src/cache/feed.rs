//! What the stream of one database tells the cache, in the orders that matter.

use std::sync::Arc;
use std::time::Instant;

use super::cures::{Cure, is_off};
use super::doubt::{Doubt, Doubts};
use super::fresh::Fresh;
use super::registry::Registry;
use super::tag::Tag;
use super::tags::Tags;

/// The stream's end of the cache for one database: how far it has come, the tables that it tells of, the writes that wait for it.
#[derive(Debug)]
pub struct Feed {
    database: u32,
    tags: Arc<Tags>,
    fresh: Fresh,
    doubts: Doubts,
    registry: Registry,
}

impl Feed {
    /// One without a stream; at most so many acknowledged writes wait for it ([`Doubts::new`]).
    pub fn new(database: u32, tags: Arc<Tags>, most: usize) -> Feed {
        Feed { database, tags, fresh: Fresh::new(), doubts: Doubts::new(most), registry: Registry::default() }
    }

    /// The tags' table.
    pub fn tags(&self) -> &Arc<Tags> {
        &self.tags
    }

    /// The tables that the stream tells of.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// How far the stream has come, to be read before tags are: [`super::Gate::fresh_as_of`].
    #[inline]
    pub fn as_of(&self) -> Option<Instant> {
        self.fresh.as_of()
    }

    /// How many acknowledged writes wait, and since when the oldest.
    pub fn waiting(&self) -> (usize, Option<Instant>) {
        (self.doubts.len(), self.doubts.oldest())
    }

    /// A stream has begun: its slot is there, so all that was written before and that it does not tell is visible. To be called before tables are watched.
    ///
    /// Everything is bumped once more: a reader that looked at its gate before the last stream was lost may have kept an answer since, and a write that
    /// was acknowledged meanwhile may end its doubt at this stream's first fresh point, though neither stream has told it.
    pub fn began(&self) {
        self.forget_all();
    }

    /// Every commit that was visible before `as_of` has been told, and bumped when a snapshot showed it.
    pub fn reached(&self, as_of: Instant) {
        self.fresh.reach(as_of);
        self.doubts.fresh(as_of);
    }

    /// The stream is lost: nothing that needs it is served or kept, and all that was is forgotten.
    pub fn lost(&self) {
        self.fresh.lost();
        self.forget_all();
        self.doubts.lost();
        self.registry.forget_all(self.database);
    }

    /// A write was acknowledged at this instant, and the client is told next. With a stream its tags stay in doubt until that has told what changed;
    /// without one they are bumped.
    pub fn acknowledged(&self, doubt: Doubt, at: Instant) {
        match self.fresh.as_of() {
            Some(_) if is_off(Cure::BumpBeforeTold) => doubt.release(),
            Some(_) => self.doubts.add(doubt, at),
            None => doubt.bump_and_release(),
        }
    }

    fn forget_all(&self) {
        if !is_off(Cure::Loss) {
            self.tags.bump(&[Tag::everything(self.database)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::cache::tag::Relation;
    use crate::cache::tags::Broken;

    fn scene() -> (Feed, Tag, Instant) {
        let tag = Tag::table(Relation { database: 3, oid: 1 });
        (Feed::new(3, Arc::new(Tags::new(1024)), 10), tag, Instant::now())
    }

    #[test]
    fn writes_wait_for_a_stream_that_is_there() {
        let (feed, tag, now) = scene();
        let tags = feed.tags().clone();
        let before = tags.read(&[tag]).expect("no doubt");
        feed.acknowledged(tags.doubt(&[tag]), now);
        assert_eq!(tags.holds(&before), Err(Broken::Version), "there is no stream");
        feed.began();
        feed.reached(now);
        let before = tags.read(&[tag]).expect("no doubt");
        let later = now + Duration::from_millis(1);
        feed.acknowledged(tags.doubt(&[tag]), later);
        assert_eq!(feed.waiting(), (1, Some(later)));
        feed.reached(now);
        assert_eq!(tags.holds(&before), Err(Broken::Doubt));
        feed.reached(later);
        assert_eq!((tags.holds(&before), feed.as_of()), (Ok(()), Some(later)));
    }

    #[test]
    fn losing_and_beginning_forget_all() {
        let (feed, tag, now) = scene();
        let all = [Tag::everything(3), tag];
        let relation = Relation { database: 3, oid: 1 };
        feed.began();
        feed.registry().watch(relation, now);
        feed.reached(now);
        let kept = feed.tags().read(&all).expect("no doubt");
        feed.acknowledged(feed.tags().doubt(&[tag]), now + Duration::from_secs(1));
        assert!(feed.registry().is_watched(relation, feed.as_of()));
        feed.lost();
        assert_eq!(feed.tags().holds(&kept), Err(Broken::Version));
        assert_eq!((feed.as_of(), feed.waiting()), (None, (0, None)));
        assert!(!feed.registry().is_watched(relation, Some(now)));
        let between = feed.tags().read(&all).expect("no doubt");
        feed.began();
        assert_eq!(feed.tags().holds(&between), Err(Broken::Version), "what was kept between two streams");
    }
}
