//! Which settings a text changes, by name.

use super::cursor::Cursor;
use super::detail::Detail;
use super::dialect::Dialect;
use super::lexer::{Kind, Lexer, Token};
use super::mentions::{bound_name, literal_name};
use super::summary::summarize;
use super::words::Word;

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

fn is_set_config(token: Token, sql: &[u8]) -> bool {
    matches!(token.kind, Kind::Ident | Kind::QuotedIdent)
        && Word::name(token, sql).as_bytes() == b"set_config"
}
