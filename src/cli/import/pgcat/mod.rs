//! `pgcat.toml`. The table is [`keys`]; here is what goes together across keys.

mod keys;
mod pools;

pub use keys::SOURCE;

use super::document::{self, Node};
use super::files::Text;
use super::report::Place;
use super::rule::Rule;
use super::table::{How, Key, Section, Turned};
use super::value::Value;
use super::work::Work;

/// Takes a file over.
pub fn import(file: &Text, work: &mut Work) {
    let Some(tree) = document::parse(file, &mut work.report) else { return };
    let whole = file.place(0);
    let general = tree
        .get("general")
        .cloned()
        .unwrap_or(Node { place: whole.clone(), tree: document::Tree::Table(vec![]) });
    for (name, node) in tree.entries() {
        match name.as_str() {
            "general" | "pools" => {}
            "plugins" => plugins(node, None, work),
            "path" => work.report.left(&node.place, name, "the settings file is named by --config"),
            _ => work.report.left(
                &node.place,
                name,
                "there is no such section as far as is known here; see what it does",
            ),
        }
    }
    section(&keys::GENERAL, &general, None, file, work);
    global(&general, &whole, work);
    let mut pools = pools::Pools::default();
    for (name, pool) in tree.get("pools").map(Node::entries).unwrap_or_default() {
        pools.pool(name, pool, file, work);
    }
    pools.settle(work);
    server_tls(&general, work);
    work.report.note(&whole, "users log in by md5, as with PgCat: auth.method; scram-sha-256 works with the same passwords and is better");
}

