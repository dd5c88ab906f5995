//! Which settings a text changes, by name.

use super::cursor::Cursor;
use super::detail::{Detail, is_string};
use super::dialect::Dialect;
use super::lexer::{Kind, Lexer, Token};
use super::mentions::{bound_name, literal_name};
use super::summary::summarize;
use super::text::string_value;
use super::words::{Word, is_word};

/// The settings that a text names.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct SettingNames {
    /// As they are written, but for quotes; SET of an unquoted name gives it in lower case.
    pub known: Vec<Vec<u8>>,
    /// Numbers of the parameters that name others, from 1.
    pub bound: Vec<u16>,
}

/// The settings that the statements of a text change by SET, or by `set_config` wherever it stands outside of strings.
///
/// Where a name is neither a literal nor a parameter, [`super::summarize`] says [`super::Effects::UNNAMED`]. Settings in the
/// code of a DO are not looked for.
pub fn setting_names(sql: &[u8], dialect: impl Into<Dialect>) -> SettingNames {
    let dialect = dialect.into();
    let mut names = SettingNames::default();
    for one in summarize(sql, dialect).statements {
        if let Detail::Set { name, .. } = one.detail {
            names.known.push(name);
        }
    }
    let mut lexer = Lexer::new(sql, dialect);
    while let Some(token) = lexer.next() {
        if is_set_config(token, sql) {
            let mut at = Cursor::from_lexer(lexer.clone());
            if at.eat_kind(Kind::LeftParen) {
                names.known.extend(literal_name(&at));
                names.bound.extend(bound_name(&at));
            }
        }
    }
    names
}

/// The argument of this number, from 1, in the EXECUTE of a statement, if it is a string and nothing else.
pub fn execute_argument(sql: &[u8], number: u16, dialect: impl Into<Dialect>) -> Option<Vec<u8>> {
    let mut lexer = Lexer::new(sql, dialect);
    lexer.find(|token| is_word(Some(*token), sql, b"execute"))?;
    let mut at = Cursor::from_lexer(lexer);
    at.name()?;
    let (mut depth, mut commas) = (0_usize, 1);
    let mut begins = at.eat_kind(Kind::LeftParen);
    while begins || !at.at_end() {
        if begins && commas == number {
            let token = at.next().filter(|token| is_string(token.kind))?;
            let cast = at.eat_kind(Kind::Typecast);
            let whole =
                (!cast || at.eat(b"text")) && matches!(at.peek_kind(), Some(Kind::Comma | Kind::RightParen));
            return string_value(token, sql, at.dialect()).filter(|_| whole);
        }
        let kind = at.next()?.kind;
        begins = kind == Kind::Comma && depth == 0;
        match kind {
            Kind::LeftParen | Kind::LeftBracket => depth += 1,
            Kind::RightParen | Kind::RightBracket => depth = depth.checked_sub(1)?,
            Kind::Comma if depth == 0 => commas += 1,
            _ => {}
        }
    }
    None
}

fn is_set_config(token: Token, sql: &[u8]) -> bool {
    matches!(token.kind, Kind::Ident | Kind::QuotedIdent)
        && Word::name(token, sql).as_bytes() == b"set_config"
}
