//! Reads that go to replicas: which, and when.
//!
//! A cycle that is one read, outside of transactions or as the first of one that only reads (`read_only`), by a session that has nothing but its settings, is sent to the
//! node that [`crate::plan`] chooses. What becomes of it there, and how it comes back to the primary, is told in `under_way`. After each
//! cycle, wherever it ran, the session notes what it has seen; see `docs/design/consistency.md`.

use std::rc::Rc;
use std::task::Context;
use std::time::{Duration, Instant};

use super::read_only::There;
use super::serve::Session;
use super::under_way::UnderWay;
use super::waited::Wait;
use super::wished::Wished;
use crate::config::settings::{Host, PoolMode};
use crate::plan::Profile;
use crate::plan::balance::hash;
use crate::plan::choose::{Choice, Read};
use crate::plan::consistency::{Floor, Level};
use crate::plan::topology::NodeId;
use crate::pool::Pool;
use crate::pool::state::State;
use crate::runtime::cluster::Nodes;

/// The longest cycle that is sent to a replica: it is kept until its answer begins.
pub(super) const LONGEST: usize = 64 * 1024;
/// A session that reads at the primary without a pause is seen there by each read, and replicas are never known to have what it saw last. So after so
/// many reads it waits once for as long as [`MOVING`], even if `replica_wait` allows none; twice as many each time that is in vain.
const STUCK: u32 = 8;
/// More than a probe and a replica in good health take.
const MOVING: Duration = Duration::from_millis(10);
/// From that many on it is not more.
const MOST_STUCK: u32 = 4096;
/// A session keeps no more room than this for the copy of its next cycle.
const MOST_SPARED: usize = 512;
/// Where the reason "refused before" stands in [`crate::stats::PRIMARY_REASONS`].
const REFUSED: usize = 5;
/// Where the reason "in a transaction" does.
const TRANSACTION: usize = 6;
/// Where the reason "definitions not read" does.
pub(super) const UNKNOWN: usize = 7;

/// How a session's reads are routed; there is one where its database has replicas that are watched.
pub(super) struct Route {
    pub(super) nodes: Rc<Nodes>,
    /// What it must not see undone.
    pub(super) floor: Floor,
    /// The session's pools at nodes that were chosen, which are the same for as long as it lasts.
    pools: Vec<(NodeId, Rc<Pool>)>,
    /// A hash of the client's address.
    pub(super) client: u64,
    /// What its settings say of where it reads.
    pub(super) wished: Wished,
    /// How far the cycle at the front of the input is, or the one that was sent last.
    pub(super) step: Step,
    /// The transaction that is open on a replica.
    pub(super) there: Option<There>,
    /// Whether transactions have one snapshot for all their statements where nobody says so, as a server has told.
    pub(super) snapshots: Option<bool>,
    /// So many reads in a row went to the primary because replicas were not known to be as far; and from how many on the session
    /// is held up for a moment, so that it can move to one.
    stuck: u32,
    patient: u32,
    /// Something of the client's has run since what it saw was last noted.
    pub(super) ran: bool,
    /// What is left of its time to the read at the front, or under way, that has waited; in milliseconds, 0: all of it.
    pub(super) rest: u32,
    /// Room for the next cycle.
    spare: Vec<u8>,
}

/// How far a cycle is that may go to a replica. Behind each stands what may follow it.
#[derive(Default)]
pub(super) enum Step {
    /// Nothing is decided of it: all but `Leaves` and `Primary`.
    #[default]
    Open,
    /// It waits for replicas to catch up: `Chosen`, `Open`.
    Waits(Wait),
    /// It is to be sent to a node with the server that is leased next: `UnderWay`, `Primary`, `Open`.
    Chosen(Chosen),
    /// It is on its way to a replica, or there: `Open` once it was answered, `Leaves`, `Primary` if nothing was sent.
    UnderWay(UnderWay),
    /// Its replica does not answer it. These bytes are put back into the input when the session has no server: `Primary`, and `Open` where
    /// nothing was sent, so that nothing was decided of what comes next.
    Leaves(Option<Vec<u8>>),
    /// It is for the primary, and was judged before: `Open` as soon as it has a server.
    Primary,
    /// It was answered, by a server that had less time for it than the session's statements have. No other is sent there: `Open` with the next server.
    Over,
}

