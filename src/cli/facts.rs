//! What a statement is about, for `check` and `explain` of rule files.

use crate::sql::facts::{self, Facts};
use crate::sql::shape;

/// The facts of a text, read as PostgreSQL does by default.
pub fn of(text: &str) -> Facts {
    facts::facts(text.as_bytes(), true, &shape(text.as_bytes(), true))
}
