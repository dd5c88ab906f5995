//! A data-plane thread: its pools, its sessions, and the orders it takes from outside.

use std::cell::{Cell, RefCell, RefMut};
use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use slab::Slab;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

use super::beat::Beat;
use super::cluster::Nodes;
pub use super::order::{KillOrder, Order, PoolOrder};
use super::paused::Paused;
pub use super::report::{ClientReport, WorkerReport};
use super::rules::Rules;
use super::shared::{PoolKey, Shared, key};
use crate::catalog::Known;
use crate::config::settings::{Host, Limits};
use crate::plan::Profiles;
use crate::pool::listener::Listener;
use crate::pool::state::States;
use crate::pool::{Pool, Target, Trial};
use crate::rules::Share;
use crate::session::admit;
use crate::session::cached;
use crate::session::handle::{Handle, Request};
use crate::session::leave;
use crate::session::statement::Statements;
use crate::session::verify::Verifier;
use crate::slow::Digests;
use crate::stats::PoolStats;
use crate::stats::tally::Taken;
use crate::timer;
use crate::wire::Fault;

/// Size of the buffer that all reads of a worker go through.
const SCRATCH: usize = 64 * 1024;
/// Texts of the extended protocol remembered per worker.
const STATEMENTS: NonZeroUsize = NonZeroUsize::new(8192).unwrap();
/// A session whose client was silent for this long is not in the middle of something.
const QUIET: Duration = Duration::from_secs(1);
/// Bits of a process id that name the slot of the session; the bits above name the worker.
const SLOT_BITS: u32 = 22;

/// The way to a worker from other threads.
#[derive(Debug, Clone)]
pub struct WorkerLink {
    orders: mpsc::UnboundedSender<Order>,
    sessions: Arc<AtomicUsize>,
}

impl WorkerLink {
    /// Sends an order; a worker that has stopped takes none.
    pub fn send(&self, order: Order) {
        let _ = self.orders.send(order);
    }

    /// Sessions at the moment.
    pub fn sessions(&self) -> usize {
        self.sessions.load(Ordering::Relaxed)
    }

    /// What it has counted of statements since it was asked last; nothing when it has stopped.
    pub async fn collect(&self) -> Vec<Taken> {
        let (answer, taken) = oneshot::channel();
        self.send(Order::Collect(answer));
        taken.await.unwrap_or_default()
    }

    /// What the worker has; empty when it has stopped.
    pub async fn report(&self) -> WorkerReport {
        let (answer, report) = oneshot::channel();
        self.send(Order::Report(answer));
        report.await.unwrap_or_default()
    }
}

/// Servers that listen, by database and the `client_encoding` that sessions asked for.
type Listeners = HashMap<(String, Option<Box<[u8]>>), Rc<Listener>>;

/// A data-plane thread's own things. Lives on one thread; nothing in it is locked.
pub struct Worker {
    /// States of sessions and servers.
    pub states: Rc<States>,
    /// Limits that hold over all workers.
    pub shared: Arc<Shared>,
    /// What teams have decided on statements.
    pub rules: Rules,
    index: usize,
    limits: RefCell<Arc<Limits>>,
    statements: RefCell<Statements>,
    scratch: Cell<Vec<u8>>,
    pub(super) pools: RefCell<HashMap<PoolKey, Rc<Pool>>>,
    /// Whether its pools' servers are shared, where that is found out.
    trial: Rc<Trial>,
    pub(super) listeners: RefCell<Listeners>,
    pub(super) stats: RefCell<HashMap<(String, String), Arc<PoolStats>>>,
    /// What is known of each database's names, as clients name the database.
    pub(super) functions: RefCell<HashMap<String, Rc<Known>>>,
    /// What is known of each database's statements.
    pub(super) profiles: RefCell<HashMap<String, Rc<Profiles>>>,
    pub(super) nodes: RefCell<Vec<Rc<Nodes>>>,
    sessions: RefCell<Slab<Rc<Handle>>>,
    count: Arc<AtomicUsize>,
    doors: RefCell<Vec<AbortHandle>>,
    draining: Cell<bool>,
    reloads: Cell<u32>,
    paused: RefCell<Paused>,
    /// What servers report after start-up settings were applied, by pool and state.
    pub(crate) greetings: RefCell<admit::Greetings>,
    /// For look-ups in the cache.
    pub(crate) cache_tools: RefCell<cached::Tools>,
    /// Compares hits with the primary.
    pub(crate) verifier: Verifier,
    /// What is counted of statements.
    pub digests: Digests,
}

fn held(server: &crate::pool::server::Shared) -> (i32, Host, Duration) {
    (server.pid, server.host.clone(), server.born.elapsed())
}

