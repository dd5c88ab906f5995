//! TOML to rules by tables of keys: every key is read by its definition, and every error has its place.
//!
//! The document is walked rather than deserialized into structs: so all errors are found, not the first.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::place::{Lines, Place, Problem, Source};
use crate::spelling;

/// A value and where it stands.
pub(super) type Value<'a> = Spanned<DeValue<'a>>;

/// What there is to say of a key.
#[derive(Debug)]
pub struct Meta {
    /// The key.
    pub name: &'static str,
    /// The kind of its value, in a word.
    pub kind: &'static str,
    /// What it accepts.
    pub accepts: &'static str,
    /// A value, as it would be written in the file.
    pub example: &'static str,
    /// What it means, by lines.
    pub doc: &'static [&'static str],
    /// Whether it must be there.
    pub required: bool,
}

/// A key of a `T`.
pub(super) struct Key<T: 'static> {
    pub meta: Meta,
    pub set: fn(&mut T, &Value<'_>, &mut Reader<'_>) -> Result<(), Wrong>,
}

/// The keys of a table of the file, which describe a `T`.
pub(super) struct Table<T: 'static> {
    /// Its name in messages and in the reference.
    pub name: &'static str,
    /// What it is about, by lines.
    pub about: &'static [&'static str],
    /// Its keys, in the order of the documentation.
    pub keys: &'static [Key<T>],
}

/// A table without its type.
#[derive(Debug)]
pub struct Section {
    /// Its name.
    pub name: &'static str,
    /// What it is about, by lines.
    pub about: &'static [&'static str],
    /// Its keys.
    pub keys: Vec<&'static Meta>,
}

impl<T> Table<T> {
    /// The names of its keys.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + use<T> {
        self.keys.iter().map(|key| key.meta.name)
    }

    /// For the documentation.
    pub fn section(&self) -> Section {
        Section { name: self.name, about: self.about, keys: self.keys.iter().map(|key| &key.meta).collect() }
    }
}

/// Why a value is refused.
pub(super) enum Wrong {
    /// It is not what the kind accepts.
    NotThat,
    /// Something that can be said better; continues the sentence "`key` ...".
    Because(String),
    /// The same, of a place within the value.
    At(usize, String),
    /// It has been said.
    Told,
}

pub(super) fn because<V>(reason: impl Into<String>) -> Result<V, Wrong> {
    Err(Wrong::Because(reason.into()))
}

/// A kind of value.
pub(super) struct Kind<V: 'static> {
    /// One word for the reference page.
    pub name: &'static str,
    /// What it accepts; continues "takes ...".
    pub accepts: &'static str,
    pub read: fn(&Value<'_>, &mut Reader<'_>) -> Result<V, Wrong>,
}

impl<V> Kind<V> {
    pub fn value(&self, value: &Value<'_>, reader: &mut Reader<'_>) -> Result<V, Wrong> {
        (self.read)(value, reader).map_err(|wrong| match wrong {
            Wrong::NotThat => {
                Wrong::Because(format!("is {}, but takes {}", shown(value.get_ref()), self.accepts))
            }
            other => other,
        })
    }
}

/// A value in a message.
pub(super) fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) if text.chars().count() <= 60 => format!("{text:?}"),
        DeValue::String(_) => "a long text".to_owned(),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Integer(number) => number.as_str().to_owned(),
        DeValue::Float(number) => number.as_str().to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Datetime(date) => date.to_string(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

/// A key that was read: the name of its table, its own, and where it stands.
type Seen = (&'static str, &'static str, usize);

/// A walk through one file.
pub(super) struct Reader<'a> {
    lines: Lines<'a>,
    problems: &'a mut Vec<Problem>,
    seen: Vec<Seen>,
}

impl<'a> Reader<'a> {
    pub fn new(source: &'a Source, problems: &'a mut Vec<Problem>) -> Reader<'a> {
        Reader { lines: Lines::new(source), problems, seen: vec![] }
    }

    /// Sets the keys that a table of the file has; `at` is where it begins. True: nothing was wrong.
    pub fn table<T>(&mut self, table: &Table<T>, target: &mut T, toml: &DeTable<'_>, at: usize) -> bool {
        let problems = self.problems.len();
        for (key, value) in toml {
            let name = key.get_ref().as_ref();
            let Some(known) = table.keys.iter().find(|known| known.meta.name == name) else {
                self.error(key.span().start, unknown(table, name));
                continue;
            };
            self.seen.push((table.name, known.meta.name, key.span().start));
            match (known.set)(target, value, self) {
                Ok(()) | Err(Wrong::Told) => {}
                Err(Wrong::At(at, problem)) => self.error(at, format!("`{name}` {problem}")),
                Err(Wrong::Because(problem)) => {
                    self.error(value.span().start, format!("`{name}` {problem}"));
                }
                Err(Wrong::NotThat) => self.error(value.span().start, format!("`{name}` is not possible")),
            }
        }
        for key in table.keys.iter().filter(|key| key.meta.required && !toml.contains_key(key.meta.name)) {
            let Meta { name, example, .. } = key.meta;
            self.error(at, format!("`{}` has no `{name}`; add one, such as {name} = {example}", table.name));
        }
        self.problems.len() == problems
    }

    /// A value that is a table.
    pub fn inner<T: Default>(&mut self, table: &Table<T>, value: &Value<'_>) -> Result<T, Wrong> {
        let toml = value.get_ref().as_table().ok_or(Wrong::NotThat)?;
        let mut target = T::default();
        match self.table(table, &mut target, toml, value.span().start) {
            true => Ok(target),
            false => Err(Wrong::Told),
        }
    }

    /// Forgets which keys were read.
    pub fn start_anew(&mut self) {
        self.seen.clear();
    }

    /// Where a key was read since [`Reader::start_anew`].
    pub fn key_at(&self, table: &str, key: &str) -> Option<usize> {
        self.seen.iter().find(|(of, name, _)| (*of, *name) == (table, key)).map(|(.., at)| *at)
    }

    pub fn error(&mut self, at: usize, message: impl Into<String>) {
        let place = self.place(at);
        self.problems.push(Problem::error(place, message));
    }

    pub fn place(&self, at: usize) -> Place {
        self.lines.place(at)
    }
}

fn unknown<T>(table: &Table<T>, name: &str) -> String {
    let others = super::keys::sections().into_iter().filter(|other| other.name != table.name);
    let mut elsewhere =
        others.filter(|other| other.keys.iter().any(|key| key.name == name)).map(|other| other.name);
    let advice = match (spelling::nearest(name, table.names()), elsewhere.next_back()) {
        (Some(near), None) => format!("did you mean `{near}`?"),
        (_, Some(other)) => format!("it belongs in `{other}`"),
        (None, None) => "remove it".to_owned(),
    };
    format!("unknown key `{}` in `{}`; {advice}", name.escape_debug(), table.name)
}
