//! Statements of several sessions on one server, one behind the other.
//!
//! A read that is known to be short may be sent behind another session's that is under way, instead of waking one more server:
//! several statements go out in one `send`, several answers come in one `recv`, and the server finds its next statement
//! without going to sleep. See `docs/design/sharing.md`.
//!
//! The server stays in one session's hands, that of the one whose answer comes next. Who follows has a place in line; it gets
//! the server when the answers before its own are there. Nothing that follows depends on who is ahead: whatever goes wrong
//! there, or takes too long, sends the followers away, each to a server of its own, and what was sent here is dropped when
//! it is answered. That is why only reads may follow.
//!
//! A read is a Query, or a batch that runs a prepared statement which the server has. While a server is open to followers, nobody
//! prepares or closes anything there.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::Waker;
use std::time::{Duration, Instant};

use super::crowd::Asked;
use super::exchange::{Expect, Kind};
use super::line::{Ahead, Place, Read, Ticket};
use super::queue::Pool;
use super::reach::cancel;
use super::reading::Reading;
use super::server::{Server, Shared, UNKNOWN};
use super::state::State;
use crate::config::settings::Sharing;
use crate::wire::frame::{Frame, HEADER, TxStatus, back};

/// How many may be behind one statement.
const DEPTH: usize = 7;
/// With more behind it, nobody is taken from the line: several are sent together.
const FEW: usize = 3;
/// How long a session stays behind others while none of them is answered; more than it takes an operating system to let a busy process run again.
const PATIENCE: Duration = Duration::from_millis(20);
/// How often it is looked for those who have been behind for that long.
const LOOK: Duration = Duration::from_millis(5);
/// How long answers for which nobody waits may take before they are cancelled.
const SOON: Duration = Duration::from_millis(50);
/// How long they may take then.
const DROPPING: Duration = Duration::from_secs(5);

/// Who is behind a server's statement. Lives beside the server, since that is in a session's hands.
#[derive(Debug, Default)]
pub struct Following {
    /// It is registered with the pool: open to followers, or was since it was lent.
    used: Cell<bool>,
    /// Answers to come behind the holder's own.
    count: Cell<usize>,
    behind: RefCell<Behind>,
}

#[derive(Debug, Default)]
struct Behind {
    open: bool,
    /// What followers must have in common with it.
    state: Option<Rc<State>>,
    reading: Option<Reading>,
    places: VecDeque<Rc<Place>>,
    /// When the server came to its holder, if from another one.
    moved: Option<Instant>,
    /// What they send, as far as the server's holder has not taken it.
    bytes: Vec<u8>,
    /// Answers to come for which nobody waits any more: those of all who were sent away.
    abandoned: usize,
    /// Wakes the holder.
    holder: Option<Waker>,
}

impl Following {
    /// Whether it is registered with the pool.
    #[inline]
    pub(super) fn is_in_use(&self) -> bool {
        self.used.get()
    }

    /// Whether answers to others come behind its holder's.
    #[inline]
    pub fn has_followers(&self) -> bool {
        self.count.get() > 0
    }

    /// Moves what followers send behind what the holder sends.
    #[inline]
    pub fn take_bytes(&self, out: &mut Vec<u8>) {
        if self.used.get() {
            out.append(&mut self.behind.borrow_mut().bytes);
        }
    }

    /// Nobody else may follow.
    #[inline]
    pub fn close(&self) {
        if self.used.get() {
            self.behind.borrow_mut().open = false;
        }
    }

    /// Those who follow ask elsewhere; their answers are abandoned.
    pub fn send_away(&self) {
        if !self.used.get() {
            return;
        }
        let places = {
            let mut behind = self.behind.borrow_mut();
            behind.open = false;
            behind.abandoned += behind.places.len();
            std::mem::take(&mut behind.places)
        };
        places.iter().for_each(|place| place.send_away());
    }

    /// The answers that come behind the holder's, all of them abandoned now, are the holder's to drop. Gives how many there are.
    pub fn disown(&self) -> usize {
        self.send_away();
        self.count.set(0);
        std::mem::take(&mut self.behind.borrow_mut().abandoned)
    }

