//! HBA files: what is read, what is refused, what matches.

use std::collections::HashMap;

use super::lines::read_lines;
use super::*;
use crate::auth::testing::Garbage;

const SAMPLE: &str = r#"
# TYPE  DATABASE        USER            ADDRESS                 METHOD
local   all             postgres                                peer map=ops
local   all             all                                     scram-sha-256
host    "all"           all             all                     trust
host    sales, "my db"  app, web        10.1.0.0/16             md5   # a comment
hostssl secure          all             all                     cert clientname=DN map="m n"
hostnossl secure        all             0.0.0.0/0               reject
hostssl both            all             192.168.0.0 255.255.0.0 password \
        clientcert=verify-ca
host    sameuser        all             ::1/128                 scram-sha-256
host    replication     rep             samenet                 scram-sha-256
hostgssenc gss          all             all                     trust
hostnogssenc gss        "+odd"          samehost                md5
"#;

fn rules_of(files: &[(&str, &str)]) -> Result<Rules, FileError> {
    let files: HashMap<_, _> = files.iter().copied().collect();
    let read = |path: &Path| {
        let text = path.to_str().and_then(|path| files.get(path));
        text.map(|text| (*text).to_owned()).ok_or_else(|| io::ErrorKind::NotFound.into())
    };
    let interfaces = [Network::new(ip("172.16.5.4"), 12).unwrap(), Network::new(ip("fd00::1"), 64).unwrap()];
    Rules::read(Path::new("etc/hba"), &Sources { read: &read, interfaces: &interfaces })
}

