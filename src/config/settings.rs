//! Settings as used: immutable, complete, swapped whole on reload.
//!
//! Everything here has passed the checks of the reader (`config::file`, `config::url`): a value that
//! is in a [`Settings`] cannot be wrong by itself. Durations and sizes carry their unit in the type.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use crate::level::Level;
use crate::plan::balance::Strategy;
use crate::plan::topology::Transactions;

/// All that the process needs to run.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// TCP addresses on which clients are accepted.
    pub listen: Vec<SocketAddr>,
    /// Folder in which the unix socket `.s.PGSQL.<port>` is created; `None`: no unix socket.
    pub unix_socket_dir: Option<PathBuf>,
    /// Address of the HTTP server (`/metrics`, `/health`, `/ready`); `None`: no HTTP.
    pub http_listen: Option<SocketAddr>,
    /// Data-plane threads.
    pub workers: usize,
    /// TLS towards clients.
    pub client_tls: ClientTls,
    /// How clients prove who they are.
    pub auth: Auth,
    /// Bounds on everything that could grow or wait.
    pub limits: Limits,
    /// Console users: who may give commands, who may only look.
    pub admin: Admin,
    /// What the pools of databases are where nothing else is said of them.
    pub pool: Pool,
    /// Databases that clients may name, by that name. `"*"` is the fallback for every other name.
    pub databases: BTreeMap<String, Database>,
    /// Users known from the settings, by name.
    pub users: BTreeMap<String, User>,
    /// How log events are written.
    pub log: Log,
    /// What is kept of what statements cost.
    pub history: History,
    /// Which slow statements get a line, and where.
    pub slow_log: SlowLog,
}

impl Settings {
    /// Whether statements are counted.
    pub fn counts(&self) -> bool {
        match self.history.capture {
            Capture::Auto => {
                let history = &self.history;
                history.store.is_some() || history.url.is_some() || self.slow_log.file.is_some()
            }
            Capture::On => true,
            Capture::Off => false,
        }
    }
}

/// TLS towards clients.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ClientTls {
    /// `disable`, `allow`/`prefer` (offer it), or `require`.
    pub mode: ClientTlsMode,
    /// PEM file with the certificate chain.
    pub cert_file: Option<PathBuf>,
    /// PEM file with the private key.
    pub key_file: Option<PathBuf>,
    /// PEM file with the authorities that sign client certificates.
    pub ca_file: Option<PathBuf>,
}

/// Whether clients may, or must, use TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientTlsMode {
    /// SSLRequest is answered `N`.
    #[default]
    Disable,
    /// TLS is offered, plain text accepted.
    Prefer,
    /// Plain text over TCP is refused with 28000.
    Require,
}

/// How clients prove who they are.
#[derive(Debug, Clone, PartialEq)]
pub struct Auth {
    /// The method used when no HBA file is given.
    pub method: AuthMethod,
    /// A file in `pg_hba.conf` format; its rules replace `method`.
    pub hba_file: Option<PathBuf>,
    /// A file in `pg_ident.conf` format, for `map=` options.
    pub ident_file: Option<PathBuf>,
    /// Query that gives `(user name, verifier)` for `$1`, run as `auth_user` on the database asked for.
    pub auth_query: Option<String>,
    /// The settings' user (a key of `users`) that runs `auth_query`, or reads `pg_authid` for pass-through.
    pub auth_user: Option<String>,
    /// Whether users that the settings do not know are proven against the server's own verifier.
    pub pass_through: bool,
}

impl Auth {
    /// Whether every client has to prove who it is by a password.
    pub fn asks_for_passwords(&self) -> bool {
        self.hba_file.is_none() && !matches!(self.method, AuthMethod::Trust | AuthMethod::Cert)
    }
}

/// Authentication methods towards clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthMethod {
    /// No proof.
    Trust,
    /// SCRAM-SHA-256, or -PLUS over TLS.
    ScramSha256,
    /// md5 (SCRAM is used instead where the identity holds a SCRAM verifier, as PostgreSQL does).
    Md5,
    /// Clear text; over TLS only, unless the socket is a unix one.
    Password,
    /// A client certificate signed by `client_tls.ca_file`.
    Cert,
}

