//! Numbers kept flat, one a line, and the table made of them.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::peers::{Kind, Peer};
use crate::routing::{CLIENTS, KINDS, MODES, case};

/// One number.
#[derive(Debug, serde::Serialize)]
struct Record {
    round: usize,
    /// `simple 16`, `idle 2000`, `relay`, `routing simple 16`, ...
    case: String,
    /// What was measured, with its unit.
    metric: &'static str,
    peer: &'static str,
    value: f64,
}

/// All numbers of a run.
#[derive(Debug, Default)]
pub struct Records {
    /// The round that is being measured, from 1.
    pub round: usize,
    records: Vec<Record>,
}

impl Records {
    pub fn add(&mut self, case: &str, metric: &'static str, peer: &Peer, value: f64) {
        let peer = peer.kind.name();
        eprintln!("  {case:<20} {metric:<11} {peer:<10} {value:.3}");
        self.records.push(Record { round: self.round, case: case.to_owned(), metric, peer, value });
    }

    /// The median over the rounds.
    pub fn median(&self, case: &str, metric: &str, peer: Kind) -> Option<f64> {
        median(self.of(case, metric, peer).map(|record| record.value).collect())
    }

    /// The median of the ratios within each round.
    pub fn ratio(&self, case: &str, metric: &str, peer: Kind, to: Kind) -> Option<f64> {
        let pairs = self.of(case, metric, peer).filter_map(|ours| {
            let theirs = self.of(case, metric, to).find(|theirs| theirs.round == ours.round)?;
            Some(ours.value / theirs.value)
        });
        median(pairs.filter(|ratio| ratio.is_finite()).collect())
    }

    /// Like [`Records::ratio`], of one peer's two cases.
    pub fn ratio_of_cases(&self, case: &str, to: &str, metric: &str, peer: Kind) -> Option<f64> {
        let pairs = self.of(case, metric, peer).filter_map(|record| {
            let other = self.of(to, metric, peer).find(|other| other.round == record.round)?;
            Some(record.value / other.value)
        });
        median(pairs.filter(|ratio| ratio.is_finite()).collect())
    }

    /// Prints a line per case and metric.
    pub fn print(&self) {
        println!(
            "\n{:<14} {:<11} {:>10} {:>10} {:>10} {:>10}   {:>10} {:>10}",
            "case", "metric", "direct", "pgbouncer", "haproxy", "pgweir", "/pgbouncer", "/haproxy"
        );
        let mut done: Vec<(&str, &str)> = Vec::new();
        for record in &self.records {
            let line = (record.case.as_str(), record.metric);
            if done.contains(&line) || is_routing(record) || is_cache(record) {
                continue;
            }
            done.push(line);
            let of = |peer| cell(self.median(line.0, line.1, peer));
            let ratio = |to| cell(self.ratio(line.0, line.1, Kind::Pgweir, to));
            println!(
                "{:<14} {:<11} {:>10} {:>10} {:>10} {:>10}   {:>10} {:>10}",
                line.0,
                line.1,
                of(Kind::Direct),
                of(Kind::Pgbouncer),
                of(Kind::Haproxy),
                of(Kind::Pgweir),
                ratio(Kind::Pgbouncer),
                ratio(Kind::Haproxy)
            );
        }
    }

    /// Prints what routing and rules cost, if that was measured: the plain pool, what each adds to it, and how many times it both cost.
    pub fn print_routing(&self) {
        if !self.records.iter().any(is_routing) {
            return;
        }
        let head = KINDS.map(|kind| format!("{:>10}", kind.name())).concat();
        let ratios = KINDS.map(|kind| format!("{:>10}", format!("/{}", kind.name())));
        println!("\n{:<20} {:<11}{head}   {}", "case", "metric", ratios[1..].concat());
        for case in MODES.iter().flat_map(|mode| CLIENTS.map(|clients| case(mode, clients))) {
            for metric in ["cpu s/M", "tps", "latency ms"] {
                let values = KINDS.map(|kind| format!("{:>10}", cell(self.median(&case, metric, kind))));
                let ratio = |kind| format!("{:>10}", cell(self.ratio(&case, metric, kind, Kind::Pgweir)));
                println!("{case:<20} {metric:<11}{}   {}", values.concat(), KINDS.map(ratio)[1..].concat());
            }
        }
    }

    /// Writes every number as JSON and gives the file's name.
    pub fn save(&self) -> anyhow::Result<PathBuf> {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("bench-results");
        std::fs::create_dir_all(&folder)?;
        let time = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let file = folder.join(format!("{time}.json"));
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let whole = serde_json::json!({ "time": time, "cores": cores, "records": self.records });
        std::fs::write(&file, serde_json::to_string_pretty(&whole)?)?;
        Ok(file)
    }

    /// What was measured in each round.
    pub fn values<'a>(
        &'a self,
        case: &'a str,
        metric: &'a str,
        peer: Kind,
    ) -> impl Iterator<Item = f64> + 'a {
        self.of(case, metric, peer).map(|record| record.value)
    }

    fn of<'a>(&'a self, case: &'a str, metric: &'a str, peer: Kind) -> impl Iterator<Item = &'a Record> {
        self.records.iter().filter(move |record| {
            record.case == case && record.metric == metric && record.peer == peer.name()
        })
    }
}

fn is_routing(record: &Record) -> bool {
    record.case.starts_with("routing ")
}

fn is_cache(record: &Record) -> bool {
    record.case.starts_with("cache ")
}

/// The middle one, or what is between the two.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

/// Three digits that matter, or a dash.
pub fn cell(value: Option<f64>) -> String {
    match value {
        None => "-".to_owned(),
        Some(value) if value >= 1000.0 => format!("{value:.0}"),
        Some(value) if value >= 100.0 => format!("{value:.1}"),
        Some(value) => format!("{value:.2}"),
    }
}
