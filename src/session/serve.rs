//! The driver of a session: small polls in a fixed order.

use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::begin::HeldBegin;
use super::cached::Cached;
use super::capture::Capture;
use super::carried::Carried;
use super::cycle::Cycle;
use super::explain::Explains;
use super::handle::Handle;
use super::listen::Listens;
use super::outcome::Unsent;
use super::pacing::Pace;
use super::portals::Portal;
use super::prepare::{Dropped, Names};
use super::probe::Asked;
use super::route::Route;
use super::ruled::{Narrowed, Verdict};
use super::statement::Named;
use super::told::Asking;
use crate::catalog::{Change, Contents, Known};
use crate::config::settings::PoolMode;
use crate::plan::{Profile, Profiles};
use crate::pool::exchange::Commits;
use crate::pool::reading::Reading;
use crate::pool::server::Clock;
use crate::pool::state::State;
use crate::pool::{Pool, Server, Ticket, Turn};
use crate::runtime::Worker;
use crate::sql::{Dialect, Effects};
use crate::wire::frame::TxStatus;
use crate::wire::{Fault, Severity, Socket};

/// Bytes waiting for a slow peer beyond which the other side is not read.
pub(super) const BACKLOG: usize = 256 * 1024;
/// The whole of a message.
pub(super) const TERMINATE: &[u8] = b"X\0\0\0\x04";
/// A buffer larger than this is not kept when it is empty.
pub(super) const KEPT: usize = 16 * 1024;

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Terminate, or the end of the stream.
    ClientLeft,
    /// The client was told why.
    Told,
    /// The socket to the client failed.
    Broken,
}

/// What a batch of extended messages, not yet ended by Sync, has in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Batch {
    /// Portals, executions: what must not be ended before the client says so.
    pub heavy: bool,
    /// An error: the server skips to Sync.
    pub failed: bool,
    /// Flush.
    pub flushed: bool,
    /// What may be committed with it.
    pub commits: Commits,
}

/// Why a session keeps its server between transactions.
pub type Pins = Vec<&'static str>;

