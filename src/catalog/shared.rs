//! What is known of a database's names, shared by all workers, and whether it still holds.
//!
//! From the moment a text that may define code is sent until the names were read again behind it, nobody knows which names
//! change sessions: every text counts as one that may. The same holds for the names that a read must not mention, and there
//! any change of definitions counts.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::barriers::{Barrier, Barriers};
use super::beside::{Beside, Seen, Until, Vouched, is_whole};
use super::grounds::Grounds;
use super::names::{Names, custom_settings};
use super::relations::Relations;
use crate::sql::{Dialect, Effects};

/// How old what is known may become while there is traffic: others than pgweir change definitions too.
const STALE: Duration = Duration::from_secs(30);
/// How long after a reading that failed, or found something else, the next one begins.
const AGAIN: Duration = Duration::from_secs(1);
/// So many times as long as a reading has taken that found nothing else there is none; [`AGAIN`] at most.
const RESTS: u32 = 10;
/// How often it is to be told that readings fail.
const TELL_AGAIN: Duration = Duration::from_secs(60);

/// Names of one database: those that change sessions, or another `T` that is found in its catalogs.
#[derive(Debug)]
pub struct Definitions<T = Names> {
    /// Another number whenever something in `state` has changed.
    stamp: AtomicU64,
    /// What is known is known to hold until then.
    vouched: Vouched,
    state: Mutex<State<T>>,
}

#[derive(Debug)]
struct State<T> {
    names: Arc<T>,
    /// Another number for other names.
    edition: u64,
    /// Changes under way.
    open: usize,
    /// Beginnings and ends of changes so far.
    changes: u64,
    /// Those of them that the names have in them.
    read: u64,
    reading: bool,
    /// When the last reading began, and whether it went well.
    last: Option<(Instant, bool)>,
    /// How long after that it began the next one may.
    rests: Duration,
    /// When it was told last that a reading failed, since the last one that did not.
    told: Option<Instant>,
    /// What the catalogs looked like at the last reading.
    mark: Option<String>,
    /// Custom settings in the texts of changes that have not been read.
    settings: Vec<Box<[u8]>>,
    /// What they looked like when somebody looked last.
    seen: Seen,
}

impl<T> State<T> {
    fn is_certain(&self) -> bool {
        self.open == 0 && self.read == self.changes
    }

    /// Not to be read again yet: where definitions change all the time, readings must not be all that a server does.
    fn is_fresh(&self, now: Instant) -> bool {
        self.last.is_some_and(|(began, _)| now.duration_since(began) < self.rests)
    }

    fn is_old(&self, now: Instant) -> bool {
        self.last.is_some_and(|(began, _)| now.duration_since(began) >= STALE)
    }
}

impl<T: Default> Definitions<T> {
    /// Nothing is known.
    pub fn new() -> Arc<Definitions<T>> {
        let state = State {
            names: Arc::default(),
            edition: 0,
            open: 0,
            changes: 1,
            read: 0,
            reading: false,
            last: None,
            rests: AGAIN,
            told: None,
            mark: None,
            settings: vec![],
            seen: Seen::default(),
        };
        Arc::new(Definitions {
            stamp: AtomicU64::new(1),
            vouched: Vouched::default(),
            state: Mutex::new(state),
        })
    }
}

impl<T> Definitions<T> {
    fn change<R>(&self, change: impl FnOnce(&mut State<T>) -> R) -> R {
        let mut state = self.lock();
        let result = change(&mut state);
        self.vouched.set(None);
        self.stamp.fetch_add(1, Ordering::Release);
        result
    }

    /// Others have changed definitions, visibly: what is known holds no more until it was read again.
    pub fn outdated(&self) {
        self.change(|state| state.changes += 1);
    }

    /// The catalogs look like this, and who looks says so again before `until`. True: something is other than it was for answers so far.
    pub fn seen(&self, beside: &Beside, until: Instant) -> bool {
        let mut state = self.lock();
        let configured = state.seen.see(beside, until);
        let is_other = self.vouch(&state);
        drop(state);
        if is_other {
            self.outdated();
        }
        is_other || configured
    }

    /// What is certain is vouched for, if the catalogs look as they did when it was read. True: they do not.
    fn vouch(&self, state: &State<T>) -> bool {
        let until = state.is_certain().then(|| state.seen.vouch(state.mark.as_deref())).flatten();
        self.vouched.set(match until {
            Some(Until::Then(until)) => Some(until),
            Some(Until::Never) | None => None,
        });
        until == Some(Until::Never)
    }

    /// Whether it is known what names stand for: no change is under way, and they were read since the last one.
    pub fn is_certain(&self) -> bool {
        self.lock().is_certain()
    }

