//! `pgbouncer.ini`, with the files that it names. The table is [`keys`]; here is what goes together across keys.

mod ini;
mod keys;

use std::collections::BTreeMap;
use std::path::PathBuf;

pub use keys::SOURCE;

use super::files::Text;
use super::report::Place;
use super::table::{How, Key, Section, Turned};
use super::turn;
use super::value::Value;
use super::work::{Work, absolute, beside, host};
use ini::Item;

/// Files may include files so deep; PgBouncer's own bound.
const DEPTH: usize = 10;

/// Clients are accepted on so many addresses.
const MOST_ADDRESSES: usize = 64;

/// A value of the file, and where it stands.
struct Written {
    value: String,
    place: Place,
    folder: PathBuf,
}

/// All that the file says.
#[derive(Default)]
struct Contents {
    pgbouncer: BTreeMap<String, Written>,
    databases: Vec<(String, Written)>,
    users: Vec<(String, Written)>,
    peers: Vec<(String, Written)>,
}

/// Takes a file over.
pub fn import(file: &Text, work: &mut Work) {
    let mut contents = Contents::default();
    let mut section = None;
    contents.read(file, work, &mut section, 0);
    if work.report.failed() {
        return;
    }
    let whole = file.place(0);
    global(&contents, &whole, work);
    auth_file(&contents, work);
    databases(&contents, &whole, work);
    for (name, line) in &contents.users {
        user(name, line, work);
    }
    for (name, line) in &contents.peers {
        pairs(&keys::PEERS, name, line, work);
    }
    after(&contents, &whole, work);
}

impl Contents {
    fn read(&mut self, file: &Text, work: &mut Work, section: &mut Option<String>, depth: usize) {
        for (line, item) in ini::lines(file, &mut work.report) {
            let place = file.place(line);
            match item {
                Item::Section(name) => {
                    if !["pgbouncer", "databases", "users", "peers"].contains(&name.as_str()) {
                        work.report.error(
                            &place,
                            "there is no such section; it is one of pgbouncer, databases, users, peers",
                        );
                    }
                    *section = Some(name);
                }
                Item::Include(name) if depth < DEPTH => {
                    let path = beside(&name, file.folder());
                    if let Some(other) = work.files.read(&path, Some(&place), &mut work.report) {
                        self.read(&other, work, section, depth + 1);
                    }
                }
                Item::Include(_) => {
                    work.report.error(
                        &place,
                        format!("files include files more than {DEPTH} deep; put them together"),
                    );
                }
                Item::Key(key, value) => {
                    let written = Written { value, place, folder: file.folder().to_owned() };
                    self.key(section.as_deref(), key, written, work);
                }
            }
        }
    }

    fn key(&mut self, section: Option<&str>, key: String, written: Written, work: &mut Work) {
        match section {
            Some("pgbouncer") => {
                let later = format!("it is written again at {}, which counts", written.place);
                if let Some(old) = self.pgbouncer.insert(key.clone(), written) {
                    work.report.left(&old.place, &key, &later);
                }
            }
            Some("databases") => self.databases.push((key, written)),
            Some("users") => self.users.push((key, written)),
            Some("peers") => self.peers.push((key, written)),
            Some(_) => {}
            None => work.report.error(&written.place, "a key before any section; write [pgbouncer] above it"),
        }
    }

    fn get(&self, key: &str) -> Option<&Written> {
        self.pgbouncer.get(key)
    }

    fn value<'a>(&'a self, key: &str, default: &'a str) -> &'a str {
        self.get(key).map_or(default, |written| written.value.as_str())
    }
}

/// A key of the table; it is there, since the names are those of the table.
fn known(section: &Section, name: &str) -> &'static Key {
    section.key(name).unwrap_or_else(|| unreachable!("{name} is a key of {}", section.name))
}

/// `[pgbouncer]`, but for what needs the databases.
fn global(contents: &Contents, whole: &Place, work: &mut Work) {
    for (name, written) in &contents.pgbouncer {
        match keys::PGBOUNCER.key(name) {
            None => work.unknown(&written.place, name, &keys::PGBOUNCER),
            Some(key) if matches!(key.how, How::Own) && !key.to.is_empty() => {
                if written.value.is_empty() {
                    work.report.key(&written.place, name, key, &Turned::Nothing);
                }
            }
            Some(key) => work.apply(key, name, None, &written.value, (&written.place, &written.folder)),
        }
    }
    for key in keys::PGBOUNCER.keys {
        if !contents.pgbouncer.contains_key(key.names[0]) {
            work.apply_default(key, None, whole);
        }
    }
    listen(contents, whole, work);
    socket(contents, whole, work);
    auth(contents, whole, work);
}

