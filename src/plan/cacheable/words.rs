//! What words and names of a statement say against keeping its result.

use super::Refusal;
use super::values::Given;
use crate::catalog::{Barrier, Contents, Grounds};
use crate::sql::facts::{Class, Facts};
use crate::sql::{Dialect, Kind, Lexer, Literal, Token, Value, literal_string, unquoted};

/// Values without a call, which nobody names a column without quotes.
const SESSION_VALUES: &[&str] = &[
    "current_catalog",
    "current_date",
    "current_role",
    "current_schema",
    "current_time",
    "current_timestamp",
    "current_user",
    "localtime",
    "localtimestamp",
    "session_user",
    "system_user",
    "user",
];

/// Columns that every table has. Locks of rows and VACUUM change some of them, of which no stream tells.
const SYSTEM_COLUMNS: &[&str] = &["cmax", "cmin", "ctid", "tableoid", "xmax", "xmin"];

/// Types whose values are written as names of objects.
const NAMES_OF_OBJECTS: &[&str] = &[
    "regclass",
    "regcollation",
    "regconfig",
    "regdictionary",
    "regnamespace",
    "regoper",
    "regoperator",
    "regproc",
    "regprocedure",
    "regrole",
    "regtype",
];

/// Functions of PostgreSQL's own that a read may call, and that give another result each time.
const VOLATILE: &[&str] = &[
    "bernoulli",
    "clock_timestamp",
    "gen_random_uuid",
    "pg_sleep",
    "pg_sleep_for",
    "pg_sleep_until",
    "random",
    "random_normal",
    "system",
    "timeofday",
    "uuidv4",
    "uuidv7",
];

/// What texts of dates and times say that stands for another moment each time.
const MOMENTS: &[&str] = &["now", "today", "tomorrow", "yesterday"];

/// By the statement alone.
pub(super) fn check(text: &[u8], dialect: Dialect, facts: &Facts) -> Result<(), Refusal> {
    if facts.sampled {
        return Err(Refusal::TableSample);
    }
    if facts.locks {
        return Err(Refusal::ForUpdate);
    }
    let mut before = [None, None];
    for token in Lexer::new(text, dialect).filter(|token| token.kind != Kind::Comment) {
        check_token(token, before, text)?;
        before = [before[1], Some(token)];
    }
    match facts.understood && facts.class == Class::Select {
        true => Ok(()),
        false => Err(Refusal::NotUnderstood),
    }
}

fn check_token(token: Token, before: [Option<Token>; 2], sql: &[u8]) -> Result<(), Refusal> {
    let is = |token: Option<Token>, kinds: &[Kind]| token.is_some_and(|token| kinds.contains(&token.kind));
    // `(x).f` is `f(x)`.
    let of_a_value = is(before[1], &[Kind::Dot]) && is(before[0], &[Kind::RightParen, Kind::RightBracket]);
    let text = token.text(sql);
    let name = match token.kind {
        Kind::Ident => text.to_ascii_lowercase(),
        Kind::QuotedIdent => unquoted(text).unwrap_or_default(),
        Kind::UnicodeIdent => return Err(Refusal::NotUnderstood),
        _ => return Ok(()),
    };
    let among = |names: &[&str]| names.iter().any(|one| one.as_bytes() == name);
    if of_a_value {
        return Err(Refusal::NotUnderstood);
    }
    if among(SYSTEM_COLUMNS) {
        return Err(Refusal::SystemColumn);
    }
    if among(NAMES_OF_OBJECTS) {
        return Err(Refusal::SystemCatalog);
    }
    let is_label = before[1].is_some_and(|one| one.text(sql).eq_ignore_ascii_case(b"as"));
    let names = is(before[1], &[Kind::Dot]) || is_label || token.kind == Kind::QuotedIdent;
    if !names && among(SESSION_VALUES) {
        return Err(Refusal::SessionValue);
    }
    Ok(())
}

