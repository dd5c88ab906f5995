//! What a server process remembers of sequences, and for whom.
//!
//! `currval` and `lastval` answer from the memory of a server process. Which statements write there cannot be told (defaults,
//! triggers, functions), so a server knows whose transactions it has run since that memory was empty, and a session that asks
//! finds its own values there or none.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

/// So many changes of hands are watched before it is taken that nobody of the pool asks.
const TRIAL: u32 = 1000;

/// Whether sessions of a pool ask for what sequences gave them.
#[derive(Debug)]
pub struct Asking {
    asked: Cell<bool>,
    trial: Cell<u32>,
}

impl Default for Asking {
    fn default() -> Asking {
        Asking { asked: Cell::new(false), trial: Cell::new(TRIAL) }
    }
}

impl Asking {
    /// A session asks: from now on every server that changes hands forgets.
    pub fn note(&self) {
        self.asked.set(true);
    }

    /// Whether a session has asked.
    pub fn is_known(&self) -> bool {
        self.asked.get()
    }

    /// Whether a server that changes hands must forget. Counts as such a change.
    pub fn is_watched(&self) -> bool {
        let watched = self.would_be_watched();
        self.trial.set(self.trial.get().saturating_sub(1));
        watched
    }

    /// The same, where none changes hands.
    pub fn would_be_watched(&self) -> bool {
        self.asked.get() || self.trial.get() > 0
    }
}

/// Whose values a server process may remember.
#[derive(Debug)]
pub struct Memory {
    /// Names the server; never used twice in a process.
    pub server: u64,
    /// The session whose transactions it ran last; 0: nobody's.
    user: u64,
    /// There may be values that are not of that session's latest transactions in a row.
    pub foreign: bool,
}

impl Default for Memory {
    fn default() -> Memory {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Memory { server: NEXT.fetch_add(1, Ordering::Relaxed), user: 0, foreign: false }
    }
}

impl Memory {
    /// The server is about to run a transaction of `session`, whose last one ran on the server `last`. Says whether the
    /// memory may hold what is not of this session's transactions in a row.
    pub fn enter(&mut self, session: u64, last: u64) -> bool {
        let goes_on = self.user == session && last == self.server;
        self.foreign |= self.user != 0 && !goes_on;
        self.user = session;
        self.foreign
    }

    /// It was emptied, and is nobody's.
    pub fn clear(&mut self) {
        (self.user, self.foreign) = (0, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_memory_is_foreign_once_somebody_else_was_there() {
        let mut memory = Memory::default();
        let here = memory.server;
        assert!(!memory.enter(1, 0), "a new server remembers nothing");
        assert!(!memory.enter(1, here));
        assert!(memory.enter(1, here + 1), "the session was elsewhere meanwhile: its values here are old");
        memory.foreign = false;
        assert!(memory.enter(2, 0));
        memory.foreign = false;
        assert!(!memory.enter(2, here));
        assert!(memory.enter(1, here));
        memory.clear();
        assert!(!memory.enter(3, 0));
    }

    #[test]
    fn a_pool_is_watched_while_on_trial_and_once_asked() {
        let asking = Asking::default();
        assert!((0..TRIAL).all(|_| asking.would_be_watched() && asking.is_watched()));
        assert!(!asking.would_be_watched() && !asking.is_watched());
        asking.note();
        assert!(asking.would_be_watched() && asking.is_watched());
    }
}
