//! Reading the files of the source: bounded, as text, with the line of what is wrong.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::report::{Place, Report};

/// The largest file that is read. A configuration of 20,000 users has 2 MB.
pub const LARGEST: u64 = 8 << 20;
/// As many files are read for one import; `%include` may name many.
pub const MOST_FILES: usize = 64;

/// A file that was read.
#[derive(Debug, Clone)]
pub struct Text {
    /// Where it is.
    pub path: PathBuf,
    /// As it is shown.
    pub shown: Arc<str>,
    /// What is in it.
    pub text: String,
}

impl Text {
    /// A text that stands in a file of this name.
    pub fn new(path: &Path, text: String) -> Self {
        Self { path: path.to_owned(), shown: path.display().to_string().into(), text }
    }

    /// A line of it.
    pub fn place(&self, line: usize) -> Place {
        Place { file: Arc::clone(&self.shown), line }
    }

    /// The folder in which it is.
    pub fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }
}

/// Reads files, so many and no more.
#[derive(Debug, Default)]
pub struct Files {
    read: usize,
}

impl Files {
    /// Reads a file; what is wrong is in the report. `named`: where its name stands; such a one must be a file, since the end of a
    /// pipe or device may never come.
    pub fn read(&mut self, path: &Path, named: Option<&Place>, report: &mut Report) -> Option<Text> {
        let own = Place { file: path.display().to_string().into(), line: 0 };
        let (of_source, named) = (named.is_some(), named.unwrap_or(&own));
        self.read += 1;
        if self.read > MOST_FILES {
            report.error(named, format!("more than {MOST_FILES} files; put them together"));
            return None;
        }
        let mut bytes = vec![];
        if of_source && path.metadata().is_ok_and(|about| !about.is_file()) {
            report.error(named, format!("{} is no file; correct its name", path.display()));
            return None;
        }
        let read = std::fs::File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes));
        if let Err(error) = read {
            report.error(
                named,
                format!("{} cannot be read: {error}; correct its name or permissions", path.display()),
            );
            return None;
        }
        if bytes.len() as u64 > LARGEST {
            report.error(
                named,
                format!(
                    "{} has more than {LARGEST} bytes; take out what is no configuration",
                    path.display()
                ),
            );
            return None;
        }
        text(path, bytes, report)
    }
}

/// The bytes as text.
pub fn text(path: &Path, bytes: Vec<u8>, report: &mut Report) -> Option<Text> {
    let shown: Arc<str> = path.display().to_string().into();
    let wrong = |at: usize, bytes: &[u8]| {
        let line = bytes[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
        Place { file: Arc::clone(&shown), line }
    };
    if let Some(at) = bytes.iter().position(|byte| *byte == 0) {
        report.error(&wrong(at, &bytes), "a zero byte; this is no text file");
        return None;
    }
    match String::from_utf8(bytes) {
        Ok(text) => Some(Text { path: path.to_owned(), shown, text }),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            report.error(&wrong(at, error.as_bytes()), "this is not UTF-8; convert the file");
            None
        }
    }
}
