//! `pg_hba.conf` and `pg_ident.conf`: errors say where, and more lines never change what was decided before them.

use std::io;
use std::net::IpAddr;
use std::path::Path;

use pgweir::auth::hba::{Conn, FileError, Network, Request, Rules, Sources};
use pgweir::auth::ident::IdentMaps;

/// Files parted by NUL: the first is read, the others are what it may include, named `1`, `2` and so on.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let files: Vec<&str> = text.split('\0').collect();
    match rules(&files) {
        Ok(rules) => check_rules(&files, &rules),
        Err(error) => check_error(&files, &error),
    }
    with_sources(&files, |sources| match IdentMaps::read(Path::new("0"), sources) {
        Ok(maps) => assert!(!maps.allows(Some("a map that nobody named"), "root", "postgres")),
        Err(error) => check_error(&files, &error),
    });
}

fn with_sources<T>(files: &[&str], then: impl FnOnce(&Sources<'_>) -> T) -> T {
    let read = |path: &Path| {
        let number = path.to_str().and_then(|name| name.parse::<usize>().ok());
        let text = number.and_then(|number| files.get(number));
        text.map(|text| (*text).to_owned()).ok_or_else(|| io::ErrorKind::NotFound.into())
    };
    let interfaces: Vec<Network> = Network::new(IpAddr::from([10, 1, 2, 3]), 8).into_iter().collect();
    then(&Sources { read: &read, interfaces: &interfaces })
}

fn rules(files: &[&str]) -> Result<Rules, FileError> {
    with_sources(files, |sources| Rules::read(Path::new("0"), sources))
}

fn check_error(files: &[&str], error: &FileError) {
    assert!(!error.problem.is_empty() && !error.remedy.is_empty());
    let number = error.file.to_str().and_then(|name| name.parse::<usize>().ok());
    let lines = number.and_then(|number| files.get(number)).map_or(0, |text| text.lines().count());
    assert!(error.line <= lines, "{error}");
}

fn check_rules(files: &[&str], rules: &Rules) {
    assert!(!rules.as_slice().is_empty());
    let mut more = files.to_vec();
    // A comment first: the last line may be one that the next would continue.
    let longer = format!("{}\n# end\nhost all all all reject\nlocal all all reject\n", files[0]);
    more[0] = &longer;
    // Behind a line that ends in a backslash, the first of these lines is a part of it.
    let Ok(longer) = self::rules(&more) else { return assert!(files[0].trim_end().ends_with('\\')) };
    for request in requests() {
        match rules.first_match(&request) {
            Some(rule) => {
                assert!(rule.matches(&request));
                assert_eq!(longer.first_match(&request), Some(rule), "decided by a later line");
            }
            None => assert!(!rules.as_slice().iter().any(|rule| rule.matches(&request))),
        }
    }
}

fn requests() -> Vec<Request<'static>> {
    let conns =
        [(Conn::Local, None), (Conn::Plain, Some([10, 1, 2, 3])), (Conn::Tls, Some([192, 168, 0, 1]))];
    let mut requests = vec![];
    for (conn, addr) in conns {
        for (database, user) in [("shop", "app"), ("app", "app"), ("all", "all")] {
            let addr = addr.map(IpAddr::from);
            requests.push(Request { conn, database, user, addr, replication: false });
            requests.push(Request { conn, database, user, addr, replication: true });
        }
    }
    requests
}
