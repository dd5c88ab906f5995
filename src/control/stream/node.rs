//! Finding the node to stream from, and knowing it again over another connection.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use super::connection::params;
use super::status::{Cause, Loss};
use crate::config::settings::Host;
use crate::pool::connect::{self, Connected};
use crate::pool::{Target, ask};
use crate::wire::Fault;

/// Who a node is: its system identifier, and when it was started. Behind one name there may be several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node(String);

const WHO: &str = "SELECT pg_is_in_recovery(), (SELECT system_identifier FROM pg_control_system()), pg_postmaster_start_time()";

impl Node {
    /// The node at the other end, which is a primary.
    pub(super) async fn of(connected: &mut Connected) -> Result<Node, Loss> {
        let row = ask::rows(connected, WHO).await?.into_iter().next().unwrap_or_default();
        let mut columns = row.into_iter().map(Option::unwrap_or_default);
        if columns.next().as_deref() != Some("f") {
            return Err(Loss::new(Cause::NotPrimary, "25006", "the node is a standby"));
        }
        Ok(Node(columns.collect::<Vec<_>>().join(" ")))
    }

    /// That it is at the other end of this connection too.
    pub(super) async fn is_also(&self, connected: &mut Connected) -> Result<(), Loss> {
        match Node::of(connected).await? == *self {
            true => Ok(()),
            false => Err(Loss::new(Cause::Moved, "08001", "two connections to one host lead to two nodes")),
        }
    }
}

/// Connects to any node of a target.
pub(super) async fn open(target: &Arc<Target>, application: &str) -> Result<Connected, Fault> {
    connect::connect_with(target, &params(application)).await
}

/// Connects to the primary: where the nodes are watched, to the one that is known to be it; else to the first host that says so.
pub(super) async fn open_primary(target: &Arc<Target>, application: &str) -> Result<Connected, Loss> {
    if target.may_move() {
        return Ok(open(target, application).await?);
    }
    let mut last = Loss::new(Cause::Unreachable, "08001", "the database has no host");
    for host in &target.hosts {
        let found = async {
            let mut connected = open(&Arc::new(target.at(host)), application).await?;
            Node::of(&mut connected).await?;
            Ok::<_, Loss>(connected)
        };
        match found.await {
            Ok(connected) => return Ok(connected),
            Err(loss) => last = loss,
        }
    }
    Err(last)
}

/// Returns when the primary of a watched target is not known to be at this host any more.
pub(super) async fn until_moved(target: &Target, host: &Host) {
    if target.may_move() {
        let mut news = target.lead.follow();
        if news.wait_for(|primary| primary.is_not(host)).await.is_ok() {
            return;
        }
    }
    std::future::pending().await
}

/// The number that the next transaction gets.
pub(super) async fn next_xid(connected: &mut Connected) -> Result<u64, Fault> {
    let rows = ask::rows(connected, "SELECT pg_snapshot_xmax(pg_current_snapshot())").await?;
    let xmax = rows.first().and_then(|row| row.first()?.as_deref()?.parse().ok());
    xmax.ok_or_else(|| Fault::protocol("the server does not tell its snapshot"))
}

/// A number from 0 to 1, other each time.
pub(super) fn chance() -> f64 {
    RandomState::new().hash_one(0) as f64 / u64::MAX as f64
}
