//! Rows of counts, many at once: what is there is read, added to, and written back, in two statements whatever their number.

use std::collections::BTreeMap;

use tokio_postgres::types::Type;
use tokio_postgres::{Row, Transaction};

use super::super::encode::{
    errors, habits, numbers, read_errors, read_habits, read_numbers, read_steps, steps,
};
use super::super::file::Trouble;
pub(super) use super::super::put::SUMS;
use super::{Value, long, number};
use crate::stats::tally::Sums;

/// Sums by origin and fingerprint, in an order that is the same for all.
pub(super) type Lines = BTreeMap<(i64, u128), Sums>;

/// Sums, from a row that has [`SUMS`] from a column on.
pub(super) fn sums(row: &Row, at: usize) -> Sums {
    let number = |column: usize| row.get::<_, i64>(at + column).max(0) as u64;
    let text = |column: usize| row.get::<_, &str>(at + column);
    let mut sums = Sums {
        calls: number(0),
        timed: number(1),
        rows: number(2),
        bytes: number(3),
        served: read_numbers(text(4)),
        micros: read_numbers(text(5)),
        longest: number(6),
        errors: vec![],
        times: read_steps(row.get(at + 8)),
        habits: read_habits(text(9)),
    };
    read_errors(text(7), &mut sums);
    sums
}

/// Adds sums to the rows of a span and a start.
pub(super) async fn add(
    part: &Transaction<'_>,
    (span, start): (i64, i64),
    mut lines: Lines,
) -> Result<(), Trouble> {
    let span = span as i32;
    let mut origins: Vec<i64> = lines.keys().map(|line| line.0).collect();
    origins.dedup();
    let known = format!(
        "SELECT origin, fingerprint, {SUMS} FROM pgweir_history.bucket WHERE span = $1 AND start = $2 AND origin = ANY ($3)"
    );
    let place: [Value<'_>; 3] = [(&span, Type::INT4), (&start, Type::INT8), (&origins, Type::INT8_ARRAY)];
    for row in part.query_typed(&known, &place).await? {
        if let Some(more) = lines.get_mut(&(row.get(0), number(row.get(1)))) {
            let mut all = sums(&row, 2);
            all.merge(more);
            *more = all;
        }
    }
    put(part, (span, start), &lines).await
}

async fn put(part: &Transaction<'_>, (span, start): (i32, i64), lines: &Lines) -> Result<(), Trouble> {
    let mut names = vec![];
    let (mut origins, mut texts, mut blobs) = (vec![], [const { vec![] }; 4], vec![]);
    let mut counts: [Vec<i64>; 5] = [const { vec![] }; 5];
    for ((origin, fingerprint), all) in lines {
        origins.push(*origin);
        names.push(fingerprint.to_be_bytes().to_vec());
        let own = [all.calls, all.timed, all.rows, all.bytes, all.longest];
        counts.iter_mut().zip(own).for_each(|(column, value)| column.push(long(value)));
        let own = [numbers(&all.served), numbers(&all.micros), errors(&all.errors), habits(&all.habits)];
        texts.iter_mut().zip(own).for_each(|(column, value)| column.push(value));
        blobs.push(steps(&all.times));
    }
    let [calls, timed, rows, bytes, longest] = &counts;
    let [served, micros, errors, habits] = &texts;
    let (long, text) = (Type::INT8_ARRAY, Type::TEXT_ARRAY);
    part.execute_typed(
        PUT,
        &[
            (&span, Type::INT4),
            (&start, Type::INT8),
            (&origins, long.clone()),
            (&names, Type::BYTEA_ARRAY),
            (calls, long.clone()),
            (timed, long.clone()),
            (rows, long.clone()),
            (bytes, long.clone()),
            (served, text.clone()),
            (micros, text.clone()),
            (longest, long),
            (errors, text.clone()),
            (&blobs, Type::BYTEA_ARRAY),
            (habits, text),
        ],
    )
    .await?;
    Ok(())
}

const PUT: &str = "INSERT INTO pgweir_history.bucket (span, start, origin, fingerprint, calls, timed, row_count, bytes, served, micros, longest,
        errors, steps, habits)
    SELECT $1, $2, * FROM unnest($3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
    ON CONFLICT (span, start, origin, fingerprint) DO UPDATE SET calls = excluded.calls, timed = excluded.timed,
        row_count = excluded.row_count, bytes = excluded.bytes, served = excluded.served, micros = excluded.micros,
        longest = excluded.longest, errors = excluded.errors, steps = excluded.steps, habits = excluded.habits";
