//! Framing: where a message begins and ends, and what its type byte is.
//!
//! A message is a type byte, a big-endian length that counts itself but not the type, and a body.

/// Bytes of a message before its body.
pub const HEADER: usize = 5;

/// All bytes of a ReadyForQuery.
pub const READY: usize = HEADER + 1;

/// The longest message PostgreSQL accepts, type byte excluded (`MaxAllocSize`, 1 GB - 1).
pub const MAX_LENGTH: usize = 0x3fff_ffff;

/// Type bytes of messages sent by clients.
pub mod front {
    #![allow(missing_docs, reason = "the names are the manual's own, section 55.7")]
    pub const BIND: u8 = b'B';
    pub const CLOSE: u8 = b'C';
    pub const COPY_DATA: u8 = b'd';
    pub const COPY_DONE: u8 = b'c';
    pub const COPY_FAIL: u8 = b'f';
    pub const DESCRIBE: u8 = b'D';
    pub const EXECUTE: u8 = b'E';
    pub const FLUSH: u8 = b'H';
    pub const FUNCTION_CALL: u8 = b'F';
    pub const PARSE: u8 = b'P';
    pub const PASSWORD: u8 = b'p';
    pub const QUERY: u8 = b'Q';
    pub const SYNC: u8 = b'S';
    pub const TERMINATE: u8 = b'X';
}

/// Type bytes of messages sent by servers.
pub mod back {
    #![allow(missing_docs, reason = "the names are the manual's own, section 55.7")]
    pub const AUTHENTICATION: u8 = b'R';
    pub const BACKEND_KEY_DATA: u8 = b'K';
    pub const BIND_COMPLETE: u8 = b'2';
    pub const CLOSE_COMPLETE: u8 = b'3';
    pub const COMMAND_COMPLETE: u8 = b'C';
    pub const COPY_BOTH_RESPONSE: u8 = b'W';
    pub const COPY_DATA: u8 = b'd';
    pub const COPY_DONE: u8 = b'c';
    pub const COPY_IN_RESPONSE: u8 = b'G';
    pub const COPY_OUT_RESPONSE: u8 = b'H';
    pub const DATA_ROW: u8 = b'D';
    pub const EMPTY_QUERY_RESPONSE: u8 = b'I';
    pub const ERROR_RESPONSE: u8 = b'E';
    pub const FUNCTION_CALL_RESPONSE: u8 = b'V';
    pub const NEGOTIATE_PROTOCOL_VERSION: u8 = b'v';
    pub const NO_DATA: u8 = b'n';
    pub const NOTICE_RESPONSE: u8 = b'N';
    pub const NOTIFICATION_RESPONSE: u8 = b'A';
    pub const PARAMETER_DESCRIPTION: u8 = b't';
    pub const PARAMETER_STATUS: u8 = b'S';
    pub const PARSE_COMPLETE: u8 = b'1';
    pub const PORTAL_SUSPENDED: u8 = b's';
    pub const READY_FOR_QUERY: u8 = b'Z';
    pub const ROW_DESCRIPTION: u8 = b'T';
}

/// A length that no message can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("invalid message length {length} of message type {tag:#04x}")]
pub struct BadFrame {
    /// The type byte.
    pub tag: u8,
    /// The length as announced.
    pub length: u32,
}

/// The head of a message: its type and how long all of it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// The type byte.
    pub tag: u8,
    /// All bytes of the message, type byte and length included.
    pub total: usize,
}

impl Frame {
    /// Reads the head at the front of `bytes`; `None` when fewer than [`HEADER`] bytes are there.
    ///
    /// # Errors
    /// A length below 4 or above [`MAX_LENGTH`].
    #[inline]
    pub fn peek(bytes: &[u8]) -> Result<Option<Frame>, BadFrame> {
        let Some(&[tag, a, b, c, d]) = bytes.first_chunk::<HEADER>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes([a, b, c, d]);
        if length < 4 || length as usize > MAX_LENGTH {
            return Err(BadFrame { tag, length });
        }
        Ok(Some(Frame { tag, total: length as usize + 1 }))
    }
}

/// Splits a NUL-terminated string off the front of `bytes`; `None` when there is no NUL.
#[inline]
pub fn cstr(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr::memchr(0, bytes)?;
    Some((&bytes[..end], &bytes[end + 1..]))
}

/// Status byte of `ReadyForQuery`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TxStatus {
    /// `I`: not in a transaction block.
    Idle,
    /// `T`: in a transaction block.
    Open,
    /// `E`: in a failed transaction block.
    Failed,
}

impl TxStatus {
    /// Reads the status byte; what PostgreSQL never sends counts as failed.
    pub fn from_byte(byte: u8) -> TxStatus {
        match byte {
            b'I' => TxStatus::Idle,
            b'T' => TxStatus::Open,
            _ => TxStatus::Failed,
        }
    }

    /// The status byte.
    pub fn byte(self) -> u8 {
        match self {
            TxStatus::Idle => b'I',
            TxStatus::Open => b'T',
            TxStatus::Failed => b'E',
        }
    }
}

/// The fields of an `ErrorResponse` or `NoticeResponse` body: `(code, value)` pairs.
pub fn fields(body: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut rest = body;
    std::iter::from_fn(move || {
        let (&code, tail) = rest.split_first()?;
        if code == 0 {
            return None;
        }
        let (value, tail) = cstr(tail)?;
        rest = tail;
        Some((code, value))
    })
}

/// The SQLSTATE of an `ErrorResponse` body; `XX000` where the server gave none.
pub fn sqlstate(body: &[u8]) -> &[u8] {
    fields(body).find(|(code, _)| *code == b'C').map_or(b"XX000", |(_, value)| value)
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod cut_tests;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_only_when_it_is_whole() {
        let message = [b'Z', 0, 0, 0, 5, b'I'];
        for cut in 0..HEADER {
            assert_eq!(Frame::peek(&message[..cut]), Ok(None));
        }
        assert_eq!(Frame::peek(&message), Ok(Some(Frame { tag: b'Z', total: 6 })));
    }

    #[test]
    fn impossible_lengths_are_refused() {
        for length in [0u32, 3, 0x4000_0000, u32::MAX] {
            let mut message = vec![b'Q'];
            message.extend(length.to_be_bytes());
            assert_eq!(Frame::peek(&message), Err(BadFrame { tag: b'Q', length }));
        }
        let mut longest = vec![b'Q'];
        longest.extend((MAX_LENGTH as u32).to_be_bytes());
        assert_eq!(Frame::peek(&longest), Ok(Some(Frame { tag: b'Q', total: MAX_LENGTH + 1 })));
    }

    #[test]
    fn sqlstate_is_found_or_internal_error() {
        assert_eq!(sqlstate(b"SERROR\0VERROR\0C42P05\0Mx\0\0"), b"42P05");
        assert_eq!(sqlstate(b"SERROR\0Mx\0\0"), b"XX000");
        assert_eq!(sqlstate(b""), b"XX000");
        assert_eq!(sqlstate(b"Cunterminated"), b"XX000");
    }
}
