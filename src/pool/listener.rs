//! One server that listens for many sessions.
//!
//! A [`Listener`] serves the sessions of one database on one worker. A session has a [`Mailbox`]; the listener
//! puts every notification into the mailboxes that want its channel, in the order in which PostgreSQL queued them.
//! The server connects when the first session listens, outside of every pool, and is closed when none does any more.
//!
//! Whether a notification came before or after something else that a session did is told by [`Listener::catch_up`]:
//! PostgreSQL signals listeners while it commits, and a server reads what it was signalled before it answers the
//! next query (`ProcessNotifyInterrupt`), so after one round trip everything committed before is in the mailboxes.

use std::cell::{Cell, RefCell};
use std::collections::{HashSet, VecDeque};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};

use super::connect::{self, Connected};
use super::lead::until_astray;
use super::state::{quote_identifier, quote_literal};
use super::target::Target;
use crate::wire::frame::{self, Frame, HEADER, back};
use crate::wire::{Fault, emit};

/// How long a server is kept that nobody listens by.
const LINGER: Duration = Duration::from_secs(10);
/// Delay before connecting again after the connection was lost: doubled each time, up to [`MAX_DELAY`].
const MIN_DELAY: Duration = Duration::from_millis(100);
const MAX_DELAY: Duration = Duration::from_secs(15);
/// A message of a listening server that is longer than this is none.
const MAX_MESSAGE: usize = 1 << 20;

/// Names of channels, each once, in the order of their LISTENs.
pub type Channels = Vec<Box<[u8]>>;

/// What waits for one session.
#[derive(Debug, Default)]
pub struct Mailbox {
    wants: RefCell<HashSet<Box<[u8]>>>,
    letters: RefCell<VecDeque<Letter>>,
    bytes: Cell<usize>,
    lost: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

/// A notification.
#[derive(Debug, Clone)]
pub struct Letter {
    channel: Box<[u8]>,
    message: Rc<[u8]>,
}

impl Mailbox {
    /// Notifications on these channels are put in from now on. The listener listens once it was told to catch up.
    pub fn want<'a>(&self, channels: impl Iterator<Item = &'a Box<[u8]>>) {
        *self.wants.borrow_mut() = channels.cloned().collect();
    }

    /// Throws out what fails the test.
    pub fn retain(&self, keep: impl Fn(&[u8]) -> bool) {
        let mut letters = self.letters.borrow_mut();
        letters.retain(|letter| keep(&letter.channel));
        self.bytes.set(letters.iter().map(|letter| letter.message.len()).sum());
    }

    /// Takes everything out, as messages for the client; a loss is told first.
    pub fn empty_into(&self, out: &mut Vec<u8>) -> u64 {
        if self.lost.take() {
            let text = "notifications may have been lost: the server that listened is not the same any more, or \
                 more than max_held_message bytes were waiting";
            Fault::warning("01000", text).emit(out);
        }
        self.bytes.set(0);
        let letters = std::mem::take(&mut *self.letters.borrow_mut());
        letters.iter().for_each(|letter| out.extend_from_slice(&letter.message));
        letters.len() as u64
    }

    /// Takes over what is in `other`. `lost`: more may have come than is in either.
    pub fn inherit(&self, other: &Mailbox, lost: bool) {
        self.letters.replace(other.letters.take());
        self.bytes.set(other.bytes.take());
        self.lost.set(lost || self.lost.get() || other.lost.get());
    }

    /// How many notifications are in it.
    pub fn len(&self) -> usize {
        self.letters.borrow().len()
    }

    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.letters.borrow().is_empty() && !self.lost.get()
    }

    /// Wakes this one when something comes.
    pub fn wake_by(&self, waker: &Waker) {
        let mut known = self.waker.borrow_mut();
        match &mut *known {
            Some(known) => known.clone_from(waker),
            None => *known = Some(waker.clone()),
        }
    }

    fn put(&self, letter: Letter, limit: usize) {
        let bytes = self.bytes.get() + letter.message.len();
        if bytes > limit {
            self.lost.set(true);
        } else {
            self.bytes.set(bytes);
            self.letters.borrow_mut().push_back(letter);
        }
        self.wake();
    }

    fn lose(&self) {
        if !self.wants.borrow().is_empty() {
            self.lost.set(true);
            self.wake();
        }
    }

    fn wake(&self) {
        self.waker.borrow().iter().for_each(Waker::wake_by_ref);
    }
}

