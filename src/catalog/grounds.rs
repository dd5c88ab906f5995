//! What only the result cache asks of a database: what a statement's result depends on beside rows, and what a change sets off.
//!
//! Read with the barriers, and only where a rule caches. [`Grounds`] has the names that make a result more than one of rows and
//! settings ([`Grounds::unstable`]), those that may change rows when they are called ([`Grounds::writing`]), and of each table its columns, keys,
//! triggers and what follows from its changes ([`Detail`]).
//!
//! Absent on purpose: what C code does, as with barriers, and whose privileges a statement has.

use std::collections::{HashMap, HashSet};

use super::barriers::Barriers;
use super::read::{MOST, Row};

/// One row for each relation; see the file. Under [`super::Reach::SETTINGS`].
pub const DETAILS: &str = include_str!("sql/details.sql");
/// `(relation, function, volatility, language)`; see the file. Under [`super::Reach::SETTINGS`].
pub const CALLS: &str = include_str!("sql/calls.sql");
/// `(catalog, oid, kind, name)` for [`super::Reach::unstable`]; see the file.
pub const UNSTABLE: &str = include_str!("sql/unstable.sql");
/// `(catalog, oid, kind, name)` for [`super::Reach::writing`]; see the file.
pub const WRITING: &str = include_str!("sql/writing.sql");

/// The rows of [`CALLS`] that are of no relation: checks of domains, and operators named `=`.
const OF_DOMAINS: u32 = 0;
const OF_EQUALITY: u32 = 1;

/// What the cache knows of a database.
#[derive(Debug, Default)]
pub struct Grounds {
    /// Names whose mention makes a result depend on more than rows and settings of the session.
    pub unstable: Barriers,
    /// Names whose mention may change any row.
    pub writing: Barriers,
    /// An `=` of somebody's own may stand between values of PostgreSQL's types, so that no column is known by its value.
    pub odd_equality: bool,
    details: HashMap<u32, Detail, foldhash::fast::RandomState>,
}

/// What is known of one relation.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Detail {
    /// Its changes are not in the log: UNLOGGED, or temporary.
    pub unlogged: bool,
    /// ROW LEVEL SECURITY is enabled.
    pub row_security: bool,
    /// What the stream has of old rows: `d` their primary key, `i` the columns of an index, `f` all, `n` nothing.
    pub replica_identity: u8,
    /// The columns of its primary key in order of their numbers; empty: it has none.
    pub key: Vec<i16>,
    /// The columns of the index that is its replica identity, in the same order; empty: none is.
    pub identity_index: Vec<i16>,
    /// Events for which triggers of somebody's own exist.
    pub triggers: Events,
    /// It has rules for changes.
    pub rules: bool,
    /// Foreign keys change or delete other rows when a row of it is deleted.
    pub deletes_follow: bool,
    /// The columns whose change foreign keys pass on to other rows.
    pub updates_follow: Vec<i16>,
    /// Tables with foreign keys to it.
    pub referring: Vec<u32>,
    /// A column has a type whose output is a name in the catalog, as `regclass` has.
    pub names_objects: bool,
    /// Its defaults, checks, indexes or policies may call what changes rows.
    pub calls_writers: bool,
    /// As the question gives them; read where somebody asks for one.
    columns: Box<str>,
}

/// Kinds of statements that triggers are for.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Events(u8);

impl Events {
    /// INSERT.
    pub const INSERT: Events = Events(1 << 2);
    /// DELETE.
    pub const DELETE: Events = Events(1 << 3);
    /// UPDATE.
    pub const UPDATE: Events = Events(1 << 4);
    /// TRUNCATE.
    pub const TRUNCATE: Events = Events(1 << 5);
    /// All of them.
    pub const ALL: Events = Events(0b11_1100);

    /// Both together.
    #[must_use]
    pub const fn and(self, other: Events) -> Events {
        Events(self.0 | other.0)
    }

    /// Whether any of `other` is among them.
    pub const fn meet(self, other: Events) -> bool {
        self.0 & other.0 != 0
    }
}

/// A column of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// `pg_attribute.attnum`.
    pub number: i16,
    /// Its type, as far as it matters.
    pub kind: ColumnKind,
}

/// Types by what their values are good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnKind {
    /// Equal values have equal texts, so that a value is a key.
    Key(KeyType),
    /// No key, and no text.
    NoText,
    /// No key; perhaps a text.
    Other,
}

