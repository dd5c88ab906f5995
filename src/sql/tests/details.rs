//! Operands of statements.

use crate::sql::Isolation::{ReadCommitted, RepeatableRead, Serializable};
use crate::sql::{Detail, DiscardTarget, Isolation, Modes, SetValue, summarize};

fn detail(sql: &str) -> Detail {
    summarize(sql.as_bytes(), true).statements.remove(0).detail
}

fn check(sql: &str, expected: Detail) {
    assert_eq!(detail(sql), expected, "{sql}");
}

/// `name = value` with `~` for DEFAULT and `?` for what is not said; `local` before it where it is. Modes are whether it only reads, the level,
/// and whether it is deferrable.
fn written(sql: &str) -> String {
    let Detail::Set { name, value, local } = detail(sql) else { return "none".to_string() };
    let value = match value {
        SetValue::Literal(text) => format!("= {}", String::from_utf8_lossy(&text)),
        SetValue::Default => "~".to_string(),
        SetValue::Modes(Modes { read_only, isolation, deferrable }) => {
            let said = |said: Option<bool>| said.map_or("-", |said| if said { "yes" } else { "no" });
            let level = isolation.map_or("-", Isolation::name);
            format!("| {} | {level} | {}", said(read_only), said(deferrable))
        }
        SetValue::Other => "?".to_string(),
    };
    format!("{}{} {value}", if local { "local " } else { "" }, String::from_utf8_lossy(&name))
}

fn check_set(sql: &str, expected: &str) {
    assert_eq!(written(sql), expected, "{sql}");
}

#[test]
fn set_values() {
    check_set("set x = 'v'", "x = v");
    check_set("SET X TO V", "x = v");
    check_set("set \"X\" = \"V\"", "X = V");
    check_set("set x.Y.z = 1", "x.y.z = 1");
    check_set("set x = -1", "x = -1");
    check_set("set x=-1.50", "x = -1.50");
    check_set("set x = +007", "x = 7");
    check_set("set x = -0", "x = 0");
    check_set("set x = 99999999999", "x = 99999999999");
    check_set("set x = 1e5", "x = 1e5");
    check_set("set x to on", "x = on");
    check_set("set x to TRUE", "x = true");
    check_set("set x to off", "x = off");
    check_set("set x to default", "x ~");
    check_set("set x = 'it''s'", "x = it's");
    check_set(r"set x = E'a\'b\n\x41\101'", "x = a'b\nAA");
    check_set("set x = $$a'b$$", "x = a'b");
    check_set("set x = 'a'\n'b'", "x = ab");
    check_set("set x = /* c */ ''", "x = ");
    check_set("set session x = 1", "x = 1");
    check_set("set local x = 1", "local x = 1");
    check_set("set x = 1 -- c", "x = 1");
}

#[test]
fn set_values_not_said() {
    check_set("set x from current", "x ?");
    check_set("set x = 1, 2", "x ?");
    check_set("set x = 4MB", "x ?");
    check_set("set x = 0x1F", "x ?");
    check_set("set x = 1_000", "x ?");
    check_set("set x =", "x ?");
    check_set("set x = default, 1", "x ?");
    check_set("set x = select", "x ?");
    check_set("set x = a b", "x ?");
    check_set("set x = U&'a'", "x ?");
    check_set("set x = N'a'", "x ?");
    check_set("set x = \"\"", "x ?");
    check_set(r"set x = E'\u0041'", "x ?");
    check_set(r"set x = E'\377'", "x ?");
    check_set(r"set x = E'\0'", "x ?");
    check_set("set x = 'a' || 'b'", "x ?");
    check_set(&format!("set x = {}", "a".repeat(64)), "x ?");
    check_set("set U&\"x\" = 1", "none");
    check_set("set select = 1", "none");
    check_set("set x", "none");
    check_set("set", "none");
}

#[test]
fn set_lists() {
    check_set("set search_path = \"$user\", public, 'x y'", "search_path = \"$user\", public, \"x y\"");
    check_set("set search_path = \"a,b\", 'x y', ''", "search_path = \"a,b\", \"x y\", \"\"");
    check_set("set search_path to A, 'A', \"a\"\"b\"", "search_path = a, \"A\", \"a\"\"b\"");
    check_set("set Search_Path = 'user', int", "search_path = \"user\", \"int\"");
    check_set("set search_path = ''", "search_path = \"\"");
    check_set("set search_path = 1, a", "search_path = 1, a");
    check_set("set datestyle = ISO, DMY", "datestyle = iso, dmy");
    check_set("set datestyle to 'ISO, DMY'", "datestyle = ISO, DMY");
    check_set("set schema 'My'", "search_path = \"My\"");
}

