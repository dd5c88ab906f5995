//! Transactions that only read, on replicas.
//!
//! A BEGIN that is held back and says READ ONLY, by itself or by the session's default, goes with the first statement to the node that is chosen for
//! that, if it is a read; and what follows goes there too. At READ COMMITTED, where each statement sees what was committed before
//! it, such a transaction is nothing but its reads: so whatever a replica does not answer, or may not be able to, has it begun anew at the primary, which has all that
//! its replicas have shown, and go on there. Where all statements see one snapshot, that is possible until the first of them has been answered.
//! See `docs/design/routing.md`.

use std::time::Instant;

use super::begin::HeldBegin;
use super::route::{LONGEST, Route, Step};
use super::serve::Session;
use super::under_way::{UnderWay, sqlstate};
use super::upstream::Flow;
use crate::plan::choose;
use crate::plan::topology::{NodeId, Transactions};
use crate::pool::Server;
use crate::pool::exchange::Note;
use crate::pool::state::State;
use crate::sql::{self, Detail, Isolation, Modes, Verb};
use crate::wire::frame::{Frame, HEADER, TxStatus, front};

/// What ends a transaction that has been idle, or open, for too long, and a session that has: the client has asked for that.
const TIMEOUTS: [&[u8]; 3] = [b"25P03", b"25P04", b"57P05"];

/// A transaction that is open on a replica.
pub(super) struct There {
    node: NodeId,
    /// What begins it anew.
    begin: HeldBegin,
    /// All its statements see what the first does; `None`: the server has yet to tell.
    snapshot: Option<bool>,
    /// The client has been told something that a statement of it has found.
    pub(super) shown: bool,
}

/// What becomes of a cycle in a transaction that a replica has.
enum Goes {
    /// There, and it is kept until its answer begins: so many bytes.
    Kept(usize),
    /// There, come what may.
    There,
    /// To the primary, with its transaction.
    Away,
    /// More of it must arrive first.
    More,
}

impl There {
    pub(super) fn new(node: NodeId, begin: &HeldBegin) -> There {
        let snapshot = begin.modes.isolation.map(|level| level != Isolation::ReadCommitted);
        There { node, begin: begin.for_primary(), snapshot, shown: false }
    }

    /// It cannot go on elsewhere.
    fn is_bound(&self) -> bool {
        self.shown && self.snapshot != Some(false)
    }
}

impl Route {
    /// Whether transactions like this may be on replicas, by the settings.
    fn takes(&self, isolation: Option<Isolation>) -> bool {
        let snapshot = match isolation {
            Some(Isolation::Serializable) => return false,
            Some(level) => Some(level == Isolation::RepeatableRead),
            None => self.snapshots,
        };
        match self.nodes.sighting().topology.policy.transactions {
            Transactions::Primary => false,
            Transactions::ReadCommitted => snapshot != Some(true),
            Transactions::All => true,
        }
    }
}

/// The modes of a transaction in a session with these settings, as far as they are known.
pub(super) fn modes_under(state: &State, said: Modes) -> Modes {
    let setting = |name: &[u8]| state.settings().get(name);
    let read_only = || setting(b"default_transaction_read_only").map(|value| is_on(value));
    let isolation = || setting(b"default_transaction_isolation").and_then(|name| Isolation::named(name));
    let (read_only, isolation) = (said.read_only.or_else(read_only), said.isolation.or_else(isolation));
    Modes { read_only, isolation, ..said }
}

/// A true value as `parse_bool` of PostgreSQL takes it: any beginning of a word that says which word it is.
fn is_on(value: &[u8]) -> bool {
    let value = value.to_ascii_lowercase();
    let begins = |word: &[u8], least: usize| value.len() >= least && word.starts_with(&value);
    begins(b"true", 1) || begins(b"yes", 1) || begins(b"on", 2) || value == b"1"
}

impl Session {
    /// Whether the statement at the front is the first of a transaction that only reads, and that no server knows of.
    pub(super) fn begins_to_read(&self) -> bool {
        let reads =
            |begin: &HeldBegin| begin.modes.read_only == Some(true) && !begin.at_primary && !begin.failed;
        self.server.is_none() && self.held_begin.as_ref().is_some_and(reads)
    }

    /// Whether replicas can do, and the settings allow, the kind of transaction that the statement at the front is in, or is itself.
    pub(super) fn isolation_allows(&self, route: &Route) -> bool {
        match &self.held_begin {
            Some(begin) => route.takes(begin.modes.isolation),
            None => !route.wished.is_serializable(&self.state),
        }
    }

