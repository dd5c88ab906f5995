//! What has become slower, from when on, and what else changed at the time.

use std::collections::BTreeSet;
use std::time::{Duration, UNIX_EPOCH};

use super::{Fix, Seen, code};
use crate::advice::Proof;
use crate::advice::form::Planned;
use crate::advice::turn::{Era, KnownPlan, Turn};
use crate::stats::calendar::timestamp;
use crate::stats::tally::TOTAL;

/// Places in the clocks.
const WAIT: usize = 0;
const DRAIN: usize = 3;
/// So many times as many rows come, or are there.
const MORE_ROWS: f64 = 2.0;
const GROWN: f64 = 1.5;

pub(super) fn moments(seen: &Seen<'_>, fixes: &mut Vec<Fix>) {
    fixes.extend(seen.observed.turn.as_ref().and_then(|turn| plan_regression(seen, turn)));
}

/// A shape that has become slower: what was counted before a moment and after it, and the best guess why.
fn plan_regression(seen: &Seen<'_>, turn: &Turn) -> Option<Fix> {
    let (before, after) = (&turn.before, &turn.after);
    let late = |era: &Era| era.sums.quantile(TOTAL, 0.95).map(|micros| micros as f64 / 1e3);
    let (was, is) = (late(before)?, late(after)?);
    let mut causes: Vec<String> = plans(seen, turn).into_iter().collect();
    causes.extend(rows(before, after));
    causes.extend(growth(seen, turn));
    causes.extend(waits(before, after));
    causes.extend(deploy(before, after));
    let mut evidence = vec![format!(
        "since {} one call in twenty takes {is:.1} ms or more, and took {was:.1} ms before ({} calls before, {} since)",
        moment(turn.at),
        before.sums.timed,
        after.sums.timed
    )];
    evidence.extend(causes.iter().map(|cause| format!("at the same time: {cause}")));
    let change = match causes.first() {
        Some(cause) => format!("look at what changed first: {cause}"),
        None => "nothing else is seen to have changed: look at the database's load, locks and settings of that time".to_owned(),
    };
    evidence.push("saves: what its calls have taken longer since then".to_owned());
    let longer = mean(after, TOTAL) - mean(before, TOTAL);
    // All of its calls in the time that is looked at take what those since the moment do.
    let saves = (longer * seen.observed.sums.timed.min(after.sums.timed) as f64 / 1e6).max(0.0);
    let title = format!("it has become slower: {}", seen.words());
    let fix = seen.fix("plan_regression", title, evidence, code(change, None), Some(saves));
    Some(Fix { proof: Proof::Measured, ..fix })
}

fn mean(era: &Era, clock: usize) -> f64 {
    era.sums.micros[clock] as f64 / era.sums.timed.max(1) as f64
}

/// A plan that was not seen before, in the place of all that were.
fn plans(seen: &Seen<'_>, turn: &Turn) -> Option<String> {
    let now = seen.plans.iter().filter(|plan| !super::estimates::is_generic(plan));
    let now: Vec<Planned> =
        now.map(|plan| Planned::of(seen.observed.fingerprint, plan, seen.schema)).collect();
    let before: Vec<&KnownPlan> = turn.plans.iter().filter(|known| known.seen.0 < turn.at).collect();
    let since = turn.plans.iter().filter(|known| known.seen.1 >= turn.at).map(|known| known.planned.hash);
    let since: BTreeSet<u64> = since.chain(now.iter().map(|plan| plan.hash)).collect();
    let stays = before.iter().any(|known| since.contains(&known.planned.hash));
    let (was, is) = (before.iter().max_by_key(|known| known.seen.1)?, now.first()?);
    (!stays).then(|| format!("its plan is {}, and was {}", is.form, was.planned.form))
}

fn rows(before: &Era, after: &Era) -> Option<String> {
    let each = |era: &Era| era.sums.rows as f64 / era.sums.calls.max(1) as f64;
    let (was, is) = (each(before), each(after));
    (is > was.max(1.0) * MORE_ROWS).then(|| format!("it gives {is:.0} rows a call, and gave {was:.0}"))
}

/// The largest table that it reads, beside how large that was when its plan was looked at before.
fn growth(seen: &Seen<'_>, turn: &Turn) -> Option<String> {
    let plan = seen.plans.first()?;
    let is = Planned::of(seen.observed.fingerprint, plan, seen.schema).rows;
    let before = turn.plans.iter().filter(|known| known.seen.1 < turn.at);
    let was = before.max_by_key(|known| known.seen.1)?.planned.rows;
    (was > 0.0 && is > was * GROWN).then(|| format!("the table has {is:.0} rows, and had {was:.0}"))
}

fn waits(before: &Era, after: &Era) -> Option<String> {
    let more = |clock| mean(after, clock) - mean(before, clock);
    let most = |clock| more(clock) > more(TOTAL) * 0.5 && more(TOTAL) > 0.0;
    match (most(WAIT), most(DRAIN)) {
        (true, _) => Some("most of it is waiting for a server of the pool".to_owned()),
        (_, true) => Some("most of it is the client, which takes its answers more slowly".to_owned()),
        _ => None,
    }
}

/// Another version of the application, as its name says.
fn deploy(before: &Era, after: &Era) -> Option<String> {
    let names = |these: &Era, those: &Era| {
        let only = these.applications.difference(&those.applications).filter(|name| !name.is_empty());
        only.cloned().collect::<Vec<_>>().join(", ")
    };
    let (gone, new) = (names(before, after), names(after, before));
    (!gone.is_empty() && !new.is_empty()).then(|| format!("{new} sends it, and {gone} did"))
}

/// A moment in UTC, to the minute: parts of time are no shorter.
fn moment(seconds: i64) -> String {
    let text = timestamp(UNIX_EPOCH + Duration::from_secs(seconds.max(0) as u64));
    format!("{} UTC", text.get(..16).unwrap_or(&text))
}
