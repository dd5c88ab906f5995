//! PREPARE, EXECUTE and DEALLOCATE: the names in a text are the session's, on servers they are ours.
//!
//! What a text does to names is taken to have happened when it is sent, so that what stands behind it finds them as the server
//! will; each such [`Step`] is confirmed by its own CommandComplete, and what was not confirmed is undone.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::rc::Rc;

use super::custom::Given;
use super::extended::{replace, send_parse};
use super::reading::{PERSONAL, depends_on_reading};
use super::rename::{Rewriting, Translated, characters};
use super::serve::Session;
use super::statement::{Action, Named, Statement, fresh_id, significant};
use crate::pool::Server;
use crate::pool::exchange::{Commits, Expect, Kind, Note, Renamed, Step};
use crate::pool::prepared::{DUMMY, Form, NAME_PREFIX, OnServer, Prepared, quoted_name, server_name};
use crate::sql::{self, Detail, Effects, Summary, Verb};
use crate::wire::frame::{self, TxStatus, front};
use crate::wire::{Fault, emit};

/// A name on servers that nothing is ever prepared under.
pub(super) const NOBODYS: &str = "_pgweir_none";

/// Names of prepared statements, as a session knows them.
pub(super) type Names = HashMap<Box<[u8]>, Named, foldhash::fast::RandomState>;

/// What a DEALLOCATE that was sent has taken away, for the case that it fails.
pub(super) struct Dropped {
    token: u64,
    pub(super) names: Names,
    pub(super) on_server: OnServer,
}

/// What a statement's name meant when it was parsed: the session's statement of that number, or none.
pub type Mention = (Box<[u8]>, Option<u64>);

impl Session {
    /// Why the server is not to be asked to prepare this.
    pub(super) fn refused_names(&self, summary: &Summary) -> Option<Fault> {
        if !summary.effects.contains(Effects::PREPARE) || self.tx_status() == TxStatus::Failed {
            return None;
        }
        let more =
            summary.statements.iter().filter(|one| matches!(one.detail, Detail::Prepare { .. })).count();
        let limit = self.worker.limits().prepared_per_session;
        if self.names.len() + more > limit {
            let text = format!("more than {limit} prepared statements (prepared_per_session)");
            return Some(Fault::error("54000", text).hint("deallocate some, or raise the limit"));
        }
        None
    }

    /// The text with the server's names of prepared statements in it, and what that means; `None` when it names none.
    pub(super) fn rewrite(&mut self, text: &[u8], summary: &Summary) -> Option<(Vec<u8>, Renamed)> {
        if !summary.effects.intersects(PERSONAL) {
            return None;
        }
        let mut rewriting = Rewriting::of(text);
        let mut steps = VecDeque::new();
        for (number, one) in summary.statements.iter().enumerate() {
            let translated = self.translate(one, text);
            translated.iter().for_each(|translated| rewriting.replace(number, translated));
            if matches!(one.verb, Verb::Prepare | Verb::Deallocate) {
                let action = translated.and_then(|translated| translated.action);
                steps.push_back(action.map_or(Step::Nothing, |action| self.act(action)));
            }
        }
        let (out, renamed) = rewriting.finish();
        Some((out, Renamed { steps, ..renamed }))
    }

    /// The only statement of a text, to be prepared itself: what it does to names is done when it is executed.
    pub(super) fn rewrite_alone(
        &mut self,
        text: &[u8],
        summary: &Summary,
    ) -> (Vec<u8>, Renamed, Option<Action>) {
        let mut rewriting = Rewriting::of(text);
        let translated = match summary.statements.as_slice() {
            [one] => self.translate_alone(one, text),
            _ => None,
        };
        translated.iter().for_each(|translated| rewriting.replace(0, translated));
        let (out, renamed) = rewriting.finish();
        (out, renamed, translated.and_then(|translated| translated.action))
    }

    /// What the only statement of a text names.
    pub(super) fn mention(&self, summary: &Summary) -> Option<Mention> {
        let [one] = summary.statements.as_slice() else { return None };
        let name = significant(name_in(&one.detail)?);
        Some((name.into(), self.number_of(name)))
    }

