//! Permitted hosts and origins. Pages of other origins are refused (CORS), and so are names that were rebound to this address (DNS
//! rebinding).

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, HeaderMap,
    HeaderValue, ORIGIN, USER_AGENT, VARY,
};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use ws_bridge::Rejection;

use super::{Api, error_response};
use crate::link_check;

pub(super) async fn guard(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    if request.headers().get(USER_AGENT).is_some_and(|agent| agent == link_check::AGENT) {
        return error_response(StatusCode::FORBIDDEN, "a link to the catcher itself is not checked", None);
    }
    match api.access.check_request(request.uri(), request.headers(), "http") {
        Ok(()) => {}
        Err(Rejection::Origin(_)) if api.is_open_to_all_origins => {}
        Err(rejection) => return refusal(&rejection),
    }
    let origin = request.headers().get(ORIGIN).cloned();
    if origin.is_none() && is_foreign_page(request.method(), request.headers()) && !api.is_open_to_all_origins
    {
        let text = "the request comes from a page of another origin; to allow it, start the catcher with --cors ORIGIN";
        return error_response(StatusCode::FORBIDDEN, text, None);
    }
    let is_preflight = origin.is_some() && request.method() == Method::OPTIONS;
    let mut response =
        if is_preflight { StatusCode::NO_CONTENT.into_response() } else { next.run(request).await };
    if let Some(origin) = origin {
        add_cors_headers(response.headers_mut(), origin);
    }
    response
}

/// Whether a page of another site caused the request without an Origin header, for example for an image. Navigation is permitted.
fn is_foreign_page(method: &Method, headers: &HeaderMap) -> bool {
    let is = |name: &str, values: &[&[u8]]| {
        headers.get(name).is_some_and(|value| values.contains(&value.as_bytes()))
    };
    let is_link =
        method == Method::GET && is("sec-fetch-mode", &[b"navigate"]) && is("sec-fetch-dest", &[b"document"]);
    is("sec-fetch-site", &[b"cross-site", b"same-site"]) && !is_link
}

fn add_cors_headers(headers: &mut HeaderMap, origin: HeaderValue) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, PUT, DELETE, OPTIONS"));
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("*"));
    headers.append(VARY, HeaderValue::from_static("Origin"));
}

fn refusal(rejection: &Rejection) -> Response {
    let text = match rejection {
        Rejection::Host(host) => {
            format!("unknown host `{host}`; if this catcher has that name, start it with --name {host}")
        }
        Rejection::NoOrigin => "the request has more than one Origin header".to_owned(),
        Rejection::Origin(origin) => {
            format!("origin `{origin}` is not allowed; to allow it, start the catcher with --cors {origin}")
        }
    };
    error_response(StatusCode::FORBIDDEN, &text, None)
}
