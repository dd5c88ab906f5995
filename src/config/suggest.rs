//! What may have been meant by a key that is not known: the nearest one, or the one that takes the place of PgBouncer's.

pub use crate::spelling::{did_you_mean, nearest};

/// Keys of PgBouncer, and the section and key that take their place; see `docs/guide/from-pgbouncer.md`.
const PGBOUNCERS: [(&str, &str, &str); 28] = [
    ("listen_addr", "", "listen"),
    ("listen_port", "", "listen"),
    ("auth_type", "auth", "method"),
    ("auth_hba_file", "auth", "hba_file"),
    ("auth_ident_file", "auth", "ident_file"),
    ("verbose", "log", "level"),
    ("max_client_conn", "limits", "max_clients"),
    ("max_prepared_statements", "limits", "prepared_per_server"),
    ("server_connect_timeout", "limits", "connect_timeout"),
    ("client_login_timeout", "limits", "login_timeout"),
    ("idle_transaction_timeout", "limits", "idle_in_transaction_timeout"),
    ("query_wait_timeout", "limits", "queue_timeout"),
    ("default_pool_size", "pool", "pool_size"),
    ("min_pool_size", "pool", "min_idle"),
    ("server_lifetime", "pool", "lifetime"),
    ("server_idle_timeout", "pool", "idle_timeout"),
    ("max_user_client_connections", "users.NAME", "max_clients"),
    ("client_tls_sslmode", "tls", "mode"),
    ("client_tls_cert_file", "tls", "cert_file"),
    ("client_tls_key_file", "tls", "key_file"),
    ("client_tls_ca_file", "tls", "ca_file"),
    ("server_tls_sslmode", "databases.NAME", "sslmode"),
    ("server_tls_ca_file", "databases.NAME", "sslrootcert"),
    ("server_tls_cert_file", "databases.NAME", "sslcert"),
    ("server_tls_key_file", "databases.NAME", "sslkey"),
    ("host", "databases.NAME", "hosts"),
    ("port", "databases.NAME", "hosts"),
    ("dbname", "databases.NAME", "database"),
];

/// The section and key that take the place of a key of PgBouncer.
pub fn instead_of_pgbouncers(name: &str) -> Option<(&'static str, &'static str)> {
    let found = PGBOUNCERS.iter().find(|(theirs, ..)| *theirs == name);
    found.map(|(_, section, key)| (*section, *key))
}

#[cfg(test)]
mod tests {
    use super::PGBOUNCERS;

    #[test]
    fn what_takes_the_place_of_keys_of_pgbouncer_is_there() {
        for (theirs, section, key) in PGBOUNCERS {
            let known = crate::config::keys::sections().into_iter().find(|known| known.name == section);
            let known = known.is_some_and(|known| known.keys.iter().any(|known| known.name == key));
            assert!(known, "{theirs}: no `{key}` in [{section}]");
        }
    }
}
