//! Tokens: kinds and texts.

use crate::sql::{Kind, Lexer};

fn short(kind: Kind) -> &'static str {
    match kind {
        Kind::Ident => "id",
        Kind::QuotedIdent => "qid",
        Kind::UnicodeIdent => "uid",
        Kind::String => "str",
        Kind::EscapeString => "estr",
        Kind::NationalString => "nstr",
        Kind::UnicodeString => "ustr",
        Kind::BitString => "bit",
        Kind::HexString => "hex",
        Kind::DollarString => "dol",
        Kind::Param => "par",
        Kind::Integer => "int",
        Kind::Float => "flt",
        Kind::Operator => "op",
        Kind::Comment => "com",
        Kind::Unterminated => "!",
        Kind::Other => "?",
        _ => "p",
    }
}

fn lex(sql: &[u8], std_strings: bool) -> Vec<String> {
    let tokens = Lexer::new(sql, std_strings);
    tokens.map(|token| format!("{}:{}", short(token.kind), token.text(sql).escape_ascii())).collect()
}

fn check(sql: &str, expected: &[&str]) {
    assert_eq!(lex(sql.as_bytes(), true), expected, "{sql}");
}

fn check_old(sql: &str, expected: &[&str]) {
    assert_eq!(lex(sql.as_bytes(), false), expected, "{sql}, standard_conforming_strings off");
}

fn check_bytes(sql: &[u8], expected: &[&str]) {
    assert_eq!(lex(sql, true), expected, "{}", sql.escape_ascii());
}

#[test]
fn white_space_and_comments() {
    check("", &[]);
    check(" \t\n\r\x0b\x0c", &[]);
    check("a--b\nc", &["id:a", "com:--b", "id:c"]);
    check("a--b\rc", &["id:a", "com:--b", "id:c"]);
    check("a --", &["id:a", "com:--"]);
    check("/* a /* b */ c */d", &["com:/* a /* b */ c */", "id:d"]);
    check("/**/a/***/b", &["com:/**/", "id:a", "com:/***/", "id:b"]);
    check("/*/*/**/*/*/a", &["com:/*/*/**/*/*/", "id:a"]);
    check("/*/ a", &["!:/*/ a"]);
    check("/* -- */ a", &["com:/* -- */", "id:a"]);
    check("-- /*\na", &["com:-- /*", "id:a"]);
    check("/* ' */ ' /* '", &[r"com:/* \' */", "str:\\' /* \\'"]);
    check("a /* b /* c */", &["id:a", "!:/* b /* c */"]);
}

