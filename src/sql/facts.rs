//! What a statement is about, as its syntax tree says: tables, functions, columns in predicates, limits.
//!
//! Of the statement alone: which object a name means, what views and functions do behind it, and which partitions a table
//! has, the `catalog` knows. Found once for a shape, so literals are known by their place in the shape only.
//!
//! The tree is sqlparser's. It is not PostgreSQL's own, so that the walk over it is strict: what PostgreSQL does not have was not
//! understood, and of what is not understood only the class is known. See `docs/design/facts.md`.

mod casts;
mod class;
mod condition;
mod conjunct;
mod depth;
mod expression;
mod level;
mod query;
mod scope;
mod tokens;
mod walk;

use std::fmt;
use std::ops::Range;

use sqlparser::ast::Statement;
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

pub use self::level::{
    Cast, Change, ChangeKind, ColumnName, Conjunct, Constant, Equality, Form, Level, Variable,
};
use self::tokens::Strings;
use self::walk::Walk;
use super::dialect::Dialect;
use super::shape::{Shape, Value};
use super::summary::summarize;

/// Of longer texts, in bytes, only the class is found.
pub const LONGEST: usize = 64 * 1024;

/// How deep sqlparser may call itself.
const RECURSION: usize = 40;

/// What a text says of itself that the server reads in `dialect`; `shape` is the shape of the same text.
///
/// Any bytes are taken. Time and stack are bounded by limits on the length of the text and on the depth of its tree, which is found
/// before there is a tree. Beyond them, and for whatever is not understood, the answer is [`Facts::of_class`].
pub fn facts(text: &[u8], dialect: impl Into<Dialect>, shape: &Shape) -> Facts {
    let dialect = dialect.into();
    let summary = summarize(text, dialect);
    let class = class::class_of(text, &summary, dialect);
    let parsed = match summary.statements.as_slice() {
        [statement] if class != Class::Unknown => {
            parse(text, statement.range.clone(), dialect, Strings::Empty)
        }
        _ => None,
    };
    let walked = parsed.and_then(|tree| {
        let mut walk = Walk::new(class, &shape.literals);
        walk.statement(&tree, true).ok().map(|()| walk.finish())
    });
    walked.unwrap_or_else(|| Facts::of_class(class))
}

/// The tree of a text that is one statement, with what its strings say; `None` unless all of it is understood, as in [`facts`].
///
/// Words that make no difference to facts are not in it (`ONLY`, `NO KEY` before UPDATE, and their like). Bounded as [`facts`] is.
pub fn tree(text: &[u8], dialect: impl Into<Dialect>) -> Option<Statement> {
    let dialect = dialect.into();
    let summary = summarize(text, dialect);
    let class = class::class_of(text, &summary, dialect);
    let [statement] = summary.statements.as_slice() else { return None };
    let tree = parse(text, statement.range.clone(), dialect, Strings::Kept)?;
    let mut walk = Walk::new(class, &[]);
    walk.statement(&tree, true).ok()?;
    Some(tree)
}

fn parse(text: &[u8], range: Range<usize>, dialect: Dialect, strings: Strings) -> Option<Statement> {
    if range.len() > LONGEST {
        return None;
    }
    let tokens = tokens::tokens(text, range, dialect, strings)?;
    let mut parser =
        Parser::new(&PostgreSqlDialect {}).with_recursion_limit(RECURSION).with_tokens_with_locations(tokens);
    let statement = parser.parse_statement().ok()?;
    while parser.consume_token(&Token::SemiColon) {}
    (parser.peek_token_ref().token == Token::EOF).then_some(statement)
}

/// What kind of statement it is, by its command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// SELECT, VALUES, TABLE, and WITH that ends in one of them.
    Select,
    /// INSERT.
    Insert,
    /// UPDATE.
    Update,
    /// DELETE.
    Delete,
    /// MERGE.
    Merge,
    /// TRUNCATE.
    Truncate,
    /// COPY, either way.
    Copy,
    /// CREATE, ALTER, DROP, COMMENT, GRANT and their like.
    Define,
    /// CALL and DO.
    Call,
    /// BEGIN, COMMIT, SAVEPOINT and their like.
    Transaction,
    /// SET, RESET, DISCARD, LISTEN, PREPARE, DECLARE and their like: what belongs to the session.
    Session,
    /// EXPLAIN of anything.
    Explain,
    /// SHOW, FETCH, VACUUM, LOCK and the rest that is known.
    Utility,
    /// No statement, or several in one text.
    Several,
    /// Its command is not known here.
    Unknown,
}

/// A name as written in a statement, folded as PostgreSQL folds it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name {
    /// The schema, where it is written.
    pub schema: Option<Box<str>>,
    /// The object's own name.
    pub name: Box<str>,
}

