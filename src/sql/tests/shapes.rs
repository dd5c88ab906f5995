//! Shapes and fingerprints.

use crate::sql::shape::both_ways;
use crate::sql::{Fingerprint, Kind, Lexer, Shape, Value, shape};

fn text(sql: &str) -> String {
    String::from_utf8(shape(sql.as_bytes(), true).text).expect("UTF-8")
}

#[track_caller]
fn check(sql: &str, expected: &str) {
    assert_eq!(text(sql), expected, "{sql}");
    holds(sql.as_bytes());
}

#[test]
fn literals_comments_and_space_are_folded() {
    check(
        "SELECT  *\nFROM Users u -- who\nWHERE u.id=42 /* here */ AND name = 'x''y';",
        "select * from users u where u.id = ? and name = ?",
    );
    check("select $1, $2::int[], e'\\n', $$x$$, x'ff', n'a'", "select ?, ?::int[], ?, ?, ?, ?");
    check("select 'a'\n 'b', 1.5e3, 0x1F, .5", "select ?, ?, ?, ?");
    check("select \"A b\", \"a\"\"b\" from \"T\"", "select \"A b\", \"a\"\"b\" from \"T\"");
    check("select count(*), now ( ) from s . t", "select count(*), now() from s.t");
    check("insert into t(a,b) values(1,2)", "insert into t(a, b) values (?, ?)");
    check("select a[1:2], b::numeric(10,2)", "select a[? : ?], b::numeric(?, ?)");
    check("select date '2020-01-01' + interval '1' day", "select date ? + interval ? day");
}

#[test]
fn signs_belong_to_numbers_where_no_value_stands_before() {
    check(
        "select -1, - 2, +3, (-4), a-1, a - 1, f(x)-1, $1-2",
        "select ?, ?, ?, (?), a - ?, a - ?, f(x) - ?, ? - ?",
    );
    check("select * from t where a=-1 or b > -2 limit -1", "select * from t where a = ? or b > ? limit ?");
    check(
        "select null - 1, end - 1, current_date - 1, a[1] - 1",
        "select null - ?, end - ?, current_date - ?, a[?] - ?",
    );
    check("select - -1, -a, -'1'", "select - ?, - a, - ?");
    let shape = shape(b"select 7, - 12", true);
    let ranges: Vec<_> = shape.literals.iter().map(|one| one.range.clone()).collect();
    assert_eq!(ranges, [7..8, 10..14]);
}

#[test]
fn lists_of_values_are_folded() {
    check("select 1 from t where a in (1, 2, 3)", "select ? from t where a in (?)");
    check(
        "select 1 from t where a not in ($1,$2) and b in (4)",
        "select ? from t where a not in (?) and b in (?)",
    );
    check("where a in ($1::uuid, $2::uuid, $3::uuid)", "where a in (?::uuid)");
    check("where (a, b) in ((1,2),(3,4),(5,6))", "where (a, b) in ((?, ?))");
    check("where a in (b, 1, 2, c, 3)", "where a in (b, ?, c, ?)");
    check("where a = any(array[1,2,3])", "where a = any (array[?])");
    check("where a = any('{1,2}')", "where a = any (?)");
    check(
        "insert into t values (1, 'a'), (2, 'b'), (3, 'c') returning id",
        "insert into t values (?, ?) returning id",
    );
    check("insert into t values (1, default), (2, 3), (4, 5)", "insert into t values (?, default), (?, ?)");
    check(
        "select * from (values (1), (2)) v(a), (select 3) w",
        "select * from (values (?)) v(a), (select ?) w",
    );
    check("select f(1), f(1, 2), row(1, 2), (1, 2)", "select f(?), f(?, ?), row(?, ?), (?, ?)");
    check("select 1, 2, 3", "select ?, ?, ?");
    check(
        "where a in (select 1 union values (1, 2), (3, 4)) and b in (1, 2)",
        "where a in (select ? union values (?, ?)) and b in (?)",
    );
    check("where a in (f(array[1,2]), f(array[3]), f(b))", "where a in (f(array[?]), f(b))");
}

#[test]
fn places_of_literals() {
    let shape = shape(b"select 'x' from t where a in ($3, 2, -1) and b = $1", true);
    let literals: Vec<_> = shape.literals.iter().map(|one| (one.value, one.place)).collect();
    let expected = [
        (Value::String, 0),
        (Value::Parameter(3), 1),
        (Value::Number, 1),
        (Value::Number, 1),
        (Value::Parameter(1), 2),
    ];
    assert_eq!(literals, expected);
}

#[test]
fn what_is_not_a_literal() {
    check("select a ? 'b', c ?| d, e ?& f", "select a operator(?) ?, c ?| d, e ?& f");
    assert_ne!(text("select date ? b"), text("select date '2000-01-01' b"));
    check("select U&\"d!0061\" uescape '!'", "select U&\"d!0061\" uescape '!'");
    check("select $99999", "select $99999");
    check("select true, false, null, x is not null", "select true, false, null, x is not null");
}

