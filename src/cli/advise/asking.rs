//! Asking a database for advice, for every command that does: what may be said of it, and how it is done.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::advice::{self, Advised, Limits, Workload};
use crate::cli::upstream::Open;
use crate::config::kinds::{Context, DURATION, Given, SIZE};
use crate::config::settings::Host;
use crate::config::{self, ConfigError, Loaded, Settings, Sources};
use crate::control::advising::connection::{Way, nodes};
use crate::pool::connect::Connected;
use crate::wire::Fault;

/// What is asked, and what that may cost.
#[derive(Args, Clone, Debug)]
pub struct Asking {
    /// Whose statements are looked at [default: those of the database that the URL names]
    #[arg(long, value_name = "NAME", requires = "url")]
    pub database: Option<String>,
    /// Bytes of all indexes that are proposed
    #[arg(long, value_name = "SIZE", value_parser = size, requires = "url")]
    budget: Option<usize>,
    /// So many plans a second are asked for at most
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000), requires = "url")]
    explains_per_second: u32,
    /// How long it may take
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = time, requires = "url")]
    time: Duration,
}

/// A time with its unit.
///
/// # Errors
/// What is wrong with it.
pub fn time(text: &str) -> Result<Duration, String> {
    DURATION.value(&Given::Word(text.to_owned()), &context())
}

fn size(text: &str) -> Result<usize, String> {
    SIZE.value(&Given::Word(text.to_owned()), &context())
}

fn context() -> Context<'static> {
    Context { folder: PathBuf::new(), env: &|_| None }
}

/// The settings that a URL is.
///
/// # Errors
/// What is wrong with it.
pub fn settings(url: &str) -> Result<Settings, Vec<ConfigError>> {
    let sources = Sources { url: Some(url.to_owned()), ..Sources::default() };
    config::load_with_origins(&sources).map(|Loaded { settings, .. }| settings)
}

/// How one logs in to one host.
pub struct Login<'a, T> {
    /// What knows the way.
    pub servers: &'a T,
    /// The database.
    pub database: &'a str,
    /// The host.
    pub host: &'a Host,
    /// The user.
    pub user: &'a str,
}

impl<T: Open> Way for Login<'_, T> {
    async fn open(&self) -> Result<Connected, Fault> {
        self.servers.open(self.database, self.host, self.user).await
    }
}

impl Asking {
    /// Whose statements are looked at.
    ///
    /// # Errors
    /// When neither an option nor the URL names it.
    pub fn database<'a>(&'a self, settings: &'a Settings) -> Result<&'a str, String> {
        let named = settings.databases.keys().find(|name| *name != "*");
        self.database.as_ref().or(named).map(String::as_str).ok_or_else(|| NO_DATABASE.to_owned())
    }

    /// Asks all nodes of the URL that answer.
    ///
    /// # Errors
    /// When none of them can be asked, or the database cannot be read.
    pub async fn ask<T: Open>(
        &self,
        settings: &Settings,
        servers: &T,
        workload: &Workload,
    ) -> Result<Advised, String> {
        let limits = Limits {
            time: self.time,
            plans_per_second: f64::from(self.explains_per_second),
            bytes: self.budget.map_or(u64::MAX, |bytes| bytes as u64),
            ..Limits::default()
        };
        let named = settings.databases.iter().find(|(name, _)| *name != "*");
        let (database, known) = named.ok_or(NO_DATABASE)?;
        let nobody = "the URL names no user; write postgres://user:password@host/database";
        let user = known.probe_users.first().ok_or(nobody)?;
        let login = |host| (format!("{host}"), Login { servers, database, host, user });
        let (nodes, missing) = nodes(known.hosts.iter().map(login), &limits).await?;
        let advised = advice::advise(workload, nodes, &limits).await;
        let mut advised = advised.map_err(|refused| refused.to_string())?;
        advised.advice.notes.extend(missing);
        Ok(advised)
    }
}

const NO_DATABASE: &str = "the URL names no database; write postgres://user:password@host/database";
