//! Which cache a session has: its database's, from when rules keep answers, and another one when its database is somewhere else since a reload.

use std::sync::Arc;

use super::cached::Cached;
use super::serve::Session;
use crate::level::InTransaction;
use crate::rules::Cache;
use crate::sql::Isolation;
use crate::wire::frame::TxStatus;

impl Session {
    /// Rules keep answers: the session has its database's cache from now on. With a reload that may be another one.
    #[inline]
    pub(super) fn begin_caching(&mut self) {
        let has = match &self.cached {
            Some(cached) => cached.reloads == self.worker.reloads(),
            None => !self.worker.rules.caches(),
        };
        if !has {
            self.take_cache();
        }
    }

    /// Whether a rule keeps answers in the transaction that the session is in. Where it is one that was begun READ ONLY and of which no server knows yet, the server would
    /// take a snapshot of its own for the statement, as it does outside of transactions: unless each of its statements is to see what the first one did.
    pub(super) fn transaction_allows(&self, rule: &Cache) -> bool {
        let Some(begin) = &self.held_begin else { return true };
        let each_anew = matches!(begin.modes.isolation, None | Some(Isolation::ReadCommitted));
        rule.in_transaction == InTransaction::ReadOnly && self.begins_to_read() && each_anew
    }

    /// The transaction status of a session without a server.
    pub(super) fn status_here(&self) -> TxStatus {
        if self.held_begin.is_some() { TxStatus::Open } else { TxStatus::Idle }
    }

    #[cold]
    fn take_cache(&mut self) {
        let (cache, reloads) = (self.worker.shared.caches.of(&self.pool.target()), self.worker.reloads());
        cache.judged_by(self.profiles.judge.definitions());
        match &mut self.cached {
            Some(cached) if Arc::ptr_eq(&cached.cache, &cache) => cached.reloads = reloads,
            known => {
                let waited = known.as_ref().is_some_and(|cached| cached.waits.is_some());
                *known = Some(Box::new(Cached::new(cache, reloads, &self.state)));
                if waited {
                    self.handle.waiting.set(false);
                }
            }
        }
    }
}