impl fmt::Display for Name {
    /// With a point, without quotes: for people.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.schema {
            Some(schema) => write!(out, "{schema}.{}", self.name),
            None => out.write_str(&self.name),
        }
    }
}

/// What is done to a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Access {
    /// Its rows are read.
    Read,
    /// Its rows, or it itself, are changed.
    Write,
}

/// A table, view or the like that a statement names; common table expressions are none.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Table {
    /// As written.
    pub name: Name,
    /// The strongest of what is done to it.
    pub access: Access,
}

/// How a predicate compares its column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// `=`, also by USING and by IS NOT DISTINCT FROM.
    Equal,
    /// `IN (...)`, `= ANY (...)`.
    In,
    /// `<`, `<=`, `>`, `>=`, BETWEEN.
    Range,
    /// LIKE, ILIKE, SIMILAR TO, regular expressions.
    Pattern,
    /// `IS NULL`, `IS NOT NULL`.
    Null,
    /// Anything else.
    Other,
}

/// What a column is compared with.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Operand {
    /// A literal or parameter: its place in the shape (`sql::Literal::place`). Texts of one shape differ in which of them stands there, and
    /// in the number of the parameter: [`Operand::in_text`] says what a text has.
    Literal(usize),
    /// A parameter, `$n`. Never in [`Facts`], which are those of a shape: only what [`Operand::in_text`] makes of `Literal`.
    Parameter(u16),
    /// A literal or parameter that is cast, once, to a type that takes no value for another one when it is a string or parameter: its
    /// place. A number may become another one (`1.5::int`).
    Cast(usize),
    /// A column of a table of the statement; `None` where its table is not clear.
    Column(Option<Name>, Box<str>),
    /// An expression.
    Other,
}

impl Operand {
    /// What it is in the text that `shape` was made of: a parameter where that stands in the place of a literal. A folded list stays
    /// what it is.
    pub fn in_text(&self, shape: &Shape) -> Operand {
        let Operand::Literal(place) = *self else { return self.clone() };
        let mut values = shape.literals.iter().filter(|literal| literal.place == place).map(|one| one.value);
        match (values.next(), values.next()) {
            (Some(Value::Parameter(number)), None) => Operand::Parameter(number),
            _ => Operand::Literal(place),
        }
    }
}

/// A column in a condition: WHERE, ON, USING or HAVING.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Predicate {
    /// Its table; `None` where that is not clear without a catalog.
    pub table: Option<Name>,
    /// The column.
    pub column: Box<str>,
    /// How it is compared.
    pub comparison: Comparison,
    /// With what.
    pub operand: Operand,
    /// Nothing but AND stands between it and the statement's own condition, so that every row that is touched satisfies it.
    pub required: bool,
}

/// What is known of a statement by its tree. Where the tree is not understood, what is empty says nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// By its command, known of unparsed statements too.
    pub class: Class,
    /// Whether the tree was understood; else only the class is known.
    pub understood: bool,
    /// Tables, each once, in order of their names.
    pub tables: Vec<Table>,
    /// Functions that are called, each once, in order of their names.
    pub functions: Vec<Name>,
    /// Columns in conditions.
    pub predicates: Vec<Predicate>,
    /// The statement itself (its outermost level) has a WHERE.
    pub filtered: bool,
    /// The statement itself has a LIMIT or FETCH FIRST.
    pub limited: bool,
    /// The statement itself has an ORDER BY.
    pub ordered: bool,
    /// Two relations are joined somewhere with no condition between them.
    pub cross_joined: bool,
    /// FOR UPDATE, FOR SHARE and their like stand somewhere.
    pub locks: bool,
    /// TABLESAMPLE stands somewhere.
    pub sampled: bool,
    /// Each row of its result is made of one row of the one table that it reads, and a row of that table that is in no row of the result has
    /// no influence on it: neither grouped nor joined, no window, and no OFFSET.
    pub row_by_row: bool,
    /// It is one SELECT, in which there is no other, so that its columns are of its one level.
    pub one_select: bool,
    /// Its levels, the inner ones first.
    pub levels: Vec<Level>,
    /// Casts to types whose values may depend on the time when a text is read as one.
    pub casts: Vec<Cast>,
    /// How many INSERT, UPDATE, DELETE and MERGE there are in it.
    pub changes: usize,
    /// The only one of them, if it is no MERGE.
    pub change: Option<Change>,
}

impl Facts {
    /// Of a statement whose tree is not understood.
    pub fn of_class(class: Class) -> Facts {
        Facts {
            class,
            understood: false,
            tables: vec![],
            functions: vec![],
            predicates: vec![],
            filtered: false,
            limited: false,
            ordered: false,
            cross_joined: false,
            locks: false,
            sampled: false,
            row_by_row: false,
            one_select: false,
            levels: vec![],
            casts: vec![],
            changes: 0,
            change: None,
        }
    }
}

#[cfg(test)]
mod tests;
