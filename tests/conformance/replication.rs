//! Section A, 10: what a replication connection through pgweir has beside its bytes: limits, orders, ends.

use std::time::Duration;

use super::prelude::*;
use super::tls::Secured;
use crate::harness::command::Folder;
use crate::harness::message::{Message, text};
use crate::harness::proxy::{Proxy, ProxyOptions};
use crate::harness::raw::{Client, Endpoint, Login};
use crate::harness::{direct_only, eventually};

fn physical() -> Login {
    Login::new(APP.0, APP.1, "replication").param("replication", "true")
}

fn logical() -> Login {
    Login::new(APP.0, APP.1, "postgres").param("replication", "database")
}

/// A proxy of the shared cluster with more lines of settings; `None` where the proxy is left out.
fn proxy(config: &str) -> Option<Proxy> {
    let url = Cluster::shared().url(SUPERUSER, "postgres", "");
    (!direct_only()).then(|| Proxy::start_with(&ProxyOptions::url(&url).config(config)))
}

/// What a login is told in the end.
fn refusal(endpoint: &Endpoint, login: &Login) -> Message {
    let messages = Client::dial(endpoint).expect("it connects").login(login).expect("an answer");
    messages.into_iter().find(|message| message.tag == b'E').expect("an error")
}

/// Starts a physical stream at the node's position.
fn stream(client: &mut Client) {
    let system = client.simple("IDENTIFY_SYSTEM");
    let row = system.iter().find(|message| message.tag == b'D').expect("a row").values();
    let position = text(row[2].as_ref().expect("a position"));
    client.run("CREATE_REPLICATION_SLOT held TEMPORARY PHYSICAL RESERVE_WAL");
    client.send(&msg::query(&format!("START_REPLICATION SLOT held PHYSICAL {position}")));
    client.until(b'W').expect("CopyBothResponse");
}

fn walsenders(server: &mut Client) -> String {
    server.value("select count(*) from pg_stat_activity where backend_type = 'walsender'")
}

fn both(config: &str, check: impl Fn(&Endpoint)) {
    check(&Cluster::shared().tcp());
    proxy(config).iter().for_each(|proxy| check(&proxy.endpoint()));
}

#[test]
fn values_of_the_parameter() {
    both("", |endpoint| {
        for value in ["maybe", "", "DATABASE"] {
            let login = Login::new(APP.0, APP.1, "postgres").param("replication", value);
            let fault = refusal(endpoint, &login);
            assert_eq!(fault.sqlstate(), "22023", "{value}");
        }
        for value in ["off", "F", "0"] {
            let login = Login::new(APP.0, APP.1, "postgres").param("replication", value);
            assert_eq!(Client::connect(endpoint, &login).error("IDENTIFY_SYSTEM"), "42601", "{value}");
        }
        for value in ["on", "YES", "1"] {
            let login = Login::new(APP.0, APP.1, "postgres").param("replication", value);
            assert!(Client::connect(endpoint, &login).value("IDENTIFY_SYSTEM").parse::<u64>().is_ok());
        }
    });
}

#[test]
fn options_arrive() {
    both("", |endpoint| {
        let login = logical().param("options", "-c work_mem=5MB").param("application_name", "sub");
        let mut client = Client::connect(endpoint, &login);
        assert_eq!(client.parameters.get("application_name").map(String::as_str), Some("sub"));
        assert_eq!(client.value("select current_setting('work_mem')"), "5MB");
        assert_eq!(client.value("show application_name"), "sub");
        assert_eq!(client.value("select current_database()"), "postgres");
        assert_eq!(refusal(endpoint, &logical().param("flurb", "1")).sqlstate(), "42704");
    });
}

#[test]
fn refused_by_the_server() {
    both("", |endpoint| {
        let login = Login::new(APP2.0, APP2.1, "postgres").param("replication", "database");
        let fault = refusal(endpoint, &login);
        assert_eq!((fault.field(b'S').as_deref(), fault.sqlstate().as_str()), (Some("FATAL"), "42501"));
    });
}

#[test]
fn physical_needs_no_database() {
    both("", |endpoint| {
        let mut login = physical();
        login.params.retain(|(name, _)| name != "database");
        assert!(Client::connect(endpoint, &login).value("IDENTIFY_SYSTEM").parse::<u64>().is_ok());
    });
}

