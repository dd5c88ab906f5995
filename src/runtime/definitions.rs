//! Reads the names of a database that change sessions, on a connection of its own.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Worker;
use super::worker::Shared;
use crate::catalog::{
    BODIES, Barriers, CODE, Definitions, Known, MARK, Names, OWN, Reach, Reading, Search, USERS,
};
use crate::pool::Target;
use crate::pool::ask::{open, rows};
use crate::pool::connect::Connected;
use crate::wire::Fault;

/// How long the server may take for all answers.
const PATIENCE: Duration = Duration::from_secs(60);

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

    /// Reads the names of a database in use that others may have changed meanwhile.
    pub(super) fn read_what_is_old(&self, now: Instant) {
        for (database, known) in self.functions.borrow().iter() {
            let Some(reading) = known.reading_due(now) else { continue };
            let pools = self.pools.borrow();
            if let Some(pool) = pools.iter().find_map(|(key, pool)| (key.0 == *database).then_some(pool)) {
                tokio::task::spawn_local(read(reading, pool.target()));
            }
        }
    }
}

impl Shared {
    fn definitions(&self, target: &Target) -> Arc<Definitions> {
        let key = format!("{:?} {}", target.hosts, target.server_database);
        let mut all = self.definitions.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        all.entry(key).or_insert_with(Definitions::new).clone()
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
    let known = reading.mark.clone();
    match tokio::time::timeout(PATIENCE, ask(&target, known.as_deref())).await {
        Ok(Ok((names, mark))) => reading.done(names, mark),
        Ok(Err(error)) => tracing::warn!(database = target.database, %error, "functions not read"),
        Err(_) => tracing::warn!(database = target.database, "functions not read in time"),
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

/// The names of a database that make more than a read.
///
/// # Errors
/// As the server answers.
pub(crate) async fn barriers(server: &mut Connected) -> Result<Barriers, Fault> {
    rows(server, Reach::SETTINGS).await?;
    let version = rows(server, "SHOW server_version_num").await?;
    let version = version.into_iter().flatten().flatten().next().and_then(|version| version.parse().ok());
    let own = rows(server, OWN).await?;
    let bodies = rows(server, BODIES).await?;
    let mut reach = Reach::begin(version.unwrap_or_default(), &own, &bodies);
    while let Some(question) = reach.question() {
        reach = reach.answer(&rows(server, &question).await?);
    }
    Ok(reach.barriers())
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
