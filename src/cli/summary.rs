//! What `pgweir check` says will run: settings, databases and users.

use std::io::{self, Write};

use super::check::show_host;
use crate::config::settings::{AuthMethod, ClientTlsMode, Database, PoolMode, SslMode, TargetSessionAttrs};
use crate::config::{Loaded, Settings};

/// Writes what will run, without secrets.
///
/// # Errors
/// When it cannot be written.
pub(super) fn summary(loaded: &Loaded, out: &mut impl Write) -> io::Result<()> {
    let settings = &loaded.settings;
    writeln!(out, "pgweir {} with these settings", env!("CARGO_PKG_VERSION"))?;
    let mut listen: Vec<_> = settings.listen.iter().map(ToString::to_string).collect();
    listen.extend(settings.unix_socket_dir.iter().map(|folder| folder.display().to_string()));
    writeln!(out, "  listen     {} ({})", listen.join(", "), show_tls(settings.client_tls.mode))?;
    let http = settings.http_listen.map_or("off".to_owned(), |address| address.to_string());
    writeln!(out, "  http       {http}")?;
    writeln!(out, "  workers    {}", settings.workers)?;
    writeln!(out, "  clients    {}", show_auth(settings))?;
    let limits = &settings.limits;
    writeln!(out, "  at most    {} clients, {} servers", limits.max_clients, limits.max_servers)?;
    writeln!(out, "databases")?;
    for (name, database) in &settings.databases {
        show_database(loaded, name, database, out)?;
    }
    writeln!(out, "users")?;
    for (name, user) in &settings.users {
        let origin = loaded.origins.of(&format!("users.{name}"));
        let mut about = vec![if user.password.is_some() { "password" } else { "no password" }.to_owned()];
        about.extend(user.pool_mode.map(|mode| show_mode(mode).to_owned()));
        about.extend(user.pool_size.map(|size| format!("{size} servers")));
        about.extend(user.max_clients.map(|clients| format!("at most {clients} clients")));
        writeln!(out, "  {name}: {} ({origin})", about.join(", "))?;
        let md5 =
            user.password.as_ref().is_some_and(|secret| secret.0.starts_with("md5") && secret.0.len() == 35);
        if md5 && settings.auth.hba_file.is_none() && settings.auth.method == AuthMethod::ScramSha256 {
            writeln!(
                out,
                "    warning: an md5 verifier proves nothing by SCRAM; set `method = \"md5\"` in [auth], or give the password itself"
            )?;
        }
    }
    Ok(())
}

fn show_database(loaded: &Loaded, name: &str, database: &Database, out: &mut impl Write) -> io::Result<()> {
    let hosts: Vec<_> = database.nodes().map(show_host).collect();
    let origin = loaded.origins.of(&format!("databases.{name}"));
    let on_server = match (name, &database.server_database) {
        ("*", None) => "the database that the client names",
        (_, None) => name,
        (_, Some(other)) => other,
    };
    writeln!(out, "  {name} -> {on_server} on {} ({origin})", hosts.join(", "))?;
    let pool = &database.pool;
    let user = database.server_user.as_deref().unwrap_or("the client's user");
    writeln!(
        out,
        "    {} mode, {} servers per user, {} kept idle; {}, sslmode {}; logs in as {user}",
        show_mode(pool.mode),
        pool.size,
        pool.min_idle,
        show_target(database.target),
        show_sslmode(database.tls.mode),
    )
}

fn show_auth(settings: &Settings) -> String {
    let auth = &settings.auth;
    let mut text = match (&auth.hba_file, auth.method) {
        (Some(file), _) => format!("by the rules of {}", file.display()),
        (None, AuthMethod::Trust) => "trust: no proof is asked".to_owned(),
        (None, AuthMethod::ScramSha256) => "scram-sha-256".to_owned(),
        (None, AuthMethod::Md5) => "md5".to_owned(),
        (None, AuthMethod::Password) => "password".to_owned(),
        (None, AuthMethod::Cert) => "cert".to_owned(),
    };
    if auth.auth_query.is_some() {
        text.push_str("; users not below by auth_query");
    } else if let Some(asker) = auth.auth_user.as_deref().filter(|_| auth.pass_through) {
        text.push_str(&format!(
            "; users not below by pass-through, if {asker} may read pg_authid (tried below)"
        ));
    }
    text
}

fn show_mode(mode: PoolMode) -> &'static str {
    match mode {
        PoolMode::Session => "session",
        PoolMode::Transaction => "transaction",
        PoolMode::Statement => "statement",
    }
}

pub(super) fn show_target(target: TargetSessionAttrs) -> &'static str {
    match target {
        TargetSessionAttrs::Any => "any host",
        TargetSessionAttrs::ReadWrite => "a read-write host",
        TargetSessionAttrs::ReadOnly => "a read-only host",
        TargetSessionAttrs::Primary => "the primary",
        TargetSessionAttrs::Standby => "a standby",
        TargetSessionAttrs::PreferStandby => "a standby if there is one",
    }
}

fn show_sslmode(mode: SslMode) -> &'static str {
    match mode {
        SslMode::Disable => "disable",
        SslMode::Allow => "allow",
        SslMode::Prefer => "prefer",
        SslMode::Require => "require",
        SslMode::VerifyCa => "verify-ca",
        SslMode::VerifyFull => "verify-full",
    }
}

fn show_tls(mode: ClientTlsMode) -> &'static str {
    match mode {
        ClientTlsMode::Disable => "no TLS",
        ClientTlsMode::Prefer => "TLS offered",
        ClientTlsMode::Require => "TLS required",
    }
}
