//! Texts that are kept: what stood in the place of values are parameters, so that they can be parsed, prepared and explained.

use super::{Literal, Shape};
use crate::sql::dialect::Dialect;
use crate::sql::lexer::{Kind, Lexer, Token};

/// Stands behind the elements of a list whose length says nothing.
const MORE: &[u8] = b" /*, ... */";
/// Types that are written before their value: `date '2027-01-31'`. A parameter takes them behind it.
const TYPES: [&str; 6] = ["date", "time", "timestamp", "timestamptz", "timetz", "interval"];

impl Shape {
    /// The shape as it is kept and shown: `$1`, `$2`, ... in the place of each `?`, in order, and ` /*, ... */` where a list was folded.
    ///
    /// The number is that of the place ([`Literal::place`], counted from 1), whatever the client called its parameters: a literal and a
    /// parameter of one place have one number, and a parameter that stands in two places has two. What was `date '...'` is `$1::date`.
    pub fn kept(&self, dialect: impl Into<Dialect>) -> Vec<u8> {
        numbered(&self.text, dialect)
    }
}

/// The canonical text of a shape with parameters in the place of each `?`. A text that has them already stays as it is.
pub fn numbered(canonical: &[u8], dialect: impl Into<Dialect>) -> Vec<u8> {
    let mut writing = Writing::new(canonical, canonical.len() + canonical.len() / 4);
    let mut place = 0;
    for token in Lexer::new(canonical, dialect) {
        let stands = token.text(canonical) == b"?" && !canonical[..token.start].ends_with(b"operator(");
        if stands {
            place += 1;
            writing.parameter(token, place);
        } else {
            writing.token(token, true);
        }
    }
    writing.finish(canonical.len())
}

/// A text without its comments, and with `$1`, `$2`, ... in the place of each of its literals and parameters, in order; lists are as long as they are.
/// `None`: what is a literal in it cannot be told.
pub fn without_values(sql: &[u8], literals: &[Literal], dialect: impl Into<Dialect>) -> Option<Vec<u8>> {
    let mut writing = Writing::new(sql, sql.len());
    let mut next = literals.iter().enumerate().peekable();
    for token in Lexer::new(sql, dialect) {
        if matches!(token.kind, Kind::Unterminated | Kind::Other) {
            return None;
        }
        while next.next_if(|(_, literal)| literal.range.end <= token.start).is_some() {}
        match next.peek() {
            Some((number, literal)) if literal.range.contains(&token.start) => {
                // The sign in front of a number belongs to it.
                if literal.range.end == token.end {
                    let whole = Token { start: literal.range.start, ..token };
                    writing.parameter(whole, number + 1);
                }
            }
            _ if token.kind == Kind::Comment => writing.leave_out(token),
            _ => writing.token(token, false),
        }
    }
    Some(writing.finish(sql.len()))
}

/// A text on its way.
struct Writing<'a> {
    text: &'a [u8],
    /// So much of it is written.
    done: usize,
    out: Vec<u8>,
    /// The word before, if that is a type which may stand before its value: where it is in what is written.
    typed: Option<(usize, &'static str)>,
    lists: Vec<List>,
    /// What opens next is a list that may be folded.
    opens: bool,
}

/// What is open.
#[derive(Default)]
struct List {
    /// Equal neighbours in it are folded.
    folds: bool,
    /// It has begun, with something else than a query.
    begun: bool,
    /// A value is in it.
    values: bool,
}

