//! Samples of where the WAL and the snapshots are, and how what is not flushed comes to be.
//!
//! A place where WAL is written may be ahead of what is flushed, and only what is flushed is decoded. With `synchronous_commit = off`,
//! commits are visible and acknowledged then, until the WAL writer comes round: three times `wal_writer_delay`, 600 ms, at worst. So the
//! place that is flushed cannot be sampled instead, since it leaves out commits that others have seen already; the place that is
//! written must be flushed. A message in the WAL does that: its record is written behind all others, and flushed before it is answered.
//! From PostgreSQL 17 on one that takes no transaction; before, an empty transaction of one message. It is said only while somebody
//! waits, and only when a sample has waited for longer than other commits take to flush theirs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::limbo::Snapshot;
use super::shared::Shared;
use super::status::Loss;
use crate::control::pages::Pages;
use crate::plan::consistency::Lsn;
use crate::pool::ask::{self, Row};
use crate::pool::connect::Connected;
use crate::wire::Fault;

/// A sample that is not answered after this time ends the stream.
const PATIENCE: Duration = Duration::from_secs(10);
/// A sample waits so long for others to flush.
const FLUSH_AFTER: Duration = Duration::from_millis(2);
/// There are so many milliseconds between two flushes of ours; a message takes a transaction's number before PostgreSQL 17.
const FLUSH_EVERY: Duration = Duration::from_millis(5);

/// `synchronous_commit = local`: a message of ours waits for the disk, and not for standbys.
const PREPARE: &str = "SET synchronous_commit = local; PREPARE pgweir_sample AS SELECT pg_current_wal_insert_lsn(), \
    pg_current_wal_flush_lsn(), pg_current_snapshot()";
const PAGES: &str = "SELECT wal_block_size, bytes_per_wal_segment, max_data_alignment FROM pg_control_init()";
const SAMPLE: &str = "EXECUTE pgweir_sample";
/// See `migrations/upstream/`: another prefix than that of messages for the stream.
const FLUSH: &str = "SELECT pg_logical_emit_message(true, 'pgweir.flush', '')";
const FLUSH_17: &str = "SELECT pg_logical_emit_message(false, 'pgweir.flush', '', true)";

/// Samples, until something goes wrong.
pub(super) async fn run(shared: &Arc<Shared>, mut connected: Connected) -> Loss {
    match sample_on(shared, &mut connected).await {
        Ok(never) => match never {},
        Err(fault) => fault.into(),
    }
}

async fn sample_on(
    shared: &Arc<Shared>,
    connected: &mut Connected,
) -> Result<std::convert::Infallible, Fault> {
    ask(connected, PREPARE).await?;
    let pages = pages(&ask(connected, PAGES).await?);
    let flush = if connected.major_version().is_some_and(|version| version >= 17) { FLUSH_17 } else { FLUSH };
    let mut flushed_at: Option<Instant> = None;
    loop {
        let at = Instant::now();
        let row = ask(connected, SAMPLE).await?;
        let (written, flushed, snapshot) =
            read(&row).ok_or_else(|| Fault::protocol("the server does not tell where it is in the WAL"))?;
        let normal = |lsn| pages.map_or(lsn, |pages: Pages| pages.normal(lsn));
        shared.sampled(at, normal(written), snapshot);
        let unflushed = shared.waits().filter(|sample| sample.lsn > normal(flushed));
        let waits_long = unflushed.is_some_and(|sample| sample.at.elapsed() >= FLUSH_AFTER);
        let may_flush = flushed_at.is_none_or(|at| at.elapsed() >= FLUSH_EVERY);
        if waits_long && may_flush && shared.demand().is_used() {
            ask(connected, flush).await?;
            flushed_at = Some(Instant::now());
        }
        let pause = shared.demand().interval().saturating_sub(at.elapsed());
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = shared.demand().begins() => {}
        }
    }
}

async fn ask(connected: &mut Connected, sql: &str) -> Result<Row, Fault> {
    let late = |_| Err(Fault::error("08006", "the server did not answer in time"));
    let rows = tokio::time::timeout(PATIENCE, ask::rows(connected, sql)).await.unwrap_or_else(late)?;
    Ok(rows.into_iter().next().unwrap_or_default())
}

fn read(row: &Row) -> Option<(Lsn, Lsn, Snapshot)> {
    let text = |at: usize| row.get(at).and_then(Option::as_deref);
    Some((text(0)?.parse().ok()?, text(1)?.parse().ok()?, text(2)?.parse().ok()?))
}

fn pages(row: &Row) -> Option<Pages> {
    let mut numbers = row.iter().map(|number| number.as_deref()?.parse().ok());
    Pages::new(numbers.next()??, numbers.next()??, numbers.next()??)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_read() {
        let row = |texts: &[&str]| texts.iter().map(|text| Some((*text).to_owned())).collect::<Row>();
        let (written, flushed, snapshot) = read(&row(&["0/20", "0/10", "7:9:7"])).expect("a sample");
        assert_eq!((written, flushed, snapshot.xmin, snapshot.xmax), (Lsn(32), Lsn(16), 7, 9));
        assert_eq!(read(&row(&["0/20", "0/10"])), None);
        assert_eq!(read(&row(&["0/20", "x", "7:9:"])), None);
        assert_eq!(read(&vec![None, None, None]), None);
        assert!(pages(&row(&["8192", "16777216", "8"])).is_some());
        assert!(pages(&row(&["8192"])).is_none());
    }
}
