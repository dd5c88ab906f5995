//! Connecting and logging in to a server.

use std::io;
use std::sync::Arc;

use super::encrypt::{Connector, Way};
use super::lead;
use super::reach::{self, Address, Shown};
use super::role::{self, Role, Suits};
use super::target::{Credential, Target};
use crate::auth::certificate::tls_server_end_point;
use crate::auth::md5;
use crate::auth::scram::{ChannelBinding, ClientError, ClientExchange, SCRAM_SHA_256_PLUS};
use crate::config::settings::{Binding, Host, TargetSessionAttrs};
use crate::timer::timeout;
use crate::wire::frame::{self, Frame, back, front};
use crate::wire::{Fault, Socket, emit, startup};

/// The longest message accepted before the login has ended.
const MAX_LOGIN_MESSAGE: usize = 64 * 1024;

/// Names and values that a server reports of itself, in order.
pub type Params = Vec<(Vec<u8>, Vec<u8>)>;

/// A server connection that has logged in and is idle.
#[derive(Debug)]
pub struct Connected {
    /// The socket.
    pub socket: Socket,
    /// Which host answered.
    pub host: Host,
    /// At which of its addresses.
    pub address: Address,
    /// For a cancel over TLS, if the socket has it.
    pub tls: Option<Arc<Connector>>,
    /// Process id on the server.
    pub pid: i32,
    /// Secret for cancels.
    pub secret: Box<[u8]>,
    /// What the server reported of itself, in order.
    pub params: Params,
    /// What its node is, where the target does not take any.
    pub role: Option<Role>,
}

impl Connected {
    /// The value reported for `name`.
    pub fn param(&self, name: &str) -> Option<&[u8]> {
        self.params.iter().rev().find(|(key, _)| key == name.as_bytes()).map(|(_, value)| value.as_slice())
    }

    /// The major version that the server reports, such as 15; `None` where it tells none.
    pub fn major_version(&self) -> Option<u32> {
        let text = std::str::from_utf8(self.param("server_version")?).ok()?;
        text.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    }
}

/// Connects to the first host that will do and logs in. Each address of a host's name is tried like a host.
///
/// # Errors
/// 08001 when no host answers, 08006 when a login breaks off, else what the server said.
pub async fn connect(target: &Arc<Target>) -> Result<Connected, Fault> {
    connect_with(target, &vec![]).await
}

/// The same, with more parameters in the startup message, behind those of the target.
///
/// # Errors
/// As [`connect`].
pub async fn connect_with(target: &Arc<Target>, params: &Params) -> Result<Connected, Fault> {
    if !target.may_move() {
        return connect_to(target, &target.hosts, params).await;
    }
    let mut news = target.lead.follow();
    lead::heard(&mut news).await;
    loop {
        let hosts = news.borrow_and_update().hosts(&target.hosts)?;
        tokio::select! {
            biased;
            connected = connect_to(target, hosts, params) => return connected,
            // The one before may be frozen: its answer is not waited for.
            Ok(()) = news.changed() => {}
        }
    }
}

async fn connect_to(target: &Arc<Target>, hosts: &[Host], params: &Params) -> Result<Connected, Fault> {
    let mut choice = Choice::new(format!("database \"{}\" has no host", target.database));
    for host in hosts {
        match within(target, host, resolve(host)).await {
            Ok(addresses) => {
                if let Some(connected) = choice.try_each(target, host, &addresses, params).await? {
                    return Ok(connected);
                }
            }
            Err(fault) => choice.last = fault,
        }
    }
    choice.fallback.ok_or(choice.last)
}

async fn resolve(host: &Host) -> Result<Vec<Address>, Fault> {
    let unknown = |error| Fault::error("08001", format!("cannot resolve {}: {error}", Shown(host)));
    reach::resolve(host).await.map_err(unknown)
}

/// What is left of the addresses tried so far.
struct Choice {
    /// Why the last of them would not do.
    last: Fault,
    /// One that will do if no other does better.
    fallback: Option<Connected>,
}

impl Choice {
    fn new(no_host: String) -> Choice {
        Choice { last: Fault::error("08001", no_host), fallback: None }
    }

