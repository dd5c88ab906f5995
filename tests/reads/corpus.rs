//! PostgreSQL's own regression tests: what is judged to be a read, a replica answers as the primary does.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use pgweir::catalog::{Barriers, Row};
use pgweir::sql::{Effects, Verb, not_a_read, summarize};

use super::{barriers_beyond, own};
use crate::harness::cluster::{Cluster, KEEPS_WAL, SUPERUSER, pg_version};
use crate::harness::message::Message;
use crate::harness::raw::{Client, Login};
use crate::harness::{big, command, eventually, frontend};

/// What is run; with `PGWEIR_TEST_BIG=1`, every file is, and with `PGWEIR_TEST_FILES`, what it names.
const FILES: &str = "select select_distinct subselect union join aggregates with window rowsecurity rules \
    updatable_views sequence plpgsql rangefuncs rowtypes domain create_function_sql create_aggregate create_operator create_cast \
    polymorphism privileges namespace matview inherit identity generated largeobject txid advisory_lock misc_functions tablesample temp \
    portals transactions returning random guc tsearch";

/// These end the server, wait for minutes, or need what is not there.
const LEFT_OUT: &[&str] =
    &["test_setup", "psql", "psql_crosstab", "tablespace", "stats", "sanity_check", "opr_sanity"];

/// How long the replica may take to follow.
const PATIENCE: Duration = Duration::from_secs(60);

/// A primary and its replica, and what was counted.
struct Comparison {
    primary: Client,
    replica: Client,
    control: Client,
    asks: Client,
    standby: Client,
    own: Vec<Row>,
    barriers: Option<Barriers>,
    /// Where the primary's log ended at the last comparison.
    end: String,
    in_block: bool,
    temporary: bool,
    compared: usize,
    refused: BTreeMap<String, usize>,
    needless: BTreeMap<String, usize>,
    wrong: Vec<String>,
}

#[test]
fn a_replica_answers_what_is_judged_to_be_a_read() {
    let cluster = Cluster::start(&format!("{KEEPS_WAL}synchronous_commit = on\n"), &[]);
    let standby = cluster.standby();
    cluster.superuser("postgres").run("create database regression");
    let folder = folder();
    let mut counted = (0, 0);
    let mut refused = BTreeMap::new();
    let mut needless = BTreeMap::new();
    let mut wrong = vec![];
    let mut own_rows = vec![];
    for file in files(&folder) {
        let login = || Login::new(SUPERUSER.0, SUPERUSER.1, "regression");
        eventually("the standby has the database", || {
            let known = "select count(*) from pg_database where datname = 'regression'";
            standby.superuser("postgres").value(known) == "1"
        });
        if own_rows.is_empty() {
            own_rows = own(&mut cluster.superuser("regression"));
        }
        let mut comparison = Comparison {
            asks: cluster.superuser("regression"),
            primary: Client::connect(&cluster.unix(), &login()),
            replica: Client::connect(&standby.unix(), &login()),
            control: cluster.superuser("postgres"),
            standby: standby.superuser("postgres"),
            own: own_rows.clone(),
            barriers: None,
            end: String::new(),
            in_block: false,
            temporary: false,
            compared: 0,
            refused: std::mem::take(&mut refused),
            needless: std::mem::take(&mut needless),
            wrong: vec![],
        };
        let started = Instant::now();
        for statement in statements(&folder, &file) {
            comparison.statement(&statement);
        }
        let reads = comparison.compared;
        println!("{file}: {reads} reads compared in {:?}", started.elapsed());
        counted = (counted.0 + 1, counted.1 + reads);
        refused = comparison.refused;
        needless = comparison.needless;
        wrong.extend(comparison.wrong.into_iter().map(|text| format!("{file}: {text}")));
    }
    println!("{} files, {} reads compared", counted.0, counted.1);
    println!(
        "by the catalog more than reads: {refused:#?}\nof which the replica answered the same: {needless:#?}"
    );
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), counted.1, wrong.join("\n"));
    assert!(counted.1 > 2_000, "only {} reads were compared", counted.1);
}

impl Comparison {
    fn statement(&mut self, text: &str) {
        let summary = summarize(text.as_bytes(), true);
        let verb = summary.statements.first().map_or(Verb::Other, |one| one.verb);
        if not_a_read(text.as_bytes(), true).is_some() || self.in_block {
            return self.run(text, verb, summary.effects);
        }
        let barrier = self.barriers().meets(text.as_bytes(), true);
        let here = self.primary.simple(text);
        if let Some(barrier) = barrier {
            let name = barrier.to_string();
            *self.refused.entry(name.clone()).or_default() += 1;
            self.barriers = None;
            if !failed(&here) && same(&here, &self.replica_says(text)) {
                *self.needless.entry(name).or_default() += 1;
            }
            return;
        }
        self.compared += 1;
        let there = self.replica_says(text);
        let writes = there.iter().any(|message| message.tag == b'E' && message.sqlstate() == "25006");
        // A session with temporary objects is pinned to the primary.
        if !writes && (self.temporary || same(&here, &there)) {
            return;
        }
        // Some are not the same twice on the primary either.
        if !failed(&there) && !same(&here, &self.primary.simple(text)) {
            return;
        }
        self.wrong.push(format!("{text}\n  primary: {}\n  replica: {}", shown(&here), shown(&there)));
    }

