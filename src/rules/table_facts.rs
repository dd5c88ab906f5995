//! What rules say of tables where the catalog cannot know it: what triggers write, and which columns never change.
//!
//! It stands in `cache` of a rule, and is about tables, not about the statements for which the rule is: it counts for every statement of a
//! database that the rule's condition `database` allows, as long as the rule is in force. Several rules add to each other.

use std::collections::{BTreeMap, BTreeSet};

use super::caching::TableName;
use super::file::Mode;
use super::glob::Glob;
use super::place::Problem;
use super::ruleset::{Rule, Ruleset};

/// What is said of the tables of one database.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TableFacts {
    /// Tables, and all that changes with them by triggers, rules, and functions in their defaults and checks.
    pub trigger_writes: BTreeMap<TableName, BTreeSet<TableName>>,
    /// Tables, and columns of theirs that never change.
    pub immutable: BTreeMap<TableName, BTreeSet<Box<str>>>,
}

impl TableFacts {
    /// What rules in force say of a database that clients call so.
    pub fn of(rules: &Ruleset, database: &str) -> TableFacts {
        let mut facts = TableFacts::default();
        let enforced = rules.rules().iter().filter(|rule| rule.mode() == Mode::Enforce);
        for cache in
            enforced.filter(|rule| is_for(rule, database)).filter_map(|rule| rule.then().cache.as_ref())
        {
            for (table, writes) in &cache.trigger_writes {
                facts.trigger_writes.entry(table.clone()).or_default().extend(writes.iter().cloned());
            }
            for (table, columns) in &cache.immutable_columns {
                facts.immutable.entry(table.clone()).or_default().extend(columns.iter().cloned());
            }
        }
        facts
    }

    /// The columns of a table that never change, where the table, or one of which it is a part, has one of these names (schema and own).
    pub fn immutable_of<'a>(&'a self, names: &[(&str, &str)]) -> impl Iterator<Item = &'a str> {
        let is = |table: &TableName| {
            let same = |(schema, name): &(&str, &str)| {
                *table.name == **name && table.schema.as_deref().is_none_or(|own| own == *schema)
            };
            names.iter().any(same)
        };
        let of: Vec<_> =
            self.immutable.iter().filter(|(table, _)| is(table)).map(|(_, columns)| columns).collect();
        of.into_iter().flatten().map(|column| &**column)
    }
}

/// Names in `cache` of rules for a database that are in its catalog not there: `exists` says whether a table is, or a column of it.
pub fn unknown_names(
    rules: &Ruleset,
    database: &str,
    exists: &dyn Fn(&TableName, Option<&str>) -> bool,
) -> Vec<Problem> {
    rules
        .rules()
        .iter()
        .filter(|rule| is_for(rule, database))
        .flat_map(|rule| unknown(rule, database, exists))
        .collect()
}

fn unknown(rule: &Rule, database: &str, exists: &dyn Fn(&TableName, Option<&str>) -> bool) -> Vec<Problem> {
    let Some(cache) = &rule.then().cache else { return vec![] };
    let triggers = cache.trigger_writes.iter().flat_map(|(table, writes)| writes.iter().chain([table]));
    let named = cache.depends_on.iter().map(|table| ("depends_on", table));
    let named = named.chain(triggers.map(|table| ("trigger_writes", table)));
    let named = named.chain(cache.immutable_columns.iter().map(|(table, _)| ("immutable_columns", table)));
    let tables = named.filter(|(_, table)| !exists(table, None));
    let tables = tables.map(|(key, table)| format!("`{key}` names `{}`, which is no table", table.written()));
    let columns = cache.immutable_columns.iter().filter(|(table, _)| exists(table, None));
    let columns = columns.flat_map(|(table, columns)| columns.iter().map(move |column| (table, column)));
    let columns = columns.filter(|(table, column)| !exists(table, Some(column))).map(|(table, column)| {
        format!("`immutable_columns` names `{column}`, which is no column of `{}`", table.written())
    });
    let advice = "correct it, or name the databases that it is for in `when`";
    let problem = |what: String| {
        let message = format!("`{}`: {what} in database `{database}`; {advice}", rule.name());
        Problem::error(rule.place().clone(), message)
    };
    tables.chain(columns).map(problem).collect()
}

fn is_for(rule: &Rule, database: &str) -> bool {
    let databases = &rule.when().database;
    databases.is_empty() || databases.iter().any(|glob: &Glob| glob.matches(database.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::Source;

    fn rules(text: &str) -> Ruleset {
        Ruleset::compile(&[Source { path: "a.toml".into(), text: text.to_owned() }]).expect("sound rules")
    }

    const RULES: &str = r#"
[[rule]]
name = "one"
when = { database = "shop*", user = "nobody" }
then.cache = { trigger_writes = { orders = "audit", "s.lines" = [] }, immutable_columns = { orders = ["tenant", "at"] } }
[[rule]]
name = "two"
then.cache = { level = "bounded", trigger_writes = { orders = ["s.stock"] }, depends_on = "prices" }
[[rule]]
name = "three"
mode = "shadow"
then.cache = { immutable_columns = { orders = "never" } }
"#;

    #[test]
    fn rules_add_to_each_other() {
        let facts = TableFacts::of(&rules(RULES), "shop");
        let shown: Vec<String> = facts
            .trigger_writes
            .iter()
            .map(|(table, writes)| {
                let writes: Vec<_> = writes.iter().map(TableName::written).collect();
                format!("{}: {}", table.written(), writes.join(" "))
            })
            .collect();
        assert_eq!(shown, ["orders: audit s.stock", "s.lines: "]);
        let columns: Vec<&str> = facts.immutable_of(&[("x", "part"), ("public", "orders")]).collect();
        assert_eq!(columns, ["at", "tenant"]);
        assert_eq!(facts.immutable_of(&[("public", "order")]).count(), 0);
        let other = TableFacts::of(&rules(RULES), "other");
        assert_eq!((other.trigger_writes.len(), other.immutable.len()), (1, 0));
    }

    #[test]
    fn names_that_are_not_there_are_told_with_their_place() {
        let exists = |table: &TableName, column: Option<&str>| {
            *table.name == *"orders" && column.is_none_or(|column| column == "tenant")
        };
        let told: Vec<String> =
            unknown_names(&rules(RULES), "shop", &exists).iter().map(ToString::to_string).collect();
        let expected = [
            "a.toml:3:1: `one`: `trigger_writes` names `s.lines`, which is no table in database `shop`",
            "a.toml:3:1: `one`: `trigger_writes` names `audit`, which is no table in database `shop`",
            "a.toml:3:1: `one`: `immutable_columns` names `at`, which is no column of `orders` in database `shop`",
            "a.toml:7:1: `two`: `depends_on` names `prices`",
            "a.toml:7:1: `two`: `trigger_writes` names `s.stock`",
            "a.toml:10:1: `three`: `immutable_columns` names `never`",
        ];
        let mut missing: Vec<_> =
            expected.iter().filter(|one| !told.iter().any(|told| told.contains(*one))).collect();
        assert!(missing.is_empty() && told.len() == expected.len(), "{missing:?} of {told:#?}");
        missing.clear();
        assert_eq!(unknown_names(&rules(RULES), "other", &exists).len(), 3);
    }
}
