//! What is there, seen exactly: whether an index serves what another one is wanted for.

use crate::advice::Schema;
use crate::advice::index::{Definition, Held, Key};
use crate::advice::scan::{
    Column, Condition, Constant, Other, Scan, Term, Test, of_condition_text, of_expression_text, rows_left,
};
use crate::advice::schema::{Index, Table};

/// An index that leaves so few rows is enough.
pub(super) const ENOUGH: f64 = 20.0;
/// From here on a b-tree skips over the values of a leading column that is not compared.
const SKIP_SCAN: u32 = 180_000;
/// As long as there are not many of them.
const SKIPPED: f64 = 50.0;

/// What an index is wanted for.
#[derive(Debug, Clone)]
pub(super) struct Want {
    /// Compared for equality, in any order.
    pub equal: Vec<Term>,
    /// What comes behind, in this order.
    pub tail: Vec<Key>,
    /// The tail is an order, which may be read backwards; else a range, whose direction does not matter.
    pub ordered: bool,
    /// Columns that are carried besides.
    pub include: Vec<String>,
}

/// The key as an expression, of relation 0.
pub(super) fn term_of(key: &Key, table: &Table, schema: &Schema) -> Option<Term> {
    match &key.what {
        Held::Column(name) => {
            let column = table.column(name)?;
            let (name, type_name) = (column.name.clone(), column.type_name.clone());
            Some(Term::Column(Column { relation: 0, name, type_name }))
        }
        Held::Expression(text) => of_expression_text(text, table, schema).map(|term| term.of(0)),
    }
}

/// Whether a b-tree that is there does what is wanted, for rows that satisfy these conditions.
pub(super) fn serves(
    index: &Index,
    want: &Want,
    conditions: &[Condition],
    table: &Table,
    schema: &Schema,
) -> bool {
    let definition = &index.definition;
    if !index.valid || definition.method != "btree" || !has_rows(definition, conditions, table, schema) {
        return false;
    }
    let has = |name: &String| {
        definition.include.contains(name) || definition.keys.iter().any(|key| key.name() == Some(name))
    };
    want.include.iter().all(has) && leads(definition, want, table, schema)
}

/// Whether the first keys are what is compared, and those behind them the tail.
fn leads(definition: &Definition, want: &Want, table: &Table, schema: &Schema) -> bool {
    let mut equal = want.equal.clone();
    let mut keys = definition.keys.iter().peekable();
    while let Some(key) = keys.peek() {
        let term = term_of(key, table, schema);
        match term.and_then(|term| equal.iter().position(|one| *one == term)) {
            // An operator class for patterns knows equality too.
            Some(at) if key.collation.is_none() => {
                equal.remove(at);
            }
            _ if equal.is_empty() || !is_skipped(key, table, schema) => break,
            _ => {}
        }
        keys.next();
    }
    if !equal.is_empty() {
        return false;
    }
    let rest: Vec<&Key> = keys.collect();
    let same = |(key, wanted): (&&Key, &Key)| {
        key.class == wanted.class
            && key.collation == wanted.collation
            && (key.what == wanted.what || term_of(key, table, schema) == term_of(wanted, table, schema))
    };
    let turned = |(key, wanted): (&&Key, &Key)| {
        (key.descending != wanted.descending, key.nulls_first != wanted.nulls_first)
    };
    let all = want.tail.len() <= rest.len() && rest.iter().zip(&want.tail).all(same);
    let turns: Vec<(bool, bool)> = rest.iter().zip(&want.tail).map(turned).collect();
    let one_way =
        turns.iter().all(|turn| *turn == (false, false)) || turns.iter().all(|turn| *turn == (true, true));
    all && (!want.ordered || one_way)
}

fn is_skipped(key: &Key, table: &Table, schema: &Schema) -> bool {
    let column = key.name().and_then(|name| table.column(name)).and_then(|column| column.statistics.as_ref());
    schema.version >= SKIP_SCAN && column.is_some_and(|known| known.distinct <= SKIPPED)
}

