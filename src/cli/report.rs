//! `pgweir report`: what to do first, what took the time, and where; from the store of a pgweir that runs or does not, a server's log, or its own sums.

use std::fs::File;
use std::io::{BufReader, IsTerminal as _, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::advise::asking::{self, Asking};
use super::advise::workload;
use super::printed::{self, complain};
use super::upstream::{self, Open};
use super::when::{When, duration, when};
use crate::advice::form::Planned;
use crate::advice::{Advice, Workload};
use crate::config::Settings;
use crate::pool::ask;
use crate::report::ids::Names;
use crate::report::log::{self, Log};
use crate::report::{Before, Origin, PARTS, Report, Scope, gate, json};
use crate::stats::calendar;
use crate::store::workload::Whose;
use crate::store::{Place, Trouble};

/// The status with which `--fail-on` fails.
const FOUND: u8 = 3;
/// The largest report that is read to compare with.
const MAX_REPORT: u64 = 64 << 20;

/// What `report` takes.
#[derive(Args, Clone)]
pub struct ReportArgs {
    #[command(flatten)]
    source: Source,
    /// Only what this pgweir has counted (`history.instance`) [default: all that write to the store]
    #[arg(long, value_name = "NAME", requires = "store")]
    instance: Option<String>,
    /// The server's log_line_prefix, when it is not one of the common ones
    #[arg(long, value_name = "PREFIX", conflicts_with_all = ["store", "pg_stat_statements"])]
    log_line_prefix: Option<String>,
    /// From when on: so long ago (1h), or a moment in UTC (2026-11-29 21:44) [default: 1h; of a log, all of it]
    #[arg(long, value_name = "TIME", value_parser = when)]
    since: Option<When>,
    /// Until when, written in the same way
    #[arg(long, value_name = "TIME", value_parser = when)]
    until: Option<When>,
    /// Say what changed: beside the same time so long before (1d), or beside a report in JSON
    #[arg(long, value_name = "TIME|FILE")]
    diff: Option<String>,
    /// For whom it is
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// So many statements are listed
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
    /// Fail (status 3) when the report has one of these, such as slower,new_statement; for CI
    #[arg(long, value_name = "CODE,...", value_parser = |text: &str| gate::parse(text).map(Codes))]
    fail_on: Option<Codes>,
    #[command(flatten)]
    asking: Asking,
    /// The database to ask what would help: postgres://user:password@host1,host2/database; nothing is created there
    #[arg(value_name = "URL", conflicts_with = "pg_stat_statements")]
    url: Option<String>,
}

/// What is to be read.
#[derive(Args, Clone)]
#[group(required = true, multiple = false)]
struct Source {
    /// The store of `run --store`; it may be in use. Of a fleet, the URL of `history.url` (`env:NAME` or `file:/path` hold it)
    #[arg(long, value_name = "FILE|URL")]
    store: Option<PathBuf>,
    /// A log of PostgreSQL (its own format, csvlog or jsonlog); - for standard input
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// A database with pg_stat_statements: postgres://user:password@host/database
    #[arg(long, value_name = "URL")]
    pg_stat_statements: Option<String>,
}

/// Codes of `--fail-on`.
#[derive(Debug, Clone)]
struct Codes(Vec<String>);

impl std::fmt::Debug for ReportArgs {
    /// Without the URL, which may hold a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReportArgs")
            .field("instance", &self.instance)
            .field("log", &self.source.log)
            .finish_non_exhaustive()
    }
}

/// Forms of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For the terminal, in a hundred columns; in colours on a terminal, unless NO_COLOR is set.
    Text,
    /// Markdown, for an issue or a merge request.
    Md,
    /// One file for a browser.
    Html,
    /// For programs.
    Json,
}

/// Prints the report. `servers` is how a database is reached.
pub fn run<T: Open>(arguments: &ReportArgs, servers: impl FnOnce(Settings) -> T) -> ExitCode {
    let said = made(arguments, servers).and_then(|report| {
        let found = arguments.fail_on.as_ref().map(|codes| report.found(&codes.0)).transpose()?;
        let text = match arguments.format {
            Format::Text => report.text(coloured()),
            Format::Md => report.markdown(),
            Format::Html => report.html(),
            Format::Json => report.json(),
        };
        printed::stdout().write_all(text.as_bytes()).map_err(|error| format!("standard output: {error}"))?;
        Ok(found.unwrap_or_default())
    });
    match said {
        Ok(found) if found.is_empty() => ExitCode::SUCCESS,
        Ok(found) => {
            for one in found {
                one.what.iter().for_each(|what| complain!("--fail-on {}: {what}", one.code));
            }
            ExitCode::from(FOUND)
        }
        Err(reason) => {
            complain!("{reason}");
            ExitCode::FAILURE
        }
    }
}

/// Whether colours are for somebody who sees them (no-color.org).
fn coloured() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    std::io::stdout().is_terminal() && !refused
}

