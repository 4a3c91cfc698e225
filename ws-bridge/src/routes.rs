//! The routes of the web listener.

use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use net::health::Readiness;

use crate::mta_sts::PublishedPolicy;
use crate::upgrade::{UpgradeHandler, explain, upgrade};
use crate::{mta_sts, page};

/// `others` are merged. The page refers to its files below `path`.
pub(crate) fn router(
    root: &Path,
    handler: Arc<UpgradeHandler>,
    readiness: Readiness,
    policy: Option<Arc<PublishedPolicy>>,
    others: Router,
    path: &str,
) -> Router {
    let health = Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .with_state(readiness);
    let bridge = Router::new().route("/ws/{target}", get(upgrade).post(explain)).with_state(handler);
    let page = page::router(root, page::PageSource::find(root), "", path);
    bridge.merge(health).merge(mta_sts::router(policy)).merge(others).merge(page)
}

/// Axum handler: 503 with the reason if the process cannot serve.
async fn readyz(State(readiness): State<Readiness>) -> (StatusCode, String) {
    match readiness.check().await {
        Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::watch;

    use super::*;

    #[tokio::test]
    async fn readyz_is_503_during_shutdown_and_while_the_check_fails() {
        let (stop, shutdown) = watch::channel(false);
        let failing = Readiness::with_check(shutdown.clone(), || async { Err("read-only".to_owned()) });
        let (status, body) = readyz(State(failing)).await;
        assert_eq!((status.as_u16(), &*body), (503, "the storage cannot be used; see the log\n"));
        let readiness = Readiness::new(shutdown);
        assert_eq!(readyz(State(readiness.clone())).await, (StatusCode::OK, "ok\n".to_owned()));
        stop.send_replace(true);
        let (status, body) = readyz(State(readiness)).await;
        assert_eq!((status.as_u16(), &*body), (503, "shutting down\n"));
    }
}
