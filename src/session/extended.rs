//! The extended protocol: statements get names of ours on servers, and are brought where they are missing.

use std::borrow::Cow;
use std::rc::Rc;

use super::custom::Given;
use super::prepare::{NOBODYS, foreign_name};
use super::rename::renaming;
use super::serve::Session;
use super::statement::{NAME_LENGTH, Named, Statement, fresh_id, significant};
use super::told::describing;
use super::upstream::{Flow, body};
use crate::pool::Server;
use crate::pool::exchange::{Commits, Expect, Kind, Note, Renamed, Renaming, Unnamed};
use crate::pool::prepared::{DUMMY, Form, Prepared, ServerCopy, server_name};
use crate::pool::server::UNKNOWN;
use crate::wire::frame::{self, Frame, back, front};
use crate::wire::{Fault, emit};

/// How far into a Bind its two names must have ended.
const BIND_NAMES: usize = 64 * 1024;

impl Session {
    pub(super) fn parse(&mut self, frame: Frame, bytes: &[u8]) -> Flow {
        let Some(whole) = bytes.get(..frame.total) else {
            if frame.total > self.worker.limits().max_held_message {
                let limit = self.worker.limits().max_held_message;
                let text = format!(
                    "Parse message of {} bytes is longer than max_held_message ({limit})",
                    frame.total
                );
                let fault = Fault::error("54000", text)
                    .hint("Give the long values as parameters, or raise limits.max_held_message of pgweir.");
                return self.refuse_statement(frame, bytes, fault);
            }
            return Flow::More;
        };
        if self.server.is_none() {
            return self.batch_here(bytes);
        }
        if self.asked.is_some() && self.batch_waits_to_begin(bytes) {
            return Flow::Later;
        }
        let well_formed = |(name, tail): &(&[u8], &[u8])| self.can_be_read(name) && is_text_and_types(tail);
        let Some((name, tail)) = frame::cstr(body(whole)).filter(well_formed) else {
            return self.malformed(frame, bytes, Kind::Parse);
        };
        if !name.is_empty() && self.is_contested(name) || self.mentions_contested_names(tail) {
            return Flow::Later;
        }
        let statement = self.intern(tail);
        if !self.batch_open && self.listens_on_server(statement.effects) {
            self.set_up_channels();
        }
        self.batch_open = true;
        let wrong = statement.wrong_level.as_deref().cloned();
        let refused = || statement.token.as_deref().and_then(|token| self.take_token(token).err());
        let refused = wrong.or_else(refused);
        if let Some(fault) = refused.or_else(|| self.refused_effects(statement.effects)) {
            self.pool.stats().error(&fault.sqlstate);
            self.fail_parse(&fault);
        } else if name.is_empty() {
            self.parse_unnamed(statement.clone());
        } else {
            self.parse_named(name, statement.clone());
        }
        self.capture_parse(&statement);
        Flow::Taken(whole.len())
    }

    /// The server says what is wrong with it.
    pub(super) fn malformed(&mut self, frame: Frame, bytes: &[u8], kind: Kind) -> Flow {
        let Some(server) = &mut self.server else { return Flow::Server };
        server.expect(Expect::client(kind));
        self.batch_open = true;
        self.batch.heavy = true;
        self.forward(frame, bytes)
    }

    fn parse_named(&mut self, name: &[u8], statement: Rc<Statement>) {
        if let Some(named) = self.names.get(significant(name)) {
            let taken = named.statement.prepared.clone();
            return self.parse_taken(name, &taken, &statement);
        }
        if self.names.len() >= self.worker.limits().prepared_per_session {
            let text = format!("more than {} prepared statements (prepared_per_session)", self.names.len());
            return self.fail_parse(&Fault::error("54000", text).hint("deallocate some, or raise the limit"));
        }
        let when = fresh_id();
        self.names.insert(significant(name).into(), Named::new(statement.clone(), when));
        self.keep_named(name, when);
        let Some(server) = &mut self.server else { return };
        let note = Note::Naming(statement.prepared.clone(), significant(name).into(), when);
        replace(server, statement.prepared.id);
        send_parse(server, &statement.prepared);
        server.expect(Expect::noted(Kind::Parse, note));
        server.prepared.insert(statement.prepared.id, when);
    }