    /// Whether a name still means what it did.
    pub(super) fn is_still(&self, (name, meant): &Mention) -> bool {
        self.number_of(name) == *meant
    }

    fn number_of(&self, name: &[u8]) -> Option<u64> {
        self.names.get(name).map(|named| named.statement.prepared.id)
    }

    /// Whether what a name means depends on a cycle that is not answered yet. If so, the message has to wait for that.
    pub(super) fn is_contested(&mut self, name: &[u8]) -> bool {
        if name.is_empty() {
            return self.unnamed_is_contested();
        }
        let name = significant(name);
        let Some(server) = self.server.as_ref().filter(|_| self.cycle_under_way()) else { return false };
        let contested = match self.names.get(name) {
            Some(named) => is_unconfirmed(server, name, named.statement.prepared.id),
            None => {
                self.closed.iter().any(|(closed, _)| **closed == *name)
                    || self.dropped.iter().any(|dropped| dropped.names.contains_key(name))
            }
        };
        self.one_by_one |= contested;
        contested
    }

    /// The same for all names in a text.
    pub(super) fn names_are_contested(&mut self, summary: &Summary) -> bool {
        summary.effects.intersects(PERSONAL)
            && summary
                .statements
                .iter()
                .any(|one| name_in(&one.detail).is_some_and(|name| self.is_contested(name)))
    }

    /// The same for the text of a Parse.
    pub(super) fn mentions_contested_names(&mut self, tail: &[u8]) -> bool {
        if !self.cycle_under_way() {
            return false;
        }
        let text = frame::cstr(tail).map_or(tail, |(text, _)| text);
        // PREPARE, EXECUTE, EXPLAIN EXECUTE, DEALLOCATE, CREATE TABLE AS EXECUTE; or a comment before them.
        let first = text.trim_ascii_start().first().map(u8::to_ascii_lowercase);
        let may = first.is_some_and(|first| b"pedc/-".contains(&first));
        may && self.names_are_contested(&sql::summarize(text, self.dialect))
    }

    fn translate(&mut self, one: &sql::Statement, text: &[u8]) -> Option<Translated> {
        let (name, range) = match &one.detail {
            Detail::Prepare { name, name_range } => {
                return Some(self.prepare_by_sql(name, text, one, name_range));
            }
            Detail::Deallocate { name: None, .. } => {
                return Some(Translated::unnamed(Action::DeallocateAll));
            }
            Detail::Execute { name, name_range } => (name, name_range),
            Detail::Deallocate { name: Some(name), name_range } => (name, name_range),
            _ => return None,
        };
        let place = Some((range.clone(), name.as_slice().into()));
        // One that names others itself is taken as it is: it may be the one that is being read.
        let personal = self.names.get(significant(name)).filter(|named| named.statement.original.is_some());
        let Some(named) = personal.cloned().or_else(|| self.named(name)) else {
            // Names of ours are nobody's to use.
            let ours = name.starts_with(NAME_PREFIX.as_bytes());
            return ours.then(|| Translated { place, name: NOBODYS.to_owned(), action: None });
        };
        let prepared = named.statement.prepared.clone();
        if !matches!(one.detail, Detail::Deallocate { .. }) {
            // It is run: it does what its text says.
            self.note_statement(&named.statement, Given::Text(&text[one.range.clone()]));
            self.bring_for_text(&prepared, named.when);
            return Some(Translated { place, name: server_name(prepared.id), action: None });
        }
        // A statement that was parsed may be others' too: what is dropped on the server is one that was made for it.
        let own = matches!(prepared.form, Form::Sql(_)) && self.is_on_server(prepared.id);
        let id = if own { prepared.id } else { fresh_id() };
        if !own {
            self.bring_dummy(id);
        }
        let action = Some(Action::Deallocate(significant(name).into(), id));
        Some(Translated { place, name: server_name(id), action })
    }

