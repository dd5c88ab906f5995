//! The action `cache`: that answers are kept and handed out again, and what that promises.

use std::time::Duration;

use super::action::Share;
use super::keys;
use super::reader::{Reader, Value, Wrong, because};
use crate::level::{Caching, InTransaction, OnStreamLoss};

/// How old an answer may be where a rule does not say.
const TTL_CAP: Duration = Duration::from_secs(600);
/// The longest that it may.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
/// How far the stream may be behind where a rule does not say: as long as it takes to be asked twice while nothing happens.
const BOUND: Duration = Duration::from_secs(2);

/// Keeps answers of reads, and hands them out again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cache {
    /// What an answer promises.
    pub level: Caching,
    pub(super) ttl_cap: Option<Duration>,
    pub(super) swr: Option<Duration>,
    pub(super) bound: Option<Duration>,
    /// Answers of more rows are not kept.
    pub max_rows: Option<u64>,
    pub(super) on_stream_loss: Option<OnStreamLoss>,
    /// Tables that it reads beside those that the catalog knows of.
    pub depends_on: Vec<TableName>,
    /// Which share of the hits is run again on the primary and compared; `None`: as the settings have it.
    pub verify: Option<Share>,
    /// In which transactions it holds.
    pub in_transaction: InTransaction,
    /// Of a table, the others that its triggers change. See [`super::TableFacts`].
    pub trigger_writes: Vec<(TableName, Vec<TableName>)>,
    /// Of a table, the columns that never change. See [`super::TableFacts`].
    pub immutable_columns: Vec<(TableName, Vec<Box<str>>)>,
}

/// A table by its name, as the catalog has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableName {
    /// Its schema; without it, whichever the session's search_path finds.
    pub schema: Option<Box<str>>,
    /// Its name.
    pub name: Box<str>,
}

impl Cache {
    /// How old an answer may be, counted from when its query was sent.
    pub fn ttl_cap(&self) -> Duration {
        self.ttl_cap.unwrap_or(TTL_CAP)
    }

    /// For how much longer it is handed out while one reader fetches another; only with level `ttl`.
    pub fn swr(&self) -> Duration {
        self.swr.unwrap_or_default()
    }

    /// How far the replication stream may be behind.
    pub fn bound(&self) -> Duration {
        self.bound.unwrap_or(BOUND)
    }

    /// What happens when the stream is lost or further behind.
    pub fn on_stream_loss(&self) -> OnStreamLoss {
        self.on_stream_loss.unwrap_or_default()
    }

    /// As one would say it.
    pub(super) fn shown(&self) -> String {
        let mut said = format!("{}, for {:?} at most", self.level.word(), self.ttl_cap());
        let mut add = |more: String| said.push_str(&more);
        if let Some(swr) = self.swr {
            add(format!(" and {swr:?} while one fetches another"));
        }
        if let Some(rows) = self.max_rows {
            add(format!(", of {rows} rows at most"));
        }
        if self.level != Caching::Ttl {
            let (bound, then) = (self.bound(), self.on_stream_loss().word());
            add(format!("; {then} when the stream is lost or {bound:?} behind"));
        }
        if !self.depends_on.is_empty() {
            let names: Vec<_> = self.depends_on.iter().map(TableName::written).collect();
            add(format!("; depends on {}", names.join(", ")));
        }
        if self.in_transaction == InTransaction::ReadOnly {
            add("; in read-only transactions too".to_owned());
        }
        if let Some(share) = self.verify {
            add(format!("; {share} of the hits compared with the primary"));
        }
        for (table, writes) in &self.trigger_writes {
            let writes: Vec<_> = writes.iter().map(TableName::written).collect();
            let writes = if writes.is_empty() { "nothing".to_owned() } else { writes.join(", ") };
            add(format!("; triggers of {} write {writes}", table.written()));
        }
        for (table, columns) in &self.immutable_columns {
            add(format!("; {} of {} never changes", columns.join(" and "), table.written()));
        }
        said
    }
}