fn listen(contents: &Contents, whole: &Place, work: &mut Work) {
    let (addresses, port) = (contents.get("listen_addr"), contents.get("listen_port"));
    let number = contents.value("listen_port", "6432").parse().ok().filter(|port: &u16| *port > 0);
    if let Some(port) = port {
        match number {
            Some(_) => work.report.taken(&port.place, "listen_port", known(&keys::PGBOUNCER, "listen_port")),
            None => {
                work.report.left(&port.place, "listen_port", "it is no port from 1 to 65535; 6432 is taken")
            }
        }
    }
    let number = number.unwrap_or(6432);
    if let Some(written) = addresses {
        let key = known(&keys::PGBOUNCER, "listen_addr");
        let names = written.value.split(',').map(str::trim).filter(|name| !name.is_empty());
        if names.clone().count() > MOST_ADDRESSES {
            work.report.error(&written.place, format!("more than {MOST_ADDRESSES} addresses; name fewer"));
        }
        for name in names.take(MOST_ADDRESSES) {
            match work.listen(name, number, Some(&written.place)) {
                true if name == "localhost" => {
                    let how = "`localhost` is 127.0.0.1; write [::1] too for IPv6";
                    work.report.changed(&written.place, "listen_addr", key, how);
                }
                true if name == "*" => work.report.changed(&written.place, "listen_addr", key, key.says),
                true => work.report.taken(&written.place, "listen_addr", &Key { says: "", ..*key }),
                false => work.report.left(
                    &written.place,
                    "listen_addr",
                    "a name is no address; write the address into listen",
                ),
            }
        }
    }
    if work.draft.get("listen", None).is_none() {
        work.listen("127.0.0.1", number, None);
        work.report.note(
            whole,
            "PgBouncer listens on no TCP address here; pgweir needs one, so listen is 127.0.0.1",
        );
    }
}

fn socket(contents: &Contents, whole: &Place, work: &mut Work) {
    let key = known(&keys::PGBOUNCER, "unix_socket_dir");
    match contents.get("unix_socket_dir") {
        Some(written) if written.value.is_empty() => {}
        Some(written) if written.value.starts_with('@') => {
            let why = "sockets in the abstract namespace are not there; name a folder";
            work.report.left(&written.place, "unix_socket_dir", why);
        }
        Some(written) => {
            let path = absolute(&written.value, &written.folder).display().to_string();
            work.draft.set("unix_socket_dir", None, Value::Text(path), Some(&written.place));
            work.report.taken(&written.place, "unix_socket_dir", key);
        }
        None => {
            work.draft.set("unix_socket_dir", None, Value::text("/tmp"), None);
            work.report.note(
                whole,
                "unix_socket_dir is not written, so its default `/tmp` is; Debian's PgBouncer has another",
            );
        }
    }
}

fn auth(contents: &Contents, whole: &Place, work: &mut Work) {
    let place = contents.get("auth_type").map_or(whole, |written| &written.place);
    let key = known(&keys::PGBOUNCER, "auth_type");
    let by_rules = contents.value("auth_type", "md5").eq_ignore_ascii_case("hba");
    let method = match contents.value("auth_type", "md5").to_ascii_lowercase().as_str() {
        "scram-sha-256" => Ok(("scram-sha-256", "")),
        "md5" => Ok(("md5", "")),
        "cert" => Ok(("cert", "")),
        "trust" => Ok(("trust", "the user need not be in the settings")),
        "plain" => Ok(("password", "the password is asked for over TLS or a unix socket only")),
        "hba" => Err(None),
        "any" => Err(Some(
            "there is no login under any name; `trust` in auth.method comes near, with databases.NAME.server_user",
        )),
        "ldap" | "pam" | "gss" => Err(Some(
            "logins by another service are not there; use passwords, SCRAM verifiers or certificates",
        )),
        _ => Err(Some("it is no method of PgBouncer; write auth.method")),
    };
    match method {
        Ok((method, how)) => {
            work.draft.set(
                "auth.method",
                None,
                Value::text(method),
                contents.get("auth_type").map(|_| place),
            );
            match (contents.get("auth_type"), how) {
                (None, _) => {
                    work.report.note(whole, "auth_type is not written, so its default `md5` is: auth.method")
                }
                (_, "") => work.report.taken(place, "auth_type", key),
                (_, how) => work.report.changed(place, "auth_type", key, how),
            }
        }
        Err(None) => work.report.taken(place, "auth_type", &Key { to: &["auth.hba_file"], ..*key }),
        Err(Some(why)) => work.report.left(place, "auth_type", why),
    }
    for (name, to) in [("auth_hba_file", "auth.hba_file"), ("auth_ident_file", "auth.ident_file")] {
        let Some(written) = contents.get(name).filter(|written| !written.value.is_empty()) else { continue };
        if !by_rules {
            work.report.left(
                &written.place,
                name,
                "PgBouncer reads it only with auth_type hba, so it has no effect",
            );
            continue;
        }
        let path = absolute(&written.value, &written.folder).display().to_string();
        work.draft.set(to, None, Value::Text(path), Some(&written.place));
        work.report.taken(&written.place, name, known(&keys::PGBOUNCER, name));
    }
}