    fn takes(&self, state: &Rc<State>, reading: &Reading) -> bool {
        let behind = self.behind.borrow();
        behind.open
            && self.count.get() < DEPTH
            && behind.state.as_ref().is_some_and(|own| Rc::ptr_eq(own, state))
            && behind.reading.as_ref() == Some(reading)
    }

    fn open(&self, server: &Server, holder: &Waker) {
        let mut behind = self.behind.borrow_mut();
        behind.open = true;
        match &mut behind.holder {
            Some(waker) => waker.clone_from(holder),
            none => *none = Some(holder.clone()),
        }
        if !behind.state.as_ref().is_some_and(|state| Rc::ptr_eq(state, &server.state)) {
            behind.state = Some(server.state.clone());
        }
        if behind.reading.as_ref() != Some(&server.reading) {
            behind.reading = Some(server.reading.clone());
        }
    }

    fn join(&self, place: Rc<Place>, message: &[u8], now: Instant) {
        let mut behind = self.behind.borrow_mut();
        behind.bytes.extend_from_slice(message);
        place.moves_ahead(message.len(), now);
        behind.places.push_back(place);
        self.count.set(self.count.get() + 1);
    }

    fn wake_holder(&self) {
        self.behind.borrow().holder.iter().for_each(Waker::wake_by_ref);
    }

    /// Whose answer comes next; nobody, when it is abandoned.
    fn next(&self, now: Instant) -> Option<Rc<Place>> {
        let mut behind = self.behind.borrow_mut();
        if behind.abandoned > 0 {
            return None;
        }
        let place = behind.places.pop_front()?;
        behind.moved = Some(now);
        self.count.set(behind.places.len());
        Some(place)
    }

    /// Sends those away who have been behind one statement for too long.
    fn send_overdue_away(&self, now: Instant) {
        let moved = self.behind.borrow().moved;
        let since = |place: &Rc<Place>| moved.map_or(place.since.get(), |moved| moved.max(place.since.get()));
        let overdue = |place: &Rc<Place>| now.saturating_duration_since(since(place)) >= PATIENCE;
        let is_overdue = self.behind.borrow().places.front().is_some_and(overdue);
        if is_overdue {
            self.send_away();
        }
    }
}

impl Server {
    /// Whether what is behind the holder's statement goes on as if it had been alone.
    fn is_between_statements(&self) -> bool {
        !self.broken
            && !self.spoiled
            && self.tx == TxStatus::Idle
            && self.rest == 0
            && !self.copy_in
            && !self.skips
    }
}

impl Pool {
    /// Others may send their reads behind the statement that the holder of `server` has just sent; those at the front of the line
    /// do, if they were judged by the definitions that are known now.
    pub fn open(self: &Rc<Pool>, server: &Server, holder: &Waker, judged: u64) {
        let follow = &server.shared.follow;
        if !follow.used.get() && !Asked::ALL.iter().any(|asked| self.shares_now(*asked)) {
            return;
        }
        if !follow.used.replace(true) {
            self.inner.borrow_mut().followed.push(server.shared.clone());
        }
        follow.open(server, holder);
        self.let_line_follow(&server.shared, judged);
    }

    fn let_line_follow(self: &Rc<Pool>, shared: &Rc<Shared>, judged: u64) {
        if self.owes_one() {
            return;
        }
        let mut inner = self.inner.borrow_mut();
        let follow = &shared.follow;
        if inner.line.is_empty() || inner.paused || follow.count.get() > FEW || shared.cancels.get() > 0 {
            return;
        }
        let now = Instant::now();
        let has = |read: &Read| read.statement.as_ref().is_none_or(|meant| shared.prepared.has(meant));
        let takes = |read: &Read| follow.takes(&read.state, &read.reading) && has(read);
        let may = |read: &Read| {
            read.judged == judged && self.shares_now(Asked::with(read.statement.as_ref())) && takes(read)
        };
        while let Some(place) = inner.line.front()
            && let Some(read) = place.read.as_ref().filter(|read| may(read))
        {
            self.stats().wait_time.add_time(now.duration_since(place.since.get()));
            self.stats().followed.add(1);
            follow.join(place.clone(), &read.message, now);
            inner.line.pop_front();
        }
        drop(inner);
        if follow.has_followers() {
            self.look_after_followers();
        }
    }

