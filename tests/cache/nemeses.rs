//! What goes wrong under a run: each alone, so that one can be run by itself.

use std::time::Duration;

use super::random::Random;
use super::workload::Shared;
use super::{DATABASE, Scene};
use crate::harness::cluster::Frozen;
use crate::harness::proxy::Proxy;

/// The processes that stream row changes to whoever wants them, which is pgweir.
const STREAMS: &str =
    "select active_pid from pg_replication_slots where slot_type = 'logical' and active_pid is not null";

/// One thing that goes wrong, again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nemesis {
    /// The stream says nothing for a while, and is not gone.
    Stall,
    /// The stream's process is ended.
    Kill,
    /// The slot and the publication are dropped.
    Drop,
    /// Commits hang: they are in the WAL, and the stream tells of them, but nobody sees them.
    Hang,
    /// pgweir is killed and started again.
    Proxy,
    /// The server is stopped and started again.
    Server,
    /// The primary is stopped, and a standby takes its place; once in a run.
    Failover,
}

/// All of them.
pub const NEMESES: [Nemesis; 7] = [
    Nemesis::Stall,
    Nemesis::Kill,
    Nemesis::Drop,
    Nemesis::Hang,
    Nemesis::Proxy,
    Nemesis::Server,
    Nemesis::Failover,
];

impl Nemesis {
    /// Whether clients lose connections by it.
    pub fn breaks_connections(self) -> bool {
        matches!(self, Self::Proxy | Self::Server | Self::Failover)
    }

    /// How long it leaves sessions in peace before it strikes: from and to, in milliseconds.
    pub fn rest(self) -> (u32, u32) {
        match self {
            Self::Stall | Self::Kill | Self::Drop | Self::Hang => (200, 900),
            Self::Proxy => (600, 1200),
            Self::Server | Self::Failover => (1200, 2000),
        }
    }

    /// Strikes once; gives whether there was anything to strike. When it returns, all is well again.
    pub fn strike(self, scene: &mut Scene, shared: &Shared, random: &mut Random) -> bool {
        match self {
            Self::Stall => stall(scene, random),
            Self::Kill => kill(scene),
            Self::Drop => drop_slot(scene),
            Self::Hang => hang(scene, random),
            Self::Proxy => restart_proxy(scene, shared),
            Self::Server => {
                scene.nodes[0].restart("fast");
                true
            }
            Self::Failover => fail_over(scene, shared),
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
fn hang(scene: &Scene, random: &mut Random) -> bool {
    let mut superuser = scene.nodes[0].superuser(DATABASE);
    superuser.run("alter system set synchronous_standby_names = 'nobody'");
    superuser.run("select pg_reload_conf()");
    pause(random, 50, 700);
    superuser.run("alter system reset synchronous_standby_names");
    superuser.run("select pg_reload_conf()");
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

/// A primary that is stopped in order has sent everything to its standby.
fn fail_over(scene: &mut Scene, shared: &Shared) -> bool {
    if scene.nodes.len() < 2 {
        return false;
    }
    scene.nodes.remove(0).stop("fast");
    scene.nodes[0].promote();
    *shared.around.lock().expect("no session has panicked") = scene.nodes[0].tcp();
    true
}
