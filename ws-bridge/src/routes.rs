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

/// Tells the page to register its service worker. A page from another server, such as `trunk serve`, does without, and so does a
/// page below a path.
const SERVICE_WORKER_MARK: &str = "<meta name=\"pennypost-service-worker\">";

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
    let mark = if path == "/" { SERVICE_WORKER_MARK } else { "" };
    let head = format!("{mark}{}", servers(handler.targets.keys()));
    let bridge = Router::new().route("/ws/{target}", get(upgrade).post(explain)).with_state(handler);
    let page = page::router(root, page::PageSource::find(root), head, path);
    bridge.merge(health).merge(mta_sts::router(policy)).merge(others).merge(page)
}

/// Names further mail servers to the page: those with targets `smtp-<name>` and `pop3-<name>`.
fn servers<'a>(targets: impl Iterator<Item = &'a String> + Clone) -> String {
    let has_pop3 = |name: &str| {
        targets.clone().any(|target| target.strip_prefix("pop3-").is_some_and(|server| server == name))
    };
    let is_plain = |name: &&str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    let names = targets.clone().filter_map(|target| target.strip_prefix("smtp-"));
    let names: Vec<_> = names.filter(|name| has_pop3(name)).filter(is_plain).collect();
    if names.is_empty() {
        return String::new();
    }
    format!("<meta name=\"pennypost-servers\" content=\"{}\">", names.join(" "))
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

    #[test]
    fn servers_with_both_targets_are_named_to_the_page() {
        let targets = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let named = |names: &[&str]| servers(targets(names).iter());
        assert_eq!(named(&["pop3", "smtp"]), "");
        assert_eq!(named(&["pop3-a", "smtp-b", "smtp-\"", "pop3-\"", "smtp-", "pop3-"]), "");
        assert_eq!(
            named(&["pop3", "pop3-home", "pop3-work", "smtp", "smtp-home", "smtp-work"]),
            "<meta name=\"pennypost-servers\" content=\"home work\">"
        );
    }

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
