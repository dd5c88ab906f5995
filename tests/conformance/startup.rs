//! Section A without TLS: start-up packets, parameters, passwords, replication connections.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use std::time::{Duration, Instant};

use super::prelude::*;
use crate::harness::cluster::{free_port, pg_version};
use crate::harness::direct_only;
use crate::harness::eventually;
use crate::harness::message::{Message, text};
use crate::harness::proxy::{Proxy, ProxyOptions};
use crate::harness::raw::{Client, Endpoint, Login};
use crate::harness::scram::Scram;

/// Makes a role that no other test has, in the shared cluster.
fn role(name: &str, options: &str) {
    Cluster::shared()
        .superuser("postgres")
        .run(&format!("drop role if exists {name}; create role {name} {options}"));
}

fn raw_startup(params: &[(&str, &str)]) -> Vec<u8> {
    msg::startup(msg::V3_0, params)
}

#[test]
fn login() {
    case("1", "a plain login and its parameters")
        .steps([A.login(&[]), A.sql("select 1")])
        .expect([
            "Authentication 10",
            "Authentication 11",
            "Authentication 12",
            "Authentication 0",
            "ParameterStatus",
            "BackendKeyData",
            "ReadyForQuery I",
        ])
        .run();
}

#[test]
fn gss_then_ssl() {
    case("1", "GSSENCRequest, SSLRequest, login")
        .direct_over_unix()
        .steps([
            A.dial(),
            A.send([msg::gss_request()]),
            A.byte(),
            A.send([msg::ssl_request()]),
            A.byte(),
            A.login_here(),
            A.sql("select 1"),
        ])
        .expect(["A byte Some('N')", "A byte Some('N')", "ReadyForQuery I", "DataRow (1)"])
        .run();
}

#[test]
fn ssl_then_gss() {
    case("1", "SSLRequest, GSSENCRequest, login")
        .direct_over_unix()
        .steps([
            A.dial(),
            A.send([msg::ssl_request()]),
            A.byte(),
            A.send([msg::gss_request()]),
            A.byte(),
            A.login_here(),
            A.sql("select 1"),
        ])
        .expect(["A byte Some('N')", "A byte Some('N')", "ReadyForQuery I", "DataRow (1)"])
        .run();
}

#[test]
fn ssl_twice() {
    case("1", "SSLRequest twice")
        .steps([A.dial(), A.send([msg::ssl_request()]), A.byte(), A.send([msg::ssl_request()]), A.closed()])
        // Which versions are supported is told too, and differs from server to server.
        .types_only(|m| m.tag == b'E')
        .expect(["byte Some('N')", "FATAL 0A000 unsupported frontend protocol 1234.5679", "closed"])
        .run();
}

#[test]
fn gss_twice() {
    case("1", "GSSENCRequest twice")
        .direct_over_unix()
        .steps([A.dial(), A.send([msg::gss_request()]), A.byte(), A.send([msg::gss_request()]), A.closed()])
        // Which versions are supported is told too, and differs from server to server.
        .types_only(|m| m.tag == b'E')
        .expect(["byte Some('N')", "FATAL 0A000 unsupported frontend protocol 1234.5680", "closed"])
        .run();
}

#[test]
fn early_data_behind_ssl_request() {
    let startup = raw_startup(&[("user", "app"), ("database", "postgres")]);
    // Older servers answer as protocol 2.0 has it, before any protocol is known.
    case("2", "bytes behind SSLRequest in the same segment")
        .since(14)
        .steps([A.dial(), A.send([msg::ssl_request(), startup]), A.byte(), A.closed()])
        .expect(["byte Some('N')", "FATAL 08P01 received unencrypted data after SSL request", "closed"])
        .run();
}

#[test]
fn early_data_behind_gss_request() {
    let startup = raw_startup(&[("user", "app"), ("database", "postgres")]);
    // Older servers answer as protocol 2.0 has it, before any protocol is known.
    case("2", "bytes behind GSSENCRequest in the same segment")
        .since(14)
        .direct_over_unix()
        .steps([A.dial(), A.send([msg::gss_request(), startup]), A.byte(), A.closed()])
        .expect([
            "byte Some('N')",
            "FATAL 08P01 received unencrypted data after GSSAPI encryption request",
            "closed",
        ])
        .run();
}

#[test]
fn major_versions_to_come() {
    for version in [0x0004_0000u32, 0x7fff_ffff] {
        case("4", "a major version that does not exist")
            .steps([
                A.dial(),
                A.send([msg::startup(version, &[("user", "app"), ("database", "postgres")])]),
                A.closed(),
            ])
            .types_only(|m| m.tag == b'E')
            .expect(["FATAL 0A000 unsupported frontend protocol", "closed"])
            .run();
    }
}

#[test]
fn major_versions_of_old() {
    let check = |endpoint: &Endpoint| {
        for version in [0u32, 0x0001_0000, 0x0002_0000] {
            let mut client = Client::dial(endpoint).expect("it connects");
            client.send(&msg::startup(version, &[("user", "app"), ("database", "postgres")]));
            // PostgreSQL answers in the format of protocol 2: 'E' and a text.
            match client.read() {
                Ok(Some(message)) => assert_eq!(message.sqlstate(), "0A000"),
                Ok(None) => panic!("closed without a word"),
                Err(e) => assert!(e.contains("a frame of type 'E'"), "{e}"),
            }
        }
    };
    let cluster = Cluster::shared();
    check(&cluster.tcp());
    if !direct_only() {
        check(&Proxy::start(&cluster.url(APP, "postgres", "")).endpoint());
    }
}

