//! `pgweir advise`: what would make slow statements fast, from what was counted of them and from the database itself.

pub mod connection;
mod text;
mod workload;
mod write;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;

use self::connection::Connection;
use self::write::Style;
use super::upstream::Open;
use crate::advice::{self, Advised, Limits, Nodes, Workload};
use crate::config::kinds::{Context, DURATION, Given, SIZE};
use crate::config::{self, Loaded, Settings, Sources};

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
    /// Whose statements of the store are looked at [default: those of the database that the URL names]
    #[arg(long, value_name = "NAME")]
    database: Option<String>,
    /// Write what is proposed to files of this folder
    #[arg(long, value_name = "DIR")]
    write: Option<PathBuf>,
    /// The form of files with SQL
    #[arg(long, value_enum, default_value_t = Style::Sql, requires = "write")]
    style: Style,
    /// Bytes of all indexes that are proposed
    #[arg(long, value_name = "SIZE", value_parser = size)]
    budget: Option<usize>,
    /// So many plans a second are asked for at most
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    explains_per_second: u32,
    /// How long it may take
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = time)]
    time: Duration,
    /// postgres://user:password@host1,host2/database; of several hosts, plans are asked of a standby
    #[arg(value_name = "URL")]
    url: String,
}

impl std::fmt::Debug for AdviseArgs {
    /// Without the URL, which may hold a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AdviseArgs").field("store", &self.store).finish_non_exhaustive()
    }
}

fn time(text: &str) -> Result<Duration, String> {
    DURATION.value(&Given::Word(text.to_owned()), &context())
}

fn size(text: &str) -> Result<usize, String> {
    SIZE.value(&Given::Word(text.to_owned()), &context())
}

fn context() -> Context<'static> {
    Context { folder: PathBuf::new(), env: &|_| None }
}

/// Prints advice, and writes it to files where that is asked for.
pub fn run<T: Open>(arguments: &AdviseArgs, servers: impl FnOnce(Settings) -> T) -> ExitCode {
    let sources = Sources { url: Some(arguments.url.clone()), ..Sources::default() };
    let settings = match config::load_with_origins(&sources) {
        Ok(Loaded { settings, .. }) => settings,
        Err(errors) => return super::refuse(&errors),
    };
    let done = async {
        let workload = read(arguments, &settings)?;
        let servers = servers(settings.clone());
        let advised = ask(arguments, &settings, &servers, &workload).await?;
        println!("{}", text::text(&advised, &workload));
        if let Some(folder) = &arguments.write {
            let written = write::write(folder, arguments.style, &advised.advice)
                .map_err(|error| format!("{}: {error}", folder.display()))?;
            written.iter().for_each(|path| println!("wrote {}", path.display()));
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

/// The statements to look at.
fn read(arguments: &AdviseArgs, settings: &Settings) -> Result<Workload, String> {
    if let Some(file) = &arguments.workload {
        return workload::of_file(file).map_err(|reason| format!("{}: {reason}", file.display()));
    }
    let named = settings.databases.keys().find(|name| *name != "*");
    let database = arguments.database.as_ref().or(named).ok_or(NO_DATABASE)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let since = now.saturating_sub(arguments.since).as_secs() as i64;
    let file = arguments.store.as_deref().ok_or("neither a store nor a workload is given")?;
    workload::of_store(file, database, since).map_err(|reason| format!("{}: {reason}", file.display()))
}

const NO_DATABASE: &str = "the URL names no database; write postgres://user:password@host/database";

/// Asks all nodes of the URL that answer.
async fn ask<T: Open>(
    arguments: &AdviseArgs,
    settings: &Settings,
    servers: &T,
    workload: &Workload,
) -> Result<Advised, String> {
    let limits = Limits {
        time: arguments.time,
        plans_per_second: f64::from(arguments.explains_per_second),
        bytes: arguments.budget.map_or(u64::MAX, |bytes| bytes as u64),
        ..Limits::default()
    };
    let (nodes, missing) = nodes(settings, servers, &limits).await?;
    let mut advised =
        advice::advise(workload, nodes, &limits).await.map_err(|refused| refused.to_string())?;
    advised.advice.notes.extend(missing);
    Ok(advised)
}

/// The primary and its standbys, and what could not be reached. Where there is no primary, a standby has to do for it.
async fn nodes<'a, T: Open>(
    settings: &'a Settings,
    servers: &'a T,
    limits: &Limits,
) -> Result<(Nodes<Connection<'a, T>>, Vec<String>), String> {
    let named = settings.databases.iter().find(|(name, _)| *name != "*");
    let (name, database) = named.ok_or(NO_DATABASE)?;
    let nobody = "the URL names no user; write postgres://user:password@host/database";
    let user = database.probe_users.first().ok_or(nobody)?;
    let (mut primary, mut standbys, mut notes) = (None, vec![], vec![]);
    for host in &database.hosts {
        match Connection::open(servers, name, host, user, limits.statement_timeout).await {
            Ok((connection, false)) if primary.is_none() => primary = Some(connection),
            Ok((connection, _)) => standbys.push(connection),
            Err(fault) => notes.push(format!("{host:?} cannot be asked: {fault}")),
        }
    }
    let primary = primary.or_else(|| {
        notes.push("no primary answers: what was written is counted by standbys".to_owned());
        (!standbys.is_empty()).then(|| standbys.remove(0))
    });
    match primary {
        Some(primary) => Ok((Nodes { primary, standbys }, notes)),
        None => Err(notes.join("; ")),
    }
}
