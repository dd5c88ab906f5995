//! A database read into a [`Schema`], in a number of questions that does not depend on its size.
//!
//! Tables beyond a limit are left out, the smallest first, and that is told. What may not be seen (`pg_stats` of tables that the user may not
//! read, counters that were taken from it) or cannot be had in time (sizes of a table that somebody has locked) is told as well, and is no
//! error: the rest is of use without it.

mod rows;

use std::collections::HashMap;
use std::time::Duration;

use self::rows::{Cells, names_of};
use super::ask::{Asker, Refused, Row, Server, always_quoted};
use super::schema::{Schema, Table};

const SERVER: &str = include_str!("sql/server.sql");
const EXTENSIONS: &str = include_str!("sql/extensions.sql");
const TABLES: &str = include_str!("sql/tables.sql");
const SIZES: &str = include_str!("sql/sizes.sql");
const COLUMNS: &str = include_str!("sql/columns.sql");
const STATISTICS: &str = include_str!("sql/statistics.sql");
const INDEXES: &str = include_str!("sql/indexes.sql");
const FOREIGN_KEYS: &str = include_str!("sql/foreign_keys.sql");
const PARTITION_KEYS: &str = include_str!("sql/partition_keys.sql");
const ACTIVITY: &str = include_str!("sql/activity.sql");
const INDEX_SCANS: &str = include_str!("sql/index_scans.sql");
const SPILLS: &str = include_str!("sql/spills.sql");

/// How long each question may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Of no more tables values are read: each column has up to 200 of them.
const MOST_WITH_VALUES: usize = 1000;

/// What was read.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    /// The database.
    pub schema: Schema,
    /// What could not be read, and what that means.
    pub notes: Vec<String>,
}

/// Reads all of a database but what is beyond `most` tables. `named` are names of tables that the workload has: they are read first, and
/// values of statistics are read of them only. The asker's path is set to that of the login.
///
/// # Errors
/// When it cannot be said which tables there are, or which columns and indexes they have.
pub async fn read_schema<S: Server>(
    asker: &mut Asker<S>,
    named: &[String],
    most: usize,
) -> Result<Reading, Refused> {
    let mut reading = Reading::default();
    server(asker, &mut reading.schema).await?;
    let limit = Some((most + 1).to_string());
    let mut tables = asker.catalog(TABLES, &[Some(array(named)), limit], PATIENCE).await?;
    if tables.len() > most {
        tables.truncate(most);
        reading.notes.push(format!(
            "there are more than {most} tables: those that statements name and the largest were looked at"
        ));
    }
    reading.schema.tables = tables.iter().filter_map(rows::table).collect();
    let hidden = tables.iter().filter(|row| row.get(7).and_then(Option::as_deref) == Some("f")).count();
    if hidden > 0 {
        reading.notes.push(format!(
            "the statistics of {hidden} tables may not be seen by this user: nothing is known of their values. \
             GRANT pg_read_all_data TO it, or SELECT on them"
        ));
    }
    details(asker, &mut reading, named).await?;
    spills(asker, &mut reading).await?;
    Ok(reading)
}

/// What statements wrote to temporary files, where the server counts it.
async fn spills<S: Server>(asker: &mut Asker<S>, reading: &mut Reading) -> Result<(), Refused> {
    let Some(schema) = reading.schema.extension("pg_stat_statements") else {
        reading.notes.push(
            "the extension pg_stat_statements is not there, so that it is not known which sorts and hashes have too little memory"
                .to_owned(),
        );
        return Ok(());
    };
    let sql = SPILLS.replace("SCHEMA", &always_quoted(schema));
    let rows = asker.catalog(&sql, &[], PATIENCE).await;
    let rows =
        or_note(rows, "what statements wrote to temporary files (pg_stat_statements)", &mut reading.notes)?;
    let page = reading.schema.page;
    reading.schema.spills = rows::spills(&rows, page);
    Ok(())
}

