//! `EXPLAIN ROUTE statement`: answered here, in either protocol, with what would become of the statement; it is not run.
//!
//! No server is asked for it, none is leased, and no rule sees it. Where the session has a server, the answer waits until that has
//! nothing to say any more; inside a batch of other messages it stands in its place among their answers. So it works in a failed
//! transaction too. What is wrong with it is an error like any other, by which an open transaction fails.

use std::rc::Rc;

use super::bound::Bound;
use super::serve::{BACKLOG, Session};
use super::statement::{Named, Statement, fresh_id, significant};
use super::upstream::{Flow, body};
use crate::plan::explain::{Line, parameters};
use crate::pool::exchange::{Commits, Expect, Kind, Note, Unnamed};
use crate::pool::prepared::Form;
use crate::sql;
use crate::wire::frame::{self, Frame, HEADER, TxStatus, back, front};
use crate::wire::{Fault, emit};

/// The columns of the answer, all of them text.
const COLUMNS: [&str; 3] = ["item", "value", "reason"];
const TEXT: u32 = 25;
/// The tag that it ends with: PostgreSQL's own for an EXPLAIN.
pub const TAG: &str = "EXPLAIN";
/// How many portals a session may have of it.
const PORTALS: usize = 20;
/// So much may wait in one batch for what stands before it, in bytes.
const WAITING: usize = 4 << 20;

/// What a session has of EXPLAIN ROUTE.
#[derive(Default)]
pub(super) struct Explains {
    portals: Vec<(Box<[u8]>, Portal)>,
    /// One waits for the server to have nothing more to say, or for the client to take what it was told.
    waits: bool,
    /// So many bytes of answers wait for those before them in their batch.
    waiting: usize,
}

/// A statement that was bound.
struct Portal {
    statement: Rc<Statement>,
    bound: Bound,
    /// What is left of its rows, once it has run.
    rows: Option<std::vec::IntoIter<Line>>,
}

impl Session {
    /// Whether a message may have to do with it: the question that all messages are asked.
    #[inline]
    pub(super) fn may_explain(&self, frame: Frame, bytes: &[u8]) -> bool {
        let text = match frame.tag {
            front::QUERY => bytes.get(HEADER..),
            front::PARSE => bytes.get(HEADER..).and_then(frame::cstr).map(|(_, rest)| rest),
            _ => None,
        };
        self.explains.is_some() || text.is_some_and(sql::may_explain_route)
    }

    /// Takes a message that is about EXPLAIN ROUTE; `None`: it is not.
    pub(super) fn explain_message(&mut self, frame: Frame, bytes: &[u8]) -> Option<Flow> {
        if self.server.as_ref().is_some_and(|server| server.skips || server.copy_in) {
            return None;
        }
        match frame.tag {
            front::QUERY => self.explain_query(frame, bytes),
            front::PARSE => self.explain_parse(frame, bytes),
            front::BIND => self.explain_bind(frame, bytes),
            front::DESCRIBE => self.explain_describe(bytes.get(..frame.total)?),
            front::EXECUTE => self.explain_execute(frame, bytes),
            front::CLOSE => self.explain_close(bytes.get(..frame.total)?),
            front::SYNC => {
                if self.tx_status() == TxStatus::Idle {
                    self.forget_portals();
                }
                None
            }
            _ => None,
        }
    }

    fn explain_query(&mut self, frame: Frame, bytes: &[u8]) -> Option<Flow> {
        let whole = bytes.get(..frame.total)?;
        let text = whole[HEADER..].strip_suffix(b"\0").filter(|text| !text.contains(&0))?;
        self.forget_explained(b"");
        let explained = sql::explain_route(text, self.dialect)?;
        if self.must_wait() {
            return Some(Flow::Later);
        }
        if self.batch_open {
            let fault = Fault::error("0A000", "EXPLAIN ROUTE cannot be a Query inside a batch")
                .hint("send Sync before it");
            return Some(self.refuse_to_explain(frame, bytes, fault));
        }
        let lines = match self.explanation(explained, &[], true) {
            Ok(lines) => lines,
            Err(fault) => return Some(self.refuse_to_explain(frame, bytes, fault)),
        };
        // As any Query.
        self.unnamed = None;
        let mut out = std::mem::take(&mut self.out);
        describe_rows(&mut out, &[]);
        lines.iter().for_each(|line| self.add_row(line, &mut out));
        emit::command_complete(&mut out, TAG);
        emit::ready(&mut out, self.tx_status());
        self.out = out;
        Some(Flow::Taken(whole.len()))
    }

