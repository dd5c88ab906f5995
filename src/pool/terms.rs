//! Terms: what rules make of an answer that is still to come.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Instant;

/// What rules make of one statement's answer. A portal that is executed in pieces has the same for all of them.
#[derive(Debug, Default)]
pub struct Terms {
    /// The statement was sent in other words.
    pub wording: Option<Rc<Wording>>,
    /// How many rows it may have.
    pub rows: Option<Rows>,
    /// When it was sent, if a copy of it went to another node; until its time has been counted.
    pub copied: Cell<Option<Instant>>,
}

impl Terms {
    /// Whether rules make nothing of it.
    pub fn is_empty(&self) -> bool {
        self.wording.is_none() && self.rows.is_none() && self.copied.get().is_none()
    }
}

/// How the words that a server got differ from the client's.
#[derive(Debug, PartialEq, Eq)]
pub enum Wording {
    /// So many characters more stand before them.
    Behind(usize),
    /// They are others, by the rule of this name: a place in them is none in the client's.
    Others(Box<str>),
}

/// A limit on rows.
#[derive(Debug)]
pub struct Rows {
    limit: u64,
    seen: Cell<u64>,
    over: Cell<bool>,
    ended: Cell<bool>,
    /// What the client is told in the place of those beyond it: an ErrorResponse.
    pub fault: Box<[u8]>,
}

/// What becomes of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Row {
    /// It is the client's.
    Within,
    /// It is the first that is not.
    First,
    /// There were others before it that are not.
    Beyond,
}

impl Rows {
    /// So many, and what the client is told of more.
    pub fn new(limit: u64, fault: Box<[u8]>) -> Rows {
        Rows { limit, seen: Cell::new(0), over: Cell::new(false), ended: Cell::new(false), fault }
    }

    /// Counts a row. One more is let through where `copy` says that it is one of COPY, whose header or trailer looks like a row.
    pub fn count(&self, copy: bool) -> Row {
        if self.over.get() {
            return Row::Beyond;
        }
        self.seen.set(self.seen.get() + 1);
        if self.seen.get() <= self.limit.saturating_add(u64::from(copy)) {
            return Row::Within;
        }
        self.over.set(true);
        Row::First
    }

    /// Whether there were too many.
    pub fn is_over(&self) -> bool {
        self.over.get()
    }

    /// The statement has come to its end before it could be stopped.
    pub fn end(&self) {
        self.ended.set(true);
    }

    /// Whether it has.
    pub fn has_ended(&self) -> bool {
        self.ended.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_counted_up_to_the_limit() {
        let rows = Rows::new(2, Box::default());
        let counted: Vec<Row> = (0..4).map(|_| rows.count(false)).collect();
        assert_eq!(counted, [Row::Within, Row::Within, Row::First, Row::Beyond]);
        assert!(rows.is_over() && !rows.has_ended());
        let copied = Rows::new(1, Box::default());
        let counted: Vec<Row> = (0..3).map(|_| copied.count(true)).collect();
        assert_eq!(counted, [Row::Within, Row::Within, Row::First]);
    }
}
