//! A server that does byte for byte what a test says: for faults that a real one does not give on demand.

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use super::frontend::frame;
use super::message::{Message, cut_str, text};
use super::raw::Endpoint;

const TIMEOUT: Duration = Duration::from_secs(20);
/// Long enough for the reader to have taken the first piece.
pub const BETWEEN_PIECES: Duration = Duration::from_millis(1);

/// The listening side. Each connection gets a thread that plays the script.
pub struct ScriptedServer {
    /// Where it listens.
    pub addr: SocketAddr,
    stop: Arc<AtomicBool>,
    closed: Arc<Mutex<BTreeSet<usize>>>,
    failures: Arc<Mutex<Vec<String>>>,
    acceptor: Option<JoinHandle<()>>,
}

impl ScriptedServer {
    /// Starts it. The script gets the number of the connection, from 0, and the peer; its error is the test's.
    pub fn start<F>(script: F) -> Self
    where
        F: Fn(usize, &mut Peer) -> Result<(), String> + Send + Sync + 'static,
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let addr = listener.local_addr().expect("a bound socket has an address");
        let stop = Arc::new(AtomicBool::new(false));
        let closed = Arc::new(Mutex::new(BTreeSet::new()));
        let failures = Arc::new(Mutex::new(Vec::new()));
        let acceptor = std::thread::spawn({
            let (stop, closed, failures) = (stop.clone(), closed.clone(), failures.clone());
            move || accept(&listener, &stop, &closed, &failures, &script)
        });
        Self { addr, stop, closed, failures, acceptor: Some(acceptor) }
    }

    /// Its address, for a client.
    pub fn endpoint(&self) -> Endpoint {
        Endpoint::Tcp(self.addr)
    }

    /// A connection string for the proxy.
    pub fn url(&self, query: &str) -> String {
        // Whether reads may share servers is asked on a connection of its own, which no script expects.
        format!("postgres://app:app-secret@{}/app?share_servers=off&{query}", self.addr)
    }

    /// Whether it has closed the connection of this number.
    pub fn has_closed(&self, number: usize) -> bool {
        self.closed.lock().expect("no script panicked").contains(&number)
    }

    /// Stops it and tells what the scripts complained about.
    pub fn finish(mut self) -> Vec<String> {
        self.end();
        std::mem::take(&mut *self.failures.lock().expect("no script panicked"))
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::Release);
        let _ = TcpStream::connect(self.addr);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

impl Drop for ScriptedServer {
    fn drop(&mut self) {
        self.end();
    }
}

fn accept<F>(
    listener: &TcpListener,
    stop: &AtomicBool,
    closed: &Mutex<BTreeSet<usize>>,
    failures: &Mutex<Vec<String>>,
    script: &F,
) where
    F: Fn(usize, &mut Peer) -> Result<(), String> + Send + Sync,
{
    std::thread::scope(|scope| {
        for (n, stream) in listener.incoming().flatten().enumerate() {
            if stop.load(Ordering::Acquire) {
                break;
            }
            scope.spawn(move || {
                let _ = stream.set_nodelay(true);
                let mut peer = Peer { stream };
                if let Err(e) = script(n, &mut peer) {
                    failures.lock().expect("no script panicked").push(format!("connection {n}: {e}"));
                }
                drop(peer);
                closed.lock().expect("no script panicked").insert(n);
            });
        }
    });
}

/// One connection, seen from the server.
pub struct Peer {
    stream: TcpStream,
}

impl Peer {
    /// Speaks the login of a server that trusts everybody: parameters, key, ReadyForQuery. SSLRequest is declined.
    ///
    /// An error where the peer goes away before it has sent a startup packet, as health checks do.
    pub fn login(&mut self) -> Result<(), String> {
        self.login_in_pieces(0)
    }

    /// The same, with the greeting cut in two at this byte.
    pub fn login_in_pieces(&mut self, cut: usize) -> Result<(), String> {
        self.startup()?;
        self.send_in_pieces(&greeting(), cut);
        Ok(())
    }

    /// The same, with another greeting.
    pub fn login_with(&mut self, greeting: &[u8]) -> Result<(), String> {
        self.startup()?;
        self.send(greeting);
        Ok(())
    }

    fn startup(&mut self) -> Result<(), String> {
        let mut body = self.startup_packet()?;
        while matches!(code(&body), 80_877_103 | 80_877_104) {
            self.send(b"N");
            body = self.startup_packet()?;
        }
        if code(&body) == 80_877_102 {
            return Err("a CancelRequest came instead of a login".into());
        }
        Ok(())
    }

    /// What follows the startup packet, up to ReadyForQuery, with this cancel key.
    pub fn welcome(&mut self, key: &[u8]) {
        self.send(&greeting_with(key));
    }

