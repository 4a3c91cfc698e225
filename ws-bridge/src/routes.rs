//! The routes of the web listener. All responses carry the security headers.

use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::sync::watch;

use crate::upgrade::{UpgradeHandler, explain, upgrade};
use crate::{headers, page};

/// `https_only` adds Strict-Transport-Security.
pub(crate) fn router(root: &Path, handler: Arc<UpgradeHandler>, https_only: bool) -> Router {
    let health = Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .with_state(handler.shutdown.clone());
    let bridge = Router::new().route("/ws/{target}", get(upgrade).post(explain)).with_state(handler);
    let source = page::PageSource::find(root);
    let page = Router::new()
        .route("/", get(page::index))
        .route("/index.html", get(page::index))
        .fallback_service(page::files(root, &source))
        .with_state(Arc::new(source))
        .layer(page::compression());
    headers::secured(bridge.merge(health).merge(page), https_only)
}

/// Axum handler: 503 once the shutdown has begun.
async fn readyz(State(shutdown): State<watch::Receiver<bool>>) -> (StatusCode, &'static str) {
    if *shutdown.borrow() {
        (StatusCode::SERVICE_UNAVAILABLE, "shutting down\n")
    } else {
        (StatusCode::OK, "ok\n")
    }
}
