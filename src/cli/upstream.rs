//! `pgweir upstream`: the optional objects in a database, which tell streams what no row tells. Files with their undo in
//! `migrations/upstream/`, noted in `pgweir.installed`; all that is to be done is done in one transaction, or nothing is.

use std::io::{self, Write};

use clap::{Args, Subcommand};
use xxhash_rust::xxh3::xxh3_64;

use crate::config::Settings;
use crate::config::settings::Host;
use crate::pool::ask::{self, literal};
use crate::pool::connect::Connected;
use crate::wire::Fault;

/// What is done with the objects.
#[derive(Debug, Subcommand)]
pub enum UpstreamCommand {
    /// Install what is missing; needs a superuser, for event triggers.
    Install(UpstreamArgs),
    /// Say what is there; fails when something is missing or is another version.
    Status(UpstreamArgs),
    /// Drop all of it.
    Uninstall(UpstreamArgs),
}

/// What each takes.
#[derive(Args, Clone)]
pub struct UpstreamArgs {
    /// postgres://user:password@host/database; of several hosts, the primary
    #[arg(value_name = "URL")]
    pub url: String,
}

impl std::fmt::Debug for UpstreamArgs {
    /// Without the URL, which may hold a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UpstreamArgs").finish_non_exhaustive()
    }
}

impl UpstreamCommand {
    /// What it was given.
    pub fn arguments(&self) -> &UpstreamArgs {
        match self {
            UpstreamCommand::Install(arguments)
            | UpstreamCommand::Status(arguments)
            | UpstreamCommand::Uninstall(arguments) => arguments,
        }
    }
}

/// A way to one host of a database.
pub trait Open {
    /// Logs in there.
    ///
    /// # Errors
    /// As the server gives them.
    fn open(
        &self,
        database: &str,
        host: &Host,
        user: &str,
    ) -> impl Future<Output = Result<Connected, Fault>> + Send;
}

/// A file and its undo.
struct Migration {
    name: &'static str,
    up: &'static str,
    down: &'static str,
}

macro_rules! migration {
    ($name:literal) => {
        Migration {
            name: $name,
            up: include_str!(concat!("../../migrations/upstream/", $name, ".up.sql")),
            down: include_str!(concat!("../../migrations/upstream/", $name, ".down.sql")),
        }
    };
}

/// In the order in which they are installed. What is noted of the others stands in the first.
const MIGRATIONS: [Migration; 3] =
    [migration!("001_schema"), migration!("002_definitions"), migration!("003_publication")];

/// One at a time in each database: "pgwe", and this.
const LOCK: &str = "SELECT pg_catalog.pg_advisory_xact_lock(1885828965, 0)";
const INSTALLED: &str = "SELECT name, digest FROM pgweir.installed";
/// What to do about a refusal.
const SUPERUSER: &str =
    "event triggers are made by a superuser, or by whom your provider lets make them: name one in the URL";
const IS_THERE: &str = "SELECT pg_catalog.to_regclass('pgweir.installed') IS NOT NULL";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Installed,
    OtherVersion,
    Missing,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            State::Installed => "installed",
            State::OtherVersion => "another version: uninstall it, and install it again",
            State::Missing => "missing",
        }
    }
}

impl Migration {
    fn digest(&self) -> String {
        format!("{:016x}", xxh3_64(self.up.as_bytes()))
    }

    /// By the names and digests that are noted.
    fn state(&self, noted: &[(String, String)]) -> State {
        match noted.iter().find(|(name, _)| name == self.name) {
            Some((_, digest)) if *digest == self.digest() => State::Installed,
            Some(_) => State::OtherVersion,
            None => State::Missing,
        }
    }

    /// In the transaction that is open.
    async fn install(&self, connected: &mut Connected) -> Result<(), Fault> {
        let (name, digest) = (literal(self.name), literal(&self.digest()));
        let note = format!("INSERT INTO pgweir.installed (name, digest) VALUES ({name}, {digest})");
        ask::rows(connected, &format!("{}; {note}", self.up)).await.map(drop)
    }