    /// The name is taken: the server says so, if nothing else is wrong with the text.
    fn parse_taken(&mut self, name: &[u8], taken: &Prepared, statement: &Statement) {
        let id = self.name_that_is_taken(taken);
        let Some(server) = &mut self.server else { return };
        if let Form::Parse(tail) = &statement.prepared.form {
            emit::parse(&mut server.out, server_name(id).as_bytes(), tail);
        }
        let mut renamed = statement.renamed.clone();
        renamed.names.push(Renaming { statement: 0, server: server_name(id), client: name.into() });
        server.expect(Expect::noted(Kind::Parse, Note::Renamed(Box::new(renamed))));
    }

    /// The number of a statement that is on the server, where a text fails that would prepare it: this one, if no other session can have it, or one that does
    /// nothing and is prepared right ahead. If one that others have is not there, against what is expected, they would run the text.
    pub(super) fn name_that_is_taken(&mut self, taken: &Prepared) -> u64 {
        if matches!(taken.form, Form::Sql(_)) && self.is_on_server(taken.id) {
            return taken.id;
        }
        self.server.iter().for_each(|server| drop(server.prepared.remove(DUMMY)));
        self.bring_dummy(DUMMY);
        DUMMY
    }

    pub(super) fn is_on_server(&self, id: u64) -> bool {
        self.server.as_ref().is_some_and(|server| server.prepared.copy(id).is_some())
    }

    fn fail_parse(&mut self, fault: &Fault) {
        self.fail_here(fault.frame().into());
    }

    /// Has the server fail at this point of the batch, so that it skips to Sync and its transaction fails; `answer` is what the
    /// client gets.
    pub(super) fn fail_here(&mut self, answer: Box<[u8]>) {
        let Some(server) = &mut self.server else { return };
        emit::parse(&mut server.out, b"", b"refused by pgweir\0\0\0");
        server.unnamed = UNKNOWN;
        server.expect(Expect::noted(Kind::Parse, Note::Blame(answer)));
    }

    pub(super) fn bind(&mut self, frame: Frame, bytes: &[u8]) -> Flow {
        let there = &bytes[..frame.total.min(bytes.len())];
        let names = frame::cstr(body(there)).and_then(|(portal, rest)| Some((portal, frame::cstr(rest)?)));
        let Some((portal, (name, rest))) = names else {
            let hopeless = there.len() == frame.total || there.len() > BIND_NAMES;
            return if hopeless { self.malformed(frame, bytes, Kind::Bind) } else { Flow::More };
        };
        if self.server.is_none() {
            return match self.batch_here(bytes) {
                Flow::Server => self.want_server_for_bound(bytes),
                flow => flow,
            };
        }
        if self.is_contested(name) || self.asked.is_some() && self.batch_waits_to_begin(bytes) {
            return Flow::Later;
        }
        let meant = self.named(name);
        let statement = meant.as_ref().map(|meant| meant.statement.clone());
        if let Some(statement) = statement.as_ref().filter(|meant| !meant.effects.is_empty())
            && let Form::Parse(text) = &statement.prepared.form
            && let Some(flow) = self.listening_first(text, statement.effects)
        {
            return flow;
        }
        self.batch_open = true;
        self.batch.heavy = true;
        if let Some(flow) = self.bring_as_told(meant.as_ref(), name.is_empty(), frame, bytes) {
            return flow;
        }
        self.batch.commits =
            self.batch.commits.max(statement.as_ref().map_or(Commits::AtItsEnd, |known| known.commits));
        if let Some(statement) = &statement {
            self.bind_effects(statement, rest);
        }
        let values = if there.len() == frame.total { rest } else { b"" };
        if let Some(fault) = self.bind_portal(portal, (name, meant.as_ref()), values) {
            self.pool.stats().error(&fault.sqlstate);
            self.fail_here(fault.frame().into());
            return self.pass_over(frame, bytes);
        }
        let server_side = meant.as_ref().filter(|_| !name.is_empty());
        let note = note_of_use(name, server_side);
        let server_side = server_side.map(|named| server_name(named.statement.prepared.id));
        let Some(server) = &mut self.server else { return Flow::Server };
        let name = server_side.as_ref().map_or(foreign_name(name), |name| name.as_bytes());
        put_bind(&mut server.out, (portal, name), rest, frame.total - there.len());
        server.expect(Expect::noted(Kind::Bind, note));
        self.input_rest = frame.total - there.len();
        self.drop_rest = false;
        self.capture_bind(portal, meant.as_ref(), values);
        Flow::Taken(there.len())
    }

