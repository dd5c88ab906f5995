//! What is asked: the cases, and the scripts of pgbench for them.

use std::path::PathBuf;

use crate::lab::Lab;
use crate::peers::{DATABASE, Kind, Peer, client_command};

/// How `pgbench` asks.
pub const MODES: [&str; 2] = ["simple", "prepared"];
/// Rows of each table.
pub const KEYS: usize = 100_000;
/// So many of them are hot.
const HOT: usize = 1000;
/// Texts of the slow statement.
const SLOW: usize = 10;
/// What is never the same again counts from another number in each run: an int has room for so many runs, of so many transactions each client.
const RUNS: usize = 200;
const RUN: usize = 150_000;

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// A thousand keys, all of which are in the cache.
    Hot,
    /// A statement that takes PostgreSQL 5 ms, and is in the cache.
    Slow,
    /// A statement that was never read before, nor will be again.
    Miss,
    /// Each statement twice, so that it is put into the cache, and never again.
    Fill,
    /// An UPDATE of one row by its primary key, in a table of which rows are in the cache.
    Write,
}

/// One case.
pub struct Case {
    pub what: What,
    pub mode: &'static str,
    pub clients: usize,
}

/// All, in the order in which they are measured and shown.
pub fn all() -> Vec<Case> {
    let whats = [What::Hot, What::Slow, What::Miss, What::Fill, What::Write];
    let of = |what: What| {
        let with = move |mode| what.clients().iter().map(move |&clients| Case { what, mode, clients });
        MODES.into_iter().flat_map(with)
    };
    whats.into_iter().flat_map(of).collect()
}

/// The slow statement, with this condition.
pub fn slow(condition: &str) -> String {
    format!("SELECT bid, count(*), sum(abalance) FROM pgbench_accounts WHERE {condition} GROUP BY bid;")
}

impl Case {
    pub fn name(&self) -> String {
        format!("cache {} {} {}", self.what.name(), self.mode, self.clients)
    }
}

impl What {
    pub fn name(self) -> &'static str {
        match self {
            What::Hot => "hot",
            What::Slow => "5ms",
            What::Miss => "miss",
            What::Fill => "fill",
            What::Write => "write",
        }
    }

    /// Whom it is measured at.
    pub fn kinds(self) -> &'static [Kind] {
        use Kind::{Direct, Pgpool, Pgweir, Redis, Session, Strict};
        match self {
            What::Hot => &[Direct, Pgpool, Redis, Pgweir, Session, Strict],
            What::Slow => &[Direct, Pgpool, Pgweir, Session, Strict],
            What::Miss | What::Fill | What::Write => &[Pgweir, Session, Strict],
        }
    }

    fn clients(self) -> &'static [usize] {
        if self == What::Hot { &[1, 16] } else { &[16] }
    }
}

/// The files, and how many rows the slow statement reads.
pub struct Scripts {
    folder: PathBuf,
    slow_rows: usize,
}

impl Scripts {
    pub fn write(lab: &Lab, slow_rows: usize) -> anyhow::Result<Scripts> {
        let hot = "SELECT abalance FROM pgbench_accounts WHERE aid = :aid;\n";
        let slow = format!("\\set high :low + :rows\n{}\n", slow("aid BETWEEN :low AND :high"));
        // The second condition always holds, and makes another statement of it each time.
        let once = format!(
            "\\set aid :other % {KEYS} + 1\nSELECT abalance FROM pgbench_accounts WHERE aid = :aid AND bid < :other;\n"
        );
        let update = "SET abalance = abalance + 1 WHERE aid = :aid;\n";
        for (name, text) in [
            ("hot", format!("\\set aid random(1, {HOT})\n{hot}")),
            ("hot-all", format!("\\set aid :n % {HOT} + 1\n\\set n :n + 1\n{hot}")),
            ("5ms", format!("\\set low random(1, {SLOW})\n{slow}")),
            ("5ms-all", format!("\\set low :n % {SLOW} + 1\n\\set n :n + 1\n{slow}")),
            ("miss", format!("\\set n :n + 1\n\\set other :n * 64 + :client_id\n{once}")),
            ("fill", format!("\\set n :n + 1\n\\set other :n / 2 * 64 + :client_id\n{once}")),
            ("write", format!("\\set aid random(1, {KEYS})\nUPDATE written {update}")),
            (
                "write-all",
                "\\set aid :n % 100 + 1\n\\set n :n + 1\nSELECT abalance FROM written WHERE aid = :aid;\n"
                    .to_owned(),
            ),
            ("every", format!("\\set aid (:n * 8 + :client_id) % {KEYS} + 1\n\\set n :n + 1\n{hot}")),
            ("some", format!("\\set aid :n * 20 + 10\n\\set n :n + 1\nUPDATE pgbench_accounts {update}")),
            ("zipf-read", format!("{}{hot}", zipf(KEYS, 0.99))),
            ("zipf-write", format!("{}UPDATE pgbench_accounts {update}", zipf(KEYS, 0.99))),
        ] {
            lab.write(&format!("{name}.sql"), &text)?;
        }
        Ok(Scripts { folder: lab.folder.clone(), slow_rows })
    }

