//! Connection URLs: what is wrong is said without a secret, and what is read can be written again.

use std::fmt::Write as _;

use pgweir::config::settings::Host;
use pgweir::config::url::{self, Url};

/// A password that no error may show.
const SECRET: &str = "sEkReT";

/// The text behind the scheme.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    check(text);
    check(&format!("postgres://{text}"));
    let spilled = format!("postgres://app:{SECRET}{text}");
    if let Err(errors) = url::parse(&spilled) {
        assert!(!format!("{errors:?}").contains(SECRET), "{spilled}: {errors:?}");
    }
}

fn check(text: &str) {
    match url::parse(text) {
        Ok(read) => check_read(text, &read),
        Err(errors) => {
            assert!(!errors.is_empty(), "refused without a reason: {text}");
            for error in errors {
                assert!(
                    text.is_char_boundary(error.offset) && !error.message.is_empty(),
                    "{text}: {error:?}"
                );
            }
        }
    }
}

fn check_read(text: &str, read: &Url) {
    assert!(!read.hosts.is_empty(), "{text}");
    assert!(read.user.is_some() || read.password.is_none(), "{text}");
    let mut again = url::parse(&written(read)).unwrap_or_else(|errors| panic!("{text}: {errors:?}"));
    for (ours, theirs) in again.parameters.iter_mut().zip(&read.parameters) {
        assert!(text.is_char_boundary(theirs.offset));
        ours.offset = theirs.offset;
    }
    // An empty password is none, but `?password=` keeps it.
    if read.password.as_ref().is_some_and(|password| password.0.is_empty()) {
        again.password.clone_from(&read.password);
    }
    assert_eq!(again, *read, "{text}");
}

/// The URL anew, with everything in it escaped.
fn written(url: &Url) -> String {
    let mut out = String::from("postgresql://");
    if let Some(user) = &url.user {
        out += &escaped(user);
        if let Some(password) = &url.password {
            out += &format!(":{}", escaped(&password.0));
        }
        out.push('@');
    }
    let hosts = url.hosts.iter().map(|host| match host {
        Host::Tcp(name, port) => format!("{}:{port}", escaped(name)),
        Host::Unix(folder, port) => format!("{}:{port}", escaped(&folder.display().to_string())),
    });
    out += &hosts.collect::<Vec<_>>().join(",");
    if let Some(database) = &url.database {
        out += &format!("/{}", escaped(database));
    }
    for (n, parameter) in url.parameters.iter().enumerate() {
        let separator = if n == 0 { '?' } else { '&' };
        let _ = write!(out, "{separator}{}={}", escaped(&parameter.name), escaped(&parameter.value));
    }
    out
}

fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
