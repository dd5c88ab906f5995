//! The logical replication stream of one database: which rows every commit has changed, whoever made it, and up to which instant all
//! of that is known.
//!
//! A [`Stream`] holds three connections to the primary: one over which it is sent what commits have changed (`pgoutput`, by a temporary
//! slot that is gone when the connection is), one that samples where the WAL and the snapshots are, and one that reads the catalog and
//! adds tables to a publication of this process's own. What is heard is told to a [`Sink`], in this order for each commit: it begins,
//! its changes, it is whole, and once a snapshot shows it, it is visible. Nothing of a row is kept here.
//!
//! A commit may be streamed before any new snapshot sees it (synchronous replication: for as long as that takes), so whoever keeps
//! answers must not trust a new one until it is *visible*: see [`limbo`]. How an instant becomes one before which nothing is missing:
//! [`fresh`]. Which tables can be followed, and from when on: [`table`] and [`wanted`].

pub mod connection;
pub mod copy;
pub mod demand;
pub mod fresh;
pub mod limbo;
pub mod pgoutput;
pub mod publication;
pub mod status;
pub mod table;
pub mod wanted;

mod apply;
mod catalog;
mod keeper;
mod node;
mod pace;
mod sampler;
mod shared;
mod task;

use std::sync::Arc;
use std::time::Instant;

use crate::catalog::Beside;
use crate::plan::consistency::Lsn;
use limbo::Xid;
use pgoutput::Tuple;
use status::Loss;
use table::{Refusal, Table};

pub use task::{Options, Stream};

/// What is told of a stream. Calls come from one task, one after the other; they must be short, and must not wait.
///
/// Between [`Sink::lost`] and the next [`Sink::fresh`] nothing is known. After it, no commit that was begun before is heard of again, and
/// tables are usable again only once that is told anew.
pub trait Sink: Send + Sync {
    /// A transaction has committed, and what it has changed comes next. It may be invisible to snapshots for as long as
    /// [`Sink::visible`] has not been told, unless [`Commit::visible`] is set.
    fn begin(&self, commit: &Commit);

    /// It has changed a row.
    fn changed(&self, commit: &Commit, change: &Change<'_>);

    /// It has changed more of this table than is told row by row, or something that is not understood.
    fn bulk(&self, commit: &Commit, relation: u32);

    /// It has truncated this table.
    fn truncated(&self, commit: &Commit, relation: u32);

    /// It has changed definitions: of tables, views, functions, policies. Told only where the optional objects are installed
    /// (`pgweir upstream install`).
    fn definitions_changed(&self, commit: &Commit);

    /// What answers depend on beside rows looks like this, and is told again before `until`: so what was changed there for longer than that is known
    /// by now, with or without the optional objects.
    fn beside(&self, beside: &Beside, until: Instant);

    /// What this relation is, or what it holds, has changed in a way that rows do not tell: its definition, its partitions, the
    /// contents of a materialized view. `commit` is the one that did so, where that is known; without it, the catalog was found changed.
    fn relation_changed(&self, commit: Option<&Commit>, relation: u32);

    /// All that the commit has changed has been told.
    fn committed(&self, commit: &Commit);

    /// Every snapshot that is taken from now on shows this commit. Told once after [`Sink::committed`].
    fn visible(&self, xid: Xid);

    /// All commits that any snapshot showed before this instant have been told, and are visible. Instants only grow.
    fn fresh(&self, at: Instant);

    /// From now on, every change of this relation is told: its definition is this one. For a relation that was wanted through its
    /// partitions or children, all of these are usable as well, and changes are told of them.
    fn usable(&self, table: &Arc<Table>);

    /// This relation is not followed, or no more. It is tried again from time to time for as long as it is wanted.
    fn unusable(&self, relation: u32, why: &Refusal);

    /// The stream has broken: anything may have happened since the last fresh point.
    fn lost(&self, why: &Loss);
}

/// A transaction that has committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Commit {
    /// Its number: of the whole of it, with its subtransactions.
    pub xid: Xid,
    /// Where its commit record begins.
    pub lsn: Lsn,
    /// A snapshot has shown it before it was read from the stream: [`Sink::visible`] will follow right behind [`Sink::committed`].
    pub visible: bool,
}

/// A row that was changed.
#[derive(Debug)]
pub struct Change<'a> {
    /// The table that holds it: a leaf, if it is one of a partitioned table ([`Table::ancestors`]).
    pub table: &'a Arc<Table>,
    /// How.
    pub kind: Kind,
    /// The row as it is now; `None` for a deleted one.
    pub new: Option<&'a Row<'a>>,
    /// What is known of the row as it was.
    pub old: Old<'a>,
}

/// How a row was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It was inserted.
    Insert,
    /// It was updated.
    Update,
    /// It was deleted.
    Delete,
}

/// What is known of a row as it was.
#[derive(Debug, Clone, Copy)]
pub enum Old<'a> {
    /// There was none: it was inserted.
    Absent,
    /// All columns that are streamed.
    Whole(&'a Row<'a>),
    /// The columns of the replica identity; all others are [`Value::Unknown`].
    Key(&'a Row<'a>),
    /// The columns of the replica identity ([`Table::identity`]) have the values that they have in the new row; nothing is known of others.
    KeyUnchanged,
    /// Nothing.
    Unknown,
}

/// A row, as it was sent. Values are found by the number of their column.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    tuple: Tuple<'a>,
    /// The numbers of the columns that are sent, in their order.
    columns: &'a [i16],
    /// Only these were sent.
    only: Option<&'a [i16]>,
}

/// One value of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// As the type's output function writes it, in the server's encoding or UTF-8, with the settings of the stream's session.
    Text(&'a [u8]),
    /// NULL.
    Null,
    /// A long value that was stored apart and has not changed: it is that of the row before, and not sent.
    Unchanged,
    /// Not sent: generated, not a part of what was sent, or there is no such column.
    Unknown,
}

impl<'a> Row<'a> {
    pub(in crate::control) fn new(tuple: Tuple<'a>, columns: &'a [i16], only: Option<&'a [i16]>) -> Row<'a> {
        Row { tuple, columns, only }
    }

    /// The value of the column of this number (`attnum`).
    pub fn get(&self, column: i16) -> Value<'a> {
        if self.only.is_some_and(|only| !only.contains(&column)) {
            return Value::Unknown;
        }
        let at = self.columns.iter().position(|known| *known == column);
        at.and_then(|at| self.tuple.values().nth(at)).unwrap_or(Value::Unknown)
    }

    /// All columns that were sent, with their values.
    pub fn values(&self) -> impl Iterator<Item = (i16, Value<'a>)> {
        let (only, columns) = (self.only, self.columns);
        let all = columns.iter().copied().zip(self.tuple.values());
        all.filter(move |(column, _)| only.is_none_or(|only| only.contains(column)))
    }
}
