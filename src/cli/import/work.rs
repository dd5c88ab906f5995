//! An import under way: what is written, what is said, and what goes together across keys.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::draft::Draft;
use super::files::Files;
use super::report::{Place, Report};
use super::rule::Rule;
use super::table::{How, Key, Section, Turned};
use super::value::Value;
use crate::auth::StoredSecret;
use crate::config::settings::Limits;

/// An import under way.
#[derive(Default)]
pub struct Work {
    /// The settings.
    pub draft: Draft,
    /// The rules, in order.
    pub rules: Vec<Rule>,
    /// What is said.
    pub report: Report,
    /// What has been read.
    pub files: Files,
    /// Settings for the servers of each database.
    options: BTreeMap<String, BTreeMap<&'static str, String>>,
}

impl Work {
    /// Takes a key over as its table says. `name`: of the database or user that it is about.
    pub fn apply(&mut self, key: &Key, shown: &str, name: Option<&str>, value: &str, at: (&Place, &Path)) {
        let (place, folder) = at;
        let turned = match key.how {
            How::By(turn) => turn(value),
            How::Path if value.is_empty() => Turned::Nothing,
            How::Path => Turned::Same(Value::text(absolute(value, folder).display().to_string())),
            How::Own => return self.report.taken(place, shown, key),
        };
        self.put(key, name, &turned, Some(place));
        self.report.key(place, shown, key, &turned);
    }

    /// Takes over what holds in the source where nobody has written a key.
    pub fn apply_default(&mut self, key: &Key, name: Option<&str>, file: &Place) {
        let (Some(default), How::By(turn)) = (key.default, key.how) else { return };
        let turned = turn(default);
        self.put(key, name, &turned, None);
        if !matches!(turned, Turned::Nothing) {
            let text = format!(
                "{} is not written, so its default `{default}` is: {}",
                key.names[0],
                key.to.join(", ")
            );
            self.report.note(file, text);
        }
    }

    fn put(&mut self, key: &Key, name: Option<&str>, turned: &Turned, place: Option<&Place>) {
        if let Turned::Same(value) | Turned::But(value, _) = turned {
            for to in key.to {
                self.draft.set(to, name, value.clone(), place);
            }
        }
    }

    /// A key that the table does not have.
    pub fn unknown(&mut self, place: &Place, shown: &str, section: &Section) {
        let why = format!(
            "{} has no such key as far as is known here; see what it does, and write what takes its place by hand",
            section.name
        );
        self.report.left(place, shown, &why);
    }

    /// A user, and the password if there is one. A user has one password; which one stays is told where two are written.
    ///
    /// # Errors
    /// Why the password was not taken over, and what to do.
    pub fn user(&mut self, user: &str, password: &str, place: &Place) -> Result<(), String> {
        self.draft.add("users", user);
        if password.is_empty() {
            return Ok(());
        }
        let stored = StoredSecret::parse(password);
        let Ok(stored) = stored else {
            return Err(
                "it begins like a SCRAM verifier, and is none; copy it whole from pg_authid.rolpassword"
                    .to_owned(),
            );
        };
        let plain = matches!(stored, Some(StoredSecret::Plain(_)));
        if let Some((Value::Secret(old), at)) = self.draft.get("users.NAME.password", Some(user)) {
            let old_is_plain = matches!(StoredSecret::parse(old), Ok(Some(StoredSecret::Plain(_))));
            if old != password && (old_is_plain || !plain) {
                let at = at.map(|at| format!(" at {at}")).unwrap_or_default();
                return Err(format!(
                    "this user has another password{at}, which is kept; a user has one password here, for clients and servers, so make them the same"
                ));
            }
        }
        self.draft.set("users.NAME.password", Some(user), Value::Secret(password.to_owned()), Some(place));
        Ok(())
    }

    /// Whether servers can be logged in to as this user by what is known; it is made known.
    pub fn can_log_in(&mut self, user: &str) -> bool {
        self.draft.add("users", user);
        match self.draft.get("users.NAME.password", Some(user)) {
            Some((Value::Secret(secret), _)) => {
                !matches!(StoredSecret::parse(secret), Ok(Some(StoredSecret::Scram(_))))
            }
            _ => true,
        }
    }

    /// A setting that the servers of a database get when they are connected.
    pub fn option(&mut self, database: &str, name: &'static str, value: &str) {
        self.options.entry(database.to_owned()).or_default().insert(name, value.to_owned());
    }

    /// Where clients are accepted, by the host in the words of the source. False: it is no address.
    pub fn listen(&mut self, host: &str, port: u16, place: Option<&Place>) -> bool {
        let address = match host {
            "*" => format!("0.0.0.0:{port}"),
            "localhost" => format!("127.0.0.1:{port}"),
            host => match host.parse::<IpAddr>() {
                Ok(address) => std::net::SocketAddr::from((address, port)).to_string(),
                Err(_) => return false,
            },
        };
        let mut all = match self.draft.get("listen", None) {
            Some((Value::List(all), _)) => all.clone(),
            _ => vec![],
        };
        if !all.contains(&address) {
            all.push(address);
        }
        self.draft.set("listen", None, Value::List(all), place);
        true
    }

