//! What pgweir promises to cost, and whether this run bears it out.

use crate::cache::cases::{self, Case, What};
use crate::cache::table;
use crate::peers::Kind::{self, Direct, Haproxy, Pgbouncer, Pgpool, Pgweir, Redis, Routed};
use crate::report::Records;
use crate::routing;

/// A promise and what was measured of it.
struct Target {
    what: String,
    /// Or why it was not.
    measured: Result<f64, String>,
    bound: Bound,
}

/// Of what was not asked for.
pub const NOT_MEASURED: &str = "not measured";

#[derive(Clone, Copy)]
enum Bound {
    AtMost(f64),
    AtLeast(f64),
}
use Bound::{AtLeast, AtMost};

/// Prints each target with its verdict; nothing if pgweir was not measured.
pub fn print(records: &Records) {
    let targets = all(records);
    let unasked = |target: &Target| target.measured.as_ref().is_err_and(|reason| reason == NOT_MEASURED);
    if targets.iter().all(unasked) {
        return;
    }
    println!("\ntargets");
    for Target { what, measured, bound } in targets {
        let (sign, limit) = match bound {
            AtMost(limit) => ("<=", limit),
            AtLeast(limit) => (">=", limit),
        };
        let verdict = match (&measured, bound) {
            (Err(reason), _) => reason.as_str(),
            (Ok(value), AtMost(limit)) if *value <= limit => "pass",
            (Ok(value), AtLeast(limit)) if *value >= limit => "pass",
            _ => "FAIL",
        };
        let shown = measured.as_ref().map_or("-".to_owned(), |value| format!("{value:.2}"));
        println!("  {what:<58} {shown:>7} {sign} {limit:<5} {verdict}");
    }
}

fn all(records: &Records) -> Vec<Target> {
    let target = |what: String, measured: Option<f64>, bound| {
        let measured = measured.ok_or_else(|| NOT_MEASURED.to_owned());
        Target { what, measured, bound }
    };
    let ratio = |case: &str, metric, to| records.ratio(case, metric, Pgweir, to);
    let mut targets = Vec::new();
    for clients in ["16", "64"] {
        let case = format!("simple {clients}");
        let measured = ratio(&case, "cpu s/M", Pgbouncer);
        targets.push(target(
            format!("CPU per transaction, {case} clients, to pgbouncer"),
            measured,
            AtMost(1.0),
        ));
        let case = format!("prepared {clients}");
        let measured = ratio(&case, "cpu s/M", Haproxy);
        targets.push(target(
            format!("CPU per transaction, {case} clients, to haproxy"),
            measured,
            AtMost(1.1),
        ));
    }
    for mode in ["simple", "prepared"] {
        let [many, some] = ["500", "64"].map(|clients| format!("{mode} {clients}"));
        let measured = records.ratio_of_cases(&many, &some, "cpu s/M", Pgweir);
        targets.push(target(
            format!("CPU per transaction, {mode}, 500 clients to 64"),
            measured,
            AtMost(1.15),
        ));
    }
    let measured = ratio("latency 1", "us", Pgbouncer);
    targets.push(target("latency, 1 client, to pgbouncer".to_owned(), measured, AtMost(1.0)));
    for clients in ["16", "64", "500"] {
        let measured = ratio(&format!("simple {clients}"), "tps", Pgbouncer);
        targets.push(target(format!("throughput, {clients} clients, to pgbouncer"), measured, AtLeast(1.0)));
    }
    for clients in ["2000", "10000"] {
        let case = format!("idle {clients}");
        let measured = records.median(&case, "KiB/client", Pgweir);
        targets.push(target(
            format!("memory per idle client, {clients} clients, KiB"),
            measured,
            AtMost(4.0),
        ));
        // What a timer four times a second takes.
        let measured = records.median(&case, "cpu %", Pgweir);
        targets.push(target(format!("CPU with {clients} idle clients, % of a core"), measured, AtMost(0.4)));
    }
    for mode in routing::MODES {
        let of = |clients: &usize| {
            let measured = records.ratio(&routing::case(mode, *clients), "cpu s/M", Routed, Pgweir);
            let what = format!("CPU per transaction, routing and rules, {mode} {clients}, to none");
            target(what, measured, AtMost(1.1))
        };
        targets.extend(routing::CLIENTS.iter().map(of));
    }
    targets.push(target(
        "CPU per SCRAM login, to pgbouncer".to_owned(),
        ratio("login", "cpu us", Pgbouncer),
        AtMost(1.0),
    ));
    targets.push(target(
        "throughput of 1 GB, to haproxy".to_owned(),
        ratio("relay", "MB/s", Haproxy),
        AtLeast(0.9),
    ));
    targets.extend(of_the_cache(records));
    targets
}

/// What its result cache promises, at each level.
fn of_the_cache(records: &Records) -> Vec<Target> {
    let mut targets: Vec<Target> = Vec::new();
    for case in cases::all().iter().filter(|case| case.clients == 16) {
        let mut target = |what: &str, metric, to: Kind, bound| {
            let worse = if matches!(bound, AtMost(_)) { f64::max } else { f64::min };
            let measured = table::worst(records, case, metric, to, worse);
            targets.push(Target { what: format!("{what}, {}, {}", case.mode, to_whom(to)), measured, bound });
        };
        match case.what {
            What::Hot => {
                target("CPU of a hit", "cpu s/M", Redis, AtMost(1.3));
                target("throughput of hits", "tps", Direct, AtLeast(least_to_direct(case)));
                target("throughput of hits", "tps", Pgpool, AtLeast(1.0));
            }
            What::Slow => target("throughput, statement of 5 ms", "tps", Direct, AtLeast(50.0)),
            What::Miss => target("CPU of a miss", "cpu s/M", Pgweir, AtMost(1.08)),
            What::Fill => target("CPU of misses, half stored", "cpu s/M", Pgweir, AtMost(1.08)),
            What::Write => target("CPU of a write", "cpu s/M", Pgweir, AtMost(1.1)),
        }
    }
    let what = "hits of reads, Zipf 0.99, 5 % writes, session, %".to_owned();
    targets.push(Target { what, measured: table::hit_ratio(records), bound: AtLeast(88.0) });
    targets
}

/// PostgreSQL answers a prepared statement twice as fast.
fn least_to_direct(case: &Case) -> f64 {
    if case.mode == "simple" { 2.0 } else { 1.2 }
}

fn to_whom(kind: Kind) -> &'static str {
    match kind {
        Direct => "to direct",
        Pgpool => "to pgpool-II",
        Redis => "to a Redis GET",
        _ => "to the cache off",
    }
}
