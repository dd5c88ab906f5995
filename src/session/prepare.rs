//! PREPARE, EXECUTE and DEALLOCATE: the names in a text are the session's, on servers they are ours.
//!
//! What a text does to names is taken to have happened when it is sent, so that what stands behind it finds them as the server
//! will; each such [`Step`] is confirmed by its own CommandComplete, and what was not confirmed is undone.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::rc::Rc;

use super::custom::Given;
use super::extended::remember;
use super::reading::{PERSONAL, depends_on_reading};
use super::serve::Session;
use super::statement::{Action, Named, Statement, fresh_id, significant};
use crate::pool::exchange::{Commits, Note, Renamed, Step};
use crate::pool::prepared::{Form, NAME_PREFIX, OnServer, Prepared, quoted_name};
use crate::sql::{self, Detail, Effects, Summary};
use crate::wire::frame::{self, HEADER, TxStatus, back};
use crate::wire::{Fault, emit};

/// A name on servers that nothing is ever prepared under.
pub(super) const NOBODYS: &str = "_pgweir_none";

/// Names of prepared statements, as a session knows them.
pub(super) type Names = HashMap<Box<[u8]>, Named, foldhash::fast::RandomState>;

/// What a DEALLOCATE that was sent has taken away, for the case that it fails.
pub(super) struct Dropped {
    token: u64,
    names: Names,
    on_server: OnServer,
}

/// What becomes of the name in a statement.
struct Translated {
    /// Where it stands in the text; nothing is to be changed there without it.
    range: Option<Range<usize>>,
    name: String,
    action: Option<Action>,
}

/// A text that is copied with other names in it.
struct Rewriting<'a> {
    text: &'a [u8],
    copied: usize,
    out: Vec<u8>,
    moved: Vec<(usize, isize)>,
}

impl Rewriting<'_> {
    fn replace(&mut self, by: &Translated) {
        let Some(range) = &by.range else { return };
        self.out.extend_from_slice(&self.text[self.copied..range.start]);
        self.out.extend_from_slice(by.name.as_bytes());
        self.copied = range.end;
        let longer = by.name.len() as isize - characters(&self.text[range.clone()]) as isize;
        self.moved.push((characters(&self.out), longer));
    }

    fn finish(mut self) -> (Vec<u8>, Vec<(usize, isize)>) {
        self.out.extend_from_slice(&self.text[self.copied..]);
        (self.out, self.moved)
    }
}

/// How many characters UTF-8 has there.
pub(super) fn characters(text: &[u8]) -> usize {
    text.iter().filter(|byte| (**byte as i8) >= -64).count()
}