    /// A message is at the front of a cycle, or in it. `None`: it is taken as always.
    #[inline]
    pub(super) fn goes_on_there(&mut self, frame: Frame, bytes: &[u8]) -> Option<Flow> {
        let route = self.route.as_ref()?;
        let (there, server) = (route.there.as_ref()?, self.server.as_ref()?);
        if self.batch_open || server.tx != TxStatus::Open || !matches!(route.step, Step::Open) {
            return None;
        }
        let (node, bound) = (there.node, there.is_bound());
        match self.cycle_there(node, bound, frame, bytes) {
            Goes::There => None,
            Goes::More => Some(Flow::More),
            Goes::Kept(length) => {
                let cycle = self.as_client_sent(&bytes[..length]).into();
                let under_way = UnderWay::new((node, Instant::now()), cycle, None, self.out.len());
                self.route.as_mut()?.begin(under_way);
                None
            }
            Goes::Away => {
                self.roll_back_there();
                self.route.iter_mut().for_each(|route| route.step = Step::Leaves(None));
                Some(Flow::Later)
            }
        }
    }

    fn cycle_there(&mut self, node: NodeId, bound: bool, frame: Frame, bytes: &[u8]) -> Goes {
        let other = if bound { Goes::There } else { Goes::Away };
        let whole = bytes.get(..frame.total);
        match frame.tag {
            front::TERMINATE | front::FLUSH | front::COPY_DATA | front::COPY_DONE | front::COPY_FAIL => {
                Goes::There
            }
            _ if frame.total > LONGEST => other,
            front::QUERY | front::SYNC if whole.is_none() => Goes::More,
            front::SYNC => Goes::Kept(frame.total),
            front::QUERY => {
                let text = whole.and_then(|whole| whole[HEADER..].strip_suffix(b"\0"));
                match text {
                    Some(text) if self.ends_plainly(text) => Goes::Kept(frame.total),
                    Some(text) if !bound && self.reads_there(text, node) => Goes::Kept(frame.total),
                    _ => other,
                }
            }
            front::PARSE | front::BIND => match self.ends_in_batch(bytes) {
                Some(length) => Goes::Kept(length),
                None if bound => other,
                None => self.batch_reads_there(bytes, node).map_or(other, Goes::Kept),
            },
            _ => other,
        }
    }

    /// Whether a text ends the transaction, and nothing else.
    pub(super) fn ends_plainly(&self, text: &[u8]) -> bool {
        let summary = sql::summarize(text, self.dialect);
        let [one] = summary.statements.as_slice() else { return false };
        match one.detail {
            Detail::Commit { chain } => one.verb == Verb::Commit && !chain,
            Detail::Rollback { chain } => !chain,
            _ => false,
        }
    }

    fn reads_there(&mut self, text: &[u8], node: NodeId) -> bool {
        let is_plain = self.hidden_effects(text).is_empty()
            && !self.dialect.is_wide()
            && sql::plain_verb(text).is_some();
        let Some(profile) = self.read_of(text).filter(|_| is_plain) else { return false };
        !profile.refused.get() && self.serves_still(node)
    }

    fn batch_reads_there(&mut self, bytes: &[u8], node: NodeId) -> Option<usize> {
        let (length, profile) = self.batch_that_reads(bytes)?;
        let kept = length <= LONGEST && !profile.refused.get() && self.serves_still(node);
        kept.then_some(length)
    }

    /// Whether the replica that has the transaction will do for one more statement: it shows what it has shown, but may be too old by now, or
    /// a rule may want the primary.
    fn serves_still(&mut self, node: NodeId) -> bool {
        let by_rule = self.level_by_rule();
        let Some(route) = &mut self.route else { return false };
        let wanted = self.verdict.as_ref().and_then(|verdict| verdict.node.as_deref());
        let read = route.read(&self.state, (by_rule, wanted), self.pool.level());
        let sighting = route.nodes.sighting().clone();
        choose::serves(read, &sighting.topology, &mut route.floor, node)
    }

    /// Ends the transaction on the replica.
    fn roll_back_there(&mut self) {
        if let Some(server) = &mut self.server {
            server.ask(b"ROLLBACK", Note::None);
        }
    }

    /// All was answered that the replica has been sent, and its transaction goes on elsewhere.
    pub(super) fn end_what_leaves(&mut self) {
        let open = |server: &Server| server.tx != TxStatus::Idle && server.expects.is_empty();
        if self.is_to_be_asked_again() && self.server.as_deref().is_some_and(open) {
            self.roll_back_there();
        }
    }

