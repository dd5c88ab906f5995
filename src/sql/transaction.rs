//! The commands that begin and end transactions.

use super::cursor::Cursor;
use super::detail::{Detail, Reading, is_string};
use super::lexer::Kind;
use super::verb::Verb;

/// Reads from behind the first word, which is `first`.
pub(super) fn read(verb: Verb, first: &[u8], at: Cursor<'_>) -> Reading {
    match verb {
        Verb::Begin => begin(first, at),
        Verb::Commit => commit(at),
        _ => rollback(at),
    }
}

fn begin(first: &[u8], mut at: Cursor<'_>) -> Reading {
    let simple = match first {
        b"start" => at.eat(b"transaction") && modes(&mut at),
        _ => {
            at.eat_any(&[b"work", b"transaction"]);
            modes(&mut at)
        }
    };
    Reading::new(Verb::Begin, Detail::Begin { simple })
}

/// Transaction modes, with or without commas between them, up to the end.
fn modes(at: &mut Cursor<'_>) -> bool {
    while !at.at_end() {
        if !mode(at) || (at.eat_kind(Kind::Comma) && at.at_end()) {
            return false;
        }
    }
    true
}

fn mode(at: &mut Cursor<'_>) -> bool {
    const MODES: &[&[&[u8]]] = &[
        &[b"read", b"only"],
        &[b"read", b"write"],
        &[b"deferrable"],
        &[b"not", b"deferrable"],
        &[b"isolation", b"level", b"read", b"committed"],
        &[b"isolation", b"level", b"read", b"uncommitted"],
        &[b"isolation", b"level", b"repeatable", b"read"],
        &[b"isolation", b"level", b"serializable"],
    ];
    MODES.iter().any(|words| at.eat_all(words))
}

fn commit(mut at: Cursor<'_>) -> Reading {
    if is_prepared(&at) {
        return Reading::new(Verb::CommitPrepared, Detail::None);
    }
    let detail = chain(&mut at).map_or(Detail::None, |chain| Detail::Commit { chain });
    Reading::new(Verb::Commit, detail)
}

fn rollback(mut at: Cursor<'_>) -> Reading {
    if is_prepared(&at) {
        return Reading::new(Verb::RollbackPrepared, Detail::None);
    }
    let chain = chain(&mut at);
    if at.at_word(b"to") {
        return Reading::new(Verb::RollbackTo, Detail::None);
    }
    Reading::new(Verb::Rollback, chain.map_or(Detail::None, |chain| Detail::Rollback { chain }))
}

fn is_prepared(at: &Cursor<'_>) -> bool {
    at.at_word(b"prepared") && at.peek_second().is_some_and(|token| is_string(token.kind))
}

/// `[WORK | TRANSACTION] [AND [NO] CHAIN]` up to the end.
fn chain(at: &mut Cursor<'_>) -> Option<bool> {
    at.eat_any(&[b"work", b"transaction"]);
    let chain = at.eat_all(&[b"and", b"chain"]);
    if !chain {
        at.eat_all(&[b"and", b"no", b"chain"]);
    }
    at.at_end().then_some(chain)
}
