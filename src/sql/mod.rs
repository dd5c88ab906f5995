//! Text to facts: what a text sent by a client says of itself, without a catalog.
//!
//! - [`Lexer`]: tokens, as PostgreSQL's scanner sees them.
//! - [`summarize`]: statements, their verbs and operands, and what they may do to the session.
//! - [`shape`]: the text without what makes it one of many, and its fingerprint.
//! - [`facts()`]: tables, functions and conditions, once for a shape, by a syntax tree; [`tree`] is that tree.
//! - [`not_a_read`]: whether it may do more than read.
//! - [`explain_route`]: the command that is not PostgreSQL's.
//! - [`plain_verb`]: the common case, at a third of the cost.
//! - [`mask()`]: a cheap key under which what was found out of a shape may be kept; [`Lately`] finds it again for less.
//! - [`mentions_session_effects`]: the same for the code of a function.
//!
//! All but the facts goes without a syntax tree. Absent on purpose: knowledge of objects, decoding of `U&` escapes. When in doubt the answer
//! is more effects, up to [`Effects::OPAQUE`]. Imports nothing of ours.

mod bytes;
mod cursor;
mod custom;
mod detail;
mod dialect;
mod effects;
mod explained;
pub mod facts;
mod keywords;
pub mod lexer;
mod mask;
mod mentions;
mod plain;
mod reads;
mod set;
mod shape;
mod summary;
mod text;
mod transaction;
mod utility;
mod verb;
mod words;

#[cfg(test)]
mod tests;

pub use custom::{SettingNames, execute_argument, setting_names};
pub use detail::{Detail, DiscardTarget, SetValue};
pub use dialect::Dialect;
pub use effects::Effects;
pub use explained::{explain_route, may_explain_route};
pub use facts::{facts, tree};
pub use lexer::{Kind, Lexer, Token};
pub use mask::{Lately, Template, mask};
pub use mentions::mentions_session_effects;
pub use plain::plain_verb;
pub use reads::{NotRead, not_a_read, words_against_reading};
pub use shape::{BadFingerprint, Fingerprint, Literal, Shape, Value, numbered, shape, without_values};
pub use summary::{Statement, Summary, summarize};
pub use text::{literal_string, quote_identifier, unquoted};
pub use transaction::{Isolation, Modes};
pub use verb::Verb;
