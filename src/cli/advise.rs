//! `pgweir advise`: what would make slow statements fast, from what was counted of them and from the database itself.

pub mod asking;
mod text;
pub mod workload;
mod write;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;

use self::asking::{Asking, time};
use self::write::Style;
use super::upstream::Open;
use crate::advice::{Advice, Workload};
use crate::config::Settings;
use crate::report::{ids, json};
use crate::store::{numbers, plans};

/// What `advise` takes.
#[derive(Args, Clone)]
pub struct AdviseArgs {
    /// The store of `run --store`; it may be in use
    #[arg(long, value_name = "FILE", required_unless_present = "workload", conflicts_with = "workload")]
    store: Option<PathBuf>,
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
        f.debug_struct("AdviseArgs").field("store", &self.store).finish_non_exhaustive()
    }
}

/// Prints advice, and writes it to files where that is asked for.
pub fn run<T: Open>(arguments: &AdviseArgs, servers: impl FnOnce(Settings) -> T) -> ExitCode {
    let settings = match asking::settings(&arguments.url) {
        Ok(settings) => settings,
        Err(errors) => return super::refuse(&errors),
    };
    let done = async {
        let workload = read(arguments, &settings)?;
        let servers = servers(settings.clone());
        let mut advised = arguments.asking.ask(&settings, &servers, &workload).await?;
        if let Some(file) = &arguments.store {
            let database = arguments.asking.database(&settings)?;
            let untold = plans::note_or_tell(file, database, &advised.planned, now());
            advised.advice.notes.extend(untold);
        }
        let names = names(arguments, &advised.advice);
        match arguments.format {
            Format::Text => println!("{}", text::text(&advised, &workload, &names)),
            Format::Json => print!("{}", json::advice::text(&advised, &workload, &names)),
        }
        if let Some(folder) = &arguments.write {
            let written = write::write(folder, arguments.style, &advised.advice)
                .map_err(|error| format!("{}: {error}", folder.display()))?;
            written.iter().for_each(|path| wrote(arguments.format, path));
        }
        Ok::<(), String>(())
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.map_err(|error| format!("no runtime: {error}")).and_then(|runtime| runtime.block_on(done)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("pgweir: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// Tells of a file that was written, where it is not in the way of who reads what is printed.
fn wrote(format: Format, path: &Path) {
    match format {
        Format::Text => println!("wrote {}", path.display()),
        Format::Json => eprintln!("wrote {}", path.display()),
    }
}

/// Names of the fixes: those that the store gives, as reports have them; without one, or where it cannot be written, their places.
fn names(arguments: &AdviseArgs, advice: &Advice) -> Vec<String> {
    let keys: Vec<u128> = advice.fixes.iter().map(ids::key).collect();
    let given = arguments.store.as_ref().and_then(|file| numbers::of_fixes(file, &keys, now()).ok());
    let numbers = given.unwrap_or_else(|| (1..=keys.len() as u64).collect());
    numbers.into_iter().map(|number| format!("FIX-{number}")).collect()
}

/// Seconds since 1970.
fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() as i64
}

/// The statements to look at.
fn read(arguments: &AdviseArgs, settings: &Settings) -> Result<Workload, String> {
    if let Some(file) = &arguments.workload {
        return workload::of_file(file).map_err(|reason| format!("{}: {reason}", file.display()));
    }
    let database = arguments.asking.database(settings)?;
    let since = now() - i64::try_from(arguments.since.as_secs()).unwrap_or(i64::MAX);
    let file = arguments.store.as_deref().ok_or("neither a store nor a workload is given")?;
    workload::of_store(file, database, since).map_err(|reason| format!("{}: {reason}", file.display()))
}
