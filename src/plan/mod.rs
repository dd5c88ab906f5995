//! Decisions, as pure functions of values: whether a statement only reads, which node answers, and why.
//!
//! [`Profiles`] is what a worker knows of the shapes of a database's statements: whether they only read, and how long they take.
//!
//! # Choosing a node
//! A [`topology::Topology`] is what is known of a cluster's nodes at one moment; it is immutable and swapped whole. A session
//! keeps a [`consistency::Floor`]: what it must not see undone. A worker keeps its [`loads::Loads`] (in flight, latency) and
//! the state of the strategy, a [`balance::Balancer`]. Then, for a statement that may go to a replica:
//!
//! 1. [`choose::choose`] gives [`choose::Choice::Replica`] with a node, or [`choose::Choice::Primary`] with a reason. Where
//!    [`choose::Reason::may_change`], a probe is worth asking for, and the next topology worth waiting for as long as
//!    `replica_wait` allows: `runtime::cluster::Nodes::choose_within` does both.
//! 2. [`loads::Loads::begin`] when the statement is sent, [`loads::Loads::end`] when its last answer has come.
//! 3. [`consistency::Floor::used`] after *every* use of a node, primary or replica, read or write, once its answer has come (and,
//!    for a transaction, once more when it has ended). It costs a load and a few stores.
//!
//! [`explain`] says of a statement what would be decided on it, and why; it changes nothing.
//!
//! # Keeping results
//! [`cacheable::judge`] says of a read on which rows of which tables its result depends, or why it must not be kept; [`writes::of`] says
//! of any text which rows and tables it may change. [`determined`] says whether two answers must be the same.
//!
//! Why this is right: `docs/design/consistency.md`.

pub mod balance;
pub mod cacheable;
pub mod choose;
pub mod consistency;
pub mod determined;
pub mod explain;
mod lately;
pub mod loads;
mod profile;
mod remembered;
pub mod token;
pub mod topology;
pub mod writes;

pub use profile::{Pace, Profile, Profiles};
pub use remembered::{Bounds, Names, Places};
