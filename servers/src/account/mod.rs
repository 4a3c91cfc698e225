//! HTTP routes for users: their own addresses, a new password, their queued messages, and changes of their mailbox. The page uses
//! all of them, `mail-client passwd` and `mail-client queue` the first three. Mail itself travels over SMTP and POP3 only.
//!
//! | route | request | response |
//! |---|---|---|
//! | `POST /account/session` | `{"user", "password"}` | `{"account", "addresses", "token", "token_seconds"}`, the address at the first domain first |
//! | `POST /account/password` | `{"user", "password", "new_password"}` | 204 |
//! | `POST /account/queue` | `{"token"}` | see `queue.rs` |
//! | `GET /account/events` | a token, over a WebSocket | see `events.rs` |
//!
//! A refusal is one sentence as plain text: 400 for a malformed request, 403 for a wrong password, an unknown or expired token, a
//! foreign origin or a connection without TLS, 422 for an unusable new password, 413 for a request that is too large, 429 after too
//! many failed sign-ins, 500 if the accounts or the queue cannot be read, 503 if passwords cannot be verified now or there are too
//! many connections. Host and Origin are checked as for WebSockets; a request without Origin does not come from a page.

mod events;
mod mailbox_watcher;
mod queue;
mod tokens;

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Extension, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use config::{Config, Outbound};
use mail_core::sasl::Credentials;
use mail_core::users::Username;
use mail_service::context::RejectionReason;
use mail_store::directory::{AccountAdmin, DirectoryError};
use net::limiter::{ConnectionLimiter, ConnectionLimits};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::sync::{Semaphore, watch};
use tokio::time::sleep;
use tracing::{error, info};
use ws_bridge::{AccessPolicy, Browser, Rejection};

use self::mailbox_watcher::MailboxWatcher;
use self::tokens::{LIFETIME, Tokens};
use crate::admin::check_password;
use crate::context::Context;
use crate::sessions::Sessions;

/// Names and passwords are shorter.
const BODY_BYTES_MAX: usize = 4 << 10;

