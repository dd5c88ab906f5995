//! The values of one text: canonical bytes of what its literals and parameters give to keys.
//!
//! A value is the text that PostgreSQL itself would put out for it, which for the types of [`KeyType`] is the same exactly for equal values. So
//! a column in the stream and a constant in a statement meet in the same bytes. Whatever is doubtful has no value, and then any row counts.

use smallvec::{SmallVec, smallvec};

use super::words::says_a_moment;
use super::{Dependencies, KeyColumn, On, Refusal};
use crate::catalog::KeyType;
use crate::sql::facts::{Constant, Form};
use crate::sql::{Dialect, Literal, Value, literal_string};

/// So many combinations of values stand for one table; beyond, any row does.
pub const MOST_VALUES: usize = 64;

/// The canonical bytes of a value. Most are short, and take no piece of memory of their own.
pub type KeyValue = SmallVec<[u8; 16]>;

/// Values of some columns, in their order.
pub type KeyRow = SmallVec<[KeyValue; 1]>;

/// Sets of them.
pub type KeyRows = SmallVec<[KeyRow; 1]>;

/// Numbers of columns (`pg_attribute.attnum`).
pub type Columns = SmallVec<[i16; 4]>;

/// What one text touches, table by table.
pub type TouchedRows = SmallVec<[Touched; 2]>;

/// Parameters of one statement, in order.
pub type Parameters<'a> = SmallVec<[Parameter<'a>; 8]>;

/// One text of a shape, with what it is given.
#[derive(Debug, Clone, Copy)]
pub struct Given<'a> {
    /// The text.
    pub text: &'a [u8],
    /// How it is read.
    pub dialect: Dialect,
    /// What its shape has folded away (`Shape::literals`).
    pub literals: &'a [Literal],
    /// Its parameters in order; none in the simple protocol.
    pub parameters: &'a [Parameter<'a>],
    /// Texts beyond ASCII have the same bytes in the stream: the client's encoding is that of the stream.
    pub same_encoding: bool,
}

/// A parameter as Parse and Bind give it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameter<'a> {
    /// The type that Parse declares; 0: the server finds it.
    pub oid: u32,
    /// In binary format.
    pub binary: bool,
    /// `None`: NULL.
    pub value: Option<&'a [u8]>,
}

/// What one text touches of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Touched {
    /// `pg_class.oid`.
    pub table: u32,
    /// Numbers of columns, in order; empty: any row.
    pub columns: Columns,
    /// One or more sets of values of these columns; none where there are no columns.
    pub values: KeyRows,
}

impl Dependencies {
    /// On which rows the result of one text of the shape depends, table by table as in [`Dependencies::tables`].
    ///
    /// # Errors
    /// [`Refusal::ClockText`]: a literal or parameter may be read as a moment.
    pub fn touched(&self, given: &Given<'_>) -> Result<TouchedRows, Refusal> {
        if says_a_moment(given) {
            return Err(Refusal::ClockText);
        }
        Ok(self.tables.iter().map(|one| touched(one.table, &one.on, given)).collect())
    }
}

/// The rows of one table that a text means.
fn touched(table: u32, on: &On, given: &Given<'_>) -> Touched {
    let any = || Touched { table, columns: Columns::new(), values: KeyRows::new() };
    let On::Keys(keys) = on else { return any() };
    match given.values_of(keys) {
        Some(values) => Touched { table, columns: keys.iter().map(|key| key.number).collect(), values },
        None => any(),
    }
}

