//! What a server says without being asked: notifications, news of its settings, and why it ends.

use super::relay::Verdict;
use super::serve::Session;
use crate::config::settings::PoolMode;
use crate::pool::Server;
use crate::wire::Fault;
use crate::wire::frame::{HEADER, TxStatus, back};

impl Session {
    /// Notifications are for sessions that listen.
    pub(super) fn notification(&self, whole: &[u8]) -> Verdict {
        let listens = self.mode == PoolMode::Session || self.listening && !self.hears(whole);
        if listens { Verdict::Forward } else { Verdict::Swallow }
    }

    /// Something that answers nothing: news of the server's own.
    pub(super) fn unasked(&mut self, tag: u8, whole: &[u8]) -> Verdict {
        if tag == back::NOTIFICATION_RESPONSE {
            return self.notification(whole);
        }
        if tag == back::ERROR_RESPONSE
            && let Some(server) = &mut self.server
        {
            server.broken = true;
            tracing::info!(error = %Fault::from_body(&whole[HEADER..]), "server ended the connection");
            let done = self.has_done_with_server();
            return if done { self.let_server_go() } else { self.farewell(&whole[HEADER..]) };
        }
        if !matches!(tag, back::NOTICE_RESPONSE | back::PARAMETER_STATUS)
            && let Some(server) = &mut self.server
        {
            // More of it may come, and nobody else is to take that for an answer.
            server.spoiled = true;
        }
        Verdict::Forward
    }

    /// All that the session wanted of the server was answered: were it not for what came in the same read, others would have it now.
    fn has_done_with_server(&self) -> bool {
        let idle = |server: &Server| server.tx == TxStatus::Idle && !server.skips;
        self.unsent.is_none()
            && self.server.as_deref().is_some_and(idle)
            && self.after.is_empty()
            && !self.keeps_server()
    }

    fn let_server_go(&mut self) -> Verdict {
        *self.handle.server.borrow_mut() = None;
        self.server = None;
        Verdict::Swallow
    }

    /// Why the server ends is not for a client that has sent it nothing: another server will be asked.
    pub(super) fn farewell(&mut self, fields: &[u8]) -> Verdict {
        if self.unsent.is_some() || self.ends_unseen(fields) { Verdict::Swallow } else { Verdict::Forward }
    }
}
