//! Identifiers as words: folding, and the names that matter wherever they stand.

use super::effects::Effects;
use super::lexer::{Kind, Token};

/// Longer than any word that is looked for.
const WORD_MAX: usize = 40;

/// An identifier in lower case, on the stack; empty when it is too long to be one that is looked for.
#[derive(Clone, Copy)]
pub(super) struct Word {
    bytes: [u8; WORD_MAX],
    len: usize,
}

impl Word {
    /// Folds as PostgreSQL does: ASCII letters only.
    pub(super) fn folded(text: &[u8]) -> Word {
        let mut word = Word::exact(text);
        word.bytes[..word.len].make_ascii_lowercase();
        word
    }

    /// As it is.
    pub(super) fn exact(text: &[u8]) -> Word {
        let mut word = Word { bytes: [0; WORD_MAX], len: 0 };
        if text.len() <= WORD_MAX {
            word.bytes[..text.len()].copy_from_slice(text);
            word.len = text.len();
        }
        word
    }

    /// The name of an identifier token: folded, or as it is between its quotes. A name with a doubled
    /// quote in it is none that is looked for.
    pub(super) fn name(token: Token, sql: &[u8]) -> Word {
        match token.kind {
            Kind::Ident => Word::folded(token.text(sql)),
            Kind::QuotedIdent => Word::exact(&sql[token.start + 1..token.end - 1]),
            _ => Word::exact(b""),
        }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// Whether `token` is the keyword `word`, which is in lower case.
pub(super) fn is_word(token: Option<Token>, sql: &[u8], word: &[u8]) -> bool {
    token.is_some_and(|token| token.kind == Kind::Ident && token.text(sql).eq_ignore_ascii_case(word))
}

/// First bytes and lengths of the words that matter anywhere, so that others cost one table look-up.
static INTERESTING: [u64; 256] = interesting();

/// Whether an identifier of this text, quotes included, may be one that matters anywhere in a statement.
/// True for too many, false for none that does.
#[inline]
pub(super) fn may_matter(text: &[u8]) -> bool {
    let length = text.len().min(63);
    text.first().is_some_and(|first| INTERESTING[*first as usize] >> length & 1 == 1)
}

/// What the mention of this name may do, wherever it stands. `set_config` and `INTO TEMP`, which depend
/// on what is around them, are not here.
pub(super) fn mention(name: &[u8]) -> Effects {
    match name {
        b"pg_advisory_lock" | b"pg_advisory_lock_shared" => Effects::ADVISORY,
        b"pg_try_advisory_lock" | b"pg_try_advisory_lock_shared" => Effects::ADVISORY,
        b"currval" | b"lastval" => Effects::SEQUENCE,
        b"setseed" => Effects::RANDOM_SEED,
        b"set_limit" => Effects::SETTING,
        // An UPDATE of this view sets; reading it is too rare to be told apart.
        b"pg_settings" => Effects::SETTING,
        b"ts_stat" | b"ts_rewrite" => Effects::OPAQUE,
        b"pg_listening_channels" => Effects::CHANNELS,
        _ => prefix_mention(name),
    }
}

/// Names known by how they begin.
fn prefix_mention(name: &[u8]) -> Effects {
    let starts = |prefix: &[u8]| name.starts_with(prefix);
    if name == b"pg_temp" || starts(b"pg_temp_") {
        Effects::TEMP
    } else if starts(b"dblink_connect") || name == b"pg_replication_origin_session_setup" {
        Effects::PROCESS | Effects::OPAQUE
    } else if is_slot_creation(name) || matches!(name, b"pg_backup_start" | b"pg_start_backup") {
        Effects::PROCESS
    } else if starts(b"pg_advisory_unlock") {
        Effects::ADVISORY_UNLOCK
    } else if starts(b"query_to_xml") || starts(b"dblink_") || starts(b"pg_replication_origin_") {
        Effects::OPAQUE
    } else {
        Effects::EMPTY
    }
}

fn is_slot_creation(name: &[u8]) -> bool {
    name.ends_with(b"_replication_slot") && (name.starts_with(b"pg_create_") || name.starts_with(b"pg_copy_"))
}

/// Words that need a closer look wherever they stand.
const EXACT: &[&[u8]] = &[
    b"into",
    b"temp",
    b"temporary",
    b"set_config",
    b"currval",
    b"lastval",
    b"setseed",
    b"set_limit",
    b"pg_settings",
    b"ts_stat",
    b"ts_rewrite",
    b"pg_listening_channels",
];

/// Beginnings of words that need a closer look, whatever their length from there on.
const PREFIXES: &[&[u8]] =
    &[b"pg_temp", b"pg_advisory_lock", b"pg_try_advisory_lock", b"query_to_xml", b"dblink_"];

const fn interesting() -> [u64; 256] {
    let mut table = [0; 256];
    let mut at = 0;
    while at < EXACT.len() {
        mark(&mut table, EXACT[at][0], EXACT[at].len(), EXACT[at].len());
        at += 1;
    }
    at = 0;
    while at < PREFIXES.len() {
        mark(&mut table, PREFIXES[at][0], PREFIXES[at].len(), 63);
        at += 1;
    }
    mark(&mut table, b'"', 3, 63);
    table
}

const fn mark(table: &mut [u64; 256], first: u8, shortest: usize, longest: usize) {
    let mut length = shortest;
    while length <= longest {
        table[first as usize] |= 1 << length;
        table[first.to_ascii_uppercase() as usize] |= 1 << length;
        length += 1;
    }
}
