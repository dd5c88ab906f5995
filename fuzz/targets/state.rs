//! The difference of two session states: whatever the names and values are, the SQL is what it means to be.

use pgweir::pool::state::{Settings, States, difference};
use pgweir::sql::{Kind, Lexer, Token, Verb, summarize};

/// Settings parted by NUL, which none can hold: `name=value`; a first byte says which of the two states has them.
pub fn run(data: &[u8]) {
    let (mut has, mut wants) = (Settings::new(), Settings::new());
    for part in data.split(|byte| *byte == 0) {
        let Some((side, setting)) = part.split_first() else { continue };
        let end = setting.iter().position(|byte| *byte == b'=').unwrap_or(setting.len());
        let (name, value) = (&setting[..end], setting.get(end + 1..).unwrap_or_default());
        if name.is_empty() {
            continue;
        }
        if side & 1 != 0 {
            has.insert(name.into(), value.into());
        }
        if side & 2 != 0 {
            wants.insert(name.into(), value.into());
        }
    }
    check(has, wants);
}

fn check(has: Settings, wants: Settings) {
    let states = States::default();
    let equal = has == wants;
    let from = states.intern(has.clone());
    let to = states.intern(wants.clone());
    assert!(difference(&from, &from, false).is_none() && difference(&to, &to, false).is_none());
    let Some(difference) = difference(&from, &to, false) else {
        return assert!(equal, "a difference is not seen");
    };
    assert!(!equal, "equal states are one object");
    for std_strings in [true, false] {
        check_sql(&[&difference.resets[..], &difference.sets].concat(), std_strings, &has, &wants);
    }
    let identity =
        |settings: &Settings| [&b"role"[..], b"session_authorization"].map(|n| settings.get(n).cloned());
    assert!(difference.guarded || identity(&has) == identity(&wants));
}

/// Some RESETs and one SELECT: nothing in a name or a value gets out of its quotes, in whatever encoding the server is. Bytes
/// beyond ASCII stand in the names of what is reset only, which the server knows in its own encoding.
fn check_sql(sql: &[u8], std_strings: bool, has: &Settings, wants: &Settings) {
    assert!(!sql.contains(&0), "a NUL would end the message");
    let tokens: Vec<_> = Lexer::new(sql, std_strings).collect();
    let ends = |kind: Kind| matches!(kind, Kind::Unterminated | Kind::Other | Kind::Comment);
    assert!(!tokens.iter().any(|token| ends(token.kind)), "{}", sql.escape_ascii());
    let ascii = |token: &Token| token.kind == Kind::QuotedIdent || token.text(sql).is_ascii();
    assert!(tokens.iter().all(ascii), "{}", sql.escape_ascii());
    let statements = summarize(sql, std_strings).statements;
    let (last, resets) = match statements.split_last() {
        Some((last, resets)) if last.verb == Verb::Select => (Some(last), resets),
        _ => (None, &statements[..]),
    };
    assert!(resets.iter().all(|one| one.verb == Verb::Reset), "{}", sql.escape_ascii());
    assert!(resets.len() <= has.len() + 2);
    assert!(last.is_none_or(|last| sql[last.range.clone()].is_ascii()), "{}", sql.escape_ascii());
    let sets =
        tokens.iter().filter(|token| token.kind == Kind::Ident && token.text(sql) == b"set_config").count();
    assert!(sets <= wants.len(), "{}", sql.escape_ascii());
    assert_eq!(sets > 0, last.is_some());
    let strings = tokens.iter().filter(|token| token.kind == Kind::String).count();
    assert_eq!(strings, 0, "{}", sql.escape_ascii());
}
