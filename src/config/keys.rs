//! Every setting, defined once: key, kind, default, meaning, and when a change takes effect.
//!
//! The reader (`config::file`, `config::written`), the defaults, the sample file and the reference page
//! all come from these tables.

use std::path::PathBuf;

use super::file;
use super::kinds::{self, Context, Given};
use super::settings::{Admin, Auth, ClientTls, History, Limits, Log, Pool, Settings, SlowLog, User};
use super::written::WrittenDatabase;

/// When a changed value takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// At the next reload.
    Reload,
    /// At the next start.
    Restart,
}

/// What there is to say of a key.
#[derive(Debug)]
pub struct Meta {
    /// The key.
    pub name: &'static str,
    /// The kind of its value, in a word.
    pub kind: &'static str,
    /// What it accepts.
    pub accepts: &'static str,
    /// Its default as it would be written in the file; `none` where it is not set.
    pub default: &'static str,
    /// A value to show where there is no default.
    pub example: &'static str,
    /// What it means, by lines.
    pub doc: &'static [&'static str],
    /// When a change takes effect.
    pub effect: Effect,
}

impl Meta {
    /// The default as written, if there is one.
    pub fn default(&self) -> Option<&'static str> {
        Some(self.default).filter(|default| *default != "none")
    }
}

/// A key of a `T`.
pub struct Key<T: 'static> {
    /// What there is to say of it.
    pub meta: Meta,
    set: fn(&mut T, &Given, &Context<'_>) -> Result<(), String>,
}

/// The keys of a section of the file, which describe a `T`.
pub struct Table<T: 'static> {
    /// As in the file; empty for the top level.
    pub name: &'static str,
    /// What it is about, by lines.
    pub about: &'static [&'static str],
    /// Its keys, in the order of the documentation.
    pub keys: &'static [Key<T>],
}

impl<T> Table<T> {
    /// Sets a key. `None`: there is no such key. The error continues a sentence that begins with the key.
    pub fn set(
        &self,
        target: &mut T,
        name: &str,
        given: &Given,
        context: &Context<'_>,
    ) -> Option<Result<(), String>> {
        let key = self.keys.iter().find(|key| key.meta.name == name)?;
        Some((key.set)(target, given, context))
    }

    /// Sets every key that has a default.
    ///
    /// # Panics
    /// When a default in these tables is not a value of its key; a test reads them all.
    pub fn set_defaults(&self, target: &mut T) {
        let context = Context { folder: PathBuf::new(), env: &|_| None };
        for key in self.keys {
            let Some(default) = key.meta.default() else {
                continue;
            };
            let given = file::value(default).unwrap_or(Given::Other("not TOML"));
            if let Err(problem) = (key.set)(target, &given, &context) {
                panic!("the default of {} {problem}", key.meta.name);
            }
        }
    }

    /// The names of its keys.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + use<T> {
        self.keys.iter().map(|key| key.meta.name)
    }

    /// For the documentation: what it is about and its keys.
    pub fn section(&self) -> Section {
        let keys = self.keys.iter().map(|key| &key.meta).collect();
        Section { name: self.name, about: self.about, keys }
    }
}

/// A table without its type.
pub struct Section {
    /// As in the file; empty for the top level.
    pub name: &'static str,
    /// What it is about, by lines.
    pub about: &'static [&'static str],
    /// Its keys.
    pub keys: Vec<&'static Meta>,
}

/// All sections, in the order of the documentation.
pub fn sections() -> Vec<Section> {
    vec![
        TOP.section(),
        TLS.section(),
        AUTH.section(),
        LIMITS.section(),
        ADMIN.section(),
        LOG.section(),
        HISTORY.section(),
        SLOW_LOG.section(),
        POOL.section(),
        DATABASE.section(),
        USER.section(),
    ]
}

macro_rules! example {
    () => {
        ""
    };
    ($example:tt) => {
        stringify!($example)
    };
}

