//! Whether two answers to the same question must be the same, as far as the rows are the same.
//!
//! SQL leaves the order of rows open where nothing is said of it, and some results are made of that order: the rows within a LIMIT, numbers of windows, lists that are put
//! together. Of sums of floating-point numbers the last digits are. What is not certain to be determined counts as not.

use crate::sql::{Dialect, Kind, Lexer, facts, shape};

/// Words of a statement whose result may depend on the order of rows.
const WORDS: [&[u8]; 6] = [b"limit", b"offset", b"fetch", b"over", b"tablesample", b"lateral"];
/// Aggregates that put values together in the order of rows.
const LISTS: &[u8] = b"agg";
/// `float4`, `float8`, and arrays of them.
const FLOATS: [u32; 4] = [700, 701, 1021, 1022];

/// Whether the rows of the tables alone determine which rows a statement gives, in whatever order. It may be told only of what the text says: not of views and functions.
pub fn is_determined(text: &[u8], dialect: Dialect) -> bool {
    let facts = facts(text, dialect, &shape(text, dialect));
    if !facts.understood || facts.limited {
        return false;
    }
    let mut distinct = false;
    for token in Lexer::new(text, dialect).filter(|token| token.kind != Kind::Comment) {
        let word = token.text(text).to_ascii_lowercase();
        let is_word = token.kind == Kind::Ident;
        if is_word && (WORDS.contains(&&*word) || word.ends_with(LISTS) || distinct && word == b"on") {
            return false;
        }
        distinct = is_word && word == b"distinct";
    }
    true
}

/// Whether two answers have the same messages, in whatever order.
pub fn same_rows(one: &[u8], other: &[u8]) -> bool {
    if one == other {
        return true;
    }
    if one.len() != other.len() {
        return false;
    }
    let sorted = |answer| {
        let mut all = messages(answer);
        all.sort_unstable();
        all
    };
    sorted(one) == sorted(other)
}

/// Whether an answer has a column of floating-point numbers, as far as it is described.
pub fn shows_floats(answer: &[u8]) -> bool {
    let described = messages(answer).into_iter().filter(|message| message.first() == Some(&b'T'));
    described.filter_map(types).flatten().any(|of| FLOATS.contains(&of))
}

/// The types that RowDescription has; `None`: it is malformed.
fn types(message: &[u8]) -> Option<Vec<u32>> {
    let (count, mut rest) = message.get(5..)?.split_first_chunk::<2>()?;
    let mut types = vec![];
    for _ in 0..u16::from_be_bytes(*count) {
        let name = rest.iter().position(|byte| *byte == 0)?;
        let (fields, behind) = rest.get(name + 1..)?.split_at_checked(18)?;
        types.push(u32::from_be_bytes(fields.get(6..10)?.try_into().ok()?));
        rest = behind;
    }
    Some(types)
}

/// Cuts an answer into its messages; what is cut off is one too.
fn messages(mut answer: &[u8]) -> Vec<&[u8]> {
    let mut all = vec![];
    while !answer.is_empty() {
        let length = answer.get(1..5).and_then(|length| length.try_into().ok()).map(u32::from_be_bytes);
        let total = length.map_or(answer.len(), |length| (length as usize).saturating_add(1));
        let (message, rest) = answer.split_at(total.clamp(1, answer.len()));
        all.push(message);
        answer = rest;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_whose_order_matters() {
        let check = |text: &str, expected: bool| {
            assert_eq!(is_determined(text.as_bytes(), true.into()), expected, "{text}");
        };
        check("select * from t where i = 1 order by n", true);
        check("select distinct n, count(*) from t group by n -- limit", true);
        check("select 'limit over' from t", true);
        for text in [
            "select * from t order by i limit 1",
            "select * from t fetch first row only",
            "select * from t offset 1",
            "select * from (select i from t limit 1) as one",
            "select row_number() over () from t",
            "select string_agg(s, ',') from t",
            "select array_agg(s) from t",
            "select distinct on (i) i, n from t",
            "selec",
        ] {
            check(text, false);
        }
    }

    fn frame(tag: u8, body: &[u8]) -> Vec<u8> {
        let length = (body.len() + 4) as u32;
        [&[tag][..], &length.to_be_bytes(), body].concat()
    }

    #[test]
    fn rows_are_the_same_in_any_order() {
        let (one, two, end) = (frame(b'D', b"1"), frame(b'D', b"2"), frame(b'C', b"SELECT 2\0"));
        let check = |left: &[&[u8]], right: &[&[u8]], same| {
            assert_eq!(same_rows(&left.concat(), &right.concat()), same, "{left:?} {right:?}");
        };
        check(&[&one, &two, &end], &[&two, &one, &end], true);
        check(&[&one, &two, &end], &[&two, &two, &end], false);
        check(&[&one, &end], &[&one, &one, &end], false);
        check(&[&one], &[&one[..4]], false);
        check(&[b"\0\0\0\0\0"], &[b"x"], false);
    }

    #[test]
    fn columns_of_floating_point_numbers() {
        let column = |name: &[u8], of: u32| [name, b"\0", &[0; 6], &of.to_be_bytes(), &[0; 8]].concat();
        let described = |columns: &[Vec<u8>]| {
            let count = (columns.len() as u16).to_be_bytes();
            frame(b'T', &[&count[..], &columns.concat()].concat())
        };
        assert!(shows_floats(&described(&[column(b"a", 23), column(b"", 701)])));
        assert!(!shows_floats(&described(&[column(b"a", 23), column(b"b", 25)])));
        assert!(!shows_floats(b"") && !shows_floats(b"T\0\0\0\x0a\0\x05abcd"));
    }
}
