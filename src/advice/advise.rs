//! From a workload and a database to advice.
//!
//! Statements that take the time are planned with several samples each; candidates come of statement, schema and plan; all of a statement's
//! are shown to the planner at once, and what it uses is weighed alone and together ([`super::choose`]). What nobody needs is rejected with
//! the reason, and every statement that was looked at gets a verdict.

mod look;
mod pool;
mod prove;
mod stale;
mod tell;

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use self::look::Looked;
use self::pool::Pool;
use self::prove::Planner;
use super::ask::{Asker, Bounds, Refused, Server};
use super::bill::Bill;
use super::choose::{Budget, Problem, Weight, choose};
use super::form::Planned;
use super::hypopg::Hypothetical;
use super::index::Definition;
use super::read_schema::{add_scans, read_schema, scans_elsewhere};
use super::schema::Schema;
use super::{Advice, Fix, Observed, Workload, existing, findings};

/// The share of the workload's time that is looked at; what is left is spread over statements that take next to none.
const SHARE: f64 = 0.995;
/// The part of the time until which statements are planned as things are, and until which all candidates of each are shown at once.
const LOOKING: f64 = 0.4;
const TRYING: f64 = 0.7;
/// And until which is chosen; what is left is for what is claimed of each that was chosen.
const CHOOSING: f64 = 0.9;
/// Of the plans that may be asked for in all, the part for statements as things are, of which as many follow with all candidates; and the
/// part to improve on a choice.
const AS_THINGS_ARE: f64 = 0.3;
const TO_IMPROVE: f64 = 0.15;

/// Where a database can be asked.
#[derive(Debug)]
pub struct Nodes<S> {
    /// The primary: what there is, and what was counted of writes.
    pub primary: S,
    /// Its standbys: what was counted of reads, and plans, which the first of them is asked for.
    pub standbys: Vec<S>,
}

/// Bounds on what advice may cost, and on what it may propose.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How long it may take. What is best so far is the answer.
    pub time: Duration,
    /// Plans a second that the database is asked for.
    pub plans_per_second: f64,
    /// How long planning one statement may take.
    pub statement_timeout: Duration,
    /// How long it may wait for a lock.
    pub lock_timeout: Duration,
    /// Bytes of all indexes that are proposed.
    pub bytes: u64,
    /// Indexes that are proposed for one table.
    pub per_table: usize,
    /// Tables that are looked at.
    pub tables: usize,
    /// Statements that are looked at.
    pub statements: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            time: Duration::from_secs(30),
            plans_per_second: 100.0,
            statement_timeout: Duration::from_secs(2),
            lock_timeout: Duration::from_millis(100),
            bytes: u64::MAX,
            per_table: 5,
            tables: 10_000,
            statements: 500,
        }
    }
}

impl Limits {
    /// This part of the plans that there is time for.
    fn plans(&self, part: f64) -> usize {
        (self.plans_per_second * self.time.as_secs_f64() * part) as usize
    }
}

/// Advice, and what it took.
#[derive(Debug, Default)]
pub struct Advised {
    /// The advice.
    pub advice: Advice,
    /// The database as it was read.
    pub schema: Schema,
    /// Plans that the database was asked for.
    pub plans: u64,
    /// The forms of those that statements have as things are, each once.
    pub planned: Vec<Planned>,
    /// Statements that were looked at.
    pub statements: usize,
    /// HypoPG was there.
    pub hypothetical: bool,
    /// How long it took.
    pub took: Duration,
}

