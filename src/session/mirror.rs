//! `mirror`: copies of reads go to another node, whose answers are thrown away.
//!
//! Nobody waits for a copy: it is put in a line that is short, and dropped where that is full. Lanes take copies out of it, each with a
//! connection of its own to the node, beside all pools; a lane that has had nothing to do for a while ends. A copy runs in a read-only
//! transaction under the settings of its session, and is stopped by the node when it takes too long.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::serve::Session;
use crate::config::host;
use crate::config::settings::Host;
use crate::pool::Target;
use crate::pool::connect::{self, Connected};
use crate::pool::prepared::Form;
use crate::pool::state::{State, difference};
use crate::rules::{Decided, Mirror, Share};
use crate::stats::PoolStats;
use crate::wire::emit;
use crate::wire::frame::{Frame, HEADER, back, front};

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
/// Under this a copy runs.
const BEGIN: &[u8] = b"BEGIN READ ONLY; SET LOCAL statement_timeout = '30s'";
/// What is read at once.
const BUFFER: usize = 16 * 1024;

/// The node that a rule names, for one statement.
pub(super) struct Wanted(Host);

/// A worker's lanes.
#[derive(Debug, Default)]
pub struct Mirrors {
    lanes: RefCell<HashMap<Way, Vec<Lane>>>,
    drawn: Cell<u64>,
}

/// Database, user and node.
type Way = (String, String, Host);

#[derive(Debug)]
struct Lane {
    line: mpsc::Sender<Copy>,
    /// Copies in the line, and the one under way.
    load: Rc<Cell<usize>>,
}

/// A statement to be copied.
#[derive(Debug)]
struct Copy {
    messages: Vec<u8>,
    /// The settings under which its words mean what they mean.
    state: Rc<State>,
}

impl Session {
    /// The node to which this statement is copied, if it is one of the rule's share.
    pub(super) fn wants_copy(&self, mirror: &Decided<'_, Mirror>) -> Option<Wanted> {
        let takes = self.worker.rules.mirrors.takes(mirror.action.percent);
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
    /// Whether the next statement is one of this share: exactly so many of any ten thousand in a row, evenly spread.
    fn takes(&self, share: Share) -> bool {
        let drawn = self.drawn.get();
        self.drawn.set(drawn.wrapping_add(1));
        // 6181 has no divisor in common with 10,000, and is the golden part of it.
        share.takes((drawn % 10_000) * 6181)
    }

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
    node.as_mut()?.run(copy).await.ok()
}

/// A connection to a node.
struct Node {
    connected: Connected,
    state: Rc<State>,
    /// It may have other settings than those.
    murky: bool,
    buffer: Vec<u8>,
    known: Range<usize>,
}

impl Node {
    fn new(connected: Connected, state: Rc<State>) -> Node {
        Node { connected, state, murky: false, buffer: vec![0; BUFFER], known: 0..0 }
    }

    /// How long it took, and whether it went well. Behind an error of this function nothing more can be asked of the node.
    async fn run(&mut self, copy: &Copy) -> io::Result<(Duration, bool)> {
        let (mut out, mut ahead) = (vec![], 1);
        if let Some(change) = difference(&self.state, &copy.state, self.murky) {
            for sql in [change.resets, change.sets].iter().filter(|sql| !sql.is_empty()) {
                emit::query(&mut out, sql);
                ahead += 1;
            }
        }
        emit::query(&mut out, BEGIN);
        out.extend_from_slice(&copy.messages);
        let sent = Instant::now();
        self.connected.socket.write_all(&out).await?;
        let mut settled = true;
        for _ in 0..ahead {
            settled &= self.until_ready().await?;
        }
        (self.state, self.murky) = (copy.state.clone(), !settled);
        let well = self.until_ready().await? && settled;
        let time = sent.elapsed();
        let mut end = vec![];
        emit::query(&mut end, b"ROLLBACK");
        self.connected.socket.write_all(&end).await?;
        self.until_ready().await?;
        Ok((time, well))
    }

    /// Drops messages up to ReadyForQuery; gives whether none was an error.
    async fn until_ready(&mut self) -> io::Result<bool> {
        let mut well = true;
        loop {
            while self.known.len() < HEADER {
                self.read().await?;
            }
            let frame = Frame::peek(&self.buffer[self.known.clone()]);
            let frame = frame.ok().flatten().ok_or(ErrorKind::InvalidData)?;
            let mut rest = frame.total;
            while rest > self.known.len() {
                rest -= self.known.len();
                self.known = 0..0;
                self.read().await?;
            }
            self.known.start += rest;
            match frame.tag {
                back::READY_FOR_QUERY => return Ok(well),
                back::ERROR_RESPONSE => well = false,
                _ => {}
            }
        }
    }

    /// Reads more behind what is known, which is less than a head.
    async fn read(&mut self) -> io::Result<()> {
        self.buffer.copy_within(self.known.clone(), 0);
        self.known = 0..self.known.len();
        let room = &mut self.buffer[self.known.end..];
        let read = poll_fn(|cx| self.connected.socket.poll_read(cx, room)).await?;
        if read == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.known.end += read;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_met_exactly_and_spread_evenly() {
        for share in [1, 250, 5000, 9999, 10_000] {
            let mirrors = Mirrors::default();
            let taken: Vec<bool> = (0..10_000).map(|_| mirrors.takes(Share(share))).collect();
            assert_eq!(taken.iter().filter(|taken| **taken).count(), usize::from(share));
            let first = taken.iter().take(1000).filter(|taken| **taken).count();
            let expected = usize::from(share) / 10;
            assert!(first.abs_diff(expected) <= 3, "{share}: {first} of the first 1000");
        }
    }
}
