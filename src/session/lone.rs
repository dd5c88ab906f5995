//! Batches of extended messages that do nothing but run one statement: what may go to a replica, and be sent again.

use super::serve::Session;
use super::statement::significant;
use crate::pool::prepared::Form;
use crate::wire::frame::{self, Frame, front};

impl Session {
    /// The length of a batch that runs one statement in the unnamed portal, and the statement's text. In a transaction it runs it to the end: a
    /// portal that stays open is tied to its server.
    pub(super) fn lone_read(&self, bytes: &[u8]) -> Option<(usize, Vec<u8>)> {
        let (mut at, mut text, mut bound, mut run) = (0, None, false, false);
        let to_the_end = self.held_begin.is_some() || self.may_read_there();
        loop {
            let rest = bytes.get(at..)?;
            let frame = Frame::peek(rest).ok()??;
            let body = rest.get(frame::HEADER..frame.total)?;
            let (name, behind) = frame::cstr(body).unwrap_or_default();
            at += frame.total;
            match frame.tag {
                // A name would be taken when the batch is sent again.
                front::PARSE if text.is_none() && !bound && name.is_empty() => {
                    text = Some(frame::cstr(behind)?.0.to_vec())
                }
                front::BIND if !bound && name.is_empty() => {
                    let statement = frame::cstr(behind)?.0;
                    text = match text {
                        Some(text) if statement.is_empty() => Some(text),
                        None => Some(self.text_of(statement)?),
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

    fn text_of(&self, statement: &[u8]) -> Option<Vec<u8>> {
        let named = match statement {
            [] => self.unnamed.as_ref()?,
            name => self.names.get(significant(name))?,
        };
        match &named.statement.prepared.form {
            Form::Parse(tail) if named.statement.effects.is_empty() => Some(frame::cstr(tail)?.0.to_vec()),
            _ => None,
        }
    }
}
