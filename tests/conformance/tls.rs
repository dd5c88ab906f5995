//! Section A with TLS: towards clients and towards servers.

use std::sync::Arc;
use std::time::Duration;

use super::prelude::*;
use crate::harness::cluster::pg_version;
use crate::harness::command::Folder;
use crate::harness::direct_only;
use crate::harness::message::{Message, text};
use crate::harness::proxy::{Proxy, ProxyOptions};
use crate::harness::raw::{Client, Endpoint, Login};
use crate::harness::scram::Scram;
use crate::harness::scripted::ScriptedServer;
use crate::harness::tls::{Authority, Identity};

const SSL_ON: &str =
    "ssl = on\nssl_cert_file = 'server.crt'\nssl_key_file = 'server.key'\nssl_ca_file = 'ca.crt'\n";

/// A cluster with TLS, and the authority that signed its certificate.
pub(crate) struct Secured {
    pub(crate) authority: Authority,
    pub(crate) cluster: Cluster,
    pub(super) server: Identity,
}

impl Secured {
    pub(crate) fn start(hba: &str) -> Self {
        let authority = Authority::new();
        let server = authority.identity("localhost");
        Self::start_as(authority, server, "", hba)
    }

    /// The same with this certificate, and more lines in `postgresql.conf`.
    pub(super) fn start_as(authority: Authority, server: Identity, conf: &str, hba: &str) -> Self {
        let files =
            [("server.crt", server.cert.as_str()), ("server.key", &server.key), ("ca.crt", &authority.pem())];
        let cluster = Cluster::start_with_hba(&format!("{SSL_ON}{conf}"), &files, hba);
        Self { authority, cluster, server }
    }

    /// A proxy that offers TLS with the same certificate, whose files are in `folder`.
    pub(super) fn proxy(&self, folder: &Folder, user: (&str, &str), query: &str, mode: &str) -> Proxy {
        let write = |name: &str, content: &str| {
            let path = folder.0.join(name);
            std::fs::write(&path, content).expect("a file can be written");
            path.display().to_string()
        };
        let config = format!(
            "[tls]\nmode = \"{mode}\"\ncert_file = \"{}\"\nkey_file = \"{}\"\nca_file = \"{}\"\n",
            write("server.crt", &self.server.cert),
            write("server.key", &self.server.key),
            write("ca.crt", &self.authority.pem()),
        );
        Proxy::start_with(&ProxyOptions::url(&self.cluster.url(user, "postgres", query)).config(&config))
    }

    /// Runs a check directly and through a proxy that prefers TLS.
    fn both(&self, check: impl Fn(&Endpoint)) {
        check(&self.cluster.tcp());
        if !direct_only() {
            let folder = Folder::new();
            check(&self.proxy(&folder, APP, "", "prefer").endpoint());
        }
    }

    /// SSLRequest, `S`, handshake.
    pub(super) fn dial(&self, endpoint: &Endpoint) -> Client {
        let mut client = Client::dial(endpoint).expect("it connects");
        client.send(&msg::ssl_request());
        assert_eq!(client.read_byte(), Ok(Some(b'S')));
        client.start_tls(self.authority.client(None, &[]), "localhost").expect("a TLS session")
    }
}

pub(super) fn app() -> Login {
    Login::new(APP.0, APP.1, "postgres")
}

#[test]
fn login_over_tls() {
    let secured = Secured::start("");
    secured.both(|endpoint| {
        let mut client = secured.dial(endpoint);
        let messages = client.login(&app()).expect("a login");
        assert_eq!(messages.last().map(|m| m.tag), Some(b'Z'), "{messages:?}");
        assert_eq!(client.value("select 'secret'"), "secret");
        client.send(&msg::query("select repeat('x', 1000000)"));
        let row = client.until_ready().into_iter().find(|m| m.tag == b'D').expect("a row");
        assert_eq!(row.values()[0].as_ref().map(Vec::len), Some(1_000_000));
        let mut plain = Client::connect(endpoint, &app());
        assert_eq!(plain.value("select 'plain'"), "plain");
    });
}

