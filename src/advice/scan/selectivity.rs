//! Which part of a table's rows a condition leaves, by the planner's own rules (`src/backend/utils/adt/selfuncs.c` of PostgreSQL), and
//! for expressions and containment, of which the planner knows nothing, by what the columns in them say.

use super::term::{Constant, Term, Value};
use super::types::{self, TIMESTAMP, TIMESTAMPTZ};
use super::values::{Pattern, pattern, place, seconds};
use super::{Condition, Other, Scan, Schema, Test};
use crate::advice::schema::{Column, Statistics, Table};

/// What the planner takes where it knows nothing (`DEFAULT_EQ_SEL`, `DEFAULT_INEQ_SEL`, `DEFAULT_RANGE_INEQ_SEL`, `DEFAULT_MATCH_SEL`,
/// contsel).
const EQUAL: f64 = 0.005;
const RANGE: f64 = 1.0 / 3.0;
const BETWEEN: f64 = 0.005;
const MATCH: f64 = 0.005;
const CONTAINS: f64 = 0.001;
/// Nothing is reckoned to leave less.
const LEAST: f64 = 1e-9;

/// The part of the table's rows that all conditions of a scan leave, those of joins left out.
pub fn selectivity(scan: &Scan, schema: &Schema) -> f64 {
    let Some(table) = schema.table(scan.table) else { return 1.0 };
    let own: Vec<&Condition> = scan.conditions.iter().filter(|one| !is_join(one)).collect();
    let mut left = of_all(&own, table);
    for branches in &scan.branches {
        let mut none = 1.0;
        for branch in branches {
            none *= 1.0 - of_all(&branch.iter().collect::<Vec<_>>(), table);
        }
        left *= 1.0 - none;
    }
    left.clamp(LEAST, 1.0)
}

/// Rows that these conditions leave of a table.
pub fn rows_left<'a>(conditions: impl IntoIterator<Item = &'a Condition>, table: &Table) -> f64 {
    of_all(&conditions.into_iter().collect::<Vec<_>>(), table) * table.rows.max(0.0)
}

/// Independent conditions multiply; two bounds of one range are taken together.
fn of_all(conditions: &[&Condition], table: &Table) -> f64 {
    let mut left = 1.0;
    for (at, condition) in conditions.iter().enumerate() {
        let pair = |test: Test| {
            conditions.iter().position(|one| one.test == test && one.what == condition.what && !is_join(one))
        };
        match condition.test {
            Test::Greater if pair(Test::Less).is_some() && pair(Test::Greater) == Some(at) => {
                let less = pair(Test::Less).map_or(*condition, |other| conditions[other]);
                left *= between(condition, less, table);
            }
            Test::Less if pair(Test::Greater).is_some() && pair(Test::Less) == Some(at) => {}
            _ => left *= of_condition(condition, table),
        }
    }
    left.clamp(LEAST, 1.0)
}

fn is_join(condition: &Condition) -> bool {
    matches!(condition.other, Other::Join(_))
}

fn between(low: &Condition, high: &Condition, table: &Table) -> f64 {
    let (Some(one), Some(other)) = (range(low, table), range(high, table)) else { return BETWEEN };
    let known = line(&low.what, table).and_then(|(column, _)| column.statistics.as_ref());
    let both = one + other + known.map_or(0.0, |known| known.nulls) - 1.0;
    if both <= 0.0 { 1e-4 } else { both }
}

/// The part of the table's rows that one condition leaves.
pub fn of_condition(condition: &Condition, table: &Table) -> f64 {
    let known = statistics(&condition.what, table);
    let nulls = known.map_or(0.0, |known| known.nulls);
    let found = match condition.test {
        Test::Equal => equal(condition, table),
        Test::In => list(condition, table),
        Test::Less | Test::Greater => range(condition, table).unwrap_or(RANGE),
        Test::Like => like(condition, known),
        Test::LikeAnyCase | Test::Regex => MATCH.max(infix(condition, known)),
        Test::Similar => MATCH * 2.0,
        Test::Null => known.map_or(EQUAL, |known| known.nulls),
        Test::NotNull => known.map_or(1.0 - EQUAL, |_| 1.0 - nulls),
        Test::True => boolean(known, "t"),
        Test::False => boolean(known, "f"),
        Test::Contains | Test::Path => CONTAINS,
        Test::HasKey | Test::Overlaps | Test::Member => CONTAINS * 10.0,
        Test::Search => EQUAL,
        Test::Different => 1.0 - equal(condition, table) - nulls,
    };
    found.clamp(LEAST, 1.0)
}

/// Whether nothing that the database knows of its values says how many rows a condition leaves.
pub fn is_guess(condition: &Condition, table: &Table) -> bool {
    let known = match condition.test {
        Test::Less | Test::Greater => {
            line(&condition.what, table).and_then(|(column, _)| column.statistics.as_ref())
        }
        Test::Similar
        | Test::Contains
        | Test::HasKey
        | Test::Path
        | Test::Overlaps
        | Test::Member
        | Test::Search => None,
        _ => statistics(&condition.what, table),
    };
    known.is_none()
}

