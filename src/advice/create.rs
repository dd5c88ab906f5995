//! How an index is created on a database that is in use, and how that is undone.

use super::Action;
use super::existing::full;
use super::index::{Definition, Held, quoted};
use super::schema::{Index, Schema, Table};

/// The longest name that PostgreSQL takes, in bytes (`NAMEDATALEN` - 1).
const LONGEST_NAME: usize = 63;

/// Operator classes of extensions.
const OF_EXTENSIONS: [(&str, &str); 2] = [("gin_trgm_ops", "pg_trgm"), ("gist_trgm_ops", "pg_trgm")];

/// What to run to have an index, statement by statement.
pub fn create(definition: &Definition, schema: &Schema, taken: &mut Vec<String>) -> Action {
    let Some(table) = schema.table(definition.table) else {
        return Action::Sql { run: vec![], undo: vec![], concurrently: false };
    };
    let mut run: Vec<String> = extension(definition, schema).into_iter().collect();
    let name = name(definition, table, schema, taken);
    let undo = if table.kind == 'p' {
        run.extend(partitioned(definition, table, &name, schema, taken));
        format!("DROP INDEX {}", full(&table.schema, &name))
    } else {
        run.push(format!(
            "{} {} ON {} {}",
            word(definition, true),
            quoted(&name),
            full(&table.schema, &table.name),
            definition.body()
        ));
        format!("DROP INDEX CONCURRENTLY {}", full(&table.schema, &name))
    };
    let has_expression = definition.keys.iter().any(|key| matches!(key.what, Held::Expression(_)));
    if has_expression {
        // Until then the planner knows nothing of the values of the expression.
        run.push(format!("ANALYZE {}", full(&table.schema, &table.name)));
    }
    Action::Sql { run, undo: vec![undo], concurrently: true }
}

fn word(definition: &Definition, concurrently: bool) -> String {
    let unique = if definition.unique { "UNIQUE " } else { "" };
    let concurrently = if concurrently { " CONCURRENTLY" } else { "" };
    format!("CREATE {unique}INDEX{concurrently}")
}

/// On the parent ONLY, which takes no time; on each partition without a lock on those that write; then one after the other is attached.
fn partitioned(
    definition: &Definition,
    table: &Table,
    name: &str,
    schema: &Schema,
    taken: &mut Vec<String>,
) -> Vec<String> {
    let parent = full(&table.schema, name);
    let mut run = vec![format!(
        "{} {} ON ONLY {} {}",
        word(definition, false),
        quoted(name),
        full(&table.schema, &table.name),
        definition.body()
    )];
    let mut below: Vec<&Table> = schema.below(table.oid).collect();
    below.sort_by(|a, b| (&a.schema, &a.name).cmp(&(&b.schema, &b.name)));
    for one in below {
        let part = self::name(&Definition { table: one.oid, ..definition.clone() }, one, schema, taken);
        if one.kind == 'p' {
            run.extend(partitioned(definition, one, &part, schema, taken));
        } else {
            run.push(format!(
                "{} {} ON {} {}",
                word(definition, true),
                quoted(&part),
                full(&one.schema, &one.name),
                definition.body()
            ));
        }
        run.push(format!("ALTER INDEX {parent} ATTACH PARTITION {}", full(&one.schema, &part)));
    }
    run
}

fn extension(definition: &Definition, schema: &Schema) -> Option<String> {
    let class = definition.keys.iter().find_map(|key| key.class.as_deref())?;
    let (_, name) = OF_EXTENSIONS.iter().find(|(known, _)| class.ends_with(known))?;
    schema.extension(name).is_none().then(|| format!("CREATE EXTENSION IF NOT EXISTS {name}"))
}

/// A name that no index has, as PostgreSQL would choose it: table, columns, `idx`.
fn name(definition: &Definition, table: &Table, schema: &Schema, taken: &mut Vec<String>) -> String {
    let mut words = vec![table.name.clone()];
    words.extend(definition.keys.iter().map(|key| match &key.what {
        Held::Column(name) => name.clone(),
        Held::Expression(text) => {
            text.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or("expr").to_owned()
        }
    }));
    let base = words.join("_");
    let in_schema = |name: &String| {
        schema
            .tables
            .iter()
            .filter(|one| one.schema == table.schema)
            .any(|one| one.name == *name || one.indexes.iter().any(|index| index.name == *name))
    };
    for number in 0_u32.. {
        let end = if number == 0 { "_idx".to_owned() } else { format!("_idx{number}") };
        let name = cut(&base, LONGEST_NAME - end.len()).to_owned() + &end;
        if !in_schema(&name) && !taken.contains(&name) {
            taken.push(name.clone());
            return name;
        }
    }
    base
}

