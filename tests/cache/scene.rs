//! Servers, pgweir in front of them, and its rules.

use std::net::SocketAddr;
use std::time::Duration;

use super::aim::Aim;
use super::nemeses::Nemesis;
use super::wire::Wire;
use super::{Run, counted, no_cache, questions};
use crate::admin::get;
use crate::harness::cluster::{APP, Cluster, KEEPS_WAL, free_port};
use crate::harness::command::Folder;
use crate::harness::eventually;
use crate::harness::proxy::{Proxy, ProxyOptions};
use crate::harness::raw::{Client, Endpoint, Login};

/// The database of a run.
pub const DATABASE: &str = "shop";
const SHOP: &str = include_str!("shop.sql");
/// How soon a standby asks again for a primary that was away.
const AGAIN: &str = "wal_retrieve_retry_interval = 200ms\n";
const SHAPED: &str = include_str!("shaped.sql");

/// Servers, pgweir in front of them, and its rules.
pub struct Scene {
    /// The primary first.
    pub nodes: Vec<Cluster>,
    /// The ways to them, if answers can be late on these.
    pub wires: Vec<Wire>,
    /// The one that is killed and started again.
    pub proxy: Option<Proxy>,
    /// How it is started.
    pub options: ProxyOptions,
    /// Another one before the same servers, which the first knows nothing of.
    pub second: Option<(Proxy, SocketAddr)>,
    http: SocketAddr,
    /// Hits of those that were killed.
    hits: u64,
    rules: Folder,
}

impl Scene {
    /// What a run needs.
    pub fn new(run: &Run) -> Scene {
        let primary = start_server();
        make_roles(&primary);
        Scene::on(primary, run)
    }

    /// The same on a server that other runs had before, whose sessions and pgweir are gone.
    pub fn on(primary: Cluster, run: &Run) -> Scene {
        let mut nodes = vec![primary];
        if run.nemeses.iter().any(|nemesis| nemesis.needs_standby()) {
            nodes.push(nodes[0].standby());
        }
        make_shop(&nodes[0], run.aim);
        let rules = Folder::new();
        let text = if no_cache() { String::new() } else { questions::rules() };
        std::fs::write(rules.0.join("cache.toml"), text).expect("a file can be written");
        let is_late = run.nemeses.contains(&Nemesis::Late);
        let wires: Vec<Wire> = nodes.iter().filter(|_| is_late).map(|node| Wire::to(node.port)).collect();
        let (mut options, http) = options(&nodes, &wires, &rules);
        let without = run.without.map(|cure| ("PGWEIR_CACHE_WITHOUT".to_owned(), cure.to_owned()));
        options.environment.extend(without);
        let proxy = Some(Proxy::start_with(&options));
        let mut scene = Scene { nodes, wires, proxy, options, second: None, http, hits: 0, rules };
        scene.wait_until_ready();
        if run.two {
            scene.start_second();
        }
        scene
    }

    /// Ends, and gives the server for the next run; nothing is left on it but roles.
    pub fn end(mut self) -> Cluster {
        (self.proxy, self.second) = (None, None);
        let primary = self.nodes.swap_remove(0);
        let mut superuser = primary.superuser("postgres");
        // The slot goes when its process has noticed.
        eventually("the database can be dropped", || {
            let answer = superuser.simple(&format!("drop database {DATABASE} with (force)"));
            answer.iter().all(|message| message.tag != b'E')
        });
        primary
    }

    fn start_second(&mut self) {
        let (options, http) = options(&self.nodes, &self.wires, &self.rules);
        self.second = Some((Proxy::start_with(&options), http));
        eventually("the second one answers by HTTP", || get(http, "/health").0 == 200);
    }

    /// Waits until pgweir answers.
    pub fn wait_until_ready(&self) {
        eventually("HTTP answers", || get(self.http, "/health").0 == 200);
    }

    /// Waits until there are hits, so that a run need not wait for them while sessions take all there is of the machine.
    pub fn wait_until_hit(&self, endpoint: &Endpoint, login: &Login, hits: impl Fn() -> u64) {
        let mut client = Client::connect(endpoint, login);
        eventually("a row that was read is read from the cache", || {
            client.simple("select k, g, v from kv where k = 1");
            hits() > 0
        });
    }

    /// Waits until pgweir has servers again. It tries a login every two seconds after the last ones failed, and refuses sessions meanwhile.
    pub fn wait_until_served(&self, login: &Login) {
        eventually("what was struck last is over", || {
            let mut client = Client::dial(&self.proxy().endpoint()).expect("pgweir listens");
            let told = client.login(login).expect("the login is readable");
            told.last().is_some_and(|last| last.tag == b'Z')
                && client.simple("select 1").iter().all(|message| message.tag != b'E')
        });
    }

