//! What entries come to: sums by shape and sender, samples, plans.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::Log;
use super::entry::Entry;
use super::message::{Said, parameters, said};
use crate::advice::{Observed, Origin, Plan, Sample, Workload};
use crate::report::PARTS;
use crate::slow::{Merged, Series, UNREAD};
use crate::sql::shape;
use crate::stats::tally::{Answer, Served, Sums, TOTAL, Who};
use crate::store::read::History;

/// More shapes than this are not kept apart.
const SHAPES: usize = 10_000;
/// Samples of a shape, of each origin.
const SAMPLES: usize = 4;
/// Text of a sample, in bytes; a longer one is none.
const SAMPLE: usize = 16 * 1024;
/// Parts of time that are kept while it is not known how long the log is, in seconds of the first.
const STEP: i64 = 10;
/// Stands for the class of an error whose SQLSTATE the log does not have.
const UNTOLD: [u8; 2] = *b"??";

/// What was read so far.
#[derive(Default)]
pub(super) struct Gathered {
    counted: Merged<Who>,
    /// What auto_explain alone has told.
    explained: HashMap<u128, (Who, Arc<str>, Sums)>,
    plans: HashMap<u128, (u64, Plan)>,
    samples: HashMap<u128, Vec<Sample>>,
    /// When: by shape and part of time, microseconds and calls.
    when: HashMap<(u128, i64), (u64, u64)>,
    /// How long a part is.
    step: i64,
    between: Option<(i64, i64)>,
    unnamed: u64,
    text_plans: u64,
    without_state: u64,
    without_time: u64,
}

impl Gathered {
    /// Takes an entry.
    pub(super) fn take(&mut self, entry: &Entry) {
        if let Some(at) = entry.at {
            let (first, last) = self.between.unwrap_or((at, at));
            self.between = Some((first.min(at), last.max(at)));
        }
        match said(&entry.message) {
            Said::Ran(micros, text) => self.ran(entry, text, micros),
            Said::Prepared(micros, text) => self.prepared(entry, text, micros),
            Said::Explained(micros, text, plan) => self.explained(entry, &text, micros, plan),
            Said::Unnamed => self.unnamed += 1,
            Said::Other if matches!(entry.severity.as_str(), "ERROR" | "FATAL") => self.failed(entry),
            Said::Other => {}
        }
    }

    fn ran(&mut self, entry: &Entry, text: &str, micros: u64) {
        let (fingerprint, shape) = shape_of(text);
        let mut sums = Sums::default();
        sums.add(&answer(Some(micros), None));
        self.add(who(entry), fingerprint, shape, sums);
        self.note_when(fingerprint, entry, 1, micros);
        let values = entry.detail.as_deref().map(parameters);
        // Values that are cut make no sample.
        if !matches!(values, Some(None)) && text.len() <= SAMPLE {
            let values = values.flatten().unwrap_or_default();
            self.sample(
                fingerprint,
                Sample {
                    origin: Origin::Newest,
                    text: text.to_owned(),
                    values,
                    types: vec![],
                    micros: Some(micros),
                },
            );
        }
    }

    /// Time of a statement before it is run.
    fn prepared(&mut self, entry: &Entry, text: &str, micros: u64) {
        let (fingerprint, shape) = shape_of(text);
        let sums = Sums { micros: [0, micros, 0, 0, micros], ..Sums::default() };
        self.add(who(entry), fingerprint, shape, sums);
        self.note_when(fingerprint, entry, 0, micros);
    }

    fn explained(&mut self, entry: &Entry, text: &str, micros: u64, plan: Option<Box<Plan>>) {
        let (fingerprint, shape) = shape_of(text);
        match plan {
            Some(plan) if self.plans.get(&fingerprint).is_none_or(|(slowest, _)| micros > *slowest) => {
                if self.plans.len() < SHAPES || self.plans.contains_key(&fingerprint) {
                    self.plans.insert(fingerprint, (micros, *plan));
                }
            }
            Some(_) => {}
            None => self.text_plans += 1,
        }
        if self.explained.len() < SHAPES || self.explained.contains_key(&fingerprint) {
            let fresh = || (who(entry), shape, Sums::default());
            self.explained.entry(fingerprint).or_insert_with(fresh).2.add(&answer(Some(micros), None));
        }
    }