/// Bounds. Hitting one gives an error that names it.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// From accept to the end of the login.
    pub login_timeout: Duration,
    /// Sockets that have not yet logged in.
    pub max_unauthenticated: usize,
    /// Clients in total.
    pub max_clients: usize,
    /// Server connections in total.
    pub max_servers: usize,
    /// Replication connections passed through, over all databases; each is a server connection too.
    pub max_replication: usize,
    /// Sessions waiting for a server, per pool.
    pub queue_length: usize,
    /// How long a session waits for a server.
    pub queue_timeout: Duration,
    /// How long connecting and logging in to a server may take.
    pub connect_timeout: Duration,
    /// The longest message held in memory as a whole; longer ones are relayed in pieces or refused (54000).
    pub max_held_message: usize,
    /// Prepared statements kept per server, least recently used closed first.
    pub prepared_per_server: usize,
    /// Prepared statements per session.
    pub prepared_per_session: usize,
    /// Bytes for results that rules keep, over all databases.
    pub cache_size: usize,
    /// Which share of hits is compared with the primary where a rule does not say, in hundredths of a percent.
    pub cache_verify: u16,
    /// Idle clients are closed after this time; `None`: never.
    pub client_idle_timeout: Option<Duration>,
    /// A session idle in a transaction is ended after this time; `None`: never.
    pub idle_in_transaction_timeout: Option<Duration>,
    /// How long a graceful stop waits for transactions to end.
    pub drain_timeout: Duration,
}

/// Console users.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Admin {
    /// May give every command.
    pub admin_users: Vec<String>,
    /// May only use `SHOW`.
    pub stats_users: Vec<String>,
}

/// One database as clients name it.
#[derive(Debug, Clone, PartialEq)]
pub struct Database {
    /// The hosts that may serve it, in order of preference.
    pub hosts: Vec<Host>,
    /// Its name on the server; `None`: the name the client gave.
    pub server_database: Option<String>,
    /// Which host to take.
    pub target: TargetSessionAttrs,
    /// TLS towards the server.
    pub tls: ServerTls,
    /// Log in to the server as this user of `users` whoever the client is; `None`: as the client's user.
    pub server_user: Option<String>,
    /// The user of `users` who follows changes for the result cache; `None`: whoever's read is kept first.
    pub stream_user: Option<String>,
    /// Pool settings of this database; users and connections may override the mode.
    pub pool: Pool,
    /// Settings given to every server connection at start-up.
    pub server_options: BTreeMap<String, String>,
    /// The users of `users` as whom `pgweir check` may log in here, the likeliest first: `server_user`, or the URL's
    /// user, or else whoever is known and not there for the console. Empty: nobody is known.
    pub probe_users: Vec<String>,
    /// Overrides `limits.connect_timeout`.
    pub connect_timeout: Option<Duration>,
    /// Overrides `limits.queue_timeout`.
    pub queue_timeout: Option<Duration>,
    /// Its nodes beyond `hosts`, and how reads are spread over them.
    pub reads: Reads,
}

/// Where the reads of a database go.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Reads {
    /// To replicas where that is right; else everything goes where `hosts` and the target lead.
    pub to_replicas: bool,
    /// Hosts that are for reads only, beside the database's.
    pub replicas: Vec<Host>,
    /// Shares of hosts that are not 1.
    pub weights: Vec<(Host, u32)>,
    /// Where hosts are.
    pub zones: Vec<(Host, String)>,
    /// Where pgweir is.
    pub zone: Option<String>,
    /// How a replica is chosen.
    pub balance: Strategy,
    /// What reads promise.
    pub consistency: Level,
    /// How long a read may wait for a replica to catch up.
    pub replica_wait: Duration,
    /// Which transactions that only read may be on replicas.
    pub transactions: Transactions,
    /// How old a replica's data may be at any level; `None`: however old.
    pub max_replica_lag: Option<Duration>,
    /// How often nodes are asked where they are.
    pub check_interval: Duration,
}

impl Database {
    /// Every node: the hosts, then those for reads only.
    pub fn nodes(&self) -> impl Iterator<Item = &Host> {
        self.hosts.iter().chain(&self.reads.replicas)
    }
}

/// An address of a PostgreSQL node.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Host {
    /// Host name or address, and port.
    Tcp(String, u16),
    /// Folder of the unix socket, and port.
    Unix(PathBuf, u16),
}

/// As in libpq.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TargetSessionAttrs {
    /// The first that answers.
    #[default]
    Any,
    /// One that accepts writes (`default_transaction_read_only` off and not in hot standby).
    ReadWrite,
    /// One that does not.
    ReadOnly,
    /// One that is not in hot standby.
    Primary,
    /// One in hot standby.
    Standby,
    /// A standby if there is one, else any.
    PreferStandby,
}

/// TLS towards a server, as libpq's `sslmode`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ServerTls {
    /// The mode.
    pub mode: SslMode,
    /// PEM file with authorities; `None`: the system's.
    pub ca_file: Option<PathBuf>,
    /// Client certificate chain and key, PEM.
    pub cert_file: Option<PathBuf>,
    /// The key of `cert_file`.
    pub key_file: Option<PathBuf>,
    /// `sslnegotiation=direct`.
    pub direct: bool,
    /// Whether the login is tied to the TLS connection.
    pub binding: Binding,
}

