//! Rules: what teams decide on statements, in files that can be reviewed and tested.
//!
//! Rule files are compiled to a [`Ruleset`], as a whole or not at all. On a statement it is asked in steps, so that each
//! thing is found out once:
//! 1. [`Ruleset::candidates`], once for a shape: the rules whose conditions on the statement itself hold.
//! 2. [`Candidates::of_session`], once for a shape and a session, where that is worth keeping.
//! 3. [`Candidates::decide`], for each statement. Where no candidate asks for session or moment, [`Candidates::settled`] has
//!    the answer by one branch.
//!
//! A [`Decision`] says for each [`Concern`] what is done and which rule says so. To do it is the caller's: this module has
//! no I/O but [`folder`], no clock and no task. [`throttle`], [`turns`] and [`concurrency`] are the state behind two of the
//! actions, as pure values; [`gate`] shares it among threads. [`check`], [`explain`] and [`mod@reference`] are for people. What a statement is about, `sql::facts` says.

mod action;
pub mod caching;
pub mod calendar;
mod candidates;
pub mod check;
pub mod concurrency;
mod condition;
mod context;
mod contradiction;
pub mod explain;
mod file;
pub mod folder;
pub mod gate;
mod glob;
pub mod keys;
mod kinds;
mod network;
mod pattern;
mod place;
#[cfg(test)]
mod random;
mod reader;
pub mod reference;
pub mod rewrite;
mod ruleset;
mod table_facts;
#[cfg(test)]
mod tests;
pub mod throttle;
mod trial;
pub mod turns;

pub use action::{
    Block, Concern, Concerns, Concurrency, Consistency, Hint, Level, Mirror, Per, Rate, Route, Share, Then,
    Throttle,
};
pub use caching::{Cache, TableName};
pub use candidates::{Candidates, Decided, Decision};
pub use condition::{When, class_name};
pub use context::{Context, Moment, Session, Subject};
pub use file::Mode;
pub use glob::{Dotted, Glob};
pub use network::Network;
pub use place::{Place, Problem, Severity, Source};
pub use reader::{Meta, Section};
pub use rewrite::Rewrite;
pub use ruleset::{Rule, Ruleset};
pub use table_facts::{TableFacts, unknown_names};
