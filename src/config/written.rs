//! Settings as written: what file, URL and flags say, before it is complete and checked.

use std::collections::BTreeMap;
use std::time::Duration;

use super::keys;
use super::kinds::{Context, Given};
use super::place::{ConfigError, Origin, Origins};
use super::settings::{
    Admin, Auth, AuthMethod, Capture, ClientTls, Database, History, Host, Limits, Log, Pool, Reads, Secret,
    ServerTls, Settings, SlowLog, TargetSessionAttrs, User,
};
use super::url::Url;
use crate::auth::StoredSecret;

/// A database as written.
#[derive(Debug, Clone, Default)]
pub struct WrittenDatabase {
    /// The URL, still as text; it holds a password.
    pub url: Option<Secret>,
    /// Its hosts.
    pub hosts: Vec<Host>,
    /// Its name on the server.
    pub database: Option<String>,
    /// The user that comes with it.
    pub user: Option<String>,
    /// That user's password.
    pub password: Option<Secret>,
    /// The user for all its servers.
    pub server_user: Option<String>,
    /// Who follows changes for the cache.
    pub stream_user: Option<String>,
    /// Which host to take.
    pub target: TargetSessionAttrs,
    /// TLS towards the server.
    pub tls: ServerTls,
    /// The servers' `application_name`.
    pub application_name: Option<String>,
    /// The servers' settings.
    pub options: BTreeMap<String, String>,
    /// Overrides the limit.
    pub connect_timeout: Option<Duration>,
    /// Overrides the limit.
    pub queue_timeout: Option<Duration>,
    /// Its pool settings.
    pub pool: Pool,
    /// Where its reads go.
    pub reads: Reads,
}

/// Keys that a URL says otherwise, or must not say.
const NOT_IN_A_URL: [&str; 7] =
    ["url", "hosts", "database", "user", "password", "server_user", "stream_user"];

impl WrittenDatabase {
    /// One about which nothing has been said, except `pool`.
    pub fn new(pool: &Pool) -> Self {
        let mut database = Self { pool: pool.clone(), ..Self::default() };
        keys::DATABASE.set_defaults(&mut database);
        database
    }

    /// Sets a key of the file's `[databases.NAME]`. `None`: there is no such key.
    pub fn set(&mut self, name: &str, given: &Given, context: &Context<'_>) -> Option<Result<(), String>> {
        keys::DATABASE
            .set(self, name, given, context)
            .or_else(|| keys::POOL.set(&mut self.pool, name, given, context))
    }

    /// Sets a parameter of a URL. `None`: there is no such parameter.
    pub fn set_parameter(
        &mut self,
        name: &str,
        value: &str,
        context: &Context<'_>,
    ) -> Option<Result<(), String>> {
        if NOT_IN_A_URL.contains(&name) {
            return None;
        }
        self.set(name, &Given::Word(value.to_owned()), context)
    }

    /// Takes over what the URL says beside its parameters.
    pub fn set_identity(&mut self, url: &Url) {
        self.hosts.clone_from(&url.hosts);
        if url.database.is_some() {
            self.database.clone_from(&url.database);
        }
        if url.user.is_some() {
            self.user.clone_from(&url.user);
            self.password.clone_from(&url.password);
        }
    }

    /// The keys of `[databases.NAME]`.
    pub fn keys() -> impl Iterator<Item = &'static str> {
        keys::DATABASE.names().chain(keys::POOL.names())
    }

    /// The parameters that a URL may have beside libpq's for host and identity.
    pub fn parameters() -> impl Iterator<Item = &'static str> {
        Self::keys().filter(|name| !NOT_IN_A_URL.contains(name))
    }

    fn used(self) -> Database {
        let mut server_options = self.options;
        if let Some(name) = self.application_name {
            server_options.insert("application_name".to_owned(), name);
        }
        // With replicas among the hosts, the first that answers will not do for everything.
        let target = match self.target {
            TargetSessionAttrs::Any if self.reads.to_replicas => TargetSessionAttrs::Primary,
            target => target,
        };
        Database {
            hosts: self.hosts,
            server_database: self.database,
            target,
            tls: self.tls,
            probe_users: self.server_user.clone().or(self.user).into_iter().collect(),
            server_user: self.server_user,
            stream_user: self.stream_user,
            pool: self.pool,
            server_options,
            connect_timeout: self.connect_timeout,
            queue_timeout: self.queue_timeout,
            reads: self.reads,
        }
    }
}

/// Everything that has been said, and what is wrong with it.
#[derive(Default)]
pub struct Written {
    /// Settings that need no completion; its databases are empty until the end.
    pub settings: Settings,
    /// Pool settings that databases start from.
    pub pool: Pool,
    /// The databases.
    pub databases: BTreeMap<String, WrittenDatabase>,
    /// The databases that the URL on the command line gave; their user wins over the file's.
    pub command_line: Vec<String>,
    /// Where it was said.
    pub origins: Origins,
    /// What is wrong.
    pub errors: Vec<ConfigError>,
    /// What is right and does nothing, or not what one might think.
    pub notes: Vec<ConfigError>,
}

impl Written {
    /// Notes an error.
    pub fn error(&mut self, origin: Origin, message: impl Into<String>) {
        self.errors.push(ConfigError { origin, message: message.into() });
    }

    /// Completes the settings: databases, and the users that come with them.
    pub fn complete(&mut self) {
        self.settings.pool.clone_from(&self.pool);
        let databases = std::mem::take(&mut self.databases);
        let (first, others): (Vec<_>, Vec<_>) =
            databases.iter().partition(|(name, _)| self.command_line.contains(name));
        for (name, database) in first.into_iter().chain(others) {
            self.add_user(name, database);
        }
        self.settings.databases =
            databases.into_iter().map(|(name, database)| (name, database.used())).collect();
        let known = self.settings.known_to_servers();
        let unnamed = self.settings.databases.values_mut().filter(|database| database.probe_users.is_empty());
        unnamed.for_each(|database| database.probe_users.clone_from(&known));
    }

