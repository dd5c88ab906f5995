//! `pgdog.toml` and `users.toml`. The table is [`keys`]; here is what goes together across keys.

mod keys;

use std::collections::BTreeMap;

pub use keys::SOURCE;

use super::document::{self, Node, Tree};
use super::files::Text;
use super::pgcat::reads_to_replicas;
use super::report::Place;
use super::rule::Rule;
use super::table::{How, Key, Section, Turned};
use super::turn;
use super::value::Value;
use super::work::{Work, absolute, host};

/// Takes a file over, and `users.toml` beside it.
pub fn import(file: &Text, work: &mut Work) {
    let Some(tree) = document::parse(file, &mut work.report) else { return };
    let whole = file.place(0);
    let empty = Node { place: whole.clone(), tree: Tree::Table(vec![]) };
    let general = tree.get("general").cloned().unwrap_or(empty);
    for (name, node) in tree.entries() {
        match keys::TOP.key(name) {
            Some(key) => work.report.taken(&node.place, name, key),
            None if ["general", "databases", "admin", "mirroring", "users"].contains(&name.as_str()) => {}
            None => work.unknown(&node.place, name, &keys::TOP),
        }
    }
    section(&keys::GENERAL, &general, None, file, work);
    for key in keys::GENERAL.keys {
        if key.names.iter().all(|name| general.get(name).is_none()) {
            work.apply_default(key, None, &whole);
        }
    }
    global(&general, &whole, work);
    let names = databases(&tree, file, work);
    let users_file = users_file(file, work);
    let users = users_file.as_ref().and_then(|file| Some((file, document::parse(file, &mut work.report)?)));
    if let Some((file, users)) = &users {
        for user in users.get("users").map(Node::items).unwrap_or_default() {
            self::user(user, &names, file, work);
        }
    }
    let admin = users.as_ref().and_then(|(_, users)| users.get("admin")).or(tree.get("admin"));
    if let Some(admin) = admin {
        self::admin(admin, file, work);
    }
    let mut first = BTreeMap::new();
    for entry in tree.get("databases").map(Node::items).unwrap_or_default() {
        first.entry(entry.text("name").unwrap_or_default()).or_insert(entry);
    }
    for mirror in tree.get("mirroring").map(Node::items).unwrap_or_default() {
        mirroring(mirror, &first, file, work);
    }
    after(&general, file, work);
}

/// The keys of a table that their own functions turn, and those that are left.
fn section(of: &'static Section, node: &Node, name: Option<&str>, file: &Text, work: &mut Work) {
    for (key, value) in node.entries() {
        let shown = name.map_or(key.clone(), |name| format!("{name}: {key}"));
        let Some(known) = of.key(key) else {
            work.unknown(&value.place, &shown, of);
            continue;
        };
        match (known.how, value.scalar()) {
            (How::Own, _) if !known.to.is_empty() => {}
            (How::Own, _) => work.report.taken(&value.place, &shown, known),
            (_, Some(text)) => work.apply(known, &shown, name, text, (&value.place, file.folder())),
            (_, None) => work.report.left(
                &value.place,
                &shown,
                "it is a list or a table, and should be a value; correct it",
            ),
        }
    }
}

fn known(section: &Section, name: &str) -> &'static Key {
    section.key(name).unwrap_or_else(|| unreachable!("{name} is a key of {}", section.name))
}

/// Reports a key of its own code, if it is written.
fn tell(section: &'static Section, node: &Node, key: &str, shown: &str, work: &mut Work) {
    if let Some(value) = node.get(key) {
        work.report.taken(&value.place, shown, known(section, key));
    }
}

/// The file of users, if there is one.
fn users_file(file: &Text, work: &mut Work) -> Option<Text> {
    let path = file.folder().join("users.toml");
    if !path.exists() {
        work.report.note(&file.place(0), "there is no users.toml beside it, so no users were taken over");
        return None;
    }
    work.files.read(&path, Some(&file.place(0)), &mut work.report)
}

