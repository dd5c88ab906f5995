//! The file of the slow-query log: it is begun anew when it is too large or too old.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::Policy;

/// After a failure it is tried again so much later.
const AGAIN: Duration = Duration::from_secs(1);

/// Where lines are written.
pub(super) struct File {
    policy: Policy,
    out: Option<Out>,
    /// When it failed to open or to be written.
    failed: Option<Instant>,
}

enum Out {
    Stream(Box<dyn Write + Send>),
    File { file: fs::File, size: u64, began: SystemTime },
}

impl File {
    /// It is opened with the first line.
    pub(super) fn new(policy: Policy) -> File {
        File { policy, out: None, failed: None }
    }

    pub(super) fn is_json(&self) -> bool {
        self.policy.json
    }

    pub(super) fn name(&self) -> impl std::fmt::Display + '_ {
        self.policy.file.display()
    }

    /// Writes whole lines.
    pub(super) fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.failed.is_some_and(|failed| failed.elapsed() < AGAIN) {
            return Err(io::Error::other("it failed a moment ago"));
        }
        let written = self.try_write(lines);
        self.failed = written.is_err().then(Instant::now);
        if written.is_err() {
            self.out = None;
        }
        written
    }

    fn try_write(&mut self, lines: &[u8]) -> io::Result<()> {
        self.turn_over(lines.len() as u64)?;
        let out = match self.out.take() {
            Some(out) => out,
            None => open(&self.policy.file)?,
        };
        match self.out.insert(out) {
            Out::Stream(stream) => stream.write_all(lines).and_then(|()| stream.flush()),
            Out::File { file, size, .. } => {
                let before = *size;
                *size += lines.len() as u64;
                file.write_all(lines).inspect_err(|_| {
                    // Half a line is none.
                    let _ = file.set_len(before);
                })
            }
        }
    }

    /// Begins another file where this one would be too large, or is too old.
    fn turn_over(&mut self, more: u64) -> io::Result<()> {
        let Some(Out::File { size, began, .. }) = &self.out else { return Ok(()) };
        let large = *size > 0 && size + more > self.policy.max_size;
        let age = SystemTime::now().duration_since(*began).unwrap_or_default();
        if !large && self.policy.max_age.is_none_or(|most| age < most) {
            return Ok(());
        }
        self.out = None;
        let path = &self.policy.file;
        for number in (0..=self.policy.keep).rev() {
            let old = numbered(path, number);
            let moved = match number == self.policy.keep {
                true => fs::remove_file(&old),
                false => fs::rename(&old, numbered(path, number + 1)),
            };
            match moved {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

/// The file itself, and those before it: `slow.log`, `slow.log.1`, ...
fn numbered(path: &Path, number: usize) -> PathBuf {
    match number {
        0 => path.to_owned(),
        number => PathBuf::from(format!("{}.{number}", path.display())),
    }
}

fn open(path: &Path) -> io::Result<Out> {
    match path.file_name().and_then(|name| name.to_str()) {
        Some("stdout") => return Ok(Out::Stream(Box::new(io::stdout()))),
        Some("stderr") => return Ok(Out::Stream(Box::new(io::stderr()))),
        _ => {}
    }
    // Names of tables and users are nobody else's to read.
    let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    let found = file.metadata()?;
    let began = found.created().or_else(|_| found.modified()).unwrap_or_else(|_| SystemTime::now());
    let began = if found.size() == 0 { SystemTime::now() } else { began };
    Ok(Out::File { file, size: found.size(), began })
}
