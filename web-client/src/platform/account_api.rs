//! The account routes of the page's server: own addresses, queued messages, a new password, changes of the mailbox. A separate bridge has none of
//! them.

use std::pin::pin;

use futures::channel::mpsc::{UnboundedReceiver, unbounded};
use futures::future::{Either, select};
use futures::stream::StreamExt as _;
use mail_core::message::address::Address;
use mail_core::message::id::MessageId;
use mail_core::sasl::Credentials;
use mail_core::time::Duration;
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{CloseEvent, MessageEvent, RequestInit, Response, WebSocket};
use yew::platform::time::sleep;

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
    /// The server cannot be reached, or asks for another attempt.
    Unavailable(String),
}

/// Signs in to the account routes.
pub(crate) async fn sign_in(credentials: &Credentials) -> Result<AccountSession, AccountError> {
    let body = js::object([
        ("user", JsValue::from(&credentials.authentication_id)),
        ("password", JsValue::from(credentials.password.expose())),
    ]);
    let text = post("account/session", &body).await?;
    let answer = js_sys::JSON::parse(&text).map_err(|_| no_answer())?;
    let addresses = array(&answer, "addresses");
    let addresses = addresses.iter().filter_map(|text| Address::parse(&text.as_string()?).ok());
    let token = string(&answer, "token").ok_or_else(no_answer)?;
    Ok(AccountSession { addresses: addresses.collect(), token })
}

/// The user's messages that wait in the server's queue. Those without a Message-ID are left out.
pub(crate) async fn queue(token: &str) -> Result<Vec<QueuedMail>, AccountError> {
    let text = post("account/queue", &js::object([("token", JsValue::from(token))])).await?;
    let answer = js_sys::JSON::parse(&text).map_err(|_| no_answer())?;
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

/// Changes the password. After an error, it is unchanged unless the connection was lost.
pub(crate) async fn change_password(credentials: &Credentials, new: &str) -> Result<(), AccountError> {
    let body = js::object([
        ("user", JsValue::from(&credentials.authentication_id)),
        ("password", JsValue::from(credentials.password.expose())),
        ("new_password", JsValue::from(new)),
    ]);
    post("account/password", &body).await.map(drop)
}

fn no_answer() -> AccountError {
    AccountError::Unavailable("The server does not answer.".to_owned())
}

async fn post(path: &str, body: &JsValue) -> Result<String, AccountError> {
    match select(pin!(request(path, body)), pin!(sleep(TIMEOUT))).await {
        Either::Left((answer, _)) => answer.unwrap_or_else(|_| Err(no_answer())),
        Either::Right(_) => Err(no_answer()),
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
    // 429: too many failed sign-ins; 5xx: the cause may be temporary (RFC 9110 section 15.6).
    let is_temporary = response.status() == 429 || response.status() >= 500;
    Ok(Err(if is_temporary { AccountError::Unavailable(reason) } else { AccountError::Refused(reason) }))
}

const HIDE: &str = "pagehide";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MailboxEvent {
    /// Later changes are reported.
    Subscribed,
    Changed,
}

/// A WebSocket that reports changes of the mailbox.
pub(crate) struct MailboxEvents {
    socket: WebSocket,
    events: UnboundedReceiver<Option<String>>,
    _on_open: Closure<dyn FnMut()>,
    _on_message: Closure<dyn FnMut(MessageEvent)>,
    _on_close: Closure<dyn FnMut(CloseEvent)>,
    on_hide: Closure<dyn FnMut()>,
}

impl MailboxEvents {
    /// Starts connecting; `None` if the browser refuses to open WebSockets.
    pub(crate) fn connect(token: &str) -> Option<Self> {
        let socket = WebSocket::new(&location::web_socket("account/events")?).ok()?;
        let (sender, events) = unbounded();
        let notify = move |event| {
            // Fails after the socket was dropped.
            let _ = sender.unbounded_send(event);
        };
        let on_open = Closure::new({
            let (socket, token) = (socket.clone(), token.to_owned());
            move || {
                // A closed socket is reported by its close event.
                let _ = socket.send_with_str(&token);
            }
        });
        let on_message = Closure::new({
            let notify = notify.clone();
            move |event: MessageEvent| notify(event.data().as_string())
        });
        let on_close = Closure::new(move |_: CloseEvent| notify(None));
        // A browser that keeps a page for Back reports an open connection as an error.
        let on_hide = Closure::new({
            let socket = socket.clone();
            move || drop(socket.close())
        });
        let window = web_sys::window()?;
        window.add_event_listener_with_callback(HIDE, on_hide.as_ref().unchecked_ref()).ok()?;
        socket.set_onopen(Some(on_open.as_ref().unchecked_ref()));
        socket.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        socket.set_onclose(Some(on_close.as_ref().unchecked_ref()));
        Some(Self {
            socket,
            events,
            _on_open: on_open,
            _on_message: on_message,
            _on_close: on_close,
            on_hide,
        })
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

impl Drop for MailboxEvents {
    fn drop(&mut self) {
        if let Some(window) = web_sys::window() {
            let _ = window.remove_event_listener_with_callback(HIDE, self.on_hide.as_ref().unchecked_ref());
        }
        self.socket.set_onopen(None);
        self.socket.set_onmessage(None);
        self.socket.set_onclose(None);
        let _: Result<(), JsValue> = self.socket.close();
    }
}
