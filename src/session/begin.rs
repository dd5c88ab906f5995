//! BEGIN is held back until the first statement of its transaction: who has only begun takes no server. So is a SET TRANSACTION that comes first.
//!
//! The client is told at once that it is done; so is a COMMIT or ROLLBACK of a transaction that no server knows of. With the first
//! message that needs a server the BEGIN goes ahead of it, in the same write: as a Query, or bound and executed as the client did, so that
//! its statement and its portal are there. In the extended protocol all this is for a batch that runs nothing else and is there up to its
//! Sync, and for a BEGIN at the front of a batch with other statements, as pgjdbc sends it: then those are a batch of their own. What comes
//! in pieces, or is anything else, goes to a server.

use super::read_only::modes_under;
use super::serve::Session;
use super::statement::{Named, fresh_id, significant};
use super::upstream::{Flow, body, impossible};
use crate::config::settings::PoolMode;
use crate::pool::Server;
use crate::pool::exchange::{Expect, Kind, Note};
use crate::pool::prepared::{Form, server_name};
use crate::sql::{self, Detail, Effects, Modes, SetValue, Summary, Verb};
use crate::wire::emit;
use crate::wire::frame::{self, Frame, TxStatus, back, front};

/// Effects of what can be done here; SET TRANSACTION has the last of them.
const BOUNDS: Effects =
    Effects::BEGIN.union(Effects::COMMIT).union(Effects::ROLLBACK).union(Effects::SET_LOCAL);
/// So many SET TRANSACTION are held back behind one BEGIN; more than say different things.
const MOST_SAID: usize = 4;

/// A BEGIN that the client has been told is done, and that no server knows of.
#[derive(Debug, Clone)]
pub(super) struct HeldBegin {
    sent: Sent,
    /// What SET TRANSACTION has said of it since.
    said: Vec<Sent>,
    /// A statement of the transaction has failed: for want of a server, or it was cancelled while it waited for one.
    pub(super) failed: bool,
    /// What is said of its transaction, or the session's settings say.
    pub(super) modes: Modes,
    /// It is for the primary, whatever it says.
    pub(super) at_primary: bool,
}

impl HeldBegin {
    /// The same for the primary, whatever it says.
    pub(super) fn for_primary(&self) -> HeldBegin {
        HeldBegin { at_primary: true, ..self.clone() }
    }

    /// Whether one more SET TRANSACTION may be held back behind it: PostgreSQL takes it from who has run nothing else.
    pub(super) fn may_be_told_more(&self) -> bool {
        !self.failed && !self.at_primary && self.said.len() < MOST_SAID
    }

    fn is_told(&mut self, text: &[u8], modes: Modes) {
        self.said.push(Sent::Query(text.into()));
        self.modes.read_only = modes.read_only.or(self.modes.read_only);
        self.modes.isolation = modes.isolation.or(self.modes.isolation);
    }

    /// What was held back last.
    fn last(&mut self) -> &mut Sent {
        self.said.last_mut().unwrap_or(&mut self.sent)
    }
}

/// The name that a SET TRANSACTION is read with.
pub(super) const TRANSACTION: &[u8] = b"transaction";

/// How the client has sent it.
#[derive(Debug, Clone)]
enum Sent {
    /// As a Query of this text.
    Query(Box<[u8]>),
    /// As a statement that was run in the unnamed portal.
    Batch {
        /// The statement.
        ran: Named,
        /// It is the unnamed one.
        unnamed: bool,
        /// The portal was closed again.
        closed: bool,
    },
}

