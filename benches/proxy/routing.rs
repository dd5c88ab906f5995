//! What routing and rules cost: pgweir in front of a primary and two replicas, with a thousand rules, beside the plain pool.
//!
//! Four processes of the same program, so that each part of the cost is seen: one node and no rules; one node with rules; three nodes without;
//! three nodes with rules. Where there are three nodes, the replicas do the reading, so that other servers work than for one; what
//! that changes is in the third.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, ensure};

use crate::lab::{Lab, Process, free_address};
use crate::measure;
use crate::peers::{self, DATABASE, Kind, PASSWORD, Peer, USER, client_command};
use crate::report::Records;

/// Rules in the folder.
const RULES: usize = 1000;
/// Numbers of clients.
pub const CLIENTS: [usize; 2] = [16, 64];
/// How `pgbench` asks.
pub const MODES: [&str; 2] = ["simple", "prepared"];
/// In the order in which the table has them.
pub const KINDS: [Kind; 4] = [Kind::Pgweir, Kind::Ruled, Kind::Spread, Kind::Routed];

/// The replicas and the four processes.
pub struct Routing {
    peers: Vec<Peer>,
    replicas: Vec<(SocketAddr, Process)>,
}

/// The name of a case.
pub fn case(mode: &str, clients: usize) -> String {
    format!("routing {mode} {clients}")
}

impl Routing {
    /// Makes two replicas of the server at `primary`, and starts a pgweir of each kind.
    pub fn start(lab: &Lab, primary: SocketAddr) -> anyhow::Result<Routing> {
        let replicas = ["one", "two"].iter().map(|name| replica(lab, name, primary));
        let replicas = replicas.collect::<anyhow::Result<Vec<_>>>()?;
        let hosts: Vec<String> =
            [primary].iter().chain(replicas.iter().map(|(at, _)| at)).map(ToString::to_string).collect();
        let (all, folder) = (hosts.join(","), rules(lab)?);
        let peers = KINDS.map(|kind| {
            let (hosts, reads) = if kind.spreads() { (&*all, "&reads=replicas") } else { (&*hosts[0], "") };
            let url =
                format!("postgres://{USER}:{PASSWORD}@{hosts}/{DATABASE}?pool_size={}{reads}", peers::POOL);
            let mut more = vec![url];
            if matches!(kind, Kind::Ruled | Kind::Routed) {
                more.extend(["--rules".to_owned(), folder.display().to_string()]);
            }
            let address = free_address()?;
            let process = Some(peers::start_pgweir(lab, kind.name(), address, &more)?);
            Ok(Peer { kind, address, process })
        });
        let routing = Routing { peers: peers.into_iter().collect::<anyhow::Result<_>>()?, replicas };
        routing.warm_up(lab)?;
        Ok(routing)
    }

    /// Reads at each until they are known to be reads, which takes what the catalogs say, and replicas are known to be fit.
    fn warm_up(&self, lab: &Lab) -> anyhow::Result<()> {
        for peer in &self.peers {
            let before = self.reads_at_replicas(lab)?;
            for n in 0.. {
                ask(lab, peer.address, "SELECT abalance FROM pgbench_accounts WHERE aid = 1")?;
                std::thread::sleep(Duration::from_millis(100));
                let reads = self.reads_at_replicas(lab)? - before;
                if reads > 0.0 || !peer.kind.spreads() && n >= 20 {
                    break;
                }
                ensure!(n < 300, "{}: no read goes to a replica", peer.kind.name());
            }
        }
        Ok(())
    }

    /// Measures all, beginning with another one each time.
    pub fn round(&self, lab: &Lab, seconds: usize, records: &mut Records) -> anyhow::Result<()> {
        let mut order: Vec<&Peer> = self.peers.iter().collect();
        order.rotate_left((records.round - 1) % self.peers.len());
        for mode in MODES {
            for clients in CLIENTS {
                for peer in &order {
                    let before = self.reads_at_replicas(lab)?;
                    let case = case(mode, clients);
                    let done = measure::load(lab, peer, (&case, mode), clients, seconds, records)?;
                    let read = self.reads_at_replicas(lab)? - before;
                    // Servers tell what they have done within a second or ten.
                    ensure!(
                        !peer.kind.spreads() || read > done / 4.0,
                        "{}, {case}: of {done} reads, replicas did {read}",
                        peer.kind.name()
                    );
                }
            }
        }
        Ok(())
    }