    /// Whether what is known is known to hold at this time, as to what others than pgweir change.
    #[inline]
    pub fn hold(&self, now: Instant) -> bool {
        self.vouched.holds(now)
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(self: &Arc<Self>, now: Instant, due: impl FnOnce(&State<T>) -> bool) -> Option<Reading<T>> {
        let mut state = self.lock();
        let failed = state.last.is_some_and(|(began, well)| !well && now.duration_since(began) < AGAIN);
        if state.reading || failed || !due(&state) {
            return None;
        }
        state.reading = true;
        state.last = Some((now, false));
        // Most marks tell of what others have changed, not of everything that a change of ours may.
        let mark = state.mark.clone().filter(|mark| state.is_certain() || is_whole(mark));
        Some(Reading { definitions: self.clone(), covers: state.changes, mark })
    }

    fn begin_change(self: &Arc<Self>, settings: Vec<Box<[u8]>>) -> Change<T> {
        self.change(|state| {
            state.open += 1;
            state.changes += 1;
            state.settings.extend(settings);
        });
        Change { definitions: self.clone() }
    }
}

/// A change of definitions that is under way; it ends when this is dropped.
#[derive(Debug)]
pub struct Change<T = Names> {
    definitions: Arc<Definitions<T>>,
}

impl<T> Drop for Change<T> {
    fn drop(&mut self) {
        self.definitions.change(|state| {
            state.open -= 1;
            state.changes += 1;
        });
    }
}

/// The names are being read; dropped without a result, it failed.
#[derive(Debug)]
pub struct Reading<T = Names> {
    definitions: Arc<Definitions<T>>,
    covers: u64,
    /// What the catalogs looked like at the last reading, if names are certain while they look the same.
    pub mark: Option<String>,
}

impl<T> Reading<T> {
    /// These are the names; `None` if they are what they were: then whatever was found out by them, and is kept under their edition, stays.
    pub fn done(self, names: Option<T>, mark: Option<String>) {
        let mut state = self.definitions.lock();
        let (was_certain, is_other) = (state.is_certain(), names.is_some());
        state.read = state.read.max(self.covers);
        state.last = state.last.map(|(began, _)| (began, true));
        let took = state.last.map_or(Duration::ZERO, |(began, _)| began.elapsed());
        state.rests = if is_other { AGAIN } else { (took * RESTS).min(AGAIN) };
        state.told = None;
        state.mark = mark;
        if let Some(names) = names {
            state.names = Arc::new(names);
            state.edition += 1;
        }
        if state.is_certain() {
            state.settings.clear();
        }
        // Where they look other than when somebody looked last, one of the two is older: who looks next finds out.
        self.definitions.vouch(&state);
        // Where all is as it was, what was found out by it holds on: answers that are kept, too.
        if is_other || was_certain != state.is_certain() {
            self.definitions.stamp.fetch_add(1, Ordering::Release);
        }
    }
}

impl<T> Reading<T> {
    /// It failed; true: that is to be told, for the first time or again after a while.
    pub fn failed(self, now: Instant) -> bool {
        let mut state = self.definitions.lock();
        let tell = state.told.is_none_or(|told| now.duration_since(told) >= TELL_AGAIN);
        if tell {
            state.told = Some(now);
        }
        tell
    }
}

impl<T> Drop for Reading<T> {
    fn drop(&mut self) {
        self.definitions.lock().reading = false;
    }
}

/// What a worker knows of a database's names: a copy, compared with the original by one number.
#[derive(Debug)]
pub struct Known {
    definitions: Arc<Definitions>,
    stamp: Cell<u64>,
    /// No name changes a session, and that is certain.
    plain: Cell<bool>,
    certain: Cell<bool>,
    names: RefCell<Arc<Names>>,
    /// Somebody has asked since the last time that a reading may have been due.
    used: Cell<bool>,
}

impl Known {
    /// Nothing yet.
    pub fn new(definitions: Arc<Definitions>) -> Rc<Known> {
        Rc::new(Known {
            definitions,
            stamp: Cell::new(0),
            plain: Cell::new(false),
            certain: Cell::new(false),
            names: RefCell::default(),
            used: Cell::new(false),
        })
    }

    /// What `text` may do to the session by what it reaches.
    #[inline]
    pub fn effects_of(&self, text: &[u8], dialect: Dialect) -> Effects {
        self.used.set(true);
        if self.plain.get() && self.stamp.get() == self.definitions.stamp.load(Ordering::Acquire) {
            return Effects::EMPTY;
        }
        self.look(text, dialect)
    }