fn column<'a>(what: &Term, table: &'a Table) -> Option<&'a Column> {
    table.column(&what.as_column()?.name)
}

fn statistics<'a>(what: &Term, table: &'a Table) -> Option<&'a Statistics> {
    column(what, table)?.statistics.as_ref()
}

fn equal(condition: &Condition, table: &Table) -> f64 {
    match &condition.other {
        Other::Constants(all) => all.first().map_or(EQUAL, |one| equal_to(&condition.what, one, table)),
        Other::Join(_) | Other::Unknown | Other::Clock(_) => 1.0 / distinct(&condition.what, table),
        Other::None => EQUAL,
    }
}

fn list(condition: &Condition, table: &Table) -> f64 {
    match &condition.other {
        Other::Constants(all) => all.iter().map(|one| equal_to(&condition.what, one, table)).sum::<f64>(),
        // The planner takes an array that it does not know to have ten elements.
        _ => 10.0 / distinct(&condition.what, table),
    }
}

fn equal_to(what: &Term, constant: &Constant, table: &Table) -> f64 {
    let many = distinct(what, table);
    let Some(known) = statistics(what, table) else { return 1.0 / many };
    let value = match &constant.value {
        // `= NULL` is never true.
        Value::Null => return LEAST,
        Value::Unknown => return (1.0 - known.nulls) / many,
        _ => constant.as_text().unwrap_or_default(),
    };
    if let Some((_, share)) = known.common.iter().find(|(common, _)| same(common, value, what)) {
        return *share;
    }
    let common: f64 = known.common.iter().map(|(_, share)| share).sum();
    let others = (many - known.common.len() as f64).max(1.0);
    let least = known.common.iter().map(|(_, share)| *share).fold(1.0, f64::min);
    ((1.0 - common - known.nulls).max(0.0) / others).min(least)
}

fn same(one: &str, other: &str, what: &Term) -> bool {
    let type_name = what.type_name().unwrap_or_default();
    one == other || place(one, type_name).is_some_and(|at| place(other, type_name) == Some(at))
}

/// How many different values there are of it. Of an expression on one column, no more than of the column, and of a part of a time, no more
/// than there are such parts.
fn distinct(what: &Term, table: &Table) -> f64 {
    if let Some(known) = statistics(what, table) {
        return known.distinct.max(1.0);
    }
    let most = match what.columns().as_slice() {
        [only] if column(what, table).is_none() => {
            let column = table.column(&only.name);
            let inner = column.and_then(|column| column.statistics.as_ref());
            match column {
                // What is in a document is not its own number of values.
                Some(column) if matches!(&*column.type_name, "jsonb" | "json") => None,
                Some(column) => inner.map(|known| parts(what, &column.type_name, known)),
                None => None,
            }
        }
        _ => None,
    };
    most.unwrap_or_else(|| (1.0 / EQUAL).min(table.rows)).max(1.0)
}

fn parts(what: &Term, type_name: &str, known: &Statistics) -> f64 {
    let of_time = matches!(&*types::base(type_name), TIMESTAMP | TIMESTAMPTZ);
    let days = match (known.bounds.first(), known.bounds.last()) {
        (Some(first), Some(last)) if of_time => match (place(first, type_name), place(last, type_name)) {
            (Some(first), Some(last)) => Some(((last - first) / 86_400.0).max(1.0)),
            _ => None,
        },
        _ => None,
    };
    let is_day = match what {
        Term::Cast { to, .. } => to == "date",
        Term::Call { name, .. } => matches!(name.as_str(), "date" | "date_trunc"),
        _ => false,
    };
    days.filter(|_| is_day).map_or(known.distinct, |days| days.min(known.distinct))
}

/// A column on whose line an expression stands, and how far it is moved: a day of a time, and what is added.
fn line<'a>(what: &Term, table: &'a Table) -> Option<(&'a Column, f64)> {
    match what {
        Term::Column(known) => Some((table.column(&known.name)?, 0.0)),
        Term::Cast { of, to } if to == "date" || types::number_rank(to).is_some() => line(of, table),
        Term::Call { name, arguments, .. } if matches!(name.as_str(), "date" | "date_trunc") => {
            line(arguments.last()?, table)
        }
        Term::Binary { operator, left, right, .. } => {
            let Term::Constant(by) = &**right else { return None };
            let text = by.as_text()?;
            let by = text.parse().ok().or_else(|| seconds(text))?;
            let (column, moved) = line(left, table)?;
            match operator.as_str() {
                "+" => Some((column, moved + by)),
                "-" => Some((column, moved - by)),
                _ => None,
            }
        }
        _ => None,
    }
}

