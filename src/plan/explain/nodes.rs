//! What is said of the nodes of a cluster: which would answer a read, and why the others would not.

use super::Line;
use crate::plan::balance::Balancer;
use crate::plan::choose::{Choice, Read, Reason, choose, will_do};
use crate::plan::consistency::{Floor, Level};
use crate::plan::loads::Loads;
use crate::plan::topology::{Health, Node, Topology, UP};

/// What is said of the nodes.
#[derive(Debug)]
pub struct NodeLines {
    /// One for each node.
    pub lines: Vec<Line>,
    /// Names of the replicas that may answer the read.
    pub fit: Vec<String>,
}

/// What would be chosen; nothing is changed by it.
pub fn would_choose(
    read: Read,
    topology: &Topology,
    floor: &Floor,
    loads: &Loads,
    balancer: &Balancer,
) -> Choice {
    choose(read, topology, &mut floor.clone(), loads, &mut balancer.clone())
}

/// Says of each node whether it may answer a read of a session that must not see undone what `floor` says.
pub fn nodes(read: &Read, topology: &Topology, floor: &Floor) -> NodeLines {
    let mut floor = floor.clone();
    floor.look(topology);
    let mut told = NodeLines { lines: vec![], fit: vec![] };
    for node in &topology.nodes {
        let (what, reason) = match fitness(read, node, topology, &floor) {
            Ok(fit) => {
                if fit == FIT {
                    told.fit.push(node.name.to_string());
                }
                (fit.to_owned(), None)
            }
            Err((reason, what)) => (what, Some(reason)),
        };
        let value = format!("{} ({}): {what}", node.name, node.role.word());
        told.lines.push(Line::new("node", value).because(reason));
    }
    told
}

/// Of a replica that may answer.
const FIT: &str = "may answer it";

type Unfit = (&'static str, String);

fn fitness(read: &Read, node: &Node, topology: &Topology, floor: &Floor) -> Result<&'static str, Unfit> {
    let state = topology.state(node);
    if state != UP {
        let why = match &node.health {
            Health::Banned { reason, .. } if !reason.is_empty() => format!("{state}: {reason}"),
            _ => state.to_owned(),
        };
        return Err((state, why));
    }
    if topology.primary == Some(node.id) {
        return Ok("takes what no replica does");
    }
    if read.level == Level::Primary {
        return Err((Reason::Level.name(), "not asked, since the level is `primary`".to_owned()));
    }
    match will_do(read, node, topology.policy.max_lag, floor) {
        Ok(()) => Ok(FIT),
        Err(reason) => Err((reason.name(), unfit(reason, read, node, topology, floor))),
    }
}

fn unfit(reason: Reason, read: &Read, node: &Node, topology: &Topology, floor: &Floor) -> String {
    match reason {
        Reason::TooOld => match (node.age(read.now()), allowed(read, topology)) {
            (Some(age), Some(allowed)) => format!("its data may be {age:?} old, and {allowed:?} is allowed"),
            _ => "how old its data are is not known".to_owned(),
        },
        Reason::Unknown => "where the session has been in the WAL is not known yet".to_owned(),
        Reason::Behind => {
            let at = node.position.map_or(String::new(), |at| at.lsn.to_string());
            let mut floor = floor.clone();
            floor.look(topology);
            format!("has replayed {at}, and the session has seen {}", floor.needed())
        }
        Reason::Level | Reason::NoReplica => reason.name().to_owned(),
    }
}

fn allowed(read: &Read, topology: &Topology) -> Option<std::time::Duration> {
    let bound = match read.level {
        Level::Bounded(bound) => Some(bound),
        _ => None,
    };
    bound.into_iter().chain(topology.policy.max_lag).min()
}

/// As settings and rules name it.
pub fn level_name(level: Level) -> String {
    match level {
        Level::Session => "session".to_owned(),
        Level::Bounded(bound) => format!("bounded:{bound:?}"),
        Level::Any => "any".to_owned(),
        Level::Primary => "primary".to_owned(),
    }
}

