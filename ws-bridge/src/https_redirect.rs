//! Redirects plain HTTP requests on a TLS listener to https.
//!
//! The redirect is temporary: a browser that cached a permanent one could not reach a server whose TLS was turned off.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{HeaderMap, LOCATION};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::Router;

use crate::access::AccessPolicy;

pub(crate) fn router(access: Arc<AccessPolicy>) -> Router {
    Router::new().fallback(redirect).with_state(access)
}

/// Redirects to allowed hosts only, so that the server is not an open redirector.
async fn redirect(State(access): State<Arc<AccessPolicy>>, headers: HeaderMap, uri: Uri) -> Response {
    let Some(host) = access.allowed_host(&headers) else {
        return (StatusCode::BAD_REQUEST, "This server requires https.\n").into_response();
    };
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let location = format!("https://{host}{path}");
    let body = format!("This server requires https: {location}\n");
    (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, location)], body).into_response()
}
