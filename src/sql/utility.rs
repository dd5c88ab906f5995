//! EXPLAIN, DECLARE, COPY, DO, and the commands that change definitions.

use super::cursor::Cursor;
use super::detail::{Detail, Reading, execute, is_string, read as read_statement};
use super::effects::Effects;
use super::lexer::{Kind, Token};
use super::mentions::code_effects;
use super::text::string_value;
use super::verb::Verb;
use super::words::Word;

/// Reads from behind the first word.
pub(super) fn read(verb: Verb, at: Cursor<'_>) -> Reading {
    match verb {
        Verb::Explain => explain(at),
        Verb::Create => create(at),
        Verb::Alter | Verb::Drop => Reading::new(verb, Detail::None).with(outside_transactions(verb, at)),
        Verb::Declare => Reading::new(verb, Detail::None).with(hold(at)),
        Verb::Copy => Reading::new(verb, Detail::None).with(copy(at)),
        Verb::Do => Reading::new(verb, Detail::None).with(code(at)),
        _ => Reading::new(verb, Detail::None),
    }
}

/// The effects are those of the statement inside, as if it were run.
fn explain(mut at: Cursor<'_>) -> Reading {
    match at.peek_kind() {
        Some(Kind::LeftParen) => _ = at.skip_parens(),
        _ => _ = (at.eat_any(&[b"analyze", b"analyse"]), at.eat(b"verbose")),
    }
    match at.peek() {
        Some(token) => explained(token, at),
        // `EXPLAIN (SELECT ...)`: what looked like options was the query.
        None => Reading::new(Verb::Explain, Detail::None),
    }
}

fn explained(token: Token, at: Cursor<'_>) -> Reading {
    let verb = Verb::of(Word::name(token, at.sql()).as_bytes());
    if verb == Verb::Explain {
        return Reading::new(Verb::Explain, Detail::None).with(Effects::OPAQUE);
    }
    let inner = read_statement(verb, at);
    let detail = if verb == Verb::Execute || verb == Verb::Create { inner.detail } else { Detail::None };
    Reading { verb: Verb::Explain, effects: inner.effects, detail }
}

fn create(at: Cursor<'_>) -> Reading {
    let effects = outside_transactions(Verb::Create, at.clone());
    match as_execute(at) {
        Some(detail) => Reading::new(Verb::Create, detail).with(effects | Effects::EXECUTE),
        None => Reading::new(Verb::Create, Detail::None).with(effects),
    }
}

/// `CREATE [LOCAL | GLOBAL] TEMP TABLE ... ON COMMIT DROP`, from the first word on.
pub(super) fn is_dropped_at_commit(mut at: Cursor<'_>) -> bool {
    at.advance();
    at.eat_any(&[b"local", b"global"]);
    if !at.eat_any(&[b"temp", b"temporary"]) || !at.eat(b"table") {
        return false;
    }
    // Behind AS stands the query.
    while !at.at_end() && !at.at_word(b"as") {
        if at.eat_all(&[b"on", b"commit", b"drop"]) {
            return true;
        }
        match at.peek_kind() {
            Some(Kind::LeftParen) => _ = at.skip_parens(),
            _ => at.advance(),
        }
    }
    false
}

/// `CREATE TABLE ... AS EXECUTE name`.
fn as_execute(mut at: Cursor<'_>) -> Option<Detail> {
    while !at.at_end() {
        if at.eat_all(&[b"as", b"execute"]) {
            return Some(execute(&mut at));
        }
        at.advance();
    }
    None
}

/// NO_TX for the forms of CREATE, ALTER and DROP that PostgreSQL may refuse inside a transaction block.
fn outside_transactions(verb: Verb, mut at: Cursor<'_>) -> Effects {
    let object = at.peek().map(|token| Word::name(token, at.sql()));
    let refused = match object.as_ref().map_or(&b""[..], Word::as_bytes) {
        b"database" => verb != Verb::Alter || mentions(&mut at, b"tablespace"),
        b"tablespace" => verb != Verb::Alter,
        b"subscription" | b"system" => true,
        _ => mentions(&mut at, b"concurrently"),
    };
    if refused { Effects::NO_TX } else { Effects::EMPTY }
}

fn mentions(at: &mut Cursor<'_>, word: &[u8]) -> bool {
    while !at.at_end() {
        if at.eat(word) {
            return true;
        }
        at.advance();
    }
    false
}

fn hold(mut at: Cursor<'_>) -> Effects {
    while !at.at_end() {
        if at.eat_all(&[b"with", b"hold"]) {
            return Effects::HOLD;
        }
        at.advance();
    }
    Effects::EMPTY
}

/// The grammar takes STDIN and STDOUT in both directions.
fn copy(mut at: Cursor<'_>) -> Effects {
    while !at.at_end() {
        if at.eat_any(&[b"from", b"to"]) && at.eat_any(&[b"stdin", b"stdout"]) {
            return Effects::COPY;
        }
        at.advance();
    }
    Effects::EMPTY
}

/// The effects of the code in the strings of a DO.
fn code(mut at: Cursor<'_>) -> Effects {
    let mut effects = Effects::EMPTY;
    while let Some(token) = at.next() {
        if is_string(token.kind) {
            let body = string_value(token, at.sql(), at.dialect());
            effects |= body.map_or(Effects::OPAQUE, |body| code_effects(&body, at.dialect()));
        }
    }
    effects
}
