//! The login of a client: first packets, proof of identity, and the hand-over to a worker.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::SystemTime;

use tokio::runtime::Handle;

use super::admit::Admission;
use super::directory::{Directory, Standing};
use super::encrypt::{Encryption, First};
use super::replication::Replication;

use crate::auth::hba::Method;
use crate::auth::identity::{self, AuthFailure};
use crate::auth::scram::{ServerError, ServerExchange};
use crate::auth::{Identity, StoredSecret};
use crate::config::settings::PoolMode;

use crate::pool::Target;
use crate::pool::budget::{Budget, Share};
use crate::pool::target::Credential;
use crate::wire::frame::{self, Frame, HEADER, front};
use crate::wire::socket::Detached;
use crate::wire::startup::{self, Request, Startup};
use crate::wire::{Fault, Socket, emit};

/// The longest password message that is accepted (IAM tokens fit).
const MAX_PASSWORD: usize = 65_536;

/// How much is read at once.
const READ: usize = 1024;

/// What a login came to.
#[derive(Debug)]
pub enum Outcome {
    /// A client for a worker.
    Admitted(Box<Admission>),
    /// A client of the console.
    Console(Box<ConsoleClient>),
    /// A request to cancel.
    Cancel {
        /// As given in BackendKeyData.
        pid: i32,
        /// As given in BackendKeyData.
        secret: Vec<u8>,
        /// To be closed when the cancel has been passed on: that tells the client so.
        socket: Socket,
    },
    /// A client that was told why it may not come in, by this SQLSTATE.
    Refused(String),
    /// Nothing more to do.
    Closed,
}

/// A client that named the console as its database.
#[derive(Debug)]
pub struct ConsoleClient {
    /// Its socket, between threads.
    pub socket: Detached,
    /// Its name.
    pub user: String,
    /// Whether it may give commands.
    pub may_command: bool,
}

/// Runs the login of one client; what takes long, on `control`. The caller bounds its time.
pub async fn login(
    (directory, control): (&Arc<Directory>, &Handle),
    clients: &Arc<Budget>,
    socket: Socket,
    peer: String,
) -> Outcome {
    let addr = peer.parse::<SocketAddr>().ok().map(|peer| peer.ip());
    let mut login =
        Login { directory, control, socket, inbox: vec![], encryption: Encryption::default(), addr };
    let request = loop {
        match login.first_packet().await {
            Ok(First::Hello(hello)) => match login.encrypted(hello).await {
                Some(encrypted) => login = encrypted,
                None => return Outcome::Closed,
            },
            Ok(First::Request(request)) => break Ok(request),
            Err(ended) => break Err(ended),
        }
    };
    let proven = match request {
        Ok(request) => login.run(request, clients, peer).await,
        Err(ended) => Err(ended),
    };
    match proven {
        Ok(Proven::Client(make)) => match login.socket.detach() {
            Ok(socket) => Outcome::Admitted(Box::new(make(socket))),
            Err(_) => Outcome::Closed,
        },
        Ok(Proven::Console(user, may_command)) => match login.socket.detach() {
            Ok(socket) => Outcome::Console(Box::new(ConsoleClient { socket, user, may_command })),
            Err(_) => Outcome::Closed,
        },
        Ok(Proven::Cancel { pid, secret }) => Outcome::Cancel { pid, secret, socket: login.socket },
        Err(Ended::Refused(fault)) => {
            let sqlstate = fault.sqlstate.clone();
            let _ = login.socket.write_all(&fault.into_fatal().frame()).await;
            Outcome::Refused(sqlstate)
        }
        Err(Ended::Gone) => Outcome::Closed,
    }
}

type Make = Box<dyn FnOnce(Detached) -> Admission + Send>;

enum Proven {
    Client(Make),
    Console(String, bool),
    Cancel { pid: i32, secret: Vec<u8> },
}

/// Why a login ended without success.
pub(super) enum Ended {
    Refused(Fault),
    Gone,
}

impl From<Fault> for Ended {
    fn from(fault: Fault) -> Ended {
        Ended::Refused(fault)
    }
}

impl From<io::Error> for Ended {
    fn from(_: io::Error) -> Ended {
        Ended::Gone
    }
}

/// A login under way.
pub(super) struct Login<'a> {
    pub(super) directory: &'a Arc<Directory>,
    pub(super) control: &'a Handle,
    pub(super) socket: Socket,
    /// Bytes of the client that were read and not yet taken.
    pub(super) inbox: Vec<u8>,
    pub(super) encryption: Encryption,
    addr: Option<IpAddr>,
}

