//! What stands before the statements of a rule that limits how often, or how many at once: shared by all threads.
//!
//! The pure state behind it is in [`super::turns`] and [`super::concurrency`]; here it gets a lock, and those who wait are woken. No clock:
//! the time is given. A place in line that is dropped is given up, and a permit that is dropped is given back, to whoever is next. The
//! lock is held for some hundred nanoseconds, by statements of the rule only.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

use super::action::{Concurrency, Throttle};
use super::concurrency::{self, Line};
use super::turns::{Came, Turns};

/// So many keys of a rule have a bucket of their own, some 100 bytes each; further ones share one.
const KEYS: usize = 10_000;

/// What statements of a rule have to pass.
#[derive(Debug)]
pub struct Gate {
    rule: Box<str>,
    inner: Mutex<Inner>,
    /// From when on time is counted.
    origin: OnceLock<Instant>,
    counts: Counts,
}

#[derive(Debug)]
struct Inner {
    limits: Limits,
    /// It holds nobody up any more.
    open: bool,
    waiting: HashMap<u64, Waker>,
    next: u64,
}

#[derive(Debug)]
enum Limits {
    Often(Throttle, Turns),
    AtOnce(Concurrency, Line<u64>),
}

#[derive(Debug, Default)]
struct Counts {
    waited: AtomicU64,
    /// In microseconds.
    wait_time: AtomicU64,
    refused: AtomicU64,
}

/// What a gate has seen, and what stands before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Statements that have waited, however that ended.
    pub waited: u64,
    /// How long, all together.
    pub wait_time: Duration,
    /// Statements that were refused.
    pub refused: u64,
    /// Statements that wait now.
    pub waiting: u64,
    /// Statements that have a permit now.
    pub running: u64,
}

/// What became of a statement that came to a gate.
#[derive(Debug)]
pub enum Entered {
    /// It goes on; the permit is to be kept as long as it runs.
    Goes(Option<Permit>),
    /// It has a place in line.
    Waits(Place),
    /// It is refused.
    Refused(Refusal),
}

/// What would become of a statement that came now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Would {
    /// It would go on.
    Go,
    /// It would wait for its turn: for so long, where that is known.
    Wait(Option<Duration>),
    /// It would be refused.
    Refuse(Refusal),
}

/// Why a statement is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Its turn would come too late: after so long, where that is known.
    TooLate(Option<Duration>),
    /// The line is full.
    Full,
    /// It would have to wait in a transaction.
    InTransaction,
}

/// Whether it is a place's turn.
#[derive(Debug)]
pub enum Turn {
    /// The statement goes on; the permit is to be kept as long as it runs.
    Comes(Option<Permit>),
    /// It is to be asked again when it is woken, and at that time.
    NotBefore(Instant),
    /// Its turn has not come in time.
    TooLate,
}

impl Gate {
    /// That of a rule of this name which throttles.
    pub fn throttle(rule: &str, action: &Throttle) -> Arc<Gate> {
        let turns = Turns::new(action.buckets(KEYS));
        Gate::new(rule, Limits::Often(action.clone(), turns))
    }

    /// That of a rule of this name which bounds how many run at once.
    pub fn concurrency(rule: &str, action: &Concurrency) -> Arc<Gate> {
        Gate::new(rule, Limits::AtOnce(action.clone(), action.line()))
    }

    fn new(rule: &str, limits: Limits) -> Arc<Gate> {
        let inner = Inner { limits, open: false, waiting: HashMap::new(), next: 0 };
        Arc::new(Gate {
            rule: rule.into(),
            inner: Mutex::new(inner),
            origin: OnceLock::new(),
            counts: Counts::default(),
        })
    }

    /// The name of its rule.
    pub fn rule(&self) -> &str {
        &self.rule
    }

    /// What it allows, as one would say it.
    pub fn allows(&self) -> String {
        match &self.lock().limits {
            Limits::Often(action, _) => format!("{} in {:?}", action.rate.count, action.rate.per),
            Limits::AtOnce(action, _) => format!("{} at once", action.limit),
        }
    }