    /// So many have replicas done so far.
    fn reads_at_replicas(&self, lab: &Lab) -> anyhow::Result<f64> {
        let sql =
            "SELECT coalesce(sum(idx_scan), 0) FROM pg_stat_user_tables WHERE relname = 'pgbench_accounts'";
        let mut sum = 0.0;
        for (address, _) in &self.replicas {
            sum += ask(lab, *address, sql)?.parse::<f64>().context("a count")?;
        }
        Ok(sum)
    }
}

fn ask(lab: &Lab, address: SocketAddr, sql: &str) -> anyhow::Result<String> {
    let mut psql = client_command(lab, "psql", address);
    psql.args(["-X", "-A", "-t", "-d", DATABASE, "-c", sql]);
    Ok(lab.complete(psql)?.trim().to_owned())
}

/// A copy of the primary that streams from it.
fn replica(lab: &Lab, name: &str, primary: SocketAddr) -> anyhow::Result<(SocketAddr, Process)> {
    let mut copy = peers::pointed(lab.command(lab.bin.join("pg_basebackup")), primary);
    copy.args(["-D", name, "-R", "-c", "fast", "-X", "stream", "--no-sync"]);
    lab.complete(copy)?;
    let address = free_address()?;
    let process = lab.serve(&format!("replica-{name}"), address, peers::postgres(lab, name, address))?;
    peers::wait_started(lab, || {
        let mut psql = client_command(lab, "psql", address);
        psql.args(["-X", "-d", DATABASE, "-c", "SELECT 1"]);
        psql
    })?;
    Ok((address, process))
}

/// A folder of rules as a company may have them: most are for other tables, users and applications, and four hold for what is measured.
fn rules(lab: &Lab) -> anyhow::Result<PathBuf> {
    let mut text = String::new();
    let holding = [
        r#"when = { tables = "pgbench_accounts", user = "bench" }, then = { consistency = "session" }"#,
        r#"when = { class = "read", tables = "pgbench_*" }, then = { route = "replica" }"#,
        r#"when = { tables = "pgbench_accounts", in_transaction = false }, then = { tag = "accounts" }"#,
        r#"when = { class = "delete", where = false }, then = { block = { message = "DELETE without WHERE" } }"#,
    ];
    for n in 0..RULES - holding.len() {
        let rule = match n % 10 {
            0 | 1 => format!(
                r#"when = {{ tables = ["shop_{n}.orders", "invoices_{n}"] }}, then = {{ tag = "billing" }}"#
            ),
            2 => format!(r#"when = {{ writes = "ledger_{n}" }}, then = {{ consistency = "primary" }}"#),
            3 => format!(r#"when = {{ reads = "report_{n}_*" }}, then = {{ route = "replica" }}"#),
            4 | 5 => format!(r#"when = {{ user = "tenant_{n}" }}, then = {{ tag = "tenant" }}"#),
            6 => format!(
                r#"when = {{ application = "worker-{n}-*", class = "read" }}, then = {{ consistency = "any" }}"#
            ),
            7 => format!(r#"when = {{ fingerprint = "{n:032x}" }}, then = {{ route = "primary" }}"#),
            8 => format!(
                r#"when = {{ functions = "legacy_{n}" }}, then = {{ block = {{ message = "gone" }} }}"#
            ),
            _ => format!(
                r#"when = {{ columns = "customers_{n}.email", where = true }}, then = {{ log = "debug" }}"#
            ),
        };
        rule_named(&mut text, n, &rule)?;
    }
    for (n, rule) in holding.iter().enumerate() {
        rule_named(&mut text, RULES - holding.len() + n, rule)?;
    }
    std::fs::create_dir(lab.folder.join("rules"))?;
    lab.write("rules/rules.toml", &text)?;
    Ok(lab.folder.join("rules"))
}

fn rule_named(text: &mut String, n: usize, rule: &str) -> std::fmt::Result {
    writeln!(text, "[[rule]]\nname = \"r{n}\"\n{}", rule.replace("}, then", "}\nthen"))
}