    /// The first of these addresses that suits. An error is final.
    async fn try_each(
        &mut self,
        target: &Arc<Target>,
        host: &Host,
        addresses: &[Address],
        params: &Params,
    ) -> Result<Option<Connected>, Fault> {
        for address in addresses {
            let attempt = async {
                let mut connected = login(target, host, address, params).await?;
                let suits = suits(target.attrs, &mut connected).await?;
                Ok((connected, suits))
            };
            match within(target, host, attempt).await {
                Ok((connected, Suits::Yes)) => return Ok(Some(connected)),
                Ok((connected, Suits::IfNoOther)) => drop(self.fallback.get_or_insert(connected)),
                Ok((_, Suits::No)) => self.last = unsuitable(host, target.attrs),
                // A server that knows the user and refuses it will not be better elsewhere.
                Err(fault) if fault.sqlstate.starts_with("28") => return Err(fault),
                Err(fault) => self.last = fault,
            }
        }
        Ok(None)
    }
}

async fn within<T>(
    target: &Target,
    host: &Host,
    attempt: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    timeout(target.connect_timeout, attempt)
        .await
        .unwrap_or_else(|_| Err(Fault::error("08001", format!("connecting to {} timed out", Shown(host)))))
}

async fn suits(attrs: TargetSessionAttrs, connected: &mut Connected) -> Result<Suits, Fault> {
    if attrs == TargetSessionAttrs::Any {
        return Ok(Suits::Yes);
    }
    let role = role::of(connected).await?;
    connected.role = Some(role);
    Ok(role.suits(attrs))
}

fn unsuitable(host: &Host, attrs: TargetSessionAttrs) -> Fault {
    Fault::error("08001", format!("{} does not suit target_session_attrs {attrs:?}", Shown(host)))
}

/// A login that failed, and whether it may succeed with TLS instead of without, or the reverse.
struct Failed {
    fault: Fault,
    other_way: bool,
}

async fn login(
    target: &Arc<Target>,
    host: &Host,
    address: &Address,
    params: &Params,
) -> Result<Connected, Fault> {
    let mut told = None;
    for way in target.tls.ways(host) {
        match login_by(target, host, address, params, *way).await {
            Ok(connected) => {
                if *way == Way::Plain
                    && let Some(why) = told.filter(|why: &Fault| why.sqlstate != "28000")
                {
                    target.tls.tell_plain(&target.database, host, &why);
                }
                return Ok(connected);
            }
            Err(Failed { fault, other_way: false }) if *way == Way::Plain => {
                return Err(told.unwrap_or(fault));
            }
            Err(Failed { fault, other_way: false }) => return Err(fault),
            // What went wrong with TLS tells more than a server's refusal of plain text.
            Err(Failed { fault, .. }) if *way == Way::Plain => told = told.or(Some(fault)),
            Err(Failed { fault, .. }) => told = Some(fault),
        }
    }
    Err(told.unwrap_or_else(garbled))
}

async fn login_by(
    target: &Arc<Target>,
    host: &Host,
    address: &Address,
    params: &Params,
    way: Way,
) -> Result<Connected, Failed> {
    let final_ = |fault| Failed { fault, other_way: false };
    let broken =
        |error: io::Error| Fault::error("08001", format!("cannot connect to {}: {error}", Shown(host)));
    let mut socket = reach::open(address).await.map_err(|error| final_(broken(error)))?;
    target.tls.encrypt(&mut socket, host, way).await.map_err(|error| {
        let fault = Fault::error("08001", format!("TLS with {} failed: {error}", Shown(host)));
        Failed { fault, other_way: true }
    })?;
    let encrypted = socket.tls().is_some();
    let mut login = Login { socket, target };
    let proven = async {
        login.start(params).await?;
        login.authenticate().await
    };
    proven.await.map_err(|fault| {
        // With `prefer`, a server without TLS was asked in plain text already.
        let other_way = fault.sqlstate == "28000" && (encrypted || way == Way::Plain);
        Failed { fault, other_way }
    })?;
    login.welcome(host, address).await.map_err(final_)
}