#[test]
fn requests_before_and_in_tls() {
    let secured = Secured::start("");
    secured.both(|endpoint| {
        let mut client = secured.dial(endpoint);
        client.send(&msg::ssl_request());
        let messages = client.until(b'Z').expect("an end");
        assert_eq!(
            messages.first().map(Message::sqlstate).as_deref(),
            Some("0A000"),
            "SSLRequest within TLS"
        );
    });
}

#[test]
fn gss_request_before_tls() {
    let secured = Secured::start("");
    let check = |endpoint: &Endpoint| {
        let mut client = Client::dial(endpoint).expect("it connects");
        client.send(&msg::gss_request());
        assert_eq!(client.read_byte(), Ok(Some(b'N')));
        client.send(&msg::ssl_request());
        assert_eq!(client.read_byte(), Ok(Some(b'S')));
        let mut client =
            client.start_tls(secured.authority.client(None, &[]), "localhost").expect("a TLS session");
        assert_eq!(client.login(&app()).expect("a login").last().map(|m| m.tag), Some(b'Z'));
    };
    // A server with GSSAPI would accept over TCP and has no TLS on its unix socket: only the proxy can be asked.
    if !direct_only() {
        let folder = Folder::new();
        check(&secured.proxy(&folder, APP, "", "prefer").endpoint());
    }
}

#[test]
fn early_data_before_the_handshake() {
    let secured = Secured::start("");
    secured.both(|endpoint| {
        let mut client = Client::dial(endpoint).expect("it connects");
        client.send(&[msg::ssl_request(), app().packet(), msg::query("select 'injected'")].concat());
        assert_eq!(client.read_byte(), Ok(Some(b'S')));
        // The handshake cannot succeed: the bytes behind the request are no ClientHello, or are refused.
        let rest = client.within(Duration::from_secs(2));
        assert!(!format!("{rest:?}").contains("injected"), "{rest:?}");
        assert!(!format!("{rest:?}").contains("ReadyForQuery"), "{rest:?}");
    });
}

#[test]
fn garbage_instead_of_a_handshake() {
    let secured = Secured::start("");
    secured.both(|endpoint| {
        let mut client = Client::dial(endpoint).expect("it connects");
        client.send(&msg::ssl_request());
        assert_eq!(client.read_byte(), Ok(Some(b'S')));
        client.send(&[b'x'; 100]);
        let _ = client.within(Duration::from_secs(1));
        assert_eq!(secured_login(&secured, endpoint), "1", "others are not disturbed");
    });
}

fn secured_login(secured: &Secured, endpoint: &Endpoint) -> String {
    let mut client = secured.dial(endpoint);
    client.login(&app()).expect("a login");
    client.value("select 1")
}

/// The hash of a certificate for `tls-server-end-point`; ours are signed with SHA-256.
fn end_point(certificate: &[u8]) -> Vec<u8> {
    aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, certificate).as_ref().to_vec()
}

#[test]
fn channel_binding() {
    let secured = Secured::start("");
    secured.both(|endpoint| {
        let attempt = |gs2: &str, mechanism: &str, spoil: bool| -> Vec<Message> {
            let mut client = secured.dial(endpoint);
            client.send(&app().packet());
            let offered = client.until(b'R').expect("an answer").pop().expect("a message");
            assert_eq!(text(&offered.body[4..]), "SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0");
            let mut scram = Scram::new(APP.1.as_bytes());
            scram.gs2 = gs2.into();
            if gs2.starts_with("p=") {
                scram.binding = end_point(&client.peer_certificate().expect("a certificate"));
            }
            if spoil {
                scram.binding[0] ^= 1;
            }
            client.send(&msg::password(&scram.first(mechanism)));
            let challenge = client.read().expect("an answer").expect("it is not closed");
            if challenge.tag == b'R' {
                let proof = scram.last(&text(&challenge.body[4..])).expect("a challenge");
                client.send(&msg::password(&proof));
                return client.until(b'Z').expect("an end");
            }
            vec![challenge]
        };
        let plus = "SCRAM-SHA-256-PLUS";
        let ends = |messages: &[Message]| messages.last().map(|m| m.tag);
        assert_eq!(ends(&attempt("p=tls-server-end-point,,", plus, false)), Some(b'Z'), "bound");
        assert_eq!(ends(&attempt("n,,", "SCRAM-SHA-256", false)), Some(b'Z'), "a client without binding");
        let downgraded = attempt("y,,", "SCRAM-SHA-256", false);
        assert_eq!(
            downgraded.last().map(Message::sqlstate).as_deref(),
            Some("28000"),
            "somebody hid -PLUS: {downgraded:?}"
        );
        let spoiled = attempt("p=tls-server-end-point,,", plus, true);
        assert_eq!(
            spoiled.last().map(Message::sqlstate).as_deref(),
            Some("28000"),
            "another certificate: {spoiled:?}"
        );
        let unknown = attempt("p=tls-unique,,", plus, false);
        assert_eq!(
            unknown.last().map(Message::sqlstate).as_deref(),
            Some("08P01"),
            "an unknown binding: {unknown:?}"
        );
    });
}

