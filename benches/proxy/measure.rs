//! The measurements. Each adds records; none judges.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::client::Client;
use crate::lab::{Lab, open_files_limit};
use crate::peers::{DATABASE, Peer, client_command};
use crate::report::Records;

/// SCRAM logins per round.
const LOGINS: usize = 1000;
/// Idle clients held; the second only if the limit of open files allows.
const IDLE_CLIENTS: [usize; 2] = [2_000, 10_000];
/// How long idle clients are watched. CPU time is known to 10 ms.
const IDLE: Duration = Duration::from_secs(5);
/// 131,072 rows of 8 KiB: the server hardly works for them, so the proxy is what limits.
const RELAY: &str = "COPY (SELECT repeat('x', 8192) FROM generate_series(1, 131072)) TO STDOUT";

/// `pgbench -S`: transactions per second, mean latency, and CPU seconds of the proxy per million transactions.
///
/// The CPU is taken between pgbench's first and last progress line, so that logins do not count.
pub fn load(lab: &Lab, peer: &Peer, mode: &str, clients: usize, seconds: u32, records: &mut Records) -> anyhow::Result<()> {
    let case = format!("{mode} {clients}");
    let mut command = client_command(lab, "pgbench", peer.address);
    let threads = if clients < 16 { "1" } else { "2" };
    command.args(["-n", "-S", "-P", "1", "-M", mode, "-j", threads]);
    command.args(["-c", &clients.to_string(), "-T", &seconds.to_string(), DATABASE]);
    let mut pgbench = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;

    let mut window = Window::default();
    let mut complaints = String::new();
    for line in BufReader::new(pgbench.stderr.take().context("no standard error")?).lines() {
        let line = line?;
        match progress(&line) {
            Some((time, tps)) => window.add(time, tps, peer.process.as_ref().map(|process| process.cpu()).transpose()?),
            None => complaints = complaints + &line + "\n",
        }
    }
    let mut summary = String::new();
    pgbench.stdout.take().context("no standard output")?.read_to_string(&mut summary)?;
    ensure!(pgbench.wait()?.success(), "pgbench on {}, {case}:\n{complaints}", peer.kind.name());

    records.add(&case, "tps", peer, number_after(&summary, "tps = ")?);
    records.add(&case, "latency ms", peer, number_after(&summary, "latency average = ")?);
    if let Some(cpu) = window.cpu_per_million() {
        records.add(&case, "cpu s/M", peer, cpu);
    }
    Ok(())
}

/// CPU of the proxy per SCRAM login, from connect to a polite goodbye.
pub fn logins(peer: &Peer, records: &mut Records) -> anyhow::Result<()> {
    let process = peer.process.as_ref().context("not a proxy")?;
    // The first may have to connect to the server.
    Client::connect(peer.address)?.close();
    let before = process.cpu()?;
    for _ in 0..LOGINS {
        Client::connect(peer.address)?.close();
    }
    let cpu = process.cpu()? - before;
    records.add("login", "cpu us", peer, cpu * 1e6 / LOGINS as f64);
    Ok(())
}

/// Throughput of one result of a gigabyte, MB/s, and the CPU it takes, seconds per GB.
pub fn relay(peer: &Peer, records: &mut Records) -> anyhow::Result<()> {
    let process = peer.process.as_ref().context("not a proxy")?;
    let mut client = Client::connect(peer.address)?;
    client.drain("SELECT 1")?;
    let (before, begin) = (process.cpu()?, Instant::now());
    let bytes = client.drain(RELAY)? as f64;
    ensure!(bytes > 1e9, "only {bytes} bytes came through {}", peer.kind.name());
    let (cpu, seconds) = (process.cpu()? - before, begin.elapsed().as_secs_f64());
    client.close();
    records.add("relay", "MB/s", peer, bytes / 1e6 / seconds);
    records.add("relay", "cpu s/GB", peer, cpu / (bytes / 1e9));
    Ok(())
}

/// Resident memory per idle authenticated client, and the CPU that thousands of them take, percent of a core.
pub fn memory(peer: &Peer, records: &mut Records) -> anyhow::Result<()> {
    let process = peer.process.as_ref().context("not a proxy")?;
    Client::connect(peer.address)?.drain("SELECT 1")?;
    let before = process.resident()?;
    let mut clients = Vec::new();
    for count in IDLE_CLIENTS {
        let case = format!("idle {count}");
        if open_files_limit() < count + 200 {
            eprintln!("skipped {case} clients: the limit of open files is {}", open_files_limit());
            continue;
        }
        while clients.len() < count {
            clients.push(Client::connect(peer.address)?);
        }
        let grown = process.resident()?.saturating_sub(before) as f64;
        records.add(&case, "KiB/client", peer, grown / 1024.0 / count as f64);
        let cpu = process.cpu()?;
        std::thread::sleep(IDLE);
        records.add(&case, "cpu %", peer, (process.cpu()? - cpu) / IDLE.as_secs_f64() * 100.0);
    }
    clients.into_iter().for_each(Client::close);
    Ok(())
}

/// What happened between the first and the last progress line.
#[derive(Default)]
struct Window {
    first_cpu: Option<f64>,
    last_cpu: Option<f64>,
    last_time: f64,
    transactions: f64,
}

impl Window {
    fn add(&mut self, time: f64, tps: f64, cpu: Option<f64>) {
        if self.first_cpu.is_none() {
            self.first_cpu = cpu;
        } else {
            self.transactions += tps * (time - self.last_time);
        }
        self.last_cpu = cpu;
        self.last_time = time;
    }

    fn cpu_per_million(&self) -> Option<f64> {
        let cpu = self.last_cpu? - self.first_cpu?;
        (self.transactions > 0.0).then(|| cpu / self.transactions * 1e6)
    }
}

/// Time and transactions per second of `progress: 1.0 s, 5713.9 tps, lat ...`.
fn progress(line: &str) -> Option<(f64, f64)> {
    let mut parts = line.strip_prefix("progress: ")?.split(", ");
    let time = parts.next()?.strip_suffix(" s")?.parse().ok()?;
    let tps = parts.next()?.strip_suffix(" tps")?.parse().ok()?;
    Some((time, tps))
}

/// The number that follows `label` in pgbench's summary.
fn number_after(summary: &str, label: &str) -> anyhow::Result<f64> {
    let rest = summary.split_once(label).with_context(|| format!("no '{label}' in:\n{summary}"))?.1;
    Ok(rest.split_whitespace().next().unwrap_or_default().parse()?)
}