fn auth_file(contents: &Contents, work: &mut Work) {
    let Some(written) = contents.get("auth_file").filter(|written| !written.value.is_empty()) else { return };
    let path = beside(&written.value, &written.folder);
    let Some(file) = work.files.read(&path, Some(&written.place), &mut work.report) else { return };
    work.report.taken(&written.place, "auth_file", known(&keys::PGBOUNCER, "auth_file"));
    for user in ini::users(&file, &mut work.report) {
        let place = file.place(user.line);
        if let Err(why) = work.user(&user.name, &user.password, &place) {
            work.report.left(&place, "password", &why);
        }
    }
}

fn databases(contents: &Contents, whole: &Place, work: &mut Work) {
    for (name, line) in &contents.databases {
        if ["pgweir", "pgbouncer"].contains(&name.as_str()) {
            work.report.left(
                &line.place,
                name,
                "this name is the console's; choose another, and keep the server's in `database`",
            );
            continue;
        }
        let Some(found) = pairs(&keys::DATABASES, name, line, work) else { continue };
        work.draft.add("databases", name);
        if !hosts(contents, name, &found, line, work) || !identity(name, &found, line, work) {
            work.draft.remove("databases", name);
        }
        for option in ["client_encoding", "datestyle", "timezone"] {
            if let Some(value) = found.get(option) {
                work.option(name, option, value);
            }
        }
    }
    if contents.databases.is_empty() {
        work.report.note(whole, "there is no database; pgweir needs one");
    }
}

/// The pairs of a line, those of the table taken over; the last of a key counts. `None`: the line cannot be understood.
fn pairs(
    section: &'static Section,
    name: &str,
    line: &Written,
    work: &mut Work,
) -> Option<BTreeMap<String, String>> {
    let pairs = match ini::pairs(&line.value) {
        Ok(pairs) => pairs,
        Err(problem) => {
            work.report.error(&line.place, format!("{name}: {problem}"));
            return None;
        }
    };
    let mut found = BTreeMap::new();
    for (key, value) in pairs {
        let shown = format!("{name}: {key}");
        match section.key(&key) {
            Some(known) => work.apply(known, &shown, Some(name), &value, (&line.place, &line.folder)),
            None => work.unknown(&line.place, &shown, section),
        }
        found.insert(key, value);
    }
    Some(found)
}

/// False: none can be taken over.
fn hosts(
    contents: &Contents,
    name: &str,
    found: &BTreeMap<String, String>,
    line: &Written,
    work: &mut Work,
) -> bool {
    let socket_dir = contents.value("unix_socket_dir", "/tmp");
    let names = found.get("host").map_or(socket_dir, String::as_str);
    let port = found.get("port").map_or("5432", String::as_str).parse().ok().filter(|port: &u16| *port > 0);
    let Some(port) = port else {
        work.report.left(
            &line.place,
            &format!("{name}: port"),
            "it is no port from 1 to 65535; the database is left out",
        );
        return false;
    };
    let hosts: Option<Vec<String>> = names.split(',').map(|name| host(name.trim(), port)).collect();
    let Some(hosts) = hosts else {
        let why = "a host is neither a name, an address nor a folder; correct it, the database is left out";
        work.report.left(&line.place, &format!("{name}: host"), why);
        return false;
    };
    if hosts.len() > 1 {
        let how = "hosts are tried in this order; PgBouncer takes them in turn";
        work.report.changed(&line.place, &format!("{name}: host"), known(&keys::DATABASES, "host"), how);
    }
    work.draft.set("databases.NAME.hosts", Some(name), Value::List(hosts), Some(&line.place));
    true
}

/// The user of the servers. False: it cannot log in.
fn identity(name: &str, found: &BTreeMap<String, String>, line: &Written, work: &mut Work) -> bool {
    let Some(user) = found.get("user") else { return true };
    let password = found.get("password").map_or("", String::as_str);
    if let Err(why) = work.user(user, password, &line.place) {
        work.report.left(&line.place, &format!("{name}: password"), &why);
    }
    if !work.can_log_in(user) {
        let why = "of this user only a SCRAM verifier is known, which logs in nobody; give the password, the database is left out";
        work.report.left(&line.place, &format!("{name}: user"), why);
        return false;
    }
    work.draft.set("databases.NAME.server_user", Some(name), Value::text(user), Some(&line.place));
    true
}

