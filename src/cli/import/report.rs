//! The report: what became of every key of the source, with its line. It never shows a value of the source.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use super::table::{Fate, Key, Turned};

/// A line of a file; line 0 is the file as a whole.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file as it was named.
    pub file: Arc<str>,
    /// The line, from 1.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.file),
            line => write!(f, "{}:{line}", self.file),
        }
    }
}

/// What there is to say of a line of the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Said {
    /// The file cannot be understood there.
    Error,
    /// Taken over.
    Taken,
    /// Taken over, with another meaning.
    Changed,
    /// Not taken over.
    Left,
    /// Something about the whole.
    Note,
}

/// A line of the report.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line {
    /// Where.
    pub place: Place,
    /// The key as it is called there; empty for what is said of the whole.
    pub key: String,
    /// What became of it.
    pub said: Said,
    /// In words.
    pub text: String,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.text)
    }
}

/// As many lines are said; a configuration of which more is to be said is none.
const MOST_LINES: usize = 100_000;

/// All that is said.
#[derive(Debug, Default)]
pub struct Report {
    lines: Vec<Line>,
    told: BTreeSet<(Place, String, String)>,
    /// The worst that is said of a key: what is found out later about one that was taken over is the truth about it.
    worst: BTreeMap<(Place, String), Said>,
    /// Whether there was more to say.
    full: bool,
}

impl Report {
    /// What became of a key whose value was turned so.
    pub fn key(&mut self, place: &Place, shown: &str, key: &Key, turned: &Turned) {
        let (said, text) = match (turned, key.fate) {
            (Turned::Cannot(why), _) => (Said::Left, format!("not taken over: {why}")),
            (_, Fate::Left) => (Said::Left, format!("not taken over: {}", key.says)),
            (Turned::Nothing, _) => (Said::Taken, "taken over: nothing has to be written".to_owned()),
            (Turned::But(_, how), Fate::Changed) => {
                (Said::Changed, changed(key, &format!("{how}; {}", key.says)))
            }
            (Turned::But(_, how), Fate::Taken) => (Said::Changed, changed(key, how)),
            (Turned::Same(_), Fate::Changed) => (Said::Changed, changed(key, key.says)),
            (Turned::Same(_), Fate::Taken) => (Said::Taken, taken(key)),
        };
        self.push(place, shown, said, text);
    }

    /// A key was taken over by code of its own.
    pub fn taken(&mut self, place: &Place, shown: &str, key: &Key) {
        let (said, text) = match key.fate {
            Fate::Taken => (Said::Taken, taken(key)),
            Fate::Changed => (Said::Changed, changed(key, key.says)),
            Fate::Left => (Said::Left, format!("not taken over: {}", key.says)),
        };
        self.push(place, shown, said, text);
    }

    /// A key was taken over, and differs so.
    pub fn changed(&mut self, place: &Place, shown: &str, key: &Key, how: &str) {
        self.push(place, shown, Said::Changed, changed(key, how));
    }

    /// A key was not taken over: why, and what to do.
    pub fn left(&mut self, place: &Place, shown: &str, why: &str) {
        self.push(place, shown, Said::Left, format!("not taken over: {why}"));
    }

    /// Something about the whole.
    pub fn note(&mut self, place: &Place, text: impl Into<String>) {
        self.push(place, "", Said::Note, text.into());
    }

    /// The file cannot be understood there. Nothing will be written.
    pub fn error(&mut self, place: &Place, text: impl Into<String>) {
        self.push(place, "", Said::Error, text.into());
    }

    fn push(&mut self, place: &Place, shown: &str, said: Said, text: String) {
        if self.lines.len() >= MOST_LINES {
            self.full = true;
            return;
        }
        if !self.told.insert((place.clone(), shown.to_owned(), text.clone())) {
            return;
        }
        let worst = self.worst.entry((place.clone(), shown.to_owned())).or_insert(said);
        *worst = said.max(*worst);
        self.lines.push(Line { place: place.clone(), key: shown.to_owned(), said, text });
    }

    /// The lines, by file in the order in which files were read, and by line; of a key the worst only.
    pub fn lines(&self) -> Vec<&Line> {
        let mut files: Vec<&str> = vec![];
        for line in &self.lines {
            if !files.contains(&&*line.place.file) {
                files.push(&line.place.file);
            }
        }
        let position = |line: &Line| files.iter().position(|file| **file == *line.place.file);
        let worst = |line: &Line| self.worst.get(&(line.place.clone(), line.key.clone())).copied();
        let mut lines: Vec<&Line> =
            self.lines.iter().filter(|line| line.key.is_empty() || worst(line) == Some(line.said)).collect();
        lines.sort_by_key(|line| (line.said == Said::Note, position(line), line.place.line));
        lines
    }

    /// Whether the source cannot be understood.
    pub fn failed(&self) -> bool {
        self.full || self.lines.iter().any(|line| line.said == Said::Error)
    }

    /// Whether there was more to say than is said.
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// How many keys of each kind: taken over, with another meaning, not taken over.
    pub fn summary(&self) -> String {
        let lines = self.lines();
        let of = |said| lines.iter().filter(|line| line.said == said).count();
        format!(
            "{} keys taken over, {} with another meaning, {} not taken over",
            of(Said::Taken) + of(Said::Changed),
            of(Said::Changed),
            of(Said::Left)
        )
    }
}

fn taken(key: &Key) -> String {
    let remark = if key.says.is_empty() { String::new() } else { format!(": {}", key.says) };
    format!("taken over{}{remark}", places(key))
}

fn changed(key: &Key, how: &str) -> String {
    format!("taken over{}, with another meaning: {how}", places(key))
}

fn places(key: &Key) -> String {
    if key.to.is_empty() { String::new() } else { format!(" as {}", key.to.join(", ")) }
}
