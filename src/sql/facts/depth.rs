//! How deep the tree of a statement would be, found before there is one.
//!
//! sqlparser bounds how deep it calls itself. It does not bound chains, which it builds in a loop: `a OR b OR ...` is a tree as deep
//! as it is long, and dropping it takes as much of the stack.

use crate::sql::lexer::{Kind, Token};
use crate::sql::words::Word;

/// How many parentheses may be open. sqlparser goes back and tries again behind some, so that each may double the time.
const NESTED: usize = 40;
/// How deep a tree may be.
const DEEPEST: usize = 400;

/// How many joins may wait for their condition: in `a JOIN b JOIN c ON ... ON ...` sqlparser calls itself for each, and does not count.
/// CROSS and NATURAL joins never have one.
const WAITING: usize = 50;

/// The walk over the tokens.
#[derive(Debug, Default)]
pub(super) struct Depth {
    /// One for each open parenthesis: how deep the list before it is.
    open: Vec<Level>,
    level: Level,
    waiting: usize,
}

#[derive(Debug, Default, Clone, Copy)]
struct Level {
    /// Of the element so far.
    current: usize,
    /// Of the deepest element.
    deepest: usize,
    /// How many set operations there are; a comma does not end them.
    sets: usize,
}

impl Depth {
    /// `None` as soon as it is too deep.
    pub(super) fn token(&mut self, token: Token, sql: &[u8]) -> Option<()> {
        match token.kind {
            Kind::LeftParen | Kind::LeftBracket => self.open.push(std::mem::take(&mut self.level)),
            Kind::RightParen | Kind::RightBracket => self.close(),
            Kind::Comma => self.level.end_element(),
            Kind::Ident => self.word(Word::folded(token.text(sql)).as_bytes()),
            Kind::Operator | Kind::Typecast | Kind::Colon => self.level.current += 1,
            _ => {}
        }
        let deep = self.level.depth() > DEEPEST || self.open.len() > NESTED || self.waiting > WAITING;
        (!deep).then_some(())
    }

    fn word(&mut self, word: &[u8]) {
        match word {
            b"union" | b"intersect" | b"except" => self.level.sets += 1,
            b"join" => self.waiting += 1,
            b"on" | b"using" => self.waiting = self.waiting.saturating_sub(1),
            _ if deepens(word) => self.level.current += 1,
            _ => {}
        }
    }

    fn close(&mut self) {
        let inner = self.level.depth();
        self.level = self.open.pop().unwrap_or_default();
        self.level.current = self.level.current.max(inner) + 1;
    }
}

impl Level {
    fn depth(self) -> usize {
        self.current.max(self.deepest) + self.sets
    }

    fn end_element(&mut self) {
        self.deepest = self.deepest.max(self.current);
        self.current = 0;
    }
}

/// Words that put what stands before them one level down.
fn deepens(word: &[u8]) -> bool {
    matches!(
        word,
        b"and"
            | b"or"
            | b"not"
            | b"is"
            | b"isnull"
            | b"notnull"
            | b"in"
            | b"like"
            | b"ilike"
            | b"similar"
            | b"between"
            | b"collate"
            | b"at"
            | b"overlaps"
            | b"operator"
            | b"case"
    )
}
