//! What statements cost, by shape: counted where they run, gathered aside.
//!
//! The end of the data plane is [`Digests`], a table of each worker without locks; what it has counted is taken from it once in some seconds
//! and put together in a [`Merged`]. Neither ever holds a literal: what names a shape is its text without them.
//!
//! Some statements are looked at more closely ([`Closely`]): their values are kept for advice, in memory ([`Samples`]), their tags ([`tags`]) tell where
//! they are sent from, and the slow ones get a line in the slow-query log ([`log`]).

mod closer;
mod digests;
pub mod log;
mod merged;
mod samples;
mod series;
pub mod tags;
pub mod values;

pub use closer::{Closely, LONGEST, Look, Seen, Wants};
pub use digests::{Digests, Identity, UNREAD};
pub use merged::Merged;
pub use samples::{SAMPLES, Samples, Shown, Shows};
pub use series::{Series, Slot};