/// A client that has logged in.
pub struct Session {
    pub(super) worker: Rc<Worker>,
    pub(super) handle: Rc<Handle>,
    pub(super) client: Socket,
    pub(super) pool: Rc<Pool>,
    pub(super) mode: PoolMode,
    pub(super) server: Option<Box<Server>>,
    pub(super) ticket: Option<Ticket>,
    /// So many bytes of the input were sent behind another session's statement, and their answer has not begun.
    pub(super) following: usize,
    /// What stands in the input is not to be sent behind another's again.
    pub(super) alone: bool,
    /// A prepared read, as far as it was not taken off the input.
    pub(super) cycle: Option<Cycle>,
    /// Client bytes not yet taken.
    pub(super) input: Vec<u8>,
    /// Bytes of a client message that are still to come and go to the server unseen.
    pub(super) input_rest: usize,
    /// Those bytes are dropped instead.
    pub(super) drop_rest: bool,
    /// The cycle was answered by an error of ours: its rest is dropped.
    pub(super) skipping: bool,
    /// Bytes that the client has not yet taken.
    pub(super) out: Vec<u8>,
    pub(super) state: Rc<State>,
    /// What RESET goes back to: the state asked for at login.
    pub(super) initial: Rc<State>,
    pub(super) functions: Rc<Known>,
    /// Its transaction may change definitions.
    pub(super) defining: Option<Change>,
    /// The same for the names that reads must not mention.
    pub(super) redefining: Option<Change<Contents>>,
    /// How its reads go to replicas, if its database has any.
    pub(super) route: Option<Box<Route>>,
    /// What it has of its database's result cache, where rules keep answers.
    pub(super) cached: Option<Box<Cached>>,
    /// What rules say of the statement at the front of the input.
    pub(super) verdict: Option<Verdict>,
    /// What rules keep of statements that are on their way.
    pub(super) pace: Option<Box<Pace>>,
    /// Which of many rules are for it.
    pub(super) narrowed: Option<Box<Narrowed>>,
    /// What it has of statements for which rules ask for something.
    pub(super) carried: Carried,
    /// What is counted of its statements, where they are.
    pub(super) capture: Option<Box<Capture>>,
    /// What is known of the database's statements.
    pub(super) profiles: Rc<Profiles>,
    /// The plain read that is under way on a server of its own.
    pub(super) reading_now: Option<Rc<Profile>>,
    /// It may have listened: notifications are for it.
    pub(super) listening: bool,
    /// What it hears by the worker's listener.
    pub(super) listens: Option<Box<Listens>>,
    /// How servers read texts when nothing is set, as the client was told.
    pub(super) defaults: Reading,
    /// How the session's texts are read now.
    pub(super) reading: Rc<Reading>,
    /// The settings that decide what strings in texts mean.
    pub(super) meaning: Rc<[u8]>,
    /// The search path, if it was set.
    pub(super) path: Rc<[u8]>,
    /// What is under way may have changed what texts mean.
    pub(super) means_unknown: bool,
    /// The reading, as it matters to the reader of a text.
    pub(super) dialect: Dialect,
    pub(super) names: Names,
    pub(super) unnamed: Option<Named>,
    /// Unnamed statements that are being replaced, oldest first: for the case that the message is skipped.
    pub(super) replaced: VecDeque<Option<Named>>,
    /// Names closed in this batch, oldest first: they are back when the batch fails before their Close.
    pub(super) closed: Vec<(Box<[u8]>, Named)>,
    /// What DEALLOCATEs under way have taken away.
    pub(super) dropped: Vec<Dropped>,
    /// Portals of which something matters when they are described or executed.
    pub(super) portals: Vec<Portal>,
    /// What it has of EXPLAIN ROUTE, once it has asked for one.
    pub(super) explains: Option<Box<Explains>>,
    /// The client's next cycle waits until this one was answered.
    pub(super) one_by_one: bool,
    pub(super) held_begin: Option<HeldBegin>,
    /// Extended messages were sent since the last Sync.
    pub(super) batch_open: bool,
    /// The server was leased for a message that has not gone to it yet.
    pub(super) unused: bool,
    /// Nothing of the client's has gone to the server in hand yet: what to go back to when that is gone.
    pub(super) unsent: Option<Unsent>,
    /// How often the cycle was taken back since something was sent.
    pub(super) taken_back: u8,
    /// What the open batch holds, and whether the client asked for its answers by Flush.
    pub(super) batch: Batch,
    /// The client's bytes wait for a guarded change of state.
    pub(super) settling: bool,
    /// The server is asked whether a statement is what the client was told.
    pub(super) asking: Asking,
    /// What the transaction may have done to the session.
    pub(super) after: Effects,
    /// Custom settings that texts have named since the last question for what they left behind.
    pub(super) touched: Vec<Box<[u8]>>,
    /// That question is under way.
    pub(super) asked: Option<Asked>,
    /// How often in a row it has failed.
    pub(super) ask_failures: u8,
    pub(super) pins: Pins,
    /// Names the session; never used twice in a process.
    pub(super) number: u64,
    /// The server that ran its last transaction.
    pub(super) last_server: u64,
    pub(super) leaving: bool,
    /// The client's next word wakes the session: see [`Session::attend`].
    pub(super) attends: bool,
    pub(super) eof: bool,
    pub(super) end: Option<End>,
}

impl Session {
    /// Serves the client until it leaves, then cleans up behind it.
    pub async fn run(&mut self) {
        let end = std::future::poll_fn(|cx| self.poll(cx)).await;
        self.leave(end);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        self.handle.waker.borrow_mut().clone_from(cx.waker());
        loop {
            match self.turn(cx) {
                Ok(true) => {}
                Ok(false) => return self.rest(cx),
                Err(_) => return Poll::Ready(End::Broken),
            }
        }
    }

    /// One round over all that may have become possible. `Ok(true)`: something happened, go round again.
    fn turn(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let mut progress = self.poll_out(cx)?;
        if self.end.is_some() {
            return Ok(progress);
        }
        progress |= self.obey();
        progress |= self.poll_route(cx);
        progress |= self.poll_cache(cx);
        progress |= self.poll_ticket(cx)?;
        progress |= self.poll_turn(cx);
        progress |= self.poll_listening(cx);
        progress |= self.poll_stopping(cx);
        let answered = self.poll_server(cx)?;
        if self.end.is_some() {
            // Nothing that the client may still say is heard.
            return Ok(true);
        }
        progress |= self.poll_client(cx)?;
        if progress && self.waits_for_answer_only() {
            return Ok(self.is_spoken_to(cx));
        }
        Ok(progress || answered && !self.waits_for_client_only())
    }

