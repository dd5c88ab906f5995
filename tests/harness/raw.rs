//! A client that knows the protocol's bytes and nothing else: blocking, every read with a deadline.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::frontend as msg;
use super::message::{Message, cut_str, text};
use super::scram::{Scram, md5_answer};

/// How long one message may take to arrive.
pub const READ_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a connection of a test may live.
const LIFETIME: Duration = Duration::from_secs(180);
/// Writes up to this size cannot block for long: the socket buffers hold them.
const SMALL_WRITE: usize = 64 * 1024;

/// Where a server or the proxy listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// Address and port.
    Tcp(SocketAddr),
    /// The socket itself.
    Unix(PathBuf),
}

/// Who logs in, and with what start-up parameters.
#[derive(Debug, Clone)]
pub struct Login {
    /// The user.
    pub user: String,
    /// The password.
    pub password: Vec<u8>,
    /// Parameters of the startup packet beside `user`, in order.
    pub params: Vec<(String, String)>,
    /// The protocol version asked for.
    pub version: u32,
}

impl Login {
    /// A user's login to a database, protocol 3.0.
    pub fn new(user: &str, password: &str, database: &str) -> Self {
        Self {
            user: user.into(),
            password: password.into(),
            params: vec![("database".into(), database.into())],
            version: msg::V3_0,
        }
    }

    /// One more start-up parameter.
    pub fn param(mut self, name: &str, value: &str) -> Self {
        self.params.push((name.into(), value.into()));
        self
    }

    /// The startup packet.
    pub fn packet(&self) -> Vec<u8> {
        let mut params = vec![("user", self.user.as_str())];
        params.extend(self.params.iter().map(|(n, v)| (n.as_str(), v.as_str())));
        msg::startup(self.version, &params)
    }
}

/// One connection.
pub struct Client {
    stream: Stream,
    inbox: Vec<u8>,
    deadline: Instant,
    /// Process id told by the peer.
    pub pid: i32,
    /// Cancel key told by the peer.
    pub key: Vec<u8>,
    /// Parameters as last reported.
    pub parameters: BTreeMap<String, String>,
}

