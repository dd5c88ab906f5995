//! Tables of the console, and how they go over the wire.

use std::time::SystemTime;

use crate::stats::calendar::timestamp;
use crate::wire::emit;
use crate::wire::frame::back;

const TEXT: (u32, i16) = (25, -1);
const INT8: (u32, i16) = (20, 8);

/// One value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// Characters.
    Text(String),
    /// A whole number.
    Int(u64),
    /// Unknown, or there is none.
    Null,
}

impl From<&str> for Cell {
    fn from(text: &str) -> Cell {
        Cell::Text(text.to_owned())
    }
}

impl From<&String> for Cell {
    fn from(text: &String) -> Cell {
        Cell::Text(text.clone())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Cell {
        Cell::Text(text)
    }
}

impl From<u64> for Cell {
    fn from(number: u64) -> Cell {
        Cell::Int(number)
    }
}

impl From<usize> for Cell {
    fn from(number: usize) -> Cell {
        Cell::Int(number as u64)
    }
}

impl From<u16> for Cell {
    fn from(number: u16) -> Cell {
        Cell::Int(number.into())
    }
}

impl From<i32> for Cell {
    fn from(number: i32) -> Cell {
        Cell::Int(number.max(0) as u64)
    }
}

impl From<bool> for Cell {
    fn from(yes: bool) -> Cell {
        Cell::Int(yes.into())
    }
}

impl From<SystemTime> for Cell {
    fn from(time: SystemTime) -> Cell {
        Cell::Text(timestamp(time))
    }
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Cell {
        value.map_or(Cell::Null, Into::into)
    }
}

/// A row of things that are cells.
macro_rules! row {
    ($($value:expr),* $(,)?) => { vec![$($crate::admin::table::Cell::from($value)),*] };
}
pub(super) use row;

/// The answer to a SHOW.
#[derive(Debug)]
pub struct Table {
    columns: Vec<(String, (u32, i16))>,
    /// Values, as many in each row as there are columns.
    pub rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table without rows. Names are separated by blanks; one that ends in `#` is of numbers.
    pub fn new(columns: &str) -> Table {
        let column = |name: &str| match name.strip_suffix('#') {
            Some(name) => (name.to_owned(), INT8),
            None => (name.to_owned(), TEXT),
        };
        Table { columns: columns.split_whitespace().map(column).collect(), rows: vec![] }
    }

    /// The same with rows.
    pub fn with(mut self, rows: impl IntoIterator<Item = Vec<Cell>>) -> Table {
        self.rows.extend(rows);
        debug_assert!(self.rows.iter().all(|row| row.len() == self.columns.len()));
        self
    }

    /// Names of its columns.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|(name, _)| name.as_str())
    }

    /// Appends RowDescription, rows and CommandComplete.
    pub fn emit(&self, out: &mut Vec<u8>) {
        self.emit_as("SHOW", out);
    }

    /// The same with another tag at its end.
    pub fn emit_as(&self, tag: &str, out: &mut Vec<u8>) {
        emit::frame(out, back::ROW_DESCRIPTION, |out| {
            out.extend_from_slice(&(self.columns.len() as i16).to_be_bytes());
            for (name, (oid, size)) in &self.columns {
                emit::cstr(out, name.as_bytes());
                out.extend_from_slice(&[0; 6]);
                out.extend_from_slice(&oid.to_be_bytes());
                out.extend_from_slice(&size.to_be_bytes());
                out.extend_from_slice(&(-1i32).to_be_bytes());
                out.extend_from_slice(&[0; 2]);
            }
        });
        self.rows.iter().for_each(|row| emit_row(out, row));
        emit::command_complete(out, tag);
    }
}

fn emit_row(out: &mut Vec<u8>, row: &[Cell]) {
    emit::frame(out, back::DATA_ROW, |out| {
        out.extend_from_slice(&(row.len() as i16).to_be_bytes());
        for cell in row {
            let text = match cell {
                Cell::Text(text) => text.clone(),
                Cell::Int(number) => number.to_string(),
                Cell::Null => {
                    out.extend_from_slice(&(-1i32).to_be_bytes());
                    continue;
                }
            };
            out.extend_from_slice(&(text.len() as i32).to_be_bytes());
            out.extend_from_slice(text.as_bytes());
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_description_rows_and_tag() {
        let mut out = vec![];
        Table::new("a b#").with([row!["x", 7u64], row!["", None::<u64>]]).emit(&mut out);
        let mut tags = vec![];
        let mut rest = out.as_slice();
        while let Ok(Some(frame)) = crate::wire::Frame::peek(rest) {
            tags.push(frame.tag);
            rest = &rest[frame.total..];
        }
        assert_eq!(tags, b"TDDC");
        assert!(out.windows(12).any(|window| window == b"\0\0\0\x01x\0\0\0\x017\x44\0"));
    }
}
