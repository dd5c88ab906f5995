//! The thread that writes, and the line in front of it.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::file::Trouble;
use super::file_keeper::FileKeeper;
use super::fleet::keeper::FleetKeeper;
use super::keep::Keep;
use super::status::{State, Status};
use super::{Batch, Place, Policy};

/// So many batches wait at most; one more is dropped.
const LINE: usize = 8;
/// How long it is waited after the first failure, and after many.
const BACK_OFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// The way to the thread that writes. Dropping it ends the thread at once; see [`Writer::close`].
pub struct Writer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    line: Mutex<Line>,
    news: Condvar,
    status: Arc<Status>,
}

#[derive(Default)]
struct Line {
    batches: VecDeque<Batch>,
    policy: Option<Policy>,
    closing: Option<Closing>,
}

/// How the thread is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Closing {
    /// When everything is written, or cannot be.
    Written,
    /// As it is.
    Now,
}

impl Writer {
    /// Starts the thread, which opens the place. `instance` says of which pgweir the rows are.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(place: &Place, instance: String, policy: Policy) -> std::io::Result<Writer> {
        let place: Box<dyn Keep> = match place {
            Place::File(path) => Box::new(FileKeeper::new(path.clone(), instance)),
            Place::Fleet(fleet) => Box::new(FleetKeeper::new(fleet.clone(), &instance)),
        };
        let line = Line { policy: Some(policy.clone()), ..Line::default() };
        let shared =
            Arc::new(Shared { line: Mutex::new(line), news: Condvar::new(), status: Arc::default() });
        let mut keeper = Keeper {
            shared: shared.clone(),
            place,
            policy,
            held: None,
            failures: 0,
            told: State::Ok,
            tried: false,
        };
        let thread = std::thread::Builder::new().name("store".to_owned()).spawn(move || keeper.run())?;
        Ok(Writer { shared, thread: Some(thread) })
    }

    /// Hands over a batch. Never waits; false: there was no room, and it is counted as dropped.
    pub fn send(&self, batch: Batch) -> bool {
        let mut line = self.shared.line();
        if line.batches.len() >= LINE {
            Status::add(&self.shared.status.dropped, batch.counted.calls());
            return false;
        }
        line.batches.push_back(batch);
        self.shared.news.notify_one();
        true
    }

    /// Another policy holds from now on.
    pub fn set_policy(&self, policy: Policy) {
        self.shared.line().policy = Some(policy);
        self.shared.news.notify_one();
    }

    /// How it is.
    pub fn status(&self) -> &Arc<Status> {
        &self.shared.status
    }

    /// Ends when everything that was handed over is written, or cannot be; false: not in this time.
    pub fn close(&mut self, patience: Duration) -> bool {
        self.end(Closing::Written);
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

    fn end(&self, how: Closing) {
        self.shared.line().closing = Some(how);
        self.shared.news.notify_one();
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.end(Closing::Now);
        }
    }
}

impl Shared {
    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the thread has.
struct Keeper {
    shared: Arc<Shared>,
    place: Box<dyn Keep>,
    policy: Policy,
    /// What could not be written yet.
    held: Option<Batch>,
    /// How often in a row that failed.
    failures: u32,
    /// The last state that is in the log.
    told: State,
    /// It ends, and what failed was tried once more.
    tried: bool,
}

impl Keeper {
    fn run(&mut self) {
        self.try_open();
        while let Some(batch) = self.next() {
            self.write(batch);
        }
        let waiting = std::mem::take(&mut self.shared.line().batches);
        let left: u64 = waiting.iter().chain(&self.held).map(|batch| batch.counted.calls()).sum();
        Status::add(&self.shared.status.dropped, left);
        if left > 0 {
            tracing::warn!(statements = left, "the store ends before it has written everything");
        }
    }

    /// Opens the place before there is anything to write, so that it is known at once what is the matter with it.
    fn try_open(&mut self) {
        match self.place.open(&self.policy) {
            Ok(()) => self.is_well(),
            Err(Trouble::Corrupt(reason)) => self.replace(&reason),
            Err(trouble) => self.fails(&trouble),
        }
    }

