//! A connected socket, plain or TLS, with polls instead of futures.
//!
//! The polls read into and write from slices that the caller lends for the duration of the call, so
//! that an idle connection owns no buffer. A read shorter than the slice clears the readiness that
//! tokio keeps, so that the next poll answers `Pending` without a system call.

use std::io::{self, IoSlice, Write};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use super::tls::TlsSocket;

/// A connected socket.
#[derive(Debug)]
pub enum Socket {
    /// TCP without TLS.
    Tcp(TcpStream),
    /// A unix socket.
    Unix(UnixStream),
    /// TLS over one of the others.
    Tls(Box<TlsSocket>),
}

/// A socket on its way from one thread to another.
#[derive(Debug)]
pub enum Detached {
    /// TCP without TLS.
    Tcp(std::net::TcpStream),
    /// A unix socket.
    Unix(std::os::unix::net::UnixStream),
    /// A TLS session, and the socket it runs over.
    Tls(Box<TlsSocket>, Box<Detached>),
}

impl Socket {
    /// Reads into `buf`; 0 is the end of the stream.
    #[inline]
    pub fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut read = ReadBuf::new(buf);
        let poll = match self {
            Socket::Tcp(stream) => Pin::new(stream).poll_read(cx, &mut read),
            Socket::Unix(stream) => Pin::new(stream).poll_read(cx, &mut read),
            Socket::Tls(tls) => return tls.poll_read(cx, buf),
        };
        poll.map_ok(|()| read.filled().len())
    }

    /// Writes from `buf`; fewer bytes than given may be taken. With TLS, what was taken is on its way only once
    /// [`Socket::poll_flush`] is ready.
    #[inline]
    pub fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Socket::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Socket::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
            Socket::Tls(tls) => tls.poll_write(cx, buf),
        }
    }

    pub(super) fn poll_write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self {
            Socket::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Socket::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Socket::Tls(tls) => {
                tls.poll_write(cx, bufs.iter().find(|buf| !buf.is_empty()).map_or(&[], |buf| buf))
            }
        }
    }

    /// Sends what was taken by earlier writes and is not yet with the kernel.
    #[inline]
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Socket::Tcp(_) | Socket::Unix(_) => Poll::Ready(Ok(())),
            Socket::Tls(tls) => tls.poll_flush(cx),
        }
    }

    /// Sends what is left, and says that nothing more will follow; reading goes on.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Socket::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Socket::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Socket::Tls(tls) => tls.poll_shutdown(cx),
        }
    }

    /// Whether all that was written is with the kernel.
    #[inline]
    pub fn is_flushed(&self) -> bool {
        !matches!(self, Socket::Tls(tls) if tls.has_unsent())
    }

    /// Says that nothing more will be written. A TLS session just ends with its socket.
    ///
    /// # Errors
    /// As the system gives them.
    pub fn shutdown(&self) -> io::Result<()> {
        match self {
            Socket::Tcp(stream) => socket2::SockRef::from(stream).shutdown(std::net::Shutdown::Write),
            Socket::Unix(stream) => socket2::SockRef::from(stream).shutdown(std::net::Shutdown::Write),
            Socket::Tls(_) => Ok(()),
        }
    }

    /// Asks to be woken when something can be read. Makes no system call; `Ready` means that bytes,
    /// an end or an error may be waiting.
    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Socket::Tcp(stream) => stream.poll_read_ready(cx),
            Socket::Unix(stream) => stream.poll_read_ready(cx),
            Socket::Tls(tls) => tls.poll_read_ready(cx),
        }
    }

    /// Nothing waits to be read, neither bytes nor an end nor an error, as far as the reactor was told. Asks nobody to be woken; no system call.
    #[inline]
    pub fn is_quiet(&self) -> bool {
        match self {
            Socket::Tcp(stream) => stream.try_io(Interest::READABLE, || Ok(())).is_err(),
            Socket::Unix(stream) => stream.try_io(Interest::READABLE, || Ok(())).is_err(),
            Socket::Tls(tls) => tls.is_quiet(),
        }
    }

    /// Asks the kernel whether something, or the end, waits to be read. One system call; never true for TLS.
    pub fn has_news(&self) -> bool {
        let mut byte = [std::mem::MaybeUninit::uninit()];
        let peeked = match self {
            Socket::Tcp(stream) => socket2::SockRef::from(stream).peek(&mut byte),
            Socket::Unix(stream) => socket2::SockRef::from(stream).peek(&mut byte),
            // Records of TLS itself, such as session tickets, are no news.
            Socket::Tls(_) => return false,
        };
        !peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Ready when something, or the end, waits to be read, and the kernel agrees. Over TLS its own records count too, until
    /// somebody has read.
    pub fn poll_news(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Socket::Tls(tls) = self {
            return tls.poll_news(cx);
        }
        loop {
            std::task::ready!(self.poll_read_ready(cx))?;
            let mut byte = [std::mem::MaybeUninit::uninit()];
            // What is left of an earlier readiness is cleared when the kernel does not agree.
            let peeked = match self {
                Socket::Tcp(stream) => {
                    stream.try_io(Interest::READABLE, || socket2::SockRef::from(stream).peek(&mut byte))
                }
                Socket::Unix(stream) => {
                    stream.try_io(Interest::READABLE, || socket2::SockRef::from(stream).peek(&mut byte))
                }
                Socket::Tls(_) => return Poll::Pending,
            };
            match peeked {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                peeked => return Poll::Ready(peeked.map(|_| ())),
            }
        }
    }

    /// Reads until `buf` is full.
    ///
    /// # Errors
    /// As the socket gives them; `UnexpectedEof` when the peer closed first.
    pub async fn read_exact(&mut self, buf: &mut [u8]) -> io::Result<()> {
        let mut filled = 0;
        while filled < buf.len() {
            let n = std::future::poll_fn(|cx| self.poll_read(cx, &mut buf[filled..])).await?;
            if n == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            filled += n;
        }
        Ok(())
    }

    /// Writes all of `buf`.
    ///
    /// # Errors
    /// As the socket gives them.
    pub async fn write_all(&mut self, buf: &[u8]) -> io::Result<()> {
        let mut written = 0;
        while written < buf.len() {
            let n = std::future::poll_fn(|cx| self.poll_write(cx, &buf[written..])).await?;
            if n == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            written += n;
        }
        std::future::poll_fn(|cx| self.poll_flush(cx)).await
    }

    /// Puts TLS over the socket and runs the handshake; `first` are bytes of the peer's that were already read.
    ///
    /// # Errors
    /// As the socket gives them; `InvalidData` when TLS refuses. The socket is of no use then.
    pub async fn start_tls(
        &mut self,
        connection: impl Into<rustls::Connection>,
        first: &[u8],
    ) -> io::Result<()> {
        let tls = Socket::Tls(Box::new(TlsSocket::new(connection.into())));
        let plain = std::mem::replace(self, tls);
        let Socket::Tls(tls) = self else { return Err(io::ErrorKind::NotConnected.into()) };
        tls.put_stream(plain);
        tls.handshake(first).await
    }

    /// The TLS session, if there is one.
    pub fn tls(&self) -> Option<&TlsSocket> {
        match self {
            Socket::Tls(tls) => Some(tls),
            Socket::Tcp(_) | Socket::Unix(_) => None,
        }
    }

    /// Takes bytes that have already arrived, without waiting; says whether there were any.
    pub fn take_early_bytes(&mut self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        let mut found = false;
        let mut bytes = [0; 4096];
        // A few rounds, so that closing the socket does not throw away what we say last.
        for _ in 0..8 {
            match self.poll_read(&mut cx, &mut bytes) {
                Poll::Ready(Ok(n)) if n > 0 => found = true,
                _ => break,
            }
        }
        found
    }

    /// Takes the socket out of this thread's reactor.
    ///
    /// # Errors
    /// When the reactor refuses.
    pub fn detach(self) -> io::Result<Detached> {
        Ok(match self {
            Socket::Tcp(stream) => Detached::Tcp(stream.into_std()?),
            Socket::Unix(stream) => Detached::Unix(stream.into_std()?),
            Socket::Tls(mut tls) => {
                let stream = tls.take_stream().ok_or(io::ErrorKind::NotConnected)?;
                Detached::Tls(tls, Box::new(stream.detach()?))
            }
        })
    }
}

impl Detached {
    /// Writes what the system takes at once, without a reactor; gives how much. Nothing over TLS. An error shows again when the
    /// socket is used next.
    pub fn write_now(&mut self, bytes: &[u8]) -> usize {
        let written = match self {
            Detached::Tcp(stream) => stream.write(bytes),
            Detached::Unix(stream) => stream.write(bytes),
            Detached::Tls(..) => return 0,
        };
        written.unwrap_or(0)
    }

    /// Puts the socket into the reactor of the calling thread.
    ///
    /// # Errors
    /// When the reactor refuses (out of descriptors or memory).
    pub fn attach(self) -> io::Result<Socket> {
        Ok(match self {
            Detached::Tcp(stream) => Socket::Tcp(TcpStream::from_std(stream)?),
            Detached::Unix(stream) => Socket::Unix(UnixStream::from_std(stream)?),
            Detached::Tls(mut tls, stream) => {
                tls.put_stream(stream.attach()?);
                Socket::Tls(tls)
            }
        })
    }
}
