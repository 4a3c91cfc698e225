//! The routes of the web listener. All responses carry the security headers.

use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::routing::get;

use crate::upgrade::{UpgradeHandler, upgrade};
use crate::{headers, page};

/// `https_only` adds Strict-Transport-Security.
pub(crate) fn router(root: &Path, handler: Arc<UpgradeHandler>, https_only: bool) -> Router {
    let bridge = Router::new().route("/ws/{target}", get(upgrade)).with_state(handler);
    let source = page::PageSource::find(root);
    let page = Router::new()
        .route("/", get(page::index))
        .route("/index.html", get(page::index))
        .fallback_service(page::files(root, &source))
        .with_state(Arc::new(source))
        .layer(page::compression());
    headers::secured(bridge.merge(page), https_only)
}
