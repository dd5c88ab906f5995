//! The settings file, `pgweir.toml`: TOML to settings as written, with a line and column for everything.
//!
//! The document is walked with the tables of `config::keys` rather than deserialized into structs: so all
//! errors are found, not the first, and each key is described in one place.

use std::path::Path;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{self, Table};
use super::kinds::{Context, Given};
use super::place::{ConfigError, FilePlace, Origin};
use super::suggest;
use super::url;
use super::written::{self, Written, WrittenDatabase};

/// Reads the file into `written`.
pub fn read(path: &Path, context: &Context<'_>, written: &mut Written) {
    match std::fs::read_to_string(path) {
        Ok(text) => read_text(path, &text, context, written),
        Err(error) => {
            let at = FilePlace { path: Arc::new(path.to_owned()), line: 0, column: 0 };
            let message = format!("cannot be read: {error}; --config names the settings file");
            written.error(Origin::File(at), message);
        }
    }
}

/// Reads the text of the file at `path`.
pub fn read_text(path: &Path, text: &str, context: &Context<'_>, written: &mut Written) {
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut reader = Reader { path: Arc::new(path.to_owned()), text, context, written };
    for error in &errors {
        // Only the message: the whole error shows the line, which may hold a password.
        let at = error.span().map_or(text.len(), |span| span.start);
        reader.error(at, format!("not TOML: {}", error.message()));
    }
    if errors.is_empty() {
        // Where it says nothing of databases, they are what is missing in it.
        let whole = FilePlace { path: reader.path.clone(), line: 0, column: 0 };
        reader.written.origins.set("databases", Origin::File(whole));
        reader.document(document.get_ref());
    }
}

/// The value that a piece of TOML says; `None`: it is not TOML.
pub fn value(text: &str) -> Option<Given> {
    DeValue::parse(text).ok().map(|value| given(value.get_ref()))
}

fn given(value: &DeValue<'_>) -> Given {
    match value {
        DeValue::String(text) => Given::Text(text.to_string()),
        DeValue::Boolean(value) => Given::Bool(*value),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Given::Integer(number),
            Err(_) => Given::Other("a number out of range"),
        },
        DeValue::Array(items) => Given::List(items.iter().map(|item| given(item.get_ref())).collect()),
        DeValue::Float(_) => Given::Other("a number with a fraction"),
        DeValue::Datetime(_) => Given::Other("a date"),
        DeValue::Table(_) => Given::Other("a table"),
    }
}

/// The sections of the file. `pool` comes before the databases that start from it.
const SECTIONS: [&str; 10] =
    ["tls", "auth", "limits", "admin", "log", "history", "slow_log", "pool", "databases", "users"];

struct Reader<'a> {
    path: Arc<std::path::PathBuf>,
    text: &'a str,
    context: &'a Context<'a>,
    written: &'a mut Written,
}

type Value<'a> = Spanned<DeValue<'a>>;

