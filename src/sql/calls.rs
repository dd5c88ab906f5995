//! The functions that a text calls by name.

use super::cursor::Cursor;
use super::dialect::Dialect;
use super::keywords::is_function_name;
use super::lexer::{Kind, Lexer, Token};
use super::text::unquoted;

/// A function called by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The schema it is called with, if any.
    pub schema: Option<Vec<u8>>,
    /// Its name, folded as PostgreSQL does, not truncated.
    pub name: Vec<u8>,
}

/// The names directly followed by a parenthesis, in order, with repetitions.
///
/// Too many: column lists (`INSERT INTO t (a)`) look the same. Left out are keywords that are never names
/// of functions (`IN (`, `VALUES (`, `coalesce(`, `varchar(`). Functions called without their names
/// (operators, casts, defaults, triggers, views) cannot be seen here, nor can `U&""` names, for which
/// [`super::summarize`] gives [`super::Effects::OPAQUE`].
pub fn called_functions(sql: &[u8], dialect: impl Into<Dialect>) -> impl Iterator<Item = Call> {
    Calls { at: Cursor::from_lexer(Lexer::new(sql, dialect)), before: [None; 2] }
}

struct Calls<'a> {
    at: Cursor<'a>,
    /// The last two tokens, the nearest last.
    before: [Option<Token>; 2],
}

impl Calls<'_> {
    fn step(&mut self) -> Option<Token> {
        let token = self.at.next()?;
        self.before = [self.before[1], Some(token)];
        Some(token)
    }

    fn call(&self, token: Token, before: [Option<Token>; 2]) -> Option<Call> {
        let name = self.name(token)?;
        let dotted = before[1].is_some_and(|token| token.kind == Kind::Dot);
        if !dotted && token.kind == Kind::Ident && !is_function_name(&name) {
            return None;
        }
        let schema = before[0].filter(|_| dotted).and_then(|token| self.name(token));
        Some(Call { schema, name })
    }

    fn name(&self, token: Token) -> Option<Vec<u8>> {
        match token.kind {
            Kind::Ident => Some(self.at.dialect().folded(token.text(self.at.sql()))),
            Kind::QuotedIdent => unquoted(token.text(self.at.sql())),
            _ => None,
        }
    }
}

impl Iterator for Calls<'_> {
    type Item = Call;

    fn next(&mut self) -> Option<Call> {
        loop {
            let before = self.before;
            let token = self.step()?;
            if self.at.peek_kind() == Some(Kind::LeftParen)
                && let Some(call) = self.call(token, before)
            {
                return Some(call);
            }
        }
    }
}
