//! The reason the bridge refuses a WebSocket. Browsers hide the response to a failed upgrade from the page, so the page
//! sends a POST to the same URL, for which the bridge makes the same checks.

use std::pin::pin;

use futures::future::{Either, select};
use mail_core::time::Duration;
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{RequestInit, Response};
use yew::platform::time::sleep;

use crate::session::Refusal;

/// Time for the answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Longer answers do not come from the bridge.
const REASON_CHARS_MAX: usize = 300;

/// `None` if the bridge would accept a connection now, or does not answer.
pub(super) async fn ask(path: &str) -> Option<Refusal> {
    match select(pin!(post(path)), pin!(sleep(TIMEOUT))).await {
        Either::Left((answer, _)) => answer.ok().flatten(),
        Either::Right(_) => None,
    }
}

async fn post(path: &str) -> Result<Option<Refusal>, JsValue> {
    let window = web_sys::window().ok_or(JsValue::NULL)?;
    let options = RequestInit::new();
    options.set_method("POST");
    let response: Response =
        JsFuture::from(window.fetch_with_str_and_init(path, &options)).await?.dyn_into()?;
    if response.ok() {
        return Ok(None);
    }
    let text = JsFuture::from(response.text()?).await?.as_string().unwrap_or_default();
    let text = text.lines().next().unwrap_or_default();
    let reason = match text.trim() {
        "" => format!("status {}", response.status()),
        text => text.chars().take(REASON_CHARS_MAX).collect(),
    };
    // RFC 9110 section 15.6: the cause may be temporary.
    Ok(Some(Refusal { reason, is_temporary: response.status() >= 500 }))
}
