//! The first packets of a client: requests for encryption, and TLS without a request.

use std::io;

use rustls::ServerConnection;
use tokio::task::JoinSet;

use super::login::{Ended, Login};
use crate::wire::pem::ALPN;
use crate::wire::socket::Detached;
use crate::wire::startup::{self, Request};
use crate::wire::{Fault, Socket};

/// The first byte of a TLS handshake.
const TLS_HANDSHAKE: u8 = 0x16;

/// A handshake under way; it ends when the login that wants it is dropped.
type Handshake = JoinSet<io::Result<Detached>>;

/// What a client has asked for.
#[derive(Debug, Default)]
pub(super) struct Encryption {
    heard: bool,
    tls_asked: bool,
    gss_asked: bool,
    /// It began with TLS, without asking.
    direct: bool,
}

/// What a client begins with.
pub(super) enum First {
    /// The packet that says what is wanted.
    Request(Request),
    /// TLS. These bytes of it were read already.
    Hello(Vec<u8>),
}

impl Login<'_> {
    /// Answers requests for encryption, each once, until the packet comes that says what is wanted, or TLS is to begin.
    pub(super) async fn first_packet(&mut self) -> Result<First, Ended> {
        loop {
            self.fill(4).await?;
            let fresh = !std::mem::replace(&mut self.encryption.heard, true);
            if fresh && self.inbox[0] == TLS_HANDSHAKE && self.offers_tls() {
                self.encryption.direct = true;
                return Ok(First::Hello(std::mem::take(&mut self.inbox)));
            }
            let head = [self.inbox[0], self.inbox[1], self.inbox[2], self.inbox[3]];
            let length = startup::packet_length(head)?;
            self.fill(length).await?;
            let packet: Vec<u8> = self.inbox.drain(..length).collect();
            match startup::parse(&packet[4..])? {
                Request::Tls if self.encryption.tls_asked => return Err(asked_again("5679")),
                Request::GssEnc if self.encryption.gss_asked => return Err(asked_again("5680")),
                Request::Tls => {
                    self.encryption.tls_asked = true;
                    if self.offers_tls() {
                        self.encryption.gss_asked = true;
                        self.answer(b"S", "SSL request").await?;
                        return Ok(First::Hello(vec![]));
                    }
                    self.answer(b"N", "SSL request").await?;
                }
                Request::GssEnc => {
                    self.encryption.gss_asked = true;
                    self.answer(b"N", "GSSAPI encryption request").await?;
                }
                Request::Start(_) if self.lacks_tls() => {
                    let fault =
                        Fault::fatal("28000", "connection requires TLS").hint("connect with sslmode=require");
                    return Err(fault.into());
                }
                request => return Ok(First::Request(request)),
            }
        }
    }

    fn offers_tls(&self) -> bool {
        matches!(self.socket, Socket::Tcp(_)) && self.directory.entry.tls().is_some()
    }

    fn lacks_tls(&self) -> bool {
        matches!(self.socket, Socket::Tcp(_)) && self.directory.entry.tls_required
    }

    /// Answers a request. Bytes that came with it cannot have been meant as plain text by an honest client, nor be
    /// taken for encrypted ones (CVE-2021-23214).
    async fn answer(&mut self, byte: &[u8], request: &str) -> Result<(), Ended> {
        let early = self.socket.take_early_bytes() || !self.inbox.is_empty();
        self.socket.write_all(byte).await?;
        if !early {
            return Ok(());
        }
        let text = format!("received unencrypted data after {request}");
        let why = "This could be either a client-software bug or evidence of an attempted man-in-the-middle attack.";
        Err(Fault::protocol(text).detail(why).routine("ProcessStartupPacket").into())
    }

    /// The login over TLS, if that comes about. A handshake takes as long as a thousand statements: it is not made by
    /// the worker.
    pub(super) async fn encrypted(mut self, hello: Vec<u8>) -> Option<Self> {
        let connection = ServerConnection::new(self.directory.entry.tls()?).ok()?;
        let plain = self.socket.detach().ok()?;
        let mut handshake = Handshake::new();
        handshake.spawn_on(shake_hands(plain, connection, hello), self.control);
        let shaken = handshake.join_next().await?.ok()?.and_then(Detached::attach);
        self.socket = shaken.inspect_err(|error| tracing::info!(%error, "TLS with a client failed")).ok()?;
        // A client that begins with TLS must say by ALPN that it means PostgreSQL.
        let agreed = || self.socket.tls().and_then(|tls| tls.alpn()) == Some(ALPN);
        (!self.encryption.direct || agreed()).then_some(self)
    }
}

async fn shake_hands(plain: Detached, connection: ServerConnection, hello: Vec<u8>) -> io::Result<Detached> {
    let mut socket = plain.attach()?;
    socket.start_tls(connection, &hello).await?;
    socket.detach()
}

fn asked_again(minor: &str) -> Ended {
    Fault::fatal("0A000", format!("unsupported frontend protocol 1234.{minor}: server supports 3.0 to 3.2"))
        .into()
}
