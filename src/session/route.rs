//! Reads that go to replicas: which, when, and back to the primary when a replica does not answer them.
//!
//! A cycle that is one read, outside of transactions, by a session that has nothing but its settings, is sent to the node that
//! [`crate::plan`] chooses. Until its answer has begun (a row, an end), nothing of it is given to the client: an error, or the
//! loss of the replica, has the same bytes sent to the primary, and nobody notices. After each cycle, wherever it ran, the session notes
//! what it has seen; see `docs/design/consistency.md`.

use std::pin::Pin;
use std::rc::Rc;
use std::task::Context;
use std::time::{Duration, Instant};

use super::serve::Session;
use super::statement::significant;
use crate::config::settings::PoolMode;
use crate::plan::Profile;
use crate::plan::balance::hash;
use crate::plan::choose::{Choice, Read};
use crate::plan::consistency::{Floor, Level};
use crate::plan::topology::NodeId;
use crate::pool::Pool;
use crate::pool::prepared::Form;
use crate::pool::state::State;
use crate::runtime::cluster::Nodes;
use crate::wire::frame::{self, Frame, TxStatus, back, front};

/// The longest cycle that is sent to a replica: it is kept until its answer begins.
const LONGEST: usize = 64 * 1024;
/// A session that reads at the primary without a pause is seen there by each read, and replicas are never known to have what it saw last. So after so
/// many reads it waits once for as long as [`MOVING`], even if `replica_wait` allows none; twice as many each time that is in vain.
const STUCK: u32 = 8;
/// More than a probe and a replica in good health take.
const MOVING: Duration = Duration::from_millis(10);
/// From that many on it is not more.
const MOST_STUCK: u32 = 4096;
/// Where the reason "refused before" stands in [`crate::stats::PRIMARY_REASONS`].
const REFUSED: usize = 5;

/// How a session's reads are routed; there is one where its database has replicas that are watched.
pub(super) struct Route {
    nodes: Rc<Nodes>,
    /// What it must not see undone.
    floor: Floor,
    /// A hash of the client's address.
    client: u64,
    /// What its settings say, for the state that is named.
    wishes: (Rc<State>, Wishes),
    /// The cycle at the front of the input is to be sent to that node, with the server that is leased next.
    chosen: Option<Chosen>,
    /// What is under way on a replica.
    under_way: Option<UnderWay>,
    /// What a replica did not answer; it is put back into the input when the session has no server.
    again: Option<Vec<u8>>,
    /// The cycle at the front of the input is for the primary.
    primary: bool,
    /// The cycle at the front of the input waits for replicas to catch up.
    waits: Option<Wait>,
    /// So many reads in a row went to the primary because replicas were not known to be as far; and from how many on the session
    /// is held up for a moment, so that it can move to one.
    stuck: u32,
    patient: u32,
    /// Something of the client's has run since what it saw was last noted.
    ran: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Wishes {
    /// `pgweir.consistency`, if the session has set it to one of the levels.
    level: Option<Level>,
    /// Its transactions are serializable, which replicas cannot do.
    serializable: bool,
}

struct Chosen {
    node: NodeId,
    pool: Rc<Pool>,
    cycle: Vec<u8>,
    profile: Rc<Profile>,
}

struct UnderWay {
    node: NodeId,
    cycle: Vec<u8>,
    profile: Rc<Profile>,
    since: Instant,
    /// All of the cycle is on its way.
    sent: bool,
    /// Its answer has begun.
    begun: bool,
}

struct Wait {
    until: Instant,
    /// News of the nodes, or the end of the wait; `None` once they have come.
    news: Option<Pin<Box<dyn Future<Output = ()>>>>,
}

impl Route {
    pub(super) fn new(nodes: Rc<Nodes>, peer: &str, state: &Rc<State>) -> Route {
        // Without the port, which is another one for each connection.
        let address = peer.rsplit_once(':').map_or(peer, |(address, _)| address);
        Route {
            nodes,
            floor: Floor::default(),
            client: hash(address.as_bytes()),
            wishes: (state.clone(), Wishes::of(state)),
            chosen: None,
            under_way: None,
            again: None,
            primary: false,
            waits: None,
            stuck: 0,
            patient: STUCK,
            ran: false,
        }
    }