#[test]
fn hints_are_found() {
    let sql = b"/* not one */ select /*+ SeqScan(t) */ 1 /*+ x */ from t";
    let hints: Vec<&[u8]> = shape(sql, true).hints.into_iter().map(|range| &sql[range]).collect();
    assert_eq!(hints, [&b"/*+ SeqScan(t) */"[..], b"/*+ x */"]);
    assert_eq!(shape(sql, true).fingerprint, shape(b"select 2 from t", true).fingerprint);
}

#[test]
fn what_ends_a_text_makes_no_other_shape() {
    let plain = shape(b"select v from t where id = 1", true);
    for text in [
        "select v from t where id = 2;",
        "select v from t where id = 2 ; ;;",
        "select v from t where id = 2; -- x",
    ] {
        assert_eq!(shape(text.as_bytes(), true).text, plain.text, "{text}");
    }
    check("select 1; select 2;", "select ?; select ?");
    check(";", "");
    check("select ';', \";\"", "select ?, \";\"");
}

#[test]
fn fingerprints_are_the_same_everywhere() {
    let fingerprint = shape(b"select * from t where id = 1", true).fingerprint;
    assert_eq!(fingerprint.to_string(), "e79089a4462006de4065a36bcd64ada2");
    assert_eq!(fingerprint.to_string().parse(), Ok(fingerprint));
    for bad in ["", "12", "g0000000000000000000000000000000", "+0000000000000000000000000000000"] {
        assert!(bad.parse::<Fingerprint>().is_err(), "{bad}");
    }
}

#[test]
fn the_dialect_decides() {
    let old = shape(b"select 'a\\' or b = '", false);
    assert_eq!(old.text, b"select ?");
    let wide = crate::sql::Dialect::new(true, b"sjis");
    assert_eq!(
        shape(b"select \"\x83\x5c\", A\x83A FROM t", wide).text,
        b"select \"\x83\x5c\", a\x83A from t"
    );
}

/// Kinds and words of the tokens, literals alike and signs taken to them: what a shape promises to tell.
fn tokens(shape: &Shape) -> Vec<(Kind, Vec<u8>)> {
    Lexer::new(&shape.text, true).map(|token| (token.kind, token.text(&shape.text).to_vec())).collect()
}

/// What is written in the place of each `?` does not change the shape, and shapes are equal only if their tokens are.
#[track_caller]
pub(super) fn holds(sql: &[u8]) {
    let (fast, first) = both_ways(sql);
    if let Some(fast) = fast {
        assert_eq!(fast, first, "{:?}", String::from_utf8_lossy(sql));
    }
    assert!(first.literals.iter().all(|one| one.range.end <= sql.len()), "{sql:?}");
    let mut again = vec![];
    let mut at = 0;
    for token in Lexer::new(&first.text, true).filter(|token| token.text(&first.text) == b"?") {
        let operator = first.text[..token.start].ends_with(b"operator(");
        again.extend_from_slice(&first.text[at..token.start]);
        again.extend_from_slice(if operator { b"?" } else { b"$1" });
        at = token.end;
    }
    again.extend_from_slice(&first.text[at..]);
    let second = shape(&again, true);
    if !first.text.contains(&0) && !first.text.windows(9).any(|part| part == b"operator(") {
        assert_eq!(second.text, first.text, "{:?}", String::from_utf8_lossy(sql));
        assert_eq!(tokens(&second), tokens(&first));
    }
    let mut places: Vec<usize> = first.literals.iter().map(|one| one.place).collect();
    places.sort_unstable();
    places.dedup();
    assert!(places.iter().copied().eq(0..places.len()), "{places:?} {:?}", String::from_utf8_lossy(sql));
}

/// What statements are made of, put together at random: both ways of finding a shape agree, and the fast one takes most.
#[test]
fn both_ways_agree() {
    const PIECES: &[&str] = &[
        "select", "from", "t", "Where", "in", "(", "(", ")", ")", ",", ",", "1", "2.5", "'a'", "'it''s'",
        "$1", "$2", "-", "+", "=", "<>", "*", "||", "values", "array", "[", "]", "::", "int", "null", "end",
        "limit", ".", "a", "\"B\"", ";", "and", "?|", "->>", "b_1", "-", "-1",
    ];
    let mut noise = super::noise::Noise(0x1234_5678_9abc_def1);
    let mut fast = 0;
    for _ in 0..30_000 {
        let mut sql = String::new();
        for _ in 0..1 + noise.below(24) {
            sql += PIECES[noise.below(PIECES.len())];
            sql += ["", " ", " ", "\n "][noise.below(4)];
        }
        fast += usize::from(both_ways(sql.as_bytes()).0.is_some());
        holds(sql.as_bytes());
    }
    assert!(fast > 10_000, "{fast} of 30,000 the fast way");
}
