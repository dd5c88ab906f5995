//! What pgweir itself can do: rules for the result cache and for routing, in shadow mode, so that they count what they would do before they do it.

use std::collections::BTreeMap;

use super::Seen;
use crate::advice::scan::{Found, Other, Test, of_observed};
use crate::advice::{Action, Fix, Observed, Schema, Workload};
use crate::stats::tally::{Served, TOTAL};

/// Calls a second, rows and bytes of a call, and the least time of one, of a read that is worth keeping.
const RATE: f64 = 1.0;
const ROWS: f64 = 100.0;
const BYTES: f64 = 65_536.0;
const MILLIS: f64 = 0.2;
/// Reads for each write to a table.
const READS: f64 = 50.0;
/// Answers are kept so long at most, in seconds: what stands in the rule.
const KEPT: f64 = 600.0;
/// What less of the calls would be answered from, nothing is said to be saved by.
const HITS: f64 = 0.5;
/// A read that is long, in milliseconds, and how much of the database's time it has.
const LONG: f64 = 50.0;
const SHARE: f64 = 0.02;
/// Functions whose answer is another one each time.
const VOLATILE: &[&str] = &[
    "random",
    "gen_random_uuid",
    "uuid_generate_v4",
    "nextval",
    "currval",
    "now",
    "clock_timestamp",
    "statement_timestamp",
    "transaction_timestamp",
    "timeofday",
    "pg_advisory_lock",
    "pg_sleep",
    "set_config",
];

/// Rules for the workload's reads.
pub(super) fn rules(workload: &Workload, schema: &Schema) -> Vec<Fix> {
    let mut shapes: Vec<(&Observed, Vec<Found>)> =
        workload.shapes.iter().map(|observed| (observed, of_observed(observed, schema))).collect();
    shapes.sort_by_key(|(observed, _)| observed.fingerprint);
    let mut writes: BTreeMap<u32, u64> = BTreeMap::new();
    // A change that is not understood may be of any table.
    let mut unknown = 0;
    for (observed, found) in &shapes {
        match found.first() {
            Some(found) => found.writes.iter().for_each(|(table, _)| {
                *writes.entry(*table).or_default() += observed.sums.calls;
            }),
            None if may_write(&observed.text) => unknown += observed.sums.calls,
            None => {}
        }
    }
    let replicas = shapes.iter().any(|(observed, _)| observed.sums.served[Served::Replica as usize] > 0);
    let all: u64 = shapes.iter().map(|(observed, _)| observed.sums.micros[TOTAL]).sum();
    let mut fixes = vec![];
    for (observed, found) in &shapes {
        let seen = Seen { observed, found, schema, plans: &[] };
        if let Some(fix) = cache(&seen, workload, &writes, unknown) {
            fixes.push(fix);
        } else if replicas {
            fixes.extend(replica(&seen, all as f64 / 1e6));
        }
    }
    fixes
}

fn may_write(text: &str) -> bool {
    use crate::sql::facts::Class;
    let class = crate::sql::facts(text.as_bytes(), true, &crate::sql::shape(text.as_bytes(), true)).class;
    !matches!(class, Class::Select | Class::Transaction | Class::Session | Class::Explain | Class::Utility)
}

/// A read that gives the same to everybody who asks at one time, as far as the statement shows.
fn is_plain_read(found: &Found) -> bool {
    found.reads_only
        && !found.scans.is_empty()
        && !found.calls.iter().any(|name| VOLATILE.contains(&name.as_str()))
}

fn cache(seen: &Seen<'_>, workload: &Workload, writes: &BTreeMap<u32, u64>, unknown: u64) -> Option<Fix> {
    let found = seen.first().filter(|found| is_plain_read(found))?;
    let sums = &seen.observed.sums;
    let asked = sums.calls - sums.served[Served::Cache as usize].min(sums.calls);
    let rate = asked as f64 / workload.window.as_secs_f64().max(1.0);
    let small = seen.per_call(sums.rows) <= ROWS && seen.per_call(sums.bytes) <= BYTES;
    let (changed, tables) = written(seen, found, writes)?;
    let changed = changed + unknown;
    if rate < RATE || !small || seen.mean() < MILLIS || (asked as f64) < READS * changed.max(1) as f64 {
        return None;
    }
    let values = distinct_values(seen);
    let evidence = vec![
        format!("{asked} calls ({rate:.1} a second) of {:.2} ms, {:.1} rows and {:.1} kB each", seen.mean(), seen.per_call(sums.rows), seen.per_call(sums.bytes) / 1e3),
        format!("{changed} writes to {} were seen through pgweir in the same time, one for {:.0} reads", tables.join(", "), asked as f64 / changed.max(1) as f64),
        values,
        "level session: a session sees what it has written; in shadow the rule only counts what it would do. What it saves, these counts tell".to_owned(),
    ];
    let hits = hits(seen, found, asked as f64, changed as f64, workload.window.as_secs_f64());
    let saves = hits.map(|(_, hits)| seen.seconds() * hits);
    let said = hits.map(|(sets, hits)| {
        format!("its columns have {sets:.0} sets of values at most; were each asked anew after every one of these writes and every {:.0} minutes, {:.0} % of the calls were answered from memory", KEPT / 60.0, hits * 100.0)
    });
    let evidence = evidence.into_iter().chain(said).collect();
    let then = "cache = { level = \"session\", ttl_cap = \"10m\", max_rows = 1000 }";
    let rule = rule("cache", seen, then);
    let title = format!("keep the answers of a read of {}", tables.join(", "));
    Some(seen.fix("cache", title, evidence, Action::Rule(rule), saves))
}

