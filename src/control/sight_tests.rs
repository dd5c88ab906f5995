//! What answers of nodes mean together.

use std::time::{Duration, Instant};

use super::events::Event;
use super::probe::Answer;
use super::sight::Sight;
use crate::config::settings::{Database, Host};
use crate::config::{Sources, load};
use crate::plan::consistency::Lsn;
use crate::plan::topology::{Health, History, NodeId, Role, Topology};

const A: NodeId = NodeId(0);
const B: NodeId = NodeId(1);
const C: NodeId = NodeId(2);
const MILLI: Duration = Duration::from_millis(1);

fn database(more: &str) -> Database {
    let url = format!("postgres://app:pw@a,b,c/shop?reads=replicas{more}");
    let settings = load(&Sources { url: Some(url), ..Sources::default() });
    settings.expect("the URL is right").databases.remove("shop").expect("it is there")
}

struct Scene {
    sight: Sight,
    now: Instant,
}

impl Scene {
    fn new(more: &str) -> Scene {
        Scene { sight: Sight::new(&database(more), 1), now: Instant::now() }
    }

    fn answers_as(&mut self, id: NodeId, standby: bool, lsn: u64, history: History) -> Vec<Event> {
        self.now += MILLI;
        let number = self.sight.clock().start();
        let answer = Answer { number, sent: self.now, took: MILLI, standby, lsn: Lsn(lsn), history };
        self.sight.answered(id, answer);
        self.sight.take_events()
    }

    fn answers(&mut self, id: NodeId, standby: bool, lsn: u64, timeline: u32) -> Vec<Event> {
        self.answers_as(id, standby, lsn, History { system: 7, timeline })
    }

    /// A is the primary, the others follow.
    fn usual(more: &str) -> Scene {
        let mut scene = Scene::new(more);
        scene.answers(A, false, 100, 1);
        scene.answers(B, true, 100, 1);
        scene.answers(C, true, 90, 1);
        scene
    }

    fn topology(&self) -> Topology {
        self.sight.sighting().topology
    }

    fn replicas(&self) -> Vec<u32> {
        self.topology().replicas().map(|node| node.id.0).collect()
    }
}

#[test]
fn roles_are_found_out() {
    let mut scene = Scene::new("");
    assert_eq!(scene.answers(B, true, 100, 1), []);
    assert_eq!(scene.topology().primary, None);
    assert_eq!(scene.replicas(), [0; 0], "which history it follows is not known");
    let found = Event::PrimaryFound { node: "a:5432".into(), timeline: 1 };
    assert_eq!(scene.answers(A, false, 100, 1), [found]);
    assert_eq!((scene.topology().primary, scene.replicas()), (Some(A), vec![1]));
    assert_eq!(scene.topology().nodes[2].role, Role::Unknown);
}

#[test]
fn lag_is_measured_against_when_the_primary_was_there() {
    let mut scene = Scene::usual("");
    let behind = |scene: &Scene, id: NodeId| {
        let topology = scene.topology();
        let node = topology.node(id).expect("it is there").clone();
        (topology.bytes_behind(&node), node.lag.map(|lag| lag.as_millis()))
    };
    assert_eq!(behind(&scene, B), (Some(0), Some(2)));
    assert_eq!(behind(&scene, C), (Some(10), None), "older than anything known");
    for lsn in [200, 300] {
        scene.answers(A, false, lsn, 1);
    }
    scene.answers(C, true, 250, 1);
    assert_eq!(behind(&scene, C), (Some(50), Some(3)));
    scene.now += Duration::from_secs(9);
    scene.answers(A, false, 300, 1);
    scene.answers(B, true, 300, 1);
    scene.answers(C, true, 299, 1);
    assert_eq!(behind(&scene, B), (Some(0), Some(2)), "an idle primary makes nobody old");
    assert!(behind(&scene, C).1 > Some(9_000));
}