impl Session {
    /// Begins or ends a transaction without a server, if that is all that a text asks for; gives the tag that it ends with, and the
    /// transaction status behind it.
    pub(super) fn bound_here(&mut self, text: &[u8], summary: &Summary) -> Option<(&'static str, TxStatus)> {
        let [one] = summary.statements.as_slice() else { return None };
        let elsewhere = self.server.is_some() || self.batch_open || !summary.effects.intersects(BOUNDS);
        // What is not ASCII may be refused for its encoding.
        if elsewhere || !text.is_ascii() {
            return None;
        }
        match (&one.detail, self.held_begin.is_some()) {
            (Detail::Begin { simple: true, modes }, false) if self.may_hold(&text[one.range.clone()]) => {
                let (sent, modes) = (Sent::Query(text.into()), modes_under(&self.state, *modes));
                self.hold(Some(HeldBegin { sent, said: vec![], failed: false, modes, at_primary: false }));
                let start = text[one.range.start].eq_ignore_ascii_case(&b's');
                Some((if start { "START TRANSACTION" } else { "BEGIN" }, TxStatus::Open))
            }
            (Detail::Set { name, value: SetValue::Modes(modes), .. }, true)
                if name == TRANSACTION && self.may_hold_too(&text[one.range.clone()]) =>
            {
                self.held_begin.iter_mut().for_each(|begin| begin.is_told(text, *modes));
                Some(("SET", TxStatus::Open))
            }
            (Detail::Commit { chain: false }, true) if one.verb == Verb::Commit => {
                let failed = self.hold(None).is_some_and(|begin| begin.failed);
                Some((if failed { "ROLLBACK" } else { "COMMIT" }, TxStatus::Idle))
            }
            (Detail::Rollback { chain: false }, true) => {
                self.hold(None);
                Some(("ROLLBACK", TxStatus::Idle))
            }
            _ => None,
        }
    }

    /// The session has a server: the transaction begins there, if one has begun, and fails if it has failed. The statement and the portal
    /// are there behind it.
    pub(super) fn begin_on_server(&mut self) {
        let Some(HeldBegin { sent, said, failed, .. }) = self.held_begin.take() else { return };
        self.handle.begun.set(false);
        [sent].into_iter().chain(said).for_each(|sent| self.send_held(sent));
        let Some(server) = &mut self.server else { return };
        if failed {
            server.ask(b"refused by pgweir", Note::None);
        }
        self.ask_isolation();
        self.tell_rest();
    }

    fn send_held(&mut self, sent: Sent) {
        if let Sent::Batch { ran, unnamed, .. } = &sent {
            self.bring_untold(ran, *unnamed);
        }
        let Some(server) = &mut self.server else { return };
        match sent {
            Sent::Query(text) => server.ask(&text, Note::Beginning),
            Sent::Batch { unnamed: true, closed, .. } => run_in_portal(server, b"", closed),
            Sent::Batch { ran, closed, .. } => {
                run_in_portal(server, server_name(ran.statement.prepared.id).as_bytes(), closed);
            }
        }
    }

    /// Holds back this one, or none any more; gives what was held back before.
    pub(super) fn hold(&mut self, begin: Option<HeldBegin>) -> Option<HeldBegin> {
        self.handle.begun.set(begin.is_some());
        std::mem::replace(&mut self.held_begin, begin)
    }

    /// Only what cannot fail when it is sent later is held back: read-write and serializable are refused by standbys.
    pub(super) fn may_hold(&self, begin: &[u8]) -> bool {
        let target = self.pool.target();
        let refusable =
            |word: &[u8]| word.eq_ignore_ascii_case(b"write") || word.eq_ignore_ascii_case(b"serializable");
        let words = begin.split(|byte| !byte.is_ascii_alphabetic());
        target.pool.defer_begin && self.mode != PoolMode::Statement && !words.into_iter().any(refusable)
    }

    /// The same for a SET TRANSACTION behind a BEGIN that is held back.
    pub(super) fn may_hold_too(&self, set: &[u8]) -> bool {
        self.held_begin.as_ref().is_some_and(HeldBegin::may_be_told_more) && self.may_hold(set)
    }

