//! What is wrong around a statement: how often it comes, how much it fetches, what it leaves out.

use super::{Fix, Seen, code, is_small};
use crate::advice::rewrite::{all_at_once, print_hidden, printable_hidden};
use crate::advice::scan::{Note, Other, Scan};
use crate::sql::facts::Class;

/// A call that gives so many bytes, or rows.
const BYTES: f64 = 1_000_000.0;
const ROWS: f64 = 5_000.0;
/// So many rows are a page.
const PAGE: f64 = 1_000.0;
/// Statements that were sent in loops.
const LOOPED: u64 = 100;

pub(super) fn around(seen: &Seen<'_>, fixes: &mut Vec<Fix>) {
    fixes.extend(n_plus_one(seen));
    fixes.extend(over_fetch(seen));
    if let Some(first) = seen.first() {
        fixes.extend(first.scans.iter().filter_map(|scan| missing_key(seen, scan)));
    }
}

fn n_plus_one(seen: &Seen<'_>) -> Option<Fix> {
    let habits = &seen.observed.habits;
    let calls = seen.observed.sums.calls;
    if habits.in_loops == 0 || habits.looped < LOOPED || habits.looped * 2 < calls {
        return None;
    }
    let text = seen.text().as_bytes();
    let class = crate::sql::facts(text, true, &crate::sql::shape(text, true)).class;
    let change = match class {
        Class::Select => {
            "ask once for all of them (= ANY ($1) with an array, or a join), and hand the rows out by their key"
        }
        Class::Insert => {
            "insert many rows in one statement (VALUES (...), (...), or unnest of arrays), or use COPY"
        }
        Class::Update | Class::Delete => "change all of them in one statement, joined with unnest of arrays",
        _ => return None,
    };
    let rewritten = printable_hidden(seen.text()).and_then(|mut tree| {
        all_at_once(&mut tree)?;
        print_hidden(&tree)
    });
    let each = habits.looped as f64 / habits.in_loops as f64;
    let mut evidence = vec![
        format!(
            "{} of {calls} calls came in {} transactions that had ten or more of them: {each:.0} each on average, {} in one",
            habits.looped, habits.in_loops, habits.most_in_one
        ),
        format!(
            "{:.2} ms each on average, and the way there and back besides, which is not counted here",
            seen.mean()
        ),
    ];
    if let Some((caller, count)) = habits.callers.first() {
        evidence.push(format!("{count} of them came from {caller}"));
    }
    evidence.push("saves: all but one of each loop; that one takes as long as two".to_owned());
    let spared = (habits.looped as f64 - 2.0 * habits.in_loops as f64).max(0.0);
    let saves = Some(spared * seen.mean() / 1000.0);
    let from = habits.callers.first().map(|(caller, _)| format!(" ({caller})")).unwrap_or_default();
    let title = format!("one statement instead of {each:.0}{from}");
    Some(seen.fix("n_plus_one", title, evidence, code(change, rewritten), saves))
}

fn over_fetch(seen: &Seen<'_>) -> Option<Fix> {
    let notes = &seen.first()?.notes;
    let sums = &seen.observed.sums;
    let (bytes, rows) = (seen.per_call(sums.bytes), seen.per_call(sums.rows));
    let on_the_way = (sums.micros[2] + sums.micros[3]) as f64 / 1e6;
    let share = on_the_way / seen.seconds().max(1e-9);
    if !notes.contains(&Note::Unlimited) || (bytes < BYTES && rows < ROWS) || share < 0.33 {
        return None;
    }
    let evidence = vec![
        format!("a call gives {rows:.0} rows and {:.1} MB on average, without a LIMIT", bytes / 1e6),
        format!(
            "{:.0} % of its time is rows on their way to the client, {on_the_way:.1} s in all",
            share * 100.0
        ),
        format!("saves: that time, but for {PAGE:.0} rows a call; nothing where all rows are really needed"),
    ];
    let star = notes.contains(&Note::Star).then_some(", and name the columns that are needed");
    let change =
        format!("fetch in pages (LIMIT, by key), or aggregate in the database{}", star.unwrap_or_default());
    let saves = Some(on_the_way * (1.0 - PAGE / rows.max(PAGE)));
    Some(seen.fix("over_fetch", "fetch fewer rows at a time".to_owned(), evidence, code(change, None), saves))
}

/// A partitioned table without a condition on its key.
fn missing_key(seen: &Seen<'_>, scan: &Scan) -> Option<Fix> {
    let table = seen.table(scan)?;
    let key = table.partition_key.first().filter(|_| table.kind == 'p')?;
    let partitions = seen.schema.below(table.oid).count();
    // A key that is an expression is none of the columns.
    table.column(key)?;
    let has_key =
        scan.all_conditions().any(|one| one.what.columns().iter().any(|column| column.name == *key));
    let joined = scan.conditions.iter().any(|one| matches!(one.other, Other::Join(_)));
    if partitions < 2 || has_key || is_small(table) {
        return None;
    }
    let touched = |plan: &crate::advice::Plan| {
        let nodes = plan.nodes();
        let removed: u64 = nodes.iter().map(|node| node.removed).sum();
        let is_partition = |name: &str| seen.schema.below(table.oid).any(|one| one.name == name);
        let read = nodes
            .iter()
            .filter(|node| node.table.as_ref().is_some_and(|(_, name)| is_partition(name)))
            .count();
        (removed == 0).then_some(read)
    };
    let read = match seen.plans {
        [] if joined => return None,
        [] => partitions,
        plans => plans.iter().filter_map(touched).max().filter(|read| *read >= partitions)?,
    };
    let evidence = vec![
        format!(
            "{} of {partitions} partitions of {} are read: it is partitioned by {key}, of which nothing is said",
            read.min(partitions),
            table.name
        ),
        format!("{} calls of {:.1} ms on average", seen.observed.sums.calls, seen.mean()),
        "saves: the time of all partitions but one, where the key is known to the application".to_owned(),
    ];
    let change = format!(
        "add a condition on {key} (a range of it will do), so that the other partitions are left out"
    );
    let saves = Some(seen.server_seconds() * (1.0 - 1.0 / partitions as f64));
    let title = format!("say which {key} of {} is meant", table.name);
    Some(seen.fix("missing_partition_key", title, evidence, code(change, None), saves))
}