    #[cold]
    fn look(&self, text: &[u8], dialect: Dialect) -> Effects {
        self.refresh();
        let hidden = if self.certain.get() { Effects::EMPTY } else { Effects::SETTING };
        hidden | self.names.borrow().effects_of(text, dialect)
    }

    fn refresh(&self) {
        let now = self.definitions.stamp.load(Ordering::Acquire);
        if self.stamp.replace(now) == now {
            return;
        }
        let state = self.definitions.lock();
        self.certain.set(state.is_certain());
        self.plain.set(state.is_certain() && state.names.is_empty());
        *self.names.borrow_mut() = state.names.clone();
    }

    /// Custom settings that the code behind the names sets, as far as it names them.
    pub fn settings(&self) -> Vec<Box<[u8]>> {
        let mut settings = self.names.borrow().settings().to_vec();
        if !self.certain.get() {
            settings.extend_from_slice(&self.definitions.lock().settings);
        }
        settings
    }

    /// A change of definitions begins: its text is about to be sent.
    pub fn change(&self, text: &[u8]) -> Change {
        self.definitions.begin_change(custom_settings(text))
    }

    /// Whether the names were never read.
    pub fn is_new(&self) -> bool {
        self.definitions.lock().last.is_none()
    }

    /// A reading, if what is known does not hold any more, no change is under way, and nobody reads already.
    pub fn reading_wanted(&self) -> Option<Reading> {
        if self.certain.get() && self.stamp.get() == self.definitions.stamp.load(Ordering::Acquire) {
            return None;
        }
        self.definitions.start(Instant::now(), |state| state.open == 0 && !state.is_certain())
    }

    /// A reading, if the last was long ago and somebody has asked since.
    pub fn reading_due(&self, now: Instant) -> Option<Reading> {
        let reading =
            self.used.get().then(|| self.definitions.start(now, |state| state.is_old(now))).flatten()?;
        self.used.set(false);
        Some(reading)
    }
}

/// What a database's catalogs say of its statements.
#[derive(Debug, Default)]
pub struct Contents {
    /// The names that a read must not mention.
    pub barriers: Barriers,
    /// Which relations a statement reaches through others; `None`: too many to tell.
    pub relations: Option<Relations>,
    /// What the cache decides by; `None`: no rule caches, or there is too much to tell.
    pub grounds: Option<Grounds>,
}

impl From<Barriers> for Contents {
    fn from(barriers: Barriers) -> Contents {
        Contents { barriers, ..Contents::default() }
    }
}

/// What a worker knows of that: a copy, as with [`Known`].
#[derive(Debug)]
pub struct Judge {
    definitions: Arc<Definitions<Contents>>,
    stamp: Cell<u64>,
    certain: Cell<bool>,
    version: Cell<u64>,
    edition: Cell<u64>,
    contents: RefCell<Arc<Contents>>,
    used: Cell<bool>,
}

impl Judge {
    /// Nothing yet.
    pub fn new(definitions: Arc<Definitions<Contents>>) -> Rc<Judge> {
        Rc::new(Judge {
            definitions,
            stamp: Cell::new(0),
            certain: Cell::new(false),
            version: Cell::new(0),
            edition: Cell::new(0),
            contents: RefCell::default(),
            used: Cell::new(false),
        })
    }

    /// Names what is known: another number when something has changed since.
    #[inline]
    pub fn stamp(&self) -> u64 {
        self.used.set(true);
        self.definitions.stamp.load(Ordering::Acquire)
    }

    /// Whether `text` only reads, as far as its names are concerned; `None` while that is not known.
    pub fn passes(&self, text: &[u8], dialect: Dialect) -> Option<bool> {
        self.barrier(text, dialect).map(|barrier| barrier.is_none())
    }

    /// The name in `text` that makes it more than a read, if there is one; `None` while that is not known.
    pub fn barrier(&self, text: &[u8], dialect: Dialect) -> Option<Option<Barrier>> {
        self.refresh();
        let contents = self.contents.borrow();
        self.certain.get().then(|| contents.barriers.meets(text, dialect))
    }

    #[inline]
    fn refresh(&self) {
        let now = self.stamp();
        if self.stamp.replace(now) != now {
            let state = self.definitions.lock();
            self.certain.set(state.is_certain());
            self.edition.set(state.edition);
            self.version.set(state.names.relations.as_ref().map_or(0, Relations::version));
            *self.contents.borrow_mut() = state.names.clone();
        }
    }

    /// Another number for other relations than those of [`Judge::contents`]; 0: none are known.
    #[inline]
    pub fn version(&self) -> u64 {
        self.refresh();
        self.version.get()
    }

