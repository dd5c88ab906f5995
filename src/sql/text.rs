//! What identifier and string tokens stand for.

use super::dialect::Dialect;
use super::keywords::needs_quotes;
use super::lexer::{Kind, Lexer, Token};
use super::shape::{Literal, Value};

/// A quoted identifier without its quotes; `None` for the empty one, which PostgreSQL refuses.
pub fn unquoted(text: &[u8]) -> Option<Vec<u8>> {
    let inner = &text[1..text.len() - 1];
    let name = undoubled(inner, b'"');
    (!name.is_empty()).then_some(name)
}

/// An identifier as `quote_identifier` of the server writes it.
pub fn quote_identifier(name: &[u8]) -> Vec<u8> {
    let plain = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_');
    let starts_plain = name.first().is_some_and(|first| matches!(first, b'a'..=b'z' | b'_'));
    if starts_plain && name.iter().all(plain) && !needs_quotes(name) {
        return name.to_vec();
    }
    let mut quoted = vec![b'"'];
    for &byte in name {
        quoted.extend(std::iter::repeat_n(byte, 1 + usize::from(byte == b'"')));
    }
    quoted.push(b'"');
    quoted
}

/// The bytes of a literal that is a string, as the server gets them; `None` where it is none, or where it takes more than the text to
/// know them.
pub fn literal_string(sql: &[u8], literal: &Literal, dialect: impl Into<Dialect>) -> Option<Vec<u8>> {
    let dialect = dialect.into();
    let string = literal.value == Value::String;
    let token = string
        .then(|| Lexer::at(sql.get(..literal.range.end)?, literal.range.start, dialect).next())
        .flatten()?;
    string_value(token, sql, dialect)
}

/// The value of a string constant (`Sconst`); `None` where it takes more than the text to know it:
/// `U&''` and `N''`, escapes outside ASCII, anything that is no string.
pub(super) fn string_value(token: Token, sql: &[u8], dialect: Dialect) -> Option<Vec<u8>> {
    let text = token.text(sql);
    match token.kind {
        Kind::String => quoted_value(text, !dialect.std_strings(), dialect),
        Kind::EscapeString => quoted_value(&text[1..], true, dialect),
        Kind::DollarString => Some(dollar_body(text).to_vec()),
        _ => None,
    }
}

/// What is between the delimiters of a dollar-quoted string.
pub(super) fn dollar_body(text: &[u8]) -> &[u8] {
    let tag = text[1..].iter().position(|byte| *byte == b'$').map_or(0, |at| at + 2);
    text.get(tag..text.len().saturating_sub(tag)).unwrap_or_default()
}

/// The value of `'...'`, with the parts of a continued string joined.
fn quoted_value(text: &[u8], escapes: bool, dialect: Dialect) -> Option<Vec<u8>> {
    let mut value = Vec::with_capacity(text.len());
    let mut at = 1;
    while at < text.len() {
        match text[at] {
            b'\'' if text.get(at + 1) == Some(&b'\'') => {
                value.push(b'\'');
                at += 2;
            }
            b'\'' => at = continuation(text, at + 1),
            b'\\' if escapes => at += push_escape(&text[at..], &mut value)?,
            _ => {
                let length = dialect.char_len(&text[at..]);
                value.extend_from_slice(&text[at..at + length]);
                at += length;
            }
        }
    }
    Some(value)
}

/// From behind a closing quote to behind the quote that reopens the string, or to the end.
/// The lexer has seen to it that only white space and line comments are between them.
fn continuation(text: &[u8], mut at: usize) -> usize {
    while at < text.len() && text[at] != b'\'' {
        match text[at..].starts_with(b"--") {
            true => at += text[at..].iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(1),
            false => at += 1,
        }
    }
    at + 1
}

/// Decodes the escape that `text` begins with; gives its length, that of the backslash alone before a longer character.
fn push_escape(text: &[u8], value: &mut Vec<u8>) -> Option<usize> {
    let (byte, length) = match *text.get(1)? {
        b'b' => (8, 2),
        b'f' => (12, 2),
        b'n' => (b'\n', 2),
        b'r' => (b'\r', 2),
        b't' => (b'\t', 2),
        b'v' => (11, 2),
        b'0'..=b'7' => digits(&text[1..], 1, 3, 8)?,
        b'x' if text.get(2).is_some_and(u8::is_ascii_hexdigit) => digits(&text[2..], 2, 2, 16)?,
        b'u' | b'U' => return None,
        0x80.. => return Some(1),
        other => (other, 2),
    };
    value.push(byte);
    Some(length)
}

/// Up to `most` digits as an ASCII byte other than NUL, and how long the escape is with `prefix`.
fn digits(text: &[u8], prefix: usize, most: usize, radix: u32) -> Option<(u8, usize)> {
    let digit = |byte: &u8| char::from(*byte).to_digit(radix);
    let count = text.iter().take(most).take_while(|byte| digit(byte).is_some()).count();
    let number = text[..count].iter().filter_map(digit).fold(0, |sum, digit| sum * radix + digit);
    let byte = u8::try_from(number).ok().filter(|byte| (1..0x80).contains(byte))?;
    Some((byte, prefix + count))
}

fn undoubled(text: &[u8], quote: u8) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        plain.push(text[at]);
        at += 1 + usize::from(text[at] == quote);
    }
    plain
}
