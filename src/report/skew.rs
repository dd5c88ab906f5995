//! How the times of a statement differ by its values: of the calls that were kept with them. Of a value that may not be seen there is a sign, which is the
//! same for the same value; it is of the hash that the store has.

use std::collections::BTreeMap;

use super::numbers::plain;
use crate::sql::facts::Operand;
use crate::sql::{facts, shape};
use crate::store::{Stored, StoredValue};

/// Of fewer calls nothing is told.
const LEAST: usize = 3;
/// Times differ when the slowest call took so many times as long as the fastest, and so many microseconds.
const TIMES: u64 = 3;
const NOTABLE: u64 = 1000;
/// Times differ by a value when it explains this share of how they differ (epsilon squared, of their logarithms).
const EXPLAINS: f64 = 0.5;
/// Characters of a value that may be seen, and digits of the sign of one that may not.
const VALUE: usize = 24;
const SIGN: usize = 6;

/// Times of a statement by its values.
#[derive(Debug, Clone, PartialEq)]
pub struct Skew {
    /// The value by which they differ; `None`: by no single one, so that all that differ stand together.
    pub by: Option<By>,
    /// Calls of one value together, those first that took longest.
    pub groups: Vec<Group>,
}

/// A value of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct By {
    /// Which: 2 is that of `$2`.
    pub number: usize,
    /// The column that it is compared with, with its table where that is known; empty where none is.
    pub column: String,
}

/// Calls of one value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The value, or what stands for it.
    pub name: String,
    /// How long each took, in microseconds, the longest first.
    pub micros: Vec<u64>,
    /// How often the values were seen, about; 0: that was not counted.
    pub calls: u64,
}

impl Skew {
    /// How times differ in these calls of one shape. `None`: they do not, or there are too few.
    pub fn of(samples: &[&Stored]) -> Option<Skew> {
        let samples = alike(samples);
        let micros = || samples.iter().map(|one| one.micros);
        let (least, most) = (micros().min()?, micros().max()?);
        if samples.len() < LEAST || most < NOTABLE || most < least.saturating_mul(TIMES) {
            return None;
        }
        let differing: Vec<usize> =
            (0..samples[0].values.len()).filter(|place| values_at(&samples, *place) > 1).collect();
        let by = match differing.as_slice() {
            [] => return None,
            [only] => Some(*only),
            several => explaining(&samples, several),
        };
        let name = |sample: &Stored| match by {
            Some(place) => named(&sample.values[place]),
            None => {
                let one = |place: &usize| format!("${} = {}", place + 1, named(&sample.values[*place]));
                differing.iter().map(one).collect::<Vec<_>>().join(", ")
            }
        };
        let mut groups: BTreeMap<String, Group> = BTreeMap::new();
        for sample in &samples {
            let name = name(sample);
            let group = groups.entry(name.clone()).or_insert(Group { name, micros: vec![], calls: 0 });
            group.micros.push(sample.micros);
            group.calls += sample.calls;
        }
        let mut groups: Vec<Group> = groups.into_values().collect();
        groups.iter_mut().for_each(|group| group.micros.sort_unstable_by(|one, other| other.cmp(one)));
        groups.sort_by(|one, other| other.micros.cmp(&one.micros).then_with(|| one.name.cmp(&other.name)));
        let by = by.map(|place| By { number: place + 1, column: column(&samples[0].text, place) });
        Some(Skew { by, groups })
    }

    /// Calls that it is of.
    pub fn calls(&self) -> usize {
        self.groups.iter().map(|group| group.micros.len()).sum()
    }

    /// The shortest and the longest time, in microseconds.
    pub fn ends(&self) -> (u64, u64) {
        let all = || self.groups.iter().flat_map(|group| group.micros.iter().copied());
        (all().min().unwrap_or(0), all().max().unwrap_or(0))
    }
}

/// Those of one database and with as many values as most have: a list in a statement may be longer in another call. Without those whose time is not known.
fn alike<'a>(samples: &[&'a Stored]) -> Vec<&'a Stored> {
    let mut by: BTreeMap<(&str, usize), Vec<&Stored>> = BTreeMap::new();
    for sample in samples.iter().filter(|one| one.micros > 0) {
        by.entry((&sample.database, sample.values.len())).or_default().push(sample);
    }
    by.into_values().max_by_key(Vec::len).unwrap_or_default()
}

