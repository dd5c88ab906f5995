//! Who may log in, and where a login leads: settings, asked of the server where they do not know.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::asker::Askers;
use super::entry::{BadEntry, Entry};
use super::stand_in;
use crate::auth::scram::{MockSecret, RandomFailed};
use crate::auth::{Identity, StoredSecret};
use crate::config::Settings;
use crate::config::settings::{Database, Host, PoolMode, ServerTls, User};
use crate::pool::Target;
use crate::pool::ask::{Row, literal};
use crate::pool::budget::{Budget, Share};
use crate::pool::encrypt::Connector;
use crate::pool::lead::Lead;
use crate::pool::target::{Credential, Hidden};
use crate::wire::Fault;
use crate::wire::pem::BadFile;

/// How often what is wrong for everybody is logged.
const TELL_AGAIN: Duration = Duration::from_secs(60);
/// Users of whom it is kept whether they may log in.
const MAX_KEPT: usize = 10_000;

/// Settings made ready for logins.
#[derive(Debug)]
pub struct Directory {
    /// The settings.
    pub settings: Settings,
    /// Makes logins of unknown users look like those of known ones.
    pub mock: MockSecret,
    /// Certificates and rules for clients.
    pub entry: Entry,
    identities: HashMap<String, Arc<Identity>>,
    standings: Mutex<HashMap<(String, String), Standing>>,
    askers: Askers,
    connectors: HashMap<String, Arc<Connector>>,
    /// Where the primary is, by database, of those whose reads go to replicas.
    leads: HashMap<String, Lead>,
    /// Clients of the users of the settings.
    clients: HashMap<String, Arc<Budget>>,
    /// Where users are looked up, by database.
    lookups: Mutex<HashMap<String, Arc<Target>>>,
    targets: Mutex<HashMap<(String, String), Arc<Target>>>,
    /// That the server's users cannot be looked up was logged.
    blindness_told: AtomicBool,
    /// When it was logged last that looking up fails.
    bad_lookup_told: Mutex<Option<Instant>>,
}

/// What is known of a user beside its secret, for those who have proven who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It may come in.
    Welcome,
    /// The server has it as NOLOGIN.
    NoLogin,
    /// The server does not have it.
    Absent,
    /// It is not in the settings, and the server was not asked or did not tell.
    Unknown,
}