    /// Whether statements of transactions that are open on a server wait too.
    pub fn waits_in_transaction(&self) -> bool {
        self.lock().limits.waits_in_transaction()
    }

    /// A statement comes. `holds` says that it would keep a server from others while it waits, in a transaction.
    pub fn enter(self: &Arc<Gate>, key: &[u8], now: Instant, holds: bool) -> Entered {
        let time = self.time(now);
        let mut inner = self.lock();
        let may_wait = !holds || inner.limits.waits_in_transaction();
        let entered = match inner.come(key, time, may_wait) {
            Ok(id) => Entered::Waits(Place {
                until: now + inner.limits.longest(),
                gate: self.clone(),
                key: key.into(),
                since: now,
                seen: now,
                over: false,
                id,
            }),
            Err(None) => Entered::Goes(self.permit(&inner)),
            Err(Some(refusal)) => {
                self.counts.refused.fetch_add(1, Relaxed);
                Entered::Refused(refusal)
            }
        };
        drop(inner);
        entered
    }

    /// What [`Gate::enter`] would do now; nobody gets or loses anything by it.
    pub fn would(&self, key: &[u8], now: Instant, holds: bool) -> Would {
        let time = self.time(now);
        let inner = self.lock();
        let longest = inner.limits.longest();
        let may_wait = !longest.is_zero() && (!holds || inner.limits.waits_in_transaction());
        let (after, late, full) = match &inner.limits {
            _ if inner.open => return Would::Go,
            Limits::Often(_, turns) => (Some(turns.after(key, time)), None, false),
            Limits::AtOnce(_, line) if line.is_free() => return Would::Go,
            Limits::AtOnce(_, line) => (None, Some(Refusal::TooLate(None)), line.is_full()),
        };
        match after {
            Some(Duration::ZERO) => Would::Go,
            _ if !may_wait && !longest.is_zero() => Would::Refuse(Refusal::InTransaction),
            _ if full && may_wait => Would::Refuse(Refusal::Full),
            Some(after) if after > longest => Would::Refuse(Refusal::TooLate(Some(after))),
            _ if may_wait => Would::Wait(after),
            _ => Would::Refuse(late.unwrap_or(Refusal::TooLate(after))),
        }
    }

    /// What it has seen.
    pub fn tally(&self) -> Tally {
        let inner = self.lock();
        let running = if let Limits::AtOnce(_, line) = &inner.limits { line.running() } else { 0 };
        Tally {
            waited: self.counts.waited.load(Relaxed),
            wait_time: Duration::from_micros(self.counts.wait_time.load(Relaxed)),
            refused: self.counts.refused.load(Relaxed),
            waiting: inner.waiting.len() as u64,
            running: running as u64,
        }
    }

    /// Its rule throttles like this from now on; those who wait stay in line.
    pub(super) fn throttle_by(&self, action: &Throttle, now: Instant) {
        let time = self.time(now);
        let mut inner = self.lock();
        if let Limits::Often(own, turns) = &mut inner.limits
            && own != action
        {
            // Full buckets, since what was taken from the others says nothing of these.
            if (own.rate, own.burst, own.per) != (action.rate, action.burst, action.per) {
                turns.refill(action.buckets(KEYS), time);
            }
            *own = action.clone();
            inner.waiting.values().for_each(Waker::wake_by_ref);
        }
    }

    /// Its rule bounds like this from now on; those who wait stay in line, and those who have a permit keep it.
    pub(super) fn bound_by(&self, action: &Concurrency) {
        let mut inner = self.lock();
        if let Limits::AtOnce(own, line) = &mut inner.limits {
            *own = action.clone();
            let served = line.resize(action.limit as usize, action.queue as usize);
            inner.wake(&served);
        }
    }

    /// Its rule is gone: nobody waits any more.
    pub(super) fn open(&self) {
        let mut inner = self.lock();
        inner.open = true;
        if let Limits::AtOnce(_, line) = &mut inner.limits {
            line.resize(usize::MAX, usize::MAX);
        }
        inner.waiting.drain().for_each(|(_, waker)| waker.wake());
    }

