//! A client of few words: one statement at a time by the extended protocol, with the types that a driver would say.

use std::future::poll_fn;
use std::io::{self, ErrorKind};

use crate::pool::connect::Connected;
use crate::wire::frame::{Frame, HEADER, back, front};
use crate::wire::{Fault, emit};

/// What is read at once, in bytes; no message that is answered here is longer.
const BUFFER: usize = 64 * 1024;

/// OIDs of types (`pg_type.dat`).
pub const INT4: u32 = 23;
/// A `bigint`.
pub const INT8: u32 = 20;
/// A `text`.
pub const TEXT: u32 = 25;
/// A `numeric`, which some drivers send for every number.
pub const NUMERIC: u32 = 1700;

/// A value in text form, and the type that the driver says it has.
pub type Value<'a> = (u32, &'a str);

/// A connection that has logged in.
pub struct Client {
    connected: Connected,
    buffer: Vec<u8>,
    asked: u64,
}

impl Client {
    /// On this connection.
    pub fn new(connected: Connected) -> Client {
        Client { connected, buffer: vec![0; BUFFER], asked: 0 }
    }

    /// Statements that were sent.
    pub fn asked(&self) -> u64 {
        self.asked
    }

    /// Runs a statement, and gives the first column of each row.
    ///
    /// # Errors
    /// The server's, or 08006 when it goes; then the connection is of no use any more.
    pub async fn run(&mut self, sql: &str, values: &[Value<'_>]) -> Result<Vec<Option<String>>, Fault> {
        self.asked += 1;
        self.connected.socket.write_all(&batch(sql, values)).await.map_err(cut)?;
        let (mut rows, mut refused, mut known) = (vec![], None, 0);
        loop {
            let read = poll_fn(|cx| self.connected.socket.poll_read(cx, &mut self.buffer[known..])).await;
            known += match read.map_err(cut)? {
                0 => return Err(cut(ErrorKind::UnexpectedEof.into())),
                read => read,
            };
            let mut taken = 0;
            while let Some(whole) = message(&self.buffer[taken..known])? {
                taken += whole.len();
                match whole[0] {
                    back::DATA_ROW => rows.push(first(&whole[HEADER..])),
                    back::ERROR_RESPONSE => refused = refused.or(Some(Fault::from_body(&whole[HEADER..]))),
                    back::READY_FOR_QUERY => return refused.map_or(Ok(rows), Err),
                    _ => {}
                }
            }
            self.buffer.copy_within(taken..known, 0);
            known -= taken;
        }
    }

    /// The first value of the first row.
    ///
    /// # Errors
    /// As [`Client::run`].
    pub async fn value(&mut self, sql: &str, values: &[Value<'_>]) -> Result<Option<String>, Fault> {
        Ok(self.run(sql, values).await?.into_iter().next().flatten())
    }
}

fn cut(error: io::Error) -> Fault {
    Fault::error("08006", format!("server closed the connection: {error}"))
}

/// Parse, Bind, Execute and Sync (PostgreSQL manual, 55.7).
fn batch(sql: &str, values: &[Value<'_>]) -> Vec<u8> {
    let count = (values.len() as u16).to_be_bytes();
    let mut out = vec![];
    let mut tail = vec![];
    emit::cstr(&mut tail, sql.as_bytes());
    tail.extend(count);
    values.iter().for_each(|(oid, _)| tail.extend(oid.to_be_bytes()));
    emit::parse(&mut out, b"", &tail);
    emit::frame(&mut out, front::BIND, |out| {
        // Names of portal and statement, and no formats: all is text.
        out.extend([0, 0, 0, 0]);
        out.extend(count);
        for (_, value) in values {
            out.extend((value.len() as u32).to_be_bytes());
            out.extend(value.as_bytes());
        }
        out.extend([0, 0]);
    });
    emit::frame(&mut out, front::EXECUTE, |out| out.extend([0; 5]));
    emit::frame(&mut out, front::SYNC, |_| {});
    out
}

/// The first message, when all of it is there.
fn message(bytes: &[u8]) -> Result<Option<&[u8]>, Fault> {
    let Some(frame) = Frame::peek(bytes)? else { return Ok(None) };
    if frame.total > BUFFER {
        return Err(Fault::error("08P01", "server sent an unexpected message"));
    }
    Ok(bytes.get(..frame.total))
}

/// The first column of a DataRow.
fn first(body: &[u8]) -> Option<String> {
    let (length, rest) = body.get(2..)?.split_first_chunk::<4>()?;
    let length = usize::try_from(i32::from_be_bytes(*length)).ok()?;
    Some(String::from_utf8_lossy(rest.get(..length)?).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_four_messages() {
        let bytes = batch("select $1", &[(NUMERIC, "17")]);
        let expected: &[u8] = b"P\0\0\0\x15\0select $1\0\0\x01\0\0\x06\xa4\
            B\0\0\0\x12\0\0\0\0\0\x01\0\0\0\x0217\0\0E\0\0\0\x09\0\0\0\0\0S\0\0\0\x04";
        assert_eq!(bytes, expected);
    }

    #[test]
    fn messages_are_taken_when_they_are_whole() {
        let row = b"D\0\0\0\x0c\0\x01\0\0\0\x02ab";
        assert_eq!(message(&row[..8]).expect("no error"), None);
        assert_eq!(message(row).expect("no error"), Some(&row[..]));
        assert_eq!(first(&row[HEADER..]).as_deref(), Some("ab"));
        assert_eq!(first(b"\0\x01\xff\xff\xff\xff"), None);
        assert_eq!(first(b"\0\0"), None);
        assert!(message(b"D\x0f\0\0\0").is_err());
    }
}
