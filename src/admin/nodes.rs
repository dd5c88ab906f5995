//! The nodes of clusters, for the console and the metrics.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use super::show::place;
use super::table::{Cell, Table, row};
use crate::plan::topology::{Health, Node, NodeId};
use crate::runtime::cluster::{Cluster, Clusters, NodesReport, Sighting};

/// A cluster at one time.
pub struct ClusterView {
    /// The database of the settings whose cluster it is.
    pub database: String,
    /// The cluster.
    pub cluster: Arc<Cluster>,
    /// What is known of it.
    pub sighting: Arc<Sighting>,
    loads: HashMap<NodeId, Load>,
}

/// What all workers together have with a node.
#[derive(Debug, Clone, Copy, Default)]
struct Load {
    in_flight: u64,
    latencies: f64,
    workers: u32,
}

/// All clusters, with what workers have told of them.
pub fn views(clusters: &Clusters, reports: &[NodesReport]) -> Vec<ClusterView> {
    let view = |(database, cluster): (String, Arc<Cluster>)| {
        let mut loads: HashMap<_, Load> = HashMap::new();
        for report in reports.iter().filter(|report| Arc::ptr_eq(&report.cluster, &cluster)) {
            for (load, latency) in &report.loads {
                let sum = loads.entry(load.node).or_default();
                sum.in_flight += u64::from(load.in_flight);
                if *latency > 0.0 {
                    sum.latencies += latency;
                    sum.workers += 1;
                }
            }
        }
        ClusterView { sighting: cluster.sighting(), database, cluster, loads }
    };
    clusters.all().into_iter().map(view).collect()
}

impl ClusterView {
    /// Each node, with the word for its state.
    pub fn nodes(&self) -> impl Iterator<Item = (&Node, &'static str)> {
        let topology = &self.sighting.topology;
        topology.nodes.iter().map(|node| (node, topology.state(node)))
    }
}

/// SHOW NODES.
pub fn table(views: &[ClusterView]) -> Table {
    let columns = "database host port# role state reason lsn timeline# lag_bytes# lag_us# in_flight# latency_us# \
        probe_us# weight# zone local#";
    let now = Instant::now();
    let rows = views.iter().flat_map(|view| {
        let hosts = &view.sighting.hosts;
        view.nodes().zip(hosts).map(move |((node, state), host)| {
            let (name, port) = place(host);
            let load = view.loads.get(&node.id).copied().unwrap_or_default();
            let latency = (load.workers > 0).then(|| (load.latencies / f64::from(load.workers)) as u64);
            let reason = match &node.health {
                Health::Up => Cell::Null,
                Health::Banned { until, reason } => {
                    let left = until.saturating_duration_since(now);
                    format!("{reason}; tried again in {:.1} s", left.as_secs_f64()).into()
                }
            };
            row![
                &view.database,
                name,
                port,
                node.role.word(),
                state,
                reason,
                node.position.map(|at| at.lsn.to_string()),
                node.position.map(|at| u64::from(at.history.timeline)),
                view.sighting.topology.bytes_behind(node),
                node.lag.map(|lag| lag.as_micros() as u64),
                load.in_flight,
                latency,
                node.round_trip.map(|time| time.as_micros() as u64),
                u64::from(node.weight),
                node.zone.as_deref(),
                node.local,
            ]
        })
    });
    Table::new(columns).with(rows)
}