/// Whether an index has all rows that satisfy these conditions.
pub(super) fn has_rows(
    definition: &Definition,
    conditions: &[Condition],
    table: &Table,
    schema: &Schema,
) -> bool {
    let Some(predicate) = &definition.predicate else { return true };
    let Some(scan) = of_condition_text(predicate, &table.name, table, schema) else { return false };
    !scan.conditions.is_empty()
        && scan.branches.is_empty()
        && scan.conditions.iter().all(|wanted| is_implied(wanted, conditions))
}

/// Whether conditions have another one as their consequence, of another relation of the same table.
pub(super) fn is_implied(wanted: &Condition, by: &[Condition]) -> bool {
    let what = wanted.what.of(0);
    by.iter().filter(|one| one.what.of(0) == what).any(|one| match (wanted.test, one.test) {
        (Test::NotNull, Test::Null | Test::False) => false,
        (Test::NotNull, _) => true,
        (Test::In, Test::Equal | Test::In) => among(&wanted.other, &one.other),
        (one_test, other) if one_test == other => equal(&wanted.other, &one.other),
        _ => false,
    })
}

fn equal(one: &Other, other: &Other) -> bool {
    match (one, other) {
        (Other::Constants(one), Other::Constants(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Other::None, Other::None) => true,
        _ => false,
    }
}

fn among(all: &Other, some: &Other) -> bool {
    match (all, some) {
        (Other::Constants(all), Other::Constants(some)) => {
            some.iter().all(|one| all.iter().any(|known| same(known, one)))
        }
        _ => false,
    }
}

/// A parameter is not the same as a literal: a plan for any value of it cannot lean on it.
fn same(one: &Constant, other: &Constant) -> bool {
    one.parameter.is_none()
        && other.parameter.is_none()
        && one.as_text().is_some_and(|text| other.as_text() == Some(text))
}

/// A unique index whose columns are all compared for equality with one value each: it leaves one row at most.
pub(super) fn single<'a>(scan: &Scan, table: &'a Table, schema: &Schema) -> Option<&'a Index> {
    let equal: Vec<Term> = scan
        .conditions
        .iter()
        .filter(|one| one.test == Test::Equal && !matches!(one.other, Other::Join(_)))
        .map(|one| one.what.of(0))
        .collect();
    let is_it = |index: &&Index| {
        index.definition.unique
            && index.valid
            && has_rows(&index.definition, &scan.conditions, table, schema)
            && index
                .definition
                .keys
                .iter()
                .all(|key| term_of(key, table, schema).is_some_and(|term| equal.contains(&term)))
    };
    table.indexes.iter().find(is_it)
}

/// Why nothing more is wanted: an index that is there leaves few rows, for every sample.
pub(in crate::advice) fn served_enough(each: &[&Scan], table: &Table, schema: &Schema) -> Option<String> {
    for index in table.indexes.iter().filter(|index| index.valid && index.definition.method == "btree") {
        let mut most: f64 = 0.0;
        for scan in each {
            let mut used: Vec<&Condition> = vec![];
            for key in &index.definition.keys {
                let term = term_of(key, table, schema);
                let is_it = |one: &&Condition| {
                    let equal = matches!(one.test, Test::Equal | Test::In);
                    equal && !matches!(one.other, Other::Join(_)) && Some(one.what.of(0)) == term
                };
                let Some(condition) = scan.conditions.iter().find(is_it) else { break };
                used.push(condition);
            }
            let has = has_rows(&index.definition, &scan.conditions, table, schema);
            let left = if used.is_empty() || !has { f64::INFINITY } else { rows_left(used, table) };
            most = most.max(left);
        }
        if most <= ENOUGH {
            return Some(format!("{} leaves {:.0} rows or fewer", index.name, most.max(1.0)));
        }
    }
    None
}
