//! Names that matter wherever they stand, and the code of functions.

use super::cursor::Cursor;
use super::dialect::Dialect;
use super::effects::Effects;
use super::lexer::{Kind, Lexer, Token};
use super::set;
use super::verb::{Verb, other_effects};
use super::words::{Word, is_word, may_matter, mention};

/// How many tokens of the arguments of a `set_config` are looked at before the worst is assumed.
const ARGUMENT_TOKENS: usize = 64;

/// What the code of a function in SQL or PL/pgSQL (`pg_proc.prosrc`) may do to the session that calls it.
///
/// As over-approximate as [`super::summarize`]; dynamic SQL (EXECUTE) gives [`Effects::OPAQUE`]. What
/// the functions called from there do is not included. For code in other
/// languages the answer means nothing. The value of `standard_conforming_strings` when the function runs
/// is not known here: where the code makes sense in both readings, both count.
pub fn mentions_session_effects(function_source: &[u8]) -> Effects {
    code_effects(function_source, true.into())
}

/// The same for code whose bytes are those of `dialect`. Its strings are read in both ways.
pub(super) fn code_effects(source: &[u8], dialect: Dialect) -> Effects {
    let (standard, old) = (dialect.with_std_strings(true), dialect.with_std_strings(false));
    let effects = code_as_read(source, standard);
    match source.contains(&b'\\') && scans(source, old) {
        true => effects | code_as_read(source, old),
        false => effects,
    }
}

/// Whether PostgreSQL's scanner takes the code: what it refuses never runs.
fn scans(source: &[u8], dialect: Dialect) -> bool {
    Lexer::new(source, dialect).all(|token| !matches!(token.kind, Kind::Unterminated | Kind::Other))
}

fn code_as_read(source: &[u8], dialect: Dialect) -> Effects {
    let mut lexer = Lexer::new(source, dialect);
    let mut before = [None; 2];
    let mut effects = Effects::EMPTY;
    while let Some(token) = lexer.next() {
        if token.kind != Kind::Comment {
            effects |= token_effects(token, &before, &lexer) | code_token_effects(token, before[1], &lexer);
            before = [before[1], Some(token)];
        }
    }
    effects
}

/// The effects of one token of a statement. `before` are the two tokens before it, the nearest last, and
/// `lexer` is behind it.
#[inline]
pub(super) fn token_effects(token: Token, before: &[Option<Token>; 2], lexer: &Lexer<'_>) -> Effects {
    match token.kind {
        Kind::Ident | Kind::QuotedIdent if may_matter(token.text(lexer.sql())) => {
            name_effects(token, before, lexer)
        }
        Kind::UnicodeIdent | Kind::Unterminated | Kind::Other => Effects::OPAQUE,
        _ => Effects::EMPTY,
    }
}

#[cold]
fn name_effects(token: Token, before: &[Option<Token>; 2], lexer: &Lexer<'_>) -> Effects {
    let name = Word::name(token, lexer.sql());
    match (name.as_bytes(), token.kind) {
        (b"set_config", _) => set_config(Cursor::from_lexer(lexer.clone())),
        (b"into", Kind::Ident) => into(before[1], lexer.sql()),
        (b"temp" | b"temporary", Kind::Ident) => temp(before, lexer.sql()),
        (name, _) => mention(name),
    }
}

fn is_any(token: Option<Token>, sql: &[u8], words: &[&[u8]]) -> bool {
    words.iter().any(|word| is_word(token, sql, word))
}

/// SELECT INTO creates a table; INSERT INTO and MERGE INTO do not.
fn into(before: Option<Token>, sql: &[u8]) -> Effects {
    match is_any(before, sql, &[b"insert", b"merge"]) {
        true => Effects::EMPTY,
        false => Effects::DDL,
    }
}

