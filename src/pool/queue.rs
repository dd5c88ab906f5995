//! A pool: idle servers, sessions in line, and servers being made.
//!
//! A server that is given back goes to the oldest session in line, not to whoever asks next. Connecting happens
//! in tasks of the pool's own, so that a session that goes away does not take a half-made server with it.

#![allow(
    clippy::vec_box,
    reason = "a server changes hands at every transaction: by pointer, not by hundreds of bytes"
)]

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::budget::{Budget, Share};
use super::connect::{self, Connected, Params};
use super::crowd::{Crowd, Trial};
use super::lead::Led;
use super::line::{Place, Read, Ticket};
use super::report::{PoolReport, ServerReport};
use super::sequences::Asking;
use super::server::{Clock, Server, Shared};
use super::state::{State, States};
use super::target::Target;
use crate::config::settings::Level;
use crate::stats::PoolStats;
use crate::wire::Fault;

/// How many idle servers are looked at for one that already has the session's state.
const STATE_SEARCH: usize = 8;
/// A server idle for longer is asked whether it is still there before it is lent.
const UNASKED: Duration = Duration::from_millis(5);

/// Servers for one (database, user) on one worker.
#[derive(Debug)]
pub struct Pool {
    pub(super) target: RefCell<Arc<Target>>,
    states: Rc<States>,
    pub(super) budgets: [Arc<Budget>; 2],
    stats: Arc<PoolStats>,
    /// Whether its sessions ask for what sequences gave them.
    pub asking: Asking,
    pub(super) inner: RefCell<Inner>,
    pub(super) crowd: Crowd,
    pub(super) trial: Rc<Trial>,
    /// Followers are looked after.
    pub(super) looking: Cell<bool>,
    generation: Cell<u64>,
    pub(super) led: Led,
    /// Woken when an idle server has something to say.
    keeper: RefCell<Waker>,
}

#[derive(Debug, Default)]
pub(super) struct Inner {
    pub(super) idle: Vec<Box<Server>>,
    /// Clean, but with a cancel still on its way.
    pub(super) parked: Vec<Box<Server>>,
    pub(super) line: VecDeque<Rc<Place>>,
    pub(super) live: usize,
    /// Those of `live` that a RECONNECT or a reload wants closed.
    old: usize,
    pub(super) connecting: usize,
    /// Servers that are asked whether they still suit.
    pub(super) asked: usize,
    pub(super) paused: bool,
    pub(super) closed: bool,
    pub(super) failures: u32,
    pub(super) failure: Option<(Instant, Fault)>,
    /// Which of its target's credentials that login was tried with.
    pub(super) failed_with: u32,
    pub(super) welcome: Option<Rc<Params>>,
    /// Lent servers behind whose statement others may be sent.
    pub(super) followed: Vec<Rc<Shared>>,
}

impl Pool {
    /// A pool without servers. `budgets`: its own over all workers, and that of all pools.
    pub fn new(
        target: Arc<Target>,
        states: Rc<States>,
        budgets: [Arc<Budget>; 2],
        stats: Arc<PoolStats>,
        trial: Rc<Trial>,
    ) -> Rc<Pool> {
        Rc::new(Pool {
            led: Led::new(&target),
            target: RefCell::new(target),
            states,
            budgets,
            stats,
            asking: Asking::default(),
            inner: RefCell::default(),
            crowd: Crowd::default(),
            trial,
            looking: Cell::new(false),
            generation: Cell::new(0),
            keeper: RefCell::new(Waker::noop().clone()),
        })
    }

    /// Where its servers are.
    pub fn target(&self) -> Arc<Target> {
        self.target.borrow().clone()
    }

    /// What reads of its user promise, if the settings say so.
    #[inline]
    pub fn level(&self) -> Option<Level> {
        self.target.borrow().level
    }

    /// What happens here is counted in these.
    #[inline]
    pub fn stats(&self) -> &PoolStats {
        &self.stats
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation.get()
    }

    /// The state of a server that nobody changed.
    pub fn base_state(&self) -> Rc<State> {
        self.states.base()
    }

    /// What the server that logged in last reported of itself, once one has.
    pub fn welcome(&self) -> Option<Rc<Params>> {
        self.inner.borrow().welcome.clone()
    }

