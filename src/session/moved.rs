//! Which cache a session has: its database's, from when rules keep answers, and another one when its database is somewhere else since a reload.

use std::sync::Arc;

use super::cached::Cached;
use super::serve::Session;

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

    #[cold]
    fn take_cache(&mut self) {
        let (cache, reloads) = (self.worker.shared.caches.of(&self.pool.target()), self.worker.reloads());
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
