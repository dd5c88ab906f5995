//! Moments that pictures are marked with: what somebody said was deployed, and indexes that came or went.
//!
//! The server does not say when an index was made. So each time that a database is asked for advice, its tables are set beside what they were the time before:
//! what came or went did so in between. Tables that were not looked at before, or are others of that name, say nothing.

use std::collections::HashMap;
use std::path::Path;

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::file::{self, Trouble};

/// The longest text of a mark, in characters.
pub const LONGEST: usize = 200;
/// So many marks are kept, and so many are given for a time: the newest.
pub(super) const MOST: i64 = 10_000;
pub(super) const GIVEN: i64 = 200;
/// More indexes than these that come or go at once are one mark.
const AT_ONCE: usize = 10;
/// Two pgweirs that notice the same within so many seconds have noticed it once: they look once an hour, unless settings say otherwise.
const SAME: i64 = 7200;

/// What a mark is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Somebody said that something was deployed.
    Deploy,
    /// An index came.
    IndexCame,
    /// An index went.
    IndexWent,
}

impl Kind {
    const ALL: [Kind; 3] = [Kind::Deploy, Kind::IndexCame, Kind::IndexWent];

    /// By a name that stays.
    pub fn code(self) -> &'static str {
        match self {
            Kind::Deploy => "deploy",
            Kind::IndexCame => "index_came",
            Kind::IndexWent => "index_went",
        }
    }

    fn named(code: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.code() == code)
    }
}

/// A moment that pictures are marked with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// When, in seconds since 1970; of what was noticed, when it was.
    pub at: i64,
    /// The last moment at which it was not so yet; the same moment, where that is known exactly.
    pub since: i64,
    /// What it is of.
    pub kind: Kind,
    /// The pgweir that was told, or has noticed; empty: it is of all of them.
    pub instance: String,
    /// The database as clients name it; empty: it is of all of them.
    pub database: String,
    /// What somebody said, or the index.
    pub text: String,
}

impl Mark {
    /// What somebody said was deployed at a moment.
    ///
    /// # Errors
    /// What is wrong with the text: it is empty, or longer than [`LONGEST`].
    pub fn deploy(text: &str, at: i64, instance: &str) -> Result<Mark, String> {
        let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let text = text.trim().to_owned();
        match text.chars().count() {
            0 => Err("a mark needs a text, such as v1.2.3".to_owned()),
            1..=LONGEST => {
                let (instance, database) = (instance.to_owned(), String::new());
                Ok(Mark { at, since: at, kind: Kind::Deploy, instance, database, text })
            }
            long => Err(format!("a mark has at most {LONGEST} characters, and this text has {long}")),
        }
    }

    /// From what is kept: `at, since, kind, instance, database, text`. `None`: a later pgweir knows what it is.
    pub(super) fn kept(moments: (i64, i64), kind: &str, names: [String; 3]) -> Option<Mark> {
        let [instance, database, text] = names;
        Some(Mark { at: moments.0, since: moments.1, kind: Kind::named(kind)?, instance, database, text })
    }
}

/// A table with its indexes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenTable {
    /// Its OID.
    pub oid: u32,
    /// Its name, with its schema.
    pub name: String,
    /// Its indexes that can be used: their names, and what they are on, without values.
    pub indexes: Vec<(String, String)>,
}

/// The same, as it was before.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Before {
    pub oid: u32,
    pub seen: i64,
    pub indexes: Vec<(String, String)>,
}

/// Indexes from and as JSON.
pub(super) fn indexes_of(text: &str) -> Vec<(String, String)> {
    serde_json::from_str(text).unwrap_or_default()
}

pub(super) fn text_of(indexes: &[(String, String)]) -> String {
    serde_json::to_string(indexes).unwrap_or_default()
}

/// What came and went of the indexes of tables that were there before.
pub(super) fn changes(
    before: &HashMap<String, Before>,
    tables: &[SeenTable],
    (database, instance): (&str, &str),
    now: i64,
) -> Vec<Mark> {
    let mut found: Vec<Mark> = vec![];
    for table in tables {
        let Some(was) = before.get(&table.name).filter(|was| was.oid == table.oid) else { continue };
        let mut put = |kind, (name, on): &(String, String)| {
            found.push(Mark {
                at: now,
                since: was.seen.min(now),
                kind,
                instance: instance.to_owned(),
                database: database.to_owned(),
                text: format!("{name} on {on}"),
            });
        };
        let lacks = |some: &[(String, String)], one: &(String, String)| !some.contains(one);
        table.indexes.iter().filter(|one| lacks(&was.indexes, one)).for_each(|one| put(Kind::IndexCame, one));
        was.indexes.iter().filter(|one| lacks(&table.indexes, one)).for_each(|one| put(Kind::IndexWent, one));
    }
    let (came, went): (Vec<_>, Vec<_>) = found.into_iter().partition(|mark| mark.kind == Kind::IndexCame);
    [came, went].into_iter().flat_map(together).collect()
}

