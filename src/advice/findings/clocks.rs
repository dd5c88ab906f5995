//! What the five clocks say.

use super::{Fix, Seen, code};
use crate::advice::scan::{Scan, Test};
use crate::stats::tally::TOTAL;

/// Places in the clocks.
const WAIT: usize = 0;
const FIRST: usize = 1;
const DRAIN: usize = 3;
/// Calls that a share is reckoned of.
const CALLS: u64 = 50;

pub(super) fn clocks(seen: &Seen<'_>, fixes: &mut Vec<Fix>) {
    if seen.observed.sums.timed < CALLS {
        return;
    }
    fixes.extend(starved(seen));
    fixes.extend(slow_client(seen));
    fixes.extend(locks(seen));
}

fn seconds(seen: &Seen<'_>, clock: usize) -> f64 {
    seen.observed.sums.micros[clock] as f64 / 1e6
}

fn millis(seen: &Seen<'_>, clock: usize, share: f64) -> f64 {
    seen.observed.sums.quantile(clock, share).unwrap_or_default() as f64 / 1e3
}

fn starved(seen: &Seen<'_>) -> Option<Fix> {
    let (waited, late) = (seconds(seen, WAIT), millis(seen, WAIT, 0.95));
    let share = waited / seconds(seen, TOTAL).max(1e-9);
    if late < 20.0 || share < 0.2 {
        return None;
    }
    let evidence = vec![
        format!("{:.0} % of the time of its {} calls is waiting for a server, {waited:.1} s; one in twenty waits {late:.0} ms or more", share * 100.0, seen.observed.sums.calls),
        "saves: the waiting, if the database has room for more at once; if its processors are busy, make statements shorter first".to_owned(),
    ];
    let who = seen.observed.by.first().map(|(who, _)| format!(" of {}", who.database)).unwrap_or_default();
    let change = format!(
        "raise the pool's size{who}, or shorten the transactions that hold its servers (SHOW POOLS tells which)"
    );
    let title = format!("more servers for the pool{who}");
    Some(seen.fix("pool_starved", title, evidence, code(change, None), Some(waited)))
}

fn slow_client(seen: &Seen<'_>) -> Option<Fix> {
    let drained = seconds(seen, DRAIN);
    let share = drained / seconds(seen, TOTAL).max(1e-9);
    let mean = drained * 1e3 / seen.observed.sums.timed.max(1) as f64;
    if share < 0.33 || mean < 100.0 {
        return None;
    }
    let application = seen.observed.by.first().map(|(who, _)| who.application.clone()).unwrap_or_default();
    let evidence = vec![format!(
        "{:.0} % of its time, {mean:.0} ms a call, the client takes to accept an answer of {:.0} kB that is there already",
        share * 100.0,
        seen.per_call(seen.observed.sums.bytes) / 1e3
    )];
    let change = format!(
        "read answers at once and work on them afterwards, fetch less, or move {} nearer",
        if application.is_empty() { "the client" } else { &application }
    );
    Some(seen.fix(
        "slow_client",
        "the client is slow to take its rows".to_owned(),
        evidence,
        code(change, None),
        None,
    ))
}

/// A change of one row by its key that takes long now and then; or errors that locks make.
fn locks(seen: &Seen<'_>) -> Option<Fix> {
    let sums = &seen.observed.sums;
    let failed: u64 =
        sums.errors.iter().filter(|(class, _)| matches!(class, b"40" | b"55")).map(|(_, count)| count).sum();
    let often = failed >= 5 && failed as f64 >= 0.01 * sums.calls as f64;
    let (usual, late) = (millis(seen, FIRST, 0.5), millis(seen, FIRST, 0.95));
    let by_key = seen.first().is_some_and(|found| found.scans.len() == 1 && is_by_key(seen, &found.scans[0]));
    let waits = by_key && late >= 200.0 && late >= 100.0 * usual.max(0.05);
    if !often && !waits {
        return None;
    }
    let mut evidence = vec![];
    if waits {
        evidence.push(format!(
            "it changes one row that it finds by its key: half of its calls take {usual:.1} ms, and one in twenty {late:.0} ms or more, which is time behind somebody's lock"
        ));
    }
    if often {
        evidence.push(format!("{failed} of {} calls failed with errors of class 40 or 55 (deadlock, serialization, lock not available)", sums.calls));
    }
    let change = "shorten the transactions that change these rows: change the row last, take rows in one order, keep calls to other systems out; pg_blocking_pids tells who blocks";
    Some(seen.fix("lock_wait", "it waits for locks".to_owned(), evidence, code(change, None), None))
}

fn is_by_key(seen: &Seen<'_>, scan: &Scan) -> bool {
    let Some(table) = seen.table(scan).filter(|_| scan.changed) else { return false };
    table.indexes.iter().filter(|index| index.definition.unique && index.definition.predicate.is_none()).any(
        |index| {
            index.definition.keys.iter().all(|key| {
                scan.conditions.iter().any(|one| {
                    one.test == Test::Equal
                        && one.what.as_column().is_some_and(|column| key.name() == Some(&column.name))
                })
            })
        },
    )
}