/// Starts the thread of worker `index`.
///
/// # Errors
/// When the system gives no thread or no reactor.
pub fn start(
    index: usize,
    shared: Arc<Shared>,
    limits: Arc<Limits>,
    (beat, timers): (Beat, tokio::runtime::Handle),
) -> std::io::Result<(WorkerLink, std::thread::JoinHandle<()>)> {
    let (orders, inbox) = mpsc::unbounded_channel();
    let count = Arc::new(AtomicUsize::new(0));
    let link = WorkerLink { orders, sessions: count.clone() };
    let thread = std::thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
        timer::keep_by(timers);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .max_blocking_threads(2)
            .build_local(tokio::runtime::LocalOptions::default());
        match runtime {
            Ok(runtime) => runtime.block_on(Worker::new(index, shared, limits, count).run(inbox, beat)),
            Err(error) => tracing::error!(%error, "worker cannot start"),
        }
    })?;
    Ok((link, thread))
}

impl Worker {
    fn new(index: usize, shared: Arc<Shared>, limits: Arc<Limits>, count: Arc<AtomicUsize>) -> Rc<Worker> {
        let rules = Rules::default();
        rules.take(shared.rules.as_ref());
        Rc::new(Worker {
            states: Rc::default(),
            shared,
            rules,
            index,
            limits: RefCell::new(limits),
            statements: RefCell::new(Statements::new(STATEMENTS)),
            scratch: Cell::new(vec![0; SCRATCH]),
            pools: RefCell::default(),
            trial: Rc::default(),
            listeners: RefCell::default(),
            stats: RefCell::default(),
            functions: RefCell::default(),
            profiles: RefCell::default(),
            nodes: RefCell::default(),
            sessions: RefCell::default(),
            count,
            doors: RefCell::default(),
            draining: Cell::new(false),
            reloads: Cell::new(0),
            paused: RefCell::default(),
            greetings: RefCell::default(),
            cache_tools: RefCell::default(),
            verifier: Verifier::default(),
            digests: Digests::default(),
        })
    }

    async fn run(self: Rc<Worker>, mut inbox: mpsc::UnboundedReceiver<Order>, beat: Beat) {
        let worker = self.clone();
        tokio::task::spawn_local(async move {
            loop {
                beat.notified().await;
                let now = Instant::now();
                worker.pools.borrow().values().for_each(|pool| pool.tick(now));
                worker.follow_nodes();
                worker.read_what_is_old(now);
                worker.look_for_idle(now);
                worker.forget_what_is_not_there(now);
            }
        });
        while let Some(order) = inbox.recv().await {
            self.obey(order);
        }
    }

    fn obey(self: &Rc<Worker>, order: Order) {
        match order {
            Order::Admit(admission) => {
                tokio::task::spawn_local(Box::pin(admit::admit(self.clone(), admission)));
            }
            Order::Open(door, entrance) => {
                let door = tokio::task::spawn_local(async move {
                    if let Err(error) = door.serve(entrance).await {
                        tracing::error!(%error, "cannot accept");
                    }
                });
                self.doors.borrow_mut().push(door.abort_handle());
            }
            Order::Close(done) => {
                self.doors.borrow_mut().drain(..).for_each(|door| door.abort());
                let _ = done.send(());
            }
            Order::Cancel { pid, secret, unknown } => self.cancel(pid, &secret, unknown),
            Order::Report(answer) => drop(answer.send(self.report())),
            Order::Pools(order, database) => self.order_pools(order, database.as_deref()),
            Order::Drain => {
                self.draining.set(true);
                self.ask(|_| true, Request::Drain);
            }
            Order::Retire => drop(tokio::task::spawn_local(self.clone().retire())),
            Order::Kill(KillOrder::All) => self.ask(|_| true, Request::Kill),
            Order::Kill(KillOrder::Session(pid)) => self.ask(|session| session.pid == pid, Request::Kill),
            Order::Kill(KillOrder::Database(name)) => {
                self.ask(|session| session.database == name, Request::Kill)
            }
            Order::Reload(limits, targets) => self.reload(limits, targets),
            Order::Capture(wants) => self.digests.set(&wants),
            Order::Collect(answer) => {
                if let Err(taken) = answer.send(self.digests.collect()) {
                    self.digests.give_back(taken);
                }
            }
        }
    }

    /// Ends sessions whose client has said nothing for as long as [`QUIET`].
    async fn retire(self: Rc<Worker>) {
        loop {
            timer::sleep(QUIET).await;
            self.ask(|session| !session.heard.replace(false), Request::Drain);
        }
    }

