//! The WebSocket of the catcher, which reports every change of the stored messages.

use wasm_bindgen::JsCast as _;
use wasm_bindgen::closure::Closure;
use web_sys::{MessageEvent, WebSocket};

use super::json::Json;

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

/// A connection with its listeners. Dropping it closes the connection without an event.
#[derive(Debug)]
pub(super) struct Events {
    socket: WebSocket,
    _on_open: Closure<dyn FnMut()>,
    _on_message: Closure<dyn FnMut(MessageEvent)>,
    _on_close: Closure<dyn FnMut()>,
}

impl Drop for Events {
    fn drop(&mut self) {
        self.socket.set_onopen(None);
        self.socket.set_onmessage(None);
        self.socket.set_onclose(None);
        // Fails for invalid codes only.
        let _ = self.socket.close();
    }
}

/// Connects, and calls `notify` until the connection is lost. `None` if the browser refuses the connection.
pub(super) fn listen(notify: impl Fn(CatchEvent) + Clone + 'static) -> Option<Events> {
    let socket = connect()?;
    let on_open = {
        let notify = notify.clone();
        Closure::<dyn FnMut()>::new(move || notify(CatchEvent::Connected))
    };
    let on_message = {
        let notify = notify.clone();
        Closure::<dyn FnMut(MessageEvent)>::new(move |message: MessageEvent| {
            let text = message.data().as_string().unwrap_or_default();
            if let Some(event) = event(&text) {
                notify(event);
            }
        })
    };
    let on_close = Closure::<dyn FnMut()>::new(move || notify(CatchEvent::Lost));
    socket.set_onopen(Some(on_open.as_ref().unchecked_ref()));
    socket.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
    // A failed connection closes, too.
    socket.set_onclose(Some(on_close.as_ref().unchecked_ref()));
    Some(Events { socket, _on_open: on_open, _on_message: on_message, _on_close: on_close })
}

fn connect() -> Option<WebSocket> {
    let location = web_sys::window()?.location();
    let scheme = if location.protocol().ok()? == "https:" { "wss" } else { "ws" };
    WebSocket::new(&format!("{scheme}://{}/api/events", location.host().ok()?)).ok()
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