/// The level that holds for a read, and the line that says who asks for it: a rule, before the session, before the settings of its user, before those of
/// its database.
pub fn asked(
    rule: Option<(Level, &str)>,
    session: Option<Level>,
    user: Option<Level>,
    database: Level,
) -> (Level, Line) {
    let (level, whose) = match (rule, session, user) {
        (Some((level, rule)), ..) => (level, format!("by rule {rule}")),
        (None, Some(level), _) => (level, "by the session: pgweir.consistency".to_owned()),
        (None, None, Some(level)) => (level, "by the user's settings".to_owned()),
        (None, None, None) => (database, "by the settings".to_owned()),
    };
    (level, Line::new("consistency", format!("{} ({whose})", level_name(level))))
}

impl Read {
    /// One at that level, now, by a client of whom nothing is known.
    pub fn of_level(level: Level) -> Read {
        Read { level, client: 0, node: None, now: None }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::plan::topology::NodeId;
    use crate::plan::topology::tests::{position, topology};

    fn told(level: Level, topology: &Topology, floor: &Floor) -> Vec<(String, Option<&'static str>)> {
        let lines = nodes(&Read::of_level(level), topology, floor).lines;
        lines.into_iter().map(|line| (line.value, line.reason)).collect()
    }

    fn check(told: &(String, Option<&'static str>), value: &str, reason: Option<&'static str>) {
        assert_eq!((told.0.as_str(), told.1), (value, reason));
    }

    #[test]
    fn each_node_has_its_reason_and_nothing_is_changed() {
        let mut topology = topology(&[500, 400, 300, 600]);
        topology.nodes[2].health = Health::Banned { until: Instant::now(), reason: "refused".into() };
        let mut floor = Floor::default();
        let lines = told(Level::Session, &topology, &floor);
        check(&lines[0], "node0:5432 (primary): takes what no replica does", None);
        check(&lines[1], "node1:5432 (replica): may answer it", None);
        check(&lines[2], "node2:5432 (replica): banned: refused", Some("banned"));
        floor.used(NodeId(0), &topology);
        let before = floor.clone();
        let unknown = "node1:5432 (replica): where the session has been in the WAL is not known yet";
        check(&told(Level::Session, &topology, &floor)[1], unknown, Some("position unknown"));
        position(&mut topology, NodeId(0), 600);
        position(&mut topology, NodeId(3), 700);
        let lines = told(Level::Session, &topology, &floor);
        let behind = "node1:5432 (replica): has replayed 0/190, and the session has seen 0/258";
        check(&lines[1], behind, Some("replicas behind"));
        check(&lines[3], "node3:5432 (replica): may answer it", None);
        check(
            &told(Level::Primary, &topology, &floor)[1],
            "node1:5432 (replica): not asked, since the level is `primary`",
            Some("level primary"),
        );
        let bounded = Level::Bounded(Duration::from_millis(5));
        let old = "node1:5432 (replica): how old its data are is not known";
        check(&told(bounded, &topology, &floor)[1], old, Some("replicas too old"));
        topology.nodes[1].position = None;
        check(
            &told(Level::Any, &topology, &floor)[1],
            "node1:5432 (replica): connecting",
            Some("connecting"),
        );
        assert_eq!(floor, before);
    }

    #[test]
    fn what_would_be_chosen_is_what_is_chosen_next() {
        let topology = topology(&[500, 500, 500, 500]);
        let (mut floor, loads, mut balancer) = (Floor::default(), Loads::default(), Balancer::new(3));
        let mut chosen = vec![];
        for _ in 0..12 {
            let read = Read::of_level(Level::Session);
            let would = would_choose(read, &topology, &floor, &loads, &balancer);
            assert_eq!(
                would,
                would_choose(read, &topology, &floor, &loads, &balancer),
                "asking changes nothing"
            );
            assert_eq!(choose(read, &topology, &mut floor, &loads, &mut balancer), would);
            chosen.push(would);
        }
        chosen.dedup();
        assert!(chosen.len() > 3, "they take turns: {chosen:?}");
    }

    #[test]
    fn who_asks_for_a_level() {
        let check = |rule, session, user, expected: &str| {
            assert_eq!(asked(rule, session, user, Level::Session).1.value, expected);
        };
        let half = Level::Bounded(Duration::from_millis(500));
        check(Some((Level::Any, "r")), Some(half), None, "any (by rule r)");
        check(None, Some(half), Some(Level::Any), "bounded:500ms (by the session: pgweir.consistency)");
        check(None, None, Some(Level::Primary), "primary (by the user's settings)");
        check(None, None, None, "session (by the settings)");
    }
}
