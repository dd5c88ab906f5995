//! `pgweir load`: an application at work on the sample shop, with problems planted in it for the report to find.
//!
//! It is a client like any other, and of nothing but the shop: it refuses a server that is not on this machine, and a database that is not the
//! shop's. It is bounded in time, in connections and in statements a second.

mod client;
mod problems;

use std::io::{self, Write};
use std::time::{Duration, Instant};

use clap::Args;

use self::client::Client;
use self::problems::Problem;
use crate::cli::upstream::Open;
use crate::config::Settings;
use crate::config::settings::Host;
use crate::wire::Fault;

/// Connections.
const CLIENTS: u64 = 4;
/// Each of them begins a round so often, at most.
const ROUND: Duration = Duration::from_millis(100);
/// Whether a database is the sample shop: what `demo.sql` says of its events.
const IS_SHOP: &str =
    "SELECT pg_catalog.obj_description(pg_catalog.to_regclass('public.events')) LIKE '%on purpose%'";

/// What `load` takes.
#[derive(Args, Clone)]
pub struct LoadArgs {
    /// The shop, through pgweir: postgres://demo:password@127.0.0.1:6432/shop
    #[arg(value_name = "URL")]
    pub url: String,
    /// How long
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Problems of the application that somebody has repaired
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PROBLEM,...")]
    repaired: Vec<Problem>,
}

impl std::fmt::Debug for LoadArgs {
    /// Without the URL, which may hold a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoadArgs").field("seconds", &self.seconds).finish_non_exhaustive()
    }
}

/// What was done.
#[derive(Debug, Default)]
struct Done {
    statements: u64,
    refused: u64,
    /// What the first of these said.
    first: Option<Fault>,
}

/// Puts load on the shop for as long as it was told; says whether all went well.
///
/// # Errors
/// Those of `out`; those of the server are told there.
pub async fn run(
    arguments: &LoadArgs,
    settings: &Settings,
    servers: &impl Open,
    out: &mut impl Write,
) -> io::Result<bool> {
    match work(arguments, settings, servers).await {
        Ok(done) => {
            writeln!(out, "load: {} statements in {} s", done.statements, arguments.seconds)?;
            let Some(fault) = done.first else { return Ok(true) };
            writeln!(out, "error: {} were refused, the first with: {fault}", done.refused)?;
            Ok(false)
        }
        Err(fault) => {
            writeln!(out, "error: {fault}")?;
            fault.hint.iter().try_for_each(|hint| writeln!(out, "  {hint}"))?;
            Ok(false)
        }
    }
}

async fn work(arguments: &LoadArgs, settings: &Settings, servers: &impl Open) -> Result<Done, Fault> {
    let mut first = enter(settings, servers).await?;
    if first.value(IS_SHOP, &[]).await?.as_deref() != Some("t") {
        return Err(Fault::error("3D000", "this is not the sample shop: load is for `pgweir demo` only"));
    }
    problems::plant(&mut first).await?;
    let begun = Instant::now();
    let time = Duration::from_secs(arguments.seconds);
    let workers = (0..CLIENTS).map(|number| async move {
        let mut client = enter(settings, servers).await?;
        client.run(&format!("SET application_name = '{}'", problems::application(number)), &[]).await?;
        one(&mut client, number, begun, time, &arguments.repaired).await
    });
    let mut all = Done::default();
    for done in futures(workers).await {
        let done = done?;
        all.statements += done.statements;
        all.refused += done.refused;
        all.first = all.first.or(done.first);
    }
    Ok(all)
}

/// One client, round after round.
async fn one(
    client: &mut Client,
    number: u64,
    begun: Instant,
    time: Duration,
    repaired: &[Problem],
) -> Result<Done, Fault> {
    let mut done = Done::default();
    for round in 0.. {
        let next = begun + ROUND * round + ROUND * number as u32 / CLIENTS as u32;
        tokio::time::sleep_until(next.into()).await;
        let elapsed = begun.elapsed();
        if elapsed >= time {
            break;
        }
        let grown = elapsed * 3 >= time;
        let at = problems::Round { number: u64::from(round) * CLIENTS + number, grown, repaired };
        match at.run(client).await {
            Ok(()) => {}
            Err(fault) if fault.sqlstate.starts_with("08") => return Err(fault),
            Err(fault) => {
                done.refused += 1;
                done.first.get_or_insert(fault);
                client.run("ROLLBACK", &[]).await?;
            }
        }
    }
    done.statements = client.asked();
    Ok(done)
}

