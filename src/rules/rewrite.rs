//! Another text for the statements of one shape, with their values put back in.
//!
//! The shape is given by an example, whose values say of what kind each place is; so neither a text nor a number gets where the
//! other is meant. A value goes into the new text as it stood in the old one, literal or parameter: nothing is escaped
//! anew, and nothing can end a string.

use std::fmt;
use std::ops::Range;

use crate::sql::facts::Class;
use crate::sql::{Fingerprint, Kind, Lexer, Shape, Value, facts, not_a_read, shape, summarize};

/// How places are written between words; in the messages.
const PLACES: &str = "places are written $1, $2, ... in the order of the values in `from`, or each as ?";

/// A rewriting of one shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewrite {
    fingerprint: Fingerprint,
    /// Of what kind each place of the shape is; `None`: of any.
    kinds: Box<[Option<Value>]>,
    template: Box<str>,
    parts: Box<[Part]>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// Of the template.
    Text(Range<usize>),
    /// Of the shape, from 0.
    Place(usize),
}

/// Why a statement stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    /// It has another shape.
    Shape,
    /// The value at a place, counted from 1, is of another kind than that of the example.
    Kind(usize),
    /// A place, counted from 1, stands for values of several rows, which cannot be put in one place.
    Rows(usize),
    /// A parameter, `$n`, would be used nowhere, which PostgreSQL does not allow.
    Parameter(u16),
}

impl fmt::Display for Unfit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unfit::Shape => out.write_str("its shape is another one"),
            Unfit::Kind(place) => write!(out, "the value at place {place} is of another kind"),
            Unfit::Rows(place) => write!(out, "place {place} stands for several rows"),
            Unfit::Parameter(number) => write!(out, "the parameter ${number} would not be used"),
        }
    }
}

impl Rewrite {
    /// From an example of the shape, and a template. Both are read with `standard_conforming_strings` on.
    ///
    /// # Errors
    /// What is wrong; continues a sentence that begins with the key.
    pub fn new(from: &str, to: &str) -> Result<Rewrite, String> {
        is_one_statement("from", from)?;
        is_one_statement("to", to)?;
        if not_a_read(from.as_bytes(), true).is_none() && not_a_read(to.as_bytes(), true).is_some() {
            return Err("makes more than a read of a read; `to` must only read, as `from` does".to_owned());
        }
        let example = shape(from.as_bytes(), true);
        let kinds = kinds(&example);
        let parts = parts(to, &kinds)?;
        Ok(Rewrite { fingerprint: example.fingerprint, kinds, template: to.into(), parts })
    }

    /// The shape that is rewritten.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// What becomes of it.
    pub fn template(&self) -> &str {
        &self.template
    }

    /// The new text for a statement of that shape.
    ///
    /// # Errors
    /// Why the statement must stay as it is.
    pub fn apply(&self, text: &[u8], shape: &Shape) -> Result<Vec<u8>, Unfit> {
        if shape.fingerprint != self.fingerprint {
            return Err(Unfit::Shape);
        }
        for literal in &shape.literals {
            let kind = self.kinds.get(literal.place).ok_or(Unfit::Shape)?;
            if !fits(*kind, literal.value) {
                return Err(Unfit::Kind(literal.place + 1));
            }
        }
        self.keeps_parameters(shape)?;
        let mut out = Vec::with_capacity(self.template.len() + text.len());
        for part in &self.parts {
            match part {
                Part::Text(range) => out.extend_from_slice(&self.template.as_bytes()[range.clone()]),
                Part::Place(place) => put(&mut out, text, shape, *place)?,
            }
        }
        Ok(out)
    }

    fn keeps_parameters(&self, shape: &Shape) -> Result<(), Unfit> {
        let used = |place: usize| self.parts.contains(&Part::Place(place));
        let number = |value: Value| match value {
            Value::Parameter(number) => Some(number),
            _ => None,
        };
        let lost = shape.literals.iter().filter(|literal| !used(literal.place));
        let mut lost = lost.filter_map(|literal| number(literal.value)).filter(|lost| {
            let same = |other: &&crate::sql::Literal| number(other.value) == Some(*lost);
            !shape.literals.iter().filter(same).any(|other| used(other.place))
        });
        lost.next().map_or(Ok(()), |number| Err(Unfit::Parameter(number)))
    }
}

/// What stood at a place: one value, or a list of them as it was written.
fn put(out: &mut Vec<u8>, text: &[u8], shape: &Shape, place: usize) -> Result<(), Unfit> {
    let at = |index: Option<usize>| index.and_then(|index| shape.literals.get(index));
    let first = shape.literals.iter().position(|literal| literal.place == place);
    let last = shape.literals.iter().rposition(|literal| literal.place == place);
    let (Some(from), Some(to)) = (at(first), at(last)) else { return Err(Unfit::Shape) };
    let one = first == last;
    if first.zip(last).is_some_and(|(a, b)| shape.literals[a..b].iter().any(|other| other.place != place)) {
        return Err(Unfit::Rows(place + 1));
    }
    let value = text.get(from.range.start..to.range.end).ok_or(Unfit::Shape)?;
    // A sign could make another operator, or a comment, of what stands before it.
    let signed = one && matches!(value.first(), Some(b'-' | b'+'));
    out.push(b' ');
    out.extend_from_slice(if signed { b"(" } else { b"" });
    out.extend_from_slice(value);
    out.extend_from_slice(if signed { b") " } else { b" " });
    Ok(())
}

