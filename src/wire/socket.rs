//! A connected socket, plain or TLS, with polls instead of futures.
//!
//! The polls read into and write from slices that the caller lends for the duration of the call, so
//! that an idle connection owns no buffer. A read shorter than the slice clears the readiness that
//! tokio keeps, so that the next poll answers `Pending` without a system call.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// A connected socket.
#[derive(Debug)]
pub enum Socket {
    /// TCP without TLS.
    Tcp(TcpStream),
    /// A unix socket.
    Unix(UnixStream),
}

/// A socket on its way from one thread to another.
#[derive(Debug)]
pub enum Detached {
    /// TCP without TLS.
    Tcp(std::net::TcpStream),
    /// A unix socket.
    Unix(std::os::unix::net::UnixStream),
}

impl Socket {
    /// Reads into `buf`; 0 is the end of the stream.
    #[inline]
    pub fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut read = ReadBuf::new(buf);
        let poll = match self {
            Socket::Tcp(stream) => Pin::new(stream).poll_read(cx, &mut read),
            Socket::Unix(stream) => Pin::new(stream).poll_read(cx, &mut read),
        };
        poll.map_ok(|()| read.filled().len())
    }

    /// Writes from `buf`; fewer bytes than given may be taken.
    #[inline]
    pub fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Socket::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Socket::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    /// Asks to be woken when something can be read. Makes no system call; `Ready` means that bytes,
    /// an end or an error may be waiting.
    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Socket::Tcp(stream) => stream.poll_read_ready(cx),
            Socket::Unix(stream) => stream.poll_read_ready(cx),
        }
    }

    /// Asks the kernel whether something, or the end, waits to be read. One system call.
    pub fn has_news(&self) -> bool {
        let mut byte = [std::mem::MaybeUninit::uninit()];
        let peeked = match self {
            Socket::Tcp(stream) => socket2::SockRef::from(stream).peek(&mut byte),
            Socket::Unix(stream) => socket2::SockRef::from(stream).peek(&mut byte),
        };
        !peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
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
        Ok(())
    }

    /// Takes the socket out of this thread's reactor.
    ///
    /// # Errors
    /// When the reactor refuses.
    pub fn detach(self) -> io::Result<Detached> {
        Ok(match self {
            Socket::Tcp(stream) => Detached::Tcp(stream.into_std()?),
            Socket::Unix(stream) => Detached::Unix(stream.into_std()?),
        })
    }
}

impl Detached {
    /// Puts the socket into the reactor of the calling thread.
    ///
    /// # Errors
    /// When the reactor refuses (out of descriptors or memory).
    pub fn attach(self) -> io::Result<Socket> {
        Ok(match self {
            Detached::Tcp(stream) => Socket::Tcp(TcpStream::from_std(stream)?),
            Detached::Unix(stream) => Socket::Unix(UnixStream::from_std(stream)?),
        })
    }
}