    pub(super) fn bind_effects(&mut self, statement: &Rc<Statement>, values: &[u8]) {
        if self.note_statement(statement, Given::Values(values)).is_empty() {
            return;
        }
        if let Some(used) = &statement.uses {
            let (Form::Parse(text) | Form::Sql(text)) = &statement.prepared.form;
            let text = text.clone();
            let used = used.clone();
            let read_otherwise = !Rc::ptr_eq(&self.as_read_now(&used), &used);
            self.note_statement(&used, Given::Text(&text));
            if let Some(server) = &mut self.server {
                // Others must not find it prepared like this.
                server.spoiled |= read_otherwise;
            }
        }
        self.bring_what_it_names(statement);
    }

    /// The session has no unnamed statement, and must be told so: whatever the server has is somebody else's.
    pub(super) fn bring_no_unnamed(&mut self) {
        let Some(server) = self.server.as_mut().filter(|server| server.unnamed != 0) else { return };
        emit::target(&mut server.out, front::CLOSE, b'S', b"");
        server.expect(Expect::ours(Kind::Close, Note::None));
        server.unnamed = 0;
    }

    /// Prepares a statement on the session's server if it is missing there, or older than `when`.
    pub(super) fn bring_statement(&mut self, prepared: &Rc<Prepared>, when: u64) {
        let Some(server) = &mut self.server else { return };
        if !server.prepared.touch(prepared.id).is_some_and(|copy| copy.is_anybodys(when)) {
            self.bring_copy(prepared, None);
        }
    }

    /// Prepares a statement on the session's server, in the place of the copy that is there; with parameters of these types, if they are
    /// given and it is one that was parsed.
    pub(super) fn bring_copy(&mut self, prepared: &Rc<Prepared>, types: Option<&[u8]>) {
        let Some(server) = &mut self.server else { return };
        replace(server, prepared.id);
        let note = Note::Preparing(prepared.clone());
        match &prepared.form {
            Form::Parse(tail) => {
                emit::parse(&mut server.out, server_name(prepared.id).as_bytes(), &with_types(tail, types));
                server.expect(Expect::ours(Kind::Parse, note));
            }
            Form::Sql(text) if self.batch_open => run_in_batch(server, text, note),
            Form::Sql(text) => server.ask(text, note),
        }
        let copy = ServerCopy { when: fresh_id(), typed: types.is_some(), description: None };
        server.prepared.insert_copy(prepared.id, copy);
    }

    /// Closes the least recently used of the statements that are too many on the server, in a cycle of its own between two of the
    /// client's: what stands in one of those may be skipped.
    pub(super) fn close_surplus(&mut self) {
        let Some(server) = &mut self.server else { return };
        let before = server.expects.len();
        while let Some((old, copy)) = server.prepared.surplus() {
            emit::target(&mut server.out, front::CLOSE, b'S', server_name(old).as_bytes());
            server.expect(Expect::ours(Kind::Close, Note::Closing(old, Some(copy))));
        }
        if server.expects.len() > before {
            emit::empty(&mut server.out, front::SYNC);
            server.expect(Expect::ours(Kind::Sync, Note::None));
        }
    }

