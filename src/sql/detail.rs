//! What the session layer needs of a statement beyond its verb, and the commands that are quickly read.

use std::ops::Range;

use super::cursor::Cursor;
use super::effects::Effects;
use super::lexer::Kind;
use super::transaction::{self, Modes};
use super::verb::{Verb, other_effects};
use super::words::Word;
use super::{set, utility};

/// The operands of a statement. Given only when the whole statement was understood: anything unexpected,
/// and every `U&""` name, gives `None`. Names are folded as PostgreSQL folds them, but not truncated.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Detail {
    /// Nothing to say, or nothing that is certain.
    #[default]
    None,
    /// SET.
    Set {
        /// The setting: lower case, or as written when quoted. SET ROLE gives `role`, SET SESSION
        /// AUTHORIZATION `session_authorization`, SET TIME ZONE `timezone`, SET NAMES `client_encoding`,
        /// SET SCHEMA `search_path`. SET TRANSACTION gives `transaction` and SET SESSION CHARACTERISTICS
        /// `session characteristics`, which are no settings, with [`SetValue::Modes`] if they are understood.
        name: Vec<u8>,
        /// Its new value.
        value: SetValue,
        /// Until the end of the transaction only.
        local: bool,
    },
    /// RESET of one setting; `None`: RESET ALL.
    Reset {
        /// As in [`Detail::Set`].
        name: Option<Vec<u8>>,
    },
    /// SHOW.
    Show {
        /// As in [`Detail::Set`]; `all` for SHOW ALL.
        name: Vec<u8>,
    },
    /// BEGIN, START TRANSACTION.
    Begin {
        /// Only well-formed transaction modes follow: PostgreSQL's parser will accept it.
        simple: bool,
        /// What they say, if so.
        modes: Modes,
    },
    /// COMMIT, END.
    Commit {
        /// AND CHAIN.
        chain: bool,
    },
    /// ROLLBACK, ABORT.
    Rollback {
        /// AND CHAIN.
        chain: bool,
    },
    /// PREPARE name AS ...
    Prepare {
        /// The statement's name.
        name: Vec<u8>,
        /// Where it stands in the text.
        name_range: Range<usize>,
    },
    /// EXECUTE name, also in EXPLAIN and in CREATE TABLE AS.
    Execute {
        /// The statement's name.
        name: Vec<u8>,
        /// Where it stands in the text.
        name_range: Range<usize>,
    },
    /// DEALLOCATE.
    Deallocate {
        /// The statement's name; `None`: ALL.
        name: Option<Vec<u8>>,
        /// Where the name, or ALL, stands in the text.
        name_range: Range<usize>,
    },
    /// DISCARD.
    Discard(DiscardTarget),
    /// LISTEN.
    Listen {
        /// The channel.
        channel: Vec<u8>,
    },
    /// UNLISTEN.
    Unlisten {
        /// The channel; `None`: all (`*`).
        channel: Option<Vec<u8>>,
    },
    /// CLOSE.
    Close {
        /// The cursor; `None`: ALL.
        name: Option<Vec<u8>>,
    },
}

/// The value of a SET.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetValue {
    /// The string that `set_config` would take to the same end.
    Literal(Vec<u8>),
    /// DEFAULT, and TIME ZONE LOCAL.
    Default,
    /// Well-formed transaction modes, one at least: PostgreSQL's parser will accept it.
    Modes(Modes),
    /// Anything else: FROM CURRENT, an interval, a snapshot, XML OPTION, or what was not understood.
    Other,
}

/// What a DISCARD throws away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // named after the keywords
pub enum DiscardTarget {
    All,
    Plans,
    Sequences,
    Temp,
}

/// What reading a statement closely gives.
pub(super) struct Reading {
    pub(super) verb: Verb,
    pub(super) effects: Effects,
    pub(super) detail: Detail,
}

impl Reading {
    /// A verb with its usual effects.
    pub(super) fn new(verb: Verb, detail: Detail) -> Reading {
        Reading { verb, effects: verb.effects(), detail }
    }

    pub(super) fn with(mut self, effects: Effects) -> Reading {
        self.effects |= effects;
        self
    }
}

