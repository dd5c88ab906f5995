//! What a statement is about, for `check` and `explain` of rule files.
//!
//! TO BE REPLACED by the syntax tree's facts as soon as `sql` has them: this one knows the class only, by the verb, so that
//! conditions on tables, columns and the like never hold. Nothing else has to change.

use crate::sql::facts::{Class, Facts};
use crate::sql::{Effects, NotRead, Statement, Verb, not_a_read, summarize};

/// The facts of a text.
pub fn of(text: &str) -> Facts {
    let summary = summarize(text.as_bytes(), true);
    Facts::of_class(match summary.statements.as_slice() {
        [statement] => class(text, statement),
        _ => Class::Several,
    })
}

fn class(text: &str, statement: &Statement) -> Class {
    match statement.verb {
        Verb::Select | Verb::Values | Verb::Table => Class::Select,
        // Its last part is not looked for.
        Verb::With => match not_a_read(text.as_bytes(), true) {
            Some(NotRead::Modifies) => Class::Unknown,
            _ => Class::Select,
        },
        Verb::Insert => Class::Insert,
        Verb::Update => Class::Update,
        Verb::Delete => Class::Delete,
        Verb::Merge => Class::Merge,
        Verb::Truncate => Class::Truncate,
        Verb::Copy => Class::Copy,
        Verb::Create | Verb::Alter | Verb::Drop => Class::Define,
        Verb::Call | Verb::Do => Class::Call,
        Verb::Begin | Verb::Commit | Verb::Rollback | Verb::Savepoint | Verb::RollbackTo | Verb::Release => {
            Class::Transaction
        }
        Verb::PrepareTransaction | Verb::CommitPrepared | Verb::RollbackPrepared => Class::Transaction,
        Verb::Set | Verb::Reset | Verb::Discard | Verb::Listen | Verb::Unlisten | Verb::Load => {
            Class::Session
        }
        Verb::Prepare | Verb::Execute | Verb::Deallocate | Verb::Declare | Verb::Close => Class::Session,
        Verb::Explain => Class::Explain,
        Verb::Show | Verb::Fetch | Verb::Move | Verb::Notify | Verb::Lock | Verb::Vacuum => Class::Utility,
        Verb::Other if statement.effects.contains(Effects::OPAQUE) => Class::Unknown,
        Verb::Other if statement.effects.contains(Effects::DDL) => Class::Define,
        Verb::Other => Class::Utility,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_known_by_the_verb() {
        let check = |text: &str, expected: Class| assert_eq!(of(text), Facts::of_class(expected), "{text}");
        check("select 1", Class::Select);
        check("with a as (select 1) select * from a", Class::Select);
        check("with a as (delete from t returning *) select * from a", Class::Unknown);
        check("start transaction", Class::Transaction);
        check("grant select on t to a", Class::Define);
        check("analyze", Class::Utility);
        check("frobnicate", Class::Unknown);
        check("select 1; select 2", Class::Several);
        check("", Class::Several);
    }
}
