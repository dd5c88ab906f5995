//! Contradictions: settings that are right each by itself and cannot be meant together.

use std::net::IpAddr;
use std::path::Path;

use super::place::{ConfigError, Origin, Origins};
use super::settings::{
    AuthMethod, ClientTlsMode, Database, Host, PinPolicy, PoolMode, Secret, Settings, SslMode,
    TargetSessionAttrs,
};
use super::written::Written;
use crate::auth::StoredSecret;

/// What only the written form shows.
pub fn as_written(written: &mut Written) {
    let mut errors = vec![];
    for (name, database) in &written.databases {
        let path = format!("databases.{name}");
        if database.hosts.is_empty() {
            errors.push((path.clone(), "this database has no host; add `url` or `hosts`"));
        }
        if ["pgweir", "pgbouncer"].contains(&name.as_str()) {
            let message =
                "this name is the console's; choose another, and keep the server's name in `database`";
            errors.push((path, message));
        }
    }
    let tls = &written.settings.client_tls;
    let unused = tls.cert_file.is_some() && tls.mode == ClientTlsMode::Disable;
    if unused && written.origins.exact("tls.mode").is_none() {
        let message = "a certificate is given, but TLS is not turned on; set mode = \"prefer\", \"require\" or \"disable\"";
        errors.push(("tls.cert_file".to_owned(), message));
    }
    for (path, message) in errors {
        written.error(written.origins.of(&path), message);
    }
}

/// What the complete settings show.
pub fn as_used(written: &mut Written) {
    let mut problems = Problems { origins: &written.origins, found: vec![], notes: vec![] };
    let settings = &written.settings;
    addresses(settings, &mut problems);
    files(settings, &mut problems);
    client_tls(settings, &mut problems);
    auth(settings, &mut problems);
    secrets(settings, &mut problems);
    unproven(settings, &mut problems);
    history(settings, &mut problems);
    for (name, database) in &settings.databases {
        identities(settings, name, database, &mut problems);
        pool(settings, name, database, &mut problems);
        server_tls(name, database, &mut problems);
        itself(settings, name, database, &mut problems);
        reads(name, database, &mut problems);
    }
    let Problems { found, notes, .. } = problems;
    written.notes.extend(notes);
    for (origin, message) in found {
        written.error(origin, message);
    }
}

struct Problems<'a> {
    origins: &'a Origins,
    found: Vec<(Origin, String)>,
    notes: Vec<ConfigError>,
}

impl Problems<'_> {
    /// At the first of these paths that somebody wrote, else at the section of the first.
    fn at(&mut self, paths: &[&str], message: impl Into<String>) {
        let written = paths.iter().find_map(|path| self.origins.exact(path)).cloned();
        let origin = written.unwrap_or_else(|| self.origins.of(paths[0]));
        self.found.push((origin, message.into()));
    }

    /// Where this path was written, if it was: something that is right and does nothing.
    fn note(&mut self, path: &str, message: impl Into<String>) {
        if let Some(origin) = self.origins.exact(path) {
            self.notes.push(ConfigError { origin: origin.clone(), message: message.into() });
        }
    }
}

/// Users whom a URL on the command line names without a password.
fn unproven(settings: &Settings, problems: &mut Problems<'_>) {
    if !settings.auth.asks_for_passwords() {
        return;
    }
    for (name, _) in settings.users.iter().filter(|(_, user)| user.password.is_none()) {
        let path = format!("users.{name}");
        if matches!(problems.origins.exact(&path), Some(Origin::Url(_))) {
            let text = format!(
                "`{name}` has no password here, so it cannot log in through pgweir, whatever the server asks for; write \
                 user:password@ before the host in the URL, or `method = \"trust\"` in [auth] of a settings file"
            );
            problems.note(&path, text);
        }
    }
}

