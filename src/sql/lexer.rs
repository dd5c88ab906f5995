//! PostgreSQL's tokens over bytes, as its own scanner (`scan.l`) sees them.
//!
//! The scanner decides where strings, comments and statements end, so that a disagreement with the
//! server is a way to smuggle a statement past the proxy. Source: PostgreSQL manual, section 4.1
//! "Lexical Structure", and `src/backend/parser/scan.l`.
//!
//! Bytes are taken as the client sends them, before the server converts them. The [`Dialect`] says which of them belong together,
//! so that this is exact for every text that the server takes. A text that is not valid in its encoding is refused as a whole.

mod numbers;
mod wide;

use memchr::{memchr, memchr2};

use super::bytes::{CLASS, Class, is_digit, is_ident, is_ident_start, is_operator, is_space, is_tag};
use super::dialect::Dialect;

/// What a token is. As wide as an offset: a token without padding is copied in one piece, which is worth
/// a tenth of the time of [`super::summarize`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum Kind {
    /// An unquoted identifier or a keyword.
    Ident,
    /// `"name"`.
    QuotedIdent,
    /// `U&"name"`, whose escapes need the server's encoding (and the `UESCAPE` that may follow).
    UnicodeIdent,
    /// `'text'`. Backslashes escape when `standard_conforming_strings` is off.
    String,
    /// `E'text'`: backslashes escape.
    EscapeString,
    /// `N'text'`.
    NationalString,
    /// `U&'text'`.
    UnicodeString,
    /// `B'01'`.
    BitString,
    /// `X'1F'`.
    HexString,
    /// `$tag$text$tag$`.
    DollarString,
    /// `$1`.
    Param,
    /// A number without point and exponent: `42`, `1_000`, `0x1F`, `0o17`, `0b01`.
    Integer,
    /// A number with a point or an exponent.
    Float,
    /// An operator of one or more characters, other than those below.
    Operator,
    /// `::`
    Typecast,
    /// `:=`
    ColonEquals,
    /// `=>`
    EqualsGreater,
    /// `..`
    DotDot,
    /// `:`
    Colon,
    /// `.`
    Dot,
    /// `,`
    Comma,
    /// `;`
    Semicolon,
    /// `(`
    LeftParen,
    /// `)`
    RightParen,
    /// `[`
    LeftBracket,
    /// `]`
    RightBracket,
    /// `-- text` up to the end of the line, or `/* text */` with what is nested in it.
    Comment,
    /// A string, quoted identifier or comment that the text ends in; PostgreSQL refuses the whole text. Or a string
    /// whose end is not certain. It is always the last token.
    Unterminated,
    /// A byte that begins no token: NUL, `\`, `{`, a lone `$`; PostgreSQL refuses the whole text. Or a word of which it
    /// is not certain that it is one.
    Other,
}

impl Kind {
    /// A value between quotes of any kind.
    pub(super) fn is_quoted_value(self) -> bool {
        matches!(
            self,
            Kind::String
                | Kind::EscapeString
                | Kind::NationalString
                | Kind::UnicodeString
                | Kind::BitString
                | Kind::HexString
                | Kind::DollarString
        )
    }
}

/// One token: `sql[start..end]`. Never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: Kind,
    /// Offset of its first byte.
    pub start: usize,
    /// Offset behind its last byte.
    pub end: usize,
}

impl Token {
    /// Its bytes. `sql` is the text the lexer was made with.
    pub fn text<'a>(&self, sql: &'a [u8]) -> &'a [u8] {
        &sql[self.start..self.end]
    }
}

/// Iterator over the tokens of a text, comments included, white space left out.
///
/// Takes any bytes, never panics, allocates nothing, and its time is linear in the length of the text.
/// The tokens are in order, do not overlap, and leave out nothing but white space.
#[derive(Debug, Clone)]
pub struct Lexer<'a> {
    sql: &'a [u8],
    pos: usize,
    dialect: Dialect,
    run: OperatorRun,
}

/// A run of operator characters, looked at once though it may give many tokens.
#[derive(Debug, Clone, Copy, Default)]
struct OperatorRun {
    /// Where the run ends: at another character or at a comment.
    end: usize,
    /// `end` without the `+` and `-` that may not end a longer operator.
    trimmed: usize,
}

impl<'a> Lexer<'a> {
    /// A lexer at the start of `sql`, which the server reads in `dialect`.
    pub fn new(sql: &'a [u8], dialect: impl Into<Dialect>) -> Lexer<'a> {
        Lexer::at(sql, 0, dialect.into())
    }

    /// A lexer that begins at `pos`, which must be the start of a token.
    pub(super) fn at(sql: &'a [u8], pos: usize, dialect: Dialect) -> Lexer<'a> {
        Lexer { sql, pos, dialect, run: OperatorRun::default() }
    }

    /// How the server reads the text.
    pub(super) fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The text.
    pub(super) fn sql(&self) -> &'a [u8] {
        self.sql
    }

    /// The byte `ahead` of the position; past the end it is NUL, which begins no token either.
    fn peek(&self, ahead: usize) -> u8 {
        self.sql.get(self.pos + ahead).copied().unwrap_or(0)
    }

    fn rest(&self) -> &'a [u8] {
        self.sql.get(self.pos..).unwrap_or_default()
    }

