//! The HTTP API: Mailpit's routes with its shapes (version 1.30), and this program's own routes.
//!
//! | file | routes |
//! |---|---|
//! | `messages.rs` | Mailpit: lists, search, read state, deletion, tags |
//! | `message.rs` | Mailpit: one message, its headers, source and parts; `/view` |
//! | `events.rs` | Mailpit: the WebSocket with changes |
//! | `info.rs` | Mailpit: information, chaos |
//! | `checks.rs` | Mailpit: HTML check, link check, release |
//! | `send.rs` | Mailpit: a message from JSON |
//! | `mail.rs` | own: messages with envelope, content and dialogue; deletion by query; recipients |
//! | `wait.rs` | own: waits for a message |
//! | `faults.rs` | own: faults and sessions |
//! | `access.rs` | permitted hosts and origins |
//! | `params.rs`, `shapes.rs` | parsing of queries; JSON of Mailpit |
//!
//! `openapi.json` describes the routes.

mod access;
mod checks;
mod events;
mod faults;
mod info;
mod mail;
mod message;
mod messages;
mod params;
mod send;
mod shapes;
mod wait;

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Path, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::{StatusCode, Uri};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{any, get, post, put};
use serde::Serialize;
use serde_json::json;
use tokio::sync::watch;
use ws_bridge::AccessPolicy;

use crate::faults::FaultControl;
use crate::link_check::LinkChecker;
use crate::release::Release;
use crate::service::Shared;
use crate::store::{Message, Store};

/// Size of a request body, except for a message to be sent.
const BODY_BYTES_MAX: usize = 5 << 20;

/// Id of the newest message.
const LATEST: &str = "latest";

const OPENAPI: &str = include_str!("openapi.json");

/// Tells the page to use the catcher's API as its data source.
const PAGE_MARK: &str = "<meta name=\"pennypost-catch\">";

/// Response to `/` if the program contains no page.
const INDEX: &str = "This is `pennypost catch`. This program has no page inside; --root names the directory of a built one. The HTTP API:\n\n\
    GET    /api/v1/wait?to=a@b.example&timeout=10s   waits for a message\n\
    GET    /api/v1/mail                              all messages\n\
    GET    /api/v1/mail/{id}                         a message with envelope, links, codes, dialogue and lint\n\
    GET    /api/v1/recipients                        recipients with the number of their messages\n\
    DELETE /api/v1/mail?to=a@b.example               deletes messages and returns them\n\
    GET, PUT, DELETE /api/v1/faults                  faults\n\
    GET    /api/v1/openapi.json                      all routes, including Mailpit's\n";

/// State of the handlers.
#[derive(Debug)]
pub(crate) struct Api {
    pub(crate) shared: Arc<Shared>,
    pub(crate) faults: FaultControl,
    pub(crate) links: LinkChecker,
    /// `None` without a configuration for outbound mail.
    pub(crate) release: Option<Release>,
    pub(crate) access: AccessPolicy,
    /// Whether pages of every origin may call the API.
    pub(crate) is_open_to_all_origins: bool,
    pub(crate) message_bytes_max: usize,
    pub(crate) start: Instant,
    pub(crate) shutdown: watch::Receiver<bool>,
}

impl Api {
    fn store(&self) -> &Arc<Store> {
        &self.shared.store
    }

    /// The message with this id, or the newest one that the parameter `query` selects if the id is `latest`.
    async fn find(self: &Arc<Self>, id: &str, query: Option<&str>) -> Result<Arc<Message>, ApiError> {
        if id != LATEST {
            return self.store().message(id).ok_or(ApiError::NotFound);
        }
        let query = params::Params::parse(query).search("query")?;
        let newest = blocking(self, move |api| {
            let store = api.store();
            store.newest(|message| query.matches(message, store.files())).into_iter().next()
        });
        newest.await?.ok_or(ApiError::NotFound)
    }
}

/// Runs work that reads files or compares many messages on a blocking thread.
async fn blocking<T: Send + 'static>(
    api: &Arc<Api>,
    work: impl FnOnce(&Api) -> T + Send + 'static,
) -> Result<T, ApiError> {
    let api = Arc::clone(api);
    let done = tokio::task::spawn_blocking(move || work(&api)).await;
    done.map_err(|error| ApiError::Internal(error.to_string()))
}

/// The routes of the API, each of which is described in `openapi.json`, and the page. `root` is the directory of the built page.
pub(crate) fn router(api: &Arc<Api>, root: Option<&std::path::Path>) -> Router {
    let routes = match ws_bridge::page(root, PAGE_MARK) {
        Some(page) => Router::new().route("/api/{*path}", any(not_found)).fallback_service(page),
        None => Router::new().route("/", get(|| async { INDEX })).fallback(not_found),
    };
    let routes = routes.merge(api_routes(api)).layer(DefaultBodyLimit::max(BODY_BYTES_MAX));
    let routes = routes.layer(middleware::from_fn(clean_path));
    let guarded = routes.layer(middleware::from_fn_with_state(Arc::clone(api), access::guard));
    ws_bridge::secured(guarded.with_state(Arc::clone(api)), false)
}

