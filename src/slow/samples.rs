//! Statements with their values, put together from all workers; bounded. And how they are shown where not everybody may see values.

use std::collections::HashMap;

use super::values::values;
use crate::sql::facts::Operand;
use crate::sql::{Literal, Shape, Value, facts, literal_string, shape, without_values};
use crate::stats::samples::{Chosen, Origin, Sample};
use crate::stats::tally::Closer;

/// So many samples stand for a shape.
pub const SAMPLES: usize = 12;
/// A statement with more values is not shown.
const MOST: usize = 500;
/// A value that is longer, in bytes, is left out.
const LONGEST: usize = 1000;

/// By database and fingerprint.
#[derive(Debug, Default)]
pub struct Samples {
    lines: HashMap<(String, u128), Line>,
}

#[derive(Debug, Default)]
struct Line {
    closer: Closer,
    changed: bool,
}

impl Samples {
    /// Puts in what was found out by a worker.
    pub fn take(&mut self, database: &str, fingerprint: u128, newer: Closer) {
        let line = self.lines.entry((database.to_owned(), fingerprint)).or_default();
        line.closer.samples.merge(newer.samples);
        line.closer.callers.merge(&newer.callers);
        line.changed = true;
    }

    /// Keeps so many bytes: of the shapes that cost most.
    pub fn bound(&mut self, bytes: usize, cost: impl Fn(&str, u128) -> u64) {
        let size = |line: &Line| line.closer.samples.size();
        let mut all: usize = self.lines.values().map(size).sum();
        if all <= bytes {
            return;
        }
        let mut places: Vec<_> =
            self.lines.keys().map(|place| (cost(&place.0, place.1), place.clone())).collect();
        places.sort();
        for (_, place) in places {
            if all <= bytes {
                break;
            }
            all -= self.lines.remove(&place).as_ref().map_or(0, size);
        }
    }

    /// What is known of a shape.
    pub fn get(&self, database: &str, fingerprint: u128) -> Option<&Closer> {
        self.lines.get(&(database.to_owned(), fingerprint)).map(|line| &line.closer)
    }

    /// What has changed since the last time, at most so many: database, fingerprint, and what is known.
    pub fn changed(&mut self, most: usize) -> Vec<(&str, u128, &Closer)> {
        let changed = self.lines.iter_mut().filter(|(_, line)| line.changed).take(most);
        let told = changed.map(|((database, fingerprint), line)| {
            line.changed = false;
            (database.as_str(), *fingerprint, &line.closer)
        });
        told.collect()
    }

    /// How many shapes there are.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }
}