    fn skip_while(&mut self, keep: impl Fn(u8) -> bool) {
        while let Some(&byte) = self.sql.get(self.pos) {
            if !keep(byte) {
                break;
            }
            self.pos += 1;
        }
    }

    fn take(&mut self, count: usize, kind: Kind) -> Kind {
        self.pos += count;
        kind
    }

    /// Goes past one token that starts with `first` and says what it is.
    fn token(&mut self, first: u8) -> Kind {
        match CLASS[first as usize] {
            Class::Letter => self.ident(),
            Class::Prefix => self.prefixed(first),
            Class::Digit => self.number(),
            Class::Quote => self.string(1, !self.dialect.std_strings(), Kind::String),
            Class::DoubleQuote => self.quoted_ident(1, Kind::QuotedIdent),
            Class::Dollar => self.dollar(),
            Class::Operator => self.operator(first),
            Class::Dot => self.dot(),
            Class::Colon => self.colon(),
            Class::Single => self.single(first),
            Class::Other | Class::Space => self.take(1, Kind::Other),
        }
    }

    fn ident(&mut self) -> Kind {
        if self.dialect.is_wide() {
            return self.wide_ident();
        }
        self.skip_while(is_ident);
        Kind::Ident
    }

    /// `E'`, `B'`, `X'`, `N'`, `U&'`, `U&"`, or else an identifier.
    fn prefixed(&mut self, first: u8) -> Kind {
        match (first | 0x20, self.peek(1), self.peek(2)) {
            (b'e', b'\'', _) => self.string(2, true, Kind::EscapeString),
            (b'b', b'\'', _) => self.bit_string(Kind::BitString),
            (b'x', b'\'', _) => self.bit_string(Kind::HexString),
            (b'n', b'\'', _) => self.string(2, !self.dialect.std_strings(), Kind::NationalString),
            (b'u', b'&', b'\'') => self.string(3, false, Kind::UnicodeString),
            (b'u', b'&', b'"') => self.quoted_ident(3, Kind::UnicodeIdent),
            _ => self.ident(),
        }
    }

    fn single(&mut self, first: u8) -> Kind {
        let kind = match first {
            b',' => Kind::Comma,
            b'(' => Kind::LeftParen,
            b')' => Kind::RightParen,
            b'[' => Kind::LeftBracket,
            b']' => Kind::RightBracket,
            _ => Kind::Semicolon,
        };
        self.take(1, kind)
    }

    fn dot(&mut self) -> Kind {
        match self.peek(1) {
            b'.' => self.take(2, Kind::DotDot),
            digit if is_digit(digit) => self.fraction(),
            _ => self.take(1, Kind::Dot),
        }
    }

    fn colon(&mut self) -> Kind {
        match self.peek(1) {
            b':' => self.take(2, Kind::Typecast),
            b'=' => self.take(2, Kind::ColonEquals),
            _ => self.take(1, Kind::Colon),
        }
    }
}

impl Iterator for Lexer<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        self.skip_while(is_space);
        let start = self.pos;
        let first = *self.sql.get(start)?;
        let kind = self.token(first);
        Some(Token { kind, start, end: self.pos })
    }
}