fn global(general: &Node, whole: &Place, work: &mut Work) {
    let port = general.number("port").and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0);
    let place = general.get("host").or(general.get("port")).map_or(whole, |node| &node.place).clone();
    if !work.listen(general.text("host").unwrap_or("0.0.0.0"), port.unwrap_or(6432), Some(&place)) {
        work.listen("0.0.0.0", port.unwrap_or(6432), Some(&place));
        work.report.note(&place, "host is no address; all of IPv4 is listened on, correct listen");
    }
    for key in ["host", "port"] {
        tell(&keys::GENERAL, general, key, key, work);
    }
    if let Some(port) = general.number("openmetrics_port").filter(|port| (1..=65535).contains(port)) {
        let host = general.text("openmetrics_host").filter(|host| host.parse::<std::net::Ipv4Addr>().is_ok());
        let to = format!("{}:{port}", host.unwrap_or("0.0.0.0"));
        work.draft.set(
            "http",
            None,
            Value::Text(to),
            general.get("openmetrics_port").map(|node| &node.place),
        );
    }
    for key in ["openmetrics_port", "openmetrics_host"] {
        tell(&keys::GENERAL, general, key, key, work);
    }
    let required = general.is_true("tls_client_required");
    if required || general.get("tls_certificate").is_some() {
        let mode = if required { "require" } else { "prefer" };
        work.draft.set(
            "tls.mode",
            None,
            Value::text(mode),
            general.get("tls_certificate").map(|node| &node.place),
        );
    }
    tell(&keys::GENERAL, general, "tls_client_required", "tls_client_required", work);
    auth(general, work);
}

fn auth(general: &Node, work: &mut Work) {
    let Some(node) = general.get("auth_type") else { return };
    let key = known(&keys::GENERAL, "auth_type");
    let (method, how) = match node.scalar().unwrap_or_default() {
        "scram" => ("scram-sha-256", ""),
        "md5" => ("md5", ""),
        "trust" => ("trust", "the user need not be in the settings"),
        "plain" => ("password", "the password is asked for over TLS or a unix socket only"),
        _ => {
            work.report.left(&node.place, "auth_type", "there is no such method; write auth.method");
            return;
        }
    };
    work.draft.set("auth.method", None, Value::text(method), Some(&node.place));
    match how {
        "" => work.report.taken(&node.place, "auth_type", key),
        how => work.report.changed(&node.place, "auth_type", key, how),
    }
}

/// Databases by name; what each is called here.
fn databases(tree: &Node, file: &Text, work: &mut Work) -> BTreeMap<String, Vec<String>> {
    let mut by_name: BTreeMap<&str, BTreeMap<i64, Vec<&Node>>> = BTreeMap::new();
    for entry in tree.get("databases").map(Node::items).unwrap_or_default() {
        let name = entry.text("name").unwrap_or_default();
        if ["pgweir", "pgbouncer", ""].contains(&name) {
            work.report.left(&entry.place, "name", "there is none, or it is the console's; choose another");
        } else if entry.is_true("resharding_only") {
            work.report.taken(&entry.place, name, known(&keys::DATABASE, "resharding_only"));
        } else {
            by_name
                .entry(name)
                .or_default()
                .entry(entry.number("shard").unwrap_or(0))
                .or_default()
                .push(entry);
        }
    }
    let mut called = BTreeMap::new();
    for (name, shards) in &by_name {
        let several = shards.len() > 1;
        if several {
            let text = format!("{name} has several shards, each a database of its own now: {name}_shard_N");
            work.report.note(&file.place(0), text);
        }
        for (shard, entries) in shards {
            let database = if several { format!("{name}_shard_{shard}") } else { (*name).to_owned() };
            self::database(&database, entries, file, work);
            called.entry((*name).to_owned()).or_insert_with(Vec::new).push(database);
        }
    }
    called
}

fn database(name: &str, entries: &[&Node], file: &Text, work: &mut Work) {
    let mut hosts: Vec<(bool, String)> = vec![];
    for entry in entries {
        let port = entry.text("port").unwrap_or("5432").parse().ok().filter(|port: &u16| *port > 0);
        let Some(host) = port.and_then(|port| host(entry.text("host").unwrap_or_default(), port)) else {
            work.report.left(
                &entry.place,
                &format!("{name}: host"),
                "it is no host and port; correct it, this host is left out",
            );
            continue;
        };
        hosts.push((entry.text("role") == Some("replica"), host));
        section(&keys::DATABASE, entry, Some(name), file, work);
        for key in ["name", "role", "host", "port", "shard", "database_name"] {
            tell(&keys::DATABASE, entry, key, &format!("{name}: {key}"), work);
        }
        identity(name, entry, work);
        options(name, entry, work);
        if let Some(database) = entry.text("database_name").filter(|database| !database.is_empty()) {
            work.draft.set("databases.NAME.database", Some(name), Value::text(database), Some(&entry.place));
        } else if entry.text("name") != Some(name) {
            let database = entry.text("name").unwrap_or_default();
            work.draft.set("databases.NAME.database", Some(name), Value::text(database), Some(&entry.place));
        }
    }
    if hosts.is_empty() {
        return work.draft.remove("databases", name);
    }
    hosts.sort_by_key(|(replica, _)| *replica);
    let all_replicas = hosts.iter().all(|(replica, _)| *replica);
    let target = if all_replicas {
        "any"
    } else if hosts.len() > 1 {
        "primary"
    } else {
        "any"
    };
    if hosts.len() > 1 && !all_replicas {
        work.rules.push(reads_to_replicas("pgdog", name));
    }
    let list = Value::List(hosts.into_iter().map(|(_, host)| host).collect());
    work.draft.set("databases.NAME.hosts", Some(name), list, entries.first().map(|entry| &entry.place));
    work.draft.set("databases.NAME.target_session_attrs", Some(name), Value::text(target), None);
}

