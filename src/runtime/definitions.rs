//! Reads the names of a database that change sessions, on a connection of its own.

use std::cmp::Reverse;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::Worker;
use super::rules::not_there;
use super::shared::{Shared, lock, place};
use crate::catalog::{
    BESIDE, BODIES, Barriers, Beside, CALLS, CODE, Contents, DETAILS, Definitions, EDGES, Grounds, Judge,
    Known, MARK, Names, OWN, RELATIONS, Reach, Reading, Relations, Search, UNSTABLE, USERS, WRITING,
};
use crate::config::settings::Host;
use crate::plan::Profiles;
use crate::pool::Target;
use crate::pool::ask::{Row, open, rows};
use crate::pool::connect::Connected;
use crate::rules::Problem;
use crate::wire::Fault;

/// How long the server may take for all answers.
const PATIENCE: Duration = Duration::from_secs(60);
/// As how many users it is tried to log in for one reading.
const MAX_READERS: usize = 4;

/// What follows when barriers cannot be read.
const NO_READS: &str = "cannot read which functions and tables make more than a read; until that succeeds, nothing new counts as a read";
/// What follows when names cannot be read.
const ALL_MAY_CHANGE: &str = "cannot read which functions change their session; until that succeeds, every statement counts as one that may";

fn too_slow() -> Fault {
    Fault::error("57014", format!("the server took more than {PATIENCE:?}"))
}

impl Worker {
    /// The names of a database that change sessions: read before its first session begins, and again when they may have
    /// changed.
    pub(crate) async fn functions(&self, target: &Arc<Target>) -> Rc<Known> {
        let known = self.functions.borrow().get(&target.database).cloned();
        if let Some(known) = known {
            return known;
        }
        let known = Known::new(self.shared.definitions(target));
        if let Some(reading) = known.is_new().then(|| known.reading_wanted()).flatten() {
            read(reading, target.clone()).await;
        }
        self.functions.borrow_mut().entry(target.database.clone()).or_insert(known).clone()
    }

    /// What is known of a database's statements. The names that reads must not mention are read at the
    /// worker's next tick, if somebody asks for them.
    pub(crate) fn profiles(&self, target: &Arc<Target>) -> Rc<Profiles> {
        let mut profiles = self.profiles.borrow_mut();
        let new = || Profiles::new(Judge::new(self.shared.contents(target)));
        profiles.entry(target.database.clone()).or_insert_with(new).clone()
    }

    /// As whom the catalogs of a database may be read where they are newest: one user of each kind of its pools, those first who have
    /// a server. Whom the server has refused is not among them, unless it let that user in before.
    fn readers(&self, database: &str) -> Vec<Arc<Target>> {
        let pools = self.pools.borrow();
        let of_primary = pools.iter().filter(|(key, _)| key.0 == database && key.2.is_none());
        let mut found: Vec<_> =
            of_primary.filter_map(|(_, pool)| Some((pool.promise()?, pool.target()))).collect();
        found.sort_by_key(|(promise, _)| Reverse(*promise));
        let mut readers: Vec<Arc<Target>> = vec![];
        for (_, target) in found {
            let is_new = readers.iter().all(|known| known.server_user != target.server_user);
            if is_new && readers.len() < MAX_READERS {
                readers.push(target);
            }
        }
        readers
    }

    /// Reads the names of a database in use that others may have changed meanwhile.
    pub(super) fn read_what_is_old(&self, now: Instant) {
        for (database, profiles) in self.profiles.borrow().iter() {
            let Some(reading) = profiles.judge.reading_due(now) else { continue };
            let readers = self.readers(database);
            tokio::task::spawn_local(read_contents(self.shared.clone(), reading, readers));
        }
        for (database, known) in self.functions.borrow().iter() {
            let Some(reading) = known.reading_due(now) else { continue };
            tokio::task::spawn_local(read_as(reading, self.readers(database)));
        }
    }
}

impl Shared {
    fn definitions(&self, target: &Target) -> Arc<Definitions> {
        let mut all = lock(&self.definitions);
        all.entry(place(&target.hosts, &target.server_database)).or_insert_with(Definitions::new).clone()
    }

    fn contents(&self, target: &Target) -> Arc<Definitions<Contents>> {
        let mut all = lock(&self.contents);
        all.entry(place(&target.hosts, &target.server_database)).or_insert_with(Definitions::new).clone()
    }

    /// What is known of the names of a database, for who explains a statement of it; `None` where no session has been there.
    pub fn known_names(
        &self,
        hosts: &[Host],
        server_database: &str,
    ) -> Option<(Arc<Definitions>, Arc<Definitions<Contents>>)> {
        let place = place(hosts, server_database);
        let names = lock(&self.definitions);
        let contents = lock(&self.contents);
        Some((names.get(&place)?.clone(), contents.get(&place)?.clone()))
    }

    /// PostgreSQL's own names, which stay what they are as long as the process lives.
    fn own_names(&self, target: &Target) -> Option<Own> {
        let all = lock(&self.own);
        all.get(&place(&target.hosts, &target.server_database)).cloned()
    }

