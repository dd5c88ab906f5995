//! Samples of a statement that nobody has kept values of: made from what the planner knows of the columns that they are compared with.
//!
//! Three of them, because one is wrong: the most common values, the middle ones, and rare ones. What stands elsewhere (LIMIT, SET, VALUES) gets a
//! value of its type.

use super::scan::{Condition, Other, Test, scan};
use super::schema::{Schema, Statistics};
use super::{Origin, Sample};
use crate::sql::{Value, shape};

/// A parameter as the server infers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// The type's OID.
    pub oid: u32,
    /// Its category (`pg_type.typcategory`): `N` numbers, `S` strings, `D` dates, `A` arrays, ...
    pub category: char,
    /// Its name.
    pub name: String,
}

/// Which of a column's values.
#[derive(Debug, Clone, Copy)]
enum Which {
    Common,
    Middle,
    Rare,
}

/// How many parameters a text has: the largest `n` of its `$n`.
pub fn parameters(text: &str) -> usize {
    let numbers =
        shape(text.as_bytes(), true).literals.into_iter().filter_map(|literal| match literal.value {
            Value::Parameter(number) => Some(usize::from(number)),
            _ => None,
        });
    numbers.max().unwrap_or_default()
}

/// Samples of a statement whose parameters are these; one where it has none.
pub fn from_statistics(text: &str, parameters: &[Parameter], schema: &Schema) -> Vec<Sample> {
    // Any values, so that it can be seen where they stand.
    let any = |one: &Parameter| if one.category == 'A' { Some("{1}".to_owned()) } else { of_type(one) };
    let values = parameters.iter().map(any).collect();
    let bare =
        Sample { origin: Origin::Statistics, text: text.to_owned(), values, types: vec![], micros: None };
    let found = scan(&bare, schema).unwrap_or_default();
    let of_scan = |scan: &super::scan::Scan| {
        let table = scan.table;
        scan.all_conditions().cloned().map(move |one| (table, one)).collect::<Vec<_>>()
    };
    let conditions: Vec<(u32, Condition)> = found.scans.iter().flat_map(of_scan).collect();
    let sample = |which| Sample {
        origin: Origin::Statistics,
        text: text.to_owned(),
        values: parameters
            .iter()
            .enumerate()
            .map(|(at, parameter)| value(at + 1, parameter, which, &conditions, schema))
            .collect(),
        types: vec![],
        micros: None,
    };
    let mut samples: Vec<Sample> = [Which::Common, Which::Middle, Which::Rare].map(sample).into();
    samples.dedup_by(|a, b| a.values == b.values);
    samples
}

fn value(
    number: usize,
    parameter: &Parameter,
    which: Which,
    conditions: &[(u32, Condition)],
    schema: &Schema,
) -> Option<String> {
    let stands = |one: &&(u32, Condition)| match &one.1.other {
        Other::Constants(all) => all.iter().any(|one| one.parameter.map(usize::from) == Some(number)),
        _ => false,
    };
    let beside = conditions.iter().find(stands).and_then(|(table, condition)| {
        let columns = condition.what.columns();
        let column = schema.table(*table)?.column(&columns.first()?.name)?;
        let known = column.statistics.as_ref()?;
        Some(match condition.test {
            Test::Like | Test::LikeAnyCase => pattern(&of_column(known, which)?),
            Test::Less | Test::Greater => bound(known, which)?,
            Test::Equal | Test::In | Test::Different | Test::Regex | Test::Similar => {
                of_column(known, which)?
            }
            _ => return None,
        })
    });
    match beside {
        Some(value) if parameter.category == 'A' => Some(array(&value)),
        Some(value) => Some(value),
        None => of_type(parameter),
    }
}

fn of_column(known: &Statistics, which: Which) -> Option<String> {
    let common = || known.common.first().map(|(value, _)| value.clone());
    let middle = || known.bounds.get(known.bounds.len() / 2).cloned();
    let rare =
        || known.bounds.get(1).cloned().or_else(|| known.common.last().map(|(value, _)| value.clone()));
    match which {
        Which::Common => common().or_else(middle),
        Which::Middle => {
            middle().or_else(|| known.common.get(known.common.len() / 2).map(|(value, _)| value.clone()))
        }
        Which::Rare => rare().or_else(common),
    }
}