    /// A BEGIN comes while the server is asked what the session has set. Whether its transaction only reads depends on that, so it waits; at the server it would
    /// stand behind the question as well.
    pub(super) fn waits_to_begin(&mut self, text: &[u8], summary: &Summary) -> bool {
        let [one] = summary.statements.as_slice() else { return false };
        let asks_only =
            |server: &Server| server.tx == TxStatus::Idle && server.expects.iter().all(|expect| expect.ours);
        let waits = self.asked.is_some()
            && self.route.is_some()
            && !self.keeps_server()
            && matches!(one.detail, Detail::Begin { simple: true, .. })
            && self.server.as_deref().is_some_and(asks_only)
            && self.may_hold(&text[one.range.clone()]);
        self.settling |= waits;
        waits
    }

    /// The same for a batch that begins with one.
    pub(super) fn batch_waits_to_begin(&mut self, bytes: &[u8]) -> bool {
        let Some(text) = LoneStatement::read(bytes).and_then(|batch| self.text_of_batch(&batch)) else {
            return false;
        };
        let summary = sql::summarize(&text, self.dialect);
        self.waits_to_begin(&text, &summary)
    }

    fn text_of_batch(&self, batch: &LoneStatement<'_>) -> Option<Box<[u8]>> {
        match batch.parsed {
            Some(tail) if self.may_be_named(batch.name) => Some(text_alone(tail)?.into()),
            Some(_) => None,
            None => Some(text_of_bound(self.known(batch.name)?)?.into()),
        }
    }

    /// A batch begins without a server: if it is one of those that are answered here, it is taken whole.
    pub(super) fn batch_here(&mut self, bytes: &[u8]) -> Flow {
        self.batch_answered_here(bytes).unwrap_or(Flow::Server)
    }

    fn batch_answered_here(&mut self, bytes: &[u8]) -> Option<Flow> {
        let batch = LoneStatement::read(bytes)?;
        let text = self.text_of_batch(&batch)?;
        let summary = sql::summarize(&text, self.dialect);
        let goes_on = |one: &sql::Statement| matches!(one.detail, Detail::Begin { .. } | Detail::Set { .. });
        if !batch.ends && !summary.statements.first().is_some_and(goes_on) {
            return None;
        }
        let (tag, status) = self.bound_here(&text, &summary)?;
        let ran = match batch.parsed {
            Some(tail) => self.parsed_here(batch.name, tail),
            None => self.known(batch.name)?.clone(),
        };
        if let Some(begin) = &mut self.held_begin {
            *begin.last() = Sent::Batch { ran, unnamed: batch.name.is_empty(), closed: batch.closed };
        }
        self.forget_portal(b"");
        batch.answer(&mut self.out, tag, status);
        let stats = self.pool.stats();
        stats.client_parses.add(u64::from(batch.parsed.is_some()));
        stats.binds.add(1);
        self.capture_here(&text);
        self.count_here(status);
        Some(Flow::Taken(batch.bytes.len()))
    }

    /// The length of a batch that does nothing but end a transaction.
    pub(super) fn ends_in_batch(&self, bytes: &[u8]) -> Option<usize> {
        let batch = LoneStatement::read(bytes).filter(|batch| batch.ends)?;
        let text = match batch.parsed {
            Some(tail) => text_alone(tail)?,
            None => text_of_bound(self.known(batch.name)?)?,
        };
        self.ends_plainly(text).then_some(batch.bytes.len())
    }

    pub(super) fn known(&self, name: &[u8]) -> Option<&Named> {
        if name.is_empty() { self.unnamed.as_ref() } else { self.names.get(significant(name)) }
    }

    /// Whether a Parse under this name is not refused.
    pub(super) fn may_be_named(&self, name: &[u8]) -> bool {
        let room = || self.names.len() < self.worker.limits().prepared_per_session;
        name.is_empty() || self.known(name).is_none() && room()
    }

