//! Flights: queries whose answers are to be kept, and those who wait for the same answers.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use super::counts::Unstored;
use super::cures::{Cure, is_off};
use super::entry::{Entry, Relations};
use super::key::Key;
use super::needs::{ByRows, Needs};
use super::store::Store;
use super::tag::Tag;
use super::tags::Versions;

/// Those of most keys, which take no piece of memory of their own.
type KeyBytes = SmallVec<[u8; 256]>;

/// A query on its way.
pub(super) struct Flight {
    pub hash: u128,
    pub key: KeyBytes,
    /// Read before it was sent.
    pub versions: Versions,
    pub sent: Instant,
    /// It is for a reader to whom only the age of the answer matters.
    pub by_age: bool,
    state: Mutex<State>,
}

/// A flight is in the air, then has landed.
enum State {
    InTheAir {
        /// Who waits, by number; without a waker until first polled.
        waiting: Vec<(u64, Option<Waker>)>,
        next: u64,
    },
    /// With the answer, or without one.
    Landed(Option<Arc<Entry>>),
}

impl Flight {
    pub fn new(key: &Key<'_>, versions: Versions, sent: Instant, by_age: bool) -> Flight {
        let state = Mutex::new(State::InTheAir { waiting: vec![], next: 0 });
        Flight { hash: key.hash, key: KeyBytes::from_slice(key.bytes), versions, sent, by_age, state }
    }

    /// Bytes that it takes, without who waits.
    pub fn size(&self) -> usize {
        let key = if self.key.spilled() { self.key.capacity() } else { 0 };
        size_of::<Flight>() + key + self.versions.bytes()
    }

    /// Joins it; `None`: so many wait as may.
    pub fn follow(self: &Arc<Self>, most: usize, until: Instant) -> Option<Following> {
        let mut number = 0;
        if let State::InTheAir { waiting, next } = &mut *self.lock() {
            if waiting.len() >= most {
                return None;
            }
            number = *next;
            *next += 1;
            waiting.push((number, None));
        }
        Some(Following { flight: self.clone(), number, until })
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        match &*self.lock() {
            State::InTheAir { waiting, .. } => waiting.len(),
            State::Landed(_) => 0,
        }
    }

    /// Ends it and wakes those who wait. A second time it does nothing.
    fn land(&self, answer: Option<Arc<Entry>>) {
        let mut state = self.lock();
        if !matches!(*state, State::InTheAir { .. }) {
            return;
        }
        let before = std::mem::replace(&mut *state, State::Landed(answer));
        // Nobody is woken under the lock: a waker may run what it likes.
        drop(state);
        if let State::InTheAir { waiting, .. } = before {
            waiting.into_iter().filter_map(|(_, waker)| waker).for_each(Waker::wake);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a session that waited for another's answer goes to the database itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alone {
    /// There is no answer: the query failed, or its answer is too large.
    NoAnswer,
    /// It has waited long enough.
    TimedOut,
}

/// A session that waits for another's answer. Dropped, it no longer does.
pub struct Following {
    flight: Arc<Flight>,
    number: u64,
    until: Instant,
}

impl Following {
    /// When it has waited long enough: whoever polls sets a timer.
    pub fn until(&self) -> Instant {
        self.until
    }

    /// The answer, when it has come. It is a hit: the session's floor rises to [`Entry::seen`].
    ///
    /// # Errors
    /// There will be none; the session sends its query itself.
    pub fn poll(&mut self, context: &mut Context<'_>, now: Instant) -> Poll<Result<Arc<Entry>, Alone>> {
        match &mut *self.flight.lock() {
            State::Landed(answer) => Poll::Ready(answer.clone().ok_or(Alone::NoAnswer)),
            State::InTheAir { .. } if now >= self.until => Poll::Ready(Err(Alone::TimedOut)),
            State::InTheAir { waiting, .. } => {
                if let Some((_, waker)) = waiting.iter_mut().find(|(number, _)| *number == self.number) {
                    *waker = Some(context.waker().clone());
                }
                Poll::Pending
            }
        }
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        if let State::InTheAir { waiting, .. } = &mut *self.flight.lock() {
            waiting.retain(|(number, _)| *number != self.number);
        }
    }
}

impl fmt::Debug for Following {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Following {{ number: {}, until: {:?} }}", self.number, self.until)
    }
}

/// Room for a small answer behind the key, so that its messages are put into one piece of memory.
const FIRST: usize = 256;

/// A query that is about to be sent, and whose answer is to be kept. Dropped, nothing is, and who waits for it goes on alone.
pub struct Filling {
    store: Arc<Store>,
    flight: Arc<Flight>,
    relations: Relations,
    /// The key, then the answer as far as it has come.
    bytes: Vec<u8>,
    flushes: u64,
    /// The entry that is to be replaced before it is too old.
    instead_of: Option<Arc<Entry>>,
    /// What it depends on if its rows are known, of one or more tables.
    by_rows: Vec<Told>,
    open: bool,
}

/// What the answer depends on if it turns out which rows of a table it shows.
struct Told {
    by_rows: ByRows,
    /// Those of its tags, of before the query was sent.
    versions: Versions,
    /// The tags of the rows.
    rows: Option<Vec<Tag>>,
}

impl Filling {
    pub(super) fn new(
        store: Arc<Store>,
        flight: Arc<Flight>,
        needs: &Needs,
        flushes: u64,
        instead_of: Option<Arc<Entry>>,
    ) -> Filling {
        // In doubt or not: a write that the query's snapshot does not show bumps later.
        let told = |by_rows: &ByRows| Told {
            by_rows: *by_rows,
            versions: store.tags().read_in_doubt(&by_rows.tags),
            rows: None,
        };
        let by_rows = needs.told_by_rows().iter().map(told).collect();
        let mut filling = Filling {
            store,
            flight,
            relations: needs.relations().into(),
            bytes: vec![],
            flushes,
            instead_of,
            by_rows,
            open: true,
        };
        let flight = filling.flight.clone();
        filling.push(&flight.key);
        filling
    }