/// A bound beyond which half of the rows, a tenth and a hundredth lie.
fn bound(known: &Statistics, which: Which) -> Option<String> {
    let last = known.bounds.len().checked_sub(1);
    let Some(last) = last else { return of_column(known, which) };
    let place = match which {
        Which::Common => last / 2,
        Which::Middle => last * 9 / 10,
        Which::Rare => last.saturating_sub(1),
    };
    known.bounds.get(place).cloned()
}

fn pattern(value: &str) -> String {
    let head: String = value.chars().filter(|c| !matches!(c, '%' | '_' | '\\')).take(4).collect();
    format!("{head}%")
}

fn array(value: &str) -> String {
    format!("{{\"{}\"}}", value.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Any value of a type; NULL where none is known.
fn of_type(parameter: &Parameter) -> Option<String> {
    let value = match (parameter.category, parameter.name.as_str()) {
        ('N', _) => "10",
        ('S', _) => "a",
        ('B', _) => "true",
        ('D', name) if name.starts_with("time ") => "12:00",
        ('D', _) => "2024-01-01",
        ('T', _) => "1 day",
        ('A', _) => "{}",
        (_, "uuid") => "00000000-0000-0000-0000-000000000000",
        (_, "json" | "jsonb") => "{}",
        _ => return None,
    };
    Some(value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advice::schema::{Column, Table};

    fn schema() -> Schema {
        let column = |name: &str, common: &[(&str, f64)], bounds: &[&str]| Column {
            name: name.into(),
            statistics: Some(Statistics {
                distinct: 100.0,
                common: common.iter().map(|(value, part)| ((*value).to_owned(), *part)).collect(),
                bounds: bounds.iter().map(|bound| (*bound).to_owned()).collect(),
                ..Statistics::default()
            }),
            ..Column::default()
        };
        let columns = vec![
            column("account", &[("7", 0.4), ("8", 0.1)], &["1", "50", "90", "100"]),
            column("email", &[], &["ann@x", "bob@x", "eve@x"]),
        ];
        let table =
            Table { oid: 1, schema: "public".into(), name: "orders".into(), columns, ..Table::default() };
        Schema { tables: vec![table], search_path: vec!["public".into()], ..Schema::default() }
    }

    fn values(text: &str, types: &[(char, &str)]) -> Vec<String> {
        let parameters: Vec<_> = types
            .iter()
            .map(|(category, name)| Parameter { oid: 0, category: *category, name: (*name).into() })
            .collect();
        let text_of = |value: Option<String>| value.unwrap_or_else(|| "NULL".into());
        let joined = |sample: Sample| sample.values.into_iter().map(text_of).collect::<Vec<_>>().join(" ");
        from_statistics(text, &parameters, &schema()).into_iter().map(joined).collect()
    }

    #[test]
    fn values_come_from_the_columns_that_parameters_stand_beside() {
        let int = ('N', "integer");
        assert_eq!(
            values("select * from orders o where o.account = $1 limit $2", &[int, ('N', "bigint")]),
            ["7 10", "90 10", "50 10"]
        );
        assert_eq!(
            values("select * from orders where account = any ($1)", &[('A', "integer[]")])[0],
            "{\"7\"}"
        );
        assert_eq!(values("select 1 from orders where account > $1", &[int]), ["50", "90"]);
        assert_eq!(values("delete from orders where email like $1", &[('S', "text")]), ["bob@%"]);
        assert_eq!(values("insert into orders values ($1, $2)", &[int, ('U', "inet")]), ["10 NULL"]);
        assert_eq!(values("select 1", &[]), [""]);
    }

    #[test]
    fn parameters_are_counted_by_their_numbers() {
        assert_eq!(parameters("select $2, '$9'"), 2);
        assert_eq!(parameters("select 1"), 0);
    }
}