/// A connection to the only database of the URL.
async fn enter(settings: &Settings, servers: &impl Open) -> Result<Client, Fault> {
    let nobody = || {
        Fault::error("28000", "the URL names no database or no user")
            .hint("postgres://demo:password@127.0.0.1:6432/shop")
    };
    let (name, database) = settings.databases.iter().find(|(name, _)| *name != "*").ok_or_else(nobody)?;
    let user = database.probe_users.first().ok_or_else(nobody)?;
    let host = database.hosts.first().ok_or_else(nobody)?;
    if !is_here(host) {
        return Err(Fault::error("08001", "load is for a server on this machine only"));
    }
    servers.open(name, host, user).await.map(Client::new)
}

fn is_here(host: &Host) -> bool {
    match host {
        Host::Unix(..) => true,
        Host::Tcp(name, _) => {
            name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        }
    }
}

/// Runs all to their ends, in this task.
async fn futures<T>(all: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut waiting: Vec<_> = all.map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        for (future, done) in waiting.iter_mut().filter(|(_, done)| done.is_none()) {
            if let std::task::Poll::Ready(value) = future.as_mut().poll(context) {
                *done = Some(value);
            }
        }
        match waiting.iter().all(|(_, done)| done.is_some()) {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
    .await;
    waiting.into_iter().filter_map(|(_, done)| done).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::Servers;
    use crate::cli::demo::Demo;
    use crate::config::{self, Sources};

    fn loaded(url: &str, seconds: u64, repaired: Vec<Problem>) -> (bool, String) {
        let sources = Sources { url: Some(url.to_owned()), ..Sources::default() };
        let settings = config::load(&sources).expect("good settings");
        let arguments = LoadArgs { url: url.to_owned(), seconds, repaired };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let mut out = vec![];
        let servers = Servers::of(settings.clone());
        let well = runtime.block_on(run(&arguments, &settings, &servers, &mut out)).expect("it is said");
        (well, String::from_utf8(out).expect("text"))
    }

    #[test]
    fn only_this_machine_gets_load() {
        let (well, said) = loaded("postgres://demo:secret@192.0.2.1:5432/shop", 1, vec![]);
        assert!(!well && said.contains("on this machine only"), "{said}");
        assert!(!said.contains("secret"));
    }

    #[test]
    fn only_the_shop_gets_load_and_each_problem_is_in_it() {
        let demo = Demo::start().expect("a demo");
        let elsewhere = demo.url().replace("/shop", "/postgres");
        let (well, said) = loaded(&elsewhere, 1, vec![]);
        assert!(!well && said.contains("not the sample shop"), "{said}");

        let (well, said) = loaded(&demo.url(), 3, vec![]);
        assert!(well, "{said}");
        let count = |what: &str| -> u64 {
            let sql =
                format!("SELECT coalesce(sum(calls), 0) FROM pg_stat_statements WHERE query LIKE '{what}'");
            demo.psql_value("shop", &sql).parse().expect("a number")
        };
        let before: Vec<u64> = problems::MARKS.iter().map(|(_, mark)| count(mark)).collect();
        assert!(before.iter().all(|calls| *calls > 0), "{:?} of {before:?}", problems::MARKS);
        // Forty for each list.
        assert!(before[1] >= 40, "{before:?}");

        let (well, said) = loaded(&demo.url(), 2, vec![Problem::NPlusOne, Problem::Cast]);
        assert!(well, "{said}");
        assert_eq!(count(problems::MARKS[1].1), before[1], "no more of the lookups");
    }
}