struct Login<'a> {
    socket: Socket,
    target: &'a Arc<Target>,
}

impl Login<'_> {
    async fn start(&mut self, more: &Params) -> Result<(), Fault> {
        let user = ("user", self.target.server_user.as_str());
        let database = ("database", self.target.server_database.as_str());
        let options = self.target.options.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let params = [user, database].into_iter().chain(options);
        let bytes = params.map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        let more = more.iter().map(|(name, value)| (name.as_slice(), value.as_slice()));
        let bytes = bytes.chain(more);
        let packet = startup::start_message(startup::VERSION_3_0, bytes);
        self.socket.write_all(&packet).await.map_err(cut)
    }

    async fn authenticate(&mut self) -> Result<(), Fault> {
        let mut proven = false;
        loop {
            let (code, body) = self.authentication().await?;
            if code != 10 && !proven && self.target.tls.binding() == Binding::Require {
                return Err(not_bound());
            }
            match code {
                0 => return Ok(()),
                3 => self.send_password(&self.cleartext()?).await?,
                5 => self.send_password(&self.md5(&body)?).await?,
                10 => {
                    self.scram(&body).await?;
                    proven = true;
                }
                code => return Err(unsupported(&format!("authentication method {code}"))),
            }
        }
    }

    fn cleartext(&self) -> Result<Vec<u8>, Fault> {
        match self.target.credential() {
            Credential::Password { password, .. } => Ok(password.0),
            _ => Err(lacking("a password in clear")),
        }
    }

    fn md5(&self, salt: &[u8]) -> Result<Vec<u8>, Fault> {
        let salt: [u8; 4] = salt.try_into().map_err(|_| garbled())?;
        let shadow = match self.target.credential() {
            Credential::Password { password, .. } => md5::md5_shadow(&self.target.server_user, &password.0),
            Credential::Md5(shadow) => String::from_utf8_lossy(&shadow.0).into_owned(),
            _ => return Err(lacking("an md5 password")),
        };
        Ok(md5::md5_response(&shadow, salt).into_bytes())
    }

    async fn send_password(&mut self, password: &[u8]) -> Result<(), Fault> {
        let mut out = vec![];
        emit::frame(&mut out, front::PASSWORD, |out| emit::cstr(out, password));
        self.socket.write_all(&out).await.map_err(cut)
    }

    async fn scram(&mut self, offered: &[u8]) -> Result<(), Fault> {
        let secret =
            self.target.credential().scram_secret().ok_or_else(|| lacking("a password or SCRAM keys"))?;
        let offered = offered.split(|byte| *byte == 0).filter(|name| !name.is_empty());
        let shown = self.socket.tls().and_then(|tls| tls.peer_certificate());
        let hash = shown.and_then(|certificate| tls_server_end_point(certificate));
        let wanted = self.target.tls.binding();
        let binding = hash
            .filter(|_| wanted != Binding::Disable)
            .map_or(ChannelBinding::None, ChannelBinding::TlsServerEndPoint);
        let exchange = ClientExchange::new(offered, secret, &binding).map_err(refused)?;
        let (mechanism, first) = (exchange.mechanism(), exchange.client_first());
        if wanted == Binding::Require && mechanism != SCRAM_SHA_256_PLUS {
            return Err(not_bound());
        }
        self.send(|out| {
            emit::cstr(out, mechanism.as_bytes());
            out.extend_from_slice(&(first.len() as u32).to_be_bytes());
            out.extend_from_slice(&first);
        })
        .await?;
        let challenge = exchange.server_first(&self.sasl(11).await?).map_err(refused)?;
        let answer = move || challenge.answer();
        let (awaiting, answer) =
            tokio::task::spawn_blocking(answer).await.map_err(|_| garbled())?.map_err(refused)?;
        self.send(|out| out.extend_from_slice(&answer)).await?;
        let keys = awaiting.server_final(&self.sasl(12).await?).map_err(refused)?;
        keys.into_iter().for_each(|keys| self.target.remember(keys));
        Ok(())
    }

    async fn send(&mut self, body: impl FnOnce(&mut Vec<u8>)) -> Result<(), Fault> {
        let mut out = vec![];
        emit::frame(&mut out, front::PASSWORD, body);
        self.socket.write_all(&out).await.map_err(cut)
    }

    async fn sasl(&mut self, expected: u32) -> Result<Vec<u8>, Fault> {
        match self.authentication().await? {
            (code, body) if code == expected => Ok(body),
            _ => Err(garbled()),
        }
    }

    async fn authentication(&mut self) -> Result<(u32, Vec<u8>), Fault> {
        loop {
            let (tag, body) = self.message().await?;
            match tag {
                back::AUTHENTICATION => {
                    let (code, rest) = body.split_first_chunk::<4>().ok_or_else(garbled)?;
                    return Ok((u32::from_be_bytes(*code), rest.to_vec()));
                }
                back::NEGOTIATE_PROTOCOL_VERSION | back::NOTICE_RESPONSE => {}
                _ => return Err(garbled()),
            }
        }
    }

    async fn welcome(mut self, host: &Host, address: &Address) -> Result<Connected, Fault> {
        let (mut pid, mut secret, mut params) = (0, Box::default(), vec![]);
        loop {
            let (tag, body) = self.message().await?;
            match tag {
                back::PARAMETER_STATUS => params.push(parameter(&body).ok_or_else(garbled)?),
                back::BACKEND_KEY_DATA => {
                    let (head, rest) = body.split_first_chunk::<4>().ok_or_else(garbled)?;
                    (pid, secret) = (i32::from_be_bytes(*head), rest.into());
                }
                back::READY_FOR_QUERY => break,
                back::NOTICE_RESPONSE => {}
                _ => return Err(garbled()),
            }
        }
        let tls = self.socket.tls().is_some().then(|| self.target.tls.clone());
        let (host, address) = (host.clone(), address.clone());
        Ok(Connected { socket: self.socket, host, address, tls, pid, secret, params, role: None })
    }

    /// The next message, byte-exact: nothing behind it is read. Errors of the server become faults.
    async fn message(&mut self) -> Result<(u8, Vec<u8>), Fault> {
        let mut head = [0; frame::HEADER];
        self.socket.read_exact(&mut head).await.map_err(cut)?;
        let frame = Frame::peek(&head).map_err(|_| garbled())?.ok_or_else(garbled)?;
        if frame.total > MAX_LOGIN_MESSAGE {
            return Err(garbled());
        }
        let mut body = vec![0; frame.total - frame::HEADER];
        self.socket.read_exact(&mut body).await.map_err(cut)?;
        match frame.tag {
            back::ERROR_RESPONSE => Err(Fault::from_body(&body)),
            tag => Ok((tag, body)),
        }
    }
}

