//! Statements in other words: rules rewrite them, or put hints for `pg_hint_plan` before them.
//!
//! A statement that is prepared has the words that rules find for it then, so that its description is that of what will run. Each Bind
//! decides again: where rules, or what they ask of the session, have changed since, the name stands for other words from then on, unless their
//! parameters or rows are others than the client was told, which is PostgreSQL's error for that (0A000).

use std::rc::Rc;

use super::extended::{is_text_and_types, target};
use super::reading::{PERSONAL, depends_on_reading};
use super::relay::Verdict;
use super::rename::{as_sent_by_client, characters, message_of};
use super::serve::Session;
use super::statement::{Named, Statement, fresh_id, significant};
use super::upstream::{Flow, body};
use crate::pool::Server;
use crate::pool::exchange::{Kind, Note, Renamed, Unnamed};
use crate::pool::prepared::Form;
use crate::pool::terms::{Terms, Wording};
use crate::rules::{Decided, Decision, Hint, Rewrite};
use crate::sql::{self, Dialect, Verb, shape};
use crate::wire::emit;
use crate::wire::frame::{self, Frame, HEADER, back, front};

/// A text in other words.
pub(super) struct Reworded {
    /// The words.
    pub(super) text: Vec<u8>,
    /// So many bytes of them are hints.
    pub(super) hint: usize,
    /// How they differ.
    pub(super) wording: Rc<Wording>,
    by: By,
}

/// What has put a text in other words: where all of it is the same, the words are.
#[derive(Debug, Clone, PartialEq, Eq)]
struct By {
    /// The set of rules.
    stamp: u64,
    /// How the text was read.
    dialect: Dialect,
    rewrite: Option<Box<str>>,
    hint: Option<Box<str>>,
}

/// The words for which a session's statement stands, if they are not the client's.
#[derive(Debug)]
pub struct Worded {
    /// The statement in the client's words, which those of other sessions share.
    client: Rc<Statement>,
    wording: Rc<Wording>,
    by: By,
}

impl Named {
    /// What the client has prepared, whatever it stands for.
    pub(super) fn in_clients_words(&self) -> &Rc<Statement> {
        self.worded.as_ref().map_or(&self.statement, |worded| &worded.client)
    }

    /// The Parse message behind its name, as the client sent it.
    pub(super) fn as_parsed(&self) -> Option<&[u8]> {
        let statement = self.in_clients_words();
        match (&statement.original, &statement.prepared.form) {
            (Some((tail, _)), _) | (None, Form::Parse(tail)) => Some(tail),
            (None, Form::Sql(_)) => None,
        }
    }
}

impl Session {
    /// The text in the words of the rules that were decided on; `None`: it stays as it is.
    pub(super) fn reword(&self, decision: &Decision<'_>, text: &[u8]) -> Option<Reworded> {
        let (rewrite, hint) = (decision.rewrite(), decision.hint());
        if rewrite.is_none() && hint.is_none() || self.is_reading_uncertain() && depends_on_reading(text) {
            return None;
        }
        let summary = sql::summarize(text, self.dialect);
        let [one] = summary.statements.as_slice() else { return None };
        if summary.effects.intersects(PERSONAL) {
            return None;
        }
        let others = rewrite.and_then(|rewrite| self.rewritten(&rewrite, &text[one.range.clone()]));
        let hint = hint.filter(|hint| takes_hints(one.verb) && self.may_say(hint)).map(comment);
        let by = By {
            stamp: self.worker.rules.stamp(),
            dialect: self.dialect,
            rewrite: others.as_ref().map(|(_, rule)| (*rule).into()),
            hint: hint.as_ref().map(|(_, rule)| (*rule).into()),
        };
        let comment = hint.map_or(String::new(), |(comment, _)| comment);
        let (words, wording) = match &others {
            Some((words, rule)) => (&words[..], Wording::Others((*rule).into())),
            None if comment.is_empty() => return None,
            None => (text, Wording::Behind(characters(comment.as_bytes()))),
        };
        let text = [comment.as_bytes(), words].concat();
        Some(Reworded { text, hint: comment.len(), wording: Rc::new(wording), by })
    }