    /// The arguments of pgbench for a case; in another round, what is read once is another.
    pub fn of(&self, case: &Case, round: usize) -> Vec<String> {
        let run = (round * all().len() + all().iter().position(|one| one.name() == case.name()).unwrap_or(0))
            % RUNS;
        self.arguments(case.what.name(), run * RUN + 1)
    }

    /// Reads three times all that is to be in the cache: it may want to be asked twice before it keeps anything.
    pub fn warm_up(&self, lab: &Lab, peer: &Peer, case: &Case) -> anyhow::Result<()> {
        let (script, times) = match case.what {
            // For misses it shows that there is a cache to be missed.
            What::Hot | What::Miss | What::Fill => ("hot-all", 3 * HOT),
            What::Slow => ("5ms-all", 3 * SLOW),
            What::Write => ("write-all", 300),
        };
        self.pass(lab, peer, case.mode, script, (1, times))
    }

    /// Runs a script so many times with so many clients each, not measured.
    pub fn pass(
        &self,
        lab: &Lab,
        peer: &Peer,
        mode: &str,
        script: &str,
        (clients, times): (usize, usize),
    ) -> anyhow::Result<()> {
        let mut pgbench = client_command(lab, "pgbench", peer.address);
        pgbench.args(["-n", "-M", mode, "-c", &clients.to_string(), "-t", &times.to_string()]);
        pgbench.args(self.arguments(script, 0)).arg(DATABASE);
        lab.complete(pgbench).map(drop)
    }

    fn arguments(&self, script: &str, first: usize) -> Vec<String> {
        let mut arguments = self.file(script, 1);
        for (name, value) in [("n", first), ("rows", self.slow_rows)] {
            arguments.extend(["-D".to_owned(), format!("{name}={value}")]);
        }
        arguments
    }

    /// The argument for a script of this weight.
    pub fn file(&self, script: &str, weight: usize) -> Vec<String> {
        vec!["-f".to_owned(), format!("{}@{weight}", self.folder.join(format!("{script}.sql")).display())]
    }
}

/// Sets `aid` to a key from 1 to `n`, of which the k-th is drawn as often as 1 / k^s: Gray's method (Quickly generating billion-record synthetic
/// databases, SIGMOD 1994), since pgbench's own `random_zipfian` takes no exponent below 1.
fn zipf(n: usize, s: f64) -> String {
    let sum = |to: usize| (1..=to).map(|k| (k as f64).powf(-s)).sum::<f64>();
    let (all, two) = (sum(n), sum(2));
    let eta = (1.0 - (2.0 / n as f64).powf(1.0 - s)) / (1.0 - two / all);
    let rest = 1.0 - eta;
    let power = 1.0 / (1.0 - s);
    // `int` rounds.
    format!(
        "\\set u random(0, 999999999) / 1000000000.0\n\
         \\set aid CASE WHEN :u * {all} < 1 THEN 1 WHEN :u * {all} < {two} THEN 2 \
         ELSE 1 + int({n} * power({eta} * :u + {rest}, {power}) - 0.5) END\n"
    )
}