/// A statement and, apart from it, its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Why it was kept.
    pub origin: Origin,
    /// How often its values were seen, about; 0: that was not counted.
    pub calls: u64,
    /// How long it took, in microseconds.
    pub micros: u64,
    /// Its text, with `$1`, `$2`, ... in the place of each value; no value and no comment is in it.
    pub text: String,
    /// The values.
    pub values: Vec<Shows>,
    /// What the driver said their types are, as OIDs; 0 where it did not, or it is a literal.
    pub types: Vec<u32>,
}

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shows {
    /// NULL.
    Null,
    /// A value that everybody may see who sees the statement.
    Clear(String),
    /// A value that nobody may see: only whether it is the same as another.
    Hidden(String),
    /// It was not read, and why.
    LeftOut(&'static str),
}

impl Shown {
    /// A sample; of its values those are clear that stand beside columns of these names: `table.column`, `column`, or `*` for all values. `None`: what is a value in it cannot be told.
    pub fn of(chosen: &Chosen, clear: &[String]) -> Option<Shown> {
        let Chosen { origin, calls, sample } = chosen;
        let shape = shape(&sample.text, true);
        let text = without_values(&sample.text, &shape.literals, true)?;
        if shape.text.contains(&0) || shape.literals.len() > MOST {
            return None;
        }
        let bound = match &sample.bind {
            Some(bind) => values(bind, &sample.types)?,
            None => vec![],
        };
        let places = clear_places(sample, &shape, clear);
        let show = |literal: &Literal| match value_of(&sample.text, literal, &bound) {
            Ok(None) => Shows::Null,
            Ok(Some(text)) if places.as_ref().is_none_or(|places| places.contains(&literal.place)) => {
                Shows::Clear(text)
            }
            Ok(Some(text)) => Shows::Hidden(text),
            Err(reason) => Shows::LeftOut(reason),
        };
        let values = shape.literals.iter().map(show).collect();
        let types = shape.literals.iter().map(|literal| type_of(literal, &sample.types)).collect();
        let (origin, calls, micros) = (*origin, *calls, sample.micros);
        Some(Shown { origin, calls, micros, text: String::from_utf8(text).ok()?, values, types })
    }
}

fn type_of(literal: &Literal, types: &[u32]) -> u32 {
    match literal.value {
        Value::Parameter(number) => {
            let at = usize::from(number).checked_sub(1);
            at.and_then(|at| types.get(at)).copied().unwrap_or_default()
        }
        _ => 0,
    }
}

fn value_of(
    sql: &[u8],
    literal: &Literal,
    bound: &[Result<Option<String>, &'static str>],
) -> Result<Option<String>, &'static str> {
    let text = match literal.value {
        Value::Parameter(number) => {
            let at = usize::from(number).checked_sub(1);
            return at.and_then(|at| bound.get(at)).cloned().unwrap_or(Err("no such parameter"));
        }
        Value::Number => {
            let digits = sql[literal.range.clone()].iter().filter(|byte| !byte.is_ascii_whitespace());
            digits.copied().collect()
        }
        Value::String => literal_string(sql, literal, true).ok_or("a string that is not read")?,
    };
    match String::from_utf8(text) {
        Ok(text) if text.len() <= LONGEST => Ok(Some(text)),
        Ok(_) => Err("too long"),
        Err(_) => Err("no UTF-8"),
    }
}

/// The places whose values may be seen; `None`: all.
fn clear_places(sample: &Sample, shape: &Shape, clear: &[String]) -> Option<Vec<usize>> {
    if clear.is_empty() {
        return Some(vec![]);
    }
    if clear.iter().any(|name| name == "*") {
        return None;
    }
    let facts = facts(&sample.text, true, shape);
    let only = match facts.tables.as_slice() {
        [only] => Some(&only.name),
        _ => None,
    };
    let is_clear = |table: Option<&str>, column: &str| {
        clear.iter().any(|name| match name.rsplit_once('.') {
            Some((of, name)) => name == column && table.is_some_and(|table| table == of),
            None => name == column,
        })
    };
    let named = facts.predicates.iter().filter_map(|predicate| {
        let (Operand::Literal(place) | Operand::Cast(place)) = predicate.operand else { return None };
        let table = predicate.table.as_ref().or(only).map(|table| &*table.name);
        is_clear(table, &predicate.column).then_some(place)
    });
    Some(named.collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn shown(text: &str, bind: Option<&[u8]>, clear: &[&str]) -> Option<Shown> {
        let sample = Arc::new(Sample::new(text.as_bytes(), bind, Box::default(), 7));
        let clear: Vec<String> = clear.iter().map(|name| (*name).to_owned()).collect();
        Shown::of(&Chosen { origin: Origin::Slowest, calls: 0, sample }, &clear)
    }

    fn clear(text: &str) -> Shows {
        Shows::Clear(text.to_owned())
    }

    fn hidden(text: &str) -> Shows {
        Shows::Hidden(text.to_owned())
    }

    #[test]
    fn only_values_beside_columns_that_are_named_are_clear() {
        let text =
            "select * from orders where status in ('new', 'paid') and email = 'a@b' and n > - 5 /* x */";
        let found = shown(text, None, &["orders.status", "n"]).expect("it is read");
        assert_eq!(found.text, "select * from orders where status in ($1, $2) and email = $3 and n > $4 ");
        assert_eq!(found.values, [clear("new"), clear("paid"), hidden("a@b"), clear("-5")]);
        let found = shown(text, None, &["customers.status"]).expect("it is read");
        assert!(found.values.iter().all(|value| matches!(value, Shows::Hidden(_))));
        let found = shown("insert into t values (1, 'it''s')", None, &["*"]).expect("it is read");
        assert_eq!(found.values, [clear("1"), clear("it's")]);
    }

    #[test]
    fn parameters_stand_where_they_are_used() {
        let bind = [&[0, 0, 0, 2, 0, 0, 0, 1][..], b"9", &[255; 4], &[0, 0]].concat();
        let found = shown("select $2, $1, $1, $3", Some(&bind), &[]).expect("it is read");
        assert_eq!(found.text, "select $1, $2, $3, $4");
        let nine = hidden("9");
        assert_eq!(found.values, [Shows::Null, nine.clone(), nine, Shows::LeftOut("no such parameter")]);
        assert_eq!(shown("select 'x", None, &["*"]), None);
    }

    #[test]
    fn the_dearest_stay_where_there_is_no_room() {
        let mut samples = Samples::default();
        for n in 1..=100_u128 {
            let mut closer = Closer::default();
            closer.samples.offer(Arc::new(Sample::new(b"select 1", None, Box::default(), 5)), 1);
            samples.take("shop", n, closer);
        }
        let one = samples.get("shop", 1).map_or(0, |closer| closer.samples.size());
        samples.bound(one * 10, |_, fingerprint| fingerprint as u64);
        assert_eq!(samples.len(), 10);
        assert!(samples.get("shop", 100).is_some() && samples.get("shop", 90).is_none());
        assert_eq!((samples.changed(7).len(), samples.changed(7).len(), samples.changed(7).len()), (7, 3, 0));
    }
}
