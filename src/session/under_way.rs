//! What is under way on a replica, until its answer has begun; and back to the primary when a replica does not answer it.
//!
//! Until the answer of a cycle has begun (a row, an end), nothing of it is given to the client: an error, or the loss of the replica, has
//! the same bytes sent to the primary, and nobody notices.

use std::rc::Rc;
use std::task::Context;
use std::time::Instant;

use super::read_only::There;
use super::route::{Chosen, LONGEST, Route, Step};
use super::serve::Session;
use super::statement::significant;
use super::told::{Asking, Told};
use crate::plan::Profile;
use crate::plan::topology::NodeId;
use crate::pool::Server;
use crate::pool::exchange::{Expect, Kind, Note};
use crate::pool::prepared::Description;
use crate::wire::emit;
use crate::wire::frame::{self, TxStatus, back, front};

/// A cycle that a replica has.
pub(super) struct UnderWay {
    pub(super) node: NodeId,
    cycle: Vec<u8>,
    profile: Option<Rc<Profile>>,
    since: Instant,
    /// So much of it has yet to be taken off the input.
    left: usize,
    /// Its answer has begun.
    begun: bool,
    /// So many bytes of what waits for the client come before its answer.
    ahead: usize,
    /// What the client knew of its statements before this answer.
    told: Vec<Told>,
    /// The name under which a statement is prepared in it, and the tick of that.
    named: Option<(Box<[u8]>, u64)>,
}

impl UnderWay {
    /// Of a cycle that a node has since that time.
    pub(super) fn new(
        (node, since): (NodeId, Instant),
        cycle: Vec<u8>,
        profile: Option<Rc<Profile>>,
        ahead: usize,
    ) -> UnderWay {
        let left = cycle.len();
        UnderWay { node, left, cycle, profile, since, begun: false, ahead, told: vec![], named: None }
    }

    /// The bytes that were taken off the input.
    fn taken(mut self) -> Vec<u8> {
        self.cycle.truncate(self.cycle.len() - self.left);
        self.cycle
    }
}

impl Route {
    /// The cycle is sent to a replica.
    pub(super) fn begin(&mut self, under_way: UnderWay) {
        self.nodes.loads().begin(under_way.node, under_way.since);
        self.step = Step::UnderWay(under_way);
    }

    fn under_way(&mut self) -> Option<&mut UnderWay> {
        match &mut self.step {
            Step::UnderWay(under_way) => Some(under_way),
            _ => None,
        }
    }

    /// What is under way will not be answered there, or the client is told why it was not.
    pub(super) fn give_up(&mut self) -> Option<UnderWay> {
        match std::mem::take(&mut self.step) {
            Step::UnderWay(under_way) => {
                self.nodes.loads().give_up(under_way.node);
                Some(under_way)
            }
            other => {
                self.step = other;
                None
            }
        }
    }
}

impl Session {
    /// A server was leased: what was chosen for it is under way.
    pub(super) fn enter_node(&mut self) {
        let Some(route) = &mut self.route else { return };
        let Step::Chosen(Chosen { node, cycle, profile, .. }) = std::mem::take(&mut route.step) else {
            return;
        };
        self.pool.stats().replica_reads.add(1);
        let lent = self.server.as_ref().and_then(|server| server.clock.lent);
        let since = lent.unwrap_or_else(Instant::now);
        route.begin(UnderWay::new((node, since), cycle, Some(profile), self.out.len()));
        route.there = self.held_begin.as_ref().map(|begin| There::new(node, begin));
    }

    /// The chosen node gives no server: the primary is asked. False: none was chosen.
    pub(super) fn node_refuses(&mut self) -> bool {
        let Some(route) = &mut self.route else { return false };
        let Step::Chosen(Chosen { node, .. }) = route.step else { return false };
        route.nodes.cluster().report_failure(node);
        route.step = Step::Primary;
        self.following = 0;
        self.handle.waiting.set(false);
        true
    }

    /// Nothing of the answer is given to the client yet, because the primary may be asked instead.
    #[inline]
    pub(super) fn holds_answer(&self) -> bool {
        let step = self.route.as_ref().map(|route| &route.step);
        matches!(step, Some(Step::UnderWay(under_way)) if !under_way.begun)
    }

    /// How much of what waits for the client may be given to it.
    #[inline]
    pub(super) fn may_be_given(&self) -> usize {
        match self.route.as_ref().map(|route| &route.step) {
            Some(Step::UnderWay(under_way)) if !under_way.begun => under_way.ahead,
            _ => self.out.len(),
        }
    }

