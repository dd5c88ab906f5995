//! Processes that share an address: a new one takes over the listening sockets, and a cancel finds its session in
//! whichever process that lives.
//!
//! Each process listens on an abstract unix socket, whose name says which address is shared. The names stand in
//! `/proc/net/unix`, so that nobody has to be told of the others, and nothing is left behind by one that is killed.
//! Only processes of the same user are listened to. Why sockets are handed over: `docs/design/takeover.md`.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{
    SocketAddr as UnixAddr, UnixListener as StdUnixListener, UnixStream as StdUnixStream,
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

use super::acceptor::Entrance;

/// How long a peer may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a list of peers is good for cancels that nobody here knows.
const FRESH: Duration = Duration::from_secs(1);
/// The most listening sockets that are handed over.
const MAX_LISTENERS: usize = 64;
/// The longest request: a cancel with a secret of 256 bytes.
const MAX_REQUEST: u64 = 1024;

/// A listening socket by its name: an address, or the path of a unix socket.
type Listening = (String, OwnedFd);

/// This process among those that share its address.
pub struct Peers {
    group: String,
    name: String,
    known: Mutex<Option<(Instant, Vec<String>)>>,
    listening: Mutex<Vec<Listening>>,
}

impl Peers {
    /// Those that share `address`.
    ///
    /// # Errors
    /// Without randomness for a name.
    pub fn of(address: SocketAddr) -> io::Result<Peers> {
        let group = format!("pgweir/{address}/");
        let mut random = [0; 8];
        aws_lc_rs::rand::fill(&mut random).map_err(|_| io::Error::other("no randomness"))?;
        let name = format!("{group}{}", hex(&random));
        Ok(Peers { group, name, known: Mutex::default(), listening: Mutex::default() })
    }

    /// The listening sockets of the others; none when there is nobody. Waits: for the start of a process only.
    pub fn take_over(&self) -> Vec<Listening> {
        for peer in self.others() {
            match ask_for_listeners(&peer) {
                Ok(listeners) if listeners.is_empty() => {}
                Ok(listeners) => return listeners,
                Err(error) => {
                    tracing::warn!(peer, %error, "no listening sockets taken over; clients that wait at the other process are lost when it stops");
                }
            }
        }
        vec![]
    }

    /// Keeps a listening socket for those that come later.
    pub fn offer(&self, name: String, socket: OwnedFd) {
        lock(&self.listening).push((name, socket));
    }

    /// Offers nothing any more.
    pub fn withdraw(&self) {
        lock(&self.listening).clear();
    }

    /// Whether somebody else serves the address.
    pub fn any(&self) -> bool {
        !self.others().is_empty()
    }

    /// Passes a cancel to the others, and returns when it has arrived.
    pub async fn cancel(&self, pid: i32, secret: &[u8]) {
        let request = format!("cancel {pid} {}\n", hex(secret));
        for peer in self.known() {
            let asked = crate::timer::timeout(PATIENCE, ask(&peer, &request)).await;
            if asked.is_ok_and(|answer| answer.is_ok_and(|text| text == "done\n")) {
                return;
            }
        }
    }

    fn known(&self) -> Vec<String> {
        let mut known = lock(&self.known);
        match &*known {
            Some((when, names)) if when.elapsed() < FRESH => names.clone(),
            _ => known.insert((Instant::now(), self.others())).1.clone(),
        }
    }

    fn others(&self) -> Vec<String> {
        let table = std::fs::read_to_string("/proc/net/unix").unwrap_or_default();
        names(&table, &self.group).filter(|name| *name != self.name).map(str::to_owned).collect()
    }
}

/// Answers the others until the process ends.
///
/// # Errors
/// When the system refuses the socket.
pub fn serve(entrance: Arc<Entrance>, peers: Arc<Peers>) -> io::Result<()> {
    let listener = StdUnixListener::bind_addr(&UnixAddr::from_abstract_name(&peers.name)?)?;
    listener.set_nonblocking(true)?;
    let listener = UnixListener::from_std(listener)?;
    tokio::spawn(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                crate::timer::sleep(Duration::from_millis(50)).await;
                continue;
            };
            if stream.peer_cred().is_ok_and(|peer| peer.uid() == rustix::process::geteuid().as_raw()) {
                tokio::spawn(answer(entrance.clone(), peers.clone(), stream));
            }
        }
    });
    Ok(())
}

