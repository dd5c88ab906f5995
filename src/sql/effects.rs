//! What a statement may do to the state of its session.

use std::fmt;
use std::ops::{BitOr, BitOrAssign};

/// A set of effects. Over-approximate: an effect that is absent cannot happen through what the text
/// itself says; one that is present may. What a called function does inside is not known here: see
/// [`super::mentions_session_effects`], and `catalog` for what is called.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Effects(u32);

/// Defines the constants and their names in the same place.
macro_rules! effects {
    ($($(#[$doc:meta])* $name:ident = $bit:literal;)*) => {
        impl Effects {
            $($(#[$doc])* pub const $name: Effects = Effects(1 << $bit);)*

            const NAMES: &[(&str, Effects)] = &[$((stringify!($name), Effects::$name)),*];
        }
    };
}

effects! {
    /// May change a setting for longer than the transaction: SET, RESET, `set_config` unless its third
    /// argument is literally `true`, SET SESSION CHARACTERISTICS. Not ALTER SYSTEM, nor ALTER ROLE ... SET.
    SETTING = 0;
    /// May change the current role or the session user, locally to the transaction or not.
    ROLE = 1;
    /// May change a setting until the end of the transaction: SET LOCAL, SET TRANSACTION, SET CONSTRAINTS.
    SET_LOCAL = 2;
    /// May create an object that belongs to the session, and outlives the transaction.
    TEMP = 3;
    /// May take an advisory lock that outlives the transaction.
    ADVISORY = 4;
    /// May give back advisory locks.
    ADVISORY_UNLOCK = 5;
    /// Declares a cursor that outlives the transaction.
    HOLD = 6;
    /// Closes cursors.
    CLOSE = 7;
    /// LISTEN.
    LISTEN = 8;
    /// UNLISTEN.
    UNLISTEN = 9;
    /// Loads a library into the server process.
    LOAD = 10;
    /// Makes a prepared statement by SQL.
    PREPARE = 11;
    /// Runs a prepared statement by SQL, also from EXPLAIN or CREATE TABLE AS.
    EXECUTE = 12;
    /// Drops prepared statements by SQL.
    DEALLOCATE = 13;
    /// DISCARD.
    DISCARD = 14;
    /// Begins a transaction block.
    BEGIN = 15;
    /// Ends a transaction block as committed: COMMIT, END, PREPARE TRANSACTION.
    COMMIT = 16;
    /// Ends a transaction block as rolled back. Not ROLLBACK TO.
    ROLLBACK = 17;
    /// SAVEPOINT, RELEASE, ROLLBACK TO.
    SAVEPOINT = 18;
    /// Changes the protocol to COPY: FROM STDIN, TO STDOUT.
    COPY = 19;
    /// Reads what a sequence gave to this session: `currval`, `lastval`.
    SEQUENCE = 20;
    /// Seeds the random numbers of the session.
    RANDOM_SEED = 21;
    /// May do anything that the text does not show: DO, CALL, SQL inside a string, an unterminated text,
    /// an identifier or a statement that is not understood.
    OPAQUE = 22;
    /// May be refused inside a transaction block.
    NO_TX = 23;
    /// Changes definitions or privileges: may invalidate plans.
    DDL = 24;
    /// Reads what the session listens to: `pg_listening_channels`.
    CHANNELS = 25;
    /// May change a setting whose name the text does not show, for longer than the transaction.
    UNNAMED = 26;
    /// May change a setting for longer than the transaction whose name is a parameter of the statement
    /// ([`super::setting_names`] says which), or is given to the code that it calls.
    BOUND_NAME = 27;
    /// May leave in the server process what nothing but its end removes: connections of dblink, a replication origin,
    /// a slot of the session, a backup that has begun.
    PROCESS = 28;
    /// Reaches code that is not in the text and that may change settings. No text says so by itself: see `catalog`.
    HIDDEN = 29;
    /// Creates a temporary table that goes with the transaction: ON COMMIT DROP.
    TEMP_OF_TX = 30;
}

impl Effects {
    /// No effect on the session: the hot path tests for this.
    pub const EMPTY: Effects = Effects(0);

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Both sets together.
    pub const fn union(self, other: Effects) -> Effects {
        Effects(self.0 | other.0)
    }

    /// Whether all of `other` is in this set.
    pub const fn contains(self, other: Effects) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any of `other` is in this set.
    pub const fn intersects(self, other: Effects) -> bool {
        self.0 & other.0 != 0
    }

    /// This set without what is in `other`.
    pub const fn without(self, other: Effects) -> Effects {
        Effects(self.0 & !other.0)
    }
}

impl Effects {
    /// The names of the effects in this set.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Effects::NAMES.iter().filter(move |(_, effect)| self.contains(*effect)).map(|(name, _)| *name)
    }
}

impl BitOr for Effects {
    type Output = Effects;

    fn bitor(self, other: Effects) -> Effects {
        self.union(other)
    }
}

impl BitOrAssign for Effects {
    fn bitor_assign(&mut self, other: Effects) {
        *self = self.union(other);
    }
}

impl fmt::Debug for Effects {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Effects({})", self.names().collect::<Vec<_>>().join(" "))
    }
}