    /// Sends a short read behind another session's, if enough servers are at work and one of them is like the session.
    pub fn follow(self: &Rc<Pool>, state: &Rc<State>, reading: &Reading, ahead: Ahead<'_>) -> Option<Ticket> {
        let inner = self.inner.borrow();
        if !self.is_always_shared() {
            if !self.crowd.is_enough(inner.at_work()) {
                return None;
            }
            let asked = Asked::with(ahead.statement);
            self.trial.note_candidate(asked);
            if !self.trial.shares(asked) {
                return None;
            }
        }
        if inner.followed.is_empty() || inner.paused || inner.closed {
            return None;
        }
        // Reads in line come first, and others are not to see servers go from hand to hand for long.
        let first = inner.line.front();
        let line_waits =
            first.is_some_and(|first| first.read.is_some() || first.since.get().elapsed() > PATIENCE);
        if self.owes_one() || line_waits {
            return None;
        }
        let has = |one: &Shared| ahead.statement.is_none_or(|meant| one.prepared.has(meant));
        let fits = |one: &Shared| one.follow.takes(state, reading) && one.cancels.get() == 0 && has(one);
        let best = least_followed(&inner.followed, fits)?;
        let place = Place::new(None);
        best.follow.join(place.clone(), ahead.message, place.since.get());
        best.follow.wake_holder();
        drop(inner);
        self.stats().followed.add(1);
        self.look_after_followers();
        Some(Ticket::new(self.clone(), place))
    }

    /// Whether it makes a difference now that a statement is a read: not while nobody is at work, or servers are not shared. But now and then it is asked
    /// all the same, to learn how long statements take that wait for nobody, and how long now.
    pub fn looks_for_reads(&self, asked: Asked) -> bool {
        const ASKED: u32 = 16;
        self.is_always_shared()
            || self.inner.borrow().at_work() > 0 && self.trial.shares(asked)
            || self.crowd.takes_turn().is_multiple_of(ASKED)
    }

    fn is_always_shared(&self) -> bool {
        self.target.borrow().pool.share_servers == Sharing::Always
    }

    /// Whether a read that is asked like this may go behind another session's now.
    pub fn shares_now(&self, asked: Asked) -> bool {
        self.trial.shares(asked) || self.is_always_shared()
    }

    /// A session of it got a server.
    #[inline]
    pub fn note_assignment(&self) {
        self.stats().assignments.add(1);
        self.trial.note_statement();
    }

    /// Whether short reads may share its servers.
    pub fn shares(&self) -> bool {
        self.target.borrow().pool.share_servers != Sharing::Off
    }

    /// A short read that had a server for itself took so many times its best time.
    pub fn observe(&self, stretch: f32) {
        let at_work = self.inner.borrow().at_work();
        self.crowd.observe(stretch, at_work, self.target.borrow().pool.size);
    }

    /// Gives a server to who follows. `None`: it is in other hands now.
    pub(super) fn pass_on(self: &Rc<Pool>, mut server: Box<Server>) -> Option<Box<Server>> {
        let shared = server.shared.clone();
        let follow = &shared.follow;
        follow.take_bytes(&mut server.out);
        let (has_own, now) = (!server.expects.is_empty(), Instant::now());
        if !has_own && !follow.has_followers() {
            self.forget_followers(&shared);
            return Some(server);
        }
        if !server.is_between_statements() || self.is_stale(&server, now) {
            return None;
        }
        let may_be_hit = shared.cancels.get() > 0;
        if !has_own
            && !may_be_hit
            && let Some(place) = follow.next(now)
        {
            server.expect(Expect::client(Kind::Query));
            server = place.give(server)?;
        }
        // Nobody waits for the next answer.
        let own = server.expects.iter().filter(|expect| expect.ends_with_ready()).count();
        let left = own + follow.disown();
        self.forget_followers(&shared);
        server.expects.clear();
        tokio::task::spawn_local(drop_answers(server, left));
        None
    }