    fn keep_own_names(&self, target: &Target, own: Own) {
        lock(&self.own).insert(place(&target.hosts, &target.server_database), own);
    }
}

/// The version of a server, and the answer to [`OWN`] there.
pub(crate) type Own = (String, Arc<Vec<Row>>);

/// Asks as one user after the other, until one gets an answer. Where the server is not to be reached, nobody else would.
async fn ask_as<T>(
    readers: &[Arc<Target>],
    question: impl AsyncFn(&Arc<Target>) -> Result<T, Fault>,
) -> Result<(&Arc<Target>, T), Fault> {
    let mut refused = Fault::error("28000", "no user is known whom the server lets in");
    for target in readers {
        match crate::timer::timeout(PATIENCE, question(target)).await {
            Ok(Ok(answer)) => return Ok((target, answer)),
            Ok(Err(fault)) => refused = fault,
            Err(_) => refused = too_slow(),
        }
        if ["08", "57"].iter().any(|class| refused.sqlstate.starts_with(class)) {
            break;
        }
    }
    Err(refused)
}

/// Reads, and passes on what was found. When the server does not answer, what was uncertain stays so.
async fn read_contents(shared: Arc<Shared>, reading: Reading<Contents>, readers: Vec<Arc<Target>>) {
    let known = reading.mark.clone();
    match ask_as(&readers, async |target| newer_contents(&shared, target, known.as_ref()).await).await {
        Ok((target, (contents, mark))) => {
            contents.iter().for_each(|contents| tell_names(&shared, target, contents));
            reading.done(contents, mark);
        }
        Err(error) => tell_unread(reading, &readers, &error, NO_READS),
    }
}

/// The contents, unless the catalogs look as they did, and what they look like.
async fn newer_contents(
    shared: &Shared,
    target: &Arc<Target>,
    known: Option<&String>,
) -> Result<(Option<Contents>, Option<String>), Fault> {
    let caches = shared.some_rule_caches.load(Ordering::Relaxed);
    let mut server = open(target).await?;
    let mark = mark(&mut server, caches).await?;
    if mark.is_some() && mark.as_ref() == known {
        return Ok((None, mark));
    }
    let own = shared.own_names(target);
    let (barriers, own) = barriers(&mut server, own).await?;
    shared.keep_own_names(target, own);
    let relations = relations(&mut server).await?;
    if relations.is_none() {
        let database = &target.database;
        tracing::warn!(database, "too many tables: rules hold for those that a statement names itself");
    }
    let grounds = if caches { grounds(&mut server).await? } else { None };
    if caches && grounds.is_none() {
        let database = &target.database;
        tracing::warn!(database, "too many tables or functions: nothing of this database is cached");
    }
    Ok((Some(Contents { barriers, relations, grounds }), mark))
}

/// Says which names in rules are of nothing in the database: what a rule says of those counts for nothing.
fn tell_names(shared: &Shared, target: &Target, contents: &Contents) {
    let Some(rules) = &shared.rules else { return };
    for Problem { place, message, .. } in not_there(&rules.get(), &target.database, contents) {
        tracing::warn!("{place}: {message}");
    }
}

/// What the catalogs look like, as far as it matters; with what only the cache asks for, if there is one.
async fn mark(server: &mut Connected, caches: bool) -> Result<Option<String>, Fault> {
    if !caches {
        return Ok(rows(server, MARK).await?.into_iter().flatten().flatten().next());
    }
    rows(server, Reach::SETTINGS).await?;
    let beside = rows(server, BESIDE).await?;
    Ok(beside.first().and_then(Beside::read).map(|beside| beside.mark()))
}

/// Says from time to time that the catalogs cannot be read, and what follows.
fn tell_unread<T>(reading: Reading<T>, readers: &[Arc<Target>], error: &Fault, what: &str) {
    let Some(target) = readers.first() else { return };
    if reading.failed(Instant::now()) {
        let users: Vec<_> = readers.iter().map(|target| target.server_user.as_str()).collect();
        tracing::warn!(database = target.database, user = users.join(", "), %error, "{what}");
    }
}

/// Reads the names if they are uncertain and nobody does already; reads on while they change.
pub(crate) fn read_again(known: &Rc<Known>, target: Arc<Target>) {
    let Some(reading) = known.reading_wanted() else { return };
    let known = known.clone();
    tokio::task::spawn_local(async move {
        read(reading, target.clone()).await;
        while let Some(reading) = known.reading_wanted() {
            read(reading, target.clone()).await;
        }
    });
}

/// Reads, and passes on what was found. When the server does not answer, what was known stays, and what was uncertain too.
pub(crate) async fn read(reading: Reading, target: Arc<Target>) {
    read_as(reading, vec![target]).await;
}