    pub(super) fn describe(&mut self, whole: &[u8]) -> Flow {
        if self.server.is_none() {
            return Flow::Server;
        }
        let frame = Frame { tag: front::DESCRIBE, total: whole.len() };
        let Some((kind, name)) = target(whole) else {
            return self.malformed(frame, whole, Kind::DescribePortal);
        };
        self.batch_open = true;
        if kind != b'S' {
            return self.describe_portal(name, whole);
        }
        if self.is_contested(name) {
            return Flow::Later;
        }
        let named = self.named(name);
        if let Some(used) = named.as_ref().and_then(|named| named.statement.uses.as_ref()) {
            // What it describes is the statement that it runs.
            self.bring_statement(&used.prepared, 0);
        }
        if let Some(flow) = self.bring_as_told(named.as_ref(), name.is_empty(), frame, whole) {
            return flow;
        }
        let Some(server) = &mut self.server else { return Flow::Server };
        match &named {
            Some(named) if !name.is_empty() => {
                let name = server_name(named.statement.prepared.id);
                emit::target(&mut server.out, front::DESCRIBE, b'S', name.as_bytes());
            }
            _ => emit::target(&mut server.out, front::DESCRIBE, b'S', foreign_name(name)),
        }
        let describing = named.as_ref().and_then(|named| describing(server, name, named));
        let used = named.as_ref().filter(|_| !name.is_empty());
        let note = describing.map_or_else(|| note_of_use(name, used), Note::Describing);
        server.expect(Expect::noted(Kind::DescribeStatement, note));
        Flow::Taken(whole.len())
    }

    pub(super) fn close(&mut self, whole: &[u8]) -> Flow {
        let Some((kind, name)) = target(whole) else {
            let frame = Frame { tag: front::CLOSE, total: whole.len() };
            return self.malformed(frame, whole, Kind::Close);
        };
        if kind == b'S' && !name.is_empty() && self.is_contested(name) {
            return Flow::Later;
        }
        if kind == b'S' && !name.is_empty() && self.names.contains_key(significant(name)) {
            let removed = self.names.remove_entry(significant(name));
            if self.server.is_some() {
                self.closed.extend(removed);
            }
            match &mut self.server {
                Some(server) => {
                    server.expect(Expect::client(Kind::ClosedHere));
                    self.batch_open = true;
                    self.answer_here();
                }
                None => emit::empty(&mut self.out, back::CLOSE_COMPLETE),
            }
            return Flow::Taken(whole.len());
        }
        if self.server.is_none() {
            return Flow::Server;
        }
        self.batch_open = true;
        self.batch.heavy |= kind != b'S';
        if kind == b'P' {
            self.forget_portal(name);
        }
        let Some(server) = &mut self.server else { return Flow::Server };
        let name = if kind == b'S' { foreign_name(name) } else { name };
        emit::target(&mut server.out, front::CLOSE, kind, name);
        let unnamed = if kind == b'S' && name.is_empty() { self.close_unnamed() } else { Unnamed::Stays };
        let Some(server) = &mut self.server else { return Flow::Server };
        server.expect(Expect::client(Kind::Close).with_unnamed(unnamed));
        Flow::Taken(whole.len())
    }

    pub(super) fn execute(&mut self, whole: &[u8]) -> Flow {
        if self.server.is_none() {
            return Flow::Server;
        }
        let portal = frame::cstr(body(whole)).map(|(portal, _)| portal);
        if portal.is_some_and(|portal| self.portal_is_contested(portal)) {
            return Flow::Later;
        }
        self.batch_open = true;
        self.batch.heavy = true;
        let note = portal.map_or(Note::None, |portal| self.note_of_portal(portal));
        let Some(server) = &mut self.server else { return Flow::Server };
        server.out.extend_from_slice(whole);
        if matches!(note, Note::DiscardAll(_)) {
            // What follows waits for the answer.
            emit::empty(&mut server.out, front::FLUSH);
        }
        // What is not committed by the statement itself is by the Sync behind it.
        let commits = if self.batch.commits == Commits::ABlock { Commits::ABlock } else { Commits::Nothing };
        server.expect(Expect::noted(Kind::Execute, note).committing(commits));
        self.capture_execute(portal);
        Flow::Taken(whole.len())
    }

    /// A DISCARD ALL is not answered yet: it would take for its own what is noted of messages behind it.
    pub(super) fn discards_all(&self) -> bool {
        let discards = |expect: &Expect| matches!(expect.note, Note::DiscardAll(_));
        self.server.as_ref().is_some_and(|server| server.expects.iter().any(discards))
    }

    /// Gives the answers that are ours to give and whose turn it is.
    pub(super) fn answer_here(&mut self) {
        while let Some(server) = self.server.as_mut().filter(|server| server.answers_here())
            && let Some(expect) = server.expects.pop_front()
        {
            if expect.kind == Kind::Here {
                if expect.unnamed != Unnamed::Stays {
                    self.replaced.pop_front();
                }
                self.give(expect.note);
                continue;
            }
            emit::empty(&mut self.out, back::CLOSE_COMPLETE);
            if !self.closed.is_empty() {
                self.closed.remove(0);
            }
        }
    }
}

