//! Section E, continued: how a server reads bytes is a matter of `client_encoding` and `standard_conforming_strings`.
//!
//! In some client encodings the last byte of a character is that of a backslash or a letter. A statement that pgweir does not see
//! would leave its role to the next session on the server, so every case here tries to hide one.

use super::prelude::*;
use crate::harness::cluster::Database;
use crate::harness::proxy::Proxy;
use crate::harness::raw::Client;
use crate::harness::{direct_only, eventually};

/// Encodings of clients only, each with a character that ends in a backslash.
const BACKSLASHES: [(&str, &[u8]); 5] = [
    ("SJIS", b"\x83\x5c"),
    ("SHIFT_JIS_2004", b"\x83\x5c"),
    ("BIG5", b"\xa5\x5c"),
    ("GBK", b"\x81\x5c"),
    ("GB18030", b"\x81\x30\x81\x30\x81\x5c"),
];

/// With standard strings two of them; else one, and what sets the role.
const TWO_READINGS: &[u8] = b"select 'a\\', ', set_config($$role$$, $$staff$$, false) --'";

/// A pool, and a session on it after the other.
struct Pool<'a> {
    database: &'a Database<'a>,
    proxy: Proxy,
}

impl Pool<'_> {
    fn client(&self) -> Client {
        Client::connect(&self.proxy.endpoint(), &self.database.login())
    }
}

