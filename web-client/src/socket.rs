//! A [`Link`] over a WebSocket of the bridge: binary frames, cut wherever it suits.

use std::pin::pin;

use bytes::Bytes;
use futures::channel::mpsc::{UnboundedReceiver, unbounded};
use futures::future::{Either, select};
use futures::stream::StreamExt as _;
use mail_core::time::{Duration, Instant};
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast as _, JsValue};
use web_sys::{BinaryType, MessageEvent, WebSocket};
use yew::platform::time::sleep;

use crate::session::{Broken, Link, Received};
use crate::transcript::Protocol;

/// What may wait in the browser before more is sent.
const WAITING_OCTETS_MAX: u32 = 256 * 1_024;
/// A browser tells nobody when that has become less; it has to be looked at.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A connection over which nothing leaves for so long is lost.
const STUCK_MAX: Duration = Duration::from_secs(60);

enum Happening {
    Bytes(Bytes),
    End,
}

pub(crate) struct Socket {
    socket: WebSocket,
    happenings: UnboundedReceiver<Happening>,
    _on_message: Closure<dyn FnMut(MessageEvent)>,
    _on_close: Closure<dyn FnMut()>,
}

impl Socket {
    /// Begins to connect to a target of the bridge that this page came from.
    ///
    /// # Errors
    /// The browser does not allow it.
    pub(crate) fn connect(protocol: Protocol) -> Result<Self, Broken> {
        let target = match protocol {
            Protocol::Pop3 => "pop3",
            Protocol::Smtp => "smtp",
        };
        let location = web_sys::window().ok_or(Broken)?.location();
        let secure = location.protocol().is_ok_and(|protocol| protocol == "https:");
        let host = location.host().map_err(|_| Broken)?;
        let url = format!("{}://{host}/ws/{target}", if secure { "wss" } else { "ws" });
        let socket = WebSocket::new(&url).map_err(|_| Broken)?;
        socket.set_binary_type(BinaryType::Arraybuffer);
        let (sender, happenings) = unbounded();
        let tell = move |happening| {
            // Nobody listens any more when the session is over.
            let _ = sender.unbounded_send(happening);
        };
        let on_message = Closure::new({
            let tell = tell.clone();
            move |event: MessageEvent| {
                let octets = js_sys::Uint8Array::new(&event.data()).to_vec();
                tell(Happening::Bytes(octets.into()));
            }
        });
        let on_close = Closure::new(move || tell(Happening::End));
        socket.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        socket.set_onclose(Some(on_close.as_ref().unchecked_ref()));
        Ok(Self { socket, happenings, _on_message: on_message, _on_close: on_close })
    }

    async fn next(&mut self) -> Received {
        match self.happenings.next().await {
            Some(Happening::Bytes(bytes)) => Received::Bytes(bytes),
            Some(Happening::End) | None => Received::End,
        }
    }
}

impl Link for Socket {
    async fn receive(&mut self, deadline: Option<Instant>) -> Received {
        let Some(deadline) = deadline else { return self.next().await };
        let pause = sleep(deadline.saturating_duration_since(Instant::now()));
        match select(pin!(self.next()), pin!(pause)).await {
            Either::Left((received, _)) => received,
            Either::Right(_) => Received::TimedOut,
        }
    }

    fn received(&mut self) -> Option<Bytes> {
        match self.happenings.try_recv() {
            Ok(Happening::Bytes(bytes)) => Some(bytes),
            Ok(Happening::End) => {
                // Whoever waits for more hears of it.
                self.happenings.close();
                None
            }
            Err(_) => None,
        }
    }

    async fn send(&mut self, bytes: Bytes) -> Result<(), Broken> {
        // Both servers speak first: whoever has something to say to them is connected.
        self.socket.send_with_u8_array(&bytes).map_err(|_| Broken)?;
        let (mut least, mut moved) = (u32::MAX, Instant::now());
        loop {
            let waiting = self.socket.buffered_amount();
            if waiting < least {
                (least, moved) = (waiting, Instant::now());
            }
            if waiting <= WAITING_OCTETS_MAX {
                break;
            }
            if self.socket.ready_state() != WebSocket::OPEN || moved.elapsed() > STUCK_MAX {
                return Err(Broken);
            }
            sleep(LOOK_EVERY).await;
        }
        if self.socket.ready_state() == WebSocket::OPEN { Ok(()) } else { Err(Broken) }
    }

    fn waiting(&self) -> u64 {
        self.socket.buffered_amount().into()
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.socket.set_onmessage(None);
        self.socket.set_onclose(None);
        // What is closed already may be closed again.
        let _: Result<(), JsValue> = self.socket.close();
    }
}
