//! A server is lost: what is known of what the client asked for, and whether another server may be asked.
//!
//! Only what provably never started is tried again: a cycle of which nothing was sent. An answer that is lost leaves
//! open whether its statement was committed, and the client is told exactly that.

use std::task::Context;

use super::begin::HeldBegin;
use super::serve::Session;
use super::statement::Named;
use super::told::Asking;
use crate::pool::Server;
use crate::pool::exchange::{Commits, Kind, Note};
use crate::sql::{Effects, Summary, Verb};
use crate::wire::Fault;
use crate::wire::frame::TxStatus;

/// How often a cycle goes to another server before the client is told.
const MAX_TAKEN_BACK: u8 = 3;

/// What may be committed with a text.
pub(super) fn commits(text: &[u8], summary: &Summary) -> Commits {
    if summary.effects.contains(Effects::COMMIT) {
        return Commits::ABlock;
    }
    let writes = summary.statements.iter().any(|one| may_write(one.verb, &text[one.range.clone()]));
    if writes { Commits::AtItsEnd } else { Commits::Nothing }
}

/// The same for a plain statement.
pub(super) fn commits_alone(verb: Verb) -> Commits {
    if may_write(verb, b"") { Commits::AtItsEnd } else { Commits::Nothing }
}

/// Whether somebody may ask later if the statement was committed. What functions do inside is not looked at.
fn may_write(verb: Verb, text: &[u8]) -> bool {
    match verb {
        Verb::Select => mentions_into(text),
        Verb::Values | Verb::Table | Verb::Show | Verb::Fetch | Verb::Move | Verb::Close | Verb::Declare => {
            false
        }
        Verb::Begin | Verb::Rollback | Verb::Savepoint | Verb::RollbackTo | Verb::Release | Verb::Lock => {
            false
        }
        Verb::Set | Verb::Reset | Verb::Prepare | Verb::Deallocate | Verb::Discard | Verb::Load => false,
        Verb::Listen | Verb::Unlisten => false,
        _ => true,
    }
}

/// `SELECT ... INTO` makes a table.
fn mentions_into(text: &[u8]) -> bool {
    let word = |at: usize| text.get(at..at + 4).is_some_and(|word| word.eq_ignore_ascii_case(b"into"));
    memchr::memchr2_iter(b'i', b'I', text).any(word)
}

/// What the client is told of a server that closed with answers still to come.
pub(super) fn lost(server: &Server) -> Fault {
    if may_be_committed(server) {
        return Fault::fatal("08007", "server closed the connection unexpectedly")
            .detail("The answer is lost: whether the transaction was committed is not known.")
            .hint("It was not tried again. Look for its effects before you do.");
    }
    Fault::fatal("08006", "server closed the connection unexpectedly")
}

/// Data of a COPY is committed only behind CopyDone; what stands in a block only by its COMMIT.
fn may_be_committed(server: &Server) -> bool {
    let mut in_block = server.tx != TxStatus::Idle;
    !server.copy_in
        && server.expects.iter().any(|expect| {
            in_block |= expect.begins();
            match expect.commits {
                Commits::Nothing => false,
                Commits::AtItsEnd => !in_block,
                Commits::ABlock => true,
            }
        })
}

/// A session as it was when it got its server, before anything of the client's was sent.
pub(super) struct Unsent {
    /// Where in the bytes being taken the first message for the server stands.
    pub(super) from: usize,
    held_begin: Option<HeldBegin>,
    unnamed: Option<Named>,
    names: usize,
    pins: usize,
    after: Effects,
    listening: bool,
}

impl Unsent {
    pub(super) fn of(session: &Session) -> Unsent {
        Unsent {
            from: 0,
            held_begin: session.held_begin.clone(),
            unnamed: session.unnamed.clone(),
            names: session.names.len(),
            pins: session.pins.len(),
            after: session.after,
            listening: session.listening,
        }
    }
}