fn cut(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// The index that a fix of this title asks for, where the database has it.
pub fn index_of_title<'a>(schema: &'a Schema, fix: &str) -> Option<&'a Index> {
    let wanted = fix.strip_prefix("index ")?;
    // Titles of all indexes of thousands of tables are not made to compare one.
    let may_be = |table: &&Table| wanted.contains(&table.name) || table.name.contains('"');
    let all = schema.tables.iter().filter(may_be).flat_map(|table| &table.indexes);
    all.into_iter().find(|index| index.valid && title(&index.definition, schema) == wanted)
}

/// What an index is for people: `orders(account_id, created_at DESC) WHERE ...`.
pub fn title(definition: &Definition, schema: &Schema) -> String {
    let table = schema.table(definition.table);
    let name = table.map_or("?".to_owned(), |table| {
        if schema.search_path.contains(&table.schema) {
            quoted(&table.name)
        } else {
            full(&table.schema, &table.name)
        }
    });
    let body = definition.body();
    match body.strip_prefix("USING btree ") {
        Some(body) => format!("{name}{body}"),
        None => format!("{name} {body}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advice::index::Key;
    use crate::advice::schema::Extension;

    fn table(oid: u32, name: &str, kind: char, parent: Option<u32>) -> Table {
        Table { oid, schema: "public".into(), name: name.into(), kind, parent, ..Table::default() }
    }

    fn run(definition: &Definition, schema: &Schema) -> (Vec<String>, Vec<String>) {
        match create(definition, schema, &mut vec![]) {
            Action::Sql { run, undo, .. } => (run, undo),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_index_is_created_without_a_lock_on_writers() {
        let schema = Schema { tables: vec![table(1, "Order", 'r', None)], ..Schema::default() };
        let (sql, undo) =
            run(&Definition::btree(1, vec![Key::column("a"), Key::expression("lower(b)")]), &schema);
        assert_eq!(
            sql,
            [
                "CREATE INDEX CONCURRENTLY \"Order_a_lower_idx\" ON public.\"Order\" USING btree (a, (lower(b)))",
                "ANALYZE public.\"Order\""
            ]
        );
        assert_eq!(undo, ["DROP INDEX CONCURRENTLY public.\"Order_a_lower_idx\""]);
    }

    #[test]
    fn each_partition_gets_its_own_which_is_attached() {
        let tables = vec![
            table(1, "e", 'p', None),
            table(2, "e1", 'r', Some(1)),
            table(3, "e2", 'p', Some(1)),
            table(4, "e2a", 'r', Some(3)),
        ];
        let (sql, undo) =
            run(&Definition::btree(1, vec![Key::column("a")]), &Schema { tables, ..Schema::default() });
        assert_eq!(
            sql,
            [
                "CREATE INDEX e_a_idx ON ONLY public.e USING btree (a)",
                "CREATE INDEX CONCURRENTLY e1_a_idx ON public.e1 USING btree (a)",
                "ALTER INDEX public.e_a_idx ATTACH PARTITION public.e1_a_idx",
                "CREATE INDEX e2_a_idx ON ONLY public.e2 USING btree (a)",
                "CREATE INDEX CONCURRENTLY e2a_a_idx ON public.e2a USING btree (a)",
                "ALTER INDEX public.e2_a_idx ATTACH PARTITION public.e2a_a_idx",
                "ALTER INDEX public.e_a_idx ATTACH PARTITION public.e2_a_idx",
            ]
        );
        assert_eq!(undo, ["DROP INDEX public.e_a_idx"]);
    }

    #[test]
    fn an_extension_that_is_missing_comes_first_and_names_are_free_and_short() {
        let mut words = Definition::btree(1, vec![Key::column("é".repeat(40))]);
        words.method = "gin".into();
        words.keys[0].class = Some("gin_trgm_ops".into());
        let mut schema = Schema { tables: vec![table(1, "t", 'r', None)], ..Schema::default() };
        let (sql, _) = run(&words, &schema);
        assert_eq!(sql[0], "CREATE EXTENSION IF NOT EXISTS pg_trgm");
        schema.extensions.push(Extension { name: "pg_trgm".into(), schema: Some("public".into()) });
        assert_eq!(run(&words, &schema).0.len(), 1);
        let mut taken = vec![];
        let first = name(&words, &schema.tables[0], &schema, &mut taken);
        let second = name(&words, &schema.tables[0], &schema, &mut taken);
        assert!(first != second && first.len() <= 63 && second.len() <= 63, "{first} {second}");
    }
}
