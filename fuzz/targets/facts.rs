//! Syntax trees: any text is parsed in a bounded time and stack, facts are those of the shape, and a read by its words writes nothing by
//! its tree.

use std::time::{Duration, Instant};

use pgweir::sql::facts::{Access, Class, Facts, LONGEST, Operand};
use pgweir::sql::{Kind, Lexer, Shape, facts, not_a_read, shape};

/// What a thread has by default; a worker has no more.
const STACK: usize = 2 << 20;

/// How long a text of the longest kind may take, without optimization on a busy machine.
const PATIENCE: Duration = Duration::from_secs(5);

/// The first byte says whether plain strings are standard ones, the next how often the text is repeated; the rest is the text.
pub fn run(data: &[u8]) {
    let mut text = data;
    let std_strings = super::byte(&mut text) & 1 == 0;
    // What is short and repeated is a deep tree.
    let times = usize::from(super::byte(&mut text));
    let sql = match times {
        128.. if text.len() < LONGEST / times => text.repeat(times - 126),
        _ => text.to_vec(),
    };
    let checks = move || check(&sql, std_strings);
    let thread = std::thread::Builder::new().stack_size(STACK).spawn(checks).expect("a thread");
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

fn check(sql: &[u8], std_strings: bool) {
    let folded = shape(sql, std_strings);
    let started = Instant::now();
    let found = facts(sql, std_strings, &folded);
    assert!(started.elapsed() < PATIENCE, "{:?} for {}", started.elapsed(), sql.escape_ascii());
    if !found.understood {
        assert_eq!(found, Facts::of_class(found.class));
    }
    check_places(sql, &found, &folded);
    if found.understood && not_a_read(sql, std_strings).is_none() {
        let writes = found.tables.iter().any(|table| table.access == Access::Write);
        assert!(found.class == Class::Select && !writes && !found.locks, "{}", sql.escape_ascii());
    }
    for bound in [false, true] {
        let other = rewritten(sql, std_strings, bound);
        let other_shape = shape(&other, std_strings);
        // A text near the limit may pass it when it is rewritten.
        if other_shape.fingerprint != folded.fingerprint || other.len() >= LONGEST {
            continue;
        }
        let of_other = facts(&other, std_strings, &other_shape);
        // Not everything that a number may be, a parameter may be too.
        if !bound || of_other.understood && found.understood {
            assert_eq!(of_other, found, "{}", sql.escape_ascii());
        }
    }
}

/// Literals and parameters are those of the shape; names are as long as names are.
fn check_places(sql: &[u8], found: &Facts, folded: &Shape) {
    for predicate in &found.predicates {
        let exists = match predicate.operand {
            Operand::Literal(place) | Operand::Cast(place) => {
                folded.literals.iter().any(|one| one.place == place)
            }
            // That is of a text, and not of its shape.
            Operand::Parameter(_) => false,
            Operand::Column(..) | Operand::Other => true,
        };
        assert!(exists, "{predicate:?} of {}", sql.escape_ascii());
    }
    let mut names = found.tables.iter().map(|table| &table.name).chain(&found.functions);
    assert!(names.all(|name| (1..64).contains(&name.name.len())), "{}", sql.escape_ascii());
}

/// Another text of the same shape: other letters, other white space, and, if `bound`, parameters for numbers and strings.
fn rewritten(sql: &[u8], std_strings: bool, bound: bool) -> Vec<u8> {
    let mut other = vec![];
    for token in Lexer::new(sql, std_strings).filter(|token| token.kind != Kind::Comment) {
        other.extend_from_slice(b" /**/ ");
        let text = token.text(sql);
        match token.kind {
            Kind::Integer | Kind::Float | Kind::String if bound => other.extend_from_slice(b"$3"),
            Kind::Ident => other.extend(text.to_ascii_uppercase()),
            _ => other.extend_from_slice(text),
        }
    }
    other
}