/// The report that is asked for.
fn made<T: Open>(arguments: &ReportArgs, servers: impl FnOnce(Settings) -> T) -> Result<Report, String> {
    let now = calendar::now();
    let hour = When::Ago(Duration::from_secs(3600));
    let source = &arguments.source;
    let until = arguments.until.map_or(now, |until| until.at(now));
    let first = if source.log.is_some() { 0 } else { hour.at(until) };
    let since = arguments.since.map_or(first, |since| since.at(now));
    if since >= until {
        return Err("--since is not before --until".into());
    }
    if source.pg_stat_statements.is_some() && (arguments.since.is_some() || arguments.until.is_some()) {
        return Err(
            "pg_stat_statements has sums since its last reset only: leave out --since and --until".into()
        );
    }
    let mut report = match (&source.store, &source.log, &source.pg_stat_statements) {
        (Some(name), ..) => {
            let place = Place::named(name).map_err(|reason| format!("--store: {reason}"))?;
            return of_store(arguments, &place, (since, until), now, servers);
        }
        (_, Some(path), _) => of_log(arguments, path, (since, until), servers)?,
        (_, _, Some(url)) => of_server(arguments, url, servers)?,
        _ => return Err("name a --store, a --log or --pg-stat-statements".into()),
    };
    if let Some(diff) = &arguments.diff {
        let before =
            earlier(diff)?.ok_or("--diff takes a report in JSON here: only a store has the time before")?;
        report.beside(
            before,
            &mut Names::of_statements(&Default::default()),
            &mut Names::of_fixes(&Default::default()),
        );
    }
    Ok(report)
}

fn of_store<T: Open>(
    arguments: &ReportArgs,
    place: &Place,
    window: (i64, i64),
    now: i64,
    servers: impl FnOnce(Settings) -> T,
) -> Result<Report, String> {
    let instance = arguments.instance.as_deref();
    let history = place.between(window, PARTS, instance).map_err(|trouble| told(place, &trouble))?;
    let name = place.to_string();
    let scope = Scope { origin: Origin::Store, name, window, most: arguments.limit };
    let read = |database: &str| {
        workload::of_history(place, &history, window, Whose { database: Some(database), instance })
    };
    let keep =
        |database: &str, planned: &[Planned]| place.note_plans_or_tell((database, instance), planned, now);
    let asked = arguments.url.as_deref().map(|url| advice(arguments, url, read, keep, servers));
    let advice = asked.transpose()?;
    let mut report = Report::of(scope, &history, advice.as_ref());
    match place.samples(None, instance) {
        Ok(samples) => report.take_samples(&samples),
        Err(trouble) => {
            report.notes.push(format!("how times differ by values is not known: {}", trouble.reason()))
        }
    }
    let mut statements = Names::of_statements(&history.numbers);
    let mut fixes = fix_names(place, &mut report, now);
    report.named(&mut statements, &mut fixes);
    if let Some(diff) = &arguments.diff {
        let before = match earlier(diff)? {
            Some(before) => before,
            None => before_in(place, diff, window, instance)?,
        };
        report.beside(before, &mut statements, &mut fixes);
    }
    Ok(report)
}

/// Asks the database of a URL what would help; `read` gives the statements of a database of that name, and `keep` remembers the plans that were seen,
/// or tells why not.
fn advice<T: Open>(
    arguments: &ReportArgs,
    url: &str,
    read: impl FnOnce(&str) -> Result<Workload, String>,
    keep: impl FnOnce(&str, &[Planned]) -> Option<String>,
    servers: impl FnOnce(Settings) -> T,
) -> Result<Advice, String> {
    let settings = settings(url)?;
    let asking = &arguments.asking;
    let database = asking.database(&settings)?;
    let workload = read(database)?;
    let servers = servers(settings.clone());
    let mut advised = runtime()?.block_on(asking.ask(&settings, &servers, &workload))?;
    advised.advice.notes.extend(keep(database, &advised.planned));
    Ok(advised.advice)
}

fn settings(url: &str) -> Result<Settings, String> {
    asking::settings(url)
        .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

fn runtime() -> Result<tokio::runtime::Runtime, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| format!("no runtime: {error}"))
}

/// Those statements of a log, or of the server's sums, that are of a database, or of one that is not told.
fn only_of(mut workload: Workload, database: &str) -> Result<Workload, String> {
    let mut others: Vec<String> = vec![];
    workload.shapes.retain(|observed| {
        let is_of = |name: &str| name.is_empty() || name == database;
        let kept = observed.by.is_empty() || observed.by.iter().any(|(who, _)| is_of(&who.database));
        if !kept {
            others.extend(observed.by.iter().map(|(who, _)| who.database.clone()));
        }
        kept
    });
    others.sort();
    others.dedup();
    if workload.shapes.is_empty() && !others.is_empty() {
        return Err(format!(
            "it has no statement of the database {database:?}; name one of these with --database: {}",
            others.join(", ")
        ));
    }
    Ok(workload)
}

