//! Redis, whose GET is what an answer out of memory costs: one request on a connection at a time, over TCP, as a session of PostgreSQL.

use std::net::SocketAddr;
use std::process::Command;

use anyhow::{Context, ensure};

use super::cases::Case;
use super::hits;
use crate::lab::{Lab, Process};
use crate::peers::Peer;
use crate::report::Records;

/// Keys, all of which are there.
const KEYS: &str = "1000";
/// Requests by which its speed is found out.
const PROBE: usize = 50_000;

/// Starts it, with a thousand values of redis-benchmark's default size, three bytes.
pub fn start(lab: &Lab, address: SocketAddr) -> anyhow::Result<Process> {
    let mut redis = lab.command("redis-server");
    redis.args(["--bind", "127.0.0.1", "--port", &address.port().to_string()]);
    redis.args(["--save", "", "--appendonly", "no", "--daemonize", "no"]);
    let process = lab.serve("redis", address, redis)?;
    lab.complete(benchmark(lab, address, "set", 16, PROBE))?;
    let keys = hits::ask(address, "DBSIZE\r\nQUIT\r\n")?;
    ensure!(keys.starts_with(&format!(":{KEYS}\r\n")), "redis has {keys:?} keys, not {KEYS}");
    Ok(process)
}

/// GETs for about so many seconds: how many a second, and CPU seconds of the server for a million of them.
pub fn measure(
    lab: &Lab,
    peer: &Peer,
    case: &Case,
    seconds: usize,
    records: &mut Records,
) -> anyhow::Result<()> {
    let process = peer.process.as_ref().context("no process")?;
    let (rate, _) = get(lab, peer, case.clients, PROBE)?;
    let requests = rate as usize * seconds;
    let (hits, cpu) = (hits::of_redis(peer.address)?, process.cpu()?);
    let (rate, latency) = get(lab, peer, case.clients, requests)?;
    let (hits, cpu) = (hits::of_redis(peer.address)? - hits, process.cpu()? - cpu);
    ensure!(hits >= requests as f64, "of {requests} GETs, redis found {hits}");
    let name = case.name();
    records.add(&name, "tps", peer, rate);
    records.add(&name, "latency ms", peer, latency);
    records.add(&name, "cpu s/M", peer, cpu / requests as f64 * 1e6);
    Ok(())
}

/// Requests a second, and their mean latency in milliseconds.
fn get(lab: &Lab, peer: &Peer, clients: usize, requests: usize) -> anyhow::Result<(f64, f64)> {
    let answer = lab.complete(benchmark(lab, peer.address, "get", clients, requests))?;
    let line = answer.lines().find_map(|line| line.strip_prefix("\"GET\","));
    let mut numbers = line.unwrap_or_default().split(',').map(|number| number.trim_matches('"').parse());
    match (numbers.next(), numbers.next()) {
        (Some(Ok(rate)), Some(Ok(latency))) => Ok((rate, latency)),
        _ => anyhow::bail!("redis-benchmark says\n{answer}"),
    }
}

fn benchmark(lab: &Lab, address: SocketAddr, test: &str, clients: usize, requests: usize) -> Command {
    let mut command = lab.command("redis-benchmark");
    command.args(["-h", "127.0.0.1", "-p", &address.port().to_string(), "-t", test, "-r", KEYS, "--csv"]);
    command.args(["-c", &clients.to_string(), "-n", &requests.to_string()]);
    command
}