fn identity(name: &str, entry: &Node, work: &mut Work) {
    let shown = |key: &str| format!("{name}: {key}");
    let Some(user) = entry.text("user").filter(|user| !user.is_empty()) else {
        if let Some(value) = entry.get("password") {
            let why = "it is the servers' password for every user there; here each user has its own, or the database a server_user";
            work.report.left(&value.place, &shown("password"), why);
        }
        return;
    };
    tell(&keys::DATABASE, entry, "user", &shown("user"), work);
    tell(&keys::DATABASE, entry, "password", &shown("password"), work);
    if let Err(why) = work.user(user, entry.text("password").unwrap_or_default(), &entry.place) {
        work.report.left(&entry.place, &shown("password"), &why);
    }
    if work.can_log_in(user) {
        work.draft.set("databases.NAME.server_user", Some(name), Value::text(user), Some(&entry.place));
    } else {
        work.report.left(
            &entry.place,
            &shown("user"),
            "only a SCRAM verifier is known of it, which logs in nobody; give the password",
        );
    }
}

fn options(name: &str, entry: &Node, work: &mut Work) {
    for (key, option) in [("statement_timeout", "statement_timeout"), ("lock_timeout", "lock_timeout")] {
        if let Some(millis) = entry.number(key).filter(|millis| (0..=i64::from(i32::MAX)).contains(millis)) {
            work.option(name, option, &format!("{millis}ms"));
        }
        tell(&keys::DATABASE, entry, key, &format!("{name}: {key}"), work);
    }
    if entry.is_true("read_only") {
        work.option(name, "default_transaction_read_only", "on");
    }
    tell(&keys::DATABASE, entry, "read_only", &format!("{name}: read_only"), work);
}

fn user(node: &Node, databases: &BTreeMap<String, Vec<String>>, file: &Text, work: &mut Work) {
    let Some(name) = node.text("name").filter(|name| !name.is_empty()) else {
        return work.report.left(&node.place, "users", "a user has no name");
    };
    let shown = |key: &str| format!("{name}: {key}");
    section(&keys::USER, node, Some(name), file, work);
    for key in ["name", "database", "databases", "all_databases"] {
        tell(&keys::USER, node, key, &shown(key), work);
    }
    work.draft.add("users", name);
    for key in ["password", "password_hash"] {
        let Some(value) = node.get(key) else { continue };
        match work.user(name, value.scalar().unwrap_or_default(), &value.place) {
            Ok(()) => work.report.taken(&value.place, &shown(key), known(&keys::USER, key)),
            Err(why) => work.report.left(&value.place, &shown(key), &why),
        }
    }
    let Some(server_user) = node.get("server_user") else {
        if let Some(value) = node.get("server_password") {
            let why = "a user has one password, for clients and servers; make them the same";
            work.report.left(&value.place, &shown("server_password"), why);
        }
        return;
    };
    let to = server_user.scalar().unwrap_or_default();
    let password = node.text("server_password").or(node.text("password")).unwrap_or_default();
    if let Err(why) = work.user(to, password, &server_user.place) {
        work.report.left(&server_user.place, &shown("server_password"), &why);
    }
    tell(&keys::USER, node, "server_password", &shown("server_password"), work);
    tell(&keys::USER, node, "server_user", &shown("server_user"), work);
    for database in databases.get(node.text("database").unwrap_or_default()).into_iter().flatten() {
        let other = work.draft.get("databases.NAME.server_user", Some(database)).is_some();
        if other || to.is_empty() || !work.can_log_in(to) || !work.draft.has("databases", database) {
            let why = "the database has another user for its servers, or this one cannot log in; there is one for all";
            work.report.left(&server_user.place, &shown("server_user"), why);
            continue;
        }
        work.draft.set(
            "databases.NAME.server_user",
            Some(database),
            Value::text(to),
            Some(&server_user.place),
        );
    }
}