    fn wishes(&mut self, state: &Rc<State>) -> Wishes {
        if !Rc::ptr_eq(&self.wishes.0, state) {
            self.wishes = (state.clone(), Wishes::of(state));
        }
        self.wishes.1
    }

    /// No replica will do now: is the cycle to wait for news of them?
    fn waits_for_news(&mut self, allowed: Duration, now: Instant) -> bool {
        let moving = if self.stuck >= self.patient { MOVING } else { Duration::ZERO };
        let until = self.waits.as_ref().map_or(now + allowed.max(moving), |waits| waits.until);
        if now >= until {
            return false;
        }
        let nodes = self.nodes.clone();
        let news: Pin<Box<dyn Future<Output = ()>>> = Box::pin(async move {
            let _ = tokio::time::timeout_at(until.into(), nodes.changed()).await;
        });
        self.waits = Some(Wait { until, news: Some(news) });
        true
    }

    /// The cycle goes to the primary.
    fn stays(&mut self, for_now: bool) {
        let waited = self.waits.take().is_some();
        self.stuck = if for_now && !waited { self.stuck.saturating_add(1) } else { 0 };
        if waited {
            self.patient = (self.patient * 2).min(MOST_STUCK);
        }
    }
}

impl Wishes {
    fn of(state: &State) -> Wishes {
        let setting = |name: &[u8]| state.settings().get(name).map(|value| String::from_utf8_lossy(value));
        let level = setting(b"pgweir.consistency").and_then(|level| level_named(&level));
        let isolation = setting(b"default_transaction_isolation");
        Wishes {
            level,
            serializable: isolation.is_some_and(|level| level.eq_ignore_ascii_case("serializable")),
        }
    }
}

/// `session`, `any`, `primary`, `bounded:500ms` or `bounded('500ms')`.
fn level_named(text: &str) -> Option<Level> {
    let text = text.trim().to_ascii_lowercase();
    match text.as_str() {
        "session" => return Some(Level::Session),
        "any" => return Some(Level::Any),
        "primary" => return Some(Level::Primary),
        _ => {}
    }
    let bound = text.strip_prefix("bounded")?.trim_matches(|c: char| ":()' ".contains(c)).to_owned();
    let (number, unit) = bound.split_at(bound.find(|c: char| !c.is_ascii_digit())?);
    let number: u64 = number.parse().ok()?;
    let millis = match unit.trim() {
        "ms" => 1,
        "s" => 1000,
        "min" => 60_000,
        _ => return None,
    };
    Some(Level::Bounded(Duration::from_millis(number.checked_mul(millis)?)))
}

impl Session {
    /// The session begins: if the nodes of its database are watched, its reads may go to replicas.
    pub(super) fn begin_routing(&mut self) {
        let nodes = self.worker.nodes(&self.handle.database, self.pool.target().is_named);
        self.route = nodes.map(|nodes| Box::new(Route::new(nodes, &self.handle.peer, &self.state)));
    }

    /// Chooses where a read goes, if that is not the primary. False: it waits for a replica to catch up.
    pub(super) fn choose_node(&mut self, cycle: &[u8], profile: &Rc<Profile>) -> bool {
        let Some(mut route) = self.route.take() else { return true };
        let goes_on = self.choose_by(&mut route, cycle, profile);
        self.route = Some(route);
        goes_on
    }

