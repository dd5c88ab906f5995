//! The connection over which the stream comes.

use std::future::poll_fn;
use std::io::ErrorKind;
use std::sync::Arc;

use super::copy::{self, FromServer};
use crate::plan::consistency::Lsn;
use crate::pool::connect::{self, Connected, Params};
use crate::pool::{Target, ask};
use crate::wire::frame::{Frame, HEADER, back};
use crate::wire::{Fault, emit};

/// What is read at once.
const BUFFER: usize = 64 * 1024;
/// A longer message is not kept: of a row that long it is only told that its table has changed.
pub const LONGEST: usize = 16 << 20;
/// So much of it is: its head, that of XLogData, and the number of its table.
const KEPT: usize = HEADER + 25 + 64;

/// A connection with a slot of its own, which is gone with it.
#[derive(Debug)]
pub struct Replication {
    connected: Connected,
    buffer: Vec<u8>,
    /// What of the buffer has been read and not yet taken.
    known: std::ops::Range<usize>,
    /// Bytes of a message that is too long, which are still to come.
    skip: usize,
}

/// What has come.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard<'a> {
    /// A message of the stream.
    Stream(FromServer<'a>),
    /// The beginning of one that is longer than [`LONGEST`].
    Beginning(&'a [u8]),
}

/// Settings of all connections of a stream, so that values are written in one way: as the startup message gives them.
pub fn params(application: &str) -> Params {
    let settings = [
        ("application_name", application),
        ("client_encoding", "UTF8"),
        ("datestyle", "ISO, YMD"),
        ("intervalstyle", "postgres"),
        ("timezone", "UTC"),
        ("bytea_output", "hex"),
        ("extra_float_digits", "1"),
        ("search_path", "pg_catalog"),
        ("statement_timeout", "0"),
        ("default_transaction_read_only", "off"),
        ("default_transaction_isolation", "read committed"),
    ];
    settings.map(|(name, value)| (name.into(), value.into())).to_vec()
}

impl Replication {
    /// Logs in for logical replication.
    ///
    /// # Errors
    /// As [`connect::connect`].
    pub async fn open(target: &Arc<Target>, application: &str) -> Result<Replication, Fault> {
        let mut params = params(application);
        params.push((b"replication".to_vec(), b"database".to_vec()));
        let connected = connect::connect_with(target, &params).await?;
        Ok(Replication { connected, buffer: vec![0; BUFFER], known: 0..0, skip: 0 })
    }

    /// For questions, before the stream begins.
    pub fn connected(&mut self) -> &mut Connected {
        &mut self.connected
    }

    /// Makes a temporary slot, which waits for all transactions that run, and begins to stream from there. Gives the place from which
    /// on all is streamed.
    ///
    /// # Errors
    /// What the server says.
    pub async fn start(&mut self, slot: &str, publication: &str) -> Result<Lsn, Fault> {
        let create = format!("CREATE_REPLICATION_SLOT {slot} TEMPORARY LOGICAL pgoutput NOEXPORT_SNAPSHOT");
        let rows = ask::rows(&mut self.connected, &create).await?;
        let point = rows.first().and_then(|row| row.get(1)?.as_deref()?.parse().ok());
        let point = point.ok_or_else(|| Fault::protocol("the server does not tell where a slot begins"))?;
        // Messages are sent by PostgreSQL 14 and later.
        let messages = match self.connected.major_version() {
            Some(version) if version >= 14 => ", messages 'true'",
            _ => "",
        };
        let start = format!(
            "START_REPLICATION SLOT {slot} LOGICAL 0/0 (proto_version '1', publication_names '{publication}'{messages})"
        );
        let mut out = vec![];
        emit::query(&mut out, start.as_bytes());
        self.write(&out).await?;
        loop {
            if let Some((tag, _)) = self.frame()? {
                match tag {
                    back::COPY_BOTH_RESPONSE => return Ok(point),
                    back::NOTICE_RESPONSE | back::PARAMETER_STATUS => continue,
                    _ => return Err(unexpected(tag)),
                }
            }
            self.fill().await?;
        }
    }

    /// The next of what has come; `None`: more must be read first.
    ///
    /// # Errors
    /// What the server says; 08P01 for what cannot be read.
    pub fn take(&mut self) -> Result<Option<Heard<'_>>, Fault> {
        loop {
            let Some((tag, body)) = self.frame()? else {
                // No message that is too long is whole in the buffer.
                let Some(length) = self.too_long()? else { return Ok(None) };
                let begin = self.known.start;
                self.skip = length - self.known.len();
                self.known = 0..0;
                return Ok(Some(Heard::Beginning(&self.buffer[begin + HEADER..begin + KEPT])));
            };
            match tag {
                back::COPY_DATA => {
                    let read = FromServer::read(&self.buffer[body]);
                    let read =
                        read.ok_or_else(|| Fault::protocol("an unknown message within replication"))?;
                    return Ok(Some(Heard::Stream(read)));
                }
                back::NOTICE_RESPONSE | back::PARAMETER_STATUS => {}
                // A server that shuts down says the latter.
                back::COPY_DONE | back::COMMAND_COMPLETE => {
                    return Err(Fault::error("57P01", "the server has ended the stream"));
                }
                _ => return Err(unexpected(tag)),
            }
        }
    }

    /// Reads more, and gives how much. Nothing is lost when it is dropped.
    ///
    /// # Errors
    /// 08006 when the connection has ended.
    pub async fn fill(&mut self) -> Result<usize, Fault> {
        let room = self.make_room();
        let (socket, room) = (&mut self.connected.socket, &mut self.buffer[room..]);
        let read = poll_fn(|cx| socket.poll_read(cx, room)).await.map_err(cut)?;
        if read == 0 {
            return Err(cut(ErrorKind::UnexpectedEof.into()));
        }
        let skipped = self.skip.min(read);
        self.skip -= skipped;
        if skipped > 0 {
            // While something is skipped, nothing else is known.
            self.known = skipped..read;
        } else {
            self.known.end += read;
        }
        Ok(read)
    }

    /// Says that all up to `passed` is received and applied; with `reply`, asks for a sign of life.
    ///
    /// # Errors
    /// 08006 when the connection has ended.
    pub async fn acknowledge(&mut self, passed: Lsn, reply: bool) -> Result<(), Fault> {
        let mut out = Vec::with_capacity(64);
        copy::status_update(&mut out, passed, reply);
        self.write(&out).await
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.connected.socket.write_all(bytes).await.map_err(cut)
    }

    /// Where a message that is whole has its body, which is taken; errors of the server are faults.
    fn frame(&mut self) -> Result<Option<(u8, std::ops::Range<usize>)>, Fault> {
        let said = &self.buffer[self.known.clone()];
        let Some(frame) = Frame::peek(said)?.filter(|frame| self.skip == 0 && frame.total <= said.len())
        else {
            return Ok(None);
        };
        if frame.tag == back::ERROR_RESPONSE {
            return Err(Fault::from_body(&said[HEADER..frame.total]));
        }
        let body = self.known.start + HEADER..self.known.start + frame.total;
        self.known.start = body.end;
        Ok(Some((frame.tag, body)))
    }

    /// The length of a message that is too long, once its beginning is there.
    fn too_long(&self) -> Result<Option<usize>, Fault> {
        let said = &self.buffer[self.known.clone()];
        let frame = Frame::peek(said)?.filter(|frame| frame.total > LONGEST && said.len() >= KEPT);
        Ok(frame.map(|frame| frame.total))
    }

    /// Moves what is known to the front, and gives where more can be read to. A message up to [`LONGEST`] finds room.
    fn make_room(&mut self) -> usize {
        let known = self.known.len();
        if self.skip > 0 {
            self.known = 0..0;
            return 0;
        }
        self.buffer.copy_within(self.known.clone(), 0);
        self.known = 0..known;
        let total = Frame::peek(&self.buffer[..known]).ok().flatten().map_or(0, |frame| frame.total);
        let wanted = if total > LONGEST { BUFFER } else { total.max(BUFFER) };
        if self.buffer.len() < wanted {
            self.buffer.resize(wanted, 0);
        } else if self.buffer.len() > BUFFER && known <= BUFFER / 2 && wanted == BUFFER {
            self.buffer.truncate(BUFFER);
            self.buffer.shrink_to_fit();
        }
        known
    }
}

fn unexpected(tag: u8) -> Fault {
    Fault::protocol(format!("the server sent an unexpected message of type {tag:#04x} within replication"))
}

fn cut(error: std::io::Error) -> Fault {
    Fault::error("08006", format!("server closed the replication connection: {error}"))
}
