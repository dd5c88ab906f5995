//! TLS on both sides of the proxy under load and cancels, and rules that depend on it.

use std::time::{Duration, Instant};

use super::prelude::*;
use super::tls::{Secured, app};
use crate::harness::command::Folder;
use crate::harness::message::Message;
use crate::harness::proxy::{Proxy, ProxyOptions};
use crate::harness::raw::{Client, cancel};
use crate::harness::{direct_only, eventually};

/// Longer than every buffer on the way.
const LONG: usize = 20_000_000;

#[test]
fn long_messages_over_tls() {
    if direct_only() {
        return;
    }
    let secured = Secured::start("");
    let folder = Folder::new();
    let proxy = secured.proxy(&folder, APP, "sslmode=require&pool_size=1", "prefer");
    let mut client = secured.dial(&proxy.endpoint());
    client.login(&app()).expect("a login");
    // A slow reader: what is on the way fills every buffer.
    client.send(&msg::query(&format!("select repeat('x', {LONG})")));
    std::thread::sleep(Duration::from_secs(1));
    let answers = client.until_ready();
    let row = answers.iter().find(|m| m.tag == b'D').expect("a row");
    assert_eq!(row.values()[0].as_ref().map(Vec::len), Some(LONG));
    let sql = format!("select length('{}')", "y".repeat(LONG));
    assert_eq!(client.value(&sql), LONG.to_string());
    assert_eq!(client.value("select 1"), "1");
}

#[test]
fn cancel_over_tls() {
    if direct_only() {
        return;
    }
    let secured = Secured::start("");
    let folder = Folder::new();
    let proxy = secured.proxy(&folder, APP, "sslmode=require&pool_size=1", "prefer");
    let endpoint = proxy.endpoint();
    let mut client = secured.dial(&endpoint);
    client.login(&app()).expect("a login");
    let since = Instant::now();
    client.send(&msg::query("select pg_sleep(15)"));
    std::thread::sleep(Duration::from_millis(500));
    cancel(&endpoint, client.pid, &client.key.clone());
    let answers = client.until_ready();
    let error = answers.iter().find(|m| m.tag == b'E').map(Message::sqlstate);
    assert_eq!(error.as_deref(), Some("57014"));
    assert!(since.elapsed() < Duration::from_secs(10));
    assert_eq!(client.value("select 'still here'"), "still here");
}

/// When the patience of a graceful stop is over, who is still in a transaction is told.
#[test]
fn a_stop_that_waits_no_longer() {
    if direct_only() {
        return;
    }
    let secured = Secured::start("");
    let folder = Folder::new();
    let mut proxy = secured.proxy(&folder, APP, "sslmode=require&pool_size=4", "prefer");
    proxy.set_config(&format!("{}\n[limits]\ndrain_timeout = \"500ms\"\n", proxy.config()));
    proxy.signal("HUP");
    eventually("the settings are reloaded", || proxy.log().contains("settings reloaded"));
    let mut clients =
        [secured.dial(&proxy.endpoint()), Client::dial(&proxy.endpoint()).expect("a connection")];
    for client in &mut clients {
        client.login(&app()).expect("a login");
        client.run("begin");
        client.run("select 1");
    }
    clients[1].send(&msg::query("select pg_sleep(30)"));
    proxy.signal("TERM");
    for client in &mut clients {
        let end = client.until(b'E').expect("the reason");
        assert_eq!(end.last().map(Message::sqlstate).as_deref(), Some("57P01"), "{end:?}");
        assert_eq!(client.read(), Ok(None), "and the end");
    }
    assert!(proxy.ended(Duration::from_secs(10)).success());
}

#[test]
fn rules_of_a_file() {
    if direct_only() {
        return;
    }
    let secured = Secured::start("");
    let folder = Folder::new();
    let write = |name: &str, content: &str| {
        let path = folder.0.join(name);
        std::fs::write(&path, content).expect("a file can be written");
        path.display().to_string()
    };
    let own = secured.authority.identity("somebody");
    let config = format!(
        "[tls]\nmode = \"prefer\"\ncert_file = \"{}\"\nkey_file = \"{}\"\nca_file = \"{}\"\n\
         [auth]\nhba_file = \"{}\"\nident_file = \"{}\"\n",
        write("server.crt", &secured.server.cert),
        write("server.key", &secured.server.key),
        write("ca.crt", &secured.authority.pem()),
        write("hba.conf", "hostssl all app 127.0.0.1/32 cert map=people\nhost all app 127.0.0.1/32 reject\n",),
        write("ident.conf", "people somebody app\n"),
    );
    let options = ProxyOptions::url(&secured.cluster.url(APP, "postgres", "")).config(&config);
    let proxy = Proxy::start_with(&options);
    let endpoint = proxy.endpoint();
    let code = |messages: Vec<Message>| messages.last().map(|m| (m.tag, m.sqlstate()));
    let mut plain = Client::dial(&endpoint).expect("it connects");
    let refused = code(plain.login(&app()).expect("an answer"));
    assert_eq!(refused, Some((b'E', "28000".to_owned())), "rejected");
    let mut nameless = secured.dial(&endpoint);
    let refused = code(nameless.login(&app()).expect("an answer"));
    assert_eq!(refused, Some((b'E', "28000".to_owned())), "no certificate");
    let mut client = Client::dial(&endpoint).expect("it connects");
    client.send(&msg::ssl_request());
    assert_eq!(client.read_byte(), Ok(Some(b'S')));
    let shown = secured.authority.client(Some(&own), &[]);
    let mut client = client.start_tls(shown, "localhost").expect("a TLS session");
    client.login(&app()).expect("a login by certificate");
    assert_eq!(client.value("select 1"), "1");
}