/// Settings that cannot be made ready.
#[derive(Debug, thiserror::Error)]
pub enum Unready {
    /// No randomness for salts.
    #[error(transparent)]
    Random(#[from] RandomFailed),
    /// A file towards clients.
    #[error(transparent)]
    Entry(#[from] BadEntry),
    /// A file towards servers, and the setting that names it.
    #[error("{1}")]
    Server(String, #[source] BadFile),
}

impl Unready {
    /// The setting to correct, such as `tls.key_file`; `None` where none is.
    pub fn setting(&self) -> Option<&str> {
        match self {
            Unready::Random(_) => None,
            Unready::Entry(bad) => bad.setting(),
            Unready::Server(setting, _) => Some(setting),
        }
    }
}

impl Directory {
    /// Reads the files that the settings name.
    ///
    /// # Errors
    /// A file that cannot be used, or no randomness for salts.
    pub fn new(settings: Settings, mock: MockSecret) -> Result<Directory, Unready> {
        let entry = Entry::load(&settings)?;
        let mut connectors = HashMap::new();
        for (name, database) in &settings.databases {
            connectors.insert(name.clone(), Arc::new(connector(name, &database.tls)?));
        }
        let mut identities = HashMap::new();
        for (name, user) in &settings.users {
            let secret =
                user.password.as_ref().and_then(|secret| StoredSecret::parse(&secret.0).ok().flatten());
            let identity = Identity::new(name.clone(), secret);
            identity.prepare()?;
            identities.insert(name.clone(), Arc::new(identity));
        }
        let watched = settings.databases.iter().filter(|(_, database)| database.reads.to_replicas);
        let leads = watched.map(|(name, _)| (name.clone(), Lead::default())).collect();
        let clients = settings.users.iter().map(|(name, user)| (name.clone(), Budget::new(limit(user))));
        Ok(Directory {
            clients: clients.collect(),
            lookups: Mutex::default(),
            settings,
            mock,
            entry,
            identities,
            connectors,
            leads,
            standings: Mutex::default(),
            askers: Askers::default(),
            targets: Mutex::default(),
            blindness_told: AtomicBool::new(false),
            bad_lookup_told: Mutex::default(),
        })
    }

    /// Goes on counting the clients that came in under `before`, and telling its targets where their primaries are.
    pub fn inherit(&mut self, before: &Directory) {
        for (name, lead) in &mut self.leads {
            if let Some(known) = before.leads.get(name) {
                *lead = known.clone();
            }
        }
        for (name, clients) in &mut self.clients {
            if let Some(known) = before.clients.get(name) {
                known.set_limit(clients.limit());
                *clients = known.clone();
            }
        }
    }

    /// Tells targets of the database that a client names where its primary is.
    pub fn lead(&self, name: &str) -> Lead {
        let name = if self.settings.databases.contains_key(name) { name } else { "*" };
        self.leads.get(name).cloned().unwrap_or_default()
    }

    /// Counts a client of `user`, if the settings know that user; it counts until what is given is dropped.
    ///
    /// # Errors
    /// FATAL 53300 when there are as many as the settings allow.
    pub fn count_client(&self, user: &str) -> Result<Option<Share>, Fault> {
        let Some(clients) = self.clients.get(user) else { return Ok(None) };
        let full = || {
            let text = format!("too many connections for role \"{user}\"");
            Fault::fatal("53300", text).routine("InitializeSessionUserId")
        };
        clients
            .take()
            .map(Some)
            .ok_or_else(|| full().hint(format!("users.{user}.max_clients is {}", clients.limit())))
    }

    /// The settings of the database that a client names.
    pub fn database(&self, name: &str) -> Option<&Database> {
        self.settings.databases.get(name).or_else(|| self.settings.databases.get("*"))
    }

    /// The database whose hosts a client means that replicates a whole node: it need not name one. The one it names
    /// if the settings have that, else the fallback, else any of the node's if the settings have only one node. Of those
    /// with the same hosts one is preferred in which servers are logged in to as the client's user.
    pub fn node_for(&self, named: String) -> String {
        stand_in::node_for(&self.settings, named)
    }

    /// Who `user` is: from the settings, else from the server, else unknown.
    ///
    /// # Errors
    /// When the server must be asked and cannot be.
    pub async fn identity(&self, database: &str, user: &str) -> Result<Arc<Identity>, Fault> {
        if let Some(identity) = self.identities.get(user) {
            return Ok(identity.clone());
        }
        let (mut identity, standing) = self.ask_for(database, user).await?;
        // As PostgreSQL has it, NOLOGIN is told only to those who have proven who they are.
        if standing == Standing::NoLogin {
            identity.can_login = true;
        }
        let key = (database.to_owned(), user.to_owned());
        let mut asked = lock(&self.standings);
        if asked.len() >= MAX_KEPT {
            asked.clear();
        }
        asked.insert(key, standing);
        Ok(Arc::new(identity))
    }

    /// What is known of a user since [`Directory::identity`] was asked for it; not for those who have proven nothing.
    pub fn standing(&self, database: &str, user: &str) -> Standing {
        if self.identities.contains_key(user) {
            return Standing::Welcome;
        }
        let key = (database.to_owned(), user.to_owned());
        lock(&self.standings).get(&key).copied().unwrap_or(Standing::Unknown)
    }

    async fn ask_for(&self, database: &str, user: &str) -> Result<(Identity, Standing), Fault> {
        let auth = &self.settings.auth;
        let unknown = |standing| Ok((Identity::unknown(user), standing));
        let Some(asker) =
            auth.auth_user.as_deref().filter(|_| auth.pass_through || auth.auth_query.is_some())
        else {
            return unknown(Standing::Unknown);
        };
        let rows = match self.rows_of(database, asker, &self.lookup(user)).await {
            Ok(None) => return unknown(Standing::Unknown),
            Ok(Some(rows)) => rows,
            // Not allowed to look: nobody is known beyond the settings.
            Err(fault) if fault.sqlstate == "42501" && auth.auth_query.is_none() => {
                self.tell_blindness(asker);
                return unknown(Standing::Unknown);
            }
            Err(fault) => return Err(self.cannot_look_up(database, asker, &fault)),
        };
        if let (Some(row), Some(_)) = (rows.first(), &auth.auth_query)
            && row.len() < 2
        {
            let fault =
                Fault::error("42601", "auth_query gives one column; it must give a name and a verifier");
            return Err(self.cannot_look_up(database, asker, &fault));
        }
        let Some(row) = rows.first() else { return unknown(Standing::Absent) };
        // What is another's proves nobody.
        if row.first().and_then(Option::as_deref) != Some(user) {
            let fault = Fault::error("42601", "auth_query gives another user's row than the one asked for");
            return Err(self.cannot_look_up(database, asker, &fault));
        }
        let found = known(user, row);
        let standing = if found.can_login { Standing::Welcome } else { Standing::NoLogin };
        Ok((found, standing))
    }

    /// The rows that tell of a user of a database. One that is not there has no users of its own: as for PostgreSQL, they are those of
    /// its node, if it is known which that is; `None` else.
    async fn rows_of(&self, database: &str, asker: &str, sql: &str) -> Result<Option<Vec<Row>>, Fault> {
        let elsewhere = || self.stand_in(database).and_then(|other| self.lookup_target(&other, asker));
        // No server has the console, also where a database for all others is in the settings.
        let here = if stand_in::is_console(database) && !self.settings.databases.contains_key(database) {
            None
        } else {
            self.lookup_target(database, asker)
        };
        let Some(target) = here.or_else(elsewhere) else { return Ok(None) };
        let mut answer = self.ask(&target, sql).await;
        if target.database == database
            && answer.as_ref().is_err_and(|fault| fault.sqlstate == "3D000")
            && let Some(target) = elsewhere()
        {
            answer = self.ask(&target, sql).await;
        }
        answer.map(Some)
    }

    /// Another database of the node that is meant by one that is not in the settings; for the console, any.
    fn stand_in(&self, database: &str) -> Option<String> {
        if stand_in::is_console(database) {
            return stand_in::for_console(&self.settings, database);
        }
        let is_absent = !self.settings.databases.contains_key(database);
        is_absent.then(|| self.node_for(database.to_owned())).filter(|other| other != database)
    }

    /// No longer than a session waits for a server, and within the time of a login, so that the client is told.
    async fn ask(&self, target: &Arc<Target>, sql: &str) -> Result<Vec<Row>, Fault> {
        let patience = target.queue_timeout.min(self.settings.limits.login_timeout * 9 / 10);
        self.askers.ask_patiently(target, sql, patience).await
    }

    /// What a client is told when users cannot be looked up. Why is the operator's business, not that of somebody who has proven
    /// nothing yet: it is logged, from time to time.
    fn cannot_look_up(&self, database: &str, asker: &str, fault: &Fault) -> Fault {
        let mut told = lock(&self.bad_lookup_told);
        if told.is_none_or(|told| told.elapsed() > TELL_AGAIN) {
            *told = Some(Instant::now());
            let way = if self.settings.auth.auth_query.is_some() { "auth_query" } else { "pass-through" };
            tracing::error!(database, auth_user = asker, error = %fault, "{way} failed, so only the users of the settings can log in to this database");
        }
        // That a server is away for a while is no refusal: clients may try again.
        let is_away = fault.sqlstate.starts_with("08") || fault.sqlstate.starts_with("57P");
        let sqlstate = if is_away { fault.sqlstate.as_str() } else { "28000" };
        Fault::fatal(sqlstate, "users cannot be looked up at this time")
    }

    /// Looks its own user up, as a login does for others; `None` when nobody is ever looked up.
    ///
    /// # Errors
    /// Why users of `database` cannot be looked up.
    pub async fn try_lookup(&self, database: &str) -> Option<Result<(), Fault>> {
        let auth = &self.settings.auth;
        let asker = auth.auth_user.clone().filter(|_| auth.pass_through || auth.auth_query.is_some())?;
        let target = self.lookup_target(database, &asker)?;
        let found = self.askers.ask(&target, &self.lookup(&asker)).await;
        Some(found.and_then(|rows| match rows.first().map(Vec::len) {
            Some(2..) if rows[0][0].as_deref() != Some(asker.as_str()) => {
                Err(Fault::error("42601", format!("it gives another user's row than `{asker}`'s")))
            }
            Some(2..) => Ok(()),
            Some(_) => Err(Fault::error("42601", "it gives one column; it must give a name and a verifier")),
            None => Err(Fault::error("02000", format!("it does not find `{asker}`, whom it is run as"))),
        }))
    }

    /// The query for what the server knows of a user.
    fn lookup(&self, user: &str) -> String {
        let name = literal(user);
        match &self.settings.auth.auth_query {
            Some(query) => query.replace("$1", &name),
            None => format!(
                "SELECT rolname, rolpassword, rolcanlogin, pg_catalog.date_part('epoch', rolvaliduntil) \
                 FROM pg_catalog.pg_authid WHERE rolname OPERATOR(pg_catalog.=) {name}"
            ),
        }
    }

    /// Says once why nobody but the users of the settings can log in.
    fn tell_blindness(&self, asker: &str) {
        if !self.blindness_told.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "{asker} may not read pg_authid, so only the users of the URL and of a settings file can log in; \
                 use a URL whose user may, or add [users] or another auth_user to a settings file"
            );
        }
    }

    /// Where the servers for (database, user) are; `None` for a database that does not exist.
    pub fn target(&self, database: &str, user: &str) -> Option<Arc<Target>> {
        let mut targets = lock(&self.targets);
        let key = (database.to_owned(), user.to_owned());
        if let Some(target) = targets.get(&key) {
            return Some(target.clone());
        }
        let target = Arc::new(self.make_target(database, user, None)?);
        if targets.len() >= MAX_KEPT {
            // Those of pools are in use.
            targets.retain(|_, target| Arc::strong_count(target) > 1);
        }
        targets.insert(key, target.clone());
        Some(target)
    }

    /// Whether the settings have a database on these hosts that is called so there.
    pub fn has_place(&self, hosts: &[Host], server_database: &str) -> bool {
        self.settings.databases.iter().any(|(name, database)| {
            let named = database.server_database.as_deref().unwrap_or(name);
            database.hosts == hosts && (named == server_database || named == "*")
        })
    }

    /// Where changes are followed for the cache of the database of that name, as which user its settings say; `None`: as anybody.
    pub fn stream_target(&self, database: &str) -> Option<Arc<Target>> {
        let user = self.database(database)?.stream_user.as_deref()?;
        self.make_target(database, user, Some(user)).map(Arc::new)
    }

    /// Where `asker` itself looks users up, whoever the servers of the database's clients are logged in as.
    fn lookup_target(&self, database: &str, asker: &str) -> Option<Arc<Target>> {
        let mut lookups = lock(&self.lookups);
        if let Some(target) = lookups.get(database) {
            return Some(target.clone());
        }
        let target = Arc::new(self.make_target(database, asker, Some(asker))?);
        if lookups.len() >= MAX_KEPT {
            lookups.clear();
        }
        lookups.insert(database.to_owned(), target.clone());
        Some(target)
    }

    /// `server_user`: in the place of the one of the settings.
    fn make_target(&self, database: &str, user: &str, server_user: Option<&str>) -> Option<Target> {
        let settings = self.database(database)?;
        let server_user = server_user.or(settings.server_user.as_deref()).unwrap_or(user).to_owned();
        let known = self.settings.users.get(&server_user);
        let secret = known.and_then(|user| user.password.as_ref());
        let credential = match secret.and_then(|secret| StoredSecret::parse(&secret.0).ok().flatten()) {
            Some(StoredSecret::Plain(plain)) => {
                Credential::Password { password: Hidden(plain.expose().to_vec()), derived: None }
            }
            Some(StoredSecret::Md5(shadow)) => Credential::Md5(Hidden(shadow.as_str().as_bytes().to_vec())),
            _ => Credential::None,
        };
        let limits = &self.settings.limits;
        let (mut pool, mut level) = (settings.pool.clone(), None);
        if let Some(user) = self.settings.users.get(user) {
            level = user.consistency;
            pool.mode = user.pool_mode.unwrap_or(pool.mode);
            pool.size = user.pool_size.unwrap_or(pool.size);
        }
        Some(Target {
            database: database.to_owned(),
            is_named: self.settings.databases.contains_key(database),
            watched: settings.reads.to_replicas,
            user: user.to_owned(),
            level,
            hosts: settings.hosts.clone(),
            server_database: settings.server_database.clone().unwrap_or_else(|| database.to_owned()),
            server_user,
            options: settings.server_options.clone().into_iter().collect(),
            attrs: settings.target,
            lead: self.lead(database),
            tls: self.connectors.get(database).or_else(|| self.connectors.get("*"))?.clone(),
            connect_timeout: settings.connect_timeout.unwrap_or(limits.connect_timeout),
            pool,
            queue_length: limits.queue_length,
            queue_timeout: settings.queue_timeout.unwrap_or(limits.queue_timeout),
            prepared_limit: limits.prepared_per_server,
            credential: Mutex::new(credential),
            renewed: Default::default(),
            asks_channels: AtomicBool::default(),
        })
    }

    /// The mode for a connection: what it asked for, else what its user or database says.
    pub fn mode(&self, target: &Target, asked: Option<&[u8]>) -> Result<PoolMode, Fault> {
        match asked {
            None => Ok(target.pool.mode),
            Some(b"session") => Ok(PoolMode::Session),
            Some(b"transaction") => Ok(PoolMode::Transaction),
            Some(b"statement") => Ok(PoolMode::Statement),
            Some(other) => {
                let text = format!(
                    "invalid value for parameter \"pgweir.pool_mode\": \"{}\"",
                    String::from_utf8_lossy(other)
                );
                Err(Fault::fatal("22023", text).hint("available values: session, transaction, statement"))
            }
        }
    }

    /// Targets in use, for a reload.
    pub fn targets_like(&self, known: &Directory) -> Vec<Arc<Target>> {
        let before: Vec<_> = lock(&known.targets).values().cloned().collect();
        let same = |before: &Arc<Target>| {
            let target = self.target(&before.database, &before.user)?;
            target.inherit(before);
            Some(target)
        };
        before.iter().filter_map(same).collect()
    }
}

/// TLS towards the servers of the database of this name.
///
/// # Errors
/// A file that cannot be used.
pub fn connector(name: &str, tls: &ServerTls) -> Result<Connector, Unready> {
    Connector::load(tls).map_err(|bad| {
        let key = Connector::key_of(tls, &bad.file);
        Unready::Server(format!("databases.{name}.{key}"), bad)
    })
}

/// How many clients a user may have.
fn limit(user: &User) -> usize {
    user.max_clients.unwrap_or(usize::MAX)
}

fn known(user: &str, row: &[Option<String>]) -> Identity {
    let text = |at: usize| row.get(at).and_then(|column| column.as_deref());
    let secret = text(1).and_then(|secret| StoredSecret::parse(secret).ok().flatten());
    let mut identity = Identity::new(user, secret);
    identity.can_login = text(2) != Some("f");
    // `infinity` is no number of seconds, and no bound either; a time before the epoch has passed.
    let until = text(3).and_then(|seconds| seconds.parse::<f64>().ok()).filter(|seconds| seconds.is_finite());
    let since_epoch =
        until.map(|seconds| Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::ZERO));
    identity.valid_until = since_epoch.map(|since| SystemTime::UNIX_EPOCH + since);
    identity
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
