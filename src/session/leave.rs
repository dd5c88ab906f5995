//! The client is gone: what it left on its server is cleaned, or the server is closed.

use std::rc::Rc;
use std::time::{Duration, Instant};

use super::handle::Handle;
use super::serve::{End, Session, TERMINATE};
use super::simple::OF_THE_PROCESS;
use crate::config::settings::PoolMode;
use crate::pool::connect::parameter;
use crate::pool::reach::cancel;
use crate::pool::{Pool, Server};
use crate::wire::emit;
use crate::wire::frame::{Frame, HEADER, TxStatus, back};

/// How long a cancel, or cleaning a server, may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it is asked whether a server has done what pgweir put ahead of a statement.
const OWN_WORK: Duration = Duration::from_millis(1);

impl Session {
    /// The stream ended. Behind a Terminate that waits its turn, what came before it is carried out.
    pub(super) fn client_gone(&mut self) {
        self.eof = true;
        if !self.leaving && !self.input.ends_with(TERMINATE) {
            self.client_left();
        }
    }

    /// What runs is cancelled, nobody waits for it.
    pub(super) fn client_left(&mut self) {
        self.end = Some(End::ClientLeft);
        self.out.clear();
    }

    /// Ends the session. A server that is at work has its statement cancelled and is closed; one that is idle in a
    /// transaction is rolled back; one that was pinned is reset.
    pub(super) fn leave(&mut self, end: End) {
        tracing::debug!(pid = self.handle.pid, ?end, "session ended");
        (self.ticket, self.verdict) = (None, None);
        self.capture_end();
        self.route.iter_mut().for_each(|route| drop(route.give_up()));
        let pace = self.pace.take();
        let Some(mut server) = self.server.take() else { return };
        // Its last answer may be long ago.
        server.clock.answered = None;
        *self.handle.server.borrow_mut() = None;
        // A server that waits for the rest of a message would take the next session's bytes for it.
        let half_a_message = self.input_rest > 0 && !self.drop_rest;
        let at_work = half_a_message || !server.expects.is_empty() || server.copy_in;
        if server.broken || server.spoiled || self.pins.iter().any(|pin| OF_THE_PROCESS.contains(pin)) {
            return drop(server);
        }
        if at_work {
            let shared = server.shared.clone();
            drop(server);
            let defining = (self.defining.take(), self.redefining.take());
            tokio::task::spawn_local(async move {
                cancel(&shared).await;
                // What it ran has its permits until it is told to stop.
                drop((defining, pace));
            });
            return;
        }
        let dirty = self.mode == PoolMode::Session || !self.pins.is_empty() || !self.after.is_empty();
        if !dirty && !self.batch_open && server.is_clean() {
            return server.pool().clone().give_back(server);
        }
        tokio::task::spawn_local(clean(server, dirty));
    }
}

/// Rolls back, resets if `dirty`, and gives the server back if that worked.
async fn clean(mut server: Box<Server>, dirty: bool) {
    let cleaned = crate::timer::timeout(PATIENCE, async {
        server.out.clear();
        emit::empty(&mut server.out, crate::wire::frame::front::SYNC);
        emit::query(&mut server.out, b"ROLLBACK");
        if dirty {
            emit::query(&mut server.out, b"DISCARD ALL");
        }
        let out = std::mem::take(&mut server.out);
        server.socket.write_all(&out).await.ok()?;
        server.residue.clear();
        for _ in 0..2 + usize::from(dirty) {
            server.tx = until_ready(&mut server).await?;
        }
        server.skips = false;
        Some(())
    })
    .await;
    if cleaned != Ok(Some(())) {
        return;
    }
    if dirty {
        server.prepared.clear();
        server.unnamed = 0;
        server.sequences.clear();
        server.murky = false;
        server.limit = 0;
        server.state = server.pool().base_state();
    }
    if server.told == server.reading.under(server.state.settings()) {
        server.pool().clone().give_back(server);
    }
}

/// Drops messages up to ReadyForQuery; `None` on an error other than a warning, or at the end of the stream.
async fn until_ready(server: &mut Server) -> Option<TxStatus> {
    loop {
        let mut head = [0; HEADER];
        server.socket.read_exact(&mut head).await.ok()?;
        let frame = Frame::peek(&head).ok()??;
        if frame.total > 1 << 20 {
            return None;
        }
        let mut body = vec![0; frame.total - HEADER];
        server.socket.read_exact(&mut body).await.ok()?;
        if let (back::PARAMETER_STATUS, Some((name, value))) = (head[0], parameter(&body)) {
            server.hear(&name, &value);
        }
        match frame.tag {
            back::READY_FOR_QUERY => return body.first().map(|byte| TxStatus::from_byte(*byte)),
            back::ERROR_RESPONSE => return None,
            _ => {}
        }
    }
}

/// Cancels for a session: meanwhile its server is lent to nobody else, so that nobody else can be hit. What pgweir put
/// ahead of the client's statement, or behind it, is let to its end: it is not what the client means.
pub(crate) async fn cancel_for(pools: &[Rc<Pool>], session: &Handle) {
    let until = Instant::now() + PATIENCE;
    let server = loop {
        let Some(server) = session.server.borrow().clone() else { return };
        if !server.own.get() || Instant::now() > until {
            break server;
        }
        crate::timer::sleep(OWN_WORK).await;
    };
    // It must not hit those who are behind.
    server.follow.send_away();
    server.cancels.set(server.cancels.get() + 1);
    cancel(&server).await;
    server.cancels.set(server.cancels.get() - 1);
    if server.cancels.get() == 0 {
        pools.iter().for_each(|pool| pool.unpark());
    }
}
