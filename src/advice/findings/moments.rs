//! What has changed with time, and what transactions do besides statements: of inputs that are no statement's own.

use super::{Fix, code};
use crate::advice::{Price, Proof};
use crate::stats::tally::{Sums, TOTAL};

/// One side of a moment.
#[derive(Debug, Clone, Default)]
pub struct Era {
    /// What was counted of the shape.
    pub sums: Sums,
    /// The hash of its plan's form, where one was taken.
    pub plan: Option<u64>,
    /// Rows of the largest table that it reads, where that is known.
    pub table_rows: Option<f64>,
    /// The version of the application, as its tags say.
    pub deploy: Option<String>,
}

/// Calls on each side of a moment.
const CALLS: u64 = 30;
/// So many times as slow, and so many microseconds more.
const SLOWER: f64 = 2.0;
const MORE: f64 = 10_000.0;

/// A shape that has become slower: what was counted before a moment and after it, and the best guess why.
pub fn plan_regression(fingerprint: u128, before: &Era, after: &Era) -> Option<Fix> {
    let late = |era: &Era| era.sums.quantile(TOTAL, 0.95).map(|micros| micros as f64);
    let (was, is) = (late(before)?, late(after)?);
    let enough = before.sums.timed >= CALLS && after.sums.timed >= CALLS;
    if !enough || is < was * SLOWER || is - was < MORE {
        return None;
    }
    let mean = |era: &Era, clock: usize| era.sums.micros[clock] as f64 / era.sums.timed.max(1) as f64;
    let rows = |era: &Era| era.sums.rows as f64 / era.sums.calls.max(1) as f64;
    let mut causes = vec![];
    if let (Some(one), Some(other)) = (before.plan, after.plan)
        && one != other
    {
        causes.push("its plan is another one".to_owned());
    }
    if rows(after) > rows(before).max(1.0) * SLOWER {
        causes.push(format!("it gives {:.0} rows a call instead of {:.0}", rows(after), rows(before)));
    }
    if let (Some(one), Some(other)) = (before.table_rows, after.table_rows)
        && other > one * 1.5
    {
        causes.push(format!("its table has grown from {one:.0} rows to {other:.0}"));
    }
    let more = |clock: usize| mean(after, clock) - mean(before, clock);
    if more(0) > more(TOTAL) * 0.5 {
        causes.push("most of it is waiting for a server of the pool".to_owned());
    }
    if more(3) > more(TOTAL) * 0.5 {
        causes.push("most of it is the client's".to_owned());
    }
    if let (Some(one), Some(other)) = (&before.deploy, &after.deploy)
        && one != other
    {
        causes.push(format!("the application went from {one} to {other}"));
    }
    let mut evidence = vec![format!(
        "one call in twenty took {:.1} ms or more, and takes {:.1} ms now ({} calls before, {} since)",
        was / 1e3,
        is / 1e3,
        before.sums.timed,
        after.sums.timed
    )];
    evidence.extend(causes.iter().map(|cause| format!("at the same time: {cause}")));
    let change = match causes.first() {
        Some(cause) => format!("look at what changed first: {cause}"),
        None => "nothing else is seen to have changed: look at the database's load, locks and settings of that time".to_owned(),
    };
    let saves = Some((more(TOTAL) * after.sums.timed as f64 / 1e6).max(0.0));
    Some(fix(
        "plan_regression",
        "it has become slower".to_owned(),
        evidence,
        change,
        vec![fingerprint],
        saves,
    ))
}

/// Transactions of one kind: of one application or one place in it.
#[derive(Debug, Clone, Default)]
pub struct Transactions {
    /// Who sends them, for the title.
    pub caller: String,
    /// How many there were.
    pub count: u64,
    /// Statements in them.
    pub statements: u64,
    /// Seconds that they were open, all together.
    pub seconds: f64,
    /// Of these, seconds in which the server had a statement.
    pub busy: f64,
    /// The longest time, in seconds, that one was open without a statement.
    pub longest_idle: f64,
}

/// What there is to find of transactions. What each saves is in seconds of the time that was looked at.
pub fn of_transactions(all: &[Transactions]) -> Vec<Fix> {
    all.iter().flat_map(|one| [chatty(one), idle(one)]).flatten().collect()
}

fn chatty(one: &Transactions) -> Option<Fix> {
    let each = one.statements as f64 / one.count.max(1) as f64;
    let between = one.seconds - one.busy;
    let gap = between / one.statements.max(1) as f64;
    // A long time between statements is no conversation, but idleness.
    if one.count < 10 || each < 20.0 || between < one.seconds * 0.5 || gap > 0.05 {
        return None;
    }
    let evidence = vec![
        format!(
            "{} transactions of {each:.0} statements on average; {:.0} % of their time is between statements, {:.2} ms each",
            one.count,
            between / one.seconds.max(1e-9) * 100.0,
            gap * 1e3
        ),
        "saves: half of the time between statements, which is held servers and locks rather than work"
            .to_owned(),
    ];
    let title = format!("fewer statements in the transactions of {}", one.caller);
    let change = "put statements together (lists, joins, RETURNING), send them in a pipeline, or do the work in the database".to_owned();
    Some(fix("chatty_transaction", title, evidence, change, vec![], Some(between * 0.5)))
}

fn idle(one: &Transactions) -> Option<Fix> {
    let between = one.seconds - one.busy;
    let mean = between / one.count.max(1) as f64;
    let chatter = between / one.statements.max(1) as f64;
    let long = one.longest_idle >= 60.0;
    if one.count == 0 || !(long || (mean >= 1.0 && chatter > 0.05)) {
        return None;
    }
    let evidence = vec![format!(
        "{} transactions are open without a statement for {mean:.1} s on average, {:.0} s at the longest: they hold a server, their locks, and dead rows of the whole database",
        one.count, one.longest_idle
    )];
    let title = format!("close the transactions of {} sooner", one.caller);
    let change = "keep calls to other systems and waiting for people out of transactions; idle_in_transaction_session_timeout ends those that are forgotten".to_owned();
    Some(fix("idle_in_transaction", title, evidence, change, vec![], None))
}

fn fix(
    name: &'static str,
    title: String,
    evidence: Vec<String>,
    change: String,
    helps: Vec<u128>,
    saves: Option<f64>,
) -> Fix {
    let action = code(change, None);
    Fix { code: name, title, evidence, action, helps, saves, price: Price::default(), proof: Proof::Pattern }
}
