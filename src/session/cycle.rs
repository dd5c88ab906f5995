//! Prepared statements behind another session's: a batch that binds a statement of the session's to the unnamed portal, runs it to its
//! end, and does nothing else.
//!
//! It is sent ahead as it would be sent to a server in hand: names of statements are the same on all servers, and only one that has
//! the statement, as the session was told that it is, is gone behind. When the server is the session's, the messages are taken off the
//! input as always, for all that is to be noted of them; if they come to something else by then, that server is closed, and another one asked.

use std::rc::Rc;

use super::extended::put_bind;
use super::serve::Session;
use super::share::LONGEST;
use super::statement::significant;
use super::told::Asking;
use super::upstream::Flow;
use crate::config::settings::PoolMode;
use crate::plan::Profile;
use crate::pool::exchange::Kind;
use crate::pool::prepared::{Meant, server_name};
use crate::pool::{Ahead, Asked, Server};
use crate::wire::frame::{self, Frame, HEADER, TxStatus, front};

/// Such a batch, of a statement that is certain to read only.
pub(super) struct Cycle {
    /// So many bytes of it stand in the input.
    left: usize,
    profile: Rc<Profile>,
    /// What it is on servers, if it may be sent ahead.
    sent: Vec<u8>,
}

/// The messages of one.
struct Bound<'a> {
    /// The statement, as the client calls it.
    name: &'a [u8],
    /// What its Bind has behind the name.
    values: &'a [u8],
    /// What stands behind its Bind.
    behind: &'a [u8],
}

impl<'a> Bound<'a> {
    /// Takes a whole batch apart; `None`: it is another one.
    fn read(batch: &'a [u8]) -> Option<Bound<'a>> {
        let (bind, behind) = message(batch, front::BIND)?;
        let (portal, rest) = frame::cstr(bind)?;
        let (name, values) = frame::cstr(rest)?;
        let execute = match message(behind, front::DESCRIBE) {
            Some((b"P\0", next)) => next,
            Some(_) => return None,
            None => behind,
        };
        // No portal's name, and no limit.
        let (b"\0\0\0\0\0", sync) = message(execute, front::EXECUTE)? else { return None };
        let (b"", b"") = message(sync, front::SYNC)? else { return None };
        (portal.is_empty() && !name.is_empty()).then_some(Bound { name, values, behind })
    }

    /// What it is on a server that has the statement of that number.
    fn on_server(&self, id: u64) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.values.len() + self.behind.len() + 48);
        put_bind(&mut out, (b"", server_name(id).as_bytes()), self.values, 0);
        out.extend_from_slice(self.behind);
        out
    }
}

/// The body of the message at the front, if it is all there and of that kind, and what stands behind it.
fn message(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let frame = Frame::peek(bytes).ok()?.filter(|frame| frame.tag == tag)?;
    let (whole, behind) = bytes.split_at_checked(frame.total)?;
    Some((&whole[HEADER..], behind))
}

/// Whether all that is to be answered is one such batch, and nothing was put in.
fn runs_nothing_else(server: &Server) -> bool {
    let mut kinds =
        server.expects.iter().map(|expect| expect.kind).filter(|kind| *kind != Kind::DescribePortal);
    let plain = server.expects.iter().all(|expect| !expect.ours && expect.terms.is_none());
    plain && server.expects.len() <= 4 && kinds.by_ref().take(3).eq([Kind::Bind, Kind::Execute, Kind::Sync])
}

impl Session {
    /// A batch begins with a Bind, and there is no server: one is wanted, or another session's is gone behind.
    pub(super) fn want_server_for_bound(&mut self, bytes: &[u8]) -> Flow {
        let Some((length, profile, bound)) = self.prepared_read(bytes) else {
            self.cycle = None;
            return Flow::Server;
        };
        let mut cycle = Cycle { left: length, profile, sent: vec![] };
        match self.may_be_sent_ahead(&cycle).then(|| self.meant_by(bound.name)).flatten() {
            Some(meant) => {
                cycle.sent = bound.on_server(meant.id);
                self.follow_or_want_server(Ahead { message: &cycle.sent, statement: Some(&meant) });
            }
            None => self.want_server(None),
        }
        self.cycle = Some(cycle);
        Flow::Later
    }

