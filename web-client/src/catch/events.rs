//! The WebSocket of the catcher, which reports every change of the stored messages.

use js_sys::Function;
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast as _, JsValue};
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

/// Connects, and calls `notify` until the connection is lost. The listeners live as long as the page.
pub(super) fn listen(notify: impl Fn(CatchEvent) + Clone + 'static) {
    let Some(socket) = connect() else { return notify(CatchEvent::Lost) };
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
    socket.set_onopen(Some(listener(on_open.into_js_value()).as_ref()));
    socket.set_onmessage(Some(listener(on_message.into_js_value()).as_ref()));
    // A failed connection closes, too.
    socket.set_onclose(Some(listener(on_close.into_js_value()).as_ref()));
}

fn listener(closure: JsValue) -> Function {
    closure.unchecked_into()
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