#[test]
fn negotiated_protocol() {
    let params = [("user", "app"), ("database", "postgres"), ("_pq_.flurb", "1"), ("_pq_.gnat", "on")];
    case("4", "grease: an absurd minor version and unknown options are negotiated")
        .steps([A.dial(), A.send([msg::startup(msg::V3_GREASE, &params)]), A.until(b'R')])
        .types_only(|m| m.tag == b'v')
        .expect(["NegotiateProtocolVersion", "Authentication 10"])
        .run();
}

#[test]
fn unknown_protocol_option() {
    let params = [("user", "app"), ("database", "postgres"), ("_pq_.flurb", "1")];
    case("4", "protocol 3.0 with an unknown option")
        .steps([A.dial(), A.send([msg::startup(msg::V3_0, &params)]), A.until(b'R')])
        .types_only(|m| m.tag == b'v')
        .expect(["NegotiateProtocolVersion", "Authentication 10"])
        .run();
}

#[test]
fn negotiation_names_every_unknown_option() {
    let check = |endpoint: &Endpoint, database: &str| {
        let mut client = Client::dial(endpoint).expect("it connects");
        let params = [("user", "app"), ("database", database), ("_pq_.flurb", "1"), ("_pq_.gnat", "")];
        client.send(&msg::startup(msg::V3_GREASE, &params));
        let message = client.until(b'v').expect("an answer").pop().expect("NegotiateProtocolVersion");
        assert_eq!(message.tag, b'v');
        assert_eq!(message.body[4..8], [0, 0, 0, 2], "two options are unknown");
        assert_eq!(text(&message.body[8..]), "_pq_.flurb\0_pq_.gnat\0");
    };
    let cluster = Cluster::shared();
    let database = cluster.database();
    check(&cluster.tcp(), &database.name);
    if !direct_only() {
        check(&Proxy::start(&cluster.url(APP, &database.name, "")).endpoint(), &database.name);
    }
}

#[test]
fn protocol_three_two() {
    let check = |endpoint: &Endpoint, login: &Login| {
        let mut client = Client::connect(endpoint, login);
        assert!(client.pid > 0);
        assert!((4..=256).contains(&client.key.len()));
        assert_eq!(client.value("select 1"), "1");
    };
    let cluster = Cluster::shared();
    let database = cluster.database();
    let login = Login { version: msg::V3_2, ..database.login() };
    check(&cluster.tcp(), &login);
    check(&cluster.tcp(), &database.login());
    if !direct_only() {
        let proxy = Proxy::start(&cluster.url(APP, &database.name, ""));
        check(&proxy.endpoint(), &login);
        check(&proxy.endpoint(), &database.login());
    }
}

#[test]
fn startup_lengths() {
    let mut steps = Vec::new();
    for len in [0u32, 3, 4, 7, 10_005, u32::MAX, 0x7fff_ffff] {
        steps.extend([A.dial(), A.send([len.to_be_bytes().to_vec(), vec![0; 4]]), A.closed()]);
    }
    case("6", "a startup packet of impossible length")
        .steps(steps)
        .may_say("FATAL 08P01")
        .expect(["closed"])
        .run();
}

#[test]
fn garbage_instead_of_startup() {
    let garbage: [&[u8]; 4] = [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"SSH-2.0-x\r\n",
        &[0xff; 64],
        b"Q\0\0\0\x0dselect 1\0",
    ];
    let steps = garbage.into_iter().flat_map(|bytes| [A.dial(), A.send([bytes.to_vec()]), A.closed()]);
    case("6", "something else than PostgreSQL's protocol")
        .steps(steps)
        .may_say("FATAL 08P01")
        .expect(["closed"])
        .run();
}

#[test]
fn startup_byte_by_byte() {
    case("6", "a startup packet that arrives byte by byte")
        .steps([
            A.dial(),
            A.drip(msg::ssl_request()),
            A.byte(),
            A.login_here_byte_by_byte(),
            A.sql("select 1"),
        ])
        .expect(["byte Some('N')", "ReadyForQuery I", "DataRow (1)"])
        .run();
}

#[test]
fn startup_layouts() {
    let packets: [(&[u8], &str); 6] = [
        (b"user\0app\0database\0postgres\0", "08P01"),
        (b"user\0app\0database\0postgres\0\0extra", "08P01"),
        (b"user\0app\0database", "08P01"),
        (b"\0", "28000"),
        (b"user\0\0database\0postgres\0\0", "28000"),
        (b"database\0postgres\0\0", "28000"),
    ];
    for (body, sqlstate) in packets {
        case("6", "a startup packet of wrong layout")
            .steps([A.dial(), A.send([msg::packet(msg::V3_0, body)]), A.closed()])
            .expect([&format!("FATAL {sqlstate}"), "closed"])
            .run();
    }
}

