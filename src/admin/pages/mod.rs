//! Pages of a running pgweir, for a browser: the parts of the report, with what the console shows. They are made here, run no scripts, and load nothing.

mod guard;
mod live;
mod shown;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::Semaphore;

use super::{Admin, off};
use crate::report::document::{Block, Document};
use crate::report::html;
use guard::Guard;
use live::Live;

/// What a page may do: take its style from here, and nothing else.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// Pages that are made at once; for one more there is no time.
const AT_ONCE: usize = 4;
/// How long one may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest address that is looked at.
const ADDRESS: usize = 512;

/// Pages by address and name, in the order of the navigation.
const PAGES: [(&str, &str); 6] = [
    ("/", "Overview"),
    ("/fixes", "Fixes"),
    ("/cache", "Cache"),
    ("/rules", "Rules"),
    ("/cluster", "Cluster"),
    ("/fleet", "Fleet"),
];

/// What pages stand on.
struct Pages {
    admin: Arc<Admin>,
    live: Live,
    guard: Guard,
    places: Semaphore,
}

/// The routes of all pages.
pub fn routes(admin: Arc<Admin>) -> Router {
    let pages = Arc::new(Pages {
        admin,
        live: Live::default(),
        guard: Guard::default(),
        places: Semaphore::new(AT_ONCE),
    });
    Router::new()
        .route("/", get(overview))
        .route("/fixes", get(fixes))
        .route("/statement/{id}", get(statement))
        .route("/cache", get(cache))
        .route("/rules", get(rules))
        .route("/cluster", get(cluster))
        .route("/fleet", get(fleet))
        .route("/style.css", get(style))
        .layer(middleware::from_fn_with_state(pages.clone(), around))
        .with_state(pages)
}

/// What is done around every page: who asks, how long it takes, what the browser may do with it.
async fn around(State(pages): State<Arc<Pages>>, request: Request, next: Next) -> Response {
    let mut response = answer(&pages, request, next).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

async fn answer(pages: &Pages, request: Request, next: Next) -> Response {
    if request.uri().to_string().len() > ADDRESS {
        return (StatusCode::URI_TOO_LONG, "the address is too long\n").into_response();
    }
    let (peer, headers) = (guard::peer(&request), request.headers().clone());
    if let Err(refusal) = pages.guard.check(&pages.admin, peer, &headers).await {
        return refusal;
    }
    let Ok(_place) = pages.places.try_acquire() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "others are looked at; try again\n").into_response();
    };
    match tokio::time::timeout(PATIENCE, next.run(request)).await {
        Ok(response) => response,
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "it took too long\n").into_response(),
    }
}

async fn overview(State(pages): State<Arc<Pages>>) -> Response {
    let mut report = pages.live.report(&pages.admin).await;
    report.statements.truncate(live::LISTED);
    let mut document = report.overview();
    let directory = pages.admin.entrance.directory();
    if off::counting(&directory.settings).is_some() {
        document.blocks.truncate(1);
    }
    say_below_title(&mut document, off::advising(&directory.settings));
    page(&document, "/")
}

async fn fixes(State(pages): State<Arc<Pages>>) -> Response {
    let report = pages.live.report(&pages.admin).await;
    let mut document = report.fixes_page();
    let off = off::advising(&pages.admin.entrance.directory().settings);
    // What was advised before it was switched off stays.
    if off.is_some() && !report.is_advised {
        document.blocks.truncate(1);
    }
    say_below_title(&mut document, off);
    page(&document, "/fixes")
}

fn say_below_title(document: &mut Document, text: Option<&str>) {
    text.into_iter().for_each(|text| document.blocks.insert(1, Block::say(text)));
}

async fn statement(State(pages): State<Arc<Pages>>, Path(id): Path<String>) -> Response {
    let mut report = pages.live.report(&pages.admin).await;
    report.take_samples(&pages.live.samples(&pages.admin).await);
    let is_meant =
        |fingerprint: u128, name: &str| format!("{fingerprint:032x}") == id || name.eq_ignore_ascii_case(&id);
    match report.statements.iter().find(|one| is_meant(one.fingerprint, &one.id)) {
        Some(one) => page(&report.statement_page(one), "/statement"),
        None => {
            let mut document = Document::new("pgweir");
            document.put(Block::Heading(1, "No such statement".into(), "top".into()));
            let not_there = "It is not among those that are counted by themselves since the start.";
            let off = off::counting(&pages.admin.entrance.directory().settings);
            document.put(Block::say(off.unwrap_or(not_there)));
            (StatusCode::NOT_FOUND, page(&document, "/statement")).into_response()
        }
    }
}

async fn cache(State(pages): State<Arc<Pages>>) -> Response {
    page(&shown::cache(&pages.admin.snapshot().await), "/cache")
}

async fn rules(State(pages): State<Arc<Pages>>) -> Response {
    page(&shown::rules(&pages.admin.snapshot().await), "/rules")
}

async fn cluster(State(pages): State<Arc<Pages>>) -> Response {
    page(&shown::cluster(&pages.admin.snapshot().await), "/cluster")
}

async fn fleet(State(pages): State<Arc<Pages>>) -> Response {
    page(&pages.live.fleet(&pages.admin).await.fleet_page(), "/fleet")
}

async fn style() -> Response {
    ([(CONTENT_TYPE, "text/css; charset=utf-8")], html::STYLE).into_response()
}

/// A document as an answer, with links to the others.
fn page(document: &Document, here: &str) -> Response {
    let link = |(address, name): &(&str, &str)| {
        let current = if *address == here { " aria-current=\"page\"" } else { "" };
        format!("<a href=\"{address}\"{current}>{name}</a>")
    };
    let navigation = html::navigation(&PAGES.iter().map(link).collect::<String>());
    let head = "<link rel=\"stylesheet\" href=\"/style.css\">";
    ([(CONTENT_TYPE, "text/html; charset=utf-8")], html::page(document, head, &navigation)).into_response()
}
