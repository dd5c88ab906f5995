//! Texts: tokens cover them, statements are read alone as they are read in their place, and names can be replaced.

use std::ops::Range;
use std::time::{Duration, Instant};

use pgweir::sql::{
    Detail, Effects, Kind, Lexer, Statement, Token, mentions_session_effects, plain_verb, summarize,
};

/// What PostgreSQL's scanner skips.
const BLANK: &[u8] = b" \t\n\r\x0b\x0c";

/// The first byte says whether plain strings are standard ones; the rest is the text.
pub fn run(data: &[u8]) {
    let mut sql = data;
    let choice = super::byte(&mut sql);
    let std_strings = choice & 1 == 0;
    let tokens: Vec<Token> = Lexer::new(sql, std_strings).collect();
    check_tokens(sql, std_strings, &tokens);
    check_summary(sql, std_strings, &tokens);
    check_code(sql, std_strings, &tokens);
    // Dear, so for some only; the choice must not be one that a fuzzer can get to like.
    let sum =
        data.iter().fold(0x811c_9dc5_u32, |sum, byte| (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    if sum % 256 == 0 {
        check_time(sql, std_strings);
    }
}

/// In order, covering all but white space, and each the same when it is read alone.
fn check_tokens(sql: &[u8], std_strings: bool, tokens: &[Token]) {
    let mut at = 0;
    for token in tokens {
        assert!(
            at <= token.start && token.start < token.end && token.end <= sql.len(),
            "{}",
            sql.escape_ascii()
        );
        assert!(sql[at..token.start].iter().all(|byte| BLANK.contains(byte)), "{}", sql.escape_ascii());
        assert!(token.kind != Kind::Unterminated || token.end == sql.len());
        let text = token.text(sql);
        let alone: Vec<Token> = Lexer::new(text, std_strings).collect();
        let same = Token { kind: token.kind, start: 0, end: text.len() };
        assert_eq!(alone, [same], "{} in {}", text.escape_ascii(), sql.escape_ascii());
        at = token.end;
    }
    assert!(sql[at..].iter().all(|byte| BLANK.contains(byte)), "{}", sql.escape_ascii());
}

fn check_summary(sql: &[u8], std_strings: bool, tokens: &[Token]) {
    let summary = summarize(sql, std_strings);
    let semicolons = tokens.iter().filter(|token| token.kind == Kind::Semicolon).count();
    assert!(summary.statements.len() <= semicolons + 1, "more statements than semicolons allow");
    let together = summary.statements.iter().fold(Effects::EMPTY, |sum, one| sum | one.effects);
    assert_eq!(summary.effects, together);
    let mut at = 0;
    for one in &summary.statements {
        check_between(sql, tokens, at..one.range.start);
        assert!(tokens.iter().any(|token| token.start == one.range.start && token.kind != Kind::Comment));
        assert!(tokens.iter().any(|token| token.end == one.range.end && token.kind != Kind::Comment));
        check_alone(sql, std_strings, one);
        check_replaced(sql, std_strings, &summary.statements, one);
        at = one.range.end;
    }
    check_between(sql, tokens, at..sql.len());
    check_behind_noise(sql, std_strings, &summary.statements);
    if let Some(verb) = plain_verb(sql) {
        let verbs: Vec<_> = summary.statements.iter().map(|one| one.verb).collect();
        assert_eq!((verbs, summary.effects), (vec![verb], Effects::EMPTY), "{}", sql.escape_ascii());
    }
    if !sql.contains(&b'\\') {
        assert_eq!(summarize(sql, !std_strings), summary, "without a backslash both readings are one");
    }
}

/// Nothing stands between statements but comments and semicolons.
fn check_between(sql: &[u8], tokens: &[Token], range: Range<usize>) {
    assert!(range.start <= range.end, "statements overlap in {}", sql.escape_ascii());
    let inside = tokens.iter().filter(|token| range.contains(&token.start));
    for token in inside {
        assert!(matches!(token.kind, Kind::Comment | Kind::Semicolon), "{}", sql.escape_ascii());
    }
}

/// A statement says the same without the others.
fn check_alone(sql: &[u8], std_strings: bool, one: &Statement) {
    let text = &sql[one.range.clone()];
    let alone = summarize(text, std_strings).statements;
    let moved = moved(one, one.range.start);
    assert_eq!(alone, [moved], "{} in {}", text.escape_ascii(), sql.escape_ascii());
}

/// Comments and empty statements in front change nothing.
fn check_behind_noise(sql: &[u8], std_strings: bool, statements: &[Statement]) {
    const NOISE: &[u8] = b"/* ' /* ; */ */ ; -- $$\n;";
    let behind = summarize(&[NOISE, sql].concat(), std_strings).statements;
    let back: Vec<Statement> = behind.iter().map(|one| moved(one, NOISE.len())).collect();
    assert_eq!(back, statements, "{}", sql.escape_ascii());
}

/// The statement as it is when the text begins `by` bytes later.
fn moved(one: &Statement, by: usize) -> Statement {
    let mut one = one.clone();
    one.range = one.range.start - by..one.range.end - by;
    match &mut one.detail {
        Detail::Prepare { name_range, .. }
        | Detail::Execute { name_range, .. }
        | Detail::Deallocate { name_range, .. } => {
            *name_range = name_range.start - by..name_range.end - by;
        }
        _ => {}
    }
    one
}

/// Another name in the place of a prepared statement's is that statement's name, and nothing else has changed.
fn check_replaced(sql: &[u8], std_strings: bool, all: &[Statement], one: &Statement) {
    // In quotes: the old name may have stood in quotes, without a blank beside it.
    const OTHER: &[u8] = b"_pgweir_1";
    const QUOTED: &[u8] = b"\"_pgweir_1\"";
    let (Detail::Prepare { name, name_range }
    | Detail::Execute { name, name_range }
    | Detail::Deallocate { name: Some(name), name_range }) = &one.detail
    else {
        return;
    };
    assert!(one.range.start < name_range.start && name_range.end <= one.range.end);
    let written = &sql[name_range.clone()];
    let quoted = written.starts_with(b"\"");
    assert!(!name.is_empty() && (quoted || name.eq_ignore_ascii_case(written)), "{}", sql.escape_ascii());
    let replaced = [&sql[..name_range.start], QUOTED, &sql[name_range.end..]].concat();
    let after = summarize(&replaced, std_strings).statements;
    assert_eq!(after.len(), all.len(), "{}", replaced.escape_ascii());
    let Some(same) = after.iter().find(|other| other.range.start == one.range.start) else {
        panic!("the statement is gone from {}", replaced.escape_ascii());
    };
    assert_eq!(same.verb, one.verb, "{}", replaced.escape_ascii());
    match &same.detail {
        Detail::Prepare { name, .. }
        | Detail::Execute { name, .. }
        | Detail::Deallocate { name: Some(name), .. } => {
            assert_eq!(name, OTHER, "{}", replaced.escape_ascii());
        }
        other => panic!("{other:?} in {}", replaced.escape_ascii()),
    }
}

fn check_code(sql: &[u8], std_strings: bool, tokens: &[Token]) {
    let code = mentions_session_effects(sql);
    let broken = tokens.iter().any(|token| matches!(token.kind, Kind::Unterminated | Kind::Other));
    assert!(!broken || !std_strings || code.contains(Effects::OPAQUE), "what is not understood is opaque");
}

/// Time is linear: a long text of the same kind is read in a moment, where a quadratic reader would take minutes.
fn check_time(sql: &[u8], std_strings: bool) {
    const LONG: usize = 200_000;
    const MOMENT: Duration = Duration::from_secs(10);
    if sql.is_empty() {
        return;
    }
    let long = sql.repeat(LONG.div_ceil(sql.len()).min(LONG));
    let start = Instant::now();
    summarize(&long, std_strings);
    mentions_session_effects(&long);
    assert!(
        start.elapsed() < MOMENT,
        "{:?} for {} bytes of {}",
        start.elapsed(),
        long.len(),
        sql.escape_ascii()
    );
}
