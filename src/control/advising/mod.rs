//! A running pgweir advises by itself: from time to time, on each database whose statements it counts, with their values, which only the process knows.
//!
//! It is nobody's hurry. A thread of its own with the lowest priority does it, over a connection of its own to each node, bounded in time and in plans a
//! second, and only while no session waits for a server. It logs in as the user whose statements took longest, as catalogs are read on
//! connections of users that are there: who sent the statements may have them planned. What comes of it is on the pages, on the console (`SHOW ADVICE`)
//! and in lines of the slow-query log. In the store there are the numbers of fixes, the forms of plans, and which indexes there are, and nothing else of it.

pub mod connection;
mod followed;
mod kept;
mod noticed;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::{Notify, oneshot};

use super::history::History;
use crate::advice::form::Planned;
use crate::advice::{self, Advice, Advised, Fix, Limits, Workload};
use crate::pool::Target;
use crate::report::ids;
use crate::runtime::acceptor::Entrance;
use crate::stats::calendar::now;
use crate::store::marks::SeenTable;
use kept::Kept;

/// The first time is so long after the start at most: by then there is something to see.
const FIRST: Duration = Duration::from_secs(60);
/// A session that waits so long for a server says that there is no room for advice.
const CALM: Duration = Duration::from_millis(20);
/// How often it is looked whether it is calm, and how often it has to be in a row.
const LOOK: Duration = Duration::from_secs(1);
const LOOKS: usize = 3;
/// It is waited for so long.
const PATIENT: Duration = Duration::from_secs(300);
/// A worker that does not answer in this time is not calm.
const PATIENCE: Duration = Duration::from_secs(1);
/// So many of a database's users are tried.
const USERS: usize = 3;
/// What has become slower is told where it is slower still in the last day, in seconds.
const DAY: i64 = 86_400;
/// The lowest priority of a thread.
const NICE: i32 = 19;

/// What one database may be asked.
fn limits() -> Limits {
    Limits {
        time: Duration::from_secs(60),
        plans_per_second: 20.0,
        statement_timeout: Duration::from_secs(1),
        statements: 200,
        ..Limits::default()
    }
}

/// What advises, and what came of it.
pub struct Advising {
    entrance: Arc<Entrance>,
    history: Arc<History>,
    kept: Mutex<Kept>,
    /// The settings have changed.
    news: Notify,
}

/// A fix, as the console shows it.
#[derive(Debug, Clone)]
pub struct Told {
    /// The database as clients name it.
    pub database: String,
    /// Its name in reports.
    pub id: String,
    /// What to do.
    pub fix: Fix,
    /// When it was found.
    pub at: SystemTime,
}

impl Advising {
    /// Begins. Needs a runtime.
    pub fn start(entrance: Arc<Entrance>, history: Arc<History>) -> Arc<Advising> {
        let (kept, news) = (Mutex::default(), Notify::new());
        let advising = Arc::new(Advising { entrance, history, kept, news });
        tokio::spawn(advising.clone().keep());
        advising
    }

    /// Other settings hold from now on.
    pub fn reload(&self) {
        self.news.notify_one();
    }

    /// What is advised now, on all databases together; `None`: nothing was yet.
    pub fn advice(&self) -> Option<Arc<Advice>> {
        self.kept().together()
    }

    /// The numbers of its fixes, where there is a store that gave them.
    pub fn numbers(&self) -> HashMap<u128, u64> {
        self.kept().numbers.clone()
    }

    /// What became of indexes that were advised and are there now, and why databases could not be advised on the last time that it was tried.
    pub fn notes(&self) -> Vec<String> {
        let kept = self.kept();
        [kept.became(), kept.failures()].concat()
    }

    /// Why databases could not be advised on the last time that it was tried.
    pub fn failures(&self) -> Vec<String> {
        self.kept().failures()
    }

    /// All fixes, by database, the dearest first.
    pub fn told(&self) -> Vec<Told> {
        self.kept().told()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How often, as the settings say now; `None`: never.
    fn interval(&self) -> Option<Duration> {
        let settings = &self.entrance.directory().settings;
        settings.history.advise.filter(|_| settings.counts())
    }

    async fn keep(self: Arc<Advising>) {
        let mut first = true;
        loop {
            let Some(interval) = self.interval() else {
                self.news.notified().await;
                continue;
            };
            let pause = if first { interval.min(FIRST) } else { interval };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.news.notified() => continue,
            }
            first = false;
            for (database, users) in self.history.databases().await {
                let found = match self.is_calm(&database, interval.min(PATIENT)).await {
                    true => self.advise(&database, &users).await,
                    false => Err("its sessions wait for servers: it is asked when they do not".to_owned()),
                };
                self.keep_found(&database, found).await;
            }
        }
    }

    /// Waits until no session of a database waits; false: that did not come in this time.
    async fn is_calm(&self, database: &str, patience: Duration) -> bool {
        let until = tokio::time::Instant::now() + patience;
        let mut calm = 0;
        while calm < LOOKS {
            calm = if self.waits(database).await { 0 } else { calm + 1 };
            if calm < LOOKS {
                if tokio::time::Instant::now() >= until {
                    return false;
                }
                tokio::time::sleep(LOOK.min(patience / 4)).await;
            }
        }
        true
    }

