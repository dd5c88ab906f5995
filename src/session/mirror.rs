//! `mirror`: copies of reads go to another node, whose answers are thrown away.
//!
//! Nobody waits for a copy: it is put in a line that is short, and dropped where that is full. Lanes take copies out of it, each with a
//! connection of its own to the node, beside all pools; a lane that has had nothing to do for a while ends. A copy runs in a read-only
//! transaction under the settings of its session, and is stopped by the node when it takes too long.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::aside::{Copy, Draws, Kept, Node};
use super::serve::Session;
use crate::config::host;
use crate::config::settings::Host;
use crate::pool::Target;
use crate::pool::connect;
use crate::pool::prepared::Form;
use crate::pool::state::State;
use crate::rules::{Decided, Mirror};
use crate::stats::PoolStats;
use crate::timer::{sleep, timeout};
use crate::wire::emit;
use crate::wire::frame::front;

/// The longest copy, in bytes.
const LONGEST: usize = 64 * 1024;
/// How many copies may wait in a lane.
const LINE: usize = 16;
/// How many lanes a worker has for one database, user and node.
const LANES: usize = 4;
/// How many it has in all.
const MOST_LANES: usize = 64;
/// How long a lane waits for a copy before it ends.
const IDLE: Duration = Duration::from_secs(10);
/// How long a lane rests after its node could not be reached.
const REST: Duration = Duration::from_secs(1);
/// How long a copy may take, settings and answer included; the node stops it a little earlier.
const PATIENCE: Duration = Duration::from_secs(35);

/// The node that a rule names, for one statement.
pub(super) struct Wanted(Host);

/// A worker's lanes.
#[derive(Debug, Default)]
pub struct Mirrors {
    lanes: RefCell<HashMap<Way, Vec<Lane>>>,
    draws: Draws,
}

/// Database, user and node.
type Way = (String, String, Host);

#[derive(Debug)]
struct Lane {
    line: mpsc::Sender<Copy>,
    /// Copies in the line, and the one under way.
    load: Rc<Cell<usize>>,
}

impl Session {
    /// The node to which this statement is copied, if it is one of the rule's share.
    pub(super) fn wants_copy(&self, mirror: &Decided<'_, Mirror>) -> Option<Wanted> {
        let takes = self.worker.rules.mirrors.draws.takes(mirror.action.percent);
        takes.then(|| host::parse(&mirror.action.node).ok().map(Wanted)).flatten()
    }

    /// Copies a Query that was sent, if it reads only; gives when.
    pub(super) fn copy_query(&self, wanted: &Wanted, message: &[u8]) -> Option<Instant> {
        self.send_copy(wanted, message.len(), |out| out.extend_from_slice(message))
    }

    /// Copies a statement that was bound to these values.
    pub(super) fn copy_bound(&self, wanted: &Wanted, name: &[u8], values: &[u8]) -> Option<Instant> {
        let named = self.named_now(name)?;
        let Form::Parse(tail) = &named.statement.prepared.form else { return None };
        self.send_copy(wanted, tail.len() + values.len(), |out| {
            emit::parse(out, b"", tail);
            emit::frame(out, front::BIND, |out| {
                out.extend_from_slice(b"\0\0");
                out.extend_from_slice(values);
            });
            emit::frame(out, front::EXECUTE, |out| out.extend_from_slice(&[0; 5]));
            emit::empty(out, front::SYNC);
        })
    }

    fn send_copy(&self, wanted: &Wanted, length: usize, write: impl FnOnce(&mut Vec<u8>)) -> Option<Instant> {
        let verdict = self.verdict.as_ref()?;
        if !verdict.is_read(&self.profiles.judge) {
            return None;
        }
        let stats = self.worker.stats(&self.pool.target());
        if length > LONGEST {
            stats.mirror_dropped.add(1);
            return None;
        }
        let mut messages = vec![];
        write(&mut messages);
        let copy = Copy { messages, state: self.state.clone() };
        let begins = self.worker.states.base();
        let target = self.pool.target();
        if !self.worker.rules.mirrors.send(&target, &wanted.0, copy, (&begins, &stats)) {
            stats.mirror_dropped.add(1);
            return None;
        }
        Some(Instant::now())
    }
}

impl Mirrors {
    /// Puts a copy in line. False: there is no room.
    fn send(
        &self,
        target: &Target,
        host: &Host,
        copy: Copy,
        (base, stats): (&Rc<State>, &Arc<PoolStats>),
    ) -> bool {
        let mut all = self.lanes.borrow_mut();
        let way = (target.database.clone(), target.user.clone(), host.clone());
        let room = all.values().map(Vec::len).sum::<usize>() < MOST_LANES;
        if room && !all.contains_key(&way) {
            all.retain(|_, lanes| lanes.iter().any(|lane| !lane.line.is_closed()));
        }
        let lanes = all.entry(way).or_default();
        lanes.retain(|lane| !lane.line.is_closed());
        let busy = lanes.iter().all(|lane| lane.load.get() > 0);
        if busy && lanes.len() < LANES && room {
            lanes.push(Lane::open(Arc::new(target.at(host)), base.clone(), stats.clone()));
        }
        let Some(lane) = lanes.iter().min_by_key(|lane| lane.load.get()) else { return false };
        let sent = lane.line.try_send(copy).is_ok();
        lane.load.set(lane.load.get() + usize::from(sent));
        sent
    }
}

impl Lane {
    fn open(target: Arc<Target>, base: Rc<State>, stats: Arc<PoolStats>) -> Lane {
        let (line, copies) = mpsc::channel(LINE);
        let load = Rc::new(Cell::new(0));
        tokio::task::spawn_local(run(target, base, stats, copies, load.clone()));
        Lane { line, load }
    }
}

/// Runs copies until there are none for a while.
async fn run(
    target: Arc<Target>,
    base: Rc<State>,
    stats: Arc<PoolStats>,
    mut copies: mpsc::Receiver<Copy>,
    load: Rc<Cell<usize>>,
) {
    let (mut node, mut told) = (None, false);
    while let Ok(Some(copy)) = timeout(IDLE, copies.recv()).await {
        match timeout(PATIENCE, answered(&mut node, (&target, told), &base, &copy)).await {
            Ok(Some((time, true))) => {
                stats.mirror_answered.add(1);
                stats.mirror_time.add_time(time);
            }
            Ok(Some((_, false))) => stats.mirror_failed.add(1),
            Ok(None) | Err(_) => {
                stats.mirror_failed.add(1);
                if node.take().is_none() {
                    told = true;
                    sleep(REST).await;
                }
            }
        }
        load.set(load.get().saturating_sub(1));
    }
    // What came in the meantime.
    copies.close();
    while copies.try_recv().is_ok() {
        stats.mirror_dropped.add(1);
    }
}

/// How long the node took for a copy, and whether it went well; `None`: there is no node, or it is of no use any more.
async fn answered(
    node: &mut Option<Node>,
    (target, told): (&Arc<Target>, bool),
    base: &Rc<State>,
    copy: &Copy,
) -> Option<(Duration, bool)> {
    if node.is_none() {
        match connect::connect(target).await {
            Ok(connected) => *node = Some(Node::new(connected, base.clone())),
            Err(_) if told => return None,
            Err(fault) => {
                let (database, user) = (&target.database, &target.user);
                tracing::warn!(database, user, error = %fault, "the node of a mirror cannot be used");
                return None;
            }
        }
    }
    node.as_mut()?.run(copy, &mut Kept::nothing()).await.ok()
}