async fn server<S: Server>(asker: &mut Asker<S>, schema: &mut Schema) -> Result<(), Refused> {
    let rows = asker.catalog(SERVER, &[], PATIENCE).await?;
    let row = rows.first().map(Vec::as_slice).unwrap_or_default();
    schema.version = row.number(0).unwrap_or_default();
    schema.page = row.number(1).unwrap_or(8192);
    schema.search_path = row.names(2);
    schema.c_collation = row.is_true(3);
    schema.counted_since = row.number(4);
    schema.read_at = row.number(5);
    asker.set_path(&schema.search_path);
    let rows = asker.catalog(EXTENSIONS, &[], PATIENCE).await?;
    schema.extensions = rows.iter().filter_map(rows::extension).collect();
    Ok(())
}

async fn details<S: Server>(
    asker: &mut Asker<S>,
    reading: &mut Reading,
    named: &[String],
) -> Result<(), Refused> {
    let all: Vec<u32> = reading.schema.tables.iter().map(|table| table.oid).collect();
    let mut with_values: Vec<&Table> =
        reading.schema.tables.iter().filter(|table| named.contains(&table.name)).collect();
    with_values.truncate(MOST_WITH_VALUES);
    let with_values: Vec<u32> = with_values.iter().map(|table| table.oid).collect();
    let (all, with_values) = (Some(array(&all)), Some(array(&with_values)));
    let of = std::slice::from_ref(&all);
    let columns = asker.catalog(COLUMNS, of, PATIENCE).await?;
    let indexes = asker.catalog(INDEXES, of, PATIENCE).await?;
    let foreign_keys = asker.catalog(FOREIGN_KEYS, of, PATIENCE).await?;
    let partition_keys = asker.catalog(PARTITION_KEYS, of, PATIENCE).await?;
    let mut notes = vec![];
    let statistics = [all.clone(), with_values];
    let statistics = asker.catalog(STATISTICS, &statistics, PATIENCE).await;
    let statistics = or_note(statistics, "statistics of columns (pg_stats)", &mut notes)?;
    let sizes = asker.catalog(SIZES, of, PATIENCE).await;
    let sizes =
        or_note(sizes, "sizes as they are now; those of the last VACUUM or ANALYZE stand in", &mut notes)?;
    let activity = asker.catalog(ACTIVITY, of, PATIENCE).await;
    let activity = or_note(activity, "what was inserted, updated and deleted (pg_stat_get_...)", &mut notes)?;
    let scans = asker.catalog(INDEX_SCANS, of, PATIENCE).await;
    reading.schema.scans_known = scans.is_ok();
    let scans = or_note(scans, "how often indexes were used (pg_stat_get_numscans)", &mut notes)?;
    let mut filling = Filling::of(&mut reading.schema);
    columns.iter().for_each(|row| filling.column(row));
    statistics.iter().for_each(|row| filling.statistics(row));
    indexes.iter().for_each(|row| filling.index(row));
    foreign_keys.iter().for_each(|row| filling.foreign_key(row));
    partition_keys.iter().for_each(|row| filling.partition_key(row));
    sizes.iter().for_each(|row| filling.size(row));
    activity.iter().for_each(|row| filling.activity(row));
    scans.iter().for_each(|row| filling.scans(row));
    rows::reckon(&mut reading.schema);
    reading.notes.extend(notes);
    Ok(())
}

/// What was answered; where it was refused, nothing and a note. A lost connection is an error.
fn or_note(
    answer: Result<Vec<Row>, Refused>,
    what: &str,
    notes: &mut Vec<String>,
) -> Result<Vec<Row>, Refused> {
    match answer {
        Err(refused) if !refused.lost => {
            notes.push(format!("not known: {what}: {refused}"));
            Ok(vec![])
        }
        answer => answer,
    }
}

/// Adds how often indexes were used on another node, by what it was asked with [`scans_elsewhere`].
pub fn add_scans(schema: &mut Schema, rows: &[Row]) {
    let mut filling = Filling::of(schema);
    rows.iter().for_each(|row| filling.scans(row));
}

