//! The first packets of a client: requests for encryption, and TLS without a request.

use rustls::ServerConnection;

use super::login::{Ended, Login};
use crate::wire::pem::ALPN;
use crate::wire::startup::{self, Request};
use crate::wire::{Fault, Socket};

/// The first byte of a TLS handshake.
const TLS_HANDSHAKE: u8 = 0x16;

impl Login<'_> {
    /// Answers requests for encryption, each once, until the packet comes that says what is wanted.
    pub(super) async fn first_packet(&mut self) -> Result<Request, Ended> {
        let (mut tls_asked, mut gss_asked, mut fresh) = (false, false, true);
        loop {
            self.fill(4).await?;
            if std::mem::take(&mut fresh) && self.inbox[0] == TLS_HANDSHAKE && self.offers_tls() {
                let hello = std::mem::take(&mut self.inbox);
                self.direct_tls(&hello).await?;
                continue;
            }
            let head = [self.inbox[0], self.inbox[1], self.inbox[2], self.inbox[3]];
            let length = startup::packet_length(head)?;
            self.fill(length).await?;
            let packet: Vec<u8> = self.inbox.drain(..length).collect();
            match startup::parse(&packet[4..])? {
                Request::Tls if tls_asked => return Err(asked_again("5679")),
                Request::GssEnc if gss_asked => return Err(asked_again("5680")),
                Request::Tls => {
                    tls_asked = true;
                    if self.offers_tls() {
                        gss_asked = true;
                        self.answer(b"S", "SSL request").await?;
                        self.start_tls(&[]).await?;
                    } else {
                        self.answer(b"N", "SSL request").await?;
                    }
                }
                Request::GssEnc => {
                    gss_asked = true;
                    self.answer(b"N", "GSSAPI encryption request").await?;
                }
                Request::Start(_) if self.lacks_tls() => {
                    let fault =
                        Fault::fatal("28000", "connection requires TLS").hint("connect with sslmode=require");
                    return Err(fault.into());
                }
                request => return Ok(request),
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
        Err(Fault::protocol(text).detail(why).into())
    }

    /// A client that begins with TLS must say by ALPN that it means PostgreSQL.
    async fn direct_tls(&mut self, first: &[u8]) -> Result<(), Ended> {
        self.start_tls(first).await?;
        let agreed = self.socket.tls().and_then(|tls| tls.alpn()) == Some(ALPN);
        if agreed { Ok(()) } else { Err(Ended::Gone) }
    }

    async fn start_tls(&mut self, first: &[u8]) -> Result<(), Ended> {
        let config = self.directory.entry.tls().ok_or(Ended::Gone)?;
        let connection = ServerConnection::new(config).map_err(|_| Ended::Gone)?;
        self.socket.start_tls(connection, first).await.map_err(|error| {
            tracing::info!(%error, "TLS with a client failed");
            Ended::Gone
        })
    }
}

fn asked_again(minor: &str) -> Ended {
    Fault::fatal("0A000", format!("unsupported frontend protocol 1234.{minor}: server supports 3.0 to 3.2"))
        .into()
}
