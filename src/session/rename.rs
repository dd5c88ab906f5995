//! Names of statements that are others on the server: texts are sent with those, and what the server says of them is told in the
//! client's words.
//!
//! Of the fields of a message, all that are for people may mention a name. Errors do that under few SQLSTATEs only; under others what looks like
//! a name of ours is the client's own. What the server tells by notices (`client_min_messages = debug2`) may always.

use std::ops::Range;

use super::relay::Verdict;
use super::serve::Session;
use super::statement::{Action, Named, significant};
use crate::pool::exchange::{Note, Of, Renamed, Renaming};
use crate::pool::prepared::{NAME_PREFIX, Prepared, server_name};
use crate::wire::emit;
use crate::wire::frame::{self, HEADER, back};

/// SQLSTATEs of errors that name a statement: it does not exist, it exists, it takes another number of parameters (Bind; EXECUTE).
const NAMING: [&[u8]; 4] = [b"26000", b"42P05", b"08P01", b"42601"];

/// Fields for people: message, detail, hint, context.
const FOR_PEOPLE: &[u8] = b"MDHW";

/// What becomes of the name in a statement.
pub(super) struct Translated {
    /// Where it stands in the text, and what it is there; nothing is to be changed without it.
    pub(super) place: Option<(Range<usize>, Box<[u8]>)>,
    /// The name on the server, without quotes.
    pub(super) name: String,
    pub(super) action: Option<Action>,
}

impl Translated {
    /// One that changes nothing in the text.
    pub(super) fn unnamed(action: Action) -> Translated {
        Translated { place: None, name: String::new(), action: Some(action) }
    }
}

/// A text that is copied with other names in it.
pub(super) struct Rewriting<'a> {
    text: &'a [u8],
    copied: usize,
    out: Vec<u8>,
    /// How many characters of UTF-8 that are.
    characters: usize,
    renamed: Renamed,
}

impl<'a> Rewriting<'a> {
    pub(super) fn of(text: &'a [u8]) -> Rewriting<'a> {
        Rewriting { text, copied: 0, out: vec![], characters: 0, renamed: Renamed::default() }
    }

    /// Puts another name into the statement of that number.
    pub(super) fn replace(&mut self, statement: usize, by: &Translated) {
        let Some((range, client)) = &by.place else { return };
        let between = &self.text[self.copied..range.start];
        let quoted = format!("\"{}\"", by.name);
        self.out.extend_from_slice(between);
        self.out.extend_from_slice(quoted.as_bytes());
        self.copied = range.end;
        self.characters += characters(between) + quoted.len();
        let longer = quoted.len() as isize - characters(&self.text[range.clone()]) as isize;
        self.renamed.moved.push((self.characters, longer));
        let client = significant(client).into();
        self.renamed.names.push(Renaming { statement, server: by.name.clone(), client });
    }

    pub(super) fn finish(mut self) -> (Vec<u8>, Renamed) {
        self.out.extend_from_slice(&self.text[self.copied..]);
        (self.out, self.renamed)
    }
}

/// The end of a SHOW that the server has had as a SELECT.
pub(super) fn end_of_show() -> Box<[u8]> {
    let mut out = vec![];
    emit::command_complete(&mut out, "SHOW");
    out.into()
}

/// How many characters UTF-8 has there.
pub(super) fn characters(text: &[u8]) -> usize {
    text.iter().filter(|byte| (**byte as i8) >= -64).count()
}

/// What it means that a message uses a statement under the server's name for it, which the client calls `client`.
pub(super) fn renaming(prepared: &Prepared, client: &[u8]) -> Renamed {
    let name = Renaming { statement: 0, server: server_name(prepared.id), client: client.into() };
    let moved = if prepared.moved == 0 { vec![] } else { vec![(0, prepared.moved)] };
    Renamed { names: vec![name], moved, ..Renamed::default() }
}

/// A message for people, in fields, as it is for the client's own text: its position, which counts characters from 1, and names in it.
/// `None` when it is the same.
pub(super) fn as_sent_by_client(message: &[u8], renamed: &Renamed) -> Option<Box<[u8]>> {
    let mut fields: Vec<(u8, Vec<u8>)> =
        frame::fields(message.get(HEADER..)?).map(|(code, value)| (code, value.to_vec())).collect();
    let before = fields.clone();
    let sqlstate = |(code, value): &(u8, Vec<u8>)| *code == b'C' && NAMING.contains(&value.as_slice());
    let names = message.first() == Some(&back::NOTICE_RESPONSE) || fields.iter().any(sqlstate);
    for (code, value) in &mut fields {
        if *code == b'P' {
            let found: usize = std::str::from_utf8(value).ok()?.parse().ok()?;
            let moved = renamed.moved.iter().filter(|(from, _)| found > *from).map(|(_, by)| *by);
            *value = found.checked_add_signed(-moved.sum::<isize>())?.to_string().into_bytes();
        } else if names && FOR_PEOPLE.contains(code) {
            let of_statement = renamed.names.iter().filter(|name| name.statement == renamed.ended);
            of_statement.for_each(|name| call_by(value, name.server.as_bytes(), &name.client));
        }
    }
    (fields != before).then(|| message_of(message[0], &fields))
}

/// Puts the client's name where the server's stands, whatever quotes there are around it: they are other ones in other languages.
fn call_by(value: &mut Vec<u8>, server: &[u8], client: &[u8]) {
    let mut from = 0;
    while let Some(found) = memchr::memmem::find(&value[from..], server) {
        let (start, end) = (from + found, from + found + server.len());
        from = end;
        if !value.get(end).is_some_and(u8::is_ascii_digit) {
            value.splice(start..end, client.iter().copied());
            from = start + client.len();
        }
    }
}

/// What a client is told in the place of an error that only says that a statement is not on the server: why it is not.
pub(super) fn instead(error: &[u8], why: Option<(Box<[u8]>, isize)>) -> Option<Box<[u8]>> {
    let (why, moved) = why?;
    let follows = |(code, value): (u8, &[u8])| code == b'C' && matches!(value, b"26000" | b"25P02");
    frame::fields(error.get(HEADER..)?).any(follows).then_some(())?;
    let renamed = Renamed { moved: vec![(0, moved)], ..Renamed::default() };
    as_sent_by_client(&why, &renamed).or(Some(why))
}

pub(super) fn message_of(tag: u8, fields: &[(u8, Vec<u8>)]) -> Box<[u8]> {
    let mut out = vec![];
    emit::frame(&mut out, tag, |out| {
        for (code, value) in fields {
            out.push(*code);
            emit::cstr(out, value);
        }
        out.push(0);
    });
    out.into()
}

impl Session {
    /// A statement of a text has ended in which there are names of statements.
    pub(super) fn statement_ended(&mut self, whole: &[u8]) {
        let front = self.server.as_mut().and_then(|server| server.expects.front_mut());
        let Some(Note::Renamed(renamed) | Note::Part(_, renamed)) = front.map(|front| &mut front.note) else {
            return;
        };
        renamed.ended += 1;
        let tag = frame::cstr(&whole[HEADER..]).map_or(&b""[..], |(tag, _)| tag);
        if !matches!(tag, b"PREPARE" | b"DEALLOCATE" | b"DEALLOCATE ALL") {
            return;
        }
        renamed.steps.pop_front().into_iter().for_each(|step| self.confirm(step));
    }

