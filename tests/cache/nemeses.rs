//! What goes wrong under a run: each alone, so that one can be run by itself.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::random::Random;
use super::scene::{DATABASE, Scene};
use super::workload::Shared;
use crate::harness::cluster::Frozen;
use crate::harness::proxy::Proxy;

/// The processes that stream row changes to whoever wants them, which is pgweir.
const STREAMS: &str =
    "select active_pid from pg_replication_slots where slot_type = 'logical' and active_pid is not null";

/// One thing that goes wrong, again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Nemesis {
    /// The stream says nothing for a while, and is not gone.
    Stall,
    /// The stream's process is ended.
    Kill,
    /// The slot and the publication are dropped.
    Drop,
    /// Commits hang: they are in the WAL, and the stream tells of them, but nobody sees them.
    Hang,
    /// What the server answers is late; what it tells the stream is not.
    Late,
    /// pgweir is killed and started again.
    Proxy,
    /// The server is stopped and started again.
    Server,
    /// The standby is paused; half of the time the primary waits for it with each commit.
    Standby,
    /// The primary is stopped, and its standby takes its place; then it is the other's standby.
    Failover,
}

/// All of them.
pub const NEMESES: [Nemesis; 9] = [
    Nemesis::Stall,
    Nemesis::Kill,
    Nemesis::Drop,
    Nemesis::Hang,
    Nemesis::Late,
    Nemesis::Proxy,
    Nemesis::Server,
    Nemesis::Standby,
    Nemesis::Failover,
];

impl Nemesis {
    /// Whether clients lose connections by it.
    pub fn breaks_connections(self) -> bool {
        matches!(self, Self::Proxy | Self::Server | Self::Failover)
    }

    /// Whether there must be a standby for it.
    pub fn needs_standby(self) -> bool {
        matches!(self, Self::Standby | Self::Failover)
    }

    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stall => "stream stalled",
            Self::Kill => "stream killed",
            Self::Drop => "slot and publication dropped",
            Self::Hang => "commits hang",
            Self::Late => "answers late",
            Self::Proxy => "pgweir killed",
            Self::Server => "server restarted",
            Self::Standby => "standby paused",
            Self::Failover => "failover",
        }
    }

    /// How long it leaves sessions in peace before it strikes: from and to, in milliseconds.
    pub fn rest(self) -> (u32, u32) {
        match self {
            Self::Stall | Self::Kill | Self::Drop | Self::Hang | Self::Standby => (200, 900),
            Self::Late => (50, 300),
            Self::Proxy => (600, 1200),
            Self::Server | Self::Failover => (1200, 2000),
        }
    }

    /// Strikes once; gives whether there was anything to strike. When it returns, all is well again.
    pub fn strike(self, scene: &mut Scene, shared: &Shared, random: &mut Random) -> bool {
        match self {
            Self::Stall => stall(scene, random),
            Self::Kill => scene.wait_until_warm() && kill(scene),
            Self::Drop => scene.wait_until_warm() && drop_slot(scene),
            Self::Hang => hang(scene, shared, random),
            Self::Late => hold_back(scene, random),
            Self::Proxy => scene.wait_until_warm() && restart_proxy(scene, shared),
            Self::Server => {
                scene.wait_until_warm();
                scene.nodes[0].restart("fast");
                true
            }
            Self::Standby => pause_standby(scene, random),
            Self::Failover => scene.wait_until_warm() && fail_over(scene, shared),
        }
    }
}

/// A time in milliseconds.
pub fn pause(random: &mut Random, from: u32, to: u32) {
    std::thread::sleep(Duration::from_millis(u64::from(from + random.below(to - from))));
}

fn stall(scene: &Scene, random: &mut Random) -> bool {
    let Some(stream) = stream(scene) else { return false };
    let frozen = Frozen::processes(vec![stream]);
    // Shorter than the bounds, and longer.
    pause(random, 50, 1200);
    drop(frozen);
    true
}

/// The process of the stream.
fn stream(scene: &Scene) -> Option<String> {
    let process = scene.nodes[0].superuser(DATABASE).value(&format!("{STREAMS} limit 1"));
    (!process.is_empty()).then_some(process)
}

