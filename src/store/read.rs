//! What the file tells, for reports.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use super::file::{self, Trouble};
use super::marks::{self, Mark};
use super::numbers;
use super::put::{self, SUMS};
use super::samples::Stored;
use crate::slow::{Merged, Series, Slot};
use crate::stats::tally::{Sums, TOTAL, Who};

/// More pgweirs than this are not kept apart: in a long time many have come and gone.
const INSTANCES: usize = 500;
/// More lines than this are not kept apart: those that took longest are.
const MOST: usize = 10_000;

/// What was counted in a time.
#[derive(Debug, Default)]
pub struct History {
    /// By database, user and application, whichever pgweir counted it.
    pub counted: Merged<Who>,
    /// When the first and the last of it were counted, in seconds since 1970, as exactly as minutes, hours or days tell.
    pub between: Option<(i64, i64)>,
    /// When what is in the file begins.
    pub begins: Option<i64>,
    /// The pgweirs that counted.
    pub instances: Vec<String>,
    /// Statements that were counted and could not be written.
    pub missing: u64,
    /// When what was counted, by shape; without parts, where nobody asked for them.
    pub series: Series,
    /// Numbers of shapes, by fingerprint: they stay as long as the file does.
    pub numbers: HashMap<u128, u64>,
    /// What happened, in the order of time.
    pub marks: Vec<Mark>,
    /// By the pgweir that counted it; at most 500, and all others without a name.
    pub by_instance: BTreeMap<String, ByInstance>,
}

/// What one pgweir has counted.
#[derive(Debug, Clone, Default)]
pub struct ByInstance {
    /// All of it.
    pub sums: Sums,
    /// When the last of it was counted, in seconds since 1970, as exactly as minutes, hours or days tell.
    pub last: i64,
    /// When, in the parts of the history's series.
    pub series: Vec<Slot>,
}

/// One row of counts.
pub(super) struct Counted {
    /// When it begins, in seconds since 1970.
    pub(super) start: i64,
    /// How long it is, in seconds.
    pub(super) span: i64,
    /// Which pgweir has counted.
    pub(super) instance: String,
    /// Who has sent it.
    pub(super) who: Who,
    /// Its shape.
    pub(super) fingerprint: u128,
    /// The shape's text.
    pub(super) text: Arc<str>,
    /// What was counted.
    pub(super) sums: Sums,
}

impl History {
    /// Adds a row.
    pub(super) fn take(&mut self, row: Counted) {
        let (from, to) = (row.start, row.start + row.span);
        let (first, last) = self.between.unwrap_or((from, to));
        self.between = Some((first.min(from), last.max(to)));
        self.take_of_instance(&row);
        if !self.instances.contains(&row.instance) {
            self.instances.push(row.instance);
        }
        self.series.add(row.fingerprint, (from, row.span), row.sums.calls, row.sums.micros[TOTAL]);
        self.counted.add(row.who, row.fingerprint, row.text, row.sums);
        if self.counted.len() > MOST * 2 {
            self.counted.bound(MOST);
        }
    }
}

impl History {
    fn take_of_instance(&mut self, row: &Counted) {
        let is_kept = self.by_instance.len() < INSTANCES || self.by_instance.contains_key(&row.instance);
        let name = if is_kept { row.instance.as_str() } else { "" };
        if !self.by_instance.contains_key(name) {
            self.by_instance.insert(name.to_owned(), ByInstance::default());
        }
        let Some(one) = self.by_instance.get_mut(name) else { return };
        one.sums.merge(&row.sums);
        one.last = one.last.max(row.start + row.span);
        self.series.share(&mut one.series, (row.start, row.span), row.sums.calls, row.sums.micros[TOTAL]);
    }
}

/// Reads what was counted since a time, in seconds since 1970. What is older is kept by the hour or the day: all of one that reaches into the time counts.
///
/// # Errors
/// When the file cannot be read, or is not one of pgweir's.
pub fn since(path: &Path, since: i64) -> Result<History, Trouble> {
    between(path, (since, i64::MAX), 0, None)
}