    /// Bytes of the answer, as they come. When it gets too large, all of it is forgotten, and nothing will be kept.
    pub fn push(&mut self, bytes: &[u8]) {
        if !self.open {
            return;
        }
        let (length, before) = (self.bytes.len() + bytes.len(), self.bytes.capacity());
        // As `Vec` would grow, but counted before it does, and not beyond what an entry may have.
        let most = self.store.largest();
        let roomy = if before == 0 { length + FIRST } else { length.max(2 * before) };
        let grown = if length > before { roomy.min(most.max(length)) } else { before };
        if length > most {
            return self.close(Unstored::TooLarge);
        }
        if grown > before {
            if let Err(why) = self.store.may_fill(grown - before) {
                return self.close(why);
            }
            self.bytes.reserve_exact(grown - self.bytes.len());
            let (asked, taken) = (grown - before, self.bytes.capacity() - before);
            if asked != taken {
                self.store.filled_otherwise(asked, taken);
            }
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// The answer as far as it has come.
    pub fn answer(&self) -> &[u8] {
        self.bytes.get(self.flight.key.len()..).unwrap_or_default()
    }

    /// The whole answer is there, and these are the tags of all its rows by the key of [`Needs::by_rows`], or of the values of [`Needs::by_value`]: what it depends on instead of any row that may
    /// have had its values. `number`: of which of those that were said so, from 0 on.
    pub fn told_by_rows(&mut self, number: usize, rows: Vec<Tag>) {
        if let Some(told) = self.by_rows.get_mut(number) {
            told.rows = Some(rows);
        }
    }

    /// With what it is kept.
    ///
    /// Which rows it has is known only now, and their versions must be those of before the query was sent. So they count if no row of the table has changed since then,
    /// as A shows. A write that the query did not see bumps later; and if it has bumped a row's tag before that was read here, which has no doubt then,
    /// its doubt is over, so that all its bumps came before, that of A too, which is looked at behind.
    fn versions(&self) -> Versions {
        let tags = self.store.tags();
        let mut versions = self.flight.versions.clone();
        for Told { by_rows, versions: others, rows } in &self.by_rows {
            let Some(rows) = rows.as_ref().and_then(|rows| tags.read(rows)) else { continue };
            if tags.is_unchanged(others, 2) || is_off(Cure::RowsGuard) {
                versions = versions.by_rows(by_rows.place, others, &rows);
            }
        }
        versions
    }

    /// Whether the answer may still be kept. If not, nothing more needs to be pushed.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// The answer is complete and may be kept: without error and notice, and outside of what has written. `took` is how long the database took, and `now` when
    /// the last of it came.
    ///
    /// # Errors
    /// Why it is not kept; who waits for it is given it all the same, unless it was too large.
    pub fn finish(mut self, took: Duration, now: Instant) -> Result<Arc<Entry>, Unstored> {
        if !self.open {
            return Err(Unstored::TooLarge);
        }
        self.open = false;
        let bytes = std::mem::take(&mut self.bytes);
        self.store.unfill(bytes.capacity());
        let mut versions = self.versions();
        if is_off(Cure::VersionsBefore) {
            versions = self.store.tags().read_again(&versions);
        }
        let relations = std::mem::take(&mut self.relations);
        let times = [self.flight.sent, now];
        let entry = Entry::new(bytes, self.flight.key.len(), versions, relations, times, took);
        let entry = Arc::new(entry);
        let kept = self.store.keep(&self.flight, &entry, self.flushes);
        self.flight.land(Some(entry.clone()));
        if let Err(why) = kept {
            self.store.landed(&self.flight, why);
        }
        self.instead_of.take().iter().for_each(|entry| entry.end_refresh());
        kept.map(|()| entry)
    }

    /// Ends it; `why` nothing was kept.
    fn close(&mut self, why: Unstored) {
        if !std::mem::take(&mut self.open) {
            return;
        }
        self.store.unfill(self.bytes.capacity());
        self.bytes = Vec::new();
        if let Some(entry) = self.instead_of.take() {
            entry.end_refresh();
        }
        self.store.landed(&self.flight, why);
        self.flight.land(None);
    }
}

impl Drop for Filling {
    fn drop(&mut self) {
        self.close(Unstored::Abandoned);
    }
}

impl fmt::Debug for Filling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Filling {{ bytes: {}, open: {} }}", self.bytes.len(), self.open)
    }
}
