//! Which node is connected to, and how: `sslmode`, `sslnegotiation`, client certificates, several hosts,
//! `target_session_attrs` with a real standby.

use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::prelude::*;
use super::tls::{Secured, app};
use crate::harness::cluster::{KEEPS_WAL, free_port, pg_version};
use crate::harness::command::Folder;
use crate::harness::message::Message;
use crate::harness::proxy::Proxy;
use crate::harness::raw::{self, Client};
use crate::harness::scripted::{PID, ScriptedServer};
use crate::harness::{direct_only, eventually};

const IN_TLS: &str = "select ssl from pg_stat_ssl where pid = pg_backend_pid()";
const PORT: &str = "select current_setting('port')";
const PLAIN_ONLY: &str = "hostssl all all 127.0.0.1/32 reject\nhostnossl all all 127.0.0.1/32 scram-sha-256";
const TLS_ONLY: &str = "hostssl all all 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 reject";

/// The value that a client gets through a pgweir with this connection string, or the SQLSTATE of its error.
fn through(url: &str, sql: &str) -> Result<String, String> {
    let proxy = Proxy::start(url);
    let mut client = Client::dial(&proxy.endpoint()).expect("it connects");
    let login = client.login(&app()).expect("an answer");
    match login.last() {
        Some(last) if last.tag == b'Z' => Ok(client.value(sql)),
        Some(last) => Err(last.sqlstate()),
        None => Err("closed".to_owned()),
    }
}

#[test]
fn sslmode_towards_every_kind_of_server() {
    if direct_only() {
        return;
    }
    let check = |cluster: &Cluster, expected: [(&str, Result<&str, &str>); 4]| {
        for (mode, expected) in expected {
            let url = cluster.url(APP, "postgres", &format!("sslmode={mode}"));
            let found = through(&url, IN_TLS);
            assert_eq!(found.as_deref().map_err(String::as_str), expected, "{mode}");
        }
    };
    let (plain, tls) = (Ok("f"), Ok("t"));
    let both = Secured::start("");
    check(&both.cluster, [("disable", plain), ("allow", plain), ("prefer", tls), ("require", tls)]);
    let encrypted = Secured::start(TLS_ONLY);
    let refused = Err("28000");
    check(&encrypted.cluster, [("disable", refused), ("allow", tls), ("prefer", tls), ("require", tls)]);
    let unencrypted = Secured::start(PLAIN_ONLY);
    check(
        &unencrypted.cluster,
        [("disable", plain), ("allow", plain), ("prefer", plain), ("require", refused)],
    );
    let none = Cluster::start("", &[]);
    check(&none, [("disable", plain), ("allow", plain), ("prefer", plain), ("require", Err("08001"))]);
}

#[test]
fn direct_tls_towards_the_server() {
    if direct_only() {
        return;
    }
    let secured = Secured::start(TLS_ONLY);
    let url = secured.cluster.url(APP, "postgres", "sslmode=require&sslnegotiation=direct");
    let expected = if pg_version() >= 17 { Ok("t") } else { Err("08001") };
    assert_eq!(through(&url, IN_TLS).as_deref().map_err(String::as_str), expected);
}

#[test]
fn channel_binding_towards_the_server() {
    if direct_only() {
        return;
    }
    let by_password = Secured::start("host all all 127.0.0.1/32 scram-sha-256");
    let by_nothing = Secured::start("host all all 127.0.0.1/32 trust");
    for (secured, query, expected) in [
        (&by_password, "sslmode=require&channel_binding=require", Ok("t")),
        (&by_password, "sslmode=require&channel_binding=disable", Ok("t")),
        (&by_password, "sslmode=disable&channel_binding=prefer", Ok("f")),
        (&by_password, "sslmode=disable&channel_binding=require", Err("28000")),
        (&by_nothing, "sslmode=require&channel_binding=prefer", Ok("t")),
        (&by_nothing, "sslmode=require&channel_binding=require", Err("28000")),
    ] {
        let found = through(&secured.cluster.url(APP, "postgres", query), IN_TLS);
        assert_eq!(found.as_deref().map_err(String::as_str), expected, "{query}");
    }
}

#[test]
fn certificate_towards_the_server() {
    if direct_only() {
        return;
    }
    let secured = Secured::start("hostssl all all 127.0.0.1/32 cert");
    let folder = Folder::new();
    let write = |name: &str, text: &str| {
        let path = folder.0.join(name);
        std::fs::write(&path, text).expect("a file can be written");
        path.display().to_string()
    };
    let shown = |user: &str| {
        let identity = secured.authority.identity(user);
        let (cert, key) =
            (write(&format!("{user}.crt"), &identity.cert), write(&format!("{user}.key"), &identity.key));
        format!("sslmode=require&sslcert={cert}&sslkey={key}")
    };
    for (query, expected) in [
        (shown(APP.0), Ok("app")),
        (shown(APP2.0), Err("28000")),
        ("sslmode=require".to_owned(), Err("28000")),
    ] {
        let url = secured.cluster.url(APP, "postgres", &query);
        let found = through(&url, "select current_user");
        assert_eq!(found.as_deref().map_err(String::as_str), expected, "{query}");
    }
}

/// A connection string with these ports, in this order.
fn several(ports: &[u16], query: &str) -> String {
    let hosts: Vec<_> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
    format!("postgres://{}:{}@{}/postgres?{query}", APP.0, APP.1, hosts.join(","))
}