/// By the names in it and what the catalog knows of them.
pub(super) fn check_names(
    text: &[u8],
    dialect: Dialect,
    contents: &Contents,
    grounds: &Grounds,
) -> Result<(), Refusal> {
    match contents.barriers.meets(text, dialect) {
        Some(Barrier::Call(name)) => return Err(of_call(&name, Refusal::VolatileFunction)),
        Some(Barrier::Unclear) => return Err(Refusal::NotUnderstood),
        Some(Barrier::Unseen) => return Err(Refusal::DefinitionsUnknown),
        Some(Barrier::Object(_) | Barrier::Operator(_)) => return Err(Refusal::NotARead),
        None => {}
    }
    match grounds.unstable.meets(text, dialect) {
        Some(Barrier::Call(name)) => Err(of_call(&name, Refusal::StableFunction)),
        Some(Barrier::Object(_) | Barrier::Operator(_)) => Err(Refusal::StableFunction),
        Some(Barrier::Unclear) => Err(Refusal::NotUnderstood),
        Some(Barrier::Unseen) => Err(Refusal::DefinitionsUnknown),
        None => Ok(()),
    }
}

fn of_call(name: &[u8], otherwise: Refusal) -> Refusal {
    if name.starts_with(b"lo_") || matches!(name, b"loread" | b"lowrite") {
        Refusal::LargeObject
    } else if VOLATILE.iter().any(|one| one.as_bytes() == name) {
        Refusal::VolatileFunction
    } else {
        otherwise
    }
}

/// Whether a literal or a parameter may be read as a moment that is another one each time. What cannot be read here may.
pub(super) fn says_a_moment(given: &Given<'_>) -> bool {
    let literals = given.literals.iter().any(|literal| says(given, literal));
    literals || given.parameters.iter().filter_map(|one| one.value).any(has_moment)
}

fn says(given: &Given<'_>, literal: &Literal) -> bool {
    if literal.value != Value::String {
        return false;
    }
    match literal_string(given.text, literal, given.dialect) {
        Some(value) => has_moment(&value),
        None => !given.text[literal.range.clone()]
            .first()
            .is_some_and(|first| matches!(first, b'b' | b'B' | b'x' | b'X')),
    }
}

/// Whether one of the words stands in it, with no letter beside.
fn has_moment(value: &[u8]) -> bool {
    if !value.iter().any(u8::is_ascii_alphabetic) {
        return false;
    }
    let words = value.split(|byte| !byte.is_ascii_alphabetic());
    words.into_iter().any(|word| MOMENTS.iter().any(|moment| word.eq_ignore_ascii_case(moment.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::{facts, shape};

    #[test]
    fn moments_in_texts() {
        for text in ["now", "NOW", " today ", "tomorrow 10:00", "{epoch,yesterday}", "[now,)", "now1", "_now"]
        {
            assert!(has_moment(text.as_bytes()), "{text}");
        }
        for text in ["", "nowhere", "known", "2024-01-01", "epoch", "infinity", "snow", "größe"] {
            assert!(!has_moment(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn literals_that_cannot_be_read_may_be_moments() {
        let check = |text: &str, expected: bool| {
            let shape = shape(text.as_bytes(), true);
            let given = Given {
                text: text.as_bytes(),
                dialect: true.into(),
                literals: &shape.literals,
                parameters: &[],
                same_encoding: true,
            };
            assert_eq!(says_a_moment(&given), expected, "{text}");
        };
        check("select 'x', 7, b'101', x'1F'", false);
        check("select 'now'", true);
        check("select e'n\\157w'", true);
        check("select $a$now$a$", true);
        check("select u&'x'", true);
        check("select n'x'", true);
        check("select e'\\u006eow'", true);
    }

    #[test]
    fn words_of_a_statement() {
        let check = |text: &str, expected: Result<(), Refusal>| {
            let facts = facts(text.as_bytes(), true, &shape(text.as_bytes(), true));
            assert_eq!(super::check(text.as_bytes(), true.into(), &facts), expected, "{text}");
        };
        check("select t.user, i as current_date, \"user\" from t", Ok(()));
        check("select current_date from t", Err(Refusal::SessionValue));
        check("select \"xmin\" from t", Err(Refusal::SystemColumn));
        check("select 'xmin', xmin_ from t", Ok(()));
        check("select x::regclass from t", Err(Refusal::SystemCatalog));
        check("select (t.x).y from t", Err(Refusal::NotUnderstood));
        check("select a[1].y from t", Err(Refusal::NotUnderstood));
        check("select u&\"x\" from t", Err(Refusal::NotUnderstood));
        check("select * from t for share", Err(Refusal::ForUpdate));
        check("select * from t tablesample system (1)", Err(Refusal::TableSample));
    }
}