/// A Parse message behind its name, with other types of parameters if they are given.
pub(super) fn with_types<'a>(tail: &'a [u8], types: Option<&[u8]>) -> Cow<'a, [u8]> {
    let text = frame::cstr(tail).map_or(tail, |(text, _)| text);
    types.map_or(Cow::Borrowed(tail), |types| [text, b"\0", types].concat().into())
}

pub(super) fn send_parse(server: &mut Server, prepared: &Prepared) {
    if let Form::Parse(tail) = &prepared.form {
        emit::parse(&mut server.out, server_name(prepared.id).as_bytes(), tail);
    }
}

/// A command of ours inside a batch: by messages, because a Query would end the batch's implicit transaction.
pub(super) fn run_in_batch(server: &mut Server, text: &[u8], note: Note) {
    const NAME: &[u8] = b"_pgweir_command";
    let mut tail = text.to_vec();
    tail.extend_from_slice(&[0, 0, 0]);
    let out = &mut server.out;
    emit::parse(out, NAME, &tail);
    emit::frame(out, front::BIND, |out| {
        emit::cstr(out, NAME);
        emit::cstr(out, NAME);
        out.extend_from_slice(&[0; 6]);
    });
    emit::frame(out, front::EXECUTE, |out| {
        emit::cstr(out, NAME);
        out.extend_from_slice(&[0; 4]);
    });
    emit::target(out, front::CLOSE, b'P', NAME);
    emit::target(out, front::CLOSE, b'S', NAME);
    for (kind, note) in [
        (Kind::Parse, Note::None),
        (Kind::Bind, Note::None),
        (Kind::Execute, note),
        (Kind::Close, Note::None),
        (Kind::Close, Note::None),
    ] {
        server.expect(Expect::ours(kind, note));
    }
}

/// Whether a Parse is well formed behind its name. What is shared with others must be.
pub(super) fn is_text_and_types(tail: &[u8]) -> bool {
    let types = frame::cstr(tail).and_then(|(_, types)| types.split_first_chunk::<2>());
    types.is_some_and(|(count, types)| types.len() == 4 * usize::from(u16::from_be_bytes(*count)))
}

/// Appends a Bind message, of which so many bytes are to come behind the `rest` that is there.
pub(super) fn put_bind(out: &mut Vec<u8>, (portal, name): (&[u8], &[u8]), rest: &[u8], to_come: usize) {
    let length = (4 + portal.len() + name.len() + 2 + rest.len() + to_come) as u32;
    out.reserve(1 + length as usize - to_come);
    out.push(front::BIND);
    out.extend_from_slice(&length.to_be_bytes());
    emit::cstr(out, portal);
    emit::cstr(out, name);
    out.extend_from_slice(rest);
}

/// Makes room for a statement on the server. Also where none is known there: one that is taken for gone, since a cycle has failed that others
/// were sent behind, may be there.
pub(super) fn replace(server: &mut Server, id: u64) {
    let copy = server.prepared.remove(id);
    emit::target(&mut server.out, front::CLOSE, b'S', server_name(id).as_bytes());
    server.expect(Expect::ours(Kind::Close, Note::Closing(id, copy)));
}

/// What it means that a message uses the client's statement of this name, if there is one.
fn note_of_use(name: &[u8], named: Option<&Named>) -> Note {
    match named {
        Some(named) if name.len() <= NAME_LENGTH && named.statement.prepared.moved == 0 => {
            Note::Using(named.when)
        }
        Some(named) => Note::Renamed(Box::new(renaming(&named.statement.prepared, name))),
        None if foreign_name(name) != name => {
            let name = Renaming { statement: 0, server: NOBODYS.to_owned(), client: name.into() };
            Note::Renamed(Box::new(Renamed { names: vec![name], ..Renamed::default() }))
        }
        None => Note::None,
    }
}

/// Kind and name of a Describe or Close.
pub(super) fn target(whole: &[u8]) -> Option<(u8, &[u8])> {
    let (kind, rest) = body(whole).split_first()?;
    Some((*kind, frame::cstr(rest)?.0))
}