#[test]
fn physical_finds_the_only_node() {
    if direct_only() {
        return;
    }
    let url = |name: &str| {
        let url = Cluster::shared().url(SUPERUSER, "postgres", "");
        format!("[databases.{name}]\nurl = \"{url}\"\n")
    };
    let users = format!("[users.{}]\npassword = \"{}\"\n", APP.0, APP.1);
    let start =
        |databases: &str| Proxy::start_with(&ProxyOptions::default().config(&format!("{users}{databases}")));
    let one_node = start(&format!("{}{}", url("shop"), url("stock")));
    let mut client = Client::connect(&one_node.endpoint(), &physical());
    assert!(client.value("IDENTIFY_SYSTEM").parse::<u64>().is_ok());
    // APP2 may not replicate.
    let as_other = format!(
        "[databases.a]\nhosts = [\"127.0.0.1:{}\"]\nserver_user = \"{}\"\n[users.{}]\npassword = \"{}\"\n",
        Cluster::shared().port,
        APP2.0,
        APP2.0,
        APP2.1
    );
    for entry in [as_other.clone(), as_other.replace("databases.a", "databases.\"*\"")] {
        let as_client = start(&format!("{entry}{}", url("shop")));
        let mut client = Client::connect(&as_client.endpoint(), &physical());
        assert!(client.value("IDENTIFY_SYSTEM").parse::<u64>().is_ok(), "{entry}");
    }
    assert_eq!(refusal(&start(&as_other).endpoint(), &physical()).sqlstate(), "42501");
    let other = "[databases.elsewhere]\nurl = \"postgres://app:app-secret@127.0.0.1:1/x\"\n";
    let two_nodes = start(&format!("{}{other}", url("shop")));
    assert_eq!(refusal(&two_nodes.endpoint(), &physical()).sqlstate(), "3D000");
    let named = Login::new(APP.0, APP.1, "shop").param("replication", "true");
    let mut client = Client::connect(&two_nodes.endpoint(), &named);
    assert!(client.value("IDENTIFY_SYSTEM").parse::<u64>().is_ok());
}

#[test]
fn no_more_than_the_limits() {
    let Some(first) = proxy("[limits]\nmax_replication = 1\n") else { return };
    let endpoint = first.endpoint();
    let held = Client::connect(&endpoint, &physical());
    let fault = refusal(&endpoint, &physical());
    assert_eq!((fault.field(b'S').as_deref(), fault.sqlstate().as_str()), (Some("FATAL"), "53300"));
    assert!(fault.field(b'M').is_some_and(|text| text.contains("max_replication = 1")), "{fault}");
    let mut other = Client::connect(&endpoint, &Login::new(APP.0, APP.1, "postgres"));
    assert_eq!(other.value("select 1"), "1");
    drop(held);
    eventually("the place is free", || {
        Client::dial(&endpoint)
            .expect("it connects")
            .login(&physical())
            .is_ok_and(|messages| messages.last().is_some_and(|message| message.tag == b'Z'))
    });
}

#[test]
fn cancelled() {
    both("", |endpoint| {
        let mut client = Client::connect(endpoint, &logical());
        client.send(&msg::query("select pg_sleep(60)"));
        let mut server = Cluster::shared().superuser("postgres");
        eventually("it runs", || {
            server.value("select count(*) from pg_stat_activity where wait_event = 'PgSleep'") == "1"
        });
        let mut cancel = Client::dial(endpoint).expect("it connects");
        cancel.send(&msg::cancel_request(client.pid, &client.key));
        assert_eq!(client.until_ready()[1].sqlstate(), "57014");
        assert_eq!(client.value("select 1"), "1");
    });
}

#[test]
fn one_side_leaves() {
    both("", |endpoint| {
        let mut server = Cluster::shared().superuser("postgres");
        let mut client = Client::connect(endpoint, &physical());
        stream(&mut client);
        assert_eq!(walsenders(&mut server), "1");
        drop(client);
        eventually("the walsender is gone", || walsenders(&mut server) == "0");
        let mut client = Client::connect(endpoint, &physical());
        client.send(&[msg::query("IDENTIFY_SYSTEM"), msg::terminate()].concat());
        client.half_close();
        let told = client.until(b'Z').expect("the answer comes behind the half-closed stream");
        assert_eq!(told.last().map(|message| message.tag), Some(b'Z'));
        assert_eq!(client.read(), Ok(None));
        let mut client = Client::connect(endpoint, &logical());
        server.run("select pg_terminate_backend(pid) from pg_stat_activity where backend_type = 'walsender'");
        let told = client.until(b'Z').expect("the reason");
        assert_eq!(told.first().map(Message::sqlstate).as_deref(), Some("57P01"));
        eventually("the walsender is gone", || walsenders(&mut server) == "0");
    });
}

#[test]
fn shown_and_killed() {
    let Some(proxy) = proxy(&format!("[admin]\nadmin_users = [\"{}\"]\n", SUPERUSER.0)) else { return };
    let endpoint = proxy.endpoint();
    let mut console = Client::connect(&endpoint, &Login::new(SUPERUSER.0, SUPERUSER.1, "pgweir"));
    let (mut streaming, mut idle) =
        (Client::connect(&endpoint, &physical()), Client::connect(&endpoint, &logical()));
    stream(&mut streaming);
    for (what, kind) in [("SHOW CLIENTS", "C"), ("SHOW SERVERS", "S")] {
        let rows = console.simple(what);
        let shown: Vec<String> = rows
            .iter()
            .filter(|message| message.tag == b'D')
            .map(|row| row.values().into_iter().flatten().map(|value| text(&value)).collect::<Vec<_>>())
            .filter(|row| row[0] == kind)
            .map(|row| format!("{} {}", row[3], row[4]))
            .collect();
        assert!(shown.contains(&"physical active".to_owned()), "{shown:?}");
        assert!(shown.contains(&"logical active".to_owned()), "{shown:?}");
    }
    console.run("PAUSE postgres");
    assert_eq!(refusal(&endpoint, &logical()).sqlstate(), "57P03");
    console.run("RESUME postgres");
    for client in [&mut streaming, &mut idle] {
        console.run(&format!("KILL_CLIENT {}", client.pid));
        let told = client.until(b'Z').expect("the reason");
        assert_eq!(
            told.iter().find(|message| message.tag == b'E').map(Message::sqlstate).as_deref(),
            Some("57P01")
        );
    }
    let mut server = Cluster::shared().superuser("postgres");
    eventually("both servers are closed", || walsenders(&mut server) == "0");
}

