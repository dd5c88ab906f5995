//! The publication of a stream: made by it, of no table at first, and of its process alone.
//!
//! Never `FOR ALL TABLES`: with it, UPDATEs of every table without a replica identity fail. Tables are added one by one, and only those
//! that have one.
//!
//! **When a table that was added can be relied on.** What a transaction has changed is decoded with the catalog as it was at that change:
//! one that had written to the table before it was added, and commits later, is not sent. And before the minor releases of May 2025
//! (13.21, 14.18, 15.13, 16.9, 17.5) the server goes on from there to believe that the table is not published at all. A lock on the
//! table would rule both out, and have writers wait. Instead: once all transactions have ended that ran when the table was added, the
//! publication is altered again to what it is, which has the server forget what it believed; every transaction that still runs then
//! began after the table was added. See [`super::wanted`].
//!
//! **Leftovers.** Who uses a publication holds an advisory lock of its name for as long as its connection lives. One with such a name and
//! the comment, whose lock is free and that no slot uses, belonged to a process that is gone: whoever finds it drops it. Should its
//! process live after all and only be about to connect again, it loses its stream, and makes it anew.

use std::hash::{BuildHasher as _, RandomState};

use crate::pool::ask::{self, literal};
use crate::pool::connect::Connected;
use crate::wire::Fault;

/// What all names begin with.
pub const PREFIX: &str = "pgweir_";
/// What the comment on each begins with.
const COMMENT: &str = "pgweir stream: dropped when its process ends, or by the next one";
/// The first number of the advisory locks: "pgwe".
const LOCKS: i32 = 0x7067_7765;
/// So many leftovers are looked at in one go.
const LEFTOVERS: usize = 16;

/// A name for the publications of this process: `pgweir_` and sixteen hexadecimal digits.
pub fn random_name() -> String {
    format!("{PREFIX}{:016x}", RandomState::new().hash_one(std::process::id()))
}

/// Whether it is such a name.
pub fn is_name(name: &str) -> bool {
    let digits = name.strip_prefix(PREFIX).unwrap_or_default();
    digits.len() == 16 && digits.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// Makes it, if it is not there, after leftovers of others are gone.
///
/// # Errors
/// What the server says; 42501 where the user may not make one in this database.
pub async fn prepare(connected: &mut Connected, name: &str) -> Result<(), Fault> {
    let lock = lock_of(name);
    // Held by a connection of ours that the server does not know to be dead, it serves as well.
    ask::rows(connected, &format!("SELECT pg_try_advisory_lock({LOCKS}, {lock})")).await?;
    drop_leftovers(connected, name).await?;
    let create = format!("CREATE PUBLICATION {name} WITH (publish = '{PUBLISH}')");
    match ask::rows(connected, &create).await {
        Ok(_) => {
            let comment = format!("COMMENT ON PUBLICATION {name} IS {}", literal(COMMENT));
            ask::rows(connected, &comment).await.map(drop)
        }
        Err(fault) if fault.sqlstate == "42710" => Ok(()),
        Err(fault) => Err(fault),
    }
}

const PUBLISH: &str = "insert, update, delete, truncate";

/// Adds a table, unless it is in it.
///
/// # Errors
/// What the server says; 42501 where the user does not own the table.
pub async fn add(connected: &mut Connected, name: &str, oid: u32) -> Result<(), Fault> {
    let table = qualified(connected, oid).await?;
    match ask::rows(connected, &format!("ALTER PUBLICATION {name} ADD TABLE ONLY {table}")).await {
        Err(fault) if fault.sqlstate == "42710" => Ok(()),
        added => added.map(drop),
    }
}

/// Takes a table out of it, if it is in it.
///
/// # Errors
/// What the server says.
pub async fn remove(connected: &mut Connected, name: &str, oid: u32) -> Result<(), Fault> {
    let table = qualified(connected, oid).await?;
    match ask::rows(connected, &format!("ALTER PUBLICATION {name} DROP TABLE ONLY {table}")).await {
        Err(fault) if fault.sqlstate == "42704" => Ok(()),
        removed => removed.map(drop),
    }
}

/// Alters it to what it is, so that walsenders read it again.
///
/// # Errors
/// What the server says.
pub async fn touch(connected: &mut Connected, name: &str) -> Result<(), Fault> {
    ask::rows(connected, &format!("ALTER PUBLICATION {name} SET (publish = '{PUBLISH}')")).await.map(drop)
}

/// Drops it.
///
/// # Errors
/// What the server says.
pub async fn drop_it(connected: &mut Connected, name: &str) -> Result<(), Fault> {
    ask::rows(connected, &format!("DROP PUBLICATION IF EXISTS {name}")).await.map(drop)
}

async fn qualified(connected: &mut Connected, oid: u32) -> Result<String, Fault> {
    let sql = format!(
        "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = {oid}"
    );
    let found = ask::rows(connected, &sql).await?.into_iter().next().and_then(|row| row.into_iter().next());
    found
        .flatten()
        .ok_or_else(|| Fault::error("42P01", format!("there is no relation with the number {oid}")))
}

async fn drop_leftovers(connected: &mut Connected, own: &str) -> Result<(), Fault> {
    let sql = format!(
        "SELECT p.pubname FROM pg_publication p WHERE p.pubname <> {} AND p.pubname ~ '^{PREFIX}[0-9a-f]{{16}}$' \
         AND obj_description(p.oid, 'pg_publication') = {} AND pg_has_role(p.pubowner, 'USAGE') \
         AND NOT EXISTS (SELECT FROM pg_replication_slots s WHERE s.active AND starts_with(s.slot_name, p.pubname)) \
         ORDER BY 1 LIMIT {LEFTOVERS}",
        literal(own),
        literal(COMMENT)
    );
    let rows = ask::rows(connected, &sql).await?;
    for name in
        rows.into_iter().filter_map(|row| row.into_iter().next().flatten()).filter(|name| is_name(name))
    {
        let lock = lock_of(&name);
        let locked = ask::rows(connected, &format!("SELECT pg_try_advisory_lock({LOCKS}, {lock})")).await?;
        if locked.first().and_then(|row| row.first()?.as_deref()) != Some("t") {
            continue;
        }
        let dropped = drop_it(connected, &name).await;
        ask::rows(connected, &format!("SELECT pg_advisory_unlock({LOCKS}, {lock})")).await?;
        match dropped {
            Ok(()) => tracing::info!(publication = name, "dropped the publication of a process that is gone"),
            Err(fault) => {
                tracing::warn!(publication = name, error = %fault, "cannot drop a leftover publication")
            }
        }
    }
    Ok(())
}

/// The second number of the lock of a name. Two names with the same one only keep each other's leftovers.
fn lock_of(name: &str) -> i32 {
    let folded =
        name.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    folded.cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_their_own_and_known_again() {
        let (one, other) = (random_name(), random_name());
        assert!(is_name(&one) && one != other, "{one} {other}");
        assert_ne!(lock_of("pgweir_0000000000000001"), lock_of("pgweir_0000000000000002"));
        for name in ["pgweir_", "pgweir_000000000000000", "pgweir_000000000000000G", "x_0000000000000000", ""]
        {
            assert!(!is_name(name), "{name}");
        }
    }
}