    /// An idle server, best the one with the number `again`, else one whose state is `wants`; `None` when the caller must
    /// stand in line.
    pub fn try_lease(self: &Rc<Pool>, wants: &Rc<State>, again: Option<u64>) -> Option<Box<Server>> {
        self.follow_lead();
        let mut inner = self.inner.borrow_mut();
        if inner.paused || !inner.line.is_empty() {
            return None;
        }
        let last = inner.idle.len().checked_sub(1)?;
        let fits = |at: &usize| Rc::ptr_eq(&inner.idle[*at].state, wants);
        let same = again.and_then(|number| inner.idle.iter().position(|one| one.sequences.server == number));
        let at = same.or_else(|| (0..=last).rev().take(STATE_SEARCH).find(fits)).unwrap_or(last);
        let server = inner.idle.swap_remove(at);
        drop(inner);
        self.still_there(server).and_then(|server| self.beyond_doubt(server))
    }

    /// Hands out `server` unless the kernel has already told that it closed or spoke while idle.
    fn still_there(&self, mut server: Box<Server>) -> Option<Box<Server>> {
        let now = Instant::now();
        let quiet = server.socket.is_quiet();
        // What happened since the reactor last looked is seen only by asking: worth a system call after a pause.
        let asked = quiet && now.duration_since(server.idle_since) > UNASKED && server.socket.has_news();
        if asked {
            return None;
        }
        if quiet {
            server.clock = Clock { lent: Some(now), ..Clock::default() };
            return Some(server);
        }
        // The keeper finds out what it has to say.
        self.inner.borrow_mut().idle.push(server);
        self.keeper.borrow().wake_by_ref();
        None
    }

    /// Stands in line; a `read` may be sent behind another session's meanwhile.
    ///
    /// # Errors
    /// 53300 when the line is full, 57P03 when the pool was closed; what prevented the last login, where none is tried soon.
    pub fn enqueue(self: &Rc<Pool>, read: Option<Read>) -> Result<Ticket, Fault> {
        let target = self.target();
        let place = Place::new(read);
        if let Some(fault) = self.refusal() {
            return Err(fault);
        }
        {
            let mut inner = self.inner.borrow_mut();
            if inner.closed {
                return Err(Fault::fatal(
                    "57P03",
                    format!("database \"{}\" is being removed", target.database),
                ));
            }
            if inner.line.len() >= target.queue_length {
                let text =
                    format!("too many sessions wait for a server (queue_length = {})", target.queue_length);
                return Err(Fault::error("53300", text).hint("raise pool_size or queue_length"));
            }
            inner.line.push_back(place.clone());
        }
        if self.inner.borrow().asked > 0 {
            self.offer_idle();
        }
        self.make_what_is_needed();
        Ok(Ticket::new(self.clone(), place))
    }

    /// Gives a server back. One that is not clean is closed; so is one that is old, of an earlier generation, astray, misplaced, or
    /// too many.
    pub fn give_back(self: &Rc<Pool>, mut server: Box<Server>) {
        self.follow_lead();
        let answered = server.clock.answered.take();
        let now = answered.unwrap_or_else(Instant::now);
        if let (Some(answered), Some(fit)) = (answered, &mut server.fit) {
            fit.answered(answered);
        }
        if server.shared.follow.is_in_use() {
            match self.pass_on(server) {
                Some(free) => server = free,
                None => return,
            }
        }
        if self.is_misplaced(&server) {
            self.doubt_others(&server);
        }
        if !server.is_clean() || self.is_stale(&server, now) || self.inner.borrow().paused {
            return drop(server);
        }
        // The kernel may have told of its end, or of something said, together with the last answer.
        let spoke = server.socket.poll_read_ready(&mut Context::from_waker(&self.keeper.borrow())).is_ready();
        if spoke && (!server.hear_out() || self.is_misplaced(&server)) {
            return drop(server);
        }
        if server.shared.cancels.get() > 0 {
            return self.inner.borrow_mut().parked.push(server);
        }
        if self.is_to_yield() {
            return drop(server);
        }
        if server.is_in_doubt(now) && !self.inner.borrow().line.is_empty() {
            return self.ask_first(server);
        }
        loop {
            let Some(place) = self.next_in_line() else { break };
            match place.give(server) {
                None => return self.stats.wait_time.add_time(now.duration_since(place.since.get())),
                Some(refused) => server = refused,
            }
        }
        server.idle_since = now;
        self.inner.borrow_mut().idle.push(server);
        if spoke {
            self.keeper.borrow().wake_by_ref();
        }
    }

