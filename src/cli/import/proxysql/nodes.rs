//! Groups of servers, servers and users of ProxySQL.

use std::collections::{BTreeMap, BTreeSet};

use super::sql::Row;
use super::{keys, tell};
use crate::cli::import::value::Value;
use crate::cli::import::work::{Work, host};

/// What the groups of servers are.
#[derive(Debug, Clone, Default)]
pub struct Hostgroups(BTreeMap<i64, &'static str>);

impl Hostgroups {
    /// From `0=primary`, `1=replica`.
    ///
    /// # Errors
    /// What is wrong with which of them.
    pub fn parse(given: &[String]) -> Result<Self, String> {
        let mut groups = BTreeMap::new();
        for text in given {
            let group = text.split_once('=').and_then(|(number, role)| {
                let role = ["primary", "replica"].into_iter().find(|known| *known == role)?;
                Some((number.parse().ok()?, role))
            });
            let Some((number, role)) = group else {
                return Err(format!(
                    "--hostgroup {text}: write a number and a role, as in 0=primary or 1=replica"
                ));
            };
            groups.insert(number, role);
        }
        Ok(Self(groups))
    }

    /// What the dump says of a group; what was said on the command line stays.
    pub fn add(&mut self, group: i64, role: &'static str) {
        self.0.entry(group).or_insert(role);
    }

    /// What a group is.
    pub fn role(&self, group: i64) -> Option<&'static str> {
        self.0.get(&group).copied()
    }
}

/// The hosts of one database, the writers first; and one host of each group.
pub fn servers(rows: &[Row], groups: &Hostgroups, work: &mut Work) -> BTreeMap<i64, String> {
    let mut first = BTreeMap::new();
    let mut hosts: Vec<(bool, String)> = vec![];
    let (mut tls, mut seen) = (BTreeSet::new(), BTreeSet::new());
    let writers = groups.0.values().filter(|role| **role == "primary").count();
    for row in rows {
        tell(&keys::SERVERS, row, "", work);
        let port = row.number("port").unwrap_or(5432);
        let name = row.get("hostname").unwrap_or_default();
        let found = match u16::try_from(port) {
            Ok(0) => host(name, 5432).filter(|_| name.starts_with('/')),
            Ok(port) => host(name, port),
            Err(_) => None,
        };
        let Some(found) = found else {
            work.report.left(
                &row.place,
                "hostname",
                "it is no host and port; write it into databases.NAME.hosts",
            );
            continue;
        };
        let group = row.number("hostgroup_id").unwrap_or(0);
        first.entry(group).or_insert_with(|| found.clone());
        tls.insert(row.number("use_ssl").unwrap_or(0) != 0);
        let offline =
            row.get("status").is_some_and(|status| status.to_ascii_uppercase().starts_with("OFFLINE"));
        if !offline && seen.insert(found.clone()) {
            hosts.push((groups.0.get(&group) == Some(&"replica"), found));
        }
    }
    if hosts.is_empty() {
        return first;
    }
    if writers > 1 {
        let text = "there are several groups of writers, so several clusters; write a database for each, with its hosts";
        work.report.note(&rows[0].place, text);
        return first;
    }
    hosts.sort_by_key(|(replica, _)| *replica);
    let target = if hosts.len() > 1 && writers == 1 { "primary" } else { "any" };
    let list = Value::List(hosts.into_iter().map(|(_, host)| host).collect());
    let sslmode = if tls.contains(&true) { "require" } else { "prefer" };
    work.draft.set("databases.NAME.hosts", Some("*"), list, rows.first().map(|row| &row.place));
    work.draft.set("databases.NAME.target_session_attrs", Some("*"), Value::text(target), None);
    work.draft.set("databases.NAME.sslmode", Some("*"), Value::text(sslmode), None);
    work.report.note(
        &rows[0].place,
        "interfaces and variables are not in these tables: see listen, limits and pool of the settings",
    );
    first
}

pub fn users(rows: &[Row], work: &mut Work) {
    for row in rows {
        let Some(name) = row.get("username") else {
            work.report.left(&row.place, "username", "a user has no name");
            continue;
        };
        if row.number("active") == Some(0) {
            work.report.left(&row.place, &format!("{name}: active"), "users who are not active are left out");
            continue;
        }
        tell(&keys::USERS, row, &format!("{name}: "), work);
        if let Err(why) = work.user(name, row.get("password").unwrap_or_default(), &row.place) {
            work.report.left(&row.place, &format!("{name}: password"), &why);
        }
        if let (Some(key), Some(value)) = (keys::USERS.key("max_connections"), row.get("max_connections")) {
            let folder = std::path::Path::new("");
            work.apply(key, &format!("{name}: max_connections"), Some(name), value, (&row.place, folder));
        }
    }
}
