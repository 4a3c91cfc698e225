//! A WebSocket next to the page, with its listeners.

use std::rc::Rc;

use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast as _, JsValue};
use web_sys::{BinaryType, CloseEvent, MessageEvent};

use super::location;

#[derive(Debug)]
pub(crate) enum SocketEvent {
    Open,
    /// A string, or an `ArrayBuffer`.
    Message(JsValue),
    /// The connection has ended or could not be opened.
    Closed {
        code: u16,
        reason: String,
    },
}

/// A connection. Dropping it closes the connection without an event.
#[derive(Debug)]
pub(crate) struct WebSocket {
    socket: web_sys::WebSocket,
    _on_open: Closure<dyn Fn()>,
    _on_message: Closure<dyn Fn(MessageEvent)>,
    _on_close: Closure<dyn Fn(CloseEvent)>,
}

impl WebSocket {
    /// Starts connecting to a path next to the page's. `on_event` gets the socket and its events. `None` if the browser refuses to
    /// open WebSockets.
    pub(crate) fn connect(
        path: &str,
        on_event: impl Fn(&web_sys::WebSocket, SocketEvent) + 'static,
    ) -> Option<Self> {
        let socket = web_sys::WebSocket::new(&location::web_socket(path)?).ok()?;
        socket.set_binary_type(BinaryType::Arraybuffer);
        let on_event: Rc<dyn Fn(SocketEvent)> = Rc::new({
            let socket = socket.clone();
            move |event| on_event(&socket, event)
        });
        let on_open = Closure::new({
            let on_event = on_event.clone();
            move || on_event(SocketEvent::Open)
        });
        let on_message = Closure::new({
            let on_event = on_event.clone();
            move |event: MessageEvent| on_event(SocketEvent::Message(event.data()))
        });
        let on_close = Closure::new(move |event: CloseEvent| {
            on_event(SocketEvent::Closed { code: event.code(), reason: event.reason() });
        });
        socket.set_onopen(Some(on_open.as_ref().unchecked_ref()));
        socket.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        // A failed connection closes, too.
        socket.set_onclose(Some(on_close.as_ref().unchecked_ref()));
        Some(Self { socket, _on_open: on_open, _on_message: on_message, _on_close: on_close })
    }

    pub(crate) const fn socket(&self) -> &web_sys::WebSocket {
        &self.socket
    }
}

impl Drop for WebSocket {
    fn drop(&mut self) {
        self.socket.set_onopen(None);
        self.socket.set_onmessage(None);
        self.socket.set_onclose(None);
        // Fails for invalid codes only.
        let _: Result<(), JsValue> = self.socket.close();
    }
}