/// Types whose values are equal exactly if their texts in PostgreSQL's own output form are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyType {
    /// `int2`.
    Int2,
    /// `int4`.
    Int4,
    /// `int8`.
    Int8,
    /// `oid`.
    Oid,
    /// `bool`.
    Bool,
    /// `uuid`.
    Uuid,
    /// `date`.
    Date,
    /// `bytea`.
    Bytea,
    /// `text` and `varchar` under a collation that compares bytes.
    Text,
}

impl Grounds {
    /// Out of the names that were searched for and the answers to [`DETAILS`] and [`CALLS`]; `None` when there are too many to tell,
    /// or an answer has not the form that was asked for.
    pub fn new(unstable: Barriers, writing: Barriers, details: &[Row], calls: &[Row]) -> Option<Grounds> {
        if details.len().max(calls.len()) >= MOST {
            return None;
        }
        let mut grounds = Grounds { unstable, writing, ..Grounds::default() };
        let writers = writers(&grounds.writing, calls)?;
        grounds.odd_equality = calls.iter().any(|row| relation_of(row) == Some(OF_EQUALITY));
        let everywhere = writers.contains(&OF_DOMAINS);
        for row in details {
            let (oid, mut detail) = detail(row)?;
            detail.calls_writers = everywhere || writers.contains(&oid);
            grounds.details.insert(oid, detail);
        }
        Some(grounds)
    }

    /// What is known of a relation.
    pub fn detail(&self, oid: u32) -> Option<&Detail> {
        self.details.get(&oid)
    }
}

impl Detail {
    /// A column by its name.
    pub fn column(&self, name: &str) -> Option<Column> {
        self.all_columns().find(|(_, named)| *named == name).map(|(column, _)| column)
    }

    /// A column by its number.
    pub fn numbered(&self, number: i16) -> Option<Column> {
        self.all_columns().map(|(column, _)| column).find(|column| column.number == number)
    }

    /// All columns with their names, in order of their numbers.
    pub fn all_columns(&self) -> impl Iterator<Item = (Column, &str)> {
        self.columns.split('\n').filter_map(column)
    }
}

/// `7 4 name`.
fn column(line: &str) -> Option<(Column, &str)> {
    let (number, rest) = line.split_once(' ')?;
    let (kind, name) = rest.split_once(' ')?;
    let kind = match kind {
        "2" => ColumnKind::Key(KeyType::Int2),
        "4" => ColumnKind::Key(KeyType::Int4),
        "8" => ColumnKind::Key(KeyType::Int8),
        "o" => ColumnKind::Key(KeyType::Oid),
        "b" => ColumnKind::Key(KeyType::Bool),
        "u" => ColumnKind::Key(KeyType::Uuid),
        "d" => ColumnKind::Key(KeyType::Date),
        "y" => ColumnKind::Key(KeyType::Bytea),
        "t" => ColumnKind::Key(KeyType::Text),
        "." => ColumnKind::NoText,
        _ => ColumnKind::Other,
    };
    Some((Column { number: number.parse().ok()?, kind }, name))
}

fn detail(row: &Row) -> Option<(u32, Detail)> {
    let [
        oid,
        persistence,
        security,
        identity,
        columns,
        key,
        index,
        events,
        rules,
        deleted,
        updated,
        referring,
        named,
    ] = row.as_slice()
    else {
        return None;
    };
    let is = |value: &Option<String>| value.as_deref() == Some("t");
    let detail = Detail {
        unlogged: persistence.as_deref() != Some("p"),
        row_security: security.as_deref() != Some("f"),
        replica_identity: *identity.as_deref()?.as_bytes().first()?,
        key: numbers(key)?,
        identity_index: numbers(index)?,
        triggers: Events(events.as_deref().map_or(Some(0), |events| events.parse::<u8>().ok())?),
        rules: is(rules),
        deletes_follow: is(deleted),
        updates_follow: numbers(updated)?,
        referring: numbers(referring)?,
        names_objects: is(named),
        calls_writers: false,
        columns: columns.as_deref().unwrap_or_default().into(),
    };
    Some((oid.as_deref()?.parse().ok()?, detail))
}