impl Given<'_> {
    /// All combinations of the values of these columns; `None` if one is doubtful, or there are more than [`MOST_VALUES`].
    pub fn values_of(&self, keys: &[KeyColumn]) -> Option<KeyRows> {
        // By far the most common, and on the way of each write.
        if let [key] = keys
            && let Some(only) = self.only(&key.constant)
        {
            return Some(smallvec![smallvec![self.value(only, key.kind)?]]);
        }
        let mut all: KeyRows = smallvec![KeyRow::new()];
        for key in keys {
            let mut values = self.values(&key.constant, key.kind)?;
            values.sort();
            values.dedup();
            if values.is_empty() || all.len() * values.len() > MOST_VALUES {
                return None;
            }
            let with = |row: &KeyRow| -> KeyRows {
                values.iter().map(|value| row.iter().chain([value]).cloned().collect()).collect()
            };
            all = all.iter().flat_map(with).collect();
        }
        Some(all)
    }

    /// The literal of a constant that is no list.
    fn only(&self, constant: &Constant) -> Option<&Literal> {
        let mut literals = self.literals.iter().filter(|literal| literal.place == constant.place);
        literals.next().filter(|_| constant.form != Form::Array && literals.next().is_none())
    }

    /// The values that a constant stands for, in the column's type.
    fn values(&self, constant: &Constant, kind: KeyType) -> Option<Vec<KeyValue>> {
        let literals = self.literals.iter().filter(|literal| literal.place == constant.place);
        if constant.form == Form::Array {
            return None;
        }
        literals.map(|literal| self.value(literal, kind)).collect()
    }

    fn value(&self, literal: &Literal, kind: KeyType) -> Option<KeyValue> {
        match literal.value {
            Value::Parameter(number) => {
                let parameter = self.parameters.get(usize::from(number).checked_sub(1)?)?;
                // Where nobody declares its type, the server takes that of the first place.
                let uses = self.literals.iter().filter(|one| one.value == literal.value).count();
                if parameter.oid == 0 && uses > 1 { None } else { self.parameter(parameter, kind) }
            }
            Value::Number => match kind {
                KeyType::Int2 | KeyType::Int4 | KeyType::Int8 | KeyType::Oid => {
                    integer(self.text.get(literal.range.clone())?, kind)
                }
                _ => None,
            },
            // What a string of bytes says, the settings of the session decide.
            Value::String if kind == KeyType::Bytea => None,
            Value::String => self.text_value(&literal_string(self.text, literal, self.dialect)?, kind),
        }
    }

    fn parameter(&self, parameter: &Parameter<'_>, kind: KeyType) -> Option<KeyValue> {
        let value = parameter.value?;
        if !is_declared_within(parameter.oid, kind) {
            return None;
        }
        if !parameter.binary {
            return self.text_value(value, kind);
        }
        binary(value, kind, parameter.oid).or_else(|| match kind {
            // These have the same form in both formats.
            KeyType::Text => self.text_value(value, kind),
            _ => None,
        })
    }

    /// A value in text form.
    fn text_value(&self, text: &[u8], kind: KeyType) -> Option<KeyValue> {
        match kind {
            KeyType::Int2 | KeyType::Int4 | KeyType::Int8 | KeyType::Oid => integer(text, kind),
            KeyType::Bool => boolean(text),
            KeyType::Uuid => uuid(text),
            KeyType::Date => date(text),
            KeyType::Bytea => bytes(text),
            KeyType::Text => (text.is_ascii() || self.same_encoding).then(|| text.into()),
        }
    }
}

/// The canonical bytes of a value in an answer, in text or binary format; `None` where they are doubtful. `same_encoding`: as in [`Given`].
pub fn shown_value(value: &[u8], binary: bool, kind: KeyType, same_encoding: bool) -> Option<KeyValue> {
    let given = Given { text: b"", dialect: true.into(), literals: &[], parameters: &[], same_encoding };
    given.parameter(&Parameter { oid: 0, binary, value: Some(value) }, kind)
}

/// Whether a cast to this type, as written, leaves a constant what it is for a column of type `kind`.
pub(super) fn is_cast_within(cast: &str, kind: KeyType) -> bool {
    let is = |names: &[&str]| names.contains(&cast);
    match kind {
        KeyType::Int2 | KeyType::Int4 | KeyType::Int8 => {
            is(&["int", "integer", "int4", "bigint", "int8", "smallint", "int2"])
        }
        KeyType::Oid | KeyType::Bytea => false,
        KeyType::Bool => is(&["bool", "boolean"]),
        KeyType::Uuid => is(&["uuid"]),
        KeyType::Date => is(&["date"]),
        KeyType::Text => is(&["text", "varchar", "character varying"]),
    }
}

/// Whether a parameter declared with this type is compared as a value of `kind`.
fn is_declared_within(oid: u32, kind: KeyType) -> bool {
    match kind {
        _ if oid == 0 => true,
        KeyType::Int2 | KeyType::Int4 | KeyType::Int8 => matches!(oid, 20 | 21 | 23),
        KeyType::Oid => oid == 26,
        KeyType::Bool => oid == 16,
        KeyType::Uuid => oid == 2950,
        KeyType::Date => oid == 1082,
        KeyType::Bytea => oid == 17,
        KeyType::Text => matches!(oid, 25 | 1043),
    }
}