/// As libpq's `channel_binding`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Binding {
    /// Never.
    Disable,
    /// Where both sides can.
    #[default]
    Prefer,
    /// Always, or there is no login.
    Require,
}

/// As libpq's `sslmode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, PartialOrd, Ord)]
pub enum SslMode {
    /// Never.
    Disable,
    /// Plain first, TLS if that is refused.
    Allow,
    /// TLS if the server offers it.
    #[default]
    Prefer,
    /// TLS, any certificate.
    Require,
    /// TLS, certificate signed by a known authority.
    VerifyCa,
    /// And the certificate names the host.
    VerifyFull,
}

/// Pool settings.
#[derive(Debug, Clone, PartialEq)]
pub struct Pool {
    /// When a server goes back to the pool.
    pub mode: PoolMode,
    /// Servers per (database, user).
    pub size: usize,
    /// Servers kept even when idle.
    pub min_idle: usize,
    /// A server older than this is closed when it is given back.
    pub lifetime: Duration,
    /// A server idle for longer is closed.
    pub idle_timeout: Duration,
    /// Whether what cannot follow the session pins it to its server, or is refused.
    pub pins: PinPolicy,
    /// Whether `BEGIN` is held back until the first statement.
    pub defer_begin: bool,
    /// When short reads of several sessions are under way on one server, one behind the other.
    pub share_servers: Sharing,
}

/// When a server goes back to the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum PoolMode {
    /// When the client leaves.
    Session,
    /// At the end of each transaction.
    #[default]
    Transaction,
    /// After each statement; explicit transactions are refused.
    Statement,
}

/// What happens to a session that makes state which cannot follow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PinPolicy {
    /// It keeps its server for as long as it must.
    #[default]
    Pin,
    /// The statement is refused (0A000) with a hint.
    Refuse,
}

/// When short reads of several sessions are under way on one server, one behind the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sharing {
    /// When statements take longer because so many servers are at work.
    #[default]
    Auto,
    /// Whenever a server is at work on one.
    Always,
    /// Never.
    Off,
}

/// A user known from the settings.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct User {
    /// Plain password, `md5...` or a SCRAM verifier (`SCRAM-SHA-256$...`); `None`: cannot log in by password.
    pub password: Option<Secret>,
    /// Overrides the database's mode.
    pub pool_mode: Option<PoolMode>,
    /// Overrides the database's pool size.
    pub pool_size: Option<usize>,
    /// Clients logged in as this user.
    pub max_clients: Option<usize>,
    /// What this user's reads from replicas promise, whatever the database says.
    pub consistency: Option<Level>,
}

/// A password or verifier. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(secret)")
    }
}

/// How log events are written.
#[derive(Debug, Clone, PartialEq)]
pub struct Log {
    /// Text or JSON, a line an event.
    pub json: bool,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: String,
}

/// What is kept of what statements cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// The file; `None`: nothing is kept.
    pub store: Option<PathBuf>,
    /// The database of a fleet, in place of a file; it may hold a password.
    pub url: Option<Secret>,
    /// Whether statements are counted.
    pub capture: Capture,
    /// How often what was counted is gathered.
    pub interval: Duration,
    /// Shapes counted by themselves.
    pub statements: usize,
    /// How long it is kept.
    pub keep: Duration,
    /// Bytes that the file may have.
    pub max_size: usize,
    /// The name of this pgweir in the file; `None`: one is made.
    pub instance: Option<String>,
    /// Statements of each shape with their values; 0: none.
    pub samples: usize,
    /// Bytes for them.
    pub sample_memory: usize,
    /// Columns whose values may be in the file.
    pub clear_values: Vec<String>,
    /// Tags that say where a statement is sent from.
    pub tags: Vec<String>,
    /// How often databases are asked for advice; `None`: never.
    pub advise: Option<Duration>,
}

/// The slow-query log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlowLog {
    /// The file; `None`: there is no such log.
    pub file: Option<PathBuf>,
    /// Text or JSON.
    pub json: bool,
    /// From how long on; zero: never.
    pub threshold: Duration,
    /// From how many times on what is usual; 0: never.
    pub relative: usize,
    /// But not before this.
    pub relative_from: Duration,
    /// Lines a second.
    pub rate: usize,
    /// Bytes that a file may have.
    pub max_size: usize,
    /// How old one may be.
    pub max_age: Option<Duration>,
    /// Old ones that are kept.
    pub keep: usize,
}

/// Whether statements are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Capture {
    /// Where there is a file to keep it in, or a slow-query log.
    #[default]
    Auto,
    /// They are.
    On,
    /// They are not.
    Off,
}