    fn rewritten<'a>(&self, rewrite: &Decided<'a, Rewrite>, text: &[u8]) -> Option<(Vec<u8>, &'a str)> {
        let rule = rewrite.rule.name();
        if !self.is_spelled(rewrite.action.template()) {
            tracing::debug!(rule, "not rewritten: the new text cannot be said in client_encoding");
            return None;
        }
        match rewrite.action.apply(text, &shape(text, self.dialect)) {
            Ok(words) => Some((words, rule)),
            Err(why) => {
                tracing::debug!(rule, %why, "not rewritten");
                None
            }
        }
    }

    fn may_say(&self, hint: &Decided<'_, Hint>) -> bool {
        self.is_spelled(&hint.action.comment())
    }

    /// Whether the server reads this as it is written in a rule.
    fn is_spelled(&self, text: &str) -> bool {
        text.is_ascii() || *self.reading.encoding == *b"utf8"
    }

    /// Takes a Parse in the words that rules find for it; nothing is counted, since nothing is run.
    pub(super) fn parse_reworded(&mut self, frame: Frame, bytes: &[u8]) -> Flow {
        let parsed = bytes.get(..frame.total).filter(|_| self.worker.rules.reword());
        let parsed = parsed.and_then(|whole| frame::cstr(body(whole)));
        let Some((name, tail)) = parsed.filter(|(_, tail)| is_text_and_types(tail)) else {
            return self.message(frame, bytes);
        };
        let Some((text, types)) = frame::cstr(tail) else { return self.message(frame, bytes) };
        let Some(reworded) = self.would_reword(text) else { return self.message(frame, bytes) };
        let mut message = vec![];
        emit::parse(&mut message, name, &with_text(&reworded.text, types));
        let taken = !name.is_empty() && self.names.contains_key(significant(name));
        let before = self.exchanges();
        let flow = self.message(Frame { tag: front::PARSE, total: message.len() }, &message);
        let Flow::Taken(_) = flow else { return flow };
        let terms = Terms { wording: Some(reworded.wording.clone()), ..Terms::default() };
        self.mark(before, &Rc::new(terms));
        let client = self.intern(tail);
        if !taken && let Some(named) = self.named_mut(name) {
            named.worded = Some(Rc::new(Worded::new(client, &reworded)));
            self.carried.rewords = true;
        }
        Flow::Taken(frame.total)
    }

    /// The words that rules would find for a text now.
    fn would_reword(&mut self, text: &[u8]) -> Option<Reworded> {
        let profile = self.profiles.of(text, self.dialect);
        let rules = &self.worker.rules;
        let given = (rules.stamp(), || rules.get());
        let candidates = self.profiles.candidates(&profile, (text, self.dialect), given);
        if candidates.is_empty() {
            return None;
        }
        self.reword(&candidates.would_decide(&self.context(text)), text)
    }

    /// Describes a statement, in the words in which it was prepared.
    pub(super) fn describe_reworded(&mut self, frame: Frame, bytes: &[u8]) -> Flow {
        let whole = bytes.get(..frame.total);
        let wording = match whole.and_then(target) {
            Some((b'S', name)) => self.wording_of(name),
            _ => None,
        };
        let before = self.exchanges();
        let flow = self.message(frame, bytes);
        if wording.is_some() {
            self.mark(before, &Rc::new(Terms { wording, ..Terms::default() }));
        }
        flow
    }

    /// How the words of the session's statement of this name differ from the client's.
    pub(super) fn wording_of(&self, name: &[u8]) -> Option<Rc<Wording>> {
        if !self.carried.rewords {
            return None;
        }
        self.named_now(name)?.worded.as_ref().map(|worded| worded.wording.clone())
    }

    pub(super) fn named_now(&self, name: &[u8]) -> Option<&Named> {
        if name.is_empty() { self.unnamed.as_ref() } else { self.names.get(significant(name)) }
    }

    fn named_mut(&mut self, name: &[u8]) -> Option<&mut Named> {
        if name.is_empty() { self.unnamed.as_mut() } else { self.names.get_mut(significant(name)) }
    }

    /// The session's statement of this name stands for these words from now on, or for the client's. False: that must wait.
    pub(super) fn reword_named(&mut self, name: &[u8], reworded: Option<&Reworded>) -> bool {
        if self.is_contested(name) {
            return false;
        }
        let Some(named) = self.named_now(name).cloned() else { return true };
        let now = named.worded.as_ref().map(|worded| &worded.by);
        // One of this very batch has the words that were found for it a moment ago.
        if now == reworded.map(|reworded| &reworded.by) || self.is_being_parsed(name) {
            return true;
        }
        let Some(client) = named.as_parsed() else { return true };
        let types = frame::cstr(client).map_or(&b""[..], |(_, types)| types);
        let tail = reworded.map_or_else(|| client.to_vec(), |reworded| with_text(&reworded.text, types));
        let client = self.intern(client);
        let statement = match &named.statement.prepared.form {
            Form::Parse(as_it_is) if **as_it_is == *tail => named.statement.clone(),
            _ => self.intern(&tail),
        };
        let worded = reworded.map(|reworded| Rc::new(Worded::new(client, reworded)));
        let same = Rc::ptr_eq(&statement, &named.statement);
        // The server's unnamed statement is known by that tick.
        let when = if name.is_empty() && !same { fresh_id() } else { named.when };
        let told = named.told.clone();
        if let Some(there) = self.named_mut(name) {
            *there = Named { statement, when, told, worded };
        }
        self.carried.rewords = true;
        true
    }

    /// Whether the Parse of that name is not answered yet.
    fn is_being_parsed(&self, name: &[u8]) -> bool {
        let name = significant(name);
        let parses = |server: &Server| {
            server.expects.iter().any(|expect| match &expect.note {
                Note::Naming(_, named, _) => **named == *name,
                _ => name.is_empty() && expect.kind == Kind::Parse && expect.unnamed != Unnamed::Stays,
            })
        };
        self.server.as_deref().is_some_and(parses)
    }

    /// An error of the server's, as it is for the client's own words.
    pub(super) fn in_words_of_client(&self, wording: &Wording, whole: &[u8], verdict: Verdict) -> Verdict {
        let error = match &verdict {
            Verdict::Forward => whole,
            Verdict::Replace(other) => other,
            Verdict::Swallow | Verdict::Again => return verdict,
        };
        match as_of_client(error, wording) {
            Some(own) => Verdict::Replace(own),
            None => verdict,
        }
    }
}