impl Client {
    /// Connects, sends nothing.
    pub fn dial(endpoint: &Endpoint) -> io::Result<Self> {
        let stream = match endpoint {
            Endpoint::Tcp(addr) => {
                let stream = TcpStream::connect_timeout(addr, READ_TIMEOUT)?;
                stream.set_nodelay(true)?;
                stream.set_write_timeout(Some(READ_TIMEOUT))?;
                Stream::Tcp(stream)
            }
            Endpoint::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_write_timeout(Some(READ_TIMEOUT))?;
                Stream::Unix(stream)
            }
        };
        Ok(Self {
            stream,
            inbox: Vec::new(),
            deadline: Instant::now() + LIFETIME,
            pid: 0,
            key: Vec::new(),
            parameters: BTreeMap::new(),
        })
    }

    /// Connects and logs in; panics where that fails.
    pub fn connect(endpoint: &Endpoint, login: &Login) -> Self {
        let mut client =
            Self::dial(endpoint).unwrap_or_else(|e| panic!("cannot connect to {endpoint:?}: {e}"));
        let messages = client.login(login).expect("the login is readable");
        let ready = messages.last().is_some_and(|m| m.tag == b'Z');
        assert!(ready, "login of {} at {endpoint:?} failed: {messages:?}", login.user);
        client
    }

    /// Sends the startup packet and goes through authentication up to ReadyForQuery or a closed connection.
    pub fn login(&mut self, login: &Login) -> Result<Vec<Message>, String> {
        self.send(&login.packet());
        self.authenticate(login)
    }

    /// The rest of a login whose startup packet was sent.
    pub fn authenticate(&mut self, login: &Login) -> Result<Vec<Message>, String> {
        let mut seen = Vec::new();
        let mut scram = Scram::new(&login.password);
        while let Some(message) = self.read()? {
            let answer = (message.tag == b'R').then(|| answer(&message, login, &mut scram)).transpose()?;
            let done = message.tag == b'Z';
            seen.push(message);
            if let Some(answer) = answer.flatten() {
                self.send(&msg::password(&answer));
            }
            if done {
                break;
            }
        }
        Ok(seen)
    }

    /// Turns the connection into a TLS one; the peer has answered `S`, or does direct TLS.
    pub fn start_tls(self, config: Arc<rustls::ClientConfig>, name: &str) -> io::Result<Self> {
        let Stream::Tcp(tcp) = self.stream else {
            return Err(io::Error::other("TLS is for TCP"));
        };
        tcp.set_read_timeout(Some(READ_TIMEOUT))?;
        let name = rustls_pki_types::ServerName::try_from(name.to_string()).map_err(io::Error::other)?;
        let session = rustls::ClientConnection::new(config, name).map_err(io::Error::other)?;
        let mut tls = rustls::StreamOwned::new(session, tcp);
        tls.flush()?;
        Ok(Self { stream: Stream::Tls(Box::new(tls)), ..self })
    }

    /// The certificate that the peer showed.
    pub fn peer_certificate(&self) -> Option<Vec<u8>> {
        match &self.stream {
            Stream::Tls(tls) => Some(tls.conn.peer_certificates()?.first()?.to_vec()),
            _ => None,
        }
    }

    /// Sends bytes. A peer that has closed is found by reading, so failures are not told here.
    ///
    /// What the peer says meanwhile is taken in: a long pipeline must not dead-lock with its own answers.
    pub fn send(&mut self, bytes: &[u8]) {
        let second = if bytes.len() > SMALL_WRITE { self.stream.try_clone() } else { None };
        let Some(mut writer) = second else {
            let _ = self.stream.write_all(bytes).and_then(|()| self.stream.flush());
            return;
        };
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let _ = writer.write_all(bytes);
                done.store(true, Ordering::Release);
            });
            while !done.load(Ordering::Acquire) {
                if let Ok(0) = self.fill(Duration::from_millis(5)) {
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
        });
    }

    /// The next message; `None` when the peer has closed; an error when nothing comes in time.
    pub fn read(&mut self) -> Result<Option<Message>, String> {
        loop {
            if let Some(message) = self.take()? {
                self.note(&message);
                return Ok(Some(message));
            }
            match self.fill(READ_TIMEOUT) {
                Ok(0) if self.inbox.is_empty() => return Ok(None),
                Ok(0) => return Err(format!("closed within a message: {:?}", text(&self.inbox))),
                Ok(_) => {}
                Err(e) if is_timeout(&e) => return Err("nothing came in time".into()),
                Err(e) if self.inbox.is_empty() && is_closed(&e) => return Ok(None),
                Err(e) => return Err(e.to_string()),
            }
        }
    }

    /// One byte that is no message: the answer to SSLRequest or GSSENCRequest.
    pub fn read_byte(&mut self) -> Result<Option<u8>, String> {
        while self.inbox.is_empty() {
            match self.fill(READ_TIMEOUT) {
                Ok(0) => return Ok(None),
                Ok(_) => {}
                Err(e) if is_closed(&e) => return Ok(None),
                Err(e) => return Err(e.to_string()),
            }
        }
        Ok(Some(self.inbox.remove(0)))
    }

    /// Messages up to one of this type, or to the end of the connection.
    pub fn until(&mut self, tag: u8) -> Result<Vec<Message>, String> {
        let mut seen = Vec::new();
        loop {
            match self.read() {
                Ok(Some(message)) => {
                    let found = message.tag == tag;
                    seen.push(message);
                    if found {
                        return Ok(seen);
                    }
                }
                Ok(None) => return Ok(seen),
                Err(e) => return Err(format!("{e}, after {seen:?}")),
            }
        }
    }

    /// Messages up to ReadyForQuery; panics where it does not come.
    pub fn until_ready(&mut self) -> Vec<Message> {
        let messages = self.until(b'Z').unwrap_or_else(|e| panic!("no ReadyForQuery: {e}"));
        let ready = messages.last().is_some_and(|m| m.tag == b'Z');
        assert!(ready, "closed before ReadyForQuery, after {messages:?}");
        messages
    }

    /// Sends a simple query and waits for its end.
    pub fn simple(&mut self, sql: &str) -> Vec<Message> {
        self.send(&msg::query(sql));
        self.until_ready()
    }

    /// The first value of the first row of a query that must succeed.
    pub fn value(&mut self, sql: &str) -> String {
        let messages = self.simple(sql);
        let failed = messages.iter().find(|m| m.tag == b'E');
        assert!(failed.is_none(), "{sql}: {failed:?}");
        messages.iter().find(|m| m.tag == b'D').map(Message::value).unwrap_or_default()
    }

    /// Runs statements that must succeed.
    pub fn run(&mut self, sql: &str) {
        self.value(sql);
    }

    /// The SQLSTATE of the error that a query must give.
    pub fn error(&mut self, sql: &str) -> String {
        let messages = self.simple(sql);
        let error = messages.iter().find(|m| m.tag == b'E');
        error.unwrap_or_else(|| panic!("{sql} succeeds: {messages:?}")).sqlstate()
    }

    /// What arrives within this time: nothing, if the peer is quiet.
    pub fn within(&mut self, time: Duration) -> Result<Vec<Message>, String> {
        let end = Instant::now() + time;
        let mut seen = Vec::new();
        loop {
            while let Some(message) = self.take()? {
                self.note(&message);
                seen.push(message);
            }
            let left = end.saturating_duration_since(Instant::now());
            match self.fill(left.max(Duration::from_millis(1))) {
                Ok(0) => return Ok(seen),
                Ok(_) => {}
                Err(e) if is_timeout(&e) && left.is_zero() => return Ok(seen),
                Err(e) if is_timeout(&e) => {}
                Err(e) => return Err(e.to_string()),
            }
        }
    }

    /// Closes the sending half: FIN goes out, answers still come in.
    pub fn half_close(&self) {
        let _ = match &self.stream {
            Stream::Tcp(s) => s.shutdown(Shutdown::Write),
            Stream::Unix(s) => s.shutdown(Shutdown::Write),
            Stream::Tls(s) => s.sock.shutdown(Shutdown::Write),
        };
    }

    fn take(&mut self) -> Result<Option<Message>, String> {
        let Some((head, rest)) = self.inbox.split_first_chunk::<5>() else {
            return Ok(None);
        };
        let len = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        if !(4..1 << 30).contains(&len) {
            return Err(format!("a frame of type {:?} and length {len}", head[0] as char));
        }
        if rest.len() < len - 4 {
            self.inbox.reserve(len - 4 - rest.len());
            return Ok(None);
        }
        let message = Message { tag: head[0], body: rest[..len - 4].to_vec() };
        self.inbox.drain(..len + 1);
        Ok(Some(message))
    }

    fn fill(&mut self, timeout: Duration) -> io::Result<usize> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::Error::other("the connection's time is over"));
        }
        self.stream.set_read_timeout(timeout.min(left))?;
        let mut chunk = [0u8; 64 * 1024];
        let n = self.stream.read(&mut chunk)?;
        self.inbox.extend_from_slice(&chunk[..n]);
        Ok(n)
    }

    fn note(&mut self, message: &Message) {
        match message.tag {
            b'K' if message.body.len() > 4 => {
                let (pid, key) = message.body.split_at(4);
                self.pid = i32::from_be_bytes(pid.try_into().expect("four bytes"));
                self.key = key.to_vec();
            }
            b'S' => {
                let (name, value) = message.parameter();
                self.parameters.insert(name, value);
            }
            _ => {}
        }
    }
}

