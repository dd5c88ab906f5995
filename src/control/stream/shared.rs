//! What the parts of a stream have in common: how far it is, and who is told.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::demand::Demand;
use super::fresh::{Fresh, Sample};
use super::limbo::{Limbo, Snapshot, Xid};
use super::status::{Cause, Loss, State};
use super::table::Table;
use super::task::Options;
use super::wanted::{News, Wanted};
use super::{Commit, Sink};
use crate::plan::consistency::Lsn;

/// What the parts of a stream have in common.
pub(super) struct Shared {
    options: Options,
    sink: Arc<dyn Sink>,
    demand: Demand,
    inner: Mutex<Inner>,
    /// A sample waits.
    sampled: Notify,
    /// A commit has entered limbo.
    limbo: Notify,
    /// The catalog is to be read.
    read: Notify,
}

pub(super) struct Inner {
    pub(super) limbo: Limbo,
    pub(super) fresh: Fresh,
    pub(super) wanted: Wanted,
    /// Of the last snapshot.
    pub(super) xmin: u64,
    pub(super) state: State,
    pub(super) since: Instant,
    pub(super) last: Option<Loss>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Shared {
    pub(super) fn new(options: Options, sink: Arc<dyn Sink>) -> Shared {
        let inner = Inner {
            limbo: Limbo::default(),
            fresh: Fresh::default(),
            wanted: Wanted::default(),
            xmin: 0,
            state: State::Connecting,
            since: Instant::now(),
            last: None,
        };
        let (sampled, limbo, read) = (Notify::new(), Notify::new(), Notify::new());
        Shared { options, sink, demand: Demand::default(), inner: Mutex::new(inner), sampled, limbo, read }
    }

    pub(super) fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn options(&self) -> &Options {
        &self.options
    }

    pub(super) fn sink(&self) -> &dyn Sink {
        &*self.sink
    }

    pub(super) fn demand(&self) -> &Demand {
        &self.demand
    }

    /// The catalog is read at once.
    pub(super) fn read_again(&self) {
        self.read.notify_one();
    }

    pub(super) async fn asked_to_read(&self) {
        self.read.notified().await;
    }

    /// Returns when a commit has entered limbo.
    pub(super) async fn has_limbo(&self) {
        self.limbo.notified().await;
    }

    /// Returns when a sample waits.
    pub(super) async fn has_sampled(&self) {
        self.sampled.notified().await;
    }

    /// What a relation is, if it is in the publication.
    pub(super) fn table(&self, relation: u32) -> Option<Arc<Table>> {
        self.inner().wanted.table(relation).cloned()
    }

    /// Whether a snapshot has shown this commit.
    pub(super) fn shows(&self, xid: Xid) -> bool {
        self.inner().limbo.shows(xid)
    }

    /// The oldest sample that the stream has not passed.
    pub(super) fn waits(&self) -> Option<Sample> {
        self.inner().fresh.waits()
    }

    /// A sample was answered that was asked at this instant.
    pub(super) fn sampled(&self, at: Instant, lsn: Lsn, snapshot: Snapshot) {
        let mut inner = self.inner();
        inner.xmin = snapshot.xmin;
        let visible = inner.limbo.sampled(snapshot);
        let point = inner.fresh.sampled(Sample { at, lsn });
        drop(inner);
        visible.into_iter().for_each(|xid| self.sink.visible(xid));
        match point {
            Some(point) => self.tell_fresh(point),
            None => self.sampled.notify_one(),
        }
    }

    /// The stream has told all that is before this place.
    pub(super) fn passed(&self, lsn: Lsn) {
        let point = self.inner().fresh.passed(lsn);
        if let Some(point) = point {
            self.tell_fresh(point);
        }
    }

    /// A commit has been told whole; its record ends here.
    pub(super) fn committed(&self, commit: &Commit, end: Lsn) -> Result<(), Loss> {
        self.sink.committed(commit);
        let entered = self.inner().limbo.enter(commit.xid, Instant::now());
        match entered {
            Ok(true) => self.sink.visible(commit.xid),
            Ok(false) => self.limbo.notify_one(),
            Err(_) => {
                let text = "more commits are streamed and not visible than are kept";
                return Err(Loss::new(Cause::LimboFull, "54000", text));
            }
        }
        self.passed(end);
        Ok(())
    }

    fn tell_fresh(&self, point: Instant) {
        self.sink.fresh(point);
        let news = self.inner().wanted.fresh(point);
        self.tell(news);
    }

    pub(super) fn tell(&self, news: Vec<News>) {
        for one in news {
            match one {
                News::Usable(table) => self.sink.usable(&table),
                News::Unusable(relation, refusal) => self.sink.unusable(relation, &refusal),
                News::Changed(relation) => self.sink.relation_changed(None, relation),
            }
        }
    }

    /// The stream says of a relation something else than the catalog did, or it is not known.
    pub(super) fn is_not_as_read(&self, commit: &Commit, relation: u32) {
        // Else it is about to be read, or is wanted no more.
        let Some(news) = self.inner().wanted.changed(relation) else { return };
        self.sink.relation_changed(Some(commit), relation);
        self.tell(news);
        self.read_again();
    }

    pub(super) fn set(&self, state: State) {
        let mut inner = self.inner();
        (inner.state, inner.since) = (state, Instant::now());
    }

    /// All that was known is void. Gives for how long changes were heard, if they were.
    pub(super) fn lose(&self, loss: &Loss) -> Option<Duration> {
        let mut inner = self.inner();
        let heard = (inner.state == State::Streaming).then(|| inner.since.elapsed());
        (inner.limbo, inner.fresh) = (Limbo::default(), Fresh::default());
        inner.wanted.lost();
        (inner.state, inner.since) = (State::Failed(loss.cause), Instant::now());
        inner.last = Some(loss.clone());
        drop(inner);
        self.sink.lost(loss);
        heard
    }
}
