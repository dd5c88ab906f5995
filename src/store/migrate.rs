//! Migrations: the tables of the file, made and changed in steps that are numbered.

use rusqlite::{Connection, Transaction};

use crate::sql::numbered;

/// A step: SQL, and what SQL cannot do.
struct Step {
    sql: &'static str,
    then: fn(&Transaction<'_>) -> rusqlite::Result<()>,
}

/// The steps, in order. How many of them are applied is the file's `user_version`.
const STEPS: &[Step] = &[
    Step { sql: include_str!("../../migrations/state/001_history.up.sql"), then: |_| Ok(()) },
    Step { sql: include_str!("../../migrations/state/002_samples.up.sql"), then: number_values },
    Step { sql: include_str!("../../migrations/state/003_numbers.up.sql"), then: |_| Ok(()) },
    Step { sql: include_str!("../../migrations/state/004_plans.up.sql"), then: |_| Ok(()) },
    Step { sql: include_str!("../../migrations/state/005_marks.up.sql"), then: |_| Ok(()) },
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

/// How many steps a file has.
pub(super) fn version(file: &Connection) -> rusqlite::Result<i64> {
    file.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Applies the steps that are missing. Of two processes at once, one waits for the other.
pub(super) fn migrate(file: &mut Connection) -> rusqlite::Result<()> {
    for (at, step) in STEPS.iter().enumerate() {
        let done = file.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let version: i64 = done.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if version > at as i64 {
            continue;
        }
        done.execute_batch(step.sql)?;
        (step.then)(&done)?;
        done.pragma_update(None, "application_id", APPLICATION)?;
        done.pragma_update(None, "user_version", at as i64 + 1)?;
        done.commit()?;
    }
    Ok(())
}

/// Texts of shapes had `?` in the place of values.
fn number_values(file: &Transaction<'_>) -> rusqlite::Result<()> {
    let mut read = file.prepare("SELECT fingerprint, text FROM shape")?;
    let rows = read.query_map([], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, String>(1)?)))?;
    for row in rows.collect::<rusqlite::Result<Vec<_>>>()? {
        let text = String::from_utf8_lossy(&numbered(row.1.as_bytes(), true)).into_owned();
        file.execute("UPDATE shape SET text = ?2 WHERE fingerprint = ?1", (row.0, text))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNDO: &[&str] = &[
        include_str!("../../migrations/state/001_history.down.sql"),
        include_str!("../../migrations/state/002_samples.down.sql"),
        include_str!("../../migrations/state/003_numbers.down.sql"),
        include_str!("../../migrations/state/004_plans.down.sql"),
        include_str!("../../migrations/state/005_marks.down.sql"),
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
    fn texts_of_the_first_version_get_numbers() {
        let mut file = Connection::open_in_memory().expect("memory");
        file.execute_batch(STEPS[0].sql).expect("the first step");
        file.execute_batch("PRAGMA application_id = 1885828978; PRAGMA user_version = 1")
            .expect("its number");
        for (name, text) in [(b"a", "select ? from t where a in (?)"), (b"b", "(a text that was not read)")] {
            file.execute("INSERT INTO shape VALUES (?1, ?2, 1, 2)", (name, text)).expect("a shape");
        }
        assert_eq!(kind(&file), Ok(Kind::Older));
        migrate(&mut file).expect("it goes up");
        let text = |name: &[u8]| -> String {
            file.query_row("SELECT text FROM shape WHERE fingerprint = ?1", [name], |row| row.get(0))
                .expect("a text")
        };
        assert_eq!(text(b"a"), "select $1 from t where a in ($2 /*, ... */)");
        assert_eq!(text(b"b"), "(a text that was not read)");
        let length: i64 =
            file.query_row("SELECT length(key) FROM secret", [], |row| row.get(0)).expect("a key");
        assert_eq!(length, 32);
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
