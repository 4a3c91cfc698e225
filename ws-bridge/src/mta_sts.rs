//! The MTA-STS policy of the local domains (RFC 8461 section 3.3), at `https://mta-sts.DOMAIN/.well-known/mta-sts.txt`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HOST, HeaderMap};
use axum::http::uri::Authority;
use axum::response::{IntoResponse, Response};
use axum::routing::{Router, get};
use config::Config;

const PATH: &str = "/.well-known/mta-sts.txt";

/// A policy, and the host names that serve it.
#[derive(Debug)]
pub(crate) struct PublishedPolicy {
    text: String,
    hosts: Vec<String>,
}

impl PublishedPolicy {
    /// `None`: none is configured.
    pub(crate) fn of(config: &Config) -> Option<Self> {
        let policy = config.mta_sts_policy()?;
        Some(Self { text: policy.to_string().replace('\n', "\r\n"), hosts: config.policy_hosts() })
    }
}

pub(crate) fn router(policy: Option<Arc<PublishedPolicy>>) -> Router {
    match policy {
        Some(policy) => Router::new().route(PATH, get(serve)).with_state(policy),
        None => Router::new(),
    }
}

/// Axum handler. Another name may belong to another domain, so it has no policy.
async fn serve(State(policy): State<Arc<PublishedPolicy>>, headers: HeaderMap) -> Response {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()?.parse::<Authority>().ok());
    let is_known =
        host.is_some_and(|host| policy.hosts.iter().any(|known| known.eq_ignore_ascii_case(host.host())));
    if !is_known {
        return (StatusCode::NOT_FOUND, "no policy for this name\n").into_response();
    }
    ([(CONTENT_TYPE, "text/plain; charset=utf-8")], policy.text.clone()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn policy_is_served_for_its_names_only() {
        let policy =
            PublishedPolicy { text: "version: STSv1\r\n".into(), hosts: vec!["mta-sts.iit.edu".into()] };
        let policy = Arc::new(policy);
        for (host, status) in [
            ("mta-sts.iit.edu", 200),
            ("MTA-STS.iit.edu:443", 200),
            ("iit.edu", 404),
            ("mta-sts.evil.example", 404),
        ] {
            let headers = [(HOST, host.parse().expect("a value"))].into_iter().collect();
            let response = serve(State(Arc::clone(&policy)), headers).await;
            assert_eq!(response.status().as_u16(), status, "{host}");
        }
        assert_eq!(serve(State(policy), HeaderMap::new()).await.status().as_u16(), 404);
    }
}
