//! An index as one would create it: what is proposed, and what is there, in the same form.

use std::fmt::Write;

use crate::sql::quote_identifier;

/// What an index is, without its name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Definition {
    /// The table's OID.
    pub table: u32,
    /// The access method: `btree`, `gin`, `gist`, `brin`, `hash`, ...
    pub method: String,
    /// Its keys, in order.
    pub keys: Vec<Key>,
    /// Columns that it carries besides.
    pub include: Vec<String>,
    /// The rows that it has, as the deparser prints the condition; all without one.
    pub predicate: Option<String>,
    /// No two rows are equal in it.
    pub unique: bool,
    /// What is behind WITH, such as `fillfactor=90`.
    pub options: Vec<String>,
}

/// One key of an index.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// What it holds.
    pub what: Held,
    /// An operator class that is not the type's own: `text_pattern_ops`, `gin_trgm_ops`, ...
    pub class: Option<String>,
    /// A collation that is not the column's own.
    pub collation: Option<String>,
    /// Largest first.
    pub descending: bool,
    /// NULLs first. Of a key that is not descending, they come last by default; of one that is, first.
    pub nulls_first: bool,
}

/// What a key holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Held {
    /// A column, by name.
    Column(String),
    /// An expression, exactly as the deparser prints it.
    Expression(String),
}

impl Key {
    /// A column in ascending order.
    pub fn column(name: impl Into<String>) -> Key {
        Key::ascending(Held::Column(name.into()))
    }

    /// An expression in ascending order.
    pub fn expression(text: impl Into<String>) -> Key {
        Key::ascending(Held::Expression(text.into()))
    }

    fn ascending(what: Held) -> Key {
        Key { what, class: None, collation: None, descending: false, nulls_first: false }
    }

    /// The column, where it is one.
    pub fn name(&self) -> Option<&str> {
        match &self.what {
            Held::Column(name) => Some(name),
            Held::Expression(_) => None,
        }
    }
}

impl Definition {
    /// A b-tree over these keys.
    pub fn btree(table: u32, keys: Vec<Key>) -> Definition {
        Definition {
            table,
            method: "btree".to_owned(),
            keys,
            include: vec![],
            predicate: None,
            unique: false,
            options: vec![],
        }
    }

    /// What stands behind `ON table`: `USING btree (a, b DESC) INCLUDE (c) WHERE (...)`.
    pub fn body(&self) -> String {
        let keys: Vec<String> = self.keys.iter().map(|key| key.sql(&self.method)).collect();
        let mut text = format!("USING {} ({})", self.method, keys.join(", "));
        if !self.include.is_empty() {
            let columns: Vec<String> = self.include.iter().map(|name| quoted(name)).collect();
            let _ = write!(text, " INCLUDE ({})", columns.join(", "));
        }
        if !self.options.is_empty() {
            let _ = write!(text, " WITH ({})", self.options.join(", "));
        }
        if let Some(condition) = &self.predicate {
            let _ = write!(text, " WHERE ({})", unwrapped(condition));
        }
        text
    }
}

impl Key {
    fn sql(&self, method: &str) -> String {
        let mut text = match &self.what {
            Held::Column(name) => quoted(name),
            Held::Expression(expression) => format!("({})", unwrapped(expression)),
        };
        if let Some(collation) = &self.collation {
            let _ = write!(text, " COLLATE {}", quoted(collation));
        }
        if let Some(class) = &self.class {
            let _ = write!(text, " {class}");
        }
        if method == "btree" {
            text += match (self.descending, self.nulls_first) {
                (false, false) => "",
                (false, true) => " NULLS FIRST",
                (true, true) => " DESC",
                (true, false) => " DESC NULLS LAST",
            };
        }
        text
    }
}

/// Without the parentheses around all of it.
pub fn unwrapped(text: &str) -> &str {
    let Some(inner) = text.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) else { return text };
    let mut depth = 0_i32;
    let mut quote = None;
    for byte in inner.bytes() {
        match (quote, byte) {
            (Some(open), _) if open == byte => quote = None,
            (Some(_), _) => {}
            (None, b'\'' | b'"') => quote = Some(byte),
            (None, b'(') => depth += 1,
            (None, b')') => depth -= 1,
            _ => {}
        }
        if depth < 0 {
            return text;
        }
    }
    inner
}

/// A name as SQL wants it: in quotes where `quote_identifier` of the server has it so.
pub fn quoted(name: &str) -> String {
    String::from_utf8_lossy(&quote_identifier(name.as_bytes())).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_is_written_as_sql_has_it() {
        let mut wanted = Definition::btree(1, vec![Key::column("account_id"), Key::column("Created At")]);
        wanted.keys[1].descending = true;
        wanted.keys.push(Key::expression("lower(email)"));
        wanted.include = vec!["user".to_owned()];
        wanted.predicate = Some("(deleted_at IS NULL)".to_owned());
        assert_eq!(
            wanted.body(),
            "USING btree (account_id, \"Created At\" DESC NULLS LAST, (lower(email))) INCLUDE (\"user\") \
             WHERE (deleted_at IS NULL)"
        );
        let mut words = Definition::btree(1, vec![Key::column("title")]);
        words.method = "gin".to_owned();
        words.keys[0].class = Some("gin_trgm_ops".to_owned());
        words.keys[0].descending = true;
        assert_eq!(words.body(), "USING gin (title gin_trgm_ops)");
    }

    #[test]
    fn parentheses_around_all_go_and_others_stay() {
        assert_eq!(unwrapped("(a = 1)"), "a = 1");
        assert_eq!(unwrapped("(a) OR (b)"), "(a) OR (b)");
        assert_eq!(unwrapped("(a = ')')"), "a = ')'");
        assert_eq!(quoted("a_1"), "a_1");
        assert_eq!(quoted("1a"), "\"1a\"");
        assert_eq!(quoted("a\"b"), "\"a\"\"b\"");
    }
}