fn addresses(settings: &Settings, problems: &mut Problems<'_>) {
    if settings.databases.is_empty() {
        let message = match problems.origins.exact("databases") {
            Some(_) => {
                "there is no database; add a section [databases.NAME] with a `url`, or take one in whose lines begin with `#`"
            }
            None => {
                "there is no database; give a URL such as postgres://user:password@host/name, or a file with [databases.NAME]"
            }
        };
        problems.at(&["databases"], message);
    }
    if settings.listen.is_empty() && settings.unix_socket_dir.is_none() {
        problems.at(&["listen"], "nothing is listened on; give an address, or `unix_socket_dir`");
    }
    if settings.listen.is_empty() && settings.unix_socket_dir.is_some() {
        problems.at(
            &["listen"],
            "the unix socket takes the port of the first address, and there is none; give one",
        );
    }
    for (index, address) in settings.listen.iter().enumerate() {
        if settings.listen[..index].contains(address) {
            problems.at(&["listen"], format!("{address} is there twice; remove one"));
        }
        if settings.http_listen == Some(*address) {
            problems
                .at(&["http", "listen"], format!("{address} is used by `listen` too; choose another port"));
        }
    }
}

/// Less than this is not worth a file.
const SMALLEST_STORE: usize = 1 << 20;

fn history(settings: &Settings, problems: &mut Problems<'_>) {
    if settings.history.max_size < SMALLEST_STORE {
        problems.at(&["history.max_size"], "must be \"1MB\" or more");
    }
    let Some(url) = &settings.history.url else { return };
    if settings.history.store.is_some() {
        let message =
            "a history is kept in a file or in a database: `store` and `url` are both set; remove one";
        problems.at(&["history.url", "history.store"], message);
    }
    if let Err(why) = super::place_of_url(&url.0) {
        problems.at(&["history.url"], format!("`url` cannot be used: {why}"));
    }
}

fn files(settings: &Settings, problems: &mut Problems<'_>) {
    let (tls, auth) = (&settings.client_tls, &settings.auth);
    let mut named = vec![
        ("tls.cert_file".to_owned(), &tls.cert_file),
        ("tls.key_file".to_owned(), &tls.key_file),
        ("tls.ca_file".to_owned(), &tls.ca_file),
        ("auth.hba_file".to_owned(), &auth.hba_file),
        ("auth.ident_file".to_owned(), &auth.ident_file),
    ];
    for (name, database) in &settings.databases {
        let tls = &database.tls;
        named.push((format!("databases.{name}.sslrootcert"), &tls.ca_file));
        named.push((format!("databases.{name}.sslcert"), &tls.cert_file));
        named.push((format!("databases.{name}.sslkey"), &tls.key_file));
    }
    for (path, file) in named {
        let Some(file) = file else { continue };
        if let Err(reason) = readable(file) {
            problems.at(
                &[&path],
                format!("{} cannot be read: {reason}; correct the path or its permissions", file.display()),
            );
        }
    }
    if let Some(folder) = settings.unix_socket_dir.as_ref().filter(|folder| !folder.is_dir()) {
        problems.at(&["unix_socket_dir"], format!("{} is not a folder; create it", folder.display()));
    }
}

fn readable(file: &Path) -> Result<(), String> {
    let file = std::fs::File::open(file).map_err(|error| error.to_string())?;
    match file.metadata() {
        Ok(about) if about.is_dir() => Err("it is a folder".to_owned()),
        _ => Ok(()),
    }
}

fn client_tls(settings: &Settings, problems: &mut Problems<'_>) {
    let tls = &settings.client_tls;
    let on = tls.mode != ClientTlsMode::Disable;
    match (&tls.cert_file, &tls.key_file) {
        (None, None) if on => {
            problems.at(&["tls.mode"], "TLS needs a certificate; add `cert_file` and `key_file`")
        }
        (Some(_), None) => problems.at(&["tls.cert_file"], "the certificate has no key; add `key_file`"),
        (None, Some(_)) => problems.at(&["tls.key_file"], "the key has no certificate; add `cert_file`"),
        _ => {}
    }
}

