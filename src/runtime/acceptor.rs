//! Listening sockets, and the logins of those who come: on the first worker, which mostly is the one that serves them too. Handing each of
//! them over from another thread would cost more than proving who it is; TLS handshakes, which cost more, are the control thread's.

use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, RwLock};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket as RawSocket, Type};
use tokio::net::{TcpListener, UnixListener};
use tokio::runtime::Handle;

use super::peers::Peers;
use super::worker::{Order, WorkerLink, stopping, worker_of};
use crate::pool::budget::Budget;
use crate::session::admit::Admission;
use crate::session::directory::Directory;
use crate::session::login::{self, ConsoleClient, Outcome};
use crate::stats::{DoorStats, error_class};
use crate::wire::startup::{self, Request};
use crate::wire::{Fault, Socket};

/// Connections that the kernel holds for us before they are accepted.
const BACKLOG: i32 = 4096;

/// See [`Entrance::beat`]: shorter than the time that logins are given, if it is to save anything.
const BEAT: Duration = Duration::from_millis(250);
/// How long a client that is turned away may take to read why.
const FAREWELL: Duration = Duration::from_secs(2);
/// Clients that are being told why they may not come in; one more is closed without a word.
pub const MAX_TURNED_AWAY: usize = 1000;

/// What every login needs.
pub struct Entrance {
    /// Settings made ready for logins; swapped whole on reload.
    pub directory: RwLock<Arc<Directory>>,
    /// Sockets that have not logged in.
    pub unauthenticated: Arc<Budget>,
    /// Clients in total.
    pub clients: Arc<Budget>,
    /// Clients that are being told why they may not come in.
    pub turned_away: Arc<Budget>,
    /// For what takes too long for a worker.
    pub control: Handle,
    /// The workers; the first one accepts.
    pub workers: Vec<WorkerLink>,
    /// What happened at the door.
    pub stats: DoorStats,
    /// The process ends: it is no longer ready.
    pub draining: AtomicBool,
    /// There is a timer due before those of logins.
    pub beating: AtomicBool,
    /// Databases that take no new clients.
    pub disabled: Mutex<HashSet<String>>,
    /// Other processes at the same address, if it may be shared.
    pub peers: Option<Arc<Peers>>,
    /// Where clients of the console go.
    pub console: tokio::sync::mpsc::UnboundedSender<ConsoleClient>,
}

impl Entrance {
    /// Accepts at this door from now on.
    pub fn open(self: &Arc<Self>, door: Door) {
        if let Some(worker) = self.workers.first() {
            worker.send(Order::Open(door, self.clone()));
        }
    }

    /// Accepts no more; returns when that is so.
    pub async fn close(&self) {
        let (done, closed) = tokio::sync::oneshot::channel();
        if let Some(worker) = self.workers.first() {
            worker.send(Order::Close(done));
            let _ = closed.await;
        }
    }