impl Login<'_> {
    async fn run(&mut self, request: Request, clients: &Arc<Budget>, peer: String) -> Result<Proven, Ended> {
        let startup = match request {
            Request::Start(startup) => startup,
            Request::Cancel { pid, secret } => return Ok(Proven::Cancel { pid, secret }),
            Request::Tls | Request::GssEnc => {
                return Err(Fault::protocol("unexpected request for encryption").into());
            }
        };
        if startup.needs_negotiation() {
            let mut out = vec![];
            startup.emit_negotiation(&mut out);
            self.socket.write_all(&out).await?;
        }
        let mut asked = Asked::of(&startup)?;
        let share = clients.take();
        let Some(share) = share else {
            let limit = clients.limit();
            return Err(Fault::fatal(
                "53300",
                format!("sorry, too many clients already (max_clients = {limit})"),
            )
            .into());
        };
        if asked.replication == Some(Replication::Physical) {
            asked.database = self.directory.node_for(asked.database);
        }
        if matches!(asked.database.as_str(), "pgweir" | "pgbouncer")
            && asked.replication.is_none()
            && self
                .directory
                .database(&asked.database)
                .is_none_or(|_| !self.directory.settings.databases.contains_key(&asked.database))
        {
            return self.console(&asked).await;
        }
        let target = self.directory.target(&asked.database, &asked.user);
        let (pending, key, method) = self.prove(&asked).await?;
        let checked = self.after_proof(&asked, method, target);
        if let Err(fault) = &checked {
            tracing::info!(user = asked.user, database = asked.database, error = %fault, "login refused");
            // As PostgreSQL has it: the proof was good, and what follows is told after saying so.
            let mut out = pending;
            emit::authentication(&mut out, 0, &[]);
            self.socket.write_all(&out).await?;
            return Err(Ended::Refused(checked.err().unwrap_or_else(malformed)));
        }
        let (target, mode, of_user) = checked?;
        key.into_iter().for_each(|key| learn(&target, key));
        let minor = startup.spoken_minor();
        let (settings, replication) = (asked.settings, asked.replication);
        let input = std::mem::take(&mut self.inbox);
        Ok(Proven::Client(Box::new(move |socket| Admission {
            socket,
            input,
            target,
            mode,
            replication,
            settings,
            minor,
            pending,
            peer,
            shares: (share, of_user),
        })))
    }

    /// What is checked once the client has proven who it is.
    fn after_proof(
        &self,
        asked: &Asked,
        method: Method,
        target: Option<Arc<Target>>,
    ) -> Result<(Arc<Target>, PoolMode, Option<Share>), Fault> {
        let standing = self.directory.standing(&asked.database, &asked.user);
        let refused = |what: &str| {
            let text = format!("role \"{}\" {what}", asked.user);
            Err(Fault::fatal("28000", text).routine("InitializeSessionUserId"))
        };
        match standing {
            Standing::NoLogin => return refused("is not permitted to log in"),
            Standing::Absent => return refused("does not exist"),
            Standing::Welcome | Standing::Unknown => {}
        }
        let missing = || {
            let text = format!("database \"{}\" does not exist", asked.database);
            Fault::fatal("3D000", text).routine("InitPostgres")
        };
        let target = target.ok_or_else(missing)?;
        // Where no proof is asked for, the server says whom it has and lets in.
        if standing == Standing::Unknown && method != Method::Trust {
            let text = format!("user \"{}\" is not known to pgweir", asked.user);
            let hint = format!("add [users.{}] to its settings, or auth_user to [auth]", asked.user);
            return Err(Fault::fatal("28000", text).hint(hint));
        }
        if let Some(fault) = &asked.fault {
            return Err(fault.clone());
        }
        let mode = self.directory.mode(&target, asked.pool_mode.as_deref())?;
        Ok((target, mode, self.directory.count_client(&asked.user)?))
    }

    async fn console(&mut self, asked: &Asked) -> Result<Proven, Ended> {
        let admin = &self.directory.settings.admin;
        let may_command = admin.admin_users.contains(&asked.user);
        let may_enter = may_command || admin.stats_users.contains(&asked.user);
        if !may_enter {
            let reason = "neither admin.admin_users nor admin.stats_users names the user";
            tracing::info!(user = asked.user, database = asked.database, reason, "this login will fail");
        }
        // Who it is for is not told to strangers.
        let (pending, ..) = self.prove(asked).await?;
        if !may_enter {
            return Err(Fault::fatal("28000", format!("user \"{}\" may not use the console", asked.user))
                .hint("name it in admin.admin_users or admin.stats_users of a settings file")
                .into());
        }
        self.socket.write_all(&pending).await?;
        Ok(Proven::Console(asked.user.clone(), may_command))
    }

    /// Proves the client by the method in force; gives bytes to send with the greeting, the key learned, and the method.
    async fn prove(&mut self, asked: &Asked) -> Result<(Vec<u8>, Option<Credential>, Method), Ended> {
        let physical = asked.replication == Some(Replication::Physical);
        let entry = &self.directory.entry;
        let method = entry.method(&self.socket, self.addr, &asked.database, &asked.user, physical);
        let method = method.inspect_err(|fault| {
            tracing::info!(user = asked.user, database = asked.database, error = %fault, "login refused");
        })?;
        let identity = self.directory.identity(&asked.database, &asked.user).await?;
        let proof = match method {
            Method::Trust | Method::Cert | Method::Peer => Ok((vec![], None)),
            Method::ScramSha256 => self.scram(&identity, &asked.database).await,
            Method::Md5 if matches!(identity.secret, Some(StoredSecret::Scram(_))) => {
                self.scram(&identity, &asked.database).await
            }
            Method::Md5 => self.md5(&identity).await,
            Method::Password => self.cleartext(&identity).await,
            Method::Reject => Err(Ended::Refused(Fault::fatal("28000", "the rules reject this connection"))),
        };
        if let Err(Ended::Refused(fault)) = &proof {
            tracing::info!(user = asked.user, database = asked.database, error = %fault, "login refused");
        }
        proof.map(|(pending, key)| (pending, key, method))
    }

    async fn scram(
        &mut self,
        identity: &Identity,
        database: &str,
    ) -> Result<(Vec<u8>, Option<Credential>), Ended> {
        let known = identity::scram_verifier_for(identity, &self.directory.mock, SystemTime::now());
        let known = known.map_err(|_| Fault::fatal("XX000", "no randomness"))?;
        match &known.mock_reason {
            Some(AuthFailure::UnknownUser)
                if self.directory.database(database).is_none()
                    && self.directory.standing(database, &identity.name) == Standing::Unknown =>
            {
                let reason =
                    format!("no database `{database}` in the settings, so the user is not looked up");
                tracing::info!(user = identity.name, reason, "this login will fail");
            }
            Some(reason) => tracing::info!(user = identity.name, %reason, "this login will fail"),
            None => {}
        }
        let server_key = known.verifier.server_key;
        let binding = self.directory.entry.binding(&self.socket);
        let exchange = ServerExchange::new(known.verifier, known.mock_reason.is_some(), binding);
        let mut names = vec![];
        exchange.mechanisms().iter().for_each(|name| emit::cstr(&mut names, name.as_bytes()));
        names.push(0);
        self.challenge(10, &names).await?;
        let first = self.password().await?;
        let (mechanism, rest) = frame::cstr(&first).ok_or_else(malformed)?;
        let (length, data) = rest.split_first_chunk::<4>().ok_or_else(malformed)?;
        let refuse = |error: ServerError| {
            let mut fault = match error {
                ServerError::Rejected => wrong(identity),
                _ => Fault::fatal(error.sqlstate(), error.client_message(&identity.name)),
            };
            fault.detail = error.client_detail().map(Into::into);
            Ended::Refused(fault)
        };
        let empty = i32::from_be_bytes(*length) == -1;
        let data = if empty {
            self.challenge(11, b"").await?;
            self.password().await?
        } else if data.len() == u32::from_be_bytes(*length) as usize {
            data.to_vec()
        } else {
            return Err(malformed().into());
        };
        let (awaiting, reply) = exchange.client_first(mechanism, &data).map_err(refuse)?;
        self.challenge(11, &reply).await?;
        let proof = self.password().await?;
        let success = awaiting.client_final(&proof).map_err(refuse)?;
        let mut pending = vec![];
        emit::authentication(&mut pending, 12, &success.server_final);
        let learned = Credential::Keys { client_key: success.client_key, server_key };
        Ok((pending, matches!(identity.secret, Some(StoredSecret::Scram(_))).then_some(learned)))
    }

    async fn md5(&mut self, identity: &Identity) -> Result<(Vec<u8>, Option<Credential>), Ended> {
        let mut salt = [0; 4];
        aws_lc_rs::rand::fill(&mut salt).map_err(|_| Fault::fatal("XX000", "no randomness"))?;
        self.challenge(5, &salt).await?;
        let response = self.password().await?;
        let response = response.strip_suffix(&[0]).ok_or_else(malformed)?;
        identity::verify_md5(identity, salt, response, SystemTime::now()).map_err(|_| wrong(identity))?;
        Ok((vec![], None))
    }

    async fn cleartext(&mut self, identity: &Arc<Identity>) -> Result<(Vec<u8>, Option<Credential>), Ended> {
        if matches!(self.socket, Socket::Tcp(_)) {
            return Err(Fault::fatal(
                "28000",
                "a password in clear text is accepted over TLS or a unix socket only",
            )
            .into());
        }
        self.challenge(3, &[]).await?;
        let response = self.password().await?;
        let password = response.strip_suffix(&[0]).ok_or_else(malformed)?.to_vec();
        let identity = identity.clone();
        let judged = {
            let identity = identity.clone();
            self.control
                .spawn_blocking(move || identity::verify_cleartext(&identity, &password, SystemTime::now()))
                .await
        };
        judged.map_err(|_| malformed())?.map_err(|_| wrong(&identity))?;
        Ok((vec![], None))
    }

    async fn challenge(&mut self, code: u32, body: &[u8]) -> Result<(), Ended> {
        let mut out = vec![];
        emit::authentication(&mut out, code, body);
        Ok(self.socket.write_all(&out).await?)
    }

    /// The body of the client's next message, which must be of type `p`.
    async fn password(&mut self) -> Result<Vec<u8>, Ended> {
        self.fill(HEADER).await?;
        if self.inbox[0] != front::PASSWORD {
            return Err(Fault::protocol(format!(
                "expected password response, got message type {}",
                self.inbox[0]
            ))
            .into());
        }
        let frame = Frame::peek(&self.inbox).map_err(Fault::from)?.ok_or_else(malformed)?;
        if frame.total > MAX_PASSWORD {
            return Err(Fault::protocol("invalid message length").into());
        }
        self.fill(frame.total).await?;
        let body = self.inbox[HEADER..frame.total].to_vec();
        self.inbox.drain(..frame.total);
        Ok(body)
    }

    /// Reads until at least `length` bytes of the client are there.
    pub(super) async fn fill(&mut self, length: usize) -> io::Result<()> {
        let mut buf = [0; READ];
        while self.inbox.len() < length {
            let n = std::future::poll_fn(|cx| self.socket.poll_read(cx, &mut buf)).await?;
            if n == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.inbox.extend_from_slice(&buf[..n]);
        }
        Ok(())
    }
}