/// Runs a case with pools of this many servers, in a database whose `app` may become `staff`.
fn with_pool(size: usize, setup: &str, case: impl Fn(&Pool<'_>)) {
    if direct_only() {
        return;
    }
    with_pool_at(Cluster::shared(), size, setup, case);
}

fn with_pool_at(cluster: &Cluster, size: usize, setup: &str, case: impl Fn(&Pool<'_>)) {
    let database = cluster.database();
    let mut superuser = cluster.superuser(&database.name);
    let _may_be_there = superuser.simple("create role staff");
    superuser.run("grant staff to app");
    if !setup.is_empty() {
        superuser.run(&setup.replace("app here", &format!("app in database {}", database.name)));
    }
    let proxy = Proxy::start(&cluster.url(APP, &database.name, &format!("pool_size={size}")));
    case(&Pool { database: &database, proxy });
}

#[track_caller]
fn simple(client: &mut Client, text: &[u8]) {
    client.send(&msg::query_bytes(text));
    let answers = client.until_ready();
    let error = answers.iter().find(|message| message.tag == b'E');
    assert!(error.is_none(), "{}: {error:?}", text.escape_ascii());
}

fn parse(name: &str, text: &[u8]) -> Vec<u8> {
    msg::frame(b'P', &[name.as_bytes(), b"\0", text, b"\0\0\0"].concat())
}

#[track_caller]
fn extended(client: &mut Client, text: &[u8]) {
    client.send(&[parse("", text), msg::bind("", "", &[]), msg::execute("", 0), msg::sync()].concat());
    let answers = client.until_ready();
    let error = answers.iter().find(|message| message.tag == b'E');
    assert!(error.is_none(), "{}: {error:?}", text.escape_ascii());
}

/// The role that was hidden is the session's, and nobody else's.
#[track_caller]
fn check_role(pool: &Pool<'_>, hidden_by: &mut Client, what: &str) {
    assert_eq!(
        pool.client().value("select current_setting('role')"),
        "none",
        "{what}: another session's role"
    );
    assert_eq!(hidden_by.value("select current_setting('role')"), "staff", "{what}: the session's own role");
    hidden_by.run("reset role");
}

/// The character, and behind it a statement that is a string to who takes its last byte for a backslash.
fn hiding(open: &str, character: &[u8]) -> Vec<u8> {
    [b"select ", open.as_bytes(), character, b"'; set role staff; select '' --'"].concat()
}

#[test]
fn characters_that_end_in_a_backslash() {
    with_pool(1, "", |pool| {
        let mut client = pool.client();
        for (encoding, character) in BACKSLASHES {
            client.run(&format!("set client_encoding = '{encoding}'"));
            simple(&mut client, &hiding("E'", character));
            check_role(pool, &mut client, encoding);
            let call = [b"select E'", character, b"', set_config('role', 'staff', false) --'"].concat();
            extended(&mut client, &call);
            check_role(pool, &mut client, encoding);
            client.run("set standard_conforming_strings = off");
            simple(&mut client, &hiding("'", character));
            check_role(pool, &mut client, encoding);
            client.run("reset standard_conforming_strings");
        }
    });
}

#[test]
fn client_encoding_at_login_and_in_other_spellings() {
    with_pool(1, "", |pool| {
        for spelling in ["SJIS", "shift-jis", "MSKanji", "windows 932", "win_932"] {
            let login = pool.database.login().param("client_encoding", spelling);
            let mut client = Client::connect(&pool.proxy.endpoint(), &login);
            simple(&mut client, &hiding("E'", b"\x83\x5c"));
            check_role(pool, &mut client, spelling);
        }
    });
}

/// In SHIFT_JIS_2004 a backslash has two bytes, when the database is in UTF8.
#[test]
fn a_backslash_of_two_bytes() {
    with_pool(1, "", |pool| {
        let mut client = pool.client();
        client.run("set client_encoding = 'SHIFT_JIS_2004'");
        simple(&mut client, b"select E'\x81\x5f\\'; set role staff; select '' --'");
        check_role(pool, &mut client, "simple");
    });
}

#[test]
fn strings_are_not_standard_by_default() {
    with_pool(1, "alter role app here set standard_conforming_strings = off", |pool| {
        let mut client = pool.client();
        simple(&mut client, TWO_READINGS);
        check_role(pool, &mut client, "simple");
        extended(&mut client, TWO_READINGS);
        check_role(pool, &mut client, "extended");
        client.run("set standard_conforming_strings = on");
        client.run("reset standard_conforming_strings");
        simple(&mut client, TWO_READINGS);
        check_role(pool, &mut client, "after RESET");
    });
}

#[test]
fn client_encoding_by_default() {
    with_pool(1, "alter role app here set client_encoding = 'SJIS'", |pool| {
        let mut client = pool.client();
        simple(&mut client, &hiding("E'", b"\x83\x5c"));
        check_role(pool, &mut client, "SJIS");
        assert_eq!(client.parameters.get("client_encoding").map(String::as_str), Some("SJIS"));
    });
}

/// What functions do is read in UTF-8, whatever the login's default is.
#[test]
fn functions_under_another_default() {
    let setup = "create function f() returns int language sql as \
        'select length(E''\u{30bd}''); select set_config($$role$$, $$staff$$, false); select 1 --'''; \
        alter role app here set client_encoding = 'SJIS'";
    with_pool(1, setup, |pool| {
        let mut client = pool.client();
        simple(&mut client, b"select f()");
        check_role(pool, &mut client, "f");
    });
}

#[test]
fn defaults_that_change_while_sessions_are_there() {
    with_pool(1, "", |pool| {
        let mut client = pool.client();
        client.run("select 1");
        let mut superuser = Cluster::shared().superuser(&pool.database.name);
        let name = &pool.database.name;
        superuser.run(&format!("alter role app in database {name} set standard_conforming_strings = off"));
        end_servers(&mut superuser, name);
        for _ in 0..2 {
            simple(&mut client, TWO_READINGS);
            assert_eq!(client.value("select current_setting('role')"), "none", "it keeps what it was told");
            client.run("reset all");
        }
        let mut new = pool.client();
        let told = new.parameters.get("standard_conforming_strings").map(String::as_str);
        assert_eq!(told, Some("off"), "what a new session is told");
        simple(&mut new, TWO_READINGS);
        check_role(pool, &mut new, "a new session");
    });
}

/// Servers that are there report it when the configuration is read anew.
#[test]
fn defaults_that_change_under_servers() {
    if direct_only() {
        return;
    }
    let cluster = Cluster::start("", &[]);
    with_pool_at(&cluster, 1, "", |pool| {
        let mut superuser = cluster.superuser("postgres");
        let reload = |superuser: &mut Client, value: &str| {
            superuser.run(&format!("alter system set standard_conforming_strings = {value}"));
            superuser.run("select pg_reload_conf()");
            eventually("the configuration is read", || {
                superuser.value("show standard_conforming_strings") == value
            });
        };
        let mut busy = pool.client();
        busy.run("begin");
        assert_eq!(busy.value("show standard_conforming_strings"), "on");
        reload(&mut superuser, "off");
        eventually("it is reported", || busy.value("show standard_conforming_strings") == "off");
        busy.run("commit");
        simple(&mut busy, TWO_READINGS);
        check_role(pool, &mut busy, "a server in use");
        reload(&mut superuser, "on");
        end_servers(&mut superuser, &pool.database.name);
        let mut idle = pool.client();
        idle.run("select 1");
        reload(&mut superuser, "off");
        simple(&mut idle, TWO_READINGS);
        check_role(pool, &mut idle, "an idle server");
    });
}

/// Ends every server of a database, and waits until they are gone.
fn end_servers(superuser: &mut Client, database: &str) {
    let servers = format!("from pg_stat_activity where usename = 'app' and datname = '{database}'");
    superuser.run(&format!("select pg_terminate_backend(pid) {servers}"));
    eventually("the servers are gone", || superuser.value(&format!("select count(*) {servers}")) == "0");
}

#[test]
fn a_text_behind_the_set_that_changes_its_reading() {
    with_pool(1, "", |pool| {
        let hidden = hiding("E'", b"\x83\x5c");
        for (set, text) in [
            ("set standard_conforming_strings = off", TWO_READINGS),
            ("set client_encoding = 'SJIS'", &hidden),
        ] {
            let mut client = pool.client();
            client.send(&[msg::query(set), msg::query_bytes(text)].concat());
            client.until_ready();
            client.until_ready();
            check_role(pool, &mut client, set);
            let mut client = pool.client();
            let batch = |text: &[u8]| {
                [parse("", text), msg::bind("", "", &[]), msg::execute("", 0), msg::sync()].concat()
            };
            client.send(&[batch(set.as_bytes()), msg::query_bytes(text)].concat());
            client.until_ready();
            client.until_ready();
            check_role(pool, &mut client, set);
        }
    });
}

#[test]
fn one_text_read_in_two_ways_is_two_statements() {
    with_pool(1, "", |pool| {
        let (mut standard, mut old) = (pool.client(), pool.client());
        extended(&mut standard, TWO_READINGS);
        old.run("set standard_conforming_strings = off");
        extended(&mut old, TWO_READINGS);
        check_role(pool, &mut old, "standard_conforming_strings");
        let call = b"select E'\x83\x5c', set_config('role', 'staff', false) --'";
        let (mut utf8, mut sjis) = (pool.client(), pool.client());
        utf8.send(&[parse("", call), msg::sync()].concat());
        utf8.until_ready();
        sjis.run("set client_encoding = 'SJIS'");
        extended(&mut sjis, call);
        check_role(pool, &mut sjis, "client_encoding");
        let latin = "select 'é', length('é')".as_bytes();
        let length = |client: &mut Client| {
            client.send(
                &[parse("x", latin), msg::bind("", "x", &[]), msg::execute("", 0), msg::sync()].concat(),
            );
            let rows = client.until_ready();
            rows.iter().find(|row| row.tag == b'D').expect("a row").body.last().copied()
        };
        let (mut utf8, mut latin1) = (pool.client(), pool.client());
        latin1.run("set client_encoding = 'LATIN1'");
        assert_eq!(length(&mut utf8), Some(b'1'));
        assert_eq!(length(&mut latin1), Some(b'2'));
    });
}

#[test]
fn a_statement_prepared_before_its_reading_changed() {
    with_pool(2, "", |pool| {
        let (mut client, mut other) = (pool.client(), pool.client());
        client.send(&[parse("s", TWO_READINGS), msg::sync()].concat());
        client.until_ready();
        client.run("set standard_conforming_strings = off");
        // Another server has to prepare it.
        other.run("begin");
        client.send(&[msg::bind("", "s", &[]), msg::execute("", 0), msg::sync()].concat());
        client.until_ready();
        other.run("commit");
        check_both(pool);
        client.run("reset role");
        client.run("set standard_conforming_strings = on");
        client.run("prepare p as select 'a\\', ', set_config($$role$$, $$staff$$, false) --'");
        client.run("set standard_conforming_strings = off");
        other.run("begin");
        client.run("execute p");
        other.run("commit");
        check_both(pool);
    });
}

/// No role was left on either of two servers.
#[track_caller]
fn check_both(pool: &Pool<'_>) {
    let clients: Vec<Client> = (0..2)
        .map(|_| {
            let mut client = pool.client();
            client.run("begin");
            assert_eq!(client.value("select current_setting('role')"), "none");
            client
        })
        .collect();
    clients.into_iter().for_each(|mut client| client.run("commit"));
}

/// A value of one session's encoding, written for a server that is in another's.
#[test]
fn values_follow_in_their_own_encoding() {
    with_pool(1, "", |pool| {
        let (mut client, mut other) = (pool.client(), pool.client());
        let value = "select encode(convert_to(current_setting('my.own'), 'UTF8'), 'hex')";
        client.run("set client_encoding = 'LATIN1'");
        simple(&mut client, b"set my.own = '\xe9'");
        simple(&mut client, b"set application_name = '\xe9'");
        other.run("set client_encoding = 'SJIS'");
        assert_eq!(client.value(value), "c3a9");
        other.run("select 1");
        client.run("set client_encoding = 'UTF8'");
        other.run("select 1");
        assert_eq!(client.value(value), "c3a9", "client_encoding changed behind it");
        client.run("reset client_encoding");
        other.run("select 1");
        assert_eq!(client.value(value), "c3a9", "client_encoding was reset behind it");
    });
}

#[test]
fn values_do_not_get_out_of_their_quotes() {
    with_pool(1, "", |pool| {
        for (encoding, character) in BACKSLASHES {
            let (mut client, mut other) = (pool.client(), pool.client());
            for client in [&mut client, &mut other] {
                client.run(&format!("set client_encoding = '{encoding}'"));
            }
            let out = b"''; set role staff; select set_config(''my.a'', ''";
            simple(&mut client, &[b"set my.own = '", character, out, b"'"].concat());
            simple(&mut client, &[b"set \"my.", character, b"\" = 'kept'"].concat());
            let show = [b"select current_setting('my.", character, b"')"].concat();
            other.run("select 1");
            for _ in 0..2 {
                client.send(&msg::query_bytes(&show));
                let rows = client.until_ready();
                assert_eq!(rows.iter().find(|row| row.tag == b'D').expect("a row").value(), "kept");
                assert_eq!(other.value("select current_setting('role')"), "none", "{encoding}");
            }
            client.run("select set_config('my.b', 'asked for', false)");
            assert_eq!(other.value("select current_setting('role')"), "none", "{encoding}");
            assert_eq!(client.value("select current_setting('role')"), "none", "{encoding}");
        }
    });
}

#[test]
fn prepare_in_sjis() {
    with_pool(2, "", |pool| {
        let (mut client, mut other) = (pool.client(), pool.client());
        client.run("set client_encoding = 'SJIS'");
        // Their second bytes differ in a letter's case only.
        simple(&mut client, b"prepare \x83\x41 as select 'first'");
        simple(&mut client, b"prepare \x83\x61 as select 'second'");
        simple(&mut client, b"prepare \"\x83\x5c\" as select E'\x83\x5c', 'third' --'");
        for hold in [false, true] {
            other.run(if hold { "begin" } else { "select 1" });
            for (text, expected) in [
                (&b"execute \x83\x41"[..], "first"),
                (b"execute \x83\x61", "second"),
                (b"execute\"\x83\x5c\"", "third"),
            ] {
                client.send(&msg::query_bytes(text));
                let rows = client.until_ready();
                let row = rows.iter().find(|row| row.tag == b'D').expect("a row");
                assert!(row.body.ends_with(expected.as_bytes()), "{row:?}");
            }
        }
        other.run("commit");
        simple(&mut client, b"deallocate \x83\x61");
        client.send(&msg::query_bytes(b"execute \x83\x41"));
        assert!(client.until_ready().iter().any(|message| message.tag == b'D'));
    });
}

#[test]
fn a_prepared_statement_that_sets_is_seen_when_it_runs() {
    with_pool(1, "", |pool| {
        let mut client = pool.client();
        client.run("prepare p as select set_config('role', 'staff', false)");
        client.run("execute p");
        check_role(pool, &mut client, "simple");
        extended(&mut client, b"execute p");
        check_role(pool, &mut client, "extended");
    });
}
