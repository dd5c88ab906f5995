//! SET, RESET and SHOW.

use super::cursor::Cursor;
use super::detail::{Detail, Reading, SetValue};
use super::effects::Effects;
use super::keywords::is_reserved;
use super::lexer::{Kind, Token};
use super::text::{quote_identifier, string_value, unquoted};
use super::transaction;
use super::verb::Verb;

/// Longest identifier that PostgreSQL does not truncate.
const IDENT_MAX: usize = 63;

/// Reads a SET from behind its first word.
pub(super) fn set(mut at: Cursor<'_>) -> Reading {
    let local = scope(&mut at);
    match is_assignment(&at) {
        true => {
            let assigned = assignment(&mut at);
            // The server knows what name that is.
            let unnamed = assigned.is_none() && !local && at.peek_kind() == Some(Kind::UnicodeIdent);
            finish(assigned, local).with(if unnamed { Effects::UNNAMED } else { Effects::EMPTY })
        }
        false => special(&mut at, local),
    }
}

/// Reads a RESET from behind its first word.
pub(super) fn reset(mut at: Cursor<'_>) -> Reading {
    let all = at.eat(b"all");
    let name = if all { None } else { setting_name(&mut at) };
    let role = match &name {
        Some(name) => name_effect(name),
        None if all => Effects::EMPTY,
        None => Effects::ROLE,
    };
    let understood = (all || name.is_some()) && at.at_end();
    let detail = if understood { Detail::Reset { name } } else { Detail::None };
    Reading::new(Verb::Reset, detail).with(role)
}

/// Reads a SHOW from behind its first word.
pub(super) fn show(mut at: Cursor<'_>) -> Detail {
    let name = match at.eat(b"all") {
        true => Some(b"all".to_vec()),
        false => setting_name(&mut at),
    };
    name.filter(|_| at.at_end()).map_or(Detail::None, |name| Detail::Show { name })
}

/// What it takes for a setting of this name to be set that other settings do not. Names of settings have no case.
pub(super) fn name_effect(name: &[u8]) -> Effects {
    if is_in(&["role", "session_authorization"], name) {
        Effects::ROLE
    } else if is_in(&["seed"], name) {
        Effects::RANDOM_SEED
    } else {
        Effects::EMPTY
    }
}

/// Goes past LOCAL or SESSION where they say the scope; true for LOCAL.
fn scope(at: &mut Cursor<'_>) -> bool {
    if is_assignment(at) || at.clone().eat_all(&[b"session", b"authorization"]) {
        return false;
    }
    if at.clone().eat_all(&[b"session", b"characteristics"]) {
        return false;
    }
    let local = at.eat(b"local");
    if !local {
        at.eat(b"session");
    }
    local
}

/// Whether `name =`, `name TO`, `name FROM` or `name.` is here, whatever the name.
fn is_assignment(at: &Cursor<'_>) -> bool {
    let mut ahead = at.clone();
    ahead.advance();
    ahead.at_operator(b"=")
        || ahead.at_word(b"to")
        || ahead.at_word(b"from")
        || ahead.peek_kind() == Some(Kind::Dot)
}

/// The name and the value; `None` when the name is not understood.
type Assigned = Option<(Vec<u8>, SetValue)>;

fn finish(assigned: Assigned, local: bool) -> Reading {
    let scope = if local { Effects::SET_LOCAL } else { Effects::SETTING };
    let Some((name, value)) = assigned else {
        return reading(scope | Effects::ROLE, Detail::None);
    };
    reading(scope | name_effect(&name), Detail::Set { name, value, local })
}

fn reading(effects: Effects, detail: Detail) -> Reading {
    Reading { verb: Verb::Set, effects, detail }
}

fn assignment(at: &mut Cursor<'_>) -> Assigned {
    let name = dotted_name(at)?;
    let value = match at.eat_operator(b"=") || at.eat(b"to") {
        true => value_or_default(at, &name),
        false => SetValue::Other,
    };
    Some((name, value))
}

/// `a` or `a.b.c`, as PostgreSQL joins the parts.
fn dotted_name(at: &mut Cursor<'_>) -> Option<Vec<u8>> {
    let (mut name, _) = at.name()?;
    while at.eat_kind(Kind::Dot) {
        name.push(b'.');
        name.extend(at.name()?.0);
    }
    Some(name)
}

/// The name in RESET and SHOW, which have three names of several words.
fn setting_name(at: &mut Cursor<'_>) -> Option<Vec<u8>> {
    let known: &[u8] = if at.eat_all(&[b"time", b"zone"]) {
        b"timezone"
    } else if at.eat_all(&[b"transaction", b"isolation", b"level"]) {
        b"transaction_isolation"
    } else if at.eat_all(&[b"session", b"authorization"]) {
        b"session_authorization"
    } else {
        return dotted_name(at);
    };
    Some(known.to_vec())
}

