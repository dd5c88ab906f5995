//! The result cache, for the console and the metrics: what it has, how its streams are, and the orders to it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::table::{Cell, Table, row};
use crate::cache::{Counts, Listed, Relation};
use crate::catalog::{Contents, How, Judge, Relations};
use crate::runtime::Shared;
use crate::runtime::caches::{Caches, DatabaseCache, Standing, Unsettled};
use crate::runtime::verified::Verified;
use crate::sql::facts::Name;
use crate::stats::prometheus::Samples;
use crate::stats::{REFUSALS, Totals};
use crate::wire::Fault;

/// How often it is looked whether what a barrier waits for has come.
const STEP: Duration = Duration::from_millis(5);
/// How long a barrier waits.
const PATIENCE: Duration = Duration::from_secs(10);

/// The result cache at one time.
#[derive(Debug, Default)]
pub struct CacheView {
    /// Each database that has one.
    pub databases: Vec<DatabaseView>,
    /// What there is and was of all of them.
    pub counts: Counts,
    /// How many bytes there may be.
    pub limit: usize,
    /// Answers that may not be kept, by [`REFUSALS`].
    pub refused: [u64; REFUSALS.len()],
}

/// What one database has of it.
#[derive(Debug)]
pub struct DatabaseView {
    /// As clients name it.
    pub name: String,
    /// What its stream does; `None`: it has none.
    pub standing: Option<Standing>,
    /// How long ago its last fresh point was.
    pub fresh: Option<Duration>,
    /// How long the oldest question has waited whose answer the stream has not come to.
    pub lag: Duration,
    /// Writes in doubt that their sessions have done with.
    pub doubts: usize,
    /// How long there was no stream that was needed.
    pub bypassed: Duration,
    /// Hits that were run again on the primary, by [`Verified::ALL`].
    pub verified: [u64; Verified::ALL.len()],
}

/// The cache as it is now; what was refused is to be counted.
pub fn view(caches: &Caches) -> CacheView {
    let databases = caches.all().iter().map(|cache| database(cache, Instant::now())).collect();
    let store = caches.store();
    CacheView { databases, counts: store.counts(), limit: store.limit(), refused: Default::default() }
}

fn database(cache: &DatabaseCache, now: Instant) -> DatabaseView {
    let mut standing = cache.standing();
    if let Some(standing) = standing.as_mut().filter(|standing| standing.is_live) {
        let pause = || cache.pause().map(str::to_owned);
        standing.reason = standing.reason.take().or_else(pause);
    }
    let since = |at: Instant| now.saturating_duration_since(at);
    DatabaseView {
        name: cache.database.clone(),
        fresh: cache.feed.as_of().map(since),
        lag: standing.as_ref().and_then(|standing| standing.behind_since).map(since).unwrap_or_default(),
        standing,
        doubts: cache.doubts(),
        bypassed: cache.bypassed(now),
        verified: cache.verified.all(),
    }
}

impl CacheView {
    /// Counts what a pool has seen.
    pub fn count_refused(&mut self, totals: &Totals) {
        self.refused.iter_mut().zip(totals.refused).for_each(|(mine, other)| *mine += other);
    }

    /// Each database once. Where one is somewhere else since a reload, that is the later one.
    pub fn named(&self) -> impl Iterator<Item = &DatabaseView> {
        let all = &self.databases;
        let is_last =
            |(at, view): &(usize, &DatabaseView)| all[at + 1..].iter().all(|later| later.name != view.name);
        all.iter().enumerate().filter(is_last).map(|(_, view)| view)
    }

    /// A number of each database for the metrics.
    pub fn each(&self, out: &mut Samples<'_>, read: fn(&DatabaseView) -> Option<f64>) {
        for view in self.named() {
            read(view).into_iter().for_each(|number| out.put(&[&view.name], number));
        }
    }
}

impl DatabaseView {
    /// The stream hears what is changed.
    pub fn is_live(&self) -> bool {
        self.standing.as_ref().is_some_and(|standing| standing.is_live)
    }

    /// Hits that were compared with the primary, and those among them that were wrong.
    pub fn verified(&self) -> [u64; 2] {
        let of = |what: Verified| self.verified[what as usize];
        let compared = [Verified::Same, Verified::Wrong, Verified::Changed, Verified::Undecided];
        [compared.map(of).iter().sum(), of(Verified::Wrong)]
    }

    /// Commits that are not visible yet.
    pub fn limbo(&self) -> usize {
        self.standing.as_ref().map_or(0, |standing| standing.limbo)
    }
}

