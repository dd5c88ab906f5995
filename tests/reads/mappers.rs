//! The reads of applications: few of what object-relational mappers send are needlessly kept from being reads.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use pgweir::sql::{Verb, not_a_read, shape, summarize};

use super::{barriers, reason};
use crate::drivers::environment;
use crate::harness::cluster::{APP, Cluster};
use crate::harness::command::run;

/// Of the shapes of reads, how many percent may be sent to the primary needlessly.
const NEEDLESS: usize = 3;

#[test]
fn reads_of_applications_are_known() {
    let cluster = logging();
    let database = cluster.database();
    let sent = sent(&cluster, &database.name);
    let barriers = barriers(&mut cluster.superuser(&database.name));
    let mut shapes = BTreeMap::new();
    for text in sent {
        let summary = summarize(text.as_bytes(), true);
        let verb = summary.statements.first().map_or(Verb::Other, |one| one.verb);
        if matches!(verb, Verb::Select | Verb::Values | Verb::Table | Verb::With) {
            shapes.insert(shape(text.as_bytes(), true).fingerprint, text);
        }
    }
    // What does more than read is no read of an application: its words say so.
    let reads: Vec<_> =
        shapes.into_values().filter(|text| not_a_read(text.as_bytes(), true).is_none()).collect();
    let needless: Vec<_> =
        reads.iter().filter_map(|text| Some(format!("{}: {text}", reason(text, &barriers)?))).collect();
    println!("{} of {} shapes needlessly:\n{}", needless.len(), reads.len(), needless.join("\n"));
    assert!(reads.len() > 80, "only {} shapes were sent", reads.len());
    assert!(needless.len() * 100 <= reads.len() * NEEDLESS, "{}", needless.join("\n"));
}

/// A server that writes down what it is sent.
pub(super) fn logging() -> Cluster {
    Cluster::start("log_statement = all\nlog_line_prefix = '%d|'\n", &[])
}

/// All that the mappers send to a database.
pub(super) fn sent(cluster: &Cluster, database: &str) -> Vec<String> {
    let mut suite = Command::new(environment::python_with_mappers());
    suite.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reads/mappers_suite.py"));
    let port = cluster.port.to_string();
    suite.envs([("PGHOST", "127.0.0.1"), ("PGPORT", &port), ("PGDATABASE", database)]);
    suite.envs([("PGUSER", APP.0), ("PGPASSWORD", APP.1)]);
    assert_eq!(run(&mut suite, Duration::from_secs(120)).success(), "all sent\n");
    statements(&cluster.log(), database)
}

/// The statements that the server's log says were sent to the database.
fn statements(log: &str, database: &str) -> Vec<String> {
    let head = format!("{database}|LOG:  ");
    let mut statements: Vec<String> = vec![];
    let mut open = false;
    for line in log.lines() {
        let said = line.strip_prefix(&head).and_then(|line| {
            line.strip_prefix("statement: ")
                .or_else(|| line.strip_prefix("execute ").and_then(|line| Some(line.split_once(": ")?.1)))
        });
        match (said, line.strip_prefix('\t')) {
            (Some(text), _) => statements.push(text.to_owned()),
            (None, Some(more)) if open => {
                let last = statements.last_mut().expect("one is open");
                last.push('\n');
                last.push_str(more);
            }
            _ => {}
        }
        open = said.is_some() || open && line.starts_with('\t');
    }
    statements
}
