//! Where something stands in a rule file, and what is wrong there.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A rule file as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// How messages name it.
    pub path: PathBuf,
    /// What is in it.
    pub text: String,
}

/// A line and column of a file, both from 1; line 0 means the file as a whole.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file as it was named.
    pub path: Arc<Path>,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl Place {
    /// A file as a whole.
    pub fn whole(path: &Path) -> Place {
        Place { path: Arc::from(path), line: 0, column: 0 }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(out, "{}", self.path.display()),
            line => write!(out, "{}:{line}:{}", self.path.display(), self.column),
        }
    }
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The rules are refused.
    Error,
    /// Somebody should look at it.
    Warning,
}

/// One thing that is wrong with the rule files: where, what, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where it was written.
    pub place: Place,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong; what to do.
    pub message: String,
}

impl Problem {
    /// Something for which the rules are refused.
    pub fn error(place: Place, message: impl Into<String>) -> Problem {
        Problem { place, severity: Severity::Error, message: message.into() }
    }

    /// Something to look at.
    pub fn warning(place: Place, message: impl Into<String>) -> Problem {
        Problem { place, severity: Severity::Warning, message: message.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let warning = if self.severity == Severity::Warning { "warning: " } else { "" };
        write!(out, "{}: {warning}{}", self.place, self.message)
    }
}

/// A text with the beginnings of its lines, so that places are found without reading it again.
#[derive(Debug)]
pub(super) struct Lines<'a> {
    path: Arc<Path>,
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    pub fn new(source: &'a Source) -> Lines<'a> {
        let newlines = source.text.match_indices('\n').map(|(at, _)| at + 1);
        let starts = std::iter::once(0).chain(newlines).collect();
        Lines { path: Arc::from(source.path.as_path()), text: &source.text, starts }
    }

    /// The place of an offset in bytes; one behind the end is the end.
    pub fn place(&self, at: usize) -> Place {
        let at = at.min(self.text.len());
        let line = self.starts.partition_point(|start| *start <= at);
        let start = self.starts[line - 1];
        let before = self.text.get(start..at).unwrap_or_default();
        Place { path: Arc::clone(&self.path), line, column: before.chars().count() + 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_lines_and_columns_in_characters() {
        let source = Source { path: "f".into(), text: "ä = 1\n\nbö = 2".into() };
        let lines = Lines::new(&source);
        let check = |at, expected: &str| assert_eq!(lines.place(at).to_string(), expected, "{at}");
        check(0, "f:1:1");
        check(3, "f:1:3");
        check(7, "f:2:1");
        check(8, "f:3:1");
        check(11, "f:3:3");
        check(99, "f:3:7");
        assert_eq!(Place::whole(Path::new("f")).to_string(), "f");
    }
}