pub(super) struct Chosen {
    pub(super) node: NodeId,
    pub(super) pool: Rc<Pool>,
    pub(super) cycle: Vec<u8>,
    pub(super) profile: Rc<Profile>,
}

impl Route {
    /// The session's pool at a node, if it was chosen before.
    pub(super) fn known_pool(&self, node: NodeId) -> Option<&Rc<Pool>> {
        self.pools.iter().find(|(known, _)| *known == node).map(|(_, pool)| pool)
    }

    pub(super) fn new(nodes: Rc<Nodes>, peer: &str, state: &Rc<State>) -> Route {
        // Without the port, which is another one for each connection.
        let address = peer.rsplit_once(':').map_or(peer, |(address, _)| address);
        Route {
            nodes,
            floor: Floor::default(),
            pools: vec![],
            client: hash(address.as_bytes()),
            wished: Wished::of(state),
            step: Step::Open,
            there: None,
            snapshots: None,
            stuck: 0,
            patient: STUCK,
            ran: false,
            rest: 0,
            spare: vec![],
        }
    }

    /// What a read of the session's promises now: what a rule for its statement asks for, else the session, else the settings for its user, else those
    /// for its database.
    pub(super) fn read(
        &mut self,
        state: &Rc<State>,
        (by_rule, node): (Option<Level>, Option<&Host>),
        of_user: Option<Level>,
    ) -> Read {
        self.wished.look(state);
        let asked = by_rule.or(self.wished.level()).or(of_user);
        let level = asked.unwrap_or_else(|| self.nodes.sighting().topology.policy.level);
        self.at_node(node, Read { level, client: self.client, node: None, now: None })
    }

    /// The same for a node that a rule names: if that is the primary, no replica will do.
    pub(super) fn at_node(&self, node: Option<&Host>, read: Read) -> Read {
        let Some(host) = node else { return read };
        let sighting = self.nodes.sighting();
        match sighting.id_of(host) {
            None => read,
            node if node == sighting.topology.primary => Read { level: Level::Primary, ..read },
            node => Read { node, ..read },
        }
    }

    /// How long the next read may wait for news, where the settings allow so much.
    pub(super) fn patience(&self, allowed: Duration) -> Duration {
        if self.stuck >= self.patient { allowed.max(MOVING) } else { allowed }
    }

    /// No replica will do now: does the cycle wait, or wait on, for news of them?
    fn waits_for_news(&mut self, wait: Wait, now: Instant) -> bool {
        let Some(wait) = wait.go_on(&self.nodes, now) else { return false };
        self.step = Step::Waits(wait);
        true
    }

    /// The cycle goes to the primary.
    fn stays(&mut self, for_now: bool, waited: bool) {
        self.stuck = if for_now && !waited { self.stuck.saturating_add(1) } else { 0 };
        if waited {
            self.patient = (self.patient * 2).min(MOST_STUCK);
        }
    }

    /// Looks whether news have come for which the cycle waits.
    pub(super) fn poll_news(&mut self, cx: &mut Context<'_>) -> bool {
        let Step::Waits(wait) = &mut self.step else { return false };
        wait.poll(cx)
    }

    /// A copy of a cycle is not needed any more: the next one has its room.
    pub(super) fn spare(&mut self, mut copy: Vec<u8>) {
        if copy.capacity() <= MOST_SPARED {
            copy.clear();
            self.spare = copy;
        }
    }