#[test]
fn a_promoted_replica_is_the_primary_and_the_old_one_takes_no_writes() {
    let mut scene = Scene::usual("");
    scene.sight.lost(A, "it ended", scene.now);
    assert_eq!(scene.topology().primary, None);
    assert_eq!(scene.replicas(), [1, 2], "what follows the last history may be read");
    scene.sight.take_events();
    let events = scene.answers(B, false, 120, 2);
    let role = Event::RoleChanged { node: "b:5432".into(), role: "primary" };
    assert_eq!(events, [role, Event::PrimaryFound { node: "b:5432".into(), timeline: 2 }]);
    assert_eq!((scene.topology().primary, scene.replicas()), (Some(B), vec![]));
    scene.answers(C, true, 125, 2);
    assert_eq!(scene.replicas(), [2]);
    let events = scene.answers(A, false, 130, 1);
    let rivals = Event::TwoPrimaries { nodes: "a:5432, b:5432".into(), taken: Some("b:5432".into()) };
    assert_eq!(events, [Event::Returned { node: "a:5432".into() }, rivals]);
    assert_eq!(scene.topology().primary, Some(B));
    assert_eq!(scene.answers(A, false, 131, 1), [], "it is told once");
    scene.sight.lost(B, "it ended", scene.now);
    scene.answers(A, false, 132, 1);
    assert_eq!(scene.topology().primary, None, "one that is behind what is known was a primary once");
    let events = scene.answers(A, true, 132, 2);
    assert!(events.contains(&Event::RoleChanged { node: "a:5432".into(), role: "replica" }), "{events:?}");
    assert_eq!(scene.replicas(), [0, 2]);
}

#[test]
fn of_two_primaries_of_the_same_timeline_none_is_taken() {
    let mut scene = Scene::usual("");
    let events = scene.answers(B, false, 100, 1);
    let rivals = Event::TwoPrimaries { nodes: "a:5432, b:5432".into(), taken: None };
    assert_eq!(events, [Event::RoleChanged { node: "b:5432".into(), role: "primary" }, rivals]);
    assert_eq!(scene.topology().primary, None);
    scene.sight.lost(B, "it ended", scene.now);
    assert_eq!(scene.topology().primary, Some(A));
}

#[test]
fn a_node_of_another_cluster_is_never_used() {
    let mut scene = Scene::usual("");
    let other = History { system: 8, timeline: 9 };
    let foreign = |node: &str, of, not_of| Event::Foreign { node: node.into(), of, not_of };
    assert_eq!(scene.answers_as(C, true, 500, other), [foreign("c:5432", 8, 7)]);
    assert_eq!(scene.answers_as(C, true, 500, other), []);
    assert_eq!(scene.replicas(), [1]);
    let events = scene.answers_as(C, false, 500, other);
    assert_eq!(events, [Event::RoleChanged { node: "c:5432".into(), role: "primary" }]);
    assert_eq!(scene.topology().primary, Some(A));
    // All were made anew, as by pg_upgrade.
    for id in [A, B] {
        scene.sight.lost(id, "it ended", scene.now);
    }
    scene.answers_as(C, false, 510, other);
    assert_eq!((scene.topology().primary, scene.topology().history), (Some(C), Some(other)));
    assert_eq!(scene.answers(A, false, 100, 1).last(), Some(&foreign("a:5432", 7, 8)));
}

const OTHER: History = History { system: 8, timeline: 3 };

fn is_foreign(scene: &mut Scene) -> Vec<String> {
    let events = scene.sight.take_events().into_iter();
    let node = |event| if let Event::Foreign { node, .. } = event { Some(node) } else { None };
    events.filter_map(node).collect()
}

#[test]
fn who_answers_first_does_not_decide_which_cluster_it_is() {
    let mut scene = Scene::new("");
    scene.answers_as(A, false, 500, OTHER);
    assert!(scene.topology().unheard && scene.topology().primary.is_none(), "others may say something else");
    scene.answers(C, true, 100, 1);
    assert!(scene.topology().unheard && !scene.topology().disputed);
    let number = scene.sight.clock().start();
    let history = History { system: 7, timeline: 1 };
    let (sent, lsn) = (scene.now, Lsn(100));
    scene.sight.answered(B, Answer { number, sent, took: MILLI, standby: false, lsn, history });
    assert_eq!(is_foreign(&mut scene), ["a:5432"], "most are of the other");
    assert_eq!((scene.topology().primary, scene.replicas()), (Some(B), vec![2]));
    // And it stays so while they restart.
    for id in [B, C] {
        scene.sight.lost(id, "it ended", scene.now);
    }
    for _ in 0..5000 {
        scene.answers_as(A, false, 500, OTHER);
    }
    assert_eq!(scene.topology().primary, None);
    scene.answers(B, false, 100, 1);
    assert_eq!(scene.topology().primary, Some(B));
}