/// Many of one kind as one.
fn together(mut marks: Vec<Mark>) -> Vec<Mark> {
    let many = marks.len();
    if many > AT_ONCE {
        marks.truncate(1);
        marks.iter_mut().for_each(|mark| mark.text = format!("{many} indexes, such as {}", mark.text));
    }
    marks
}

/// In the order of time; what several pgweirs have noticed, once.
pub(super) fn in_order(mut marks: Vec<Mark>) -> Vec<Mark> {
    marks.sort_by(|one, other| (one.at, one.kind, &one.text).cmp(&(other.at, other.kind, &other.text)));
    let mut kept: Vec<Mark> = vec![];
    for mark in marks {
        let is_same = |known: &&mut Mark| {
            let noticed = mark.kind != Kind::Deploy && mark.instance != known.instance;
            let of = |mark: &Mark| (mark.kind, mark.database.clone(), mark.text.clone());
            noticed && of(known) == of(&mark) && mark.at - known.at <= SAME
        };
        match kept.iter_mut().rev().find(is_same) {
            // Whoever has seen later that it was not so knows better.
            Some(known) => known.since = known.since.max(mark.since.min(known.at)),
            None => kept.push(mark),
        }
    }
    kept
}

/// As [`super::Place::mark`], of a file.
pub(super) fn put(path: &Path, mark: &Mark) -> Result<(), Trouble> {
    let mut file = file::open(path)?;
    let all = file.transaction_with_behavior(TransactionBehavior::Immediate)?;
    insert(&all, mark)?;
    bound(&all)?;
    Ok(all.commit()?)
}

