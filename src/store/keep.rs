//! Where a history is kept: what the store's thread asks of a file and of a PostgreSQL alike.

use std::path::PathBuf;

use super::file::Trouble;
use super::status::State;
use super::{Batch, Policy};

/// A place for a history. Every call may take as long as its disk or its server does, within bounds of its own.
pub(super) trait Keep: Send {
    /// How it is called in the log; without a secret.
    fn name(&self) -> String;

    /// Opens it, if it is not open, and brings its tables up to what is known here.
    fn open(&mut self, policy: &Policy) -> Result<(), Trouble>;

    /// Lets go of what is open.
    fn close(&mut self);

    /// Writes a batch, all or nothing. One that failed comes again, before any other.
    fn write(&mut self, batch: &Batch, policy: &Policy) -> Result<(), Trouble>;

    /// After a batch of this time: folds what is old, and removes what is too old or too much. Gives the bytes in use, and when the last of what was
    /// too much began; `None`: it was not looked.
    fn tend(&mut self, at: i64, policy: &Policy) -> Result<Option<(u64, Option<i64>)>, Trouble>;

    /// Puts what is damaged ([`Trouble::Corrupt`]) elsewhere, so that another can be begun; gives where it is.
    fn move_aside(&mut self) -> std::io::Result<PathBuf> {
        Err(std::io::ErrorKind::Unsupported.into())
    }

    /// What to do about it.
    fn advice(&self, state: State) -> &'static str;
}
