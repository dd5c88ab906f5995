//! The question to a node, and its answer.
//!
//! There are two: where it is, which may be asked hundreds of times a second, and all of it, which reads `pg_control` and costs five times as
//! much. Between two whole answers only a role that changes makes what is left out untrue: a primary keeps its timeline, and a
//! standby that has moved to the next counts as one of the last until it is asked again, which only keeps it out.
//!
//! Positions are given as [`Pages::normal`] has them, so that those of different nodes can be compared.

use std::time::{Duration, Instant};

use super::pages::Pages;
use crate::plan::consistency::Lsn;
use crate::plan::topology::History;
use crate::pool::ask::{self, Row};
use crate::pool::connect::Connected;
use crate::wire::Fault;

/// Where it is.
const WHERE: &str = "SELECT standby, \
    CASE WHEN standby THEN pg_catalog.pg_last_wal_replay_lsn() ELSE pg_catalog.pg_current_wal_insert_lsn() END \
    FROM (SELECT pg_catalog.pg_is_in_recovery() OFFSET 0) AS node (standby)";

/// Everything in one answer. A primary knows its timeline exactly; a standby by its WAL receiver, if the user may see that
/// (`pg_read_all_stats`, which `pg_monitor` has), else by its last restartpoint.
const WHOLE: &str = "SELECT standby, \
    CASE WHEN standby THEN pg_catalog.pg_last_wal_replay_lsn() ELSE pg_catalog.pg_current_wal_insert_lsn() END, \
    CASE WHEN standby THEN GREATEST((pg_catalog.pg_control_checkpoint()).timeline_id, \
            (pg_catalog.pg_control_recovery()).min_recovery_end_timeline, \
            (SELECT received_tli FROM pg_catalog.pg_stat_get_wal_receiver())) \
        ELSE ('x' OPERATOR(pg_catalog.||) pg_catalog.substr(pg_catalog.pg_walfile_name(\
            pg_catalog.pg_current_wal_insert_lsn()), 1, 8))::bit(32)::pg_catalog.int4 END, \
    (pg_catalog.pg_control_system()).system_identifier, \
    (SELECT pg_catalog.concat_ws(' ', wal_block_size, bytes_per_wal_segment, max_data_alignment) \
        FROM pg_catalog.pg_control_init()) \
    FROM (SELECT pg_catalog.pg_is_in_recovery() OFFSET 0) AS node (standby)";

/// What a node told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// The number of the probe.
    pub number: u64,
    /// When it was asked.
    pub sent: Instant,
    /// How long the answer took.
    pub took: Duration,
    /// It is in recovery.
    pub standby: bool,
    /// Where WAL is inserted, or the end of what was replayed, as [`Pages::normal`] has it.
    pub lsn: Lsn,
    /// The history of that.
    pub history: History,
}

/// An answer, and what is the same for all that come over its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// What the node told.
    pub answer: Answer,
    /// `None`: it does not tell, and positions are as they come.
    pages: Option<Pages>,
}

/// Asks over a connection that is there. `number` was taken from the clock just before. `known`: what it is, from an answer over the same
/// connection; without it everything is asked.
///
/// # Errors
/// As [`ask::rows`]; 08006 when there is no answer within `patience`.
pub async fn ask(
    connected: &mut Connected,
    number: u64,
    patience: Duration,
    known: Option<&Known>,
) -> Result<Known, Fault> {
    let sent = Instant::now();
    if let Some(Known { answer: known, pages }) = known {
        let row = first_row(connected, WHERE, patience).await?;
        let (standby, lsn) = place(&row, *pages).ok_or_else(unreadable)?;
        if standby == known.standby {
            let answer = Answer { number, sent, took: sent.elapsed(), standby, lsn, history: known.history };
            return Ok(Known { answer, pages: *pages });
        }
    }
    let row = first_row(connected, WHOLE, patience).await?;
    let pages = pages(&row);
    let (standby, lsn) = place(&row, pages).ok_or_else(unreadable)?;
    let history = history(&row).ok_or_else(unreadable)?;
    let answer = Answer { number, sent, took: sent.elapsed(), standby, lsn, history };
    Ok(Known { answer, pages })
}

async fn first_row(connected: &mut Connected, sql: &str, patience: Duration) -> Result<Row, Fault> {
    let rows = tokio::time::timeout(patience, ask::rows(connected, sql)).await;
    let late = |_| Err(Fault::error("08006", "the server did not answer in time"));
    Ok(rows.unwrap_or_else(late)?.into_iter().next().unwrap_or_default())
}

fn unreadable() -> Fault {
    Fault::error("08P01", "the server does not tell where it is in the WAL")
}

fn column(row: &Row, at: usize) -> Option<&str> {
    row.get(at).and_then(Option::as_deref)
}

fn place(row: &Row, pages: Option<Pages>) -> Option<(bool, Lsn)> {
    let standby = column(row, 0)? == "t";
    // A standby that has replayed nothing yet tells none.
    let lsn = column(row, 1).map_or(Some(Lsn::default()), |text| text.parse().ok())?;
    Some((standby, pages.map_or(lsn, |pages| pages.normal(lsn))))
}

fn pages(row: &Row) -> Option<Pages> {
    let mut numbers = column(row, 4)?.split(' ').map(|number| number.parse().ok());
    Pages::new(numbers.next()??, numbers.next()??, numbers.next()??)
}

fn history(row: &Row) -> Option<History> {
    let timeline = column(row, 2)?.parse().ok()?;
    let system = column(row, 3)?.parse::<i64>().ok()? as u64;
    Some(History { system, timeline })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read() {
        let check = |columns: &[Option<&str>], expected: Option<(bool, u64, u32, u64)>| {
            let row: Row = columns.iter().map(|column| column.map(str::to_owned)).collect();
            let found = place(&row, pages(&row)).zip(history(&row));
            let found = found.map(|((standby, lsn), of)| (standby, lsn.0, of.timeline, of.system));
            assert_eq!(found, expected, "{columns:?}");
        };
        check(&[Some("f"), Some("0/20"), Some("1"), Some("7")], Some((false, 32, 1, 7)));
        check(&[Some("t"), None, Some("2"), Some("-1")], Some((true, 0, 2, u64::MAX)));
        let behind_a_head = [Some("f"), Some("1/28"), Some("1"), Some("7")];
        check(&behind_a_head, Some((false, (1 << 32) + 40, 1, 7)));
        let pages = |text| [&behind_a_head[..], &[Some(text)]].concat();
        check(&pages("8192 16777216 8"), Some((false, 1 << 32, 1, 7)));
        check(&pages("8192"), Some((false, (1 << 32) + 40, 1, 7)));
        check(&[Some("t"), Some("x"), Some("2"), Some("7")], None);
        check(&[Some("t"), Some("0/1"), None, Some("7")], None);
        check(&[Some("t"), Some("0/1")], None);
        check(&[], None);
    }
}