#[test]
fn large_startup_packet() {
    let long = "x".repeat(9000);
    case("6", "a startup packet near its limit")
        .steps([A.login(&[("my.own", &long)]), A.sql("select length(current_setting('my.own'))")])
        .expect(["ReadyForQuery I", "DataRow (9000)"])
        .run();
}

#[test]
fn duplicate_parameters() {
    case("6", "the last of duplicate parameters holds")
        .steps([
            A.login(&[
                ("application_name", "first"),
                ("application_name", "second"),
                ("work_mem", "70kB"),
                ("work_mem", "71kB"),
            ]),
            A.sql("select current_setting('application_name'), current_setting('work_mem')"),
        ])
        .expect(["application_name=second", "DataRow (second, 71kB)"])
        .run();
}

#[test]
fn no_database() {
    let check = |endpoint: &Endpoint| {
        let mut login = Login::new(APP.0, APP.1, "");
        login.params.clear();
        let mut client = Client::connect(endpoint, &login);
        assert_eq!(client.value("select current_database()"), "app");
    };
    let cluster = Cluster::start("", &[]);
    cluster.superuser("postgres").run("create database app owner app");
    check(&cluster.tcp());
    if !direct_only() {
        check(&Proxy::start(&cluster.url(APP, "app", "")).endpoint());
    }
}

#[test]
fn unknown_database() {
    case("6 16", "a database that does not exist")
        .steps([A.login(&[("database", "no_such_database")])])
        .expect(["FATAL 3D000 database \"no_such_database\" does not exist", "connection closed"])
        .run();
}

#[test]
fn silent_client() {
    let check = |endpoint: &Endpoint| {
        let start = Instant::now();
        let mut silent = Client::dial(endpoint).expect("it connects");
        let mut dripping = Client::dial(endpoint).expect("it connects");
        let packet = raw_startup(&[("user", "app"), ("database", "postgres")]);
        for byte in packet.iter().take(8) {
            dripping.send(&[*byte]);
            std::thread::sleep(Duration::from_millis(150));
        }
        let told = |messages: &[Message]| messages.iter().all(|m| m.tag == b'E');
        assert!(told(&silent.until(b'Z').expect("it is closed in time")));
        assert!(told(&dripping.until(b'Z').expect("it is closed in time")));
        assert!(start.elapsed() < Duration::from_secs(10));
    };
    let cluster = Cluster::start("authentication_timeout = 2s", &[]);
    check(&cluster.tcp());
    if !direct_only() {
        let options =
            ProxyOptions::url(&cluster.url(APP, "postgres", "")).config("[limits]\nlogin_timeout = \"2s\"\n");
        check(&Proxy::start_with(&options).endpoint());
    }
}

#[test]
fn options() {
    let show = "select current_setting('application_name'), current_setting('search_path'), current_setting('statement_timeout'), current_setting('foo.bar'), current_setting('work_mem')";
    case("8", "the options parameter, as a command line")
        .steps([
            A.login(&[("options", r"-c application_name=b\ c -c search_path=x,y --statement_timeout=5s -cfoo.bar=1+1=-c --work-mem=70kB")]),
            B.login(&[("options", r"-c application_name=a\\b  -c foo.bar=x   -c search_path=\$user")]),
            A.sql(show),
            B.sql(show),
            A.sql(show),
            A.sql("set statement_timeout = 0"),
            A.sql("reset all"),
            A.sql(show),
        ])
        .expect(["application_name=b c", "A DataRow (b c, x,y, 5s, 1+1=-c, 70kB)", "B DataRow (a\\b, $user, 0, x, 4MB)", "A DataRow (b c", "A DataRow (b c, x,y, 5s, 1+1=-c, 70kB)"])
        .run();
}

#[test]
fn options_and_parameters_of_the_same_name() {
    case("8", "a parameter of its own wins over options")
        .steps([A.login(&[("work_mem", "70kB"), ("options", "-c work_mem=71kB")]), A.sql("show work_mem")])
        .expect(["DataRow (70kB)"])
        .run();
}

#[test]
fn options_that_fail() {
    for options in [
        "-c",
        "-c no_such_setting=1",
        "-c work_mem=x",
        "--flurb",
        "flurb",
        "-Z",
        "-c work_mem",
        "-c max_connections=3",
    ] {
        case("8", "options that PostgreSQL refuses")
            .steps([A.login(&[("options", options)])])
            .expect(["FATAL", "connection closed"])
            .run();
    }
}

#[test]
fn parameters_that_fail() {
    for (name, value) in [
        ("no_such_setting", "1"),
        ("work_mem", "x"),
        ("client_encoding", "flurb"),
        ("DateStyle", "flurb"),
        ("TimeZone", "Flurb/Gnat"),
        ("log_statement", "all"),
    ] {
        case("8", "start-up parameters that PostgreSQL refuses")
            .steps([A.login(&[(name, value)])])
            .expect(["FATAL", "connection closed"])
            .run();
    }
}

