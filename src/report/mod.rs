//! The report on statements: what took the time, and where. Made from what the store has; nothing is in it that is not known.

mod json;
mod text;

use std::cmp::Reverse;

use crate::slow::Merged;
use crate::stats::tally::{Sums, TOTAL, Who};
use crate::store::read::History;

/// A report.
#[derive(Debug, Default)]
pub struct Report {
    /// The file that it is made from.
    pub file: String,
    /// As it was asked for: what is older is not in it, in seconds since 1970.
    pub since: i64,
    /// When the first and the last of it were counted.
    pub between: Option<(i64, i64)>,
    /// When what is in the file begins.
    pub begins: Option<i64>,
    /// The pgweirs that counted.
    pub instances: Vec<String>,
    /// Everything together.
    pub all: Sums,
    /// How many shapes were counted by themselves.
    pub shapes: usize,
    /// Those that took longest in all, first; no more than was asked for.
    pub top: Vec<Statement>,
    /// What shapes have that were not counted by themselves.
    pub others: Sums,
    /// Statements that were counted and could not be written.
    pub missing: u64,
}

/// A shape.
#[derive(Debug)]
pub struct Statement {
    /// Its fingerprint.
    pub fingerprint: u128,
    /// Its text.
    pub text: String,
    /// What was counted of it, whoever sent it.
    pub sums: Sums,
    /// Who sent it, those first that had it longest, and how often.
    pub by: Vec<(Who, u64)>,
}

impl Report {
    /// A report of what was counted, with so many statements.
    pub fn of(file: String, since: i64, history: &History, most: usize) -> Report {
        let mut report = Report {
            file,
            since,
            between: history.between,
            begins: history.begins,
            instances: history.instances.clone(),
            missing: history.missing,
            ..Report::default()
        };
        let mut by_shape: Merged<()> = Merged::default();
        for (_, fingerprint, text, sums) in history.counted.lines() {
            report.all.merge(sums);
            by_shape.add((), fingerprint, text.clone(), sums.clone());
        }
        for ((), fingerprint, text, sums) in by_shape.lines() {
            if fingerprint == 0 {
                report.others.merge(sums);
                continue;
            }
            let (text, sums) = (text.to_string(), sums.clone());
            report.top.push(Statement { fingerprint, text, sums, by: vec![] });
        }
        report.shapes = report.top.len();
        report.top.sort_by_key(|one| (Reverse((one.sums.micros[TOTAL], one.sums.calls)), one.fingerprint));
        report.top.truncate(most);
        report.top.iter_mut().for_each(|one| one.by = senders(&history.counted, one.fingerprint));
        report
    }

    /// Microseconds in which servers worked, by what clients saw of it.
    pub fn database_time(&self) -> u64 {
        self.all.micros[1] + self.all.micros[2]
    }
}

fn senders(counted: &Merged<Who>, fingerprint: u128) -> Vec<(Who, u64)> {
    let mut by: Vec<_> = counted.lines().filter(|(_, name, ..)| *name == fingerprint).collect();
    by.sort_by_key(|(who, _, _, sums)| (Reverse((sums.micros[TOTAL], sums.calls)), (*who).clone()));
    by.into_iter().map(|(who, _, _, sums)| (who.clone(), sums.calls)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::tally::{Answer, Served};

    pub(super) fn who(application: &str) -> Who {
        Who { database: "shop".into(), user: "app".into(), application: application.into() }
    }

    pub(super) fn sample(most: usize) -> Report {
        let mut history =
            History { between: Some((1_795_988_640, 1_795_992_240)), missing: 7, ..History::default() };
        history.begins = history.between.map(|(begins, _)| begins);
        history.instances.push("proxy-1".into());
        let mut add = |application: &str, fingerprint: u128, text: &str, calls: u64, times: [u64; 5]| {
            let mut sums = Sums::default();
            let answer =
                Answer { served: Served::Primary, rows: 3, bytes: 1000, error: None, times: Some(times) };
            (0..calls).for_each(|_| sums.add(&answer));
            sums.add(&Answer { served: Served::Cache, times: None, error: Some(*b"40"), ..answer });
            history.counted.add(who(application), fingerprint, text.into(), sums);
        };
        let long = format!("select {} from orders where id = ?", ["column_with_a_name"; 30].join(", "));
        add("web", 1, &long, 100, [0, 1500, 100, 0, 1600]);
        add("jobs", 1, &long, 10, [0, 1500, 100, 0, 1600]);
        add("web", 2, "update accounts set n = n + ? where id = ?", 2000, [20_000, 30_000, 0, 90, 50_090]);
        add("web", 3, "select ?", 1, [0, 80, 0, 0, 80]);
        add("web", 0, "", 500, [0, 10, 0, 0, 10]);
        Report::of("history.db".into(), 1_795_988_640, &history, most)
    }

    #[test]
    fn statements_are_ordered_by_time_and_nothing_is_left_out_of_the_sums() {
        let report = sample(2);
        assert_eq!(
            (report.shapes, report.top.len(), report.all.calls, report.others.calls),
            (3, 2, 2616, 501)
        );
        assert_eq!(report.top.iter().map(|one| one.fingerprint).collect::<Vec<_>>(), [2, 1]);
        assert_eq!(report.top[1].by, [(who("web"), 101), (who("jobs"), 11)]);
        assert_eq!(report.database_time(), 110 * 1600 + 2000 * 30_000 + 80 + 5000);
    }
}
