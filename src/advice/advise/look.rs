//! Which statements are looked at, with which samples, and how they are planned as things are.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use crate::advice::ask::{Asked, Asker, NoPlan, Server, plannable};
use crate::advice::candidates::Uses;
use crate::advice::choose::Weight;
use crate::advice::scan::of_observed;
use crate::advice::schema::Schema;
use crate::advice::{Observed, Origin, Plan, Sample, Workload, samples};
use crate::sql::{facts, shape};

/// The dearest statements; then those that are less dear; then all others.
const DEAR: usize = 20;
const LESS_DEAR: usize = 100;
/// Samples of each of them that are planned; the less, the more statements there are for the plans that may be asked for.
const SAMPLES: [[usize; 3]; 3] = [[12, 4, 2], [6, 3, 1], [3, 2, 1]];
/// What a statement takes at least, in seconds: it is sent, parsed and answered.
const LEAST: f64 = 50e-6;
const DAY: f64 = 86_400.0;

/// A statement's shape, and the seconds a day that servers work for it.
#[derive(Debug, Clone, Copy)]
pub struct Shape<'a> {
    pub observed: &'a Observed,
    pub seconds: f64,
}

/// What was seen of a statement.
#[derive(Debug)]
pub struct Looked<'a> {
    pub observed: &'a Observed,
    /// What was observed, with the samples that have plans, which may have been made.
    pub seen: Observed,
    /// What it asks for, by its first sample, and the tables that it reads, those at the top of partitioned ones.
    pub uses: Uses,
    pub tables: BTreeSet<u32>,
    /// Seconds a day that servers work for it.
    pub seconds: f64,
    /// Samples that have a plan.
    pub samples: Vec<Sample>,
    /// Their plans as things are.
    pub plans: Vec<Plan>,
    /// The plan without values, of one that has some.
    pub generic: Option<Plan>,
    /// Why there is no plan.
    pub no_plan: Option<NoPlan>,
}

/// The statements that take this share of the time, the dearest first.
pub fn slow(workload: &Workload, share: f64) -> Vec<Shape<'_>> {
    let days = workload.window.as_secs_f64().max(1.0) / DAY;
    let mut all: Vec<Shape<'_>> = workload
        .shapes
        .iter()
        .map(|observed| Shape { observed, seconds: micros(observed) as f64 / 1e6 / days })
        .filter(|shape| shape.seconds > 0.0 && shape.observed.fingerprint != 0)
        .collect();
    all.sort_by(dearest);
    let whole: f64 = all.iter().map(|shape| shape.seconds).sum();
    let mut sum = 0.0;
    all.retain(|shape| {
        let before = sum;
        sum += shape.seconds;
        before < whole * share
    });
    all
}

fn dearest(a: &Shape<'_>, b: &Shape<'_>) -> Ordering {
    b.seconds.total_cmp(&a.seconds).then_with(|| a.observed.fingerprint.cmp(&b.observed.fingerprint))
}

/// Microseconds that servers worked; where only the whole time is known, that.
fn micros(observed: &Observed) -> u64 {
    let [_, first, stream, _, total] = observed.sums.micros;
    if first + stream > 0 { first + stream } else { total }
}

/// Keeps so many, and tells what was left out.
pub fn cut(shapes: &mut Vec<Shape<'_>>, most: usize, workload: &Workload, notes: &mut Vec<String>) {
    shapes.truncate(most);
    let left = workload.shapes.len().saturating_sub(shapes.len());
    if left > 0 {
        notes.push(format!(
            "{left} of {} statements take next to none of the time, and were not looked at",
            workload.shapes.len()
        ));
    }
}

/// Names of the tables that statements name.
pub fn tables_named(shapes: &[Shape<'_>]) -> Vec<String> {
    let names = shapes.iter().flat_map(|one| {
        let text = one.observed.text.as_bytes();
        facts(text, true, &shape(text, true)).tables.into_iter().map(|table| table.name.name.to_string())
    });
    let mut names: Vec<String> = names.collect();
    names.sort();
    names.dedup();
    names
}

/// How many plans of a statement are asked for, the dearest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Share {
    samples: usize,
    /// Also the one without values.
    generic: bool,
}

/// What each of so many statements gets of so many plans: as many as is good for it, or as there are.
fn shares(statements: usize, plans: usize) -> Vec<Share> {
    let of = |samples: [usize; 3], generic: usize| -> Vec<Share> {
        let one = |place: usize| {
            let class = usize::from(place >= DEAR) + usize::from(place >= LESS_DEAR);
            Share { samples: samples[class], generic: place < generic }
        };
        (0..statements).map(one).collect()
    };
    let count =
        |shares: &Vec<Share>| shares.iter().map(|one| one.samples + usize::from(one.generic)).sum::<usize>();
    let [most, some, few] = SAMPLES;
    let choices = [of(most, statements), of(some, LESS_DEAR)];
    choices.into_iter().find(|one| count(one) <= plans).unwrap_or_else(|| of(few, DEAR))
}

/// Plans statements with their samples, in order of what they take, with about so many plans. What comes of it stands in the order of
/// fingerprints.
pub async fn look<'a, S: Server>(
    asker: &mut Asker<S>,
    shapes: &[Shape<'a>],
    schema: &Schema,
    plans: usize,
) -> Vec<Looked<'a>> {
    let mut all = vec![];
    for (shape, share) in shapes.iter().zip(shares(shapes.len(), plans)) {
        all.push(one(asker, *shape, schema, share).await);
    }
    all.sort_by_key(|looked| looked.observed.fingerprint);
    all
}

