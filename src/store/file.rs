//! The file: opened, checked, and what can be the matter with it.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::migrate::{self, Kind};
use super::status::State;

/// How long SQLite waits for a lock before it says that it is locked.
const PATIENCE: Duration = Duration::from_secs(2);
/// Parts of a file that belong to it.
const PARTS: [&str; 3] = ["", "-wal", "-shm"];

/// Why the file, or the server, cannot be used.
#[derive(Debug)]
pub enum Trouble {
    /// The file is damaged, or no database: another is begun in its place.
    Corrupt(String),
    /// Something that may pass, and what it is.
    Standing(State, String),
}

impl Trouble {
    /// The reason in words.
    pub fn reason(&self) -> &str {
        let (Trouble::Corrupt(reason) | Trouble::Standing(_, reason)) = self;
        reason
    }

    /// It was given up for this state, for this reason.
    fn standing(state: State, reason: impl Into<String>) -> Trouble {
        Trouble::Standing(state, reason.into())
    }
}

impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Trouble {
        let reason = error.to_string();
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Trouble::Corrupt(reason),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                Trouble::standing(State::Locked, reason)
            }
            Some(ErrorCode::DiskFull) => Trouble::standing(State::Full, reason),
            Some(ErrorCode::ReadOnly) => Trouble::standing(State::ReadOnly, reason),
            _ => Trouble::standing(State::Unusable, reason),
        }
    }
}

/// Opens the file for writing, makes it where there is none, and brings its tables up to what is known here.
pub(super) fn open(path: &Path) -> Result<Connection, Trouble> {
    make(path)?;
    let mut file = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    file.busy_timeout(PATIENCE)?;
    // In a folder that may not be written it cannot even be read.
    if file.is_readonly("main")? {
        return Err(Trouble::standing(State::ReadOnly, "it may not be written"));
    }
    if let Kind::Newer(version) = check(&file)? {
        let reason = format!("it is of version {version}, which this pgweir does not know");
        return Err(Trouble::standing(State::Newer, reason));
    }
    // Takes effect where there are no tables yet.
    file.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    file.pragma_update(None, "journal_mode", "WAL")?;
    // What the system had when it crashed is there with it; a crash of this process alone loses nothing either.
    file.pragma_update(None, "synchronous", "NORMAL")?;
    file.pragma_update(None, "journal_size_limit", 4 << 20)?;
    migrate::migrate(&mut file)?;
    Ok(file)
}

/// Opens the file of another process, or of none, to read it. One that an older pgweir has made is brought up to date first.
pub(super) fn open_to_read(path: &Path) -> Result<Connection, Trouble> {
    if !path.exists() {
        return Err(Trouble::standing(State::Unusable, "there is no such file"));
    }
    let file = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    file.busy_timeout(PATIENCE)?;
    match check(&file)? {
        Kind::Ours => Ok(file),
        Kind::Newer(version) => {
            let reason = format!("it is of version {version}, which this pgweir does not know");
            Err(Trouble::standing(State::Newer, reason))
        }
        Kind::Older if migrate::version(&file)? > 0 => {
            drop(file);
            open(path)
        }
        _ => Err(Trouble::standing(State::Foreign, "it has no history of pgweir's in it yet")),
    }
}

/// A file with statements in it is nobody else's to read.
fn make(path: &Path) -> Result<(), Trouble> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => {
            let state = match error.kind() {
                ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => State::ReadOnly,
                ErrorKind::StorageFull => State::Full,
                _ => State::Unusable,
            };
            Err(Trouble::standing(state, error.to_string()))
        }
    }
}

/// Whether it is sound, and what it is.
fn check(file: &Connection) -> Result<Kind, Trouble> {
    let kind = migrate::kind(file)?;
    if kind == Kind::Foreign {
        return Err(Trouble::standing(State::Foreign, "it is a database, and none of pgweir's"));
    }
    let found: String = file.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if found != "ok" {
        return Err(Trouble::Corrupt(found));
    }
    Ok(kind)
}

/// Moves a corrupt file aside, with what belongs to it; gives its new name.
pub(super) fn move_aside(path: &Path) -> std::io::Result<PathBuf> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let named = |name: &Path, end: &str| PathBuf::from(format!("{}{end}", name.display()));
    let free = |n: &u32| {
        named(path, &if *n == 0 { format!(".corrupt-{now}") } else { format!(".corrupt-{now}-{n}") })
    };
    let aside = (0..1000).map(|n| free(&n)).find(|name| !name.exists());
    let aside = aside.ok_or_else(|| std::io::Error::other("there are too many corrupt ones beside it"))?;
    for part in PARTS {
        match std::fs::rename(named(path, part), named(&aside, part)) {
            Err(error) if part.is_empty() || error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(aside)
}