/// The server that listens, and who for.
#[derive(Debug)]
pub struct Listener {
    target: RefCell<Arc<Target>>,
    encoding: Option<Box<[u8]>>,
    mailboxes: RefCell<Vec<Rc<Mailbox>>>,
    waiting: RefCell<Vec<oneshot::Sender<Result<(), Fault>>>>,
    news: Notify,
    runs: Cell<bool>,
    mailbox_limit: usize,
}

/// A wish to catch up; ready when the listener has.
#[derive(Debug)]
pub struct CatchUp(oneshot::Receiver<Result<(), Fault>>);

impl CatchUp {
    /// Ready when everything that was committed before the wish is in the mailboxes.
    ///
    /// # Errors
    /// There is no connection: as the login failed, or 08006.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        Pin::new(&mut self.0).poll(cx).map(|result| result.unwrap_or_else(|_| Err(gone())))
    }
}

impl Listener {
    /// Nothing yet: it connects when it is first asked to catch up. `encoding` is the `client_encoding` of the
    /// sessions, if they asked for one; a mailbox holds `mailbox_limit` bytes.
    pub fn new(target: Arc<Target>, encoding: Option<Box<[u8]>>, mailbox_limit: usize) -> Rc<Listener> {
        Rc::new(Listener {
            target: RefCell::new(target),
            encoding,
            mailboxes: RefCell::default(),
            waiting: RefCell::default(),
            news: Notify::new(),
            runs: Cell::new(false),
            mailbox_limit,
        })
    }

    /// The `client_encoding` in which it hears.
    pub fn encoding(&self) -> Option<&[u8]> {
        self.encoding.as_deref()
    }

    /// A mailbox for a session, to be given back by [`Listener::leave`].
    pub fn join(&self) -> Rc<Mailbox> {
        let mailbox = Rc::<Mailbox>::default();
        self.mailboxes.borrow_mut().push(mailbox.clone());
        mailbox
    }

    /// The session of this mailbox is gone.
    pub fn leave(&self, mailbox: &Rc<Mailbox>) {
        self.mailboxes.borrow_mut().retain(|other| !Rc::ptr_eq(other, mailbox));
        self.news.notify_one();
    }

    /// Listens to what the mailboxes want by now, and reads what has been committed before this call. From the next
    /// connection on, `target` says how to log in.
    pub fn catch_up(self: &Rc<Listener>, target: Arc<Target>) -> CatchUp {
        let (told, ready) = oneshot::channel();
        *self.target.borrow_mut() = target;
        self.waiting.borrow_mut().push(told);
        self.news.notify_one();
        if !self.runs.replace(true) {
            tokio::task::spawn_local(self.clone().run());
        }
        CatchUp(ready)
    }

    async fn run(self: Rc<Listener>) {
        let (mut delay, mut again) = (MIN_DELAY, false);
        while let Err(fault) = self.listen(again, &mut delay).await {
            let target = self.target.borrow().clone();
            tracing::warn!(database = target.database, user = target.user, error = %fault, "not listening");
            let waiting = std::mem::take(&mut *self.waiting.borrow_mut());
            waiting.into_iter().for_each(|told| drop(told.send(Err(fault.clone()))));
            if self.is_unused() {
                break;
            }
            again = true;
            crate::timer::sleep(delay).await;
            delay = (delay * 2).min(MAX_DELAY);
        }
        self.runs.set(false);
    }

    /// Connects and listens until nobody wants it any more. `again`: there was a connection before.
    async fn listen(&self, again: bool, delay: &mut Duration) -> Result<(), Fault> {
        let target = self.target.borrow().clone();
        let mut line = Line { connected: connect::connect(&target).await?, buffer: vec![], filled: 0 };
        if let Some(encoding) = &self.encoding {
            let mut sql = b"SET client_encoding = ".to_vec();
            quote_literal(&mut sql, encoding);
            self.ask(&mut line, &sql).await?;
        }
        let (mut heard, mut lost) = (HashSet::new(), again);
        let host = line.connected.host.clone();
        let mut astray = std::pin::pin!(until_astray(&target, &host));
        loop {
            let round = self.next_round(&mut heard);
            if !round.sql.is_empty() || !round.waiting.is_empty() {
                let answer = self.ask(&mut line, &round.sql).await;
                round.waiting.into_iter().for_each(|told| drop(told.send(answer.clone())));
                // Nothing of what was asked for is in force: the connection is given up.
                answer?;
            }
            *delay = MIN_DELAY;
            if std::mem::take(&mut lost) {
                self.mailboxes.borrow().iter().for_each(|mailbox| mailbox.lose());
            }
            tokio::select! {
                message = line.message() => self.deliver(&message?)?,
                () = self.news.notified() => {}
                () = &mut astray => return Err(gone()),
                () = crate::timer::sleep(LINGER), if self.is_unused() => return Ok(()),
            }
        }
    }