    fn choose_by(&mut self, route: &mut Route, cycle: &[u8], profile: &Rc<Profile>) -> bool {
        route.chosen = None;
        let wishes = route.wishes(&self.state);
        if std::mem::take(&mut route.primary)
            || wishes.serializable
            || cycle.len() > LONGEST
            || !self.may_route()
        {
            return true;
        }
        if profile.refused.get() {
            self.pool.stats().kept[REFUSED].add(1);
            return true;
        }
        let policy = route.nodes.sighting().topology.policy;
        let now = Instant::now();
        let level = self.level_by_rule().or(wishes.level).unwrap_or(policy.level);
        let read = Read { level, client: route.client, now };
        match route.nodes.choose(read, &mut route.floor) {
            Choice::Replica(node) => {
                route.waits = None;
                (route.stuck, route.patient) = (0, STUCK);
                let sighting = route.nodes.sighting().clone();
                if let Some(host) = sighting.host(node) {
                    let pool = self.worker.pool_at(&self.pool.target(), host);
                    route.chosen = Some(Chosen { node, pool, cycle: cycle.into(), profile: profile.clone() });
                }
                true
            }
            Choice::Primary(reason) if reason.may_change() && route.waits_for_news(policy.wait, now) => false,
            Choice::Primary(reason) => {
                route.stays(reason.may_change());
                self.pool.stats().kept[reason as usize].add(1);
                true
            }
        }
    }

    /// Whether the session has nothing but its settings, so that any server will do.
    pub(super) fn may_route(&self) -> bool {
        self.mode != PoolMode::Session
            && self.out.is_empty()
            && self.held_begin.is_none()
            && self.has_settings_only()
    }

    /// A batch of extended messages is about to be taken that begins here: chooses where it goes if it is there up to its Sync and
    /// runs one read. False: it waits.
    pub(super) fn choose_for_batch(&mut self, bytes: &[u8]) -> bool {
        if self.route.is_none() || self.server.is_some() || self.batch_open || self.mode == PoolMode::Session
        {
            return true;
        }
        let Some((length, profile)) = self.batch_that_reads(bytes) else { return true };
        self.choose_node(&bytes[..length], &profile)
    }

    /// The length of a batch that runs one statement in the unnamed portal, and the statement's text.
    pub(super) fn lone_read(&self, bytes: &[u8]) -> Option<(usize, Vec<u8>)> {
        let (mut at, mut text, mut bound, mut run) = (0, None, false, false);
        loop {
            let rest = bytes.get(at..)?;
            let frame = Frame::peek(rest).ok()??;
            let body = rest.get(frame::HEADER..frame.total)?;
            let (name, behind) = frame::cstr(body).unwrap_or_default();
            at += frame.total;
            match frame.tag {
                // A name would be taken when the batch is sent again.
                front::PARSE if text.is_none() && !bound && name.is_empty() => {
                    text = Some(frame::cstr(behind)?.0.to_vec())
                }
                front::BIND if !bound && name.is_empty() => {
                    let statement = frame::cstr(behind)?.0;
                    text = match text {
                        Some(text) if statement.is_empty() => Some(text),
                        None => Some(self.text_of(statement)?),
                        Some(_) => return None,
                    };
                    bound = true;
                }
                front::DESCRIBE => {}
                front::EXECUTE if bound && !run && name.is_empty() => run = true,
                front::SYNC if run => return Some((at, text?)),
                _ => return None,
            }
        }
    }

    fn text_of(&self, statement: &[u8]) -> Option<Vec<u8>> {
        let named = match statement {
            [] => self.unnamed.as_ref()?,
            name => self.names.get(significant(name))?,
        };
        match &named.statement.prepared.form {
            Form::Parse(tail) if named.statement.effects.is_empty() => Some(frame::cstr(tail)?.0.to_vec()),
            _ => None,
        }
    }

    /// The pool of the node that was chosen for what is sent next; else the session's own.
    pub(super) fn pool_to_lease_from(&self) -> &Rc<Pool> {
        let chosen = self.route.as_ref().and_then(|route| route.chosen.as_ref());
        chosen.map_or(&self.pool, |chosen| &chosen.pool)
    }