#[test]
fn set_forms() {
    check_set("set time zone 'Europe/Paris'", "timezone = Europe/Paris");
    check_set("set time zone UTC", "timezone = utc");
    check_set("set time zone \"UTC\"", "timezone = UTC");
    check_set("set local time zone -3.5", "local timezone = -3.5");
    check_set("set time zone local", "timezone ~");
    check_set("set time zone default", "timezone ~");
    check_set("set time zone interval '1' hour", "timezone ?");
    check_set("set time zone interval '-08:00' hour to minute", "timezone ?");
    check_set("set names 'latin1'", "client_encoding = latin1");
    check_set("set names", "client_encoding ~");
    check_set("set names default", "client_encoding ~");
    check_set("set names latin1", "client_encoding ?");
    check_set("set role bob", "role = bob");
    check_set("set role NONE", "role = none");
    check_set("set role 'Bob'", "role = Bob");
    check_set("set role \"Bob\"", "role = Bob");
    check_set("set role default", "role ?");
    check_set("set role = bob", "role = bob");
    check_set("set local role bob", "local role = bob");
    check_set("set session role bob", "role = bob");
    check_set("set session authorization bob", "session_authorization = bob");
    check_set("set session session authorization 'Bob'", "session_authorization = Bob");
    check_set("set local session authorization default", "local session_authorization ~");
    check_set("set xml option document", "xmloption ?");
    check_set("set transaction isolation level serializable", "local transaction | - | serializable | -");
    check_set("set transaction read only", "local transaction | yes | - | -");
    check_set(
        "SET LOCAL TRANSACTION /* c */ ISOLATION LEVEL REPEATABLE READ, READ ONLY DEFERRABLE -- x",
        "local transaction | yes | repeatable read | yes",
    );
    check_set("set session transaction read write, not deferrable", "local transaction | no | - | no");
    check_set("set transaction read only, read write", "local transaction | no | - | -");
    check_set("set transaction", "local transaction ?");
    check_set("set transaction read", "local transaction ?");
    check_set("set transaction read only,", "local transaction ?");
    check_set("set transaction not", "local transaction ?");
    check_set("set transaction \"read\" only", "local transaction ?");
    check_set("set transaction read only x", "local transaction ?");
    check_set("set transaction snapshot 'x'", "local transaction ?");
    let characteristics = "set session characteristics";
    check_set(
        &format!("{characteristics} as transaction read only"),
        "session characteristics | yes | - | -",
    );
    check_set(
        &format!("{characteristics} as transaction isolation level read uncommitted, not deferrable"),
        "session characteristics | - | read committed | no",
    );
    check_set(&format!("{characteristics} as transaction"), "session characteristics ?");
    check_set(&format!("{characteristics} read only"), "session characteristics ?");
    check_set("set constraints all deferred", "none");
    check_set("set session = 1", "session = 1");
    check_set("set local.x to 1", "local.x = 1");
    check_set("set time = 1", "time = 1");
    check_set("set names to 'x'", "names = x");
}

#[test]
fn strings_without_standard_conforming() {
    let sql = br"set x = 'a\'b'";
    let value = SetValue::Literal(b"a'b".to_vec());
    let expected = Detail::Set { name: b"x".to_vec(), value, local: false };
    assert_eq!(summarize(sql, false).statements[0].detail, expected);
}

#[test]
fn reset_and_show() {
    let reset = |name: &str| Detail::Reset { name: Some(name.into()) };
    check("reset all", Detail::Reset { name: None });
    check("reset A.b", reset("a.b"));
    check("reset role", reset("role"));
    check("reset session authorization", reset("session_authorization"));
    check("reset time zone", reset("timezone"));
    check("reset transaction isolation level", reset("transaction_isolation"));
    check("reset a b", Detail::None);
    let show = |name: &str| Detail::Show { name: name.into() };
    check("SHOW \"Search_Path\"", show("Search_Path"));
    check("show all", show("all"));
    check("show time zone", show("timezone"));
    check("show transaction isolation level", show("transaction_isolation"));
    check("show", Detail::None);
}

#[test]
fn begin() {
    for (sql, read_only, isolation, deferrable) in SIMPLE {
        let modes = Modes { read_only: *read_only, isolation: *isolation, deferrable: *deferrable };
        check(sql, Detail::Begin { simple: true, modes });
    }
    for sql in
        ["start", "begin read", "begin read only,", "begin ,", "begin atomic", "begin isolation level x"]
    {
        check(sql, Detail::Begin { simple: false, modes: Modes::default() });
    }
}