async fn answer(entrance: Arc<Entrance>, peers: Arc<Peers>, mut stream: UnixStream) {
    let request = crate::timer::timeout(PATIENCE, read_line(&mut stream)).await;
    let Ok(Ok(request)) = request else { return };
    let mut words = request.split_ascii_whitespace();
    match (words.next(), words.next(), words.next()) {
        (Some("listeners"), None, None) => {
            if let Err(error) = hand_over(&peers, &stream).await {
                tracing::warn!(%error, "listening sockets not handed over");
            }
        }
        (Some("cancel"), Some(pid), Some(secret)) => {
            let (Ok(pid), Some(secret)) = (pid.parse(), unhex(secret)) else { return };
            let known = entrance.cancel(pid, &secret).await;
            let _ = stream.write_all(if known { b"done\n" } else { b"unknown\n" }).await;
        }
        _ => {}
    }
}

async fn read_line(stream: &mut UnixStream) -> io::Result<String> {
    let mut line = String::new();
    let mut limited = stream.take(MAX_REQUEST);
    loop {
        let byte = limited.read_u8().await?;
        if byte == b'\n' {
            return Ok(line);
        }
        line.push(char::from(byte));
    }
}

async fn hand_over(peers: &Peers, stream: &UnixStream) -> io::Result<()> {
    stream.writable().await?;
    let listening = lock(&peers.listening);
    let text: String = listening.iter().map(|(name, _)| format!("{name}\n")).collect();
    let sockets: Vec<_> = listening.iter().take(MAX_LISTENERS).map(|(_, socket)| socket.as_fd()).collect();
    if sockets.is_empty() {
        return Ok(());
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_LISTENERS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&sockets));
    let text = [IoSlice::new(text.as_bytes())];
    rustix::net::sendmsg(stream, &text, &mut control, SendFlags::NOSIGNAL)?;
    tracing::info!(sockets = sockets.len(), "another process takes over");
    Ok(())
}

fn ask_for_listeners(peer: &str) -> io::Result<Vec<Listening>> {
    let mut stream = StdUnixStream::connect_addr(&UnixAddr::from_abstract_name(peer)?)?;
    let owner = rustix::net::sockopt::socket_peercred(&stream)?.uid;
    if owner != rustix::process::geteuid() {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"listeners\n")?;
    let mut text = [0; 16 * 1024];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_LISTENERS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let into = &mut [IoSliceMut::new(&mut text)];
    let received = rustix::net::recvmsg(&stream, into, &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let sockets: Vec<OwnedFd> = control
        .drain()
        .filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(sockets) => Some(sockets),
            _ => None,
        })
        .flatten()
        .collect();
    let mut names = String::from_utf8_lossy(&text[..received.bytes]).into_owned();
    stream.read_to_string(&mut names)?;
    Ok(names.lines().map(str::to_owned).zip(sockets).collect())
}

async fn ask(peer: &str, request: &str) -> io::Result<String> {
    let stream = StdUnixStream::connect_addr(&UnixAddr::from_abstract_name(peer)?)?;
    stream.set_nonblocking(true)?;
    let mut stream = UnixStream::from_std(stream)?;
    if stream.peer_cred()?.uid() != rustix::process::geteuid().as_raw() {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.take(MAX_REQUEST).read_to_string(&mut answer).await?;
    Ok(answer)
}

/// The names of listening abstract sockets that begin with `group`, in a table as `/proc/net/unix`.
fn names<'a>(table: &'a str, group: &'a str) -> impl Iterator<Item = &'a str> {
    const LISTENS: &str = "00010000";
    table.lines().filter_map(move |line| {
        let mut columns = line.split_ascii_whitespace();
        let listens = columns.nth(3) == Some(LISTENS);
        let name = columns.nth(3)?.strip_prefix('@')?;
        (listens && name.starts_with(group)).then_some(name)
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).ok());
    pairs.map(|pair| u8::from_str_radix(pair?, 16).ok()).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_are_found_by_name() {
        let table = "Num       RefCount Protocol Flags    Type St Inode Path\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 22 @pgweir/127.0.0.1:1/aa\n\
            0000000000000000: 00000003 00000000 00000000 0001 03 23 @pgweir/127.0.0.1:1/bb\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 24 @pgweir/127.0.0.1:12/cc\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 25 /run/pgweir/127.0.0.1:1/dd\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 26\n";
        let found: Vec<_> = names(table, "pgweir/127.0.0.1:1/").collect();
        assert_eq!(found, ["pgweir/127.0.0.1:1/aa"]);
    }

    #[test]
    fn secrets_survive_the_way() {
        assert_eq!(unhex(&hex(&[0, 1, 0xfe, 0xff])), Some(vec![0, 1, 0xfe, 0xff]));
        assert_eq!(unhex("0g"), None);
    }
}
