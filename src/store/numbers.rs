//! Numbers that stay: of shapes, which the file gives by itself, and of fixes, which reports ask for.

use std::collections::HashMap;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior};

use super::file::{self, Trouble};

/// So many fixes are remembered; those that were proposed longest ago are forgotten.
pub(super) const FIXES: i64 = 10_000;

/// The numbers of all shapes of a file, by fingerprint.
pub(super) fn of_shapes(file: &Connection) -> rusqlite::Result<HashMap<u128, u64>> {
    let mut read =
        file.prepare("SELECT fingerprint, number FROM shape_number JOIN shape USING (fingerprint)")?;
    let mut rows = read.query([])?;
    let mut numbers = HashMap::new();
    while let Some(row) = rows.next()? {
        let (name, number): (Vec<u8>, i64) = (row.get(0)?, row.get(1)?);
        if let Ok(name) = name.try_into() {
            numbers.insert(u128::from_be_bytes(name), number.max(0) as u64);
        }
    }
    Ok(numbers)
}

/// The numbers of these fixes, each by its key; those that have none yet get the next ones, in this order. `now` is in seconds since 1970.
///
/// # Errors
/// When the file cannot be written, or is not one of pgweir's.
pub fn of_fixes(path: &Path, keys: &[u128], now: i64) -> Result<Vec<u64>, Trouble> {
    let mut file = file::open(path)?;
    let all = file.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut numbers = vec![];
    for key in keys {
        let known =
            "UPDATE fix_number SET last_proposed = max(last_proposed, ?2) WHERE key = ?1 RETURNING number";
        let known = all.query_row(known, (key.to_be_bytes(), now), |row| row.get(0)).optional()?;
        let number: i64 = match known {
            Some(number) => number,
            None => all.query_row(
                "INSERT INTO fix_number (key, first_proposed, last_proposed) VALUES (?1, ?2, ?2) RETURNING number",
                (key.to_be_bytes(), now),
                |row| row.get(0),
            )?,
        };
        numbers.push(number.max(0) as u64);
    }
    let oldest: Option<i64> = all
        .query_row(
            "SELECT last_proposed FROM fix_number ORDER BY last_proposed DESC LIMIT 1 OFFSET ?1",
            [FIXES],
            |row| row.get(0),
        )
        .optional()?;
    if let Some(oldest) = oldest {
        all.execute(
            "DELETE FROM fix_number WHERE last_proposed <= ?1 AND last_proposed < ?2",
            (oldest, now),
        )?;
    }
    all.commit()?;
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixes_keep_their_numbers() {
        let folder = std::env::temp_dir().join(format!("pgweir-numbers-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let path = folder.join("h.db");
        let numbers = |keys: &[u128], now| of_fixes(&path, keys, now).expect("numbers");
        assert_eq!(numbers(&[70, 50], 10), [1, 2]);
        assert_eq!(numbers(&[50, 90, 70], 20), [2, 3, 1]);
        assert_eq!(numbers(&[], 20), [0; 0]);
        std::fs::remove_dir_all(folder).expect("it can be removed");
    }

    #[test]
    fn shapes_keep_their_numbers_when_their_counts_go() {
        let mut file = Connection::open_in_memory().expect("memory");
        super::super::migrate::migrate(&mut file).expect("tables");
        let see = |n: u128| {
            file.execute("INSERT INTO shape VALUES (?1, 'x', 1, 1)", [n.to_be_bytes()]).expect("a shape");
        };
        [7, 5].into_iter().for_each(see);
        file.execute("DELETE FROM shape", []).expect("they go");
        [9, 7].into_iter().for_each(see);
        let mut found: Vec<_> = of_shapes(&file).expect("numbers").into_iter().collect();
        found.sort_unstable();
        // The one that is not there any more has its number still.
        assert_eq!(found, [(7, 1), (9, 3)]);
    }
}
