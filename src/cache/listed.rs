//! What is listed of an entry.

use std::time::{Duration, Instant};

use super::entry::Entry;
use super::key::user_and_text;
use super::tag::Relation;
use super::tags::Tags;

/// How much of a text is listed.
const TEXT: usize = 200;

/// A line of `SHOW CACHE ENTRIES`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Whose it is.
    pub user: String,
    /// The beginning of the text.
    pub text: String,
    /// The tables that it reads.
    pub relations: Box<[Relation]>,
    /// Its memory.
    pub bytes: usize,
    /// How many tags are looked at for a hit.
    pub tags: usize,
    /// How often it was looked up, or what it replaced was.
    pub uses: u32,
    /// Since when its query was sent.
    pub age: Duration,
    /// How long the database took.
    pub took: Duration,
    /// Whether what it depends on is unchanged, and nobody may be changing it.
    pub holds: bool,
}

impl Listed {
    pub(super) fn of(tags: &Tags, uses: u32, entry: &Entry, now: Instant) -> Listed {
        let (user, text) = user_and_text(entry.key());
        let text = String::from_utf8_lossy(&text[..text.len().min(TEXT)]).into_owned();
        Listed {
            user: String::from_utf8_lossy(user).into_owned(),
            text,
            relations: entry.relations().into(),
            bytes: entry.size(),
            tags: entry.versions().len(),
            uses,
            age: now.saturating_duration_since(entry.sent()),
            took: entry.took(),
            holds: tags.holds(entry.versions()).is_ok(),
        }
    }
}