/// A text, and what it says of reading only, of isolation and of being deferrable.
type Simple = (&'static str, Option<bool>, Option<Isolation>, Option<bool>);

const SIMPLE: &[Simple] = &[
    ("begin", None, None, None),
    ("BEGIN WORK", None, None, None),
    ("begin transaction", None, None, None),
    ("start transaction", None, None, None),
    ("begin isolation level serializable", None, Some(Serializable), None),
    (
        "start transaction isolation level repeatable read, read only, deferrable",
        Some(true),
        Some(RepeatableRead),
        Some(true),
    ),
    (
        "begin isolation level read committed read write not deferrable",
        Some(false),
        Some(ReadCommitted),
        Some(false),
    ),
    ("begin /* c */ isolation level read uncommitted -- x", None, Some(ReadCommitted), None),
    ("begin read write, read only", Some(true), None, None),
    ("start transaction read only isolation level serializable", Some(true), Some(Serializable), None),
];

#[test]
fn levels_of_isolation_by_their_names() {
    let check = |name: &str, expected| assert_eq!(Isolation::named(name.as_bytes()), expected, "{name}");
    check("read committed", Some(ReadCommitted));
    check("Read Uncommitted", Some(ReadCommitted));
    check("REPEATABLE READ", Some(RepeatableRead));
    check("serializable", Some(Serializable));
    check("read  committed", None);
    check("", None);
}

#[test]
fn commit_and_rollback() {
    for sql in ["commit", "end", "COMMIT WORK", "end transaction and no chain"] {
        check(sql, Detail::Commit { chain: false });
    }
    check("commit and chain", Detail::Commit { chain: true });
    check("abort work and chain", Detail::Rollback { chain: true });
    check("rollback", Detail::Rollback { chain: false });
    for sql in ["commit x", "commit and", "rollback to a", "commit prepared 'x'", "rollback and no"] {
        check(sql, Detail::None);
    }
}

/// The name of a PREPARE, EXECUTE or DEALLOCATE, and the text it stands in.
fn check_name(sql: &str, expected: &str, token: &str) {
    let (name, range) = match summarize(sql.as_bytes(), true).statements.pop().unwrap().detail {
        Detail::Prepare { name, name_range } | Detail::Execute { name, name_range } => (name, name_range),
        Detail::Deallocate { name: Some(name), name_range } => (name, name_range),
        other => panic!("{sql}: {other:?}"),
    };
    assert_eq!((name.as_slice(), &sql[range]), (expected.as_bytes(), token), "{sql}");
}

#[test]
fn prepared_statement_names() {
    check_name("select 1; prepare /* c */ P1 as select 1", "p1", "P1");
    check_name("prepare \"P\"\"1\" (int, text) as select $1", "P\"1", "\"P\"\"1\"");
    check_name("prepare transaction as select 1", "transaction", "transaction");
    check_name("execute P", "p", "P");
    check_name("execute p(1, (2), ')')", "p", "p");
    check_name("explain execute \"P\"(1)", "P", "\"P\"");
    check_name("explain (analyze, buffers) execute p", "p", "p");
    check_name("explain analyze verbose execute p", "p", "p");
    check_name(
        "create table if not exists t (a) with (fillfactor=70) as execute p(1) with no data",
        "p",
        "p",
    );
    check_name("explain create temp table t as execute p", "p", "p");
    check_name("deallocate p", "p", "p");
    check_name("deallocate prepare p", "p", "p");
    check_name("deallocate prepare", "prepare", "prepare");
    for sql in
        ["prepare p", "execute p 1", "execute p(1", "execute select", "execute U&\"p\"", "deallocate p q"]
    {
        check(sql, Detail::None);
    }
    check("deallocate ALL", Detail::Deallocate { name: None, name_range: 11..14 });
    check("deallocate prepare all", Detail::Deallocate { name: None, name_range: 19..22 });
}

#[test]
fn the_rest() {
    check("discard all", Detail::Discard(DiscardTarget::All));
    check("discard TEMPORARY", Detail::Discard(DiscardTarget::Temp));
    check("discard temp", Detail::Discard(DiscardTarget::Temp));
    check("discard plans", Detail::Discard(DiscardTarget::Plans));
    check("discard sequences", Detail::Discard(DiscardTarget::Sequences));
    check("discard all plans", Detail::None);
    check("listen A", Detail::Listen { channel: b"a".to_vec() });
    check("listen \"A\"", Detail::Listen { channel: b"A".to_vec() });
    check("listen a b", Detail::None);
    check("unlisten *", Detail::Unlisten { channel: None });
    check("unlisten \"*\"", Detail::Unlisten { channel: Some(b"*".to_vec()) });
    check("close all", Detail::Close { name: None });
    check("close C", Detail::Close { name: Some(b"c".to_vec()) });
    check("(close c)", Detail::None);
    check("select 1", Detail::None);
}
