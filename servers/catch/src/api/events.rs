//! `GET /api/events`: Mailpit's WebSocket, which reports every change.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use futures::{SinkExt, StreamExt};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, interval_at, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tracing::debug;

use super::info::VERSION;
use super::shapes::Summary;
use super::{Api, error_response};
use crate::store::Change;

/// As in Mailpit.
const PING_INTERVAL: Duration = Duration::from_secs(54);
const SEND_TIMEOUT: Duration = Duration::from_secs(30);
/// Clients send only pongs.
const FRAME_BYTES_MAX: usize = 4 << 10;

pub(super) async fn events(State(api): State<Arc<Api>>, mut request: Request) -> Response {
    let response = match create_response_with_body(&request, Body::empty) {
        Ok(response) => response,
        Err(error) => {
            return error_response(
                StatusCode::BAD_REQUEST,
                &format!("not a WebSocket handshake: {error}"),
                None,
            );
        }
    };
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        match upgraded.await {
            Ok(connection) => serve(&api, connection).await,
            Err(error) => debug!(%error, "connection lost before the upgrade"),
        }
    });
    response
}

/// Sends changes until the client closes the connection or the catcher shuts down.
async fn serve(api: &Api, connection: Upgraded) {
    let config = WebSocketConfig::default()
        .max_message_size(Some(FRAME_BYTES_MAX))
        .max_frame_size(Some(FRAME_BYTES_MAX));
    let stream = WebSocketStream::from_raw_socket(TokioIo::new(connection), Role::Server, Some(config)).await;
    let (mut sink, mut frames) = stream.split();
    let mut changes = api.store().changes();
    let mut shutdown = api.shutdown.clone();
    let mut pings = interval_at(Instant::now() + PING_INTERVAL, PING_INTERVAL);
    let mut outgoing = vec![event("stats", &stats(api))];
    loop {
        for frame in outgoing.drain(..) {
            // A client that stops reading is disconnected.
            if !matches!(timeout(SEND_TIMEOUT, sink.send(frame)).await, Ok(Ok(()))) {
                return;
            }
        }
        tokio::select! {
            change = changes.recv() => match change {
                Ok(change) => outgoing.extend([event_of(&change), event("stats", &stats(api))]),
                // Changes were dropped because the client reads too slowly; it must reload the list.
                Err(RecvError::Lagged(_)) => outgoing.push(event("prune", &Value::Null)),
                Err(RecvError::Closed) => break,
            },
            _ = pings.tick() => outgoing.push(Frame::Ping(Default::default())),
            frame = frames.next() => if frame.is_none_or(|frame| frame.is_err()) { return },
            _ = shutdown.wait_for(|shutdown| *shutdown) => break,
        }
    }
    // Fails if the client has disconnected.
    let _ = timeout(SEND_TIMEOUT, sink.close()).await;
}

fn stats(api: &Api) -> Value {
    json!({ "Total": api.store().len(), "Unread": api.store().unread(), "Version": VERSION })
}

fn event_of(change: &Change) -> Frame {
    match change {
        Change::New(message) => event("new", &json!(Summary::of(message))),
        Change::Updated(message) => {
            let state = message.state().clone();
            event("update", &json!({ "ID": message.id, "Read": state.read, "Tags": state.tags }))
        }
        Change::Deleted(message) => event("delete", &json!({ "ID": message.id })),
        Change::Truncated => event("truncate", &Value::Null),
    }
}

fn event(kind: &str, data: &Value) -> Frame {
    Frame::text(json!({ "Type": kind, "Data": data }).to_string())
}
