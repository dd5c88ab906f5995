//! The life of a stream: it connects, hears, and when it has broken begins anew.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, sleep_until, timeout};

use super::apply::Applier;
use super::connection::{Heard, Replication};
use super::copy::FromServer;
use super::keeper::look_after;
use super::node::{self, Node};
use super::pace::Pace;
use super::shared::Shared;
use super::status::{Cause, Loss, State, Status};
use super::table::Refusal;
use super::{Sink, publication, sampler};
use crate::plan::consistency::Lsn;
use crate::pool::connect::Connected;
use crate::pool::{Target, ask};
use crate::wire::Fault;

/// The pause after a stream that broke at once; it doubles up to [`LONGEST_PAUSE`], and is made half as long or up to as long by chance.
const PAUSE: Duration = Duration::from_millis(200);
/// See [`PAUSE`].
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A stream that was heard for so long has not broken at once.
const HEARD: Duration = Duration::from_secs(1);
/// A loss that is like the last one is told again after this time.
const LASTED: Duration = Duration::from_secs(10);
/// What was received is acknowledged at least so often.
const ACKNOWLEDGE: Duration = Duration::from_secs(1);
/// A sample that waits so long has the server asked how far it is; twice as long after each time without news.
const ASK: Duration = Duration::from_millis(1);
/// The longest between two of these.
const LONGEST_ASK: Duration = Duration::from_millis(128);
/// Without a word for so long, though it is asked, the server is taken for dead.
const SILENCE: Duration = Duration::from_secs(60);
/// All connections are made, and the publication, within this time.
const BEGIN: Duration = Duration::from_secs(30);
/// While it is waited for a slot, it is asked so often whether the server lives.
const ALIVE: Duration = Duration::from_secs(5);
/// The last word, which drops the publication, takes no longer.
const LAST_WORD: Duration = Duration::from_secs(5);

/// What may be different from one stream to another.
#[derive(Debug, Clone)]
pub struct Options {
    /// The name of the publication, of this process alone: see [`publication::is_name`].
    pub publication: String,
    /// Changes of more rows than these of one table in one commit are told as one: [`Sink::bulk`].
    pub rows: u32,
}

impl Default for Options {
    fn default() -> Options {
        Options { publication: publication::random_name(), rows: 1000 }
    }
}

/// A stream that runs, until it is stopped or dropped.
#[derive(Debug)]
pub struct Stream {
    shared: Arc<Shared>,
    target: watch::Sender<Arc<Target>>,
    stop: watch::Sender<bool>,
    task: Option<JoinHandle<()>>,
}

impl Stream {
    /// Begins to follow the database that `target` logs in to, at its primary. Needs a runtime.
    pub fn start(options: Options, target: &Arc<Target>, sink: Arc<dyn Sink>) -> Stream {
        let shared = Arc::new(Shared::new(options, sink));
        let (target, targets) = watch::channel(target.clone());
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(live(shared.clone(), targets, stopped));
        Stream { shared, target, stop, task: Some(task) }
    }

    /// Goes on with other hosts or another login: begins anew if servers would be made in another way now.
    pub fn change(&self, target: &Arc<Target>) {
        self.target.send_if_modified(|known| {
            let is_other = !known.makes_the_same(target);
            *known = target.clone();
            is_other
        });
    }

    /// This relation is to be followed: [`Sink::usable`] or [`Sink::unusable`] will be told of it. A partitioned table, or one with
    /// children, is followed through these.
    ///
    /// # Errors
    /// [`Refusal::TooMany`] if more are wanted than are followed.
    pub fn want(&self, relation: u32) -> Result<(), Refusal> {
        if self.shared.inner().wanted.want(relation)? {
            self.shared.read_again();
        }
        Ok(())
    }

    /// It is needed no more. Changes of it may still be told for a while.
    pub fn unwant(&self, relation: u32) {
        self.shared.inner().wanted.unwant(relation);
    }