impl Session {
    /// Takes messages off the front of `bytes` and sends them; gives how many bytes were taken. Those whose server is
    /// gone before anything was sent are not taken: the next turn finds another server for them.
    pub(super) fn take_and_send(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> usize {
        let taken = self.take(bytes);
        self.flush_server(cx);
        let Some(unsent) = &mut self.unsent else { return taken };
        // Over TLS, a write that fails may have sent a part.
        let refused = |server: &Server| server.broken && server.socket.tls().is_none();
        let gone = self.server.as_deref().is_some_and(refused) && self.end.is_none();
        if gone {
            return self.take_back().min(taken);
        }
        if taken > unsent.from {
            // The bytes are not kept.
            self.unsent = None;
        } else {
            unsent.from = 0;
        }
        taken
    }

    /// What was sent of a batch to a server that is gone is as if it had never been.
    pub(super) fn forget_batch(&mut self, mut server: Box<Server>) {
        self.undo_all(&mut server);
        drop(server);
        (self.batch_open, self.batch) = (false, Default::default());
        (self.unused, self.reading_now) = (false, None);
    }

    fn undo_all(&mut self, server: &mut Server) {
        server.broken = true;
        for expect in server.expects.drain(..).rev() {
            match (expect.kind, expect.note) {
                (Kind::ClosedHere, _) => self.names.extend(self.closed.pop()),
                (_, Note::Renamed(renamed) | Note::Part(_, renamed)) => self.undo_steps(renamed.steps),
                (_, Note::DiscardAll(step)) => self.undo_steps([step].into()),
                (_, Note::Naming(_, name, _)) => drop(self.names.remove(&name)),
                _ => {}
            }
        }
    }

    /// Lets a server go to which nothing of the client's was sent, and forgets what was done for it; gives where the
    /// first message for it stood.
    pub(super) fn take_back(&mut self) -> usize {
        let (Some(unsent), Some(mut server)) = (self.unsent.take(), self.server.take()) else { return 0 };
        *self.handle.server.borrow_mut() = None;
        self.undo_all(&mut server);
        drop(server);
        self.hold(unsent.held_begin);
        self.unnamed = unsent.unnamed;
        self.replaced.clear();
        self.pins.truncate(unsent.pins);
        self.after = unsent.after;
        self.set_state(self.state.clone());
        self.listening = unsent.listening;
        self.portals.clear();
        self.forget_portals();
        self.one_by_one = false;
        (self.batch_open, self.batch) = (false, Default::default());
        (self.input_rest, self.drop_rest) = (0, false);
        (self.settling, self.unused, self.leaving) = (false, false, false);
        self.asking = Asking::default();
        (self.following, self.alone, self.reading_now) = (0, true, None);
        self.leave_node();
        self.verdict = None;
        self.fill_no_more();
        self.listened_to_nothing();
        self.taken_back += 1;
        // A name given by PREPARE is not known to be new.
        if self.taken_back > MAX_TAKEN_BACK || self.names.len() != unsent.names {
            self.fatal(&Fault::fatal("08006", "server closed the connection unexpectedly"));
        }
        unsent.from
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(sql: &str, expected: Commits) {
        let summary = crate::sql::summarize(sql.as_bytes(), true);
        assert_eq!(commits(sql.as_bytes(), &summary), expected, "{sql}");
    }

    #[test]
    fn what_a_text_may_commit() {
        check("select 1", Commits::Nothing);
        check("select * into t from u", Commits::AtItsEnd);
        check("begin", Commits::Nothing);
        check("rollback", Commits::Nothing);
        check("set x = 1; show x", Commits::Nothing);
        check("insert into t values (1)", Commits::AtItsEnd);
        check("with x as (delete from t returning *) select * from x", Commits::AtItsEnd);
        check("select 1; update t set i = 1", Commits::AtItsEnd);
        check("call p()", Commits::AtItsEnd);
        check("vacuum", Commits::AtItsEnd);
        check("commit", Commits::ABlock);
        check("end; select 1", Commits::ABlock);
        check("begin; insert into t values (1); commit", Commits::ABlock);
        check("prepare transaction 'x'", Commits::ABlock);
        check("commit prepared 'x'", Commits::AtItsEnd);
    }
}