    fn failed(&mut self, entry: &Entry) {
        let Some(text) = entry.statement.as_deref() else { return };
        let (fingerprint, shape) = shape_of(text);
        let class = entry.sqlstate.as_deref().and_then(|state| state.as_bytes().first_chunk::<2>().copied());
        self.without_state += u64::from(class.is_none());
        let mut sums = Sums::default();
        sums.add(&answer(None, Some(class.unwrap_or(UNTOLD))));
        self.add(who(entry), fingerprint, shape, sums);
    }

    fn add(&mut self, who: Who, fingerprint: u128, shape: Arc<str>, sums: Sums) {
        self.counted.add(who, fingerprint, shape, sums);
        if self.counted.len() > SHAPES * 2 {
            self.counted.bound(SHAPES);
        }
    }

    /// Keeps when it was. Parts become longer when there are too many of them.
    fn note_when(&mut self, fingerprint: u128, entry: &Entry, calls: u64, micros: u64) {
        let Some(at) = entry.at else {
            self.without_time += 1;
            return;
        };
        self.step = self.step.max(STEP);
        let sum = self.when.entry((fingerprint, at.div_euclid(self.step))).or_default();
        *sum = (sum.0 + micros, sum.1 + calls);
        if self.when.len() > SHAPES * 20 {
            self.step *= 4;
            let mut coarse: HashMap<(u128, i64), (u64, u64)> = HashMap::new();
            for ((name, part), (micros, calls)) in self.when.drain() {
                let sum = coarse.entry((name, part.div_euclid(4))).or_default();
                *sum = (sum.0 + micros, sum.1 + calls);
            }
            self.when = coarse;
        }
    }

    /// Keeps a sample: the first ones, the slowest, the newest.
    fn sample(&mut self, fingerprint: u128, sample: Sample) {
        if self.samples.len() >= SHAPES && !self.samples.contains_key(&fingerprint) {
            return;
        }
        let kept = self.samples.entry(fingerprint).or_default();
        let count =
            |kept: &Vec<Sample>, origin: Origin| kept.iter().filter(|one| one.origin == origin).count();
        if kept.iter().any(|one| one.text == sample.text && one.values == sample.values) {
            return;
        }
        if count(kept, Origin::Frequent) < SAMPLES {
            kept.push(Sample { origin: Origin::Frequent, ..sample });
            return;
        }
        let fastest =
            kept.iter_mut().filter(|one| one.origin == Origin::Slowest).min_by_key(|one| one.micros);
        match fastest {
            Some(fastest) if fastest.micros < sample.micros => {
                if count(kept, Origin::Slowest) < SAMPLES {
                    kept.push(Sample { origin: Origin::Slowest, ..sample });
                } else if let Some(place) =
                    kept.iter_mut().filter(|one| one.origin == Origin::Slowest).min_by_key(|one| one.micros)
                {
                    *place = Sample { origin: Origin::Slowest, ..sample };
                }
            }
            None => kept.push(Sample { origin: Origin::Slowest, ..sample }),
            Some(_) => {
                if count(kept, Origin::Newest) >= SAMPLES
                    && let Some(oldest) = kept.iter().position(|one| one.origin == Origin::Newest)
                {
                    kept.remove(oldest);
                }
                kept.push(sample);
            }
        }
    }

