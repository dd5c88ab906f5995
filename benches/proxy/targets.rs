//! What pgweir promises to cost, and whether this run bears it out.

use crate::peers::Kind::{Haproxy, Pgbouncer, Pgweir, Routed};
use crate::report::Records;
use crate::routing;

/// A promise and what was measured of it.
struct Target {
    what: String,
    measured: Option<f64>,
    bound: Bound,
}

enum Bound {
    AtMost(f64),
    AtLeast(f64),
}
use Bound::{AtLeast, AtMost};

/// Prints each target with its verdict; nothing if pgweir was not measured.
pub fn print(records: &Records) {
    let targets = all(records);
    if targets.iter().all(|target| target.measured.is_none()) {
        return;
    }
    println!("\ntargets");
    for Target { what, measured, bound } in targets {
        let (sign, limit) = match bound {
            AtMost(limit) => ("<=", limit),
            AtLeast(limit) => (">=", limit),
        };
        let verdict = match (measured, bound) {
            (None, _) => "not measured",
            (Some(value), AtMost(limit)) if value <= limit => "pass",
            (Some(value), AtLeast(limit)) if value >= limit => "pass",
            _ => "FAIL",
        };
        let measured = measured.map_or("-".to_owned(), |value| format!("{value:.2}"));
        println!("  {what:<58} {measured:>7} {sign} {limit:<5} {verdict}");
    }
}

fn all(records: &Records) -> Vec<Target> {
    let target = |what: String, measured, bound| Target { what, measured, bound };
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
    let measured = ratio("simple 1", "latency ms", Pgbouncer);
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
    targets
}
