//! `pgweir advise`: what would make slow statements fast, from what was counted of them and from the database itself.

pub mod asking;
mod text;
pub mod workload;
mod write;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use self::asking::{Asking, time};
use self::write::Style;
use super::printed::{self, complain};
use super::upstream::Open;
use crate::advice::{Advice, Workload};
use crate::config::Settings;
use crate::report::{ids, json};
use crate::stats::calendar::now;
use crate::store::Place;

/// What `advise` takes.
#[derive(Args, Clone)]
pub struct AdviseArgs {
    /// The store of `run --store`; it may be in use. Of a fleet, the URL of `history.url` (`env:NAME` or `file:/path` hold it)
    #[arg(long, value_name = "FILE|URL", required_unless_present = "workload", conflicts_with = "workload")]
    store: Option<PathBuf>,
    /// Only what was sent through this pgweir (`history.instance`) [default: through all that write to the store]
    #[arg(long, value_name = "NAME", requires = "store")]
    instance: Option<String>,
    /// Statements in a file of JSON, instead of a store
    #[arg(long, value_name = "FILE")]
    workload: Option<PathBuf>,
    /// How far it goes back
    #[arg(long, value_name = "TIME", default_value = "1d", value_parser = time)]
    since: Duration,
    /// Write what is proposed to files of this folder
    #[arg(long, value_name = "DIR")]
    write: Option<PathBuf>,
    /// For whom what is printed is
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// The form of files with SQL
    #[arg(long, value_enum, default_value_t = Style::Sql, requires = "write")]
    style: Style,
    #[command(flatten)]
    asking: Asking,
    /// postgres://user:password@host1,host2/database; of several hosts, plans are asked of a standby
    #[arg(value_name = "URL")]
    url: String,
}

/// Forms of what is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For the terminal.
    Text,
    /// For programs.
    Json,
}

impl std::fmt::Debug for AdviseArgs {
    /// Without the URL, which may hold a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AdviseArgs").field("workload", &self.workload).finish_non_exhaustive()
    }
}

/// Prints advice, and writes it to files where that is asked for.
pub fn run<T: Open>(arguments: &AdviseArgs, servers: impl FnOnce(Settings) -> T) -> ExitCode {
    let settings = match asking::settings(&arguments.url) {
        Ok(settings) => settings,
        Err(errors) => return super::refuse(&errors),
    };
    match advised(arguments, &settings, servers) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            complain!("pgweir: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn advised<T: Open>(
    arguments: &AdviseArgs,
    settings: &Settings,
    servers: impl FnOnce(Settings) -> T,
) -> Result<(), String> {
    let store = arguments.store.as_deref().map(Place::named).transpose();
    let store = store.map_err(|reason| format!("--store: {reason}"))?;
    let workload = read(arguments, store.as_ref(), settings)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("no runtime: {error}"))?;
    let servers = servers(settings.clone());
    let mut advised = runtime.block_on(arguments.asking.ask(settings, &servers, &workload))?;
    if let Some(place) = &store {
        let database = arguments.asking.database(settings)?;
        let instance = arguments.instance.as_deref();
        let untold = place.note_plans_or_tell((database, instance), &advised.planned, now());
        advised.advice.notes.extend(untold);
    }
    let names = names(store.as_ref(), &advised.advice);
    // Before anything is printed: whoever reads that may leave.
    let written = arguments.write.as_ref().map(|folder| {
        let written = write::write(folder, arguments.style, &advised.advice);
        written.map_err(|error| format!("{}: {error}", folder.display()))
    });
    let text = match arguments.format {
        Format::Text => text::text(&advised, &workload, &names) + "\n",
        Format::Json => json::advice::text(&advised, &workload, &names),
    };
    printed::stdout().write_all(text.as_bytes()).map_err(|error| format!("standard output: {error}"))?;
    written.transpose()?.iter().flatten().for_each(|path| wrote(arguments.format, path));
    Ok(())
}

/// Tells of a file that was written, where it is not in the way of who reads what is printed.
fn wrote(format: Format, path: &Path) {
    match format {
        Format::Text => drop(writeln!(printed::stdout(), "wrote {}", path.display())),
        Format::Json => complain!("wrote {}", path.display()),
    }
}

/// Names of the fixes: those that the store gives, as reports have them; without one, or where it cannot be written, their places.
fn names(store: Option<&Place>, advice: &Advice) -> Vec<String> {
    let keys: Vec<u128> = advice.fixes.iter().map(ids::key).collect();
    let given = store.and_then(|place| place.of_fixes(&keys, now()).ok());
    let numbers = given.unwrap_or_else(|| (1..=keys.len() as u64).collect());
    numbers.into_iter().map(|number| format!("FIX-{number}")).collect()
}

/// The statements to look at.
fn read(arguments: &AdviseArgs, store: Option<&Place>, settings: &Settings) -> Result<Workload, String> {
    if let Some(file) = &arguments.workload {
        return workload::of_file(file).map_err(|reason| format!("{}: {reason}", file.display()));
    }
    let database = arguments.asking.database(settings)?;
    let since = now() - i64::try_from(arguments.since.as_secs()).unwrap_or(i64::MAX);
    let place = store.ok_or("neither a store nor a workload is given")?;
    let read = workload::of_store(place, database, since, arguments.instance.as_deref());
    read.map_err(|reason| format!("{place}: {reason}"))
}