/// How often the indexes of a schema were used on another node of the cluster.
///
/// # Errors
/// As the server refuses it: then it is not known which are unused.
pub async fn scans_elsewhere<S: Server>(asker: &mut Asker<S>, schema: &Schema) -> Result<Vec<Row>, Refused> {
    asker.set_path(&schema.search_path);
    let all: Vec<u32> = schema.tables.iter().map(|table| table.oid).collect();
    asker.catalog(INDEX_SCANS, &[Some(array(&all))], PATIENCE).await
}

/// A schema that is being filled, with its tables and indexes by OID.
struct Filling<'a> {
    schema: &'a mut Schema,
    tables: HashMap<u32, usize>,
    indexes: HashMap<u32, (usize, usize)>,
}

impl Filling<'_> {
    fn of(schema: &mut Schema) -> Filling<'_> {
        let tables = schema.tables.iter().enumerate().map(|(at, table)| (table.oid, at)).collect();
        let places = schema.tables.iter().enumerate().flat_map(|(at, table)| {
            table.indexes.iter().enumerate().map(move |(place, index)| (index.oid, (at, place)))
        });
        let indexes = places.collect();
        Filling { schema, tables, indexes }
    }

    fn table(&mut self, row: &Row) -> Option<&mut Table> {
        let at = *self.tables.get(&row.number(0)?)?;
        self.schema.tables.get_mut(at)
    }

    fn column(&mut self, row: &Row) {
        let database = self.schema.c_collation;
        let Some(column) = rows::column(row, database) else { return };
        self.table(row).into_iter().for_each(|table| table.columns.push(column.clone()));
    }

    fn statistics(&mut self, row: &Row) {
        let Some(table) = self.table(row) else { return };
        let column = table.columns.iter_mut().find(|column| Some(&column.name) == row[1].as_ref());
        column.into_iter().for_each(|column| column.statistics = Some(rows::statistics(row)));
    }

    fn index(&mut self, row: &Row) {
        let Some((oid, index)) = rows::index(row) else { return };
        let Some(at) = row.number(1).and_then(|table: u32| self.tables.get(&table)).copied() else { return };
        let indexes = &mut self.schema.tables[at].indexes;
        self.indexes.insert(oid, (at, indexes.len()));
        indexes.push(index);
    }

    fn foreign_key(&mut self, row: &Row) {
        let key = rows::foreign_key(row);
        let Some(table) = self.table(row) else { return };
        table.foreign_keys.extend(key);
    }

    fn partition_key(&mut self, row: &Row) {
        let names = names_of(row.text(1).unwrap_or_default());
        self.table(row).into_iter().for_each(|table| table.partition_key.clone_from(&names));
    }

    fn size(&mut self, row: &Row) {
        let page = self.schema.page.max(1);
        let (Some(oid), Some(bytes)) = (row.number::<u32>(0), row.number::<u64>(1)) else { return };
        if let Some((table, place)) = self.indexes.get(&oid) {
            self.schema.tables[*table].indexes[*place].bytes = bytes;
        } else if let Some(table) = self.table(row) {
            rows::resize(table, bytes / page);
        }
    }

    fn activity(&mut self, row: &Row) {
        self.table(row).into_iter().for_each(|table| table.activity = rows::activity(row));
    }

    fn scans(&mut self, row: &Row) {
        let (Some(oid), Some(scans)) = (row.number::<u32>(0), row.number::<u64>(1)) else { return };
        let Some((table, place)) = self.indexes.get(&oid) else { return };
        self.schema.tables[*table].indexes[*place].scans += scans;
    }
}

/// A list as PostgreSQL reads arrays.
fn array<T: ToString>(items: &[T]) -> String {
    let quoted = |item: &T| format!("\"{}\"", item.to_string().replace('\\', "\\\\").replace('"', "\\\""));
    format!("{{{}}}", items.iter().map(quoted).collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_are_written_as_postgresql_reads_them() {
        assert_eq!(array(&[1, 2]), "{\"1\",\"2\"}");
        assert_eq!(array(&["a,b", "c\"d\\"]), "{\"a,b\",\"c\\\"d\\\\\"}");
        assert_eq!(array::<u32>(&[]), "{}");
    }
}
