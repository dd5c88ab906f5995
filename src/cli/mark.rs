//! `pgweir mark`: says that something was deployed, for the pictures of reports.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::printed::complain;
use super::when::{When, when};
use crate::stats::calendar;
use crate::store::Place;
use crate::store::marks::Mark;

/// What `mark` takes.
#[derive(Args, Clone, Debug)]
pub struct MarkArgs {
    /// What was deployed, such as v1.2.3; 200 characters at most
    #[arg(value_name = "TEXT")]
    text: String,
    /// The store of `run --store`; it may be in use. Of a fleet, `env:NAME` or `file:/path` that hold the URL of `history.url`, or the URL
    #[arg(long, value_name = "FILE|URL")]
    store: Store,
    /// When: so long ago (10m), or a moment in UTC (2026-11-29 21:44) [default: now]
    #[arg(long, value_name = "TIME", value_parser = when)]
    at: Option<When>,
    /// Of this pgweir only (`history.instance`) [default: of all that write to the store]
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    instance: String,
}

/// Where the store is; a URL may hold a password.
#[derive(Clone)]
struct Store(PathBuf);

impl From<String> for Store {
    fn from(name: String) -> Store {
        Store(name.into())
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Store")
    }
}

/// Marks the moment.
pub fn run(arguments: &MarkArgs) -> ExitCode {
    match marked(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            complain!("{reason}");
            ExitCode::FAILURE
        }
    }
}

fn marked(arguments: &MarkArgs) -> Result<(), String> {
    let now = calendar::now();
    let at = arguments.at.map_or(now, |at| at.at(now));
    if at > now {
        return Err("--at is in the future".to_owned());
    }
    let mark = Mark::deploy(&arguments.text, at, &arguments.instance)?;
    let place = Place::named(&arguments.store.0).map_err(|reason| format!("--store: {reason}"))?;
    // A name that was mistyped is not to become a history.
    if let Place::File(path) = &place
        && !path.exists()
    {
        return Err(format!("{place}: there is no such file; `pgweir run --store` makes it"));
    }
    place.mark(&mark).map_err(|trouble| format!("{place}: {}", trouble.reason()))
}