    /// So much of what waited for the client was given to it.
    #[inline]
    pub(super) fn was_given(&mut self, written: usize) {
        if let Some(under_way) = self.route.as_mut().and_then(|route| route.under_way()) {
            under_way.ahead = under_way.ahead.saturating_sub(written);
        }
    }

    /// A message of a replica's answer: does it begin?
    #[inline]
    pub(super) fn note_beginning(&mut self, tag: u8) {
        let Some(route) = &mut self.route else { return };
        let Step::UnderWay(under_way) = &mut route.step else { return };
        let is_ahead = matches!(
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
        // More than that is not held back.
        under_way.begun |= !is_ahead || self.out.len() - under_way.ahead.min(self.out.len()) > LONGEST;
        if under_way.begun
            && let Some(there) = &mut route.there
        {
            there.shown = true;
        }
    }

    /// A replica answers with an error: if its answer has not begun, the primary is asked instead; but not when the client has cancelled it, or
    /// it was out of time.
    pub(super) fn asks_again(&mut self, fields: &[u8]) {
        if !self.holds_answer() {
            return;
        }
        let Some(route) = &mut self.route else { return };
        let sqlstate = sqlstate(fields);
        if sqlstate == b"57014" {
            route.give_up();
            return;
        }
        if let Some(UnderWay { profile: Some(profile), .. }) = route.under_way() {
            // A read-only transaction, or a feature that replicas lack: that will not change.
            profile.refused.set(profile.refused.get() || matches!(sqlstate, b"25006" | b"0A000"));
        }
        self.leaves_node();
    }

    /// What is under way, and its transaction, go from their replica to the primary.
    pub(super) fn leaves_node(&mut self) {
        let Some(route) = &mut self.route else { return };
        let Some(mut under_way) = route.give_up() else { return };
        self.out.truncate(under_way.ahead);
        let (told, named) = (std::mem::take(&mut under_way.told), under_way.named.take());
        route.step = Step::Leaves(Some(under_way.taken()));
        self.is_not_told(told);
        // The client has not been told that there is such a statement, and its Parse is sent again.
        named.into_iter().for_each(|(name, when)| self.forget_name(&name, when));
    }

    /// A statement is being prepared under this name, at this tick.
    pub(super) fn keep_named(&mut self, name: &[u8], when: u64) {
        if let Some(under_way) = self.route.as_mut().and_then(|route| route.under_way()) {
            under_way.named = Some((significant(name).into(), when));
        }
    }

    /// An answer that is kept here has told something of a statement.
    pub(super) fn keep_told(&mut self, name: Box<[u8]>, when: u64, before: Option<Rc<Description>>) {
        let under_way = self.route.as_mut().and_then(|route| route.under_way());
        if let Some(under_way) = under_way.filter(|under_way| !under_way.begun) {
            under_way.told.push((name, when, before));
        }
    }

    /// The replica does not take the session's settings, so that the primary is asked: the replica's server is of no use.
    pub(super) fn leave_unsettled(&mut self) -> bool {
        if !self.is_to_be_asked_again() {
            return false;
        }
        *self.handle.server.borrow_mut() = None;
        self.server.take().into_iter().for_each(|server| self.forget_batch(server));
        (self.unsent, self.asking) = (None, Asking::No);
        true
    }

    /// The session ends: what it holds back of an answer is for nobody, and nothing behind it is held back.
    pub(super) fn drop_held_answer(&mut self) {
        let holds = self.holds_answer();
        let Some(under_way) = self.route.as_mut().and_then(|route| route.give_up()) else { return };
        if holds {
            self.out.truncate(under_way.ahead);
        }
    }

    /// What the server still says of the cycle that goes to another is for nobody.
    pub(super) fn hears_no_more(&mut self) {
        let Some(server) = &mut self.server else { return };
        server.expects.iter_mut().for_each(|expect| expect.ours = true);
        if server.skips {
            emit::empty(&mut server.out, front::SYNC);
            server.expect(Expect::ours(Kind::Sync, Note::None));
            server.skips = false;
        }
        (self.batch_open, self.batch) = (false, Default::default());
        // Nor is anything that it was told or asked ahead of it.
        (self.unused, self.settling) = (false, false);
        if matches!(self.asking, Asking::Waits(..)) {
            self.asking = Asking::No;
        }
    }

    /// What a replica has refused waits for the session to have no server.
    pub(super) fn is_to_be_asked_again(&self) -> bool {
        self.route.as_ref().is_some_and(|route| matches!(route.step, Step::Leaves(_)))
    }

    /// The `server` is gone: is the primary asked instead?
    pub(super) fn asks_again_elsewhere(&mut self, server: &Server) -> bool {
        let Some(route) = &mut self.route else { return false };
        match &route.step {
            Step::UnderWay(under_way) => {
                route.nodes.cluster().report_failure(under_way.node);
                if under_way.begun {
                    route.give_up();
                    return false;
                }
                self.leaves_node();
                true
            }
            Step::Leaves(_) => true,
            _ => self.outlives_its_server(server),
        }
    }

    /// Whether the replica is down that has not begun to answer: it may be frozen, or the network to it gone, without a word.
    pub(super) fn waits_in_vain(&self) -> bool {
        let Some(route) = &self.route else { return false };
        let Step::UnderWay(under_way) = &route.step else { return false };
        !under_way.begun && self.server.is_some() && route.nodes.sighting().topology.is_down(under_way.node)
    }

    /// Nothing was sent to the server that is gone: if it was a replica, the primary is next.
    pub(super) fn leave_node(&mut self) {
        let Some(route) = &mut self.route else { return };
        route.there = None;
        match route.give_up() {
            Some(under_way) => {
                route.nodes.cluster().report_failure(under_way.node);
                route.step = Step::Primary;
            }
            None => route.step = Step::Open,
        }
    }

    /// So many bytes were taken off the input.
    #[inline]
    pub(super) fn note_taken(&mut self, taken: usize) {
        if let Some(under_way) = self.route.as_mut().and_then(|route| route.under_way()) {
            under_way.left = under_way.left.saturating_sub(taken);
        }
    }

    /// The client's next cycle must wait: for a replica to catch up, for what it has refused, or for its answer, since what comes
    /// next may be for the primary.
    #[inline]
    pub(super) fn waits_for_node(&self) -> bool {
        let Some(route) = &self.route else { return false };
        let elsewhere = || self.server.as_ref().is_some_and(|server| !Rc::ptr_eq(server.pool(), &self.pool));
        match &route.step {
            Step::Leaves(_) => true,
            Step::UnderWay(under_way) => under_way.left == 0 && elsewhere(),
            Step::Over => {
                elsewhere() || self.server.as_ref().is_some_and(|server| !server.expects.is_empty())
            }
            _ if route.there.is_some() => self.waits_there(),
            _ => route.waits() || elsewhere(),
        }
    }

    /// Puts what a replica did not answer back in front of what the client has sent since; looks whether news have come.
    pub(super) fn poll_route(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(route) = &mut self.route else { return false };
        if self.server.is_some() || !matches!(route.step, Step::Leaves(_)) {
            let come = route.poll_news(cx);
            if come {
                self.handle.waiting.set(false);
            }
            return come;
        }
        let Step::Leaves(cycle) = std::mem::take(&mut route.step) else { return false };
        if let Some(cycle) = cycle {
            route.step = Step::Primary;
            self.input.splice(..0, cycle);
            self.pool.stats().asked_again.add(1);
        }
        self.begin_at_primary();
        true
    }

    /// A statement of the client's has run.
    #[inline]
    pub(super) fn note_run(&mut self) {
        if let Some(route) = &mut self.route {
            route.ran = true;
        }
    }

    /// A cycle of the client's was answered: what it has seen must not be undone.
    pub(super) fn note_seen(&mut self, now: Instant) {
        let (Some(route), Some(server)) = (&mut self.route, &self.server) else { return };
        let (ran, ended) = (std::mem::take(&mut route.ran), server.tx == TxStatus::Idle);
        if ended && route.there.take().is_some() {
            self.pool.stats().replica_transactions.add(1);
        }
        if let Step::UnderWay(done) = &mut route.step {
            let (node, since, cycle) = (done.node, done.since, std::mem::take(&mut done.cycle));
            route.step = Step::Open;
            route.nodes.loads().end(node, now.duration_since(since), now);
            route.spare(cycle);
            return route.nodes.used(node, &mut route.floor);
        }
        if !ran && ended {
            // It has only prepared or described.
            return;
        }
        let node = route.nodes.sighting().id_of(&server.shared.host);
        if let Some(node) = node {
            route.nodes.used(node, &mut route.floor);
        }
    }
}

/// The SQLSTATE of an error.
pub(super) fn sqlstate(fields: &[u8]) -> &[u8] {
    frame::fields(fields).find(|(code, _)| *code == b'C').map_or(&b""[..], |field| field.1)
}
