//! What the replication stream tells becomes tags: of rows that were changed, in doubt until every snapshot shows the change.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::mpsc;

use super::stream::limbo::Xid;
use super::stream::status::{Loss, State, Status};
use super::stream::table::{Identity, Refusal, Table};
use super::stream::{Change, Commit, Old, Options, Row, Sink, Stream, Value};
use crate::cache::cures::{Cure, is_off};
use crate::cache::{Doubt, Relation, Shapes, Tag};
use crate::runtime::caches::{DatabaseCache, Source, Standing, Wanted};
use crate::session::directory::Directory;

/// More tags of one commit than these, and its tables are told as a whole.
const MOST_TAGS: usize = 8192;

/// Turns what is told of a database into tags of its cache.
#[derive(Debug)]
pub struct Told {
    cache: Arc<DatabaseCache>,
    heard: Mutex<Heard>,
}

#[derive(Debug, Default)]
struct Heard {
    /// The stream that is heard has begun.
    begun: bool,
    /// What the commit has touched that is being told.
    now: Touched,
    /// Commits that snapshots may miss.
    limbo: HashMap<Xid, Doubt>,
}

/// What one commit has touched.
#[derive(Debug, Default)]
struct Touched {
    tags: Vec<Tag>,
    /// The lists of shapes by which tags of rows were found.
    by: BTreeMap<u32, Shapes>,
    /// Of these tables, any row.
    whole: Vec<u32>,
    definitions: bool,
}

impl Told {
    /// For this cache.
    pub fn new(cache: Arc<DatabaseCache>) -> Told {
        Told { cache, heard: Mutex::default() }
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something is heard: of the first of a stream it is known that its slot is there.
    fn begins(&self) {
        let begun = std::mem::replace(&mut self.heard().begun, true);
        if !begun {
            self.cache.feed.began();
        }
    }

    fn whole(&self, relation: u32) {
        let mut heard = self.heard();
        if !heard.now.whole.contains(&relation) {
            heard.now.whole.push(relation);
        }
    }
}

impl Touched {
    fn change(&mut self, cache: &DatabaseCache, change: &Change<'_>) {
        let oid = change.table.oid;
        if self.whole.contains(&oid) {
            return;
        }
        let relation = cache.relation(oid);
        let Some(shapes) = self.shapes(cache, relation) else {
            self.whole.push(oid);
            return;
        };
        self.tags.push(Tag::any_row(relation));
        for shape in shapes.all() {
            rows(&mut self.tags, relation, shape.columns(), change);
        }
        // Results that were asked of a table above have tags of this one too, since that is where the rows are. What they have of the
        // table itself has nothing to do with rows.
        if self.tags.len() > MOST_TAGS {
            let tables: Vec<u32> = self.by.keys().copied().collect();
            self.whole.extend(tables);
            self.whole.sort_unstable();
            self.whole.dedup();
            self.tags.clear();
        }
    }

    /// `None`: the table is not watched.
    fn shapes(&mut self, cache: &DatabaseCache, relation: Relation) -> Option<Shapes> {
        if let Some(known) = self.by.get(&relation.oid) {
            return Some(known.clone());
        }
        let shapes = cache.feed.registry().shapes(relation)?;
        self.by.insert(relation.oid, shapes.clone());
        Some(shapes)
    }

    fn doubt(&mut self, cache: &DatabaseCache) -> Doubt {
        let Touched { mut tags, by, whole, definitions } = std::mem::take(self);
        tags.extend(whole.iter().map(|oid| Tag::table(cache.relation(*oid))));
        tags.extend(definitions.then(|| Tag::definitions(cache.number)));
        tags.sort_unstable();
        tags.dedup();
        let doubt = cache.store.tags().limbo(&tags);
        by.into_values().fold(doubt, Doubt::found_by)
    }
}

/// Tags of one shape that a change of a row touches: of the values before, and of those after.
fn rows(tags: &mut Vec<Tag>, relation: Relation, columns: &[i16], change: &Change<'_>) {
    let shape = Tag::shape(relation, columns);
    let identity =
        |column: &i16| matches!(&change.table.identity, Identity::Key(key) if key.contains(column));
    let before = match change.old {
        Old::Absent => Found::None,
        Old::Whole(row) | Old::Key(row) => found(row, columns),
        // They are those of the new row.
        Old::KeyUnchanged if columns.iter().all(identity) => Found::None,
        Old::KeyUnchanged | Old::Unknown => Found::Unknown,
    };
    let after = change.new.map_or(Found::None, |row| found(row, columns));
    for found in [before, after] {
        match found {
            Found::None => {}
            Found::Values(values) => tags.push(Tag::values(shape, values)),
            Found::Unknown => tags.push(shape),
        }
    }
}

enum Found<'a> {
    /// There is no row, or a NULL is among them, which equals nothing.
    None,
    Values(Vec<&'a [u8]>),
    Unknown,
}

fn found<'a>(row: &Row<'a>, columns: &[i16]) -> Found<'a> {
    let (mut values, mut known) = (vec![], true);
    for column in columns {
        match row.get(*column) {
            Value::Text(text) => values.push(text),
            Value::Null => return Found::None,
            Value::Unchanged | Value::Unknown => known = false,
        }
    }
    if known { Found::Values(values) } else { Found::Unknown }
}

