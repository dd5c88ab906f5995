//! Whether a client would be served: a server has been logged in to, or can be.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use super::Admin;
use crate::config::Settings;
use crate::config::settings::{Database, Host};
use crate::pool::target::Credential;
use crate::pool::{connect, reach};
use crate::session::directory::Directory;

/// How long it is tried to log in before it is said that there is no server.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long what was found counts: whoever asks often does not make pgweir log in often.
const KEEP: Duration = Duration::from_secs(2);

/// What was found last, and when.
#[derive(Default)]
pub struct Ready {
    found: Mutex<Option<(Instant, bool)>>,
}

impl Ready {
    /// Nothing if clients are served; else why they are not.
    pub async fn problem(&self, admin: &Admin) -> Option<&'static str> {
        if admin.entrance.draining.load(Ordering::Relaxed) {
            return Some("stopping");
        }
        let served = has_servers(admin).await || self.can_log_in(admin).await;
        (!served).then_some("no server can be reached and logged in to")
    }

    /// Tries, once for all who ask at this time.
    async fn can_log_in(&self, admin: &Admin) -> bool {
        let mut found = self.found.lock().await;
        if let Some((at, found)) = *found
            && at.elapsed() < KEEP
        {
            return found;
        }
        let directory = admin.entrance.directory();
        let can = tokio::time::timeout(PATIENCE, any_node(&directory)).await.unwrap_or(false);
        *found = Some((Instant::now(), can));
        can
    }
}

/// Whether there are servers by now, not only logins to some.
async fn has_servers(admin: &Admin) -> bool {
    admin.shared.servers.used() > 0 && admin.snapshot().await.servers(|_, _| true) > 0
}

/// Whether a node of any database takes a login.
async fn any_node(directory: &Directory) -> bool {
    for (name, database) in different(&directory.settings) {
        for host in &database.hosts {
            let serves = serves(directory, (name, database), host);
            if tokio::time::timeout(PATIENCE / 2, serves).await.unwrap_or(false) {
                return true;
            }
        }
    }
    false
}

/// The databases; the fallback only where it is something else than one of the others.
fn different(settings: &Settings) -> impl Iterator<Item = (&str, &Database)> {
    let named = || settings.databases.iter().filter(|(name, _)| *name != "*");
    let fallback = settings.databases.get_key_value("*").filter(|(_, fallback)| {
        !named().any(|(_, one)| one.hosts == fallback.hosts && one.probe_users == fallback.probe_users)
    });
    named().chain(fallback).map(|(name, database)| (name.as_str(), database))
}

/// Whether a host lets in one of those who are known to log in. Where nobody's password is known, it is enough that it can be reached.
async fn serves(directory: &Directory, (name, database): (&str, &Database), host: &Host) -> bool {
    if database.probe_users.is_empty() {
        return reach::open_any(host).await.is_ok();
    }
    let on_server = if name == "*" { "postgres" } else { name };
    for user in &database.probe_users {
        let Some(target) = directory.target(on_server, user).map(|target| target.at(host)) else { continue };
        let target = Arc::new(target);
        let unproven = matches!(target.credential(), Credential::None);
        match connect::connect(&target).await {
            Ok(_) => return true,
            // It was let in; that database need not be there.
            Err(fault) if name == "*" && fault.sqlstate == "3D000" => return true,
            Err(fault) if unproven && fault.sqlstate.starts_with("28") => return true,
            Err(_) => {}
        }
    }
    false
}
