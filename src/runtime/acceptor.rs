//! Listening sockets, and the logins of those who come: on the control thread, so that no worker waits for a proof.

use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, RwLock};

use socket2::{Domain, Protocol, Socket as RawSocket, Type};
use tokio::net::{TcpListener, UnixListener};

use super::worker::{Order, WorkerLink, worker_of};
use crate::pool::budget::Budget;
use crate::session::admit::Admission;
use crate::session::directory::Directory;
use crate::session::login::{self, ConsoleClient, Outcome};
use crate::stats::{DoorStats, error_class};
use crate::wire::{Fault, Socket};

/// Connections that the kernel holds for us before they are accepted.
const BACKLOG: i32 = 4096;

/// What every login needs.
pub struct Entrance {
    /// Settings made ready for logins; swapped whole on reload.
    pub directory: RwLock<Arc<Directory>>,
    /// Sockets that have not logged in.
    pub unauthenticated: Arc<Budget>,
    /// Clients in total.
    pub clients: Arc<Budget>,
    /// The workers.
    pub workers: Vec<WorkerLink>,
    /// What happened at the door.
    pub stats: DoorStats,
    /// The process ends: it is no longer ready.
    pub draining: AtomicBool,
    /// Databases that take no new clients.
    pub disabled: Mutex<HashSet<String>>,
    /// Where clients of the console go.
    pub console: tokio::sync::mpsc::UnboundedSender<ConsoleClient>,
}

impl Entrance {
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
pub fn bind(address: SocketAddr, reuse_port: bool) -> io::Result<TcpListener> {
    let socket = RawSocket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(reuse_port)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// A unix socket that is removed from its folder when dropped.
pub struct UnixDoor {
    listener: UnixListener,
    path: PathBuf,
}

/// Binds `.s.PGSQL.<port>` in a folder; a socket that nobody listens on is replaced.
///
/// # Errors
/// As the system gives them; `AddrInUse` when another process listens there.
pub fn bind_unix(folder: &std::path::Path, port: u16) -> io::Result<UnixDoor> {
    let path = folder.join(format!(".s.PGSQL.{port}"));
    if std::os::unix::net::UnixStream::connect(&path).is_ok() {
        return Err(io::ErrorKind::AddrInUse.into());
    }
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777))?;
    Ok(UnixDoor { listener, path })
}

impl Drop for UnixDoor {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Accepts on a TCP socket until dropped.
pub async fn accept_tcp(entrance: Arc<Entrance>, listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let _ = stream.set_nodelay(true);
                enter(&entrance, Socket::Tcp(stream), peer.to_string());
            }
            Err(error) => rest_after(&error).await,
        }
    }
}

/// Accepts on a unix socket until dropped.
pub async fn accept_unix(entrance: Arc<Entrance>, door: UnixDoor) {
    loop {
        match door.listener.accept().await {
            Ok((stream, _)) => enter(&entrance, Socket::Unix(stream), "unix".to_owned()),
            Err(error) => rest_after(&error).await,
        }
    }
}

/// Out of descriptors or memory: others must be let go first.
async fn rest_after(error: &io::Error) {
    tracing::warn!(%error, "cannot accept");
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
}

fn enter(entrance: &Arc<Entrance>, mut socket: Socket, peer: String) {
    let directory = entrance.directory();
    let Some(waiting) = entrance.unauthenticated.take() else {
        entrance.stats.refused[error_class("53300")].add(1);
        tokio::spawn(async move {
            let limit = directory.settings.limits.max_unauthenticated;
            let fault =
                Fault::fatal("53300", format!("too many logins under way (max_unauthenticated = {limit})"));
            let _ = socket.write_all(&fault.frame()).await;
        });
        return;
    };
    let entrance = entrance.clone();
    tokio::spawn(async move {
        let time = directory.settings.limits.login_timeout;
        let login = login::login(&directory, &entrance.clients, socket, peer);
        let outcome = tokio::time::timeout(time, login).await.unwrap_or(Outcome::Closed);
        drop(waiting);
        entrance.hand_over(outcome);
    });
}

impl Entrance {
    fn hand_over(&self, outcome: Outcome) {
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
                if let Some(worker) = self.workers.get(worker_of(pid)) {
                    let (done, passed_on) = tokio::sync::oneshot::channel();
                    worker.send(Order::Cancel { pid, secret, done });
                    tokio::spawn(async move {
                        let _ = passed_on.await;
                        drop(socket);
                    });
                }
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
