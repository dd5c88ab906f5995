//! Where a history is: a file, or a PostgreSQL that a fleet of pgweirs has in common. Whoever reads need not know which.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::file::Trouble;
use super::fleet::{self, Fleet};
use super::marks::{self, Mark, SeenTable};
use super::read::{self, History};
use super::samples::Stored;
use super::{numbers, plans, turns};
use crate::advice::form::Planned;
use crate::advice::turn::Turn;
use crate::config::{self, settings};

/// A file, or a PostgreSQL.
#[derive(Debug, Clone)]
pub enum Place {
    /// The file of one pgweir, or of several on one machine.
    File(PathBuf),
    /// The database of a fleet.
    Fleet(Arc<Fleet>),
}

impl Place {
    /// What the settings say; `None`: nothing is kept.
    ///
    /// # Errors
    /// What is wrong with `history.url`, without its password.
    pub fn of(settings: &settings::History) -> Result<Option<Place>, String> {
        match (&settings.url, &settings.store) {
            (Some(url), _) => Ok(Some(Place::Fleet(Arc::new(Fleet::of(&url.0)?)))),
            (None, store) => Ok(store.clone().map(Place::File)),
        }
    }

    /// What the command line names: a file; a URL, or `env:NAME` or `file:/path` that hold one.
    ///
    /// # Errors
    /// What is wrong with the URL, without its password.
    pub fn named(name: &Path) -> Result<Place, String> {
        match name.to_str().filter(|word| config::is_url(word)) {
            Some(word) => Ok(Place::Fleet(Arc::new(Fleet::of(&config::meant_url(word)?)?))),
            None => Ok(Place::File(name.to_owned())),
        }
    }

    /// Reads what was counted in a time, in seconds since 1970, by all pgweirs or by one, and keeps it in so many parts besides. What is older is kept by the
    /// hour or the day: all of one that reaches into the time counts.
    ///
    /// # Errors
    /// When it cannot be read, or is not pgweir's.
    pub fn between(
        &self,
        window: (i64, i64),
        parts: usize,
        instance: Option<&str>,
    ) -> Result<History, Trouble> {
        match self {
            Place::File(path) => read::between(path, window, parts, instance),
            Place::Fleet(fleet) => fleet::read::between(fleet, window, parts, instance),
        }
    }

    /// Statements with their values, of one database or of all, in the order of their shapes. A file does not know of which pgweir they are.
    ///
    /// # Errors
    /// As [`Place::between`].
    pub fn samples(&self, database: Option<&str>, instance: Option<&str>) -> Result<Vec<Stored>, Trouble> {
        match self {
            Place::File(path) => read::samples(path, database),
            Place::Fleet(fleet) => fleet::read::samples(fleet, database, instance),
        }
    }

    /// Where callers say that they send statements from, since a day: fingerprint, caller, and how often; what comes most often first. A file does not know
    /// of which pgweir they are.
    ///
    /// # Errors
    /// As [`Place::between`].
    pub fn callers(
        &self,
        since: i64,
        database: Option<&str>,
        instance: Option<&str>,
    ) -> Result<Vec<(u128, String, u64)>, Trouble> {
        match self {
            Place::File(path) => read::callers(path, since, database),
            Place::Fleet(fleet) => fleet::read::callers(fleet, since, database, instance),
        }
    }

    /// Shapes that have become slower and are slower still in a time, in seconds since 1970, beside the week before it, or as much time as that has; by
    /// what all pgweirs have counted, or one. Plans are with them that somebody saw who asked the database for that one, or for all.
    ///
    /// # Errors
    /// As [`Place::between`].
    pub fn turns(
        &self,
        window: (i64, i64),
        database: Option<&str>,
        instance: Option<&str>,
    ) -> Result<HashMap<u128, Turn>, Trouble> {
        match self {
            Place::File(path) => turns::turns(path, window, database, instance),
            Place::Fleet(fleet) => fleet::turns::turns(fleet, window, database, instance),
        }
    }

    /// Remembers plans of a database's shapes that were seen at this time, in seconds since 1970, by somebody who asked for one pgweir or for all. A file
    /// does not know for which.
    ///
    /// # Errors
    /// When it cannot be written, or is not pgweir's.
    pub fn note_plans(
        &self,
        (database, instance): (&str, Option<&str>),
        seen: &[Planned],
        now: i64,
    ) -> Result<(), Trouble> {
        match self {
            Place::File(path) => plans::note(path, database, seen, now),
            Place::Fleet(fleet) => fleet::plans::note(fleet, (database, instance), seen, now),
        }
    }

    /// The same; where it cannot be done, a sentence on that for whoever reads the advice.
    pub fn note_plans_or_tell(
        &self,
        whose: (&str, Option<&str>),
        seen: &[Planned],
        now: i64,
    ) -> Option<String> {
        let trouble = self.note_plans(whose, seen, now).err()?;
        let reason = trouble.reason();
        Some(format!("plans are not remembered for later, since the store cannot be written: {reason}"))
    }

    /// Marks a moment.
    ///
    /// # Errors
    /// When it cannot be written, or is not pgweir's.
    pub fn mark(&self, mark: &Mark) -> Result<(), Trouble> {
        match self {
            Place::File(path) => marks::put(path, mark),
            Place::Fleet(fleet) => fleet::marks::put(fleet, mark),
        }
    }

    /// Remembers the indexes of a database's tables, as a pgweir saw them at this time, in seconds since 1970, and marks what came or went since it saw them last.
    ///
    /// # Errors
    /// When it cannot be written, or is not pgweir's.
    pub fn note_indexes(&self, whose: (&str, &str), tables: &[SeenTable], now: i64) -> Result<(), Trouble> {
        match self {
            Place::File(path) => marks::note(path, whose, tables, now),
            Place::Fleet(fleet) => fleet::marks::note(fleet, whose, tables, now),
        }
    }

    /// The numbers of these fixes, each by its key; those that have none yet get the next ones, in this order. `now` is in seconds since 1970.
    ///
    /// # Errors
    /// When it cannot be written, or is not pgweir's.
    pub fn of_fixes(&self, keys: &[u128], now: i64) -> Result<Vec<u64>, Trouble> {
        match self {
            Place::File(path) => numbers::of_fixes(path, keys, now),
            Place::Fleet(fleet) => fleet::numbers::of_fixes(fleet, keys, now),
        }
    }
}

impl fmt::Display for Place {
    /// Without a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File(path) => write!(f, "{}", path.display()),
            Place::Fleet(fleet) => write!(f, "{fleet}"),
        }
    }
}
