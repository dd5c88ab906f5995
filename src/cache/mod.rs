//! Results of reads, kept, and what makes it right to hand them out: no input or output, no SQL, one store for all workers.
//!
//! # The life of a result
//! 1. A session builds the [`Key`] of its cycle in a [`KeyBuffer`] and asks [`Store::lookup`], with the [`Gate`] of its rule's level.
//! 2. [`Lookup::Hit`]: the [`Entry`]'s bytes are sent, and the session's floor rises to [`Entry::seen`].
//! 3. [`Lookup::Follow`]: another session's query is on its way; [`Following::poll`] waits for its answer.
//! 4. [`Lookup::Fill`]: the query is sent *after* the lookup, the answer's bytes are given to [`Filling::push`], and
//!    [`Filling::finish`] keeps them.
//! 5. [`Lookup::Miss`]: the query is sent, and nothing is kept; the [`Miss`] says why.
//! 6. [`Lookup::Closed`]: the query is sent. Where its answer is that of the entry, the session's floor rises to [`Entry::seen`] only.
//!
//! # What makes it wrong again
//! A [`Tag`] stands for what a result depends on. [`Tags`] has a version for each, and how many hold it in doubt. A write
//! puts its tags in doubt before it is sent ([`Tags::doubt`]), and they stay so until nobody can miss it any more: without a stream
//! until its acknowledgement ([`Doubt::bump_and_release`]), with one until the stream has told what changed ([`Feed`]).
//! A change that the stream tells is held in doubt ([`Tags::limbo`]) until a snapshot shows it, and then bumped.
//!
//! Why this holds: `docs/design/cache.md`; in order of the races: at [`Tags::holds`], [`Registry::usable`], [`Entry::seen`].

pub mod doubt;
pub mod entry;
pub mod feed;
pub mod fresh;
pub mod gate;
pub mod key;
pub mod needs;
pub mod registry;
pub mod store;
pub mod tag;
pub mod tags;

pub(crate) mod cures;

mod counts;
mod doorkeeper;
mod flight;
mod listed;
mod shard;

#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod simulation_tests;
#[cfg(test)]
mod store_tests;
#[cfg(test)]
mod stress_tests;

pub use counts::{Counts, Eviction, Miss, Unstored};
pub use doubt::{Doubt, Doubts, Later, Lists};
pub use entry::Entry;
pub use feed::Feed;
pub use flight::{Alone, Filling, Following};
pub use fresh::Fresh;
pub use gate::Gate;
pub use key::{Described, Form, Key, KeyBuffer, Parts};
pub use listed::Listed;
pub use needs::Needs;
pub use registry::{Registry, Shapes, Tagged, Told};
pub use store::{Limits, Lookup, Store};
pub use tag::{Relation, Shape, Tag, TagList, Values};
pub use tags::{Broken, Tags, Versions};
