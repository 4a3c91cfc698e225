//! `GET /account/events`: a WebSocket that reports changes of the user's mailbox.
//!
//! The client's first message is a token. The server answers `ready`, then sends `changed` after each change; changes within a short
//! time are reported once. The connection is closed with 1008 when the token expires.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures::{SinkExt, StreamExt};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use net::limiter::ConnectionPermit;
use tokio::time::{interval_at, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tracing::debug;
use ws_bridge::Browser;

use super::tokens::Token;
use super::{AccountApi, Refusal};

/// Shorter than common NAT timeouts.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const SEND_TIMEOUT: Duration = Duration::from_secs(30);
/// Time for the client's first message.
const TOKEN_TIMEOUT: Duration = Duration::from_secs(10);
/// A token and its framing.
const FRAME_BYTES_MAX: usize = 1 << 10;

type Stream = WebSocketStream<TokioIo<Upgraded>>;

/// Axum handler.
pub(super) async fn events(
    State(api): State<Arc<AccountApi>>,
    Extension(browser): Extension<Browser>,
    mut request: Request,
) -> Response {
    if let Err(refusal) = api.check_access(&browser, request.uri(), request.headers()) {
        return refusal.into_response();
    }
    let Ok(permit) = api.connections.acquire(browser.client.address.ip()) else {
        return Refusal::TooManyConnections.into_response();
    };
    let response = match create_response_with_body(&request, Body::empty) {
        Ok(response) => response,
        Err(error) => {
            return (StatusCode::BAD_REQUEST, format!("not a WebSocket handshake: {error}\n"))
                .into_response();
        }
    };
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        match upgraded.await {
            Ok(connection) => serve(&api, connection, permit).await,
            Err(error) => debug!(%error, "connection lost before the upgrade"),
        }
    });
    response
}

async fn serve(api: &AccountApi, connection: Upgraded, _permit: ConnectionPermit) {
    let config = WebSocketConfig::default()
        .max_message_size(Some(FRAME_BYTES_MAX))
        .max_frame_size(Some(FRAME_BYTES_MAX));
    let mut stream =
        WebSocketStream::from_raw_socket(TokioIo::new(connection), Role::Server, Some(config)).await;
    let close = match read_token(api, &mut stream).await {
        Some(token) => report_changes(api, &mut stream, &token).await,
        None => Some((CloseCode::Policy, "no valid token")),
    };
    if let Some((code, reason)) = close {
        // The client may be gone.
        let _ = timeout(SEND_TIMEOUT, stream.close(Some(CloseFrame { code, reason: reason.into() }))).await;
    }
}

async fn read_token(api: &AccountApi, stream: &mut Stream) -> Option<Token> {
    let frame = timeout(TOKEN_TIMEOUT, stream.next()).await.ok()??.ok()?;
    api.tokens.find(frame.to_text().ok()?, Instant::now())
}

/// Sends changes until the connection is lost (`None`) or must be closed.
async fn report_changes(
    api: &AccountApi,
    stream: &mut Stream,
    token: &Token,
) -> Option<(CloseCode, &'static str)> {
    let mut mailbox = api.watcher.watch(&token.account, &api.context.store).await;
    let mut shutdown = api.shutdown.clone();
    let mut pings = interval_at(tokio::time::Instant::now() + PING_INTERVAL, PING_INTERVAL);
    let mut next = Some(Frame::text("ready"));
    loop {
        if let Some(frame) = next.take() {
            // A client that stops reading is disconnected.
            timeout(SEND_TIMEOUT, stream.send(frame)).await.ok()?.ok()?;
        }
        tokio::select! {
            changed = mailbox.changed() => {
                changed.ok()?;
                next = Some(Frame::text("changed"));
            }
            _ = pings.tick() => next = Some(Frame::Ping(Default::default())),
            frame = stream.next() => {
                frame?.ok()?;
            }
            () = sleep_until(token.expires.into()) => return Some((CloseCode::Policy, "token expired")),
            _ = shutdown.wait_for(|shutdown| *shutdown) => return Some((CloseCode::Away, "shutting down")),
        }
    }
}
