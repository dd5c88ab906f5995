//! Reaching a node: the addresses that its name has, and a socket to one of them.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio::net::{TcpStream, UnixStream, lookup_host};

use super::encrypt::{Connector, Way};
use super::server::Shared;
use crate::config::settings::Host;
use crate::wire::{Socket, startup};

/// When the system starts to ask whether a silent peer is still there.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// How long a cancel may take.
const CANCEL: Duration = Duration::from_secs(5);

/// One address of a host. Several nodes may stand behind one name, so a cancel must remember which it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// IP address and port.
    Tcp(SocketAddr),
    /// The unix socket.
    Unix(PathBuf),
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Address::Tcp(address) => write!(f, "{address}"),
            Address::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// The addresses of `host`, in the order in which the system names them; at least one.
///
/// # Errors
/// The name is not known, or has no address.
pub async fn resolve(host: &Host) -> io::Result<Vec<Address>> {
    let addresses = match host {
        Host::Tcp(name, port) => {
            let mut addresses: Vec<_> =
                lookup_host((name.as_str(), *port)).await?.map(Address::Tcp).collect();
            addresses.dedup();
            addresses
        }
        Host::Unix(folder, port) => vec![Address::Unix(folder.join(format!(".s.PGSQL.{port}")))],
    };
    if addresses.is_empty() { Err(io::Error::other("the name has no address")) } else { Ok(addresses) }
}

/// Opens a socket to `address`, without a word.
///
/// # Errors
/// As the system gives them.
pub async fn open(address: &Address) -> io::Result<Socket> {
    Ok(match address {
        Address::Tcp(address) => {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let keepalive = socket2::TcpKeepalive::new().with_time(KEEPALIVE);
            socket2::SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
            Socket::Tcp(stream)
        }
        Address::Unix(path) => Socket::Unix(UnixStream::connect(path).await?),
    })
}

/// Opens a socket to the first address of `host` that accepts.
///
/// # Errors
/// Those of the last address.
pub async fn open_any(host: &Host) -> io::Result<Socket> {
    let mut last = None;
    for address in resolve(host).await? {
        match open(&address).await {
            Ok(socket) => return Ok(socket),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into()))
}

/// Opens a socket to `address` for a cancel, over TLS if the connection to be cancelled has it.
///
/// # Errors
/// As the system or TLS gives them.
async fn open_for_cancel(host: &Host, address: &Address, tls: Option<&Connector>) -> io::Result<Socket> {
    let mut socket = open(address).await?;
    if let Some(tls) = tls {
        tls.encrypt(&mut socket, host, Way::Always).await?;
    }
    Ok(socket)
}

/// Asks the server to cancel what it runs, and waits until the server has passed that on.
pub async fn cancel(shared: &Shared) {
    let packet = startup::cancel_request(shared.pid, &shared.secret);
    let request = async {
        let mut socket = open_for_cancel(&shared.host, &shared.address, shared.tls.as_deref()).await?;
        socket.write_all(&packet).await?;
        // The server closes the connection after it has sent the signal.
        socket.read_exact(&mut [0]).await
    };
    let _ = crate::timer::timeout(CANCEL, request).await;
}

/// A host as it is shown in messages.
pub struct Shown<'a>(pub &'a Host);

impl std::fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