/// The forms of SET without `=` or TO.
fn special(at: &mut Cursor<'_>, local: bool) -> Reading {
    if at.eat(b"constraints") {
        return reading(Effects::SET_LOCAL, Detail::None);
    }
    if at.eat(b"transaction") {
        return finish(Some((b"transaction".to_vec(), modes(at))), true);
    }
    let (name, value): (&[u8], SetValue) = if at.eat_all(&[b"session", b"characteristics"]) {
        let follow = at.eat_all(&[b"as", b"transaction"]);
        (b"session characteristics", if follow { modes(at) } else { SetValue::Other })
    } else if at.eat_all(&[b"session", b"authorization"]) {
        (b"session_authorization", one_word_or_default(at))
    } else if at.eat(b"role") {
        (b"role", one_word(at))
    } else if at.eat_all(&[b"time", b"zone"]) {
        (b"timezone", time_zone(at))
    } else if at.eat(b"names") {
        (b"client_encoding", encoding(at))
    } else if at.eat(b"schema") {
        (b"search_path", one_string(at, b"search_path"))
    } else if at.eat_all(&[b"xml", b"option"]) {
        (b"xmloption", SetValue::Other)
    } else {
        return finish(None, local);
    };
    finish(Some((name.to_vec(), value)), local)
}

fn modes(at: &mut Cursor<'_>) -> SetValue {
    transaction::modes(at).map_or(SetValue::Other, SetValue::Modes)
}

fn time_zone(at: &mut Cursor<'_>) -> SetValue {
    match at.at_word(b"local") && at.peek_second().is_none() {
        true => SetValue::Default,
        false => value_or_default(at, b"timezone"),
    }
}

fn encoding(at: &mut Cursor<'_>) -> SetValue {
    match at.at_end() || is_default(at) {
        true => SetValue::Default,
        false => one_string(at, b"client_encoding"),
    }
}

/// A single string constant.
fn one_string(at: &mut Cursor<'_>, name: &[u8]) -> SetValue {
    match at.peek_kind() {
        Some(Kind::Ident | Kind::QuotedIdent) => SetValue::Other,
        _ if at.peek_second().is_some() => SetValue::Other,
        _ => values(at, name).unwrap_or(SetValue::Other),
    }
}

/// A single word or string constant; DEFAULT is none.
fn one_word(at: &mut Cursor<'_>) -> SetValue {
    match at.peek_kind() {
        Some(Kind::Integer | Kind::Float | Kind::Operator) | None => SetValue::Other,
        Some(_) => values(at, b"role").unwrap_or(SetValue::Other),
    }
}

fn one_word_or_default(at: &mut Cursor<'_>) -> SetValue {
    match is_default(at) {
        true => SetValue::Default,
        false => one_word(at),
    }
}

fn value_or_default(at: &mut Cursor<'_>, name: &[u8]) -> SetValue {
    match is_default(at) {
        true => SetValue::Default,
        false => values(at, name).unwrap_or(SetValue::Other),
    }
}

/// Whether DEFAULT is all that follows.
fn is_default(at: &Cursor<'_>) -> bool {
    at.at_word(b"default") && at.peek_second().is_none()
}

/// Values separated by commas up to the end, rendered as `flatten_set_variable_args` of the server does;
/// `None` for what the server refuses or what takes more than the text to know.
fn values(at: &mut Cursor<'_>, name: &[u8]) -> Option<SetValue> {
    let mut rendered = value(at, name)?;
    while at.eat_kind(Kind::Comma) {
        if !is_in(LISTS, name) && !is_in(QUOTED_LISTS, name) {
            return None;
        }
        rendered.extend(b", ");
        rendered.extend(value(at, name)?);
    }
    at.at_end().then_some(SetValue::Literal(rendered))
}

fn value(at: &mut Cursor<'_>, name: &[u8]) -> Option<Vec<u8>> {
    let negative = at.eat_operator(b"-");
    let signed = negative || at.eat_operator(b"+");
    let token = at.next()?;
    match token.kind {
        Kind::Integer | Kind::Float => number(token.text(at.sql()), negative),
        _ if signed => None,
        _ => text(token, at).map(|text| match is_in(QUOTED_LISTS, name) {
            true => quote_identifier(&text),
            false => text,
        }),
    }
}

/// A string or an identifier.
fn text(token: Token, at: &Cursor<'_>) -> Option<Vec<u8>> {
    let text = token.text(at.sql());
    match token.kind {
        Kind::Ident => Some(at.dialect().folded(text)).filter(|word| is_value_word(word)),
        Kind::QuotedIdent => unquoted(text).filter(|name| name.len() <= IDENT_MAX),
        _ => string_value(token, at.sql(), at.dialect()),
    }
}

fn is_value_word(word: &[u8]) -> bool {
    word.len() <= IDENT_MAX && (!is_reserved(word) || matches!(word, b"true" | b"false" | b"on"))
}

/// Decimal integers of 32 bits are printed anew, other decimal numbers as they are written.
fn number(text: &[u8], negative: bool) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(text).ok()?;
    let decimal = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'));
    let sign = if negative { "-" } else { "" };
    let rendered = match text.parse::<i32>() {
        Ok(0) => String::from("0"),
        Ok(number) => format!("{sign}{number}"),
        Err(_) => format!("{sign}{text}"),
    };
    decimal.then(|| rendered.into_bytes())
}

fn is_in(names: &[&str], name: &[u8]) -> bool {
    names.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(name))
}

/// Settings that take a list whose elements the server quotes as identifiers (`GUC_LIST_QUOTE`).
const QUOTED_LISTS: &[&str] = &[
    "search_path",
    "temp_tablespaces",
    "local_preload_libraries",
    "session_preload_libraries",
    "shared_preload_libraries",
    "unix_socket_directories",
];

/// Other settings that take a list (`GUC_LIST_INPUT`) and that a session may change. For a list given to
/// any other setting the value is not said: the server refuses it unless an extension defined it so.
const LISTS: &[&str] = &["datestyle", "createrole_self_grant", "restrict_nonsystem_relation_kind"];
