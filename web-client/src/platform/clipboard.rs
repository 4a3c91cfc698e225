//! The clipboard.

use js_sys::Reflect;
use wasm_bindgen::JsCast as _;
use wasm_bindgen_futures::JsFuture;
use web_sys::Clipboard;

/// Copies `text`; returns whether the browser allowed it. Pages without TLS have no clipboard, except on localhost.
pub(crate) async fn copy(text: &str) -> bool {
    let Some(window) = web_sys::window() else { return false };
    let clipboard = Reflect::get(&window.navigator(), &"clipboard".into());
    match clipboard.map(Clipboard::unchecked_from_js) {
        Ok(clipboard) if !clipboard.is_undefined() => {
            JsFuture::from(clipboard.write_text(text)).await.is_ok()
        }
        _ => false,
    }
}