fn insert(file: &Transaction<'_>, mark: &Mark) -> rusqlite::Result<()> {
    let Mark { at, since, kind, instance, database, text } = mark;
    file.prepare_cached(
        "INSERT OR IGNORE INTO mark (at, since, kind, instance, database, text) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute((at, since, kind.code(), instance, database, text))?;
    Ok(())
}

/// The oldest go where there are too many.
fn bound(file: &Transaction<'_>) -> rusqlite::Result<()> {
    file.execute(
        "DELETE FROM mark WHERE at <= (SELECT at FROM mark ORDER BY at DESC LIMIT 1 OFFSET ?1)",
        [MOST],
    )?;
    Ok(())
}

/// As [`super::Place::note_indexes`], of a file.
pub(super) fn note(
    path: &Path,
    (database, instance): (&str, &str),
    tables: &[SeenTable],
    now: i64,
) -> Result<(), Trouble> {
    let mut file = file::open(path)?;
    let all = file.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let before = seen(&all, (database, instance))?;
    for mark in changes(&before, tables, (database, instance), now) {
        insert(&all, &mark)?;
    }
    bound(&all)?;
    for table in tables {
        all.prepare_cached("INSERT OR REPLACE INTO seen_table VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
            .execute((instance, database, &table.name, table.oid, text_of(&table.indexes), now))?;
    }
    Ok(all.commit()?)
}

fn seen(file: &Connection, (database, instance): (&str, &str)) -> rusqlite::Result<HashMap<String, Before>> {
    let mut read = file
        .prepare("SELECT name, oid, indexes, seen FROM seen_table WHERE instance = ?1 AND database = ?2")?;
    let rows = read.query_map((instance, database), |row| {
        let before =
            Before { oid: row.get(1)?, indexes: indexes_of(&row.get::<_, String>(2)?), seen: row.get(3)? };
        Ok((row.get(0)?, before))
    })?;
    rows.collect()
}

/// Marks of a time, by all pgweirs or by one and those that are of all.
pub(super) fn between(
    file: &Connection,
    (since, until): (i64, i64),
    instance: Option<&str>,
) -> rusqlite::Result<Vec<Mark>> {
    let mut read = file.prepare(
        "SELECT at, since, kind, instance, database, text FROM mark
         WHERE at >= ?1 AND at <= ?2 AND (?3 IS NULL OR instance IN (?3, '')) ORDER BY at DESC LIMIT ?4",
    )?;
    let rows = read.query_map((since, until, instance, GIVEN), |row| {
        let names = [row.get(3)?, row.get(4)?, row.get(5)?];
        Ok(Mark::kept((row.get(0)?, row.get(1)?), &row.get::<_, String>(2)?, names))
    })?;
    let marks = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(in_order(marks.into_iter().flatten().collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(oid: u32, name: &str, indexes: &[&str]) -> SeenTable {
        let index = |name: &&str| ((*name).to_owned(), format!("t({name})"));
        SeenTable { oid, name: name.to_owned(), indexes: indexes.iter().map(index).collect() }
    }

    fn found(path: &Path, instance: Option<&str>) -> Vec<(Kind, String, (i64, i64))> {
        let file = Connection::open(path).expect("a file");
        let marks = between(&file, (0, i64::MAX), instance).expect("marks");
        marks.into_iter().map(|mark| (mark.kind, mark.text, (mark.since, mark.at))).collect()
    }

    #[test]
    fn indexes_that_come_and_go_are_noticed_and_what_was_not_looked_at_says_nothing() {
        let folder = std::env::temp_dir().join(format!("pgweir-marks-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let path = folder.join("h.db");
        let look = |instance: &str, tables: &[SeenTable], now| {
            note(&path, ("shop", instance), tables, now).expect("it is noted");
        };
        look("a", &[table(1, "public.t", &["i"])], 100);
        assert_eq!(found(&path, None), [], "the first look has nothing to be set beside");
        // Another table comes with its index: it was not looked at before.
        look("a", &[table(1, "public.t", &["i", "j"]), table(2, "public.u", &["k"])], 200);
        let came = (Kind::IndexCame, "j on t(j)".to_owned(), (100, 200));
        assert_eq!(found(&path, None), std::slice::from_ref(&came));
        look("a", &[table(1, "public.t", &["i", "j"])], 300);
        look("a", &[table(1, "public.t", &["j"])], 400);
        let went = (Kind::IndexWent, "i on t(i)".to_owned(), (300, 400));
        assert_eq!(found(&path, None), [came.clone(), went.clone()]);
        // Another table of that name, and one that was left out for a while.
        look("a", &[table(9, "public.t", &["z"]), table(2, "public.u", &["k", "l"])], 500);
        let late = (Kind::IndexCame, "l on t(l)".to_owned(), (200, 500));
        assert_eq!(found(&path, None), [came.clone(), went, late]);
        // Another pgweir sees the same later, and saw later that it was not there.
        look("b", &[table(1, "public.t", &["i"])], 150);
        look("b", &[table(1, "public.t", &["i", "j"])], 450);
        assert_eq!(found(&path, None)[0], (Kind::IndexCame, "j on t(j)".to_owned(), (150, 200)));
        assert_eq!(found(&path, Some("b")), [(Kind::IndexCame, "j on t(j)".to_owned(), (150, 450))]);
        std::fs::remove_dir_all(folder).expect("it can be removed");
    }

    #[test]
    fn many_at_once_are_one_mark() {
        let names: Vec<String> = (0..40).map(|n| format!("i{n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let before = HashMap::from([("t".to_owned(), Before { oid: 1, seen: 5, indexes: vec![] })]);
        let marks = changes(&before, &[table(1, "t", &names)], ("shop", "a"), 10);
        assert_eq!(marks.len(), 1);
        assert_eq!(marks[0].text, "40 indexes, such as i0 on t(i0)");
        assert_eq!(changes(&before, &[table(1, "t", &names[..AT_ONCE])], ("shop", "a"), 10).len(), AT_ONCE);
    }

    #[test]
    fn what_is_said_is_bounded_and_has_one_line() {
        let said = |text: &str| Mark::deploy(text, 7, "a").map(|mark| mark.text);
        assert_eq!(said(" v1.2.3\n<b>\u{1b}[2J\0 "), Ok("v1.2.3 <b> [2J".to_owned()));
        assert!(said(" \n").is_err() && said("").is_err());
        assert!(said(&"é".repeat(LONGEST)).is_ok() && said(&"é".repeat(LONGEST + 1)).is_err());
    }

    #[test]
    fn the_oldest_marks_go_and_what_is_of_all_is_of_each() {
        let mut file = Connection::open_in_memory().expect("memory");
        super::super::migrate::migrate(&mut file).expect("tables");
        let all = file.transaction().expect("a transaction");
        for at in 0..MOST + 5 {
            insert(&all, &Mark::deploy("v1", at, if at % 2 == 0 { "" } else { "a" }).expect("a text"))
                .expect("put");
        }
        bound(&all).expect("it is bounded");
        let count: i64 = all.query_row("SELECT count(*) FROM mark", [], |row| row.get(0)).expect("a count");
        assert_eq!(count, MOST);
        all.commit().expect("committed");
        let given = |instance| between(&file, (0, 100), instance).expect("marks").len();
        assert_eq!((given(None), given(Some("a")), given(Some("b"))), (96, 96, 48));
        let most = between(&file, (0, i64::MAX), None).expect("marks");
        assert_eq!((most.len() as i64, most.last().map(|mark| mark.at)), (GIVEN, Some(MOST + 4)));
    }
}
