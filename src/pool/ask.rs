//! One question to a server, on a connection of its own.

use std::future::poll_fn;
use std::io::ErrorKind;
use std::sync::Arc;

use super::Target;
use super::connect::{self, Connected, parameter};
use super::reading::Reading;
use crate::wire::frame::{Frame, HEADER, back, front};
use crate::wire::{Fault, Severity, Socket, emit};

/// The longest row that is accepted as an answer.
const MAX_ROW: usize = 1 << 20;

/// What is read at once.
const BUFFER: usize = 16 * 1024;

/// Text columns of a row.
pub type Row = Vec<Option<String>>;

/// Connects, asks, and gives the rows of the answer.
///
/// # Errors
/// As [`connect::connect`], or as the server answers.
pub async fn ask(target: &Arc<Target>, sql: &str) -> Result<Vec<Row>, Fault> {
    let asking = async {
        let mut connected = open(target).await?;
        rows(&mut connected, sql).await
    };
    crate::timer::timeout(target.connect_timeout * 2, asking)
        .await
        .unwrap_or_else(|_| Err(Fault::error("08006", "the server did not answer in time")))
}

/// Connects to ask more than once. Whatever the login's default is, answers are in UTF-8, but from a database in one of the two
/// encodings from which there is no way to it.
///
/// # Errors
/// As [`connect::connect`].
pub async fn open(target: &Arc<Target>) -> Result<Connected, Fault> {
    let mut connected = connect::connect(target).await?;
    let reading = Reading::of(&connected.params);
    if !matches!(&*reading.encoding, b"utf8" | b"sqlascii" | b"muleinternal") {
        rows(&mut connected, "SET client_encoding = 'UTF8'").await?;
    }
    Ok(connected)
}

/// Asks on a connection that is already there.
///
/// # Errors
/// As [`ask`]; the connection is of no use any more after any but an error that the server gave.
pub async fn rows(connected: &mut Connected, sql: &str) -> Result<Vec<Row>, Fault> {
    rows_of(&mut connected.socket, sql, |_, _| {}).await
}

/// A statement with values in text form. A type of 0, or that is missing, is inferred by the server.
#[derive(Debug, Clone, Copy)]
pub struct With<'a> {
    /// One statement, with `$1`, `$2`, ...
    pub sql: &'a str,
    /// OIDs of the types.
    pub types: &'a [u32],
    /// Values; `None` is NULL.
    pub values: &'a [Option<String>],
}

/// Runs `begin`, asks one statement in the extended protocol, where a server takes no second one, and runs `end` whatever came of it. All of it
/// is sent at once; where `begin` or `end` is empty, nothing is run. The rows are those of all, in text form.
///
/// # Errors
/// As [`rows`], by the first that the server refuses; 54000 for more values than the protocol can count.
pub async fn rows_between(
    connected: &mut Connected,
    begin: &str,
    with: With<'_>,
    end: &str,
) -> Result<Vec<Row>, Fault> {
    let too_many = |_| Fault::error("54000", "a statement has no more than 65535 parameters");
    let types = u16::try_from(with.types.len()).map_err(too_many)?;
    let values = u16::try_from(with.values.len()).map_err(too_many)?;
    let mut tail = [with.sql.as_bytes(), &[0], &types.to_be_bytes()].concat();
    with.types.iter().for_each(|oid| tail.extend_from_slice(&oid.to_be_bytes()));
    let (mut out, mut answers) = (vec![], 1);
    let mut ours = |out: &mut Vec<u8>, sql: &str| {
        if !sql.is_empty() {
            emit::query(out, sql.as_bytes());
            answers += 1;
        }
    };
    ours(&mut out, begin);
    emit::parse(&mut out, b"", &tail);
    emit::frame(&mut out, front::BIND, |out| bind(out, values, with.values));
    // All rows of the unnamed portal.
    emit::frame(&mut out, front::EXECUTE, |out| out.extend_from_slice(&[0; 5]));
    emit::empty(&mut out, front::SYNC);
    ours(&mut out, end);
    answers_to(&mut connected.socket, &out, answers, |_, _| {}).await
}