    /// The batch at the front, its length and its shape, if it runs a prepared statement that reads, and that makes a difference.
    fn prepared_read<'a>(&self, bytes: &'a [u8]) -> Option<(usize, Rc<Profile>, Bound<'a>)> {
        let pool = self.pool_to_lease_from();
        let shares =
            self.mode == PoolMode::Transaction && pool.shares() && pool.looks_for_reads(Asked::Prepared);
        if !shares || self.batch_open || self.tx_status() != TxStatus::Idle {
            return None;
        }
        let (length, profile) = self.chosen_batch().or_else(|| self.batch_that_reads(bytes))?;
        Some((length, profile, Bound::read(&bytes[..length])?))
    }

    fn may_be_sent_ahead(&self, cycle: &Cycle) -> bool {
        let no_rule_asks = self.verdict.as_ref().is_none_or(|verdict| verdict.asks.is_none());
        !self.alone
            && cycle.left <= LONGEST
            && cycle.profile.may_follow()
            && self.asking == Asking::No
            && self.explains.is_none()
            && no_rule_asks
            && self.carried.is_nothing()
            && self.limit_of_cycle() == 0
            && self.may_share()
    }

    /// The session's statement of this name, if it is what the client has prepared, word for word, and does nothing but what it says.
    fn meant_by(&mut self, name: &[u8]) -> Option<Meant> {
        let named = self.named(name).filter(|named| named.worded.is_none() && named.statement.is_plain())?;
        let text = named.statement.text_on_server()?;
        let settled =
            self.hidden_effects(text).is_empty() && self.after.is_empty() && name == significant(name);
        settled.then(|| Meant { id: named.statement.prepared.id, when: named.when, told: named.told })
    }

    /// So many bytes were taken off the input. With the last of a prepared read, that is under way.
    #[inline]
    pub(super) fn note_cycle_taken(&mut self, taken: usize) {
        let Some(cycle) = &mut self.cycle else { return };
        let all = cycle.left <= taken;
        cycle.left = cycle.left.saturating_sub(taken);
        if all {
            let read = self.cycle.take().map(|cycle| cycle.profile);
            self.alone = false;
            let alone = self.server.as_deref().is_some_and(runs_nothing_else);
            self.reading_now = read.filter(|_| alone);
        }
    }

    /// What was sent ahead is taken: nothing of a Query, which is `sent` bytes long; the messages of a batch. False: they would be others now.
    ///
    /// They stay in the input until their answer begins.
    pub(super) fn takes_as_sent(&mut self, sent: usize) -> bool {
        let Some(server) = &mut self.server else { return false };
        let Some(Cycle { left, sent: ahead, .. }) = self.cycle.take() else {
            (server.unnamed, self.unnamed) = (0, None);
            self.following = sent;
            self.capture_followed(sent);
            return true;
        };
        // The one answer that was expected while it went from hand to hand.
        server.expects.clear();
        let out = std::mem::take(&mut server.out);
        let input = std::mem::take(&mut self.input);
        let mut at = 0;
        while at < left
            && let Some(rest) = input.get(at..left)
            && let Flow::Taken(taken) = self.take_one(rest)
        {
            at += taken;
        }
        (self.input, self.following) = (input, left);
        let Some(server) = &mut self.server else { return false };
        let same = at == left && server.out == ahead && runs_nothing_else(server);
        server.out = out;
        same && self.end.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::emit;

    fn batch(bind: &[u8], messages: &[(u8, &[u8])]) -> Vec<u8> {
        let mut out = vec![];
        emit::frame(&mut out, front::BIND, |out| out.extend_from_slice(bind));
        for (tag, body) in messages {
            emit::frame(&mut out, *tag, |out| out.extend_from_slice(body));
        }
        out
    }

    #[test]
    fn one_statement_by_name_run_to_its_end_and_nothing_else() {
        let (describe, execute, sync) = ((b'D', &b"P\0"[..]), (b'E', &[0; 5][..]), (b'S', &b""[..]));
        let values = &b"\0a\0\0\0\0\0\0\0"[..];
        let is = |bind: &[u8], messages: &[(u8, &[u8])]| Bound::read(&batch(bind, messages)).is_some();
        assert!(is(values, &[describe, execute, sync]) && is(values, &[execute, sync]));
        assert!(!is(b"\0\0\0\0\0\0\0\0", &[execute, sync]), "of no name");
        assert!(!is(b"p\0a\0\0\0\0\0\0\0", &[execute, sync]), "in a portal with a name");
        assert!(!is(values, &[(b'D', b"Sa\0"), execute, sync]), "what is described is the statement");
        assert!(!is(values, &[(b'E', b"\0\0\0\0\x01"), sync]), "up to a row");
        assert!(!is(values, &[execute, (b'H', b""), sync]) && !is(values, &[execute, execute, sync]));
        assert!(!is(values, &[execute, (b'S', b"x")]) && !is(values, &[execute]));
        let whole = batch(values, &[describe, execute, sync]);
        for cut in 0..whole.len() {
            assert!(Bound::read(&whole[..cut]).is_none(), "{cut}");
        }
        assert!(Bound::read(&[&whole[..], b"S\0\0\0\x04"].concat()).is_none());
    }

    #[test]
    fn on_servers_it_has_our_name() {
        let rest = [(b'E', &[0; 5][..]), (b'S', &b""[..])];
        let client = batch(b"\0client's\0\0\0\0\0\0\0", &rest);
        let sent = Bound::read(&client).expect("it is one").on_server(17);
        assert_eq!(sent, batch(b"\0_pgweir_17\0\0\0\0\0\0\0", &rest));
    }
}