    /// What all workers share of it.
    pub fn definitions(&self) -> &Arc<Definitions<Contents>> {
        &self.definitions
    }

    /// Whether it is known that definitions, rights and settings are those by which statements are judged, or were so until some seconds ago.
    #[inline]
    pub fn hold(&self, now: Instant) -> bool {
        self.definitions.hold(now)
    }

    /// Another number for other contents: what was judged before, by contents of the same edition, holds for as long as these are certain again.
    #[inline]
    pub fn edition(&self) -> u64 {
        self.refresh();
        self.edition.get()
    }

    /// What was read last, whether or not it still holds.
    pub fn contents(&self) -> Arc<Contents> {
        self.refresh();
        self.contents.borrow().clone()
    }

    /// Whether it is known what names stand for.
    #[inline]
    pub fn knows(&self) -> bool {
        self.refresh();
        self.certain.get()
    }

    /// A change of definitions begins: its text is about to be sent.
    pub fn change(&self) -> Change<Contents> {
        self.definitions.begin_change(vec![])
    }

    /// A reading, if what is known does not hold any more, no change is under way, and nobody reads already.
    pub fn reading_wanted(&self) -> Option<Reading<Contents>> {
        self.definitions.start(Instant::now(), |state| state.open == 0 && !state.is_certain())
    }