#[test]
fn search_path_at_startup() {
    case("9", "a search_path of the client that hides pg_catalog")
        .setup("create schema evil; create function evil.current_setting(text) returns text language sql as $$ select 'evil' $$; create view evil.pg_class as select 'evil'::text as relname; create view evil.pg_authid as select 'evil'::text as rolname")
        .proxy_as_superuser()
        .steps([
            A.login(&[("search_path", "evil, pg_catalog")]),
            A.sql("select current_setting('work_mem'), (select relname from pg_class)"),
            B.login(&[]),
            B.sql("select current_setting('work_mem')"),
            A.sql("show search_path"),
        ])
        .expect(["A DataRow (evil, evil)", "B DataRow (4MB)", "A DataRow (evil, pg_catalog)"])
        .run();
}

#[test]
fn physical_replication() {
    case("10", "replication=true")
        .proxy_as_superuser()
        .steps([
            A.login(&[("replication", "true")]),
            A.query("IDENTIFY_SYSTEM"),
            A.ready(),
            A.query("SHOW work_mem"),
            A.ready(),
            A.query("SELECT 1"),
            A.ready(),
            A.query("START_REPLICATION 0/0"),
            A.ready(),
        ])
        .types_only(|m| m.tag == b'D')
        .expect(["RowDescription (systemid", "DataRow", "IDENTIFY_SYSTEM", "DataRow (4MB)", "ErrorResponse"])
        .run();
}

#[test]
fn logical_replication() {
    case("10", "replication=database: SQL, a slot, and CopyBoth")
        .setup("create table t (i int)")
        .proxy_as_superuser()
        .steps([
            A.login(&[("replication", "database")]),
            A.sql("select 1"),
            A.query("CREATE_REPLICATION_SLOT conformance TEMPORARY LOGICAL test_decoding NOEXPORT_SNAPSHOT"),
            A.ready(),
            A.query("START_REPLICATION SLOT conformance LOGICAL 0/0"),
            A.until(b'W'),
            B.sql("insert into t values (42)"),
            A.until(b'd'),
            A.send([msg::copy_done()]),
            A.until(b'Z'),
            A.sql("select 2"),
        ])
        .types_only(|m| b"dD".contains(&m.tag))
        .may_say("A CopyData")
        .expect([
            "DataRow (1)",
            "CREATE_REPLICATION_SLOT",
            "CopyBothResponse",
            "INSERT 0 1",
            "CopyDone",
            "DataRow (2)",
        ])
        .run();
}

#[test]
fn passwords_of_many_lengths() {
    // PostgreSQL 13 takes 1,024 bytes at most.
    let longest = if pg_version() >= 14 { 4000 } else { 1024 };
    for length in [127, 1000, longest] {
        let name: &str = Box::leak(format!("length_{length}").into_boxed_str());
        let password: &str = Box::leak("k".repeat(length).into_boxed_str());
        role(name, &format!("login password '{password}'"));
        case("11", "a long password")
            .proxy_as_superuser()
            .steps([A.login_as((name, password)), A.sql("select current_user")])
            .expect(["ReadyForQuery I", name])
            .run();
    }
}

#[test]
fn bad_passwords() {
    role("no_password", "login");
    for user in
        [("app", "wrong"), ("app", ""), ("no_such_user", "x"), ("no_password", "x"), ("app_md5", "wrong")]
    {
        case("12 15", "a bad password, an unknown user, a user without a password")
            .proxy_as_superuser()
            .steps([A.login_as(user), B.login(&[]), B.sql("select 1"), A.login_as(user)])
            .expect([
                &format!("FATAL 28P01 password authentication failed for user \"{}\"", user.0),
                "A connection closed",
                "B DataRow (1)",
                "28P01",
            ])
            .run();
    }
}

#[test]
fn verifiers_of_md5() {
    let cluster =
        Cluster::start_with_hba("", &[], "host all app_md5 127.0.0.1/32 md5\nlocal all app_md5 md5");
    let database = cluster.database();
    let login = Login::new(MD5_USER.0, MD5_USER.1, &database.name);
    assert_eq!(Client::connect(&cluster.tcp(), &login).value("select current_user"), "app_md5");
    if !direct_only() {
        let proxy = Proxy::start(&cluster.url(MD5_USER, &database.name, ""));
        assert_eq!(Client::connect(&proxy.endpoint(), &login).value("select current_user"), "app_md5");
        let options = ProxyOptions::url(&cluster.url(MD5_USER, &database.name, ""))
            .config("[auth]\nmethod = \"md5\"\n");
        let proxy = Proxy::start_with(&options);
        assert_eq!(Client::connect(&proxy.endpoint(), &login).value("select current_user"), "app_md5");
        let wrong = Login::new(MD5_USER.0, "wrong", &database.name);
        let messages =
            Client::dial(&proxy.endpoint()).expect("it connects").login(&wrong).expect("an answer");
        assert_eq!(messages.last().map(Message::sqlstate).as_deref(), Some("28P01"));
    }
}

#[test]
fn saslprep() {
    let login = |name: &str, set: &str, given: &str| {
        role(name, &format!("login password U&'{set}'"));
        let cluster = Cluster::shared();
        let login = Login::new(name, given, "postgres");
        assert_eq!(Client::connect(&cluster.tcp(), &login).value("select current_user"), name);
        if !direct_only() {
            let proxy = Proxy::start(&cluster.url(SUPERUSER, "postgres", ""));
            assert_eq!(Client::connect(&proxy.endpoint(), &login).value("select current_user"), name);
        }
    };
    login("prep_soft_hyphen", "I\\00ADX", "IX");
    login("prep_roman_nine", "\\2168", "IX");
    login("prep_umlaut", "u\\0308ber", "\u{fc}ber");
    login("prep_space", "a\\00A0b", "a b");
}

