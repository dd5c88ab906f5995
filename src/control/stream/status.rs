//! What a stream is doing, and why it does not do what it should.

use std::time::Instant;

use super::table::Refusal;
use crate::plan::consistency::Lsn;
use crate::wire::Fault;

/// What a stream is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It connects, and makes its publication.
    Connecting,
    /// It waits for its slot: the server makes one when all transactions that run have ended.
    WaitingForSlot,
    /// It hears what is changed.
    Streaming,
    /// It will try again.
    Failed(Cause),
    /// It has ended.
    Stopped,
}

/// Why there is no stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The server's `wal_level` is not `logical`.
    WalLevel,
    /// All of the server's `max_replication_slots` are in use.
    NoSlot,
    /// All of the server's `max_wal_senders`, or its connections, are in use.
    NoSender,
    /// No host is a primary, or it has become a standby.
    NotPrimary,
    /// The user may not replicate, or not make publications.
    NoPrivilege,
    /// The login was refused.
    LoginRefused,
    /// The server cannot be reached, or its connection broke.
    Unreachable,
    /// The publication or the slot is there no more.
    Gone,
    /// The primary is another now, or has another history.
    Moved,
    /// Too many commits are not visible yet.
    LimboFull,
    /// Something else.
    Failed,
}

/// The end of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// Why, by a stable name.
    pub cause: Cause,
    /// The same in words; the server's own, where it said any.
    pub fault: Fault,
}

/// What is known of a stream at one time.
#[derive(Debug, Clone)]
pub struct Status {
    /// What it does.
    pub state: State,
    /// Since when.
    pub since: Instant,
    /// Why it does not stream, or did not last time.
    pub last: Option<Loss>,
    /// The last fresh point of this stream.
    pub fresh: Option<Instant>,
    /// How far it has come.
    pub through: Lsn,
    /// Commits that are not visible yet.
    pub in_limbo: usize,
    /// Since when the oldest of them waits.
    pub oldest_in_limbo: Option<Instant>,
    /// When the oldest sample was asked that it has not come to; `None`: it is not behind.
    pub waits: Option<Instant>,
    /// Relations that are followed, and all that are wanted.
    pub usable: (usize, usize),
    /// One that cannot be followed, and why.
    pub refused: Option<(u32, Refusal)>,
}

impl State {
    /// Its stable name.
    pub fn name(self) -> &'static str {
        match self {
            State::Connecting => "connecting",
            State::WaitingForSlot => "waiting_for_slot",
            State::Streaming => "streaming",
            State::Stopped => "stopped",
            State::Failed(cause) => cause.name(),
        }
    }
}

impl Cause {
    /// All of them.
    pub const ALL: [Cause; 11] = [
        Cause::WalLevel,
        Cause::NoSlot,
        Cause::NoSender,
        Cause::NotPrimary,
        Cause::NoPrivilege,
        Cause::LoginRefused,
        Cause::Unreachable,
        Cause::Gone,
        Cause::Moved,
        Cause::LimboFull,
        Cause::Failed,
    ];

    /// Its stable name.
    pub fn name(self) -> &'static str {
        match self {
            Cause::WalLevel => "wal_level",
            Cause::NoSlot => "no_slot",
            Cause::NoSender => "no_sender",
            Cause::NotPrimary => "not_primary",
            Cause::NoPrivilege => "no_privilege",
            Cause::LoginRefused => "login_refused",
            Cause::Unreachable => "unreachable",
            Cause::Gone => "gone",
            Cause::Moved => "moved",
            Cause::LimboFull => "limbo_full",
            Cause::Failed => "failed",
        }
    }

    /// What a server's error means.
    fn of(fault: &Fault) -> Cause {
        match fault.sqlstate.as_str() {
            "55000" if fault.message.contains("wal_level") => Cause::WalLevel,
            // PostgreSQL 16 and later make slots on standbys; 13 to 15 refuse with this too.
            "55000" | "0A000" if fault.message.contains("recovery") => Cause::NotPrimary,
            "25006" => Cause::NotPrimary,
            "53400" => Cause::NoSlot,
            "53300" => Cause::NoSender,
            "42501" => Cause::NoPrivilege,
            "42704" | "55000" => Cause::Gone,
            state if state.starts_with("28") => Cause::LoginRefused,
            state if state.starts_with("08") || state.starts_with("57P") => Cause::Unreachable,
            _ => Cause::Failed,
        }
    }
}

impl Loss {
    /// With a cause that only who found it knows.
    pub fn new(cause: Cause, sqlstate: &str, text: impl Into<String>) -> Loss {
        Loss { cause, fault: Fault::error(sqlstate, text) }
    }
}

impl From<Fault> for Loss {
    fn from(fault: Fault) -> Loss {
        Loss { cause: Cause::of(&fault), fault }
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::Refusal;
    use super::*;

    #[test]
    fn the_guide_has_every_state_and_every_refusal() {
        let page = include_str!("../../../docs/guide/stream.md");
        let rest = [State::Connecting, State::WaitingForSlot, State::Streaming, State::Stopped];
        let states = rest.into_iter().chain(Cause::ALL.map(State::Failed)).map(State::name);
        let refused = |sqlstate| Refusal::Server(Fault::error(sqlstate, ""));
        let refusals = [
            Refusal::Gone,
            Refusal::NotATable,
            Refusal::System,
            Refusal::Unlogged,
            Refusal::NoIdentity,
            Refusal::GeneratedIdentity,
            Refusal::Descendant(0),
            Refusal::TooMany,
            refused("42501"),
            refused("XX000"),
            Refusal::Changed,
        ];
        let names = states.chain(refusals.iter().map(Refusal::name));
        let missing: Vec<&str> = names.filter(|name| !page.contains(&format!("`{name}`"))).collect();
        assert!(missing.is_empty(), "docs/guide/stream.md does not have {missing:?}");
    }

    #[test]
    fn what_servers_say_has_a_name() {
        let check = |sqlstate: &str, message: &str, name: &str| {
            let loss = Loss::from(Fault::error(sqlstate, message));
            assert_eq!(State::Failed(loss.cause).name(), name, "{message}");
        };
        check("55000", "logical decoding requires wal_level >= logical", "wal_level");
        check("55000", "recovery is in progress", "not_primary");
        check("0A000", "logical decoding cannot be used while in recovery", "not_primary");
        check("25006", "cannot execute CREATE PUBLICATION in a read-only transaction", "not_primary");
        check("53400", "all replication slots are in use", "no_slot");
        check("53300", "number of requested standby connections exceeds max_wal_senders", "no_sender");
        check("42501", "must be superuser or replication role to start walsender", "no_privilege");
        check("28000", "no pg_hba.conf entry for replication connection", "login_refused");
        check("57P01", "terminating connection due to administrator command", "unreachable");
        check("08006", "server closed the connection", "unreachable");
        check("42704", "publication \"pgweir_1\" does not exist", "gone");
        check("XX000", "could not open relation", "failed");
    }
}