/// Finds what would help. Nothing is created, and nothing is run but questions to catalogs, EXPLAIN and HypoPG.
///
/// # Errors
/// When the database cannot be read at all; whatever else goes wrong is a note.
pub async fn advise<S: Server>(
    workload: &Workload,
    nodes: Nodes<S>,
    limits: &Limits,
) -> Result<Advised, Refused> {
    let began = Instant::now();
    let bounds = Bounds {
        plans_per_second: limits.plans_per_second,
        statement_timeout: limits.statement_timeout,
        lock_timeout: limits.lock_timeout,
        until: began + limits.time,
    };
    let mut shapes = look::slow(workload, SHARE);
    let mut advice = Advice::default();
    let (mut asker, schema) = read(&shapes, nodes, bounds, limits, &mut advice.notes).await?;
    look::cut(&mut shapes, limits.statements, workload, &mut advice.notes);
    asker.set_end(began + limits.time.mul_f64(LOOKING));
    let looked = look::look(&mut asker, &shapes, &schema, limits.plans(AS_THINGS_ARE)).await;
    tell::unplanned(&looked, &mut advice.notes);
    asker.set_end(began + limits.time.mul_f64(TRYING));
    let hypothetical = hypothetical(&mut asker, &schema, &mut advice.notes).await;
    let has_hypothetical = hypothetical.is_some();
    let mut pool = Pool::of(&looked, workload, &schema, &mut advice.rejected);
    let mut planner = Planner::new(&mut asker, hypothetical, &schema, &looked);
    pool.narrow(&mut planner, &mut advice.rejected).await;
    planner.set_end(began + limits.time.mul_f64(CHOOSING));
    let problem = problem(&pool, &looked, workload, &schema, limits);
    let choice = choose(&problem, &mut planner).await;
    let late = pool.late || !choice.complete && planner.is_late();
    planner.set_end(began + limits.time);
    let mut taken = vec![];
    let indexes = tell::indexes(&problem, &choice, &pool, &mut planner, &mut taken).await;
    tell::not_chosen(&problem, &pool, &indexes, &looked, &schema, &mut advice.rejected);
    if late {
        let seconds = limits.time.as_secs();
        advice.notes.push(format!("the time for advice ({seconds} s) was over before everything was tried: the same with more time may find more"));
    }
    let proposed: Vec<&Definition> = indexes.iter().map(|(definition, _)| definition).collect();
    let mut fixes = existing::existing(&schema, &proposed);
    fixes.extend(besides(&looked, workload, &schema));
    let mut of_schema = findings::of_schema(&schema);
    let indexes = stale::statistics_first(indexes, &mut of_schema, &schema, &mut advice.rejected);
    // What an index gives in order need not be sorted.
    fixes.retain(|fix| fix.code != "work_mem" || !indexes.iter().any(|index| helps_all(index, fix)));
    fixes.extend(of_schema.into_iter().chain(indexes));
    advice.fixes = in_order(fixes);
    let verdict = |(place, one)| tell::verdict(one, pool.untried.contains(&place), &advice.fixes, &schema);
    advice.verdicts = looked.iter().enumerate().map(verdict).collect();
    tell::sort(&mut advice.rejected);
    let statements = looked.len();
    let plans = asker.asked();
    let planned = planned(&looked, &schema);
    gone(&asker, &mut advice.notes);
    let (hypothetical, took) = (has_hypothetical, began.elapsed());
    Ok(Advised { advice, statements, plans, planned, hypothetical, took, schema })
}

