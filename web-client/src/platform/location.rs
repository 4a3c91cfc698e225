//! The page's URL and the session history.

use js_sys::{decode_uri_component, encode_uri_component};
use wasm_bindgen::JsValue;
use web_sys::History;

/// Host name of the page, without the port.
pub(crate) fn hostname() -> String {
    web_sys::window().and_then(|window| window.location().hostname().ok()).unwrap_or_default()
}

/// The names of further mail servers that the bridge connects to, besides the default ones.
pub(crate) fn servers() -> Vec<String> {
    let mark = super::dom::document()
        .and_then(|document| document.query_selector("meta[name=pennypost-servers]").ok()?);
    let names = mark.and_then(|mark| mark.get_attribute("content")).unwrap_or_default();
    names.split_whitespace().map(str::to_owned).collect()
}

/// A path next to the page's, which a reverse proxy may have moved.
pub(crate) fn relative(path: &str) -> String {
    let page = web_sys::window().and_then(|window| window.location().pathname().ok()).unwrap_or_default();
    let (folder, _) = page.rsplit_once('/').unwrap_or_default();
    format!("{folder}/{path}")
}

/// The URL of a WebSocket next to the page.
pub(crate) fn web_socket(path: &str) -> Option<String> {
    let location = web_sys::window()?.location();
    let is_secure = location.protocol().is_ok_and(|protocol| protocol == "https:");
    let scheme = if is_secure { "wss" } else { "ws" };
    Some(format!("{scheme}://{}{}", location.host().ok()?, relative(path)))
}

/// The URL's fragment with its `#`, or an empty string.
pub(crate) fn fragment() -> String {
    web_sys::window().and_then(|window| window.location().hash().ok()).unwrap_or_default()
}

pub(crate) fn encode(text: &str) -> String {
    encode_uri_component(text).into()
}

/// `None` for malformed escapes.
pub(crate) fn decode(text: &str) -> Option<String> {
    decode_uri_component(text).ok().map(Into::into)
}

/// The number stored in the current history entry; 0 if there is none.
pub(crate) fn entry_depth() -> u32 {
    let state = history().and_then(|history| history.state().ok()?.as_f64()).unwrap_or_default();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
    let depth = state as u32;
    depth
}

/// Adds a history entry. Browsers may refuse pages that add too many.
pub(crate) fn push(depth: u32, fragment: &str) {
    if let Some(history) = history() {
        let _ = history.push_state_with_url(&entry_state(depth), "", Some(fragment));
    }
}

/// Replaces the URL of the current history entry. An empty fragment removes the old one.
pub(crate) fn replace(depth: u32, fragment: &str) {
    let path = web_sys::window().and_then(|window| window.location().pathname().ok()).unwrap_or_default();
    let url = if fragment.is_empty() { &path } else { fragment };
    if let Some(history) = history() {
        let _ = history.replace_state_with_url(&entry_state(depth), "", Some(url));
    }
}

/// Goes back by `entries`. A `popstate` event follows if this returns true.
pub(crate) fn back(entries: u32) -> bool {
    let delta = i32::try_from(entries).map_or(i32::MIN, |entries| -entries);
    history().is_some_and(|history| history.go_with_delta(delta).is_ok())
}

fn entry_state(depth: u32) -> JsValue {
    if depth == 0 { JsValue::NULL } else { depth.into() }
}

fn history() -> Option<History> {
    web_sys::window()?.history().ok()
}
