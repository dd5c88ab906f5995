//! A connection that is advised on: logged in as every other control connection, and made again when it is lost.

use std::sync::Arc;
use std::time::Duration;

use crate::advice::ask::{Asked, Refused, Row, Server};
use crate::advice::{Limits, Nodes};
use crate::pool::Target;
use crate::pool::ask::{self, With};
use crate::pool::connect::Connected;
use crate::wire::{Fault, Severity};

/// What a server may take beyond its own limit before it is taken for lost.
const GRACE: Duration = Duration::from_secs(25);

/// A way to one node of a database.
pub trait Way {
    /// Logs in there.
    ///
    /// # Errors
    /// As the server gives them.
    fn open(&self) -> impl Future<Output = Result<Connected, Fault>>;
}

impl Way for Arc<Target> {
    async fn open(&self) -> Result<Connected, Fault> {
        ask::open(self).await
    }
}

/// A way, and the connection over it while there is one.
pub struct Connection<W> {
    way: W,
    patience: Duration,
    connected: Option<Connected>,
}

impl<W: Way> Connection<W> {
    /// Logs in; and whether it is a standby.
    ///
    /// # Errors
    /// As the server gives them.
    pub async fn open(way: W, statement_timeout: Duration) -> Result<(Connection<W>, bool), Fault> {
        let patience = statement_timeout + GRACE;
        let asking = async {
            let mut connected = way.open().await?;
            let rows = ask::rows(&mut connected, "SELECT pg_catalog.pg_is_in_recovery()").await?;
            let standby = rows.first().and_then(|row| row.first()?.as_deref()) == Some("t");
            Ok((connected, standby))
        };
        let late = |_| Err(Fault::fatal("08006", "the server did not answer in time"));
        let (connected, standby) = tokio::time::timeout(patience, asking).await.unwrap_or_else(late)?;
        Ok((Connection { way, patience, connected: Some(connected) }, standby))
    }

    async fn within(&mut self, begin: &str, asked: Asked<'_>, end: &str) -> Result<Vec<Row>, Refused> {
        let mut connected = match self.connected.take() {
            Some(connected) => connected,
            None => self.way.open().await.map_err(lost)?,
        };
        let with = With { sql: asked.text, types: asked.types, values: asked.values };
        let asking = ask::rows_between(&mut connected, begin, with, end);
        let late = |_| Err(Fault::fatal("08006", "the server did not answer in time"));
        let answer = tokio::time::timeout(self.patience, asking).await.unwrap_or_else(late);
        let answer = answer.map_err(|fault| if is_end(&fault) { lost(fault) } else { refused(fault) });
        if !answer.as_ref().is_err_and(|refused| refused.lost) {
            self.connected = Some(connected);
        }
        answer
    }
}

impl<W: Way> Server for Connection<W> {
    async fn ask(&mut self, begin: &str, asked: Asked<'_>, end: &str) -> Result<Vec<Row>, Refused> {
        self.within(begin, asked, end).await
    }
}

/// The primary and its standbys, each by the name of its host, and what could not be reached. Where there is no primary, a standby has to do
/// for it.
///
/// # Errors
/// Why none of them can be asked.
pub async fn nodes<W: Way>(
    ways: impl IntoIterator<Item = (String, W)>,
    limits: &Limits,
) -> Result<(Nodes<Connection<W>>, Vec<String>), String> {
    let (mut primary, mut standbys, mut notes) = (None, vec![], vec![]);
    for (host, way) in ways {
        match Connection::open(way, limits.statement_timeout).await {
            Ok((connection, false)) if primary.is_none() => primary = Some(connection),
            Ok((connection, _)) => standbys.push(connection),
            Err(fault) => notes.push(format!("{host} cannot be asked: {fault}")),
        }
    }
    let missing = primary.is_none() && !standbys.is_empty();
    if missing {
        notes.push("no primary answers: what was written is counted by standbys".to_owned());
        primary = Some(standbys.remove(0));
    }
    match primary {
        Some(primary) => Ok((Nodes { primary, standbys }, notes)),
        None => Err(notes.join("; ")),
    }
}

/// After these nothing more comes over the connection, or nobody knows what.
fn is_end(fault: &Fault) -> bool {
    fault.severity == Severity::Fatal
        || fault.sqlstate == "08006"
        || fault.message == "server sent an unexpected message"
}

fn refused(fault: Fault) -> Refused {
    Refused { sqlstate: fault.sqlstate, message: fault.message, lost: false }
}

fn lost(fault: Fault) -> Refused {
    Refused { lost: true, ..refused(fault) }
}