    fn explain_parse(&mut self, frame: Frame, bytes: &[u8]) -> Option<Flow> {
        let whole = bytes.get(..frame.total)?;
        let (name, tail) = frame::cstr(body(whole))?;
        let (text, types) = frame::cstr(tail)?;
        let explained = sql::explain_route(text, self.dialect)?;
        if self.must_wait() || !name.is_empty() && self.is_contested(name) {
            return Some(Flow::Later);
        }
        if let Some(fault) = self.unfit_to_explain(name, explained, types) {
            return Some(self.refuse_to_explain(frame, bytes, fault));
        }
        let statement = Statement { explains: true, ..Statement::parsed(tail, Commits::Nothing) };
        let prepared = statement.prepared.clone();
        let named = Named::new(Rc::new(statement), fresh_id());
        match name {
            b"" => {
                let before = self.unnamed.replace(named);
                if self.server.is_some() {
                    self.replaced.push_back(before);
                }
                self.answer_in_turn(Expect::noted(Kind::Here, Note::None).with_unnamed(Unnamed::Goes));
            }
            name => {
                let note = Note::Naming(prepared, significant(name).into(), named.when);
                self.names.insert(significant(name).into(), named);
                self.answer_in_turn(Expect::noted(Kind::Here, note));
            }
        }
        Some(Flow::Taken(whole.len()))
    }

    /// What is wrong with it is told. The unnamed statement is gone only where it was to be replaced, or by a Query.
    fn refuse_to_explain(&mut self, frame: Frame, bytes: &[u8], fault: Fault) -> Flow {
        let replaces =
            frame.tag == front::QUERY || frame.tag == front::PARSE && bytes.get(HEADER) == Some(&0);
        let kept = self.unnamed.clone().filter(|_| !replaces);
        let flow = self.refuse_statement(frame, bytes, fault);
        if kept.is_some() {
            self.unnamed = kept;
        }
        flow
    }

    /// What is wrong with a Parse.
    fn unfit_to_explain(&self, name: &[u8], explained: &[u8], types: &[u8]) -> Option<Fault> {
        let limit = self.worker.limits().prepared_per_session;
        let count = types.first_chunk::<2>().map(|count| usize::from(u16::from_be_bytes(*count)));
        if count.is_none_or(|count| types.len() != 2 + 4 * count) {
            return Some(Fault::error("08P01", "invalid message format"));
        }
        if self.names.contains_key(significant(name)) {
            let shown = String::from_utf8_lossy(name);
            let fault = Fault::error("42P05", format!("prepared statement \"{shown}\" already exists"));
            return Some(fault.routine("StorePreparedStatement"));
        }
        if !name.is_empty() && self.names.len() >= limit {
            let text = format!("more than {limit} prepared statements (prepared_per_session)");
            return Some(Fault::error("54000", text).hint("deallocate some, or raise the limit"));
        }
        sql::summarize(explained, self.dialect).statements.is_empty().then(nothing_to_explain)
    }

