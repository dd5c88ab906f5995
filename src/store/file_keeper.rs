//! What the store's thread does where the history is in a file.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, TransactionBehavior};

use super::file::{self, Trouble};
use super::keep::Keep;
use super::status::State;
use super::{Batch, Policy, SPANS, fold, put};

/// Hours and days are made of at most so much at once.
const FOLDS: usize = 50;
/// More pages than the policy allows, in percent: for what a batch needs before room is made.
const SLACK: u64 = 20;

/// The file, and what is known of what was written to it.
pub(super) struct FileKeeper {
    path: PathBuf,
    instance: String,
    file: Option<Opened>,
    /// The last minute that something was written of.
    minute: Option<i64>,
}

/// The open file, and what it is known by: somebody may move it away.
struct Opened {
    file: Connection,
    inode: Option<u64>,
}

fn inode(path: &Path) -> Option<u64> {
    std::fs::metadata(path).ok().map(|found| found.ino())
}

impl FileKeeper {
    pub(super) fn new(path: PathBuf, instance: String) -> FileKeeper {
        FileKeeper { path, instance, file: None, minute: None }
    }

    /// The open file; opened, if it is not, or is not the one of this name any more.
    fn opened(&mut self, policy: &Policy) -> Result<&mut Connection, Trouble> {
        let now = inode(&self.path);
        let stays = self.file.take().filter(|opened| now.is_some() && opened.inode == now);
        let opened = match stays {
            Some(opened) => opened,
            None => {
                let file = file::open(&self.path)?;
                let size: i64 = file.pragma_query_value(None, "page_size", |row| row.get(0))?;
                let most = policy.max_size / 100 * (100 + SLACK) / size.max(1) as u64;
                let most = i64::try_from(most).unwrap_or(i64::MAX);
                file.query_row(&format!("PRAGMA max_page_count = {most}"), [], |row| row.get::<_, i64>(0))?;
                Opened { file, inode: inode(&self.path) }
            }
        };
        Ok(&mut self.file.insert(opened).file)
    }
}

impl Keep for FileKeeper {
    fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn open(&mut self, policy: &Policy) -> Result<(), Trouble> {
        self.opened(policy).map(|_| ())
    }

    fn close(&mut self) {
        self.file = None;
    }

    fn write(&mut self, batch: &Batch, policy: &Policy) -> Result<(), Trouble> {
        let instance = self.instance.clone();
        let file = self.opened(policy)?;
        let once = |file: &mut Connection, samples: bool| {
            let part = file.transaction_with_behavior(TransactionBehavior::Immediate)?;
            put::batch(&part, &instance, batch, samples)?;
            part.commit()
        };
        match once(file, true).map_err(Trouble::from) {
            Err(Trouble::Standing(State::Full, _))
                if !batch.samples.is_empty() && once(file, false).is_ok() =>
            {
                // Counts go before samples, which come again.
                Ok(())
            }
            // What is old makes room. Where it must be the disk that is full, what is of the last hour stays: it is as good as what comes, and there may be room soon.
            Err(Trouble::Standing(State::Full, _))
                if fold::bytes(file)? >= policy.max_size / 2
                    || fold::reaches_back(file, batch.at - SPANS[1])? =>
            {
                let max_size = fold::bytes(file)?.min(policy.max_size) / 100 * 80;
                if let Some(until) = fold::shrink(file, &Policy { max_size, ..policy.clone() })? {
                    tracing::warn!(
                        store = self.name(),
                        until,
                        "there is no room for the store: the oldest counts were removed"
                    );
                }
                Ok(once(self.opened(policy)?, false)?)
            }
            other => other,
        }
    }

    /// Once in a minute: brings the one before down to its size, folds what is old, removes what is too old; what is too much, always.
    fn tend(&mut self, at: i64, policy: &Policy) -> Result<Option<(u64, Option<i64>)>, Trouble> {
        let minute = at - at.rem_euclid(SPANS[0]);
        let before = self.minute.replace(minute);
        let file = self.opened(policy)?;
        if before.is_none_or(|before| before < minute) {
            fold::settle(file, before.unwrap_or(minute - SPANS[0]), policy)?;
            let hour = |at: i64| at.div_euclid(SPANS[1]);
            if before.is_none_or(|before| hour(before) < hour(minute)) {
                fold::expire(file, at, policy)?;
            }
            for _ in 0..FOLDS {
                if !fold::fold(file, at, policy)? {
                    break;
                }
            }
        }
        let removed = fold::shrink(file, policy)?;
        Ok(Some((fold::bytes(file)?, removed)))
    }

    fn move_aside(&mut self) -> std::io::Result<PathBuf> {
        self.file = None;
        file::move_aside(&self.path)
    }

    fn advice(&self, state: State) -> &'static str {
        match state {
            State::Locked => "another process has locked it; it is tried again",
            State::Full => "make room on its disk, or raise history.max_size; it is tried again",
            State::ReadOnly => "let pgweir's user write to it and to its folder; it is tried again",
            State::Newer => "run the pgweir that made it, or name another file",
            State::Foreign => "name another file",
            _ => "see what is wrong with the file and its folder; it is tried again",
        }
    }
}