/// `name: KIND = default [, example], Effect, |target| place to set;` under its documentation.
macro_rules! table {
    ($(#[doc = $about:literal])+ $TABLE:ident: $T:ty = $section:literal;
     $($(#[doc = $doc:literal])+ $key:ident: $KIND:ident = $default:tt $(e.g. $example:tt)?, $Effect:ident,
       |$target:ident| $place:expr;)+) => {
        #[doc = concat!("The keys of `[", $section, "]`.")]
        pub static $TABLE: Table<$T> = Table {
            name: $section,
            about: &[$($about),+],
            keys: &[$(Key {
                meta: Meta {
                    name: stringify!($key),
                    kind: kinds::$KIND.name,
                    accepts: kinds::$KIND.accepts,
                    default: stringify!($default),
                    example: example!($($example)?),
                    doc: &[$($doc),+],
                    effect: Effect::$Effect,
                },
                set: |$target, given, context| {
                    $place = From::from(kinds::$KIND.value(given, context)?);
                    Ok(())
                },
            }),+],
        };
    };
}

table! {
    /// Where pgweir is found.
    TOP: Settings = "";
    /// TCP addresses on which clients are accepted. An IPv6 address takes no IPv4: `[::]` wants `0.0.0.0` beside it.
    listen: ADDRESSES = ["127.0.0.1:6432"], Restart, |settings| settings.listen;
    /// Folder in which the unix socket `.s.PGSQL.<port>` is created, with the port of the first `listen`
    /// address. Empty: no unix socket.
    unix_socket_dir: FILE = "" e.g. "/run/postgresql", Restart, |settings| settings.unix_socket_dir;
    /// Address of the HTTP server with `/metrics`, `/health`, `/ready`, and pages for a browser, or `"off"`.
    http: ADDRESS_OR_OFF = "127.0.0.1:6433", Restart, |settings| settings.http_listen;
    /// Data-plane threads; more than needed cost CPU. `"auto"`: a quarter of the machine's cores, one at least.
    workers: WORKERS = "auto", Restart, |settings| settings.workers;
}

table! {
    /// TLS towards clients.
    TLS: ClientTls = "tls";
    /// `disable`; `prefer` (or `allow`): offered, plain text accepted; `require`: plain text over TCP is refused.
    mode: CLIENT_TLS_MODE = "disable", Reload, |tls| tls.mode;
    /// PEM file with the certificate, followed by the intermediate ones.
    cert_file: FILE = "" e.g. "server.crt", Reload, |tls| tls.cert_file;
    /// PEM file with the private key of `cert_file`.
    key_file: FILE = "" e.g. "server.key", Reload, |tls| tls.key_file;
    /// PEM file with the authorities that sign client certificates; needed by the method `cert`.
    ca_file: FILE = "" e.g. "clients-ca.crt", Reload, |tls| tls.ca_file;
}

table! {
    /// How clients prove who they are.
    AUTH: Auth = "auth";
    /// The method when no `hba_file` is given. With `md5`, a user whose password is held as a SCRAM verifier
    /// uses SCRAM. `password` is clear text, and is asked for over TLS or a unix socket only.
    method: AUTH_METHOD = "scram-sha-256", Reload, |auth| auth.method;
    /// A file in `pg_hba.conf` format; its rules replace `method`.
    hba_file: FILE = "" e.g. "pg_hba.conf", Reload, |auth| auth.hba_file;
    /// A file in `pg_ident.conf` format, for the `map=` options of `hba_file`.
    ident_file: FILE = "" e.g. "pg_ident.conf", Reload, |auth| auth.ident_file;
    /// Query that gives a user's name and verifier for `$1`. It is run as `auth_user` on the database asked
    /// for, when a user is not in `[users]`.
    auth_query: TEXT = "" e.g. "SELECT usename, passwd FROM pg_shadow WHERE usename = $1", Reload,
        |auth| auth.auth_query;
    /// The user, of `[users]` or of a database's URL, who runs `auth_query`, or reads `pg_authid` for
    /// `pass_through`. Empty: the user of the URL on the command line, if there is one.
    auth_user: TEXT = "" e.g. "postgres", Reload, |auth| auth.auth_user;
    /// Whether a user that is not in `[users]` is proven against the verifier that the server has, and then
    /// logged in to the server as that user.
    pass_through: BOOL = true, Reload, |auth| auth.pass_through;
}

table! {
    /// Bounds on everything that could grow or wait. An error that comes from one names it.
    LIMITS: Limits = "limits";
    /// From accepting a client to the end of its login.
    login_timeout: DURATION = "15s", Reload, |limits| limits.login_timeout;
    /// Clients that have not yet logged in.
    max_unauthenticated: POSITIVE = 5000, Reload, |limits| limits.max_unauthenticated;
    /// Clients in total. Where it is not written, fewer if the system does not let pgweir open so many files.
    max_clients: POSITIVE = 20000, Reload, |limits| limits.max_clients;
    /// Server connections in total, over all pools. Keep it below the `max_connections` of the server.
    max_servers: POSITIVE = 500, Reload, |limits| limits.max_servers;
    /// Replication connections passed through, over all databases. Each has a server of its own, which counts in
    /// `max_servers` but not in any `pool_size`. Keep it below the `max_wal_senders` of the server. 0: none.
    max_replication: COUNT = 10, Reload, |limits| limits.max_replication;
    /// Sessions that wait for a server, per pool. One more is refused (53300).
    queue_length: COUNT = 10000, Reload, |limits| limits.queue_length;
    /// How long a session waits for a server.
    queue_timeout: DURATION = "30s", Reload, |limits| limits.queue_timeout;
    /// How long connecting and logging in to a server may take.
    connect_timeout: DURATION = "5s", Reload, |limits| limits.connect_timeout;
    /// The longest message that is held in memory as a whole. A longer one is relayed in pieces, or refused
    /// (54000) where it must be seen whole.
    max_held_message: SIZE = "16MB", Reload, |limits| limits.max_held_message;
    /// Prepared statements kept per server; the least recently used is closed first.
    prepared_per_server: POSITIVE = 500, Reload, |limits| limits.prepared_per_server;
    /// Prepared statements per session.
    prepared_per_session: POSITIVE = 2000, Reload, |limits| limits.prepared_per_session;
    /// Memory for results that rules keep (`cache`), over all databases; besides, 8MB once something is kept.
    cache_size: SIZE = "64MB", Restart, |limits| limits.cache_size;
    /// Which share of the answers out of the cache is run again on the primary, in the background, and compared: what differs though nothing has changed is an
    /// alarm. For rules that do not say (`verify`). It takes up to two connections for each worker, beside all pools. 0%: none.
    cache_verify: PERCENTAGE = "0%" e.g. "0.1%", Reload, |limits| limits.cache_verify;
    /// Clients that do nothing for this long are closed.
    client_idle_timeout: DURATION_OR_NEVER = "never", Reload, |limits| limits.client_idle_timeout;
    /// Sessions that do nothing in a transaction for this long are ended.
    idle_in_transaction_timeout: DURATION_OR_NEVER = "never", Reload,
        |limits| limits.idle_in_transaction_timeout;
    /// How long a graceful stop waits for transactions to end.
    drain_timeout: DURATION_OR_ZERO = "30s", Reload, |limits| limits.drain_timeout;
}

table! {
    /// The console: connect to the database `pgweir` (or `pgbouncer`).
    ADMIN: Admin = "admin";
    /// Users who may give every command.
    admin_users: NAMES = [] e.g. ["postgres"], Reload, |admin| admin.admin_users;
    /// Users who may only use `SHOW`, and see the pages.
    stats_users: NAMES = [] e.g. ["monitoring"], Reload, |admin| admin.stats_users;
}

table! {
    /// How log events are written, a line an event, to standard error.
    LOG: Log = "log";
    /// `text` or `json`.
    format: LOG_FORMAT = "text", Restart, |log| log.json;
    /// `error`, `warn`, `info`, `debug` or `trace`.
    level: LOG_LEVEL = "info", Reload, |log| log.level;
}

table! {
    /// What statements cost, by shape: counted, shown on the console (`SHOW STATEMENTS`), and kept in a file of pgweir's own, or in a PostgreSQL for a fleet.
    HISTORY: History = "history";
    /// The file; `--store` wins over it. Empty: nothing is kept. Several pgweirs may have one file.
    store: FILE = "" e.g. "/var/lib/pgweir/history.db", Restart, |history| history.store;
    /// A database that a fleet of pgweirs keeps its history in, instead of a file: `postgres://user:password@host/database`. TLS is said as in a database's URL.
    /// Each count says which pgweir it is of (`instance`). Not beside `store`; `--store`, which takes a URL too, wins over both.
    url: SECRET = "" e.g. "env:PGWEIR_HISTORY_URL", Restart, |history| history.url;
    /// Whether statements are counted: `auto`: where there is a place to keep it in, or a slow-query log; `on`; `off`.
    capture: CAPTURE = "auto", Reload, |history| history.capture;
    /// How often what was counted is gathered and written. A crash loses no more than that.
    interval: DURATION = "10s", Reload, |history| history.interval;
    /// Shapes counted by themselves, for each user, database and application: those that take longest in all. The rest is counted together.
    statements: POSITIVE = 1000, Reload, |history| history.statements;
    /// How long it is kept: by the minute for six hours, by the hour for seven days, then by the day.
    keep: DURATION = "30d", Reload, |history| history.keep;
    /// How large the file, or all of a fleet's counts, may become. When it is larger, the oldest goes. At least 1MB.
    max_size: SIZE = "256MB", Reload, |history| history.max_size;
    /// The name of this pgweir in the history. Empty: the machine's, and the port of the first `listen` address.
    instance: TEXT = "" e.g. "proxy-1", Restart, |history| history.instance;
    /// Statements of each shape that are held with their values, for advice: 12 at most. They never leave the memory in clear, but for `clear_values`. 0: none.
    samples: COUNT = 12, Reload, |history| history.samples;
    /// Memory for them, of each worker and of all together. Where there is more, the shapes that cost most have theirs.
    sample_memory: SIZE = "8MB", Reload, |history| history.sample_memory;
    /// Columns whose values may be in the history as they are: `table.column`, `column` in any table, or `*` for all values. Of values that stand beside others there is a hash only.
    clear_values: NAMES = [] e.g. ["orders.status", "country"], Reload, |history| history.clear_values;
    /// Names of the tags in comments (sqlcommenter) that say where a statement is sent from. What else stands in comments is never kept. Empty: none.
    tags: NAMES = ["application", "controller", "action", "route", "job"], Reload, |history| history.tags;
    /// How often each database is asked what would help its statements, where statements are counted: by EXPLAIN and questions to its catalogs, on a connection of its own, when no session waits. `never`: it is not.
    advise: DURATION_OR_NEVER = "1h", Reload, |history| history.advise;
}

table! {
    /// The slow-query log: a line for each statement that takes long, without its values.
    SLOW_LOG: SlowLog = "slow_log";
    /// The file; one that is called `stdout` or `stderr` is that stream. SIGHUP opens it again. Empty: there is no such log.
    file: FILE = "" e.g. "/var/log/pgweir/slow.log", Reload, |slow| slow.file;
    /// `json`: an object a line; `text`: `name=value` with blanks between.
    format: LOG_FORMAT = "json", Reload, |slow| slow.json;
    /// Statements that take so long get a line. A rule may say otherwise of some (`slow`). 0s: none, but for rules and `relative`.
    threshold: DURATION_OR_ZERO = "500ms", Reload, |slow| slow.threshold;
    /// So do those that take so many times as long as 95 % of their shape lately have taken. 0: none.
    relative: COUNT = 0 e.g. 3, Reload, |slow| slow.relative;
    /// But not those that take less than this.
    relative_from: DURATION = "20ms", Reload, |slow| slow.relative_from;
    /// So many lines a second at most. The log and `pgweir_slow_log_dropped_total` say how many were left out.
    rate: POSITIVE = 100, Reload, |slow| slow.rate;
    /// When the file is larger, another is begun, and the old one is called `.1`, the one before `.2`, and so on.
    max_size: SIZE = "64MB", Reload, |slow| slow.max_size;
    /// When it is older, too.
    max_age: DURATION_OR_NEVER = "1d", Reload, |slow| slow.max_age;
    /// How many old ones are kept.
    keep: COUNT = 7, Reload, |slow| slow.keep;
}

table! {
    /// Pools, for all databases. Every key may also stand in a database, and in a URL as a parameter.
    POOL: Pool = "pool";
    /// When a server goes back to the pool: `transaction`: at the end of each transaction; `session`: when the
    /// client leaves; `statement`: after each statement, and explicit transactions are refused. A client chooses for its
    /// connection by `options=-c pgweir.pool_mode=session`.
    pool_mode: POOL_MODE = "transaction", Reload, |pool| pool.mode;
    /// Servers for each pair of database and user.
    pool_size: POSITIVE = 16, Reload, |pool| pool.size;
    /// Servers kept even when idle, for each pair of database and user.
    min_idle: COUNT = 0, Reload, |pool| pool.min_idle;
    /// A server older than this is closed when it is given back.
    lifetime: DURATION = "1h", Reload, |pool| pool.lifetime;
    /// A server idle for longer than this is closed.
    idle_timeout: DURATION = "10m", Reload, |pool| pool.idle_timeout;
    /// What happens when a session makes state that cannot follow it to another server (a temporary table,
    /// say): `pin`: it keeps its server for as long as it must; `refuse`: the statement is refused (0A000).
    /// Without meaning in the pool mode `session`.
    pins: PINS = "pin", Reload, |pool| pool.pins;
    /// Whether a `BEGIN` that comes alone, as a query or as a batch, is held back until the first statement of the transaction.
    defer_begin: BOOL = true, Reload, |pool| pool.defer_begin;
    /// When a read that is known to be short is sent behind another session's on a server that is at work, instead of
    /// waking one more: `auto`: when statements take longer the more servers work, and it is found to cost less: both are
    /// tried every few seconds; `always`: whenever there is one to go behind; `off`: never. In the pool mode `transaction`,
    /// for reads outside of transactions, by simple query or by a statement that is prepared under a name.
    share_servers: SHARING = "auto", Reload, |pool| pool.share_servers;
}

table! {
    /// A database as clients name it; `[databases."*"]` is for every name that is not there. It needs a `url`
    /// or `hosts`; the other keys may also stand beside the `url`, and win over it.
    DATABASE: WrittenDatabase = "databases.NAME";
    /// Everything in one: `postgres://user:password@host1,host2:5433/database?pool_size=20`. Its user may log
    /// in to pgweir with its password.
    url: SECRET = none e.g. "postgres://app:secret@10.0.0.1,10.0.0.2/shop", Reload, |database| database.url;
    /// The hosts that may serve it, in order of preference: `name`, `name:port`, `[::1]:port`, or the folder
    /// of a unix socket.
    hosts: HOSTS = none e.g. ["10.0.0.1:5432", "10.0.0.2"], Reload, |database| database.hosts;
    /// Its name on the server, when that is another.
    database: TEXT = none e.g. "shop", Reload, |database| database.database;
    /// A user who may log in to pgweir with `password`, and as whom pgweir itself logs in to this database.
    user: TEXT = none e.g. "report", Reload, |database| database.user;
    /// The password of `user`.
    password: SECRET = none e.g. "report-secret", Reload, |database| database.password;
    /// The user (as `user` here, or in `[users]`) as whom servers are logged in to, whoever the client is.
    /// Not set: as the client's user.
    server_user: TEXT = none e.g. "report", Reload, |database| database.server_user;
    /// The user (as `user` here, or in `[users]`) who follows changes for results that rules keep (`cache`): it needs REPLICATION, and to own
    /// the tables or be a member of the roles that do. Not set: whoever's read is kept first.
    stream_user: TEXT = none e.g. "pgweir_stream", Reload, |database| database.stream_user;
    /// Which of the hosts to take: `any`, `read-write`, `read-only`, `primary`, `standby`, `prefer-standby`. A server whose node
    /// does not suit any more, such as a standby that was promoted, is replaced before it is lent again.
    target_session_attrs: TARGET = "any", Reload, |database| database.target;
    /// TLS towards the server: `disable`, `allow`, `prefer`, `require`, `verify-ca`, `verify-full`. With `sslrootcert`, `prefer` and
    /// `require` verify the certificate's authority too. What is verified must be an X.509 certificate of version 3; version 1, which
    /// `openssl x509 -req` makes without `-extfile`, will do where nothing is verified. Where TLS fails, `prefer` goes on without it, and
    /// says so in the log once for each host.
    sslmode: SSLMODE = "prefer", Reload, |database| database.tls.mode;
    /// PEM file with the authorities that sign the server's certificate; not set: the system's.
    sslrootcert: FILE = none e.g. "servers-ca.crt", Reload, |database| database.tls.ca_file;
    /// PEM file with the certificate that pgweir shows to the server.
    sslcert: FILE = none e.g. "pgweir.crt", Reload, |database| database.tls.cert_file;
    /// PEM file with the key of `sslcert`.
    sslkey: FILE = none e.g. "pgweir.key", Reload, |database| database.tls.key_file;
    /// `postgres`: TLS is asked for first; `direct`: it begins at once (PostgreSQL 17).
    sslnegotiation: SSLNEGOTIATION = "postgres", Reload, |database| database.tls.direct;
    /// Whether SCRAM logins to the server are tied to their TLS connection, so that nobody can stand in between: `prefer`: where the
    /// server can; `require`: there is no login without; `disable`: they are not.
    channel_binding: BINDING = "prefer", Reload, |database| database.tls.binding;
    /// `application_name` of server connections whose client gives none.
    application_name: TEXT = none e.g. "pgweir", Reload, |database| database.application_name;
    /// Settings for server connections, as in libpq.
    options: OPTIONS = none e.g. "-c statement_timeout=5min", Reload, |database| database.options;
    /// Overrides `connect_timeout` of `[limits]`.
    connect_timeout: CONNECT_TIMEOUT = none e.g. "2s", Reload, |database| database.connect_timeout;
    /// Overrides `queue_timeout` of `[limits]`.
    queue_timeout: DURATION = none e.g. "10s", Reload, |database| database.queue_timeout;
    /// Where reads go: `primary`: where everything goes; `replicas`: nodes are watched, and reads may go to those
    /// that follow the primary. The nodes are `hosts` (which of them is the primary is found out) and `replicas`;
    /// `target_session_attrs` is then `primary` if nothing is said.
    reads: READS = "primary", Reload, |database| database.reads.to_replicas;
    /// More hosts, written as in `hosts`, for reads only: nothing else ever goes there, whatever becomes of them.
    replicas: SOME_HOSTS = [] e.g. ["10.0.0.3", "10.0.0.4"], Reload, |database| database.reads.replicas;
    /// How a replica is chosen: `latency`: by how fast it answers; `round-robin`; `weighted`; `least-in-flight`;
    /// `client-hash`: the same one for a client's address.
    balance: BALANCE = "latency", Reload, |database| database.reads.balance;
    /// Shares of hosts, each 1 if nothing is said: the host as in `hosts`, `=`, and a whole number.
    weights: WEIGHTS = none e.g. ["10.0.0.2=3"], Reload, |database| database.reads.weights;
    /// Where hosts are, in words of your own: the host as in `hosts`, `=`, and its zone.
    zones: ZONES = none e.g. ["10.0.0.1=eu-1a", "10.0.0.2=eu-1b"], Reload, |database| database.reads.zones;
    /// The zone of pgweir itself. Replicas in it are preferred: others get reads when none in it will do.
    zone: TEXT = none e.g. "eu-1a", Reload, |database| database.reads.zone;
    /// What reads from replicas promise: `session`: a session sees what it wrote, and never less than it saw;
    /// `bounded:500ms`: data are never older; `any`: nothing; `primary`: the primary answers.
    consistency: CONSISTENCY = "session" e.g. "bounded:500ms", Reload, |database| database.reads.consistency;
    /// How long a read may wait for a replica that will do, before it goes to the primary.
    replica_wait: DURATION_OR_ZERO = "0s" e.g. "5ms", Reload, |database| database.reads.replica_wait;
    /// Which explicit transactions that only read (`BEGIN READ ONLY`, or `default_transaction_read_only`) go to a replica, if their first
    /// statement is a read: `primary`: none; `read-committed`: those at that level, which go on at the primary as soon as a replica will not
    /// do; `all`: those at `REPEATABLE READ` too, which stay where they are once they have read: what a standby cannot do fails.
    read_only_transactions: TRANSACTIONS = "read-committed", Reload, |database| database.reads.transactions;
    /// A replica whose data are older gets no reads, whatever the level.
    max_replica_lag: DURATION_OR_NEVER = "never" e.g. "30s", Reload, |database| database.reads.max_replica_lag;
    /// How often nodes are asked where they are. They are asked more often while reads wait for it.
    check_interval: DURATION = "1s", Reload, |database| database.reads.check_interval;
}

table! {
    /// A user who may log in to pgweir.
    USER: User = "users.NAME";
    /// A plain password, `md5...`, or a SCRAM verifier (`SCRAM-SHA-256$...`). Not set: no login by password.
    password: SECRET = none e.g. "monitoring-secret", Reload, |user| user.password;
    /// Overrides the database's `pool_mode`.
    pool_mode: POOL_MODE = none e.g. "session", Reload, |user| user.pool_mode;
    /// Overrides the database's `pool_size`.
    pool_size: POSITIVE = none e.g. 4, Reload, |user| user.pool_size;
    /// Clients logged in as this user at once.
    max_clients: POSITIVE = none e.g. 200, Reload, |user| user.max_clients;
    /// Overrides the database's `consistency` for this user's reads. A session's own (`SET pgweir.consistency`) and a rule's come before it.
    consistency: CONSISTENCY = none e.g. "any", Reload, |user| user.consistency;
}
