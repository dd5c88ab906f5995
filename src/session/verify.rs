//! Hits of the result cache that are run again on the primary, in the background, and compared byte by byte.
//!
//! A share of the hits is drawn (`verify` of a rule). The client has its answer by then, and nobody waits for what follows: a drawn hit is put in a line that is
//! short, and dropped where that is full. A lane takes it from there, with a connection of its own as the session's user, outside of all pools, and rests between
//! two of them for nine times as long as one has taken.
//!
//! An answer that differs may be one that was right: what it depends on may have changed since. So it is waited until the stream has told all that
//! was visible when the primary had answered. Only if nothing that the answer depends on has changed by then, nor is in doubt, should both be the same
//! (see [`crate::cache::tags`]): then the answer was wrong. That is told, and all that reads its tables is thrown away.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::aside::{Copy, Draws, Kept, Node};
use super::asked::Asked;
use super::serve::Session;
use crate::cache::{Broken, Described, Entry, Form};
use crate::level::Caching;
use crate::plan::determined::{is_determined, same_rows, shows_floats};
use crate::pool::Target;
use crate::pool::connect;
use crate::pool::state::State;
use crate::rules::{Cache, Share};
use crate::runtime::caches::DatabaseCache;
use crate::runtime::verified::Verified;
use crate::sql::Fingerprint;
use crate::timer::{sleep, timeout};
use crate::wire::emit;
use crate::wire::frame::{Frame, back, front};

/// How many hits may wait in a lane.
const LINE: usize = 8;
/// How many lanes a worker has, each with one connection.
const MOST_LANES: usize = 2;
/// How long a lane waits for a hit before it ends.
const IDLE: Duration = Duration::from_secs(10);
/// How long a lane rests after its primary could not be reached.
const UNREACHED: Duration = Duration::from_secs(1);
/// How long it rests at least between two hits.
const REST: Duration = Duration::from_millis(5);
/// So many times as long as a hit has taken it rests behind it, for [`UNREACHED`] at most.
const RESTS: u32 = 9;
/// How long a hit may take to be run again; the primary stops it a little earlier.
const PATIENCE: Duration = Duration::from_secs(35);
/// How long it is waited for the stream.
const STREAM: Duration = Duration::from_secs(5);
/// How often it is looked at what the stream has told.
const STEP: Duration = Duration::from_millis(2);

/// A worker's lanes.
#[derive(Default)]
pub struct Verifier {
    draws: Draws,
    lanes: RefCell<HashMap<Way, mpsc::Sender<Hit>>>,
}

/// The number of a database's cache, and the user.
type Way = (u32, String);

/// An answer that was given out of the cache, and how it is asked for again.
struct Hit {
    copy: Copy,
    form: Form,
    entry: Arc<Entry>,
    about: About,
}

/// What is told of it if it was wrong.
struct About {
    fingerprint: Fingerprint,
    rule: String,
    level: Caching,
    /// Any order of rows that the primary may give is the same answer.
    determined: bool,
}

impl Session {
    /// Has an answer out of the cache compared with the primary, if it is one of the rule's share.
    #[inline]
    pub(super) fn verify(&self, asked: &Asked<'_>, rule: &Cache, entry: &Arc<Entry>) {
        let share = rule.verify.unwrap_or_else(|| self.worker.cache_verify());
        if share != Share(0) && rule.level != Caching::Ttl && self.worker.verifier.draws.takes(share) {
            self.verify_drawn(asked, rule, entry);
        }
    }

    fn verify_drawn(&self, asked: &Asked<'_>, rule: &Cache, entry: &Arc<Entry>) {
        let Some(cached) = &self.cached else { return };
        let Some((text, types)) = self.text_of(asked) else { return };
        let shape = crate::sql::shape(text, self.dialect);
        let profile = self.profiles.of(text, self.dialect);
        let given = (self.worker.rules.stamp(), || self.worker.rules.get());
        let candidates = self.profiles.candidates(&profile, (text, self.dialect), given);
        let decision = candidates.would_decide(&self.context(text));
        let about = About {
            fingerprint: shape.fingerprint,
            rule: decision.cache().map_or_else(String::new, |cache| cache.rule.name().to_owned()),
            level: rule.level,
            determined: is_determined(text, self.dialect),
        };
        let copy = Copy { messages: asked_again(asked, text, types), state: self.state.clone() };
        let hit = Hit { copy, form: asked.form(), entry: entry.clone(), about };
        let (target, base) = (self.pool.target(), self.worker.states.base());
        if !self.worker.verifier.send(&cached.cache, &target, base, hit) {
            cached.cache.verified.count(Verified::Dropped);
        }
    }
}

