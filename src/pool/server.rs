//! One connection to PostgreSQL.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use super::budget::Share;
use super::connect::{Connected, parameter};
use super::encrypt::Connector;
use super::exchange::{Exchanges, Expect, Kind, Note};
use super::fit::Fit;
use super::follow::Following;
use super::prepared::{Description, OnServer};
use super::queue::Pool;
use super::reach::Address;
use super::reading::Reading;
use super::sequences::Memory;
use super::state::State;
use crate::config::settings::Host;
use crate::wire::frame::{Frame, HEADER, TxStatus, back};
use crate::wire::{Socket, emit};

/// Of an unnamed statement: there may be one, and nobody knows which.
pub const UNKNOWN: u64 = u64::MAX;

/// Of the limit of a server: there may be one, and nobody knows which.
pub const UNKNOWN_LIMIT: u32 = u32::MAX;

/// A server: its socket, and what is known of the process at the other end.
///
/// Owned by the pool while idle, by a session while leased. Dropping it closes the connection and tells the pool.
#[derive(Debug)]
pub struct Server {
    /// The socket.
    pub socket: Socket,
    /// What others may need while it is leased: its address and cancel key.
    pub shared: Rc<Shared>,
    /// Settings in force.
    pub state: Rc<State>,
    /// Custom settings may be in force that `state` does not name.
    pub murky: bool,
    /// For how many milliseconds a rule lets its statements run, whatever `state` says, as it was sent; 0: no rule says anything;
    /// or [`UNKNOWN_LIMIT`].
    pub limit: u32,
    /// How it reads texts when nothing is set.
    pub reading: Reading,
    /// How it reads them by its last report.
    pub told: Reading,
    /// Named statements that are prepared.
    pub prepared: Rc<OnServer>,
    /// The unnamed statement, by the tick at which a session prepared it; 0: there is none; [`UNKNOWN`]: there may be one.
    pub unnamed: u64,
    /// What that one was described as since.
    pub unnamed_description: Option<Rc<Description>>,
    /// Whose values of sequences it may remember.
    pub sequences: Memory,
    /// Whether its node is what was asked for; `None` where any is.
    pub(super) fit: Option<Fit>,
    /// Answers to come.
    pub expects: Exchanges,
    /// Transaction status as last told.
    pub tx: TxStatus,
    /// Bytes that the socket has not yet taken.
    pub out: Vec<u8>,
    /// The beginning of a message whose rest has not arrived.
    pub residue: Vec<u8>,
    /// Bytes of a message being relayed that have not arrived; dropped instead when `swallow_rest`.
    pub rest: usize,
    /// Whether `rest` is not for the client.
    pub swallow_rest: bool,
    /// Major version of PostgreSQL, such as 15; 0: it tells none.
    pub version: u32,
    /// The database's encoding is UTF8.
    pub utf8: bool,
    /// COPY FROM STDIN is running.
    pub copy_in: bool,
    /// After an error it skips what it is sent up to a Sync, which it has not been sent yet.
    pub skips: bool,
    /// Why a statement could not be brought that the client's text runs, and how far the position in it has moved.
    pub blame: Option<(Box<[u8]>, isize)>,
    /// Rows of a probe.
    pub captured: Vec<Vec<u8>>,
    /// Something happened after which it cannot be used again.
    pub broken: bool,
    /// It works, but nobody knows what state its session is in: to be closed instead of lent.
    pub spoiled: bool,
    /// When it was last given back.
    pub idle_since: Instant,
    /// When the client's transaction, and its exchange, began.
    pub clock: Clock,
    generation: u64,
    pool: Rc<Pool>,
    _shares: [Share; 2],
}

/// Times of what a server does for a client: taken when it is asked, and when it has answered.
#[derive(Debug, Default, Clone, Copy)]
pub struct Clock {
    /// When the transaction's first message was written.
    pub transaction: Option<Instant>,
    /// When the first of the messages still to be answered was written.
    pub exchange: Option<Instant>,
    /// When it was lent, until that is used: asking for the time costs.
    pub lent: Option<Instant>,
    /// When the last answer ended, until that is used.
    pub answered: Option<Instant>,
}

