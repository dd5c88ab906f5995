//! What the output plugin `pgoutput` writes (manual, 55.9 "Logical Replication Message Formats").
//!
//! Versions 1 and 2 of its protocol are the same as long as transactions are not streamed before they commit, which is not asked for
//! here: a message of such a stream is an error. Everything is borrowed from the bytes of the message, and read to its end before
//! anything is given.

use super::Value;
use crate::plan::consistency::Lsn;
use crate::wire::frame::cstr;

/// More columns no row can have (`MaxTupleAttributeNumber`).
const MOST_COLUMNS: u16 = 1664;

/// A message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message<'a> {
    /// A transaction that has committed: its changes follow.
    Begin {
        /// Where its commit record begins.
        commit: Lsn,
        /// Its number.
        xid: u32,
    },
    /// Its end.
    Commit {
        /// Where its commit record begins.
        commit: Lsn,
        /// Where that ends.
        end: Lsn,
    },
    /// What a table is from here on. Sent before its first row, and again when that may have changed.
    Relation(Relation<'a>),
    /// What a type is.
    Type,
    /// The transaction was made elsewhere first.
    Origin,
    /// A row is new.
    Insert {
        /// Of this table.
        relation: u32,
        /// The row.
        new: Tuple<'a>,
    },
    /// A row has changed.
    Update {
        /// Of this table.
        relation: u32,
        /// What is sent of it as it was.
        old: Before<'a>,
        /// The row.
        new: Tuple<'a>,
    },
    /// A row is gone.
    Delete {
        /// Of this table.
        relation: u32,
        /// What is sent of it.
        old: Before<'a>,
    },
    /// Tables were emptied.
    Truncate(Relations<'a>),
    /// What somebody said with `pg_logical_emit_message`.
    Said {
        /// As a part of the transaction, which has committed then.
        transactional: bool,
        /// Whose message it is.
        prefix: &'a [u8],
        /// The message.
        content: &'a [u8],
    },
}

/// What is sent of a row as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Before<'a> {
    /// Nothing: its key has not changed.
    Nothing,
    /// The columns of its key; all others are sent as NULL.
    Key(Tuple<'a>),
    /// All columns.
    Whole(Tuple<'a>),
}

/// What a table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relation<'a> {
    /// Its number.
    pub oid: u32,
    /// Its schema; empty for `pg_catalog`.
    pub schema: &'a [u8],
    /// Its name.
    pub name: &'a [u8],
    /// `relreplident`.
    pub identity: u8,
    count: u16,
    columns: &'a [u8],
}

/// A column that is streamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column<'a> {
    /// It is part of the replica identity.
    pub key: bool,
    /// Its name.
    pub name: &'a [u8],
    /// Its type.
    pub type_oid: u32,
}

/// A row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tuple<'a> {
    count: u16,
    values: &'a [u8],
}

/// Numbers of tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relations<'a>(&'a [u8]);

/// Bytes that are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// It ends too early.
    #[error("a message of pgoutput of type {0:#04x} ends too early")]
    Short(u8),
    /// Something is behind its end.
    #[error("a message of pgoutput of type {0:#04x} has bytes behind its end")]
    Long(u8),
    /// A byte in it says what cannot be.
    #[error("a message of pgoutput of type {0:#04x} has a part of type {1:#04x}, which it cannot have")]
    Part(u8, u8),
    /// A row or table with more columns than there can be.
    #[error("a message of pgoutput of type {0:#04x} has {1} columns")]
    Columns(u8, u16),
    /// No message of the versions that were asked for begins so.
    #[error("a message of pgoutput of the unknown type {0:#04x}")]
    Unknown(u8),
}

impl<'a> Message<'a> {
    /// Reads a message, which is all of `bytes`.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn read(bytes: &'a [u8]) -> Result<Message<'a>, Malformed> {
        let Some((&tag, rest)) = bytes.split_first() else { return Err(Malformed::Short(0)) };
        let mut reader = Reader { tag, rest };
        let message = reader.message()?;
        if reader.rest.is_empty() { Ok(message) } else { Err(Malformed::Long(tag)) }
    }
}

impl<'a> Relation<'a> {
    /// The columns that are streamed, in their order.
    pub fn columns(&self) -> impl Iterator<Item = Column<'a>> {
        let mut reader = Reader { tag: b'R', rest: self.columns };
        (0..self.count).map_while(move |_| reader.column().ok())
    }
}

impl<'a> Tuple<'a> {
    /// The values, in the order of the columns that are streamed.
    pub fn values(&self) -> impl Iterator<Item = Value<'a>> {
        let mut reader = Reader { tag: 0, rest: self.values };
        (0..self.count).map_while(move |_| reader.value().ok())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        usize::from(self.count)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl Relations<'_> {
    /// The numbers.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        self.0.as_chunks::<4>().0.iter().map(|oid| u32::from_be_bytes(*oid))
    }
}

