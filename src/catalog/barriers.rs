//! The names that a statement must not mention to be a read.

use std::collections::HashSet;
use std::fmt;

use super::identifier::Identifier;
use crate::sql::{Dialect, Kind, Lexer, Token};

type Set = HashSet<Box<[u8]>, foldhash::fast::RandomState>;

/// Operators that are meant without being written: by IN, BETWEEN, LIKE, DISTINCT, GROUP BY, ORDER BY, joins with USING.
const MEANT: &[&str] = &["=", "<>", "<", "<=", ">", ">=", "~~", "!~~", "~~*", "!~~*", "~", "!~"];

/// Why a statement may be more than a read of tables: what it mentions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Barrier {
    /// A call of a function that is volatile or asks about its node, or that reaches such a one.
    Call(Box<[u8]>),
    /// A relation or type through which one is reached, or that a replica does not have.
    Object(Box<[u8]>),
    /// An operator whose function is one.
    Operator(Box<[u8]>),
    /// A name that cannot be read or compared here.
    Unclear,
    /// One is reached without being mentioned, or nothing is known.
    Unseen,
}

impl fmt::Display for Barrier {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Barrier::Call(name) => write!(
                out,
                "calls {}(), which is volatile or leads to what is no read",
                String::from_utf8_lossy(name)
            ),
            Barrier::Object(name) => write!(
                out,
                "reaches {}, which a replica lacks or which leads to what is no read",
                String::from_utf8_lossy(name)
            ),
            Barrier::Operator(name) => write!(
                out,
                "uses the operator {}, which leads to what is no read",
                String::from_utf8_lossy(name)
            ),
            Barrier::Unclear => out.write_str("has a name that is not understood"),
            Barrier::Unseen => out.write_str("the catalog says nothing certain"),
        }
    }
}

/// Names of a database whose mention makes a statement more than a read. A name counts in whatever schema: too many statements
/// meet a barrier, none that is more than a read meets none.
#[derive(Debug, Default, Clone)]
pub struct Barriers {
    /// Functions, which count where they are called.
    calls: Set,
    /// Functions of one argument, which count behind a dot too.
    attributes: Set,
    /// Relations and types, which count anywhere.
    words: Set,
    operators: Set,
    /// Some of the names of functions and of other objects are not ASCII: how they are written depends on the client's encoding.
    beyond_ascii: bool,
    always: bool,
}

impl Barriers {
    /// Nothing is known: every statement meets one.
    pub fn everywhere() -> Barriers {
        Barriers { always: true, ..Barriers::default() }
    }

    /// The first barrier that the text meets; none if all that it does, if it is one statement without effects of its own, is to
    /// read what every node of a cluster has.
    pub fn meets(&self, text: &[u8], dialect: impl Into<Dialect>) -> Option<Barrier> {
        if self.always {
            return Some(Barrier::Unseen);
        }
        let mut tokens = Lexer::new(text, dialect).filter(|token| token.kind != Kind::Comment).peekable();
        let mut before = Kind::Semicolon;
        while let Some(token) = tokens.next() {
            let barrier = self.token(token, text, before, tokens.peek().copied());
            if barrier.is_some() {
                return barrier;
            }
            before = token.kind;
        }
        None
    }

    fn token(&self, token: Token, sql: &[u8], before: Kind, after: Option<Token>) -> Option<Barrier> {
        match token.kind {
            Kind::UnicodeIdent => return Some(Barrier::Unclear),
            Kind::Operator => {
                let text = token.text(sql);
                return self.operators.contains(text).then(|| Barrier::Operator(text.into()));
            }
            _ => {}
        }
        let name = Identifier::of(token, sql)?;
        if self.beyond_ascii && !name.is_ascii() || name.is_torn() {
            return Some(Barrier::Unclear);
        }
        let name = name.as_bytes();
        let called = after.is_some_and(|after| after.kind == Kind::LeftParen) && self.calls.contains(name);
        if called || before == Kind::Dot && self.attributes.contains(name) {
            return Some(Barrier::Call(name.into()));
        }
        self.words.contains(name).then(|| Barrier::Object(name.into()))
    }

    /// Whether a function of that name is one.
    pub(super) fn has_call(&self, name: &str) -> bool {
        self.always || self.calls.contains(name.as_bytes())
    }

    /// Adds a name as the answers to the questions give it; what is of no known kind counts for everything.
    pub(super) fn add(&mut self, kind: &str, name: &str) {
        let set = match kind {
            "call" => &mut self.calls,
            "attribute" => &mut self.attributes,
            "word" => &mut self.words,
            "operator" if !MEANT.contains(&name) => &mut self.operators,
            _ => {
                self.always = true;
                return;
            }
        };
        self.beyond_ascii |= !name.is_ascii();
        set.insert(name.as_bytes().into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn barriers() -> Barriers {
        let mut barriers = Barriers::default();
        barriers.add("call", "nextval");
        barriers.add("call", "status");
        barriers.add("attribute", "audit");
        barriers.add("word", "busy_view");
        barriers.add("operator", "@#@");
        barriers
    }

    #[track_caller]
    fn check(text: &str, expected: Option<Barrier>) {
        assert_eq!(barriers().meets(text.as_bytes(), true), expected, "{text}");
    }

    #[test]
    fn functions_count_where_they_are_called() {
        let call = |name: &str| Some(Barrier::Call(name.as_bytes().into()));
        check("select nextval('s')", call("nextval"));
        check("select pg_catalog . NEXTVAL /* x */ ('s')", call("nextval"));
        check("select \"nextval\"('s')", call("nextval"));
        check("select \"NEXTVAL\"('s')", None);
        check("select status from orders where o.status = 1", None);
        check("select status(o) from orders o", call("status"));
        check("select o.audit from orders o", call("audit"));
        check("select audit from orders o", None);
        check("select 'nextval(1)', $$nextval(1)$$ -- nextval()", None);
    }

    #[test]
    fn objects_and_operators_count_anywhere() {
        check("select * from public.Busy_View v", Some(Barrier::Object(b"busy_view"[..].into())));
        check("select 1 @#@ 2", Some(Barrier::Operator(b"@#@"[..].into())));
        check("select 1 @# 2", None);
        check("select U&\"\\0061\" from t", Some(Barrier::Unclear));
    }

    #[test]
    fn what_cannot_be_told_is_everywhere() {
        assert_eq!(Barriers::everywhere().meets(b"select 1", true), Some(Barrier::Unseen));
        for (kind, name) in [("operator", "="), ("always", ""), ("another kind", "x")] {
            let mut barriers = Barriers::default();
            barriers.add(kind, name);
            assert_eq!(barriers.meets(b"select 1", true), Some(Barrier::Unseen), "{kind} {name}");
        }
        let mut barriers = Barriers::default();
        barriers.add("call", "größe");
        assert_eq!(barriers.meets("select gewähr from t".as_bytes(), true), Some(Barrier::Unclear));
        assert_eq!(barriers.meets(b"select a from t", true), None);
        let torn = format!("select {}é() from t", "x".repeat(62));
        assert_eq!(Barriers::default().meets(torn.as_bytes(), true), Some(Barrier::Unclear));
    }
}
