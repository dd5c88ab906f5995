//! What the replication stream tells becomes tags: of rows that were changed, in doubt until every snapshot shows the change.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use foldhash::fast::RandomState;
use tokio::sync::mpsc;

use super::stream::limbo::Xid;
use super::stream::status::{Loss, State, Status};
use super::stream::table::{Identity, Refusal, Table};
use super::stream::{Change, Commit, Old, Options, Sink, Stream, Value};
use super::unchanging::Unchanging;
use crate::cache::cures::{Cure, is_off};
use crate::cache::{Doubt, Relation, Shapes, Tag, Tagged, Values};
use crate::catalog::Beside;
use crate::pool::Target;
use crate::rules::TableFacts;
use crate::runtime::caches::{Caches, DatabaseCache, Source, Standing, Wanted};
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
    /// Commits that snapshots may miss, and whether they have changed definitions.
    limbo: HashMap<Xid, (Doubt, bool), RandomState>,
    /// By which rules that commit is told, and the columns of which they say that they never change.
    facts: Arc<TableFacts>,
    unchanging: Unchanging,
}

/// What one commit has touched. To be used again, for the next one.
#[derive(Debug, Default)]
struct Touched {
    tags: Vec<Tag>,
    /// The lists of shapes by which tags of rows were found, by table, in order.
    by: Vec<(u32, Shapes)>,
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
    fn begins(&self) -> MutexGuard<'_, Heard> {
        let mut heard = self.heard();
        if !std::mem::replace(&mut heard.begun, true) {
            self.cache.feed.began();
        }
        heard
    }

    fn whole(&self, relation: u32) {
        let mut heard = self.heard();
        if !heard.now.whole.contains(&relation) {
            heard.now.whole.push(relation);
        }
    }
}

impl Touched {
    /// A row was changed; `stays`: these columns have in it what they had before.
    fn change(&mut self, cache: &DatabaseCache, change: &Change<'_>, stays: &[i16]) {
        let oid = change.table.oid;
        if self.whole.contains(&oid) {
            return;
        }
        let Some(at) = self.shapes(cache, cache.relation(oid)) else {
            self.whole.push(oid);
            return;
        };
        let (tags, shapes) = (&mut self.tags, &self.by[at].1);
        tags.push(shapes.any_row());
        shapes.all().iter().for_each(|shape| rows(tags, shape, change, stays));
        // Results that were asked of a table above have tags of this one too, since that is where the rows are. What they have of the
        // table itself has nothing to do with rows.
        if self.tags.len() > MOST_TAGS {
            self.whole.extend(self.by.iter().map(|(oid, _)| *oid));
            self.whole.sort_unstable();
            self.whole.dedup();
            self.tags.clear();
        }
    }

    /// The place of a table's list; `None`: it is not watched.
    fn shapes(&mut self, cache: &DatabaseCache, relation: Relation) -> Option<usize> {
        match self.by.binary_search_by_key(&relation.oid, |(oid, _)| *oid) {
            Ok(at) => Some(at),
            Err(at) => {
                self.by.insert(at, (relation.oid, cache.feed.registry().shapes(relation)?));
                Some(at)
            }
        }
    }

    /// All of it is in doubt, and nothing has been touched any more.
    fn doubt(&mut self, cache: &DatabaseCache) -> Doubt {
        let Touched { tags, by, whole, definitions } = self;
        tags.extend(whole.drain(..).map(|oid| Tag::table(cache.relation(oid))));
        tags.extend(std::mem::take(definitions).then(|| Tag::definitions(cache.number)));
        tags.sort_unstable();
        tags.dedup();
        let doubt = cache.store.tags().limbo(tags).found_by(by.drain(..).map(|(_, shapes)| shapes).collect());
        tags.clear();
        doubt
    }

    fn forget(&mut self) {
        self.tags.clear();
        self.by.clear();
        self.whole.clear();
        self.definitions = false;
    }
}

