//! What statements cost, by shape: counted where they run, gathered aside.
//!
//! The end of the data plane is [`Digests`], a table of each worker without locks; what it has counted is taken from it once in some seconds
//! and put together in a [`Merged`]. Neither ever holds a literal: what names a shape is its text without them.

mod digests;
mod merged;
mod series;

pub use digests::{Digests, Identity, UNREAD};
pub use merged::Merged;
pub use series::{Series, Slot};
