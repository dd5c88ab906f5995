//! A statement as tokens of sqlparser: where tokens end our [`Lexer`] says, as everywhere else, so that the two cannot disagree.
//!
//! A token's place in the text goes along as the column of its span, by which literals are found again. What a string says
//! is left out for facts, since a shape does not have it either. Names come folded, cut and without quotes.

use std::ops::Range;

use sqlparser::tokenizer::{Location, Span, Token as Parsed, TokenWithSpan};

use super::depth::Depth;
use crate::sql::dialect::Dialect;
use crate::sql::lexer::{Kind, Lexer, Token};
use crate::sql::text::{string_value, unquoted};
use crate::sql::words::is_word;

/// The longest name there is, in bytes (`NAMEDATALEN`); what is longer is cut.
const LONGEST: usize = 63;

/// What becomes of what a string says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strings {
    /// It is left out.
    Empty,
    /// It is kept; there are no tokens where it takes more than the text to know it, and for strings of bits.
    Kept,
}

/// The tokens of `sql[range]` and a semicolon behind them.
///
/// `None` where they have no counterpart, where their tree would be too deep, and where a name is no UTF-8.
pub(super) fn tokens(
    sql: &[u8],
    range: Range<usize>,
    dialect: Dialect,
    strings: Strings,
) -> Option<Vec<TokenWithSpan>> {
    // sqlparser knows no characters but UTF-8; where a byte may be a part of a longer character, none can be taken for itself.
    if dialect.is_wide() {
        return None;
    }
    let end = range.end;
    let mut depth = Depth::default();
    let mut read = Vec::with_capacity((end - range.start) / 4 + 2);
    for token in Lexer::at(&sql[..end], range.start, dialect).filter(|token| token.kind != Kind::Comment) {
        depth.token(token, sql)?;
        read.push(token);
    }
    let mut converted = Vec::with_capacity(read.len() + 4);
    let mut at = 0;
    while let Some(&token) = read.get(at) {
        let before = at.checked_sub(1).map(|before| read[before]);
        match phrase(&read[at..], before, sql) {
            Some(Phrase::LeftOut(length)) => at += length,
            Some(Phrase::Table) => {
                let select =
                    [Parsed::make_word("select", None), Parsed::Mul, Parsed::make_word("from", None)];
                converted.extend(select.map(|one| placed(one, token.start)));
                at += 1;
            }
            None => {
                let parsed = match strings {
                    Strings::Kept if token.kind.is_quoted_value() => kept(token, sql, dialect)?,
                    _ => convert(token, sql)?,
                };
                converted.push(placed(parsed, token.start));
                at += 1;
            }
        }
    }
    converted.push(placed(Parsed::SemiColon, end));
    Some(converted)
}

/// The place in the text that a span stands for.
pub(super) fn place_of(span: Span) -> Option<usize> {
    usize::try_from(span.start.column).ok()?.checked_sub(1)
}

fn placed(token: Parsed, offset: usize) -> TokenWithSpan {
    let location = Location { line: 1, column: offset as u64 + 1 };
    TokenWithSpan { token, span: Span { start: location, end: location } }
}

/// Words that sqlparser does not know or takes for something else, and that say nothing of what is looked for.
enum Phrase {
    /// So many tokens.
    LeftOut(usize),
    /// `TABLE` in `TABLE t`, which is `SELECT * FROM`.
    Table,
}

/// What stands at the beginning of `rest` and behind `before`.
fn phrase(rest: &[Token], before: Option<Token>, sql: &[u8]) -> Option<Phrase> {
    if rest[0].kind != Kind::Ident {
        return None;
    }
    let is = |at: usize, word: &[u8]| is_word(rest.get(at).copied(), sql, word);
    let behind = |words: &[&[u8]]| words.iter().any(|word| is_word(before, sql, word));
    match rest[0].text(sql)[0].to_ascii_lowercase() {
        // Before a table's name; reserved, so that it stands nowhere else.
        b'o' if is(0, b"only") && !behind(&[b"row", b"rows", b"read"]) => Some(Phrase::LeftOut(1)),
        b'o' if is(0, b"overriding") && (is(1, b"user") || is(1, b"system")) && is(2, b"value") => {
            Some(Phrase::LeftOut(3))
        }
        b'v' if is(0, b"variadic") => Some(Phrase::LeftOut(1)),
        b'n' if is(0, b"no") && is(1, b"key") && is(2, b"update") && behind(&[b"for"]) => {
            Some(Phrase::LeftOut(2))
        }
        b'k' if is(0, b"key") && is(1, b"share") && behind(&[b"for"]) => Some(Phrase::LeftOut(1)),
        b'e' if is(0, b"exclude") && behind(&[b"row", b"preceding", b"following"]) => {
            Some(Phrase::LeftOut(if is(1, b"current") || is(1, b"no") { 3 } else { 2 }))
        }
        b't' if is(0, b"table") && begins_a_query(before, sql) => Some(Phrase::Table),
        _ => None,
    }
}

fn begins_a_query(before: Option<Token>, sql: &[u8]) -> bool {
    let words = [&b"union"[..], b"except", b"intersect", b"all", b"distinct", b"as", b"explain"];
    before.is_none_or(|token| {
        token.kind == Kind::LeftParen || words.iter().any(|word| is_word(Some(token), sql, word))
    })
}

