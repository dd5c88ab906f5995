//! Which proof is asked of which client: rules in the `pg_hba.conf` format (PostgreSQL manual 21.1).
//!
//! The first rule that matches decides, and no rule means no entry, as in PostgreSQL. What cannot be judged here
//! (role membership, host names, regular expressions, methods that need an outside service) is refused when the file is
//! read, never ignored: a rule that silently matches less lets somebody in, or out, against the will of its author.

pub(in crate::auth) mod lines;
mod parse;
mod refusal;

#[cfg(test)]
mod tests;

pub use refusal::Refusal;

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// How the bytes of configuration files are had: reading stays with the caller.
#[derive(Clone, Copy)]
pub struct Sources<'a> {
    /// Gives the text of a file. `NotFound` matters: it is forgiven for `include_if_exists`.
    pub read: &'a dyn Fn(&Path) -> io::Result<String>,
    /// The addresses of this machine and their networks, for `samehost` and `samenet`. Empty: those two are refused.
    pub interfaces: &'a [Network],
}

/// An error in a configuration file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}:{line}: {problem}; {remedy}", file.display())]
pub struct FileError {
    /// The file, as it was named.
    pub file: PathBuf,
    /// The line, from 1; of a line continued by backslashes the first. 0: the file as a whole.
    pub line: usize,
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub remedy: String,
}

/// All rules, in order. Immutable; a reload makes another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    rules: Vec<Rule>,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The file it is in.
    pub file: PathBuf,
    /// The line it begins at.
    pub line: usize,
    /// The kinds of connection it is for.
    pub conn: ConnType,
    /// The databases it is for.
    pub databases: Vec<DatabasePattern>,
    /// The users it is for.
    pub users: Vec<UserPattern>,
    /// The client addresses it is for.
    pub address: AddressPattern,
    /// What is asked of the client.
    pub method: Method,
    /// The `name=value` options.
    pub options: RuleOptions,
}

/// First field of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnType {
    /// `local`: unix socket.
    Local,
    /// `host`: TCP, with or without TLS.
    Host,
    /// `hostssl`: TCP with TLS.
    HostSsl,
    /// `hostnossl`: TCP without TLS.
    HostNoSsl,
    /// `hostgssenc`: matches nobody, as GSSAPI encryption is never spoken.
    HostGssEnc,
    /// `hostnogssenc`: TCP without GSSAPI encryption, so all of TCP.
    HostNoGssEnc,
}

/// An element of the database field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatabasePattern {
    /// `all`: every database, but not physical replication.
    All,
    /// `sameuser`: the database named as the user.
    SameUser,
    /// `replication`: physical replication, and nothing else.
    Replication,
    /// A name.
    Name(String),
}

/// An element of the user field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserPattern {
    /// `all`.
    All,
    /// A name.
    Name(String),
}

/// The address field. `local` rules have `Any`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddressPattern {
    /// `all`, or no address to ask for.
    Any,
    /// Any of these networks.
    Networks(Vec<Network>),
}

/// An address and a mask of the same family. Bits outside the mask do not count, and the mask may have holes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    mask: IpAddr,
}

/// What is asked of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Nothing.
    Trust,
    /// The client is refused.
    Reject,
    /// SCRAM-SHA-256.
    ScramSha256,
    /// md5, or SCRAM where a verifier is stored ([`super::Identity::exchange_for_md5_method`]).
    Md5,
    /// The password in clear.
    Password,
    /// A TLS client certificate that names the user.
    Cert,
    /// The operating system's user at the other end of the unix socket.
    Peer,
}

/// The `name=value` fields of a rule.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuleOptions {
    /// `map`: a map of `pg_ident.conf`, for [`Method::Cert`] and [`Method::Peer`].
    pub map: Option<String>,
    /// `clientcert`; [`Method::Cert`] implies [`ClientCert::VerifyFull`].
    pub client_cert: ClientCert,
    /// `clientname`.
    pub client_name: ClientName,
}

/// What is asked of the client's certificate, in addition to the method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum ClientCert {
    /// Nothing.
    #[default]
    NotAsked,
    /// That a known authority signed it.
    VerifyCa,
    /// That too, and that its name is the user's ([`super::ident::IdentMaps::allows_certificate`]).
    VerifyFull,
}

/// Which name of a certificate counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientName {
    /// `clientname=CN`
    #[default]
    CommonName,
    /// `clientname=DN`, in the form of RFC 2253.
    DistinguishedName,
}

/// How a client is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conn {
    /// Unix socket.
    Local,
    /// TCP without TLS.
    Plain,
    /// TCP with TLS.
    Tls,
}

/// What is known of a client when its method is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request<'a> {
    /// How it is connected.
    pub conn: Conn,
    /// The database it asks for.
    pub database: &'a str,
    /// The user it claims to be.
    pub user: &'a str,
    /// Its address; `None` for [`Conn::Local`].
    pub addr: Option<IpAddr>,
    /// Physical replication (`replication=true`). `replication=database` is an ordinary login, hence `false`.
    pub replication: bool,
}

impl Rules {
    /// Reads a file in `pg_hba.conf` format with all that it includes.
    ///
    /// # Errors
    /// [`FileError`] with file and line of the first error. A file without any rule is an error, as in PostgreSQL.
    pub fn read(path: &Path, sources: &Sources<'_>) -> Result<Self, FileError> {
        let lines = lines::read_lines(path, sources)?;
        if lines.is_empty() {
            return Err(FileError {
                file: path.to_owned(),
                line: 0,
                problem: "the file contains no rules, so nobody could log in".to_owned(),
                remedy: "add a rule, for example: host all all all scram-sha-256".to_owned(),
            });
        }
        let rules = lines.iter().map(|line| parse::rule(line, sources.interfaces));
        Ok(Self { rules: rules.collect::<Result<_, _>>()? })
    }