    /// A server is gone: who followed asks elsewhere.
    pub(super) fn send_followers_away(&self, shared: &Rc<Shared>) {
        if shared.follow.used.get() {
            shared.follow.disown();
            self.forget_followers(shared);
        }
    }

    fn forget_followers(&self, shared: &Rc<Shared>) {
        if !shared.follow.used.replace(false) {
            return;
        }
        *shared.follow.behind.borrow_mut() = Behind::default();
        let followed = &mut self.inner.borrow_mut().followed;
        if let Some(at) = followed.iter().position(|one| Rc::ptr_eq(one, shared)) {
            followed.swap_remove(at);
        }
    }

    /// While there are followers, sends those away who have been behind for too long.
    fn look_after_followers(self: &Rc<Pool>) {
        if self.looking.replace(true) {
            return;
        }
        let pool = self.clone();
        tokio::task::spawn_local(async move {
            loop {
                crate::timer::sleep(LOOK).await;
                let now = Instant::now();
                let followed: Vec<_> = pool.inner.borrow().followed.clone();
                followed.iter().for_each(|one| one.follow.send_overdue_away(now));
                if !followed.iter().any(|one| one.follow.has_followers()) {
                    break;
                }
            }
            pool.looking.set(false);
        });
    }
}

/// The one with the fewest behind it, of those that fit.
fn least_followed(all: &[Rc<Shared>], fits: impl Fn(&Shared) -> bool) -> Option<&Rc<Shared>> {
    let mut best: Option<&Rc<Shared>> = None;
    for one in all {
        let fewer = |best: &Rc<Shared>| one.follow.count.get() < best.follow.count.get();
        if best.is_none_or(fewer) && fits(one) {
            best = Some(one);
        }
    }
    best
}

/// Reads answers for which nobody waits, and gives the server back behind them. What is not answered soon is cancelled: its session
/// does not want it any more, or has had it from another server.
async fn drop_answers(mut server: Box<Server>, answers: usize) {
    // A Query takes it away, a batch does not.
    server.unnamed = UNKNOWN;
    let shared = server.shared.clone();
    let mut dropping = std::pin::pin!(async move {
        let dropped = read_answers(&mut server, answers).await;
        dropped.map(|()| server)
    });
    let deadline = Instant::now() + DROPPING;
    let dropped = loop {
        match crate::timer::timeout(SOON, &mut dropping).await {
            Ok(dropped) => break dropped,
            // Each of them by itself.
            Err(_) => cancel(&shared).await,
        }
        if Instant::now() > deadline {
            break None;
        }
    };
    if let Some(server) = dropped {
        let pool = server.pool().clone();
        pool.give_back(server);
    }
}

/// `None`: the server closed, or says what it was not asked.
async fn read_answers(server: &mut Server, mut answers: usize) -> Option<()> {
    let out = std::mem::take(&mut server.out);
    server.socket.write_all(&out).await.ok()?;
    let mut bytes = std::mem::take(&mut server.residue);
    let mut buffer = vec![0; 16 * 1024];
    // Of a long message that is dropped as it comes.
    let mut rest = 0;
    loop {
        let passed = rest.min(bytes.len());
        bytes.drain(..passed);
        rest -= passed;
        let frame = if rest == 0 { Frame::peek(&bytes).ok()? } else { None };
        match frame {
            None if answers == 0 && rest == 0 && bytes.is_empty() => return Some(()),
            // The next session would not hear of it.
            Some(frame) if frame.tag == back::PARAMETER_STATUS => return None,
            Some(frame) if frame.tag == back::READY_FOR_QUERY => {
                if let Some(status) = bytes.get(HEADER) {
                    server.tx = TxStatus::from_byte(*status);
                    answers = answers.checked_sub(1)?;
                    bytes.drain(..frame.total.min(bytes.len()));
                    continue;
                }
            }
            Some(frame) => {
                rest = frame.total;
                continue;
            }
            None => {}
        }
        let read = std::future::poll_fn(|cx| server.socket.poll_read(cx, &mut buffer)).await.ok()?;
        if read == 0 {
            return None;
        }
        bytes.extend_from_slice(&buffer[..read]);
    }
}
