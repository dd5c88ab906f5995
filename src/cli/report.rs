//! `pgweir report`: what took the time, from the store of a pgweir that runs or does not.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;

use crate::config::kinds::{Context, DURATION, Given};
use crate::report::Report;
use crate::store::{Trouble, read};

/// What `report` takes.
#[derive(Args, Clone, Debug)]
pub struct ReportArgs {
    /// The store of `run --store`; it may be in use
    #[arg(long, value_name = "FILE")]
    store: PathBuf,
    /// How far it goes back
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = time)]
    since: Duration,
    /// For whom it is
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// So many statements are listed
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
}

/// Forms of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For the terminal.
    Text,
    /// For programs.
    Json,
}

fn time(text: &str) -> Result<Duration, String> {
    let context = Context { folder: PathBuf::new(), env: &|_| None };
    DURATION.value(&Given::Word(text.to_owned()), &context)
}

/// Prints the report.
pub fn run(arguments: &ReportArgs) -> ExitCode {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let since = now.saturating_sub(arguments.since).as_secs() as i64;
    let file = arguments.store.display().to_string();
    let history = match read::since(&arguments.store, since) {
        Ok(history) => history,
        Err(trouble) => {
            let (Trouble::Corrupt(reason) | Trouble::Standing(_, reason)) = trouble;
            eprintln!("{file}: {reason}");
            return ExitCode::FAILURE;
        }
    };
    let report = Report::of(file, since, &history, arguments.limit);
    let said = match arguments.format {
        Format::Text => report.text(),
        Format::Json => report.json(),
    };
    match std::io::stdout().write_all(said.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("standard output: {error}");
            ExitCode::FAILURE
        }
    }
}
