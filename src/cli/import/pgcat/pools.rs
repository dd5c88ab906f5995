//! Pools of PgCat with their shards and users.

use std::collections::{BTreeMap, BTreeSet};

use super::{keys, known, password, plugins, roles, section, tell, without};
use crate::cli::import::document::Node;
use crate::cli::import::files::Text;
use crate::cli::import::report::Place;
use crate::cli::import::table::{How, Turned};
use crate::cli::import::turn;
use crate::cli::import::value::Value;
use crate::cli::import::work::{Work, host};

/// The largest number that settings take.
const MOST_SERVERS: i64 = 10_000_000;

/// What users of several pools have to agree on.
#[derive(Default)]
pub struct Pools {
    /// Sizes by user, with where they stand.
    sizes: BTreeMap<String, Vec<(i64, Place)>>,
}

impl Pools {
    /// A pool, by its name.
    pub fn pool(&mut self, name: &str, pool: &Node, file: &Text, work: &mut Work) {
        let shards = pool.get("shards").map(Node::entries).unwrap_or_default();
        let databases: Vec<String> = match shards {
            [_] => vec![name.to_owned()],
            many => many.iter().map(|(shard, _)| format!("{name}_shard_{shard}")).collect(),
        };
        if databases.len() > 1 {
            let how = format!(
                "{name} has several shards, each a database of its own now: {}",
                databases.join(", ")
            );
            work.report.note(&pool.place, how);
        }
        let own_name = ["pgweir", "pgbouncer", ""].contains(&name);
        if own_name || databases.is_empty() {
            let why = if own_name {
                "this name is the console's; choose another"
            } else {
                "it has no shard, so no server"
            };
            return work.report.left(&pool.place, name, why);
        }
        for (database, (_, shard)) in databases.iter().zip(shards) {
            self.shard(database, shard, pool, work);
        }
        for database in databases
            .iter()
            .filter(|database| work.draft.has("databases", database))
            .cloned()
            .collect::<Vec<_>>()
        {
            section(&keys::POOL, pool, Some(&database), file, work);
            roles(&database, pool, work);
            self.users(&database, pool, file, work);
            if let Some(node) = pool.get("plugins") {
                plugins(node, Some(&database), work);
            }
        }
    }

    fn shard(&mut self, database: &str, shard: &Node, pool: &Node, work: &mut Work) {
        let servers = shard.get("servers").map(Node::items).unwrap_or_default();
        let mut hosts: Vec<(bool, String)> = vec![];
        for server in servers {
            let parts = server.items();
            let part = |at: usize| parts.get(at).and_then(Node::scalar).unwrap_or_default();
            let Some(host) =
                part(1).parse().ok().filter(|port| *port > 0).and_then(|port| host(part(0), port))
            else {
                work.report.left(
                    &server.place,
                    &format!("{database}: servers"),
                    "a server is [\"host\", port, \"role\"]; correct it",
                );
                continue;
            };
            hosts.push((!part(2).eq_ignore_ascii_case("primary"), host));
        }
        hosts.sort_by_key(|(replica, _)| *replica);
        if hosts.is_empty() {
            return work.report.left(&shard.place, database, "it has no server; write databases.NAME.hosts");
        }
        let list = Value::List(hosts.iter().map(|(_, host)| host.clone()).collect());
        let place = shard.get("servers").map(|node| &node.place);
        work.draft.set("databases.NAME.hosts", Some(database), list, place);
        if let Some(name) = shard.text("database").filter(|name| !name.is_empty()) {
            work.draft.set("databases.NAME.database", Some(database), Value::text(name), place);
        }
        for (key, value) in shard.entries() {
            match keys::SHARD.key(key) {
                Some(known) => work.report.taken(&value.place, &format!("{database}: {key}"), known),
                None => work.unknown(&value.place, &format!("{database}: {key}"), &keys::SHARD),
            }
        }
        let target = match pool.text("default_role") {
            Some("replica") => "standby",
            _ if hosts.len() > 1 => "primary",
            _ => "any",
        };
        work.draft.set("databases.NAME.target_session_attrs", Some(database), Value::text(target), None);
    }

