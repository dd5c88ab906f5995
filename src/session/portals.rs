//! Portals: what is remembered of each from its Bind on, because it matters when it is described or executed.
//!
//! PREPARE, EXECUTE and DEALLOCATE look a name up when they run, not when they are bound. Where it means another statement by then, because a
//! portal that was executed in between has prepared or dropped it, the portal is bound anew, to the text with the name as it is now.

use std::rc::Rc;

use super::serve::Session;
use super::statement::{Action, Named, Statement};
use super::told::describing;
use crate::pool::exchange::{Describing, Expect, Kind, Note, Renamed};
use crate::pool::prepared::{DUMMY, server_name};
use crate::wire::frame::front;
use crate::wire::{Fault, emit};

/// Statements about names take no parameters: what is longer is refused by PostgreSQL, and not kept.
const LONGEST: usize = 1024;

/// What is known of a portal.
pub(super) struct Portal {
    name: Box<[u8]>,
    /// Its statement, if that names one, or drops all.
    about_names: Option<Rc<Statement>>,
    /// Its Bind message behind the name of the statement, for that case.
    values: Box<[u8]>,
    /// What the client learns when it is described, if it does not know yet.
    describing: Option<Box<Describing>>,
}

impl Session {
    /// A statement is bound to a portal, in the place of what was; `values` is what stands behind its name, if all of it is there. Gives
    /// why it is not, if there are too many.
    pub(super) fn bind_portal(
        &mut self,
        portal: &[u8],
        (name, named): (&[u8], Option<&Named>),
        values: &[u8],
    ) -> Option<Fault> {
        self.forget_portal(portal);
        let named = named?;
        let limit = self.worker.limits().prepared_per_session;
        let full = self.portals.len() >= limit;
        let about_names = Some(&named.statement)
            .filter(|known| known.action.is_some() || known.original.is_some() || known.shows());
        if about_names.is_some() && full {
            let text =
                format!("more than {limit} portals with statements about statements (prepared_per_session)");
            return Some(Fault::error("54000", text).hint("close some, or raise the limit"));
        }
        let server = self.server.as_ref().filter(|_| named.told.is_none() && !full);
        let describing = server.and_then(|server| describing(server, name, named));
        if about_names.is_some() || describing.is_some() {
            let values = about_names.filter(|_| values.len() <= LONGEST).map_or(&b""[..], |_| values);
            let about_names = about_names.cloned();
            self.portals.push(Portal { name: portal.into(), about_names, values: values.into(), describing });
        }
        None
    }

    /// The portal is gone.
    #[inline]
    pub(super) fn forget_portal(&mut self, portal: &[u8]) {
        if !self.portals.is_empty() {
            self.portals.retain(|known| *known.name != *portal);
        }
    }

    /// What the client learns when the portal is described; said once.
    pub(super) fn note_of_description(&mut self, portal: &[u8]) -> Note {
        let known = self.portals.iter_mut().find(|known| *known.name == *portal);
        known.and_then(|known| known.describing.take()).map_or(Note::None, Note::Describing)
    }

    /// Whether what the portal does when it is executed depends on a cycle that is not answered yet.
    pub(super) fn portal_is_contested(&mut self, portal: &[u8]) -> bool {
        let known = self.portals.iter().find(|known| *known.name == *portal);
        let original = known.and_then(|known| known.about_names.as_ref()?.original.clone());
        original.is_some_and(|(_, (name, _))| self.is_contested(&name))
    }

    /// What it means that the portal is executed, which is over with it.
    pub(super) fn note_of_portal(&mut self, portal: &[u8]) -> Note {
        let known = self.portals.iter_mut().find(|known| *known.name == *portal);
        if let Some(shown) =
            known.as_ref().and_then(|known| known.about_names.as_ref().filter(|one| one.shows()))
        {
            // Also where it is executed in pieces.
            return Note::Renamed(Box::new(shown.renamed.clone()));
        }
        let taken =
            known.and_then(|known| Some((known.about_names.take()?, std::mem::take(&mut known.values))));
        let Some((bound, values)) = taken else { return Note::None };
        let statement = self.as_executed_now(portal, bound, &values);
        let steps = match statement.action.clone() {
            Some(Action::DiscardAll) => {
                self.one_by_one = true;
                return Note::DiscardAll(self.act(Action::DiscardAll));
            }
            Some(Action::Refused(fault)) => return Note::Blame(fault),
            None if statement.renamed.names.is_empty() => return Note::None,
            action => action.map(|action| self.act(action)).into_iter().collect(),
        };
        Note::Renamed(Box::new(Renamed { steps, ..statement.renamed.clone() }))
    }

    /// The statement that was bound, or another one if its name means another one now; the server has what it names.
    fn as_executed_now(&mut self, portal: &[u8], bound: Rc<Statement>, values: &[u8]) -> Rc<Statement> {
        let text =
            bound.original.as_ref().filter(|(_, mention)| !values.is_empty() && !self.is_still(mention));
        let Some((tail, _)) = text else {
            self.bring_what_it_names(&bound);
            return bound;
        };
        let statement = self.intern(tail);
        self.bind_effects(&statement, values);
        self.bring_statement(&statement.prepared, 0);
        let Some(server) = &mut self.server else { return statement };
        emit::target(&mut server.out, front::CLOSE, b'P', portal);
        server.expect(Expect::ours(Kind::Close, Note::None));
        emit::frame(&mut server.out, front::BIND, |out| {
            emit::cstr(out, portal);
            emit::cstr(out, server_name(statement.prepared.id).as_bytes());
            out.extend_from_slice(values);
        });
        server.expect(Expect::ours(Kind::Bind, Note::None));
        statement
    }

    /// Sees to it that the server has the statement that this one names there.
    pub(super) fn bring_what_it_names(&mut self, statement: &Statement) {
        match &statement.action {
            Some(Action::Deallocate(_, id)) => self.bring_dummy(*id),
            Some(Action::Taken) => self.bring_dummy(DUMMY),
            _ => {}
        }
        if let Some(used) = &statement.uses {
            self.bring_statement(&used.prepared, 0);
        }
    }
}