    /// More than a read: the replica gets it from the log, and settings by itself.
    fn run(&mut self, text: &str, verb: Verb, effects: Effects) {
        let answer = without_data(&mut self.primary, text);
        self.in_block = answer.last().is_some_and(|ready| ready.body != b"I");
        self.temporary |= effects.intersects(Effects::TEMP.union(Effects::TEMP_OF_TX));
        if effects.intersects(Effects::SETTING.union(Effects::ROLE)) && !self.in_block && !failed(&answer) {
            self.replay();
            self.replica.simple(text);
        }
        use Verb::{Begin, Delete, Explain, Insert, Select, Set, Show, Update, Values, With};
        // What may define something, or end a transaction that did.
        if !matches!(verb, Select | Values | Insert | Update | Delete | Set | Show | Explain | Begin | With) {
            self.barriers = None;
        }
    }

    fn barriers(&mut self) -> &Barriers {
        let (own, asks) = (&self.own, &mut self.asks);
        self.barriers.get_or_insert_with(|| barriers_beyond(own, asks))
    }

    fn replica_says(&mut self, text: &str) -> Vec<Message> {
        self.replay();
        self.replica.simple(text)
    }

    /// Waits until the replica has all that the primary has.
    fn replay(&mut self) {
        let end = self.control.value("select pg_current_wal_flush_lsn()");
        if end == self.end {
            return;
        }
        let started = Instant::now();
        let reached = format!("select pg_last_wal_replay_lsn() >= '{end}'");
        while self.standby.value(&reached) != "t" {
            assert!(started.elapsed() < PATIENCE, "the replica does not follow");
            std::thread::sleep(Duration::from_millis(1));
        }
        self.end = end;
    }
}

/// Runs a text; where it waits for data of COPY, there is none.
fn without_data(server: &mut Client, text: &str) -> Vec<Message> {
    server.send(&frontend::query(text));
    let mut answer = vec![];
    while answer.last().is_none_or(|message: &Message| message.tag != b'Z') {
        let message = server.read().expect("an answer").expect("the server goes on");
        if message.tag == b'G' {
            server.send(&frontend::copy_fail("there are no data"));
        }
        answer.push(message);
    }
    answer
}

fn failed(answer: &[Message]) -> bool {
    answer.iter().any(|message| message.tag == b'E')
}

fn same(one: &[Message], other: &[Message]) -> bool {
    let bytes = |answer: &[Message]| -> Vec<_> {
        answer.iter().filter(|message| message.tag != b'S').map(Message::comparable).collect()
    };
    bytes(one) == bytes(other)
}

fn shown(answer: &[Message]) -> String {
    let text: String = answer.iter().map(|message| format!("{message}; ")).collect();
    text.chars().take(400).collect()
}

fn files(folder: &Path) -> Vec<String> {
    let schedule = fs::read_to_string(folder.join("parallel_schedule")).expect("a schedule");
    let all = schedule.lines().filter_map(|line| line.strip_prefix("test: "));
    let all = all.flat_map(str::split_whitespace).map(str::to_owned);
    let wanted = |file: &String| {
        big()
            || std::env::var("PGWEIR_TEST_FILES")
                .unwrap_or(FILES.to_owned())
                .split_whitespace()
                .any(|wanted| wanted == file)
    };
    let rest = all.filter(|file| !LEFT_OUT.contains(&file.as_str()) && wanted(file));
    ["test_setup".to_owned()].into_iter().chain(rest).collect()
}

/// The statements of a file: without what psql does by itself, and without the data of COPY.
pub(super) fn statements(folder: &Path, file: &str) -> Vec<String> {
    let text = fs::read(folder.join("sql").join(format!("{file}.sql"))).expect("a file of the schedule");
    let text = String::from_utf8_lossy(&text);
    let mut sql = String::new();
    let mut data = false;
    let mut variables = vec![];
    for line in text.lines() {
        if data {
            data = line != "\\.";
        } else if let Some(set) = line.strip_prefix("\\set ") {
            let (name, value) = set.split_once(' ').unwrap_or((set, ""));
            let value = value.replace(":abs_srcdir", &folder.display().to_string()).replace(['\'', ' '], "");
            variables.push((format!(":'{name}'"), format!("'{value}'")));
        } else if !line.starts_with('\\') {
            sql.push_str(
                &variables.iter().fold(line.to_owned(), |line, (name, value)| line.replace(name, value)),
            );
            sql.push('\n');
            let lower = line.to_ascii_lowercase();
            data = lower.contains("from stdin") && lower.trim_end().ends_with(';');
        }
    }
    let summary = summarize(sql.as_bytes(), true);
    let statements = summary.statements.into_iter().map(|one| sql[one.range].to_owned());
    // An end of psql's own that is not a line of its own.
    statements.filter(|text| !text.contains("\\g") && !text.contains("\\;")).collect()
}

/// The folder of the tests in PostgreSQL's source.
pub(super) fn folder() -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/postgres-source.sh");
    let mut fetch = Command::new(script);
    fetch.arg(pg_version().to_string());
    let said = command::run(&mut fetch, Duration::from_secs(300)).success();
    PathBuf::from(said.trim()).join("src/test/regress")
}