    fn permit(self: &Arc<Gate>, inner: &Inner) -> Option<Permit> {
        matches!(inner.limits, Limits::AtOnce(..)).then(|| Permit { gate: self.clone() })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn time(&self, now: Instant) -> Duration {
        now.saturating_duration_since(*self.origin.get_or_init(|| now))
    }
}

impl Limits {
    fn waits_in_transaction(&self) -> bool {
        match self {
            Limits::Often(action, _) => action.wait_in_transaction,
            Limits::AtOnce(action, _) => action.wait_in_transaction,
        }
    }

    fn longest(&self) -> Duration {
        match self {
            Limits::Often(action, _) => action.wait,
            Limits::AtOnce(action, _) => action.wait,
        }
    }
}

impl Inner {
    /// The number of a place; else it goes on, or is refused.
    fn come(&mut self, key: &[u8], now: Duration, may_wait: bool) -> Result<u64, Option<Refusal>> {
        let longest = if may_wait { self.limits.longest() } else { Duration::ZERO };
        // It is for the transaction that it does not wait.
        let held_back = !may_wait && !self.limits.longest().is_zero();
        let refused = |late| Err(Some(if held_back { Refusal::InTransaction } else { late }));
        if let Limits::Often(_, turns) = &mut self.limits {
            let served = turns.advance(key, now);
            self.serve(key, &served);
        }
        let id = self.next;
        match &mut self.limits {
            Limits::Often(..) if self.open => return Err(None),
            Limits::Often(_, turns) => match turns.come(key, id, now, longest) {
                Came::Goes => return Err(None),
                Came::Waits => {}
                Came::TooLate(after) => return refused(Refusal::TooLate(Some(after))),
            },
            Limits::AtOnce(_, line) if longest.is_zero() && !line.is_free() => {
                return refused(Refusal::TooLate(None));
            }
            Limits::AtOnce(_, line) => match line.enter(key, id) {
                concurrency::Entered::Runs => return Err(None),
                concurrency::Entered::Waits => {}
                concurrency::Entered::Full => return Err(Some(Refusal::Full)),
            },
        }
        self.next += 1;
        self.waiting.insert(id, Waker::noop().clone());
        Ok(id)
    }

    /// These have a token; who is first in line now has to look at the clock.
    fn serve(&mut self, key: &[u8], served: &[u64]) {
        self.wake(served);
        if !served.is_empty() {
            self.wake_first(key);
        }
    }

    fn wake(&mut self, served: &[u64]) {
        served.iter().filter_map(|id| self.waiting.remove(id)).for_each(Waker::wake);
    }

    fn wake_first(&self, key: &[u8]) {
        let Limits::Often(_, turns) = &self.limits else { return };
        turns.first(key).and_then(|(id, _)| self.waiting.get(&id)).into_iter().for_each(Waker::wake_by_ref);
    }

    /// Whether it waits no more, because it is its turn.
    fn is_served(&mut self, place: &Place, now: Duration) -> bool {
        if let Limits::Often(_, turns) = &mut self.limits {
            let served = turns.advance(&place.key, now);
            self.serve(&place.key, &served);
        }
        !self.waiting.contains_key(&place.id)
    }

    /// When it is the turn of the one with that number, if it is the next and that is known.
    fn due(&self, place: &Place) -> Option<Duration> {
        let Limits::Often(_, turns) = &self.limits else { return None };
        turns.first(&place.key).filter(|(id, _)| *id == place.id).map(|(_, due)| due)
    }

    /// It waits no more, whether it was its turn or not. What it has got meanwhile goes to the next.
    fn leave(&mut self, key: &[u8], id: u64) {
        let waited = self.waiting.remove(&id).is_some();
        match &mut self.limits {
            Limits::Often(_, turns) if waited => {
                turns.give_up(key, id);
                self.wake_first(key);
            }
            Limits::Often(_, turns) => {
                turns.give_back(key);
                self.wake_first(key);
            }
            Limits::AtOnce(_, line) if waited => drop(line.give_up(key, id)),
            Limits::AtOnce(_, line) => {
                let next = line.leave();
                self.wake(next.as_slice());
            }
        }
    }
}

/// A statement's place in line; dropping it gives it up.
#[derive(Debug)]
pub struct Place {
    gate: Arc<Gate>,
    key: Box<[u8]>,
    id: u64,
    since: Instant,
    until: Instant,
    /// When it was looked at last.
    seen: Instant,
    /// It was told that its turn has come.
    over: bool,
}

impl Place {
    /// The gate.
    pub fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    /// It is refused, since its transaction has begun on a server meanwhile.
    pub fn refuse(&self) {
        self.gate.counts.refused.fetch_add(1, Relaxed);
    }

