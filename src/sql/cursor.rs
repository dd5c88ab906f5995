//! A walk over the tokens of one statement, comments left out, for the statements that are read closely.

use std::ops::Range;

use super::dialect::Dialect;
use super::keywords::is_col_id;
use super::lexer::{Kind, Lexer, Token};
use super::text::unquoted;
use super::words::is_word;

/// A lexer that can look one token ahead.
#[derive(Clone)]
pub(super) struct Cursor<'a> {
    lexer: Lexer<'a>,
    ahead: Option<Token>,
}

impl<'a> Cursor<'a> {
    /// Over `sql[range]`, which must begin and end at the ends of tokens. Offsets are those in `sql`.
    pub(super) fn new(sql: &'a [u8], range: Range<usize>, dialect: Dialect) -> Cursor<'a> {
        Cursor::from_lexer(Lexer::at(&sql[..range.end], range.start, dialect))
    }

    pub(super) fn from_lexer(lexer: Lexer<'a>) -> Cursor<'a> {
        let mut cursor = Cursor { lexer, ahead: None };
        cursor.advance();
        cursor
    }

    pub(super) fn sql(&self) -> &'a [u8] {
        self.lexer.sql()
    }

    pub(super) fn dialect(&self) -> Dialect {
        self.lexer.dialect()
    }

    /// The token at the cursor.
    pub(super) fn peek(&self) -> Option<Token> {
        self.ahead
    }

    pub(super) fn peek_kind(&self) -> Option<Kind> {
        self.ahead.map(|token| token.kind)
    }

    /// The token behind the one at the cursor.
    pub(super) fn peek_second(&self) -> Option<Token> {
        let mut copy = self.clone();
        copy.advance();
        copy.ahead
    }

    pub(super) fn advance(&mut self) {
        self.ahead = self.lexer.find(|token| token.kind != Kind::Comment);
    }

    pub(super) fn next(&mut self) -> Option<Token> {
        let token = self.ahead;
        self.advance();
        token
    }

    pub(super) fn at_end(&self) -> bool {
        self.ahead.is_none()
    }

    pub(super) fn at_word(&self, word: &[u8]) -> bool {
        is_word(self.ahead, self.sql(), word)
    }

    /// Goes past the keyword `word` if it is here.
    pub(super) fn eat(&mut self, word: &[u8]) -> bool {
        let here = self.at_word(word);
        if here {
            self.advance();
        }
        here
    }

    /// Goes past the first of `words` that is here.
    pub(super) fn eat_any(&mut self, words: &[&[u8]]) -> bool {
        words.iter().any(|word| self.eat(word))
    }

    /// Goes past all of `words`, or past nothing.
    pub(super) fn eat_all(&mut self, words: &[&[u8]]) -> bool {
        let mut ahead = self.clone();
        let here = words.iter().all(|word| ahead.eat(word));
        if here {
            *self = ahead;
        }
        here
    }

    pub(super) fn eat_kind(&mut self, kind: Kind) -> bool {
        let here = self.peek_kind() == Some(kind);
        if here {
            self.advance();
        }
        here
    }

    /// Whether the token here is the operator `text`.
    pub(super) fn at_operator(&self, text: &[u8]) -> bool {
        let here = self.ahead.filter(|token| token.kind == Kind::Operator);
        here.is_some_and(|token| token.text(self.sql()) == text)
    }

    pub(super) fn eat_operator(&mut self, text: &[u8]) -> bool {
        let here = self.at_operator(text);
        if here {
            self.advance();
        }
        here
    }

    /// Goes past a name (`ColId`) and gives it as the server keeps it, but not truncated, with its range.
    pub(super) fn name(&mut self) -> Option<(Vec<u8>, Range<usize>)> {
        let token = self.ahead?;
        let name = match token.kind {
            Kind::Ident => Some(self.dialect().folded(token.text(self.sql()))).filter(|name| is_col_id(name)),
            Kind::QuotedIdent => unquoted(token.text(self.sql())),
            _ => None,
        }?;
        self.advance();
        Some((name, token.start..token.end))
    }

    /// Goes past a parenthesis and all up to its counterpart; false when it does not close.
    pub(super) fn skip_parens(&mut self) -> bool {
        let mut depth = 0_usize;
        while let Some(token) = self.next() {
            match token.kind {
                Kind::LeftParen => depth += 1,
                Kind::RightParen if depth == 1 => return true,
                Kind::RightParen => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        false
    }
}
