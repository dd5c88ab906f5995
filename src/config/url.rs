//! Connection URLs as libpq reads them: `postgres://user:password@host1,host2:5433/database?name=value`.
//!
//! No error shows a piece of the text before the database: a password that is not percent-encoded
//! spills into the hosts and ports.

use std::path::{Path, PathBuf};

use super::host;
use super::settings::{Host, Secret};

/// What a URL says. Parameters that are not about hosts or identity are left for the settings' keys.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Url {
    /// The user, if named.
    pub user: Option<String>,
    /// The user's password.
    pub password: Option<Secret>,
    /// The hosts; where the URL names none, the usual unix socket.
    pub hosts: Vec<Host>,
    /// The database, if named.
    pub database: Option<String>,
    /// The other parameters, in order.
    pub parameters: Vec<Parameter>,
}

/// A parameter after the `?`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Name, decoded.
    pub name: String,
    /// Value, decoded.
    pub value: String,
    /// Where it starts in the URL, in bytes.
    pub offset: usize,
}

/// What is wrong with a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlError {
    /// Where, in bytes from the start.
    pub offset: usize,
    /// What is wrong; what to do.
    pub message: String,
}

/// Reads a URL, and says everything that is wrong with it.
pub fn parse(text: &str) -> Result<Url, Vec<UrlError>> {
    let Some(rest) = ["postgres://", "postgresql://"].iter().find_map(|scheme| text.strip_prefix(scheme))
    else {
        let message = "a URL begins with postgres:// or postgresql://".to_owned();
        return Err(vec![UrlError { offset: 0, message }]);
    };
    let mut reader = Reader { text, ..Reader::default() };
    let (before, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = before.split_once('/').unwrap_or((before, ""));
    let (identity, hosts) = authority.split_once('@').unwrap_or(("", authority));
    reader.identity(identity);
    reader.hosts(hosts);
    reader.database(database);
    query.split('&').filter(|pair| !pair.is_empty()).for_each(|pair| reader.parameter(pair));
    reader.finish(&rest[authority.len()..])
}

/// Where PostgreSQL's packages put the unix socket.
pub fn usual_socket_folder() -> PathBuf {
    let usual = Path::new("/var/run/postgresql");
    PathBuf::from(if usual.is_dir() { usual } else { Path::new("/tmp") })
}

#[derive(Default)]
struct Reader<'a> {
    text: &'a str,
    url: Url,
    hosts: Vec<WrittenHost>,
    ports: Vec<u16>,
    errors: Vec<UrlError>,
}

/// Where a host was named, its name, and the port beside it.
struct WrittenHost {
    offset: usize,
    name: String,
    port: Option<u16>,
}