    pub(super) fn is_stale(&self, server: &Server, now: Instant) -> bool {
        let lifetime = self.target.borrow().pool.lifetime;
        server.generation() != self.generation.get()
            || self.inner.borrow().closed
            || self.led.is_astray(&server.shared.host)
            || self.is_misplaced(server)
            || now.duration_since(server.born()) >= lifetime
    }

    fn next_in_line(&self) -> Option<Rc<Place>> {
        let mut inner = self.inner.borrow_mut();
        if inner.paused { None } else { inner.line.pop_front() }
    }

    pub(super) fn leave_line(&self, place: &Rc<Place>) {
        let mut inner = self.inner.borrow_mut();
        if let Some(at) = inner.line.iter().position(|one| Rc::ptr_eq(one, place)) {
            inner.line.remove(at);
        }
    }

    /// Called when a cancel has arrived: servers that waited for it are lent again.
    pub fn unpark(self: &Rc<Pool>) {
        let parked = std::mem::take(&mut self.inner.borrow_mut().parked);
        parked.into_iter().for_each(|server| self.give_back(server));
    }

    /// A server was closed.
    pub(super) fn lost(self: &Rc<Pool>, generation: u64, shared: &Rc<Shared>) {
        self.send_followers_away(shared);
        let was_old = generation != self.generation.get();
        let mut inner = self.inner.borrow_mut();
        inner.live -= 1;
        inner.old = inner.old.saturating_sub(usize::from(was_old));
        drop(inner);
        self.make_what_is_needed();
    }

    /// Starts as many logins as sessions wait for, within the limits, unless the last login failed just now.
    pub fn make_what_is_needed(self: &Rc<Pool>) {
        while let Some(shares) = self.may_make() {
            let pool = self.clone();
            tokio::task::spawn_local(async move {
                let target = pool.target();
                let result = connect::connect(&target).await;
                pool.made(result, shares);
            });
        }
    }

    fn may_make(&self) -> Option<[Share; 2]> {
        let mut inner = self.inner.borrow_mut();
        let wanted = inner.line.len().max(self.target.borrow().pool.min_idle.saturating_sub(inner.live));
        let waits = !inner.line.is_empty();
        let holds = inner.closed || inner.paused || inner.back_off(&self.target.borrow(), waits).is_some();
        if holds || inner.connecting + inner.asked >= wanted {
            return None;
        }
        let shares = [self.budgets[0].take_for(self.id())?, self.budgets[1].take_for(self.id())?];
        inner.connecting += 1;
        Some(shares)
    }

    fn made(self: &Rc<Pool>, result: Result<Connected, Fault>, shares: [Share; 2]) {
        self.inner.borrow_mut().connecting -= 1;
        match result {
            Ok(connected) => {
                self.stats.server_logins.add(1);
                let mut inner = self.inner.borrow_mut();
                (inner.failures, inner.failure) = (0, None);
                inner.live += 1;
                inner.welcome = Some(Rc::new(connected.params.clone()));
                drop(inner);
                let server = Server::new(connected, self.clone(), self.states.base(), shares);
                self.give_back(Box::new(server));
            }
            Err(fault) => {
                drop(shares);
                self.login_failed(fault);
            }
        }
    }

    /// Idle servers of a kind, to be dropped.
    pub(super) fn take_idle(&self, which: impl Fn(&Server) -> bool) -> Vec<Box<Server>> {
        self.inner.borrow_mut().idle.extract_if(.., |server| which(server)).collect()
    }

    /// Keeps the pool in order: call it a few times a second.
    pub fn tick(self: &Rc<Pool>, now: Instant) {
        self.refuse_the_overdue(now);
        self.refuse_in_vain();
        let dropped = self.take_the_aged(now);
        drop(dropped);
        drop(self.take_what_others_want());
        self.make_what_is_needed();
        self.wish(now);
    }

    fn refuse_the_overdue(&self, now: Instant) {
        let timeout = self.target.borrow().queue_timeout;
        loop {
            let overdue = {
                let mut inner = self.inner.borrow_mut();
                let overdue =
                    inner.line.front().is_some_and(|place| now.duration_since(place.since.get()) >= timeout);
                if overdue {
                    inner.line.pop_front().map(|place| (place, inner.failure.clone(), inner.paused))
                } else {
                    None
                }
            };
            let Some((place, failure, paused)) = overdue else { return };
            let mut fault = match paused {
                true => Fault::error(
                    "53300",
                    format!("the database is paused, and was not resumed in {timeout:?} (queue_timeout)"),
                ),
                false => {
                    Fault::error("53300", format!("no server became free in {timeout:?} (queue_timeout)"))
                }
            };
            if let Some((_, failure)) = failure {
                fault = fault.detail(format!("the last login to the server failed: {failure}"));
            }
            place.refuse(fault);
        }
    }

