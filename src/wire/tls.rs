//! TLS over a socket, with the polls of a plain one.
//!
//! A session keeps at most one buffer in each direction: what was decrypted and not yet read (less than 32 KiB), and
//! what was encrypted and not yet taken by the socket (64 KiB). A write is taken whole into the second and counts as
//! done; whoever writes goes on calling [`Socket::poll_flush`] until that buffer is empty.

use std::io::{self, IoSlice, Read as _, Write as _};
use std::task::{Context, Poll, Waker, ready};

use rustls::Connection;
use rustls::pki_types::CertificateDer;

use super::Socket;
use super::tls_fault::in_words;

/// A TLS session and the socket it runs over.
#[derive(Debug)]
pub struct TlsSocket {
    /// `None` while the session is between threads.
    stream: Option<Socket>,
    connection: Connection,
    /// Decrypted bytes that nobody has read.
    plaintext: usize,
    /// The peer has closed, or the session has failed: nothing more will be decrypted.
    over: bool,
}

impl TlsSocket {
    pub(super) fn new(connection: Connection) -> TlsSocket {
        TlsSocket { stream: None, connection, plaintext: 0, over: false }
    }

    pub(super) fn put_stream(&mut self, stream: Socket) {
        self.stream = Some(stream);
    }

    pub(super) fn take_stream(&mut self) -> Option<Socket> {
        self.stream.take()
    }

    /// The certificate that the peer showed and TLS has verified.
    pub fn peer_certificate(&self) -> Option<&CertificateDer<'static>> {
        self.connection.peer_certificates().and_then(<[_]>::first)
    }

    /// The protocol agreed on by ALPN.
    pub fn alpn(&self) -> Option<&[u8]> {
        self.connection.alpn_protocol()
    }

    /// Whether ciphertext waits for the socket.
    pub(super) fn has_unsent(&self) -> bool {
        self.connection.wants_write()
    }

    /// Runs the handshake; `first` are bytes of the peer that were read from the socket before.
    pub(super) async fn handshake(&mut self, mut first: &[u8]) -> io::Result<()> {
        while !first.is_empty() {
            self.connection.read_tls(&mut first)?;
            self.decrypt()?;
        }
        std::future::poll_fn(|cx| self.poll_handshake(cx)).await
    }

    fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let flushed = self.poll_flush(cx)?;
            if !self.connection.is_handshaking() {
                return flushed.map(Ok);
            }
            if self.over {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            ready!(self.fetch(cx))?;
        }
    }

    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut filled = 0;
        while filled < buf.len() {
            if self.plaintext > 0 {
                let read = self.connection.reader().read(&mut buf[filled..])?;
                self.plaintext = if read == 0 { 0 } else { self.plaintext.saturating_sub(read) };
                filled += read;
                continue;
            }
            if self.over {
                break;
            }
            match self.fetch(cx) {
                Poll::Ready(Ok(())) => {}
                // What came before is handed out first; the next read finds the end.
                _ if filled > 0 => break,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(filled))
    }

    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_flush(cx))?;
        let taken = self.connection.writer().write(buf)?;
        // What the socket does not take now is sent by a later flush, for which the waker is registered.
        if let Poll::Ready(Err(error)) = self.poll_flush(cx) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(taken))
    }

    /// Sends the ciphertext that the socket has not yet taken.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.connection.wants_write() {
            let mut raw = Raw { stream: &mut self.stream, cx };
            match self.connection.write_tls(&mut raw) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Tells the peer that nothing more will follow, by TLS and by the socket; reading goes on.
    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.connection.send_close_notify();
        ready!(self.poll_flush(cx))?;
        self.stream.as_mut().map_or(Poll::Ready(Ok(())), |stream| stream.poll_shutdown(cx))
    }

    pub(super) fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.stream {
            Some(stream) if self.plaintext == 0 && !self.over => stream.poll_read_ready(cx),
            _ => Poll::Ready(Ok(())),
        }
    }

    /// As [`Socket::is_quiet`].
    pub(super) fn is_quiet(&self) -> bool {
        self.stream.as_ref().is_some_and(|stream| self.plaintext == 0 && !self.over && stream.is_quiet())
    }

    /// As [`Socket::poll_news`].
    pub(super) fn poll_news(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.stream {
            Some(stream) if self.plaintext == 0 && !self.over => stream.poll_news(cx),
            _ => Poll::Ready(Ok(())),
        }
    }

    /// Reads ciphertext once, and decrypts what is whole.
    fn fetch(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut raw = Raw { stream: &mut self.stream, cx };
        match self.connection.read_tls(&mut raw) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
            Err(error) => {
                self.over = true;
                return Poll::Ready(Err(error));
            }
            // An end without close_notify is an end too: messages carry their lengths.
            Ok(0) => self.over = true,
            Ok(_) => {}
        }
        self.decrypt()?;
        // Answers to what is TLS's own; an error will show at the next write.
        let _ = self.poll_flush(cx);
        Poll::Ready(Ok(()))
    }

    fn decrypt(&mut self) -> io::Result<()> {
        match self.connection.process_new_packets() {
            Ok(state) => {
                self.plaintext = state.plaintext_bytes_to_read();
                self.over |= state.peer_has_closed();
                Ok(())
            }
            Err(error) => {
                self.over = true;
                // The alert that tells the peer why.
                let _ = self.poll_flush(&mut Context::from_waker(Waker::noop()));
                Err(io::Error::new(io::ErrorKind::InvalidData, in_words(&error)))
            }
        }
    }
}

impl Drop for TlsSocket {
    /// Says goodbye if the socket takes it at once.
    fn drop(&mut self) {
        if self.stream.is_some() && !self.connection.is_handshaking() {
            self.connection.send_close_notify();
            let _ = self.poll_flush(&mut Context::from_waker(Waker::noop()));
        }
    }
}

/// The socket as rustls wants it: `WouldBlock` for `Pending`.
struct Raw<'a, 'b> {
    stream: &'a mut Option<Socket>,
    cx: &'a mut Context<'b>,
}

impl io::Read for Raw<'_, '_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let stream = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        now(stream.poll_read(self.cx, buf))
    }
}

impl io::Write for Raw<'_, '_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let stream = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        now(stream.poll_write(self.cx, buf))
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let stream = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        now(stream.poll_write_vectored(self.cx, bufs))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn now<T>(poll: Poll<io::Result<T>>) -> io::Result<T> {
    match poll {
        Poll::Ready(result) => result,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}
