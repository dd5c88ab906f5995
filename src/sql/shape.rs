//! The shape of a text: what is left of it when literals, comments and white space are folded away, and its name.
//!
//! Statements that differ only in values have one shape, so whatever is found out about a shape (what it reads, where it goes, how long it
//! takes) is found out once. Lists of values whose length says nothing are folded too: equal neighbours in `IN (...)`, in `ARRAY[...]`,
//! and equal rows behind VALUES.

mod fast;
mod kept;
mod lists;

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use xxhash_rust::xxh3::xxh3_128;

pub use self::kept::{numbered, without_values};
use self::lists::Lists;
use super::dialect::Dialect;
use super::keywords::is_reserved;
use super::lexer::{Kind, Lexer, Token};
use super::words::{Word, is_word};

/// The name of a shape: the same in every process and version that folds alike. Written as 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub u128);

impl fmt::Display for Fingerprint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:032x}", self.0)
    }
}

impl FromStr for Fingerprint {
    type Err = BadFingerprint;

    fn from_str(text: &str) -> Result<Fingerprint, BadFingerprint> {
        let digits = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let parsed = digits.then(|| u128::from_str_radix(text, 16).ok()).flatten();
        parsed.map(Fingerprint).ok_or(BadFingerprint)
    }
}

/// Not 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint has 32 hexadecimal digits")]
pub struct BadFingerprint;

/// A value that a shape does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Literal {
    /// Where it stands in the text: the token, and a sign that belongs to it.
    pub range: Range<usize>,
    /// What it is.
    pub value: Value,
    /// The `?` of the shape that stands for it, counted from 0. In a folded list several literals have the same.
    pub place: usize,
}

/// Kinds of literals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    /// A string of any kind.
    String,
    /// A number.
    Number,
    /// `$n`.
    Parameter(u16),
}

/// A text without what makes it one of many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// The canonical text: words in lower case, one blank where tokens need one, `?` for literals.
    pub text: Vec<u8>,
    /// Its name.
    pub fingerprint: Fingerprint,
    /// What was folded into the `?`, in the order of the text.
    pub literals: Vec<Literal>,
    /// Where comments stand that are hints: `/*+ ... */`.
    pub hints: Vec<Range<usize>>,
}

impl Shape {
    fn of(mut text: Vec<u8>, literals: Vec<Literal>, hints: Vec<Range<usize>>) -> Shape {
        // What ends the last statement is no part of it.
        while text.last() == Some(&b';') {
            text.pop();
        }
        let fingerprint = Fingerprint(xxh3_128(&text));
        Shape { text, fingerprint, literals, hints }
    }
}

/// The shape of a text that is read in `dialect`.
///
/// Takes any bytes, also such as PostgreSQL refuses. Two texts of one shape have the same statements, verbs, names and operators, each
/// word in the place of an equal word; they differ in a `;` at the end, in literals, in the length of folded lists, in comments and white space. Time and memory are linear in the length of the
/// text. The fingerprint is XXH3-128 of the canonical text.
pub fn shape(sql: &[u8], dialect: impl Into<Dialect>) -> Shape {
    let dialect = dialect.into();
    if dialect.std_strings() && !dialect.is_wide() {
        let mut walk = fast::Walk::new(sql);
        if walk.run().is_some() {
            return Shape::of(walk.out, walk.literals, vec![]);
        }
    }
    over_tokens(sql, dialect)
}

fn over_tokens(sql: &[u8], dialect: Dialect) -> Shape {
    let mut folding = Folding::new(sql, dialect);
    Lexer::new(sql, dialect).for_each(|token| folding.token(token));
    folding.finish()
}

/// The walk over the tokens.
struct Folding<'a> {
    sql: &'a [u8],
    dialect: Dialect,
    out: Vec<u8>,
    literals: Vec<Literal>,
    hints: Vec<Range<usize>>,
    places: usize,
    lists: Lists,
    /// The last token.
    before: Option<Token>,
    /// A sign that may belong to the number behind it.
    sign: Option<Sign>,
}

/// `+` or `-` where no value stands before it.
struct Sign {
    start: usize,
    /// How long the canonical text was before it, and the token there.
    length: usize,
    before: Option<Token>,
}

