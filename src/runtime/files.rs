//! How many files the system lets this process open: a socket is a file.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::settings::Limits;

/// Files that are open besides sockets of clients and servers: listeners, reactors, logs, logins of pgweir's own.
const OTHERS: u64 = 64;

/// Raises the limit as far as the system allows, and says so when the clients and servers that the settings allow do
/// not fit.
pub fn raise_limit(limits: &Limits) {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        // Refused only where the limit is kept by other means; what is missing is told below.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    }
    let allowed = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let needed = (limits.max_clients + limits.max_servers) as u64 + OTHERS;
    let text = "max_clients and max_servers do not fit into the number of files that this process may open; raise its limit (ulimit -Hn, LimitNOFILE)";
    let defaults = Limits::default();
    let by_default = (limits.max_clients, limits.max_servers) == (defaults.max_clients, defaults.max_servers);
    if needed > allowed && by_default {
        // Nobody has asked for so many.
        tracing::info!(allowed, needed, "{text}");
    } else if needed > allowed {
        tracing::warn!(allowed, needed, "{text}");
    }
}
