//! The commands that begin and end transactions.

use super::cursor::Cursor;
use super::detail::{Detail, Reading, is_string};
use super::lexer::Kind;
use super::verb::Verb;

/// What a BEGIN or SET TRANSACTION says of its transaction, or SET SESSION CHARACTERISTICS of those to come; of two words against each other the
/// last counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Modes {
    /// READ ONLY, or READ WRITE.
    pub read_only: Option<bool>,
    /// ISOLATION LEVEL.
    pub isolation: Option<Isolation>,
    /// DEFERRABLE, or NOT DEFERRABLE.
    pub deferrable: Option<bool>,
}

/// How a transaction is kept apart from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// READ COMMITTED, and READ UNCOMMITTED, which is the same to PostgreSQL: each statement sees what was committed before it.
    ReadCommitted,
    /// REPEATABLE READ: all of them see what the first did.
    RepeatableRead,
    /// SERIALIZABLE.
    Serializable,
}

impl Isolation {
    /// By its name in settings.
    pub fn named(name: &[u8]) -> Option<Isolation> {
        const NAMES: [(&str, Isolation); 4] = [
            ("read committed", Isolation::ReadCommitted),
            ("read uncommitted", Isolation::ReadCommitted),
            ("repeatable read", Isolation::RepeatableRead),
            ("serializable", Isolation::Serializable),
        ];
        NAMES.iter().find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(name)).map(|(_, level)| *level)
    }

    /// Its name in settings.
    pub fn name(self) -> &'static str {
        match self {
            Isolation::ReadCommitted => "read committed",
            Isolation::RepeatableRead => "repeatable read",
            Isolation::Serializable => "serializable",
        }
    }
}

/// Reads from behind the first word, which is `first`.
pub(super) fn read(verb: Verb, first: &[u8], at: Cursor<'_>) -> Reading {
    match verb {
        Verb::Begin => begin(first, at),
        Verb::Commit => commit(at),
        _ => rollback(at),
    }
}

fn begin(first: &[u8], mut at: Cursor<'_>) -> Reading {
    let mut modes = Modes::default();
    let simple = match first {
        b"start" => at.eat(b"transaction") && modes.read(&mut at),
        _ => {
            at.eat_any(&[b"work", b"transaction"]);
            modes.read(&mut at)
        }
    };
    let modes = if simple { modes } else { Modes::default() };
    Reading::new(Verb::Begin, Detail::Begin { simple, modes })
}

/// The modes of SET TRANSACTION and SET SESSION CHARACTERISTICS, of which there must be one, up to the end.
pub(super) fn modes(at: &mut Cursor<'_>) -> Option<Modes> {
    let mut modes = Modes::default();
    (!at.at_end() && modes.read(at)).then_some(modes)
}

impl Modes {
    /// Reads modes, with or without commas between them, up to the end.
    fn read(&mut self, at: &mut Cursor<'_>) -> bool {
        while !at.at_end() {
            if !self.read_one(at) || (at.eat_kind(Kind::Comma) && at.at_end()) {
                return false;
            }
        }
        true
    }

    fn read_one(&mut self, at: &mut Cursor<'_>) -> bool {
        const LEVELS: &[(&[&[u8]], Isolation)] = &[
            (&[b"read", b"committed"], Isolation::ReadCommitted),
            (&[b"read", b"uncommitted"], Isolation::ReadCommitted),
            (&[b"repeatable", b"read"], Isolation::RepeatableRead),
            (&[b"serializable"], Isolation::Serializable),
        ];
        if at.eat_all(&[b"read", b"only"]) {
            self.read_only = Some(true);
        } else if at.eat_all(&[b"read", b"write"]) {
            self.read_only = Some(false);
        } else if at.eat_all(&[b"isolation", b"level"]) {
            let level = LEVELS.iter().find(|(words, _)| at.eat_all(words));
            self.isolation = level.map(|(_, level)| *level);
            return level.is_some();
        } else {
            let deferrable = at.eat(b"deferrable");
            self.deferrable = Some(deferrable);
            return deferrable || at.eat_all(&[b"not", b"deferrable"]);
        }
        true
    }
}

fn commit(mut at: Cursor<'_>) -> Reading {
    if is_prepared(&at) {
        return Reading::new(Verb::CommitPrepared, Detail::None);
    }
    let detail = chain(&mut at).map_or(Detail::None, |chain| Detail::Commit { chain });
    Reading::new(Verb::Commit, detail)
}

fn rollback(mut at: Cursor<'_>) -> Reading {
    if is_prepared(&at) {
        return Reading::new(Verb::RollbackPrepared, Detail::None);
    }
    let chain = chain(&mut at);
    if at.at_word(b"to") {
        return Reading::new(Verb::RollbackTo, Detail::None);
    }
    Reading::new(Verb::Rollback, chain.map_or(Detail::None, |chain| Detail::Rollback { chain }))
}

fn is_prepared(at: &Cursor<'_>) -> bool {
    at.at_word(b"prepared") && at.peek_second().is_some_and(|token| is_string(token.kind))
}

/// `[WORK | TRANSACTION] [AND [NO] CHAIN]` up to the end.
fn chain(at: &mut Cursor<'_>) -> Option<bool> {
    at.eat_any(&[b"work", b"transaction"]);
    let chain = at.eat_all(&[b"and", b"chain"]);
    if !chain {
        at.eat_all(&[b"and", b"no", b"chain"]);
    }
    at.at_end().then_some(chain)
}