    /// Everything that is wrong with a file in `pg_hba.conf` format; in how its lines are put together, only what comes first.
    pub fn problems(path: &Path, sources: &Sources<'_>) -> Vec<FileError> {
        match lines::read_lines(path, sources) {
            Ok(lines) if !lines.is_empty() => {
                lines.iter().filter_map(|line| parse::rule(line, sources.interfaces).err()).collect()
            }
            _ => Self::read(path, sources).err().into_iter().collect(),
        }
    }

    /// Rules for when there is no file: `method` for everybody, replication too, from everywhere.
    /// [`Method::Cert`] is asked over TLS only and [`Method::Peer`] on unix sockets only; elsewhere no rule matches then.
    #[must_use]
    pub fn uniform(method: Method) -> Self {
        let types: &[_] = match method {
            Method::Cert => &[ConnType::HostSsl],
            Method::Peer => &[ConnType::Local],
            _ => &[ConnType::Local, ConnType::Host],
        };
        let rule = |&conn: &ConnType| Rule {
            file: PathBuf::from("settings"),
            line: 0,
            conn,
            databases: vec![DatabasePattern::All, DatabasePattern::Replication],
            users: vec![UserPattern::All],
            address: AddressPattern::Any,
            method,
            options: RuleOptions { client_cert: method.implied_client_cert(), ..RuleOptions::default() },
        };
        Self { rules: types.iter().map(rule).collect() }
    }

    /// The rule that decides; `None`: the client is refused ([`Refusal::NoRule`]).
    #[must_use]
    pub fn first_match(&self, request: &Request<'_>) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.matches(request))
    }

    /// All rules, in order.
    #[must_use]
    pub fn as_slice(&self) -> &[Rule] {
        &self.rules
    }
}

impl Rule {
    /// Whether this rule is for this client.
    #[must_use]
    pub fn matches(&self, request: &Request<'_>) -> bool {
        self.conn.matches(request.conn)
            && self.address.matches(request)
            && self.databases.iter().any(|pattern| pattern.matches(request))
            && self.users.iter().any(|pattern| pattern.matches(request.user))
    }
}

impl ConnType {
    fn matches(self, conn: Conn) -> bool {
        match self {
            Self::Local => conn == Conn::Local,
            Self::Host | Self::HostNoGssEnc => conn != Conn::Local,
            Self::HostSsl => conn == Conn::Tls,
            Self::HostNoSsl => conn == Conn::Plain,
            Self::HostGssEnc => false,
        }
    }
}

impl DatabasePattern {
    fn matches(&self, request: &Request<'_>) -> bool {
        match self {
            Self::Replication => request.replication,
            _ if request.replication => false,
            Self::All => true,
            Self::SameUser => request.database == request.user,
            Self::Name(name) => request.database == name,
        }
    }
}

impl UserPattern {
    fn matches(&self, user: &str) -> bool {
        match self {
            Self::All => true,
            Self::Name(name) => user == name,
        }
    }
}

impl AddressPattern {
    fn matches(&self, request: &Request<'_>) -> bool {
        match (self, request.addr) {
            (Self::Any, _) => true,
            (Self::Networks(networks), Some(addr)) => networks.iter().any(|network| network.contains(addr)),
            (Self::Networks(_), None) => false,
        }
    }
}

impl Network {
    /// The network of `address` with the first `prefix` bits; `None` if the family has fewer bits.
    #[must_use]
    pub fn new(address: IpAddr, prefix: u8) -> Option<Self> {
        let mask = match address {
            IpAddr::V4(_) if prefix <= 32 => {
                IpAddr::V4(u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0).into())
            }
            IpAddr::V6(_) if prefix <= 128 => {
                IpAddr::V6(u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0).into())
            }
            _ => return None,
        };
        Some(Self { address, mask })
    }

    /// The network of `address` under `mask`; `None` if they are of different families.
    #[must_use]
    pub fn with_mask(address: IpAddr, mask: IpAddr) -> Option<Self> {
        (address.is_ipv4() == mask.is_ipv4()).then_some(Self { address, mask })
    }

    /// Whether `addr` is inside. An IPv4 address mapped into IPv6 counts as the IPv4 address.
    #[must_use]
    pub fn contains(&self, addr: IpAddr) -> bool {
        match (self.address, self.mask, addr.to_canonical()) {
            (IpAddr::V4(net), IpAddr::V4(mask), IpAddr::V4(addr)) => {
                (net.to_bits() ^ addr.to_bits()) & mask.to_bits() == 0
            }
            (IpAddr::V6(net), IpAddr::V6(mask), IpAddr::V6(addr)) => {
                (net.to_bits() ^ addr.to_bits()) & mask.to_bits() == 0
            }
            _ => false,
        }
    }

    /// The address alone, without its network.
    fn host(&self) -> Self {
        let mask = match self.address {
            IpAddr::V4(_) => IpAddr::V4(u32::MAX.into()),
            IpAddr::V6(_) => IpAddr::V6(u128::MAX.into()),
        };
        Self { address: self.address, mask }
    }
}

impl Method {
    fn implied_client_cert(self) -> ClientCert {
        match self {
            Self::Cert => ClientCert::VerifyFull,
            _ => ClientCert::NotAsked,
        }
    }
}
