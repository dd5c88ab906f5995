//! Databases that turn out not to be there are forgotten.
//!
//! Where the settings have a database for all others (`"*"`, or a URL alone), clients name what they like. Of a name for which the server says that there
//! is no such database, nothing is kept once nobody uses it: no pool, no counters, nothing that was to be known of it.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::Worker;
use super::shared::{PoolKey, Shared, lock, place};
use crate::pool::{Pool, Target};
use crate::wire::Fault;

/// Who has a pool that nobody uses: the worker, and its keeper.
const UNUSED: usize = 2;

impl Worker {
    /// Forgets pools of users whom the server never let in, and databases that the settings do not name, that are not
    /// there, and that no session uses.
    pub(super) fn forget_what_is_not_there(&self, now: Instant) {
        self.forget_who_is_refused(now);
        let is_unused = |pool: &Rc<Pool>| Rc::strong_count(pool) == UNUSED && pool.leads_nowhere();
        let pools = self.pools.borrow();
        let gone: Vec<PoolKey> =
            pools.iter().filter(|(_, pool)| is_unused(pool)).map(|(key, _)| key.clone()).collect();
        drop(pools);
        for key in gone {
            let Some(pool) = self.pools.borrow_mut().remove(&key) else { continue };
            pool.close(&Fault::error("3D000", format!("database \"{}\" does not exist", key.0)));
            let target = pool.target();
            drop(pool);
            self.forget_counters(&target);
            if !self.pools.borrow().keys().any(|(database, ..)| *database == target.database) {
                self.forget_database(&target);
            }
        }
    }

    /// What was counted of them stays.
    fn forget_who_is_refused(&self, now: Instant) {
        let is_of_use = |pool: &Rc<Pool>| Rc::strong_count(pool) > UNUSED || !pool.was_given_up(now);
        let gone: Vec<_> = self.pools.borrow_mut().extract_if(|_, pool| !is_of_use(pool)).collect();
        for (_, pool) in gone {
            pool.close(&Fault::error("57P03", "the pool is being removed"));
        }
    }

    fn forget_counters(&self, target: &Target) {
        let key = (target.database.clone(), target.user.clone());
        if let Some(stats) = self.stats.borrow_mut().remove(&key) {
            lock(&self.shared.stats).retain(|known| !Arc::ptr_eq(known, &stats));
        }
    }

    fn forget_database(&self, target: &Target) {
        let database = &target.database;
        self.listeners.borrow_mut().retain(|(of, _), _| of != database);
        self.functions.borrow_mut().remove(database);
        self.profiles.borrow_mut().remove(database);
        self.shared.forget(target);
    }
}

impl Shared {
    /// Forgets what nobody has of a database any more but the pool that is being closed.
    fn forget(&self, target: &Target) {
        lock(&self.pools)
            .retain(|key, budget| key.0 != target.database || Arc::strong_count(budget) > UNUSED);
        let place = place(&target.hosts, &target.server_database);
        forget_unused(&self.definitions, &place);
        forget_unused(&self.contents, &place);
    }
}

fn forget_unused<T>(all: &Mutex<HashMap<String, Arc<T>>>, place: &str) {
    let mut all = lock(all);
    if all.get(place).is_some_and(|known| Arc::strong_count(known) == 1) {
        all.remove(place);
    }
}