impl Reader<'_> {
    fn identity(&mut self, text: &str) {
        let (user, password) = text.split_once(':').unwrap_or((text, ""));
        self.url.user = self.decode(user).filter(|user| !user.is_empty());
        self.url.password = self.decode(password).filter(|password| !password.is_empty()).map(Secret);
    }

    fn hosts(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        for host in text.split(',') {
            match host::split_port(host) {
                Ok((name, port)) => {
                    let offset = self.offset(host);
                    if let Some(name) = self.decode(name) {
                        self.hosts.push(WrittenHost { offset, name, port });
                    }
                }
                Err(reason) => self.error(host, reason),
            }
        }
    }

    fn database(&mut self, text: &str) {
        if text.contains('@') {
            self.error(text, "the database has an `@`; write it as %40");
        }
        self.url.database = self.decode(text).filter(|name| !name.is_empty());
    }

    fn parameter(&mut self, pair: &str) {
        let Some((name, value)) = pair.split_once('=') else {
            return self
                .error(pair, "a parameter has no `=`; write name=value, and `?` in a password as %3F");
        };
        let (Some(name), Some(value)) = (self.decode(name), self.decode(value)) else {
            return;
        };
        match name.as_str() {
            "user" => self.url.user = Some(value).filter(|user| !user.is_empty()),
            "password" => self.url.password = Some(Secret(value)),
            "dbname" => self.url.database = Some(value).filter(|name| !name.is_empty()),
            "host" => self.host_parameter(pair, &value),
            "port" => match value.split(',').map(host::port).collect() {
                Ok(ports) => self.ports = ports,
                Err(reason) => self.error(pair, reason),
            },
            _ if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') => {
                let offset = self.offset(pair);
                self.url.parameters.push(Parameter { name, value, offset });
            }
            _ => self.error(pair, "the name of a parameter has only letters, digits and `_`"),
        }
    }

    fn host_parameter(&mut self, pair: &str, value: &str) {
        let offset = self.offset(pair);
        self.hosts =
            value.split(',').map(|name| WrittenHost { offset, name: name.to_owned(), port: None }).collect();
    }

    fn finish(mut self, after_hosts: &str) -> Result<Url, Vec<UrlError>> {
        self.resolve_hosts();
        if self.url.password.is_some() && self.url.user.is_none() {
            self.error(self.text, "there is a password without a user");
        }
        if self.errors.is_empty() {
            return Ok(self.url);
        }
        if after_hosts.contains('@') {
            // What we took for a port, a database or a parameter may be a password: say nothing of it.
            self.errors.clear();
            self.error(
                self.text,
                "there is an `@` behind the hosts; in a user or password write / as %2F, ? as %3F, # as %23, \
                 @ as %40 and % as %25",
            );
        }
        Err(self.errors)
    }

    fn resolve_hosts(&mut self) {
        let mut hosts = std::mem::take(&mut self.hosts);
        if hosts.is_empty() && self.errors.is_empty() {
            let name = usual_socket_folder().display().to_string();
            hosts.push(WrittenHost { offset: 0, name, port: None });
        }
        if self.ports.len() > 1 && self.ports.len() != hosts.len() {
            let message = format!("there are {} ports for {} hosts", self.ports.len(), hosts.len());
            return self.errors.push(UrlError { offset: 0, message });
        }
        for (index, host) in hosts.into_iter().enumerate() {
            let given = self.ports.get(index).or(self.ports.first()).copied();
            match host::named(&host.name, given.or(host.port).unwrap_or(host::DEFAULT_PORT)) {
                Ok(host) => self.url.hosts.push(host),
                Err(reason) => self.errors.push(UrlError { offset: host.offset, message: reason.to_owned() }),
            }
        }
    }

    fn decode(&mut self, text: &str) -> Option<String> {
        match percent_decoded(text) {
            Ok(decoded) => Some(decoded),
            Err(reason) => {
                self.error(text, reason);
                None
            }
        }
    }

    fn error(&mut self, at: &str, message: &str) {
        self.errors.push(UrlError { offset: self.offset(at), message: message.to_owned() });
    }

    /// `part` is a piece of the URL's text.
    fn offset(&self, part: &str) -> usize {
        (part.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize).min(self.text.len())
    }
}