fn rules(text: &str) -> Result<Rules, FileError> {
    rules_of(&[("etc/hba", text)])
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn request<'a>(conn: Conn, database: &'a str, user: &'a str, addr: &str) -> Request<'a> {
    Request { conn, database, user, addr: addr.parse().ok(), replication: false }
}

#[test]
fn the_first_rule_that_matches_decides() {
    use Conn::{Local, Plain, Tls};
    let rules = rules(SAMPLE).unwrap();
    let cases = [
        (Local, "x", "postgres", "", Some(3)),
        (Local, "x", "app", "", Some(4)),
        (Plain, "all", "x", "8.8.8.8", Some(5)),
        (Plain, "sales", "app", "10.1.2.3", Some(6)),
        (Tls, "my db", "web", "10.1.255.255", Some(6)),
        (Tls, "my db", "web", "::ffff:10.1.255.255", Some(6)),
        (Plain, "sales", "app", "10.2.0.1", None),
        (Plain, "sales", "other", "10.1.2.3", None),
        (Plain, "Sales", "app", "10.1.2.3", None),
        (Tls, "secure", "x", "fe80::1", Some(7)),
        (Plain, "secure", "x", "1.2.3.4", Some(8)),
        (Plain, "secure", "x", "fe80::1", None),
        (Tls, "both", "x", "192.168.77.1", Some(9)),
        (Plain, "both", "x", "192.168.77.1", None),
        (Tls, "both", "x", "192.169.0.1", None),
        (Plain, "bob", "bob", "::1", Some(11)),
        (Plain, "bob", "eve", "::1", None),
        (Plain, "replication", "rep", "172.16.0.1", None),
        (Plain, "gss", "x", "172.16.5.4", None),
        (Plain, "gss", "+odd", "172.16.5.4", Some(14)),
        (Plain, "gss", "+odd", "172.16.5.5", None),
    ];
    for (conn, database, user, addr, line) in cases {
        let request = request(conn, database, user, addr);
        let found = rules.first_match(&request).map(|rule| rule.line);
        assert_eq!(found, line, "{request:?}");
    }
}

#[test]
fn physical_replication_matches_its_keyword_only() {
    let rules = rules(SAMPLE).unwrap();
    let physical = |user, addr| Request { replication: true, ..request(Conn::Plain, "sales", user, addr) };
    assert_eq!(rules.first_match(&physical("rep", "172.31.255.255")).unwrap().line, 12);
    assert_eq!(rules.first_match(&physical("rep", "fd00::99")).unwrap().line, 12);
    assert!(rules.first_match(&physical("rep", "172.32.0.0")).is_none());
    assert!(rules.first_match(&physical("app", "10.1.2.3")).is_none());
}

#[test]
fn options_are_kept() {
    let rules = rules(SAMPLE).unwrap();
    let option = |line| &rules.as_slice().iter().find(|rule| rule.line == line).unwrap().options;
    assert_eq!(option(3).map.as_deref(), Some("ops"));
    let cert = RuleOptions {
        map: Some("m n".to_owned()),
        client_cert: ClientCert::VerifyFull,
        client_name: ClientName::DistinguishedName,
    };
    assert_eq!(option(7), &cert);
    assert_eq!(option(9).client_cert, ClientCert::VerifyCa);
    assert_eq!(option(6), &RuleOptions::default());
}

#[test]
fn errors_name_file_line_problem_and_remedy() {
    let cases = [
        ("", "etc/hba:0: the file contains no rules"),
        ("# only\n\n", "etc/hba:0: the file contains no rules"),
        ("hosts all all all trust", "etc/hba:1: invalid connection type \"hosts\"; use local"),
        ("host", "etc/hba:1: the line ends before the database; write"),
        ("host all all", "etc/hba:1: the line ends before the address"),
        ("local all all", "etc/hba:1: the line ends before the authentication method"),
        ("host /^a all all trust", "etc/hba:1: regular expressions such as \"/^a\""),
        ("host all \"/x\" all trust", "etc/hba:1: regular expressions"),
        ("\n\nhost all +staff all trust", "etc/hba:3: \"+staff\" is not supported"),
        ("host samerole all all trust", "etc/hba:1: samerole is not supported"),
        ("host all all db.example.com trust", "etc/hba:1: \"db.example.com\" is not an IP address"),
        ("host all all .example.com trust", "etc/hba:1: \".example.com\" is not"),
        ("host all all 10.0.0.0/33 trust", "etc/hba:1: invalid prefix length \"33\" for 10.0.0.0"),
        ("host all all 10.0.0.0/ trust", "etc/hba:1: invalid prefix length \"\""),
        ("host all all 10.0.0.0/+8 trust", "etc/hba:1: invalid prefix length \"+8\""),
        ("host all all ::/129 trust", "etc/hba:1: invalid prefix length \"129\" for ::"),
        ("host all all 10.0.0.0 trust", "etc/hba:1: \"trust\" is not a network mask"),
        ("host all all 10.0.0.0", "etc/hba:1: the line ends before the network mask"),
        ("host all all 10.0.0.0 ff:: trust", "etc/hba:1: \"ff::\" is not a network mask"),
        ("host all all all,all trust", "etc/hba:1: several values for the address"),
        ("host all all all ldap", "etc/hba:1: authentication method \"ldap\" is not supported"),
        ("host all all all scram", "etc/hba:1: invalid authentication method \"scram\"; use"),
        ("host all all all peer", "etc/hba:1: peer authentication is only supported on local"),
        ("host all all all cert", "etc/hba:1: cert authentication is only supported on hostssl"),
        ("host all all all trust x", "etc/hba:1: authentication option \"x\" is not in name=value"),
        ("host all all all trust x=y", "etc/hba:1: unrecognized authentication option \"x\""),
        ("host all all all md5 map=x", "etc/hba:1: authentication option \"map\" is only valid"),
        ("host all all all md5 clientcert=verify-ca", "etc/hba:1: clientcert can only be"),
        ("hostssl all all all md5 clientcert=1", "etc/hba:1: invalid value for clientcert: \"1\""),
        ("hostssl all all all cert clientcert=verify-ca", "etc/hba:1: clientcert only accepts"),
        ("hostssl all all all cert clientname=cn", "etc/hba:1: invalid value for clientname"),
        ("host \"all all all trust", "etc/hba:1: a quote is opened and not closed; close"),
        ("include_dir d", "etc/hba:1: include_dir is not supported"),
        ("include a b", "etc/hba:1: an include line takes one file name"),
        ("include gone", "etc/hba:1: cannot read etc/gone"),
        ("include_if_exists gone", "etc/hba:0: the file contains no rules"),
        ("host @gone all all trust", "etc/hba:1: cannot read etc/gone"),
        ("include hba", "etc/hba:1: files are included more than 10 deep"),
        ("local all all trust\nhost @hba all all trust", "etc/hba:2: in etc/hba line 2: "),
    ];
    for (text, expected) in cases {
        let error = rules(text).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{text:?}: {error}");
    }
}

#[test]
fn samehost_without_known_addresses_is_refused() {
    let read = |_: &Path| Ok("host all all samenet trust".to_owned());
    let error = Rules::read(Path::new("f"), &Sources { read: &read, interfaces: &[] }).unwrap_err();
    assert!(error.to_string().starts_with("f:1: samenet cannot be used"), "{error}");
}

#[test]
fn files_are_included_in_place() {
    let rules = rules_of(&[
        ("etc/hba", "local a all trust\ninclude sub/one\ninclude_if_exists gone\nlocal z all trust"),
        ("etc/sub/one", "# one\n\"local\" @dbs,b all reject\ninclude \"/abs two\"\n"),
        ("etc/sub/dbs", "c, d\n\"all\" e # the rest\n@more\n"),
        ("etc/sub/more", "f\n"),
        ("/abs two", "local x all md5\n"),
    ])
    .unwrap();
    let seen: Vec<_> = rules.as_slice().iter().map(|r| (r.file.to_str().unwrap(), r.line)).collect();
    assert_eq!(seen, [("etc/hba", 1), ("etc/sub/one", 2), ("/abs two", 1), ("etc/hba", 4)]);
    let names = ["c", "d", "all", "e", "f", "b"].map(|name| DatabasePattern::Name(name.to_owned()));
    assert_eq!(rules.as_slice()[1].databases, names);
}

#[test]
fn files_together_are_bounded() {
    let big = "#".repeat(1 << 20) + "\ninclude hba\n";
    let error = rules(&big).unwrap_err().to_string();
    assert!(error.contains("larger than 4194304 bytes"), "{error}");
}

#[test]
fn lines_are_split_as_postgresql_does() {
    let cases: &[(&str, &[&[&str]])] = &[
        ("a b\tc", &[&["a"], &["b"], &["c"]]),
        ("a,b c", &[&["a", "b"], &["c"]]),
        ("a, b ,c", &[&["a", "b"], &["c"]]),
        ("a , b", &[&["a"], &["b"]]),
        (",,a,,b", &[&["a", "b"]]),
        ("\"a b\",\"c\"\"d\" e\"f g\"h", &[&["a b", "c\"d"], &["ef gh"]]),
        ("\"\" x", &[&[""], &["x"]]),
        ("a#b c", &[&["a"]]),
        ("\"a#b\" c # d", &[&["a#b"], &["c"]]),
        ("a \\\nb \\\n c", &[&["a"], &["b"], &["c"]]),
        ("a\\b c\\d", &[&["a\\b"], &["c\\d"]]),
        ("a # comment \\\nb", &[&["a"]]),
        ("a\\", &[&["a"]]),
        ("\"@x\" @", &[&["@x"], &["@"]]),
        ("a b\r\n", &[&["a"], &["b"]]),
    ];
    for (text, expected) in cases {
        let read = |_: &Path| Ok((*text).to_owned());
        let sources = Sources { read: &read, interfaces: &[] };
        let lines = read_lines(Path::new("f"), &sources).unwrap();
        assert_eq!(lines.len(), 1, "{text:?}");
        let fields: Vec<Vec<&str>> = lines[0]
            .fields
            .iter()
            .map(|field| field.iter().map(|token| token.text.as_str()).collect())
            .collect();
        assert_eq!(fields, *expected, "{text:?}");
    }
}

#[test]
fn networks() {
    let cases = [
        ("0.0.0.0", 0, "255.1.2.3", true),
        ("0.0.0.0", 0, "::1", false),
        ("::", 0, "::1", true),
        ("::", 0, "1.2.3.4", false),
        ("10.0.0.7", 8, "10.9.9.9", true),
        ("10.0.0.7", 32, "10.0.0.7", true),
        ("10.0.0.7", 32, "10.0.0.6", false),
        ("fd00::1", 127, "fd00::", true),
        ("fd00::1", 128, "fd00::", false),
    ];
    for (address, prefix, addr, inside) in cases {
        let network = Network::new(ip(address), prefix).unwrap();
        assert_eq!(network.contains(ip(addr)), inside, "{address}/{prefix} {addr}");
    }
    let holes = Network::with_mask(ip("10.0.0.1"), ip("255.0.0.255")).unwrap();
    assert!(holes.contains(ip("10.9.9.1")) && !holes.contains(ip("10.9.9.2")));
    assert!(Network::with_mask(ip("10.0.0.1"), ip("::")).is_none());
    assert!(Network::new(ip("10.0.0.1"), 33).is_none());
}

#[test]
fn uniform_rules_are_for_everybody() {
    for method in [Method::Trust, Method::ScramSha256, Method::Reject] {
        let rules = Rules::uniform(method);
        for conn in [Conn::Local, Conn::Plain, Conn::Tls] {
            let request = Request { replication: conn == Conn::Tls, ..request(conn, "d", "u", "") };
            assert_eq!(rules.first_match(&request).unwrap().method, method);
        }
    }
    let rules = Rules::uniform(Method::Cert);
    assert!(rules.first_match(&request(Conn::Plain, "d", "u", "1.1.1.1")).is_none());
    let rule = rules.first_match(&request(Conn::Tls, "d", "u", "1.1.1.1")).unwrap();
    assert_eq!(rule.options.client_cert, ClientCert::VerifyFull);
}

#[test]
fn refusals_are_postgresqls() {
    let tcp = request(Conn::Plain, "db", "bob", "10.0.0.1");
    let tls = Request { replication: true, ..request(Conn::Tls, "db", "bob", "::1") };
    let local = request(Conn::Local, "db", "bob", "");
    let cases = [
        (
            Refusal::NoRule,
            tcp,
            "28000",
            "no pg_hba.conf entry for host \"10.0.0.1\", user \"bob\", database \"db\", no encryption",
        ),
        (
            Refusal::NoRule,
            tls,
            "28000",
            "no pg_hba.conf entry for replication connection from host \"::1\", user \"bob\", SSL encryption",
        ),
        (
            Refusal::Rejected,
            local,
            "28000",
            "pg_hba.conf rejects connection for host \"[local]\", user \"bob\", database \"db\", no encryption",
        ),
        (
            Refusal::Rejected,
            tls,
            "28000",
            "pg_hba.conf rejects replication connection for host \"::1\", user \"bob\", SSL encryption",
        ),
        (
            Refusal::Failed(Method::ScramSha256),
            tcp,
            "28P01",
            "password authentication failed for user \"bob\"",
        ),
        (Refusal::Failed(Method::Peer), local, "28000", "Peer authentication failed for user \"bob\""),
    ];
    for (refusal, request, sqlstate, message) in cases {
        assert_eq!(refusal.sqlstate(), sqlstate);
        assert_eq!(refusal.client_message(&request), message);
    }
}

#[test]
fn garbage_does_not_panic() {
    let mut garbage = Garbage::new(11);
    for _ in 0..10_000 {
        let _ = rules(&String::from_utf8_lossy(&garbage.mutate(SAMPLE.as_bytes())));
        let text = garbage.bytes(80, b"host al \"\\\n,#@/+include hba 10.:=");
        let _ = rules(&String::from_utf8_lossy(&text));
    }
}