#[test]
fn of_as_many_on_both_sides_the_first_host_decides() {
    for first_is_other in [true, false] {
        let mut scene = Scene::new("");
        scene.sight.lost(C, "refused", scene.now);
        let histories = [OTHER, History { system: 7, timeline: 1 }];
        let (of_a, of_b) = if first_is_other { (0, 1) } else { (1, 0) };
        scene.answers_as(B, false, 100, histories[of_b]);
        assert_eq!(scene.topology().primary, None, "A may say something else");
        scene.answers_as(A, false, 100, histories[of_a]);
        assert_eq!(scene.topology().primary, Some(A));
        // The third was down, and makes the other side the larger one.
        scene.answers_as(C, true, 100, histories[of_b]);
        assert_eq!((scene.topology().primary, scene.replicas()), (Some(B), vec![2]));
        assert_eq!(scene.answers_as(A, false, 100, histories[of_a]), []);
        assert_eq!(scene.topology().primary, Some(B));
    }
}

#[test]
fn who_does_not_answer_is_not_waited_for_for_long() {
    let mut scene = Scene::new("");
    for _ in 0..999 {
        scene.answers(A, false, 100, 1);
    }
    assert_eq!(scene.topology().primary, None);
    scene.now += Duration::from_millis(2);
    scene.answers(A, false, 100, 1);
    assert_eq!(scene.topology().primary, Some(A));
    let mut alone = Scene::new("");
    for id in [B, C] {
        alone.sight.lost(id, "refused", alone.now);
    }
    assert!(alone.topology().unheard);
    alone.answers(A, false, 100, 1);
    assert_eq!(alone.topology().primary, Some(A), "all have been heard of");
    let mut none = Scene::new("");
    for id in [A, B, C] {
        none.sight.lost(id, "refused", none.now);
    }
    assert!(!none.topology().unheard, "nobody is to be waited for");
}

#[test]
fn without_a_primary_a_stranger_is_not_asked_either() {
    let mut scene = Scene::new("");
    scene.sight.lost(A, "refused", scene.now);
    scene.answers(B, true, 100, 1);
    scene.answers_as(C, false, 100, OTHER);
    let topology = scene.topology();
    assert_eq!((topology.primary, topology.disputed, topology.unheard), (None, true, false));
    scene.answers(A, false, 100, 1);
    assert_eq!((scene.topology().primary, scene.topology().disputed), (Some(A), false));
}

#[test]
fn other_hosts_in_the_settings_are_another_cluster() {
    let mut scene = Scene::usual("");
    let mut next = database("");
    next.hosts = ["d", "e"].map(|name| Host::Tcp(name.into(), 5432)).to_vec();
    scene.sight.configure(&next);
    scene.answers_as(NodeId(3), false, 100, OTHER);
    scene.answers_as(NodeId(4), true, 100, OTHER);
    assert_eq!((scene.topology().primary, scene.replicas()), (Some(NodeId(3)), vec![4]));
}

#[test]
fn hosts_for_reads_only_are_never_the_primary() {
    let mut scene = Scene::new("&replicas=d");
    let d = NodeId(3);
    scene.answers(A, false, 100, 1);
    scene.answers(d, false, 100, 2);
    scene.answers(B, true, 100, 1);
    assert_eq!(scene.topology().primary, Some(A));
    assert_eq!(scene.replicas(), [1]);
}