/// How many values there are in a place.
fn values_at(samples: &[&Stored], place: usize) -> usize {
    let mut names: Vec<String> = samples.iter().map(|one| named(&one.values[place])).collect();
    names.sort_unstable();
    names.dedup();
    names.len()
}

/// The place whose value explains most of how times differ, if that is enough.
fn explaining(samples: &[&Stored], places: &[usize]) -> Option<usize> {
    let explains = places.iter().map(|place| (explained(samples, *place), *place));
    let best = explains.max_by(|one, other| one.0.total_cmp(&other.0).then(other.1.cmp(&one.1)))?;
    (best.0 >= EXPLAINS).then_some(best.1)
}

/// Which share of how times differ is explained by a value. Where each call has another one it explains nothing: every value would do.
fn explained(samples: &[&Stored], place: usize) -> f64 {
    let logs = |some: &[&Stored]| some.iter().map(|one| (one.micros as f64).ln()).collect::<Vec<_>>();
    let mean = |some: &[f64]| some.iter().sum::<f64>() / some.len().max(1) as f64;
    let mut groups: BTreeMap<String, Vec<&Stored>> = BTreeMap::new();
    samples.iter().for_each(|one| groups.entry(named(&one.values[place])).or_default().push(one));
    let (all, kinds) = (logs(samples), groups.len());
    if kinds >= all.len() || kinds < 2 {
        return 0.0;
    }
    let middle = mean(&all);
    let total: f64 = all.iter().map(|log| (log - middle).powi(2)).sum();
    let within = |some: &Vec<&Stored>| {
        let logs = logs(some);
        let middle = mean(&logs);
        logs.iter().map(|log| (log - middle).powi(2)).sum::<f64>()
    };
    let within: f64 = groups.values().map(within).sum();
    let chance = within / (all.len() - kinds) as f64;
    (total - within - (kinds - 1) as f64 * chance) / total.max(f64::MIN_POSITIVE)
}

/// A value as it may be shown.
fn named(value: &StoredValue) -> String {
    match value {
        StoredValue::Null => "NULL".to_owned(),
        StoredValue::Clear(text) => {
            let text = plain(text);
            let more = if text.chars().nth(VALUE).is_some() { "..." } else { "" };
            format!("'{}{more}'", text.chars().take(VALUE).collect::<String>())
        }
        StoredValue::Hash(hash) => format!("#{}", hash.chars().take(SIGN).collect::<String>()),
        StoredValue::LeftOut(_) => "(not kept)".to_owned(),
    }
}

