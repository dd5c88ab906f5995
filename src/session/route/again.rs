//! Back to the primary: what is kept of a replica's answer until it begins, and what happens when it does not.

use std::rc::Rc;
use std::task::Context;

use super::UnderWay;
use crate::pool::exchange::{Expect, Kind, Note};
use crate::pool::prepared::Description;
use crate::session::serve::{BACKLOG, Session};
use crate::session::told::Asking;
use crate::wire::emit;
use crate::wire::frame::{self, back, front};

impl Session {
    /// The chosen node gives no server: the primary is asked. False: none was chosen.
    pub(in crate::session) fn node_refuses(&mut self) -> bool {
        let Some(route) = &mut self.route else { return false };
        let Some(chosen) = route.chosen.take() else { return false };
        route.nodes.cluster().report_failure(chosen.node);
        route.primary = true;
        self.following = 0;
        self.handle.waiting.set(false);
        true
    }

    /// So much was kept of an answer that has not begun: if it is more than a session may keep (notices), it begins with that.
    pub(in crate::session) fn note_kept(&mut self) {
        if self.out.len() >= BACKLOG
            && let Some(under_way) = self.route.as_mut().and_then(|route| route.under_way.as_mut())
        {
            under_way.begun = true;
        }
    }

    /// Nothing of the answer is given to the client yet, because the primary may be asked instead.
    #[inline]
    pub(in crate::session) fn holds_answer(&self) -> bool {
        let under_way = self.route.as_ref().and_then(|route| route.under_way.as_ref());
        under_way.is_some_and(|under_way| !under_way.begun)
    }

    /// A message of a replica's answer: does it begin?
    #[inline]
    pub(in crate::session) fn note_beginning(&mut self, tag: u8) {
        let Some(under_way) = self.route.as_mut().and_then(|route| route.under_way.as_mut()) else { return };
        let ahead = matches!(
            tag,
            back::ROW_DESCRIPTION
                | back::NO_DATA
                | back::PARSE_COMPLETE
                | back::BIND_COMPLETE
                | back::PARAMETER_DESCRIPTION
                | back::NOTICE_RESPONSE
                | back::PARAMETER_STATUS
                | back::NOTIFICATION_RESPONSE
                | back::ERROR_RESPONSE
        );
        under_way.begun |= !ahead;
    }

    /// A replica answers with an error: if its answer has not begun, the primary is asked instead; but not when the client has cancelled it, or
    /// it was out of time.
    pub(in crate::session) fn asks_again(&mut self, fields: &[u8]) {
        if !self.holds_answer() {
            return;
        }
        let sqlstate =
            frame::fields(fields).find(|(code, _)| *code == b'C').map_or(&b""[..], |field| field.1);
        let Some(route) = &mut self.route else { return };
        let Some(UnderWay { node, cycle, profile, sent, told, .. }) = route.under_way.take() else { return };
        route.nodes.loads().give_up(node);
        if sqlstate == b"57014" {
            return;
        }
        // A read-only transaction, or a feature that replicas lack: that will not change.
        profile.refused.set(profile.refused.get() || matches!(sqlstate, b"25006" | b"0A000"));
        // What was not sent stands in the input still.
        route.again = Some(if sent { cycle } else { vec![] });
        self.out.clear();
        if !sent {
            self.sends_no_more();
        }
        self.is_not_told(told);
    }

    /// An answer that is kept here has told something of a statement.
    pub(in crate::session) fn keep_told(
        &mut self,
        name: Box<[u8]>,
        when: u64,
        before: Option<Rc<Description>>,
    ) {
        let under_way = self.route.as_mut().and_then(|route| route.under_way.as_mut());
        under_way
            .filter(|under_way| !under_way.begun)
            .into_iter()
            .for_each(|under_way| under_way.told.push((name.clone(), when, before.clone())));
    }

    /// What was to be sent is for another server: this one is to be free, whatever it was told or asked ahead of it.
    fn sends_no_more(&mut self) {
        (self.batch_open, self.batch) = (false, Default::default());
        (self.unused, self.settling) = (false, false);
        if matches!(self.asking, Asking::Waits(_))
            && let Some(server) = &mut self.server
        {
            emit::empty(&mut server.out, front::SYNC);
            server.expect(Expect::ours(Kind::Sync, Note::None));
        }
    }

    /// The cycle at the front of the input was sent to a replica, or was to be, and is for the primary now.
    pub(in crate::session) fn is_asked_again(&self) -> bool {
        self.route.as_ref().is_some_and(|route| route.primary)
    }

    /// The cycle at the front of the input is dropped: nothing that was decided on it holds for the next.
    pub(in crate::session) fn forget_cycle(&mut self) {
        self.verdict = None;
        self.route.iter_mut().for_each(|route| route.primary = false);
    }

    /// What a replica has refused waits for the session to have no server.
    pub(in crate::session) fn is_to_be_asked_again(&self) -> bool {
        self.route.as_ref().is_some_and(|route| route.again.is_some())
    }

    /// The replica is gone: is the primary asked instead?
    pub(in crate::session) fn asks_again_elsewhere(&mut self) -> bool {
        let Some(route) = &mut self.route else { return false };
        let Some(UnderWay { node, cycle, begun, told, .. }) = route.under_way.take() else { return false };
        route.nodes.loads().give_up(node);
        route.nodes.cluster().report_failure(node);
        if begun {
            return false;
        }
        route.again = Some(cycle);
        self.out.clear();
        self.is_not_told(told);
        true
    }

    /// The replica does not take the session's settings, so that the primary is asked: the replica's server is of no use.
    pub(in crate::session) fn leave_unsettled(&mut self) -> bool {
        if !self.is_to_be_asked_again() {
            return false;
        }
        *self.handle.server.borrow_mut() = None;
        self.server.take().into_iter().for_each(|server| self.forget_batch(server));
        (self.unsent, self.asking) = (None, Asking::No);
        true
    }

    /// Nothing was sent to the server that is gone: if it was a replica, the primary is next.
    pub(in crate::session) fn leave_node(&mut self) {
        let Some(route) = &mut self.route else { return };
        route.chosen = None;
        if let Some(under_way) = route.under_way.take() {
            route.nodes.loads().give_up(under_way.node);
            route.nodes.cluster().report_failure(under_way.node);
            route.primary = true;
        }
    }

    /// Puts what a replica did not answer back in front of what the client has sent since; looks whether news have come.
    pub(in crate::session) fn poll_route(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(route) = &mut self.route else { return false };
        if self.server.is_none()
            && let Some(cycle) = route.again.take()
        {
            route.primary = true;
            self.input.splice(..0, cycle);
            self.pool.stats().asked_again.add(1);
            return true;
        }
        let come = route.waits.as_mut().is_some_and(|waits| waits.poll(cx));
        if come {
            self.handle.waiting.set(false);
        }
        come
    }
}
