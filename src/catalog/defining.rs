//! Which texts may define code that other statements reach.

use memchr::memmem;

use super::read::LASTING;
use crate::sql::Effects;

/// Words of the commands that make code.
const CODE: &[&str] = &["function", "procedure", "routine", "aggregate", "extension"];

/// What is made of code, or may hold some.
const HOLDERS: &[&str] =
    &["view", "trigger", "rule", "domain", "operator", "policy", "cast", "default", "check"];

/// What makes a definition one that others reach.
const REACHING: Effects = LASTING.without(Effects::TEMP).union(Effects::OPAQUE);

/// Statements in which only what they call can define something, and that is in [`Effects::DDL`] then.
const CALLERS: &[&[u8]] = &[
    b"select", b"with", b"values", b"table", b"insert", b"update", b"delete", b"merge", b"call", b"explain",
    b"copy", b"declare", b"fetch", b"execute",
];

/// Whether a statement may define or change code, or what reaches code that changes sessions; `effects` are those of its
/// text and of the names in it. Objects of the session alone (temporary ones) do not count: it keeps its server.
pub fn may_define(text: &[u8], effects: Effects) -> bool {
    if effects.contains(Effects::DDL.union(Effects::OPAQUE)) {
        return true;
    }
    if effects.contains(Effects::OPAQUE) {
        return !only_calls(text);
    }
    if !effects.contains(Effects::DDL) {
        // COMMIT PREPARED: nobody knows what it brings.
        return effects.contains(Effects::NO_TX) && first_word(text) == b"commit";
    }
    let text = text.to_ascii_lowercase();
    let reaches =
        effects.intersects(REACHING) && !effects.intersects(Effects::TEMP.union(Effects::TEMP_OF_TX));
    mentions(&text, CODE) || reaches && mentions(&text, &["create", "alter"])
}

/// Whether a statement may change which names a read must not mention: any change of definitions may. Objects of the session
/// alone do not count.
pub fn may_move_barriers(text: &[u8], effects: Effects) -> bool {
    if !effects.intersects(Effects::DDL.union(Effects::OPAQUE)) {
        return effects.contains(Effects::NO_TX) && first_word(text) == b"commit";
    }
    let alone = !effects.intersects(Effects::OPAQUE) && first_word(text) == b"create";
    !(alone && effects.intersects(Effects::TEMP.union(Effects::TEMP_OF_TX)))
        && (effects.contains(Effects::DDL) || !only_calls(text))
}

/// Whether code may, when it runs, define what [`may_define`] means.
pub(super) fn code_may_define(code: &[u8]) -> bool {
    let code = code.to_ascii_lowercase();
    mentions(&code, &["create", "alter"]) && (mentions(&code, CODE) || mentions(&code, HOLDERS))
}

fn mentions(text: &[u8], words: &[&str]) -> bool {
    words.iter().any(|word| memmem::find(text, word.as_bytes()).is_some())
}

/// One statement that runs nothing but what it names.
fn only_calls(text: &[u8]) -> bool {
    let text = text.trim_ascii();
    let text = text.strip_suffix(b";").unwrap_or(text);
    memchr::memchr(b';', text).is_none() && CALLERS.contains(&first_word(text).as_slice())
}

fn first_word(text: &[u8]) -> Vec<u8> {
    let text = text.trim_ascii_start();
    let length = text.iter().position(|byte| !byte.is_ascii_alphabetic()).unwrap_or(text.len());
    text[..length].to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::summarize;

    #[track_caller]
    fn check(text: &str, hidden: Effects, expected: bool) {
        let effects = summarize(text.as_bytes(), true).effects | hidden;
        assert_eq!(may_define(text.as_bytes(), effects), expected, "{text}");
    }

    #[test]
    fn what_defines_code() {
        for text in [
            "create or replace function f() returns int language sql as 'select 1'",
            "ALTER PROCEDURE p() rename to q",
            "create extension hstore",
            "create view v as select set_config('role', 'x', false)",
            "alter table t alter a set default pg_advisory_lock(1)",
            "do $$ begin end $$",
            "select 1; do $$ begin end $$",
            "frobnicate",
            "commit prepared 'x'",
        ] {
            check(text, Effects::EMPTY, true);
        }
        check("create view w as select * from v", Effects::SETTING, true);
        check("select make()", Effects::SETTING | Effects::DDL | Effects::OPAQUE, true);
    }

    #[test]
    fn what_defines_none() {
        for text in [
            "create temp table t (i int)",
            "create table t (i int); create index on t (i)",
            "create temporary table t as select 1",
            "create temp table t on commit drop as select set_config('a.b', 'c', false)",
            "select 1 into temp t",
            "drop table t",
            "truncate t",
            "call p()",
            "vacuum",
            "select query_to_xml('select 1', true, true, '')",
            "select f()",
            "set role x",
        ] {
            check(text, Effects::EMPTY, false);
        }
        check("create temp table t (i int)", Effects::SETTING, false);
        check("truncate t", Effects::SETTING, false);
        check("select f()", Effects::SETTING, false);
    }
}