    fn explain_bind(&mut self, frame: Frame, bytes: &[u8]) -> Option<Flow> {
        let there = &bytes[..frame.total.min(bytes.len())];
        let (portal, rest) = frame::cstr(body(there))?;
        let (name, values) = frame::cstr(rest)?;
        let Some(statement) = self.explaining(name) else {
            self.forget_explained(portal);
            return None;
        };
        if self.must_wait() || self.is_contested(name) {
            return Some(Flow::Later);
        }
        let limit = self.worker.limits().max_held_message;
        if frame.total > limit {
            let text =
                format!("Bind message of {} bytes is longer than max_held_message ({limit})", frame.total);
            return Some(self.refuse_to_explain(frame, bytes, Fault::error("54000", text)));
        }
        if there.len() < frame.total {
            return Some(Flow::More);
        }
        let bound = match self.bound(portal, name, values, &statement) {
            Ok(bound) => bound,
            Err(fault) => return Some(self.refuse_to_explain(frame, bytes, fault)),
        };
        self.forget_portal(portal);
        self.forget_explained(portal);
        let explains = self.explains.get_or_insert_default();
        explains.portals.push((portal.into(), Portal { statement, bound, rows: None }));
        self.answer_in_turn(Expect::noted(
            Kind::Here,
            Note::Answer([back::BIND_COMPLETE, 0, 0, 0, 4].into()),
        ));
        Some(Flow::Taken(frame.total))
    }

    fn bound(
        &self,
        portal: &[u8],
        name: &[u8],
        values: &[u8],
        statement: &Statement,
    ) -> Result<Bound, Fault> {
        let portals = self.explains.iter().flat_map(|explains| &explains.portals);
        let (shown, is_new) = (String::from_utf8_lossy(portal), !portal.is_empty());
        if is_new && portals.clone().any(|(known, _)| **known == *portal) {
            return Err(Fault::error("42P03", format!("cursor \"{shown}\" already exists")));
        }
        if is_new && portals.count() >= PORTALS {
            let fault = Fault::error("54000", format!("more than {PORTALS} portals of EXPLAIN ROUTE"));
            return Err(fault.hint("close some"));
        }
        let bound = Bound::read(values).ok_or_else(|| Fault::error("08P01", "invalid message format"))?;
        let (given, wanted) = (bound.count, self.parameter_types(statement).len());
        if given != wanted {
            let name = String::from_utf8_lossy(name);
            let text = format!(
                "bind message supplies {given} parameters, but prepared statement \"{name}\" requires {wanted}"
            );
            return Err(Fault::error("08P01", text));
        }
        let formats = bound.formats.len();
        if formats > 1 && formats != COLUMNS.len() || bound.formats.iter().any(|format| *format > 1) {
            let columns = COLUMNS.len();
            let text = format!("bind message has {formats} result formats but query has {columns} columns");
            return Err(Fault::error("08P01", text));
        }
        Ok(bound)
    }

    fn explain_describe(&mut self, whole: &[u8]) -> Option<Flow> {
        let (kind, name) = body(whole).split_first()?;
        let name = name.strip_suffix(b"\0")?;
        let mut answer = vec![];
        match kind {
            b'S' => {
                let statement = self.explaining(name)?;
                if self.must_wait() || self.is_contested(name) {
                    return Some(Flow::Later);
                }
                let types = self.parameter_types(&statement);
                emit::frame(&mut answer, back::PARAMETER_DESCRIPTION, |out| {
                    out.extend_from_slice(&(types.len() as u16).to_be_bytes());
                    types.iter().for_each(|of| out.extend_from_slice(&of.to_be_bytes()));
                });
                describe_rows(&mut answer, &[]);
            }
            _ => {
                self.portal(name)?;
                if self.must_wait() {
                    return Some(Flow::Later);
                }
                describe_rows(&mut answer, &self.portal(name)?.bound.formats);
            }
        }
        self.answer_in_turn(Expect::noted(Kind::Here, Note::Answer(answer.into())));
        Some(Flow::Taken(whole.len()))
    }