#[test]
fn direct_tls() {
    if direct_only() && pg_version() < 17 {
        return;
    }
    let secured = Secured::start("");
    let check = |endpoint: &Endpoint| {
        let dial = |alpn: &[&str]| -> Result<Client, String> {
            let client = Client::dial(endpoint).map_err(|e| e.to_string())?;
            client.start_tls(secured.authority.client(None, alpn), "localhost").map_err(|e| e.to_string())
        };
        let mut client = dial(&["postgresql"]).expect("a direct TLS session");
        assert_eq!(client.login(&app()).expect("a login").last().map(|m| m.tag), Some(b'Z'));
        assert_eq!(client.value("select 1"), "1");
        for alpn in [&["http/1.1"][..], &[]] {
            let refused = dial(alpn).and_then(|mut client| client.login(&app()));
            let logged_in = refused.is_ok_and(|messages| messages.iter().any(|m| m.tag == b'Z'));
            assert!(!logged_in, "ALPN {alpn:?} must be refused");
        }
        let mut client = dial(&["postgresql"]).expect("a direct TLS session");
        client.send(&msg::ssl_request());
        assert_ne!(client.read_byte(), Ok(Some(b'S')), "SSLRequest within direct TLS");
    };
    if pg_version() >= 17 {
        check(&secured.cluster.tcp());
    }
    if !direct_only() {
        let folder = Folder::new();
        check(&secured.proxy(&folder, APP, "", "prefer").endpoint());
    }
}

#[test]
fn tls_required_of_clients() {
    let secured =
        Secured::start("hostssl all all 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 reject");
    let check = |endpoint: &Endpoint| {
        let messages = Client::dial(endpoint).expect("it connects").login(&app()).expect("an answer");
        assert_eq!(
            messages.last().map(Message::sqlstate).as_deref(),
            Some("28000"),
            "plain text: {messages:?}"
        );
        assert_eq!(secured_login(&secured, endpoint), "1");
    };
    check(&secured.cluster.tcp());
    if !direct_only() {
        let folder = Folder::new();
        check(&secured.proxy(&folder, APP, "sslmode=require", "require").endpoint());
    }
}

#[test]
fn client_certificates() {
    let secured = Secured::start("hostssl all all 127.0.0.1/32 cert");
    let stranger = Authority::new();
    let attempt = |endpoint: &Endpoint, identity: Option<&Identity>| -> Result<Vec<Message>, String> {
        let mut client = Client::dial(endpoint).map_err(|e| e.to_string())?;
        client.send(&msg::ssl_request());
        assert_eq!(client.read_byte(), Ok(Some(b'S')));
        let config = secured.authority.client(identity, &[]);
        client.start_tls(config, "localhost").map_err(|e| e.to_string())?.login(&app())
    };
    let check = |endpoint: &Endpoint| {
        let own = secured.authority.identity("app");
        let messages = attempt(endpoint, Some(&own)).expect("a login");
        assert_eq!(messages.last().map(|m| m.tag), Some(b'Z'), "{messages:?}");
        let other = secured.authority.identity("app2");
        for (identity, why) in [
            (None, "none"),
            (Some(&other), "of another user"),
            (Some(&stranger.identity("app")), "of an unknown authority"),
        ] {
            let refused = attempt(endpoint, identity);
            let logged_in = refused.as_ref().is_ok_and(|messages| messages.iter().any(|m| m.tag == b'Z'));
            assert!(!logged_in, "a certificate {why}: {refused:?}");
        }
    };
    check(&secured.cluster.tcp());
    if !direct_only() {
        let plain =
            Secured { authority: Authority::new(), cluster: Cluster::start("", &[]), server: secured.server };
        let folder = Folder::new();
        let write = |name: &str, content: &str| {
            std::fs::write(folder.0.join(name), content).expect("a file can be written");
            folder.0.join(name).display().to_string()
        };
        let config = format!(
            "[tls]\nmode = \"prefer\"\ncert_file = \"{}\"\nkey_file = \"{}\"\nca_file = \"{}\"\n[auth]\nmethod = \"cert\"\n",
            write("server.crt", &plain.server.cert),
            write("server.key", &plain.server.key),
            write("ca.crt", &secured.authority.pem()),
        );
        let options = ProxyOptions::url(&plain.cluster.url(APP, "postgres", "")).config(&config);
        check(&Proxy::start_with(&options).endpoint());
    }
}

