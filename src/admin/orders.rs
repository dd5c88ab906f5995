//! What the console's commands do: orders to all workers, and waiting until they are carried out.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::command::{Command, loggable};
use super::{Admin, Demand, Snapshot, Wait, cache};
use crate::runtime::worker::{KillOrder, Order, PoolOrder};
use crate::stats::calendar::now;
use crate::store::marks::Mark;
use crate::wire::Fault;

/// How often it is looked whether servers have come to rest.
const STEP: Duration = Duration::from_millis(20);

/// Carries out a command that changes something; gives its tag. What the user should know goes to `told`.
///
/// # Errors
/// What the command names does not exist, or did not come to rest in time.
pub async fn obey(admin: &Admin, command: Command, told: &mut Vec<String>) -> Result<&'static str, Fault> {
    match command {
        Command::Pause(database) => pause(admin, database).await.map(|()| "PAUSE"),
        Command::Resume(database) => order(admin, PoolOrder::Resume, database).map(|()| "RESUME"),
        Command::Reconnect(database) => order(admin, PoolOrder::Reconnect, database).map(|()| "RECONNECT"),
        Command::WaitClose(database) => {
            known(admin, database.as_deref())?;
            wait_until_none(admin, database.as_deref(), old).await.map(|()| "WAIT_CLOSE")
        }
        Command::Kill(database) => kill(admin, database).map(|()| "KILL"),
        Command::KillClient(id) => kill_client(admin, &id).await.map(|()| "KILL_CLIENT"),
        Command::Disable(database, disabled) => {
            known(admin, Some(&database))?;
            admin.entrance.set_disabled(&database, disabled);
            Ok(if disabled { "DISABLE" } else { "ENABLE" })
        }
        Command::Mark(text) => mark(admin, &text).await.map(|()| "MARK"),
        Command::Reload => {
            *told = reload(admin).await?;
            Ok("RELOAD")
        }
        Command::Shutdown(wait) => {
            let (begun, stopping) = oneshot::channel();
            let _ = admin.demands.send(Demand::Stop(wait, begun));
            if wait != Wait::No {
                let _ = stopping.await;
            }
            Ok("SHUTDOWN")
        }
        Command::CacheFlush(table) => cache::flush(&admin.shared, table.as_ref()).map(|()| "CACHE FLUSH"),
        Command::CacheBarrier => cache::barrier(&admin.shared.caches).await.map(|()| "CACHE BARRIER"),
        Command::Show(_) | Command::Explain(_) | Command::CacheEntries(..) | Command::Block(..) => Ok("SHOW"),
    }
}

fn known(admin: &Admin, database: Option<&str>) -> Result<(), Fault> {
    match database {
        Some(name) if admin.entrance.directory().database(name).is_none() => {
            Err(Fault::error("3D000", format!("no such database: \"{name}\""))
                .hint("SHOW DATABASES lists them"))
        }
        _ => Ok(()),
    }
}

fn order(admin: &Admin, order: PoolOrder, database: Option<String>) -> Result<(), Fault> {
    known(admin, database.as_deref())?;
    give(admin, order, database);
    Ok(())
}

/// Gives an order to the pools of a database, or to all.
pub(super) fn give(admin: &Admin, order: PoolOrder, database: Option<String>) {
    let shown = database.as_deref().map_or("(all)".to_owned(), loggable);
    tracing::info!(?order, database = shown, "pools were ordered");
    send(admin, order, database);
}

fn send(admin: &Admin, order: PoolOrder, database: Option<String>) {
    admin.paused().note(order, database.as_deref());
    admin.entrance.workers.iter().for_each(|worker| worker.send(Order::Pools(order, database.clone())));
}

/// Lends no more servers, and returns when those that were lent have come back and are closed.
async fn pause(admin: &Admin, database: Option<String>) -> Result<(), Fault> {
    order(admin, PoolOrder::Pause, database.clone())?;
    wait_until_none(admin, database.as_deref(), live).await
}

