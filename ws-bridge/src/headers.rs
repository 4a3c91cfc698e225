//! Security headers and the default caching of all responses.

use axum::extract::Request;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY,
    STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::Router;
use tower_http::set_header::SetResponseHeaderLayer;

/// The opener policy isolates the page from windows opened by links in a mail.
const HEADERS: [(HeaderName, &str); 5] = [
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
];

/// For responses that set no policy of their own, which are not documents.
const DEFAULT_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

/// Adds the headers to every response. `https_only` adds Strict-Transport-Security (RFC 6797).
pub fn secured(router: Router, https_only: bool) -> Router {
    let router = router.layer(middleware::from_fn(add_headers));
    if !https_only {
        return router;
    }
    let value = HeaderValue::from_static("max-age=31536000");
    router.layer(SetResponseHeaderLayer::overriding(STRICT_TRANSPORT_SECURITY, value))
}

async fn add_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache"));
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(DEFAULT_POLICY));
    response
}
