//! What transactions do besides statements: how often they go there and back, and how long they are open while nothing is asked.

use super::{Fix, Seen, code};

/// Transactions and pauses below which nothing is said.
const TRANSACTIONS: u64 = 10;
const PAUSES: u64 = 3;
/// Round trips of a transaction, but for those of loops, which have a finding of their own.
const TRIPS: f64 = 20.0;
/// So much of a transaction is on the way, in milliseconds, or it does not matter.
const ON_THE_WAY: f64 = 5.0;
/// A longer time between two statements is no conversation but a pause, in milliseconds.
const CONVERSATION: f64 = 50.0;
/// A pause that is one, in seconds on average, and one that is too long by itself.
const PAUSE: f64 = 1.0;
const LONG: f64 = 60.0;

pub(super) fn transactions(seen: &Seen<'_>, fixes: &mut Vec<Fix>) {
    fixes.extend(chatty(seen));
    fixes.extend(idle(seen));
}

/// Who sends them, as far as that is known.
fn caller(seen: &Seen<'_>) -> String {
    let tagged = seen.observed.habits.callers.first().map(|(caller, _)| caller.clone());
    let who = || {
        let (who, _) = seen.observed.by.first()?;
        Some(if who.application.is_empty() { &who.user } else { &who.application }).cloned()
    };
    tagged.or_else(who).filter(|name| !name.is_empty()).map(|name| format!(" of {name}")).unwrap_or_default()
}

fn chatty(seen: &Seen<'_>) -> Option<Fix> {
    let begun = &seen.observed.sums.habits.begun;
    let count = begun.count.max(1) as f64;
    let trips = begun.trips.saturating_sub(begun.looped) as f64;
    let (open, idle) = (begun.micros as f64 / 1e3, begun.idle as f64 / 1e3);
    let each = idle / begun.trips.max(1) as f64;
    // What is on the way for loops is theirs.
    let idle_for_these = each * trips;
    let is_long = idle_for_these / count >= ON_THE_WAY && idle >= open * 0.5;
    if begun.count < TRANSACTIONS || trips / count < TRIPS || !is_long || each > CONVERSATION {
        return None;
    }
    let evidence = vec![
        format!(
            "{} transactions that begin with it: {:.0} statements in {:.0} round trips each, on average",
            begun.count,
            begun.statements as f64 / count,
            begun.trips as f64 / count
        ),
        format!(
            "{:.0} % of the {:.1} ms that each is open is between statements, {each:.2} ms each time, on the way to the client and in it",
            idle / open.max(1e-9) * 100.0,
            open / count
        ),
        "saves: half of that time, in which a server and locks are held and nothing is done; loops of one statement are not in it".to_owned(),
    ];
    let title =
        format!("fewer round trips in the transactions{} that begin with {}", caller(seen), seen.words());
    let change = "put statements together (lists, joins, RETURNING), send those that do not need each other's answers in a pipeline, or do the work in the database";
    Some(seen.fix("chatty_transaction", title, evidence, code(change, None), Some(idle_for_these / 2e3)))
}

fn idle(seen: &Seen<'_>) -> Option<Fix> {
    let rests = &seen.observed.sums.habits.rests;
    let mean = rests.micros as f64 / 1e6 / rests.count.max(1) as f64;
    let longest = rests.longest as f64 / 1e6;
    if longest < LONG && (rests.count < PAUSES || mean < PAUSE) {
        return None;
    }
    let evidence = vec![
        format!(
            "behind it a transaction stays open without a statement for {mean:.1} s on average, {longest:.1} s at the longest, {} times",
            rests.count
        ),
        "all that time it holds a server, its locks, and dead rows of the whole database".to_owned(),
    ];
    let title = format!("no waiting in the transactions{} behind {}", caller(seen), seen.words());
    let change = "commit before waiting: keep calls to other systems, long reckoning and waiting for people out of transactions; \
        idle_in_transaction_session_timeout, or pgweir's idle_in_transaction_timeout, ends those that are forgotten";
    Some(seen.fix("idle_in_transaction", title, evidence, code(change, None), None))
}
