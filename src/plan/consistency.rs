//! What a session must not see undone, and which nodes show it.
//!
//! A use of node N is noted as (N, number of the last probe started). Any probe of N that was started later covers the use,
//! and so does any of the primary, which has all that its replicas have. When it has finished, the note becomes a WAL position
//! that every other node must have replayed. Until then only N itself will do: it does not go back while it runs.
//! The proof and what was rejected are in `docs/design/consistency.md`.

use std::fmt;
use std::str::FromStr;

use super::token::{BadToken, Token};
use super::topology::{History, Node, NodeId, Topology};
pub use crate::level::Level;

/// Nodes noted one by one; more are noted as one, which only the primary covers.
const NOTES: usize = 3;

/// A position in the WAL, in bytes: `X/Y`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct Lsn(pub u64);

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 as u32)
    }
}

/// A text that is not a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a WAL position is two hexadecimal numbers with a slash between, such as 16/B374D848")]
pub struct BadLsn;

impl FromStr for Lsn {
    type Err = BadLsn;

    fn from_str(text: &str) -> Result<Lsn, BadLsn> {
        let half = |text: &str| {
            let digits = (1..=8).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
            if digits { u64::from_str_radix(text, 16).map_err(|_| BadLsn) } else { Err(BadLsn) }
        };
        let (high, low) = text.split_once('/').ok_or(BadLsn)?;
        Ok(Lsn(half(high)? << 32 | half(low)?))
    }
}

/// Whether a node shows all that a session must see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shows {
    /// It does.
    All,
    /// A probe has yet to tell.
    Unknown,
    /// It has not replayed so far.
    Less,
}

/// A use of a node that is not yet in the floor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Note {
    /// `None`: of several, so that only the primary covers it.
    node: Option<NodeId>,
    /// The last probe started when it ended.
    after: u64,
    /// What other nodes must have replayed, once a probe has told.
    need: Option<Lsn>,
}

/// What a session must not see undone. Some hundred bytes; begins empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Floor {
    history: Option<History>,
    lsn: Lsn,
    notes: [Option<Note>; NOTES],
    /// It was looked at for a read since the primary was used last.
    looked: bool,
    /// What another session has seen in a history that is not known here yet.
    ahead: Option<Box<Token>>,
}

impl Floor {
    /// Notes that `node` was used, after its answer has come. Whether a probe is worth asking for now: it was the primary, and the
    /// session reads too; a probe that was asked for earlier does not cover this use.
    #[inline]
    pub fn used(&mut self, node: NodeId, topology: &Topology) -> bool {
        self.used_after(node, topology.clock.started(), topology);
        topology.primary == Some(node) && std::mem::take(&mut self.looked)
    }

    fn used_after(&mut self, node: NodeId, after: u64, topology: &Topology) {
        self.adopt(topology);
        let note = Note { node: Some(node), after, need: None };
        let same = |known: &Option<Note>| known.is_some_and(|known| known.node == note.node);
        let Some(at) =
            self.notes.iter().position(same).or_else(|| self.notes.iter().position(Option::is_none))
        else {
            return self.collapse(after);
        };
        // What it showed before a restart is not covered by what it shows after.
        let since = topology.node(node).map_or(0, |node| node.since);
        match self.notes[at] {
            Some(before) if before.after < since => self.collapse(after),
            _ => self.notes[at] = Some(note),
        }
    }

    /// Everything that is noted becomes one note, which the primary covers.
    fn collapse(&mut self, after: u64) {
        let newest = self.notes.iter().flatten().map(|note| note.after).max();
        let after = newest.unwrap_or(after).max(after);
        self.notes = [Some(Note { node: None, after, need: None }), None, None];
    }

