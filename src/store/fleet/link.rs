//! A connection to the history's server: logged in as every other of pgweir's (hosts, TLS, SCRAM bound to it), then driven by tokio-postgres.
//!
//! That driver logs in by itself. It is given a connection that is logged in already: what it says first is kept from the server, and it hears
//! what the server has told of itself.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, Config, NoTls};

use super::super::file::Trouble;
use super::trouble::refused;
use crate::pool::Target;
use crate::pool::connect::{self, Connected};
use crate::wire::frame::back;
use crate::wire::{Socket, emit};

/// Logs in; the driver runs as a task of the runtime it is called in.
pub(super) async fn open(target: &Arc<Target>) -> Result<Client, Trouble> {
    let connected = connect::connect(target).await.map_err(|fault| refused(&fault))?;
    let mut config = Config::new();
    config.user(&target.server_user).ssl_mode(SslMode::Disable);
    let handed = Handed {
        welcome: welcome(&connected),
        heard: 0,
        startup: Startup::default(),
        socket: connected.socket,
    };
    let (client, driver) = config.connect_raw(handed, NoTls).await?;
    tokio::spawn(async move {
        // Whoever waits for an answer is told of its end.
        drop(driver.await);
    });
    Ok(client)
}

/// What a server says to a login that it accepts.
fn welcome(connected: &Connected) -> Vec<u8> {
    let mut out = vec![];
    emit::frame(&mut out, back::AUTHENTICATION, |out| out.extend_from_slice(&0_u32.to_be_bytes()));
    for (name, value) in &connected.params {
        emit::frame(&mut out, back::PARAMETER_STATUS, |out| {
            emit::cstr(out, name);
            emit::cstr(out, value);
        });
    }
    emit::frame(&mut out, back::READY_FOR_QUERY, |out| out.push(b'I'));
    out
}

/// A socket that is logged in, for somebody who begins with a login.
struct Handed {
    welcome: Vec<u8>,
    /// So much of the welcome was read.
    heard: usize,
    startup: Startup,
    socket: Socket,
}

/// The startup message, as far as it was written: its length stands in its first four bytes.
#[derive(Default)]
struct Startup {
    head: [u8; 4],
    written: usize,
}

impl Startup {
    /// How many of these bytes belong to it.
    fn take(&mut self, bytes: &[u8]) -> usize {
        let head = bytes.len().min(4_usize.saturating_sub(self.written));
        self.head[self.written.min(4)..][..head].copy_from_slice(&bytes[..head]);
        let whole = if self.written + head < 4 { 4 } else { u32::from_be_bytes(self.head) as usize };
        let own = bytes.len().min(whole.saturating_sub(self.written));
        self.written += own;
        own
    }
}

impl AsyncRead for Handed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let rest = &this.welcome[this.heard..];
        if !rest.is_empty() {
            let n = rest.len().min(buf.remaining());
            buf.put_slice(&rest[..n]);
            this.heard += n;
            return Poll::Ready(Ok(()));
        }
        let read = std::task::ready!(this.socket.poll_read(cx, buf.initialize_unfilled()))?;
        buf.advance(read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Handed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.startup.take(buf) {
            0 => self.socket.poll_write(cx, buf),
            kept => Poll::Ready(Ok(kept)),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_startup_message_ends_where_it_says() {
        let message = [&12_u32.to_be_bytes()[..], b"startup!", b"Query"].concat();
        for cut in 0..=message.len() {
            let mut startup = Startup::default();
            let (one, other) = message.split_at(cut);
            let mut passed = vec![];
            for part in [one, other] {
                let mut rest = part;
                while !rest.is_empty() {
                    match startup.take(rest) {
                        0 => {
                            passed.extend_from_slice(rest);
                            break;
                        }
                        n => rest = &rest[n..],
                    }
                }
            }
            assert_eq!(passed, b"Query", "{cut}");
        }
    }
}