/// State of the handlers.
#[derive(Debug)]
pub(crate) struct AccountApi {
    context: Arc<Context>,
    access: AccessPolicy,
    sessions: Arc<Sessions>,
    tokens: Tokens,
    watcher: MailboxWatcher,
    /// Limits WebSockets.
    connections: Arc<ConnectionLimiter>,
    /// One password is hashed at a time.
    changes: Semaphore,
    /// One listing reads the queue at a time.
    listings: Semaphore,
    outbound: Option<Outbound>,
    shutdown: watch::Receiver<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignIn {
    user: String,
    password: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PasswordChange {
    user: String,
    password: String,
    new_password: String,
}

impl AccountApi {
    pub(crate) fn new(
        config: &Config,
        context: &Arc<Context>,
        sessions: &Arc<Sessions>,
        shutdown: watch::Receiver<bool>,
    ) -> Arc<Self> {
        let limits = &config.web.limits;
        Arc::new(Self {
            context: Arc::clone(context),
            access: AccessPolicy::for_bridge(&config.hostname, &config.web),
            sessions: Arc::clone(sessions),
            tokens: Tokens::default(),
            watcher: MailboxWatcher::default(),
            connections: ConnectionLimiter::new(ConnectionLimits {
                connections_max: limits.connections,
                per_address_max: limits.connections_per_address,
                is_trusted: Arc::new(|_| false),
            }),
            changes: Semaphore::new(1),
            listings: Semaphore::new(1),
            outbound: config.outbound.clone(),
            shutdown,
        })
    }

    /// The routes.
    pub(crate) fn router(self: Arc<Self>) -> Router {
        Router::new()
            .route("/account/session", post(session))
            .route("/account/password", post(change_password))
            .route("/account/queue", post(queue::own_queue))
            .route("/account/events", get(events::events))
            .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
            .with_state(self)
    }

    /// Looks for changes of watched mailboxes until the shutdown.
    pub(crate) async fn watch_mailboxes(self: Arc<Self>) {
        self.watcher.clone().run(&self.context.store, self.shutdown.clone()).await;
    }

    fn check_access(&self, browser: &Browser, uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
        self.access.check_request(uri, headers, browser.scheme()).map_err(Refusal::Access)
    }

    /// A sign-in is throttled and delayed as one over SMTP or POP3.
    async fn sign_in(&self, browser: &Browser, user: String, password: String) -> Result<Username, Refusal> {
        if !self.sessions.accepts_password(&browser.client) {
            return Err(Refusal::NeedsTls);
        }
        let mut client = self.sessions.client_context(&browser.client);
        match self.context.sign_in(&Credentials::new(user, password), &mut client).await {
            Ok(account) => Ok(account),
            Err(rejection) => {
                sleep(rejection.delay).await;
                Err(Refusal::SignIn(rejection.reason))
            }
        }
    }
}

/// Axum handler.
async fn session(
    State(api): State<Arc<AccountApi>>,
    Extension(browser): Extension<Browser>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    api.check_access(&browser, &uri, &headers)?;
    let SignIn { user, password } = parse(&body)?;
    let account = api.sign_in(&browser, user, password).await?;
    let addresses = api.context.own_addresses(&account).await?;
    let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    let token = api.tokens.create(account.clone(), Instant::now());
    let body = json!({
        "account": account.as_str(),
        "addresses": addresses,
        "token": token,
        "token_seconds": LIFETIME.as_secs(),
    });
    Ok(json_response(body.to_string()))
}

/// The response is for this user only, so it is not cached.
fn json_response(text: String) -> Response {
    ([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")], text).into_response()
}

/// Axum handler. Open SMTP and POP3 sessions continue; tokens of the account end.
async fn change_password(
    State(api): State<Arc<AccountApi>>,
    Extension(browser): Extension<Browser>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    api.check_access(&browser, &uri, &headers)?;
    let PasswordChange { user, password, new_password } = parse(&body)?;
    let account = api.sign_in(&browser, user, password).await?;
    let new_password = check_password(new_password).map_err(Refusal::NewPassword)?;
    let _change = api.changes.acquire().await.expect("the semaphore is never closed");
    let context = Arc::clone(&api.context);
    let name = account.clone();
    // The change blocks, and is finished even if the client disconnects.
    let changed = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Handle::current();
        runtime.block_on(context.directory.set_password(&name, &new_password))
    });
    changed.await.map_err(|failure| DirectoryError::Failed(failure.to_string()))??;
    api.tokens.revoke(&account);
    info!(account = account.as_str(), address = %browser.client.address.ip(), "password changed by the user");
    Ok(StatusCode::NO_CONTENT)
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    // The reason could contain a part of a password.
    serde_json::from_slice(body).map_err(|_| Refusal::Malformed)
}

/// The reason for an error response.
#[derive(Debug)]
enum Refusal {
    Access(Rejection),
    NeedsTls,
    Malformed,
    SignIn(RejectionReason),
    NewPassword(String),
    Token,
    TooManyConnections,
    Directory,
    Queue,
}

impl From<DirectoryError> for Refusal {
    fn from(failure: DirectoryError) -> Self {
        error!(%failure, "request of a user failed");
        Self::Directory
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, reason) = match self {
            Self::Access(rejection) => (StatusCode::FORBIDDEN, rejection.to_string()),
            Self::NeedsTls => (StatusCode::FORBIDDEN, "passwords are accepted over https only".to_owned()),
            Self::Malformed => (StatusCode::BAD_REQUEST, "the request is malformed".to_owned()),
            Self::SignIn(RejectionReason::WrongCredentials) => {
                (StatusCode::FORBIDDEN, "wrong user name or password".to_owned())
            }
            Self::SignIn(RejectionReason::TooManyFailures) => {
                (StatusCode::TOO_MANY_REQUESTS, "too many failed sign-ins; try again later".to_owned())
            }
            Self::SignIn(RejectionReason::Unavailable) => {
                (StatusCode::SERVICE_UNAVAILABLE, "passwords cannot be verified now; try again".to_owned())
            }
            Self::NewPassword(reason) => (StatusCode::UNPROCESSABLE_ENTITY, reason),
            Self::Token => {
                (StatusCode::FORBIDDEN, "the token is unknown or has expired; sign in again".to_owned())
            }
            Self::TooManyConnections => {
                (StatusCode::SERVICE_UNAVAILABLE, "too many connections; try again later".to_owned())
            }
            Self::Directory => {
                (StatusCode::INTERNAL_SERVER_ERROR, "the accounts cannot be read or changed now".to_owned())
            }
            Self::Queue => (StatusCode::INTERNAL_SERVER_ERROR, "the queue cannot be read now".to_owned()),
        };
        (status, format!("{reason}\n")).into_response()
    }
}
