//! Tokens, through pgweir in front of a primary and a replica that does not follow: who has one sees what it stands for.

use super::routing::Routed;
use crate::harness::cluster::{APP, Cluster};
use crate::harness::message::Message;
use crate::harness::proxy::{Proxy, ProxyOptions};
use crate::harness::raw::{Client, Endpoint, Login};
use crate::harness::{direct_only, eventually, frontend as msg};

const READ: &str = "select n from t where i = 50";

fn connect(endpoint: &Endpoint) -> Client {
    Client::connect(endpoint, &Login::new(APP.0, APP.1, "postgres"))
}

fn batch(sql: &str, values: &[&str]) -> Vec<u8> {
    [
        msg::parse("", sql),
        msg::bind("", "", values),
        msg::describe_portal(""),
        msg::execute("", 0),
        msg::sync(),
    ]
    .concat()
}

fn answer(client: &mut Client, bytes: &[u8]) -> Vec<Message> {
    client.send(bytes);
    client.until_ready()
}

/// The value that is told in each form; in all of them it is one row of one column of that name.
fn shown(client: &mut Client, name: &str) -> Vec<String> {
    let show = &format!("show {name}")[..];
    let named = [msg::parse("token", show), msg::describe_statement("token"), msg::sync()].concat();
    assert!(answer(client, &named).iter().all(|message| message.tag != b'E'));
    let run =
        [msg::bind("", "token", &[]), msg::describe_portal(""), msg::execute("", 0), msg::sync()].concat();
    let loud = format!("/* x */ SHOW {} ; select 1", name.to_ascii_uppercase());
    let forms = [msg::query(show), batch(show, &[]), run, msg::query(&loud)];
    let tell = |form: &Vec<u8>| {
        let answer = answer(client, form);
        let row = answer.iter().find(|message| message.tag == b'D').expect("a row").value();
        let columns = answer.iter().find(|message| message.tag == b'T').expect("its columns");
        assert!(columns.to_string().contains(name), "{columns}");
        row
    };
    let values = forms.iter().map(tell).collect();
    client.run("deallocate token");
    values
}

#[test]
fn a_token_carries_what_a_session_has_seen() {
    if direct_only() {
        return;
    }
    let routed = Routed::new(1, "consistency=session");
    // Another pgweir in front of the same nodes.
    let url = routed.scene.url(APP, "check_interval=50ms");
    let other = Proxy::start_with(&ProxyOptions::url(&url));
    let mut warm = connect(&other.endpoint());
    warm.run("set pgweir.consistency = 'any'");
    routed.pause(0, true);
    let mut writer = routed.connect();
    writer.run("update t set n = 77 where i = 50");
    eventually("the other one reads at the replica", || warm.value(READ) == "0");
    let tokens = shown(&mut writer, "pgweir.token");
    assert!(tokens.iter().all(|token| token.starts_with("1:") && !token.ends_with('+')), "{tokens:?}");
    for (n, token) in tokens.iter().enumerate() {
        for endpoint in [routed.proxy.endpoint(), other.endpoint()] {
            let set = format!("set pgweir.token = '{token}'");
            let config = format!("select set_config('pgweir.token', '{token}', false)");
            let by_value = "select set_config('pgweir.token', $1, false)";
            let ways = [
                msg::query(&set),
                batch(&set, &[]),
                msg::query(&config),
                batch(by_value, &[token]),
                msg::query(&format!("begin; {set}; rollback")),
                msg::query(&format!("begin; {config}; commit")),
            ];
            for (way, bytes) in ways.iter().enumerate() {
                let mut client = connect(&endpoint);
                assert_eq!(client.value(READ), "0", "whoever has no token may see less");
                let told = answer(&mut client, bytes);
                assert!(told.iter().all(|message| message.tag != b'E'), "{told:?}");
                assert_eq!(client.value(READ), "77", "token {n} by way {way}");
                assert_eq!(client.value("select count(*) from pg_settings where name = 'pgweir.token'"), "0");
            }
            for (name, value) in
                [("pgweir.token", token.clone()), ("options", format!("-c pgweir.token={token}"))]
            {
                let login = Login::new(APP.0, APP.1, "postgres").param(name, &value);
                let mut client = Client::connect(&endpoint, &login);
                assert_eq!(client.value(READ), "77", "token {n} by {name}");
            }
        }
    }
    // In a transaction that a replica has, it is the primary that is asked.
    let mut client = routed.connect();
    client.run("begin read only");
    assert_eq!(client.value(READ), "0");
    let token = client.value("show pgweir.token");
    assert!(!token.ends_with('+'), "{token}");
    assert_eq!(client.value(READ), "77");
    client.run("commit");
    // Who has one comes to the replica as soon as that has what it stands for.
    let mut client = routed.connect();
    client.run(&format!("set pgweir.token = '{}'", tokens[0]));
    let read = |client: &mut Client| {
        let before = routed.counted("pgweir_replica_reads_total", "answered");
        assert_eq!(client.value(READ), "77");
        routed.counted("pgweir_replica_reads_total", "answered") > before
    };
    assert!(!read(&mut client));
    routed.pause(0, false);
    eventually("the replica answers", || {
        std::thread::sleep(std::time::Duration::from_millis(15));
        read(&mut client)
    });
}

