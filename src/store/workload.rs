//! What the file knows of statements, as advice wants it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::file::Trouble;
use super::read::{self, History};
use super::samples::Stored;
use super::turns;
use crate::advice::{Habits, Observed, Origin, Sample, Workload};
use crate::stats::tally::{Sums, TOTAL, Who};

/// What was seen of the statements of databases since a time, in seconds since 1970; of one, or of all.
///
/// # Errors
/// When the file cannot be read, or is not one of pgweir's.
pub fn workload(path: &Path, since: i64, database: Option<&str>) -> Result<Workload, Trouble> {
    of_history(path, &read::since(path, since)?, (since, i64::MAX), database)
}

/// The same of what was read of the file in that time. Of statements with their values there are those whose values are all in clear
/// (`history.clear_values`).
///
/// # Errors
/// As [`workload`].
pub fn of_history(
    path: &Path,
    history: &History,
    (since, until): (i64, i64),
    database: Option<&str>,
) -> Result<Workload, Trouble> {
    let mut shapes = shapes(history, database);
    // What is of the last minute is of all of it, though that may not be over.
    let window =
        history.between.map_or(0, |(from, to)| (to.min(until.max(from + 1)) - from.max(since)).max(1));
    for sample in read::samples(path, database)? {
        let Some(observed) = shapes.get_mut(&sample.fingerprint) else { continue };
        match in_clear(&sample) {
            Some(sample) => observed.samples.push(sample),
            None if observed.types.is_empty() || sample.origin == NEWEST => observed.types = sample.types,
            None => {}
        }
    }
    shapes.values_mut().for_each(|observed| as_sent_now(&mut observed.samples));
    for (fingerprint, caller, calls) in read::callers(path, since, database)? {
        if let Some(observed) = shapes.get_mut(&fingerprint) {
            observed.habits.callers.push((caller, calls));
        }
    }
    for (fingerprint, turn) in turns::turns(path, (since, until), database)? {
        if let Some(observed) = shapes.get_mut(&fingerprint) {
            observed.turn = Some(turn);
        }
    }
    Ok(Workload { window: Duration::from_secs(window as u64), shapes: shapes.into_values().collect() })
}

/// The sample that came last, as the file names it.
const NEWEST: &str = "newest";

fn shapes(history: &History, database: Option<&str>) -> BTreeMap<u128, Observed> {
    let mut shapes: BTreeMap<u128, Observed> = BTreeMap::new();
    let mut by: BTreeMap<u128, Vec<(Who, u64, u64)>> = BTreeMap::new();
    for (who, fingerprint, text, sums) in history.counted.lines() {
        if fingerprint == 0 || database.is_some_and(|name| name != who.database) {
            continue;
        }
        let observed = shapes.entry(fingerprint).or_default();
        (observed.fingerprint, observed.text) = (fingerprint, text.to_string());
        observed.sums.merge(sums);
        by.entry(fingerprint).or_default().push((who.clone(), sums.micros[TOTAL], sums.calls));
    }
    for (fingerprint, mut senders) in by {
        let Some(observed) = shapes.get_mut(&fingerprint) else { continue };
        senders.sort_by(|one, other| (other.1, other.2, &one.0).cmp(&(one.1, one.2, &other.0)));
        observed.by = senders.into_iter().map(|(who, _, calls)| (who, calls)).collect();
        observed.habits = habits(&observed.sums);
    }
    shapes
}

/// Leaves out samples whose values were sent as other types than those of the newest: an application that was repaired is not told again.
pub fn as_sent_now(samples: &mut Vec<Sample>) {
    let newest = samples.iter().find(|one| one.origin == Origin::Newest);
    if let Some(types) = newest.map(|newest| newest.types.clone()) {
        samples.retain(|one| one.types == types);
    }
}

/// How statements came, by what was counted: one outside of a block is a transaction of its own.
pub fn habits(sums: &Sums) -> Habits {
    let own = &sums.habits;
    Habits {
        transactions: own.blocks + sums.calls.saturating_sub(own.inside),
        most_in_one: own.most.max(u64::from(sums.calls > 0)),
        in_loops: own.loops,
        looped: own.looped,
        callers: vec![],
    }
}

fn in_clear(stored: &Stored) -> Option<Sample> {
    let origin = match stored.origin.as_str() {
        "frequent" => Origin::Frequent,
        "slowest" => Origin::Slowest,
        "rare" => Origin::Rare,
        NEWEST => Origin::Newest,
        _ => return None,
    };
    let values = stored.in_clear()?;
    Some(Sample {
        origin,
        text: stored.text.clone(),
        values,
        types: stored.types.clone(),
        micros: Some(stored.micros),
    })
}
