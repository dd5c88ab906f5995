//! Places in line: for a server, or behind the statement of another session on one.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use super::prepared::Meant;
use super::queue::Pool;
use super::reading::Reading;
use super::server::Server;
use super::state::State;
use crate::wire::{Fault, Severity};

/// A session's place in line.
#[derive(Debug)]
pub(super) struct Place {
    /// When it was taken.
    pub(super) since: Cell<Instant>,
    /// What waits for a server here, if it is a read that may go behind another session's.
    pub(super) read: Option<Read>,
    /// How many bytes of its session were sent ahead.
    sent: Cell<Option<usize>>,
    slot: RefCell<Slot>,
}

/// A read that may go behind another session's, and what the server is to be like.
#[derive(Debug, Clone)]
pub struct Read {
    /// The settings it counts on.
    pub(super) state: Rc<State>,
    /// How its session's texts are read.
    pub(super) reading: Reading,
    /// What is sent for it.
    pub(super) message: Box<[u8]>,
    /// The statement that the server must have.
    pub(super) statement: Option<Meant>,
    /// By which definitions it was judged to be one.
    pub(super) judged: u64,
}

/// What is sent for a read, to whichever server: a Query, or what runs a statement up to its Sync.
#[derive(Debug, Clone, Copy)]
pub struct Ahead<'a> {
    /// The message, or messages.
    pub message: &'a [u8],
    /// The statement that the server must have.
    pub statement: Option<&'a Meant>,
}

#[derive(Debug)]
enum Slot {
    Waiting(Waker),
    Given(Box<Server>),
    Refused(Fault),
    Elsewhere,
    Left,
}

/// What became of a place in line.
#[derive(Debug)]
pub enum Turn {
    /// The server is the session's.
    Server(Box<Server>),
    /// So is this one, on which the answer to what was sent ahead comes next; so many bytes it was.
    Next(Box<Server>, usize),
    /// There will be none.
    Refused(Fault),
    /// What was sent ahead is not answered here: it is to be sent to another server.
    Elsewhere,
}

/// A session's place in line; leaving it gives back what was given meanwhile.
#[derive(Debug)]
pub struct Ticket {
    pool: Rc<Pool>,
    place: Rc<Place>,
}

impl Read {
    /// A copy of what a session has.
    pub fn new(state: &Rc<State>, reading: &Reading, ahead: Ahead<'_>, judged: u64) -> Read {
        let Ahead { message, statement } = ahead;
        let (state, reading) = (state.clone(), reading.clone());
        Read { state, reading, message: message.into(), statement: statement.cloned(), judged }
    }
}

impl Place {
    pub(super) fn new(read: Option<Read>) -> Rc<Place> {
        let slot = RefCell::new(Slot::Waiting(Waker::noop().clone()));
        Rc::new(Place { since: Cell::new(Instant::now()), read, sent: Cell::default(), slot })
    }

    /// So many bytes were sent behind another's: it waits for their answer from now on.
    pub(super) fn moves_ahead(&self, sent: usize, now: Instant) {
        self.since.set(now);
        self.sent.set(Some(sent));
    }

    /// Gives the server to the session that stands here; gives it back when nobody does.
    pub(super) fn give(&self, server: Box<Server>) -> Option<Box<Server>> {
        let mut slot = self.slot.borrow_mut();
        if !matches!(*slot, Slot::Waiting(_)) {
            return Some(server);
        }
        if let Slot::Waiting(waker) = std::mem::replace(&mut *slot, Slot::Given(server)) {
            waker.wake();
        }
        None
    }

    pub(super) fn refuse(&self, fault: Fault) {
        self.end(Slot::Refused(Fault { severity: Severity::Error, ..fault }));
    }

    /// What was sent ahead will not be answered.
    pub(super) fn send_away(&self) {
        self.end(Slot::Elsewhere);
    }

    fn end(&self, end: Slot) {
        let mut slot = self.slot.borrow_mut();
        if let Slot::Waiting(waker) = &*slot {
            waker.wake_by_ref();
            *slot = end;
        }
    }
}

impl Ticket {
    pub(super) fn new(pool: Rc<Pool>, place: Rc<Place>) -> Ticket {
        Ticket { pool, place }
    }

    /// Since when the session stands there, or waits for an answer.
    pub fn since(&self) -> Instant {
        self.place.since.get()
    }

    /// What became of it. Not to be polled again once ready.
    pub fn poll(&self, cx: &mut Context<'_>) -> Poll<Turn> {
        let mut slot = self.place.slot.borrow_mut();
        if let Slot::Waiting(waker) = &mut *slot {
            waker.clone_from(cx.waker());
            return Poll::Pending;
        }
        Poll::Ready(match std::mem::replace(&mut *slot, Slot::Left) {
            Slot::Given(server) => match self.place.sent.get() {
                Some(sent) => Turn::Next(server, sent),
                None => Turn::Server(server),
            },
            Slot::Refused(fault) => Turn::Refused(fault),
            Slot::Elsewhere => Turn::Elsewhere,
            Slot::Waiting(_) | Slot::Left => Turn::Refused(Fault::error("XX000", "left the line")),
        })
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let slot = self.place.slot.replace(Slot::Left);
        match slot {
            Slot::Given(server) => self.pool.give_back(server),
            Slot::Waiting(_) => self.pool.leave_line(&self.place),
            Slot::Refused(_) | Slot::Elsewhere | Slot::Left => {}
        }
    }
}