    /// Until when it is counted as having waited.
    pub fn waited_until(&mut self, now: Instant) {
        self.seen = now;
    }

    /// Asks whether it is its turn; `waker` is woken when it is to be asked again. Not to be asked again once its turn has come.
    pub fn poll(&mut self, waker: &Waker, now: Instant) -> Turn {
        self.seen = now;
        let time = self.gate.time(now);
        let mut inner = self.gate.lock();
        if inner.is_served(self, time) {
            let permit = self.gate.permit(&inner);
            drop(inner);
            self.over = true;
            return Turn::Comes(permit);
        }
        if now >= self.until {
            self.gate.counts.refused.fetch_add(1, Relaxed);
            return Turn::TooLate;
        }
        if let Some(own) = inner.waiting.get_mut(&self.id) {
            own.clone_from(waker);
        }
        let due = inner.due(self).map(|due| now + due.saturating_sub(time));
        Turn::NotBefore(due.map_or(self.until, |due| due.min(self.until)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let counts = &self.gate.counts;
        counts.waited.fetch_add(1, Relaxed);
        let waited = self.seen.saturating_duration_since(self.since);
        counts.wait_time.fetch_add(waited.as_micros() as u64, Relaxed);
        if !self.over {
            self.gate.lock().leave(&self.key, self.id);
        }
    }
}

/// Leave to run; dropping it gives it back.
#[derive(Debug)]
pub struct Permit {
    gate: Arc<Gate>,
}

impl Permit {
    /// Whether it is one of that gate.
    pub fn is_of(&self, gate: &Arc<Gate>) -> bool {
        Arc::ptr_eq(&self.gate, gate)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut inner = self.gate.lock();
        if let Limits::AtOnce(_, line) = &mut inner.limits {
            let next = line.leave();
            inner.wake(next.as_slice());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Wake;

    use super::super::action::Rate;
    use super::*;

    /// Counts how often it was woken.
    #[derive(Default)]
    struct Bell(AtomicU64);

    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn permits(limit: u32, queue: u32) -> Arc<Gate> {
        Gate::concurrency("r", &Concurrency { limit, queue, wait: ms(1000), ..Concurrency::default() })
    }

    fn tokens(wait: u64) -> Arc<Gate> {
        let rate = Rate { count: 10, per: ms(1000) };
        Gate::throttle("r", &Throttle { rate, wait: ms(wait), ..Throttle::default() })
    }

    #[test]
    fn what_would_become_of_a_statement_is_what_becomes_of_it() {
        let now = Instant::now();
        let gate = tokens(150);
        assert_eq!(gate.would(b"k", now, false), Would::Go);
        assert_eq!(gate.would(b"k", now, false), Would::Go, "nothing was taken");
        goes(gate.enter(b"k", now, false));
        assert_eq!(gate.would(b"k", now, false), Would::Wait(Some(ms(100))));
        assert_eq!(gate.would(b"k", now, true), Would::Refuse(Refusal::InTransaction));
        let place = waits(gate.enter(b"k", now, false));
        assert_eq!(gate.would(b"k", now, false), Would::Refuse(Refusal::TooLate(Some(ms(200)))));
        drop(place);
        let gate = permits(1, 1);
        assert_eq!(gate.would(b"k", now, true), Would::Go);
        let permit = goes(gate.enter(b"k", now, false));
        assert_eq!(gate.would(b"k", now, false), Would::Wait(None));
        assert_eq!(gate.would(b"k", now, true), Would::Refuse(Refusal::InTransaction));
        let place = waits(gate.enter(b"k", now, false));
        assert_eq!(gate.would(b"k", now, false), Would::Refuse(Refusal::Full));
        drop((place, permit));
        assert_eq!(gate.would(b"k", now, false), Would::Go);
    }

    #[track_caller]
    fn goes(entered: Entered) -> Option<Permit> {
        let Entered::Goes(permit) = entered else { panic!("it does not go on: {entered:?}") };
        permit
    }

    #[track_caller]
    fn waits(entered: Entered) -> Place {
        let Entered::Waits(place) = entered else { panic!("it does not wait: {entered:?}") };
        place
    }

    #[track_caller]
    fn refused(entered: Entered) -> Refusal {
        let Entered::Refused(refusal) = entered else { panic!("it is not refused: {entered:?}") };
        refusal
    }

    #[test]
    fn a_permit_goes_to_who_waits_and_wakes_it() {
        let (gate, now) = (permits(1, 2), Instant::now());
        let permit = goes(gate.enter(b"a", now, false)).expect("a permit");
        let mut place = waits(gate.enter(b"a", now, false));
        let given_up = waits(gate.enter(b"b", now, false));
        assert_eq!(refused(gate.enter(b"c", now, false)), Refusal::Full);
        assert_eq!(refused(gate.enter(b"c", now, true)), Refusal::InTransaction);
        let bell = Arc::new(Bell::default());
        assert!(matches!(place.poll(&bell.clone().into(), now), Turn::NotBefore(at) if at == now + ms(1000)));
        drop(given_up);
        drop(permit);
        assert_eq!(bell.0.load(Relaxed), 1);
        let Turn::Comes(permit) = place.poll(Waker::noop(), now + ms(3)) else { panic!("it is its turn") };
        drop(place);
        assert_eq!(gate.tally().running, 1);
        drop(permit);
        let wait_time = ms(3);
        assert_eq!(gate.tally(), Tally { waited: 2, wait_time, refused: 2, waiting: 0, running: 0 });
    }

    #[test]
    fn what_came_to_one_that_left_goes_to_the_next() {
        let (gate, now) = (permits(1, 2), Instant::now());
        let permit = goes(gate.enter(b"a", now, false));
        let first = waits(gate.enter(b"a", now, false));
        let mut second = waits(gate.enter(b"a", now, false));
        drop(permit);
        drop(first);
        assert!(matches!(second.poll(Waker::noop(), now), Turn::Comes(Some(_))));
        assert_eq!(gate.tally().running, 0, "the permit was dropped with the turn");
        let gate = tokens(1000);
        assert!(goes(gate.enter(b"a", now, false)).is_none());
        let first = waits(gate.enter(b"a", now, false));
        let mut second = waits(gate.enter(b"a", now, false));
        // Both are served, and the first never hears of it.
        assert!(matches!(second.poll(Waker::noop(), now + ms(200)), Turn::Comes(None)));
        drop(first);
        assert!(goes(gate.enter(b"a", now + ms(200), false)).is_none(), "its token is there again");
        assert_eq!(refused(gate.enter(b"a", now + ms(200), true)), Refusal::InTransaction);
    }

    #[test]
    fn tokens_are_waited_for_in_order_and_no_longer_than_allowed() {
        let (gate, now) = (tokens(250), Instant::now());
        goes(gate.enter(b"a", now, false));
        let mut first = waits(gate.enter(b"a", now, false));
        let mut second = waits(gate.enter(b"a", now, false));
        assert_eq!(refused(gate.enter(b"a", now, false)), Refusal::TooLate(Some(ms(300))));
        goes(gate.enter(b"b", now, true));
        let bell = Arc::new(Bell::default());
        assert!(matches!(first.poll(Waker::noop(), now), Turn::NotBefore(at) if at == now + ms(100)));
        assert!(matches!(second.poll(&bell.clone().into(), now), Turn::NotBefore(at) if at == now + ms(250)));
        assert!(matches!(first.poll(Waker::noop(), now + ms(100)), Turn::Comes(None)));
        assert_eq!(bell.0.load(Relaxed), 1, "the next one has to look at the clock");
        assert!(
            matches!(second.poll(Waker::noop(), now + ms(101)), Turn::NotBefore(at) if at == now + ms(200))
        );
        // Nobody has looked for long: the token was there in time.
        assert!(matches!(second.poll(Waker::noop(), now + ms(300)), Turn::Comes(None)));
        assert_eq!(gate.tally().waiting, 0);
        let gate = tokens(0);
        goes(gate.enter(b"a", now, false));
        assert_eq!(refused(gate.enter(b"a", now, false)), Refusal::TooLate(Some(ms(100))));
        assert_eq!(refused(gate.enter(b"a", now, true)), Refusal::TooLate(Some(ms(100))));
    }

    #[test]
    fn other_bounds_hold_for_those_who_wait() {
        let (gate, now) = (permits(1, 9), Instant::now());
        let _permit = goes(gate.enter(b"a", now, false));
        let mut places: Vec<_> = (0..4).map(|_| waits(gate.enter(b"a", now, false))).collect();
        gate.bound_by(&Concurrency { limit: 3, wait_in_transaction: true, ..Concurrency::default() });
        let mut served = |from: usize| -> Vec<Turn> {
            places[from..].iter_mut().map(|place| place.poll(Waker::noop(), now)).collect()
        };
        let turns = served(0);
        let comes = |turn: &Turn| matches!(turn, Turn::Comes(Some(_)));
        assert_eq!(turns.iter().map(comes).collect::<Vec<_>>(), [true, true, false, false]);
        assert_eq!(gate.tally().running, 3);
        gate.open();
        assert!(served(2).iter().all(comes));
        assert!(goes(gate.enter(b"a", now, true)).is_some());
        drop(turns);
        assert_eq!(gate.tally().running, 1);
        let gate = tokens(60_000);
        goes(gate.enter(b"a", now, false));
        let mut place = waits(gate.enter(b"a", now, false));
        let rate = Rate { count: 1000, per: ms(1000) };
        gate.throttle_by(&Throttle { rate, ..Throttle::default() }, now);
        assert!(matches!(place.poll(Waker::noop(), now), Turn::Comes(None)));
        let _place = waits(gate.enter(b"a", now, false));
        gate.open();
        assert!((0..100).all(|_| goes(gate.enter(b"a", now, true)).is_none()));
    }

    /// Sessions on many threads that come, wait, leave in the middle, and run.
    #[test]
    fn nothing_is_lost_among_threads() {
        let gate = permits(3, 1000);
        let most = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for thread in 0..8_u8 {
                let (gate, most) = (&gate, &most);
                scope.spawn(move || {
                    for n in 0..300_u32 {
                        let permit = match gate.enter(&[thread % 3], Instant::now(), false) {
                            Entered::Goes(permit) => permit,
                            Entered::Waits(mut place) => {
                                let leaves = (n % 5 == 0).then_some(n % 40);
                                wait(&mut place, leaves)
                            }
                            Entered::Refused(refusal) => panic!("{refusal:?}"),
                        };
                        most.fetch_max(gate.tally().running, Relaxed);
                        drop(permit);
                    }
                });
            }
        });
        assert!(most.into_inner() <= 3);
        let tally = gate.tally();
        assert_eq!((tally.waiting, tally.running, tally.refused), (0, 0, 0));
        let permits: Vec<_> = (0..3).map(|_| goes(gate.enter(b"a", Instant::now(), false))).collect();
        assert_eq!(permits.len(), 3);
    }

    /// Looks until its turn comes, or so many times.
    fn wait(place: &mut Place, leaves: Option<u32>) -> Option<Permit> {
        let mut looked = 0;
        loop {
            match place.poll(Waker::noop(), Instant::now()) {
                Turn::Comes(permit) => return permit,
                Turn::NotBefore(_) if leaves.is_none_or(|most| looked < most) => std::thread::yield_now(),
                Turn::NotBefore(_) => return None,
                Turn::TooLate => panic!("it waits for a second"),
            }
            looked += 1;
        }
    }
}