/// The body of a `Bind` of the unnamed statement to the unnamed portal, all in text form.
fn bind(out: &mut Vec<u8>, count: u16, values: &[Option<String>]) {
    out.extend_from_slice(&[0, 0, 0, 0]);
    out.extend_from_slice(&count.to_be_bytes());
    for value in values {
        // A NULL has the length -1.
        let length = value.as_ref().map_or(-1, |text| i32::try_from(text.len()).unwrap_or(i32::MAX));
        out.extend_from_slice(&length.to_be_bytes());
        value.iter().for_each(|text| out.extend_from_slice(text.as_bytes()));
    }
    out.extend_from_slice(&[0, 0]);
}

/// The same on a server's socket, where nothing else is under way; `hear` is given the settings that it reports.
pub(super) async fn rows_of(
    socket: &mut Socket,
    sql: &str,
    hear: impl FnMut(&[u8], &[u8]),
) -> Result<Vec<Row>, Fault> {
    let mut out = vec![];
    emit::query(&mut out, sql.as_bytes());
    answers_to(socket, &out, 1, hear).await
}

/// Sends messages that are answered by so many `ReadyForQuery`, and gives the rows that come before the last.
async fn answers_to(
    socket: &mut Socket,
    out: &[u8],
    mut answers: usize,
    mut hear: impl FnMut(&[u8], &[u8]),
) -> Result<Vec<Row>, Fault> {
    let cut = |error: std::io::Error| Fault::error("08006", format!("server closed the connection: {error}"));
    socket.write_all(out).await.map_err(cut)?;
    let (mut rows, mut buffer, mut known) = (vec![], vec![0; BUFFER], 0..0);
    let mut refused: Option<Fault> = None;
    loop {
        let said = &buffer[known.clone()];
        let frame = Frame::peek(said)?;
        let total = frame.map_or(HEADER, |frame| frame.total);
        if total > MAX_ROW {
            return Err(Fault::error("08P01", "server sent an unexpected message"));
        }
        let Some(whole) = frame.and_then(|frame| said.get(..frame.total)) else {
            // The rest of it goes behind its beginning.
            buffer.copy_within(known.clone(), 0);
            known = 0..known.len();
            buffer.resize(total.max(buffer.len()), 0);
            let room = &mut buffer[known.end..];
            let read = poll_fn(|cx| socket.poll_read(cx, room)).await.map_err(cut)?;
            if read == 0 {
                return Err(cut(ErrorKind::UnexpectedEof.into()));
            }
            known.end += read;
            continue;
        };
        match whole[0] {
            back::READY_FOR_QUERY if answers == 1 => return refused.map_or(Ok(rows), Err),
            back::READY_FOR_QUERY => answers -= 1,
            back::ERROR_RESPONSE => {
                let fault = Fault::from_body(&whole[HEADER..]);
                if fault.severity == Severity::Fatal {
                    return Err(fault);
                }
                // What follows it must be read, or would be taken for the answer to the next question.
                refused.get_or_insert(fault);
            }
            back::DATA_ROW => rows.push(columns(&whole[HEADER..])),
            back::PARAMETER_STATUS => {
                parameter(&whole[HEADER..]).iter().for_each(|(name, value)| hear(name, value))
            }
            _ => {}
        }
        known.start += total;
    }
}

fn columns(body: &[u8]) -> Row {
    let mut rest = body.get(2..).unwrap_or_default();
    let mut row = vec![];
    while let Some((length, tail)) = rest.split_first_chunk::<4>() {
        let length = i32::from_be_bytes(*length);
        let Ok(length) = usize::try_from(length) else {
            row.push(None);
            rest = tail;
            continue;
        };
        let Some((value, tail)) = tail.split_at_checked(length) else { break };
        row.push(Some(String::from_utf8_lossy(value).into_owned()));
        rest = tail;
    }
    row
}

/// `text` as an SQL expression, whatever `standard_conforming_strings` and `client_encoding` are.
pub fn literal(text: &str) -> String {
    let mut out = vec![];
    super::state::quote_text(&mut out, text.as_bytes(), Some(b"utf8"));
    String::from_utf8_lossy(&out).into_owned()
}
