//! What a session holds of a statement until it has ended, for those that deserve a closer look ([`crate::slow::Closely`]).
//!
//! Held are the bytes in which the values stand, of one statement: the first where several are under way. They are in a buffer of the worker's, so
//! that a session at rest has none.

use std::rc::Rc;

use super::reading::{depends_on_reading, dialect};
use super::serve::Session;
use super::statement::{Named, Statement};
use crate::pool::exchange::Kind;
use crate::pool::prepared::Form;
use crate::slow::{Look, Seen};
use crate::sql::Dialect;
use crate::stats::tally::{Answer, Served, Tally};
use crate::wire::frame::{self, Frame, HEADER, front};

/// Longer ones are not held, in bytes.
const LONGEST: usize = crate::slow::LONGEST;

/// A statement that is under way.
pub(super) struct Held {
    tally: Rc<Tally>,
    /// The text of a Query, or a Bind message from behind its two names.
    bytes: Vec<u8>,
    /// What is bound.
    bound: Option<Named>,
}

impl Session {
    /// A Query was sent that is counted here; it is the last of what is expected, and not marked yet.
    #[inline]
    pub(super) fn hold_query(&mut self, tally: &Rc<Tally>, text: &[u8]) {
        self.heed_rules(tally);
        let read = self.dialect.std_strings()
            && !self.dialect.is_wide()
            && !(self.was_reading_uncertain() && depends_on_reading(text));
        if read {
            self.hold_values(tally, text, None);
        }
    }

    /// A statement was bound that is counted here.
    #[inline]
    pub(super) fn hold_bind(&mut self, tally: &Rc<Tally>, named: &Named, values: &[u8]) {
        self.heed_rules(tally);
        if !values.is_empty() {
            self.hold_values(tally, values, Some(named));
        }
    }

    fn hold_values(&mut self, tally: &Rc<Tally>, bytes: &[u8], bound: Option<&Named>) {
        let closely = &self.worker.digests.closely;
        if !closely.is_on() || bytes.len() > LONGEST || self.is_under_way() {
            return;
        }
        let Some(capture) = &mut self.capture else { return };
        let mut buffer = match capture.held.take() {
            Some(mut held) => {
                held.bytes.clear();
                held.bytes
            }
            None => closely.buffer(),
        };
        buffer.extend_from_slice(bytes);
        capture.held = Some(Held { tally: tally.clone(), bytes: buffer, bound: bound.cloned() });
    }

    /// Whether another statement of the client's is to be answered first.
    fn is_under_way(&self) -> bool {
        let runs = |kind| matches!(kind, Kind::Query | Kind::Execute | Kind::Function);
        self.server.as_ref().is_some_and(|server| {
            server.expects.iter().any(|expect| !expect.ours && expect.tally.is_some() && runs(expect.kind))
        })
    }

    /// Counts the statement that a message begins which is refused before it goes anywhere, with this SQLSTATE.
    pub(super) fn capture_refused(&mut self, bytes: &[u8], sqlstate: &str) {
        if !self.worker.digests.is_on() {
            return;
        }
        let Ok(Some(frame)) = Frame::peek(bytes) else { return };
        let said = bytes.get(HEADER..frame.total).unwrap_or_default();
        let tally = match frame.tag {
            front::QUERY => said.strip_suffix(b"\0").and_then(|text| self.tally(text)),
            front::PARSE => {
                let text = frame::cstr(said).and_then(|(_, tail)| frame::cstr(tail));
                text.and_then(|(text, _)| self.tally(text))
            }
            front::BIND => {
                let name = frame::cstr(said).and_then(|(_, rest)| frame::cstr(rest));
                let named = name.and_then(|(name, _)| self.named(name));
                named.and_then(|named| self.tally_of(named.in_clients_words()))
            }
            _ => None,
        };
        if let Some(tally) = tally {
            let error = sqlstate.as_bytes().first_chunk().copied();
            let answer = Answer { served: Served::Pgweir, rows: 0, bytes: 0, error, times: None };
            self.worker.digests.count(&tally, &answer);
        }
    }

    /// From when on the statement at the front is slow, if rules say so.
    fn heed_rules(&self, tally: &Tally) {
        if let Some(verdict) = &self.verdict {
            tally.slow_from.set(verdict.slow);
        }
    }

    /// The statement has ended, and is not counted yet.
    #[inline]
    pub(super) fn look_at(&mut self, tally: &Rc<Tally>, answer: &Answer, end: (Option<[u8; 5]>, u32)) {
        if !self.worker.digests.closely.is_on() {
            return;
        }
        let held = self
            .capture
            .as_mut()
            .and_then(|capture| capture.held.take_if(|held| Rc::ptr_eq(&held.tally, tally)));
        if let Some(look) = self.worker.digests.closely.at(tally, answer) {
            self.look_closely(tally, answer, look, (held.as_ref(), end));
        }
        held.into_iter().for_each(|held| self.worker.digests.closely.put_buffer(held.bytes));
    }

    #[cold]
    fn look_closely(
        &self,
        tally: &Rc<Tally>,
        answer: &Answer,
        look: Look,
        (held, (sqlstate, place)): (Option<&Held>, (Option<[u8; 5]>, u32)),
    ) {
        let mut seen = Seen { sqlstate, place, ..Seen::default() };
        match held {
            Some(Held { bytes, bound: None, .. }) => seen.text = Some(bytes),
            Some(Held { bytes, bound: Some(named), .. }) => {
                let statement = named.in_clients_words();
                seen.text = statement.text_of_values();
                seen.bind = Some(bytes);
                seen.types = statement.types(named);
            }
            None => {}
        }
        self.worker.digests.closely.look(tally, answer, look, seen);
    }
}

impl Statement {
    /// The Parse message behind its name as the client has sent it. `None`: it was prepared by SQL.
    pub(super) fn tail(&self) -> Option<&[u8]> {
        match (&self.original, &self.prepared.form) {
            (Some((tail, _)), _) | (None, Form::Parse(tail)) => Some(tail),
            (None, Form::Sql(_)) => None,
        }
    }

    /// Its text as the client has sent it, and how that is read. `None`: that is not known.
    pub(super) fn as_read(&self) -> Option<(&[u8], Dialect)> {
        let text = frame::cstr(self.tail()?)?.0;
        match &self.reading {
            None => Some((text, true.into())),
            // So it is where nobody knows how the server reads it.
            Some(reading) if *reading.encoding == *b"?" => None,
            Some(reading) => Some((text, dialect(reading))),
        }
    }

    /// Its text in the client's words, where what is a value in it is read as usual.
    fn text_of_values(&self) -> Option<&[u8]> {
        let (text, dialect) = self.as_read()?;
        (dialect.std_strings() && !dialect.is_wide()).then_some(text)
    }

    /// Types of its parameters, as its client has said them, or as it was told.
    fn types(&self, named: &Named) -> Box<[u32]> {
        let read = |types: &[u8]| -> Box<[u32]> {
            let types = types.get(2..).unwrap_or_default();
            types.as_chunks::<4>().0.iter().map(|number| u32::from_be_bytes(*number)).collect()
        };
        let told = named.told.as_ref().map(|told| read(&told.parameters)).unwrap_or_default();
        let said = self.tail().and_then(|tail| Some(read(frame::cstr(tail)?.1))).unwrap_or_default();
        let at = |types: &[u32], at: usize| types.get(at).copied().unwrap_or(0);
        let known = |n: usize| if at(&said, n) == 0 { at(&told, n) } else { at(&said, n) };
        (0..said.len().max(told.len())).map(known).collect()
    }
}
