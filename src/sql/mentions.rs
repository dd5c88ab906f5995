//! Names that matter wherever they stand, and the code of functions.

use super::cursor::Cursor;
use super::detail::{Detail, Reading, is_string};
use super::dialect::Dialect;
use super::effects::Effects;
use super::lexer::{Kind, Lexer, Token};
use super::set;
use super::text::string_value;
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
    let mut effects = code_as_read(source, standard);
    if source.contains(&b'\\') && scans(source, old) {
        effects |= code_as_read(source, old);
    }
    effects
}

/// Whether PostgreSQL's scanner takes the code: what it refuses never runs.
fn scans(source: &[u8], dialect: Dialect) -> bool {
    Lexer::new(source, dialect).all(|token| !matches!(token.kind, Kind::Unterminated | Kind::Other))
}

fn code_as_read(source: &[u8], dialect: Dialect) -> Effects {
    let mut lexer = Lexer::new(source, dialect);
    let mut before = [None; 2];
    let (mut effects, mut strings) = (Effects::EMPTY, Effects::EMPTY);
    while let Some(token) = lexer.next() {
        if is_string(token.kind) {
            strings |= part_of_a_text(token, source, dialect);
        }
        if token.kind != Kind::Comment {
            effects |=
                token_effects::<true>(token, &before, &lexer) | code_token_effects(token, before[1], &lexer);
            before = [before[1], Some(token)];
        }
    }
    match effects.contains(Effects::EXECUTE) {
        true => effects | strings,
        false => effects,
    }
}

/// Whether a string, as a part of a text that code makes and runs, sets something without saying its name.
fn part_of_a_text(string: Token, source: &[u8], dialect: Dialect) -> Effects {
    let Some(text) = string_value(string, source, dialect) else { return Effects::EMPTY };
    let mut lexer = Lexer::new(&text, dialect);
    let (mut before, mut effects) = ([None; 2], Effects::EMPTY);
    while let Some(token) = lexer.next() {
        effects |=
            token_effects::<true>(token, &before, &lexer) | code_token_effects(token, before[1], &lexer);
        before = [before[1], Some(token)];
    }
    let bound = effects.contains(Effects::BOUND_NAME);
    if bound || effects.contains(Effects::UNNAMED) { Effects::UNNAMED } else { Effects::EMPTY }
}

/// The effects of one token of a statement. `before` are the two tokens before it, the nearest last, and
/// `lexer` is behind it.
#[inline]
pub(super) fn token_effects<const CODE: bool>(
    token: Token,
    before: &[Option<Token>; 2],
    lexer: &Lexer<'_>,
) -> Effects {
    match token.kind {
        Kind::Ident | Kind::QuotedIdent if may_matter(token.text(lexer.sql())) => {
            name_effects::<CODE>(token, before, lexer)
        }
        Kind::UnicodeIdent | Kind::Unterminated | Kind::Other => Effects::OPAQUE,
        _ => Effects::EMPTY,
    }
}

#[cold]
fn name_effects<const CODE: bool>(token: Token, before: &[Option<Token>; 2], lexer: &Lexer<'_>) -> Effects {
    let name = Word::name(token, lexer.sql());
    match (name.as_bytes(), token.kind) {
        (b"set_config", _) => set_config(Cursor::from_lexer(lexer.clone()), CODE),
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

/// From behind the name `set_config`, in code or in a statement of its own.
fn set_config(mut at: Cursor<'_>, in_code: bool) -> Effects {
    if !at.eat_kind(Kind::LeftParen) {
        return Effects::EMPTY;
    }
    let (name, named) = match literal_name(&at) {
        Some(name) => (set::name_effect(&name), Effects::EMPTY),
        None if bound_name(&at).is_some() || in_code && is_variable(&at) => {
            (Effects::ROLE, Effects::BOUND_NAME)
        }
        None => (Effects::ROLE, Effects::UNNAMED),
    };
    match third_is_true(at) {
        true => Effects::SET_LOCAL | name,
        false => Effects::SETTING | name | named,
    }
}

/// The first argument, if it is a string and nothing else.
pub(super) fn literal_name(at: &Cursor<'_>) -> Option<Vec<u8>> {
    let token = at.peek().filter(|token| is_string(token.kind))?;
    string_value(token, at.sql(), at.dialect()).filter(|_| is_alone(at))
}

/// Whether the first argument is a name, as code calls what it was given; or whether there are no arguments, where only the
/// function itself is meant.
fn is_variable(at: &Cursor<'_>) -> bool {
    match at.peek_kind() {
        Some(Kind::Ident | Kind::QuotedIdent) => is_alone(at),
        other => other == Some(Kind::RightParen),
    }
}

/// Whether nothing else stands in the argument that begins here, but a cast to text.
fn is_alone(at: &Cursor<'_>) -> bool {
    let mut at = at.clone();
    at.advance();
    if at.eat_kind(Kind::Typecast) && !at.eat(b"text") {
        return false;
    }
    at.peek_kind() == Some(Kind::Comma)
}

/// The number of the parameter that the first argument is, if it is nothing else.
pub(super) fn bound_name(at: &Cursor<'_>) -> Option<u16> {
    let token = at.peek().filter(|token| token.kind == Kind::Param)?;
    let number = std::str::from_utf8(&token.text(at.sql())[1..]).ok()?.parse().ok()?;
    is_alone(at).then_some(number)
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

/// A SET that is not whole, for it is only a part of a text, may set anything.
fn command_set(set: Reading) -> Effects {
    let unnamed = set.detail == Detail::None && set.effects.contains(Effects::SETTING);
    if unnamed { set.effects | Effects::UNNAMED } else { set.effects }
}

fn command_effects(word: &[u8], lexer: &Lexer<'_>) -> Effects {
    match Verb::of(word) {
        Verb::Set => command_set(set::set(Cursor::from_lexer(lexer.clone()))),
        Verb::Reset => set::reset(Cursor::from_lexer(lexer.clone())).effects,
        // BEGIN and END are those of a block; START is no command of a function.
        Verb::Begin => Effects::EMPTY,
        Verb::Commit if word == b"end" => Effects::EMPTY,
        // Assignments, IF, PERFORM and the like are no commands.
        Verb::Other => other_effects(word).without(Effects::OPAQUE),
        verb => verb.effects(),
    }
}
