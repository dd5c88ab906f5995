//! Plans that were seen when a database was asked for advice: a later one that is slower is set beside them.

use std::collections::HashMap;
use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::file::{self, Trouble};
use crate::advice::form::Planned;
use crate::advice::turn::KnownPlan;

/// So many plans of a shape are remembered; those that were seen longest ago are forgotten.
const MOST: i64 = 16;

/// Remembers plans of a database's shapes that were seen at this time, in seconds since 1970.
///
/// # Errors
/// When the file cannot be written, or is not one of pgweir's.
pub fn note(path: &Path, database: &str, seen: &[Planned], now: i64) -> Result<(), Trouble> {
    if seen.is_empty() {
        return Ok(());
    }
    let mut file = file::open(path)?;
    let all = file.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for one in seen {
        let name = one.fingerprint.to_be_bytes();
        all.prepare_cached(
            "INSERT INTO plan VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6)
             ON CONFLICT (database, fingerprint, hash) DO UPDATE
             SET last_seen = max(last_seen, excluded.last_seen), table_rows = excluded.table_rows",
        )?
        .execute((database, name, one.hash as i64, &one.form, now, one.rows as i64))?;
        all.prepare_cached(
            "DELETE FROM plan WHERE database = ?1 AND fingerprint = ?2 AND hash IN (
             SELECT hash FROM plan WHERE database = ?1 AND fingerprint = ?2 ORDER BY last_seen DESC LIMIT -1 OFFSET ?3)",
        )?
        .execute((database, name, MOST))?;
    }
    Ok(all.commit()?)
}

/// The same; where it cannot be done, a sentence on that for whoever reads the advice.
pub fn note_or_tell(path: &Path, database: &str, seen: &[Planned], now: i64) -> Option<String> {
    let (Trouble::Corrupt(reason) | Trouble::Standing(_, reason)) = note(path, database, seen, now).err()?;
    Some(format!("plans are not remembered for later, since the store cannot be written: {reason}"))
}

/// Plans that were seen, by shape; of one database or of all.
pub(super) fn known(
    file: &Connection,
    database: Option<&str>,
) -> rusqlite::Result<HashMap<u128, Vec<KnownPlan>>> {
    let mut read = file.prepare(
        "SELECT fingerprint, hash, form, table_rows, first_seen, last_seen FROM plan
         WHERE database = coalesce(?1, database) ORDER BY fingerprint, first_seen, hash",
    )?;
    let mut rows = read.query([database])?;
    let mut plans: HashMap<u128, Vec<KnownPlan>> = HashMap::new();
    while let Some(row) = rows.next()? {
        let name: Vec<u8> = row.get(0)?;
        let fingerprint = name.try_into().map_or(0, u128::from_be_bytes);
        let planned = Planned {
            fingerprint,
            hash: row.get::<_, i64>(1)? as u64,
            form: row.get(2)?,
            rows: row.get::<_, i64>(3)?.max(0) as f64,
        };
        plans.entry(fingerprint).or_default().push(KnownPlan { planned, seen: (row.get(4)?, row.get(5)?) });
    }
    Ok(plans)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_are_remembered_with_when_they_were_seen() {
        let folder = std::env::temp_dir().join(format!("pgweir-plans-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let path = folder.join("h.db");
        let plan = |hash: u64, rows: f64| Planned { fingerprint: 7, hash, form: format!("p{hash}"), rows };
        let note = |seen: &[Planned], now| note(&path, "shop", seen, now).expect("it is written");
        note(&[plan(1, 10.0)], 100);
        note(&[plan(1, 30.0), plan(u64::MAX, 30.0)], 200);
        note(&[plan(u64::MAX, 40.0)], 300);
        let file = Connection::open(&path).expect("a file");
        let found = known(&file, Some("shop")).expect("plans").remove(&7).expect("of this shape");
        let expected = [
            KnownPlan { planned: plan(1, 30.0), seen: (100, 200) },
            KnownPlan { planned: plan(u64::MAX, 40.0), seen: (200, 300) },
        ];
        assert_eq!(found, expected);
        assert!(known(&file, Some("other")).expect("plans").is_empty());
        (0..40).for_each(|n| note(&[plan(n + 2, 1.0)], 400 + n as i64));
        let found = known(&file, None).expect("plans").remove(&7).expect("of this shape");
        assert_eq!((found.len(), found[0].planned.hash), (MOST as usize, 26), "the oldest go");
        std::fs::remove_dir_all(folder).expect("it can be removed");
    }
}