    /// The next batch to write, or the one that is held when it is time to try it again. `None`: it is the end.
    fn next(&mut self) -> Option<Batch> {
        let shared = self.shared.clone();
        let mut line = shared.line();
        let mut again = (self.failures > 0).then(|| Instant::now() + back_off(self.failures));
        loop {
            if let Some(policy) = line.policy.take() {
                self.policy = policy;
                self.place.close();
            }
            match line.closing {
                Some(Closing::Now) => return None,
                Some(Closing::Written) if self.held.is_none() && line.batches.is_empty() => return None,
                // One try is left to what failed.
                Some(Closing::Written) if self.failures > 0 => {
                    if std::mem::replace(&mut self.tried, true) {
                        return None;
                    }
                    again = None;
                }
                _ => {}
            }
            let waits = again.map(|again| again.saturating_duration_since(Instant::now()));
            match waits {
                Some(left) if !left.is_zero() => {
                    let (locked, _) =
                        shared.news.wait_timeout(line, left).unwrap_or_else(PoisonError::into_inner);
                    line = locked;
                }
                _ => match self.held.take().or_else(|| line.batches.pop_front()) {
                    Some(batch) => return Some(batch),
                    None if waits.is_some() => {
                        // There is nothing to write: whether it would go is tried all the same.
                        drop(line);
                        self.try_open();
                        line = shared.line();
                        again = (self.failures > 0).then(|| Instant::now() + back_off(self.failures));
                    }
                    None => line = shared.news.wait(line).unwrap_or_else(PoisonError::into_inner),
                },
            }
        }
    }

    fn write(&mut self, batch: Batch) {
        match self.place.write(&batch, &self.policy) {
            Ok(()) => {
                Status::add(&self.shared.status.written, batch.counted.calls());
                self.shared.status.last.store(batch.at.max(0) as u64, Ordering::Relaxed);
                self.is_well();
                let tended = self.tend(batch.at);
                if let Err(trouble) = tended {
                    self.suffer(trouble);
                }
            }
            Err(trouble) => {
                self.held = Some(batch);
                self.suffer(trouble);
            }
        }
    }

    /// Something went wrong with the place.
    fn suffer(&mut self, trouble: Trouble) {
        match trouble {
            Trouble::Corrupt(reason) => self.replace(&reason),
            trouble => self.fails(&trouble),
        }
    }

    fn tend(&mut self, at: i64) -> Result<(), Trouble> {
        let Some((bytes, removed)) = self.place.tend(at, &self.policy)? else { return Ok(()) };
        self.shared.status.bytes.store(bytes, Ordering::Relaxed);
        if let Some(until) = removed {
            tracing::warn!(
                store = self.place.name(),
                until,
                "the store was larger than history.max_size: the oldest counts were removed; keep less, or allow more"
            );
        }
        Ok(())
    }

    /// The file is damaged: it is kept under another name, and a new one begins.
    fn replace(&mut self, reason: &str) {
        let name = self.place.name();
        match self.place.move_aside() {
            Ok(aside) => {
                Status::add(&self.shared.status.moved, 1);
                tracing::error!(
                    store = name, reason, moved_to = %aside.display(),
                    "the store is damaged: it was moved aside, and a new one begins; `sqlite3 FILE .recover` may read what is left of it"
                );
                match self.place.open(&self.policy) {
                    Ok(()) => {
                        // What is held is written at once.
                        self.failures = 0;
                        self.is_well();
                    }
                    Err(trouble) => self.fails(&trouble),
                }
            }
            Err(error) => {
                let reason = format!("it is damaged ({reason}), and cannot be moved aside: {error}");
                self.fails(&Trouble::Standing(State::Unusable, reason));
            }
        }
    }

    fn is_well(&mut self) {
        self.failures = 0;
        self.shared.status.set(State::Ok, "");
        if std::mem::replace(&mut self.told, State::Ok) != State::Ok {
            tracing::info!(store = self.place.name(), "the store is written again");
        }
    }

    fn fails(&mut self, trouble: &Trouble) {
        let (state, reason) = match trouble {
            Trouble::Corrupt(reason) => (State::Unusable, reason),
            Trouble::Standing(state, reason) => (*state, reason),
        };
        self.failures = self.failures.saturating_add(1);
        self.shared.status.set(state, reason);
        if state != State::Locked {
            self.place.close();
        }
        if std::mem::replace(&mut self.told, state) != state {
            tracing::warn!(
                store = self.place.name(),
                state = state.name(),
                reason,
                "the store cannot be written: statements go on, their history is kept for a while and then dropped; {}",
                self.place.advice(state)
            );
        }
    }
}

fn back_off(failures: u32) -> Duration {
    BACK_OFF.0.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(BACK_OFF.1)
}
