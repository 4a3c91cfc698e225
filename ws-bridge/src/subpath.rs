//! `[web] path`: the routes below a path, for a host whose other paths belong to other programs.

use axum::Router;
use axum::extract::Request;
use axum::http::uri::{PathAndQuery, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use tower::ServiceExt as _;

/// Serves the routes below `path`, which begins and ends with a slash. Requests for other paths reach the routes unchanged, so that
/// probes and mail programs find theirs. Requests for `/` and for the path without its final slash are redirected.
pub(crate) fn below(path: &str, router: Router) -> Router {
    if path == "/" {
        return router;
    }
    let path: std::sync::Arc<str> = path.into();
    Router::new().fallback(move |request: Request| {
        let (path, router) = (path.clone(), router.clone());
        async move { respond(&path, router, request).await }
    })
}

async fn respond(path: &str, router: Router, mut request: Request) -> Response {
    let requested = request.uri().path();
    if requested == "/" || requested == path.trim_end_matches('/') {
        // Not permanent: browsers would keep it after a change of the configuration.
        return Redirect::temporary(path).into_response();
    }
    if let Some(uri) = stripped(path, request.uri()) {
        *request.uri_mut() = uri;
    }
    router.oneshot(request).await.unwrap_or_else(|never| match never {})
}

/// The URI without the path.
fn stripped(path: &str, uri: &Uri) -> Option<Uri> {
    let rest = uri.path_and_query()?.as_str().strip_prefix(path)?;
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(format!("/{rest}")).ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_is_stripped_and_the_query_stays() {
        let strip = |uri: &str| {
            let uri = stripped("/mail/", &uri.parse().expect("a URI"));
            uri.map(|uri| uri.to_string())
        };
        assert_eq!(strip("/mail/ws/pop3?a=/mail/").as_deref(), Some("/ws/pop3?a=/mail/"));
        assert_eq!(strip("/mail/").as_deref(), Some("/"));
        assert_eq!(strip("/mail/?x").as_deref(), Some("/?x"));
        assert_eq!(strip("http://localhost/mail/a").as_deref(), Some("http://localhost/a"));
        for other in ["/mailbox/", "/other/mail/", "/", "/mail"] {
            assert_eq!(strip(other), None, "{other}");
        }
    }
}