fn kill(scene: &Scene) -> bool {
    let sql = format!("select count(pg_terminate_backend(active_pid)) > 0 from ({STREAMS}) s");
    scene.nodes[0].superuser(DATABASE).value(&sql) == "t"
}

/// A temporary slot goes with its process; a publication can be dropped under the stream.
fn drop_slot(scene: &Scene) -> bool {
    let mut superuser = scene.nodes[0].superuser(DATABASE);
    let publications =
        superuser.value("select coalesce(string_agg(quote_ident(pubname), ', '), '') from pg_publication");
    if !publications.is_empty() {
        // Whoever owns it may have dropped it meanwhile.
        superuser.simple(&format!("drop publication if exists {publications}"));
    }
    let killed = kill(scene);
    let left = "select pg_drop_replication_slot(slot_name) from pg_replication_slots \
                where slot_type = 'logical' and not active and not temporary";
    superuser.simple(left);
    killed || !publications.is_empty()
}

/// Waits for a standby that does not exist. What was committed meanwhile is visible all at once.
fn hang(scene: &Scene, shared: &Shared, random: &mut Random) -> bool {
    wait_for(scene, Some("nobody"));
    // Some have begun to hang before anybody asks by another column.
    pause(random, 40, 80);
    shared.strikes.fetch_add(1, Ordering::Relaxed);
    pause(random, 50, 700);
    wait_for(scene, None);
    true
}

/// Commits wait for this standby from now on, or for none.
fn wait_for(scene: &Scene, standby: Option<&str>) {
    let mut superuser = scene.nodes[0].superuser(DATABASE);
    superuser.run(&match standby {
        Some(name) => format!("alter system set synchronous_standby_names = '{name}'"),
        None => "alter system reset synchronous_standby_names".into(),
    });
    superuser.run("select pg_reload_conf()");
}

fn hold_back(scene: &Scene, random: &mut Random) -> bool {
    let most = random.one_of(&[5, 20, 60]);
    scene.wires.iter().for_each(|wire| wire.hold_back(most));
    pause(random, 300, 1500);
    scene.wires.iter().for_each(|wire| wire.hold_back(0));
    true
}

fn pause_standby(scene: &Scene, random: &mut Random) -> bool {
    let Some(standby) = scene.nodes.get(1) else { return false };
    let awaited = random.once_in(2);
    if awaited {
        wait_for(scene, Some("*"));
    }
    let frozen = standby.freeze();
    pause(random, 50, 900);
    drop(frozen);
    if awaited {
        wait_for(scene, None);
    }
    true
}

fn restart_proxy(scene: &mut Scene, shared: &Shared) -> bool {
    scene.count_hits();
    // Dropping it kills it.
    scene.proxy = None;
    shared.reborn();
    scene.proxy = Some(Proxy::start_with(&scene.options));
    shared.reborn();
    scene.wait_until_ready();
    true
}

/// Whether the standby follows; it is given some seconds for that.
fn follows(scene: &Scene) -> bool {
    let mut superuser = scene.nodes[0].superuser(DATABASE);
    let streams = "select count(*) from pg_stat_replication where state = 'streaming' and application_name = 'walreceiver'";
    (0..60).any(|_| {
        std::thread::sleep(Duration::from_millis(100));
        superuser.value(streams) == "1"
    })
}

/// A primary that is stopped in order has sent everything to its standby.
fn fail_over(scene: &mut Scene, shared: &Shared) -> bool {
    if scene.nodes.len() < 2 {
        return false;
    }
    // Else what was acknowledged would be lost: the primary sends all to a standby that is there when it stops, and waits for no other.
    if !follows(scene) {
        return false;
    }
    scene.nodes[0].stop("fast");
    scene.nodes[1].promote();
    scene.nodes.swap(0, 1);
    *shared.around.lock().expect("no session has panicked") = scene.nodes[0].tcp();
    scene.nodes[1].start_as_standby(&scene.nodes[0]);
    true
}
