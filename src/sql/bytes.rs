//! Byte classes of PostgreSQL's scanner (`scan.l`), as two tables.

/// What a token that starts with this byte may be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Space,
    Letter,
    /// A letter that opens a special string when a quote follows: b, e, n, u, x.
    Prefix,
    Digit,
    Quote,
    DoubleQuote,
    Dollar,
    Operator,
    Dot,
    Colon,
    /// A token by itself: `, ( ) [ ] ;`.
    Single,
    /// Nothing PostgreSQL knows: NUL, other control bytes, `\ { }`.
    Other,
}

/// Class of every byte.
pub(super) static CLASS: [Class; 256] = classes();

const SPACE: u8 = 1;
const IDENT_START: u8 = 2;
const IDENT: u8 = 4;
const OPERATOR: u8 = 8;
const DIGIT: u8 = 16;

static FLAGS: [u8; 256] = flags();

/// `[ \t\n\r\f\v]`. PostgreSQL before 16 refuses the vertical tab, so that skipping it hides nothing.
#[inline]
pub(super) fn is_space(byte: u8) -> bool {
    FLAGS[byte as usize] & SPACE != 0
}

/// `[A-Za-z\x80-\xff_]`: may begin an identifier or the tag of a dollar quote.
#[inline]
pub(super) fn is_ident_start(byte: u8) -> bool {
    FLAGS[byte as usize] & IDENT_START != 0
}

/// `[A-Za-z\x80-\xff_0-9$]`: may continue an identifier.
#[inline]
pub(super) fn is_ident(byte: u8) -> bool {
    FLAGS[byte as usize] & IDENT != 0
}

/// A byte of the tag of a dollar quote: an identifier without `$`.
#[inline]
pub(super) fn is_tag(byte: u8) -> bool {
    is_ident(byte) && byte != b'$'
}

/// A byte of a multi-character operator.
#[inline]
pub(super) fn is_operator(byte: u8) -> bool {
    FLAGS[byte as usize] & OPERATOR != 0
}

/// `[0-9]`.
#[inline]
pub(super) fn is_digit(byte: u8) -> bool {
    FLAGS[byte as usize] & DIGIT != 0
}

/// Where the run of bytes of one kind ends that begins at `at`.
#[inline(always)]
pub(super) fn run_end(sql: &[u8], mut at: usize, kind: impl Fn(u8) -> bool) -> usize {
    while at < sql.len() && kind(sql[at]) {
        at += 1;
    }
    at
}

const fn class_of(byte: u8) -> Class {
    match byte {
        b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c => Class::Space,
        b'b' | b'B' | b'e' | b'E' | b'n' | b'N' | b'u' | b'U' | b'x' | b'X' => Class::Prefix,
        b'a'..=b'z' | b'A'..=b'Z' | b'_' | 0x80..=0xff => Class::Letter,
        b'0'..=b'9' => Class::Digit,
        b'\'' => Class::Quote,
        b'"' => Class::DoubleQuote,
        b'$' => Class::Dollar,
        b'~' | b'!' | b'@' | b'#' | b'^' | b'&' | b'|' | b'`' | b'?' => Class::Operator,
        b'+' | b'-' | b'*' | b'/' | b'%' | b'<' | b'>' | b'=' => Class::Operator,
        b'.' => Class::Dot,
        b':' => Class::Colon,
        b',' | b'(' | b')' | b'[' | b']' | b';' => Class::Single,
        _ => Class::Other,
    }
}

const fn flags_of(byte: u8) -> u8 {
    match class_of(byte) {
        Class::Space => SPACE,
        Class::Letter | Class::Prefix => IDENT_START | IDENT,
        Class::Digit => IDENT | DIGIT,
        Class::Dollar => IDENT,
        Class::Operator => OPERATOR,
        _ => 0,
    }
}

const fn classes() -> [Class; 256] {
    let mut table = [Class::Other; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = class_of(byte as u8);
        byte += 1;
    }
    table
}

const fn flags() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = flags_of(byte as u8);
        byte += 1;
    }
    table
}