#[test]
fn several_hosts_one_of_them_dead() {
    if direct_only() {
        return;
    }
    let cluster = Cluster::shared();
    let (dead, live) = (free_port(), cluster.port);
    for ports in [[dead, live], [live, dead]] {
        assert_eq!(through(&several(&ports, ""), PORT), Ok(live.to_string()), "{ports:?}");
    }
    assert_eq!(through(&several(&[dead], ""), PORT), Err("08001".to_owned()));
    let by_name = format!("postgres://{}:{}@localhost:{dead},localhost:{live}/postgres", APP.0, APP.1);
    assert_eq!(through(&by_name, PORT), Ok(live.to_string()), "by name");
}

#[test]
fn target_session_attrs_with_a_standby() {
    if direct_only() {
        return;
    }
    let primary = Cluster::start(KEEPS_WAL, &[]);
    let standby = primary.standby();
    primary.superuser("postgres").run("create table followed (i int)");
    let mut there = standby.superuser("postgres");
    eventually("the standby follows", || there.value("select to_regclass('followed') is not null") == "t");
    let (first, second) = (primary.port, standby.port);
    let check = |ports: &[u16], attrs: &str, expected: Result<u16, &str>| {
        let found = through(&several(ports, &format!("target_session_attrs={attrs}")), PORT);
        let expected = expected.map(|port| port.to_string()).map_err(str::to_owned);
        assert_eq!(found, expected, "{attrs}, the primary being {first}, of {ports:?}");
    };
    for ports in [[first, second], [second, first]] {
        check(&ports, "any", Ok(ports[0]));
        check(&ports, "read-write", Ok(first));
        check(&ports, "primary", Ok(first));
        check(&ports, "read-only", Ok(second));
        check(&ports, "standby", Ok(second));
        check(&ports, "prefer-standby", Ok(second));
    }
    for attrs in ["read-only", "standby"] {
        check(&[first], attrs, Err("08001"));
    }
    for attrs in ["read-write", "primary"] {
        check(&[second, free_port()], attrs, Err("08001"));
    }
    check(&[first], "prefer-standby", Ok(first));
    primary.superuser("postgres").run("alter system set default_transaction_read_only = on");
    primary.superuser("postgres").run("select pg_reload_conf()");
    eventually("the primary is read-only", || {
        primary.superuser("postgres").value("show default_transaction_read_only") == "on"
    });
    check(&[first], "read-only", Ok(first));
    check(&[first], "primary", Ok(first));
    check(&[first], "read-write", Err("08001"));
}

#[test]
fn a_standby_answers_as_it_does_directly() {
    let primary = Cluster::start(KEEPS_WAL, &[]);
    let standby = primary.standby();
    let told = |client: &mut Client| {
        let answers = client.simple("create table t (i int)");
        let refused = answers.iter().find(|m| m.tag == b'E').map(Message::sqlstate);
        (client.parameters.clone(), refused, client.value("select pg_is_in_recovery()"))
    };
    let mut direct = Client::connect(&standby.tcp(), &app());
    let expected = told(&mut direct);
    assert_eq!(expected.1.as_deref(), Some("25006"));
    if pg_version() >= 14 {
        assert_eq!(expected.0.get("in_hot_standby").map(String::as_str), Some("on"));
    }
    if direct_only() {
        return;
    }
    let proxy = Proxy::start(&standby.url(APP, "postgres", "pool_size=1"));
    assert_eq!(told(&mut Client::connect(&proxy.endpoint(), &app())), expected);
}

#[test]
fn a_long_cancel_key_and_a_negotiation_of_the_server() {
    if direct_only() {
        return;
    }
    let key = [0xa5; 256];
    let (cancelled, hear) = channel::<Vec<u8>>();
    let hear: Mutex<Receiver<Vec<u8>>> = Mutex::new(hear);
    let server = ScriptedServer::start(move |_, peer| {
        // The proxy is killed at the end, perhaps while it connects.
        let Ok(packet) = peer.startup_packet() else { return Ok(()) };
        if packet[..4] == 80_877_102u32.to_be_bytes() {
            return cancelled.send(packet).map_err(|e| e.to_string());
        }
        // A server that speaks 3.0 only, and knows none of the options.
        peer.send(&msg::frame(b'v', &[0, 3, 0, 0, 0, 0, 0, 0]));
        peer.welcome(&key);
        // The proxy is killed at the end: a reset is as good as an end.
        while let Ok(Some(message)) = peer.read() {
            if message.tag == b'Q' && message.body.starts_with(b"select wait") {
                let waiting = hear.lock().map_err(|e| e.to_string())?;
                let packet = waiting.recv_timeout(Duration::from_secs(10)).map_err(|e| e.to_string())?;
                let expected = &msg::cancel_request(PID, &key)[4..];
                let code = if packet == expected { "57014" } else { "XX000" };
                peer.send(&msg::frame(b'E', format!("SERROR\0VERROR\0C{code}\0Mcancelled\0\0").as_bytes()));
                peer.ready(b'I');
            } else if message.tag == b'Q' {
                peer.complete("SELECT 0", b'I');
            }
        }
        Ok(())
    });
    let proxy = Proxy::start(&server.url("pool_size=1&sslmode=disable"));
    let mut client = Client::connect(&proxy.endpoint(), &raw::Login::new(APP.0, APP.1, "app"));
    client.send(&msg::query("select wait"));
    std::thread::sleep(Duration::from_millis(300));
    raw::cancel(&proxy.endpoint(), client.pid, &client.key);
    let answers = client.until_ready();
    assert_eq!(answers.iter().find(|m| m.tag == b'E').map(Message::sqlstate).as_deref(), Some("57014"));
    drop((client, proxy));
    assert_eq!(server.finish(), Vec::<String>::new());
}