fn convert(token: Token, sql: &[u8]) -> Option<Parsed> {
    let text = token.text(sql);
    Some(match token.kind {
        Kind::Ident => Parsed::make_word(&cut(text)?.to_ascii_lowercase(), None),
        Kind::QuotedIdent => Parsed::make_word(cut(&unquoted(text)?)?, Some('"')),
        Kind::String | Kind::EscapeString | Kind::NationalString | Kind::UnicodeString => string(),
        Kind::BitString | Kind::HexString | Kind::DollarString => string(),
        Kind::Param => Parsed::Placeholder(ascii(text)?.to_owned()),
        Kind::Integer | Kind::Float => Parsed::Number(ascii(text)?.to_owned(), false),
        Kind::Operator => operator(ascii(text)?),
        Kind::Typecast => Parsed::DoubleColon,
        Kind::ColonEquals => Parsed::Assignment,
        Kind::EqualsGreater => Parsed::RArrow,
        Kind::Colon => Parsed::Colon,
        Kind::Dot => Parsed::Period,
        Kind::Comma => Parsed::Comma,
        Kind::Semicolon => Parsed::SemiColon,
        Kind::LeftParen => Parsed::LParen,
        Kind::RightParen => Parsed::RParen,
        Kind::LeftBracket => Parsed::LBracket,
        Kind::RightBracket => Parsed::RBracket,
        Kind::UnicodeIdent | Kind::DotDot | Kind::Comment | Kind::Unterminated | Kind::Other => return None,
    })
}

fn kept(token: Token, sql: &[u8], dialect: Dialect) -> Option<Parsed> {
    Some(Parsed::SingleQuotedString(String::from_utf8(string_value(token, sql, dialect)?).ok()?))
}

fn string() -> Parsed {
    Parsed::SingleQuotedString(String::new())
}

fn ascii(text: &[u8]) -> Option<&str> {
    std::str::from_utf8(text).ok()
}

/// A name of at most [`LONGEST`] bytes, cut where a character ends.
fn cut(name: &[u8]) -> Option<&str> {
    let name = std::str::from_utf8(name).ok()?;
    (0..=LONGEST.min(name.len())).rev().find_map(|end| name.get(..end))
}

fn operator(text: &str) -> Parsed {
    let found = OPERATORS.iter().find(|(name, _)| *name == text);
    found.map_or_else(|| Parsed::CustomBinaryOperator(text.to_owned()), |(_, token)| token.clone())
}

/// The operators that sqlparser has tokens for, the most frequent first.
static OPERATORS: &[(&str, Parsed)] = &[
    ("=", Parsed::Eq),
    ("<", Parsed::Lt),
    (">", Parsed::Gt),
    ("<=", Parsed::LtEq),
    (">=", Parsed::GtEq),
    ("<>", Parsed::Neq),
    ("!=", Parsed::Neq),
    ("+", Parsed::Plus),
    ("-", Parsed::Minus),
    ("*", Parsed::Mul),
    ("/", Parsed::Div),
    ("%", Parsed::Mod),
    ("||", Parsed::StringConcat),
    ("->", Parsed::Arrow),
    ("->>", Parsed::LongArrow),
    ("#>", Parsed::HashArrow),
    ("#>>", Parsed::HashLongArrow),
    ("@>", Parsed::AtArrow),
    ("<@", Parsed::ArrowAt),
    ("~", Parsed::Tilde),
    ("~*", Parsed::TildeAsterisk),
    ("!~", Parsed::ExclamationMarkTilde),
    ("!~*", Parsed::ExclamationMarkTildeAsterisk),
    ("~~", Parsed::DoubleTilde),
    ("~~*", Parsed::DoubleTildeAsterisk),
    ("!~~", Parsed::ExclamationMarkDoubleTilde),
    ("!~~*", Parsed::ExclamationMarkDoubleTildeAsterisk),
    ("&", Parsed::Ampersand),
    ("|", Parsed::Pipe),
    ("^", Parsed::Caret),
    ("#", Parsed::Sharp),
    ("##", Parsed::DoubleSharp),
    ("<<", Parsed::ShiftLeft),
    (">>", Parsed::ShiftRight),
    ("&&", Parsed::Overlap),
    ("!!", Parsed::DoubleExclamationMark),
    ("@", Parsed::AtSign),
    ("^@", Parsed::CaretAt),
    ("|/", Parsed::PGSquareRoot),
    ("||/", Parsed::PGCubeRoot),
    ("@-@", Parsed::AtDashAt),
    ("?-", Parsed::QuestionMarkDash),
    ("&<", Parsed::AmpersandLeftAngleBracket),
    ("&>", Parsed::AmpersandRightAngleBracket),
    ("&<|", Parsed::AmpersandLeftAngleBracketVerticalBar),
    ("|&>", Parsed::VerticalBarAmpersandRightAngleBracket),
    ("<->", Parsed::TwoWayArrow),
    ("<^", Parsed::LeftAngleBracketCaret),
    (">^", Parsed::RightAngleBracketCaret),
    ("?#", Parsed::QuestionMarkSharp),
    ("?-|", Parsed::QuestionMarkDashVerticalBar),
    ("?||", Parsed::QuestionMarkDoubleVerticalBar),
    ("~=", Parsed::TildeEqual),
    ("<<|", Parsed::ShiftLeftVerticalBar),
    ("|>>", Parsed::VerticalBarShiftRight),
    ("#-", Parsed::HashMinus),
    ("@?", Parsed::AtQuestion),
    ("@@", Parsed::AtAt),
    ("?", Parsed::Question),
    ("?&", Parsed::QuestionAnd),
    ("?|", Parsed::QuestionPipe),
];
