//! The names that make a text change its session, and how they are found in it.

use std::collections::HashMap;

use super::identifier::Identifier;
use crate::sql::{Dialect, Effects, Kind, Lexer, Token};

/// Names of functions that reach an object by its name in a string: they may run what is found there.
const BY_STRING: &[&str] = &[
    "table_to_xml",
    "table_to_xmlschema",
    "table_to_xml_and_xmlschema",
    "schema_to_xml",
    "schema_to_xmlschema",
    "schema_to_xml_and_xmlschema",
    "database_to_xml",
    "database_to_xmlschema",
    "database_to_xml_and_xmlschema",
    "pg_input_is_valid",
    "pg_input_error_info",
    "array_in",
    "domain_in",
    "multirange_in",
    "range_in",
    "record_in",
];

/// Words that begin or make the statements for which event triggers fire.
const DDL_WORDS: &[&str] = &[
    "alter", "cluster", "comment", "create", "drop", "grant", "import", "into", "reassign", "refresh",
    "reindex", "revoke", "security",
];

type Map = HashMap<Box<[u8]>, Effects, foldhash::fast::RandomState>;

/// Names of a database whose mention may change the session: functions, and what calls them unseen (views, tables, types,
/// operators). A name has its effects in whatever schema and wherever it stands as an identifier: `t.f` calls `f`.
#[derive(Debug, Default, Clone)]
pub struct Names {
    words: Map,
    operators: Map,
    /// Those of all names that are not ASCII: how they are written depends on the client's encoding.
    beyond_ascii: Effects,
    /// Of every text.
    always: Effects,
    /// Custom settings (`a.b`) that code of these functions names.
    settings: Vec<Box<[u8]>>,
}

impl Names {
    /// Every text may do anything.
    pub fn everything() -> Names {
        Names { always: Effects::SETTING, ..Names::default() }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
            && self.operators.is_empty()
            && self.beyond_ascii.is_empty()
            && self.always.is_empty()
    }

    /// What `text` may do to the session by the names in it, the worst of each.
    pub fn effects_of(&self, text: &[u8], dialect: impl Into<Dialect>) -> Effects {
        if self.is_empty() {
            return Effects::EMPTY;
        }
        let tokens = Lexer::new(text, dialect);
        tokens.fold(self.always, |effects, token| effects | self.token(token, text))
    }

    /// Custom settings that code behind these names sets.
    pub fn settings(&self) -> &[Box<[u8]>] {
        &self.settings
    }

    pub(super) fn add_word(&mut self, name: &[u8], effects: Effects) {
        match name.is_ascii() {
            true => *self.words.entry(name.into()).or_default() |= effects,
            false => self.beyond_ascii |= effects,
        }
    }

    pub(super) fn add_operator(&mut self, name: &[u8], effects: Effects) {
        *self.operators.entry(name.into()).or_default() |= effects;
    }

    pub(super) fn add_ddl(&mut self, effects: Effects) {
        DDL_WORDS.iter().for_each(|word| self.add_word(word.as_bytes(), effects));
    }

    pub(super) fn add_always(&mut self, effects: Effects) {
        self.always |= effects;
    }

    pub(super) fn add_settings(&mut self, names: impl IntoIterator<Item = Box<[u8]>>) {
        for name in names {
            if !self.settings.contains(&name) {
                self.settings.push(name);
            }
        }
    }

    /// Where something can be named, it can be named in a string.
    pub(super) fn add_what_goes_by_strings(&mut self) {
        if !self.is_empty() {
            BY_STRING.iter().for_each(|name| self.add_word(name.as_bytes(), Effects::SETTING));
        }
    }

    #[inline]
    fn token(&self, token: Token, sql: &[u8]) -> Effects {
        match token.kind {
            Kind::Operator => self.operators.get(token.text(sql)).copied().unwrap_or_default(),
            // What it says is not known here.
            Kind::UnicodeIdent => Effects::SETTING,
            _ => Identifier::of(token, sql).map_or(Effects::EMPTY, |name| self.word(&name)),
        }
    }

    fn word(&self, name: &Identifier) -> Effects {
        let found = self.words.get(name.as_bytes()).copied().unwrap_or_default();
        if name.is_ascii() { found } else { found | self.beyond_ascii }
    }
}

/// Custom settings that code or a statement sets by name: `'a.b'` as a whole string, `SET a.b`, `SET LOCAL a.b`.
pub(super) fn custom_settings(code: &[u8]) -> Vec<Box<[u8]>> {
    let is_name =
        |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'.') || *byte >= 0x80;
    let mut found = vec![];
    for dot in memchr::memchr_iter(b'.', code) {
        let start = code[..dot].iter().rposition(|byte| !is_name(byte)).map_or(0, |at| at + 1);
        let end = code[dot..].iter().position(|byte| !is_name(byte)).map_or(code.len(), |at| dot + at);
        let before = code[..start].trim_ascii_end().to_ascii_lowercase();
        let set = [&b"set"[..], b"local", b"session"].iter().any(|word| before.ends_with(word));
        if set || code[..start].ends_with(b"'") && code[end..].starts_with(b"'") {
            found.push(code[start..end].to_ascii_lowercase().into());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        let mut names = Names::default();
        names.add_word(b"lock_it", Effects::ADVISORY);
        names.add_word(b"Mixed", Effects::SETTING);
        names.add_word(b"a\"b", Effects::SETTING);
        names.add_word(&[b'n'; 63], Effects::SETTING);
        names.add_operator(b"@#@", Effects::SETTING);
        names
    }

    #[track_caller]
    fn check(text: &str, expected: Effects) {
        assert_eq!(names().effects_of(text.as_bytes(), true), expected, "{text}");
    }

    #[test]
    fn names_count_wherever_they_are_identifiers() {
        check("select lock_it()", Effects::ADVISORY);
        check("select x.LOCK_IT from t x", Effects::ADVISORY);
        check("select (x) . /* c */ \"lock_it\"", Effects::ADVISORY);
        check("select 'lock_it()', $$lock_it$$ -- lock_it", Effects::EMPTY);
        check("select \"LOCK_IT\"(), lock_its(), mixed", Effects::EMPTY);
        check("select \"Mixed\"", Effects::SETTING);
        check("select \"a\"\"b\"", Effects::SETTING);
        check("select 1 @#@ 2", Effects::SETTING);
        check("select 1 @# 2, '@#@'", Effects::EMPTY);
        check("select U&\"x\"", Effects::SETTING);
        check(&format!("select {}", "N".repeat(70)), Effects::SETTING);
        check(&format!("select {}", "n".repeat(62)), Effects::EMPTY);
    }

    #[test]
    fn names_beyond_ascii_are_not_compared() {
        let mut names = Names::default();
        assert!(names.is_empty());
        names.add_word("größe".as_bytes(), Effects::SETTING);
        assert!(!names.is_empty());
        assert_eq!(names.effects_of("select GRÖSSE".as_bytes(), true), Effects::SETTING);
        assert_eq!(names.effects_of(b"select groesse", true), Effects::EMPTY);
    }

    #[test]
    fn settings_that_code_names() {
        let code =
            b"perform set_config('App.tenant', x, false); set local my.own = 1; select a.b from 'no' || c.d";
        assert_eq!(custom_settings(code), [b"app.tenant"[..].into(), b"my.own"[..].into()]);
    }
}