    /// A reading, if what is known does not hold any more or was read long ago, and somebody has asked since.
    pub fn reading_due(&self, now: Instant) -> Option<Reading<Contents>> {
        let due = |state: &State<_>| {
            state.is_old(now) || state.open == 0 && !state.is_certain() && !state.is_fresh(now)
        };
        let reading = self.used.get().then(|| self.definitions.start(now, due)).flatten()?;
        self.used.set(false);
        Some(reading)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &[u8] = b"select 1";

    fn read(known: &Known, names: Names) {
        known.reading_wanted().expect("a reading is wanted").done(Some(names), None);
    }

    #[test]
    fn a_reading_that_finds_nothing_new_changes_nothing() {
        let judge = Judge::new(Definitions::new());
        let read = |judge: &Judge, contents: Option<Contents>| {
            let now = Instant::now() + STALE * 2;
            let stamp = judge.stamp();
            let reading = judge.reading_due(now).expect("one is due");
            reading.done(contents, Some("mark".to_owned()));
            judge.stamp() != stamp
        };
        assert!(read(&judge, Some(Contents::default())) && judge.knows());
        judge.definitions.lock().last = Some((Instant::now() - STALE, true));
        assert!(!read(&judge, None) && judge.knows(), "it looks as it did");
        judge.definitions.lock().last = Some((Instant::now() - STALE, true));
        assert!(read(&judge, Some(Contents::default())), "it does not");
        drop(judge.change());
        assert!(!judge.knows());
        judge.definitions.lock().last = None;
        assert!(read(&judge, None) && judge.knows(), "what was uncertain is certain again");
    }

    fn beside(catalogs: &str) -> Beside {
        Beside::read(&vec![Some(catalogs.to_owned()), Some("1".to_owned())]).expect("two columns")
    }

    #[test]
    fn what_was_read_from_other_catalogs_is_void() {
        let (definitions, now) = (Definitions::<Contents>::new(), Instant::now());
        let until = now + STALE;
        let judge = Judge::new(definitions.clone());
        let read = |catalogs: &str, contents| {
            let reading = judge.definitions.start(Instant::now() + STALE, |_| true).expect("it is due");
            let mark = reading.mark.clone();
            reading.done(contents, Some(beside(catalogs).mark()));
            mark
        };
        assert!(!definitions.seen(&beside("a"), until) && !definitions.hold(now), "nothing was read");
        assert_eq!(read("a", Some(Contents::default())), None);
        assert!(judge.knows() && definitions.hold(now), "whoever looked first");
        assert!(!definitions.seen(&beside("a"), until) && definitions.hold(until));
        assert!(!definitions.hold(until + STALE));
        let edition = judge.edition();
        // Another's change is found: it is void until it was read from catalogs that look so.
        assert!(definitions.seen(&beside("b"), until));
        assert!(!judge.knows() && !definitions.hold(now));
        read("a", None);
        assert!(judge.knows() && !definitions.hold(now), "one of the two is older");
        assert!(definitions.seen(&beside("b"), until) && !judge.knows());
        read("b", Some(Contents::default()));
        assert!(judge.knows() && definitions.hold(now) && judge.edition() != edition);
        // A change of ours that has changed nothing leaves what is kept.
        let edition = judge.edition();
        drop(judge.change());
        assert!(!judge.knows() && !definitions.hold(now));
        assert_eq!(read("b", None), Some(beside("b").mark()), "by this it is found that all is the same");
        assert!(judge.knows() && definitions.hold(now) && judge.edition() == edition);
        definitions.outdated();
        assert!(!judge.knows() && !definitions.hold(now));
    }

    #[test]
    fn what_found_nothing_new_may_be_read_again_soon() {
        let judge = Judge::new(Definitions::<Contents>::new());
        let read = |contents| {
            judge.stamp();
            let due = judge.reading_due(Instant::now());
            due.map(|reading| reading.done(contents, Some(beside("a").mark()))).is_some()
        };
        assert!(read(Some(Contents::default())));
        drop(judge.change());
        assert!(!read(None), "what was other may be so again soon");
        judge.definitions.lock().last = Some((Instant::now() - AGAIN, true));
        assert!(read(None));
        drop(judge.change());
        assert!(judge.definitions.lock().rests < AGAIN / 2);
        judge.definitions.lock().last = Some((Instant::now() - AGAIN / 2, true));
        assert!(read(None), "before a second is over");
    }

    #[test]
    fn nothing_is_certain_before_it_was_read() {
        let known = Known::new(Definitions::new());
        assert_eq!(known.effects_of(PLAIN, true.into()), Effects::SETTING);
        read(&known, Names::default());
        assert_eq!(known.effects_of(PLAIN, true.into()), Effects::EMPTY);
        assert!(known.reading_wanted().is_none());
    }

    #[test]
    fn a_change_is_uncertain_until_it_was_read_behind_it() {
        let definitions = Definitions::new();
        let (known, other) = (Known::new(definitions.clone()), Known::new(definitions));
        read(&known, Names::default());
        assert_eq!(other.effects_of(PLAIN, true.into()), Effects::EMPTY);
        let change =
            known.change(b"create function f() returns text return set_config('my.own', 'x', false)");
        assert_eq!(other.effects_of(PLAIN, true.into()), Effects::SETTING);
        assert_eq!(other.settings(), [b"my.own"[..].into()]);
        assert!(other.reading_wanted().is_none(), "what is under way cannot be read");
        drop(change);
        let first = other.reading_wanted().expect("the change has ended");
        assert!(known.reading_wanted().is_none(), "one reads for all");
        drop(known.change(b""));
        first.done(Some(Names::everything()), None);
        assert_eq!(known.effects_of(PLAIN, true.into()), Effects::SETTING);
        read(&known, Names::default());
        assert_eq!(other.effects_of(PLAIN, true.into()), Effects::EMPTY);
        assert!(other.settings().is_empty());
    }

    #[test]
    fn a_reading_that_failed_leaves_it_uncertain_and_comes_again_later() {
        let known = Known::new(Definitions::new());
        drop(known.reading_wanted());
        assert_eq!(known.effects_of(PLAIN, true.into()), Effects::SETTING);
        assert!(known.reading_wanted().is_none());
        let later = Instant::now() + AGAIN;
        assert!(known.definitions.start(later, |state| !state.is_certain()).is_some());
    }

    #[test]
    fn a_reading_that_finds_nothing_new_leaves_the_stamp() {
        let judge = Judge::new(Definitions::<Contents>::new());
        let read = |contents: Option<Contents>| {
            judge.stamp();
            let reading = judge.definitions.start(Instant::now() + STALE, |_| true).expect("it is due");
            reading.done(contents, Some("mark".into()));
        };
        read(Some(Contents::default()));
        assert!(judge.knows());
        let stamp = judge.stamp();
        read(None);
        assert!(judge.knows());
        assert_eq!(judge.stamp(), stamp, "what is kept by it stays");
        read(Some(Contents::default()));
        assert_ne!(judge.stamp(), stamp);
        let stamp = judge.stamp();
        let reading = judge.definitions.start(Instant::now() + STALE, |_| true).expect("it is due");
        drop(judge.change());
        reading.done(None, None);
        assert!(!judge.knows(), "a change has ended meanwhile");
        assert_ne!(judge.stamp(), stamp);
    }

    #[test]
    fn what_is_old_is_read_again_while_there_is_traffic() {
        let known = Known::new(Definitions::new());
        read(&known, Names::default());
        let later = Instant::now() + STALE;
        assert!(known.reading_due(later).is_none(), "nobody has asked");
        known.effects_of(PLAIN, true.into());
        assert!(known.reading_due(Instant::now()).is_none(), "it is young");
        known.reading_due(later).expect("it is due").done(None, None);
        assert!(known.reading_due(later + STALE).is_none(), "nobody has asked since");
    }
}