impl TableName {
    /// `name` or `schema.name`; the reason it is none, continuing "holds ...".
    pub(super) fn read(text: &str) -> Result<TableName, Wrong> {
        let parts: Vec<&str> = text.split('.').collect();
        let sound = |part: &&str| !part.is_empty() && part.len() <= 63 && !part.chars().any(char::is_control);
        if text.contains('*') {
            return because(format!("has {text:?}, but names tables, not patterns; write each by its name"));
        }
        match parts.as_slice() {
            [name] if sound(name) => Ok(TableName { schema: None, name: (*name).into() }),
            [schema, name] if sound(schema) && sound(name) => {
                Ok(TableName { schema: Some((*schema).into()), name: (*name).into() })
            }
            _ => because(format!("has {text:?}, which is no table; write name or schema.name")),
        }
    }

    /// As it stands in a rule.
    pub fn written(&self) -> String {
        match &self.schema {
            Some(schema) => format!("{schema}.{}", self.name),
            None => self.name.to_string(),
        }
    }
}

/// A table of tables, for each of which something is said.
pub(super) fn by_table<V>(
    value: &Value<'_>,
    mut read: impl FnMut(&Value<'_>) -> Result<V, Wrong>,
) -> Result<Vec<(TableName, V)>, Wrong> {
    let said = value.get_ref().as_table().ok_or(Wrong::NotThat)?;
    if said.is_empty() {
        return because("is empty; remove it, or name a table");
    }
    let one = |(key, value): (&toml::Spanned<toml::de::DeString<'_>>, &Value<'_>)| {
        let name = TableName::read(key.get_ref()).map_err(|wrong| at(key.span().start, wrong))?;
        let said = read(value).map_err(|wrong| at(value.span().start, wrong))?;
        Ok((name, said))
    };
    said.iter().map(one).collect()
}

/// What is wrong with a part of a value, and where.
fn at(place: usize, wrong: Wrong) -> Wrong {
    match wrong {
        Wrong::Because(reason) => Wrong::At(place, reason),
        Wrong::NotThat => Wrong::At(place, "holds something else than names in quotes".to_owned()),
        other => other,
    }
}

/// A column by its name, as the catalog has it.
pub(super) fn column(text: &str) -> Result<Box<str>, Wrong> {
    match text.is_empty()
        || text.len() > 63
        || text.contains(['.', '*'])
        || text.chars().any(char::is_control)
    {
        true => because(format!("has {text:?}, which is no column; write its name alone")),
        false => Ok(text.into()),
    }
}

/// Reads the table `cache`, and refuses what cannot be meant.
pub(super) fn read(value: &Value<'_>, reader: &mut Reader<'_>) -> Result<Cache, Wrong> {
    let cache = reader.inner(&keys::CACHE, value)?;
    if cache.ttl_cap().saturating_add(cache.swr()) > LONGEST {
        return because("keeps answers for more than a day; make `ttl_cap` shorter");
    }
    let by_age = cache.level == Caching::Ttl;
    if by_age && cache.ttl_cap.is_none() {
        return because("has level \"ttl\" without `ttl_cap`; say how old an answer may be");
    }
    if by_age && cache.bound.is_some() {
        return because("has `bound`, and level \"ttl\" does not look at the stream; remove one");
    }
    if by_age && cache.on_stream_loss.is_some() {
        return because("has `on_stream_loss`, and level \"ttl\" does not look at the stream; remove one");
    }
    if by_age && cache.verify.is_some_and(|share| share != Share(0)) {
        return because(
            "has `verify`, and level \"ttl\" may hand out old rows, so that there is nothing to compare; remove one",
        );
    }
    if !by_age && cache.swr.is_some() {
        return because("has `swr`, which is for level \"ttl\"; remove it");
    }
    Ok(cache)
}