    /// The cycle waits for news that have not come.
    #[inline]
    pub(super) fn waits(&self) -> bool {
        matches!(&self.step, Step::Waits(wait) if wait.is_on())
    }
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
        if !goes_on {
            self.handle.waiting.set(true);
        }
        goes_on
    }

    fn choose_by(&mut self, route: &mut Route, cycle: &[u8], profile: &Rc<Profile>) -> bool {
        let waited = match std::mem::take(&mut route.step) {
            Step::Primary => return true,
            Step::Waits(wait) => Some(wait),
            _ => None,
        };
        route.rest = waited.as_ref().map_or(0, |wait| wait.rest(Instant::now()));
        if cycle.len() > LONGEST || !self.may_route() || self.is_to_be_kept() {
            return true;
        }
        self.look_at_wishes(route);
        if !self.isolation_allows(route) {
            self.pool.stats().kept[TRANSACTION].add(u64::from(self.held_begin.is_some()));
            return true;
        }
        if profile.refused.get() {
            self.pool.stats().kept[REFUSED].add(1);
            return true;
        }
        let read = route.read(&self.state, (self.level_by_rule(), self.node_by_rule()), self.pool.level());
        match route.nodes.choose(read, &mut route.floor) {
            Choice::Replica(node) => {
                (route.stuck, route.patient) = (0, STUCK);
                if let Some(pool) = self.pool_at_node(route, node) {
                    let mut copy = std::mem::take(&mut route.spare);
                    copy.extend_from_slice(self.as_client_sent(cycle));
                    route.step = Step::Chosen(Chosen { node, pool, cycle: copy, profile: profile.clone() });
                }
                true
            }
            Choice::Primary(reason) => {
                let (has_waited, now) = (waited.is_some(), read.now());
                let patience = route.patience(route.nodes.sighting().topology.policy.wait);
                let allowed = if patience.is_zero() { 0 } else { self.time_allowed() };
                let begins = || Wait::new(now, patience, allowed);
                if reason.may_change() && route.waits_for_news(waited.unwrap_or_else(begins), now) {
                    return false;
                }
                route.stays(reason.may_change(), has_waited);
                self.pool.stats().kept[reason as usize].add(1);
                true
            }
        }
    }

    /// The session's pool at a node; `None`: it is no more.
    fn pool_at_node(&self, route: &mut Route, node: NodeId) -> Option<Rc<Pool>> {
        if let Some(pool) = route.known_pool(node) {
            return Some(pool.clone());
        }
        let sighting = route.nodes.sighting().clone();
        let pool = self.worker.pool_at(&self.pool.target(), sighting.host(node)?);
        route.pools.retain(|(known, _)| sighting.host(*known).is_some());
        route.pools.push((node, pool.clone()));
        Some(pool)
    }

    /// Whether the session has nothing but its settings, so that any server will do.
    pub(super) fn may_route(&self) -> bool {
        self.mode != PoolMode::Session
            && (self.held_begin.is_none() || self.begins_to_read())
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

    /// The length and the shape of the batch at the front, if a node was chosen for it.
    pub(super) fn chosen_batch(&self) -> Option<(usize, Rc<Profile>)> {
        match &self.route.as_ref()?.step {
            Step::Chosen(chosen) => Some((chosen.cycle.len(), chosen.profile.clone())),
            _ => None,
        }
    }

    /// The pool of the node that was chosen for what is sent next; else the session's own.
    pub(super) fn pool_to_lease_from(&self) -> &Rc<Pool> {
        match self.route.as_ref().map(|route| &route.step) {
            Some(Step::Chosen(chosen)) => &chosen.pool,
            _ => &self.pool,
        }
    }

    /// The cycle at the front of the input was sent to a replica, or was to be, and is for the primary now.
    pub(super) fn is_asked_again(&self) -> bool {
        self.route.as_ref().is_some_and(|route| matches!(route.step, Step::Primary))
    }

    /// That cycle was sent, whether or not it was one for a replica when it was looked at again.
    pub(super) fn was_asked_again(&mut self) {
        if self.is_asked_again() {
            self.route.iter_mut().for_each(|route| route.step = Step::Open);
        }
    }

    /// The cycle at the front of the input is dropped, or answered here: nothing that was decided on it holds for the next.
    pub(super) fn forget_cycle(&mut self) {
        self.verdict = None;
        let Some(route) = &mut self.route else { return };
        route.rest = 0;
        if matches!(route.step, Step::Primary) {
            route.step = Step::Open;
        }
    }

    /// Whether the cycle at the front of the input has waited for replicas to catch up; it does so no more.
    pub(super) fn waits_for_replicas_no_more(&mut self) -> bool {
        let Some(route) = &mut self.route else { return false };
        let waits = route.waits();
        if matches!(route.step, Step::Waits(_)) {
            route.step = Step::Open;
        }
        waits
    }

    /// A cycle begins: what was chosen for another is void.
    #[inline]
    pub(super) fn forget_choice(&mut self) {
        if self.server.is_none()
            && !self.batch_open
            && let Some(route) = &mut self.route
            && matches!(route.step, Step::Chosen(_))
        {
            route.step = Step::Open;
        }
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
        assert_eq!(
            [REFUSED, TRANSACTION, UNKNOWN].map(|at| PRIMARY_REASONS[at]),
            ["refused before", "in a transaction", "definitions not read"]
        );
    }
}