/// Digits with a sign, nothing else.
fn integer(text: &[u8], kind: KeyType) -> Option<KeyValue> {
    let (sign, digits) = match text {
        [b'-', digits @ ..] => (true, digits.trim_ascii_start()),
        [b'+', digits @ ..] => (false, digits.trim_ascii_start()),
        digits => (false, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    if !sign && digits[0] != b'0' && digits.len() < 10 {
        // As it is put out.
        return Some(digits.into());
    }
    let number = std::str::from_utf8(digits).ok()?.parse::<i128>().ok()?;
    number_of(if sign { -number } else { number }, kind)
}

fn number_of(number: i128, kind: KeyType) -> Option<KeyValue> {
    let number = i64::try_from(number).ok()?;
    let fits = kind != KeyType::Oid || u32::try_from(number).is_ok();
    fits.then(|| number.to_string().into_bytes().into())
}

fn boolean(text: &[u8]) -> Option<KeyValue> {
    match text.to_ascii_lowercase().as_slice() {
        b"t" | b"true" => Some(b"t"[..].into()),
        b"f" | b"false" => Some(b"f"[..].into()),
        _ => None,
    }
}

/// Only the form with hyphens, as it is put out.
fn uuid(text: &[u8]) -> Option<KeyValue> {
    let is_digit = |(at, byte): (usize, &u8)| match at {
        8 | 13 | 18 | 23 => *byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    (text.len() == 36 && text.iter().enumerate().all(is_digit)).then(|| text.to_ascii_lowercase().into())
}

/// Only `2024-02-29`, which every `DateStyle` reads alike.
fn date(text: &[u8]) -> Option<KeyValue> {
    let [y @ .., b'-', m1, m2, b'-', d1, d2] = text else { return None };
    let all = |digits: &[u8]| digits.iter().all(u8::is_ascii_digit);
    let pair = |tens: &u8, ones: &u8| (tens - b'0') * 10 + (ones - b'0');
    if y.len() != 4 || !all(y) || !all(&[*m1, *m2, *d1, *d2]) || y == b"0000" {
        return None;
    }
    let sound = (1..=12).contains(&pair(m1, m2)) && (1..=31).contains(&pair(d1, d2));
    sound.then(|| text.into())
}

/// Only `\x` and digits.
fn bytes(text: &[u8]) -> Option<KeyValue> {
    let digits = text.strip_prefix(b"\\x")?;
    let sound = digits.len() % 2 == 0 && digits.iter().all(u8::is_ascii_hexdigit);
    sound.then(|| text.to_ascii_lowercase().into())
}

/// A value in binary form; integers as wide as was declared, or as one of them is.
fn binary(value: &[u8], kind: KeyType, declared: u32) -> Option<KeyValue> {
    match kind {
        KeyType::Int2 | KeyType::Int4 | KeyType::Int8 => {
            let fits = match declared {
                21 => value.len() == 2,
                23 => value.len() == 4,
                20 => value.len() == 8,
                _ => matches!(value.len(), 2 | 4 | 8),
            };
            fits.then(|| number_of(signed(value), kind)).flatten()
        }
        KeyType::Oid => <[u8; 4]>::try_from(value)
            .ok()
            .and_then(|bytes| number_of(u32::from_be_bytes(bytes).into(), kind)),
        KeyType::Bool => match value {
            [1] => Some(b"t"[..].into()),
            [0] => Some(b"f"[..].into()),
            _ => None,
        },
        KeyType::Uuid => (value.len() == 16).then(|| hyphened(value)),
        KeyType::Bytea => Some([&b"\\x"[..], hex(value).as_bytes()].concat().into()),
        KeyType::Date | KeyType::Text => None,
    }
}

fn signed(value: &[u8]) -> i128 {
    let negative = value.first().is_some_and(|first| *first >= 0x80);
    value.iter().fold(if negative { -1 } else { 0 }, |number, byte| number << 8 | i128::from(*byte))
}

fn hex(value: &[u8]) -> String {
    use std::fmt::Write as _;
    value.iter().fold(String::with_capacity(value.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn hyphened(value: &[u8]) -> KeyValue {
    let digits = hex(value);
    let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
    parts.join("-").into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_texts() {
        let text = |kind: KeyType, text: &str| {
            let given = Given {
                text: b"",
                dialect: true.into(),
                literals: &[],
                parameters: &[],
                same_encoding: false,
            };
            given.text_value(text.as_bytes(), kind).map(|value| String::from_utf8_lossy(&value).into_owned())
        };
        let check = |kind: KeyType, given: &str, expected: Option<&str>| {
            assert_eq!(text(kind, given).as_deref(), expected, "{kind:?} {given}");
        };
        check(KeyType::Int4, "007", Some("7"));
        check(KeyType::Int4, "-0", Some("0"));
        check(KeyType::Int8, "-9223372036854775808", Some("-9223372036854775808"));
        for odd in ["", "-", "7 ", " 7", "7.0", "0x7", "1_0", "9223372036854775808", "--7", &"9".repeat(60)] {
            check(KeyType::Int8, odd, None);
        }
        check(KeyType::Oid, "4294967295", Some("4294967295"));
        check(KeyType::Oid, "4294967296", None);
        check(KeyType::Oid, "-1", None);
        check(KeyType::Bool, "TRUE", Some("t"));
        check(KeyType::Bool, "1", None);
        check(KeyType::Date, "2024-02-29", Some("2024-02-29"));
        for odd in
            ["2024-13-01", "2024-00-10", "0000-01-01", "24-01-01", "12024-01-01", "2024-1-1", "2024-01-01 BC"]
        {
            check(KeyType::Date, odd, None);
        }
        check(KeyType::Bytea, "\\xABCD", Some("\\xabcd"));
        check(KeyType::Bytea, "\\xABC", None);
        check(KeyType::Text, "x y ", Some("x y "));
        check(KeyType::Text, "größe", None);
    }

    #[test]
    fn binary_integers() {
        let check = |value: &[u8], declared: u32, expected: Option<&str>| {
            let found = binary(value, KeyType::Int8, declared);
            assert_eq!(found.as_deref(), expected.map(str::as_bytes), "{value:?} {declared}");
        };
        check(&[0xff, 0xfe], 21, Some("-2"));
        check(&[0, 0, 1, 0], 23, Some("256"));
        check(&[0x80, 0, 0, 0, 0, 0, 0, 0], 20, Some("-9223372036854775808"));
        check(&[0, 7], 0, Some("7"));
        check(&[0, 0, 7], 0, None);
        check(&[0, 7], 20, None);
        check(&[], 0, None);
    }
}
