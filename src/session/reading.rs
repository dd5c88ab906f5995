//! How the session's texts are read: what the server reports is believed, and what was read before it was known is asked about.
//!
//! Between transactions the reading is that of the session's settings. While a server is in hand its reports are news of every
//! change (SET LOCAL, a rollback, the configuration read anew) by the time the client has the answer. Only behind a SET in the same
//! pipeline a text is read as it was before: then the probe finds out what it did.

use std::rc::Rc;

use super::serve::Session;
use super::statement::Statement;
use crate::pool::exchange::{Expect, Note};
use crate::pool::prepared::Form;
use crate::pool::reading::Reading;
use crate::pool::state::State;
use crate::sql::{Dialect, Effects};
use crate::wire::frame::{self, HEADER};

/// Effects that may change how a text behind them is read.
const CHANGING: Effects = Effects::SETTING.union(Effects::SET_LOCAL).union(Effects::OPAQUE);

/// Effects of statements with names of other statements in them: they are nobody else's.
pub(super) const PERSONAL: Effects = Effects::PREPARE.union(Effects::EXECUTE).union(Effects::DEALLOCATE);

/// The dialect of a server that reads like this.
pub(super) fn dialect(reading: &Reading) -> Dialect {
    Dialect::new(reading.std_strings, &reading.encoding)
}

/// Whether a text is another one when it is read in another way. In ASCII without a backslash all are alike.
pub(super) fn depends_on_reading(text: &[u8]) -> bool {
    !text.is_ascii() || memchr::memchr(b'\\', text).is_some()
}

impl Session {
    /// Changes the session's settings as known here.
    pub(super) fn set_state(&mut self, state: Rc<State>) {
        self.state = self.heed_token(state);
        self.mean_by_settings();
        self.read_as(self.defaults.under(self.state.settings()));
    }

    fn read_as(&mut self, reading: Reading) {
        if reading == *self.reading {
            return;
        }
        self.dialect = dialect(&reading);
        self.reading = Rc::new(reading);
        if self.server.as_ref().is_some_and(|server| !server.expects.is_empty()) {
            // What is under way was read as before.
            self.after |= Effects::OPAQUE;
        }
    }

    /// A server was leased. If its defaults are not those that the session was told of, the session keeps the latter.
    pub(super) fn keep_reading(&mut self) {
        let Some(server) = &self.server else { return };
        if server.reading == self.defaults {
            return;
        }
        let told = std::mem::replace(&mut self.defaults, server.reading.clone());
        let keep = |state: &State| self.worker.states.intern(told.pinned_in(state.settings()));
        (self.initial, self.state) = (keep(&self.initial), keep(&self.state));
    }

    /// The server reports a setting. What pgweir itself is setting is believed when all of it is there.
    pub(super) fn hear_setting(&mut self, message: &[u8]) {
        let careful = self.asks_carefully();
        let Some(server) = &mut self.server else { return };
        let settles = |front: &Expect| match front.note {
            Note::Settling(_) | Note::Restoring(_) | Note::Resetting => true,
            Note::Probe => careful,
            _ => false,
        };
        let own = server.expects.front().is_some_and(settles);
        let setting = message.get(HEADER..).and_then(frame::cstr);
        let Some((name, Some((value, _)))) = setting.map(|(name, rest)| (name, frame::cstr(rest))) else {
            return;
        };
        if server.hear(name, value) && !own {
            self.after |= Effects::OPAQUE;
            self.believe_server();
        }
    }

    /// The session's settings are in force on the server, as it says.
    pub(super) fn believe_server(&mut self) {
        if let Some(server) = &self.server {
            self.read_as(server.told.clone());
        }
    }

    /// What the server reports is its default, as far as the session has not set it.
    pub(super) fn learn_defaults(&mut self) {
        let Some(server) = &mut self.server else { return };
        let defaults = server.told.without(server.state.settings(), &server.reading);
        if defaults != server.reading {
            server.reading = defaults.clone();
            self.defaults = defaults;
        }
    }

    /// Whether a SET (`None`: RESET) changes how texts are read, so that one behind it in the pipeline would be misread.
    pub(super) fn changes_reading(&self, name: &[u8], value: Option<&[u8]>) -> bool {
        let mut reading = Reading::clone(&self.reading);
        let decides = reading.hear(name, value.unwrap_or_default());
        let then = || self.defaults.under(&self.state.with(&name.to_ascii_lowercase(), value));
        decides && (then() != *self.reading || !value.unwrap_or_default().is_ascii())
    }

    /// Whether the server may read a text sent now in another way than the session knows.
    pub(super) fn is_reading_uncertain(&self) -> bool {
        let under_way =
            || self.server.as_ref().is_some_and(|server| server.expects.iter().any(|one| !one.ours));
        self.after.intersects(CHANGING) && under_way()
    }

    /// The same for the message that was sent last.
    pub(super) fn was_reading_uncertain(&self) -> bool {
        let sent = self.server.iter().flat_map(|server| server.expects.iter().rev().skip(1));
        self.after.intersects(CHANGING) && sent.into_iter().any(|one| !one.ours)
    }

    /// The statement as its text is read now: another one if it was parsed when it was read in another way or under another search path, or when a name of a
    /// statement in it meant another one. Servers are never made to prepare one statement in two readings.
    pub(super) fn as_read_now(&mut self, statement: &Rc<Statement>) -> Rc<Statement> {
        if let Some((tail, mention)) = &statement.original
            && !self.is_still(mention)
        {
            return self.intern(tail);
        }
        let read_otherwise = statement
            .reading
            .as_ref()
            .is_some_and(|reading| **reading != *self.reading || self.is_reading_uncertain());
        let means_otherwise = statement.meaning.as_ref().is_some_and(|meaning| **meaning != *self.meaning)
            || statement.path.as_ref().is_some_and(|path| **path != *self.path);
        if read_otherwise {
            self.after |= Effects::OPAQUE;
        } else if !means_otherwise {
            return statement.clone();
        }
        match &statement.prepared.form {
            Form::Parse(tail) if !statement.effects.intersects(PERSONAL) => self.intern(tail),
            _ => statement.clone(),
        }
    }
}
