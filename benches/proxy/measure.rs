//! The measurements. Each adds records; none judges.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::client::Client;
use crate::lab::{Lab, Process, open_files_limit};
use crate::peers::{DATABASE, Peer, client_command};
use crate::report::{Records, median};

/// How fast pgbench's clients log in at the least, on two busy cores.
const LOGINS_PER_SECOND: usize = 80;
/// Rows of pgbench at scale 1.
const ACCOUNTS: u32 = 100_000;
/// SCRAM logins per round.
const LOGINS: usize = 3000;
/// Idle clients held; the second only if the limit of open files allows.
const IDLE_CLIENTS: [usize; 2] = [2_000, 10_000];
/// How long idle clients are watched. CPU time is known to 10 ms.
const IDLE: Duration = Duration::from_secs(5);
/// 131,072 rows of 8 KiB: the server hardly works for them, so the proxy is what limits.
const RELAY: &str = "COPY (SELECT repeat('x', 8192) FROM generate_series(1, 131072)) TO STDOUT";

/// What pgbench does.
pub struct Load<'a> {
    /// The name under which it is recorded.
    pub case: &'a str,
    /// How it asks: `simple` or `prepared`.
    pub mode: &'a str,
    pub clients: usize,
    pub seconds: usize,
    /// The arguments that say what it asks.
    pub script: &'a [String],
}

/// What pgbench has done.
pub struct Done {
    /// Transactions that were measured.
    pub counted: f64,
    /// What pgbench says of the whole.
    pub report: String,
}

impl Done {
    /// All transactions, those at the beginning included.
    pub fn all(&self) -> anyhow::Result<f64> {
        transactions(&self.report)
    }

    /// The transactions of each script, where there are several.
    pub fn scripts(&self) -> impl Iterator<Item = f64> {
        numbers(&self.report, " - ")
    }
}

/// All transactions of which pgbench reports.
pub fn transactions(report: &str) -> anyhow::Result<f64> {
    numbers(report, "number of transactions actually processed: ").next().context("pgbench tells no number")
}

/// The whole numbers behind `head` at the beginning of lines.
fn numbers(report: &str, head: &str) -> impl Iterator<Item = f64> {
    let digits = |rest: &str| rest.split(|c: char| !c.is_ascii_digit()).next().and_then(|n| n.parse().ok());
    report.lines().filter_map(move |line| digits(line.strip_prefix(head)?))
}

/// `pgbench -S`, measured as [`run`] does. Gives the number of transactions.
pub fn load(
    lab: &Lab,
    peer: &Peer,
    (case, mode): (&str, &str),
    clients: usize,
    seconds: usize,
    records: &mut Records,
) -> anyhow::Result<f64> {
    let load = Load { case, mode, clients, seconds, script: &["-S".to_owned()] };
    Ok(run(lab, peer, &load, records)?.counted)
}

/// Transactions per second, mean latency, and CPU seconds of the proxy per million transactions.
///
/// All are taken between pgbench's first and last progress line, so that logins do not count.
pub fn run(lab: &Lab, peer: &Peer, load: &Load, records: &mut Records) -> anyhow::Result<Done> {
    let &Load { case, mode, clients, seconds, script } = load;
    let mut command = client_command(lab, "pgbench", peer.address);
    let threads = if clients < 16 { "1" } else { "2" };
    // pgbench counts the time that its clients take to log in.
    let duration = seconds + clients / LOGINS_PER_SECOND;
    command.args(["-n", "-P", "1", "-M", mode, "-j", threads]).args(script);
    command.args(["-c", &clients.to_string(), "-T", &duration.to_string(), DATABASE]);
    let mut pgbench = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;

    let mut window = Window::default();
    let mut complaints = String::new();
    for line in BufReader::new(pgbench.stderr.take().context("no standard error")?).lines() {
        let line = line?;
        match Progress::parse(&line) {
            Some(progress) => window.add(&progress, peer.process.as_ref().map(Process::cpu).transpose()?),
            None => complaints = complaints + &line + "\n",
        }
    }
    // It comes at the end, and is short.
    let report = std::io::read_to_string(pgbench.stdout.take().context("no standard output")?)?;
    ensure!(pgbench.wait()?.success(), "pgbench on {}, {case}:\n{complaints}", peer.kind.name());
    ensure!(
        window.transactions > 0.0,
        "pgbench on {}, {case}: nothing done in {duration} s; set BENCH_SECONDS higher",
        peer.kind.name()
    );

    records.add(case, "tps", peer, window.transactions / window.seconds);
    records.add(case, "latency ms", peer, window.latency_ms / window.transactions);
    if let (Some(first), Some(last)) = (window.first_cpu, window.last_cpu) {
        records.add(case, "cpu s/M", peer, (last - first) / window.transactions * 1e6);
    }
    Ok(Done { counted: window.transactions, report })
}