    /// Idle servers past their time, down to `min_idle`.
    fn take_the_aged(&self, now: Instant) -> Vec<Box<Server>> {
        let target = self.target();
        let mut inner = self.inner.borrow_mut();
        let Inner { idle, live, .. } = &mut *inner;
        let mut spare = live.saturating_sub(target.pool.min_idle);
        let mut aged = |server: &mut Box<Server>| {
            let old = now.duration_since(server.born()) >= target.pool.lifetime;
            let unused = spare > 0 && now.duration_since(server.idle_since) >= target.pool.idle_timeout;
            spare -= usize::from(unused && !old);
            old || unused
        };
        idle.extract_if(.., |server| aged(server)).collect()
    }

    /// Looks after idle servers until the pool is closed: takes out those that closed or spoke out of turn.
    pub async fn keep(self: Rc<Pool>) {
        std::future::poll_fn(|cx| self.poll_keep(cx)).await;
    }

    fn poll_keep(self: &Rc<Pool>, cx: &mut Context<'_>) -> Poll<()> {
        self.keeper.borrow_mut().clone_from(cx.waker());
        let mut spoke = |server: &mut Box<Server>| server.socket.poll_read_ready(cx).is_ready();
        let talkers: Vec<_> = self.inner.borrow_mut().idle.extract_if(.., |server| spoke(server)).collect();
        for mut server in talkers {
            if server.hear_out() {
                self.give_back(server);
            }
        }
        if self.inner.borrow().closed { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Numbers for the console.
    pub fn report(&self) -> PoolReport {
        let inner = self.inner.borrow();
        let parked = inner.parked.iter().map(|server| ServerReport::of(server, true));
        PoolReport {
            idle: inner.idle.len(),
            leased: inner.live - inner.idle.len() - inner.parked.len(),
            connecting: inner.connecting,
            cancelling: inner.parked.len(),
            waiting: inner.line.len(),
            max_wait: inner.line.front().map_or(Duration::ZERO, |place| place.since.get().elapsed()),
            paused: inner.paused,
            old: inner.old,
            servers: inner.idle.iter().map(|server| ServerReport::of(server, false)).chain(parked).collect(),
        }
    }

    /// PAUSE: nothing is lent until [`Pool::resume`].
    pub fn pause(&self) {
        self.inner.borrow_mut().paused = true;
    }

    /// Lends again, first to those in line.
    pub fn resume(self: &Rc<Pool>) {
        self.inner.borrow_mut().paused = false;
        let idle = std::mem::take(&mut self.inner.borrow_mut().idle);
        idle.into_iter().for_each(|server| self.give_back(server));
        self.make_what_is_needed();
    }

    /// RECONNECT: every server is closed as soon as it is idle.
    pub fn reconnect(self: &Rc<Pool>) {
        self.generation.set(self.generation.get() + 1);
        self.forget_failures();
        let mut inner = self.inner.borrow_mut();
        inner.old = inner.live;
        let _idle = std::mem::take(&mut inner.idle);
        drop(inner);
    }

    /// New settings; servers that would be others now are replaced when they are given back.
    pub fn retarget(self: &Rc<Pool>, target: Arc<Target>) {
        self.budgets[0].set_limit(target.pool.size);
        self.led.retarget(&target);
        self.forget_failures();
        let before = self.target.replace(target);
        if !before.makes_the_same(&self.target()) {
            self.reconnect();
        }
    }

    /// Closes idle servers and refuses those in line; leased servers are closed when given back.
    pub fn close(self: &Rc<Pool>, why: &Fault) {
        let (line, idle) = {
            let mut inner = self.inner.borrow_mut();
            inner.closed = true;
            (std::mem::take(&mut inner.line), std::mem::take(&mut inner.idle))
        };
        line.into_iter().for_each(|place| place.refuse(why.clone()));
        drop(idle);
        self.keeper.borrow().wake_by_ref();
    }
}

impl Inner {
    pub(super) fn at_work(&self) -> usize {
        self.live - self.idle.len() - self.parked.len()
    }
}
