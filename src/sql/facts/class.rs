//! The class of a statement, by its own words: known of every text, whatever its tree may be.

use super::Class;
use crate::sql::cursor::Cursor;
use crate::sql::dialect::Dialect;
use crate::sql::lexer::{Kind, Token};
use crate::sql::summary::{Statement, Summary};
use crate::sql::verb::Verb;
use crate::sql::words::{Word, is_word};

/// The class of a text with these statements.
pub(super) fn class_of(sql: &[u8], summary: &Summary, dialect: Dialect) -> Class {
    match summary.statements.as_slice() {
        [statement] => of_statement(sql, statement, dialect),
        _ => Class::Several,
    }
}

fn of_statement(sql: &[u8], statement: &Statement, dialect: Dialect) -> Class {
    match statement.verb {
        Verb::With => behind_with(Cursor::new(sql, statement.range.clone(), dialect)),
        Verb::Other => other(Cursor::new(sql, statement.range.clone(), dialect)),
        verb => of_verb(verb),
    }
}

fn of_verb(verb: Verb) -> Class {
    match verb {
        Verb::Select | Verb::Values | Verb::Table => Class::Select,
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
        Verb::Set | Verb::Reset | Verb::Discard | Verb::Load => Class::Session,
        Verb::Listen | Verb::Unlisten | Verb::Notify => Class::Session,
        Verb::Prepare | Verb::Execute | Verb::Deallocate | Verb::Declare | Verb::Close => Class::Session,
        Verb::Explain => Class::Explain,
        Verb::Show | Verb::Fetch | Verb::Move | Verb::Lock | Verb::Vacuum => Class::Utility,
        Verb::With | Verb::Other => Class::Unknown,
    }
}

/// By the first word, of commands that have no verb.
fn other(at: Cursor<'_>) -> Class {
    let Some(first) = at.peek().filter(|token| token.kind == Kind::Ident) else { return Class::Unknown };
    match Word::folded(first.text(at.sql())).as_bytes() {
        b"comment" | b"grant" | b"revoke" | b"security" | b"import" | b"reassign" | b"refresh" => {
            Class::Define
        }
        b"analyze" | b"analyse" | b"checkpoint" | b"reindex" | b"cluster" | b"repack" => Class::Utility,
        _ => Class::Unknown,
    }
}

/// By the command that stands behind the common table expressions: the first one, outside of parentheses, that is not the name
/// of such an expression.
fn behind_with(mut at: Cursor<'_>) -> Class {
    while at.eat_kind(Kind::LeftParen) {}
    at.eat(b"with");
    at.eat(b"recursive");
    let mut before = None;
    while let Some(token) = at.peek() {
        let is_name =
            before.is_none_or(|token: Token| token.kind == Kind::Comma || follows_a_name(token, &at));
        let opens_query = before.is_some_and(|token| token.kind == Kind::RightParen);
        match token.kind {
            Kind::Ident if !is_name => match of_verb(Verb::of(Word::name(token, at.sql()).as_bytes())) {
                Class::Unknown if is_word(Some(token), at.sql(), b"with") => return behind_with(at),
                class @ (Class::Select | Class::Insert | Class::Update | Class::Delete | Class::Merge) => {
                    return class;
                }
                _ => at.advance(),
            },
            // `WITH a AS (...) ((SELECT ...) ...)`.
            Kind::LeftParen if opens_query => {
                at.advance();
                continue;
            }
            Kind::LeftParen => {
                if !at.skip_parens() {
                    return Class::Unknown;
                }
                before = Some(Token { kind: Kind::RightParen, ..token });
                continue;
            }
            _ => at.advance(),
        }
        before = Some(token);
    }
    Class::Unknown
}

/// Behind the words of SEARCH and CYCLE that end in a name.
fn follows_a_name(token: Token, at: &Cursor<'_>) -> bool {
    [&b"set"[..], b"using", b"by"].iter().any(|word| is_word(Some(token), at.sql(), word))
}