impl Reader<'_> {
    fn document(&mut self, document: &DeTable<'_>) {
        for name in SECTIONS {
            let Some((key, value)) = document.get_key_value(name) else {
                continue;
            };
            match value.get_ref().as_table() {
                Some(table) => self.section(name, key.span().start, table),
                None => {
                    self.error(
                        key.span().start,
                        format!("`{name}` is a section; write [{name}] on a line of its own"),
                    );
                }
            }
        }
        let mut settings = std::mem::take(&mut self.written.settings);
        for (key, value) in document.iter().filter(|(key, _)| !SECTIONS.contains(&key.get_ref().as_ref())) {
            let context = self.context;
            let name = key.get_ref();
            let known = || keys::TOP.names().chain(SECTIONS);
            self.key("", name, key.span().start, value, known, |given| {
                keys::TOP.set(&mut settings, name, given, context)
            });
        }
        self.written.settings = settings;
    }

    fn section(&mut self, name: &str, at: usize, table: &DeTable<'_>) {
        let origin = self.origin(at);
        self.written.origins.set(name, origin);
        let mut settings = std::mem::take(&mut self.written.settings);
        match name {
            "tls" => self.plain(&keys::TLS, &mut settings.client_tls, name, table),
            "auth" => self.plain(&keys::AUTH, &mut settings.auth, name, table),
            "limits" => self.plain(&keys::LIMITS, &mut settings.limits, name, table),
            "admin" => self.plain(&keys::ADMIN, &mut settings.admin, name, table),
            "log" => self.plain(&keys::LOG, &mut settings.log, name, table),
            "history" => self.plain(&keys::HISTORY, &mut settings.history, name, table),
            "slow_log" => self.plain(&keys::SLOW_LOG, &mut settings.slow_log, name, table),
            "pool" => {
                let mut pool = self.written.pool.clone();
                self.plain(&keys::POOL, &mut pool, name, table);
                self.written.pool = pool;
            }
            "databases" => {
                self.named(name, table, |reader, name, path, table| reader.database(name, path, table))
            }
            _ => self.named(name, table, |reader, name, path, table| {
                reader.plain(&keys::USER, written::user(&mut settings, name), path, table);
            }),
        }
        self.written.settings = settings;
    }

    /// A section whose keys are those of a table.
    fn plain<T>(&mut self, keys: &Table<T>, target: &mut T, path: &str, table: &DeTable<'_>) {
        let context = self.context;
        for (key, value) in table {
            let name = key.get_ref();
            self.key(
                path,
                name,
                key.span().start,
                value,
                || keys.names(),
                |given| keys.set(target, name, given, context),
            );
        }
    }

    /// A section of sections: `[databases.NAME]`, `[users.NAME]`.
    fn named(
        &mut self,
        section: &str,
        table: &DeTable<'_>,
        mut read: impl FnMut(&mut Self, &str, &str, &DeTable<'_>),
    ) {
        for (key, value) in table {
            let name = key.get_ref();
            let at = key.span().start;
            let path = format!("{section}.{name}");
            let origin = self.origin(at);
            self.written.origins.set(&path, origin);
            match value.get_ref().as_table() {
                Some(table) => read(self, name, &path, table),
                None => {
                    self.error(at, format!("`{name}` must be a section; write [{path}] on a line of its own"))
                }
            }
        }
    }

    fn database(&mut self, name: &str, path: &str, table: &DeTable<'_>) {
        let mut database = WrittenDatabase::new(&self.written.pool);
        let context = self.context;
        // The other keys win over the URL, so it comes first.
        let (url, others): (Vec<_>, Vec<_>) = table.iter().partition(|(key, _)| key.get_ref() == "url");
        for (key, value) in url.into_iter().chain(others) {
            let name = key.get_ref();
            let at = key.span().start;
            self.key(path, name, at, value, WrittenDatabase::keys, |given| {
                database.set(name, given, context)
            });
            if let ("url", Some(text)) = (name.as_ref(), &database.url) {
                let text = text.0.clone();
                self.url(&text, value.span().start, path, &mut database);
            }
        }
        if let (Some((hosts, _)), true) = (table.get_key_value("hosts"), table.contains_key("url")) {
            let message = "`hosts` stands beside `url`, which has hosts too; remove one";
            self.error(hosts.span().start, message);
        }
        self.written.databases.insert(name.to_owned(), database);
    }

    fn url(&mut self, text: &str, at: usize, path: &str, database: &mut WrittenDatabase) {
        // Where the text stands in the file as it is, an offset in it is one in the file.
        let literal = self.text.get(at + 1..).is_some_and(|rest| rest.starts_with(text));
        let place = |offset: usize| if literal { at + 1 + offset } else { at };
        match url::parse(text) {
            Ok(url) => {
                for (key, offset) in said_by(&url) {
                    let origin = self.origin(place(offset));
                    self.written.origins.set(format!("{path}.{key}"), origin);
                }
                let said = apply_url(&url, database, self.context);
                for (offset, message) in said.errors {
                    self.error(place(offset), message);
                }
                for (offset, message) in said.notes {
                    let origin = self.origin(place(offset));
                    self.written.notes.push(ConfigError { origin, message });
                }
            }
            Err(errors) => {
                for error in errors {
                    self.error(place(error.offset), error.message);
                }
            }
        }
    }

    /// One key: sets it, notes where it stands and what is wrong with it.
    fn key<N: Iterator<Item = &'static str>>(
        &mut self,
        section: &str,
        name: &str,
        at: usize,
        value: &Value<'_>,
        known: impl Fn() -> N,
        set: impl FnOnce(&Given) -> Option<Result<(), String>>,
    ) {
        match set(&given(value.get_ref())) {
            None => self.error(at, unknown_key(section, name, known())),
            Some(Err(problem)) => self.error(value.span().start, format!("`{name}` {problem}")),
            Some(Ok(())) => {
                let path = if section.is_empty() { name.to_owned() } else { format!("{section}.{name}") };
                let origin = self.origin(at);
                self.written.origins.set(path, origin);
            }
        }
    }

    fn error(&mut self, at: usize, message: impl Into<String>) {
        let origin = self.origin(at);
        self.written.error(origin, message);
    }

    fn origin(&self, at: usize) -> Origin {
        let before = self.text.get(..at).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Origin::File(FilePlace {
            path: Arc::clone(&self.path),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        })
    }
}

