//! What is said of a statement and of where it goes: lines, and one vocabulary for `EXPLAIN ROUTE`, the console and `pgweir explain`.
//!
//! Nothing here changes anything: no rule counts a hit, no token is taken, and what a session must not see undone, and whose turn it
//! is among replicas, are looked at in copies.

mod cached;
mod nodes;
mod ruled;
mod statement;
mod turn;

pub use cached::{Known, Wish};
pub use nodes::{NodeLines, asked, level_name, nodes, would_choose};
pub use ruled::{asked_level, decision, rules};
pub use statement::{Names, Reads, Statement, parameters, pins};
pub use turn::{gates, turn, turn_line};

/// One line of an explanation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What it is about; several lines may be about the same.
    pub item: &'static str,
    /// What is said of it, for people.
    pub value: String,
    /// Why, by a name that stays: one of [`REASONS`], or a reason for a pin.
    pub reason: Option<&'static str>,
}

impl Line {
    /// Without a reason.
    pub fn new(item: &'static str, value: impl Into<String>) -> Line {
        Line { item, value: value.into(), reason: None }
    }

    /// The same with a reason.
    pub fn because(self, reason: impl Into<Option<&'static str>>) -> Line {
        Line { reason: reason.into(), ..self }
    }
}

/// Defines the reasons that `choose` does not give, and the list of all.
macro_rules! reasons {
    ($($NAME:ident = $name:literal;)+) => {
        /// Names of reasons. They do not change: programs may compare them.
        pub mod reason {
            $(#[doc = concat!("`", $name, "`: see the guide, `docs/guide/explain.md`.")] pub const $NAME: &str = $name;)+
        }

        /// All of them, with those of [`super::choose::REASONS`] and the words for what a node is.
        pub const REASONS: &[&str] = &[
            $($name,)+
            super::choose::REASONS[0],
            super::choose::REASONS[1],
            super::choose::REASONS[2],
            super::choose::REASONS[3],
            super::choose::REASONS[4],
            super::topology::STATES[1],
            super::topology::STATES[2],
            super::topology::STATES[3],
            super::topology::STATES[4],
            super::topology::STATES[5],
            super::topology::STATES[6],
        ];
    };
}

reasons! {
    NOT_A_READ = "not a read";
    REACHES_MORE = "reaches more";
    NAMES_UNKNOWN = "definitions not read";
    NOT_PLAIN = "not plain";
    NOT_WATCHED = "no replicas watched";
    IN_TRANSACTION = "in a transaction";
    FAILED = "transaction failed";
    PINNED = "pinned";
    SESSION_POOL = "session pool";
    IN_BATCH = "in a batch";
    SESSION_STATE = "session state";
    SERIALIZABLE = "serializable";
    TOO_LONG = "too long";
    REFUSED_BEFORE = "refused before";
    BLOCKED = "blocked by a rule";
    TURN = "not its turn";
    PINS_REFUSED = "pins refused";
    ANSWERED_HERE = "answered by pgweir";
    NOT_SHORT = "not known to be short";
    CALLS = "calls functions";
    SHARING_OFF = "sharing off";
    SHARING_DEAR = "sharing costs more";
    SEQUENCES = "sequences watched";
    CHANGED = "changed by a rule";
}
