//! `pg_stat_statements`: the sums that the server itself has.

use std::collections::HashMap;
use std::time::Duration;

use super::Log;
use super::gathered::shape_of;
use crate::advice::{Observed, Workload};
use crate::stats::tally::{SERVED, Sums, TOTAL, Who};

/// Asks for what [`statements`] takes. For PostgreSQL 14 and later: 13 has no view of resets.
pub const STATEMENTS_QUERY: &str = "\
SELECT d.datname, u.rolname, s.query, s.calls, s.rows, s.total_exec_time, s.max_exec_time, \
(SELECT pg_catalog.date_part('epoch', i.stats_reset)::pg_catalog.int8 FROM pg_stat_statements_info i), \
pg_catalog.date_part('epoch', pg_catalog.now())::pg_catalog.int8 \
FROM pg_stat_statements s LEFT JOIN pg_catalog.pg_database d ON d.oid = s.dbid \
LEFT JOIN pg_catalog.pg_roles u ON u.oid = s.userid \
ORDER BY s.total_exec_time DESC LIMIT 10000";

/// Puts rows of [`STATEMENTS_QUERY`] together.
///
/// # Errors
/// When there are none, with what to do.
pub fn statements(rows: &[Vec<Option<String>>]) -> Result<Log, String> {
    let mut log = Log::default();
    let mut shapes: HashMap<u128, Observed> = HashMap::new();
    let mut unread = 0_u64;
    for row in rows {
        let text = |at: usize| row.get(at).and_then(Option::as_deref);
        let number =
            |at: usize| text(at).and_then(|text| text.parse::<f64>().ok()).filter(|number| *number >= 0.0);
        // Who may not see a statement is told so in its place.
        let Some(query) = text(2).filter(|query| *query != "<insufficient privilege>") else {
            unread += 1;
            continue;
        };
        let (fingerprint, shape) = shape_of(query);
        let micros = (number(5).unwrap_or(0.0) * 1000.0) as u64;
        let calls = number(3).unwrap_or(0.0) as u64;
        let mut served = [0; SERVED.len()];
        served[0] = calls;
        let sums = Sums {
            calls,
            rows: number(4).unwrap_or(0.0) as u64,
            longest: (number(6).unwrap_or(0.0) * 1000.0) as u64,
            micros: [0, micros, 0, 0, micros],
            served,
            ..Sums::default()
        };
        let name = |at: usize| text(at).unwrap_or_default().to_owned();
        let who = Who { database: name(0), user: name(1), application: String::new() };
        let fresh = || Observed { fingerprint, text: shape.to_string(), ..Observed::default() };
        let one = shapes.entry(fingerprint).or_insert_with(fresh);
        one.sums.merge(&sums);
        one.by.push((who.clone(), calls));
        log.history.counted.add(who, fingerprint, shape, sums);
        if let (Some(reset), Some(now)) = (number(7), number(8)) {
            log.history.between = Some((reset as i64, now as i64));
        }
    }
    if log.history.counted.is_empty() {
        return Err("pg_stat_statements has no statement that may be seen: GRANT pg_read_all_stats TO the user, and let the application run".into());
    }
    if unread > 0 {
        log.notes.push(format!("{unread} statements may not be seen: GRANT pg_read_all_stats TO the user"));
    }
    let (from, to) = log.history.between.unwrap_or_default();
    let mut shapes: Vec<_> = shapes.into_values().collect();
    shapes.sort_by_key(|one| (std::cmp::Reverse(one.sums.micros[TOTAL]), one.fingerprint));
    log.workload = Workload { window: Duration::from_secs((to - from).max(1) as u64), shapes };
    Ok(log)
}
