//! What clients were told that their statements are: parameters and rows by which they write and read the messages that follow.
//!
//! PostgreSQL never runs a statement whose rows are others than those it was prepared with: it fails (0A000) until the client
//! prepares it anew. On another server a session's statement is prepared anew by pgweir, unseen, and may be another one since a change
//! of definitions. So the server is asked first, if the client was told, and the client gets that error where it would have got it.

use std::rc::Rc;

use super::extended::{prepare_unnamed, replace};
use super::serve::Session;
use super::statement::{Named, fresh_id, significant};
use super::upstream::Flow;
use crate::pool::Server;
use crate::pool::exchange::{Describing, Expect, Kind, Note, Of};
use crate::pool::prepared::{Description, Form, Prepared, server_name};
use crate::wire::frame::{self, Frame, HEADER, back, front};
use crate::wire::{Fault, emit};

/// How a statement on the server compares with what the client was told.
enum Shown {
    /// It is the same, or the client was told nothing.
    AsTold,
    /// The server is asked; the client's message is to wait.
    Asked,
    /// Prepared anew, it is another one.
    Changed,
}

/// The question for that.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Asking {
    /// There is none.
    #[default]
    No,
    /// It is under way: the client's message waits.
    Waits,
    /// It was answered, and the message is looked at again.
    Answered,
}

impl Session {
    /// What becomes of a message about a statement that is not on the server as the client knows it.
    pub(super) fn unless_as_told(
        &mut self,
        named: Option<&Named>,
        unnamed: bool,
        frame: Frame,
        bytes: &[u8],
    ) -> Option<Flow> {
        let named = named?;
        match self.is_as_told(named, unnamed) {
            Shown::AsTold => None,
            Shown::Asked => Some(Flow::Later),
            Shown::Changed => {
                let mut answer = vec![];
                if let (front::DESCRIBE, Some(told)) = (frame.tag, &named.told) {
                    // PostgreSQL finds out when it comes to the rows.
                    emit::frame(&mut answer, back::PARAMETER_DESCRIPTION, |out| out.extend(&told.parameters));
                }
                Fault::error("0A000", "cached plan must not change result type").emit(&mut answer);
                self.fail_here(answer.into());
                Some(self.pass_over(frame, bytes))
            }
        }
    }

    /// If the statement is not on the server, or is another one there, it is prepared with the parameters that the client
    /// knows, and looked at.
    fn is_as_told(&mut self, named: &Named, unnamed: bool) -> Shown {
        let answered = std::mem::take(&mut self.asking) == Asking::Answered;
        let (Some(told), Some(server)) = (&named.told, &mut self.server) else { return Shown::AsTold };
        let prepared = &named.statement.prepared;
        let there = match unnamed {
            true => server.unnamed_description.as_ref().filter(|_| server.unnamed == named.when),
            false => {
                let copy = server.prepared.copy(prepared.id).filter(|copy| copy.when >= named.when);
                copy.and_then(|copy| copy.description.as_ref())
            }
        };
        if there.is_some_and(|there| there.is_as(told)) {
            return Shown::AsTold;
        }
        if answered {
            return Shown::Changed;
        }
        let Form::Parse(tail) = &prepared.form else { return Shown::AsTold };
        let text = frame::cstr(tail).map_or(&tail[..], |(text, _)| text);
        let told_types = [text, b"\0", &told.parameters].concat();
        let tail = if told.parameters.is_empty() { tail } else { &told_types[..] };
        let when = if unnamed { named.when } else { fresh_id() };
        if unnamed {
            prepare_unnamed(server, tail, when);
            emit::target(&mut server.out, front::DESCRIBE, b'S', b"");
        } else {
            replace(server, prepared.id);
            let name = server_name(prepared.id);
            emit::parse(&mut server.out, name.as_bytes(), tail);
            server.expect(Expect::ours(Kind::Parse, Note::Preparing(prepared.clone())));
            server.prepared.insert(prepared.id, when);
            emit::target(&mut server.out, front::DESCRIBE, b'S', name.as_bytes());
        }
        let note = Note::Describing(described(prepared, when, unnamed, Of::Ours));
        server.expect(Expect::ours(Kind::DescribeStatement, note));
        emit::empty(&mut server.out, front::FLUSH);
        self.asking = Asking::Waits;
        Shown::Asked
    }

    /// Describes a portal: of the one bound last it is known which statement that is.
    pub(super) fn describe_portal(&mut self, portal: &[u8], whole: &[u8]) -> Flow {
        let Some(server) = &mut self.server else { return Flow::Server };
        self.batch.heavy = true;
        server.out.extend_from_slice(whole);
        let bound = self.bound.take_if(|(bound, _)| **bound == *portal);
        let note = bound.map_or(Note::None, |(_, describing)| Note::Describing(describing));
        server.expect(Expect::noted(Kind::DescribePortal, note));
        Flow::Taken(whole.len())
    }

    /// The first half of a statement's description.
    pub(super) fn parameters_described(&mut self, whole: &[u8]) {
        let front = self.server.as_mut().and_then(|server| server.expects.front_mut());
        if let Some(Note::Describing(described)) = front.map(|front| &mut front.note) {
            described.parameters = whole[HEADER..].into();
        }
    }

    /// The second half: now it is known what the server's copy is, and what the client was told.
    pub(super) fn described(&mut self, whole: &[u8]) {
        let Some(server) = &mut self.server else { return };
        let Some(front) = server.expects.front_mut() else { return };
        let Note::Describing(described) = std::mem::take(&mut front.note) else { return };
        let Describing { prepared, when, unnamed, of, parameters } = *described;
        // What is too long to be held is not known.
        let complete =
            Frame::peek(whole).is_ok_and(|frame| frame.is_some_and(|frame| frame.total == whole.len()));
        let description = complete.then(|| prepared.shared(Description::of(parameters, whole)));
        if let Some(description) = &description {
            match unnamed {
                true if server.unnamed == when => server.unnamed_description = Some(description.clone()),
                true => {}
                false => server.prepared.describe(prepared.id, when, description),
            }
        }
        let named = match of {
            Of::Ours => {
                self.asking = Asking::Answered;
                return;
            }
            Of::Client(name, when) => {
                let named = if unnamed { self.unnamed.as_mut() } else { self.names.get_mut(&name) };
                named.filter(|named| named.when == when)
            }
        };
        named.into_iter().for_each(|named| named.told = description.clone());
    }
}

/// What the client learns when the server describes its statement of this name.
pub(super) fn describing(server: &Server, name: &[u8], named: &Named) -> Option<Box<Describing>> {
    let prepared = &named.statement.prepared;
    if !named.statement.planned {
        return None;
    }
    let unnamed = name.is_empty();
    let when = if unnamed { named.when } else { server.prepared.copy(prepared.id)?.when };
    Some(described(prepared, when, unnamed, Of::Client(significant(name).into(), named.when)))
}

fn described(prepared: &Rc<Prepared>, when: u64, unnamed: bool, of: Of) -> Box<Describing> {
    let prepared = prepared.clone();
    Box::new(Describing { prepared, when, unnamed, of, parameters: Box::default() })
}
