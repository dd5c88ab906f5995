//! The common case, without tokens: one statement that reads or writes tables, and nothing else.

use super::bytes::{CLASS, Class, is_digit, is_ident, is_ident_start, is_space, run_end};
use super::verb::Verb;
use super::words::{Word, may_matter, mention};

/// The verb of a text that is certainly one plain statement without effects; `None` when that takes a closer look.
///
/// Where it says something, [`super::summarize`] says the same in both readings of strings: one statement of this verb, no
/// effects. Not to be asked in a [`super::Dialect`] that is wide. It makes no tokens and allocates nothing, at a third of the cost. Time is linear in the length of the text.
pub fn plain_verb(sql: &[u8]) -> Option<Verb> {
    let mut text = Text { sql, at: 0 };
    text.skip_space();
    if !is_ident_start(text.peek()) {
        return None;
    }
    let verb = Verb::of(Word::folded(text.word()?).as_bytes());
    if !verb.is_plain() {
        return None;
    }
    let mut depth = 0_usize;
    // Behind the first word, INTO names a target.
    let mut target_follows = matches!(verb, Verb::Insert | Verb::Merge);
    while text.at < sql.len() {
        let byte = text.peek();
        match CLASS[byte as usize] {
            Class::Space => text.at += 1,
            Class::Letter | Class::Prefix => {
                let word = text.word()?;
                let target = std::mem::take(&mut target_follows) && word.eq_ignore_ascii_case(b"into");
                if !target && may_matter(word) && matters(&Word::folded(word)) {
                    return None;
                }
            }
            Class::Digit => text.number()?,
            Class::Quote => text.string()?,
            Class::DoubleQuote => {
                target_follows = false;
                let name = text.quoted()?;
                if may_matter(name) && matters(&Word::exact(name)) {
                    return None;
                }
            }
            Class::Dollar => {
                text.at += 1;
                if !is_digit(text.peek()) {
                    return None;
                }
                text.number()?;
            }
            Class::Operator => {
                text.at += 1;
                let comment = matches!((byte, text.peek()), (b'-', b'-') | (b'/', b'*'));
                if comment {
                    return None;
                }
            }
            Class::Dot | Class::Colon => text.at += 1,
            Class::Single => {
                text.at += 1;
                match byte {
                    b'(' => depth += 1,
                    b')' => depth = depth.checked_sub(1)?,
                    b';' if depth == 0 => {
                        text.skip_space();
                        return (text.at == sql.len()).then_some(verb);
                    }
                    b';' => return None,
                    _ => {}
                }
            }
            Class::Other => return None,
        }
    }
    (depth == 0).then_some(verb)
}

/// Whether the word may do something, or means something together with what is around it.
#[cold]
fn matters(word: &Word) -> bool {
    let word = word.as_bytes();
    matches!(word, b"set_config" | b"into" | b"temp" | b"temporary") || !mention(word).is_empty()
}

struct Text<'a> {
    sql: &'a [u8],
    at: usize,
}

impl<'a> Text<'a> {
    /// The next byte; NUL, which no text has, at the end.
    #[inline]
    fn peek(&self) -> u8 {
        self.sql.get(self.at).copied().unwrap_or(0)
    }

    #[inline]
    fn skip_space(&mut self) {
        self.at = run_end(self.sql, self.at, is_space);
    }

    /// An identifier that opens no special string.
    #[inline]
    fn word(&mut self) -> Option<&'a [u8]> {
        let start = self.at;
        self.at = run_end(self.sql, self.at, is_ident);
        (!matches!(self.peek(), b'\'' | b'&')).then_some(&self.sql[start..self.at])
    }

    /// Digits, with nothing of a word behind them.
    #[inline]
    fn number(&mut self) -> Option<()> {
        self.at = run_end(self.sql, self.at, is_digit);
        (!is_ident(self.peek())).then_some(())
    }

    /// A string in quotes without a backslash.
    fn string(&mut self) -> Option<()> {
        let rest = &self.sql[self.at + 1..];
        let end = memchr::memchr2(b'\'', b'\\', rest)?;
        self.at += end + 2;
        (rest[end] == b'\'').then_some(())
    }

    /// What is between double quotes, if none is doubled.
    fn quoted(&mut self) -> Option<&'a [u8]> {
        let rest = &self.sql[self.at + 1..];
        let end = memchr::memchr(b'"', rest).filter(|end| *end > 0)?;
        self.at += end + 2;
        (self.peek() != b'"').then_some(&rest[..end])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::{Effects, summarize};

    #[track_caller]
    fn check(sql: &str, expected: Option<Verb>) {
        assert_eq!(plain_verb(sql.as_bytes()), expected, "{sql}");
        for std_strings in [true, false] {
            let summary = summarize(sql.as_bytes(), std_strings);
            if let Some(verb) = expected {
                let verbs: Vec<Verb> = summary.statements.iter().map(|one| one.verb).collect();
                assert_eq!((verbs, summary.effects), (vec![verb], Effects::EMPTY), "{sql}");
            }
        }
    }

    #[test]
    fn what_is_plain() {
        check("SELECT abalance FROM pgbench_accounts WHERE aid = 12345;", Some(Verb::Select));
        check(
            "select \"users\".* from \"users\" where \"users\".\"id\" = $1 limit 1 ;\n",
            Some(Verb::Select),
        );
        check("insert into t (a, b) values (1.5, 'it''s; fine'), (now()::date, null)", Some(Verb::Insert));
        check("update t set a = a - 1 where b in (1, 2) and c[3] <> '--'", Some(Verb::Update));
        check("with x as (select 1) delete from t using x", Some(Verb::With));
    }

    #[test]
    fn what_takes_a_closer_look() {
        for sql in [
            "",
            "begin",
            "set x = 1",
            "(select 1)",
            "select 1; select 2",
            "select 1 -- comment",
            "select 1 /* comment */",
            "select a into b from c",
            "insert into t select a into b from c",
            "select set_config('a', 'b', false)",
            "select pg_advisory_lock(1)",
            "select \"set_config\"('a', 'b', false)",
            "select nextval('s'), lastval()",
            "select e'\\n'",
            "select 'a\\'",
            "select $$x$$",
            "select U&\"\\0041\"",
            "select 1into t",
            "select (1",
            "select 1)",
            "select 'open",
            "select \"open",
            "select \"a\"\"b\"",
            "select {",
        ] {
            check(sql, None);
        }
    }
}
