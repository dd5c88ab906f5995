//! The relations that are wanted, and how far each is on its way to be followed. Pure: what is to be done is given as [`Todo`], and what
//! is to be told as [`News`].
//!
//! A table is read from the catalog, added to the publication, and *published* until all transactions have ended that ran at that time;
//! then the publication is touched, and it is *settled*; from the first fresh point behind that on it is *ready*, and usable if all of its
//! descendants are ready too.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::catalog::Found;
use super::table::{Refusal, Table};

/// More relations are not followed, descendants included.
pub const MOST: usize = 4096;
/// After this time the server is asked again to publish a table that it has refused.
const AGAIN: Duration = Duration::from_secs(30);

/// What is to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// [`super::Sink::usable`].
    Usable(Arc<Table>),
    /// [`super::Sink::unusable`].
    Unusable(u32, Refusal),
    /// [`super::Sink::relation_changed`].
    Changed(u32),
}

/// What is to be done to the publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Todo {
    /// Add this table, and say with [`Wanted::published`] when it was.
    Add(u32),
    /// Take this table out.
    Remove(u32),
}

/// All relations that are wanted.
#[derive(Debug, Default)]
pub struct Wanted {
    entries: BTreeMap<u32, Entry>,
}

#[derive(Debug, Default)]
struct Entry {
    /// By somebody, and not only as a descendant.
    asked: bool,
    stage: Stage,
    table: Option<Arc<Table>>,
    /// What was told last: it is usable, or why not.
    told: Option<Result<(), Refusal>>,
}

#[derive(Debug, Default, Clone, PartialEq, Eq)]
enum Stage {
    /// It is to be read, and to be added.
    #[default]
    New,
    /// Why; and when the server is asked again, if it was the server.
    Refused(Refusal, Instant),
    /// It was added; all transactions before this have to end.
    Published(u64),
    /// The next fresh point from here on makes it ready.
    Settled(Instant),
    /// Its changes are told.
    Ready,
}

impl Wanted {
    /// A relation is wanted. True: it was not before.
    ///
    /// # Errors
    /// [`Refusal::TooMany`] beyond [`MOST`].
    pub fn want(&mut self, relation: u32) -> Result<bool, Refusal> {
        if self.entries.len() >= MOST && !self.entries.contains_key(&relation) {
            return Err(Refusal::TooMany);
        }
        let entry = self.entries.entry(relation).or_default();
        let is_new = !entry.asked;
        entry.asked = true;
        Ok(is_new)
    }

    /// A relation is wanted no more.
    pub fn unwant(&mut self, relation: u32) {
        if let Some(entry) = self.entries.get_mut(&relation) {
            entry.asked = false;
            entry.told = None;
        }
    }

    /// Those that are to be read.
    pub fn all(&self) -> Vec<u32> {
        self.entries.keys().copied().collect()
    }

    /// What a relation is, if it is in the publication.
    pub fn table(&self, relation: u32) -> Option<&Arc<Table>> {
        let entry = self.entries.get(&relation)?;
        entry.table.as_ref().filter(|_| !matches!(entry.stage, Stage::New | Stage::Refused(..)))
    }

    /// Relations that are usable, and those that were asked for.
    pub fn counts(&self) -> (usize, usize) {
        let asked = self.entries.values().filter(|entry| entry.asked);
        (asked.clone().filter(|entry| entry.told == Some(Ok(()))).count(), asked.count())
    }

    /// One of those that were asked for and cannot be followed, and why.
    pub fn refused(&self) -> Option<(u32, Refusal)> {
        let refused = |(oid, entry): (&u32, &Entry)| match &entry.told {
            Some(Err(refusal)) if entry.asked => Some((*oid, refusal.clone())),
            _ => None,
        };
        self.entries.iter().filter_map(refused).min_by_key(|(oid, _)| *oid)
    }

    /// Whether some are on their way.
    pub fn is_settling(&self) -> bool {
        self.entries.values().any(|entry| matches!(entry.stage, Stage::Published(_) | Stage::Settled(_)))
    }

    /// The catalog's answer for `asked`: all that are there are among `found`.
    pub(super) fn read(&mut self, asked: &[u32], found: Vec<Found>, now: Instant) -> (Vec<Todo>, Vec<News>) {
        let (mut todo, mut news) = (vec![], vec![]);
        let needed = self.needed();
        for oid in asked.iter().filter(|oid| !found.iter().any(|found| found.oid == **oid)) {
            self.refuse(*oid, Refusal::Gone, now);
        }
        for found in found {
            if !needed.contains(&found.oid) {
                self.entries.remove(&found.oid);
                todo.extend(found.published.then_some(Todo::Remove(found.oid)));
                continue;
            }
            match found.table {
                Ok(table) => self.take(table, found.published, now, &mut todo, &mut news),
                Err(refusal) => {
                    self.refuse(found.oid, refusal, now);
                    todo.extend(found.published.then_some(Todo::Remove(found.oid)));
                }
            }
        }
        self.entries.retain(|oid, entry| entry.asked || needed.contains(oid) || entry.stage == Stage::New);
        news.extend(self.news());
        (todo, news)
    }