    /// Somebody uses what is told, and would be glad of a fresh point: for a tenth of a second, there are as many as there can be. Costs
    /// a look at the clock.
    pub fn used(&self) {
        self.shared.demand().used();
    }

    /// What is known at this time.
    pub fn status(&self) -> Status {
        let inner = self.shared.inner();
        Status {
            state: inner.state,
            since: inner.since,
            last: inner.last.clone(),
            fresh: inner.fresh.point(),
            through: inner.fresh.through(),
            in_limbo: inner.limbo.len(),
            oldest_in_limbo: inner.limbo.oldest(),
            waits: inner.fresh.waits().map(|sample| sample.at),
            usable: inner.wanted.counts(),
            refused: inner.wanted.refused(),
        }
    }

    /// Ends it, and drops its publication, if the server lets it within some seconds. Without this, that is done in the background.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        if let Some(task) = self.task.take() {
            let _ = task.await;
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

/// Streams, again and again.
async fn live(
    shared: Arc<Shared>,
    mut targets: watch::Receiver<Arc<Target>>,
    mut stopped: watch::Receiver<bool>,
) {
    let (mut pause, mut told) = (PAUSE, None);
    loop {
        let target = targets.borrow_and_update().clone();
        let begun = Instant::now();
        shared.set(State::Connecting);
        let loss = tokio::select! {
            loss = stream(&shared, &target) => loss,
            _ = stopped.wait_for(|stopped| *stopped) => break,
            changed = targets.changed() => match changed {
                Ok(()) => Loss::new(Cause::Moved, "57P01", "the settings of the database have changed"),
                Err(_) => break,
            },
        };
        let heard = shared.lose(&loss);
        // The same again and again is told once.
        if told.replace(loss.cause) != Some(loss.cause) || begun.elapsed() >= LASTED {
            let (cause, publication) = (loss.cause.name(), &shared.options().publication);
            tracing::warn!(database = target.database, publication, cause, error = %loss.fault, "no replication stream");
        }
        if heard.is_some_and(|time| time >= HEARD) || loss.cause == Cause::Moved {
            pause = PAUSE;
        }
        let by_chance = node::chance();
        tokio::select! {
            () = sleep(pause / 2 + (pause / 2).mul_f64(by_chance)) => {}
            _ = stopped.wait_for(|stopped| *stopped) => break,
            Ok(()) = targets.changed() => {}
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    let target = targets.borrow().clone();
    let last_word = async {
        let opened = node::open_primary(&target, &shared.options().publication).await;
        let mut connected = opened.map_err(|loss| loss.fault)?;
        publication::drop_it(&mut connected, &shared.options().publication).await
    };
    let dropped = timeout(LAST_WORD, last_word).await;
    if let Ok(Err(fault)) = dropped {
        let publication = &shared.options().publication;
        tracing::warn!(database = target.database, publication, error = %fault, "the publication is left behind");
    }
    shared.set(State::Stopped);
}

/// One stream, up to its end.
async fn stream(shared: &Arc<Shared>, target: &Arc<Target>) -> Loss {
    let name = &shared.options().publication;
    let begin = async {
        let mut questions = node::open_primary(target, name).await?;
        let node = Node::of(&mut questions).await?;
        ask::rows(&mut questions, "SET lock_timeout = '2s'; SET jit = off").await?;
        publication::prepare(&mut questions, name).await?;
        let target = Arc::new(target.at(&questions.host));
        let mut samples = node::open(&target, name).await?;
        node.is_also(&mut samples).await?;
        let mut replication = Replication::open(&target, name).await?;
        node.is_also(replication.connected()).await?;
        Ok::<_, Loss>((questions, samples, replication))
    };
    let late = |_| Err(Loss::new(Cause::Unreachable, "08006", "the server did not answer in time"));
    let (questions, mut samples, mut replication) = match timeout(BEGIN, begin).await.unwrap_or_else(late) {
        Ok(begun) => begun,
        Err(loss) => return loss,
    };
    let host = questions.host.clone();
    let run = async {
        shared.set(State::WaitingForSlot);
        let slot = format!("{name}_{:08x}", (node::chance() * f64::from(u32::MAX)) as u32);
        let point = match start(&mut replication, &mut samples, &slot, name).await {
            Ok(point) => point,
            Err(fault) => return fault.into(),
        };
        shared.set(State::Streaming);
        shared.passed(point);
        tokio::select! {
            biased;
            loss = hear(shared, replication) => loss,
            loss = sampler::run(shared, samples) => loss,
            loss = look_after(shared, questions) => loss,
        }
    };
    tokio::select! {
        loss = run => loss,
        () = node::until_moved(target, &host) => {
            Loss::new(Cause::Moved, "57P01", "the primary is another node now, or none is known to be it")
        }
    }
}

/// Starts to stream. That may take as long as transactions do which run; meanwhile the server is asked whether it lives.
async fn start(
    replication: &mut Replication,
    samples: &mut Connected,
    slot: &str,
    publication: &str,
) -> Result<Lsn, Fault> {
    let mut started = std::pin::pin!(replication.start(slot, publication));
    loop {
        tokio::select! {
            started = &mut started => return started,
            () = sleep(ALIVE) => {}
        }
        let late = |_| Err(Fault::error("08006", "the server did not answer in time"));
        timeout(BEGIN, ask::rows(samples, "SELECT 1")).await.unwrap_or_else(late)?;
    }
}

/// Hears the stream, until it breaks.
async fn hear(shared: &Arc<Shared>, mut replication: Replication) -> Loss {
    let mut applier = Applier::default();
    let mut heard_at = Instant::now();
    let (mut acknowledged_at, mut asked_at, mut ask_after) = (Instant::now(), Instant::now(), ASK);
    let mut pace = Pace::default();
    loop {
        let (mut answer, mut messages) = (false, 0);
        loop {
            let heard = match replication.take() {
                Ok(Some(Heard::Stream(heard))) => {
                    answer |= matches!(heard, FromServer::KeepAlive { .. });
                    applier.hear(shared, heard)
                }
                Ok(Some(Heard::Beginning(bytes))) => applier.hear_beginning(shared, bytes),
                Ok(None) => break,
                Err(fault) => return fault.into(),
            };
            if let Err(loss) = heard {
                return loss;
            }
            messages += 1;
        }
        if messages > 0 {
            (heard_at, ask_after) = (Instant::now(), ASK);
            pace.heard(messages);
        }
        let (through, waits) = {
            let inner = shared.inner();
            (inner.fresh.through(), inner.fresh.waits())
        };
        let now = Instant::now();
        let ask_at = waits.map(|sample| (sample.at + ASK).max(asked_at + ask_after));
        let ask = ask_at.is_some_and(|at| at <= now);
        if ask {
            (asked_at, ask_after) = (now, (ask_after * 2).min(LONGEST_ASK));
        }
        let is_time = acknowledged_at + ACKNOWLEDGE <= now;
        if answer || ask || is_time {
            if let Err(fault) = replication.acknowledge(through, ask || is_time).await {
                return fault.into();
            }
            acknowledged_at = now;
        }
        if heard_at.elapsed() > SILENCE {
            return Loss::new(Cause::Unreachable, "08006", "the server has been silent for too long");
        }
        let next = acknowledged_at + ACKNOWLEDGE;
        let next = ask_at.filter(|_| !ask).map_or(next, |at| next.min(at));
        let next = if ask { next.min(asked_at + ask_after) } else { next };
        tokio::select! {
            biased;
            read = replication.fill() => match read {
                Ok(read) => pace.rest(read, shared.demand().is_used()).await,
                Err(fault) => return fault.into(),
            },
            () = sleep_until(next.into()) => {}
            () = shared.has_sampled() => {}
        }
    }
}