    /// A server was leased: what was chosen for it is under way.
    pub(super) fn enter_node(&mut self) {
        let Some(route) = &mut self.route else { return };
        let Some(Chosen { node, cycle, profile, .. }) = route.chosen.take() else { return };
        let since = Instant::now();
        route.nodes.loads().begin(node, since);
        self.pool.stats().replica_reads.add(1);
        route.under_way = Some(UnderWay { node, cycle, profile, since, sent: false, begun: false });
    }

    /// The chosen node gives no server: the primary is asked. False: none was chosen.
    pub(super) fn node_refuses(&mut self) -> bool {
        let Some(route) = &mut self.route else { return false };
        let Some(chosen) = route.chosen.take() else { return false };
        route.nodes.cluster().report_failure(chosen.node);
        route.primary = true;
        self.following = 0;
        self.handle.waiting.set(false);
        true
    }

    /// Nothing of the answer is given to the client yet, because the primary may be asked instead.
    #[inline]
    pub(super) fn holds_answer(&self) -> bool {
        let under_way = self.route.as_ref().and_then(|route| route.under_way.as_ref());
        under_way.is_some_and(|under_way| !under_way.begun)
    }

    /// A message of a replica's answer: does it begin?
    #[inline]
    pub(super) fn note_beginning(&mut self, tag: u8) {
        let Some(under_way) = self.route.as_mut().and_then(|route| route.under_way.as_mut()) else { return };
        let ahead = matches!(
            tag,
            back::ROW_DESCRIPTION
                | back::NO_DATA
                | back::PARSE_COMPLETE
                | back::BIND_COMPLETE
                | back::PARAMETER_DESCRIPTION
                | back::NOTICE_RESPONSE
                | back::PARAMETER_STATUS
                | back::NOTIFICATION_RESPONSE
                | back::ERROR_RESPONSE
        );
        under_way.begun |= !ahead;
    }

    /// A replica answers with an error: if its answer has not begun, the primary is asked instead; but not when the client has cancelled it, or
    /// it was out of time.
    pub(super) fn asks_again(&mut self, fields: &[u8]) {
        if !self.holds_answer() {
            return;
        }
        let sqlstate =
            frame::fields(fields).find(|(code, _)| *code == b'C').map_or(&b""[..], |field| field.1);
        let Some(route) = &mut self.route else { return };
        let Some(UnderWay { node, cycle, profile, .. }) = route.under_way.take() else { return };
        route.nodes.loads().give_up(node);
        if sqlstate == b"57014" {
            return;
        }
        // A read-only transaction, or a feature that replicas lack: that will not change.
        profile.refused.set(profile.refused.get() || matches!(sqlstate, b"25006" | b"0A000"));
        route.again = Some(cycle);
        self.out.clear();
    }

    /// The cycle at the front of the input was sent to a replica, or was to be, and is for the primary now.
    pub(super) fn is_asked_again(&self) -> bool {
        self.route.as_ref().is_some_and(|route| route.primary)
    }

    /// The cycle at the front of the input is dropped: nothing that was decided on it holds for the next.
    pub(super) fn forget_cycle(&mut self) {
        self.verdict = None;
        self.route.iter_mut().for_each(|route| route.primary = false);
    }

    /// What a replica has refused waits for the session to have no server.
    pub(super) fn is_to_be_asked_again(&self) -> bool {
        self.route.as_ref().is_some_and(|route| route.again.is_some())
    }

    /// The replica is gone: is the primary asked instead?
    pub(super) fn asks_again_elsewhere(&mut self) -> bool {
        let Some(route) = &mut self.route else { return false };
        let Some(UnderWay { node, cycle, begun, .. }) = route.under_way.take() else { return false };
        route.nodes.loads().give_up(node);
        route.nodes.cluster().report_failure(node);
        if begun {
            return false;
        }
        route.again = Some(cycle);
        self.out.clear();
        true
    }

    /// Nothing was sent to the server that is gone: if it was a replica, the primary is next.
    pub(super) fn leave_node(&mut self) {
        let Some(route) = &mut self.route else { return };
        route.chosen = None;
        if let Some(under_way) = route.under_way.take() {
            route.nodes.loads().give_up(under_way.node);
            route.nodes.cluster().report_failure(under_way.node);
            route.primary = true;
        }
    }

