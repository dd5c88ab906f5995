//! History: gathers what workers have counted of statements, keeps what the console shows, and hands it to the store.
//!
//! Nothing of this is on the way of a statement: workers give what they have counted when they are asked, and the store has a thread of its
//! own. Where settings want neither, nothing is counted.

use std::collections::HashMap;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::config::settings::{self, Settings};
use crate::runtime::WorkerLink;
use crate::runtime::worker::Order;
use crate::slow::log::{self, Advised, Log, Slow};
use crate::slow::{Merged, SAMPLES, Samples, Shown, Wants};
use crate::stats::calendar;
use crate::stats::tally::{Callers, TOTAL};
use crate::store::{Batch, KeptSample, Place, Policy, Status, Writer};

/// How long a stop waits for what is not written yet.
const PATIENCE: Duration = Duration::from_secs(3);
/// Of so many shapes statements with their values are handed to the store at once.
const AT_ONCE: usize = 200;
/// So many callers are handed to the store at once; more are left out.
const CALLERS: usize = 10_000;

/// What gathers, and what it has.
pub struct History {
    workers: Vec<WorkerLink>,
    inner: Mutex<Inner>,
    /// One after the other gathers.
    gathering: tokio::sync::Mutex<()>,
    /// The settings have changed.
    news: Notify,
    /// What is advised on shapes, for the slow-query log.
    advised: Advised,
}

pub(super) struct Inner {
    settings: settings::History,
    slow_log: settings::SlowLog,
    /// Statements are counted.
    counts: bool,
    instance: String,
    /// Where the history is kept.
    place: Option<Place>,
    /// The slow-query log.
    log: Option<Log>,
    /// Statements with their values.
    pub(super) samples: Samples,
    /// Where callers say that they send statements from, which the store has not been given.
    callers: HashMap<(String, u128, Box<str>), u64>,
    writer: Option<Writer>,
    /// Since the start.
    pub(super) seen: Merged,
    pub(super) began: Instant,
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
    /// Where the history is kept, and how that is.
    pub store: Option<(Place, Arc<Status>)>,
    /// The name of this pgweir in it.
    pub instance: String,
    /// Lines of the slow-query log that were written, and that were dropped.
    pub slow_lines: Option<(u64, u64)>,
}

impl View {
    /// The instance whose counts in the store are of what this pgweir has counted: in a fleet's there are others of other servers; a file's are of one
    /// place all, `None`.
    pub fn own(&self) -> Option<String> {
        matches!(self.store, Some((Place::Fleet(_), _))).then(|| self.instance.clone())
    }
}

