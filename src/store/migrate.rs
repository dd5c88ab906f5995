//! Migrations: the tables of the file, made and changed in steps that are numbered.

use rusqlite::Connection;

/// The steps, in order. How many of them are applied is the file's `user_version`.
const STEPS: &[&str] = &[
    include_str!("../../migrations/state/001_history.up.sql"),
    include_str!("../../migrations/state/003_numbers.up.sql"),
];
/// Names the files of pgweir among all of SQLite's: "pgwr".
const APPLICATION: i64 = 0x7067_7772;

/// What a file is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It has all steps.
    Ours,
    /// It lacks some, or is empty.
    Older,
    /// It has so many steps, and this pgweir knows fewer.
    Newer(i64),
    /// It is a database, and not one of pgweir's.
    Foreign,
}

/// Looks what a file is.
pub(super) fn kind(file: &Connection) -> rusqlite::Result<Kind> {
    let number = |pragma: &str| file.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let (application, version) = (number("application_id")?, number("user_version")?);
    let tables: i64 = file.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0))?;
    Ok(match version {
        _ if application != APPLICATION && (tables > 0 || version > 0) => Kind::Foreign,
        version if version > STEPS.len() as i64 => Kind::Newer(version),
        version if version == STEPS.len() as i64 => Kind::Ours,
        _ => Kind::Older,
    })
}

/// Whether a file has some of the steps.
pub(super) fn is_begun(file: &Connection) -> rusqlite::Result<bool> {
    Ok(file.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0))? > 0)
}

/// Applies the steps that are missing. Of two processes at once, one waits for the other.
pub(super) fn migrate(file: &mut Connection) -> rusqlite::Result<()> {
    for (at, step) in STEPS.iter().enumerate() {
        let done = file.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let version: i64 = done.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if version > at as i64 {
            continue;
        }
        done.execute_batch(step)?;
        done.pragma_update(None, "application_id", APPLICATION)?;
        done.pragma_update(None, "user_version", at as i64 + 1)?;
        done.commit()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNDO: &[&str] = &[
        include_str!("../../migrations/state/001_history.down.sql"),
        include_str!("../../migrations/state/003_numbers.down.sql"),
    ];

    fn objects(file: &Connection) -> i64 {
        let own = "SELECT count(*) FROM sqlite_master WHERE name NOT LIKE 'sqlite%'";
        file.query_row(own, [], |row| row.get(0)).expect("a count")
    }

    #[test]
    fn steps_go_up_once_and_each_can_be_undone() {
        let mut file = Connection::open_in_memory().expect("memory");
        assert_eq!(kind(&file), Ok(Kind::Older));
        migrate(&mut file).expect("it goes up");
        migrate(&mut file).expect("nothing is left to do");
        assert_eq!(kind(&file), Ok(Kind::Ours));
        assert_eq!(STEPS.len(), UNDO.len());
        UNDO.iter().rev().for_each(|step| file.execute_batch(step).expect("it goes down"));
        assert_eq!(objects(&file), 0);
    }

    #[test]
    fn what_is_not_ours_is_known() {
        let file = Connection::open_in_memory().expect("memory");
        file.execute_batch("CREATE TABLE mine (x)").expect("a table");
        assert_eq!(kind(&file), Ok(Kind::Foreign));
        let mut file = Connection::open_in_memory().expect("memory");
        migrate(&mut file).expect("it goes up");
        file.pragma_update(None, "user_version", 99).expect("a number");
        assert_eq!(kind(&file), Ok(Kind::Newer(99)));
    }
}