    /// The settings in force.
    pub fn directory(&self) -> Arc<Directory> {
        self.directory.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// DISABLE, ENABLE.
    pub fn set_disabled(&self, database: &str, disabled: bool) {
        let mut names = self.disabled();
        if disabled {
            names.insert(database.to_owned())
        } else {
            names.remove(database)
        };
    }

    /// Databases that take no new clients.
    pub fn disabled(&self) -> MutexGuard<'_, HashSet<String>> {
        self.disabled.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Puts other settings in force.
    pub fn set_directory(&self, directory: Arc<Directory>) {
        *self.directory.write().unwrap_or_else(std::sync::PoisonError::into_inner) = directory;
    }
}

/// Binds a TCP address.
///
/// # Errors
/// As the system gives them: in use, not ours, not allowed.
pub fn bind(address: SocketAddr, reuse_port: bool) -> io::Result<std::net::TcpListener> {
    let socket = RawSocket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(reuse_port)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    // Accepted sockets inherit it.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// A listening socket of another process.
///
/// # Errors
/// As the system gives them.
pub fn adopt(socket: OwnedFd) -> io::Result<std::net::TcpListener> {
    let listener = std::net::TcpListener::from(socket);
    listener.set_nonblocking(true)?;
    SockRef::from(&listener).set_tcp_nodelay(true)?;
    Ok(listener)
}

/// As [`adopt`], for a unix socket.
///
/// # Errors
/// As the system gives them.
pub fn adopt_unix(socket: OwnedFd) -> io::Result<std::os::unix::net::UnixListener> {
    let listener = std::os::unix::net::UnixListener::from(socket);
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// A listening socket on its way to the thread that accepts.
pub enum Door {
    /// TCP.
    Tcp(std::net::TcpListener),
    /// A unix socket.
    Unix(std::os::unix::net::UnixListener),
}

/// The path of a unix socket, which is removed when this is dropped, unless another process has taken it over.
pub struct UnixPath {
    path: PathBuf,
    peers: Option<Arc<Peers>>,
}

impl UnixPath {
    /// That of a listening socket; `peers` may have taken it over by the time this is dropped.
    pub fn new(path: PathBuf, peers: Option<Arc<Peers>>) -> UnixPath {
        UnixPath { path, peers }
    }
}

impl Door {
    /// Accepts in the calling thread, until dropped.
    ///
    /// # Errors
    /// When the reactor refuses the socket.
    pub async fn serve(self, entrance: Arc<Entrance>) -> io::Result<()> {
        match self {
            Door::Tcp(listener) => accept_tcp(&entrance, TcpListener::from_std(listener)?).await,
            Door::Unix(listener) => accept_unix(&entrance, UnixListener::from_std(listener)?).await,
        }
        Ok(())
    }
}

/// Binds a path; a socket that nobody listens on is replaced.
///
/// # Errors
/// As the system gives them; `AddrInUse` when another process listens there.
pub fn bind_unix(path: &std::path::Path) -> io::Result<std::os::unix::net::UnixListener> {
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(io::ErrorKind::AddrInUse.into());
    }
    let _ = std::fs::remove_file(path);
    let listener = std::os::unix::net::UnixListener::bind(path)?;
    listener.set_nonblocking(true)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777))?;
    Ok(listener)
}

impl Drop for UnixPath {
    fn drop(&mut self) {
        if !self.peers.as_ref().is_some_and(|peers| peers.any()) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

async fn accept_tcp(entrance: &Arc<Entrance>, listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                enter(entrance, Socket::Tcp(stream), peer.to_string());
            }
            Err(error) => rest_after(&error).await,
        }
    }
}

async fn accept_unix(entrance: &Arc<Entrance>, listener: UnixListener) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => enter(entrance, Socket::Unix(stream), "unix".to_owned()),
            Err(error) => rest_after(&error).await,
        }
    }
}

/// Out of descriptors or memory: others must be let go first.
async fn rest_after(error: &io::Error) {
    tracing::warn!(%error, "cannot accept");
    crate::timer::sleep(Duration::from_millis(50)).await;
}

/// Reads up to the startup packet, without encryption; gives the process id and secret of a cancel.
async fn first_request(socket: &mut Socket) -> io::Result<Option<(i32, Vec<u8>)>> {
    for _ in 0..3 {
        let mut head = [0; 4];
        socket.read_exact(&mut head).await?;
        let Ok(length) = startup::packet_length(head) else { break };
        let mut body = vec![0; length - head.len()];
        socket.read_exact(&mut body).await?;
        match startup::parse(&body) {
            Ok(Request::Tls | Request::GssEnc) => socket.write_all(b"N").await?,
            Ok(Request::Cancel { pid, secret }) => return Ok(Some((pid, secret))),
            _ => break,
        }
    }
    Ok(None)
}

fn enter(entrance: &Arc<Entrance>, socket: Socket, peer: String) {
    let directory = entrance.directory();
    if entrance.draining.load(Ordering::Relaxed) {
        return entrance.turn_away(socket, stopping());
    }
    let Some(waiting) = entrance.unauthenticated.take() else {
        let limit = directory.settings.limits.max_unauthenticated;
        let text = format!("too many logins under way (max_unauthenticated = {limit})");
        return entrance.turn_away(socket, Fault::fatal("53300", text));
    };
    entrance.beat();
    let entrance = entrance.clone();
    // Boxed, because the task would be moved about, and it is large.
    tokio::spawn(Box::pin(async move {
        let time = directory.settings.limits.login_timeout;
        let login = login::login((&directory, &entrance.control), &entrance.clients, socket, peer);
        let outcome = crate::timer::timeout(time, login).await.unwrap_or(Outcome::Closed);
        drop(waiting);
        entrance.hand_over(outcome);
    }));
}