fn percent_decoded(text: &str) -> Result<String, &'static str> {
    let whole = |rest: &str| rest.len() >= 2 && rest.as_bytes()[..2].iter().all(u8::is_ascii_hexdigit);
    if !text.split('%').skip(1).all(whole) {
        return Err("a `%` is not followed by two hexadecimal digits; write `%` itself as %25");
    }
    let decoded = percent_encoding::percent_decode_str(text).decode_utf8();
    match decoded {
        Ok(decoded) if decoded.contains('\0') => Err("%00 is not possible"),
        Ok(decoded) => Ok(decoded.into_owned()),
        Err(_) => Err("what is percent-encoded is not UTF-8"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(name: &str, port: u16) -> Host {
        Host::Tcp(name.to_owned(), port)
    }

    fn unix(folder: &str, port: u16) -> Host {
        Host::Unix(folder.into(), port)
    }

    fn url(identity: &str, hosts: &[Host], database: &str, parameters: &[(&str, &str)]) -> Url {
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let (user, password) = identity.split_once(' ').unwrap_or((identity, ""));
        Url {
            user: some(user),
            password: some(password).map(Secret),
            hosts: hosts.to_vec(),
            database: some(database),
            parameters: parameters
                .iter()
                .map(|(name, value)| Parameter {
                    name: name.to_string(),
                    value: value.to_string(),
                    offset: 0,
                })
                .collect(),
        }
    }

    #[test]
    fn every_form_is_read() {
        let check = |text: &str, expected: Url| {
            let mut read = parse(text).unwrap_or_else(|errors| panic!("{text}: {errors:?}"));
            read.parameters.iter_mut().for_each(|parameter| parameter.offset = 0);
            assert_eq!(read, expected, "{text}");
        };
        let usual = |port| Host::Unix(usual_socket_folder(), port);
        check("postgres://", url("", &[usual(5432)], "", &[]));
        check("postgresql://h", url("", &[tcp("h", 5432)], "", &[]));
        check("postgres://h/", url("", &[tcp("h", 5432)], "", &[]));
        check("postgres:///shop", url("", &[usual(5432)], "shop", &[]));
        check("postgres:///shop?port=5433", url("", &[usual(5433)], "shop", &[]));
        check("postgres://app@h:5433/shop", url("app", &[tcp("h", 5433)], "shop", &[]));
        check("postgres://app:pw@h/shop", url("app pw", &[tcp("h", 5432)], "shop", &[]));
        check("postgres://app:@h/shop", url("app", &[tcp("h", 5432)], "shop", &[]));
        check("postgres://a%40b:p%3A%2F%25@h/my%20db", url("a@b p:/%", &[tcp("h", 5432)], "my db", &[]));
        let three = [tcp("h1", 5433), tcp("h2", 5432), tcp("::1", 5434)];
        check("postgres://app@h1:5433,h2,[::1]:5434/d", url("app", &three, "d", &[]));
        let socket = [unix("/run/postgresql", 5432)];
        check("postgres://app@%2Frun%2Fpostgresql/d", url("app", &socket, "d", &[]));
        check("postgres:///d?host=/run/postgresql&user=app", url("app", &socket, "d", &[]));
        check("postgres://%2Ftmp:5433", url("", &[unix("/tmp", 5433)], "", &[]));
        let two = [unix("/tmp", 1), tcp("h", 2)];
        check("postgres://x/d?host=/tmp,h&port=1,2", url("", &two, "d", &[]));
        check("postgres://h1,h2/d?port=7", url("", &[tcp("h1", 7), tcp("h2", 7)], "d", &[]));
        check("postgres://h?dbname=d&password=p&user=u", url("u p", &[tcp("h", 5432)], "d", &[]));
        let parameters = [("sslmode", "require"), ("options", "-c geqo=off"), ("pool_size", "4")];
        check(
            "postgres://h/d?sslmode=require&options=-c%20geqo%3Doff&&pool_size=4",
            url("", &[tcp("h", 5432)], "d", &parameters),
        );
    }

    #[test]
    fn what_is_wrong_is_said_without_showing_secrets() {
        let spilled = "there is an `@` behind the hosts; in a user or password write / as %2F, ? as %3F, # as %23, \
                       @ as %40 and % as %25";
        let check = |text: &str, expected: &[(usize, &str)]| {
            let errors = parse(text).expect_err(text);
            let read: Vec<_> = errors.iter().map(|error| (error.offset, error.message.as_str())).collect();
            assert_eq!(read, expected, "{text}");
            assert!(!format!("{errors:?}").contains("sekret"), "{errors:?}");
        };
        check("mysql://h", &[(0, "a URL begins with postgres:// or postgresql://")]);
        check("host=h dbname=d", &[(0, "a URL begins with postgres:// or postgresql://")]);
        check("postgres://h:99999/d", &[(11, "a port is not a number from 1 to 65535")]);
        check("postgres://h1,,h2/d", &[(14, "a host is empty")]);
        check("postgres://::1/d", &[(11, "an IPv6 address needs brackets, such as [::1]:5432")]);
        check("postgres://h/d?port=1,2", &[(0, "there are 2 ports for 1 hosts")]);
        check("postgres://:sekret@h/d", &[(0, "there is a password without a user")]);
        check("postgres://h/d?port=x", &[(15, "a port is not a number from 1 to 65535")]);
        let hexadecimal = "a `%` is not followed by two hexadecimal digits; write `%` itself as %25";
        check("postgres://u:sekret%@h/d", &[(13, hexadecimal)]);
        check("postgres://u:p%zzsekret@h/d%1", &[(13, hexadecimal), (26, hexadecimal)]);
        check("postgres://u:%00@h", &[(13, "%00 is not possible")]);
        check("postgres://u:%ff@h", &[(13, "what is percent-encoded is not UTF-8")]);
        let twice = "a host has an `@`; in a URL, write `@` in a user or password as %40";
        check("postgres://u:p@sekret@h/d", &[(15, twice)]);
        check("postgres://u:sekret/x@h/d", &[(0, spilled)]);
        check("postgres://u:sekret?x@h/d", &[(0, spilled)]);
        let equals = "a parameter has no `=`; write name=value, and `?` in a password as %3F";
        check("postgres://h/d?sslmode", &[(15, equals)]);
        check("postgres://h/d?a.b=c", &[(15, "the name of a parameter has only letters, digits and `_`")]);
    }
}
