//! Texts in the encodings whose characters may end in the byte of something else.

use crate::sql::{Detail, Dialect, Effects, Kind, Lexer, SetValue, summarize};

const ENCODINGS: [&str; 7] = ["sjis", "shiftjis2004", "big5", "gbk", "uhc", "gb18030", "johab"];

fn dialect(encoding: &str) -> Dialect {
    Dialect::new(true, encoding.as_bytes())
}

#[track_caller]
fn check(encoding: &str, sql: &[u8], expected: &[(Kind, &[u8])]) {
    let tokens = Lexer::new(sql, dialect(encoding)).map(|token| (token.kind, token.text(sql)));
    let tokens: Vec<_> = tokens.collect();
    assert_eq!(tokens, expected, "{encoding}: {}", sql.escape_ascii());
}

#[test]
fn lengths_of_characters() {
    use Kind::{Ident, LeftBracket, Operator, Other};
    for encoding in ENCODINGS {
        check(encoding, b"a\xe0[b [", &[(Ident, b"a\xe0[b"), (LeftBracket, b"[")]);
        check(encoding, b"\xe0|", &[(Ident, b"\xe0|")]);
        check(encoding, b"\xe0", &[(Ident, b"\xe0")]);
    }
    for encoding in ["sjis", "shiftjis2004"] {
        check(encoding, b"\xa1|", &[(Ident, b"\xa1"), (Operator, b"|")]);
        check(encoding, b"\xdf\\", &[(Ident, b"\xdf"), (Other, b"\\")]);
    }
    check("gb18030", b"\x810\x810|", &[(Ident, b"\x810\x810"), (Operator, b"|")]);
    check("gb18030", b"\x81|0", &[(Ident, b"\x81|0")]);
    check("johab", b"\x8f|||", &[(Ident, b"\x8f||"), (Operator, b"|")]);
    check("johab", b"\x8e||", &[(Ident, b"\x8e|"), (Operator, b"|")]);
    check("latin1", b"\xe0|", &[(Ident, b"\xe0"), (Operator, b"|")]);
}

#[test]
fn strings_with_escapes() {
    for encoding in ENCODINGS {
        check(encoding, b"E'\xe0\\' ';'", &[(Kind::EscapeString, b"E'\xe0\\'"), (Kind::String, b"';'")]);
        check(encoding, b"E'\\\xe0\\' ';'", &[(Kind::EscapeString, b"E'\\\xe0\\'"), (Kind::String, b"';'")]);
        check(encoding, b"E'\xe0\\\\'' ", &[(Kind::EscapeString, b"E'\xe0\\\\''")]);
        check(encoding, b"E'\xe0", &[(Kind::Unterminated, b"E'\xe0")]);
    }
    let old = Dialect::new(false, b"sjis");
    let tokens: Vec<Kind> = Lexer::new(b"'\x83\\' n'\x83\\'", old).map(|token| token.kind).collect();
    assert_eq!(tokens, [Kind::String, Kind::NationalString]);
}

#[test]
fn dollar_quotes() {
    for encoding in ENCODINGS {
        check(encoding, b"$\xe0\\$ ; $\xe0\\$", &[(Kind::DollarString, b"$\xe0\\$ ; $\xe0\\$")]);
        check(
            encoding,
            b"$\xe0A$ $\xe0a$ $\xe0A$ ;",
            &[(Kind::DollarString, b"$\xe0A$ $\xe0a$ $\xe0A$"), (Kind::Semicolon, b";")],
        );
    }
}

#[test]
fn statements_that_were_hidden() {
    let hidden = b"select E'\xe0\\'; set role x; select '' --'";
    assert!(!summarize(hidden, true).effects.contains(Effects::ROLE), "byte by byte it is one string");
    for encoding in ENCODINGS {
        let summary = summarize(hidden, dialect(encoding));
        assert!(summary.effects.contains(Effects::ROLE), "{encoding}");
        assert_eq!(summary.statements.len(), 3, "{encoding}");
    }
    let code = b"do $$begin perform E'\x83\\'; set role x; perform '' --'\n; end$$";
    assert!(!summarize(code, true).effects.contains(Effects::ROLE));
    assert!(summarize(code, dialect("sjis")).effects.contains(Effects::ROLE));
}

/// In SHIFT_JIS_2004 a backslash and a tilde have two bytes, in some databases.
#[test]
fn what_is_not_certain_is_opaque() {
    for sql in [&b"select E'\x81\x5f\\'; set role x --'"[..], b"select \x81\x5f", b"select a\x81\xb0b"] {
        assert!(summarize(sql, dialect("shiftjis2004")).effects.contains(Effects::OPAQUE));
        assert!(!summarize(sql, dialect("gbk")).effects.contains(Effects::OPAQUE));
    }
    let plain = b"select '\x81\x5f', \"\x81\x5f\", $$\x81\x5f$$ -- \x81\x5f";
    assert!(summarize(plain, dialect("shiftjis2004")).effects.is_empty());
}

#[test]
fn names_keep_the_bytes_of_their_characters() {
    #[track_caller]
    fn check(sql: &[u8], expected: &[u8]) {
        match &summarize(sql, dialect("sjis")).statements[0].detail {
            Detail::Prepare { name, .. } | Detail::Execute { name, .. } => assert_eq!(name, expected),
            other => panic!("{other:?}"),
        }
    }
    check(b"execute A\x83\x41B", b"a\x83\x41b");
    check(b"execute A\xb1AB", b"a\xb1ab");
    check(b"prepare \x83\\ as select 1", b"\x83\\");
    check(b"execute \"\x83\x41\"", b"\x83\x41");
}

#[test]
fn values_keep_the_bytes_of_their_characters() {
    #[track_caller]
    fn check(sql: &[u8], expected: &[u8]) {
        match &summarize(sql, dialect("sjis")).statements[0].detail {
            Detail::Set { value: SetValue::Literal(value), .. } => assert_eq!(value, expected),
            other => panic!("{other:?}"),
        }
    }
    check(b"set a.b = E'\x83\\\\n'", b"\x83\\\n");
    check(b"set a.b = E'\\\x83\\n'", b"\x83\\n");
    check(b"set a.b = '\x83\\'", b"\x83\\");
    check(b"set a.b = \x83A", b"\x83A");
}
