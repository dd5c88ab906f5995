//! What was found, in words: fixes with their evidence, verdicts, rejections.

use super::look::Looked;
use super::pool::{Found, Pool, reject};
use super::prove::Planner;
use crate::advice::ask::{NoPlan, Server};
use crate::advice::choose::{Choice, Problem, ratios};
use crate::advice::create::{create, title};
use crate::advice::existing::bytes;
use crate::advice::index::Definition;
use crate::advice::plan::{Node, Plan};
use crate::advice::schema::{Schema, Table};
use crate::advice::{Fix, Observed, Origin, Price, Proof, Rejected, Verdict};
use crate::stats::tally::TOTAL;

/// A sample is better by this ratio, or it is not.
const BETTER: f64 = 0.9;
/// A plan is better only by more than one page that is read at random, and a row: less is nobody's index.
pub const LEAST: f64 = 5.0;
/// Statements that the evidence of a fix names.
const NAMED: usize = 5;
/// A statement of which this much is no work of the server cannot be helped there.
const ELSEWHERE: f64 = 0.7;
/// Who reads this much of a table reads it faster without an index.
const MUCH_OF_TABLE: f64 = 0.2;

/// What a chosen index does for one statement.
struct Gain {
    statement: usize,
    seconds: f64,
    better: usize,
    samples: usize,
    /// Planner costs of the sample that gains most, before and after.
    costs: (f64, f64),
}

/// A fix for each index that was chosen and makes a difference beside the others.
pub async fn indexes<S: Server>(
    problem: &Problem,
    choice: &Choice,
    pool: &Pool,
    planner: &mut Planner<'_, '_, S>,
    taken: &mut Vec<String>,
) -> Vec<(Definition, Fix)> {
    let mut all = vec![];
    for item in &choice.set {
        let rest: Vec<usize> = choice.set.iter().copied().filter(|one| one != item).collect();
        let mut gains = vec![];
        for statement in &problem.items[*item].relevant {
            let with = ratios(problem, planner, *statement, &choice.set).await;
            let without = ratios(problem, planner, *statement, &rest).await;
            let Some((with, without)) = with.zip(without) else { continue };
            gains.extend(gain(problem, planner.looked, *statement, &with, &without));
        }
        if gains.is_empty() {
            continue;
        }
        gains.sort_by(|a, b| b.seconds.total_cmp(&a.seconds).then(a.statement.cmp(&b.statement)));
        let shown = gains.iter().all(|gain| planner.proves(gain.statement, *item));
        all.push((
            problem.items[*item].definition.clone(),
            fix(problem, *item, &gains, pool, planner, shown, taken),
        ));
    }
    all
}