/// How long one client waits for one short answer, in microseconds: the median of blocks of statements that are sent to the peers by turns.
///
/// A block takes milliseconds, so that what else the machine does, which changes by the second, hits all peers alike: whole pgbench runs of one
/// client differ by a tenth and more.
pub fn latency(peers: &[&Peer], seconds: usize, records: &mut Records) -> anyhow::Result<()> {
    let mut asked = 0_u32;
    let mut block = |client: &mut Client, statements: u32| -> anyhow::Result<f64> {
        let begin = Instant::now();
        for _ in 0..statements {
            asked = asked.wrapping_mul(1_103_515_245).wrapping_add(12_345);
            client.ask(&format!(
                "SELECT abalance FROM pgbench_accounts WHERE aid = {};",
                1 + (asked >> 8) % ACCOUNTS
            ))?;
        }
        Ok(begin.elapsed().as_secs_f64() * 1e6 / f64::from(statements))
    };
    let mut clients: Vec<Client> =
        peers.iter().map(|peer| Client::connect(peer.address)).collect::<Result<_, _>>()?;
    for client in &mut clients {
        block(client, 2000)?;
    }
    let mut took = vec![vec![]; peers.len()];
    let until = Instant::now() + Duration::from_secs(seconds as u64) * peers.len() as u32;
    let mut order: Vec<usize> = (0..peers.len()).collect();
    while Instant::now() < until {
        // Each begins in its turn, and has each other ahead of it as often as behind it.
        order.rotate_left(1);
        order.reverse();
        for &at in &order {
            block(&mut clients[at], 5)?;
            took[at].push(block(&mut clients[at], 60)?);
        }
    }
    for (peer, took) in peers.iter().zip(took) {
        records.add("latency 1", "us", peer, median(took).context("nothing was measured")?);
    }
    clients.into_iter().for_each(Client::close);
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
    last_time: Option<f64>,
    seconds: f64,
    transactions: f64,
    /// Sum over the transactions.
    latency_ms: f64,
}

impl Window {
    fn add(&mut self, progress: &Progress, cpu: Option<f64>) {
        match self.last_time {
            None => self.first_cpu = cpu,
            Some(last_time) => {
                let seconds = progress.time - last_time;
                let transactions = progress.tps * seconds;
                self.seconds += seconds;
                self.transactions += transactions;
                if transactions > 0.0 {
                    self.latency_ms += transactions * progress.latency_ms;
                }
            }
        }
        self.last_cpu = cpu;
        self.last_time = Some(progress.time);
    }
}

/// A line such as `progress: 1.0 s, 5713.9 tps, lat 0.174 ms stddev 0.032, 0 failed`.
struct Progress {
    /// Seconds since pgbench began.
    time: f64,
    /// In the interval that this line closes; the latency too.
    tps: f64,
    latency_ms: f64,
}

impl Progress {
    fn parse(line: &str) -> Option<Self> {
        let mut parts = line.strip_prefix("progress: ")?.split(", ");
        let mut number = |prefix: &str| parts.next()?.strip_prefix(prefix)?.split(' ').next()?.parse().ok();
        Some(Self { time: number("")?, tps: number("")?, latency_ms: number("lat ")? })
    }
}
