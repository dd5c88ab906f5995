//! A cheap key of a text: two texts with the same one have the same shape.
//!
//! Finding a shape takes forty instructions a byte; this takes a quarter of it, by leaving everything as it is but the literals that are
//! plain to see. Texts of one shape may have several keys (other white space, letters of another case), so that it is good for finding what
//! was found out before, and for nothing else.

mod lately;
mod template;

use super::bytes::{is_digit, is_ident};

pub use lately::Lately;
pub use template::Template;

/// Stand for a string, a number, a parameter, and comments up to the end of the line or in brackets: a string goes on behind the former. No text has these bytes outside of what is masked, or it has no key.
const STRING: u8 = 1;
const NUMBER: u8 = 2;
const PARAMETER: u8 = 3;
const LINE_COMMENT: u8 = 4;
const COMMENT: u8 = 5;

/// What a byte is to the walk.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sort {
    /// Nothing to look at.
    Plain,
    Digit,
    /// `'`
    Quote,
    /// `"`
    DoubleQuote,
    Dollar,
    /// `-` or `/`: a comment may begin.
    Comment,
    /// There is no key.
    None,
}

static SORTS: [Sort; 256] = sorts();

const fn sorts() -> [Sort; 256] {
    let mut sorts = [Sort::Plain; 256];
    let mut byte = 0;
    while byte < 256 {
        sorts[byte] = match byte as u8 {
            b'0'..=b'9' => Sort::Digit,
            b'\'' => Sort::Quote,
            b'"' => Sort::DoubleQuote,
            b'$' => Sort::Dollar,
            b'-' | b'/' => Sort::Comment,
            0..=8 | 14..=31 | 127 | b'\\' => Sort::None,
            _ => Sort::Plain,
        };
        byte += 1;
    }
    sorts
}

/// Writes a text without the literals that are plain to see to `out`, in place of what is there. False: it takes a closer look.
///
/// For texts that are read with `standard_conforming_strings` on, in an encoding that is not wide. Where two texts come out equal they have
/// one [`super::shape`]. Time is linear in the length of the text.
pub fn mask(sql: &[u8], out: &mut Vec<u8>) -> bool {
    out.clear();
    let (mut from, mut at) = (0, 0);
    while let Some(&byte) = sql.get(at) {
        let sort = SORTS[byte as usize];
        if sort == Sort::Plain {
            at += 1;
            continue;
        }
        let found = match sort {
            Sort::Digit => number(sql, at),
            Sort::Quote => string(sql, at).map(|end| (end, Some(STRING))),
            Sort::DoubleQuote => quoted(sql, at).map(|end| (end, None)),
            Sort::Dollar => dollar(sql, at),
            Sort::Comment => comment(sql, at),
            Sort::Plain | Sort::None => None,
        };
        let Some((end, mark)) = found else { return false };
        if let Some(mark) = mark {
            out.extend_from_slice(&sql[from..at]);
            out.push(mark);
            from = end;
        }
        at = end;
    }
    out.extend_from_slice(&sql[from..]);
    true
}

/// Where something ends, and what stands for it; `None`: it stays as it is.
type Found = Option<(usize, Option<u8>)>;

fn byte(sql: &[u8], at: usize) -> u8 {
    sql.get(at).copied().unwrap_or(0)
}

fn before(sql: &[u8], at: usize) -> u8 {
    at.checked_sub(1).map_or(b' ', |at| sql[at])
}

fn digits(sql: &[u8], mut at: usize) -> usize {
    while is_digit(byte(sql, at)) {
        at += 1;
    }
    at
}

/// Digits with a fraction, if they are a number and nothing else. Those of a name, and numbers written in an unusual way, stay.
fn number(sql: &[u8], at: usize) -> Found {
    let mut end = digits(sql, at);
    let stands_alone = |byte: u8| !is_ident(byte) && byte != b'.';
    if !stands_alone(before(sql, at)) {
        return Some((end, None));
    }
    if byte(sql, end) == b'.' && is_digit(byte(sql, end + 1)) {
        end = digits(sql, end + 1);
    }
    Some((end, stands_alone(byte(sql, end)).then_some(NUMBER)))
}

/// A string without prefix. What may be a part of a longer token takes a closer look.
fn string(sql: &[u8], at: usize) -> Option<usize> {
    if is_ident(before(sql, at)) || before(sql, at) == b'&' || follows_uescape(sql, at) {
        return None;
    }
    memchr::memchr(b'\'', &sql[at + 1..]).map(|length| at + length + 2)
}

