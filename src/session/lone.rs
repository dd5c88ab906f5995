//! Batches of extended messages that do nothing but run one statement: what may go to a replica, and be sent again.

use std::rc::Rc;

use super::serve::Session;
use super::statement::{Statement, significant};
use crate::plan::{Profile, Profiles};
use crate::sql::{Dialect, Literal};
use crate::wire::frame::{self, Frame, front};

/// The one statement of a batch.
#[derive(Debug)]
pub enum Lone<'a> {
    /// It is prepared in the batch.
    Sent(&'a [u8]),
    /// It was prepared before.
    Prepared(Rc<Statement>),
}

impl Lone<'_> {
    /// Its text.
    pub fn text(&self) -> &[u8] {
        match self {
            Lone::Sent(text) => text,
            Lone::Prepared(statement) => statement.text_on_server().unwrap_or_default(),
        }
    }

    /// Its shape.
    pub fn profile(&self, profiles: &Rc<Profiles>, dialect: Dialect) -> Rc<Profile> {
        match self {
            Lone::Sent(text) => profiles.of(text, dialect),
            Lone::Prepared(statement) => statement.profile(profiles, dialect),
        }
    }

    /// Its shape, and what stands for values in a text that is sent now; the statements know those of others.
    pub fn with_literals(
        &self,
        profiles: &Rc<Profiles>,
        dialect: Dialect,
    ) -> (Rc<Profile>, Option<Vec<Literal>>) {
        match self {
            Lone::Sent(text) => {
                let (profile, literals) = profiles.with_literals(text, dialect);
                (profile, Some(literals))
            }
            Lone::Prepared(statement) => (statement.profile(profiles, dialect), None),
        }
    }
}

impl Session {
    /// The length of a batch that runs one statement in the unnamed portal, and the statement. In a transaction it runs it to the end: a
    /// portal that stays open is tied to its server.
    pub(super) fn lone_read<'a>(&self, bytes: &'a [u8]) -> Option<(usize, Lone<'a>)> {
        let (mut at, mut text, mut parsed, mut bound, mut run) = (0, None, &b""[..], false, false);
        let to_the_end = self.held_begin.is_some() || self.may_read_there();
        loop {
            let rest = bytes.get(at..)?;
            let frame = Frame::peek(rest).ok()??;
            let body = rest.get(frame::HEADER..frame.total)?;
            let (name, behind) = frame::cstr(body).unwrap_or_default();
            at += frame.total;
            match frame.tag {
                // The server says what is wrong with a name that is taken.
                front::PARSE if text.is_none() && !bound && self.may_be_named(name) => {
                    (text, parsed) = (Some(Lone::Sent(frame::cstr(behind)?.0)), name);
                }
                front::BIND if !bound && name.is_empty() => {
                    let statement = frame::cstr(behind)?.0;
                    text = match text {
                        Some(text) if statement == parsed => Some(text),
                        None => Some(Lone::Prepared(self.plain_prepared(statement)?)),
                        Some(_) => return None,
                    };
                    bound = true;
                }
                front::DESCRIBE => {}
                front::EXECUTE if bound && !run && name.is_empty() => {
                    run = true;
                    if to_the_end && behind != [0; 4] {
                        return None;
                    }
                }
                front::SYNC if run => return Some((at, text?)),
                _ => return None,
            }
        }
    }

    /// A statement of the session's that is on servers as the client has prepared it.
    pub(super) fn plain_prepared(&self, name: &[u8]) -> Option<Rc<Statement>> {
        let named = if name.is_empty() { self.unnamed.as_ref() } else { self.names.get(significant(name)) }?;
        named.statement.is_plain().then(|| named.in_clients_words().clone())
    }
}
