//! Texts become statements: one object for equal texts that mean the same, whosesoever they are.

use std::rc::Rc;

use super::outcome;
use super::reading::{PERSONAL, depends_on_reading};
use super::serve::Session;
use super::statement::{Action, Named, Statement, fresh_id, significant};
use super::{token, wished};
use crate::pool::exchange::Commits;
use crate::pool::prepared::{Form, Prepared};
use crate::pool::reading::Reading;
use crate::sql::{self, Detail, Effects, Summary, Verb};
use crate::wire::{Fault, frame};

/// Settings that decide what names and operators in a text mean.
const OF_NAMES: &[&[u8]] = &[b"search_path", b"role", b"session_authorization", b"transform_null_equals"];
/// Settings that decide what constant PostgreSQL makes of a string when it parses a text.
const OF_STRINGS: &[&[u8]] = &[
    b"timezone",
    b"datestyle",
    b"intervalstyle",
    b"array_nulls",
    b"default_text_search_config",
    b"lc_monetary",
    b"lc_numeric",
    b"timezone_abbreviations",
    b"xmloption",
    b"backslash_quote",
];

/// Whether there may be a string in a text.
fn has_strings(text: &[u8]) -> bool {
    let opens = |at: usize| text.get(at + 1).is_some_and(|next| !next.is_ascii_digit());
    memchr::memchr(b'\'', text).is_some() || memchr::memchr_iter(b'$', text).any(opens)
}

impl Session {
    /// The one object for this text, with names of prepared statements in it replaced by the server's.
    pub(super) fn intern(&mut self, tail: &[u8]) -> Rc<Statement> {
        let (text, types) = frame::cstr(tail).unwrap_or((tail, b""));
        if self.is_reading_uncertain() && depends_on_reading(text) {
            return self.unshared(text, tail);
        }
        if self.means_unknown && has_strings(text) {
            let summary = sql::summarize(text, self.dialect);
            if !summary.effects.intersects(PERSONAL) {
                return self.of_its_own(text, tail, &summary);
            }
        }
        let key = self.statement_key(text, tail);
        let key = key.as_deref().unwrap_or(tail);
        if let Some(statement) = self.worker.statements().get(key) {
            return statement;
        }
        let summary = sql::summarize(text, self.dialect);
        // Which text that becomes may be another for each session, and who sends that text gets another tag.
        if let [one] = summary.statements.as_slice()
            && let Some(shown) = self.shown(&one.detail)
        {
            return Rc::new(Statement::showing(&shown, types));
        }
        let action = Action::of(&summary);
        let commits = outcome::commits(text, &summary);
        let reading = depends_on_reading(text).then(|| self.reading.clone());
        if !summary.effects.intersects(PERSONAL) || action.is_some() {
            let meaning = has_strings(text).then(|| self.meaning.clone());
            let statement = Statement {
                effects: summary.effects,
                action,
                reading,
                meaning,
                path: Some(self.path.clone()),
                planned: is_planned(&summary),
                token: token::set_by(&summary),
                wrong_level: wished::set_wrongly(&summary).map(Box::new),
                ..Statement::parsed(tail, commits)
            };
            return self.worker.statements().insert(key, Rc::new(statement));
        }
        let uses = match summary.statements.as_slice() {
            [one] => match &one.detail {
                Detail::Execute { name, .. } => {
                    self.names.get(significant(name)).map(|named| named.statement.clone())
                }
                _ => None,
            },
            _ => None,
        };
        let original = self.mention(&summary).map(|mention| (tail.into(), mention));
        if let Some(fault) = self.refused_names(&summary) {
            return Rc::new(Statement { original, ..failing(&fault) });
        }
        let (mut rewritten, renamed, action) = self.rewrite_alone(text, &summary);
        rewritten.push(0);
        rewritten.extend_from_slice(types);
        let statement = Statement::parsed(&rewritten, commits);
        Rc::new(Statement { effects: summary.effects, action, renamed, original, uses, reading, ..statement })
    }

    /// A statement whose strings are read under settings that nobody knows: nobody else gets it.
    fn of_its_own(&self, text: &[u8], tail: &[u8], summary: &Summary) -> Rc<Statement> {
        let commits = outcome::commits(text, summary);
        let reading = depends_on_reading(text).then(|| self.reading.clone());
        let (effects, action, planned) = (summary.effects, Action::of(summary), is_planned(summary));
        Rc::new(Statement { effects, action, reading, planned, ..Statement::parsed(tail, commits) })
    }