/// An error message of the server's for a text that was sent with other names, as it is for the client's own text: the position,
/// which counts characters from 1, is another. `None` when it has none.
pub(super) fn as_sent_by_client(error: &[u8], renamed: &Renamed) -> Option<Box<[u8]>> {
    let fields: Vec<(u8, &[u8])> = frame::fields(error.get(HEADER..)?).collect();
    let position = fields.iter().find(|(code, _)| *code == b'P')?.1;
    let found: usize = std::str::from_utf8(position).ok()?.parse().ok()?;
    let before = renamed.moved.iter().filter(|(from, _)| found > *from);
    let own = found.checked_add_signed(-before.map(|(_, by)| *by).sum::<isize>())?;
    let mut out = vec![];
    emit::frame(&mut out, back::ERROR_RESPONSE, |out| {
        for (code, value) in fields {
            out.push(code);
            emit::cstr(
                out,
                if code == b'P' { own.to_string().into_bytes() } else { value.to_vec() }.as_slice(),
            );
        }
        out.push(0);
    });
    Some(out.into())
}

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
        let [one] = summary.statements.as_slice() else { return None };
        let Detail::Prepare { name, .. } = &one.detail else { return None };
        self.names.contains_key(significant(name)).then(|| {
            Fault::error(
                "42P05",
                format!("prepared statement \"{}\" already exists", String::from_utf8_lossy(name)),
            )
        })
    }

    /// The text with the server's names of prepared statements in it, and what that means; `None` when it names none.
    pub(super) fn rewrite(&mut self, text: &[u8], summary: &Summary) -> Option<(Vec<u8>, Renamed)> {
        if !summary.effects.intersects(PERSONAL) {
            return None;
        }
        let mut text = Rewriting { text, copied: 0, out: vec![], moved: vec![] };
        let mut steps = VecDeque::new();
        for one in &summary.statements {
            let Some(translated) = self.translate(one, text.text) else { continue };
            text.replace(&translated);
            steps.extend(translated.action.map(|action| self.act(action)));
        }
        let (out, moved) = text.finish();
        Some((out, Renamed { steps, moved }))
    }

    /// The only statement of a text, to be prepared itself: what it does to names is done when it is executed.
    pub(super) fn rewrite_alone(
        &mut self,
        text: &[u8],
        summary: &Summary,
    ) -> (Vec<u8>, Vec<(usize, isize)>, Option<Action>) {
        let mut text = Rewriting { text, copied: 0, out: vec![], moved: vec![] };
        let translated = match summary.statements.as_slice() {
            [one] => self.translate(one, text.text),
            _ => None,
        };
        translated.iter().for_each(|translated| text.replace(translated));
        let (out, moved) = text.finish();
        (out, moved, translated.and_then(|translated| translated.action))
    }

    fn translate(&mut self, one: &sql::Statement, text: &[u8]) -> Option<Translated> {
        let (name, range) = match &one.detail {
            Detail::Prepare { name, name_range } => {
                return Some(self.prepare_by_sql(name, text, one, name_range));
            }
            Detail::Deallocate { name: None, .. } => {
                return Some(Translated {
                    range: None,
                    name: String::new(),
                    action: Some(Action::DeallocateAll),
                });
            }
            Detail::Execute { name, name_range } => (name, name_range),
            Detail::Deallocate { name: Some(name), name_range } => (name, name_range),
            _ => return None,
        };
        let range = Some(range.clone());
        let Some(named) = self.named(name) else {
            // Names of ours are nobody's to use.
            let ours = name.starts_with(NAME_PREFIX.as_bytes());
            return ours.then(|| Translated { range, name: format!("\"{NOBODYS}\""), action: None });
        };
        let id = named.statement.prepared.id;
        let drops = matches!(one.detail, Detail::Deallocate { .. });
        if !drops {
            // It is run: it does what its text says.
            self.note_statement(&named.statement, Given::Text(&text[one.range.clone()]));
        }
        self.bring_statement(&named.statement.prepared, named.when);
        let action = drops.then(|| Action::Deallocate(significant(name).into(), id));
        Some(Translated { range, name: quoted_name(id), action })
    }

    /// `PREPARE name`: the name becomes the session's, under a fresh name on the server.
    fn prepare_by_sql(
        &mut self,
        name: &[u8],
        text: &[u8],
        one: &sql::Statement,
        range: &Range<usize>,
    ) -> Translated {
        let there = Some(range.clone());
        if let Some(named) = self.named(name) {
            // The server knows it under our name, and says 42P05.
            self.bring_statement(&named.statement.prepared, named.when);
            return Translated { range: there, name: quoted_name(named.statement.prepared.id), action: None };
        }
        let id = fresh_id();
        let mut sql = text[one.range.start..range.start].to_vec();
        sql.extend_from_slice(quoted_name(id).as_bytes());
        sql.extend_from_slice(&text[range.end..one.range.end]);
        let reading = depends_on_reading(&sql).then(|| self.reading.clone());
        let prepared = Rc::new(Prepared { id, form: Form::Sql(sql.into()) });
        // The command itself is not what EXECUTE does.
        let effects = one.effects.without(PERSONAL);
        let commits = Commits::AtItsEnd;
        let statement = Rc::new(Statement {
            prepared,
            effects,
            commits,
            action: None,
            moved: vec![],
            uses: None,
            reading,
        });
        let action = Some(Action::Prepare(significant(name).into(), statement));
        Translated { range: there, name: quoted_name(id), action }
    }

    /// Does to names what a statement that is being sent will do, for as long as it is not known to have failed.
    pub(super) fn act(&mut self, action: Action) -> Step {
        let token = fresh_id();
        match action {
            Action::Prepare(name, statement) => {
                let id = statement.prepared.id;
                self.names.insert(name.clone(), Named { statement, when: id });
                self.server.iter_mut().for_each(|server| remember(server, id, id));
                Step::Prepared(id, name)
            }
            Action::Deallocate(name, id) => {
                let names = self.names.remove_entry(&name).into_iter().collect();
                let on_server = self.server.as_mut().map(|server| server.prepared.split_off(Some(id)));
                self.dropped.push(Dropped { token, names, on_server: on_server.unwrap_or_default() });
                Step::Dropped(token)
            }
            Action::DeallocateAll | Action::DiscardAll | Action::Refused(_) => {
                let names = std::mem::take(&mut self.names);
                let on_server = self.server.as_mut().map(|server| server.prepared.split_off(None));
                self.dropped.push(Dropped { token, names, on_server: on_server.unwrap_or_default() });
                Step::Dropped(token)
            }
        }
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
            }
        }
    }

    fn undo_prepare(&mut self, id: u64, name: &[u8]) {
        if self.names.get(name).is_some_and(|named| named.statement.prepared.id == id) {
            self.names.remove(name);
        }
        self.server.iter_mut().for_each(|server| server.prepared.remove(id));
    }

    fn bring_back(&mut self, token: u64) {
        let Some(at) = self.dropped.iter().position(|dropped| dropped.token == token) else { return };
        let dropped = self.dropped.remove(at);
        for (name, named) in dropped.names {
            self.names.entry(name).or_insert(named);
        }
        self.server.iter_mut().for_each(|server| server.prepared.put_back(&dropped.on_server));
    }

    /// What it means that the portal is executed, which is over with it.
    pub(super) fn note_of_portal(&mut self, portal: &[u8]) -> Note {
        let Some(at) = self.portals.iter().position(|(name, _)| **name == *portal) else { return Note::None };
        let statement = self.portals.swap_remove(at).1;
        let steps = match statement.action.clone() {
            Some(Action::DiscardAll) => {
                self.one_by_one = true;
                return Note::DiscardAll;
            }
            Some(Action::Refused(fault)) => return Note::Blame(fault),
            action => action.map(|action| self.act(action)).into_iter().collect(),
        };
        Note::Renamed(Box::new(Renamed { steps, moved: statement.moved.clone() }))
    }

    /// A statement is bound to a portal, in the place of what was.
    pub(super) fn bind_portal(&mut self, portal: &[u8], statement: Option<&Rc<Statement>>) {
        self.portals.retain(|(name, _)| **name != *portal);
        let noted = |statement: &&Rc<Statement>| statement.action.is_some() || !statement.moved.is_empty();
        if let Some(statement) = statement.filter(noted) {
            self.portals.push((portal.into(), statement.clone()));
        }
    }
}

/// The name by which a server is asked for a statement that the session does not have.
pub(super) fn foreign_name(name: &[u8]) -> &[u8] {
    if name.starts_with(NAME_PREFIX.as_bytes()) { NOBODYS.as_bytes() } else { name }
}