fn is_one_statement(key: &str, text: &str) -> Result<(), String> {
    let has = |kinds: &[Kind]| Lexer::new(text.as_bytes(), true).any(|token| kinds.contains(&token.kind));
    if has(&[Kind::Unterminated, Kind::Other]) {
        return Err(format!(
            "holds in `{key}` what is no SQL: a string, a comment or a quote without its end"
        ));
    }
    let class = facts(text.as_bytes(), true, &shape(text.as_bytes(), true)).class;
    match summarize(text.as_bytes(), true).statements.len() {
        1 if matches!(class, Class::Transaction | Class::Session) => Err(format!(
            "holds in `{key}` what belongs to the session or to its transaction; such are not rewritten"
        )),
        1 if !has(&[Kind::Semicolon]) => Ok(()),
        1 => Err(format!("holds a semicolon in `{key}`; write one statement without it")),
        _ => Err(format!("holds in `{key}` not one statement; write exactly one")),
    }
}

fn kinds(example: &Shape) -> Box<[Option<Value>]> {
    let places = example.literals.iter().map(|literal| literal.place + 1).max().unwrap_or(0);
    let kind = |place: usize| {
        let mut values = example.literals.iter().filter(|one| one.place == place).map(|one| one.value);
        let first = values.next().filter(|value| !matches!(value, Value::Parameter(_)))?;
        values.all(|value| value == first).then_some(first)
    };
    (0..places).map(kind).collect()
}

fn fits(kind: Option<Value>, value: Value) -> bool {
    matches!(value, Value::Parameter(_)) || kind.is_none_or(|kind| kind == value)
}

/// The template in parts.
fn parts(to: &str, kinds: &[Option<Value>]) -> Result<Box<[Part]>, String> {
    let sql = to.as_bytes();
    let mut walk =
        Walk { sql, kinds, parts: vec![], copied: 0, marks: 0, numbers: false, before: [None, None] };
    for token in Lexer::new(sql, true).filter(|token| token.kind != Kind::Comment) {
        walk.token(token)?;
    }
    if walk.marks > 0 && walk.numbers {
        return Err("mixes ? and $n in `to`; use one of them".to_owned());
    }
    walk.copy(sql.len());
    Ok(walk.parts.into())
}

struct Walk<'a> {
    sql: &'a [u8],
    kinds: &'a [Option<Value>],
    parts: Vec<Part>,
    /// Up to where the template is in the parts.
    copied: usize,
    /// How many `?` there were, and whether there was a `$n`.
    marks: usize,
    numbers: bool,
    /// The last two tokens, the nearest last.
    before: [Option<crate::sql::Token>; 2],
}