    /// What the answer to a message with this note says in other words than the client's.
    pub(super) fn words_of(&self, note: &Note) -> Option<Renamed> {
        match note {
            Note::Using(when) => {
                let (name, named) = self.all_names().find(|(_, named)| named.when == *when)?;
                Some(renaming(&named.statement.prepared, name))
            }
            Note::Naming(prepared, name, when) => {
                let mut words = renaming(prepared, name);
                let named = self.all_names().find(|(_, named)| named.when == *when);
                named.iter().for_each(|(_, named)| words.moved.clone_from(&named.statement.renamed.moved));
                Some(words)
            }
            Note::Describing(described) => Some(match &described.of {
                Of::Client(name, _) => renaming(&described.prepared, name),
                Of::Ours => self.words_of_ours(&described.prepared),
            }),
            Note::Preparing(prepared) => Some(self.words_of_ours(prepared)),
            Note::Renamed(renamed) => Some(Renamed::clone(renamed)),
            _ => None,
        }
    }

    /// The same where pgweir put something in that the client did not send.
    fn words_of_ours(&self, prepared: &Prepared) -> Renamed {
        let named = self.all_names().find(|(_, named)| named.statement.prepared.id == prepared.id);
        let mut words = renaming(prepared, named.map_or(b"", |(name, _)| name));
        if named.is_none() {
            words.names.clear();
        }
        words
    }

    /// The client's names, also those that messages under way take away.
    fn all_names(&self) -> impl Iterator<Item = (&[u8], &Named)> {
        let closed = self.closed.iter().map(|(name, named)| (&**name, named));
        let dropped = self.dropped.iter().flat_map(|dropped| &dropped.names);
        let names = self.names.iter().chain(dropped).map(|(name, named)| (&**name, named));
        names.chain(closed)
    }

    /// A message for people in the client's words, if the note says which.
    pub(super) fn in_client_words(&self, whole: &[u8], words: Option<Renamed>) -> Verdict {
        words.and_then(|words| as_sent_by_client(whole, &words)).map_or(Verdict::Forward, Verdict::Replace)
    }

    /// A notice or warning: few say anything of a statement.
    pub(super) fn notice(&self, whole: &[u8]) -> Verdict {
        if memchr::memmem::find(whole, NAME_PREFIX.as_bytes()).is_none() {
            return Verdict::Forward;
        }
        let front = self.server.as_ref().and_then(|server| server.expects.front());
        self.in_client_words(whole, front.and_then(|front| self.words_of(&front.note)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(sqlstate: &str, message: &str) -> Box<[u8]> {
        let field = |code: u8, text: &str| (code, text.as_bytes().to_vec());
        message_of(back::ERROR_RESPONSE, &[field(b'C', sqlstate), field(b'M', message)])
    }

    #[track_caller]
    fn check(sqlstate: &str, message: &str, expected: &str) {
        let name = |statement: usize, id: u64, client: &str| Renaming {
            statement,
            server: server_name(id),
            client: client.as_bytes().into(),
        };
        let names = vec![name(0, 1, "first"), name(1, 1, "second"), name(1, 12, "third"), name(2, 1, "last")];
        let renamed = Renamed { names, ended: 1, ..Renamed::default() };
        let before = error(sqlstate, message);
        let after = as_sent_by_client(&before, &renamed).unwrap_or(before);
        assert_eq!(after, error(sqlstate, expected), "{message}");
    }

    #[test]
    fn names_are_those_of_the_statement_that_failed() {
        check("26000", "statement \"_pgweir_1\" does not exist", "statement \"second\" does not exist");
        check(
            "42P05",
            "l'instruction \u{ab} _pgweir_12 \u{bb} existe",
            "l'instruction \u{ab} third \u{bb} existe",
        );
        check("08P01", "_pgweir_1 and _pgweir_12 and _pgweir_123", "second and third and _pgweir_123");
        check("42P01", "relation \"_pgweir_1\" does not exist", "relation \"_pgweir_1\" does not exist");
    }
}