impl Sink for Told {
    fn begin(&self, _: &Commit) {
        self.begins();
        self.heard().now = Touched::default();
    }

    fn changed(&self, _: &Commit, change: &Change<'_>) {
        self.heard().now.change(&self.cache, change);
    }

    fn bulk(&self, _: &Commit, relation: u32) {
        self.whole(relation);
    }

    fn truncated(&self, _: &Commit, relation: u32) {
        self.whole(relation);
    }

    fn definitions_changed(&self, _: &Commit) {
        self.heard().now.definitions = true;
    }

    fn relation_changed(&self, commit: Option<&Commit>, relation: u32) {
        match commit {
            Some(_) => self.whole(relation),
            None => self.cache.store.tags().bump(&[Tag::table(self.cache.relation(relation))]),
        }
    }

    fn committed(&self, commit: &Commit) {
        let mut heard = self.heard();
        let doubt = heard.now.doubt(&self.cache);
        if is_off(Cure::Limbo) {
            return doubt.bump_and_release();
        }
        heard.limbo.insert(commit.xid, doubt);
    }

    fn visible(&self, xid: Xid) {
        if let Some(doubt) = self.heard().limbo.remove(&xid) {
            doubt.bump_and_release();
        }
    }

    fn fresh(&self, at: Instant) {
        self.begins();
        self.cache.reached(at);
        self.cache.tick(Instant::now());
    }

    fn usable(&self, table: &Arc<Table>) {
        self.begins();
        let now = Instant::now();
        for oid in table.descendants.iter().chain([&table.oid]) {
            self.cache.feed.registry().watch(self.cache.relation(*oid), now);
        }
    }

    fn unusable(&self, relation: u32, why: &Refusal) {
        let relation = self.cache.relation(relation);
        self.cache.feed.registry().forget(relation);
        self.cache.store.tags().bump(&[Tag::table(relation)]);
        tracing::debug!(relation = relation.oid, reason = why.name(), "a table is not followed");
    }

    fn lost(&self, _: &Loss) {
        let mut heard = self.heard();
        *heard = Heard::default();
        drop(heard);
        self.cache.stream_lost();
    }
}

impl Source for Stream {
    fn want(&self, relation: u32) {
        // Why it is not followed is told to the sink; that too many are wanted is counted there.
        let _ = Stream::want(self, relation);
    }

    fn used(&self) {
        Stream::used(self);
    }

    fn standing(&self) -> Standing {
        self.status().into()
    }
}

impl From<Status> for Standing {
    fn from(status: Status) -> Standing {
        let is_live = status.state == State::Streaming;
        Standing {
            state: status.state.name(),
            is_live,
            reason: status.last.filter(|_| !is_live).map(|loss| loss.fault.to_string()),
            behind_since: status.waits,
            limbo: status.in_limbo,
            oldest_in_limbo: status.oldest_in_limbo,
            followed: status.usable.0,
            wanted: status.usable.1,
        }
    }
}

/// The streams of all databases that have a cache.
#[derive(Debug)]
pub struct Streams {
    wanted: mpsc::UnboundedReceiver<Wanted>,
    all: Vec<(Arc<DatabaseCache>, Arc<Stream>)>,
}

impl Streams {
    /// None yet; databases are told there.
    pub fn new(wanted: mpsc::UnboundedReceiver<Wanted>) -> Streams {
        Streams { wanted, all: vec![] }
    }

    /// The next database that has a cache.
    pub async fn wanted(&mut self) -> Wanted {
        match self.wanted.recv().await {
            Some(wanted) => wanted,
            None => std::future::pending().await,
        }
    }

    /// A database has one from now on.
    pub fn begin(&mut self, wanted: &Wanted, directory: &Directory) {
        let Wanted { cache, target } = wanted;
        let own = directory.stream_target(&target.database);
        let target = own.as_ref().unwrap_or(target);
        let stream = Arc::new(Stream::start(Options::default(), target, Arc::new(Told::new(cache.clone()))));
        cache.set_source(Some(stream.clone()));
        self.all.push((cache.clone(), stream));
    }

    /// Ends all, and with them what they have made on servers.
    pub async fn stop(&mut self) {
        for (cache, stream) in self.all.drain(..) {
            cache.set_source(None);
            cache.stream_lost();
            if let Some(stream) = Arc::into_inner(stream) {
                stream.stop().await;
            }
        }
    }
}