    fn cancel(&self, pid: i32, secret: &[u8], unknown: oneshot::Sender<()>) {
        let Some(session) = self.session(pid, secret) else {
            let _ = unknown.send(());
            return;
        };
        let key = (session.database.clone(), session.user.clone());
        self.stats.borrow().get(&key).iter().for_each(|stats| stats.cancels.add(1));
        if session.waiting.get() {
            session.request.set(Some(Request::Cancel));
            return session.waker.borrow().wake_by_ref();
        }
        let of_session = |(of, _): &(&PoolKey, &Rc<Pool>)| of.0 == key.0 && of.1 == key.1;
        let pools = self.pools.borrow();
        let pools: Vec<_> = pools.iter().filter(of_session).map(|(_, pool)| pool.clone()).collect();
        tokio::task::spawn_local(async move {
            leave::cancel_for(&pools, &session).await;
            drop(unknown);
        });
    }

    fn session(&self, pid: i32, secret: &[u8]) -> Option<Rc<Handle>> {
        let slot = (pid as u32 & ((1 << SLOT_BITS) - 1)).checked_sub(1)? as usize;
        let session = self.sessions.borrow().get(slot)?.clone();
        let same = aws_lc_rs::constant_time::verify_slices_are_equal(&session.secret, secret).is_ok();
        (session.pid == pid && same).then_some(session)
    }

    /// Sessions whose clients have been quiet for as long as the settings allow are asked to end, if they are idle.
    fn look_for_idle(&self, now: Instant) {
        let limits = self.limits();
        let allowed = [limits.client_idle_timeout, limits.idle_in_transaction_timeout];
        let Some(shortest) = allowed.into_iter().flatten().min() else { return };
        for (_, session) in self.sessions.borrow().iter() {
            if session.stirred.replace(false) {
                session.quiet_since.set(now);
            }
            let quiet = now.saturating_duration_since(session.quiet_since.get());
            let in_none = session.server.borrow().is_none() && !session.begun.get();
            let free = in_none && limits.client_idle_timeout.is_none_or(|limit| quiet < limit);
            let passed_over = free || session.replication.is_some() || session.request.get().is_some();
            if quiet >= shortest && !passed_over {
                session.request.set(Some(Request::Quiet(quiet)));
                session.waker.borrow().wake_by_ref();
            }
        }
    }

    fn ask(&self, which: impl Fn(&Handle) -> bool, request: Request) {
        for (_, session) in self.sessions.borrow().iter().filter(|(_, session)| which(session)) {
            session.request.set(Some(request));
            session.waker.borrow().wake_by_ref();
        }
    }

    pub(super) fn wake_those_with_servers(&self) {
        let sessions = self.sessions.borrow();
        let at_work = sessions.iter().filter(|(_, session)| session.server.borrow().is_some());
        at_work.for_each(|(_, session)| session.waker.borrow().wake_by_ref());
    }

    fn order_pools(&self, order: PoolOrder, database: Option<&str>) {
        self.paused.borrow_mut().note(order, database);
        let pools = self.pools.borrow();
        let named = |key: &PoolKey| database.is_none_or(|name| key.0 == name);
        for (_, pool) in pools.iter().filter(|(key, _)| named(key)) {
            match order {
                PoolOrder::Pause => {
                    pool.pause();
                    pool.reconnect();
                }
                PoolOrder::Resume => pool.resume(),
                PoolOrder::Reconnect => pool.reconnect(),
            }
        }
    }

    fn reload(&self, limits: Arc<Limits>, targets: Vec<Arc<Target>>) {
        *self.limits.borrow_mut() = limits;
        self.reloads.set(self.reloads.get().wrapping_add(1));
        self.take_rules();
        let pools = self.pools.borrow();
        for target in targets {
            let same = |of: &PoolKey| of.0 == target.database && of.1 == target.user;
            for (of, pool) in pools.iter().filter(|(of, _)| same(of)) {
                pool.retarget(of.2.as_ref().map_or_else(|| target.clone(), |node| Arc::new(target.at(node))));
            }
        }
    }

    fn report(&self) -> WorkerReport {
        let client = |session: &Rc<Handle>| ClientReport {
            pid: session.pid,
            database: session.database.clone(),
            user: session.user.clone(),
            application: session.application.clone(),
            peer: session.peer.clone(),
            server: session.server.borrow().as_deref().map(held),
            age: session.born.elapsed(),
            waiting: session.waiting.get(),
            replication: session.replication,
        };
        WorkerReport {
            pools: self.pools.borrow().values().map(|pool| (pool.target(), pool.report())).collect(),
            nodes: self.report_nodes(),
            clients: self.sessions.borrow().iter().map(|(_, session)| client(session)).collect(),
        }
    }

