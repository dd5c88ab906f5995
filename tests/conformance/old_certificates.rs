//! Certificates of X.509 version 1, which rustls does not take by itself: where no chain is verified they will do, as for libpq; else
//! a sentence says what is wrong.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ServerConfig, ServerConnection};

use super::prelude::*;
use super::tls::{Secured, app};
use crate::harness::command::Folder;
use crate::harness::proxy::{Proxy, ProxyOptions};
use crate::harness::raw::Client;
use crate::harness::tls::{Authority, Identity};
use crate::harness::{direct_only, eventually};

const TLS_ONLY: &str = "hostssl all all 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 reject";
const IN_TLS: &str = "select version || ' ' || ssl from pg_stat_ssl where pid = pg_backend_pid()";

/// The value that a client gets, or the SQLSTATE of the error of its login.
fn value(proxy: &Proxy, sql: &str) -> Result<String, String> {
    let mut client = Client::dial(&proxy.endpoint()).expect("it connects");
    let login = client.login(&app()).expect("an answer");
    match login.last() {
        Some(last) if last.tag == b'Z' => Ok(client.value(sql)),
        Some(last) => Err(last.sqlstate()),
        None => Err("closed".to_owned()),
    }
}

/// A folder with this as `ca.crt`, and its path.
fn roots(pem: &str) -> (Folder, String) {
    let folder = Folder::new();
    let path = folder.0.join("ca.crt");
    std::fs::write(&path, pem).expect("a file can be written");
    let path = path.display().to_string();
    (folder, path)
}

/// No Rust type is named, and the sentence says what to do.
fn says_version_1(log: &str) {
    let line = log.lines().find(|line| line.contains("version 1")).unwrap_or_else(|| panic!("{log}"));
    assert!(line.contains("X.509") && line.contains("version 3") && line.contains("-extfile"), "{line}");
    assert!(!log.contains("UnsupportedCertVersion") && !log.contains("OtherError"), "{log}");
}

#[test]
fn of_a_server_that_is_not_verified() {
    if direct_only() {
        return;
    }
    for (kind, key) in [("ECDSA", &rcgen::PKCS_ECDSA_P256_SHA256), ("RSA", &rcgen::PKCS_RSA_SHA256)] {
        for version in ["TLSv1.2", "TLSv1.3"] {
            let authority = Authority::new();
            let old = authority.old_identity("localhost", key);
            let conf =
                format!("ssl_min_protocol_version = '{version}'\nssl_max_protocol_version = '{version}'\n");
            let secured = Secured::start_as(authority, old, &conf, TLS_ONLY);
            for mode in ["allow", "prefer", "require"] {
                let proxy = Proxy::start(&secured.cluster.url(APP, "postgres", &format!("sslmode={mode}")));
                // Bound to the channel: the server would notice if that were another.
                assert_eq!(value(&proxy, IN_TLS), Ok(format!("{version} true")), "{kind} {version} {mode}");
            }
        }
    }
}

#[test]
fn of_a_server_that_is_to_be_verified() {
    if direct_only() {
        return;
    }
    let authority = Authority::new();
    let old = authority.old_identity("localhost", &rcgen::PKCS_ECDSA_P256_SHA256);
    let secured = Secured::start_as(authority, old, "", TLS_ONLY);
    let (_folder, ca) = roots(&secured.authority.pem());
    for mode in ["require", "verify-ca", "verify-full"] {
        let query = format!("sslmode={mode}&sslrootcert={ca}");
        let proxy =
            Proxy::start(&secured.cluster.url(APP, "postgres", &query).replace("127.0.0.1", "localhost"));
        assert_eq!(value(&proxy, IN_TLS), Err("08001".to_owned()), "{mode}");
        says_version_1(&proxy.log());
    }
}

#[test]
fn why_there_is_no_tls_is_told_once() {
    if direct_only() {
        return;
    }
    let secured = Secured::start("");
    let (_folder, ca) = roots(&Authority::new().pem());
    let url = secured.cluster.url(APP, "postgres", &format!("pool_size=3&sslrootcert={ca}"));
    let proxy = Proxy::start(&url);
    let plain = "select ssl from pg_stat_ssl where pid = pg_backend_pid()";
    let mut clients: Vec<_> = (0..3).map(|_| Client::connect(&proxy.endpoint(), &app())).collect();
    for client in &mut clients {
        client.run("begin");
        assert_eq!(client.value(plain), "f");
    }
    let log = proxy.log();
    let told: Vec<_> = log.lines().filter(|line| line.contains("without TLS")).collect();
    assert_eq!(told.len(), 1, "{log}");
    assert!(told[0].contains("WARN") && told[0].contains("invalid peer certificate: "), "{log}");
    // A server that has none says so, which is all there is to say.
    let proxy = Proxy::start(&Cluster::shared().url(APP, "postgres", ""));
    assert_eq!(value(&proxy, plain), Ok("f".to_owned()));
    assert!(!proxy.log().contains("without TLS"), "{}", proxy.log());
}