    /// The client has prepared this, and no server.
    pub(super) fn parsed_here(&mut self, name: &[u8], tail: &[u8]) -> Named {
        let named = Named::new(self.intern(tail), fresh_id());
        match name {
            b"" => self.unnamed = Some(named.clone()),
            name => drop(self.names.insert(significant(name).into(), named.clone())),
        }
        named
    }

    /// Counts a statement that was answered here.
    pub(super) fn count_here(&mut self, status: TxStatus) {
        let stats = self.pool.stats();
        stats.queries.add(1);
        stats.transactions.add(u64::from(status == TxStatus::Idle));
        self.forget_cycle();
    }
}

/// A batch that does nothing but run one statement without parameters, once, in the unnamed portal; or the beginning of a batch that does that first.
struct LoneStatement<'a> {
    /// All of it, up to its Sync, or to the Parse or Bind of what else the batch runs.
    bytes: &'a [u8],
    /// It is the whole batch.
    ends: bool,
    /// The statement's name.
    name: &'a [u8],
    /// What follows the name in the Parse, if there is one.
    parsed: Option<&'a [u8]>,
    /// The portal is closed again.
    closed: bool,
}

/// How far a batch is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Start,
    Parsed,
    Bound,
    Executed,
    Closed,
}

impl<'a> LoneStatement<'a> {
    /// Reads the batch at the front of `bytes`; `None` if it is another, may fail, or is not there as a whole.
    fn read(bytes: &'a [u8]) -> Option<LoneStatement<'a>> {
        use Stage::{Bound, Closed, Executed, Parsed, Start};
        let mut batch = LoneStatement { bytes, ends: true, name: b"", parsed: None, closed: false };
        let (mut stage, mut at) = (Start, 0);
        loop {
            let whole = message(&bytes[at..])?;
            at += whole.len();
            stage = match (whole[0], stage) {
                (front::PARSE, Start) => {
                    let (name, tail) = frame::cstr(body(whole))?;
                    text_alone(tail).filter(|text| may_be_a_bound(text))?;
                    (batch.name, batch.parsed) = (name, Some(tail));
                    Parsed
                }
                (front::BIND, Start | Parsed) => {
                    let name = statement_bound(body(whole))?;
                    if stage == Start {
                        batch.name = name;
                    }
                    (name == batch.name).then_some(Bound)?
                }
                (front::DESCRIBE, Parsed | Bound | Executed) => {
                    let (kind, name) = body(whole).split_first()?;
                    let name = name.strip_suffix(b"\0")?;
                    // Behind the end of a transaction there is none any more.
                    let portal = *kind == b'P' && stage == Bound && name.is_empty();
                    (portal || *kind == b'S' && name == batch.name).then_some(stage)?
                }
                (front::EXECUTE, Bound) => {
                    (body(whole).len() == 5 && body(whole)[0] == 0).then_some(Executed)?
                }
                (front::CLOSE, Executed) => (body(whole) == b"P\0").then_some(Closed)?,
                (front::SYNC, Executed | Closed) if body(whole).is_empty() => {
                    (batch.bytes, batch.closed) = (&bytes[..at], stage == Closed);
                    return Some(batch);
                }
                (front::PARSE | front::BIND, Executed | Closed) => {
                    (batch.bytes, batch.closed) = (&bytes[..at - whole.len()], stage == Closed);
                    return Some(LoneStatement { ends: false, ..batch });
                }
                _ => return None,
            };
        }
    }

    /// What PostgreSQL answers.
    fn answer(&self, out: &mut Vec<u8>, tag: &str, status: TxStatus) {
        let mut rest = self.bytes;
        while let Some(whole) = message(rest) {
            rest = &rest[whole.len()..];
            match whole[0] {
                front::PARSE => emit::empty(out, back::PARSE_COMPLETE),
                front::BIND => emit::empty(out, back::BIND_COMPLETE),
                front::DESCRIBE => {
                    if body(whole)[0] == b'S' {
                        emit::frame(out, back::PARAMETER_DESCRIPTION, |out| out.extend_from_slice(&[0; 2]));
                    }
                    emit::empty(out, back::NO_DATA);
                }
                front::EXECUTE => emit::command_complete(out, tag),
                front::CLOSE => emit::empty(out, back::CLOSE_COMPLETE),
                _ => emit::ready(out, status),
            }
        }
    }
}

/// The message at the front, if all of it is there and PostgreSQL reads it.
fn message(bytes: &[u8]) -> Option<&[u8]> {
    let frame = Frame::peek(bytes).ok()??;
    let whole = bytes.get(..frame.total)?;
    impossible(frame).is_none().then_some(whole)
}

/// Runs a statement in the unnamed portal.
fn run_in_portal(server: &mut Server, name: &[u8], closed: bool) {
    let out = &mut server.out;
    emit::frame(out, front::BIND, |out| {
        emit::cstr(out, b"");
        emit::cstr(out, name);
        out.extend_from_slice(&[0; 6]);
    });
    emit::frame(out, front::EXECUTE, |out| out.extend_from_slice(&[0; 5]));
    if closed {
        emit::target(out, front::CLOSE, b'P', b"");
    }
    emit::empty(out, front::SYNC);
    let close = closed.then_some(Kind::Close);
    for kind in [Kind::Bind, Kind::Execute].into_iter().chain(close).chain([Kind::Sync]) {
        server.expect(Expect::ours(kind, Note::Beginning));
    }
}

/// The text of a Parse, of which `tail` is what follows the name, if there are no types of parameters.
fn text_alone(tail: &[u8]) -> Option<&[u8]> {
    let (text, types) = frame::cstr(tail)?;
    (types == b"\0\0").then_some(text)
}

/// The text of a statement without parameters that may begin or end a transaction, or say what it is.
fn text_of_bound(named: &Named) -> Option<&[u8]> {
    let (Form::Parse(tail) | Form::Sql(tail)) = &named.statement.prepared.form;
    text_alone(tail).filter(|_| named.statement.effects.intersects(BOUNDS))
}

/// The statement that a Bind without parameters brings to the unnamed portal.
fn statement_bound(body: &[u8]) -> Option<&[u8]> {
    let (name, values) = frame::cstr(body.strip_prefix(b"\0")?)?;
    let (formats, codes) = values.strip_prefix(&[0; 4])?.split_first_chunk::<2>()?;
    (codes.len() == 2 * usize::from(u16::from_be_bytes(*formats))).then_some(name)
}

/// Whether a text may begin or end a transaction, or say what it is, by how it starts.
fn may_be_a_bound(text: &[u8]) -> bool {
    let Some(start) = text.trim_ascii_start().first_chunk::<3>() else { return false };
    let words = ["beg", "sta", "com", "end", "rol", "abo", "set"];
    let is_one = words.into_iter().any(|word| word.as_bytes().eq_ignore_ascii_case(start));
    is_one || matches!(start, [b'-', b'-', _] | [b'/', b'*', _])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(messages: &[(u8, &[u8])]) -> Vec<u8> {
        let mut out = vec![];
        messages
            .iter()
            .for_each(|(tag, body)| emit::frame(&mut out, *tag, |out| out.extend_from_slice(body)));
        out
    }

    /// Gives the name, whether it was parsed, and whether the portal is closed; behind the batch stands another message.
    fn read(messages: &[(u8, &[u8])]) -> Option<(Vec<u8>, bool, bool)> {
        let bytes = batch(messages);
        let followed = [&bytes[..], b"H\0\0\0\x04"].concat();
        for cut in 0..bytes.len() {
            assert!(LoneStatement::read(&bytes[..cut]).is_none(), "{cut} of {} bytes", bytes.len());
        }
        let batch = LoneStatement::read(&followed)?;
        assert_eq!(batch.bytes, bytes);
        assert!(batch.ends);
        Some((batch.name.to_vec(), batch.parsed.is_some(), batch.closed))
    }

    const PARSE: (u8, &[u8]) = (b'P', b"s\0BEGIN\0\0\0");
    const BIND: (u8, &[u8]) = (b'B', b"\0s\0\0\0\0\0\0\x01\0\x01");
    const EXECUTE: (u8, &[u8]) = (b'E', b"\0\0\0\0\0");
    const SYNC: (u8, &[u8]) = (b'S', b"");

    #[test]
    fn one_statement_and_nothing_else() {
        let (statement, portal, close) = ((b'D', &b"Ss\0"[..]), (b'D', &b"P\0"[..]), (b'C', &b"P\0"[..]));
        let found = |parsed, closed| Some((b"s".to_vec(), parsed, closed));
        assert_eq!(read(&[PARSE, BIND, EXECUTE, SYNC]), found(true, false));
        assert_eq!(
            read(&[PARSE, statement, BIND, portal, statement, EXECUTE, statement, SYNC]),
            found(true, false)
        );
        assert_eq!(read(&[BIND, EXECUTE, close, SYNC]), found(false, true));
        assert_eq!(read(&[BIND, EXECUTE, EXECUTE, SYNC]), None);
        assert_eq!(read(&[PARSE, SYNC]), None);
        assert_eq!(read(&[PARSE, BIND, SYNC]), None);
        assert_eq!(read(&[PARSE, portal, BIND, EXECUTE, SYNC]), None);
        assert_eq!(read(&[BIND, EXECUTE, portal, SYNC]), None);
        assert_eq!(read(&[PARSE, BIND, EXECUTE, (b'H', b""), SYNC]), None);
    }

    #[test]
    fn one_statement_ahead_of_others() {
        let close = (b'C', &b"P\0"[..]);
        for (first, closed) in [(&[PARSE, BIND, EXECUTE][..], false), (&[BIND, EXECUTE, close], true)] {
            for next in [(b'P', &b"\0select 1\0\0\0"[..]), (b'B', b"\0other\0\0\0\0\0\0\0")] {
                let (ahead, all) = (batch(first), batch(&[first, &[next]].concat()));
                assert!(LoneStatement::read(&ahead).is_none(), "what comes behind it is not known");
                assert!(LoneStatement::read(&all[..all.len() - 1]).is_none());
                let found = LoneStatement::read(&all).expect("it can be told apart");
                assert_eq!((found.bytes, found.ends, found.closed), (&ahead[..], false, closed));
            }
        }
    }

    #[test]
    fn what_may_fail_is_left_to_a_server() {
        for other in [
            (b'P', &b"s\0BEGIN\0\0\x01\0\0\0\x17"[..]),
            (b'P', b"t\0BEGIN\0\0\0"),
            (b'P', b"s\0BEGIN\0\0\0\0"),
            (b'P', b"s\0select 1\0\0\0"),
            (b'P', b"s\0BEGIN"),
            (b'P', b"s"),
        ] {
            assert_eq!(read(&[other, BIND, EXECUTE, SYNC]), None, "{other:?}");
        }
        for other in [
            (b'B', &b"p\0s\0\0\0\0\0\0\0"[..]),
            (b'B', b"\0s\0\0\0\0\x01\0\0\0\x01x\0\0"),
            (b'B', b"\0s\0\0\x01\0\0\0\0\0\0"),
            (b'B', b"\0s\0\0\0\0\0\0\x02\0\x01"),
            (b'B', b"\0s\0\0\0\0\0"),
        ] {
            assert_eq!(read(&[PARSE, other, EXECUTE, SYNC]), None, "{other:?}");
        }
        for other in [(b'E', &b"p\0\0\0\0\0"[..]), (b'E', b"\0\0\0\0"), (b'E', b"\0\0\0\0\0\0")] {
            assert_eq!(read(&[PARSE, BIND, other, SYNC]), None, "{other:?}");
        }
        assert_eq!(read(&[PARSE, BIND, EXECUTE, (b'S', b"x")]), None);
    }
}