/// What stands there is a part of a token's meaning, and no value. Whatever may stand between is not looked at.
fn follows_uescape(sql: &[u8], at: usize) -> bool {
    let before = sql[..at].trim_ascii_end();
    let is_end = |byte: Option<&u8>| byte.is_some_and(|byte| byte.eq_ignore_ascii_case(&b'e'));
    let word = &before[before.len().saturating_sub(7)..];
    is_end(before.last()) && word.eq_ignore_ascii_case(b"uescape")
}

fn quoted(sql: &[u8], at: usize) -> Option<usize> {
    memchr::memchr(b'"', &sql[at + 1..]).map(|length| at + length + 2)
}

/// A parameter; a string in dollars takes a closer look.
fn dollar(sql: &[u8], at: usize) -> Found {
    if is_ident(before(sql, at)) {
        // It is a part of a name.
        return Some((at + 1, None));
    }
    let end = digits(sql, at + 1);
    let plain = (1..=4).contains(&(end - at - 1)) && !is_ident(byte(sql, end)) && byte(sql, end) != b'.';
    plain.then_some((end, Some(PARAMETER)))
}

fn comment(sql: &[u8], at: usize) -> Found {
    match (sql[at], byte(sql, at + 1)) {
        (b'-', b'-') => {
            let line = memchr::memchr2(b'\n', b'\r', &sql[at..]).map_or(sql.len(), |length| at + length);
            Some((line, Some(LINE_COMMENT)))
        }
        (b'/', b'*') => {
            let end = at + 2 + memchr::memmem::find(&sql[at + 2..], b"*/")?;
            // Comments nest; and a string may go on behind white space with a new line in it.
            let plain = memchr::memmem::find(&sql[at + 2..end], b"/*").is_none()
                && memchr::memchr2(b'\n', b'\r', &sql[at..end]).is_none();
            plain.then_some((end + 2, Some(COMMENT)))
        }
        _ => Some((at + 1, None)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::sql::shape;

    fn masked(sql: &str) -> Option<Vec<u8>> {
        let mut out = b"what was there".to_vec();
        mask(sql.as_bytes(), &mut out).then_some(out)
    }

    #[test]
    fn literals_that_are_plain_to_see_are_left_out() {
        let same = |one: &str, other: &str| {
            assert_eq!(masked(one).expect("a key"), masked(other).expect("a key"), "{one}")
        };
        same("select * from t1 where a = 1 and b = 'x'", "select * from t1 where a = 234.5 and b = ''");
        same("select $1, \"a'b\" -- one", "select $9999, \"a'b\" -- 'two");
        same("select 1 /* one */ + 2", "select 3 /* 'two */ + 4");
        let other = |one: &str, other: &str| assert_ne!(masked(one), masked(other), "{one}");
        other("select t1.a", "select t2.a");
        other("select 1", "select '1'");
        other("select \"a\"", "select \"b\"");
    }

    #[test]
    fn what_takes_a_closer_look_has_no_key() {
        for text in [
            "E'a'",
            "U&'a' uescape '!'",
            "'a",
            "$$a$$",
            "$a$a$a$",
            "/* a /* b */ c */",
            "\"a",
            "$70000",
            "a\\b",
            "/* a",
        ] {
            assert_eq!(masked(&format!("select {text}")), None, "{text}");
        }
    }

    /// Texts put together at random: those of one key have one shape.
    #[test]
    fn one_key_means_one_shape() {
        const PARTS: &[&str] = &[
            "select", " ", " ", "\n", "'a'", "'b''c'", "''", "1", "23", "4.5", "6e7", ".8", "9.", "0x1F",
            "1_000", "$1", "$22", "$", "$$", "$a$", "in (", "(", ")", ",", "values", "array[", "]", "-", "+",
            "--x\n", "--y'\n", "/*c*/", "/*+d*/", "/*", "*/", "\"q\"", "\"r''\"", "U&", "uescape", "E", "e",
            "::", ":", "=", "a", "t1", "b2.c3", ".", ";", "?", "@>", "null", "end", "\u{e9}", "\r", "B", "x",
            "n", "&", "'", "\"", "interval",
        ];
        let mut random = 0x2545_f491_4f6c_dd1d_u64;
        let mut next = |n: usize| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random % n as u64) as usize
        };
        let mut shapes: HashMap<Vec<u8>, (u128, String)> = HashMap::new();
        let mut same = 0;
        for _ in 0..400_000 {
            let text: String = (0..1 + next(5)).map(|_| PARTS[next(PARTS.len())]).collect();
            let Some(key) = masked(&text) else { continue };
            let found = shape(text.as_bytes(), true).fingerprint.0;
            let (known, first) = shapes.entry(key).or_insert_with(|| (found, text.clone()));
            same += usize::from(*first != text);
            assert_eq!(*known, found, "{first:?} and {text:?}");
        }
        assert!(same > 10_000, "texts that share a key: {same}");
    }
}
