//! Which database stands in for one that the settings do not have: by its server it is known who a user is.

use crate::config::Settings;
use crate::config::settings::Database;

/// Whether clients mean the console by this name, unless the settings have a database that is called so.
pub(super) fn is_console(database: &str) -> bool {
    matches!(database, "pgweir" | "pgbouncer")
}

/// As [`Directory::node_for`](super::directory::Directory::node_for).
pub(super) fn node_for(settings: &Settings, named: String) -> String {
    let databases = &settings.databases;
    let fallback = databases.get_key_value("*");
    let Some((first, node)) = fallback.or_else(|| databases.iter().next()) else { return named };
    let is_there = |database: &Database| database.hosts == node.hosts;
    if databases.contains_key(&named) || fallback.is_none() && !databases.values().all(is_there) {
        return named;
    }
    let mut entries = fallback.into_iter().chain(databases);
    let as_client = entries.find(|(_, database)| is_there(database) && database.server_user.is_none());
    let name = as_client.map_or(first, |(name, _)| name);
    if name == "*" { "postgres".to_owned() } else { name.clone() }
}

/// The database at whose server users of the console are looked up, where the settings have none of its name: the first that they name, else one of the
/// server that they have for all. The console itself is at no server.
pub fn for_console(settings: &Settings, console: &str) -> Option<String> {
    if settings.databases.contains_key(console) {
        return None;
    }
    let named = settings.databases.keys().find(|name| *name != "*").cloned();
    named.or_else(|| Some(node_for(settings, console.to_owned())).filter(|other| other != console))
}