#[test]
fn stop_lets_commands_end_and_streams_go() {
    let Some(mut proxy) = proxy("") else { return };
    let mut streaming = Client::connect(&proxy.endpoint(), &physical());
    stream(&mut streaming);
    let mut working = Client::connect(&proxy.endpoint(), &logical());
    working.send(&msg::query("select 'worked', pg_sleep(1)"));
    let mut server = Cluster::shared().superuser("postgres");
    eventually("it runs", || {
        server.value("select count(*) from pg_stat_activity where wait_event = 'PgSleep'") == "1"
    });
    assert!(proxy.stop().success());
    let told = streaming.until(b'Z').expect("the reason");
    assert_eq!(told.last().map(Message::sqlstate).as_deref(), Some("57P01"));
    let answers = working.until_ready();
    assert!(answers.iter().any(|message| message.tag == b'D'), "the command was let to its end");
    assert_eq!(working.read().ok().flatten().map(|message| message.sqlstate()).as_deref(), Some("57P01"));
}

/// A standby that does not read stops its server, costs no memory, and gets everything in the end.
#[test]
fn slow_reader() {
    const MEGABYTES: usize = 60;
    let Some(proxy) = proxy("") else { return };
    let mut client = Client::connect(&proxy.endpoint(), &physical());
    stream(&mut client);
    let before = proxy.memory();
    let mut server = Cluster::shared().superuser("postgres");
    for _ in 0..MEGABYTES {
        server.run("select pg_logical_emit_message(false, 'x', repeat('x', 1000000))");
    }
    server.run("select pg_switch_wal()");
    std::thread::sleep(Duration::from_millis(300));
    let grown = proxy.memory().saturating_sub(before);
    assert!(grown < 8 << 20, "{grown} bytes of memory for one slow reader");
    let mut other = Client::connect(&proxy.endpoint(), &Login::new(APP.0, APP.1, "postgres"));
    assert_eq!(other.value("select 1"), "1");
    let mut received = 0;
    while received < MEGABYTES * 1_000_000 {
        let message = client.read().expect("more").expect("a message");
        assert_eq!(message.tag, b'd', "{message}");
        received += message.body.len();
    }
    client.send(&msg::copy_done());
    assert!(client.until(b'Z').is_ok());
}

#[test]
fn over_tls_on_both_sides() {
    let secured = Secured::start("hostnossl all all all reject\nhostnossl replication all all reject\n");
    let check = |endpoint: &Endpoint| {
        let mut client = secured.dial(endpoint);
        client.login(&physical()).expect("a login");
        stream(&mut client);
        let mut server = secured.cluster.superuser("postgres");
        server.run("select pg_logical_emit_message(false, 'x', repeat('x', 3000000))");
        server.run("select pg_switch_wal()");
        let mut received = 0;
        while received < 3_000_000 {
            received += client.read().expect("more").expect("a message").body.len();
        }
        drop(client);
        eventually("the walsender is gone", || walsenders(&mut server) == "0");
    };
    check(&secured.cluster.tcp());
    if !direct_only() {
        let folder = Folder::new();
        check(&secured.proxy(&folder, SUPERUSER, "sslmode=require", "require").endpoint());
    }
}

#[test]
fn rules_for_replication() {
    if direct_only() {
        return;
    }
    let folder = Folder::new();
    let rules = folder.0.join("hba.conf");
    let start = |text: &str| {
        std::fs::write(&rules, text).expect("a file can be written");
        proxy(&format!("[auth]\nhba_file = \"{}\"\n", rules.display())).expect("a proxy")
    };
    let ordinary = start("host all all all scram-sha-256\n");
    let fault = refusal(&ordinary.endpoint(), &physical());
    assert_eq!(fault.sqlstate(), "28000");
    let text = fault.field(b'M').unwrap_or_default();
    assert!(text.contains("no pg_hba.conf entry for replication connection"), "{text}");
    assert_eq!(Client::connect(&ordinary.endpoint(), &logical()).value("select 1"), "1");
    let replicating = start("host replication app all scram-sha-256\n");
    let mut client = Client::connect(&replicating.endpoint(), &physical());
    assert!(client.value("IDENTIFY_SYSTEM").parse::<u64>().is_ok());
    assert_eq!(refusal(&replicating.endpoint(), &logical()).sqlstate(), "28000");
}