    /// The next message; `None` when the peer has closed.
    pub fn read(&mut self) -> Result<Option<Message>, String> {
        let mut head = [0; 5];
        match self.read_exact(&mut head) {
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            other => other.map_err(|e| e.to_string())?,
        }
        let len = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        let mut body = vec![0; len.saturating_sub(4)];
        self.read_exact(&mut body).map_err(|e| e.to_string())?;
        Ok(Some(Message { tag: head[0], body }))
    }

    /// Messages up to one of this type; an error where the peer closes first.
    pub fn until(&mut self, tag: u8) -> Result<Vec<Message>, String> {
        let mut seen = Vec::new();
        while let Some(message) = self.read()? {
            let found = message.tag == tag;
            seen.push(message);
            if found {
                return Ok(seen);
            }
        }
        Err(format!("closed before {:?}", tag as char))
    }

    /// The next simple query whose text contains this; what comes before it is answered like `SET`.
    pub fn until_query(&mut self, part: &str) -> Result<(), String> {
        loop {
            let messages = self.until(b'Q')?;
            let sql = messages.last().and_then(|m| cut_str(&m.body)).unwrap_or_default().0;
            if sql.contains(part) {
                return Ok(());
            }
            self.complete("SET", b'I');
        }
    }

    /// Reads exactly these bytes.
    pub fn expect(&mut self, bytes: &[u8]) -> Result<(), String> {
        let mut got = vec![0; bytes.len()];
        self.read_exact(&mut got).map_err(|e| format!("{e} while {:?} was expected", text(bytes)))?;
        if got == bytes { Ok(()) } else { Err(format!("got {:?}, expected {:?}", text(&got), text(bytes))) }
    }

    /// Sends bytes; a peer that is gone is found by reading.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = io::Write::write_all(&mut self.stream, bytes);
    }

    /// Sends bytes cut in two, so that they arrive as two.
    pub fn send_in_pieces(&mut self, bytes: &[u8], cut: usize) {
        let (left, right) = bytes.split_at(cut);
        if !left.is_empty() {
            self.send(left);
            std::thread::sleep(BETWEEN_PIECES);
        }
        self.send(right);
    }

    /// CommandComplete and ReadyForQuery.
    pub fn complete(&mut self, tag: &str, status: u8) {
        self.send(&frame(b'C', format!("{tag}\0").as_bytes()));
        self.ready(status);
    }

    /// Closes with an RST instead of a FIN.
    pub fn reset(&self) {
        let socket = socket2::SockRef::from(&self.stream);
        socket.set_linger(Some(Duration::ZERO)).expect("a socket can linger");
    }

    /// ReadyForQuery.
    pub fn ready(&mut self, status: u8) {
        self.send(&frame(b'Z', &[status]));
    }

    /// Says nothing for this time, or until the peer closes.
    pub fn stall(&mut self, time: Duration) {
        let _ = self.stream.set_read_timeout(Some(time));
        let mut byte = [0];
        let _ = io::Read::read(&mut self.stream, &mut byte);
    }

    /// The packet of a connection's beginning, without its length.
    pub fn startup_packet(&mut self) -> Result<Vec<u8>, String> {
        let mut len = [0; 4];
        self.read_exact(&mut len).map_err(|e| format!("no startup packet: {e}"))?;
        let mut body = vec![0; u32::from_be_bytes(len).clamp(8, 10_000) as usize - 4];
        self.read_exact(&mut body).map_err(|e| e.to_string())?;
        Ok(body)
    }

    fn read_exact(&mut self, buf: &mut [u8]) -> io::Result<()> {
        self.stream.set_read_timeout(Some(TIMEOUT))?;
        io::Read::read_exact(&mut self.stream, buf)
    }
}

/// The process id that it tells.
pub const PID: i32 = 1234;

/// What a server says that trusts everybody: AuthenticationOk, parameters, key, ReadyForQuery.
pub fn greeting() -> Vec<u8> {
    greeting_with(&[1, 2, 3, 4])
}

fn greeting_with(key: &[u8]) -> Vec<u8> {
    let mut out = frame(b'R', &0u32.to_be_bytes());
    for (name, value) in PARAMETERS {
        out.extend(frame(b'S', format!("{name}\0{value}\0").as_bytes()));
    }
    out.extend(frame(b'K', &[&PID.to_be_bytes(), key].concat()));
    out.extend(frame(b'Z', b"I"));
    out
}

const PARAMETERS: [(&str, &str); 12] = [
    ("application_name", ""),
    ("client_encoding", "UTF8"),
    ("DateStyle", "ISO, MDY"),
    ("default_transaction_read_only", "off"),
    ("in_hot_standby", "off"),
    ("integer_datetimes", "on"),
    ("IntervalStyle", "postgres"),
    ("is_superuser", "off"),
    ("server_encoding", "UTF8"),
    ("server_version", "15.20"),
    ("standard_conforming_strings", "on"),
    ("TimeZone", "UTC"),
];

fn code(body: &[u8]) -> u32 {
    body.first_chunk().map_or(0, |word| u32::from_be_bytes(*word))
}
