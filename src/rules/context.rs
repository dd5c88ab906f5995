//! What a rule is compared with: a shape, a session, a moment.

use std::net::IpAddr;

use super::calendar::Seconds;
use crate::sql::Fingerprint;
use crate::sql::facts::{Class, Facts};

/// What is the same for all statements of one shape.
///
/// The shape is that of the statement alone, without a semicolon behind it: so `pgweir explain` shows it, and so rules name it.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// What its tree says.
    pub facts: &'a Facts,
    /// The name of the shape.
    pub fingerprint: Fingerprint,
    /// The shape's text.
    pub shape: &'a [u8],
    /// Whether it is judged to be a read.
    pub is_read: bool,
}

impl Subject<'_> {
    /// Whether it is taken for a write: no read, and more than the session's own affair.
    pub fn is_write(&self) -> bool {
        !self.is_read && !matches!(self.facts.class, Class::Transaction | Class::Session)
    }
}

/// What a session is; the same for all its statements, but for the name of the application, which it may change.
#[derive(Debug, Clone, Copy, Default)]
pub struct Session<'a> {
    /// Who logged in.
    pub user: &'a [u8],
    /// The database that was asked for.
    pub database: &'a [u8],
    /// `application_name`.
    pub application: &'a [u8],
    /// Where the client is; `None`: on the unix socket.
    pub client: Option<IpAddr>,
    /// A number that no other session has at the time: decides for `percent`.
    pub number: u64,
}

/// What belongs to one statement of a session.
#[derive(Debug, Clone, Copy, Default)]
pub struct Moment<'a> {
    /// Whether a transaction is open.
    pub in_transaction: bool,
    /// The time.
    pub now: Seconds,
    /// The text of the statement, with its values.
    pub text: &'a [u8],
}

/// A statement of a session at a moment.
#[derive(Debug, Clone, Copy, Default)]
pub struct Context<'a> {
    /// The session.
    pub session: Session<'a>,
    /// The moment.
    pub moment: Moment<'a>,
}
