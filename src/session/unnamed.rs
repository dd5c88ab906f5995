//! The unnamed statement: a Parse without a name replaces it, a Query takes it away.
//!
//! Both are taken to have happened when they are sent. They have not where PostgreSQL skips the message behind an error, and where it
//! refuses the message before it looks at the text, because it cannot read it: what was there before is put aside until the answer has come.

use std::rc::Rc;

use super::serve::Session;
use super::statement::{Named, Statement, fresh_id};
use crate::pool::Server;
use crate::pool::exchange::{Expect, Kind, Note, Unnamed};
use crate::pool::prepared::Form;
use crate::pool::server::UNKNOWN;
use crate::wire::{emit, frame};

impl Session {
    /// The client prepares it anew.
    pub(super) fn parse_unnamed(&mut self, statement: Rc<Statement>) {
        let Form::Parse(tail) = &statement.prepared.form else { return };
        let unnamed = self.goes_by(frame::cstr(tail).map_or(tail, |(text, _)| text));
        let Some(server) = &mut self.server else { return };
        emit::parse(&mut server.out, b"", tail);
        let when = fresh_id();
        (server.unnamed, server.unnamed_description) = (when, None);
        let renamed = (!statement.renamed.moved.is_empty()).then(|| Box::new(statement.renamed.clone()));
        let note = renamed.map_or(Note::None, Note::Renamed);
        server.expect(Expect::noted(Kind::Parse, note).with_unnamed(unnamed));
        self.replaced.push_back(self.unnamed.replace(Named::new(statement, when)));
    }

    /// The client closes it.
    pub(super) fn close_unnamed(&mut self) -> Unnamed {
        self.server.iter_mut().for_each(|server| server.unnamed = 0);
        self.replaced.push_back(self.unnamed.take());
        Unnamed::Goes
    }

    /// A Query of this text is sent; or of one that nobody looks at, or that is malformed.
    #[inline]
    pub(super) fn drop_unnamed(&mut self, text: Option<&[u8]>) -> Unnamed {
        self.server.iter_mut().for_each(|server| server.unnamed = 0);
        if self.unnamed.is_none() && self.replaced.is_empty() {
            return Unnamed::Stays;
        }
        self.replaced.push_back(self.unnamed.take());
        text.map_or(Unnamed::GoesIfRead, |text| self.goes_by(text))
    }

    fn goes_by(&self, text: &[u8]) -> Unnamed {
        let same = || self.reads_utf8() && self.server.as_ref().is_some_and(|server| server.utf8);
        let legible = text.is_ascii() || same() && std::str::from_utf8(text).is_ok();
        if legible && memchr::memchr(0, text).is_none() { Unnamed::Goes } else { Unnamed::GoesIfRead }
    }

    fn reads_utf8(&self) -> bool {
        *self.reading.encoding == *b"utf8" && !self.is_reading_uncertain()
    }

    /// Whether a name is one: the server never sees it, and so cannot say that it is none in UTF-8.
    pub(super) fn can_be_read(&self, name: &[u8]) -> bool {
        name.is_ascii() || !self.reads_utf8() || std::str::from_utf8(name).is_ok()
    }

    /// Whether a cycle that is not answered yet makes it what it is, and nothing behind that does.
    pub(super) fn unnamed_is_contested(&mut self) -> bool {
        let Some(server) = self.server.as_ref().filter(|_| self.cycle_under_way()) else { return false };
        let ends = |expect: &Expect| !expect.ours && expect.ends_with_ready();
        let prepares = |expect: &Expect| {
            expect.kind != Kind::Query && decides(expect) || expect.unnamed == Unnamed::GoesIfRead
        };
        let ended = server.expects.iter().rposition(ends).map_or(0, |last| last + 1);
        let sent = server.expects.iter().take(ended).any(prepares);
        let contested = sent && !server.expects.iter().skip(ended).any(decides);
        self.one_by_one |= contested;
        contested
    }

    /// Of messages that were expected to succeed the first has failed, which was `read` or not, and the others were skipped: the next
    /// message that replaces the statement finds what they found.
    pub(super) fn unnamed_is_kept(&mut self, skipped: &[Expect], read: bool) {
        let takes = |expect: &&Expect| expect.unnamed != Unnamed::Stays;
        let count = skipped.iter().filter(takes).count();
        let Some(found) = self.replaced.drain(..count.min(self.replaced.len())).next() else { return };
        let gone = read && skipped.first().as_ref().is_some_and(takes);
        self.next_unnamed(if gone { None } else { found });
    }

    /// The Query in front was refused before it was read.
    pub(super) fn unnamed_survives(&mut self) {
        let Some(server) = &mut self.server else { return };
        let Some(front) = server.expects.front_mut() else { return };
        if std::mem::take(&mut front.unnamed) == Unnamed::Stays {
            return;
        }
        if !server.expects.iter().skip(1).any(decides) {
            server.unnamed = UNKNOWN;
        }
        let found = self.replaced.pop_front().flatten();
        self.next_unnamed(found);
    }

    /// What the oldest message under way that replaces it finds, or what there is if there is none.
    fn next_unnamed(&mut self, statement: Option<Named>) {
        *self.replaced.front_mut().unwrap_or(&mut self.unnamed) = statement;
    }
}

/// Whether it is known behind an answer to come which unnamed statement the server has.
pub(super) fn decides(expect: &Expect) -> bool {
    expect.kind == Kind::Query
        || expect.unnamed != Unnamed::Stays
        || matches!(expect.note, Note::BringingUnnamed)
}

/// Makes this the server's unnamed statement: a session's, from that tick.
pub(super) fn prepare_unnamed(server: &mut Server, tail: &[u8], when: u64) {
    emit::parse(&mut server.out, b"", tail);
    server.expect(Expect::ours(Kind::Parse, Note::BringingUnnamed));
    (server.unnamed, server.unnamed_description) = (when, None);
}

/// Whether an error may be that the bytes of a message cannot be read: in the client's encoding, in the database's, at all.
pub(super) fn is_about_reading(fields: &[u8]) -> bool {
    frame::fields(fields).any(|(code, value)| code == b'C' && matches!(value, b"22021" | b"22P05" | b"08P01"))
}