/// Reads the statement that the cursor is at the start of; `verb` is that of its first word.
pub(super) fn read(verb: Verb, mut at: Cursor<'_>) -> Reading {
    let first = at.next().map(|token| Word::name(token, at.sql()));
    let first = first.as_ref().map_or(&b""[..], Word::as_bytes);
    if verb.is_plain() || first.is_empty() {
        return Reading::new(verb, Detail::None);
    }
    match verb {
        Verb::Begin | Verb::Commit | Verb::Rollback => transaction::read(verb, first, at),
        Verb::Set => set::set(at),
        Verb::Reset => set::reset(at),
        Verb::Show => Reading::new(verb, set::show(at)),
        Verb::Prepare => prepare(at),
        Verb::Execute => Reading::new(verb, execute(&mut at)),
        Verb::Deallocate => Reading::new(verb, deallocate(at).unwrap_or_default()),
        Verb::Discard => discard(at),
        Verb::Listen => Reading::new(verb, listen(at).unwrap_or_default()),
        Verb::Unlisten => Reading::new(verb, unlisten(at).unwrap_or_default()),
        Verb::Close => Reading::new(verb, close(at).unwrap_or_default()),
        Verb::Other => Reading::new(verb, Detail::None).with(other_effects(first)),
        _ => utility::read(verb, at),
    }
}

fn prepare(mut at: Cursor<'_>) -> Reading {
    if at.at_word(b"transaction") && at.peek_second().is_some_and(|token| is_string(token.kind)) {
        return Reading::new(Verb::PrepareTransaction, Detail::None);
    }
    let named = at.name();
    let follows = at.peek_kind() == Some(Kind::LeftParen) || at.at_word(b"as");
    let detail = match named {
        Some((name, name_range)) if follows => Detail::Prepare { name, name_range },
        _ => Detail::None,
    };
    Reading::new(Verb::Prepare, detail)
}

pub(super) fn is_string(kind: Kind) -> bool {
    matches!(kind, Kind::String | Kind::EscapeString | Kind::UnicodeString | Kind::DollarString)
}

/// From behind EXECUTE: a name, perhaps parameters, and perhaps the WITH [NO] DATA of CREATE TABLE AS.
pub(super) fn execute(at: &mut Cursor<'_>) -> Detail {
    let Some((name, name_range)) = at.name() else { return Detail::None };
    let complete = at.peek_kind() != Some(Kind::LeftParen) || at.skip_parens();
    match complete && (at.at_end() || at.at_word(b"with")) {
        true => Detail::Execute { name, name_range },
        false => Detail::None,
    }
}

fn deallocate(mut at: Cursor<'_>) -> Option<Detail> {
    if at.at_word(b"prepare") && at.peek_second().is_some() {
        at.advance();
    }
    let token = at.peek()?;
    let (name, name_range) = match at.eat(b"all") {
        true => (None, token.start..token.end),
        false => at.name().map(|(name, range)| (Some(name), range))?,
    };
    at.at_end().then_some(Detail::Deallocate { name, name_range })
}

/// DISCARD ALL does the work of many commands, so that it has their effects too.
fn discard(mut at: Cursor<'_>) -> Reading {
    const ALL: Effects = Effects::NO_TX
        .union(Effects::SETTING)
        .union(Effects::ROLE)
        .union(Effects::UNLISTEN)
        .union(Effects::DEALLOCATE)
        .union(Effects::CLOSE)
        .union(Effects::ADVISORY_UNLOCK);
    let target = discard_target(&mut at).filter(|_| at.at_end());
    let effects = if target == Some(DiscardTarget::All) { ALL } else { Effects::EMPTY };
    Reading::new(Verb::Discard, target.map_or(Detail::None, Detail::Discard)).with(effects)
}

fn discard_target(at: &mut Cursor<'_>) -> Option<DiscardTarget> {
    let word = Word::name(at.next()?, at.sql());
    match word.as_bytes() {
        b"all" => Some(DiscardTarget::All),
        b"plans" => Some(DiscardTarget::Plans),
        b"sequences" => Some(DiscardTarget::Sequences),
        b"temp" | b"temporary" => Some(DiscardTarget::Temp),
        _ => None,
    }
}

fn listen(mut at: Cursor<'_>) -> Option<Detail> {
    let (channel, _) = at.name()?;
    at.at_end().then_some(Detail::Listen { channel })
}

fn unlisten(mut at: Cursor<'_>) -> Option<Detail> {
    let channel = match at.eat_operator(b"*") {
        true => None,
        false => Some(at.name()?.0),
    };
    at.at_end().then_some(Detail::Unlisten { channel })
}

fn close(mut at: Cursor<'_>) -> Option<Detail> {
    let name = match at.eat(b"all") {
        true => None,
        false => Some(at.name()?.0),
    };
    at.at_end().then_some(Detail::Close { name })
}
