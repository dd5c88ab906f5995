//! Texts: tokens cover them, statements are read alone as they are read in their place, and names can be replaced.

use std::ops::Range;
use std::time::{Duration, Instant};

use pgweir::sql::{
    Detail, Dialect, Effects, Kind, Lexer, Statement, Token, mentions_session_effects, plain_verb, summarize,
};

/// What PostgreSQL's scanner skips.
const BLANK: &[u8] = b" \t\n\r\x0b\x0c";

/// The ordinary one, and those whose characters may end in the byte of something else.
const ENCODINGS: [&[u8]; 8] =
    [b"utf8", b"sjis", b"shiftjis2004", b"big5", b"gbk", b"uhc", b"gb18030", b"johab"];

/// The first byte says whether plain strings are standard ones, and the encoding; the rest is the text.
pub fn run(data: &[u8]) {
    let mut sql = data;
    let choice = super::byte(&mut sql);
    let dialect = Dialect::new(choice & 1 == 0, ENCODINGS[usize::from(choice >> 1) % ENCODINGS.len()]);
    let tokens: Vec<Token> = Lexer::new(sql, dialect).collect();
    check_tokens(sql, dialect, &tokens);
    check_summary(sql, dialect, &tokens);
    check_code(sql, dialect, &tokens);
    check_masked(sql, dialect, &tokens, ENCODINGS[usize::from(choice >> 1) % ENCODINGS.len()]);
    // Dear, so for some only; the choice must not be one that a fuzzer can get to like.
    let sum =
        data.iter().fold(0x811c_9dc5_u32, |sum, byte| (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    if sum % 256 == 0 {
        check_time(sql, dialect);
    }
}

/// In order, covering all but white space, and each the same when it is read alone.
fn check_tokens(sql: &[u8], dialect: Dialect, tokens: &[Token]) {
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
        let alone: Vec<Token> = Lexer::new(text, dialect).collect();
        let same = Token { kind: token.kind, start: 0, end: text.len() };
        assert_eq!(alone, [same], "{} in {}", text.escape_ascii(), sql.escape_ascii());
        at = token.end;
    }
    assert!(sql[at..].iter().all(|byte| BLANK.contains(byte)), "{}", sql.escape_ascii());
}

fn check_summary(sql: &[u8], dialect: Dialect, tokens: &[Token]) {
    let summary = summarize(sql, dialect);
    let semicolons = tokens.iter().filter(|token| token.kind == Kind::Semicolon).count();
    assert!(summary.statements.len() <= semicolons + 1, "more statements than semicolons allow");
    let together = summary.statements.iter().fold(Effects::EMPTY, |sum, one| sum | one.effects);
    assert_eq!(summary.effects, together);
    let mut at = 0;
    for one in &summary.statements {
        check_between(sql, tokens, at..one.range.start);
        assert!(tokens.iter().any(|token| token.start == one.range.start && token.kind != Kind::Comment));
        assert!(tokens.iter().any(|token| token.end == one.range.end && token.kind != Kind::Comment));
        check_alone(sql, dialect, one);
        check_replaced(sql, dialect, &summary.statements, one);
        at = one.range.end;
    }
    check_between(sql, tokens, at..sql.len());
    check_behind_noise(sql, dialect, &summary.statements);
    if let Some(verb) = plain_verb(sql).filter(|_| !dialect.is_wide()) {
        let verbs: Vec<_> = summary.statements.iter().map(|one| one.verb).collect();
        assert_eq!((verbs, summary.effects), (vec![verb], Effects::EMPTY), "{}", sql.escape_ascii());
    }
    if !sql.contains(&b'\\') && !dialect.is_wide() {
        assert_eq!(
            summarize(sql, !dialect.std_strings()),
            summary,
            "without a backslash both readings are one"
        );
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
fn check_alone(sql: &[u8], dialect: Dialect, one: &Statement) {
    let text = &sql[one.range.clone()];
    let alone = summarize(text, dialect).statements;
    let moved = moved(one, one.range.start);
    assert_eq!(alone, [moved], "{} in {}", text.escape_ascii(), sql.escape_ascii());
}

/// Comments and empty statements in front change nothing.
fn check_behind_noise(sql: &[u8], dialect: Dialect, statements: &[Statement]) {
    const NOISE: &[u8] = b"/* ' /* ; */ */ ; -- $$\n;";
    let behind = summarize(&[NOISE, sql].concat(), dialect).statements;
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
fn check_replaced(sql: &[u8], dialect: Dialect, all: &[Statement], one: &Statement) {
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
    let after = summarize(&replaced, dialect).statements;
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

fn check_code(sql: &[u8], dialect: Dialect, tokens: &[Token]) {
    let code = mentions_session_effects(sql);
    let broken = tokens.iter().any(|token| matches!(token.kind, Kind::Unterminated | Kind::Other));
    assert!(
        !broken || !dialect.std_strings() || dialect.is_wide() || code.contains(Effects::OPAQUE),
        "what is not understood is opaque"
    );
}

/// To PostgreSQL's scanner all bytes of a character are above 0x7f: it sees the same tokens if they are.
fn check_masked(sql: &[u8], dialect: Dialect, tokens: &[Token], encoding: &[u8]) {
    let Some(masked) = masked(sql, encoding) else { return };
    let same: Vec<Token> = Lexer::new(&masked, dialect.std_strings()).collect();
    assert_eq!(same, tokens, "{} in {}", sql.escape_ascii(), encoding.escape_ascii());
}

/// The text with another character of the same length, in bytes above 0x7f, for each that it has; `None` if PostgreSQL refuses
/// it, or no reader can be sure of it.
fn masked(sql: &[u8], encoding: &[u8]) -> Option<Vec<u8>> {
    let mut out = sql.to_vec();
    let mut known: Vec<&[u8]> = vec![];
    let mut at = 0;
    while at < sql.len() {
        let second = sql.get(at + 1).copied();
        let length = match (encoding, sql[at]) {
            (_, ..0x80) | (b"utf8", _) => 1,
            (b"sjis" | b"shiftjis2004", 0xa1..=0xdf) => 1,
            (b"gb18030", _) if second.is_some_and(|byte| byte.is_ascii_digit()) => 4,
            (b"johab", 0x8f) => 3,
            _ => 2,
        };
        let character = sql.get(at..at + length)?;
        let deceives = encoding == b"shiftjis2004" && matches!(character, b"\x81\x5f" | b"\x81\xb0");
        if deceives || character[1..].iter().any(|byte| *byte < b'0') {
            return None;
        }
        if length > 1 {
            let number = known.iter().position(|one| *one == character).unwrap_or(known.len());
            known.extend((number == known.len()).then_some(character));
            // Lengths have different first bytes, so that no two texts become one.
            let lead =
                [0x80, 0xe0, 0xf0][length - 2] + u8::try_from(number >> 7).ok().filter(|high| *high < 16)?;
            out[at..at + length].fill(0x80);
            (out[at], out[at + 1]) = (lead, 0x80 | (number & 0x7f) as u8);
        }
        at += length;
    }
    Some(out)
}

/// Time is linear: a long text of the same kind is read in a moment, where a quadratic reader would take minutes.
fn check_time(sql: &[u8], dialect: Dialect) {
    const LONG: usize = 200_000;
    const MOMENT: Duration = Duration::from_secs(10);
    if sql.is_empty() {
        return;
    }
    let long = sql.repeat(LONG.div_ceil(sql.len()).min(LONG));
    let start = Instant::now();
    summarize(&long, dialect);
    mentions_session_effects(&long);
    assert!(
        start.elapsed() < MOMENT,
        "{:?} for {} bytes of {}",
        start.elapsed(),
        long.len(),
        sql.escape_ascii()
    );
}
