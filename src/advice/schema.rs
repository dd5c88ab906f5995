//! What a database is, as far as advice needs it: tables, columns, what the planner knows of them, and the indexes that are there.

use std::collections::HashMap;
use std::sync::OnceLock;

use super::index::Definition;

/// A database.
#[derive(Debug, Clone, Default)]
pub struct Schema {
    /// `server_version_num`, such as 150006.
    pub version: u32,
    /// Extensions that are there, and those that could be created, by name.
    pub extensions: Vec<Extension>,
    /// Tables, partitioned ones and partitions too. System catalogs are not among them. None comes, goes or is renamed after it was looked for.
    pub tables: Vec<Table>,
    /// Where they are, for look-ups in databases of thousands of tables.
    pub places: Places,
    /// The schemas in which names without one are looked up, in order.
    pub search_path: Vec<String>,
    /// Bytes of a page.
    pub page: u64,
    /// The database's own collation orders by bytes.
    pub c_collation: bool,
    /// Since when counters run, in seconds since 1970, where that is known.
    pub counted_since: Option<i64>,
    /// When all of this was read, in seconds since 1970, by the server's clock.
    pub read_at: Option<i64>,
    /// How often indexes were used is known of every node.
    pub scans_known: bool,
    /// Statements that wrote temporary files, where the server counts that.
    pub spills: Vec<Spill>,
}

/// What statements of a shape wrote to temporary files since counters run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spill {
    /// The shape.
    pub fingerprint: u128,
    /// Its calls.
    pub calls: u64,
    /// Bytes that they wrote, all together.
    pub bytes: u64,
    /// Bytes of memory that each sort or hash may take where it was asked (`work_mem`).
    pub work_mem: u64,
}

/// Where the tables of a schema are, found when one is looked up first. A copy begins anew, for its tables may become others.
#[derive(Debug, Default)]
pub struct Places(OnceLock<Found>);

#[derive(Debug, Default)]
struct Found {
    by_oid: HashMap<u32, usize>,
    by_name: HashMap<String, Vec<usize>>,
    /// By the table that they are partitions of.
    below: HashMap<u32, Vec<usize>>,
}

impl Clone for Places {
    fn clone(&self) -> Places {
        Places::default()
    }
}

/// An extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension {
    /// Its name.
    pub name: String,
    /// The schema that it was created in; `None` where it only could be.
    pub schema: Option<String>,
}

/// A table.
#[derive(Debug, Clone, Default)]
pub struct Table {
    /// Its OID.
    pub oid: u32,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// `r` an ordinary one, `p` a partitioned one, `m` a materialized view (`pg_class.relkind`).
    pub kind: char,
    /// The partitioned table that it is a partition of.
    pub parent: Option<u32>,
    /// Columns by which it is partitioned, where it is.
    pub partition_key: Vec<String>,
    /// Rows, as the planner reckons with the pages that there are now. Of a partitioned one, of all its partitions.
    pub rows: f64,
    /// Pages that there are now.
    pub pages: u64,
    /// How many times as many those are as when it was analyzed or vacuumed last; 0 where that is not known.
    pub grown: f64,
    /// Its columns, in their order, without dropped ones.
    pub columns: Vec<Column>,
    /// Its indexes.
    pub indexes: Vec<Index>,
    /// Foreign keys from it to others.
    pub foreign_keys: Vec<ForeignKey>,
    /// What was counted of it.
    pub activity: Activity,
}

/// A column.
#[derive(Debug, Clone, Default)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type, as `format_type` prints it.
    pub type_name: String,
    /// The type's OID.
    pub type_oid: u32,
    /// It has no NULL.
    pub not_null: bool,
    /// Its collation orders by bytes.
    pub c_collation: bool,
    /// What ANALYZE found; `None` where it never ran or may not be seen.
    pub statistics: Option<Statistics>,
}

/// What ANALYZE found of a column (`pg_stats`).
#[derive(Debug, Clone, Default)]
pub struct Statistics {
    /// The part of rows with NULL.
    pub nulls: f64,
    /// Bytes of a value, on average.
    pub width: u32,
    /// Different values, in number.
    pub distinct: f64,
    /// The most common values in text form, and the part of rows that has each.
    pub common: Vec<(String, f64)>,
    /// Values that cut the others into equal parts, in text form.
    pub bounds: Vec<String>,
    /// How the order of rows on disk goes with the order of values, -1 to 1.
    pub correlation: Option<f64>,
}

