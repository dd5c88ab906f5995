//! Where the servers of a pool are, and as whom pgweir logs in there.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::encrypt::Connector;
use super::lead::Lead;
use crate::auth::scram::{DerivedKeys, Secret};
use crate::config::settings::{Host, Level, Pool, TargetSessionAttrs};
use crate::wire::Fault;

/// Errors of logins in a failover: a node that cannot be reached, is no primary, or ends.
const FAILOVER: [&str; 2] = ["08", "57P"];

/// Everything that is needed to make servers for one (database, user).
#[derive(Debug)]
pub struct Target {
    /// The database as clients name it.
    pub database: String,
    /// The settings have that database itself; else it is one of the fallback's.
    pub is_named: bool,
    /// Its nodes are watched: a primary that is lost will be followed.
    pub watched: bool,
    /// The user as clients name it.
    pub user: String,
    /// What this user's reads from replicas promise, if the settings have that for it.
    pub level: Option<Level>,
    /// Hosts in order of preference.
    pub hosts: Vec<Host>,
    /// The database's name on the server.
    pub server_database: String,
    /// The role to log in as.
    pub server_user: String,
    /// Settings given at start-up.
    pub options: Vec<(String, String)>,
    /// Which of the hosts will do.
    pub attrs: TargetSessionAttrs,
    /// Which of them is the primary, if somebody watches them.
    pub lead: Lead,
    /// TLS towards the server.
    pub tls: Arc<Connector>,
    /// Bound on connecting and logging in.
    pub connect_timeout: Duration,
    /// Size, mode, times.
    pub pool: Pool,
    /// Sessions that may wait.
    pub queue_length: usize,
    /// How long they wait.
    pub queue_timeout: Duration,
    /// Prepared statements kept per server.
    pub prepared_limit: usize,
    /// What proves pgweir to the server.
    pub credential: Mutex<Credential>,
    /// How often that was replaced by another.
    pub renewed: AtomicU32,
    /// A session has asked for its channels inside a transaction, on any worker.
    pub asks_channels: AtomicBool,
}

/// What proves pgweir to a server.
#[derive(Debug, Clone, Default)]
pub enum Credential {
    /// Nothing: trust, peer, or a client certificate.
    #[default]
    None,
    /// A password, and the SCRAM keys derived from it once the server's salt is known.
    Password {
        /// The password.
        password: Hidden,
        /// Saves PBKDF2 for every login but the first.
        derived: Option<DerivedKeys>,
    },
    /// An md5 verifier: good for md5 logins.
    Md5(Hidden),
    /// SCRAM keys learned from a client's login.
    Keys {
        /// Proves the user.
        client_key: [u8; 32],
        /// Proves the server.
        server_key: [u8; 32],
    },
}

/// Bytes that are never printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Hidden(pub Vec<u8>);

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(secret)")
    }
}

impl Credential {
    /// Whether a server that refuses one refuses the other.
    fn is_like(&self, other: &Credential) -> bool {
        match (self, other) {
            (Credential::None, Credential::None) => true,
            (Credential::Password { password: one, .. }, Credential::Password { password: two, .. }) => {
                one == two
            }
            (Credential::Md5(one), Credential::Md5(two)) => one == two,
            (Credential::Keys { client_key: one, .. }, Credential::Keys { client_key: two, .. }) => {
                one == two
            }
            _ => false,
        }
    }

    /// As SCRAM takes it; `None` where it cannot do SCRAM.
    pub fn scram_secret(&self) -> Option<Secret> {
        match self {
            Credential::None | Credential::Md5(_) => None,
            Credential::Password { password, derived: None } => Some(Secret::Password(password.0.clone())),
            Credential::Password { password, derived: Some(derived) } => {
                Some(Secret::Derived { derived: derived.clone(), password: Some(password.0.clone()) })
            }
            Credential::Keys { client_key, server_key } => {
                Some(Secret::Keys { client_key: *client_key, server_key: *server_key })
            }
        }
    }
}

