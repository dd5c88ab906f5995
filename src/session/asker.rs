//! Connections for looking users up, one kept for each database: a login costs one round trip, and what it sees is never old.
//!
//! While the primary of a watched cluster is lost, whoever asks waits for the next one, as sessions do; each for itself, so that nobody waits
//! for a database that is not his own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::pool::Target;
use crate::pool::ask::{Row, rows};
use crate::pool::connect::{self, Connected};
use crate::timer::timeout;
use crate::wire::Fault;

/// Connections kept.
const MAX_ASKERS: usize = 8;
/// How soon a primary that is not there is looked for again, if nobody tells of it.
const AGAIN: Duration = Duration::from_millis(500);

/// Database and user.
type Key = (String, String);
/// Where the connection is kept while nobody asks.
type Place = Arc<tokio::sync::Mutex<Option<Connected>>>;

/// The connections.
#[derive(Debug, Default)]
pub(super) struct Askers(Mutex<HashMap<Key, Place>>);

impl Askers {
    /// Asks; if no primary can be reached and another may come, waits for it, up to `patience`.
    ///
    /// # Errors
    /// As [`connect::connect`], or as the server answers; after `patience`, the last of them.
    pub(super) async fn ask_patiently(
        &self,
        target: &Arc<Target>,
        sql: &str,
        patience: Duration,
    ) -> Result<Vec<Row>, Fault> {
        if !target.may_move() {
            return self.ask(target, sql).await;
        }
        let (mut last, mut news) = (None, target.lead.follow());
        let asking = async {
            loop {
                news.borrow_and_update();
                match self.ask(target, sql).await {
                    // Where there never was one, there may never be one.
                    Err(fault) if target.may_outlast(&fault) && target.lead.is_known() => last = Some(fault),
                    answer => return answer,
                }
                let _ = timeout(AGAIN, news.changed()).await;
            }
        };
        let answer = timeout(patience, asking).await;
        answer.unwrap_or_else(|_| Err(last.unwrap_or_else(no_answer)))
    }

    /// Asks.
    ///
    /// # Errors
    /// As [`connect::connect`], or as the server answers.
    pub(super) async fn ask(&self, target: &Arc<Target>, sql: &str) -> Result<Vec<Row>, Fault> {
        let key = (target.database.clone(), target.user.clone());
        let place = self.place(&key);
        let mut kept = place.lock().await;
        if let Some(mut connected) = kept.take()
            && let Ok(Ok(rows)) = timeout(target.connect_timeout, rows(&mut connected, sql)).await
        {
            *kept = Some(connected);
            return Ok(rows);
        }
        let answer = connect_and_ask(target, sql).await;
        match answer {
            Ok((connected, rows)) => {
                *kept = Some(connected);
                Ok(rows)
            }
            Err(fault) => {
                self.forget(&key, &place);
                Err(fault)
            }
        }
    }

    fn place(&self, key: &Key) -> Place {
        let mut places = self.lock();
        if places.len() >= MAX_ASKERS && !places.contains_key(key) {
            places.clear();
        }
        places.entry(key.clone()).or_default().clone()
    }

    /// Of databases that cannot be reached, or are not there, nothing is kept.
    fn forget(&self, key: &Key, place: &Place) {
        let mut places = self.lock();
        if places.get(key).is_some_and(|known| Arc::ptr_eq(known, place)) {
            places.remove(key);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Place>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn connect_and_ask(target: &Arc<Target>, sql: &str) -> Result<(Connected, Vec<Row>), Fault> {
    let mut connected = connect::connect(target).await?;
    let answer = timeout(target.connect_timeout, rows(&mut connected, sql)).await;
    let rows = answer.unwrap_or_else(|_| Err(no_answer()))?;
    Ok((connected, rows))
}

fn no_answer() -> Fault {
    Fault::error("08006", "the server did not answer in time")
}