#[test]
fn roles_that_may_not_log_in() {
    role("nologin_role", "nologin password 'p'");
    role("expired_role", "login password 'p' valid until '2001-01-01'");
    role("valid_role", "login password 'p' valid until '2901-01-01'");
    role("limited_role", "login password 'p' connection limit 0");
    case("14", "NOLOGIN, VALID UNTIL and CONNECTION LIMIT")
        .proxy_as_superuser()
        .steps([
            A.login_as(("nologin_role", "p")),
            A.login_as(("expired_role", "p")),
            A.login_as(("valid_role", "p")),
            B.login_as(("limited_role", "p")),
        ])
        .types_only(|m| m.tag == b'E' && m.sqlstate() == "53300")
        .expect([
            "FATAL 28000 role \"nologin_role\" is not permitted to log in",
            "FATAL 28P01",
            "ReadyForQuery I",
            "FATAL 53300",
        ])
        .run();
}

#[test]
fn password_change() {
    role("changing_role", "login password 'old'");
    case("14", "a new password holds for the next login")
        .proxy_as_superuser()
        .steps([
            admin("alter role changing_role password 'old'"),
            A.login_as(("changing_role", "old")),
            admin("alter role changing_role password 'new'"),
            B.login_as(("changing_role", "new")),
            C.login_as(("changing_role", "old")),
            A.sql("select 'a'"),
            B.sql("select 'b'"),
        ])
        .expect([
            "A ReadyForQuery I",
            "B ReadyForQuery I",
            "C ErrorResponse FATAL 28P01",
            "A DataRow (a)",
            "B DataRow (b)",
        ])
        .run();
}

/// A SASL exchange in which one message is replaced.
fn sasl(endpoint: &Endpoint, database: &str, first: Option<&[u8]>, last: Option<&[u8]>) -> (String, String) {
    let mut client = Client::dial(endpoint).expect("it connects");
    client.send(&raw_startup(&[("user", "app"), ("database", database)]));
    client.until(b'R').expect("an answer");
    let mut scram = Scram::new(APP.1.as_bytes());
    client.send(&msg::password(&first.map_or_else(|| scram.first("SCRAM-SHA-256"), <[u8]>::to_vec)));
    let answer = client.read().expect("an answer").expect("it is not closed");
    let end = if answer.tag == b'R' {
        let proof = scram.last(&text(&answer.body[4..])).unwrap_or_default();
        client.send(&msg::password(last.unwrap_or(&proof)));
        client.read().expect("an answer").expect("it is not closed")
    } else {
        answer
    };
    (end.field(b'S').unwrap_or_default(), end.sqlstate())
}

#[test]
fn malformed_sasl() {
    let first = |mechanism: &str, data: &[u8]| {
        let mut body = [mechanism.as_bytes(), &[0]].concat();
        body.extend_from_slice(&(data.len() as u32).to_be_bytes());
        body.extend_from_slice(data);
        body
    };
    let mechanism = "SCRAM-SHA-256";
    let firsts = [
        first("SCRAM-SHA-1", b"n,,n=,r=abc"),
        first("SCRAM-SHA-256-PLUS", b"p=tls-server-end-point,,n=,r=abc"),
        first(mechanism, b""),
        first(mechanism, b"n"),
        first(mechanism, b"n,"),
        first(mechanism, b"x,,n=,r=abc"),
        first(mechanism, b"p=tls-server-end-point,,n=,r=abc"),
        first(mechanism, b"n,a=app,n=,r=abc"),
        first(mechanism, b"n,,m=x,n=,r=abc"),
        first(mechanism, b"n,,r=abc"),
        first(mechanism, b"n,,n="),
        first(mechanism, b"n,,n=,r=\xff\xff"),
        first(mechanism, b"n,,n=,r=abc\0def"),
        [mechanism.as_bytes(), &[0, 0x7f, 0xff, 0xff, 0xff], b"n,,n=,r=abc"].concat(),
        [mechanism.as_bytes(), &[0, 0xff, 0xff, 0xff, 0xff]].concat(),
        [mechanism.as_bytes(), &[0, 0, 0]].concat(),
        mechanism.as_bytes().to_vec(),
        Vec::new(),
    ];
    let lasts: [&[u8]; 7] = [
        b"",
        b"c=biws",
        b"c=biws,r=wrong,p=AAAA",
        b"c=eSws,r=x,p=AAAA",
        b"p=AAAA",
        b"c=biws,r=x,p=!!!",
        &[0xff; 100],
    ];
    let cluster = Cluster::shared();
    let database = cluster.database();
    let proxy = (!direct_only()).then(|| Proxy::start(&cluster.url(APP, &database.name, "")));
    let check = |first: Option<&[u8]>, last: Option<&[u8]>| {
        let direct = sasl(&cluster.tcp(), &database.name, first, last);
        assert_eq!(direct.0, "FATAL", "{first:?} {last:?}");
        if let Some(proxy) = &proxy {
            let proxied = sasl(&proxy.endpoint(), &database.name, first, last);
            assert_eq!(direct, proxied, "{:?} {:?}", first.map(text), last.map(text));
        }
    };
    firsts.iter().for_each(|first| check(Some(first), None));
    lasts.iter().for_each(|last| check(None, Some(last)));
}