impl Clock {
    /// A message of the client's is being written.
    #[inline]
    pub fn asked(&mut self) {
        if self.exchange.is_none() {
            let now = self.lent.take().unwrap_or_else(Instant::now);
            self.exchange = Some(now);
            self.transaction.get_or_insert(now);
        }
    }
}

/// What others may need of a leased server.
#[derive(Debug)]
pub struct Shared {
    /// Where it is.
    pub host: Host,
    /// At which of its addresses.
    pub address: Address,
    /// For a cancel over TLS, if the connection has it.
    pub tls: Option<Arc<Connector>>,
    /// Process id there.
    pub pid: i32,
    /// Cancel secret.
    pub secret: Box<[u8]>,
    /// Cancels on their way to it: it is not lent while there are any.
    pub cancels: Cell<u32>,
    /// It works for pgweir: the client's statement has not begun, or has ended.
    pub own: Cell<bool>,
    /// When it connected.
    pub born: Instant,
    /// Who is behind its holder's statement.
    pub follow: Following,
    /// Named statements that are prepared, for who would be.
    pub prepared: Rc<OnServer>,
}

impl Server {
    pub(super) fn new(connected: Connected, pool: Rc<Pool>, state: Rc<State>, shares: [Share; 2]) -> Server {
        let now = Instant::now();
        let version = connected.major_version().unwrap_or(0);
        let reading = Reading::of(&connected.params);
        let fit = Fit::of(&connected, now);
        let utf8 =
            connected.params.iter().any(|(name, value)| name == b"server_encoding" && value == b"UTF8");
        let prepared = Rc::new(OnServer::new(pool.target().prepared_limit));
        let Connected { socket, host, address, tls, pid, secret, .. } = connected;
        Server {
            socket,
            shared: Rc::new(Shared {
                host,
                address,
                tls,
                pid,
                secret,
                cancels: Cell::new(0),
                own: Cell::new(false),
                born: now,
                follow: Following::default(),
                prepared: prepared.clone(),
            }),
            state,
            murky: false,
            limit: 0,
            told: reading.clone(),
            reading,
            prepared,
            unnamed: 0,
            unnamed_description: None,
            sequences: Memory::default(),
            fit,
            expects: Exchanges::new(),
            tx: TxStatus::Idle,
            out: vec![],
            residue: vec![],
            rest: 0,
            swallow_rest: false,
            version,
            utf8,
            copy_in: false,
            skips: false,
            blame: None,
            captured: vec![],
            broken: false,
            spoiled: false,
            idle_since: now,
            clock: Clock::default(),
            generation: pool.generation(),
            pool,
            _shares: shares,
        }
    }

    /// Whether another session may have it: nothing is under way, nothing is half sent or half read.
    pub fn is_clean(&self) -> bool {
        !self.broken
            && !self.spoiled
            && self.tx == TxStatus::Idle
            && self.expects.is_empty()
            && self.out.is_empty()
            && self.socket.is_flushed()
            && self.residue.is_empty()
            && self.rest == 0
            && !self.copy_in
            && !self.skips
    }

    /// Whether what its client has sent comes to an end without the client: not data for a COPY, nor a batch whose Sync was not sent.
    pub fn finishes(&self) -> bool {
        !self.copy_in && self.expects.iter().any(Expect::ends_with_ready)
    }

    /// Whether the next answer is pgweir's own to give.
    pub fn answers_here(&self) -> bool {
        let is_ours_to_give = |front: &Expect| matches!(front.kind, Kind::ClosedHere | Kind::Here);
        !self.skips && self.expects.front().is_some_and(is_ours_to_give)
    }

    /// Whether a client has the beginning of a message of it, and not the end.
    pub fn is_inside_message(&self) -> bool {
        self.rest > 0 && !self.swallow_rest
    }

    /// Whether it reports a setting whenever it is set (before PostgreSQL 14), not once at the end if it differs.
    pub fn reports_at_once(&self) -> bool {
        (1..14).contains(&self.version)
    }

    /// Whether a simple query inside an extended batch leaves it in a transaction of which it says nothing, so that the
    /// next statement fails (PostgreSQL 18).
    pub fn trips_over_query_in_batch(&self) -> bool {
        self.version >= 18
    }