/// The keys of a table that their own functions turn. Tables inside it are left to others.
fn section(of: &'static Section, node: &Node, name: Option<&str>, file: &Text, work: &mut Work) {
    for (key, value) in node.entries() {
        let shown = name.map_or(key.clone(), |name| format!("{name}: {key}"));
        let Some(known) = of.key(key) else {
            let elsewhere =
                of.name == keys::POOL.name && ["users", "shards", "plugins"].contains(&key.as_str());
            if !elsewhere {
                work.unknown(&value.place, &shown, of);
            }
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
    for key in of.keys {
        if name.is_none() && key.names.iter().all(|name| node.get(name).is_none()) {
            work.apply_default(key, None, &file.place(0));
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

fn global(general: &Node, whole: &Place, work: &mut Work) {
    let port = general.number("port").and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0);
    let place = general.get("host").or(general.get("port")).map_or(whole, |node| &node.place).clone();
    let address = general.text("host").unwrap_or("0.0.0.0");
    if !work.listen(address, port.unwrap_or(5432), Some(&place)) {
        work.listen("0.0.0.0", port.unwrap_or(5432), Some(&place));
        work.report.note(&place, "host is no address; all of IPv4 is listened on, correct listen");
    }
    for key in ["host", "port", "admin_username"] {
        tell(&keys::GENERAL, general, key, key, work);
    }
    http(general, address, work);
    if general.get("tls_certificate").is_some() {
        work.draft.set(
            "tls.mode",
            None,
            Value::text("prefer"),
            general.get("tls_certificate").map(|node| &node.place),
        );
    }
    work.draft.set("auth.method", None, Value::text("md5"), None);
    if let Some(admin) = general.text("admin_username").filter(|name| !name.is_empty()) {
        work.draft.set("admin.admin_users", None, Value::List(vec![admin.to_owned()]), Some(&place));
        password(general, ("admin_password", &keys::GENERAL), admin, "admin_password", work);
    } else {
        without(general, "admin_password", "admin_password", work);
    }
    lookup(general, work);
}

/// A password without its user, if it is written.
fn without(node: &Node, key: &str, shown: &str, work: &mut Work) {
    if let Some(value) = node.get(key) {
        work.report.left(
            &value.place,
            shown,
            "the user whose it is is not written; write users.NAME.password",
        );
    }
}

/// A password that stands in a key, of this user.
fn password(node: &Node, key: (&str, &'static Section), user: &str, shown: &str, work: &mut Work) {
    let place = node.get(key.0).map_or(&node.place, |node| &node.place);
    let known = known(key.1, key.0);
    match work.user(user, node.text(key.0).unwrap_or_default(), place) {
        Ok(()) if node.get(key.0).is_some() => work.report.taken(place, shown, known),
        Ok(()) => {}
        Err(why) => work.report.left(place, shown, &why),
    }
}

fn http(general: &Node, address: &str, work: &mut Work) {
    let exporter = general.get("enable_prometheus_exporter");
    let port = general.number("prometheus_exporter_port").unwrap_or(9930);
    let to = match general.is_true("enable_prometheus_exporter") {
        true if address.parse::<std::net::Ipv4Addr>().is_ok() && (1..=65535).contains(&port) => {
            format!("{address}:{port}")
        }
        true => "127.0.0.1:9930".to_owned(),
        false => "off".to_owned(),
    };
    work.draft.set("http", None, Value::Text(to), exporter.map(|node| &node.place));
    for key in ["enable_prometheus_exporter", "prometheus_exporter_port"] {
        tell(&keys::GENERAL, general, key, key, work);
    }
}

fn lookup(general: &Node, work: &mut Work) {
    let (Some(query), Some(user)) = (general.get("auth_query"), general.text("auth_query_user")) else {
        for key in ["auth_query", "auth_query_user", "auth_query_password"] {
            if let Some(node) = general.get(key) {
                work.report.left(
                    &node.place,
                    key,
                    "PgCat looks nobody up unless query, user and password are there",
                );
            }
        }
        return;
    };
    password(general, ("auth_query_password", &keys::GENERAL), user, "auth_query_password", work);
    if !work.can_log_in(user) {
        work.report.left(
            &query.place,
            "auth_query",
            "of its user only a SCRAM verifier is known, which logs in nobody",
        );
        return;
    }
    let text = query.scalar().unwrap_or_default().replace("'$1'", "$1");
    work.draft.set(
        "auth.auth_user",
        None,
        Value::text(user),
        general.get("auth_query_user").map(|node| &node.place),
    );
    work.draft.set("auth.auth_query", None, Value::Text(text), Some(&query.place));
    tell(&keys::GENERAL, general, "auth_query", "auth_query", work);
    tell(&keys::GENERAL, general, "auth_query_user", "auth_query_user", work);
}

fn server_tls(general: &Node, work: &mut Work) {
    let (mode, how) = match (general.is_true("server_tls"), general.is_true("verify_server_certificate")) {
        (false, _) => ("disable", ""),
        (true, false) => ("prefer", ""),
        (true, true) => (
            "verify-full",
            "a server without TLS is refused, and the authorities are the system's; write databases.NAME.sslrootcert for others",
        ),
    };
    for name in work.draft.names("databases") {
        work.draft.set(
            "databases.NAME.sslmode",
            Some(&name),
            Value::text(mode),
            general.get("server_tls").map(|node| &node.place),
        );
    }
    for key in ["server_tls", "verify_server_certificate"] {
        let Some(node) = general.get(key) else { continue };
        match how {
            "" => work.report.taken(&node.place, key, known(&keys::GENERAL, key)),
            how => work.report.changed(&node.place, key, known(&keys::GENERAL, key), how),
        }
    }
}

fn plugins(node: &Node, database: Option<&str>, work: &mut Work) {
    for (name, plugin) in node.entries() {
        let shown =
            database.map_or(format!("plugins.{name}"), |database| format!("{database}: plugins.{name}"));
        let Some(key) = keys::PLUGINS.key(name) else {
            work.unknown(&plugin.place, &shown, &keys::PLUGINS);
            continue;
        };
        if !plugin.is_true("enabled") {
            work.report.key(&plugin.place, &shown, key, &Turned::Nothing);
            continue;
        }
        let mut when: Vec<(&'static str, Value)> =
            database.map(|database| ("database", Value::text(database))).into_iter().collect();
        let then = match name.as_str() {
            "table_access" => {
                let tables = plugin.get("tables").map(Node::items).unwrap_or_default();
                let tables: Vec<String> = tables.iter().filter_map(Node::scalar).map(str::to_owned).collect();
                if tables.is_empty() {
                    work.report.key(&plugin.place, &shown, key, &Turned::Nothing);
                    continue;
                }
                when.push(("tables", Value::List(tables)));
                let message = Value::text("permission for a table denied");
                ("block", Value::Table(vec![("sqlstate", Value::text("42501")), ("message", message)]))
            }
            "query_logger" => ("log", Value::text("info")),
            _ => {
                work.report.taken(&plugin.place, &shown, key);
                continue;
            }
        };
        work.rules.push(Rule {
            name: format!("pgcat-{}", shown.replace(": ", "-")),
            comment: vec![],
            when,
            then: vec![then],
        });
        work.report.taken(&plugin.place, &shown, key);
    }
}

/// Roles: reads go to replicas by rule.
fn roles(database: &str, pool: &Node, work: &mut Work) {
    tell(&keys::POOL, pool, "default_role", &format!("{database}: default_role"), work);
    // Before it had a key of its own, the parser alone did it.
    let key = "query_parser_read_write_splitting";
    let splits = match pool.get(key) {
        Some(_) => pool.is_true(key),
        None => pool.is_true("query_parser_enabled") && pool.text("default_role") != Some("primary"),
    };
    if splits {
        work.rules.push(reads_to_replicas("pgcat", database));
    }
    if let Some(node) = pool.get(key) {
        match splits {
            true => work.report.taken(&node.place, &format!("{database}: {key}"), known(&keys::POOL, key)),
            false => work.report.key(
                &node.place,
                &format!("{database}: {key}"),
                known(&keys::POOL, key),
                &Turned::Nothing,
            ),
        }
    }
}

/// The rule by which reads of a database go to replicas.
pub fn reads_to_replicas(source: &str, database: &str) -> Rule {
    Rule {
        name: format!("{source}-reads-of-{database}"),
        comment: vec![],
        when: vec![("database", Value::text(database)), ("class", Value::text("read"))],
        then: vec![("route", Value::text("replica"))],
    }
}

/// Whether a text looks like one of PgCat.
pub fn recognizes(text: &str) -> bool {
    text.lines().any(|line| line.trim().starts_with("[pools."))
}
