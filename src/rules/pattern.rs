//! Regular expressions over texts of any encoding, with bounds on what they cost.

use std::fmt;

use regex::bytes::{Regex, RegexBuilder};

/// Bytes that one compiled expression may take, and its cache another time.
const SIZE: usize = 128 * 1024;
/// The longest expression, in bytes.
const LONGEST: usize = 1024;
/// Only so much of a text is looked at, in bytes: an answer takes time linear in it.
pub const LOOKED_AT: usize = 64 * 1024;

/// A regular expression over bytes; `.` is any byte but a newline, classes and `(?i)` know ASCII only.
#[derive(Clone)]
pub struct Pattern(Regex);

impl Pattern {
    /// Compiles it.
    ///
    /// # Errors
    /// Why it is none; continues a sentence that begins with its key.
    pub fn new(text: &str) -> Result<Pattern, String> {
        if text.len() > LONGEST {
            return Err(format!("is longer than {LONGEST} bytes; use several rules"));
        }
        let compiled = RegexBuilder::new(text).unicode(false).size_limit(SIZE).dfa_size_limit(SIZE).build();
        compiled.map(Pattern).map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => {
                format!("takes more than {SIZE} bytes when compiled; make its counted repetitions smaller")
            }
            error => {
                // The first lines draw the expression; the last says what is wrong.
                let text = error.to_string();
                let reason = text.lines().last().unwrap_or_default();
                format!("is no regular expression: {}", reason.trim_start_matches("error: "))
            }
        })
    }

    /// Whether it matches anywhere in the first [`LOOKED_AT`] bytes.
    pub fn matches(&self, text: &[u8]) -> bool {
        self.0.is_match(&text[..text.len().min(LOOKED_AT)])
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:?}", self.0.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_match_bytes_within_bounds() {
        let check = |pattern: &str, text: &[u8], expected: bool| {
            assert_eq!(Pattern::new(pattern).expect(pattern).matches(text), expected, "{pattern}");
        };
        check("(?i)drop +table", b"DROP  TABLE t", true);
        check("^select", b" select", false);
        check("a.b", b"a\xffb", true);
        check("\u{e4}", "\u{e4}".as_bytes(), true);
        let long = [vec![b'x'; LOOKED_AT], b"end".to_vec()].concat();
        check("end", &long, false);
    }

    #[test]
    fn what_is_none_or_too_large_is_refused() {
        let refused = |pattern: &str, part: &str| {
            let said = Pattern::new(pattern).expect_err(pattern);
            assert!(said.contains(part), "{pattern}: {said}");
        };
        refused("(", "unclosed group");
        refused("(a{1000}){1000}", "when compiled");
        refused(&"a".repeat(2000), "longer than 1024");
        refused("\\pL", "is no regular expression");
    }
}