/// Tags of one shape that a change of a row touches: of the values before, and of those after.
fn rows(tags: &mut Vec<Tag>, shape: &Tagged, change: &Change<'_>, stays: &[i16]) {
    let columns = shape.columns();
    let same = |column: &i16| {
        let key = || matches!(&change.table.identity, Identity::Key(key) if key.contains(column));
        change.new.is_some() && (stays.contains(column) || matches!(change.old, Old::KeyUnchanged) && key())
    };
    let before = match change.old {
        Old::Absent => Found::None,
        // They are those of the new row.
        _ if columns.iter().all(|column| same(column) && told_before(change, *column) == Value::Unknown) => {
            Found::None
        }
        _ => found(shape, |column| match (told_before(change, column), change.new) {
            (Value::Unknown, Some(new)) if same(&column) => new.get(column),
            (told, _) => told,
        }),
    };
    let after = change.new.map_or(Found::None, |row| {
        found(shape, |column| match row.get(column) {
            // It is that of the row before.
            Value::Unchanged => told_before(change, column),
            told => told,
        })
    });
    if matches!(after, Found::Unknown) {
        // Also for results that know their rows by keys: this may be a new one.
        tags.push(shape.by_rows);
    }
    for found in [before, after] {
        match found {
            Found::None => {}
            Found::Values(tag) => tags.push(tag),
            Found::Unknown => tags.push(shape.tag),
        }
    }
}

/// Says so, with true, where the stream shows that a column has changed of which a rule says that it never does; answers of before are right all the
/// same there, because the row as it was is known.
fn warn_if_changed(change: &Change<'_>, stays: &[i16]) -> bool {
    let (Old::Whole(old), Some(new)) = (change.old, change.new) else { return false };
    let is_other = |column: &&i16| match (old.get(**column), new.get(**column)) {
        (Value::Text(old), Value::Text(new)) => old != new,
        (Value::Text(_), Value::Null) | (Value::Null, Value::Text(_)) => true,
        _ => false,
    };
    let Some(column) = stays.iter().find(is_other) else { return false };
    let Table { schema, name, .. } = &**change.table;
    let column = change.table.column(*column).map(|column| column.name.as_str());
    tracing::warn!(
        schema,
        table = name,
        column,
        "a column has changed of which `immutable_columns` of a rule says that it never does"
    );
    true
}

/// What the stream has of the row as it was.
fn told_before<'a>(change: &Change<'a>, column: i16) -> Value<'a> {
    match change.old {
        Old::Whole(row) | Old::Key(row) => row.get(column),
        Old::Absent | Old::KeyUnchanged | Old::Unknown => Value::Unknown,
    }
}

enum Found {
    /// There is no row, or a NULL is among them, which equals nothing.
    None,
    /// The tag of the values.
    Values(Tag),
    Unknown,
}

fn found<'a>(shape: &Tagged, value: impl Fn(i16) -> Value<'a>) -> Found {
    let (mut values, mut known) = (Values::of(shape.tag), true);
    for column in shape.columns() {
        match value(*column) {
            Value::Text(text) => values.push(text),
            Value::Null => return Found::None,
            Value::Unchanged | Value::Unknown => known = false,
        }
    }
    if known { Found::Values(values.tag()) } else { Found::Unknown }
}

impl Sink for Told {
    fn begin(&self, _: &Commit) {
        let mut heard = self.begins();
        heard.now.forget();
        heard.facts = self.cache.facts();
    }

