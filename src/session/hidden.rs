//! What a statement reaches without saying so, and the changes of what statements reach.
//!
//! See [`crate::catalog`]. A transaction that may change definitions makes the names of its database uncertain, for every
//! session, from before its first such statement is sent until they were read behind its end.

use std::rc::Rc;

use super::custom::Given;
use super::serve::Session;
use super::statement::Statement;
use crate::catalog::{may_define, may_move_barriers};
use crate::pool::prepared::Form;
use crate::runtime::read_again;
use crate::sql::Effects;
use crate::wire::frame::{self, HEADER};

/// PostgreSQL's functions for large objects, which drivers call by number.
const LARGE_OBJECTS: &[u32] = &[
    715, 764, 765, 767, 952, 953, 954, 955, 956, 957, 958, 964, 1004, 3170, 3171, 3172, 3457, 3458, 3459,
    3460,
];

impl Session {
    /// What `text` may do to the session by the names in it.
    #[inline]
    pub(super) fn hidden_effects(&self, text: &[u8]) -> Effects {
        let hidden = self.functions.effects_of(text, self.dialect);
        if hidden.is_empty() {
            return hidden;
        }
        read_again(&self.functions, self.pool.target());
        hidden | Effects::HIDDEN
    }

    /// Remembers what a prepared statement may do now that it runs, and gives it.
    pub(super) fn note_statement(&mut self, statement: &Rc<Statement>, given: Given<'_>) -> Effects {
        let (Form::Parse(text) | Form::Sql(text)) = &statement.prepared.form;
        // Behind the text of a Parse are its types.
        let text = frame::cstr(text).map_or(&**text, |(text, _)| text);
        let effects = statement.effects.union(self.hidden_effects(text));
        if !effects.is_empty() {
            self.note_effects(text, effects, given);
        }
        effects
    }

    /// A function is called by its number: any but those for large objects may do anything.
    pub(super) fn note_function_call(&mut self, bytes: &[u8]) {
        let number = bytes.get(HEADER..).and_then(|body| body.first_chunk::<4>());
        if number.is_none_or(|number| !LARGE_OBJECTS.contains(&u32::from_be_bytes(*number))) {
            self.touch_hidden_names();
            self.after |= Effects::OPAQUE;
        }
    }

    /// Something goes to the server unread.
    pub(super) fn note_opaque(&mut self) {
        self.touch_hidden_names();
        self.after |= Effects::OPAQUE;
        self.note_definitions(b"", Effects::OPAQUE);
    }

    /// A statement that may change definitions is about to be sent.
    pub(super) fn note_definitions(&mut self, text: &[u8], effects: Effects) {
        if self.defining.is_none() && may_define(text, effects) {
            self.defining = Some(self.functions.change(text));
        }
        if self.redefining.is_none() && may_move_barriers(text, effects) {
            self.redefining = Some(self.profiles.judge.change());
        }
    }

    /// The transaction has ended: what it may have defined is read.
    pub(super) fn definitions_changed(&mut self) {
        if self.defining.take().is_some() {
            read_again(&self.functions, self.pool.target());
        }
        // These are read at the worker's next tick, if somebody asks.
        self.redefining = None;
    }

    /// Custom settings that functions set are asked for by name: the server does not list them.
    pub(super) fn touch_hidden_names(&mut self) {
        for name in self.functions.settings() {
            self.touch(&name);
        }
    }
}