/// An index that is there.
#[derive(Debug, Clone)]
pub struct Index {
    /// Its OID.
    pub oid: u32,
    /// Its name; its schema is the table's.
    pub name: String,
    /// What it is.
    pub definition: Definition,
    /// As `pg_get_indexdef` prints it.
    pub sql: String,
    /// It is the primary key's.
    pub primary: bool,
    /// A constraint stands on it, or a foreign key needs it, or it is the replica identity: it cannot be dropped.
    pub needed: bool,
    /// It may be used; a failed CREATE INDEX CONCURRENTLY leaves one that is not.
    pub valid: bool,
    /// The partitioned index that it is a part of.
    pub parent: Option<u32>,
    /// Its size in bytes.
    pub bytes: u64,
    /// How often it was used since counters run, on all nodes that were asked.
    pub scans: u64,
}

/// A foreign key.
#[derive(Debug, Clone)]
pub struct ForeignKey {
    /// Its name.
    pub name: String,
    /// Columns of the table that has it.
    pub columns: Vec<String>,
    /// The table that it leads to.
    pub to: u32,
    /// A DELETE or UPDATE there looks for rows here, whatever becomes of them (`CASCADE`, `SET NULL`, ...), or has to fail.
    pub action: char,
}

/// What was counted of a table since counters run (`pg_stat_user_tables`).
#[derive(Debug, Clone, Default)]
pub struct Activity {
    /// Rows inserted.
    pub inserted: u64,
    /// Rows updated.
    pub updated: u64,
    /// Of these, without touching an index.
    pub hot: u64,
    /// Rows deleted.
    pub deleted: u64,
    /// Rows that are dead and not vacuumed.
    pub dead: u64,
    /// Rows changed since ANALYZE ran.
    pub stale: u64,
    /// Sequential scans.
    pub scans: u64,
    /// When ANALYZE ran last, by hand or not, in seconds since 1970.
    pub analyzed: Option<i64>,
    /// When VACUUM ran last.
    pub vacuumed: Option<i64>,
}

impl Schema {
    /// A table by OID.
    pub fn table(&self, oid: u32) -> Option<&Table> {
        let at = self.found().by_oid.get(&oid)?;
        self.tables.get(*at)
    }

    /// The partitions of a table, in order, those of partitions not among them.
    pub fn below(&self, oid: u32) -> impl Iterator<Item = &Table> {
        let places = self.found().below.get(&oid).into_iter().flatten();
        places.filter_map(|at| self.tables.get(*at))
    }

    /// What a name means; one without a schema is looked up along the search path.
    pub fn named(&self, schema: Option<&str>, name: &str) -> Option<&Table> {
        let places = self.found().by_name.get(name)?;
        let tables = places.iter().filter_map(|at| self.tables.get(*at));
        let find = |schema: &str| tables.clone().find(|table| table.schema == schema);
        match schema {
            Some(schema) => find(schema),
            None => self.search_path.iter().find_map(|schema| find(schema)),
        }
    }

    fn found(&self) -> &Found {
        self.places.0.get_or_init(|| {
            let mut found = Found::default();
            for (at, table) in self.tables.iter().enumerate() {
                found.by_oid.entry(table.oid).or_insert(at);
                found.by_name.entry(table.name.clone()).or_default().push(at);
                table.parent.into_iter().for_each(|up| found.below.entry(up).or_default().push(at));
            }
            found
        })
    }

    /// The schema of an extension that is there.
    pub fn extension(&self, name: &str) -> Option<&str> {
        self.extensions.iter().find(|known| known.name == name)?.schema.as_deref()
    }
}

impl Table {
    /// A column by name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_found_by_oid_by_name_and_by_what_they_are_parts_of() {
        let table = |oid, schema: &str, name: &str, parent| {
            let (schema, name) = (schema.to_owned(), name.to_owned());
            Table { oid, schema, name, parent, ..Table::default() }
        };
        let tables = vec![
            table(9, "public", "t", None),
            table(3, "other", "t", None),
            table(5, "other", "u", Some(3)),
            table(4, "other", "v", Some(3)),
        ];
        let search_path = vec!["nowhere".to_owned(), "other".to_owned(), "public".to_owned()];
        let mut schema = Schema { tables, search_path, ..Schema::default() };
        let oid = |found: Option<&Table>| found.map(|table| table.oid);
        assert_eq!((oid(schema.table(3)), oid(schema.table(7))), (Some(3), None));
        assert_eq!(oid(schema.named(None, "t")), Some(3), "the first of the path");
        assert_eq!(oid(schema.named(Some("public"), "t")), Some(9));
        assert_eq!((oid(schema.named(Some("public"), "u")), oid(schema.named(None, "w"))), (None, None));
        assert_eq!(schema.below(3).map(|table| table.oid).collect::<Vec<_>>(), [5, 4]);
        assert_eq!(schema.below(9).count(), 0);
        schema = schema.clone();
        schema.tables.push(table(7, "public", "w", None));
        assert_eq!((oid(schema.table(7)), oid(schema.named(None, "w"))), (Some(7), Some(7)), "of a copy");
    }
}