impl Target {
    /// What proves pgweir now.
    pub fn credential(&self) -> Credential {
        self.credential.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether servers that were made for `other` are what it would make itself.
    pub fn makes_the_same(&self, other: &Target) -> bool {
        self.hosts == other.hosts
            && self.server_database == other.server_database
            && self.server_user == other.server_user
            && self.options == other.options
            && self.attrs == other.attrs
            && self.prepared_limit == other.prepared_limit
            && self.tls.is_like(&other.tls)
    }

    /// The same servers at one host, whatever its role is.
    pub fn at(&self, host: &Host) -> Target {
        self.at_hosts(vec![host.clone()], TargetSessionAttrs::Any)
    }

    /// The same servers at whichever host is the primary.
    pub fn at_primary(&self) -> Target {
        self.at_hosts(self.hosts.clone(), TargetSessionAttrs::Primary)
    }

    fn at_hosts(&self, hosts: Vec<Host>, attrs: TargetSessionAttrs) -> Target {
        Target {
            database: self.database.clone(),
            is_named: self.is_named,
            watched: self.watched,
            user: self.user.clone(),
            level: self.level,
            hosts,
            server_database: self.server_database.clone(),
            server_user: self.server_user.clone(),
            options: self.options.clone(),
            attrs,
            lead: Lead::default(),
            tls: self.tls.clone(),
            connect_timeout: self.connect_timeout,
            pool: self.pool.clone(),
            queue_length: self.queue_length,
            queue_timeout: self.queue_timeout,
            prepared_limit: self.prepared_limit,
            credential: Mutex::new(self.credential()),
            renewed: AtomicU32::new(self.renewals()),
            asks_channels: AtomicBool::default(),
        }
    }

    /// Whether servers are wanted at a primary that may be another host tomorrow: who waits for one waits through a failover.
    pub fn may_move(&self) -> bool {
        use TargetSessionAttrs::{Primary, ReadWrite};
        self.watched && self.hosts.len() > 1 && matches!(self.attrs, Primary | ReadWrite)
    }

    /// Whether all servers are at a primary: there is one host, or the primary of several is asked for. Else any will do, and it may be a standby.
    pub fn is_of_primary(&self) -> bool {
        use TargetSessionAttrs::{Primary, ReadWrite};
        self.hosts.len() == 1 || matches!(self.attrs, Primary | ReadWrite)
    }

    /// Whether this error of a login may be that of a failover, and pass with it.
    pub fn may_outlast(&self, fault: &Fault) -> bool {
        self.may_move() && FAILOVER.iter().any(|class| fault.sqlstate.starts_with(class))
    }

    /// Takes over what the one before it has learned of the same secret.
    pub fn inherit(&self, before: &Target) {
        if self.server_user != before.server_user {
            return;
        }
        match (self.credential(), before.credential()) {
            (Credential::None, keys @ Credential::Keys { .. }) => self.set_credential(keys),
            (
                Credential::Password { password: now, .. },
                Credential::Password { password, derived: Some(keys) },
            ) if now == password => self.remember(keys),
            _ => {}
        }
    }

    /// Replaces it, after a client proved itself with a newer secret.
    pub fn set_credential(&self, credential: Credential) {
        let mut known = self.credential.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.is_like(&credential) {
            self.renewed.fetch_add(1, Ordering::Relaxed);
        }
        *known = credential;
    }

    /// How often its credential was replaced by another: what the server refused before may be let in now.
    pub fn renewals(&self) -> u32 {
        self.renewed.load(Ordering::Relaxed)
    }

    /// Keeps derived keys for the next login.
    pub fn remember(&self, keys: DerivedKeys) {
        let mut credential = self.credential.lock().unwrap_or_else(PoisonError::into_inner);
        if let Credential::Password { derived, .. } = &mut *credential {
            *derived = Some(keys);
        }
    }
}
