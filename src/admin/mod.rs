//! Seen from outside: the console, which speaks PgBouncer's commands, and HTTP for metrics and health.
//!
//! All of it runs on the control thread. It reads counters, asks workers for reports by message, and gives orders by
//! message; no worker ever waits for it.

mod advice;
mod averages;
mod cache;
mod command;
pub mod console;
mod explain;
pub mod http;
pub mod metrics;
mod nodes;
mod off;
mod orders;
mod pages;
mod ready;
mod rules;
mod show;
mod snapshot;
mod statements;
mod table;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use tokio::sync::{mpsc, oneshot};

use crate::control::advising::Advising;
use crate::control::history::History;
use crate::runtime::Shared;
use crate::runtime::acceptor::Entrance;
use crate::runtime::paused::Paused;
use crate::runtime::worker::PoolOrder;
pub use crate::stats::calendar::timestamp;
use averages::Averages;
use ready::Ready;
pub use snapshot::Snapshot;

/// What only the process as a whole can do.
#[derive(Debug)]
pub enum Demand {
    /// Read the settings again. The answer: what waits for a restart, or what is wrong with them.
    Reload(oneshot::Sender<Result<Vec<String>, Vec<String>>>),
    /// End. Dropped when newcomers are turned away, or another process has them.
    Stop(Wait, oneshot::Sender<()>),
}

/// What is waited for before the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Nothing.
    No,
    /// The ends of transactions.
    Servers,
    /// That clients leave of themselves, and nobody new comes in.
    Clients,
}

/// What console and HTTP stand on.
pub struct Admin {
    entrance: Arc<Entrance>,
    shared: Arc<Shared>,
    demands: mpsc::UnboundedSender<Demand>,
    started: (SystemTime, Instant),
    averages: Averages,
    paused: Mutex<Paused>,
    ready: Ready,
    history: Arc<History>,
    advising: Arc<Advising>,
}

impl Admin {
    /// Begins to keep averages. Needs a runtime.
    pub fn new(
        entrance: Arc<Entrance>,
        shared: Arc<Shared>,
        demands: mpsc::UnboundedSender<Demand>,
        (history, advising): (Arc<History>, Arc<Advising>),
    ) -> Arc<Admin> {
        let started = (SystemTime::now(), Instant::now());
        let averages = Averages::new();
        let paused = Mutex::default();
        let ready = Ready::default();
        let admin = Arc::new(Admin {
            entrance,
            shared,
            demands,
            started,
            averages,
            paused,
            ready,
            history,
            advising,
        });
        tokio::spawn(averages::keep(admin.clone()));
        admin
    }

    /// Gives an order to all pools.
    pub fn order_all(&self, order: PoolOrder) {
        orders::give(self, order, None);
    }

    fn paused(&self) -> MutexGuard<'_, Paused> {
        self.paused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything as it is now.
    pub async fn snapshot(&self) -> Snapshot {
        snapshot::take(self).await
    }
}
