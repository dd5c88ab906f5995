//! How many files the system lets this process open: a socket is a file.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Loaded;
use crate::config::settings::Limits;

/// Files that are open besides sockets of clients and servers: listeners, reactors, logs, logins of pgweir's own.
const OTHERS: u64 = 64;

/// Raises the limit of open files as far as the system allows, and fits `max_clients` and `max_servers` into it: what nobody has
/// written becomes less, what somebody has is kept, with a warning.
pub fn fit_limits(loaded: &mut Loaded) {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        // Refused only where the limit is kept by other means; what is missing is told below.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    }
    let allowed = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let is_written = |path| loaded.origins.exact(path).is_some();
    let written = Written {
        max_clients: is_written("limits.max_clients"),
        max_servers: is_written("limits.max_servers"),
    };
    let before = Needed::of(&loaded.settings.limits);
    loaded.settings.limits = fitted(loaded.settings.limits.clone(), written, allowed);
    let Limits { max_clients, max_servers, .. } = loaded.settings.limits;
    let needed = Needed::of(&loaded.settings.limits);
    if needed.0 > allowed {
        let needed = needed.0;
        tracing::warn!(
            allowed,
            needed,
            "max_clients and max_servers do not fit into the number of files that this process may open; raise its limit (ulimit -Hn, LimitNOFILE)"
        );
    } else if needed != before {
        tracing::debug!(
            allowed,
            max_clients,
            max_servers,
            "as many clients and servers as files may be open"
        );
    }
}

/// Which of them somebody has written.
#[derive(Clone, Copy)]
struct Written {
    max_clients: bool,
    max_servers: bool,
}

/// Files that clients and servers take when there are as many as there may be, and the others.
#[derive(PartialEq)]
struct Needed(u64);

impl Needed {
    fn of(limits: &Limits) -> Self {
        Self((limits.max_clients + limits.max_servers) as u64 + OTHERS)
    }
}

/// The same limits, with less of what nobody has written where not so many files may be open: fewer clients, but no fewer than half of
/// all; and where nobody has written either, no more servers than the other half.
fn fitted(mut limits: Limits, written: Written, allowed: u64) -> Limits {
    let all = usize::try_from(allowed.saturating_sub(OTHERS)).unwrap_or(usize::MAX);
    if written.max_clients {
        return limits;
    }
    let left = all.saturating_sub(limits.max_servers).max(all / 2).max(1);
    limits.max_clients = limits.max_clients.min(left);
    if !written.max_servers {
        limits.max_servers = limits.max_servers.min((all - all / 2).max(1));
    }
    limits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nobody_has_written_becomes_less() {
        let check = |(clients, servers): (Option<usize>, Option<usize>), allowed: u64, expected| {
            let default = Limits::default();
            let limits = Limits {
                max_clients: clients.unwrap_or(default.max_clients),
                max_servers: servers.unwrap_or(default.max_servers),
                ..default
            };
            let written = Written { max_clients: clients.is_some(), max_servers: servers.is_some() };
            let fitted = fitted(limits, written, allowed);
            let fits = Needed::of(&fitted).0 <= allowed;
            assert_eq!(
                (fitted.max_clients, fitted.max_servers, fits),
                expected,
                "{clients:?} {servers:?} {allowed}"
            );
        };
        check((None, None), u64::MAX, (20000, 500, true));
        check((None, None), 20564, (20000, 500, true));
        check((None, None), 20000, (19436, 500, true));
        check((None, None), 1024, (480, 480, true));
        check((None, None), 10, (1, 1, false));
        check((None, None), 1100, (536, 500, true));
        check((Some(20000), None), 20000, (20000, 500, false));
        check((Some(300), None), 1024, (300, 500, true));
        check((None, Some(400)), 1024, (560, 400, true));
        check((None, Some(900)), 1024, (480, 900, false));
        check((Some(900), Some(100)), 1024, (900, 100, false));
    }
}