async fn one<'a, S: Server>(
    asker: &mut Asker<S>,
    shape: Shape<'a>,
    schema: &Schema,
    share: Share,
) -> Looked<'a> {
    let Shape { observed, seconds } = shape;
    let mut looked = Looked { observed, seconds, ..Looked::nothing(observed) };
    let samples = match samples_of(asker, observed, schema).await {
        Ok(samples) => samples,
        Err(no_plan) => return Looked { no_plan: Some(no_plan), ..looked }.finished(schema),
    };
    for mut sample in samples.into_iter().take(share.samples) {
        let asked = Asked { text: &sample.text, types: &sample.types, values: &sample.values };
        let mut answer = asker.plan(asked).await;
        // A made value need not be one of the type that the driver named.
        if answer.is_err() && sample.origin == Origin::Statistics && !sample.types.is_empty() {
            sample.types.clear();
            answer = asker.plan(Asked { text: &sample.text, types: &[], values: &sample.values }).await;
        }
        match answer {
            Ok(plan) => {
                looked.plans.push(plan);
                looked.samples.push(sample);
            }
            Err(no_plan) => {
                looked.no_plan.get_or_insert(no_plan);
            }
        }
    }
    let first = looked.samples.first().filter(|sample| share.generic && !sample.values.is_empty());
    if let Some(sample) = first.filter(|sample| sample.origin != Origin::Statistics) {
        looked.generic = asker.generic_plan(&sample.text, &sample.types, sample.values.len()).await.ok();
    }
    looked.finished(schema)
}

/// The table that a partition is of in the end.
pub fn top(oid: u32, schema: &Schema) -> u32 {
    let mut at = oid;
    for _ in 0..32 {
        let Some(parent) = schema.table(at).and_then(|table| table.parent) else { break };
        at = parent;
    }
    at
}

/// Those that were kept, each once, in an order of their own; made ones where there are none.
async fn samples_of<S: Server>(
    asker: &mut Asker<S>,
    observed: &Observed,
    schema: &Schema,
) -> Result<Vec<Sample>, NoPlan> {
    let mut kept: Vec<Sample> =
        observed.samples.iter().filter(|one| plannable(&one.text).is_ok()).cloned().collect();
    let key = |one: &Sample| (one.origin, one.values.clone(), one.text.clone());
    kept.sort_by_key(key);
    let mut seen = std::collections::HashSet::new();
    kept.retain(|one| seen.insert((one.values.clone(), one.text.clone())));
    if !kept.is_empty() {
        return Ok(kept);
    }
    plannable(&observed.text).map_err(NoPlan::NotSent)?;
    let parameters = match samples::parameters(&observed.text) {
        0 => vec![],
        _ => asker.types(&observed.text).await?,
    };
    let mut made = samples::from_statistics(&observed.text, &parameters, schema);
    made.iter_mut().for_each(|sample| sample.types.clone_from(&observed.types));
    Ok(made)
}

impl<'a> Looked<'a> {
    fn nothing(observed: &'a Observed) -> Looked<'a> {
        let (seen, uses, tables) = (Observed::default(), Uses::default(), BTreeSet::new());
        let (samples, plans) = (vec![], vec![]);
        Looked { observed, seen, uses, tables, seconds: 0.0, samples, plans, generic: None, no_plan: None }
    }

    /// With what is known of it now.
    fn finished(mut self, schema: &Schema) -> Self {
        let samples = if self.samples.is_empty() { &self.observed.samples } else { &self.samples };
        let with = |samples: Vec<Sample>| Observed { samples, ..self.observed.clone() };
        let brief = with(samples.iter().take(1).cloned().collect());
        self.seen = with(samples.clone());
        self.uses = Uses::of(&brief, schema);
        let found = of_observed(&brief, schema);
        let tables = found.iter().flat_map(|found| &found.scans).map(|scan| top(scan.table, schema));
        self.tables = tables.collect();
        self
    }

    /// What it weighs in the choice.
    pub fn weight(&self) -> Weight {
        let calls = self.observed.sums.timed.max(self.observed.sums.calls).max(1) as f64;
        let mean = micros(self.observed) as f64 / 1e6 / calls;
        // What was frequent stands for most of the others.
        let of = |sample: &Sample| if sample.origin == Origin::Frequent { 4.0 } else { 1.0 };
        Weight {
            seconds: self.seconds,
            floor: (LEAST / mean.max(LEAST)).min(1.0),
            samples: self.samples.iter().map(of).collect(),
            least: 0.0,
            best: vec![],
        }
    }

    /// The places of the dearest first.
    pub fn by_cost(looked: &[Looked<'_>]) -> Vec<usize> {
        let mut places: Vec<usize> = (0..looked.len()).collect();
        places.sort_by(|a, b| looked[*b].seconds.total_cmp(&looked[*a].seconds).then(a.cmp(b)));
        places
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_statements_the_fewer_samples_of_each() {
        let sum = |statements: usize, plans: usize| {
            let shares = shares(statements, plans);
            assert_eq!(shares.len(), statements);
            assert!(shares.iter().all(|one| one.samples > 0), "each has one: {shares:?}");
            shares.iter().map(|one| one.samples + usize::from(one.generic)).sum::<usize>()
        };
        // What thirty seconds of a hundred plans have for it.
        assert_eq!((sum(10, 900), sum(100, 900)), (10 * 13, 20 * 12 + 80 * 4 + 100));
        assert_eq!(sum(500, 900), 20 * 6 + 80 * 3 + 400 + 100);
        assert_eq!(sum(500, 100_000), 20 * 12 + 80 * 4 + 400 * 2 + 500);
        // Where there is no room at all, each is still looked at.
        assert_eq!(sum(500, 0), 20 * 3 + 80 * 2 + 400 + 20);
        assert_eq!(sum(0, 0), 0);
    }
}
