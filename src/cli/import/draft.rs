//! The `pgweir.toml` that is being made.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::report::Place;
use super::value::{self, Value};

/// Sections in the order in which they are written; names come after.
const ORDER: [&str; 9] = ["", "tls", "auth", "limits", "admin", "log", "pool", "databases", "users"];

/// Keys that are right only where somebody's password is known.
const NEED_SECRETS: [&str; 1] = ["reads"];

/// A section: its rank in [`ORDER`], and its name where it is one of several.
type Part = (usize, String);

struct Line {
    key: &'static str,
    value: Value,
    from: Option<Place>,
}

/// Settings as they will be written.
#[derive(Default)]
pub struct Draft {
    parts: BTreeMap<Part, Vec<Line>>,
}

impl Draft {
    /// Sets a key by its path, such as `limits.max_clients`, or `databases.NAME.pool_size` with the name; the later wins.
    pub fn set(&mut self, path: &'static str, name: Option<&str>, value: Value, from: Option<&Place>) {
        let (section, key) = split(path);
        let lines = self.parts.entry(part(section, name)).or_default();
        let line = Line { key, value, from: from.cloned() };
        match lines.iter_mut().find(|line| line.key == key) {
            Some(old) => *old = line,
            None => lines.push(line),
        }
    }

    /// What was set, and where.
    pub fn get(&self, path: &'static str, name: Option<&str>) -> Option<(&Value, Option<&Place>)> {
        let (section, key) = split(path);
        let lines = self.parts.get(&part(section, name))?;
        lines.iter().find(|line| line.key == key).map(|line| (&line.value, line.from.as_ref()))
    }

    /// A number that was set.
    pub fn number(&self, path: &'static str, name: Option<&str>) -> Option<i64> {
        match self.get(path, name) {
            Some((Value::Number(number), _)) => Some(*number),
            _ => None,
        }
    }

    /// Makes sure that there is such a database or user.
    pub fn add(&mut self, section: &'static str, name: &str) {
        self.parts.entry(part(section, Some(name))).or_default();
    }

    /// Takes a database or user out.
    pub fn remove(&mut self, section: &'static str, name: &str) {
        self.parts.remove(&part(section, Some(name)));
    }

    /// Whether there is such a database or user.
    pub fn has(&self, section: &'static str, name: &str) -> bool {
        self.parts.contains_key(&part(section, Some(name)))
    }

    /// The databases, or the users.
    pub fn names(&self, section: &'static str) -> Vec<String> {
        let rank = part(section, None).0;
        self.parts.keys().filter(|(other, _)| *other == rank).map(|(_, name)| name.clone()).collect()
    }

    /// Whether nothing was set.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// As TOML. Without `secrets`, a comment stands in their place.
    pub fn text(&self, about: &str, secrets: bool) -> String {
        let mut text = format!("# {about}\n");
        for ((rank, name), lines) in &self.parts {
            text.push('\n');
            let section = ORDER[*rank];
            if !name.is_empty() {
                let _ = writeln!(text, "[{section}.{}]", value::key(name));
            } else if !section.is_empty() {
                let _ = writeln!(text, "[{section}]");
            }
            for Line { key, value, from } in lines {
                let from = from.as_ref().map(|place| format!("  # {}", one_line(&place.to_string())));
                let from = from.unwrap_or_default();
                match value {
                    Value::Secret(_) if !secrets => {
                        let _ = writeln!(text, "# {key} = \"...\": left out here; --out writes it{from}");
                    }
                    value if NEED_SECRETS.contains(key) && !secrets => {
                        let _ = writeln!(
                            text,
                            "# {key} = {value}: it needs a user whose password is known; --out writes it{from}"
                        );
                    }
                    value => {
                        let _ = writeln!(text, "{key} = {value}{from}");
                    }
                }
            }
        }
        text
    }
}

/// A name of a file may have any character; a comment ends at the line.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// The section of a path, and its key.
fn split(path: &'static str) -> (&'static str, &'static str) {
    let (section, key) = path.rsplit_once('.').unwrap_or(("", path));
    (section.strip_suffix(".NAME").unwrap_or(section), key)
}

fn part(section: &str, name: Option<&str>) -> Part {
    let rank = ORDER.iter().position(|known| *known == section).unwrap_or(0);
    (rank, name.unwrap_or_default().to_owned())
}