fn auth(settings: &Settings, problems: &mut Problems<'_>) {
    let auth = &settings.auth;
    let tls_off = settings.client_tls.mode == ClientTlsMode::Disable;
    if auth.hba_file.is_none() {
        match auth.method {
            AuthMethod::Cert if settings.client_tls.ca_file.is_none() => {
                problems.at(
                    &["auth.method"],
                    "`cert` needs the authorities of client certificates; add `ca_file` to [tls]",
                );
            }
            AuthMethod::Cert if tls_off => {
                problems.at(&["auth.method"], "`cert` needs TLS; set `mode` in [tls]");
            }
            AuthMethod::Password if tls_off && settings.unix_socket_dir.is_none() => {
                problems
                    .at(&["auth.method"], "`password` is for TLS and unix sockets only; set `mode` in [tls]");
            }
            _ => {}
        }
    }
    if auth.ident_file.is_some() && auth.hba_file.is_none() {
        problems.at(
            &["auth.ident_file"],
            "`ident_file` is used by rules of `hba_file` only; add that or remove this",
        );
    }
    if auth.auth_query.is_some() && auth.auth_user.is_none() {
        problems.at(&["auth.auth_query"], "`auth_query` needs a user who runs it; add `auth_user`");
    }
    if auth.auth_query.as_ref().is_some_and(|query| !query.contains("$1")) {
        let message = "`auth_query` does not say whom it looks up, so it would give the same for everybody; write $1 where the name goes, \
                       as in: select usename, passwd from pg_shadow where usename = $1";
        problems.at(&["auth.auth_query"], message);
    }
    if let Some(user) = &auth.auth_user
        && let Err(reason) = can_log_in(settings, user, false)
    {
        problems.at(&["auth.auth_user"], format!("`auth_user` {reason}"));
    }
}

/// What looks like a verifier must be one.
fn secrets(settings: &Settings, problems: &mut Problems<'_>) {
    for (name, user) in &settings.users {
        let broken = user.password.as_ref().is_some_and(|secret| StoredSecret::parse(&secret.0).is_err());
        if broken {
            let path = format!("users.{name}.password");
            problems.at(&[&path, &format!("users.{name}")], "this begins like a SCRAM verifier, and is none; copy it whole from pg_authid.rolpassword, or give the password itself");
        }
    }
}

fn identities(settings: &Settings, name: &str, database: &Database, problems: &mut Problems<'_>) {
    if let Some(user) = &database.server_user {
        let by_certificate = database.tls.cert_file.is_some();
        if let Err(reason) = can_log_in(settings, user, by_certificate) {
            problems.at(&[&format!("databases.{name}.server_user")], format!("`server_user` {reason}"));
        }
    }
}

/// Whether this user can log in to a server by what is known of it.
fn can_log_in(settings: &Settings, user: &str, by_certificate: bool) -> Result<(), String> {
    let Some(known) = settings.users.get(user) else {
        return Err(format!("is `{user}`, who is not known here; add [users.{user}] with a password"));
    };
    let verifier = |Secret(text): &Secret| text.starts_with("SCRAM-SHA-256$");
    if known.password.as_ref().is_some_and(verifier) && !by_certificate {
        return Err(format!(
            "is `{user}`, of whom only a SCRAM verifier is known, which logs in nobody; give the password"
        ));
    }
    Ok(())
}

fn pool(settings: &Settings, name: &str, database: &Database, problems: &mut Problems<'_>) {
    let pool = &database.pool;
    let of = |key: &str| (format!("databases.{name}.{key}"), format!("pool.{key}"));
    let (size, pool_size) = of("pool_size");
    if pool.min_idle > pool.size {
        let (idle, pool_idle) = of("min_idle");
        let message = format!(
            "`min_idle` is {}, more than `pool_size`, which is {}; lower it",
            pool.min_idle, pool.size
        );
        problems.at(&[&idle, &size, &pool_idle, &pool_size], message);
    }
    let most = settings.limits.max_servers;
    if pool.size > most {
        let message =
            format!("`pool_size` is {}, more than `max_servers` of [limits], which is {most}", pool.size);
        problems.at(&[&size, "limits.max_servers", &pool_size], message);
    }
    // What stands in [pool] is for the databases with another mode.
    let (pins, _) = of("pins");
    let for_this_one = problems.origins.exact(&pins).is_some();
    if pool.mode == PoolMode::Session && pool.pins == PinPolicy::Refuse && for_this_one {
        let message =
            "`pins` is `refuse`, but in the pool mode `session` every session keeps its server; remove it";
        problems.at(&[&pins], message);
    }
}