/// What is the matter with a store.
fn told(place: &Place, trouble: &Trouble) -> String {
    format!("{place}: {}", trouble.reason())
}

/// Names of fixes by the numbers that the store has, or gives. Where it cannot be written, they are made of what the fixes are, and that is told.
fn fix_names(place: &Place, report: &mut Report, now: i64) -> Names {
    let keys: Vec<u128> = report.fixes.iter().map(|one| one.key).collect();
    if keys.is_empty() {
        return Names::of_fixes(&Default::default());
    }
    match place.of_fixes(&keys, now) {
        Ok(numbers) => Names::of_fixes(&keys.into_iter().zip(numbers).collect()),
        Err(trouble) => {
            let reason = trouble.reason();
            report.notes.push(format!("fixes have no numbers, for the store cannot be written: {reason}"));
            Names::of_fixes(&Default::default())
        }
    }
}

/// An earlier report, if that is what is named.
fn earlier(diff: &str) -> Result<Option<Before>, String> {
    if duration(diff).is_ok() && !Path::new(diff).exists() {
        return Ok(None);
    }
    let told = |error: &dyn std::fmt::Display| format!("--diff {diff}: {error}");
    let mut text = String::new();
    let file = File::open(diff).map_err(|error| told(&error))?;
    let read = file.take(MAX_REPORT + 1).read_to_string(&mut text).map_err(|error| told(&error))?;
    if read as u64 > MAX_REPORT {
        return Err(told(&"it is larger than 64 MB"));
    }
    json::before(&text, diff.to_owned()).map(Some).map_err(|error| told(&error))
}

/// The same time, so long before.
fn before_in(
    place: &Place,
    diff: &str,
    (since, until): (i64, i64),
    instance: Option<&str>,
) -> Result<Before, String> {
    let by = duration(diff)?.as_secs() as i64;
    if by < until - since {
        return Err(format!(
            "--diff {diff} is shorter than the time that the report has: they would overlap"
        ));
    }
    let window = (since - by, until - by);
    let history = place.between(window, 0, instance).map_err(|trouble| told(place, &trouble))?;
    if history.counted.is_empty() {
        return Err(format!("--diff {diff}: nothing was counted then"));
    }
    let scope = Scope { window, most: usize::MAX, ..Scope::default() };
    Ok(Report::of(scope, &history, None).as_before(format!("the same time {diff} before")))
}

fn of_log<T: Open>(
    arguments: &ReportArgs,
    path: &Path,
    window: (i64, i64),
    servers: impl FnOnce(Settings) -> T,
) -> Result<Report, String> {
    let name = path.display().to_string();
    let prefix = arguments.log_line_prefix.as_deref();
    let read = if name == "-" {
        log::read(&mut BufReader::new(std::io::stdin()), prefix, window)
    } else {
        let file = File::open(path).map_err(|error| format!("{name}: {error}"))?;
        log::read(&mut BufReader::with_capacity(1 << 16, file), prefix, window)
    };
    let log = read.map_err(|reason| format!("{name}: {reason}"))?;
    let workload = log.workload.clone();
    let read = |database: &str| only_of(workload, database);
    let asked = arguments.url.as_deref().map(|url| advice(arguments, url, read, |_, _| None, servers));
    let advice = asked.transpose()?;
    Ok(of_foreign(arguments, log, (Origin::Log, name), advice.as_ref()))
}

fn of_server<T: Open>(
    arguments: &ReportArgs,
    url: &str,
    servers: impl FnOnce(Settings) -> T,
) -> Result<Report, String> {
    let settings = settings(url)?;
    let servers = servers(settings.clone());
    let runtime = runtime()?;
    let rows = runtime.block_on(async {
        let mut connected = upstream::any_host(&settings, &servers).await?;
        ask::rows(&mut connected, "BEGIN READ ONLY; SET LOCAL statement_timeout = '30s'").await?;
        ask::rows(&mut connected, log::STATEMENTS_QUERY).await
    });
    let rows = rows.map_err(|fault| {
        let hint = match fault.sqlstate.as_str() {
            "42P01" | "42883" => "CREATE EXTENSION pg_stat_statements, with it in shared_preload_libraries (PostgreSQL 14 or later)",
            _ => fault.hint.as_deref().unwrap_or_default(),
        };
        format!("pg_stat_statements: {fault}\n  {hint}")
    })?;
    let log = log::statements(&rows)?;
    let name = settings.databases.keys().find(|name| *name != "*").cloned().unwrap_or_default();
    Ok(of_foreign(arguments, log, (Origin::PgStatStatements, name), None))
}

/// A report of what was read elsewhere.
fn of_foreign(
    arguments: &ReportArgs,
    log: Log,
    (origin, name): (Origin, String),
    advice: Option<&Advice>,
) -> Report {
    let window = log.history.between.unwrap_or((0, 1));
    let scope = Scope { origin, name, window, most: arguments.limit };
    let mut report = Report::of(scope, &log.history, advice);
    report.take_plans(&log.plans);
    report.notes.extend(log.notes);
    report
}
