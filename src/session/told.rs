//! What clients were told that their statements are: parameters and rows by which they write and read the messages that follow.
//!
//! PostgreSQL never runs a statement whose rows are others than those it was prepared with: it fails (0A000) until the client
//! prepares it anew. On another server a session's statement is prepared anew by pgweir, unseen, and may be another one since a change
//! of definitions. So the server is asked first, if the client was told, and the client gets that error where it would have got it.

use std::rc::Rc;

use super::extended::with_types;
use super::serve::Session;
use super::statement::{Named, significant};
use super::unnamed::prepare_unnamed;
use super::upstream::Flow;
use crate::pool::Server;
use crate::pool::exchange::{Describing, Expect, Kind, Note, Of};
use crate::pool::prepared::{Description, Form, Prepared, ServerCopy, server_name};
use crate::wire::frame::{Frame, HEADER, back, front};
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
    /// It is under way, of the statement of this number, prepared like this: the client's message waits.
    Waits(Types, u64),
    /// It was answered, and the message is looked at again. It may be another statement that is meant by then, since settings were not known.
    Answered(Types, u64),
}

/// Types of the parameters of a statement that pgweir prepares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Types {
    /// Those that the client gave, and for the others what PostgreSQL finds.
    AsGiven,
    /// Those that the client was told.
    AsTold,
}

/// What the client knew of its statement of this name, prepared at that tick, before an answer told it.
pub(super) type Told = (Box<[u8]>, u64, Option<Rc<Description>>);

impl Session {
    /// Sees to it that the session's statement is on the server, and is what the client was told; gives what becomes of the
    /// client's message if that cannot be said yet, or is not so.
    pub(super) fn bring_as_told(
        &mut self,
        named: Option<&Named>,
        unnamed: bool,
        frame: Frame,
        bytes: &[u8],
    ) -> Option<Flow> {
        match named.map(|named| self.is_as_told(named, unnamed)) {
            None if unnamed => {
                self.bring_no_unnamed();
                None
            }
            None | Some(Shown::AsTold) => None,
            Some(Shown::Asked) => Some(Flow::Later),
            Some(Shown::Changed) => {
                let mut answer = vec![];
                if frame.tag == front::DESCRIBE {
                    // PostgreSQL finds out when it comes to the rows.
                    let types = named.map(|named| self.told_parameters(named, unnamed)).unwrap_or_default();
                    emit::frame(&mut answer, back::PARAMETER_DESCRIPTION, |out| {
                        out.extend_from_slice(&types)
                    });
                }
                let text = "cached plan must not change result type";
                Fault::error("0A000", text).routine("RevalidateCachedQuery").emit(&mut answer);
                self.fail_here(answer.into());
                Some(self.pass_over(frame, bytes))
            }
        }
    }

    /// If the statement is not on the server, or is another one there, it is prepared anew. Where the client was told what it is, the
    /// server is asked what it is now; with the types that the client was told only if that makes a difference, because
    /// others cannot use it then.
    fn is_as_told(&mut self, named: &Named, unnamed: bool) -> Shown {
        let asked = std::mem::take(&mut self.asking);
        if self.has_as_told(named, unnamed) {
            return Shown::AsTold;
        }
        let meant = named.statement.prepared.id;
        let types = match (&named.told, asked) {
            (None, _) => {
                self.bring(named, unnamed, Types::AsGiven);
                return Shown::AsTold;
            }
            (Some(told), Asking::Answered(Types::AsGiven, of))
                if of == meant && self.differs_by_types(named, unnamed, told) =>
            {
                Types::AsTold
            }
            (Some(_), Asking::Answered(_, of)) if of == meant => return Shown::Changed,
            (Some(_), _) => Types::AsGiven,
        };
        self.bring(named, unnamed, types);
        self.ask_what_it_is(named, unnamed);
        self.asking = Asking::Waits(types, meant);
        Shown::Asked
    }

    /// Sees to it that the server has a statement of which the client was told nothing.
    pub(super) fn bring_untold(&mut self, named: &Named, unnamed: bool) {
        if !self.has_as_told(named, unnamed) {
            self.bring(named, unnamed, Types::AsGiven);
        }
    }

    fn has_as_told(&self, named: &Named, unnamed: bool) -> bool {
        let Some(server) = &self.server else { return true };
        let copy = match unnamed {
            true if server.unnamed == named.when => {
                let description = server.unnamed_description.clone();
                Some(ServerCopy { when: named.when, typed: false, description })
            }
            true => None,
            false => server.prepared.touch(named.statement.prepared.id),
        };
        copy.is_some_and(|copy| copy.is_as_told(named.when, named.told.as_deref()))
    }

