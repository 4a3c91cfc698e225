//! The clipboard.

use wasm_bindgen::JsCast as _;
use wasm_bindgen_futures::JsFuture;
use web_sys::Clipboard;

use super::js;

/// Copies `text`; returns whether the browser allowed it. Pages without TLS have no clipboard, except on localhost.
pub(crate) async fn copy(text: &str) -> bool {
    let Some(window) = web_sys::window() else { return false };
    let clipboard = js::property(&window.navigator(), "clipboard").map(Clipboard::unchecked_from_js);
    let Some(clipboard) = clipboard else { return false };
    JsFuture::from(clipboard.write_text(text)).await.is_ok()
}
