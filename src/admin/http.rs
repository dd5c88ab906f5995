//! HTTP for machines: `/metrics`, `/health`, `/ready`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;

use super::{Admin, metrics};
use crate::pool::reach;
use crate::runtime::acceptor;
use crate::stats::prometheus;

/// How long it is tried to reach a server before it is said that there is none.
const PATIENCE: Duration = Duration::from_secs(1);

/// Serves until the process ends. A port that is taken is no reason to end.
pub async fn serve(admin: Arc<Admin>, address: SocketAddr, reuse_port: bool) {
    let listener = match acceptor::bind(address, reuse_port).and_then(tokio::net::TcpListener::from_std) {
        Ok(listener) => listener,
        Err(error) => {
            return tracing::warn!(%address, %error, "no HTTP: cannot listen (http = \"off\" turns it off)");
        }
    };
    tracing::info!(%address, "HTTP listening");
    let routes = Router::new()
        .route("/metrics", get(metrics_page))
        .route("/health", get(|| async { "alive\n" }))
        .route("/ready", get(ready))
        .with_state(admin);
    if let Err(error) = axum::serve(listener, routes).await {
        tracing::warn!(%address, %error, "HTTP ended");
    }
}

async fn metrics_page(State(admin): State<Arc<Admin>>) -> impl IntoResponse {
    let snapshot = admin.snapshot().await;
    ([(CONTENT_TYPE, prometheus::CONTENT_TYPE)], metrics::text(&snapshot))
}

async fn ready(State(admin): State<Arc<Admin>>) -> (StatusCode, &'static str) {
    if admin.entrance.draining.load(Ordering::Relaxed) {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n");
    }
    if admin.shared.servers.used() > 0 || can_connect(&admin).await {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "no server can be reached\n")
    }
}

/// Whether a server of any database takes connections.
async fn can_connect(admin: &Admin) -> bool {
    let directory = admin.entrance.directory();
    let mut hosts: Vec<_> =
        directory.settings.databases.values().flat_map(|database| &database.hosts).collect();
    hosts.sort();
    hosts.dedup();
    let any = async {
        for host in hosts {
            if let Ok(Ok(_)) = tokio::time::timeout(PATIENCE / 2, reach::open_any(host)).await {
                return true;
            }
        }
        false
    };
    tokio::time::timeout(PATIENCE, any).await.unwrap_or(false)
}