    /// The same for a statement that is prepared itself: where it is brought to another server, what is taken has to be so as well.
    fn translate_alone(&mut self, one: &sql::Statement, text: &[u8]) -> Option<Translated> {
        match &one.detail {
            Detail::Prepare { name, name_range } if self.names.contains_key(significant(name)) => {
                let place = Some((name_range.clone(), name.as_slice().into()));
                Some(Translated { place, name: server_name(DUMMY), action: Some(Action::Taken) })
            }
            _ => self.translate(one, text),
        }
    }

    /// `PREPARE name`: the name becomes the session's, under a fresh name on the server.
    fn prepare_by_sql(
        &mut self,
        name: &[u8],
        text: &[u8],
        one: &sql::Statement,
        range: &Range<usize>,
    ) -> Translated {
        let place = Some((range.clone(), name.into()));
        if let Some(named) = self.names.get(significant(name)) {
            // The server has one of that name, and says 42P05.
            let taken = named.statement.prepared.clone();
            let id = self.name_that_is_taken(&taken);
            return Translated { place, name: server_name(id), action: None };
        }
        let id = fresh_id();
        let mut sql = text[one.range.start..range.start].to_vec();
        sql.extend_from_slice(quoted_name(id).as_bytes());
        sql.extend_from_slice(&text[range.end..one.range.end]);
        let reading = depends_on_reading(&sql).then(|| self.reading.clone());
        let moved = quoted_name(id).len() as isize - characters(&text[range.clone()]) as isize;
        let prepared = Rc::new(Prepared::new(id, Form::Sql(sql.into()), moved));
        // The command itself is not what EXECUTE does.
        let effects = one.effects.without(PERSONAL);
        let statement =
            Statement { effects, reading, planned: true, ..Statement::of(prepared, Commits::AtItsEnd) };
        let action = Some(Action::Prepare(significant(name).into(), Rc::new(statement)));
        Translated { place, name: server_name(id), action }
    }

    /// Prepares a statement for a text that runs it. Where that fails the text is run all the same, and says why it could not
    /// run the statement.
    fn bring_for_text(&mut self, prepared: &Rc<Prepared>, when: u64) {
        let batch_open = self.batch_open;
        let Some(server) = &mut self.server else { return };
        if server.prepared.touch(prepared.id).is_some_and(|copy| copy.is_anybodys(when)) {
            return;
        }
        if batch_open || server.tx == TxStatus::Failed {
            // It would end the batch; or nothing can be prepared, nor run.
            return;
        }
        replace(server, prepared.id);
        match &prepared.form {
            Form::Parse(_) => {
                send_parse(server, prepared);
                server.expect(Expect::ours(Kind::Parse, Note::Bringing(prepared.clone())));
                emit::empty(&mut server.out, front::SYNC);
                server.expect(Expect::ours(Kind::Sync, Note::None));
            }
            Form::Sql(text) => {
                server.ask(text, Note::Bringing(prepared.clone()));
            }
        }
        server.prepared.insert(prepared.id, fresh_id());
    }

    /// The server has a statement of this number, which does nothing. To prepare an empty text cannot fail, if there is none of its name
    /// yet: one that is taken for gone may be there until what takes it away has run.
    pub(super) fn bring_dummy(&mut self, id: u64) {
        let Some(server) = &mut self.server else { return };
        if server.prepared.touch(id).is_none() {
            let dummy = Rc::new(Prepared::new(id, Form::Parse(b"\0\0\0"[..].into()), 0));
            emit::target(&mut server.out, front::CLOSE, b'S', server_name(id).as_bytes());
            server.expect(Expect::ours(Kind::Close, Note::None));
            send_parse(server, &dummy);
            server.prepared.insert(id, u64::MAX);
            server.expect(Expect::ours(Kind::Parse, Note::Preparing(dummy)));
        }
    }