fn user(name: &str, line: &Written, work: &mut Work) {
    if pairs(&keys::USERS, name, line, work).is_none() {
        return;
    }
    work.draft.add("users", name);
    if work.draft.get("users.NAME.password", Some(name)).is_none() {
        let text = format!(
            "{name} has no password here, and users of the settings are not looked up by auth_query: write users.{name}.password, \
             or remove [users.{name}]"
        );
        work.report.note(&line.place, text);
    }
}

/// What goes to every database or user, and who looks users up.
fn after(contents: &Contents, whole: &Place, work: &mut Work) {
    lookup(contents, work);
    let names = work.draft.names("databases");
    for key in ["server_tls_sslmode", "server_tls_ca_file", "server_tls_key_file", "server_tls_cert_file"] {
        let Some(written) = contents.get(key) else { continue };
        server_tls(key, written, &names, work);
    }
    if let Some(written) = contents.get("query_timeout") {
        let key = known(&keys::PGBOUNCER, "query_timeout");
        match turn::seconds_or_never(&written.value) {
            turned @ Turned::Cannot(_) => work.report.key(&written.place, "query_timeout", key, &turned),
            Turned::Same(Value::Text(text)) if text != "never" => {
                let seconds: f64 = written.value.parse().unwrap_or_default();
                for name in &names {
                    work.option(
                        name,
                        "statement_timeout",
                        &format!("{}ms", (seconds * 1000.0).round().clamp(1.0, 2e9)),
                    );
                }
                work.report.taken(&written.place, "query_timeout", key);
            }
            _ => work.report.key(&written.place, "query_timeout", key, &Turned::Nothing),
        }
    }
    if let Some(written) = contents.get("max_user_client_connections") {
        let key = known(&keys::PGBOUNCER, "max_user_client_connections");
        let turned = turn::positive_or_none(&written.value);
        if let Turned::Same(value) = &turned {
            for name in work.draft.names("users") {
                if work.draft.get("users.NAME.max_clients", Some(&name)).is_none() {
                    work.draft.set(
                        "users.NAME.max_clients",
                        Some(&name),
                        value.clone(),
                        Some(&written.place),
                    );
                }
            }
        }
        work.report.key(&written.place, "max_user_client_connections", key, &turned);
    }
    work.report.note(
        whole,
        "a pool belongs to a database and the user that the client names; users may log in to every database, bounded by auth.hba_file",
    );
}

fn server_tls(name: &str, written: &Written, databases: &[String], work: &mut Work) {
    let key = known(&keys::PGBOUNCER, name);
    let turned = match name {
        "server_tls_sslmode" => turn::sslmode(&written.value),
        _ if written.value.is_empty() => Turned::Nothing,
        _ => Turned::Same(Value::Text(absolute(&written.value, &written.folder).display().to_string())),
    };
    if let Turned::Same(value) = &turned {
        for database in databases {
            work.draft.set(key.to[0], Some(database), value.clone(), Some(&written.place));
        }
    }
    work.report.key(&written.place, name, key, &turned);
}

fn lookup(contents: &Contents, work: &mut Work) {
    let user = contents.get("auth_user").filter(|written| !written.value.is_empty());
    let query = contents.get("auth_query").filter(|written| !written.value.is_empty());
    let asker = user.filter(|written| {
        let can = work.can_log_in(&written.value);
        if !can {
            let why = "of this user only a SCRAM verifier is known, which logs in nobody; give the password, and write auth.auth_user";
            work.report.left(&written.place, "auth_user", why);
        }
        can
    });
    if let Some(written) = asker {
        work.draft.set("auth.auth_user", None, Value::text(&written.value), Some(&written.place));
        work.report.taken(&written.place, "auth_user", known(&keys::PGBOUNCER, "auth_user"));
    }
    match (query, asker) {
        (Some(written), Some(_)) if !written.value.contains("$1") => {
            let why = "it does not say whom it looks up; write auth.auth_query with $1 where the name goes";
            work.report.left(&written.place, "auth_query", why);
        }
        (Some(written), Some(_)) => {
            work.draft.set("auth.auth_query", None, Value::text(&written.value), Some(&written.place));
            work.report.taken(&written.place, "auth_query", known(&keys::PGBOUNCER, "auth_query"));
        }
        (Some(written), None) => {
            work.report.left(
                &written.place,
                "auth_query",
                "it needs a user who runs it, and there is none; write auth.auth_user too",
            );
        }
        _ => {}
    }
}

/// Whether a text looks like one of PgBouncer.
pub fn recognizes(text: &str) -> bool {
    text.lines().any(|line| line.trim() == "[pgbouncer]")
}