impl Entrance {
    /// Keeps a timer that is due before those of logins for as long as there are any: to set a timer that is due before
    /// all others costs a system call and a turn of the reactor.
    fn beat(self: &Arc<Self>) {
        if self.beating.swap(true, Ordering::Relaxed) {
            return;
        }
        let entrance = self.clone();
        tokio::spawn(async move {
            while entrance.unauthenticated.used() > 0 {
                crate::timer::sleep(BEAT).await;
            }
            entrance.beating.store(false, Ordering::Relaxed);
        });
    }

    /// Tells a client why it may not come in. What it has sent is read first and while it leaves: a socket that is
    /// closed with something unread takes back what was said last, and libpq shows no error that answers an
    /// SSLRequest. A cancel is no newcomer.
    fn turn_away(self: &Arc<Self>, mut socket: Socket, fault: Fault) {
        let Some(place) = self.turned_away.take() else { return };
        let entrance = self.clone();
        tokio::spawn(async move {
            let request = crate::timer::timeout(FAREWELL, first_request(&mut socket)).await;
            if let Ok(Ok(Some((pid, secret)))) = request {
                return entrance.cancel_anywhere(pid, &secret).await;
            }
            entrance.stats.refused[error_class(&fault.sqlstate)].add(1);
            let farewell = async {
                socket.write_all(&fault.frame()).await?;
                socket.shutdown()?;
                let mut rest = [0; 1024];
                while std::future::poll_fn(|cx| socket.poll_read(cx, &mut rest)).await? > 0 {}
                io::Result::Ok(())
            };
            let _ = crate::timer::timeout(FAREWELL, farewell).await;
            drop(place);
        });
    }

    /// Cancels what a session of this process runs; false when there is no such session. Returns when the server has
    /// been told.
    pub async fn cancel(&self, pid: i32, secret: &[u8]) -> bool {
        let Some(worker) = self.workers.get(worker_of(pid)) else { return false };
        let (unknown, answer) = tokio::sync::oneshot::channel();
        worker.send(Order::Cancel { pid, secret: secret.to_vec(), unknown });
        answer.await.is_err()
    }

    /// The same, in another process at this address if the session is not here.
    async fn cancel_anywhere(&self, pid: i32, secret: &[u8]) {
        if let (false, Some(peers)) = (self.cancel(pid, secret).await, &self.peers) {
            peers.cancel(pid, secret).await;
        }
    }

    fn hand_over(self: &Arc<Self>, outcome: Outcome) {
        match outcome {
            Outcome::Admitted(admission) if self.disabled().contains(&admission.target.database) => {
                self.stats.refused[error_class("57P03")].add(1);
                tokio::spawn(refuse_disabled(*admission));
            }
            Outcome::Admitted(admission) => {
                if let Some(worker) = self.workers.iter().min_by_key(|worker| worker.sessions()) {
                    worker.send(Order::Admit(admission));
                }
            }
            Outcome::Console(client) => drop(self.console.send(*client)),
            Outcome::Cancel { pid, secret, socket } => {
                let entrance = self.clone();
                tokio::spawn(async move {
                    entrance.cancel_anywhere(pid, &secret).await;
                    drop(socket);
                });
            }
            Outcome::Refused(sqlstate) => self.stats.refused[error_class(&sqlstate)].add(1),
            Outcome::Closed => self.stats.unfinished.add(1),
        }
    }
}

/// DISABLE holds for clients that come now; those that are in stay.
async fn refuse_disabled(admission: Admission) {
    let Ok(mut socket) = admission.socket.attach() else { return };
    let mut out = admission.pending;
    let text = format!("database \"{}\" is disabled", admission.target.database);
    Fault::fatal("57P03", text).hint("ENABLE it on the console").emit(&mut out);
    let _ = socket.write_all(&out).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn accepted_sockets_send_at_once() {
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0)), false).expect("it binds");
        let listener = TcpListener::from_std(listener).expect("a reactor");
        let address = listener.local_addr().expect("an address");
        let _client = tokio::net::TcpStream::connect(address).await.expect("it connects");
        let (accepted, _) = listener.accept().await.expect("it accepts");
        assert!(accepted.nodelay().expect("an option"));
    }
}