/// The keys of a database that a URL stands for, and where in it.
pub fn said_by(url: &url::Url) -> impl Iterator<Item = (&str, usize)> {
    let parameters = url.parameters.iter().map(|parameter| (parameter.name.as_str(), parameter.offset));
    ["hosts", "database", "user", "password"].map(|key| (key, 0)).into_iter().chain(parameters)
}

/// What there is to say of a URL, each with its offset in it.
#[derive(Debug, Default)]
pub struct Said {
    /// What is wrong.
    pub errors: Vec<(usize, String)>,
    /// What is not wrong, and does nothing.
    pub notes: Vec<(usize, String)>,
}

/// Applies a URL to a database.
pub fn apply_url(url: &url::Url, database: &mut WrittenDatabase, context: &Context<'_>) -> Said {
    database.set_identity(url);
    let mut said = Said::default();
    for parameter in &url.parameters {
        let name = &parameter.name;
        match database.set_parameter(name, &parameter.value, context) {
            Some(Ok(())) => {}
            Some(Err(problem)) => said.errors.push((parameter.offset, format!("`{name}` {problem}"))),
            // Such a name may be the end of a password with a `?` in it: it is not shown.
            None if parameter.value.contains('@') => {
                let message = "unknown parameter; write `?` in a password as %3F, `@` as %40";
                said.errors.push((parameter.offset, message.to_owned()));
            }
            None if PASSED_OVER.contains(&name.as_str()) && parameter.value != "require" => {
                let note = format!("`{name}` is for clients of libpq's; it is passed over here");
                said.notes.push((parameter.offset, note));
            }
            None => said.errors.push((parameter.offset, unknown_parameter(name))),
        }
    }
    said
}

/// Parameters of libpq that mean something which pgweir does not do.
const ONLY_LIBPQ: [&str; 9] = [
    "hostaddr",
    "replication",
    "require_auth",
    "requirepeer",
    "service",
    "ssl_max_protocol_version",
    "ssl_min_protocol_version",
    "sslcrl",
    "sslpassword",
];

/// Those that say how a client of libpq's is to behave, which changes nothing here: they are passed over.
const PASSED_OVER: [&str; 16] = [
    "client_encoding",
    "fallback_application_name",
    "gssdelegation",
    "gssencmode",
    "gsslib",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "krbsrvname",
    "load_balance_hosts",
    "max_protocol_version",
    "min_protocol_version",
    "passfile",
    "sslcompression",
    "tcp_user_timeout",
];

fn unknown_parameter(name: &str) -> String {
    if ONLY_LIBPQ.contains(&name) {
        return format!("`{name}` is a parameter of libpq that pgweir does not have; remove it");
    }
    let libpq = ["host", "port", "user", "password", "dbname"];
    let hint = suggest::did_you_mean(name, WrittenDatabase::parameters().chain(libpq));
    let hint = if hint.is_empty() { "; remove it".to_owned() } else { hint };
    format!("unknown parameter `{name}`{hint}")
}

fn unknown_key(section: &str, name: &str, known: impl Iterator<Item = &'static str>) -> String {
    let place = if section.is_empty() { "at the top level".to_owned() } else { format!("in [{section}]") };
    format!("unknown key `{name}` {place}; {}", instead_of(section, name, known.collect()))
}

/// What to write instead of a key that is not known where it stands.
fn instead_of(section: &str, name: &str, known: Vec<&'static str>) -> String {
    const TOP: &str = "at the top, before any section";
    let mut sections = SECTIONS.into_iter().filter(|_| section.is_empty());
    if let Some(plural) = sections.find(|known| known.strip_suffix('s') == Some(name)) {
        return format!("did you mean `{plural}`?");
    }
    if let Some((other, key)) = suggest::instead_of_pgbouncers(name) {
        return match (known.contains(&key), other) {
            (true, _) => format!("it is `{key}` here"),
            (false, "") => format!("it is `{key}` {TOP}"),
            (false, other) => format!("it is `{key}` of [{other}]"),
        };
    }
    let elsewhere = keys::sections().into_iter().find(|other| other.keys.iter().any(|key| key.name == name));
    match (suggest::nearest(name, known), elsewhere) {
        (_, Some(other)) if other.name.is_empty() => format!("it belongs {TOP}"),
        (_, Some(other)) => format!("it belongs in [{}]", other.name),
        (Some(near), None) => format!("did you mean `{near}`?"),
        (None, None) => "remove it".to_owned(),
    }
}