#[test]
fn channel_binding_flags() {
    let check = |endpoint: &Endpoint, database: &str| {
        for gs2 in ["n,,", "y,,"] {
            let mut client = Client::dial(endpoint).expect("it connects");
            client.send(&raw_startup(&[("user", "app"), ("database", database)]));
            let offered = client.until(b'R').expect("an answer").pop().expect("a message");
            assert_eq!(
                text(&offered.body[4..]),
                "SCRAM-SHA-256\0\0",
                "without TLS there is nothing to bind to"
            );
            let mut scram = Scram::new(APP.1.as_bytes());
            scram.gs2 = gs2.into();
            client.send(&msg::password(&scram.first("SCRAM-SHA-256")));
            let challenge = client.until(b'R').expect("an answer").pop().expect("a message");
            let proof = scram.last(&text(&challenge.body[4..])).expect("a challenge");
            client.send(&msg::password(&proof));
            let end = client.until(b'Z').expect("a login");
            assert_eq!(end.last().map(|m| m.tag), Some(b'Z'), "{gs2}: {end:?}");
        }
    };
    let cluster = Cluster::shared();
    let database = cluster.database();
    check(&cluster.tcp(), &database.name);
    if !direct_only() {
        check(&Proxy::start(&cluster.url(APP, &database.name, "")).endpoint(), &database.name);
    }
}

#[test]
fn iteration_counts() {
    let verifier = |iterations: u32, password: &str| {
        let salt = [7u8; 16];
        let mut salted = [0u8; 32];
        let count = std::num::NonZeroU32::new(iterations).expect("not zero");
        aws_lc_rs::pbkdf2::derive(
            aws_lc_rs::pbkdf2::PBKDF2_HMAC_SHA256,
            count,
            &salt,
            password.as_bytes(),
            &mut salted,
        );
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &salted);
        let client_key = aws_lc_rs::hmac::sign(&key, b"Client Key");
        let stored = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, client_key.as_ref());
        let server = aws_lc_rs::hmac::sign(&key, b"Server Key");
        format!(
            "SCRAM-SHA-256${iterations}:{}${}:{}",
            BASE64.encode(salt),
            BASE64.encode(stored),
            BASE64.encode(server)
        )
    };
    for (name, iterations) in [("one_iteration", 1), ("million_iterations", 1_000_000)] {
        role(name, &format!("login password '{}'", verifier(iterations, "p")));
        case("12", "iteration counts of the verifier")
            .proxy_as_superuser()
            .steps([A.login_as((name, "p")), A.sql("select current_user")])
            .expect(["ReadyForQuery I", name])
            .run();
    }
}

#[test]
fn server_password_with_every_character() {
    role("odd_password", "login password 'a:b@c/d?e#f%g h&i=j+k''l\"m\\n'");
    let login = Login::new("odd_password", "a:b@c/d?e#f%g h&i=j+k'l\"m\\n", "postgres");
    let cluster = Cluster::shared();
    assert_eq!(Client::connect(&cluster.tcp(), &login).value("select current_user"), "odd_password");
    if !direct_only() {
        let quoted = "a%3Ab%40c%2Fd%3Fe%23f%25g%20h%26i%3Dj%2Bk%27l%22m%5Cn";
        let proxy = Proxy::start(&cluster.url(("odd_password", quoted), "postgres", ""));
        assert_eq!(Client::connect(&proxy.endpoint(), &login).value("select current_user"), "odd_password");
    }
}

#[test]
fn sockets_of_both_kinds() {
    let cluster = Cluster::shared();
    let database = cluster.database();
    let mut endpoints = vec![cluster.tcp(), cluster.unix()];
    if std::net::TcpListener::bind("[::1]:0").is_ok() {
        endpoints.push(cluster.tcp6());
    }
    for endpoint in &endpoints {
        assert_eq!(Client::connect(endpoint, &database.login()).value("select 1"), "1");
    }
    if direct_only() {
        return;
    }
    let dir = crate::harness::command::Folder::new();
    let hosts = [
        format!("[::1]:{}", cluster.port),
        format!("{}:{}", cluster.socket_dir().display().to_string().replace('/', "%2F"), cluster.port),
    ];
    for host in &hosts[2 - endpoints.len().min(2)..] {
        let url = format!("postgres://{}:{}@{host}/{}", APP.0, APP.1, database.name);
        let options = ProxyOptions::url(&url).config(&format!("unix_socket_dir = \"{}\"\n", dir.0.display()));
        let proxy = Proxy::start_with(&options);
        let path = dir.0.join(format!(".s.PGSQL.{}", proxy.addr.port()));
        let logged = format!("listening address={path:?}");
        eventually("the unix socket is named", || proxy.log().contains(&logged));
        let unix = Endpoint::Unix(path);
        for endpoint in [proxy.endpoint(), unix] {
            assert_eq!(Client::connect(&endpoint, &database.login()).value("select 1"), "1");
        }
    }
}

