//! A connection that is advised on: logged in as every other control connection, and made again when it is lost.

use std::time::Duration;

use crate::advice::ask::{Asked, Refused, Row, Server};
use crate::cli::upstream::Open;
use crate::config::settings::Host;
use crate::pool::ask::{self, With};
use crate::pool::connect::Connected;
use crate::wire::{Fault, Severity};

/// What a server may take beyond its own limit before it is taken for lost.
const GRACE: Duration = Duration::from_secs(25);

/// A way to one node, and the connection over it while there is one.
pub struct Connection<'a, T> {
    servers: &'a T,
    database: &'a str,
    host: &'a Host,
    user: &'a str,
    patience: Duration,
    connected: Option<Connected>,
}

impl<'a, T: Open> Connection<'a, T> {
    /// Logs in; and whether it is a standby.
    ///
    /// # Errors
    /// As the server gives them.
    pub async fn open(
        servers: &'a T,
        database: &'a str,
        host: &'a Host,
        user: &'a str,
        statement_timeout: Duration,
    ) -> Result<(Connection<'a, T>, bool), Fault> {
        let patience = statement_timeout + GRACE;
        let mut connected = servers.open(database, host, user).await?;
        let rows = ask::rows(&mut connected, "SELECT pg_catalog.pg_is_in_recovery()").await?;
        let standby = rows.first().and_then(|row| row.first()?.as_deref()) == Some("t");
        let connected = Some(connected);
        Ok((Connection { servers, database, host, user, patience, connected }, standby))
    }

    async fn within(&mut self, begin: &str, asked: Asked<'_>, end: &str) -> Result<Vec<Row>, Refused> {
        let mut connected = match self.connected.take() {
            Some(connected) => connected,
            None => self.servers.open(self.database, self.host, self.user).await.map_err(lost)?,
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

impl<T: Open> Server for Connection<'_, T> {
    async fn ask(&mut self, begin: &str, asked: Asked<'_>, end: &str) -> Result<Vec<Row>, Refused> {
        self.within(begin, asked, end).await
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
