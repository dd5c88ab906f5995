//! Rule files: what is wrong has a place in the file, and rules that are sound decide the same in every way of asking.

use pgweir::rules::check::check;
use pgweir::rules::{Context, Moment, Ruleset, Session, Source, Subject};
use pgweir::sql::facts::{Access, Class, Facts, Name, Table};
use pgweir::sql::shape;

/// A moment in 2026.
const NOW: i64 = 1_796_040_000;

/// The text of a file.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let files = [Source { path: "f.toml".into(), text: text.to_owned() }];
    let checked = check(&files, NOW, &mut facts);
    for problem in &checked.problems {
        let line = text.split('\n').nth(problem.place.line.wrapping_sub(1));
        let line = line.unwrap_or_else(|| panic!("{text}\n{problem}: no such line"));
        let column = problem.place.column;
        assert!((1..=line.chars().count() + 1).contains(&column), "{text}\n{problem}: no such column");
        assert!(!problem.message.is_empty() && !problem.message.contains('\n'), "{text}\n{problem}");
    }
    match Ruleset::compile(&files) {
        Ok(rules) => decide(text, &rules),
        Err(problems) => {
            assert!(!problems.is_empty(), "refused without a reason: {text}");
            assert!(!checked.is_well(), "compiles not, and is well: {text}");
        }
    }
}

fn decide(text: &str, rules: &Ruleset) {
    for sql in ["select * from orders where id = 7", "delete from orders", "begin"] {
        let (facts, shape) = (facts(sql), shape(sql.as_bytes(), true));
        let is_read = facts.class == Class::Select;
        let subject = Subject { facts: &facts, fingerprint: shape.fingerprint, shape: &shape.text, is_read };
        let session = Session { user: b"report_7", database: b"shop", ..Session::default() };
        let moment = Moment { in_transaction: false, now: NOW, text: sql.as_bytes() };
        let context = Context { session, moment };
        let candidates = rules.candidates(&subject);
        let decision = candidates.decide(&context);
        let of_session = candidates.of_session(&session);
        let again = of_session.decide(&context);
        let names = |decision: &pgweir::rules::Decision<'_>| {
            let both = decision.decided().chain(decision.shadow());
            both.map(|(concern, rule)| format!("{concern:?} {}", rule.name())).collect::<Vec<_>>()
        };
        assert_eq!(names(&decision), names(&again), "{text}\n{sql}");
        if let Some(rewrite) = decision.rewrite()
            && let Ok(new) = rewrite.action.apply(sql.as_bytes(), &shape)
        {
            assert!(!new.is_empty(), "{text}\n{sql}");
        }
    }
}

fn facts(sql: &str) -> Facts {
    let class = match sql.get(..3) {
        Some("del") => Class::Delete,
        Some("beg") => Class::Transaction,
        _ => Class::Select,
    };
    let access = if class == Class::Select { Access::Read } else { Access::Write };
    let tables = vec![Table { name: Name { schema: None, name: "orders".into() }, access }];
    Facts { understood: true, filtered: sql.contains("where"), tables, ..Facts::of_class(class) }
}
