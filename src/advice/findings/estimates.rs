//! Where the planner is wrong about a statement.

use super::{Fix, Seen, is_small};
use crate::advice::index::quoted;
use crate::advice::scan::{Other, Scan, Test};
use crate::advice::schema::Table;
use crate::advice::{Action, Plan};

/// So many times as many rows come as were expected.
const OFF: f64 = 10.0;
/// And so many more.
const ROWS: f64 = 100.0;
/// Calls that rows per call are reckoned of.
const CALLS: u64 = 20;
/// A generic plan that is so many times as dear as those with values.
const DEARER: f64 = 5.0;
/// Below this planner cost it makes no difference.
const CHEAP: f64 = 1_000.0;

pub(super) fn estimates(seen: &Seen<'_>, fixes: &mut Vec<Fix>) {
    fixes.extend(dependent(seen));
    fixes.extend(generic(seen));
}

/// Columns that depend on each other.
fn dependent(seen: &Seen<'_>) -> Option<Fix> {
    let first = seen.first()?;
    let [scan] = first.scans.as_slice() else { return None };
    let table = seen.table(scan)?;
    let columns = compared(scan, table);
    let plain = scan.limit.is_none() && scan.group.is_empty() && scan.branches.is_empty();
    let only = scan.conditions.iter().all(|one| matches!(one.test, Test::Equal));
    let counts =
        first.calls.iter().any(|name| matches!(name.as_str(), "count" | "sum" | "min" | "max" | "avg"));
    if columns.len() < 2 || !plain || !only || counts || is_small(table) || is_stale(table) {
        return None;
    }
    let (expected, seen_rows, by) = measured(seen, table)?;
    if seen_rows < expected.max(1.0) * OFF || seen_rows - expected < ROWS {
        return None;
    }
    let names: Vec<String> = columns.iter().map(|name| quoted(name)).collect();
    let own = format!("{}.{}", quoted(&table.schema), quoted(&table.name));
    let statistics = format!(
        "{}.{}",
        quoted(&table.schema),
        quoted(&format!("{}_{}_stat", table.name, columns.join("_")))
    );
    let action = Action::Sql {
        run: vec![
            format!(
                "CREATE STATISTICS {statistics} (dependencies, ndistinct, mcv) ON {} FROM {own}",
                names.join(", ")
            ),
            format!("ANALYZE {own}"),
        ],
        undo: vec![format!("DROP STATISTICS {statistics}")],
        concurrently: false,
    };
    let evidence = vec![
        format!(
            "the planner expects {expected:.0} rows, {by} {seen_rows:.0}: {} are taken for independent of each other",
            columns.join(" and ")
        ),
        "what it saves is seen once plans are made of the right number; nothing is claimed".to_owned(),
    ];
    let title = format!("tell the planner that {} of {} go together", columns.join(" and "), table.name);
    Some(seen.fix("extended_statistics", title, evidence, action, None))
}

fn compared(scan: &Scan, table: &Table) -> Vec<String> {
    let plain = scan
        .conditions
        .iter()
        .filter(|one| one.test == Test::Equal && matches!(one.other, Other::Constants(_)));
    let mut names: Vec<String> = plain
        .filter_map(|one| one.what.as_column())
        .filter(|column| table.column(&column.name).is_some_and(|known| known.statistics.is_some()))
        .map(|column| column.name.clone())
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Rows expected and rows that came, and how that is known: of a plan that was run, or of all calls together.
fn measured(seen: &Seen<'_>, table: &Table) -> Option<(f64, f64, &'static str)> {
    for node in seen.plans.iter().flat_map(|plan| plan.nodes()) {
        let of = node.table.as_ref().is_some_and(|(_, name)| *name == table.name);
        if let (true, Some(actual)) = (of, node.actual) {
            return Some((node.rows, actual.rows, "a run gave"));
        }
    }
    let sums = &seen.observed.sums;
    let expected = seen.plans.iter().map(|plan| plan.top.rows).fold(f64::NAN, f64::max);
    let known = sums.calls >= CALLS && expected.is_finite() && sums.failures() == 0;
    known.then(|| (expected, seen.per_call(sums.rows), "calls gave on average"))
}

/// Statistics that are old.
pub(super) fn is_stale(table: &Table) -> bool {
    let changed = table.activity.stale as f64;
    changed >= 1_000.0 && changed >= 0.2 * table.rows.max(1.0)
}

/// A plan that was made without values.
pub(super) fn is_generic(plan: &Plan) -> bool {
    plan.settings.iter().any(|(name, value)| name == "plan_cache_mode" && value == "force_generic_plan")
}

/// The plan for all values beside those for the values that come.
fn generic(seen: &Seen<'_>) -> Option<Fix> {
    let prepared = seen.observed.samples.iter().any(|sample| !sample.values.is_empty());
    let generic =
        seen.plans.iter().filter(|plan| is_generic(plan)).map(Plan::cost).fold(f64::INFINITY, f64::min);
    let custom: Vec<f64> = seen.plans.iter().filter(|plan| !is_generic(plan)).map(Plan::cost).collect();
    let dearest = custom.iter().copied().fold(0.0, f64::max);
    if !prepared || custom.is_empty() || !generic.is_finite() || generic < dearest * DEARER || generic < CHEAP
    {
        return None;
    }
    // The server compares the generic plan's cost with the average of those with values, and takes what is cheaper.
    let evidence = vec![
        format!("the plan for any values costs {generic:.0} (planner units); those for {} samples cost {dearest:.0} at most", custom.len()),
        "the server takes it from the sixth execution on only when it reckons it no dearer; with statistics that are off, or plan_cache_mode set, it does".to_owned(),
    ];
    let user = seen.observed.by.first().map(|(who, _)| quoted(&who.user)).filter(|user| user != "\"\"")?;
    let action = Action::Setting {
        run: format!("ALTER ROLE {user} SET plan_cache_mode = force_custom_plan"),
        undo: format!("ALTER ROLE {user} RESET plan_cache_mode"),
    };
    let title = "keep plans to the values that come".to_owned();
    Some(seen.fix("generic_plan", title, evidence, action, None))
}
