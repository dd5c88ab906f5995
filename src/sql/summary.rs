//! A text as statements, and what they may do to the session.

use std::ops::Range;

use super::cursor::Cursor;
use super::detail::{Detail, read};
use super::dialect::Dialect;
use super::effects::Effects;
use super::lexer::{Kind, Lexer, Token};
use super::mentions::token_effects;
use super::utility::is_dropped_at_commit;
use super::verb::Verb;
use super::words::{Word, is_word};

/// What a text does, as far as the text says it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Summary {
    /// Its statements in order; empty ones, which PostgreSQL skips, are left out.
    pub statements: Vec<Statement>,
    /// The effects of all of them.
    pub effects: Effects,
}

/// One statement of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Where it stands: from its first token to its last, without comments around it and the semicolon.
    pub range: Range<usize>,
    /// Its command.
    pub verb: Verb,
    /// What it may do to the session. For a PREPARE that includes what the prepared statement would do.
    pub effects: Effects,
    /// Its operands, if it has such that matter.
    pub detail: Detail,
}

/// Splits a text at its semicolons and says what each statement may do to the session.
///
/// `dialect` is how the server reads at the time: PostgreSQL scans a text as a whole before it runs any of
/// it. For text that PostgreSQL refuses the answer is only safe, not right. Any bytes are taken. Time is
/// linear in the length of the text. Sources: PostgreSQL manual, section 4.1 and part VI, `gram.y`.
pub fn summarize(sql: &[u8], dialect: impl Into<Dialect>) -> Summary {
    summary_of(sql, dialect.into())
}

fn summary_of(sql: &[u8], dialect: Dialect) -> Summary {
    let mut splitter = Splitter::new(sql, dialect);
    while let Some(token) = splitter.lexer.next() {
        splitter.token(token);
    }
    splitter.finish()
}

/// The walk over the tokens.
struct Splitter<'a> {
    lexer: Lexer<'a>,
    summary: Summary,
    open: Open,
}

/// The statement being read.
#[derive(Default)]
struct Open {
    /// From its first token to the last one so far; empty before the first.
    range: Range<usize>,
    verb: Verb,
    effects: Effects,
    /// Unquoted identifiers and keywords so far.
    words: usize,
    /// The last two tokens, the nearest last.
    before: [Option<Token>; 2],
    /// Open parentheses.
    parens: usize,
    /// CREATE [OR REPLACE] FUNCTION or PROCEDURE or RULE: semicolons inside may belong to it.
    object: Object,
    /// Open BEGIN ATOMIC and CASE in the body of a function.
    blocks: usize,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Object {
    #[default]
    Any,
    Routine,
    Rule,
}

impl<'a> Splitter<'a> {
    fn new(sql: &'a [u8], dialect: Dialect) -> Splitter<'a> {
        Splitter { lexer: Lexer::new(sql, dialect), summary: Summary::default(), open: Open::default() }
    }

    fn token(&mut self, token: Token) {
        match token.kind {
            Kind::Comment => return,
            Kind::Semicolon if self.open.is_complete() => return self.close(),
            _ => self.open.extend(token),
        }
        let effects = token_effects::<false>(token, &self.open.before, &self.lexer);
        self.open.effects |= effects;
        if token.kind == Kind::Ident {
            self.open.word(token, self.lexer.sql());
        }
        self.open.before = [self.open.before[1], Some(token)];
    }

    /// Puts the open statement on the list and starts afresh.
    fn close(&mut self) {
        let open = std::mem::take(&mut self.open);
        if !open.range.is_empty() {
            let statement = open.statement(self.lexer.sql(), self.lexer.dialect());
            self.summary.effects |= statement.effects;
            self.summary.statements.push(statement);
        }
    }

    fn finish(mut self) -> Summary {
        if !self.open.is_complete() {
            self.open.effects |= Effects::OPAQUE;
        }
        self.close();
        self.summary
    }
}

impl Open {
    /// Whether a semicolon here ends the statement.
    fn is_complete(&self) -> bool {
        self.parens == 0 && self.blocks == 0
    }