/// SHOW CACHE: a row for each database, and one without a name for what all have together.
pub fn table(view: &CacheView) -> Table {
    let columns = "database state reason fresh_us# lag_us# limbo# doubts# tables_followed# tables_wanted# bypass_us# \
        verified# wrong# entries# bytes# limit# hits# shared# misses# refused# stored# unstored# evicted# waiting#";
    let micros = |time: Duration| time.as_micros() as u64;
    let mut table = Table::new(columns).with(view.databases.iter().map(|one| {
        let standing = one.standing.as_ref();
        let mut row = row![
            &one.name,
            standing.map_or("none", |standing| standing.state),
            standing.and_then(|standing| standing.reason.as_ref()),
            one.fresh.map(micros),
            one.fresh.map(|_| micros(one.lag)),
            one.limbo(),
            one.doubts,
            standing.map_or(0, |standing| standing.followed),
            standing.map_or(0, |standing| standing.wanted),
            micros(one.bypassed),
            one.verified()[0],
            one.verified()[1],
        ];
        row.extend(std::iter::repeat_n(Cell::Null, 11));
        row
    }));
    table.rows.push(totals(view));
    table
}

/// What all databases have together. Doubts are of all writes here, those that are under way included.
fn totals(view: &CacheView) -> Vec<Cell> {
    let counts = &view.counts;
    let mut row = vec![Cell::Null; 5];
    row.extend(row![counts.limbo, counts.writes_in_doubt]);
    row.extend(vec![Cell::Null; 5]);
    row.extend(row![
        counts.entries,
        counts.bytes,
        view.limit,
        counts.all_hits(),
        counts.followed,
        counts.misses.iter().sum::<u64>(),
        view.refused.iter().sum::<u64>(),
        counts.stored,
        counts.unstored.iter().sum::<u64>(),
        counts.evictions.iter().sum::<u64>(),
        counts.followers,
    ]);
    row
}

/// SHOW CACHE ENTRIES: so many at most, from this place on.
pub fn entries(shared: &Shared, most: usize, from: usize) -> Table {
    let columns = "database user tables statement bytes# tags# uses# age_us# took_us# holds#";
    let listed = shared.caches.store().entries(from, most, Instant::now());
    let all = shared.caches.all();
    let names: HashMap<u32, (&DatabaseCache, Option<Arc<Contents>>)> =
        all.iter().map(|cache| (cache.number, (&**cache, contents(shared, cache)))).collect();
    let row = |entry: &Listed| {
        let tables: Vec<_> = entry.relations.iter().map(|relation| named(&names, *relation)).collect();
        let database = entry.relations.first().and_then(|first| names.get(&first.database));
        row![
            database.map(|(cache, _)| &cache.database),
            &entry.user,
            tables.join(", "),
            &entry.text,
            entry.bytes,
            entry.tags,
            u64::from(entry.uses),
            entry.age.as_micros() as u64,
            entry.took.as_micros() as u64,
            entry.holds,
        ]
    };
    Table::new(columns).with(listed.iter().map(row))
}

/// The name of a table as far as it is known, else its number.
fn named(names: &HashMap<u32, (&DatabaseCache, Option<Arc<Contents>>)>, relation: Relation) -> String {
    let contents = names.get(&relation.database).and_then(|(_, contents)| contents.as_ref());
    let relations = contents.and_then(|contents| contents.relations.as_ref());
    let known = relations.and_then(|relations| Some(relations.names(relations.by_oid(relation.oid)?)));
    known.map_or_else(|| relation.oid.to_string(), |(schema, name)| format!("{schema}.{name}"))
}

/// What is known of a database's catalogs; `None`: nothing.
fn contents(shared: &Shared, cache: &DatabaseCache) -> Option<Arc<Contents>> {
    let (_, contents) = shared.known_names(&cache.hosts, &cache.name)?;
    Some(Judge::new(contents).contents().clone())
}

/// CACHE FLUSH: removes all results, or those that read a table, in every database that has one of that name. What is being fetched now is not kept.
///
/// # Errors
/// 42P01 if no database is known to have such a table.
pub fn flush(shared: &Shared, table: Option<&Name>) -> Result<(), Fault> {
    let store = shared.caches.store();
    let Some(name) = table else {
        store.flush();
        return Ok(());
    };
    let mut found = false;
    for cache in shared.caches.all() {
        let contents = contents(shared, &cache);
        let Some(relations) = contents.as_ref().and_then(|contents| contents.relations.as_ref()) else {
            // Which table that is cannot be told, so it may be any.
            store.flush_database(cache.number);
            found = true;
            continue;
        };
        for oid in read_with(relations, name) {
            store.flush_table(cache.relation(oid));
            found = true;
        }
    }
    if found {
        return Ok(());
    }
    Err(Fault::error("42P01", format!("no database with a cache has a table {name}"))
        .hint("SHOW CACHE lists the databases; CACHE FLUSH without a table removes everything"))
}

