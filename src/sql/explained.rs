//! `EXPLAIN ROUTE`: the one command that is pgweir's own, in a place where PostgreSQL has none.

use super::bytes::is_space;
use super::dialect::Dialect;
use super::lexer::{Kind, Lexer};
use super::words::is_word;

/// Whether a text may begin with these words, by its first character: what is asked of every text.
#[inline]
pub fn may_explain_route(sql: &[u8]) -> bool {
    let first = sql.iter().find(|byte| !is_space(**byte));
    matches!(first, Some(b'e' | b'E' | b'-' | b'/'))
}

/// What stands behind `EXPLAIN ROUTE`, up to the end of the text; `None` where a text does not begin so. PostgreSQL
/// has a syntax error for each of these.
pub fn explain_route(sql: &[u8], dialect: impl Into<Dialect>) -> Option<&[u8]> {
    if !may_explain_route(sql) {
        return None;
    }
    let mut tokens = Lexer::new(sql, dialect).filter(|token| token.kind != Kind::Comment);
    tokens.next().filter(|first| is_word(Some(*first), sql, b"explain"))?;
    let route = tokens.next().filter(|second| is_word(Some(*second), sql, b"route"))?;
    Some(&sql[route.end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        assert_eq!(explain_route(text.as_bytes(), true), expected.map(str::as_bytes), "{text}");
    }

    #[test]
    fn two_words_and_what_is_explained() {
        check("EXPLAIN ROUTE select 1", Some(" select 1"));
        check(
            " \n-- why?\n/* there */ explain /**/Route\tselect 1; select 2;",
            Some("\tselect 1; select 2;"),
        );
        check("explain route", Some(""));
        check("explain route(1)", Some("(1)"));
        for other in [
            "",
            "-- explain route",
            "explain select route",
            "explain \"route\"",
            "explain (route) select 1",
            "explain routes",
            "explain",
            "explained route",
            "select 'explain route'",
            "\"explain\" route",
        ] {
            check(other, None);
        }
    }
}