#[test]
fn tls_towards_the_server() {
    let secured =
        Secured::start("hostssl all all 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 reject");
    let mut client = secured.dial(&secured.cluster.tcp());
    client.login(&app()).expect("a login");
    let in_tls = "select ssl from pg_stat_ssl where pid = pg_backend_pid()";
    assert_eq!(client.value(in_tls), "t");
    if direct_only() {
        return;
    }
    let folder = Folder::new();
    let ca = folder.0.join("ca.crt");
    std::fs::write(&ca, secured.authority.pem()).expect("a file can be written");
    let stranger = folder.0.join("stranger.crt");
    std::fs::write(&stranger, Authority::new().pem()).expect("a file can be written");
    let url = |mode: &str, ca: &std::path::Path, host: &str| {
        let url =
            secured.cluster.url(APP, "postgres", &format!("sslmode={mode}&sslrootcert={}", ca.display()));
        url.replace("127.0.0.1", host)
    };
    for (url, works) in [
        (url("prefer", &ca, "127.0.0.1"), true),
        (url("require", &ca, "127.0.0.1"), true),
        (url("verify-ca", &ca, "127.0.0.1"), true),
        (url("verify-full", &ca, "localhost"), true),
        (url("verify-full", &ca, "127.0.0.1"), false),
        (url("verify-ca", &stranger, "127.0.0.1"), false),
        (url("disable", &ca, "127.0.0.1"), false),
    ] {
        let proxy = Proxy::start(&url);
        let mut client = Client::dial(&proxy.endpoint()).expect("it connects");
        let logged_in = client.login(&app()).expect("an answer").last().is_some_and(|m| m.tag == b'Z');
        let reached = logged_in && client.simple(in_tls).iter().any(|m| m.tag == b'D' && m.value() == "t");
        assert_eq!(reached, works, "{url}");
    }
}

#[test]
fn early_data_of_a_server() {
    if direct_only() {
        return;
    }
    let server = ScriptedServer::start(|_, peer| {
        // CVE-2021-23222: plain bytes behind the `S` must never be read as if they came through TLS.
        if peer.expect(&msg::ssl_request()).is_ok() {
            peer.send(&[b"S".to_vec(), msg::frame(b'R', &[0; 4]), msg::frame(b'Z', b"I")].concat());
            peer.stall(Duration::from_secs(3));
        }
        Ok(())
    });
    let options = ProxyOptions::url(&server.url("sslmode=require&pool_size=1"))
        .config("[limits]\nqueue_timeout = \"2s\"\n");
    let proxy = Proxy::start_with(&options);
    let mut client = Client::dial(&proxy.endpoint()).expect("it connects");
    let messages = client.login(&Login::new(APP.0, APP.1, "app")).expect("an answer");
    assert!(messages.iter().any(|m| m.tag == b'E'), "{messages:?}");
    assert!(!messages.iter().any(|m| m.tag == b'Z'), "{messages:?}");
}

#[test]
fn many_statements_over_tls() {
    let secured = Arc::new(Secured::start(""));
    secured.both(|endpoint| {
        let mut client = secured.dial(endpoint);
        client.login(&app()).expect("a login");
        for n in 0..200usize {
            let sql = format!("select length('{}')", "x".repeat(n * 97));
            assert_eq!(client.value(&sql), (n * 97).to_string());
        }
    });
}