    fn poll_out(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let given = self.may_be_given();
        if given == 0 {
            // With TLS, what was written may still wait for the socket.
            let _pending = self.client.poll_flush(cx)?;
            return Ok(false);
        }
        let Poll::Ready(written) = self.client.poll_write(cx, &self.out[..given])? else { return Ok(false) };
        drain_front(&mut self.out, written);
        self.was_given(written);
        self.pool.stats().sent.add(written as u64);
        self.capture_taken(true);
        Ok(written > 0)
    }

    fn poll_ticket(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let Some(ticket) = &self.ticket else { return Ok(false) };
        let Poll::Ready(turn) = ticket.poll(cx) else { return Ok(false) };
        match turn {
            Turn::Server(server) => {
                self.capture_wait();
                self.lease(server);
            }
            Turn::Next(server, sent) => self.follow_on(server, sent, cx)?,
            Turn::Refused(fault) => {
                self.ticket = None;
                if !self.node_refuses() {
                    let input = std::mem::take(&mut self.input);
                    self.capture_refused(&input, &fault.sqlstate);
                    self.input = input;
                    self.refused(fault);
                }
            }
            Turn::Elsewhere => self.follow_no_more(),
        }
        Ok(true)
    }

    /// Takes a server and brings it to the session's state.
    pub(super) fn lease(&mut self, server: Box<Server>) {
        self.ticket = None;
        self.unused = true;
        self.unsent = Some(Unsent::of(self));
        self.handle.waiting.set(false);
        self.pool.note_assignment();
        *self.handle.server.borrow_mut() = Some(server.shared.clone());
        let server = self.server.insert(server);
        server.clock = Clock { lent: server.clock.lent, ..Clock::default() };
        let forgets = self.enter_server();
        self.enter_node();
        self.keep_reading();
        self.settle(forgets);
        self.after |= self.makes_temporary_objects();
        if self.held_begin.is_some() {
            self.bring_channels();
        }
        self.begin_on_server();
    }

    /// There is no server to be had: the client is told, and what it sent meanwhile up to the end of the cycle is
    /// answered by that error.
    pub(super) fn refused(&mut self, fault: Fault) {
        self.ticket = None;
        self.following = 0;
        self.handle.waiting.set(false);
        if fault.severity == Severity::Fatal {
            return self.fatal(&fault);
        }
        if let Some(begin) = &mut self.held_begin {
            begin.failed = true;
        }
        self.pool.stats().error(&fault.sqlstate);
        fault.emit(&mut self.out);
        self.listened_to_nothing();
        self.skipping = true;
    }

    /// Tells the client why, and ends. Inside a message that the server has not finished nothing can be told: the
    /// client would take it for a part of that message.
    pub(super) fn fatal(&mut self, fault: &Fault) {
        self.pool.stats().error(&fault.sqlstate);
        self.drop_held_answer();
        if !self.server.as_deref().is_some_and(Server::is_inside_message) {
            fault.clone().into_fatal().emit(&mut self.out);
        }
        self.end = Some(End::Told);
    }

    fn poll_client(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let waits = self.is_held_up() || self.leaving;
        let full = self.server.as_ref().is_some_and(|server| server.out.len() >= BACKLOG);
        if full || self.out.len() >= BACKLOG || (waits && self.input.len() >= BACKLOG) {
            return Ok(false);
        }
        if !waits && !self.input.is_empty() {
            let input = std::mem::take(&mut self.input);
            let taken = self.take_and_send(cx, &input);
            let blocked = self.is_held_up() || self.leaving;
            self.keep(input, taken);
            if taken > 0 || blocked {
                return Ok(true);
            }
        }
        if self.eof {
            // Of what it sent, nothing more can be taken.
            if !waits {
                self.client_left();
            }
            return Ok(false);
        }
        self.read_client(cx, waits)
    }

    /// The client's next message must wait.
    pub(super) fn is_held_up(&self) -> bool {
        self.waits_for_node() || self.is_held_up_here()
    }

    /// As [`Session::is_held_up`], by something else than a replica.
    pub(super) fn is_held_up_here(&self) -> bool {
        self.ticket.is_some()
            || self.following > 0
            || self.has_followers()
            || self.waits_for_cache()
            || self.stands_in_line()
            || self.drains()
            || self.settling
            || matches!(self.asking, Asking::Waits(..))
            || self.waits_for_listener()
            || self.waits_to_explain()
            || self.waits_for_rows()
            || self.one_by_one && (self.cycle_under_way() || self.discards_all())
    }