/// All that the name may mean, and what is read with it: the tables of a view, the partitions of a table.
fn read_with(relations: &Relations, name: &Name) -> BTreeSet<u32> {
    let mut open = relations.named(name, None);
    let mut found = BTreeSet::new();
    while let Some(id) = open.pop() {
        if found.insert(relations.oid(id)) {
            let read = |how: &How| matches!(how, How::View | How::Child);
            open.extend(relations.ways(id).filter(|(how, _)| read(how)).map(|(_, to)| to));
        }
    }
    found
}

/// CACHE BARRIER: returns when, for every database with a live stream, all that was visible at its beginning has been told by it, and nothing is
/// in limbo or in doubt from before.
///
/// # Errors
/// 57014 after [`PATIENCE`], with what it waits for.
pub async fn barrier(caches: &Caches) -> Result<(), Fault> {
    let begun = Instant::now();
    loop {
        let all = caches.all();
        let left = all.iter().find_map(|cache| Some((cache, cache.unsettled(begun)?)));
        let Some((cache, left)) = left else { return Ok(()) };
        if begun.elapsed() >= PATIENCE {
            let text = format!("database \"{}\" {} after {PATIENCE:?}", cache.database, waits_for(left));
            return Err(Fault::error("57014", text).hint("SHOW CACHE says how its stream is"));
        }
        all.iter().for_each(|cache| cache.used());
        tokio::time::sleep(STEP).await;
    }
}

fn waits_for(left: Unsettled) -> String {
    match left {
        Unsettled::Stream => "has a stream that has not come to the moment of the command".to_owned(),
        Unsettled::Limbo(count) => {
            format!("has commits that its stream has told and that are not visible ({count})")
        }
        Unsettled::Doubts(count) => format!("has writes in doubt ({count})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::cacheable;

    fn view(name: &str, doubts: usize, live: bool) -> DatabaseView {
        let standing = Standing { state: "streaming", is_live: live, ..Standing::default() };
        DatabaseView {
            name: name.to_owned(),
            standing: live.then_some(standing),
            fresh: live.then_some(Duration::from_millis(3)),
            lag: Duration::from_millis(2),
            doubts,
            bypassed: Duration::from_secs(1),
            verified: [7, 1, 2, 0, 5, 0],
        }
    }

    #[test]
    fn admin_refusals_are_those_of_the_analysis() {
        let names: Vec<_> = cacheable::REFUSALS.iter().map(|refusal| refusal.name()).collect();
        assert_eq!(names, REFUSALS);
        assert!(cacheable::REFUSALS.iter().enumerate().all(|(at, refusal)| *refusal as usize == at));
    }

    #[test]
    fn admin_cache_is_shown_by_database_and_together() {
        let mut all = CacheView {
            databases: vec![view("shop", 1, false), view("shop", 2, true)],
            ..CacheView::default()
        };
        all.count_refused(&Totals { refused: [2; REFUSALS.len()], ..Totals::default() });
        let table = table(&all);
        let cells = |row: usize, columns: std::ops::Range<usize>| table.rows[row][columns].to_vec();
        let null = Cell::Null;
        assert_eq!(
            cells(0, 0..5),
            [Cell::from("shop"), Cell::from("none"), null.clone(), null.clone(), null.clone()]
        );
        assert_eq!(cells(1, 1..5), [Cell::from("streaming"), null.clone(), Cell::Int(3000), Cell::Int(2000)]);
        assert_eq!(cells(1, 6..7), [Cell::Int(2)]);
        assert_eq!(cells(1, 10..12), [Cell::Int(10), Cell::Int(1)]);
        assert_eq!((cells(2, 0..1), cells(2, 18..19)), (vec![null], vec![Cell::Int(42)]));
        let named: Vec<_> = all.named().map(|one| one.doubts).collect();
        assert_eq!(named, [2], "a label stands once in the metrics");
    }

    #[test]
    fn admin_flush_takes_what_is_read_with_a_table() {
        let row = |text: &str| text.split(' ').map(|column| Some(column.to_owned())).collect::<Vec<_>>();
        let all = [
            "1 public t r",
            "2 public v v",
            "3 other t r",
            "4 public p p",
            "5 public p1 r",
            "8 public log r",
        ];
        let edges = ["2 1 view", "4 5 child", "1 8 rule", "1 5 deleted"];
        let relations = Relations::new(&all.map(row), &edges.map(row)).expect("there are few");
        let check = |schema: Option<&str>, name: &str, expected: &[u32]| {
            let found = read_with(&relations, &Name { schema: schema.map(Into::into), name: name.into() });
            assert_eq!(found.into_iter().collect::<Vec<_>>(), expected, "{name}");
        };
        check(Some("public"), "t", &[1]);
        check(None, "t", &[1, 3]);
        check(None, "v", &[1, 2]);
        check(None, "p", &[4, 5]);
        check(Some("other"), "p", &[]);
    }
}
