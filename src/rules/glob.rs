//! Patterns for names: `*` stands for anything, also for nothing.

use std::fmt;

use crate::sql::facts::Name;

/// The longest pattern, in bytes: more than any name of PostgreSQL has.
pub const LONGEST: usize = 256;

/// A pattern for one name.
#[derive(Clone, PartialEq, Eq)]
pub struct Glob {
    text: Box<str>,
    /// What stands before, between and behind the stars; empty where there is none.
    pieces: Box<[Box<[u8]>]>,
}

impl Glob {
    /// Every text is a pattern.
    pub fn new(text: &str) -> Glob {
        let pieces = text.split('*').map(|piece| piece.as_bytes().into());
        let pieces = if text.contains('*') { pieces.collect() } else { Box::default() };
        Glob { text: text.into(), pieces }
    }

    /// Whether it stands for this name. Linear in the length of the name for each piece.
    #[inline]
    pub fn matches(&self, name: &[u8]) -> bool {
        if self.pieces.is_empty() { self.text.as_bytes() == name } else { self.matches_pieces(name) }
    }

    fn matches_pieces(&self, name: &[u8]) -> bool {
        let [first, middle @ .., last] = &*self.pieces else { return false };
        let Some(mut rest) = name.strip_prefix(&**first) else { return false };
        for piece in middle {
            match memchr::memmem::find(rest, piece) {
                Some(at) => rest = &rest[at + piece.len()..],
                None => return false,
            }
        }
        rest.ends_with(last)
    }

    /// Whether it stands for every name for which `other` does. A star of `other` can only be covered by one of this.
    pub fn covers(&self, other: &Glob) -> bool {
        self.matches(other.text.as_bytes())
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

impl fmt::Debug for Glob {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:?}", self.text)
    }
}

/// A pattern for a name and, where it has dots, for what it belongs to: `table`, `schema.table`, `table.column`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dotted {
    name: Glob,
    /// What stands before the dots, the nearest first.
    owners: Box<[Glob]>,
}

impl Dotted {
    /// `None`: it has more than `parts` parts, or an empty one.
    pub fn new(text: &str, parts: usize) -> Option<Dotted> {
        let sound = text.split('.').count() <= parts && text.split('.').all(|part| !part.is_empty());
        let mut globs = text.rsplit('.').map(Glob::new);
        let name = globs.next().filter(|_| sound)?;
        Some(Dotted { name, owners: globs.collect() })
    }

    /// Whether it stands for this table or function. A schema that is not written is none that a pattern could ask for.
    #[inline]
    pub fn matches_name(&self, name: &Name) -> bool {
        self.name.matches(name.name.as_bytes()) && self.has_owners([name.schema.as_deref(), None])
    }

    /// Whether it stands for this column of this table.
    pub fn matches_column(&self, column: &str, table: Option<&Name>) -> bool {
        let schema = table.and_then(|table| table.schema.as_deref());
        self.name.matches(column.as_bytes()) && self.has_owners([table.map(|table| &*table.name), schema])
    }

    /// Whether it stands for all for which `other` does.
    pub fn covers(&self, other: &Dotted) -> bool {
        let mut theirs = other.owners.iter();
        self.name.covers(&other.name)
            && self.owners.iter().all(|glob| theirs.next().is_some_and(|other| glob.covers(other)))
    }

    /// The nearest first, as in the pattern.
    fn has_owners(&self, owners: [Option<&str>; 2]) -> bool {
        let mut owners = owners.into_iter();
        self.owners.iter().all(|glob| match owners.next() {
            Some(Some(owner)) => glob.matches(owner.as_bytes()),
            _ => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_anything() {
        let check = |glob: &str, name: &str, expected: bool| {
            assert_eq!(Glob::new(glob).matches(name.as_bytes()), expected, "{glob} {name}");
        };
        check("orders", "orders", true);
        check("orders", "orders2", false);
        check("", "", true);
        check("", "a", false);
        check("*", "", true);
        check("pg_*", "pg_class", true);
        check("pg_*", "pg", false);
        check("*_log", "audit_log", true);
        check("a*b*c", "a1b2b3c", true);
        check("a*b*c", "acb", false);
        check("ab*ba", "aba", false);
        check("a**b", "ab", true);
    }

    #[test]
    fn a_pattern_covers_narrower_ones() {
        let check = |wide: &str, narrow: &str, expected: bool| {
            let covers = Glob::new(wide).covers(&Glob::new(narrow));
            assert_eq!(covers, expected, "{wide} {narrow}");
        };
        check("pg_*", "pg_class", true);
        check("pg_*", "pg_c*", true);
        check("pg_c*", "pg_*", false);
        check("*b", "a*b", true);
        check("a", "*", false);
    }

    #[test]
    fn parts_are_compared_from_the_right() {
        let name =
            |schema: Option<&str>, name: &str| Name { schema: schema.map(Into::into), name: name.into() };
        let table = |pattern: &str, table: &Name, expected: bool| {
            let pattern = Dotted::new(pattern, 2).expect("a pattern");
            assert_eq!(pattern.matches_name(table), expected, "{pattern:?} {table:?}");
        };
        table("orders", &name(None, "orders"), true);
        table("orders", &name(Some("sales"), "orders"), true);
        table("sales.orders", &name(Some("sales"), "orders"), true);
        table("sales.*", &name(Some("sales"), "orders"), true);
        table("sales.orders", &name(None, "orders"), false);
        table("sales.orders", &name(Some("hr"), "orders"), false);
        let column = |pattern: &str, table: Option<&Name>, expected: bool| {
            let pattern = Dotted::new(pattern, 3).expect("a pattern");
            assert_eq!(pattern.matches_column("id", table), expected, "{pattern:?} {table:?}");
        };
        let orders = name(Some("sales"), "orders");
        column("id", None, true);
        column("orders.id", None, false);
        column("orders.id", Some(&orders), true);
        column("sales.orders.id", Some(&orders), true);
        column("hr.orders.id", Some(&orders), false);
        column("orders.name", Some(&orders), false);
        assert_eq!(Dotted::new("a.b.c", 2), None);
        assert_eq!(Dotted::new("a.", 2), None);
        let covers = |wide: &str, narrow: &str| {
            Dotted::new(wide, 3).expect("one").covers(&Dotted::new(narrow, 3).expect("one"))
        };
        assert!(covers("orders", "sales.orders") && covers("sales.*", "sales.orders"));
        assert!(!covers("sales.orders", "orders"));
    }
}
