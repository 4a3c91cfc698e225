//! The WebSocket of the catcher, which reports every change of the stored messages.

use super::json::Json;
use crate::platform::web_socket::{SocketEvent, WebSocket};

/// A change of the stored messages, or of the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum CatchEvent {
    Connected,
    /// Messages were stored, deleted or changed.
    Changed,
    Deleted(String),
    DeletedAll,
    Lost,
}

/// Connects, and calls `notify` until the connection is lost or dropped. `None` if the browser refuses the connection.
pub(super) fn listen(notify: impl Fn(CatchEvent) + 'static) -> Option<WebSocket> {
    WebSocket::connect("api/events", move |_, received| {
        let event = match received {
            SocketEvent::Open => Some(CatchEvent::Connected),
            SocketEvent::Message(data) => event(&data.as_string().unwrap_or_default()),
            SocketEvent::Closed { .. } => Some(CatchEvent::Lost),
        };
        if let Some(event) = event {
            notify(event);
        }
    })
}

fn event(text: &str) -> Option<CatchEvent> {
    let event = Json::parse(text)?;
    match event.text("Type").as_str() {
        "new" | "update" | "prune" => Some(CatchEvent::Changed),
        "delete" => Some(CatchEvent::Deleted(event.get("Data").text("ID"))),
        "truncate" => Some(CatchEvent::DeletedAll),
        _ => None,
    }
}