impl<'a> Writing<'a> {
    fn new(text: &'a [u8], size: usize) -> Writing<'a> {
        let out = Vec::with_capacity(size);
        Writing { text, done: 0, out, typed: None, lists: vec![], opens: false }
    }

    /// Something that stays as it is.
    fn token(&mut self, token: Token, marks: bool) {
        let text = token.text(self.text);
        match token.kind {
            Kind::LeftParen | Kind::LeftBracket => {
                let folds = marks && std::mem::take(&mut self.opens);
                self.lists.push(List { folds, ..List::default() });
            }
            Kind::RightParen | Kind::RightBracket => {
                let closed = self.lists.pop().unwrap_or_default();
                if closed.folds && closed.values {
                    self.copy(token.start);
                    self.out.extend_from_slice(MORE);
                }
                if let Some(outer) = self.lists.last_mut() {
                    outer.values |= closed.values && outer.begun;
                }
            }
            Kind::Ident => self.word(text),
            _ => {}
        }
        if !matches!(token.kind, Kind::LeftParen | Kind::LeftBracket | Kind::RightParen | Kind::RightBracket)
        {
            let words = token.kind == Kind::Ident && is_any(text, &["in", "array"]);
            self.opens = words;
            self.begin();
        }
        let start = self.out.len() + (token.start - self.done);
        self.copy(token.end);
        let named = TYPES.into_iter().find(|name| text.eq_ignore_ascii_case(name.as_bytes()));
        self.typed = named.filter(|_| token.kind == Kind::Ident).map(|name| (start, name));
    }

    /// A word in a list: one that begins a query makes it none.
    fn word(&mut self, text: &[u8]) {
        if is_any(text, &["select", "with", "values", "table"])
            && let Some(list) = self.lists.last_mut().filter(|list| !list.begun)
        {
            list.folds = false;
        }
    }

    fn begin(&mut self) {
        self.lists.iter_mut().for_each(|list| list.begun = true);
    }

    /// The parameter of this number, in the place of a token.
    fn parameter(&mut self, token: Token, number: usize) {
        self.copy(token.start);
        let typed = self.typed.take();
        if let Some((start, _)) = typed {
            self.out.truncate(start);
        }
        self.out.extend_from_slice(format!("${number}").as_bytes());
        if let Some((_, name)) = typed {
            self.out.extend_from_slice(format!("::{name}").as_bytes());
        }
        self.done = token.end;
        self.begin();
        if let Some(list) = self.lists.last_mut() {
            list.values = true;
        }
        self.opens = false;
    }

    /// A comment: a blank in its place.
    fn leave_out(&mut self, token: Token) {
        self.copy(token.start);
        if !self.out.ends_with(b" ") {
            self.out.push(b' ');
        }
        self.done = token.end;
    }

    fn copy(&mut self, until: usize) {
        self.out.extend_from_slice(&self.text[self.done..until]);
        self.done = until;
    }

    fn finish(mut self, end: usize) -> Vec<u8> {
        self.copy(end);
        self.out
    }
}

fn is_any(word: &[u8], words: &[&str]) -> bool {
    words.iter().any(|known| word.eq_ignore_ascii_case(known.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::shape;

    fn check(sql: &str, expected: &str) {
        let shape = shape(sql.as_bytes(), true);
        let kept = String::from_utf8(shape.kept(true)).expect("UTF-8");
        assert_eq!(kept, expected, "{sql}");
        assert_eq!(numbered(kept.as_bytes(), true), kept.as_bytes(), "it stays");
    }

    #[test]
    fn places_are_numbered_in_order() {
        check(
            "SELECT * FROM t WHERE a = 1 AND b = $7 AND c = 'x'",
            "select * from t where a = $1 and b = $2 and c = $3",
        );
        check(
            "select a ? 'k', b ?| array['x'], \"?\" from t",
            "select a operator(?) $1, b ?| array[$2 /*, ... */], \"?\" from t",
        );
        check("select $2::int[], -1, a - 1", "select $1::int[], $2, a - $3");
        check("select 1; select 'b'", "select $1; select $2");
        check("select", "select");
    }

    #[test]
    fn lists_that_were_folded_say_so() {
        check(
            "select 1 from t where a in (1, 2, 3) and b = 4",
            "select $1 from t where a in ($2 /*, ... */) and b = $3",
        );
        check("where a in ($1::uuid, $2::uuid)", "where a in ($1::uuid /*, ... */)");
        check("where (a, b) in ((1, 2), (3, 4)) or c", "where (a, b) in (($1, $2) /*, ... */) or c");
        check("where a in (select b from t where c = 1)", "where a in (select b from t where c = $1)");
        check("where a in (b, c)", "where a in (b, c)");
        check("insert into t values (1, 2), (3, 4)", "insert into t values ($1, $2)");
    }

    #[test]
    fn types_before_values_stand_behind_parameters() {
        check("select now() - interval '1 day'", "select now() - $1::interval");
        check("where d >= date '2027-01-31' and d < $1::date", "where d >= $1::date and d < $2::date");
        check("select t.date, date(1), interval", "select t.date, date($1), interval");
    }

    #[test]
    fn a_text_without_its_values_is_as_long_as_it_was() {
        let check = |sql: &str, expected: &str| {
            let shape = shape(sql.as_bytes(), true);
            let found = without_values(sql.as_bytes(), &shape.literals, true);
            assert_eq!(
                found.map(|text| String::from_utf8(text).expect("UTF-8")).as_deref(),
                Some(expected),
                "{sql}"
            );
        };
        check(
            "SELECT a FROM t -- secret\nWHERE b IN (1, - 2, $1) /* x */",
            "SELECT a FROM t \nWHERE b IN ($1, $2, $3) ",
        );
        check("select interval '1 day', e'x', 'a'\n'b'", "select $1::interval, $2, $3");
        for text in ["select 'x", "select \"x", "select \\ 1", "/* x"] {
            let shape = shape(text.as_bytes(), true);
            assert_eq!(without_values(text.as_bytes(), &shape.literals, true), None, "{text}");
        }
    }

    #[test]
    fn no_text_does_harm_and_what_is_kept_has_the_same_shape() {
        const PARTS: &[&str] = &[
            "select", "in", "(", ")", ",", "1", "'a'", "$1", "array", "[", "]", "::", "int", "date", "?",
            "-", "a", "\"q?\"", "values", "interval",
        ];
        let mut random = 0x2545_f491_4f6c_dd1d_u64;
        let mut next = |n: usize| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random % n as u64) as usize
        };
        for _ in 0..30_000 {
            let sql: Vec<&str> = (0..1 + next(12)).map(|_| PARTS[next(PARTS.len())]).collect();
            let sql = sql.join(" ");
            let first = shape(sql.as_bytes(), true);
            let kept = first.kept(true);
            let typed = kept.windows(6).any(|part| part == b"::date" || part == b"::inte");
            if !typed && !first.text.windows(9).any(|part| part == b"operator(") {
                assert_eq!(shape(&kept, true).fingerprint, first.fingerprint, "{sql}");
            }
            let whole = without_values(sql.as_bytes(), &first.literals, true);
            if let Some(whole) = whole.filter(|_| !typed) {
                assert_eq!(shape(&whole, true).literals.len(), first.literals.len(), "{sql}");
            }
        }
    }
}