#[test]
fn of_a_client() {
    if direct_only() {
        return;
    }
    let secured = Secured::start("");
    let folder = Folder::new();
    let proxy = secured.proxy(&folder, APP, "", "prefer");
    let old = secured.authority.old_identity("app", &rcgen::PKCS_ECDSA_P256_SHA256);
    let mut client = Client::dial(&proxy.endpoint()).expect("it connects");
    client.send(&msg::ssl_request());
    assert_eq!(client.read_byte(), Ok(Some(b'S')));
    let shown = client.start_tls(secured.authority.client(Some(&old), &[]), "localhost");
    assert!(shown.map_err(|error| error.to_string()).and_then(|mut client| client.login(&app())).is_err());
    eventually("it is logged", || proxy.log().contains("TLS with a client failed"));
    says_version_1(&proxy.log());
}

#[test]
fn of_pgweir_itself() {
    if direct_only() {
        return;
    }
    let authority = Authority::new();
    let old = authority.old_identity("localhost", &rcgen::PKCS_ECDSA_P256_SHA256);
    let folder = Folder::new();
    let write = |name: &str, text: &str| {
        let path = folder.0.join(name);
        std::fs::write(&path, text).expect("a file can be written");
        path.display().to_string()
    };
    let (cert, key) = (write("old.crt", &old.cert), write("old.key", &old.key));
    let port = Cluster::shared().port;
    let database = format!("hosts = [\"127.0.0.1:{port}\"]\ndatabase = \"postgres\"\n");
    for text in [
        format!(
            "[tls]\nmode = \"prefer\"\ncert_file = \"{cert}\"\nkey_file = \"{key}\"\n[databases.a]\n{database}"
        ),
        format!("[databases.a]\n{database}sslcert = \"{cert}\"\nsslkey = \"{key}\"\n"),
    ] {
        let output = crate::check::check(&format!("http = \"off\"\n{text}[users.app]\npassword = \"x\"\n"));
        assert!(!output.ok);
        says_version_1(&output.stdout);
    }
}

/// TLS by somebody who shows one certificate and has the key of another.
fn impostor(
    shown: &Identity,
    own: &Identity,
    version: &'static rustls::SupportedProtocolVersion,
) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let cert = CertificateDer::from_pem_slice(shown.cert.as_bytes()).expect("a certificate");
    let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).expect("a key");
    let key = provider.key_provider.load_private_key(key).expect("a key that can be used");
    let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(&[version]);
    let pair = SingleCertAndKey::from(CertifiedKey::new(vec![cert], key));
    builder.expect("a version").with_no_client_auth().with_cert_resolver(Arc::new(pair))
}

#[test]
fn of_somebody_who_does_not_have_its_key() {
    if direct_only() {
        return;
    }
    let authority = Authority::new();
    let identity = || authority.old_identity("localhost", &rcgen::PKCS_ECDSA_P256_SHA256);
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let (shown, own) = (identity(), identity());
        for (own, expected) in [(&shown, 1), (&own, 0)] {
            let config = Arc::new(impostor(&shown, own, version));
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
            let port = listener.local_addr().expect("an address").port();
            let heard = Arc::new(AtomicUsize::new(0));
            let counter = heard.clone();
            std::thread::spawn(move || {
                for socket in listener.incoming() {
                    let Ok(mut socket) = socket else { return };
                    if socket.read_exact(&mut [0; 8]).and_then(|()| socket.write_all(b"S")).is_err() {
                        continue;
                    }
                    let mut tls = ServerConnection::new(config.clone()).expect("a session");
                    let mut stream = rustls::Stream::new(&mut tls, &mut socket);
                    // The beginning of a startup packet: somebody trusts the session.
                    let trusted = stream.read_exact(&mut [0; 8]).is_ok();
                    counter.fetch_add(usize::from(trusted), Ordering::SeqCst);
                }
            });
            let url = format!("postgres://{}:{}@127.0.0.1:{port}/postgres?sslmode=require", APP.0, APP.1);
            let proxy = Proxy::start_with(&ProxyOptions::url(&url));
            assert!(value(&proxy, "select 1").is_err());
            assert_eq!(heard.load(Ordering::SeqCst).min(1), expected, "{}", proxy.log());
        }
    }
}