/// Sends a CancelRequest and waits until the peer has closed.
pub fn cancel(endpoint: &Endpoint, pid: i32, key: &[u8]) {
    let mut client = Client::dial(endpoint).expect("the cancel connection opens");
    client.send(&msg::cancel_request(pid, key));
    let answer = client.read();
    assert!(matches!(answer, Ok(None)), "a CancelRequest is answered by closing, not by {answer:?}");
}

/// The answer that an Authentication message asks for, `None` where it asks for none.
fn answer(message: &Message, login: &Login, scram: &mut Scram) -> Result<Option<Vec<u8>>, String> {
    let (kind, data) =
        message.body.split_first_chunk::<4>().ok_or("an Authentication message without a code")?;
    let with_nul = |text: &[u8]| [text, &[0]].concat();
    Ok(match u32::from_be_bytes(*kind) {
        3 => Some(with_nul(&login.password)),
        5 => Some(with_nul(md5_answer(&login.user, &text(&login.password), data).as_bytes())),
        10 => Some(scram.first(&mechanism(data, scram))),
        11 => Some(scram.last(&text(data))?),
        12 => {
            scram.check(&text(data))?;
            None
        }
        _ => None,
    })
}

/// SCRAM-SHA-256-PLUS if this client has channel binding data, else SCRAM-SHA-256; whatever is offered.
fn mechanism(mut offered: &[u8], scram: &Scram) -> String {
    let mut names = Vec::new();
    while let Some((name, rest)) = cut_str(offered) {
        names.push(name);
        offered = rest;
    }
    let plus = "SCRAM-SHA-256-PLUS".to_string();
    if !scram.binding.is_empty() && names.contains(&plus) { plus } else { "SCRAM-SHA-256".into() }
}

fn is_timeout(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

fn is_closed(e: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(e.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<rustls::StreamOwned<rustls::ClientConnection, TcpStream>>),
}

impl Stream {
    fn set_read_timeout(&self, time: Duration) -> io::Result<()> {
        match self {
            Self::Tcp(s) => s.set_read_timeout(Some(time)),
            Self::Unix(s) => s.set_read_timeout(Some(time)),
            Self::Tls(s) => s.sock.set_read_timeout(Some(time)),
        }
    }

    fn try_clone(&self) -> Option<Self> {
        match self {
            Self::Tcp(s) => s.try_clone().ok().map(Self::Tcp),
            Self::Unix(s) => s.try_clone().ok().map(Self::Unix),
            Self::Tls(_) => None,
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(s) => s.read(buf),
            Self::Unix(s) => s.read(buf),
            Self::Tls(s) => s.read(buf),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(s) => s.write(buf),
            Self::Unix(s) => s.write(buf),
            Self::Tls(s) => s.write(buf),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(s) => s.flush(),
            Self::Unix(s) => s.flush(),
            Self::Tls(s) => s.flush(),
        }
    }
}
