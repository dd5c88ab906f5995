//! What is wrong with the files that settings name, as `pgweir check` tells it.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use crate::config::{ConfigError, Loaded};
use crate::session::directory::connector;
use crate::session::entry::Entry;

/// What is wrong with files.
pub(super) struct Files<'a> {
    for_clients: Vec<ConfigError>,
    /// By database.
    for_servers: BTreeMap<&'a str, ConfigError>,
    store: Option<ConfigError>,
}

impl<'a> Files<'a> {
    pub(super) fn of(loaded: &'a Loaded) -> Files<'a> {
        let for_clients = Entry::problems(&loaded.settings);
        let told = for_clients.iter().map(|bad| loaded.origins.error(bad.setting(), bad.to_string()));
        Files { for_clients: told.collect(), for_servers: server_files(loaded), store: store_problem(loaded) }
    }

    /// Lists what is wrong, if anything is.
    pub(super) fn tell(&self, out: &mut impl Write) -> io::Result<()> {
        if !self.are_well() {
            writeln!(out, "files")?;
        }
        let all = self.for_clients.iter().chain(self.for_servers.values()).chain(&self.store);
        all.into_iter().try_for_each(|problem| writeln!(out, "  error: {problem}"))
    }

    pub(super) fn are_well(&self) -> bool {
        self.for_clients.is_empty() && self.for_servers.is_empty() && self.store.is_none()
    }

    /// Nobody can log in to pgweir with these.
    pub(super) fn shut_clients_out(&self) -> bool {
        !self.for_clients.is_empty()
    }

    /// The servers of this database cannot be reached with these.
    pub(super) fn shut_out_of(&self, database: &str) -> bool {
        self.for_servers.contains_key(database)
    }
}

/// What is wrong with the files for TLS towards servers, by database.
fn server_files(loaded: &Loaded) -> BTreeMap<&str, ConfigError> {
    let mut wrong = BTreeMap::new();
    for (name, database) in &loaded.settings.databases {
        if let Err(bad) = connector(name, &database.tls) {
            wrong.insert(name.as_str(), loaded.origins.error(bad.setting(), bad.to_string()));
        }
    }
    wrong
}

/// Why the history cannot be kept, as far as can be seen without making its file.
fn store_problem(loaded: &Loaded) -> Option<ConfigError> {
    let path = loaded.settings.history.store.as_deref()?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let found = match path.exists() {
        true => std::fs::OpenOptions::new().append(true).open(path).map(drop),
        false => std::fs::read_dir(folder).map(drop),
    };
    let error = found.err()?;
    let text = format!(
        "the history cannot be kept in {}: {error}; make the folder {} and let pgweir write there, or name another file",
        path.display(),
        folder.display()
    );
    Some(loaded.origins.error(Some("history.store"), text))
}