    /// Whether the parameters of the server's copy are others than those that the client was told, and can be given.
    fn differs_by_types(&self, named: &Named, unnamed: bool, told: &Description) -> bool {
        matches!(named.statement.prepared.form, Form::Parse(_))
            && !told.parameters.is_empty()
            && self.parameters_of(named, unnamed) != told.parameters
    }

    /// Types of the parameters that the client was told, or else those that the server has.
    fn told_parameters(&self, named: &Named, unnamed: bool) -> Box<[u8]> {
        let told = named.told.as_ref().map(|told| told.parameters.clone());
        told.filter(|types| !types.is_empty()).unwrap_or_else(|| self.parameters_of(named, unnamed))
    }

    /// Types of the parameters, as the server has described its copy of a statement.
    fn parameters_of(&self, named: &Named, unnamed: bool) -> Box<[u8]> {
        let copy = self.server.as_ref().and_then(|server| match unnamed {
            true => server.unnamed_description.clone(),
            false => server.prepared.copy(named.statement.prepared.id)?.description,
        });
        copy.map_or(Box::default(), |description| description.parameters.clone())
    }

    fn bring(&mut self, named: &Named, unnamed: bool, types: Types) {
        let prepared = &named.statement.prepared;
        let told = named.told.as_ref().filter(|_| types == Types::AsTold);
        let types = told.map(|told| &told.parameters[..]);
        match (&prepared.form, &mut self.server) {
            (Form::Parse(tail), Some(server)) if unnamed => {
                prepare_unnamed(server, &with_types(tail, types), named.when);
            }
            _ => self.bring_copy(prepared, types),
        }
    }

    fn ask_what_it_is(&mut self, named: &Named, unnamed: bool) {
        let prepared = &named.statement.prepared;
        let Some(server) = &mut self.server else { return };
        let name = if unnamed { String::new() } else { server_name(prepared.id) };
        let when = match unnamed {
            true => named.when,
            false => server.prepared.copy(prepared.id).map_or(0, |copy| copy.when),
        };
        emit::target(&mut server.out, front::DESCRIBE, b'S', name.as_bytes());
        let note = Note::Describing(described(prepared, when, unnamed, Of::Ours));
        server.expect(Expect::ours(Kind::DescribeStatement, note));
        emit::empty(&mut server.out, front::FLUSH);
    }

    /// Describes a portal.
    pub(super) fn describe_portal(&mut self, portal: &[u8], whole: &[u8]) -> Flow {
        let Some(server) = &mut self.server else { return Flow::Server };
        self.batch.heavy = true;
        server.out.extend_from_slice(whole);
        let note = self.note_of_description(portal);
        let Some(server) = &mut self.server else { return Flow::Server };
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
        let (name, when) = match of {
            Of::Ours => {
                if let Asking::Waits(types, of) = self.asking {
                    self.asking = Asking::Answered(types, of);
                }
                return;
            }
            Of::Client(name, when) => (name, when),
        };
        self.is_told(name, when, description);
    }

    /// The client knows what its statement is, or it will when the answer is given to it.
    fn is_told(&mut self, name: Box<[u8]>, when: u64, description: Option<Rc<Description>>) {
        if let Some(named) = self.prepared_at(&name, when) {
            let before = std::mem::replace(&mut named.told, description);
            self.keep_told(name, when, before);
        }
    }

    /// The answer is not given to it.
    pub(super) fn is_not_told(&mut self, told: Vec<Told>) {
        for (name, when, before) in told.into_iter().rev() {
            self.prepared_at(&name, when).into_iter().for_each(|named| named.told = before.clone());
        }
    }

    /// The session's statement that it prepared at that tick; also where it is put aside, to be taken up again if what has done that fails.
    fn prepared_at(&mut self, name: &[u8], when: u64) -> Option<&mut Named> {
        let aside = self.closed.iter_mut().map(|(_, named)| named);
        let dropped = self.dropped.iter_mut().filter_map(|dropped| dropped.names.get_mut(name));
        let replaced = self.replaced.iter_mut().flatten();
        let all = self.names.get_mut(name).into_iter().chain(&mut self.unnamed).chain(aside);
        all.chain(dropped).chain(replaced).find(|named| named.when == when)
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