    fn explain_execute(&mut self, frame: Frame, bytes: &[u8]) -> Option<Flow> {
        let whole = bytes.get(..frame.total)?;
        let (name, limit) = frame::cstr(body(whole))?;
        let limit = i32::from_be_bytes(limit.try_into().ok()?);
        self.portal(name)?;
        if self.must_wait() {
            return Some(Flow::Later);
        }
        if self.explains.as_ref().is_some_and(|explains| explains.waiting > WAITING) {
            let text = format!("more than {} MB of EXPLAIN ROUTE in one batch", WAITING >> 20);
            let fault = Fault::error("54000", text).hint("send Sync between them");
            return Some(self.refuse_to_explain(frame, bytes, fault));
        }
        let portal = self.portal(name)?;
        let (statement, values) = (portal.statement.clone(), portal.bound.values.clone());
        let rows = match portal.rows.take() {
            Some(rows) => Ok(rows),
            None => self.explanation_of(&statement, &values).map(Vec::into_iter),
        };
        let mut rows = match rows {
            Ok(rows) => rows,
            Err(fault) => return Some(self.refuse_to_explain(frame, bytes, fault)),
        };
        let mut answer = vec![];
        let some = usize::try_from(limit).ok().filter(|limit| *limit > 0).unwrap_or(usize::MAX);
        let left = rows.len();
        rows.by_ref().take(some).for_each(|line| self.add_row(&line, &mut answer));
        // As PostgreSQL, which looks no further than it is asked to.
        match left < some {
            true => emit::command_complete(&mut answer, TAG),
            false => emit::empty(&mut answer, back::PORTAL_SUSPENDED),
        }
        self.portal(name)?.rows = Some(rows);
        self.answer_in_turn(Expect::noted(Kind::Here, Note::Answer(answer.into())));
        Some(Flow::Taken(whole.len()))
    }

    fn explanation_of(&self, statement: &Statement, values: &[String]) -> Result<Vec<Line>, Fault> {
        let (Form::Parse(tail) | Form::Sql(tail)) = &statement.prepared.form;
        let text = frame::cstr(tail).map_or(&b""[..], |(text, _)| text);
        let explained = sql::explain_route(text, self.dialect).ok_or_else(nothing_to_explain)?;
        self.explanation(explained, values, false)
    }

    fn explain_close(&mut self, whole: &[u8]) -> Option<Flow> {
        let (kind, name) = body(whole).split_first()?;
        let name = name.strip_suffix(b"\0")?;
        match kind {
            b'P' => {
                self.portal(name)?;
                self.forget_explained(name);
            }
            // Those with names are closed like all others, and what a server has is closed there.
            _ if name.is_empty() && self.server.is_none() => {
                self.explaining(name)?;
                self.unnamed = None;
            }
            _ => return None,
        }
        self.answer_in_turn(Expect::noted(
            Kind::Here,
            Note::Answer([back::CLOSE_COMPLETE, 0, 0, 0, 4].into()),
        ));
        Some(Flow::Taken(whole.len()))
    }

    /// The session's statement of this name, or its unnamed one, if that is an EXPLAIN ROUTE.
    fn explaining(&self, name: &[u8]) -> Option<Rc<Statement>> {
        let named = match name {
            b"" => self.unnamed.as_ref(),
            name => self.names.get(significant(name)),
        };
        named.map(|named| &named.statement).filter(|statement| statement.explains).cloned()
    }

    /// Types of the parameters: those that were given, and text.
    fn parameter_types(&self, statement: &Statement) -> Vec<u32> {
        let (Form::Parse(tail) | Form::Sql(tail)) = &statement.prepared.form;
        let Some((text, types)) = frame::cstr(tail) else { return vec![] };
        let given = types.get(2..).unwrap_or_default().as_chunks::<4>().0.iter();
        let mut types: Vec<_> = given.map(|of| u32::from_be_bytes(*of)).collect();
        types.iter_mut().filter(|of| **of == 0).for_each(|of| *of = TEXT);
        let explained = sql::explain_route(text, self.dialect).unwrap_or_default();
        let count = parameters(&sql::shape(explained, self.dialect));
        types.resize(types.len().max(count), TEXT);
        types
    }

    fn portal(&mut self, name: &[u8]) -> Option<&mut Portal> {
        let portals = &mut self.explains.as_mut()?.portals;
        portals.iter_mut().find(|(known, _)| **known == *name).map(|(_, portal)| portal)
    }

    fn forget_explained(&mut self, name: &[u8]) {
        if let Some(explains) = &mut self.explains {
            explains.portals.retain(|(known, _)| **known != *name);
        }
    }

