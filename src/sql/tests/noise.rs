//! Arbitrary bytes, the same in every run.

use crate::sql::{Kind, Lexer, mentions_session_effects, summarize};

/// xorshift64*: enough to be arbitrary, and the same everywhere.
pub(super) struct Noise(pub(super) u64);

impl Noise {
    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.below(256) as u8).collect()
    }

    fn pieces(&mut self, count: usize) -> Vec<u8> {
        (0..count).flat_map(|_| PIECES[self.below(PIECES.len())].iter().copied()).collect()
    }
}

const PIECES: &[&[u8]] = &[
    b"'",
    b"'",
    b"\"",
    b"$$",
    b"$a$",
    b"$",
    b"--",
    b"/*",
    b"*/",
    b"\n",
    b" ",
    b"\\",
    b"E'",
    b"U&\"",
    b"U&'",
    b"B'",
    b"x'",
    b";",
    b"(",
    b")",
    b"[",
    b"+",
    b"-",
    b"@",
    b"=",
    b":",
    b".",
    b",",
    b"1",
    b"0x",
    b"e5",
    b"_",
    b"\0",
    b"\xff",
    b"a",
    b"create ",
    b"function ",
    b"begin ",
    b"atomic ",
    b"end ",
    b"case ",
    b"set ",
    b"local ",
    b"session ",
    b"role ",
    b"to ",
    b"time ",
    b"zone ",
    b"set_config",
    b"prepare ",
    b"execute ",
    b"as ",
    b"explain ",
    b"into ",
    b"temp ",
    b"do ",
    b"with ",
    b"hold ",
    b"default",
    b"all",
    b"reset ",
    b"close ",
    b"commit ",
    b"and chain",
    b"in (",
    b"values (",
    b"array[",
    b", ",
    b"?",
    b"]",
];

fn check_cover(sql: &[u8], std_strings: bool) {
    let mut at = 0;
    for token in Lexer::new(sql, std_strings) {
        assert!(at <= token.start && token.start < token.end, "{}", sql.escape_ascii());
        check_blank(&sql[at..token.start]);
        at = token.end;
        assert!(token.kind != Kind::Unterminated || at == sql.len());
    }
    check_blank(&sql[at..]);
}

fn check_blank(gap: &[u8]) {
    assert!(gap.iter().all(|byte| b" \t\n\r\x0b\x0c".contains(byte)), "{}", gap.escape_ascii());
}

fn check_summary(sql: &[u8], std_strings: bool) {
    let mut at = 0;
    for statement in summarize(sql, std_strings).statements {
        assert!(at <= statement.range.start && statement.range.end <= sql.len());
        assert!(!sql[statement.range.clone()].is_empty());
        at = statement.range.end;
    }
    mentions_session_effects(sql);
}

#[test]
fn arbitrary_bytes_give_ordered_tokens_that_cover_the_text() {
    let mut noise = Noise(0x9e37_79b9_7f4a_7c15);
    for round in 0..20_000 {
        let length = 1 + noise.below(40);
        let sql = if round % 2 == 0 { noise.bytes(length) } else { noise.pieces(length) };
        for std_strings in [true, false] {
            check_cover(&sql, std_strings);
            check_summary(&sql, std_strings);
        }
        super::shapes::holds(&sql);
    }
}

#[test]
fn every_prefix_of_a_text_is_taken() {
    let sql = br#"/* a /* b */ */ SELECT E'\'x', U&"y", $q$ ; $q$, 1.5e-7 -- c
        ; SET SESSION AUTHORIZATION 'x'; DO $$ begin execute 'x'; end $$; PREPARE p(int) AS SELECT $1"#;
    for end in 0..sql.len() {
        check_cover(&sql[..end], true);
        check_summary(&sql[..end], false);
    }
}
