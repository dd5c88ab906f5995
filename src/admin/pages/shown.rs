//! What the console shows, as pages: the cache, rules, nodes.

use crate::admin::table::{self, Cell};
use crate::admin::{Snapshot, cache, nodes, rules};
use crate::cache::{Eviction, Miss, Unstored};
use crate::report::document::{Block, Document, Kind, Number, Piece, Table, Text, texts};
use crate::report::numbers::{bytes, count, share, time};
use crate::stats::REFUSALS;

/// The result cache.
pub(super) fn cache(all: &Snapshot) -> Document {
    let (view, counts) = (&all.cache, &all.cache.counts);
    let mut document = titled("Cache");
    let number = |name: &str, value: String, aside: String| Number { name: name.into(), value, aside };
    let missed: u64 = counts.misses.iter().sum();
    let asked = counts.all_hits() + counts.followed + missed;
    document.put(Block::Numbers(vec![
        number(
            "hits",
            share(counts.all_hits() + counts.followed, asked),
            format!("{} of {} reads", count(counts.all_hits() + counts.followed), count(asked)),
        ),
        number("entries", count(counts.entries as u64), format!("{} stored so far", count(counts.stored))),
        number("memory", bytes(counts.bytes as u64), format!("of {}", bytes(view.limit as u64))),
        number("wait for another's answer", count(counts.followers as u64), "sessions now".into()),
    ]));
    if asked == 0 {
        document.put(Block::say("No rule asks for the cache, or no read has come that one means."));
    }
    if view.named().next().is_some() {
        document.put(Block::heading(2, "Databases"));
        let columns =
            "database state reason fresh_us lag_us tables_followed tables_wanted bypass_us verified wrong";
        let mut shown = picked(&cache::table(view), columns);
        // The last row is of all databases together.
        shown.rows.pop();
        document.put(Block::Table(shown));
    }
    let reasons: [(&str, Vec<&str>, &[u64]); 4] = [
        ("Misses", Miss::ALL.iter().map(|why| why.name()).collect(), &counts.misses),
        ("Answers that may not be kept", REFUSALS.to_vec(), &view.refused),
        (
            "Answers that were not kept",
            Unstored::ALL.iter().map(|why| why.name()).collect(),
            &counts.unstored,
        ),
        (
            "Entries that were removed",
            Eviction::ALL.iter().map(|why| why.name()).collect(),
            &counts.evictions,
        ),
    ];
    for (title, names, numbers) in reasons {
        let all: u64 = numbers.iter().sum();
        let seen = names.iter().zip(numbers).filter(|(_, n)| **n > 0);
        let rows: Vec<_> = seen.map(|(name, n)| texts![*name, count(*n), share(*n, all)]).collect();
        if !rows.is_empty() {
            document.put(Block::heading(2, title));
            document.put(Block::Table(Table::new("reason|#number|#share").with(rows)));
        }
    }
    document
}

/// Rules in their order, with their hits.
pub(super) fn rules(all: &Snapshot) -> Document {
    let mut document = titled("Rules");
    let shown = picked(
        &rules::table(&all.rules),
        "name mode concerns hits shadow_hits waiting running waited refused until file line",
    );
    if shown.rows.is_empty() {
        document.put(Block::say("No rules are in force: start pgweir with --rules DIR."));
    } else {
        document.put(Block::say("In the order in which they are asked. In shadow mode a rule only counts what it would have done."));
    }
    document.put(Block::Table(shown));
    document
}

/// Nodes of clusters, and pools.
pub(super) fn cluster(all: &Snapshot) -> Document {
    let mut document = titled("Cluster");
    let columns = "database host port role state reason lag_us lag_bytes in_flight latency_us probe_us zone";
    let shown = picked(&nodes::table(&all.clusters), columns);
    if shown.rows.is_empty() {
        document.put(Block::say("No nodes are watched: no database has reads = \"replicas\"."));
    }
    document.put(Block::Table(shown));
    document.put(Block::heading(2, "Pools"));
    let rows = all.pools.iter().map(|((database, user), pool)| {
        let report = &pool.report;
        texts![
            Piece::Code(database.clone()),
            Piece::Code(user.clone()),
            count(pool.clients as u64),
            count(report.waiting as u64),
            count(report.leased as u64),
            count(report.idle as u64),
            time(report.max_wait.as_micros() as u64),
        ]
    });
    let pools = Table::new("database|user|#clients|#waiting|#servers at work|#idle|#longest wait").with(rows);
    if pools.rows.is_empty() {
        document.put(Block::say("No client has come yet."));
    }
    document.put(Block::Table(pools));
    document
}

fn titled(title: &str) -> Document {
    let mut document = Document::new(format!("{title} - pgweir"));
    document.put(Block::Heading(1, title.into(), "top".into()));
    document
}

/// Some columns of a table of the console, by name, in this order; numbers with their units.
fn picked(from: &table::Table, columns: &str) -> Table {
    let names: Vec<&str> = from.names().collect();
    let places: Vec<usize> =
        columns.split(' ').filter_map(|name| names.iter().position(|known| *known == name)).collect();
    let mut to = Table::default();
    for at in &places {
        let name = names[*at];
        let is_number = from.rows.iter().any(|row| matches!(row[*at], Cell::Int(_)));
        let kind = match name {
            "reason" | "concerns" | "file" => Kind::Long,
            _ if is_number && name != "port" && name != "line" => Kind::Number,
            _ => Kind::Word,
        };
        let head = name.trim_end_matches("_us").replace('_', " ");
        to.columns.push(crate::report::document::Column { head, kind });
    }
    to.rows =
        from.rows.iter().map(|row| places.iter().map(|at| cell(names[*at], &row[*at])).collect()).collect();
    to
}

fn cell(name: &str, cell: &Cell) -> Text {
    match cell {
        Cell::Null => Text::default(),
        Cell::Text(text) => text.clone().into(),
        Cell::Int(number) if name.ends_with("_us") => time(*number).into(),
        Cell::Int(number) if name.ends_with("bytes") => bytes(*number).into(),
        Cell::Int(number) if name == "wrong" && *number > 0 => Piece::Bad(count(*number)).into(),
        Cell::Int(number) => count(*number).into(),
    }
}