#[test]
fn bans_grow_with_jitter_and_are_forgiven() {
    let mut scene = Scene::usual("");
    let times: Vec<_> = (0..9).map(|_| scene.sight.lost(B, "refused", scene.now).as_secs_f64()).collect();
    for (time, base) in times.iter().zip([1.0, 2.0, 4.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0]) {
        assert!((0.8 * base..=1.2 * base).contains(time), "{times:?}");
    }
    assert!(times.iter().zip([1.0, 2.0, 4.0]).any(|(time, base)| *time != base), "{times:?}");
    let told = scene.sight.take_events();
    assert!(matches!(&told[..], [Event::Lost { .. }]), "the same reason is told once: {told:?}");
    assert_eq!(scene.replicas(), [2]);
    assert_eq!(scene.answers(B, true, 100, 1), [Event::Returned { node: "b:5432".into() }]);
    let node = scene.topology().node(B).expect("it is there").clone();
    assert!(node.warmth(scene.now) < 0.2, "it starts slowly");
    assert_eq!(scene.topology().node(C).expect("it is there").warmth(scene.now), 1.0);
    scene.now += Duration::from_secs(61);
    assert!(scene.sight.lost(B, "refused", scene.now) < Duration::from_secs(2));
}

#[test]
fn failures_that_workers_report_ban_all_but_the_last() {
    let mut scene = Scene::usual("");
    scene.sight.failed(B, 2, scene.now);
    assert_eq!(scene.replicas(), [1, 2]);
    scene.now += Duration::from_secs(11);
    scene.sight.failed(B, 2, scene.now);
    assert_eq!(scene.replicas(), [1, 2], "the first two were long ago");
    scene.sight.failed(B, 1, scene.now);
    assert_eq!(scene.replicas(), [2]);
    assert!(matches!(scene.topology().nodes[1].health, Health::Banned { .. }));
    scene.sight.failed(C, 99, scene.now);
    assert_eq!(scene.replicas(), [2], "the last is never banned");
    scene.sight.failed(A, 99, scene.now);
    assert_eq!(scene.topology().nodes[0].health, Health::Up, "nor the primary");
    scene.answers(B, true, 100, 1);
    assert_eq!(scene.replicas(), [2], "an answer to a probe does not end it");
    scene.now += Duration::from_secs(2);
    scene.sight.pardon(scene.now);
    assert_eq!(scene.replicas(), [1, 2]);
    assert!(scene.topology().nodes[1].warmth(scene.now) < 0.2);
}

#[test]
fn bans_of_a_node_that_answers_grow_to_a_minute() {
    let mut scene = Scene::usual("");
    for base in [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0] {
        scene.sight.failed(B, 3, scene.now);
        let topology = scene.topology();
        let Health::Banned { until, .. } = topology.nodes[1].health else { panic!("it is not banned") };
        let time = until.duration_since(scene.now).as_secs_f64();
        assert!((0.8 * base..=1.2 * base).contains(&time), "{time} is not about {base}");
        scene.now = until;
        scene.sight.pardon(scene.now);
    }
    scene.now += Duration::from_secs(61);
    scene.sight.failed(B, 3, scene.now);
    let Health::Banned { until, .. } = scene.topology().nodes[1].health else { panic!("it is not banned") };
    assert!(until.duration_since(scene.now) < Duration::from_secs(2), "it was well for a while");
}

#[test]
fn nodes_that_stay_in_the_settings_keep_their_names() {
    let mut scene = Scene::usual("&zone=x&zones=b%3Dx");
    assert_eq!(
        scene.topology().nodes.iter().map(|node| node.local).collect::<Vec<_>>(),
        [false, true, false]
    );
    let mut next = database("&weights=b%3D4");
    next.hosts = ["c", "d", "b"].map(|name| Host::Tcp(name.into(), 5432)).to_vec();
    scene.sight.configure(&next);
    let topology = scene.topology();
    let found: Vec<_> =
        topology.nodes.iter().map(|node| (node.id.0, node.weight, node.position.is_some())).collect();
    assert_eq!(found, [(2, 1, true), (3, 1, false), (1, 4, true)]);
    assert!(topology.nodes.iter().all(|node| !node.local));
    scene.sight.configure(&database(""));
    assert_eq!(scene.topology().nodes[0].id, NodeId(4), "who was away is another");
}

#[test]
fn bounds_on_lag_make_probes_as_frequent_as_they_need() {
    let check = |more: &str, millis| {
        assert_eq!(Scene::new(more).sight.interval(), Duration::from_millis(millis), "{more}")
    };
    check("", 1000);
    check("&consistency=bounded:500ms", 125);
    check("&consistency=bounded:500ms&max_replica_lag=200ms", 50);
    check("&max_replica_lag=1h", 1000);
    check("&consistency=bounded:1us", 2);
    check("&check_interval=20ms", 20);
}
