//! What a refused client is told, in PostgreSQL's words (`auth.c`).

use super::{Conn, Method, Request};
use crate::auth::AuthFailure;

/// A client that does not get in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// No rule matches.
    NoRule,
    /// The rule's method is `reject`.
    Rejected,
    /// The proof that this method asks for failed.
    Failed(Method),
}

impl Refusal {
    /// `invalid_password` where a password was asked for, else `invalid_authorization_specification`.
    #[must_use]
    pub fn sqlstate(self) -> &'static str {
        match self {
            Self::Failed(Method::ScramSha256 | Method::Md5 | Method::Password) => AuthFailure::SQLSTATE,
            _ => "28000",
        }
    }

    /// The routine of PostgreSQL that raises it.
    #[must_use]
    pub fn routine(self) -> &'static str {
        match self {
            Self::Failed(_) => "auth_failed",
            Self::NoRule | Self::Rejected => "ClientAuthentication",
        }
    }

    /// The message of the FATAL error.
    #[must_use]
    pub fn client_message(self, request: &Request<'_>) -> String {
        let user = request.user;
        match self {
            Self::NoRule => format!("no pg_hba.conf entry for {}", describe(request)),
            Self::Rejected => format!("pg_hba.conf rejects {}", describe_connection(request)),
            Self::Failed(Method::ScramSha256 | Method::Md5 | Method::Password) => {
                AuthFailure::client_message(user)
            }
            Self::Failed(Method::Cert) => {
                format!("certificate authentication failed for user \"{user}\"")
            }
            Self::Failed(Method::Peer) => format!("Peer authentication failed for user \"{user}\""),
            Self::Failed(Method::Trust) => {
                format!("\"trust\" authentication failed for user \"{user}\"")
            }
            Self::Failed(Method::Reject) => {
                format!("authentication failed for user \"{user}\": host rejected")
            }
        }
    }
}

fn describe(request: &Request<'_>) -> String {
    let (what, database) = if request.replication {
        ("replication connection from ", String::new())
    } else {
        ("", format!(", database \"{}\"", request.database))
    };
    format!("{what}{}{database}, {}", origin(request), encryption(request))
}

fn describe_connection(request: &Request<'_>) -> String {
    if request.replication {
        describe(request).replacen(" from ", " for ", 1)
    } else {
        format!("connection for {}", describe(request))
    }
}

fn origin(request: &Request<'_>) -> String {
    let host = match request.addr {
        Some(addr) if request.conn != Conn::Local => addr.to_canonical().to_string(),
        _ => "[local]".to_owned(),
    };
    format!("host \"{host}\", user \"{}\"", request.user)
}

fn encryption(request: &Request<'_>) -> &'static str {
    match request.conn {
        Conn::Tls => "SSL encryption",
        Conn::Local | Conn::Plain => "no encryption",
    }
}