fn error(messages: &[Message]) -> (String, Option<String>) {
    let error = messages.iter().find(|message| message.tag == b'E').expect("an error");
    (error.sqlstate(), error.field(b'H'))
}

#[test]
fn what_is_no_token_is_refused() {
    if direct_only() {
        return;
    }
    let routed = Routed::new(1, "consistency=any");
    let mut client = routed.connect();
    for (token, hint) in [
        ("rubbish", "take it from SHOW pgweir.token, as it is"),
        (
            "1:7:1:0/1",
            "a token holds for the nodes of one cluster only; take it from SHOW pgweir.token there",
        ),
        ("2:x", "it comes from a newer pgweir; bring all in front of the cluster to one version"),
    ] {
        let expected = ("22023".to_owned(), Some(hint.to_owned()));
        let set = format!("set pgweir.token = '{token}'");
        for bytes in [msg::query(&set), batch(&set, &[]), msg::query(&format!("select 1; {set}"))] {
            let told = answer(&mut client, &bytes);
            assert_eq!(error(&told), expected, "{told:?}");
            assert_eq!(client.value("select 1"), "1", "nothing is left of it");
            for first in ["", "select n from t where i = 1", "update t set n = 0 where i = 1"] {
                client.run("begin");
                client.run(first);
                assert_eq!(error(&answer(&mut client, &bytes)), expected);
                assert_eq!(client.error("select 1"), "25P02");
                client.run("rollback");
            }
        }
        let login = Login::new(APP.0, APP.1, "postgres").param("pgweir.token", token);
        let mut late = Client::dial(&routed.proxy.endpoint()).expect("it listens");
        let told = late.login(&login).expect("it is answered");
        assert_eq!(error(&told), expected, "{told:?}");
    }
    client.run("select set_config('pgweir.token', 'rubbish', false)");
    assert_eq!(client.value("select 1"), "1");
}

#[test]
fn what_is_in_force_is_shown() {
    if direct_only() {
        return;
    }
    let routed = Routed::new(1, "consistency=bounded:700ms");
    let check = |client: &mut Client, name: &str, expected: &str| {
        assert_eq!(shown(client, name), [expected; 4], "{name}");
    };
    let (mut client, login) = (routed.connect(), Login::new(APP.0, APP.1, "postgres"));
    check(&mut client, "pgweir.consistency", "bounded:700ms");
    check(&mut client, "pgweir.pool_mode", "transaction");
    client.run("set pgweir.consistency = 'any'");
    check(&mut client, "pgweir.consistency", "any");
    client.run("reset pgweir.consistency");
    check(&mut client, "pgweir.consistency", "bounded:700ms");
    let sticky = login.param("options", "-c pgweir.pool_mode=session -c pgweir.consistency=session");
    let mut sticky = Client::connect(&routed.proxy.endpoint(), &sticky);
    check(&mut sticky, "pgweir.pool_mode", "session");
    check(&mut sticky, "pgweir.consistency", "session");
    let url = routed.scene.url(APP, "reads=primary&target_session_attrs=primary");
    let plain = Proxy::start_with(&ProxyOptions::url(&url));
    check(&mut connect(&plain.endpoint()), "pgweir.consistency", "primary");
}