/// The messages that ask for an answer once more. In the extended protocol the portal is described in any case: that tells the types of columns.
fn asked_again(asked: &Asked<'_>, text: &[u8], types: &[u8]) -> Vec<u8> {
    let mut out = vec![];
    let Form::Extended(described) = asked.form() else {
        emit::query(&mut out, text);
        return out;
    };
    emit::parse(&mut out, b"", &[text, b"\0", types].concat());
    if matches!(described, Described::Statement | Described::Both) {
        emit::frame(&mut out, front::DESCRIBE, |out| out.extend_from_slice(b"S\0"));
    }
    emit::frame(&mut out, front::BIND, |out| {
        out.extend_from_slice(b"\0\0");
        out.extend_from_slice(asked.bind);
    });
    emit::frame(&mut out, front::DESCRIBE, |out| out.extend_from_slice(b"P\0"));
    emit::frame(&mut out, front::EXECUTE, |out| out.extend_from_slice(&[0; 5]));
    emit::empty(&mut out, front::SYNC);
    out
}

impl Verifier {
    /// Puts a hit in line. False: there is no room.
    fn send(&self, cache: &Arc<DatabaseCache>, target: &Target, base: Rc<State>, hit: Hit) -> bool {
        let mut lanes = self.lanes.borrow_mut();
        lanes.retain(|_, lane| !lane.is_closed());
        let way = (cache.number, target.user.clone());
        if !lanes.contains_key(&way) && lanes.len() < MOST_LANES {
            let (line, hits) = mpsc::channel(LINE);
            let (cache, target) = (cache.clone(), Arc::new(target.at_primary()));
            let lane = Lane { cache, target, base, node: None, took: Duration::ZERO, told: None };
            tokio::task::spawn_local(lane.run(hits));
            lanes.insert(way.clone(), line);
        }
        lanes.get(&way).is_some_and(|lane| lane.try_send(hit).is_ok())
    }
}

/// What compares one user's hits in one database.
struct Lane {
    cache: Arc<DatabaseCache>,
    target: Arc<Target>,
    base: Rc<State>,
    node: Option<Node>,
    /// How long the primary took for the last one.
    took: Duration,
    /// What was told last to be wrong.
    told: Option<Arc<Entry>>,
}

impl Lane {
    /// Compares hits until there are none for a while.
    async fn run(mut self, mut hits: mpsc::Receiver<Hit>) {
        while let Ok(Some(hit)) = timeout(IDLE, hits.recv()).await {
            let found = self.compare(&hit).await;
            self.cache.verified.count(found);
            if found == Verified::Wrong {
                self.alarm(&hit);
            }
            let rest = match self.node {
                None => UNREACHED,
                Some(_) => (self.took * RESTS).clamp(REST, UNREACHED),
            };
            sleep(rest).await;
        }
        // What came in the meantime.
        hits.close();
        while hits.try_recv().is_ok() {
            self.cache.verified.count(Verified::Dropped);
        }
    }

    async fn compare(&mut self, hit: &Hit) -> Verified {
        let expected = hit.entry.answer();
        let mut kept = Kept::most(expected.len() + 4096);
        let begun = Instant::now();
        let well = match timeout(PATIENCE, self.ask(&hit.copy, &mut kept)).await {
            Ok(Some(well)) => well,
            Ok(None) | Err(_) => {
                self.node = None;
                false
            }
        };
        let answered = Instant::now();
        self.took = answered - begun;
        if !well {
            return Verified::Failed;
        }
        let floats = shows_floats(&kept.bytes);
        let found = comparable(&kept.bytes, hit.form);
        if !kept.more && same_rows(expected, &found) {
            return Verified::Same;
        }
        let verdict = self.judge(&hit.entry, answered).await;
        let decidable = hit.about.determined && !floats;
        if verdict == Verified::Wrong && !decidable { Verified::Undecided } else { verdict }
    }