    /// Does to names what a statement that is being sent will do, for as long as it is not known to have failed.
    pub(super) fn act(&mut self, action: Action) -> Step {
        match action {
            Action::Prepare(name, statement) => {
                let id = statement.prepared.id;
                self.names.insert(name.clone(), Named::new(statement, id));
                self.server.iter_mut().for_each(|server| server.prepared.insert(id, id));
                Step::Prepared(id, name)
            }
            Action::Deallocate(name, id) => {
                let names = self.names.remove_entry(&name).into_iter().collect();
                self.drop_names(names, Some(id))
            }
            Action::DeallocateAll | Action::DiscardAll => {
                let names = std::mem::take(&mut self.names);
                self.drop_names(names, None)
            }
            Action::Taken | Action::Refused(_) => Step::Nothing,
        }
    }

    /// Keeps what a statement takes away: these names, and the statement `id` of the server, or all that it has.
    fn drop_names(&mut self, names: Names, id: Option<u64>) -> Step {
        let token = fresh_id();
        let on_server = self.server.as_mut().map(|server| server.prepared.split_off(id));
        self.dropped.push(Dropped { token, names, on_server: on_server.unwrap_or_default() });
        Step::Dropped(token)
    }

    /// It has happened.
    pub(super) fn confirm(&mut self, step: Step) {
        if let Step::Dropped(token) = step {
            self.dropped.retain(|dropped| dropped.token != token);
        }
    }

    /// They have not happened.
    pub(super) fn undo_steps(&mut self, steps: VecDeque<Step>) {
        for step in steps.into_iter().rev() {
            match step {
                Step::Prepared(id, name) => self.undo_prepare(id, &name),
                Step::Dropped(token) => self.bring_back(token),
                Step::Nothing => {}
            }
        }
    }

    fn undo_prepare(&mut self, id: u64, name: &[u8]) {
        // The tick of what PREPARE has prepared is its number.
        self.forget_name(name, id);
        if let Some(server) = &mut self.server {
            server.prepared.remove(id);
        }
    }

    /// What was to be prepared at this tick was not: the name is not its name, and was not when later messages dropped it.
    pub(super) fn forget_name(&mut self, name: &[u8], when: u64) {
        let is_it = |named: &Named| named.when == when;
        if self.names.get(name).is_some_and(is_it) {
            self.names.remove(name);
        }
        for dropped in &mut self.dropped {
            if dropped.names.get(name).is_some_and(is_it) {
                dropped.names.remove(name);
            }
        }
    }

    fn bring_back(&mut self, token: u64) {
        let Some(at) = self.dropped.iter().position(|dropped| dropped.token == token) else { return };
        let dropped = self.dropped.remove(at);
        for (name, named) in dropped.names {
            self.names.entry(name).or_insert(named);
        }
        self.server.iter_mut().for_each(|server| server.prepared.put_back(&dropped.on_server));
    }
}

/// Whether an answer of a cycle that has been sent is still to come on which it depends that there is a statement of this name, or
/// that the server has it.
fn is_unconfirmed(server: &Server, name: &[u8], id: u64) -> bool {
    let is_it = |step: &Step| matches!(step, Step::Prepared(_, named) if **named == *name);
    let ended = server.expects.iter().rposition(|expect| !expect.ours && expect.ends_with_ready());
    let mut sent = server.expects.iter().take(ended.map_or(0, |last| last + 1));
    sent.any(|expect| match &expect.note {
        Note::Naming(_, named, _) if **named == *name => true,
        Note::Renamed(renamed) | Note::Part(_, renamed) => renamed.steps.iter().any(is_it),
        note => note.is_about(id),
    })
}

fn name_in(detail: &Detail) -> Option<&[u8]> {
    match detail {
        Detail::Prepare { name, .. } | Detail::Execute { name, .. } => Some(name),
        Detail::Deallocate { name: Some(name), .. } => Some(name),
        _ => None,
    }
}

/// The name by which a server is asked for a statement that the session does not have.
pub(super) fn foreign_name(name: &[u8]) -> &[u8] {
    if name.starts_with(NAME_PREFIX.as_bytes()) { NOBODYS.as_bytes() } else { name }
}
