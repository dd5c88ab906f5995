//! What the store's thread does where the history is in a PostgreSQL.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio_postgres::Client;

use super::super::file::Trouble;
use super::super::keep::Keep;
use super::super::status::State;
use super::super::{Batch, Policy, SPANS};
use super::put::{self, Me};
use super::{Fleet, NAME, WORK, fold, migrate, runtime, short, trouble, what_to_do_in};

/// How long tending may take before the connection is given up.
const TENDING: Duration = Duration::from_secs(60);

/// The connection, and what is known of what was written over it.
pub(in super::super) struct FleetKeeper {
    fleet: Arc<Fleet>,
    me: Me,
    runtime: Option<Runtime>,
    client: Option<Client>,
    /// How many batches were written: the next one has the next number, as often as it is tried.
    written: i64,
    /// The last minute that was tended.
    minute: Option<i64>,
}

impl FleetKeeper {
    pub(in super::super) fn new(fleet: Arc<Fleet>, instance: &str) -> FleetKeeper {
        let mut process = [0; 8];
        // Without it, processes of one name could not tell their batches apart; time does for chance.
        if aws_lc_rs::rand::fill(&mut process).is_err() {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
            process = (now.as_nanos() as u64 ^ (u64::from(std::process::id()) << 48)).to_be_bytes();
        }
        let me = Me { instance: short(instance, NAME), process: i64::from_be_bytes(process) };
        FleetKeeper { fleet, me, runtime: None, client: None, written: 0, minute: None }
    }

    /// Does something over the connection, which is made when there is none. After a failure there is none.
    fn work<T>(
        &mut self,
        (limit, what): (Duration, &str),
        work: impl AsyncFnOnce(&mut Client) -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        let runtime = match self.runtime.take() {
            Some(runtime) => runtime,
            None => runtime()?,
        };
        let runtime = self.runtime.insert(runtime);
        let (fleet, known) = (&self.fleet, self.client.take());
        let done = runtime.block_on(async {
            let working = async {
                let mut client = match known {
                    Some(client) if !is_lost(&client).await => client,
                    _ => opened(fleet).await?,
                };
                Ok((work(&mut client).await?, client))
            };
            tokio::time::timeout(limit, working).await.unwrap_or_else(|_| Err(trouble::late(what)))
        });
        let (done, client) = done?;
        self.client = Some(client);
        Ok(done)
    }
}

async fn opened(fleet: &Fleet) -> Result<Client, Trouble> {
    let mut client = fleet.open(true).await?;
    migrate::migrate(&mut client).await?;
    Ok(client)
}

/// Whether the server has closed the connection while nobody looked.
async fn is_lost(client: &Client) -> bool {
    tokio::time::sleep(Duration::from_millis(1)).await;
    client.is_closed()
}

impl Keep for FleetKeeper {
    fn name(&self) -> String {
        self.fleet.to_string()
    }

    fn open(&mut self, _policy: &Policy) -> Result<(), Trouble> {
        self.work((WORK, "opening it"), async |_| Ok(()))
    }

    fn close(&mut self) {
        self.client = None;
    }

    fn write(&mut self, batch: &Batch, _policy: &Policy) -> Result<(), Trouble> {
        let (me, number) = (self.me.clone(), self.written + 1);
        self.work((WORK, "writing"), async |client| put::batch(client, &me, batch, number).await)?;
        self.written = number;
        Ok(())
    }

    fn tend(&mut self, at: i64, policy: &Policy) -> Result<Option<(u64, Option<i64>)>, Trouble> {
        let minute = at - at.rem_euclid(SPANS[0]);
        let before = self.minute.replace(minute);
        if before.is_some_and(|before| before >= minute) {
            return Ok(None);
        }
        let hour = |at: i64| at.div_euclid(SPANS[1]);
        let hourly = before.is_none_or(|before| hour(before) < hour(minute));
        let tended = self.work((TENDING, "tending it"), async |client| {
            fold::tend(client, at, policy, hourly).await?;
            fold::shrink(client, policy).await
        });
        match tended {
            // Others write; it is for the next minute.
            Err(Trouble::Standing(State::Locked, reason)) => {
                tracing::debug!(reason, "the history was not tended");
                Ok(None)
            }
            tended => tended.map(Some),
        }
    }

    fn advice(&self, state: State) -> &'static str {
        what_to_do_in(state)
    }
}