/// How many sets of values there are, and which part of the calls would be hits at least; `None` where that is not known, or few would.
fn hits(seen: &Seen<'_>, found: &Found, asked: f64, changed: f64, window: f64) -> Option<(f64, f64)> {
    let mut sets = 1.0;
    let mut known = 0;
    for scan in &found.scans {
        let table = seen.table(scan)?;
        for condition in scan.all_conditions() {
            match (&condition.test, &condition.other) {
                (_, Other::Join(_)) => {}
                (Test::Equal, _) => {
                    let column = table.column(&condition.what.as_column()?.name)?;
                    sets *= column.statistics.as_ref()?.distinct.max(1.0);
                    known += 1;
                }
                _ => return None,
            }
        }
    }
    if crate::advice::samples::parameters(&seen.observed.text) != known {
        return None;
    }
    let misses = sets * (changed + 1.0 + window / KEPT);
    let hits = 1.0 - misses / asked.max(1.0);
    (hits >= HITS).then_some((sets, hits))
}

/// Writes seen to the tables that it reads, and their names. `None` where it reads what is no table, whose writes nobody sees.
fn written(seen: &Seen<'_>, found: &Found, writes: &BTreeMap<u32, u64>) -> Option<(u64, Vec<String>)> {
    let mut oids: Vec<u32> = found.scans.iter().map(|scan| scan.table).collect();
    oids.sort_unstable();
    oids.dedup();
    let tables: Vec<_> = oids.iter().filter_map(|oid| seen.schema.table(*oid)).collect();
    let plain = tables.iter().all(|table| matches!(table.kind, 'r' | 'p'));
    let facts =
        crate::sql::facts(seen.text().as_bytes(), true, &crate::sql::shape(seen.text().as_bytes(), true));
    if !plain || !facts.understood || facts.tables.len() != tables.len() {
        return None;
    }
    let count = oids.iter().map(|oid| writes.get(oid).copied().unwrap_or_default()).sum();
    Some((count, tables.iter().map(|table| table.name.clone()).collect()))
}

fn distinct_values(seen: &Seen<'_>) -> String {
    let mut all: Vec<_> = seen.observed.samples.iter().map(|sample| (&sample.text, &sample.values)).collect();
    all.sort_unstable();
    all.dedup();
    format!(
        "{} sets of values are among its {} samples; each is an answer of its own",
        all.len().max(1),
        seen.observed.samples.len()
    )
}

fn replica(seen: &Seen<'_>, all: f64) -> Option<Fix> {
    let found = seen.first().filter(|found| is_plain_read(found))?;
    let sums = &seen.observed.sums;
    let primary = sums.served[Served::Primary as usize];
    let share = seen.seconds() / all.max(1e-9);
    // One of a transaction that writes has to see what it has written.
    let alone = seen.observed.habits.most_in_one <= 1 && seen.observed.habits.transactions > 0;
    if primary * 2 < sums.calls || seen.mean() < LONG || share < SHARE || !alone || found.scans.is_empty() {
        return None;
    }
    let evidence = vec![
        format!("{primary} of {} calls ran on the primary, {:.1} ms each, {:.1} % of all statements' time", sums.calls, seen.mean(), share * 100.0),
        "other reads are seen to go to replicas; consistency session keeps what the session has written in sight".to_owned(),
    ];
    let rule = rule("replica", seen, "route = \"replica\", consistency = \"session\"");
    Some(seen.fix(
        "replica",
        "let a long read run on a replica".to_owned(),
        evidence,
        Action::Rule(rule),
        None,
    ))
}

/// A rule file for one shape, in shadow.
fn rule(kind: &str, seen: &Seen<'_>, then: &str) -> String {
    let fingerprint = format!("{:032x}", seen.observed.fingerprint);
    let text: String =
        seen.observed.text.chars().map(|one| if one.is_control() { ' ' } else { one }).take(300).collect();
    let database = match seen.observed.by.first() {
        Some((who, _)) if !who.database.is_empty() => format!("database = {}, ", in_quotes(&who.database)),
        _ => String::new(),
    };
    format!(
        "# {text}\n[[rule]]\nname = \"{kind}-{}\"\nwhen = {{ {database}class = \"read\", fingerprint = \"{fingerprint}\" }}\nthen = {{ {then} }}\nmode = \"shadow\"\n",
        &fingerprint[..12]
    )
}

/// A string of TOML, whatever is in it.
fn in_quotes(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
