//! When a session has nothing to do: what it waits for then, and who wakes it.

use std::task::{Context, Poll};

use tokio::task::coop::has_budget_remaining;

use super::serve::{End, Session};

impl Session {
    /// Nothing more can be done now: either that is the end, or wait for the next wake-up.
    pub(super) fn rest(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        if self.pace.is_some() {
            self.give_permits_back();
        }
        match self.end {
            Some(end) if self.out.is_empty() && self.client.poll_flush(cx).is_ready() => Poll::Ready(end),
            _ => Poll::Pending,
        }
    }

    /// The common end of a transaction: nothing is left that another round could move.
    pub(super) fn waits_for_client_only(&self) -> bool {
        self.server.is_none()
            && self.ticket.is_none()
            && self.listens.is_none()
            && !self.waits_for_node()
            && self.out.is_empty()
            && self.input.is_empty()
            && self.end.is_none()
            && self.handle.request.get().is_none()
            && self.client.is_flushed()
    }

    /// The common beginning of one: what the client sent is on its way, and another round would only ask to be woken.
    pub(super) fn waits_for_answer_only(&self) -> bool {
        self.server
            .as_ref()
            .is_some_and(|server| server.out.is_empty() && !server.broken && server.socket.is_flushed())
            && self.input.is_empty()
            && self.out.is_empty()
            && self.client.is_flushed()
            && self.listens.is_none()
            && self.carried.stopping.is_none()
            && self.handle.request.get().is_none()
            && self.route.as_ref().is_none_or(|route| !route.waits())
            && !(self.eof || self.leaving || self.is_held_up_here())
    }

    /// Asks to be woken by either side; whether one has said something already.
    pub(super) fn is_spoken_to(&mut self, cx: &mut Context<'_>) -> bool {
        let server = self.server.as_ref().is_none_or(|server| server.socket.poll_read_ready(cx).is_ready());
        let pending = self.client.poll_read_ready(cx).is_pending();
        self.attend(pending);
        server || !self.attends
    }

    /// The client's socket was asked: its next word wakes the session if it had nothing, and said so itself. One that was not asked because the session
    /// has done enough for one turn wakes nobody.
    pub(super) fn attend(&mut self, pending: bool) {
        self.attends = pending && has_budget_remaining();
    }
}