    /// The cycle is on its way as a whole.
    #[inline]
    pub(super) fn note_sent(&mut self) {
        if let Some(under_way) = self.route.as_mut().and_then(|route| route.under_way.as_mut()) {
            under_way.sent = true;
        }
    }

    /// The client's next cycle must wait: for a replica to catch up, for what it has refused, or for its answer, since what comes
    /// next may be for the primary.
    #[inline]
    pub(super) fn waits_for_node(&self) -> bool {
        self.route.as_ref().is_some_and(|route| {
            let elsewhere = self.server.as_ref().is_some_and(|server| !Rc::ptr_eq(server.pool(), &self.pool));
            let complete = route.under_way.as_ref().is_none_or(|under_way| under_way.sent);
            route.again.is_some()
                || route.waits.as_ref().is_some_and(|waits| waits.news.is_some())
                || elsewhere && complete
        })
    }

    /// A cycle begins: what was chosen for another is void.
    #[inline]
    pub(super) fn forget_choice(&mut self) {
        if self.server.is_none()
            && !self.batch_open
            && let Some(route) = &mut self.route
        {
            route.chosen = None;
        }
    }

    /// Puts what a replica did not answer back in front of what the client has sent since; looks whether news have come.
    pub(super) fn poll_route(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(route) = &mut self.route else { return false };
        if self.server.is_none()
            && let Some(cycle) = route.again.take()
        {
            route.primary = true;
            self.input.splice(..0, cycle);
            self.pool.stats().asked_again.add(1);
            return true;
        }
        route.waits.as_mut().is_some_and(|waits| waits.poll(cx))
    }

    /// A statement of the client's has run.
    #[inline]
    pub(super) fn note_run(&mut self) {
        if let Some(route) = &mut self.route {
            route.ran = true;
        }
    }

    /// A cycle of the client's was answered: what it has seen must not be undone.
    pub(super) fn note_seen(&mut self) {
        let (Some(route), Some(server)) = (&mut self.route, &self.server) else { return };
        if !std::mem::take(&mut route.ran) && server.tx == TxStatus::Idle {
            // It has only prepared or described.
            return;
        }
        if let Some(done) = route.under_way.take() {
            let now = Instant::now();
            route.nodes.loads().end(done.node, now.duration_since(done.since), now);
            return route.nodes.used(done.node, &mut route.floor);
        }
        let node = route.nodes.sighting().id_of(&server.shared.host);
        if let Some(node) = node {
            route.nodes.used(node, &mut route.floor);
        }
    }
}

impl Wait {
    /// Whether the wait is over since the last time.
    fn poll(&mut self, cx: &mut Context<'_>) -> bool {
        let come = self.news.as_mut().is_some_and(|news| news.as_mut().poll(cx).is_ready());
        if come {
            self.news = None;
        }
        come
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::choose::{REASONS, Reason};
    use crate::stats::PRIMARY_REASONS;

    #[test]
    fn reasons_are_counted_under_their_names() {
        assert_eq!(PRIMARY_REASONS[..REFUSED], REASONS);
        assert_eq!(PRIMARY_REASONS[Reason::Behind as usize], Reason::Behind.name());
    }

    #[test]
    fn levels_are_read() {
        let check = |text: &str, expected: Option<Level>| assert_eq!(level_named(text), expected, "{text}");
        let bounded = |millis| Some(Level::Bounded(Duration::from_millis(millis)));
        check("session", Some(Level::Session));
        check("ANY", Some(Level::Any));
        check(" primary ", Some(Level::Primary));
        check("bounded:500ms", bounded(500));
        check("bounded('2s')", bounded(2000));
        check("bounded(1min)", bounded(60_000));
        for text in [
            "",
            "bounded",
            "bounded:",
            "bounded:x",
            "bounded:5",
            "bounded:5 days",
            "bounded:99999999999999999999ms",
        ] {
            check(text, None);
        }
    }
}
