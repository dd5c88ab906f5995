//! Where a setting was written, and what is wrong there.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Nobody wrote it.
    Default,
    /// A place in the settings file.
    File(FilePlace),
    /// The URL on the command line; the character in it, from 1, where that says more than the URL.
    Url(Option<usize>),
    /// A flag on the command line, such as `--listen`.
    Flag(&'static str),
}

/// A line and column of a file, both from 1; line 0 means the file as a whole.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FilePlace {
    /// The file as it was named.
    pub path: Arc<PathBuf>,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(at) if at.line == 0 => write!(f, "{}", at.path.display()),
            Self::File(at) => write!(f, "{}:{}:{}", at.path.display(), at.line, at.column),
            Self::Url(None) => f.write_str("URL"),
            Self::Url(Some(character)) => write!(f, "URL, character {character}"),
            Self::Flag(flag) => f.write_str(flag),
        }
    }
}

/// One thing that is wrong with the settings: where, what, and what to do. Never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConfigError {
    /// Where it was written.
    pub origin: Origin,
    /// What is wrong; what to do.
    pub message: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.origin {
            Origin::Default => f.write_str(&self.message),
            _ => write!(f, "{}: {}", self.origin, self.message),
        }
    }
}

impl std::error::Error for ConfigError {}

/// The origin of every setting that somebody wrote, by its path, such as `databases.shop.hosts`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Origins(BTreeMap<String, Origin>);

impl Origins {
    /// Remembers where `path` was written; the last writer wins.
    pub fn set(&mut self, path: impl Into<String>, origin: Origin) {
        self.0.insert(path.into(), origin);
    }

    /// Where exactly this path was written.
    pub fn exact(&self, path: &str) -> Option<&Origin> {
        self.0.get(path)
    }

    /// An error about the setting of this path; `None`: about none of them.
    pub fn error(&self, path: Option<&str>, message: impl Into<String>) -> ConfigError {
        ConfigError { origin: path.map_or(Origin::Default, |path| self.of(path)), message: message.into() }
    }

    /// Where the path was written, or else what it stands in, such as `[databases.shop]`.
    pub fn of(&self, path: &str) -> Origin {
        let mut path = path;
        loop {
            if let Some(origin) = self.0.get(path) {
                return origin.clone();
            }
            match path.rfind('.') {
                Some(dot) => path = &path[..dot],
                None => return Origin::Default,
            }
        }
    }
}
