//! Levels of a statement: what stands in one FROM, and which columns of it are compared with constants so that other rows do not matter.

use std::ops::Range;

use super::Name;

/// One level: the FROM of a SELECT with its conditions, or what an UPDATE or DELETE is about.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Level {
    /// Everything in FROM, in order; joins are their parts.
    pub variables: Vec<Variable>,
    /// Comparisons of columns with constants which a row has to satisfy to be of any consequence.
    pub conjuncts: Vec<Conjunct>,
    /// Comparisons of columns with each other of which the same is true.
    pub equalities: Vec<Equality>,
}

/// A table, query or function where it stands in FROM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// What its columns are called by.
    pub alias: Box<str>,
    /// Without an alias, its schema, which may stand before its name.
    pub schema: Option<Box<str>>,
    /// The table; `None` for queries, functions and common table expressions.
    pub table: Option<Name>,
    /// Its columns are called something else than in the catalog: `t AS x (a, b)`.
    pub renamed: bool,
}

/// `column = constant` between which and the condition of a WHERE or ON nothing but AND stands.
///
/// A row of one of the variables `of` that does not satisfy it changes nothing in what the level gives, whether it is there or not. So
/// WHERE is of all variables, the ON of an inner join of both sides, that of an outer join of the side that is filled with nulls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conjunct {
    /// For which variables this is so, if the column is one of theirs.
    pub of: Range<usize>,
    /// The variables of the level whose columns can stand in it.
    pub sees: Range<usize>,
    /// The column as written.
    pub column: ColumnName,
    /// What it is equal to.
    pub constant: Constant,
}

/// `column = column`, where a [`Conjunct`] would stand: in WHERE, ON, or by USING.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Equality {
    /// As for a [`Conjunct`]: a row of one of these that no row of the other side is equal to changes nothing, if one of the columns is its own.
    pub of: Range<usize>,
    /// As for a [`Conjunct`]. What is of no variable among these is of a level around.
    pub sees: Range<usize>,
    /// The columns as written, in order.
    pub columns: [ColumnName; 2],
}

/// A column as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnName {
    /// The schema before the table.
    pub schema: Option<Box<str>>,
    /// The table or alias before the column.
    pub table: Option<Box<str>>,
    /// The column itself.
    pub name: Box<str>,
}

/// A literal or parameter, or several.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Constant {
    /// Its place in the shape; in a list, several literals have it.
    pub place: usize,
    /// Whether it is one.
    pub form: Form,
    /// The type that it is cast to, as written, in lower case.
    pub cast: Option<Box<str>>,
}

/// How many values a constant has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Form {
    /// One.
    One,
    /// Those of a list: `IN (...)`, `= ANY (ARRAY[...])`.
    List,
    /// Those in an array that is a literal or a parameter itself: `= ANY ($1)`.
    Array,
}

/// A value of a type that no string stands for without a clock: a cast of what is not known to be such is noted in
/// [`super::Facts::casts`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cast {
    /// The column that is cast, and its table where that is clear; `None` for an expression.
    pub column: Option<(Name, Box<str>)>,
}

/// What the one INSERT, UPDATE or DELETE of a statement changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its table as written.
    pub table: Name,
    /// What it does.
    pub kind: ChangeKind,
    /// The columns it assigns; for an INSERT those that it lists, in order.
    pub columns: Vec<Box<str>>,
}

/// What is done to rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangeKind {
    /// INSERT of values without ON CONFLICT: what stands for each column, in order, where it is a constant.
    Insert(Vec<Option<Constant>>),
    /// Any other INSERT; whether it may update instead.
    InsertOther {
        /// ON CONFLICT DO UPDATE.
        updates: bool,
    },
    /// UPDATE; the number of its level.
    Update(usize),
    /// DELETE; the number of its level.
    Delete(usize),
}