    /// What depends on the whole. `file`: of the source, for what is said of it.
    pub fn finish(&mut self, file: &Place) {
        for (database, options) in std::mem::take(&mut self.options) {
            let text: Vec<String> =
                options.iter().map(|(name, value)| format!("-c {name}={}", escaped(value))).collect();
            self.draft.set("databases.NAME.options", Some(&database), Value::text(text.join(" ")), None);
        }
        if self.draft.is_empty() {
            return;
        }
        self.settle_reads(file);
        self.settle_pools(file);
        self.settle_http(file);
        if self.draft.get("auth.auth_user", None).is_none() {
            self.draft.set("auth.pass_through", None, Value::Bool(false), None);
            let text =
                "nobody looks users up, so auth.pass_through is false: only users of the settings can log in";
            self.report.note(file, text);
        }
    }

    /// A rule alone sends nothing to a replica: the nodes are to be watched.
    fn settle_reads(&mut self, file: &Place) {
        let replica = ("route", Value::text("replica"));
        let mut without = vec![];
        for name in self.draft.names("databases") {
            let is_for = |rule: &&Rule| {
                let of = rule.when.iter().find(|(key, _)| *key == "database");
                rule.then.contains(&replica)
                    && of.is_none_or(|(_, value)| name == "*" || *value == Value::text(&name))
            };
            if !self.rules.iter().any(|rule| is_for(&rule)) {
                continue;
            }
            if self.has_several_hosts(&name) && self.knows_who_may_ask(&name) {
                self.draft.set("databases.NAME.reads", Some(&name), Value::text("replicas"), None);
            } else {
                without.push(name);
            }
        }
        for name in without {
            let text = format!(
                "a rule sends reads of `{name}` to replicas, which does nothing before [databases.{name}] has its replicas among `hosts`, a user whose password is known, and reads = \"replicas\""
            );
            self.report.note(file, text);
        }
    }

    fn has_several_hosts(&self, database: &str) -> bool {
        let hosts = self.draft.get("databases.NAME.hosts", Some(database));
        matches!(hosts, Some((Value::List(hosts), _)) if hosts.len() > 1)
    }

    /// Whether there is somebody as whom the nodes of a database can be asked what they are.
    fn knows_who_may_ask(&mut self, database: &str) -> bool {
        let named = ["databases.NAME.server_user", "databases.NAME.user", "auth.auth_user"];
        named.iter().any(|key| self.draft.get(key, Some(database)).is_some())
            || self.draft.names("users").iter().any(|user| {
                self.draft.get("users.NAME.password", Some(user)).is_some() && self.can_log_in(user)
            })
    }

    /// No more idle servers than servers, and not more servers than all pools together may have.
    fn settle_pools(&mut self, file: &Place) {
        let default = crate::config::settings::Pool::default();
        let size = self.draft.number("pool.pool_size", None).unwrap_or(default.size as i64);
        let idle = self.draft.number("pool.min_idle", None).unwrap_or(default.min_idle as i64);
        if idle > size {
            self.draft.set("pool.min_idle", None, Value::Number(size), None);
        }
        let idle = idle.min(size);
        let mut largest = size;
        for name in self.draft.names("databases") {
            let size = self.draft.number("databases.NAME.pool_size", Some(&name)).unwrap_or(size);
            let idle = self.draft.number("databases.NAME.min_idle", Some(&name)).unwrap_or(idle);
            if idle > size {
                self.draft.set("databases.NAME.min_idle", Some(&name), Value::Number(size), None);
            }
            largest = largest.max(size);
        }
        let most = Limits::default().max_servers as i64;
        if largest > most {
            self.draft.set("limits.max_servers", None, Value::Number(largest), None);
        }
        self.report.note(
            file,
            format!(
                "all pools together have at most {} servers (limits.max_servers); keep it below max_connections of the server",
                largest.max(most)
            ),
        );
    }

    /// The HTTP server has a port of its own.
    fn settle_http(&mut self, file: &Place) {
        let taken = match self.draft.get("listen", None) {
            Some((Value::List(all), _)) => all.iter().any(|address| address.ends_with(":6433")),
            _ => false,
        };
        if taken && self.draft.get("http", None).is_none() {
            self.draft.set("http", None, Value::text("127.0.0.1:6434"), None);
            self.report.note(file, "http is 127.0.0.1:6434, since its own port, 6433, is taken by clients");
        }
    }
}

/// A value of `options`: what would end it is escaped.
fn escaped(value: &str) -> String {
    let mut escaped = String::new();
    for character in value.chars() {
        if character == '\\' || character.is_ascii_whitespace() {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

/// A file that the source names: relative names are looked for beside the file that has them, then where the import runs.
pub fn beside(name: &str, folder: &Path) -> PathBuf {
    let (there, here) = (folder.join(name), PathBuf::from(name));
    if here.exists() && !there.exists() { here } else { there }
}

/// The same, as it can be written to a file elsewhere.
pub fn absolute(name: &str, folder: &Path) -> PathBuf {
    std::env::current_dir().unwrap_or_default().join(beside(name, folder))
}

/// A host and its port as `hosts` takes them; `None`: it is none.
pub fn host(name: &str, port: u16) -> Option<String> {
    let text = match name.trim_matches(['[', ']']) {
        inner if inner.parse::<std::net::Ipv6Addr>().is_ok() => format!("[{inner}]:{port}"),
        _ => format!("{name}:{port}"),
    };
    crate::config::host::parse(&text).is_ok().then_some(text)
}
