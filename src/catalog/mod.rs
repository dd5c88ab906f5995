//! What the server knows and a text does not show: the names whose mention changes the session that mentions them, and
//! those whose mention makes more than a read.
//!
//! - [`Names`]: functions whose code changes their caller's session (`set_config`, session advisory locks, temporary
//!   tables, LISTEN), and all that calls them unseen: functions, views, triggers, defaults, constraints, policies, operators,
//!   casts.
//! - [`Search`]: how they are found, as questions and answers; it connects to nothing.
//! - [`Definitions`], [`Known`], [`Change`]: one copy for all workers, and when it does not hold.
//! - [`Barriers`]: the names that a statement must not mention to be a read, and [`Reach`], the search for them; [`Judge`], a worker's
//!   copy.
//! - [`Relations`]: which tables a statement reads and changes with those that it names; with the barriers they are [`Contents`].
//! - [`Grounds`]: what the result cache has to know beside: what is not the same twice, columns and keys, what follows from a change.
//! - [`Beside`]: what shows whether any of that has changed, and all else on which answers depend beside rows.
//! - [`may_define`]: the texts that make it so.
//!
//! Over-approximate: by name, in any schema. Absent on purpose: what C code does, unless it is known to run SQL given as a text.

mod barriers;
mod beside;
mod defining;
mod grounds;
mod identifier;
mod ids;
mod names;
mod reach;
mod read;
mod relations;
mod shared;

pub use barriers::{Barrier, Barriers};
pub use beside::{BESIDE, Beside};
pub use defining::{may_define, may_move_barriers};
pub use grounds::{CALLS, Column, ColumnKind, DETAILS, Detail, Events, Grounds, KeyType, UNSTABLE, WRITING};
pub use ids::Id;
pub use names::Names;
pub use reach::{OWN, Reach};
pub use read::{BODIES, CODE, MARK, Row, Search, USERS};
pub use relations::{EDGES, How, RELATIONS, Reached, RelationKind, Relations, Unknown};
pub use shared::{Change, Contents, Definitions, Judge, Known, Reading};
