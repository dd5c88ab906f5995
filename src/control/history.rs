//! History: gathers what workers have counted of statements, keeps what the console shows, and hands it to the store.
//!
//! Nothing of this is on the way of a statement: workers give what they have counted when they are asked, and the store has a thread of its
//! own. Where settings want neither, nothing is counted.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::Notify;

use crate::config::settings::{self, Settings};
use crate::runtime::WorkerLink;
use crate::runtime::worker::Order;
use crate::slow::Merged;
use crate::store::{Batch, Policy, Status, Writer};

/// How long a stop waits for what is not written yet.
const PATIENCE: Duration = Duration::from_secs(3);

/// What gathers, and what it has.
pub struct History {
    workers: Vec<WorkerLink>,
    inner: Mutex<Inner>,
    /// One after the other gathers.
    gathering: tokio::sync::Mutex<()>,
    /// The settings have changed.
    news: Notify,
}

struct Inner {
    settings: settings::History,
    instance: String,
    writer: Option<Writer>,
    /// Since the start.
    seen: Merged,
    /// What the store has not been given yet.
    pending: Merged,
    /// So many statements the store did not take.
    missing: u64,
}

/// How it is.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// Statements are counted.
    pub counts: bool,
    /// Statements that were counted with all others of their user, for want of room, up to when it was last gathered.
    pub folded: u64,
    /// The file, and how it is.
    pub store: Option<(String, Arc<Status>)>,
}

impl History {
    /// Begins as the settings say. Needs a runtime.
    pub fn start(settings: &Settings, workers: Vec<WorkerLink>) -> Arc<History> {
        let own = settings.history.clone();
        let instance = own.instance.clone().unwrap_or_else(|| instance(settings));
        let inner = Inner {
            settings: own,
            instance,
            writer: None,
            seen: Merged::default(),
            pending: Merged::default(),
            missing: 0,
        };
        let history = Arc::new(History {
            workers,
            inner: Mutex::new(inner),
            gathering: tokio::sync::Mutex::default(),
            news: Notify::new(),
        });
        history.begin();
        tokio::spawn(history.clone().keep());
        history
    }

    /// Other settings hold from now on.
    pub fn reload(&self, settings: &Settings) {
        self.inner().settings.clone_from(&settings.history);
        self.begin();
        self.news.notify_one();
    }

    /// Gathers what there is, writes it, and waits for that a while.
    pub async fn stop(&self) {
        self.gather().await;
        self.hand_over();
        let Some(mut writer) = self.inner().writer.take() else { return };
        let written = tokio::task::spawn_blocking(move || writer.close(PATIENCE)).await;
        if !written.unwrap_or(false) {
            tracing::warn!(patience = ?PATIENCE, "the store did not write everything in time");
        }
    }

    /// How it is now.
    pub fn view(&self) -> View {
        let inner = self.inner();
        let file = inner.settings.store.as_ref().map(|path| path.display().to_string());
        let status = inner.writer.as_ref().map(|writer| writer.status().clone());
        let others = inner.seen.lines().filter(|(_, fingerprint, ..)| *fingerprint == 0);
        let folded = others.map(|(_, _, _, sums)| sums.calls).sum();
        View { counts: inner.settings.counts(), folded, store: file.zip(status) }
    }

    /// Looks at what was counted since the start, up to now.
    pub async fn look<T>(&self, look: impl FnOnce(&Merged) -> T) -> T {
        self.gather().await;
        look(&self.inner().seen)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Workers count or do not, and the store is written or is not, as the settings say now.
    fn begin(&self) {
        let mut inner = self.inner();
        let counts = inner.settings.counts();
        let limit = if counts { inner.settings.statements } else { 0 };
        self.workers.iter().for_each(|worker| worker.send(Order::Capture(limit)));
        let wanted = inner.settings.store.clone().filter(|_| counts);
        let policy = policy(&inner.settings);
        match (wanted, &inner.writer) {
            (Some(_), Some(writer)) => writer.set_policy(policy),
            (Some(path), None) => match Writer::start(path, inner.instance.clone(), policy) {
                Ok(writer) => inner.writer = Some(writer),
                Err(error) => {
                    tracing::error!(%error, "the store cannot be started: there is no thread for it")
                }
            },
            (None, _) => inner.writer = None,
        }
    }

    /// Gathers and hands over, as often as the settings say.
    async fn keep(self: Arc<History>) {
        loop {
            let (interval, counts) = {
                let inner = self.inner();
                (inner.settings.interval, inner.settings.counts())
            };
            if !counts {
                self.news.notified().await;
                continue;
            }
            tokio::select! {
                () = tokio::time::sleep(interval) => {
                    self.gather().await;
                    self.hand_over();
                }
                () = self.news.notified() => {}
            }
        }
    }

    /// Takes what workers have counted.
    async fn gather(&self) {
        let _one = self.gathering.lock().await;
        for worker in &self.workers {
            let taken = worker.collect().await;
            let mut inner = self.inner();
            let keeps = inner.writer.is_some();
            for one in taken {
                if keeps {
                    inner.pending.take(one.clone());
                }
                inner.seen.take(one);
            }
        }
        let mut inner = self.inner();
        let limit = inner.settings.statements;
        inner.pending.bound(limit);
        inner.seen.bound(limit.saturating_mul(2));
    }

    /// Gives the store what it has not been given.
    fn hand_over(&self) {
        let mut inner = self.inner();
        if inner.pending.is_empty() && inner.missing == 0 {
            return;
        }
        let counted = std::mem::take(&mut inner.pending);
        let (calls, missing) = (counted.calls(), std::mem::take(&mut inner.missing));
        let batch = Batch { at: now(), counted, missing };
        if inner.writer.as_ref().is_some_and(|writer| !writer.send(batch)) {
            inner.missing = missing + calls;
        }
    }
}

fn policy(settings: &settings::History) -> Policy {
    Policy { keep: settings.keep, max_size: settings.max_size as u64, statements: settings.statements }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// A name for this pgweir: its machine and the port of its first address.
fn instance(settings: &Settings) -> String {
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let machine = Some(machine.trim()).filter(|name| !name.is_empty()).unwrap_or("pgweir");
    match settings.listen.first() {
        Some(address) => format!("{machine}:{}", address.port()),
        None => machine.to_owned(),
    }
}
