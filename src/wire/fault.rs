//! Errors as clients see them: severity, SQLSTATE, message, and a hint.

use super::{emit, frame};

/// How bad an error is for the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The statement failed.
    Error,
    /// The connection ends.
    Fatal,
    /// Only told.
    Warning,
    /// Only told, and nothing is wrong.
    Notice,
}

impl Severity {
    fn word(self) -> &'static [u8] {
        match self {
            Severity::Error => b"ERROR",
            Severity::Fatal => b"FATAL",
            Severity::Warning => b"WARNING",
            Severity::Notice => b"NOTICE",
        }
    }
}

/// An error for a client. Its SQLSTATE is chosen where the error is made (manual, appendix A).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} ({sqlstate})")]
pub struct Fault {
    /// Whether the connection survives it.
    pub severity: Severity,
    /// Five characters.
    pub sqlstate: String,
    /// What went wrong: lower case, no full stop.
    pub message: String,
    /// More of it.
    pub detail: Option<Box<str>>,
    /// What to do about it.
    pub hint: Option<Box<str>>,
    /// The routine of PostgreSQL that raised it, or would have raised it: by this some drivers know an error from others with its
    /// SQLSTATE (asyncpg and JDBC prepare a statement again after `0A000` from `RevalidateCachedQuery` only).
    pub routine: Option<Box<str>>,
}

impl Fault {
    /// An error that ends the connection.
    pub fn fatal(sqlstate: &str, message: impl Into<String>) -> Fault {
        Fault::new(Severity::Fatal, sqlstate, message)
    }

    /// An error that ends the statement.
    pub fn error(sqlstate: &str, message: impl Into<String>) -> Fault {
        Fault::new(Severity::Error, sqlstate, message)
    }

    /// A warning, sent as a notice.
    pub fn warning(sqlstate: &str, message: impl Into<String>) -> Fault {
        Fault::new(Severity::Warning, sqlstate, message)
    }

    /// What is worth knowing, sent as a notice.
    pub fn notice(message: impl Into<String>) -> Fault {
        Fault::new(Severity::Notice, "00000", message)
    }

    fn new(severity: Severity, sqlstate: &str, message: impl Into<String>) -> Fault {
        Fault {
            severity,
            sqlstate: sqlstate.into(),
            message: message.into(),
            detail: None,
            hint: None,
            routine: None,
        }
    }

    /// The same with a hint.
    pub fn hint(mut self, hint: impl Into<Box<str>>) -> Fault {
        self.hint = Some(hint.into());
        self
    }

    /// The same with a detail line.
    pub fn detail(mut self, detail: impl Into<Box<str>>) -> Fault {
        self.detail = Some(detail.into());
        self
    }

    /// The same, as one of PostgreSQL's: raised by this routine of its.
    pub fn routine(mut self, routine: &'static str) -> Fault {
        self.routine = Some(routine.into());
        self
    }

    /// The same, but ending the connection.
    pub fn into_fatal(mut self) -> Fault {
        self.severity = Severity::Fatal;
        self
    }

    /// A protocol violation, 08P01, which ends the connection.
    pub fn protocol(message: impl Into<String>) -> Fault {
        Fault::fatal("08P01", message)
    }

    /// Appends the `ErrorResponse`, or the `NoticeResponse` for what is only told.
    pub fn emit(&self, out: &mut Vec<u8>) {
        let tag = match self.severity {
            Severity::Warning | Severity::Notice => frame::back::NOTICE_RESPONSE,
            _ => frame::back::ERROR_RESPONSE,
        };
        let field = |out: &mut Vec<u8>, code: u8, value: &[u8]| {
            out.push(code);
            out.extend(value.iter().filter(|byte| **byte != 0));
            out.push(0);
        };
        emit::frame(out, tag, |out| {
            field(out, b'S', self.severity.word());
            field(out, b'V', self.severity.word());
            field(out, b'C', self.sqlstate.as_bytes());
            field(out, b'M', self.message.as_bytes());
            self.detail.iter().for_each(|text| field(out, b'D', text.as_bytes()));
            self.hint.iter().for_each(|text| field(out, b'H', text.as_bytes()));
            self.routine.iter().for_each(|text| field(out, b'R', text.as_bytes()));
            out.push(0);
        });
    }

    /// The `ErrorResponse` as bytes.
    pub fn frame(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(128);
        self.emit(&mut out);
        out
    }

    /// Reads an `ErrorResponse` body that a server sent.
    pub fn from_body(body: &[u8]) -> Fault {
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let mut fault = Fault::error("XX000", "");
        for (code, value) in frame::fields(body) {
            match code {
                b'V' if value == b"FATAL" || value == b"PANIC" => fault.severity = Severity::Fatal,
                b'C' => fault.sqlstate = text(value),
                b'M' => fault.message = text(value),
                b'D' => fault.detail = Some(text(value).into()),
                b'H' => fault.hint = Some(text(value).into()),
                b'R' => fault.routine = Some(text(value).into()),
                _ => {}
            }
        }
        fault
    }
}

impl From<frame::BadFrame> for Fault {
    fn from(bad: frame::BadFrame) -> Fault {
        Fault::protocol(format!("invalid message length {} of message type {:#04x}", bad.length, bad.tag))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_survives_the_wire() {
        let fault = Fault::fatal("53300", "too many clients")
            .hint("raise max_clients")
            .detail("at 5")
            .routine("InitPostgres");
        let bytes = fault.frame();
        assert_eq!(bytes[0], b'E');
        assert_eq!(Fault::from_body(&bytes[5..]), fault);
    }

    #[test]
    fn a_nul_in_a_message_cannot_break_the_frame() {
        let bytes = Fault::error("XX000", "a\0b").frame();
        assert_eq!(Fault::from_body(&bytes[5..]).message, "ab");
    }
}