/// The column that a value is compared with by the statement's own words.
fn column(text: &str, place: usize) -> String {
    let shape = shape(text.as_bytes(), true);
    let Some(literal) = shape.literals.get(place) else { return String::new() };
    let facts = facts(text.as_bytes(), true, &shape);
    let only = match facts.tables.as_slice() {
        [only] => Some(&only.name),
        _ => None,
    };
    let found = facts.predicates.iter().find(|predicate| {
        matches!(predicate.operand, Operand::Literal(at) | Operand::Cast(at) if at == literal.place)
    });
    found.map_or(String::new(), |predicate| match predicate.table.as_ref().or(only) {
        Some(table) => format!("{}.{}", table.name, predicate.column),
        None => predicate.column.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clear(text: &str) -> StoredValue {
        StoredValue::Clear(text.to_owned())
    }

    fn hash(text: &str) -> StoredValue {
        StoredValue::Hash(text.to_owned())
    }

    pub fn sample(values: &[StoredValue], micros: u64, calls: u64) -> Stored {
        Stored {
            database: "shop".into(),
            fingerprint: 1,
            origin: "slowest".into(),
            text: "select * from orders where account_id = $1 and status = $2".into(),
            values: values.to_vec(),
            types: vec![],
            micros,
            calls,
        }
    }

    fn skew(samples: &[Stored]) -> Option<Skew> {
        Skew::of(&samples.iter().collect::<Vec<_>>())
    }

    #[test]
    fn the_value_by_which_times_differ_is_found_and_none_is_shown_that_may_not_be() {
        let one = |account: &str, status: &StoredValue, micros| {
            sample(&[hash(account), status.clone()], micros, 10)
        };
        let (paid, new) = (clear("paid"), clear("new"));
        let samples = [
            one("00000000000000a1", &paid, 1000),
            one("00000000000000a1", &new, 90_000),
            one("b2b2b2b2b2b2b2b2", &paid, 1200),
            one("b2b2b2b2b2b2b2b2", &new, 100_000),
            one("c3c3c3c3c3c3c3c3", &new, 80_000),
        ];
        let found = skew(&samples).expect("they differ");
        assert_eq!(found.by, Some(By { number: 2, column: "orders.status".into() }));
        let groups: Vec<_> =
            found.groups.iter().map(|one| (one.name.as_str(), one.micros.clone(), one.calls)).collect();
        assert_eq!(groups, [("'new'", vec![100_000, 90_000, 80_000], 30), ("'paid'", vec![1200, 1000], 20)]);
        assert_eq!((found.calls(), found.ends()), (5, (1000, 100_000)));
        // By hashes, a sign of some digits.
        let swapped: Vec<_> = samples
            .iter()
            .map(|one| Stored { values: one.values.iter().rev().cloned().collect(), ..one.clone() })
            .map(|one| Stored { text: "select f($1, $2)".into(), ..one })
            .collect();
        assert_eq!(skew(&swapped).expect("they differ").by, Some(By { number: 1, column: String::new() }));
        let alone: Vec<_> = samples[..3]
            .iter()
            .map(|one| Stored { values: one.values[..1].to_vec(), ..one.clone() })
            .collect();
        let names: Vec<_> =
            skew(&alone).expect("they differ").groups.into_iter().map(|one| one.name).collect();
        assert_eq!(names, ["#000000", "#b2b2b2"]);
    }

    #[test]
    fn where_no_single_value_tells_all_stand_together() {
        let one = |first: &str, second: &str, micros| sample(&[hash(first), hash(second)], micros, 0);
        let samples =
            [one("a", "x", 1000), one("a", "y", 90_000), one("b", "x", 90_000), one("b", "y", 1000)];
        let found = skew(&samples).expect("they differ");
        assert_eq!((found.by.clone(), found.groups.len()), (None, 4));
        assert_eq!(found.groups[0].name, "$1 = #a, $2 = #y");
        // Every call has a value of its own.
        let samples = [one("a", "x", 1000), one("b", "y", 90_000), one("c", "z", 90_000)];
        assert_eq!(skew(&samples).expect("they differ").by, None);
    }

    #[test]
    fn few_calls_and_like_times_tell_nothing() {
        let one = |value: &str, micros| sample(&[hash(value)], micros, 0);
        assert_eq!(skew(&[]), None);
        assert_eq!(skew(&[one("a", 1000), one("b", 90_000)]), None, "too few");
        assert_eq!(skew(&[one("a", 40_000), one("b", 90_000), one("c", 50_000)]), None, "too like");
        assert_eq!(skew(&[one("a", 10), one("b", 900), one("c", 5)]), None, "too short");
        assert_eq!(skew(&[one("a", 10), one("a", 90_000), one("a", 5)]), None, "no value differs");
        assert_eq!(skew(&[one("a", 0), one("b", 90_000), one("c", 50)]), None, "a time is not known");
        // Lists of another length are another matter; what cannot be read is one.
        let mut samples = vec![one("a", 1000), one("b", 90_000), one("c", 2000)];
        samples.push(sample(&[hash("a"), hash("b")], 1, 0));
        samples[0].values[0] = StoredValue::LeftOut("too long".into());
        samples[2].values[0] = StoredValue::Null;
        let names: Vec<_> =
            skew(&samples).expect("they differ").groups.into_iter().map(|one| one.name).collect();
        assert_eq!(names, ["#b", "NULL", "(not kept)"]);
    }
}
