//! The nearest known word to one that is not known.

/// `; did you mean ...?` when a known word is near, else nothing.
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    match nearest(word, known) {
        Some(near) => format!("; did you mean `{near}`?"),
        None => String::new(),
    }
}

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

/// The known word that is at most a few letters away, or that has `word` as its first or last part.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase().replace('-', "_");
    let allowed = (word.chars().count() / 3).clamp(1, 3);
    let near = |known: &str| {
        let distance = distance(&word, &known.to_lowercase().replace('-', "_"));
        if distance <= allowed { Some(distance) } else { is_part(&word, known).then_some(allowed + 1) }
    };
    known
        .into_iter()
        .filter_map(|known| Some((near(known)?, known)))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

fn is_part(one: &str, other: &str) -> bool {
    let ends = |long: &str, short: &str| {
        long.strip_suffix(short).is_some_and(|rest| rest.ends_with('_'))
            || long.strip_prefix(short).is_some_and(|rest| rest.starts_with('_'))
    };
    !one.is_empty() && (ends(one, other) || ends(other, one))
}

/// Levenshtein's distance, in characters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::{PGBOUNCERS, nearest};

    #[test]
    fn what_takes_the_place_of_keys_of_pgbouncer_is_there() {
        for (theirs, section, key) in PGBOUNCERS {
            let known = crate::config::keys::sections().into_iter().find(|known| known.name == section);
            let known = known.is_some_and(|known| known.keys.iter().any(|known| known.name == key));
            assert!(known, "{theirs}: no `{key}` in [{section}]");
        }
    }

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        let known = ["pool_mode", "pool_size", "lifetime", "min_idle", "cert_file"];
        let check = |word, expected| assert_eq!(nearest(word, known), expected, "{word}");
        check("pool_sise", Some("pool_size"));
        check("pool-size", Some("pool_size"));
        check("poolsize", Some("pool_size"));
        check("default_pool_size", Some("pool_size"));
        check("mode", Some("pool_mode"));
        check("cert", Some("cert_file"));
        check("lifetme", Some("lifetime"));
        check("idle_min", None);
        check("zebra", None);
        check("", None);
    }
}