    fn take(
        &mut self,
        table: Table,
        published: bool,
        now: Instant,
        todo: &mut Vec<Todo>,
        news: &mut Vec<News>,
    ) {
        let (oid, partitioned) = (table.oid, table.partitioned);
        let room = MOST.saturating_sub(self.entries.len());
        let missing: Vec<u32> =
            table.descendants.iter().copied().filter(|oid| !self.entries.contains_key(oid)).collect();
        let too_many = missing.len() > room;
        let Some(entry) = self.entries.get_mut(&oid) else { return };
        let is_known = !matches!(entry.stage, Stage::New | Stage::Refused(..));
        let same = entry.table.as_deref() == Some(&table);
        if is_known && !same {
            news.push(News::Changed(oid));
        }
        // Somebody else has taken it out of the publication: changes were missed.
        let taken_out = is_known && !partitioned && !published;
        if is_known && (!same || taken_out) {
            entry.stage = Stage::New;
            news.push(News::Unusable(oid, Refusal::Changed));
            entry.told = None;
        }
        if !same {
            entry.table = Some(Arc::new(table));
        }
        if too_many {
            return self.refuse(oid, Refusal::TooMany, now);
        }
        match &entry.stage {
            Stage::Refused(Refusal::Server(_), again) if now < *again => {}
            Stage::New | Stage::Refused(..) if partitioned => entry.stage = Stage::Settled(now),
            Stage::New | Stage::Refused(..) => {
                entry.stage = Stage::New;
                todo.push(Todo::Add(oid));
            }
            Stage::Published(_) | Stage::Settled(_) | Stage::Ready => {}
        }
        for descendant in missing {
            self.entries.entry(descendant).or_default();
        }
    }

    fn refuse(&mut self, oid: u32, refusal: Refusal, now: Instant) {
        let Some(entry) = self.entries.get_mut(&oid) else { return };
        entry.table = None;
        entry.stage = Stage::Refused(refusal, now + AGAIN);
    }

    /// A table was added to the publication: all transactions before this one have to end.
    pub fn published(&mut self, oid: u32, before: u64) {
        if let Some(entry) = self.entries.get_mut(&oid)
            && entry.stage == Stage::New
        {
            entry.stage = Stage::Published(before);
        }
    }

    /// The server has refused to add it.
    pub fn not_published(&mut self, oid: u32, refusal: Refusal, now: Instant) -> Vec<News> {
        self.refuse(oid, refusal, now);
        self.news()
    }

    /// Those that are published, and no transaction runs any more that ran when they were added; all transactions before `xmin` have ended.
    pub fn to_settle(&self, xmin: u64) -> Vec<u32> {
        let is_due = |entry: &Entry| matches!(entry.stage, Stage::Published(before) if before <= xmin);
        self.entries.iter().filter(|(_, entry)| is_due(entry)).map(|(oid, _)| *oid).collect()
    }

    /// The publication was touched after that, before this instant.
    pub fn settled(&mut self, oids: &[u32], at: Instant) {
        for oid in oids {
            if let Some(entry) = self.entries.get_mut(oid)
                && matches!(entry.stage, Stage::Published(_))
            {
                entry.stage = Stage::Settled(at);
            }
        }
    }

    /// There is a new fresh point.
    pub fn fresh(&mut self, point: Instant) -> Vec<News> {
        let mut any = false;
        for entry in self.entries.values_mut() {
            if matches!(entry.stage, Stage::Settled(at) if at <= point) {
                entry.stage = Stage::Ready;
                any = true;
            }
        }
        if any { self.news() } else { vec![] }
    }

    /// The stream has found that a relation is not what it was read to be. `None`: it is not followed.
    pub fn changed(&mut self, oid: u32) -> Option<Vec<News>> {
        let entry = self.entries.get_mut(&oid)?;
        if matches!(entry.stage, Stage::New | Stage::Refused(..)) {
            return None;
        }
        (entry.stage, entry.table) = (Stage::New, None);
        Some(self.news())
    }

    /// The stream has broken: all begin anew.
    pub fn lost(&mut self) {
        self.entries.retain(|_, entry| entry.asked);
        for entry in self.entries.values_mut() {
            *entry = Entry { asked: true, ..Entry::default() };
        }
    }

    /// All that were asked for, and what belongs to them.
    fn needed(&self) -> std::collections::HashSet<u32> {
        let asked = self.entries.iter().filter(|(_, entry)| entry.asked);
        asked
            .flat_map(|(oid, entry)| {
                let descendants = entry.table.as_ref().map_or(&[][..], |table| &table.descendants);
                std::iter::once(*oid).chain(descendants.iter().copied())
            })
            .collect()
    }

    /// What has become of each since it was told.
    fn news(&mut self) -> Vec<News> {
        let now: Vec<(u32, Option<Result<(), Refusal>>)> =
            self.entries.iter().map(|(oid, entry)| (*oid, self.judge(entry))).collect();
        let mut news = vec![];
        for (oid, judged) in now {
            let Some(entry) = self.entries.get_mut(&oid) else { continue };
            if !entry.asked || judged == entry.told {
                continue;
            }
            match (&judged, &entry.table) {
                (Some(Ok(())), Some(table)) => news.push(News::Usable(table.clone())),
                (Some(Err(refusal)), _) => news.push(News::Unusable(oid, refusal.clone())),
                // On its way again: who was told that it is usable has to know.
                (None, _) if entry.told == Some(Ok(())) => news.push(News::Unusable(oid, Refusal::Changed)),
                _ => continue,
            }
            entry.told = judged;
        }
        news
    }

    /// `None`: it is on its way.
    fn judge(&self, entry: &Entry) -> Option<Result<(), Refusal>> {
        if let Stage::Refused(refusal, _) = &entry.stage {
            return Some(Err(refusal.clone()));
        }
        let table = entry.table.as_ref()?;
        let mut ready = entry.stage == Stage::Ready;
        for oid in &table.descendants {
            match self.entries.get(oid).map(|entry| &entry.stage) {
                Some(Stage::Refused(..)) => return Some(Err(Refusal::Descendant(*oid))),
                Some(Stage::Ready) => {}
                _ => ready = false,
            }
        }
        ready.then_some(Ok(()))
    }
}

#[cfg(test)]
#[path = "wanted_tests.rs"]
mod tests;