    /// Takes the history of the topology for its own. Positions in another mean nothing in it: what the session has seen, as far
    /// as it is still there, is covered by the next probe of the primary.
    fn adopt(&mut self, topology: &Topology) {
        if self.history == topology.history {
            return;
        }
        let reached = |ahead: &Token| {
            topology.history.is_some_and(|history| history.timeline >= ahead.history.timeline)
        };
        let arrived = self.ahead.take_if(|ahead| reached(ahead)).is_some();
        let known = arrived || self.lsn != Lsn::default() || self.notes.iter().any(Option::is_some);
        self.history = topology.history;
        self.lsn = Lsn::default();
        self.notes = [None; NOTES];
        if known {
            self.collapse(topology.clock.started());
        }
    }

    /// It is looked at for a read, and there is nothing to take in.
    #[inline]
    pub fn looks(&mut self) {
        self.looked = true;
    }

    /// Takes in what probes have told meanwhile.
    pub fn look(&mut self, topology: &Topology) {
        self.looks();
        self.adopt(topology);
        for slot in &mut self.notes {
            let Some(note) = slot else { continue };
            note.need = note.need.or_else(|| need(note, topology));
            let Some(need) = note.need else { continue };
            // The node itself need not show a position beyond what it was asked for; until it does, the note is kept for its sake.
            let node = note.node.and_then(|id| topology.node(id));
            let itself = node.and_then(|node| node.position).filter(|at| Some(at.history) == self.history);
            if node.is_none() || topology.primary == note.node || itself.is_some_and(|at| at.lsn >= need) {
                self.lsn = self.lsn.max(need);
                *slot = None;
            }
        }
    }

    /// The only replica that may show all that it must, where that is plain: the one at which the session was last, if nothing else is noted and no probe was
    /// started since, so that none can tell of another. As for most reads of a session that reads without a pause.
    #[inline]
    pub fn only(&self, topology: &Topology) -> Option<NodeId> {
        let [Some(Note { node: Some(node), after, need: None }), None, None] = self.notes else {
            return None;
        };
        let plain =
            self.ahead.is_none() && self.history == topology.history && after == topology.clock.started();
        (plain && topology.primary != Some(node)).then_some(node)
    }

    /// Whether `node`, a replica of the topology that was looked at last, shows all that it must.
    pub fn shown_by(&self, node: &Node) -> Shows {
        let Some(position) = node.position.filter(|_| self.ahead.is_none()) else { return Shows::Unknown };
        let mut shows = if position.lsn >= self.lsn { Shows::All } else { Shows::Less };
        for note in self.notes.iter().flatten() {
            // Not restarted since: it does not go back.
            if note.node == Some(node.id) && node.since <= note.after {
                continue;
            }
            match note.need {
                None => return Shows::Unknown,
                Some(need) if position.lsn < need => shows = Shows::Less,
                Some(_) => {}
            }
        }
        shows
    }

    /// The position that replicas must have replayed, as far as probes have told.
    pub fn needed(&self) -> Lsn {
        let needs = self.notes.iter().flatten().filter_map(|note| note.need);
        needs.fold(self.lsn, Lsn::max)
    }

    /// Takes over what another session has seen, beside what this one has.
    ///
    /// # Errors
    /// The token is one of another cluster.
    pub fn raise(&mut self, token: Token, topology: &Topology) -> Result<(), BadToken> {
        if topology.history.is_some_and(|history| history.system != token.history.system) {
            return Err(BadToken::OtherCluster);
        }
        self.adopt(topology);
        let timeline = topology.history.map(|history| history.timeline);
        if timeline == Some(token.history.timeline) {
            self.lsn = self.lsn.max(token.lsn);
        } else if timeline > Some(token.history.timeline) {
            self.collapse(topology.clock.started());
        } else if self.ahead.as_ref().is_none_or(|ahead| ahead.history.timeline < token.history.timeline) {
            self.ahead = Some(Box::new(token));
        }
        Ok(())
    }

    /// The session may have seen anything that the primary has shown until now.
    pub fn doubt(&mut self, topology: &Topology) {
        self.adopt(topology);
        self.collapse(topology.clock.started());
    }
}