impl Walk<'_> {
    fn token(&mut self, token: crate::sql::Token) -> Result<(), String> {
        let text = token.text(self.sql);
        match token.kind {
            Kind::Param => {
                self.numbers = true;
                let number = std::str::from_utf8(&text[1..]).ok().and_then(|digits| digits.parse().ok());
                self.place(token, number.unwrap_or(0))?;
            }
            Kind::Operator if text == b"?" && !self.is_named_operator() => {
                self.marks += 1;
                self.place(token, self.marks)?;
            }
            Kind::Operator if text.len() > 1 && text.ends_with(b"?") => {
                return Err("holds in `to` a ? behind an operator; put a blank between them".to_owned());
            }
            Kind::String if text.contains(&b'\\') => {
                return Err("holds in `to` a backslash in a string; write E'...' and \\\\".to_owned());
            }
            _ => {}
        }
        if self.before[1].is_some_and(|before| self.is_value(before)) && self.is_value(token) {
            return Err(format!("holds in `to` two values without anything between them; {PLACES}"));
        }
        self.before = [self.before[1], Some(token)];
        Ok(())
    }

    /// `operator(?)`, as shapes have the operator of that name.
    fn is_named_operator(&self) -> bool {
        let [Some(word), Some(parenthesis)] = self.before else { return false };
        parenthesis.kind == Kind::LeftParen && word.text(self.sql).eq_ignore_ascii_case(b"operator")
    }

    fn is_value(&self, token: crate::sql::Token) -> bool {
        let text = token.text(self.sql);
        matches!(token.kind, Kind::Param | Kind::String | Kind::EscapeString | Kind::Integer | Kind::Float)
            || token.kind == Kind::Operator && text == b"?"
    }

    /// A place, counted from 1.
    fn place(&mut self, token: crate::sql::Token, number: usize) -> Result<(), String> {
        let count = self.kinds.len();
        let Some(kind) = number.checked_sub(1).and_then(|place| self.kinds.get(place)) else {
            let shown = String::from_utf8_lossy(token.text(self.sql));
            return Err(format!(
                "uses place {number} (`{shown}`) in `to`, but `from` has {count} values; {PLACES}"
            ));
        };
        let counts = self.before[1].is_some_and(|before| {
            let word = before.text(self.sql);
            word.eq_ignore_ascii_case(b"limit") || word.eq_ignore_ascii_case(b"offset")
        });
        if counts && *kind == Some(Value::String) {
            return Err(format!("puts place {number}, which is a text in `from`, where a number must be"));
        }
        self.copy(token.start);
        self.parts.push(Part::Place(number - 1));
        self.copied = token.end;
        Ok(())
    }

    fn copy(&mut self, to: usize) {
        if self.copied < to {
            self.parts.push(Part::Text(self.copied..to));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(from: &str, to: &str, text: &str) -> Result<String, Unfit> {
        let rewrite = Rewrite::new(from, to).unwrap_or_else(|problem| panic!("{from} -> {to}: {problem}"));
        let new = rewrite.apply(text.as_bytes(), &shape(text.as_bytes(), true));
        new.map(|new| String::from_utf8(new).expect("text").split_whitespace().collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn values_are_put_back_as_they_were() {
        let check = |from: &str, to: &str, text: &str, expected: &str| {
            assert_eq!(rewritten(from, to, text).as_deref(), Ok(expected), "{from} -> {to}: {text}");
        };
        let (from, to) =
            ("select * from t where a = 1 and b = 'x'", "select a from t where b = $2 and a = $1");
        check(
            from,
            to,
            "SELECT * FROM t WHERE a=7 AND b='it''s'",
            "select a from t where b = 'it''s' and a = 7",
        );
        check(from, to, "select * from t where a = $2 and b = $1", "select a from t where b = $1 and a = $2");
        check(
            from,
            to,
            "select * from t where a = $1 and b = E'\\''",
            "select a from t where b = E'\\'' and a = $1",
        );
        let marks = "select a from t where a = ? and b = ?";
        check(
            from,
            marks,
            "select * from t where a = 1 and b = '-- '",
            "select a from t where a = 1 and b = '-- '",
        );
        let (from, to) = ("select * from t where a in (1)", "select * from t where a = any (array[$1])");
        check(
            from,
            to,
            "select * from t where a in (1, 2 ,-3)",
            "select * from t where a = any (array[ 1, 2 ,-3 ])",
        );
        check("select 1 + 1", "select 0 -$1 -$2", "select -5 + 2", "select 0 - (-5) - 2");
        check("select 1", "select $1::smallint", "select -32768", "select (-32768) ::smallint");
        check("values (1), (2)", "values ($1)", "values (1), (2), (3)", "values ( 1), (2), (3 )");
        check("select j ? 'a'", "select j operator(?) $1", "select j ? 'b'", "select j operator(?) 'b'");
    }

    #[test]
    fn what_does_not_fit_stays() {
        let check = |from: &str, to: &str, text: &str, expected: Unfit| {
            assert_eq!(rewritten(from, to, text), Err(expected), "{from} -> {to}: {text}");
        };
        let (from, to) = ("select * from t where a = 1", "select a from t where a = $1");
        check(from, to, "select * from t where b = 1", Unfit::Shape);
        check(from, to, "select * from t where a = 'x'", Unfit::Kind(1));
        check(from, "select a from t", "select * from t where a = $1", Unfit::Parameter(1));
        check("values (1, 2), (3, 4)", "values ($2, $1)", "values (1, 2), (3, 4)", Unfit::Rows(2));
    }

    #[test]
    fn a_parameter_that_is_used_elsewhere_may_go() {
        let (from, to) = ("select * from t where a = 1 and b = 2", "select * from t where a = $1");
        let new = rewritten(from, to, "select * from t where a = $1 and b = $1");
        assert_eq!(new.as_deref(), Ok("select * from t where a = $1"));
        assert_eq!(rewritten(from, to, "select * from t where a = $1 and b = $2"), Err(Unfit::Parameter(2)));
    }

    #[test]
    fn templates_are_checked() {
        let refused = |from: &str, to: &str, part: &str| {
            let said = Rewrite::new(from, to).expect_err(to);
            assert!(said.contains(part), "{from} -> {to}: {said}");
        };
        refused("select 1", "select $2", "uses place 2 (`$2`) in `to`, but `from` has 1 values");
        refused("select 1", "select $0", "uses place 0");
        refused("select 1", "select ?, ?", "uses place 2 (`?`)");
        refused("select 1, 2", "select ?, $2", "mixes");
        refused("select 'a'", "select 1 limit $1", "which is a text in `from`");
        refused("select 1", "select 1 =?", "behind an operator");
        refused("select 1, 2", "select $1 $2", "two values");
        refused("select 1, 2", "select 'a'\n$2", "two values");
        refused("select 1", "select '\\'", "backslash");
        refused("select 1", "select 'a", "what is no SQL");
        refused("select 1; select 2", "select 1", "not one statement");
        refused("select 1", "select $1;", "semicolon");
        refused("select 1", "", "not one statement");
        refused("begin", "begin read only", "belongs to the session");
        refused("select 1", "set role x", "belongs to the session");
        refused("select * from t where a = 1", "delete from t where a = $1", "more than a read");
    }
}