/// The part of rows on one side of a bound; `None` where that is not known.
fn range(condition: &Condition, table: &Table) -> Option<f64> {
    let (column, moved) = line(&condition.what, table)?;
    let (known, type_name) = (column.statistics.as_ref()?, column.type_name.as_str());
    let lower = condition.test == Test::Less;
    let bound = match &condition.other {
        Other::Constants(all) => Bound::of(all.first()?.as_text()?, type_name, moved)?,
        // What is written now is about the largest that there is.
        Other::Clock(offset) => Bound::At(place(known.bounds.last()?, type_name)? + offset - moved),
        _ => return None,
    };
    let common = known.common.iter().filter(|(value, _)| bound.has(value, type_name, lower));
    let common: f64 = common.map(|(_, share)| share).sum();
    let all: f64 = known.common.iter().map(|(_, share)| share).sum();
    let rest = (1.0 - all - known.nulls).max(0.0);
    let below = match known.bounds.len() {
        0 | 1 => return known.common.len().gt(&1).then_some(common),
        _ => bound.part_below(&known.bounds, type_name),
    };
    let below = below.clamp(1e-4, 1.0 - 1e-4);
    Some(common + rest * if lower { below } else { 1.0 - below })
}

/// Where a range ends.
enum Bound<'a> {
    At(f64),
    Text(&'a str),
}

impl<'a> Bound<'a> {
    fn of(text: &'a str, type_name: &str, moved: f64) -> Option<Bound<'a>> {
        match place(text, type_name) {
            Some(at) => Some(Bound::At(at - moved)),
            None => (moved == 0.0).then_some(Bound::Text(text)),
        }
    }

    fn is_above(&self, value: &str, type_name: &str) -> bool {
        match self {
            Bound::At(at) => place(value, type_name).is_some_and(|place| place < *at),
            Bound::Text(text) => value < *text,
        }
    }

    fn has(&self, value: &str, type_name: &str, lower: bool) -> bool {
        self.is_above(value, type_name) == lower
    }

    fn part_below(&self, bounds: &[String], type_name: &str) -> f64 {
        let steps = (bounds.len() - 1) as f64;
        let above = bounds.iter().filter(|bound| self.is_above(bound, type_name)).count();
        let (Some(before), Some(after)) = (above.checked_sub(1), bounds.get(above)) else {
            return if above == 0 { 0.0 } else { 1.0 };
        };
        let within = match (self, place(&bounds[before], type_name), place(after, type_name)) {
            (Bound::At(at), Some(low), Some(high)) if high > low => (at - low) / (high - low),
            _ => 0.5,
        };
        (before as f64 + within) / steps
    }
}

fn like(condition: &Condition, known: Option<&Statistics>) -> f64 {
    let Other::Constants(all) = &condition.other else { return MATCH };
    match all.first().map(pattern) {
        Some(Pattern::Prefix(prefix)) => {
            known.map_or(MATCH, |known| share_of(known, |value| value.starts_with(&prefix)))
        }
        Some(Pattern::Infix(_)) => infix(condition, known),
        Some(Pattern::Exact(text)) => known
            .map_or(EQUAL, |known| share_of(known, |value| value == text).min(1.0 / known.distinct.max(1.0))),
        _ => MATCH,
    }
}

fn infix(condition: &Condition, known: Option<&Statistics>) -> f64 {
    let Other::Constants(all) = &condition.other else { return MATCH };
    let part = match all.first().map(pattern) {
        Some(Pattern::Infix(part) | Pattern::Prefix(part) | Pattern::Exact(part)) => part,
        _ => return MATCH,
    };
    let any_case = condition.test == Test::LikeAnyCase;
    let part = if any_case { part.to_lowercase() } else { part };
    let has = |value: &str| match any_case {
        true => value.to_lowercase().contains(&part),
        false => value.contains(&part),
    };
    known.map_or(MATCH, |known| share_of(known, has))
}

/// The part of values of which something is so: of the most common ones, and of those that cut the others. It is never none.
fn share_of(known: &Statistics, is_so: impl Fn(&str) -> bool) -> f64 {
    let common: f64 = known.common.iter().filter(|(value, _)| is_so(value)).map(|(_, share)| share).sum();
    let all: f64 = known.common.iter().map(|(_, share)| share).sum();
    let rest = (1.0 - all - known.nulls).max(0.0);
    let cut = known.bounds.len();
    if cut < 10 {
        return (common + rest * MATCH).max(LEAST);
    }
    let so = known.bounds.iter().filter(|value| is_so(value)).count();
    (common + rest * (so as f64 / cut as f64)).max(1e-4)
}

fn boolean(known: Option<&Statistics>, value: &str) -> f64 {
    let Some(known) = known else { return 0.5 };
    let found = known.common.iter().find(|(common, _)| common == value).map(|(_, share)| *share);
    found.unwrap_or_else(|| {
        let others: f64 = known.common.iter().map(|(_, share)| share).sum();
        if known.common.is_empty() { 0.5 } else { (1.0 - known.nulls - others).max(0.0) }
    })
}