fn admin(node: &Node, file: &Text, work: &mut Work) {
    section(&keys::ADMIN, node, None, file, work);
    let user = node.text("user").filter(|user| !user.is_empty()).unwrap_or("admin");
    work.draft.set("admin.admin_users", None, Value::List(vec![user.to_owned()]), Some(&node.place));
    tell(&keys::ADMIN, node, "user", "admin: user", work);
    let Some(value) = node.get("password") else {
        work.draft.add("users", user);
        return;
    };
    match work.user(user, value.scalar().unwrap_or_default(), &value.place) {
        Ok(()) => work.report.taken(&value.place, "admin: password", known(&keys::ADMIN, "password")),
        Err(why) => work.report.left(&value.place, "admin: password", &why),
    }
}

/// Statements of one database are sent to the first host of another.
fn mirroring(node: &Node, databases: &BTreeMap<&str, &Node>, file: &Text, work: &mut Work) {
    section(&keys::MIRRORING, node, None, file, work);
    let (from, to) =
        (node.text("source_db").unwrap_or_default(), node.text("destination_db").unwrap_or_default());
    let port = |entry: &Node| entry.text("port").unwrap_or("5432").parse().ok();
    let node_of = |entry: &Node| host(entry.text("host").unwrap_or_default(), port(entry)?);
    let (Some(_), Some(to_node)) = (databases.get(from), databases.get(to).copied().and_then(node_of)) else {
        return work.report.left(
            &node.place,
            "mirroring",
            "source_db or destination_db is no database of the file",
        );
    };
    let share: f64 = node.text("exposure").unwrap_or("1.0").parse().unwrap_or(1.0);
    let percent = (share.clamp(0.0, 1.0) * 100.0).round() as i64;
    if percent == 0 {
        return work.report.left(
            &node.place,
            "mirroring",
            "its share is none, so nothing is mirrored; take it out",
        );
    }
    work.rules.push(Rule {
        name: format!("pgdog-mirror-{from}-{to}"),
        comment: vec![format!("copies go to the first host of {to}")],
        when: vec![("database", Value::text(from))],
        then: vec![(
            "mirror",
            Value::Table(vec![("node", Value::Text(to_node)), ("percent", Value::Number(percent))]),
        )],
    });
    for key in ["source_db", "destination_db", "exposure"] {
        tell(&keys::MIRRORING, node, key, key, work);
    }
}

/// What goes to every database.
fn after(general: &Node, file: &Text, work: &mut Work) {
    let names = work.draft.names("databases");
    for key in ["tls_verify", "tls_server_ca_certificate", "tls_server_certificate", "tls_server_private_key"]
    {
        let Some(node) = general.get(key) else { continue };
        let text = node.scalar().unwrap_or_default();
        let turned = match key {
            "tls_verify" => turn::tls_verify(text),
            _ => Turned::Same(Value::Text(absolute(text, file.folder()).display().to_string())),
        };
        let known = known(&keys::GENERAL, key);
        if let Turned::Same(value) = &turned {
            for name in names
                .iter()
                .filter(|name| work.draft.get(known.to[0], Some(name)).is_none())
                .collect::<Vec<_>>()
            {
                work.draft.set(known.to[0], Some(name), value.clone(), Some(&node.place));
            }
        }
        work.report.key(&node.place, key, known, &turned);
    }
    if let Some(node) = general.get("query_timeout") {
        let millis = node.scalar().and_then(|text| text.parse::<i64>().ok()).unwrap_or(0);
        let key = known(&keys::GENERAL, "query_timeout");
        // The longest that there is stands for none.
        if (1..=i64::from(i32::MAX)).contains(&millis) {
            names.iter().for_each(|name| work.option(name, "statement_timeout", &format!("{millis}ms")));
            work.report.taken(&node.place, "query_timeout", key);
        } else {
            work.report.key(&node.place, "query_timeout", key, &Turned::Nothing);
        }
    }
}

/// Whether a text looks like one of PgDog.
pub fn recognizes(text: &str) -> bool {
    text.lines().any(|line| line.trim() == "[[databases]]")
}