/// `CREATE [OR REPLACE] [LOCAL | GLOBAL] TEMP`, `SELECT INTO [LOCAL | GLOBAL] TEMP`.
fn temp(before: &[Option<Token>; 2], sql: &[u8]) -> Effects {
    let target = is_word(before[1], sql, b"into") && is_any(before[0], sql, &[b"insert", b"merge"]);
    let found = is_any(before[1], sql, &[b"create", b"replace", b"local", b"global", b"into"]) && !target;
    if found { Effects::TEMP } else { Effects::EMPTY }
}

/// From behind the name `set_config`.
fn set_config(mut at: Cursor<'_>) -> Effects {
    if !at.eat_kind(Kind::LeftParen) {
        return Effects::EMPTY;
    }
    let role = match literal_name(&at) {
        Some(name) => set::role_effect(name),
        None => Effects::ROLE,
    };
    match third_is_true(at) {
        true => Effects::SET_LOCAL | role,
        false => Effects::SETTING | role,
    }
}

/// The first argument, if it is a plain string and nothing else.
fn literal_name<'a>(at: &Cursor<'a>) -> Option<&'a [u8]> {
    let token = at.peek().filter(|token| token.kind == Kind::String)?;
    let text = token.text(at.sql());
    let name = &text[1..text.len() - 1];
    let plain = name.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.'));
    let alone = at.peek_second().is_some_and(|next| next.kind == Kind::Comma);
    (plain && alone).then_some(name)
}

/// Whether the third argument is the keyword TRUE and nothing else.
fn third_is_true(mut at: Cursor<'_>) -> bool {
    let (mut depth, mut commas) = (0_usize, 0);
    for _ in 0..ARGUMENT_TOKENS {
        match at.peek_kind() {
            Some(Kind::LeftParen | Kind::LeftBracket) => depth += 1,
            Some(Kind::RightParen | Kind::RightBracket) if depth > 0 => depth -= 1,
            Some(Kind::RightParen) => return false,
            Some(Kind::Comma) if depth == 0 => commas += 1,
            Some(_) if depth > 0 || commas < 2 => {}
            Some(_) => return at.eat(b"true") && at.peek_kind() == Some(Kind::RightParen),
            None => return false,
        }
        at.advance();
    }
    false
}

/// What a token of a function's code may do that it could not do inside a plain statement.
fn code_token_effects(token: Token, before: Option<Token>, lexer: &Lexer<'_>) -> Effects {
    if token.kind != Kind::Ident {
        return Effects::EMPTY;
    }
    let word = Word::name(token, lexer.sql());
    match word.as_bytes() {
        b"execute" => Effects::EXECUTE | Effects::OPAQUE,
        b"hold" if is_word(before, lexer.sql(), b"with") => Effects::HOLD,
        word if starts_statement(before, lexer.sql()) => command_effects(word, lexer),
        _ => Effects::EMPTY,
    }
}

/// Whether a statement of SQL or PL/pgSQL may begin behind this token.
fn starts_statement(before: Option<Token>, sql: &[u8]) -> bool {
    let Some(token) = before else { return true };
    match token.kind {
        Kind::Semicolon => true,
        Kind::Operator => token.text(sql) == b">>",
        _ => is_any(before, sql, &[b"begin", b"atomic", b"then", b"else", b"loop"]),
    }
}

fn command_effects(word: &[u8], lexer: &Lexer<'_>) -> Effects {
    match Verb::of(word) {
        Verb::Set => set::set(Cursor::from_lexer(lexer.clone())).effects,
        Verb::Reset => set::reset(Cursor::from_lexer(lexer.clone())).effects,
        // BEGIN and END are those of a block; START is no command of a function.
        Verb::Begin => Effects::EMPTY,
        Verb::Commit if word == b"end" => Effects::EMPTY,
        // Assignments, IF, PERFORM and the like are no commands.
        Verb::Other => other_effects(word).without(Effects::OPAQUE),
        verb => verb.effects(),
    }
}