    /// Whether the primary has answered without an error; `None`: it is of no use any more.
    async fn ask(&mut self, copy: &Copy, kept: &mut Kept) -> Option<bool> {
        if self.node.is_none() {
            let told = |fault| {
                let (database, user) = (&self.target.database, &self.target.user);
                tracing::debug!(database, user, error = %fault, "no hit can be compared with the primary");
            };
            let connected = connect::connect(&self.target).await.map_err(told).ok()?;
            self.node = Some(Node::new(connected, self.base.clone()));
        }
        let (_, well) = self.node.as_mut()?.run(copy, kept).await.ok()?;
        Some(well)
    }

    /// The primary had another answer by then.
    async fn judge(&self, entry: &Entry, answered: Instant) -> Verified {
        loop {
            // First how far the stream has come: all that it has told until then has been bumped.
            let as_of = self.cache.feed.as_of();
            match self.cache.store.stands(entry) {
                Err(Broken::Version) => return Verified::Changed,
                Ok(()) if as_of >= Some(answered) => return Verified::Wrong,
                Ok(()) | Err(Broken::Doubt) => {}
            }
            if answered.elapsed() > STREAM {
                return Verified::Undecided;
            }
            self.cache.used();
            sleep(STEP).await;
        }
    }

    /// Somebody was given an answer that was wrong. Others that were given the same one are counted, and not told.
    fn alarm(&mut self, hit: &Hit) {
        if self.told.as_ref().is_some_and(|told| Arc::ptr_eq(told, &hit.entry)) {
            return;
        }
        self.told = Some(hit.entry.clone());
        let About { fingerprint, rule, level, .. } = &hit.about;
        let (database, user, level) = (&self.cache.database, &self.target.user, level.word());
        tracing::error!(
            database, user, %fingerprint, rule, level,
            "the cache has given a wrong answer: the primary has another one, and nothing is known to have changed"
        );
        match hit.entry.relations() {
            [] => self.cache.store.flush(),
            relations => relations.iter().for_each(|relation| self.cache.store.flush_table(*relation)),
        }
    }
}

/// What of an answer stands in an entry: not ParseComplete and BindComplete, nor what is described but was not asked for.
fn comparable(answer: &[u8], form: Form) -> Vec<u8> {
    let Form::Extended(described) = form else { return answer.to_vec() };
    let of_portal = matches!(described, Described::Portal | Described::Both);
    let (mut found, mut at, mut bound) = (Vec::with_capacity(answer.len()), 0, false);
    while let Ok(Some(frame)) = Frame::peek(&answer[at..]) {
        let end = (at + frame.total).min(answer.len());
        match frame.tag {
            back::PARSE_COMPLETE => {}
            back::BIND_COMPLETE => bound = true,
            back::ROW_DESCRIPTION if bound && !of_portal => {}
            _ => found.extend_from_slice(&answer[at..end]),
        }
        at = end;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(messages: &[(u8, &[u8])]) -> Vec<u8> {
        let mut out = vec![];
        for (tag, body) in messages {
            emit::frame(&mut out, *tag, |out| out.extend_from_slice(body));
        }
        out
    }

    #[test]
    fn what_was_not_asked_for_is_not_compared() {
        let (parsed, bound, types) = ((b'1', &b""[..]), (b'2', &b""[..]), (b't', &b"\0\0"[..]));
        let (columns, row, end) = ((b'T', &b"\0\0"[..]), (b'D', &b"\0\0"[..]), (b'C', &b"SELECT 1\0"[..]));
        let check = |described, found: &[(u8, &[u8])], expected: &[(u8, &[u8])]| {
            assert_eq!(
                comparable(&frames(found), Form::Extended(described)),
                frames(expected),
                "{described:?}"
            );
        };
        check(Described::Nothing, &[parsed, bound, columns, row, end], &[row, end]);
        check(Described::Portal, &[parsed, bound, columns, row, end], &[columns, row, end]);
        let both = [parsed, types, columns, bound, columns, row, end];
        check(Described::Statement, &both, &[types, columns, row, end]);
        check(Described::Both, &both, &[types, columns, columns, row, end]);
        let simple = frames(&[columns, row, end]);
        assert_eq!(comparable(&simple, Form::Simple), simple);
    }
}