    /// Announces an answer to come.
    #[inline]
    pub fn expect(&mut self, expect: Expect) {
        if self.expects.is_empty() {
            self.shared.own.set(expect.ours);
        }
        self.expects.push_back(expect);
    }

    /// Sends a text of pgweir's own. As any Query it takes the unnamed statement away.
    pub fn ask(&mut self, text: &[u8], note: Note) {
        emit::query(&mut self.out, text);
        self.unnamed = 0;
        self.expect(Expect::ours(Kind::Query, note));
    }

    /// The end of COPY data was sent, ahead of the copy's beginning perhaps.
    pub fn copy_ends(&mut self) {
        match self.expects.back_mut() {
            Some(last) if !self.copy_in => last.copy_ends = last.copy_ends.saturating_add(1),
            _ => self.copy_in = false,
        }
    }

    /// COPY data are sent: ahead of the copy's beginning perhaps.
    pub fn copy_goes_on(&mut self) {
        let copy = if self.copy_in { self.expects.front_mut() } else { self.expects.back_mut() };
        copy.into_iter().for_each(|copy| copy.copy_data = true);
    }

    /// A Sync is sent among COPY data: ignored, unless those ahead of it were refused, of which nobody has heard yet.
    pub fn sync_in_copy(&mut self) {
        if self.expects.front().is_some_and(|copy| copy.copy_data) {
            self.expect(Expect::noted(Kind::Sync, Note::InCopy));
        }
    }

    /// COPY FROM STDIN began; it is under way unless its end was sent already. Syncs between are not answered; those behind data only if
    /// the data are refused.
    pub fn copy_begins(&mut self) {
        let (mut last, mut behind_data) = (0, false);
        while let Some(sent) = self.expects.get_mut(last) {
            if sent.copy_ends > 0 {
                sent.copy_ends -= 1;
                return;
            }
            behind_data |= sent.copy_data;
            match self.expects.get_mut(last + 1) {
                Some(next) if next.kind == Kind::Sync && behind_data => {
                    next.note = Note::InCopy;
                    last += 1;
                }
                Some(next) if next.kind == Kind::Sync => {
                    let (ends, data) = (next.copy_ends, next.copy_data);
                    self.expects.remove(last + 1);
                    (self.expects[last].copy_ends, self.expects[last].copy_data) = (ends, data);
                }
                _ => break,
            }
        }
        self.copy_in = true;
    }

    /// A statement ended well. If it was a COPY, Syncs among its data are not answered.
    pub fn ended_well(&mut self) {
        let Some(copy) = self.expects.front_mut().filter(|front| front.copy_data) else { return };
        copy.copy_data = false;
        while self.expects.get(1).is_some_and(|next| matches!(next.note, Note::InCopy)) {
            self.expects.remove(1);
        }
    }

    /// Reads what an idle server said. Notices and parameter changes are no harm, unless they change how it reads texts;
    /// anything else, or the end, is.
    pub(super) fn hear_out(&mut self) -> bool {
        let mut buf = [0; 4096];
        let mut cx = Context::from_waker(Waker::noop());
        let Poll::Ready(read) = self.socket.poll_read(&mut cx, &mut buf) else { return true };
        let mut said = match read {
            Ok(n) if n > 0 => &buf[..n],
            _ => return false,
        };
        while let Ok(Some(frame)) = Frame::peek(said) {
            let Some(whole) = said.get(..frame.total) else { return false };
            let harmless = match frame.tag {
                back::NOTICE_RESPONSE => true,
                back::PARAMETER_STATUS => {
                    parameter(&whole[HEADER..]).is_some_and(|(name, value)| !self.hear(&name, &value))
                }
                _ => false,
            };
            if !harmless {
                return false;
            }
            said = &said[frame.total..];
        }
        said.is_empty()
    }

    /// The pool it belongs to.
    pub fn pool(&self) -> &Rc<Pool> {
        &self.pool
    }

    /// When it connected.
    pub fn born(&self) -> Instant {
        self.shared.born
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.pool.lost(self.generation, &self.shared);
    }
}