    fn is_unused(&self) -> bool {
        self.waiting.borrow().is_empty()
            && self.mailboxes.borrow().iter().all(|mailbox| mailbox.wants.borrow().is_empty())
    }

    /// What to ask next: the change of channels, or nothing but an answer.
    fn next_round(&self, heard: &mut HashSet<Box<[u8]>>) -> Round {
        let mut wanted = HashSet::new();
        let mailboxes = self.mailboxes.borrow();
        mailboxes.iter().for_each(|mailbox| wanted.extend(mailbox.wants.borrow().iter().cloned()));
        let mut sql = vec![];
        for (verb, from, to) in [(&b"LISTEN "[..], &wanted, &*heard), (b"UNLISTEN ", heard, &wanted)] {
            for channel in from.difference(to) {
                sql.extend_from_slice(verb);
                quote_identifier(&mut sql, channel);
                sql.push(b';');
            }
        }
        *heard = wanted;
        Round { sql, waiting: std::mem::take(&mut *self.waiting.borrow_mut()) }
    }

    /// Asks, and delivers what comes before the end of the answer.
    async fn ask(&self, line: &mut Line, sql: &[u8]) -> Result<(), Fault> {
        let mut out = vec![];
        emit::query(&mut out, sql);
        line.connected.socket.write_all(&out).await.map_err(|_| gone())?;
        let mut result = Ok(());
        loop {
            let message = line.message().await?;
            match message[0] {
                back::READY_FOR_QUERY => return result,
                back::ERROR_RESPONSE => result = Err(Fault::from_body(&message[HEADER..])),
                _ => self.deliver(&message)?,
            }
        }
    }

    fn deliver(&self, message: &[u8]) -> Result<(), Fault> {
        match message[0] {
            back::NOTIFICATION_RESPONSE => {}
            back::ERROR_RESPONSE => return Err(Fault::from_body(&message[HEADER..])),
            _ => return Ok(()),
        }
        let Some((channel, _)) = message.get(HEADER + 4..).and_then(frame::cstr) else { return Ok(()) };
        let letter = Letter { channel: channel.into(), message: message.into() };
        for mailbox in &*self.mailboxes.borrow() {
            if mailbox.wants.borrow().contains(channel) {
                mailbox.put(letter.clone(), self.mailbox_limit);
            }
        }
        Ok(())
    }
}

/// One question to the server that listens, and who waits for its answer.
struct Round {
    sql: Vec<u8>,
    waiting: Vec<oneshot::Sender<Result<(), Fault>>>,
}

/// The connection, read message by message. Reading may be broken off between any two bytes.
struct Line {
    connected: Connected,
    buffer: Vec<u8>,
    filled: usize,
}

impl Line {
    async fn message(&mut self) -> Result<Vec<u8>, Fault> {
        loop {
            let frame = Frame::peek(&self.buffer[..self.filled])?;
            let total = frame.map_or(HEADER, |frame| frame.total);
            if total > MAX_MESSAGE {
                return Err(Fault::error("08P01", "server sent an unexpected message"));
            }
            if frame.is_some() && self.filled >= total {
                let message = self.buffer[..total].to_vec();
                self.buffer.copy_within(total..self.filled, 0);
                self.filled -= total;
                return Ok(message);
            }
            if self.buffer.len() < self.filled + total {
                self.buffer.resize((self.filled + total).next_power_of_two().max(4096), 0);
            }
            let (socket, space) = (&mut self.connected.socket, &mut self.buffer[self.filled..]);
            let read = std::future::poll_fn(|cx| socket.poll_read(cx, space)).await;
            self.filled += read.ok().filter(|n| *n > 0).ok_or_else(gone)?;
        }
    }
}

fn gone() -> Fault {
    Fault::error("08006", "the server that listens closed the connection")
}
