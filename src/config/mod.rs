//! Settings: as written (file, URL, flags) to as used.
//!
//! The order is: defaults, then the file, then the URL and flags of the command line; the later wins.

pub mod file;
pub mod host;
pub mod keys;
pub mod kinds;
pub mod place;
pub mod reference;
pub mod settings;
mod startup_options;
mod suggest;
#[cfg(test)]
mod tests;
pub mod url;
mod validate;
pub mod written;

use std::path::{Path, PathBuf};

use kinds::{Context, Given};
pub use place::{ConfigError, Origin, Origins};
pub use settings::Settings;
use written::{Written, WrittenDatabase};

/// Where settings are read from. Kept by a process that reloads: loading it again reads the file again.
#[derive(Clone, Default)]
pub struct Sources {
    /// The settings file.
    pub file: Option<PathBuf>,
    /// The URL of the command line; it may hold a password.
    pub url: Option<String>,
    /// `--listen`, in place of the file's addresses; empty: not given.
    pub listen: Vec<String>,
    /// `--http`.
    pub http: Option<String>,
    /// `--store`, a file or a URL, in place of the settings file's.
    pub store: Option<PathBuf>,
}

/// Settings, and where each was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// Where each was written.
    pub origins: Origins,
    /// What is right and does nothing, or not what one might think.
    pub notes: Vec<ConfigError>,
}

/// Reads and checks the settings. On failure, everything that is wrong, in the order of the file.
pub fn load(sources: &Sources) -> Result<Settings, Vec<ConfigError>> {
    load_with_origins(sources).map(|loaded| loaded.settings)
}

/// Puts settings back in `new` that a process which runs with `old` cannot change; gives their keys.
pub fn keep_until_restart(new: &mut Settings, old: &Settings) -> Vec<&'static str> {
    let mut kept = vec![];
    let mut keep = |key, changed: bool| kept.extend(changed.then_some(key));
    keep("listen", new.listen != old.listen);
    keep("unix_socket_dir", new.unix_socket_dir != old.unix_socket_dir);
    keep("http", new.http_listen != old.http_listen);
    keep("workers", new.workers != old.workers);
    keep("limits.cache_size", new.limits.cache_size != old.limits.cache_size);
    keep("log.format", new.log.json != old.log.json);
    keep("history.store", new.history.store != old.history.store);
    keep("history.url", new.history.url != old.history.url);
    keep("history.instance", new.history.instance != old.history.instance);
    new.listen.clone_from(&old.listen);
    new.unix_socket_dir.clone_from(&old.unix_socket_dir);
    (new.http_listen, new.workers, new.log.json) = (old.http_listen, old.workers, old.log.json);
    new.limits.cache_size = old.limits.cache_size;
    new.history.store.clone_from(&old.history.store);
    new.history.url.clone_from(&old.history.url);
    new.history.instance.clone_from(&old.history.instance);
    kept
}

/// As [`load`], and says where each setting was written.
pub fn load_with_origins(sources: &Sources) -> Result<Loaded, Vec<ConfigError>> {
    load_in(sources, &|name| std::env::var(name).ok())
}

/// Settings of a text that would stand in a file of this name, without a command line; everything that is wrong with it.
pub fn read(path: &Path, text: &str) -> Result<Loaded, Vec<ConfigError>> {
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    let mut written = Written::default();
    file::read_text(path, text, &Context { folder, env: &|name| std::env::var(name).ok() }, &mut written);
    finish(written)
}

fn load_in(sources: &Sources, env: &dyn Fn(&str) -> Option<String>) -> Result<Loaded, Vec<ConfigError>> {
    let folder = sources.file.as_deref().and_then(Path::parent).unwrap_or(Path::new("")).to_owned();
    let mut written = Written::default();
    if let Some(path) = &sources.file {
        file::read(path, &Context { folder, env }, &mut written);
    }
    command_line(sources, &Context { folder: PathBuf::new(), env }, &mut written);
    finish(written)
}

/// Completes and checks. Contradictions are looked for only where each value is right by itself.
fn finish(mut written: Written) -> Result<Loaded, Vec<ConfigError>> {
    if written.errors.is_empty() {
        validate::as_written(&mut written);
        written.complete();
        validate::as_used(&mut written);
    }
    if written.errors.is_empty() {
        let Written { settings, origins, notes, .. } = written;
        return Ok(Loaded { settings, origins, notes });
    }
    written.errors.sort();
    written.errors.dedup();
    Err(written.errors)
}

fn command_line(sources: &Sources, context: &Context<'_>, written: &mut Written) {
    if !sources.listen.is_empty() {
        let addresses = sources.listen.iter().cloned().map(Given::Word).collect();
        flag(written, context, "listen", "--listen", &Given::List(addresses));
    }
    if let Some(http) = &sources.http {
        flag(written, context, "http", "--http", &Given::Word(http.clone()));
    }
    if let Some(store) = &sources.store {
        store_argument(store, context, written);
    }
    if let Some(given) = &sources.url {
        match url_text(given, context) {
            Ok(text) => url_argument(&text, context, written),
            Err(why) => written.error(Origin::Url(None), why),
        }
    }
}