    fn users(&mut self, database: &str, pool: &Node, file: &Text, work: &mut Work) {
        let users = pool.get("users").map(Node::entries).unwrap_or_default();
        for (index, user) in users {
            let Some(name) = user.text("username").filter(|name| !name.is_empty()) else {
                work.report.left(&user.place, &format!("{database}: users.{index}"), "it has no username");
                continue;
            };
            let shown = |key: &str| format!("{database}: {name}: {key}");
            for (key, value) in user.entries() {
                match (keys::USER.key(key), value.scalar()) {
                    (None, _) => work.unknown(&value.place, &shown(key), &keys::USER),
                    (Some(known), Some(text)) if matches!(known.how, How::By(_)) => {
                        work.apply(known, &shown(key), Some(name), text, (&value.place, file.folder()));
                    }
                    (Some(known), _) if known.to.is_empty() => {
                        work.report.taken(&value.place, &shown(key), known)
                    }
                    _ => {}
                }
            }
            tell(&keys::USER, user, "username", &shown("username"), work);
            password(user, ("password", &keys::USER), name, &shown("password"), work);
            match (
                user.number("pool_size").filter(|size| (1..=MOST_SERVERS).contains(size)),
                user.get("pool_size"),
            ) {
                (Some(size), Some(node)) => {
                    self.sizes.entry(name.to_owned()).or_default().push((size, node.place.clone()));
                }
                (None, Some(node)) => {
                    work.report.left(
                        &node.place,
                        &shown("pool_size"),
                        "it must be a whole number from 1; write users.NAME.pool_size",
                    );
                }
                _ => {}
            }
        }
        of_all(database, users, work);
        server_user(database, users, work);
    }

    /// A size is a user's for each database.
    pub fn settle(&self, work: &mut Work) {
        for (user, sizes) in &self.sizes {
            let largest = sizes.iter().map(|(size, _)| *size).max().unwrap_or(1);
            work.draft.set(
                "users.NAME.pool_size",
                Some(user),
                Value::Number(largest),
                sizes.first().map(|(_, place)| place),
            );
            let key = known(&keys::USER, "pool_size");
            for (size, place) in sizes {
                match *size == largest {
                    true => work.report.taken(place, &format!("{user}: pool_size"), key),
                    false => {
                        let how =
                            format!("it is the user's for every database, so it is {largest}, the largest");
                        work.report.changed(place, &format!("{user}: pool_size"), key, &how);
                    }
                }
            }
        }
    }
}

/// What here is the database's and there is a user's.
fn of_all(database: &str, users: &[(String, Node)], work: &mut Work) {
    for (key, option) in [("statement_timeout", true), ("min_pool_size", false)] {
        let values: BTreeSet<i64> = users.iter().map(|(_, user)| user.number(key).unwrap_or(0)).collect();
        let largest = values.last().copied().unwrap_or(0);
        for (_, user) in users {
            let Some(node) = user.get(key) else { continue };
            let shown = format!("{database}: {}: {key}", user.text("username").unwrap_or_default());
            let known = known(&keys::USER, key);
            match largest {
                ..=0 => work.report.key(&node.place, &shown, known, &Turned::Nothing),
                _ if option && values.len() > 1 => {
                    let why = "users of this database have different ones; let the server do it: ALTER ROLE ... SET statement_timeout";
                    work.report.left(&node.place, &shown, why);
                }
                _ => work.report.taken(&node.place, &shown, known),
            }
        }
        if largest > 0 && !option {
            if let Turned::Same(value) = turn::count(&largest.to_string()) {
                work.draft.set("databases.NAME.min_idle", Some(database), value, None);
            }
        } else if largest > 0 && values.len() == 1 {
            work.option(database, "statement_timeout", &format!("{largest}ms"));
        }
    }
}

/// The user of the servers is the database's.
fn server_user(database: &str, users: &[(String, Node)], work: &mut Work) {
    let names: BTreeSet<Option<&str>> = users.iter().map(|(_, user)| user.text("server_username")).collect();
    let one = if names.len() == 1 { names.first().copied().flatten() } else { None };
    for (_, user) in users {
        let shown = |key: &str| format!("{database}: {}: {key}", user.text("username").unwrap_or_default());
        let Some(node) = user.get("server_username") else {
            without(user, "server_password", &shown("server_password"), work);
            continue;
        };
        let Some(name) = one else {
            let why = "users of this database have different ones; here it is one for the database, databases.NAME.server_user";
            work.report.left(&node.place, &shown("server_username"), why);
            continue;
        };
        let secret = if user.get("server_password").is_some() { "server_password" } else { "password" };
        password(user, (secret, &keys::USER), name, &shown(secret), work);
        if work.can_log_in(name) {
            work.draft.set(
                "databases.NAME.server_user",
                Some(database),
                Value::text(name),
                Some(&node.place),
            );
            work.report.taken(&node.place, &shown("server_username"), known(&keys::USER, "server_username"));
        } else {
            work.report.left(
                &node.place,
                &shown("server_username"),
                "only a SCRAM verifier is known, which logs in nobody",
            );
        }
    }
}
