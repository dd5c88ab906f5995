//! Ident maps.

use std::io;
use std::path::Path;

use super::*;
use crate::auth::hba::Rules;
use crate::auth::testing::Garbage;

fn read(text: &str) -> Result<IdentMaps, FileError> {
    let read = |path: &Path| match path.to_str() {
        Some("conf/ident") => Ok(text.to_owned()),
        Some("conf/more") => Ok("m carol carol_role\n".to_owned()),
        _ => Err(io::ErrorKind::NotFound.into()),
    };
    IdentMaps::read(Path::new("conf/ident"), &Sources { read: &read, interfaces: &[] })
}

#[test]
fn names_are_exact_and_all_is_any_role() {
    let maps = read(
        "# comment\nm alice app\nm \"bob smith\" \"all\"\nadmins root all\n\
         include more\ninclude_if_exists absent\n",
    )
    .unwrap();
    let cases = [
        (Some("m"), "alice", "app", true),
        (Some("m"), "alice", "alice", false),
        (Some("m"), "bob smith", "all", true),
        (Some("m"), "bob smith", "app", false),
        (Some("m"), "carol", "carol_role", true),
        (Some("admins"), "root", "anybody", true),
        (Some("admins"), "alice", "app", false),
        (Some("absent"), "alice", "alice", false),
        (None, "alice", "alice", true),
        (None, "alice", "app", false),
    ];
    for (map, system_user, role, expected) in cases {
        assert_eq!(maps.allows(map, system_user, role), expected, "{map:?} {system_user} {role}");
    }
    assert!(maps.contains("m") && !maps.contains("absent"));
}

#[test]
fn errors_name_line_and_remedy() {
    let cases = [
        ("m alice\n", "conf/ident:1: a map entry has three fields; write"),
        ("\nm a b c\n", "conf/ident:2: a map entry has three fields"),
        ("m /^(.*)@x$ \\1\n", "conf/ident:1: regular expressions such as \"/^(.*)@x$\""),
        ("m a /x\n", "conf/ident:1: regular expressions"),
        ("m a +staff\n", "conf/ident:1: role membership such as \"+staff\""),
        ("m a,b c\n", "conf/ident:1: several values for the system user"),
        ("include absent\n", "conf/ident:1: cannot read conf/absent"),
    ];
    for (text, expected) in cases {
        let error = read(text).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{text:?}: {error}");
    }
    assert!(read("m a \"+staff\"\n").unwrap().allows(Some("m"), "a", "+staff"));
}

#[test]
fn certificates_are_mapped_by_the_rules_name() {
    let maps = read("m alice app\nm \"CN=alice,O=x\" dn_role\n").unwrap();
    let names =
        CertificateNames { cn: Some("alice".to_owned()), dn: "CN=alice,O=x".to_owned(), san_dns: vec![] };
    let nameless = CertificateNames { cn: None, ..names.clone() };
    let cases = [
        ("hostssl all all all cert", "alice", true),
        ("hostssl all all all cert", "app", false),
        ("hostssl all all all cert map=m", "app", true),
        ("hostssl all all all cert map=m clientname=DN", "dn_role", true),
        ("hostssl all all all cert map=m clientname=DN", "app", false),
    ];
    for (line, role, expected) in cases {
        let read = |_: &Path| Ok(line.to_owned());
        let rules = Rules::read(Path::new("hba"), &Sources { read: &read, interfaces: &[] }).unwrap();
        let rule = &rules.as_slice()[0];
        assert_eq!(maps.allows_certificate(rule, &names, role), expected, "{line} {role}");
        if rule.options.client_name == ClientName::CommonName {
            assert!(!maps.allows_certificate(rule, &nameless, role));
        }
    }
}

#[test]
fn garbage_does_not_panic() {
    let mut garbage = Garbage::new(17);
    for _ in 0..20_000 {
        let text = garbage.bytes(60, b"m alice \"\\\n,#@/+include  all\t");
        let _ = read(&String::from_utf8_lossy(&text));
    }
}
