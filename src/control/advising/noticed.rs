//! Indexes as they are now, for the store, which marks what came and went.

use crate::advice::{Schema, index_title};
use crate::sql::without_values;
use crate::store::marks::{LONGEST, SeenTable};

/// A table's name is not longer than this, in bytes: a schema and a table, in quotes.
const NAME: usize = 600;

/// Tables with those of their indexes that can be used. Parts of a partitioned index are not by themselves; and of values that conditions and expressions of
/// indexes may have, there is `$1`, `$2`, ...
pub(super) fn tables(schema: &Schema) -> Vec<SeenTable> {
    let tables = schema.tables.iter().map(|table| {
        let meant = table.indexes.iter().filter(|index| index.valid && index.parent.is_none());
        let index = |index: &crate::advice::schema::Index| {
            let title = index_title(&index.definition, schema);
            let shape = crate::sql::shape(title.as_bytes(), true);
            // Where it cannot be told what is a value in it, its name must do.
            let on = without_values(title.as_bytes(), &shape.literals, true).unwrap_or_default();
            let on: String = String::from_utf8_lossy(&on).chars().take(LONGEST).collect();
            (index.name.clone(), on)
        };
        let mut indexes: Vec<_> = meant.map(index).collect();
        indexes.sort();
        SeenTable { oid: table.oid, name: format!("{}.{}", table.schema, table.name), indexes }
    });
    tables.filter(|table| table.name.len() <= NAME && !table.name.contains('\0')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advice::index::{Definition, Key};
    use crate::advice::schema::{Index, Table};

    #[test]
    fn indexes_are_named_without_values_and_only_those_that_can_be_used() {
        let mut definition = Definition::btree(1, vec![Key::column("a"), Key::expression("lower(b)")]);
        definition.predicate = Some("(status = 'planted-secret'::text)".to_owned());
        let index = |name: &str, valid, parent| Index {
            oid: 2,
            name: name.to_owned(),
            definition: definition.clone(),
            sql: String::new(),
            primary: false,
            needed: false,
            valid,
            parent,
            bytes: 8192,
            scans: 0,
        };
        let indexes =
            vec![index("made", true, None), index("failed", false, None), index("part", true, Some(9))];
        let table = Table { oid: 1, schema: "public".into(), name: "t".into(), indexes, ..Table::default() };
        let schema =
            Schema { tables: vec![table], search_path: vec!["public".to_owned()], ..Schema::default() };
        let found = tables(&schema);
        assert_eq!((found[0].oid, found[0].name.as_str(), found[0].indexes.len()), (1, "public.t", 1));
        let (name, on) = &found[0].indexes[0];
        assert!(name == "made" && on.starts_with("t(a, ") && on.contains(" WHERE (status = $1"), "{on}");
        assert!(!on.contains("planted-secret"), "{on}");
    }
}