/// What a node other than the noted one must have replayed; `None`: no probe has told.
fn need(note: &Note, topology: &Topology) -> Option<Lsn> {
    let primary = topology.primary_position().filter(|at| at.probe > note.after).map(|at| at.lsn);
    let node = note.node.filter(|id| Some(*id) != topology.primary).and_then(|id| topology.node(id));
    let covered = |node: &Node| {
        let at = node.position.filter(|at| Some(at.history) == topology.history)?;
        let covers = at.probe > note.after && node.since <= note.after;
        covers.then(|| Lsn(at.lsn.0.saturating_add(unpublished())))
    };
    match (node.and_then(covered), primary) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// A replica makes the effects of a record visible before it tells that it has replayed it. So what it shows may be one record beyond
/// the position that it tells, and only a node that has replayed more than that position surely has that record.
#[cfg(not(test))]
const fn unpublished() -> u64 {
    1
}

#[cfg(test)]
use tests::unpublished;

#[cfg(test)]
pub(crate) mod tests {
    use std::cell::Cell;

    use super::super::topology::Role;
    use super::super::topology::tests::{position, topology};
    use super::*;

    thread_local! {
        /// Whether a replica's position counts as if it told it before it shows it: for tests that show that it must not.
        pub static TRUSTS: Cell<bool> = const { Cell::new(false) };
    }

    pub fn unpublished() -> u64 {
        u64::from(!TRUSTS.get())
    }

    /// As [`Floor::used`], at another time of the clock.
    pub fn used_after(floor: &mut Floor, node: NodeId, after: u64, topology: &Topology) {
        floor.used_after(node, after, topology);
    }

    const PRIMARY: NodeId = NodeId(0);
    const FIRST: NodeId = NodeId(1);
    const SECOND: NodeId = NodeId(2);

    fn shown(floor: &mut Floor, topology: &Topology) -> [Shows; 2] {
        floor.look(topology);
        [1, 2].map(|at| floor.shown_by(&topology.nodes[at]))
    }

    #[test]
    fn positions_are_read_and_written() {
        let check = |text: &str, expected: Option<u64>| {
            let read = text.parse::<Lsn>().ok();
            assert_eq!(read, expected.map(Lsn), "{text}");
            if let Some(lsn) = read {
                assert_eq!(lsn.to_string(), text.to_uppercase());
            }
        };
        check("0/0", Some(0));
        check("16/B374D848", Some(0x16_B374_D848));
        check("ffffffff/ffffffff", Some(u64::MAX));
        for text in ["", "/", "1", "1/", "/1", "1/2/3", "123456789/0", "0/+1", "-1/0", "0/ 1", "g/0"] {
            check(text, None);
        }
    }

    #[test]
    fn a_write_is_awaited_at_every_replica() {
        let mut topology = topology(&[100, 100, 100]);
        let mut floor = Floor::default();
        assert_eq!(shown(&mut floor, &topology), [Shows::All; 2]);
        assert!(floor.used(PRIMARY, &topology), "a probe behind it is worth asking for");
        assert!(!floor.used(PRIMARY, &topology), "nobody has read since");
        assert_eq!(shown(&mut floor, &topology), [Shows::Unknown; 2]);
        position(&mut topology, PRIMARY, 150);
        assert_eq!(shown(&mut floor, &topology), [Shows::Less; 2]);
        position(&mut topology, SECOND, 150);
        assert_eq!(shown(&mut floor, &topology), [Shows::Less, Shows::All]);
        assert_eq!(floor.lsn, Lsn(150), "the note is folded");
        assert_eq!(floor.notes, [None; NOTES]);
    }

    #[test]
    fn a_probe_that_was_under_way_does_not_cover() {
        let mut topology = topology(&[100, 100, 100]);
        let number = topology.clock.start();
        let mut floor = Floor::default();
        floor.used(PRIMARY, &topology);
        let found = topology.nodes[0].position.as_mut().expect("it is known");
        (found.probe, found.lsn) = (number, Lsn(100));
        assert_eq!(shown(&mut floor, &topology), [Shows::Unknown; 2]);
    }

    #[test]
    fn a_read_is_not_undone_elsewhere_but_may_go_on_where_it_was() {
        let mut topology = topology(&[500, 300, 300]);
        let mut floor = Floor::default();
        floor.used(FIRST, &topology);
        assert_eq!(shown(&mut floor, &topology), [Shows::All, Shows::Unknown]);
        position(&mut topology, FIRST, 310);
        // What it showed may be a record beyond the position that it tells.
        position(&mut topology, SECOND, 310);
        assert_eq!(shown(&mut floor, &topology), [Shows::All, Shows::Less]);
        position(&mut topology, SECOND, 320);
        assert_eq!(shown(&mut floor, &topology), [Shows::All; 2]);
        assert!(floor.notes[0].is_some(), "kept for the sake of the first");
        position(&mut topology, FIRST, 320);
        assert_eq!(shown(&mut floor, &topology), [Shows::All; 2]);
        assert_eq!((floor.notes, floor.lsn), ([None; NOTES], Lsn(311)));
    }

    #[test]
    fn an_idle_primary_lets_all_that_have_followed_answer() {
        let mut topology = topology(&[300, 300, 300]);
        let mut floor = Floor::default();
        floor.used(FIRST, &topology);
        [PRIMARY, FIRST, SECOND].into_iter().for_each(|node| position(&mut topology, node, 300));
        assert_eq!(shown(&mut floor, &topology), [Shows::All; 2]);
        assert_eq!((floor.notes, floor.lsn), ([None; NOTES], Lsn(300)));
    }

    #[test]
    fn a_replica_that_has_restarted_may_have_gone_back() {
        let mut topology = topology(&[500, 300, 300]);
        let mut floor = Floor::default();
        floor.used(FIRST, &topology);
        topology.nodes[1].since = topology.clock.start();
        position(&mut topology, FIRST, 250);
        assert_eq!(shown(&mut floor, &topology), [Shows::Unknown; 2]);
        position(&mut topology, PRIMARY, 500);
        assert_eq!(shown(&mut floor, &topology), [Shows::Less; 2]);
    }

    #[test]
    fn a_use_after_a_restart_does_not_stand_for_one_before_it() {
        let mut topology = topology(&[500, 300, 300]);
        let mut floor = Floor::default();
        floor.used(FIRST, &topology);
        topology.nodes[1].since = topology.clock.start();
        floor.used(FIRST, &topology);
        position(&mut topology, FIRST, 250);
        assert_eq!(shown(&mut floor, &topology), [Shows::Unknown; 2]);
    }

    #[test]
    fn another_history_counts_from_the_next_probe_of_its_primary() {
        let mut topology = topology(&[500, 500, 500]);
        let mut floor = Floor::default();
        floor.used(PRIMARY, &topology);
        position(&mut topology, PRIMARY, 600);
        assert_eq!(shown(&mut floor, &topology), [Shows::Less; 2]);
        let next = History { system: 7, timeline: 2 };
        topology.history = Some(next);
        (topology.primary, topology.nodes[1].role) = (Some(FIRST), Role::Primary);
        topology.nodes.iter_mut().flat_map(|node| &mut node.position).for_each(|at| at.history = next);
        floor.look(&topology);
        assert_eq!(floor.shown_by(&topology.nodes[2]), Shows::Unknown);
        position(&mut topology, FIRST, 510);
        position(&mut topology, SECOND, 509);
        floor.look(&topology);
        assert_eq!(floor.shown_by(&topology.nodes[2]), Shows::Less);
        position(&mut topology, SECOND, 510);
        floor.look(&topology);
        assert_eq!(floor.shown_by(&topology.nodes[2]), Shows::All);
    }

    #[test]
    fn more_nodes_than_notes_are_noted_as_one() {
        let mut topology = topology(&[500, 300, 300, 300, 300]);
        let mut floor = Floor::default();
        for id in 1..=4 {
            assert!(!floor.used(NodeId(id), &topology), "a replica covers itself");
        }
        assert_eq!(floor.notes.iter().flatten().count(), 1);
        assert_eq!(shown(&mut floor, &topology), [Shows::Unknown; 2]);
        position(&mut topology, PRIMARY, 500);
        assert_eq!(shown(&mut floor, &topology), [Shows::Less; 2]);
        position(&mut topology, FIRST, 500);
        assert_eq!(shown(&mut floor, &topology), [Shows::All, Shows::Less]);
    }

    #[test]
    fn a_token_carries_the_floor_elsewhere() {
        let mut topology = topology(&[500, 300, 300]);
        let mut floor = Floor::default();
        floor.raise("1:7:1:0/190".parse().expect("a token"), &topology).expect("of this cluster");
        assert_eq!(shown(&mut floor, &topology), [Shows::Less; 2]);
        position(&mut topology, FIRST, 0x190);
        assert_eq!(shown(&mut floor, &topology), [Shows::All, Shows::Less]);
        let mut other = Floor::default();
        other.raise("1:7:1:0/190+".parse().expect("a token"), &topology).expect("of this cluster");
        assert_eq!(
            shown(&mut other, &topology),
            [Shows::Less; 2],
            "a replica has shown more than it has told"
        );
        other.raise("1:7:1:0/1".parse().expect("a token"), &topology).expect("of this cluster");
        assert_eq!(shown(&mut other, &topology), [Shows::Less; 2], "it does not sink");
        let foreign = "1:8:1:0/1".parse::<Token>().expect("a token");
        assert_eq!(other.raise(foreign, &topology), Err(BadToken::OtherCluster));
    }

    #[test]
    fn a_token_of_another_timeline_is_not_compared() {
        let mut topology = topology(&[500, 500, 500]);
        let timeline = |topology: &mut Topology, timeline| {
            let history = History { system: 7, timeline };
            topology.history = Some(history);
            topology.nodes.iter_mut().flat_map(|node| &mut node.position).for_each(|at| at.history = history);
        };
        timeline(&mut topology, 5);
        let [mut before, mut ahead] = ["1:7:4:0/1", "1:7:9:0/1"].map(|token| {
            let mut floor = Floor::default();
            floor.raise(token.parse().expect("a token"), &topology).expect("of this cluster");
            floor
        });
        let probe = |topology: &mut Topology| {
            position(topology, PRIMARY, 500);
            position(topology, FIRST, 500);
        };
        assert_eq!(shown(&mut before, &topology), [Shows::Unknown; 2]);
        probe(&mut topology);
        assert_eq!(shown(&mut before, &topology), [Shows::All; 2], "the primary has what is left of it");
        // A promotion that others have seen already: no probe of the primary before it will do.
        for known in [5, 8] {
            timeline(&mut topology, known);
            probe(&mut topology);
            assert_eq!(shown(&mut ahead, &topology), [Shows::Unknown; 2], "{known}");
        }
        timeline(&mut topology, 9);
        assert_eq!(shown(&mut ahead, &topology), [Shows::Unknown; 2]);
        probe(&mut topology);
        assert_eq!(shown(&mut ahead, &topology), [Shows::All; 2]);
    }

    #[test]
    fn who_doubts_waits_for_the_primary() {
        let mut topology = topology(&[500, 500, 500]);
        let mut floor = Floor::default();
        floor.doubt(&topology);
        assert_eq!(shown(&mut floor, &topology), [Shows::Unknown; 2]);
        position(&mut topology, PRIMARY, 500);
        assert_eq!(shown(&mut floor, &topology), [Shows::All; 2]);
    }

    #[test]
    fn it_is_small() {
        assert!(size_of::<Floor>() <= 168, "{}", size_of::<Floor>());
    }
}