fn server_tls(name: &str, database: &Database, problems: &mut Problems<'_>) {
    let tls = &database.tls;
    let path = |key: &str| format!("databases.{name}.{key}");
    match (&tls.cert_file, &tls.key_file) {
        (Some(_), None) => problems.at(&[&path("sslcert")], "the certificate has no key; add `sslkey`"),
        (None, Some(_)) => problems.at(&[&path("sslkey")], "the key has no certificate; add `sslcert`"),
        _ => {}
    }
    if tls.direct && tls.mode < SslMode::Require {
        let message =
            "`sslnegotiation` is `direct`, which needs TLS for certain; set `sslmode` to `require` or more";
        problems.at(&[&path("sslnegotiation")], message);
    }
}

/// Keys that are about reads of replicas.
const OF_READS: [&str; 9] = [
    "replicas",
    "balance",
    "weights",
    "zones",
    "zone",
    "consistency",
    "replica_wait",
    "max_replica_lag",
    "check_interval",
];

/// Nodes that a cluster may have.
const MAX_NODES: usize = 64;

fn reads(name: &str, database: &Database, problems: &mut Problems<'_>) {
    let path = |key: &str| format!("databases.{name}.{key}");
    let reads = &database.reads;
    let is_node = |host: &Host| database.nodes().any(|node| node == host);
    if let Some(host) = reads.replicas.iter().find(|host| database.hosts.contains(host)) {
        let message = format!("{host} is one of `hosts` too; remove it from one of them");
        problems.at(&[&path("replicas")], message);
    }
    let weighed = reads.weights.iter().map(|(host, _)| ("weights", host));
    for (key, host) in weighed.chain(reads.zones.iter().map(|(host, _)| ("zones", host))) {
        if !is_node(host) {
            let message =
                format!("{host} is neither in `hosts` nor in `replicas`; correct it, or add it there");
            problems.at(&[&path(key)], message);
        }
    }
    if !reads.to_replicas {
        for key in OF_READS {
            let message = format!("`{key}` does nothing while `reads` is `primary`; set it to `replicas`");
            problems.note(&path(key), message);
        }
        return;
    }
    if !matches!(database.target, TargetSessionAttrs::Primary | TargetSessionAttrs::ReadWrite) {
        let message = "with `reads` as `replicas` this is `primary` or `read-write`: what is no read must go there; for an entry \
                       whose statements all go to standbys, remove `reads`";
        problems.at(&[&path("target_session_attrs"), &path("reads")], message);
    }
    if database.probe_users.is_empty() {
        let message = "`reads` is `replicas`, but nobody is known as whom nodes can be asked; add `user` and `password`, \
                       or `auth_user` to [auth]";
        problems.at(&[&path("reads")], message);
    }
    let nodes = database.nodes().count();
    if nodes > MAX_NODES {
        problems.at(
            &[&path("replicas"), &path("hosts"), &path("reads")],
            format!("{nodes} nodes are named, but a database may have {MAX_NODES} at most"),
        );
    }
}

/// A node that is pgweir itself.
fn itself(settings: &Settings, name: &str, database: &Database, problems: &mut Problems<'_>) {
    for host in database.nodes() {
        let found = match host {
            Host::Tcp(host, port) => {
                settings.listen.iter().any(|address| address.port() == *port && is_here(host, address.ip()))
            }
            Host::Unix(folder, port) => {
                settings.unix_socket_dir.as_ref() == Some(folder)
                    && settings.listen.first().is_some_and(|address| address.port() == *port)
            }
        };
        if found {
            let of = |key: &str| format!("databases.{name}.{key}");
            let key = if database.hosts.contains(host) { "hosts" } else { "replicas" };
            problems.at(
                &[&of(key), &of("url")],
                "this host is where pgweir itself listens; name PostgreSQL's address and port",
            );
        }
    }
}

fn is_here(host: &str, listened: IpAddr) -> bool {
    match host.parse::<IpAddr>() {
        Ok(address) => address == listened || (listened.is_unspecified() && address.is_loopback()),
        Err(_) => host == "localhost" && (listened.is_loopback() || listened.is_unspecified()),
    }
}