impl History {
    /// Begins as the settings say. Needs a runtime.
    pub fn start(settings: &Settings, workers: Vec<WorkerLink>) -> Arc<History> {
        let own = settings.history.clone();
        let instance = own.instance.clone().unwrap_or_else(|| instance(settings));
        // The settings were looked at before: nothing is wrong with the URL.
        let place = Place::of(&own).unwrap_or_else(|reason| {
            tracing::error!(reason, "the history cannot be kept");
            None
        });
        let inner = Inner {
            settings: own,
            slow_log: settings.slow_log.clone(),
            counts: settings.counts(),
            log: None,
            samples: Samples::default(),
            callers: HashMap::new(),
            began: Instant::now(),
            instance,
            place,
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
            advised: Advised::default(),
        });
        history.begin();
        tokio::spawn(history.clone().keep());
        history
    }

    /// Other settings hold from now on.
    pub fn reload(&self, settings: &Settings) {
        {
            let mut inner = self.inner();
            inner.settings.clone_from(&settings.history);
            inner.slow_log.clone_from(&settings.slow_log);
            inner.counts = settings.counts();
        }
        self.begin();
        self.news.notify_one();
    }

    /// Gathers what there is, writes it, and waits for that a while.
    pub async fn stop(&self) {
        self.gather().await;
        self.hand_over();
        let log = self.inner().log.take();
        if let Some(mut log) = log {
            drop(tokio::task::spawn_blocking(move || log.close(PATIENCE)).await);
        }
        let Some(mut writer) = self.inner().writer.take() else { return };
        let written = tokio::task::spawn_blocking(move || writer.close(PATIENCE)).await;
        if !written.unwrap_or(false) {
            tracing::warn!(patience = ?PATIENCE, "the store did not write everything in time");
        }
    }

    /// How it is now.
    pub fn view(&self) -> View {
        let inner = self.inner();
        let status = inner.writer.as_ref().map(|writer| writer.status().clone());
        let others = inner.seen.lines().filter(|(_, fingerprint, ..)| *fingerprint == 0);
        let folded = others.map(|(_, _, _, sums)| sums.calls).sum();
        let lines = |log: &Log| {
            let counts = log.counts();
            (counts.written.load(Relaxed), counts.dropped.load(Relaxed))
        };
        let slow_lines = inner.log.as_ref().map(lines);
        let (store, instance) = (inner.place.clone().zip(status), inner.instance.clone());
        View { counts: inner.counts, folded, store, instance, slow_lines }
    }

    /// Looks at what was counted since the start, up to now.
    pub async fn look<T>(&self, look: impl FnOnce(&Merged) -> T) -> T {
        self.gather().await;
        look(&self.inner().seen)
    }

    /// What is advised on shapes: whoever finds it out puts it in, and lines of the slow-query log have it.
    pub fn advised(&self) -> &Advised {
        &self.advised
    }

    pub(super) fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Workers count or do not, and the store is written or is not, as the settings say now.
    fn begin(&self) {
        let mut inner = self.inner();
        let counts = inner.counts;
        inner.begin_log(&self.advised);
        let wants = inner.wants();
        self.workers.iter().for_each(|worker| worker.send(Order::Capture(wants.clone())));
        let wanted = inner.place.clone().filter(|_| counts);
        let policy = policy(&inner.settings);
        match (wanted, &inner.writer) {
            (Some(_), Some(writer)) => writer.set_policy(policy),
            (Some(place), None) => match Writer::start(&place, inner.instance.clone(), policy) {
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
                (inner.settings.interval, inner.counts)
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
    pub(super) async fn gather(&self) {
        let _one = self.gathering.lock().await;
        for worker in &self.workers {
            let taken = worker.collect().await;
            let mut inner = self.inner();
            let keeps = inner.writer.is_some();
            for mut one in taken {
                if let Some(closer) = one.closer.take() {
                    if keeps {
                        inner.note_callers(&one.who.database, one.fingerprint, &closer.callers);
                    }
                    inner.samples.take(&one.who.database, one.fingerprint, *closer);
                }
                if keeps {
                    inner.pending.take(one.clone());
                }
                inner.seen.take(one);
            }
        }
        let inner = &mut *self.inner();
        let limit = inner.settings.statements;
        inner.pending.bound(limit);
        inner.seen.bound(limit.saturating_mul(2));
        let costs = costs(&inner.seen);
        let cost = |database: &str, fingerprint| costs.get(&(database, fingerprint)).copied().unwrap_or(0);
        inner.samples.bound(inner.settings.sample_memory, cost);
    }

    /// Gives the store what it has not been given.
    fn hand_over(&self) {
        let mut inner = self.inner();
        if inner.pending.is_empty() && inner.missing == 0 {
            return;
        }
        let counted = std::mem::take(&mut inner.pending);
        let (calls, missing) = (counted.calls(), std::mem::take(&mut inner.missing));
        let samples = if inner.writer.is_some() { inner.new_samples() } else { vec![] };
        let callers = std::mem::take(&mut inner.callers).into_iter();
        let callers =
            callers.map(|((database, fingerprint, caller), calls)| (database, fingerprint, caller, calls));
        let batch = Batch { at: calendar::now(), counted, missing, samples, callers: callers.collect() };
        if inner.writer.as_ref().is_some_and(|writer| !writer.send(batch)) {
            inner.missing = missing + calls;
        }
    }
}

impl Inner {
    /// The slow-query log is written, or is not, as the settings say now.
    fn begin_log(&mut self, advised: &Advised) {
        let settings = &self.slow_log;
        let Some(file) = settings.file.clone().filter(|_| self.counts) else {
            self.log = None;
            return;
        };
        let (json, keep, max_age) = (settings.json, settings.keep, settings.max_age);
        let policy = log::Policy { file, json, max_size: settings.max_size as u64, max_age, keep };
        let rate = settings.rate as u64;
        match &self.log {
            Some(log) => log.reload(policy, rate),
            None => match Log::start(policy, rate, advised.clone()) {
                Ok(log) => self.log = Some(log),
                Err(error) => {
                    tracing::error!(%error, "the slow-query log cannot be started: there is no thread for it")
                }
            },
        }
    }

    /// What workers are to count and to look at.
    fn wants(&self) -> Wants {
        let own = &self.settings;
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let slow = self.log.as_ref().map(|log| Slow {
            threshold: if self.slow_log.threshold.is_zero() {
                u64::MAX
            } else {
                micros(self.slow_log.threshold)
            },
            relative: self.slow_log.relative as u64,
            relative_from: if self.slow_log.relative == 0 {
                u64::MAX
            } else {
                micros(self.slow_log.relative_from)
            },
            sink: log.sink().clone(),
        });
        let statements = if self.counts { own.statements } else { 0 };
        let sample_memory = if own.samples > 0 { own.sample_memory } else { 0 };
        Wants { statements, sample_memory, tags: own.tags.clone().into(), slow }
    }

    fn note_callers(&mut self, database: &str, fingerprint: u128, callers: &Callers) {
        for (caller, calls) in &callers.0 {
            let place = (database.to_owned(), fingerprint, caller.clone());
            if self.callers.len() < CALLERS || self.callers.contains_key(&place) {
                *self.callers.entry(place).or_default() += calls;
            }
        }
    }

    /// Statements with their values that the store has not been given.
    fn new_samples(&mut self) -> Vec<KeptSample> {
        let (clear, most) = (self.settings.clear_values.clone(), self.settings.samples.min(SAMPLES));
        let changed = self.samples.changed(AT_ONCE).into_iter();
        let kept = changed.map(|(database, fingerprint, closer)| KeptSample {
            database: database.to_owned(),
            fingerprint,
            shown: closer.samples.chosen(most).iter().filter_map(|one| Shown::of(one, &clear)).collect(),
        });
        kept.collect()
    }
}

/// What shapes have cost, by database and fingerprint, in microseconds.
fn costs(seen: &Merged) -> HashMap<(&str, u128), u64> {
    let mut costs = HashMap::new();
    for (who, fingerprint, _, sums) in seen.lines() {
        *costs.entry((who.database.as_str(), fingerprint)).or_default() += sums.micros[TOTAL];
    }
    costs
}

fn policy(settings: &settings::History) -> Policy {
    Policy { keep: settings.keep, max_size: settings.max_size as u64, statements: settings.statements }
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