/// Reads the database from its primary, and how its indexes are used from all nodes; plans are asked of a standby where there is one.
async fn read<S: Server>(
    shapes: &[look::Shape<'_>],
    nodes: Nodes<S>,
    bounds: Bounds,
    limits: &Limits,
    notes: &mut Vec<String>,
) -> Result<(Asker<S>, Schema), Refused> {
    let mut primary = Asker::new(nodes.primary, bounds);
    let named = look::tables_named(shapes);
    let reading = read_schema(&mut primary, &named, limits.tables).await?;
    let mut schema = reading.schema;
    notes.extend(reading.notes);
    let mut planner = None;
    for standby in nodes.standbys {
        let mut standby = Asker::new(standby, bounds);
        match scans_elsewhere(&mut standby, &schema).await {
            Ok(rows) => {
                add_scans(&mut schema, &rows);
                planner.get_or_insert(standby);
            }
            Err(refused) => {
                schema.scans_known = false;
                notes.push(format!(
                    "a standby cannot be asked: {refused}; which indexes are unused is not known without it"
                ));
            }
        }
    }
    let asker = match planner {
        Some(standby) => standby.with_spare(primary.into_server()),
        None => primary,
    };
    Ok((asker, schema))
}

/// Tells who went away midway.
fn gone<S: Server>(asker: &Asker<S>, notes: &mut Vec<String>) {
    if asker.is_replaced() {
        notes.push(
            "the standby that was asked for plans went away midway: the primary was asked for the others"
                .to_owned(),
        );
    }
    if asker.is_gone() {
        notes.push(
            "the server that was asked for plans went away midway: what it was not asked by then is not known"
                .to_owned(),
        );
    }
}

/// What HypoPG is, where it is there and may be used.
async fn hypothetical<S: Server>(
    asker: &mut Asker<S>,
    schema: &Schema,
    notes: &mut Vec<String>,
) -> Option<Hypothetical> {
    match Hypothetical::open(asker, schema).await {
        Ok(None) => {
            notes.push(
                "the extension hypopg is not there, so that the planner cannot be asked what it would do with an index: \
                 only what is plain by its pattern is proposed. Debian has it as postgresql-NN-hypopg; then CREATE EXTENSION hypopg"
                    .to_owned(),
            );
            None
        }
        Ok(found) => found,
        Err(refused) => {
            notes.push(format!("hypopg cannot be used: {refused}"));
            None
        }
    }
}

fn problem(
    pool: &Pool,
    looked: &[Looked<'_>],
    workload: &Workload,
    schema: &Schema,
    limits: &Limits,
) -> Problem {
    let bill = Bill::of(schema, workload);
    let all: f64 = looked.iter().map(|one| one.seconds).sum();
    let budget = Budget {
        bytes: limits.bytes,
        per_table: limits.per_table,
        // A gigabyte counts as ten seconds a day.
        rent: 10.0 / 1e9,
        each: 0.01 + all * 0.0005,
        questions: limits.plans(TO_IMPROVE),
    };
    Problem {
        items: pool.candidates.iter().map(|found| found.item(schema, &bill)).collect(),
        statements: looked
            .iter()
            .zip(pool.least.iter().zip(&pool.best))
            .map(|(one, (least, best))| Weight { least: *least, best: best.clone(), ..one.weight() })
            .collect(),
        budget,
    }
}

/// Whether a fix helps all statements that another does.
fn helps_all(fix: &Fix, other: &Fix) -> bool {
    other.helps.iter().all(|name| fix.helps.contains(name))
}

/// The forms of plans as things are, each once for a shape.
fn planned(looked: &[Looked<'_>], schema: &Schema) -> Vec<Planned> {
    let mut all: Vec<Planned> = vec![];
    for one in looked {
        let first = all.len();
        for plan in &one.plans {
            let planned = Planned::of(one.observed.fingerprint, plan, schema);
            if all[first..].iter().all(|known| known.hash != planned.hash) {
                all.push(planned);
            }
        }
    }
    all
}

/// What there is to find besides indexes.
fn besides(looked: &[Looked<'_>], workload: &Workload, schema: &Schema) -> Vec<Fix> {
    let by_name: HashMap<u128, &Looked<'_>> =
        looked.iter().map(|one| (one.observed.fingerprint, one)).collect();
    let seen = |one: &Observed| {
        by_name.get(&one.fingerprint).map_or_else(|| one.clone(), |known| known.seen.clone())
    };
    let shapes = workload.shapes.iter().map(seen).collect();
    let plans = |fingerprint| {
        let known = by_name.get(&fingerprint);
        known.map(|one| one.plans.iter().chain(&one.generic).cloned().collect()).unwrap_or_default()
    };
    findings::of_workload(&Workload { window: workload.window, shapes }, schema, &plans)
}

/// The dearest first; the same thing is said once.
fn in_order(mut fixes: Vec<Fix>) -> Vec<Fix> {
    fixes.sort_by(|a, b| {
        let saves = |fix: &Fix| fix.saves.unwrap_or(-1.0);
        saves(b)
            .total_cmp(&saves(a))
            .then_with(|| a.price.bytes.cmp(&b.price.bytes))
            .then_with(|| (a.code, &a.title, &a.helps).cmp(&(b.code, &b.title, &b.helps)))
    });
    fixes.dedup_by(|a, b| a.code == b.code && a.title == b.title && a.helps == b.helps);
    fixes
}