    /// The server that listens for sessions of the pool's database that have asked for this `client_encoding`.
    pub(crate) fn listener(&self, pool: &Pool, encoding: Option<Box<[u8]>>) -> Rc<Listener> {
        let target = pool.target();
        let limit = self.limits().max_held_message;
        let mut listeners = self.listeners.borrow_mut();
        let key = (target.database.clone(), encoding.clone());
        listeners.entry(key).or_insert_with(|| Listener::new(target, encoding, limit)).clone()
    }

    /// The pool for `target`, made when it is the first time.
    pub(crate) fn pool(&self, target: Arc<Target>) -> Rc<Pool> {
        self.pool_of(key(&target, None), || target)
    }

    /// The pool for reads at one node of the cluster that `target` leads to.
    pub(crate) fn pool_at(&self, target: &Target, node: &Host) -> Rc<Pool> {
        self.pool_of(key(target, Some(node)), || Arc::new(target.at(node)))
    }

    fn pool_of(&self, key: PoolKey, target: impl FnOnce() -> Arc<Target>) -> Rc<Pool> {
        let node = key.2.clone();
        let mut pools = self.pools.borrow_mut();
        let pool = pools.entry(key).or_insert_with(|| {
            let target = target();
            let budgets = [self.shared.budget(&target, node.as_ref()), self.shared.servers.clone()];
            let stats = self.stats(&target);
            let pool = Pool::new(target, self.states.clone(), budgets, stats, self.trial.clone());
            if self.paused.borrow().holds(&pool.target().database) {
                pool.pause();
            }
            tokio::task::spawn_local(pool.clone().keep());
            pool
        });
        pool.clone()
    }

    /// The counters for `target`, made when it is the first time.
    pub(crate) fn stats(&self, target: &Target) -> Arc<PoolStats> {
        let key = (target.database.clone(), target.user.clone());
        self.stats.borrow_mut().entry(key).or_insert_with(|| self.shared.new_stats(target)).clone()
    }

    /// PAUSE holds for a database.
    pub(crate) fn is_paused(&self, database: &str) -> bool {
        self.paused.borrow().holds(database)
    }

    /// Registers a session; `make` gets the process id for it.
    pub(crate) fn register(&self, make: impl FnOnce(i32) -> Handle) -> Rc<Handle> {
        let mut sessions = self.sessions.borrow_mut();
        let entry = sessions.vacant_entry();
        let pid = ((self.index as i32) << SLOT_BITS) | (entry.key() as i32 + 1);
        let handle = Rc::new(make(pid));
        entry.insert(handle.clone());
        self.count.fetch_add(1, Ordering::Relaxed);
        if self.draining.get() {
            handle.request.set(Some(Request::Drain));
        }
        handle
    }

    /// Forgets a session.
    pub(crate) fn unregister(&self, handle: &Handle) {
        let slot = (handle.pid & ((1 << SLOT_BITS) - 1)) as usize - 1;
        self.sessions.borrow_mut().try_remove(slot);
        self.count.fetch_sub(1, Ordering::Relaxed);
    }

    /// Limits in force.
    pub fn limits(&self) -> Arc<Limits> {
        self.limits.borrow().clone()
    }

    /// How often its pools and rules may have become others.
    #[inline]
    pub fn reloads(&self) -> u32 {
        self.reloads.get()
    }

    /// Which share of hits is compared with the primary where a rule does not say.
    #[inline]
    pub fn cache_verify(&self) -> Share {
        Share(self.limits.borrow().cache_verify)
    }

    /// Texts of the extended protocol seen lately.
    pub fn statements(&self) -> RefMut<'_, Statements> {
        self.statements.borrow_mut()
    }

    /// The worker's read buffer, to be put back before the next await.
    #[inline]
    pub fn take_scratch(&self) -> Vec<u8> {
        let scratch = self.scratch.take();
        if scratch.len() >= SCRATCH { scratch } else { vec![0; SCRATCH] }
    }

    /// Puts the read buffer back.
    #[inline]
    pub fn put_scratch(&self, mut scratch: Vec<u8>) {
        scratch.truncate(SCRATCH);
        self.scratch.set(scratch);
    }
}

/// The worker that a process id names.
pub fn worker_of(pid: i32) -> usize {
    (pid as u32 >> SLOT_BITS) as usize
}

/// A fault for clients of a process that stops.
pub fn stopping() -> Fault {
    Fault::fatal("57P03", "pgweir is shutting down")
}