    /// A statement of which it is not known how the server reads it: it may do anything, and nobody else gets it.
    fn unshared(&mut self, text: &[u8], tail: &[u8]) -> Rc<Statement> {
        let summary = sql::summarize(text, self.dialect);
        let effects = summary.effects.without(PERSONAL) | Effects::OPAQUE;
        let commits = outcome::commits(text, &summary);
        let unknown = Reading { encoding: b"?"[..].into(), ..Reading::default() };
        let reading = Some(Rc::new(unknown));
        Rc::new(Statement { effects, reading, ..Statement::parsed(tail, commits) })
    }

    /// The same text may mean other tables under another search path or role, its strings other constants under other settings; the
    /// same bytes may be another text. These are other statements then.
    fn statement_key(&self, text: &[u8], tail: &[u8]) -> Option<Vec<u8>> {
        let settings = self.state.settings();
        let read_otherwise = !self.reading.is_ordinary() && depends_on_reading(text);
        if settings.is_empty() && !read_otherwise {
            return None;
        }
        let mut key = tail.to_vec();
        if read_otherwise {
            key.extend_from_slice(&[0xfe, u8::from(self.reading.std_strings)]);
            key.extend_from_slice(&self.reading.encoding);
        }
        for name in OF_NAMES {
            if let Some(value) = settings.get(*name) {
                key.extend_from_slice(&[&[0xff], *name, b"=", value].concat());
            }
        }
        if has_strings(text) && !self.meaning.is_empty() {
            key.push(0xfd);
            key.extend_from_slice(&self.meaning);
        }
        Some(key)
    }

    /// The settings changed: what decides the meaning of names and strings.
    pub(super) fn mean_by_settings(&mut self) {
        let settings = self.state.settings();
        if settings.is_empty() && self.meaning.is_empty() && self.path.is_empty() {
            return;
        }
        let path = settings.get(&b"search_path"[..]).map_or(&b""[..], |path| path);
        if *path != *self.path {
            self.path = path.into();
        }
        let mut meaning = vec![];
        for name in OF_STRINGS {
            if let Some(value) = settings.get(*name) {
                meaning.extend_from_slice(&[*name, b"=", value, b"\0"].concat());
            }
        }
        if *meaning != *self.meaning {
            self.meaning = meaning.into();
        }
    }

    /// What a text about to be sent, which changes the settings of these names, may do to those that decide what texts mean: not known
    /// before it has ended.
    pub(super) fn note_meaning(&mut self, names: &[Vec<u8>], effects: Effects) {
        const CODE: Effects = Effects::OPAQUE.union(Effects::UNNAMED).union(Effects::BOUND_NAME);
        if !effects.intersects(CODE.union(Effects::SETTING).union(Effects::SET_LOCAL)) {
            return;
        }
        let decides =
            |name: &Vec<u8>| OF_STRINGS.iter().chain(OF_NAMES).any(|known| known.eq_ignore_ascii_case(name));
        let hidden = effects.contains(Effects::HIDDEN.union(Effects::SETTING));
        self.means_unknown |=
            effects.intersects(CODE) || hidden || names.is_empty() || names.iter().any(decides);
    }

    /// The session's statement of this name, or its unnamed one, as its text is read now.
    pub(super) fn named(&mut self, name: &[u8]) -> Option<Named> {
        let named = match name {
            b"" => self.unnamed.clone(),
            name => self.names.get(significant(name)).cloned(),
        }?;
        let statement = self.as_read_now(&named.statement);
        if Rc::ptr_eq(&statement, &named.statement) {
            return Some(named);
        }
        // What is read anew at every look cannot be compared with anything.
        let told = named.told.filter(|_| !self.is_reading_uncertain());
        // The server's unnamed statement is known by that tick.
        let when = if name.is_empty() { fresh_id() } else { named.when };
        let named = Named { statement, when, told, worded: named.worded };
        match name {
            b"" => self.unnamed = Some(named.clone()),
            name => drop(self.names.insert(significant(name).into(), named.clone())),
        }
        Some(named)
    }
}

/// Whether PostgreSQL makes a plan of a text, where other commands are looked at only when they run.
fn is_planned(summary: &Summary) -> bool {
    use Verb::{Delete, Insert, Merge, Select, Table, Update, Values, With};
    let [one] = summary.statements.as_slice() else { return false };
    matches!(one.verb, Select | Values | Table | With | Insert | Update | Delete | Merge)
}

/// A statement that is fine to parse and describe, and fails when it is run, with this error in the client's words.
fn failing(fault: &Fault) -> Statement {
    let form = Form::Parse(b"DEALLOCATE _pgweir_none\0\0\0"[..].into());
    let prepared = Rc::new(Prepared::new(fresh_id(), form, 0));
    let action = Some(Action::Refused(fault.frame().into()));
    let effects = Effects::DEALLOCATE;
    Statement { effects, action, ..Statement::of(prepared, Commits::Nothing) }
}