/// A file or a URL, in place of what the settings file says.
fn store_argument(store: &Path, context: &Context<'_>, written: &mut Written) {
    let history = &mut written.settings.history;
    (history.store, history.url) = (None, None);
    let Some(word) = store.to_str().filter(|word| is_url(word)) else {
        history.store = Some(store.to_owned());
        return written.origins.set("history.store", Origin::Flag("--store"));
    };
    match url_text(word, context) {
        Ok(text) => {
            history.url = Some(settings::Secret(text));
            written.origins.set("history.url", Origin::Flag("--store"));
        }
        Err(why) => written.error(Origin::Flag("--store"), why),
    }
}

/// Whether a word is a URL of a server, or says where one is (`env:NAME`, `file:/path`), and is no name of a file.
pub fn is_url(word: &str) -> bool {
    ["postgres://", "postgresql://", "env:", "file:"].iter().any(|prefix| word.starts_with(prefix))
}

/// A URL that is no database of clients: the settings that it stands for, and the names of its only database and of its user.
///
/// # Errors
/// What is wrong with it, without its password.
pub fn place_of_url(url: &str) -> Result<(Settings, String, String), String> {
    let sources = Sources { url: Some(url.to_owned()), ..Sources::default() };
    let loaded = load_in(&sources, &|_| None);
    let settings = loaded
        .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))?
        .settings;
    let incomplete = "it names no database or no user; write postgres://user:password@host/database";
    let named = settings.databases.iter().find(|(name, _)| *name != "*").ok_or(incomplete)?;
    let user = url::parse(url).ok().and_then(|url| url.user).ok_or(incomplete)?;
    let database = named.0.clone();
    Ok((settings, database, user))
}

/// The URL that is meant by the command line's: itself, or what `env:NAME` or `file:/path` hold, which other users of the machine
/// cannot see.
///
/// # Errors
/// Why it cannot be read.
pub fn meant_url(given: &str) -> Result<String, String> {
    url_text(given, &Context { folder: PathBuf::new(), env: &|name| std::env::var(name).ok() })
}

fn url_text(given: &str, context: &Context<'_>) -> Result<String, String> {
    if !["env:", "file:"].iter().any(|prefix| given.starts_with(prefix)) {
        return Ok(given.to_owned());
    }
    match kinds::secret(&Given::Word(given.to_owned()), context) {
        Ok(Some(text)) => Ok(text.0),
        Err(kinds::Problem::Because(why)) => Err(format!("the URL {why}")),
        Ok(None) | Err(_) => Err(format!("`{given}` holds no URL")),
    }
}

fn flag(written: &mut Written, context: &Context<'_>, key: &str, flag: &'static str, given: &Given) {
    match keys::TOP.set(&mut written.settings, key, given, context) {
        Some(Err(problem)) => written.error(Origin::Flag(flag), problem),
        _ => written.origins.set(key, Origin::Flag(flag)),
    }
}

/// The URL of the command line: a database of its own name; without others, also the fallback `*`.
fn url_argument(text: &str, context: &Context<'_>, written: &mut Written) {
    let character = |offset| Origin::Url(Some(text.get(..offset).unwrap_or(text).chars().count() + 1));
    let url = match url::parse(text) {
        Ok(url) => url,
        Err(errors) => {
            return errors
                .into_iter()
                .for_each(|error| written.error(character(error.offset), error.message));
        }
    };
    let alone = written.databases.is_empty();
    if url.database.is_none() && !alone {
        return written.error(
            Origin::Url(None),
            "the URL names no database; add /name, since the file has databases too",
        );
    }
    let name = url.database.clone().unwrap_or_else(|| "*".to_owned());
    let mut database = match written.databases.get(&name) {
        // The file's, except where it is found.
        Some(database) => WrittenDatabase { url: None, ..database.clone() },
        None => WrittenDatabase::new(&written.pool),
    };
    let said = file::apply_url(&url, &mut database, context);
    for (offset, message) in said.errors {
        written.error(character(offset), message);
    }
    let notes = said.notes.into_iter();
    written.notes.extend(notes.map(|(offset, message)| ConfigError { origin: character(offset), message }));
    if written.settings.auth.auth_user.is_none() {
        written.settings.auth.auth_user.clone_from(&url.user);
    }
    if alone {
        let fallback = WrittenDatabase { database: None, ..database.clone() };
        insert(written, "*", fallback, &url, &character);
    }
    if name != "*" || !alone {
        insert(written, &name, database, &url, &character);
    }
}

/// Puts the command line's database under a name, and notes where it was written.
fn insert(
    written: &mut Written,
    name: &str,
    database: WrittenDatabase,
    url: &url::Url,
    character: &impl Fn(usize) -> Origin,
) {
    let path = format!("databases.{name}");
    for (key, offset) in file::said_by(url) {
        let origin = if offset == 0 { Origin::Url(None) } else { character(offset) };
        written.origins.set(format!("{path}.{key}"), origin);
    }
    written.origins.set(path, Origin::Url(None));
    written.databases.insert(name.to_owned(), database);
    written.command_line.push(name.to_owned());
}