    /// Whether the session's server has something to say yet that is not part of the open batch, or the client has much to take. If so, the
    /// message has to wait for that.
    fn must_wait(&mut self) -> bool {
        let waits = !self.batch_open && self.server_has_to_say() || self.out.len() >= BACKLOG;
        self.explains.get_or_insert_default().waits = waits;
        waits
    }

    /// Whether the client's next message, one of these, waits for the server or the client.
    #[inline]
    pub(super) fn waits_to_explain(&self) -> bool {
        self.explains.as_ref().is_some_and(|explains| explains.waits)
            && (!self.batch_open && self.server_has_to_say() || self.out.len() >= BACKLOG)
    }

    /// A message is looked at, so that no other waits before it.
    #[inline]
    pub(super) fn waits_no_more_to_explain(&mut self) {
        if let Some(explains) = &mut self.explains {
            explains.waits = false;
        }
    }

    fn server_has_to_say(&self) -> bool {
        let server = self.server.as_ref().filter(|server| !server.copy_in);
        server.is_some_and(|server| !server.expects.is_empty() || server.is_inside_message())
    }

    /// Gives an answer when it is its turn: at once, if no other is to come.
    fn answer_in_turn(&mut self, answer: Expect) {
        let length = if let Note::Answer(bytes) = &answer.note { bytes.len() } else { 0 };
        match &mut self.server {
            Some(server) => {
                server.expect(answer);
                self.answer_here();
            }
            None => self.give(answer.note),
        }
        let waits = self.server.as_ref().is_some_and(|server| !server.expects.is_empty());
        let waiting = &mut self.explains.get_or_insert_default().waiting;
        *waiting = if waits { *waiting + length } else { 0 };
    }

    /// What was sent of the batch is taken back: it is bound again.
    pub(super) fn forget_portals(&mut self) {
        self.explains.iter_mut().for_each(|explains| explains.portals.clear());
    }

    /// It is the turn of an answer of [`Kind::Here`].
    pub(super) fn give(&mut self, note: Note) {
        if let Note::Answer(answer) = note {
            return self.out.extend_from_slice(&answer);
        }
        emit::empty(&mut self.out, back::PARSE_COMPLETE);
    }

    /// A row, in the session's encoding as far as that is known here.
    fn add_row(&self, line: &Line, out: &mut Vec<u8>) {
        let is_utf8 = *self.reading.encoding == *b"utf8";
        let columns = [Some(line.item), Some(line.value.as_str()), line.reason];
        emit::frame(out, back::DATA_ROW, |out| {
            out.extend_from_slice(&(columns.len() as u16).to_be_bytes());
            for column in columns {
                let Some(text) = column else {
                    out.extend_from_slice(&(-1_i32).to_be_bytes());
                    continue;
                };
                let text: Vec<u8> = match is_utf8 || text.is_ascii() {
                    true => text.as_bytes().to_vec(),
                    false => text.chars().map(|c| if c.is_ascii() { c as u8 } else { b'?' }).collect(),
                };
                out.extend_from_slice(&(text.len() as u32).to_be_bytes());
                out.extend_from_slice(&text);
            }
        });
    }
}

/// There is no statement behind EXPLAIN ROUTE.
pub fn nothing_to_explain() -> Fault {
    Fault::error("42601", "EXPLAIN ROUTE needs a statement").hint("write the statement behind it")
}

/// RowDescription; `formats` as in a Bind.
fn describe_rows(out: &mut Vec<u8>, formats: &[u16]) {
    emit::frame(out, back::ROW_DESCRIPTION, |out| {
        out.extend_from_slice(&(COLUMNS.len() as u16).to_be_bytes());
        for (at, name) in COLUMNS.iter().enumerate() {
            let format = formats.get(if formats.len() == 1 { 0 } else { at }).copied().unwrap_or(0);
            emit::cstr(out, name.as_bytes());
            out.extend_from_slice(&[0; 6]);
            out.extend_from_slice(&TEXT.to_be_bytes());
            out.extend_from_slice(&(-1_i16).to_be_bytes());
            out.extend_from_slice(&(-1_i32).to_be_bytes());
            out.extend_from_slice(&format.to_be_bytes());
        }
    });
}
