//! What a text may change: nothing, rows of one key, tables, or anything.
//!
//! [`of`] follows what the catalog knows: views to what they read, tables to their partitions and to those that inherit, foreign keys to the
//! rows that follow. Triggers, rules, functions of somebody's own that may write, and texts that are not understood may change
//! everything, unless a rule says what the triggers of a table write. Too much may be told, never too little.
//!
//! It goes by a shape, like [`super::cacheable::judge`]; the values of a narrow change are those of a text ([`Narrow::touched`]). A statement
//! counts where it runs: PREPARE changes nothing, EXECUTE anything, and COMMIT what the transaction did before.

mod closure;
mod narrow;

use std::collections::BTreeSet;

use super::cacheable::Around;
use crate::catalog::{Grounds, Relations, may_move_barriers};
use crate::rules::{TableFacts, TableName};
use crate::sql::facts::{Access, Class, Facts, Name};
use crate::sql::{
    Dialect, Effects, NotRead, Statement, Verb, facts, shape, summarize, words_against_reading,
};

pub use narrow::{Assigned, Narrow};

/// What a text may change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Writes {
    /// No row of any table.
    Nothing,
    /// Rows with certain primary keys of one table, and nothing else.
    Rows(Narrow),
    /// Any row of these tables (`pg_class.oid`, in order, partitions and partitioned tables, no views).
    Tables(Vec<u32>),
    /// Anything.
    Everything,
    /// Definitions or privileges, and anything with them.
    Definitions,
}

/// What triggers of a table write, as a rule says: the table, and all that its triggers, its rules, and functions in its defaults and checks change,
/// directly or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TriggerWrites {
    /// Whose triggers. Without a schema, of any.
    pub table: Name,
    /// What they write.
    pub writes: Vec<Name>,
}

impl TriggerWrites {
    /// What rules say of the tables of a database.
    pub fn told(facts: &TableFacts) -> Vec<TriggerWrites> {
        let name = |table: &TableName| Name { schema: table.schema.clone(), name: table.name.clone() };
        let one = |(table, writes): (&TableName, &BTreeSet<TableName>)| TriggerWrites {
            table: name(table),
            writes: writes.iter().map(name).collect(),
        };
        facts.trigger_writes.iter().map(one).collect()
    }
}

/// What the text may change when it runs.
pub fn of(text: &[u8], dialect: Dialect, around: &Around<'_>, triggers: &[TriggerWrites]) -> Writes {
    let summary = summarize(text, dialect);
    let one = |statement: &Statement, facts: &Facts| {
        let text = &text[statement.range.clone()];
        Statements { text, dialect, statement, facts, around, triggers }.writes()
    };
    let alone = |statement: &Statement| {
        let text = &text[statement.range.clone()];
        one(statement, &facts(text, dialect, &shape(text, dialect))).without_keys()
    };
    match summary.statements.as_slice() {
        // Places are those of the shape of the whole text.
        [statement] => one(statement, &facts(text, dialect, &shape(text, dialect))),
        several => several.iter().map(alone).fold(Writes::Nothing, Writes::and),
    }
}

impl Writes {
    /// Both together.
    #[must_use]
    pub fn and(self, other: Writes) -> Writes {
        use Writes::{Definitions, Everything, Nothing, Rows, Tables};
        match (self, other) {
            (Definitions, _) | (_, Definitions) => Definitions,
            (Everything, _) | (_, Everything) => Everything,
            (Nothing, one) | (one, Nothing) => one,
            (one @ Rows(_), other) | (one, other @ Rows(_)) => one.without_keys().and(other.without_keys()),
            (Tables(mut one), Tables(other)) => {
                one.extend(other);
                one.sort_unstable();
                one.dedup();
                Tables(one)
            }
        }
    }

    /// The same by tables.
    #[must_use]
    pub fn without_keys(self) -> Writes {
        match self {
            Writes::Rows(narrow) => Writes::Tables(vec![narrow.table]),
            other => other,
        }
    }
}

/// One statement, by its own text, and what it is judged by.
struct Statements<'a> {
    text: &'a [u8],
    dialect: Dialect,
    statement: &'a Statement,
    facts: &'a Facts,
    around: &'a Around<'a>,
    triggers: &'a [TriggerWrites],
}