impl<'a> Folding<'a> {
    fn new(sql: &'a [u8], dialect: Dialect) -> Folding<'a> {
        Folding {
            sql,
            dialect,
            out: Vec::with_capacity(sql.len()),
            literals: vec![],
            hints: vec![],
            places: 0,
            lists: Lists::default(),
            before: None,
            sign: None,
        }
    }

    fn token(&mut self, token: Token) {
        match token.kind {
            Kind::Comment => return self.comment(token),
            kind if kind.is_quoted_value() && !is_word(self.before, self.sql, b"uescape") => {
                self.literal(token, Value::String);
            }
            Kind::Integer | Kind::Float => self.literal(token, Value::Number),
            Kind::Param => self.parameter(token),
            Kind::Ident => self.word(token),
            Kind::Operator => self.operator(token),
            Kind::LeftParen | Kind::LeftBracket => self.open(token),
            Kind::RightParen | Kind::RightBracket => self.close(token),
            Kind::Comma => self.comma(token),
            Kind::Unterminated | Kind::Other => {
                // So that no text which PostgreSQL takes has this shape.
                self.out.push(0);
                self.verbatim(token);
            }
            _ => self.verbatim(token),
        }
        if token.kind != Kind::Operator {
            self.sign = None;
        }
        self.before = Some(token);
    }

    fn comment(&mut self, token: Token) {
        if token.text(self.sql).starts_with(b"/*+") {
            self.hints.push(token.start..token.end);
        }
    }

    fn literal(&mut self, token: Token, value: Value) {
        let mut start = token.start;
        if let (Some(sign), Value::Number) = (self.sign.take(), value) {
            start = sign.start;
            self.out.truncate(sign.length);
            self.before = sign.before;
        }
        self.blank(token);
        self.out.push(b'?');
        self.literals.push(Literal { range: start..token.end, value, place: self.places });
        self.places += 1;
    }

    fn parameter(&mut self, token: Token) {
        let digits = std::str::from_utf8(&token.text(self.sql)[1..]).ok();
        // PostgreSQL knows no more than 65,535.
        match digits.and_then(|digits| digits.parse().ok()) {
            Some(number) => self.literal(token, Value::Parameter(number)),
            None => self.verbatim(token),
        }
    }

    fn word(&mut self, token: Token) {
        self.blank(token);
        let start = self.out.len();
        self.out.extend_from_slice(token.text(self.sql));
        if self.dialect.is_wide() {
            let folded = self.dialect.folded(token.text(self.sql));
            self.out.splice(start.., folded);
        } else {
            self.out[start..].make_ascii_lowercase();
        }
    }

    fn operator(&mut self, token: Token) {
        let (length, before) = (self.out.len(), self.before);
        let text = token.text(self.sql);
        if text == b"?" {
            // Not to be taken for a literal.
            self.blank(token);
            self.out.extend_from_slice(b"operator(?)");
        } else {
            self.verbatim(token);
        }
        let signs = matches!(text, b"-" | b"+") && !self.follows_a_value();
        self.sign = signs.then_some(Sign { start: token.start, length, before });
    }

    /// Whether an operator here stands behind a value, so that it takes two.
    fn follows_a_value(&self) -> bool {
        let Some(before) = self.before else { return false };
        match before.kind {
            Kind::Ident => {
                let word = Word::folded(before.text(self.sql));
                !is_reserved(word.as_bytes()) || ends_a_value(word.as_bytes())
            }
            Kind::Operator | Kind::LeftParen | Kind::LeftBracket | Kind::Comma | Kind::Semicolon => false,
            Kind::Typecast | Kind::ColonEquals | Kind::EqualsGreater | Kind::Colon => false,
            _ => true,
        }
    }

    fn open(&mut self, token: Token) {
        let folds = self.before.is_some_and(|before| match token.kind {
            Kind::LeftParen => is_word(Some(before), self.sql, b"in"),
            _ => is_word(Some(before), self.sql, b"array"),
        });
        let values = is_word(self.before, self.sql, b"values");
        let behind_comma = self.before.is_some_and(|before| before.kind == Kind::Comma);
        self.verbatim(token);
        self.lists.open(&self.out, self.places, lists::Opens { folds, values, behind_comma });
    }

    fn close(&mut self, token: Token) {
        let folded = self.lists.element(&mut self.out, self.places);
        self.take_back(folded);
        self.verbatim(token);
        let folded = self.lists.close(&mut self.out, self.places);
        self.take_back(folded);
    }

    fn comma(&mut self, token: Token) {
        let folded = self.lists.element(&mut self.out, self.places);
        self.take_back(folded);
        self.verbatim(token);
        self.lists.next(&self.out, self.places);
    }

    fn take_back(&mut self, folded: usize) {
        take_back(&mut self.literals, &mut self.places, folded);
    }

    fn verbatim(&mut self, token: Token) {
        self.blank(token);
        self.out.extend_from_slice(token.text(self.sql));
    }

    /// One blank between tokens, but where nobody would write one.
    fn blank(&mut self, token: Token) {
        let Some(before) = self.before else { return };
        let tight_behind =
            matches!(before.kind, Kind::Dot | Kind::LeftParen | Kind::LeftBracket | Kind::Typecast);
        let tight = match token.kind {
            Kind::Dot | Kind::Comma | Kind::Semicolon | Kind::RightParen | Kind::RightBracket => true,
            Kind::Typecast | Kind::LeftBracket => before.kind != Kind::Operator,
            Kind::LeftParen => before.kind == Kind::Ident && !self.follows_keyword(before),
            _ => false,
        };
        // `..` is another token.
        let dots = [token.kind, before.kind].iter().all(|kind| matches!(kind, Kind::Dot | Kind::DotDot));
        if dots || !tight && !tight_behind {
            self.out.push(b' ');
        }
    }

    fn follows_keyword(&self, before: Token) -> bool {
        let word = Word::folded(before.text(self.sql));
        is_reserved(word.as_bytes()) || word.as_bytes() == b"values"
    }

    fn finish(self) -> Shape {
        Shape::of(self.out, self.literals, self.hints)
    }
}

/// The last literals stand for what others stand for already: as many places back.
fn take_back(literals: &mut [Literal], places: &mut usize, folded: usize) {
    if folded > 0 {
        let last = literals.iter_mut().rev().take_while(|one| one.place + folded >= *places);
        last.for_each(|one| one.place -= folded);
        *places -= folded;
    }
}

/// Reserved words that are values, or end one.
fn ends_a_value(word: &[u8]) -> bool {
    word.starts_with(b"current_")
        || matches!(
            word,
            b"end"
                | b"null"
                | b"true"
                | b"false"
                | b"user"
                | b"session_user"
                | b"localtime"
                | b"localtimestamp"
        )
}

/// Both ways of finding a shape, where both can be gone, for tests.
#[cfg(test)]
pub(super) fn both_ways(sql: &[u8]) -> (Option<Shape>, Shape) {
    let mut walk = fast::Walk::new(sql);
    let fast = walk.run().map(|()| Shape::of(walk.out, walk.literals, vec![]));
    (fast, over_tokens(sql, true.into()))
}
