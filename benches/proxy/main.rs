//! What the proxy costs, beside Debian's pgbouncer and haproxy: `make bench`.
//!
//! One throw-away PostgreSQL; in front of it each proxy with the same pool of 16 (haproxy pools nothing and connects
//! one to one). Everything is measured in rounds that take the proxies in turn, so that what else the machine does
//! hits all of them alike; ratios are taken within a round, and their median is reported.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `BENCH_SECONDS` | length of one pgbench run, at least 3 | 5 |
//! | `BENCH_ROUNDS` | rounds | 3 |
//! | `BENCH_CLIENTS` | numbers of clients | `1,16,64,500` |
//! | `BENCH_ONLY` | of `simple`, `prepared`, `latency`, `login`, `memory`, `relay`, `routing`, `cache` | all |
//! | `BENCH_PROXIES`, `--proxies` | of `direct`, `pgbouncer`, `haproxy`, `pgweir` | all |
//! | `BENCH_PGWEIR` | the program that is measured | `target/release/pgweir` |
//! | `BENCH_CACHE_RULES` | `off`: the part `cache` runs without its rules, which measures nothing of the cache | `on` |
//!
//! Raw numbers go to `bench-results/<time>.json`.

mod cache;
mod client;
mod lab;
mod measure;
mod peers;
mod report;
mod routing;
mod targets;

use std::process::ExitCode;

use anyhow::{Context, bail, ensure};

use crate::cache::Cache;
use crate::lab::Lab;
use crate::peers::{Kind, Peer};
use crate::report::Records;
use crate::routing::Routing;

/// What to measure, and for how long.
struct Options {
    seconds: usize,
    rounds: usize,
    clients: Vec<usize>,
    only: Vec<String>,
    proxies: Vec<Kind>,
    /// Whether pgweir caches in the part of that name.
    cache_rules: bool,
}

fn main() -> ExitCode {
    match Options::read().and_then(|options| run(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> anyhow::Result<()> {
    let lab = Lab::new()?;
    let server_address = lab::free_address()?;
    let server = peers::start_server(&lab, "data", server_address, &[])?;
    let peers: Vec<Peer> = options
        .proxies
        .iter()
        .map(|&kind| peers::start(&lab, kind, server_address))
        .collect::<Result<_, _>>()?;
    let with_routing = options.wants("routing") && options.proxies.contains(&Kind::Pgweir);
    let routing = with_routing.then(|| Routing::start(&lab, server_address)).transpose()?;
    let with_cache = options.wants("cache") && options.proxies.contains(&Kind::Pgweir);
    let cache = with_cache.then(|| Cache::start(&lab, options.cache_rules)).transpose()?;
    let mut records = Records::default();
    for round in 1..=options.rounds {
        eprintln!("round {round} of {}", options.rounds);
        // Each round starts with another one, and every other round has another one ahead of each.
        let mut order: Vec<&Peer> = peers.iter().collect();
        order.rotate_left((round - 1) % peers.len());
        if round % 2 == 0 {
            order.reverse();
        }
        records.round = round;
        measure_round(options, &lab, &order, &mut records)?;
        if let Some(routing) = &routing {
            routing.round(&lab, options.seconds, &mut records)?;
        }
        if let Some(cache) = &cache {
            cache.round(&lab, options.seconds, &mut records)?;
        }
    }
    if options.wants("memory") {
        for kind in options.proxies.iter().copied().filter(|kind| kind.logs_in()) {
            // A process of its own: one that has served 500 clients keeps the room for them.
            measure::memory(&peers::start(&lab, kind, server_address)?, &mut records)?;
        }
    }
    // The processes go before the folder that they work in.
    drop((peers, routing, cache));
    drop(server);
    records.print();
    records.print_routing();
    cache::table::print(&records);
    targets::print(&records);
    println!("\nraw numbers: {}", records.save()?.display());
    Ok(())
}

fn measure_round(options: &Options, lab: &Lab, peers: &[&Peer], records: &mut Records) -> anyhow::Result<()> {
    for mode in ["simple", "prepared"].into_iter().filter(|mode| options.wants(mode)) {
        for &clients in &options.clients {
            for peer in peers.iter().filter(|peer| mode == "simple" || peer.kind.prepares()) {
                let case = format!("{mode} {clients}");
                measure::load(lab, peer, (&case, mode), clients, options.seconds, records)?;
            }
        }
    }
    if options.wants("latency") {
        measure::latency(peers, options.seconds, records)?;
    }
    for peer in peers {
        if options.wants("login") && peer.kind.logs_in() {
            measure::logins(peer, records)?;
        }
        if options.wants("relay") && peer.kind != Kind::Direct {
            measure::relay(peer, records)?;
        }
    }
    Ok(())
}

impl Options {
    /// From the environment and the command line.
    fn read() -> anyhow::Result<Self> {
        let proxies = argument("--proxies")
            .unwrap_or_else(|| variable("BENCH_PROXIES", "direct,pgbouncer,haproxy,pgweir"));
        let options = Self {
            seconds: variable("BENCH_SECONDS", "5").parse().context("BENCH_SECONDS")?,
            rounds: variable("BENCH_ROUNDS", "3").parse().context("BENCH_ROUNDS")?,
            clients: list(&variable("BENCH_CLIENTS", "1,16,64,500"))
                .map(|clients| clients.parse().context("BENCH_CLIENTS"))
                .collect::<Result<_, _>>()?,
            only: list(&variable("BENCH_ONLY", "")).map(str::to_owned).collect(),
            proxies: list(&proxies).map(Kind::parse).collect::<Result<_, _>>()?,
            cache_rules: match &*variable("BENCH_CACHE_RULES", "on") {
                "on" => true,
                "off" => false,
                other => bail!("BENCH_CACHE_RULES is '{other}'; it may be on or off"),
            },
        };
        ensure!(options.seconds >= 3, "BENCH_SECONDS must be 3 or more: the first second is not counted");
        ensure!(options.rounds >= 1 && !options.proxies.is_empty(), "nothing to measure");
        Ok(options)
    }

    fn wants(&self, part: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == part)
    }
}

/// An environment variable; unset and empty mean the default.
fn variable(name: &str, default: &str) -> String {
    std::env::var(name).ok().filter(|value| !value.is_empty()).unwrap_or_else(|| default.to_owned())
}

/// The value after a flag.
fn argument(flag: &str) -> Option<String> {
    std::env::args().skip_while(|argument| argument != flag).nth(1)
}

fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}