    fn keep(&mut self, mut input: Vec<u8>, taken: usize) {
        debug_assert!(self.input.is_empty());
        drain_front(&mut input, taken);
        self.input = input;
    }

    fn read_client(&mut self, cx: &mut Context<'_>, waits: bool) -> io::Result<bool> {
        if self.attends && self.client.is_quiet() {
            return Ok(false);
        }
        let mut scratch = self.worker.take_scratch();
        let poll = self.client.poll_read(cx, &mut scratch);
        self.attend(poll.is_pending());
        if let Poll::Ready(Ok(n)) = poll {
            self.handle.heard.set(true);
            self.handle.stirred.set(true);
            self.pool.stats().received.add(n as u64);
        }
        let Poll::Ready(read) = poll else {
            self.worker.put_scratch(scratch);
            return Ok(false);
        };
        match read {
            Ok(0) | Err(_) => self.client_gone(),
            Ok(n) if waits || !self.input.is_empty() => self.input.extend_from_slice(&scratch[..n]),
            Ok(n) => {
                let taken = self.take_and_send(cx, &scratch[..n]);
                self.input.extend_from_slice(&scratch[taken..n]);
            }
        }
        self.worker.put_scratch(scratch);
        self.flush_server(cx);
        Ok(true)
    }

    /// Writes what is ready for the server; what does not fit stays for the next turn.
    pub(super) fn flush_server(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(server) = &mut self.server else { return false };
        server.shared.follow.take_bytes(&mut server.out);
        if server.out.is_empty() {
            // An error shows again at the next read.
            let _ = server.socket.poll_flush(cx);
            return false;
        }
        if server.expects.back().is_some_and(|last| !last.ours) {
            server.clock.asked();
        }
        match server.socket.poll_write(cx, &server.out) {
            Poll::Ready(Ok(written)) => {
                drain_front(&mut server.out, written);
                if written > 0 && !self.may_be_taken_back() {
                    (self.unsent, self.taken_back) = (None, 0);
                }
                written > 0
            }
            // What the server said before it closed is still to be read.
            Poll::Ready(Err(_)) => {
                server.out.clear();
                server.broken = true;
                true
            }
            Poll::Pending => false,
        }
    }

    fn poll_server(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let mut progress = self.flush_server(cx);
        if self.server.is_some() && self.out.len() < BACKLOG {
            progress |= self.read_server(cx)?;
        }
        if self.leaving && !self.server.as_ref().is_some_and(|server| server.finishes()) {
            self.end = Some(End::ClientLeft);
        }
        Ok(progress)
    }

    /// Gives the server back if nothing holds it any more.
    pub(super) fn release_if_free(&mut self) {
        let Some(server) = &self.server else { return };
        if self.keeps_server() || !self.after.is_empty() {
            return;
        }
        if server.spoiled && server.tx == TxStatus::Idle && server.expects.is_empty() && !server.skips {
            *self.handle.server.borrow_mut() = None;
            self.server = None;
        } else if (server.is_clean() || server.shared.follow.has_followers())
            && let Some(server) = self.server.take()
        {
            *self.handle.server.borrow_mut() = None;
            let pool = server.pool().clone();
            pool.give_back(server);
        }
    }

    /// Whether the server stays between transactions.
    pub(super) fn keeps_server(&self) -> bool {
        self.mode == PoolMode::Session
            || !self.pins.is_empty()
            || self.batch_open
            || self.input_rest > 0
            || self.unused
    }

    /// The transaction status that the client knows.
    pub(super) fn tx_status(&self) -> TxStatus {
        match (&self.held_begin, &self.server) {
            (Some(begin), _) if begin.failed => TxStatus::Failed,
            (Some(_), _) => TxStatus::Open,
            (None, Some(server)) => server.tx,
            (None, None) => TxStatus::Idle,
        }
    }
}

/// Removes what was written; a large buffer is let go when it is empty.
pub(super) fn drain_front(buffer: &mut Vec<u8>, written: usize) {
    if written < buffer.len() {
        buffer.drain(..written);
    } else if buffer.capacity() > KEPT {
        *buffer = Vec::new();
    } else {
        buffer.clear();
    }
}