fn api_routes(api: &Api) -> Router<Arc<Api>> {
    Router::new()
        .route("/livez", get(info::livez))
        .route("/readyz", get(info::readyz))
        .route("/api/events", get(events::events))
        .route("/api/v1/openapi.json", get(|| async { ([(CONTENT_TYPE, "application/json")], OPENAPI) }))
        .route("/api/v1/wait", get(wait::wait))
        .route("/api/v1/mail", get(mail::list).delete(mail::delete))
        .route("/api/v1/mail/{id}", get(mail::show))
        .route("/api/v1/recipients", get(mail::recipients))
        .route("/api/v1/sessions", get(faults::sessions))
        .route("/api/v1/faults", get(faults::get).put(faults::put).delete(faults::delete))
        .route("/api/v1/messages", get(messages::list).put(messages::set_read).delete(messages::delete))
        .route("/api/v1/search", get(messages::search).delete(messages::delete_search))
        .route("/api/v1/tags", get(messages::tags).put(messages::set_tags))
        .route("/api/v1/tags/{tag}", put(messages::rename_tag).delete(messages::delete_tag))
        .route("/api/v1/message/{id}", get(message::show))
        .route("/api/v1/message/{id}/headers", get(message::headers))
        .route("/api/v1/message/{id}/raw", get(message::raw))
        .route("/api/v1/message/{id}/part/{part}", get(message::part))
        .route("/api/v1/message/{id}/part/{part}/thumb", get(unavailable))
        .route("/api/v1/message/{id}/html-check", get(checks::html_check))
        .route("/api/v1/message/{id}/link-check", get(checks::link_check))
        .route("/api/v1/message/{id}/sa-check", get(unavailable))
        .route("/api/v1/message/{id}/release", post(checks::release))
        .route("/api/v1/send", post(send::send).layer(DefaultBodyLimit::max(api.message_bytes_max)))
        .route("/api/v1/chaos", get(info::chaos).put(info::set_chaos))
        .route("/api/v1/info", get(info::info))
        .route("/api/v1/webui", get(info::webui))
        .route("/view/{file}", get(message::view))
}

/// Redirects a path with repeated slashes, as Mailpit's router does: `cypress-mailpit` asks for `//view/ID.html`.
async fn clean_path(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if !path.contains("//") {
        return next.run(request).await;
    }
    let segments: Vec<_> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
    Redirect::permanent(&format!("/{}{query}", segments.join("/"))).into_response()
}

async fn not_found(uri: Uri) -> Response {
    let text = format!("there is no {}; GET /api/v1/openapi.json lists the routes", uri.path());
    error_response(StatusCode::NOT_FOUND, &text, None)
}

/// Routes of Mailpit without a counterpart. Mailpit answers 400 when such a feature is turned off.
async fn unavailable(Path(_): Path<Vec<(String, String)>>) -> Response {
    error_response(StatusCode::BAD_REQUEST, "this catcher does not have this feature of Mailpit", None)
}

/// A failed request.
#[derive(Debug)]
pub(crate) enum ApiError {
    NotFound,
    /// The query or the body is invalid.
    Invalid {
        /// Name of the parameter or the JSON key; `body` for the whole body.
        field: String,
        reason: String,
    },
    Internal(String),
    ShuttingDown,
}

impl ApiError {
    pub(crate) fn invalid(field: &str, reason: impl Into<String>) -> Self {
        Self::Invalid { field: field.to_owned(), reason: reason.into() }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        match self {
            Self::NotFound => error_response(StatusCode::NOT_FOUND, "Message not found", None),
            Self::Invalid { field, reason } => {
                error_response(StatusCode::BAD_REQUEST, &format!("`{field}`: {reason}"), Some(&field))
            }
            Self::Internal(reason) => error_response(StatusCode::INTERNAL_SERVER_ERROR, &reason, None),
            Self::ShuttingDown => {
                error_response(StatusCode::SERVICE_UNAVAILABLE, "the catcher is shutting down", None)
            }
        }
    }
}

fn error_response(status: StatusCode, text: &str, field: Option<&str>) -> Response {
    let mut body = json!({ "error": text });
    if let Some(field) = field {
        body["field"] = json!(field);
    }
    with_json(status, &body)
}

fn with_json(status: StatusCode, value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => (status, [(CONTENT_TYPE, "application/json")], body).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

fn ok_json(value: &impl Serialize) -> Response {
    with_json(StatusCode::OK, value)
}

/// Mailpit's response to a change.
fn ok_text() -> Response {
    ([(CONTENT_TYPE, "text/plain")], "ok").into_response()
}
