//! What will be done with a statement, and why: facts of its shape, and what the database knows of the names in it.
//!
//! - [`Profiles`]: what a worker knows of the shapes of a database's statements: whether they only read, and how long they take.

mod profile;

pub use profile::{Pace, Profile, Profiles};
