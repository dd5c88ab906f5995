//! What others ask of a session: to stop waiting, to end when it can, or because it has been idle for too long.

use std::time::Duration;

use super::handle::Request;
use super::outcome;
use super::serve::Session;
use crate::pool::Server;
use crate::wire::Fault;
use crate::wire::frame::TxStatus;

impl Session {
    /// Does what others have asked of the session; gives whether there was anything to do.
    pub(super) fn obey(&mut self) -> bool {
        if self.is_astray() {
            return self.leave_the_astray();
        }
        if self.waits_in_vain() {
            self.server_gone();
            return true;
        }
        match self.handle.request.get() {
            Some(Request::Cancel)
                if self.ticket.is_some()
                    || self.waits_for_replicas_no_more()
                    || self.waits_for_cache_no_more() =>
            {
                self.handle.request.set(None);
                self.refused(
                    Fault::error("57014", "canceling statement due to user request")
                        .routine("ProcessInterrupts"),
                );
                true
            }
            Some(Request::Cancel) => {
                self.handle.request.set(None);
                self.cancel_turn()
            }
            Some(Request::Quiet(time)) => {
                self.handle.request.set(None);
                self.end_if_idle(time)
            }
            Some(Request::Kill) => self.admin_shutdown(),
            Some(Request::Drain) if self.at_rest() => self.admin_shutdown(),
            _ => false,
        }
    }

    /// Whether another node has become the primary than the one where the session is at work.
    fn is_astray(&self) -> bool {
        self.server.as_ref().is_some_and(|server| server.pool().is_astray(&server.shared.host))
    }

    /// Nothing more is to be written there. Where nothing has been, the cycle goes to the other one; else the client is told what
    /// has become of it, and ends: an open transaction is rolled back.
    fn leave_the_astray(&mut self) -> bool {
        if self.unsent.is_some() {
            self.take_back();
            return true;
        }
        let at_work = self.server.as_deref().filter(|server| !server.expects.is_empty());
        let text = "terminating connection because another node has become the primary";
        let fault = at_work.map_or_else(|| Fault::fatal("57P01", text), outcome::lost);
        self.fatal(&fault);
        true
    }

    fn at_rest(&self) -> bool {
        let idle = |server: &Server| server.tx == TxStatus::Idle && server.expects.is_empty();
        self.ticket.is_none()
            && !self.waits_for_listener()
            && self.held_begin.is_none()
            && self.route.as_ref().is_none_or(|route| route.there.is_none())
            && self.input.is_empty()
            && self.server.as_deref().is_none_or(idle)
    }

    fn admin_shutdown(&mut self) -> bool {
        self.handle.request.set(None);
        let text = "terminating connection due to administrator command";
        self.fatal(&Fault::fatal("57P01", text).routine("ProcessInterrupts"));
        true
    }

    /// The client has been quiet for so long: that is the end if nothing is being done for it and the settings say so. Gives whether
    /// it is.
    fn end_if_idle(&mut self, time: Duration) -> bool {
        let limits = self.worker.limits();
        let works = |server: &Server| !server.expects.is_empty() || !server.out.is_empty() || server.copy_in;
        let busy = self.is_held_up() || !self.input.is_empty() || self.server.as_deref().is_some_and(works);
        let in_transaction = self.tx_status() != TxStatus::Idle || self.batch_open || self.input_rest > 0;
        let (limit, sqlstate, what) = match in_transaction {
            true => (limits.idle_in_transaction_timeout, "25P03", "idle-in-transaction"),
            false => (limits.client_idle_timeout, "57P05", "idle-session"),
        };
        let Some(limit) = limit.filter(|_| !busy) else {
            // From the end of what is being done, it counts anew.
            self.handle.stirred.set(true);
            return false;
        };
        if time < limit {
            return false;
        }
        let text = format!("terminating connection due to {what} timeout");
        self.fatal(&Fault::fatal(sqlstate, text).routine("ProcessInterrupts"));
        true
    }
}