/// Numbers with blanks between them, each once, in order.
fn numbers<N: std::str::FromStr + Ord>(text: &Option<String>) -> Option<Vec<N>> {
    let words = text.as_deref().unwrap_or_default().split_ascii_whitespace();
    let mut numbers: Vec<N> = words.map(|word| word.parse().ok()).collect::<Option<_>>()?;
    numbers.sort_unstable();
    numbers.dedup();
    Some(numbers)
}

fn relation_of(row: &Row) -> Option<u32> {
    row.first()?.as_deref()?.parse().ok()
}

/// The relations whose changes call what may change others. Functions in C are taken for what they are mostly used for in defaults.
fn writers(writing: &Barriers, calls: &[Row]) -> Option<HashSet<u32>> {
    let mut writers = HashSet::new();
    for row in calls {
        let [_, Some(name), Some(volatility), Some(language)] = row.as_slice() else { return None };
        let relation = relation_of(row)?;
        let in_c = matches!(language.as_str(), "c" | "internal");
        if !in_c && (writing.has_call(name) || volatility == "v") {
            writers.insert(relation);
        }
    }
    Some(writers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(columns: &[&str]) -> Row {
        let value = |column: &&str| (!column.is_empty()).then(|| (*column).to_owned());
        columns.iter().map(value).collect()
    }

    const TABLE: [&str; 13] =
        ["16400", "p", "f", "d", "1 4 id\n3 t n\n4 - x y\n5 .", "3 1", "", "20", "f", "t", "2", "7 9 7", "f"];

    fn grounds(details: &[Row], calls: &[Row]) -> Option<Grounds> {
        let mut writing = Barriers::default();
        writing.add("call", "reaches");
        Grounds::new(Barriers::default(), writing, details, calls)
    }

    #[test]
    fn what_is_known_of_a_table() {
        let grounds = grounds(&[row(&TABLE)], &[]).expect("the form that is asked for");
        let detail = grounds.detail(16400).expect("it is there");
        assert_eq!(grounds.detail(1), None);
        assert_eq!((detail.unlogged, detail.row_security, detail.replica_identity), (false, false, b'd'));
        assert_eq!((detail.key.as_slice(), detail.identity_index.as_slice()), (&[1, 3][..], &[][..]));
        assert!(detail.triggers.meet(Events::INSERT) && detail.triggers.meet(Events::UPDATE));
        assert!(!detail.triggers.meet(Events::DELETE.and(Events::TRUNCATE)));
        assert_eq!((detail.deletes_follow, detail.updates_follow.as_slice()), (true, &[2][..]));
        assert_eq!(detail.referring, [7, 9]);
        assert_eq!(detail.column("id"), Some(Column { number: 1, kind: ColumnKind::Key(KeyType::Int4) }));
        assert_eq!(detail.column("x y"), Some(Column { number: 4, kind: ColumnKind::Other }));
        assert_eq!((detail.column("y"), detail.column("")), (None, None));
        assert_eq!(detail.all_columns().count(), 3);
    }

    #[test]
    fn who_calls_what_may_write() {
        let calls = |calls: &[[&str; 4]]| {
            let calls: Vec<Row> = calls.iter().map(|call| row(call)).collect();
            let grounds = grounds(&[row(&TABLE)], &calls).expect("the form that is asked for");
            (grounds.detail(16400).expect("it is there").calls_writers, grounds.odd_equality)
        };
        assert_eq!(calls(&[["16400", "f", "i", "sql"]]), (false, false));
        assert_eq!(calls(&[["16400", "f", "v", "sql"]]), (true, false));
        assert_eq!(calls(&[["16400", "f", "v", "c"]]), (false, false));
        assert_eq!(calls(&[["16400", "reaches", "i", "plpgsql"]]), (true, false));
        assert_eq!(calls(&[["16401", "f", "v", "sql"]]), (false, false));
        assert_eq!(calls(&[["0", "f", "v", "sql"]]), (true, false), "of any domain");
        assert_eq!(calls(&[["1", "=", "i", "sql"]]), (false, true));
    }

    #[test]
    fn what_cannot_be_told() {
        assert!(grounds(&vec![row(&TABLE); MOST], &[]).is_none());
        assert!(grounds(&[row(&TABLE[1..])], &[]).is_none());
        assert!(grounds(&[row(&TABLE)], &[row(&["x"])]).is_none());
        let mut other = TABLE;
        other[5] = "x";
        assert!(grounds(&[row(&other)], &[]).is_none());
    }
}