/// Reads what was counted in a time, in seconds since 1970, by all pgweirs or by one, and keeps it in so many parts besides.
///
/// # Errors
/// As [`since`].
pub fn between(
    path: &Path,
    (since, until): (i64, i64),
    parts: usize,
    instance: Option<&str>,
) -> Result<History, Trouble> {
    let mut connection = file::open_to_read(path)?;
    // At one point in time.
    let file = connection.transaction()?;
    let mut history = History {
        begins: file.query_row("SELECT min(start) FROM bucket", [], |row| row.get(0))?,
        missing: file.query_row(
            "SELECT coalesce(sum(statements), 0) FROM missing
             WHERE start + 3600 > ?1 AND start < ?2 AND instance = coalesce(?3, instance)",
            (since, until, instance),
            |row| row.get::<_, i64>(0),
        )? as u64,
        numbers: numbers::of_shapes(&file)?,
        marks: marks::between(&file, (since, until), instance)?,
        series: if parts > 0 { Series::new(since, until, parts) } else { Series::default() },
        ..History::default()
    };
    let mut texts: HashMap<Vec<u8>, Arc<str>> = HashMap::new();
    let statement = format!(
        "SELECT start, span, instance, database, user, application, bucket.fingerprint, text, {SUMS}
         FROM bucket JOIN origin ON origin.id = origin LEFT JOIN shape ON shape.fingerprint = bucket.fingerprint
         WHERE start + span > ?1 AND start < ?2 AND instance = coalesce(?3, instance)"
    );
    let mut read = file.prepare(&statement)?;
    let mut rows = read.query((since, until, instance))?;
    while let Some(row) = rows.next()? {
        let (start, span, instance) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let who = Who { database: row.get(3)?, user: row.get(4)?, application: row.get(5)? };
        let name: Vec<u8> = row.get(6)?;
        let fingerprint = name.as_slice().try_into().map_or(0, u128::from_be_bytes);
        let text: Option<String> = row.get(7)?;
        let text = texts.entry(name).or_insert_with(|| text.unwrap_or_default().into()).clone();
        history.take(Counted { start, span, instance, who, fingerprint, text, sums: put::sums(row, 8)? });
    }
    history.instances.sort();
    Ok(history)
}

/// Statements with their values, of one database or of all, in the order of their shapes.
///
/// # Errors
/// When the file cannot be read, or is not one of pgweir's.
pub fn samples(path: &Path, database: Option<&str>) -> Result<Vec<Stored>, Trouble> {
    let file = file::open_to_read(path)?;
    let mut read = file.prepare(
        "SELECT database, fingerprint, origin, text, vals, micros, calls FROM sample
         WHERE database = coalesce(?1, database) ORDER BY database, fingerprint, number",
    )?;
    let rows = read.query_map([database], Stored::read)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Where callers say that they send statements from, since a day: fingerprint, caller, and how often; what comes most often first.
///
/// # Errors
/// When the file cannot be read, or is not one of pgweir's.
pub fn callers(path: &Path, since: i64, database: Option<&str>) -> Result<Vec<(u128, String, u64)>, Trouble> {
    let file = file::open_to_read(path)?;
    let mut read = file.prepare(
        "SELECT fingerprint, caller, sum(calls) FROM caller
         WHERE start + 86400 > ?1 AND database = coalesce(?2, database) GROUP BY 1, 2 ORDER BY 1, 3 DESC, 2",
    )?;
    let rows = read.query_map((since, database), |row| {
        let fingerprint: Vec<u8> = row.get(0)?;
        let fingerprint = fingerprint.try_into().map_or(0, u128::from_be_bytes);
        Ok((fingerprint, row.get(1)?, row.get::<_, i64>(2)?.max(0) as u64))
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
