//! One rule file: TOML to rules and tests as written.

use std::collections::BTreeMap;
use std::net::IpAddr;

use toml::de::{DeTable, DeValue};

use super::action::{Concern, Then};
use super::calendar::{Date, Seconds};
use super::condition::When;
use super::contradiction;
use super::keys;
use super::place::{Place, Problem, Source};
use super::reader::{Reader, Value};
use crate::spelling;

/// The largest file, in bytes.
pub const LARGEST: usize = 4 * 1024 * 1024;

/// Whether a rule does something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// It does.
    #[default]
    Enforce,
    /// It only counts what it would have done.
    Shadow,
}

/// A rule as written.
#[derive(Debug, Default)]
pub(super) struct WrittenRule {
    pub name: Box<str>,
    pub when: When,
    pub then: Then,
    pub mode: Mode,
    pub until: Option<Date>,
}

/// A rewriting as written.
#[derive(Debug, Default)]
pub(super) struct WrittenRewrite {
    pub from: Box<str>,
    pub to: Box<str>,
}

/// Which rule decides on what.
pub(super) type Decided = BTreeMap<Concern, Box<str>>;

/// A test as written.
#[derive(Debug, Default)]
pub(super) struct WrittenTest {
    pub name: Option<Box<str>>,
    pub statement: Box<str>,
    pub user: Box<str>,
    pub database: Box<str>,
    pub application: Box<str>,
    pub client: Option<IpAddr>,
    pub session: u64,
    pub in_transaction: bool,
    pub at: Option<Seconds>,
    pub decided: Option<Decided>,
    pub shadow: Option<Vec<Box<str>>>,
    pub then: Option<Then>,
    pub class: Option<Box<str>>,
    pub shape: Option<Box<str>>,
}

/// What is in the files, in order, each with its place.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub rules: Vec<(Place, WrittenRule)>,
    pub tests: Vec<(Place, WrittenTest)>,
    pub problems: Vec<Problem>,
}

impl Contents {
    /// Reads all of them.
    pub fn of(files: &[Source]) -> Contents {
        let mut contents = Contents::default();
        files.iter().for_each(|file| contents.read(file));
        contents
    }

    fn read(&mut self, source: &Source) {
        if source.text.len() > LARGEST {
            let message = format!("has more than {LARGEST} bytes; make several files of it");
            return self.problems.push(Problem::error(Place::whole(&source.path), message));
        }
        let (document, errors) = DeTable::parse_recoverable(&source.text);
        let mut reader = Reader::new(source, &mut self.problems);
        for error in &errors {
            let at = error.span().map_or(source.text.len(), |span| span.start);
            reader.error(at, format!("not TOML: {}", error.message()));
        }
        if !errors.is_empty() {
            return;
        }
        for (key, value) in document.get_ref() {
            let at = key.span().start;
            match key.get_ref().as_ref() {
                "rule" => blocks(&mut reader, at, "rule", value, |reader, at, table| {
                    self.rules.extend(rule(reader, at, table));
                }),
                "test" => blocks(&mut reader, at, "test", value, |reader, at, table| {
                    self.tests.extend(test(reader, at, table));
                }),
                other => reader.error(at, unknown_block(other)),
            }
        }
    }
}

fn unknown_block(name: &str) -> String {
    let shown = name.escape_debug();
    match spelling::nearest(name, ["rule", "test"]) {
        Some(near) => format!("unknown table `{shown}`; write [[{near}]]"),
        None => format!("unknown key `{shown}`; a rule file has [[rule]] and [[test]] only"),
    }
}

/// The tables of `[[name]]`.
fn blocks(
    reader: &mut Reader<'_>,
    at: usize,
    name: &str,
    value: &Value<'_>,
    mut read: impl FnMut(&mut Reader<'_>, usize, &DeTable<'_>),
) {
    let DeValue::Array(items) = value.get_ref() else {
        return reader.error(at, format!("`{name}` stands alone; write [[{name}]]"));
    };
    for item in items {
        match item.get_ref() {
            DeValue::Table(table) => read(reader, item.span().start, table),
            _ => reader.error(item.span().start, format!("is no table; write [[{name}]]")),
        }
    }
}

fn rule(reader: &mut Reader<'_>, at: usize, table: &DeTable<'_>) -> Option<(Place, WrittenRule)> {
    let mut rule = WrittenRule::default();
    reader.start_anew();
    let mut sound = reader.table(&keys::RULE, &mut rule, table, at);
    if !sound {
        return None;
    }
    for contradiction in contradiction::of(&rule) {
        let (table, key) = contradiction.key;
        let key_at = reader.key_at(table, key).or_else(|| reader.key_at("[[rule]]", table)).unwrap_or(at);
        reader.error(key_at, contradiction.message);
        sound = false;
    }
    if let Some(rewrite) = &rule.then.rewrite {
        rule.when.fingerprint = vec![rewrite.fingerprint()];
    }
    let place = reader.place(reader.key_at("[[rule]]", "name").unwrap_or(at));
    sound.then_some((place, rule))
}

fn test(reader: &mut Reader<'_>, at: usize, table: &DeTable<'_>) -> Option<(Place, WrittenTest)> {
    let mut test = WrittenTest::default();
    reader.start_anew();
    if !reader.table(&keys::TEST, &mut test, table, at) {
        return None;
    }
    let place = reader.key_at("[[test]]", "statement").unwrap_or(at);
    let expects = test.decided.is_some() || test.shadow.is_some() || test.then.is_some();
    if !expects && test.class.is_none() && test.shape.is_none() {
        reader.error(
            place,
            "this test expects nothing; add `decided`, such as decided = { block = \"a-rule\" }",
        );
        return None;
    }
    Some((reader.place(place), test))
}