    fn add_user(&mut self, name: &str, database: &WrittenDatabase) {
        let path = format!("databases.{name}");
        let Some(user) = &database.user else {
            if database.password.is_some() {
                let origin = self.origins.of(&format!("{path}.password"));
                self.error(origin, "`password` has no user; add `user`");
            }
            return;
        };
        let origin = self.origins.of(&format!("{path}.user"));
        let user_path = format!("users.{user}");
        let known = self.settings.users.entry(user.clone()).or_default();
        let new = self.origins.exact(&user_path).is_none();
        if database.password.is_none() || known.password == database.password {
            if new {
                self.origins.set(user_path, origin);
            }
        } else if known.password.is_none() || self.command_line.iter().any(|given| given == name) {
            known.password.clone_from(&database.password);
            self.origins.set(user_path, origin);
        } else {
            let other = self.origins.of(&user_path);
            self.error(
                origin,
                format!("the user `{user}` has another password at {other}; a user has one password, so remove one"),
            );
        }
    }
}

impl Settings {
    /// Who may well be a user of every server: the one who looks others up, then those whose password is known. Users of
    /// the console need not be users of a server.
    fn known_to_servers(&self) -> Vec<String> {
        let Admin { admin_users, stats_users } = &self.admin;
        let asker = self.auth.auth_user.as_ref();
        let others = self.users.iter().filter(|(name, user)| {
            has_plain_password(user)
                && !admin_users.contains(name)
                && !stats_users.contains(name)
                && Some(*name) != asker
        });
        asker.into_iter().chain(others.map(|(name, _)| name)).cloned().collect()
    }
}

fn has_plain_password(user: &User) -> bool {
    let stored = user.password.as_ref().map(|Secret(text)| StoredSecret::parse(text));
    matches!(stored, Some(Ok(Some(StoredSecret::Plain(_)))))
}

impl Default for Settings {
    /// The defaults, without a database.
    fn default() -> Self {
        let mut settings = Self {
            listen: vec![],
            unix_socket_dir: None,
            http_listen: None,
            workers: 0,
            client_tls: ClientTls::default(),
            auth: Auth::default(),
            limits: Limits::default(),
            admin: Admin::default(),
            pool: Pool::default(),
            databases: BTreeMap::new(),
            users: BTreeMap::new(),
            log: Log::default(),
            history: History::default(),
            slow_log: SlowLog::default(),
        };
        keys::TOP.set_defaults(&mut settings);
        keys::TLS.set_defaults(&mut settings.client_tls);
        keys::ADMIN.set_defaults(&mut settings.admin);
        settings
    }
}

impl Default for Auth {
    fn default() -> Self {
        let mut auth = Self {
            method: AuthMethod::ScramSha256,
            hba_file: None,
            ident_file: None,
            auth_query: None,
            auth_user: None,
            pass_through: false,
        };
        keys::AUTH.set_defaults(&mut auth);
        auth
    }
}

impl Default for Limits {
    fn default() -> Self {
        // None of these stays: the table has every one.
        let mut limits = Self {
            login_timeout: Duration::ZERO,
            max_unauthenticated: 0,
            max_clients: 0,
            max_servers: 0,
            max_replication: 0,
            queue_length: 0,
            queue_timeout: Duration::ZERO,
            connect_timeout: Duration::ZERO,
            max_held_message: 0,
            prepared_per_server: 0,
            prepared_per_session: 0,
            cache_size: 0,
            cache_verify: 0,
            client_idle_timeout: None,
            idle_in_transaction_timeout: None,
            drain_timeout: Duration::ZERO,
        };
        keys::LIMITS.set_defaults(&mut limits);
        limits
    }
}

impl Default for Pool {
    fn default() -> Self {
        // None of these stays either.
        let mut pool = Self {
            mode: Default::default(),
            size: 0,
            min_idle: 0,
            lifetime: Duration::ZERO,
            idle_timeout: Duration::ZERO,
            pins: Default::default(),
            defer_begin: false,
            share_servers: Default::default(),
        };
        keys::POOL.set_defaults(&mut pool);
        pool
    }
}

impl Default for Log {
    fn default() -> Self {
        let mut log = Self { json: false, level: String::new() };
        keys::LOG.set_defaults(&mut log);
        log
    }
}

impl Default for History {
    fn default() -> Self {
        // The table has every one.
        let mut history = Self {
            store: None,
            url: None,
            capture: Capture::Auto,
            interval: Duration::ZERO,
            statements: 0,
            keep: Duration::ZERO,
            max_size: 0,
            instance: None,
            samples: 0,
            sample_memory: 0,
            clear_values: vec![],
            tags: vec![],
            advise: None,
        };
        keys::HISTORY.set_defaults(&mut history);
        history
    }
}

impl Default for SlowLog {
    fn default() -> Self {
        // The table has every one.
        let mut slow = Self {
            file: None,
            json: false,
            threshold: Duration::ZERO,
            relative: 0,
            relative_from: Duration::ZERO,
            rate: 0,
            max_size: 0,
            max_age: None,
            keep: 0,
        };
        keys::SLOW_LOG.set_defaults(&mut slow);
        slow
    }
}

/// The user of a name, made when missing: for the reader of `[users.NAME]`.
pub fn user<'a>(settings: &'a mut Settings, name: &str) -> &'a mut User {
    settings.users.entry(name.to_owned()).or_default()
}
