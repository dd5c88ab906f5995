//! Statements to advise on: from a store, or from a file of JSON.

use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use crate::advice::{Observed, Origin, Sample, Workload};
use crate::sql::shape;
use crate::stats::calendar;
use crate::stats::tally::TOTAL;
use crate::store::read::History;
use crate::store::workload::{self as store, Whose};
use crate::store::{Place, Trouble};

/// The longest file that is read.
const LONGEST: u64 = 256 << 20;

/// What a store has of a database since a time, in seconds since 1970, by all pgweirs or by one.
///
/// # Errors
/// When it cannot be read, or has nothing of that database.
pub fn of_store(
    place: &Place,
    database: &str,
    since: i64,
    instance: Option<&str>,
) -> Result<Workload, String> {
    let history = place.between((since, i64::MAX), 0, instance).map_err(reason)?;
    let now = calendar::now();
    of_history(place, &history, (since, now), Whose { database: Some(database), instance })
}

/// The same of what was read of it.
///
/// # Errors
/// As [`of_store`].
pub fn of_history(
    place: &Place,
    history: &History,
    window: (i64, i64),
    whose: Whose<'_>,
) -> Result<Workload, String> {
    let workload = store::of_history(place, history, window, whose).map_err(reason)?;
    if !workload.shapes.is_empty() {
        return Ok(workload);
    }
    let mut others: Vec<&str> = history.counted.lines().map(|(who, ..)| who.database.as_str()).collect();
    others.sort_unstable();
    others.dedup();
    let database = whose.database.unwrap_or_default();
    Err(match others.as_slice() {
        [] => "it has no statement of that time; a longer --since may help".to_owned(),
        others => format!(
            "it has no statement of the database {database:?}; name one of these with --database: {}",
            others.join(", ")
        ),
    })
}

fn reason(trouble: Trouble) -> String {
    trouble.reason().to_owned()
}

/// A file: `{"seconds": 3600, "statements": [{"text": "...", "calls": 10, "milliseconds": 250.0, "samples": [{"values": ["1"]}]}]}`.
///
/// # Errors
/// When it cannot be read, with the line and column where it is not that.
pub fn of_file(file: &Path) -> Result<Workload, String> {
    let length = std::fs::metadata(file).map_err(|error| error.to_string())?.len();
    if length > LONGEST {
        return Err(format!("it has {length} bytes, and no more than {LONGEST} are read"));
    }
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
    let given: Given = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let mut workload = Workload { window: Duration::from_secs(given.seconds.max(1)), shapes: vec![] };
    for statement in given.statements {
        workload.shapes.push(statement.observed());
    }
    Ok(workload)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    /// How long was looked at.
    seconds: u64,
    statements: Vec<Statement>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Statement {
    /// With `$1`, `$2`, ... in place of values.
    text: String,
    calls: u64,
    /// Of all calls together.
    milliseconds: f64,
    /// Rows given or changed, of all calls together.
    #[serde(default)]
    rows: u64,
    /// Bytes given, of all calls together.
    #[serde(default)]
    bytes: u64,
    #[serde(default)]
    samples: Vec<Values>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Values {
    /// The text as it was sent, if it is not that of the statement.
    text: Option<String>,
    #[serde(default)]
    values: Vec<Option<String>>,
    /// OIDs of types, 0 where the driver names none.
    #[serde(default)]
    types: Vec<u32>,
    /// `frequent` (the default), `slowest`, `rare` or `newest`.
    origin: Option<Kind>,
    /// How long it took.
    milliseconds: Option<f64>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Frequent,
    Slowest,
    Rare,
    Newest,
}

impl Statement {
    fn observed(self) -> Observed {
        let mut observed = Observed {
            fingerprint: shape(self.text.as_bytes(), true).fingerprint.0,
            text: self.text,
            ..Observed::default()
        };
        let micros = (self.milliseconds.max(0.0) * 1000.0) as u64;
        let sums = &mut observed.sums;
        (sums.calls, sums.timed, sums.rows, sums.bytes) = (self.calls, self.calls, self.rows, self.bytes);
        (sums.micros[1], sums.micros[TOTAL]) = (micros, micros);
        sums.served[0] = self.calls;
        let mean = micros / self.calls.max(1);
        sums.longest = mean;
        let text = observed.text.clone();
        observed.samples = self.samples.into_iter().map(|one| one.sample(&text)).collect();
        observed
    }
}

impl Values {
    fn sample(self, text: &str) -> Sample {
        Sample {
            origin: match self.origin.unwrap_or(Kind::Frequent) {
                Kind::Frequent => Origin::Frequent,
                Kind::Slowest => Origin::Slowest,
                Kind::Rare => Origin::Rare,
                Kind::Newest => Origin::Newest,
            },
            text: self.text.unwrap_or_else(|| text.to_owned()),
            values: self.values,
            types: self.types,
            micros: self.milliseconds.map(|milliseconds| (milliseconds * 1000.0) as u64),
        }
    }
}