impl Statements<'_> {
    fn writes(&self) -> Writes {
        use Verb::{
            Alter, Begin, Call, Close, Commit, CommitPrepared, Copy, Create, Deallocate, Declare, Delete,
            Discard, Do, Drop, Execute, Explain, Fetch, Insert, Listen, Load, Lock, Merge, Move, Notify,
            Other, Prepare, PrepareTransaction, Release, Reset, Rollback, RollbackPrepared, RollbackTo,
            Savepoint, Select, Set, Show, Table, Truncate, Unlisten, Update, Vacuum, Values, With,
        };
        match self.statement.verb {
            Begin | Commit | Rollback | Savepoint | RollbackTo | Release | PrepareTransaction
            | RollbackPrepared => Writes::Nothing,
            Set | Reset | Show | Listen | Unlisten | Notify | Prepare | Deallocate | Close | Discard
            | Lock | Vacuum => Writes::Nothing,
            // The query was looked at when its cursor was declared, in the same transaction.
            Fetch | Move => Writes::Nothing,
            Call | Do | Execute | CommitPrepared | Load => Writes::Everything,
            Create | Alter | Drop => self.definition(),
            Select | Values | Table | With | Insert | Update | Delete | Merge | Copy | Truncate | Declare => {
                self.rows()
            }
            Explain if self.runs() => self.rows(),
            Explain => self.only_if_harmless(),
            Other => self.other(),
        }
    }

    fn other(&self) -> Writes {
        match self.facts.class {
            Class::Define => Writes::Definitions,
            Class::Utility if self.starts_with(&[b"analyze", b"analyse", b"checkpoint"]) => Writes::Nothing,
            Class::Utility => Writes::Definitions,
            _ => Writes::Everything,
        }
    }

    fn starts_with(&self, words: &[&[u8]]) -> bool {
        words
            .iter()
            .any(|word| self.text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word)))
    }

    /// What is temporary is the session's own, if nothing else is done on the way.
    fn definition(&self) -> Writes {
        let alone = !may_move_barriers(self.text, self.statement.effects);
        match alone && self.is_harmless() {
            true => Writes::Nothing,
            false => Writes::Definitions,
        }
    }

    /// EXPLAIN that runs what it explains: where its options say ANALYZE, whatever they say of it.
    fn runs(&self) -> bool {
        let words = self.text.split(|byte| !byte.is_ascii_alphabetic());
        let runs =
            |word: &[u8]| word.eq_ignore_ascii_case(b"analyze") || word.eq_ignore_ascii_case(b"analyse");
        words.into_iter().any(runs)
    }

    fn grounds(&self) -> Option<(&Grounds, &Relations)> {
        Some((self.around.contents.grounds.as_ref()?, self.around.contents.relations.as_ref()?))
    }

    /// No name in it may write when it is called or reached.
    fn is_harmless(&self) -> bool {
        let opaque = self.statement.effects.intersects(Effects::OPAQUE);
        let meets = |grounds: &Grounds| grounds.writing.meets(self.text, self.dialect).is_some();
        !opaque && self.grounds().is_some_and(|(grounds, _)| !meets(grounds))
    }

    fn only_if_harmless(&self) -> Writes {
        if self.is_harmless() { Writes::Nothing } else { Writes::Everything }
    }

    /// Statements about rows: what their tree says of their tables, and of a read that has none, its words.
    fn rows(&self) -> Writes {
        if !self.is_harmless() {
            return Writes::Everything;
        }
        let Some((grounds, relations)) = self.grounds() else { return Writes::Everything };
        if !self.facts.understood {
            let modifies = words_against_reading(self.text, self.dialect)
                .is_some_and(|why| !matches!(why, NotRead::Locks | NotRead::Session));
            let reads = matches!(self.facts.class, Class::Select) || self.statement.verb == Verb::Declare;
            return if reads && !modifies { Writes::Nothing } else { Writes::Everything };
        }
        let written: Vec<&Name> = self
            .facts
            .tables
            .iter()
            .filter(|table| table.access == Access::Write)
            .map(|table| &table.name)
            .collect();
        if written.is_empty() && self.facts.changes == 0 {
            return Writes::Nothing;
        }
        // SELECT INTO makes a table.
        if self.facts.changes == 0 && self.facts.class == Class::Select {
            return Writes::Definitions;
        }
        if self.around.temporary && written.iter().any(|name| name.schema.is_none()) {
            // A temporary table may have triggers too.
            return Writes::Everything;
        }
        let closure =
            closure::Closure { relations, grounds, path: self.around.search_path, triggers: self.triggers };
        let truncates_all = self.facts.class == Class::Truncate && self.mentions(b"cascade");
        let Some(tables) = closure.of(self.facts, &written, truncates_all) else { return Writes::Everything };
        let overriding = self.mentions(b"overriding");
        match narrow::of(self.facts, &closure, &tables).filter(|_| !overriding) {
            Some(narrow) => Writes::Rows(narrow),
            None => Writes::Tables(tables),
        }
    }

    fn mentions(&self, word: &[u8]) -> bool {
        let mut words = self.text.split(|byte| !byte.is_ascii_alphabetic());
        words.any(|one| one.eq_ignore_ascii_case(word))
    }
}