    /// In the transaction that is open.
    async fn uninstall(&self, connected: &mut Connected) -> Result<(), Fault> {
        let forget = format!("DELETE FROM pgweir.installed WHERE name = {}", literal(self.name));
        ask::rows(connected, &format!("{forget}; {}", self.down)).await.map(drop)
    }
}

/// Does what was asked for; says whether all is well.
///
/// # Errors
/// Those of `out`; those of the server are told there.
pub async fn run(
    command: &UpstreamCommand,
    settings: &Settings,
    servers: &impl Open,
    out: &mut impl Write,
) -> io::Result<bool> {
    let mut told = vec![];
    let done = async {
        let mut connected = primary(settings, servers).await?;
        match command {
            UpstreamCommand::Status(_) => status(&mut connected, &mut told).await,
            UpstreamCommand::Install(_) | UpstreamCommand::Uninstall(_) => {
                change(command, &mut connected, &mut told).await
            }
        }
    };
    let done = done.await;
    for line in told {
        writeln!(out, "{line}")?;
    }
    match done {
        Ok(well) => Ok(well),
        Err(fault) => {
            writeln!(out, "error: {fault}")?;
            fault.hint.iter().try_for_each(|hint| writeln!(out, "  {hint}"))?;
            Ok(false)
        }
    }
}

/// The primary of the only database of a URL, as its user.
async fn primary(settings: &Settings, servers: &impl Open) -> Result<Connected, Fault> {
    suitable(settings, servers, true).await
}

/// Any host of the only database of a URL, as its user.
///
/// # Errors
/// When the URL names no database, no user or no host, and as the last of its hosts answers.
pub async fn any_host(settings: &Settings, servers: &impl Open) -> Result<Connected, Fault> {
    suitable(settings, servers, false).await
}

async fn suitable(settings: &Settings, servers: &impl Open, primary: bool) -> Result<Connected, Fault> {
    let nobody = || {
        Fault::error("28000", "the URL names no database or no user")
            .hint("postgres://user:password@host/database")
    };
    let named = settings.databases.iter().find(|(name, _)| *name != "*");
    let (name, database) = named.ok_or_else(nobody)?;
    let user = database.probe_users.first().ok_or_else(nobody)?;
    let mut last = Fault::error("08001", "the URL names no host");
    for host in &database.hosts {
        let mut connected = match servers.open(name, host, user).await {
            Ok(connected) => connected,
            Err(fault) => {
                last = fault;
                continue;
            }
        };
        if !primary
            || first(&mut connected, "SELECT pg_catalog.pg_is_in_recovery()").await?.as_deref() == Some("f")
        {
            return Ok(connected);
        }
        last = Fault::error("25006", "the server is a standby").hint("name the primary in the URL");
    }
    Err(last)
}

async fn first(connected: &mut Connected, sql: &str) -> Result<Option<String>, Fault> {
    Ok(ask::rows(connected, sql).await?.into_iter().next().and_then(|row| row.into_iter().next().flatten()))
}

/// Names and digests of what is there.
async fn noted(connected: &mut Connected) -> Result<Vec<(String, String)>, Fault> {
    if first(connected, IS_THERE).await?.as_deref() != Some("t") {
        return Ok(vec![]);
    }
    let rows = ask::rows(connected, INSTALLED).await?;
    Ok(rows.into_iter().filter_map(|row| Some((row.first()?.clone()?, row.get(1)?.clone()?))).collect())
}

