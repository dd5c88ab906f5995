//! What can be the matter with the history's server, by what it says.

use tokio_postgres::Error;

use super::super::file::Trouble;
use super::super::status::State;
use crate::wire::Fault;

/// A login that failed.
pub(super) fn refused(fault: &Fault) -> Trouble {
    Trouble::Standing(state(&fault.sqlstate), fault.to_string())
}

/// It took too long.
pub(super) fn late(what: &str) -> Trouble {
    Trouble::Standing(State::Slow, format!("{what} took too long"))
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Trouble {
        match error.as_db_error() {
            // Only the message: details may name rows.
            Some(told) => {
                let code = told.code().code();
                Trouble::Standing(state(code), format!("{} ({code})", told.message()))
            }
            None if error.is_closed() => {
                Trouble::Standing(State::Away, "the connection is closed".to_owned())
            }
            None => {
                let cause =
                    std::error::Error::source(&error).map_or_else(String::new, |cause| format!(": {cause}"));
                Trouble::Standing(State::Away, format!("{error}{cause}"))
            }
        }
    }
}

/// What an SQLSTATE says of the server.
fn state(code: &str) -> State {
    match code {
        "25006" => State::ReadOnly,
        "42501" => State::Denied,
        "53100" => State::Full,
        "55P03" => State::Locked,
        "57014" => State::Slow,
        "3D000" => State::Refused,
        _ if code.starts_with("28") => State::Refused,
        _ if ["08", "53", "57P"].iter().any(|class| code.starts_with(class)) => State::Away,
        _ => State::Unusable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_has_a_state() {
        for (code, expected) in [
            ("28P01", State::Refused),
            ("28000", State::Refused),
            ("3D000", State::Refused),
            ("42501", State::Denied),
            ("25006", State::ReadOnly),
            ("53100", State::Full),
            ("53300", State::Away),
            ("57P03", State::Away),
            ("08001", State::Away),
            ("57014", State::Slow),
            ("55P03", State::Locked),
            ("42P01", State::Unusable),
        ] {
            assert_eq!(state(code), expected, "{code}");
        }
    }
}