#[test]
fn login_and_query_in_one_write() {
    let check = |endpoint: &Endpoint, login: &Login| {
        let mut client = Client::connect(endpoint, login);
        client.send(&[msg::query("select 1"), msg::query("select 2")].concat());
        client.until_ready();
        client.until_ready();
    };
    let cluster = Cluster::start_with_hba("", &[], "host all app 127.0.0.1/32 trust");
    let database = cluster.database();
    let mut client = Client::dial(&cluster.tcp()).expect("it connects");
    client.send(&[database.login().packet(), msg::query("select 1")].concat());
    client.until_ready();
    client.until_ready();
    check(&cluster.tcp(), &database.login());
    if !direct_only() {
        let options =
            ProxyOptions::url(&cluster.url(APP, &database.name, "")).config("[auth]\nmethod = \"trust\"\n");
        let proxy = Proxy::start_with(&options);
        let mut client = Client::dial(&proxy.endpoint()).expect("it connects");
        client.send(&[database.login().packet(), msg::query("select 1")].concat());
        client.until_ready();
        client.until_ready();
        check(&proxy.endpoint(), &database.login());
    }
}

#[test]
fn server_down() {
    if direct_only() {
        return;
    }
    let port = free_port();
    let proxy = Proxy::start(&format!("postgres://app:app-secret@127.0.0.1:{port}/app"));
    let mut client = Client::dial(&proxy.endpoint()).expect("it connects");
    let messages = client.login(&Login::new(APP.0, APP.1, "app")).expect("an answer in time");
    let error = messages.iter().find(|m| m.tag == b'E').expect("an error, at the login");
    assert_eq!(error.field(b'S').as_deref(), Some("FATAL"));
    assert!(error.sqlstate().starts_with("08") || error.sqlstate().starts_with("57"), "{error}");
}

/// What is wrong with `auth_query` is the operator's to know, not that of somebody who has proven nothing.
#[test]
fn users_by_a_query() {
    if direct_only() {
        return;
    }
    let cluster = Cluster::shared();
    let database = cluster.database();
    let start = |query: &str| {
        let auth = format!("[auth]\nauth_query = \"{query}\"\nauth_user = \"{}\"\n", SUPERUSER.0);
        let url = cluster.url(SUPERUSER, &database.name, "pool_size=2");
        Proxy::start_with(&ProxyOptions::url(&url).config(&auth))
    };
    let proxy = start("select usename, passwd from pg_shadow where usename = $1");
    let mut client = Client::connect(&proxy.endpoint(), &database.login());
    assert_eq!(client.value("select current_user"), APP.0);
    for (query, logged) in [
        ("select usename, passwort from pg_shadow where usename = $1", "passwort"),
        ("select usename from pg_shadow where usename = $1", "one column"),
        // Whoever knew the password of one would be let in as anybody.
        (
            "select usename, passwd from pg_shadow where usename <> $1 and passwd is not null",
            "another user's row",
        ),
    ] {
        let proxy = start(query);
        for _ in 0..3 {
            let mut client = Client::dial(&proxy.endpoint()).expect("a connection");
            let answers = client.login(&database.login()).expect("an answer");
            let error = answers.iter().find(|message| message.tag == b'E').expect("an error");
            assert_eq!(error.sqlstate(), "28000");
            assert_eq!(error.field(b'M').as_deref(), Some("users cannot be looked up at this time"));
        }
        let log = proxy.log();
        assert_eq!(log.matches("auth_query failed").count(), 1, "{log}");
        assert!(log.contains(logged), "{log}");
    }
}

/// The error with which a login is refused, and its text.
fn refusal(proxy: &Proxy, login: &Login) -> (String, String) {
    let mut client = Client::dial(&proxy.endpoint()).expect("a connection");
    let answers = client.login(login).expect("an answer");
    let error = answers.iter().find(|message| message.tag == b'E').expect("an error");
    (error.sqlstate(), error.field(b'M').unwrap_or_default())
}

/// As with `auth_query`: neither the name of `auth_user` nor the server's address is for strangers.
#[test]
fn users_by_pass_through_that_fails() {
    if direct_only() {
        return;
    }
    let cluster = Cluster::shared();
    let database = cluster.database();
    let away = format!("postgres://{}:secret@127.0.0.1:{}/nowhere", SUPERUSER.0, free_port());
    let wrong = cluster.url((SUPERUSER.0, "wrong"), &database.name, "");
    for (url, sqlstate, logged) in [(wrong, "28000", "28P01"), (away, "08001", "127.0.0.1")] {
        let proxy = Proxy::start(&url);
        for _ in 0..3 {
            let told = refusal(&proxy, &database.login());
            assert_eq!(told, (sqlstate.to_owned(), "users cannot be looked up at this time".to_owned()));
        }
        let log = proxy.log();
        let lines: Vec<_> = log.lines().filter(|line| line.contains("pass-through failed")).collect();
        assert_eq!(lines.len(), 1, "{log}");
        assert!(lines[0].contains("ERROR") && lines[0].contains(logged), "{log}");
    }
}