/// The rest of a message.
struct Reader<'a> {
    tag: u8,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn message(&mut self) -> Result<Message<'a>, Malformed> {
        Ok(match self.tag {
            b'B' => {
                let commit = self.lsn()?;
                self.take(8)?;
                Message::Begin { commit, xid: self.u32()? }
            }
            b'C' => {
                self.u8()?;
                let (commit, end) = (self.lsn()?, self.lsn()?);
                self.take(8)?;
                Message::Commit { commit, end }
            }
            b'R' => Message::Relation(self.relation()?),
            b'Y' => {
                self.u32()?;
                self.text()?;
                self.text()?;
                Message::Type
            }
            b'O' => {
                self.lsn()?;
                self.text()?;
                Message::Origin
            }
            b'I' => {
                let relation = self.u32()?;
                self.expect(b'N')?;
                Message::Insert { relation, new: self.tuple()? }
            }
            b'U' => self.update()?,
            b'D' => {
                let relation = self.u32()?;
                match self.u8()? {
                    b'K' => Message::Delete { relation, old: Before::Key(self.tuple()?) },
                    b'O' => Message::Delete { relation, old: Before::Whole(self.tuple()?) },
                    other => return Err(Malformed::Part(self.tag, other)),
                }
            }
            b'T' => {
                let count = self.u32()?;
                self.u8()?;
                Message::Truncate(Relations(self.take(count as usize * 4)?))
            }
            b'M' => {
                let transactional = self.u8()? & 1 != 0;
                self.lsn()?;
                let prefix = self.text()?;
                let length = self.u32()?;
                Message::Said { transactional, prefix, content: self.take(length as usize)? }
            }
            other => return Err(Malformed::Unknown(other)),
        })
    }

    fn update(&mut self) -> Result<Message<'a>, Malformed> {
        let relation = self.u32()?;
        let old = match self.u8()? {
            b'N' => return Ok(Message::Update { relation, old: Before::Nothing, new: self.tuple()? }),
            b'K' => Before::Key(self.tuple()?),
            b'O' => Before::Whole(self.tuple()?),
            other => return Err(Malformed::Part(self.tag, other)),
        };
        self.expect(b'N')?;
        Ok(Message::Update { relation, old, new: self.tuple()? })
    }

    fn relation(&mut self) -> Result<Relation<'a>, Malformed> {
        let (oid, schema, name) = (self.u32()?, self.text()?, self.text()?);
        let (identity, count) = (self.u8()?, self.count()?);
        let columns = self.rest;
        for _ in 0..count {
            self.column()?;
        }
        Ok(Relation { oid, schema, name, identity, count, columns: self.passed(columns) })
    }

    fn column(&mut self) -> Result<Column<'a>, Malformed> {
        let key = self.u8()? & 1 != 0;
        let (name, type_oid) = (self.text()?, self.u32()?);
        self.u32()?;
        Ok(Column { key, name, type_oid })
    }

    fn tuple(&mut self) -> Result<Tuple<'a>, Malformed> {
        let count = self.count()?;
        let values = self.rest;
        for _ in 0..count {
            self.value()?;
        }
        Ok(Tuple { count, values: self.passed(values) })
    }

    fn value(&mut self) -> Result<Value<'a>, Malformed> {
        Ok(match self.u8()? {
            b'n' => Value::Null,
            b'u' => Value::Unchanged,
            b't' => {
                let length = self.u32()?;
                Value::Text(self.take(length as usize)?)
            }
            // Binary values, 'b', are not asked for.
            other => return Err(Malformed::Part(self.tag, other)),
        })
    }

    /// What has been read of `before`, which began where the rest does not yet.
    fn passed(&self, before: &'a [u8]) -> &'a [u8] {
        &before[..before.len() - self.rest.len()]
    }

    fn count(&mut self) -> Result<u16, Malformed> {
        let (high, low) = (self.u8()?, self.u8()?);
        let count = u16::from_be_bytes([high, low]);
        if count > MOST_COLUMNS { Err(Malformed::Columns(self.tag, count)) } else { Ok(count) }
    }

    fn expect(&mut self, part: u8) -> Result<(), Malformed> {
        let found = self.u8()?;
        if found == part { Ok(()) } else { Err(Malformed::Part(self.tag, found)) }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Malformed::Short(self.tag))?;
        self.rest = rest;
        Ok(taken)
    }

    fn text(&mut self) -> Result<&'a [u8], Malformed> {
        let (text, rest) = cstr(self.rest).ok_or(Malformed::Short(self.tag))?;
        self.rest = rest;
        Ok(text)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(Malformed::Short(self.tag))?;
        self.rest = rest;
        Ok(*taken)
    }

    fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(self.array::<1>()?[0])
    }

    fn u32(&mut self) -> Result<u32, Malformed> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    fn lsn(&mut self) -> Result<Lsn, Malformed> {
        Ok(Lsn(u64::from_be_bytes(self.array()?)))
    }
}

#[cfg(test)]
#[path = "pgoutput_tests.rs"]
mod tests;