/// Ends its sessions, and holds new ones until RESUME.
fn kill(admin: &Admin, database: Option<String>) -> Result<(), Fault> {
    known(admin, database.as_deref())?;
    let shown = database.as_deref().map_or("(all)".to_owned(), loggable);
    tracing::info!(
        order = "Kill",
        database = shown,
        "sessions were ended, and pools are paused until RESUME"
    );
    send(admin, PoolOrder::Pause, database.clone());
    let which = database.map_or(KillOrder::All, KillOrder::Database);
    admin.entrance.workers.iter().for_each(|worker| worker.send(Order::Kill(which.clone())));
    Ok(())
}

async fn kill_client(admin: &Admin, id: &str) -> Result<(), Fault> {
    let snapshot = admin.snapshot().await;
    let pid = id.parse().ok().filter(|pid| snapshot.clients.iter().any(|client| client.pid == *pid));
    let Some(pid) = pid else {
        return Err(
            Fault::error("22023", format!("no client has the id {id}")).hint("SHOW CLIENTS lists them")
        );
    };
    admin.entrance.workers.iter().for_each(|worker| worker.send(Order::Kill(KillOrder::Session(pid))));
    Ok(())
}

/// Marks this moment in the history: pictures show it.
async fn mark(admin: &Admin, text: &str) -> Result<(), Fault> {
    let view = admin.history.view();
    let mark = Mark::deploy(text, now(), &view.instance).map_err(|reason| Fault::error("22023", reason))?;
    let Some((place, _)) = view.store else {
        return Err(Fault::error("55000", "no history is kept that could be marked")
            .hint("start pgweir with --store, or set store or url under [history]"));
    };
    let name = place.to_string();
    let written = tokio::task::spawn_blocking(move || place.mark(&mark)).await;
    match written {
        Ok(Ok(())) => Ok(()),
        Ok(Err(trouble)) => {
            Err(Fault::error("58030", format!("{name} cannot be written: {}", trouble.reason()))
                .hint("SHOW STORE says how it is"))
        }
        Err(_) => Err(Fault::error("57P03", "pgweir is shutting down")),
    }
}

async fn reload(admin: &Admin) -> Result<Vec<String>, Fault> {
    let (answer, outcome) = oneshot::channel();
    let _ = admin.demands.send(Demand::Reload(answer));
    match outcome.await {
        Ok(Ok(waiting)) => Ok(waiting),
        Ok(Err(errors)) if admin.entrance.draining.load(Ordering::Relaxed) => {
            Err(Fault::error("57P03", errors.join("\n")))
        }
        Ok(Err(errors)) => Err(Fault::error("F0000", "settings or rules are wrong; nothing was changed")
            .detail(errors.join("\n"))),
        Err(_) => Err(Fault::error("57P03", "pgweir is shutting down")),
    }
}

/// Servers of a database that are there or being made.
fn live(snapshot: &Snapshot, database: Option<&str>) -> usize {
    let chosen = snapshot.pools.iter().filter(|((name, _), _)| database.is_none_or(|wanted| name == wanted));
    chosen
        .map(|(_, pool)| {
            pool.report.leased + pool.report.idle + pool.report.cancelling + pool.report.connecting
        })
        .sum()
}

/// Servers of a database that are closed when they are given back.
fn old(snapshot: &Snapshot, database: Option<&str>) -> usize {
    let chosen = snapshot.pools.iter().filter(|((name, _), _)| database.is_none_or(|wanted| name == wanted));
    chosen.map(|(_, pool)| pool.report.old).sum()
}

async fn wait_until_none(
    admin: &Admin,
    database: Option<&str>,
    count: fn(&Snapshot, Option<&str>) -> usize,
) -> Result<(), Fault> {
    let patience = admin.entrance.directory().settings.limits.drain_timeout;
    let until = Instant::now() + patience;
    loop {
        let left = count(&admin.snapshot().await, database);
        if left == 0 {
            return Ok(());
        }
        if Instant::now() >= until {
            let text = format!("{left} servers are still in use after {patience:?} (drain_timeout)");
            return Err(
                Fault::error("57014", text).hint("the order stays in force; RESUME takes back a PAUSE")
            );
        }
        tokio::time::sleep(STEP).await;
    }
}
