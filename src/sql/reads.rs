//! Whether a text, by its own words, only reads.

use std::fmt;

use super::dialect::Dialect;
use super::effects::Effects;
use super::lexer::{Kind, Lexer, Token};
use super::summary::summarize;
use super::verb::Verb;
use super::words::is_word;

/// Why a text, by its own words, may be more than a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NotRead {
    /// It has no statement, or several.
    Number,
    /// Its command is none that only reads.
    Command,
    /// It locks rows: FOR UPDATE and the like.
    Locks,
    /// It makes a table: SELECT INTO.
    Into,
    /// Some part of it may insert, update, delete or merge.
    Modifies,
    /// It may change its session, or asks what belongs to it.
    Session,
    /// It is not understood.
    Unclear,
}

impl fmt::Display for NotRead {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            NotRead::Number => "is not one statement",
            NotRead::Command => "is a command that may write",
            NotRead::Locks => "locks rows",
            NotRead::Into => "makes a table",
            NotRead::Modifies => "modifies rows in a part of it",
            NotRead::Session => "may change its session",
            NotRead::Unclear => "is not understood",
        })
    }
}

/// Says why a text may be more than a read; `None` if it is one SELECT, VALUES, TABLE or WITH that writes nothing and locks
/// no row, as far as its own words go. What its functions, views and operators do is not known here: see `catalog`.
///
/// Too many texts are refused, none that writes is taken. Source: PostgreSQL's manual, SELECT, and `gram.y`.
pub fn not_a_read(sql: &[u8], dialect: impl Into<Dialect>) -> Option<NotRead> {
    let dialect = dialect.into();
    let summary = summarize(sql, dialect);
    let [statement] = summary.statements.as_slice() else { return Some(NotRead::Number) };
    if !matches!(statement.verb, Verb::Select | Verb::Values | Verb::Table | Verb::With) {
        return Some(NotRead::Command);
    }
    if statement.effects.intersects(Effects::OPAQUE) {
        return Some(NotRead::Unclear);
    }
    // Before what it does to the session, what it says of itself.
    let by_words = by_words(sql, dialect);
    by_words.or((!statement.effects.is_empty()).then_some(NotRead::Session))
}

fn by_words(sql: &[u8], dialect: Dialect) -> Option<NotRead> {
    let mut before: [Option<Token>; 2] = [None, None];
    for token in Lexer::new(sql, dialect).filter(|token| token.kind != Kind::Comment) {
        let found = match token.kind {
            Kind::UnicodeIdent | Kind::Unterminated | Kind::Other => Some(NotRead::Unclear),
            Kind::Ident => of_word(token, before, sql),
            Kind::QuotedIdent if token.text(sql) == b"\"current_setting\"" => Some(NotRead::Session),
            // Whether the server is the same one shows in its settings; those of the application go with the session.
            Kind::String if is_word(before[0], sql, b"current_setting") => {
                (!token.text(sql).contains(&b'.')).then_some(NotRead::Session)
            }
            _ if is_word(before[0], sql, b"current_setting") && is_open(before[1]) => Some(NotRead::Session),
            _ => None,
        };
        if found.is_some() {
            return found;
        }
        before = [before[1], Some(token)];
    }
    None
}

fn is_open(token: Option<Token>) -> bool {
    token.is_some_and(|token| token.kind == Kind::LeftParen)
}

/// What an unquoted word means behind the two tokens before it.
fn of_word(token: Token, before: [Option<Token>; 2], sql: &[u8]) -> Option<NotRead> {
    let text = token.text(sql);
    let is = |word: &[u8]| text.eq_ignore_ascii_case(word);
    // Names of columns and labels.
    let names = before[1].is_some_and(|token| token.kind == Kind::Dot) || is_word(before[1], sql, b"as");
    if is(b"into") {
        Some(NotRead::Into)
    } else if is_word(before[1], sql, b"for") && (is(b"update") || is(b"share") || is(b"no") || is(b"key")) {
        Some(NotRead::Locks)
    } else if !names && (is(b"insert") || is(b"update") || is(b"delete") || is(b"merge")) {
        Some(NotRead::Modifies)
    } else if is_word(before[0], sql, b"current_setting") && is_open(before[1]) {
        Some(NotRead::Session)
    } else {
        None
    }
}
