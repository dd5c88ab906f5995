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
            NotRead::Command => "is no SELECT, VALUES, TABLE or WITH",
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
    let by_words = words_against_reading(sql, dialect);
    by_words.or((!statement.effects.is_empty()).then_some(NotRead::Session))
}

/// The first word in a text, of whatever statements it has, by which it is more than reads.
pub fn words_against_reading(sql: &[u8], dialect: impl Into<Dialect>) -> Option<NotRead> {
    let mut walk = Walk { sql, before: None, setting: Setting::No };
    let mut tokens = Lexer::new(sql, dialect).filter(|token| token.kind != Kind::Comment);
    let found = tokens.find_map(|token| walk.token(token));
    found.or((walk.setting != Setting::No).then_some(NotRead::Session))
}

struct Walk<'a> {
    sql: &'a [u8],
    before: Option<Token>,
    setting: Setting,
}

/// Where the walk is in a call of `current_setting`: settings of the server show which one it is, those of the application,
/// with a dot in their name, go with the session.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Setting {
    No,
    /// Behind the function's name.
    Named,
    /// Behind the parenthesis.
    Called,
}

impl Walk<'_> {
    fn token(&mut self, token: Token) -> Option<NotRead> {
        let text = token.text(self.sql);
        let setting = std::mem::replace(&mut self.setting, Setting::No);
        let found = match (setting, token.kind) {
            (Setting::Named, Kind::LeftParen) => {
                self.setting = Setting::Called;
                None
            }
            (Setting::Called, Kind::String) if text.contains(&b'.') => None,
            (Setting::Named | Setting::Called, _) => Some(NotRead::Session),
            (Setting::No, Kind::UnicodeIdent | Kind::Unterminated | Kind::Other) => Some(NotRead::Unclear),
            (Setting::No, Kind::Ident) => self.word(text),
            (Setting::No, Kind::QuotedIdent) if text == b"\"current_setting\"" => Some(NotRead::Session),
            _ => None,
        };
        self.before = Some(token);
        found
    }

    /// What an unquoted word means behind the one before it.
    fn word(&mut self, text: &[u8]) -> Option<NotRead> {
        let is = |words: &[&str]| words.iter().any(|word| text.eq_ignore_ascii_case(word.as_bytes()));
        let behind = |word: &[u8]| is_word(self.before, self.sql, word);
        // Names of columns and labels.
        let names = self.before.is_some_and(|token| token.kind == Kind::Dot) || behind(b"as");
        if is(&["into"]) {
            Some(NotRead::Into)
        } else if behind(b"for") && is(&["update", "share", "no", "key"]) {
            Some(NotRead::Locks)
        } else if !names && is(&["insert", "update", "delete", "merge"]) {
            Some(NotRead::Modifies)
        } else if is(&["cmin", "cmax", "datfrozenxid", "relfrozenxid"]) {
            // Numbers of commands are the session's own; ages of these are the node's.
            Some(NotRead::Session)
        } else {
            self.setting = if is(&["current_setting"]) { Setting::Named } else { Setting::No };
            None
        }
    }
}