    /// Whether a session of a database waits for a server, or may not have one.
    async fn waits(&self, database: &str) -> bool {
        for worker in &self.entrance.workers {
            let Ok(report) = tokio::time::timeout(PATIENCE, worker.report()).await else { return true };
            let mut pools = report.pools.iter().filter(|(target, _)| target.database == database);
            if pools.any(|(_, pool)| pool.max_wait > CALM || pool.paused) {
                return true;
            }
        }
        false
    }

    /// Asks as one after the other of its users, until one is let in.
    async fn advise(&self, database: &str, users: &[String]) -> Result<(Advised, Arc<Workload>), String> {
        let mut workload = self.history.workload(database).await;
        self.add_moments(database, &mut workload).await;
        let workload = Arc::new(workload);
        let mut last = "nobody is known to log in as".to_owned();
        for target in self.targets(database, users) {
            match ask(&target, workload.clone()).await {
                Ok(advised) => return Ok((advised, workload)),
                Err(reason) => last = reason,
            }
        }
        Err(last)
    }

    /// From when on statements have been slower: the store knows, where there is one that can be read.
    async fn add_moments(&self, database: &str, workload: &mut Workload) {
        let view = self.history.view();
        let own = view.own();
        let Some((place, _)) = view.store else { return };
        let (database, window) = (database.to_owned(), (now() - DAY, now()));
        let read = move || place.turns(window, Some(&database), own.as_deref()).unwrap_or_default();
        let mut turns = tokio::task::spawn_blocking(read).await.unwrap_or_default();
        for observed in &mut workload.shapes {
            observed.turn = turns.remove(&observed.fingerprint);
        }
    }

    /// Those whose statements took longest, then those that the settings name.
    fn targets(&self, database: &str, users: &[String]) -> Vec<Arc<Target>> {
        let directory = self.entrance.directory();
        let named = directory.database(database).map(|known| known.probe_users.clone()).unwrap_or_default();
        let mut all: Vec<&String> = users.iter().take(USERS).chain(named.iter().take(1)).collect();
        let mut seen = std::collections::HashSet::new();
        all.retain(|user| seen.insert(*user));
        all.into_iter().filter_map(|user| directory.target(database, user)).collect()
    }

    /// Keeps what came of it, and lets others know. That it fails is told once, until it does for another reason.
    async fn keep_found(&self, database: &str, found: Result<(Advised, Arc<Workload>), String>) {
        match found {
            Ok((advised, workload)) => {
                let (fixes, plans, took) = (advised.advice.fixes.len(), advised.plans, advised.took);
                tracing::debug!(database, fixes, plans, ?took, "advised");
                let keys: Vec<u128> = advised.advice.fixes.iter().map(ids::key).collect();
                let seen = (advised.planned.clone(), noticed::tables(&advised.schema));
                let numbers = self.numbered(database, keys, seen).await;
                let mut kept = self.kept();
                kept.take(database, advised, numbers, &workload);
                *self.history.advised().lock().unwrap_or_else(PoisonError::into_inner) = kept.lines();
            }
            Err(reason) => {
                if self.kept().failed(database, &reason) {
                    tracing::warn!(database, reason, "no advice on this database; see history.advise");
                }
            }
        }
    }

    /// The numbers that the store gives, which keeps the plans besides, and the indexes; none where there is no store, or it cannot be written.
    async fn numbered(
        &self,
        database: &str,
        keys: Vec<u128>,
        (planned, tables): (Vec<Planned>, Vec<SeenTable>),
    ) -> Vec<(u128, u64)> {
        let view = self.history.view();
        let own = view.own();
        let Some((place, _)) = view.store else { return vec![] };
        let (database, instance, now) = (database.to_owned(), view.instance, now());
        let asked = move || {
            let numbers = place.of_fixes(&keys, now).unwrap_or_default();
            // What is the matter with it, its own writer tells.
            drop(place.note_plans((&database, own.as_deref()), &planned, now));
            drop(place.note_indexes((&database, &instance), &tables, now));
            keys.into_iter().zip(numbers).collect()
        };
        tokio::task::spawn_blocking(asked).await.unwrap_or_default()
    }
}

/// Advises on a thread of its own: nobody else waits for its reckoning, and the end of the process does not either.
async fn ask(target: &Arc<Target>, workload: Arc<Workload>) -> Result<Advised, String> {
    let ways: Vec<_> =
        target.hosts.iter().map(|host| (host.to_string(), Arc::new(target.at(host)))).collect();
    let (answer, answered) = oneshot::channel();
    let asking = move || {
        // Who may not is as fast as others.
        let _ = rustix::process::setpriority_process(None, NICE);
        drop(answer.send(run(ways, &workload)));
    };
    let thread = std::thread::Builder::new().name("advice".to_owned()).spawn(asking);
    thread.map_err(|error| format!("there is no thread for it: {error}"))?;
    answered.await.unwrap_or_else(|_| Err("it ended without an answer".to_owned()))
}

fn run(ways: Vec<(String, Arc<Target>)>, workload: &Workload) -> Result<Advised, String> {
    let limits = limits();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let asking = async {
        let (nodes, missing) = connection::nodes(ways, &limits).await?;
        let advised = advice::advise(workload, nodes, &limits).await;
        let mut advised = advised.map_err(|refused| refused.to_string())?;
        advised.advice.notes.extend(missing);
        Ok(advised)
    };
    runtime.map_err(|error| format!("no runtime: {error}"))?.block_on(asking)
}
