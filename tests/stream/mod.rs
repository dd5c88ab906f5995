//! The logical replication stream against real clusters: what is told of every construct, and when it is told to be visible and fresh.
//!
//! Nothing serves from it here: the library is driven directly, and a recorder notes what it is told.

mod faults;
mod freshness;
mod rows;
mod tables;
mod upstream;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pgweir::auth::scram::MockSecret;
use pgweir::catalog::Beside;
use pgweir::config::{Sources, load};
use pgweir::control::stream::limbo::Xid;
use pgweir::control::stream::status::Loss;
use pgweir::control::stream::table::{Refusal, Table};
use pgweir::control::stream::{Change, Commit, Kind, Old, Options, Row, Sink, Stream, Value};
use pgweir::pool::Target;
use pgweir::session::directory::Directory;

use crate::harness::cluster::{APP, Cluster, Database};
use crate::harness::raw::{Client, Login};

/// What has been told, in order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Told {
    Begin(Commit),
    /// In words: see [`words`].
    Change(Xid, String),
    Committed(Xid),
    Visible(Xid),
    Fresh(Instant),
    Usable(String),
    Unusable(u32, &'static str),
    Lost(&'static str),
}

/// Notes what it is told.
#[derive(Default)]
pub(crate) struct Recorder {
    told: Mutex<Vec<(Instant, Told)>>,
    names: Mutex<HashMap<u32, String>>,
    news: Condvar,
}

impl Recorder {
    fn note(&self, told: Told) {
        self.lock().push((Instant::now(), told));
        self.news.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Instant, Told)>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn name(&self, oid: u32) -> String {
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.get(&oid).cloned().unwrap_or_else(|| oid.to_string())
    }

    /// All that was told, with the instant at which it was.
    pub(crate) fn all(&self) -> Vec<(Instant, Told)> {
        self.lock().clone()
    }

    /// Waits until `find` finds something in what was told; panics after a time.
    #[track_caller]
    pub(crate) fn wait<T>(&self, what: &str, mut find: impl FnMut(&[(Instant, Told)]) -> Option<T>) -> T {
        let end = Instant::now() + Duration::from_secs(30);
        let mut told = self.lock();
        loop {
            if let Some(found) = find(&told) {
                return found;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let last = told.iter().rev().filter(|(_, told)| !matches!(told, Told::Fresh(_)));
                panic!(
                    "{what} was not told; the last was, backwards, {:?}",
                    last.take(10).collect::<Vec<_>>()
                );
            }
            told = self.news.wait_timeout(told, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until this has been told, behind the first `from`.
    #[track_caller]
    pub(crate) fn wait_for(&self, from: usize, expected: &Told) -> Instant {
        self.wait(&format!("{expected:?}"), |told| {
            told.get(from..)?.iter().find(|(_, told)| told == expected).map(|(at, _)| *at)
        })
    }

    pub(crate) fn count(&self) -> usize {
        self.lock().len()
    }
}

impl Sink for Recorder {
    fn begin(&self, commit: &Commit) {
        self.note(Told::Begin(*commit));
    }

    fn changed(&self, commit: &Commit, change: &Change<'_>) {
        self.note(Told::Change(commit.xid, words(change)));
    }

    fn bulk(&self, commit: &Commit, relation: u32) {
        self.note(Told::Change(commit.xid, format!("bulk {}", self.name(relation))));
    }

    fn truncated(&self, commit: &Commit, relation: u32) {
        self.note(Told::Change(commit.xid, format!("truncate {}", self.name(relation))));
    }

    fn definitions_changed(&self, commit: &Commit) {
        self.note(Told::Change(commit.xid, "definitions".into()));
    }

    fn beside(&self, _: &Beside, _: Instant) {}

    fn relation_changed(&self, commit: Option<&Commit>, relation: u32) {
        let xid = commit.map_or(Xid(0), |commit| commit.xid);
        self.note(Told::Change(xid, format!("relation {}", self.name(relation))));
    }

    fn committed(&self, commit: &Commit) {
        self.note(Told::Committed(commit.xid));
    }

    fn visible(&self, xid: Xid) {
        self.note(Told::Visible(xid));
    }

    fn fresh(&self, at: Instant) {
        self.note(Told::Fresh(at));
    }

    fn usable(&self, table: &Arc<Table>) {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).insert(table.oid, table.name.clone());
        self.note(Told::Usable(table.name.clone()));
    }

    fn unusable(&self, relation: u32, why: &Refusal) {
        println!("{relation} is not followed: {why:?}");
        self.note(Told::Unusable(relation, why.name()));
    }

    fn lost(&self, why: &Loss) {
        println!("lost: {why:?}");
        self.note(Told::Lost(why.cause.name()));
    }
}

/// `update t: key id=1; now id=2 v=<unchanged>`.
fn words(change: &Change<'_>) -> String {
    let kind = match change.kind {
        Kind::Insert => "insert",
        Kind::Update => "update",
        Kind::Delete => "delete",
    };
    let row = |row: &Row<'_>| {
        let mut out = String::new();
        for (column, value) in row.values() {
            let name = change.table.column(column).map_or("?", |column| &column.name);
            let value = match value {
                Value::Text(text) if text.len() > 40 => format!("{} bytes", text.len()),
                Value::Text(text) => String::from_utf8_lossy(text).into_owned(),
                Value::Null => "null".into(),
                Value::Unchanged => "<unchanged>".into(),
                Value::Unknown => "<unknown>".into(),
            };
            let _ = write!(out, " {name}={value}");
        }
        out
    };
    let old = match change.old {
        Old::Absent => String::new(),
        Old::Whole(old) => format!(" was{}", row(old)),
        Old::Key(old) => format!(" key{}", row(old)),
        Old::KeyUnchanged => " same key".into(),
        Old::Unknown => " unknown".into(),
    };
    let new = change.new.map_or(String::new(), |new| format!(" now{}", row(new)));
    format!("{kind} {}:{old}{new}", change.table.name)
}

/// A runtime on a thread of its own.
pub(crate) struct Runtime {
    pub(crate) handle: tokio::runtime::Handle,
    end: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Runtime {
    pub(crate) fn start() -> Runtime {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let handle = runtime.handle().clone();
        let (end, ended) = tokio::sync::oneshot::channel();
        let thread = std::thread::spawn(move || {
            let _ = runtime.block_on(ended);
        });
        Runtime { handle, end: Some(end), thread: Some(thread) }
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        drop(self.end.take());
        self.thread.take().map(std::thread::JoinHandle::join);
    }
}

/// How pgweir logs in to a database by this connection string.
pub(crate) fn target(url: &str, database: &str, user: &str) -> Arc<Target> {
    let settings = load(&Sources { url: Some(url.to_owned()), ..Sources::default() });
    let mock = MockSecret::random().expect("randomness");
    let directory = Directory::new(settings.expect("the URL is right"), mock).expect("it is ready");
    directory.target(database, user).expect("the database is known")
}

/// A database, and a stream of it.
pub(crate) struct Scene<'a> {
    pub(crate) stream: Option<Stream>,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) options: Options,
    pub(crate) runtime: Runtime,
    pub(crate) cluster: &'a Cluster,
    pub(crate) name: String,
    _database: Option<Database<'a>>,
}

impl<'a> Scene<'a> {
    /// On a database of its own, in which this is run first.
    pub(crate) fn new(cluster: &'a Cluster, setup: &str) -> Scene<'a> {
        Scene::with(cluster, setup, Options::default())
    }

    pub(crate) fn with(cluster: &'a Cluster, setup: &str, options: Options) -> Scene<'a> {
        let database = cluster.database();
        database.setup(setup);
        let mut scene = Scene::of(cluster, &database.name, options);
        scene._database = Some(database);
        scene
    }

    /// On a database that is there.
    pub(crate) fn of(cluster: &'a Cluster, name: &str, options: Options) -> Scene<'a> {
        let target = target(&cluster.url(APP, name, ""), name, APP.0);
        let (recorder, runtime) = (Arc::<Recorder>::default(), Runtime::start());
        let entered = runtime.handle.enter();
        let stream = Stream::start(options.clone(), &target, recorder.clone());
        drop(entered);
        let name = name.to_owned();
        Scene { stream: Some(stream), recorder, options, runtime, cluster, name, _database: None }
    }

    pub(crate) fn stream(&self) -> &Stream {
        self.stream.as_ref().expect("it runs")
    }

    /// A session of `app`, directly at the server.
    pub(crate) fn client(&self) -> Client {
        Client::connect(&self.cluster.unix(), &Login::new(APP.0, APP.1, &self.name))
    }

    pub(crate) fn superuser(&self) -> Client {
        self.cluster.superuser(&self.name)
    }

    pub(crate) fn oid(&self, table: &str) -> u32 {
        self.client().value(&format!("select '{table}'::regclass::oid")).parse().expect("a number")
    }

    /// Wants these tables, and waits until they are usable.
    #[track_caller]
    pub(crate) fn follow(&self, tables: &[&str]) {
        let from = self.recorder.count();
        for table in tables {
            self.stream().want(self.oid(table)).expect("there is room");
        }
        for table in tables {
            self.recorder.wait_for(from, &Told::Usable((*table).to_owned()));
        }
    }

    /// Wants a table, and gives why it is not followed.
    #[track_caller]
    pub(crate) fn refusal(&self, table: &str) -> &'static str {
        let (from, oid) = (self.recorder.count(), self.oid(table));
        self.stream().want(oid).expect("there is room");
        self.recorder.wait(table, |told| {
            told[from..].iter().find_map(|(_, told)| match told {
                Told::Unusable(relation, why) if *relation == oid => Some(*why),
                _ => None,
            })
        })
    }

    /// What is told of the commits that `work` makes, up to a fresh point behind it: each commit's changes in order. Commits of others are
    /// left out, which have none.
    #[track_caller]
    pub(crate) fn changes_of(&self, work: impl FnOnce(&mut Client)) -> Vec<Vec<String>> {
        let from = self.recorder.count();
        work(&mut self.client());
        self.fresh_since(Instant::now());
        let mut commits: Vec<(Xid, Vec<String>)> = vec![];
        for (_, told) in &self.recorder.all()[from..] {
            match told {
                Told::Begin(commit) => commits.push((commit.xid, vec![])),
                Told::Change(xid, change) if *xid != Xid(0) => {
                    let (current, changes) = commits.last_mut().expect("a commit has begun");
                    assert_eq!(current, xid);
                    changes.push(change.clone());
                }
                _ => {}
            }
        }
        commits.into_iter().map(|(_, changes)| changes).filter(|changes| !changes.is_empty()).collect()
    }

    /// Waits for a fresh point at this instant or later; gives when it was told.
    #[track_caller]
    pub(crate) fn fresh_since(&self, since: Instant) -> Instant {
        self.stream().used();
        self.recorder.wait("a fresh point", |told| {
            self.stream().used();
            let is_later = |told: &Told| matches!(told, Told::Fresh(at) if *at >= since);
            told.iter().rev().find(|(_, told)| is_later(told)).map(|(at, _)| *at)
        })
    }

    /// Stops the stream, as a process does that ends.
    pub(crate) fn stop(&mut self) {
        if let Some(stream) = self.stream.take() {
            self.runtime.handle.block_on(stream.stop());
        }
    }
}

impl Drop for Scene<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.stop();
        }
    }
}

/// The median and the 99th percentile, in milliseconds.
pub(crate) fn percentiles(mut times: Vec<Duration>) -> String {
    times.sort();
    let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize].as_secs_f64() * 1000.0;
    format!("p50 {:.2} ms, p99 {:.2} ms, most {:.2} ms, of {}", at(0.5), at(0.99), at(1.0), times.len())
}
