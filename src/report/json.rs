//! A report for programs.

use serde_json::{Map, Value, json};

use super::{Report, Statement};
use crate::stats::tally::{CLOCKS, SERVED, Sums};

/// The version of the form: it grows when something is taken away or means something else, not when something is added.
const VERSION: u32 = 1;

impl Report {
    /// The report as JSON. Times are in microseconds, moments in seconds since 1970.
    pub fn json(&self) -> String {
        let value = json!({
            "version": VERSION,
            "file": self.file,
            "since": self.since,
            "from": self.between.map(|(from, _)| from),
            "to": self.between.map(|(_, to)| to),
            "file_begins": self.begins,
            "instances": self.instances,
            "shapes": self.shapes,
            "database_us": self.database_time(),
            "all": sums(&self.all),
            "statements": self.top.iter().map(statement).collect::<Vec<_>>(),
            "others": sums(&self.others),
            "missing": self.missing,
        });
        format!("{value:#}\n")
    }
}

fn statement(statement: &Statement) -> Value {
    let by = statement.by.iter().map(|(who, calls)| {
        json!({
            "database": who.database,
            "user": who.user,
            "application": who.application,
            "calls": calls,
        })
    });
    let mut value = sums(&statement.sums);
    value.insert("fingerprint".into(), format!("{:032x}", statement.fingerprint).into());
    value.insert("text".into(), statement.text.clone().into());
    value.insert("by".into(), by.collect::<Vec<_>>().into());
    value.into()
}

fn sums(sums: &Sums) -> Map<String, Value> {
    let served: Map<_, _> =
        SERVED.iter().zip(sums.served).map(|(name, n)| ((*name).to_owned(), n.into())).collect();
    let errors: Map<_, _> = sums
        .errors
        .iter()
        .map(|(class, n)| (String::from_utf8_lossy(class).into_owned(), (*n).into()))
        .collect();
    let clocks: Map<_, _> = CLOCKS
        .iter()
        .enumerate()
        .map(|(clock, name)| {
            let at = |share| sums.quantile(clock, share);
            let value = json!({
                "sum_us": sums.micros[clock],
                "p50_us": at(0.5),
                "p95_us": at(0.95),
                "p99_us": at(0.99),
            });
            ((*name).to_owned(), value)
        })
        .collect();
    let fields = [
        ("calls", sums.calls.into()),
        ("timed", sums.timed.into()),
        ("rows", sums.rows.into()),
        ("bytes", sums.bytes.into()),
        ("longest_us", sums.longest.into()),
        ("served", served.into()),
        ("clocks", clocks.into()),
        ("errors", errors.into()),
    ];
    fields.into_iter().map(|(name, value): (_, Value)| (name.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::sample;
    use super::*;

    #[test]
    fn it_has_what_the_text_has() {
        let value: Value = serde_json::from_str(&sample(10).json()).expect("it is JSON");
        assert_eq!(value["all"]["calls"], 2616);
        assert_eq!(value["statements"].as_array().map(Vec::len), Some(3));
        let first = &value["statements"][0];
        assert_eq!(first["text"], "update accounts set n = n + ? where id = ?");
        assert_eq!(first["clocks"]["total"]["sum_us"], 100_180_000);
        assert_eq!((&first["errors"]["40"], &first["served"]["cache"]), (&json!(1), &json!(1)));
        assert_eq!(first["by"][0]["application"], "web");
    }
}