impl Worded {
    fn new(client: Rc<Statement>, reworded: &Reworded) -> Worded {
        Worded { client, wording: reworded.wording.clone(), by: reworded.by.clone() }
    }
}

fn comment<'a>(hint: Decided<'a, Hint>) -> (String, &'a str) {
    (hint.action.comment() + " ", hint.rule.name())
}

/// Whether `pg_hint_plan` looks for hints before such a statement.
fn takes_hints(verb: Verb) -> bool {
    use Verb::{Delete, Explain, Insert, Merge, Select, Table, Update, Values, With};
    matches!(verb, Select | Values | Table | With | Insert | Update | Delete | Merge | Explain)
}

fn with_text(text: &[u8], types: &[u8]) -> Vec<u8> {
    [text, b"\0", types].concat()
}

/// `None` when it is the same. Behind other words no place is told, and the rule is named.
fn as_of_client(error: &[u8], wording: &Wording) -> Option<Box<[u8]>> {
    let rule = match wording {
        Wording::Behind(characters) => {
            let moved = vec![(0, *characters as isize)];
            return as_sent_by_client(error, &Renamed { moved, ..Renamed::default() });
        }
        Wording::Others(rule) => rule,
    };
    let told = frame::fields(error.get(HEADER..)?).filter(|(code, _)| *code != b'P');
    let mut fields: Vec<(u8, Vec<u8>)> = told.map(|(code, value)| (code, value.to_vec())).collect();
    let note = format!("The statement was rewritten by rule \"{rule}\".");
    match fields.iter_mut().find(|(code, _)| *code == b'H') {
        Some((_, hint)) => hint.extend_from_slice(&[b" ", note.as_bytes()].concat()),
        None => fields.push((b'H', note.into_bytes())),
    }
    Some(message_of(back::ERROR_RESPONSE, &fields))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Fault;

    fn fields(error: &[u8]) -> String {
        let fields = frame::fields(&error[HEADER..]);
        fields.map(|(code, value)| format!("{}={} ", code as char, String::from_utf8_lossy(value))).collect()
    }

    fn error(position: &str, hint: Option<&str>) -> Vec<u8> {
        let hint = hint.map(|hint| (b'H', hint.as_bytes().to_vec()));
        let fields = [(b'C', b"42703".to_vec()), (b'P', position.as_bytes().to_vec())];
        message_of(back::ERROR_RESPONSE, &fields.into_iter().chain(hint).collect::<Vec<_>>()).into()
    }

    #[test]
    fn places_in_errors_are_the_clients_or_none() {
        let behind = as_of_client(&error("30", None), &Wording::Behind(20)).expect("it moved");
        assert_eq!(fields(&behind), "C=42703 P=10 ");
        let plain = Fault::error("22012", "division by zero").frame();
        assert_eq!(as_of_client(&plain, &Wording::Behind(20)), None, "it names no place");
        let others = Wording::Others("r".into());
        let told = as_of_client(&error("30", None), &others).expect("the rule is named");
        assert_eq!(fields(&told), "C=42703 H=The statement was rewritten by rule \"r\". ");
        let told = as_of_client(&error("30", Some("Look.")), &others).expect("the rule is named");
        assert_eq!(fields(&told), "C=42703 H=Look. The statement was rewritten by rule \"r\". ");
    }
}