    /// All of it together.
    ///
    /// # Errors
    /// When nothing of it is of statements, with what to do.
    pub(super) fn log(mut self, mut notes: Vec<String>) -> Result<Log, String> {
        let known: Vec<u128> =
            self.counted.lines().filter(|line| line.3.timed > 0).map(|(_, name, ..)| name).collect();
        for (name, (who, shape, sums)) in std::mem::take(&mut self.explained) {
            if !known.contains(&name) {
                self.counted.add(who, name, shape, sums);
            }
        }
        if self.counted.is_empty() {
            let also = notes.last().map_or(String::new(), |note| format!("; {note}"));
            return Err(format!(
                "no statement is in it: set log_min_duration_statement (0 logs all, or use log_min_duration_sample) and try again{also}"
            ));
        }
        self.tell(&mut notes);
        let (first, last) = self.between.unwrap_or((0, 0));
        let mut series = if first < last { Series::new(first, last + 1, PARTS) } else { Series::default() };
        for ((name, part), (micros, calls)) in &self.when {
            series.add(*name, (part * self.step, self.step), *calls, *micros);
        }
        let between = self.between.map(|(first, last)| (first, last + 1));
        let workload = self.workload(Duration::from_secs((last - first).max(1) as u64));
        let history = History { counted: self.counted, between, series, ..History::default() };
        let plans = self.plans.into_iter().map(|(name, (_, plan))| (name, plan)).collect();
        Ok(Log { history, workload, plans, notes })
    }

    fn tell(&self, notes: &mut Vec<String>) {
        let mut tell = |number: u64, text: &str| {
            if number > 0 {
                notes.push(format!("{number} {text}"));
            }
        };
        tell(self.unnamed, "durations have no statement beside them (log_duration): they are not counted");
        tell(
            self.text_plans,
            "plans of auto_explain are in text, and are not shown; auto_explain.log_format = 'json' has them read",
        );
        tell(self.without_state, "errors have no SQLSTATE; %e in log_line_prefix tells it");
        tell(self.without_time, "statements have no time of day; %m in log_line_prefix tells it");
    }

    /// What advice takes.
    fn workload(&mut self, window: Duration) -> Workload {
        let mut shapes: HashMap<u128, Observed> = HashMap::new();
        for (who, fingerprint, text, sums) in self.counted.lines().filter(|line| line.1 != 0) {
            let fresh = || Observed { fingerprint, text: text.to_string(), ..Observed::default() };
            let one = shapes.entry(fingerprint).or_insert_with(fresh);
            one.sums.merge(sums);
            one.by.push((who.clone(), sums.calls));
        }
        let mut shapes: Vec<_> = shapes.into_values().collect();
        for one in &mut shapes {
            one.by.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
            one.samples = self.samples.remove(&one.fingerprint).unwrap_or_default();
        }
        shapes.sort_by_key(|one| (std::cmp::Reverse(one.sums.micros[TOTAL]), one.fingerprint));
        Workload { window, shapes }
    }
}

fn who(entry: &Entry) -> Who {
    Who { database: entry.database.clone(), user: entry.user.clone(), application: entry.application.clone() }
}

/// A statement that the server answered. The log has the server's own time: to the client it is that until the first row.
fn answer(micros: Option<u64>, error: Option<[u8; 2]>) -> Answer {
    let times = micros.map(|micros| [0, micros, 0, 0, micros]);
    Answer { served: Served::Primary, rows: 0, bytes: 0, error, times }
}

/// The shape of a text, as pgweir itself would have it.
pub(super) fn shape_of(text: &str) -> (u128, Arc<str>) {
    let shape = shape(text.as_bytes(), true);
    // What cannot be read might have values in it.
    if shape.text.contains(&0) {
        return (xxhash_rust::xxh3::xxh3_128(UNREAD.as_bytes()), UNREAD.into());
    }
    let mut words = String::from_utf8_lossy(&shape.kept(true)).into_owned();
    if words.len() > 4096 {
        let end = (0..=4096).rev().find(|at| words.is_char_boundary(*at)).unwrap_or(0);
        words.truncate(end);
        words += " ...";
    }
    (shape.fingerprint.0, words.into())
}
