//! The account routes of the page's server: own addresses, queued messages, a new password, changes of the mailbox. A separate bridge has none of
//! them.

use std::pin::pin;

use futures::channel::mpsc::{UnboundedReceiver, unbounded};
use futures::future::{Either, select};
use futures::stream::StreamExt as _;
use gloo_events::EventListener;
use mail_core::message::address::Address;
use mail_core::message::id::MessageId;
use mail_core::sasl::Credentials;
use mail_core::time::Duration;
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{RequestInit, Response};
use yew::platform::time::sleep;

use super::web_socket::{SocketEvent, WebSocket};
use super::{js, location};
use crate::model::queued_mail::{QueuedMail, QueuedRecipient, QueuedState};

/// The server delays the answer to a wrong password by up to 8 seconds.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Longer answers do not come from the server.
const REASON_CHARS_MAX: usize = 300;

/// The own addresses of the user, and a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AccountSession {
    /// The user's addresses, the primary one first.
    pub(crate) addresses: Vec<Address>,
    /// For [`queue`] and [`MailboxEvents::connect`].
    pub(crate) token: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AccountError {
    /// The server has no such routes, or refuses the user. Another attempt has the same result.
    Refused(String),
    /// The server asks for another attempt.
    Unavailable(String),
    /// The connection was lost before the answer. The server may have received the request.
    NoAnswer,
}

/// Signs in to the account routes.
pub(crate) async fn sign_in(credentials: &Credentials) -> Result<AccountSession, AccountError> {
    let body = js::object([
        ("user", JsValue::from(&credentials.authentication_id)),
        ("password", JsValue::from(credentials.password.expose())),
    ]);
    let text = post("account/session", &body).await?;
    let answer = js_sys::JSON::parse(&text).map_err(|_| AccountError::NoAnswer)?;
    let addresses = array(&answer, "addresses");
    let addresses = addresses.iter().filter_map(|text| Address::parse(&text.as_string()?).ok());
    let token = string(&answer, "token").ok_or(AccountError::NoAnswer)?;
    Ok(AccountSession { addresses: addresses.collect(), token })
}

/// The user's messages that wait in the server's queue. Those without a Message-ID are left out.
pub(crate) async fn queue(token: &str) -> Result<Vec<QueuedMail>, AccountError> {
    let text = post("account/queue", &js::object([("token", JsValue::from(token))])).await?;
    let answer = js_sys::JSON::parse(&text).map_err(|_| AccountError::NoAnswer)?;
    Ok(array(&answer, "messages").iter().filter_map(|message| queued_mail(&message)).collect())
}

fn queued_mail(message: &JsValue) -> Option<QueuedMail> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
    let more_recipients = js::property(message, "more_recipients")?.as_f64()? as usize;
    Some(QueuedMail {
        message_id: MessageId::parse(&string(message, "message_id")?)?,
        recipients: array(message, "recipients").iter().filter_map(|one| queued_recipient(&one)).collect(),
        more_recipients,
    })
}

fn queued_recipient(recipient: &JsValue) -> Option<QueuedRecipient> {
    let next_attempt = string(recipient, "next_attempt").and_then(|time| time.parse().ok());
    Some(QueuedRecipient {
        address: string(recipient, "address")?,
        state: match string(recipient, "state")?.as_str() {
            "held" => QueuedState::Held,
            "undeliverable" => QueuedState::Undeliverable,
            _ => QueuedState::Waiting(next_attempt),
        },
        reply: string(recipient, "reply")?,
    })
}

fn string(object: &JsValue, name: &str) -> Option<String> {
    js::property(object, name)?.as_string()
}

/// Empty if there is no such array.
fn array(object: &JsValue, name: &str) -> js_sys::Array {
    js::property(object, name).map(|list| js_sys::Array::from(&list)).unwrap_or_default()
}

/// Changes the password. After an error, it is unchanged except after [`AccountError::NoAnswer`].
pub(crate) async fn change_password(credentials: &Credentials, new: &str) -> Result<(), AccountError> {
    let body = js::object([
        ("user", JsValue::from(&credentials.authentication_id)),
        ("password", JsValue::from(credentials.password.expose())),
        ("new_password", JsValue::from(new)),
    ]);
    post("account/password", &body).await.map(drop)
}

async fn post(path: &str, body: &JsValue) -> Result<String, AccountError> {
    match select(pin!(request(path, body)), pin!(sleep(TIMEOUT))).await {
        Either::Left((answer, _)) => answer.unwrap_or(Err(AccountError::NoAnswer)),
        Either::Right(_) => Err(AccountError::NoAnswer),
    }
}

async fn request(path: &str, body: &JsValue) -> Result<Result<String, AccountError>, JsValue> {
    let window = web_sys::window().ok_or(JsValue::NULL)?;
    let options = RequestInit::new();
    options.set_method("POST");
    options.set_body(&js_sys::JSON::stringify(body)?.into());
    let path = location::relative(path);
    let response: Response =
        JsFuture::from(window.fetch_with_str_and_init(&path, &options)).await?.dyn_into()?;
    let text = JsFuture::from(response.text()?).await?.as_string().unwrap_or_default();
    if response.ok() {
        return Ok(Ok(text));
    }
    let reason: String = match text.lines().next().unwrap_or_default().trim() {
        "" => format!("status {}", response.status()),
        text => text.chars().take(REASON_CHARS_MAX).collect(),
    };
    // 502 and 504: a proxy got no answer from the server (RFC 9110 section 15.6).
    if matches!(response.status(), 502 | 504) {
        return Ok(Err(AccountError::NoAnswer));
    }
    // 429: too many failed sign-ins; 5xx: the cause may be temporary.
    let is_temporary = response.status() == 429 || response.status() >= 500;
    Ok(Err(if is_temporary { AccountError::Unavailable(reason) } else { AccountError::Refused(reason) }))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MailboxEvent {
    /// Later changes are reported.
    Subscribed,
    Changed,
}

/// A WebSocket that reports changes of the mailbox.
pub(crate) struct MailboxEvents {
    _socket: WebSocket,
    events: UnboundedReceiver<Option<String>>,
    _on_hide: EventListener,
}

impl MailboxEvents {
    /// Starts connecting; `None` if the browser refuses to open WebSockets.
    pub(crate) fn connect(token: &str) -> Option<Self> {
        let (sender, events) = unbounded();
        let token = token.to_owned();
        let socket = WebSocket::connect("account/events", move |socket, event| {
            let event = match event {
                // A closed socket is reported by its close event.
                SocketEvent::Open => return drop(socket.send_with_str(&token)),
                SocketEvent::Message(data) => data.as_string(),
                SocketEvent::Closed { .. } => None,
            };
            // Fails after the socket was dropped.
            let _ = sender.unbounded_send(event);
        })?;
        // A browser that keeps a page for Back reports an open connection as an error.
        let hidden = socket.socket().clone();
        let window = web_sys::window()?;
        let on_hide = EventListener::new(&window, "pagehide", move |_| drop(hidden.close()));
        Some(Self { _socket: socket, events, _on_hide: on_hide })
    }

    /// Waits for the next event; `None` when the connection has ended.
    pub(crate) async fn next(&mut self) -> Option<MailboxEvent> {
        loop {
            match self.events.next().await.flatten()?.as_str() {
                "ready" => return Some(MailboxEvent::Subscribed),
                "changed" => return Some(MailboxEvent::Changed),
                _ => {}
            }
        }
    }
}