async fn read_as(reading: Reading, readers: Vec<Arc<Target>>) {
    let known = reading.mark.clone();
    match ask_as(&readers, async |target| ask(target, known.as_deref()).await).await {
        Ok((_, (names, mark))) => reading.done(names, mark),
        Err(error) => tell_unread(reading, &readers, &error, ALL_MAY_CHANGE),
    }
}

/// The names, unless the catalogs look as they did, and what they look like.
async fn ask(target: &Arc<Target>, known: Option<&str>) -> Result<(Option<Names>, Option<String>), Fault> {
    let mut server = open(target).await?;
    let mark = rows(&mut server, MARK).await?.into_iter().flatten().flatten().next();
    if mark.is_some() && mark.as_deref() == known {
        return Ok((None, mark));
    }
    let names = search(&mut server).await?;
    if names.is_none() {
        tracing::warn!(
            database = target.database,
            "too many functions: every statement counts as one that may change its session"
        );
    }
    Ok((Some(names.unwrap_or_else(Names::everything)), mark))
}

/// All that is known of a database's statements, what the cache decides by included.
///
/// # Errors
/// As the server answers.
pub(crate) async fn contents(server: &mut Connected) -> Result<Contents, Fault> {
    let (barriers, _) = barriers(server, None).await?;
    let relations = relations(server).await?;
    Ok(Contents { barriers, relations, grounds: grounds(server).await? })
}

/// The names of a database that make more than a read; PostgreSQL's own are asked for if they are not `known` of this version.
///
/// # Errors
/// As the server answers.
pub(crate) async fn barriers(server: &mut Connected, known: Option<Own>) -> Result<(Barriers, Own), Fault> {
    rows(server, Reach::SETTINGS).await?;
    let version = rows(server, "SHOW server_version_num").await?;
    let version = version.into_iter().flatten().flatten().next().unwrap_or_default();
    let own = match known.filter(|known| known.0 == version) {
        Some((_, own)) => own,
        None => Arc::new(rows(server, OWN).await?),
    };
    let bodies = rows(server, BODIES).await?;
    let reach = Reach::begin(version.parse().unwrap_or_default(), &own, &bodies);
    Ok((reached(server, reach).await?, (version, own)))
}

/// Asks until nothing is new.
async fn reached(server: &mut Connected, mut reach: Reach) -> Result<Barriers, Fault> {
    while let Some(question) = reach.question() {
        let found = rows(server, &question).await?;
        // Many bodies take a while, and sessions must not wait for it.
        reach = tokio::task::spawn_blocking(move || reach.answer(&found))
            .await
            .map_err(|_| Fault::error("XX000", "the search for names failed"))?;
    }
    Ok(reach.barriers())
}

/// What tables a database has, and what the cache knows of them.
///
/// # Errors
/// As the server answers.
pub(crate) async fn of_tables(target: &Arc<Target>) -> Result<Contents, Fault> {
    let mut server = open(target).await?;
    let relations = relations(&mut server).await?;
    let grounds = grounds(&mut server).await?;
    Ok(Contents { relations, grounds, ..Contents::default() })
}

/// The relations of a database; `None` if there are too many to tell.
///
/// # Errors
/// As the server answers.
pub(crate) async fn relations(server: &mut Connected) -> Result<Option<Relations>, Fault> {
    let relations = rows(server, RELATIONS).await?;
    let edges = rows(server, EDGES).await?;
    Ok(Relations::new(&relations, &edges))
}

/// What only the cache asks of a database; `None` if there is too much to tell.
///
/// # Errors
/// As the server answers.
pub(crate) async fn grounds(server: &mut Connected) -> Result<Option<Grounds>, Fault> {
    rows(server, Reach::SETTINGS).await?;
    let version = rows(server, "SHOW server_version_num").await?.into_iter().flatten().flatten().next();
    let version = version.and_then(|version| version.parse().ok()).unwrap_or_default();
    let bodies = rows(server, BODIES).await?;
    let unstable = Reach::unstable(version, &rows(server, UNSTABLE).await?, &bodies);
    let unstable = reached(server, unstable).await?;
    let writing = Reach::writing(version, &rows(server, WRITING).await?, &bodies);
    let writing = reached(server, writing).await?;
    let (details, calls) = (rows(server, DETAILS).await?, rows(server, CALLS).await?);
    Ok(Grounds::new(unstable, writing, &details, &calls))
}

/// The names of a database that change sessions; `None` if there are too many to tell.
///
/// # Errors
/// As the server answers.
pub(crate) async fn search(server: &mut Connected) -> Result<Option<Names>, Fault> {
    let code = rows(server, CODE).await?;
    let users = rows(server, USERS).await?;
    let mut search = Search::begin(&code, &users);
    if search.goes_on() {
        search.bodies(rows(server, BODIES).await?);
    }
    while search.goes_on() {
        let found = rows(server, &search.question()).await?;
        // Many bodies take a while, and sessions must not wait for it.
        search = tokio::task::spawn_blocking(move || search.answer(&found))
            .await
            .map_err(|_| Fault::error("XX000", "the search for functions failed"))?;
    }
    Ok(search.names())
}