/// As PostgreSQL answers SHOW of any other setting: by message, and the tags at the end of statements.
#[test]
fn what_is_shown_ends_as_show_does() {
    if direct_only() {
        return;
    }
    let cluster = Cluster::shared();
    let database = cluster.database();
    let proxy = Proxy::start(&cluster.url(APP, &database.name, ""));
    let connect = |endpoint: &Endpoint| Client::connect(endpoint, &database.login());
    let (mut proxied, mut direct) = (connect(&proxy.endpoint()), connect(&cluster.tcp()));
    let forms = |name: &str| {
        let show = format!("show {name}");
        let piece = msg::execute("", 1);
        let run = [msg::describe_portal(""), msg::execute("", 0)].concat();
        [
            msg::query(&show),
            msg::query(&format!("select 1; {show}; select 2; {show};")),
            msg::query(&format!(
                "begin; {show}; prepare s as select 3; {show}; deallocate s; commit; select 4"
            )),
            batch(&show, &[]),
            [msg::parse("s", &show), msg::describe_statement("s"), msg::sync()].concat(),
            [msg::bind("", "s", &[]), run.clone(), msg::bind("", "s", &[]), run, msg::sync()].concat(),
            [msg::bind("p", "s", &[]), msg::execute("p", 0), msg::execute("p", 0), msg::sync()].concat(),
            [msg::bind("", "s", &[]), piece.clone(), piece.clone(), piece, msg::sync()].concat(),
            [msg::close_statement("s"), msg::sync()].concat(),
        ]
    };
    let told = |client: &mut Client, form: &[u8]| -> Vec<String> {
        client.send(form);
        let answers = client.until_ready();
        answers.iter().map(|one| format!("{} {}", char::from(one.tag), one.command_tag())).collect()
    };
    for name in ["pgweir.pool_mode", "pgweir.consistency", "pgweir.token"] {
        for (form, like) in forms(name).iter().zip(forms("work_mem")) {
            let shown = String::from_utf8_lossy(form).into_owned();
            assert_eq!(told(&mut proxied, form), told(&mut direct, &like), "{shown:?}");
        }
    }
    // Whoever sends the very text that a server gets has sent a SELECT.
    let select = "SELECT 'transaction'::pg_catalog.text AS \"pgweir.pool_mode\"";
    for form in [msg::query(select), batch(select, &[])] {
        assert_eq!(told(&mut proxied, &form), told(&mut direct, &form));
    }
}

#[test]
fn a_level_that_is_none_is_refused_where_it_is_seen_and_else_told() {
    if direct_only() {
        return;
    }
    let routed = Routed::new(1, "consistency=any");
    let mut client = routed.connect();
    for set in ["set pgweir.consistency = 'nonsense'", "set local PgWeir.Consistency to 'bounded:5'"] {
        for bytes in [msg::query(set), batch(set, &[]), msg::query(&format!("select 1; {set}"))] {
            let told = answer(&mut client, &bytes);
            assert_eq!(error(&told).0, "22023", "{told:?}");
            assert_eq!(client.value("select 1"), "1", "nothing is left of it");
            client.run("begin");
            assert_eq!(error(&answer(&mut client, &bytes)).0, "22023");
            assert_eq!(client.error("select 1"), "25P02");
            client.run("rollback");
        }
    }
    for right in ["any", "Bounded:5s", "", "primary"] {
        client.run(&format!("set pgweir.consistency = '{right}'"));
        client.run(&format!("set pgweir.consistency to '{right}'"));
    }
    client.run("select set_config('pgweir.consistency', 'nonsense', false)");
    let warned = |answer: &[Message]| answer.iter().any(|message| message.tag == b'N');
    // One that comes while it is asked what has been set stays at that server.
    eventually("it is warned", || warned(&client.simple("select n from t where i = 1")));
    assert!(!warned(&client.simple("select n from t where i = 1")), "once");
    let login = Login::new(APP.0, APP.1, "postgres").param("pgweir.consistency", "strong");
    let mut other = Client::dial(&routed.proxy.endpoint()).expect("it listens");
    let told = other.login(&login).expect("the answer is readable");
    assert_eq!(error(&told).0, "22023", "{told:?}");
}

#[test]
fn tokens_are_understood_where_nobody_watches() {
    if direct_only() {
        return;
    }
    let cluster = Cluster::shared();
    let proxy = Proxy::start(&cluster.url(APP, "postgres", ""));
    let mut client = connect(&proxy.endpoint());
    let tokens = shown(&mut client, "pgweir.token");
    let own = cluster.superuser("postgres").value("select system_identifier from pg_control_system()");
    assert!(tokens.iter().all(|token| token.starts_with(&format!("1:{own}:1:"))), "{tokens:?}");
    client.run(&format!("set pgweir.token = '{}'", tokens[0]));
    assert_eq!(client.error("set pgweir.token = 'rubbish'"), "22023");
    let mut other = Client::connect(
        &proxy.endpoint(),
        &Login::new(APP.0, APP.1, "postgres").param("pgweir.token", &tokens[0]),
    );
    assert_eq!(other.value("select 1"), "1");
}
