//! One question to a server, on a connection of its own.

use std::future::poll_fn;
use std::io::ErrorKind;
use std::sync::Arc;

use super::Target;
use super::connect::{self, Connected, parameter};
use super::reading::Reading;
use crate::wire::frame::{Frame, HEADER, back};
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
    tokio::time::timeout(target.connect_timeout * 2, asking)
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

/// The same on a server's socket, where nothing else is under way; `hear` is given the settings that it reports.
pub(super) async fn rows_of(
    socket: &mut Socket,
    sql: &str,
    mut hear: impl FnMut(&[u8], &[u8]),
) -> Result<Vec<Row>, Fault> {
    let cut = |error: std::io::Error| Fault::error("08006", format!("server closed the connection: {error}"));
    let mut out = vec![];
    emit::query(&mut out, sql.as_bytes());
    socket.write_all(&out).await.map_err(cut)?;
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
            back::READY_FOR_QUERY => return refused.map_or(Ok(rows), Err),
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
