//! One node's address as people write it: `name`, `name:port`, `[::1]:port`, `/folder`, `/folder:port`.

use std::path::PathBuf;

use super::settings::Host;

/// PostgreSQL's own port.
pub const DEFAULT_PORT: u16 = 5432;

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Host::Tcp(name, port) if name.contains(':') => write!(f, "[{name}]:{port}"),
            Host::Tcp(name, port) => write!(f, "{name}:{port}"),
            Host::Unix(folder, port) => write!(f, "{}/.s.PGSQL.{port}", folder.display()),
        }
    }
}

/// Reads an address. The error continues the sentence "`hosts` ...".
pub fn parse(text: &str) -> Result<Host, String> {
    if text.contains('@') || text.contains("://") {
        return Err("holds more than a host and port; a whole URL belongs in `url`".to_owned());
    }
    let (name, port) = split_port(text).map_err(|reason| format!("holds `{text}`: {reason}"))?;
    named(name, port.unwrap_or(DEFAULT_PORT)).map_err(|reason| format!("holds `{text}`: {reason}"))
}

/// A host by its name or folder.
pub fn named(name: &str, port: u16) -> Result<Host, &'static str> {
    if name.is_empty() {
        return Err("a host is empty");
    }
    if name.contains('@') {
        return Err("a host has an `@`; in a URL, write `@` in a user or password as %40");
    }
    if name.starts_with('/') {
        return Ok(Host::Unix(PathBuf::from(name), port));
    }
    if name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '/') {
        return Err("a host has a space or a slash in it");
    }
    Ok(Host::Tcp(name.to_owned(), port))
}

/// Cuts the port off, and the brackets of an IPv6 address. The reasons show no text: it may be a
/// piece of a password that should have been percent-encoded.
pub fn split_port(text: &str) -> Result<(&str, Option<u16>), &'static str> {
    let (name, port) = if let Some(rest) = text.strip_prefix('[') {
        let (name, rest) = rest.split_once(']').ok_or("a `[` has no `]`")?;
        match rest.strip_prefix(':') {
            Some(port) => (name, Some(port)),
            None if rest.is_empty() => (name, None),
            None => return Err("there is something between `]` and the port"),
        }
    } else {
        match text.split_once(':') {
            Some((_, rest)) if rest.contains(':') => {
                return Err("an IPv6 address needs brackets, such as [::1]:5432");
            }
            Some((name, port)) => (name, Some(port)),
            None => (text, None),
        }
    };
    match port {
        None | Some("") => Ok((name, None)),
        Some(port) => Ok((name, Some(self::port(port)?))),
    }
}

/// A port, from 1 to 65535.
pub fn port(text: &str) -> Result<u16, &'static str> {
    match text.parse() {
        Ok(port) if port > 0 => Ok(port),
        _ => Err("a port is not a number from 1 to 65535"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read() {
        let tcp = |name: &str, port| Ok(Host::Tcp(name.to_owned(), port));
        let unix = |folder: &str, port| Ok(Host::Unix(folder.into(), port));
        let error = |text: &str| Err(text.to_owned());
        let check = |text, expected| assert_eq!(parse(text), expected, "{text}");
        check("db", tcp("db", 5432));
        check("db:5433", tcp("db", 5433));
        check("[::1]:5433", tcp("::1", 5433));
        check("[::1]", tcp("::1", 5432));
        check("/run/postgresql", unix("/run/postgresql", 5432));
        check("/run/postgresql:5433", unix("/run/postgresql", 5433));
        check("::1", error("holds `::1`: an IPv6 address needs brackets, such as [::1]:5432"));
        check("db:0", error("holds `db:0`: a port is not a number from 1 to 65535"));
        check("db:x", error("holds `db:x`: a port is not a number from 1 to 65535"));
        check("", error("holds ``: a host is empty"));
        check("a b", error("holds `a b`: a host has a space or a slash in it"));
        let whole = error("holds more than a host and port; a whole URL belongs in `url`");
        check("postgres://app:secret@db", whole);
        check("[::1", error("holds `[::1`: a `[` has no `]`"));
    }
}
