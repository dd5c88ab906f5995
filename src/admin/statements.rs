//! What statements cost, for the console and the metrics: SHOW STATEMENTS and SHOW STORE.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, UNIX_EPOCH};

use super::table::{Cell, Table, row};
use crate::control::history::View;
use crate::slow::Merged;
use crate::stats::tally::{Sums, TOTAL, Who};
use crate::store::STATES;

/// So many statements are shown.
const SHOWN: usize = 200;

/// SHOW STATEMENTS: shapes by user, database and application, since the start, those first that took longest in all.
///
/// Times are in microseconds. The row without a fingerprint is what all shapes have that are not counted by themselves.
pub fn statements(seen: &Merged) -> Table {
    let columns = "database user application fingerprint calls# errors# rows# bytes# primary# replica# cache# pgweir# \
        total_us# longest_us# p50_us# p95_us# p99_us# wait_p95_us# first_p95_us# stream_p95_us# drain_p95_us# \
        error_classes statement";
    let mut lines: Vec<_> = seen.lines().collect();
    lines.sort_by_key(|(who, fingerprint, _, sums)| {
        (std::cmp::Reverse((sums.micros[TOTAL], sums.calls)), *fingerprint, (*who).clone())
    });
    let row = |(who, fingerprint, text, sums): &(&Arc<Who>, u128, &Arc<str>, &Sums)| {
        let mut row = row![
            &who.database,
            &who.user,
            &who.application,
            (*fingerprint != 0).then(|| format!("{fingerprint:032x}")),
            sums.calls,
            sums.failures(),
            sums.rows,
            sums.bytes,
        ];
        row.extend(sums.served.iter().map(|count| Cell::from(*count)));
        row.extend(row![sums.micros[TOTAL], sums.longest]);
        row.extend([0.5, 0.95, 0.99].map(|share| Cell::from(sums.quantile(TOTAL, share))));
        row.extend((0..TOTAL).map(|clock| Cell::from(sums.quantile(clock, 0.95))));
        row.extend(row![classes(sums), text.to_string()]);
        row
    };
    Table::new(columns).with(lines.iter().take(SHOWN).map(row))
}

/// Errors by class of SQLSTATE: `23=4 40=1`.
fn classes(sums: &Sums) -> String {
    let mut errors = sums.errors.clone();
    errors.sort_unstable();
    let one = |(class, count): &([u8; 2], u64)| format!("{}={count}", String::from_utf8_lossy(class));
    errors.iter().map(one).collect::<Vec<_>>().join(" ")
}

/// SHOW STORE: where the history is kept, and how that is.
pub fn store(view: &View) -> Table {
    let columns = "place state reason bytes# written# dropped# last_written corrupt_files#";
    let mut table = Table::new(columns);
    if let Some((place, status)) = &view.store {
        let (state, reason) = status.standing();
        let last = status.last.load(Relaxed);
        table.rows.push(row![
            place.to_string(),
            state.name(),
            Some(reason).filter(|reason| !reason.is_empty()),
            status.bytes.load(Relaxed),
            status.written.load(Relaxed),
            status.dropped.load(Relaxed),
            (last > 0).then(|| UNIX_EPOCH + Duration::from_secs(last)),
            status.moved.load(Relaxed),
        ]);
    }
    table
}

/// Which state the store is in, each with 0 or 1.
pub fn states(view: &View) -> impl Iterator<Item = (&'static str, u64)> + use<> {
    let state = view.store.as_ref().map_or("off", |(_, status)| status.standing().0.name());
    STATES.into_iter().map(move |name| (name, u64::from(name == state)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::tally::{Answer, CLOCKS, SERVED, Served};

    #[test]
    fn what_took_longest_comes_first_and_every_column_has_a_value() {
        let (mut seen, view) = (Merged::default(), View::default());
        let who = Arc::new(Who { database: "shop".into(), user: "app".into(), application: String::new() });
        for (fingerprint, micros) in [(7, 10), (0, 20_000), (9, 500)] {
            let mut sums = Sums::default();
            let times = Some([0, micros, 0, 0, micros]);
            let answer = Answer { served: Served::Replica, rows: 1, bytes: 2, error: Some(*b"40"), times };
            sums.add(&answer);
            seen.add(who.clone(), fingerprint, "select ?".into(), sums);
        }
        let table = statements(&seen);
        assert_eq!(CLOCKS.len() + SERVED.len(), 9);
        assert!(table.rows.iter().all(|row| row.len() == 23));
        let names: Vec<_> = table.rows.iter().map(|row| row[3].clone()).collect();
        let name = |n: u128| Cell::Text(format!("{n:032x}"));
        assert_eq!(names, [Cell::Null, name(9), name(7)]);
        assert_eq!((&table.rows[1][13], &table.rows[1][21]), (&Cell::Int(500), &Cell::Text("40=1".into())));
        assert!(store(&view).rows.is_empty());
        assert_eq!(states(&view).filter(|(_, on)| *on == 1).collect::<Vec<_>>(), [("off", 1)]);
    }
}
