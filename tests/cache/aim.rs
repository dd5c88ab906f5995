//! What a run is about: everything that sessions do, or few rows and whatever makes a race between them likely.

use super::model::Key;
use super::questions::{FIRST_AROUND, Question, ROWS};
use super::random::Random;
use super::sql::{FORMS, Form};

/// What the sessions of a run read and write most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aim {
    /// Everything.
    Everything,
    /// Few rows by their keys, so that what was kept is asked for again at once, and little is in doubt at a time.
    Hot,
    /// The same, in one form, and more is written.
    Same,
    /// The same as `Hot`, with writes that are visible long before they are acknowledged.
    Linger,
    /// The same as `Hot`, mostly in transactions which last.
    Transactions,
    /// Few rows that are written around pgweir only; much is read in transactions, which show what the server has.
    Around,
    /// Tables by columns by which nobody has asked before.
    Shapes,
}

/// Rows that are written through pgweir, and around it.
const INSIDE: [u32; 2] = [0, 1];
const AROUND: [u32; 2] = [24, 25];
/// Tables and columns of `shaped.sql`.
const TABLES: u32 = 20;
const COLUMNS: u32 = 14;

impl Aim {
    /// A question and how it is asked.
    pub fn draw(self, random: &mut Random, strikes: u32) -> (Question, Form) {
        let inside = self != Aim::Around && !random.once_in(4);
        let row = if inside { random.one_of(&INSIDE) } else { random.one_of(&AROUND) };
        let form = random.one_of(&FORMS);
        match self {
            Aim::Everything => (Question::draw(random), form),
            Aim::Shapes => (Question::Shaped(shaped(strikes), column(strikes, random)), form),
            // All ask for the same at the same time.
            Aim::Same => (Question::Row(row), Form::Unnamed),
            // Transactions have it in this form only.
            Aim::Transactions => (Question::Row(row), Form::Simple),
            _ if random.once_in(6) => (Question::Mate(row), form),
            _ => (Question::Row(row), form),
        }
    }

    /// A row to write: through pgweir, or around it.
    pub fn row(self, random: &mut Random, around: bool) -> u32 {
        match (self, around) {
            (Aim::Everything | Aim::Shapes, true) => FIRST_AROUND + random.below(ROWS - FIRST_AROUND),
            (Aim::Everything | Aim::Shapes, false) => random.low(FIRST_AROUND),
            (_, true) => random.one_of(&AROUND),
            (_, false) => random.one_of(&INSIDE),
        }
    }

    /// Whether anything is written through pgweir: what is in doubt is not served, and hides what is wrong with it.
    pub fn writes_through(self) -> bool {
        !matches!(self, Aim::Around | Aim::Shapes)
    }

    /// How many of forty things that a session does are reads in a transaction.
    pub fn transactions(self) -> u32 {
        match self {
            Aim::Everything => 1,
            Aim::Transactions | Aim::Around => 8,
            Aim::Hot | Aim::Same | Aim::Linger | Aim::Shapes => 0,
        }
    }

    /// Which table of `shaped.sql` is written after so many strikes.
    pub fn shaped(strikes: u32) -> u32 {
        shaped(strikes)
    }

    /// What is there before anybody does anything.
    pub fn keys(self) -> impl Iterator<Item = Key> {
        (0..TABLES).filter(move |_| self == Aim::Shapes).map(Key::Shaped)
    }
}

/// Another column with each strike, and another table when all were used.
fn shaped(strikes: u32) -> u32 {
    strikes / COLUMNS % TABLES
}

/// The newest column, or the one before it, by which everybody knows.
fn column(strikes: u32, random: &mut Random) -> u32 {
    let newest = strikes % COLUMNS;
    if random.once_in(4) { newest.saturating_sub(1) } else { newest }
}

const _: () = assert!(AROUND[0] >= FIRST_AROUND && AROUND[1] < ROWS);
