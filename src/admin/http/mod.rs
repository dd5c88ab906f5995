//! HTTP: `/metrics`, `/health` and `/ready` for machines, pages for people.

mod limited;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use limited::Limited;
pub use limited::Peer;

use super::{Admin, metrics, pages};
use crate::runtime::acceptor;
use crate::stats::prometheus;

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
        .with_state(admin.clone())
        .merge(pages::routes(admin));
    let service = routes.into_make_service_with_connect_info::<Peer>();
    if let Err(error) = axum::serve(Limited::new(listener), service).await {
        tracing::warn!(%address, %error, "HTTP ended");
    }
}

async fn metrics_page(State(admin): State<Arc<Admin>>) -> impl IntoResponse {
    let snapshot = admin.snapshot().await;
    ([(CONTENT_TYPE, prometheus::CONTENT_TYPE)], metrics::text(&snapshot))
}

async fn ready(State(admin): State<Arc<Admin>>) -> (StatusCode, String) {
    match admin.ready.problem(&admin).await {
        None => (StatusCode::OK, "ready\n".to_owned()),
        Some(problem) => (StatusCode::SERVICE_UNAVAILABLE, format!("{problem}\n")),
    }
}
