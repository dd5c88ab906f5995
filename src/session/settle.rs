//! The session's settings are brought to the server that it has.

use std::rc::Rc;

use super::serve::Session;
use crate::pool::exchange::Note;
use crate::pool::state::{self, Difference, Settings, State};
use crate::sql::Effects;
use crate::wire::Fault;

impl Session {
    /// Brings a server that comes from other hands to the session's state. If it is to forget what it knows of sequences, then under
    /// nobody's settings.
    pub(super) fn settle(&mut self, forgets: bool) {
        let Some(server) = &mut self.server else { return };
        let difference = state::difference(&server.state, &self.state, server.murky);
        let (ahead, behind, short) = self.limits_to_settle(difference.is_some());
        let Some(difference) = difference.or_else(|| limits_only(&ahead, &behind)) else {
            if forgets {
                self.forget_sequences();
            }
            return;
        };
        let Difference { mut resets, mut sets, apart, guarded } = difference;
        resets.splice(..0, ahead);
        if !behind.is_empty() && !sets.is_empty() {
            sets.push(b';');
        }
        sets.extend_from_slice(&behind);
        let settling = Note::Settling(self.state.clone());
        if !resets.is_empty() && !sets.is_empty() && (forgets || apart) {
            self.change_state(&std::mem::take(&mut resets), Note::Resetting);
        }
        let resets_only = !resets.is_empty();
        if forgets && !resets_only {
            self.forget_sequences();
        }
        self.change_state(&[resets, sets].concat(), settling);
        if forgets && resets_only {
            self.forget_sequences();
        }
        self.settling = guarded || short;
    }

    /// Puts the session's settings back in force on the server that it has.
    pub(super) fn restore(&mut self) {
        let Some(server) = &mut self.server else { return };
        if let Some(difference) = state::difference(&server.state, &self.state, false) {
            let note = Note::Restoring(self.state.clone());
            self.change_state(&[difference.resets, difference.sets].concat(), note);
            self.settling = difference.guarded;
        }
    }

    fn change_state(&mut self, sql: &[u8], note: Note) {
        let Some(server) = &mut self.server else { return };
        server.ask(sql, note);
    }

    /// The session has set something, on its server too: these are its settings.
    pub(super) fn has_set(&mut self, settings: Settings) {
        let state = self.worker.states.intern(settings);
        self.server.iter_mut().for_each(|server| server.state = state.clone());
        self.means_unknown = false;
        self.set_state(state);
    }

    /// The server has the session's settings.
    pub(super) fn settled(&mut self, state: Rc<State>) {
        self.server.iter_mut().for_each(|server| server.state = state.clone());
        self.settling = false;
        self.believe_server();
    }

    /// The server does not take the session's settings: nothing may run without them. A server that was out of time, which
    /// others have set, is no loss: another one is asked, if nothing was sent. Nor is a replica that does not know of a role yet.
    pub(super) fn settling_failed(&mut self, fault: &Fault) {
        if fault.sqlstate == "57014" && self.settling && self.unsent.is_some() {
            self.take_back();
            return;
        }
        if fault.sqlstate == "57014" && self.limit_struck() || self.leave_unsettled() {
            return;
        }
        if let Some(server) = &mut self.server {
            server.broken = true;
        }
        self.fatal(fault);
    }

    /// Effects of whatever the session runs: under a search path with the temporary schema, any code may make objects there.
    pub(super) fn makes_temporary_objects(&self) -> Effects {
        let names_it = self.path.windows(7).any(|part| part.eq_ignore_ascii_case(b"pg_temp"));
        if names_it { Effects::TEMP } else { Effects::EMPTY }
    }
}

/// Nothing but a rule's limit changes.
fn limits_only(ahead: &[u8], behind: &[u8]) -> Option<Difference> {
    let changes = !ahead.is_empty() || !behind.is_empty();
    changes.then(|| Difference { resets: vec![], sets: vec![], apart: false, guarded: false })
}
