//! What is shown of the cache, and what of it may be called a measurement.

use super::cases::{self, Case, What};
use super::{LEVELS, ratio};
use crate::peers::Kind;
use crate::report::{Records, cell};
use crate::targets::NOT_MEASURED;

/// Of what is asked twice, half is kept, or a little less where another session's change came between.
const HALF: std::ops::RangeInclusive<f64> = 40.0..=55.0;

/// In the order in which the table has them.
const KINDS: [Kind; 6] = [Kind::Direct, Kind::Pgpool, Kind::Redis, Kind::Pgweir, Kind::Session, Kind::Strict];

/// Prints each case, with the ratios of the level `session`; nothing if none was measured.
pub fn print(records: &Records) {
    let head = KINDS.map(|kind| format!("{:>10}", kind.name())).concat();
    let ratios = KINDS[..4].iter().map(|kind| format!("{:>10}", format!("/{}", kind.name())));
    let ratios = ratios.collect::<String>();
    let mut first = true;
    let mut line = |case: &str, metric: &str, fault: Option<&str>| {
        let values = KINDS.map(|kind| records.median(case, metric, kind));
        if values.iter().all(Option::is_none) {
            return;
        }
        if std::mem::take(&mut first) {
            println!("\n{:<24} {:<11}{head}   session: {ratios}", "case", "metric");
        }
        let values = values.map(|value| format!("{:>10}", cell(value))).concat();
        let ratio = |kind: &Kind| records.ratio(case, metric, Kind::Session, *kind);
        let ratios = KINDS[..4].iter().map(|kind| format!("{:>10}", cell(ratio(kind)))).collect::<String>();
        println!("{case:<24} {metric:<11}{values}            {}", fault.unwrap_or(&ratios));
    };
    for case in cases::all() {
        let (name, fault) = (case.name(), fault(records, &case, Kind::Session));
        for metric in ["cpu s/M", "tps", "latency ms"] {
            line(&name, metric, fault.as_deref());
        }
        line(&name, "hits %", Some(""));
        line(&name, "kept %", Some(""));
    }
    let fault = hit_ratio(records).err().unwrap_or_default();
    for (case, fault) in [(ratio::CASE, fault.as_str()), (ratio::BUSY, "")] {
        let misses = ratio::MISSES.iter().map(|(_, metric)| *metric);
        for metric in ["tps", "latency ms", "writes %", "hits %"].into_iter().chain(misses) {
            line(case, metric, Some(fault));
        }
    }
}

/// The worse of both levels' ratios to `to`, which a promise for any level is about; why it is none, if it is not what the case means.
pub fn worst(
    records: &Records,
    case: &Case,
    metric: &str,
    to: Kind,
    worse: fn(f64, f64) -> f64,
) -> Result<f64, String> {
    let name = case.name();
    let mut worst = None;
    for level in LEVELS.into_iter().chain([to]) {
        if let Some(fault) = fault(records, case, level) {
            return Err(fault);
        }
    }
    for level in LEVELS {
        let ratio = records.ratio(&name, metric, level, to).ok_or(NOT_MEASURED)?;
        worst = Some(worst.map_or(ratio, |worst| worse(worst, ratio)));
    }
    worst.ok_or_else(|| NOT_MEASURED.to_owned())
}

/// The share of reads that the cache has answered, percent.
pub fn hit_ratio(records: &Records) -> Result<f64, String> {
    if let Some(fault) = no_hits(records, ratio::CASE, Kind::Session, "hits %") {
        return Err(fault.to_owned());
    }
    // Where the machine does not keep up, the writes that go around the proxy become too many.
    let mut shares = records.values(ratio::CASE, "writes %", Kind::Session);
    if let Some(share) = shares.find(|share| !ratio::WRITES_SHARE.contains(share)) {
        return Err(format!("{share:.1} % writes: not a measurement"));
    }
    records.median(ratio::CASE, "hits %", Kind::Session).ok_or_else(|| NOT_MEASURED.to_owned())
}

/// Why what was measured of `kind` says nothing of its cache, if so.
fn fault(records: &Records, case: &Case, kind: Kind) -> Option<String> {
    let name = case.name();
    if let Some(fault) = no_hits(records, &name, kind, "warm hits") {
        return Some(fault.to_owned());
    }
    let mut shares = records.values(&name, "hits %", kind);
    let wrong = match case.what {
        What::Hot | What::Slow => shares.find(|share| *share < 95.0),
        What::Miss => shares.find(|share| *share > 2.0),
        // One key in twenty is taken for one that was here before: it is kept at once, and then a hit.
        What::Fill => shares.find(|share| *share > 6.0),
        What::Write => None,
    };
    let wrong = wrong.map(|share| format!("{share:.0} % hits: not a measurement"));
    let mut kept = records.values(&name, "kept %", kind);
    let few = kept.find(|share| case.what == What::Fill && !HALF.contains(share));
    wrong.or_else(|| few.map(|share| format!("{share:.0} % kept: not a measurement")))
}

/// Whether there was a round in which the cache answered nothing where it should have.
fn no_hits(records: &Records, case: &str, kind: Kind, metric: &str) -> Option<&'static str> {
    records.values(case, metric, kind).any(|hits| hits <= 0.0).then_some("no hits: not a measurement")
}
