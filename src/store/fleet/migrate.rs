//! Migrations of a fleet's history: steps that are numbered, as those of the file, in the schema `pgweir_history`.

use std::cmp::Ordering;

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Transaction};

use super::super::file::Trouble;
use super::super::status::State;
use super::{LOCK_MIGRATE, bounds};

/// The steps, in order, each with its number, which is that of the file's for the same tables; the first has what the file's first three have. Up to which
/// they are applied is the greatest number in `pgweir_history.migration`.
const STEPS: &[(i32, &str, &str)] = &[
    (1, "001_history", include_str!("../../../migrations/fleet/001_history.up.sql")),
    (4, "004_plans", include_str!("../../../migrations/fleet/004_plans.up.sql")),
    (5, "005_marks", include_str!("../../../migrations/fleet/005_marks.up.sql")),
];

/// What is in the database.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It has all steps.
    Ours,
    /// It has those up to this number, and lacks some.
    Older(i32),
    /// It has those up to this number, and this pgweir knows fewer.
    Newer(i32),
    /// It has a schema of that name with tables, and none of pgweir's.
    Foreign,
}

/// Looks what is in the database.
pub(super) async fn kind(client: &Client) -> Result<Kind, Trouble> {
    let tables = "SELECT c.relname::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = 'pgweir_history' AND c.relkind IN ('r', 'p')";
    let names = client.query_typed(tables, &[]).await?;
    if names.is_empty() {
        return Ok(Kind::Older(0));
    }
    if !names.iter().any(|row| row.get::<_, &str>(0) == "migration") {
        return Ok(Kind::Foreign);
    }
    let version = version(client.query_typed(VERSION, &[]).await?.first());
    let last = STEPS.last().map_or(0, |(number, ..)| *number);
    Ok(match version.cmp(&last) {
        Ordering::Greater => Kind::Newer(version),
        Ordering::Equal => Kind::Ours,
        Ordering::Less => Kind::Older(version),
    })
}

const VERSION: &str = "SELECT coalesce(max(number), 0) FROM pgweir_history.migration";

fn version(row: Option<&tokio_postgres::Row>) -> i32 {
    row.map_or(0, |row| row.get(0))
}

/// Why a history cannot be used that is not this pgweir's.
///
/// # Errors
/// [`State::Newer`] and [`State::Foreign`].
pub(super) fn usable(kind: &Kind) -> Result<(), Trouble> {
    match kind {
        Kind::Ours | Kind::Older(_) => Ok(()),
        Kind::Newer(version) => {
            let reason = format!("its tables are of version {version}, which this pgweir does not know");
            Err(Trouble::Standing(State::Newer, reason))
        }
        Kind::Foreign => {
            let reason = "the schema pgweir_history has tables that are not pgweir's".to_owned();
            Err(Trouble::Standing(State::Foreign, reason))
        }
    }
}

/// Applies the steps that are missing. Of several pgweirs at once, one does and the others wait for it.
pub(super) async fn migrate(client: &mut Client) -> Result<(), Trouble> {
    let kind = kind(client).await?;
    usable(&kind)?;
    if kind == Kind::Ours {
        return Ok(());
    }
    for (number, name, sql) in STEPS {
        let part = client.transaction().await?;
        part.batch_execute(&bounds()).await?;
        part.query_typed(LOCK_MIGRATE, &[]).await?;
        // Another may have done it meanwhile.
        if applied(&part).await? >= *number {
            continue;
        }
        if *number == 1 && !has_schema(&part).await? {
            part.batch_execute("CREATE SCHEMA pgweir_history").await?;
        }
        part.batch_execute(sql).await?;
        let note = "INSERT INTO pgweir_history.migration (number, name) VALUES ($1, $2)";
        part.execute_typed(note, &[(number, Type::INT4), (name, Type::TEXT)]).await?;
        part.commit().await?;
        tracing::info!(step = name, "the tables of the history were made or changed");
    }
    Ok(())
}

async fn has_schema(part: &Transaction<'_>) -> Result<bool, Trouble> {
    let known = "SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'pgweir_history'";
    Ok(!part.query_typed(known, &[]).await?.is_empty())
}

async fn applied(part: &Transaction<'_>) -> Result<i32, Trouble> {
    let known = "SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = 'pgweir_history' AND c.relname = 'migration'";
    if part.query_typed(known, &[]).await?.is_empty() {
        return Ok(0);
    }
    Ok(version(part.query_typed(VERSION, &[]).await?.first()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNDO: &[&str] = &[
        include_str!("../../../migrations/fleet/001_history.down.sql"),
        include_str!("../../../migrations/fleet/004_plans.down.sql"),
        include_str!("../../../migrations/fleet/005_marks.down.sql"),
    ];

    /// Names behind a verb.
    fn tables<'a>(sql: &'a str, verb: &'static str) -> Vec<&'a str> {
        let lines = sql.lines().filter_map(|line| line.strip_prefix(verb));
        let mut names: Vec<_> = lines.filter_map(|line| line.split([' ', ';']).next()).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn every_step_has_its_undo() {
        assert_eq!(STEPS.len(), UNDO.len());
        assert!(STEPS.is_sorted_by(|one, other| one.0 < other.0));
        for ((number, name, up), down) in STEPS.iter().zip(UNDO) {
            assert!(name.starts_with(&format!("{number:03}_")), "{name}");
            let made = tables(up, "CREATE TABLE ");
            assert!(!made.is_empty());
            assert_eq!(made, tables(down, "DROP TABLE "), "{name}");
        }
    }

    #[test]
    fn what_is_not_ours_is_left_alone() {
        let state = |kind| match usable(&kind) {
            Err(Trouble::Standing(state, _)) => state,
            other => panic!("{other:?}"),
        };
        assert!(usable(&Kind::Ours).is_ok() && usable(&Kind::Older(0)).is_ok());
        assert_eq!((state(Kind::Newer(9)), state(Kind::Foreign)), (State::Newer, State::Foreign));
    }
}