/// Name and value of a ParameterStatus body.
pub fn parameter(body: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let (name, rest) = frame::cstr(body)?;
    let (value, _) = frame::cstr(rest)?;
    Some((name.to_vec(), value.to_vec()))
}

fn cut(error: io::Error) -> Fault {
    Fault::error("08006", format!("server closed the connection during login: {error}"))
}

fn garbled() -> Fault {
    Fault::error("08P01", "server sent an unexpected message during login")
}

fn unsupported(what: &str) -> Fault {
    Fault::error("0A000", format!("server asks for an unsupported {what}"))
}

fn not_bound() -> Fault {
    let text = "channel binding is required, but the server does not offer it for this login";
    Fault::error("28000", text)
        .hint("it takes TLS and SCRAM-SHA-256 on the server; else set `channel_binding` to `prefer`")
}

fn lacking(what: &str) -> Fault {
    Fault::error("28P01", format!("server asks for {what}, which is not known for this user"))
        .hint("give the user's password in the settings, or log in with SCRAM-SHA-256")
}

fn refused(error: ClientError) -> Fault {
    Fault::error("28P01", format!("SCRAM login to the server failed: {error}"))
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::config::settings::{Pool, ServerTls, SslMode};

    /// A server that answers every login with these messages.
    async fn server(answer: Vec<u8>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("a bound socket has an address");
        tokio::spawn(async move {
            while let Ok((mut peer, _)) = listener.accept().await {
                let _ = peer.read(&mut [0; 1024]).await;
                let _ = peer.write_all(&answer).await;
            }
        });
        address
    }

    /// A login that succeeds on a node of this kind.
    fn welcome(standby: &[u8]) -> Vec<u8> {
        let mut out = vec![];
        emit::frame(&mut out, back::AUTHENTICATION, |out| out.extend_from_slice(&[0; 4]));
        emit::parameter_status(&mut out, b"in_hot_standby", standby);
        emit::frame(&mut out, back::READY_FOR_QUERY, |out| out.push(b'I'));
        out
    }

    fn target(attrs: TargetSessionAttrs) -> Arc<Target> {
        let tls = ServerTls { mode: SslMode::Disable, ..ServerTls::default() };
        Arc::new(Target {
            database: "shop".into(),
            is_named: true,
            watched: false,
            user: "app".into(),
            level: None,
            hosts: vec![],
            server_database: "shop".into(),
            server_user: "app".into(),
            options: vec![],
            attrs,
            lead: Default::default(),
            tls: Arc::new(Connector::load(&tls).expect("nothing to load")),
            connect_timeout: Duration::from_secs(5),
            pool: Pool::default(),
            queue_length: 1,
            queue_timeout: Duration::from_secs(1),
            prepared_limit: 1,
            credential: Default::default(),
            renewed: Default::default(),
            asks_channels: Default::default(),
        })
    }

    #[test]
    fn servers_are_at_a_primary_if_one_is_asked_for_or_there_is_no_choice() {
        use TargetSessionAttrs::{Any, PreferStandby, Primary, ReadOnly, ReadWrite, Standby};
        let check = |hosts: u16, attrs, expected: bool| {
            let mut target = Arc::into_inner(target(attrs)).expect("nobody else has it");
            target.hosts = (0..hosts).map(|n| Host::Tcp("db.example".into(), n)).collect();
            assert_eq!(target.is_of_primary(), expected, "{attrs:?} of {hosts}");
        };
        [Any, Primary].into_iter().for_each(|attrs| check(1, attrs, true));
        [Primary, ReadWrite].into_iter().for_each(|attrs| check(2, attrs, true));
        [Any, Standby, PreferStandby, ReadOnly].into_iter().for_each(|attrs| check(2, attrs, false));
    }

    #[tokio::test]
    async fn every_address_of_a_name_is_tried() {
        let dead = TcpListener::bind("127.0.0.1:0").await.and_then(|l| l.local_addr()).expect("a port");
        let starting = server(Fault::fatal("57P03", "the database system is starting up").frame()).await;
        let refusing = server(Fault::fatal("28P01", "password authentication failed").frame()).await;
        let (standby, primary) = (server(welcome(b"on")).await, server(welcome(b"off")).await);
        let check = async |addresses: &[SocketAddr], attrs, expected: Result<SocketAddr, &str>| {
            let host = Host::Tcp("db.example".into(), 5432);
            let each: Vec<_> = addresses.iter().copied().map(Address::Tcp).collect();
            let mut choice = Choice::new("none".into());
            let found = choice.try_each(&target(attrs), &host, &each, &vec![]).await;
            let found = found.and_then(|found| found.or(choice.fallback).ok_or(choice.last));
            let found = found.map(|connected| connected.address).map_err(|fault| fault.sqlstate);
            assert_eq!(
                found,
                expected.map(Address::Tcp).map_err(str::to_owned),
                "{attrs:?} of {addresses:?}"
            );
        };
        use TargetSessionAttrs::{Any, PreferStandby, Primary, Standby};
        check(&[dead, starting, standby, primary], Any, Ok(standby)).await;
        check(&[dead, starting, standby, primary], Primary, Ok(primary)).await;
        check(&[primary, dead, standby], PreferStandby, Ok(standby)).await;
        check(&[primary, dead], PreferStandby, Ok(primary)).await;
        check(&[primary, starting], Standby, Err("57P03")).await;
        check(&[dead], Any, Err("08001")).await;
        check(&[refusing, primary], Any, Err("28P01")).await;
    }
}