    /// pgweir.
    pub fn proxy(&self) -> &Proxy {
        self.proxy.as_ref().expect("it runs")
    }

    /// Adds the hits of the pgweir that runs to those of the ones before it.
    pub fn count_hits(&mut self) -> u64 {
        self.hits += counted(&get(self.http, "/metrics").1, "pgweir_cache_hits_total");
        self.hits
    }

    /// The same, while it runs.
    pub fn hits_so_far(&self) -> u64 {
        self.hits + counted(&get(self.http, "/metrics").1, "pgweir_cache_hits_total")
    }

    /// Those of the second one.
    pub fn hits_of_second(&self) -> u64 {
        let hits = |http| counted(&get(http, "/metrics").1, "pgweir_cache_hits_total");
        self.second.as_ref().map_or(0, |(_, http)| hits(*http))
    }

    /// Misses of the pgweir that runs, by name.
    pub fn misses(&self) -> Vec<(String, u64)> {
        let page = get(self.http, "/metrics").1;
        let lines = page.lines().filter_map(|line| line.strip_prefix("pgweir_cache_misses_total{reason=\""));
        let misses = lines.filter_map(|line| line.split_once("\"} "));
        misses.map(|(name, count)| (name.to_owned(), count.parse().unwrap_or_default())).collect()
    }

    /// Waits until more is hit than is missed for want of a stream, so that there is something to lose; not for ever, and then too it is true.
    pub fn wait_until_warm(&self) -> bool {
        let of_stream = ["no_stream", "not_ready"];
        let count = || {
            let misses = self.misses();
            let cold = misses.iter().filter(|(name, _)| of_stream.contains(&&name[..]));
            (
                counted(&get(self.http, "/metrics").1, "pgweir_cache_hits_total"),
                cold.map(|one| one.1).sum::<u64>(),
            )
        };
        for _ in 0..40 {
            let before = count();
            std::thread::sleep(Duration::from_millis(100));
            let after = count();
            let (hits, cold) = (after.0.saturating_sub(before.0), after.1.saturating_sub(before.1));
            if hits > 10 && hits > cold * 2 {
                break;
            }
        }
        true
    }

    /// Waits until everything that was committed is known to the cache.
    pub fn barrier(&self) {
        let mut console = Client::connect(&self.proxy().endpoint(), &Login::new(APP.0, APP.1, "pgweir"));
        let answer = console.simple("cache barrier");
        if answer.iter().any(|message| message.tag == b'E') {
            std::thread::sleep(Duration::from_secs(2));
        }
    }
}

/// How a pgweir is started, and where it speaks HTTP.
fn options(nodes: &[Cluster], wires: &[Wire], rules: &Folder) -> (ProxyOptions, SocketAddr) {
    let http = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let ports: Vec<u16> = match wires {
        [] => nodes.iter().map(|node| node.port).collect(),
        wires => wires.iter().map(|wire| wire.addr.port()).collect(),
    };
    let hosts: Vec<String> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
    let (user, password, hosts) = (APP.0, APP.1, hosts.join(","));
    // Among several, any would do else, a standby too: then nothing is kept for levels that promise something.
    let query = "check_interval=100ms&pool_size=16&target_session_attrs=primary";
    let url = format!("postgres://{user}:{password}@{hosts}/{DATABASE}?{query}");
    let config = format!("workers = 2\n[admin]\nadmin_users = [\"{user}\"]\n");
    let mut options = ProxyOptions::url(&url).config(&config);
    options.addr = Some(SocketAddr::from(([127, 0, 0, 1], free_port())));
    let folder = rules.0.display().to_string();
    options.args.extend(["--http".to_owned(), http.to_string(), "--rules".to_owned(), folder]);
    (options, http)
}

/// A server for runs.
pub fn start_server() -> Cluster {
    let conf = format!("{KEEPS_WAL}{AGAIN}synchronous_commit = on\ndeadlock_timeout = 100ms\n");
    Cluster::start(&conf, &[])
}

/// What belongs to the server, and not to a database.
pub fn make_roles(primary: &Cluster) {
    let roles = format!("create role guest; create role outsider; grant guest, outsider to {}", APP.0);
    primary.superuser("postgres").run(&roles);
}

fn make_shop(primary: &Cluster, aim: Aim) {
    primary.superuser("postgres").run(&format!("create database {DATABASE} owner {}", APP.0));
    let mut owner = Client::connect(&primary.unix(), &Login::new(APP.0, APP.1, DATABASE));
    owner.run(SHOP);
    if aim == Aim::Shapes {
        owner.run(SHAPED);
    }
}
