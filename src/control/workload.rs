//! What was seen of statements since the start, as advice wants it: with their values in clear, which are in memory only.

use std::collections::BTreeMap;

use super::history::History;
use crate::advice::{self, Observed, Workload};
use crate::slow::SAMPLES;
use crate::slow::values::values;
use crate::stats::samples::{Chosen, Origin};
use crate::stats::tally::{Closer, TOTAL, Who};
use crate::store::workload::{as_sent_now, habits};

impl History {
    /// Databases that have statements, as clients name them, each with its users: those first whose statements took longest.
    pub async fn databases(&self) -> BTreeMap<String, Vec<String>> {
        self.gather().await;
        let inner = self.inner();
        let mut spent: BTreeMap<&str, BTreeMap<&str, u64>> = BTreeMap::new();
        for (who, fingerprint, _, sums) in inner.seen.lines() {
            if fingerprint != 0 {
                let users = spent.entry(&who.database).or_default();
                *users.entry(&who.user).or_default() += sums.micros[TOTAL];
            }
        }
        let in_order = |users: BTreeMap<&str, u64>| {
            let mut users: Vec<_> = users.into_iter().collect();
            users.sort_by_key(|(_, micros)| std::cmp::Reverse(*micros));
            users.into_iter().map(|(user, _)| user.to_owned()).collect()
        };
        spent.into_iter().map(|(database, users)| (database.to_owned(), in_order(users))).collect()
    }

    /// What was seen of a database's statements, up to now; the database as clients name it.
    pub async fn workload(&self, database: &str) -> Workload {
        self.gather().await;
        let inner = self.inner();
        let mut shapes: BTreeMap<u128, Observed> = BTreeMap::new();
        let mut by: BTreeMap<u128, Vec<(Who, u64)>> = BTreeMap::new();
        let mut lines: Vec<_> =
            inner.seen.lines().filter(|(who, name, ..)| *name != 0 && who.database == database).collect();
        lines.sort_by_key(|(who, _, _, sums)| {
            (std::cmp::Reverse((sums.micros[TOTAL], sums.calls)), (*who).clone())
        });
        for (who, fingerprint, text, sums) in lines {
            let observed = shapes.entry(fingerprint).or_default();
            (observed.fingerprint, observed.text) = (fingerprint, text.to_string());
            observed.sums.merge(sums);
            by.entry(fingerprint).or_default().push(((**who).clone(), sums.calls));
        }
        for (fingerprint, observed) in &mut shapes {
            observed.by = by.remove(fingerprint).unwrap_or_default();
            observed.habits = habits(&observed.sums);
            if let Some(closer) = inner.samples.get(database, *fingerprint) {
                add(observed, closer);
            }
        }
        Workload { window: inner.began.elapsed(), shapes: shapes.into_values().collect() }
    }
}

/// Adds what was found out of some of its statements.
fn add(observed: &mut Observed, closer: &Closer) {
    observed.samples = closer.samples.chosen(SAMPLES).iter().filter_map(sample).collect();
    as_sent_now(&mut observed.samples);
    let callers = closer.callers.0.iter().map(|(caller, calls)| (caller.to_string(), *calls));
    observed.habits.callers = callers.collect();
    observed.habits.callers.sort_by(|one, other| (other.1, &one.0).cmp(&(one.1, &other.0)));
}

/// A statement with its values; `None` where one of them cannot be told.
fn sample(chosen: &Chosen) -> Option<advice::Sample> {
    let Chosen { origin, sample, .. } = chosen;
    let values = match &sample.bind {
        Some(bind) => values(bind, &sample.types)?.into_iter().collect::<Result<Vec<_>, _>>().ok()?,
        None => vec![],
    };
    let mut types = sample.types.to_vec();
    types.resize(values.len(), 0);
    let origin = match origin {
        Origin::Frequent => advice::Origin::Frequent,
        Origin::Slowest => advice::Origin::Slowest,
        Origin::Rare => advice::Origin::Rare,
        Origin::Newest => advice::Origin::Newest,
    };
    let text = String::from_utf8(sample.text.to_vec()).ok()?;
    Some(advice::Sample { origin, text, values, types, micros: Some(sample.micros) })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::stats::samples::Sample;

    #[test]
    fn samples_are_those_that_are_sent_as_the_newest_is() {
        let of = |origin, oid| advice::Sample {
            origin,
            text: "select $1".to_owned(),
            values: vec![Some("1".to_owned())],
            types: vec![oid],
            micros: None,
        };
        let (frequent, slow) = (of(advice::Origin::Frequent, 1700), of(advice::Origin::Slowest, 20));
        let mut samples = vec![frequent.clone(), slow.clone()];
        as_sent_now(&mut samples);
        assert_eq!(samples.len(), 2, "nobody knows which is newer");
        samples.push(of(advice::Origin::Newest, 20));
        as_sent_now(&mut samples);
        assert_eq!((samples.len(), samples.contains(&frequent)), (2, false));
    }

    #[test]
    fn a_statement_has_its_values_or_is_left_out() {
        let bind = [&[0, 1, 0, 1, 0, 2, 0, 0, 0, 4][..], &7_i32.to_be_bytes(), &[255; 4], &[0, 0]].concat();
        let of = |types: &[u32]| {
            let sample = Arc::new(Sample::new(b"select $1, $2", Some(&bind), types.into(), 9));
            super::sample(&Chosen { origin: Origin::Slowest, calls: 0, sample })
        };
        let found = of(&[23]).expect("it is read");
        assert_eq!((found.values, found.types), (vec![Some("7".to_owned()), None], vec![23, 0]));
        assert_eq!((found.text.as_str(), found.micros), ("select $1, $2", Some(9)));
        assert_eq!(of(&[]), None, "its type is not known");
    }
}