    #[inline]
    fn extend(&mut self, token: Token) {
        if self.range.is_empty() {
            self.range.start = token.start;
        }
        self.range.end = token.end;
        match token.kind {
            Kind::LeftParen => self.parens += 1,
            Kind::RightParen if self.parens > 0 => self.parens -= 1,
            Kind::RightParen => self.effects |= Effects::OPAQUE,
            Kind::Semicolon if self.blocks == 0 && self.object != Object::Rule => {
                self.effects |= Effects::OPAQUE;
            }
            _ => {}
        }
    }

    #[inline]
    fn word(&mut self, token: Token, sql: &[u8]) {
        self.words += 1;
        if self.words == 1 {
            self.verb = Verb::of(Word::name(token, sql).as_bytes());
        } else if self.object == Object::Routine {
            self.block(token, sql);
        } else if self.verb == Verb::Create && self.words <= 4 {
            self.created(token, sql);
        }
    }

    /// The second word of a CREATE, or the one behind OR REPLACE, says what is created.
    fn created(&mut self, token: Token, sql: &[u8]) {
        if self.words != 2 && !(self.words == 4 && is_word(self.before[1], sql, b"replace")) {
            return;
        }
        self.object = match Word::name(token, sql).as_bytes() {
            b"function" | b"procedure" => Object::Routine,
            b"rule" => Object::Rule,
            _ => Object::Any,
        };
    }

    /// Counts the BEGIN ATOMIC, CASE and END of a function's body. CASE and END are reserved: they are
    /// names only behind AS or a point.
    fn block(&mut self, token: Token, sql: &[u8]) {
        let word = Word::name(token, sql);
        match word.as_bytes() {
            b"atomic" if is_word(self.before[1], sql, b"begin") => self.begin_atomic(),
            b"case" | b"end" if self.blocks == 0 || self.is_label(sql) => {}
            b"case" => self.blocks += 1,
            b"end" => self.blocks -= 1,
            _ => {}
        }
    }

    fn begin_atomic(&mut self) {
        if self.blocks > 0 {
            self.effects |= Effects::OPAQUE;
        }
        if self.blocks > 0 || self.parens == 0 {
            self.blocks += 1;
        }
    }

    fn is_label(&self, sql: &[u8]) -> bool {
        let dotted = self.before[1].is_some_and(|token| token.kind == Kind::Dot);
        dotted || is_word(self.before[1], sql, b"as")
    }

    fn statement(self, sql: &[u8], dialect: Dialect) -> Statement {
        let mut statement =
            Statement { range: self.range, verb: self.verb, effects: self.effects, detail: Detail::None };
        if self.words == 0 {
            statement.effects |= Effects::OPAQUE;
        } else if !self.verb.is_plain() {
            statement.read(sql, dialect);
        }
        if self.verb == Verb::Create && self.effects.contains(Effects::TEMP) {
            statement.note_dropped(sql, dialect);
        }
        statement.add_hidden_temp(sql);
        statement
    }
}

impl Statement {
    fn read(&mut self, sql: &[u8], dialect: Dialect) {
        let reading = read(self.verb, Cursor::new(sql, self.range.clone(), dialect));
        self.verb = reading.verb;
        self.effects |= reading.effects;
        self.detail = reading.detail;
    }

    /// A temporary table, and nothing else temporary, may be gone when the transaction ends.
    #[cold]
    fn note_dropped(&mut self, sql: &[u8], dialect: Dialect) {
        let once = || self.temporary(sql, dialect) == 1;
        if is_dropped_at_commit(Cursor::new(sql, self.range.clone(), dialect)) && once() {
            self.effects = self.effects.without(Effects::TEMP) | Effects::TEMP_OF_TX;
        }
    }

    /// How many words may say that something is temporary.
    fn temporary(&self, sql: &[u8], dialect: Dialect) -> usize {
        let says = |token: &Token| {
            let word = Word::name(*token, sql);
            matches!(word.as_bytes(), b"temp" | b"temporary") || word.as_bytes().starts_with(b"pg_temp")
        };
        Lexer::at(&sql[..self.range.end], self.range.start, dialect).filter(says).count()
    }

    /// A search path that names the temporary schema, in a string too, makes later objects temporary.
    fn add_hidden_temp(&mut self, sql: &[u8]) {
        let sets = self.effects.intersects(Effects::SETTING | Effects::SET_LOCAL);
        let text = &sql[self.range.clone()];
        if sets && text.windows(7).any(|window| window.eq_ignore_ascii_case(b"pg_temp")) {
            self.effects |= Effects::TEMP;
        }
    }
}
