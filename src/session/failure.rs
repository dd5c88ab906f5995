//! Errors of the server: what they say is the client's, what they mean for what was expected is found out here.

use super::relay::Verdict;
use super::rename::{as_sent_by_client, instead};
use super::serve::Session;
use super::told::Asking;
use super::unnamed::{self, is_about_reading};
use crate::pool::exchange::{Expect, Kind, Note, Of, Unnamed};
use crate::pool::server::UNKNOWN;
use crate::sql::Effects;
use crate::wire::Fault;
use crate::wire::frame::{self, HEADER, TxStatus};

impl Session {
    /// The server answers with an error.
    pub(super) fn error(&mut self, whole: &[u8]) -> Verdict {
        let terms = self.terms_in_error();
        let failing = self.capture.is_some().then(|| self.failing()).flatten();
        let verdict = self.error_of_server(whole);
        if !self.is_to_be_asked_again() {
            failing.into_iter().for_each(|failing| self.capture_error(failing, whole));
            return match terms {
                Some(terms) => self.error_by_terms(&terms, whole, verdict),
                None => verdict,
            };
        }
        self.hears_no_more();
        Verdict::Again
    }

    fn error_of_server(&mut self, whole: &[u8]) -> Verdict {
        let Some(server) = &mut self.server else { return Verdict::Forward };
        let fields = &whole[HEADER..];
        server.copy_in = false;
        if frame::fields(fields).any(|(code, value)| code == b'V' && matches!(value, b"FATAL" | b"PANIC")) {
            server.broken = true;
            return self.farewell(fields);
        }
        if self.following > 0 {
            self.followed_well();
        }
        self.asks_again(fields);
        let Some(server) = &mut self.server else { return Verdict::Forward };
        let begins = server.expects.iter().any(Expect::begins);
        let Some(front) = server.expects.front_mut() else { return Verdict::Forward };
        // How long it takes to fail says nothing.
        self.reading_now = None;
        let (ours, note) = (front.ours, std::mem::take(&mut front.note));
        let whole_cycle = front.ends_with_ready();
        let kind = front.kind;
        let unread = front.unnamed == Unnamed::GoesIfRead && is_about_reading(fields);
        let failed = server.tx == TxStatus::Failed;
        if !whole_cycle {
            self.count_exchange(kind, ours);
            self.skip_to_sync(!unread);
        } else if unread {
            self.unnamed_survives();
        }
        match note {
            Note::Blame(fault) => Verdict::Replace(fault),
            note if begins || !failed && brings_state(&note) => {
                self.bringing_failed(&Fault::from_body(fields));
                Verdict::Swallow
            }
            Note::Probe => {
                self.ask_failed(&Fault::from_body(fields));
                Verdict::Swallow
            }
            Note::Renamed(renamed) | Note::Part(_, renamed) => {
                let blame = self.server.as_mut().and_then(|server| server.blame.take());
                let own = instead(whole, blame).or_else(|| as_sent_by_client(whole, &renamed));
                self.undo_steps(renamed.steps);
                own.map_or(Verdict::Forward, Verdict::Replace)
            }
            Note::Bringing(prepared) => {
                let moved = prepared.moved;
                self.undo(Note::Preparing(prepared));
                self.server.iter_mut().for_each(|server| server.blame = Some((whole.into(), moved)));
                Verdict::Swallow
            }
            note => {
                let words = self.words_of(&note);
                self.undo(note);
                // What we put in failed in the place of the client's message: the client learns of it.
                if ours && whole_cycle { Verdict::Swallow } else { self.in_client_words(whole, words) }
            }
        }
    }

    /// What must be there before the client's statement is not. A replica that lacks it is not asked; of the primary the client is told.
    fn bringing_failed(&mut self, fault: &Fault) {
        if !self.is_to_be_asked_again() {
            return self.settling_failed(fault);
        }
        self.settling = false;
        self.server.iter_mut().for_each(|server| server.spoiled = true);
    }

    /// After an error the server skips everything up to Sync; what the client sends before that need not go there.
    fn skip_to_sync(&mut self, read: bool) {
        let Some(server) = &mut self.server else { return };
        let sync = server.expects.iter().position(|expect| expect.kind == Kind::Sync);
        server.skips = sync.is_none();
        self.batch.failed |= server.skips;
        if let Some(Note::InCopy) = sync.and_then(|at| server.expects.get(at)).map(|sync| &sync.note) {
            // It ends the batch after all.
            self.batch_open = server.expects.back().is_some_and(|last| !last.ends_with_ready());
        }
        let skipped: Vec<Expect> = server.expects.drain(..sync.unwrap_or(server.expects.len())).collect();
        if skipped.iter().any(unnamed::decides) && !server.expects.iter().any(unnamed::decides) {
            server.unnamed = UNKNOWN;
        }
        self.unnamed_is_kept(&skipped, read);
        // Batches behind this one may have closed names as well.
        let closing = skipped.iter().filter(|expect| expect.kind == Kind::ClosedHere).count();
        let mut closed: Vec<_> = self.closed.drain(..closing.min(self.closed.len())).collect();
        for expect in skipped.into_iter().rev() {
            match expect.kind {
                Kind::ClosedHere => self.names.extend(closed.pop()),
                _ => self.undo(expect.note),
            }
        }
    }

    /// A statement was not prepared. Nor is there what messages behind it were to take away: it must not come back if they fail as well.
    fn undo_preparing(&mut self, id: u64) {
        self.dropped.iter().for_each(|dropped| drop(dropped.on_server.remove(id)));
        let Some(server) = &mut self.server else { return };
        server.prepared.remove(id);
        for expect in &mut server.expects {
            if let Note::Closing(closed, copy) = &mut expect.note
                && *closed == id
            {
                *copy = None;
            }
        }
    }

    /// What was expected to succeed did not.
    fn undo(&mut self, note: Note) {
        let Some(server) = &mut self.server else { return };
        match note {
            Note::Preparing(prepared) | Note::Bringing(prepared) => self.undo_preparing(prepared.id),
            Note::Naming(prepared, name, when) => {
                self.undo_preparing(prepared.id);
                self.forget_name(&name, when);
            }
            // What stands behind it, sent for the case that it would succeed, says otherwise what is there then.
            Note::Closing(id, Some(copy))
                if !server.expects.iter().any(|expect| expect.note.is_about(id)) =>
            {
                server.prepared.insert_copy(id, copy);
            }
            Note::Describing(described) if described.of == Of::Ours => self.asking = Asking::No,
            Note::BringingUnnamed => server.unnamed = UNKNOWN,
            Note::Sequences => server.sequences.foreign = true,
            Note::Set(..) | Note::SetAll(_) => self.after |= Effects::SETTING,
            Note::Renamed(renamed) | Note::Part(_, renamed) => self.undo_steps(renamed.steps),
            Note::DiscardAll(step) => self.undo_steps([step].into()),
            _ => {}
        }
    }
}

/// Whether nothing may run where this has failed.
fn brings_state(note: &Note) -> bool {
    matches!(note, Note::Settling(_) | Note::Restoring(_) | Note::Resetting | Note::Sequences)
}