/// A client showed the key to its role: servers that hold the same verifier open to it.
fn learn(target: &Target, key: Credential) {
    if !matches!(target.credential(), Credential::Password { .. }) && target.server_user == target.user {
        target.set_credential(key);
    }
}

fn malformed() -> Fault {
    Fault::protocol("malformed authentication message")
}

fn wrong(identity: &Identity) -> Fault {
    Fault::fatal(AuthFailure::SQLSTATE, AuthFailure::client_message(&identity.name)).routine("auth_failed")
}

/// What a startup message asks for.
struct Asked {
    user: String,
    database: String,
    replication: Option<Replication>,
    settings: Vec<(Vec<u8>, Vec<u8>)>,
    pool_mode: Option<Vec<u8>>,
    /// Options that are wrong; told once the client has proven who it is.
    fault: Option<Fault>,
}

impl Asked {
    fn of(startup: &Startup) -> Result<Asked, Fault> {
        let text = |name| startup.get(name).map(|value| String::from_utf8_lossy(value).into_owned());
        let user = text("user").filter(|user| !user.is_empty());
        let user = user.ok_or_else(|| {
            let text = "no PostgreSQL user name specified in startup packet";
            Fault::fatal("28000", text).routine("ProcessStartupPacket")
        })?;
        let database =
            text("database").filter(|database| !database.is_empty()).unwrap_or_else(|| user.clone());
        let replication = startup.get("replication").map_or(Ok(None), Replication::asked)?;
        let mut settings = vec![];
        let (mut given, fault) = match startup::split_options(startup.get("options").unwrap_or_default()) {
            Ok(given) => (given, None),
            Err(fault) => (vec![], Some(fault)),
        };
        given.extend(startup.params.iter().cloned());
        let mut pool_mode = None;
        for (name, value) in given {
            let name = name.to_ascii_lowercase();
            match name.as_slice() {
                b"user" | b"database" | b"options" | b"replication" => {}
                b"pgweir.pool_mode" => pool_mode = Some(value),
                _ => {
                    settings.retain(|(known, _): &(Vec<u8>, _)| *known != name);
                    settings.push((name, value));
                }
            }
        }
        Ok(Asked { user, database, replication, settings, pool_mode, fault })
    }
}

/// The mode's name, as the console shows it.
pub fn mode_name(mode: PoolMode) -> &'static str {
    match mode {
        PoolMode::Session => "session",
        PoolMode::Transaction => "transaction",
        PoolMode::Statement => "statement",
    }
}
