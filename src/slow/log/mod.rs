//! The slow-query log: one line for each slow statement, written by a thread of its own.
//!
//! Who has a line hands it over and never waits: where the line in front of the thread is full, or there were too many in a second, it is dropped and
//! counted, and the log says so. No literal and no value of a parameter is in a line.

mod file;
mod line;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub use line::Line;

/// So many lines wait at most.
const WAITING: usize = 1024;
/// So many are written at once.
const AT_ONCE: usize = 256;
/// How often it is looked what else is to be done.
const TICK: Duration = Duration::from_millis(200);

/// Where lines go, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The file; one that is called `stdout` or `stderr` is that stream.
    pub file: PathBuf,
    /// As JSON.
    pub json: bool,
    /// Bytes after which another file is begun.
    pub max_size: u64,
    /// Time after which another file is begun.
    pub max_age: Option<Duration>,
    /// How many old ones are kept.
    pub keep: usize,
}

/// Which statements are slow, and where their lines go.
#[derive(Debug, Clone)]
pub struct Slow {
    /// From so many microseconds on; `u64::MAX`: never.
    pub threshold: u64,
    /// From so many times on what 95 % of their shape do not exceed; 0: never.
    pub relative: u64,
    /// But not before so many microseconds; `u64::MAX` where `relative` is 0.
    pub relative_from: u64,
    /// Where to.
    pub sink: Arc<Sink>,
}

/// The end of the log that statements know.
#[derive(Debug)]
pub struct Sink {
    sender: SyncSender<Box<Line>>,
    /// The second, and how many lines were taken in it.
    second: Mutex<(u64, u64)>,
    rate: AtomicU64,
    began: Instant,
    counts: Arc<Counts>,
}

/// What became of lines.
#[derive(Debug, Default)]
pub struct Counts {
    /// Written.
    pub written: AtomicU64,
    /// Dropped: too many in a second, or the file could not be written.
    pub dropped: AtomicU64,
}

impl Sink {
    /// Hands over a line, if there may be one more in this second. Never waits.
    pub fn send(&self, line: impl FnOnce() -> Line) {
        let taken = self.may_take() && self.sender.try_send(Box::new(line())).is_ok();
        if !taken {
            self.counts.dropped.fetch_add(1, Relaxed);
        }
    }

    fn may_take(&self) -> bool {
        let now = self.began.elapsed().as_secs();
        let mut second = self.second.lock().unwrap_or_else(PoisonError::into_inner);
        if second.0 != now {
            *second = (now, 0);
        }
        second.1 += 1;
        second.1 <= self.rate.load(Relaxed)
    }
}

/// The log: what its thread is to do. Dropping it ends the thread.
#[derive(Debug)]
pub struct Log {
    sink: Arc<Sink>,
    orders: Arc<Orders>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Orders {
    policy: Mutex<Option<Policy>>,
    ends: AtomicBool,
    advised: Advised,
}

/// What is advised on shapes, for their lines: by fingerprint.
pub type Advised = Arc<Mutex<std::collections::HashMap<u128, Advice>>>;

/// What is known of a shape beside what was counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Advice {
    /// Its plan, by the plan's hash.
    pub plan: Option<String>,
    /// What would help, in one line.
    pub advice: Option<String>,
}

impl Log {
    /// Begins to write. Of a second, so many lines are taken.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(policy: Policy, rate: u64, advised: Advised) -> std::io::Result<Log> {
        let (sender, lines) = sync_channel(WAITING);
        let counts = Arc::<Counts>::default();
        let rate = AtomicU64::new(rate);
        let sink = Sink { sender, second: Mutex::default(), rate, began: Instant::now(), counts };
        let sink = Arc::new(sink);
        let orders = Arc::new(Orders { advised, ..Orders::default() });
        let mut writing = Writing {
            file: file::File::new(policy),
            orders: orders.clone(),
            counts: sink.counts.clone(),
            told: 0,
            failed: false,
        };
        let thread =
            std::thread::Builder::new().name("slow-log".to_owned()).spawn(move || writing.run(&lines))?;
        Ok(Log { sink, orders, thread: Some(thread) })
    }

    /// Other settings hold from now on; the file is opened again, in case somebody has moved it.
    pub fn reload(&self, policy: Policy, rate: u64) {
        *self.orders.policy.lock().unwrap_or_else(PoisonError::into_inner) = Some(policy);
        self.sink.rate.store(rate, Relaxed);
    }

    /// Where lines are handed over.
    pub fn sink(&self) -> &Arc<Sink> {
        &self.sink
    }

    /// What became of lines.
    pub fn counts(&self) -> &Counts {
        &self.sink.counts
    }

    /// Writes what is there, and ends. False: not in this time.
    pub fn close(&mut self, patience: Duration) -> bool {
        self.orders.ends.store(true, Relaxed);
        let Some(thread) = self.thread.take() else { return true };
        let until = Instant::now() + patience;
        while !thread.is_finished() {
            if Instant::now() >= until {
                return false;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        true
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.orders.ends.store(true, Relaxed);
    }
}

/// What the thread has.
struct Writing {
    file: file::File,
    orders: Arc<Orders>,
    counts: Arc<Counts>,
    /// So many dropped lines the log has told of.
    told: u64,
    /// The last write failed, and that is in pgweir's log.
    failed: bool,
}

impl Writing {
    fn run(&mut self, lines: &Receiver<Box<Line>>) {
        let mut tick = Instant::now();
        loop {
            let ends = self.orders.ends.load(Relaxed);
            if let Some(policy) = self.orders.policy.lock().unwrap_or_else(PoisonError::into_inner).take() {
                self.file = file::File::new(policy);
            }
            match lines.recv_timeout(if ends { Duration::ZERO } else { TICK }) {
                Ok(first) => self.write(first, lines),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) if ends => break,
                Err(RecvTimeoutError::Timeout) => {}
            }
            if tick.elapsed() >= Duration::from_secs(1) {
                tick = Instant::now();
                self.tell_of_dropped();
            }
        }
        self.tell_of_dropped();
    }

    fn write(&mut self, first: Box<Line>, lines: &Receiver<Box<Line>>) {
        let mut text = String::new();
        let mut count = 0;
        for line in std::iter::once(first).chain(lines.try_iter()).take(AT_ONCE) {
            let advised = self.orders.advised.lock().unwrap_or_else(PoisonError::into_inner);
            let advice = advised.get(&line.fingerprint).cloned().unwrap_or_default();
            drop(advised);
            line.write(&mut text, self.file.is_json(), &advice);
            count += 1;
        }
        self.put(&text, count);
    }

    /// Writes lines, or counts them as dropped.
    fn put(&mut self, text: &str, count: u64) {
        match self.file.write(text.as_bytes()) {
            Ok(()) => {
                self.counts.written.fetch_add(count, Relaxed);
                if std::mem::take(&mut self.failed) {
                    tracing::info!(file = %self.file.name(), "the slow-query log is written again");
                }
            }
            Err(error) => {
                self.counts.dropped.fetch_add(count, Relaxed);
                if !std::mem::replace(&mut self.failed, true) {
                    tracing::warn!(
                        file = %self.file.name(), %error,
                        "the slow-query log cannot be written: its lines are dropped and counted until it can; see slow_log.file"
                    );
                }
            }
        }
    }

    fn tell_of_dropped(&mut self) {
        let dropped = self.counts.dropped.load(Relaxed);
        if dropped > self.told
            && self.file.write(line::dropped(dropped - self.told, self.file.is_json()).as_bytes()).is_ok()
        {
            self.told = dropped;
        }
    }
}

#[cfg(test)]
mod tests;