/// Strings and quoted identifiers.
impl Lexer<'_> {
    fn unterminated(&mut self) -> Kind {
        self.pos = self.sql.len();
        Kind::Unterminated
    }

    /// A string behind `open` bytes of opening: up to a quote that is neither doubled nor continued.
    fn string(&mut self, open: usize, escapes: bool, kind: Kind) -> Kind {
        self.pos += open;
        while self.past_quote(escapes) {
            if self.peek(0) == b'\'' {
                self.pos += 1;
            } else if !self.past_continuation() {
                return kind;
            }
        }
        self.unterminated()
    }

    /// A bit string, in which a doubled quote is the end and the start of another string.
    fn bit_string(&mut self, kind: Kind) -> Kind {
        self.pos += 2;
        while self.past_quote(false) {
            if !self.past_continuation() {
                return kind;
            }
        }
        self.unterminated()
    }

    /// Goes behind the next quote that no backslash escapes; false when there is none.
    fn past_quote(&mut self, escapes: bool) -> bool {
        if !escapes {
            return self.past_byte(b'\'');
        }
        if self.dialect.is_wide() {
            return self.past_wide_quote();
        }
        while let Some(at) = memchr2(b'\'', b'\\', self.rest()) {
            self.pos += at + 1;
            if self.sql[self.pos - 1] == b'\'' {
                return true;
            }
            self.pos += 1;
        }
        false
    }

    fn past_byte(&mut self, byte: u8) -> bool {
        let found = memchr(byte, self.rest());
        self.pos += found.map_or(0, |at| at + 1);
        found.is_some()
    }

    /// `'a'` newline `'b'` is one string. Goes behind the second opening quote if there is one.
    fn past_continuation(&mut self) -> bool {
        let (mut at, mut newline) = (self.pos, false);
        while let Some(&byte) = self.sql.get(at) {
            match byte {
                b'\'' if newline => {
                    self.pos = at + 1;
                    return true;
                }
                b'-' if self.sql.get(at + 1) == Some(&b'-') => at = line_end(self.sql, at),
                _ if is_space(byte) => {
                    newline |= is_newline(byte);
                    at += 1;
                }
                _ => return false,
            }
        }
        false
    }

    fn quoted_ident(&mut self, open: usize, kind: Kind) -> Kind {
        self.pos += open;
        while self.past_byte(b'"') {
            if self.peek(0) != b'"' {
                return kind;
            }
            self.pos += 1;
        }
        self.unterminated()
    }

    /// `$1`, `$tag$text$tag$`, or a lone `$`.
    fn dollar(&mut self) -> Kind {
        let start = self.pos;
        self.pos += 1;
        if is_digit(self.peek(0)) {
            self.skip_while(is_digit);
            return Kind::Param;
        }
        if is_ident_start(self.peek(0)) {
            self.tag();
        }
        if self.peek(0) != b'$' {
            self.pos = start + 1;
            return Kind::Other;
        }
        self.pos += 1;
        self.dollar_string(start)
    }

    fn tag(&mut self) {
        if self.dialect.is_wide() {
            return self.wide_tag();
        }
        self.skip_while(is_tag);
    }

    /// From behind the opening delimiter, which begins at `start`, to the first equal one.
    fn dollar_string(&mut self, start: usize) -> Kind {
        let delimiter = &self.sql[start..self.pos];
        while let Some(at) = memchr(b'$', self.rest()) {
            self.pos += at;
            if self.rest().starts_with(delimiter) {
                return self.take(delimiter.len(), Kind::DollarString);
            }
            self.pos += 1;
        }
        self.unterminated()
    }
}

/// Operators and comments.
impl Lexer<'_> {
    fn operator(&mut self, first: u8) -> Kind {
        match (first, self.peek(1)) {
            (b'-', b'-') => self.line_comment(),
            (b'/', b'*') => self.block_comment(),
            _ => self.plain_operator(),
        }
    }

    fn plain_operator(&mut self) -> Kind {
        let start = self.pos;
        if start >= self.run.end {
            self.run = operator_run(self.sql, start);
        }
        self.pos = self.run.trimmed.max(start + 1);
        match &self.sql[start..self.pos] {
            b"=>" => Kind::EqualsGreater,
            _ => Kind::Operator,
        }
    }

    fn line_comment(&mut self) -> Kind {
        self.pos = line_end(self.sql, self.pos);
        Kind::Comment
    }

    fn block_comment(&mut self) -> Kind {
        let mut depth = 0_usize;
        while let Some(at) = memchr2(b'*', b'/', self.rest()) {
            self.pos += at;
            match (self.peek(0), self.peek(1)) {
                (b'/', b'*') => depth += 1,
                (b'*', b'/') => depth -= 1,
                _ => {
                    self.pos += 1;
                    continue;
                }
            }
            self.pos += 2;
            if depth == 0 {
                return Kind::Comment;
            }
        }
        self.unterminated()
    }
}

fn is_newline(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

fn line_end(sql: &[u8], from: usize) -> usize {
    memchr2(b'\n', b'\r', &sql[from..]).map_or(sql.len(), |at| from + at)
}

/// The operator characters from `start` on, up to a comment. So that `a=-1` works as in the standard,
/// an operator does not end in `+` or `-` unless it has a character no standard operator has.
fn operator_run(sql: &[u8], start: usize) -> OperatorRun {
    let mut end = start;
    while end < sql.len() && is_operator(sql[end]) && !starts_comment(&sql[end..]) {
        end += 1;
    }
    let run = &sql[start..end];
    let trimmed = match run.iter().any(|byte| b"~!@#^&|`?%".contains(byte)) {
        true => end,
        false => end - run.iter().rev().take_while(|byte| b"+-".contains(byte)).count(),
    };
    OperatorRun { end, trimmed }
}

fn starts_comment(rest: &[u8]) -> bool {
    rest.starts_with(b"--") || rest.starts_with(b"/*")
}