/// Installs or drops in one transaction. When it fails, the connection is closed, and the server undoes what was done.
async fn change(
    command: &UpstreamCommand,
    connected: &mut Connected,
    told: &mut Vec<String>,
) -> Result<bool, Fault> {
    let mut done = vec![];
    let changed = async {
        ask::rows(connected, &format!("BEGIN; {LOCK}")).await?;
        let well = match command {
            UpstreamCommand::Uninstall(_) => uninstall(connected, &mut done).await?,
            _ => install(connected, &mut done).await?,
        };
        ask::rows(connected, "COMMIT").await?;
        Ok(well)
    };
    let changed = changed.await.map_err(|fault: Fault| match fault.sqlstate.as_str() {
        "42501" => fault.hint(SUPERUSER),
        _ => fault,
    });
    match &changed {
        Ok(_) => told.append(&mut done),
        // Whether a COMMIT that is not answered was done is not known.
        Err(fault) if fault.sqlstate.starts_with("08") => {}
        Err(_) => told.push("nothing has changed: all of it is one transaction, which is undone".to_owned()),
    }
    changed
}

async fn install(connected: &mut Connected, told: &mut Vec<String>) -> Result<bool, Fault> {
    let noted = noted(connected).await?;
    let mut well = true;
    for migration in &MIGRATIONS {
        let state = migration.state(&noted);
        match state {
            State::Missing => {
                migration.install(connected).await?;
                told.push(format!("{}: installed now", migration.name));
            }
            State::Installed => told.push(format!("{}: installed", migration.name)),
            State::OtherVersion => {
                well = false;
                told.push(format!("{}: {}", migration.name, state.name()));
            }
        }
    }
    told.extend(remark(connected));
    Ok(well)
}

async fn status(connected: &mut Connected, told: &mut Vec<String>) -> Result<bool, Fault> {
    let noted = noted(connected).await?;
    let states = MIGRATIONS.map(|migration| (migration.name, migration.state(&noted)));
    told.extend(states.map(|(name, state)| format!("{name}: {}", state.name())));
    told.extend(remark(connected));
    Ok(states.iter().all(|(_, state)| *state == State::Installed))
}

async fn uninstall(connected: &mut Connected, told: &mut Vec<String>) -> Result<bool, Fault> {
    let noted = noted(connected).await?;
    for migration in MIGRATIONS.iter().rev() {
        if migration.state(&noted) == State::Missing {
            told.push(format!("{}: not installed", migration.name));
        } else {
            migration.uninstall(connected).await?;
            told.push(format!("{}: uninstalled", migration.name));
        }
    }
    Ok(true)
}

fn remark(connected: &Connected) -> Option<String> {
    let old = connected.major_version().is_some_and(|version| version < 14);
    old.then(|| {
        "remark: PostgreSQL before 14 does not send messages, so changes of definitions are not told"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_is_known_again() {
        let one = &MIGRATIONS[1];
        assert_eq!(one.state(&[]), State::Missing);
        assert_eq!(one.state(&[(one.name.to_owned(), one.digest())]), State::Installed);
        assert_eq!(one.state(&[(one.name.to_owned(), "0".to_owned())]), State::OtherVersion);
    }

    #[test]
    fn every_object_has_its_undo() {
        for migration in &MIGRATIONS {
            let made: Vec<&str> = objects(migration.up, "CREATE ").collect();
            let dropped: Vec<&str> = objects(migration.down, "DROP ").collect();
            assert!(!made.is_empty());
            for object in &made {
                assert!(
                    dropped.contains(object),
                    "{}: {object} is not dropped by {dropped:?}",
                    migration.name
                );
            }
            assert_eq!(made.len(), dropped.len(), "{}", migration.name);
        }
    }

    /// Names of what lines make or drop.
    fn objects<'a>(sql: &'a str, verb: &'static str) -> impl Iterator<Item = &'a str> {
        let lines = sql.lines().filter_map(move |line| line.strip_prefix(verb));
        lines.filter_map(|line| {
            let rest = ["EVENT TRIGGER ", "FUNCTION ", "TABLE ", "SCHEMA "]
                .iter()
                .find_map(|kind| line.strip_prefix(kind))?;
            rest.split([' ', '(', ';']).next()
        })
    }
}
