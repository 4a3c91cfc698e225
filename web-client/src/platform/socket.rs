//! A [`Connection`] over a WebSocket to the bridge. Frame boundaries have no meaning.

use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::rc::Rc;

use bytes::Bytes;
use futures::channel::mpsc::{UnboundedReceiver, unbounded};
use futures::future::{Either, select};
use futures::stream::StreamExt as _;
use js_sys::Uint8Array;
use mail_core::time::{Duration, Instant};
use yew::platform::time::sleep;

use super::web_socket::{SocketEvent, WebSocket};
use super::{location, refusal};
use crate::model::transcript::Protocol;
use crate::session::{Connection, ConnectionLost, Received};

/// Data that the browser may buffer before [`Socket::send`] waits.
const BUFFERED_OCTETS_MAX: u32 = 256 * 1_024;
/// Polling interval of the buffered amount; browsers have no event for it.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// The close code of a normal end (RFC 6455 section 7.4.1).
const CLOSE_NORMAL: u16 = 1_000;

/// A connection that sends nothing for this time is lost.
const SEND_TIMEOUT: Duration = Duration::from_secs(60);

enum Event {
    Bytes(Bytes),
    End,
}

pub(crate) struct Socket {
    socket: WebSocket,
    path: String,
    /// The upgrade succeeded.
    opened: Rc<Cell<bool>>,
    close_reason: Rc<RefCell<Option<String>>>,
    events: UnboundedReceiver<Event>,
}

impl Socket {
    /// Starts connecting to a target of the bridge that served the page: `smtp`, or `smtp-<server>`.
    ///
    /// # Errors
    /// The browser refuses to open WebSockets.
    pub(crate) fn connect(protocol: Protocol, server: &str) -> Result<Self, ConnectionLost> {
        let target = match protocol {
            Protocol::Pop3 => "pop3",
            Protocol::Smtp => "smtp",
        };
        let separator = if server.is_empty() { "" } else { "-" };
        let target = format!("ws/{target}{separator}{}", location::encode(server));
        let path = location::relative(&target);
        let (sender, events) = unbounded();
        let (opened, close_reason) = (Rc::new(Cell::new(false)), Rc::new(RefCell::new(None)));
        let on_event = {
            let (opened, close_reason) = (opened.clone(), close_reason.clone());
            move |_: &web_sys::WebSocket, event: SocketEvent| {
                let event = match event {
                    SocketEvent::Open => return opened.set(true),
                    SocketEvent::Message(data) => Event::Bytes(Uint8Array::new(&data).to_vec().into()),
                    SocketEvent::Closed { code, reason } => {
                        // Browsers give no reason for connections that were lost or refused.
                        let reason = Some(reason).filter(|reason| code != CLOSE_NORMAL && !reason.is_empty());
                        close_reason.replace(reason);
                        Event::End
                    }
                };
                // Fails after the socket was dropped.
                let _ = sender.unbounded_send(event);
            }
        };
        let socket = WebSocket::connect(&target, on_event).ok_or(ConnectionLost)?;
        Ok(Self { socket, path, opened, close_reason, events })
    }

    async fn next(&mut self) -> Received {
        match self.events.next().await {
            Some(Event::Bytes(bytes)) => Received::Bytes(bytes),
            Some(Event::End) | None if self.opened.get() => Received::End,
            Some(Event::End) | None => {
                refusal::ask(&self.path).await.map_or(Received::End, Received::Refused)
            }
        }
    }
}

impl Connection for Socket {
    async fn receive(&mut self, deadline: Option<Instant>) -> Received {
        let Some(deadline) = deadline else { return self.next().await };
        let timeout = sleep(deadline.saturating_duration_since(Instant::now()));
        match select(pin!(self.next()), pin!(timeout)).await {
            Either::Left((received, _)) => received,
            Either::Right(_) => Received::TimedOut,
        }
    }

    fn try_receive(&mut self) -> Option<Bytes> {
        match self.events.try_recv() {
            Ok(Event::Bytes(bytes)) => Some(bytes),
            Ok(Event::End) => {
                // The next `receive` returns the end.
                self.events.close();
                None
            }
            Err(_) => None,
        }
    }

    async fn send(&mut self, bytes: Bytes) -> Result<(), ConnectionLost> {
        // Both servers speak first, so a client that has data to send is connected.
        self.socket.socket().send_with_u8_array(&bytes).map_err(|_| ConnectionLost)?;
        let (mut minimum, mut progress_at) = (u32::MAX, Instant::now());
        loop {
            let buffered = self.socket.socket().buffered_amount();
            if buffered < minimum {
                (minimum, progress_at) = (buffered, Instant::now());
            }
            if buffered <= BUFFERED_OCTETS_MAX {
                break;
            }
            if self.socket.socket().ready_state() != web_sys::WebSocket::OPEN
                || progress_at.elapsed() > SEND_TIMEOUT
            {
                return Err(ConnectionLost);
            }
            sleep(POLL_INTERVAL).await;
        }
        if self.socket.socket().ready_state() == web_sys::WebSocket::OPEN {
            Ok(())
        } else {
            Err(ConnectionLost)
        }
    }

    fn close_reason(&self) -> Option<String> {
        self.close_reason.borrow().clone()
    }

    fn unsent_octets(&self) -> u64 {
        self.socket.socket().buffered_amount().into()
    }
}
