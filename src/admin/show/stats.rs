//! SHOW STATS and its parts. Times are microseconds.

use std::time::Duration;

use super::super::table::{Cell, Table, row};
use super::super::{Admin, Snapshot};
use crate::stats::Totals;

/// Column of totals, column of averages, and where the number is.
type Counted = (&'static str, &'static str, fn(&Totals) -> u64);

/// What is counted: PgBouncer's name (without `total_` and `avg_`), and where it is found.
const COUNTED: &[Counted] = &[
    ("server_assignment_count", "server_assignment_count", |totals| totals.assignments),
    ("xact_count", "xact_count", |totals| totals.transactions),
    ("query_count", "query_count", |totals| totals.queries),
    ("received", "recv", |totals| totals.received),
    ("sent", "sent", |totals| totals.sent),
    ("xact_time", "xact_time", |totals| totals.transaction_time),
    ("query_time", "query_time", |totals| totals.query_time),
    ("wait_time", "wait_time", |totals| totals.wait_time),
    ("client_parse_count", "client_parse_count", |totals| totals.client_parses),
    ("server_parse_count", "server_parse_count", |totals| totals.server_parses),
    ("bind_count", "bind_count", |totals| totals.binds),
];

/// Names as in STATS_TOTALS and STATS_AVERAGES.
const PLAIN: &str = "database server_assignment_count# xact_count# query_count# bytes_received# bytes_sent# xact_time# \
    query_time# wait_time# client_parse_count# server_parse_count# bind_count#";

fn numbers(totals: &Totals) -> impl Iterator<Item = Cell> {
    COUNTED.iter().map(|(_, _, read)| Cell::from(read(totals)))
}

/// Per second; times of transactions and statements per transaction and statement.
fn averages(totals: &Totals, time: Duration) -> impl Iterator<Item = Cell> {
    COUNTED.iter().map(move |(name, _, read)| {
        let number = read(totals);
        let per = match *name {
            "xact_time" => totals.transactions as f64,
            "query_time" => totals.queries as f64,
            _ => time.as_secs_f64(),
        };
        Cell::from(if per > 0.0 { (number as f64 / per).round() as u64 } else { 0 })
    })
}

/// Totals and averages side by side.
pub fn stats(admin: &Admin, all: &Snapshot) -> Table {
    let totals = COUNTED.iter().map(|(name, ..)| format!("total_{name}#"));
    let names: Vec<_> = totals.chain(COUNTED.iter().map(|(_, name, _)| format!("avg_{name}#"))).collect();
    let now = all.by_database();
    let (time, last) = admin.averages.last(&now);
    let rows = now.iter().map(|(database, totals)| {
        let period = last.get(database).copied().unwrap_or_default();
        row![database].into_iter().chain(numbers(totals)).chain(averages(&period, time)).collect()
    });
    Table::new(&format!("database {}", names.join(" "))).with(rows)
}

/// Totals alone.
pub fn totals_by_database(all: &Snapshot) -> Table {
    let now = all.by_database();
    Table::new(PLAIN)
        .with(now.iter().map(|(name, totals)| row![name].into_iter().chain(numbers(totals)).collect()))
}

/// Averages alone.
pub fn averages_by_database(admin: &Admin, all: &Snapshot) -> Table {
    let now = all.by_database();
    let (time, last) = admin.averages.last(&now);
    let rows = now.keys().map(|name| {
        let period = last.get(name).copied().unwrap_or_default();
        row![name].into_iter().chain(averages(&period, time)).collect()
    });
    Table::new(PLAIN).with(rows)
}

/// Over all databases, a number a row.
pub fn totals(admin: &Admin, all: &Snapshot) -> Table {
    let now = all.by_database();
    let (time, last) = admin.averages.last(&now);
    let sum = |databases: &super::super::averages::ByDatabase| {
        let mut sum = Totals::default();
        databases.values().for_each(|totals| sum.add(totals));
        sum
    };
    let (totals, period) = (sum(&now), sum(&last));
    let first = COUNTED.iter().map(|(name, ..)| format!("total_{name}")).zip(numbers(&totals));
    let second = COUNTED.iter().map(|(_, name, _)| format!("avg_{name}")).zip(averages(&period, time));
    Table::new("name value#").with(first.chain(second).map(|(name, number)| vec![Cell::from(name), number]))
}
