//! What is answered to who comes without TLS to an address that speaks it: the same place by https.
//!
//! The answer holds for once only: a browser that kept it could not come back to a host that gives TLS up.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{HeaderMap, LOCATION};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::Router;

use crate::access::Access;

pub(crate) fn router(access: Arc<Access>) -> Router {
    Router::new().fallback(elsewhere).with_state(access)
}

/// Only to a name of ours: nobody's link to this host leads to another's.
async fn elsewhere(State(access): State<Arc<Access>>, headers: HeaderMap, uri: Uri) -> Response {
    let Some(host) = access.own_host(&headers) else {
        return (StatusCode::BAD_REQUEST, "This address speaks https only.\n").into_response();
    };
    let place = uri.path_and_query().map_or("/", |place| place.as_str());
    let there = format!("https://{host}{place}");
    let sentence = format!("This address speaks https only: {there}\n");
    (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, there)], sentence).into_response()
}