    /// The transaction that a replica had begins anew, with the next statement, at the primary.
    pub(super) fn begin_at_primary(&mut self) {
        let Some(there) = self.route.as_mut().and_then(|route| route.there.take()) else { return };
        self.pool.stats().moved_transactions.add(1);
        self.hold(Some(there.begin));
    }

    /// Whether the next cycle waits for the one that the replica with the transaction has: behind its end may be something for the primary.
    pub(super) fn waits_there(&self) -> bool {
        self.cycle_under_way() && !self.batch_open && self.input_rest == 0
    }

    /// Whether a batch that begins now may be one read of a transaction that a replica has.
    pub(super) fn may_read_there(&self) -> bool {
        let there = self.route.as_ref().is_some_and(|route| route.there.is_some());
        there && self.server.as_ref().is_some_and(|server| server.tx == TxStatus::Open)
    }

    /// The transaction has begun on a replica: at which level, if nobody has said?
    pub(super) fn ask_isolation(&mut self) {
        let there = self.route.as_ref().and_then(|route| route.there.as_ref());
        let asks = there.is_some_and(|there| there.snapshot.is_none());
        if let Some(server) = self.server.as_mut().filter(|_| asks) {
            server.captured.clear();
            server.ask(b"SHOW transaction_isolation", Note::Isolation);
        }
    }

    /// The replica tells at which level the transaction is, in the row that it has given. Where the settings keep such from replicas, it leaves.
    pub(super) fn isolation_told(&mut self) {
        let (Some(route), Some(server)) = (&mut self.route, &mut self.server) else { return };
        let rows = std::mem::take(&mut server.captured);
        let level = rows.first().and_then(|row| row.get(HEADER + 6..)).and_then(Isolation::named);
        let snapshot = level != Some(Isolation::ReadCommitted);
        route.snapshots = Some(snapshot);
        let Some(there) = &mut route.there else { return };
        there.snapshot = Some(snapshot);
        if snapshot && !route.takes(level) && self.holds_answer() {
            self.leaves_node();
            self.hears_no_more();
        }
    }

    /// Whether the transaction goes on although the replica that has it is gone, between two statements.
    pub(super) fn outlives_its_server(&mut self, server: &Server) -> bool {
        let idle = server.tx == TxStatus::Open && server.expects.iter().all(|expect| expect.ours);
        let Some(route) = &mut self.route else { return false };
        let Some(there) = &route.there else { return false };
        route.nodes.cluster().report_failure(there.node);
        if !idle || there.is_bound() {
            route.there = None;
            return false;
        }
        route.step = Step::Leaves(None);
        true
    }

    /// A server ends, with this error. Whether the client need not know: it will be asked for elsewhere what it is doing. When it is out of time, it is told.
    pub(super) fn ends_unseen(&mut self, fields: &[u8]) -> bool {
        if TIMEOUTS.contains(&sqlstate(fields)) {
            if let Some(route) = &mut self.route {
                route.give_up();
                route.there = None;
            }
            return false;
        }
        let idle = |server: &Server| server.tx == TxStatus::Open && server.expects.is_empty();
        let there = self.route.as_ref().and_then(|route| route.there.as_ref());
        there.is_some_and(|there| !there.is_bound()) && self.server.as_deref().is_some_and(idle)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::state::{Settings, States};

    #[test]
    fn modes_that_are_not_said_are_the_sessions() {
        let check = |settings: &[(&str, &str)], said: Modes, expected: Modes| {
            let entry = |(name, value): &(&str, &str)| (name.as_bytes().into(), value.as_bytes().into());
            let state = States::default().intern(settings.iter().map(entry).collect::<Settings>());
            assert_eq!(modes_under(&state, said), expected, "{settings:?}");
        };
        let (none, serializable) = (Modes::default(), Some(Isolation::Serializable));
        let defaults =
            [("default_transaction_read_only", "on"), ("default_transaction_isolation", "Serializable")];
        check(&[], none, none);
        check(&defaults, none, Modes { read_only: Some(true), isolation: serializable, ..none });
        let said = Modes { read_only: Some(false), isolation: Some(Isolation::ReadCommitted), ..none };
        check(&defaults, said, said);
        check(&[("default_transaction_read_only", "off")], none, Modes { read_only: Some(false), ..none });
    }

    #[test]
    fn true_values_in_every_spelling() {
        for on in ["on", "ON", "t", "true", "Tru", "y", "yes", "1"] {
            assert!(is_on(on.as_bytes()), "{on}");
        }
        for other in ["", "o", "off", "of", "f", "no", "0", "11", "trues"] {
            assert!(!is_on(other.as_bytes()), "{other}");
        }
    }
}
