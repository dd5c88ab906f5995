//! SHOW CACHE ENTRIES, CACHE FLUSH and CACHE BARRIER.

use super::{Command, Word};
use crate::sql::facts::Name;
use crate::wire::Fault;

/// How SHOW CACHE ENTRIES is written.
const ENTRIES: &str = "SHOW CACHE ENTRIES [n [from]]";
/// How the others are.
const COMMANDS: &str = "CACHE FLUSH [[schema.]table], CACHE BARRIER";
/// Entries shown where nothing is said.
const SOME: usize = 100;
/// More are not shown at once.
const MOST: usize = 10_000;

fn usage(message: impl Into<String>, hint: &str) -> Fault {
    Fault::error("42601", message).hint(hint)
}

/// What stands behind SHOW CACHE: ENTRIES, how many, and how many others come before.
pub(super) fn show(words: &[Word<'_>]) -> Result<Command, Fault> {
    let number = |at: usize, default: usize| match words.get(at) {
        None => Ok(default),
        Some(word) => {
            word.text.parse().map_err(|_| usage(format!("\"{}\" is not a number", word.text), ENTRIES))
        }
    };
    let what = words.first().filter(|word| word.is("ENTRIES"));
    match (what, words) {
        (Some(_), [_] | [_, _] | [_, _, _]) => {}
        (Some(_), [_, _, _, more, ..]) => {
            return Err(usage(format!("unexpected \"{}\" after the numbers", more.text), ENTRIES));
        }
        _ => {
            let text = words.first().map_or("", |word| &word.text);
            return Err(usage(format!("unexpected \"{text}\" after SHOW CACHE"), ENTRIES));
        }
    }
    let most = number(1, SOME)?;
    if most > MOST {
        return Err(Fault::error("22023", format!("at most {MOST} entries are shown at once")).hint(ENTRIES));
    }
    Ok(Command::CacheEntries(most, number(2, 0)?))
}

/// What stands behind CACHE.
pub(super) fn command(words: &[Word<'_>]) -> Result<Command, Fault> {
    match words {
        [word] if word.is("BARRIER") => Ok(Command::CacheBarrier),
        [word] if word.is("FLUSH") => Ok(Command::CacheFlush(None)),
        [word, table @ ..] if word.is("FLUSH") => Ok(Command::CacheFlush(Some(name(table)?))),
        [word, more, ..] if word.is("BARRIER") => {
            Err(usage(format!("unexpected \"{}\" after CACHE BARRIER", more.text), COMMANDS))
        }
        [word, ..] => Err(usage(format!("there is no CACHE {}", word.text), COMMANDS)),
        [] => Err(usage("CACHE needs to be told what is to be done", COMMANDS)),
    }
}

/// A table, with or without its schema, as in SQL: folded where it is not in quotes.
fn name(words: &[Word<'_>]) -> Result<Name, Fault> {
    let typed: String = words.iter().map(|word| word.typed).collect();
    let wrong = || usage(format!("{typed} is not the name of a table"), COMMANDS);
    let (mut parts, mut open) = (vec![], true);
    let mut part = |text: String, open: &mut bool| match std::mem::take(open) {
        true if !text.is_empty() => {
            parts.push(text.into_boxed_str());
            Ok(())
        }
        _ => Err(wrong()),
    };
    for word in words {
        if word.quoted {
            part(word.text.clone(), &mut open)?;
            continue;
        }
        for (at, piece) in word.text.split('.').enumerate() {
            if at > 0 && std::mem::replace(&mut open, true) {
                return Err(wrong());
            }
            if !piece.is_empty() {
                part(piece.to_ascii_lowercase(), &mut open)?;
            }
        }
    }
    let mut parts = parts.into_iter();
    match (open, parts.next(), parts.next(), parts.next()) {
        (false, Some(name), None, None) => Ok(Name { schema: None, name }),
        (false, Some(schema), Some(name), None) => Ok(Name { schema: Some(schema), name }),
        _ => Err(wrong()),
    }
}

impl Word<'_> {
    fn is(&self, keyword: &str) -> bool {
        !self.quoted && self.text.eq_ignore_ascii_case(keyword)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::command::parse;

    fn check(text: &str, expected: Result<Command, &str>) {
        let found = parse(text).map(|mut commands| commands.remove(0).0);
        assert_eq!(
            found.as_ref().map_err(|fault| fault.sqlstate.as_str()),
            expected.as_ref().map_err(|e| *e),
            "{text}"
        );
    }

    #[test]
    fn admin_entries_are_shown_by_pages() {
        check("show cache", Ok(Command::Show("CACHE".to_owned())));
        check("Show Cache Entries;", Ok(Command::CacheEntries(100, 0)));
        check("show cache entries 5", Ok(Command::CacheEntries(5, 0)));
        check("show cache entries 10000 20", Ok(Command::CacheEntries(10_000, 20)));
        check("show cache entries 10001", Err("22023"));
        for text in [
            "show cache x",
            "show cache \"entries\"",
            "show cache entries x",
            "show cache entries 1 2 3",
            "show cache entries -1",
        ] {
            check(text, Err("42601"));
        }
    }

    #[test]
    fn admin_tables_are_named_as_in_sql() {
        let flush = |schema: Option<&str>, name: &str| {
            Ok(Command::CacheFlush(Some(Name { schema: schema.map(Into::into), name: name.into() })))
        };
        check("cache flush", Ok(Command::CacheFlush(None)));
        check("CACHE FLUSH Orders;", flush(None, "orders"));
        check("cache flush Shop.Orders", flush(Some("shop"), "orders"));
        check("cache flush \"Shop\".orders", flush(Some("Shop"), "orders"));
        check("cache flush shop.\"a.b \"\"c\"\"\"", flush(Some("shop"), "a.b \"c\""));
        check("cache flush \"a\" . \"b\"", flush(Some("a"), "b"));
        for text in [
            "cache flush a b",
            "cache flush a.",
            "cache flush .a",
            "cache flush a..b",
            "cache flush a.b.c",
            "cache flush \"a\"\'b\'",
            "cache flush \"\"",
        ] {
            check(text, Err("42601"));
        }
    }

    #[test]
    fn admin_commands_of_the_cache() {
        check("cache barrier", Ok(Command::CacheBarrier));
        for text in ["cache", "cache barrier now", "cache clear", "\"cache\" flush"] {
            check(text, Err("42601"));
        }
    }
}