    fn changed(&self, _: &Commit, change: &Change<'_>) {
        let heard = &mut *self.heard();
        let stays = heard.unchanging.of(change.table, &heard.facts);
        if !heard.unchanging.is_told(change.table.oid) && warn_if_changed(change, &stays) {
            heard.unchanging.told(change.table.oid);
        }
        heard.now.change(&self.cache, change, &stays);
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

    fn beside(&self, beside: &Beside, until: Instant) {
        self.cache.beside(beside, until);
    }

    fn relation_changed(&self, commit: Option<&Commit>, relation: u32) {
        match commit {
            Some(_) => self.whole(relation),
            None => self.cache.store.tags().bump(&[Tag::table(self.cache.relation(relation))]),
        }
    }

    fn committed(&self, commit: &Commit) {
        let heard = &mut *self.heard();
        let defines = heard.now.definitions;
        let doubt = heard.now.doubt(&self.cache);
        if is_off(Cure::Limbo) {
            return doubt.bump_and_release();
        }
        heard.limbo.insert(commit.xid, (doubt, defines));
    }

    fn visible(&self, xid: Xid) {
        let Some((doubt, defines)) = self.heard().limbo.remove(&xid) else { return };
        if defines {
            // While all is in doubt that has to do with definitions; who finds the new versions judges by what is read from now on.
            self.cache.redefined_by_others();
        }
        doubt.bump_and_release();
    }

    fn fresh(&self, at: Instant) {
        drop(self.begins());
        self.cache.reached(at);
        self.cache.tick(Instant::now());
    }

    fn usable(&self, table: &Arc<Table>) {
        self.begins().unchanging.know(table);
        let now = Instant::now();
        for oid in table.descendants.iter().chain([&table.oid]) {
            self.cache.feed.registry().watch(self.cache.relation(*oid), now);
        }
    }

    fn unusable(&self, relation: u32, why: &Refusal) {
        let relation = self.cache.relation(relation);
        self.cache.feed.registry().forget(relation);
        self.cache.store.tags().bump(&[Tag::table(relation)]);
        if *why != Refusal::Changed {
            let (database, hint) = (&self.cache.database, why.hint());
            tracing::info!(
                database,
                oid = relation.oid,
                reason = why.name(),
                hint,
                "a table is not followed: nothing that reads it is kept"
            );
        }
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
        let not_followed = |(oid, refusal): (u32, Refusal)| {
            let hint = refusal.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
            format!("table {oid} (SELECT {oid}::regclass) is not followed: {}{hint}", refusal.name())
        };
        let lost = status.last.filter(|_| !is_live).map(|loss| loss.fault.to_string());
        Standing {
            state: status.state.name(),
            is_live,
            reason: lost.or_else(|| status.refused.map(not_followed)),
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
    all: Vec<Followed>,
}

/// A database that is followed.
#[derive(Debug)]
struct Followed {
    cache: Arc<DatabaseCache>,
    stream: Arc<Stream>,
    /// As whose session it was wanted first.
    user: String,
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

    /// A database has one from now on. One of before a reload, which the settings do not have any more, has none.
    pub fn begin(&mut self, wanted: &Wanted, directory: &Directory, caches: &Caches) {
        let Wanted { cache, target } = wanted;
        if !directory.has_place(&cache.hosts, &cache.name) {
            caches.retire(cache);
            return;
        }
        let own = directory.stream_target(&target.database);
        let (target, user) = (own.as_ref().unwrap_or(target), target.user.clone());
        let stream = Arc::new(Stream::start(Options::default(), target, Arc::new(Told::new(cache.clone()))));
        cache.set_source(Some(stream.clone()));
        self.all.push(Followed { cache: cache.clone(), stream, user });
    }

    /// The settings are others: caches of databases that are there no more end with their streams, and other logins are used from now on. Needs a runtime.
    pub fn follow(&mut self, directory: &Directory, caches: &Caches) {
        let is_gone = |one: &mut Followed| !directory.has_place(&one.cache.hosts, &one.cache.name);
        for Followed { cache, stream, .. } in self.all.extract_if(.., is_gone) {
            let (database, place) = (&cache.database, &cache.name);
            tracing::info!(
                database,
                place,
                "the cache of a database ends, which is somewhere else now or is there no more"
            );
            caches.retire(&cache);
            if let Some(stream) = Arc::into_inner(stream) {
                tokio::spawn(stream.stop());
            }
        }
        for Followed { cache, stream, user } in &self.all {
            let own = directory.stream_target(&cache.database);
            // Two databases of the settings may be one on the server; where that is called by the other name now, the login stays.
            let target = own.or_else(|| directory.target(&cache.database, user));
            let same =
                |target: &Arc<Target>| target.hosts == cache.hosts && target.server_database == cache.name;
            target.filter(same).iter().for_each(|target| stream.change(target));
        }
    }

    /// Ends all, and with them what they have made on servers.
    pub async fn stop(&mut self) {
        for Followed { cache, stream, .. } in self.all.drain(..) {
            cache.set_source(None);
            cache.stream_lost();
            if let Some(stream) = Arc::into_inner(stream) {
                stream.stop().await;
            }
        }
    }
}

#[cfg(test)]
#[path = "caching_tests.rs"]
mod tests;