/// With `trust`, a user of whom nothing is known is the server's to judge.
#[test]
fn trusted_users_that_are_not_known() {
    if direct_only() {
        return;
    }
    let cluster = Cluster::start_with_hba("", &[], "host all app 127.0.0.1/32 trust");
    let database = cluster.database();
    let trust = "[auth]\nmethod = \"trust\"\n";
    let hosts =
        format!("[databases.\"*\"]\nhosts = [\"127.0.0.1:{}\"]\n[users.{}]\n", cluster.port, SUPERUSER.0);
    let proxy = Proxy::start_with(&ProxyOptions::default().config(&format!("{hosts}{trust}")));
    let mut client = Client::connect(&proxy.endpoint(), &database.login());
    assert_eq!(client.value("select current_user"), APP.0);
    // The server asks for a password here.
    let (_, told) = refusal(&proxy, &Login::new("carol", "", &database.name));
    assert!(told.contains("password") && !told.contains("permitted"), "{told}");
    let asks = ProxyOptions::url(&cluster.url(SUPERUSER, &database.name, "")).config(trust);
    let told = refusal(&Proxy::start_with(&asks), &Login::new("carol", "", &database.name));
    assert_eq!(told, ("28000".to_owned(), "role \"carol\" does not exist".to_owned()));
}

/// Who is not in the settings is looked up in another database of the same node, and learns that there is no such database only with the
/// right password, as directly.
#[test]
fn a_database_that_is_not_there_and_a_user_of_the_server() {
    let cluster = Cluster::shared();
    let database = cluster.database();
    let check = |endpoint: &Endpoint| {
        let told =
            [(APP, "3D000"), ((APP.0, "wrong"), "28P01"), (("carol", "p"), "28P01"), (SUPERUSER, "3D000")];
        for ((user, password), expected) in told {
            let mut client = Client::dial(endpoint).expect("a connection");
            let answers = client.login(&Login::new(user, password, "nodb")).expect("an answer");
            let error = answers.iter().find(|message| message.tag == b'E').expect("an error");
            let text = match expected {
                "3D000" => "database \"nodb\" does not exist".to_owned(),
                _ => format!("password authentication failed for user \"{user}\""),
            };
            assert_eq!((error.sqlstate().as_str(), error.field(b'M')), (expected, Some(text)), "{user}");
        }
    };
    check(&cluster.tcp());
    if direct_only() {
        return;
    }
    let url = cluster.url(SUPERUSER, &database.name, "");
    let named = format!("[databases.\"{}\"]\nurl = \"{url}\"\n", database.name);
    let asker = format!("[auth]\nauth_user = \"{}\"\n", SUPERUSER.0);
    let by_query = "auth_query = \"select usename, passwd from pg_shadow where usename = $1\"\n";
    for auth in [asker.clone(), format!("{asker}{by_query}")] {
        let proxy = Proxy::start_with(&ProxyOptions::default().config(&format!("{named}{auth}")));
        check(&proxy.endpoint());
    }
    // With a fallback, the server is asked for any name.
    check(&Proxy::start(&url).endpoint());
    let fallback = format!("[databases.\"*\"]\nhosts = [\"127.0.0.1:{}\"]\n", cluster.port);
    let user = format!("[users.{}]\npassword = \"{}\"\n", SUPERUSER.0, SUPERUSER.1);
    let proxy = Proxy::start_with(&ProxyOptions::default().config(&format!("{fallback}{asker}{user}")));
    check(&proxy.endpoint());
    // Of two nodes nobody knows which one is meant: nobody is looked up, and the log says so.
    let elsewhere = format!("[databases.elsewhere]\nhosts = [\"127.0.0.1:{}\"]\n", free_port());
    let proxy = Proxy::start_with(&ProxyOptions::default().config(&format!("{named}{elsewhere}{asker}")));
    assert_eq!(refusal(&proxy, &Login::new(APP.0, APP.1, "nodb")).0, "28P01");
    assert!(proxy.log().contains("no database `nodb` in the settings"), "{}", proxy.log());
    assert_eq!(refusal(&proxy, &Login::new(SUPERUSER.0, SUPERUSER.1, "nodb")).0, "3D000");
}

/// Users are looked up as `auth_user`, whoever the servers are logged in as.
#[test]
fn users_by_a_query_behind_one_server_user() {
    if direct_only() {
        return;
    }
    let cluster = Cluster::shared();
    let database = cluster.database();
    let settings = format!(
        "[databases.\"{0}\"]\nurl = \"{1}\"\nserver_user = \"{2}\"\n[users.{2}]\npassword = \"plain:{3}\"\n[users.{4}]\npassword = \"plain:{5}\"\n\
         [auth]\nauth_query = \"select usename, passwd from pg_shadow where usename = $1\"\nauth_user = \"{4}\"\n",
        database.name,
        cluster.url(SUPERUSER, &database.name, "pool_size=2").split('?').next().unwrap_or_default(),
        APP2.0,
        APP2.1,
        SUPERUSER.0,
        SUPERUSER.1,
    );
    let settings =
        settings.replace(&format!("[users.{}]\npassword = \"plain:{}\"\n", SUPERUSER.0, SUPERUSER.1), "");
    let proxy = Proxy::start_with(&ProxyOptions::default().config(&settings));
    let mut client = Client::connect(&proxy.endpoint(), &database.login());
    assert_eq!(client.value("select current_user"), APP2.0);
}