#[test]
fn strings() {
    check("'a''b'", &["str:\\'a\\'\\'b\\'"]);
    check("''", &["str:\\'\\'"]);
    check("''''", &["str:\\'\\'\\'\\'"]);
    check("'a", &["!:\\'a"]);
    check("'a''", &["!:\\'a\\'\\'"]);
    check(r"'a\' b", &[r"str:\'a\\\'", "id:b"]);
    check_old(r"'a\' b'", &[r"str:\'a\\\' b\'"]);
    check_old(r"'\\' b", &[r"str:\'\\\\\'", "id:b"]);
    check_old(r"'a\", &[r"!:\'a\\"]);
    check(r"E'\'' e'a''b'", &[r"estr:E\'\\\'\'", r"estr:e\'a\'\'b\'"]);
    check(r"E'\\' a", &[r"estr:E\'\\\\\'", "id:a"]);
    check(r"N'\' n'b'", &[r"nstr:N\'\\\'", r"nstr:n\'b\'"]);
    check_old(r"N'\' n'", &[r"nstr:N\'\\\' n\'"]);
    check("B'01' x'1F'", &[r"bit:B\'01\'", r"hex:x\'1F\'"]);
    check("B'01''1'", &[r"bit:B\'01\'", r"str:\'1\'"]);
    check(r"U&'\0041''x' u&'\'", &[r"ustr:U&\'\\0041\'\'x\'", r"ustr:u&\'\\\'"]);
    check("U & 'a'", &["id:U", "op:&", r"str:\'a\'"]);
    check("be'a' ex'b'", &["id:be", r"str:\'a\'", "id:ex", r"str:\'b\'"]);
    check("e e'", &["id:e", r"!:e\'"]);
}

#[test]
fn continued_strings() {
    check("'a'\n'b'", &[r"str:\'a\'\n\'b\'"]);
    check("'a' \t\r 'b' 'c'", &[r"str:\'a\' \t\r \'b\'", r"str:\'c\'"]);
    check("'a' 'b'", &[r"str:\'a\'", r"str:\'b\'"]);
    check("'a' -- it's\n 'b'", &[r"str:\'a\' -- it\'s\n \'b\'"]);
    check("'a'\n-- it's\n-- x\n'b'", &[r"str:\'a\'\n-- it\'s\n-- x\n\'b\'"]);
    check("'a' -- 'b'", &[r"str:\'a\'", r"com:-- \'b\'"]);
    check("'a'\n/* */ 'b'", &[r"str:\'a\'", "com:/* */", r"str:\'b\'"]);
    check("'a'\n- 'b'", &[r"str:\'a\'", "op:-", r"str:\'b\'"]);
    check("E'a'\n'\\''", &[r"estr:E\'a\'\n\'\\\'\'"]);
    check("'a'\nE'b'", &[r"str:\'a\'", r"estr:E\'b\'"]);
    check("B'0'\n'1'", &[r"bit:B\'0\'\n\'1\'"]);
    check("$$a$$\n'b'", &["dol:$$a$$", r"str:\'b\'"]);
    check("'a'\n'b", &[r"!:\'a\'\n\'b"]);
}

#[test]
fn dollars() {
    check("$$a'b;--$$", &[r"dol:$$a\'b;--$$"]);
    check("$a$ $$ $b$ $a$x", &["dol:$a$ $$ $b$ $a$", "id:x"]);
    check("$a$ $b$a$", &["dol:$a$ $b$a$"]);
    check("$A$ $a$", &["!:$A$ $a$"]);
    check("$a$$a$", &["dol:$a$$a$"]);
    check("$$$$", &["dol:$$$$"]);
    check("$$$", &["!:$$$"]);
    check("a$$b$$", &["id:a$$b$$"]);
    check("a $$b$$", &["id:a", "dol:$$b$$"]);
    check("1$$b$$", &["int:1", "dol:$$b$$"]);
    check("$1$$b$$", &["par:$1", "dol:$$b$$"]);
    check("$1 $23a", &["par:$1", "par:$23", "id:a"]);
    check("$1a$", &["par:$1", "id:a$"]);
    check("$ $a b", &["?:$", "?:$", "id:a", "id:b"]);
    check("$é$;$é$", &["dol:$\\xc3\\xa9$;$\\xc3\\xa9$"]);
    check("'$$' $$'$$", &[r"str:\'$$\'", r"dol:$$\'$$"]);
    check("\"$$\" $$\"$$", &["qid:\\\"$$\\\"", "dol:$$\\\"$$"]);
}

#[test]
fn identifiers() {
    check("aB_1$x _ é", &["id:aB_1$x", "id:_", "id:\\xc3\\xa9"]);
    check(r#""a""b" "" x"#, &[r#"qid:\"a\"\"b\""#, r#"qid:\"\""#, "id:x"]);
    check(r#""a'b;" U&"d\0061" u&"x"#, &[r#"qid:\"a\'b;\""#, r#"uid:U&\"d\\0061\""#, r#"!:u&\"x"#]);
    check(r#""a"#, &[r#"!:\"a"#]);
    check_bytes(b"a\xff\xfeb \x80", &["id:a\\xff\\xfeb", "id:\\x80"]);
}

#[test]
fn bytes_of_no_token() {
    check_bytes(b"a\0b", &["id:a", "?:\\x00", "id:b"]);
    check_bytes(b"'a\0;'", &[r"str:\'a\x00;\'"]);
    check_bytes(b"\\x {}\x7f", &["?:\\\\", "id:x", "?:{", "?:}", "?:\\x7f"]);
}

#[test]
fn numbers() {
    check("1 42 007", &["int:1", "int:42", "int:007"]);
    check("1.5 1. .5 1.e5", &["flt:1.5", "flt:1.", "flt:.5", "flt:1.e5"]);
    check("1e5 1E+5 1e-5 .5e3", &["flt:1e5", "flt:1E+5", "flt:1e-5", "flt:.5e3"]);
    check("1..2", &["int:1", "p:..", "int:2"]);
    check("1.5.6", &["flt:1.5", "flt:.6"]);
    check("1_000 1__0 1_", &["int:1_000", "int:1", "id:__0", "int:1", "id:_"]);
    check("0x1F 0XfF 0o17 0b01 0x_1", &["int:0x1F", "int:0XfF", "int:0o17", "int:0b01", "int:0x_1"]);
    check("0x 0xg 0b2", &["int:0", "id:x", "int:0", "id:xg", "int:0", "id:b2"]);
    check("1e 1e+ 1a", &["int:1", "id:e", "int:1", "id:e", "op:+", "int:1", "id:a"]);
    check("1e'a' 0x'1'", &["int:1", r"estr:e\'a\'", "int:0", r"hex:x\'1\'"]);
    check("1.5e5.5", &["flt:1.5e5", "flt:.5"]);
    check("-1+2", &["op:-", "int:1", "op:+", "int:2"]);
}

#[test]
fn operators() {
    check("a->>'b'", &["id:a", "op:->>", r"str:\'b\'"]);
    check("a::b := c => d : e", &["id:a", "p:::", "id:b", "p::=", "id:c", "p:=>", "id:d", "p::", "id:e"]);
    check("a=-1", &["id:a", "op:=", "op:-", "int:1"]);
    check("a=>-1", &["id:a", "p:=>", "op:-", "int:1"]);
    check("a@-1", &["id:a", "op:@-", "int:1"]);
    check("a*+-1", &["id:a", "op:*", "op:+", "op:-", "int:1"]);
    check("a+--b\nc", &["id:a", "op:+", "com:--b", "id:c"]);
    check("a@--b\nc", &["id:a", "op:@", "com:--b", "id:c"]);
    check("a@-/*b*/c", &["id:a", "op:@-", "com:/*b*/", "id:c"]);
    check("a=-/*b*/c", &["id:a", "op:=", "op:-", "com:/*b*/", "id:c"]);
    check("a*/b", &["id:a", "op:*/", "id:b"]);
    check("<= <> != ~* || ?| ^@", &["op:<=", "op:<>", "op:!=", "op:~*", "op:||", "op:?|", "op:^@"]);
    check(
        "a[1:2],(b);.",
        &["id:a", "p:[", "int:1", "p::", "int:2", "p:]", "p:,", "p:(", "id:b", "p:)", "p:;", "p:."],
    );
    check("++++", &["op:+", "op:+", "op:+", "op:+"]);
    check("---", &["com:---"]);
}

#[test]
fn a_long_run_of_operators_takes_linear_time() {
    for run in ["+", "*+", "*-+", "=", "@", "'' ", "/*", "- -"] {
        let sql = run.repeat(1_000_000);
        assert!(Lexer::new(sql.as_bytes(), true).count() <= sql.len());
    }
}