fn gain(
    problem: &Problem,
    looked: &[Looked<'_>],
    statement: usize,
    with: &[f64],
    without: &[f64],
) -> Option<Gain> {
    let weight = &problem.statements[statement];
    let parts: Vec<f64> = with.iter().zip(without).map(|(with, without)| with / without.max(1e-9)).collect();
    let saved = |at: usize| {
        looked[statement].plans.get(at).map_or(0.0, |plan| plan.cost() * (without[at] - with[at]))
    };
    let is_better = |at: &usize| parts[*at] <= BETTER && saved(*at) >= LEAST;
    let better = (0..parts.len()).filter(is_better).count();
    let most = (0..parts.len()).min_by(|a, b| parts[*a].total_cmp(&parts[*b]))?;
    let base = looked[statement].plans.get(most)?.cost();
    (better > 0).then(|| Gain {
        statement,
        seconds: weight.seconds_with(without) - weight.seconds_with(with),
        better,
        samples: parts.len(),
        costs: (base * without[most], base * with[most]),
    })
}

fn fix<S: Server>(
    problem: &Problem,
    item: usize,
    gains: &[Gain],
    pool: &Pool,
    planner: &Planner<'_, '_, S>,
    shown: bool,
    taken: &mut Vec<String>,
) -> Fix {
    let (found, given) = (&pool.candidates[item], &problem.items[item]);
    let (looked, schema) = (planner.looked, planner.schema);
    let mut evidence: Vec<String> =
        gains.iter().take(NAMED).map(|gain| helped(gain, &looked[gain.statement])).collect();
    if gains.len() > NAMED {
        evidence.push(format!("and {} more statements", gains.len() - NAMED));
    }
    evidence.push(format!(
        "Pattern {}: {}.",
        found.candidate.pattern,
        found.candidate.why.trim_end_matches('.')
    ));
    evidence.push(format!(
        "It takes about {}, and makes writes {:.2} s a day slower.",
        bytes(given.bytes),
        given.writes
    ));
    let better = gains.iter().map(|gain| gain.better).sum();
    let samples = gains.iter().map(|gain| gain.samples).sum();
    if gains
        .iter()
        .all(|gain| looked[gain.statement].samples.iter().all(|one| one.origin == Origin::Statistics))
    {
        evidence.push(
            "No values of these statements were kept: samples were made of the statistics of their columns."
                .to_owned(),
        );
    }
    Fix {
        code: "index",
        title: format!("index {}", title(&given.definition, schema)),
        evidence,
        action: create(&given.definition, schema, taken),
        helps: gains.iter().map(|gain| looked[gain.statement].observed.fingerprint).collect(),
        saves: Some(gains.iter().map(|gain| gain.seconds).sum()),
        price: Price { bytes: given.bytes as i64, writes: given.writes },
        proof: if shown { Proof::Planner { better, samples } } else { Proof::Pattern },
    }
}

fn helped(gain: &Gain, looked: &Looked<'_>) -> String {
    format!(
        "{}: takes {} a day; planner cost {:.0} -> {:.0}, better for {} of {} samples",
        short(&looked.observed.text),
        duration(looked.seconds),
        gain.costs.0,
        gain.costs.1,
        gain.better,
        gain.samples
    )
}

/// Candidates that were weighed, and are in no fix.
pub fn not_chosen(
    problem: &Problem,
    pool: &Pool,
    indexes: &[(Definition, Fix)],
    looked: &[Looked<'_>],
    schema: &Schema,
    rejected: &mut Vec<Rejected>,
) {
    let is_in =
        |found: &Found| indexes.iter().any(|(definition, _)| *definition == found.candidate.definition);
    for (found, item) in pool.candidates.iter().zip(&problem.items).filter(|(found, _)| !is_in(found)) {
        let of_table =
            indexes.iter().filter(|(definition, _)| definition.table == item.definition.table).count();
        let why = if item.bytes > problem.budget.bytes {
            format!("its {} are more than the budget", bytes(item.bytes))
        } else if of_table > 0 {
            "those that are proposed for its table do as much or more for what they cost".to_owned()
        } else {
            format!(
                "what it saves is not worth {} and {:.2} s of writes a day",
                bytes(item.bytes),
                item.writes
            )
        };
        rejected.push(reject(found, looked, schema, why));
    }
}

/// In an order that does not depend on what came first; a thing is rejected once for each reason.
pub fn sort(rejected: &mut Vec<Rejected>) {
    rejected.iter_mut().for_each(|one| one.shapes.sort_unstable());
    rejected.sort_by(|a, b| (&a.what, &a.why, &a.shapes).cmp(&(&b.what, &b.why, &b.shapes)));
    rejected.dedup();
}

/// Statements that have no plan, counted by the reason.
pub fn unplanned(looked: &[Looked<'_>], notes: &mut Vec<String>) {
    let late = looked.iter().filter(|one| one.no_plan == Some(NoPlan::Late) && one.plans.is_empty()).count();
    if late > 0 {
        notes.push(format!(
            "{late} of {} statements could not be planned in the time that there was",
            looked.len()
        ));
    }
    let failed = |one: &&Looked<'_>| {
        one.plans.is_empty() && one.no_plan.is_some() && one.no_plan != Some(NoPlan::Late)
    };
    let failed = looked.iter().filter(failed).count();
    if failed > 0 {
        notes.push(format!("{failed} of {} statements have no plan; their verdicts say why", looked.len()));
    }
}

/// What there is to say of a statement; of one that is `untried`, that no index helps is not known.
pub fn verdict(looked: &Looked<'_>, untried: bool, fixes: &[Fix], schema: &Schema) -> Verdict {
    let fingerprint = looked.observed.fingerprint;
    let helps = |fix: &Fix| fix.helps.contains(&fingerprint);
    let mine: Vec<usize> = (0..fixes.len()).filter(|place| helps(&fixes[*place])).collect();
    let dearest = looked.plans.iter().max_by(|a, b| a.cost().total_cmp(&b.cost()));
    let why = match dearest {
        None => {
            let why = looked.no_plan.as_ref().map_or("it has no sample".to_owned(), ToString::to_string);
            format!("not known: {why}")
        }
        Some(plan) if !mine.iter().any(|place| fixes[*place].code == "index") && untried => {
            let hurts = what_hurts(plan, schema);
            format!("not known whether an index helps, for none could be tried: {hurts}")
        }
        Some(plan) if !mine.iter().any(|place| fixes[*place].code == "index") => {
            format!("no index will help: {}", why_not(looked.observed, plan, schema))
        }
        Some(plan) => what_hurts(plan, schema),
    };
    Verdict { fingerprint, fixes: mine, why, plan: dearest.cloned() }
}

/// Why nothing helps.
fn why_not(observed: &Observed, plan: &Plan, schema: &Schema) -> String {
    let sums = &observed.sums;
    let share = |clock: usize| sums.micros[clock] as f64 / sums.micros[TOTAL].max(1) as f64;
    if share(0) > ELSEWHERE {
        return format!("{:.0} % of its time it waits for a server of the pool", share(0) * 100.0);
    }
    if share(3) > ELSEWHERE {
        return format!("{:.0} % of its time its client takes to take the rows", share(3) * 100.0);
    }
    let nodes = plan.nodes();
    let reads: Vec<&&Node> =
        nodes.iter().filter(|node| node.table.is_some() && node.kind.contains("Scan")).collect();
    if reads.is_empty() {
        return "it reads no table".to_owned();
    }
    let worst = worst(plan);
    if let Some(table) = worst.and_then(|node| table_of(node, schema)) {
        let node = worst.unwrap_or(&plan.top);
        let part = node.rows / table.rows.max(1.0);
        if node.kind.ends_with("Seq Scan") && table.pages < 16 {
            return format!("{} has about {} rows: reading all of them is fastest", table.name, table.rows);
        }
        if node.kind.ends_with("Seq Scan") && part > MUCH_OF_TABLE {
            return format!("it needs {:.0} % of the rows of {}", part.min(1.0) * 100.0, table.name);
        }
    }
    let mut used: Vec<&str> = nodes.iter().filter_map(|node| node.index.as_deref()).collect();
    used.sort_unstable();
    used.dedup();
    if !used.is_empty() && !nodes.iter().any(|node| node.kind.ends_with("Seq Scan")) {
        return format!("what it reads it finds by an index already ({})", used.join(", "));
    }
    let node = worst.unwrap_or(&plan.top);
    format!(
        "its time goes into {} over about {:.0} rows, and no index that was tried makes it a tenth cheaper",
        node.kind, node.rows
    )
}

/// What takes the time, in one line.
fn what_hurts(plan: &Plan, schema: &Schema) -> String {
    let Some(node) = worst(plan) else { return "its plan has no node".to_owned() };
    match table_of(node, schema) {
        Some(table) => format!(
            "{} of {} ({:.0} rows, {} pages) for about {:.0} rows takes {:.0} % of the plan's cost",
            node.kind,
            table.name,
            table.rows,
            table.pages,
            node.rows,
            own_cost(node) / plan.cost().max(0.01) * 100.0
        ),
        None => format!(
            "{} takes {:.0} % of the plan's cost",
            node.kind,
            own_cost(node) / plan.cost().max(0.01) * 100.0
        ),
    }
}

/// The node that takes most by itself.
fn worst(plan: &Plan) -> Option<&Node> {
    plan.nodes().into_iter().max_by(|a, b| own_cost(a).total_cmp(&own_cost(b)))
}

/// Without what is below; what runs again and again counts once.
fn own_cost(node: &Node) -> f64 {
    let below: f64 = node.below.iter().map(|one| one.cost.1).sum();
    (node.cost.1 - below).max(0.0)
}

fn table_of<'a>(node: &Node, schema: &'a Schema) -> Option<&'a Table> {
    let (schema_name, name) = node.table.as_ref()?;
    schema.named(schema_name.as_deref(), name)
}

/// The beginning of a statement, on one line.
fn short(text: &str) -> String {
    const MOST: usize = 90;
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}

/// Seconds for people.
pub fn duration(seconds: f64) -> String {
    match seconds {
        s if s >= 3600.0 => format!("{:.1} h", s / 3600.0),
        s if s >= 120.0 => format!("{:.0} m", s / 60.0),
        s if s >= 10.0 => format!("{s:.0} s"),
        s => format!("{s:.2} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_times_are_short() {
        assert_eq!(short("select  1\n from t"), "select 1 from t");
        assert_eq!(short(&"é".repeat(200)).chars().count(), 93);
        assert_eq!([0.5, 30.0, 600.0, 7200.0].map(duration), ["0.50 s", "30 s", "10 m", "2.0 h"]);
    }
}
