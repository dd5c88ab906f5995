//! What has become slower, by the history of a fleet: for all its pgweirs, or for one.

use std::collections::HashMap;

use tokio_postgres::types::Type;
use tokio_postgres::{IsolationLevel, Transaction};

use super::super::file::Trouble;
use super::super::turns::{NOTABLE, Turning, looked_at, with_plans};
use super::bulk::{self, SUMS};
use super::read::{ROWS, asked};
use super::{Fleet, number, plans};
use crate::advice::turn::Turn;

/// As [`super::super::Place::turns`].
pub(in super::super) fn turns(
    fleet: &Fleet,
    window: (i64, i64),
    database: Option<&str>,
    instance: Option<&str>,
) -> Result<HashMap<u128, Turn>, Trouble> {
    asked(fleet, async |client| {
        let part = client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true);
        let part = part.start().await?;
        let mut turning = Turning::new(window.0);
        each(&part, looked_at(window), (database, instance), &mut turning).await?;
        let mut turns = turning.found();
        if !turns.is_empty() {
            with_plans(&mut turns, plans::known(&part, database, instance).await?);
        }
        Ok(turns)
    })
}

/// Gives what there is of each shape that may tell something, in the order of time.
async fn each(
    part: &Transaction<'_>,
    (since, until): (i64, i64),
    (database, instance): (Option<&str>, Option<&str>),
    turning: &mut Turning,
) -> Result<(), Trouble> {
    let sql = format!(
        "SELECT b.fingerprint, b.start, o.application, {SUMS}
         FROM pgweir_history.bucket b JOIN pgweir_history.origin o ON o.id = b.origin
         WHERE b.start + b.span > $1 AND b.start < $2 AND o.database = coalesce($3, o.database) AND o.instance = coalesce($5, o.instance)
            AND b.fingerprint IN (SELECT fingerprint FROM pgweir_history.bucket WHERE start + span > $1 AND start < $2 AND longest >= $4)
         ORDER BY b.fingerprint, b.start"
    );
    let types = [Type::INT8, Type::INT8, Type::TEXT, Type::INT8, Type::TEXT];
    let read = part.prepare_typed(&sql, &types).await?;
    let read = part.bind(&read, &[&since, &until, &database, &NOTABLE, &instance]).await?;
    loop {
        let rows = part.query_portal(&read, ROWS).await?;
        for row in &rows {
            turning.take(number(row.get(0)), row.get(1), row.get(2), &bulk::sums(row, 3));
        }
        if rows.len() < ROWS as usize {
            return Ok(());
        }
    }
}
