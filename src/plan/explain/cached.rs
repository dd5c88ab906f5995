//! On what the result of a statement depends, or why it is not kept.

use super::{Line, Statement};
use crate::catalog::{Contents, Detail};
use crate::plan::cacheable::{Around, Dependencies, Dependency, On, judge};
use crate::sql::{Dialect, facts, shape};

/// So many tables are told.
const TABLES: usize = 20;

impl Statement<'_> {
    /// One line, for statements for which a rule that caches holds. The reason is the name of a refusal (`docs/guide/cache-refusals.md`).
    pub fn cached(&self, dialect: Dialect, around: &Around<'_>) -> Line {
        let text = self.text();
        match judge(text, dialect, &facts(text, dialect, &shape(text, dialect)), around) {
            Ok(dependencies) => Line::new("cache", told(&dependencies, around.contents)),
            Err(refusal) => Line::new("cache", format!("not kept: {refusal}")).because(refusal.name()),
        }
    }
}

/// `depends on public.t (id, name), public.u (any row)`.
fn told(dependencies: &Dependencies, contents: &Contents) -> String {
    let tables = &dependencies.tables;
    if tables.is_empty() {
        return "depends on no table".to_owned();
    }
    let told: Vec<String> = tables.iter().take(TABLES).map(|one| table(one, contents)).collect();
    let more = match tables.len() - told.len() {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    format!("depends on {}{more}", told.join(", "))
}

fn table(dependency: &Dependency, contents: &Contents) -> String {
    let relations = contents.relations.as_ref();
    let names = relations.and_then(|all| Some(all.names(all.by_oid(dependency.table)?)));
    let name =
        names.map_or_else(|| dependency.table.to_string(), |(schema, name)| format!("{schema}.{name}"));
    let On::Keys(keys) = &dependency.on else { return format!("{name} (any row)") };
    let detail = contents.grounds.as_ref().and_then(|grounds| grounds.detail(dependency.table));
    let column = |number: i16| {
        let named = |detail: &Detail| {
            let of = detail.all_columns().find(|(column, _)| column.number == number);
            of.map(|(_, name)| name.to_owned())
        };
        detail.and_then(named).unwrap_or_else(|| number.to_string())
    };
    let columns: Vec<String> = keys.iter().map(|key| column(key.number)).collect();
    format!("{name} ({})", columns.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Barriers, Grounds, Relations, Row};

    fn row(columns: &[&str]) -> Row {
        let value = |column: &&str| (!column.is_empty()).then(|| (*column).to_owned());
        columns.iter().map(value).collect()
    }

    #[test]
    fn dependencies_or_the_refusal() {
        let relations =
            ["16400 public t r", "16401 public r r"].map(|text| row(&text.split(' ').collect::<Vec<_>>()));
        let details = ["16400", "16401"]
            .map(|oid| row(&[oid, "p", "f", "d", "1 4 i\n2 t n", "1", "", "", "f", "", "", "", "f"]));
        let contents = Contents {
            relations: Relations::new(&relations, &[]),
            grounds: Grounds::new(Barriers::default(), Barriers::default(), &details, &[]),
            ..Contents::default()
        };
        let around = Around { contents: &contents, search_path: None, temporary: false };
        let check = |text: &str, value: &str, reason: Option<&str>| {
            let statement = Statement::of(text.as_bytes(), true.into()).expect("a statement");
            let line = statement.cached(true.into(), &around);
            assert_eq!((line.item, line.value.as_str(), line.reason), ("cache", value, reason), "{text}");
        };
        let text = "select * from t join r on r.n = t.n where t.i = 7 and t.n = 'x';";
        check(text, "depends on public.t (i, n), public.r (any row)", None);
        check("select 1", "depends on no table", None);
        check("select current_date", "not kept: session_value", Some("session_value"));
        check("select * from nowhere", "not kept: unknown_relation", Some("unknown_relation"));
    }
}
